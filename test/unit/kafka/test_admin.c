/* SPDX-License-Identifier: MIT
 *
 * test_admin: CreateTopics, DeleteTopics, CreatePartitions and DescribeAcls, in every version: what
 * is made is there, what is refused says why with the right number, and one topic's fault is not
 * its neighbour's.
 */
#include "test/unit/kafka/kclient.h"

#include <stdlib.h>

/* --- create --- */

static struct kp_create_topics_request_topic named(const char *name, int32_t partitions)
{
    struct kp_create_topics_request_topic t = KP_CREATE_TOPICS_REQUEST_TOPIC_INIT;
    t.name = slice_str(name);
    t.partition_count = partitions;
    t.replication_factor = partitions < 0 ? -1 : 1;
    return t;
}

static const struct kp_create_topics_response *
create(struct kclient *c, int16_t version, const struct kp_create_topics_request_topic *v,
       int32_t count, bool validate_only)
{
    struct kp_create_topics_request q = KP_CREATE_TOPICS_REQUEST_INIT;
    q.topics.v = v;
    q.topics.count = count;
    q.validate_only = validate_only;
    return kclient_ask(c, KP_API_CREATE_TOPICS, version, &q);
}

/* One topic alone. */
static struct kp_create_topics_response_topic create_one(struct kclient *c, int16_t version,
                                                         struct kp_create_topics_request_topic t)
{
    const struct kp_create_topics_response *a = create(c, version, &t, 1, false);
    ck_assert_int_eq(a->throttle_time_ms, 0);
    ck_assert_int_eq(a->topics.count, 1);
    ck_slice(a->topics.v[0].name, kclient_text(t.name));
    ck_assert((a->topics.v[0].error == 0) == (a->topics.v[0].error_message.p == NULL));
    return a->topics.v[0];
}

static int32_t partitions_of(struct kclient *c, const char *topic)
{
    struct broker_topic_info info;
    return broker_topic(c->g.broker, slice_str(topic), &info) == 0 ? info.partition_count : -1;
}

static const struct kp_create_topics_response_config *
config_of(const struct kp_create_topics_response_topic *t, const char *name)
{
    for (int32_t i = 0; i < t->configs.count; i++)
        if (slice_equal(t->configs.v[i].name, slice_str(name)))
            return &t->configs.v[i];
    ck_abort_msg("no config %s", name);
    return NULL;
}

START_TEST(create_in_every_version)
{
    struct kclient c;
    static const char *const names[] = {"v2", "v3", "v4", "v5", "v6", "v7"};
    kclient_init(&c, 1);
    rig_set(&c.g, "num.partitions", "4");
    kclient_open(&c);
    for (int16_t v = 2; v <= 7; v++) {
        const char *name = names[v - 2];
        struct broker_topic_info info;
        struct kp_create_topics_response_topic a = create_one(&c, v, named(name, v));
        ck_assert_int_eq(a.error, 0);
        ck_assert_int_eq(partitions_of(&c, name), v);
        ck_assert_int_eq(a.partition_count, v >= 5 ? v : -1);
        ck_assert_int_eq(a.replication_factor, v >= 5 ? 1 : -1);
        ck_assert_int_eq(broker_topic(c.g.broker, slice_str(name), &info), 0);
        ck_assert_int_eq(memcmp(a.topic_id.b, info.id, 16) == 0, v >= 7);
        a = create_one(&c, v, named(name, v));
        ck_assert_int_eq(a.error, KAFKA_TOPIC_ALREADY_EXISTS);
        ck_assert_int_eq(a.partition_count, -1);
        ck_assert_int_eq(a.configs.count, v >= 5 ? 0 : -1);
    }
    struct kp_create_topics_response_topic a = create_one(&c, 7, named("default", -1));
    ck_assert_int_eq(a.error, 0);
    ck_assert_int_eq(a.partition_count, 4);
    ck_assert_int_eq(partitions_of(&c, "default"), 4);
    kclient_close(&c);
}
END_TEST

START_TEST(create_with_configs)
{
    struct kclient c;
    struct kp_create_topics_request_config v[3] = {
        {slice_str("retention.ms"), slice_str("1h")},
        {slice_str("cleanup.policy"), slice_str("compact")},
        {slice_str("segment.bytes"), SLICE_NULL}, /* the default */
    };
    kclient_init(&c, 2);
    rig_set(&c.g, "log.segment.bytes", "64K");
    kclient_open(&c);
    ck_assert_int_eq(rig_alter_broker(&c.g, "message.max.bytes", "4K"), BROKER_OK);
    struct kp_create_topics_request_topic t = named("t", 1);
    t.configs.v = v;
    t.configs.count = 3;
    struct kp_create_topics_response_topic a = create_one(&c, 5, t);
    ck_assert_int_eq(a.error, 0);
    ck_assert_int_gt(a.configs.count, 30);
    ck_slice(config_of(&a, "retention.ms")->value, "3600000");
    ck_assert_int_eq(config_of(&a, "retention.ms")->source, 1);
    ck_slice(config_of(&a, "cleanup.policy")->value, "compact");
    ck_slice(config_of(&a, "segment.bytes")->value, "65536");
    ck_assert_int_eq(config_of(&a, "segment.bytes")->source, 4);
    ck_slice(config_of(&a, "max.message.bytes")->value, "4096");
    ck_assert_int_eq(config_of(&a, "max.message.bytes")->source, 2);
    ck_slice(config_of(&a, "segment.ms")->value, "604800000");
    ck_assert_int_eq(config_of(&a, "segment.ms")->source, 5);
    ck_assert(!config_of(&a, "segment.ms")->read_only);
    t.name = slice_str("u");
    v[0].value = slice_str("soon");
    a = create_one(&c, 5, t);
    ck_assert_int_eq(a.error, KAFKA_INVALID_CONFIG);
    v[0].name = slice_str("no.such.key");
    ck_assert_int_eq(create_one(&c, 2, t).error, KAFKA_INVALID_CONFIG);
    ck_assert(!rig_has_topic(&c.g, "u"));
    kclient_close(&c);
}
END_TEST

START_TEST(create_refused)
{
    struct kclient c;
    kclient_init(&c, 3);
    kclient_open(&c);
    struct kp_create_topics_request_topic t = named("t", 1);
    t.replication_factor = 3;
    ck_assert_int_eq(create_one(&c, 7, t).error, KAFKA_INVALID_REPLICATION_FACTOR);
    t.replication_factor = 0;
    ck_assert_int_eq(create_one(&c, 7, t).error, KAFKA_INVALID_REPLICATION_FACTOR);
    ck_assert_int_eq(create_one(&c, 7, named("t", 0)).error, KAFKA_INVALID_PARTITIONS);
    ck_assert_int_eq(create_one(&c, 7, named("t", -2)).error, KAFKA_INVALID_PARTITIONS);
    ck_assert_int_eq(create_one(&c, 7, named("", 1)).error, KAFKA_INVALID_TOPIC);
    ck_assert_int_eq(create_one(&c, 7, named("a b", 1)).error, KAFKA_INVALID_TOPIC);
    ck_assert_int_eq(create_one(&c, 7, named("..", 1)).error, KAFKA_INVALID_TOPIC);
    ck_assert_int_eq(create_one(&c, 7, named("__own", 1)).error, KAFKA_INVALID_TOPIC);
    ck_assert_int_eq(create_one(&c, 7, named("a.b", 1)).error, 0);
    ck_assert_int_eq(create_one(&c, 7, named("a_b", 1)).error, KAFKA_INVALID_TOPIC);
    ck_assert_int_eq(create_one(&c, 7, named("a.b", 1)).error, KAFKA_TOPIC_ALREADY_EXISTS);
    ck_assert_int_eq(partitions_of(&c, "t"), -1);
    kclient_close(&c);
}
END_TEST

/* Good, bad and twice named in one request: each for itself, each name answered once, in order. */
START_TEST(create_several)
{
    struct kclient c;
    struct kp_create_topics_request_topic t[] = {named("a", 1), named("twice", 1),
                                                 named("b", 0), named("twice", 2),
                                                 named("c", 3), named("twice", 1)};
    static const struct {
        const char *name;
        int16_t error;
    } want[] = {
        {"a", 0}, {"twice", KAFKA_INVALID_REQUEST}, {"b", KAFKA_INVALID_PARTITIONS}, {"c", 0}};
    kclient_init(&c, 4);
    kclient_open(&c);
    const struct kp_create_topics_response *a = create(&c, 7, t, 6, false);
    ck_assert_int_eq(a->topics.count, 4);
    for (int i = 0; i < 4; i++) {
        ck_slice(a->topics.v[i].name, want[i].name);
        ck_assert_int_eq(a->topics.v[i].error, want[i].error);
    }
    ck_assert_int_eq(partitions_of(&c, "a"), 1);
    ck_assert_int_eq(partitions_of(&c, "c"), 3);
    ck_assert_int_eq(partitions_of(&c, "twice"), -1);
    ck_assert_int_eq(create(&c, 7, t, 0, false)->topics.count, 0);
    kclient_close(&c);
}
END_TEST

START_TEST(create_to_validate)
{
    struct kclient c;
    struct kp_create_topics_request_config v = {slice_str("retention.ms"), slice_str("7")};
    struct kp_create_topics_request_topic t[2] = {named("t", 3), named("u", 0)};
    static const struct kp_uuid zero;
    kclient_init(&c, 5);
    kclient_open(&c);
    t[0].configs.v = &v;
    t[0].configs.count = 1;
    const struct kp_create_topics_response *a = create(&c, 7, t, 2, true);
    ck_assert_int_eq(a->topics.v[0].error, 0);
    ck_assert_int_eq(a->topics.v[0].partition_count, 3);
    ck_assert_mem_eq(&a->topics.v[0].topic_id, &zero, sizeof zero);
    ck_slice(config_of(&a->topics.v[0], "retention.ms")->value, "7");
    ck_assert_int_eq(a->topics.v[1].error, KAFKA_INVALID_PARTITIONS);
    ck_assert_int_eq(partitions_of(&c, "t"), -1);
    kclient_close(&c);
}
END_TEST

START_TEST(create_assigned)
{
    struct kclient c;
    int32_t here = 1, there = 2, both[2] = {1, 2};
    struct kp_create_topics_request_assignment v[2] = {{1, {&here, 1}}, {0, {&here, 1}}};
    kclient_init(&c, 6);
    kclient_open(&c);
    struct kp_create_topics_request_topic t = named("t", -1);
    t.assignments.v = v;
    t.assignments.count = 2;
    ck_assert_int_eq(create_one(&c, 4, t).error, 0);
    ck_assert_int_eq(partitions_of(&c, "t"), 2);
    t.name = slice_str("u");
    v[1].index = 1; /* twice, and no 0 */
    ck_assert_int_eq(create_one(&c, 4, t).error, KAFKA_INVALID_REPLICA_ASSIGNMENT);
    v[1].index = 2;
    ck_assert_int_eq(create_one(&c, 4, t).error, KAFKA_INVALID_REPLICA_ASSIGNMENT);
    v[1].index = -1;
    ck_assert_int_eq(create_one(&c, 4, t).error, KAFKA_INVALID_REPLICA_ASSIGNMENT);
    v[1].index = 0;
    v[1].broker_ids.v = &there;
    ck_assert_int_eq(create_one(&c, 4, t).error, KAFKA_INVALID_REPLICA_ASSIGNMENT);
    v[1].broker_ids.v = both;
    v[1].broker_ids.count = 2;
    ck_assert_int_eq(create_one(&c, 4, t).error, KAFKA_INVALID_REPLICA_ASSIGNMENT);
    v[1].broker_ids.count = 0;
    ck_assert_int_eq(create_one(&c, 4, t).error, KAFKA_INVALID_REPLICA_ASSIGNMENT);
    v[1].broker_ids.count = 1;
    t.partition_count = 2;
    ck_assert_int_eq(create_one(&c, 4, t).error, KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(partitions_of(&c, "u"), -1);
    kclient_close(&c);
}
END_TEST

/* --- delete --- */

static struct kp_delete_topics_response_topic delete_one(struct kclient *c, int16_t version,
                                                         const char *name, const uint8_t *id)
{
    struct kp_delete_topics_request q = KP_DELETE_TOPICS_REQUEST_INIT;
    struct kp_delete_topics_request_topic t = {.name = name ? slice_str(name) : SLICE_NULL};
    struct slice plain = t.name;
    if (id != NULL)
        memcpy(t.topic_id.b, id, 16);
    q.topics.v = &t;
    q.topic_names.v = &plain;
    q.topics.count = version >= 6;
    q.topic_names.count = version < 6;
    const struct kp_delete_topics_response *a = kclient_ask(c, KP_API_DELETE_TOPICS, version, &q);
    ck_assert_int_eq(a->topics.count, 1);
    if (version >= 5)
        ck_assert((a->topics.v[0].error == 0) == (a->topics.v[0].error_message.p == NULL));
    return a->topics.v[0];
}

/* What tools print. */
START_TEST(messages_in_kafkas_words)
{
    struct kclient c;
    struct kp_create_topics_request_topic t = KP_CREATE_TOPICS_REQUEST_TOPIC_INIT;
    kclient_init(&c, 6);
    kclient_open(&c);
    rig_create(&c.g, "t", 1, NULL);
    t.name = slice_str("t");
    t.partition_count = t.replication_factor = 1;
    ck_slice(create_one(&c, 7, t).error_message, "Topic 't' already exists.");
    t.name = slice_str("u");
    t.replication_factor = 3;
    struct kp_create_topics_response_topic a = create_one(&c, 7, t);
    ck_assert_int_eq(a.error, KAFKA_INVALID_REPLICATION_FACTOR);
    ck_slice(a.error_message,
             "Unable to replicate the partition 3 time(s): The target replication factor of 3 "
             "cannot be reached because only 1 broker(s) are registered.");
    kclient_close(&c);
}
END_TEST

START_TEST(delete_in_every_version)
{
    struct kclient c;
    kclient_init(&c, 7);
    kclient_open(&c);
    for (int16_t v = 1; v <= 6; v++) {
        struct broker_topic_info info;
        rig_create(&c.g, "t", 2, NULL);
        rig_put_tag(&c.g, "t", 1);
        ck_assert_int_eq(broker_topic(c.g.broker, slice_str("t"), &info), 0);
        uint8_t id[16];
        memcpy(id, info.id, 16);
        struct kp_delete_topics_response_topic a = delete_one(&c, v, "t", NULL);
        ck_slice(a.name, "t");
        ck_assert_int_eq(a.error, 0);
        ck_assert_int_eq(memcmp(a.topic_id.b, id, 16) == 0, v >= 6);
        ck_assert(!rig_has_topic(&c.g, "t"));
        ck_assert(!rig_has_folder(&c.g, "t-"));
        a = delete_one(&c, v, "t", NULL);
        ck_slice(a.name, "t");
        ck_assert_int_eq(a.error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
    kclient_close(&c);
}
END_TEST

START_TEST(delete_by_id)
{
    struct kclient c;
    struct broker_topic_info info;
    uint8_t id[16];
    kclient_init(&c, 8);
    kclient_open(&c);
    rig_create(&c.g, "t", 1, NULL);
    ck_assert_int_eq(broker_topic(c.g.broker, slice_str("t"), &info), 0);
    memcpy(id, info.id, 16);
    ck_assert_int_eq(delete_one(&c, 6, "t", id).error, KAFKA_INVALID_REQUEST); /* both */
    ck_assert_int_eq(delete_one(&c, 6, NULL, NULL).error, KAFKA_INVALID_REQUEST);
    ck_assert(rig_has_topic(&c.g, "t"));
    struct kp_delete_topics_response_topic a = delete_one(&c, 6, NULL, id);
    ck_assert_int_eq(a.error, 0);
    ck_slice(a.name, "t");
    ck_assert_mem_eq(a.topic_id.b, id, 16);
    ck_assert(!rig_has_topic(&c.g, "t"));
    a = delete_one(&c, 6, NULL, id);
    ck_assert_int_eq(a.error, KAFKA_UNKNOWN_TOPIC_ID);
    ck_slice(a.name, "(null)");
    ck_assert_mem_eq(a.topic_id.b, id, 16);
    kclient_close(&c);
}
END_TEST

START_TEST(delete_several)
{
    struct kclient c;
    struct broker_topic_info info;
    struct kp_delete_topics_request q = KP_DELETE_TOPICS_REQUEST_INIT;
    struct kp_delete_topics_request_topic t[4] = {{.name = slice_str("a")},
                                                  {.name = slice_str("none")},
                                                  {.name = SLICE_NULL}, /* "b", by id */
                                                  {.name = slice_str("b")}};
    kclient_init(&c, 9);
    kclient_open(&c);
    rig_create(&c.g, "a", 1, NULL);
    rig_create(&c.g, "b", 1, NULL);
    ck_assert_int_eq(broker_topic(c.g.broker, slice_str("b"), &info), 0);
    memcpy(t[2].topic_id.b, info.id, 16);
    q.topics.v = t;
    q.topics.count = 4;
    const struct kp_delete_topics_response *a = kclient_ask(&c, KP_API_DELETE_TOPICS, 6, &q);
    ck_assert_int_eq(a->topics.count, 3);
    ck_assert_int_eq(a->topics.v[0].error, 0);
    ck_assert_int_eq(a->topics.v[1].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(a->topics.v[2].error, KAFKA_INVALID_REQUEST);
    ck_assert(!rig_has_topic(&c.g, "a"));
    ck_assert(rig_has_topic(&c.g, "b"));
    kclient_close(&c);
}
END_TEST

START_TEST(delete_disabled)
{
    struct kclient c;
    kclient_init(&c, 10);
    rig_set(&c.g, "delete.topic.enable", "false");
    kclient_open(&c);
    rig_create(&c.g, "t", 1, NULL);
    for (int16_t v = 1; v <= 6; v++)
        ck_assert_int_eq(delete_one(&c, v, "t", NULL).error,
                         v < 3 ? KAFKA_INVALID_REQUEST : KAFKA_TOPIC_DELETION_DISABLED);
    ck_assert(rig_has_topic(&c.g, "t"));
    kclient_close(&c);
}
END_TEST

/* --- partitions --- */

static struct kp_create_partitions_request_topic grown(const char *name, int32_t count)
{
    struct kp_create_partitions_request_topic t = KP_CREATE_PARTITIONS_REQUEST_TOPIC_INIT;
    t.name = slice_str(name);
    t.count = count;
    return t;
}

static const struct kp_create_partitions_response *
grow(struct kclient *c, int16_t version, const struct kp_create_partitions_request_topic *v,
     int32_t count, bool validate_only)
{
    struct kp_create_partitions_request q = KP_CREATE_PARTITIONS_REQUEST_INIT;
    q.topics.v = v;
    q.topics.count = count;
    q.validate_only = validate_only;
    return kclient_ask(c, KP_API_CREATE_PARTITIONS, version, &q);
}

static int16_t grow_one(struct kclient *c, int16_t version,
                        struct kp_create_partitions_request_topic t)
{
    const struct kp_create_partitions_response *a = grow(c, version, &t, 1, false);
    ck_assert_int_eq(a->topics.count, 1);
    ck_slice(a->topics.v[0].name, kclient_text(t.name));
    ck_assert((a->topics.v[0].error == 0) == (a->topics.v[0].error_message.p == NULL));
    return a->topics.v[0].error;
}

START_TEST(more_partitions)
{
    struct kclient c;
    kclient_init(&c, 11);
    kclient_open(&c);
    rig_create(&c.g, "t", 1, NULL);
    for (int16_t v = 0; v <= 3; v++) {
        ck_assert_int_eq(grow_one(&c, v, grown("t", v + 2)), 0);
        ck_assert_int_eq(partitions_of(&c, "t"), v + 2);
        ck_assert_int_eq(grow_one(&c, v, grown("t", v + 2)), KAFKA_INVALID_PARTITIONS);
        ck_assert_int_eq(grow_one(&c, v, grown("t", 1)), KAFKA_INVALID_PARTITIONS);
        ck_assert_int_eq(grow_one(&c, v, grown("none", 9)), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
    struct kp_create_partitions_request_topic t[3] = {grown("t", 9), grown("none", 2),
                                                      grown("t", 10)};
    const struct kp_create_partitions_response *a = grow(&c, 3, t, 1, true);
    ck_assert_int_eq(a->topics.v[0].error, 0);
    ck_assert_int_eq(partitions_of(&c, "t"), 5); /* only looked at */
    a = grow(&c, 3, t, 3, false);
    ck_assert_int_eq(a->topics.count, 2);
    ck_assert_int_eq(a->topics.v[0].error, KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(a->topics.v[1].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(partitions_of(&c, "t"), 5);
    kclient_close(&c);
}
END_TEST

START_TEST(more_partitions_assigned)
{
    struct kclient c;
    int32_t here = 1, there = 2;
    struct kp_create_partitions_request_assignment v[2] = {{{&here, 1}}, {{&here, 1}}};
    kclient_init(&c, 12);
    kclient_open(&c);
    rig_create(&c.g, "t", 1, NULL);
    struct kp_create_partitions_request_topic t = grown("t", 3);
    t.assignments.v = v;
    t.assignments.count = 1;
    ck_assert_int_eq(grow_one(&c, 3, t), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    t.assignments.count = 2;
    v[1].broker_ids.v = &there;
    ck_assert_int_eq(grow_one(&c, 3, t), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_int_eq(partitions_of(&c, "t"), 1);
    v[1].broker_ids.v = &here;
    ck_assert_int_eq(grow_one(&c, 0, t), 0);
    ck_assert_int_eq(partitions_of(&c, "t"), 3);
    kclient_close(&c);
}
END_TEST

/* --- the rest --- */

START_TEST(no_acls)
{
    struct kclient c;
    struct kp_describe_acls_request q = KP_DESCRIBE_ACLS_REQUEST_INIT;
    kclient_init(&c, 13);
    kclient_open(&c);
    for (int16_t v = 1; v <= 3; v++) {
        const struct kp_describe_acls_response *a = kclient_ask(&c, KP_API_DESCRIBE_ACLS, v, &q);
        ck_assert_int_eq(a->error, KAFKA_SECURITY_DISABLED);
        ck_assert_uint_gt(a->error_message.size, 0);
        ck_assert_int_eq(a->resources.count, 0);
    }
    kclient_close(&c);
}
END_TEST

/* Too much for one request ends the connection, and only that. */
START_TEST(too_many)
{
    enum { COUNT = 4097 };
    struct kclient c;
    struct kp_create_partitions_request q = KP_CREATE_PARTITIONS_REQUEST_INIT;
    struct kp_create_partitions_request_topic *v = calloc(COUNT, sizeof *v);
    struct kafka_stats stats;
    kclient_init(&c, 14);
    kclient_open(&c);
    for (int i = 0; i < COUNT; i++)
        v[i] = grown("t", 2);
    q.topics.v = v;
    q.topics.count = COUNT;
    kclient_send(&c, KP_API_CREATE_PARTITIONS, 3, &q);
    ck_assert_ptr_null(kclient_receive(&c, KP_API_CREATE_PARTITIONS, 3));
    kafka_stats(c.k, &stats);
    ck_assert_uint_eq(stats.refused, 1);
    ck_assert_uint_eq(stats.running, 0);
    free(v);
    kclient_close(&c);
}
END_TEST

/* The client leaves while its topics are made: they are made, nothing is left over. */
START_TEST(client_leaves)
{
    struct kclient c;
    struct kp_create_topics_request q = KP_CREATE_TOPICS_REQUEST_INIT;
    struct kp_create_topics_request_topic t[2] = {named("a", 1), named("b", 1)};
    struct kafka_stats stats = {0};
    kclient_init(&c, 15);
    kclient_open(&c);
    q.topics.v = t;
    q.topics.count = 2;
    c.frozen = true;
    kclient_send(&c, KP_API_CREATE_TOPICS, 7, &q);
    for (int i = 0; i < 1000 && stats.running == 0; i++) {
        kclient_turn(&c);
        kafka_stats(c.k, &stats);
    }
    ck_assert_uint_eq(stats.running, 1);
    kclient_hang_up(&c);
    for (int i = 0; i < 1000 && stats.connections > 0; i++) {
        kclient_turn(&c);
        kafka_stats(c.k, &stats);
    }
    ck_assert_uint_eq(stats.connections, 0);
    ck_assert_uint_eq(stats.running, 1);
    c.frozen = false;
    kclient_turn(&c);
    kafka_stats(c.k, &stats);
    ck_assert_uint_eq(stats.running, 0);
    ck_assert_int_eq(partitions_of(&c, "a"), 1);
    ck_assert_int_eq(partitions_of(&c, "b"), 1);
    kclient_close(&c);
}
END_TEST

/* A broker that stops is no controller any more. */
START_TEST(while_stopping)
{
    struct kclient c;
    kclient_init(&c, 16);
    kclient_open(&c);
    rig_create(&c.g, "t", 1, NULL);
    broker_stop(c.g.broker);
    ck_assert_int_eq(create_one(&c, 7, named("u", 1)).error, KAFKA_NOT_CONTROLLER);
    ck_assert_int_eq(delete_one(&c, 6, "t", NULL).error, KAFKA_NOT_CONTROLLER);
    ck_assert_int_eq(grow_one(&c, 3, grown("t", 5)), KAFKA_NOT_CONTROLLER);
    kclient_close(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kafka admin");
    TCase *t = tcase_create("admin");
    tcase_add_test(t, create_in_every_version);
    tcase_add_test(t, create_with_configs);
    tcase_add_test(t, create_refused);
    tcase_add_test(t, create_several);
    tcase_add_test(t, create_to_validate);
    tcase_add_test(t, create_assigned);
    tcase_add_test(t, messages_in_kafkas_words);
    tcase_add_test(t, delete_in_every_version);
    tcase_add_test(t, delete_by_id);
    tcase_add_test(t, delete_several);
    tcase_add_test(t, delete_disabled);
    tcase_add_test(t, more_partitions);
    tcase_add_test(t, more_partitions_assigned);
    tcase_add_test(t, no_acls);
    tcase_add_test(t, too_many);
    tcase_add_test(t, client_leaves);
    tcase_add_test(t, while_stopping);
    suite_add_tcase(s, t);
    return rig_main(s);
}
