/* SPDX-License-Identifier: MIT
 *
 * part_damage: which offsets of a partition cannot be read, and where reading goes on behind them.
 * A range is found by recovery or by the read that runs into it, and remembered until the part is
 * closed; nothing on the disk changes.
 *
 * Reading goes on at the first good batch from which good batches lead to the next good index
 * entry, or, behind the last entry, to the end of the segment (scan.h).
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/guard.h"
#include "engine/store/index.h"
#include "engine/store/part_priv.h"
#include "engine/store/scan.h"

static void part_damage_join(struct part_range *a, const struct part_range *b)
{
    ASSERT(a->from <= b->to && b->from <= a->to);
    if (b->from < a->from) {
        a->from = b->from;
        a->base = b->base;
        a->pos = b->pos;
    }
    bool behind =
        b->next_base == a->next_base ? b->next_pos > a->next_pos : b->next_base > a->next_base;
    if (b->to > a->to || (b->to == a->to && behind)) {
        a->to = b->to;
        a->next_base = b->next_base;
        a->next_pos = b->next_pos;
    }
}

void part_add_damage(struct part *p, struct part_range range)
{
    size_t keep = 0, size = (p->damaged_count + 1) * sizeof *p->damaged;
    ASSERT(range.from <= range.to);
    p->damaged = assert_memory(realloc(p->damaged, size), size);
    for (size_t i = 0; i < p->damaged_count; i++) {
        if (p->damaged[i].to < range.from || range.to < p->damaged[i].from)
            p->damaged[keep++] = p->damaged[i];
        else
            part_damage_join(&range, &p->damaged[i]);
    }
    size_t at = keep;
    for (; at > 0 && p->damaged[at - 1].from > range.from; at--)
        p->damaged[at] = p->damaged[at - 1];
    p->damaged[at] = range;
    p->damaged_count = keep + 1;
    ASSERT(at == 0 || p->damaged[at - 1].to < range.from);
}

const struct part_range *part_damage_at(const struct part *p, int64_t offset)
{
    ASSERT(p->damaged != NULL || p->damaged_count == 0);
    for (size_t i = 0; i < p->damaged_count; i++)
        if (offset < p->damaged[i].to)
            return &p->damaged[i];
    return NULL;
}

const struct part_range *part_damage_before(const struct part *p, const struct segment *s,
                                            int64_t offset)
{
    const struct part_range *last = NULL;
    ASSERT(s != NULL);
    for (size_t i = 0; i < p->damaged_count && p->damaged[i].to <= offset; i++)
        if (p->damaged[i].next_base == s->base)
            last = &p->damaged[i];
    return last;
}

/* What of the range lies in one segment: in the first that it takes offsets from. */
static void part_damage_cut(const struct part *p, const struct part_range *d,
                            struct part_range *out)
{
    size_t slot = 0;
    ASSERT(d->from < d->to);
    if (p->count == 0) { /* the state alone is left of the log */
        *out = (struct part_range){d->from, d->to, d->from, 0, d->from, 0};
        return;
    }
    while (slot + 1 < p->count &&
           (p->segments[slot + 1]->base <= d->from || p->segments[slot]->base < d->base))
        slot++;
    const struct segment *s = p->segments[slot];
    int64_t end = slot + 1 < p->count ? p->segments[slot + 1]->base : p->written;
    *out = (struct part_range){.from = d->from > s->base ? d->from : s->base,
                               .to = d->to < end ? d->to : end,
                               .base = s->base,
                               .pos = d->base == s->base ? d->pos : 0,
                               .next_base = s->base,
                               .next_pos = d->next_base == s->base ? d->next_pos : s->ready};
    ASSERT(out->pos <= out->next_pos);
}

bool part_damaged_piece(const struct part *p, int64_t offset, struct part_range *out)
{
    ASSERT(p->damaged != NULL || p->damaged_count == 0);
    for (size_t i = 0; i < p->damaged_count; i++) {
        const struct part_range *d = &p->damaged[i];
        if (d->to <= offset || d->to <= p->log_start || d->from == d->to)
            continue;
        part_damage_cut(p, d, out);
        if (out->from < out->to)
            return true;
    }
    return false;
}

int64_t part_whole_end(const struct part *p)
{
    struct part_range d;
    bool damaged = part_damaged_piece(p, -1, &d);
    ASSERT(!damaged || d.from <= p->reserved);
    return damaged ? d.from : p->reserved;
}

struct part_damage_try {
    struct scan scan;
    struct scan_stop stop;
};

static int part_damage_resync(void *ctx)
{
    struct part_damage_try *t = ctx;
    ASSERT(t->stop.pos >= t->scan.pos);
    return scan_resync(&t->scan, t->stop);
}

/* True when a good batch begins exactly at the stop. */
static int part_damage_verify(void *ctx)
{
    struct part_damage_try *t = ctx;
    struct scan s = t->scan;
    ASSERT(t->stop.offset >= 0);
    s.pos = t->stop.pos;
    s.expected = t->stop.offset;
    int r = scan_next(&s);
    return r == 0 && s.h.base_offset == t->stop.offset ? 0 : SCAN_BAD;
}

/* The next index entry behind the damage that a batch vouches for; false when there is none. */
static bool part_damage_stop(struct part_damage_try *t, struct slice index, int64_t base,
                             int64_t end)
{
    size_t count = index.size / INDEX_ENTRY_SIZE;
    for (size_t i = 0; i < count; i++) {
        struct index_entry e;
        if (!index_at(index, i, &e) || e.pos <= t->scan.pos || e.pos >= t->scan.log.size)
            continue;
        t->stop = (struct scan_stop){e.pos, base + e.relative};
        if (t->stop.offset > t->scan.expected && t->stop.offset < end &&
            guard_run(t->scan.log.p, t->scan.log.size, part_damage_verify, t) == 0)
            return true;
    }
    ASSERT(count * INDEX_ENTRY_SIZE <= index.size);
    return false;
}

void part_damage_found(struct part *p, size_t slot, const struct part_damage *d)
{
    const struct segment *s = p->segments[slot];
    int64_t end = slot + 1 < p->count ? p->segments[slot + 1]->base : p->written;
    struct part_damage_try t = {.scan = {.log = d->log,
                                         .pos = d->pos,
                                         .expected = d->offset,
                                         .limit = end,
                                         .cleaned = p->generation > 0}};
    ASSERT(d->offset < end && d->pos <= d->log.size);
    if (!part_damage_stop(&t, d->index, s->base, end))
        t.stop = (struct scan_stop){d->log.size, end};
    int r = guard_run(d->log.p, d->log.size, part_damage_resync, &t);
    ASSERT(r != 0 || t.scan.pos > d->pos || t.scan.expected > d->offset);
    if (r != 0) {
        t.scan.pos = t.stop.pos;
        t.scan.expected = t.stop.offset;
    }
    part_add_damage(p, (struct part_range){.from = d->offset,
                                           .to = t.scan.expected,
                                           .base = s->base,
                                           .pos = d->pos,
                                           .next_base = s->base,
                                           .next_pos = t.scan.pos});
}
