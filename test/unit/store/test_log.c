/* SPDX-License-Identifier: MIT
 *
 * log: what a user of the embedded log does, on the machine's disk (0) and on the crash disk (1).
 */
#include "engine/store/log.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/store/rig.h"

#define KINDS 2

static struct log *open_log(const struct rig *g)
{
    struct log_options o = rig_options(g);
    struct log *l = NULL;
    ck_assert_int_eq(log_open(&o, &l), 0);
    part_check(log_part(l));
    return l;
}

static struct log *reopen(const struct rig *g, struct log *l)
{
    ck_assert_int_eq(log_close(l), 0);
    return open_log(g);
}

/* n records of the text "v<offset>", synced one by one when `each`. */
static void put(struct log *l, int n, bool each)
{
    for (int i = 0; i < n; i++) {
        int64_t offset = -1, want = log_part(l)->reserved;
        char text[32];
        snprintf(text, sizeof text, "v%lld", (long long)want);
        ck_assert_int_eq(
            log_append_record(l, RIG_TIME + want, slice_str("key"), slice_str(text), &offset), 0);
        ck_assert_int_eq(offset, want);
        if (each)
            ck_assert_int_eq(log_sync(l, RIG_TIME), 0);
    }
    ck_assert_int_eq(log_sync(l, RIG_TIME), 0);
    part_check(log_part(l));
}

/* The records of [from, end) are what put wrote. */
static void expect(struct log *l, int64_t from, size_t size_max)
{
    struct buf all = {0}, scratch = {0};
    ck_assert_uint_eq(rig_read_all(l, from, size_max, &all), 0);
    int64_t next = from;
    for (struct slice rest = buf_slice(&all); rest.size > 0;) {
        struct batch_iter it;
        struct batch_record rec;
        enum batch_fault fault = batch_iter_init(&it, rest, 1 << 20, &scratch);
        ck_assert_int_eq(fault, BATCH_OK);
        while (batch_iter_next(&it, &rec, &fault)) {
            char text[32];
            snprintf(text, sizeof text, "v%lld", (long long)rec.offset);
            ck_assert_int_eq(rec.offset, next++);
            ck_assert(slice_equal(rec.value, slice_str(text)));
            ck_assert(slice_equal(rec.key, slice_str("key")));
        }
        ck_assert_int_eq(fault, BATCH_OK);
        rest = slice_of(rest.p + it.header.size, rest.size - it.header.size);
    }
    ck_assert_int_eq(next, log_end(l));
    buf_deinit(&all);
    buf_deinit(&scratch);
}

START_TEST(test_empty)
{
    struct rig g;
    rig_init(&g, _i == 0);
    struct log *l = open_log(&g);
    struct log_view v;
    int64_t good, offset, found;
    ck_assert_int_eq(log_start(l), 0);
    ck_assert_int_eq(log_end(l), 0);
    ck_assert_int_eq(log_read(l, 0, 100, &v, &good), PART_END);
    ck_assert_int_eq(log_read(l, 1, 100, &v, &good), PART_OUT_OF_RANGE);
    ck_assert_int_eq(log_find_time(l, 0, &offset, &found), 0);
    ck_assert_int_eq(offset, -1);
    ck_assert_int_eq(log_sync(l, RIG_TIME), 0);
    ck_assert_int_eq(log_trim(l, 0, RIG_TIME), 0);
    ck_assert_int_eq(log_trim(l, 1, RIG_TIME), PART_OUT_OF_RANGE);
    l = reopen(&g, l);
    ck_assert(!rig_has(g.io, g.dir, "")); /* the folder appears with the first append */
    ck_assert_int_eq(log_close(l), 0);
    rig_deinit(&g);
}
END_TEST

START_TEST(test_append_read_reopen)
{
    struct rig g;
    rig_init(&g, _i == 0);
    struct log *l = open_log(&g);
    put(l, 30, true);
    put(l, 300, false);
    expect(l, 0, 1);
    expect(l, 17, 700);
    expect(l, 0, 1 << 20);
    int64_t bases[64];
    ck_assert_uint_ge(rig_files(g.io, g.dir, "log", bases, 64), 3);
    ck_assert_int_eq(bases[0], 0);
    l = reopen(&g, l);
    ck_assert_uint_eq(log_recovery(l)->scanned_size, 0); /* a clean stop: nothing to scan */
    ck_assert_int_eq(log_end(l), 330);
    expect(l, 0, 1000);
    put(l, 50, false);
    l = reopen(&g, l);
    expect(l, 329, 1000);
    expect(l, 0, 5000);
    ck_assert_int_eq(log_close(l), 0);
    rig_deinit(&g);
}
END_TEST

/* An offset inside a batch gives the whole batch; a batch may be larger than size_max. */
START_TEST(test_middle_of_a_batch)
{
    struct rig g;
    struct buf b = {0};
    int64_t offset = -1, good;
    struct log_view v;
    rig_init(&g, _i == 0);
    struct log *l = open_log(&g);
    struct rig_batch want = {.producer_id = -1,
                             .count = 10,
                             .timestamp = RIG_TIME,
                             .step = 1,
                             .value_size = 20,
                             .codec = CODEC_LZ4};
    for (int i = 0; i < 5; i++) {
        want.tag = (uint64_t)i;
        buf_reset(&b);
        rig_build(&want, &b);
        ck_assert_int_eq(log_append_batch(l, buf_slice(&b), RIG_TIME, &offset), 0);
        ck_assert_int_eq(offset, i * 10);
    }
    ck_assert_int_eq(log_read(l, 0, 100, &v, &good), PART_END); /* nothing before the sync */
    ck_assert_int_eq(log_sync(l, RIG_TIME), 0);
    for (int64_t at = 0; at < 50; at++) {
        struct batch_header h;
        ck_assert_int_eq(log_read(l, at, 1, &v, &good), 0);
        ck_assert_int_eq(batch_check_stored(v.bytes, 0, &h), BATCH_OK);
        ck_assert_uint_eq(h.size, v.bytes.size);
        ck_assert_int_eq(h.base_offset, at / 10 * 10);
        ck_assert_int_eq(v.next_offset, at / 10 * 10 + 10);
        log_view_release(&v);
    }
    ck_assert_int_eq(log_read(l, 50, 1, &v, &good), PART_END);
    ck_assert_int_eq(log_read(l, 51, 1, &v, &good), PART_OUT_OF_RANGE);
    b.p[b.size - 1] ^= 1;
    ck_assert_int_eq(log_append_batch(l, buf_slice(&b), RIG_TIME, &offset), PART_INVALID);
    ck_assert_int_eq(log_close(l), 0);
    buf_deinit(&b);
    rig_deinit(&g);
}
END_TEST

START_TEST(test_too_large)
{
    struct rig g;
    static uint8_t value[5000];
    rig_init(&g, _i == 0);
    struct log *l = open_log(&g);
    ck_assert_int_eq(log_append_record(l, 1, SLICE_NULL, slice_of(value, sizeof value), NULL),
                     PART_TOO_LARGE);
    ck_assert_int_eq(log_append_record(l, 1, SLICE_NULL, slice_of(value, 4096 - 61), NULL),
                     PART_TOO_LARGE);
    ck_assert_int_eq(log_append_record(l, 1, SLICE_NULL, slice_of(value, 4000), NULL), 0);
    ck_assert_int_eq(log_sync(l, RIG_TIME), 0);
    ck_assert_int_eq(log_end(l), 1);
    /* a size that no batch can have is refused before it is built: the bytes are never touched */
    ck_assert_int_eq(log_append_record(l, 1, SLICE_NULL, slice_of(value, SIZE_MAX / 2), NULL),
                     PART_TOO_LARGE);
    ck_assert_int_eq(log_close(l), 0);
    rig_deinit(&g);
}
END_TEST

START_TEST(test_find_time)
{
    struct rig g;
    int64_t offset, found;
    rig_init(&g, _i == 0);
    struct log *l = open_log(&g);
    put(l, 400, false);
    for (unsigned again = 0; again < 2; again++) {
        for (int64_t at = 0; at < 400; at += 7) {
            ck_assert_int_eq(log_find_time(l, RIG_TIME + at, &offset, &found), 0);
            ck_assert_int_eq(offset, at);
            ck_assert_int_eq(found, RIG_TIME + at);
        }
        ck_assert_int_eq(log_find_time(l, 0, &offset, &found), 0);
        ck_assert_int_eq(offset, 0);
        ck_assert_int_eq(log_find_time(l, RIG_TIME + 400, &offset, &found), 0);
        ck_assert_int_eq(offset, -1);
        l = reopen(&g, l);
    }
    ck_assert_int_eq(log_close(l), 0);
    rig_deinit(&g);
}
END_TEST

START_TEST(test_trim)
{
    struct rig g;
    struct log_view v;
    int64_t good, bases[64], offset, found;
    rig_init(&g, _i == 0);
    struct log *l = open_log(&g);
    put(l, 400, false);
    size_t before = rig_files(g.io, g.dir, "log", bases, 64);
    ck_assert_int_eq(log_trim(l, 200, RIG_TIME), 0);
    ck_assert_int_eq(log_start(l), 200);
    ck_assert_uint_lt(rig_files(g.io, g.dir, "log", bases, 64), before);
    ck_assert_int_le(bases[0], 200);
    ck_assert_int_gt(bases[1], 200);
    ck_assert_int_eq(log_read(l, 199, 1, &v, &good), PART_OUT_OF_RANGE);
    expect(l, 200, 100);
    ck_assert_int_eq(log_find_time(l, 0, &offset, &found), 0);
    ck_assert_int_eq(offset, 200);
    l = reopen(&g, l);
    ck_assert_int_eq(log_start(l), 200);
    expect(l, 200, 100);
    ck_assert_int_eq(log_trim(l, 400, RIG_TIME), 0); /* everything */
    ck_assert_uint_eq(rig_files(g.io, g.dir, "log", bases, 64), 1);
    ck_assert_int_eq(bases[0], 400);
    l = reopen(&g, l);
    ck_assert_int_eq(log_start(l), 400);
    ck_assert_int_eq(log_end(l), 400);
    put(l, 3, true);
    expect(l, 400, 1);
    ck_assert_int_eq(log_close(l), 0);
    rig_deinit(&g);
}
END_TEST

START_TEST(test_truncate)
{
    struct rig g;
    rig_init(&g, _i == 0);
    struct log *l = open_log(&g);
    put(l, 400, false);
    ck_assert_int_eq(log_truncate(l, 401, RIG_TIME), PART_OUT_OF_RANGE);
    ck_assert_int_eq(log_end(l), 400); /* and the log is as before */
    ck_assert_int_eq(log_truncate(l, 123, RIG_TIME), 0);
    ck_assert_int_eq(log_end(l), 123);
    expect(l, 0, 1000);
    put(l, 40, true);
    ck_assert_int_eq(log_end(l), 163);
    expect(l, 0, 1000);
    l = reopen(&g, l);
    expect(l, 0, 1000);
    ck_assert_int_eq(log_truncate(l, 0, RIG_TIME), 0);
    ck_assert_int_eq(log_end(l), 0);
    put(l, 10, true);
    expect(l, 0, 1000);
    ck_assert_int_eq(log_close(l), 0);
    rig_deinit(&g);
}
END_TEST

/* Gives the files of a log folder second names, as a snapshot does; returns their bytes. */
static int share_one(void *ctx, const char *name, enum io_kind kind)
{
    struct rig *g = ctx;
    char from[256], to[256];
    size_t size = strlen(name);
    ck_assert_int_eq(kind, IO_KIND_FILE);
    if (size < 4 || (strcmp(name + size - 4, ".log") != 0 && strcmp(name + size - 5, "index") != 0))
        return 0;
    (void)snprintf(from, sizeof from, "%s/%s", g->dir, name);
    (void)snprintf(to, sizeof to, "%s.shared/%s", g->dir, name);
    ck_assert_int_eq(io_link(g->io, from, to), 0);
    return 0;
}

static int bytes_of_one(void *ctx, const char *name, enum io_kind kind)
{
    struct rig *g = ((void **)ctx)[0];
    struct buf *out = ((void **)ctx)[1];
    char path[256];
    ck_assert_int_eq(kind, IO_KIND_FILE);
    (void)snprintf(path, sizeof path, "%s.shared/%s", g->dir, name);
    buf_append(out, name, strlen(name));
    ck_assert_int_eq(io_read_file(g->io, path, SIZE_MAX, out), 0);
    return 0;
}

static void shared_bytes(struct rig *g, struct buf *out)
{
    char dir[128];
    void *ctx[] = {g, out};
    (void)snprintf(dir, sizeof dir, "%s.shared", g->dir);
    ck_assert_int_eq(io_list(g->io, dir, bytes_of_one, ctx), 0);
}

static void share(struct rig *g, struct buf *out)
{
    char dir[128];
    (void)snprintf(dir, sizeof dir, "%s.shared", g->dir);
    ck_assert_int_eq(io_mkdir(g->io, dir), 0);
    ck_assert_int_eq(io_list(g->io, g->dir, share_one, g), 0);
    shared_bytes(g, out);
    ck_assert_uint_gt(out->size, 1000);
}

static void share_check(struct rig *g, const struct buf *before)
{
    struct buf after = {0};
    shared_bytes(g, &after);
    ck_assert(before->size == after.size && memcmp(before->p, after.p, after.size) == 0);
    buf_deinit(&after);
}

static int share_end_one(void *ctx, const char *name, enum io_kind kind)
{
    struct rig *g = ctx;
    char path[256];
    (void)kind;
    (void)snprintf(path, sizeof path, "%s.shared/%s", g->dir, name);
    return io_unlink(g->io, path);
}

static void share_ends(struct rig *g)
{
    char dir[128];
    (void)snprintf(dir, sizeof dir, "%s.shared", g->dir);
    ck_assert_int_eq(io_list(g->io, dir, share_end_one, g), 0);
    ck_assert_int_eq(io_rmdir(g->io, dir), 0);
}

/* Cutting a segment, and writing on in it, changes nothing of what links it. */
START_TEST(test_truncate_shared)
{
    struct rig g;
    struct buf before = {0};
    int64_t bases[64];
    rig_init(&g, _i == 0);
    struct log *l = open_log(&g);
    put(l, 400, true);
    ck_assert_uint_gt(rig_files(g.io, g.dir, "log", bases, 64), 4);
    share(&g, &before);
    int64_t middle = (bases[1] + bases[2]) / 2;
    ck_assert(middle > bases[1] && middle < bases[2]);
    ck_assert_int_eq(log_truncate(l, middle, RIG_TIME), 0);
    ck_assert_int_eq(log_end(l), middle);
    share_check(&g, &before); /* now: what is put in its place may be the same */
    put(l, 40, true);
    l = reopen(&g, l);
    expect(l, 0, 1000);
    put(l, 100, true);
    ck_assert_int_eq(log_close(l), 0);
    share_check(&g, &before);
    share_ends(&g);
    buf_deinit(&before);
    rig_deinit(&g);
}
END_TEST

/* The last segment has other names at the start: what is written goes into a file of its own. */
START_TEST(test_last_is_shared)
{
    struct rig g;
    struct buf before = {0};
    rig_init(&g, _i == 0);
    struct log *l = open_log(&g);
    put(l, 43, true);
    ck_assert_int_eq(log_close(l), 0);
    share(&g, &before);
    l = open_log(&g);
    expect(l, 0, 43);
    put(l, 5, true);
    expect(l, 0, 48);
    l = reopen(&g, l);
    put(l, 100, true);
    ck_assert_int_eq(log_end(l), 148);
    expect(l, 0, 1000);
    ck_assert_int_eq(log_close(l), 0);
    share_check(&g, &before);
    share_ends(&g);
    buf_deinit(&before);
    rig_deinit(&g);
}
END_TEST

/* The log starts inside a batch; cut there, the batch goes, and with it the records before. */
START_TEST(test_truncate_into_the_first_batch)
{
    struct rig g;
    struct buf b = {0};
    rig_init(&g, _i == 0);
    struct log *l = open_log(&g);
    struct rig_batch ten = {.producer_id = -1, .count = 10, .timestamp = RIG_TIME};
    rig_build(&ten, &b);
    ck_assert_int_eq(log_append_batch(l, buf_slice(&b), RIG_TIME, NULL), 0);
    ck_assert_int_eq(log_append_batch(l, buf_slice(&b), RIG_TIME, NULL), 0);
    ck_assert_int_eq(log_sync(l, RIG_TIME), 0);
    ck_assert_int_eq(log_trim(l, 15, RIG_TIME), 0);
    ck_assert_int_eq(log_truncate(l, 15, RIG_TIME), 0);
    ck_assert_int_eq(log_end(l), 10);
    ck_assert_int_eq(log_start(l), 10);
    put(l, 3, true);
    expect(l, 10, 100);
    l = reopen(&g, l);
    expect(l, 10, 100);
    ck_assert_int_eq(log_close(l), 0);
    buf_deinit(&b);
    rig_deinit(&g);
}
END_TEST

START_TEST(test_producers)
{
    struct rig g;
    struct buf b = {0};
    int64_t offset = -1;
    rig_init(&g, _i == 0);
    struct log *l = open_log(&g);
    struct rig_batch p = {
        .producer_id = 4, .epoch = 1, .sequence = 0, .count = 3, .timestamp = RIG_TIME};
    for (unsigned i = 0; i < 60; i++) { /* over several segments and checkpoints */
        p.sequence = (int32_t)i * 3;
        p.tag = i;
        p.value_size = 100;
        buf_reset(&b);
        rig_build(&p, &b);
        ck_assert_int_eq(log_append_batch(l, buf_slice(&b), RIG_TIME, &offset), 0);
        ck_assert_int_eq(log_sync(l, RIG_TIME), 0);
        if (i % 20 == 5)
            l = reopen(&g, l);
        ck_assert_int_eq(log_append_batch(l, buf_slice(&b), RIG_TIME, &offset), PART_DUPLICATE);
        ck_assert_int_eq(offset, i * 3);
    }
    p.sequence = 200;
    buf_reset(&b);
    rig_build(&p, &b);
    ck_assert_int_eq(log_append_batch(l, buf_slice(&b), RIG_TIME, &offset), PART_GAP);
    p.epoch = 0;
    buf_reset(&b);
    rig_build(&p, &b);
    ck_assert_int_eq(log_append_batch(l, buf_slice(&b), RIG_TIME, &offset), PART_FENCED);
    /* Cut back, the state is that of the cut: the sequence goes on from there. */
    ck_assert_int_eq(log_truncate(l, 90, RIG_TIME), 0);
    p.epoch = 1;
    p.sequence = 90;
    buf_reset(&b);
    rig_build(&p, &b);
    ck_assert_int_eq(log_append_batch(l, buf_slice(&b), RIG_TIME, &offset), 0);
    ck_assert_int_eq(offset, 90);
    ck_assert_int_eq(log_close(l), 0);
    buf_deinit(&b);
    rig_deinit(&g);
}
END_TEST

/* What was not synced is not there after a close; what was, is. */
START_TEST(test_close_drops_unsynced)
{
    struct rig g;
    rig_init(&g, _i == 0);
    struct log *l = open_log(&g);
    put(l, 5, true);
    ck_assert_int_eq(log_append_record(l, 1, SLICE_NULL, slice_str("gone"), NULL), 0);
    l = reopen(&g, l);
    ck_assert_int_eq(log_end(l), 5);
    expect(l, 0, 100);
    ck_assert_int_eq(log_close(l), 0);
    ck_assert_int_eq(log_close(NULL), 0);
    rig_deinit(&g);
}
END_TEST

/* A view outlives the segment it shows. */
START_TEST(test_view_outlives_trim)
{
    struct rig g;
    struct log_view v;
    struct batch_header h;
    int64_t good;
    rig_init(&g, _i == 0);
    struct log *l = open_log(&g);
    put(l, 200, false);
    ck_assert_int_eq(log_read(l, 0, 100, &v, &good), 0);
    ck_assert_int_eq(log_trim(l, 200, RIG_TIME), 0);
    ck_assert_int_eq(batch_check_stored(v.bytes, 0, &h), BATCH_OK);
    log_view_release(&v);
    ck_assert_int_eq(log_close(l), 0);
    rig_deinit(&g);
}
END_TEST

/* A folder in the working directory, without any slash. */
START_TEST(test_plain_name)
{
    struct rig g;
    struct log *l = NULL;
    rig_init(&g, true);
    ck_assert_int_eq(chdir(g.root), 0);
    struct log_options o = {.dir = "orders-0"};
    ck_assert_int_eq(log_open(&o, &l), 0);
    put(l, 3, true);
    ck_assert_int_eq(log_close(l), 0);
    ck_assert_int_eq(log_open(&o, &l), 0);
    expect(l, 0, 100);
    ck_assert_int_eq(log_close(l), 0);
    rig_deinit(&g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("log");
    TCase *c = tcase_create("log");
    tcase_add_loop_test(c, test_empty, 0, KINDS);
    tcase_add_loop_test(c, test_append_read_reopen, 0, KINDS);
    tcase_add_loop_test(c, test_middle_of_a_batch, 0, KINDS);
    tcase_add_loop_test(c, test_too_large, 0, KINDS);
    tcase_add_loop_test(c, test_find_time, 0, KINDS);
    tcase_add_loop_test(c, test_trim, 0, KINDS);
    tcase_add_loop_test(c, test_truncate, 0, KINDS);
    tcase_add_loop_test(c, test_truncate_shared, 0, KINDS);
    tcase_add_loop_test(c, test_last_is_shared, 0, KINDS);
    tcase_add_loop_test(c, test_truncate_into_the_first_batch, 0, KINDS);
    tcase_add_loop_test(c, test_producers, 0, KINDS);
    tcase_add_loop_test(c, test_close_drops_unsynced, 0, KINDS);
    tcase_add_loop_test(c, test_view_outlives_trim, 0, KINDS);
    tcase_add_test(c, test_plain_name);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
