/* SPDX-License-Identifier: MIT
 *
 * replica_world_ship: followers and leaders of the model: who follows whom, registrations, records,
 * pulls, changes of the in-sync set. See replica_world.h.
 */
#include "engine/base/assert.h"
#include "test/unit/broker/replica_world.h"

/* --- who leads --- */

void world_follow(struct world *w, struct world_broker *b, struct world_broker *leader)
{
    if (leader->term > b->promise.term && (w->setup.bugs & WORLD_FOLLOW_LIGHTLY) == 0)
        b->promise = (struct election_promise){leader->term, leader->id, leader->incarnation};
    world_note(w, "%d follows %d at %u", b->id, leader->id, leader->term);
    world_idle(b);
    b->role = WORLD_FOLLOWER;
    b->leader = leader->id;
    b->term = leader->term;
}

/* Who does not know what it promised takes the greatest term that any other knows of. */
static bool world_ask_terms(struct world *w, struct world_broker *b)
{
    for (int32_t i = 0; i < w->count; i++) {
        const struct world_broker *o = &w->brokers[i];
        bool linked = i != b->id && world_linked(w, b->id, i);
        if (i != b->id && !linked && (w->setup.bugs & WORLD_FRESH_HASTY) == 0)
            return false;
        if (linked && o->promise.term > b->promise.term)
            b->promise = (struct election_promise){o->promise.term, -1, 0};
    }
    b->fresh = b->promise.term == 0;
    return !b->fresh;
}

/* Asks another whether it leads. A leader whose followers promised themselves to a greater term
 * that nobody leads is promoted again: world_promote. */
void world_look(struct world *w, struct world_broker *b)
{
    struct world_broker *other = &w->brokers[random_below(&w->random, (uint64_t)w->count)];
    if (b->fresh && !world_ask_terms(w, b))
        return;
    if (other == b || !world_linked(w, b->id, other->id) || other->role != WORLD_LEADER)
        return;
    if (!election_may_follow(&b->promise, other->term))
        return;
    if (b->role == WORLD_LEADER && other->term <= b->term)
        return;
    if (b->role == WORLD_CANDIDATE && other->term <= b->promise.term)
        return;
    if (b->role == WORLD_FOLLOWER && b->leader == other->id && b->term == other->term)
        return;
    if (b->role == WORLD_FOLLOWER && other->term < b->term &&
        (w->setup.bugs & WORLD_FOLLOW_LIGHTLY) == 0)
        return;
    world_follow(w, b, other);
}

/* The leader it follows, when it can be asked. */
static struct world_broker *world_leader_of(struct world *w, const struct world_broker *b)
{
    struct world_broker *l;
    if (!b->up || b->role != WORLD_FOLLOWER)
        return NULL;
    l = &w->brokers[b->leader];
    if (!world_linked(w, b->id, l->id) || l->role != WORLD_LEADER || l->term != b->term)
        return NULL;
    return l;
}

/* --- records --- */

static void world_store(struct world *w, struct world_broker *l, const struct replica_change *c)
{
    l->state.isr = c->isr;
    l->state.elr = c->elr;
    l->state.at.revision = ++l->revision;
    world_note(w, "record of %d: %u in sync, %u eligible, joiner %d", l->id, c->isr.count,
               c->elr.count, c->joiner);
}

static bool world_compare(const struct world_broker *l, const struct replica_change *c)
{
    if (c->revision != l->state.at.revision)
        return false;
    return c->joiner < 0 || l->registered[c->joiner] == c->broker_epoch;
}

static void world_adopt(struct world *w, struct world_broker *l)
{
    struct replica_change record = {
        .isr = l->state.isr, .elr = l->state.elr, .revision = l->state.at.revision};
    (void)replica_set_adopt(&l->set, &record);
    world_settle_leader(w, l);
}

/* One change: written; or written or not, and nobody knows; or refused. */
static void world_write(struct world *w, struct world_broker *l, const struct replica_change *c)
{
    bool same = world_compare(l, c);
    bool lost = world_chance(w, 100);
    bool written = same && !(lost && world_chance(w, 500));
    if (lost && same && !written) {
        l->late = true;
        l->change = *c;
    }
    if (written)
        world_store(w, l, c);
    if (lost) {
        replica_set_unknown(&l->set);
        world_settle_leader(w, l);
    } else if (written) {
        (void)replica_set_committed(&l->set, l->state.at.revision, w->now_ms);
        world_settle_leader(w, l);
    } else {
        replica_set_refused(&l->set);
        world_adopt(w, l);
    }
}

void world_change(struct world *w, struct world_broker *b)
{
    struct replica_change c;
    struct replica_time time = {w->now_ms, WORLD_LAG_MS};
    if (!b->up || b->role != WORLD_LEADER)
        return;
    if (replica_set_propose(&b->set, time, &c))
        world_write(w, b, &c);
}

/* What was unknown is written at last; or the leader reads how it went. */
void world_late(struct world *w, struct world_broker *b)
{
    if (b->role != WORLD_LEADER)
        return;
    if (b->late && (!b->up || world_chance(w, 500))) {
        b->late = false;
        if (world_compare(b, &b->change))
            world_store(w, b, &b->change);
    } else if (b->up) {
        world_adopt(w, b);
    }
}

void world_mirror(struct world *w, struct world_broker *b)
{
    struct world_broker *l = world_leader_of(w, b);
    if (l == NULL)
        return;
    b->state = l->state;
    b->standing.record_at = l->state.at;
    b->standing.named =
        replica_ids_has(&l->state.isr, b->id) || replica_ids_has(&l->state.elr, b->id);
    if (election_intact(&b->standing))
        b->standing.lossy = false;
    b->epoch = l->epoch;
}

/* --- registration --- */

static void world_cut_to_mark(struct world *w, struct world_broker *b)
{
    if ((w->setup.bugs & WORLD_CUT_TO_MARK) == 0)
        return;
    b->end = b->mark;
    b->synced = b->synced < b->end ? b->synced : b->end;
}

void world_register(struct world *w, struct world_broker *b)
{
    struct world_broker *l = world_leader_of(w, b);
    struct replica_registration g = {.id = b->id, .strike = b->standing.lossy};
    struct replica_change c;
    struct replica_time time = {w->now_ms, WORLD_LAG_MS};
    if (l == NULL)
        return;
    l->registered[b->id] = g.broker_epoch = ++l->revision;
    (void)replica_set_registered(&l->set, &g);
    for (int i = 0; i < 2 && replica_set_striking(&l->set, b->id); i++) {
        if (replica_set_propose(&l->set, time, &c))
            world_write(w, l, &c);
    }
    if (replica_set_striking(&l->set, b->id) || world_chance(w, 100))
        return; /* no answer, or it is lost */
    world_note(w, "registered %d at %d%s", b->id, l->id, g.strike ? ", struck out" : "");
    b->broker_epoch = g.broker_epoch;
    b->standing.registered = true;
    b->standing.registered_at = (struct election_position){l->term, l->revision};
    b->epoch = l->epoch;
    world_cut_to_mark(w, b);
}

/* --- pulls --- */

static void world_send(struct world *w, const struct world_message *m)
{
    struct world_message *slot = &w->messages[random_below(&w->random, WORLD_MESSAGES)];
    if (slot->used && world_chance(w, slot->after > w->step ? 950 : 700))
        return;
    *slot = *m;
    slot->used = true;
    slot->after = w->step + (world_chance(w, w->delays) ? random_below(&w->random, 400) : 0);
}

void world_pull(struct world *w, struct world_broker *b)
{
    struct world_message m = {.from = b->id, .to = b->leader, .term = b->term};
    if (!b->up || b->role != WORLD_FOLLOWER)
        return;
    if (b->broker_epoch < 0)
        world_register(w, b);
    if (b->broker_epoch < 0 || !world_chance(w, w->pulls[b->id]))
        return;
    if (b->reached < b->epoch && b->epoch == b->matched && world_end(w, b) >= b->epoch_start)
        b->reached = b->epoch;
    m.pull = (struct replica_pull){.from = b->id,
                                   .leader_epoch = b->epoch,
                                   .reached = b->reached,
                                   .broker_epoch = b->broker_epoch,
                                   .wanted = b->end,
                                   .end = world_end(w, b)};
    m.last_epoch = world_last_epoch(b, b->end);
    world_send(w, &m);
}

static bool world_agrees(const struct world *w, const struct world_broker *b,
                         const struct world_message *m)
{
    int64_t offset = m->pull.wanted;
    bool blind = (w->setup.bugs & WORLD_BLIND) != 0;
    return offset <= b->end && (blind || world_last_epoch(b, offset) == m->last_epoch);
}

static void world_answer(struct world *w, struct world_broker *l, const struct world_message *m)
{
    struct world_message a = *m;
    int64_t offset = m->pull.wanted;
    a.answer = true;
    a.from = l->id;
    a.to = m->from;
    if (replica_set_judge(&l->set, &m->pull) != REPLICA_TAKEN) {
        a.status = WORLD_REFUSED;
    } else if (!world_agrees(w, l, m)) {
        a.status = WORLD_DIVERGING;
        a.diverge_end = world_epoch_end(l, m->last_epoch);
        a.diverge_epoch = world_last_epoch(l, a.diverge_end);
    } else {
        int64_t most = l->end - offset < WORLD_COPY_MAX ? l->end - offset : WORLD_COPY_MAX;
        (void)replica_set_pulled(&l->set, &m->pull, w->now_ms);
        world_settle_leader(w, l);
        a.status = WORLD_DATA;
        a.count = (size_t)world_between(w, 0, most);
        for (size_t i = 0; i < a.count; i++)
            a.records[i] = l->log[offset + (int64_t)i];
        a.mark = l->mark;
        a.epoch_start = l->set.epoch_start;
    }
    world_send(w, &a);
}

static void world_take(struct world *w, struct world_broker *b, const struct world_message *m)
{
    if (b->role != WORLD_FOLLOWER)
        return;
    if (m->pull.leader_epoch != b->epoch || m->pull.broker_epoch != b->broker_epoch)
        return;
    if (m->pull.wanted != b->end || world_last_epoch(b, b->end) != m->last_epoch)
        return;
    if (m->status == WORLD_REFUSED) {
        b->broker_epoch = -1;
    } else if (m->status == WORLD_DIVERGING) {
        world_cut(w, b, m->diverge_epoch, m->diverge_end);
    } else {
        for (size_t i = 0; i < m->count; i++)
            world_append(w, b, m->records[i]);
        if (b->end >= m->epoch_start) {
            b->matched = m->pull.leader_epoch;
            b->epoch_start = m->epoch_start;
        }
        world_mark(w, b, m->mark < b->end ? m->mark : b->end);
    }
}

void world_deliver(struct world *w)
{
    size_t first = random_below(&w->random, WORLD_MESSAGES);
    struct world_message *slot = &w->messages[first];
    struct world_message m;
    struct world_broker *to;
    for (size_t i = 0; i < WORLD_MESSAGES && (!slot->used || slot->after > w->step); i++)
        slot = &w->messages[(first + i) % WORLD_MESSAGES];
    if (!slot->used || slot->after > w->step)
        return;
    m = *slot;
    to = &w->brokers[m.to];
    if (world_chance(w, 900)) /* else it comes again */
        slot->used = false;
    if (!to->up || w->cut[m.from][m.to] || world_chance(w, 50))
        return;
    if (m.answer)
        world_take(w, to, &m);
    else if (to->role == WORLD_LEADER && (to->term == m.term || !RULE_HOLDS(RULE_EPOCH)))
        world_answer(w, to, &m);
}

/* --- producers --- */

void world_produce(struct world *w, struct world_broker *b)
{
    bool all = world_chance(w, 800);
    struct world_record r;
    if (!b->up || b->role != WORLD_LEADER || b->end == WORLD_LOG_MAX)
        return;
    if (all && !replica_set_acks_allowed(&b->set))
        return;
    r = (struct world_record){b->epoch, ++w->numbers};
    if (all)
        b->waits[b->end] = r.number;
    world_append(w, b, r);
    world_moved(w, b);
}
