/* SPDX-License-Identifier: MIT
 *
 * Promotions where who is promoted lacks something: a replica, the records, the end of a start.
 */
#include <check.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "engine/broker/broker_lead.h"
#include "engine/broker/broker_priv.h"
#include "test/unit/broker/cluster_world.h"

static struct world w;

static void setup(void)
{
    world_init(&w, 1, 3);
}

static void teardown(void)
{
    world_deinit(&w);
}

static void create(int id, const char *topic, int32_t partitions, int32_t replication)
{
    struct rig_admin a;
    rig_admin_init(&a, BROKER_TOPIC_CREATE, topic);
    a.req.partitions = partitions;
    a.req.replication = replication;
    rig_admin_start(&w.nodes[id].rig, &a);
    for (int i = 0; a.done == 0 && i < 100; i++)
        world_run(&w, 10);
    ck_assert_msg(a.req.status == BROKER_OK, "%s", a.req.message);
}

static const struct bpart *part_of(int id, const char *topic, int32_t index)
{
    const struct bpart *p =
        broker_find_part(broker_find_topic(w.nodes[id].rig.broker, slice_str(topic)), index);
    ck_assert_ptr_nonnull(p);
    return p;
}

static const struct cluster_part *record_of(int id, const char *topic, int32_t index)
{
    const struct bpart *p = part_of(id, topic, index);
    ck_assert(p->replica != NULL && p->replica->revision >= 0);
    return &p->replica->record;
}

static void told(struct broker_promote_request *r)
{
    *(bool *)r->ctx = true;
}

/* A leader that starts again is promoted while its word that it leads is on its way to the disk. */
START_TEST(promoted_as_it_resumes)
{
    bool done = false;
    struct broker_promote_request r = {.done = told, .ctx = &done};
    world_start(&w, 1);
    create(1, "t", 1, -1);
    world_start(&w, 2);
    world_start(&w, 3);
    world_wait_isr(&w, "t", 3, 30000);
    ck_assert_int_eq(world_put(&w, 1, "t", 0, -1), BROKER_OK);
    world_kill(&w, 1);
    world_start(&w, 1);
    while (!broker_node_settled(w.nodes[1].rig.broker))
        world_run(&w, 1);
    w.nodes[1].held = true;
    for (int i = 0; !broker_cluster_taking(w.nodes[1].rig.broker->cluster); i++) {
        ck_assert_int_lt(i, 10000);
        world_run(&w, 1);
    }
    broker_promote_request(w.nodes[1].rig.broker, &r);
    world_run(&w, 1000);
    ck_assert(!broker_leads(w.nodes[1].rig.broker));
    w.nodes[1].held = false;
    for (int i = 0; !done && i < 60000; i++)
        world_run(&w, 1);
    ck_assert_msg(done && r.status == BROKER_OK, "%d: %s", r.status, r.message);
    world_wait_isr(&w, "t", 3, 60000);
    ck_assert_int_eq(world_leader(&w), 1);
    ck_assert_int_eq(world_put(&w, 1, "t", 0, -1), BROKER_OK);
}
END_TEST

/* A follower that knows a topic, and not yet who holds it: the leader alone does. */
START_TEST(promoted_before_it_was_told)
{
    world_start(&w, 1);
    create(1, "t", 1, -1);
    create(1, "u", 1, -1);
    ck_assert_int_eq(world_put(&w, 1, "u", 0, -1), BROKER_OK);
    struct topic *u = broker_find_topic(w.nodes[1].rig.broker, slice_str("u"));
    u->busy = true; /* it is being changed: its partitions get their records later */
    world_start(&w, 2);
    world_wait_isr(&w, "t", 2, 60000);
    world_run(&w, 1000);
    const struct bpart *p = part_of(2, "u", 0);
    ck_assert(p->replica == NULL || p->replica->revision < 0);
    enum broker_status s = world_promote(&w, 2, false);
    ck_assert_msg(s == BROKER_NOT_ENOUGH_REPLICAS, "%d: %s", s, w.said);
    ck_assert_msg(strstr(w.said, "nobody has said") != NULL, "%s", w.said);
    u->busy = false;
    world_wait_isr(&w, "u", 2, 60000);
    ck_assert_int_eq(world_leader(&w), 1);
    ck_assert_int_eq(world_promote(&w, 2, false), BROKER_OK);
    ck_assert_int_eq(world_put(&w, 2, "u", 0, -1), BROKER_OK);
    ck_assert_int_eq(bpart_visible(part_of(2, "u", 0)), 2);
}
END_TEST

/* Who is promoted may have no replica of a partition: it takes it from one that has, and becomes
 * one. */
START_TEST(promoted_without_replica)
{
    world_set(&w, "min.insync.replicas", "2");
    for (int id = 1; id <= 3; id++)
        world_start(&w, id);
    create(1, "t", 1, -1);
    world_wait_isr(&w, "t", 3, 30000);
    create(1, "two", 2, 2);
    ck_assert_int_eq(record_of(1, "two", 0)->replicas.id[1], 2);
    ck_assert_int_eq(record_of(1, "two", 1)->replicas.id[1], 3);
    ck_assert_int_eq(world_put(&w, 1, "two", 1, -1), BROKER_OK);
    world_run(&w, 1000);
    world_kill(&w, 1);
    world_run(&w, 100);
    enum broker_status s = world_promote(&w, 2, false);
    ck_assert_msg(s == BROKER_OK, "%d: %s", s, w.said);
    ck_assert_int_eq(record_of(2, "two", 1)->leader, 2);
    ck_assert_uint_eq(record_of(2, "two", 1)->replicas.count, 3);
    world_start(&w, 1);
    world_wait_isr(&w, "t", 3, 60000);
    world_run(&w, 1000);
    ck_assert_int_eq(world_put(&w, 2, "two", 1, -1), BROKER_OK);
    ck_assert_int_eq(bpart_watermark(part_of(2, "two", 1)), 2);
    ck_assert_uint_eq(record_of(2, "two", 1)->base.before.count, 0);
}
END_TEST

/* What one broker alone has goes along while it is there. When it is dead a promotion wants force,
 * and the partition is without a leader until that broker leads again. */
START_TEST(promoted_without_the_only_one)
{
    world_set(&w, "min.insync.replicas", "2");
    for (int id = 1; id <= 3; id++)
        world_start(&w, id);
    create(1, "t", 1, -1);
    world_wait_isr(&w, "t", 3, 30000);
    create(1, "one", 1, 1);
    ck_assert_int_eq(world_put(&w, 1, "one", 0, -1), BROKER_NOT_ENOUGH_REPLICAS);
    ck_assert_int_eq(world_put(&w, 1, "one", 0, 1), BROKER_OK);
    world_run(&w, 1000);
    world_kill(&w, 1);
    world_run(&w, 100);
    ck_assert_int_eq(world_promote(&w, 2, false), BROKER_NOT_ENOUGH_REPLICAS);
    ck_assert_msg(strstr(w.said, "one-0") != NULL, "%s", w.said);
    ck_assert_int_eq(record_of(2, "t", 0)->leader, 1);
    enum broker_status s = world_promote(&w, 2, true);
    ck_assert_msg(s == BROKER_OK && strstr(w.said, "1 of ") != NULL, "%d: %s", s, w.said);
    ck_assert_int_eq(record_of(2, "one", 0)->leader, -1);
    ck_assert_int_eq(world_put(&w, 2, "one", 0, 1), BROKER_NOT_LEADER);
    world_wait_isr(&w, "t", 2, 60000);
    world_run(&w, 1000);
    s = world_promote(&w, 3, false); /* it stays so, and stops nobody */
    ck_assert_msg(s == BROKER_OK, "%d: %s", s, w.said);
    ck_assert_int_eq(record_of(3, "one", 0)->leader, -1);
    world_start(&w, 1);
    world_wait_isr(&w, "t", 3, 60000);
    world_run(&w, 1000);
    s = world_promote(&w, 1, false);
    ck_assert_msg(s == BROKER_OK, "%d: %s", s, w.said);
    ck_assert_int_eq(record_of(1, "one", 0)->leader, 1);
    ck_assert_int_eq(bpart_visible(part_of(1, "one", 0)), 1);
    world_run(&w, 1000);
    s = world_promote(&w, 3, false);
    ck_assert_msg(s == BROKER_OK, "%d: %s", s, w.said);
    ck_assert_int_eq(record_of(3, "one", 0)->leader, 3);
    ck_assert_uint_eq(record_of(3, "one", 0)->replicas.count, 2);
    world_wait_isr(&w, "one", 2, 60000);
    ck_assert_int_eq(world_put(&w, 3, "one", 0, -1), BROKER_OK);
    ck_assert_int_eq(bpart_visible(part_of(3, "one", 0)), 2);
}
END_TEST

/* One broker alone may not know what the other two have, whatever its own partitions want. */
START_TEST(promoted_without_the_others)
{
    world_set(&w, "min.insync.replicas", "2");
    for (int id = 1; id <= 3; id++)
        world_start(&w, id);
    create(1, "t", 1, -1);
    world_wait_isr(&w, "t", 3, 30000);
    create(1, "two", 1, 2); /* 1 and 2 */
    struct rig_admin a;
    rig_admin_init(&a, BROKER_TOPIC_DELETE, "t");
    rig_admin_start(&w.nodes[1].rig, &a);
    world_run(&w, 2000);
    ck_assert_int_eq(a.req.status, BROKER_OK);
    for (int id = 1; id <= 3; id += 2)
        w.cut[id][2] = w.cut[2][id] = true;
    create(1, "x", 2, 2);
    ck_assert_int_eq(world_put(&w, 1, "x", 1, -1), BROKER_OK);
    ck_assert_int_eq(world_promote(&w, 2, false), BROKER_NOT_ENOUGH_REPLICAS);
    ck_assert_msg(strstr(w.said, "1 of 3 brokers") != NULL, "%s", w.said);
    memset(w.cut, 0, sizeof w.cut);
    world_run(&w, 5000);
    ck_assert_int_eq(world_leader(&w), 1);
    ck_assert_int_eq(world_promote(&w, 2, false), BROKER_OK);
    world_run(&w, 5000);
    ck_assert_int_eq(world_put(&w, 2, "x", 1, -1), BROKER_OK);
    ck_assert_int_eq(bpart_visible(part_of(2, "x", 1)), 2);
}
END_TEST

/* Who led, and dies as soon as it has heard of another leader, is an intact copy still. */
START_TEST(deposed_and_killed)
{
    for (int id = 1; id <= 3; id++)
        world_start(&w, id);
    create(1, "t", 1, -1);
    world_wait_isr(&w, "t", 3, 30000);
    ck_assert_int_eq(world_put(&w, 1, "t", 0, -1), BROKER_OK);
    int32_t led = world_part(&w, 1, "t")->replica->reached;
    ck_assert_int_gt(led, 0);
    ck_assert_int_eq(world_promote(&w, 2, false), BROKER_OK);
    for (int i = 0; record_of(1, "t", 0)->leader == 1; i++) {
        ck_assert_int_lt(i, 10000);
        world_run(&w, 1);
    }
    ck_assert_int_eq(world_part(&w, 1, "t")->replica->reached, led);
    world_kill(&w, 1);
    world_start(&w, 1);
    ck_assert_int_eq(record_of(1, "t", 0)->leader, 2);
    ck_assert_int_eq(world_part(&w, 1, "t")->replica->reached, led);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("promote");
    TCase *c = tcase_create("promote");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, promoted_as_it_resumes);
    tcase_add_test(c, promoted_before_it_was_told);
    tcase_add_test(c, promoted_without_replica);
    tcase_add_test(c, promoted_without_the_only_one);
    tcase_add_test(c, promoted_without_the_others);
    tcase_add_test(c, deposed_and_killed);
    suite_add_tcase(s, c);
    return rig_main(s);
}
