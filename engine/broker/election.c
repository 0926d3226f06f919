/* SPDX-License-Identifier: MIT
 *
 * election: see election.h.
 */
#include "engine/broker/election.h"

#include "engine/base/assert.h"
#include "engine/broker/replica_rules.h"

/* --- terms --- */

uint32_t election_next_term(uint32_t greatest, uint32_t slot)
{
    uint32_t term = greatest + 1;
    ASSERT(slot < ELECTION_SLOTS);
    ASSERT(greatest <= ELECTION_TERM_MAX);
    while (RULE_HOLDS(RULE_SLOT) && term % ELECTION_SLOTS != slot)
        term++;
    return term <= ELECTION_TERM_MAX ? term : 0;
}

int32_t election_leader_epoch(uint32_t term, uint32_t start)
{
    ASSERT(term <= ELECTION_TERM_MAX);
    ASSERT(start <= ELECTION_START_MAX);
    return (int32_t)(term << 12 | start);
}

bool election_accepts(const struct election_promise *held, const struct election_promise *asked)
{
    ASSERT(held != NULL);
    ASSERT(asked->candidate >= 0);
    if (!RULE_HOLDS(RULE_TERM_ONCE))
        return true;
    if (asked->term != held->term)
        return asked->term > held->term;
    return asked->candidate == held->candidate && asked->incarnation == held->incarnation;
}

bool election_may_follow(const struct election_promise *held, uint32_t term)
{
    ASSERT(held != NULL);
    ASSERT(term <= ELECTION_TERM_MAX);
    return term >= held->term || !RULE_HOLDS(RULE_TERM_ONCE);
}

/* --- standing --- */

static bool election_later(struct election_position a, struct election_position b)
{
    ASSERT(a.term <= ELECTION_TERM_MAX);
    ASSERT(b.term <= ELECTION_TERM_MAX);
    return a.term != b.term ? a.term > b.term : a.revision > b.revision;
}

bool election_intact(const struct election_standing *s)
{
    ASSERT(s != NULL);
    ASSERT(s->registered_at.revision >= 0 || !s->registered);
    if (!s->lossy || !RULE_HOLDS(RULE_INTACT))
        return true;
    return s->registered && s->named && election_later(s->record_at, s->registered_at);
}

/* One that lost records goes on only if nobody else could know better. */
bool election_may_resume(const struct election_resume *r)
{
    bool others = r->elr.count > 0 || r->isr.count > 1;
    ASSERT(r->isr.count > 0 && !replica_ids_has(&r->elr, r->self));
    ASSERT(r->term <= ELECTION_TERM_MAX);
    if (!election_may_follow(&r->held, r->term) || !replica_ids_has(&r->isr, r->self))
        return false;
    return !r->lossy || !others || !RULE_HOLDS(RULE_RESUME);
}

/* --- the vote --- */

static bool election_counts(const struct election_case *c, const struct election_answer *a)
{
    ASSERT(a->id >= 0);
    ASSERT(!a->promised || a->holding.end >= 0);
    return a->promised && a->holding.intact && replica_ids_has(&c->replicas, a->id);
}

/* Greater by the epoch reached, then the end. */
static bool election_greater(const struct ship_holding *a, const struct ship_holding *b)
{
    ASSERT(a->end >= 0 && b->end >= 0);
    ASSERT(a->reached >= -1 && b->reached >= -1);
    if (a->reached != b->reached)
        return a->reached > b->reached;
    return a->end > b->end && RULE_HOLDS(RULE_GREATEST);
}

/* Intact ones go first: only they need be asked when there are enough of them. */
static const struct election_answer *election_best(const struct election_case *c, bool intact,
                                                   const struct election_answer *own)
{
    const struct election_answer *best = NULL;
    ASSERT(own != NULL && own->promised);
    if (replica_ids_has(&c->replicas, own->id) && (!intact || election_counts(c, own)))
        best = own; /* among equals: nothing to copy */
    for (size_t i = 0; i < c->count; i++) {
        const struct election_answer *a = &c->answers[i];
        if (!a->promised || !replica_ids_has(&c->replicas, a->id))
            continue;
        if (intact && !election_counts(c, a))
            continue;
        if (best == NULL || election_greater(&a->holding, &best->holding))
            best = a;
    }
    ASSERT(best == NULL || best->promised);
    return best;
}

static const struct election_answer *election_answer_of(const struct election_case *c, int32_t id)
{
    ASSERT(c->count == 0 || c->answers != NULL);
    ASSERT(id >= 0);
    for (size_t i = 0; i < c->count; i++) {
        if (c->answers[i].id == id)
            return &c->answers[i];
    }
    return NULL;
}

static void election_count(const struct election_case *c, struct election_result *out)
{
    uint32_t minimum = c->min_insync < c->replicas.count ? c->min_insync : c->replicas.count;
    ASSERT(minimum > 0);
    out->wanted = RULE_HOLDS(RULE_QUORUM) ? c->replicas.count - minimum + 1 : 1;
    for (uint32_t i = 0; i < c->replicas.count; i++) {
        int32_t id = c->replicas.id[i];
        const struct election_answer *a = election_answer_of(c, id);
        bool counts = a != NULL && election_counts(c, a);
        if (!counts)
            replica_ids_add(&out->unheard, id);
        out->promises += counts;
    }
    ASSERT(out->promises + out->unheard.count == c->replicas.count);
}

/* What anyone knows to be committed, beyond the end of the best. */
static int64_t election_lost(const struct election_case *c, int64_t end)
{
    int64_t lost = 0;
    ASSERT(end >= 0);
    for (size_t i = 0; i < c->count; i++) {
        int64_t more = c->answers[i].holding.high_watermark - end;
        lost = more > lost ? more : lost;
    }
    ASSERT(lost >= 0);
    return lost;
}

void election_decide(const struct election_case *c, struct election_result *out)
{
    struct election_result e = {.status = ELECTION_SHORT, .best = -1, .reached = -1};
    const struct election_answer *own = election_answer_of(c, c->candidate);
    const struct election_answer *best;
    ASSERT(c->min_insync > 0 && c->replicas.count > 0);
    ASSERT(own != NULL && own->promised);
    election_count(c, &e);
    replica_ids_add(&e.isr, c->candidate);
    if (e.promises >= e.wanted)
        e.status = ELECTION_WON;
    best = election_best(c, e.status == ELECTION_WON, own);
    if (best == NULL) {
        e.status = ELECTION_NOBODY;
    } else {
        e.best = best->id;
        e.reached = best->holding.reached;
        e.end = best->holding.end;
        e.lost = election_lost(c, e.end);
    }
    *out = e;
}
