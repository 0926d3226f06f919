/* SPDX-License-Identifier: MIT
 *
 * test_follower: what the Kafka front of a follower (fleet.h) serves and what it leaves to the
 * leader, whom it names instead, and how a leader sends consumers to the replica in their rack.
 */
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

START_TEST(a_follower_takes_no_records)
{
    for (int16_t v = 3; v <= 11; v++) {
        fleet_ask(&f, 2);
        const struct kp_produce_response *a = fleet_produce(&f, v);
        const struct kp_produce_response_partition *p = &a->topics.v[0].partitions.v[0];
        ck_assert_int_eq(p->error, KAFKA_NOT_LEADER_OR_FOLLOWER);
        ck_assert_int_eq(p->base_offset, -1);
        ck_assert_int_eq(p->current_leader.leader_id, v >= 10 ? 1 : -1);
        ck_assert_int_eq(p->current_leader.leader_epoch, v >= 10 ? fleet_epoch_at(&f, 1) : -1);
        ck_assert_int_eq(a->node_endpoints.count, v >= 10 ? 1 : 0);
        if (v >= 10) {
            const struct kp_produce_response_node *n = &a->node_endpoints.v[0];
            ck_assert_int_eq(n->node_id, 1);
            fleet_broker(&f, 1, n->host, n->port, 2);
            ck_slice(n->rack, "a");
        }
        fleet_ask(&f, 1);
        a = fleet_produce(&f, v);
        ck_assert_int_eq(a->topics.v[0].partitions.v[0].error, 0);
        ck_assert_int_eq(a->topics.v[0].partitions.v[0].current_leader.leader_id, -1);
        ck_assert_int_eq(a->node_endpoints.count, 0);
    }
}
END_TEST

struct want {
    const char *topic;
    int64_t offset;
    int32_t epoch; /* 0: none, else 1 more */
    const char *rack;
    int32_t session;
    int32_t session_epoch;
    bool nothing; /* the partitions of the session, as they are */
};

static const struct kp_fetch_response *fetch_answer(int16_t version, const struct want *want)
{
    struct kp_fetch_request q = KP_FETCH_REQUEST_INIT;
    struct kp_fetch_request_topic t = KP_FETCH_REQUEST_TOPIC_INIT;
    struct kp_fetch_request_partition p = KP_FETCH_REQUEST_PARTITION_INIT;
    struct broker_topic_info info;
    ck_assert_int_eq(broker_topic(f.c.rig->broker, slice_str(want->topic), &info), 0);
    memcpy(t.topic_id.b, info.id, sizeof t.topic_id.b);
    p.fetch_offset = want->offset;
    p.leader_epoch = version >= 9 ? want->epoch - 1 : -1;
    p.max_bytes = 1 << 20;
    t.name = slice_str(want->topic);
    t.partitions.v = &p;
    t.partitions.count = 1;
    q.topics.count = want->nothing ? 0 : 1;
    q.topics.v = &t;
    q.max_wait_ms = 600000; /* whoever waits is found out */
    q.min_bytes = 1;
    q.max_bytes = 1 << 20;
    q.session_id = want->session;
    q.session_epoch = want->session != 0 ? want->session_epoch : -1;
    if (want->session_epoch == 0 && want->session == 0 && want->nothing)
        q.session_epoch = 0;
    q.rack_id = slice_str(want->rack != NULL ? want->rack : "");
    return kclient_ask(&f.c, KP_API_FETCH, version, &q);
}

static const struct kp_fetch_response_partition *fetch(int16_t version, const struct want *want)
{
    const struct kp_fetch_response *a = fetch_answer(version, want);
    ck_assert_int_eq(a->error, 0);
    ck_assert_int_eq(a->topics.count, 1);
    ck_assert_int_eq(a->topics.v[0].partitions.count, 1);
    return &a->topics.v[0].partitions.v[0];
}

/* Of "solo" a follower has nothing, and says who has. */
START_TEST(a_follower_has_no_replica)
{
    struct want want = {.topic = "solo"};
    fleet_ask(&f, 2);
    for (int16_t v = 4; v <= 17; v++) {
        const struct kp_fetch_response *a = fetch_answer(v, &want);
        const struct kp_fetch_response_partition *p = &a->topics.v[0].partitions.v[0];
        ck_assert_int_eq(p->error, KAFKA_NOT_LEADER_OR_FOLLOWER);
        ck_assert_int_eq(p->high_watermark, -1);
        ck_assert_int_eq(p->current_leader.leader_id, v >= 12 ? 1 : -1);
        ck_assert_int_eq(a->node_endpoints.count, v >= 16 ? 1 : 0);
        if (v >= 16) {
            ck_assert_int_eq(a->node_endpoints.v[0].node_id, 1);
            fleet_broker(&f, 1, a->node_endpoints.v[0].host, a->node_endpoints.v[0].port, 2);
        }
    }
}
END_TEST

START_TEST(a_follower_is_read_from)
{
    int32_t epoch = fleet_epoch_at(&f, 1);
    fleet_ask(&f, 2);
    for (int16_t v = 4; v <= 17; v++) {
        struct want want = {.topic = "t", .offset = 3};
        const struct kp_fetch_response_partition *p = fetch(v, &want);
        ck_assert_int_eq(p->error, v < 11 ? KAFKA_NOT_LEADER_OR_FOLLOWER : 0);
        ck_assert_int_eq(p->high_watermark, v < 11 ? -1 : 5);
        ck_assert((p->records.size > 0) == (v >= 11));
        want.offset = 6;
        p = fetch(v, &want);
        ck_assert_int_eq(p->error,
                         v < 11 ? KAFKA_NOT_LEADER_OR_FOLLOWER : KAFKA_OFFSET_NOT_AVAILABLE);
        if (v < 11)
            continue;
        want = (struct want){.topic = "t", .epoch = epoch + 1};
        ck_assert_int_eq(fetch(v, &want)->error, 0);
        want.epoch = epoch;
        p = fetch(v, &want);
        ck_assert_int_eq(p->error, KAFKA_FENCED_LEADER_EPOCH);
        ck_assert_int_eq(p->current_leader.leader_id, v >= 12 ? 1 : -1);
        ck_assert_int_eq(p->current_leader.leader_epoch, v >= 12 ? epoch : -1);
        want.epoch = epoch + 2;
        ck_assert_int_eq(fetch(v, &want)->error, KAFKA_UNKNOWN_LEADER_EPOCH);
    }
    fleet_ask(&f, 1);
    struct want want = {.topic = "t", .offset = 6};
    ck_assert_int_eq(fetch(12, &want)->error, KAFKA_OFFSET_OUT_OF_RANGE);
}
END_TEST

/* What it says of offsets that only the others have: a consumer that heard of OFFSET_OUT_OF_RANGE
 * would begin anew. */
static void expect_not_here(void)
{
    for (int16_t v = 4; v <= 17; v++) {
        struct want want = {.topic = "t", .offset = 6};
        ck_assert_int_eq(fetch(v, &want)->error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    }
}

/* The leader dies, another one is promoted and goes on, the old one starts again: it does not know
 * of it at first, and never while the others cannot be reached. */
START_TEST(an_old_leader_is_back)
{
    struct want want = {.topic = "t", .offset = 7};
    ck_assert_int_eq(rig_alter(&f.w.nodes[1].rig, "t", "min.insync.replicas", "2"), BROKER_OK);
    world_run(&f.w, 1000);
    world_kill(&f.w, 1);
    ck_assert_int_eq(world_promote(&f.w, 2, true), BROKER_OK); /* "solo" is on 1 alone */
    fleet_put(&f, 2, 5);
    f.w.cut[1][2] = f.w.cut[1][3] = true;
    world_start(&f.w, 1);
    fleet_ask(&f, 1);
    ck_assert_int_eq(broker_role(f.w.nodes[1].rig.broker), BROKER_STARTING);
    expect_not_here();
    ck_assert_int_eq(fleet_list(&f, 10, -1, -1, -1).error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    world_run(&f.w, 5000);
    ck_assert_int_eq(broker_role(f.w.nodes[1].rig.broker), BROKER_LEADING);
    expect_not_here();
    f.w.cut[1][2] = f.w.cut[1][3] = false;
    world_run(&f.w, 15000);
    ck_assert_int_eq(broker_role(f.w.nodes[1].rig.broker), BROKER_FOLLOWING);
    ck_assert_int_eq(fetch(12, &want)->error, KAFKA_OFFSET_NOT_AVAILABLE);
    fleet_ask(&f, 2);
    ck_assert_int_eq(fetch(12, &want)->error, KAFKA_OFFSET_OUT_OF_RANGE);
}
END_TEST

/* --- the replica of a rack --- */

static void expect_preferred(int16_t version, const char *rack, int32_t id)
{
    struct want want = {.topic = "t", .offset = 2, .rack = rack};
    const struct kp_fetch_response_partition *p = fetch(version, &want);
    ck_assert_int_eq(p->error, 0);
    ck_assert_int_eq(p->high_watermark, 5);
    ck_assert_int_eq(p->log_start_offset, 0);
    ck_assert_int_eq(p->preferred_replica, id);
    ck_assert((p->records.size > 0) == (id < 0));
}

START_TEST(a_replica_in_the_rack)
{
    fleet_ask(&f, 1);
    for (int16_t v = 11; v <= 17; v++) {
        expect_preferred(v, "", -1);
        expect_preferred(v, "a", -1); /* the leader's own */
        expect_preferred(v, "b", 2);
        expect_preferred(v, "c", -1); /* nobody's */
    }
    struct want far = {.topic = "t", .offset = 6, .rack = "b"}; /* beyond what the replica has */
    ck_assert_int_eq(fetch(12, &far)->error, KAFKA_OFFSET_OUT_OF_RANGE);
    fleet_ask(&f, 2);
    expect_preferred(12, "b", -1); /* this is it */
    expect_preferred(12, "a", -1); /* only the leader sends elsewhere */
    world_kill(&f.w, 2 + 1);
    fleet_ask(&f, 1);
    expect_preferred(12, "b", 2);
}
END_TEST

/* Incremental fetches are told again each time. */
START_TEST(a_rack_in_a_session)
{
    struct want want = {.topic = "t", .offset = 2, .rack = "b", .nothing = true};
    fleet_ask(&f, 1);
    const struct kp_fetch_response *a = fetch_answer(12, &want); /* no partitions: no session */
    ck_assert_int_eq(a->topics.count, 0);
    struct kp_fetch_request q = KP_FETCH_REQUEST_INIT;
    struct kp_fetch_request_topic t = KP_FETCH_REQUEST_TOPIC_INIT;
    struct kp_fetch_request_partition p = KP_FETCH_REQUEST_PARTITION_INIT;
    p.fetch_offset = 2;
    p.max_bytes = 1 << 20;
    t.name = slice_str("t");
    t.partitions.v = &p;
    t.partitions.count = q.topics.count = 1;
    q.topics.v = &t;
    q.session_epoch = 0;
    q.max_wait_ms = 600000;
    q.min_bytes = 1;
    q.rack_id = slice_str("b");
    a = kclient_ask(&f.c, KP_API_FETCH, 12, &q);
    ck_assert_int_gt(a->session_id, 0);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].preferred_replica, 2);
    want.session = a->session_id;
    for (int32_t i = 1; i <= 3; i++) {
        want.session_epoch = i;
        ck_assert_int_eq(fetch(12, &want)->preferred_replica, 2);
    }
    want.session_epoch = 4;
    want.rack = "a";
    ck_assert_uint_gt(fetch(12, &want)->records.size, 0);
}
END_TEST

START_TEST(a_silent_replica_in_the_rack)
{
    world_kill(&f.w, 2);
    world_run(&f.w, 12000);
    fleet_ask(&f, 1);
    expect_preferred(12, "b", -1);
}
END_TEST

START_TEST(no_selector)
{
    rig_set(&f.w.nodes[1].rig, "replica.selector.class", "");
    world_kill(&f.w, 1);
    world_start(&f.w, 1);
    world_wait_isr(&f.w, "t", 3, 60000);
    world_run(&f.w, 3000);
    fleet_ask(&f, 1);
    expect_preferred(12, "b", -1);
}
END_TEST

/* --- offsets and groups --- */

START_TEST(offsets_are_the_leaders)
{
    int32_t epoch = fleet_epoch_at(&f, 1);
    fleet_ask(&f, 2);
    for (int16_t v = 1; v <= 10; v++) {
        ck_assert_int_eq(fleet_list(&f, v, -1, -1, -1).error, KAFKA_NOT_LEADER_OR_FOLLOWER);
        ck_assert_int_eq(fleet_list(&f, v, -1, -1, -1).offset, -1);
        ck_assert_int_eq(fleet_list(&f, v, -2, -1, -1).error,
                         0); /* a tool that looks at this replica */
        ck_assert_int_eq(fleet_list(&f, v, -2, -1, -1).offset, 5);
    }
    ck_assert_int_eq(fleet_list(&f, 10, -1, -1, epoch - 1).error, KAFKA_FENCED_LEADER_EPOCH);
    ck_assert_int_eq(fleet_list(&f, 10, -1, -1, epoch + 1).error, KAFKA_UNKNOWN_LEADER_EPOCH);
    ck_assert_int_eq(fleet_end_of(&f, -1, epoch).error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(fleet_end_of(&f, epoch - 1, epoch).error, KAFKA_FENCED_LEADER_EPOCH);
    ck_assert_int_eq(fleet_end_of(&f, epoch + 1, epoch).error, KAFKA_UNKNOWN_LEADER_EPOCH);
    fleet_ask(&f, 1);
    ck_assert_int_eq(fleet_list(&f, 10, -1, -1, epoch).offset, 5);
}
END_TEST

/* A new leader whose high watermark is behind what others may have seen. */
START_TEST(offsets_not_yet)
{
    struct rig_batch b = {.tag = 5};
    ck_assert_int_eq(rig_alter(&f.w.nodes[1].rig, "t", "min.insync.replicas", "2"), BROKER_OK);
    world_run(&f.w, 1000);
    f.w.cut[3][1] = true; /* in sync still, so that the next record is not committed */
    struct rig_produce *p = world_produce(&f.w, 1, "t", 1, &b);
    world_run(&f.w, 500);
    ck_assert_uint_eq(p->done, 1);
    rig_produce_free(p);
    f.w.cut[1][2] = true;
    enum broker_status s = world_promote(&f.w, 2, true); /* "solo" is on 1 alone */
    f.w.cut[3][2] = true;                                /* and no follower makes it so */
    ck_assert_msg(s == BROKER_OK, "%d: %s", s, f.w.said);
    fleet_ask(&f, 2);
    for (int16_t v = 1; v <= 10; v++) {
        int16_t error = fleet_list(&f, v, -1, -1, -1).error;
        ck_assert_int_eq(error, v < 5 ? KAFKA_LEADER_NOT_AVAILABLE : KAFKA_OFFSET_NOT_AVAILABLE);
        ck_assert_int_eq(fleet_list(&f, v, -1, -2, -1).offset, 0);
    }
}
END_TEST

START_TEST(groups_are_the_leaders)
{
    struct kp_heartbeat_request beat = KP_HEARTBEAT_REQUEST_INIT;
    struct kp_list_groups_request groups = KP_LIST_GROUPS_REQUEST_INIT;
    struct kp_find_coordinator_request find = KP_FIND_COORDINATOR_REQUEST_INIT;
    beat.group_id = slice_str("g");
    beat.member_id = slice_str("m");
    find.key = slice_str("g");
    fleet_ask(&f, 2);
    const struct kp_heartbeat_response *h = kclient_ask(&f.c, KP_API_HEARTBEAT, 4, &beat);
    ck_assert_int_eq(h->error, KAFKA_NOT_COORDINATOR);
    const struct kp_list_groups_response *l = kclient_ask(&f.c, KP_API_LIST_GROUPS, 4, &groups);
    ck_assert_int_eq(l->error, 0);
    ck_assert_int_eq(l->groups.count, 0);
    const struct kp_find_coordinator_response *found =
        kclient_ask(&f.c, KP_API_FIND_COORDINATOR, 3, &find);
    ck_assert_int_eq(found->error, 0);
    ck_assert_int_eq(found->node_id, 1);
    fleet_broker(&f, 1, found->host, found->port, 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kafka follower");
    TCase *t = tcase_create("follower");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_follower_takes_no_records);
    tcase_add_test(t, a_follower_has_no_replica);
    tcase_add_test(t, a_follower_is_read_from);
    tcase_add_test(t, an_old_leader_is_back);
    tcase_add_test(t, a_replica_in_the_rack);
    tcase_add_test(t, a_rack_in_a_session);
    tcase_add_test(t, a_silent_replica_in_the_rack);
    tcase_add_test(t, no_selector);
    tcase_add_test(t, offsets_are_the_leaders);
    tcase_add_test(t, offsets_not_yet);
    tcase_add_test(t, groups_are_the_leaders);
    suite_add_tcase(s, t);
    return rig_main(s);
}
