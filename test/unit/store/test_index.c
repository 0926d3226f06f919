/* SPDX-License-Identifier: MIT
 *
 * index: golden entries, floors against a linear search, and the good prefix under every flip.
 */
#include "engine/store/index.h"

#include <check.h>
#include <stdlib.h>

#include "engine/base/random.h"

#define ENTRIES 60

struct table {
    struct buf index;
    struct buf times;
    struct index_entry entries[ENTRIES];
    struct index_time_entry time_entries[ENTRIES];
};

static void table_init(struct table *t, uint64_t seed)
{
    struct random r;
    random_init(&r, seed);
    *t = (struct table){0};
    uint32_t relative = 0, pos = 0;
    int64_t time = -1;
    for (unsigned i = 0; i < ENTRIES; i++) {
        relative += 1 + (uint32_t)random_below(&r, 5);
        pos += 61 + (uint32_t)random_below(&r, 100);
        time += (int64_t)random_below(&r, 3); /* equal neighbours happen */
        t->entries[i] = (struct index_entry){relative, pos};
        t->time_entries[i] = (struct index_time_entry){time, relative};
        index_append(&t->index, t->entries[i]);
        index_append_time(&t->times, t->time_entries[i]);
    }
}

static void table_deinit(struct table *t)
{
    buf_deinit(&t->index);
    buf_deinit(&t->times);
}

START_TEST(test_golden)
{
    static const uint8_t want[12] = {4, 3, 2, 1, 8, 7, 6, 5};
    struct buf b = {0}, t = {0};
    index_append(&b, (struct index_entry){0x01020304, 0x05060708});
    ck_assert_uint_eq(b.size, INDEX_ENTRY_SIZE);
    ck_assert_mem_eq(b.p, want, 8);
    ck_assert_uint_ne(bytes_le32(b.p + 8), 0);
    index_append_time(&t, (struct index_time_entry){-1, 7});
    ck_assert_uint_eq(t.size, INDEX_TIME_ENTRY_SIZE);
    ck_assert_int_eq((int64_t)bytes_le64(t.p), -1);
    ck_assert_uint_eq(bytes_le32(t.p + 8), 7);
    buf_deinit(&b);
    buf_deinit(&t);
}
END_TEST

START_TEST(test_zeros_are_no_entry)
{
    static const uint8_t zeros[INDEX_TIME_ENTRY_SIZE];
    struct index_entry e;
    struct index_time_entry t;
    ck_assert(!index_at(slice_of(zeros, INDEX_ENTRY_SIZE), 0, &e));
    ck_assert(!index_time_at(slice_of(zeros, INDEX_TIME_ENTRY_SIZE), 0, &t));
    ck_assert_uint_eq(index_good_size(slice_of(zeros, INDEX_ENTRY_SIZE), UINT64_MAX), 0);
}
END_TEST

START_TEST(test_floor_is_the_linear_floor)
{
    struct table t;
    table_init(&t, (uint64_t)_i);
    for (uint32_t want = 0; want < t.entries[ENTRIES - 1].relative + 3; want++) {
        struct index_entry e = {0, 0};
        int last = -1;
        for (int i = 0; i < ENTRIES && t.entries[i].relative <= want; i++)
            last = i;
        int r = index_floor(buf_slice(&t.index), want, &e);
        ck_assert_int_eq(r, last < 0 ? INDEX_NONE : 0);
        if (last >= 0)
            ck_assert(e.relative == t.entries[last].relative && e.pos == t.entries[last].pos);
    }
    for (int64_t want = -2; want < t.time_entries[ENTRIES - 1].max_timestamp + 3; want++) {
        struct index_time_entry e = {0, 0};
        int last = -1;
        for (int i = 0; i < ENTRIES && t.time_entries[i].max_timestamp < want; i++)
            last = i;
        int r = index_time_floor(buf_slice(&t.times), want, &e);
        ck_assert_int_eq(r, last < 0 ? INDEX_NONE : 0);
        if (last >= 0)
            ck_assert_uint_eq(e.relative, t.time_entries[last].relative);
    }
    table_deinit(&t);
}
END_TEST

START_TEST(test_empty_has_no_floor)
{
    struct index_entry e;
    struct index_time_entry t;
    ck_assert_int_eq(index_floor(SLICE_NULL, 9, &e), INDEX_NONE);
    ck_assert_int_eq(index_time_floor(SLICE_NULL, 9, &t), INDEX_NONE);
    ck_assert_uint_eq(index_good_size(SLICE_NULL, 1), 0);
    ck_assert_uint_eq(index_time_good_size(SLICE_NULL, 1), 0);
}
END_TEST

/* A flip anywhere ends the good prefix in front of its entry and is never believed by a search. */
START_TEST(test_flips)
{
    struct table t;
    table_init(&t, 1);
    for (size_t at = 0; at < t.index.size; at++) {
        t.index.p[at] ^= (uint8_t)(1u << at % 8);
        size_t slot = at / INDEX_ENTRY_SIZE;
        ck_assert_uint_eq(index_good_size(buf_slice(&t.index), UINT64_MAX),
                          slot * INDEX_ENTRY_SIZE);
        struct index_entry e;
        int r = index_floor(buf_slice(&t.index), t.entries[slot].relative, &e);
        ck_assert(r == INDEX_DAMAGED); /* a search for it passes it */
        t.index.p[at] ^= (uint8_t)(1u << at % 8);
    }
    for (size_t at = 0; at < t.times.size; at++) {
        t.times.p[at] ^= (uint8_t)(1u << at % 8);
        size_t slot = at / INDEX_TIME_ENTRY_SIZE;
        ck_assert_uint_eq(index_time_good_size(buf_slice(&t.times), UINT32_MAX),
                          slot * INDEX_TIME_ENTRY_SIZE);
        t.times.p[at] ^= (uint8_t)(1u << at % 8);
    }
    table_deinit(&t);
}
END_TEST

START_TEST(test_good_prefix_ends)
{
    struct table t;
    table_init(&t, 2);
    for (unsigned i = 0; i < ENTRIES; i++) {
        ck_assert_uint_eq(index_good_size(buf_slice(&t.index), t.entries[i].pos),
                          (size_t)i * INDEX_ENTRY_SIZE);
        ck_assert_uint_eq(index_time_good_size(buf_slice(&t.times), t.entries[i].relative),
                          (size_t)(i + 1) * INDEX_TIME_ENTRY_SIZE);
    }
    index_append(&t.index, t.entries[0]); /* falls back: X1 */
    index_append_time(&t.times, (struct index_time_entry){INT64_MAX, 1});
    ck_assert_uint_eq(index_good_size(buf_slice(&t.index), UINT64_MAX),
                      (size_t)ENTRIES * INDEX_ENTRY_SIZE);
    ck_assert_uint_eq(index_time_good_size(buf_slice(&t.times), UINT32_MAX),
                      (size_t)ENTRIES * INDEX_TIME_ENTRY_SIZE);
    ck_assert_uint_eq(index_good_size(slice_of(t.index.p, INDEX_ENTRY_SIZE + 5), UINT64_MAX),
                      INDEX_ENTRY_SIZE);
    table_deinit(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("index");
    TCase *c = tcase_create("index");
    tcase_add_test(c, test_golden);
    tcase_add_test(c, test_zeros_are_no_entry);
    tcase_add_loop_test(c, test_floor_is_the_linear_floor, 0, 20);
    tcase_add_test(c, test_empty_has_no_floor);
    tcase_add_test(c, test_flips);
    tcase_add_test(c, test_good_prefix_ends);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
