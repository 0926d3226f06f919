/* SPDX-License-Identifier: MIT
 *
 * broker_promote_judge: whose promises a promotion has, and what follows from them for each
 * partition: before the vote as far as can be told (enough), behind it for good (decide).
 *
 * Unforced it wants, of each partition, promises of so many intact replicas that they meet all who
 * may have acknowledged (election.h, bpart_holders); of the brokers all but one, so that a topic
 * which it has not heard of is known to some voter; and a record of every partition.
 *
 * Failures: an end of the promotion, with words.
 *
 * Source: election.h; the walk-through of manual promotion.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/broker/broker_promote_priv.h"
#include "engine/broker/replica_rules.h"

/* Partitions of which another leader had not said yet who holds them: that leader does. */
static size_t broker_promote_untold(const struct broker *b)
{
    size_t untold = 0;
    ASSERT(b->topic_count == b->topics.count);
    if (broker_cluster_led_last(b))
        return 0;
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; !b->sorted[i]->deleting && k < b->sorted[i]->record.partitions; k++) {
            const struct bpart_replica *r = b->sorted[i]->parts[k]->replica;
            untold += r == NULL || r->revision < 0;
        }
    ASSERT(untold <= b->partition_count);
    return untold;
}

bool broker_promote_forced(const struct broker_promote *p)
{
    ASSERT(p->phase != BROKER_PROMOTE_IDLE);
    return p->request != NULL && p->request->force;
}

static struct ship_holding *broker_promote_held(struct ship_holding *v, size_t count,
                                                const struct bpart *bp)
{
    ASSERT(bp->topic != NULL);
    ASSERT(v != NULL || count == 0);
    for (size_t i = 0; i < count; i++)
        if (v[i].partition == bp->index &&
            memcmp(v[i].topic, bp->topic->record.id, sizeof v[i].topic) == 0)
            return &v[i];
    return NULL;
}

/* It leads a partition that others have by becoming one of its replicas. One such change at a time:
 * struct replica_base. */
static bool broker_promote_may_lead(const struct bpart *p)
{
    const struct cluster_part *record = &p->replica->record;
    ASSERT(record->replicas.count > 0);
    ASSERT(p->broker->node_id >= 0);
    if (p->state == BPART_FAILED)
        return false;
    return replica_ids_has(&record->replicas, p->broker->node_id) ||
           (record->base.before.count == 0 && record->replicas.count < REPLICA_COUNT_MAX);
}

void broker_promote_join(const struct bpart *p, struct cluster_part *record)
{
    uint32_t holders = bpart_holders(p);
    int32_t self = p->broker->node_id;
    if (replica_ids_has(&record->replicas, self))
        return;
    ASSERT(record->base.before.count == 0 && record->replicas.count < REPLICA_COUNT_MAX);
    holders = holders < record->replicas.count ? holders : record->replicas.count;
    record->base = (struct replica_base){
        .holders = holders, .before_holders = holders, .before = record->replicas};
    replica_ids_add(&record->replicas, self);
    ASSERT(record->base.holders > 0);
}

static void broker_promote_decide_part(struct broker_promote *p, struct bpart *bp,
                                       struct ship_holding *own, size_t own_count)
{
    struct election_answer answers[REPLICA_COUNT_MAX];
    struct broker_promote_part *d = &p->parts[p->part_count];
    struct ship_holding *h = broker_promote_held(own, own_count, bp);
    size_t n = 0;
    ASSERT(p->part_count < p->broker->partition_count);
    answers[n++] = (struct election_answer){
        .id = p->broker->node_id,
        .promised = true, /* that it has no replica, or one that cannot be opened, included */
        .holding = h != NULL ? *h : (struct ship_holding){.reached = -1}};
    for (size_t i = 0; i < p->count; i++) {
        h = p->votes[i].accepted ? broker_promote_held(p->votes[i].holdings, p->votes[i].count, bp)
                                 : NULL;
        answers[n++] = (struct election_answer){
            .id = p->votes[i].id,
            .promised = h != NULL,
            .holding = h != NULL ? *h : (struct ship_holding){.end = -1, .reached = -1}};
    }
    struct election_case c = {.candidate = p->broker->node_id,
                              .replicas = bp->replica->record.replicas,
                              .min_insync = bpart_holders(bp),
                              .answers = answers,
                              .count = n};
    d->bpart = bp;
    election_decide(&c, &d->result);
    bool stays = bp->replica->record.leader < 0 && d->result.status == ELECTION_SHORT &&
                 !broker_promote_forced(p);
    if (stays || !broker_promote_may_lead(bp))
        d->result = (struct election_result){.status = ELECTION_NOBODY, .best = -1};
    p->leaderless += d->result.status == ELECTION_NOBODY;
    bp->jobs++;
    p->part_count++;
}

/* Brokers that have not promised, or have no records: of the others each knows what happened here.
 * When one is missing at most, then of any two brokers one was asked: a topic that is on two by
 * min.insync.replicas is known to somebody. */
static size_t broker_promote_absent(const struct broker_promote *p)
{
    size_t absent = 0;
    ASSERT(p->count <= REPLICA_COUNT_MAX);
    for (size_t i = 0; i < p->count; i++)
        absent += !(p->votes[i].accepted && p->votes[i].position.term > 0);
    ASSERT(absent <= p->count);
    return RULE_HOLDS(RULE_QUORUM) ? absent : 0;
}

static bool broker_promote_judge(struct broker_promote *p)
{
    struct broker *b = p->broker;
    size_t weak = 0, absent = broker_promote_absent(p), untold = broker_promote_untold(b);
    bool forced = broker_promote_forced(p);
    int64_t lost = 0;
    ASSERT(p->phase == BROKER_PROMOTE_VOTE || p->phase == BROKER_PROMOTE_RECORDS);
    for (size_t i = 0; i < p->part_count; i++) {
        weak += p->parts[i].result.status != ELECTION_WON &&
                p->parts[i].bpart->replica->record.leader >= 0;
        lost += p->parts[i].result.lost;
    }
    ASSERT(weak <= p->part_count);
    if (p->request != NULL)
        p->request->lost = lost;
    if (weak > 0 && !forced)
        broker_promote_end(p, BROKER_NOT_ENOUGH_REPLICAS,
                           "%zu of %zu partitions have too few promises: replicas that may hold "
                           "more did not answer. With --force at least %lld committed records are "
                           "lost, and what only those replicas hold",
                           weak, p->part_count, (long long)lost);
    else if (absent > 1 && !forced)
        broker_promote_end(p, BROKER_NOT_ENOUGH_REPLICAS,
                           "%zu of %zu brokers did not promise. With --force topics that only they "
                           "know are lost",
                           absent, p->count + 1);
    else if (untold > 0 && !forced)
        broker_promote_end(p, BROKER_NOT_ENOUGH_REPLICAS,
                           "of %zu partitions nobody has said yet who holds them: the leader "
                           "before does. With --force they begin empty",
                           untold);
    if ((weak > 0 || absent > 1 || untold > 0) && !forced)
        return false;
    if (weak > 0 || untold > 0)
        broker_log(b, 2, "promotion by force: %zu of %zu partitions may lose records",
                   weak + untold, p->part_count + untold);
    return true;
}

void broker_promote_decide(struct broker_promote *p)
{
    struct broker *b = p->broker;
    struct ship_holding *own CLEANUP(cleanup_free) = NULL;
    size_t own_count = 0;
    ASSERT(p->phase == BROKER_PROMOTE_RECORDS && p->parts == NULL);
    broker_vote_holdings(b, &own, &own_count);
    p->parts = calloc(b->partition_count + 1, sizeof *p->parts);
    ASSERT(p->parts != NULL);
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; !b->sorted[i]->deleting && k < b->sorted[i]->record.partitions; k++) {
            struct bpart *bp = b->sorted[i]->parts[k];
            if (bp->replica != NULL && bp->replica->revision >= 0)
                broker_promote_decide_part(p, bp, own, own_count);
        }
    if (!broker_promote_judge(p))
        return;
    p->phase = BROKER_PROMOTE_FETCH;
    p->until_ms = broker_now(b) + BROKER_PROMOTE_FETCH_MS;
}

/* --- before the vote --- */

/* As many of its replicas have promised as it wants, as far as that can be told before they say
 * what they hold. One without a leader may stay so. */
static bool broker_promote_backed(const struct broker_promote *p, const struct bpart *bp)
{
    const struct replica_ids *replicas = &bp->replica->record.replicas;
    size_t min = bpart_holders(bp), promises = 0;
    ASSERT(replicas->count > 0);
    ASSERT(bp->broker == p->broker);
    min = min < 1 ? 1 : min > replicas->count ? replicas->count : min;
    if (bp->replica->record.leader < 0)
        return true;
    if (!broker_promote_may_lead(bp))
        return false;
    if (replica_ids_has(replicas, p->broker->node_id))
        promises = bp->part == NULL || broker_vote_intact(p->broker, bp);
    for (size_t i = 0; i < p->count; i++)
        promises += p->votes[i].accepted && replica_ids_has(replicas, p->votes[i].id);
    return promises >= replicas->count - min + 1 || !RULE_HOLDS(RULE_QUORUM);
}

bool broker_promote_enough(const struct broker_promote *p, struct broker_promote_lack *lack)
{
    const struct broker *b = p->broker;
    ASSERT(b->topic_count == b->topics.count);
    *lack = (struct broker_promote_lack){.absent = broker_promote_absent(p),
                                         .unknown = broker_promote_untold(b)};
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; !b->sorted[i]->deleting && k < b->sorted[i]->record.partitions; k++) {
            const struct bpart *bp = b->sorted[i]->parts[k];
            if (bp->replica == NULL || bp->replica->revision < 0 || broker_promote_backed(p, bp))
                continue;
            lack->first = lack->weak == 0 ? bp : lack->first;
            lack->weak++;
        }
    ASSERT((lack->weak > 0) == (lack->first != NULL));
    return lack->absent <= 1 && lack->unknown == 0 && lack->weak == 0;
}

void broker_promote_refuse(struct broker_promote *p, const struct broker_promote_lack *l)
{
    static const char hint[] = "start the others, or say --force, which may lose what only they "
                               "hold";
    ASSERT(p->phase == BROKER_PROMOTE_SOUND);
    ASSERT(l->absent > 1 || l->unknown > 0 || l->weak > 0);
    if (l->weak > 0)
        broker_promote_end(p, BROKER_NOT_ENOUGH_REPLICAS,
                           "%zu partitions (%.80s-%d) would have too few promises; nothing was "
                           "changed: %s",
                           l->weak, l->first->topic->name, l->first->index, hint);
    else if (l->absent > 1)
        broker_promote_end(p, BROKER_NOT_ENOUGH_REPLICAS,
                           "only %zu of %zu brokers would promise term %u; nothing was changed: %s",
                           p->count + 1 - l->absent, p->count + 1, p->term, hint);
    else
        broker_promote_end(p, BROKER_NOT_ENOUGH_REPLICAS,
                           "of %zu partitions nobody has said yet who holds them; nothing was "
                           "changed: try again, or promote another broker",
                           l->unknown);
}
