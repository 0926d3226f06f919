/* SPDX-License-Identifier: MIT
 *
 * test_kafka_hot: the hand-written Produce and Fetch: cursors that are left half way, empty topics,
 * requests that end badly, cuts of the answer, and random answers held against the tables. The
 * random requests are those of test_kafka_naive.
 */
#include <check.h>
#include <stdlib.h>

#include "engine/base/random.h"
#include "kafka_lines.h"
#include "kafka_twin.h"
#include "proto/kafka/kp_fetch.h"
#include "proto/kafka/kp_produce.h"

static struct buf bytes;

static void teardown(void)
{
    buf_deinit(&bytes);
}

/* no transaction, acks all, 1 s; topics "a" {0: xyz, 1: null}, "b" {}, "c" {5: empty} */
static const char produce_v3[] = "ffff"
                                 "ffff"
                                 "000003e8"
                                 "00000003"
                                 "000161"
                                 "00000002"
                                 "00000000"
                                 "00000003"
                                 "78797a"
                                 "00000001"
                                 "ffffffff"
                                 "000162"
                                 "00000000"
                                 "000163"
                                 "00000001"
                                 "00000005"
                                 "00000000";
/* the same in version 9, with an unknown tag in a partition and in a topic */
static const char produce_v9[] = "00"
                                 "ffff"
                                 "000003e8"
                                 "04"
                                 "0261"
                                 "03"
                                 "00000000"
                                 "04"
                                 "78797a"
                                 "010702abcd"
                                 "00000001"
                                 "00"
                                 "00"
                                 "010700"
                                 "0262"
                                 "01"
                                 "00"
                                 "0263"
                                 "02"
                                 "00000005"
                                 "01"
                                 "00"
                                 "00"
                                 "00";

static void open_produce(int16_t version, struct kp_produce *r)
{
    buf_reset(&bytes);
    kafka_unhex(version < 9 ? produce_v3 : produce_v9, &bytes);
    ck_assert_int_eq(kp_produce_open(version, buf_slice(&bytes), r), 0);
    ck_assert(r->transactional_id.p == NULL && r->acks == -1 && r->timeout_ms == 1000);
    ck_assert(r->topic_count == 3 && r->partition_count == 3);
}

START_TEST(test_produce_walk)
{
    static const int16_t versions[] = {3, 9};
    for (int i = 0; i < 2; i++) {
        struct kp_produce r;
        struct kp_produce_topic t;
        struct kp_produce_partition p;
        open_produce(versions[i], &r);
        ck_assert(!kp_produce_next_partition(&r, &p)); /* no topic yet */
        ck_assert(kp_produce_next_topic(&r, &t));
        ck_assert(slice_equal(t.name, slice_str("a")) && t.partition_count == 2);
        ck_assert(kp_produce_next_partition(&r, &p));
        ck_assert(p.index == 0 && slice_equal(p.records, slice_str("xyz")));
        ck_assert(p.records.p > bytes.p && p.records.p < bytes.p + bytes.size);
        ck_assert(kp_produce_next_partition(&r, &p));
        ck_assert(p.index == 1 && p.records.p == NULL);
        ck_assert(!kp_produce_next_partition(&r, &p));
        ck_assert(kp_produce_next_topic(&r, &t));
        ck_assert(slice_equal(t.name, slice_str("b")) && t.partition_count == 0);
        ck_assert(!kp_produce_next_partition(&r, &p));
        ck_assert(kp_produce_next_topic(&r, &t));
        ck_assert(kp_produce_next_partition(&r, &p));
        ck_assert(p.index == 5 && p.records.p != NULL && p.records.size == 0);
        ck_assert(!kp_produce_next_topic(&r, &t));
        ck_assert(!kp_produce_next_topic(&r, &t));
    }
}
END_TEST

START_TEST(test_produce_passes_over_partitions)
{
    static const int16_t versions[] = {3, 9};
    for (int i = 0; i < 2; i++) {
        struct kp_produce r;
        struct kp_produce_topic t;
        open_produce(versions[i], &r);
        ck_assert(kp_produce_next_topic(&r, &t) && kp_produce_next_topic(&r, &t));
        ck_assert(kp_produce_next_topic(&r, &t));
        ck_assert(slice_equal(t.name, slice_str("c")));
        ck_assert(!kp_produce_next_topic(&r, &t));
    }
}
END_TEST

/* What is wrong in the last partition is told before the first is handed out. */
START_TEST(test_produce_is_all_or_nothing)
{
    struct kp_produce r;
    memset(&r, 0x5a, sizeof r);
    kafka_unhex(produce_v3, &bytes);
    ck_assert_int_eq(kp_produce_open(3, slice_of(bytes.p, bytes.size - 1), &r), KP_BAD_COUNT);
    bytes.p[bytes.size - 1] = 1;
    ck_assert_int_eq(kp_produce_open(3, buf_slice(&bytes), &r), KP_SHORT);
    bytes_put_be32(bytes.p + bytes.size - 4, (uint32_t)-2);
    ck_assert_int_eq(kp_produce_open(3, buf_slice(&bytes), &r), KP_BAD_SIZE);
    ck_assert_int_eq(r.topic_count, 0x5a5a5a5a);
    buf_reset(&bytes);
    kafka_unhex("00ffff000003e8ffffffff0f", &bytes);
    ck_assert_int_eq(kp_produce_open(9, buf_slice(&bytes), &r), KP_BAD_COUNT);
    buf_reset(&bytes);
    kafka_unhex("00ffff000003e800", &bytes);
    ck_assert_int_eq(kp_produce_open(9, buf_slice(&bytes), &r), KP_BAD_NULL);
    ck_assert_int_eq(kp_produce_open(9, SLICE_NULL, &r), KP_SHORT);
}
END_TEST

/* wait 500 ms, session 7 epoch 2, topic "a" {3}, forgotten "b" {1, 2}, rack "r" */
static const char fetch_v11[] = "ffffffff"
                                "000001f4"
                                "00000001"
                                "00001000"
                                "01"
                                "00000007"
                                "00000002"
                                "00000001"
                                "000161"
                                "00000001"
                                "00000003"
                                "00000004"
                                "0000000000000009"
                                "0000000000000005"
                                "00000100"
                                "00000001"
                                "000162"
                                "00000002"
                                "00000001"
                                "00000002"
                                "000172";

START_TEST(test_fetch_walk)
{
    struct kp_fetch r;
    struct kp_fetch_topic t;
    struct kp_fetch_request_partition p;
    struct kp_fetch_forgotten f;
    kafka_unhex(fetch_v11, &bytes);
    ck_assert_int_eq(kp_fetch_open(11, buf_slice(&bytes), &r), 0);
    ck_assert(r.replica_id == -1 && r.max_wait_ms == 500 && r.min_bytes == 1);
    ck_assert(r.max_bytes == 4096 && r.isolation_level == 1);
    ck_assert(r.session_id == 7 && r.session_epoch == 2);
    ck_assert(slice_equal(r.rack_id, slice_str("r")) && r.cluster_id.p == NULL);
    ck_assert(r.topic_count == 1 && r.partition_count == 1 && r.forgotten_count == 1);
    ck_assert(kp_fetch_next_forgotten(&r, &f)); /* before the topics: the walks are independent */
    ck_assert(slice_equal(f.name, slice_str("b")) && f.count == 2);
    ck_assert_int_eq(kp_fetch_forgotten_index(&f, 0), 1);
    ck_assert_int_eq(kp_fetch_forgotten_index(&f, 1), 2);
    ck_assert(!kp_fetch_next_forgotten(&r, &f));
    ck_assert(kp_fetch_next_topic(&r, &t) && slice_equal(t.name, slice_str("a")));
    ck_assert(kp_fetch_next_partition(&r, &p));
    ck_assert(p.index == 3 && p.leader_epoch == 4 && p.fetch_offset == 9);
    ck_assert(p.log_start_offset == 5 && p.max_bytes == 256 && p.last_fetched_epoch == -1);
    ck_assert(!kp_fetch_next_partition(&r, &p) && !kp_fetch_next_topic(&r, &t));
    for (size_t size = 0; size < bytes.size; size++)
        ck_assert_int_ne(kp_fetch_open(11, slice_of(bytes.p, size), &r), 0);
}
END_TEST

/* A tag of the wrong size is a fault, also for the hand-written reader. */
START_TEST(test_fetch_tags)
{
    static const char body[] = "000001f4"
                               "00000001"
                               "00001000"
                               "00"
                               "00000000"
                               "ffffffff"
                               "01"
                               "01"
                               "01";
    static const struct {
        const char *tags;
        int want;
    } rows[] = {{"00", 0},
                {"01010d"
                 "00000005"
                 "0000000000000006"
                 "00",
                 0},
                {"01010e"
                 "00000005"
                 "0000000000000006"
                 "0000",
                 KP_BAD_TAG},
                {"01010c"
                 "00000005"
                 "0000000000000006",
                 KP_SHORT},
                {"020002"
                 "0278"
                 "0003"
                 "027878",
                 KP_BAD_TAG},
                {"01000302787879", KP_BAD_TAG}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kp_fetch r;
        buf_reset(&bytes);
        kafka_unhex(body, &bytes);
        kafka_unhex(rows[i].tags, &bytes);
        ck_assert_int_eq(kp_fetch_open(15, buf_slice(&bytes), &r), rows[i].want);
        if (rows[i].want == 0)
            ck_assert(r.replica_id == (i == 0 ? -1 : 5) && r.replica_epoch == (i == 0 ? -1 : 6));
        kafka_twin_request((struct kp_kind){KP_API_FETCH, KP_REQUEST, 15}, buf_slice(&bytes));
    }
}
END_TEST

START_TEST(test_fetch_answer_is_cut_where_records_go)
{
    static const struct kp_uuid id = {{9}};
    struct kp_fetch_response head = KP_FETCH_RESPONSE_INIT;
    struct kp_fetch_response_partition p = KP_FETCH_RESPONSE_PARTITION_INIT;
    struct kp_fetch_writer w;
    buf_append(&bytes, "before", 6); /* an earlier frame in the same buffer stays */
    kp_fetch_answer(&w, 4, 5, &head, 1, &bytes);
    kp_fetch_put_topic(&w, slice_str("t"), &id, 2);
    p.records = (struct slice){NULL, 1000}; /* lies elsewhere */
    size_t first = kp_fetch_put_partition(&w, &p);
    p.records.size = 0;
    p.index = 1;
    size_t second = kp_fetch_put_partition(&w, &p);
    ck_assert_int_eq(kp_fetch_end(&w, &head), 0);
    ck_assert(slice_equal(slice_of(bytes.p, 6), slice_str("before")));
    ck_assert_uint_eq(bytes_be32(bytes.p + 6), bytes.size - 6 - 4 + 1000);
    ck_assert_uint_eq(bytes_be32(bytes.p + first - 4), 1000);
    ck_assert_uint_eq(bytes_be32(bytes.p + second - 4), 0); /* empty, never null */
    ck_assert_uint_eq(second, bytes.size);
}
END_TEST

START_TEST(test_fetch_answer_too_large)
{
    struct kp_fetch_response head = KP_FETCH_RESPONSE_INIT;
    struct kp_fetch_response_partition p = KP_FETCH_RESPONSE_PARTITION_INIT;
    static const struct kp_uuid id;
    static const size_t sizes[][2] = {
        {INT32_MAX, 0}, {INT32_MAX - 1, 1}, {SIZE_MAX, 1}, {1 << 30, 1 << 30}, {INT32_MAX - 10, 0}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct kp_fetch_writer w;
        buf_reset(&bytes);
        buf_append(&bytes, "before", 6);
        kp_fetch_answer(&w, 13, 5, &head, 1, &bytes);
        kp_fetch_put_topic(&w, SLICE_NULL, &id, 2);
        for (int k = 0; k < 2; k++) {
            p.records = (struct slice){NULL, sizes[i][k]};
            (void)kp_fetch_put_partition(&w, &p);
        }
        ck_assert_int_eq(kp_fetch_end(&w, &head), KP_TOO_LARGE);
        ck_assert_uint_eq(bytes.size, 6);
    }
}
END_TEST

START_TEST(test_produce_answer_too_large)
{
    static char text[KP_STRING_SIZE_MAX + 1];
    struct kp_produce_response rest = KP_PRODUCE_RESPONSE_INIT;
    struct kp_produce_response_partition p = KP_PRODUCE_RESPONSE_PARTITION_INIT;
    struct kp_produce_writer w;
    for (int16_t version = 7; version <= 8; version++) { /* 7 has no message */
        buf_reset(&bytes);
        kp_produce_answer(&w, version, 5, 1, &bytes);
        kp_produce_put_topic(&w, slice_str("t"), 1);
        p.error_message = slice_of(text, sizeof text);
        kp_produce_put_partition(&w, &p);
        ck_assert_int_eq(kp_produce_end(&w, &rest), version == 7 ? 0 : KP_TOO_LARGE);
        ck_assert((bytes.size == 0) == (version == 8));
    }
}
END_TEST

/* ---- Random answers ------------------------------------------------------------------------ */
#define TOPICS     4
#define PARTITIONS 4

static struct random rnd;

static int32_t some(int32_t below)
{
    return (int32_t)random_below(&rnd, (uint64_t)below);
}

/* -1 as often as anything, since that is what is left out. */
static int32_t number(void)
{
    return some(2) == 0 ? -1 : (int32_t)random_u64(&rnd);
}

static struct slice text(void)
{
    static const uint8_t letters[300] = "kauri";
    return some(4) == 0 ? SLICE_NULL : slice_of(letters, (size_t)some(some(2) == 0 ? 6 : 300));
}

static void random_produced(struct kp_produce_response_partition *p)
{
    static struct kp_produce_response_record_error errors[3];
    p->index = number();
    p->error = (int16_t)number();
    p->base_offset = (int64_t)random_u64(&rnd);
    p->log_append_time = number();
    p->log_start_offset = number();
    for (int i = 0; i < 3; i++)
        errors[i] = (struct kp_produce_response_record_error){number(), text()};
    p->record_errors.v = errors;
    p->record_errors.count = some(4);
    p->error_message = text();
    p->current_leader.leader_id = number();
    p->current_leader.leader_epoch = number();
}

static void random_fetched(struct kp_fetch_response_partition *p)
{
    static struct kp_fetch_response_aborted aborted[3];
    p->index = number();
    p->error = (int16_t)number();
    p->high_watermark = number();
    p->last_stable_offset = number();
    p->log_start_offset = number();
    p->diverging_epoch.epoch = number();
    p->diverging_epoch.end_offset = (int64_t)random_u64(&rnd);
    p->current_leader.leader_id = number();
    p->current_leader.leader_epoch = number();
    p->snapshot_id.end_offset = number();
    p->snapshot_id.epoch = number();
    aborted[0].producer_id = (int64_t)random_u64(&rnd);
    p->aborted.v = aborted;
    p->aborted.count = some(5) - 1;
    p->preferred_replica = number();
    p->records = text();
}

static void random_produce_answer(int16_t version)
{
    static struct kp_produce_response_partition partitions[TOPICS][PARTITIONS];
    static struct kp_produce_response_topic topics[TOPICS];
    struct kp_produce_response_node nodes[2] = {{1, text(), 9092, text()}, {2, text(), 1, text()}};
    union kp_any m;
    memset(&m, 0, sizeof m);
    for (int i = 0; i < TOPICS; i++) {
        topics[i].name = text();
        topics[i].partitions.v = partitions[i];
        topics[i].partitions.count = some(PARTITIONS + 1);
        for (int k = 0; k < PARTITIONS; k++)
            random_produced(&partitions[i][k]);
    }
    m.produce_response.topics.v = topics;
    m.produce_response.topics.count = some(TOPICS + 1);
    m.produce_response.throttle_time_ms = number();
    m.produce_response.node_endpoints.v = nodes;
    m.produce_response.node_endpoints.count = some(3);
    kafka_twin_response((struct kp_kind){KP_API_PRODUCE, KP_RESPONSE, version}, &m);
}

static void random_fetch_answer(int16_t version)
{
    static struct kp_fetch_response_partition partitions[TOPICS][PARTITIONS];
    static struct kp_fetch_response_topic topics[TOPICS];
    struct kp_fetch_response_node nodes[2] = {{1, text(), 9092, text()}, {2, text(), 1, text()}};
    union kp_any m;
    memset(&m, 0, sizeof m);
    for (int i = 0; i < TOPICS; i++) {
        topics[i].name = text();
        topics[i].topic_id.b[0] = (uint8_t)i;
        topics[i].partitions.v = partitions[i];
        topics[i].partitions.count = some(PARTITIONS + 1);
        for (int k = 0; k < PARTITIONS; k++)
            random_fetched(&partitions[i][k]);
    }
    m.fetch_response.topics.v = topics;
    m.fetch_response.topics.count = some(TOPICS + 1);
    m.fetch_response.throttle_time_ms = number();
    m.fetch_response.error = (int16_t)number();
    m.fetch_response.session_id = number();
    m.fetch_response.node_endpoints.v = nodes;
    m.fetch_response.node_endpoints.count = some(3);
    kafka_twin_response((struct kp_kind){KP_API_FETCH, KP_RESPONSE, version}, &m);
}

START_TEST(test_random_answers)
{
    random_init(&rnd, 11);
    for (int round = 0; round < 500; round++) {
        for (int16_t version = 3; version <= 11; version++)
            random_produce_answer(version);
        for (int16_t version = 4; version <= 17; version++)
            random_fetch_answer(version);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("kafka_hot");
    tcase_add_checked_fixture(tc, NULL, teardown);
    tcase_add_test(tc, test_produce_walk);
    tcase_add_test(tc, test_produce_passes_over_partitions);
    tcase_add_test(tc, test_produce_is_all_or_nothing);
    tcase_add_test(tc, test_fetch_walk);
    tcase_add_test(tc, test_fetch_tags);
    tcase_add_test(tc, test_fetch_answer_is_cut_where_records_go);
    tcase_add_test(tc, test_fetch_answer_too_large);
    tcase_add_test(tc, test_produce_answer_too_large);
    tcase_add_test(tc, test_random_answers);
    tcase_set_timeout(tc, 60);
    Suite *s = suite_create("proto/kafka_hot");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
