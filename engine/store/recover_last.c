/* SPDX-License-Identifier: MIT
 *
 * recover_last: the last segment of a partition after a kill or a power cut; see recover.c.
 *
 *   [ ....... index floor ....... point ....... p        ]
 *             ^ the scan begins   ^ durable     ^ ends
 */
#include <errno.h>
#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/guard.h"
#include "engine/store/copy.h"
#include "engine/store/index.h"
#include "engine/store/recover_priv.h"
#include "engine/store/scan.h"

#define RECOVER_CHUNK (1u << 20)

struct recover_scan {
    struct scan scan;
    struct segment *s;
    uint64_t point_pos; /* durable point in this segment; UINT64_MAX: behind it, it was sealed */
    int64_t point_offset;
    bool done;
};

/* Under guard. */
static int recover_step(void *ctx)
{
    struct scan *s = ctx;
    ASSERT(s->log.p != NULL);
    return scan_next(s);
}

static int recover_next(struct recover *c, struct scan *s)
{
    ASSERT(s->log.size <= c->map.size);
    return guard_run(c->map.p, c->map.size, recover_step, s);
}

struct recover_search {
    struct scan scan;
    struct scan_stop stop;
    size_t used; /* position behind the last byte that is not zero */
};

static int recover_search_used(void *ctx)
{
    struct recover_search *s = ctx;
    ASSERT(s->scan.pos <= s->scan.log.size);
    s->used = s->scan.log.size;
    while (s->used > s->scan.pos && s->scan.log.p[s->used - 1] == 0)
        s->used--;
    return 0;
}

static int recover_search_run(void *ctx)
{
    struct recover_search *s = ctx;
    ASSERT(s->scan.pos <= s->stop.pos);
    return scan_resync(&s->scan, s->stop);
}

/* Moves `used` behind the last good batch, which may end in zeros. Under guard. */
static int recover_search_end(void *ctx)
{
    struct recover_search *s = ctx;
    ASSERT(s->used >= s->scan.pos);
    while (s->scan.pos <= s->stop.pos && scan_resync(&s->scan, s->stop) == 0) {
        while (scan_next(&s->scan) == 0) {
        }
        s->used = s->scan.pos > s->used ? s->scan.pos : s->used;
    }
    return 0;
}

/* 0: *f stands at the next good batch in front of the stop; SCAN_END: there is none; -EIO. */
static int recover_find(struct recover *c, struct recover_search *f)
{
    ASSERT(f->stop.pos <= f->scan.log.size);
    return guard_run(c->map.p, c->map.size, recover_search_run, f);
}

/* Goes on at (pos, to): what lies in between is damaged. */
static void recover_mark(struct recover *c, struct recover_scan *n, size_t pos, int64_t to)
{
    ASSERT(to >= n->scan.expected && pos >= n->scan.pos);
    part_add_damage(c->part, (struct part_range){.from = n->scan.expected,
                                                 .to = to,
                                                 .base = n->s->base,
                                                 .pos = n->scan.pos,
                                                 .next_base = n->s->base,
                                                 .next_pos = pos});
    c->report->damaged_count += to > n->scan.expected;
    c->part->skipped = to > c->part->skipped ? to : c->part->skipped;
    n->scan.pos = pos;
    n->scan.expected = to;
    n->s->size = pos; /* bytes that are no batch stay where they are */
}

static int recover_save_torn(struct recover *c, const struct recover_scan *n, uint64_t end)
{
    struct buf path CLEANUP(buf_deinit) = {0}, bytes CLEANUP(buf_deinit) = {0};
    char suffix[40];
    int length = snprintf(suffix, sizeof suffix, "torn-%zu", n->scan.pos);
    ASSERT(length > 0 && (size_t)length < sizeof suffix);
    state_segment_path(&path, c->o->dir, n->s->base, suffix);
    size_t size = (size_t)(end - n->scan.pos), got;
    buf_reserve(&bytes, size);
    int r = io_pread(c->file, bytes.p, size, n->scan.pos, &got);
    if (r != 0)
        return r;
    bytes.size = got;
    c->report->torn_saved = true;
    return io_write_file(c->io, c->o->dir, (const char *)path.p, buf_slice(&bytes));
}

static int recover_cut(struct recover *c, struct recover_scan *n, size_t used, bool later)
{
    ASSERT(n->scan.pos >= n->point_pos); /* V1 */
    n->done = true;
    c->report->torn_size = used - n->scan.pos;
    c->report->torn_offset = n->scan.expected;
    if (c->report->torn_size == 0 || c->o->read_only)
        return 0;
    int r = later ? recover_save_torn(c, n, used) : 0;
    if (r == 0)
        r = io_zero(c->file, n->scan.pos, n->scan.log.size - n->scan.pos);
    return r != 0 ? r : io_sync(c->io, &c->file, 1);
}

/* A bad batch below the durable point: on at the next good one, at the latest at the point. */
static int recover_damage(struct recover *c, struct recover_scan *n)
{
    size_t size = n->scan.log.size;
    bool inside = n->point_pos <= size;
    struct recover_search f = {
        .scan = n->scan,
        .stop = {inside ? (size_t)n->point_pos : size, inside ? n->point_offset : -1}};
    ASSERT(n->scan.pos < n->point_pos);
    int r = recover_find(c, &f);
    if (r < 0)
        return r;
    int64_t point = n->point_offset > n->scan.expected ? n->point_offset : n->scan.expected;
    if (r == 0)
        recover_mark(c, n, f.scan.pos, f.scan.expected);
    else
        recover_mark(c, n, f.stop.pos, point);
    if (r != 0 && !inside)
        c->part->roll = true;
    return 0;
}

/* The batch where the scan stands does not check. */
static int recover_bad(struct recover *c, struct recover_scan *n)
{
    struct recover_search f = {.scan = n->scan};
    ASSERT(!n->done);
    if (n->scan.pos < n->point_pos)
        return recover_damage(c, n);
    int r = guard_run(c->map.p, c->map.size, recover_search_used, &f);
    if (r != 0)
        return r;
    f.stop = (struct scan_stop){f.used, -1};
    r = recover_find(c, &f);
    if (r < 0)
        return r;
    bool later = r == 0, durable = n->scan.expected < c->snapshot; /* V2 */
    if (later && (durable || !c->has_state)) {
        recover_mark(c, n, f.scan.pos, f.scan.expected);
        return 0;
    }
    if (durable) {
        recover_mark(c, n, n->scan.log.size, c->snapshot);
        c->part->roll = true; /* nothing more behind bytes of which nothing is known */
        return 0;
    }
    if (later)
        r = guard_run(c->map.p, c->map.size, recover_search_end, &f);
    return r < 0 ? r : recover_cut(c, n, f.used, later);
}

static int recover_scan_run(struct recover *c, struct recover_scan *n)
{
    int r = 0;
    while (r == 0 && !n->done && n->scan.pos < n->scan.log.size) {
        r = recover_next(c, &n->scan);
        ASSERT(r <= 0 || r == SCAN_BAD);
        if (r == SCAN_BAD) {
            r = recover_bad(c, n);
        } else if (r == 0) {
            recover_batch(c, &n->scan.h);
            part_index_batch(c->part->config.index_interval_size, n->s, &n->scan.h, &c->index,
                             &c->timeindex);
            if (n->scan.at >= n->point_pos)
                c->report->scanned_size += n->scan.h.size;
        }
    }
    ASSERT(r != 0 || n->s->size == n->scan.pos);
    return r;
}

/* Reads an index file whole. */
static int recover_read_index(struct recover *c, const struct segment *s, const char *suffix,
                              struct buf *out)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    ASSERT(out->size == 0);
    state_segment_path(&path, c->o->dir, s->base, suffix);
    int r = io_read_file(c->io, (const char *)path.p, RECOVER_INDEX_MAX, out);
    return r == IO_MISSING || r == -EFBIG ? 0 : r;
}

/* True when the scan can begin at the pair of entries; then it stands there. */
static bool recover_begin(struct recover *c, struct recover_scan *n, const struct buf *index,
                          const struct buf *times, size_t slot)
{
    struct index_entry e;
    struct index_time_entry t;
    int64_t from = recover_from(c) < n->point_offset ? recover_from(c) : n->point_offset;
    ASSERT(n->scan.pos == 0);
    if (!index_at(buf_slice(index), slot, &e) || !index_time_at(buf_slice(times), slot, &t) ||
        e.relative != t.relative || n->s->base + e.relative > from || e.pos >= n->scan.log.size)
        return false;
    struct scan s = n->scan;
    s.pos = e.pos;
    s.expected = n->s->base + e.relative;
    if (recover_next(c, &s) != 0 || s.h.base_offset != n->s->base + e.relative)
        return false;
    n->scan.pos = n->s->size = n->s->indexed = e.pos;
    n->scan.expected = s.h.base_offset;
    n->s->max_timestamp = t.max_timestamp;
    return true;
}

/* Chooses where the scan begins: the last index entry at or below the recovery point and the
 * snapshot; sets the segment's figures as they were there. */
static int recover_start(struct recover *c, struct recover_scan *n)
{
    struct buf index CLEANUP(buf_deinit) = {0}, times CLEANUP(buf_deinit) = {0};
    struct segment *s = n->s;
    int r = recover_read_index(c, s, "index", &index);
    if (r == 0)
        r = recover_read_index(c, s, "timeindex", &times);
    if (r != 0)
        return r;
    size_t size = n->scan.log.size;
    size_t good = index_good_size(buf_slice(&index), n->point_pos < size ? n->point_pos + 1 : size);
    size_t good_times = index_time_good_size(buf_slice(&times), UINT32_MAX);
    size_t count = good / INDEX_ENTRY_SIZE, time_count = good_times / INDEX_TIME_ENTRY_SIZE;
    count = count < time_count ? count : time_count; /* they are written in pairs */
    while (count > 0 && !recover_begin(c, n, &index, &times, count - 1))
        count--;
    s->index_size = count * INDEX_ENTRY_SIZE;
    s->timeindex_size = count * INDEX_TIME_ENTRY_SIZE;
    ASSERT(count > 0 || n->scan.pos == 0);
    return 0;
}

static int recover_save_index(struct recover *c, const struct segment *s, const char *suffix,
                              const struct buf *entries, uint64_t end)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    struct io_file *f = NULL;
    uint64_t size = 0, keep = end - entries->size;
    ASSERT(entries->size <= end);
    state_segment_path(&path, c->o->dir, s->base, suffix);
    unsigned create = entries->size > 0 ? IO_CREATE : 0;
    int r = io_open(c->io, (const char *)path.p, IO_READ | IO_WRITE | create, &f);
    if (r != 0)
        return r == IO_MISSING ? 0 : r;
    struct iovec v = {entries->p, entries->size};
    r = io_size(f, &size);
    if (r == 0 && size > keep)
        r = io_truncate(f, keep);
    if (r == 0 && size > keep)
        r = io_sync(c->io, &f, 1);
    if (r == 0 && entries->size > 0)
        r = io_pwritev(f, &v, 1, keep);
    int closed = io_close(f);
    return r != 0 ? r : closed;
}

/* Index entries that the disk has no room for are left out: they are hints. */
static int recover_save_indexes(struct recover *c, struct segment *s)
{
    int r = recover_save_index(c, s, "index", &c->index, s->index_size);
    ASSERT(c->index.size <= s->index_size);
    if (r == 0)
        r = recover_save_index(c, s, "timeindex", &c->timeindex, s->timeindex_size);
    if (r != IO_FULL)
        return r;
    s->index_size -= c->index.size;
    s->timeindex_size -= c->timeindex.size;
    s->indexed = s->size; /* the next entry an interval from here */
    return 0;
}

/* After an error exit the page cache may show bytes that the disk lacks: write them once more, so
 * that the sync has something to do. */
static int recover_rewrite(struct recover *c, uint64_t from, uint64_t to)
{
    struct buf bytes CLEANUP(buf_deinit) = {0};
    ASSERT(from <= to);
    buf_reserve(&bytes, RECOVER_CHUNK);
    for (uint64_t pos = from; pos < to;) {
        size_t want = to - pos < RECOVER_CHUNK ? (size_t)(to - pos) : RECOVER_CHUNK, got;
        int r = io_pread(c->file, bytes.p, want, pos, &got);
        if (r != 0 || got == 0)
            return r;
        struct iovec v = {bytes.p, got};
        r = io_pwritev(c->file, &v, 1, pos);
        if (r != 0)
            return r;
        pos += got;
    }
    return 0;
}

/* What a kill left in the page cache is made durable before it is served, names included. */
static int recover_settle(struct recover *c, const struct recover_scan *n)
{
    struct buf parent CLEANUP(buf_deinit) = {0};
    int r = 0;
    ASSERT(!c->o->read_only);
    if (c->o->rewrite_tail && n->scan.pos > n->point_pos)
        r = recover_rewrite(c, n->point_pos, n->scan.pos);
    if (r == 0)
        r = io_sync(c->io, &c->file, 1);
    if (r == 0)
        r = io_sync_dir(c->io, c->o->dir);
    state_parent(&parent, c->o->dir);
    if (r == 0)
        r = io_sync_dir(c->io, (const char *)parent.p);
    if (r == 0)
        r = recover_save_indexes(c, n->s);
    return r == IO_MISSING ? -ENOENT : r;
}

/* It will be written: a snapshot that linked it when it was sealed, before a power cut lost what
 * came behind it, keeps its bytes. */
static int recover_own_last(struct recover *c, const struct segment *s, const char *path)
{
    uint64_t names = 0;
    int r = io_names(c->file, &names);
    if (r != 0 || names <= 1)
        return r;
    ASSERT(!c->o->read_only);
    r = io_close(c->file);
    c->file = NULL;
    if (r == 0)
        r = copy_own(c->io, c->o->dir, s->base);
    return r != 0 ? r : io_open(c->io, path, IO_READ | IO_WRITE, &c->file);
}

static int recover_open_last(struct recover *c, const struct segment *s, uint64_t *size)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    ASSERT(c->file == NULL);
    state_segment_path(&path, c->o->dir, s->base, "log");
    unsigned flags = c->o->read_only ? IO_READ : IO_READ | IO_WRITE;
    int r = io_open(c->io, (const char *)path.p, flags, &c->file);
    if (r == 0 && !c->o->read_only)
        r = recover_own_last(c, s, (const char *)path.p);
    if (r == 0)
        r = io_size(c->file, size);
    if (r == 0 && *size > 0)
        r = io_map(c->file, (size_t)*size, &c->map);
    return r == IO_MISSING ? -ENOENT : r;
}

static void recover_set_point(const struct recover *c, struct recover_scan *n)
{
    ASSERT(n->scan.pos == 0);
    n->point_offset = n->s->base;
    if (!c->has_state || c->state.recovery_base < n->s->base)
        return;
    bool here = c->state.recovery_base == n->s->base;
    n->point_pos = here ? c->state.recovery_pos : UINT64_MAX;
    n->point_offset = here ? c->state.recovery_offset : c->state.recovery_base;
}

static void recover_first_timestamp(struct recover *c, struct recover_scan *n)
{
    struct scan s = n->scan;
    ASSERT(s.pos == 0);
    if (s.log.size > 0 && recover_next(c, &s) == 0)
        n->s->first_timestamp = s.h.max_timestamp;
}

/* What is known of its first append: it was not before its first record, or not before now. */
static int64_t recover_opened(const struct recover *c, const struct segment *s)
{
    int64_t now = c->o->now_ms > 0 ? c->o->now_ms : 1;
    ASSERT(s->size > 0);
    return s->first_timestamp > 0 && s->first_timestamp < now ? s->first_timestamp : now;
}

int recover_last(struct recover *c, struct segment *s)
{
    struct part *p = c->part;
    struct recover_scan n = {.s = s, .scan = {.expected = s->base}};
    uint64_t size = 0;
    int r = recover_open_last(c, s, &size);
    if (r != 0)
        return r;
    n.scan.log = slice_of(c->map.p, (size_t)size);
    n.scan.limit = s->base < INT64_MAX - UINT32_MAX ? s->base + UINT32_MAX : INT64_MAX;
    n.scan.cleaned = c->state.generation > 0;
    recover_set_point(c, &n);
    recover_first_timestamp(c, &n);
    r = recover_start(c, &n);
    if (r == 0)
        r = recover_scan_run(c, &n);
    if (r == 0 && !c->o->read_only)
        r = recover_settle(c, &n);
    if (r == 0)
        r = recover_appended(c, s);
    s->opened_ms = s->size > 0 ? recover_opened(c, s) : 0;
    s->ready = s->size;
    s->alloc = size;
    s->index_ready = s->index_size;
    s->timeindex_ready = s->timeindex_size;
    p->reserved = n.scan.expected;
    p->since_checkpoint = n.scan.pos > n.point_pos ? n.scan.pos - n.point_pos : 0;
    ASSERT(p->reserved >= s->base);
    return r;
}
