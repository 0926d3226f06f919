/* SPDX-License-Identifier: MIT
 *
 * codec: round trips, vectors written by hand, foreign bytes (cut off, flipped, random), bombs.
 */
#include "engine/base/codec.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>

#include "engine/base/random.h"

#define MIB ((size_t)1 << 20)

/* Random bytes, or text-like runs that every codec shrinks. */
static struct buf make_plain(size_t size, bool compressible, uint64_t seed)
{
    struct buf b = {0};
    struct random r;
    random_init(&r, seed);
    buf_reserve(&b, size + 64);
    while (b.size < size) {
        if (compressible)
            buf_printf(&b, "key-%d value-%d,", (int)random_below(&r, 50), (int)(b.size % 7));
        else
            buf_append_le64(&b, random_u64(&r));
    }
    b.size = size;
    return b;
}

/* Decompresses; the buffer holds `result` only, and stays within the limit. */
static int decode(enum codec codec, struct slice in, size_t limit, struct buf *out)
{
    buf_reset(out);
    buf_append(out, "prefix", 6);
    int r = codec_decompress(codec, in, limit, out);
    ck_assert_mem_eq(out->p, "prefix", 6);
    ck_assert_int_ge(r, 0);
    ck_assert_int_le(r, CODEC_TOO_LARGE);
    ck_assert_uint_le(out->size - 6, r == 0 ? limit : 0);
    return r;
}

static void check_plain(const struct buf *out, struct slice plain)
{
    ck_assert_uint_eq(out->size - 6, plain.size);
    ck_assert(slice_equal(slice_of(out->p + 6, plain.size), plain));
}

static void check_round_trip(enum codec codec, int level, struct slice plain)
{
    struct buf packed = {0}, out = {0};
    buf_append(&packed, "before", 6);
    codec_compress(codec, level, plain, &packed);
    ck_assert_mem_eq(packed.p, "before", 6);
    struct slice in = slice_of(packed.p + 6, packed.size - 6);
    ck_assert_int_eq(decode(codec, in, plain.size, &out), 0); /* the limit itself is allowed */
    check_plain(&out, plain);
    ck_assert_int_eq(decode(codec, in, SIZE_MAX, &out), 0);
    check_plain(&out, plain);
    if (plain.size > 0)
        ck_assert_int_eq(decode(codec, in, plain.size - 1, &out), CODEC_TOO_LARGE);
    buf_deinit(&packed);
    buf_deinit(&out);
}

START_TEST(test_round_trip)
{
    static const size_t sizes[] = {0, 1, 100, 64 * 1024, 3 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int compressible = 0; compressible < 2; compressible++) {
            struct buf plain = make_plain(sizes[i], compressible, i);
            check_round_trip((enum codec)_i, CODEC_LEVEL_DEFAULT, buf_slice(&plain));
            buf_deinit(&plain);
        }
    }
    check_round_trip((enum codec)_i, CODEC_LEVEL_DEFAULT, SLICE_NULL);
}
END_TEST

START_TEST(test_shrinks)
{
    struct buf plain = make_plain(MIB, true, 1), packed = {0};
    codec_compress((enum codec)_i, CODEC_LEVEL_DEFAULT, buf_slice(&plain), &packed);
    ck_assert_uint_lt(packed.size, plain.size / 2);
    buf_deinit(&plain);
    buf_deinit(&packed);
}
END_TEST

START_TEST(test_levels)
{
    struct buf plain = make_plain(100000, true, 1);
    for (int level = -1; level <= 9; level++)
        check_round_trip(CODEC_GZIP, level, buf_slice(&plain));
    for (int level = 1; level <= 17; level += 4)
        check_round_trip(CODEC_LZ4, level, buf_slice(&plain));
    for (int level = -5; level <= 19; level += 8)
        check_round_trip(CODEC_ZSTD, level, buf_slice(&plain));
    struct buf fast = {0}, best = {0};
    codec_compress(CODEC_GZIP, 1, buf_slice(&plain), &fast);
    codec_compress(CODEC_GZIP, 9, buf_slice(&plain), &best);
    ck_assert_uint_lt(best.size, fast.size);
    buf_deinit(&fast);
    buf_deinit(&best);
    buf_deinit(&plain);
}
END_TEST

/* "hello", as others write it. zstd and lz4: one stored block, put together from their formats. */
#define BYTES(literal)                                                                             \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }
static const struct vector {
    enum codec codec;
    struct slice in;
    const char *plain;
} vectors[] = {
    {CODEC_NONE, BYTES("hello"), "hello"},
    {CODEC_GZIP,
     BYTES("\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36"
           "\x05\x00\x00\x00"),
     "hello"},
    {CODEC_GZIP, BYTES("\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15"), "hello"},
    {CODEC_SNAPPY, BYTES("\x05\x10hello"), "hello"},
    {CODEC_SNAPPY, BYTES("\x00"), ""},
    {CODEC_SNAPPY,
     BYTES("\x82SNAPPY\0\0\0\0\1\0\0\0\1"
           "\0\0\0\x05\x03\x08hel"
           "\0\0\0\x04\x02\x04lo"),
     "hello"},
    {CODEC_SNAPPY, BYTES("\x82SNAPPY\0\0\0\0\1\0\0\0\1"), ""},
    {CODEC_SNAPPY,
     BYTES("\x82SNAPPY\0\0\0\0\1\0\0\0\1"
           "\0\0\0\x05\x03\x08hel"
           "\x82SNAPPY\0\0\0\0\1\0\0\0\1" /* two streams, one behind the other */
           "\0\0\0\x04\x02\x04lo"),
     "hello"},
    {CODEC_LZ4, BYTES("\x04\x22\x4d\x18\x60\x40\x82\x05\x00\x00\x80hello\x00\x00\x00\x00"),
     "hello"},
    {CODEC_ZSTD, BYTES("\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello"), "hello"},
};
#define VECTOR_COUNT (sizeof vectors / sizeof vectors[0])

START_TEST(test_vectors)
{
    const struct vector *v = &vectors[_i];
    struct buf out = {0};
    ck_assert_int_eq(decode(v->codec, v->in, 5, &out), 0);
    check_plain(&out, slice_str(v->plain));
    if (v->plain[0] != '\0')
        ck_assert_int_eq(decode(v->codec, v->in, 4, &out), CODEC_TOO_LARGE);
    for (size_t cut = 0; cut < v->in.size && v->codec != CODEC_NONE; cut++)
        if (decode(v->codec, slice_of(v->in.p, cut), 5, &out) == 0)
            ck_assert_uint_lt(out.size - 6, 5); /* whole xerial blocks may stand alone */
    buf_deinit(&out);
}
END_TEST

START_TEST(test_concatenated)
{
    static const enum codec codecs[] = {CODEC_GZIP, CODEC_LZ4, CODEC_ZSTD};
    struct buf packed = {0}, out = {0};
    codec_compress(codecs[_i], CODEC_LEVEL_DEFAULT, slice_str("hel"), &packed);
    codec_compress(codecs[_i], CODEC_LEVEL_DEFAULT, slice_str(""), &packed);
    codec_compress(codecs[_i], CODEC_LEVEL_DEFAULT, slice_str("lo"), &packed);
    ck_assert_int_eq(decode(codecs[_i], buf_slice(&packed), 5, &out), 0);
    check_plain(&out, slice_str("hello"));
    ck_assert_int_eq(decode(codecs[_i], buf_slice(&packed), 4, &out), CODEC_TOO_LARGE);
    buf_append_u8(&packed, 'x');
    ck_assert_int_eq(decode(codecs[_i], buf_slice(&packed), 5, &out), CODEC_CORRUPT);
    buf_deinit(&packed);
    buf_deinit(&out);
}
END_TEST

START_TEST(test_truncated)
{
    enum codec codec = (enum codec)_i;
    struct buf plain = make_plain(200000, true, 6), packed = {0}, out = {0};
    codec_compress(codec, CODEC_LEVEL_DEFAULT, buf_slice(&plain), &packed);
    for (size_t cut = 0; cut < packed.size; cut += 1 + cut / 40) {
        /* a copy of its own, so that reading past the cut is seen */
        uint8_t *in = slice_dup(slice_of(packed.p, cut));
        ck_assert_int_eq(decode(codec, slice_of(in, cut), MIB, &out), CODEC_CORRUPT);
        free(in);
    }
    buf_deinit(&plain);
    buf_deinit(&packed);
    buf_deinit(&out);
}
END_TEST

START_TEST(test_flipped)
{
    enum codec codec = (enum codec)_i;
    struct buf plain = make_plain(20000, true, 7), packed = {0}, out = {0};
    struct random r;
    unsigned noticed = 0;
    random_init(&r, 8);
    codec_compress(codec, CODEC_LEVEL_DEFAULT, buf_slice(&plain), &packed);
    for (int i = 0; i < 3000; i++) {
        size_t range = i % 2 == 0 ? packed.size : 24; /* headers more often */
        uint8_t *byte = packed.p + random_below(&r, range < packed.size ? range : packed.size);
        uint8_t bit = (uint8_t)(1u << random_below(&r, 8));
        *byte ^= bit;
        int result = decode(codec, buf_slice(&packed), 50000, &out);
        noticed +=
            result != 0 || !slice_equal(slice_of(out.p + 6, out.size - 6), buf_slice(&plain));
        *byte ^= bit;
    }
    ck_assert_uint_gt(noticed, 1000);
    ck_assert_int_eq(decode(codec, buf_slice(&packed), 50000, &out), 0);
    check_plain(&out, buf_slice(&plain));
    buf_deinit(&plain);
    buf_deinit(&packed);
    buf_deinit(&out);
}
END_TEST

/* Random bytes behind a valid beginning. */
START_TEST(test_random_input)
{
    enum codec codec = (enum codec)_i;
    struct buf packed = {0}, out = {0};
    struct random r;
    random_init(&r, 9);
    for (int i = 0; i < 3000; i++) {
        buf_reset(&packed);
        codec_compress(codec, CODEC_LEVEL_DEFAULT, slice_str("some plain text"), &packed);
        packed.size = random_below(&r, packed.size + 1);
        if (codec == CODEC_SNAPPY && i % 2 == 0) {
            buf_reset(&packed);
            buf_append(&packed, "\x82SNAPPY\0\0\0\0\1\0\0\0\1\0\0", 18);
        }
        for (uint64_t more = random_below(&r, 200); more > 0; more--)
            buf_append_u8(&packed, (uint8_t)random_u64(&r));
        (void)decode(codec, buf_slice(&packed), 1000, &out);
    }
    ck_assert_int_eq(decode(codec, SLICE_NULL, 1000, &out), CODEC_CORRUPT);
    buf_deinit(&packed);
    buf_deinit(&out);
}
END_TEST

START_TEST(test_bomb)
{
    enum codec codec = (enum codec)_i;
    struct buf packed = {0}, out = {0};
    uint8_t *zeros = calloc(64, MIB);
    ck_assert_ptr_nonnull(zeros);
    codec_compress(codec, CODEC_LEVEL_DEFAULT, slice_of(zeros, 64 * MIB), &packed);
    free(zeros);
    ck_assert_int_eq(decode(codec, buf_slice(&packed), MIB, &out), CODEC_TOO_LARGE);
    ck_assert_uint_le(out.cap, 3 * MIB); /* and memory stayed in proportion */
    ck_assert_int_eq(decode(codec, buf_slice(&packed), 0, &out), CODEC_TOO_LARGE);
    buf_deinit(&packed);
    buf_deinit(&out);
}
END_TEST

/* An announced size costs nothing: a few bytes of snappy that promise 1 GiB within the limit. */
START_TEST(test_snappy_promise)
{
    struct buf out = {0};
    struct slice in = slice_of("\x80\x80\x80\x80\x04\x10hello", 11);
    ck_assert_int_eq(decode(CODEC_SNAPPY, in, (size_t)2 << 30, &out), CODEC_CORRUPT);
    ck_assert_int_eq(decode(CODEC_SNAPPY, in, MIB, &out), CODEC_TOO_LARGE);
    ck_assert_uint_lt(out.cap, 4096);
    buf_deinit(&out);
}
END_TEST

/* Window descriptors of 8 MiB, 128 MiB and 256 MiB around five bytes. */
START_TEST(test_zstd_window)
{
    uint8_t frame[] = "\x28\xb5\x2f\xfd\x00\x68\x29\x00\x00hello";
    struct slice in = slice_of(frame, sizeof frame - 1);
    struct buf out = {0};
    ck_assert_int_eq(decode(CODEC_ZSTD, in, 5, &out), 0);
    frame[5] = 0x88;
    ck_assert_int_eq(decode(CODEC_ZSTD, in, MIB, &out), CODEC_TOO_LARGE);
    ck_assert_int_eq(decode(CODEC_ZSTD, in, 128 * MIB, &out), 0);
    check_plain(&out, slice_str("hello"));
    frame[5] = 0x90;
    ck_assert_int_eq(decode(CODEC_ZSTD, in, SIZE_MAX, &out), CODEC_TOO_LARGE);
    buf_deinit(&out);
}
END_TEST

/* Java's reader takes only lz4 frames whose blocks do not refer to each other. */
START_TEST(test_lz4_blocks_are_independent)
{
    struct buf plain = make_plain(300000, true, 1), packed = {0};
    codec_compress(CODEC_LZ4, CODEC_LEVEL_DEFAULT, buf_slice(&plain), &packed);
    ck_assert_uint_eq(bytes_le32(packed.p), 0x184d2204);
    ck_assert_uint_eq(packed.p[4] & 0x20, 0x20);
    buf_deinit(&plain);
    buf_deinit(&packed);
}
END_TEST

START_TEST(test_names)
{
    static const char *const names[CODEC_COUNT] = {"none", "gzip", "snappy", "lz4", "zstd"};
    enum codec codec = CODEC_ZSTD;
    for (int i = 0; i < CODEC_COUNT; i++) {
        ck_assert_str_eq(codec_name((enum codec)i), names[i]);
        ck_assert_int_eq(codec_from_name(names[i], &codec), 0);
        ck_assert_int_eq(codec, i);
    }
    ck_assert_str_eq(codec_name((enum codec)5), "unknown");
    ck_assert_int_eq(codec_from_name("brotli", &codec), 1);
    ck_assert_int_eq(codec_from_name("", &codec), 1);
    ck_assert_int_eq(codec, CODEC_ZSTD);
}
END_TEST

START_TEST(test_unknown_codec_aborts)
{
    struct buf out = {0};
    codec_compress((enum codec)5, CODEC_LEVEL_DEFAULT, slice_str("x"), &out);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("codec");
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, test_round_trip, CODEC_NONE, CODEC_COUNT);
    tcase_add_loop_test(tc, test_shrinks, CODEC_GZIP, CODEC_COUNT);
    tcase_add_test(tc, test_levels);
    tcase_add_loop_test(tc, test_vectors, 0, (int)VECTOR_COUNT);
    tcase_add_loop_test(tc, test_concatenated, 0, 3);
    tcase_add_loop_test(tc, test_truncated, CODEC_GZIP, CODEC_COUNT);
    tcase_add_loop_test(tc, test_flipped, CODEC_GZIP, CODEC_COUNT);
    tcase_add_loop_test(tc, test_random_input, CODEC_GZIP, CODEC_COUNT);
    tcase_add_loop_test(tc, test_bomb, CODEC_NONE, CODEC_COUNT);
    tcase_add_test(tc, test_snappy_promise);
    tcase_add_test(tc, test_zstd_window);
    tcase_add_test(tc, test_lz4_blocks_are_independent);
    tcase_add_test(tc, test_names);
    tcase_add_test_raise_signal(tc, test_unknown_codec_aborts, SIGABRT);
    Suite *suite = suite_create("base/codec");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
