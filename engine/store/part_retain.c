/* SPDX-License-Identifier: MIT
 *
 * part_retain: what of a partition is too old or too much. Who asks, and when, is the caller's.
 *
 *   [ expired ][ expired ][ too old |          ][ ....... active ]
 *    part_expired: a trim  ^ whole segments only ^
 *                           part_advance: the log start moves inside the first segment
 *
 * A segment goes as a whole, so its age is that of its newest record. Producers' clocks decide, but
 * none of them can keep a segment for longer than its last append allows (part_newest_ms).
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/store/part_priv.h"

int64_t part_newest_ms(const struct segment *s)
{
    ASSERT(s->max_timestamp >= BATCH_NO_TIMESTAMP);
    ASSERT(s->appended_ms >= 0);
    return s->max_timestamp >= 0 && s->max_timestamp < s->appended_ms ? s->max_timestamp
                                                                      : s->appended_ms;
}

/* Sealed by a round that is still out, or being written. */
static bool part_in_use(const struct part *p, size_t slot)
{
    ASSERT(slot < p->count);
    if (slot + 1 < p->count)
        return p->segments[slot + 1]->base > p->written;
    return p->pending_count > 0 || p->round != NULL || p->reserved != p->written;
}

int64_t part_expired(const struct part *p, const struct part_retention *q)
{
    uint64_t total = part_size(p);
    size_t expired = 0;
    ASSERT(q->retention_size >= -1 && q->older_than_ms >= -1);
    for (size_t i = 0; i < p->count; i++) {
        const struct segment *s = p->segments[i];
        bool last = i + 1 == p->count;
        bool by_size = q->retention_size >= 0 && !last && total >= (uint64_t)q->retention_size &&
                       total - (uint64_t)q->retention_size >= s->ready;
        bool by_time =
            q->older_than_ms >= 0 && s->ready > 0 && part_newest_ms(s) < q->older_than_ms;
        if (!by_size && !by_time && (last || s->ready > 0)) /* compaction leaves empty ones */
            break;
        if (part_in_use(p, i))
            break;
        total -= s->ready;
        expired = by_size || by_time ? i + 1 : expired;
    }
    if (expired == 0)
        return p->log_start;
    int64_t to = expired < p->count ? p->segments[expired]->base : p->written;
    return to > p->log_start ? to : p->log_start;
}

bool part_oldest(const struct part *p, struct part_oldest *out)
{
    ASSERT(p->log_start <= p->written);
    for (size_t i = 0; i < p->count; i++) {
        const struct segment *s = p->segments[i];
        int64_t end = i + 1 < p->count ? p->segments[i + 1]->base : p->written;
        if (s->ready == 0 || end <= p->log_start) /* the second: a round takes it away now */
            continue;
        bool first = s->first_timestamp >= 0 && p->log_start <= s->base;
        *out = (struct part_oldest){end, i, first ? s->first_timestamp : -1, part_newest_ms(s)};
        ASSERT(end > s->base);
        return true;
    }
    return false;
}

uint64_t part_room(const struct part *p, uint64_t retention_size)
{
    uint64_t total = part_size(p), first = p->count > 0 ? p->segments[0]->ready : 0;
    ASSERT(first <= total);
    if (p->count < 2) /* the active one does not go: once more when it has become the next to go */
        return retention_size > total ? retention_size - total + 1 : 1;
    total -= first;
    return retention_size > total ? retention_size - total : 0;
}

void part_advance(struct part *p, int64_t offset)
{
    ASSERT(p->failed == 0 && !p->read_only);
    struct part_oldest o;
    if (offset > p->log_start && part_oldest(p, &o) && offset < o.end) {
        p->log_start = offset;
        epochs_trim(&p->epochs, offset);
    }
    ASSERT(p->log_start <= p->written);
}

void part_shift_clock(struct part *p, int64_t ms)
{
    ASSERT(ms > INT64_MIN);
    for (size_t i = 0; i < p->count; i++) {
        struct segment *s = p->segments[i];
        int64_t *times[] = {&s->opened_ms, &s->appended_ms};
        for (size_t k = 0; k < 2; k++) {
            if (*times[k] == 0 || *times[k] == INT64_MAX)
                continue;
            int64_t sum;
            bool fits = !__builtin_add_overflow(*times[k], ms, &sum);
            *times[k] = fits && sum > 1 ? sum : 1;
        }
        ASSERT(s->appended_ms >= 0);
    }
}

void part_bury(struct part *p, int64_t base)
{
    ASSERT(base >= 0);
    size_t size = (p->buried_count + 1) * sizeof *p->buried;
    p->buried = assert_memory(realloc(p->buried, size), size);
    p->buried[p->buried_count++] = base;
}

size_t part_buried(struct part *p, int64_t **bases)
{
    size_t count = p->buried_count;
    ASSERT((p->buried == NULL) == (count == 0));
    *bases = p->buried;
    p->buried = NULL;
    p->buried_count = 0;
    return count;
}
