/* SPDX-License-Identifier: MIT
 *
 * verify: see verify.h.
 */
#include "engine/store/verify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/store/index.h"

#define VERIFY_INFLATE_MAX (64u << 20)
#define VERIFY_FILE_MAX    (64u << 20)

struct verify_spot { /* where a batch begins, and the newest timestamp before it */
    uint64_t pos;
    int64_t offset;
    int64_t newest_before;
};

struct verify {
    struct store *store;
    const char *dir;
    const char *name; /* last part of dir */
    const struct verify_options *o;
    struct verify_totals *t;
    struct buf scratch;
    struct verify_spot *spots; /* owned, of the current segment */
    size_t spot_count;
    size_t spot_cap;
    int64_t base;
    int64_t end; /* offset behind the last batch seen */
    int64_t newest;
    int32_t epoch;      /* of the last batch seen */
    uint64_t point_pos; /* durable point in the current segment; UINT64_MAX: all of it */
    bool last;
    bool cleaned;
    bool swapping; /* a swap is half done: indexes may be those of the new segment already */
};

__attribute__((format(printf, 3, 4))) static void verify_say(struct verify *v, bool fault,
                                                             const char *fmt, ...)
{
    char line[512];
    va_list args;
    ASSERT(v->o->found != NULL);
    va_start(args, fmt);
    int size = vsnprintf(line, sizeof line, fmt, args);
    ASSERT(size > 0);
    va_end(args);
    if (fault)
        v->t->faults++;
    else
        v->t->notes++;
    v->o->found(v->o->ctx, fault, line);
}

/* --- one segment's log --- */

static void verify_keep_spot(struct verify *v, const struct walk_item *i)
{
    if (v->spot_count == v->spot_cap) {
        v->spot_cap = v->spot_cap > 0 ? v->spot_cap * 2 : 1024;
        v->spots = realloc(v->spots, v->spot_cap * sizeof *v->spots);
        ASSERT(v->spots != NULL);
    }
    ASSERT(v->spot_count == 0 || v->spots[v->spot_count - 1].pos < i->pos);
    v->spots[v->spot_count++] = (struct verify_spot){i->pos, i->h.base_offset, v->newest};
}

static void verify_bad_bytes(struct verify *v, const struct walk_item *i)
{
    bool tail = v->last && i->pos >= v->point_pos;
    ASSERT(i->fault != BATCH_OK && i->skipped > 0);
    if (tail && i->zeros)
        return; /* reserved space */
    if (tail)
        verify_say(v, false,
                   "%s: %llu bytes behind offset %lld are a torn tail (%s); the next start "
                   "cuts them",
                   v->name, (unsigned long long)i->skipped, (long long)v->end,
                   batch_fault_text(i->fault));
    else
        verify_say(
            v, true, "%s: segment %lld, byte %llu: %s; offset %lld and %llu bytes unreadable",
            v->name, (long long)v->base, (unsigned long long)i->pos, batch_fault_text(i->fault),
            (long long)i->expected, (unsigned long long)i->skipped);
}

static int verify_item(void *ctx, const struct walk_item *i)
{
    struct verify *v = ctx;
    ASSERT(i->expected >= v->base);
    if (i->fault != BATCH_OK) {
        verify_bad_bytes(v, i);
        return 0;
    }
    if (i->h.base_offset > i->expected && !v->cleaned)
        verify_say(v, true, "%s: offsets %lld to %lld are missing", v->name, (long long)i->expected,
                   (long long)i->h.base_offset - 1);
    if (i->h.leader_epoch < v->epoch) /* of this batch or of one before: no checksum covers it */
        verify_say(v, true, "%s: batch at offset %lld: leader epoch falls from %d to %d", v->name,
                   (long long)i->h.base_offset, v->epoch, i->h.leader_epoch);
    v->epoch = i->h.leader_epoch;
    enum batch_fault f = v->o->deep
                             ? batch_check_records(i->batch, &i->h, VERIFY_INFLATE_MAX, &v->scratch)
                             : BATCH_OK;
    if (f != BATCH_OK)
        verify_say(v, true, "%s: batch at offset %lld: %s", v->name, (long long)i->h.base_offset,
                   batch_fault_text(f));
    ASSERT(i->h.base_offset >= i->expected && i->h.count >= 0); /* none: compacted away */
    verify_keep_spot(v, i);
    v->newest = i->h.max_timestamp > v->newest ? i->h.max_timestamp : v->newest;
    v->end = batch_next_offset(&i->h);
    v->t->batches++;
    v->t->records += (uint64_t)i->h.count;
    v->t->size += i->h.size;
    return 0;
}

/* --- its indexes --- */

static const struct verify_spot *verify_spot_at(const struct verify *v, int64_t offset)
{
    size_t low = 0, high = v->spot_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (v->spots[mid].offset < offset)
            low = mid + 1;
        else
            high = mid;
    }
    ASSERT(low == high && low <= v->spot_count);
    return low < v->spot_count && v->spots[low].offset == offset ? &v->spots[low] : NULL;
}

static int verify_read(struct verify *v, const char *suffix, struct buf *out)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    ASSERT(v->base >= 0 && out->size == 0);
    state_segment_path(&path, v->dir, v->base, suffix);
    int r = io_read_file(v->store->io, (const char *)path.p, VERIFY_FILE_MAX, out);
    if (r == -EFBIG)
        verify_say(v, true, "%s: %lld.%s is too large", v->name, (long long)v->base, suffix);
    return r == IO_MISSING || r == -EFBIG ? 0 : r;
}

static void verify_index_entry(struct verify *v, struct slice in, size_t slot)
{
    struct index_entry e;
    const struct verify_spot *spot = NULL;
    ASSERT(slot < in.size / INDEX_ENTRY_SIZE);
    if (index_at(in, slot, &e))
        spot = verify_spot_at(v, v->base + e.relative);
    else if (v->last)
        return; /* not synced before its segment is sealed: the next start rebuilds what lacks */
    if (spot == NULL || spot->pos != e.pos)
        verify_say(v, true,
                   "%s: index of segment %lld, entry %zu points to no batch (a hint: the "
                   "data is not affected; --fix-index rebuilds it)",
                   v->name, (long long)v->base, slot);
}

static void verify_time_entry(struct verify *v, struct slice in, size_t slot)
{
    struct index_time_entry e;
    ASSERT(slot < in.size / INDEX_TIME_ENTRY_SIZE);
    if (!index_time_at(in, slot, &e)) {
        if (!v->last)
            verify_say(v, true, "%s: time index of segment %lld, entry %zu is damaged (a hint)",
                       v->name, (long long)v->base, slot);
        return;
    }
    const struct verify_spot *spot = verify_spot_at(v, v->base + e.relative);
    int64_t newest = spot != NULL ? spot->newest_before : v->newest;
    if ((spot != NULL || v->base + e.relative == v->end) && newest > e.max_timestamp)
        verify_say(v, true, "%s: time index of segment %lld, entry %zu is wrong (a hint)", v->name,
                   (long long)v->base, slot);
}

static int verify_indexes(struct verify *v)
{
    struct buf index CLEANUP(buf_deinit) = {0}, times CLEANUP(buf_deinit) = {0};
    ASSERT(v->end >= v->base);
    int r = verify_read(v, "index", &index);
    if (r == 0)
        r = verify_read(v, "timeindex", &times);
    for (size_t i = 0; r == 0 && i < index.size / INDEX_ENTRY_SIZE; i++)
        verify_index_entry(v, buf_slice(&index), i);
    for (size_t i = 0; r == 0 && i < times.size / INDEX_TIME_ENTRY_SIZE; i++)
        verify_time_entry(v, buf_slice(&times), i);
    return r;
}

static int verify_segment(struct verify *v, const struct part *p, size_t slot,
                          const struct state *state)
{
    ASSERT(slot < p->count);
    ASSERT(slot == 0 || p->segments[slot - 1]->base < p->segments[slot]->base);
    v->base = v->end = p->segments[slot]->base;
    v->last = slot + 1 == p->count;
    v->newest = BATCH_NO_TIMESTAMP;
    v->spot_count = 0;
    v->point_pos = !v->last                          ? UINT64_MAX
                   : state->recovery_base == v->base ? state->recovery_pos
                                                     : 0;
    int r = walk_segment(v->store->io, v->dir, v->base, verify_item, v);
    if (r == 0 && !v->swapping)
        r = verify_indexes(v);
    if (r == 0 && !v->last && v->end < p->segments[slot + 1]->base && !v->cleaned)
        verify_say(v, true, "%s: segment %lld ends at offset %lld, the next begins at %lld",
                   v->name, (long long)v->base, (long long)v->end,
                   (long long)p->segments[slot + 1]->base);
    v->t->segments++;
    if (v->o->progress != NULL)
        v->o->progress(v->o->ctx, v->t->size);
    return r == IO_MISSING ? 0 : r;
}

/* --- the folder --- */

static void verify_report(struct verify *v, const struct part *p, const struct part_recovery *r)
{
    if (r->state_damaged)
        verify_say(v, true, "%s: state file damaged (the log itself is not affected)", v->name);
    if (r->snapshot_damaged)
        verify_say(v, true, "%s: producer snapshot damaged (it is rebuilt from the log)", v->name);
    if (r->swap_found)
        verify_say(v, false,
                   "%s: a swap of compacted segments is half done; the next start ends it",
                   v->name);
    ASSERT(p->read_only && r != NULL);
    for (size_t i = 0; i < p->damaged_count; i++)
        if (p->damaged[i].from < p->damaged[i].to)
            verify_say(v, true, "%s: offsets %lld to %lld are damaged below the durable point",
                       v->name, (long long)p->damaged[i].from, (long long)p->damaged[i].to - 1);
    part_check(p);
}

int verify_part(struct store *s, const char *dir, const struct verify_options *o,
                struct verify_totals *t)
{
    const char *slash = strrchr(dir, '/');
    struct verify v = {.store = s,
                       .dir = dir,
                       .name = slash != NULL ? slash + 1 : dir,
                       .o = o,
                       .t = t,
                       .epoch = -1};
    struct part_open_options open = {
        .dir = dir,
        .read_only = true,
        .config = {.segment_size_max = 1u << 30,
                   .segment_ms = INT64_MAX,
                   .index_interval_size = 4096},
    };
    struct part_recovery report;
    struct part *p = NULL;
    struct state state = {0};
    ASSERT(o->found != NULL);
    t->partitions++;
    int r = part_open(s, &open, &p, &report);
    if (r == STATE_NEWER) {
        verify_say(&v, true, "%s: written by a newer format", v.name);
        return 0;
    }
    if (r != 0)
        return r > 0 ? -ENOSPC : r;
    ASSERT(p != NULL);
    verify_report(&v, p, &report);
    if (state_read(s->io, dir, &state) != 0)
        state = (struct state){.recovery_base = -1};
    v.cleaned = p->generation > 0;
    v.swapping = report.swap_found;
    for (size_t i = 0; r == 0 && i < p->count; i++)
        r = verify_segment(&v, p, i, &state);
    buf_deinit(&v.scratch);
    free(v.spots);
    part_close(p);
    return r;
}
