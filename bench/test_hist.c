/* SPDX-License-Identifier: MIT
 *
 * hist: against a sorted list, and at its edges.
 */
#include "bench/hist.h"

#include <check.h>
#include <stdlib.h>

#include "engine/base/random.h"

#define VALUES 5000

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Values spread over all magnitudes. */
static void fill(struct hist *h, int64_t *values, uint64_t seed)
{
    struct random r;
    random_init(&r, seed);
    for (int i = 0; i < VALUES; i++) {
        values[i] = (int64_t)(random_u64(&r) >> (24 + random_below(&r, 40)));
        hist_add(h, values[i]);
    }
    qsort(values, VALUES, sizeof *values, by_value);
}

START_TEST(test_percentiles_are_the_sorted_ones)
{
    static const double marks[] = {1, 25, 50, 90, 99, 99.9, 100};
    int64_t values[VALUES];
    struct hist h = {0};
    fill(&h, values, (uint64_t)_i);
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        double rank = marks[i] * VALUES / 100;
        int index = (int)rank - ((double)(int)rank < rank ? 0 : 1);
        int64_t exact = values[index < 0 ? 0 : index];
        int64_t found = hist_percentile(&h, marks[i]);
        ck_assert_msg(found >= exact, "%f: %ld < %ld", marks[i], (long)found, (long)exact);
        ck_assert_msg(found <= exact + exact / 64 + 1, "%f: %ld > %ld", marks[i], (long)found,
                      (long)exact);
    }
    ck_assert_int_eq(h.max, values[VALUES - 1]);
}
END_TEST

START_TEST(test_every_bucket_edge)
{
    for (int power = 0; power < HIST_VALUE_BITS; power++) {
        for (int64_t near = -1; near <= 1; near++) {
            struct hist h = {0};
            int64_t value = (INT64_C(1) << power) + near;
            hist_add(&h, value);
            hist_add(&h, INT64_MAX); /* so that max does not help */
            int64_t found = hist_percentile(&h, 50);
            ck_assert_int_ge(found, value);
            ck_assert_int_le(found, value + value / 64);
        }
    }
}
END_TEST

START_TEST(test_out_of_range)
{
    struct hist h = {0};
    ck_assert_int_eq(hist_percentile(&h, 50), 0);
    hist_add(&h, -5);
    ck_assert_int_eq(hist_percentile(&h, 50), 0);
    hist_add(&h, INT64_MAX);
    hist_add(&h, INT64_MAX);
    ck_assert_int_eq(h.max, INT64_MAX);
    ck_assert_int_eq(hist_percentile(&h, 99), HIST_VALUE_MAX);
    ck_assert_uint_eq(h.count, 3);
}
END_TEST

START_TEST(test_merge_is_both)
{
    int64_t values[VALUES];
    struct hist a = {0}, b = {0}, both = {0};
    fill(&a, values, 1);
    fill(&b, values, 2);
    fill(&both, values, 1);
    fill(&both, values, 2);
    hist_merge(&a, &b);
    ck_assert_mem_eq(&a, &both, sizeof a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hist");
    TCase *c = tcase_create("hist");
    tcase_add_loop_test(c, test_percentiles_are_the_sorted_ones, 0, 20);
    tcase_add_test(c, test_every_bucket_edge);
    tcase_add_test(c, test_out_of_range);
    tcase_add_test(c, test_merge_is_both);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
