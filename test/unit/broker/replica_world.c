/* SPDX-License-Identifier: MIT
 *
 * replica_world: logs, the judge, crashes, and the walk. See replica_world.h.
 */
#include "test/unit/broker/replica_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"

unsigned replica_rules_off;

bool world_chance(struct world *w, uint64_t in_1000)
{
    return random_below(&w->random, 1000) < in_1000;
}

int64_t world_between(struct world *w, int64_t low, int64_t high)
{
    return low + (int64_t)random_below(&w->random, (uint64_t)(high - low + 1));
}

void world_note(struct world *w, const char *format, ...)
{
    va_list args;
    if (!w->trace)
        return;
    va_start(args, format);
    fprintf(stderr, "%5zu ", w->step);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

void world_fault(struct world *w, const char *format, ...)
{
    va_list args;
    if (w->fault[0] != '\0')
        return;
    va_start(args, format);
    vsnprintf(w->fault, sizeof w->fault, format, args);
    va_end(args);
    world_note(w, "FAULT %s", w->fault);
}

bool world_linked(const struct world *w, int32_t from, int32_t to)
{
    return w->brokers[from].up && w->brokers[to].up && !w->cut[from][to] && !w->cut[to][from];
}

/* --- logs --- */

int64_t world_end(const struct world *w, const struct world_broker *b)
{
    return w->setup.os || (w->setup.bugs & WORLD_COUNT_UNSYNCED) != 0 ? b->end : b->synced;
}

int32_t world_last_epoch(const struct world_broker *b, int64_t end)
{
    return end > 0 ? b->log[end - 1].epoch : -1;
}

int64_t world_epoch_end(const struct world_broker *b, int32_t epoch)
{
    int64_t end = b->end;
    while (end > 0 && b->log[end - 1].epoch > epoch)
        end--;
    return end;
}

void world_cut(struct world *w, struct world_broker *b, int32_t epoch, int64_t end)
{
    int64_t mine = world_epoch_end(b, epoch);
    int64_t to = mine < end ? mine : end;
    if (to < b->mark) {
        world_fault(w, "J3 broker %d is told to cut to %lld, below its high watermark %lld", b->id,
                    (long long)to, (long long)b->mark);
        return;
    }
    world_note(w, "cut %d from %lld to %lld", b->id, (long long)b->end, (long long)to);
    b->end = to;
    if (b->synced > to)
        b->synced = to;
    if ((w->setup.bugs & WORLD_REACHED_BACK) != 0)
        b->reached = world_last_epoch(b, to);
    w->cuts++;
}

void world_append(struct world *w, struct world_broker *b, struct world_record r)
{
    ASSERT(b->end < WORLD_LOG_MAX);
    b->log[b->end++] = r;
}

/* --- the judge --- */

void world_mark(struct world *w, struct world_broker *b, int64_t mark)
{
    for (int64_t o = b->mark; o < mark; o++) {
        struct world_record *seen = &w->seen[o];
        if (seen->number != 0 && seen->number != b->log[o].number)
            world_fault(w, "J2 offset %lld was readable as %u and is %u at broker %d", (long long)o,
                        seen->number, b->log[o].number, b->id);
        *seen = b->log[o];
    }
    if (mark > b->mark)
        b->mark = mark;
}

static void world_judge_ack(struct world *w, const struct world_broker *by, int64_t o)
{
    uint32_t number = by->waits[o];
    if (w->acked[o] != 0 && w->acked[o] != number)
        world_fault(w, "J1 offset %lld is acknowledged twice", (long long)o);
    w->acked[o] = number;
    w->acked_term[o] = by->term;
    if (o >= w->acked_end)
        w->acked_end = o + 1;
    w->acks++;
    for (int i = 0; i < w->count; i++) {
        const struct world_broker *b = &w->brokers[i];
        if (b->up && b->role == WORLD_LEADER && b->term >= by->term &&
            (o >= b->end || b->log[o].number != number))
            world_fault(w, "J1 broker %d acknowledges offset %lld, which leader %d has not", by->id,
                        (long long)o, b->id);
    }
}

static void world_judge_leader(struct world *w, const struct world_broker *b)
{
    for (int64_t o = 0; o < w->acked_end; o++) {
        if (w->acked[o] == 0 || w->acked_term[o] > b->term)
            continue;
        if (o >= b->end || b->log[o].number != w->acked[o])
            world_fault(w, "J1 leader %d of epoch %d.%u lacks offset %lld, acknowledged in term %u",
                        b->id, (int)b->term, b->state.start, (long long)o, w->acked_term[o]);
    }
}

/* --- roles --- */

void world_idle(struct world_broker *b)
{
    b->role = WORLD_IDLE;
    b->leader = -1;
    b->epoch = -1;
    b->broker_epoch = -1;
    b->matched = -1;
    b->late = false;
    b->voted = 0;
    memset(b->waits, 0, sizeof b->waits);
    memset(b->answers, 0, sizeof b->answers);
}

/* What was acknowledged now, and what is readable. */
void world_settle_leader(struct world *w, struct world_broker *b)
{
    for (int64_t o = b->mark; o < b->set.high_watermark; o++) {
        if (b->waits[o] != 0 && replica_set_acks_allowed(&b->set))
            world_judge_ack(w, b, o);
        b->waits[o] = 0;
    }
    world_mark(w, b, b->set.high_watermark);
}

void world_moved(struct world *w, struct world_broker *b)
{
    struct replica_ends ends = {world_end(w, b), b->end};
    if (b->role == WORLD_LEADER)
        (void)replica_set_own_end(&b->set, ends);
    if (b->role == WORLD_LEADER)
        world_settle_leader(w, b);
}

/* With the state written and the log whole. */
void world_lead(struct world *w, struct world_broker *b)
{
    struct replica_begin begin = {.self = b->id,
                                  .min_insync = w->setup.min_insync,
                                  .leader_epoch = election_leader_epoch(b->term, b->state.start),
                                  .revision = b->state.at.revision,
                                  .isr = b->state.isr,
                                  .elr = b->state.elr,
                                  .end = world_end(w, b),
                                  .written = b->end,
                                  .high_watermark = b->mark,
                                  .now_ms = w->now_ms};
    for (int32_t i = 0; i < w->count; i++)
        replica_ids_add(&begin.replicas, i);
    b->role = WORLD_LEADER;
    b->epoch = begin.leader_epoch;
    b->reached = b->epoch;
    b->leader = b->id;
    replica_set_begin(&b->set, &begin);
    for (int32_t i = 0; i < w->count; i++) {
        struct replica_registration known = {i, b->registered[i], false};
        if (i != b->id && known.broker_epoch >= 0)
            (void)replica_set_registered(&b->set, &known);
    }
    w->leaders++;
    world_note(w, "lead %d at %u.%u, end %lld, high watermark %lld, %u in sync", b->id, b->term,
               b->state.start, (long long)b->end, (long long)b->set.high_watermark,
               b->state.isr.count);
    world_judge_leader(w, b);
    world_settle_leader(w, b);
}

/* --- crashes --- */

/* How many may lack what they counted for, at a time: with durability=os, and of folders. */
static uint32_t world_lossy_max(const struct world *w)
{
    return w->setup.os && !w->setup.wipes ? w->setup.min_insync - 1 : w->setup.min_insync > 1;
}

/* No loss before all are up, and whole again since the last one. */
static bool world_may_lose(const struct world *w)
{
    uint32_t best = 0, lossy = 0;
    bool whole = false;
    for (int i = 0; i < w->count; i++) {
        const struct world_broker *b = &w->brokers[i];
        if (!b->up && !b->standing.lossy)
            return false;
        lossy += b->standing.lossy;
        if (b->role == WORLD_LEADER && b->term >= best) {
            best = b->term;
            whole = (int32_t)b->set.isr.count == w->count;
        }
    }
    if (lossy > 0)
        return lossy < world_lossy_max(w);
    return world_lossy_max(w) > 0 && (w->power_at == 0 || (whole && w->step - w->power_at > 60));
}

static void world_lossy(struct world *w, struct world_broker *b)
{
    w->power_at = w->step;
    b->standing.lossy = true;
    b->standing.registered = false;
    b->reached = world_last_epoch(b, b->end);
}

static void world_wipe(struct world *w, struct world_broker *b)
{
    world_note(w, "wipe %d", b->id);
    w->losses++;
    b->end = b->synced = b->saved_mark = b->revision = 0;
    b->promise = (struct election_promise){0, -1, 0};
    b->state = (struct world_state){.leader = -1};
    b->fresh = true;
    for (int i = 0; i < w->count; i++)
        b->registered[i] = -1;
    world_lossy(w, b);
}

/* A clean stop, and the leader may hear of it. */
static void world_part(struct world *w, struct world_broker *b)
{
    if (b->role != WORLD_FOLLOWER || !world_linked(w, b->id, b->leader) || world_chance(w, 500))
        return;
    struct world_broker *leader = &w->brokers[b->leader];
    if (leader->role != WORLD_LEADER || leader->term != b->term ||
        leader->registered[b->id] != b->broker_epoch)
        return;
    world_note(w, "goodbye of %d to %d", b->id, leader->id);
    leader->registered[b->id] = -1;
    replica_set_parted(&leader->set, b->id);
}

void world_crash(struct world *w, struct world_broker *b)
{
    bool may_lose = (!w->setup.os && !w->setup.wipes) || world_may_lose(w);
    bool power = world_chance(w, 500) && (may_lose || !w->setup.os);
    if (!power && world_chance(w, 600))
        return;
    if (!power)
        world_part(w, b);
    b->up = false;
    b->saved_mark = world_chance(w, 500) ? 0 : world_between(w, 0, b->mark);
    if (b->late && world_chance(w, 500))
        world_late(w, b);
    world_note(w, "%s %d, end %lld, synced %lld", power ? "power" : "crash", b->id,
               (long long)b->end, (long long)b->synced);
    world_idle(b);
    if ((w->setup.bugs & WORLD_FORGETS) != 0)
        b->promise = (struct election_promise){b->state.at.term, -1, 0};
    if (!power)
        return;
    b->end = world_between(w, b->synced, b->end);
    b->synced = b->end;
    w->losses++;
    if (w->setup.wipes && may_lose)
        world_wipe(w, b);
    else if (w->setup.os)
        world_lossy(w, b);
}

void world_restart(struct world *w, struct world_broker *b)
{
    struct election_resume resume = {.self = b->id,
                                     .lossy = b->standing.lossy,
                                     .term = b->state.at.term,
                                     .held = b->promise,
                                     .isr = b->state.isr,
                                     .elr = b->state.elr};
    b->up = true;
    b->incarnation++;
    b->mark = b->saved_mark < b->end ? b->saved_mark : b->end;
    world_note(w, "restart %d, end %lld, high watermark %lld", b->id, (long long)b->end,
               (long long)b->mark);
    if (b->state.leader != b->id || !election_may_resume(&resume))
        return;
    b->standing.lossy = false;
    b->term = b->state.at.term;
    b->state.start++;
    b->state.at.revision = ++b->revision;
    world_lead(w, b);
}

/* --- the walk --- */

void world_init(struct world *w, const struct world_setup *setup)
{
    struct replica_ids all = {0};
    memset(w, 0, sizeof *w);
    w->setup = *setup;
    w->count = setup->replicas != 0 ? setup->replicas : 3;
    replica_rules_off = setup->rules;
    random_init(&w->random, setup->seed);
    for (int32_t i = 0; i < w->count; i++)
        replica_ids_add(&all, i);
    for (int32_t i = 0; i < w->count; i++) {
        struct world_broker *b = &w->brokers[i];
        b->id = i;
        b->up = true;
        b->reached = -1;
        b->incarnation = 1;
        b->promise = (struct election_promise){ELECTION_SLOTS, 0, 1};
        b->state.at = (struct election_position){ELECTION_SLOTS, 0};
        b->state.start = 1;
        b->state.isr = all;
        for (int32_t k = 0; k < w->count; k++)
            b->registered[k] = -1;
        world_idle(b);
    }
    w->crashes = (uint64_t)world_between(w, 20, 400);
    w->heals = (uint64_t)world_between(w, 300, 950);
    w->promotions = (uint64_t)world_between(w, 2, 60);
    w->syncs = (uint64_t)world_between(w, w->setup.os ? 0 : 300, 1000);
    for (int i = 0; i < w->count; i++)
        w->pulls[i] = (uint64_t)world_between(w, 100, 1500);
    w->delays = (uint64_t)world_between(w, 0, 300);
    w->brokers[0].term = ELECTION_SLOTS;
    world_lead(w, &w->brokers[0]);
}

static void world_network(struct world *w)
{
    int32_t a = (int32_t)random_below(&w->random, (uint64_t)w->count);
    int32_t b = (int32_t)random_below(&w->random, (uint64_t)w->count);
    if (world_chance(w, w->heals))
        memset(w->cut, 0, sizeof w->cut);
    else if (a != b)
        w->cut[a][b] = true;
    if (a != b && world_chance(w, 300))
        w->cut[b][a] = w->cut[a][b];
}

static void world_sync(struct world *w, struct world_broker *b)
{
    if (!b->up || !world_chance(w, w->syncs))
        return;
    b->synced = world_chance(w, 700) ? b->end : world_between(w, b->synced, b->end);
    world_moved(w, b);
}

static void world_fail(struct world *w, struct world_broker *b)
{
    if (!b->up)
        world_restart(w, b);
    else if (world_chance(w, w->crashes))
        world_crash(w, b);
}

void world_step(struct world *w)
{
    uint64_t x = random_below(&w->random, 1000);
    struct world_broker *b = &w->brokers[random_below(&w->random, (uint64_t)w->count)];
    w->step++;
    w->now_ms += (int64_t)random_below(&w->random, 3);
    if (x < 130)
        world_produce(w, b);
    else if (x < 210)
        world_sync(w, b);
    else if (x < 420)
        world_pull(w, b);
    else if (x < 700)
        world_deliver(w);
    else if (x < 750)
        world_change(w, b);
    else if (x < 770)
        world_late(w, b);
    else if (x < 830)
        world_mirror(w, b);
    else if (x < 880)
        world_look(w, b);
    else if (x < 960)
        world_promote(w, b);
    else if (x < 988)
        world_fail(w, b);
    else
        world_network(w);
}

bool world_run(struct world *w, const struct world_setup *setup)
{
    bool trace = w->trace;
    world_init(w, setup);
    w->trace = trace;
    while (w->step < setup->steps && w->fault[0] == '\0')
        world_step(w);
    return w->fault[0] == '\0';
}
