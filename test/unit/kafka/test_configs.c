/* SPDX-License-Identifier: MIT
 *
 * test_configs: DescribeConfigs, in every version: what is in force and where it comes from, for
 * topics and for the broker.
 */
#include "test/unit/kafka/kclient.h"

#include <stdlib.h>

#include "engine/broker/config.h"

struct question {
    int16_t version;
    int8_t type;
    const char *name;
    const char *keys[3]; /* NULL at once: all */
    bool empty_keys;     /* all, too */
    bool synonyms;
    bool help;
};

static const struct kp_describe_configs_response_resource *describe(struct kclient *c,
                                                                    const struct question *w)
{
    struct kp_describe_configs_request q = KP_DESCRIBE_CONFIGS_REQUEST_INIT;
    struct kp_describe_configs_request_resource r = KP_DESCRIBE_CONFIGS_REQUEST_RESOURCE_INIT;
    struct slice keys[3];
    r.type = w->type;
    r.name = slice_str(w->name);
    r.keys.v = keys;
    r.keys.count = w->empty_keys ? 0 : -1;
    for (int32_t i = 0; i < 3 && w->keys[i] != NULL; i++) {
        keys[i] = slice_str(w->keys[i]);
        r.keys.count = i + 1;
    }
    q.resources.v = &r;
    q.resources.count = 1;
    q.include_synonyms = w->synonyms;
    q.include_documentation = w->help;
    const struct kp_describe_configs_response *a =
        kclient_ask(c, KP_API_DESCRIBE_CONFIGS, w->version, &q);
    ck_assert_int_eq(a->resources.count, 1);
    ck_assert_int_eq(a->resources.v[0].type, w->type);
    ck_slice(a->resources.v[0].name, w->name);
    return &a->resources.v[0];
}

static const struct kp_describe_configs_response_config *
find(const struct kp_describe_configs_response_resource *r, const char *name)
{
    for (int32_t i = 0; i < r->configs.count; i++)
        if (slice_equal(r->configs.v[i].name, slice_str(name)))
            return &r->configs.v[i];
    ck_abort_msg("no config %s", name);
    return NULL;
}

static void expect(const struct kp_describe_configs_response_resource *r, const char *name,
                   const char *value, int8_t source)
{
    const struct kp_describe_configs_response_config *x = find(r, name);
    ck_slice(x->value, value);
    ck_assert_msg(x->source == source, "%s: source %d", name, x->source);
    ck_assert(!x->is_sensitive);
}

static void expect_error(struct kclient *c, int8_t type, const char *name, int16_t error)
{
    for (int16_t v = 1; v <= 4; v++) {
        struct question w = {.version = v, .type = type, .name = name};
        const struct kp_describe_configs_response_resource *r = describe(c, &w);
        ck_assert_int_eq(r->error, error);
        ck_assert_uint_gt(r->error_message.size, 0);
        ck_assert_int_eq(r->configs.count, 0);
    }
}

static void open_configured(struct kclient *c)
{
    kclient_init(c, 1);
    rig_set(&c->g, "log.segment.bytes", "64K");
    rig_set(&c->g, "log.retention.hours", "2");
    kclient_open(c);
    ck_assert_int_eq(rig_alter_broker(&c->g, "message.max.bytes", "4K"), BROKER_OK);
    rig_create(&c->g, "t", 1, "retention.ms=1h");
}

START_TEST(topic_and_its_sources)
{
    struct kclient c;
    size_t count = 0, topics = 0;
    const struct config_row *rows = config_rows(&count);
    for (size_t i = 0; i < count; i++)
        topics += rows[i].topic;
    open_configured(&c);
    for (int16_t v = 1; v <= 4; v++) {
        struct question w = {.version = v, .type = 2, .name = "t", .empty_keys = v % 2};
        const struct kp_describe_configs_response_resource *r = describe(&c, &w);
        ck_assert_int_eq(r->error, 0);
        ck_slice(r->error_message, "(null)");
        ck_assert_int_eq(r->configs.count, (int32_t)topics);
        expect(r, "retention.ms", "3600000", 1);
        expect(r, "max.message.bytes", "4096", 2);
        expect(r, "segment.bytes", "65536", 4);
        expect(r, "cleanup.policy", "delete", 5);
        expect(r, "flush.ms", "9223372036854775807", 5);
        expect(r, "leader.replication.throttled.replicas", "", 5);
        for (int32_t i = 0; i < r->configs.count; i++) {
            ck_assert(!r->configs.v[i].read_only);
            ck_assert_int_eq(r->configs.v[i].synonyms.count, 0);
            ck_slice(r->configs.v[i].documentation, "(null)");
            ck_assert((r->configs.v[i].type != 0) == (v >= 3));
        }
    }
    kclient_close(&c);
}
END_TEST

START_TEST(chosen_keys)
{
    struct kclient c;
    struct question w = {.version = 4,
                         .type = 2,
                         .name = "t",
                         .keys = {"segment.bytes", "no.such.key", "cleanup.policy"}};
    open_configured(&c);
    const struct kp_describe_configs_response_resource *r = describe(&c, &w);
    ck_assert_int_eq(r->error, 0);
    ck_assert_int_eq(r->configs.count, 2);
    expect(r, "segment.bytes", "65536", 4);
    expect(r, "cleanup.policy", "delete", 5);
    w.keys[0] = w.keys[2] = "no.such.key";
    ck_assert_int_eq(describe(&c, &w)->configs.count, 0);
    kclient_close(&c);
}
END_TEST

START_TEST(types_and_help)
{
    struct kclient c;
    static const struct {
        const char *key;
        int8_t type;
    } want[] = {{"preallocate", 1},        {"cleanup.policy", 7}, {"compression.type", 2},
                {"segment.bytes", 3},      {"retention.ms", 5},   {"min.cleanable.dirty.ratio", 6},
                {"min.insync.replicas", 3}};
    open_configured(&c);
    for (int16_t v = 3; v <= 4; v++) {
        struct question w = {.version = v, .type = 2, .name = "t", .help = true};
        const struct kp_describe_configs_response_resource *r = describe(&c, &w);
        for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
            ck_assert_int_eq(find(r, want[i].key)->type, want[i].type);
        ck_slice(find(r, "segment.bytes")->documentation,
                 config_row_find("segment.bytes", true)->help);
    }
    kclient_close(&c);
}
END_TEST

static void expect_synonym(const struct kp_describe_configs_response_config *x, int32_t i,
                           const char *name, const char *value, int8_t source)
{
    ck_assert_int_lt(i, x->synonyms.count);
    ck_slice(x->synonyms.v[i].name, name);
    ck_slice(x->synonyms.v[i].value, value);
    ck_assert_int_eq(x->synonyms.v[i].source, source);
}

START_TEST(synonyms)
{
    struct kclient c;
    open_configured(&c);
    for (int16_t v = 1; v <= 4; v++) {
        struct question w = {.version = v, .type = 2, .name = "t", .synonyms = true};
        const struct kp_describe_configs_response_resource *r = describe(&c, &w);
        const struct kp_describe_configs_response_config *x = find(r, "retention.ms");
        ck_assert_int_eq(x->synonyms.count, 3);
        expect_synonym(x, 0, "retention.ms", "3600000", 1);
        expect_synonym(x, 1, "log.retention.hours", "2", 4);
        expect_synonym(x, 2, "log.retention.hours", "168", 5);
        x = find(r, "max.message.bytes");
        ck_assert_int_eq(x->synonyms.count, 2);
        expect_synonym(x, 0, "message.max.bytes", "4096", 2);
        expect_synonym(x, 1, "message.max.bytes", "1048588", 5);
        x = find(r, "flush.messages"); /* no key of the broker */
        ck_assert_int_eq(x->synonyms.count, 1);
        expect_synonym(x, 0, "flush.messages", "9223372036854775807", 5);
    }
    kclient_close(&c);
}
END_TEST

START_TEST(broker_by_number)
{
    struct kclient c;
    open_configured(&c);
    for (int16_t v = 1; v <= 4; v++) {
        struct question w = {.version = v, .type = 4, .name = "1", .synonyms = true};
        const struct kp_describe_configs_response_resource *r = describe(&c, &w);
        ck_assert_int_eq(r->error, 0);
        expect(r, "log.segment.bytes", "65536", 4);
        expect(r, "message.max.bytes", "4096", 2);
        expect(r, "num.partitions", "1", 5);
        expect(r, "node.id", "1", 5);
        expect(r, "log.retention.ms", "7200000", 4); /* from its hours */
        expect(r, "log.retention.minutes", "(null)", 5);
        expect(r, "delete.topic.enable", "true", 5);
        expect(r, "inter.broker.protocol.version", "3.9-IV0", 5);
        ck_assert(find(r, "node.id")->read_only);
        ck_assert(!find(r, "message.max.bytes")->read_only);
        ck_assert_int_eq(find(r, "message.max.bytes")->synonyms.count, 2);
        ck_assert_int_eq(find(r, "log.retention.minutes")->synonyms.count, 0);
    }
    kclient_close(&c);
}
END_TEST

static void alter_cluster(struct kclient *c, const char *key, const char *value)
{
    struct rig_admin a;
    rig_admin_init(&a, BROKER_CONFIG_ALTER, NULL);
    rig_admin_config(&a, key, value);
    a.req.cluster = true;
    ck_assert_int_eq(rig_admin_run(&c->g, &a), BROKER_OK);
}

/* Without a name: what was changed while running, for every broker. */
START_TEST(broker_without_name)
{
    struct kclient c;
    open_configured(&c);
    struct question w = {.version = 4, .type = 4, .name = "", .synonyms = true};
    struct question here = {.version = 4, .type = 4, .name = "1", .synonyms = true};
    struct question topic = {.version = 4, .type = 2, .name = "t"};
    ck_assert_int_eq(describe(&c, &w)->configs.count, 0);
    alter_cluster(&c, "message.max.bytes", "8K");
    const struct kp_describe_configs_response_resource *r = describe(&c, &w);
    ck_assert_int_eq(r->error, 0);
    ck_assert_int_eq(r->configs.count, 1);
    expect(r, "message.max.bytes", "8192", 3);
    ck_assert_int_eq(find(r, "message.max.bytes")->synonyms.count, 2);
    r = describe(&c, &here);
    expect(r, "message.max.bytes", "4096", 2); /* this broker's own is nearer */
    const struct kp_describe_configs_response_config *x = find(r, "message.max.bytes");
    ck_assert_int_eq(x->synonyms.count, 3);
    expect_synonym(x, 0, "message.max.bytes", "4096", 2);
    expect_synonym(x, 1, "message.max.bytes", "8192", 3);
    expect_synonym(x, 2, "message.max.bytes", "1048588", 5);
    ck_assert_int_eq(rig_alter_broker(&c.g, "message.max.bytes", NULL), BROKER_OK);
    expect(describe(&c, &here), "message.max.bytes", "8192", 3);
    expect(describe(&c, &topic), "max.message.bytes", "8192", 3);
    alter_cluster(&c, "message.max.bytes", NULL);
    ck_assert_int_eq(describe(&c, &w)->configs.count, 0);
    kclient_close(&c);
}
END_TEST

START_TEST(others)
{
    struct kclient c;
    open_configured(&c);
    expect_error(&c, 2, "none", KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    expect_error(&c, 2, "", KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    expect_error(&c, 4, "2", KAFKA_INVALID_REQUEST);
    expect_error(&c, 4, "one", KAFKA_INVALID_REQUEST);
    expect_error(&c, 8, "", KAFKA_INVALID_REQUEST);
    expect_error(&c, 8, "2", KAFKA_INVALID_REQUEST);
    expect_error(&c, 16, "x", KAFKA_INVALID_REQUEST);
    expect_error(&c, 0, "", KAFKA_INVALID_REQUEST);
    struct question w = {.version = 4, .type = 8, .name = "1"};
    ck_assert_int_eq(describe(&c, &w)->error, 0);
    ck_assert_int_eq(describe(&c, &w)->configs.count, 0);
    kclient_close(&c);
}
END_TEST

START_TEST(several_resources)
{
    struct kclient c;
    struct kp_describe_configs_request q = KP_DESCRIBE_CONFIGS_REQUEST_INIT;
    struct kp_describe_configs_request_resource r[3] = {{2, slice_str("t"), {NULL, -1}},
                                                        {2, slice_str("none"), {NULL, -1}},
                                                        {4, slice_str("1"), {NULL, -1}}};
    open_configured(&c);
    q.resources.v = r;
    q.resources.count = 3;
    const struct kp_describe_configs_response *a = kclient_ask(&c, KP_API_DESCRIBE_CONFIGS, 4, &q);
    ck_assert_int_eq(a->resources.count, 3);
    ck_assert_int_eq(a->resources.v[0].error, 0);
    ck_assert_int_eq(a->resources.v[1].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(a->resources.v[2].error, 0);
    expect(&a->resources.v[0], "retention.ms", "3600000", 1);
    expect(&a->resources.v[2], "log.segment.bytes", "65536", 4);
    kclient_close(&c);
}
END_TEST

/* What would need more than a request may have ends the connection; the next one is served. */
START_TEST(too_much)
{
    enum { COUNT = 30000, KEYS = 5000 };
    struct kclient c;
    struct kp_describe_configs_request q = KP_DESCRIBE_CONFIGS_REQUEST_INIT;
    struct kp_describe_configs_request_resource *v = calloc(COUNT, sizeof *v);
    struct slice *keys = calloc(KEYS, sizeof *keys);
    struct kafka_stats stats;
    open_configured(&c);
    for (int i = 0; i < COUNT; i++)
        v[i] = (struct kp_describe_configs_request_resource){2, slice_str("t"), {NULL, -1}};
    for (int i = 0; i < KEYS; i++)
        keys[i] = slice_str("k");
    v[1].keys = (struct kp_slices){keys, KEYS};
    q.resources.v = v;
    q.resources.count = 2;
    const struct kp_describe_configs_response *a = kclient_ask(&c, KP_API_DESCRIBE_CONFIGS, 4, &q);
    ck_assert_int_eq(a->resources.v[0].error, 0);
    ck_assert_int_eq(a->resources.v[1].error, KAFKA_INVALID_REQUEST);
    v[1].keys = v[0].keys;
    q.resources.count = COUNT;
    kclient_send(&c, KP_API_DESCRIBE_CONFIGS, 4, &q);
    ck_assert_ptr_null(kclient_receive(&c, KP_API_DESCRIBE_CONFIGS, 4));
    kafka_stats(c.k, &stats);
    ck_assert_uint_eq(stats.refused, 1);
    kclient_hang_up(&c);
    kclient_connect(&c);
    q.resources.count = 1;
    a = kclient_ask(&c, KP_API_DESCRIBE_CONFIGS, 4, &q);
    ck_assert_int_eq(a->resources.v[0].error, 0);
    free(keys);
    free(v);
    kclient_close(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kafka configs");
    TCase *t = tcase_create("configs");
    tcase_add_test(t, topic_and_its_sources);
    tcase_add_test(t, chosen_keys);
    tcase_add_test(t, types_and_help);
    tcase_add_test(t, synonyms);
    tcase_add_test(t, broker_by_number);
    tcase_add_test(t, broker_without_name);
    tcase_add_test(t, others);
    tcase_add_test(t, several_resources);
    tcase_add_test(t, too_much);
    suite_add_tcase(s, t);
    return rig_main(s);
}
