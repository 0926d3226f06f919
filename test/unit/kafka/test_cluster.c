/* SPDX-License-Identifier: MIT
 *
 * test_cluster: what the Kafka front of each of three brokers that replicate (fleet.h) tells of all
 * of them: who is there, who leads, what is left to the leader, and what is so after another one
 * was promoted or while nobody leads.
 */
#include <stdio.h>

#include "test/unit/kafka/fleet.h"

#include "engine/base/cleanup.h"

static struct fleet f;

static void setup(void)
{
    fleet_open(&f);
}

static void teardown(void)
{
    fleet_close(&f);
}

/* --- who is there --- */

/* In any order: replicas come as their brokers registered. */
static void expect_ids(const struct kp_i32s *ids, const char *want)
{
    struct buf text CLEANUP(buf_deinit) = {0};
    for (int32_t id = 0; id < 10; id++)
        for (int32_t i = 0; i < ids->count; i++)
            if (ids->v[i] == id)
                buf_printf(&text, "%d ", id);
    ck_assert_int_eq((int)text.size, 2 * ids->count);
    buf_append_u8(&text, 0);
    ck_assert_str_eq((const char *)text.p, want);
}

START_TEST(everybody_is_told)
{
    static const char *const racks[] = {"", "a", "b", "(null)"};
    for (int self = 1; self <= 3; self++) {
        fleet_ask(&f, self);
        for (int16_t v = 0; v <= 13; v++) {
            const struct kp_metadata_response *a = fleet_metadata(&f, v, "t", true);
            ck_assert_int_eq(a->brokers.count, 3);
            for (int32_t i = 0; i < 3; i++) {
                const struct kp_metadata_response_broker *b = &a->brokers.v[i];
                ck_assert_int_eq(b->node_id, i + 1);
                fleet_broker(&f, b->node_id, b->host, b->port, self);
                if (v >= 1)
                    ck_slice(b->rack, racks[i + 1]);
            }
            ck_assert_int_eq(a->controller_id, v >= 1 ? 1 : -1);
            ck_assert_int_eq(a->topics.v[0].error, 0);
            ck_assert_int_eq(a->topics.v[0].partitions.count, 2);
            for (int32_t i = 0; i < 2; i++) {
                const struct kp_metadata_response_partition *p = &a->topics.v[0].partitions.v[i];
                ck_assert_int_eq(p->error, 0);
                ck_assert_int_eq(p->leader_id, 1);
                ck_assert_int_eq(p->leader_epoch, v >= 7 ? fleet_epoch_at(&f, 1) : -1);
                expect_ids(&p->replicas, "1 2 3 ");
                ck_assert_int_eq(p->in_sync.count, 3);
                ck_assert_int_eq(p->offline.count, 0);
            }
        }
        ck_assert_int_gt(fleet_epoch_at(&f, self), 0);
    }
}
END_TEST

static const struct kp_describe_cluster_response *describe(int16_t version, bool fenced)
{
    struct kp_describe_cluster_request q = KP_DESCRIBE_CLUSTER_REQUEST_INIT;
    q.include_fenced_brokers = fenced;
    return kclient_ask(&f.c, KP_API_DESCRIBE_CLUSTER, version, &q);
}

START_TEST(the_cluster_is_described)
{
    for (int self = 1; self <= 2; self++) {
        fleet_ask(&f, self);
        for (int16_t v = 0; v <= 2; v++) {
            const struct kp_describe_cluster_response *a = describe(v, false);
            ck_assert_int_eq(a->controller_id, 1);
            ck_assert_int_eq(a->brokers.count, 3);
            for (int32_t i = 0; i < 3; i++) {
                const struct kp_describe_cluster_response_broker *b = &a->brokers.v[i];
                ck_assert_int_eq(b->node_id, i + 1);
                fleet_broker(&f, b->node_id, b->host, b->port, self);
            }
        }
    }
}
END_TEST

static const struct kp_describe_topic_partitions_response_partition *page(void)
{
    struct kp_describe_topic_partitions_request q = KP_DESCRIBE_TOPIC_PARTITIONS_REQUEST_INIT;
    struct kp_describe_topic_partitions_request_topic t = {slice_str("t")};
    q.topics.v = &t;
    q.topics.count = 1;
    const struct kp_describe_topic_partitions_response *a =
        kclient_ask(&f.c, KP_API_DESCRIBE_TOPIC_PARTITIONS, 0, &q);
    ck_assert_int_eq(a->topics.v[0].partitions.count, 2);
    return &a->topics.v[0].partitions.v[0];
}

static void expect_brokers(const char *ids)
{
    const struct kp_metadata_response *a = fleet_metadata(&f, 12, "t", true);
    int32_t v[4];
    ck_assert_int_le(a->brokers.count, 4);
    for (int32_t i = 0; i < a->brokers.count; i++)
        v[i] = a->brokers.v[i].node_id;
    expect_ids(&(struct kp_i32s){v, a->brokers.count}, ids);
}

/* A broker that died: only the leader knows, first as silence, then by the in-sync set. */
START_TEST(one_is_silent)
{
    world_kill(&f.w, 3);
    world_run(&f.w, 12000);
    fleet_ask(&f, 1);
    expect_ids(&fleet_metadata(&f, 12, "t", true)->topics.v[0].partitions.v[0].offline, "3 ");
    expect_ids(&page()->offline, "3 ");
    expect_brokers("1 2 ");
    ck_assert_int_eq(describe(1, false)->brokers.count, 3);
    ck_assert_int_eq(describe(2, false)->brokers.count, 2);
    const struct kp_describe_cluster_response *a = describe(2, true);
    ck_assert_int_eq(a->brokers.count, 3);
    ck_assert(!a->brokers.v[0].is_fenced && !a->brokers.v[1].is_fenced &&
              a->brokers.v[2].is_fenced);
    fleet_ask(&f, 2);
    ck_assert_int_eq(fleet_metadata(&f, 12, "t", true)->topics.v[0].partitions.v[0].offline.count,
                     0);
    fleet_put(&f, 1, 5);
    world_run(&f.w, 40000);
    for (int self = 1; self <= 2; self++) {
        fleet_ask(&f, self);
        const struct kp_describe_topic_partitions_response_partition *p = page();
        ck_assert_int_eq(p->error, 0);
        ck_assert_int_eq(p->leader_id, 1);
        ck_assert_int_eq(p->leader_epoch, fleet_epoch_at(&f, 1));
        expect_ids(&p->replicas, "1 2 3 ");
        expect_ids(&p->in_sync, "1 2 ");
        ck_assert_int_eq(p->eligible.count, 0);
        expect_ids(&p->offline, self == 1 ? "3 " : "");
    }
}
END_TEST

/* --- what a follower leaves to the leader --- */

static int16_t elect(int16_t version, int8_t type, bool all, int32_t *rows)
{
    struct kp_elect_leaders_request q = KP_ELECT_LEADERS_REQUEST_INIT;
    int32_t index = 0;
    struct kp_elect_leaders_request_topic t = {slice_str("t"), {&index, 1}};
    q.election_type = type;
    q.topics.v = &t;
    q.topics.count = all ? -1 : 1;
    const struct kp_elect_leaders_response *a =
        kclient_ask(&f.c, KP_API_ELECT_LEADERS, version, &q);
    *rows = 0;
    for (int32_t i = 0; i < a->topics.count; i++)
        *rows += a->topics.v[i].partitions.count;
    return a->error != 0 || *rows == 0 ? a->error : a->topics.v[0].partitions.v[0].error;
}

static int16_t reassign(const int32_t *replicas, int32_t count)
{
    struct kp_alter_partition_reassignments_request q =
        KP_ALTER_PARTITION_REASSIGNMENTS_REQUEST_INIT;
    struct kp_alter_partition_reassignments_request_partition p = {0, {replicas, count}};
    struct kp_alter_partition_reassignments_request_topic t = {slice_str("t"), {&p, 1}};
    q.topics.v = &t;
    q.topics.count = 1;
    const struct kp_alter_partition_reassignments_response *a =
        kclient_ask(&f.c, KP_API_ALTER_PARTITION_REASSIGNMENTS, 0, &q);
    return a->error != 0 ? a->error : a->topics.v[0].partitions.v[0].error;
}

static int16_t reassigning(void)
{
    struct kp_list_partition_reassignments_request q = KP_LIST_PARTITION_REASSIGNMENTS_REQUEST_INIT;
    q.topics.count = -1;
    const struct kp_list_partition_reassignments_response *a =
        kclient_ask(&f.c, KP_API_LIST_PARTITION_REASSIGNMENTS, 0, &q);
    ck_assert_int_eq(a->topics.count, 0);
    return a->error;
}

static const struct kp_create_topics_response_topic *make(const char *topic, int16_t factor)
{
    struct kp_create_topics_request q = KP_CREATE_TOPICS_REQUEST_INIT;
    struct kp_create_topics_request_topic t = KP_CREATE_TOPICS_REQUEST_TOPIC_INIT;
    t.name = slice_str(topic);
    t.partition_count = 1;
    t.replication_factor = factor;
    q.topics.v = &t;
    q.topics.count = 1;
    const struct kp_create_topics_response *a = kclient_ask(&f.c, KP_API_CREATE_TOPICS, 7, &q);
    return &a->topics.v[0];
}

START_TEST(changes_are_the_leaders)
{
    static const int32_t all[] = {1, 2, 3};
    int32_t rows;
    fleet_ask(&f, 2);
    ck_assert_int_eq(make("u", 1)->error, KAFKA_NOT_CONTROLLER);
    ck_assert_int_eq(elect(0, 0, false, &rows), KAFKA_NOT_CONTROLLER);
    ck_assert_int_eq(elect(2, 0, false, &rows), KAFKA_NOT_CONTROLLER);
    ck_assert_int_eq(rows, 0);
    ck_assert_int_eq(reassign(all, 3), KAFKA_NOT_CONTROLLER);
    ck_assert_int_eq(reassigning(), KAFKA_NOT_CONTROLLER);
    ck_assert_int_eq(fleet_metadata(&f, 12, "v", false)->topics.v[0].error,
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}
END_TEST

/* --- another leader --- */

START_TEST(after_a_promotion)
{
    int32_t kept[3], other[3];
    int32_t first = fleet_epoch_at(&f, 1), rows;
    enum broker_status s = world_promote(&f.w, 2, false);
    ck_assert_msg(s == BROKER_OK, "%d: %s", s, f.w.said);
    world_wait_isr(&f.w, "t", 3, 60000);
    fleet_put(&f, 2, 5);
    fleet_put(&f, 2, 6);
    world_run(&f.w, 3000);
    int32_t second = fleet_epoch_at(&f, 2);
    ck_assert_int_gt(second, first);
    fleet_ask(&f, 2);
    const struct kp_metadata_response *a = fleet_metadata(&f, 12, "t", true);
    ck_assert_int_eq(a->controller_id, 2);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].leader_id, 2);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].leader_epoch, second);
    ck_assert_int_eq(fleet_end_of(&f, second, first).leader_epoch, first);
    ck_assert_int_eq(fleet_end_of(&f, second, first).end_offset, 5);
    ck_assert_int_eq(fleet_end_of(&f, second, second - 1).leader_epoch, first);
    ck_assert_int_eq(fleet_end_of(&f, second, second - 1).end_offset, 5);
    ck_assert_int_eq(fleet_end_of(&f, second, second).leader_epoch, second);
    ck_assert_int_eq(fleet_end_of(&f, second, second).end_offset, 7);
    ck_assert_int_eq(fleet_end_of(&f, second, second + 1).leader_epoch, -1);
    ck_assert_int_eq(fleet_end_of(&f, second, second + 1).end_offset, -1);
    ck_assert_int_eq(fleet_end_of(&f, first, first).error, KAFKA_FENCED_LEADER_EPOCH);
    ck_assert_int_eq(fleet_list(&f, 10, -1, -2, second).leader_epoch, first);
    ck_assert_int_eq(fleet_list(&f, 10, -1, -1, second).leader_epoch, second);
    ck_assert_int_eq(elect(2, 0, false, &rows), KAFKA_PREFERRED_LEADER_NOT_AVAILABLE);
    ck_assert_int_eq(elect(2, 0, true, &rows), KAFKA_PREFERRED_LEADER_NOT_AVAILABLE);
    ck_assert_int_ge(rows, 2);
    ck_assert_int_eq(elect(2, 1, false, &rows), KAFKA_ELECTION_NOT_NEEDED);
    a = fleet_metadata(&f, 12, "t", true);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].replicas.count, 3);
    for (int i = 0; i < 3; i++)
        kept[i] = other[2 - i] = a->topics.v[0].partitions.v[0].replicas.v[i];
    ck_assert_int_eq(reassign(kept, 3), 0);
    ck_assert_int_eq(reassign(other, 3), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_int_eq(reassign(kept, 2), KAFKA_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_int_eq(reassigning(), 0);
    fleet_ask(&f, 1); /* led before */
    const struct kp_produce_response *p = fleet_produce(&f, 11);
    ck_assert_int_eq(p->topics.v[0].partitions.v[0].error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(p->topics.v[0].partitions.v[0].current_leader.leader_id, 2);
    ck_assert_int_eq(p->node_endpoints.v[0].node_id, 2);
}
END_TEST

/* A new leader sends nobody to a broker that does not come to it; but gives them a while. */
START_TEST(who_does_not_follow)
{
    enum broker_status s = world_promote(&f.w, 2, false);
    ck_assert_msg(s == BROKER_OK, "%d: %s", s, f.w.said);
    world_kill(&f.w, 3); /* it has promised, and not registered yet */
    fleet_ask(&f, 2);
    expect_brokers("1 2 3 ");
    world_run(&f.w, 8000);
    expect_brokers("1 2 ");
    world_start(&f.w, 3);
    world_run(&f.w, 5000);
    expect_brokers("1 2 3 ");
}
END_TEST

/* The others are gone, and who is left does not lead. */
START_TEST(nobody_leads)
{
    struct kp_find_coordinator_request find = KP_FIND_COORDINATOR_REQUEST_INIT;
    find.key = slice_str("g");
    world_kill(&f.w, 2);
    world_kill(&f.w, 3);
    world_kill(&f.w, 1);
    world_start(&f.w, 1); /* it waits for what the others say */
    fleet_ask(&f, 1);
    struct broker_cluster_info info;
    broker_cluster_info(f.w.nodes[1].rig.broker, &info);
    ck_assert_str_eq(info.role, "starting");
    const struct kp_metadata_response *a = fleet_metadata(&f, 12, "t", true);
    ck_assert_int_eq(a->controller_id, -1);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].error, KAFKA_LEADER_NOT_AVAILABLE);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].leader_id, -1);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].replicas.count, 3);
    const struct kp_find_coordinator_response *found =
        kclient_ask(&f.c, KP_API_FIND_COORDINATOR, 3, &find);
    ck_assert_int_eq(found->error, KAFKA_COORDINATOR_NOT_AVAILABLE);
    ck_assert_int_eq(found->node_id, -1);
    const struct kp_produce_response *p = fleet_produce(&f, 11);
    ck_assert_int_eq(p->topics.v[0].partitions.v[0].error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(p->topics.v[0].partitions.v[0].current_leader.leader_id, -1);
    ck_assert_int_eq(p->node_endpoints.count, 0);
}
END_TEST

/* --- how many --- */

START_TEST(replication_factors)
{
    fleet_ask(&f, 1);
    const struct kp_create_topics_response_topic *a = make("four", 4);
    ck_assert_int_eq(a->error, KAFKA_INVALID_REPLICATION_FACTOR);
    ck_slice(a->error_message,
             "Unable to replicate the partition 4 time(s): The target replication factor of 4 "
             "cannot be reached because only 3 broker(s) are registered.");
    for (int16_t i = -1; i <= 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%d", i);
        a = make(name, i);
        ck_assert_int_eq(a->error, i == 0 ? KAFKA_INVALID_REPLICATION_FACTOR : 0);
        if (i == 0)
            continue;
        ck_assert_int_eq(a->replication_factor, i < 0 ? 3 : i);
        world_run(&f.w, 3000);
        ck_assert_int_eq(
            fleet_metadata(&f, 12, name, false)->topics.v[0].partitions.v[0].replicas.count,
            i < 0 ? 3 : i);
    }
    ck_assert_int_eq(rig_alter_broker(&f.w.nodes[1].rig, "replication.factor.lenient", "true"),
                     BROKER_OK);
    a = make("four", 4);
    ck_assert_int_eq(a->error, 0);
    ck_assert_int_eq(a->replication_factor, 3);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kafka cluster");
    TCase *t = tcase_create("cluster");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, everybody_is_told);
    tcase_add_test(t, the_cluster_is_described);
    tcase_add_test(t, one_is_silent);
    tcase_add_test(t, changes_are_the_leaders);
    tcase_add_test(t, after_a_promotion);
    tcase_add_test(t, who_does_not_follow);
    tcase_add_test(t, nobody_leads);
    tcase_add_test(t, replication_factors);
    suite_add_tcase(s, t);
    return rig_main(s);
}
