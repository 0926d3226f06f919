/* SPDX-License-Identifier: MIT
 *
 * recover: opens a partition folder and makes it whole after a kill or a power cut.
 *
 *   1  list the folder: segments, snapshots; leftovers (*.tmp, *.cleaned,
 *     *.deleted) are removed, swaps of
 *      cleaned segments that were decided are finished (compact_swap.h)
 *   2  read `state`; lost or damaged means: no durable point is known; whether offsets may be
 *      missing is then told by the cleaner's mark
 *   3  sealed segments are taken as they are (their successor proves them), by their sizes and
 *      their last time entry; where that does not fit both index files are made anew. The last
 *      segment is scanned from the recovery point (more exactly: from the last good index entry
 *      before it)
 *   4  the newest good snapshot gives producers and leader epochs, the scan moves them on
 *   5  the scan (recover_last.c) ends at the first batch that does not check, at position p,
 *      expected offset e:
 *        everything behind is zero            clean end
 *        p below the durable point            damage: [e, next good batch or the point) is marked,
 *                                             nothing is changed, the log goes on behind it
 *        no durable point, a good batch later damage, as above
 *        e below the snapshot's offset        damage, as above; where it ends is not known: if no
 *                                             good batch follows, a new segment begins
 *        durable point, a good batch later    the tail is copied to <base>.torn-<p>, then cut:
 *                                             never acknowledged, but doubt deletes nothing
 *        otherwise                            torn tail, cut
 *      A cut zeroes everything behind p and syncs: no old bytes become valid behind new ones
 *   6  the log is synced before anything of it is served, and so are its index files, when entries
 *      of lost batches went from them: they must not come back among those of other batches
 *
 * Every step can be repeated: a crash during recovery is the same as one before it.
 * Invariants: V1 bytes below the recovery point are never written; V2 log end >= recovery point and
 * >= the offset of the snapshot in use, which was only written when everything below was durable.
 */
#include "engine/store/recover_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/guard.h"
#include "engine/store/index.h"
#include "engine/store/scan.h"
#include "engine/store/snapshot.h"

#define RECOVER_CHECKPOINT_SIZE (64u << 20)
#define RECOVER_PRODUCERS_MAX   100000u
#define RECOVER_SNAPSHOT_MAX    (64u << 20)
#define RECOVER_FILES_MAX       1000000u

/* --- the folder --- */

static void recover_push(struct recover_list *l, int64_t v)
{
    if (l->count == l->cap) {
        l->cap = l->cap > 0 ? l->cap * 2 : 8;
        l->v = assert_memory(realloc(l->v, l->cap * sizeof *l->v), l->cap * sizeof *l->v);
    }
    ASSERT(l->count < l->cap);
    l->v[l->count++] = v;
}

static int recover_compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    ASSERT(x >= 0 && y >= 0);
    return (x > y) - (x < y);
}

static void recover_sort(struct recover_list *l)
{
    ASSERT(l->v != NULL || l->count == 0);
    if (l->count > 0)
        qsort(l->v, l->count, sizeof *l->v, recover_compare);
}

static bool recover_is_leftover(const char *name)
{
    size_t size = strlen(name);
    ASSERT(size > 0);
    return (size > 4 && strcmp(name + size - 4, ".tmp") == 0) ||
           state_parse_name(name, STATE_BURIED) >= 0;
}

static int recover_unlink(struct recover *c, const char *path)
{
    ASSERT(!c->o->read_only);
    int r = io_unlink(c->io, path);
    return r == IO_MISSING ? 0 : r;
}

/* What a cleaner left: its mark, swaps, unfinished copies. */
static void recover_cleaner(struct recover *c, const char *name)
{
    struct compact_swap s;
    c->compacted = c->compacted || strcmp(name, COMPACT_MARK) == 0;
    c->cleaning = c->cleaning || compact_swap_is_leftover(name);
    if (!compact_swap_parse(name, &s))
        return;
    size_t size = (c->swap_count + 1) * sizeof *c->swaps;
    c->swaps = assert_memory(realloc(c->swaps, size), size);
    c->swaps[c->swap_count++] = s;
    c->report->swap_found = true;
    ASSERT(s.bases == NULL && s.count == 0);
}

static int recover_name(void *ctx, const char *name, enum io_kind kind)
{
    struct recover *c = ctx;
    if (kind != IO_KIND_FILE)
        return 0;
    if (c->logs.count + c->snapshots.count > RECOVER_FILES_MAX)
        return -EMFILE;
    int64_t log = state_parse_name(name, "log"), snapshot = state_parse_name(name, "snapshot");
    ASSERT(log < 0 || snapshot < 0);
    if (log >= 0)
        recover_push(&c->logs, log);
    if (snapshot >= 0)
        recover_push(&c->snapshots, snapshot);
    recover_cleaner(c, name);
    if (!recover_is_leftover(name) || c->o->read_only)
        return 0;
    struct buf path CLEANUP(buf_deinit) = {0};
    state_path(&path, c->o->dir, name);
    return recover_unlink(c, (const char *)path.p);
}

/* The others of a swap leave the list of segments, the one with its base is on it. */
static void recover_swap_others(struct recover *c, struct compact_swap *s)
{
    size_t keep = 0, size = (c->logs.count + 1) * sizeof *s->bases;
    bool there = false;
    s->bases = assert_memory(malloc(size), size);
    for (size_t i = 0; i < c->logs.count; i++) {
        int64_t base = c->logs.v[i];
        there = there || base == s->base;
        if (base > s->base && base < s->end)
            s->bases[s->count++] = base;
        else
            c->logs.v[keep++] = base;
    }
    ASSERT(keep + s->count == c->logs.count);
    c->logs.count = keep;
    if (!there)
        recover_push(&c->logs, s->base);
}

static int recover_remove_cleaned(void *ctx, const char *name, enum io_kind kind)
{
    struct recover *c = ctx;
    struct buf path CLEANUP(buf_deinit) = {0};
    ASSERT(!c->o->read_only);
    if (kind != IO_KIND_FILE || !compact_swap_is_leftover(name))
        return 0;
    state_path(&path, c->o->dir, name);
    return recover_unlink(c, (const char *)path.p);
}

/* Finishes the swaps that were decided; what was not, never was. */
static int recover_swaps(struct recover *c)
{
    int r = 0;
    ASSERT(c->swaps != NULL || c->swap_count == 0);
    if (c->o->read_only)
        return 0;
    for (size_t i = 0; r == 0 && i < c->swap_count; i++) {
        recover_swap_others(c, &c->swaps[i]);
        r = compact_swap_finish(c->io, c->o->dir, &c->swaps[i]);
    }
    if (r == 0 && c->cleaning)
        r = io_list(c->io, c->o->dir, recover_remove_cleaned, c);
    return r == IO_MISSING ? -ENOENT : r;
}

/* Forgets what is on the list, and removes it. The log goes last, as in a round. */
static int recover_remove(struct recover *c, struct recover_list *l, const char *const *suffixes,
                          size_t count)
{
    int r = 0;
    ASSERT(count > 0);
    for (size_t i = 0; i < l->count && !c->o->read_only; i++)
        for (size_t k = 0; r == 0 && k < count; k++) {
            struct buf path CLEANUP(buf_deinit) = {0};
            state_segment_path(&path, c->o->dir, l->v[i], suffixes[k]);
            r = recover_unlink(c, (const char *)path.p);
        }
    l->count = 0;
    return r;
}

/* The log was begun anew (truncate.h): what the folder holds is of the one before. The state loses
 * its flag when all that is durable, in recover_settle_empty. */
static int recover_begun(struct recover *c)
{
    static const char *const files[] = {"timeindex", "index", "log"};
    static const char *const snapshots[] = {"snapshot"};
    ASSERT(!c->state.begun || c->has_state);
    if (!c->state.begun)
        return 0;
    c->state.begun = false;
    int r = recover_remove(c, &c->logs, files, 3);
    return r != 0 ? r : recover_remove(c, &c->snapshots, snapshots, 1);
}

static int recover_state(struct recover *c)
{
    int r = state_read(c->io, c->o->dir, &c->state);
    ASSERT(!c->has_state);
    c->has_state = r == 0;
    if (!c->has_state)
        c->state = (struct state){.generation = c->compacted || c->swap_count > 0};
    c->report->state_damaged = r == STATE_DAMAGED;
    return r == IO_MISSING || r == STATE_DAMAGED ? 0 : r;
}

/* --- producers and epochs --- */

static int recover_load_snapshot(struct recover *c, int64_t offset, bool *has_epochs)
{
    struct buf path CLEANUP(buf_deinit) = {0}, bytes CLEANUP(buf_deinit) = {0};
    struct part *p = c->part;
    ASSERT(offset >= 0);
    state_segment_path(&path, c->o->dir, offset, "snapshot");
    int r = io_read_file(c->io, (const char *)path.p, RECOVER_SNAPSHOT_MAX, &bytes);
    if (r == 0)
        r = snapshot_load(buf_slice(&bytes), offset, &p->epochs, &p->producers, has_epochs);
    if (r != SNAPSHOT_DAMAGED && r != -EFBIG && r != IO_MISSING)
        return r;
    c->report->snapshot_damaged = true;
    return SNAPSHOT_DAMAGED;
}

/* Crashes between writing a snapshot and removing the oldest leave more than the two that are
 * kept. */
static int recover_drop_snapshots(struct recover *c, size_t count)
{
    int r = 0;
    ASSERT(count <= c->snapshots.count);
    for (size_t i = 0; r == 0 && i < count && !c->o->read_only; i++) {
        struct buf path CLEANUP(buf_deinit) = {0};
        state_segment_path(&path, c->o->dir, c->snapshots.v[i], "snapshot");
        r = recover_unlink(c, (const char *)path.p);
    }
    return r;
}

static int recover_snapshots(struct recover *c)
{
    size_t i = c->snapshots.count;
    int r = SNAPSHOT_DAMAGED;
    bool has_epochs = false;
    ASSERT(c->snapshot == -1);
    for (; r == SNAPSHOT_DAMAGED && i > 0; i--)
        r = recover_load_snapshot(c, c->snapshots.v[i - 1], &has_epochs);
    if (r != 0)
        return r == SNAPSHOT_DAMAGED ? 0 : r;
    c->snapshot = c->snapshots.v[i];
    recover_epochs_loaded(c, has_epochs);
    c->part->snapshots[0] = c->snapshot;
    c->part->snapshots[1] = i > 0 ? c->snapshots.v[i - 1] : -1;
    return i > 1 ? recover_drop_snapshots(c, i - 1) : 0;
}

/* --- sealed segments --- */

struct recover_replay {
    struct scan scan;
    struct scan_stop stop;
    bool bad; /* something was stepped over */
};

static int recover_replay_next(void *ctx)
{
    struct recover_replay *w = ctx;
    ASSERT(w->scan.pos <= w->stop.pos);
    int r = scan_next(&w->scan);
    w->bad = w->bad || r == SCAN_BAD;
    if (r == SCAN_BAD)
        r = scan_resync(&w->scan, w->stop) == 0 ? scan_next(&w->scan) : SCAN_BAD;
    return r;
}

/* A sealed segment between the snapshot and the last segment: for producers and epochs only.
 * Damage is left for the reads to find. */
static int recover_replay_sealed(struct recover *c, const struct segment *s, int64_t end)
{
    struct reader_plan plan = {.dir = c->o->dir, .base = s->base, .log_size = (size_t)s->size};
    struct reader *reader = NULL;
    ASSERT(end > s->base);
    if (s->size == 0)
        return 0;
    int r = reader_open(c->io, &plan, &reader);
    if (r != 0)
        return r == IO_MISSING ? -ENOENT : r;
    const struct io_map *log = &reader->log;
    struct recover_replay w = {
        .scan = {.log = slice_of(log->p, (size_t)s->size),
                 .expected = s->base,
                 .limit = end,
                 .cleaned = c->state.generation > 0},
        .stop = {(size_t)s->size, end},
    };
    while (guard_run(log->p, log->size, recover_replay_next, &w) == 0) {
        recover_batch(c, &w.scan.h);
        c->report->scanned_size += w.scan.h.size;
    }
    if (w.bad && c->part->skipped < end)
        c->part->skipped = end;
    reader_discard(c->io, reader);
    return 0;
}

static int recover_file_size(struct recover *c, int64_t base, const char *suffix, uint64_t *size)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    struct io_file *f = NULL;
    ASSERT(suffix != NULL);
    *size = 0;
    state_segment_path(&path, c->o->dir, base, suffix);
    int r = io_open(c->io, (const char *)path.p, IO_READ, &f);
    if (r == IO_MISSING)
        return 0;
    if (r == 0)
        r = io_size(f, size);
    int closed = io_close(f);
    return r != 0 ? r : closed;
}

/* The last time entry of a sealed segment: its end and its largest timestamp. *fits: it is there,
 * and there is one index entry for each of the others. */
static int recover_seal(struct recover *c, struct segment *s, int64_t end, bool *fits)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    struct io_file *f = NULL;
    uint8_t raw[INDEX_TIME_ENTRY_SIZE];
    size_t got = 0;
    uint64_t count = s->timeindex_size / INDEX_TIME_ENTRY_SIZE;
    *fits = count > 0 && s->timeindex_size % INDEX_TIME_ENTRY_SIZE == 0 &&
            s->index_size == (count - 1) * INDEX_ENTRY_SIZE;
    ASSERT(end > s->base);
    if (!*fits)
        return 0;
    state_segment_path(&path, c->o->dir, s->base, "timeindex");
    int r = io_open(c->io, (const char *)path.p, IO_READ, &f);
    if (r == 0)
        r = io_pread(f, raw, sizeof raw, s->timeindex_size - sizeof raw, &got);
    int closed = io_close(f);
    struct index_time_entry t;
    *fits = r == 0 && got == sizeof raw && index_time_at(slice_of(raw, got), 0, &t) &&
            t.relative == index_end(s->base, end);
    if (*fits)
        s->max_timestamp = t.max_timestamp;
    return r == IO_MISSING ? closed : r != 0 ? r : closed;
}

static int recover_rebuild(struct recover *c, struct segment *s, int64_t end)
{
    struct recover_segment segment = {.dir = c->o->dir,
                                      .base = s->base,
                                      .end = end,
                                      .log_size = (size_t)s->size,
                                      .interval = c->part->config.index_interval_size,
                                      .cleaned = c->state.generation > 0};
    struct recover_sizes sizes = {0, 0};
    bool fits;
    ASSERT(s->size > 0);
    int r = recover_index(c->io, &segment, &sizes);
    if (r < 0)
        return r;
    c->report->index_rebuilt = true;
    s->index_size = sizes.index; /* nothing when the disk is full: it is a hint */
    s->timeindex_size = sizes.timeindex;
    return recover_seal(c, s, end, &fits);
}

int recover_appended(struct recover *c, struct segment *s)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    struct io_file *f = NULL;
    int64_t ms = 0, now = c->o->now_ms;
    ASSERT(s->opened_ms == 0 && now >= 0);
    if (s->size == 0 || (s->max_timestamp >= 0 && s->max_timestamp <= now))
        return 0; /* the records' times will do */
    state_segment_path(&path, c->o->dir, s->base, "log");
    int r = io_open(c->io, (const char *)path.p, IO_READ, &f);
    if (r == 0)
        r = io_modified(f, &ms);
    int closed = io_close(f);
    s->appended_ms = ms > 0 && ms < now ? ms : now;
    return r == IO_MISSING ? closed : r != 0 ? r : closed;
}

static int recover_sealed(struct recover *c, struct segment *s, int64_t end)
{
    bool fits = false;
    int r = recover_file_size(c, s->base, "log", &s->size);
    if (r == 0)
        r = recover_file_size(c, s->base, "index", &s->index_size);
    if (r == 0)
        r = recover_file_size(c, s->base, "timeindex", &s->timeindex_size);
    if (r == 0)
        r = recover_seal(c, s, end, &fits);
    if (r == 0 && !fits && s->size > 0 && !c->o->read_only)
        r = recover_rebuild(c, s, end);
    if (r == 0)
        r = recover_appended(c, s);
    s->ready = s->alloc = s->size;
    s->index_ready = s->index_size -= s->index_size % INDEX_ENTRY_SIZE;
    s->timeindex_ready = s->timeindex_size -= s->timeindex_size % INDEX_TIME_ENTRY_SIZE;
    ASSERT(r <= 0);
    return r;
}

/* --- all of it --- */

static int recover_segments(struct recover *c)
{
    struct part *p = c->part;
    int r = 0;
    ASSERT(p->count == 0);
    for (size_t i = 0; i < c->logs.count; i++)
        part_add_segment(p, c->logs.v[i])->exists = true;
    for (size_t i = 0; r == 0 && i + 1 < p->count; i++)
        r = recover_sealed(c, p->segments[i], p->segments[i + 1]->base);
    for (size_t i = 0; r == 0 && i + 1 < p->count; i++)
        if (p->segments[i + 1]->base > recover_from(c))
            r = recover_replay_sealed(c, p->segments[i], p->segments[i + 1]->base);
    return r == 0 && p->count > 0 ? recover_last(c, part_active(p)) : r;
}

/* V2: the log ends in front of an offset that was durable. */
static void recover_lost(struct recover *c, int64_t end)
{
    struct part *p = c->part;
    const struct segment *s = part_active(p);
    int64_t from = p->reserved > p->log_start ? p->reserved : p->log_start;
    int64_t base = s != NULL ? s->base : 0;
    uint64_t pos = s != NULL ? s->size : 0;
    ASSERT(p->reserved < end);
    if (from < end) {
        part_add_damage(p, (struct part_range){from, end, base, pos, base, pos});
        c->report->damaged_count++;
    }
    p->skipped = end;
    p->reserved = end;
    p->roll = true;
}

static void recover_ends(struct recover *c)
{
    struct part *p = c->part;
    int64_t first = p->count > 0 ? p->segments[0]->base : 0;
    int64_t start = c->has_state ? c->state.log_start : 0;
    int64_t point = c->has_state ? c->state.recovery_offset : 0;
    p->log_start = p->kept_start = first > start ? first : start;
    point = point > c->snapshot ? point : c->snapshot;
    if (p->reserved < point)
        recover_lost(c, point);
    ASSERT(p->reserved >= start); /* state_decode: the point is not below the start */
    p->written = p->durable = p->reserved;
    p->checkpoint = c->has_state ? c->state.recovery_offset : 0;
    recover_epochs_end(c);
    p->generation = c->state.generation;
    p->mark = c->has_state ? c->state.mark : 0; /* V2: at most the end */
    p->exists = c->has_state || p->count > 0;
    ASSERT(p->log_start <= p->reserved);
    if (!p->read_only && p->count > 1 && p->segments[1]->base <= p->log_start)
        p->trim_to = p->log_start; /* a crash came between a trim's state and its segments */
}

static struct part *recover_part(struct store *s, const struct part_open_options *o)
{
    struct part *p = assert_memory(calloc(1, sizeof *p), sizeof *p);
    ASSERT(o->config.segment_size_max <= UINT32_MAX); /* positions in an index entry */
    ASSERT(o->config.segment_size_max > 0 && o->config.index_interval_size > 0);
    p->store = s;
    p->dir = assert_memory(strdup(o->dir), strlen(o->dir) + 1);
    p->read_only = o->read_only;
    p->config = o->config;
    if (p->config.checkpoint_size == 0)
        p->config.checkpoint_size = RECOVER_CHECKPOINT_SIZE;
    if (p->config.producers_max == 0)
        p->config.producers_max = RECOVER_PRODUCERS_MAX;
    producers_init(&p->producers, s->seed, p->config.producers_max);
    list_init(&p->pending);
    list_init(&p->shipped);
    list_init(&p->waits);
    p->trim_to = p->skipped = -1;
    p->snapshots[0] = p->snapshots[1] = -1;
    return p;
}

/* A state without a segment: of a folder that was just made when the process ended. Its name, and
 * the folder's, may be in the page cache only, and later rounds will take both for durable. Or of a
 * log that was begun anew. */
static int recover_settle_empty(struct recover *c)
{
    struct buf path CLEANUP(buf_deinit) = {0}, bytes CLEANUP(buf_deinit) = {0};
    struct buf parent CLEANUP(buf_deinit) = {0};
    ASSERT(c->part->count == 0);
    if (!c->has_state || c->o->read_only)
        return 0;
    state_encode(&c->state, &bytes);
    state_path(&path, c->o->dir, "state");
    state_parent(&parent, c->o->dir);
    int r = io_write_file(c->io, c->o->dir, (const char *)path.p, buf_slice(&bytes));
    if (r == 0)
        r = io_sync_dir(c->io, (const char *)parent.p);
    return r == IO_MISSING ? -ENOENT : r;
}

static void recover_deinit(struct recover *c)
{
    ASSERT(c->io != NULL);
    io_unmap(c->io, &c->map);
    (void)io_close(c->file); /* nothing un-synced in it */
    for (size_t i = 0; i < c->swap_count; i++)
        free(c->swaps[i].bases);
    free(c->swaps);
    free(c->logs.v);
    free(c->snapshots.v);
    buf_deinit(&c->index);
    buf_deinit(&c->timeindex);
}

static int recover_run(struct recover *c)
{
    int r = io_list(c->io, c->o->dir, recover_name, c);
    if (r == IO_MISSING)
        return 0;
    ASSERT(c->part->count == 0);
    if (r == 0)
        r = recover_swaps(c);
    recover_sort(&c->logs);
    recover_sort(&c->snapshots);
    if (r == 0)
        r = recover_state(c);
    if (r == 0)
        r = recover_begun(c);
    if (r == 0)
        r = recover_snapshots(c);
    if (r == 0)
        r = recover_segments(c);
    if (r == 0 && c->part->count == 0)
        r = recover_settle_empty(c);
    if (r == 0)
        recover_ends(c);
    return r;
}

int recover_open(struct store *s, const struct part_open_options *o, struct part **out,
                 struct part_recovery *report)
{
    *report = (struct part_recovery){0};
    struct recover c = {
        .io = s->io, .o = o, .part = recover_part(s, o), .report = report, .snapshot = -1};
    ASSERT(o->now_ms >= 0 && out != NULL);
    int r = recover_run(&c);
    recover_deinit(&c);
    if (r != 0) {
        part_close(c.part);
        return r;
    }
    *out = c.part;
    return 0;
}
