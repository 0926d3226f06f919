/* SPDX-License-Identifier: MIT
 *
 * replica_world_vote: promotions of the model, one small step at a time, so that each may break off
 * or be overtaken anywhere. See replica_world.h.
 */
#include "engine/base/assert.h"
#include "test/unit/broker/replica_world.h"

static struct ship_holding world_holding(const struct world *w, const struct world_broker *b)
{
    bool last = (w->setup.bugs & WORLD_TELL_LAST) != 0;
    return (struct ship_holding){.reached =
                                     last ? world_last_epoch(b, world_end(w, b)) : b->reached,
                                 .end = world_end(w, b),
                                 .high_watermark = b->mark,
                                 .intact = election_intact(&b->standing)};
}

static void world_begin_vote(struct world *w, struct world_broker *b)
{
    uint32_t greatest = b->promise.term;
    for (int32_t i = 0; i < w->count; i++) {
        const struct world_broker *o = &w->brokers[i];
        if (i != b->id && world_linked(w, b->id, i) && o->promise.term > greatest)
            greatest = o->promise.term;
    }
    world_idle(b);
    b->role = WORLD_CANDIDATE;
    b->promise = (struct election_promise){election_next_term(greatest, (uint32_t)b->id), b->id,
                                           b->incarnation};
    b->term = b->promise.term;
    for (int32_t i = 0; i < w->count; i++) {
        b->answers[i].id = i;
        b->answers[i].holding.end = -1;
    }
    b->answers[b->id].promised = true;
    b->answers[b->id].holding = world_holding(w, b);
    b->result = (struct election_result){.status = ELECTION_SHORT};
    world_note(w, "vote for %d at %u", b->id, b->term);
}

static void world_ask(struct world *w, struct world_broker *b)
{
    struct world_broker *voter = &w->brokers[random_below(&w->random, (uint64_t)w->count)];
    if (voter == b || voter->fresh || !world_linked(w, b->id, voter->id) ||
        !election_accepts(&voter->promise, &b->promise))
        return;
    voter->promise = b->promise;
    world_idle(voter);
    voter->voted = b->term;
    if (world_chance(w, 100))
        return; /* the answer is lost */
    b->answers[voter->id].promised = true;
    b->answers[voter->id].holding = world_holding(w, voter);
    b->result.status = ELECTION_SHORT;
    world_note(w, "%d votes for %d: reached %d, end %lld", voter->id, b->id, voter->reached,
               (long long)voter->end);
}

static void world_decide(struct world *w, struct world_broker *b)
{
    struct election_case c = {.candidate = b->id,
                              .min_insync = w->setup.min_insync,
                              .answers = b->answers,
                              .count = (size_t)w->count};
    for (int32_t i = 0; i < w->count; i++)
        replica_ids_add(&c.replicas, i);
    b->answers[b->id].holding = world_holding(w, b);
    election_decide(&c, &b->result);
    b->copied = b->result.best == b->id;
    if (b->result.status == ELECTION_WON)
        world_note(w, "%d has won at %u; best %d to %lld", b->id, b->term, b->result.best,
                   (long long)b->result.end);
}

/* Pulls from the best, at the new term. */
static void world_copy(struct world *w, struct world_broker *b)
{
    const struct world_broker *best = &w->brokers[b->result.best];
    int32_t last = world_last_epoch(b, b->end);
    if (!world_linked(w, b->id, best->id))
        return;
    if (best->voted != b->term && (w->setup.bugs & WORLD_COPY_ANY) == 0) {
        b->answers[best->id].promised = false;
        b->result.status = ELECTION_SHORT;
        return;
    }
    if (best->promise.term != b->term || best->promise.candidate != b->id)
        return;
    if (b->end > best->end || world_last_epoch(best, b->end) != last) {
        int64_t end = world_epoch_end(best, last);
        world_cut(w, b, world_last_epoch(best, end), end);
        return;
    }
    for (int64_t i = world_between(w, 1, WORLD_COPY_MAX); i > 0 && b->end < best->end; i--)
        world_append(w, b, best->log[b->end]);
    b->copied = b->end >= b->result.end;
}

static void world_win(struct world *w, struct world_broker *b)
{
    b->state = (struct world_state){
        .at = {b->term, ++b->revision}, .leader = b->id, .start = 1, .isr = b->result.isr};
    b->standing.lossy = false;
    for (int32_t i = 0; i < w->count; i++)
        b->registered[i] = -1;
    world_lead(w, b);
}

static bool world_unsynced(const struct world *w, const struct world_broker *b)
{
    return (w->setup.bugs & WORLD_LEAD_UNSYNCED) != 0 && world_end(w, b) >= b->result.end;
}

/* A promotion: the next step of one that runs, or a new one, more often when nobody leads. */
void world_promote(struct world *w, struct world_broker *b)
{
    bool led = false;
    bool early = (w->setup.bugs & WORLD_LEAD_EARLY) != 0;
    for (int32_t i = 0; i < w->count; i++) {
        struct world_broker *o = &w->brokers[i];
        led |= o->up && o->role == WORLD_LEADER;
        if (o->role == WORLD_CANDIDATE && b->role != WORLD_CANDIDATE)
            b = o;
    }
    if (!b->up || b->fresh)
        return;
    if (b->role != WORLD_CANDIDATE) {
        if (world_chance(w, led ? w->promotions : 300))
            world_begin_vote(w, b);
    } else if (world_chance(w, 30)) {
        world_idle(b);
    } else if (b->promise.term != b->term || b->promise.candidate != b->id) {
        world_idle(b);
    } else if (b->result.status != ELECTION_WON) {
        world_ask(w, b);
        world_decide(w, b);
    } else if (!b->copied && !early) {
        world_copy(w, b);
    } else if (b->synced >= b->result.end || early || world_unsynced(w, b)) {
        world_win(w, b);
    } else if (world_chance(w, 500)) {
        b->synced = b->end;
    } else {
        world_ask(w, b); /* more may answer */
    }
}
