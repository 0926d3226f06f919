/* SPDX-License-Identifier: MIT
 *
 * bpart: the life of one partition inside the broker: opened on first use or in the background,
 * in a worker; queued for rounds when it has work.
 *
 *   IDLE --bpart_use / background--> LOADING --recovered--> ONLINE
 *                                       |
 *                                       +--cannot be read--> FAILED --a use, later--> IDLE
 *   any state --topic deleted--> GONE
 *
 * A partition without a folder has nothing to recover and goes ONLINE at once.
 */
#include <errno.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/broker/broker_lead.h"
#include "engine/broker/broker_mend.h"
#include "engine/broker/broker_priv.h"
#include "engine/store/truncate.h"

#define BPART_LOADS_MAX 2u    /* background recoveries under way */
#define BPART_RETRY_MS  10000 /* descriptors or memory may have been short */

struct bpart_load {
    struct work_job job;
    struct broker *broker;
    struct bpart *bpart;
    struct part *part;
    struct part_recovery report;
    struct part_open_options options;
    struct buf path;
    int result;
};

void bpart_init(struct bpart *p, struct broker *b, struct topic *t, int32_t index)
{
    ASSERT(index >= 0);
    ASSERT(b != NULL && (t != NULL || index == 0)); /* __meta has one */
    *p = (struct bpart){.broker = b, .topic = t, .index = index, .first_dirty = -1};
    list_init(&p->due);
    list_init(&p->load);
    list_init(&p->waits);
    list_init(&p->held);
    list_init(&p->asks);
    p->oldest_ms = -1;
}

struct bpart *bpart_new(struct broker *b, struct topic *t, int32_t index)
{
    ASSERT(t != NULL);
    struct bpart *p = malloc(sizeof *p);
    ASSERT(p != NULL);
    bpart_init(p, b, t, index);
    return p;
}

void bpart_path(const struct bpart *p, struct buf *out)
{
    ASSERT(p->topic != NULL || p == &p->broker->meta_part);
    ASSERT(p->index >= 0);
    if (p->topic == NULL)
        buf_printf(out, "%s/__meta", p->broker->dir);
    else
        buf_printf(out, "%s/%s-%d", p->broker->dir, p->topic->name, p->index);
}

bool bpart_syncs(const struct bpart *p)
{
    ASSERT(p->topic != NULL || p == &p->broker->meta_part);
    return p->topic == NULL ? p->sync : p->topic->limits.sync;
}

int64_t bpart_visible(const struct bpart *p)
{
    ASSERT(p->part != NULL);
    ASSERT(p->part->durable <= p->part->written && p->shown <= p->part->written);
    int64_t end = !bpart_syncs(p)               ? p->part->written
                  : p->part->durable > p->shown ? p->part->durable
                                                : p->shown;
    if (p->replica == NULL || p->replica->revision < 0)
        return end;
    int64_t mark = bpart_watermark(p);
    mark = mark > p->part->log_start ? mark : p->part->log_start;
    return mark < end ? mark : end;
}

void bpart_due(struct bpart *p)
{
    if (p->state != BPART_ONLINE || list_linked(&p->due)) /* GONE: nothing is written any more */
        return;
    ASSERT(p->part != NULL);
    if (!part_round_due(p->part, p->flush))
        return;
    list_add_tail(&p->broker->due[bpart_syncs(p) || p->flush], &p->due);
}

void bpart_configure(struct bpart *p)
{
    const struct part_config *c = &p->topic->limits.part;
    ASSERT(p->part != NULL && c->segment_size_max > 0);
    p->part->config.segment_size_max = c->segment_size_max;
    p->part->config.segment_ms = c->segment_ms;
    p->part->config.index_interval_size = c->index_interval_size;
    p->part->config.roll_size = c->roll_size;
    p->part->config.roll_ms = c->roll_ms;
    p->part->config.roll_small_ms = c->roll_small_ms;
    p->part->config.bury_size = c->bury_size;
}

void bpart_tighten(struct bpart *p)
{
    ASSERT(p->part != NULL && bpart_syncs(p));
    p->shown = p->part->written;
    p->flush = true;
    if (list_linked(&p->due)) /* it may wait for a round that does not sync */
        list_remove(&p->due);
    bpart_due(p);
}

static struct part_open_options bpart_options(const struct bpart *p, const char *path)
{
    ASSERT(p->topic != NULL);
    ASSERT(path != NULL && path[0] != '\0');
    return (struct part_open_options){.dir = path,
                                      .config = p->topic->limits.part,
                                      .now_ms = broker_wall(p->broker),
                                      .rewrite_tail = p->broker->after_error};
}

/* Whole batches behind a hole that the recovery point does not cover: a power cut leaves that, a
 * process that ends does not. */
static bool bpart_has_lost(const struct broker *b, const struct part_recovery *r)
{
    int64_t told;
    ASSERT(b->coord != NULL);
    return r->torn_saved && !broker_node_unclean(b, &told);
}

static void bpart_report(const struct bpart_load *l)
{
    const struct part_recovery *r = &l->report;
    const char *path = strrchr((const char *)l->path.p, '/') + 1;
    struct broker *b = l->broker;
    ASSERT(l->result == 0 && l->part != NULL);
    if (r->torn_size > 0)
        broker_log(b, 0, "recovered %s: torn tail cut, %llu bytes after offset %lld%s", path,
                   (unsigned long long)r->torn_size, (long long)r->torn_offset,
                   r->torn_saved ? " (kept in a .torn file: they held a whole batch)"
                                 : ", never acknowledged");
    if (r->damaged_count > 0)
        broker_log(b, 2,
                   "%s: damaged below the durable point: %zu offset range(s) unreadable; "
                   "nothing was deleted (kauri verify tells where)",
                   path, r->damaged_count);
    if (r->state_damaged)
        broker_log(b, 1, "%s: state file damaged, recovered from the segments", path);
    if (r->snapshot_damaged)
        broker_log(b, 1, "%s: producer snapshot damaged, rebuilt from the log", path);
}

static void bpart_online(struct bpart *p, struct part *part)
{
    ASSERT(p->part == NULL && p->state != BPART_ONLINE);
    ASSERT(part != NULL && p->state != BPART_GONE);
    p->part = part;
    p->state = BPART_ONLINE;
    bpart_configure(p); /* the limits may have changed since the load began */
    broker_retention_look(p);
    bpart_due(p); /* what a crash left of a trim */
    bpart_opened(p);
    bpart_advanced(p);
    broker_follow_part(p);
    broker_fetch_wake(p->broker, p);
    broker_mend_opened(p);
}

static void bpart_load_run(struct work_job *job)
{
    struct bpart_load *l = LIST_ENTRY(job, struct bpart_load, job);
    ASSERT(l->part == NULL);
    l->result = part_open(&l->broker->store, &l->options, &l->part, &l->report);
    ASSERT((l->result == 0) == (l->part != NULL));
}

static void bpart_fail(struct bpart *p)
{
    ASSERT(p->part == NULL && p->state != BPART_GONE);
    p->state = BPART_FAILED;
    p->retry_ms = broker_now(p->broker) + BPART_RETRY_MS;
}

static void bpart_load_done(struct work_note *note)
{
    struct work_job *job = LIST_ENTRY(note, struct work_job, note);
    struct bpart_load *l = LIST_ENTRY(job, struct bpart_load, job);
    struct bpart *p = l->bpart;
    ASSERT(p->jobs > 0 && l->broker->loading > 0);
    ASSERT(p->state == BPART_LOADING || p->state == BPART_GONE);
    ASSERT(p->part == NULL);
    p->jobs--;
    l->broker->loading--;
    if (p->state == BPART_GONE) {
        part_close(l->part);
    } else if (l->result == 0) {
        bpart_report(l);
        bpart_online(p, l->part);
        if (p->replica != NULL && bpart_has_lost(p->broker, &l->report))
            broker_mend_mark(p);
    } else {
        if (l->result == IO_FULL)
            p->state = BPART_IDLE;
        else
            bpart_fail(p);
        broker_log(l->broker, 2, "cannot open %s: %s", (const char *)l->path.p,
                   l->result == STATE_NEWER ? "written by a newer format"
                   : l->result == IO_FULL   ? "no space left to finish its recovery"
                                            : error_text(l->result));
    }
    broker_produce_wake(p->broker, p);
    broker_trim_loaded(p->broker, p);
    buf_deinit(&l->path);
    free(l);
}

static void bpart_load(struct bpart *p)
{
    struct bpart_load *l = calloc(1, sizeof *l);
    ASSERT(l != NULL && p->state == BPART_IDLE);
    ASSERT(p->on_disk && p->part == NULL);
    if (list_linked(&p->load))
        list_remove(&p->load);
    p->state = BPART_LOADING;
    p->jobs++;
    p->broker->loading++;
    l->broker = p->broker;
    l->bpart = p;
    bpart_path(p, &l->path);
    l->options = bpart_options(p, (const char *)l->path.p);
    l->job.run = bpart_load_run;
    l->job.note.done = bpart_load_done;
    work_submit(p->broker->env.work, &l->job);
}

/* Nothing on disk: no recovery, no worker. */
static enum broker_status bpart_open_empty(struct bpart *p)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    struct part_recovery report;
    struct part *part = NULL;
    ASSERT(p->state == BPART_IDLE && !p->on_disk);
    bpart_path(p, &path);
    struct part_open_options o = bpart_options(p, (const char *)path.p);
    int r = part_open(&p->broker->store, &o, &part, &report);
    ASSERT((r == 0) == (part != NULL));
    if (r != 0) {
        bpart_fail(p);
        return BROKER_STORAGE;
    }
    bpart_online(p, part);
    return BROKER_OK;
}

enum broker_status bpart_use(struct bpart *p)
{
    ASSERT(p->topic != NULL); /* __meta is open from the start */
    ASSERT((p->state == BPART_ONLINE) == (p->part != NULL) || p->state == BPART_GONE);
    if (p->state == BPART_FAILED && broker_now(p->broker) >= p->retry_ms)
        p->state = BPART_IDLE;
    switch (p->state) {
    case BPART_ONLINE:
        return p->mending ? BROKER_LOADING : BROKER_OK;
    case BPART_IDLE:
        if (!p->on_disk)
            return bpart_open_empty(p);
        bpart_load(p);
        return BROKER_LOADING;
    case BPART_LOADING:
        return BROKER_LOADING;
    case BPART_FAILED:
        return BROKER_STORAGE;
    case BPART_GONE:
        return BROKER_UNKNOWN_TOPIC;
    }
    ASSERT(false);
    return BROKER_STORAGE;
}

/* --- cutting, mending --- */

enum bpart_cut_kind {
    BPART_CUT_BACK,
    BPART_CUT_ANEW,
    BPART_CUT_MEND,
};

struct bpart_cut {
    struct work_job job;
    struct bpart *bpart;
    struct part *part; /* opened again */
    struct part_recovery report;
    struct part_open_options options;
    struct buf path;
    enum bpart_cut_kind kind;
    struct state state; /* with `settles`: written before anything else */
    bool settles;
    int64_t offset;          /* to cut at */
    const struct mend *mend; /* borrowed */
    int result;
};

static int bpart_cut_change(struct bpart_cut *c)
{
    struct store *s = &c->bpart->broker->store;
    int64_t end;
    int r = c->settles ? state_write(s->io, c->options.dir, &c->state) : 0;
    ASSERT(c->part == NULL && (c->mend != NULL || c->offset >= 0));
    if (r != 0)
        return r == IO_FULL ? r : r > 0 ? -ENOENT : r;
    switch (c->kind) {
    case BPART_CUT_BACK:
        return truncate_part(s, &c->options, c->offset, &end);
    case BPART_CUT_ANEW:
        return truncate_begin(s, &c->options, c->offset);
    case BPART_CUT_MEND:
        return mend_run(s->io, c->options.dir, c->mend);
    }
    ASSERT(false);
    return 0;
}

static void bpart_cut_run(struct work_job *job)
{
    struct bpart_cut *c = LIST_ENTRY(job, struct bpart_cut, job);
    struct store *s = &c->bpart->broker->store;
    ASSERT(job->run == bpart_cut_run);
    c->result = bpart_cut_change(c);
    int r = part_open(s, &c->options, &c->part, &c->report); /* as it was, if it was not cut */
    c->result = c->result != 0 ? c->result : r;
}

static void bpart_cut_done(struct work_note *note)
{
    struct work_job *job = LIST_ENTRY(note, struct work_job, note);
    struct bpart_cut *c = LIST_ENTRY(job, struct bpart_cut, job);
    struct bpart *p = c->bpart;
    ASSERT(p->jobs > 0 && p->broker->loading > 0 && p->part == NULL);
    p->jobs--;
    p->broker->loading--;
    if (c->result != 0)
        broker_log(p->broker, 2, "cannot %s %s: %s", c->mend != NULL ? "mend" : "cut",
                   (const char *)c->path.p,
                   c->result == IO_FULL ? "no space left" : error_text(c->result));
    if (p->state == BPART_GONE)
        part_close(c->part);
    else if (c->part != NULL)
        bpart_online(p, c->part);
    else
        bpart_fail(p);
    bpart_unheld(p);
    broker_produce_wake(p->broker, p);
    broker_trim_loaded(p->broker, p);
    if (c->mend != NULL)
        broker_mend_written(p->broker, c->result);
    buf_deinit(&c->path);
    free(c);
}

/* Nobody has it in hand. */
static bool bpart_still(const struct bpart *p)
{
    const struct part *part = p->part;
    ASSERT(p->state == BPART_ONLINE && part != NULL);
    return p->jobs == 0 && part->pending_count == 0 && part->round == NULL && part->swap == NULL &&
           (p->replica == NULL || !p->replica->changing);
}

/* Closes it, and opens it again when a worker has done what `change` says. */
static void bpart_cut_begin(struct bpart *p, const struct bpart_cut *change)
{
    struct bpart_cut *c = calloc(1, sizeof *c);
    ASSERT(c != NULL && bpart_still(p));
    *c = *change;
    c->settles = part_settled(p->part, &c->state);
    bpart_hold(p);
    if (list_linked(&p->due))
        list_remove(&p->due);
    p->part = part_close(p->part);
    p->state = BPART_LOADING;
    p->jobs++;
    p->broker->loading++;
    c->bpart = p;
    bpart_path(p, &c->path);
    c->options = bpart_options(p, (const char *)c->path.p);
    c->job.run = bpart_cut_run;
    c->job.note.done = bpart_cut_done;
    work_submit(p->broker->env.work, &c->job);
}

bool bpart_cut(struct bpart *p, int64_t offset, bool anew)
{
    ASSERT(offset >= 0);
    ASSERT(p->replica == NULL || !p->replica->leading);
    if (!bpart_still(p))
        return false;
    struct bpart_cut change = {.kind = anew ? BPART_CUT_ANEW : BPART_CUT_BACK, .offset = offset};
    bpart_cut_begin(p, &change);
    return true;
}

bool bpart_mend(struct bpart *p, const struct mend *m)
{
    ASSERT(p->state == BPART_ONLINE && m->upto > m->piece.from);
    p->flush = p->flush || p->part->durable < p->part->written;
    bpart_due(p);
    p->mending = !bpart_still(p) || p->part->durable != p->part->reserved;
    if (p->mending)
        return false;
    struct bpart_cut change = {.kind = BPART_CUT_MEND, .mend = m};
    bpart_cut_begin(p, &change);
    return true;
}

void bpart_mend_not(struct bpart *p)
{
    ASSERT(p->topic != NULL);
    if (!p->mending)
        return;
    p->mending = false;
    if (p->state == BPART_LOADING)
        return;
    broker_produce_wake(p->broker, p);
    broker_trim_loaded(p->broker, p);
    broker_fetch_wake(p->broker, p);
    ASSERT(!p->mending);
}

void bpart_load_later(struct bpart *p)
{
    ASSERT(p->topic != NULL);
    ASSERT(p->state != BPART_IDLE || p->part == NULL);
    if (p->state == BPART_IDLE && p->on_disk && !list_linked(&p->load))
        list_add_tail(&p->broker->loads, &p->load);
}

void bpart_load_some(struct broker *b)
{
    while (b->loading < BPART_LOADS_MAX && !list_empty(&b->loads)) {
        struct bpart *p = LIST_ENTRY(list_pop(&b->loads), struct bpart, load);
        ASSERT(p->broker == b && !list_linked(&p->load));
        if (p->state == BPART_IDLE)
            bpart_load(p);
    }
}
