/* SPDX-License-Identifier: MIT
 *
 * producers: see producers.h. One heap entry per producer id in a map keyed by the id inside it.
 */
#include "engine/store/producers.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/crc32c.h"

#define PRODUCERS_MAGIC      0x3153504bu /* "KPS1" */
#define PRODUCERS_HEAD_SIZE  20
#define PRODUCERS_ENTRY_SIZE 19
#define PRODUCERS_BATCH_SIZE 24
#define PRODUCERS_SEQUENCES  0x80000000u

static struct producers_entry *producers_get(const struct producers *s, int64_t id)
{
    struct producers_entry *e = map_get(&s->map, map_key64(&id));
    ASSERT(e == NULL || e->id == id);
    return e;
}

static struct producers_entry *producers_add(struct producers *s, int64_t id)
{
    struct producers_entry *e = assert_memory(calloc(1, sizeof *e), sizeof *e);
    ASSERT(id >= 0);
    e->id = id;
    void *old = map_put(&s->map, map_key64(&e->id), e);
    ASSERT(old == NULL);
    return e;
}

static void producers_drop(struct producers *s, struct producers_entry *e)
{
    void *gone = map_remove(&s->map, map_key64(&e->id));
    ASSERT(gone == e);
    free(e);
}

static int32_t producers_step(int32_t sequence, uint32_t by)
{
    ASSERT(sequence >= 0);
    return (int32_t)(((uint32_t)sequence + by) % PRODUCERS_SEQUENCES);
}

void producers_init(struct producers *s, uint64_t seed, size_t max)
{
    ASSERT(max > 0);
    map_init(&s->map, seed);
    s->max = max;
    ASSERT(s->map.count == 0);
}

void producers_deinit(struct producers *s)
{
    size_t at = 0;
    for (void *e = map_next(&s->map, &at); e != NULL; e = map_next(&s->map, &at))
        free(e);
    map_deinit(&s->map);
}

int producers_check(const struct producers *s, const struct batch_header *h,
                    struct producers_batch *original)
{
    if (h->producer_id < 0 || (h->attributes & BATCH_ATTR_CONTROL) != 0)
        return 0;
    ASSERT(h->base_sequence >= 0 && h->last_offset_delta >= 0);
    ASSERT(original != NULL);
    const struct producers_entry *e = producers_get(s, h->producer_id);
    if (e == NULL)
        return s->map.count >= s->max ? PRODUCERS_LIMIT : 0;
    if (h->producer_epoch < e->epoch)
        return PRODUCERS_FENCED;
    if (h->producer_epoch > e->epoch)
        return h->base_sequence == 0 ? 0 : PRODUCERS_GAP;
    int32_t last = producers_step(h->base_sequence, (uint32_t)h->last_offset_delta);
    for (unsigned i = 0; i < e->count; i++)
        if (e->batches[i].first_sequence == h->base_sequence &&
            e->batches[i].last_sequence == last) {
            *original = e->batches[i];
            return PRODUCERS_DUPLICATE;
        }
    if (e->count == 0)
        return 0;
    int32_t next = producers_step(e->batches[e->count - 1].last_sequence, 1);
    return h->base_sequence == next ? 0 : PRODUCERS_GAP;
}

void producers_apply(struct producers *s, const struct batch_header *h, int64_t now_ms,
                     struct producers_undo *undo)
{
    if (undo != NULL)
        *undo = (struct producers_undo){.used = false};
    if (h->producer_id < 0 || (h->attributes & BATCH_ATTR_CONTROL) != 0)
        return;
    struct producers_entry *e = producers_get(s, h->producer_id);
    if (undo != NULL) {
        undo->used = true;
        undo->fresh = e == NULL;
        if (e != NULL)
            undo->before = *e;
    }
    ASSERT(h->base_sequence >= 0 && h->base_offset >= 0);
    if (e == NULL)
        e = producers_add(s, h->producer_id);
    /* R2: a replay over a damaged range, or a new epoch, begins a new run of sequences. */
    const struct producers_batch *last = e->count > 0 ? &e->batches[e->count - 1] : NULL;
    if (e->epoch != h->producer_epoch ||
        (last != NULL && (h->base_sequence != producers_step(last->last_sequence, 1) ||
                          h->base_offset <= last->base_offset)))
        e->count = 0;
    e->epoch = h->producer_epoch;
    e->last_ms = now_ms;
    if (e->count == PRODUCERS_BATCHES) {
        memmove(e->batches, e->batches + 1, sizeof e->batches - sizeof e->batches[0]);
        e->count--;
    }
    e->batches[e->count++] = (struct producers_batch){
        .first_sequence = h->base_sequence,
        .last_sequence = producers_step(h->base_sequence, (uint32_t)h->last_offset_delta),
        .base_offset = h->base_offset,
        .timestamp = h->max_timestamp,
    };
    ASSERT(e->count <= PRODUCERS_BATCHES);
    ASSERT(e->count < 2 || e->batches[e->count - 2].base_offset < h->base_offset);
}

void producers_undo(struct producers *s, const struct batch_header *h,
                    const struct producers_undo *undo)
{
    if (!undo->used)
        return;
    struct producers_entry *e = producers_get(s, h->producer_id);
    ASSERT(e != NULL && e->count > 0);
    ASSERT(e->batches[e->count - 1].base_offset == h->base_offset);
    if (undo->fresh)
        producers_drop(s, e);
    else
        *e = undo->before;
}

size_t producers_expire(struct producers *s, int64_t before_ms)
{
    size_t dropped = 0;
    bool again = true;
    while (again) { /* removal moves slots, so each pass collects from a fresh walk */
        struct producers_entry *old[64];
        size_t count = 0, at = 0;
        for (struct producers_entry *e = map_next(&s->map, &at); e != NULL && count < 64;
             e = map_next(&s->map, &at))
            if (e->last_ms < before_ms)
                old[count++] = e;
        for (size_t i = 0; i < count; i++)
            producers_drop(s, old[i]);
        dropped += count;
        again = count == 64;
        ASSERT(count <= 64);
    }
    return dropped;
}

static void producers_save_entry(const struct producers_entry *e, struct buf *out)
{
    ASSERT(e->id >= 0 && e->count <= PRODUCERS_BATCHES);
    buf_append_le64(out, (uint64_t)e->id);
    uint8_t small[3] = {(uint8_t)e->epoch, (uint8_t)((uint16_t)e->epoch >> 8), e->count};
    buf_append(out, small, sizeof small);
    buf_append_le64(out, (uint64_t)e->last_ms);
    for (unsigned i = 0; i < e->count; i++) {
        const struct producers_batch *b = &e->batches[i];
        buf_append_le32(out, (uint32_t)b->first_sequence);
        buf_append_le32(out, (uint32_t)b->last_sequence);
        buf_append_le64(out, (uint64_t)b->base_offset);
        buf_append_le64(out, (uint64_t)b->timestamp);
    }
}

void producers_save(const struct producers *s, int64_t offset, struct buf *out)
{
    size_t start = out->size, at = 0;
    ASSERT(offset >= 0 && s->map.count <= UINT32_MAX);
    buf_append_le32(out, PRODUCERS_MAGIC);
    buf_append_le32(out, 0);
    buf_append_le64(out, (uint64_t)offset);
    buf_append_le32(out, (uint32_t)s->map.count);
    ASSERT(out->size - start == PRODUCERS_HEAD_SIZE);
    for (const struct producers_entry *e = map_next(&s->map, &at); e != NULL;
         e = map_next(&s->map, &at))
        producers_save_entry(e, out);
    uint8_t *p = out->p + start;
    bytes_put_le32(p + 4, crc32c(p + 8, out->size - start - 8));
}

/* R2, and sequences that a producer can send. */
static bool producers_follows(const struct producers_entry *e)
{
    ASSERT(e->count <= PRODUCERS_BATCHES);
    for (unsigned i = 0; i < e->count; i++) {
        const struct producers_batch *b = &e->batches[i];
        if (b->first_sequence < 0 || b->last_sequence < 0 || b->base_offset < 0)
            return false;
        if (i > 0 && (b->base_offset <= b[-1].base_offset ||
                      b->first_sequence != producers_step(b[-1].last_sequence, 1)))
            return false;
    }
    return true;
}

/* Takes one entry from the front of *in; false when it does not parse. */
static bool producers_load_entry(struct producers *s, struct slice *in)
{
    if (in->size < PRODUCERS_ENTRY_SIZE)
        return false;
    const uint8_t *p = in->p;
    int64_t id = (int64_t)bytes_le64(p);
    unsigned count = p[10];
    size_t size = PRODUCERS_ENTRY_SIZE + (size_t)count * PRODUCERS_BATCH_SIZE;
    if (id < 0 || count > PRODUCERS_BATCHES || in->size < size || producers_get(s, id) != NULL)
        return false;
    struct producers_entry *e = producers_add(s, id);
    e->epoch = (int16_t)(p[8] | p[9] << 8);
    e->count = (uint8_t)count;
    e->last_ms = (int64_t)bytes_le64(p + 11);
    p += PRODUCERS_ENTRY_SIZE;
    for (unsigned i = 0; i < count; i++, p += PRODUCERS_BATCH_SIZE)
        e->batches[i] = (struct producers_batch){
            .first_sequence = (int32_t)bytes_le32(p),
            .last_sequence = (int32_t)bytes_le32(p + 4),
            .base_offset = (int64_t)bytes_le64(p + 8),
            .timestamp = (int64_t)bytes_le64(p + 16),
        };
    ASSERT(p == in->p + size);
    *in = slice_of(p, in->size - size);
    return producers_follows(e);
}

int producers_load(struct producers *s, struct slice in, int64_t *offset)
{
    ASSERT(s->map.count == 0);
    ASSERT(offset != NULL);
    if (in.size < PRODUCERS_HEAD_SIZE || bytes_le32(in.p) != PRODUCERS_MAGIC ||
        bytes_le32(in.p + 4) != crc32c(in.p + 8, in.size - 8))
        return PRODUCERS_DAMAGED;
    uint32_t count = bytes_le32(in.p + 16);
    struct slice rest = slice_of(in.p + PRODUCERS_HEAD_SIZE, in.size - PRODUCERS_HEAD_SIZE);
    bool good = (int64_t)bytes_le64(in.p + 8) >= 0;
    for (uint32_t i = 0; good && i < count; i++)
        good = producers_load_entry(s, &rest);
    if (!good || rest.size > 0) {
        uint64_t seed = s->map.seed;
        producers_deinit(s);
        map_init(&s->map, seed);
        return PRODUCERS_DAMAGED;
    }
    *offset = (int64_t)bytes_le64(in.p + 8);
    ASSERT(s->map.count == count);
    return 0;
}

void producers_check_invariants(const struct producers *s)
{
    size_t at = 0;
    map_check(&s->map);
    for (const struct producers_entry *e = map_next(&s->map, &at); e != NULL;
         e = map_next(&s->map, &at)) {
        ASSERT(e->count <= PRODUCERS_BATCHES);              /* R1 */
        ASSERT(producers_get(s, e->id) == e && e->id >= 0); /* R3 */
        ASSERT(producers_follows(e));                       /* R2 */
    }
}
