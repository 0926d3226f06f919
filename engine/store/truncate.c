/* SPDX-License-Identifier: MIT
 *
 * truncate: see truncate.h.
 */
#include "engine/store/truncate.h"

#include <errno.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/guard.h"
#include "engine/store/copy.h"
#include "engine/store/part_priv.h"
#include "engine/store/scan.h"

#define TRUNCATE_CHUNK (1u << 20)

struct truncate_walk {
    struct scan scan;
    struct scan_stop stop;
    int64_t offset; /* wanted */
    uint64_t pos;   /* result: the last boundary at or below it */
    int64_t end;
};

/* Under guard. Damage on the way is stepped over: only what lies behind the offset goes. */
static int truncate_walk_run(void *ctx)
{
    struct truncate_walk *w = ctx;
    int r = 0;
    ASSERT(w->end <= w->offset);
    while (r == 0 && w->scan.expected <= w->offset) {
        w->pos = w->scan.pos;
        w->end = w->scan.expected;
        ASSERT(w->pos <= w->scan.log.size);
        r = scan_next(&w->scan);
        if (r == SCAN_BAD)
            r = scan_resync(&w->scan, w->stop);
    }
    return 0;
}

static int truncate_find(struct part *p, size_t slot, struct truncate_walk *w)
{
    const struct segment *s = p->segments[slot];
    struct reader_plan plan = {.dir = p->dir, .base = s->base, .log_size = (size_t)s->ready};
    struct reader *r = NULL;
    ASSERT(s->base <= w->offset);
    ASSERT(slot < p->count && w->pos == 0);
    w->end = s->base;
    if (s->ready == 0)
        return 0;
    int e = reader_open(p->store->io, &plan, &r);
    if (e != 0)
        return e;
    int64_t end = slot + 1 < p->count ? p->segments[slot + 1]->base : p->reserved;
    ASSERT(end > s->base);
    w->scan = (struct scan){.log = slice_of(r->log.p, (size_t)s->ready),
                            .expected = s->base,
                            .limit = end,
                            .cleaned = p->generation > 0};
    w->stop = (struct scan_stop){(size_t)s->ready, end};
    e = guard_run(r->log.p, r->log.size, truncate_walk_run, w);
    reader_discard(p->store->io, r);
    return e;
}

static int truncate_state(struct part *p, const struct segment *s, const struct truncate_walk *w)
{
    struct buf path CLEANUP(buf_deinit) = {0}, bytes CLEANUP(buf_deinit) = {0};
    int64_t start = p->log_start < w->end ? p->log_start : w->end;
    struct state state = {.log_start = start,
                          .recovery_offset = w->end,
                          .recovery_base = s->base,
                          .recovery_pos = w->pos,
                          .epoch = p->epoch,
                          .mark = p->mark < w->end ? p->mark : w->end,
                          /* what a cleaner remembered of this log does not fit any more */
                          .generation = p->generation > 0 ? p->generation + 2 : 0};
    ASSERT(w->end >= s->base && w->pos <= s->ready);
    ASSERT(w->end <= p->reserved);
    state_encode(&state, &bytes);
    state_path(&path, p->dir, "state");
    return io_write_file(p->store->io, p->dir, (const char *)path.p, buf_slice(&bytes));
}

static int truncate_unlink(struct part *p, int64_t offset, const char *suffix)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    ASSERT(offset >= 0);
    state_segment_path(&path, p->dir, offset, suffix);
    int r = io_unlink(p->store->io, (const char *)path.p);
    return r == IO_MISSING ? 0 : r;
}

static int truncate_snapshots(struct part *p, int64_t end)
{
    int r = 0;
    ASSERT(end >= 0 && end <= p->reserved);
    for (unsigned i = 0; r == 0 && i < 2; i++)
        if (p->snapshots[i] > end)
            r = truncate_unlink(p, p->snapshots[i], "snapshot");
    return r;
}

/* Whole segments behind the end, newest first, and the indexes of the segment with the end. */
static int truncate_segments(struct part *p, int64_t end_base)
{
    int r = 0;
    ASSERT(p->count > 0 && p->segments[0]->base <= end_base);
    for (size_t i = p->count; r == 0 && i > 0 && p->segments[i - 1]->base >= end_base; i--) {
        int64_t base = p->segments[i - 1]->base;
        r = truncate_unlink(p, base, "timeindex");
        if (r == 0)
            r = truncate_unlink(p, base, "index");
        if (r == 0 && base > end_base)
            r = truncate_unlink(p, base, "log");
    }
    ASSERT(r <= 0);
    return r != 0 ? r : io_sync_dir(p->store->io, p->dir);
}

static int truncate_zero(struct part *p, const struct segment *s, uint64_t pos)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    struct io_file *f = NULL;
    uint64_t size = 0;
    ASSERT(pos <= s->ready);
    state_segment_path(&path, p->dir, s->base, "log");
    int r = io_open(p->store->io, (const char *)path.p, IO_READ | IO_WRITE, &f);
    if (r != 0)
        return r;
    r = io_size(f, &size);
    if (r == 0 && size > pos)
        r = io_zero(f, pos, size - pos);
    if (r == 0)
        r = io_sync(p->store->io, &f, 1);
    int closed = io_close(f);
    return r != 0 ? r : closed;
}

static int truncate_run(struct part *p, int64_t offset, int64_t *end)
{
    if (offset < p->log_start || offset > p->reserved)
        return PART_OUT_OF_RANGE;
    size_t slot = p->count;
    while (slot > 0 && p->segments[slot - 1]->base > offset)
        slot--;
    if (slot == 0) {
        *end = p->reserved;
        return p->count == 0 ? 0 : PART_OUT_OF_RANGE;
    }
    const struct segment *s = p->segments[slot - 1];
    struct truncate_walk w = {.offset = offset};
    ASSERT(s->base <= offset);
    int r = truncate_find(p, slot - 1, &w);
    ASSERT(w.end <= offset);
    ASSERT(w.end >= s->base);
    if (r == 0)
        r = copy_own(p->store->io, p->dir, s->base);
    if (r == 0)
        r = truncate_state(p, s, &w);
    if (r != 0)
        return r > IO_FULL ? -ENOENT : r;
    r = truncate_snapshots(p, w.end);
    if (r == 0)
        r = truncate_segments(p, s->base);
    if (r == 0)
        r = truncate_zero(p, s, w.pos);
    if (r == 0)
        *end = w.end;
    return r > 0 ? -ENOSPC : r; /* half done, so no condition any more */
}

int truncate_part(struct store *s, const struct part_open_options *o, int64_t offset, int64_t *end)
{
    struct part *p = NULL;
    struct part_recovery report;
    ASSERT(!o->read_only && offset >= 0);
    int r = part_open(s, o, &p, &report);
    if (r != 0)
        return r;
    ASSERT(p != NULL && list_empty(&p->pending));
    r = truncate_run(p, offset, end);
    part_close(p);
    return r;
}

static int truncate_begin_run(struct part *p, int64_t offset)
{
    struct buf parent CLEANUP(buf_deinit) = {0}, path CLEANUP(buf_deinit) = {0};
    struct buf bytes CLEANUP(buf_deinit) = {0};
    struct io *io = p->store->io;
    struct state state = {.log_start = offset,
                          .recovery_offset = offset,
                          .recovery_base = offset,
                          .epoch = p->epoch,
                          .mark = p->mark,
                          .generation = p->generation > 0 ? p->generation + 2 : 0,
                          .begun = true};
    int r = 0;
    ASSERT(offset >= p->reserved);
    state_encode(&state, &bytes);
    state_path(&path, p->dir, "state");
    state_parent(&parent, p->dir);
    if (!p->exists)
        r = io_mkdir(io, p->dir);
    if (r == 0 || r == IO_EXISTS)
        r = io_write_file(io, p->dir, (const char *)path.p, buf_slice(&bytes));
    if (r == 0 && !p->exists)
        r = io_sync_dir(io, (const char *)parent.p);
    return r > IO_FULL ? -ENOENT : r;
}

int truncate_begin(struct store *s, const struct part_open_options *o, int64_t offset)
{
    struct part *p = NULL;
    struct part_recovery report;
    ASSERT(!o->read_only && offset >= 0 && offset < INT64_MAX);
    int r = part_open(s, o, &p, &report);
    if (r != 0)
        return r;
    ASSERT(p != NULL && list_empty(&p->pending));
    if (offset < p->reserved)
        r = PART_OUT_OF_RANGE;
    else if (offset > p->log_start)
        r = truncate_begin_run(p, offset);
    part_close(p);
    return r;
}
