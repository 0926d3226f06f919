/* SPDX-License-Identifier: MIT
 *
 * crc32c: published vectors, and both implementations against one that goes bit by bit.
 */
#include "engine/base/crc32c.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/random.h"

static uint32_t crc32c_bits(uint32_t crc, const uint8_t *p, size_t size)
{
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0x82f63b78u & (0 - (crc & 1)));
    }
    return ~crc;
}

/* RFC 3720, B.4. */
START_TEST(test_vectors)
{
    uint8_t b[32] = {0};
    ck_assert_uint_eq(crc32c("123456789", 9), 0xe3069283);
    ck_assert_uint_eq(crc32c(b, 32), 0x8a9136aa);
    memset(b, 0xff, 32);
    ck_assert_uint_eq(crc32c(b, 32), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++)
        b[i] = i;
    ck_assert_uint_eq(crc32c(b, 32), 0x46dd794e);
    ck_assert_uint_eq(crc32c_table(0, b, 32), 0x46dd794e);
    ck_assert_uint_eq(crc32c(NULL, 0), 0);
    ck_assert_uint_eq(crc32c_table(0, NULL, 0), 0);
}
END_TEST

/* Every table entry is used: all values of a byte in each of the eight lanes. */
START_TEST(test_every_entry)
{
    for (size_t lane = 0; lane < 8; lane++) {
        for (unsigned v = 0; v < 256; v++) {
            uint8_t b[8] = {0};
            b[lane] = (uint8_t)v;
            ck_assert_uint_eq(crc32c_table(0, b, 8), crc32c_bits(0, b, 8));
        }
    }
}
END_TEST

START_TEST(test_all_agree)
{
    static uint8_t b[4096 + 16];
    struct random r;
    random_init(&r, 3);
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (uint8_t)random_u64(&r);
    for (size_t size = 0; size < 600; size++) {
        const uint8_t *p = b + size % 16;
        uint32_t crc = (uint32_t)random_u64(&r);
        uint32_t expected = crc32c_bits(crc, p, size);
        ck_assert_uint_eq(crc32c_more(crc, p, size), expected);
        ck_assert_uint_eq(crc32c_table(crc, p, size), expected);
    }
    ck_assert_uint_eq(crc32c(b, 4096), crc32c_bits(0, b, 4096));
}
END_TEST

START_TEST(test_continues)
{
    static uint8_t b[1000];
    struct random r;
    random_init(&r, 4);
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (uint8_t)random_u64(&r);
    uint32_t whole = crc32c(b, sizeof b);
    for (size_t cut = 0; cut <= sizeof b; cut++) {
        ck_assert_uint_eq(crc32c_more(crc32c(b, cut), b + cut, sizeof b - cut), whole);
        ck_assert_uint_eq(crc32c_table(crc32c_table(0, b, cut), b + cut, sizeof b - cut), whole);
    }
}
END_TEST

START_TEST(test_finds_every_flipped_bit)
{
    uint8_t b[64];
    for (uint8_t i = 0; i < sizeof b; i++)
        b[i] = (uint8_t)(i * 7);
    uint32_t crc = crc32c(b, sizeof b);
    for (size_t bit = 0; bit < 8 * sizeof b; bit++) {
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_uint_ne(crc32c(b, sizeof b), crc);
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("crc32c");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_vectors);
    tcase_add_test(tc, test_every_entry);
    tcase_add_test(tc, test_all_agree);
    tcase_add_test(tc, test_continues);
    tcase_add_test(tc, test_finds_every_flipped_bit);
    Suite *suite = suite_create("base/crc32c");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
