/* SPDX-License-Identifier: MIT
 *
 * compact_txn: see compact_txn.h.
 */
#include "engine/store/compact_txn.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

#define COMPACT_TXN_MIN        16u
#define COMPACT_TXN_RECORD_MAX (64u << 10) /* of a marker, inflated */

struct compact_open {
    int64_t producer_id;
    int64_t first;
};

void compact_txn_init(struct compact_txn *t, size_t memory_max, uint64_t seed)
{
    size_t max = memory_max / sizeof(struct compact_aborted);
    *t = (struct compact_txn){.max = max > COMPACT_TXN_MIN ? max : COMPACT_TXN_MIN};
    map_init(&t->open, seed);
    ASSERT(t->max > 0);
}

static void compact_txn_clear(struct compact_txn *t)
{
    size_t at = 0;
    uint64_t seed = t->open.seed;
    for (void *o = map_next(&t->open, &at); o != NULL; o = map_next(&t->open, &at))
        free(o);
    map_deinit(&t->open);
    map_init(&t->open, seed);
    ASSERT(t->open.count == 0);
}

void compact_txn_deinit(struct compact_txn *t)
{
    compact_txn_clear(t);
    map_deinit(&t->open);
    free(t->aborted);
    *t = (struct compact_txn){0};
    ASSERT(t->aborted == NULL);
}

enum compact_marker compact_txn_marker(struct slice batch, const struct batch_header *h)
{
    struct buf scratch CLEANUP(buf_deinit) = {0};
    struct batch_iter it;
    struct batch_record rec;
    enum batch_fault fault;
    const int16_t both = BATCH_ATTR_CONTROL | BATCH_ATTR_TXN;
    ASSERT(batch.size >= h->size);
    if ((h->attributes & both) != both ||
        batch_iter_init(&it, batch, COMPACT_TXN_RECORD_MAX, &scratch) != BATCH_OK ||
        !batch_iter_next(&it, &rec, &fault) || rec.key.size < 4)
        return COMPACT_MARKER_NONE;
    ASSERT(rec.key.p != NULL);
    switch (bytes_be16(rec.key.p + 2)) { /* KIP-98: version, type */
    case 0:
        return COMPACT_MARKER_ABORT;
    case 1:
        return COMPACT_MARKER_COMMIT;
    default: /* a foreign number */
        return COMPACT_MARKER_NONE;
    }
}

static void compact_txn_abort(struct compact_txn *t, const struct compact_open *o, int64_t marker)
{
    if (t->aborted_count == t->aborted_cap) {
        t->aborted_cap = t->aborted_cap > 0 ? t->aborted_cap * 2 : 16;
        size_t size = t->aborted_cap * sizeof *t->aborted;
        t->aborted = assert_memory(realloc(t->aborted, size), size);
    }
    ASSERT(o->first < marker);
    t->aborted[t->aborted_count++] = (struct compact_aborted){
        .producer_id = o->producer_id, .first = o->first, .marker = marker};
}

static bool compact_txn_is_data(const struct batch_header *h)
{
    ASSERT((h->attributes & ~BATCH_ATTR_KNOWN) == 0);
    return (h->attributes & BATCH_ATTR_TXN) != 0 && (h->attributes & BATCH_ATTR_CONTROL) == 0;
}

static void compact_txn_open(struct compact_txn *t, const struct batch_header *h)
{
    struct compact_open *o = assert_memory(calloc(1, sizeof *o), sizeof *o);
    o->producer_id = h->producer_id;
    o->first = h->base_offset;
    void *old = map_put(&t->open, map_key64(&o->producer_id), o);
    ASSERT(old == NULL);
}

bool compact_txn_see(struct compact_txn *t, const struct batch_header *h,
                     enum compact_marker marker)
{
    struct compact_open *o = map_get(&t->open, map_key64(&h->producer_id));
    ASSERT(o == NULL || o->producer_id == h->producer_id);
    if (compact_txn_is_data(h) && o == NULL) {
        if (t->open.count + t->aborted_count >= t->max)
            return false;
        compact_txn_open(t, h);
    } else if (marker != COMPACT_MARKER_NONE && o != NULL) {
        if (marker == COMPACT_MARKER_ABORT)
            compact_txn_abort(t, o, h->base_offset);
        (void)map_remove(&t->open, map_key64(&o->producer_id));
        free(o);
    }
    ASSERT(t->open.count + t->aborted_count <= t->max);
    return true;
}

static int compact_txn_compare(const void *x, const void *y)
{
    const struct compact_aborted *a = x, *b = y;
    ASSERT(a->first < a->marker && b->first < b->marker);
    if (a->producer_id != b->producer_id)
        return a->producer_id < b->producer_id ? -1 : 1;
    return (a->first > b->first) - (a->first < b->first);
}

int64_t compact_txn_seal(struct compact_txn *t, int64_t end)
{
    size_t at = 0;
    for (const struct compact_open *o = map_next(&t->open, &at); o != NULL;
         o = map_next(&t->open, &at))
        end = o->first < end ? o->first : end;
    if (t->aborted_count > 0)
        qsort(t->aborted, t->aborted_count, sizeof *t->aborted, compact_txn_compare);
    compact_txn_clear(t);
    ASSERT(end >= 0 && t->open.count == 0);
    return end;
}

bool compact_txn_aborted(const struct compact_txn *t, int64_t producer_id, int64_t offset)
{
    size_t low = 0, high = t->aborted_count;
    while (low < high) { /* the first one behind (producer, offset) */
        size_t mid = low + (high - low) / 2;
        const struct compact_aborted *a = &t->aborted[mid];
        bool behind =
            a->producer_id > producer_id || (a->producer_id == producer_id && a->first > offset);
        if (behind)
            high = mid;
        else
            low = mid + 1;
    }
    ASSERT(low <= t->aborted_count);
    if (low == 0)
        return false;
    const struct compact_aborted *a = &t->aborted[low - 1];
    ASSERT(a->producer_id < producer_id || a->first <= offset);
    return a->producer_id == producer_id && offset < a->marker;
}

bool compact_txn_copy(struct compact_txn *t, const struct batch_header *h,
                      enum compact_marker marker)
{
    struct compact_open *o = map_get(&t->open, map_key64(&h->producer_id));
    ASSERT(o == NULL || o->first <= h->base_offset);
    if (compact_txn_is_data(h) && o == NULL)
        compact_txn_open(t, h);
    if (marker == COMPACT_MARKER_NONE)
        return false;
    ASSERT((h->attributes & BATCH_ATTR_CONTROL) != 0);
    if (o != NULL) {
        (void)map_remove(&t->open, map_key64(&o->producer_id));
        free(o);
    }
    return o == NULL;
}
