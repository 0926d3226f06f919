/* SPDX-License-Identifier: MIT
 *
 * Damage in the log of a replica, repaired from another: of a follower and of the leader, in sealed
 * segments and in the last one, flipped, cut off, gone; and what a damaged replica is worth until
 * then. KAURI_TEST_LONG=1: twenty times the seeds.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "engine/broker/broker_lead.h"
#include "test/unit/broker/cluster_world.h"

#define BATCH_SIZE 129

static struct world w;

/* --- the world --- */

static void begin(uint64_t seed, int brokers, const char *min_insync)
{
    struct rig_admin a;
    world_init(&w, seed, brokers);
    world_set(&w, "replica.check.interval.ms", "2000");
    world_start(&w, 1);
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "t");
    a.req.partitions = 1;
    a.req.replication = -1;
    rig_admin_config(&a, "min.insync.replicas", min_insync);
    rig_admin_config(&a, "segment.bytes", "700");
    rig_admin_start(&w.nodes[1].rig, &a);
    for (int i = 0; a.done == 0 && i < 100; i++)
        world_run(&w, 10);
    ck_assert_msg(a.req.status == BROKER_OK, "%s", a.req.message);
    for (int i = 2; i <= brokers; i++)
        world_start(&w, i);
    world_wait_isr(&w, "t", (unsigned)brokers, 30000);
}

static void end(void)
{
    world_deinit(&w);
}

/* id 0: whoever leads. */
static int64_t put(int id, uint64_t tag)
{
    struct rig_batch b = {.tag = tag, .value_size = 60};
    enum broker_status s = BROKER_LOADING;
    int64_t offset = -1;
    for (int tries = 0; s != BROKER_OK && tries < 100; tries++) {
        int to = id > 0 ? id : world_leader(&w);
        if (to == 0) {
            world_run(&w, 500);
            continue;
        }
        struct rig_produce *p = world_produce(&w, to, "t", -1, &b);
        for (int i = 0; p->done == 0 && i < 3000; i++)
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

static void fill(int id, int count)
{
    for (int i = 0; i < count; i++)
        put(id, (uint64_t)i);
}

/* --- files --- */

static void path_of(int64_t base, struct buf *out)
{
    buf_printf(out, "/data/t-0/%020lld.log", (long long)base);
}

/* The at-th log of a broker, as it stands in the folder; false: there are fewer. */
static bool log_at(int id, size_t at, struct buf *out, int64_t *base)
{
    struct part *p = world_part(&w, id, "t")->part;
    struct buf path CLEANUP(buf_deinit) = {0};
    if (at >= p->count)
        return false;
    path_of(*base = p->segments[at]->base, &path);
    ck_assert_int_eq(io_read_file(w.nodes[id].rig.disk, (const char *)path.p, SIZE_MAX, out), 0);
    ck_assert_uint_ge(out->size, p->segments[at]->size);
    out->size = p->segments[at]->size;
    return true;
}

static bool same_logs(int a, int b)
{
    struct bpart *x = world_part(&w, a, "t"), *y = world_part(&w, b, "t");
    if (x == NULL || y == NULL || x->part == NULL || y->part == NULL ||
        x->part->count != y->part->count || x->part->durable != y->part->durable)
        return false;
    for (size_t i = 0; i < x->part->count; i++) {
        struct buf one CLEANUP(buf_deinit) = {0}, two CLEANUP(buf_deinit) = {0};
        int64_t base, other;
        ck_assert(log_at(a, i, &one, &base) && log_at(b, i, &two, &other));
        if (base != other || one.size != two.size || memcmp(one.p, two.p, one.size) != 0)
            return false;
    }
    return true;
}

static bool all_same(struct world *world, void *ctx)
{
    ck_assert_ptr_null(ctx);
    for (int i = 2; i <= world->count; i++)
        if (!same_logs(1, i))
            return false;
    return true;
}

/* All batches here are of one size. The leader epoch lies outside the checksum: not that. */
static void flip(int id, int64_t base, uint64_t pos)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    path_of(base, &path);
    if (pos % BATCH_SIZE >= 12 && pos % BATCH_SIZE < 16)
        pos += 4;
    ck_assert_int_eq(io_crash_flip(w.nodes[id].rig.disk, (const char *)path.p, pos, pos % 8), 0);
}

static void shorten(int id, int64_t base, uint64_t size)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    struct io_file *f = NULL;
    path_of(base, &path);
    ck_assert_int_eq(io_open(w.nodes[id].rig.disk, (const char *)path.p, IO_READ | IO_WRITE, &f),
                     0);
    ck_assert_int_eq(io_truncate(f, size), 0);
    ck_assert_int_eq(io_sync(w.nodes[id].rig.disk, &f, 1), 0);
    ck_assert_int_eq(io_close(f), 0);
}

static void drop(int id, int64_t base)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    path_of(base, &path);
    ck_assert_int_eq(io_unlink(w.nodes[id].rig.disk, (const char *)path.p), 0);
    ck_assert_int_eq(io_sync_dir(w.nodes[id].rig.disk, "/data/t-0"), 0);
}

struct bases {
    int64_t v[64];
    uint64_t size[64];
    size_t count;
};

static struct bases bases_of(int id)
{
    struct part *p = world_part(&w, id, "t")->part;
    struct bases b = {.count = p->count};
    ck_assert_uint_le(p->count, 64);
    for (size_t i = 0; i < p->count; i++) {
        b.v[i] = p->segments[i]->base;
        b.size[i] = p->segments[i]->size;
    }
    return b;
}

static uint64_t mended(int id)
{
    return w.nodes[id].rig.broker->counters.mended;
}

/* Everything is there, in its order: tags 0 .. count - 1. A put that was refused after its append
 * was sent again, so a tag may come once more. */
static void whole(int id, int count)
{
    struct rig *g = &w.nodes[id].rig;
    struct buf all CLEANUP(buf_deinit) = {0};
    uint64_t next = 0;
    rig_read_all(g, "t", 0, 0, &all);
    for (size_t at = 0; at < all.size; at += 16) {
        uint64_t tag;
        memcpy(&tag, all.p + at + 8, 8);
        ck_assert_uint_le(tag, next);
        next += tag == next;
    }
    ck_assert_uint_eq(next, (uint64_t)count);
    broker_check(g->broker);
}

/* --- a follower --- */

/* Its log stands on the leader's epoch. */
static bool stands(struct world *world, void *ctx)
{
    const struct bpart_replica *r = world_part(world, 2, "t")->replica;
    ck_assert_ptr_null(ctx);
    return r->reached == r->record.leader_epoch;
}

static void follower(uint64_t seed, bool clean, void (*damage)(const struct bases *, uint64_t))
{
    begin(seed, 2, "1");
    fill(1, 40);
    world_run(&w, 2000);
    struct bases b = bases_of(2);
    ck_assert_uint_gt(b.count, 4);
    ck_assert_uint_eq(b.size[0] % BATCH_SIZE, 0);
    if (clean)
        world_stop(&w, 2);
    else
        world_kill(&w, 2);
    damage(&b, seed);
    world_start(&w, 2);
    fill(1, 1); /* life goes on */
    world_until(&w, all_same, NULL, 60000);
    ck_assert_uint_ge(mended(2), clean);
    world_until(&w, stands, NULL, 60000);
    world_wait_isr(&w, "t", 2, 60000);
    enum broker_status s = world_promote(&w, 2, false);
    ck_assert_msg(s == BROKER_OK, "%s", w.said);
    ck_assert_int_ge(put(2, 41), 41);
    end();
}

static void flip_sealed(const struct bases *b, uint64_t seed)
{
    size_t at = seed % (b->count - 1);
    flip(2, b->v[at], (seed * 37) % b->size[at]);
}

static void flip_last(const struct bases *b, uint64_t seed)
{
    size_t at = b->count - 1;
    flip(2, b->v[at], (seed * 37) % b->size[at]);
}

static void flip_many(const struct bases *b, uint64_t seed)
{
    for (size_t at = 0; at < b->count; at++) {
        flip(2, b->v[at], (seed * 37 + at * 91) % b->size[at]);
        flip(2, b->v[at], (seed * 59 + at * 31) % b->size[at]);
    }
}

static void shorten_sealed(const struct bases *b, uint64_t seed)
{
    size_t at = seed % (b->count - 1);
    shorten(2, b->v[at], (seed * 37) % b->size[at]);
}

static void shorten_last(const struct bases *b, uint64_t seed)
{
    size_t at = b->count - 1;
    shorten(2, b->v[at], (seed * 37) % b->size[at]);
}

START_TEST(follower_sealed)
{
    for (uint64_t seed = 1; seed <= 12; seed++)
        follower(seed, true, flip_sealed);
}
END_TEST

START_TEST(follower_last)
{
    for (uint64_t seed = 1; seed <= 8; seed++)
        follower(seed, true, flip_last);
}
END_TEST

START_TEST(follower_many)
{
    for (uint64_t seed = 1; seed <= 6; seed++)
        follower(seed, true, flip_many);
}
END_TEST

START_TEST(follower_short)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        follower(seed, true, shorten_sealed);
        follower(seed, true, shorten_last);
    }
}
END_TEST

/* Behind the recovery point a start takes damage for a torn tail: it is cut and fetched again. */
START_TEST(follower_killed)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        follower(seed, false, flip_last);
        follower(seed, false, flip_many);
    }
}
END_TEST

/* Files that are gone: the offsets come back, in the file before or in one of their own. */
START_TEST(follower_lost_files)
{
    for (int k = 0; k < 4; k++) {
        begin(50 + (uint64_t)k, 2, "1");
        fill(1, 40);
        world_run(&w, 2000);
        struct bases b = bases_of(2);
        world_stop(&w, 2);
        for (size_t i = 0; i < b.count; i++)
            if (k == 3 || i == (k == 0 ? 0 : k == 1 ? 2 : b.count - 1))
                drop(2, b.v[i]);
        world_start(&w, 2);
        world_run(&w, 30000);
        world_wait_isr(&w, "t", 2, 60000);
        put(1, 40);
        world_run(&w, 2000);
        enum broker_status s = world_promote(&w, 2, false);
        ck_assert_msg(s == BROKER_OK, "%s", w.said);
        put(2, 41);
        if (k > 0) /* else the log begins behind the first file: that is what a trim looks like */
            whole(2, 42);
        end();
    }
}
END_TEST

/* --- the leader --- */

START_TEST(leader_reads)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct rig_fetch f;
        begin(seed, 3, "2");
        fill(1, 40);
        struct bases b = bases_of(1);
        size_t at = seed % b.count;
        flip(1, b.v[at], (seed * 37) % b.size[at]); /* while it runs */
        rig_fetch_init(&f);
        rig_fetch_add(&f, "t", 0, b.v[at]);
        rig_fetch_run(&w.nodes[1].rig, &f);
        broker_fetch_release(w.nodes[1].rig.broker, &f.req);
        ck_assert_int_eq(put(1, 40), 40); /* it leads on */
        world_run(&w, 3000);
        ck_assert_uint_eq(mended(1), 1);
        whole(1, 41);
        world_until(&w, all_same, NULL, 60000);
        end();
    }
}
END_TEST

START_TEST(leader_starts)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        begin(seed, 3, "2");
        fill(1, 40);
        world_run(&w, 1000);
        struct bases b = bases_of(1);
        world_stop(&w, 1);
        for (size_t at = 0; at < b.count; at++)
            flip(1, b.v[at], (seed * 37 + at * 91) % b.size[at]);
        world_start(&w, 1);
        world_wait_leader(&w, 60000);
        ck_assert_int_eq(put(1, 40), 40);
        world_until(&w, all_same, NULL, 60000);
        ck_assert_uint_ge(mended(1), 1);
        whole(1, 41);
        end();
    }
}
END_TEST

/* Under load its partition is closed for a moment: nothing is lost or refused for good. */
START_TEST(leader_busy)
{
    begin(7, 2, "2");
    fill(1, 20);
    struct bases b = bases_of(1);
    flip(1, b.v[0], 100);
    struct rig_produce *p[200];
    for (uint64_t i = 0; i < 200; i++) {
        struct rig_batch batch = {.tag = 20 + i, .value_size = 60};
        p[i] = world_produce(&w, 1, "t", -1, &batch);
        world_run(&w, 30);
    }
    for (int i = 0; i < 200; i++) {
        for (int k = 0; p[i]->done == 0 && k < 1000; k++)
            world_run(&w, 20);
        ck_assert_int_eq(p[i]->items[0].status, BROKER_OK);
        ck_assert_int_eq(p[i]->items[0].base_offset, 20 + i);
        rig_produce_free(p[i]);
    }
    ck_assert_uint_eq(mended(1), 1);
    world_run(&w, 3000);
    whole(1, 220);
    world_until(&w, all_same, NULL, 60000);
    end();
}
END_TEST

/* --- what it is worth meanwhile --- */

/* One promise would do, and it holds all; but for what is damaged. */
START_TEST(not_intact)
{
    begin(3, 2, "2");
    fill(1, 40);
    world_run(&w, 1000);
    struct bases b = bases_of(2);
    world_kill(&w, 1);
    world_stop(&w, 2);
    flip(2, b.v[b.count - 1], 80);
    world_start(&w, 2);
    world_run(&w, 1000);
    struct bpart *p = world_part(&w, 2, "t");
    ck_assert_int_eq(p->state, BPART_ONLINE);
    ck_assert_int_lt(part_whole_end(p->part), 40);
    ck_assert_int_eq(world_promote(&w, 2, false), BROKER_NOT_ENOUGH_REPLICAS);
    world_kill(&w, 2); /* that is remembered */
    world_start(&w, 2);
    world_run(&w, 1000);
    p = world_part(&w, 2, "t");
    ck_assert_int_lt(part_whole_end(p->part), 40);
    ck_assert_int_eq(world_promote(&w, 2, false), BROKER_NOT_ENOUGH_REPLICAS);
    world_start(&w, 1);
    world_wait_isr(&w, "t", 2, 60000);
    world_until(&w, all_same, NULL, 60000);
    world_run(&w, 2000);
    world_kill(&w, 1);
    world_run(&w, 500);
    enum broker_status s = world_promote(&w, 2, false);
    ck_assert_msg(s == BROKER_OK, "%s", w.said);
    whole(2, 40);
    end();
}
END_TEST

/* A log that was cut where it was damaged, by its recovery: it is shorter, and nothing else shows
 * that; what was cut had been counted. */
START_TEST(cut_short)
{
    begin(5, 2, "2");
    fill(1, 3);
    world_run(&w, 1000);
    world_kill(&w, 1);
    world_kill(&w, 2);
    flip(2, 0, BATCH_SIZE + 100); /* behind the recovery point, and a good batch follows */
    world_start(&w, 2);
    world_run(&w, 1000);
    struct bpart *p = world_part(&w, 2, "t");
    ck_assert_int_eq(p->part->reserved, 1);
    ck_assert_int_eq(p->replica->reached, BPART_REACHED_LOST);
    ck_assert_int_eq(world_promote(&w, 2, false), BROKER_NOT_ENOUGH_REPLICAS);
    world_kill(&w, 2); /* that is remembered */
    world_start(&w, 2);
    world_run(&w, 1000);
    ck_assert_int_eq(world_part(&w, 2, "t")->replica->reached, BPART_REACHED_LOST);
    ck_assert_int_eq(world_promote(&w, 2, false), BROKER_NOT_ENOUGH_REPLICAS);
    world_start(&w, 1);
    world_until(&w, all_same, NULL, 60000);
    world_until(&w, stands, NULL, 60000);
    world_run(&w, 2000);
    world_kill(&w, 1);
    world_run(&w, 500);
    enum broker_status s = world_promote(&w, 2, false);
    ck_assert_msg(s == BROKER_OK, "%s", w.said);
    whole(2, 3);
    end();
}
END_TEST

/* Both lack it: it is said, nothing is deleted, everything else goes on; when one has it again the
 * other gets it. */
START_TEST(nobody_has_it)
{
    begin(4, 2, "1");
    fill(1, 40);
    world_run(&w, 1000);
    struct bases b = bases_of(1);
    flip(1, b.v[1], 100);
    flip(2, b.v[1], 100);
    world_run(&w, 8000);
    ck_assert_uint_eq(mended(1) + mended(2), 0);
    ck_assert_int_eq(world_part(&w, 1, "t")->replica->mend.left, b.v[1]);
    ck_assert_ptr_nonnull(strstr(w.nodes[1].rig.line, "not repaired yet"));
    ck_assert_uint_le(w.nodes[1].rig.errors, 2);
    ck_assert_int_eq(put(1, 40), 40);
    flip(2, b.v[1], 100); /* it is good again, and so found by the next read */
    world_kill(&w, 2);
    world_start(&w, 2);
    world_run(&w, 60000);
    ck_assert_uint_eq(mended(1), 1);
    ck_assert_int_eq(world_part(&w, 1, "t")->replica->mend.left, -1);
    whole(1, 41);
    world_until(&w, all_same, NULL, 60000);
    end();
}
END_TEST

/* --- by seed --- */

/* Damage on any broker at any time, kills, promotions; in the end everything is the same. */
START_TEST(seeds)
{
    int rounds = getenv("KAURI_TEST_LONG") != NULL ? 120 : 6;
    for (int seed = 1; seed <= rounds; seed++) {
        int count = 0;
        begin(1000 + (uint64_t)seed, 3, "2");
        for (int step = 0; step < 12; step++) {
            int leader = world_leader(&w);
            for (int i = 0; i < 5; i++)
                put(0, (uint64_t)count++);
            int id = 1 + (int)random_below(&w.random, 3);
            struct bases b = bases_of(id);
            size_t at = random_below(&w.random, (uint32_t)b.count);
            bool stop = random_below(&w.random, 2) == 0 && id != leader;
            if (stop)
                world_stop(&w, id);
            if (b.size[at] > 0)
                flip(id, b.v[at], random_below(&w.random, b.size[at]));
            world_run(&w, (int64_t)random_below(&w.random, 3000));
            if (stop)
                world_start(&w, id);
            world_wait_isr(&w, "t", 3, 90000);
            if (random_below(&w.random, 3) == 0)
                (void)world_promote(&w, 1 + (int)random_below(&w.random, 3), false);
            world_wait_leader(&w, 60000);
        }
        world_wait_isr(&w, "t", 3, 90000);
        world_run(&w, 10000);
        world_until(&w, all_same, NULL, 90000);
        whole(world_leader(&w), count);
        end();
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mend");
    TCase *c = tcase_create("mend");
    tcase_set_timeout(c, getenv("KAURI_TEST_LONG") != NULL ? 1200 : 120);
    tcase_add_test(c, follower_sealed);
    tcase_add_test(c, follower_last);
    tcase_add_test(c, follower_many);
    tcase_add_test(c, follower_short);
    tcase_add_test(c, follower_killed);
    tcase_add_test(c, follower_lost_files);
    tcase_add_test(c, leader_reads);
    tcase_add_test(c, leader_starts);
    tcase_add_test(c, leader_busy);
    tcase_add_test(c, not_intact);
    tcase_add_test(c, cut_short);
    tcase_add_test(c, nobody_has_it);
    tcase_add_test(c, seeds);
    suite_add_tcase(s, c);
    return rig_main(s);
}
