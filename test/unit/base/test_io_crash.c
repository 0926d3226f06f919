/* SPDX-License-Identifier: MIT
 *
 * io_crash: what a cut may leave and what it must. Most tests run over many seeds and count what
 * they saw: a disk that is too kind (nothing is ever lost) fails as surely as one that loses synced
 * bytes. (Bytes are compared without a ck_assert each, which is a system call.)
 */
#include "engine/base/io.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#define SEEDS  1000
#define SECTOR 512

static struct io_file *open_file(struct io *io, const char *path)
{
    struct io_file *f = NULL;
    ck_assert_int_eq(io_open(io, path, IO_READ | IO_WRITE | IO_CREATE, &f), 0);
    return f;
}

static void put(struct io_file *f, const void *p, size_t size, uint64_t pos)
{
    struct iovec v = {(void *)(uintptr_t)p, size};
    ck_assert_int_eq(io_pwritev(f, &v, 1, pos), 0);
}

/* `count` bytes of one value. */
static void fill(struct io_file *f, uint8_t value, size_t count, uint64_t pos)
{
    uint8_t bytes[8 * SECTOR];
    ck_assert_uint_le(count, sizeof bytes);
    memset(bytes, value, count);
    put(f, bytes, count, pos);
}

static size_t get(struct io_file *f, void *p, size_t size)
{
    size_t got = 0;
    ck_assert_int_eq(io_pread(f, p, size, 0, &got), 0);
    return got;
}

static bool exists(struct io *io, const char *path)
{
    struct io_file *f = NULL;
    int r = io_open(io, path, IO_READ, &f);
    ck_assert(r == 0 || r == IO_MISSING);
    ck_assert_int_eq(io_close(f), 0);
    return r == 0;
}

/* The power goes; the old io is freed, with all files the process had open. */
static struct io *cut(struct io *io, uint64_t seed)
{
    struct io *next = io_crash_cut(io, seed);
    io_crash_check(next);
    ck_assert_ptr_null(io_crash_free(io));
    return next;
}

/* A disk whose file /d/a holds OLD, durably. */
static struct io *disk_with_old(void)
{
    struct io *io = io_crash_new(0);
    ck_assert_int_eq(io_mkdir(io, "/d"), 0);
    ck_assert_int_eq(io_sync_dir(io, "/"), 0);
    struct io_file *f = open_file(io, "/d/a");
    put(f, "OLD!", 4, 0);
    ck_assert_int_eq(io_sync(io, &f, 1), 0);
    ck_assert_int_eq(io_close(f), 0);
    ck_assert_int_eq(io_sync_dir(io, "/d"), 0);
    return io;
}

/* The table of what a rename over an existing file leaves, per fsync of the file and of the
 * folder. */
struct seen {
    unsigned old;
    unsigned new;
    unsigned broken; /* short, or with NUL bytes */
    unsigned tmp;    /* a.tmp is left */
};

static void rename_and_cut(bool sync_file, bool sync_folder, uint64_t seed, struct seen *seen)
{
    struct io *io = disk_with_old();
    struct io_file *f = open_file(io, "/d/a.tmp");
    put(f, "NEW", 3, 0);
    if (sync_file)
        ck_assert_int_eq(io_sync(io, &f, 1), 0);
    ck_assert_int_eq(io_close(f), 0);
    ck_assert_int_eq(io_rename(io, "/d/a.tmp", "/d/a"), 0);
    if (sync_folder)
        ck_assert_int_eq(io_sync_dir(io, "/d"), 0);
    io_crash_check(io);
    io = cut(io, seed);
    struct buf out CLEANUP(buf_deinit) = {0};
    ck_assert_int_eq(io_read_file(io, "/d/a", 100, &out), 0);
    bool old = slice_equal(buf_slice(&out), slice_str("OLD!"));
    bool new = slice_equal(buf_slice(&out), slice_str("NEW"));
    for (size_t i = 0; i < out.size && !old && !new; i++) /* never a mix of both contents */
        ck_assert(out.size <= 3 && (out.p[i] == 0 || out.p[i] == "NEW"[i]));
    bool tmp = exists(io, "/d/a.tmp");
    ck_assert(!tmp || old); /* the rename is atomic */
    seen->old += old;
    seen->new += new;
    seen->broken += !old && !new;
    seen->tmp += tmp;
    ck_assert_ptr_null(io_crash_free(io));
}

START_TEST(rename_table)
{
    bool sync_file = (_i & 1) != 0;
    bool sync_folder = (_i & 2) != 0;
    struct seen seen = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        rename_and_cut(sync_file, sync_folder, seed, &seen);
    ck_assert_uint_eq(seen.old + seen.new + seen.broken, SEEDS);
    ck_assert(sync_folder ? seen.old == 0 : seen.old > SEEDS / 10);
    ck_assert(sync_folder ? seen.tmp == 0 : seen.tmp > SEEDS / 20);
    ck_assert(sync_file ? seen.broken == 0 : seen.broken > SEEDS / 20);
    ck_assert_uint_gt(seen.new, SEEDS / 10);
    if (sync_file && sync_folder)
        ck_assert_uint_eq(seen.new, SEEDS);
}
END_TEST

START_TEST(synced_data_is_there)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct io *io = disk_with_old();
        struct io_file *f = open_file(io, "/d/a");
        fill(f, 'A', 1500, 0);
        ck_assert_int_eq(io_sync(io, &f, 1), 0);
        fill(f, 'B', 1000, 1500);
        io = cut(io, seed);
        f = open_file(io, "/d/a");
        uint8_t out[4096];
        size_t size = get(f, out, sizeof out);
        ck_assert(size >= 1500 && size <= 2500);
        bool right = true;
        for (size_t i = 0; i < size; i++)
            right = right && (i < 1500 ? out[i] == 'A' : out[i] == 'B' || out[i] == 0);
        ck_assert(right);
        ck_assert_int_eq(io_close(f), 0);
        ck_assert_ptr_null(io_crash_free(io));
    }
}
END_TEST

/* Eight sectors are overwritten in place: all 'A' is durable, 'B' is not. */
START_TEST(unsynced_sectors_are_reordered_and_torn)
{
    unsigned all = 0, nothing = 0, reordered = 0, torn = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct io *io = disk_with_old();
        struct io_file *f = open_file(io, "/d/a");
        fill(f, 'A', 8 * SECTOR, 0);
        ck_assert_int_eq(io_sync(io, &f, 1), 0);
        fill(f, 'B', 8 * SECTOR, 0);
        io = cut(io, seed);
        f = open_file(io, "/d/a");
        uint8_t out[8 * SECTOR];
        ck_assert_uint_eq(get(f, out, sizeof out), sizeof out);
        unsigned new_bytes = 0, torn_sectors = 0;
        bool lost_before = false, later = false, right = true;
        for (size_t i = 0; i < 8; i++) {
            unsigned count = 0, edges = 0;
            for (size_t k = 0; k < SECTOR; k++) {
                uint8_t byte = out[i * SECTOR + k];
                right = right && (byte == 'A' || byte == 'B');
                count += byte == 'B';
                edges += k > 0 && byte != out[i * SECTOR + k - 1];
            }
            ck_assert_uint_le(edges, 1);
            torn_sectors += edges;
            later = later || (count == SECTOR && lost_before);
            lost_before = lost_before || count == 0;
            new_bytes += count;
        }
        ck_assert(right);
        ck_assert_uint_le(torn_sectors, 1);
        all += new_bytes == sizeof out;
        nothing += new_bytes == 0;
        reordered += later;
        torn += torn_sectors;
        ck_assert_int_eq(io_close(f), 0);
        ck_assert_ptr_null(io_crash_free(io));
    }
    ck_assert_uint_gt(all, SEEDS / 20);
    ck_assert_uint_gt(nothing, SEEDS / 20);
    ck_assert_uint_gt(reordered, SEEDS / 10);
    ck_assert_uint_gt(torn, SEEDS / 10);
}
END_TEST

/* fsync does not make a new name durable, and a synced name does not make content durable. */
START_TEST(names_and_content_are_apart)
{
    unsigned missing = 0, empty = 0, full = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct io *io = disk_with_old();
        struct io_file *f = open_file(io, "/d/synced");
        put(f, "content", 7, 0);
        ck_assert_int_eq(io_sync(io, &f, 1), 0);
        struct io *next = cut(io, seed);
        missing += !exists(next, "/d/synced");
        f = open_file(next, "/d/named");
        put(f, "content", 7, 0);
        ck_assert_int_eq(io_sync_dir(next, "/d"), 0);
        io = cut(next, seed);
        struct buf out CLEANUP(buf_deinit) = {0};
        ck_assert_int_eq(io_read_file(io, "/d/named", 100, &out), 0);
        ck_assert_uint_le(out.size, 7);
        empty += out.size == 0;
        full += slice_equal(buf_slice(&out), slice_str("content"));
        ck_assert_ptr_null(io_crash_free(io));
    }
    ck_assert_uint_gt(missing, SEEDS / 10);
    ck_assert_uint_gt(empty, SEEDS / 10);
    ck_assert_uint_gt(full, SEEDS / 10);
}
END_TEST

/* Changes in a folder are kept in order: a prefix of a, b, c came, or a prefix of them went. */
START_TEST(folder_changes_are_a_prefix)
{
    unsigned counts[4] = {0};
    unsigned gone[4] = {0};
    static const char *const paths[] = {"/d/x", "/d/y", "/d/z"};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct io *io = disk_with_old();
        for (unsigned i = 0; i < 3; i++)
            ck_assert_int_eq(io_close(open_file(io, paths[i])), 0);
        io = cut(io, seed);
        unsigned count = 0;
        for (unsigned i = 0; i < 3; i++) {
            ck_assert(!exists(io, paths[i]) || count == i);
            count += exists(io, paths[i]);
        }
        counts[count]++;
        for (unsigned i = 0; i < 3; i++)
            ck_assert_int_eq(io_close(open_file(io, paths[i])), 0);
        ck_assert_int_eq(io_sync_dir(io, "/d"), 0);
        for (unsigned i = 0; i < 3; i++)
            ck_assert_int_eq(io_unlink(io, paths[i]), 0);
        io_crash_check(io);
        io = cut(io, seed);
        count = 0;
        for (unsigned i = 0; i < 3; i++) {
            ck_assert(exists(io, paths[i]) || count == i);
            count += !exists(io, paths[i]);
        }
        gone[count]++;
        ck_assert(exists(io, "/d/a"));
        ck_assert_ptr_null(io_crash_free(io));
    }
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_gt(counts[i], SEEDS / 50);
        ck_assert_uint_gt(gone[i], SEEDS / 50);
    }
}
END_TEST

/* A renamed folder has its old or its new name, with everything in it; a lost one is lost whole. */
START_TEST(folders_are_renamed_and_lost)
{
    unsigned old = 0, lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct io *io = disk_with_old();
        ck_assert_int_eq(io_rename(io, "/d", "/e"), 0);
        ck_assert_int_eq(io_mkdir(io, "/f"), 0);
        ck_assert_int_eq(io_close(open_file(io, "/f/b")), 0);
        ck_assert_int_eq(io_sync_dir(io, "/f"), 0);
        io_crash_check(io);
        io = cut(io, seed);
        bool is_old = exists(io, "/d/a");
        ck_assert(is_old != exists(io, "/e/a"));
        ck_assert(!is_old || !exists(io, "/f/b"));
        ck_assert(exists(io, "/f/b") || io_rmdir(io, "/f") == IO_MISSING);
        old += is_old;
        lost += !exists(io, "/f/b");
        ck_assert_ptr_null(io_crash_free(io));
    }
    ck_assert_uint_gt(old, SEEDS / 10);
    ck_assert_uint_gt(lost, old);
    ck_assert_uint_lt(lost, SEEDS);
}
END_TEST

START_TEST(size_lies_between)
{
    unsigned small = 0, large = 0, inside = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct io *io = disk_with_old();
        struct io_file *f = open_file(io, "/d/a");
        ck_assert_int_eq(io_fallocate(f, 0, 100000), 0);
        io = cut(io, seed);
        f = open_file(io, "/d/a");
        uint64_t size = 0;
        ck_assert_int_eq(io_size(f, &size), 0);
        ck_assert(size >= 4 && size <= 100000);
        small += size == 4;
        large += size == 100000;
        inside += size > 4 && size < 100000;
        uint8_t out[8];
        size_t got = get(f, out, sizeof out);
        ck_assert_mem_eq(out, "OLD!\0\0\0\0", got);
        ck_assert_int_eq(io_close(f), 0);
        ck_assert_ptr_null(io_crash_free(io));
    }
    ck_assert_uint_gt(small, SEEDS / 20);
    ck_assert_uint_gt(large, SEEDS / 20);
    ck_assert_uint_gt(inside, SEEDS / 20);
}
END_TEST

/* Cutting and zeroing are writes like any other: before the sync the old bytes may come back, after
 * it they never do, not even behind a later extension. */
START_TEST(cut_bytes_stay_cut_after_the_sync)
{
    unsigned back = 0, gone = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct io *io = disk_with_old();
        struct io_file *f = open_file(io, "/d/a");
        fill(f, 'A', 2000, 0);
        ck_assert_int_eq(io_sync(io, &f, 1), 0);
        ck_assert_int_eq(io_truncate(f, 100), 0);
        ck_assert_int_eq(io_truncate(f, 2000), 0);
        ck_assert_int_eq(io_zero(f, 0, 50), 0);
        io_crash_check(io);
        io = cut(io, seed);
        f = open_file(io, "/d/a");
        uint8_t out[2000];
        ck_assert_uint_eq(get(f, out, sizeof out), sizeof out);
        ck_assert(out[60] == 'A');
        back += out[0] == 'A' || out[1999] == 'A';
        gone += out[0] == 0 && out[1999] == 0;
        ck_assert_int_eq(io_truncate(f, 100), 0);
        ck_assert_int_eq(io_zero(f, 0, 50), 0);
        ck_assert_int_eq(io_sync(io, &f, 1), 0);
        ck_assert_int_eq(io_truncate(f, 2000), 0);
        io_crash_check(io);
        io = cut(io, seed);
        f = open_file(io, "/d/a");
        size_t size = get(f, out, sizeof out);
        ck_assert_uint_ge(size, 100);
        bool right = true;
        for (size_t i = 0; i < size; i++)
            right = right && out[i] == (i >= 50 && i < 100 ? 'A' : 0);
        ck_assert(right);
        ck_assert_int_eq(io_close(f), 0);
        ck_assert_ptr_null(io_crash_free(io));
    }
    ck_assert_uint_gt(back, SEEDS / 10);
    ck_assert_uint_gt(gone, SEEDS / 10);
}
END_TEST

START_TEST(same_seed_same_disk)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        uint8_t out[2][8 * SECTOR];
        size_t size[2];
        bool there[2];
        for (unsigned k = 0; k < 2; k++) {
            struct io *io = disk_with_old();
            struct io_file *f = open_file(io, "/d/a");
            fill(f, 'B', 8 * SECTOR, 0);
            ck_assert_int_eq(io_close(open_file(io, "/d/b")), 0);
            io = cut(io, seed);
            f = open_file(io, "/d/a");
            size[k] = get(f, out[k], sizeof out[k]);
            there[k] = exists(io, "/d/b");
            ck_assert_int_eq(io_close(f), 0);
            ck_assert_ptr_null(io_crash_free(io));
        }
        ck_assert_uint_eq(size[0], size[1]);
        ck_assert_mem_eq(out[0], out[1], size[0]);
        ck_assert(there[0] == there[1]);
    }
}
END_TEST

/* After a kill everything written is there, un-synced too, and a cut still may lose it. */
/* Two names of one file: after a cut each name is there or not, and what is there is one file. */
START_TEST(links_are_one_file)
{
    unsigned both = 0, one = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct io *io = disk_with_old();
        ck_assert_int_eq(io_mkdir(io, "/e"), 0);
        ck_assert_int_eq(io_sync_dir(io, "/"), 0);
        ck_assert_int_eq(io_link(io, "/d/a", "/e/b"), 0);
        io_crash_check(io);
        struct io_file *f = open_file(io, "/d/a");
        put(f, "NEW?", 4, 0);
        ck_assert_int_eq(io_close(f), 0);
        io = cut(io, seed);
        ck_assert(exists(io, "/d/a"));
        if (!exists(io, "/e/b")) {
            one++;
        } else {
            both++;
            f = open_file(io, "/e/b");
            put(f, "SAME", 4, 0);
            ck_assert_int_eq(io_close(f), 0);
            struct buf out CLEANUP(buf_deinit) = {0};
            ck_assert_int_eq(io_read_file(io, "/d/a", 100, &out), 0);
            ck_assert(slice_equal(buf_slice(&out), slice_str("SAME")));
        }
        io_crash_check(io);
        ck_assert_ptr_null(io_crash_free(io));
    }
    ck_assert(both > SEEDS / 10 && one > SEEDS / 10);
}
END_TEST

START_TEST(kill_keeps_everything)
{
    unsigned lost = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct io *io = disk_with_old();
        struct io_file *f = open_file(io, "/d/b");
        fill(f, 'B', 1000, 0);
        ck_assert_int_eq(io_unlink(io, "/d/a"), 0);
        struct io *next = io_crash_kill(io);
        io_crash_check(next);
        ck_assert_ptr_null(io_crash_free(io));
        ck_assert(!exists(next, "/d/a"));
        f = open_file(next, "/d/b");
        uint8_t out[2000];
        ck_assert_uint_eq(get(f, out, sizeof out), 1000);
        bool right = true;
        for (size_t i = 0; i < 1000; i++)
            right = right && out[i] == 'B';
        ck_assert(right);
        io = cut(next, seed);
        lost += !exists(io, "/d/b");
        ck_assert(exists(io, "/d/b") || exists(io, "/d/a"));
        ck_assert_ptr_null(io_crash_free(io));
    }
    ck_assert_uint_gt(lost, 20);
    ck_assert_uint_lt(lost, 180);
}
END_TEST

static int count_names(void *ctx, const char *name, enum io_kind kind)
{
    (void)name;
    (void)kind;
    ++*(unsigned *)ctx;
    return 0;
}

static void expect_dead(struct io *io, struct io_file *f)
{
    struct io_file *other = NULL;
    struct iovec v = {(char[]){"x"}, 1};
    struct io_map m = {0};
    uint64_t a, b;
    size_t got;
    unsigned names = 0;
    ck_assert_int_eq(io_open(io, "/d/a", IO_READ, &other), -EIO);
    ck_assert_int_eq(io_size(f, &a), -EIO);
    ck_assert_int_eq(io_pread(f, &a, 1, 0, &got), -EIO);
    ck_assert_int_eq(io_pwritev(f, &v, 1, 0), -EIO);
    ck_assert_int_eq(io_fallocate(f, 0, 1), -EIO);
    ck_assert_int_eq(io_zero(f, 0, 1), -EIO);
    ck_assert_int_eq(io_truncate(f, 0), -EIO);
    ck_assert_int_eq(io_sync(io, &f, 1), -EIO);
    ck_assert_int_eq(io_map(f, 1, &m), -EIO);
    ck_assert_int_eq(io_rename(io, "/d/a", "/d/b"), -EIO);
    ck_assert_int_eq(io_unlink(io, "/d/a"), -EIO);
    ck_assert_int_eq(io_mkdir(io, "/x"), -EIO);
    ck_assert_int_eq(io_rmdir(io, "/x"), -EIO);
    ck_assert_int_eq(io_sync_dir(io, "/d"), -EIO);
    ck_assert_int_eq(io_list(io, "/", count_names, &names), -EIO);
    ck_assert_int_eq(io_space(io, "/", &a, &b), -EIO);
    ck_assert_int_eq(io_lock(io, "/d/a", &other), -EIO);
    ck_assert_int_eq(io_crash_flip(io, "/d/a", 0, 0), -EIO);
    io_crash_check(io);
    ck_assert_uint_eq(names, 0);
}

START_TEST(the_dead_io_answers_eio)
{
    struct io *io = disk_with_old();
    struct io_file *lock = NULL;
    struct io_file *again = NULL;
    struct io_map m = {0};
    struct io_map left = {0};
    struct io_file *f = open_file(io, "/d/a");
    (void)open_file(io, "/d/a"); /* left open: io_crash_free takes it */
    ck_assert_int_eq(io_map(f, 4096, &m), 0);
    ck_assert_int_eq(io_map(f, 4096, &left), 0);
    ck_assert_int_eq(io_lock(io, "/d/LOCK", &lock), 0);
    struct io *next = _i == 0 ? io_crash_kill(io) : io_crash_cut(io, 1);
    expect_dead(io, f);
    ck_assert_int_eq(io_lock(next, "/d/LOCK", &again), 0); /* the lock went with its process */
    ck_assert_int_eq(io_close(lock), 0);
    ck_assert_int_eq(io_close(f), 0);
    ck_assert_mem_eq(m.p, "OLD!", 4); /* mappings stay */
    io_unmap(io, &m);
    ck_assert_mem_eq(left.p, "OLD!", 4);
    ck_assert_ptr_null(io_crash_free(io));
    struct io_file *third = NULL;
    ck_assert_int_eq(io_lock(next, "/d/LOCK", &third), IO_LOCKED);
    ck_assert_int_eq(io_close(again), 0);
    io_crash_check(next);
    ck_assert_ptr_null(io_crash_free(next));
}
END_TEST

static uint64_t free_space(struct io *io)
{
    uint64_t free_size = 0, total_size = 0;
    ck_assert_int_eq(io_space(io, "/", &free_size, &total_size), 0);
    ck_assert_uint_eq(total_size, 10000);
    return free_size;
}

START_TEST(the_disk_gets_full)
{
    struct io *io = io_crash_new(10000);
    struct io_file *f = open_file(io, "/a");
    struct io_file *g = open_file(io, "/b");
    ck_assert_int_eq(io_fallocate(f, 0, 10001), IO_FULL);
    ck_assert_int_eq(io_fallocate(f, 0, 6000), 0);
    ck_assert_uint_eq(free_space(io), 4000);
    char bytes[5000];
    memset(bytes, 'x', sizeof bytes);
    struct iovec v = {bytes, sizeof bytes};
    ck_assert_int_eq(io_pwritev(g, &v, 1, 0), IO_FULL); /* in the middle of it */
    uint64_t size = 0;
    ck_assert_int_eq(io_size(g, &size), 0);
    ck_assert_uint_eq(size, 4000);
    ck_assert_int_eq(io_pwritev(g, &v, 1, 4000), IO_FULL);
    ck_assert_int_eq(io_pwritev(g, &v, 1, 9000), IO_FULL);
    ck_assert_int_eq(io_truncate(f, 6001), IO_FULL);
    ck_assert_int_eq(io_pwritev(f, &v, 1, 1000), 0); /* inside the reserved range */
    ck_assert_int_eq(io_zero(f, 1000, 5000), 0);
    ck_assert_int_eq(io_fallocate(f, 1000, 5000), 0);
    io_crash_check(io);
    ck_assert_uint_eq(free_space(io), 0);
    ck_assert_int_eq(io_unlink(io, "/b"), 0);
    ck_assert_uint_eq(free_space(io), 0); /* open yet */
    io_crash_check(io);
    ck_assert_int_eq(io_close(g), 0);
    ck_assert_uint_eq(free_space(io), 4000);
    ck_assert_int_eq(io_truncate(f, 500), 0);
    ck_assert_uint_eq(free_space(io), 9500);
    ck_assert_int_eq(io_close(f), 0);
    io_crash_check(io);
    ck_assert_ptr_null(io_crash_free(io));
}
END_TEST

START_TEST(flips_bits)
{
    struct io *io = disk_with_old();
    ck_assert_int_eq(io_crash_flip(io, "/d/a", 1, 0), 0);
    ck_assert_int_eq(io_crash_flip(io, "/d/a", 4, 0), -EINVAL);
    ck_assert_int_eq(io_crash_flip(io, "/d/b", 0, 0), IO_MISSING);
    ck_assert_int_eq(io_crash_flip(io, "/d", 0, 0), -EISDIR);
    struct io_file *f = open_file(io, "/d/a");
    ck_assert_int_eq(io_fallocate(f, 0, 1000), 0);
    ck_assert_int_eq(io_sync(io, &f, 1), 0);
    ck_assert_int_eq(io_crash_flip(io, "/d/a", 999, 7), 0); /* was never written */
    ck_assert_int_eq(io_close(f), 0);
    io_crash_check(io);
    for (uint64_t seed = 0; seed < 20; seed++) {
        io = cut(io, seed);
        struct buf out CLEANUP(buf_deinit) = {0};
        ck_assert_int_eq(io_read_file(io, "/d/a", 1000, &out), 0);
        ck_assert_uint_eq(out.size, 1000);
        ck_assert_mem_eq(out.p, "OMD!", 4);
        ck_assert_uint_eq(out.p[999], 0x80);
    }
    ck_assert_ptr_null(io_crash_free(io));
}
END_TEST

/* Random calls on a few files against a plain copy in memory, checked all along. */
START_TEST(random_calls_keep_the_invariants)
{
    struct io *io = io_crash_new(0);
    uint8_t model[3][4096] = {{0}};
    uint64_t sizes[3] = {0};
    uint64_t x = 88172645463325252u + (uint64_t)_i;
    struct io_file *files[3];
    for (unsigned i = 0; i < 3; i++)
        files[i] = open_file(io, (const char *[]){"/0", "/1", "/2"}[i]);
    for (unsigned step = 0; step < 400; step++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        unsigned k = (unsigned)(x % 3);
        uint64_t pos = (x >> 8) % 4096;
        uint64_t size = (x >> 24) % (4096 - pos) + 1;
        uint64_t end = pos + size;
        switch ((x >> 40) % 5) {
        case 0:
            fill(files[k], (uint8_t)step, size, pos);
            memset(&model[k][pos], (uint8_t)step, size);
            sizes[k] = end > sizes[k] ? end : sizes[k];
            break;
        case 1:
            ck_assert_int_eq(io_truncate(files[k], pos), 0);
            memset(&model[k][pos], 0, 4096 - pos);
            sizes[k] = pos;
            break;
        case 2:
            ck_assert_int_eq(io_zero(files[k], pos, size), 0);
            memset(&model[k][pos], 0, size);
            break;
        case 3:
            ck_assert_int_eq(io_fallocate(files[k], pos, size), 0);
            sizes[k] = end > sizes[k] ? end : sizes[k];
            break;
        default:
            ck_assert_int_eq(io_sync(io, &files[k], 1), 0);
            break;
        }
        uint8_t out[4096];
        ck_assert_uint_eq(get(files[k], out, sizeof out), sizes[k]);
        ck_assert_mem_eq(out, model[k], sizes[k]);
        io_crash_check(io);
    }
    ck_assert_int_eq(io_sync(io, files, 3), 0);
    ck_assert_int_eq(io_sync_dir(io, "/"), 0);
    io = cut(io, (uint64_t)_i);
    for (unsigned i = 0; i < 3; i++) {
        struct buf out CLEANUP(buf_deinit) = {0};
        ck_assert_int_eq(io_read_file(io, (const char *[]){"/0", "/1", "/2"}[i], 4096, &out), 0);
        ck_assert(slice_equal(buf_slice(&out), slice_of(model[i], sizes[i])));
    }
    ck_assert_ptr_null(io_crash_free(io));
}
END_TEST

START_TEST(refuses_renames_between_folders)
{
    struct io *io = disk_with_old();
    ck_assert_int_eq(io_rename(io, "/d/a", "/a"), -EXDEV);
    ck_assert(exists(io, "/d/a"));
    ck_assert_ptr_null(io_crash_free(io));
}
END_TEST

START_TEST(free_asserts_that_nothing_is_open)
{
    struct io *io = disk_with_old();
    (void)open_file(io, "/d/a");
    (void)io_crash_free(io);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("crashes");
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, rename_table, 0, 4);
    tcase_add_test(tcase, synced_data_is_there);
    tcase_add_test(tcase, unsynced_sectors_are_reordered_and_torn);
    tcase_add_test(tcase, names_and_content_are_apart);
    tcase_add_test(tcase, folder_changes_are_a_prefix);
    tcase_add_test(tcase, folders_are_renamed_and_lost);
    tcase_add_test(tcase, size_lies_between);
    tcase_add_test(tcase, cut_bytes_stay_cut_after_the_sync);
    tcase_add_test(tcase, same_seed_same_disk);
    tcase_add_test(tcase, links_are_one_file);
    tcase_add_test(tcase, kill_keeps_everything);
    tcase_add_loop_test(tcase, the_dead_io_answers_eio, 0, 2);
    tcase_add_test(tcase, the_disk_gets_full);
    tcase_add_test(tcase, flips_bits);
    tcase_add_loop_test(tcase, random_calls_keep_the_invariants, 0, 10);
    tcase_add_test(tcase, refuses_renames_between_folders);
    tcase_add_test_raise_signal(tcase, free_asserts_that_nothing_is_open, SIGABRT);
    Suite *suite = suite_create("base/io_crash");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
