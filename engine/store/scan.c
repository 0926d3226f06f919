/* SPDX-License-Identifier: MIT
 *
 * scan: see scan.h.
 */
#include "engine/store/scan.h"

#include "engine/base/assert.h"

int scan_next(struct scan *s)
{
    struct batch_header h;
    ASSERT(s->pos <= s->log.size);
    if (s->pos == s->log.size)
        return SCAN_END;
    struct slice in = slice_of(s->log.p + s->pos, s->log.size - s->pos);
    if (batch_check_stored(in, s->expected, &h) != BATCH_OK)
        return SCAN_BAD;
    if (h.base_offset != s->expected && !s->cleaned)
        return SCAN_BAD;
    if (s->limit > 0 && batch_next_offset(&h) > s->limit)
        return SCAN_BAD;
    s->h = h;
    s->at = s->pos;
    s->pos += h.size;
    s->expected = batch_next_offset(&h);
    ASSERT(s->pos <= s->log.size && s->expected > h.base_offset);
    return 0;
}

/* True when good batches lead from `s` to the stop; else *broke is where they ended. */
static bool scan_leads(struct scan s, struct scan_stop stop, size_t *broke)
{
    ASSERT(stop.pos <= s.log.size);
    s.log.size = stop.offset >= 0 ? stop.pos : s.log.size;
    int r = scan_next(&s);
    if (stop.offset < 0)
        return r == 0;
    while (r == 0)
        r = scan_next(&s);
    *broke = s.pos;
    return r == SCAN_END && (s.expected == stop.offset || (s.cleaned && s.expected < stop.offset));
}

int scan_resync(struct scan *s, struct scan_stop stop)
{
    struct scan try = *s;
    ASSERT(s->pos <= stop.pos && stop.pos <= s->log.size);
    size_t broke = 0;
    for (; stop.pos - try.pos >= BATCH_HEADER_SIZE; try.pos++) {
        const uint8_t *p = s->log.p + try.pos;
        int64_t base = (int64_t)bytes_be64(p);
        if (try.pos - s->pos < BATCH_HEADER_SIZE && base != s->expected && !s->cleaned)
            continue; /* what is missing in front of it had no room there: its base is damaged */
        if (p[BATCH_POS_MAGIC] != BATCH_MAGIC || base < s->expected ||
            base - s->expected > INT32_MAX || (stop.offset >= 0 && base >= stop.offset))
            continue;
        try.expected = base;
        if (!scan_leads(try, stop, &broke)) {
            if (broke > try.pos) /* whatever begins before that ends there as well */
                try.pos = broke - 1;
            continue;
        }
        s->pos = try.pos;
        s->expected = base;
        struct scan first = *s;
        int r = scan_next(&first);
        ASSERT(r == 0);
        s->h = first.h;
        return 0;
    }
    return SCAN_END;
}
