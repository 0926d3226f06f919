/* SPDX-License-Identifier: MIT
 *
 * broker_mend: damage in the log of a replicated partition is found and repaired.
 *
 *   wanted   damage that recovery, a reader, a follower's pull or another check ran into; and every
 *            replica.check.interval.ms all replicated partitions
 *     '-> one partition at a time is read through, from there on: WALK
 *           good bytes       on, with a rest after each piece
 *           damage           ASK another replica, one after the other: PULL with `mend`
 *             batches fit      WRITE: the partition is closed for a moment, store/mend.h
 *                              '-> WALK again, over what was written
 *             nobody has it    left as it is, said in the log, tried again later; WALK behind it
 *
 * Which bytes are right: an offset below the high watermark has one content for ever, so any
 * replica that knows it to be committed has it, whoever leads and in whatever term. Above it only
 * the leader is asked, by a follower whose log was found a prefix of the leader's in this epoch.
 *
 * What a damaged replica is worth meanwhile. A follower tells its end as the offset in front of the
 * first damage: it is not counted for what it cannot give, and leaves the in-sync set when that
 * lasts. In a vote it is not intact. A leader goes on. Where a log is cut although something in it
 * is damaged, or recovery had to cut it where nothing can have torn it, that it has lost something
 * is written down (reached: BPART_REACHED_LOST) and holds until it stands on a leader's epoch
 * again.
 *
 * Must not know: files, positions in them.
 * Invariants: M1 at most one partition is looked at, with one call, one job or one write; M2 only
 * what is damaged is replaced, by bytes that were checked; M3 the answer's bytes stay until the
 * write is over.
 */
#include "engine/broker/broker_mend.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/broker/broker_follow_priv.h"

#define BROKER_MEND_READ_SIZE (1u << 20)
#define BROKER_MEND_ASK_SIZE  (4u << 20)
#define BROKER_MEND_REST_MS   20
#define BROKER_MEND_POLL_MS   20
#define BROKER_MEND_STILL_MS  5000 /* so long the partition may take to come to rest */
#define BROKER_MEND_AGAIN_MS  30000
#define BROKER_MEND_LATER     25 /* answers that say "later" */
#define BROKER_MEND_TRIES     3  /* reads, and writes that leave the damage */

enum broker_mend_phase {
    BROKER_MEND_IDLE,
    BROKER_MEND_WALK,
    BROKER_MEND_WARM,  /* a worker brings bytes into memory */
    BROKER_MEND_ASK,   /* another replica is being asked */
    BROKER_MEND_STILL, /* the bytes are here; the partition comes to rest */
    BROKER_MEND_WRITE, /* it is closed, a worker writes */
};

struct broker_mend {
    struct broker *broker;
    struct list wanted; /* struct bpart_replica, by mend.link */
    enum broker_mend_phase phase;
    struct bpart *bpart; /* NULL: none, or it went meanwhile */
    int64_t offset;      /* read through up to here */
    struct part_range piece;
    const struct part *part; /* as it was when `piece` was found */
    struct mend mend;
    struct ship_call call;
    struct ship_pull_entry entry;
    int32_t source; /* who is asked */
    uint32_t asked; /* how many replicas were, about this piece */
    unsigned tries;
    unsigned writes; /* over this piece */
    int64_t next_ms;
    int64_t until_ms;
    int64_t check_ms; /* when all partitions are queued again */
    bool held;        /* the answer is to be released */
};

struct broker_mend_warm {
    struct work_job job;
    struct part_warm warm;
    struct bpart *bpart;
    struct broker_mend *mend;
};

struct broker_mend *broker_mend_new(struct broker *b)
{
    struct broker_mend *m = calloc(1, sizeof *m);
    ASSERT(m != NULL && b != NULL);
    m->broker = b;
    list_init(&m->wanted);
    m->check_ms = broker_now(b) + config_i64(b->env.config, CONFIG_REPLICA_CHECK_MS);
    return m;
}

struct broker_mend *broker_mend_free(struct broker_mend *m)
{
    ASSERT(m == NULL || m->broker->dead || !m->held);
    free(m);
    return NULL;
}

/* --- what is to be looked at --- */

static bool broker_mend_replicated(const struct bpart *p)
{
    const struct bpart_replica *r = p->replica;
    ASSERT(p->broker != NULL);
    return r != NULL && r->revision >= 0 && r->record.replicas.count > 1 &&
           replica_ids_has(&r->record.replicas, p->broker->node_id);
}

static void broker_mend_want(struct broker_mend *m, struct bpart *p, int64_t from)
{
    struct bpart_mend_want *w = &p->replica->mend;
    ASSERT(from >= 0 && p->replica != NULL);
    if (m->bpart == p)
        return; /* the check that is under way comes there, or looks once more at its end */
    if (!list_linked(&w->link)) {
        w->from = from;
        w->at_ms = 0;
        list_add_tail(&m->wanted, &w->link);
    }
    w->from = from < w->from ? from : w->from;
}

struct broker_mend_lost {
    struct coord_put put;
    struct bpart *bpart; /* counted in jobs */
};

static void broker_mend_lost_done(struct coord_put *put, int result)
{
    struct broker_mend_lost *l = put->ctx;
    struct bpart_replica *r = l->bpart->replica;
    ASSERT(l->bpart->jobs > 0 && r != NULL && r->mend.marking);
    l->bpart->jobs--;
    r->mend.marking = false;
    if (result == 0 && !r->leading)
        r->reached = BPART_REACHED_LOST;
    free(l);
}

void broker_mend_mark(struct bpart *p)
{
    struct bpart_replica *r = p->replica;
    struct broker *b = p->broker;
    struct coord_changes changes = {0};
    struct buf key CLEANUP(buf_deinit) = {0}, value CLEANUP(buf_deinit) = {0};
    ASSERT(r != NULL);
    if (r->mend.marking || r->reached < 0 || r->record.leader == b->node_id || b->stopping)
        return;
    struct broker_mend_lost *l = calloc(1, sizeof *l);
    ASSERT(l != NULL);
    l->bpart = p;
    l->put = (struct coord_put){.done = broker_mend_lost_done, .ctx = l};
    r->mend.marking = true;
    p->jobs++;
    cluster_reached_key(p->topic->record.id, p->index, &key);
    buf_append_le32(&value, (uint32_t)BPART_REACHED_LOST);
    coord_changes_add(&changes, buf_slice(&key), buf_slice(&value));
    coord_put(b->coord, &l->put, &changes, broker_wall(b));
    coord_changes_deinit(&changes);
}

void broker_mend_look(struct bpart *p)
{
    struct broker_mend *m = broker_mend_of(p->broker);
    struct part_range piece;
    if (m == NULL || p->state != BPART_ONLINE || !broker_mend_replicated(p) ||
        !part_damaged_piece(p->part, -1, &piece))
        return;
    ASSERT(piece.from < piece.to);
    broker_mend_want(m, p, piece.from);
}

void broker_mend_opened(struct bpart *p)
{
    struct broker_mend *m = broker_mend_of(p->broker);
    ASSERT(p->state == BPART_ONLINE);
    if (m != NULL && m->bpart == p)
        m->part = NULL; /* where its damage is may be another place now */
    broker_mend_look(p);
}

void broker_mend_forget(struct bpart *p)
{
    struct broker_mend *m = broker_mend_of(p->broker);
    ASSERT(p->replica != NULL);
    if (list_linked(&p->replica->mend.link))
        list_remove(&p->replica->mend.link);
    p->mending = false;
    if (m == NULL || m->bpart != p)
        return;
    m->bpart = NULL;
    m->part = NULL;
    ASSERT(m->phase != BROKER_MEND_IDLE);
}

static void broker_mend_want_all(struct broker_mend *m)
{
    struct broker *b = m->broker;
    ASSERT(b->topic_count == b->topics.count);
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++) {
            struct bpart *p = b->sorted[i]->parts[k];
            if (p->state != BPART_GONE && p->on_disk && broker_mend_replicated(p))
                broker_mend_want(m, p, 0);
        }
}

/* --- one partition --- */

static void broker_mend_to(struct broker_mend *m, enum broker_mend_phase phase, int64_t in_ms)
{
    ASSERT(in_ms >= 0);
    ASSERT(m->phase != phase || phase == BROKER_MEND_WALK || phase == BROKER_MEND_ASK);
    m->phase = phase;
    m->next_ms = broker_now(m->broker) + in_ms;
}

/* The partition is done, or left as it is for now. */
static void broker_mend_end(struct broker_mend *m)
{
    struct bpart *p = m->bpart;
    m->bpart = NULL;
    m->part = NULL;
    broker_mend_to(m, BROKER_MEND_IDLE, 0);
    ASSERT(!m->held);
    if (p == NULL)
        return;
    struct bpart_mend_want *w = &p->replica->mend;
    if (w->left >= 0 && p->part != NULL && w->left >= p->part->log_start) {
        broker_mend_want(m, p, w->left);
        w->at_ms = broker_now(m->broker) + BROKER_MEND_AGAIN_MS;
    }
    if (p->part != NULL)
        broker_follow_advanced(p); /* it may count for more now */
}

static void broker_mend_begin(struct broker_mend *m)
{
    int64_t now = broker_now(m->broker), every = 0;
    ASSERT(m->phase == BROKER_MEND_IDLE && m->bpart == NULL);
    every = config_i64(m->broker->env.config, CONFIG_REPLICA_CHECK_MS);
    if (every > 0 && broker_due(&m->check_ms, now, every))
        broker_mend_want_all(m);
    LIST_EACH (node, &m->wanted) {
        struct bpart_mend_want *w = LIST_ENTRY(node, struct bpart_mend_want, link);
        if (w->at_ms > now)
            continue;
        list_remove(node);
        m->bpart = w->bpart;
        m->offset = w->from;
        m->tries = m->writes = m->asked = 0;
        w->was_left = w->left >= 0;
        w->left = -1;
        broker_mend_to(m, BROKER_MEND_WALK, 0);
        return;
    }
}

/* Nobody gives it now: on behind it. */
static void broker_mend_leave(struct broker_mend *m, const char *why)
{
    struct bpart *p = m->bpart;
    struct bpart_mend_want *w = &p->replica->mend;
    ASSERT(m->offset < m->piece.to);
    if (!w->was_left && w->left < 0)
        broker_log(m->broker, 2,
                   "%s-%d: offsets %lld to %lld are damaged and not repaired yet: %s; tried again "
                   "every %d s",
                   p->topic->name, p->index, (long long)m->piece.from, (long long)m->piece.to - 1,
                   why, BROKER_MEND_AGAIN_MS / 1000);
    if (w->left < 0)
        w->left = m->piece.from;
    m->offset = m->piece.to;
    m->tries = m->writes = m->asked = 0;
    broker_mend_to(m, BROKER_MEND_WALK, 0);
}

/* --- asking --- */

/* The at-th whom to ask: the leader first, then the other replicas. -1: nobody is left. */
static int32_t broker_mend_source(const struct broker_mend *m, uint32_t at)
{
    const struct cluster_part *c = &m->bpart->replica->record;
    int32_t self = m->broker->node_id;
    ASSERT(c->replicas.count <= REPLICA_COUNT_MAX);
    if (c->leader >= 0 && c->leader != self && at-- == 0)
        return c->leader;
    for (uint32_t i = 0; i < c->replicas.count; i++)
        if (c->replicas.id[i] != self && c->replicas.id[i] != c->leader && at-- == 0)
            return c->replicas.id[i];
    return -1;
}

static const char *broker_mend_native(const struct broker *b, int32_t id)
{
    const struct cluster_broker *n;
    ASSERT(id >= 0);
    for (size_t i = 0; (n = broker_cluster_node(b, i)) != NULL; i++)
        if (n->id == id && !n->left && n->native[0] != '\0')
            return n->native;
    return NULL;
}

static bool broker_mend_agreed(const struct bpart *p)
{
    const struct bpart_replica *r = p->replica;
    ASSERT(r != NULL);
    return r->follow != NULL && r->follow->state != BROKER_FOLLOW_OFF &&
           r->follow->agreed == r->record.leader_epoch;
}

static void broker_mend_answered(struct ship_call *call);

static void broker_mend_ask(struct broker_mend *m)
{
    struct broker *b = m->broker;
    struct ship_link *link = b->env.ship;
    struct bpart *p = m->bpart;
    const char *native = NULL;
    ASSERT(m->phase == BROKER_MEND_ASK && !m->held);
    for (; native == NULL; m->asked += native == NULL) {
        m->source = broker_mend_source(m, m->asked);
        if (m->source < 0 || link == NULL)
            return broker_mend_leave(m, "no other replica can give them");
        native = broker_mend_native(b, m->source);
        bool agreed = m->source == p->replica->record.leader && broker_mend_agreed(p);
        if (m->piece.from >= bpart_watermark(p) && !agreed)
            native = NULL; /* not known to be committed: it may not be what the other has */
        m->entry.leader_epoch = agreed ? p->replica->record.leader_epoch : -1;
    }
    m->entry = (struct ship_pull_entry){.partition = p->index,
                                        .leader_epoch = m->entry.leader_epoch,
                                        .offset = m->piece.from,
                                        .last_epoch = -1,
                                        .reached = -1,
                                        .size_max = BROKER_MEND_ASK_SIZE};
    memcpy(m->entry.topic, p->topic->record.id, sizeof m->entry.topic);
    broker_ship_fill(b, &m->call, SHIP_PULL);
    m->call.to = m->source;
    m->call.term = broker_cluster_term(b);
    m->call.broker_epoch = -1;
    m->call.pull = (struct ship_pull){
        .entries = &m->entry, .count = 1, .size_max = BROKER_MEND_ASK_SIZE, .mend = true};
    m->call.timeout_ms = 10000;
    m->call.done = broker_mend_answered;
    m->call.ctx = m;
    m->held = true;
    link->send(link->ctx, native, &m->call);
    m->next_ms = INT64_MAX;
}

static void broker_mend_release(struct broker_mend *m)
{
    struct ship_link *link = m->broker->env.ship;
    ASSERT(m->held && link != NULL);
    m->held = false;
    link->release(link->ctx, &m->call);
}

/* What was answered takes the place of the damage. False: it does not. */
static bool broker_mend_take(struct broker_mend *m)
{
    struct bpart *p = m->bpart;
    const struct ship_pull_entry *e = &m->entry;
    ASSERT(m->part == p->part && p->part != NULL);
    if (m->call.status != BROKER_OK || !e->answered || e->status != SHIP_PULL_OK ||
        mend_fit(p->part, &m->piece, e->bytes, &m->mend) != 0)
        return false;
    if (m->mend.gaps && p->part->generation == 0 && !p->topic->limits.compacted)
        return false;
    bool agreed = e->leader_epoch >= 0 && e->leader_epoch == p->replica->record.leader_epoch;
    if (m->mend.upto > bpart_watermark(p) && !agreed)
        return false;
    return true;
}

static void broker_mend_answered(struct ship_call *call)
{
    struct broker_mend *m = call->ctx;
    struct bpart *p = m->bpart;
    ASSERT(call == &m->call && m->phase == BROKER_MEND_ASK && m->held);
    bool later = call->status == BROKER_OK && m->entry.answered
                     ? m->entry.status == SHIP_PULL_LOADING
                     : call->status == BROKER_OK;
    if (p == NULL || p->part == NULL || p->part != m->part || m->broker->stopping) {
        broker_mend_release(m); /* from the beginning, if it is there still */
        broker_mend_to(m, BROKER_MEND_WALK, 0);
    } else if (broker_mend_take(m)) {
        m->until_ms = broker_now(m->broker) + BROKER_MEND_STILL_MS;
        broker_mend_to(m, BROKER_MEND_STILL, 0);
    } else {
        broker_mend_release(m);
        later = later && ++m->tries < BROKER_MEND_LATER;
        m->asked += !later;
        m->tries = later ? m->tries : 0;
        broker_mend_to(m, BROKER_MEND_ASK, later ? 10 * BROKER_MEND_POLL_MS : 0);
    }
}

/* --- writing --- */

static void broker_mend_still(struct broker_mend *m)
{
    struct bpart *p = m->bpart;
    ASSERT(m->phase == BROKER_MEND_STILL && m->held);
    if (p == NULL || p->part == NULL || p->part != m->part) {
        if (p != NULL)
            bpart_mend_not(p);
        broker_mend_release(m);
        broker_mend_to(m, BROKER_MEND_WALK, 0);
        return;
    }
    m->mend.end = p->part->reserved;
    m->mend.last = p->part->count == 0;
    m->mend.size = 0;
    for (size_t i = 0; i < p->part->count; i++)
        if (p->part->segments[i]->base == m->piece.base) {
            m->mend.size = p->part->segments[i]->size;
            m->mend.last = i + 1 == p->part->count;
        }
    if (bpart_mend(p, &m->mend)) {
        broker_mend_to(m, BROKER_MEND_WRITE, 0);
        m->next_ms = INT64_MAX;
        return;
    }
    m->next_ms = broker_now(m->broker) + 1;
    if (broker_now(m->broker) < m->until_ms)
        return;
    bpart_mend_not(p);
    broker_mend_release(m);
    broker_mend_leave(m, "the partition does not come to rest");
}

void broker_mend_written(struct broker *b, int result)
{
    struct broker_mend *m = broker_mend_of(b);
    struct bpart *p = m->bpart;
    ASSERT(m->phase == BROKER_MEND_WRITE && m->held);
    if (result == 0) {
        b->counters.mended++;
        b->counters.mended_size += m->mend.bytes.size;
    }
    if (p != NULL && result == 0)
        broker_log(b, 2,
                   "%s-%d: offsets %lld to %lld were damaged, and are repaired from broker %d",
                   p->topic->name, p->index, (long long)m->piece.from, (long long)m->mend.upto - 1,
                   m->source);
    broker_mend_release(m);
    m->part = NULL;
    m->tries = m->asked = 0;
    bool again = result == 0 && ++m->writes < BROKER_MEND_TRIES * BROKER_MEND_TRIES;
    if (p != NULL && !again) {
        broker_mend_leave(m, "they cannot be written");
        return;
    }
    broker_mend_to(m, BROKER_MEND_WALK, 0);
}

/* --- reading --- */

static void broker_mend_warm_run(struct work_job *job)
{
    ASSERT(job->run == broker_mend_warm_run);
    part_warm_run(&LIST_ENTRY(job, struct broker_mend_warm, job)->warm);
}

static void broker_mend_warm_done(struct work_note *note)
{
    struct work_job *job = LIST_ENTRY(note, struct work_job, note);
    struct broker_mend_warm *w = LIST_ENTRY(job, struct broker_mend_warm, job);
    struct broker_mend *m = w->mend;
    struct bpart *p = w->bpart;
    ASSERT(p->jobs > 0 && m->phase == BROKER_MEND_WARM);
    p->jobs--;
    bool bad = p->part != NULL && part_warm_done(p->part, &w->warm) != 0;
    free(w);
    broker_mend_to(m, BROKER_MEND_WALK, bad ? BROKER_MEND_POLL_MS : 0);
    m->tries += bad;
}

static void broker_mend_warm(struct broker_mend *m, const struct part_warm *warm)
{
    struct broker_mend_warm *w = calloc(1, sizeof *w);
    ASSERT(w != NULL && m->bpart->state == BPART_ONLINE);
    w->warm = *warm;
    w->bpart = m->bpart;
    w->mend = m;
    w->job.run = broker_mend_warm_run;
    w->job.note.done = broker_mend_warm_done;
    m->bpart->jobs++;
    broker_mend_to(m, BROKER_MEND_WARM, 0);
    m->next_ms = INT64_MAX;
    work_submit(m->broker->env.work, &w->job);
}

/* The read ran into damage at or behind m->offset. */
static void broker_mend_met(struct broker_mend *m, int64_t next_good)
{
    struct part *part = m->bpart->part;
    ASSERT(next_good > m->offset);
    if (!part_damaged_piece(part, m->offset, &m->piece) || m->piece.from >= next_good) {
        m->offset = next_good;
        return;
    }
    if (m->piece.from < part->log_start) { /* where the log begins in it nobody has said */
        broker_mend_leave(m, "the log starts inside");
        return;
    }
    m->tries = 0;
    if (m->offset != m->piece.from)
        m->writes = 0;
    m->offset = m->piece.from;
    m->part = part;
    broker_mend_to(m, BROKER_MEND_ASK, 0);
}

static void broker_mend_read(struct broker_mend *m)
{
    struct part *part = m->bpart->part;
    struct part_extent extent;
    struct part_warm warm;
    int64_t next_good = -1;
    m->offset = m->offset < part->log_start ? part->log_start : m->offset;
    struct part_read q = {.offset = m->offset,
                          .bound = part->durable,
                          .size_max = BROKER_MEND_READ_SIZE,
                          .may_wait = m->tries > 0};
    ASSERT(m->phase == BROKER_MEND_WALK);
    if (q.offset >= q.bound)
        return broker_mend_end(m);
    int r = part_read(part, &q, &extent, &warm, &next_good);
    if (r == 0) {
        reader_unpin(extent.pin);
        m->offset = extent.next_offset;
        m->tries = 0;
        m->next_ms = broker_now(m->broker) + BROKER_MEND_REST_MS;
    } else if (r == PART_COLD && m->tries < BROKER_MEND_TRIES) {
        broker_mend_warm(m, &warm);
    } else if (r == PART_DAMAGED) {
        broker_mend_met(m, next_good);
    } else {
        if (r == PART_COLD)
            part_warm_drop(part, &warm);
        broker_mend_end(m);
    }
}

static void broker_mend_walk(struct broker_mend *m)
{
    struct bpart *p = m->bpart;
    ASSERT(m->phase == BROKER_MEND_WALK && !m->held);
    if (p == NULL || p->state == BPART_GONE || !broker_mend_replicated(p))
        return broker_mend_end(m);
    if (p->state == BPART_ONLINE)
        return broker_mend_read(m);
    if (bpart_use(p) == BROKER_STORAGE)
        return broker_mend_end(m);
    m->next_ms = broker_now(m->broker) + BROKER_MEND_POLL_MS;
}

/* --- the turn --- */

void broker_mend_run(struct broker_mend *m)
{
    ASSERT(m->broker->cluster != NULL);
    ASSERT(!m->broker->stopping);
    if (m->phase == BROKER_MEND_IDLE)
        broker_mend_begin(m);
    if (broker_now(m->broker) < m->next_ms)
        return;
    switch (m->phase) {
    case BROKER_MEND_IDLE:
    case BROKER_MEND_WARM:
    case BROKER_MEND_WRITE:
        return;
    case BROKER_MEND_WALK:
        return broker_mend_walk(m);
    case BROKER_MEND_ASK:
        if (m->held)
            return;
        if (m->bpart == NULL || m->bpart->part != m->part || m->part == NULL)
            return broker_mend_to(m, BROKER_MEND_WALK, 0);
        return broker_mend_ask(m);
    case BROKER_MEND_STILL:
        return broker_mend_still(m);
    }
    ASSERT(false);
}

int64_t broker_mend_next_ms(const struct broker_mend *m)
{
    int64_t every = config_i64(m->broker->env.config, CONFIG_REPLICA_CHECK_MS);
    int64_t next = every > 0 ? m->check_ms : INT64_MAX;
    ASSERT(m->broker->cluster != NULL);
    if (m->phase != BROKER_MEND_IDLE)
        return m->next_ms;
    LIST_EACH (node, &m->wanted) {
        const struct bpart_mend_want *w = LIST_ENTRY(node, struct bpart_mend_want, link);
        next = w->at_ms < next ? w->at_ms : next;
    }
    return next;
}

void broker_mend_stop(struct broker_mend *m)
{
    ASSERT(m->broker->stopping);
    ASSERT(m->held || m->phase != BROKER_MEND_STILL);
    if (m->phase != BROKER_MEND_STILL)
        return; /* what is out comes back */
    if (m->bpart != NULL)
        bpart_mend_not(m->bpart);
    broker_mend_release(m);
    broker_mend_to(m, BROKER_MEND_WALK, 0);
}

bool broker_mend_quiet(const struct broker_mend *m)
{
    ASSERT(m->phase != BROKER_MEND_STILL || m->held);
    return !m->held && m->phase != BROKER_MEND_WARM && m->phase != BROKER_MEND_WRITE;
}

size_t broker_mend_damaged(const struct broker_mend *m)
{
    size_t count = m->bpart != NULL && m->bpart->replica->mend.left >= 0;
    ASSERT(m->broker != NULL);
    LIST_EACH (node, &m->wanted) {
        count += LIST_ENTRY(node, struct bpart_mend_want, link)->left >= 0;
    }
    return count;
}
