/* SPDX-License-Identifier: MIT
 *
 * The view on a real disk: an ext4 image on a loop device that is full, fails, or loses its power.
 * Mounting needs root; without it each test says that it is skipped.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "engine/base/cleanup.h"
#include "engine/base/random.h"
#include "test/unit/meta/view_model.h"

#define EXT4_CUT _IOR('X', 125, __u32)
#define CUTS     20

/* Set by the fixture in the process that forks the tests, so that the unmount happens whatever a
 * test does: the one mutable static here. */
static struct {
    char dir[PATH_SIZE];
    char image[PATH_SIZE];
    char mount[PATH_SIZE];
    char view[PATH_SIZE];
    char
        device[64]; /* the loop device: one for all mounts, or a new mount may find an old device of
                        the same image that is just going away */
    bool is_ready;
} disk;

static bool disk_mount(void)
{
    return mount(disk.device, disk.mount, "ext4", 0, NULL) == 0;
}

static bool disk_attach(void)
{
    char command[2 * PATH_SIZE];
    (void)snprintf(command, sizeof command, "losetup --find --show '%s'", disk.image);
    FILE *out = popen(command, "r");
    bool told = out != NULL && fgets(disk.device, (int)sizeof disk.device, out) != NULL;
    if (out != NULL && pclose(out) != 0)
        told = false;
    disk.device[strcspn(disk.device, "\n")] = '\0';
    return told;
}

static void disk_detach(void)
{
    char command[128];
    (void)snprintf(command, sizeof command, "losetup --detach %s", disk.device);
    if (disk.device[0] != '\0' && system(command) != 0)
        printf("cannot detach %s\n", disk.device);
}

static void disk_setup(void)
{
    char command[3 * PATH_SIZE];
    dir_make(disk.dir);
    path_join(disk.image, disk.dir, "image");
    path_join(disk.mount, disk.dir, "mount");
    path_join(disk.view, disk.mount, "view");
    disk.is_ready = false;
    if (geteuid() != 0) {
        printf("skipped: mounting a loop device needs root\n");
        return;
    }
    (void)snprintf(command, sizeof command, "truncate -s 16M '%s' && mkfs.ext4 -qF '%s' 2>&1",
                   disk.image, disk.image);
    disk.device[0] = '\0';
    disk.is_ready =
        mkdir(disk.mount, 0700) == 0 && system(command) == 0 && disk_attach() && disk_mount();
    if (!disk.is_ready)
        printf("skipped: no ext4 image can be mounted here\n");
}

static void disk_teardown(void)
{
    if (disk.is_ready && umount2(disk.mount, 0) != 0)
        (void)umount2(disk.mount, MNT_DETACH);
    disk_detach();
    dir_drop(disk.dir);
}

/* Everything that was not synced is gone, and the file system fails until it is mounted again. */
static void disk_cut(void)
{
    __u32 no_log_flush = 2;
    int fd CLEANUP(cleanup_fd) = open(disk.mount, O_RDONLY | O_DIRECTORY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ioctl(fd, EXT4_CUT, &no_log_flush), 0);
}

static void disk_remount(void)
{
    ck_assert_int_eq(umount2(disk.mount, 0), 0);
    ck_assert(disk_mount());
}

/* Reserves all but about `left` bytes of the disk. */
static void disk_fill(const char *path, size_t left)
{
    int fd CLEANUP(cleanup_fd) = open(path, O_WRONLY | O_CREAT, 0600);
    size_t step = (size_t)1 << 20;
    off_t size = 0;
    ck_assert_int_ge(fd, 0);
    for (; step >= PAGE; step /= 2) {
        while (fallocate(fd, 0, size, (off_t)step) == 0)
            size += (off_t)step;
    }
    ck_assert_int_gt(size, (off_t)left);
    ck_assert_int_eq(ftruncate(fd, size - (off_t)left), 0);
    ck_assert_int_eq(fsync(fd), 0);
}

/* One small row, then a large one, so that a commit in halves would show. */
static int disk_commit_pair(struct meta *m, size_t i)
{
    static uint8_t large[100 * 1024];
    char first[32];
    char second[32];
    (void)snprintf(first, sizeof first, "first-%zu", i);
    (void)snprintf(second, sizeof second, "second-%zu", i);
    struct meta_put puts[] = {
        {.table = META_TABLE_PART, .key = slice_str(first), .value = slice_str("small")},
        {.table = META_TABLE_PART,
         .key = slice_str(second),
         .value = slice_of(large, sizeof large)},
    };
    return meta_commit(m, &(struct meta_batch){.puts = puts, .count = 2});
}

static size_t disk_count(struct meta *m, const char *prefix)
{
    size_t count = 0;
    ck_assert_int_eq(meta_each(m, META_TABLE_PART, slice_str(prefix), count_row, &count), 0);
    return count;
}

START_TEST(disk_full_is_a_condition)
{
    struct meta *m = NULL;
    char filler[PATH_SIZE];
    size_t done = 0;
    int r = 0;
    if (!disk.is_ready)
        return;
    path_join(filler, disk.mount, "filler");
    ck_assert_int_eq(meta_open(disk.view, MAP_SIZE, &m), 0);
    for (int64_t k = 1; k <= 10; k++)
        ck_assert_int_eq(model_commit(m, k), 0);
    disk_fill(filler, (size_t)1 << 20);
    while (done < 100 && (r = disk_commit_pair(m, done)) == 0)
        done++;
    ck_assert_int_eq(r, META_FULL);
    ck_assert_uint_gt(done, 0);
    ck_assert_int_eq(disk_commit_pair(m, done), META_FULL);
    ck_assert_uint_eq(disk_count(m, "first-"), done);
    ck_assert_uint_eq(disk_count(m, "second-"), done);
    ck_assert_int_eq(model_state(m), 10);
    ck_assert_int_eq(unlink(filler), 0);
    ck_assert_int_eq(disk_commit_pair(m, done), 0);
    ck_assert_int_eq(model_commit(m, 11), 0);
    m = meta_free(m);
    ck_assert_int_eq(meta_verify(disk.view, NULL), 0);
    ck_assert_int_eq(meta_open(disk.view, MAP_SIZE, &m), 0);
    ck_assert_uint_eq(disk_count(m, "second-"), done + 1);
    ck_assert_int_eq(model_state(m), 11);
    m = meta_free(m);
}
END_TEST

START_TEST(disk_failure_poisons_commits)
{
    struct meta *m = NULL;
    if (!disk.is_ready)
        return;
    ck_assert_int_eq(meta_open(disk.view, MAP_SIZE, &m), 0);
    for (int64_t k = 1; k <= 5; k++)
        ck_assert_int_eq(model_commit(m, k), 0);
    disk_cut();
    int r = model_commit(m, 6);
    ck_assert_int_lt(r, 0);
    ck_assert_int_eq(row_put(m, META_TABLE_PART, "a", "b"), r);
    ck_assert_int_eq(meta_clear(m, META_TABLE_RECORD), r);
    ck_assert_int_eq(model_state(m), 5);
    m = meta_free(m);
    disk_remount();
    ck_assert_int_eq(meta_verify(disk.view, NULL), 0);
    ck_assert_int_eq(meta_open(disk.view, MAP_SIZE, &m), 0);
    ck_assert_int_eq(model_state(m), 5);
    ck_assert_int_eq(model_commit(m, 6), 0);
    m = meta_free(m);
}
END_TEST

/* Commits from `from` on and writes each number to fd once it is durable. */
static _Noreturn void disk_writer(int fd, int64_t from)
{
    struct meta *m = NULL;
    int r = meta_open(disk.view, MAP_SIZE, &m);
    for (int64_t k = from; r == 0; k++) {
        r = model_commit(m, k);
        if (r == 0 && write(fd, &k, sizeof k) != (ssize_t)sizeof k)
            r = -EPIPE;
    }
    _exit(0);
}

/* Some of the dirty pages reach the disk before the others, as write-back does it. */
static void disk_scatter(struct random *r)
{
    char path[PATH_SIZE];
    path_join(path, disk.view, "data.mdb");
    int fd CLEANUP(cleanup_fd) = open(path, O_RDONLY);
    for (size_t i = 0; fd >= 0 && i < 4; i++)
        (void)sync_file_range(fd, (off_t)random_below(r, 40) * PAGE, PAGE, 7);
}

/* Cuts the power after some commits of a child; the last number it said was durable before that,
 * and *said the last it said at all: a sync that returns after the cut has begun says yes and did
 * nothing. */
static int64_t disk_run_and_cut(struct random *r, int64_t from, int64_t *said)
{
    int ends[2];
    int64_t k = 0;
    int64_t last = from - 1;
    uint64_t commits = 1 + random_below(r, 12);
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        (void)close(ends[0]);
        disk_writer(ends[1], from);
    }
    (void)close(ends[1]);
    for (uint64_t i = 0; i < commits; i++) {
        ck_assert_int_eq(read(ends[0], &k, sizeof k), (ssize_t)sizeof k);
        last = k;
    }
    disk_scatter(r);
    disk_cut();
    *said = last;
    while (read(ends[0], &k, sizeof k) == (ssize_t)sizeof k)
        *said = k;
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    (void)close(ends[0]);
    return last;
}

START_TEST(disk_power_cuts_lose_no_commit)
{
    int64_t state = 0;
    if (!disk.is_ready)
        return;
    for (uint64_t seed = 1; seed <= CUTS; seed++) {
        struct meta *m = NULL;
        struct random r;
        random_init(&r, seed);
        int64_t said = 0;
        int64_t last = disk_run_and_cut(&r, state + 1, &said);
        ck_assert_int_gt(last, state);
        disk_remount();
        ck_assert_int_eq(meta_verify(disk.view, NULL), 0);
        ck_assert_int_eq(meta_open(disk.view, MAP_SIZE, &m), 0);
        state = model_state(m);
        ck_assert_int_ge(state, last);
        ck_assert_int_le(state, said + 1); /* durable, but the power went before it was said */
        m = meta_free(m);
    }
    printf("power cuts: %d, commits: %" PRId64 "\n", CUTS, state);
}
END_TEST

/* ---- the suite ---- */

static TCase *case_disk(const char *name, const TTest *test)
{
    TCase *tc = tcase_create(name);
    tcase_set_timeout(tc, 60);
    tcase_add_unchecked_fixture(tc, disk_setup, disk_teardown);
    tcase_add_test(tc, test);
    return tc;
}

int main(void)
{
    Suite *s = suite_create("meta disk");
    suite_add_tcase(s, case_disk("disk full", disk_full_is_a_condition));
    suite_add_tcase(s, case_disk("disk failure", disk_failure_poisons_commits));
    suite_add_tcase(s, case_disk("power cut", disk_power_cuts_lose_no_commit));
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
