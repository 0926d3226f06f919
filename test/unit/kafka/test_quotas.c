/* SPDX-License-Identifier: MIT
 *
 * test_quotas: DescribeClientQuotas and AlterClientQuotas, in every version; and what a quota does
 * to produce, fetch and everything else: the time told, and a connection that is not read for it.
 * Time is the fake clock's.
 */
#include <stdlib.h>

#include "test/unit/kafka/kclient.h"

#define ANY "*"

/* "user=,client-id=a" is the default user's client a; a part "x" has type x and the default. */
static int32_t parts(const char *text, struct slice types[4], struct slice names[4])
{
    int32_t count = 0;
    while (*text != '\0') {
        size_t size = strcspn(text, ","), type = strcspn(text, "=,");
        ck_assert_int_lt(count, 4);
        types[count] = slice_of(text, type);
        names[count++] = type + 1 >= size ? SLICE_NULL : slice_of(text + type + 1, size - type - 1);
        text += size + (text[size] == ',');
    }
    return count;
}

struct change {
    const char *who;
    const char *key;
    double value; /* 0: remove */
};

static bool only_validate;

static struct kp_alter_client_quotas_response_entry alter(struct kclient *c, int16_t version,
                                                          struct change w)
{
    struct kp_alter_client_quotas_request q = KP_ALTER_CLIENT_QUOTAS_REQUEST_INIT;
    struct kp_alter_client_quotas_request_entry entry = {.entity = {NULL, 0}};
    struct kp_alter_client_quotas_request_entity e[4];
    struct kp_alter_client_quotas_request_operation o = {slice_str(w.key), w.value, w.value == 0};
    struct slice types[4], names[4];
    entry.entity.count = parts(w.who, types, names);
    for (int32_t i = 0; i < entry.entity.count; i++)
        e[i] = (struct kp_alter_client_quotas_request_entity){types[i], names[i]};
    entry.entity.v = e;
    entry.operations.v = &o;
    entry.operations.count = 1;
    q.entries.v = &entry;
    q.entries.count = 1;
    q.validate_only = only_validate;
    const struct kp_alter_client_quotas_response *a =
        kclient_ask(c, KP_API_ALTER_CLIENT_QUOTAS, version, &q);
    ck_assert_int_eq(a->entries.count, 1);
    ck_assert_int_eq(a->entries.v[0].entity.count, entry.entity.count);
    for (int32_t i = 0; i < entry.entity.count; i++)
        ck_assert(slice_equal(a->entries.v[0].entity.v[i].type, types[i]));
    ck_assert((a->entries.v[0].error == 0) == (a->entries.v[0].error_message.p == NULL));
    return a->entries.v[0];
}

static const struct kp_describe_client_quotas_response *
ask(struct kclient *c, int16_t version, const struct kp_describe_client_quotas_request_component *v,
    int32_t count, bool strict)
{
    struct kp_describe_client_quotas_request q = KP_DESCRIBE_CLIENT_QUOTAS_REQUEST_INIT;
    q.components.v = v;
    q.components.count = count;
    q.strict = strict;
    return kclient_ask(c, KP_API_DESCRIBE_CLIENT_QUOTAS, version, &q);
}

/* A part "type=*" is any name, "type" the default, "type=x" that name. */
static void expect(struct kclient *c, const char *filter, bool strict, const char *want)
{
    struct kp_describe_client_quotas_request_component v[4];
    struct slice types[4], names[4];
    int32_t count = parts(filter, types, names);
    for (int32_t i = 0; i < count; i++) {
        bool any = slice_equal(names[i], slice_str(ANY));
        v[i] = (struct kp_describe_client_quotas_request_component){
            types[i], (int8_t)(any ? 2 : names[i].p == NULL), any ? SLICE_NULL : names[i]};
    }
    for (int16_t version = 0; version <= 1; version++) {
        struct buf out = {0};
        const struct kp_describe_client_quotas_response *a = ask(c, version, v, count, strict);
        ck_assert_int_eq(a->error, 0);
        for (int32_t i = 0; i < a->entries.count; i++) {
            const struct kp_describe_client_quotas_response_entry *e = &a->entries.v[i];
            for (int32_t k = 0; k < e->entity.count; k++)
                buf_printf(&out, "%s=%s,", kclient_text(e->entity.v[k].type),
                           kclient_text(e->entity.v[k].name));
            for (int32_t k = 0; k < e->values.count; k++)
                buf_printf(&out, "%s:%g", kclient_text(e->values.v[k].key), e->values.v[k].value);
            buf_append_u8(&out, ';');
        }
        buf_append_u8(&out, 0);
        ck_assert_str_eq((const char *)out.p, want);
        buf_deinit(&out);
    }
}

static void begin(struct kclient *c)
{
    kclient_init(c, 1);
    kclient_open(c);
    rig_create(&c->g, "t", 1, NULL);
}

#define A "client-id=a,producer_byte_rate:1000;"
#define B "client-id=(null),consumer_byte_rate:7;"
#define C "user=(null),request_percentage:12.5;"
#define D "user=(null),client-id=a,producer_byte_rate:5;"

START_TEST(told)
{
    struct kclient c;
    begin(&c);
    ck_assert_int_eq(alter(&c, 0, (struct change){"client-id=a", "producer_byte_rate", 1000}).error,
                     0);
    ck_assert_int_eq(alter(&c, 1, (struct change){"client-id", "consumer_byte_rate", 7}).error, 0);
    ck_assert_int_eq(alter(&c, 0, (struct change){"user", "request_percentage", 12.5}).error, 0);
    ck_assert_int_eq(
        alter(&c, 1, (struct change){"client-id=a,user", "producer_byte_rate", 5}).error, 0);
    for (int again = 0; again < 2; again++) {
        expect(&c, "", false, B A C D);
        expect(&c, "", true, "");
        expect(&c, "client-id=a", false, A D);
        expect(&c, "client-id=a", true, A);
        expect(&c, "client-id", false, B);
        expect(&c, "client-id=" ANY, false, B A D);
        expect(&c, "user", false, C D);
        expect(&c, "user=" ANY, true, C);
        expect(&c, "user,client-id=a", true, D);
        expect(&c, "user=me", false, "");
        expect(&c, "client-id=b", false, "");
        expect(&c, "ip=" ANY, false, "");
        kclient_reopen(&c);
    }
    ck_assert_int_eq(alter(&c, 1, (struct change){"client-id=a", "producer_byte_rate", 0}).error,
                     0);
    expect(&c, "", false, B C D);
    kclient_close(&c);
}
END_TEST

START_TEST(wrong_changes)
{
    static const struct change rows[] = {
        {"", "producer_byte_rate", 1},
        {"user=me", "producer_byte_rate", 1},
        {"ip=127.0.0.1", "connection_creation_rate", 1},
        {"ip", "connection_creation_rate", 1},
        {"group=g", "producer_byte_rate", 1},
        {"user,user", "producer_byte_rate", 1},
        {"client-id=a,client-id=b", "producer_byte_rate", 1},
        {"client-id=a", "controller_mutation_rate", 1},
        {"client-id=a", "speed", 1},
        {"client-id=a", "producer_byte_rate", -1},
        {"client-id=a", "producer_byte_rate", 1.5},
        {"client-id=a", "request_percentage", -3},
    };
    struct kclient c;
    begin(&c);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int16_t v = 0; v <= 1; v++)
            ck_assert_int_eq(alter(&c, v, rows[i]).error, KAFKA_INVALID_REQUEST);
    only_validate = true;
    ck_assert_int_eq(alter(&c, 1, (struct change){"user", "request_percentage", 5}).error, 0);
    ck_assert_int_eq(alter(&c, 1, rows[0]).error, KAFKA_INVALID_REQUEST);
    only_validate = false;
    expect(&c, "", false, "");
    broker_stop(c.g.broker);
    ck_assert_int_eq(alter(&c, 1, (struct change){"user", "request_percentage", 5}).error,
                     KAFKA_NOT_CONTROLLER);
    kclient_close(&c);
}
END_TEST

START_TEST(wrong_questions)
{
    struct slice a = slice_str("a"), user = slice_str("user"), client = slice_str("client-id");
    const struct kp_describe_client_quotas_request_component rows[][2] = {
        {{slice_str("group"), 2, SLICE_NULL}, {user, 1, SLICE_NULL}},
        {{SLICE_NULL, 2, SLICE_NULL}, {user, 1, SLICE_NULL}},
        {{client, 0, a}, {client, 0, a}},
        {{client, 0, SLICE_NULL}, {user, 1, SLICE_NULL}},
        {{client, 1, a}, {user, 1, SLICE_NULL}},
        {{client, 2, a}, {user, 1, SLICE_NULL}},
        {{client, 3, SLICE_NULL}, {user, 1, SLICE_NULL}},
        {{client, -1, SLICE_NULL}, {user, 1, SLICE_NULL}},
    };
    struct kclient c;
    begin(&c);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int16_t v = 0; v <= 1; v++) {
            const struct kp_describe_client_quotas_response *r = ask(&c, v, rows[i], 2, false);
            ck_assert_int_eq(r->error, i == 0 ? KAFKA_UNSUPPORTED_VERSION : KAFKA_INVALID_REQUEST);
            ck_assert_uint_gt(r->error_message.size, 0);
            ck_assert_int_eq(r->entries.count, -1);
        }
    kclient_close(&c);
}
END_TEST

/* Several entities in one request, one of them twice. */
START_TEST(several)
{
    enum { COUNT = 4097 };
    struct kclient c;
    struct kp_alter_client_quotas_request q = KP_ALTER_CLIENT_QUOTAS_REQUEST_INIT;
    struct kp_alter_client_quotas_request_entry *v = calloc(COUNT, sizeof *v);
    struct kp_alter_client_quotas_request_entity e[] = {{slice_str("client-id"), slice_str("a")},
                                                        {slice_str("client-id"), slice_str("b")}};
    struct kp_alter_client_quotas_request_operation o = {slice_str("producer_byte_rate"), 1000,
                                                         false};
    begin(&c);
    for (int i = 0; i < COUNT; i++) {
        v[i].entity.v = &e[i == 1];
        v[i].entity.count = v[i].operations.count = 1;
        v[i].operations.v = &o;
    }
    q.entries.v = v;
    q.entries.count = 3;
    const struct kp_alter_client_quotas_response *a =
        kclient_ask(&c, KP_API_ALTER_CLIENT_QUOTAS, 1, &q);
    ck_assert_int_eq(a->entries.count, 3);
    ck_assert_int_eq(a->entries.v[0].error, KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(a->entries.v[1].error, 0);
    ck_assert_int_eq(a->entries.v[2].error, KAFKA_INVALID_REQUEST);
    expect(&c, "", false, "client-id=b,producer_byte_rate:1000;");
    q.entries.count = COUNT;
    kclient_send(&c, KP_API_ALTER_CLIENT_QUOTAS, 1, &q);
    ck_assert_ptr_null(kclient_receive(&c, KP_API_ALTER_CLIENT_QUOTAS, 1));
    free(v);
    kclient_close(&c);
}
END_TEST

/* --- what they do --- */

static int32_t produce(struct kclient *c, int16_t version, size_t size)
{
    struct rig_batch b = {.value_size = size};
    struct buf records = {0};
    rig_build(&b, &records);
    struct kp_produce_request q = KP_PRODUCE_REQUEST_INIT;
    struct kp_produce_request_partition p = {.index = 0, .records = buf_slice(&records)};
    struct kp_produce_request_topic t = {.name = slice_str("t")};
    t.partitions.v = &p;
    t.partitions.count = 1;
    q.acks = -1;
    q.timeout_ms = 1000;
    q.topics.v = &t;
    q.topics.count = 1;
    const struct kp_produce_response *a = kclient_ask(c, KP_API_PRODUCE, version, &q);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].error, 0);
    buf_deinit(&records);
    return a->throttle_time_ms;
}

/* How long it takes until a request sent now is answered. */
static int64_t waited(struct kclient *c)
{
    struct kp_api_versions_request q = KP_API_VERSIONS_REQUEST_INIT;
    struct kafka_stats stats;
    int64_t ms = 0;
    kafka_stats(c->k, &stats);
    uint64_t before = stats.requests;
    kclient_send(c, KP_API_API_VERSIONS, 0, &q);
    for (; ms < 30000; ms += 10) {
        for (int i = 0; i < 20; i++)
            kclient_turn(c);
        kafka_stats(c->k, &stats);
        if (stats.requests > before)
            break;
        clock_fake_advance(&c->g.clock, 10);
    }
    ck_assert_ptr_nonnull(kclient_receive(c, KP_API_API_VERSIONS, 0));
    return ms;
}

START_TEST(producers_wait)
{
    for (int16_t v = 3; v <= 11; v += 2) {
        struct kclient c;
        begin(&c);
        ck_assert_int_eq(produce(&c, v, 20000), 0); /* nobody has a quota */
        ck_assert_int_eq(
            alter(&c, 1, (struct change){"client-id=kclient", "producer_byte_rate", 1000}).error,
            0);
        ck_assert_int_eq(produce(&c, v, 9000), 0); /* within the burst */
        ck_assert_int_eq(waited(&c), 0);
        int32_t throttle = produce(&c, v, 5000);
        ck_assert_int_ge(throttle, 3000);
        ck_assert_int_le(throttle, 5000);
        int64_t ms = waited(&c);
        ck_assert_int_ge(ms, throttle - 10);
        ck_assert_int_le(ms, throttle + 10);
        ck_assert_int_eq(
            alter(&c, 1, (struct change){"client-id=kclient", "producer_byte_rate", 0}).error, 0);
        ck_assert_int_eq(produce(&c, v, 50000), 0);
        ck_assert_int_eq(waited(&c), 0);
        kclient_close(&c);
    }
}
END_TEST

static const struct kp_fetch_response *fetch(struct kclient *c, int16_t version, int64_t offset)
{
    struct kp_fetch_request q = KP_FETCH_REQUEST_INIT;
    struct kp_fetch_request_partition p = KP_FETCH_REQUEST_PARTITION_INIT;
    struct kp_fetch_request_topic t = KP_FETCH_REQUEST_TOPIC_INIT;
    p.fetch_offset = offset;
    p.max_bytes = 1 << 20;
    t.name = slice_str("t");
    t.partitions.v = &p;
    t.partitions.count = 1;
    q.session_id = 0;
    q.session_epoch = -1;
    q.max_bytes = 1 << 20;
    q.min_bytes = 1;
    q.topics.v = &t;
    q.topics.count = 1;
    const struct kp_fetch_response *a = kclient_ask(c, KP_API_FETCH, version, &q);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].error, 0);
    return a;
}

/* No more than ten seconds' worth at once; what comes next waits. */
START_TEST(consumers_wait)
{
    for (int16_t v = 4; v <= 12; v += 4) {
        struct kclient c;
        begin(&c);
        for (int i = 0; i < 10; i++)
            ck_assert_int_eq(produce(&c, 9, 4000), 0);
        size_t all = fetch(&c, v, 0)->topics.v[0].partitions.v[0].records.size;
        ck_assert_uint_gt(all, 40000);
        ck_assert_int_eq(alter(&c, 1, (struct change){"user", "consumer_byte_rate", 1000}).error,
                         0);
        const struct kp_fetch_response *a = fetch(&c, v, 0);
        ck_assert_uint_le(a->topics.v[0].partitions.v[0].records.size, 10000);
        ck_assert_uint_gt(a->topics.v[0].partitions.v[0].records.size, 0);
        ck_assert_int_eq(a->throttle_time_ms, 0);
        a = fetch(&c, v, 2);
        ck_assert_uint_gt(a->topics.v[0].partitions.v[0].records.size, 0); /* served all the same */
        int32_t throttle = a->throttle_time_ms;
        ck_assert_int_gt(throttle, 3000);
        int64_t ms = waited(&c);
        ck_assert_int_ge(ms, throttle - 10);
        ck_assert_int_le(ms, throttle + 10);
        kclient_close(&c);
    }
}
END_TEST

/* A clock that takes a while to be looked at. */
struct slow_clock {
    struct clock clock;
    struct clock *under;
    int64_t look_us;
};

static int64_t slow_spent_us;

static int64_t slow_wall_ms(const struct clock *c)
{
    const struct clock *under = ((const struct slow_clock *)(const void *)c)->under;
    return under->wall_ms(under);
}

static int64_t slow_mono_ms(const struct clock *c)
{
    const struct clock *under = ((const struct slow_clock *)(const void *)c)->under;
    return under->mono_ms(under);
}

static int64_t slow_mono_us(const struct clock *c)
{
    const struct slow_clock *s = (const struct slow_clock *)(const void *)c;
    slow_spent_us += s->look_us;
    return s->under->mono_us(s->under) + slow_spent_us;
}

/* Any call's answer tells it, with throttle_time_ms wherever it stands. */
START_TEST(time_of_the_loop)
{
    struct kclient c;
    struct kp_offset_delete_request d = KP_OFFSET_DELETE_REQUEST_INIT;
    struct kp_metadata_request m = KP_METADATA_REQUEST_INIT;
    struct slow_clock slow = {.clock = {slow_wall_ms, slow_mono_ms, slow_mono_us}};
    kclient_init(&c, 1);
    slow.under = &c.g.clock.clock;
    c.clock = &slow.clock;
    kclient_open(&c);
    rig_create(&c.g, "t", 1, NULL);
    m.topics.count = -1;
    slow.look_us = 400000;
    const struct kp_metadata_response *a = kclient_ask(&c, KP_API_METADATA, 9, &m);
    ck_assert_int_eq(a->throttle_time_ms, 0); /* nobody has a quota: nothing is measured */
    ck_assert_int_eq(alter(&c, 1, (struct change){"client-id", "request_percentage", 5}).error, 0);
    slow.look_us = 600000; /* of 500 ms in ten seconds */
    a = kclient_ask(&c, KP_API_METADATA, 9, &m);
    ck_assert_int_eq(a->throttle_time_ms, 1000); /* as Kafka: one second at most */
    slow.look_us = 0;
    int64_t ms = waited(&c);
    ck_assert_int_ge(ms, 990);
    ck_assert_int_le(ms, 1010);
    slow.look_us = 1000;
    d.group_id = slice_str("none");
    const struct kp_offset_delete_response *o = kclient_ask(&c, KP_API_OFFSET_DELETE, 0, &d);
    ck_assert_int_gt(o->throttle_time_ms, 0);
    ck_assert_int_gt(o->error, 0);
    kclient_close(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kafka quotas");
    TCase *t = tcase_create("quotas");
    tcase_add_test(t, told);
    tcase_add_test(t, wrong_changes);
    tcase_add_test(t, wrong_questions);
    tcase_add_test(t, several);
    tcase_add_test(t, producers_wait);
    tcase_add_test(t, consumers_wait);
    tcase_add_test(t, time_of_the_loop);
    suite_add_tcase(s, t);
    return rig_main(s);
}
