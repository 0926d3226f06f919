/* SPDX-License-Identifier: MIT
 *
 * broker_follow_part: one partition of the follower: what is asked for it, and what becomes of the
 * answer. See broker_follow.c for its states.
 *
 * The epoch reached: in answer to a pull that was not diverging, the leader has found our log a
 * prefix of its own; when the disk has all that the leader had at the start of its epoch, the log
 * stands on that epoch (replica.h). That is written to node/reached/<topic>/<p> before it is told.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/broker/broker_follow_priv.h"
#include "engine/broker/broker_mend.h"
#include "engine/broker/replica_rules.h"

#define BROKER_FOLLOW_FULL_MS  2000
#define BROKER_FOLLOW_PART_MAX (1u << 20) /* bytes of one partition in one answer */

static int64_t broker_follow_counted(const struct bpart *p)
{
    ASSERT(p->part != NULL);
    if (!RULE_HOLDS(RULE_SYNCED))
        return p->part->reserved;
    int64_t end = bpart_syncs(p) ? p->part->durable : p->part->written;
    int64_t whole = part_whole_end(p->part); /* what cannot be read counts for nothing */
    return whole < end ? whole : end;
}

/* --- states --- */

static struct broker_follow_part *broker_follow_make(struct bpart *p)
{
    struct broker_follow_part *fp = p->replica->follow;
    ASSERT(p->replica != NULL);
    if (fp != NULL)
        return fp;
    fp = calloc(1, sizeof *fp);
    ASSERT(fp != NULL);
    list_init(&fp->link);
    list_init(&fp->advanced);
    list_init(&fp->reaching);
    fp->bpart = p;
    fp->told = fp->epoch_start = fp->agreed = -1;
    fp->hot = true;
    p->replica->follow = fp;
    return fp;
}

void broker_follow_to(struct broker_follow *f, struct bpart *p, enum broker_follow_state state)
{
    struct broker_follow_part *fp = p->replica->follow;
    ASSERT(p->broker == f->broker);
    ASSERT(fp != NULL && fp->bpart == p);
    if (list_linked(&fp->link))
        list_remove(&fp->link);
    fp->state = state;
    if (state == BROKER_FOLLOW_READY)
        list_add_tail(&f->ready[fp->hot], &fp->link);
    else if (state == BROKER_FOLLOW_WAIT)
        list_add_tail(&f->waiting, &fp->link);
}

void broker_follow_later(struct broker_follow *f, struct bpart *p, int64_t ms)
{
    ASSERT(p->broker == f->broker);
    ASSERT(ms > 0 && p->replica->follow != NULL);
    p->replica->follow->retry_ms = broker_now(f->broker) + ms;
    broker_follow_to(f, p, BROKER_FOLLOW_WAIT);
}

static bool broker_follow_wanted(const struct broker_follow *f, const struct bpart *p)
{
    const struct bpart_replica *r = p->replica;
    ASSERT(p->broker == f->broker);
    ASSERT(r != NULL);
    if (f->fetching)
        return f->on && p->state != BPART_GONE && r->fetch_from == f->leader;
    return f->on && f->mirrored && p->state != BPART_GONE && r->revision >= 0 &&
           r->record.leader == f->leader &&
           replica_ids_has(&r->record.replicas, f->broker->node_id);
}

void broker_follow_part(struct bpart *p)
{
    struct broker_follow *f = broker_follow_of(p->broker);
    if (f == NULL || p->replica == NULL)
        return;
    if (!broker_follow_wanted(f, p)) {
        if (p->replica->follow != NULL) {
            struct broker_follow_part *fp = p->replica->follow;
            broker_follow_to(f, p, BROKER_FOLLOW_OFF);
            if (list_linked(&fp->advanced))
                list_remove(&fp->advanced);
            if (list_linked(&fp->reaching))
                list_remove(&fp->reaching);
        }
        return;
    }
    struct broker_follow_part *fp = broker_follow_make(p);
    ASSERT(fp->bpart == p);
    if (fp->state == BROKER_FOLLOW_OFF) {
        fp->told = fp->epoch_start = fp->agreed = -1;
        broker_follow_to(f, p, BROKER_FOLLOW_READY);
    }
}

bool broker_follow_is_fenced(const struct bpart *p)
{
    const struct broker_follow_part *fp = p->replica == NULL ? NULL : p->replica->follow;
    ASSERT(p->broker != NULL);
    ASSERT(fp == NULL || fp->bpart == p);
    return fp != NULL && fp->state == BROKER_FOLLOW_FENCED;
}

void broker_follow_forget(struct bpart *p)
{
    struct broker_follow_part *fp = p->replica->follow;
    ASSERT(p->replica != NULL);
    if (fp == NULL)
        return;
    ASSERT(fp->bpart == p);
    struct list *all[] = {&fp->link, &fp->advanced, &fp->reaching};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (list_linked(all[i]))
            list_remove(all[i]);
    free(fp);
    p->replica->follow = NULL;
}

/* --- asking --- */

/* Never: Kafka of old, before KIP-101. */
static bool broker_follow_forgets(struct broker_follow *f, struct bpart *p)
{
    struct bpart_replica *r = p->replica;
    int64_t to = r->high_watermark > p->part->log_start ? r->high_watermark : p->part->log_start;
    ASSERT(r->follow != NULL && p->broker == f->broker);
    ASSERT(p->part != NULL);
    if (RULE_HOLDS(RULE_CUT) || f->fetching || r->follow->agreed >= 0 || to >= p->part->reserved)
        return false;
    (void)bpart_cut(p, to, false);
    broker_follow_later(f, p, BROKER_FOLLOW_RETRY_MS / 5);
    return true;
}

bool broker_follow_ask(struct broker_follow *f, struct bpart *p, struct ship_pull_entry *e)
{
    struct bpart_replica *r = p->replica;
    enum broker_status s = bpart_use(p);
    ASSERT(p->topic != NULL);
    ASSERT(r != NULL && r->follow != NULL);
    int32_t epoch = f->fetching ? cluster_epoch(f->term, 0) : r->record.leader_epoch;
    if (s == BROKER_OK && part_set_epoch(p->part, epoch) != 0)
        s = BROKER_LOADING; /* the log knows a later epoch than our record: another one comes */
    if (s != BROKER_OK) {
        if (r->follow->state != BROKER_FOLLOW_ASKED)
            broker_follow_later(
                f, p, s == BROKER_LOADING ? BROKER_FOLLOW_RETRY_MS : BROKER_FOLLOW_FULL_MS);
        return false;
    }
    if (broker_follow_forgets(f, p))
        return false;
    *e = (struct ship_pull_entry){.partition = p->index,
                                  .leader_epoch = r->record.leader_epoch,
                                  .offset = p->part->reserved,
                                  .last_epoch = part_last_epoch(p->part),
                                  .reached = r->reached < 0 ? -1 : r->reached,
                                  .durable = broker_follow_counted(p),
                                  .high_watermark = r->high_watermark,
                                  .size_max = BROKER_FOLLOW_PART_MAX};
    memcpy(e->topic, p->topic->record.id, sizeof e->topic);
    r->follow->told = e->durable;
    if (list_linked(&r->follow->advanced))
        list_remove(&r->follow->advanced);
    return true;
}

/* --- the epoch reached --- */

static void broker_follow_may_reach(struct broker_follow *f, struct bpart *p)
{
    struct bpart_replica *r = p->replica;
    struct broker_follow_part *fp = r->follow;
    ASSERT(fp != NULL && fp->bpart == p);
    ASSERT(p->part != NULL);
    if (f->fetching || r->reached >= r->record.leader_epoch ||
        fp->agreed != r->record.leader_epoch || broker_follow_counted(p) < fp->epoch_start ||
        list_linked(&fp->reaching))
        return;
    list_add_tail(&f->reaching, &fp->reaching);
}

static void broker_follow_reached(struct coord_put *put, int result)
{
    struct broker_follow *f = put->ctx;
    ASSERT(put == &f->reach);
    ASSERT(f->reach_out && f->reach_count > 0);
    f->reach_out = false;
    for (size_t i = 0; i < f->reach_count; i++) {
        struct bpart *p = f->reach_parts[i];
        struct bpart_replica *r = p->replica;
        ASSERT(p->jobs > 0 && r != NULL);
        p->jobs--;
        if (result != 0 || p->state != BPART_ONLINE || r->follow == NULL)
            continue; /* asked for again with the next answer */
        if (r->reached < f->reach_epochs[i])
            r->reached = f->reach_epochs[i];
        r->follow->told = -1;
        broker_follow_advanced(p);
    }
    f->reach_count = 0;
}

void broker_follow_reach(struct broker_follow *f)
{
    struct coord_changes changes = {0};
    size_t count = 0;
    ASSERT(!f->reach_out && !list_empty(&f->reaching));
    LIST_EACH (node, &f->reaching) {
        count++;
    }
    free(f->reach_parts);
    free(f->reach_epochs);
    f->reach_parts = calloc(count + 1, sizeof(struct bpart *));
    f->reach_epochs = calloc(count + 1, sizeof *f->reach_epochs);
    ASSERT(f->reach_parts != NULL && f->reach_epochs != NULL);
    struct buf *keys = calloc(count + 1, sizeof *keys), *values = calloc(count + 1, sizeof *values);
    ASSERT(keys != NULL && values != NULL);
    for (f->reach_count = 0; !list_empty(&f->reaching); f->reach_count++) {
        struct list *n = list_pop(&f->reaching);
        struct bpart *p = LIST_ENTRY(n, struct broker_follow_part, reaching)->bpart;
        struct buf *key = &keys[f->reach_count], *value = &values[f->reach_count];
        f->reach_parts[f->reach_count] = p;
        f->reach_epochs[f->reach_count] = p->replica->record.leader_epoch;
        cluster_reached_key(p->topic->record.id, p->index, key);
        buf_append_le32(value, (uint32_t)p->replica->record.leader_epoch);
        coord_changes_add(&changes, buf_slice(key), buf_slice(value));
        p->jobs++;
    }
    ASSERT(f->reach_count == count);
    f->reach = (struct coord_put){.done = broker_follow_reached, .ctx = f};
    f->reach_out = true;
    coord_put(f->broker->coord, &f->reach, &changes, broker_wall(f->broker));
    coord_changes_deinit(&changes);
    for (size_t i = 0; i < count; i++) {
        buf_deinit(&keys[i]);
        buf_deinit(&values[i]);
    }
    free(keys);
    free(values);
}

static void broker_follow_forgotten(struct coord_put *put, int result)
{
    struct broker_follow *f = put->ctx;
    ASSERT(put == &f->reach && f->reach_out);
    ASSERT(f->reach_count == 0);
    f->reach_out = false;
    f->forgot = result == 0; /* no room: it is tried again */
    f->retry_ms = broker_now(f->broker) + (result == 0 ? 0 : BROKER_FOLLOW_FULL_MS);
}

void broker_follow_forget_reached(struct broker_follow *f)
{
    struct broker *b = f->broker;
    struct coord_changes changes = {0};
    struct buf *keys = calloc(b->partition_count + 1, sizeof *keys);
    size_t count = 0;
    ASSERT(!f->reach_out && list_empty(&f->reaching));
    ASSERT(keys != NULL && f->reach_count == 0);
    for (size_t i = 0; i < b->topic_count; i++)
        for (int32_t k = 0; k < b->sorted[i]->record.partitions; k++) {
            struct bpart_replica *r = b->sorted[i]->parts[k]->replica;
            if (r == NULL)
                continue;
            r->reached = -1;
            cluster_reached_key(b->sorted[i]->record.id, k, &keys[count]);
            coord_changes_add(&changes, buf_slice(&keys[count]), SLICE_NULL);
            count++;
        }
    f->reach = (struct coord_put){.done = broker_follow_forgotten, .ctx = f};
    f->reach_out = true;
    f->retry_ms = INT64_MAX;
    if (changes.count > 0)
        coord_put(b->coord, &f->reach, &changes, broker_wall(b));
    else
        broker_follow_forgotten(&f->reach, 0);
    coord_changes_deinit(&changes);
    for (size_t i = 0; i < count; i++)
        buf_deinit(&keys[i]);
    free(keys);
}

void broker_follow_advanced(struct bpart *p)
{
    struct broker_follow *f = broker_follow_of(p->broker);
    if (p->replica == NULL || p->replica->follow == NULL || p->part == NULL)
        return;
    struct broker_follow_part *fp = p->replica->follow;
    if (fp->state == BROKER_FOLLOW_OFF || fp->state == BROKER_FOLLOW_FENCED)
        return;
    ASSERT(fp->bpart == p && f != NULL);
    broker_follow_may_reach(f, p);
    if (broker_follow_counted(p) > fp->told && !list_linked(&fp->advanced))
        list_add_tail(&f->advanced, &fp->advanced);
}

/* --- taking --- */

static void broker_follow_appended(struct part_append *a, int result)
{
    struct broker_follow_append *fa = LIST_ENTRY(a, struct broker_follow_append, append);
    struct broker_follow_pull *pull = fa->pull;
    struct bpart *p = fa->bpart;
    ASSERT(pull->appending > 0 && pull->out);
    pull->appending--;
    if (result == IO_FULL && p->replica != NULL && p->replica->follow != NULL &&
        p->replica->follow->state == BROKER_FOLLOW_READY)
        broker_follow_later(pull->follow, p, BROKER_FOLLOW_FULL_MS);
    broker_follow_pull_end(pull);
}

/* True when bytes were taken. */
static bool broker_follow_append(struct broker_follow_pull *pull, size_t at)
{
    struct bpart *p = pull->parts[at];
    const struct ship_pull_entry *e = &pull->call.pull.entries[at];
    struct broker_follow_append *fa = &pull->appends[at];
    struct part_shipment in = {.bytes = e->bytes, .segment = e->segment};
    ASSERT(at < pull->cap);
    ASSERT(p->part != NULL && e->bytes.size > 0);
    *fa = (struct broker_follow_append){.pull = pull, .bpart = p};
    fa->append.done = broker_follow_appended;
    int r = part_append_as_is(p->part, &fa->append, &in, broker_wall(p->broker));
    if (r != 0) {
        broker_log(p->broker, 1, "%s-%d: what the leader sent for offset %lld cannot be used (%s)",
                   p->topic->name, p->index, (long long)e->offset,
                   r == PART_EPOCH ? "leader epoch" : "damaged on the way");
        broker_follow_later(pull->follow, p, BROKER_FOLLOW_FULL_MS);
        return false;
    }
    pull->appending++;
    bpart_due(p);
    return true;
}

/* Our log and the leader's part: ours is cut back, never below what was committed. */
static void broker_follow_cut(struct broker_follow *f, struct bpart *p,
                              const struct ship_pull_entry *e)
{
    struct bpart_replica *r = p->replica;
    struct epochs_end mine = epochs_end(&p->part->epochs, e->diverge_epoch, p->part->reserved);
    int64_t to = mine.end < e->diverge_end ? mine.end : e->diverge_end;
    ASSERT(p->part != NULL && p->state == BPART_ONLINE);
    if (mine.epoch < 0 || to < p->part->log_start)
        to = p->part->log_start;
    ASSERT(to <= p->part->reserved);
    if (to < r->high_watermark) {
        broker_log(f->broker, 2,
                   "%s-%d: the leader's log parts from ours at offset %lld, below the high "
                   "watermark %lld: nothing is cut and nothing followed. If the leader is right, "
                   "stop this broker and start it with an empty data folder",
                   p->topic->name, p->index, (long long)to, (long long)r->high_watermark);
        broker_follow_to(f, p, BROKER_FOLLOW_FENCED);
        return;
    }
    if (part_whole_end(p->part) < p->part->reserved && r->reached >= 0)
        broker_mend_mark(p); /* and cut later */
    else if (to < p->part->reserved && bpart_cut(p, to, false))
        broker_log(f->broker, 0, "%s-%d: cut to offset %lld, where the leader's log goes on",
                   p->topic->name, p->index, (long long)to);
    broker_follow_later(f, p, BROKER_FOLLOW_RETRY_MS / 5);
}

/* Everything that we lack is gone at the leader: begin where its log does. */
static void broker_follow_anew(struct broker_follow *f, struct bpart *p,
                               const struct ship_pull_entry *e)
{
    ASSERT(e->log_start >= 0);
    ASSERT(p->part != NULL);
    if (e->log_start > p->part->reserved && bpart_cut(p, e->log_start, true))
        broker_log(f->broker, 0, "%s-%d: begins at offset %lld, as the leader's log does",
                   p->topic->name, p->index, (long long)e->log_start);
    broker_follow_later(f, p, BROKER_FOLLOW_RETRY_MS / 5);
}

static void broker_follow_news(struct broker_follow *f, struct bpart *p,
                               const struct ship_pull_entry *e)
{
    struct bpart_replica *r = p->replica;
    int64_t mark = e->leader_high_watermark;
    ASSERT(r->follow != NULL);
    ASSERT(p->part != NULL);
    r->follow->agreed = e->leader_epoch;
    r->follow->epoch_start = e->epoch_start;
    mark = mark < p->part->reserved ? mark : p->part->reserved;
    if (mark > r->high_watermark) {
        r->high_watermark = mark;
        bpart_watermark_moved(p);
    }
    int64_t begin = e->log_start < p->part->durable ? e->log_start : p->part->durable;
    if (begin > p->part->log_start && begin > p->part->trim_to) {
        part_trim(p->part, begin);
        bpart_due(p);
    }
    broker_follow_may_reach(f, p);
}

static void broker_follow_answered(struct broker_follow_pull *pull, size_t at)
{
    struct broker_follow *f = pull->follow;
    struct bpart *p = pull->parts[at];
    const struct ship_pull_entry *e = &pull->call.pull.entries[at];
    struct broker_follow_part *fp = p->replica->follow;
    ASSERT(at < pull->cap);
    ASSERT(p->state == BPART_ONLINE && fp != NULL);
    switch (e->status) {
    case SHIP_PULL_OK:
        fp->hot = e->bytes.size > 0 && broker_follow_append(pull, at);
        broker_follow_news(f, p, e);
        if (fp->state != BROKER_FOLLOW_ASKED)
            return;
        if (!fp->hot && !f->fetching && p->replica->reached < p->replica->record.leader_epoch)
            broker_follow_later(f, p, BROKER_FOLLOW_RETRY_MS / 5); /* until that is written down */
        else
            broker_follow_to(f, p, BROKER_FOLLOW_READY);
        return;
    case SHIP_PULL_DIVERGING:
        return broker_follow_cut(f, p, e);
    case SHIP_PULL_OUT_OF_RANGE:
        return broker_follow_anew(f, p, e);
    case SHIP_PULL_UNREGISTERED:
        f->broker_epoch = -1;
        f->session++;
        f->mirrored = false;
        return broker_follow_later(f, p, BROKER_FOLLOW_RETRY_MS);
    case SHIP_PULL_STORAGE:
        broker_log(f->broker, 2, "%s-%d: the leader cannot read offset %lld", p->topic->name,
                   p->index, (long long)e->offset);
        return broker_follow_later(f, p, BROKER_FOLLOW_FULL_MS);
    case SHIP_PULL_FENCED:
    case SHIP_PULL_AHEAD:
    case SHIP_PULL_NOT_LEADER:
    case SHIP_PULL_UNKNOWN:
    case SHIP_PULL_LOADING:
        return broker_follow_later(f, p, BROKER_FOLLOW_RETRY_MS / 2);
    }
    ASSERT(false);
}

void broker_follow_take(struct broker_follow_pull *pull, size_t at)
{
    struct broker_follow *f = pull->follow;
    struct bpart *p = pull->parts[at];
    const struct ship_pull_entry *e = &pull->call.pull.entries[at];
    struct broker_follow_part *fp = p->replica == NULL ? NULL : p->replica->follow;
    bool progress = pull == &f->progress;
    ASSERT(at < pull->call.pull.count);
    ASSERT(pull->parts[at] == p);
    if (fp == NULL || fp->state == BROKER_FOLLOW_OFF || fp->state == BROKER_FOLLOW_FENCED ||
        (!progress && (fp->state != BROKER_FOLLOW_ASKED || fp->pull != pull)))
        return; /* not followed any more */
    bool same = e->answered && p->state == BPART_ONLINE &&
                e->leader_epoch == p->replica->record.leader_epoch;
    if (progress) {
        if (same && e->status == SHIP_PULL_OK)
            broker_follow_news(f, p, e);
        else if (!same)
            fp->told = -1;
        return;
    }
    if (same && e->offset == p->part->reserved) { /* F2 */
        broker_follow_answered(pull, at);
        return;
    }
    fp->hot = false;
    broker_follow_to(f, p, BROKER_FOLLOW_READY);
}
