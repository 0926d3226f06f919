/* SPDX-License-Identifier: MIT
 *
 * Tests of engine/store/batch: golden bytes, every flip and cut, lies, and random records through
 * every codec. Batches under test are copied to a heap block of exactly their size, so that a
 * sanitizer sees the first byte read too far.
 */
#include "engine/store/batch.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>

#include "engine/base/crc32c.h"
#include "engine/base/random.h"

#define TS          INT64_C(1700000000000)
#define INFLATE_MAX ((size_t)1 << 24)

static const char test_golden_data[] =
    "00000000000000000000004affffffff0286059cbc0000000000010000018bcfe568000000018bcfe56801"
    "ffffffffffffffffffffffffffff0000000210000000026b0276001e000202010a68656c6c6f0202680278";
static const char test_golden_marker[] =
    "0000000000000005000000420000000002a1ac499f0030000000000000018bcfe568000000018bcfe56800"
    "00000000000003e80000ffffffff000000012000000008000000010c00000000000000";

static void test_hex(struct buf *out, const char *hex)
{
    for (; hex[0] != '\0' && hex[1] != '\0'; hex += 2) {
        char pair[3] = {hex[0], hex[1], '\0'};
        buf_append_u8(out, (uint8_t)strtoul(pair, NULL, 16));
    }
}

static enum batch_fault test_validate(struct slice in, struct batch_header *h)
{
    struct buf scratch = {0};
    struct batch_rules rules = {.inflate_max = INFLATE_MAX, .scratch = &scratch};
    uint8_t *copy = slice_dup(in);
    copy = realloc(copy, in.size > 0 ? in.size : 1);
    enum batch_fault fault = batch_validate(slice_of(copy, in.size), &rules, h);
    free(copy);
    buf_deinit(&scratch);
    return fault;
}

static enum batch_fault test_stored(struct slice in, int64_t expected)
{
    struct batch_header h;
    uint8_t *copy = slice_dup(in);
    copy = realloc(copy, in.size > 0 ? in.size : 1);
    enum batch_fault fault = batch_check_stored(slice_of(copy, in.size), expected, &h);
    free(copy);
    return fault;
}

static enum batch_fault test_records(struct slice in)
{
    struct buf scratch = {0};
    struct batch_header h;
    ck_assert_int_eq(batch_parse(in, &h), BATCH_OK);
    enum batch_fault fault = batch_check_records(in, &h, INFLATE_MAX, &scratch);
    buf_deinit(&scratch);
    return fault;
}

/* Makes the CRC right again after a test has changed the bytes: a lie, not damage. */
static void test_seal(struct buf *b)
{
    bytes_put_be32(b->p + BATCH_POS_LENGTH, (uint32_t)b->size - BATCH_PREFIX_SIZE);
    uint32_t crc = crc32c(b->p + BATCH_POS_ATTRIBUTES, b->size - BATCH_POS_ATTRIBUTES);
    bytes_put_be32(b->p + BATCH_POS_CRC, crc);
}

/* `count` records (k, value) at TS + i. */
static void test_build(struct buf *out, int32_t count, const struct batch_build_options *o)
{
    struct batch_build b;
    batch_build_init(&b);
    for (int32_t i = 0; i < count; i++)
        batch_build_add(&b, TS + i, slice_str("k"), slice_str("value"), NULL, 0);
    ck_assert_uint_eq(batch_build_size(&b), BATCH_HEADER_SIZE + b.records.size);
    batch_build_finish(&b, o, out);
    batch_build_deinit(&b);
}

static void test_plain(struct buf *out, int32_t count)
{
    struct batch_build_options o = batch_build_plain();
    buf_reset(out);
    test_build(out, count, &o);
}

/* A sealed batch that says it has `count` records and carries `hex` for them. */
static void test_raw(struct buf *out, int32_t count, const char *hex)
{
    test_plain(out, 1);
    out->size = BATCH_HEADER_SIZE;
    test_hex(out, hex);
    bytes_put_be32(out->p + BATCH_POS_COUNT, (uint32_t)count);
    bytes_put_be32(out->p + BATCH_POS_LAST_OFFSET_DELTA, (uint32_t)count - 1);
    bytes_put_be64(out->p + BATCH_POS_MAX_TIMESTAMP, TS);
    test_seal(out);
}

/* The fault after one field of a good batch of 3 records was changed, with a right CRC. */
static enum batch_fault test_lie(size_t pos, size_t size, int64_t v)
{
    struct buf b = {0};
    struct batch_header h;
    test_plain(&b, 3);
    for (size_t i = 0; i < size; i++)
        b.p[pos + i] = (uint8_t)((uint64_t)v >> (8 * (size - 1 - i)));
    test_seal(&b);
    enum batch_fault fault = test_validate(buf_slice(&b), &h);
    buf_deinit(&b);
    return fault;
}

static bool test_same(struct slice a, struct slice b)
{
    return (a.p == NULL) == (b.p == NULL) && slice_equal(a, b);
}

START_TEST(golden_data)
{
    struct buf golden = {0}, out = {0}, scratch = {0};
    struct batch_header h;
    struct batch_iter it;
    struct batch_record r;
    struct slice name, value;
    enum batch_fault fault;
    ck_assert_uint_eq(crc32c("123456789", 9), 0xe3069283);
    test_hex(&golden, test_golden_data);
    ck_assert_uint_eq(golden.size, 86);
    ck_assert_int_eq(test_validate(buf_slice(&golden), &h), BATCH_OK);
    ck_assert_uint_eq(h.size, 86);
    ck_assert_uint_eq(h.crc, 0x86059cbc);
    ck_assert_int_eq(h.leader_epoch, -1);
    ck_assert_int_eq(h.attributes, 0);
    ck_assert_int_eq(h.count, 2);
    ck_assert_int_eq(h.last_offset_delta, 1);
    ck_assert_int_eq(h.base_timestamp, TS);
    ck_assert_int_eq(h.max_timestamp, TS + 1);
    ck_assert_int_eq(h.producer_id, -1);
    ck_assert_int_eq(h.producer_epoch, -1);
    ck_assert_int_eq(h.base_sequence, -1);
    ck_assert_int_eq(batch_next_offset(&h), 2);

    ck_assert_int_eq(batch_iter_init(&it, buf_slice(&golden), 0, &scratch), BATCH_OK);
    ck_assert(batch_iter_next(&it, &r, &fault));
    ck_assert(r.offset == 0 && r.timestamp == TS && r.header_count == 0);
    ck_assert(test_same(r.key, slice_str("k")) && test_same(r.value, slice_str("v")));
    ck_assert(batch_iter_next(&it, &r, &fault));
    ck_assert(r.offset == 1 && r.timestamp == TS + 1 && r.header_count == 1);
    ck_assert(r.key.p == NULL && test_same(r.value, slice_str("hello")));
    ck_assert(batch_header_next(&r.headers, &name, &value));
    ck_assert(test_same(name, slice_str("h")) && test_same(value, slice_str("x")));
    ck_assert(!batch_header_next(&r.headers, &name, &value));
    ck_assert(!batch_iter_next(&it, &r, &fault));
    ck_assert_int_eq(fault, BATCH_OK);

    struct batch_build b;
    struct batch_build_options o = batch_build_plain();
    struct batch_pair pair = {slice_str("h"), slice_str("x")};
    batch_build_init(&b);
    batch_build_add(&b, TS, slice_str("k"), slice_str("v"), NULL, 0);
    batch_build_add(&b, TS + 1, SLICE_NULL, slice_str("hello"), &pair, 1);
    ck_assert_uint_eq(batch_build_size(&b), 86);
    batch_build_finish(&b, &o, &out);
    ck_assert(slice_equal(buf_slice(&out), buf_slice(&golden)));
    batch_build_deinit(&b);
    buf_deinit(&golden);
    buf_deinit(&out);
    buf_deinit(&scratch);
}
END_TEST

START_TEST(golden_marker)
{
    struct buf golden = {0}, out = {0}, scratch = {0};
    struct batch_header h;
    struct batch_iter it;
    struct batch_record r;
    enum batch_fault fault;
    static const uint8_t key[] = {0, 0, 0, 1};
    static const uint8_t value[] = {0, 0, 0, 0, 0, 0};
    test_hex(&golden, test_golden_marker);
    ck_assert_uint_eq(golden.size, 78);
    ck_assert_int_eq(batch_check_stored(buf_slice(&golden), 5, &h), BATCH_OK);
    ck_assert(h.base_offset == 5 && batch_last_offset(&h) == 5 && h.leader_epoch == 0);
    ck_assert(h.producer_id == 1000 && h.producer_epoch == 0 && h.base_sequence == -1);
    ck_assert_int_eq(h.attributes, BATCH_ATTR_TXN | BATCH_ATTR_CONTROL);
    ck_assert_int_eq(test_records(buf_slice(&golden)), BATCH_OK);
    ck_assert_int_eq(batch_iter_init(&it, buf_slice(&golden), 0, &scratch), BATCH_OK);
    ck_assert(batch_iter_next(&it, &r, &fault));
    ck_assert(r.offset == 5 && r.timestamp == TS && r.header_count == 0);
    ck_assert(test_same(r.key, slice_of(key, sizeof key)));
    ck_assert(test_same(r.value, slice_of(value, sizeof value)));
    ck_assert(!batch_iter_next(&it, &r, &fault));

    struct batch_build b;
    struct batch_build_options o = batch_build_plain();
    o.producer_id = 1000;
    o.producer_epoch = 0;
    o.attributes = BATCH_ATTR_TXN | BATCH_ATTR_CONTROL;
    batch_build_init(&b);
    batch_build_add(&b, TS, slice_of(key, sizeof key), slice_of(value, sizeof value), NULL, 0);
    batch_build_finish(&b, &o, &out);
    ck_assert_int_eq(test_validate(buf_slice(&out), &h), BATCH_BAD_ATTRIBUTES);
    batch_stamp(out.p, 5, 0);
    ck_assert(slice_equal(buf_slice(&out), buf_slice(&golden)));
    batch_build_deinit(&b);
    buf_deinit(&golden);
    buf_deinit(&out);
    buf_deinit(&scratch);
}
END_TEST

START_TEST(null_and_empty)
{
    struct buf out = {0}, scratch = {0};
    struct batch_build b;
    struct batch_iter it;
    struct batch_record r;
    struct batch_build_options o = batch_build_plain();
    const struct slice forms[] = {SLICE_NULL, slice_str(""), slice_str("x")};
    enum batch_fault fault;
    batch_build_init(&b);
    for (int i = 0; i < 9; i++)
        batch_build_add(&b, 0, forms[i / 3], forms[i % 3], NULL, 0);
    batch_build_finish(&b, &o, &out);
    ck_assert_int_eq(b.count, 0);
    ck_assert_int_eq(batch_iter_init(&it, buf_slice(&out), 0, &scratch), BATCH_OK);
    for (int i = 0; i < 9; i++) {
        ck_assert(batch_iter_next(&it, &r, &fault));
        ck_assert(test_same(r.key, forms[i / 3]));
        ck_assert(test_same(r.value, forms[i % 3]));
    }
    ck_assert(!batch_iter_next(&it, &r, &fault));
    ck_assert_int_eq(fault, BATCH_OK);
    batch_build_deinit(&b);
    buf_deinit(&out);
    buf_deinit(&scratch);
}
END_TEST

START_TEST(header_order)
{
    struct buf out = {0}, scratch = {0};
    struct batch_build b;
    struct batch_iter it;
    struct batch_record r;
    struct slice name, value;
    struct batch_build_options o = batch_build_plain();
    const struct batch_pair pairs[] = {
        {slice_str("b"), slice_str("1")}, {slice_str("a"), SLICE_NULL},
        {slice_str("b"), slice_str("")},  {slice_str(""), slice_str("2")},
        {slice_str("b"), slice_str("1")},
    };
    const int count = sizeof pairs / sizeof pairs[0];
    enum batch_fault fault;
    batch_build_init(&b);
    batch_build_add(&b, 0, SLICE_NULL, SLICE_NULL, pairs, count);
    batch_build_finish(&b, &o, &out);
    ck_assert_int_eq(batch_iter_init(&it, buf_slice(&out), 0, &scratch), BATCH_OK);
    ck_assert(batch_iter_next(&it, &r, &fault));
    ck_assert_int_eq(r.header_count, count);
    for (int i = 0; i < count; i++) {
        ck_assert(batch_header_next(&r.headers, &name, &value));
        ck_assert(test_same(name, pairs[i].name));
        ck_assert(test_same(value, pairs[i].value));
    }
    ck_assert_uint_eq(r.headers.size, 0);
    ck_assert(!batch_header_next(&r.headers, &name, &value));
    batch_build_deinit(&b);
    buf_deinit(&out);
    buf_deinit(&scratch);
}
END_TEST

/* What validate must say to one flipped bit at `pos`; the leader epoch alone goes unnoticed. */
static enum batch_fault test_flip_expected(size_t pos)
{
    if (pos < BATCH_POS_LENGTH)
        return BATCH_BAD_OFFSET;
    if (pos < BATCH_POS_LEADER_EPOCH)
        return BATCH_BAD_LENGTH;
    if (pos < BATCH_POS_MAGIC)
        return BATCH_OK;
    if (pos == BATCH_POS_MAGIC)
        return BATCH_BAD_MAGIC;
    return BATCH_BAD_CRC;
}

/* Flips every bit of a produced batch. */
static void test_flips_produced(struct buf *b)
{
    struct batch_header h;
    ck_assert_int_eq(test_validate(buf_slice(b), &h), BATCH_OK);
    for (size_t bit = 0; bit < b->size * 8; bit++) {
        b->p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum batch_fault fault = test_validate(buf_slice(b), &h);
        ck_assert_msg(fault == test_flip_expected(bit / 8), "byte %zu: %s", bit / 8,
                      batch_fault_text(fault));
        b->p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* Flips every bit of a stored one. A base offset that grew looks like a cleaned range and is the
 * caller's to refuse where none is; one that shrank is refused here. */
static void test_flips_stored(struct buf *b, int64_t base)
{
    ck_assert_int_eq(test_stored(buf_slice(b), base), BATCH_OK);
    for (size_t bit = 0; bit < b->size * 8; bit++) {
        size_t pos = bit / 8;
        b->p[pos] ^= (uint8_t)(1u << bit % 8);
        enum batch_fault fault = test_stored(buf_slice(b), base);
        bool lower = (int64_t)bytes_be64(b->p) < base;
        if (pos < BATCH_POS_LENGTH)
            ck_assert_int_eq(fault, lower ? BATCH_BAD_OFFSET : BATCH_OK);
        else if (pos >= BATCH_POS_LEADER_EPOCH && pos < BATCH_POS_MAGIC)
            ck_assert_int_eq(fault, BATCH_OK);
        else if (pos > BATCH_POS_MAGIC)
            ck_assert_int_eq(fault, BATCH_BAD_CRC);
        else
            ck_assert_msg(fault != BATCH_OK, "byte %zu unnoticed", pos);
        b->p[pos] ^= (uint8_t)(1u << bit % 8);
    }
}

START_TEST(flips)
{
    struct buf b = {0};
    test_hex(&b, test_golden_data);
    test_flips_produced(&b);
    batch_stamp(b.p, 0x0123456789, 7);
    test_flips_stored(&b, 0x0123456789);
    buf_reset(&b);
    test_hex(&b, test_golden_marker);
    test_flips_stored(&b, 5);
    for (enum codec codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        struct batch_build_options o = batch_build_plain();
        o.codec = codec;
        buf_reset(&b);
        test_build(&b, 5, &o);
        test_flips_produced(&b);
    }
    buf_deinit(&b);
}
END_TEST

START_TEST(truncation)
{
    struct buf b = {0}, scratch = {0};
    struct batch_header h;
    struct batch_iter it;
    test_hex(&b, test_golden_data);
    for (size_t size = 0; size < b.size; size++) {
        uint8_t *copy = malloc(size > 0 ? size : 1);
        memcpy(copy, b.p, size);
        struct slice cut = slice_of(copy, size);
        enum batch_fault expected = size < BATCH_HEADER_SIZE ? BATCH_SHORT : BATCH_BAD_LENGTH;
        ck_assert_int_eq(test_validate(cut, &h), expected);
        ck_assert_int_eq(batch_check_stored(cut, 0, &h), BATCH_SHORT);
        ck_assert_int_eq(batch_iter_init(&it, cut, 0, &scratch), BATCH_SHORT);
        expected = size < BATCH_HEADER_SIZE ? BATCH_SHORT : BATCH_OK;
        ck_assert_int_eq(batch_parse(cut, &h), expected);
        if (expected == BATCH_OK)
            ck_assert_int_eq(batch_check_crc(cut, &h), BATCH_SHORT);
        free(copy);
    }
    buf_append_u8(&b, 0);
    ck_assert_int_eq(test_validate(buf_slice(&b), &h), BATCH_BAD_LENGTH);
    ck_assert_int_eq(batch_check_stored(buf_slice(&b), 0, &h), BATCH_OK);
    buf_deinit(&b);
    buf_deinit(&scratch);
}
END_TEST

/* Records cut inside, with length and CRC made right: only the record parser can notice. */
START_TEST(truncated_records)
{
    struct buf b = {0};
    struct batch_header h;
    test_hex(&b, test_golden_data);
    while (--b.size >= BATCH_HEADER_SIZE) {
        test_seal(&b);
        ck_assert_int_eq(test_validate(buf_slice(&b), &h), BATCH_BAD_RECORD);
        ck_assert_int_eq(test_records(buf_slice(&b)), BATCH_BAD_RECORD);
    }
    buf_deinit(&b);
}
END_TEST

#define RECORDS_MAX 200
#define HEADERS_MAX 4

struct test_record {
    int64_t timestamp;
    struct slice key;
    struct slice value;
    struct batch_pair headers[HEADERS_MAX];
    int32_t header_count;
};

/* Null, empty, short, or now and then long; points into `pool`. */
static struct slice test_random_slice(struct random *rnd, const uint8_t *pool, size_t pool_size)
{
    switch (random_below(rnd, 8)) {
    case 0:
        return SLICE_NULL;
    case 1:
        return slice_of(pool, 0);
    case 2:
        return slice_of(pool, random_below(rnd, pool_size));
    default:
        return slice_of(pool + random_below(rnd, 64), random_below(rnd, 150));
    }
}

static void test_random_record(struct random *rnd, const uint8_t *pool, size_t pool_size,
                               struct test_record *t)
{
    static const int64_t spans[] = {1, 100, 100000, TS * 2, INT64_MAX};
    t->timestamp = (int64_t)random_below(rnd, (uint64_t)spans[random_below(rnd, 5)]) - 1;
    t->key = test_random_slice(rnd, pool, pool_size);
    t->value = test_random_slice(rnd, pool, pool_size);
    t->header_count = (int32_t)(random_below(rnd, 3) == 0 ? random_below(rnd, HEADERS_MAX + 1) : 0);
    for (int i = 0; i < t->header_count; i++) {
        t->headers[i].name = slice_of(pool, random_below(rnd, 12));
        t->headers[i].value = test_random_slice(rnd, pool, 200);
    }
}

static void test_compare(const struct test_record *t, struct batch_record *r)
{
    struct slice name, value;
    ck_assert_int_eq(r->timestamp, t->timestamp);
    ck_assert(test_same(r->key, t->key));
    ck_assert(test_same(r->value, t->value));
    ck_assert_int_eq(r->header_count, t->header_count);
    for (int i = 0; i < t->header_count; i++) {
        ck_assert(batch_header_next(&r->headers, &name, &value));
        ck_assert(test_same(name, t->headers[i].name));
        ck_assert(test_same(value, t->headers[i].value));
    }
    ck_assert_uint_eq(r->headers.size, 0);
}

static void test_round_trip(const struct test_record *t, int32_t count,
                            const struct batch_build_options *o)
{
    struct buf out = {0}, scratch = {0};
    struct batch_build b;
    struct batch_header h;
    struct batch_iter it;
    struct batch_record r;
    enum batch_fault fault;
    batch_build_init(&b);
    for (int32_t i = 0; i < count; i++)
        batch_build_add(&b, t[i].timestamp, t[i].key, t[i].value, t[i].headers, t[i].header_count);
    buf_append(&out, "before", 6);
    batch_build_finish(&b, o, &out);
    struct slice in = slice_of(out.p + 6, out.size - 6);
    ck_assert_int_eq(test_validate(in, &h), BATCH_OK);
    ck_assert_int_eq(h.count, count);
    ck_assert_int_eq(h.producer_id, o->producer_id);
    ck_assert_int_eq(h.producer_epoch, o->producer_epoch);
    ck_assert_int_eq(h.base_sequence, o->base_sequence);
    ck_assert_int_eq(batch_codec(&h), o->codec);
    batch_stamp(out.p + 6, 1000, 3);
    ck_assert_int_eq(test_stored(in, 1000), BATCH_OK);
    ck_assert_int_eq(test_records(in), BATCH_OK);
    ck_assert_int_eq(batch_iter_init(&it, in, INFLATE_MAX, &scratch), BATCH_OK);
    for (int32_t i = 0; i < count; i++) {
        ck_assert(batch_iter_next(&it, &r, &fault));
        ck_assert_int_eq(r.offset, 1000 + i);
        test_compare(&t[i], &r);
    }
    ck_assert(!batch_iter_next(&it, &r, &fault));
    ck_assert_int_eq(fault, BATCH_OK);
    batch_build_deinit(&b);
    buf_deinit(&out);
    buf_deinit(&scratch);
}

/* One run per codec. */
START_TEST(random_records)
{
    static struct test_record t[RECORDS_MAX];
    uint8_t pool[20000];
    struct random rnd;
    random_init(&rnd, 42);
    for (size_t i = 0; i < sizeof pool; i++)
        pool[i] = (uint8_t)(random_below(&rnd, 4) == 0 ? random_u64(&rnd) : 'a');
    for (int round = 0; round < 60; round++) {
        struct batch_build_options o = batch_build_plain();
        int32_t count = 1 + (int32_t)random_below(&rnd, RECORDS_MAX);
        o.codec = (enum codec)_i;
        if (random_below(&rnd, 2) == 0) {
            o.producer_id = (int64_t)random_below(&rnd, INT64_MAX);
            o.producer_epoch = (int16_t)random_below(&rnd, INT16_MAX);
            o.base_sequence = (int32_t)random_below(&rnd, INT32_MAX);
            o.attributes = random_below(&rnd, 2) == 0 ? BATCH_ATTR_TXN : 0;
        }
        for (int32_t i = 0; i < count; i++)
            test_random_record(&rnd, pool, sizeof pool, &t[i]);
        test_round_trip(t, count, &o);
    }
}
END_TEST

START_TEST(lying_counts)
{
    struct buf b = {0};
    struct batch_header h;
    ck_assert_int_eq(test_lie(BATCH_POS_COUNT, 4, 3), BATCH_OK);
    ck_assert_int_eq(test_lie(BATCH_POS_COUNT, 4, 2), BATCH_BAD_COUNT);
    ck_assert_int_eq(test_lie(BATCH_POS_COUNT, 4, 4), BATCH_BAD_COUNT);
    ck_assert_int_eq(test_lie(BATCH_POS_COUNT, 4, 0), BATCH_BAD_COUNT);
    ck_assert_int_eq(test_lie(BATCH_POS_COUNT, 4, -1), BATCH_BAD_COUNT);
    ck_assert_int_eq(test_lie(BATCH_POS_COUNT, 4, INT32_MIN), BATCH_BAD_COUNT);
    ck_assert_int_eq(test_lie(BATCH_POS_LAST_OFFSET_DELTA, 4, 1), BATCH_BAD_COUNT);
    ck_assert_int_eq(test_lie(BATCH_POS_LAST_OFFSET_DELTA, 4, 3), BATCH_BAD_COUNT);
    ck_assert_int_eq(test_lie(BATCH_POS_LAST_OFFSET_DELTA, 4, -1), BATCH_BAD_COUNT);
    ck_assert_int_eq(test_lie(BATCH_POS_LAST_OFFSET_DELTA, 4, INT32_MAX), BATCH_BAD_COUNT);
    test_plain(&b, 3);
    bytes_put_be32(b.p + BATCH_POS_COUNT, 4);
    test_seal(&b);
    ck_assert_int_eq(test_stored(buf_slice(&b), 0), BATCH_BAD_COUNT);
    /* Both lie in step: the records tell. */
    for (uint32_t count = 1; count < 6; count++) {
        test_plain(&b, 3);
        bytes_put_be32(b.p + BATCH_POS_COUNT, count);
        bytes_put_be32(b.p + BATCH_POS_LAST_OFFSET_DELTA, count - 1);
        test_seal(&b);
        enum batch_fault fault = test_validate(buf_slice(&b), &h);
        ck_assert_int_eq(fault, count == 3 ? BATCH_OK : BATCH_BAD_RECORD);
    }
    test_plain(&b, 3);
    bytes_put_be32(b.p + BATCH_POS_COUNT, INT32_MAX);
    bytes_put_be32(b.p + BATCH_POS_LAST_OFFSET_DELTA, INT32_MAX - 1);
    test_seal(&b);
    ck_assert_int_eq(test_validate(buf_slice(&b), &h), BATCH_BAD_RECORD);
    buf_deinit(&b);
}
END_TEST

START_TEST(lying_lengths)
{
    static const uint32_t lengths[] = {0, 48, 0x7fffffff, 0x7ffffff4, 0x80000000, UINT32_MAX};
    struct buf b = {0};
    struct batch_header h;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        test_plain(&b, 1);
        bytes_put_be32(b.p + BATCH_POS_LENGTH, lengths[i]);
        ck_assert_int_eq(batch_parse(buf_slice(&b), &h), BATCH_BAD_LENGTH);
    }
    bytes_put_be32(b.p + BATCH_POS_LENGTH, 0x7ffffff3);
    ck_assert_int_eq(batch_parse(buf_slice(&b), &h), BATCH_OK);
    ck_assert_uint_eq(h.size, BATCH_SIZE_MAX);
    ck_assert_int_eq(test_stored(buf_slice(&b), 0), BATCH_SHORT);
    ck_assert_int_eq(test_validate(buf_slice(&b), &h), BATCH_BAD_LENGTH);
    buf_deinit(&b);
}
END_TEST

/* Zeros, as a preallocated file shows behind its last batch. */
START_TEST(zeros)
{
    uint8_t zero[128] = {0};
    for (size_t size = 0; size <= sizeof zero; size++) {
        enum batch_fault expected = size <= BATCH_POS_MAGIC ? BATCH_SHORT : BATCH_BAD_MAGIC;
        ck_assert_int_eq(test_stored(slice_of(zero, size), 0), expected);
    }
}
END_TEST

#define RECORD_0 "0c000000010100" /* offset delta 0, all null */
#define RECORD_1 "0c000002010100" /* offset delta 1 */

static const struct test_raw_case {
    const char *what;
    int32_t count;
    const char *hex;
    enum batch_fault fault;
} test_raw_cases[] = {
    {"smallest record", 1, RECORD_0, BATCH_OK},
    {"two records", 2, RECORD_0 RECORD_1, BATCH_OK},
    {"record attributes are ignored", 1, "0cff0000010100", BATCH_OK},
    {"size in three bytes", 1, "8c8000000000010100", BATCH_OK},
    {"key size in six bytes", 1, "160000008180808080000100", BATCH_BAD_RECORD},
    {"key size -1 in five bytes", 1, "1400000081808080000100", BATCH_OK},
    {"no record", 1, "", BATCH_BAD_RECORD},
    {"size beyond the batch", 1, "0e000000010100", BATCH_BAD_RECORD},
    {"size too small", 1, "0a000000010100", BATCH_BAD_RECORD},
    {"size 0", 1, "00", BATCH_BAD_RECORD},
    {"size 0 and more", 1, "00000000010100", BATCH_BAD_RECORD},
    {"size -1", 1, "01000000010100", BATCH_BAD_RECORD},
    {"size cut off", 1, "8c", BATCH_BAD_RECORD},
    {"size of 2^31-1", 1, "feffffff0f000000010100", BATCH_BAD_RECORD},
    {"size in six bytes", 1, "8c8080808000000000010100", BATCH_BAD_RECORD},
    {"byte left in the record", 1, "0e00000001010000", BATCH_BAD_RECORD},
    {"byte left behind the records", 1, RECORD_0 "00", BATCH_BAD_RECORD},
    {"record left behind the records", 1, RECORD_0 RECORD_1, BATCH_BAD_RECORD},
    {"offset delta repeated", 2, RECORD_0 RECORD_0, BATCH_BAD_RECORD},
    {"offset deltas swapped", 2, RECORD_1 RECORD_0, BATCH_BAD_RECORD},
    {"offset delta starts at 1", 1, RECORD_1, BATCH_BAD_RECORD},
    {"offset delta negative", 1, "0c000001010100", BATCH_BAD_RECORD},
    {"key size -2", 1, "0c000000030100", BATCH_BAD_RECORD},
    {"value size -2", 1, "0c000000010300", BATCH_BAD_RECORD},
    {"key size beyond the record", 1, "0c000000060100", BATCH_BAD_RECORD},
    {"value size beyond the record", 1, "0c000000010400", BATCH_BAD_RECORD},
    {"key size of 2^31-1", 1, "14000000feffffff0f0100", BATCH_BAD_RECORD},
    {"no header count", 1, "0a0000000101", BATCH_BAD_RECORD},
    {"header count -1", 1, "0c000000010101", BATCH_BAD_RECORD},
    {"header count without headers", 1, "0c000000010102", BATCH_BAD_RECORD},
    {"header count of 2^31-1", 1, "140000000101feffffff0f", BATCH_BAD_RECORD},
    {"header, empty name, null value", 1, "100000000101020001", BATCH_OK},
    {"header, null name", 1, "100000000101020101", BATCH_BAD_RECORD},
    {"header, value size -2", 1, "100000000101020003", BATCH_BAD_RECORD},
    {"header, value beyond the record", 1, "100000000101020002", BATCH_BAD_RECORD},
    {"header count below the headers", 1, "1400000001010200010001", BATCH_BAD_RECORD},
    {"timestamp delta overflows", 1, "1e00feffffffffffffffff0100010100", BATCH_BAD_RECORD},
    {"timestamp delta in eleven bytes", 1, "2000808080808080808080800000010100", BATCH_BAD_RECORD},
    {"timestamp below -1", 1, "1800ffffffffffff7f00010100", BATCH_BAD_TIMESTAMP},
};

START_TEST(raw_records)
{
    const struct test_raw_case *c = &test_raw_cases[_i];
    struct buf b = {0};
    struct batch_header h;
    test_raw(&b, c->count, c->hex);
    enum batch_fault fault = test_validate(buf_slice(&b), &h);
    ck_assert_msg(fault == c->fault, "%s: %s", c->what, batch_fault_text(fault));
    buf_deinit(&b);
}
END_TEST

START_TEST(bomb)
{
    const size_t size = 8u << 20;
    uint8_t *zero = calloc(1, size);
    struct buf out = {0}, scratch = {0};
    struct batch_build b;
    struct batch_header h;
    struct batch_build_options o = batch_build_plain();
    struct batch_rules rules = {.inflate_max = 1u << 20, .scratch = &scratch};
    o.codec = (enum codec)_i;
    batch_build_init(&b);
    batch_build_add(&b, 0, SLICE_NULL, slice_of(zero, size), NULL, 0);
    size_t plain = b.records.size;
    batch_build_finish(&b, &o, &out);
    ck_assert_uint_lt(out.size, size / 10);
    ck_assert_int_eq(batch_validate(buf_slice(&out), &rules, &h), BATCH_TOO_LARGE);
    ck_assert_uint_eq(scratch.size, 0);
    ck_assert_uint_le(scratch.cap, 4 * rules.inflate_max);
    ck_assert_int_eq(batch_check_stored(buf_slice(&out), 0, &h), BATCH_OK);
    ck_assert_int_eq(batch_check_records(buf_slice(&out), &h, 1000, &scratch), BATCH_TOO_LARGE);
    rules.inflate_max = plain - 1;
    ck_assert_int_eq(batch_validate(buf_slice(&out), &rules, &h), BATCH_TOO_LARGE);
    rules.inflate_max = plain;
    ck_assert_int_eq(batch_validate(buf_slice(&out), &rules, &h), BATCH_OK);
    batch_build_deinit(&b);
    buf_deinit(&out);
    buf_deinit(&scratch);
    free(zero);
}
END_TEST

START_TEST(corrupt_block)
{
    struct buf b = {0};
    struct batch_header h;
    struct batch_build_options o = batch_build_plain();
    o.codec = (enum codec)_i;
    test_build(&b, 50, &o);
    b.size -= 3;
    test_seal(&b);
    ck_assert_int_eq(test_validate(buf_slice(&b), &h), BATCH_BAD_CODEC);
    memset(b.p + BATCH_HEADER_SIZE, 0xff, b.size - BATCH_HEADER_SIZE);
    test_seal(&b);
    ck_assert_int_eq(test_validate(buf_slice(&b), &h), BATCH_BAD_CODEC);
    b.size = BATCH_HEADER_SIZE;
    test_seal(&b);
    ck_assert_int_eq(test_validate(buf_slice(&b), &h), BATCH_BAD_RECORD);
    buf_deinit(&b);
}
END_TEST

/* A block that inflates to nothing, though the header promises a record. */
START_TEST(empty_block)
{
    struct buf b = {0};
    struct batch_header h;
    struct slice null = SLICE_NULL, name, value;
    test_raw(&b, 1, "");
    bytes_put_be16(b.p + BATCH_POS_ATTRIBUTES, (uint16_t)_i);
    codec_compress((enum codec)_i, CODEC_LEVEL_DEFAULT, slice_str(""), &b);
    test_seal(&b);
    ck_assert_int_eq(test_validate(buf_slice(&b), &h), BATCH_BAD_RECORD);
    ck_assert(!batch_header_next(&null, &name, &value));
    buf_deinit(&b);
}
END_TEST

START_TEST(timestamps)
{
    ck_assert_int_eq(test_lie(BATCH_POS_MAX_TIMESTAMP, 8, TS + 2), BATCH_OK);
    ck_assert_int_eq(test_lie(BATCH_POS_MAX_TIMESTAMP, 8, TS + 3), BATCH_WRONG_MAX);
    ck_assert_int_eq(test_lie(BATCH_POS_MAX_TIMESTAMP, 8, TS + 1), BATCH_WRONG_MAX);
    ck_assert_int_eq(test_lie(BATCH_POS_MAX_TIMESTAMP, 8, -1), BATCH_WRONG_MAX);
    ck_assert_int_eq(test_lie(BATCH_POS_MAX_TIMESTAMP, 8, -2), BATCH_BAD_TIMESTAMP);
    ck_assert_int_eq(test_lie(BATCH_POS_MAX_TIMESTAMP, 8, INT64_MIN), BATCH_BAD_TIMESTAMP);
    ck_assert_int_eq(test_lie(BATCH_POS_BASE_TIMESTAMP, 8, -1), BATCH_WRONG_MAX);
    ck_assert_int_eq(test_lie(BATCH_POS_BASE_TIMESTAMP, 8, -2), BATCH_BAD_TIMESTAMP);
    ck_assert_int_eq(test_lie(BATCH_POS_BASE_TIMESTAMP, 8, INT64_MIN), BATCH_BAD_TIMESTAMP);
    ck_assert_int_eq(test_lie(BATCH_POS_BASE_TIMESTAMP, 8, INT64_MAX), BATCH_BAD_RECORD);
}
END_TEST

START_TEST(wrong_max_repaired)
{
    struct buf b = {0};
    struct batch_header h;
    test_plain(&b, 3);
    batch_stamp_max_timestamp(b.p, -1);
    ck_assert_int_eq(test_stored(buf_slice(&b), 0), BATCH_OK);
    ck_assert_int_eq(test_records(buf_slice(&b)), BATCH_BAD_TIMESTAMP);
    ck_assert_int_eq(test_validate(buf_slice(&b), &h), BATCH_WRONG_MAX);
    ck_assert_int_eq(h.max_timestamp, TS + 2);
    ck_assert_int_eq(h.count, 3);
    batch_stamp_max_timestamp(b.p, h.max_timestamp);
    ck_assert_int_eq(test_validate(buf_slice(&b), &h), BATCH_OK);
    ck_assert_int_eq(test_records(buf_slice(&b)), BATCH_OK);
    buf_deinit(&b);
}
END_TEST

/* The fault of a produced batch with these producer fields. */
static enum batch_fault test_producer(int64_t id, int16_t epoch, int32_t sequence, uint16_t bits)
{
    struct buf b = {0};
    struct batch_header h;
    test_plain(&b, 2);
    bytes_put_be64(b.p + BATCH_POS_PRODUCER_ID, (uint64_t)id);
    bytes_put_be16(b.p + BATCH_POS_PRODUCER_EPOCH, (uint16_t)epoch);
    bytes_put_be32(b.p + BATCH_POS_BASE_SEQUENCE, (uint32_t)sequence);
    bytes_put_be16(b.p + BATCH_POS_ATTRIBUTES, bits);
    test_seal(&b);
    enum batch_fault fault = test_validate(buf_slice(&b), &h);
    buf_deinit(&b);
    return fault;
}

START_TEST(producer_fields)
{
    ck_assert_int_eq(test_producer(7, 0, 0, 0), BATCH_OK);
    ck_assert_int_eq(test_producer(0, 32767, INT32_MAX, BATCH_ATTR_TXN), BATCH_OK);
    ck_assert_int_eq(test_producer(7, 0, -1, 0), BATCH_BAD_PRODUCER);
    ck_assert_int_eq(test_producer(7, -1, 0, 0), BATCH_BAD_PRODUCER);
    ck_assert_int_eq(test_producer(-2, 0, 0, 0), BATCH_BAD_PRODUCER);
    ck_assert_int_eq(test_producer(-1, -1, -1, 0), BATCH_OK);
    ck_assert_int_eq(test_producer(-1, -1, -1, BATCH_ATTR_TXN), BATCH_BAD_PRODUCER);
    ck_assert_int_eq(test_producer(-1, 0, 0, BATCH_ATTR_TXN), BATCH_BAD_PRODUCER);
    /* A sequence without producer id means nothing: kafkajs sends epoch 0 and sequence 0. */
    ck_assert_int_eq(test_producer(-1, 0, 0, 0), BATCH_OK);
}
END_TEST

START_TEST(attribute_bits)
{
    struct buf b = {0};
    struct batch_header h;
    ck_assert_int_eq(test_producer(7, 0, 0, BATCH_ATTR_CONTROL), BATCH_BAD_ATTRIBUTES);
    ck_assert_int_eq(test_producer(7, 0, 0, BATCH_ATTR_CONTROL | BATCH_ATTR_TXN),
                     BATCH_BAD_ATTRIBUTES);
    ck_assert_int_eq(test_producer(-1, -1, -1, BATCH_ATTR_HORIZON), BATCH_BAD_ATTRIBUTES);
    ck_assert_int_eq(test_producer(-1, -1, -1, BATCH_ATTR_APPEND), BATCH_BAD_TIMESTAMP);
    for (unsigned bit = 7; bit < 16; bit++) {
        test_plain(&b, 1);
        bytes_put_be16(b.p + BATCH_POS_ATTRIBUTES, (uint16_t)(1u << bit));
        test_seal(&b);
        ck_assert_int_eq(test_validate(buf_slice(&b), &h), BATCH_BAD_ATTRIBUTES);
        ck_assert_int_eq(test_stored(buf_slice(&b), 0), BATCH_BAD_ATTRIBUTES);
    }
    for (uint16_t codec = CODEC_COUNT; codec < 8; codec++) {
        bytes_put_be16(b.p + BATCH_POS_ATTRIBUTES, codec);
        test_seal(&b);
        ck_assert_int_eq(test_stored(buf_slice(&b), 0), BATCH_BAD_ATTRIBUTES);
    }
    buf_deinit(&b);
}
END_TEST

START_TEST(base_offsets)
{
    struct buf b = {0};
    struct batch_header h;
    test_plain(&b, 3);
    batch_stamp(b.p, 1, 0);
    ck_assert_int_eq(test_validate(buf_slice(&b), &h), BATCH_BAD_OFFSET);
    ck_assert_int_eq(test_stored(buf_slice(&b), 0), BATCH_OK);
    ck_assert_int_eq(test_stored(buf_slice(&b), 1), BATCH_OK);
    ck_assert_int_eq(test_stored(buf_slice(&b), 2), BATCH_BAD_OFFSET);
    bytes_put_be64(b.p, (uint64_t)INT64_MIN);
    ck_assert_int_eq(batch_parse(buf_slice(&b), &h), BATCH_BAD_OFFSET);
    bytes_put_be64(b.p, INT64_MAX - 2);
    ck_assert_int_eq(batch_parse(buf_slice(&b), &h), BATCH_BAD_OFFSET);
    bytes_put_be64(b.p, INT64_MAX - 3);
    ck_assert_int_eq(batch_parse(buf_slice(&b), &h), BATCH_OK);
    ck_assert_int_eq(batch_next_offset(&h), INT64_MAX);
    buf_deinit(&b);
}
END_TEST

START_TEST(keys_required)
{
    struct buf out = {0}, scratch = {0};
    struct batch_build b;
    struct batch_header h;
    struct batch_build_options o = batch_build_plain();
    struct batch_rules rules = {INFLATE_MAX, &scratch, true};
    o.codec = (enum codec)_i;
    batch_build_init(&b);
    batch_build_add(&b, 0, slice_str("k"), SLICE_NULL, NULL, 0);
    batch_build_add(&b, 0, slice_str(""), SLICE_NULL, NULL, 0);
    batch_build_finish(&b, &o, &out);
    ck_assert_int_eq(batch_validate(buf_slice(&out), &rules, &h), BATCH_OK);
    buf_reset(&out);
    batch_build_add(&b, 0, slice_str("k"), SLICE_NULL, NULL, 0);
    batch_build_add(&b, 0, SLICE_NULL, slice_str("v"), NULL, 0);
    batch_build_finish(&b, &o, &out);
    ck_assert_int_eq(batch_validate(buf_slice(&out), &rules, &h), BATCH_NO_KEY);
    rules.key_required = false;
    ck_assert_int_eq(batch_validate(buf_slice(&out), &rules, &h), BATCH_OK);
    batch_build_deinit(&b);
    buf_deinit(&out);
    buf_deinit(&scratch);
}
END_TEST

START_TEST(append_time)
{
    struct buf b = {0}, scratch = {0};
    struct batch_header h;
    struct batch_iter it;
    struct batch_record r;
    struct batch_build_options o = batch_build_plain();
    enum batch_fault fault;
    o.codec = (enum codec)_i;
    test_build(&b, 3, &o);
    batch_stamp_append_time(b.p, 1234);
    batch_stamp(b.p, 40, 2);
    ck_assert_int_eq(batch_check_stored(buf_slice(&b), 40, &h), BATCH_OK);
    ck_assert_int_eq(h.attributes, BATCH_ATTR_APPEND | _i);
    ck_assert_int_eq(h.max_timestamp, 1234);
    ck_assert_int_eq(h.base_timestamp, TS);
    ck_assert_int_eq(h.leader_epoch, 2);
    ck_assert_int_eq(test_records(buf_slice(&b)), BATCH_OK);
    ck_assert_int_eq(batch_iter_init(&it, buf_slice(&b), INFLATE_MAX, &scratch), BATCH_OK);
    for (int i = 0; i < 3; i++) {
        ck_assert(batch_iter_next(&it, &r, &fault));
        ck_assert(r.offset == 40 + i && r.timestamp == 1234);
    }
    ck_assert(!batch_iter_next(&it, &r, &fault));
    ck_assert_int_eq(fault, BATCH_OK);
    buf_deinit(&b);
    buf_deinit(&scratch);
}
END_TEST

/* What compaction leaves behind: holes, no records at all, a delete horizon as base timestamp. */
START_TEST(cleaned)
{
    struct buf b = {0};
    struct batch_header h;
    test_raw(&b, 2,
             "0c000004010100"
             "0c00000a010100"); /* offset deltas 2 and 5 */
    bytes_put_be32(b.p + BATCH_POS_LAST_OFFSET_DELTA, 9);
    test_seal(&b);
    batch_stamp(b.p, 100, 1);
    ck_assert_int_eq(batch_check_stored(buf_slice(&b), 90, &h), BATCH_OK);
    ck_assert_int_eq(batch_last_offset(&h), 109);
    ck_assert_int_eq(test_records(buf_slice(&b)), BATCH_OK);
    bytes_put_be32(b.p + BATCH_POS_LAST_OFFSET_DELTA, 4);
    test_seal(&b);
    ck_assert_int_eq(test_records(buf_slice(&b)), BATCH_BAD_RECORD);
    test_raw(&b, 2,
             "0c00000a010100"
             "0c000004010100");
    bytes_put_be32(b.p + BATCH_POS_LAST_OFFSET_DELTA, 9);
    ck_assert_int_eq(test_records(buf_slice(&b)), BATCH_BAD_RECORD);

    for (uint16_t codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        test_raw(&b, 1, "");
        bytes_put_be32(b.p + BATCH_POS_COUNT, 0);
        bytes_put_be16(b.p + BATCH_POS_ATTRIBUTES, codec);
        test_seal(&b);
        ck_assert_int_eq(test_stored(buf_slice(&b), 0), BATCH_OK);
        ck_assert_int_eq(test_records(buf_slice(&b)), BATCH_OK);
        ck_assert_int_eq(test_validate(buf_slice(&b), &h), BATCH_BAD_COUNT);
    }
    test_raw(&b, 1, "0c000100010100"); /* timestamp delta -1 */
    bytes_put_be64(b.p + BATCH_POS_BASE_TIMESTAMP, TS + 1);
    bytes_put_be16(b.p + BATCH_POS_ATTRIBUTES, BATCH_ATTR_HORIZON);
    test_seal(&b);
    ck_assert_int_eq(test_stored(buf_slice(&b), 0), BATCH_OK);
    ck_assert_int_eq(test_records(buf_slice(&b)), BATCH_OK);
    buf_deinit(&b);
}
END_TEST

START_TEST(fault_texts)
{
    for (int i = 0; i < BATCH_FAULT_COUNT; i++) {
        ck_assert_uint_gt(strlen(batch_fault_text((enum batch_fault)i)), 0);
        for (int k = 0; k < i; k++)
            ck_assert_str_ne(batch_fault_text((enum batch_fault)i),
                             batch_fault_text((enum batch_fault)k));
    }
}
END_TEST

START_TEST(assert_empty_batch)
{
    struct buf out = {0};
    struct batch_build b;
    struct batch_build_options o = batch_build_plain();
    batch_build_init(&b);
    batch_build_finish(&b, &o, &out);
}
END_TEST

START_TEST(assert_txn_without_producer)
{
    struct buf out = {0};
    struct batch_build_options o = batch_build_plain();
    o.attributes = BATCH_ATTR_TXN;
    test_build(&out, 1, &o);
}
END_TEST

static TCase *test_tcase(Suite *s, const char *name)
{
    TCase *t = tcase_create(name);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    return t;
}

static Suite *test_suite(void)
{
    Suite *s = suite_create("batch");
    TCase *t = test_tcase(s, "format");
    tcase_add_test(t, golden_data);
    tcase_add_test(t, golden_marker);
    tcase_add_test(t, null_and_empty);
    tcase_add_test(t, header_order);
    tcase_add_loop_test(t, random_records, 0, CODEC_COUNT);
    tcase_add_loop_test(t, append_time, 0, CODEC_COUNT);
    tcase_add_test(t, cleaned);
    t = test_tcase(s, "foreign");
    tcase_add_test(t, flips);
    tcase_add_test(t, truncation);
    tcase_add_test(t, truncated_records);
    tcase_add_test(t, zeros);
    tcase_add_test(t, lying_counts);
    tcase_add_test(t, lying_lengths);
    tcase_add_loop_test(t, raw_records, 0, sizeof test_raw_cases / sizeof test_raw_cases[0]);
    tcase_add_loop_test(t, bomb, CODEC_GZIP, CODEC_COUNT);
    tcase_add_loop_test(t, corrupt_block, CODEC_GZIP, CODEC_COUNT);
    tcase_add_loop_test(t, empty_block, CODEC_GZIP, CODEC_COUNT);
    tcase_add_test(t, timestamps);
    tcase_add_test(t, wrong_max_repaired);
    tcase_add_test(t, producer_fields);
    tcase_add_test(t, attribute_bits);
    tcase_add_test(t, base_offsets);
    tcase_add_loop_test(t, keys_required, 0, CODEC_COUNT);
    t = test_tcase(s, "bugs");
    tcase_add_test(t, fault_texts);
    tcase_add_test_raise_signal(t, assert_empty_batch, SIGABRT);
    tcase_add_test_raise_signal(t, assert_txn_without_producer, SIGABRT);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(test_suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
