/* SPDX-License-Identifier: MIT
 *
 * broker_vote: a candidate asks this broker to accept a term.
 *
 *   would you?   answered from memory
 *   vote         node/vote durable -> our own role ends (leading, following) -> what is on its way
 *                to the disk arrives, every partition is open -> what we hold is told
 *
 * From then on nothing of a smaller term is followed, answered or appended; the candidate may pull
 * what it lacks from us (broker_vote_serves).
 *
 * Source: election.h says why what is told is enough.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/broker_promote.h"
#include "engine/broker/broker_ship_priv.h"

#define BROKER_VOTE_OPENS 16u /* partitions that are opened in a turn */

/* In priv.state of a call. */
struct broker_vote_state {
    struct list all;  /* in ships->voted, until its release */
    struct list link; /* in ships->votes while it waits */
    struct ship_call *call;
    struct ship_holding *holdings; /* owned */
};

bool broker_vote_still(struct broker *b)
{
    unsigned opened = 0;
    bool still = !broker_rounds_out(b);
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++) {
            struct bpart *p = b->sorted[i]->parts[k];
            if (p->replica == NULL || p->state == BPART_GONE ||
                !replica_ids_has(&p->replica->record.replicas, b->node_id))
                continue;
            if (p->state != BPART_ONLINE && opened < BROKER_VOTE_OPENS) {
                opened++;
                (void)bpart_use(p);
            }
            ASSERT(p->part == NULL || p->part->pending_count == 0 || p->state != BPART_LOADING);
            still = still && (p->state == BPART_FAILED ||
                              (p->part != NULL && p->part->written == p->part->reserved &&
                               (!bpart_syncs(p) || p->part->durable == p->part->reserved)));
        }
    return still;
}

bool broker_vote_intact(const struct broker *b, const struct bpart *p)
{
    const struct bpart_replica *r = p->replica;
    int64_t told;
    bool unclean = broker_node_unclean(b, &told) && !bpart_syncs(p);
    struct election_standing s = {
        .lossy = r->reached < 0 || unclean,
        .registered = !unclean || told >= 0,
        .registered_at = {.term = 0, .revision = 0},
        .record_at = {.term = 0, .revision = 1}, /* mirrored since: broker_follow.c tells then */
        .named = replica_ids_has(&r->record.isr, b->node_id) ||
                 replica_ids_has(&r->record.elr, b->node_id)};
    ASSERT(p->broker == b);
    ASSERT(r->revision >= 0 && p->part != NULL);
    if (r->reached == BPART_REACHED_LOST || part_whole_end(p->part) < p->part->reserved)
        return false; /* what is missing may have been counted */
    return election_intact(&s);
}

void broker_vote_holdings(struct broker *b, struct ship_holding **out, size_t *count)
{
    size_t n = 0;
    struct ship_holding *v = calloc(b->partition_count + 1, sizeof *v);
    ASSERT(count != NULL);
    ASSERT(v != NULL && out != NULL);
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++) {
            struct bpart *p = b->sorted[i]->parts[k];
            const struct bpart_replica *r = p->replica;
            if (r == NULL || r->revision < 0 || p->part == NULL || p->state != BPART_ONLINE ||
                !replica_ids_has(&r->record.replicas, b->node_id))
                continue;
            ASSERT(n < b->partition_count);
            struct ship_holding *h = &v[n++];
            *h = (struct ship_holding){.partition = k,
                                       .reached = r->reached < 0 ? -1 : r->reached,
                                       .end = bpart_syncs(p) ? p->part->durable : p->part->written,
                                       .high_watermark = bpart_watermark(p),
                                       .intact = broker_vote_intact(b, p)};
            memcpy(h->topic, b->sorted[i]->record.id, sizeof h->topic);
        }
    *out = v;
    *count = n;
}

bool broker_vote_serves(const struct broker *b, const struct ship_call *call)
{
    const struct cluster_vote *held = broker_cluster_held(b);
    ASSERT(call->kind == SHIP_PULL || call->kind == SHIP_REGISTER || call->kind == SHIP_RECORDS);
    return broker_role(b) == BROKER_SEEKING && held->term == call->term &&
           held->candidate == call->from && held->term > 0 &&
           broker_ships_answered(b) == held->term;
}

static struct election_promise broker_vote_asked(const struct ship_call *call)
{
    ASSERT(call->kind == SHIP_VOTE);
    return (struct election_promise){
        .term = call->vote.term, .candidate = call->from, .incarnation = call->vote.incarnation};
}

static void broker_vote_refuse(struct broker *b, struct ship_call *call)
{
    call->vote.accepted = false;
    call->vote.accepted_term = broker_cluster_term(b);
    call->status = BROKER_OK;
    ASSERT(call->vote.count == 0);
    broker_ship_done(b, call);
}

void broker_vote(struct broker *b, struct ship_call *call)
{
    const struct cluster_vote *held = broker_cluster_held(b);
    struct election_promise mine = {held->term, held->candidate, held->incarnation};
    struct election_promise asked = broker_vote_asked(call);
    uint32_t known = broker_cluster_term(b);
    ASSERT(call->from >= 0);
    call->vote.holdings = NULL;
    call->vote.count = 0;
    call->vote.accepted_term = known;
    call->vote.records_term = 0;
    call->vote.records_position = -1;
    ASSERT(call->kind == SHIP_VOTE);
    if (broker_role(b) == BROKER_HAS_LEFT || asked.term > CLUSTER_TERM_MAX ||
        !election_accepts(&mine, &asked) || asked.term < known ||
        (asked.term == known && asked.term != held->term && broker_known_leader(b)->id >= 0))
        return broker_vote_refuse(b, call); /* not for what another voter said of this term */
    if (call->vote.ask_only) {
        struct cluster_mirror records = broker_cluster_position(b);
        call->vote.records_term = records.term;
        call->vote.records_position = records.position;
        call->vote.accepted = true;
        call->status = BROKER_OK;
        return broker_ship_done(b, call);
    }
    struct broker_vote_state *s = calloc(1, sizeof *s);
    ASSERT(s != NULL);
    s->call = call;
    call->priv.state = s;
    list_init(&s->link);
    list_add_tail(broker_ships_voted(b), &s->all);
    list_add_tail(broker_ships_votes(b), &s->link);
}

/* One step of the oldest; false: it waits. */
static bool broker_vote_step(struct broker *b, struct broker_vote_state *s)
{
    struct ship_call *call = s->call;
    const struct cluster_vote *held = broker_cluster_held(b);
    struct cluster_vote vote = {
        .term = call->vote.term, .candidate = call->from, .incarnation = call->vote.incarnation};
    ASSERT(call->kind == SHIP_VOTE);
    if (held->term > vote.term ||
        (held->term == vote.term &&
         (held->candidate != vote.candidate || held->incarnation != vote.incarnation))) {
        list_remove(&s->link);
        broker_vote_refuse(b, call);
        return true;
    }
    if (held->term < vote.term) {
        (void)broker_cluster_promise(b->cluster, &vote);
        return false;
    }
    ASSERT(held->term == vote.term && held->candidate == vote.candidate);
    if (broker_role(b) != BROKER_SEEKING || broker_known_leader(b)->term < vote.term) {
        if (broker_known_leader(b)->term == vote.term && broker_known_leader(b)->id >= 0) {
            list_remove(&s->link);
            broker_vote_refuse(b, call); /* it has a leader by now */
            return true;
        }
        broker_cluster_yield(b->cluster, call->vote.native, vote.term);
    }
    if (!broker_vote_still(b))
        return false;
    list_remove(&s->link);
    broker_vote_holdings(b, &s->holdings, &call->vote.count);
    call->vote.holdings = s->holdings;
    call->vote.accepted = true;
    call->vote.accepted_term = vote.term;
    call->status = BROKER_OK;
    struct cluster_mirror position = broker_cluster_position(b);
    call->vote.records_term = position.term;
    call->vote.records_position = position.position;
    broker_ships_answer(b, vote.term);
    broker_ship_done(b, call);
    return true;
}

void broker_vote_run(struct broker *b)
{
    struct list *votes = broker_ships_votes(b);
    ASSERT(b->cluster != NULL);
    while (!list_empty(votes) &&
           broker_vote_step(b, LIST_ENTRY(votes->next, struct broker_vote_state, link)))
        ;
}

void broker_vote_release(struct ship_call *call)
{
    struct broker_vote_state *s = call->priv.state;
    ASSERT(call->kind == SHIP_VOTE);
    ASSERT(s != NULL);
    if (list_linked(&s->link))
        list_remove(&s->link);
    list_remove(&s->all);
    free(s->holdings);
    free(s);
    call->priv.state = NULL;
}

void broker_vote_fail_all(struct broker *b)
{
    struct list *votes = broker_ships_votes(b);
    while (!list_empty(votes)) {
        struct broker_vote_state *s = LIST_ENTRY(list_pop(votes), struct broker_vote_state, link);
        ASSERT(s->call->priv.state == s);
        s->call->status = BROKER_STOPPING;
        broker_ship_done(b, s->call);
    }
}

void broker_vote_abandon(struct broker *b)
{
    struct list *all = broker_ships_voted(b);
    while (!list_empty(all))
        broker_vote_release(LIST_ENTRY(all->next, struct broker_vote_state, all)->call);
    ASSERT(list_empty(broker_ships_votes(b)));
}
