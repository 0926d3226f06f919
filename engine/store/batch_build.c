/* SPDX-License-Identifier: MIT
 *
 * batch_build: makes a RecordBatch v2 record by record. See batch.h for the format.
 *
 * Records are encoded into one buffer as they come, since their deltas depend only on the first
 * one; finish puts the header in front, compresses and seals with the CRC. What goes in comes from
 * our own code, so a wrong argument is a bug and asserts; the output passes batch_validate unless
 * it is a control batch.
 */
#include "engine/base/assert.h"
#include "engine/base/crc32c.h"
#include "engine/store/batch.h"

struct batch_build_options batch_build_plain(void)
{
    return (struct batch_build_options){
        .codec = CODEC_NONE,
        .level = CODEC_LEVEL_DEFAULT,
        .producer_id = BATCH_NO_PRODUCER,
        .base_sequence = -1,
        .producer_epoch = -1,
        .attributes = 0,
    };
}

static void batch_build_check(const struct batch_build *b)
{
    ASSERT(b->count >= 0);
    ASSERT((b->count == 0) == (b->records.size == 0));
    ASSERT(b->base_timestamp <= b->max_timestamp);
}

void batch_build_init(struct batch_build *b)
{
    *b = (struct batch_build){
        .base_timestamp = BATCH_NO_TIMESTAMP,
        .max_timestamp = BATCH_NO_TIMESTAMP,
    };
    batch_build_check(b);
}

void batch_build_deinit(struct batch_build *b)
{
    batch_build_check(b);
    buf_deinit(&b->records);
    ASSERT(b->records.p == NULL);
}

/* Bytes of a size and its string, null being size -1. */
static size_t batch_build_bytes_size(struct slice s)
{
    ASSERT(s.size <= BATCH_SIZE_MAX);
    ASSERT(s.p != NULL || s.size == 0);
    return bytes_varint_size(s.p == NULL ? -1 : (int64_t)s.size) + s.size;
}

static void batch_build_bytes(struct buf *out, struct slice s)
{
    ASSERT(s.p != NULL || s.size == 0);
    buf_append_varint(out, s.p == NULL ? -1 : (int64_t)s.size);
    buf_append(out, s.p, s.size);
}

static size_t batch_build_headers_size(const struct batch_pair *headers, int32_t count)
{
    ASSERT(count == 0 || headers != NULL);
    size_t size = bytes_varint_size(count);
    for (int32_t i = 0; i < count; i++) {
        ASSERT(headers[i].name.p != NULL);
        size += batch_build_bytes_size(headers[i].name) + batch_build_bytes_size(headers[i].value);
    }
    return size;
}

static void batch_build_headers(struct buf *out, const struct batch_pair *headers, int32_t count)
{
    ASSERT(count >= 0);
    buf_append_varint(out, count);
    for (int32_t i = 0; i < count; i++) {
        batch_build_bytes(out, headers[i].name);
        batch_build_bytes(out, headers[i].value);
    }
}

void batch_build_add(struct batch_build *b, int64_t timestamp, struct slice key, struct slice value,
                     const struct batch_pair *headers, int32_t header_count)
{
    batch_build_check(b);
    ASSERT(timestamp >= BATCH_NO_TIMESTAMP);
    ASSERT(header_count >= 0 && b->count < INT32_MAX);
    if (b->count == 0)
        b->base_timestamp = timestamp;
    int64_t delta = timestamp - b->base_timestamp;
    size_t size = 1 + bytes_varint_size(delta) + bytes_varint_size(b->count) +
                  batch_build_bytes_size(key) + batch_build_bytes_size(value) +
                  batch_build_headers_size(headers, header_count);
    ASSERT(size <= BATCH_SIZE_MAX - BATCH_HEADER_SIZE);
    buf_reserve(&b->records, BYTES_VARINT_MAX + size);
    buf_append_varint(&b->records, (int64_t)size);
    size_t end = b->records.size + size;
    buf_append_u8(&b->records, 0);
    buf_append_varint(&b->records, delta);
    buf_append_varint(&b->records, b->count);
    batch_build_bytes(&b->records, key);
    batch_build_bytes(&b->records, value);
    batch_build_headers(&b->records, headers, header_count);
    ASSERT(b->records.size == end);
    b->count++;
    b->max_timestamp = timestamp > b->max_timestamp ? timestamp : b->max_timestamp;
}

size_t batch_build_size(const struct batch_build *b)
{
    batch_build_check(b);
    return BATCH_HEADER_SIZE + b->records.size;
}

/* All fields of the header at `p`, `size` bytes being the whole batch; the CRC last. */
static void batch_build_header(const struct batch_build *b, const struct batch_build_options *o,
                               uint8_t *p, size_t size)
{
    ASSERT(size > BATCH_HEADER_SIZE && size <= BATCH_SIZE_MAX);
    ASSERT(b->count > 0);
    bytes_put_be64(p + BATCH_POS_BASE_OFFSET, 0);
    bytes_put_be32(p + BATCH_POS_LENGTH, (uint32_t)size - BATCH_PREFIX_SIZE);
    bytes_put_be32(p + BATCH_POS_LEADER_EPOCH, UINT32_MAX);
    p[BATCH_POS_MAGIC] = BATCH_MAGIC;
    bytes_put_be16(p + BATCH_POS_ATTRIBUTES, (uint16_t)((unsigned)o->attributes | o->codec));
    bytes_put_be32(p + BATCH_POS_LAST_OFFSET_DELTA, (uint32_t)b->count - 1);
    bytes_put_be64(p + BATCH_POS_BASE_TIMESTAMP, (uint64_t)b->base_timestamp);
    bytes_put_be64(p + BATCH_POS_MAX_TIMESTAMP, (uint64_t)b->max_timestamp);
    bytes_put_be64(p + BATCH_POS_PRODUCER_ID, (uint64_t)o->producer_id);
    bytes_put_be16(p + BATCH_POS_PRODUCER_EPOCH, (uint16_t)o->producer_epoch);
    bytes_put_be32(p + BATCH_POS_BASE_SEQUENCE, (uint32_t)o->base_sequence);
    bytes_put_be32(p + BATCH_POS_COUNT, (uint32_t)b->count);
    uint32_t crc = crc32c(p + BATCH_POS_ATTRIBUTES, size - BATCH_POS_ATTRIBUTES);
    bytes_put_be32(p + BATCH_POS_CRC, crc);
}

static void batch_build_check_options(const struct batch_build_options *o)
{
    bool has_producer = o->producer_id != BATCH_NO_PRODUCER;
    ASSERT(o->codec < CODEC_COUNT);
    ASSERT((o->attributes & ~(BATCH_ATTR_TXN | BATCH_ATTR_CONTROL)) == 0);
    ASSERT(has_producer == (o->producer_epoch >= 0));
    ASSERT(has_producer || ((o->attributes & BATCH_ATTR_TXN) == 0 && o->base_sequence == -1));
}

void batch_build_finish(struct batch_build *b, const struct batch_build_options *o, struct buf *out)
{
    batch_build_check(b);
    batch_build_check_options(o);
    ASSERT(b->count > 0);
    size_t start = out->size;
    buf_reserve(out, batch_build_size(b));
    out->size += BATCH_HEADER_SIZE;
    if (o->codec == CODEC_NONE)
        buf_append(out, b->records.p, b->records.size);
    else
        codec_compress(o->codec, o->level, buf_slice(&b->records), out);
    batch_build_header(b, o, out->p + start, out->size - start);
    buf_reset(&b->records);
    b->count = 0;
    b->base_timestamp = b->max_timestamp = BATCH_NO_TIMESTAMP;
}
