/* SPDX-License-Identifier: MIT
 *
 * test_tally: bounds, sums, merging.
 */
#include "engine/base/tally.h"

#include <check.h>
#include <stdlib.h>

START_TEST(bounds_belong_below)
{
    struct tally t = {0};
    for (size_t i = 0; i < TALLY_BOUNDS; i++) {
        tally_add(&t, tally_bounds_us[i]);
        ck_assert_uint_eq(t.buckets[i], 1);
        tally_add(&t, (int64_t)tally_bounds_us[i] + 1);
        ck_assert_uint_eq(t.buckets[i + 1], 1);
        t.buckets[i + 1] = 0; /* the next bound starts alone */
        t.count--;
    }
    tally_check(&t);
    ck_assert_uint_eq(t.count, TALLY_BOUNDS);
}
END_TEST

START_TEST(sums_and_merges)
{
    struct tally a = {0}, b = {0};
    tally_add(&a, -5); /* a clock that stepped */
    tally_add(&a, 0);
    tally_add(&a, INT64_C(90000000));
    ck_assert_uint_eq(a.sum_us, 90000000);
    ck_assert_uint_eq(a.buckets[0], 2);
    ck_assert_uint_eq(a.buckets[TALLY_BOUNDS], 1);
    tally_add(&b, 300);
    tally_merge(&b, &a);
    tally_check(&b);
    ck_assert_uint_eq(b.count, 4);
    ck_assert_uint_eq(b.sum_us, 90000300);
    ck_assert_uint_eq(b.buckets[2], 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tally");
    TCase *c = tcase_create("all");
    tcase_add_test(c, bounds_belong_below);
    tcase_add_test(c, sums_and_merges);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
