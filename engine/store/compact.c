/* SPDX-License-Identifier: MIT
 *
 * compact: a pass from its plan to its end, and the steps that only read: SCAN and MAP. See
 * compact.h.
 */
#include "engine/store/compact_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/guard.h"

#define COMPACT_TXN_SHARE 16 /* of the memory for keys */

/* --- the owner's side --- */

static int compact_compare_producer(const void *x, const void *y)
{
    const struct compact_producer *a = x, *b = y;
    ASSERT(a->id >= 0 && b->id >= 0);
    return (a->id > b->id) - (a->id < b->id);
}

static void compact_copy_producers(struct compact *c, const struct producers *s)
{
    size_t at = 0, size = (s->map.count + 1) * sizeof *c->producers;
    c->producers = assert_memory(malloc(size), size);
    for (const struct producers_entry *e = map_next(&s->map, &at); e != NULL;
         e = map_next(&s->map, &at))
        if (e->count > 0)
            c->producers[c->producer_count++] =
                (struct compact_producer){e->id, e->batches[e->count - 1].base_offset};
    ASSERT(c->producer_count <= s->map.count);
    qsort(c->producers, c->producer_count, sizeof *c->producers, compact_compare_producer);
}

static void compact_copy_segments(struct compact *c, const struct part *p)
{
    size_t size = p->count * sizeof *c->segments;
    c->segments = assert_memory(calloc(1, size), size);
    for (size_t i = 0; i + 1 < p->count && p->segments[i]->base < c->end; i++) {
        const struct segment *s = p->segments[i];
        c->segments[c->count++] = (struct compact_segment){
            .base = s->base, .end = p->segments[i + 1]->base, .size = s->ready};
    }
    ASSERT(c->count > 0 && c->segments[c->count - 1].end <= p->durable);
}

struct compact *compact_new(const struct part *p, const struct compact_options *o)
{
    struct compact *c = assert_memory(calloc(1, sizeof *c), sizeof *c);
    ASSERT(p->count > 1 && o->first_dirty < o->end && o->end <= p->durable);
    ASSERT(o->now_ms >= 0 && o->delete_retention_ms >= 0 && o->codec < CODEC_COUNT);
    c->io = p->store->io;
    c->options = *o;
    c->dir = assert_memory(strdup(p->dir), strlen(p->dir) + 1);
    c->end = o->end;
    c->totals.end = -1;
    c->segment_size_max = p->config.segment_size_max;
    c->interval = p->config.index_interval_size;
    c->cleaned = p->generation > 0;
    compact_copy_segments(c, p);
    compact_copy_producers(c, &p->producers);
    size_t size = c->count * sizeof(struct reader *);
    c->readers = assert_memory(calloc(1, size), size);
    compact_map_init(&c->map, o->map_size_max - o->map_size_max / COMPACT_TXN_SHARE, o->seed);
    compact_txn_init(&c->txn, o->map_size_max / COMPACT_TXN_SHARE, o->seed);
    while (c->segments[c->slot].end <= o->first_dirty)
        c->slot++;
    ASSERT(c->slot < c->count && c->phase == COMPACT_SCAN);
    return c;
}

void compact_cancel(struct compact *c)
{
    ASSERT(c->phase != COMPACT_SWAP || c->result == 0);
    c->cancelled = true;
    if (c->phase == COMPACT_SWAP)
        c->phase = COMPACT_COPY;
}

struct compact *compact_free(struct compact *c)
{
    if (c == NULL)
        return NULL;
    (void)io_close(c->file); /* of a copy that nobody waits for */
    for (size_t i = 0; i < c->count; i++)
        compact_close_segment(c, i);
    compact_map_deinit(&c->map);
    compact_txn_deinit(&c->txn);
    compact_scratch_deinit(&c->scratch);
    struct buf *all[] = {&c->batch, &c->pending, &c->changed, &c->index, &c->timeindex};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        buf_deinit(all[i]);
    ASSERT(c->segments != NULL && c->readers != NULL);
    free(c->readers);
    free(c->producers);
    free(c->segments);
    free(c->dir);
    free(c);
    return NULL;
}

/* --- the walk over the sources --- */

void compact_close_segment(struct compact *c, size_t slot)
{
    ASSERT(slot < c->count);
    if (c->segments[slot].reader != NULL)
        c->segments[slot].reader = reader_discard(c->io, c->segments[slot].reader);
}

void compact_walk_at(struct compact *c, size_t slot)
{
    ASSERT(slot <= c->count);
    c->slot = slot;
    c->scanning = false;
}

static int compact_walk_open(struct compact *c)
{
    struct compact_segment *s = &c->segments[c->slot];
    struct reader_plan plan = {.dir = c->dir, .base = s->base, .log_size = (size_t)s->size};
    ASSERT(!c->scanning && s->end > s->base);
    if (s->reader == NULL && s->size > 0) {
        int r = reader_open(c->io, &plan, &s->reader);
        if (r != 0)
            return r == IO_MISSING ? COMPACT_LOST : r;
    }
    c->scan = (struct scan){.log = s->size > 0 ? slice_of(s->reader->log.p, (size_t)s->size)
                                               : slice_of("", 0),
                            .expected = s->base,
                            .limit = s->end,
                            .cleaned = c->cleaned};
    c->scanning = true;
    return 0;
}

/* Under guard. */
static int compact_walk_step(void *ctx)
{
    struct scan *s = ctx;
    ASSERT(s->log.p != NULL);
    return scan_next(s);
}

int compact_walk(struct compact *c, size_t end, bool keep)
{
    ASSERT(end <= c->count);
    while (c->slot < end) {
        int r = c->scanning ? 0 : compact_walk_open(c);
        if (r != 0)
            return r;
        const struct scan *s = &c->scan;
        r = s->log.size > 0 ? guard_run(s->log.p, s->log.size, compact_walk_step, &c->scan)
                            : SCAN_END;
        if (r == 0) {
            c->used += c->scan.h.size;
            return 0;
        }
        bool early = !c->cleaned && c->scan.expected != c->segments[c->slot].end;
        if (r != SCAN_END || early)
            return COMPACT_DAMAGED;
        if (!keep)
            compact_close_segment(c, c->slot);
        compact_walk_at(c, c->slot + 1);
    }
    return COMPACT_WALK_END;
}

/* Under guard. */
static int compact_take_run(void *ctx)
{
    struct compact *c = ctx;
    ASSERT(c->batch.cap >= c->scan.h.size);
    memcpy(c->batch.p, c->scan.log.p + c->scan.at, c->scan.h.size);
    return 0;
}

int compact_take(struct compact *c)
{
    const struct scan *s = &c->scan;
    ASSERT(s->at + s->h.size <= s->log.size);
    buf_reset(&c->batch);
    buf_reserve(&c->batch, s->h.size);
    if (guard_run(s->log.p, s->log.size, compact_take_run, c) != 0)
        return COMPACT_DAMAGED;
    c->batch.size = s->h.size;
    return 0;
}

/* --- SCAN --- */

/* The first slot with something dirty. */
static size_t compact_dirty_slot(const struct compact *c)
{
    size_t slot = 0;
    ASSERT(c->options.first_dirty < c->segments[c->count - 1].end);
    while (c->segments[slot].end <= c->options.first_dirty)
        slot++;
    return slot;
}

/* All was seen up to `end`. */
static void compact_scan_end(struct compact *c, int64_t end)
{
    int64_t stable = compact_txn_seal(&c->txn, end);
    ASSERT(stable <= c->options.end);
    if (c->slot < c->count)
        compact_close_segment(c, c->slot);
    c->end = stable > c->options.first_dirty ? stable : c->options.first_dirty;
    c->phase = c->end > c->options.first_dirty ? COMPACT_MAP : COMPACT_END;
    if (c->phase == COMPACT_END) /* all of it is open transactions */
        c->totals.end = c->end;
    compact_walk_at(c, compact_dirty_slot(c));
}

static int compact_scan(struct compact *c)
{
    const struct batch_header *h = &c->scan.h;
    enum compact_marker marker = COMPACT_MARKER_NONE;
    int r = compact_walk(c, c->count, false);
    ASSERT(c->phase == COMPACT_SCAN);
    if (r == COMPACT_WALK_END) {
        compact_scan_end(c, c->options.end);
        return 0;
    }
    if (r == 0 && (h->attributes & BATCH_ATTR_CONTROL) != 0)
        r = compact_take(c);
    if (r != 0 || c->scan.expected <= c->options.first_dirty)
        return r;
    if ((h->attributes & BATCH_ATTR_CONTROL) != 0)
        marker = compact_txn_marker(buf_slice(&c->batch), h);
    if (!compact_txn_see(&c->txn, h, marker))
        compact_scan_end(c, h->base_offset);
    return 0;
}

/* --- MAP --- */

static void compact_map_end(struct compact *c)
{
    size_t count = c->count;
    ASSERT(c->end > c->options.first_dirty);
    if (c->slot < c->count)
        compact_close_segment(c, c->slot);
    while (count > 0 && c->segments[count - 1].base >= c->end)
        compact_close_segment(c, --count);
    c->count = count;
    c->phase = COMPACT_COPY;
    c->group = c->group_end = 0;
    compact_walk_at(c, 0);
}

/* The batch's keys; when there is no room for one, the pass ends in front of it. */
static int compact_map_batch(struct compact *c)
{
    struct batch_iter it;
    struct batch_record r;
    const struct batch_header *h = &c->scan.h;
    enum batch_fault fault =
        batch_iter_init(&it, buf_slice(&c->batch), compact_inflate_max(h), &c->scratch.inflated);
    while (fault == BATCH_OK && batch_iter_next(&it, &r, &fault)) {
        if (r.offset < c->options.first_dirty || r.offset >= c->end || r.key.p == NULL)
            continue;
        if (compact_map_get(&c->map, r.key) >= r.offset)
            return COMPACT_DAMAGED; /* offsets in a batch do not rise */
        if (!compact_map_put(&c->map, r.key, r.offset)) {
            c->end = r.offset;
            break;
        }
    }
    ASSERT(c->map.count > 0 || c->end > c->options.first_dirty);
    return fault == BATCH_OK ? 0 : COMPACT_DAMAGED;
}

static int compact_map(struct compact *c)
{
    const struct batch_header *h = &c->scan.h;
    int64_t end = c->end;
    int r = compact_walk(c, c->count, false);
    ASSERT(c->phase == COMPACT_MAP);
    if (r == COMPACT_WALK_END || (r == 0 && h->base_offset >= c->end)) {
        compact_map_end(c);
        return 0;
    }
    if (r != 0 || c->scan.expected <= c->options.first_dirty || h->count == 0 ||
        (h->attributes & BATCH_ATTR_CONTROL) != 0)
        return r;
    if ((h->attributes & BATCH_ATTR_TXN) != 0 &&
        compact_txn_aborted(&c->txn, h->producer_id, h->base_offset))
        return 0;
    r = compact_take(c);
    if (r == 0)
        r = compact_map_batch(c);
    if (r == 0 && c->end < end) /* full */
        compact_map_end(c);
    return r;
}

/* --- all of it --- */

static void compact_end(struct compact *c, int result)
{
    ASSERT(c->phase != COMPACT_END && c->phase != COMPACT_SWAP);
    compact_copy_discard(c);
    c->result = result;
    c->phase = COMPACT_END;
}

void compact_step(struct compact *c, uint64_t budget)
{
    uint64_t until = c->used + budget;
    int r = c->cancelled ? COMPACT_CANCELLED : c->result;
    ASSERT(c->phase != COMPACT_SWAP && budget > 0);
    while (r == 0 && c->used < until) {
        if (c->phase == COMPACT_SCAN)
            r = compact_scan(c);
        else if (c->phase == COMPACT_MAP)
            r = compact_map(c);
        else if (c->phase == COMPACT_COPY)
            r = compact_copy(c);
        else
            break;
    }
    if (r == 0 && c->phase == COMPACT_COPY)
        r = compact_copy_sync(c);
    if (r != 0 && c->phase != COMPACT_END)
        compact_end(c, r);
}
