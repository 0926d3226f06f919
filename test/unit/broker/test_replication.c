/* SPDX-License-Identifier: MIT
 *
 * Two and three brokers in one process: a follower that joins, acks=all, promotion, a leader that
 * comes back.
 */
#include <check.h>
#include <stdio.h>
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

static void create_as(int id, const char *topic, const char *min_insync, const char *durability)
{
    struct rig_admin a;
    rig_admin_init(&a, BROKER_TOPIC_CREATE, topic);
    a.req.partitions = 1;
    a.req.replication = -1;
    rig_admin_config(&a, "min.insync.replicas", min_insync);
    rig_admin_config(&a, "durability", durability);
    rig_admin_start(&w.nodes[id].rig, &a);
    for (int i = 0; a.done == 0 && i < 100; i++)
        world_run(&w, 10);
    ck_assert_msg(a.req.status == BROKER_OK, "%s", a.req.message);
}

static void create(int id, const char *topic, const char *min_insync)
{
    create_as(id, topic, min_insync, "sync");
}

/* Three brokers, all in sync. */
static void three(const char *min_insync, const char *durability)
{
    world_start(&w, 1);
    create_as(1, "t", min_insync, durability);
    world_start(&w, 2);
    world_start(&w, 3);
    world_wait_isr(&w, "t", 3, 30000);
}

/* One record with acks=all; BROKER_OK wanted. */
static int64_t put(int id, const char *topic, uint64_t tag)
{
    struct rig_batch b = {.tag = tag};
    enum broker_status s = BROKER_LOADING;
    int64_t offset = -1;
    for (int tries = 0; s != BROKER_OK && tries < 50; tries++) {
        struct rig_produce *p = world_produce(&w, id, topic, -1, &b);
        for (int i = 0; p->done == 0 && i < 1000; i++)
            world_run(&w, 20);
        ck_assert_uint_eq(p->done, 1);
        s = p->items[0].status;
        offset = p->items[0].base_offset;
        rig_produce_free(p);
        if (s != BROKER_OK)
            world_run(&w, 100);
    }
    ck_assert_int_eq(s, BROKER_OK);
    return offset;
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

START_TEST(follower_joins)
{
    world_start(&w, 1);
    create(1, "t", "1");
    for (uint64_t i = 0; i < 20; i++)
        put(1, "t", i);
    world_start(&w, 2);
    world_wait_isr(&w, "t", 2, 30000);
    ck_assert_int_eq(world_leader(&w), 1);
    for (uint64_t i = 20; i < 40; i++)
        put(1, "t", i);
    world_run(&w, 2000);
    same(1, 2, "t");
    struct rig_batch b = {.tag = 7};
    struct rig_produce *p = world_produce(&w, 2, "t", 1, &b);
    world_run(&w, 100);
    ck_assert_int_eq(p->items[0].status, BROKER_NOT_LEADER);
    rig_produce_free(p);
}
END_TEST

/* What the leader has trimmed meanwhile is gone for a follower, too: one that is new, and one that
 * was away in front of it. */
START_TEST(leader_trims)
{
    world_start(&w, 1);
    create(1, "t", "1");
    for (uint64_t i = 0; i < 20; i++)
        put(1, "t", i);
    ck_assert_int_eq(rig_trim(&w.nodes[1].rig, "t", 0, 10), BROKER_OK);
    world_start(&w, 2);
    world_wait_isr(&w, "t", 2, 30000);
    world_kill(&w, 2);
    world_run(&w, 60000);
    for (uint64_t i = 20; i < 40; i++)
        put(1, "t", i);
    ck_assert_int_eq(rig_trim(&w.nodes[1].rig, "t", 0, 30), BROKER_OK);
    world_start(&w, 2);
    world_wait_isr(&w, "t", 2, 30000);
    world_run(&w, 2000);
    const struct part *p = world_part(&w, 2, "t")->part;
    ck_assert_int_eq(p->log_start, 30);
    ck_assert_int_eq(p->durable, 40);
}
END_TEST

START_TEST(leader_dies)
{
    three("2", "sync");
    for (uint64_t i = 0; i < 30; i++)
        put(1, "t", i);
    world_kill(&w, 1);
    world_run(&w, 1000);
    ck_assert_int_eq(world_leader(&w), 0);
    enum broker_status s = world_promote(&w, 2, false);
    ck_assert_msg(s == BROKER_OK, "%d: %s", s, w.said);
    ck_assert_int_eq(world_leader(&w), 2);
    world_wait_isr(&w, "t", 2, 30000);
    for (uint64_t i = 30; i < 60; i++)
        ck_assert_int_eq(put(2, "t", i), (int64_t)i);
    world_start(&w, 1);
    world_wait_isr(&w, "t", 3, 60000);
    ck_assert_int_eq(world_leader(&w), 2);
    world_run(&w, 2000);
    same(2, 1, "t");
    same(2, 3, "t");
}
END_TEST

START_TEST(leader_restarts)
{
    world_start(&w, 1);
    create(1, "t", "2");
    world_start(&w, 2);
    world_wait_isr(&w, "t", 2, 30000);
    for (uint64_t i = 0; i < 10; i++)
        put(1, "t", i);
    for (int k = 0; k < 3; k++) {
        world_kill(&w, 1);
        world_run(&w, 500);
        world_start(&w, 1);
        world_wait_leader(&w, 30000);
        ck_assert_int_eq(world_leader(&w), 1);
        world_wait_isr(&w, "t", 2, 60000);
        put(1, "t", 100 + (uint64_t)k);
    }
    world_run(&w, 2000);
    same(1, 2, "t");
}
END_TEST

/* Too few promises: nothing changes; by force it leads. */
START_TEST(too_few)
{
    world_start(&w, 1);
    create(1, "t", "1");
    world_start(&w, 2);
    world_wait_isr(&w, "t", 2, 30000);
    put(1, "t", 1);
    world_kill(&w, 1);
    world_run(&w, 500);
    ck_assert_int_eq(world_promote(&w, 2, false), BROKER_NOT_ENOUGH_REPLICAS);
    ck_assert_int_eq(world_leader(&w), 0);
    ck_assert_int_eq(world_promote(&w, 2, true), BROKER_OK);
    ck_assert_int_eq(put(2, "t", 2), 1);
}
END_TEST

/* A planned hand-over loses nothing. */
START_TEST(hand_over)
{
    world_start(&w, 1);
    create(1, "t", "1");
    world_start(&w, 2);
    world_wait_isr(&w, "t", 2, 30000);
    for (uint64_t i = 0; i < 10; i++)
        put(1, "t", i);
    enum broker_status s = world_promote(&w, 2, false);
    ck_assert_msg(s == BROKER_OK, "%d: %s", s, w.said);
    ck_assert_int_eq(world_leader(&w), 2);
    ck_assert_int_eq(put(2, "t", 10), 10);
    world_wait_isr(&w, "t", 2, 60000);
    world_run(&w, 2000);
    same(2, 1, "t");
}
END_TEST

static void cut(int id, bool how)
{
    for (int other = 1; other <= w.count; other++)
        w.cut[id][other] = w.cut[other][id] = how;
}

/* A leader that was deposed behind a cut finds out while an append is on its way to its disk: it
 * is not acknowledged, for nobody else has it. */
START_TEST(deposed_under_load)
{
    struct rig_batch b = {.tag = 100};
    three("2", "sync");
    put(1, "t", 0);
    cut(1, true);
    enum broker_status s = world_promote(&w, 2, false);
    ck_assert_msg(s == BROKER_OK, "%d: %s", s, w.said);
    w.nodes[1].held = true;
    struct rig_produce *p = world_produce(&w, 1, "t", -1, &b);
    cut(1, false);
    for (int i = 0; i < 1000 && broker_leads(w.nodes[1].rig.broker); i++)
        world_run(&w, 1);
    ck_assert(!broker_leads(w.nodes[1].rig.broker));
    ck_assert_uint_eq(p->done, 0);
    w.nodes[1].held = false;
    world_run(&w, 1000);
    ck_assert_uint_eq(p->done, 1);
    ck_assert_int_eq(p->items[0].status, BROKER_NOT_LEADER);
    rig_produce_free(p);
    ck_assert_int_eq(put(2, "t", 1), 1);
    world_wait_isr(&w, "t", 3, 60000);
    world_run(&w, 2000);
    same(2, 1, "t");
}
END_TEST

static void set_min(int id, const char *value)
{
    struct rig_admin a;
    rig_admin_init(&a, BROKER_TOPIC_ALTER, "t");
    rig_admin_config(&a, "min.insync.replicas", value);
    rig_admin_start(&w.nodes[id].rig, &a);
    for (int i = 0; a.done == 0 && i < 100; i++)
        world_run(&w, 10);
    ck_assert_msg(a.req.status == BROKER_OK, "%s", a.req.message);
}

/* A follower that stops says so: acks=all goes on at once, without it. Under min.insync.replicas it
 * stays eligible. One that is killed is waited for, as long as it may lag. */
START_TEST(stop_is_told)
{
    three("2", "sync");
    const struct bpart_replica *r = world_part(&w, 1, "t")->replica;
    world_stop(&w, 3);
    world_run(&w, 100);
    ck_assert_uint_eq(r->record.isr.count, 2);
    ck_assert(!replica_ids_has(&r->record.isr, 3));
    ck_assert_int_eq(world_put(&w, 1, "t", 0, -1), BROKER_OK);
    world_stop(&w, 2);
    world_run(&w, 100);
    ck_assert_uint_eq(r->record.isr.count, 1);
    ck_assert(replica_ids_has(&r->record.elr, 2) && !replica_ids_has(&r->record.elr, 3));
    ck_assert_int_eq(world_put(&w, 1, "t", 0, -1), BROKER_NOT_ENOUGH_REPLICAS);
    world_start(&w, 3);
    world_wait_isr(&w, "t", 2, 30000);
    ck_assert_int_eq(world_put(&w, 1, "t", 0, -1), BROKER_OK);
    world_start(&w, 2);
    world_wait_isr(&w, "t", 3, 30000);
    world_kill(&w, 3);
    world_run(&w, 100);
    ck_assert_uint_eq(r->record.isr.count, 3);
    world_wait_isr(&w, "t", 2, 60000);
}
END_TEST

/* Acknowledged by 1 alone, and then the minimum is raised: 2 and 3 together, who have heard of
 * that, do not have it. */
START_TEST(minimum_raised)
{
    world_set(&w, "replica.lag.time.max.ms", "1500");
    three("1", "sync");
    world_run(&w, 2000);
    cut(1, true);
    world_run(&w, 4000);
    ck_assert_int_eq(put(1, "t", 1), 0);
    set_min(1, "2");
    world_run(&w, 500);
    ck_assert_int_eq(world_put(&w, 1, "t", 0, -1), BROKER_NOT_ENOUGH_REPLICAS);
    for (int other = 2; other <= 3; other++) {
        w.cut[1][other] = w.cut[other][1] = false;
        for (int i = 0; i < 30000 && world_part(&w, other, "t")->topic->limits.min_insync < 2; i++)
            world_run(&w, 1);
        w.cut[1][other] = w.cut[other][1] = true;
        ck_assert_int_eq(world_part(&w, other, "t")->topic->limits.min_insync, 2);
        ck_assert_int_eq(world_part(&w, other, "t")->part->reserved, 0);
    }
    world_kill(&w, 1);
    world_run(&w, 2000);
    ck_assert_int_eq(world_promote(&w, 2, false), BROKER_NOT_ENOUGH_REPLICAS);
    cut(1, false);
    world_start(&w, 1);
    world_wait_isr(&w, "t", 3, 60000);
    ck_assert_int_eq(put(1, "t", 2), 1);
    world_run(&w, 2000);
    world_kill(&w, 1);
    enum broker_status s = world_promote(&w, 2, false);
    ck_assert_msg(s == BROKER_OK, "%d: %s", s, w.said);
    ck_assert_int_eq(put(2, "t", 3), 2);
}
END_TEST

/* Lowered while nobody hears of it: 2 and 3 would be enough for each other, so 1 alone is not
 * enough yet. Nor after a start. When one of them has heard, it is. */
START_TEST(minimum_lowered)
{
    world_set(&w, "replica.lag.time.max.ms", "1500");
    three("2", "sync");
    ck_assert_int_eq(put(1, "t", 1), 0);
    world_run(&w, 2000);
    cut(1, true);
    world_run(&w, 4000);
    set_min(1, "1");
    world_run(&w, 8000);
    ck_assert_int_eq(world_put(&w, 1, "t", 0, -1), BROKER_NOT_ENOUGH_REPLICAS);
    ck_assert_msg(strstr(w.nodes[1].rig.line, "--force") != NULL, "%s", w.nodes[1].rig.line);
    world_kill(&w, 1);
    world_start(&w, 1);
    world_run(&w, 10000);
    ck_assert_int_eq(world_leader(&w), 1);
    ck_assert_int_eq(world_put(&w, 1, "t", 0, -1), BROKER_NOT_ENOUGH_REPLICAS);
    w.cut[1][3] = w.cut[3][1] = false;
    world_run(&w, 5000);
    world_kill(&w, 3); /* in sync it would be one more */
    world_run(&w, 8000);
    ck_assert_int_eq(put(1, "t", 2), 1);
    ck_assert_uint_eq(world_part(&w, 1, "t")->replica->record.isr.count, 1);
    world_kill(&w, 1);
    world_start(&w, 3);
    cut(3, false);
    world_run(&w, 1000);
    ck_assert_int_eq(world_promote(&w, 2, false), BROKER_NOT_ENOUGH_REPLICAS);
}
END_TEST

/* 2 may be promoted alone while it knows of two replicas only: until it has heard of the third, it
 * has what is acknowledged. */
START_TEST(replicas_grow)
{
    world_set(&w, "replica.lag.time.max.ms", "1500");
    world_start(&w, 1);
    create(1, "t", "2");
    world_start(&w, 2);
    world_wait_isr(&w, "t", 2, 30000);
    ck_assert_int_eq(put(1, "t", 1), 0);
    ck_assert_int_eq(put(1, "t", 2), 1);
    world_run(&w, 2000);
    w.cut[1][2] = w.cut[2][1] = true;
    w.cut[2][3] = w.cut[3][2] = true;
    world_start(&w, 3);
    world_run(&w, 10000);
    const struct cluster_part *c = &world_part(&w, 1, "t")->replica->record;
    ck_assert_uint_eq(c->replicas.count, 3);
    ck_assert(replica_ids_has(&c->isr, 3) && !replica_ids_has(&c->isr, 2));
    ck_assert_int_eq(world_put(&w, 1, "t", 0, -1), BROKER_NOT_ENOUGH_REPLICAS);
    ck_assert_int_eq(world_promote(&w, 2, false), BROKER_OK);
    cut(2, false);
    world_wait_isr(&w, "t", 3, 60000);
    ck_assert_int_eq(put(2, "t", 3), 2);
}
END_TEST

static bool knows_of_three(int id)
{
    const struct bpart *p = world_part(&w, id, "t");
    return p != NULL && p->replica != NULL && p->replica->record.replicas.count == 3;
}

/* Two that are new do not have what the first had before they came. */
START_TEST(new_ones_alone)
{
    world_start(&w, 1);
    create(1, "t", "1");
    ck_assert_int_eq(put(1, "t", 1), 0);
    set_min(1, "2");
    world_start(&w, 2);
    world_start(&w, 3);
    for (int i = 0; i < 30000 && !knows_of_three(1); i++)
        world_run(&w, 1);
    ck_assert_uint_eq(world_part(&w, 1, "t")->replica->record.isr.count, 1);
    ck_assert_uint_eq(world_part(&w, 1, "t")->replica->record.base.holders, 1);
    for (int i = 0; i < 30000 && !(knows_of_three(2) && knows_of_three(3)); i++)
        world_run(&w, 1);
    world_wait_isr(&w, "t", 3, 30000);
    ck_assert_uint_eq(world_part(&w, 1, "t")->replica->record.base.holders, 2);
}
END_TEST

/* A clean stop waits for calls that are out, and sleeps while it does. */
START_TEST(clean_stops)
{
    three("2", "sync");
    put(1, "t", 1);
    world_stop(&w, 1);
    ck_assert_int_eq(world_promote(&w, 2, false), BROKER_OK);
    ck_assert_int_eq(put(2, "t", 2), 1);
    world_stop(&w, 3);
    world_start(&w, 3);
    world_start(&w, 1);
    world_wait_isr(&w, "t", 3, 60000);
    world_run(&w, 2000);
    same(2, 1, "t");
    same(2, 3, "t");
}
END_TEST

/* Who is promoted takes over the newest records that any voter has. */
START_TEST(newest_records)
{
    three("2", "sync");
    world_run(&w, 2000);
    w.cut[1][2] = w.cut[2][1] = true;
    create(1, "u", "2");
    world_run(&w, 3000);
    ck_assert_ptr_null(world_part(&w, 2, "u"));
    ck_assert_ptr_nonnull(world_part(&w, 3, "u"));
    world_kill(&w, 1);
    enum broker_status s = world_promote(&w, 2, false);
    ck_assert_msg(s == BROKER_OK, "%d: %s", s, w.said);
    ck_assert_ptr_nonnull(world_part(&w, 2, "u"));
    world_wait_isr(&w, "u", 2, 30000);
    ck_assert_int_eq(put(2, "u", 1), 0);
}
END_TEST

/* durability=os: a leader that once lost its power and was promoted since goes on after a kill. */
START_TEST(whole_leader)
{
    world_set(&w, "replica.lag.time.max.ms", "1500");
    three("2", "os");
    put(1, "t", 1);
    world_power(&w, 1);
    world_start(&w, 1);
    world_wait_leader(&w, 60000);
    enum broker_status s = world_promote(&w, 1, false);
    ck_assert_msg(s == BROKER_OK, "%d: %s", s, w.said);
    world_wait_isr(&w, "t", 3, 60000);
    put(1, "t", 2);
    world_kill(&w, 3);
    world_kill(&w, 1);
    world_start(&w, 1);
    world_wait_leader(&w, 60000);
    ck_assert_int_eq(put(world_leader(&w), "t", 3), 2);
}
END_TEST

/* The same of a follower: its promise counts again, in sync or not. */
START_TEST(whole_follower)
{
    world_set(&w, "replica.lag.time.max.ms", "1500");
    three("2", "os");
    put(1, "t", 1);
    world_power(&w, 3);
    world_run(&w, 3000);
    world_start(&w, 3);
    world_wait_isr(&w, "t", 3, 60000);
    world_run(&w, 3000);
    w.cut[1][3] = w.cut[3][1] = true;
    put(1, "t", 2);
    world_run(&w, 3000);
    ck_assert_uint_eq(world_part(&w, 1, "t")->replica->set.isr.count, 2);
    world_kill(&w, 1);
    enum broker_status s = world_promote(&w, 3, false);
    ck_assert_msg(s == BROKER_OK, "%d: %s", s, w.said);
    ck_assert_int_eq(put(3, "t", 3), 2);
}
END_TEST

/* Who did not answer whether it would promise is not waited for when the others are enough. */
START_TEST(silence_is_not_waited_for)
{
    three("2", "sync");
    cut(1, true);
    const struct clock *clock = &w.nodes[2].rig.clock.clock;
    int64_t begun = clock->mono_ms(clock);
    enum broker_status s = world_promote(&w, 2, false);
    ck_assert_msg(s == BROKER_OK, "%d: %s", s, w.said);
    ck_assert_int_lt(clock->mono_ms(clock) - begun, 4000);
}
END_TEST

/* A broker that led alone, cut off, meets another that was promoted by force and wrote at the same
 * offsets: what it acknowledged is not cut, the partition is left alone, and that is told. */
START_TEST(fenced)
{
    struct broker_partition_info info;
    world_set(&w, "replica.lag.time.max.ms", "1000");
    world_start(&w, 1);
    create(1, "t", "1");
    world_start(&w, 2);
    world_wait_isr(&w, "t", 2, 30000);
    put(1, "t", 1);
    world_run(&w, 2000);
    w.cut[1][2] = w.cut[2][1] = true;
    world_run(&w, 5000);
    for (uint64_t i = 0; i < 5; i++)
        put(1, "t", 100 + i);
    ck_assert_int_eq(world_promote(&w, 2, true), BROKER_OK);
    for (uint64_t i = 0; i < 5; i++)
        put(2, "t", 200 + i);
    w.cut[1][2] = w.cut[2][1] = false;
    world_run(&w, 30000);
    ck_assert_int_eq(world_leader(&w), 2);
    ck_assert_int_eq(broker_partition(w.nodes[1].rig.broker, slice_str("t"), 0, false, &info), 0);
    ck_assert(info.fenced);
    ck_assert_int_eq(info.high_watermark, 6);
    ck_assert_int_eq(broker_partition(w.nodes[2].rig.broker, slice_str("t"), 0, false, &info), 0);
    ck_assert(!info.fenced && info.isr_count == 1);
}
END_TEST

/* How far a follower is: records, about their bytes, and since when it is in sync or not. */
START_TEST(follower_figures)
{
    struct broker_follower f;
    world_set(&w, "replica.lag.time.max.ms", "1000");
    world_start(&w, 1);
    create(1, "t", "1");
    world_start(&w, 2);
    world_wait_isr(&w, "t", 2, 30000);
    for (uint64_t i = 0; i < 10; i++)
        put(1, "t", i);
    world_run(&w, 2000);
    struct broker *b = w.nodes[1].rig.broker;
    ck_assert_int_eq(broker_partition_follower(b, slice_str("t"), 0, 0, &f), 0);
    ck_assert(f.id == 2 && f.in_sync && f.lag == 0 && f.lag_size == 0);
    ck_assert_int_ge(f.since_ms, 1500);
    w.cut[2][1] = true;
    world_run(&w, 3000);
    for (uint64_t i = 0; i < 10; i++)
        put(1, "t", i);
    ck_assert_int_eq(broker_partition_follower(b, slice_str("t"), 0, 0, &f), 0);
    ck_assert(!f.in_sync && f.lag == 10 && f.caught_up_ms >= 2000);
    ck_assert_int_le(f.since_ms, f.caught_up_ms);
    struct bpart *p = world_part(&w, 1, "t");
    ck_assert_int_eq(f.lag_size, (int64_t)part_size(p->part) / 2);
}
END_TEST

/* Nothing of a partition folder is left. */
static void forget(int id, const char *folder)
{
    struct io *disk = w.nodes[id].rig.disk;
    static const char *const names[] = {"state", "00000000000000000000.log",
                                        "00000000000000000000.index",
                                        "00000000000000000000.timeindex"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct buf path CLEANUP(buf_deinit) = {0};
        buf_printf(&path, "%s/%s", folder, names[i]);
        int r = io_unlink(disk, (const char *)path.p);
        ck_assert(r == 0 || r == IO_MISSING);
    }
    ck_assert_int_eq(io_sync_dir(disk, folder), 0);
}

/* The high watermark outlives a kill: with it the refusal to cut below it. */
START_TEST(watermark_kept)
{
    world_start(&w, 1);
    create(1, "t", "1");
    world_start(&w, 2);
    world_wait_isr(&w, "t", 2, 30000);
    for (uint64_t i = 0; i < 10; i++)
        put(1, "t", i);
    world_run(&w, 8000);
    world_kill(&w, 1);
    world_kill(&w, 2);
    world_start(&w, 2);
    world_run(&w, 500);
    struct bpart *p = world_part(&w, 2, "t");
    ck_assert_int_eq(p->state, BPART_ONLINE);
    ck_assert_int_eq(p->replica->high_watermark, 10);
    forget(1, "/data/t-0"); /* the leader comes back without its log, and without a hint of it */
    meta_store_free(w.nodes[1].rig.view);
    w.nodes[1].rig.view = meta_store_new();
    world_start(&w, 1);
    world_wait_leader(&w, 30000);
    world_run(&w, 3000);
    ck_assert_int_eq(world_part(&w, 1, "t")->part->reserved, 0);
    p = world_part(&w, 2, "t");
    ck_assert_int_eq(p->part->reserved, 10);
    ck_assert_ptr_nonnull(strstr(w.nodes[2].rig.line, "below the high watermark 10"));
}
END_TEST

/* A clean stop keeps it in the partition's state alone. */
START_TEST(watermark_in_state)
{
    world_start(&w, 1);
    create(1, "t", "1");
    world_start(&w, 2);
    world_wait_isr(&w, "t", 2, 30000);
    for (uint64_t i = 0; i < 10; i++)
        put(1, "t", i);
    world_run(&w, 2000);
    world_kill(&w, 1);
    world_stop(&w, 2);
    meta_store_free(w.nodes[2].rig.view);
    w.nodes[2].rig.view = meta_store_new();
    world_start(&w, 2);
    world_run(&w, 500);
    ck_assert_int_eq(world_part(&w, 2, "t")->replica->high_watermark, 10);
}
END_TEST

/* A log that ends before what was committed and on this disk has lost something, whatever it looks
 * like: it is no intact copy until it stands on a leader's epoch again. */
START_TEST(watermark_above_end)
{
    world_start(&w, 1);
    create(1, "t", "2");
    world_start(&w, 2);
    world_wait_isr(&w, "t", 2, 30000);
    for (uint64_t i = 0; i < 10; i++)
        put(1, "t", i);
    world_run(&w, 8000);
    world_kill(&w, 1);
    world_kill(&w, 2);
    forget(2, "/data/t-0");
    world_start(&w, 2);
    world_run(&w, 500);
    struct bpart *p = world_part(&w, 2, "t");
    ck_assert_int_eq(p->part->reserved, 0);
    ck_assert_int_eq(p->replica->high_watermark, 0);
    ck_assert_int_eq(p->replica->reached, BPART_REACHED_LOST);
    ck_assert_int_eq(world_promote(&w, 2, false), BROKER_NOT_ENOUGH_REPLICAS);
    world_start(&w, 1);
    world_wait_leader(&w, 30000);
    world_wait_isr(&w, "t", 2, 60000);
    put(1, "t", 10);
    world_run(&w, 2000);
    ck_assert_int_gt(world_part(&w, 2, "t")->replica->reached, 0);
    same(1, 2, "t");
    world_kill(&w, 1);
    world_run(&w, 500);
    ck_assert_int_eq(world_promote(&w, 2, false), BROKER_OK);
}
END_TEST

/* --- records --- */

static void create_many(int id, int from, int to)
{
    for (int i = from; i < to; i++) {
        struct rig_admin a;
        char name[16];
        (void)snprintf(name, sizeof name, "many%d", i);
        rig_admin_init(&a, BROKER_TOPIC_CREATE, name);
        a.req.partitions = 3;
        a.req.replication = -1;
        rig_admin_start(&w.nodes[id].rig, &a);
        for (int k = 0; a.done == 0 && k < 100; k++)
            world_run(&w, 10);
        ck_assert_msg(a.req.status == BROKER_OK, "%s", a.req.message);
    }
}

static void delete_many(int id, int from, int to)
{
    for (int i = from; i < to; i++) {
        struct rig_admin a;
        char name[16];
        (void)snprintf(name, sizeof name, "many%d", i);
        rig_admin_init(&a, BROKER_TOPIC_DELETE, name);
        rig_admin_start(&w.nodes[id].rig, &a);
        for (int k = 0; a.done == 0 && k < 100; k++)
            world_run(&w, 10);
        ck_assert_msg(a.req.status == BROKER_OK, "%s", a.req.message);
    }
}

/* Every mirrored record of `a` is at `b`, and no other. */
static bool same_records(int a, int b)
{
    struct coord_changes x = {0}, y = {0};
    coord_changes(w.nodes[a].rig.broker->coord, -1, cluster_mirrored, &x);
    coord_changes(w.nodes[b].rig.broker->coord, -1, cluster_mirrored, &y);
    bool same = x.count == y.count;
    for (size_t i = 0; same && i < x.count; i++) {
        struct slice value;
        int64_t revision;
        same = coord_get(w.nodes[b].rig.broker->coord, x.v[i].key, &value, &revision) == 0 &&
               slice_equal(value, x.v[i].value);
    }
    coord_changes_deinit(&x);
    coord_changes_deinit(&y);
    return same;
}

static bool records_follow(struct world *world, void *ctx)
{
    ck_assert_ptr_null(ctx);
    return world->nodes[2].up && same_records(1, 2);
}

/* Records in pages much smaller than they are: a new follower, one that was away, and changes
 * while they come. */
START_TEST(records_in_pages)
{
    w.page_size = 300;
    world_start(&w, 1);
    create_many(1, 0, 40);
    delete_many(1, 5, 15);
    world_start(&w, 2);
    create_many(1, 40, 60); /* between the pages */
    delete_many(1, 20, 30);
    world_until(&w, records_follow, NULL, 120000);
    ck_assert_uint_gt(w.pages, 20);
    ck_assert_ptr_nonnull(world_part(&w, 2, "many59"));
    ck_assert_ptr_null(world_part(&w, 2, "many25"));
    world_kill(&w, 2);
    create_many(1, 60, 80);
    delete_many(1, 40, 50);
    uint64_t before = w.pages;
    world_start(&w, 2);
    world_until(&w, records_follow, NULL, 120000);
    ck_assert_uint_gt(w.pages, before);
    ck_assert_ptr_null(world_part(&w, 2, "many45"));
    ck_assert_ptr_nonnull(world_part(&w, 2, "many79"));
}
END_TEST

/* The candidate was away when a topic was made: it takes the records of who knows of it. */
START_TEST(records_of_a_voter)
{
    w.page_size = 300;
    three("2", "sync");
    for (int i = 1; i <= 3; i += 2)
        w.cut[2][i] = w.cut[i][2] = true;
    create_many(1, 0, 10);
    world_run(&w, 3000);
    ck_assert_ptr_nonnull(world_part(&w, 3, "many9"));
    ck_assert_ptr_null(world_part(&w, 2, "many9"));
    world_kill(&w, 1);
    w.cut[2][3] = w.cut[3][2] = false;
    world_run(&w, 500);
    enum broker_status s = world_promote(&w, 2, true);
    ck_assert_msg(s == BROKER_OK, "%d: %s", s, w.said);
    ck_assert_ptr_nonnull(world_part(&w, 2, "many9"));
    ck_assert_uint_gt(w.pages, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("replication");
    TCase *c = tcase_create("replication");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, follower_joins);
    tcase_add_test(c, leader_trims);
    tcase_add_test(c, leader_dies);
    tcase_add_test(c, leader_restarts);
    tcase_add_test(c, too_few);
    tcase_add_test(c, hand_over);
    tcase_add_test(c, deposed_under_load);
    tcase_add_test(c, minimum_raised);
    tcase_add_test(c, minimum_lowered);
    tcase_add_test(c, replicas_grow);
    tcase_add_test(c, new_ones_alone);
    tcase_add_test(c, clean_stops);
    tcase_add_test(c, stop_is_told);
    tcase_add_test(c, newest_records);
    tcase_add_test(c, whole_leader);
    tcase_add_test(c, whole_follower);
    tcase_add_test(c, silence_is_not_waited_for);
    tcase_add_test(c, fenced);
    tcase_add_test(c, follower_figures);
    tcase_add_test(c, watermark_kept);
    tcase_add_test(c, watermark_in_state);
    tcase_add_test(c, watermark_above_end);
    tcase_add_test(c, records_in_pages);
    tcase_add_test(c, records_of_a_voter);
    suite_add_tcase(s, c);
    return rig_main(s);
}
