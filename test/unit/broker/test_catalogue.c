/* SPDX-License-Identifier: MIT
 *
 * test_catalogue: what was acknowledged of topics and configs is there after a kill, a power cut or
 * a stop; what was not is there or not, as a whole. A deletion is cut at every one of its steps.
 * Folders that nobody knows are kept, and a view that is lost, old or not ours is made anew.
 */
#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "test/unit/broker/rig.h"

enum ending { STOP, KILL, CUT };

static void end(struct rig *g, enum ending how, uint64_t seed)
{
    switch (how) {
    case STOP:
        rig_stop(g);
        break;
    case KILL:
        rig_kill(g);
        break;
    case CUT:
        rig_cut(g, seed);
        break;
    }
}

static int32_t partitions(struct rig *g, const char *topic)
{
    struct broker_topic_info info;
    return broker_topic(g->broker, slice_str(topic), &info) == 0 ? info.partition_count : -1;
}

static void step(struct rig *g, unsigned n)
{
    struct rig_admin a;
    switch (n) {
    case 0:
        rig_create(g, "t", 2, "retention.ms=1h");
        break;
    case 1:
        rig_admin_init(&a, BROKER_TOPIC_GROW, "t");
        a.req.partitions = 5;
        ck_assert_int_eq(rig_admin_run(g, &a), BROKER_OK);
        break;
    case 2:
        ck_assert_int_eq(rig_alter(g, "t", "max.message.bytes", "100"), BROKER_OK);
        break;
    case 3:
        ck_assert_int_eq(rig_alter_broker(g, "num.partitions", "7"), BROKER_OK);
        break;
    default:
        ck_assert_int_eq(rig_delete(g, "t"), BROKER_OK);
        break;
    }
}

static void expect_steps(struct rig *g, unsigned done)
{
    struct rig_batch b = {.value_size = 200};
    struct rig_admin a;
    ck_assert_int_eq(partitions(g, "t"), done == 0 || done > 4 ? -1 : done == 1 ? 2 : 5);
    if (done > 0 && done <= 4)
        ck_assert_int_eq(rig_put(g, "t", 1, &b, NULL),
                         done < 3 ? BROKER_OK : BROKER_BATCH_TOO_LARGE);
    rig_admin_init(&a, BROKER_TOPIC_CREATE, "probe");
    a.req.validate_only = true;
    ck_assert_int_eq(rig_admin_run(g, &a), BROKER_OK);
    ck_assert_int_eq(a.req.partition_count, done > 3 ? 7 : 1);
}

/* After every step every ending. */
START_TEST(acknowledged_changes_stay)
{
    for (unsigned n = 0; n < 60; n++) {
        struct rig g;
        enum ending how = (enum ending)(n % 3);
        rig_init(&g, n, 0);
        rig_open(&g);
        for (unsigned i = 0; i < 5; i++) {
            step(&g, i);
            end(&g, how, n * 100 + i);
            rig_open(&g);
            expect_steps(&g, i + 1);
        }
        ck_assert_uint_eq(g.errors, 0);
        rig_deinit(&g);
    }
}
END_TEST

/* A change whose answer never came: as a whole or not at all. The disk stops at its n-th call. */
START_TEST(unanswered_changes_are_whole)
{
    unsigned before = 0, after = 0;
    for (unsigned n = 1; n < 30; n++) {
        struct rig g;
        struct rig_admin a;
        struct broker_partition_info info;
        rig_init(&g, n, 0);
        rig_open(&g);
        rig_create(&g, "t", 2, NULL);
        rig_fail(&g, n, true);
        rig_admin_init(&a, BROKER_TOPIC_GROW, "t");
        a.req.partitions = 6;
        bool answered = rig_admin_run(&g, &a) == BROKER_OK;
        end(&g, n % 3 == 0 ? KILL : CUT, n);
        rig_open(&g);
        ck_assert(partitions(&g, "t") == 6 || (partitions(&g, "t") == 2 && !answered));
        before += partitions(&g, "t") == 2;
        after += partitions(&g, "t") == 6;
        ck_assert_int_eq(broker_partition(g.broker, slice_str("t"), 5, false, &info),
                         partitions(&g, "t") != 6);
        rig_deinit(&g);
    }
    ck_assert_uint_gt(before, 0);
    ck_assert_uint_gt(after, 0);
}
END_TEST

/* The data folder and those above it are made by the first start. */
START_TEST(new_folders_stay)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct rig g;
        rig_init(&g, seed, 0);
        g.dir = "/srv/kauri/data";
        rig_open(&g);
        rig_create(&g, "t", 1, NULL);
        rig_put_tag(&g, "t", 3);
        rig_cut(&g, seed);
        rig_open(&g);
        ck_assert_uint_eq(rig_tag_at(&g, "t", 0, 0), 3);
        rig_deinit(&g);
    }
}
END_TEST

static void make_three(struct rig *g)
{
    static const char *const names[] = {"t", "t-1", "tt"};
    rig_open(g);
    for (size_t i = 0; i < 3; i++) {
        rig_create(g, names[i], 3, "segment.bytes=300");
        for (int32_t k = 0; k < 3; k++)
            for (uint64_t r = 0; r < 6; r++) {
                struct rig_batch b = {.tag = i * 1000 + r, .value_size = 40};
                ck_assert_int_eq(rig_put(g, names[i], k, &b, NULL), BROKER_OK);
            }
    }
}

static void expect_untouched(struct rig *g, const char *topic, uint64_t first)
{
    for (int32_t k = 0; k < 3; k++) {
        struct buf pairs CLEANUP(buf_deinit) = {0};
        rig_read_all(g, topic, k, 0, &pairs);
        ck_assert_uint_eq(pairs.size, 6 * 16);
        for (uint64_t r = 0; r < 6; r++)
            ck_assert_uint_eq(bytes_le64(pairs.p + r * 16 + 8), first + r);
    }
}

/* Returns true when the deletion was through before the n-th call. */
static bool delete_cut_at(uint64_t n, enum ending how)
{
    struct rig g;
    rig_init(&g, n, 0);
    make_three(&g);
    rig_fail(&g, n, true);
    bool answered = rig_delete(&g, "t") == BROKER_OK;
    bool through = io_fault_calls(g.fault) < n;
    ck_assert(answered || !through);
    end(&g, how, n);
    rig_open(&g);
    rig_run(&g);
    bool there = rig_has_topic(&g, "t");
    ck_assert(!there || !answered);
    if (there)
        expect_untouched(&g, "t", 0);
    else
        ck_assert(!rig_has_folder(&g, "t-0") && !rig_has_folder(&g, "t-2"));
    ck_assert(!rig_has_folder(&g, "lost+found"));
    expect_untouched(&g, "t-1", 1000);
    expect_untouched(&g, "tt", 2000);
    if (there)
        ck_assert_int_eq(rig_delete(&g, "t"), BROKER_OK);
    rig_create(&g, "t", 3, NULL);
    ck_assert_int_eq(rig_end(&g, "t", 0), 0);
    ck_assert_uint_eq(g.errors, 0);
    rig_deinit(&g);
    return through;
}

START_TEST(deletion_killed_at_every_step)
{
    uint64_t n = 1;
    while (!delete_cut_at(n, KILL))
        n++;
    ck_assert_uint_gt(n, 30); /* three folders of segments and indexes */
}
END_TEST

START_TEST(deletion_cut_at_every_step)
{
    uint64_t n = 1;
    while (!delete_cut_at(n, CUT))
        n++;
    ck_assert_uint_gt(n, 30); /* three folders of segments and indexes */
}
END_TEST

/* One call fails, the process lives on: the rest is done by the next start. */
START_TEST(deletion_with_a_fault)
{
    unsigned refused = 0;
    for (uint64_t n = 1; n < 70; n++) {
        struct rig g;
        rig_init(&g, n, 0);
        make_three(&g);
        rig_fail(&g, n, false);
        bool answered = rig_delete(&g, "t") == BROKER_OK;
        rig_fail(&g, 0, false);
        refused += !answered && g.fatals == 0;
        if (!answered && g.fatals == 0) { /* decided: nobody finds it any more */
            ck_assert(!rig_has_topic(&g, "t"));
            rig_stop(&g);
        } else {
            rig_kill(&g);
        }
        rig_open(&g);
        rig_run(&g);
        if (answered || !rig_has_topic(&g, "t"))
            ck_assert(!rig_has_folder(&g, "t-0") && !rig_has_folder(&g, "t-2"));
        expect_untouched(&g, "t-1", 1000);
        rig_deinit(&g);
    }
    ck_assert_uint_gt(refused, 20);
}
END_TEST

/* --- folders --- */

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static int count_entry(void *ctx, const char *name, enum io_kind kind)
{
    (void)kind;
    *(unsigned *)ctx += strncmp(name, "t-1.", 4) == 0 || strncmp(name, "orders-0.", 9) == 0;
    return 0;
}

START_TEST(unknown_folders_are_kept)
{
    char root[] = "/tmp/kauri-broker-XXXXXX", path[96], lost[96];
    unsigned kept = 0;
    struct rig g;
    ck_assert_ptr_nonnull(mkdtemp(root));
    rig_init_real(&g, root);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    rig_put_tag(&g, "t", 5);
    rig_stop(&g);
    (void)snprintf(path, sizeof path, "%s/orders-0", root);
    ck_assert_int_eq(io_mkdir(g.disk, path), 0);
    (void)snprintf(path, sizeof path, "%s/t-1", root); /* t has one partition */
    ck_assert_int_eq(io_mkdir(g.disk, path), 0);
    (void)snprintf(path, sizeof path, "%s/.hidden", root);
    ck_assert_int_eq(io_mkdir(g.disk, path), 0);
    rig_open(&g);
    ck_assert_uint_eq(g.errors, 2);
    ck_assert_ptr_nonnull(strstr(g.line, "moved to lost+found, nothing was deleted"));
    ck_assert(!rig_has_folder(&g, "orders-0"));
    ck_assert(!rig_has_folder(&g, "t-1"));
    ck_assert(rig_has_folder(&g, ".hidden"));
    (void)snprintf(lost, sizeof lost, "%s/lost+found", root);
    ck_assert_int_eq(io_list(g.disk, lost, count_entry, &kept), 0);
    ck_assert_uint_eq(kept, 2);
    rig_create(&g, "orders", 1, NULL);
    ck_assert_int_eq(rig_end(&g, "orders", 0), 0);
    ck_assert_uint_eq(rig_tag_at(&g, "t", 0, 0), 5);
    rig_reopen(&g, true);
    ck_assert_uint_eq(g.errors, 0);
    rig_deinit(&g);
    ck_assert_int_eq(nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}
END_TEST

START_TEST(foreign_and_locked_folders)
{
    struct rig g;
    struct broker *second = NULL;
    rig_init(&g, 1, 0);
    ck_assert_int_eq(io_mkdir(g.disk, "/data"), 0);
    ck_assert_int_eq(io_mkdir(g.disk, "/data/precious"), 0);
    ck_assert_int_eq(rig_try_open(&g), BROKER_OPEN_FOREIGN);
    ck_assert_int_eq(io_rmdir(g.disk, "/data/precious"), 0);
    rig_open(&g);
    struct broker *first = g.broker;
    struct config *config = g.config; /* the first broker reads it still */
    g.broker = NULL;
    g.config = NULL;
    ck_assert_int_eq(rig_try_open(&g), BROKER_OPEN_LOCKED);
    config_free(g.config);
    g.config = config;
    ck_assert_ptr_eq(g.broker, second);
    g.broker = first;
    rig_stop(&g);
    ck_assert_int_eq(io_crash_flip(g.disk, "/data/format", 30, 1), 0);
    ck_assert_int_eq(rig_try_open(&g), BROKER_OPEN_DAMAGED);
    ck_assert_int_eq(io_crash_flip(g.disk, "/data/format", 30, 1), 0);
    rig_open(&g);
    rig_deinit(&g);
}
END_TEST

/* --- the view --- */

static void fill(struct rig *g)
{
    char name[8];
    for (unsigned i = 0; i < 12; i++) {
        (void)snprintf(name, sizeof name, "t%u", i);
        rig_create(g, name, 1, NULL);
        if (i % 3 == 0)
            ck_assert_int_eq(rig_delete(g, name), BROKER_OK);
        else if (i % 3 == 1)
            ck_assert_int_eq(rig_alter(g, name, "retention.ms", "5m"), BROKER_OK);
    }
    ck_assert_int_eq(rig_alter_broker(g, "num.partitions", "4"), BROKER_OK);
}

static void expect_filled(struct rig *g)
{
    char name[8];
    for (unsigned i = 0; i < 12; i++) {
        (void)snprintf(name, sizeof name, "t%u", i);
        ck_assert_int_eq(rig_has_topic(g, name), i % 3 != 0);
    }
    ck_assert_int_eq(config_i64(g->config, CONFIG_NUM_PARTITIONS), 4);
    struct broker_info info;
    broker_info(g->broker, &info);
    ck_assert_uint_eq(info.topics, 8);
}

static void swap_view(struct rig *g, struct meta_store **other)
{
    struct meta_store *mine = g->view;
    g->view = *other;
    *other = mine;
}

START_TEST(view_lost)
{
    struct rig g;
    struct meta_store *other = meta_store_new();
    rig_init(&g, 1, 0);
    rig_open(&g);
    fill(&g);
    for (int clean = 0; clean < 2; clean++) {
        if (clean == 1)
            rig_stop(&g);
        else
            rig_kill(&g);
        swap_view(&g, &other);
        meta_store_free(other);
        other = meta_store_new();
        rig_open(&g);
        expect_filled(&g);
        rig_run(&g);
        rig_reopen(&g, false); /* from the view just made */
        expect_filled(&g);
    }
    rig_deinit(&g);
    meta_store_free(other);
}
END_TEST

/* Commits of the view are lost from some point on: it is old, and the log tells the rest. */
START_TEST(view_stale)
{
    for (unsigned at = 0; at < 12; at++) {
        struct rig g;
        char name[8];
        rig_init(&g, at, 0);
        rig_open(&g);
        for (unsigned i = 0; i < at; i++) {
            (void)snprintf(name, sizeof name, "t%u", i);
            rig_create(&g, name, 1, NULL);
        }
        meta_store_cut(g.view);
        for (unsigned i = at; i < 12; i++) {
            (void)snprintf(name, sizeof name, "t%u", i);
            rig_create(&g, name, 1, NULL);
        }
        for (unsigned i = 0; i < 12; i += 3) {
            (void)snprintf(name, sizeof name, "t%u", i);
            ck_assert_int_eq(rig_delete(&g, name), BROKER_OK);
        }
        ck_assert_int_eq(rig_alter_broker(&g, "num.partitions", "4"), BROKER_OK);
        rig_kill(&g);
        rig_open(&g);
        expect_filled(&g);
        rig_run(&g);
        rig_reopen(&g, true);
        expect_filled(&g);
        rig_deinit(&g);
    }
}
END_TEST

/* A view that knows more than the log is not believed. */
START_TEST(view_ahead)
{
    struct rig g, more;
    rig_init(&g, 1, 0);
    rig_init(&more, 2, 0);
    rig_open(&g);
    fill(&g);
    rig_stop(&g);
    rig_open(&more);
    fill(&more);
    for (unsigned i = 0; i < 20; i++)
        ck_assert_int_eq(rig_alter_broker(&more, "num.partitions", i % 2 == 0 ? "8" : "9"),
                         BROKER_OK);
    rig_create(&more, "alien", 1, NULL);
    rig_stop(&more);
    swap_view(&g, &more.view);
    rig_open(&g);
    expect_filled(&g);
    ck_assert(!rig_has_topic(&g, "alien"));
    rig_run(&g);
    rig_reopen(&g, false);
    expect_filled(&g);
    ck_assert(!rig_has_topic(&g, "alien"));
    rig_deinit(&g);
    rig_deinit(&more);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("catalogue");
    TCase *t = tcase_create("catalogue");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, acknowledged_changes_stay);
    tcase_add_test(t, unanswered_changes_are_whole);
    tcase_add_test(t, new_folders_stay);
    tcase_add_test(t, deletion_killed_at_every_step);
    tcase_add_test(t, deletion_cut_at_every_step);
    tcase_add_test(t, deletion_with_a_fault);
    tcase_add_test(t, unknown_folders_are_kept);
    tcase_add_test(t, foreign_and_locked_folders);
    tcase_add_test(t, view_lost);
    tcase_add_test(t, view_stale);
    tcase_add_test(t, view_ahead);
    suite_add_tcase(s, t);
    return rig_main(s);
}
