/* SPDX-License-Identifier: MIT
 *
 * cluster_sim: see cluster_sim.h.
 */
#include "test/unit/broker/cluster_sim.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "engine/broker/broker_follow_priv.h"

#define SIM_NODES     3
#define SIM_TOPIC     "t"
#define SIM_STEPS     120
#define SIM_BUSY      333
#define SIM_CLIENT_MS 3000   /* a producer tries elsewhere */
#define SIM_PATIENT   300000 /* ms of calm, then the operator says --force */
#define SIM_SETTLE_MS 600000
#define SIM_NO_TERM   UINT32_MAX

static uint64_t sim_below(struct sim *s, uint64_t n)
{
    return random_below(&s->w.random, n);
}

__attribute__((format(printf, 2, 3))) static void sim_note(const struct sim *s, const char *fmt,
                                                           ...)
{
    va_list args;
    if (getenv("RIG_LOG") == NULL)
        return;
    va_start(args, fmt);
    (void)fprintf(stderr, "-- step %u: ", s->step);
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
    va_end(args);
}

/* The first one counts. */
__attribute__((format(printf, 2, 3))) static void sim_fault(struct sim *s, const char *fmt, ...)
{
    va_list args;
    if (s->fault[0] != '\0')
        return;
    va_start(args, fmt);
    (void)vsnprintf(s->fault, sizeof s->fault, fmt, args);
    va_end(args);
    sim_note(s, "FAULT %s", s->fault);
}

static struct broker *sim_broker(const struct sim *s, int node)
{
    return s->w.nodes[node].rig.broker;
}

/* Its partition when that is open; else NULL. */
static struct bpart *sim_part(struct sim *s, int node)
{
    struct bpart *p = s->w.nodes[node].up ? world_part(&s->w, node, SIM_TOPIC) : NULL;
    return p != NULL && p->state == BPART_ONLINE && p->part != NULL ? p : NULL;
}

static bool sim_leads(const struct bpart *p)
{
    return p != NULL && p->replica != NULL && p->replica->leading;
}

/* --- what is promised --- */

/* J4 for a leader and one member. */
static void sim_judge_member(struct sim *s, int leader, int member, int64_t need)
{
    struct bpart *p = sim_part(s, member);
    if (p == NULL || s->wounded[member])
        return;
    int64_t end = s->setup.os ? p->part->written : p->part->durable;
    if (end < need)
        sim_fault(s,
                  "J4 broker %d is in sync with broker %d and ends at %lld, but %lld was promised",
                  member, leader, (long long)end, (long long)need);
}

/* J6 */
static void sim_judge_readable(struct sim *s, int leader, int64_t mark)
{
    unsigned holders = SIM_NODES;
    for (int i = 1; i <= SIM_NODES; i++) {
        struct bpart *p = s->wounded[i] ? NULL : sim_part(s, i);
        if (p != NULL && (s->setup.os ? p->part->written : p->part->durable) < mark)
            holders--;
    }
    struct bpart *led = sim_part(s, leader);
    if (holders < (s->setup.changes ? led->replica->record.base.holders : s->setup.min_insync))
        sim_fault(s, "J6 readable to %lld at broker %d, and %u hold that", (long long)mark, leader,
                  holders);
}

static void sim_judge_sets(struct sim *s)
{
    for (int i = 1; i <= SIM_NODES && !s->lost; i++) {
        struct bpart *p = sim_part(s, i);
        if (!sim_leads(p))
            continue;
        const struct replica_set *set = &p->replica->set;
        uint32_t term = cluster_epoch_term(set->leader_epoch);
        int64_t need = s->acked_end;
        while (need > 0 && (s->acked[need - 1] == 0 || s->acked_term[need - 1] > term))
            need--;
        need = need > set->high_watermark ? need : set->high_watermark;
        sim_judge_readable(s, i, set->high_watermark);
        for (uint32_t k = 0; k < set->isr.count; k++)
            sim_judge_member(s, i, set->isr.id[k], need);
    }
}

/* It has everything again: the records say so, and are newer than what happened to it. */
static void sim_heals(struct sim *s)
{
    for (int i = 1; i <= SIM_NODES; i++) {
        struct bpart *p = s->wounded[i] ? sim_part(s, i) : NULL;
        if (p == NULL || p->replica == NULL)
            continue;
        struct broker *b = sim_broker(s, i);
        bool named = replica_ids_has(&p->replica->record.isr, i);
        bool mirrors = broker_role(b) == BROKER_FOLLOWING && broker_follow_of(b)->mirrored;
        if (sim_leads(p) || (mirrors && named)) {
            s->wounded[i] = false;
            sim_note(s, "broker %d is whole again", i);
        }
    }
}

static void sim_acked(struct sim *s, const struct sim_pending *q)
{
    int64_t at = q->p->items[0].base_offset;
    bool there = s->w.nodes[q->node].up && s->w.nodes[q->node].life == q->life;
    s->acks++;
    if (s->lost)
        return;
    ck_assert_int_lt(at, SIM_OFFSETS);
    if (s->acked[at] != 0 && s->acked[at] != q->tag + 1)
        sim_fault(s, "J1 offset %lld is acknowledged twice", (long long)at);
    s->acked[at] = q->tag + 1;
    s->acked_term[at] = there ? broker_cluster_term(sim_broker(s, q->node)) : SIM_NO_TERM;
    s->acked_end = at >= s->acked_end ? at + 1 : s->acked_end;
}

static void sim_answered(struct sim *s, struct sim_pending *q)
{
    enum broker_status status = q->p->items[0].status;
    struct sim_producer *by = q->producer >= 0 ? &s->producers[q->producer] : NULL;
    if (status == BROKER_OK && q->acks < 0)
        sim_acked(s, q);
    if (by == NULL || !by->busy || by->tag != q->tag)
        return;
    /* a gap: after a promotion by force the ones before are lost; else it is a leader that was
     * deposed and does not know, and another is tried */
    if (status == BROKER_OK || (status == BROKER_SEQUENCE_GAP && s->lost)) {
        by->busy = false;
        by->sequence++;
    }
}

static void sim_collect(struct sim *s)
{
    for (int i = 0; i < SIM_PENDING; i++) {
        struct sim_pending *q = &s->pending[i];
        if (q->p == NULL || (q->p->done == 0 && s->w.nodes[q->node].life == q->life))
            continue;
        if (q->p->done > 0)
            sim_answered(s, q);
        if (q->producer >= 0 && s->producers[q->producer].at == i)
            s->producers[q->producer].at = -1;
        rig_produce_free(q->p);
        q->p = NULL;
    }
}

static void sim_each(struct world *w, void *ctx)
{
    struct sim *s = ctx;
    ck_assert_ptr_eq(w, &s->w);
    sim_collect(s);
    sim_heals(s);
    sim_judge_sets(s);
}

/* --- clients --- */

static struct sim_pending *sim_free_slot(struct sim *s)
{
    for (int i = 0; i < SIM_PENDING; i++)
        if (s->pending[i].p == NULL)
            return &s->pending[i];
    return NULL;
}

static struct sim_pending *sim_send(struct sim *s, int node, int acks, const struct rig_batch *b)
{
    struct sim_pending *q = sim_free_slot(s);
    if (q == NULL || node == 0 || !s->w.nodes[node].up || s->w.paused[node])
        return NULL;
    *q = (struct sim_pending){
        .node = node, .life = s->w.nodes[node].life, .tag = b->tag, .acks = acks, .producer = -1};
    q->p = world_produce(&s->w, node, SIM_TOPIC, acks, b);
    return q;
}

void sim_put(struct sim *s, int node, int acks)
{
    struct rig_batch b = {.tag = s->tags};
    if (s->tags + 1 < SIM_OFFSETS && sim_send(s, node, acks, &b) != NULL)
        s->tags++;
}

/* The next batch of a producer, or the same once more. */
static void sim_produce(struct sim *s, int node, int id)
{
    struct sim_producer *by = &s->producers[id];
    if (!by->busy && s->tags + 1 >= SIM_OFFSETS)
        return;
    if (!by->busy) {
        *by = (struct sim_producer){
            .sequence = by->sequence, .tag = s->tags++, .busy = true, .at = -1};
        s->once[by->tag] = true;
    }
    if (by->at >= 0 && sim_below(s, 20) > 0)
        return; /* it is on its way; now and then it loses its patience */
    struct rig_batch b = {.producer = 1001 + id, .sequence = by->sequence, .tag = by->tag};
    struct sim_pending *q = sim_send(s, node, -1, &b);
    if (q != NULL) {
        q->producer = id;
        by->at = (int)(q - s->pending);
    }
}

static void sim_load(struct sim *s)
{
    int node = sim_below(s, 8) == 0 ? 1 + (int)sim_below(s, SIM_NODES) : world_leader(&s->w);
    uint64_t kind = sim_below(s, 4);
    if (kind < 2)
        sim_produce(s, node, (int)sim_below(s, SIM_PRODUCERS));
    else
        sim_put(s, node, kind == 2 ? 1 : -1);
}

void sim_expose(struct sim *s, int node)
{
    struct buf pairs CLEANUP(buf_deinit) = {0};
    struct bpart *p = sim_part(s, node);
    if (p == NULL || s->w.paused[node])
        return;
    rig_read_all(&s->w.nodes[node].rig, SIM_TOPIC, 0, p->part->log_start, &pairs);
    for (size_t at = 0; at < pairs.size; at += 16) {
        uint64_t offset = bytes_le64(pairs.p + at), tag = bytes_le64(pairs.p + at + 8) + 1;
        ck_assert_uint_lt(offset, SIM_OFFSETS);
        if (!s->lost && s->exposed[offset] != 0 && s->exposed[offset] != tag)
            sim_fault(s, "J2 offset %llu was tag %llu, is %llu at broker %d",
                      (unsigned long long)offset, (unsigned long long)s->exposed[offset] - 1,
                      (unsigned long long)tag - 1, node);
        s->exposed[offset] = tag;
    }
    s->reads += pairs.size / 16;
}

/* --- events --- */

static void sim_promoted(struct broker_promote_request *r)
{
    struct sim *s = r->ctx;
    sim_note(s, "promotion of %d: status %d, %s", s->promoting, (int)r->status, r->message);
    s->promoting = 0;
    s->promotes += r->status == BROKER_OK;
    if (r->force && r->status == BROKER_DENIED) /* nothing was changed */
        s->lost = s->lost_before;
}

void sim_promote(struct sim *s, int node, bool force)
{
    if (s->promoting != 0 || !s->w.nodes[node].up || s->w.paused[node])
        return;
    sim_note(s, "promote %d%s", node, force ? " by force" : "");
    s->lost_before = s->lost;
    s->lost = s->lost || force;
    s->promote = (struct broker_promote_request){.force = force, .done = sim_promoted, .ctx = s};
    s->promoting = node;
    broker_promote_request(sim_broker(s, node), &s->promote);
}

/* Asks `node`, which may not lead (any more), and does not wait. */
void sim_change(struct sim *s, int node, unsigned min_insync)
{
    bool waits =
        s->changing != 0 && s->change.done == 0 && s->w.nodes[s->changing].life == s->change_life;
    if (waits || node == 0 || !s->w.nodes[node].up || s->w.paused[node])
        return;
    sim_note(s, "min.insync.replicas %u, at %d", min_insync, node);
    s->changes++;
    s->changing = node;
    s->change_life = s->w.nodes[node].life;
    rig_admin_init(&s->change, BROKER_TOPIC_ALTER, SIM_TOPIC);
    rig_admin_config(&s->change, "min.insync.replicas", min_insync == 2 ? "2" : "1");
    rig_admin_start(&s->w.nodes[node].rig, &s->change);
}

/* A disk may forget something now: all others that hold records have them still. */
static bool sim_may_wound(const struct sim *s, int node)
{
    for (int i = 1; i <= SIM_NODES; i++)
        if (i != node && s->wounded[i])
            return false;
    return s->setup.min_insync >= 2 && !s->setup.changes;
}

void sim_down(struct sim *s, int node, bool power)
{
    if (!s->w.nodes[node].up)
        return;
    sim_note(s, "%s %d", power ? "power cut of" : "kill", node);
    sim_collect(s);
    if (power)
        world_power(&s->w, node);
    else
        world_kill(&s->w, node);
    s->cuts += power;
    s->kills += !power;
    s->wounded[node] = s->wounded[node] || (power && s->setup.os);
    if (s->promoting == node)
        s->promoting = 0;
    sim_collect(s);
}

void sim_up(struct sim *s, int node)
{
    if (s->w.nodes[node].up)
        return;
    sim_note(s, "start %d", node);
    world_start(&s->w, node);
}

static void sim_stop(struct sim *s, int node)
{
    if (!s->w.nodes[node].up || s->w.paused[node])
        return;
    sim_note(s, "stop %d", node);
    world_stop(&s->w, node);
    if (s->promoting == node)
        s->promoting = 0;
    sim_collect(s);
}

static void sim_power(struct sim *s, int node)
{
    if (s->setup.power && (!s->setup.os || sim_may_wound(s, node)))
        sim_down(s, node, true);
    else
        sim_down(s, node, false);
}

static void sim_wipe(struct sim *s, int node)
{
    sim_note(s, "another disk for %d", node);
    sim_down(s, node, false);
    world_wipe(&s->w, node);
    s->wounded[node] = true;
    s->wipes++;
}

static void sim_weather(struct sim *s)
{
    s->w.lose = sim_below(s, 3) == 0 ? 100 : 0;
    s->w.late = sim_below(s, 3) == 0 ? 100 : 0;
    s->w.repeat = sim_below(s, 3) == 0 ? 100 : 0;
    s->w.stall = sim_below(s, 3) == 0 ? 500 : 0;
}

void sim_heal(struct sim *s)
{
    memset(s->w.cut, 0, sizeof s->w.cut);
    memset(s->w.paused, 0, sizeof s->w.paused);
}

void sim_links(struct sim *s, int from, int to, bool both)
{
    sim_note(s, "cut %d -> %d%s", from, to, both ? " and back" : "");
    s->w.cut[from][to] = true;
    if (both)
        s->w.cut[to][from] = true;
}

/* What only rough weather has. */
static void sim_rough(struct sim *s, int node)
{
    switch (sim_below(s, 4)) {
    case 0:
        sim_weather(s);
        break;
    case 1:
        s->w.paused[node] = s->w.nodes[node].up && !s->w.paused[node];
        sim_note(s, "%s %d", s->w.paused[node] ? "pause" : "go on", node);
        break;
    case 2:
        sim_stop(s, node);
        break;
    default:
        if (s->setup.force)
            sim_promote(s, node, true);
        break;
    }
}

static void sim_event(struct sim *s)
{
    int node = 1 + (int)sim_below(s, SIM_NODES), other = 1 + (int)sim_below(s, SIM_NODES);
    if (s->setup.changes && sim_below(s, 4) == 0)
        sim_change(s, world_leader(&s->w), 1 + (unsigned)sim_below(s, 2));
    switch (sim_below(s, 13)) {
    case 0:
        sim_down(s, node, false);
        break;
    case 1:
        sim_power(s, node);
        break;
    case 2:
    case 3:
    case 4:
        sim_up(s, node);
        break;
    case 5:
        sim_links(s, node, other, false);
        break;
    case 6:
        sim_links(s, node, other, true);
        break;
    case 7:
        sim_heal(s);
        break;
    case 8:
    case 9:
        sim_promote(s, node, false);
        break;
    case 10:
        if (s->setup.wipes && sim_may_wound(s, node))
            sim_wipe(s, node);
        break;
    default:
        if (!s->setup.quiet)
            sim_rough(s, node);
        break;
    }
}

/* --- the calm --- */

static bool sim_whole(const struct sim *s)
{
    for (int i = 1; i <= SIM_NODES; i++)
        if (s->wounded[i])
            return false;
    return true;
}

/* A replica that will not cut what was committed before a promotion by force is copied anew; one
 * after the other, as the leader wants it. */
static void sim_unfence(struct sim *s)
{
    for (int i = 1; i <= SIM_NODES; i++) {
        struct bpart *p = s->lost && sim_whole(s) ? sim_part(s, i) : NULL;
        if (p == NULL || p->replica == NULL || p->replica->follow == NULL ||
            p->replica->follow->state != BROKER_FOLLOW_FENCED)
            continue;
        sim_wipe(s, i);
        sim_up(s, i);
    }
}

static bool sim_settled(struct sim *s)
{
    int leader = world_leader(&s->w);
    struct bpart *p = leader == 0 ? NULL : sim_part(s, leader);
    if (s->promoting != 0 || !sim_leads(p) || p->replica->set.isr.count < SIM_NODES)
        return false;
    int64_t end = p->part->reserved;
    for (int i = 1; i <= SIM_NODES; i++) {
        struct bpart *q = sim_part(s, i);
        if (q == NULL || bpart_visible(q) != end ||
            (s->setup.os ? q->part->written : q->part->durable) != end)
            return false;
    }
    return true;
}

static void sim_settle(struct sim *s)
{
    int64_t ms = 0;
    sim_heal(s);
    s->w.lose = s->w.late = s->w.repeat = s->w.stall = 0;
    for (int i = 1; i <= SIM_NODES; i++)
        sim_up(s, i);
    for (; ms < SIM_SETTLE_MS && s->fault[0] == '\0' && !sim_settled(s); ms += 200) {
        bool force = ms >= SIM_PATIENT;
        if (world_leader(&s->w) == 0 && s->promoting == 0) {
            s->forced += force;
            sim_promote(s, 1 + (int)sim_below(s, SIM_NODES), force);
        }
        sim_unfence(s);
        world_run(&s->w, 200);
    }
    if (ms >= SIM_SETTLE_MS)
        sim_fault(s, "J3 no calm: broker %d leads", world_leader(&s->w));
}

/* In calm weather an append is acknowledged, once no promotion is under way any more. */
static void sim_last_word(struct sim *s)
{
    uint64_t before = s->acks;
    for (int tries = 0; tries < 10 && s->acks == before && s->fault[0] == '\0'; tries++) {
        sim_put(s, world_leader(&s->w), -1);
        world_run(&s->w, 5000);
    }
    if (s->acks == before)
        sim_fault(s, "J3 nothing is acknowledged in the calm");
}

static void sim_judge_end(struct sim *s)
{
    uint8_t seen[SIM_OFFSETS] = {0};
    if (s->lost)
        memset(s->exposed, 0, sizeof s->exposed);
    bool lost = s->lost;
    s->lost = false; /* from here on all must agree */
    for (int i = 1; i <= SIM_NODES; i++)
        sim_expose(s, i);
    for (uint64_t i = 0; i < SIM_OFFSETS && !lost; i++) {
        if (s->acked[i] != 0 && s->acked[i] != s->exposed[i])
            sim_fault(s, "J1 offset %llu: %llu was acknowledged, %lld is there",
                      (unsigned long long)i, (unsigned long long)s->acked[i] - 1,
                      (long long)s->exposed[i] - 1);
        uint64_t tag = s->exposed[i] - 1;
        if (s->exposed[i] != 0 && tag < SIM_OFFSETS && s->once[tag] && seen[tag]++ > 0)
            sim_fault(s, "J5 tag %llu is in the log twice", (unsigned long long)tag);
    }
}

/* --- the run --- */

static void sim_create(struct sim *s)
{
    struct rig_admin a;
    rig_admin_init(&a, BROKER_TOPIC_CREATE, SIM_TOPIC);
    a.req.partitions = 1;
    a.req.replication = -1;
    rig_admin_config(&a, "min.insync.replicas", s->setup.min_insync == 2 ? "2" : "1");
    rig_admin_config(&a, "segment.bytes", "16384");
    rig_admin_config(&a, "durability", s->setup.os ? "os" : "sync");
    rig_admin_start(&s->w.nodes[1].rig, &a);
    for (int i = 0; a.done == 0 && i < 100; i++)
        world_run(&s->w, 10);
    ck_assert_msg(a.req.status == BROKER_OK, "%s", a.req.message);
}

static void sim_begin(struct sim *s, const struct sim_setup *setup)
{
    memset(s, 0, sizeof *s);
    s->setup = *setup;
    world_init(&s->w, setup->seed, SIM_NODES);
    for (int i = 0; i < SIM_PRODUCERS; i++)
        s->producers[i].at = -1;
    if (setup->lag_ms > 0)
        world_set(&s->w, "replica.lag.time.max.ms", setup->lag_ms == 1500 ? "1500" : "5000");
    if (setup->os) /* what is acknowledged is only written for long */
        world_set(&s->w, "log.flush.interval.ms", "600000");
    world_start(&s->w, 1);
    sim_create(s);
    world_start(&s->w, 2);
    world_start(&s->w, 3);
    world_wait_isr(&s->w, SIM_TOPIC, SIM_NODES, 60000);
    s->w.each = sim_each;
    s->w.ctx = s;
}

static void sim_step(struct sim *s)
{
    for (uint64_t n = sim_below(s, 8); n > 0; n--) {
        sim_load(s);
        world_run(&s->w, 1 + (int64_t)sim_below(s, 20));
    }
    if (world_leader(&s->w) == 0 && sim_below(s, 4) == 0)
        sim_promote(s, 1 + (int)sim_below(s, SIM_NODES), false);
    if (sim_below(s, 1000) < (s->setup.busy > 0 ? s->setup.busy : SIM_BUSY))
        sim_event(s);
    world_run(&s->w, (int64_t)sim_below(s, 400));
    for (int i = 1; i <= SIM_NODES; i++)
        if (s->w.nodes[i].up && sim_below(s, 4) == 0)
            sim_expose(s, i);
}

bool sim_run(struct sim *s, const struct sim_setup *setup)
{
    unsigned steps = setup->steps > 0 ? setup->steps : SIM_STEPS;
    sim_begin(s, setup);
    if (setup->script != NULL)
        setup->script(s);
    for (; setup->script == NULL && s->fault[0] == '\0' && s->step < steps; s->step++)
        sim_step(s);
    if (s->fault[0] == '\0')
        sim_settle(s);
    if (s->fault[0] == '\0')
        sim_last_word(s);
    if (s->fault[0] == '\0')
        sim_judge_end(s);
    s->w.each = NULL;
    for (int i = 1; i <= SIM_NODES; i++)
        if (s->w.nodes[i].up)
            sim_down(s, i, false);
    world_deinit(&s->w);
    return s->fault[0] == '\0';
}
