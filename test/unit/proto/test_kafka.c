/* SPDX-License-Identifier: MIT
 *
 * test_kafka: the interpreter of Kafka's messages by hand: headers, each condition of the decoder,
 * tags, defaults, limits and text. Every message in every version is test_kafka_naive's.
 */
#include <check.h>
#include <stdlib.h>

#include "kafka_lines.h"
#include "proto/kafka/kp.h"

static struct arena arena;
static struct buf bytes;

static void setup(void)
{
    arena_init(&arena, 1 << 20);
}

static void teardown(void)
{
    arena_deinit(&arena);
    buf_deinit(&bytes);
}

/* What the decoder says of a body in hex. */
static int decode(enum kp_api api, enum kp_direction direction, int16_t version, const char *hex,
                  void *m)
{
    buf_reset(&bytes);
    kafka_unhex(hex, &bytes);
    struct slice in = buf_slice(&bytes);
    return kp_decode((struct kp_kind){api, direction, version}, &in, &arena, m);
}

static int decode_metadata(int16_t version, const char *hex)
{
    struct kp_metadata_request m;
    return decode(KP_API_METADATA, KP_REQUEST, version, hex, &m);
}

START_TEST(test_table)
{
    enum kp_api api = KP_API_FETCH;
    ck_assert_int_eq(kp_find(4, &api), KP_UNKNOWN_API);
    ck_assert_int_eq(kp_find(-1, &api), KP_UNKNOWN_API);
    ck_assert_int_eq(kp_find(INT16_MAX, &api), KP_UNKNOWN_API);
    ck_assert_int_eq(api, KP_API_FETCH);
    for (int i = 0; i < KP_API_COUNT; i++) {
        ck_assert_int_eq(kp_find(kp_key((enum kp_api)i), &api), 0);
        ck_assert_int_eq(api, i);
        struct kp_versions known = kp_known(api);
        struct kp_versions offered = kp_is_offered(api) ? kp_offered(api) : known;
        ck_assert(offered.min <= known.min && offered.max <= known.max);
        ck_assert(!kp_is_known(api, known.min - 1) && !kp_is_known(api, known.max + 1));
    }
    ck_assert_str_eq(kp_name(KP_API_LIST_OFFSETS), "ListOffsets");
    ck_assert_int_eq(kp_offered(KP_API_PRODUCE).min, 0);
    ck_assert_int_eq(kp_known(KP_API_PRODUCE).min, 3);
    ck_assert(!kp_is_flexible(KP_API_METADATA, 8) && kp_is_flexible(KP_API_METADATA, 9));
    for (int condition = KP_SHORT; condition <= KP_TOO_LARGE; condition++)
        ck_assert_ptr_nonnull(kp_condition_text(condition));
}
END_TEST

/* What clients ask for by overlap with a historic version, else they leave features off. */
START_TEST(test_offers_that_old_clients_want)
{
    static const struct {
        enum kp_api api;
        int16_t version;
    } wanted[] = {{KP_API_PRODUCE, 0},
                  {KP_API_PRODUCE, 3},
                  {KP_API_PRODUCE, 7},
                  {KP_API_PRODUCE, 8},
                  {KP_API_FETCH, 4},
                  {KP_API_FETCH, 10},
                  {KP_API_FETCH, 11},
                  {KP_API_LIST_OFFSETS, 1},
                  {KP_API_LIST_OFFSETS, 5},
                  {KP_API_METADATA, 0},
                  {KP_API_INIT_PRODUCER_ID, 0},
                  {KP_API_DESCRIBE_ACLS, 2},
                  {KP_API_OFFSET_FOR_LEADER_EPOCH, 2}};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        struct kp_versions v = kp_offered(wanted[i].api);
        ck_assert(v.min <= wanted[i].version && wanted[i].version <= v.max);
    }
}
END_TEST

static int take(const char *hex, struct kp_request_header *h, enum kp_api *api, size_t *left)
{
    buf_reset(&bytes);
    kafka_unhex(hex, &bytes);
    struct slice in = buf_slice(&bytes);
    int r = kp_take_request_header(&in, h, api);
    *left = in.size;
    return r;
}

START_TEST(test_request_header)
{
    struct kp_request_header h = KP_REQUEST_HEADER_INIT;
    enum kp_api api = KP_API_PRODUCE;
    size_t left;
    /* header 1, then header 2 with an unknown tag 5: the client id has its old form in both */
    ck_assert_int_eq(take("0003000100000002000174ff", &h, &api, &left), 0);
    ck_assert(api == KP_API_METADATA && h.correlation_id == 2 && left == 1);
    ck_assert(slice_equal(h.client_id, slice_str("t")));
    ck_assert_int_eq(take("0003000900000002000174010502aabbff", &h, &api, &left), 0);
    ck_assert(h.api_version == 9 && left == 1);
    ck_assert_int_eq(take("0003000900000002ffff00", &h, &api, &left), 0);
    ck_assert(h.client_id.p == NULL && left == 0);

    h.correlation_id = 0;
    ck_assert_int_eq(take("00030001000000", &h, &api, &left), KP_SHORT);
    ck_assert_int_eq(take("0003000100000002000274", &h, &api, &left), KP_SHORT);
    ck_assert_int_eq(take("0003000100000002fffe", &h, &api, &left), KP_BAD_SIZE);
    ck_assert_int_eq(h.correlation_id, 0);
    ck_assert_int_eq(take("7fff000100000007", &h, &api, &left), KP_UNKNOWN_API);
    ck_assert_int_eq(h.api_key, 0x7fff);
    ck_assert_int_eq(take("0012000900000008", &h, &api, &left), KP_UNKNOWN_VERSION);
    ck_assert(api == KP_API_API_VERSIONS && h.correlation_id == 8 && h.api_version == 9);
    ck_assert_int_eq(take("0000000200000009", &h, &api, &left), KP_UNKNOWN_VERSION);
    ck_assert_int_eq(take("0003ffff00000009", &h, &api, &left), KP_UNKNOWN_VERSION);
}
END_TEST

START_TEST(test_response_header)
{
    static const uint8_t in[] = {0, 0, 0, 7, 0, 9};
    struct kp_response_header h;
    struct slice s = slice_of(in, sizeof in);
    struct kp_kind kind = {KP_API_API_VERSIONS, KP_RESPONSE, 4};
    ck_assert_int_eq(kp_take_response_header(kind, &s, &h), 0);
    ck_assert(h.correlation_id == 7 && s.size == 2); /* header 0 in a flexible version */
    kind.api = KP_API_METADATA;
    kind.version = 9;
    s = slice_of(in, sizeof in);
    ck_assert_int_eq(kp_take_response_header(kind, &s, &h), 0);
    ck_assert_uint_eq(s.size, 1);
    s = slice_of(in, 3);
    ck_assert_int_eq(kp_take_response_header(kind, &s, &h), KP_SHORT);
}
END_TEST

START_TEST(test_conditions_of_plain_versions)
{
    ck_assert_int_eq(decode_metadata(1, "00000001000174"), 0);
    ck_assert_int_eq(decode_metadata(1, "ffffffff"), 0);
    ck_assert_int_eq(decode_metadata(0, "ffffffff"), KP_BAD_NULL);
    ck_assert_int_eq(decode_metadata(1, ""), KP_SHORT);
    ck_assert_int_eq(decode_metadata(1, "fffffffe"), KP_BAD_COUNT);
    ck_assert_int_eq(decode_metadata(1, "0000000200017400"), KP_SHORT);
    ck_assert_int_eq(decode_metadata(1, "7fffffff000174"), KP_BAD_COUNT);
    ck_assert_int_eq(decode_metadata(1, "00000001fffe"), KP_BAD_SIZE);
    ck_assert_int_eq(decode_metadata(1, "00000001ffff"), KP_BAD_NULL);
    ck_assert_int_eq(decode_metadata(1, "00000001000574"), KP_SHORT);
    ck_assert_int_eq(decode_metadata(4, "0000000000"), 0);
    ck_assert_int_eq(decode_metadata(4, "00000000"), KP_SHORT);
}
END_TEST

START_TEST(test_conditions_of_flexible_versions)
{
    struct kp_api_versions_request m;
    ck_assert_int_eq(decode_metadata(9, "020274000100"
                                        "0000"),
                     0);
    ck_assert_int_eq(decode_metadata(9, "0001000000"), 0);
    ck_assert_int_eq(decode_metadata(9, "02007400010000"), KP_BAD_NULL);
    ck_assert_int_eq(decode_metadata(9, "ffffffff0f01"), KP_BAD_COUNT);
    ck_assert_int_eq(decode_metadata(9, "8080808010"), KP_BAD_VARINT); /* 33 bits */
    ck_assert_int_eq(decode_metadata(9, "808080808000"), KP_BAD_VARINT);
    ck_assert_int_eq(decode_metadata(9, "8080"), KP_SHORT);
    /* a string of 32768 bytes, which no plain version could carry back */
    buf_reset(&bytes);
    kafka_unhex("818002", &bytes);
    for (int i = 0; i < 32768; i++)
        buf_append_u8(&bytes, 'x');
    kafka_unhex("0100", &bytes);
    struct slice in = buf_slice(&bytes);
    struct kp_kind kind = {KP_API_API_VERSIONS, KP_REQUEST, 3};
    ck_assert_int_eq(kp_decode(kind, &in, &arena, &m), KP_BAD_SIZE);
}
END_TEST

START_TEST(test_tags)
{
    struct kp_api_versions_response m;
    /* error, no keys, throttle time; then the section */
    static const char head[] = "00000100000000";
    static const struct {
        const char *section;
        int want;
    } rows[] = {
        {"00", 0},
        {"010108"
         "0000000000000007",
         0},
        {"02"
         "0108"
         "0000000000000007"
         "0903aabbcc",
         0}, /* 9 is unknown */
        {"02"
         "0903aabbcc"
         "0108"
         "0000000000000007",
         KP_BAD_TAG},
        {"02"
         "0108"
         "0000000000000007"
         "0108"
         "0000000000000007",
         KP_BAD_TAG},
        {"010107"
         "00000000000007",
         KP_SHORT},
        {"010109"
         "000000000000000700",
         KP_BAD_TAG},
        {"010903aabb", KP_SHORT},
        {"01", KP_SHORT},
        {"41", KP_BAD_TAG},
        {"0101ffffffff0f", KP_SHORT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf hex = {0};
        buf_printf(&hex, "%s%s%c", head, rows[i].section, 0);
        ck_assert_int_eq(decode(KP_API_API_VERSIONS, KP_RESPONSE, 3, (const char *)hex.p, &m),
                         rows[i].want);
        if (rows[i].want == 0)
            ck_assert_int_eq(m.finalized_features_epoch, i == 0 ? -1 : 7);
        buf_deinit(&hex);
    }
}
END_TEST

START_TEST(test_nothing_is_written_on_a_condition)
{
    struct kp_metadata_request m;
    memset(&m, 0x5a, sizeof m);
    ck_assert_int_eq(decode(KP_API_METADATA, KP_REQUEST, 4, "00000001000174", &m), KP_SHORT);
    for (size_t i = 0; i < sizeof m; i++)
        ck_assert_uint_eq(((const uint8_t *)&m)[i], 0x5a);
}
END_TEST

START_TEST(test_rest_is_the_callers)
{
    struct kp_metadata_request m;
    kafka_unhex("00000001000174"
                "abcd",
                &bytes);
    struct slice in = buf_slice(&bytes);
    struct kp_kind kind = {KP_API_METADATA, KP_REQUEST, 1};
    ck_assert_int_eq(kp_decode(kind, &in, &arena, &m), 0);
    ck_assert_uint_eq(in.size, 2);
    ck_assert_ptr_eq(in.p, bytes.p + 7);
    ck_assert_ptr_eq(m.topics.v[0].name.p, bytes.p + 6); /* in the frame, not copied */
}
END_TEST

START_TEST(test_defaults)
{
    struct kp_metadata_request metadata;
    struct kp_fetch_request fetch;
    ck_assert_int_eq(decode(KP_API_METADATA, KP_REQUEST, 0, "00000000", &metadata), 0);
    ck_assert(metadata.allow_auto_topic_creation && metadata.topics.count == 0);
    ck_assert_int_eq(decode(KP_API_FETCH, KP_REQUEST, 4,
                            "ffffffff000001f400000001000004000000000001"
                            "000174"
                            "00000001"
                            "00000003"
                            "0000000000000009"
                            "00000100",
                            &fetch),
                     0);
    ck_assert(fetch.session_epoch == -1 && fetch.replica_state.replica_epoch == -1);
    const struct kp_fetch_request_partition *p = &fetch.topics.v[0].partitions.v[0];
    ck_assert(p->index == 3 && p->fetch_offset == 9 && p->max_bytes == 256);
    ck_assert(p->leader_epoch == -1 && p->log_start_offset == -1 && p->last_fetched_epoch == -1);
    /* the initializers and kp_init say the same */
    struct kp_fetch_response by_call, by_init = KP_FETCH_RESPONSE_INIT;
    kp_init((struct kp_kind){KP_API_FETCH, KP_RESPONSE, 4}, &by_call);
    ck_assert(by_call.session_id == by_init.session_id && by_call.topics.count == 0);
    struct kp_create_topics_response_topic topic = KP_CREATE_TOPICS_RESPONSE_TOPIC_INIT;
    ck_assert(topic.configs.count == -1 && topic.partition_count == -1);
    struct kp_produce_response_partition produced = KP_PRODUCE_RESPONSE_PARTITION_INIT;
    ck_assert(produced.current_leader.leader_id == -1 && produced.log_append_time == -1);
}
END_TEST

START_TEST(test_memory_is_bounded)
{
    struct kp_metadata_request m;
    struct kp_kind kind = {KP_API_METADATA, KP_REQUEST, 1};
    struct arena small;
    arena_init(&small, 64 * 1024);
    buf_append_be32(&bytes, 5000);
    for (int i = 0; i < 5000; i++)
        buf_append_be16(&bytes, 0);
    struct slice in = buf_slice(&bytes);
    ck_assert_int_eq(kp_decode(kind, &in, &small, &m), KP_LIMIT);
    ck_assert_uint_eq(in.size, bytes.size);
    ck_assert_uint_le(small.used, 64 * 1024);
    ck_assert_int_eq(kp_decode(kind, &in, &arena, &m), 0);
    ck_assert_int_eq(m.topics.count, 5000);
    /* a count that the bytes cannot hold takes no memory at all */
    arena_reset(&small);
    bytes_put_be32(bytes.p, 5001);
    in = buf_slice(&bytes);
    ck_assert_int_ne(kp_decode(kind, &in, &small, &m), 0);
    ck_assert_uint_eq(small.used, 0);
    arena_deinit(&small);
}
END_TEST

START_TEST(test_too_large)
{
    static char text[KP_STRING_SIZE_MAX + 1];
    memset(text, 'x', sizeof text);
    struct kp_init_producer_id_request m = KP_INIT_PRODUCER_ID_REQUEST_INIT;
    for (int16_t version = 0; version <= 5; version++) {
        struct kp_kind kind = {KP_API_INIT_PRODUCER_ID, KP_REQUEST, version};
        buf_reset(&bytes);
        m.transactional_id = slice_of(text, KP_STRING_SIZE_MAX);
        ck_assert_int_eq(kp_encode(kind, &m, &bytes), 0);
        buf_reset(&bytes);
        m.transactional_id = slice_of(text, sizeof text);
        ck_assert_int_eq(kp_encode(kind, &m, &bytes), KP_TOO_LARGE);
        ck_assert_uint_eq(bytes.size, 0);
    }
}
END_TEST

/* Null where a version allows none goes out as empty. */
START_TEST(test_null_becomes_empty)
{
    struct kp_metadata_request m = KP_METADATA_REQUEST_INIT;
    ck_assert_int_eq(m.topics.count, -1);
    ck_assert_int_eq(kp_encode((struct kp_kind){KP_API_METADATA, KP_REQUEST, 0}, &m, &bytes), 0);
    ck_assert(slice_equal(buf_slice(&bytes), slice_of("\0\0\0\0", 4)));
    buf_reset(&bytes);
    ck_assert_int_eq(kp_encode((struct kp_kind){KP_API_METADATA, KP_REQUEST, 1}, &m, &bytes), 0);
    ck_assert(slice_equal(buf_slice(&bytes), slice_of("\xff\xff\xff\xff", 4)));
}
END_TEST

START_TEST(test_text_is_bounded)
{
    struct kp_delete_topics_request m = KP_DELETE_TOPICS_REQUEST_INIT;
    struct kp_kind kind = {KP_API_DELETE_TOPICS, KP_REQUEST, 5};
    static struct slice names[100];
    static char name[300];
    memset(name, 'n', sizeof name);
    for (size_t i = 0; i < 100; i++)
        names[i] = slice_of(name, i < 50 ? 1 : sizeof name);
    m.topic_names.v = names;
    m.topic_names.count = 100;
    kp_print(kind, &m, &bytes);
    ck_assert_uint_lt(bytes.size, KP_PRINT_SIZE_MAX + 1024);
    ck_assert_ptr_nonnull(memmem(bytes.p, bytes.size, "nnn..\"", 6));
    ck_assert_ptr_nonnull(memmem(bytes.p, bytes.size, " ..] timeout_ms=0}", 18));
    buf_reset(&bytes);
    m.topic_names.count = 3;
    m.timeout_ms = 5;
    kp_print(kind, &m, &bytes);
    ck_assert(slice_equal(buf_slice(&bytes),
                          slice_str("{topic_names=[\"n\" \"n\" \"n\"] timeout_ms=5}")));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("kafka");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_table);
    tcase_add_test(tc, test_offers_that_old_clients_want);
    tcase_add_test(tc, test_request_header);
    tcase_add_test(tc, test_response_header);
    tcase_add_test(tc, test_conditions_of_plain_versions);
    tcase_add_test(tc, test_conditions_of_flexible_versions);
    tcase_add_test(tc, test_tags);
    tcase_add_test(tc, test_nothing_is_written_on_a_condition);
    tcase_add_test(tc, test_rest_is_the_callers);
    tcase_add_test(tc, test_defaults);
    tcase_add_test(tc, test_memory_is_bounded);
    tcase_add_test(tc, test_too_large);
    tcase_add_test(tc, test_null_becomes_empty);
    tcase_add_test(tc, test_text_is_bounded);
    Suite *s = suite_create("proto/kafka");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
