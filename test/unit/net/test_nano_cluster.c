/* SPDX-License-Identifier: MIT
 *
 * test_nano_cluster: who is told to belong to the cluster, page by page; promotions; and that
 * NOT_LEADER names the leader.
 */
#include <stdio.h>
#include <stdlib.h>

#include "proto/frame.h"
#include "rig.h"

static struct rig rig;

static void setup(void)
{
    rig_init(&rig, false);
    rig.options.message_size_max = NANO_MESSAGE_SIZE_MIN;
    rig_open(&rig);
    rig.broker->brokers = 3;
}

static void teardown(void)
{
    rig_close(&rig);
}

static const Kauri__Answer *ask(Kauri__Call *call, Kauri__Status status)
{
    const Kauri__Answer *a =
        rig_answer(&rig, rig.client, rig_send(&rig, rig.client, call, SLICE_NULL));
    ck_assert_msg(a->status == status, "status %d, %s", (int)a->status, a->message);
    return a;
}

static const Kauri__ClusterStatusAnswer *status(Kauri__ClusterStatus *s)
{
    Kauri__Call call;
    client_call(rig.client, &call, KAURI__CALL__CALL_CLUSTER_STATUS);
    call.cluster_status = s;
    const Kauri__Answer *a = ask(&call, KAURI__STATUS__OK);
    ck_assert_int_eq(a->answer_case, KAURI__ANSWER__ANSWER_CLUSTER_STATUS);
    return a->cluster_status;
}

START_TEST(test_brokers)
{
    Kauri__ClusterStatus s;
    kauri__cluster_status__init(&s);
    rig.broker->topic_count = 2;
    const Kauri__ClusterStatusAnswer *a = status(&s);
    ck_assert(a->id == 1 && a->leader == 1 && a->term == 33);
    ck_assert_str_eq(a->role, "leading");
    ck_assert_str_eq(a->native, "tcp://broker1:7092");
    ck_assert(a->partition_count == 6 && a->leaderless == 0 && a->under_replicated == 6);
    ck_assert(a->n_brokers == 3 && a->n_partitions == 0 && !a->more);
    for (int i = 0; i < 3; i++) { /* ascending, whatever the order of the broker's list */
        const Kauri__ClusterBroker *b = a->brokers[i];
        ck_assert(b->id == i + 1 && b->replicas == 6 && b->silent_ms == 5);
        ck_assert(b->leading == (i == 0 ? 6 : 0) && b->in_sync == (i == 2 ? 0 : 6));
        ck_assert_int_eq(b->lag, i == 0 ? 0 : 6 * 10 * (i + 1));
        ck_assert(strcmp(b->native, "tcp://n:1") == 0 && strcmp(b->kafka_host, "k") == 0);
    }
}
END_TEST

/* Pages of a given size, and of the broker's own limit, tell every partition once, in order. */
START_TEST(test_pages)
{
    Kauri__ClusterStatus s;
    kauri__cluster_status__init(&s);
    rig.broker->topic_count = 300;
    rig.broker->partition_count = 20;
    s.partitions = true;
    s.count_max = _i == 0 ? 0 : 7 * 20 + 3;
    s.after_topic = frame_borrow("");
    size_t seen = 0, pages = 0;
    char after[32];
    for (bool more = true; more; pages++) {
        const Kauri__ClusterStatusAnswer *a = status(&s);
        ck_assert_uint_eq(a->partition_count, 6000); /* the sums are of all */
        ck_assert_uint_gt(a->n_partitions, 0);
        for (size_t i = 0; i < a->n_partitions; i++, seen++) {
            const Kauri__ClusterPartition *p = a->partitions[i];
            char name[32];
            snprintf(name, sizeof name, "topic-%06zu", seen / 20);
            ck_assert_str_eq(p->topic, name);
            ck_assert_int_eq(p->partition, seen % 20);
            s.after_partition = p->partition;
        }
        snprintf(after, sizeof after, "topic-%06zu", (seen - 1) / 20);
        s.after_topic = after;
        more = a->more;
    }
    ck_assert_uint_eq(seen, 6000);
    ck_assert_uint_ge(pages, 2);
}
END_TEST

START_TEST(test_partition)
{
    Kauri__ClusterStatus s;
    kauri__cluster_status__init(&s);
    rig.broker->topic_count = 1;
    s.partitions = true;
    const Kauri__ClusterStatusAnswer *a = status(&s);
    ck_assert_uint_eq(a->n_partitions, 3);
    const Kauri__ClusterPartition *p = a->partitions[2];
    ck_assert(p->leader == 1 && p->epoch == 2 && p->end == -1);
    ck_assert(p->n_replicas == 3 && p->n_in_sync == 2 && p->n_eligible == 0);
    ck_assert(p->replicas[2] == 3 && p->in_sync[1] == 2);
    ck_assert_uint_eq(p->n_followers, 2);
    ck_assert(p->followers[0]->id == 2 && p->followers[0]->in_sync && p->followers[0]->lag == 20);
    ck_assert(p->followers[1]->id == 3 && !p->followers[1]->in_sync);
    ck_assert(p->followers[1]->end == 100 && p->followers[1]->caught_up_ms == 700);
    ck_assert(p->followers[1]->lag_size == 300 && p->followers[1]->since_ms == 900);
}
END_TEST

START_TEST(test_promote)
{
    Kauri__Call call;
    Kauri__ClusterPromote promote;
    kauri__cluster_promote__init(&promote);
    promote.force = _i == 1;
    rig.broker->promoted = _i == 2 ? BROKER_NOT_ENOUGH_REPLICAS : BROKER_OK;
    client_call(rig.client, &call, KAURI__CALL__CALL_CLUSTER_PROMOTE);
    call.cluster_promote = &promote;
    const Kauri__Answer *a =
        ask(&call, _i == 2 ? KAURI__STATUS__NOT_ENOUGH_REPLICAS : KAURI__STATUS__OK);
    ck_assert_int_eq(a->answer_case, KAURI__ANSWER__ANSWER_CLUSTER_PROMOTE);
    ck_assert_str_eq(a->message, _i == 2 ? "no" : "so be it");
    ck_assert(a->cluster_promote->term == 35 && a->cluster_promote->lost == (_i == 1 ? 4 : 0));
    ck_assert(rig.broker->forced == (_i == 1));
}
END_TEST

START_TEST(test_leave)
{
    Kauri__Call call;
    Kauri__ClusterLeave leave;
    kauri__cluster_leave__init(&leave);
    leave.id = _i == 3 ? -1 : 5;
    leave.force = _i == 1;
    leave.validate_only = _i == 1;
    rig.broker->left = _i == 2 ? BROKER_NOT_ENOUGH_REPLICAS : BROKER_OK;
    client_call(rig.client, &call, KAURI__CALL__CALL_CLUSTER_LEAVE);
    call.cluster_leave = &leave;
    const Kauri__Answer *a = ask(&call, _i == 2   ? KAURI__STATUS__NOT_ENOUGH_REPLICAS
                                        : _i == 3 ? KAURI__STATUS__BAD_REQUEST
                                                  : KAURI__STATUS__OK);
    if (_i == 3)
        return;
    ck_assert_int_eq(a->answer_case, KAURI__ANSWER__ANSWER_CLUSTER_LEAVE);
    ck_assert_str_eq(a->message, _i == 2 ? "no" : "so be it");
    ck_assert_uint_eq(a->cluster_leave->replicas, 5);
    ck_assert_uint_eq(a->cluster_leave->pending, _i == 1 ? 3 : 0);
    ck_assert(rig.broker->forced == (_i == 1));
}
END_TEST

/* Of a whole call, of an item; and not where nothing of the kind is said. */
START_TEST(test_points_at_the_leader)
{
    Kauri__Call call;
    Kauri__TopicDelete topic;
    Kauri__Produce produce;
    Kauri__ProduceItem item;
    Kauri__ProduceItem *list[] = {&item};
    kauri__topic_delete__init(&topic);
    kauri__produce__init(&produce);
    kauri__produce_item__init(&item);
    rig.broker->elsewhere = _i == 0;
    topic.name = frame_borrow("t");
    client_call(rig.client, &call, KAURI__CALL__CALL_TOPIC_DELETE);
    call.topic_delete = &topic;
    const char *want = _i == 0 ? "tcp://broker2:7092" : "";
    const Kauri__Answer *a = ask(&call, _i == 0 ? KAURI__STATUS__NOT_LEADER : KAURI__STATUS__OK);
    ck_assert_str_eq(a->leader, want);
    produce.acks = 1;
    produce.items = list;
    produce.n_items = 1;
    item.topic = frame_borrow("t");
    client_call(rig.client, &call, KAURI__CALL__CALL_PRODUCE);
    call.produce = &produce;
    a = ask(&call, KAURI__STATUS__OK);
    ck_assert_int_eq(a->produce->results[0]->status,
                     _i == 0 ? KAURI__STATUS__NOT_LEADER : KAURI__STATUS__OK);
    ck_assert_str_eq(a->leader, want);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("cluster");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_brokers);
    tcase_add_loop_test(tc, test_pages, 0, 2);
    tcase_add_test(tc, test_partition);
    tcase_add_loop_test(tc, test_promote, 0, 3);
    tcase_add_loop_test(tc, test_leave, 0, 4);
    tcase_add_loop_test(tc, test_points_at_the_leader, 0, 2);
    Suite *s = suite_create("net/nano_cluster");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
