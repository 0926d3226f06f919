/* SPDX-License-Identifier: MIT
 *
 * The view: the same tests for LMDB and memory (loop index 0 and 1), then what only one of them
 * does.
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "engine/base/cleanup.h"
#include "test/unit/meta/view_model.h"

/* ---- both kinds ---- */

START_TEST(rows_are_put_replaced_and_deleted)
{
    struct view v;
    view_init(&v, _i);
    row_expect(v.m, META_TABLE_RECORD, "a", NULL);
    ck_assert_int_eq(row_put(v.m, META_TABLE_RECORD, "a", "one"), 0);
    ck_assert_int_eq(row_put(v.m, META_TABLE_PART, "a", "other table"), 0);
    row_expect(v.m, META_TABLE_RECORD, "a", "one");
    ck_assert_int_eq(row_put(v.m, META_TABLE_RECORD, "a", "two, longer"), 0);
    row_expect(v.m, META_TABLE_RECORD, "a", "two, longer");
    ck_assert_int_eq(row_put(v.m, META_TABLE_RECORD, "a", ""), 0);
    row_expect(v.m, META_TABLE_RECORD, "a", "");
    ck_assert_int_eq(row_put(v.m, META_TABLE_RECORD, "a", NULL), 0);
    row_expect(v.m, META_TABLE_RECORD, "a", NULL);
    ck_assert_int_eq(row_put(v.m, META_TABLE_RECORD, "a", NULL), 0);
    row_expect(v.m, META_TABLE_PART, "a", "other table");
    ck_assert_int_eq(row_put(v.m, META_TABLE_RECORD, "", "empty key"), 0);
    row_expect(v.m, META_TABLE_RECORD, "", "empty key");
    view_deinit(&v);
}
END_TEST

START_TEST(last_put_of_a_key_holds)
{
    struct view v;
    view_init(&v, _i);
    struct meta_put puts[] = {
        {.table = META_TABLE_PART, .key = slice_str("k"), .value = slice_str("1")},
        {.table = META_TABLE_PART, .key = slice_str("gone"), .value = slice_str("1")},
        {.table = META_TABLE_PART, .key = slice_str("k"), .value = slice_str("2")},
        {.table = META_TABLE_PART, .key = slice_str("gone"), .value = SLICE_NULL},
    };
    ck_assert_int_eq(meta_commit(v.m, &(struct meta_batch){.puts = puts, .count = 4}), 0);
    view_restart(&v);
    row_expect(v.m, META_TABLE_PART, "k", "2");
    row_expect(v.m, META_TABLE_PART, "gone", NULL);
    view_deinit(&v);
}
END_TEST

static int each_join(void *ctx, struct slice key, struct slice value)
{
    struct buf *out = ctx;
    buf_append(out, key.p, key.size);
    buf_append_u8(out, '=');
    buf_append(out, value.p, value.size);
    buf_append_u8(out, ' ');
    return key.size == 2 && key.p[1] == '!' ? 77 : 0;
}

static void each_expect(struct meta *m, const char *prefix, int result, const char *text)
{
    struct buf out CLEANUP(buf_deinit) = {0};
    ck_assert_int_eq(meta_each(m, META_TABLE_RECORD, slice_str(prefix), each_join, &out), result);
    buf_append_u8(&out, 0);
    ck_assert_str_eq((const char *)out.p, text);
}

START_TEST(each_goes_by_prefix_and_order)
{
    static const char *const keys[] = {"b", "ab", "a", "abc", "ac", "\xff\xff", "aa", "c"};
    struct view v;
    view_init(&v, _i);
    each_expect(v.m, "", 0, "");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        ck_assert_int_eq(row_put(v.m, META_TABLE_RECORD, keys[i], "v"), 0);
    ck_assert_int_eq(row_put(v.m, META_TABLE_PART, "abd", "not this table"), 0);
    ck_assert_int_eq(row_put(v.m, META_TABLE_APPLIED, "abd", "nor this"), 0);
    each_expect(v.m, "", 0, "a=v aa=v ab=v abc=v ac=v b=v c=v \xff\xff=v ");
    each_expect(v.m, "ab", 0, "ab=v abc=v ");
    each_expect(v.m, "\xff", 0, "\xff\xff=v ");
    each_expect(v.m, "x", 0, "");
    ck_assert_int_eq(row_put(v.m, META_TABLE_RECORD, "b!", "stop"), 0);
    each_expect(v.m, "b", 77, "b=v b!=stop ");
    each_expect(v.m, "", 77, "a=v aa=v ab=v abc=v ac=v b=v b!=stop ");
    view_deinit(&v);
}
END_TEST

static int each_reads(void *ctx, struct slice key, struct slice value)
{
    struct buf out CLEANUP(buf_deinit) = {0};
    ck_assert_int_eq(meta_get(ctx, META_TABLE_RECORD, key, &out), 0);
    ck_assert(slice_equal(buf_slice(&out), value));
    return 0;
}

START_TEST(each_may_read)
{
    struct view v;
    view_init(&v, _i);
    for (int64_t k = 1; k <= 10; k++)
        ck_assert_int_eq(model_commit(v.m, k), 0);
    ck_assert_int_eq(meta_each(v.m, META_TABLE_RECORD, slice_str("key"), each_reads, v.m), 0);
    view_deinit(&v);
}
END_TEST

START_TEST(applied_marks_are_per_log)
{
    struct view v;
    struct meta_applied a;
    view_init(&v, _i);
    ck_assert_int_eq(meta_get_applied(v.m, "x", &a), 0);
    ck_assert_int_eq(a.offset, -1);
    struct meta_batch b = {.log = "x", .applied = {.offset = 1234567890123, .epoch = 7}};
    ck_assert_int_eq(meta_commit(v.m, &b), 0);
    b = (struct meta_batch){.log = "y", .applied = {.offset = -1, .epoch = -1}};
    ck_assert_int_eq(meta_commit(v.m, &b), 0);
    view_restart(&v);
    ck_assert_int_eq(meta_get_applied(v.m, "x", &a), 0);
    ck_assert_int_eq(a.offset, 1234567890123);
    ck_assert_int_eq(a.epoch, 7);
    ck_assert_int_eq(meta_get_applied(v.m, "y", &a), 0);
    ck_assert_int_eq(a.offset, -1);
    ck_assert_int_eq(a.epoch, -1);
    ck_assert_int_eq(row_put(v.m, META_TABLE_APPLIED, "y", "not a mark"), 0);
    ck_assert_int_eq(meta_get_applied(v.m, "y", &a), META_DAMAGED);
    view_deinit(&v);
}
END_TEST

START_TEST(clear_empties_one_table)
{
    struct view v;
    view_init(&v, _i);
    for (int64_t k = 1; k <= 30; k++)
        ck_assert_int_eq(model_commit(v.m, k), 0);
    ck_assert_int_eq(row_put(v.m, META_TABLE_PART, "p", "stays"), 0);
    ck_assert_int_eq(meta_clear(v.m, META_TABLE_RECORD), 0);
    each_expect(v.m, "", 0, "");
    view_restart(&v);
    each_expect(v.m, "", 0, "");
    row_expect(v.m, META_TABLE_PART, "p", "stays");
    ck_assert_int_eq(meta_clear(v.m, META_TABLE_RECORD), 0);
    ck_assert_int_eq(row_put(v.m, META_TABLE_RECORD, "r", "again"), 0);
    row_expect(v.m, META_TABLE_RECORD, "r", "again");
    view_deinit(&v);
    ck_assert_ptr_null(v.m);
}
END_TEST

START_TEST(commits_follow_the_model_over_restarts)
{
    struct view v;
    uint64_t rows = 0;
    view_init(&v, _i);
    for (int64_t k = 1; k <= 150; k++) {
        ck_assert_int_eq(model_commit(v.m, k), 0);
        if (k % 10 == 0)
            ck_assert_int_eq(model_state(v.m), k);
        if (k % 50 == 0)
            view_restart(&v);
    }
    ck_assert_int_eq(model_state(v.m), 150);
    if (v.store == NULL) {
        size_t count = 1; /* the applied mark */
        ck_assert_int_eq(meta_each(v.m, META_TABLE_RECORD, slice_str(""), count_row, &count), 0);
        v.m = meta_free(v.m);
        ck_assert_int_eq(meta_verify(v.dir, &rows), 0);
        ck_assert_uint_eq(rows, count);
    }
    view_deinit(&v);
}
END_TEST

START_TEST(largest_rows_fit)
{
    struct view v;
    char key[META_KEY_MAX + 1];
    view_init(&v, _i);
    memset(key, 'k', META_KEY_MAX);
    key[META_KEY_MAX] = '\0';
    char *value CLEANUP(cleanup_free) = malloc(META_VALUE_MAX + 1);
    ck_assert_ptr_nonnull(value);
    memset(value, 'v', META_VALUE_MAX);
    value[META_VALUE_MAX] = '\0';
    ck_assert_int_eq(row_put(v.m, META_TABLE_RECORD, key, value), 0);
    view_restart(&v);
    row_expect(v.m, META_TABLE_RECORD, key, value);
    view_deinit(&v);
}
END_TEST

START_TEST(too_long_a_key_asserts)
{
    struct meta_store *s = meta_store_new();
    char key[META_KEY_MAX + 2];
    memset(key, 'k', META_KEY_MAX + 1);
    key[META_KEY_MAX + 1] = '\0';
    ck_assert_int_eq(row_put(meta_mem_new(s), META_TABLE_RECORD, key, "v"), 0);
}
END_TEST

/* ---- one kind ---- */

START_TEST(mem_cut_loses_what_was_not_committed)
{
    struct view v;
    view_init(&v, 1);
    for (int64_t k = 1; k <= 7; k++)
        ck_assert_int_eq(model_commit(v.m, k), 0);
    meta_store_cut(v.store);
    ck_assert_int_eq(model_commit(v.m, 8), 0);
    ck_assert_int_eq(model_commit(v.m, 9), 0);
    ck_assert_int_eq(model_state(v.m), 9);
    ck_assert_int_eq(meta_clear(v.m, META_TABLE_RECORD), 0);
    view_restart(&v);
    ck_assert_int_eq(model_state(v.m), 7);
    ck_assert_int_eq(model_commit(v.m, 8), 0);
    view_restart(&v);
    ck_assert_int_eq(model_state(v.m), 8);
    view_deinit(&v);
}
END_TEST

START_TEST(lmdb_refuses_a_second_open)
{
    struct view v;
    struct meta *second = NULL;
    char other[PATH_SIZE];
    view_init(&v, 0);
    path_join(other, v.dir, "."); /* another name of the same folder */
    ck_assert_int_eq(meta_open(v.dir, MAP_SIZE, &second), META_BUSY);
    ck_assert_int_eq(meta_open(other, MAP_SIZE, &second), META_BUSY);
    ck_assert_ptr_null(second);
    ck_assert_int_eq(row_put(v.m, META_TABLE_RECORD, "a", "still works"), 0);
    view_restart(&v);
    row_expect(v.m, META_TABLE_RECORD, "a", "still works");
    view_deinit(&v);
}
END_TEST

START_TEST(lmdb_opens_end_at_the_registry)
{
    struct meta *m[17] = {0};
    char dir[PATH_SIZE];
    char sub[PATH_SIZE];
    char name[16];
    int r = 0;
    size_t count = 0;
    dir_make(dir);
    for (; count < 17 && r == 0; count++) {
        (void)snprintf(name, sizeof name, "%zu", count);
        path_join(sub, dir, name);
        r = meta_open(sub, MAP_SIZE, &m[count]);
    }
    ck_assert_int_eq(r, -EMFILE);
    ck_assert_uint_eq(count, 17);
    m[3] = meta_free(m[3]);
    ck_assert_int_eq(meta_open(sub, MAP_SIZE, &m[3]), 0);
    for (size_t i = 0; i < 17; i++)
        m[i] = meta_free(m[i]);
    dir_drop(dir);
}
END_TEST

START_TEST(lmdb_open_reports_errors)
{
    struct meta *m = NULL;
    char dir[PATH_SIZE];
    char path[PATH_SIZE];
    dir_make(dir);
    path_join(path, dir, "missing/view");
    ck_assert_int_eq(meta_open(path, MAP_SIZE, &m), -ENOENT);
    path_join(path, dir, "file");
    file_write(path, "x", 1);
    ck_assert_int_lt(meta_open(path, MAP_SIZE, &m), 0);
    ck_assert_ptr_null(m);
    dir_drop(dir);
}
END_TEST

struct reader {
    struct meta *m;
    int stop; /* atomic */
    size_t reads;
};

static void *reader_run(void *arg)
{
    struct reader *r = arg;
    while (__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE) == 0) {
        struct buf out = {0};
        int got = meta_get(r->m, META_TABLE_PART, slice_str("fixed"), &out);
        bool is_good = got == 0 && slice_equal(buf_slice(&out), slice_str("star"));
        buf_deinit(&out);
        if (!is_good)
            return r;
        r->reads++;
    }
    return NULL;
}

START_TEST(lmdb_map_grows_under_readers)
{
    static uint8_t value[100 * 1024];
    struct view v;
    char name[32];
    void *failed = NULL;
    pthread_t thread;
    view_init(&v, 0);
    ck_assert_int_eq(row_put(v.m, META_TABLE_PART, "fixed", "star"), 0);
    struct reader reader = {.m = v.m};
    ck_assert_int_eq(pthread_create(&thread, NULL, reader_run, &reader), 0);
    for (size_t i = 0; i < 120; i++) { /* 12 MB into a map of 1 */
        memset(value, (int)i, sizeof value);
        struct meta_put put = {.table = META_TABLE_RECORD,
                               .key = model_name(name, i),
                               .value = slice_of(value, sizeof value)};
        ck_assert_int_eq(meta_commit(v.m, &(struct meta_batch){.puts = &put, .count = 1}), 0);
    }
    __atomic_store_n(&reader.stop, 1, __ATOMIC_RELEASE);
    ck_assert_int_eq(pthread_join(thread, &failed), 0);
    ck_assert_ptr_null(failed);
    ck_assert_uint_gt(reader.reads, 0);
    v.m = meta_free(v.m);
    ck_assert_int_eq(meta_verify(v.dir, NULL), 0);
    view_start(&v); /* with a map size below what is stored */
    struct buf out CLEANUP(buf_deinit) = {0};
    ck_assert_int_eq(meta_get(v.m, META_TABLE_RECORD, model_name(name, 119), &out), 0);
    ck_assert(slice_equal(buf_slice(&out), slice_of(value, sizeof value)));
    ck_assert_int_eq(row_put(v.m, META_TABLE_RECORD, "more", "fits"), 0);
    view_deinit(&v);
}
END_TEST

/* The limit on file sizes stands for any error of a write that goes away again. */
START_TEST(lmdb_stays_failed_after_a_failed_commit)
{
    struct view v;
    struct rlimit limit;
    view_init(&v, 0);
    ck_assert_int_eq(model_commit(v.m, 1), 0);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    struct rlimit small = {.rlim_cur = 6 * PAGE, .rlim_max = limit.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    int r = 0;
    int64_t k = 1;
    while (r == 0 && k < 100)
        r = model_commit(v.m, ++k);
    ck_assert_int_lt(r, 0);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(model_commit(v.m, k), r);
    ck_assert_int_eq(meta_clear(v.m, META_TABLE_RECORD), r);
    ck_assert_int_eq(model_state(v.m), k - 1);
    view_restart(&v);
    ck_assert_int_eq(model_state(v.m), k - 1);
    ck_assert_int_eq(model_commit(v.m, k), 0);
    ck_assert_int_eq(model_state(v.m), k);
    view_deinit(&v);
}
END_TEST

/* ---- the suite ---- */

static TCase *case_both(void)
{
    TCase *tc = tcase_create("both");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, rows_are_put_replaced_and_deleted, 0, 2);
    tcase_add_loop_test(tc, last_put_of_a_key_holds, 0, 2);
    tcase_add_loop_test(tc, each_goes_by_prefix_and_order, 0, 2);
    tcase_add_loop_test(tc, each_may_read, 0, 2);
    tcase_add_loop_test(tc, applied_marks_are_per_log, 0, 2);
    tcase_add_loop_test(tc, clear_empties_one_table, 0, 2);
    tcase_add_loop_test(tc, commits_follow_the_model_over_restarts, 0, 2);
    tcase_add_loop_test(tc, largest_rows_fit, 0, 2);
    tcase_add_test_raise_signal(tc, too_long_a_key_asserts, SIGABRT);
    return tc;
}

static TCase *case_one(void)
{
    TCase *tc = tcase_create("one");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, mem_cut_loses_what_was_not_committed);
    tcase_add_test(tc, lmdb_refuses_a_second_open);
    tcase_add_test(tc, lmdb_opens_end_at_the_registry);
    tcase_add_test(tc, lmdb_open_reports_errors);
    tcase_add_test(tc, lmdb_map_grows_under_readers);
    tcase_add_test(tc, lmdb_stays_failed_after_a_failed_commit);
    return tc;
}

int main(void)
{
    Suite *s = suite_create("meta");
    suite_add_tcase(s, case_both());
    suite_add_tcase(s, case_one());
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
