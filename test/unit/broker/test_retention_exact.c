/* SPDX-License-Identifier: MIT
 *
 * test_retention_exact: how soon something goes, and that nothing keeps it: by time inside a
 * segment, by size while it is written, with records from the future, for limits that change, on
 * disk with file.delete.delay.ms; and that partitions which have no work cost no call.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "test/unit/broker/rig.h"

#define HOUR INT64_C(3600000)
#define YEAR (365 * 24 * HOUR)

static void put_at(struct rig *g, const char *topic, int64_t time, size_t size)
{
    struct rig_batch b = {
        .tag = (uint64_t)rig_end(g, topic, 0), .value_size = size, .timestamp = time};
    ck_assert_int_eq(rig_put(g, topic, 0, &b, NULL), BROKER_OK);
}

struct files {
    struct rig *g;
    const char *folder;
    const char *suffix;
    unsigned count;
    uint64_t size;
};

static int on_file(void *ctx, const char *name, enum io_kind kind)
{
    struct files *f = ctx;
    struct buf path CLEANUP(buf_deinit) = {0};
    struct io_file *file = NULL;
    uint64_t size = 0;
    size_t n = strlen(name), m = strlen(f->suffix);
    if (kind != IO_KIND_FILE || n < m || strcmp(name + n - m, f->suffix) != 0)
        return 0;
    buf_printf(&path, "%s/%s", f->folder, name);
    ck_assert_int_eq(io_open(f->g->disk, (const char *)path.p, IO_READ, &file), 0);
    ck_assert_int_eq(io_size(file, &size), 0);
    ck_assert_int_eq(io_close(file), 0);
    f->count++;
    f->size += size;
    return 0;
}

static struct files files(struct rig *g, const char *folder, const char *suffix)
{
    struct files f = {.g = g, .folder = folder, .suffix = suffix};
    ck_assert_int_eq(io_list(g->disk, folder, on_file, &f), 0);
    return f;
}

/* A record a second: the first one that is kept is as old as the limit, to the second; on disk a
 * segment more. */
START_TEST(follows_the_time)
{
    struct rig g;
    rig_init(&g, 1, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, "retention.ms=60000");
    for (int64_t i = 0; i < 300; i++) {
        put_at(&g, "t", g.clock.wall_now_ms, 100);
        rig_advance(&g, 1000);
        int64_t start = rig_start(&g, "t", 0);
        ck_assert_int_ge(start, i - 61);
        ck_assert_int_le(start, i > 59 ? i - 59 : 0);
        ck_assert_uint_le(files(&g, "/data/t-0", ".log").count, 7); /* a segment each 15 s */
        ck_assert_uint_le(files(&g, "/data/t-0", ".log").size, (60 + 16) * 200 + 4096);
    }
    rig_cut(&g, 1);
    rig_open(&g);
    ck_assert_int_ge(rig_end(&g, "t", 0), 300);
    rig_advance(&g, 1000);
    ck_assert_int_ge(rig_start(&g, "t", 0), 240);
    rig_advance(&g, 61000); /* no write comes: all of it */
    ck_assert_int_eq(rig_start(&g, "t", 0), 300);
    ck_assert_uint_eq(files(&g, "/data/t-0", ".log").size, 0);
    put_at(&g, "t", g.clock.wall_now_ms, 100);
    ck_assert_uint_eq(rig_tag_at(&g, "t", 0, 300), 300);
    rig_deinit(&g);
}
END_TEST

/* Old times first, and far apart: the start is found among them; one out of order stops it. */
START_TEST(finds_the_record)
{
    struct rig g;
    rig_init(&g, 2, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, "retention.ms=3600000");
    for (int64_t i = 0; i < 100; i++)
        put_at(&g, "t", g.clock.wall_now_ms + (i - 50) * 60000 - HOUR, 100);
    rig_advance(&g, 11000);
    ck_assert_int_eq(rig_start(&g, "t", 0), 51); /* that of 50 is seconds too old by now */
    rig_advance(&g, 5 * 60000);
    ck_assert_int_ge(rig_start(&g, "t", 0), 55);
    ck_assert_int_le(rig_start(&g, "t", 0), 56);
    rig_create(&g, "u", 1, "retention.ms=3600000");
    for (int64_t i = 0; i < 10; i++)
        put_at(&g, "u", g.clock.wall_now_ms - (i == 3 ? 0 : 2 * HOUR), 100);
    rig_advance(&g, 11000);
    ck_assert_int_eq(rig_start(&g, "u", 0), 3);
    rig_advance(&g, HOUR + 15000);
    ck_assert_int_eq(rig_start(&g, "u", 0), 10);
    rig_deinit(&g);
}
END_TEST

/* One record from the future: it, and what is around it, goes when its append is old. */
START_TEST(the_future_pins_nothing)
{
    for (int how = 0; how < 3; how++) {
        struct rig g;
        rig_init(&g, 3, 0);
        rig_open(&g);
        rig_create(&g, "t", 1, "retention.ms=60000");
        int64_t began = g.clock.wall_now_ms;
        for (int i = 0; i < 5; i++)
            put_at(&g, "t", i == 2 ? began + YEAR : i == 3 ? -1 : began, 100);
        rig_advance(&g, 50000);
        ck_assert_int_eq(rig_start(&g, "t", 0), 0);
        if (how == 1) { /* its file's time is not known on this disk: it counts from here */
            rig_reopen(&g, true);
            rig_advance(&g, 58000);
            ck_assert_int_le(rig_start(&g, "t", 0), 2);
        }
        for (int i = 0; how == 2 && i < 3; i++) /* writes go on, in other segments */
            put_at(&g, "t", g.clock.wall_now_ms, 100);
        rig_advance(&g, 12000);
        ck_assert_int_eq(rig_start(&g, "t", 0), 5);
        rig_deinit(&g);
    }
}
END_TEST

static void set_times(const char *dir, int64_t ms)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    struct timespec times[2] = {{.tv_sec = ms / 1000}, {.tv_sec = ms / 1000}};
    buf_printf(&path, "%s/t-0/00000000000000000000.log", dir);
    ck_assert_int_eq(utimensat(AT_FDCWD, (const char *)path.p, times, 0), 0);
}

/* After a start the file tells when the last record came, but only where records cannot. */
START_TEST(the_files_time)
{
    for (int future = 0; future < 2; future++) {
        char dir[] = "/tmp/kauri-retention-XXXXXX";
        struct buf clean CLEANUP(buf_deinit) = {0};
        struct rig g;
        ck_assert_ptr_nonnull(mkdtemp(dir));
        rig_init_real(&g, dir);
        rig_open(&g);
        rig_create(&g, "t", 1, "retention.ms=3600000");
        put_at(&g, "t", g.clock.wall_now_ms + (future ? YEAR : 0), 100);
        rig_stop(&g);
        set_times(dir, g.clock.wall_now_ms - 2 * HOUR);
        rig_open(&g);
        rig_advance(&g, 6000);
        ck_assert_int_eq(rig_start(&g, "t", 0), future);
        rig_deinit(&g);
        buf_printf(&clean, "rm -r %s", dir);
        ck_assert_int_eq(system((const char *)clean.p), 0);
    }
}
END_TEST

/* Never more than the limit and a segment, at any moment of a fast writer, without time. */
START_TEST(follows_the_size)
{
    struct rig g;
    struct broker_partition_info info;
    rig_init(&g, 4, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, "retention.bytes=10M");
    for (int i = 0; i < 400; i++) {
        put_at(&g, "t", g.clock.wall_now_ms, 100000);
        rig_run(&g);
        ck_assert_uint_le(files(&g, "/data/t-0", ".log").size, (10u << 20) * 9 / 8 + 200000);
    }
    rig_load(&g, "t", 0, &info);
    ck_assert_uint_ge(info.size, 10u << 20);
    ck_assert_int_eq(rig_alter(&g, "t", "retention.bytes", "1M"), BROKER_OK);
    rig_run(&g);
    rig_load(&g, "t", 0, &info);
    ck_assert_uint_le(info.size, (1u << 20) + (10u << 20) / 8 + 200000);
    rig_deinit(&g);
}
END_TEST

/* A limit counts when it is set, for partitions that are open and for those that are not. */
START_TEST(changes_at_once)
{
    struct rig g;
    rig_init(&g, 5, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, "retention.ms=-1");
    rig_create(&g, "u", 1, "retention.ms=-1");
    put_at(&g, "t", g.clock.wall_now_ms - 2 * HOUR, 100);
    put_at(&g, "u", g.clock.wall_now_ms - 2 * HOUR, 100);
    ck_assert_int_eq(rig_alter(&g, "t", "retention.ms", "3600000"), BROKER_OK);
    rig_run(&g);
    ck_assert_int_eq(rig_start(&g, "t", 0), 1);
    rig_reopen(&g, true);
    ck_assert_int_eq(rig_alter(&g, "u", "retention.ms", "3600000"), BROKER_OK);
    rig_run(&g);
    ck_assert_uint_eq(files(&g, "/data/u-0", ".log").size, 0);
    ck_assert_int_eq(rig_start(&g, "u", 0), 1);
    rig_deinit(&g);
}
END_TEST

/* What retention moved in memory only is durable once a trim said so. */
START_TEST(a_trim_behind_it_is_durable)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct rig g;
        rig_init(&g, seed, 0);
        rig_open(&g);
        rig_create(&g, "t", 1, "retention.ms=3600000");
        for (int i = 0; i < 20; i++)
            put_at(&g, "t", g.clock.wall_now_ms - (i < 10 ? 2 * HOUR : 0), 100);
        rig_advance(&g, 11000);
        ck_assert_int_eq(rig_start(&g, "t", 0), 10);
        ck_assert_int_eq(rig_trim(&g, "t", 0, 9), BROKER_OK);
        ck_assert_int_eq(rig_alter(&g, "t", "retention.ms", "-1"), BROKER_OK);
        rig_cut(&g, seed);
        rig_open(&g);
        ck_assert_int_ge(rig_start(&g, "t", 0), 9);
        rig_deinit(&g);
    }
}
END_TEST

/* What cannot be read may be young: the log does not begin behind it before its segment goes. */
START_TEST(damage_is_not_passed)
{
    struct rig g;
    rig_init(&g, 8, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, "retention.ms=3600000");
    for (int i = 0; i < 10; i++)
        put_at(&g, "t", g.clock.wall_now_ms - (i < 5 ? HOUR - 30000 : 0), 100);
    rig_stop(&g);
    ck_assert_int_eq(io_crash_flip(g.disk, "/data/t-0/00000000000000000000.log", 100, 1), 0);
    rig_open(&g);
    rig_advance(&g, 60000);
    ck_assert_int_eq(rig_start(&g, "t", 0), 0);
    rig_advance(&g, HOUR);
    ck_assert_int_eq(rig_start(&g, "t", 0), 10);
    rig_deinit(&g);
}
END_TEST

START_TEST(deleted_files_wait)
{
    for (int how = 0; how < 4; how++) {
        struct rig g;
        rig_init(&g, 6, 0);
        rig_open(&g);
        rig_create(&g, "t", 1, "file.delete.delay.ms=5000");
        for (int i = 0; i < 5; i++)
            put_at(&g, "t", g.clock.wall_now_ms, 1000);
        ck_assert_int_eq(rig_trim(&g, "t", 0, -1), BROKER_OK);
        rig_run(&g);
        ck_assert_uint_eq(files(&g, "/data/t-0", ".log").size, 0);
        ck_assert_uint_ge(files(&g, "/data/t-0", ".log.deleted").size, 5000);
        if (how == 0) {
            rig_advance(&g, 4000);
            ck_assert_uint_eq(files(&g, "/data/t-0", ".deleted").count, 1);
            rig_advance(&g, 1000);
        } else if (how == 1) { /* nobody waits for them at a stop */
            rig_stop(&g);
        } else if (how == 2) {
            rig_cut(&g, 6);
            rig_open(&g);
            ck_assert_int_eq(rig_end(&g, "t", 0), 5);
        } else {
            ck_assert_int_eq(rig_delete(&g, "t"), BROKER_OK);
            ck_assert(!rig_has_folder(&g, "t-"));
            rig_advance(&g, 6000);
            ck_assert_uint_eq(g.warnings, 0);
        }
        if (how < 3)
            ck_assert_uint_eq(files(&g, "/data/t-0", ".deleted").count, 0);
        rig_deinit(&g);
    }
}
END_TEST

/* Calls of the disk in an hour of nothing, with so many partitions that hold records. */
static uint64_t calls_of(unsigned topics)
{
    struct rig g;
    rig_init(&g, 7, 0);
    rig_open(&g);
    for (unsigned i = 0; i < topics; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "t%u", i);
        rig_create(&g, name, 1, "retention.bytes=100M");
        put_at(&g, name, g.clock.wall_now_ms, 100);
    }
    rig_advance(&g, 10000);
    rig_fail(&g, 0, false);
    rig_advance(&g, HOUR);
    uint64_t calls = io_fault_calls(g.fault);
    rig_deinit(&g);
    return calls;
}

START_TEST(idle_is_free)
{
    ck_assert_uint_eq(calls_of(60), calls_of(1));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("retention exact");
    TCase *t = tcase_create("retention exact");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, follows_the_time);
    tcase_add_test(t, finds_the_record);
    tcase_add_test(t, the_future_pins_nothing);
    tcase_add_test(t, the_files_time);
    tcase_add_test(t, follows_the_size);
    tcase_add_test(t, changes_at_once);
    tcase_add_test(t, a_trim_behind_it_is_durable);
    tcase_add_test(t, damage_is_not_passed);
    tcase_add_test(t, deleted_files_wait);
    tcase_add_test(t, idle_is_free);
    suite_add_tcase(s, t);
    return rig_main(s);
}
