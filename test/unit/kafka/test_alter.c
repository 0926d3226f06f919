/* SPDX-License-Identifier: MIT
 *
 * test_alter: AlterConfigs, IncrementalAlterConfigs and ListConfigResources, in every version: what
 * is changed is in force and survives a restart, a resource changes as a whole or not at all, what
 * is wrong says why with the right number.
 */
#include "test/unit/kafka/kclient.h"

#include <stdio.h>
#include <stdlib.h>

enum { SET, DELETE, APPEND, SUBTRACT };

struct step {
    int8_t operation;
    const char *key;
    const char *value; /* NULL: null */
};

struct outcome {
    int16_t error;
    char why[256];
};

static struct outcome outcome_of(int16_t error, struct slice message)
{
    struct outcome o = {.error = error};
    ck_assert((error == 0) == (message.p == NULL));
    if (message.p != NULL)
        (void)snprintf(o.why, sizeof o.why, "%s", kclient_text(message));
    return o;
}

static bool only_validate;

/* One resource, in steps. */
static struct outcome steps(struct kclient *c, int16_t version, int8_t type, const char *name,
                            const struct step *v, int32_t count)
{
    struct kp_incremental_alter_configs_request q = KP_INCREMENTAL_ALTER_CONFIGS_REQUEST_INIT;
    struct kp_incremental_alter_configs_request_resource r = {.type = type,
                                                              .name = slice_str(name)};
    struct kp_incremental_alter_configs_request_config configs[4];
    for (int32_t i = 0; i < count; i++)
        configs[i] = (struct kp_incremental_alter_configs_request_config){
            slice_str(v[i].key), v[i].operation,
            v[i].value != NULL ? slice_str(v[i].value) : SLICE_NULL};
    r.configs.v = configs;
    r.configs.count = count;
    q.resources.v = &r;
    q.resources.count = 1;
    q.validate_only = only_validate;
    const struct kp_incremental_alter_configs_response *a =
        kclient_ask(c, KP_API_INCREMENTAL_ALTER_CONFIGS, version, &q);
    ck_assert_int_eq(a->resources.count, 1);
    ck_assert_int_eq(a->resources.v[0].type, type);
    ck_slice(a->resources.v[0].name, name);
    return outcome_of(a->resources.v[0].error, a->resources.v[0].error_message);
}

static struct outcome step(struct kclient *c, int8_t type, const char *name, struct step s)
{
    struct outcome one = steps(c, 0, type, name, &s, 1);
    struct outcome two = steps(c, 1, type, name, &s, 1);
    ck_assert_int_eq(one.error, two.error);
    ck_assert_str_eq(one.why, two.why);
    return one;
}

/* One resource as a whole; the operations are passed over. */
static struct outcome whole(struct kclient *c, int16_t version, int8_t type, const char *name,
                            const struct step *v, int32_t count)
{
    struct kp_alter_configs_request q = KP_ALTER_CONFIGS_REQUEST_INIT;
    struct kp_alter_configs_request_resource r = {.type = type, .name = slice_str(name)};
    struct kp_alter_configs_request_config configs[4];
    for (int32_t i = 0; i < count; i++)
        configs[i] = (struct kp_alter_configs_request_config){
            slice_str(v[i].key), v[i].value != NULL ? slice_str(v[i].value) : SLICE_NULL};
    r.configs.v = configs;
    r.configs.count = count;
    q.resources.v = &r;
    q.resources.count = 1;
    q.validate_only = only_validate;
    const struct kp_alter_configs_response *a = kclient_ask(c, KP_API_ALTER_CONFIGS, version, &q);
    ck_assert_int_eq(a->resources.count, 1);
    ck_assert_int_eq(a->resources.v[0].type, type);
    ck_slice(a->resources.v[0].name, name);
    return outcome_of(a->resources.v[0].error, a->resources.v[0].error_message);
}

/* What DescribeConfigs says of a key, with its source. */
static void expect(struct kclient *c, int8_t type, const char *name, const char *key,
                   const char *value, int8_t source)
{
    struct kp_describe_configs_request q = KP_DESCRIBE_CONFIGS_REQUEST_INIT;
    struct slice keys = slice_str(key);
    struct kp_describe_configs_request_resource r = {type, slice_str(name), {&keys, 1}};
    q.resources.v = &r;
    q.resources.count = 1;
    const struct kp_describe_configs_response *a = kclient_ask(c, KP_API_DESCRIBE_CONFIGS, 4, &q);
    ck_assert_int_eq(a->resources.v[0].error, 0);
    if (value == NULL) {
        ck_assert_int_eq(a->resources.v[0].configs.count, 0);
        return;
    }
    ck_assert_int_eq(a->resources.v[0].configs.count, 1);
    ck_slice(a->resources.v[0].configs.v[0].value, value);
    ck_assert_int_eq(a->resources.v[0].configs.v[0].source, source);
}

static void begin(struct kclient *c)
{
    kclient_init(c, 1);
    kclient_open(c);
    rig_create(&c->g, "t", 1, "retention.ms=1h");
}

START_TEST(topic_in_steps)
{
    struct kclient c;
    begin(&c);
    for (int16_t v = 0; v <= 1; v++) {
        struct step set[] = {{SET, "segment.bytes", "1M"}, {DELETE, "retention.ms", "7"}};
        ck_assert_int_eq(steps(&c, v, 2, "t", set, 2).error, 0);
        expect(&c, 2, "t", "segment.bytes", "1048576", 1);
        expect(&c, 2, "t", "retention.ms", "604800000", 5);
        struct step back[] = {{DELETE, "segment.bytes", NULL}, {SET, "retention.ms", "9"}};
        ck_assert_int_eq(steps(&c, v, 2, "t", back, 2).error, 0);
        expect(&c, 2, "t", "segment.bytes", "1073741824", 5);
        expect(&c, 2, "t", "retention.ms", "9", 1);
        ck_assert_int_eq(steps(&c, v, 2, "t", NULL, 0).error, 0);
    }
    kclient_reopen(&c);
    expect(&c, 2, "t", "retention.ms", "9", 1);
    ck_assert_int_eq(step(&c, 2, "t", (struct step){APPEND, "cleanup.policy", "compact"}).error, 0);
    expect(&c, 2, "t", "cleanup.policy", "delete,compact", 1);
    ck_assert_int_eq(step(&c, 2, "t", (struct step){SUBTRACT, "cleanup.policy", "delete"}).error,
                     0);
    expect(&c, 2, "t", "cleanup.policy", "compact", 1);
    kclient_close(&c);
}
END_TEST

START_TEST(topic_as_a_whole)
{
    struct kclient c;
    begin(&c);
    for (int16_t v = 0; v <= 2; v++) {
        struct step set[] = {{SET, "segment.bytes", "1M"}, {SET, "retention.bytes", "5"}};
        ck_assert_int_eq(whole(&c, v, 2, "t", set, 2).error, 0);
        expect(&c, 2, "t", "segment.bytes", "1048576", 1);
        expect(&c, 2, "t", "retention.bytes", "5", 1);
        expect(&c, 2, "t", "retention.ms", "604800000", 5); /* not named */
        ck_assert_int_eq(whole(&c, v, 2, "t", set, 1).error, 0);
        expect(&c, 2, "t", "retention.bytes", "-1", 5);
        ck_assert_int_eq(whole(&c, v, 2, "t", set, 0).error, 0);
        expect(&c, 2, "t", "segment.bytes", "1073741824", 5);
    }
    kclient_close(&c);
}
END_TEST

/* Refused is refused as a whole. */
START_TEST(wrong_settings)
{
    struct kclient c;
    struct step v[2] = {{SET, "segment.bytes", "1M"}, {SET, "retention.ms", "soon"}};
    begin(&c);
    for (int16_t i = 0; i <= 1; i++)
        ck_assert_int_eq(steps(&c, i, 2, "t", v, 2).error, KAFKA_INVALID_CONFIG);
    for (int16_t i = 0; i <= 2; i++)
        ck_assert_int_eq(whole(&c, i, 2, "t", v, 2).error, KAFKA_INVALID_CONFIG);
    struct outcome o = step(&c, 2, "t", (struct step){SET, "retention.mss", "7"});
    ck_assert_int_eq(o.error, KAFKA_INVALID_CONFIG);
    ck_assert_ptr_nonnull(strstr(o.why, "did you mean \"retention.ms\""));
    o = step(&c, 2, "t", (struct step){SET, "segment.bytes", "13"});
    ck_assert_int_eq(o.error, KAFKA_INVALID_CONFIG);
    ck_assert_ptr_nonnull(strstr(o.why, "14"));
    o = step(&c, 2, "t", (struct step){APPEND, "retention.ms", "7"});
    ck_assert_int_eq(o.error, KAFKA_INVALID_CONFIG);
    o = step(&c, 2, "t", (struct step){SUBTRACT, "cleanup.policy", "delete"});
    ck_assert_int_eq(o.error, KAFKA_INVALID_CONFIG); /* nothing would be left */
    ck_assert_int_eq(step(&c, 2, "t", (struct step){SET, "retention.ms", NULL}).error,
                     KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(step(&c, 2, "t", (struct step){4, "retention.ms", "7"}).error,
                     KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(step(&c, 2, "t", (struct step){-1, "retention.ms", "7"}).error,
                     KAFKA_INVALID_REQUEST);
    v[0].value = NULL;
    ck_assert_int_eq(whole(&c, 2, 2, "t", v, 1).error, KAFKA_INVALID_REQUEST);
    v[0] = v[1] = (struct step){SET, "retention.ms", "5"};
    ck_assert_int_eq(steps(&c, 1, 2, "t", v, 2).error, KAFKA_INVALID_REQUEST); /* twice */
    ck_assert_int_eq(whole(&c, 2, 2, "t", v, 2).error, KAFKA_INVALID_REQUEST);
    expect(&c, 2, "t", "retention.ms", "3600000", 1);
    expect(&c, 2, "t", "segment.bytes", "1073741824", 5);
    kclient_close(&c);
}
END_TEST

START_TEST(wrong_resources)
{
    struct kclient c;
    struct step s = {SET, "retention.ms", "7"};
    static const struct {
        int8_t type;
        const char *name;
        int16_t error;
    } rows[] = {{2, "none", KAFKA_UNKNOWN_TOPIC_OR_PARTITION},
                {2, "", KAFKA_INVALID_REQUEST},
                {4, "2", KAFKA_INVALID_REQUEST},
                {4, "one", KAFKA_INVALID_REQUEST},
                {8, "1", KAFKA_INVALID_REQUEST},
                {16, "m", KAFKA_INVALID_REQUEST},
                {32, "g", KAFKA_INVALID_REQUEST},
                {0, "", KAFKA_INVALID_REQUEST},
                {99, "t", KAFKA_INVALID_REQUEST}};
    begin(&c);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_int_eq(step(&c, rows[i].type, rows[i].name, s).error, rows[i].error);
        for (int16_t v = 0; v <= 2; v++)
            ck_assert_int_eq(whole(&c, v, rows[i].type, rows[i].name, &s, 1).error, rows[i].error);
    }
    broker_stop(c.g.broker);
    ck_assert_int_eq(whole(&c, 2, 2, "t", &s, 1).error, KAFKA_NOT_CONTROLLER);
    ck_assert_int_eq(whole(&c, 2, 4, "1", NULL, 0).error, KAFKA_NOT_CONTROLLER);
    kclient_close(&c);
}
END_TEST

START_TEST(of_the_broker)
{
    struct kclient c;
    begin(&c);
    for (int16_t v = 0; v <= 1; v++) {
        struct step here[] = {{SET, "message.max.bytes", "4K"}, {SET, "num.partitions", "3"}};
        struct step all = {SET, "message.max.bytes", "8K"};
        ck_assert_int_eq(steps(&c, v, 4, "1", here, 2).error, 0);
        ck_assert_int_eq(steps(&c, v, 4, "", &all, 1).error, 0);
        if (v == 1)
            kclient_reopen(&c);
        expect(&c, 4, "1", "message.max.bytes", "4096", 2);
        expect(&c, 4, "1", "num.partitions", "3", 2);
        expect(&c, 4, "", "message.max.bytes", "8192", 3);
        expect(&c, 4, "", "num.partitions", NULL, 0);
        expect(&c, 2, "t", "max.message.bytes", "4096", 2);
        ck_assert_int_eq(whole(&c, v, 4, "1", &here[1], 1).error, 0);
        expect(&c, 4, "1", "message.max.bytes", "8192", 3);
        ck_assert_int_eq(whole(&c, v, 4, "1", NULL, 0).error, 0);
        expect(&c, 4, "1", "num.partitions", "1", 5);
        all.operation = DELETE;
        ck_assert_int_eq(steps(&c, v, 4, "", &all, 1).error, 0);
        expect(&c, 4, "1", "message.max.bytes", "1048588", 5);
        ck_assert_int_eq(steps(&c, v, 4, "1", NULL, 0).error, 0);
    }
    ck_assert_int_eq(step(&c, 4, "1", (struct step){APPEND, "log.cleanup.policy", "compact"}).error,
                     0);
    expect(&c, 4, "1", "log.cleanup.policy", "delete,compact", 2);
    struct outcome o = step(&c, 4, "1", (struct step){SET, "listeners", "PLAINTEXT://:1"});
    ck_assert_int_eq(o.error, KAFKA_INVALID_CONFIG);
    ck_assert_ptr_nonnull(strstr(o.why, "restart"));
    ck_assert_int_eq(step(&c, 4, "", (struct step){SET, "node.id", "4"}).error,
                     KAFKA_INVALID_CONFIG);
    o = step(&c, 4, "", (struct step){SET, "message.max.byte", "4"});
    ck_assert_int_eq(o.error, KAFKA_INVALID_CONFIG);
    ck_assert_ptr_nonnull(strstr(o.why, "did you mean \"message.max.bytes\""));
    kclient_close(&c);
}
END_TEST

START_TEST(to_validate)
{
    struct kclient c;
    struct step v = {SET, "retention.ms", "7"}, b = {SET, "num.partitions", "3"};
    begin(&c);
    only_validate = true;
    ck_assert_int_eq(step(&c, 2, "t", v).error, 0);
    ck_assert_int_eq(whole(&c, 2, 2, "t", NULL, 0).error, 0);
    ck_assert_int_eq(step(&c, 4, "1", b).error, 0);
    ck_assert_int_eq(whole(&c, 2, 4, "", &b, 1).error, 0);
    expect(&c, 2, "t", "retention.ms", "3600000", 1);
    expect(&c, 4, "1", "num.partitions", "1", 5);
    v.value = "x";
    b.value = "0";
    ck_assert_int_eq(step(&c, 2, "t", v).error, KAFKA_INVALID_CONFIG);
    ck_assert_int_eq(step(&c, 4, "1", b).error, KAFKA_INVALID_CONFIG);
    kclient_close(&c);
}
END_TEST

/* Each for itself, in order; those named twice are refused, each of them. */
START_TEST(several)
{
    struct kclient c;
    struct kp_alter_configs_request q = KP_ALTER_CONFIGS_REQUEST_INIT;
    struct kp_alter_configs_request_config good = {slice_str("retention.ms"), slice_str("5")};
    struct kp_alter_configs_request_config node = {slice_str("num.partitions"), slice_str("5")};
    struct kp_alter_configs_request_resource r[] = {
        {2, slice_str("t"), {&good, 1}},    {2, slice_str("u"), {&good, 1}},
        {4, slice_str("1"), {&node, 1}},    {2, slice_str("u"), {&good, 1}},
        {2, slice_str("none"), {&good, 1}}, {4, slice_str(""), {&node, 1}},
        {2, slice_str("1"), {&node, 1}}};
    static const int16_t want[] = {
        0, KAFKA_INVALID_REQUEST, 0, KAFKA_INVALID_REQUEST, KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
        0, KAFKA_INVALID_CONFIG};
    begin(&c);
    rig_create(&c.g, "u", 1, NULL);
    rig_create(&c.g, "1", 1, NULL);
    q.resources.v = r;
    q.resources.count = 7;
    const struct kp_alter_configs_response *a = kclient_ask(&c, KP_API_ALTER_CONFIGS, 2, &q);
    ck_assert_int_eq(a->resources.count, 7);
    for (int i = 0; i < 7; i++) {
        ck_slice(a->resources.v[i].name, kclient_text(r[i].name));
        ck_assert_int_eq(a->resources.v[i].error, want[i]);
    }
    expect(&c, 2, "t", "retention.ms", "5", 1);
    expect(&c, 2, "u", "retention.ms", "604800000", 5);
    expect(&c, 4, "1", "num.partitions", "5", 2);
    expect(&c, 4, "", "num.partitions", "5", 3);
    q.resources.count = 0;
    a = kclient_ask(&c, KP_API_ALTER_CONFIGS, 2, &q);
    ck_assert_int_eq(a->resources.count, 0);
    kclient_close(&c);
}
END_TEST

START_TEST(too_many)
{
    enum { COUNT = 4097 };
    struct kclient c;
    struct kp_incremental_alter_configs_request q = KP_INCREMENTAL_ALTER_CONFIGS_REQUEST_INIT;
    struct kp_incremental_alter_configs_request_resource *v = calloc(COUNT, sizeof *v);
    struct kp_incremental_alter_configs_request_config *keys = calloc(COUNT, sizeof *keys);
    begin(&c);
    for (int i = 0; i < COUNT; i++) {
        v[i].name = slice_str("t");
        keys[i].name = keys[i].value = slice_str("k");
    }
    q.resources.v = v;
    v[0].type = 2;
    v[0].configs.v = keys;
    v[0].configs.count = COUNT;
    q.resources.count = 1;
    const struct kp_incremental_alter_configs_response *a =
        kclient_ask(&c, KP_API_INCREMENTAL_ALTER_CONFIGS, 1, &q);
    ck_assert_int_eq(a->resources.v[0].error, KAFKA_INVALID_REQUEST);
    v[0].configs.count = 0;
    q.resources.count = COUNT;
    kclient_send(&c, KP_API_INCREMENTAL_ALTER_CONFIGS, 1, &q);
    ck_assert_ptr_null(kclient_receive(&c, KP_API_INCREMENTAL_ALTER_CONFIGS, 1));
    free(keys);
    free(v);
    kclient_close(&c);
}
END_TEST

static const struct kp_list_config_resources_response *list(struct kclient *c, int16_t version,
                                                            const int8_t *types, int32_t count)
{
    struct kp_list_config_resources_request q = KP_LIST_CONFIG_RESOURCES_REQUEST_INIT;
    q.types.v = types;
    q.types.count = count;
    return kclient_ask(c, KP_API_LIST_CONFIG_RESOURCES, version, &q);
}

START_TEST(resources)
{
    struct kclient c;
    static const int8_t topics = 2, nobody[] = {16, 32}, unknown[] = {2, 3};
    begin(&c);
    rig_create(&c.g, "a", 1, NULL);
    const struct kp_list_config_resources_response *a = list(&c, 0, NULL, 0);
    ck_assert_int_eq(a->error, 0);
    ck_assert_int_eq(a->resources.count, 0);
    a = list(&c, 1, NULL, 0);
    ck_assert_int_eq(a->resources.count, 4);
    ck_slice(a->resources.v[0].name, "a");
    ck_slice(a->resources.v[1].name, "t");
    ck_slice(a->resources.v[2].name, "1");
    ck_assert_int_eq(a->resources.v[2].type, 4);
    ck_assert_int_eq(a->resources.v[3].type, 8);
    a = list(&c, 1, &topics, 1);
    ck_assert_int_eq(a->resources.count, 2);
    ck_assert_int_eq(a->resources.v[0].type, 2);
    a = list(&c, 1, nobody, 2);
    ck_assert_int_eq(a->error, 0);
    ck_assert_int_eq(a->resources.count, 0);
    a = list(&c, 1, unknown, 2);
    ck_assert_int_eq(a->error, KAFKA_UNSUPPORTED_VERSION);
    ck_assert_int_eq(a->resources.count, 0);
    kclient_close(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kafka alter");
    TCase *t = tcase_create("alter");
    tcase_add_test(t, topic_in_steps);
    tcase_add_test(t, topic_as_a_whole);
    tcase_add_test(t, wrong_settings);
    tcase_add_test(t, wrong_resources);
    tcase_add_test(t, of_the_broker);
    tcase_add_test(t, to_validate);
    tcase_add_test(t, several);
    tcase_add_test(t, too_many);
    tcase_add_test(t, resources);
    suite_add_tcase(s, t);
    return rig_main(s);
}
