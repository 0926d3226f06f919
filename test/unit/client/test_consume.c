/* SPDX-License-Identifier: MIT
 *
 * The consumer against the scripted broker: order, positions, ends, damage.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "engine/base/crc32c.h"
#include "net/client/client_priv.h"
#include "rig.h"

#define FETCH   KAURI__CALL__CALL_FETCH
#define WAIT_MS 5000

/* Stores `count` records in batches of `per_batch`; values are their offsets. */
static void fill(struct rig *r, const char *topic, int32_t partition, int count, int per_batch,
                 enum codec codec, int16_t attributes)
{
    fake_server_lock(r->s);
    struct fake_partition *p = rig_partition(r, topic, partition);
    struct batch_build build;
    batch_build_init(&build);
    for (int i = 0; i < count; i++) {
        char value[16];
        int size = snprintf(value, sizeof value, "%lld", (long long)p->end + i % per_batch);
        batch_build_add(&build, 100 + i, SLICE_NULL, slice_of(value, (size_t)size), NULL, 0);
        if ((i + 1) % per_batch != 0 && i + 1 < count)
            continue;
        struct batch_build_options o = batch_build_plain();
        struct buf out CLEANUP(buf_deinit) = {0};
        int64_t base;
        o.codec = codec;
        batch_build_finish(&build, &o, &out);
        ck_assert_int_eq(fake_log_append(p, buf_slice(&out), &base), KAURI__STATUS__OK);
        if (attributes != 0) { /* a control batch: its own writer is the broker */
            uint8_t *b = p->batches[p->batch_count - 1].bytes;
            bytes_put_be16(b + 21, (uint16_t)(bytes_be16(b + 21) | attributes));
            bytes_put_be32(b + 17, crc32c(b + 21, out.size - 21));
        }
    }
    batch_build_deinit(&build);
    fake_server_unlock(r->s);
}

static void expect(struct rig *r, const char *topic, int32_t partition, int64_t offset)
{
    struct kauri_record got;
    int error = kauri_next(r->k, WAIT_MS, &got);
    ck_assert_msg(error == 0, "error %d at %lld: %s", error, (long long)offset,
                  kauri_message(r->k));
    char value[24];
    int size = snprintf(value, sizeof value, "%lld", (long long)offset);
    ck_assert_str_eq(got.topic, topic);
    ck_assert_int_eq(got.partition, partition);
    ck_assert_int_eq(got.offset, offset);
    ck_assert_uint_eq(got.value_size, (size_t)size);
    ck_assert_mem_eq(got.value, value, (size_t)size);
}

START_TEST(test_order)
{
    struct rig *r = rig_new((struct kauri_options){.fetch_size = 2000, .prefetch_size = 4000});
    fake_server_topic(r->s, "t", 1);
    fill(r, "t", 0, 2000, 7, (enum codec)_i, 0);
    ck_assert_int_eq(kauri_assign(r->k, "t", 0, KAURI_OFFSET_START), 0);
    for (int64_t i = 0; i < 2000; i++)
        expect(r, "t", 0, i);
    struct kauri_record none;
    ck_assert_int_eq(kauri_next(r->k, 0, &none), KAURI_AGAIN);
    rig_free(r);
}
END_TEST

/* The records come while answers are lost and the broker dies. */
START_TEST(test_restarts)
{
    struct rig *r = rig_new((struct kauri_options){.fetch_size = 2000, .prefetch_size = 3000});
    fake_server_topic(r->s, "t", 1);
    fill(r, "t", 0, 1000, 7, CODEC_NONE, 0);
    ck_assert_int_eq(kauri_assign(r->k, "t", 0, 0), 0);
    for (int64_t i = 0; i < 1000; i++) {
        expect(r, "t", 0, i);
        if (i == 300) {
            fake_server_lock(r->s);
            r->s->script.swallow[FETCH] = 1;
            fake_server_unlock(r->s);
        }
        if (i == 600) {
            fake_server_stop(r->s);
            fake_server_start(r->s);
        }
    }
    rig_free(r);
}
END_TEST

START_TEST(test_middle)
{
    struct rig *r = rig_new((struct kauri_options){0});
    fake_server_topic(r->s, "t", 1);
    fill(r, "t", 0, 100, 10, CODEC_LZ4, 0);
    ck_assert_int_eq(kauri_assign(r->k, "t", 0, 37), 0);
    for (int64_t i = 37; i < 50; i++)
        expect(r, "t", 0, i);
    ck_assert_int_eq(kauri_seek(r->k, "t", 0, 12), 0);
    expect(r, "t", 0, 12);
    ck_assert_int_eq(kauri_seek(r->k, "t", 0, 99), 0);
    expect(r, "t", 0, 99);
    ck_assert_int_eq(kauri_seek(r->k, "t", 0, KAURI_OFFSET_START), 0);
    expect(r, "t", 0, 0);
    rig_free(r);
}
END_TEST

START_TEST(test_end)
{
    struct rig *r = rig_new((struct kauri_options){.eof_events = true});
    fake_server_topic(r->s, "t", 1);
    fill(r, "t", 0, 10, 10, CODEC_NONE, 0);
    ck_assert_int_eq(kauri_assign(r->k, "t", 0, KAURI_OFFSET_END), 0);
    struct kauri_record got;
    ck_assert_int_eq(kauri_next(r->k, WAIT_MS, &got), KAURI_END);
    ck_assert_int_eq(got.offset, 10);
    ck_assert_str_eq(got.topic, "t");
    ck_assert_int_eq(kauri_next(r->k, 50, &got), KAURI_AGAIN); /* told once */
    rig_send_many(r, "t", 0, 1);
    rig_settle(r);
    ck_assert_int_eq(kauri_next(r->k, WAIT_MS, &got), 0);
    ck_assert_int_eq(got.offset, 10);
    ck_assert_int_eq(kauri_next(r->k, WAIT_MS, &got), KAURI_END); /* reached again */
    ck_assert_int_eq(got.offset, 11);
    rig_free(r);
}
END_TEST

START_TEST(test_pause)
{
    struct rig *r = rig_new((struct kauri_options){.eof_events = true});
    fake_server_topic(r->s, "t", 2);
    fill(r, "t", 0, 10, 5, CODEC_NONE, 0);
    fill(r, "t", 1, 10, 5, CODEC_NONE, 0);
    ck_assert_int_eq(kauri_assign(r->k, "t", 0, 0), 0);
    ck_assert_int_eq(kauri_assign(r->k, "t", 1, 0), 0);
    ck_assert_int_eq(kauri_pause(r->k, "t", 0, true), 0);
    for (int64_t i = 0; i < 10; i++)
        expect(r, "t", 1, i);
    struct kauri_record got;
    ck_assert_int_eq(kauri_next(r->k, WAIT_MS, &got), KAURI_END);
    ck_assert_int_eq(got.partition, 1);
    ck_assert_int_eq(kauri_next(r->k, 50, &got), KAURI_AGAIN);
    ck_assert_int_eq(kauri_pause(r->k, "t", 0, false), 0);
    expect(r, "t", 0, 0);
    ck_assert_int_eq(kauri_pause(r->k, "t", 0, true), 0); /* with records fetched: they wait */
    ck_assert_int_eq(kauri_next(r->k, 50, &got), KAURI_AGAIN);
    ck_assert_int_eq(kauri_pause(r->k, "t", 0, false), 0);
    for (int64_t i = 1; i < 10; i++)
        expect(r, "t", 0, i);
    rig_free(r);
}
END_TEST

/* A seek in the middle of a long poll takes effect at once. */
START_TEST(test_seek_interrupts)
{
    struct rig *r = rig_new((struct kauri_options){.fetch_wait_ms = 60000, .eof_events = true});
    fake_server_topic(r->s, "t", 1);
    fill(r, "t", 0, 10, 10, CODEC_NONE, 0);
    ck_assert_int_eq(kauri_assign(r->k, "t", 0, 9), 0);
    expect(r, "t", 0, 9);
    struct kauri_record got;
    ck_assert_int_eq(kauri_next(r->k, WAIT_MS, &got), KAURI_END);
    ck_assert_int_eq(kauri_next(r->k, 20, &got), KAURI_AGAIN); /* now it polls */
    ck_assert_int_eq(kauri_seek(r->k, "t", 0, 3), 0);
    expect(r, "t", 0, 3);
    rig_free(r);
}
END_TEST

/* An idle consumer polls, and does not take the silence for a loss. */
START_TEST(test_long_poll)
{
    struct rig *r = rig_new((struct kauri_options){.fetch_wait_ms = 600});
    fake_server_topic(r->s, "t", 1);
    ck_assert_int_eq(kauri_assign(r->k, "t", 0, 0), 0);
    struct kauri_record got;
    ck_assert_int_eq(kauri_next(r->k, 1000, &got), KAURI_AGAIN);
    ck_assert_uint_le(fake_server_calls(r->s, FETCH), 3);
    ck_assert_uint_eq(r->s->resyncs, 0);
    rig_free(r);
}
END_TEST

START_TEST(test_many_partitions)
{
    struct rig *r = rig_new((struct kauri_options){.fetch_size = 500, .prefetch_size = 2000});
    fake_server_topic(r->s, "t", 8);
    int64_t next[8] = {0};
    for (int32_t i = 0; i < 8; i++) {
        fill(r, "t", i, 200, 9, CODEC_NONE, 0);
        ck_assert_int_eq(kauri_assign(r->k, "t", i, KAURI_OFFSET_START), 0);
    }
    int64_t first_done = 0;
    for (int64_t count = 0; count < 1600; count++) {
        struct kauri_record got;
        ck_assert_int_eq(kauri_next(r->k, WAIT_MS, &got), 0);
        ck_assert_int_eq(got.offset, next[got.partition]++);
        if (next[got.partition] == 200 && first_done == 0)
            first_done = count;
    }
    ck_assert_int_gt(first_done, 800); /* nobody was served last only */
    rig_free(r);
}
END_TEST

/* What is fetched ahead stays below the bound. */
START_TEST(test_prefetch)
{
    struct rig *r = rig_new((struct kauri_options){.fetch_size = 1000, .prefetch_size = 3000});
    fake_server_topic(r->s, "t", 8);
    for (int32_t i = 0; i < 8; i++) {
        fill(r, "t", i, 500, 5, CODEC_NONE, 0);
        ck_assert_int_eq(kauri_assign(r->k, "t", i, 0), 0);
    }
    for (int i = 0; i < 20; i++) {
        (void)kauri_poll(r->k, 5);
        ck_assert_uint_le(r->k->consume.held, 3000 + 8 * 1000);
    }
    ck_assert_uint_le(fake_server_calls(r->s, FETCH), 3);
    ck_assert_uint_gt(r->k->consume.held, 0);
    rig_free(r);
}
END_TEST

START_TEST(test_corrupt)
{
    struct rig *r = rig_new((struct kauri_options){0});
    fake_server_topic(r->s, "t", 1);
    fill(r, "t", 0, 20, 10, CODEC_NONE, 0);
    fake_server_lock(r->s);
    r->s->script.corrupt = 1; /* the last byte of the second batch */
    fake_server_unlock(r->s);
    ck_assert_int_eq(kauri_assign(r->k, "t", 0, 0), 0);
    for (int64_t i = 0; i < 10; i++)
        expect(r, "t", 0, i);
    struct kauri_record got;
    ck_assert_int_eq(kauri_next(r->k, WAIT_MS, &got), KAURI_CORRUPT);
    ck_assert_int_eq(got.offset, 10);
    ck_assert_ptr_nonnull(
        strstr(kauri_message(r->k), "topic \"t\" partition 0: bad batch at 10: "));
    ck_assert_int_eq(kauri_next(r->k, 30, &got), KAURI_AGAIN); /* it stays there */
    ck_assert_int_eq(kauri_seek(r->k, "t", 0, 10), 0);
    expect(r, "t", 0, 10); /* it was the way, not the disk */
    rig_free(r);
}
END_TEST

START_TEST(test_damaged)
{
    struct rig *r = rig_new((struct kauri_options){0});
    fake_server_topic(r->s, "t", 1);
    fill(r, "t", 0, 30, 10, CODEC_NONE, 0);
    rig_partition(r, "t", 0)->damaged = 10;
    rig_partition(r, "t", 0)->next_good = 20;
    ck_assert_int_eq(kauri_assign(r->k, "t", 0, 5), 0);
    for (int64_t i = 5; i < 10; i++)
        expect(r, "t", 0, i);
    struct kauri_record got;
    ck_assert_int_eq(kauri_next(r->k, WAIT_MS, &got), KAURI_DAMAGED);
    ck_assert_int_eq(got.offset, 10);
    ck_assert_int_eq(kauri_next_good(r->k), 20);
    ck_assert_int_eq(kauri_seek(r->k, "t", 0, kauri_next_good(r->k)), 0);
    expect(r, "t", 0, 20);
    rig_free(r);
}
END_TEST

START_TEST(test_out_of_range)
{
    struct rig *r = rig_new((struct kauri_options){0});
    fake_server_topic(r->s, "t", 2);
    fill(r, "t", 0, 10, 10, CODEC_NONE, 0);
    fill(r, "t", 1, 10, 10, CODEC_NONE, 0);
    ck_assert_int_eq(kauri_assign(r->k, "t", 0, 11), 0);
    struct kauri_record got;
    ck_assert_int_eq(kauri_next(r->k, WAIT_MS, &got), KAURI_OUT_OF_RANGE);
    ck_assert_int_eq(got.offset, 11);
    ck_assert_str_eq(kauri_message(r->k), "topic \"t\" partition 0: the offset is out of range");
    ck_assert_int_eq(kauri_assign(r->k, "t", 1, 0), 0); /* others go on */
    for (int64_t i = 0; i < 10; i++)
        expect(r, "t", 1, i);
    rig_free(r);
}
END_TEST

START_TEST(test_retriable)
{
    struct rig *r = rig_new((struct kauri_options){0});
    fake_server_topic(r->s, "t", 1);
    fill(r, "t", 0, 10, 10, CODEC_NONE, 0);
    fake_server_lock(r->s);
    r->s->script.refuse_status = KAURI__STATUS__LOADING;
    r->s->script.refuse_calls[FETCH] = 2;
    r->s->script.refuse_calls[KAURI__CALL__CALL_LIST_OFFSETS] = 2;
    fake_server_unlock(r->s);
    ck_assert_int_eq(kauri_assign(r->k, "t", 0, KAURI_OFFSET_START), 0);
    for (int64_t i = 0; i < 10; i++)
        expect(r, "t", 0, i);
    ck_assert_uint_ge(fake_server_calls(r->s, FETCH), 3);
    rig_free(r);
}
END_TEST

START_TEST(test_control)
{
    struct rig *r = rig_new((struct kauri_options){.eof_events = true});
    fake_server_topic(r->s, "t", 1);
    fill(r, "t", 0, 3, 3, CODEC_NONE, 0);
    fill(r, "t", 0, 2, 1, CODEC_NONE, BATCH_ATTR_CONTROL | BATCH_ATTR_TXN);
    fill(r, "t", 0, 2, 2, CODEC_NONE, 0);
    fill(r, "t", 0, 1, 1, CODEC_NONE, BATCH_ATTR_CONTROL | BATCH_ATTR_TXN);
    ck_assert_int_eq(kauri_assign(r->k, "t", 0, 0), 0);
    for (int64_t i = 0; i < 7; i++)
        if (i < 3 || i > 4)
            expect(r, "t", 0, i);
    struct kauri_record got;
    ck_assert_int_eq(kauri_next(r->k, WAIT_MS, &got), KAURI_END);
    ck_assert_int_eq(got.offset, 8);
    rig_free(r);
}
END_TEST

START_TEST(test_contents)
{
    struct rig *r = rig_new((struct kauri_options){0});
    fake_server_topic(r->s, "t", 1);
    const struct kauri_header headers[] = {{"a", 1, NULL, 0}, {"bb", 2, "", 0}, {"a", 1, "v", 1}};
    struct kauri_record record = {
        .topic = "t", .timestamp_ms = 77, .key = "", .headers = headers, .header_count = 3};
    r->sent = 1;
    ck_assert_int_eq(kauri_send(r->k, &record), 0);
    rig_settle(r);
    ck_assert_int_eq(kauri_assign(r->k, "t", 0, 0), 0);
    struct kauri_record got;
    ck_assert_int_eq(kauri_next(r->k, WAIT_MS, &got), 0);
    ck_assert_int_eq(got.timestamp_ms, 77);
    ck_assert(got.key != NULL && got.key_size == 0);
    ck_assert_ptr_null(got.value);
    ck_assert_uint_eq(got.header_count, 3);
    ck_assert_ptr_null(got.headers[0].value);
    ck_assert(got.headers[1].value != NULL && got.headers[1].value_size == 0);
    ck_assert_mem_eq(got.headers[1].name, "bb", 2);
    ck_assert_mem_eq(got.headers[2].value, "v", 1);
    rig_free(r);
}
END_TEST

START_TEST(test_assignments)
{
    struct rig *r = rig_new((struct kauri_options){0});
    fake_server_topic(r->s, "t", 1);
    fill(r, "t", 0, 10, 10, CODEC_NONE, 0);
    ck_assert_int_eq(kauri_assign(r->k, "none", 0, 0), KAURI_UNKNOWN_TOPIC);
    ck_assert_int_eq(kauri_assign(r->k, "t", 1, 0), KAURI_UNKNOWN_PARTITION);
    ck_assert_int_eq(kauri_assign(r->k, "t", 0, -3), KAURI_BAD_ARGUMENT);
    ck_assert_int_eq(kauri_seek(r->k, "t", 0, 0), KAURI_UNKNOWN_PARTITION);
    ck_assert_str_eq(kauri_message(r->k), "topic \"t\" partition 0 is not assigned");
    ck_assert_int_eq(kauri_assign(r->k, "t", 0, 0), 0);
    ck_assert_int_eq(kauri_assign(r->k, "t", 0, 0), KAURI_EXISTS);
    expect(r, "t", 0, 0);
    ck_assert_int_eq(kauri_unassign(r->k, "t", 0), 0);
    ck_assert_int_eq(kauri_unassign(r->k, "t", 0), KAURI_UNKNOWN_PARTITION);
    struct kauri_record got;
    ck_assert_int_eq(kauri_next(r->k, 20, &got), KAURI_AGAIN);
    ck_assert_uint_eq(r->k->consume.held, 0);
    ck_assert_int_eq(kauri_assign(r->k, "t", 0, 4), 0);
    expect(r, "t", 0, 4);
    rig_free(r);
}
END_TEST

/* An idle partition, polled for long, does not hold up a busy one; nor, once that is idle too, what
 * comes next. */
START_TEST(test_idle_neighbour)
{
    struct rig *r = rig_new((struct kauri_options){.fetch_size = 500, .fetch_wait_ms = 60000});
    fake_server_topic(r->s, "t", 2);
    fill(r, "t", 0, 5000, 50, CODEC_NONE, 0);
    ck_assert_int_eq(kauri_assign(r->k, "t", 0, 0), 0);
    ck_assert_int_eq(kauri_assign(r->k, "t", 1, 0), 0);
    for (int64_t i = 0; i < 5000; i++)
        expect(r, "t", 0, i);
    struct kauri_record got;
    ck_assert_int_eq(kauri_next(r->k, 20, &got), KAURI_AGAIN); /* both are polled now */
    rig_send_many(r, "t", 1, 1);
    rig_settle(r);
    ck_assert_int_eq(kauri_next(r->k, WAIT_MS, &got), 0);
    ck_assert_int_eq(got.partition, 1);
    rig_send_many(r, "t", 0, 1);
    rig_settle(r);
    ck_assert_int_eq(kauri_next(r->k, WAIT_MS, &got), 0);
    ck_assert_int_eq(got.offset, 5000);
    rig_free(r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("consume");
    TCase *tc = tcase_create("consume");
    const TTest *const tests[] = {test_restarts,        test_middle,          test_end,
                                  test_pause,           test_seek_interrupts, test_long_poll,
                                  test_many_partitions, test_prefetch,        test_corrupt,
                                  test_damaged,         test_out_of_range,    test_retriable,
                                  test_control,         test_contents,        test_assignments,
                                  test_idle_neighbour};
    tcase_set_timeout(tc, 20);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        tcase_add_test(tc, tests[i]);
    tcase_add_loop_test(tc, test_order, 0, CODEC_COUNT);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
