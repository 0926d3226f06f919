/* SPDX-License-Identifier: MIT
 *
 * state: round trip, flips, cuts, a newer version, impossible figures; file names.
 */
#include "engine/store/state.h"

#include <check.h>
#include <stdlib.h>

#include "engine/base/crc32c.h"

static const struct state sample = {
    .log_start = 5,
    .recovery_offset = 90,
    .recovery_base = 40,
    .recovery_pos = 4096,
    .epoch = 7,
    .generation = 3,
    .mark = 33,
};

static void seal(struct buf *b)
{
    bytes_put_le32(b->p + 4, crc32c(b->p + 8, b->size - 8));
}

START_TEST(test_round_trip)
{
    struct buf b = {0};
    struct state s;
    state_encode(&sample, &b);
    ck_assert_uint_eq(b.size, STATE_SIZE);
    ck_assert_mem_eq(b.p, "KST1", 4);
    ck_assert_int_eq(state_decode(buf_slice(&b), &s), 0);
    ck_assert_int_eq(s.log_start, 5);
    ck_assert_int_eq(s.recovery_offset, 90);
    ck_assert_int_eq(s.recovery_base, 40);
    ck_assert_uint_eq(s.recovery_pos, 4096);
    ck_assert_int_eq(s.epoch, 7);
    ck_assert_uint_eq(s.generation, 3);
    ck_assert(!s.begun);
    ck_assert_int_eq(s.mark, 33);
    b.size = STATE_OLD; /* of a version that did not keep it */
    seal(&b);
    ck_assert_int_eq(state_decode(buf_slice(&b), &s), 0);
    ck_assert_int_eq(s.mark, 0);
    struct state begun = {.log_start = 90, .recovery_offset = 90, .begun = true};
    buf_reset(&b);
    state_encode(&begun, &b);
    ck_assert_int_eq(state_decode(buf_slice(&b), &s), 0);
    ck_assert(s.begun);
    bytes_put_le64(b.p + 16, 89); /* and is not empty */
    seal(&b);
    ck_assert_int_eq(state_decode(buf_slice(&b), &s), STATE_DAMAGED);
    buf_deinit(&b);
}
END_TEST

START_TEST(test_damage)
{
    struct buf b = {0};
    struct state s;
    state_encode(&sample, &b);
    for (size_t i = 0; i < b.size; i++) {
        b.p[i] ^= 1;
        ck_assert_int_eq(state_decode(buf_slice(&b), &s), STATE_DAMAGED);
        b.p[i] ^= 1;
        ck_assert_int_eq(state_decode(slice_of(b.p, i), &s), STATE_DAMAGED);
    }
    buf_deinit(&b);
}
END_TEST

static int lie(size_t pos, uint64_t value)
{
    struct buf b = {0};
    struct state s;
    state_encode(&sample, &b);
    bytes_put_le64(b.p + pos, value);
    seal(&b);
    int r = state_decode(buf_slice(&b), &s);
    buf_deinit(&b);
    return r;
}

START_TEST(test_impossible)
{
    ck_assert_int_eq(lie(16, (uint64_t)-1), STATE_DAMAGED); /* log start */
    ck_assert_int_eq(lie(16, 91), STATE_DAMAGED);           /* behind the recovery point */
    ck_assert_int_eq(lie(24, 39), STATE_DAMAGED);           /* point before its segment */
    ck_assert_int_eq(lie(32, (uint64_t)-1), STATE_DAMAGED); /* base */
    ck_assert_int_eq(lie(40, UINT64_MAX), STATE_DAMAGED);   /* position */
    ck_assert_int_eq(lie(24, INT64_MAX), STATE_DAMAGED);    /* no offset can follow */
    ck_assert_int_eq(lie(16, 90), 0);
}
END_TEST

START_TEST(test_newer)
{
    struct buf b = {0};
    struct state s;
    state_encode(&sample, &b);
    bytes_put_le32(b.p + 8, STATE_VERSION + 1);
    seal(&b);
    ck_assert_int_eq(state_decode(buf_slice(&b), &s), STATE_NEWER);
    buf_append_le64(&b, 0); /* and may be longer */
    seal(&b);
    ck_assert_int_eq(state_decode(buf_slice(&b), &s), STATE_NEWER);
    buf_deinit(&b);
}
END_TEST

START_TEST(test_read)
{
    struct io *io = io_crash_new(0);
    struct state s;
    struct buf b = {0};
    ck_assert_int_eq(state_read(io, "/", &s), IO_MISSING);
    state_encode(&sample, &b);
    ck_assert_int_eq(io_write_file(io, "/", "/state", buf_slice(&b)), 0);
    ck_assert_int_eq(state_read(io, "/", &s), 0);
    ck_assert_int_eq(s.recovery_offset, 90);
    ck_assert_int_eq(io_write_file(io, "/", "/state", SLICE_NULL), 0);
    ck_assert_int_eq(state_read(io, "/", &s), STATE_DAMAGED);
    static uint8_t large[5000];
    ck_assert_int_eq(io_write_file(io, "/", "/state", slice_of(large, sizeof large)), 0);
    ck_assert_int_eq(state_read(io, "/", &s), STATE_DAMAGED);
    buf_deinit(&b);
    io_crash_free(io);
}
END_TEST

START_TEST(test_names)
{
    struct buf b = {0};
    state_segment_path(&b, "/d", 1234, "log");
    ck_assert_str_eq((const char *)b.p, "/d/00000000000000001234.log");
    ck_assert_int_eq(state_parse_name((const char *)b.p + 3, "log"), 1234);
    ck_assert_int_eq(state_parse_name((const char *)b.p + 3, "index"), -1);
    ck_assert_int_eq(state_parse_name("09223372036854775799.log", "log"), INT64_MAX - 8);
    ck_assert_int_eq(state_parse_name("09223372036854775807.log", "log"), -1);
    ck_assert_int_eq(state_parse_name("09223372036854775808.log", "log"), -1);
    ck_assert_int_eq(state_parse_name("99999999999999999999.log", "log"), -1);
    ck_assert_int_eq(state_parse_name("0000000000000000001.log", "log"), -1);
    ck_assert_int_eq(state_parse_name("000000000000000000001.log", "log"), -1);
    ck_assert_int_eq(state_parse_name("00000000000000000001.log.tmp", "log"), -1);
    ck_assert_int_eq(state_parse_name("", "log"), -1);
    buf_deinit(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("state");
    TCase *c = tcase_create("state");
    tcase_add_test(c, test_round_trip);
    tcase_add_test(c, test_damage);
    tcase_add_test(c, test_impossible);
    tcase_add_test(c, test_newer);
    tcase_add_test(c, test_read);
    tcase_add_test(c, test_names);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
