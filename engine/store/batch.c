/* SPDX-License-Identifier: MIT
 *
 * batch: header, validation and stamping of RecordBatch v2. See batch.h for the format; records are
 * read in batch_iter.c and batches built in batch_build.c.
 *
 * The checks run in the order of trust: length, CRC, header fields, then the records. What a client
 * may send is narrower than what may be stored: the leader itself sets append time, and markers and
 * compaction make control batches, delete horizons and missing records.
 */
#include "engine/store/batch.h"

#include "engine/base/assert.h"
#include "engine/base/crc32c.h"

#define BATCH_LENGTH_MIN  (BATCH_HEADER_SIZE - BATCH_PREFIX_SIZE)
#define BATCH_ATTR_CLIENT (BATCH_ATTR_CODEC | BATCH_ATTR_APPEND | BATCH_ATTR_TXN)

static const char *const batch_fault_texts[BATCH_FAULT_COUNT] = {
    [BATCH_OK] = "no fault",
    [BATCH_SHORT] = "cut off",
    [BATCH_BAD_LENGTH] = "impossible length",
    [BATCH_BAD_MAGIC] = "not record batch format 2",
    [BATCH_BAD_CRC] = "wrong CRC",
    [BATCH_BAD_ATTRIBUTES] = "attributes unknown or not allowed",
    [BATCH_BAD_COUNT] = "impossible record count",
    [BATCH_BAD_PRODUCER] = "producer id, epoch and sequence do not go together",
    [BATCH_BAD_TIMESTAMP] = "impossible timestamp",
    [BATCH_BAD_RECORD] = "malformed record",
    [BATCH_BAD_CODEC] = "corrupt compressed records",
    [BATCH_TOO_LARGE] = "records too large when decompressed",
    [BATCH_NO_KEY] = "record without key",
    [BATCH_BAD_OFFSET] = "impossible base offset",
    [BATCH_WRONG_MAX] = "wrong max timestamp",
};

const char *batch_fault_text(enum batch_fault f)
{
    ASSERT((unsigned)f < BATCH_FAULT_COUNT);
    ASSERT(batch_fault_texts[f] != NULL);
    return batch_fault_texts[f];
}

/* Copies all fields; the caller has checked that 61 bytes are there. */
static void batch_read_fields(const uint8_t *p, struct batch_header *h)
{
    ASSERT(p[BATCH_POS_MAGIC] == BATCH_MAGIC);
    *h = (struct batch_header){
        .base_offset = (int64_t)bytes_be64(p + BATCH_POS_BASE_OFFSET),
        .base_timestamp = (int64_t)bytes_be64(p + BATCH_POS_BASE_TIMESTAMP),
        .max_timestamp = (int64_t)bytes_be64(p + BATCH_POS_MAX_TIMESTAMP),
        .producer_id = (int64_t)bytes_be64(p + BATCH_POS_PRODUCER_ID),
        .size = bytes_be32(p + BATCH_POS_LENGTH) + BATCH_PREFIX_SIZE,
        .crc = bytes_be32(p + BATCH_POS_CRC),
        .leader_epoch = (int32_t)bytes_be32(p + BATCH_POS_LEADER_EPOCH),
        .last_offset_delta = (int32_t)bytes_be32(p + BATCH_POS_LAST_OFFSET_DELTA),
        .base_sequence = (int32_t)bytes_be32(p + BATCH_POS_BASE_SEQUENCE),
        .count = (int32_t)bytes_be32(p + BATCH_POS_COUNT),
        .attributes = (int16_t)bytes_be16(p + BATCH_POS_ATTRIBUTES),
        .producer_epoch = (int16_t)bytes_be16(p + BATCH_POS_PRODUCER_EPOCH),
    };
    ASSERT(h->size >= BATCH_HEADER_SIZE && h->size <= BATCH_SIZE_MAX);
}

/* What must hold of the fields of any batch, produced or stored. */
static enum batch_fault batch_check_fields(const struct batch_header *h)
{
    if ((h->attributes & ~BATCH_ATTR_KNOWN) != 0 ||
        (h->attributes & BATCH_ATTR_CODEC) >= CODEC_COUNT)
        return BATCH_BAD_ATTRIBUTES;
    if (h->last_offset_delta < 0 || h->count < 0 || h->count - 1 > h->last_offset_delta)
        return BATCH_BAD_COUNT;
    if (h->base_offset < 0 || h->base_offset > INT64_MAX - 1 - h->last_offset_delta)
        return BATCH_BAD_OFFSET;
    return BATCH_OK;
}

/* Reads a header whose magic and length are right, other fields as they come: what is needed to
 * look at the CRC, so that damage is called damage and not a strange field. */
static enum batch_fault batch_read(struct slice in, struct batch_header *h)
{
    ASSERT(in.p != NULL || in.size == 0);
    ASSERT(h != NULL);
    if (in.size <= BATCH_POS_MAGIC)
        return BATCH_SHORT;
    if (in.p[BATCH_POS_MAGIC] != BATCH_MAGIC)
        return BATCH_BAD_MAGIC;
    if (in.size < BATCH_HEADER_SIZE)
        return BATCH_SHORT;
    uint32_t length = bytes_be32(in.p + BATCH_POS_LENGTH);
    if (length < BATCH_LENGTH_MIN || length > BATCH_SIZE_MAX - BATCH_PREFIX_SIZE)
        return BATCH_BAD_LENGTH;
    batch_read_fields(in.p, h);
    return BATCH_OK;
}

enum batch_fault batch_parse(struct slice in, struct batch_header *h)
{
    struct batch_header found;
    ASSERT(h != NULL);
    enum batch_fault fault = batch_read(in, &found);
    if (fault != BATCH_OK)
        return fault;
    fault = batch_check_fields(&found);
    if (fault == BATCH_OK)
        *h = found;
    return fault;
}

static uint32_t batch_crc(const uint8_t *batch, uint32_t size)
{
    ASSERT(size >= BATCH_HEADER_SIZE);
    ASSERT(batch[BATCH_POS_MAGIC] == BATCH_MAGIC);
    return crc32c(batch + BATCH_POS_ATTRIBUTES, size - BATCH_POS_ATTRIBUTES);
}

enum batch_fault batch_check_crc(struct slice batch, const struct batch_header *h)
{
    ASSERT(h->size >= BATCH_HEADER_SIZE);
    ASSERT(batch.p != NULL || batch.size == 0);
    if (batch.size < h->size)
        return BATCH_SHORT;
    return batch_crc(batch.p, h->size) == h->crc ? BATCH_OK : BATCH_BAD_CRC;
}

enum batch_fault batch_check_stored(struct slice in, int64_t expected, struct batch_header *h)
{
    struct batch_header found;
    ASSERT(expected >= 0);
    ASSERT(h != NULL);
    enum batch_fault fault = batch_read(in, &found);
    if (fault != BATCH_OK)
        return fault;
    if (found.size > in.size)
        return BATCH_SHORT;
    if (found.base_offset < expected)
        return BATCH_BAD_OFFSET;
    if ((fault = batch_check_crc(in, &found)) != BATCH_OK)
        return fault;
    if ((fault = batch_check_fields(&found)) != BATCH_OK)
        return fault;
    *h = found;
    return BATCH_OK;
}

/* What a producer may put into the header beyond batch_check_fields. The CRC was right, so a fault
 * here is the client's doing. */
static enum batch_fault batch_check_client(const struct batch_header *h)
{
    ASSERT(h->size >= BATCH_HEADER_SIZE);
    ASSERT((h->attributes & ~BATCH_ATTR_KNOWN) == 0);
    if (h->base_offset != 0)
        return BATCH_BAD_OFFSET;
    if ((h->attributes & ~BATCH_ATTR_CLIENT) != 0)
        return BATCH_BAD_ATTRIBUTES;
    if (h->count < 1 || h->count - 1 != h->last_offset_delta)
        return BATCH_BAD_COUNT;
    if (h->producer_id < BATCH_NO_PRODUCER)
        return BATCH_BAD_PRODUCER;
    if (h->producer_id >= 0 && (h->producer_epoch < 0 || h->base_sequence < 0))
        return BATCH_BAD_PRODUCER;
    if (h->producer_id < 0 && (h->attributes & BATCH_ATTR_TXN) != 0)
        return BATCH_BAD_PRODUCER;
    if ((h->attributes & BATCH_ATTR_APPEND) != 0 || h->base_timestamp < BATCH_NO_TIMESTAMP ||
        h->max_timestamp < BATCH_NO_TIMESTAMP)
        return BATCH_BAD_TIMESTAMP;
    return BATCH_OK;
}

/* Walks the records of a produced batch; *max is the largest timestamp found. */
static enum batch_fault batch_check_produced(struct slice in, const struct batch_rules *rules,
                                             int64_t *max)
{
    struct batch_iter it;
    struct batch_record r;
    ASSERT(rules->scratch != NULL);
    enum batch_fault fault = batch_iter_init(&it, in, rules->inflate_max, rules->scratch);
    if (fault != BATCH_OK)
        return fault;
    ASSERT(it.header.base_offset == 0);
    int64_t found = BATCH_NO_TIMESTAMP;
    for (int64_t offset = 0; batch_iter_next(&it, &r, &fault); offset++) {
        if (r.offset != offset)
            return BATCH_BAD_RECORD;
        if (r.timestamp < BATCH_NO_TIMESTAMP)
            return BATCH_BAD_TIMESTAMP;
        if (rules->key_required && r.key.p == NULL)
            return BATCH_NO_KEY;
        found = r.timestamp > found ? r.timestamp : found;
    }
    *max = found;
    return fault;
}

enum batch_fault batch_validate(struct slice in, const struct batch_rules *rules,
                                struct batch_header *h)
{
    struct batch_header found;
    int64_t max = BATCH_NO_TIMESTAMP;
    ASSERT(rules != NULL && h != NULL);
    enum batch_fault fault = batch_read(in, &found);
    if (fault != BATCH_OK)
        return fault;
    if (found.size != in.size)
        return BATCH_BAD_LENGTH;
    if ((fault = batch_check_crc(in, &found)) != BATCH_OK)
        return fault;
    if ((fault = batch_check_fields(&found)) != BATCH_OK)
        return fault;
    if ((fault = batch_check_client(&found)) != BATCH_OK)
        return fault;
    if ((fault = batch_check_produced(in, rules, &max)) != BATCH_OK)
        return fault;
    ASSERT(max >= BATCH_NO_TIMESTAMP);
    fault = found.max_timestamp == max ? BATCH_OK : BATCH_WRONG_MAX;
    found.max_timestamp = max;
    *h = found;
    return fault;
}

enum batch_fault batch_check_records(struct slice batch, const struct batch_header *h,
                                     size_t inflate_max, struct buf *scratch)
{
    struct batch_iter it;
    struct batch_record r;
    ASSERT(h->size >= BATCH_HEADER_SIZE);
    enum batch_fault fault = batch_iter_init(&it, batch, inflate_max, scratch);
    if (fault != BATCH_OK)
        return fault;
    ASSERT(it.header.size == h->size && it.header.count == h->count);
    for (int64_t next = h->base_offset; batch_iter_next(&it, &r, &fault); next = r.offset + 1) {
        if (r.offset < next || r.offset > batch_last_offset(h))
            return BATCH_BAD_RECORD;
        if (r.timestamp > h->max_timestamp)
            return BATCH_BAD_TIMESTAMP;
    }
    return fault;
}

void batch_stamp(uint8_t *batch, int64_t base_offset, int32_t leader_epoch)
{
    ASSERT(batch[BATCH_POS_MAGIC] == BATCH_MAGIC);
    ASSERT(base_offset >= 0);
    bytes_put_be64(batch + BATCH_POS_BASE_OFFSET, (uint64_t)base_offset);
    bytes_put_be32(batch + BATCH_POS_LEADER_EPOCH, (uint32_t)leader_epoch);
}

void batch_stamp_max_timestamp(uint8_t *batch, int64_t max_timestamp)
{
    ASSERT(batch[BATCH_POS_MAGIC] == BATCH_MAGIC);
    ASSERT(max_timestamp >= BATCH_NO_TIMESTAMP);
    uint32_t size = bytes_be32(batch + BATCH_POS_LENGTH) + BATCH_PREFIX_SIZE;
    bytes_put_be64(batch + BATCH_POS_MAX_TIMESTAMP, (uint64_t)max_timestamp);
    bytes_put_be32(batch + BATCH_POS_CRC, batch_crc(batch, size));
}

void batch_stamp_append_time(uint8_t *batch, int64_t now_ms)
{
    ASSERT(now_ms >= 0);
    uint16_t attributes = bytes_be16(batch + BATCH_POS_ATTRIBUTES);
    ASSERT((attributes & ~BATCH_ATTR_KNOWN) == 0);
    bytes_put_be16(batch + BATCH_POS_ATTRIBUTES, attributes | BATCH_ATTR_APPEND);
    batch_stamp_max_timestamp(batch, now_ms);
}
