/* SPDX-License-Identifier: MIT
 *
 * Three brokers by seed: appends with acks=all while processes die, power goes, links are cut one
 * way or both, messages are lost, and brokers are promoted at any time. At the end everything is
 * healed. Whatever was acknowledged is there, at its offset, on every broker; no offset was ever
 * read with two contents; the logs are the same.
 *
 * Of four seeds one has durability=os, where no power goes, and one wipes disks, of a broker that
 * is in sync with all others there.
 *
 * 12 seeds; 1,000 with KAURI_TEST_LONG=1. SIM_SEED=n runs that one, RIG_LOG=1 tells what happens.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "engine/broker/broker_priv.h"
#include "test/unit/broker/cluster_world.h"

#define SIM_BATCHES 4000
#define SIM_PENDING 64
#define SIM_STEPS   120

struct sim_pending {
    struct rig_produce *p; /* NULL: free */
    int node;
    uint64_t life;
    uint64_t tag;
};

struct sim {
    struct world w;
    struct sim_pending pending[SIM_PENDING];
    uint64_t tags;
    uint64_t exposed[SIM_BATCHES]; /* tag + 1 of each offset that was readable once; 0: none */
    uint64_t acked[SIM_BATCHES];   /* likewise, acknowledged */
    uint64_t acks;
    uint64_t leads;
    struct broker_promote_request promote;
    int promoting; /* the node that was asked; 0: none */
    int promotes;
    int wipes;
    bool os;
    bool wiping;
};

static uint64_t below(struct sim *s, uint64_t n)
{
    return random_below(&s->w.random, n);
}

static void collect(struct sim *s)
{
    for (int i = 0; i < SIM_PENDING; i++) {
        struct sim_pending *q = &s->pending[i];
        if (q->p == NULL)
            continue;
        bool gone = s->w.nodes[q->node].life != q->life;
        if (!gone && q->p->done == 0)
            continue;
        if (!gone && q->p->items[0].status == BROKER_OK) {
            int64_t at = q->p->items[0].base_offset;
            ck_assert_int_lt(at, SIM_BATCHES);
            ck_assert_msg(s->acked[at] == 0, "offset %lld acknowledged twice", (long long)at);
            s->acked[at] = q->tag + 1;
            s->acks++;
        }
        rig_produce_free(q->p);
        q->p = NULL;
    }
}

static void produce(struct sim *s)
{
    struct rig_batch b = {.tag = s->tags};
    int node = world_leader(&s->w);
    struct sim_pending *q = NULL;
    for (int i = 0; i < SIM_PENDING && q == NULL; i++)
        if (s->pending[i].p == NULL)
            q = &s->pending[i];
    if (below(s, 8) == 0)
        node = 1 + (int)below(s, 3);
    if (q == NULL || node == 0 || !s->w.nodes[node].up || s->tags + 1 >= SIM_BATCHES)
        return;
    *q = (struct sim_pending){.node = node, .life = s->w.nodes[node].life, .tag = s->tags++};
    q->p = world_produce(&s->w, node, "t", -1, &b);
}

/* What a consumer could read at this broker now. */
static void expose(struct sim *s, int node)
{
    struct buf pairs CLEANUP(buf_deinit) = {0};
    struct bpart *p = world_part(&s->w, node, "t");
    if (p == NULL || p->state != BPART_ONLINE || p->part == NULL)
        return;
    rig_read_all(&s->w.nodes[node].rig, "t", 0, p->part->log_start, &pairs);
    for (size_t at = 0; at < pairs.size; at += 16) {
        uint64_t offset = bytes_le64(pairs.p + at), tag = bytes_le64(pairs.p + at + 8) + 1;
        ck_assert_uint_lt(offset, SIM_BATCHES);
        ck_assert_msg(s->exposed[offset] == 0 || s->exposed[offset] == tag,
                      "offset %llu was tag %llu, is %llu at broker %d", (unsigned long long)offset,
                      (unsigned long long)s->exposed[offset] - 1, (unsigned long long)tag - 1,
                      node);
        s->exposed[offset] = tag;
    }
}

static void promoted(struct broker_promote_request *r)
{
    struct sim *s = r->ctx;
    s->promoting = 0;
    s->promotes += r->status == BROKER_OK;
}

static void promote(struct sim *s, int node)
{
    if (s->promoting != 0 || !s->w.nodes[node].up)
        return;
    s->promote = (struct broker_promote_request){.done = promoted, .ctx = s};
    s->promoting = node;
    broker_promote_request(s->w.nodes[node].rig.broker, &s->promote);
}

static void heal(struct sim *s)
{
    memset(s->w.cut, 0, sizeof s->w.cut);
}

static void down(struct sim *s, int node, bool power)
{
    if (!s->w.nodes[node].up)
        return;
    collect(s);
    for (int i = 0; i < SIM_PENDING; i++) /* the rig frees what a dead process never answers: not */
        if (s->pending[i].p != NULL && s->pending[i].node == node)
            ck_assert_uint_eq(s->pending[i].p->done, 0);
    if (power)
        world_power(&s->w, node);
    else
        world_kill(&s->w, node);
    if (s->promoting == node)
        s->promoting = 0;
    collect(s);
}

/* A disk is replaced, where no record can be lost by it. */
static void wipe(struct sim *s, int node)
{
    int leader = world_leader(&s->w);
    struct bpart *p = leader == 0 ? NULL : world_part(&s->w, leader, "t");
    for (int i = 1; i <= 3; i++)
        if (!s->w.nodes[i].up)
            return;
    if (!s->wiping || node == leader || p == NULL || p->replica == NULL || !p->replica->leading ||
        p->replica->set.isr.count < 3)
        return;
    down(s, node, false);
    world_wipe(&s->w, node);
    world_start(&s->w, node);
    s->wipes++;
}

static void event(struct sim *s)
{
    int node = 1 + (int)below(s, 3), other = 1 + (int)below(s, 3);
    switch (below(s, 11)) {
    case 0:
        down(s, node, false);
        break;
    case 1:
        down(s, node, !s->os);
        break;
    case 2:
    case 3:
    case 4:
        if (!s->w.nodes[node].up)
            world_start(&s->w, node);
        break;
    case 5:
        s->w.cut[node][other] = true;
        break;
    case 6:
        s->w.cut[node][other] = s->w.cut[other][node] = true;
        break;
    case 7:
        heal(s);
        break;
    case 8:
        promote(s, node);
        break;
    case 9:
        s->w.lose = below(s, 3) == 0 ? 100 : 0;
        break;
    case 10:
        wipe(s, node);
        break;
    default:
        break;
    }
}

static bool settled(struct world *w, void *ctx)
{
    struct sim *s = ctx;
    struct bpart *p;
    collect(s);
    if (world_leader(w) == 0 && s->promoting == 0)
        promote(s, 1 + (int)below(s, 3));
    int leader = world_leader(w);
    p = leader == 0 ? NULL : world_part(w, leader, "t");
    if (p == NULL || p->replica == NULL || !p->replica->leading || p->replica->set.isr.count < 3)
        return false;
    int64_t end = p->part->reserved;
    for (int i = 1; i <= 3; i++) {
        struct bpart *q = world_part(w, i, "t");
        if (q == NULL || q->part == NULL || q->part->durable != end || bpart_visible(q) != end)
            return false;
    }
    return true;
}

/* In calm weather an append is acknowledged, once no promotion is under way any more. */
static void acknowledged(struct sim *s)
{
    enum broker_status status = BROKER_NOT_LEADER;
    for (int tries = 0; status == BROKER_NOT_LEADER && tries < 5; tries++) {
        struct rig_batch b = {.tag = s->tags++};
        struct rig_produce *p = world_produce(&s->w, world_leader(&s->w), "t", -1, &b);
        world_run(&s->w, 5000);
        ck_assert_uint_eq(p->done, 1);
        status = p->items[0].status;
        rig_produce_free(p);
        world_wait_leader(&s->w, 60000);
    }
    ck_assert_int_eq(status, BROKER_OK);
    s->acks++;
}

static void create(struct sim *s)
{
    struct rig_admin a;
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "t");
    a.req.partitions = 1;
    a.req.replication = -1;
    rig_admin_config(&a, "min.insync.replicas", "2");
    rig_admin_config(&a, "segment.bytes", "16384");
    rig_admin_config(&a, "durability", s->os ? "os" : "sync");
    rig_admin_start(&s->w.nodes[1].rig, &a);
    for (int i = 0; a.done == 0 && i < 100; i++)
        world_run(&s->w, 10);
    ck_assert_msg(a.req.status == BROKER_OK, "%s", a.req.message);
}

static void run(struct sim *s, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    s->os = seed % 4 == 1;
    s->wiping = seed % 4 == 2;
    world_init(&s->w, seed, 3);
    world_start(&s->w, 1);
    create(s);
    world_start(&s->w, 2);
    world_start(&s->w, 3);
    world_wait_isr(&s->w, "t", 3, 60000);
    for (int step = 0; step < SIM_STEPS; step++) {
        for (uint64_t n = below(s, 8); n > 0; n--) {
            produce(s);
            world_run(&s->w, 1 + (int64_t)below(s, 20));
        }
        if (below(s, 3) == 0)
            event(s);
        world_run(&s->w, (int64_t)below(s, 400));
        collect(s);
        for (int i = 1; i <= 3; i++)
            if (s->w.nodes[i].up && below(s, 4) == 0)
                expose(s, i);
    }
    heal(s);
    s->w.lose = 0;
    for (int i = 1; i <= 3; i++)
        if (!s->w.nodes[i].up)
            world_start(&s->w, i);
    world_until(&s->w, settled, s, 600000);
    acknowledged(s);
    for (int i = 1; i <= 3; i++)
        expose(s, i);
    for (uint64_t i = 0; i < SIM_BATCHES; i++)
        ck_assert_msg(s->acked[i] == 0 || s->acked[i] == s->exposed[i],
                      "offset %llu: %llu was acknowledged, %llu is there", (unsigned long long)i,
                      (unsigned long long)s->acked[i] - 1, (unsigned long long)(s->exposed[i] - 1));
    for (int i = 0; i < SIM_PENDING; i++)
        if (s->pending[i].p != NULL && s->pending[i].p->done > 0)
            rig_produce_free(s->pending[i].p);
    world_deinit(&s->w);
}

static uint64_t seeds(void)
{
    return getenv("KAURI_TEST_LONG") != NULL ? 1000 : 12;
}

START_TEST(weather)
{
    static struct sim s;
    const char *one = getenv("SIM_SEED");
    uint64_t seed = one != NULL ? strtoull(one, NULL, 10) : (uint64_t)_i + 1;
    run(&s, seed);
    if (getenv("RIG_LOG") != NULL)
        (void)fprintf(stderr, "seed %llu: %llu acked, %d promotions, %llu calls\n",
                      (unsigned long long)seed, (unsigned long long)s.acks, s.promotes,
                      (unsigned long long)s.w.sent);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("replication_sim");
    TCase *c = tcase_create("replication_sim");
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, weather, 0, getenv("SIM_SEED") != NULL ? 1 : (int)seeds());
    suite_add_tcase(s, c);
    return rig_main(s);
}
