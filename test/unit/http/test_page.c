/* SPDX-License-Identifier: MIT
 *
 * test_page: /metrics as it is made: bounded steps, every row of every family once, what is beyond
 * the limit counted, and topics that go while the page is made.
 */
#include "net/http/http_page.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/broker/broker_group.h"
#include "test/unit/broker/rig.h"

static void options(struct rig *g, struct http_options *o, size_t partitions_max)
{
    *o = (struct http_options){.broker = g->broker,
                               .clock = &g->clock.clock,
                               .version = "1",
                               .partitions_max = partitions_max};
}

/* The rest of the page, in pieces of at most `max`. */
static void read_all(struct http_page *p, size_t max, struct buf *out)
{
    char piece[HTTP_PIECE_SIZE];
    long size;
    while ((size = http_page_read(p, piece, max)) >= 0) {
        ck_assert_int_le(size, (long)max);
        buf_append(out, piece, (size_t)size);

        ck_assert_uint_lt(p->out.size, 2 * HTTP_PIECE_SIZE);
    }
    buf_append_u8(out, 0);
}

static size_t occurrences(const struct buf *text, const char *what)
{
    size_t count = 0;
    for (const char *at = (const char *)text->p; (at = strstr(at, what)) != NULL; at++)
        count++;
    return count;
}

START_TEST(every_row_once)
{
    struct rig g;
    struct http_options o;
    struct buf text = {0};
    rig_init(&g, 1, 0);
    rig_open(&g);
    rig_create(&g, "a", 700, NULL); /* more than one step, and one piece */
    rig_create(&g, "b", 3, NULL);
    rig_put_tag(&g, "b", 1);
    options(&g, &o, 10000);
    struct http_page *p = http_page_new(&o, true);
    read_all(p, 1000, &text);
    ck_assert_uint_eq(p->partition_count, 703);
    ck_assert_uint_eq(occurrences(&text, "\nkafka_topic_partition_leader{"), 703);
    ck_assert_uint_eq(occurrences(&text, "\nkauri_partition_high_watermark{"), 1); /* one is open */
    ck_assert_uint_eq(
        occurrences(&text, "\nkauri_partition_high_watermark{partition=\"0\",topic=\"b\"} 1\n"), 1);
    ck_assert_uint_eq(
        occurrences(&text,
                    "\nkauri_partition_produced_records_total{partition=\"0\",topic=\"b\"} 1\n"),
        1);
    ck_assert_uint_eq(occurrences(&text, "\nkauri_metrics_partitions_left_out 0\n"), 1);
    ck_assert_uint_eq(occurrences(&text, "# TYPE kafka_topic_partition_leader gauge\n"), 1);
    for (int i = 0; i < 700; i++) {
        char row[100];
        (void)snprintf(row, sizeof row,
                       "\nkafka_topic_partition_replicas{partition=\"%d\",topic=\"a\"} 1\n", i);
        ck_assert_uint_eq(occurrences(&text, row), 1);
    }
    http_page_free(p);
    buf_deinit(&text);
    rig_stop(&g);
    rig_deinit(&g);
}
END_TEST

START_TEST(the_rest_is_counted)
{
    struct rig g;
    struct http_options o;
    struct buf text = {0};
    rig_init(&g, 2, 0);
    rig_open(&g);
    rig_create(&g, "a", 4, NULL);
    rig_create(&g, "b", 5, NULL);
    rig_create(&g, "c", 6, NULL);
    for (size_t max = 0; max <= 16; max++) {
        options(&g, &o, max);
        struct http_page *p = http_page_new(&o, true);
        char line[80];
        size_t shown = max < 15 ? max : 15;
        buf_reset(&text);
        read_all(p, HTTP_PIECE_SIZE, &text);
        ck_assert_uint_eq(occurrences(&text, "\nkafka_topic_partition_leader{"), shown);
        (void)snprintf(line, sizeof line, "\nkauri_metrics_partitions_left_out %zu\n", 15 - shown);
        ck_assert_uint_eq(occurrences(&text, line), 1);
        ck_assert_uint_eq(occurrences(&text, "\nkauri_partitions 15\n"), 1);
        http_page_free(p);
    }
    buf_deinit(&text);
    rig_stop(&g);
    rig_deinit(&g);
}
END_TEST

/* A topic goes between two steps: its rows are there as they were, or not at all. */
START_TEST(topics_go)
{
    struct rig g;
    struct http_options o;
    struct buf text = {0};
    rig_init(&g, 3, 0);
    rig_open(&g);
    rig_create(&g, "a", 600, NULL);
    rig_create(&g, "b", 600, NULL);
    rig_create(&g, "c", 2, NULL);
    options(&g, &o, 10000);
    struct http_page *p = http_page_new(&o, true);
    for (int i = 0; i < _i; i++)
        (void)http_page_step(p);
    ck_assert_int_eq(rig_delete(&g, "a"), BROKER_OK);
    ck_assert_int_eq(rig_delete(&g, "b"), BROKER_OK);
    read_all(p, HTTP_PIECE_SIZE, &text);
    ck_assert_uint_eq(
        occurrences(&text, "\nkafka_topic_partition_leader{partition=\"1\",topic=\"c\"} 1\n"), 1);
    ck_assert_uint_le(
        occurrences(&text, "\nkafka_topic_partition_leader{partition=\"7\",topic=\"a\"} 1\n"), 1);
    ck_assert_uint_eq(occurrences(&text, "\nkafka_topic_partition_leader{"), p->partition_count);
    http_page_free(p);
    buf_deinit(&text);
    rig_stop(&g);
    rig_deinit(&g);
}
END_TEST

/* --- groups --- */

struct commit {
    struct broker_group req;
    struct broker_group_offset_item items[2];
    bool done;
};

static void committed(struct broker_group *req)
{
    ((struct commit *)req->ctx)->done = true;
}

/* Commits `offset` for partition 0 of t and, unless negative, `other` for partition 1. */
static void commit(struct rig *g, const char *group, int64_t offset, int64_t other)
{
    struct commit c = {
        .req = {.op = BROKER_GROUP_COMMIT, .group = slice_str(group), .generation = -1},
        .items = {{.topic = slice_str("t"), .partition = 0, .offset = offset, .leader_epoch = -1},
                  {.topic = slice_str("t"), .partition = 1, .offset = other, .leader_epoch = -1}}};
    c.req.member = c.req.client_id = c.req.client_host = slice_str("");
    c.req.commit.items = c.items;
    c.req.commit.count = other < 0 ? 1 : 2;
    c.req.done = committed;
    c.req.ctx = &c;
    broker_group(g->broker, &c.req);
    for (int i = 0; i < 100 && !c.done; i++)
        rig_advance(g, 10);
    ck_assert(c.done);
    ck_assert_int_eq(c.req.status, BROKER_OK);
    ck_assert_int_eq(c.items[0].status, BROKER_OK);
}

static void page(struct rig *g, struct buf *text)
{
    struct http_options o;
    options(g, &o, 1000);
    struct http_page *p = http_page_new(&o, true);
    buf_reset(text);
    read_all(p, HTTP_PIECE_SIZE, text);
    http_page_free(p);
}

#define HAS(text, line) ck_assert_msg(occurrences(text, "\n" line "\n") == 1, "%s", line)

/* As `kauri group lag --stuck` would: one that stands beside one that moves, one that stands alone,
 * one that has nothing to read, one whose record has just come. */
START_TEST(lag_and_stuck)
{
    struct rig g;
    struct buf text = {0};
    rig_init(&g, 4, 0);
    rig_set(&g, "group.stuck.ms", "3000");
    rig_open(&g);
    rig_create(&g, "t", 2, NULL);
    for (int i = 0; i < 4; i++) {
        rig_put_tag(&g, "t", (uint64_t)i);
        (void)rig_put(&g, "t", 1, &(struct rig_batch){.value_size = 8}, NULL);
    }
    commit(&g, "some", 1, 2);
    commit(&g, "none", 1, -1);
    commit(&g, "all", 4, 4);
    page(&g, &text);
    HAS(&text, "kauri_group_lag_records{group=\"some\",partition=\"0\",topic=\"t\"} 3");
    HAS(&text, "kafka_consumergroup_lag{consumergroup=\"some\",partition=\"1\",topic=\"t\"} 2");
    HAS(&text, "kafka_consumergroup_lag_sum{consumergroup=\"some\",topic=\"t\"} 5");
    HAS(&text, "kafka_consumergroup_current_offset_sum{consumergroup=\"all\",topic=\"t\"} 8");
    HAS(&text, "kauri_group_lag_seconds{group=\"all\",partition=\"0\",topic=\"t\"} 0");
    HAS(&text, "kauri_group_stuck_partitions{group=\"some\"} 0");
    HAS(&text, "kauri_group_not_consumed_partitions{group=\"none\"} 0");
    rig_advance(&g, 2500);
    commit(&g, "some", 1, 3);
    rig_advance(&g, 600);
    rig_put_tag(&g, "t", 9); /* "all" has one to read now, but no more than that */
    page(&g, &text);
    HAS(&text, "kauri_group_stuck{group=\"some\",partition=\"0\",topic=\"t\"} 1");
    HAS(&text, "kauri_group_stuck{group=\"some\",partition=\"1\",topic=\"t\"} 0");
    HAS(&text, "kauri_group_stuck_partitions{group=\"some\"} 1");
    HAS(&text, "kauri_group_not_consumed_partitions{group=\"some\"} 0");
    HAS(&text, "kauri_group_stuck{group=\"none\",partition=\"0\",topic=\"t\"} 1");
    HAS(&text, "kauri_group_stuck_partitions{group=\"none\"} 0");
    HAS(&text, "kauri_group_not_consumed_partitions{group=\"none\"} 1");
    HAS(&text, "kauri_group_stuck{group=\"all\",partition=\"0\",topic=\"t\"} 0");
    HAS(&text, "kauri_groups{state=\"Empty\"} 3");
    commit(&g, "some", 2, -1); /* and it moves again */
    page(&g, &text);
    HAS(&text, "kauri_group_stuck_partitions{group=\"some\"} 0");
    buf_deinit(&text);
    rig_stop(&g);
    rig_deinit(&g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("page");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, every_row_once);
    tcase_add_test(c, the_rest_is_counted);
    tcase_add_loop_test(c, topics_go, 0, 6);
    tcase_add_test(c, lag_and_stuck);
    suite_add_tcase(s, c);
    return rig_main(s);
}
