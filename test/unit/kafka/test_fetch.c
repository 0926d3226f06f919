/* SPDX-License-Identifier: MIT
 *
 * test_fetch: Fetch without sessions: every version, waiting, errors, bounds, deletion, damage.
 * Every answer is decoded by the tables and compared with what they would have sent.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "engine/store/batch.h"
#include "net/kafka/kafka_errmap.h"
#include "test/unit/kafka/fetch_rig.h"

#define VERSION_MIN 4
#define VERSION_END 18

static const struct kp_fetch_response_partition *found(const struct fetch_client *c,
                                                       const struct fetch_want *w)
{
    const struct kp_fetch_response_partition *p = fetch_client_find(c, w);
    ck_assert_msg(p != NULL, "%s-%d is not in the answer", w->topic, w->partition);
    return p;
}

/* An error says nothing else. */
static void found_error(const struct fetch_client *c, const struct fetch_want *w, int16_t error)
{
    const struct kp_fetch_response_partition *p = found(c, w);
    ck_assert_int_eq(p->error, error);
    ck_assert_int_eq(p->high_watermark, -1);
    ck_assert_int_eq(p->last_stable_offset, -1);
    ck_assert_int_eq(p->log_start_offset, -1);
    ck_assert_ptr_nonnull(p->records.p);
    ck_assert_uint_eq(p->records.size, 0);
}

/* Records up to the end of the partition. */
static void found_to(const struct fetch_client *c, const struct fetch_want *w, int64_t end)
{
    const struct kp_fetch_response_partition *p = found(c, w);
    ck_assert_int_eq(p->error, 0);
    ck_assert_int_eq(p->high_watermark, end);
    ck_assert_int_eq(fetch_client_read(p->records, w->offset), end);
}

static int16_t unknown_error(int16_t version)
{
    return version >= 13 ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

static void one_record(struct fetch_rig *r, const char *topic, int32_t partition)
{
    struct rig_batch b = {.tag = 1};
    ck_assert_int_eq(rig_put(&r->g, topic, partition, &b, NULL), BROKER_OK);
}

/* --- what is in an answer --- */

START_TEST(every_version)
{
    struct fetch_rig r;
    struct fetch_client c;
    int16_t v = (int16_t)_i;
    struct fetch_want w[] = {{.topic = "t"}, {.topic = "t", .partition = 1}, {.topic = "u"}};
    struct fetch_query q = {.version = v, .session_epoch = -1, .wants = w, .count = 3};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", 2, NULL);
    rig_create(&r.g, "u", 1, NULL);
    for (uint64_t i = 0; i < 3; i++)
        rig_put_tag(&r.g, "t", i);
    rig_put_tag(&r.g, "u", 9);
    for (int committed = 0; committed < 2; committed++) {
        q.committed = committed == 1;
        fetch_client_ask(&c, &q);
        ck_assert_int_eq(c.answer.error, 0);
        ck_assert_int_eq(c.answer.session_id, 0);
        ck_assert_int_eq(c.answer.throttle_time_ms, 0);
        ck_assert_int_eq(c.answer.topics.count, 2);
        ck_assert_uint_eq(fetch_client_count(&c), 3);
        found_to(&c, &w[0], 3);
        found_to(&c, &w[1], 0);
        found_to(&c, &w[2], 1);
        const struct kp_fetch_response_partition *p = found(&c, &w[0]);
        ck_assert_int_eq(p->last_stable_offset, 3);
        ck_assert_int_eq(p->log_start_offset, v >= 5 ? 0 : -1);
        ck_assert_int_eq(p->preferred_replica, -1);
        ck_assert_int_eq(p->aborted.count, committed == 1 ? 0 : -1);
    }
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

START_TEST(batches_are_whole_and_hold_the_offset)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct batch_header h;
    struct rig_batch b = {.count = 10, .value_size = 1000};
    struct fetch_want w = {.topic = "t", .offset = 13, .max_bytes = 1};
    struct fetch_query q = {
        .version = 11, .session_epoch = -1, .max_bytes = 1, .wants = &w, .count = 1};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", 1, NULL);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(rig_put(&r.g, "t", 0, &b, NULL), BROKER_OK);
    fetch_client_ask(&c, &q);
    struct slice records = found(&c, &w)->records;
    ck_assert_int_eq(batch_check_stored(records, 0, &h), BATCH_OK);
    ck_assert_int_eq(h.base_offset, 10);
    ck_assert_uint_eq(h.size, records.size); /* the first batch, whole, and no other */
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

/* More than the socket takes at once, from several partitions. */
START_TEST(large_answers)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct rig_batch b = {.value_size = 500000};
    struct fetch_want w[6];
    struct fetch_query q = {
        .version = (int16_t)_i, .session_epoch = -1, .wants = w, .count = 6, .min_bytes = 1};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", 6, NULL);
    for (int32_t i = 0; i < 6; i++) {
        w[i] = (struct fetch_want){.topic = "t", .partition = i, .max_bytes = 4 << 20};
        for (int k = 0; k < 4 && i != 3; k++)
            ck_assert_int_eq(rig_put(&r.g, "t", i, &b, NULL), BROKER_OK);
    }
    fetch_client_ask(&c, &q);
    for (int32_t i = 0; i < 6; i++)
        found_to(&c, &w[i], i == 3 ? 0 : 4);
    q.max_bytes = 1100000; /* two batches, then nothing has room */
    fetch_client_ask(&c, &q);
    ck_assert_int_eq(fetch_client_read(found(&c, &w[0])->records, 0), 2);
    for (int32_t i = 1; i < 6; i++)
        ck_assert_uint_eq(found(&c, &w[i])->records.size, 0);
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

/* --- waiting --- */

START_TEST(a_record_wakes)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct fetch_want w[] = {{.topic = "t", .partition = 1}, {.topic = "t"}};
    struct fetch_query q = {.version = (int16_t)_i,
                            .session_epoch = -1,
                            .max_wait_ms = 5000,
                            .min_bytes = 1,
                            .wants = w,
                            .count = 2};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", 2, NULL);
    for (int64_t i = 0; i < 3; i++) {
        w[1].offset = i;
        fetch_client_send(&c, &q);
        ck_assert(!fetch_client_poll(&c));
        fetch_rig_advance(&r, 4900);
        ck_assert(!fetch_client_poll(&c));
        rig_put_tag(&r.g, "t", 1);
        fetch_client_take(&c);
        found_to(&c, &w[1], i + 1);
    }
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

START_TEST(time_and_size_end_a_wait)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct fetch_want w = {.topic = "t"};
    struct fetch_query q = {.version = 12,
                            .session_epoch = -1,
                            .max_wait_ms = 500,
                            .min_bytes = 150,
                            .wants = &w,
                            .count = 1};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", 1, NULL);
    fetch_client_send(&c, &q);
    ck_assert(!fetch_client_poll(&c));
    one_record(&r, "t", 0); /* not enough */
    ck_assert(!fetch_client_poll(&c));
    fetch_rig_advance(&r, 500);
    fetch_client_take(&c);
    found_to(&c, &w, 1); /* but better than nothing */

    q.max_wait_ms = 60000;
    fetch_client_send(&c, &q);
    ck_assert(!fetch_client_poll(&c));
    one_record(&r, "t", 0);
    fetch_client_take(&c);
    found_to(&c, &w, 2);

    q.max_wait_ms = 0;
    w.offset = 2;
    fetch_client_ask(&c, &q);
    found_to(&c, &w, 2);
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

START_TEST(others_do_not_wait)
{
    struct fetch_rig r;
    struct fetch_client c, d;
    struct fetch_want w = {.topic = "t"};
    struct fetch_query q = {.version = 11,
                            .session_epoch = -1,
                            .max_wait_ms = 60000,
                            .min_bytes = 1,
                            .wants = &w,
                            .count = 1};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    fetch_client_open(&d, &r);
    rig_create(&r.g, "t", 1, NULL);
    fetch_client_send(&c, &q);
    ck_assert(!fetch_client_poll(&c));
    q.max_wait_ms = 0;
    fetch_client_ask(&d, &q);
    found_to(&d, &w, 0);
    ck_assert(!fetch_client_poll(&c));
    fetch_client_close(&d);
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

START_TEST(nothing_wanted_is_answered_at_once)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct fetch_query q = {
        .version = (int16_t)_i, .session_epoch = -1, .max_wait_ms = 60000, .min_bytes = 1};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    fetch_client_ask(&c, &q);
    ck_assert_int_eq(c.answer.error, 0);
    ck_assert_int_eq(c.answer.topics.count, 0);
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

START_TEST(a_client_that_goes_waits_no_more)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct kafka_stats s;
    struct fetch_want w = {.topic = "t"};
    struct fetch_query q = {
        .version = 13, .max_wait_ms = 60000, .min_bytes = 1, .wants = &w, .count = 1};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", 1, NULL);
    fetch_client_send(&c, &q);
    ck_assert(!fetch_client_poll(&c));
    kafka_stats(r.k, &s);
    ck_assert_uint_eq(s.running, 1);
    fetch_client_close(&c);
    for (int i = 0; i < FETCH_RIG_TURNS && s.running > 0; i++) {
        fetch_rig_turn(&r);
        kafka_stats(r.k, &s);
    }
    ck_assert_uint_eq(s.running, 0);
    ck_assert_uint_eq(s.sessions, 0); /* nobody to tell it to */
    fetch_rig_close(&r);
}
END_TEST

START_TEST(a_stop_answers_those_who_wait)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct fetch_want w = {.topic = "t"};
    struct fetch_query q = {
        .version = 13, .max_wait_ms = 60000, .min_bytes = 1, .wants = &w, .count = 1};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", 1, NULL);
    fetch_client_send(&c, &q);
    ck_assert(!fetch_client_poll(&c));
    kafka_stop(r.k);
    fetch_client_take(&c);
    found_to(&c, &w, 0);
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

/* --- errors --- */

START_TEST(errors_are_answered_at_once)
{
    struct fetch_rig r;
    struct fetch_client c;
    int16_t v = (int16_t)_i;
    struct fetch_want w[] = {{.topic = "t", .offset = 1},    {.topic = "none"},
                             {.topic = "t", .partition = 1}, {.topic = "t", .partition = -1},
                             {.topic = "u", .offset = 3},    {.topic = "v", .offset = 0}};
    struct fetch_query q = {.version = v,
                            .session_epoch = -1,
                            .max_wait_ms = 60000,
                            .min_bytes = 100000,
                            .wants = w,
                            .count = 6};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", 1, NULL);
    rig_create(&r.g, "u", 1, NULL);
    rig_create(&r.g, "v", 1, NULL);
    for (int i = 0; i < 2; i++) {
        one_record(&r, "t", 0);
        one_record(&r, "u", 0);
        one_record(&r, "v", 0);
    }
    ck_assert_int_eq(rig_trim(&r.g, "v", 0, 1), BROKER_OK);
    fetch_client_ask(&c, &q);
    ck_assert_uint_eq(fetch_client_count(&c), 6);
    found_to(&c, &w[0], 2);
    found_error(&c, &w[1], unknown_error(v));
    found_error(&c, &w[2], KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    found_error(&c, &w[3], KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    found_error(&c, &w[4], KAFKA_OFFSET_OUT_OF_RANGE);
    found_error(&c, &w[5], KAFKA_OFFSET_OUT_OF_RANGE);
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

/* Errors that the front finds itself, beside a partition that would wait. */
START_TEST(one_error_is_enough)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct fetch_want w[] = {{.topic = "t"}, {.topic = "t", .partition = 1, .epoch = 1000}};
    struct fetch_want x[] = {{.topic = "t"}, {.topic = "none"}};
    struct fetch_query q = {.version = 13,
                            .session_epoch = -1,
                            .max_wait_ms = 60000,
                            .min_bytes = 1,
                            .wants = w,
                            .count = 2};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", 2, NULL);
    fetch_client_ask(&c, &q);
    found_to(&c, &w[0], 0);
    found_error(&c, &w[1], KAFKA_UNKNOWN_LEADER_EPOCH);
    q.wants = x;
    fetch_client_ask(&c, &q);
    found_to(&c, &x[0], 0);
    found_error(&c, &x[1], KAFKA_UNKNOWN_TOPIC_ID);
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

START_TEST(leader_epochs)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct broker_partition_info info;
    int16_t v = (int16_t)_i;
    struct fetch_want w = {.topic = "t"};
    struct fetch_query q = {.version = v,
                            .session_epoch = -1,
                            .max_wait_ms = 60000,
                            .min_bytes = 1,
                            .wants = &w,
                            .count = 1};
    fetch_rig_open(&r, 1);
    rig_create(&r.g, "t", 1, NULL);
    one_record(&r, "t", 0);
    fetch_rig_stop(&r);
    rig_reopen(&r.g, true); /* another epoch */
    fetch_rig_start(&r);
    fetch_client_open(&c, &r);
    rig_load(&r.g, "t", 0, &info);
    for (int32_t epoch = -1; epoch <= info.epoch + 1; epoch++) {
        w.epoch = epoch + 1;
        fetch_client_ask(&c, &q);
        if (v < 9 || epoch == -1 || epoch == info.epoch)
            found_to(&c, &w, 1);
        else
            found_error(&c, &w,
                        epoch < info.epoch ? KAFKA_FENCED_LEADER_EPOCH
                                           : KAFKA_UNKNOWN_LEADER_EPOCH);
    }
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

/* After a start a partition is recovered at first use: that passes by itself. */
START_TEST(loading_is_a_leader_to_be_asked_again)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct fetch_want w = {.topic = "t"};
    struct fetch_query q = {.version = 12,
                            .session_epoch = -1,
                            .max_wait_ms = 60000,
                            .min_bytes = 1,
                            .wants = &w,
                            .count = 1};
    unsigned again = 0;
    fetch_rig_open(&r, 1);
    rig_create(&r.g, "t", 1, NULL);
    one_record(&r, "t", 0);
    fetch_rig_stop(&r);
    rig_kill(&r.g);
    rig_open(&r.g);
    fetch_rig_start(&r);
    fetch_client_open(&c, &r);
    fetch_client_ask(&c, &q);
    while (found(&c, &w)->error != 0 && again++ < 10) {
        found_error(&c, &w, KAFKA_NOT_LEADER_OR_FOLLOWER);
        fetch_client_ask(&c, &q);
    }
    ck_assert_uint_gt(again, 0);
    found_to(&c, &w, 1);
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

static void put_codec(struct fetch_rig *r, enum codec codec)
{
    struct rig_produce *p = rig_produce_new(-1);
    struct rig_batch b = {.tag = 1};
    struct batch_build build;
    struct batch_build_options o = batch_build_plain();
    o.codec = codec;
    rig_produce_add(p, "t", 0, &b);
    buf_reset(&p->batches[0]);
    batch_build_init(&build);
    batch_build_add(&build, RIG_TIME, SLICE_NULL, slice_str("12345678"), NULL, 0);
    batch_build_finish(&build, &o, &p->batches[0]);
    batch_build_deinit(&build);
    p->items[0].batch = p->batches[0].p;
    p->items[0].size = p->batches[0].size;
    rig_produce_start(&r->g, p);
    rig_run(&r->g);
    ck_assert_uint_eq(p->done, 1);
    ck_assert_int_eq(p->items[0].status, BROKER_OK);
    rig_produce_free(p);
}

/* Whatever codec a batch is in, every version gets it: who does not know it says so itself. */
START_TEST(codecs_are_not_looked_at)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct fetch_want w = {.topic = "t"};
    struct fetch_query q = {.version = (int16_t)_i, .session_epoch = -1, .wants = &w, .count = 1};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", 1, NULL);
    put_codec(&r, CODEC_NONE);
    put_codec(&r, CODEC_GZIP);
    put_codec(&r, CODEC_ZSTD);
    put_codec(&r, CODEC_LZ4);
    fetch_client_ask(&c, &q);
    found_to(&c, &w, 4);
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

/* A topic that goes while its reader waits, and one of the same name that comes. */
START_TEST(deletion_and_a_new_topic_of_the_name)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct broker_topic_info old;
    int16_t v = (int16_t)_i;
    struct fetch_want w = {.topic = "t"}, by_old = {.topic = "t", .id = old.id};
    struct fetch_query q = {.version = v,
                            .session_epoch = -1,
                            .max_wait_ms = 60000,
                            .min_bytes = 1,
                            .wants = &by_old,
                            .count = 1};
    fetch_rig_open(&r, 1);
    fetch_client_open(&c, &r);
    rig_create(&r.g, "t", 1, NULL);
    ck_assert_int_eq(broker_topic(r.g.broker, slice_str("t"), &old), 0);
    fetch_client_send(&c, &q);
    ck_assert(!fetch_client_poll(&c));
    ck_assert_int_eq(rig_delete(&r.g, "t"), BROKER_OK);
    fetch_client_take(&c);
    found_error(&c, &by_old, unknown_error(v));

    rig_create(&r.g, "t", 1, NULL);
    one_record(&r, "t", 0);
    fetch_client_ask(&c, &q); /* by the old id, or by name */
    if (v >= 13)
        found_error(&c, &by_old, KAFKA_UNKNOWN_TOPIC_ID);
    else
        found_to(&c, &by_old, 1);
    q.wants = &w;
    fetch_client_ask(&c, &q);
    found_to(&c, &w, 1);
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

START_TEST(damage_is_told_and_logged_once)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct rig_batch b = {.count = 3};
    struct fetch_want w = {.topic = "t"};
    struct fetch_query q = {.version = 13,
                            .session_epoch = -1,
                            .max_wait_ms = 60000,
                            .min_bytes = 1,
                            .wants = &w,
                            .count = 1};
    fetch_rig_open(&r, 1);
    rig_create(&r.g, "t", 1, "segment.bytes=700");
    for (int i = 0; i < 12; i++)
        ck_assert_int_eq(rig_put(&r.g, "t", 0, &b, NULL), BROKER_OK);
    fetch_rig_stop(&r);
    rig_stop(&r.g);
    ck_assert_int_eq(io_crash_flip(r.g.disk, "/data/t-0/00000000000000000000.log", 30, 3), 0);
    rig_open(&r.g);
    ck_assert_int_eq(rig_end(&r.g, "t", 0), 36);
    fetch_rig_start(&r);
    fetch_client_open(&c, &r);
    for (int i = 0; i < 3; i++) {
        fetch_client_ask(&c, &q);
        found_error(&c, &w, KAFKA_STORAGE_ERROR);
    }
    ck_assert_uint_eq(r.damages, 1);
    ck_assert_ptr_nonnull(strstr(r.line, "\"t\"-0"));
    ck_assert_ptr_nonnull(strstr(r.line, "at offset 3"));
    w.offset = 3;
    fetch_client_ask(&c, &q);
    ck_assert_int_eq(found(&c, &w)->error, 0);
    ck_assert_int_gt(fetch_client_read(found(&c, &w)->records, 3), 3);
    fetch_client_close(&c);
    fetch_rig_close(&r);
}
END_TEST

/* Bodies cut short, at every byte: the connection ends, nothing else does. */
START_TEST(what_does_not_decode_ends_the_connection)
{
    struct fetch_rig r;
    struct fetch_client c;
    struct kafka_stats s;
    struct buf frame CLEANUP(buf_deinit) = {0};
    struct kp_kind kind = {KP_API_FETCH, KP_REQUEST, (int16_t)_i};
    struct kp_fetch_request_partition p = KP_FETCH_REQUEST_PARTITION_INIT;
    struct kp_fetch_request_topic t = {
        .name = slice_str("t"), .partitions.v = &p, .partitions.count = 1};
    struct kp_fetch_request m = KP_FETCH_REQUEST_INIT;
    struct kp_request_header h = KP_REQUEST_HEADER_INIT;
    uint64_t bad = 0;
    m.topics.v = &t;
    m.topics.count = 1;
    ck_assert_int_eq(kp_encode_request(kind, &h, &m, &frame), 0);
    fetch_rig_open(&r, 1);
    for (size_t size = frame.size - 1; size > 20; size -= 3) {
        uint8_t head[4];
        bytes_put_be32(head, (uint32_t)size - 4);
        fetch_client_open(&c, &r);
        fetch_client_send_bytes(&c, slice_of(head, 4));
        fetch_client_send_bytes(&c, slice_of(frame.p + 4, size - 4));
        fetch_client_ended(&c);
        fetch_client_close(&c);
        bad++;
    }
    kafka_stats(r.k, &s);
    ck_assert_uint_eq(s.refused, bad);
    ck_assert_uint_gt(bad, 5);
    fetch_rig_close(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fetch");
    TCase *t = tcase_create("fetch");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, every_version, VERSION_MIN, VERSION_END);
    tcase_add_test(t, batches_are_whole_and_hold_the_offset);
    tcase_add_loop_test(t, large_answers, 11, 14);
    tcase_add_loop_test(t, a_record_wakes, VERSION_MIN, VERSION_END);
    tcase_add_test(t, time_and_size_end_a_wait);
    tcase_add_test(t, others_do_not_wait);
    tcase_add_loop_test(t, nothing_wanted_is_answered_at_once, VERSION_MIN, VERSION_END);
    tcase_add_test(t, a_client_that_goes_waits_no_more);
    tcase_add_test(t, a_stop_answers_those_who_wait);
    tcase_add_loop_test(t, errors_are_answered_at_once, VERSION_MIN, VERSION_END);
    tcase_add_test(t, one_error_is_enough);
    tcase_add_loop_test(t, leader_epochs, VERSION_MIN, VERSION_END);
    tcase_add_test(t, loading_is_a_leader_to_be_asked_again);
    tcase_add_loop_test(t, codecs_are_not_looked_at, VERSION_MIN, VERSION_END);
    tcase_add_loop_test(t, deletion_and_a_new_topic_of_the_name, VERSION_MIN, VERSION_END);
    tcase_add_test(t, damage_is_told_and_logged_once);
    tcase_add_loop_test(t, what_does_not_decode_ends_the_connection, VERSION_MIN, VERSION_END);
    suite_add_tcase(s, t);
    return rig_main(s);
}
