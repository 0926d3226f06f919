/* SPDX-License-Identifier: MIT
 *
 * bytes: accessors, varints at their edges and by random values, buffers. And cleanup, which hands
 * buffers' memory back.
 */
#include "engine/base/bytes.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "engine/base/random.h"

START_TEST(test_accessors)
{
    uint8_t b[9] = {0xff, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08};
    ck_assert_uint_eq(bytes_be16(b + 1), 0x0102);
    ck_assert_uint_eq(bytes_be32(b + 1), 0x01020304);
    ck_assert_uint_eq(bytes_be64(b + 1), 0x0102030405060708);
    ck_assert_uint_eq(bytes_le32(b + 1), 0x04030201);
    ck_assert_uint_eq(bytes_le64(b + 1), 0x0807060504030201);
    bytes_put_be16(b, 0xa1a2);
    ck_assert_mem_eq(b, "\xa1\xa2\x02", 3);
    bytes_put_be32(b, 0xa1a2a3a4);
    ck_assert_mem_eq(b, "\xa1\xa2\xa3\xa4\x04", 5);
    bytes_put_le32(b, 0xa1a2a3a4);
    ck_assert_mem_eq(b, "\xa4\xa3\xa2\xa1\x04", 5);
    bytes_put_be64(b, 0xa1a2a3a4a5a6a7a8);
    ck_assert_mem_eq(b, "\xa1\xa2\xa3\xa4\xa5\xa6\xa7\xa8\x08", 9);
    bytes_put_le64(b, 0xa1a2a3a4a5a6a7a8);
    ck_assert_mem_eq(b, "\xa8\xa7\xa6\xa5\xa4\xa3\xa2\xa1\x08", 9);
}
END_TEST

START_TEST(test_slices)
{
    ck_assert(slice_equal(slice_str("abc"), slice_of("abcd", 3)));
    ck_assert(!slice_equal(slice_str("abc"), slice_str("abd")));
    ck_assert(!slice_equal(slice_str("abc"), slice_str("ab")));
    ck_assert(slice_equal(SLICE_NULL, slice_str("")));
    char *copy CLEANUP(cleanup_free) = (char *)slice_dup(slice_of("abcd", 3));
    ck_assert_str_eq(copy, "abc");
    char *none CLEANUP(cleanup_free) = (char *)slice_dup(SLICE_NULL);
    ck_assert_str_eq(none, "");
}
END_TEST

static void check_varint(int64_t v, const char *bytes, size_t size)
{
    uint8_t out[BYTES_VARINT_MAX];
    int64_t back64 = ~v;
    int32_t back32 = 77;
    ck_assert_uint_eq(bytes_put_varint(out, v), size);
    ck_assert_uint_eq(bytes_varint_size(v), size);
    if (bytes != NULL)
        ck_assert_mem_eq(out, bytes, size);
    ck_assert_uint_eq(bytes_varint64(slice_of(out, size), &back64), size);
    ck_assert_int_eq(back64, v);
    bool fits = v >= INT32_MIN && v <= INT32_MAX;
    ck_assert_uint_eq(bytes_varint32(slice_of(out, size), &back32), fits ? size : 0);
    ck_assert_int_eq(back32, fits ? v : 77);
    for (size_t cut = 0; cut < size; cut++)
        ck_assert_uint_eq(bytes_varint64(slice_of(out, cut), &back64), 0);
}

START_TEST(test_varint_edges)
{
    check_varint(0, "\x00", 1);
    check_varint(-1, "\x01", 1);
    check_varint(1, "\x02", 1);
    check_varint(63, "\x7e", 1);
    check_varint(-64, "\x7f", 1);
    check_varint(64, "\x80\x01", 2);
    check_varint(INT32_MAX, "\xfe\xff\xff\xff\x0f", 5);
    check_varint(INT32_MIN, "\xff\xff\xff\xff\x0f", 5);
    check_varint((int64_t)INT32_MAX + 1, "\x80\x80\x80\x80\x10", 5);
    check_varint((int64_t)INT32_MIN - 1, "\x81\x80\x80\x80\x10", 5);
    check_varint(INT64_MAX, "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
    check_varint(INT64_MIN, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
}
END_TEST

START_TEST(test_varint_random)
{
    struct random r;
    random_init(&r, 2);
    for (int i = 0; i < 20000; i++) {
        int64_t v = (int64_t)(random_u64(&r) >> random_below(&r, 64));
        v = (i & 1) ? -v : v;
        check_varint(v, NULL, bytes_varint_size(v));
    }
}
END_TEST

START_TEST(test_varint_foreign)
{
    int32_t v32 = 7;
    int64_t v64 = 7;
    /* longer than allowed, and too many bits in the last byte */
    ck_assert_uint_eq(bytes_varint32(slice_of("\x80\x80\x80\x80\x80\x01", 6), &v32), 0);
    ck_assert_uint_eq(bytes_varint32(slice_of("\xff\xff\xff\xff\x1f", 5), &v32), 0);
    ck_assert_uint_eq(
        bytes_varint64(slice_of("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11), &v64), 0);
    ck_assert_uint_eq(
        bytes_varint64(slice_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10), &v64), 0);
    ck_assert_uint_eq(bytes_varint64(SLICE_NULL, &v64), 0);
    ck_assert_int_eq(v32, 7);
    ck_assert_int_eq(v64, 7);
    /* padded forms are read, as protobuf reads them */
    ck_assert_uint_eq(bytes_varint32(slice_of("\x82\x00", 2), &v32), 2);
    ck_assert_int_eq(v32, 1);
    /* only the varint is taken */
    ck_assert_uint_eq(bytes_varint64(slice_of("\x02\x02", 2), &v64), 1);
}
END_TEST

START_TEST(test_buf_appends)
{
    struct buf b = {0};
    buf_append(&b, NULL, 0);
    ck_assert_ptr_null(b.p);
    buf_append_u8(&b, 1);
    buf_append_be16(&b, 0x0203);
    buf_append_be32(&b, 0x04050607);
    buf_append_be64(&b, 0x08090a0b0c0d0e0f);
    buf_append_le32(&b, 0x13121110);
    buf_append_le64(&b, 0x1b1a191817161514);
    buf_append_varint(&b, -14);
    buf_append(&b, "\x1c", 1);
    ck_assert_uint_eq(b.size, 29);
    for (size_t i = 0; i < 27; i++)
        ck_assert_uint_eq(b.p[i], i + 1);
    ck_assert_uint_eq(b.p[27], 27);
    ck_assert_uint_eq(b.p[28], 28);
    ck_assert_uint_eq(buf_slice(&b).size, 29);
    buf_reset(&b);
    ck_assert_uint_eq(b.size, 0);
    ck_assert_uint_gt(b.cap, 0);
    buf_deinit(&b);
    ck_assert_ptr_null(b.p);
    ck_assert_uint_eq(b.cap, 0);
}
END_TEST

START_TEST(test_buf_grows)
{
    struct buf b = {0};
    for (uint32_t i = 0; i < 50000; i++)
        buf_append_le32(&b, i * 2654435761u);
    for (uint32_t i = 0; i < 50000; i++)
        ck_assert_uint_eq(bytes_le32(b.p + 4 * i), i * 2654435761u);
    ck_assert_uint_le(b.cap, 2 * b.size);
    buf_reserve(&b, 1000000);
    ck_assert_uint_ge(b.cap - b.size, 1000000);
    uint8_t *p = b.p;
    buf_reserve(&b, 999999); /* there is room: nothing moves */
    ck_assert_ptr_eq(b.p, p);
    buf_deinit(&b);
}
END_TEST

START_TEST(test_buf_overflow_aborts)
{
    struct buf b = {0};
    buf_append_u8(&b, 1);
    buf_reserve(&b, SIZE_MAX);
}
END_TEST

START_TEST(test_buf_printf)
{
    struct buf b = {0};
    buf_printf(&b, "%s", "");
    ck_assert_uint_eq(b.size, 0);
    buf_printf(&b, "%s-%d", "topic", 7);
    buf_printf(&b, "%200d|", 1);
    ck_assert_uint_eq(b.size, 7 + 201);
    ck_assert_mem_eq(b.p, "topic-7 ", 8);
    ck_assert_mem_eq(b.p + b.size - 3, " 1|", 3);
    buf_deinit(&b);
}
END_TEST

static void note_ended(int *calls)
{
    (*calls)++;
}
CLEANUP_DEFINE(note, int, note_ended);

START_TEST(test_cleanup)
{
    int calls = 0;
    int seen = -1;
    {
        int *held CLEANUP(note_cleanup) = &calls;
        int *handed_over CLEANUP(note_cleanup) = &calls;
        int fd CLEANUP(cleanup_fd) = open("/dev/null", O_RDONLY | O_CLOEXEC);
        int none CLEANUP(cleanup_fd) = -1;
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(none, -1);
        ck_assert_ptr_eq(held, &calls);
        handed_over = NULL;
        seen = fd;
    }
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(fcntl(seen, F_GETFD), -1);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("bytes");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_accessors);
    tcase_add_test(tc, test_slices);
    tcase_add_test(tc, test_varint_edges);
    tcase_add_test(tc, test_varint_random);
    tcase_add_test(tc, test_varint_foreign);
    tcase_add_test(tc, test_buf_appends);
    tcase_add_test(tc, test_buf_grows);
    tcase_add_test_raise_signal(tc, test_buf_overflow_aborts, SIGABRT);
    tcase_add_test(tc, test_buf_printf);
    tcase_add_test(tc, test_cleanup);
    Suite *suite = suite_create("base/bytes");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
