/* SPDX-License-Identifier: MIT
 *
 * test_retention: what goes by itself: segments by bytes and by age, the active one too; never what
 * is to be kept for ever, never by a clock that jumps and comes back. Trims, the flush of
 * durability=os, and producers that were silent for long.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "test/unit/broker/rig.h"

#define CHECK_MS 5000
#define HOUR     INT64_C(3600000)

static void retention_init(struct rig *g, uint64_t seed)
{
    rig_init(g, seed, 0);
    rig_set(g, "log.retention.check.interval.ms", "5000");
    rig_set(g, "log.segment.bytes", "1000");
    rig_open(g);
}

/* Batches of some 170 bytes, a second apart from `time`; tags count from the end. */
static void fill(struct rig *g, const char *topic, unsigned count, int64_t time)
{
    int64_t end = rig_end(g, topic, 0);
    for (unsigned i = 0; i < count; i++) {
        struct rig_batch b = {
            .tag = (uint64_t)end + i, .value_size = 100, .timestamp = time + i * 1000};
        ck_assert_int_eq(rig_put(g, topic, 0, &b, NULL), BROKER_OK);
    }
}

/* Everything from the start on is there, in order. */
static void expect_log(struct rig *g, const char *topic, int64_t start, int64_t end)
{
    struct buf pairs CLEANUP(buf_deinit) = {0};
    ck_assert_int_eq(rig_start(g, topic, 0), start);
    ck_assert_int_eq(rig_end(g, topic, 0), end);
    rig_read_all(g, topic, 0, start, &pairs);
    ck_assert_uint_eq(pairs.size, (size_t)(end - start) * 16);
    for (int64_t i = start; i < end; i++)
        ck_assert_int_eq((int64_t)bytes_le64(pairs.p + (i - start) * 16 + 8), i);
}

static int on_log(void *ctx, const char *name, enum io_kind kind)
{
    (void)kind;
    size_t n = strlen(name);
    *(unsigned *)ctx += n > 4 && strcmp(name + n - 4, ".log") == 0;
    return 0;
}

static unsigned segments(struct rig *g, const char *folder)
{
    unsigned count = 0;
    ck_assert_int_eq(io_list(g->disk, folder, on_log, &count), 0);
    return count;
}

START_TEST(by_bytes)
{
    struct rig g;
    struct broker_partition_info info;
    retention_init(&g, 1);
    rig_create(&g, "t", 1, "retention.bytes=4K");
    rig_create(&g, "all", 1, NULL);
    fill(&g, "t", 60, g.clock.wall_now_ms);
    fill(&g, "all", 60, g.clock.wall_now_ms);
    ck_assert_uint_gt(segments(&g, "/data/all-0"), 10);
    rig_load(&g, "t", 0, &info);
    ck_assert_uint_ge(info.size, 4096);
    ck_assert_uint_lt(info.size, 4096 + 1000);
    ck_assert_int_gt(info.log_start, 0);
    ck_assert_uint_le(segments(&g, "/data/t-0"), 6);
    expect_log(&g, "t", info.log_start, 60);
    expect_log(&g, "all", 0, 60);
    for (int clean = 0; clean < 2; clean++) {
        rig_reopen(&g, clean == 1);
        expect_log(&g, "t", info.log_start, 60);
    }
    rig_deinit(&g);
}
END_TEST

START_TEST(by_age)
{
    for (int how = 0; how < 3; how++) {
        struct rig g;
        retention_init(&g, 2);
        rig_create(&g, "t", 1, "retention.ms=1h");
        fill(&g, "t", 30, g.clock.wall_now_ms - 30 * 1000);
        clock_fake_advance(&g.clock, HOUR - 20 * 1000);
        rig_advance(&g, CHECK_MS);
        int64_t start = rig_start(&g, "t", 0);
        ck_assert_int_ge(start, 5); /* what is older than an hour, whole segments of it */
        ck_assert_int_le(start, 15);
        expect_log(&g, "t", start, 30);
        clock_fake_advance(&g.clock, HOUR / 2);
        rig_advance(&g, CHECK_MS);
        expect_log(&g, "t", 30, 30); /* the active segment too; the end lives on */
        ck_assert_uint_eq(segments(&g, "/data/t-0"), 1);
        if (how == 2)
            rig_cut(&g, 2);
        else if (how == 1)
            rig_kill(&g);
        else
            rig_stop(&g);
        rig_open(&g);
        expect_log(&g, "t", 30, 30);
        fill(&g, "t", 3, g.clock.wall_now_ms);
        expect_log(&g, "t", 30, 33);
        rig_deinit(&g);
    }
}
END_TEST

START_TEST(for_ever)
{
    struct rig g;
    retention_init(&g, 3);
    rig_create(&g, "t", 1, "retention.ms=-1");
    rig_create(&g, "compacted", 1, "cleanup.policy=compact");
    rig_create(&g, "untimed", 1, "retention.ms=1");
    fill(&g, "t", 20, 5);
    struct rig_batch b = {.timestamp = -1};
    ck_assert_int_eq(rig_put(&g, "untimed", 0, &b, NULL), BROKER_OK);
    clock_fake_advance(&g.clock, 10000 * HOUR);
    rig_advance(&g, 3 * CHECK_MS);
    expect_log(&g, "t", 0, 20);
    ck_assert_int_eq(rig_end(&g, "untimed", 0), 1);
    ck_assert_int_eq(rig_start(&g, "untimed", 0), 1); /* no time: as old as its append */
    ck_assert_int_eq(rig_alter(&g, "t", "retention.ms", "1h"), BROKER_OK);
    rig_advance(&g, CHECK_MS);
    expect_log(&g, "t", 20, 20);
    rig_deinit(&g);
}
END_TEST

/* The broker's defaults are changed while it runs: that counts at once, whatever the check interval
 * is. */
START_TEST(dynamic)
{
    struct rig g;
    rig_init(&g, 4, 0);
    rig_set(&g, "log.retention.ms", "70d");
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    rig_create(&g, "own", 1, "retention.ms=100d");
    fill(&g, "t", 20, g.clock.wall_now_ms - 50 * 24 * HOUR);
    fill(&g, "own", 20, g.clock.wall_now_ms - 50 * 24 * HOUR);
    rig_advance(&g, CHECK_MS);
    expect_log(&g, "t", 0, 20);
    ck_assert_int_eq(rig_alter_broker(&g, "log.retention.ms", "60d"), BROKER_OK);
    rig_advance(&g, 2000);
    expect_log(&g, "t", 0, 20);
    ck_assert_int_eq(rig_alter_broker(&g, "log.retention.ms", "40d"), BROKER_OK);
    rig_run(&g);
    expect_log(&g, "t", 20, 20);
    expect_log(&g, "own", 0, 20);
    rig_deinit(&g);
}
END_TEST

/* Partitions that are not open are opened for it. */
START_TEST(after_a_start)
{
    struct rig g;
    retention_init(&g, 5);
    rig_create(&g, "t", 1, "retention.ms=1h");
    fill(&g, "t", 20, g.clock.wall_now_ms);
    rig_stop(&g);
    clock_fake_advance(&g.clock, 2 * HOUR);
    rig_open(&g);
    rig_advance(&g, 2 * CHECK_MS);
    expect_log(&g, "t", 20, 20);
    rig_deinit(&g);
}
END_TEST

START_TEST(clock_jumps)
{
    struct rig g;
    retention_init(&g, 6);
    rig_create(&g, "t", 1, "retention.ms=1h");
    fill(&g, "t", 20, g.clock.wall_now_ms);
    g.clock.wall_now_ms += 1000 * HOUR; /* wrong, and soon corrected: deletes nothing */
    rig_advance(&g, CHECK_MS);
    ck_assert_uint_eq(g.warnings, 1);
    ck_assert_ptr_nonnull(strstr(g.line, "the wall clock jumped by 3600000 s"));
    g.clock.wall_now_ms -= 1000 * HOUR;
    rig_advance(&g, CHECK_MS);
    ck_assert_uint_eq(g.warnings, 2);
    rig_advance(&g, 3 * CHECK_MS);
    expect_log(&g, "t", 0, 20);
    g.clock.wall_now_ms += 1000 * HOUR; /* it stays: then that is the time */
    rig_advance(&g, CHECK_MS);
    expect_log(&g, "t", 0, 20);
    rig_advance(&g, CHECK_MS);
    expect_log(&g, "t", 20, 20);
    g.clock.wall_now_ms = -5; /* before 1970 */
    rig_advance(&g, 3 * CHECK_MS);
    fill(&g, "t", 2, RIG_TIME);
    expect_log(&g, "t", 20, 22);
    rig_deinit(&g);
}
END_TEST

START_TEST(trims)
{
    struct rig g;
    struct rig_admin a;
    retention_init(&g, 7);
    rig_create(&g, "t", 2, NULL);
    fill(&g, "t", 30, g.clock.wall_now_ms);
    static const int64_t steps[] = {0, 3, 3, 1, 12, 29};
    int64_t start = 0;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        start = steps[i] > start ? steps[i] : start;
        rig_admin_init(&a, BROKER_TOPIC_TRIM, "t");
        a.req.partitions = 0;
        a.req.before = steps[i];
        ck_assert_int_eq(rig_admin_run(&g, &a), BROKER_OK);
        ck_assert_int_eq(a.req.log_start, start);
        expect_log(&g, "t", start, 30);
        rig_cut(&g, i);
        rig_open(&g);
        expect_log(&g, "t", start, 30);
    }
    ck_assert_int_eq(rig_trim(&g, "t", 0, 31), BROKER_OFFSET_OUT_OF_RANGE);
    ck_assert_int_eq(rig_trim(&g, "t", 0, -2), BROKER_OFFSET_OUT_OF_RANGE);
    ck_assert_int_eq(rig_trim(&g, "t", 2, 0), BROKER_UNKNOWN_PARTITION);
    ck_assert_int_eq(rig_trim(&g, "none", 0, 0), BROKER_UNKNOWN_TOPIC);
    ck_assert_int_eq(rig_trim(&g, "t", 1, -1), BROKER_OK); /* empty: nothing to do */
    ck_assert_int_eq(rig_trim(&g, "t", 0, -1), BROKER_OK);
    expect_log(&g, "t", 30, 30);
    struct rig_produce *p = rig_produce_new(1);
    struct rig_batch b = {.tag = 30};
    rig_produce_add(p, "t", 0, &b);
    rig_produce_start(&g, p);
    rig_run(&g);
    ck_assert_int_eq(p->items[0].base_offset, 30);
    ck_assert_int_eq(p->items[0].log_start, 30);
    rig_produce_free(p);
    rig_cut(&g, 99);
    rig_open(&g);
    expect_log(&g, "t", 30, 31);
    rig_deinit(&g);
}
END_TEST

/* Trims in any order at once, with produce between, and a deletion behind: all are answered. */
START_TEST(trims_at_once)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct rig g;
        struct rig_admin a[6], gone;
        retention_init(&g, seed);
        rig_create(&g, "t", 1, NULL);
        fill(&g, "t", 20, g.clock.wall_now_ms);
        for (size_t i = 0; i < 6; i++) {
            rig_admin_init(&a[i], BROKER_TOPIC_TRIM, "t");
            a[i].req.partitions = 0;
            a[i].req.before = (int64_t)((seed + 1) * (i + 3) * 5 % 20) + 1;
            rig_admin_start(&g, &a[i]);
            if (i % 2 == seed % 2)
                rig_turn(&g);
            if (i == 3 && seed % 4 == 0) {
                rig_admin_init(&gone, BROKER_TOPIC_DELETE, "t");
                rig_admin_start(&g, &gone);
            }
        }
        rig_run(&g);
        for (size_t i = 0; i < 6; i++) {
            ck_assert_uint_eq(a[i].done, 1);
            if (seed % 4 != 0)
                ck_assert_int_ge(a[i].req.log_start, a[i].req.before);
            else
                ck_assert(a[i].req.status == BROKER_OK || a[i].req.status == BROKER_BUSY ||
                          a[i].req.status == BROKER_UNKNOWN_TOPIC);
        }
        rig_stop(&g);
        rig_deinit(&g);
    }
}
END_TEST

/* A trim below one that is on its way is answered with it, not in front of it. */
START_TEST(a_trim_is_durable)
{
    struct rig g;
    struct rig_admin first, second;
    retention_init(&g, 8);
    rig_create(&g, "t", 1, NULL);
    fill(&g, "t", 20, g.clock.wall_now_ms);
    rig_admin_init(&first, BROKER_TOPIC_TRIM, "t");
    first.req.partitions = 0;
    first.req.before = 12;
    rig_admin_start(&g, &first);
    rig_turn(&g); /* its round is out */
    rig_admin_init(&second, BROKER_TOPIC_TRIM, "t");
    second.req.partitions = 0;
    second.req.before = 7;
    rig_admin_start(&g, &second);
    rig_turn(&g);
    rig_turn(&g);
    ck_assert_uint_eq(first.done + second.done, 0);
    rig_run(&g);
    ck_assert_uint_eq(first.done + second.done, 2);
    ck_assert_int_eq(second.req.log_start, 12);
    rig_cut(&g, 8);
    rig_open(&g);
    expect_log(&g, "t", 12, 20);
    rig_deinit(&g);
}
END_TEST

/* --- the clock's other work --- */

/* Returns the end after a cut `wait_ms` behind the last record. */
static int64_t flushed(uint64_t seed, const char *flush_ms, int64_t wait_ms)
{
    struct rig g;
    rig_init(&g, seed, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, "durability=os");
    if (flush_ms != NULL)
        ck_assert_int_eq(rig_alter(&g, "t", "flush.ms", flush_ms), BROKER_OK);
    rig_advance(&g, 1300);
    for (uint64_t i = 0; i < 5; i++)
        rig_put_tag(&g, "t", i);
    clock_fake_advance(&g.clock, wait_ms);
    rig_run(&g);
    rig_cut(&g, seed);
    rig_open(&g);
    int64_t end = rig_end(&g, "t", 0);
    rig_deinit(&g);
    return end;
}

START_TEST(flush_timer)
{
    unsigned lost = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        ck_assert_int_eq(flushed(seed, NULL, 1000), 5);
        ck_assert_int_eq(flushed(seed, "100", 100), 5);
        ck_assert_int_eq(flushed(seed, "0", 1), 5);
        ck_assert_int_eq(flushed(seed, "5000", 1000), 5); /* the broker's is shorter */
        lost += flushed(seed, "100", 0) < 5;
        lost += flushed(seed, NULL, 100) < 5;
    }
    ck_assert_uint_gt(lost, 0);
}
END_TEST

/* A clean stop makes everything durable. */
START_TEST(stop_flushes)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct rig g;
        rig_init(&g, seed, 0);
        rig_open(&g);
        rig_create(&g, "t", 1, "durability=os");
        for (uint64_t i = 0; i < 5; i++)
            rig_put_tag(&g, "t", i);
        rig_stop(&g);
        rig_cut(&g, seed);
        rig_open(&g);
        ck_assert_int_eq(rig_end(&g, "t", 0), 5);
        rig_deinit(&g);
    }
}
END_TEST

START_TEST(silent_producers_are_forgotten)
{
    struct rig g;
    struct rig_batch b = {.producer = 5, .sequence = 3};
    rig_init(&g, 9, 0);
    rig_set(&g, "producer.id.expiration.ms", "3600000");
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    ck_assert_int_eq(rig_put(&g, "t", 0, &b, NULL), BROKER_OK);
    b.sequence = 9;
    ck_assert_int_eq(rig_put(&g, "t", 0, &b, NULL), BROKER_SEQUENCE_GAP);
    clock_fake_advance(&g.clock, HOUR / 2);
    rig_advance(&g, 1000);
    ck_assert_int_eq(rig_put(&g, "t", 0, &b, NULL), BROKER_SEQUENCE_GAP);
    clock_fake_advance(&g.clock, HOUR);
    rig_advance(&g, 1000);
    ck_assert_int_eq(rig_put(&g, "t", 0, &b, NULL), BROKER_OK);
    rig_deinit(&g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("retention");
    TCase *t = tcase_create("retention");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, by_bytes);
    tcase_add_test(t, by_age);
    tcase_add_test(t, for_ever);
    tcase_add_test(t, dynamic);
    tcase_add_test(t, after_a_start);
    tcase_add_test(t, clock_jumps);
    tcase_add_test(t, trims);
    tcase_add_test(t, trims_at_once);
    tcase_add_test(t, a_trim_is_durable);
    tcase_add_test(t, flush_timer);
    tcase_add_test(t, stop_flushes);
    tcase_add_test(t, silent_producers_are_forgotten);
    suite_add_tcase(s, t);
    return rig_main(s);
}
