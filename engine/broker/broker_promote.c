/* SPDX-License-Identifier: MIT
 *
 * broker_promote: this broker asks to lead.
 *
 *   IDLE --asked--> SOUND     "would you accept term T?", of every broker known; nothing is
 *                             remembered anywhere, so a promotion that cannot win ends nothing
 *        --enough-> VOTE      the promise of T is written here, then asked of the others; who was
 *                             silent before is not waited for where the rest is enough
 *        --all said, or time-> RECORDS  of the voter that has the newest, if newer than ours
 *                   decided for each partition (election.h)
 *                   FETCH     what another voter holds and we lack is pulled from it, one voter
 *                             after the other
 *                   TAKE      records of all partitions, cluster/leader: durable, then LEADING
 *
 * A partition of which it has no replica it takes from the voter that has, and becomes a replica of
 * it. One that no voter has, or that cannot be opened here, wants force, and is without a leader
 * until a replica of it is promoted: a topic with one replica stays with its broker.
 *
 * With too few promises it gives up, unless forced; what that may lose is said in the log and in
 * the answer. A broker that leads already says so.
 *
 * Who counts, and what is decided by it: broker_promote_judge.c.
 */
#include "engine/broker/broker_promote_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

#define BROKER_PROMOTE_SOUND_MS 2000
#define BROKER_PROMOTE_VOTE_MS  15000 /* a voter may have to open many partitions */

struct broker_promote *broker_promote_new(struct broker *b)
{
    struct broker_promote *p = calloc(1, sizeof *p);
    ASSERT(p != NULL && b != NULL);
    p->broker = b;
    p->source = -1;
    cluster_pages_reset(&p->pages, -1);
    return p;
}

static void broker_promote_clear(struct broker_promote *p)
{
    ASSERT(p->parts != NULL || p->part_count == 0);
    for (size_t i = 0; i < p->count; i++) {
        free(p->votes[i].holdings);
        p->votes[i].holdings = NULL;
        p->votes[i].count = 0;
    }
    for (size_t i = 0; i < p->part_count; i++) {
        ASSERT(p->parts[i].bpart->jobs > 0);
        p->parts[i].bpart->jobs--;
    }
    free(p->parts);
    p->parts = NULL;
    p->part_count = p->leaderless = 0;
    p->source = -1;
}

void broker_promote_abandon(struct broker_promote *p)
{
    ASSERT(p->broker->dead);
    broker_promote_clear(p);
}

struct broker_promote *broker_promote_free(struct broker_promote *p)
{
    if (p == NULL)
        return NULL;
    ASSERT(p->out == 0 || p->broker->dead);
    broker_promote_clear(p);
    cluster_pages_deinit(&p->pages);
    free(p);
    return NULL;
}

/* --- the end of it --- */

void broker_promote_end(struct broker_promote *p, enum broker_status status, const char *fmt, ...)
{
    struct broker_promote_request *r = p->request;
    struct broker *b = p->broker;
    char text[256];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ASSERT(p->phase != BROKER_PROMOTE_IDLE || r != NULL);
    if (p->phase != BROKER_PROMOTE_IDLE)
        broker_log(b, status == BROKER_OK ? 0 : 1, "promotion: %s", text);
    bool gave_up = status != BROKER_OK && broker_role(b) == BROKER_PROMOTING;
    p->phase = BROKER_PROMOTE_IDLE;
    p->round++;
    p->request = NULL;
    broker_follow_fetch_end(broker_follow_of(b));
    cluster_pages_reset(&p->pages, -1);
    broker_promote_clear(p);
    if (r != NULL) {
        r->status = status;
        r->term = p->term;
        memcpy(r->message, text, sizeof r->message);
        list_add_tail(&b->ready_promote, &r->priv.ready);
    }
    if (gave_up)
        broker_cluster_gave_up(b->cluster);
}

void broker_promote_overtaken(struct broker_promote *p)
{
    if (p->phase != BROKER_PROMOTE_IDLE)
        broker_promote_end(p, BROKER_NOT_LEADER, "another broker leads in a greater term");
    ASSERT(p->phase == BROKER_PROMOTE_IDLE);
}

/* --- asking --- */

static void broker_promote_keep(struct broker_promote_vote *v)
{
    const struct ship_vote *in = &v->call.vote;
    ASSERT(v->call.kind == SHIP_VOTE);
    free(v->holdings);
    v->holdings = calloc(in->count + 1, sizeof *v->holdings);
    ASSERT(v->holdings != NULL);
    v->count = in->count;
    if (in->count > 0)
        memcpy(v->holdings, in->holdings, in->count * sizeof *v->holdings);
}

static void broker_promote_answered(struct ship_call *call)
{
    struct broker_promote_vote *v = call->ctx;
    struct broker_promote *p = v->promote;
    struct ship_link *link = p->broker->env.ship;
    ASSERT(call == &v->call && call->kind == SHIP_VOTE);
    ASSERT(v->out && p->out > 0);
    v->out = false;
    p->out--;
    if (call->status == BROKER_OK && v->round == p->round && call->answer_from == v->id) {
        v->answered = true;
        v->accepted = call->vote.accepted;
        v->position = (struct cluster_mirror){call->vote.records_term, call->vote.records_position};
        if (v->accepted && !call->vote.ask_only)
            broker_promote_keep(v);
        if (!v->accepted && call->vote.accepted_term >= p->term &&
            p->phase != BROKER_PROMOTE_IDLE) {
            uint32_t above = call->vote.accepted_term;
            broker_promote_end(p, BROKER_BUSY,
                               "broker %d has accepted term %u meanwhile: try again", v->id, above);
        }
    }
    link->release(link->ctx, call);
}

static void broker_promote_ask(struct broker_promote *p, bool ask_only)
{
    struct broker *b = p->broker;
    struct ship_link *link = b->env.ship;
    struct ship_node self;
    ASSERT(p->term > 0 && p->count <= REPLICA_COUNT_MAX);
    broker_node_self(b, &self);
    p->round++;
    for (size_t i = 0; i < p->count; i++) {
        struct broker_promote_vote *v = &p->votes[i];
        ASSERT(v->promote == p);
        v->answered = v->accepted = false;
        v->position = (struct cluster_mirror){0};
        if (v->out || link == NULL || v->native[0] == '\0')
            continue;
        broker_ship_fill(b, &v->call, SHIP_VOTE);
        v->call.to = v->id;
        v->call.vote = (struct ship_vote){.term = p->term, .ask_only = ask_only};
        v->call.vote.incarnation = self.incarnation;
        memcpy(v->call.vote.native, self.native, sizeof self.native);
        v->call.timeout_ms =
            ask_only || v->silent ? BROKER_PROMOTE_SOUND_MS : BROKER_PROMOTE_VOTE_MS;
        v->call.done = broker_promote_answered;
        v->call.ctx = v;
        v->round = p->round;
        v->out = true;
        p->out++;
        link->send(link->ctx, v->native, &v->call);
    }
}

static void broker_promote_know(struct broker_promote *p)
{
    const struct cluster_broker *n;
    ASSERT(p->out == 0);
    p->count = 0;
    for (size_t i = 0; (n = broker_cluster_node(p->broker, i)) != NULL; i++) {
        if (n->id == p->broker->node_id || n->left)
            continue;
        struct broker_promote_vote *v = &p->votes[p->count++];
        ASSERT(!v->out);
        v->promote = p;
        v->silent = false;
        v->id = n->id;
        (void)snprintf(v->native, sizeof v->native, "%s", n->native);
    }
}

static uint32_t broker_promote_greatest(const struct broker_promote *p)
{
    uint32_t greatest = broker_cluster_term(p->broker);
    for (size_t i = 0; i < p->count; i++)
        if (p->votes[i].answered && p->votes[i].call.vote.accepted_term > greatest)
            greatest = p->votes[i].call.vote.accepted_term;
    ASSERT(greatest <= CLUSTER_TERM_MAX);
    return greatest;
}

static void broker_promote_begin(struct broker_promote *p, uint32_t above)
{
    struct broker *b = p->broker;
    uint32_t greatest = broker_promote_greatest(p);
    ASSERT(above <= CLUSTER_TERM_MAX);
    ASSERT(p->phase == BROKER_PROMOTE_IDLE && p->out == 0);
    broker_promote_know(p);
    p->term = election_next_term(above > greatest ? above : greatest,
                                 (uint32_t)b->node_id % ELECTION_SLOTS);
    p->phase = BROKER_PROMOTE_SOUND;
    p->until_ms = broker_now(b) + BROKER_PROMOTE_SOUND_MS;
    p->promised = p->taken = false;
    if (p->term == 0) {
        broker_promote_end(p, BROKER_DENIED, "there is no term left");
        return;
    }
    broker_promote_ask(p, true);
}

void broker_promote_above(struct broker_promote *p, uint32_t term)
{
    ASSERT(term <= CLUSTER_TERM_MAX);
    ASSERT(p->broker->cluster != NULL);
    if (p->phase == BROKER_PROMOTE_IDLE && p->out == 0 && broker_node_settled(p->broker) &&
        broker_cluster_position(p->broker).term > 0)
        broker_promote_begin(p, term);
}

void broker_promote_self(struct broker_promote *p)
{
    ASSERT(p->broker->cluster != NULL);
    broker_promote_above(p, broker_cluster_term(p->broker));
}

/* What speaks against it now, in r. */
static bool broker_promote_refuses(struct broker *b, struct broker_promote_request *r)
{
    const char *why = NULL;
    ASSERT(b->cluster != NULL);
    r->status = BROKER_DENIED;
    if (broker_leads(b)) {
        why = "this broker leads already";
        r->status = BROKER_OK;
    } else if (broker_cluster_has_left(b)) {
        why = "this broker has left the cluster: start it with --replica-of to come back";
    } else if (broker_cluster_position(b).term == 0) { /* it knows no topic: all of them would go */
        why = "this broker has no records of the cluster yet: start its leader first";
    } else if (b->stopping) {
        why = "the broker stops";
        r->status = BROKER_STOPPING;
    } else if (broker_promote_of(b)->phase != BROKER_PROMOTE_IDLE) {
        why = "a promotion is under way";
        r->status = BROKER_BUSY;
    }
    if (why != NULL)
        (void)snprintf(r->message, sizeof r->message, "%s", why);
    ASSERT(why != NULL || !b->stopping);
    return why != NULL;
}

void broker_promote_request(struct broker *b, struct broker_promote_request *r)
{
    struct broker_promote *p = broker_promote_of(b);
    ASSERT(r->done != NULL);
    ASSERT(p->broker == b);
    list_init(&r->priv.ready);
    r->message[0] = '\0';
    r->lost = 0;
    r->term = broker_cluster_term(b);
    if (broker_promote_refuses(b, r)) {
        list_add_tail(&b->ready_promote, &r->priv.ready);
    } else if (p->request != NULL) {
        r->status = BROKER_BUSY;
        (void)snprintf(r->message, sizeof r->message, "a promotion is under way");
        list_add_tail(&b->ready_promote, &r->priv.ready);
    } else {
        p->request = r;
        broker_promote_run(p);
    }
}

void broker_promote_stop(struct broker_promote *p)
{
    ASSERT(p->broker->stopping);
    if (p->phase != BROKER_PROMOTE_IDLE || p->request != NULL)
        broker_promote_end(p, BROKER_STOPPING, "the broker stops");
    ASSERT(p->phase == BROKER_PROMOTE_IDLE && p->request == NULL);
}

/* --- records --- */

static bool broker_promote_newer(const struct cluster_mirror *a, const struct cluster_mirror *b)
{
    ASSERT(a->term <= CLUSTER_TERM_MAX && b->term <= CLUSTER_TERM_MAX);
    return a->term != b->term ? a->term > b->term : a->position > b->position;
}

static void broker_promote_mirrored(struct broker_mirror *m, int result)
{
    struct broker_promote *p = m->ctx;
    ASSERT(p->mirroring);
    p->mirroring = false;
    if (result == 0)
        broker_cluster_mirrored(p->broker, p->position.term, p->position.position);
}

static void broker_promote_mirror(struct broker_promote *p)
{
    struct coord_changes from = {0};
    ASSERT(p->phase == BROKER_PROMOTE_RECORDS && !p->mirroring);
    cluster_pages_changes(&p->pages, &from);
    p->mirroring = true;
    p->mirror = (struct broker_mirror){.done = broker_promote_mirrored, .ctx = p};
    int r = broker_mirror(p->broker, &p->mirror, &from);
    coord_changes_deinit(&from);
    cluster_pages_reset(&p->pages, -1);
    if (r != 0)
        broker_promote_mirrored(&p->mirror, r == BROKER_MIRROR_SAME ? 0 : r);
}

static void broker_promote_recorded(struct ship_call *call)
{
    struct broker_promote *p = call->ctx;
    struct ship_link *link = p->broker->env.ship;
    const struct ship_records *in = &call->records;
    ASSERT(p->records_out && call == &p->records);
    p->records_out = false;
    p->out--;
    if (call->status == BROKER_OK && p->phase == BROKER_PROMOTE_RECORDS && call->term == p->term) {
        int taken = cluster_pages_take(&p->pages, in);
        if (taken == 0)
            broker_promote_mirror(p);
        else if (taken != CLUSTER_PAGES_MORE)
            cluster_pages_reset(&p->pages, -1);
    }
    link->release(link->ctx, call);
}

/* True when our records are as new as any voter's; else asks for those of the newest. */
static bool broker_promote_records(struct broker_promote *p)
{
    struct broker *b = p->broker;
    struct ship_link *link = b->env.ship;
    struct cluster_mirror own = broker_cluster_position(b);
    const struct broker_promote_vote *best = NULL;
    ASSERT(p->phase == BROKER_PROMOTE_RECORDS);
    if (p->records_out || p->mirroring)
        return false;
    for (size_t i = 0; i < p->count; i++)
        if (p->votes[i].accepted &&
            broker_promote_newer(&p->votes[i].position, best == NULL ? &own : &best->position))
            best = &p->votes[i];
    if (best == NULL || link == NULL)
        return true;
    if (p->pages.since < 0 || p->pages_from != best->id) {
        broker_log(b, 0, "promotion: broker %d has newer records", best->id);
        cluster_pages_reset(&p->pages, -1);
    }
    p->pages_from = best->id;
    p->position = best->position;
    broker_ship_fill(b, &p->records, SHIP_RECORDS);
    p->records.to = best->id;
    p->records.term = p->term;
    p->records.records = (struct ship_records){0};
    cluster_pages_ask(&p->pages, &p->records.records);
    p->records.timeout_ms = BROKER_PROMOTE_VOTE_MS;
    p->records.done = broker_promote_recorded;
    p->records.ctx = p;
    p->records_out = true;
    p->out++;
    link->send(link->ctx, best->native, &p->records);
    return false;
}

/* --- fetching --- */

/* Its log is that of the best of the voters: not longer either, what is behind may be another's. */
static bool broker_promote_has(const struct broker_promote *p, const struct broker_promote_part *d)
{
    ASSERT(d->bpart != NULL);
    return d->fetched || d->result.best == p->broker->node_id || d->result.best < 0 ||
           d->bpart->state == BPART_GONE;
}

static const char *broker_promote_native(const struct broker_promote *p, int32_t id)
{
    ASSERT(id >= 0);
    ASSERT(p->count <= REPLICA_COUNT_MAX);
    for (size_t i = 0; i < p->count; i++)
        if (p->votes[i].id == id)
            return p->votes[i].native;
    return "";
}

/* Everything is on the disk, also where durability=os: a leader must not lose what it was elected
 * for. */
static bool broker_promote_synced(struct broker_promote *p)
{
    bool all = true;
    ASSERT(p->phase == BROKER_PROMOTE_FETCH);
    ASSERT(p->source < 0);
    for (size_t i = 0; i < p->part_count; i++) {
        struct bpart *bp = p->parts[i].bpart;
        if (bp->state != BPART_ONLINE || bp->part->durable >= bp->part->reserved)
            continue;
        all = false;
        if (bp->flush)
            continue;
        bp->flush = true;
        if (list_linked(&bp->due)) /* perhaps for a round that does not sync */
            list_remove(&bp->due);
        bpart_due(bp);
    }
    return all;
}

/* A fetch that goes on has time. */
static void broker_promote_progress(struct broker_promote *p)
{
    int64_t sum = 0;
    for (size_t i = 0; i < p->part_count; i++)
        if (p->parts[i].bpart->part != NULL)
            sum += p->parts[i].bpart->part->reserved;
    ASSERT(p->phase == BROKER_PROMOTE_FETCH);
    if (sum != p->fetched)
        p->until_ms = broker_now(p->broker) + BROKER_PROMOTE_FETCH_MS;
    p->fetched = sum;
}

static void broker_promote_fetch(struct broker_promote *p)
{
    struct broker_follow *f = broker_follow_of(p->broker);
    bool busy = false;
    ASSERT(p->phase == BROKER_PROMOTE_FETCH);
    ASSERT(p->parts != NULL);
    for (size_t i = 0; i < p->part_count; i++) {
        struct broker_promote_part *d = &p->parts[i];
        if (d->result.best != p->source || d->result.best < 0 || d->fetched)
            continue;
        d->fetched = broker_follow_fetched(f, d->bpart, d->result.end);
        busy = busy || !d->fetched;
    }
    broker_promote_progress(p);
    if (broker_now(p->broker) >= p->until_ms) {
        broker_promote_end(p, BROKER_TIMED_OUT,
                           "broker %d does not give what it holds: promote again", p->source);
        return;
    }
    if (busy && p->source >= 0)
        return;
    broker_follow_fetch_end(f);
    p->source = -1;
    for (size_t i = 0; i < p->part_count && p->source < 0; i++)
        if (!broker_promote_has(p, &p->parts[i]))
            p->source = p->parts[i].result.best;
    if (p->source < 0) {
        if (broker_promote_synced(p))
            p->phase = BROKER_PROMOTE_TAKE;
        return;
    }
    broker_log(p->broker, 0, "promotion: fetching what only broker %d holds", p->source);
    for (size_t i = 0; i < p->part_count; i++)
        if (p->parts[i].result.best == p->source && !broker_promote_has(p, &p->parts[i]))
            p->parts[i].bpart->replica->fetch_from = p->source;
    broker_follow_fetch(f, p->source, broker_promote_native(p, p->source), p->term);
}

/* --- taking --- */

static void broker_promote_take(struct broker_promote *p)
{
    struct broker *b = p->broker;
    struct coord_changes changes = {0};
    struct buf *keys = calloc(p->part_count + 1, sizeof *keys);
    struct buf *values = calloc(p->part_count + 1, sizeof *values);
    ASSERT(p->phase == BROKER_PROMOTE_TAKE && p->term > 0);
    ASSERT(keys != NULL && values != NULL && broker_role(b) == BROKER_PROMOTING);
    for (size_t i = 0; i < p->part_count; i++) {
        const struct broker_promote_part *d = &p->parts[i];
        struct cluster_part record = d->bpart->replica->record;
        if (d->bpart->state == BPART_GONE)
            continue;
        record.leader = d->result.status == ELECTION_NOBODY ? -1 : b->node_id;
        record.leader_epoch = cluster_epoch(p->term, 1);
        if (record.leader >= 0) {
            broker_promote_join(d->bpart, &record);
            record.isr = d->result.isr;
            record.elr = (struct replica_ids){0};
        }
        cluster_part_key(d->bpart->topic->record.id, d->bpart->index, &keys[i]);
        cluster_part_encode(&record, &values[i]);
        coord_changes_add(&changes, buf_slice(&keys[i]), buf_slice(&values[i]));
    }
    broker_cluster_take(b->cluster, p->term, 1, &changes);
    coord_changes_deinit(&changes);
    for (size_t i = 0; i < p->part_count; i++) {
        buf_deinit(&keys[i]);
        buf_deinit(&values[i]);
    }
    free(keys);
    free(values);
}

static void broker_promote_won(struct broker_promote *p)
{
    int32_t id = p->broker->node_id;
    ASSERT(broker_role(p->broker) == BROKER_LEADING);
    ASSERT(p->leaderless <= p->part_count);
    if (p->leaderless == 0)
        broker_promote_end(p, BROKER_OK, "broker %d leads in term %u", id, p->term);
    else
        broker_promote_end(p, BROKER_OK,
                           "broker %d leads in term %u; %zu of %zu partitions have no replica "
                           "among those that answer: they have no leader until one of theirs is "
                           "back and is promoted",
                           id, p->term, p->leaderless, p->part_count);
}

/* --- the turn --- */

static bool broker_promote_all(const struct broker_promote *p)
{
    ASSERT(p->count <= REPLICA_COUNT_MAX);
    for (size_t i = 0; i < p->count; i++)
        if (p->votes[i].out)
            return false;
    return true;
}

static void broker_promote_sounded(struct broker_promote *p)
{
    struct broker_promote_lack lack;
    ASSERT(p->phase == BROKER_PROMOTE_SOUND);
    if (!broker_promote_all(p) && broker_now(p->broker) < p->until_ms)
        return;
    if (broker_cluster_taking(p->broker->cluster))
        return; /* it leads, as before, or has promised a term, in a moment: not in between */
    for (size_t i = 0; i < p->count; i++)
        p->votes[i].silent = !p->votes[i].answered;
    if (!broker_promote_enough(p, &lack) && !broker_promote_forced(p)) {
        broker_promote_refuse(p, &lack);
        return;
    }
    p->phase = BROKER_PROMOTE_VOTE;
    p->until_ms = broker_now(p->broker) + BROKER_PROMOTE_VOTE_MS;
    broker_cluster_promoting(p->broker->cluster);
}

/* Only those are missing that were silent before, and the others are enough: a leader that stands
 * still, or whose host is gone, costs no more time. */
static bool broker_promote_carried(const struct broker_promote *p)
{
    struct broker_promote_lack lack;
    ASSERT(p->phase == BROKER_PROMOTE_VOTE && p->promised);
    for (size_t i = 0; i < p->count; i++) {
        ASSERT(p->votes[i].promote == p);
        if (p->votes[i].out && !p->votes[i].silent)
            return false;
    }
    return broker_promote_enough(p, &lack);
}

static void broker_promote_voting(struct broker_promote *p)
{
    struct broker *b = p->broker;
    const struct cluster_vote *held = broker_cluster_held(b);
    struct ship_node self;
    ASSERT(p->phase == BROKER_PROMOTE_VOTE || p->phase == BROKER_PROMOTE_RECORDS);
    ASSERT(p->term > 0);
    broker_node_self(b, &self);
    struct cluster_vote vote = {
        .term = p->term, .candidate = b->node_id, .incarnation = self.incarnation};
    if (held->term > p->term) {
        broker_promote_end(p, BROKER_BUSY, "term %u was promised meanwhile: try again", held->term);
        return;
    }
    if (held->term < p->term) {
        (void)broker_cluster_promise(b->cluster, &vote);
        return;
    }
    if (!p->promised) {
        p->promised = true;
        broker_promote_ask(p, false);
    }
    bool over = broker_promote_all(p) || broker_promote_carried(p) || broker_now(b) >= p->until_ms;
    if (!over || !broker_vote_still(b))
        return;
    p->phase = BROKER_PROMOTE_RECORDS;
    p->until_ms = broker_now(b) + BROKER_PROMOTE_VOTE_MS;
}

/* Asked for: begins when calls of the last time are over, and what this broker is may be told. */
static void broker_promote_waiting(struct broker_promote *p)
{
    struct broker_promote_request *r = p->request;
    ASSERT(p->phase == BROKER_PROMOTE_IDLE);
    if (r == NULL || p->out > 0 || !broker_node_settled(p->broker))
        return;
    if (broker_promote_refuses(p->broker, r))
        broker_promote_end(p, r->status, "%.200s", r->message);
    else
        broker_promote_begin(p, broker_cluster_term(p->broker));
    ASSERT(p->phase == BROKER_PROMOTE_SOUND || p->request == NULL);
}

void broker_promote_run(struct broker_promote *p)
{
    uint32_t held = broker_cluster_held(p->broker)->term;
    ASSERT((unsigned)p->phase <= BROKER_PROMOTE_TAKE);
    if (p->phase > BROKER_PROMOTE_VOTE && held > p->term) {
        broker_promote_end(p, BROKER_BUSY, "term %u was promised meanwhile: try again", held);
        return;
    }
    switch (p->phase) {
    case BROKER_PROMOTE_IDLE:
        broker_promote_waiting(p);
        return;
    case BROKER_PROMOTE_SOUND:
        broker_promote_sounded(p);
        return;
    case BROKER_PROMOTE_VOTE:
        broker_promote_voting(p);
        return;
    case BROKER_PROMOTE_RECORDS:
        if (broker_now(p->broker) >= p->until_ms)
            broker_promote_end(
                p, BROKER_TIMED_OUT,
                "the broker with the newest records does not give them: promote again");
        else if (broker_promote_records(p) && broker_vote_still(p->broker))
            broker_promote_decide(p);
        return;
    case BROKER_PROMOTE_FETCH:
        broker_promote_fetch(p);
        return;
    case BROKER_PROMOTE_TAKE:
        if (!p->taken && !broker_cluster_taking(p->broker->cluster)) {
            p->taken = true;
            broker_promote_take(p);
        }
        if (broker_role(p->broker) == BROKER_LEADING)
            broker_promote_won(p);
        return;
    }
    ASSERT(false);
}

int64_t broker_promote_next_ms(const struct broker_promote *p)
{
    ASSERT(p->broker != NULL);
    return p->phase == BROKER_PROMOTE_IDLE && p->request == NULL ? INT64_MAX
                                                                 : broker_now(p->broker) + 20;
}

bool broker_promote_quiet(const struct broker_promote *p)
{
    ASSERT(p->out <= REPLICA_COUNT_MAX);
    return p->out == 0;
}
