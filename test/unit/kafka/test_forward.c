/* SPDX-License-Identifier: MIT
 *
 * test_forward: what clients ask of any broker although the leader decides it: a follower (fleet.h)
 * has the leader do it. And everything of groups that a follower leaves to their coordinator.
 */
#include "test/unit/kafka/fleet.h"

#include <stdio.h>

static struct fleet f;

static void setup(void)
{
    fleet_open(&f);
}

static void teardown(void)
{
    fleet_close(&f);
}

static const struct kp_init_producer_id_response *producer(void)
{
    struct kp_init_producer_id_request q = KP_INIT_PRODUCER_ID_REQUEST_INIT;
    q.producer_id = -1;
    q.producer_epoch = -1;
    return kclient_ask(&f.c, KP_API_INIT_PRODUCER_ID, 4, &q);
}

START_TEST(producer_ids)
{
    int64_t last = -1;
    for (int i = 0; i < 6; i++) { /* no two the same, wherever they are asked for */
        fleet_ask(&f, 1 + i % 3);
        const struct kp_init_producer_id_response *a = producer();
        ck_assert_int_eq(a->error, 0);
        ck_assert_int_eq(a->producer_epoch, 0);
        ck_assert_int_gt(a->producer_id, last);
        last = a->producer_id;
    }
    enum broker_status s = world_promote(&f.w, 2, false);
    ck_assert_msg(s == BROKER_OK, "%d: %s", s, f.w.said);
    world_run(&f.w, 3000);
    fleet_ask(&f, 1);
    const struct kp_init_producer_id_response *a = producer();
    ck_assert_int_eq(a->error, 0);
    ck_assert_int_gt(a->producer_id, last);
}
END_TEST

/* Every client takes this one as "again, soon". */
START_TEST(producer_ids_of_nobody)
{
    f.w.cut[2][1] = true;
    fleet_ask(&f, 2);
    ck_assert_int_eq(producer()->error, KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    world_run(&f.w, 20000); /* by now it knows that it has no leader */
    ck_assert_int_eq(producer()->error, KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    ck_assert_int_eq(producer()->producer_id, -1);
    f.w.cut[2][1] = false;
    world_run(&f.w, 5000);
    ck_assert_int_eq(producer()->error, 0);
}
END_TEST

/* Of a broker that stops, or dies, with changes on their way. */
START_TEST(changes_of_one_that_goes)
{
    struct rig_admin a;
    f.w.cut[2][1] = true;
    rig_admin_init(&a, BROKER_INIT_PRODUCER, "");
    a.req.forward = true;
    rig_admin_start(&f.w.nodes[2].rig, &a);
    world_run(&f.w, 100);
    ck_assert_uint_eq(a.done, 0);
    world_stop(&f.w, 2);
    ck_assert_uint_eq(a.done, 1);
    ck_assert_int_ne(a.req.status, BROKER_OK);
    rig_admin_init(&a, BROKER_INIT_PRODUCER, "");
    a.req.forward = true;
    rig_admin_start(&f.w.nodes[3].rig, &a);
    world_kill(&f.w, 3);
    ck_assert_uint_eq(a.done, 0);
}
END_TEST

START_TEST(topics_on_first_use)
{
    fleet_ask(&f, 2);
    int16_t error = fleet_metadata(&f, 12, "made", true)->topics.v[0].error;
    ck_assert(error == 0 || error == KAFKA_LEADER_NOT_AVAILABLE);
    world_run(&f.w, 1000);
    const struct kp_metadata_response *a = fleet_metadata(&f, 12, "made", false);
    ck_assert_int_eq(a->topics.v[0].error, 0);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].leader_id, 1);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].replicas.count, 3);
    ck_assert_int_eq(fleet_metadata(&f, 12, "no/name", true)->topics.v[0].error,
                     KAFKA_INVALID_TOPIC);
    ck_assert_int_eq(fleet_metadata(&f, 12, "unmade", false)->topics.v[0].error,
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}
END_TEST

struct in_force {
    const char *key;
    char value[64];
};

static void in_force_take(void *ctx, const char *key, const char *value, const char *source,
                          const char *help)
{
    struct in_force *i = ctx;
    ck_assert(source != NULL && help != NULL);
    if (strcmp(key, i->key) == 0)
        (void)snprintf(i->value, sizeof i->value, "%s", value);
}

static const char *in_force(int id, const char *key)
{
    static struct in_force i;
    i = (struct in_force){.key = key};
    broker_configs(f.w.nodes[id].rig.broker, slice_str("t"), in_force_take, &i);
    return i.value;
}

static const struct kp_incremental_alter_configs_response_resource *
steps(int8_t type, const char *name, const struct kp_incremental_alter_configs_request_config *v,
      int32_t count)
{
    struct kp_incremental_alter_configs_request q = KP_INCREMENTAL_ALTER_CONFIGS_REQUEST_INIT;
    struct kp_incremental_alter_configs_request_resource r =
        KP_INCREMENTAL_ALTER_CONFIGS_REQUEST_RESOURCE_INIT;
    r.type = type;
    r.name = slice_str(name);
    r.configs.v = v;
    r.configs.count = count;
    q.resources.count = 1;
    q.resources.v = &r;
    const struct kp_incremental_alter_configs_response *a =
        kclient_ask(&f.c, KP_API_INCREMENTAL_ALTER_CONFIGS, 1, &q);
    return &a->resources.v[0];
}

static const struct kp_incremental_alter_configs_response_resource *
step(int8_t type, const char *name, const char *key, const char *value)
{
    struct kp_incremental_alter_configs_request_config s =
        KP_INCREMENTAL_ALTER_CONFIGS_REQUEST_CONFIG_INIT;
    s.name = slice_str(key);
    s.value = slice_str(value);
    return steps(type, name, &s, 1);
}

/* Keys whose values are more than one call carries. */
static int16_t step_large(void)
{
    static char large[30000], keys[10][8];
    struct kp_incremental_alter_configs_request_config v[10];
    memset(large, 'x', sizeof large);
    for (int i = 0; i < 10; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "key%d", i);
        v[i] = (struct kp_incremental_alter_configs_request_config)
            KP_INCREMENTAL_ALTER_CONFIGS_REQUEST_CONFIG_INIT;
        v[i].name = slice_str(keys[i]);
        v[i].value = slice_of((const uint8_t *)large, sizeof large);
    }
    return steps(2, "t", v, 10)->error;
}

START_TEST(settings)
{
    fleet_ask(&f, 3);
    ck_assert_int_eq(step(2, "t", "retention.ms", "86400000")->error, 0);
    ck_assert_str_eq(in_force(1, "retention.ms"), "86400000");
    world_run(&f.w, 1000);
    for (int i = 2; i <= 3; i++)
        ck_assert_str_eq(in_force(i, "retention.ms"), "86400000");
    ck_assert_int_eq(step(2, "t", "retention.ms", "soon")->error, KAFKA_INVALID_CONFIG);
    ck_assert_uint_gt(step(2, "t", "retention.ms", "soon")->error_message.size, 0);
    ck_assert_int_eq(step(2, "none", "retention.ms", "1")->error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(step(4, "", "log.retention.ms", "7200000")->error, 0);  /* of all brokers */
    ck_assert_int_eq(step(4, "3", "log.retention.ms", "3600000")->error, 0); /* its own */
    ck_assert_int_eq(step_large(), KAFKA_INVALID_REQUEST);
}
END_TEST

static void quotas_count(void *ctx, const struct quota_entity *e, const struct quota_values *values)
{
    ck_assert(slice_equal(e->name, slice_str("c")) && values->v[QUOTA_PRODUCE] > 0);
    ++*(unsigned *)ctx;
}

static unsigned quotas_of(int id)
{
    unsigned count = 0;
    broker_quotas_each(f.w.nodes[id].rig.broker, quotas_count, &count);
    return count;
}

START_TEST(quotas)
{
    struct kp_alter_client_quotas_request q = KP_ALTER_CLIENT_QUOTAS_REQUEST_INIT;
    struct kp_alter_client_quotas_request_entry e = KP_ALTER_CLIENT_QUOTAS_REQUEST_ENTRY_INIT;
    struct kp_alter_client_quotas_request_entity who = {slice_str("client-id"), slice_str("c")};
    struct kp_alter_client_quotas_request_operation op = {slice_str("producer_byte_rate"), 1e6,
                                                          false};
    e.entity.v = &who;
    e.operations.v = &op;
    e.entity.count = e.operations.count = q.entries.count = 1;
    q.entries.v = &e;
    fleet_ask(&f, 2);
    const struct kp_alter_client_quotas_response *a =
        kclient_ask(&f.c, KP_API_ALTER_CLIENT_QUOTAS, 1, &q);
    ck_assert_int_eq(a->entries.v[0].error, 0);
    world_run(&f.w, 1000);
    for (int i = 1; i <= 3; i++)
        ck_assert_uint_eq(quotas_of(i), 1);
    op.value = -1;
    a = kclient_ask(&f.c, KP_API_ALTER_CLIENT_QUOTAS, 1, &q);
    ck_assert_int_eq(a->entries.v[0].error, KAFKA_INVALID_REQUEST);
}
END_TEST

/* --- groups --- */

#define ASK(api, version, type)                                                                    \
    ((const struct kp_##type##_response *)kclient_ask(&f.c, api, version, &type))

static void check_members(int16_t error)
{
    struct kp_join_group_request join_group = KP_JOIN_GROUP_REQUEST_INIT;
    struct kp_sync_group_request sync_group = KP_SYNC_GROUP_REQUEST_INIT;
    struct kp_heartbeat_request heartbeat = KP_HEARTBEAT_REQUEST_INIT;
    struct kp_leave_group_request leave_group = KP_LEAVE_GROUP_REQUEST_INIT;
    struct kp_consumer_group_heartbeat_request consumer_group_heartbeat =
        KP_CONSUMER_GROUP_HEARTBEAT_REQUEST_INIT;
    struct kp_join_group_request_protocol p = KP_JOIN_GROUP_REQUEST_PROTOCOL_INIT;
    struct slice g = slice_str("g"), m = slice_str("m");
    p.name = slice_str("range");
    join_group.group_id = sync_group.group_id = heartbeat.group_id = leave_group.group_id = g;
    join_group.member_id = slice_str("");
    join_group.session_timeout_ms = join_group.rebalance_timeout_ms = 10000;
    join_group.protocol_type = sync_group.protocol_type = slice_str("consumer");
    join_group.protocols.v = &p;
    join_group.protocols.count = 1;
    sync_group.member_id = heartbeat.member_id = leave_group.member_id = m;
    sync_group.protocol_name = slice_str("range");
    consumer_group_heartbeat.group_id = g;
    consumer_group_heartbeat.member_id = m;
    consumer_group_heartbeat.rebalance_timeout_ms = 10000;
    ck_assert_int_eq(ASK(KP_API_JOIN_GROUP, 7, join_group)->error, error);
    ck_assert_int_eq(ASK(KP_API_SYNC_GROUP, 5, sync_group)->error, error);
    ck_assert_int_eq(ASK(KP_API_HEARTBEAT, 4, heartbeat)->error, error);
    ck_assert_int_eq(ASK(KP_API_LEAVE_GROUP, 2, leave_group)->error, error);
    ck_assert_int_eq(ASK(KP_API_CONSUMER_GROUP_HEARTBEAT, 0, consumer_group_heartbeat)->error,
                     error);
}

static void check_offsets(int16_t error)
{
    struct kp_offset_commit_request offset_commit = KP_OFFSET_COMMIT_REQUEST_INIT;
    struct kp_offset_commit_request_topic t = KP_OFFSET_COMMIT_REQUEST_TOPIC_INIT;
    struct kp_offset_commit_request_partition p = KP_OFFSET_COMMIT_REQUEST_PARTITION_INIT;
    struct kp_offset_fetch_request offset_fetch = KP_OFFSET_FETCH_REQUEST_INIT;
    struct kp_offset_fetch_request_group g = KP_OFFSET_FETCH_REQUEST_GROUP_INIT;
    struct kp_offset_delete_request offset_delete = KP_OFFSET_DELETE_REQUEST_INIT;
    p.offset = 1;
    t.name = slice_str("t");
    t.partitions.v = &p;
    t.partitions.count = offset_commit.topics.count = 1;
    offset_commit.topics.v = &t;
    offset_commit.group_id = offset_delete.group_id = g.group_id = slice_str("g");
    offset_commit.generation_id = -1;
    g.topics.count = -1;
    offset_fetch.groups.v = &g;
    offset_fetch.groups.count = 1;
    ck_assert_int_eq(ASK(KP_API_OFFSET_COMMIT, 8, offset_commit)->topics.v[0].partitions.v[0].error,
                     error);
    ck_assert_int_eq(ASK(KP_API_OFFSET_FETCH, 8, offset_fetch)->groups.v[0].error, error);
    ck_assert_int_eq(ASK(KP_API_OFFSET_DELETE, 0, offset_delete)->error, error);
}

static void check_groups(int16_t error)
{
    struct kp_describe_groups_request describe_groups = KP_DESCRIBE_GROUPS_REQUEST_INIT;
    struct kp_delete_groups_request delete_groups = KP_DELETE_GROUPS_REQUEST_INIT;
    struct kp_consumer_group_describe_request consumer_group_describe =
        KP_CONSUMER_GROUP_DESCRIBE_REQUEST_INIT;
    struct slice g = slice_str("g");
    describe_groups.groups.v = delete_groups.groups.v = consumer_group_describe.groups.v = &g;
    describe_groups.groups.count = delete_groups.groups.count = 1;
    consumer_group_describe.groups.count = 1;
    ck_assert_int_eq(ASK(KP_API_DESCRIBE_GROUPS, 5, describe_groups)->groups.v[0].error, error);
    ck_assert_int_eq(ASK(KP_API_DELETE_GROUPS, 2, delete_groups)->groups.v[0].error, error);
    ck_assert_int_eq(
        ASK(KP_API_CONSUMER_GROUP_DESCRIBE, 0, consumer_group_describe)->groups.v[0].error, error);
}

static void check_all(int id)
{
    fleet_ask(&f, id);
    check_members(KAFKA_NOT_COORDINATOR);
    check_offsets(KAFKA_NOT_COORDINATOR);
    check_groups(KAFKA_NOT_COORDINATOR);
}

/* One that never led, one that did before, and one that leads no more and finds no leader. */
START_TEST(groups_have_another_coordinator)
{
    check_all(2);
    world_kill(&f.w, 3);
    world_start(&f.w, 3);
    world_run(&f.w, 5000);
    check_all(3);
    enum broker_status s = world_promote(&f.w, 2, false);
    ck_assert_msg(s == BROKER_OK, "%d: %s", s, f.w.said);
    world_run(&f.w, 5000);
    check_all(1);
    check_all(3);
    world_kill(&f.w, 1);
    world_kill(&f.w, 2);
    world_run(&f.w, 20000);
    check_all(3);
    world_start(&f.w, 1);
    world_run(&f.w, 1000);
    check_all(1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kafka forward");
    TCase *t = tcase_create("forward");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, producer_ids);
    tcase_add_test(t, producer_ids_of_nobody);
    tcase_add_test(t, changes_of_one_that_goes);
    tcase_add_test(t, topics_on_first_use);
    tcase_add_test(t, settings);
    tcase_add_test(t, quotas);
    tcase_add_test(t, groups_have_another_coordinator);
    suite_add_tcase(s, t);
    return rig_main(s);
}
