/* SPDX-License-Identifier: MIT
 *
 * batch: RecordBatch v2 (magic 2), the one byte format of kauri: what a producer sends is what the
 * disk, the replicas and the consumers hold, but for base offset and leader epoch. Source: Apache
 * Kafka's message format, KIP-98.
 *
 *   pos size field                         note
 *     0    8 base_offset           i64     stamped by the leader, outside the CRC; clients send 0
 *     8    4 batch_length          i32     bytes behind this field, >= 49
 *    12    4 partition_leader_epoch i32    stamped by the leader, outside the CRC
 *    16    1 magic                 i8      2
 *    17    4 crc                   u32     CRC-32C of bytes 21 .. end
 *    21    2 attributes            i16     bits 0-2 codec, 3 append time, 4 transactional,
 *                                          5 control, 6 delete horizon; the rest 0
 *    23    4 last_offset_delta     i32     last offset = base + this
 *    27    8 base_timestamp        i64     ms; with bit 6 the delete horizon (deltas count from it)
 *    35    8 max_timestamp         i64     ms
 *    43    8 producer_id           i64     -1 none; epoch and sequence then mean nothing
 *    51    2 producer_epoch        i16     -1 none
 *    53    4 base_sequence         i32     -1 none
 *    57    4 count                 i32     records present; fewer than last_offset_delta + 1
 *                                          after compaction
 *    61   .. records                       one compressed block, or the records themselves
 *
 * A record (all numbers zigzag varints): size of the rest, attributes (1 byte, written 0, ignored
 * when read, as Kafka does), timestamp delta, offset delta, key size (-1 null) and key, value size
 * (-1 null) and value, header count, and per header name size and name, value size (-1 null) and
 * value.
 *
 * The happy path of a produced batch: batch_validate, batch_stamp, written. Of a stored one:
 * batch_check_stored, then batch_iter_init and batch_iter_next until false.
 *
 * Invariants: B1 every byte from 21 on is covered by the CRC. Of the others length and magic are
 * checked by themselves; base offset by continuity: check_stored refuses a lower one, the caller
 * also a higher one where nothing was cleaned; leader epoch is not trusted from outside. B2 a
 * batch_header that batch_parse filled has size >= 61, base_offset >= 0, last offset < INT64_MAX, 0
 * <= count <= last_offset_delta + 1, and a known codec. B3 no foreign number is used as a size
 * before it was compared with the bytes at hand; nothing is allocated but the caller's scratch, up
 * to inflate_max.
 *
 * Failures: foreign bytes give an enum batch_fault. Building from wrong arguments is a bug and
 * asserts.
 *
 * Must not know: files, offsets of a partition, topics, time.
 */
#pragma once

#include <stdbool.h>

#include "engine/base/bytes.h"
#include "engine/base/codec.h"

#define BATCH_HEADER_SIZE  61
#define BATCH_PREFIX_SIZE  12 /* base offset and batch_length, not counted in batch_length */
#define BATCH_SIZE_MAX     0x7fffffff
#define BATCH_MAGIC        2

#define BATCH_ATTR_CODEC   0x07
#define BATCH_ATTR_APPEND  0x08
#define BATCH_ATTR_TXN     0x10
#define BATCH_ATTR_CONTROL 0x20
#define BATCH_ATTR_HORIZON 0x40
#define BATCH_ATTR_KNOWN   0x7f

#define BATCH_NO_PRODUCER  (-1)
#define BATCH_NO_TIMESTAMP (-1)

/* Byte positions of the fields in the table above. */
#define BATCH_POS_BASE_OFFSET       0
#define BATCH_POS_LENGTH            8
#define BATCH_POS_LEADER_EPOCH      12
#define BATCH_POS_MAGIC             16
#define BATCH_POS_CRC               17
#define BATCH_POS_ATTRIBUTES        21 /* the CRC covers from here to the end */
#define BATCH_POS_LAST_OFFSET_DELTA 23
#define BATCH_POS_BASE_TIMESTAMP    27
#define BATCH_POS_MAX_TIMESTAMP     35
#define BATCH_POS_PRODUCER_ID       43
#define BATCH_POS_PRODUCER_EPOCH    51
#define BATCH_POS_BASE_SEQUENCE     53
#define BATCH_POS_COUNT             57
_Static_assert(BATCH_POS_COUNT + 4 == BATCH_HEADER_SIZE, "the count ends the header");

struct batch_header {
    int64_t base_offset;
    int64_t base_timestamp;
    int64_t max_timestamp;
    int64_t producer_id;
    uint32_t size; /* of the whole batch: 12 + batch_length */
    uint32_t crc;
    int32_t leader_epoch;
    int32_t last_offset_delta;
    int32_t base_sequence;
    int32_t count;
    int16_t attributes;
    int16_t producer_epoch;
};

static inline int64_t batch_last_offset(const struct batch_header *h)
{
    return h->base_offset + h->last_offset_delta;
}

static inline int64_t batch_next_offset(const struct batch_header *h)
{
    return h->base_offset + h->last_offset_delta + 1;
}

static inline enum codec batch_codec(const struct batch_header *h)
{
    return (enum codec)(h->attributes & BATCH_ATTR_CODEC);
}

/* What a batch can be accused of. All are conditions of foreign bytes. */
enum batch_fault {
    BATCH_OK = 0,
    BATCH_SHORT = 1,          /* fewer bytes than the header or its length asks for */
    BATCH_BAD_LENGTH = 2,     /* length below 49 or past BATCH_SIZE_MAX (validate: not in.size) */
    BATCH_BAD_MAGIC = 3,      /* not format 2 */
    BATCH_BAD_CRC = 4,        /* bytes changed on the way or on the disk */
    BATCH_BAD_ATTRIBUTES = 5, /* unknown bits or codec, or bits that a client may not set */
    BATCH_BAD_COUNT = 6,      /* count or last offset delta impossible */
    BATCH_BAD_PRODUCER = 7,   /* producer id, epoch, sequence, transaction do not go together */
    BATCH_BAD_TIMESTAMP = 8,  /* below -1, append time set by a client, or a record past the max */
    BATCH_BAD_RECORD = 9,     /* a record does not parse, or its deltas are not 0,1,2,... */
    BATCH_BAD_CODEC = 10,     /* the compressed block does not inflate */
    BATCH_TOO_LARGE = 11,     /* inflates beyond the limit */
    BATCH_NO_KEY = 12,        /* a record lacks the key that a compacted topic needs */
    BATCH_BAD_OFFSET = 13, /* produced: base offset not 0; stored: below the expected one, negative
                               * or last offset beyond what 63 bits hold */
    BATCH_WRONG_MAX = 14,  /* from batch_validate only: all is well but max_timestamp, which some
                               * clients leave at -1; see there */
};
#define BATCH_FAULT_COUNT 15

/* "wrong CRC", ... static, never NULL. */
const char *batch_fault_text(enum batch_fault f);

/* Reads the header at the start of `in`; *h only on BATCH_OK. BATCH_OK, BATCH_SHORT,
 * BATCH_BAD_LENGTH, BATCH_BAD_MAGIC (told from 17 bytes on, whatever else is wrong),
 * BATCH_BAD_ATTRIBUTES (unknown bits or codec), BATCH_BAD_COUNT (negative, or more records than
 * offsets), BATCH_BAD_OFFSET (negative or overflowing). Only 61 bytes need to be there: h->size may
 * be larger than in.size. Does not look at the CRC. */
enum batch_fault batch_parse(struct slice in, struct batch_header *h) MUST_CHECK;

/* Compares the CRC of the first h->size bytes of `batch`, h being what batch_parse read there.
 * BATCH_OK, BATCH_SHORT or BATCH_BAD_CRC. */
enum batch_fault batch_check_crc(struct slice batch, const struct batch_header *h) MUST_CHECK;

/* A batch stored at `expected` or later (cleaned ranges skip offsets): what batch_parse checks,
 * size <= in.size (else BATCH_SHORT), base offset (BATCH_BAD_OFFSET), CRC, which is looked at
 * before the fields it covers. This is what recovery and reads trust. *h only on BATCH_OK. */
enum batch_fault batch_check_stored(struct slice in, int64_t expected,
                                    struct batch_header *h) MUST_CHECK;

/* Limits and rules of a produced batch. */
struct batch_rules {
    size_t inflate_max;  /* bytes a compressed block may inflate to */
    struct buf *scratch; /* borrowed, not NULL, for inflating; reused from call to call */
    bool key_required;   /* topic is compacted */
};

/* Full validation of a batch from outside: exactly one batch of exactly in.size bytes, base offset
 * 0, CRC, attributes a client may set (codec and transactional), count >= 1 and equal to
 * last_offset_delta + 1, producer fields (with an id: epoch and sequence >= 0; without one: no
 * transactional bit, epoch and sequence ignored, since kafkajs sends 0 there), every record parsed
 * (inflated when compressed), offset deltas 0,1,2,..., timestamps >= -1, keys. Cost O(bytes).
 * Damage to any byte from 21 on is BATCH_BAD_CRC: fields are judged only after the CRC was right.
 *
 * *h only on BATCH_OK and BATCH_WRONG_MAX: then everything but max_timestamp was found right and
 * h->max_timestamp holds the true maximum. The caller repairs the bytes, as Kafka does, with
 * batch_stamp_max_timestamp (or batch_stamp_append_time) and goes on. Source: Kafka's LogValidator,
 * KIP-98. */
enum batch_fault batch_validate(struct slice in, const struct batch_rules *rules,
                                struct batch_header *h) MUST_CHECK;

/* Every record of a stored batch parses and lies inside its header's promises: exactly count
 * records, rising offset deltas up to last_offset_delta, no timestamp past max_timestamp. For
 * verify; the CRC is not looked at. BATCH_OK, BATCH_SHORT, BATCH_BAD_RECORD,
 * BATCH_BAD_TIMESTAMP, BATCH_BAD_CODEC or BATCH_TOO_LARGE. */
enum batch_fault batch_check_records(struct slice batch, const struct batch_header *h,
                                     size_t inflate_max, struct buf *scratch) MUST_CHECK;

/* The stamps below change a batch in place; it must have passed batch_validate or
 * batch_check_stored (or come from batch_build_finish). */

/* The leader's fields, which the CRC does not cover. base_offset >= 0. */
void batch_stamp(uint8_t *batch, int64_t base_offset, int32_t leader_epoch);
/* Turns a batch into append time: sets the bit, max_timestamp = now_ms, recomputes the CRC:
 * O(bytes). now_ms >= 0. */
void batch_stamp_append_time(uint8_t *batch, int64_t now_ms);
/* Sets max_timestamp and recomputes the CRC: O(bytes). For BATCH_WRONG_MAX. */
void batch_stamp_max_timestamp(uint8_t *batch, int64_t max_timestamp);

/* Reads the records of a batch one by one. Slices point into the batch, or for a compressed one
 * into the caller's scratch buffer. */
struct batch_record {
    int64_t offset;
    int64_t timestamp; /* as consumers see it: append time wins */
    struct slice key;  /* p NULL: null */
    struct slice value;
    struct slice headers; /* raw: header_count pairs, see batch_header_next */
    int32_t header_count;
};

struct batch_iter {
    struct batch_header header;
    struct slice rest; /* records not read yet */
    int32_t left;
};

/* Starts at the first record; `batch` holds the whole batch (more bytes behind it are fine,
 * fewer are BATCH_SHORT) and outlives the iterator. scratch is emptied and receives inflated
 * records, at most inflate_max bytes; it must stay as it is while the iterator and its slices
 * are in use. BATCH_OK, BATCH_BAD_CODEC, BATCH_TOO_LARGE or what batch_parse says. */
enum batch_fault batch_iter_init(struct batch_iter *it, struct slice batch, size_t inflate_max,
                                 struct buf *scratch) MUST_CHECK;
/* True and *r, or false at the end or at a record that does not parse (then *fault is
 * BATCH_BAD_RECORD, else BATCH_OK; bytes left behind the last record are a fault too). Header pairs
 * of a record returned are known to parse. */
bool batch_iter_next(struct batch_iter *it, struct batch_record *r,
                     enum batch_fault *fault) MUST_CHECK;

/* Takes one (name, value) pair from the front of *headers; value.p NULL is a null value. False
 * at the end or when it does not parse. */
bool batch_header_next(struct slice *headers, struct slice *name, struct slice *value) MUST_CHECK;

/* Builds a batch record by record: for producers, internal logs and tests.
 *
 *   batch_build_init(&b); batch_build_add(&b, ...)...; batch_build_finish(&b, &options, &out)
 */
struct batch_build {
    struct buf records; /* owned */
    int64_t base_timestamp;
    int64_t max_timestamp;
    int32_t count;
};

struct batch_pair {
    struct slice name;  /* not NULL */
    struct slice value; /* p NULL: null */
};

struct batch_build_options {
    enum codec codec;
    int level;              /* CODEC_LEVEL_DEFAULT */
    int64_t producer_id;    /* BATCH_NO_PRODUCER */
    int32_t base_sequence;  /* -1 without producer and for control batches */
    int16_t producer_epoch; /* -1 without producer */
    int16_t attributes;     /* further bits: BATCH_ATTR_TXN, BATCH_ATTR_CONTROL */
};

/* Without producer, uncompressed. */
struct batch_build_options batch_build_plain(void);
void batch_build_init(struct batch_build *b);
/* Copies one record in. timestamp >= -1 (none); key and value may be null; headers (borrowed)
 * may be NULL when there are none. The caller keeps the total below BATCH_SIZE_MAX
 * (batch_build_size). */
void batch_build_add(struct batch_build *b, int64_t timestamp, struct slice key, struct slice value,
                     const struct batch_pair *headers, int32_t header_count);
/* Bytes of the finished batch if it were not compressed. */
size_t batch_build_size(const struct batch_build *b);
/* Appends the batch (base offset 0, epoch -1) to `out` and empties b for the next one. count >
 * 0. */
void batch_build_finish(struct batch_build *b, const struct batch_build_options *o,
                        struct buf *out);
void batch_build_deinit(struct batch_build *b);
