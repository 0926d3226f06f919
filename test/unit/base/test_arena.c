/* SPDX-License-Identifier: MIT
 *
 * arena: alignment, zeroing, the limit, growth over many blocks, reset.
 */
#include "engine/base/arena.h"

#include <check.h>
#include <stdlib.h>

#include "engine/base/random.h"

START_TEST(test_aligned_and_zeroed)
{
    struct arena a;
    arena_init(&a, 0);
    for (size_t size = 0; size < 300; size++) {
        uint8_t *p = arena_alloc(&a, size);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < size; i++)
            ck_assert_uint_eq(p[i], 0);
        memset(p, 0xaa, size);
    }
    arena_reset(&a); /* the kept block is dirty now */
    uint8_t *p = arena_alloc(&a, 4096);
    for (size_t i = 0; i < 4096; i++)
        ck_assert_uint_eq(p[i], 0);
    arena_deinit(&a);
}
END_TEST

START_TEST(test_nothing_overlaps)
{
    enum { COUNT = 500 };
    struct arena a;
    struct random r;
    static uint8_t *p[COUNT];
    static size_t size[COUNT];
    arena_init(&a, 0);
    random_init(&r, 1);
    for (size_t i = 0; i < COUNT; i++) {
        size[i] = random_below(&r, i % 50 == 0 ? 3 << 20 : 9000);
        p[i] = arena_alloc(&a, size[i]);
        memset(p[i], (int)(i & 0xff), size[i]);
    }
    for (size_t i = 0; i < COUNT; i++)
        for (size_t j = 0; j < size[i]; j++)
            if (p[i][j] != (i & 0xff))
                ck_abort_msg("allocation %zu was overwritten at %zu", i, j);
    arena_deinit(&a);
    ck_assert_ptr_null(a.head);
}
END_TEST

START_TEST(test_limit)
{
    struct arena a;
    arena_init(&a, 1024);
    ck_assert_ptr_null(arena_alloc(&a, 1025));
    ck_assert_ptr_nonnull(arena_alloc(&a, 1000));
    ck_assert_uint_eq(a.used, 1008);
    ck_assert_ptr_null(arena_alloc(&a, 17));
    ck_assert_ptr_nonnull(arena_alloc(&a, 16));
    ck_assert_ptr_nonnull(arena_alloc(&a, 0));
    ck_assert_ptr_null(arena_alloc(&a, 1));
    ck_assert_ptr_null(arena_copy(&a, slice_str("x")).p);
    arena_reset(&a);
    ck_assert_uint_eq(a.used, 0);
    ck_assert_ptr_nonnull(arena_alloc(&a, 1024));
    arena_deinit(&a);
}
END_TEST

START_TEST(test_overflow)
{
    struct arena a;
    arena_init(&a, 0);
    ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX));
    ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX - 15));
    ck_assert_ptr_null(arena_alloc(&a, PTRDIFF_MAX));
    ck_assert_ptr_null(arena_array(&a, SIZE_MAX / 8 + 1, 8));
    ck_assert_ptr_null(arena_array(&a, SIZE_MAX / 2, 3));
    ck_assert_ptr_nonnull(arena_array(&a, 10, 8));
    ck_assert_ptr_nonnull(arena_array(&a, 0, 8));
    ck_assert_uint_eq(a.used, 80);
    arena_deinit(&a);
}
END_TEST

START_TEST(test_copy)
{
    struct arena a;
    arena_init(&a, 0);
    struct slice s = arena_copy(&a, slice_str("topic"));
    ck_assert_uint_eq(s.size, 5);
    ck_assert_str_eq((const char *)s.p, "topic");
    s = arena_copy(&a, SLICE_NULL);
    ck_assert_ptr_nonnull(s.p);
    ck_assert_uint_eq(s.size, 0);
    ck_assert_uint_eq(s.p[0], 0);
    arena_deinit(&a);
}
END_TEST

START_TEST(test_reset_keeps_a_small_block)
{
    struct arena a;
    arena_init(&a, 0);
    struct arena_block *first;
    ck_assert_ptr_nonnull(arena_alloc(&a, 1));
    first = a.head;
    ck_assert_ptr_nonnull(arena_alloc(&a, 2 << 20));
    ck_assert_ptr_eq(a.head, first); /* a large ask does not take the head's room */
    for (int i = 0; i < 100; i++)
        ck_assert_ptr_nonnull(arena_alloc(&a, 4000));
    ck_assert_ptr_ne(a.head, first);
    arena_reset(&a);
    ck_assert_ptr_eq(a.head, first);
    arena_reset(&a);
    ck_assert_ptr_eq(a.head, first);
    arena_deinit(&a);
    arena_deinit(&a);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("arena");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_aligned_and_zeroed);
    tcase_add_test(tc, test_nothing_overlaps);
    tcase_add_test(tc, test_limit);
    tcase_add_test(tc, test_overflow);
    tcase_add_test(tc, test_copy);
    tcase_add_test(tc, test_reset_keeps_a_small_block);
    Suite *suite = suite_create("base/arena");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
