/* SPDX-License-Identifier: MIT
 *
 * Damage of every kind to LMDB's file: flipped bits, cut files, lost, stale and misplaced pages.
 * Each time meta_verify looks first, in its child process; when it sees nothing, the view is opened
 * and every row must be right. Nothing may end the test process.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/random.h"
#include "test/unit/meta/view_model.h"

#define FLIPS     300
#define HEAD_SIZE 7 /* so many first bytes of a value are unlike any other's */

/* ---- damage ---- */

/* A closed environment after `last` commits, and its file in *data. */
static void damage_setup(char dir[PATH_SIZE], int64_t last, struct buf *data)
{
    struct view v;
    char path[PATH_SIZE];
    view_init(&v, 0);
    for (int64_t k = 1; k <= last; k++)
        ck_assert_int_eq(model_commit(v.m, k), 0);
    v.m = meta_free(v.m);
    memcpy(dir, v.dir, PATH_SIZE);
    path_join(path, dir, "data.mdb");
    file_read(path, data);
}

/* Makes `data` the file of the environment in dir. */
static void damage_write(const char *dir, struct slice data)
{
    char path[PATH_SIZE];
    path_join(path, dir, "lock.mdb");
    (void)unlink(path);
    path_join(path, dir, "data.mdb");
    (void)unlink(path);
    file_write(path, data.p, data.size);
}

/* Puts `data` into dir and looks: the state found, or NO_STATE when damage was reported. Reads only
 * after meta_verify said it is safe. */
static int64_t damage_look(const char *dir, struct slice data)
{
    struct meta *m = NULL;
    damage_write(dir, data);
    int r = meta_verify(dir, NULL);
    if (data.size == 0) {
        ck_assert_int_eq(r, META_NONE);
        return -1;
    }
    if (r == 0)
        r = meta_open(dir, MAP_SIZE, &m);
    if (r != 0) {
        ck_assert_int_eq(r, META_DAMAGED);
        return NO_STATE;
    }
    int64_t state = model_state(m);
    m = meta_free(m);
    return state;
}

/* Whole states only: the last, or the one before (the older of two meta pages was taken). */
static bool damage_is_harmless(int64_t state, int64_t last)
{
    if (state == NO_STATE)
        return false;
    ck_assert_int_ge(state, last - 1);
    ck_assert_int_le(state, last);
    return true;
}

START_TEST(damage_by_random_flips_gives_no_wrong_row)
{
    struct buf data CLEANUP(buf_deinit) = {0};
    struct random r;
    char dir[PATH_SIZE];
    size_t harmless = 0;
    damage_setup(dir, 60, &data);
    ck_assert_int_eq(damage_look(dir, buf_slice(&data)), 60);
    random_init(&r, 20240601);
    for (size_t i = 0; i < FLIPS; i++) {
        uint64_t pos = random_below(&r, data.size);
        uint8_t mask = (uint8_t)(1u << random_below(&r, 8));
        data.p[pos] ^= mask;
        harmless += damage_is_harmless(damage_look(dir, buf_slice(&data)), 60);
        data.p[pos] ^= mask;
    }
    printf("flips: %d, harmless: %zu, damage reported: %zu\n", FLIPS, harmless, FLIPS - harmless);
    ck_assert_uint_lt(harmless, FLIPS);
    ck_assert_int_eq(damage_look(dir, buf_slice(&data)), 60);
    dir_drop(dir);
}
END_TEST

/* The meta pages decide everything else: each of their bytes once. */
START_TEST(damage_to_the_meta_pages_gives_no_wrong_row)
{
    struct buf data CLEANUP(buf_deinit) = {0};
    char dir[PATH_SIZE];
    size_t harmless = 0;
    damage_setup(dir, 21, &data);
    for (size_t i = 0; i < 160; i++) {
        size_t pos = i / 2 * 2 + (i % 2) * PAGE;
        uint8_t mask = (uint8_t)(1u << (i / 2 % 8));
        data.p[pos] ^= mask;
        harmless += damage_is_harmless(damage_look(dir, buf_slice(&data)), 21);
        data.p[pos] ^= mask;
    }
    ck_assert_uint_lt(harmless, 160);
    dir_drop(dir);
}
END_TEST

START_TEST(damage_to_a_live_value_is_reported)
{
    struct buf data CLEANUP(buf_deinit) = {0};
    struct buf bad CLEANUP(buf_deinit) = {0};
    struct model model;
    uint8_t value[VALUE_MAX];
    char dir[PATH_SIZE];
    damage_setup(dir, 30, &data);
    model_at(&model, 30);
    for (size_t i = 0; i < MODEL_KEYS; i++) {
        if (model.written[i] == 0)
            continue;
        struct slice s = model_value(value, i, model.written[i]);
        buf_reset(&bad);
        buf_append(&bad, data.p, data.size);
        uint8_t *at = bad.p;
        size_t found = 0;
        while ((at = memmem(at, bad.size - (size_t)(at - bad.p), s.p, HEAD_SIZE)) != NULL) {
            at[s.size > PAGE ? 3000 : 7] ^= 0x10; /* live, or a stale copy on a free page */
            at += HEAD_SIZE;
            found++;
        }
        ck_assert_uint_gt(found, 0);
        ck_assert_int_eq(damage_look(dir, buf_slice(&bad)), NO_STATE);
    }
    dir_drop(dir);
}
END_TEST

START_TEST(damage_by_truncation_gives_no_wrong_row)
{
    struct buf data CLEANUP(buf_deinit) = {0};
    struct random r;
    char dir[PATH_SIZE];
    size_t reported = 0;
    damage_setup(dir, 60, &data);
    random_init(&r, 7);
    for (size_t i = 0; i < 40; i++) {
        size_t size = i < 20 ? i * data.size / 20 / PAGE * PAGE : random_below(&r, data.size);
        int64_t state = damage_look(dir, slice_of(data.p, size));
        reported += state == NO_STATE;
        if (size > 0)
            (void)damage_is_harmless(state, 60);
    }
    ck_assert_uint_ge(reported, 30);
    dir_drop(dir);
}
END_TEST

/* A disk that dropped or misplaced the write of a page: each page that the last ten commits changed
 * is put back to what it was. Every checksum holds; only the sum row can tell. */
START_TEST(damage_by_lost_page_writes_gives_no_wrong_row)
{
    struct buf before CLEANUP(buf_deinit) = {0};
    struct buf after CLEANUP(buf_deinit) = {0};
    struct buf mixed CLEANUP(buf_deinit) = {0};
    char dir[PATH_SIZE];
    size_t tried = 0;
    size_t harmless = 0;
    damage_setup(dir, 50, &before);
    dir_drop(dir);
    damage_setup(dir, 60, &after);
    for (size_t pos = 0; pos + PAGE <= before.size && pos + PAGE <= after.size; pos += PAGE) {
        if (memcmp(before.p + pos, after.p + pos, PAGE) == 0)
            continue;
        buf_reset(&mixed);
        buf_append(&mixed, after.p, after.size);
        memcpy(mixed.p + pos, before.p + pos, PAGE);
        tried++;
        harmless += damage_is_harmless(damage_look(dir, buf_slice(&mixed)), 60);
    }
    printf("lost pages: %zu, harmless: %zu\n", tried, harmless);
    ck_assert_uint_gt(tried, harmless + 3);
    dir_drop(dir);
}
END_TEST
/* ---- damage to a wide tree: leaves below a branch page, every commit changes one row ---- */

#define WIDE_ROWS 240
#define WIDE_LAST 40

static size_t wide_row(size_t k)
{
    return k * 37 % WIDE_ROWS;
}

static struct slice wide_value(char out[128], size_t i, size_t k)
{
    (void)snprintf(out, 128, "row %zu as of commit %zu, with some bytes more: %080zu", i, k, i);
    return slice_str(out);
}

static struct slice wide_name(char out[32], size_t i)
{
    (void)snprintf(out, 32, "row-%03zu", i);
    return slice_str(out);
}

static int wide_commit(struct meta *m, size_t first, size_t count, size_t k)
{
    static char values[WIDE_ROWS][128];
    static char names[WIDE_ROWS][32];
    static struct meta_put puts[WIDE_ROWS];
    for (size_t i = first; i < first + count; i++)
        puts[i] = (struct meta_put){.table = META_TABLE_RECORD,
                                    .key = wide_name(names[i], i),
                                    .value = wide_value(values[i], i, k)};
    return meta_commit(m, &(struct meta_batch){.puts = puts + first, .count = count});
}

static void wide_setup(char dir[PATH_SIZE], struct buf *data)
{
    struct view v;
    char path[PATH_SIZE];
    view_init(&v, 0);
    ck_assert_int_eq(wide_commit(v.m, 0, WIDE_ROWS, 0), 0);
    for (size_t k = 1; k <= WIDE_LAST; k++)
        ck_assert_int_eq(wide_commit(v.m, wide_row(k), 1, k), 0);
    v.m = meta_free(v.m);
    memcpy(dir, v.dir, PATH_SIZE);
    path_join(path, dir, "data.mdb");
    file_read(path, data);
}

/* True when every row is as the last commit left it; false when damage was reported. */
static bool wide_look(const char *dir, struct slice data)
{
    struct buf out CLEANUP(buf_deinit) = {0};
    struct meta *m = NULL;
    char value[128];
    char name[32];
    size_t written[WIDE_ROWS] = {0};
    for (size_t k = 1; k <= WIDE_LAST; k++)
        written[wide_row(k)] = k;
    damage_write(dir, data);
    int r = meta_verify(dir, NULL);
    if (r == 0)
        r = meta_open(dir, MAP_SIZE, &m);
    for (size_t i = 0; i < WIDE_ROWS && r == 0; i++) {
        buf_reset(&out);
        r = meta_get(m, META_TABLE_RECORD, wide_name(name, i), &out);
        if (r == 0)
            ck_assert(slice_equal(buf_slice(&out), wide_value(value, i, written[i])));
    }
    m = meta_free(m);
    if (r != 0)
        ck_assert_int_eq(r, META_DAMAGED);
    return r == 0;
}

/* A page where another belongs, its own number corrected: among all pairs are leaves in the place
 * of their successors, with the same keys and older values. */
START_TEST(damage_by_stale_pages_gives_no_wrong_row)
{
    struct buf data CLEANUP(buf_deinit) = {0};
    struct buf mixed CLEANUP(buf_deinit) = {0};
    char dir[PATH_SIZE];
    size_t pairs = 0;
    size_t harmless = 0;
    wide_setup(dir, &data);
    for (size_t to = 2 * PAGE; to < data.size; to += PAGE) {
        for (size_t from = 2 * PAGE; from < data.size; from += PAGE) {
            if (from == to)
                continue;
            buf_reset(&mixed);
            buf_append(&mixed, data.p, data.size);
            memcpy(mixed.p + to + 8, data.p + from + 8, PAGE - 8);
            pairs++;
            harmless += wide_look(dir, buf_slice(&mixed));
        }
    }
    printf("pages misplaced: %zu, harmless: %zu\n", pairs, harmless);
    ck_assert_uint_gt(pairs, harmless + 100);
    dir_drop(dir);
}
END_TEST

/* A separator that leads a search astray while a walk still meets every row. */
START_TEST(damage_to_separators_gives_no_wrong_row)
{
    struct buf data CLEANUP(buf_deinit) = {0};
    char dir[PATH_SIZE];
    size_t tried = 0;
    size_t harmless = 0;
    wide_setup(dir, &data);
    for (size_t pos = 2 * PAGE; pos < data.size; pos++) {
        bool is_branch = (data.p[pos / PAGE * PAGE + 10] & 1) != 0;
        if (!is_branch || memcmp(data.p + pos, "row-", 4) != 0)
            continue;
        data.p[pos + 5] ^= 2;
        harmless += wide_look(dir, buf_slice(&data));
        data.p[pos + 5] ^= 2;
        tried++;
    }
    printf("separators: %zu, harmless: %zu\n", tried, harmless);
    ck_assert_uint_gt(tried, harmless);
    dir_drop(dir);
}
END_TEST
/* ---- damage to LMDB's meta pages ---- */

/* LMDB's meta page: the number of its transaction, and before it that of the last page. */
#define LMDB_POS_TXN  144
#define LMDB_POS_LAST 136

START_TEST(damage_to_the_number_of_a_transaction)
{
    struct buf data CLEANUP(buf_deinit) = {0};
    char dir[PATH_SIZE];
    damage_setup(dir, 30, &data);
    uint64_t txn[2] = {bytes_le64(data.p + LMDB_POS_TXN), bytes_le64(data.p + PAGE + LMDB_POS_TXN)};
    size_t newer = txn[1] > txn[0];
    ck_assert_uint_eq(txn[newer], 30);
    ck_assert_uint_eq(txn[1 - newer], 29);
    data.p[(1 - newer) * PAGE + LMDB_POS_TXN + 3] ^= 1; /* the older one wins: reported */
    ck_assert_int_eq(damage_look(dir, buf_slice(&data)), NO_STATE);
    data.p[(1 - newer) * PAGE + LMDB_POS_TXN + 3] ^= 1;
    data.p[newer * PAGE + LMDB_POS_TXN] ^= 16; /* the newer one loses: a whole older state */
    ck_assert_int_eq(damage_look(dir, buf_slice(&data)), 29);
    dir_drop(dir);
}
END_TEST

START_TEST(damage_to_the_count_of_pages)
{
    struct buf data CLEANUP(buf_deinit) = {0};
    char dir[PATH_SIZE];
    damage_setup(dir, 30, &data);
    data.p[LMDB_POS_LAST] ^= 128;
    data.p[PAGE + LMDB_POS_LAST] ^= 128;
    ck_assert_int_eq(damage_look(dir, buf_slice(&data)), NO_STATE);
    dir_drop(dir);
}
END_TEST

START_TEST(damage_that_is_no_environment)
{
    struct buf junk CLEANUP(buf_deinit) = {0};
    struct meta *m = NULL;
    char dir[PATH_SIZE];
    char path[PATH_SIZE];
    dir_make(dir);
    ck_assert_int_eq(meta_verify(dir, NULL), META_NONE);
    path_join(path, dir, "missing");
    ck_assert_int_eq(meta_verify(path, NULL), META_NONE);
    ck_assert_int_eq(meta_set_aside(path, 5), META_NONE);
    for (size_t i = 0; i < 20000; i++)
        buf_append_u8(&junk, (uint8_t)(i * 31));
    ck_assert_int_eq(damage_look(dir, buf_slice(&junk)), NO_STATE);
    ck_assert_int_eq(meta_open(dir, MAP_SIZE, &m), META_DAMAGED);
    ck_assert_int_eq(meta_open(dir, MAP_SIZE, &m), META_DAMAGED); /* not busy: it was let go */
    dir_drop(dir);
}
END_TEST

START_TEST(set_aside_renames_and_never_replaces)
{
    char dir[PATH_SIZE];
    char view[PATH_SIZE];
    char slash[PATH_SIZE];
    char moved[PATH_SIZE];
    struct meta *m = NULL;
    dir_make(dir);
    path_join(view, dir, "view");
    path_join(slash, dir, "view//");
    path_join(moved, dir, "view.damaged-1700000000123");
    ck_assert_int_eq(meta_open(view, MAP_SIZE, &m), 0);
    ck_assert_int_eq(model_commit(m, 1), 0);
    m = meta_free(m);
    ck_assert_int_eq(meta_set_aside(slash, 1700000000123), 0);
    ck_assert_int_eq(access(view, F_OK), -1);
    ck_assert_int_eq(meta_open(view, MAP_SIZE, &m), 0);
    ck_assert_int_eq(model_state(m), -1);
    m = meta_free(m);
    ck_assert_int_eq(meta_set_aside(view, 1700000000123), -EEXIST);
    ck_assert_int_eq(meta_open(moved, MAP_SIZE, &m), 0);
    ck_assert_int_eq(model_state(m), 1);
    m = meta_free(m);
    dir_drop(dir);
}
END_TEST

/* ---- the suite ---- */

static TCase *case_damage(void)
{
    TCase *tc = tcase_create("damage");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, damage_by_random_flips_gives_no_wrong_row);
    tcase_add_test(tc, damage_to_the_meta_pages_gives_no_wrong_row);
    tcase_add_test(tc, damage_to_a_live_value_is_reported);
    tcase_add_test(tc, damage_by_truncation_gives_no_wrong_row);
    tcase_add_test(tc, damage_by_lost_page_writes_gives_no_wrong_row);
    tcase_add_test(tc, damage_by_stale_pages_gives_no_wrong_row);
    tcase_add_test(tc, damage_to_separators_gives_no_wrong_row);
    tcase_add_test(tc, damage_to_the_number_of_a_transaction);
    tcase_add_test(tc, damage_to_the_count_of_pages);
    tcase_add_test(tc, damage_that_is_no_environment);
    tcase_add_test(tc, set_aside_renames_and_never_replaces);
    return tc;
}

int main(void)
{
    Suite *s = suite_create("meta damage");
    suite_add_tcase(s, case_damage());
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
