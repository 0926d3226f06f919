/* SPDX-License-Identifier: MIT
 *
 * part_swap: the owner's side of a swap of cleaned segments: into a round, where it meets no other
 * change of the folder, and in memory when the round is over.
 *
 * While the round is out the files of these segments change under their names. So whoever reads
 * does it through mappings that were made before: they stand ready with the swap, and are pinned
 * (P7). A mapping that a worker opened meanwhile by its name is thrown away (part_warm_done), a
 * query asked again (query_stale). Readers that stay pinned keep the old bytes until unpinned.
 *
 * What has changed since the copy began is told as PART_LOST: segments that a trim took or takes
 * now, or damage that was found in them.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/store/part_priv.h"
#include "engine/store/round.h"

void part_swap(struct part *p, struct part_swap *s)
{
    ASSERT(p->swap == NULL && !p->read_only && p->failed == 0);
    ASSERT(s->count > 0 && s->base < s->end && s->done != NULL);
    ASSERT(s->segment.base == s->base && s->segment.ready == s->segment.size);
    p->swap = s;
}

void part_swap_cancel(struct part *p)
{
    ASSERT(p->swap != NULL && !p->swapping);
    p->swap = NULL;
}

bool part_swap_covers(const struct part *p, int64_t base)
{
    ASSERT(!p->swapping || p->swap != NULL);
    return p->swapping && base >= p->swap->base && base < p->swap->end;
}

/* The slot of the first segment; false when they are not what was copied. */
static bool part_swap_find(const struct part *p, const struct part_round *r, size_t *slot)
{
    const struct part_swap *s = p->swap;
    uint64_t size = 0;
    size_t first = 0;
    ASSERT(s != NULL);
    while (first < p->count && p->segments[first]->base < s->base)
        first++;
    if (first < r->drop_count || p->count - first <= s->count ||
        p->segments[first]->base != s->base || p->segments[first + s->count]->base != s->end)
        return false;
    for (size_t i = 0; i < s->count; i++)
        size += p->segments[first + i]->ready;
    const struct part_range *d = part_damage_at(p, s->base);
    *slot = first;
    return size == s->size && (d == NULL || d->from >= s->end) && s->end <= p->written;
}

/* P7. */
static void part_swap_pin(struct part *p, size_t slot)
{
    struct part_swap *s = p->swap;
    for (size_t i = 0; i < s->count; i++) {
        struct segment *old = p->segments[slot + i];
        ASSERT(s->readers[i] != NULL || old->ready == 0);
        if (old->ready == 0)
            continue;
        if (old->reader == NULL || old->reader->log.size < old->ready) {
            reader_release(old->reader);
            reader_adopt(p->store, s->readers[i], &old->reader);
            s->readers[i] = NULL;
        }
        ASSERT(old->reader != NULL); /* the youngest of the list is not evicted */
        reader_pin(old->reader);
    }
}

bool part_swap_plan(struct part *p, struct part_round *r)
{
    struct part_swap *s = p->swap;
    size_t slot = 0;
    ASSERT(!p->swapping && !r->swaps);
    if (s == NULL || p->rebuilds > 0)
        return false;
    p->swapping = true;
    if (!part_swap_find(p, r, &slot)) {
        r->swap_lost = true;
        return false;
    }
    part_swap_pin(p, slot);
    r->swaps = true;
    r->swap = (struct compact_swap){.base = s->base, .end = s->end, .count = s->count - 1};
    ASSERT(s->count > 0);
    size_t size = s->count * sizeof *r->swap.bases;
    r->swap.bases = assert_memory(malloc(size), size);
    for (size_t i = 1; i < s->count; i++)
        r->swap.bases[i - 1] = p->segments[slot + i]->base;
    if (s->begins || p->generation == 0)
        p->generation++;
    return true;
}

static size_t part_swap_slot(const struct part *p)
{
    size_t slot = 0;
    while (p->segments[slot]->base < p->swap->base)
        slot++;
    ASSERT(p->segments[slot]->base == p->swap->base && slot + p->swap->count < p->count);
    return slot;
}

static void part_swap_unpin(struct part *p, size_t slot)
{
    for (size_t i = 0; i < p->swap->count; i++) {
        struct segment *old = p->segments[slot + i];
        ASSERT(old->ready == 0 || old->reader != NULL);
        if (old->ready > 0)
            reader_unpin(old->reader);
    }
}

/* Ranges that were found in the old files while the round was out. */
static void part_swap_forget_damage(struct part *p)
{
    int64_t base = p->swap->base;
    size_t keep = 0;
    ASSERT(p->swapping);
    for (size_t i = 0; i < p->damaged_count; i++) {
        struct part_range d = p->damaged[i];
        if (d.from >= base && d.from < p->swap->end)
            continue;
        if (d.from < base && d.to > base) {
            d.to = d.next_base = base;
            d.next_pos = 0;
        }
        p->damaged[keep++] = d;
    }
    p->damaged_count = keep;
}

static void part_swap_replace(struct part *p, size_t slot)
{
    const struct part_swap *s = p->swap;
    struct segment *new = assert_memory(malloc(sizeof *new), sizeof *new);
    *new = s->segment;
    new->reader = NULL;
    new->exists = true;
    new->appended_ms = p->segments[slot]->appended_ms;
    for (size_t i = 0; i < s->count; i++) {
        const struct segment *old = p->segments[slot + i];
        new->appended_ms =
            old->appended_ms > new->appended_ms ? old->appended_ms : new->appended_ms;
        part_free_segment(p->segments[slot + i]);
    }
    p->segments[slot] = new;
    size_t rest = p->count - slot - s->count;
    memmove(p->segments + slot + 1, p->segments + slot + s->count, rest * sizeof *p->segments);
    p->count -= s->count - 1;
    ASSERT(p->segments[slot + 1]->base == s->end);
    part_swap_forget_damage(p);
}

void part_swap_finish(struct part *p, struct part_round *r)
{
    struct part_swap *s = p->swap;
    if (!p->swapping)
        return;
    ASSERT(s != NULL && p->round == NULL);
    int result = r->swap_lost ? PART_LOST : r->result != 0 ? r->result : IO_FULL;
    if (r->swaps) {
        size_t slot = part_swap_slot(p);
        part_swap_unpin(p, slot);
        if (r->result == 0 && r->swap.done) {
            part_swap_replace(p, slot);
            result = 0;
        }
        if (!r->checkpointed)
            p->generation = r->saved_generation;
    }
    for (size_t i = 0; i < s->count; i++)
        if (s->readers[i] != NULL) { /* they show removed files, perhaps */
            reader_bury(p->store, s->readers[i]);
            s->readers[i] = NULL;
        }
    p->swaps++;
    p->swapping = false;
    p->swap = NULL;
    s->done(s, result);
}

/* --- what there is to clean --- */

/* A time at or before that of the segment's first record. What was appended in this process knows
 * it; else it is behind the newest of the segment before, by the rule of segment.ms. */
static int64_t part_first_ms(const struct part *p, size_t slot)
{
    const struct segment *s = p->segments[slot];
    int64_t low = s->max_timestamp - p->config.segment_ms;
    ASSERT(s->max_timestamp >= BATCH_NO_TIMESTAMP && p->config.segment_ms > 0);
    if (s->first_timestamp >= 0)
        return s->first_timestamp;
    if (slot > 0 && p->segments[slot - 1]->max_timestamp > low)
        low = p->segments[slot - 1]->max_timestamp;
    low = low < s->max_timestamp ? low : s->max_timestamp;
    return low > 0 ? low : 0;
}

void part_cleanable(const struct part *p, struct part_cleanable *q)
{
    int64_t start = p->count > 0 ? p->segments[0]->base : p->log_start;
    int64_t bound = q->bound > 0 && q->bound < p->durable ? q->bound : p->durable;
    bool open = true;
    int64_t first = p->kept_start > start ? p->kept_start : start; /* what a crash leaves */
    if (q->first_dirty < first || q->first_dirty > p->durable)
        q->first_dirty = first;
    q->end = start;
    q->clean_size = q->dirty_size = 0;
    q->oldest_ms = INT64_MAX;
    for (size_t i = 0; i < p->count; i++) {
        const struct segment *s = p->segments[i];
        int64_t end = i + 1 < p->count ? p->segments[i + 1]->base : INT64_MAX;
        bool clean = end <= q->first_dirty;
        int64_t first_ms = s->ready > 0 && !clean ? part_first_ms(p, i) : INT64_MAX;
        q->oldest_ms = first_ms < q->oldest_ms ? first_ms : q->oldest_ms;
        open = open && i + 1 < p->count && end <= bound && s->max_timestamp <= q->young_ms;
        if (!open)
            continue;
        q->end = end;
        *(clean ? &q->clean_size : &q->dirty_size) += s->ready;
    }
    if (q->end < q->first_dirty) /* the lag grew */
        q->dirty_size = 0;
    ASSERT(q->end <= p->durable || q->end == start);
}
