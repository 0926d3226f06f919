/* SPDX-License-Identifier: MIT
 *
 * compact_copy: COPY and SWAP of a pass, see compact.h. The copy of a group is written behind a
 * buffer and synced piece by piece, so that its bytes never stand in the way of a round's sync as
 * one heap.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/store/compact_priv.h"
#include "engine/store/compact_swap.h"
#include "engine/store/index.h"
#include "engine/store/part_priv.h"

#define COMPACT_BUFFER (1u << 20)

/* --- files --- */

static int compact_copy_create(struct compact *c, int64_t base, const char *suffix,
                               struct io_file **out)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    char cleaned[32];
    int size = snprintf(cleaned, sizeof cleaned, "%s.cleaned", suffix);
    ASSERT(size > 0 && (size_t)size < sizeof cleaned);
    state_segment_path(&path, c->dir, base, cleaned);
    int r = io_open(c->io, (const char *)path.p, IO_READ | IO_WRITE | IO_CREATE | IO_EXCL, out);
    ASSERT(r != 0 || *out != NULL);
    return r == IO_MISSING ? COMPACT_LOST : r == IO_EXISTS ? -EEXIST : r;
}

static int compact_copy_flush(struct compact *c)
{
    struct iovec v = {c->pending.p, c->pending.size};
    ASSERT(c->file != NULL);
    if (c->pending.size == 0)
        return 0;
    int r = io_pwritev(c->file, &v, 1, c->written);
    c->written += c->pending.size;
    c->used += c->pending.size;
    buf_reset(&c->pending);
    return r;
}

int compact_copy_sync(struct compact *c)
{
    if (c->file == NULL)
        return 0;
    int r = compact_copy_flush(c);
    ASSERT(r != 0 || c->written == c->segment.size);
    return r != 0 ? r : io_sync(c->io, &c->file, 1);
}

void compact_copy_discard(struct compact *c)
{
    ASSERT(c->group <= c->count);
    (void)io_close(c->file); /* nobody waits for these bytes */
    c->file = NULL;
    int r = 0;
    if (c->group < c->group_end)
        r = compact_swap_discard(c->io, c->dir, c->segments[c->group].base);
    ASSERT(r <= 0); /* what stays behind is recovery's */
}

static int compact_copy_index(struct compact *c, const char *suffix, const struct buf *entries)
{
    struct io_file *f = NULL;
    struct iovec v = {entries->p, entries->size};
    ASSERT(c->group < c->group_end);
    int r = compact_copy_create(c, c->segments[c->group].base, suffix, &f);
    if (r != 0)
        return r;
    if (entries->size > 0)
        r = io_pwritev(f, &v, 1, 0);
    if (r == 0)
        r = io_sync(c->io, &f, 1);
    int closed = io_close(f);
    return r != 0 ? r : closed;
}

/* --- groups --- */

/* As many of the next segments as fit into one, at least one. */
static void compact_copy_group(struct compact *c)
{
    uint64_t size = c->segments[c->group].size;
    size_t end = c->group + 1;
    ASSERT(c->group < c->count);
    while (end < c->count && c->segments[end].end - c->segments[c->group].base <= INT32_MAX &&
           size + c->segments[end].size <= c->segment_size_max)
        size += c->segments[end++].size;
    c->group_end = end;
}

static int compact_copy_begin(struct compact *c)
{
    compact_copy_group(c);
    int64_t base = c->segments[c->group].base;
    c->segment = (struct segment){
        .base = base, .first_timestamp = BATCH_NO_TIMESTAMP, .max_timestamp = BATCH_NO_TIMESTAMP};
    c->written = 0;
    c->differs = c->group_end - c->group > 1;
    buf_reset(&c->pending);
    buf_reset(&c->index);
    buf_reset(&c->timeindex);
    ASSERT(c->file == NULL && c->slot == c->group);
    int r = compact_swap_discard(c->io, c->dir, base);
    return r != 0 ? r : compact_copy_create(c, base, "log", &c->file);
}

static void compact_copy_next(struct compact *c)
{
    ASSERT(c->file == NULL && c->group < c->group_end);
    for (size_t i = c->group; i < c->group_end; i++)
        compact_close_segment(c, i);
    c->group = c->group_end;
    compact_walk_at(c, c->group);
    c->phase = c->group < c->count ? COMPACT_COPY : COMPACT_END;
    if (c->phase == COMPACT_END && c->result == 0)
        c->totals.end = c->end;
}

static void compact_copy_count(struct compact *c)
{
    ASSERT(c->group < c->group_end);
    for (size_t i = c->group; i < c->group_end; i++)
        c->totals.size_before += c->segments[i].size;
    c->totals.segments_before += c->group_end - c->group;
    c->totals.segments_after++;
    c->totals.size_after += c->segment.size;
}

/* The group is copied: in force as it is when nothing changed, else the owner's turn. */
static int compact_copy_finish(struct compact *c)
{
    int64_t base = c->segments[c->group].base, end = c->segments[c->group_end - 1].end;
    struct segment *s = &c->segment;
    int r = compact_copy_sync(c);
    int closed = io_close(c->file);
    c->file = NULL;
    r = r != 0 ? r : closed;
    if (r != 0)
        return r;
    compact_copy_count(c);
    if (!c->differs) {
        r = compact_swap_discard(c->io, c->dir, base);
        compact_copy_next(c);
        return r;
    }
    index_append_time(&c->timeindex,
                      (struct index_time_entry){s->max_timestamp, (uint32_t)(end - base)});
    s->timeindex_size += INDEX_TIME_ENTRY_SIZE;
    s->ready = s->alloc = s->size;
    s->index_ready = s->index_size;
    s->timeindex_ready = s->timeindex_size;
    ASSERT(s->index_size == c->index.size && s->timeindex_size == c->timeindex.size);
    r = compact_copy_index(c, "index", &c->index);
    if (r == 0)
        r = compact_copy_index(c, "timeindex", &c->timeindex);
    if (r == 0)
        c->phase = COMPACT_SWAP;
    return r;
}

/* --- batches --- */

/* The last batch that a known producer wrote here. */
static bool compact_copy_is_producers(const struct compact *c, const struct batch_header *h)
{
    size_t low = 0, high = c->producer_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (c->producers[mid].id < h->producer_id)
            low = mid + 1;
        else
            high = mid;
    }
    ASSERT(low <= c->producer_count);
    return low < c->producer_count && c->producers[low].id == h->producer_id &&
           c->producers[low].base_offset == h->base_offset;
}

static struct compact_rules compact_copy_rules(const struct compact *c)
{
    const struct compact_options *o = &c->options;
    int64_t horizon = o->delete_retention_ms < INT64_MAX - o->now_ms
                          ? o->now_ms + o->delete_retention_ms
                          : INT64_MAX;
    bool large = c->segment.size > UINT32_MAX / 2; /* another codec must not make it too large */
    ASSERT(horizon >= o->now_ms);
    return (struct compact_rules){.map = &c->map,
                                  .end = c->end,
                                  .now_ms = o->now_ms,
                                  .horizon_ms = horizon,
                                  .codec = large ? -1 : o->codec};
}

/* Appends a batch to the new segment. */
static int compact_copy_put(struct compact *c, struct slice batch)
{
    struct batch_header h;
    enum batch_fault fault = batch_check_stored(batch, c->segment.base, &h);
    ASSERT(fault == BATCH_OK && h.size == batch.size); /* made or checked here */
    if (c->segment.size + h.size > UINT32_MAX)
        return -EFBIG;
    part_index_batch(c->interval, &c->segment, &h, &c->index, &c->timeindex);
    buf_append(&c->pending, batch.p, batch.size);
    c->totals.records_after += (uint64_t)h.count;
    return c->pending.size >= COMPACT_BUFFER ? compact_copy_flush(c) : 0;
}

static int compact_copy_batch(struct compact *c)
{
    const struct batch_header *h = &c->scan.h;
    struct compact_rules rules = compact_copy_rules(c);
    struct slice batch = buf_slice(&c->batch);
    enum compact_fate fate = COMPACT_SAME;
    bool last = c->slot + 1 == c->count && c->scan.pos == c->scan.log.size;
    bool decided = h->base_offset < c->end;
    bool data = (h->attributes & BATCH_ATTR_CONTROL) == 0;
    struct compact_batch in = {
        .batch = batch, .h = h, .stays = last || (data && compact_copy_is_producers(c, h))};
    if (decided)
        in.marker_idle = compact_txn_copy(&c->txn, h, compact_txn_marker(batch, h));
    in.drop = decided && data && (h->attributes & BATCH_ATTR_TXN) != 0 &&
              compact_txn_aborted(&c->txn, h->producer_id, h->base_offset);
    if (compact_batch(&rules, &in, &c->scratch, &c->changed, &fate) != 0)
        return COMPACT_DAMAGED;
    ASSERT(decided || fate == COMPACT_SAME);
    c->totals.records_before += (uint64_t)h->count;
    c->differs = c->differs || fate != COMPACT_SAME;
    switch (fate) {
    case COMPACT_SAME:
        return compact_copy_put(c, batch);
    case COMPACT_CHANGED:
        return compact_copy_put(c, buf_slice(&c->changed));
    case COMPACT_GONE:
        break;
    }
    return 0;
}

int compact_copy(struct compact *c)
{
    ASSERT(c->phase == COMPACT_COPY);
    if (c->group == c->group_end) {
        int begun = compact_copy_begin(c);
        if (begun != 0)
            return begun;
    }
    int r = compact_walk(c, c->group_end, true);
    if (r == COMPACT_WALK_END)
        return compact_copy_finish(c);
    if (r == 0)
        r = compact_take(c);
    ASSERT(r == 0 || r < 0 || r >= COMPACT_LOST || r == COMPACT_FULL);
    return r != 0 ? r : compact_copy_batch(c);
}

/* --- the owner's turn --- */

struct part_swap *compact_swap(struct compact *c)
{
    struct part_swap *s = &c->swap;
    uint64_t size = 0;
    ASSERT(c->phase == COMPACT_SWAP && c->group < c->group_end);
    for (size_t i = c->group; i < c->group_end; i++) {
        c->readers[i - c->group] = c->segments[i].reader;
        c->segments[i].reader = NULL;
        size += c->segments[i].size;
    }
    *s = (struct part_swap){.base = c->segments[c->group].base,
                            .end = c->segments[c->group_end - 1].end,
                            .size = size,
                            .count = c->group_end - c->group,
                            .readers = c->readers,
                            .segment = c->segment,
                            .begins = !c->began};
    return s;
}

/* What the part did not take. */
static void compact_swap_readers(struct compact *c)
{
    ASSERT(c->swap.count == c->group_end - c->group);
    for (size_t i = 0; i < c->swap.count; i++) {
        if (c->readers[i] != NULL)
            c->readers[i] = reader_discard(c->io, c->readers[i]);
    }
}

void compact_swapped(struct compact *c, int result)
{
    ASSERT(c->phase == COMPACT_SWAP);
    compact_swap_readers(c);
    c->began = c->began || result == 0;
    c->phase = COMPACT_COPY;
    c->result = result;
    if (result == 0)
        compact_copy_next(c);
    ASSERT(c->phase != COMPACT_SWAP);
}
