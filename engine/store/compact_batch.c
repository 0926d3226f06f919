/* SPDX-License-Identifier: MIT
 *
 * compact_batch: see compact_batch.h. Two walks over the records: the first decides, because the
 * horizon that a kept tombstone brings is the base of every record's time; the second writes.
 */
#include "engine/store/compact_batch.h"

#include "engine/base/assert.h"

#define COMPACT_INFLATE_MIN (64u << 20)

size_t compact_inflate_max(const struct batch_header *h)
{
    ASSERT(h->size >= BATCH_HEADER_SIZE);
    size_t size = (size_t)h->size * 64;
    return size > COMPACT_INFLATE_MIN ? size : COMPACT_INFLATE_MIN;
}

void compact_scratch_deinit(struct compact_scratch *s)
{
    buf_deinit(&s->inflated);
    buf_deinit(&s->keep);
    buf_deinit(&s->records);
    ASSERT(s->records.p == NULL);
}

static bool compact_has_horizon(const struct batch_header *h)
{
    ASSERT((h->attributes & ~BATCH_ATTR_KNOWN) == 0);
    return (h->attributes & BATCH_ATTR_HORIZON) != 0;
}

static bool compact_horizon_passed(const struct compact_rules *rules, const struct batch_header *h)
{
    ASSERT(rules->now_ms >= 0);
    return compact_has_horizon(h) && h->base_timestamp <= rules->now_ms;
}

static bool compact_keeps(const struct compact_rules *rules, const struct batch_header *h,
                          const struct batch_record *r)
{
    ASSERT(r->offset >= h->base_offset);
    if (r->offset >= rules->end)
        return true;
    if (r->key.p == NULL || compact_map_get(rules->map, r->key) > r->offset)
        return false;
    return r->value.p != NULL || !compact_horizon_passed(rules, h);
}

struct compact_verdict {
    int32_t kept;
    bool tombstones; /* among them */
    int64_t max_timestamp;
};

static int compact_judge(const struct compact_rules *rules, const struct compact_batch *in,
                         struct compact_scratch *scratch, struct compact_verdict *v)
{
    struct batch_iter it;
    struct batch_record r;
    *v = (struct compact_verdict){.max_timestamp = BATCH_NO_TIMESTAMP};
    buf_reset(&scratch->keep);
    enum batch_fault fault =
        batch_iter_init(&it, in->batch, compact_inflate_max(in->h), &scratch->inflated);
    while (fault == BATCH_OK && batch_iter_next(&it, &r, &fault)) {
        bool keep = compact_keeps(rules, in->h, &r);
        buf_append_u8(&scratch->keep, keep);
        v->kept += keep;
        v->tombstones = v->tombstones || (keep && r.value.p == NULL && r.offset < rules->end);
        if (keep && r.timestamp > v->max_timestamp)
            v->max_timestamp = r.timestamp;
    }
    ASSERT(fault != BATCH_OK || scratch->keep.size == (size_t)in->h->count);
    return fault == BATCH_OK ? 0 : COMPACT_BAD_RECORD;
}

/* --- writing --- */

static size_t compact_bytes_size(struct slice s)
{
    ASSERT(s.p != NULL || s.size == 0);
    return bytes_varint_size(s.p == NULL ? -1 : (int64_t)s.size) + s.size;
}

static void compact_put_bytes(struct buf *out, struct slice s)
{
    ASSERT(s.p != NULL || s.size == 0);
    buf_append_varint(out, s.p == NULL ? -1 : (int64_t)s.size);
    buf_append(out, s.p, s.size);
}

/* False: its time cannot be told from that base. */
static bool compact_put_record(struct buf *out, const struct batch_record *r, int64_t base_offset,
                               int64_t base_timestamp)
{
    int64_t delta, offset_delta = r->offset - base_offset;
    if (__builtin_sub_overflow(r->timestamp, base_timestamp, &delta))
        return false;
    size_t size = 1 + bytes_varint_size(delta) + bytes_varint_size(offset_delta) +
                  compact_bytes_size(r->key) + compact_bytes_size(r->value) +
                  bytes_varint_size(r->header_count) + r->headers.size;
    buf_append_varint(out, (int64_t)size);
    size_t end = out->size + size;
    buf_append_u8(out, 0);
    buf_append_varint(out, delta);
    buf_append_varint(out, offset_delta);
    compact_put_bytes(out, r->key);
    compact_put_bytes(out, r->value);
    buf_append_varint(out, r->header_count);
    buf_append(out, r->headers.p, r->headers.size);
    ASSERT(out->size == end && offset_delta >= 0);
    return true;
}

static int compact_put_records(const struct compact_batch *in, struct compact_scratch *scratch,
                               int64_t base_timestamp)
{
    struct batch_iter it;
    struct batch_record r;
    buf_reset(&scratch->records);
    enum batch_fault fault =
        batch_iter_init(&it, in->batch, compact_inflate_max(in->h), &scratch->inflated);
    bool good = true;
    for (size_t i = 0; good && fault == BATCH_OK && batch_iter_next(&it, &r, &fault); i++) {
        ASSERT(i < scratch->keep.size);
        if (scratch->keep.p[i] != 0)
            good = compact_put_record(&scratch->records, &r, in->h->base_offset, base_timestamp);
    }
    ASSERT(fault == BATCH_OK); /* they parsed before */
    return good ? 0 : COMPACT_BAD_RECORD;
}

struct compact_fields {
    enum codec codec;
    bool horizon;
    int64_t base_timestamp;
    int64_t max_timestamp;
    int32_t count;
};

/* The source's header with what changes; the records stand behind it already. */
static int compact_seal(const struct compact_batch *in, const struct compact_fields *f,
                        struct buf *out)
{
    const int16_t mine = BATCH_ATTR_CODEC | BATCH_ATTR_HORIZON;
    ASSERT(out->size >= BATCH_HEADER_SIZE);
    if (out->size > BATCH_SIZE_MAX)
        return COMPACT_BAD_RECORD;
    uint16_t attributes = (uint16_t)((in->h->attributes & ~mine) | (int)f->codec |
                                     (f->horizon ? BATCH_ATTR_HORIZON : 0));
    memcpy(out->p, in->batch.p, BATCH_HEADER_SIZE);
    bytes_put_be32(out->p + BATCH_POS_LENGTH, (uint32_t)out->size - BATCH_PREFIX_SIZE);
    bytes_put_be16(out->p + BATCH_POS_ATTRIBUTES, attributes);
    bytes_put_be64(out->p + BATCH_POS_BASE_TIMESTAMP, (uint64_t)f->base_timestamp);
    bytes_put_be32(out->p + BATCH_POS_COUNT, (uint32_t)f->count);
    int64_t max = f->max_timestamp;
    batch_stamp_max_timestamp(out->p, max > BATCH_NO_TIMESTAMP ? max : BATCH_NO_TIMESTAMP);
    ASSERT(f->count <= in->h->count);
    return 0;
}

static void compact_room_for_header(struct buf *out)
{
    static const uint8_t nothing[BATCH_HEADER_SIZE];
    ASSERT(out->size == 0);
    buf_append(out, nothing, sizeof nothing);
}

/* Without records: no block, no codec, no horizon, as Kafka leaves it. */
static int compact_emptied(const struct compact_batch *in, struct buf *out, enum compact_fate *fate)
{
    struct compact_fields f = {.codec = CODEC_NONE,
                               .base_timestamp = BATCH_NO_TIMESTAMP,
                               .max_timestamp = in->h->max_timestamp};
    *fate = !in->stays ? COMPACT_GONE : in->h->count > 0 ? COMPACT_CHANGED : COMPACT_SAME;
    if (*fate != COMPACT_CHANGED)
        return 0;
    ASSERT(in->h->count > 0);
    compact_room_for_header(out);
    return compact_seal(in, &f, out);
}

static int compact_write(const struct compact_rules *rules, const struct compact_batch *in,
                         struct compact_scratch *scratch, struct compact_fields *f, struct buf *out)
{
    bool append_time = (in->h->attributes & BATCH_ATTR_APPEND) != 0;
    if (append_time)
        f->max_timestamp = in->h->max_timestamp;
    f->codec = rules->codec >= 0 ? (enum codec)rules->codec : batch_codec(in->h);
    ASSERT(f->count > 0 && f->codec < CODEC_COUNT);
    int r = compact_put_records(in, scratch, f->base_timestamp);
    if (r != 0)
        return r;
    compact_room_for_header(out);
    if (f->codec == CODEC_NONE)
        buf_append(out, scratch->records.p, scratch->records.size);
    else
        codec_compress(f->codec, CODEC_LEVEL_DEFAULT, buf_slice(&scratch->records), out);
    return compact_seal(in, f, out);
}

/* Markers: all or nothing. */
static bool compact_marker_goes(const struct compact_rules *rules, const struct compact_batch *in)
{
    ASSERT((in->h->attributes & BATCH_ATTR_CONTROL) != 0);
    return in->marker_idle && compact_horizon_passed(rules, in->h);
}

int compact_batch(const struct compact_rules *rules, const struct compact_batch *in,
                  struct compact_scratch *scratch, struct buf *out, enum compact_fate *fate)
{
    const struct batch_header *h = in->h;
    bool control = (h->attributes & BATCH_ATTR_CONTROL) != 0;
    struct compact_verdict v = {.kept = h->count, .max_timestamp = h->max_timestamp};
    ASSERT(in->batch.size >= h->size && (!in->marker_idle || control));
    buf_reset(out);
    *fate = COMPACT_SAME;
    if (h->base_offset >= rules->end)
        return 0;
    if (in->drop || h->count == 0 || (control && compact_marker_goes(rules, in)))
        return compact_emptied(in, out, fate);
    int r = compact_judge(rules, in, scratch, &v);
    if (r != 0)
        return r;
    if (control) {
        memset(scratch->keep.p, 1, scratch->keep.size);
        v = (struct compact_verdict){.kept = h->count, .max_timestamp = h->max_timestamp};
    }
    if (v.kept == 0)
        return compact_emptied(in, out, fate);
    bool stamp = (v.tombstones || in->marker_idle) && !compact_has_horizon(h);
    if (v.kept == h->count && !stamp)
        return 0;
    struct compact_fields f = {.horizon = stamp || compact_has_horizon(h),
                               .base_timestamp = stamp ? rules->horizon_ms : h->base_timestamp,
                               .max_timestamp = v.max_timestamp,
                               .count = v.kept};
    *fate = COMPACT_CHANGED;
    return compact_write(rules, in, scratch, &f, out);
}
