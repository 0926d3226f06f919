/* SPDX-License-Identifier: MIT
 *
 * part_read: reading a partition through its mappings. The walk goes from the index floor to the
 * batch that contains the offset, then over whole batches until the size or the bound is reached.
 * Every batch that is returned was checked (continuity and CRC) on the way, so the bytes handed out
 * are the bytes that were acknowledged. A batch that does not check is damage below the written
 * end: its range is remembered (part_damage.c) and skipped from then on.
 *
 * SIGBUS (a page the disk cannot read, a file cut behind our back) becomes damage as well; in an
 * index, which is a hint, it counts as a wrong checksum.
 *
 *   part_read        bounds, known damage; then segment by segment
 *     part_read_segment   mapped? in memory? index good? else PART_COLD
 *       part_walk_run     under guard, the walk
 */
#include <errno.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/guard.h"
#include "engine/store/index.h"
#include "engine/store/part_priv.h"
#include "engine/store/recover.h"
#include "engine/store/scan.h"

/* A read looks at this many bytes beyond what it returns, at most: the walk from the index
 * floor. */
#define PART_READ_AHEAD (64u << 10)

struct part_walk {
    struct scan scan;   /* begins behind the last known damage in front of the offset */
    struct slice index; /* empty: none */
    int64_t base;
    int64_t offset; /* wanted */
    int64_t bound;
    size_t size_max;
    int64_t segment_end; /* base of the next segment, or the written end */
    size_t floor;        /* result: where the walk begins */
    size_t start;        /* result: position of the first batch returned */
    size_t end;          /* behind the last */
    int64_t next_offset;
    bool bad;       /* result: it met damage, where the scan stands */
    bool index_bad; /* result: a wrong checksum in the index */
};

static size_t part_find(const struct part *p, int64_t offset)
{
    size_t low = 0, high = p->count;
    ASSERT(p->count > 0 && offset >= p->segments[0]->base);
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (p->segments[mid]->base <= offset)
            low = mid;
        else
            high = mid;
    }
    ASSERT(p->segments[low]->base <= offset);
    return low;
}

/* Under guard of the index: the floor, as far as the index knows. */
static int part_walk_floor(void *ctx)
{
    struct part_walk *w = ctx;
    struct index_entry e;
    ASSERT(w->scan.pos <= w->scan.log.size);
    w->floor = w->scan.pos;
    if (w->offset < w->base)
        return 0;
    int r = index_floor(w->index, (uint32_t)(w->offset - w->base), &e);
    w->index_bad = r == INDEX_DAMAGED;
    if (r == 0 && e.pos > w->floor && e.pos < w->scan.log.size)
        w->floor = e.pos;
    return 0;
}

/* Begins at the index entry, if the batch there is what it promises, else at the one before. */
static void part_walk_seek(struct part_walk *w)
{
    struct index_entry e;
    int64_t relative = w->offset - w->base;
    ASSERT(w->scan.pos <= w->floor);
    while (relative >= 0 && index_floor(w->index, (uint32_t)relative, &e) == 0) {
        if (e.pos <= w->scan.pos)
            return;
        struct scan before = w->scan;
        relative = (int64_t)e.relative - 1;
        if (e.pos >= before.log.size)
            continue;
        w->scan.pos = e.pos; /* in place: a page that cannot be read is damage here */
        w->scan.expected = w->base + e.relative;
        struct scan s = w->scan;
        if (scan_next(&s) == 0 && s.h.base_offset == w->scan.expected)
            return;
        w->scan = before;
    }
}

/* Takes the batch that the scan went over into the result; false when the result is full. */
static bool part_walk_take(struct part_walk *w)
{
    const struct scan *s = &w->scan;
    ASSERT(w->start <= w->end);
    if (s->expected > w->bound)
        return false;
    if (s->expected <= w->offset)
        return true;
    if (w->end == w->start)
        w->start = s->at;
    else if (s->pos - w->start > w->size_max)
        return false;
    w->end = s->pos;
    w->next_offset = s->expected;
    return w->end - w->start < w->size_max;
}

/* Under guard of the log: no allocation, no lock. */
static int part_walk_log(void *ctx)
{
    struct part_walk *w = ctx;
    int64_t end = w->bound < w->segment_end ? w->bound : w->segment_end;
    part_walk_seek(w);
    w->start = w->end = 0;
    ASSERT(w->scan.pos <= w->scan.log.size);
    while (w->scan.expected < end) {
        int r = scan_next(&w->scan);
        w->bad =
            r == SCAN_BAD || (r == SCAN_END && !w->scan.cleaned); /* a segment ends too early */
        if (r != 0 || !part_walk_take(w))
            break;
    }
    if (w->end > w->start)
        return 0;
    return w->bad ? PART_DAMAGED : PART_END;
}

/* Under guard of the index. */
static int part_walk_run(void *ctx)
{
    struct part_walk *w = ctx;
    struct scan begin = w->scan;
    ASSERT(begin.log.p != NULL);
    int r = guard_run(begin.log.p, begin.log.size, part_walk_log, w);
    if (r == -EIO) { /* the disk cannot read a page: the batch there is lost to us */
        w->bad = true;
        r = PART_DAMAGED;
        if (w->end > w->start)
            r = 0;
    }
    return r;
}

static size_t part_map_size(const struct part *p, const struct segment *s)
{
    bool active = s == part_active(p);
    ASSERT(s->ready > 0);
    return (size_t)(active && s->ready < p->config.segment_size_max ? p->config.segment_size_max
                                                                    : s->ready);
}

static int part_cold(const struct part *p, const struct segment *s, uint64_t pos, size_t size,
                     struct part_warm *warm)
{
    uint64_t entries = p->config.segment_size_max / p->config.index_interval_size + 2;
    uint64_t index_size = entries * INDEX_ENTRY_SIZE;
    index_size = index_size > s->index_ready ? index_size : s->index_ready;
    ASSERT(pos <= s->ready);
    *warm = (struct part_warm){
        .io = p->store->io,
        .open = s->reader == NULL,
        .pos = pos,
        .size = size < s->ready - pos ? size : (size_t)(s->ready - pos),
        .plan = {.dir = p->dir,
                 .base = s->base,
                 .log_size = part_map_size(p, s),
                 .index_size = s->index_ready > 0 ? (size_t)index_size : 0},
        .swaps = p->swaps,
    };
    return PART_COLD;
}

/* Drops a reader that was mapped before the segment had an index, or had grown so far. One that a
 * swap holds stays: under its names there may be other files already (part_swap.c). */
static void part_reader_refresh(const struct part *p, struct segment *s)
{
    struct reader *r = s->reader;
    ASSERT(r == NULL || r->owner == &s->reader);
    if (part_swap_covers(p, s->base))
        return;
    if (r != NULL && ((s->index_ready > 0 && r->unindexed) || s->ready > r->log.size))
        reader_release(r);
}

/* The index does not check. True when the read has to wait for a new one. */
static bool part_index_damaged(struct part *p, size_t slot, struct part_warm *warm)
{
    struct segment *s = p->segments[slot];
    ASSERT(s->reader != NULL);
    if (slot + 1 == p->count || p->read_only || part_swap_covers(p, s->base))
        return false;
    int64_t end = p->segments[slot + 1]->base;
    reader_release(s->reader);
    (void)part_cold(p, s, 0, 0, warm);
    p->rebuilds++;
    warm->rebuild = true;
    warm->segment = (struct recover_segment){.dir = p->dir,
                                             .base = s->base,
                                             .end = end,
                                             .log_size = (size_t)s->ready,
                                             .interval = p->config.index_interval_size,
                                             .cleaned = p->generation > 0};
    return true;
}

static struct part_walk part_walk_init(const struct part *p, size_t slot, const struct part_read *q)
{
    const struct segment *s = p->segments[slot];
    const struct reader *r = s->reader;
    const struct part_range *before = part_damage_before(p, s, q->offset);
    size_t index_size = s->index_ready < r->index.size ? (size_t)s->index_ready : r->index.size;
    ASSERT(s->ready <= r->log.size);
    int64_t end = slot + 1 < p->count ? p->segments[slot + 1]->base : p->written;
    return (struct part_walk){
        .scan = {.log = slice_of(r->log.p, (size_t)s->ready),
                 .pos = before != NULL ? (size_t)before->next_pos : 0,
                 .expected = before != NULL ? before->to : s->base,
                 .limit = end,
                 .cleaned = p->generation > 0},
        .index = slice_of(r->index.p, index_size),
        .base = s->base,
        .offset = q->offset,
        .bound = q->bound,
        .size_max = q->size_max,
        .segment_end = end,
    };
}

/* A segment without bytes that should have some. */
static int part_read_nothing(struct part *p, size_t slot)
{
    const struct segment *s = p->segments[slot];
    int64_t end = slot + 1 < p->count ? p->segments[slot + 1]->base : p->written;
    ASSERT(s->ready == 0);
    if (p->generation > 0 || end == s->base)
        return PART_END;
    part_add_damage(p, (struct part_range){s->base, end, s->base, 0, s->base, 0});
    return PART_DAMAGED;
}

/* 0 and *out; PART_END: nothing at or above the offset in this segment; PART_COLD; PART_DAMAGED:
 * new damage was remembered, at the offset or in front of it. */
static int part_read_segment(struct part *p, size_t slot, const struct part_read *q,
                             struct part_extent *out, struct part_warm *warm)
{
    struct segment *s = p->segments[slot];
    size_t window = q->size_max + PART_READ_AHEAD;
    if (s->ready == 0)
        return part_read_nothing(p, slot);
    part_reader_refresh(p, s);
    if (s->reader == NULL)
        return part_cold(p, s, 0, q->may_wait ? 0 : window, warm);
    struct reader *r = s->reader;
    struct part_walk w = part_walk_init(p, slot, q);
    if (guard_run(w.index.p, w.index.size, part_walk_floor, &w) != 0)
        w.index_bad = true;
    if (w.index_bad && part_index_damaged(p, slot, warm))
        return PART_COLD;
    if (w.index_bad) {
        w.index = SLICE_NULL;
        w.floor = w.scan.pos;
    }
    size_t left = (size_t)(s->ready - w.floor);
    if (!q->may_wait && !io_resident(p->store->io, &r->log, w.floor, left < window ? left : window))
        return part_cold(p, s, w.floor, window, warm);
    int result = guard_run(w.index.p, w.index.size, part_walk_run, &w);
    if (result == -EIO) { /* the index went away under the walk: as good as damaged */
        if (part_index_damaged(p, slot, warm))
            return PART_COLD;
        w = part_walk_init(p, slot, q);
        w.index = SLICE_NULL;
        result = part_walk_run(&w);
    }
    if (w.bad)
        part_damage_found(p, slot,
                          &(struct part_damage){w.scan.log, w.index, w.scan.pos, w.scan.expected});
    if (result != 0)
        return result;
    reader_pin(r);
    *out = (struct part_extent){.bytes = slice_of(r->log.p + w.start, w.end - w.start),
                                .next_offset = w.next_offset,
                                .segment = s->base,
                                .pin = r};
    return 0;
}

/* One try: the bound keeps it in front of the next known damage. */
static int part_read_try(struct part *p, const struct part_read *q, struct part_extent *out,
                         struct part_warm *warm)
{
    ASSERT(p->count > 0 && q->offset < q->bound);
    for (size_t slot = part_find(p, q->offset); slot < p->count; slot++) {
        if (p->segments[slot]->base >= q->bound)
            break;
        int r = part_read_segment(p, slot, q, out, warm);
        if (r != PART_END)
            return r;
    }
    return PART_END;
}

int part_read(struct part *p, const struct part_read *q, struct part_extent *out,
              struct part_warm *warm, int64_t *next_good)
{
    ASSERT(q->bound <= p->written && q->size_max <= SIZE_MAX / 2);
    if (q->offset < p->log_start || q->offset > q->bound)
        return PART_OUT_OF_RANGE;
    if (q->offset == q->bound)
        return PART_END;
    for (;;) { /* every turn but the last remembers new damage */
        const struct part_range *d = part_damage_at(p, q->offset);
        struct part_read limited = *q;
        bool near = d != NULL && d->from < q->bound;
        if (near && d->from > q->offset)
            limited.bound = d->from;
        int64_t to = near && d->to < q->bound ? d->to : q->bound;
        int r = PART_END;
        if (!near || d->from > q->offset)
            r = part_read_try(p, &limited, out, warm);
        if (r == PART_END && near) { /* in the damage, or nothing in front of it */
            *next_good = to;
            return PART_DAMAGED;
        }
        if (r != PART_DAMAGED)
            return r;
    }
}
