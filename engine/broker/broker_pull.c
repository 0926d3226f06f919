/* SPDX-License-Identifier: MIT
 *
 * broker_pull: serves the pulls of followers, and of a candidate that fetches what this voter
 * holds.
 *
 *   pull -> each entry: who asks, in which epoch, does its log agree -> counted once
 *        -> news for some (bytes, a high watermark, a refusal) -> answered
 *        -> bytes that are not in memory                       -> worker -> looked at again
 *        -> no news                                            -> waits of its partitions, deadline
 *
 * A pull that mends is of a replica with damage: nothing is compared or counted. What is committed
 * is the same everywhere, so whoever knows it to be committed may give it.
 *
 * Bytes go up to the written end, so that leader and followers sync at the same time; what counts
 * is the durable end that a later pull tells.
 *
 * Invariants: L1 a pull is counted when it comes, not when it is looked at again; L2 an entry whose
 * log does not agree with ours is never counted; L3 pins live from the last look to the release.
 *
 * Source: Kafka's replica fetch with KIP-101, KIP-279 (divergence in the answer) and KIP-903.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/broker_lead.h"
#include "engine/broker/broker_mend.h"
#include "engine/broker/broker_pull.h"
#include "engine/broker/replica_rules.h"

#define BROKER_PULL_TRIES 16u

struct broker_pull_wait {
    struct list link; /* in bpart_replica.pulls */
    struct broker_pull *pull;
};

struct broker_pull {
    struct broker *broker;
    struct ship_call *call;
    struct list all;                /* in broker_pulls.all */
    struct list link;               /* in broker_pulls.ready once answered */
    struct heap_node deadline;      /* in broker_pulls.deadlines while it waits */
    struct broker_pull_wait *waits; /* owned; one per entry, NULL until it waits */
    size_t jobs;                    /* workers that bring bytes into memory */
    unsigned tries;
    bool counted; /* L1 */
    bool final;   /* answered with what there is */
};

struct broker_pull_warm {
    struct work_job job;
    struct part_warm warm;
    struct bpart *bpart;
    struct broker_pull *pull;
};

void broker_pulls_init(struct broker_pulls *s)
{
    *s = (struct broker_pulls){0};
    list_init(&s->ready);
    list_init(&s->all);
    ASSERT(s->deadlines.count == 0);
}

void broker_pulls_deinit(struct broker_pulls *s)
{
    ASSERT(list_empty(&s->ready) && s->deadlines.count == 0);
    heap_deinit(&s->deadlines);
}

static void broker_pull_unpin(struct ship_pull *q)
{
    ASSERT(q->entries != NULL || q->count == 0);
    for (size_t i = 0; i < q->count; i++) {
        if (q->entries[i].pin != NULL)
            reader_unpin(q->entries[i].pin);
        q->entries[i].pin = NULL;
        q->entries[i].bytes = SLICE_NULL;
        ASSERT(q->entries[i].bytes.size == 0);
    }
}

static void broker_pull_unwait(struct broker_pull *w)
{
    struct broker_pulls *s = broker_pulls_of(w->broker);
    for (size_t i = 0; w->waits != NULL && i < w->call->pull.count; i++)
        if (list_linked(&w->waits[i].link))
            list_remove(&w->waits[i].link);
    heap_remove(&s->deadlines, &w->deadline);
    ASSERT(w->deadline.slot == 0);
}

static void broker_pull_finish(struct broker_pull *w)
{
    ASSERT(w->jobs == 0 && !list_linked(&w->link));
    broker_pull_unwait(w);
    w->call->status = BROKER_OK;
    struct broker_pulls *s = broker_pulls_of(w->broker);
    list_add_tail(&s->ready, &w->link);
}

static void broker_pull_try(struct broker_pull *w);

/* --- cold bytes --- */

static void broker_pull_warm_run(struct work_job *job)
{
    ASSERT(job->run == broker_pull_warm_run);
    part_warm_run(&LIST_ENTRY(job, struct broker_pull_warm, job)->warm);
}

static void broker_pull_warm_done(struct work_note *note)
{
    struct work_job *job = LIST_ENTRY(note, struct work_job, note);
    struct broker_pull_warm *m = LIST_ENTRY(job, struct broker_pull_warm, job);
    struct broker_pull *w = m->pull;
    struct bpart *p = m->bpart;
    ASSERT(p->jobs > 0 && w->jobs > 0);
    p->jobs--;
    w->jobs--;
    if (p->part != NULL && part_warm_done(p->part, &m->warm) != 0)
        w->final = true;
    free(m);
    if (w->jobs == 0)
        broker_pull_try(w);
}

static void broker_pull_warm(struct broker_pull *w, struct bpart *p, const struct part_warm *warm)
{
    struct broker_pull_warm *m = calloc(1, sizeof *m);
    ASSERT(m != NULL);
    ASSERT(p->state == BPART_ONLINE && p->part != NULL);
    m->warm = *warm;
    m->bpart = p;
    m->pull = w;
    m->job.run = broker_pull_warm_run;
    m->job.note.done = broker_pull_warm_done;
    p->jobs++;
    w->jobs++;
    work_submit(w->broker->env.work, &m->job);
}

/* --- one entry --- */

static void broker_pull_answer(struct ship_pull_entry *e, enum ship_pull_status status)
{
    ASSERT((unsigned)status < SHIP_PULL_STATUS_COUNT);
    e->answered = true;
    e->status = status;
}

static struct bpart *broker_pull_find(struct broker *b, const struct ship_pull_entry *e)
{
    struct topic *t = map_get(&b->ids, slice_of(e->topic, sizeof e->topic));
    ASSERT(t == NULL || t->revision >= 0);
    return t == NULL || t->deleting ? NULL : broker_find_part(t, e->partition);
}

/* Whether the asker's log, which ends at e->offset with a batch of e->last_epoch, is a prefix of
 * ours; else answers. */
static bool broker_pull_agrees(const struct part *part, struct ship_pull_entry *e)
{
    ASSERT(e->offset >= 0 && e->last_epoch >= -1);
    if (e->offset < part->log_start) {
        broker_pull_answer(e, SHIP_PULL_OUT_OF_RANGE);
        return false;
    }
    if (e->offset == part->log_start && e->offset <= part->written)
        return true; /* whatever was below it is gone here */
    if (!RULE_HOLDS(RULE_AGREE) && e->offset <= part->written)
        return true;
    struct epochs_end end = epochs_end(&part->epochs, e->last_epoch, part->reserved);
    ASSERT(end.end <= part->reserved);
    if (end.epoch == e->last_epoch && e->offset <= end.end)
        return true;
    e->diverge_epoch = end.epoch;
    e->diverge_end = end.end < part->log_start ? part->log_start : end.end;
    broker_pull_answer(e, SHIP_PULL_DIVERGING);
    return false;
}

static bool broker_pull_verdict(struct ship_pull_entry *e, enum replica_verdict v)
{
    ASSERT((unsigned)v < REPLICA_VERDICT_COUNT);
    switch (v) {
    case REPLICA_TAKEN:
        return true;
    case REPLICA_STRANGER:
        broker_pull_answer(e, SHIP_PULL_UNKNOWN);
        return false;
    case REPLICA_UNREGISTERED:
        broker_pull_answer(e, SHIP_PULL_UNREGISTERED);
        return false;
    case REPLICA_FENCED:
        broker_pull_answer(e, SHIP_PULL_FENCED);
        return false;
    case REPLICA_AHEAD:
        broker_pull_answer(e, SHIP_PULL_AHEAD);
        return false;
    }
    ASSERT(false);
    return false;
}

/* The asker is a follower: counts it. False: answered. */
static bool broker_pull_count(struct broker_pull *w, struct bpart *p, struct ship_pull_entry *e)
{
    struct replica_set *set = &p->replica->set;
    struct replica_pull pull = {.from = w->call->from,
                                .leader_epoch = e->leader_epoch,
                                .reached = e->reached,
                                .broker_epoch = w->call->broker_epoch,
                                .wanted = e->offset,
                                .end = e->durable};
    ASSERT(p->replica->leading && p->part != NULL);
    if (!broker_pull_verdict(e, replica_set_judge(set, &pull)) || !broker_pull_agrees(p->part, e))
        return false;
    if (!w->counted && replica_set_pulled(set, &pull, broker_now(w->broker)))
        bpart_watermark_moved(p);
    if (!w->counted)
        broker_lead_consider(p);
    return true;
}

static void broker_pull_read(struct broker_pull *w, struct bpart *p, struct ship_pull_entry *e,
                             int64_t bound, size_t *got)
{
    struct ship_pull *q = &w->call->pull;
    size_t left = q->size_max > *got ? q->size_max - *got : 0;
    struct part_read read = {.offset = e->offset,
                             .bound = bound,
                             .size_max = e->size_max < left ? e->size_max : left,
                             .may_wait = w->tries >= BROKER_PULL_TRIES};
    struct part_extent extent;
    struct part_warm warm;
    ASSERT(e->pin == NULL && e->offset <= read.bound);
    if (*got > 0 && read.size_max == 0)
        return;
    int r = part_read(p->part, &read, &extent, &warm, &e->next_good);
    if (r == PART_COLD && w->tries < 2 * BROKER_PULL_TRIES && !w->final) {
        broker_pull_warm(w, p, &warm);
        return;
    }
    if (r == PART_COLD)
        part_warm_drop(p->part, &warm);
    if (r == PART_END || r == PART_COLD)
        return;
    if (r != 0) {
        broker_mend_look(p);
        broker_pull_answer(e, SHIP_PULL_STORAGE);
        return;
    }
    ASSERT(extent.pin != NULL && extent.bytes.size > 0 && extent.next_offset <= read.bound);
    if (*got > 0 && extent.bytes.size > left) { /* only the first batch may be larger */
        reader_unpin(extent.pin);
        return;
    }
    e->bytes = extent.bytes;
    e->pin = extent.pin;
    e->segment = extent.segment;
    *got += extent.bytes.size;
    broker_pull_answer(e, SHIP_PULL_OK);
}

/* An entry of a replica that has damage there. */
static void broker_pull_mend(struct broker_pull *w, struct ship_pull_entry *e, size_t *got)
{
    struct bpart *p = broker_pull_find(w->broker, e);
    ASSERT(w->call->kind == SHIP_PULL && w->call->pull.mend);
    e->answered = false;
    e->next_good = -1;
    if (p == NULL || p->replica == NULL || p->replica->revision < 0 ||
        !replica_ids_has(&p->replica->record.replicas, w->call->from) ||
        !replica_ids_has(&p->replica->record.replicas, w->broker->node_id))
        return broker_pull_answer(e, SHIP_PULL_UNKNOWN);
    enum broker_status s = p->state == BPART_ONLINE ? BROKER_OK : bpart_use(p);
    if (s != BROKER_OK) /* what is about to be mended itself may be read */
        return broker_pull_answer(e, s == BROKER_LOADING ? SHIP_PULL_LOADING : SHIP_PULL_STORAGE);
    bool agreed = p->replica->leading && e->leader_epoch == p->replica->set.leader_epoch;
    int64_t bound = agreed ? p->part->durable : bpart_watermark(p);
    bound = bound < p->part->written ? bound : p->part->written;
    ASSERT(bound >= 0);
    e->leader_high_watermark = bpart_watermark(p);
    e->log_start = p->part->log_start;
    e->leader_end = p->part->written;
    if (e->offset < p->part->log_start)
        return broker_pull_answer(e, SHIP_PULL_OUT_OF_RANGE);
    if (e->offset >= bound)
        return broker_pull_answer(e, SHIP_PULL_LOADING); /* not known to be committed yet */
    broker_pull_read(w, p, e, bound, got);
}

static void broker_pull_entry(struct broker_pull *w, struct ship_pull_entry *e, size_t *got)
{
    struct bpart *p = broker_pull_find(w->broker, e);
    ASSERT(w->call->kind == SHIP_PULL);
    e->answered = false;
    e->next_good = -1;
    if (p == NULL || p->replica == NULL)
        return broker_pull_answer(e, SHIP_PULL_UNKNOWN);
    enum broker_status s = bpart_use(p); /* open, it may be led */
    bool voter = !p->replica->leading && broker_vote_serves(w->broker, w->call);
    if (!p->replica->leading && !voter)
        return broker_pull_answer(e, broker_leads(w->broker) ? SHIP_PULL_LOADING
                                                             : SHIP_PULL_NOT_LEADER);
    if (s != BROKER_OK)
        return broker_pull_answer(e, s == BROKER_LOADING ? SHIP_PULL_LOADING : SHIP_PULL_STORAGE);
    ASSERT(p->part != NULL);
    e->log_start = p->part->log_start; /* also of an answer that the offset is below it */
    if (voter ? !broker_pull_agrees(p->part, e) : !broker_pull_count(w, p, e))
        return;
    e->leader_high_watermark = bpart_watermark(p);
    e->leader_end = p->part->written;
    e->epoch_start = voter ? 0 : p->replica->set.epoch_start;
    if (e->size_max > 0 && e->offset < p->part->written)
        broker_pull_read(w, p, e, p->part->written, got);
    else if (e->size_max > 0 && e->offset > p->part->written)
        return broker_pull_answer(e, SHIP_PULL_LOADING); /* decided, not written yet */
    int64_t told = e->leader_high_watermark < e->offset ? e->leader_high_watermark : e->offset;
    bool news = voter || told > e->high_watermark ||
                e->reached < p->replica->set.leader_epoch; /* it learns where the epoch began */
    if (!e->answered && (news || e->size_max == 0 || w->call->pull.max_wait_ms == 0))
        broker_pull_answer(e, SHIP_PULL_OK);
}

/* --- the whole --- */

static void broker_pull_wait(struct broker_pull *w)
{
    struct ship_pull *q = &w->call->pull;
    ASSERT(w->jobs == 0 && !w->final);
    if (w->waits == NULL) {
        w->waits = calloc(q->count + 1, sizeof *w->waits);
        ASSERT(w->waits != NULL);
        heap_set(&broker_pulls_of(w->broker)->deadlines, &w->deadline,
                 broker_now(w->broker) + q->max_wait_ms);
    }
    for (size_t i = 0; i < q->count; i++) {
        struct bpart *p = broker_pull_find(w->broker, &q->entries[i]);
        w->waits[i].pull = w;
        if (p != NULL && p->replica != NULL && !list_linked(&w->waits[i].link))
            list_add_tail(&p->replica->pulls, &w->waits[i].link);
    }
}

static void broker_pull_try(struct broker_pull *w)
{
    struct ship_pull *q = &w->call->pull;
    size_t got = 0;
    bool news = w->final || q->max_wait_ms == 0 || q->count == 0;
    ASSERT(w->call->kind == SHIP_PULL);
    ASSERT(w->jobs == 0 && !list_linked(&w->link));
    broker_pull_unpin(q);
    w->tries++;
    for (size_t i = 0; i < q->count; i++) {
        if (q->mend)
            broker_pull_mend(w, &q->entries[i], &got);
        else
            broker_pull_entry(w, &q->entries[i], &got);
        news = news || q->entries[i].answered;
    }
    w->counted = true;
    if (w->jobs > 0)
        return; /* looked at again when the bytes are in memory */
    if (news)
        return broker_pull_finish(w);
    w->tries = 0;
    broker_pull_wait(w);
}

void broker_pull(struct broker *b, struct ship_call *call)
{
    struct ship_pull *q = &call->pull;
    struct broker_pull *w = calloc(1, sizeof *w);
    ASSERT(w != NULL && call->kind == SHIP_PULL);
    ASSERT(q->count <= SHIP_PULL_ENTRIES_MAX);
    w->broker = b;
    w->call = call;
    list_init(&w->link);
    list_add_tail(&broker_pulls_of(b)->all, &w->all);
    call->priv.state = w;
    for (size_t i = 0; i < q->count; i++) {
        q->entries[i].pin = NULL;
        q->entries[i].bytes = SLICE_NULL;
    }
    broker_pull_try(w);
}

static bool broker_pull_waiting(const struct broker_pull *w)
{
    ASSERT(w->call != NULL);
    ASSERT(w->broker != NULL);
    return w->waits != NULL && w->jobs == 0 && !list_linked(&w->link);
}

void broker_pull_cancel(struct ship_call *call)
{
    struct broker_pull *w = call->priv.state;
    ASSERT(call->kind == SHIP_PULL);
    ASSERT(w != NULL && w->call == call);
    w->final = true;
    if (broker_pull_waiting(w))
        broker_pull_finish(w);
}

void broker_pull_release(struct ship_call *call)
{
    struct broker_pull *w = call->priv.state;
    ASSERT(w != NULL && w->jobs == 0 && !list_linked(&w->link));
    broker_pull_unpin(&call->pull);
    list_remove(&w->all);
    free(w->waits);
    free(w);
    call->priv.state = NULL;
}

void broker_pulls_abandon(struct broker_pulls *s)
{
    while (!list_empty(&s->all)) {
        struct broker_pull *w = LIST_ENTRY(s->all.next, struct broker_pull, all);
        ASSERT(w->jobs == 0);
        broker_pull_unwait(w);
        if (list_linked(&w->link))
            list_remove(&w->link);
        broker_pull_release(w->call);
    }
}

void broker_pulls_wake(struct bpart *p)
{
    struct list woken;
    ASSERT(p->topic != NULL);
    ASSERT(p->replica != NULL);
    list_init(&woken);
    list_splice(&woken, &p->replica->pulls);
    for (struct list *n = list_pop(&woken); n != NULL; n = list_pop(&woken)) {
        struct broker_pull *w = LIST_ENTRY(n, struct broker_pull_wait, link)->pull;
        if (broker_pull_waiting(w))
            broker_pull_try(w);
    }
}

void broker_pulls_end(struct bpart *p)
{
    ASSERT(p->topic != NULL);
    ASSERT(p->replica != NULL);
    while (!list_empty(&p->replica->pulls)) {
        struct list *n = list_pop(&p->replica->pulls);
        struct broker_pull *w = LIST_ENTRY(n, struct broker_pull_wait, link)->pull;
        w->final = true;
        if (broker_pull_waiting(w))
            broker_pull_try(w);
    }
}

void broker_pulls_run(struct broker *b)
{
    struct broker_pulls *s = broker_pulls_of(b);
    struct list batch;
    struct heap_node *n;
    ASSERT(s->ready.next != NULL);
    while ((n = heap_pop_due(&s->deadlines, broker_now(b))) != NULL) {
        struct broker_pull *w = HEAP_ENTRY(n, struct broker_pull, deadline);
        ASSERT(w->broker == b);
        w->final = true;
        if (broker_pull_waiting(w))
            broker_pull_try(w);
    }
    list_init(&batch);
    list_splice(&batch, &s->ready);
    for (struct list *l = list_pop(&batch); l != NULL; l = list_pop(&batch)) {
        struct broker_pull *w = LIST_ENTRY(l, struct broker_pull, link);
        ASSERT(w->jobs == 0);
        w->call->done(w->call);
    }
}

int64_t broker_pulls_next_ms(struct broker *b)
{
    struct broker_pulls *s = broker_pulls_of(b);
    const struct heap_node *n = heap_first(&s->deadlines);
    ASSERT(n == NULL || n->slot == 1);
    return !list_empty(&s->ready) ? broker_now(b) : n == NULL ? INT64_MAX : n->at;
}

void broker_pulls_fail_all(struct broker *b)
{
    struct broker_pulls *s = broker_pulls_of(b);
    struct heap_node *n;
    while ((n = heap_first(&s->deadlines)) != NULL)
        broker_pull_cancel(HEAP_ENTRY(n, struct broker_pull, deadline)->call);
    ASSERT(s->deadlines.count == 0);
}
