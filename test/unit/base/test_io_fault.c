/* SPDX-License-Identifier: MIT
 *
 * io_fault: each call of a script fails once, in turn; short writes; sticky faults; what is
 * counted. The inner disk is io_crash, so that a failing test leaves nothing behind.
 */
#include "engine/base/io.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>

static struct io *inner;
static struct io *io;

static void setup(void)
{
    inner = io_crash_new(0);
    io = io_fault_new(inner);
}

static void teardown(void)
{
    io_crash_check(inner);
    io = io_fault_free(io);
    inner = io_crash_free(inner);
}

static int none(void *ctx, const char *name, enum io_kind kind)
{
    (void)ctx;
    (void)name;
    (void)kind;
    return 0;
}

static int script_file(struct io_file *f)
{
    struct iovec v = {(char[]){"0123456789"}, 10};
    struct io_map m;
    uint64_t size;
    size_t got;
    char out[4];
    int r = io_fallocate(f, 0, 100);
    if (r == 0)
        r = io_pwritev(f, &v, 1, 0);
    if (r == 0)
        r = io_size(f, &size);
    if (r == 0)
        r = io_pread(f, out, sizeof out, 0, &got);
    if (r == 0)
        r = io_zero(f, 50, 10);
    if (r == 0)
        r = io_truncate(f, 50);
    if (r == 0)
        r = io_sync(io, &f, 1);
    if (r == 0)
        r = io_map(f, 50, &m);
    if (r == 0)
        io_unmap(io, &m);
    return r;
}

/* Every call of the seam that can fail, once each: SCRIPT_CALLS of them. */
#define SCRIPT_CALLS 17
static int script(void)
{
    struct io_file *f CLEANUP(io_close_cleanup) = NULL;
    struct io_file *lock CLEANUP(io_close_cleanup) = NULL;
    uint64_t free_size, total_size;
    int r = io_mkdir(io, "/d");
    if (r == 0)
        r = io_lock(io, "/d/LOCK", &lock);
    if (r == 0)
        r = io_open(io, "/d/a", IO_READ | IO_WRITE | IO_CREATE, &f);
    if (r == 0)
        r = script_file(f);
    if (r == 0)
        r = io_rename(io, "/d/a", "/d/b");
    if (r == 0)
        r = io_unlink(io, "/d/b");
    if (r == 0)
        r = io_list(io, "/d", none, NULL);
    if (r == 0)
        r = io_space(io, "/d", &free_size, &total_size);
    if (r == 0)
        r = io_sync_dir(io, "/d");
    return r == 0 ? io_rmdir(io, "/d/x") : r;
}

START_TEST(counts_without_a_plan)
{
    ck_assert_uint_eq(io_fault_calls(io), 0);
    ck_assert_int_eq(script(), IO_MISSING); /* the last call, with the answer of the inner disk */
    ck_assert_uint_eq(io_fault_calls(io), SCRIPT_CALLS);
    io_fault_plan(io, (struct io_fault_plan){0});
    ck_assert_uint_eq(io_fault_calls(io), 0);
}
END_TEST

START_TEST(fails_the_nth_call)
{
    uint64_t n = (uint64_t)_i;
    io_fault_plan(io, (struct io_fault_plan){.fail_at = n, .error = -EIO});
    ck_assert_int_eq(script(), -EIO);
    ck_assert_uint_eq(io_fault_calls(io), n); /* the script stops at its first failure */
    uint64_t size;
    struct io_file *f = NULL; /* once: the next call works */
    ck_assert_int_eq(io_open(io, "/after", IO_WRITE | IO_CREATE, &f), 0);
    ck_assert_int_eq(io_size(f, &size), 0);
    ck_assert_int_eq(io_close(f), 0);
}
END_TEST

START_TEST(passes_behind_the_script)
{
    io_fault_plan(io, (struct io_fault_plan){.fail_at = SCRIPT_CALLS + 1, .error = -EIO});
    ck_assert_int_eq(script(), IO_MISSING);
    ck_assert_int_eq(io_mkdir(io, "/x"), -EIO);
    ck_assert_int_eq(io_rmdir(inner, "/x"), IO_MISSING); /* it did not reach the inner disk */
}
END_TEST

START_TEST(stays_broken)
{
    struct io_file *f = NULL;
    ck_assert_int_eq(io_open(io, "/a", IO_WRITE | IO_CREATE, &f), 0);
    io_fault_plan(io, (struct io_fault_plan){.fail_at = 2, .error = IO_FULL, .forever = true});
    ck_assert_int_eq(io_fallocate(f, 0, 10), 0);
    for (unsigned i = 0; i < 5; i++)
        ck_assert_int_eq(io_fallocate(f, 0, 20), IO_FULL);
    uint64_t size = 0;
    ck_assert_int_eq(io_size(f, &size), IO_FULL);
    io_fault_plan(io, (struct io_fault_plan){0});
    ck_assert_int_eq(io_size(f, &size), 0);
    ck_assert_uint_eq(size, 10);
    ck_assert_int_eq(io_close(f), 0);
}
END_TEST

START_TEST(writes_half)
{
    struct io_file *f = NULL;
    struct iovec v[3] = {{(char[]){"abc"}, 3}, {(char[]){"defg"}, 4}, {(char[]){"hij"}, 3}};
    ck_assert_int_eq(io_open(io, "/a", IO_READ | IO_WRITE | IO_CREATE, &f), 0);
    io_fault_plan(io, (struct io_fault_plan){.fail_at = 1, .error = IO_FULL});
    ck_assert_int_eq(io_pwritev(f, v, 3, 2), IO_FULL);
    uint64_t size = 77;
    ck_assert_int_eq(io_size(f, &size), 0);
    ck_assert_uint_eq(size, 0);
    io_fault_plan(io, (struct io_fault_plan){.fail_at = 1, .error = IO_FULL, .short_write = true});
    ck_assert_int_eq(io_pwritev(f, v, 3, 2), IO_FULL);
    char out[16];
    size_t got = 0;
    ck_assert_int_eq(io_pread(f, out, sizeof out, 0, &got), 0);
    ck_assert_uint_eq(got, 7);
    ck_assert_mem_eq(out, "\0\0abcde", 7);
    ck_assert_int_eq(io_close(f), 0);
}
END_TEST

/* A full disk: what takes no space goes on. */
START_TEST(only_calls_that_take_space)
{
    struct io_file *f = NULL, *g = NULL;
    uint64_t size;
    ck_assert_int_eq(io_open(io, "/f", IO_READ | IO_WRITE | IO_CREATE, &f), 0);
    io_fault_plan(io, (struct io_fault_plan){
                          .fail_at = 2, .error = IO_FULL, .forever = true, .space_only = true});
    ck_assert_int_eq(io_size(f, &size), 0);
    ck_assert_int_eq(io_fallocate(f, 0, 20), 0);
    ck_assert_int_eq(io_sync(io, &f, 1), 0);
    ck_assert_uint_eq(io_fault_calls(io), 1);
    ck_assert_int_eq(io_fallocate(f, 20, 20), IO_FULL);
    ck_assert_int_eq(io_open(io, "/g", IO_WRITE | IO_CREATE, &g), IO_FULL);
    ck_assert_int_eq(io_open(io, "/f", IO_READ, &g), 0);
    ck_assert_int_eq(io_unlink(io, "/f"), 0);
    ck_assert_int_eq(io_sync_dir(io, "/"), 0);
    ck_assert_uint_eq(io_fault_calls(io), 3);
    ck_assert_int_eq(io_close(f), 0);
    ck_assert_int_eq(io_close(g), 0);
}
END_TEST

START_TEST(sync_of_a_set_is_one_call)
{
    struct io_file *files[3] = {NULL};
    for (unsigned i = 0; i < 3; i++) {
        char path[8];
        (void)snprintf(path, sizeof path, "/%u", i);
        ck_assert_int_eq(io_open(io, path, IO_WRITE | IO_CREATE, &files[i]), 0);
    }
    io_fault_plan(io, (struct io_fault_plan){.fail_at = 2, .error = -EIO});
    ck_assert_int_eq(io_sync(io, files, 3), 0);
    ck_assert_uint_eq(io_fault_calls(io), 1);
    ck_assert_int_eq(io_sync(io, files, 3), -EIO);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(io_close(files[i]), 0);
}
END_TEST

/* The rule of io_write_file: whatever fails, the old or the new content stands, and no rest. */
START_TEST(write_file_is_atomic)
{
    for (uint64_t n = 1;; n++) {
        ck_assert_int_eq(io_write_file(inner, "/", "/state", slice_str("old")), 0);
        io_fault_plan(io, (struct io_fault_plan){.fail_at = n, .error = -EIO, .short_write = true});
        int r = io_write_file(io, "/", "/state", slice_str("newer"));
        struct buf out CLEANUP(buf_deinit) = {0};
        ck_assert_int_eq(io_read_file(inner, "/state", 100, &out), 0);
        bool old = slice_equal(buf_slice(&out), slice_str("old"));
        bool new = slice_equal(buf_slice(&out), slice_str("newer"));
        ck_assert(old || new);
        struct io_file *f = NULL;
        ck_assert_int_eq(io_open(inner, "/state.tmp", IO_READ, &f), IO_MISSING);
        if (r == 0) {
            ck_assert(new);
            ck_assert_uint_eq(n, 7); /* open, truncate, write, sync, rename, sync_dir: six calls */
            break;
        }
        ck_assert_int_eq(r, -EIO);
        ck_assert(new == (n == 6));
    }
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("faults");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, counts_without_a_plan);
    tcase_add_loop_test(tcase, fails_the_nth_call, 1, SCRIPT_CALLS + 1);
    tcase_add_test(tcase, passes_behind_the_script);
    tcase_add_test(tcase, stays_broken);
    tcase_add_test(tcase, writes_half);
    tcase_add_test(tcase, only_calls_that_take_space);
    tcase_add_test(tcase, sync_of_a_set_is_one_call);
    tcase_add_test(tcase, write_file_is_atomic);
    Suite *suite = suite_create("base/io_fault");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
