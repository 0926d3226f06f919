/* SPDX-License-Identifier: MIT
 *
 * test_group_life: groups through the Kafka front and the broker behind it, the wire to the log: a
 * member from its first join to its leaving, what it committed after a restart, and the log of
 * groups itself, which clients see and may not write.
 */
#include "test/unit/kafka/kclient.h"

#include <stdio.h>

struct life {
    struct kclient c;
    char member[256]; /* its id */
    int32_t generation;
};

static void life_open(struct life *l)
{
    kclient_init(&l->c, 1);
    rig_set(&l->c.g, "group.initial.rebalance.delay.ms", "0");
    kclient_open(&l->c);
    rig_create(&l->c.g, "t", 2, NULL);
    struct rig_batch b = {.count = 5};
    ck_assert_int_eq(rig_put(&l->c.g, "t", 1, &b, NULL), BROKER_OK);
    l->member[0] = '\0';
}

/* Joins as the only member, with the subscription {t}. */
static int16_t life_join(struct life *l)
{
    static const uint8_t wants[] = {0, 0, 0, 0, 0, 1, 0, 1, 't', 0xff, 0xff, 0xff, 0xff};
    struct kp_join_group_request q = KP_JOIN_GROUP_REQUEST_INIT;
    struct kp_join_group_request_protocol p = {slice_str("range"), slice_of(wants, sizeof wants)};
    q.group_id = slice_str("g");
    q.session_timeout_ms = 30000;
    q.rebalance_timeout_ms = 30000;
    q.member_id = slice_str(l->member);
    q.protocol_type = slice_str("consumer");
    q.protocols.v = &p;
    q.protocols.count = 1;
    const struct kp_join_group_response *a = kclient_ask(&l->c, KP_API_JOIN_GROUP, 7, &q);
    if (a->error == 0 || a->error == KAFKA_MEMBER_ID_REQUIRED)
        (void)snprintf(l->member, sizeof l->member, "%s", kclient_text(a->member_id));
    if (a->error != 0)
        return a->error;
    l->generation = a->generation_id;
    ck_slice(a->leader, l->member);
    ck_slice(a->protocol_name, "range");
    ck_assert_int_eq(a->members.count, 1);
    ck_assert(slice_equal(a->members.v[0].metadata, p.metadata));
    return 0;
}

static void life_sync(struct life *l, const char *assignment)
{
    struct kp_sync_group_request q = KP_SYNC_GROUP_REQUEST_INIT;
    struct kp_sync_group_request_assignment v = {slice_str(l->member), slice_str(assignment)};
    q.group_id = slice_str("g");
    q.generation_id = l->generation;
    q.member_id = slice_str(l->member);
    q.protocol_type = slice_str("consumer");
    q.protocol_name = slice_str("range");
    q.assignments.v = &v;
    q.assignments.count = 1;
    const struct kp_sync_group_response *a = kclient_ask(&l->c, KP_API_SYNC_GROUP, 5, &q);
    ck_assert_int_eq(a->error, 0);
    ck_slice(a->assignment, assignment);
}

static int16_t life_beat(struct life *l)
{
    struct kp_heartbeat_request q = KP_HEARTBEAT_REQUEST_INIT;
    q.group_id = slice_str("g");
    q.generation_id = l->generation;
    q.member_id = slice_str(l->member);
    return ((const struct kp_heartbeat_response *)kclient_ask(&l->c, KP_API_HEARTBEAT, 4, &q))
        ->error;
}

static int16_t life_commit(struct life *l, int64_t offset)
{
    struct kp_offset_commit_request q = KP_OFFSET_COMMIT_REQUEST_INIT;
    struct kp_offset_commit_request_partition p = {1, offset, 0, slice_str("note")};
    struct kp_offset_commit_request_topic t = {.name = slice_str("t")};
    t.partitions.v = &p;
    t.partitions.count = 1;
    q.group_id = slice_str("g");
    q.generation_id = l->generation;
    q.member_id = slice_str(l->member);
    q.topics.v = &t;
    q.topics.count = 1;
    const struct kp_offset_commit_response *a = kclient_ask(&l->c, KP_API_OFFSET_COMMIT, 8, &q);
    return a->topics.v[0].partitions.v[0].error;
}

/* Waits while the broker reads its groups. */
static int64_t life_committed(struct life *l)
{
    struct kp_offset_fetch_request q = KP_OFFSET_FETCH_REQUEST_INIT;
    const struct kp_offset_fetch_response *a = NULL;
    q.group_id = slice_str("g");
    q.topics.count = -1;
    for (int i = 0; i < 100 && (a == NULL || a->error == 14); i++)
        a = kclient_ask(&l->c, KP_API_OFFSET_FETCH, 7, &q);
    ck_assert_int_eq(a->error, 0);
    if (a->topics.count == 0)
        return -1;
    ck_assert_int_eq(a->topics.count, 1);
    ck_slice(a->topics.v[0].name, "t");
    ck_assert_int_eq(a->topics.v[0].partitions.count, 1);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].index, 1);
    ck_slice(a->topics.v[0].partitions.v[0].metadata, "note");
    return a->topics.v[0].partitions.v[0].offset;
}

static int16_t life_delete(struct life *l)
{
    struct kp_delete_groups_request q = KP_DELETE_GROUPS_REQUEST_INIT;
    struct slice name = slice_str("g");
    q.groups.v = &name;
    q.groups.count = 1;
    const struct kp_delete_groups_response *a = kclient_ask(&l->c, KP_API_DELETE_GROUPS, 2, &q);
    ck_assert_int_eq(a->groups.count, 1);
    return a->groups.v[0].error;
}

static void life_leave(struct life *l)
{
    struct kp_leave_group_request q = KP_LEAVE_GROUP_REQUEST_INIT;
    struct kp_leave_group_request_member v = {slice_str(l->member), SLICE_NULL, SLICE_NULL};
    q.group_id = slice_str("g");
    q.members.v = &v;
    q.members.count = 1;
    const struct kp_leave_group_response *a = kclient_ask(&l->c, KP_API_LEAVE_GROUP, 5, &q);
    ck_assert_int_eq(a->error, 0);
    ck_assert_int_eq(a->members.count, 1);
    ck_assert_int_eq(a->members.v[0].error, 0);
}

static void expect_described(struct life *l)
{
    struct kp_describe_groups_request q = KP_DESCRIBE_GROUPS_REQUEST_INIT;
    struct slice name = slice_str("g");
    q.groups.v = &name;
    q.groups.count = 1;
    const struct kp_describe_groups_response *a = kclient_ask(&l->c, KP_API_DESCRIBE_GROUPS, 6, &q);
    ck_slice(a->groups.v[0].state, "Stable");
    ck_slice(a->groups.v[0].protocol_type, "consumer");
    ck_slice(a->groups.v[0].protocol_name, "range");
    ck_assert_int_eq(a->groups.v[0].members.count, 1);
    ck_slice(a->groups.v[0].members.v[0].member_id, l->member);
    ck_slice(a->groups.v[0].members.v[0].client_id, "kclient");
    ck_slice(a->groups.v[0].members.v[0].client_host, "/127.0.0.1");
    ck_slice(a->groups.v[0].members.v[0].assignment, "mine");
}

START_TEST(one_member)
{
    struct life l;
    life_open(&l);
    ck_assert_int_eq(life_join(&l), KAFKA_MEMBER_ID_REQUIRED);
    ck_assert_int_eq(strncmp(l.member, "kclient-", 8), 0);
    ck_assert_int_eq(life_join(&l), 0);
    ck_assert_int_eq(l.generation, 1);
    life_sync(&l, "mine");
    ck_assert_int_eq(life_beat(&l), 0);
    ck_assert_int_eq(life_commit(&l, 3), 0);
    ck_assert_int_eq(life_committed(&l), 3);
    expect_described(&l);
    ck_assert_int_eq(life_delete(&l), KAFKA_NON_EMPTY_GROUP);
    ck_assert_int_eq(life_join(&l), 0); /* the leader asks for a rebalance */
    ck_assert_int_eq(l.generation, 2);
    life_sync(&l, "mine");
    l.generation = 1;
    ck_assert_int_eq(life_beat(&l), KAFKA_ILLEGAL_GENERATION);
    ck_assert_int_eq(life_commit(&l, 4), KAFKA_ILLEGAL_GENERATION);
    l.generation = 2;
    life_leave(&l);
    ck_assert_int_eq(life_beat(&l), KAFKA_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(life_committed(&l), 3);
    ck_assert_int_eq(life_delete(&l), 0);
    ck_assert_int_eq(life_committed(&l), -1);
    ck_assert_int_eq(life_delete(&l), KAFKA_GROUP_ID_NOT_FOUND);
    kclient_close(&l.c);
}
END_TEST

/* The member does not notice that the broker was away. */
START_TEST(over_a_restart)
{
    struct life l;
    life_open(&l);
    ck_assert_int_eq(life_join(&l), KAFKA_MEMBER_ID_REQUIRED);
    ck_assert_int_eq(life_join(&l), 0);
    life_sync(&l, "mine");
    ck_assert_int_eq(life_commit(&l, 5), 0);
    kclient_reopen(&l.c);
    ck_assert_int_eq(life_committed(&l), 5);
    ck_assert_int_eq(life_beat(&l), 0);
    expect_described(&l);
    ck_assert_int_eq(life_commit(&l, 4), 0);
    ck_assert_int_eq(life_committed(&l), 4);
    kclient_close(&l.c);
}
END_TEST

static const struct kp_metadata_response_topic *find_log(const struct kp_metadata_response *a)
{
    for (int32_t i = 0; i < a->topics.count; i++)
        if (slice_equal(a->topics.v[i].name, slice_str("__consumer_offsets")))
            return &a->topics.v[i];
    return NULL;
}

/* The log of groups is there for everybody to see, as the broker's own. */
START_TEST(the_log_is_the_brokers)
{
    struct life l;
    struct buf batch = {0};
    struct rig_batch one = {.count = 1};
    struct kp_metadata_request m = KP_METADATA_REQUEST_INIT;
    struct kp_produce_request q = KP_PRODUCE_REQUEST_INIT;
    struct kp_produce_request_topic t = {.name = slice_str("__consumer_offsets")};
    struct kp_produce_request_partition p = {.index = 0};
    life_open(&l);
    l.generation = -1; /* nobody's */
    ck_assert_int_eq(life_commit(&l, 1), 0);
    m.topics.count = -1;
    const struct kp_metadata_response *a = kclient_ask(&l.c, KP_API_METADATA, 12, &m);
    ck_assert_int_eq(a->topics.count, 2);
    ck_assert_ptr_nonnull(find_log(a));
    ck_assert(find_log(a)->is_internal);
    ck_assert_int_ge(find_log(a)->partitions.count, 1);
    rig_build(&one, &batch);
    p.records = buf_slice(&batch);
    t.partitions.v = &p;
    t.partitions.count = 1;
    q.acks = -1;
    q.timeout_ms = 1000;
    q.topics.v = &t;
    q.topics.count = 1;
    const struct kp_produce_response *r = kclient_ask(&l.c, KP_API_PRODUCE, 9, &q);
    ck_assert_int_eq(r->topics.v[0].partitions.v[0].error, KAFKA_INVALID_TOPIC);
    ck_assert_int_eq(life_committed(&l), 1);
    buf_deinit(&batch);
    kclient_close(&l.c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kafka group life");
    TCase *t = tcase_create("life");
    tcase_add_test(t, one_member);
    tcase_add_test(t, over_a_restart);
    tcase_add_test(t, the_log_is_the_brokers);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    return rig_main(s);
}
