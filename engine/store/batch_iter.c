/* SPDX-License-Identifier: MIT
 *
 * batch_iter: reads the records of a RecordBatch v2. See batch.h for the format.
 *
 * Every produced record passes here once, so the numbers of small records (one or two bytes) are
 * decoded inline and nothing is copied. A cursor is a slice that shrinks from its front; a size is
 * compared with what is left before it is used, so no pointer is ever formed outside the bytes.
 *
 * Failures: everything malformed is BATCH_BAD_RECORD; the cause inside the record is not told.
 */
#include "engine/base/assert.h"
#include "engine/store/batch.h"

/* Measured: without it clang leaves calls in the walk, at twice the time a record. */
#define BATCH_INLINE inline __attribute__((always_inline))

static BATCH_INLINE void batch_iter_skip(struct slice *in, size_t size)
{
    ASSERT(size <= in->size);
    in->p += size;
    in->size -= size;
}

/* A varint of one or two bytes; returns the bytes taken, 0 when it is not that short. */
static BATCH_INLINE size_t batch_iter_short(struct slice in, int32_t *v)
{
    if (in.size >= 1 && in.p[0] < 0x80) {
        *v = (in.p[0] >> 1) ^ -(in.p[0] & 1);
        return 1;
    }
    if (in.size >= 2 && in.p[1] < 0x80) {
        int32_t u = (in.p[0] & 0x7f) | in.p[1] << 7;
        *v = (u >> 1) ^ -(u & 1);
        return 2;
    }
    *v = 0;
    return 0;
}

/* The long way takes the address of a variable of its own, so that *v can stay in a register. */
static BATCH_INLINE bool batch_iter_varint32(struct slice *in, int32_t *v)
{
    size_t taken = batch_iter_short(*in, v);
    if (__builtin_expect(taken == 0, 0)) {
        int32_t longer = 0;
        taken = bytes_varint32(*in, &longer);
        if (taken == 0)
            return false;
        *v = longer;
    }
    batch_iter_skip(in, taken);
    return true;
}

static BATCH_INLINE bool batch_iter_varint64(struct slice *in, int64_t *v)
{
    int32_t small;
    size_t taken = batch_iter_short(*in, &small);
    *v = small;
    if (__builtin_expect(taken == 0, 0)) {
        int64_t longer = 0;
        taken = bytes_varint64(*in, &longer);
        if (taken == 0)
            return false;
        *v = longer;
    }
    batch_iter_skip(in, taken);
    return true;
}

/* A size and that many bytes; size -1 is null. */
static BATCH_INLINE bool batch_iter_bytes(struct slice *in, struct slice *out)
{
    int32_t size;
    if (!batch_iter_varint32(in, &size) || size < -1)
        return false;
    if (size < 0) {
        *out = SLICE_NULL;
        return true;
    }
    if ((size_t)size > in->size)
        return false;
    *out = slice_of(in->p, (size_t)size);
    batch_iter_skip(in, (size_t)size);
    return true;
}

bool batch_header_next(struct slice *headers, struct slice *name, struct slice *value)
{
    struct slice rest = *headers;
    struct slice n, v;
    ASSERT(rest.p != NULL || rest.size == 0);
    ASSERT(name != NULL && value != NULL);
    if (!batch_iter_bytes(&rest, &n) || n.p == NULL || !batch_iter_bytes(&rest, &v))
        return false;
    ASSERT(rest.size < headers->size);
    *headers = rest;
    *name = n;
    *value = v;
    return true;
}

/* True when `count` pairs fill `in` to its end. A pair takes at least two bytes, so a lying
 * count ends the loop at once. */
static bool batch_iter_pairs(struct slice in, int32_t count)
{
    struct slice name, value;
    ASSERT(count > 0);
    ASSERT(in.p != NULL);
    for (int32_t i = 0; i < count; i++) {
        if (!batch_header_next(&in, &name, &value))
            return false;
    }
    return in.size == 0;
}

/* The header count and its pairs, the last field of a record. */
static BATCH_INLINE bool batch_iter_headers(struct slice in, struct batch_record *r)
{
    int32_t count;
    if (!batch_iter_varint32(&in, &count) || count < 0)
        return false;
    r->header_count = count;
    r->headers = in;
    return count == 0 ? in.size == 0 : batch_iter_pairs(in, count);
}

/* The inside of one record: `in` is exactly its bytes behind the size. */
static BATCH_INLINE bool batch_iter_record(const struct batch_header *h, struct slice in,
                                           struct batch_record *r)
{
    int64_t timestamp_delta = 0;
    int32_t offset_delta = 0;
    ASSERT(h->last_offset_delta >= 0);
    if (in.size == 0)
        return false;
    batch_iter_skip(&in, 1); /* attributes */
    if (!batch_iter_varint64(&in, &timestamp_delta) || !batch_iter_varint32(&in, &offset_delta))
        return false;
    if (offset_delta < 0 || offset_delta > h->last_offset_delta)
        return false;
    r->offset = h->base_offset + offset_delta;
    if ((h->attributes & BATCH_ATTR_APPEND) != 0)
        r->timestamp = h->max_timestamp;
    else if (__builtin_add_overflow(h->base_timestamp, timestamp_delta, &r->timestamp))
        return false;
    return batch_iter_bytes(&in, &r->key) && batch_iter_bytes(&in, &r->value) &&
           batch_iter_headers(in, r);
}

bool batch_iter_next(struct batch_iter *it, struct batch_record *r, enum batch_fault *fault)
{
    int32_t size;
    ASSERT(it->left >= 0 && it->left <= it->header.count);
    *fault = BATCH_BAD_RECORD;
    if (it->left == 0) {
        *fault = it->rest.size == 0 ? BATCH_OK : BATCH_BAD_RECORD;
        return false;
    }
    struct slice rest = it->rest;
    if (!batch_iter_varint32(&rest, &size) || size < 0 || (size_t)size > rest.size)
        return false;
    if (!batch_iter_record(&it->header, slice_of(rest.p, (size_t)size), r))
        return false;
    batch_iter_skip(&rest, (size_t)size);
    it->rest = rest;
    it->left--;
    *fault = BATCH_OK;
    return true;
}

/* The compressed block's plain bytes, in scratch. */
static enum batch_fault batch_iter_inflate(enum codec codec, struct slice block, size_t inflate_max,
                                           struct buf *scratch, struct slice *out)
{
    ASSERT(codec > CODEC_NONE && codec < CODEC_COUNT);
    ASSERT(block.size > 0);
    int r = codec_decompress(codec, block, inflate_max, scratch);
    if (r != 0)
        return r == CODEC_TOO_LARGE ? BATCH_TOO_LARGE : BATCH_BAD_CODEC;
    ASSERT(scratch->size <= inflate_max);
    *out = buf_slice(scratch);
    return BATCH_OK;
}

enum batch_fault batch_iter_init(struct batch_iter *it, struct slice batch, size_t inflate_max,
                                 struct buf *scratch)
{
    struct batch_header h;
    ASSERT(it != NULL && scratch != NULL);
    enum batch_fault fault = batch_parse(batch, &h);
    if (fault != BATCH_OK)
        return fault;
    if (h.size > batch.size)
        return BATCH_SHORT;
    ASSERT(h.size >= BATCH_HEADER_SIZE);
    struct slice rest = slice_of(batch.p + BATCH_HEADER_SIZE, h.size - BATCH_HEADER_SIZE);
    buf_reset(scratch);
    /* An emptied batch keeps its codec bits but has no block. */
    if (batch_codec(&h) != CODEC_NONE && rest.size > 0)
        fault = batch_iter_inflate(batch_codec(&h), rest, inflate_max, scratch, &rest);
    if (fault == BATCH_OK)
        *it = (struct batch_iter){.header = h, .rest = rest, .left = h.count};
    return fault;
}
