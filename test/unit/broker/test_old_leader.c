/* SPDX-License-Identifier: MIT
 *
 * A leader that is back in its term, alone, while another one went on without it: what it lacks it
 * does not call missing. And one that leads again after it followed: its view is of another time.
 */
#include <check.h>
#include <stdlib.h>

#include "engine/broker/broker_group.h"
#include "engine/broker/broker_groups_priv.h"
#include "test/unit/broker/cluster_world.h"

#define OFFSETS "__consumer_offsets"

static struct world w;

static void setup(void)
{
    struct rig_admin a;
    world_init(&w, 1, 3);
    world_start(&w, 1);
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "t");
    a.req.partitions = 1;
    a.req.replication = -1;
    rig_admin_config(&a, "min.insync.replicas", "2");
    rig_admin_start(&w.nodes[1].rig, &a);
    world_run(&w, 500);
    ck_assert_int_eq(a.req.status, BROKER_OK);
    world_start(&w, 2);
    world_start(&w, 3);
    world_wait_isr(&w, "t", 3, 30000);
}

static void teardown(void)
{
    world_deinit(&w);
}

static enum broker_status put_once(int id, int32_t sequence)
{
    struct rig_batch batch = {.tag = (uint64_t)sequence, .producer = 1001, .sequence = sequence};
    struct rig_produce *p = world_produce(&w, id, "t", -1, &batch);
    for (int i = 0; p->done == 0 && i < 3000; i++)
        world_run(&w, 20);
    ck_assert_uint_eq(p->done, 1);
    enum broker_status s = p->items[0].status;
    rig_produce_free(p);
    return s;
}

/* Once there are enough replicas for it. */
static enum broker_status put(int id, int32_t sequence)
{
    enum broker_status s = BROKER_NOT_ENOUGH_REPLICAS;
    for (int tries = 0; s == BROKER_NOT_ENOUGH_REPLICAS && tries < 50; tries++) {
        world_run(&w, 200);
        s = put_once(id, sequence);
    }
    return s;
}

static void commit_done(struct broker_group *req)
{
    ++*(unsigned *)req->ctx;
}

static void commit(int id, int64_t offset)
{
    unsigned done;
    enum broker_status s = BROKER_LOADING;
    for (int tries = 0; s != BROKER_OK && tries < 50; tries++) {
        struct broker_group_offset_item item = {
            .topic = slice_str("t"), .offset = offset, .leader_epoch = -1};
        struct broker_group req = {.op = BROKER_GROUP_COMMIT,
                                   .group = slice_str("g"),
                                   .generation = -1,
                                   .commit = {&item, 1},
                                   .done = commit_done,
                                   .ctx = &done};
        done = 0;
        broker_group(w.nodes[id].rig.broker, &req);
        for (int i = 0; done == 0 && i < 3000; i++)
            world_run(&w, 20);
        ck_assert_uint_eq(done, 1);
        s = req.status != BROKER_OK ? req.status : item.status;
        world_run(&w, s == BROKER_OK ? 0 : 200);
    }
    ck_assert_int_eq(s, BROKER_OK);
}

/* -1: none. */
static int64_t committed(int id)
{
    struct broker_group_offset o;
    const struct broker *b = w.nodes[id].rig.broker;
    ck_assert_int_eq(broker_groups_ready(b), BROKER_OK);
    return broker_group_offset(b, slice_str("g"), slice_str("t"), 0, &o) != 0 ? -1 : o.offset;
}

static bool coordinates(struct world *in, void *ctx)
{
    return broker_groups_ready(in->nodes[*(int *)ctx].rig.broker) == BROKER_OK;
}

static void promote(int id)
{
    enum broker_status s = world_promote(&w, id, false);
    for (int tries = 0; s != BROKER_OK && tries < 20; tries++) { /* others may be about to ask */
        world_run(&w, 500);
        s = world_promote(&w, id, false);
    }
    ck_assert_msg(s == BROKER_OK, "%d: %s", s, w.said);
}

/* Brokers 2 and 3 go on without the leader, then they are down and it is back. */
static void others_go_on(void (*work)(void))
{
    world_kill(&w, 1);
    promote(2);
    work();
    world_kill(&w, 2);
    world_kill(&w, 3);
    world_start(&w, 1);
    world_run(&w, 8000);
    ck_assert_int_eq(broker_role(w.nodes[1].rig.broker), BROKER_LEADING);
}

static void put_second(void)
{
    ck_assert_int_eq(put(2, 1), BROKER_OK);
}

START_TEST(a_gap_is_not_final)
{
    ck_assert_int_eq(put(1, 0), BROKER_OK);
    others_go_on(put_second);
    ck_assert_int_eq(put(1, 2), BROKER_NOT_LEADER);
    world_start(&w, 2);
    world_start(&w, 3);
    world_wait_isr(&w, "t", 3, 60000);
    enum broker_status s = BROKER_NOT_LEADER;
    for (int tries = 0; s == BROKER_NOT_LEADER && tries < 50; tries++) {
        world_wait_leader(&w, 30000);
        s = put(world_leader(&w), 3);
    }
    ck_assert_int_eq(s, BROKER_SEQUENCE_GAP);
    ck_assert_int_eq(put(world_leader(&w), 2), BROKER_OK);
}
END_TEST

static void commit_second(void)
{
    ck_assert_int_eq(put(2, 3), BROKER_OK);
    commit(2, 4);
}

START_TEST(no_older_offset)
{
    for (int32_t i = 0; i < 3; i++)
        ck_assert_int_eq(put(1, i), BROKER_OK);
    commit(1, 2);
    world_wait_isr(&w, OFFSETS, 3, 30000);
    ck_assert_int_eq(rig_alter(&w.nodes[1].rig, OFFSETS, "min.insync.replicas", "2"), BROKER_OK);
    world_run(&w, 2000);
    others_go_on(commit_second);
    ck_assert_int_eq(broker_groups_ready(w.nodes[1].rig.broker), BROKER_GROUP_LOADING);
    world_start(&w, 2);
    world_start(&w, 3);
    int id = 2;
    world_until(&w, coordinates, &id, 60000);
    ck_assert_int_eq(committed(2), 4);
}
END_TEST

/* A broker led, followed, leads again, and dies before its view is filled anew. */
START_TEST(a_view_of_another_time)
{
    int id = 1;
    struct meta_applied applied;
    for (int32_t i = 0; i < 3; i++)
        ck_assert_int_eq(put(1, i), BROKER_OK);
    commit(1, 2);
    world_wait_isr(&w, OFFSETS, 3, 30000);
    world_run(&w, 5000);
    int first = meta_get_applied(w.nodes[1].rig.broker->view, OFFSETS "-0", &applied);
    ck_assert_int_eq(first, 0);
    ck_assert_int_ge(applied.offset, 0);
    promote(2);
    world_wait_isr(&w, OFFSETS, 3, 60000);
    world_run(&w, 5000);
    w.nodes[1].rig.broker->groups->next_view_ms = INT64_MAX; /* the next commit of the view */
    promote(1);
    world_until(&w, coordinates, &id, 60000);
    ck_assert_int_eq(committed(1), 2);
    int r = meta_get_applied(w.nodes[1].rig.broker->view, OFFSETS "-0", &applied);
    ck_assert_int_eq(r, 0);
    ck_assert_int_eq(applied.offset, -1); /* emptied: nothing is in it */
    world_kill(&w, 1);
    world_start(&w, 1);
    world_until(&w, coordinates, &id, 60000);
    ck_assert_int_eq(world_leader(&w), 1);
    ck_assert_int_eq(committed(1), 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("old leader");
    TCase *c = tcase_create("old leader");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, a_gap_is_not_final);
    tcase_add_test(c, no_older_offset);
    tcase_add_test(c, a_view_of_another_time);
    suite_add_tcase(s, c);
    return rig_main(s);
}
