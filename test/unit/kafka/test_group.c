/* SPDX-License-Identifier: MIT
 *
 * test_group: JoinGroup, SyncGroup, Heartbeat and LeaveGroup in every version, against a fake of
 * the broker's groups: what reaches the broker, what the client reads, and that every error can be
 * told in every version.
 */
#include "test/unit/kafka/fake_groups.h"
#include "test/unit/kafka/kclient.h"

static struct fake_groups fake;

static void open_fake(struct kclient *c)
{
    fake = (struct fake_groups){0};
    fake_groups_use(&fake);
    kclient_init(c, 1);
    kclient_open(c);
}

/* --- JoinGroup --- */

static int16_t join_version;

static void join_see(const struct broker_group *r)
{
    const struct broker_group_join *j = &r->join;
    ck_assert_int_eq(r->op, BROKER_GROUP_JOIN);
    ck_slice(r->group, "g");
    ck_slice(r->member, "m-1");
    ck_slice(r->instance, join_version >= 5 ? "static" : "(null)");
    ck_slice(r->client_id, "kclient");
    ck_slice(r->client_host, "/127.0.0.1");
    ck_slice(j->protocol_type, "consumer");
    ck_assert_uint_eq(j->protocol_count, 2);
    ck_slice(j->protocols[0].name, "range");
    ck_slice(j->protocols[0].metadata, "R");
    ck_slice(j->protocols[1].name, "roundrobin");
    ck_slice(j->protocols[1].metadata, "");
    ck_assert_int_eq(j->session_timeout_ms, 30000);
    ck_assert_int_eq(j->rebalance_timeout_ms, join_version >= 1 ? 60000 : -1);
    ck_assert_int_eq(j->id_required, join_version >= 4);
    ck_assert_int_eq(j->may_skip, join_version >= 9);
    ck_slice(j->reason, join_version >= 8 ? "why" : "(null)");
}

static void join_answer_leader(struct broker_group *r)
{
    struct broker_group_joined v[2] = {
        {fake_groups_lend("m-1"), fake_groups_lend("static"), fake_groups_lend("one")},
        {fake_groups_lend("m-2"), SLICE_NULL, fake_groups_lend("two")}};
    r->join.protocol = fake_groups_lend("range");
    r->join.leader = fake_groups_lend("m-1");
    r->join.member = fake_groups_lend("m-1");
    r->join.generation = 7;
    r->join.members = fake_groups_lend_copy(v, sizeof v);
    r->join.member_count = 2;
}

static const struct kp_join_group_response *join(struct kclient *c, int16_t version,
                                                 const char *member)
{
    struct kp_join_group_request q = KP_JOIN_GROUP_REQUEST_INIT;
    struct kp_join_group_request_protocol v[2] = {
        {slice_str("range"), slice_str("R")},
        {slice_str("roundrobin"), slice_str("")},
    };
    q.group_id = slice_str("g");
    q.session_timeout_ms = 30000;
    q.rebalance_timeout_ms = 60000;
    q.member_id = slice_str(member);
    q.group_instance_id = slice_str("static");
    q.protocol_type = slice_str("consumer");
    q.protocols.v = v;
    q.protocols.count = 2;
    q.reason = slice_str("why");
    join_version = version;
    return kclient_ask(c, KP_API_JOIN_GROUP, version, &q);
}

START_TEST(join_as_leader)
{
    struct kclient c;
    open_fake(&c);
    fake.see = join_see;
    fake.answer = join_answer_leader;
    for (int16_t v = 0; v <= 9; v++) {
        const struct kp_join_group_response *a = join(&c, v, "m-1");
        ck_assert_int_eq(a->error, 0);
        ck_assert_int_eq(a->generation_id, 7);
        ck_slice(a->protocol_type, v >= 7 ? "consumer" : "(null)");
        ck_slice(a->protocol_name, "range");
        ck_slice(a->leader, "m-1");
        ck_slice(a->member_id, "m-1");
        ck_assert(!a->skip_assignment);
        ck_assert_int_eq(a->members.count, 2);
        ck_slice(a->members.v[0].member_id, "m-1");
        ck_slice(a->members.v[0].group_instance_id, v >= 5 ? "static" : "(null)");
        ck_slice(a->members.v[0].metadata, "one");
        ck_slice(a->members.v[1].member_id, "m-2");
        ck_slice(a->members.v[1].group_instance_id, "(null)");
        ck_slice(a->members.v[1].metadata, "two");
    }
    ck_assert_uint_eq(fake.seen, 10);
    kclient_close(&c);
}
END_TEST

static void join_answer_follower(struct broker_group *r)
{
    r->join.protocol = fake_groups_lend("range");
    r->join.leader = fake_groups_lend("m-2");
    r->join.member = fake_groups_lend("m-new");
    r->join.generation = 8;
}

START_TEST(join_as_follower)
{
    struct kclient c;
    open_fake(&c);
    fake.answer = join_answer_follower;
    for (int16_t v = 0; v <= 9; v++) {
        const struct kp_join_group_response *a = join(&c, v, "");
        ck_assert_int_eq(a->error, 0);
        ck_assert_int_eq(a->generation_id, 8);
        ck_slice(a->leader, "m-2");
        ck_slice(a->member_id, "m-new");
        ck_assert_int_eq(a->members.count, 0);
    }
    kclient_close(&c);
}
END_TEST

/* A static leader is back and the assignment stands: who has no word for that is not told that it
 * leads, because it would make another one in vain. */
static void join_answer_standing(struct broker_group *r)
{
    join_answer_leader(r);
    r->join.skip_assignment = r->join.may_skip;
    if (r->join.may_skip)
        return;
    r->join.leader = fake_groups_lend("m-0");
    r->join.member_count = 0;
}

START_TEST(join_while_the_assignment_stands)
{
    struct kclient c;
    open_fake(&c);
    fake.answer = join_answer_standing;
    for (int16_t v = 0; v <= 9; v++) {
        const struct kp_join_group_response *a = join(&c, v, "m-1");
        ck_assert_int_eq(a->error, 0);
        ck_assert_int_eq(a->skip_assignment, v == 9);
        ck_slice(a->member_id, "m-1");
        ck_slice(a->leader, v == 9 ? "m-1" : "m-0");
        ck_assert_int_eq(a->members.count, v == 9 ? 2 : 0);
    }
    kclient_close(&c);
}
END_TEST

static void join_answer_id(struct broker_group *r)
{
    if (r->status == BROKER_MEMBER_ID_REQUIRED)
        r->join.member = fake_groups_lend("made-up");
}

struct told {
    enum broker_status status;
    int16_t error;
};

START_TEST(join_errors)
{
    static const struct told rows[] = {
        {BROKER_BAD_SESSION_TIMEOUT, 26},
        {BROKER_INCONSISTENT_PROTOCOL, 23},
        {BROKER_UNKNOWN_MEMBER, 25},
        {BROKER_MEMBER_ID_REQUIRED, 79},
        {BROKER_INSTANCE_FENCED, 82},
        {BROKER_GROUP_FULL, 81},
        {BROKER_REBALANCE, 27},
        {BROKER_BAD_GROUP_ID, 24},
        {BROKER_GROUP_LOADING, 14},
        {BROKER_GROUP_UNAVAILABLE, 15},
        {BROKER_BUSY, 15},
        {BROKER_STOPPING, 16},
    };
    struct kclient c;
    open_fake(&c);
    fake.answer = join_answer_id;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int16_t v = 0; v <= 9; v++) {
            bool id = rows[i].status == BROKER_MEMBER_ID_REQUIRED;
            fake.status = rows[i].status;
            const struct kp_join_group_response *a = join(&c, v, "m-1");
            ck_assert_int_eq(a->error, rows[i].error);
            ck_assert_int_eq(a->generation_id, -1);
            ck_slice(a->protocol_type, "(null)");
            ck_slice(a->protocol_name, v >= 7 ? "(null)" : "");
            ck_slice(a->leader, "");
            ck_slice(a->member_id, id ? "made-up" : "m-1");
            ck_assert_int_eq(a->members.count, 0);
        }
    kclient_close(&c);
}
END_TEST

/* --- SyncGroup --- */

static int16_t sync_version;

static void sync_see(const struct broker_group *r)
{
    ck_assert_int_eq(r->op, BROKER_GROUP_SYNC);
    ck_slice(r->group, "g");
    ck_slice(r->member, "m-1");
    ck_slice(r->instance, sync_version >= 3 ? "static" : "(null)");
    ck_assert_int_eq(r->generation, 7);
    ck_slice(r->sync.protocol_type, sync_version >= 5 ? "consumer" : "(null)");
    ck_slice(r->sync.protocol, sync_version >= 5 ? "range" : "(null)");
    ck_assert_uint_eq(r->sync.assignment_count, 2);
    ck_slice(r->sync.assignments[0].member, "m-1");
    ck_slice(r->sync.assignments[0].assignment, "first");
    ck_slice(r->sync.assignments[1].member, "m-2");
    ck_slice(r->sync.assignments[1].assignment, "");
}

static void sync_answer(struct broker_group *r)
{
    if (r->status != BROKER_OK)
        return;
    r->sync.protocol_type = fake_groups_lend("consumer");
    r->sync.protocol = fake_groups_lend("range");
    r->sync.assignment = fake_groups_lend("first");
}

static const struct kp_sync_group_response *sync_group(struct kclient *c, int16_t version,
                                                       bool named)
{
    struct kp_sync_group_request q = KP_SYNC_GROUP_REQUEST_INIT;
    struct kp_sync_group_request_assignment v[2] = {
        {slice_str("m-1"), slice_str("first")},
        {slice_str("m-2"), slice_str("")},
    };
    q.group_id = slice_str("g");
    q.generation_id = 7;
    q.member_id = slice_str("m-1");
    q.group_instance_id = slice_str("static");
    q.protocol_type = slice_str("consumer");
    q.protocol_name = named ? slice_str("range") : SLICE_NULL;
    q.assignments.v = v;
    q.assignments.count = 2;
    sync_version = version;
    return kclient_ask(c, KP_API_SYNC_GROUP, version, &q);
}

START_TEST(sync_in_every_version)
{
    struct kclient c;
    open_fake(&c);
    fake.see = sync_see;
    fake.answer = sync_answer;
    for (int16_t v = 0; v <= 5; v++) {
        const struct kp_sync_group_response *a = sync_group(&c, v, true);
        ck_assert_int_eq(a->error, 0);
        ck_slice(a->protocol_type, v >= 5 ? "consumer" : "(null)");
        ck_slice(a->protocol_name, v >= 5 ? "range" : "(null)");
        ck_slice(a->assignment, "first");
    }
    fake.see = NULL;
    for (int16_t v = 0; v <= 5; v++)
        ck_assert_int_eq(sync_group(&c, v, false)->error, v >= 5 ? 23 : 0);
    kclient_close(&c);
}
END_TEST

START_TEST(sync_errors)
{
    static const struct told rows[] = {
        {BROKER_UNKNOWN_MEMBER, 25}, {BROKER_ILLEGAL_GENERATION, 22},
        {BROKER_REBALANCE, 27},      {BROKER_INCONSISTENT_PROTOCOL, 23},
        {BROKER_GROUP_LOADING, 27},  {BROKER_INSTANCE_FENCED, 82},
        {BROKER_BUSY, 15},           {BROKER_STOPPING, 16},
    };
    struct kclient c;
    open_fake(&c);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int16_t v = 0; v <= 5; v++) {
            fake.status = rows[i].status;
            const struct kp_sync_group_response *a = sync_group(&c, v, true);
            ck_assert_int_eq(a->error, rows[i].error);
            ck_slice(a->protocol_type, "(null)");
            ck_slice(a->assignment, "");
        }
    kclient_close(&c);
}
END_TEST

/* --- Heartbeat --- */

static int16_t beat_version;

static void heartbeat_see(const struct broker_group *r)
{
    ck_assert_int_eq(r->op, BROKER_GROUP_HEARTBEAT);
    ck_slice(r->group, "g");
    ck_slice(r->member, "m-1");
    ck_slice(r->instance, beat_version >= 3 ? "static" : "(null)");
    ck_assert_int_eq(r->generation, 7);
}

START_TEST(heartbeats)
{
    static const struct told rows[] = {
        {BROKER_OK, 0},
        {BROKER_UNKNOWN_MEMBER, 25},
        {BROKER_ILLEGAL_GENERATION, 22},
        {BROKER_REBALANCE, 27},
        {BROKER_INSTANCE_FENCED, 82},
        {BROKER_GROUP_LOADING, 0},
        {BROKER_STOPPING, 16},
        {BROKER_BUSY, 15},
        {BROKER_GROUP_UNAVAILABLE, 15},
        {BROKER_BAD_GROUP_ID, 24},
    };
    struct kclient c;
    struct kp_heartbeat_request q = KP_HEARTBEAT_REQUEST_INIT;
    q.group_id = slice_str("g");
    q.generation_id = 7;
    q.member_id = slice_str("m-1");
    q.group_instance_id = slice_str("static");
    open_fake(&c);
    fake.see = heartbeat_see;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int16_t v = 0; v <= 4; v++) {
            beat_version = v;
            fake.status = rows[i].status;
            const struct kp_heartbeat_response *a = kclient_ask(&c, KP_API_HEARTBEAT, v, &q);
            ck_assert_int_eq(a->error, rows[i].error);
            ck_assert_int_eq(a->throttle_time_ms, 0);
        }
    kclient_close(&c);
}
END_TEST

/* --- LeaveGroup --- */

static int16_t leave_version;

static void leave_see(const struct broker_group *r)
{
    const struct broker_group_leave *l = &r->leave;
    ck_assert_int_eq(r->op, BROKER_GROUP_LEAVE);
    ck_slice(r->group, "g");
    ck_assert_uint_eq(l->count, leave_version < 3 ? 1 : 2);
    ck_slice(l->leavers[0].member, "m-1");
    ck_slice(l->leavers[0].instance, "(null)");
    ck_slice(l->leavers[0].reason, leave_version < 5 ? "(null)" : "enough");
    if (leave_version < 3)
        return;
    ck_slice(l->leavers[1].member, "");
    ck_slice(l->leavers[1].instance, "static");
    ck_slice(l->leavers[1].reason, "(null)");
}

static void leave_answer(struct broker_group *r)
{
    if (r->status != BROKER_OK)
        return;
    for (size_t i = 0; i < r->leave.count; i++)
        r->leave.leavers[i].status = i == r->leave.count - 1 ? BROKER_UNKNOWN_MEMBER : BROKER_OK;
}

static const struct kp_leave_group_response *leave(struct kclient *c, int16_t version)
{
    struct kp_leave_group_request q = KP_LEAVE_GROUP_REQUEST_INIT;
    struct kp_leave_group_request_member v[2] = {
        {slice_str("m-1"), SLICE_NULL, slice_str("enough")},
        {slice_str(""), slice_str("static"), SLICE_NULL},
    };
    q.group_id = slice_str("g");
    q.member_id = slice_str("m-1");
    q.members.v = v;
    q.members.count = 2;
    leave_version = version;
    return kclient_ask(c, KP_API_LEAVE_GROUP, version, &q);
}

START_TEST(leave_in_every_version)
{
    struct kclient c;
    open_fake(&c);
    fake.see = leave_see;
    fake.answer = leave_answer;
    for (int16_t v = 0; v <= 5; v++) {
        const struct kp_leave_group_response *a = leave(&c, v);
        ck_assert_int_eq(a->error, v < 3 ? 25 : 0);
        ck_assert_int_eq(a->members.count, v < 3 ? 0 : 2);
        if (v < 3)
            continue;
        ck_slice(a->members.v[0].member_id, "m-1");
        ck_slice(a->members.v[0].group_instance_id, "(null)");
        ck_assert_int_eq(a->members.v[0].error, 0);
        ck_slice(a->members.v[1].member_id, "");
        ck_slice(a->members.v[1].group_instance_id, "static");
        ck_assert_int_eq(a->members.v[1].error, 25);
    }
    fake.status = BROKER_GROUP_LOADING;
    for (int16_t v = 0; v <= 5; v++) {
        const struct kp_leave_group_response *a = leave(&c, v);
        ck_assert_int_eq(a->error, 14);
        ck_assert_int_eq(a->members.count, 0);
    }
    kclient_close(&c);
}
END_TEST

/* --- while it waits --- */

/* A client that goes while its join waits: the broker's answer finds nobody, and nothing breaks. */
START_TEST(gone_while_joining)
{
    struct kclient c;
    struct kafka_stats stats;
    struct kp_join_group_request q = KP_JOIN_GROUP_REQUEST_INIT;
    open_fake(&c);
    fake.hold = true;
    q.group_id = slice_str("g");
    kclient_send(&c, KP_API_JOIN_GROUP, 5, &q);
    for (int i = 0; i < 10; i++)
        kclient_turn(&c);
    ck_assert_uint_eq(fake.seen, 1);
    kafka_stats(c.k, &stats);
    ck_assert_uint_eq(stats.running, 1);
    kclient_hang_up(&c);
    for (int i = 0; i < 10; i++)
        kclient_turn(&c);
    kafka_stats(c.k, &stats);
    ck_assert_uint_eq(stats.running, 1);
    fake.hold = false;
    fake.answer = join_answer_leader;
    for (int i = 0; i < 10; i++)
        kclient_turn(&c);
    kafka_stats(c.k, &stats);
    ck_assert_uint_eq(stats.running, 0);
    kclient_connect(&c);
    fake.answer = NULL;
    fake.status = BROKER_UNKNOWN_MEMBER;
    ck_assert_int_eq(join(&c, 5, "m-1")->error, 25);
    kclient_close(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kafka group");
    TCase *t = tcase_create("group");
    tcase_add_test(t, join_as_leader);
    tcase_add_test(t, join_as_follower);
    tcase_add_test(t, join_while_the_assignment_stands);
    tcase_add_test(t, join_errors);
    tcase_add_test(t, sync_in_every_version);
    tcase_add_test(t, sync_errors);
    tcase_add_test(t, heartbeats);
    tcase_add_test(t, leave_in_every_version);
    tcase_add_test(t, gone_while_joining);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    return rig_main(s);
}
