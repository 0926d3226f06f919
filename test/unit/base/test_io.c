/* SPDX-License-Identifier: MIT
 *
 * io: one body of tests over every implementation of the seam (they must not be told apart), the
 * two helpers, and what only the machine's files have: links, FIFOs, parallel syncs, a full disk.
 */
#include "engine/base/io.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>

enum test_io_kind {
    TEST_IO_REAL,
    TEST_IO_CRASH,
    TEST_IO_FAULT, /* around the machine's files, without a plan */
};
#define TEST_IO_KINDS 3
#define TEST_IO_TMPFS 0x01021994 /* statfs f_type */

/* One process per test: this is its only disk. */
static struct {
    struct io *io;
    struct io *inner;
    char root[64];
    char paths[4][128]; /* test_io_path hands them out in turn */
    unsigned next;
} t;

static const char *test_io_path(const char *name)
{
    char *path = t.paths[t.next++ % 4];
    int n = snprintf(path, sizeof t.paths[0], "%s/%s", t.root, name);
    ck_assert(n > 0 && (size_t)n < sizeof t.paths[0]);
    return path;
}

static void test_io_setup(int kind)
{
    bool crash = kind == TEST_IO_CRASH;
    (void)snprintf(t.root, sizeof t.root, "%s", crash ? "/data" : "/tmp/test_io.XXXXXX");
    if (!crash)
        ck_assert_ptr_nonnull(mkdtemp(t.root));
    t.io = crash ? io_crash_new(0) : io_real_new();
    if (crash)
        ck_assert_int_eq(io_mkdir(t.io, t.root), 0);
    if (kind == TEST_IO_FAULT) {
        t.inner = t.io;
        t.io = io_fault_new(t.inner);
    }
}

static int test_io_remove(void *ctx, const char *name, enum io_kind kind)
{
    (void)ctx;
    const char *path = test_io_path(name);
    return kind == IO_KIND_FOLDER ? io_rmdir(t.io, path) : io_unlink(t.io, path);
}

/* Every test leaves its folder flat, so one pass empties it. */
static void test_io_teardown(void)
{
    if (t.io == NULL)
        return;
    ck_assert_int_eq(io_list(t.io, t.root, test_io_remove, NULL), 0);
    ck_assert_int_eq(io_rmdir(t.io, t.root), 0);
    if (t.inner != NULL) {
        t.io = io_fault_free(t.io);
        t.inner = io_real_free(t.inner);
        return;
    }
    if (strcmp(t.root, "/data") == 0) {
        io_crash_check(t.io);
        t.io = io_crash_free(t.io);
    } else {
        t.io = io_real_free(t.io);
    }
}

static struct io_file *test_io_new(const char *name)
{
    struct io_file *f = NULL;
    int r = io_open(t.io, test_io_path(name), IO_READ | IO_WRITE | IO_CREATE | IO_EXCL, &f);
    ck_assert_int_eq(r, 0);
    return f;
}

static int test_io_write(struct io_file *f, const void *p, size_t size, uint64_t pos)
{
    struct iovec v = {(void *)(uintptr_t)p, size};
    return io_pwritev(f, &v, 1, pos);
}

static void test_io_expect(struct io_file *f, uint64_t pos, const char *bytes, size_t size)
{
    uint8_t got_bytes[256];
    size_t got = 0;
    ck_assert_uint_le(size, sizeof got_bytes);
    ck_assert_int_eq(io_pread(f, got_bytes, size, pos, &got), 0);
    ck_assert_uint_eq(got, size);
    ck_assert_mem_eq(got_bytes, bytes, size);
}

static uint64_t test_io_size(struct io_file *f)
{
    uint64_t size = 0;
    ck_assert_int_eq(io_size(f, &size), 0);
    return size;
}

START_TEST(open_has_conditions)
{
    test_io_setup(_i);
    struct io_file *f = NULL;
    struct io_file *g = NULL;
    ck_assert_int_eq(io_open(t.io, test_io_path("a"), IO_READ, &f), IO_MISSING);
    ck_assert_int_eq(io_open(t.io, test_io_path("no/a"), IO_WRITE | IO_CREATE, &f), IO_MISSING);
    ck_assert_ptr_null(f);
    f = test_io_new("a");
    ck_assert_uint_eq(test_io_size(f), 0);
    unsigned excl = IO_WRITE | IO_CREATE | IO_EXCL;
    ck_assert_int_eq(io_open(t.io, test_io_path("a"), excl, &g), IO_EXISTS);
    ck_assert_int_eq(io_open(t.io, test_io_path("a/b"), IO_READ, &g), -ENOTDIR);
    ck_assert_int_eq(io_open(t.io, t.root, IO_READ, &g), -EISDIR);
    ck_assert_ptr_null(g);
    ck_assert_int_eq(test_io_write(f, "x", 1, 0), 0);
    ck_assert_int_eq(io_open(t.io, test_io_path("a"), IO_READ | IO_WRITE | IO_CREATE, &g), 0);
    ck_assert_uint_eq(test_io_size(g), 1);
    ck_assert_int_eq(io_close(g), 0);
    ck_assert_int_eq(io_close(f), 0);
    ck_assert_int_eq(io_close(NULL), 0);
    test_io_teardown();
}
END_TEST

START_TEST(flags_are_kept)
{
    test_io_setup(_i);
    struct io_file *f = test_io_new("a");
    ck_assert_int_eq(io_close(f), 0);
    size_t got = 77;
    char byte;
    ck_assert_int_eq(io_open(t.io, test_io_path("a"), IO_READ, &f), 0);
    ck_assert_int_eq(test_io_write(f, "x", 1, 0), -EBADF);
    ck_assert_int_eq(io_pread(f, &byte, 1, 0, &got), 0);
    ck_assert_uint_eq(got, 0);
    ck_assert_int_eq(io_close(f), 0);
    struct io_map m = {0};
    ck_assert_int_eq(io_open(t.io, test_io_path("a"), IO_WRITE, &f), 0);
    ck_assert_int_eq(io_pread(f, &byte, 1, 0, &got), -EBADF);
    ck_assert_int_eq(io_map(f, 4096, &m), -EACCES);
    ck_assert_int_eq(test_io_write(f, "x", 1, 0), 0);
    ck_assert_int_eq(io_close(f), 0);
    test_io_teardown();
}
END_TEST

START_TEST(writes_and_reads)
{
    test_io_setup(_i);
    struct io_file *f = test_io_new("a");
    ck_assert_int_eq(test_io_write(f, "world", 5, 6), 0);
    test_io_expect(f, 0, "\0\0\0\0\0\0world", 11);
    ck_assert_int_eq(test_io_write(f, "hello ", 6, 0), 0);
    test_io_expect(f, 0, "hello world", 11);
    ck_assert_int_eq(test_io_write(f, "", 0, 100), 0);
    ck_assert_int_eq(io_pwritev(f, NULL, 0, 100), 0);
    ck_assert_uint_eq(test_io_size(f), 11);
    char out[32] = {0};
    size_t got = 77;
    ck_assert_int_eq(io_pread(f, out, sizeof out, 6, &got), 0);
    ck_assert_uint_eq(got, 5);
    ck_assert_int_eq(io_pread(f, out, sizeof out, 11, &got), 0);
    ck_assert_uint_eq(got, 0);
    ck_assert_int_eq(io_pread(f, out, sizeof out, 1000, &got), 0);
    ck_assert_uint_eq(got, 0);
    ck_assert_int_eq(io_close(f), 0);
    test_io_teardown();
}
END_TEST

/* More vectors than one system call takes, empty ones among them. */
START_TEST(writes_many_vectors)
{
    test_io_setup(_i);
    struct io_file *f = test_io_new("a");
    static struct iovec v[3000];
    static char bytes[3000];
    size_t size = 0;
    for (size_t i = 0; i < 3000; i++) {
        bytes[i] = (char)('a' + i % 26);
        v[i] = (struct iovec){&bytes[i], i % 7 == 0 ? 0 : 1};
        size += v[i].iov_len;
    }
    ck_assert_int_eq(io_pwritev(f, v, 3000, 10), 0);
    ck_assert_uint_eq(test_io_size(f), size + 10);
    static char out[3000];
    size_t got = 0;
    ck_assert_int_eq(io_pread(f, out, sizeof out, 10, &got), 0);
    ck_assert_uint_eq(got, size);
    for (size_t i = 0, at = 0; i < 3000; i++)
        if (i % 7 != 0)
            ck_assert_int_eq(out[at++], bytes[i]);
    ck_assert_int_eq(io_close(f), 0);
    test_io_teardown();
}
END_TEST

START_TEST(changes_sizes)
{
    test_io_setup(_i);
    struct io_file *f = test_io_new("a");
    ck_assert_int_eq(test_io_write(f, "abcdef", 6, 0), 0);
    ck_assert_int_eq(io_fallocate(f, 4, 8192), 0);
    ck_assert_uint_eq(test_io_size(f), 8196);
    test_io_expect(f, 0, "abcdef\0\0", 8);
    ck_assert_int_eq(io_fallocate(f, 0, 100), 0);
    ck_assert_int_eq(io_fallocate(f, 9000, 0), 0);
    ck_assert_uint_eq(test_io_size(f), 8196);
    ck_assert_int_eq(test_io_write(f, "tail", 4, 8192), 0);
    ck_assert_int_eq(io_zero(f, 2, 2), 0);
    ck_assert_int_eq(io_zero(f, 8193, 100000), 0);
    ck_assert_int_eq(io_zero(f, 20000, 10), 0);
    ck_assert_int_eq(io_zero(f, 0, 0), 0);
    ck_assert_uint_eq(test_io_size(f), 8196);
    test_io_expect(f, 0, "ab\0\0ef", 6);
    test_io_expect(f, 8192, "t\0\0\0", 4);
    ck_assert_int_eq(io_truncate(f, 5), 0);
    ck_assert_uint_eq(test_io_size(f), 5);
    ck_assert_int_eq(io_truncate(f, 8), 0);
    test_io_expect(f, 0, "ab\0\0e\0\0\0", 8);
    ck_assert_int_eq(io_close(f), 0);
    test_io_teardown();
}
END_TEST

/* A mapping sees later writes, may be longer than the file, and outlives the descriptor and the
 * name. */
START_TEST(maps)
{
    test_io_setup(_i);
    struct io_file *f = test_io_new("a");
    struct io_map m = {0};
    ck_assert_int_eq(io_map(f, 1 << 20, &m), 0);
    ck_assert_uint_eq(m.size, 1 << 20);
    ck_assert_int_eq(test_io_write(f, "first", 5, 0), 0);
    ck_assert_mem_eq(m.p, "first", 5);
    ck_assert_int_eq(test_io_write(f, "second", 6, 70000), 0);
    ck_assert_mem_eq(m.p + 70000, "second", 6);
    ck_assert(io_resident(t.io, &m, 0, 5));
    ck_assert(io_resident(t.io, &m, 70001, 5));
    ck_assert_int_eq(io_close(f), 0);
    ck_assert_int_eq(io_unlink(t.io, test_io_path("a")), 0);
    ck_assert_mem_eq(m.p, "first", 5);
    io_unmap(t.io, &m);
    ck_assert_ptr_null(m.p);
    io_unmap(t.io, &m);
    test_io_teardown();
}
END_TEST

struct test_io_names {
    unsigned files;
    unsigned folders;
    int stop_with;
};

static int test_io_count(void *ctx, const char *name, enum io_kind kind)
{
    struct test_io_names *names = ctx;
    uint64_t free_size, total_size; /* the io may be called from here */
    ck_assert_int_eq(io_space(t.io, t.root, &free_size, &total_size), 0);
    ck_assert_uint_eq(strlen(name), 1);
    names->files += kind == IO_KIND_FILE;
    names->folders += kind == IO_KIND_FOLDER;
    return names->stop_with;
}

START_TEST(lists)
{
    test_io_setup(_i);
    ck_assert_int_eq(io_close(test_io_new("a")), 0);
    ck_assert_int_eq(io_close(test_io_new("b")), 0);
    ck_assert_int_eq(io_mkdir(t.io, test_io_path("c")), 0);
    struct test_io_names names = {0};
    ck_assert_int_eq(io_list(t.io, t.root, test_io_count, &names), 0);
    ck_assert_uint_eq(names.files, 2);
    ck_assert_uint_eq(names.folders, 1);
    names = (struct test_io_names){.stop_with = -77};
    ck_assert_int_eq(io_list(t.io, t.root, test_io_count, &names), -77);
    ck_assert_uint_eq(names.files + names.folders, 1);
    ck_assert_int_eq(io_list(t.io, test_io_path("d"), test_io_count, &names), IO_MISSING);
    ck_assert_int_eq(io_list(t.io, test_io_path("a"), test_io_count, &names), -ENOTDIR);
    test_io_teardown();
}
END_TEST

START_TEST(folders_have_conditions)
{
    test_io_setup(_i);
    ck_assert_int_eq(io_mkdir(t.io, test_io_path("d")), 0);
    ck_assert_int_eq(io_mkdir(t.io, test_io_path("d")), IO_EXISTS);
    ck_assert_int_eq(io_mkdir(t.io, test_io_path("x/y")), IO_MISSING);
    ck_assert_int_eq(io_rmdir(t.io, test_io_path("x")), IO_MISSING);
    ck_assert_int_eq(io_close(test_io_new("d/a")), 0);
    ck_assert_int_eq(io_rmdir(t.io, test_io_path("d")), -ENOTEMPTY);
    ck_assert_int_eq(io_rmdir(t.io, test_io_path("d/a")), -ENOTDIR);
    ck_assert_int_eq(io_sync_dir(t.io, test_io_path("d")), 0);
    ck_assert_int_eq(io_sync_dir(t.io, test_io_path("x")), IO_MISSING);
    ck_assert_int_eq(io_sync_dir(t.io, test_io_path("d/a")), -ENOTDIR);
    ck_assert_int_eq(io_unlink(t.io, test_io_path("d")), -EISDIR);
    ck_assert_int_eq(io_unlink(t.io, test_io_path("d/a")), 0);
    ck_assert_int_eq(io_unlink(t.io, test_io_path("d/a")), IO_MISSING);
    ck_assert_int_eq(io_rmdir(t.io, test_io_path("d")), 0);
    test_io_teardown();
}
END_TEST

START_TEST(renames)
{
    test_io_setup(_i);
    struct io_file *f = test_io_new("a");
    struct io_file *g = test_io_new("b");
    ck_assert_int_eq(test_io_write(f, "AA", 2, 0), 0);
    ck_assert_int_eq(test_io_write(g, "BBB", 3, 0), 0);
    ck_assert_int_eq(io_rename(t.io, test_io_path("a"), test_io_path("b")), 0);
    ck_assert_int_eq(io_rename(t.io, test_io_path("a"), test_io_path("b")), IO_MISSING);
    ck_assert_int_eq(io_rename(t.io, test_io_path("b"), test_io_path("x/b")), IO_MISSING);
    ck_assert_int_eq(io_rename(t.io, test_io_path("b"), test_io_path("b")), 0);
    test_io_expect(g, 0, "BBB", 3); /* its name is gone, it is not */
    ck_assert_int_eq(io_close(g), 0);
    ck_assert_int_eq(io_open(t.io, test_io_path("b"), IO_READ, &g), 0);
    test_io_expect(g, 0, "AA", 2);
    ck_assert_int_eq(io_close(g), 0);
    ck_assert_int_eq(io_close(f), 0);
    ck_assert_int_eq(io_mkdir(t.io, test_io_path("d")), 0);
    ck_assert_int_eq(io_mkdir(t.io, test_io_path("e")), 0);
    ck_assert_int_eq(io_close(test_io_new("d/k")), 0);
    ck_assert_int_eq(io_rename(t.io, test_io_path("d"), test_io_path("b")), -ENOTDIR);
    ck_assert_int_eq(io_rename(t.io, test_io_path("b"), test_io_path("d")), -EISDIR);
    ck_assert_int_eq(io_rename(t.io, test_io_path("e"), test_io_path("d")), -ENOTEMPTY);
    ck_assert_int_eq(io_rename(t.io, test_io_path("d"), test_io_path("e")), 0);
    ck_assert_int_eq(io_unlink(t.io, test_io_path("e/k")), 0);
    test_io_teardown();
}
END_TEST

START_TEST(links)
{
    test_io_setup(_i);
    struct io_file *a = test_io_new("a");
    ck_assert_int_eq(test_io_write(a, "one", 3, 0), 0);
    ck_assert_int_eq(io_link(t.io, test_io_path("none"), test_io_path("b")), IO_MISSING);
    ck_assert_int_eq(io_link(t.io, test_io_path("a"), test_io_path("none/b")), IO_MISSING);
    ck_assert_int_eq(io_link(t.io, test_io_path("a"), test_io_path("b")), 0);
    ck_assert_int_eq(io_link(t.io, test_io_path("a"), test_io_path("b")), IO_EXISTS);
    ck_assert_int_eq(test_io_write(a, "two", 3, 1), 0); /* both names are one file */
    uint64_t names = 0;
    ck_assert_int_eq(io_names(a, &names), 0);
    ck_assert_uint_eq(names, 2);
    ck_assert_int_eq(io_unlink(t.io, test_io_path("a")), 0);
    struct io_file *b = NULL;
    ck_assert_int_eq(io_open(t.io, test_io_path("b"), IO_READ, &b), 0);
    test_io_expect(b, 0, "otwo", 4);
    ck_assert_int_eq(io_names(b, &names), 0);
    ck_assert_uint_eq(names, 1);
    ck_assert_int_eq(io_rename(t.io, test_io_path("b"), test_io_path("c")), 0);
    ck_assert_int_eq(io_names(a, &names), 0);
    ck_assert_uint_eq(names, 1);
    ck_assert_int_eq(io_unlink(t.io, test_io_path("c")), 0);
    ck_assert_int_eq(io_names(a, &names), 0);
    ck_assert_uint_eq(names, 0);
    ck_assert_int_eq(io_close(a), 0);
    ck_assert_int_eq(io_close(b), 0);
    ck_assert_int_eq(io_mkdir(t.io, test_io_path("d")), 0);
    ck_assert_int_eq(io_link(t.io, test_io_path("d"), test_io_path("e")), -EPERM);
    test_io_teardown();
}
END_TEST

START_TEST(copies)
{
    enum { SIZE = 600 * 1024 };
    test_io_setup(_i);
    uint8_t *bytes = malloc(SIZE);
    uint8_t *back = malloc(SIZE);
    ck_assert(bytes != NULL && back != NULL);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    struct io_file *a = test_io_new("a");
    struct io_file *b = test_io_new("b");
    ck_assert_int_eq(test_io_write(a, bytes, SIZE, 0), 0);
    ck_assert_int_eq(io_copy(a, b, 0, 1000), 0);
    ck_assert_uint_eq(test_io_size(b), 1000); /* no more than was asked for */
    ck_assert_int_eq(io_copy(a, b, 1000, SIZE - 1000), 0);
    size_t got = 0;
    ck_assert_int_eq(io_pread(b, back, SIZE, 0, &got), 0);
    ck_assert(got == SIZE && memcmp(bytes, back, SIZE) == 0);
    ck_assert_int_eq(io_copy(a, b, SIZE - 10, 20), -ENODATA);
    ck_assert_int_eq(io_close(a), 0);
    ck_assert_int_eq(io_close(b), 0);
    free(bytes);
    free(back);
    test_io_teardown();
}
END_TEST

START_TEST(locks)
{
    test_io_setup(_i);
    struct io_file *f = NULL;
    struct io_file *g = NULL;
    ck_assert_int_eq(io_lock(t.io, test_io_path("x/LOCK"), &f), IO_MISSING);
    ck_assert_int_eq(io_lock(t.io, test_io_path("LOCK"), &f), 0);
    ck_assert_int_eq(io_lock(t.io, test_io_path("LOCK"), &g), IO_LOCKED);
    ck_assert_ptr_null(g);
    ck_assert_int_eq(io_close(f), 0);
    ck_assert_int_eq(io_lock(t.io, test_io_path("LOCK"), &g), 0);
    ck_assert_int_eq(io_close(g), 0);
    test_io_teardown();
}
END_TEST

START_TEST(syncs_sets)
{
    test_io_setup(_i);
    struct io_file *files[40];
    for (unsigned i = 0; i < 40; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%u", i);
        files[i] = test_io_new(name);
        ck_assert_int_eq(test_io_write(files[i], name, strlen(name), 0), 0);
    }
    ck_assert_int_eq(io_sync(t.io, files, 0), 0);
    ck_assert_int_eq(io_sync(t.io, files, 1), 0);
    ck_assert_int_eq(io_sync(t.io, files, 40), 0);
    ck_assert_int_eq(io_sync(t.io, files, 40), 0);
    ck_assert_int_eq(io_sync_dir(t.io, t.root), 0);
    for (unsigned i = 0; i < 40; i++)
        ck_assert_int_eq(io_close(files[i]), 0);
    test_io_teardown();
}
END_TEST

START_TEST(reads_and_replaces_files)
{
    test_io_setup(_i);
    struct buf out = {0};
    const char *path = test_io_path("state");
    ck_assert_int_eq(io_read_file(t.io, path, 100, &out), IO_MISSING);
    ck_assert_int_eq(io_write_file(t.io, t.root, path, slice_str("a long old text")), 0);
    ck_assert_int_eq(io_write_file(t.io, t.root, path, slice_str("new")), 0);
    ck_assert_int_eq(io_read_file(t.io, path, 2, &out), -EFBIG);
    ck_assert_uint_eq(out.size, 0);
    ck_assert_int_eq(io_read_file(t.io, path, 3, &out), 0);
    ck_assert_int_eq(io_read_file(t.io, path, 3, &out), 0);
    ck_assert(slice_equal(buf_slice(&out), slice_str("newnew")));
    ck_assert_int_eq(io_write_file(t.io, t.root, path, slice_str("")), 0);
    ck_assert_int_eq(io_read_file(t.io, path, 0, &out), 0);
    ck_assert_uint_eq(out.size, 6);
    struct io_file *f = NULL;
    ck_assert_int_eq(io_open(t.io, test_io_path("state.tmp"), IO_READ, &f), IO_MISSING);
    path = test_io_path("no/state");
    ck_assert_int_eq(io_write_file(t.io, test_io_path("no"), path, slice_str("x")), IO_MISSING);
    buf_deinit(&out);
    test_io_teardown();
}
END_TEST

START_TEST(tells_space)
{
    test_io_setup(_i);
    uint64_t free_size = 0;
    uint64_t total_size = 0;
    ck_assert_int_eq(io_space(t.io, t.root, &free_size, &total_size), 0);
    ck_assert_uint_gt(total_size, 0);
    ck_assert_uint_le(free_size, total_size);
    ck_assert_int_eq(io_space(t.io, test_io_path("x"), &free_size, &total_size), IO_MISSING);
    test_io_teardown();
}
END_TEST

/* Only the machine's files */

START_TEST(real_refuses_links_and_fifos)
{
    test_io_setup(TEST_IO_REAL);
    struct io_file *f = NULL;
    ck_assert_int_eq(io_close(test_io_new("a")), 0);
    ck_assert_int_eq(symlink("a", test_io_path("l")), 0);
    ck_assert_int_eq(io_open(t.io, test_io_path("l"), IO_READ, &f), -ELOOP);
    ck_assert_int_eq(io_lock(t.io, test_io_path("l"), &f), -ELOOP);
    ck_assert_int_eq(io_sync_dir(t.io, test_io_path("l")), -ENOTDIR);
    ck_assert_int_eq(mkfifo(test_io_path("p"), 0600), 0);
    ck_assert_int_eq(io_open(t.io, test_io_path("p"), IO_READ, &f), -ENXIO);
    struct test_io_names names = {0};
    ck_assert_int_eq(io_list(t.io, t.root, test_io_count, &names), 0);
    ck_assert_uint_eq(names.files + names.folders, 1);
    test_io_teardown();
}
END_TEST

START_TEST(real_sets_modes)
{
    test_io_setup(TEST_IO_REAL);
    umask(0);
    struct stat st;
    ck_assert_int_eq(io_close(test_io_new("a")), 0);
    ck_assert_int_eq(io_mkdir(t.io, test_io_path("d")), 0);
    ck_assert_int_eq(stat(test_io_path("a"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0640);
    ck_assert_int_eq(stat(test_io_path("d"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0750);
    test_io_teardown();
}
END_TEST

static void *test_io_syncer(void *arg)
{
    struct io_file **files = arg;
    for (unsigned i = 0; i < 50; i++) {
        for (unsigned k = 0; k < 8; k++)
            if (test_io_write(files[k], &i, sizeof i, 0) != 0)
                return arg;
        if (io_sync(t.io, files, 8) != 0)
            return arg;
    }
    return NULL;
}

START_TEST(real_syncs_from_many_threads)
{
    test_io_setup(TEST_IO_REAL);
    struct io_file *files[4][8];
    pthread_t threads[4];
    for (unsigned i = 0; i < 32; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%u", i);
        files[i / 8][i % 8] = test_io_new(name);
    }
    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, test_io_syncer, files[i]), 0);
    for (unsigned i = 0; i < 4; i++) {
        void *result = &threads;
        ck_assert_int_eq(pthread_join(threads[i], &result), 0);
        ck_assert_ptr_null(result);
    }
    for (unsigned i = 0; i < 32; i++)
        ck_assert_int_eq(io_close(files[i / 8][i % 8]), 0);
    test_io_teardown();
}
END_TEST

/* One bad descriptor among many: its error is the set's result, wherever it stands. A pipe fails
 * when write-back is started, a file of /proc only at the sync itself. */
START_TEST(real_sync_reports_an_error)
{
    test_io_setup(TEST_IO_REAL);
    struct io_file *files[5];
    for (unsigned i = 0; i < 5; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%u", i);
        files[i] = test_io_new(name);
    }
    struct stat st, each;
    ck_assert_int_eq(stat(test_io_path("f3"), &st), 0);
    int bad[2] = {-1, -1};
    if (_i == 0)
        ck_assert_int_eq(pipe(bad), 0);
    else
        bad[1] = open("/proc/self/status", O_RDONLY);
    ck_assert_int_ge(bad[1], 0);
    for (int fd = 3; fd < 64; fd++) /* the bad one takes the place of f3 */
        if (fstat(fd, &each) == 0 && each.st_ino == st.st_ino && each.st_dev == st.st_dev)
            ck_assert_int_eq(dup2(bad[1], fd), fd);
    ck_assert_int_eq(io_sync(t.io, files, 5), _i == 0 ? -ESPIPE : -EINVAL);
    ck_assert_int_eq(io_sync(t.io, &files[3], 1), -EINVAL);
    ck_assert_int_eq(io_sync(t.io, files, 3), 0);
    for (unsigned i = 0; i < 5; i++)
        ck_assert_int_eq(io_close(files[i]), 0);
    for (unsigned i = 0; i < 2; i++)
        if (bad[i] >= 0)
            (void)close(bad[i]);
    test_io_teardown();
}
END_TEST

START_TEST(real_tells_a_full_disk)
{
    struct statfs st;
    if (statfs("/dev/shm", &st) < 0 || st.f_type != TEST_IO_TMPFS || st.f_blocks == 0) {
        printf("real_tells_a_full_disk skipped: /dev/shm is no tmpfs with a limit\n");
        return;
    }
    test_io_setup(TEST_IO_REAL);
    const char *path = "/dev/shm/test_io.full";
    struct io_file *f = NULL;
    uint64_t free_size, total_size;
    ck_assert_int_eq(io_open(t.io, path, IO_WRITE | IO_CREATE, &f), 0);
    ck_assert_int_eq(io_unlink(t.io, path), 0);
    ck_assert_int_eq(io_space(t.io, "/dev/shm", &free_size, &total_size), 0);
    ck_assert_int_eq(io_fallocate(f, 0, total_size + (1 << 20)), IO_FULL);
    ck_assert_int_eq(io_close(f), 0);
    test_io_teardown();
}
END_TEST

int main(void)
{
    TCase *all = tcase_create("every implementation");
    tcase_add_loop_test(all, open_has_conditions, 0, TEST_IO_KINDS);
    tcase_add_loop_test(all, flags_are_kept, 0, TEST_IO_KINDS);
    tcase_add_loop_test(all, writes_and_reads, 0, TEST_IO_KINDS);
    tcase_add_loop_test(all, writes_many_vectors, 0, TEST_IO_KINDS);
    tcase_add_loop_test(all, changes_sizes, 0, TEST_IO_KINDS);
    tcase_add_loop_test(all, maps, 0, TEST_IO_KINDS);
    tcase_add_loop_test(all, lists, 0, TEST_IO_KINDS);
    tcase_add_loop_test(all, folders_have_conditions, 0, TEST_IO_KINDS);
    tcase_add_loop_test(all, renames, 0, TEST_IO_KINDS);
    tcase_add_loop_test(all, links, 0, TEST_IO_KINDS);
    tcase_add_loop_test(all, copies, 0, TEST_IO_KINDS);
    tcase_add_loop_test(all, locks, 0, TEST_IO_KINDS);
    tcase_add_loop_test(all, syncs_sets, 0, TEST_IO_KINDS);
    tcase_add_loop_test(all, reads_and_replaces_files, 0, TEST_IO_KINDS);
    tcase_add_loop_test(all, tells_space, 0, TEST_IO_KINDS);
    TCase *real = tcase_create("the machine's files");
    tcase_set_timeout(real, 30);
    tcase_add_test(real, real_refuses_links_and_fifos);
    tcase_add_test(real, real_sets_modes);
    tcase_add_test(real, real_syncs_from_many_threads);
    tcase_add_loop_test(real, real_sync_reports_an_error, 0, 2);
    tcase_add_test(real, real_tells_a_full_disk);
    Suite *suite = suite_create("base/io");
    suite_add_tcase(suite, all);
    suite_add_tcase(suite, real);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
