/* SPDX-License-Identifier: MIT
 *
 * query: see query.h. The walk takes the same batches for good as a read does (scan.h) and steps
 * over damage; where the disk cannot read a page it goes on with the next segment. A batch is
 * copied out of the mapping before it is opened, because that allocates, which must not happen
 * under guard.
 */
#include "engine/store/query.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/guard.h"
#include "engine/store/index.h"
#include "engine/store/scan.h"

#define QUERY_INFLATE_MAX (64u << 20)

void query_init(struct query *q, const struct part *p, int64_t timestamp, int64_t bound)
{
    ASSERT(bound <= p->written && (timestamp >= 0 || timestamp == QUERY_MAX_TIMESTAMP));
    size_t size = (p->count + 1) * sizeof *q->segments, dir_size = strlen(p->dir) + 1;
    *q = (struct query){.io = p->store->io,
                        .dir = assert_memory(strdup(p->dir), dir_size),
                        .segments = assert_memory(calloc(1, size), size),
                        .count = p->count,
                        .log_start = p->log_start,
                        .bound = bound,
                        .timestamp = timestamp,
                        .inflate_max = QUERY_INFLATE_MAX,
                        .cleaned = p->generation > 0,
                        .swaps = p->swaps,
                        .offset = -1,
                        .found_timestamp = BATCH_NO_TIMESTAMP};
    for (size_t i = 0; i < p->count; i++) {
        const struct segment *s = p->segments[i];
        int64_t end = i + 1 < p->count ? p->segments[i + 1]->base : p->written;
        q->segments[i] = (struct query_segment){
            s->base, end, s->ready, s->max_timestamp, s->index_ready, s->timeindex_ready};
    }
}

bool query_stale(const struct query *q, const struct part *p)
{
    ASSERT(q->swaps <= p->swaps);
    return q->swaps != p->swaps || p->swapping;
}

void query_deinit(struct query *q)
{
    ASSERT(q->segments != NULL);
    free(q->dir);
    free(q->segments);
    *q = (struct query){0};
}

struct query_walk {
    struct query *q;
    const struct query_segment *s;
    struct slice index;
    struct slice timeindex;
    struct index_time_entry time; /* where the walk may begin, as the time index says */
    struct index_entry entry;     /* and the index entry for that */
    struct scan scan;
    struct scan_stop stop;
    int64_t best;       /* for the largest timestamp: of the batches up to here */
    struct slice batch; /* result: the batch to open */
};

/* Under guard of the time index. */
static int query_seek_time(void *ctx)
{
    struct query_walk *w = ctx;
    ASSERT(w->q->timestamp >= 0);
    return index_time_floor(w->timeindex, w->q->timestamp, &w->time);
}

/* Under guard of the index. */
static int query_seek_index(void *ctx)
{
    struct query_walk *w = ctx;
    ASSERT(w->index.p != NULL);
    return index_floor(w->index, w->time.relative, &w->entry);
}

/* Under guard of the log: begins at the index entry, if the batch there is what it promises. */
static int query_seek_log(void *ctx)
{
    struct query_walk *w = ctx;
    struct scan s = w->scan;
    ASSERT(s.pos == 0);
    if (w->entry.pos >= s.log.size)
        return SCAN_END;
    s.pos = w->entry.pos;
    s.expected = w->s->base + w->entry.relative;
    struct scan begin = s;
    int r = scan_next(&s);
    if (r == 0 && s.h.base_offset == begin.expected)
        w->scan = begin;
    return r;
}

static void query_seek(struct query_walk *w)
{
    const struct slice *log = &w->scan.log;
    ASSERT(w->scan.expected == w->s->base);
    if (w->q->timestamp < 0 || w->index.size == 0 || w->timeindex.size == 0)
        return;
    int r = guard_run(w->timeindex.p, w->timeindex.size, query_seek_time, w);
    if (r == 0)
        r = guard_run(w->index.p, w->index.size, query_seek_index, w);
    if (r == 0)
        r = guard_run(log->p, log->size, query_seek_log, w);
    w->q->passed = w->q->passed || (r == 0 && w->scan.expected > w->q->log_start);
    ASSERT(r >= 0 || r == -EIO); /* in any case the walk has a good place to begin */
}

/* The scan went over a batch: true when it is to be opened now. */
static bool query_take(struct query_walk *w)
{
    const struct query *q = w->q;
    const struct batch_header *h = &w->scan.h;
    ASSERT(w->scan.expected <= q->bound);
    if (w->scan.expected <= q->log_start || (h->attributes & BATCH_ATTR_CONTROL) != 0 ||
        h->count == 0) /* compacted away */
        return false;
    bool newest = q->timestamp < 0;
    if (newest ? h->max_timestamp <= w->best : h->max_timestamp < q->timestamp) {
        w->q->passed = true;
        return false;
    }
    w->batch = slice_of(w->scan.log.p + w->scan.at, h->size);
    if (newest && h->base_offset >= q->log_start)
        w->best = h->max_timestamp;
    return !newest || h->base_offset < q->log_start; /* its newest record may be gone */
}

/* Under guard of the log: finds a batch to open. */
static int query_walk_run(void *ctx)
{
    struct query_walk *w = ctx;
    ASSERT(w->batch.p == NULL);
    while (w->scan.expected < w->q->bound) {
        int r = scan_next(&w->scan);
        w->q->stepped = w->q->stepped || r == SCAN_BAD;
        if (r == SCAN_BAD && scan_resync(&w->scan, w->stop) == 0)
            continue;
        if (r != 0 || w->scan.expected > w->q->bound || query_take(w))
            break;
    }
    return 0;
}

struct query_copy {
    struct slice from;
    uint8_t *to;
};

static int query_copy_run(void *ctx)
{
    struct query_copy *c = ctx;
    ASSERT(c->to != NULL);
    memcpy(c->to, c->from.p, c->from.size);
    return 0;
}

/* True when a record of the batch answers the question. */
static bool query_open_batch(struct query *q, struct slice batch)
{
    struct buf scratch CLEANUP(buf_deinit) = {0};
    struct batch_iter it;
    struct batch_record rec;
    bool newest = q->timestamp < 0, found = false;
    ASSERT(batch.size >= BATCH_HEADER_SIZE);
    enum batch_fault fault = batch_iter_init(&it, batch, q->inflate_max, &scratch);
    while (fault == BATCH_OK && (newest || !found) && batch_iter_next(&it, &rec, &fault)) {
        bool old = newest ? rec.timestamp <= q->found_timestamp : rec.timestamp < q->timestamp;
        q->passed = q->passed || (old && rec.offset >= q->log_start);
        if (old || rec.offset < q->log_start)
            continue;
        q->offset = rec.offset;
        q->found_timestamp = rec.timestamp;
        found = true;
    }
    q->stepped = q->stepped || fault != BATCH_OK;
    return found;
}

static bool query_try(struct query *q, struct slice batch)
{
    struct buf copy CLEANUP(buf_deinit) = {0};
    ASSERT(batch.p != NULL);
    buf_reserve(&copy, batch.size);
    struct query_copy c = {batch, copy.p};
    bool copied = guard_run(batch.p, batch.size, query_copy_run, &c) == 0;
    q->stepped = q->stepped || !copied;
    return copied && query_open_batch(q, slice_of(copy.p, batch.size));
}

static struct query_walk query_walk_init(struct query *q, const struct query_segment *s,
                                         const struct reader *r)
{
    size_t index = s->index_ready < r->index.size ? (size_t)s->index_ready : r->index.size;
    size_t times =
        s->timeindex_ready < r->timeindex.size ? (size_t)s->timeindex_ready : r->timeindex.size;
    ASSERT(s->ready <= r->log.size);
    return (struct query_walk){
        .q = q,
        .s = s,
        .index = slice_of(r->index.p, index),
        .timeindex = slice_of(r->timeindex.p, times),
        .scan = {.log = slice_of(r->log.p, (size_t)s->ready),
                 .expected = s->base,
                 .limit = s->end,
                 .cleaned = q->cleaned},
        .stop = {(size_t)s->ready, s->end},
    };
}

/* One segment; true when the question is answered. */
static bool query_segment_run(struct query *q, const struct query_segment *s, struct reader *r)
{
    struct query_walk w = query_walk_init(q, s, r);
    bool found = false;
    ASSERT(q->offset < q->bound);
    query_seek(&w);
    do { /* goes on behind a batch whose fitting records lie below the log start */
        w.batch = SLICE_NULL;
        w.best = q->found_timestamp;
        int e = guard_run(r->log.p, r->log.size, query_walk_run, &w);
        q->stepped = q->stepped || e != 0;
        found = e == 0 && w.batch.p != NULL && query_try(q, w.batch);
    } while (w.batch.p != NULL && (!found || q->timestamp < 0));
    return found;
}

void query_run(struct query *q)
{
    ASSERT(q->dir != NULL);
    bool found = false;
    for (size_t i = 0; i < q->count && q->result == 0 && !found; i++) {
        const struct query_segment *s = &q->segments[i];
        struct reader_plan plan = {.dir = q->dir,
                                   .base = s->base,
                                   .log_size = (size_t)s->ready,
                                   .index_size = (size_t)s->index_ready,
                                   .timeindex_size = (size_t)s->timeindex_ready};
        struct reader *r = NULL;
        bool old = s->max_timestamp >= 0 && s->max_timestamp < q->timestamp;
        if (s->ready == 0 || s->end <= q->log_start || (i + 1 < q->count && old))
            continue;
        int e = reader_open(q->io, &plan, &r);
        q->stepped = q->stepped || e != 0;
        q->result = e == IO_MISSING ? 0 : e; /* dropped meanwhile */
        found = e == 0 && query_segment_run(q, s, r);
        if (r != NULL)
            reader_discard(q->io, r);
    }
    ASSERT(q->offset < q->bound);
}
