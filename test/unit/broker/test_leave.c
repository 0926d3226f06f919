/* SPDX-License-Identifier: MIT
 *
 * Brokers that leave the cluster: what they lose, when it is refused, how they come back, and that
 * one that came back counts for nothing before it has caught up.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "engine/broker/broker_lead.h"
#include "test/unit/broker/cluster_world.h"

static struct world w;

static void setup(void)
{
    world_init(&w, 5, 3);
}

static void teardown(void)
{
    world_deinit(&w);
}

static void create(int id, const char *topic, const char *min_insync)
{
    struct rig_admin a;
    rig_admin_init(&a, BROKER_TOPIC_CREATE, topic);
    a.req.partitions = 1;
    a.req.replication = -1;
    rig_admin_config(&a, "min.insync.replicas", min_insync);
    rig_admin_start(&w.nodes[id].rig, &a);
    for (int i = 0; a.done == 0 && i < 100; i++)
        world_run(&w, 10);
    ck_assert_msg(a.req.status == BROKER_OK, "%s", a.req.message);
}

/* Records with acks=all. */
static void put(int id, const char *topic, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct rig_batch b = {.tag = first + i};
        enum broker_status s = BROKER_LOADING;
        for (int tries = 0; s != BROKER_OK && tries < 50; tries++) {
            struct rig_produce *p = world_produce(&w, id, topic, -1, &b);
            for (int k = 0; p->done == 0 && k < 1000; k++)
                world_run(&w, 20);
            ck_assert_uint_eq(p->done, 1);
            s = p->items[0].status;
            rig_produce_free(p);
            if (s != BROKER_OK)
                world_run(&w, 100);
        }
        ck_assert_int_eq(s, BROKER_OK);
    }
}

static void same(int a, int b, const char *topic)
{
    struct buf x CLEANUP(buf_deinit) = {0}, y CLEANUP(buf_deinit) = {0};
    rig_read_all(&w.nodes[a].rig, topic, 0, 0, &x);
    rig_read_all(&w.nodes[b].rig, topic, 0, 0, &y);
    ck_assert_uint_gt(x.size, 0);
    ck_assert_uint_eq(x.size, y.size);
    ck_assert_mem_eq(x.p, y.p, x.size);
}

static enum broker_status leave(int at, int id)
{
    return world_leave(&w, at, (struct world_leave){.id = id});
}

static const struct cluster_part *record(int id, const char *topic)
{
    return &world_part(&w, id, topic)->replica->record;
}

/* Three brokers, all in sync. */
static void three(const char *min_insync)
{
    world_start(&w, 1);
    create(1, "t", min_insync);
    world_start(&w, 2);
    world_start(&w, 3);
    world_wait_isr(&w, "t", 3, 30000);
    put(1, "t", 0, 10);
}

/* A start without the addresses that a replica is given. */
static void start_bare(int id)
{
    char cluster_id[23];
    memcpy(cluster_id, w.cluster_id, sizeof cluster_id);
    w.cluster_id[0] = '\0';
    world_start(&w, id);
    ck_assert_str_eq(w.cluster_id, cluster_id);
}

START_TEST(leaves_and_comes_back)
{
    three("2");
    ck_assert_msg(leave(1, 3) == BROKER_OK, "%s", w.said);
    ck_assert_ptr_nonnull(strstr(w.said, "broker 3 has left"));
    ck_assert_uint_eq(record(1, "t")->replicas.count, 2);
    ck_assert(!replica_ids_has(&record(1, "t")->isr, 3));
    world_run(&w, 2000);
    ck_assert_int_eq(broker_role(w.nodes[3].rig.broker), BROKER_HAS_LEFT);
    put(1, "t", 10, 10);
    world_run(&w, 60000);
    ck_assert_int_eq(broker_role(w.nodes[3].rig.broker), BROKER_HAS_LEFT);
    ck_assert_int_eq(world_part(&w, 3, "t")->part->reserved, 10);
    ck_assert_int_eq(leave(1, 3), BROKER_OK); /* once more */
    ck_assert_int_eq(world_promote(&w, 3, true), BROKER_DENIED);
    ck_assert_ptr_nonnull(strstr(w.said, "has left"));
    world_kill(&w, 3);
    world_start(&w, 3);
    world_wait_isr(&w, "t", 3, 60000);
    put(1, "t", 20, 10);
    world_run(&w, 2000);
    same(1, 2, "t");
    same(1, 3, "t");
    ck_assert_int_eq(leave(1, 3), BROKER_OK); /* and it may leave again */
    ck_assert_uint_eq(record(1, "t")->replicas.count, 2);
}
END_TEST

/* The machine is gone; back without addresses it learns that it left, with them it joins. */
START_TEST(gone_for_good)
{
    three("1");
    world_kill(&w, 3);
    ck_assert_msg(leave(1, 3) == BROKER_OK, "%s", w.said);
    put(1, "t", 10, 5); /* nobody waits for it */
    start_bare(3);
    world_run(&w, 5000);
    ck_assert_int_eq(broker_role(w.nodes[3].rig.broker), BROKER_HAS_LEFT);
    world_kill(&w, 3);
    world_wipe(&w, 3);
    world_start(&w, 3);
    world_wait_isr(&w, "t", 3, 60000);
    world_run(&w, 2000);
    same(1, 3, "t");
}
END_TEST

START_TEST(stays_left_after_a_restart)
{
    three("1");
    ck_assert_int_eq(leave(1, 3), BROKER_OK);
    world_run(&w, 2000);
    world_stop(&w, 3);
    start_bare(3);
    ck_assert_int_eq(broker_role(w.nodes[3].rig.broker), BROKER_HAS_LEFT);
    world_run(&w, 10000);
    ck_assert_int_eq(broker_role(w.nodes[3].rig.broker), BROKER_HAS_LEFT);
    struct rig_batch b = {.tag = 7};
    struct rig_produce *p = world_produce(&w, 3, "t", 1, &b);
    world_run(&w, 100);
    ck_assert_int_eq(p->items[0].status, BROKER_NOT_LEADER);
    rig_produce_free(p);
}
END_TEST

START_TEST(refused)
{
    world_start(&w, 1);
    create(1, "t", "2");
    ck_assert_int_eq(leave(1, 1), BROKER_DENIED);
    ck_assert_ptr_nonnull(strstr(w.said, "alone"));
    world_start(&w, 2);
    world_start(&w, 3);
    world_wait_isr(&w, "t", 3, 30000);
    ck_assert_int_eq(leave(1, 1), BROKER_DENIED);
    ck_assert_ptr_nonnull(strstr(w.said, "promote another"));
    ck_assert_int_eq(leave(1, 9), BROKER_UNKNOWN_BROKER);
    ck_assert_int_eq(leave(2, 3), BROKER_NOT_LEADER);
    struct world_leave would = {.id = 3, .validate_only = true};
    ck_assert_int_eq(world_leave(&w, 1, would), BROKER_OK);
    ck_assert_ptr_nonnull(strstr(w.said, "would leave"));
    ck_assert_uint_eq(record(1, "t")->replicas.count, 3);
    ck_assert_int_eq(leave(1, 3), BROKER_OK);
    ck_assert_int_eq(leave(1, 2), BROKER_NOT_ENOUGH_REPLICAS);
    ck_assert_ptr_nonnull(strstr(w.said, "t-0: 1, and min.insync.replicas wants 2"));
    ck_assert_uint_eq(record(1, "t")->replicas.count, 2);
    would = (struct world_leave){.id = 2, .validate_only = true};
    ck_assert_int_eq(world_leave(&w, 1, would), BROKER_NOT_ENOUGH_REPLICAS);
    world_run(&w, 2000);
    ck_assert_int_eq(broker_role(w.nodes[2].rig.broker), BROKER_FOLLOWING);
}
END_TEST

/* With too few in sync a third that is away cannot be spared either. */
START_TEST(too_few_in_sync)
{
    three("2");
    world_kill(&w, 2);
    world_kill(&w, 3);
    world_run(&w, 60000);
    ck_assert_uint_eq(record(1, "t")->isr.count, 1);
    ck_assert_int_eq(leave(1, 3), BROKER_NOT_ENOUGH_REPLICAS);
    world_start(&w, 2);
    world_wait_isr(&w, "t", 2, 60000);
    ck_assert_msg(leave(1, 3) == BROKER_OK, "%s", w.said);
    ck_assert_uint_eq(record(1, "t")->replicas.count, 2);
}
END_TEST

static bool listed(struct world *v, void *ctx)
{
    struct bpart *p = world_part(v, 2, "t");
    ck_assert_ptr_null(ctx);
    return p != NULL && p->replica != NULL && p->replica->record.replicas.count == 2 &&
           p->replica->record.isr.count == 1;
}

/* By force under the minimum: acks=all goes on with who stays. Who comes back lacks that, and must
 * not be promoted alone, as it could have been before. */
START_TEST(force_and_back)
{
    world_start(&w, 1);
    create(1, "t", "2");
    world_start(&w, 2);
    world_wait_isr(&w, "t", 2, 30000);
    put(1, "t", 0, 10);
    world_kill(&w, 2);
    struct world_leave force = {.id = 2, .force = true};
    ck_assert_int_eq(leave(1, 2), BROKER_NOT_ENOUGH_REPLICAS);
    ck_assert_msg(world_leave(&w, 1, force) == BROKER_OK, "%s", w.said);
    ck_assert_uint_eq(record(1, "t")->replicas.count, 1);
    put(1, "t", 10, 10);
    world_start(&w, 2);
    for (int i = 0; !listed(&w, NULL) && i < 10000; i++)
        world_run(&w, 1);
    ck_assert(listed(&w, NULL));
    world_kill(&w, 1);
    world_run(&w, 1000);
    ck_assert_int_eq(world_promote(&w, 2, false), BROKER_NOT_ENOUGH_REPLICAS);
    world_start(&w, 1);
    world_wait_isr(&w, "t", 2, 60000);
    put(1, "t", 20, 5);
    world_kill(&w, 1);
    world_run(&w, 16000); /* the votes asked for before are given up, too */
    ck_assert_msg(world_promote(&w, 2, false) == BROKER_OK, "%s", w.said);
    world_wait_isr(&w, "t", 1, 30000);
    ck_assert_int_eq(world_part(&w, 2, "t")->part->reserved, 25);
}
END_TEST

/* Two of three are gone for good, and the minimum is lowered: they could be promoted without 1 for
 * all it knows, until both have left. */
START_TEST(lowered_and_gone)
{
    struct world_leave second = {.id = 2, .force = true}, third = {.id = 3, .force = true};
    struct rig_admin a;
    world_set(&w, "replica.lag.time.max.ms", "1500");
    three("2");
    world_kill(&w, 2);
    world_kill(&w, 3);
    world_run(&w, 4000);
    rig_admin_init(&a, BROKER_TOPIC_ALTER, "t");
    rig_admin_config(&a, "min.insync.replicas", "1");
    rig_admin_start(&w.nodes[1].rig, &a);
    world_run(&w, 8000);
    ck_assert_uint_eq(a.done, 1);
    ck_assert_ptr_nonnull(strstr(w.nodes[1].rig.line, "cluster leave --broker-id N --force"));
    ck_assert_uint_eq(record(1, "t")->base.holders, 1);
    ck_assert_uint_eq(record(1, "t")->base.before_holders, 2);
    ck_assert(!replica_set_acks_allowed(&world_part(&w, 1, "t")->replica->set));
    ck_assert_msg(world_leave(&w, 1, second) == BROKER_OK, "%s", w.said);
    world_run(&w, 2000);
    ck_assert_uint_eq(record(1, "t")->replicas.count, 2);
    ck_assert(!replica_set_acks_allowed(&world_part(&w, 1, "t")->replica->set));
    ck_assert_msg(world_leave(&w, 1, third) == BROKER_OK, "%s", w.said);
    world_run(&w, 2000);
    put(1, "t", 10, 10);
    ck_assert_uint_eq(record(1, "t")->base.before.count, 0);
}
END_TEST

static void never(struct broker_leave_request *r)
{
    ck_assert_int_ne(r->status, BROKER_OK);
}

static bool flagged(int id)
{
    const struct cluster_broker *n;
    for (size_t i = 0; (n = broker_cluster_node(w.nodes[1].rig.broker, i)) != NULL; i++)
        if (n->id == id)
            return n->left;
    return false;
}

/* The leader dies with the flag written and the records not: its next start goes on with them. */
START_TEST(goes_on_after_a_restart)
{
    static struct broker_leave_request r;
    three("1");
    world_kill(&w, 3);
    r = (struct broker_leave_request){.id = 3, .done = never};
    broker_leave_request(w.nodes[1].rig.broker, &r);
    for (int i = 0; !flagged(3) && i < 1000; i++) {
        broker_run(w.nodes[1].rig.broker);
        work_drain(w.nodes[1].rig.work);
    }
    ck_assert(flagged(3));
    ck_assert_uint_eq(record(1, "t")->replicas.count, 3);
    world_kill(&w, 1);
    world_start(&w, 1);
    world_wait_leader(&w, 30000);
    world_wait_isr(&w, "t", 2, 30000);
    world_run(&w, 2000);
    ck_assert_uint_eq(record(1, "t")->replicas.count, 2);
    create(1, "u", "1");
    world_wait_isr(&w, "u", 2, 60000);
    ck_assert(!replica_ids_has(&record(1, "u")->replicas, 3));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("broker/leave");
    TCase *tc = tcase_create("leave");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, leaves_and_comes_back);
    tcase_add_test(tc, gone_for_good);
    tcase_add_test(tc, stays_left_after_a_restart);
    tcase_add_test(tc, refused);
    tcase_add_test(tc, too_few_in_sync);
    tcase_add_test(tc, lowered_and_gone);
    tcase_add_test(tc, force_and_back);
    tcase_add_test(tc, goes_on_after_a_restart);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
