/* SPDX-License-Identifier: MIT
 *
 * test_fetch: reading: what comes and how much of it, waiting and being woken, cold and dropped
 * segments, damage; and where a time lies in a partition.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "engine/store/batch.h"
#include "test/unit/broker/rig.h"

static void begin(struct rig *g, struct rig_fetch *f)
{
    broker_fetch(g->broker, &f->req);
    ck_assert_uint_eq(f->done, 0);
    rig_run(g);
}

static void waiting(struct rig_fetch *f, const char *topic, int64_t offset, uint32_t max_wait_ms)
{
    rig_fetch_init(f);
    f->req.max_wait_ms = max_wait_ms;
    rig_fetch_add(f, topic, 0, offset);
}

/* --- waiting --- */

START_TEST(new_records_wake)
{
    struct rig g;
    struct rig_fetch f;
    rig_init(&g, 1, 0);
    rig_open(&g);
    rig_create(&g, "t", 2, NULL);
    for (int64_t i = 0; i < 5; i++) {
        waiting(&f, "t", i, 5000);
        rig_fetch_add(&f, "t", 1, 0);
        rig_fetch_add(&f, "t", 0, i); /* the same partition once more */
        begin(&g, &f);
        rig_advance(&g, 1000);
        ck_assert_uint_eq(f.done, 0);
        rig_put_tag(&g, "t", (uint64_t)i);
        ck_assert_uint_eq(f.done, 1);
        ck_assert_int_eq(f.items[0].status, BROKER_OK);
        ck_assert_int_eq(f.items[0].high_watermark, i + 1);
        ck_assert_uint_gt(f.items[0].bytes.size, 0);
        ck_assert_uint_eq(f.items[1].bytes.size, 0);
        broker_fetch_release(g.broker, &f.req);
    }
    rig_stop(&g);
    rig_deinit(&g);
}
END_TEST

START_TEST(enough_bytes_wake)
{
    struct rig g;
    struct rig_fetch f;
    rig_init(&g, 2, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    struct rig_batch b = {.value_size = 100};
    waiting(&f, "t", 0, 60000);
    f.req.min_size = 400;
    begin(&g, &f);
    for (unsigned i = 0; i < 3; i++) { /* some 170 bytes each */
        ck_assert_uint_eq(f.done, 0);
        ck_assert_int_eq(rig_put(&g, "t", 0, &b, NULL), BROKER_OK);
    }
    ck_assert_uint_eq(f.done, 1);
    ck_assert_uint_ge(f.items[0].bytes.size, 400);
    broker_fetch_release(g.broker, &f.req);
    waiting(&f, "t", 3, 60000);
    f.req.min_size = 0; /* asks for nothing: is not made to wait */
    begin(&g, &f);
    ck_assert_uint_eq(f.done, 1);
    waiting(&f, "t", 0, 60000);
    f.req.min_size = 1000;
    f.req.size_max = 300; /* can never come together: what there is comes */
    begin(&g, &f);
    ck_assert_uint_eq(f.done, 1);
    ck_assert_uint_gt(f.items[0].bytes.size, 0);
    ck_assert_uint_le(f.items[0].bytes.size, 300);
    broker_fetch_release(g.broker, &f.req);
    rig_deinit(&g);
}
END_TEST

START_TEST(time_wakes)
{
    struct rig g;
    struct rig_fetch f, none;
    rig_init(&g, 3, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    rig_put_tag(&g, "t", 1);
    waiting(&f, "t", 1, 777);
    begin(&g, &f);
    int64_t now = g.clock.clock.mono_ms(&g.clock.clock);
    ck_assert_int_le(broker_next_ms(g.broker), now + 777);
    rig_advance(&g, 776);
    ck_assert_uint_eq(f.done, 0);
    rig_advance(&g, 1);
    ck_assert_uint_eq(f.done, 1);
    ck_assert_int_eq(f.items[0].status, BROKER_OK);
    ck_assert_int_eq(f.items[0].high_watermark, 1);
    ck_assert_ptr_null(f.items[0].pin);
    waiting(&f, "t", 0, 500); /* too little, but all there is */
    f.req.min_size = 1 << 19;
    begin(&g, &f);
    ck_assert_uint_eq(f.done, 0);
    rig_advance(&g, 500);
    ck_assert_uint_eq(f.done, 1);
    ck_assert_uint_gt(f.items[0].bytes.size, 0);
    broker_fetch_release(g.broker, &f.req);
    rig_fetch_init(&none);
    none.req.max_wait_ms = 1000;
    begin(&g, &none);
    ck_assert_uint_eq(none.done, 1);
    rig_deinit(&g);
}
END_TEST

START_TEST(cancelled)
{
    struct rig g;
    struct rig_fetch f;
    rig_init(&g, 4, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    waiting(&f, "t", 0, 60000);
    begin(&g, &f);
    broker_fetch_cancel(g.broker, &f.req);
    ck_assert_uint_eq(f.done, 0);
    rig_run(&g);
    ck_assert_uint_eq(f.done, 1);
    waiting(&f, "t", 0, 60000); /* before the first turn, twice */
    broker_fetch(g.broker, &f.req);
    broker_fetch_cancel(g.broker, &f.req);
    broker_fetch_cancel(g.broker, &f.req);
    rig_run(&g);
    ck_assert_uint_eq(f.done, 1);
    rig_put_tag(&g, "t", 1);
    rig_reopen(&g, true);
    rig_end(&g, "t", 0);
    waiting(&f, "t", 0, 60000); /* while a worker opens the segment */
    broker_fetch(g.broker, &f.req);
    broker_fetch_cancel(g.broker, &f.req);
    rig_turn(&g);
    ck_assert_uint_eq(f.done, 0);
    rig_run(&g);
    ck_assert_uint_eq(f.done, 1);
    broker_fetch_release(g.broker, &f.req);
    rig_stop(&g);
    rig_deinit(&g);
}
END_TEST

START_TEST(a_deleted_topic_wakes)
{
    struct rig g;
    struct rig_fetch f;
    rig_init(&g, 5, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    rig_create(&g, "u", 1, NULL);
    waiting(&f, "u", 0, 60000);
    rig_fetch_add(&f, "t", 0, 0);
    begin(&g, &f);
    ck_assert_int_eq(rig_delete(&g, "t"), BROKER_OK);
    ck_assert_uint_eq(f.done, 1);
    ck_assert_int_eq(f.items[0].status, BROKER_OK);
    ck_assert_int_eq(f.items[1].status, BROKER_UNKNOWN_TOPIC);
    ck_assert_int_eq(f.items[1].high_watermark, -1);
    rig_deinit(&g);
}
END_TEST

/* A stop answers everything: what waits, what comes, what a worker has in hand. */
START_TEST(a_stop_wakes)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct rig g;
        struct rig_fetch a, b, c;
        rig_init(&g, seed, 0);
        rig_open(&g);
        rig_create(&g, "t", 1, NULL);
        rig_put_tag(&g, "t", 1);
        rig_reopen(&g, true);
        rig_end(&g, "t", 0);
        waiting(&a, "t", 1, 60000);
        begin(&g, &a);
        waiting(&b, "t", 0, 60000);
        b.req.min_size = 1 << 19;
        broker_fetch(g.broker, &b.req);
        rig_turn(&g);
        broker_stop(g.broker);
        waiting(&c, "t", 0, 60000);
        broker_fetch(g.broker, &c.req);
        rig_run(&g);
        ck_assert(broker_stopped(g.broker));
        ck_assert_uint_eq(a.done + b.done + c.done, 3);
        ck_assert_int_eq(a.items[0].status, BROKER_OK);
        ck_assert_int_eq(b.items[0].status, BROKER_OK);
        ck_assert_int_eq(c.items[0].status, BROKER_STOPPING);
        ck_assert_int_eq(c.items[0].high_watermark, -1);
        broker_fetch_release(g.broker, &b.req);
        g.broker = broker_free(g.broker);
        rig_deinit(&g);
    }
}
END_TEST

/* The round writes, its sync fails: what was written was never shown. The n-th call fails, for
 * every n of the round. */
START_TEST(nothing_before_it_is_durable)
{
    unsigned fatal = 0;
    for (uint64_t n = 1; n < 20; n++) {
        struct rig g;
        struct rig_fetch f;
        struct rig_batch b = {0};
        rig_init(&g, n, 0);
        rig_open(&g);
        rig_create(&g, "t", 1, NULL);
        waiting(&f, "t", 0, 60000);
        begin(&g, &f);
        rig_fail(&g, n, false);
        (void)rig_put(&g, "t", 0, &b, NULL);
        fatal += g.fatals;
        if (g.fatals > 0)
            ck_assert(f.done == 0 && f.items[0].bytes.p == NULL && f.items[0].high_watermark == 0);
        else
            broker_fetch_release(g.broker, &f.req);
        rig_deinit(&g);
    }
    ck_assert_uint_gt(fatal, 5);
}
END_TEST

/* --- how much --- */

/* Batches of three records, some 200 bytes each. */
static size_t fill_batches(struct rig *g, const char *topic, int32_t partition, unsigned count)
{
    struct rig_batch b = {.count = 3, .value_size = 30};
    struct buf one CLEANUP(buf_deinit) = {0};
    rig_build(&b, &one);
    for (unsigned i = 0; i < count; i++) {
        b.tag = i * 3;
        ck_assert_int_eq(rig_put(g, topic, partition, &b, NULL), BROKER_OK);
    }
    return one.size;
}

START_TEST(sizes)
{
    struct rig g;
    struct rig_fetch f;
    rig_init(&g, 6, 0);
    rig_open(&g);
    rig_create(&g, "t", 3, NULL);
    size_t size = 0;
    for (int32_t k = 0; k < 3; k++)
        size = fill_batches(&g, "t", k, 5);
    static const struct {
        size_t total, each; /* in tenths of a batch */
        size_t count[3];    /* batches that come */
    } rows[] = {
        {1000, 1000, {5, 5, 5}}, {1000, 25, {2, 2, 2}}, {75, 1000, {5, 2, 0}}, {5, 1000, {1, 0, 0}},
        {0, 0, {1, 0, 0}},       {1000, 5, {1, 0, 0}},  {35, 20, {2, 1, 0}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rig_fetch_init(&f);
        f.req.size_max = rows[i].total * size / 10;
        for (int32_t k = 0; k < 3; k++)
            rig_fetch_add(&f, "t", k, 0);
        for (int32_t k = 0; k < 3; k++)
            f.items[k].size_max = rows[i].each * size / 10;
        rig_fetch_run(&g, &f);
        for (int32_t k = 0; k < 3; k++)
            ck_assert_uint_eq(f.items[k].bytes.size, rows[i].count[k] * size);
        broker_fetch_release(g.broker, &f.req);
        ck_assert_ptr_null(f.items[0].pin);
    }
    rig_deinit(&g);
}
END_TEST

START_TEST(from_inside_a_batch)
{
    struct rig g;
    struct rig_fetch f;
    rig_init(&g, 7, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    size_t size = fill_batches(&g, "t", 0, 4);
    for (int64_t offset = 0; offset < 12; offset++) {
        struct batch_header h;
        rig_fetch_init(&f);
        f.req.size_max = size;
        rig_fetch_add(&f, "t", 0, offset);
        rig_fetch_run(&g, &f);
        ck_assert_uint_eq(f.items[0].bytes.size, size);
        ck_assert_int_eq(batch_check_stored(f.items[0].bytes, 0, &h), BATCH_OK);
        ck_assert_int_eq(h.base_offset, offset / 3 * 3);
        broker_fetch_release(g.broker, &f.req);
        ck_assert_uint_eq(rig_tag_at(&g, "t", 0, offset), (uint64_t)offset);
    }
    rig_deinit(&g);
}
END_TEST

static void expect_status(struct rig *g, const char *topic, int32_t partition, int64_t offset,
                          enum broker_status status, int64_t end)
{
    struct rig_fetch f;
    rig_fetch_init(&f);
    f.req.max_wait_ms = 60000; /* an error does not wait */
    rig_fetch_add(&f, topic, partition, offset);
    rig_fetch_run(g, &f);
    ck_assert_uint_eq(f.done, 1);
    ck_assert_int_eq(f.items[0].status, status);
    ck_assert_int_eq(f.items[0].high_watermark, end);
    ck_assert_ptr_null(f.items[0].bytes.p);
    broker_fetch_release(g->broker, &f.req);
}

START_TEST(errors)
{
    struct rig g;
    static struct broker_fetch_item many[5000];
    struct rig_fetch f;
    rig_init(&g, 8, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    fill_batches(&g, "t", 0, 4);
    expect_status(&g, "none", 0, 0, BROKER_UNKNOWN_TOPIC, -1);
    expect_status(&g, "", 0, 0, BROKER_UNKNOWN_TOPIC, -1);
    expect_status(&g, "t", 1, 0, BROKER_UNKNOWN_PARTITION, -1);
    expect_status(&g, "t", -1, 0, BROKER_UNKNOWN_PARTITION, -1);
    expect_status(&g, "t", 0, 13, BROKER_OFFSET_OUT_OF_RANGE, 12);
    expect_status(&g, "t", 0, -1, BROKER_OFFSET_OUT_OF_RANGE, 12);
    expect_status(&g, "t", 0, INT64_MAX, BROKER_OFFSET_OUT_OF_RANGE, 12);
    ck_assert_int_eq(rig_trim(&g, "t", 0, 7), BROKER_OK);
    expect_status(&g, "t", 0, 6, BROKER_OFFSET_OUT_OF_RANGE, 12);
    ck_assert_uint_eq(rig_tag_at(&g, "t", 0, 7), 7);
    rig_fetch_init(&f);
    f.req.items = many;
    f.req.count = 5000;
    rig_fetch_run(&g, &f);
    ck_assert_int_eq(many[4999].status, BROKER_BAD_REQUEST);
    rig_kill(&g);
    rig_open(&g);
    rig_fetch_init(&f); /* not recovered yet: said at once, and starts it */
    f.req.max_wait_ms = 1000;
    rig_fetch_add(&f, "t", 0, 7);
    broker_fetch(g.broker, &f.req);
    rig_turn(&g);
    ck_assert_uint_eq(f.done, 1);
    ck_assert_int_eq(f.items[0].status, BROKER_LOADING);
    rig_run(&g);
    ck_assert_uint_eq(rig_tag_at(&g, "t", 0, 7), 7);
    rig_deinit(&g);
}
END_TEST

/* Random requests against what must come, with more segments than mappings, and everything cold. */
START_TEST(random_reads)
{
    struct rig g;
    struct random random;
    rig_init(&g, 9, 0);
    g.reader_max = 3;
    random_init(&random, 9);
    rig_open(&g);
    rig_create(&g, "t", 1, "segment.bytes=700");
    fill_batches(&g, "t", 0, 60);
    for (unsigned i = 0; i < 400; i++) {
        struct rig_fetch f;
        int64_t offset = (int64_t)random_below(&random, 180), next = offset / 3 * 3;
        if (i % 50 == 0) {
            rig_reopen(&g, i % 100 == 0);
            rig_end(&g, "t", 0);
        }
        rig_fetch_init(&f);
        f.req.size_max = random_below(&random, 3000);
        rig_fetch_add(&f, "t", 0, offset);
        rig_fetch_run(&g, &f);
        ck_assert_int_eq(f.items[0].status, BROKER_OK);
        struct slice left = f.items[0].bytes;
        ck_assert_uint_gt(left.size, 0);
        size_t first = 0;
        while (left.size > 0) {
            struct batch_header h;
            ck_assert_int_eq(batch_check_stored(left, 0, &h), BATCH_OK);
            ck_assert_int_eq(h.base_offset, next);
            next += 3;
            first = first > 0 ? first : h.size;
            left = slice_of(left.p + h.size, left.size - h.size);
        }
        ck_assert(f.items[0].bytes.size <= f.req.size_max || f.items[0].bytes.size == first);
        broker_fetch_release(g.broker, &f.req);
    }
    rig_deinit(&g);
}
END_TEST

/* --- pins and damage --- */

START_TEST(pins_outlive_the_segment)
{
    struct rig g;
    struct rig_fetch f;
    struct buf copy CLEANUP(buf_deinit) = {0};
    rig_init(&g, 10, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, "segment.bytes=700");
    fill_batches(&g, "t", 0, 20);
    rig_fetch_init(&f);
    rig_fetch_add(&f, "t", 0, 0);
    rig_fetch_run(&g, &f);
    buf_append(&copy, f.items[0].bytes.p, f.items[0].bytes.size);
    ck_assert_uint_gt(copy.size, 0);
    ck_assert_int_eq(rig_trim(&g, "t", 0, -1), BROKER_OK);
    ck_assert_int_eq(rig_start(&g, "t", 0), 60);
    ck_assert(slice_equal(f.items[0].bytes, buf_slice(&copy)));
    fill_batches(&g, "t", 0, 10);
    ck_assert(slice_equal(f.items[0].bytes, buf_slice(&copy)));
    broker_fetch_release(g.broker, &f.req);
    rig_stop(&g);
    rig_deinit(&g);
}
END_TEST

/* A flipped byte below the durable point: an error that says where reading goes on; everything
 * else is there, and nothing is cut. */
START_TEST(damage)
{
    for (uint64_t pos = 3; pos < 650; pos += 41) {
        struct rig g;
        struct rig_fetch f;
        unsigned bad = 0;
        rig_init(&g, pos, 0);
        rig_open(&g);
        rig_create(&g, "t", 1, "segment.bytes=700");
        fill_batches(&g, "t", 0, 12);
        rig_stop(&g);
        ck_assert_int_eq(io_crash_flip(g.disk, "/data/t-0/00000000000000000000.log", pos, pos % 8),
                         0);
        rig_open(&g);
        ck_assert_int_eq(rig_end(&g, "t", 0), 36);
        for (int64_t offset = 0; offset < 36;) {
            struct batch_header h;
            rig_fetch_init(&f);
            rig_fetch_add(&f, "t", 0, offset);
            rig_fetch_run(&g, &f);
            if (f.items[0].status == BROKER_STORAGE) {
                ck_assert_int_gt(f.items[0].next_good, offset);
                ck_assert_int_le(f.items[0].next_good, 36);
                ck_assert_int_eq(f.items[0].next_good % 3, 0);
                bad += (unsigned)(f.items[0].next_good - offset);
                offset = f.items[0].next_good;
            } else {
                ck_assert_int_eq(f.items[0].status, BROKER_OK);
                ck_assert_int_eq(batch_check_stored(f.items[0].bytes, 0, &h), BATCH_OK);
                ck_assert_int_eq(h.base_offset, offset);
                offset = batch_next_offset(&h);
            }
            broker_fetch_release(g.broker, &f.req);
        }
        ck_assert_uint_le(bad, 3);
        ck_assert_int_eq(fill_batches(&g, "t", 0, 1) > 0, 1);
        ck_assert_int_eq(rig_end(&g, "t", 0), 39);
        rig_deinit(&g);
    }
}
END_TEST

/* --- offsets --- */

static int64_t time_of(int64_t i)
{
    return RIG_TIME + (i * 7919 % 50) * 10; /* out of order */
}

START_TEST(offsets_by_time)
{
    struct rig g;
    int64_t offset;
    rig_init(&g, 11, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, "segment.bytes=500");
    ck_assert_int_eq(rig_offset(&g, "t", 0, BROKER_OFFSET_MAX_TIME, &offset), BROKER_OK);
    ck_assert_int_eq(offset, -1);
    for (int64_t i = 0; i < 40; i++) {
        struct rig_batch b = {.timestamp = time_of(i)};
        ck_assert_int_eq(rig_put(&g, "t", 0, &b, NULL), BROKER_OK);
    }
    for (int64_t start = 0; start < 40; start += 13) {
        if (start > 0)
            ck_assert_int_eq(rig_trim(&g, "t", 0, start), BROKER_OK);
        for (int64_t t = RIG_TIME - 5; t < RIG_TIME + 520; t += 5) {
            int64_t want = start;
            while (want < 40 && time_of(want) < t)
                want++;
            ck_assert_int_eq(rig_offset(&g, "t", 0, t, &offset), BROKER_OK);
            ck_assert_int_eq(offset, want < 40 ? want : -1);
        }
        int64_t newest = start;
        for (int64_t i = start; i < 40; i++)
            newest = time_of(i) > time_of(newest) ? i : newest;
        ck_assert_int_eq(rig_offset(&g, "t", 0, BROKER_OFFSET_MAX_TIME, &offset), BROKER_OK);
        ck_assert_int_eq(offset, newest);
        ck_assert_int_eq(rig_offset(&g, "t", 0, BROKER_OFFSET_EARLIEST, &offset), BROKER_OK);
        ck_assert_int_eq(offset, start);
        ck_assert_int_eq(rig_offset(&g, "t", 0, BROKER_OFFSET_LATEST, &offset), BROKER_OK);
        ck_assert_int_eq(offset, 40);
    }
    ck_assert_int_eq(rig_offset(&g, "t", 0, -9, &offset), BROKER_BAD_REQUEST);
    ck_assert_int_eq(rig_offset(&g, "t", 1, -1, &offset), BROKER_UNKNOWN_PARTITION);
    ck_assert_int_eq(rig_offset(&g, "none", 0, -1, &offset), BROKER_UNKNOWN_TOPIC);
    ck_assert_int_eq(offset, -1);
    broker_stop(g.broker);
    ck_assert_int_eq(rig_offset(&g, "t", 0, -1, &offset), BROKER_STOPPING);
    ck_assert_int_eq(offset, -1);
    rig_deinit(&g);
}
END_TEST

static void offsets_done(struct broker_offsets *req)
{
    ++*(unsigned *)req->ctx;
}

/* A stop while a worker looks for a time: recovery points are made beside it; it is answered. */
START_TEST(a_stop_beside_a_query)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct rig g;
        unsigned done = 0;
        struct broker_offset_item item = {.topic = slice_str("t"), .timestamp_ms = RIG_TIME};
        struct broker_offsets req = {
            .items = &item, .count = 1, .done = offsets_done, .ctx = &done};
        rig_init(&g, seed, 0);
        rig_open(&g);
        rig_create(&g, "t", 1, NULL);
        rig_put_tag(&g, "t", 1);
        broker_offsets(g.broker, &req);
        broker_stop(g.broker);
        for (int i = 0; i < 5; i++)
            rig_turn(&g); /* no job ends */
        ck_assert_uint_eq(done, 0);
        ck_assert(!broker_stopped(g.broker));
        rig_run(&g);
        ck_assert(broker_stopped(g.broker));
        ck_assert_uint_eq(done, 1);
        ck_assert_int_eq(item.status, BROKER_OK);
        ck_assert_int_eq(item.offset, 0);
        rig_deinit(&g);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fetch");
    TCase *t = tcase_create("fetch");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, new_records_wake);
    tcase_add_test(t, enough_bytes_wake);
    tcase_add_test(t, time_wakes);
    tcase_add_test(t, cancelled);
    tcase_add_test(t, a_deleted_topic_wakes);
    tcase_add_test(t, a_stop_wakes);
    tcase_add_test(t, nothing_before_it_is_durable);
    tcase_add_test(t, sizes);
    tcase_add_test(t, from_inside_a_batch);
    tcase_add_test(t, errors);
    tcase_add_test(t, random_reads);
    tcase_add_test(t, pins_outlive_the_segment);
    tcase_add_test(t, damage);
    tcase_add_test(t, offsets_by_time);
    tcase_add_test(t, a_stop_beside_a_query);
    suite_add_tcase(s, t);
    return rig_main(s);
}
