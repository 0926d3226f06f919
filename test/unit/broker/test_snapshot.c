/* SPDX-License-Identifier: MIT
 *
 * test_snapshot: a snapshot is taken of a broker that works, dies, meets errors and loses power;
 * what is restored of it must be one moment of that broker: every record acknowledged before it,
 * none that was never sent, no committed offset beyond its log.
 */
#include "engine/broker/snapshot.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/broker/broker_group.h"
#include "test/unit/broker/load.h"
#include "test/unit/broker/snap.h"

static void on_commit(struct broker_group *req)
{
    *(bool *)req->ctx = true;
}

static void commit(struct rig *g, const char *topic, int64_t offset)
{
    bool done = false;
    struct broker_group_offset_item item = {
        .topic = slice_str(topic), .offset = offset, .leader_epoch = -1};
    struct broker_group req = {.op = BROKER_GROUP_COMMIT,
                               .group = slice_str("g"),
                               .member = slice_str(""),
                               .generation = -1,
                               .commit = {&item, 1},
                               .done = on_commit,
                               .ctx = &done};
    broker_group(g->broker, &req);
    rig_run(g);
    ck_assert(done && req.status == BROKER_OK && item.status == BROKER_OK);
}

static int64_t committed(struct rig *g, const char *topic)
{
    struct broker_group_offset o = {.offset = -1};
    int r = broker_group_offset(g->broker, slice_str("g"), slice_str(topic), 0, &o);
    return r == 0 ? o.offset : -1;
}

/* Records, settings and offsets of one moment; nothing of what came later. */
START_TEST(restores_one_moment)
{
    struct rig g;
    struct rig_admin a;
    struct snapshot_restore r;
    rig_init(&g, 1, 0);
    rig_set(&g, "log.segment.bytes", "1500");
    rig_open(&g);
    rig_create(&g, "t", 2, "retention.ms=12345678");
    rig_create(&g, "empty", 1, NULL);
    for (uint64_t i = 0; i < 40; i++)
        ck_assert_int_eq(rig_put_tag(&g, "t", i), (int64_t)i);
    commit(&g, "t", 33);
    ck_assert_int_eq(snap_make(&g, SNAP_DIR, &a), BROKER_OK);
    ck_assert_uint_gt(a.req.linked_size, a.req.copied_size);
    ck_assert_int_eq(a.req.partition_count, 3); /* __meta, t-0, __consumer_offsets-0 */
    for (uint64_t i = 40; i < 60; i++)
        (void)rig_put_tag(&g, "t", i);
    commit(&g, "t", 60);
    rig_create(&g, "later", 1, NULL);
    ck_assert_int_eq(rig_delete(&g, "empty"), BROKER_OK);
    ck_assert_int_eq(snap_restore(&g, SNAP_DIR, SNAP_NEW, &r), 0);
    struct buf mark = {0}; /* by which the next start knows */
    ck_assert_int_eq(io_read_file(g.disk, SNAP_NEW "/restored", 100, &mark), 0);
    buf_deinit(&mark);
    ck_assert_uint_eq(r.partitions, 3);
    ck_assert(!snap_there(&g, SNAP_NEW ".partial"));
    snap_move_to(&g, SNAP_NEW);
    ck_assert_int_eq(rig_end(&g, "t", 0), 40);
    for (int64_t i = 0; i < 40; i++)
        ck_assert_uint_eq(rig_tag_at(&g, "t", 0, i), (uint64_t)i);
    ck_assert_int_eq(committed(&g, "t"), 33);
    ck_assert(rig_has_topic(&g, "empty") && !rig_has_topic(&g, "later"));
    ck_assert_uint_eq(g.warnings + g.errors, 0); /* it opens as after a clean stop */
    /* Both go on, each for itself. */
    for (uint64_t i = 100; i < 130; i++)
        ck_assert_int_eq(rig_put_tag(&g, "t", i), (int64_t)i - 60);
    rig_stop(&g);
    g.dir = RIG_DIR;
    g.view = meta_store_free(g.view);
    g.view = meta_store_new();
    rig_open(&g);
    ck_assert_int_eq(rig_end(&g, "t", 0), 60);
    for (int64_t i = 0; i < 60; i++)
        ck_assert_uint_eq(rig_tag_at(&g, "t", 0, i), (uint64_t)i);
    ck_assert_int_eq(committed(&g, "t"), 60);
    ck_assert_int_eq(snap_restore(&g, SNAP_DIR, "/again", NULL), 0); /* nobody wrote into it */
    snap_move_to(&g, "/again");
    ck_assert_int_eq(rig_end(&g, "t", 0), 40);
    rig_deinit(&g);
}
END_TEST

/* The second one beside the first copies what changed, and only that. */
START_TEST(copies_tails_only)
{
    struct rig g;
    struct rig_admin a, b, c;
    rig_init(&g, 2, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    rig_create(&g, "u", 1, NULL);
    for (uint64_t i = 0; i < 20; i++) {
        (void)rig_put_tag(&g, "t", i);
        (void)rig_put_tag(&g, "u", i);
    }
    ck_assert_int_eq(snap_make(&g, SNAP_DIR, &a), BROKER_OK);
    clock_fake_advance(&g.clock, 10);
    ck_assert_int_eq(snap_make(&g, SNAP_DIR "2", &b), BROKER_OK);
    ck_assert_uint_eq(b.req.copied_size, 0);
    ck_assert_uint_eq(b.req.linked_size, a.req.linked_size + a.req.copied_size);
    (void)rig_put_tag(&g, "t", 20);
    clock_fake_advance(&g.clock, 10);
    ck_assert_int_eq(snap_make(&g, SNAP_DIR "3", &c), BROKER_OK);
    ck_assert_uint_gt(c.req.copied_size, 0);
    ck_assert_uint_lt(c.req.copied_size, a.req.copied_size);
    rig_reopen(&g, false); /* another run: it trusts no earlier one */
    clock_fake_advance(&g.clock, 10);
    ck_assert_int_eq(snap_make(&g, SNAP_DIR "4", &b), BROKER_OK);
    ck_assert_uint_gt(b.req.copied_size, c.req.copied_size);
    ck_assert_int_eq(snap_restore(&g, SNAP_DIR "3", SNAP_NEW, NULL), 0);
    snap_move_to(&g, SNAP_NEW);
    ck_assert_int_eq(rig_end(&g, "t", 0), 21);
    ck_assert_int_eq(rig_end(&g, "u", 0), 20);
    rig_deinit(&g);
}
END_TEST

/* A large active segment is sealed and linked, not copied; so is one without a sync. */
START_TEST(seals_large_segments)
{
    struct rig g;
    struct rig_admin a;
    rig_init(&g, 3, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, _i == 0 ? NULL : "durability=os");
    struct rig_batch b = {.value_size = 900000};
    for (unsigned i = 0; i < 20; i++)
        ck_assert_int_eq(rig_put(&g, "t", 0, &b, NULL), BROKER_OK);
    ck_assert_int_eq(snap_make(&g, SNAP_DIR, &a), BROKER_OK);
    ck_assert_uint_gt(a.req.linked_size, 18000000);
    ck_assert_uint_lt(a.req.copied_size, 10000);
    ck_assert_int_eq(rig_put_tag(&g, "t", 7), 20);
    ck_assert_int_eq(snap_restore(&g, SNAP_DIR, SNAP_NEW, NULL), 0);
    snap_move_to(&g, SNAP_NEW);
    ck_assert_int_eq(rig_end(&g, "t", 0), 20);
    rig_deinit(&g);
}
END_TEST

START_TEST(refuses)
{
    static const char *const bad[] = {"snap",          "/",     "/snap/", "/a//b", "/a/../b", "/..",
                                      RIG_DIR "/snap", RIG_DIR, ""};
    struct rig g;
    struct rig_admin a;
    rig_init(&g, 4, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    (void)rig_put_tag(&g, "t", 1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(snap_make(&g, bad[i], &a), BROKER_BAD_REQUEST);
        ck_assert_str_ne(a.req.message, "");
    }
    ck_assert_int_eq(snap_make(&g, "/none/snap", &a), BROKER_BAD_REQUEST);
    ck_assert_str_eq(a.req.message, "no folder around /none/snap");
    ck_assert_int_eq(io_mkdir(g.disk, "/there"), 0);
    ck_assert_int_eq(snap_make(&g, "/there", &a), BROKER_TOPIC_EXISTS);
    ck_assert_int_eq(io_mkdir(g.disk, SNAP_DIR ".partial"), 0);
    ck_assert_int_eq(io_mkdir(g.disk, SNAP_DIR ".partial/x"), 0);
    ck_assert_int_eq(snap_make(&g, SNAP_DIR, &a), BROKER_BAD_REQUEST); /* not ours: it stays */
    ck_assert_int_eq(io_rmdir(g.disk, SNAP_DIR ".partial/x"), 0);
    ck_assert_int_eq(io_mkdir(g.disk, RIG_DIR "/.s"), 0);
    ck_assert_int_eq(snap_make(&g, RIG_DIR "/.s/one", &a), BROKER_OK);
    ck_assert_int_eq(snap_restore(&g, "/there", SNAP_NEW, NULL), SNAPSHOT_DAMAGED);
    ck_assert_int_eq(snap_restore(&g, RIG_DIR "/.s/one", RIG_DIR, NULL), SNAPSHOT_BUSY);
    ck_assert_int_eq(snap_restore(&g, RIG_DIR "/.s/one", "/none/new", NULL), IO_MISSING);
    ck_assert_int_eq(snap_restore(&g, RIG_DIR "/.s/one", "/there", NULL), 0); /* empty: fine */
    rig_kill(&g);
    g.dir = RIG_DIR "/.s/one";
    ck_assert_int_eq(rig_try_open(&g), BROKER_OPEN_SNAPSHOT);
    rig_deinit(&g);
}
END_TEST

START_TEST(finds_damage)
{
    static const char *const files[] = {"/snapshot", "/format", "/t-0/state"};
    struct rig g;
    rig_init(&g, 5, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    (void)rig_put_tag(&g, "t", 1);
    ck_assert_int_eq(snap_make(&g, SNAP_DIR, NULL), BROKER_OK);
    for (size_t i = 0; i < 3; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, SNAP_DIR "%s", files[i]);
        ck_assert_int_eq(io_crash_flip(g.disk, path, 20, 3), 0);
        ck_assert_int_eq(snap_restore(&g, SNAP_DIR, SNAP_NEW, NULL), SNAPSHOT_DAMAGED);
        ck_assert(!snap_there(&g, SNAP_NEW) && !snap_there(&g, SNAP_NEW ".partial"));
        ck_assert_int_eq(io_crash_flip(g.disk, path, 20, 3), 0);
    }
    ck_assert_int_eq(io_unlink(g.disk, SNAP_DIR "/t-0/00000000000000000000.log"), 0);
    ck_assert_int_eq(snap_restore(&g, SNAP_DIR, SNAP_NEW, NULL), SNAPSHOT_DAMAGED);
    rig_deinit(&g);
}
END_TEST

/* --- under load --- */

struct moment { /* what a snapshot must hold at least */
    uint64_t incarnation[LOAD_TOPICS];
    int64_t acked[LOAD_TOPICS][LOAD_PARTITIONS];
    int64_t sent[LOAD_TOPICS][LOAD_PARTITIONS]; /* and at most */
};

static struct moment moment_of(const struct load *l)
{
    struct moment m = {{0}, {{0}}, {{0}}};
    for (unsigned i = 0; i < LOAD_TOPICS; i++) {
        m.incarnation[i] = l->topics[i].exists ? l->topics[i].incarnation : 0;
        for (unsigned k = 0; k < LOAD_PARTITIONS; k++)
            m.acked[i][k] = l->topics[i].parts[k].acked;
    }
    return m;
}

/* Behind the answer, before anything is lost. */
static void moment_ends(struct moment *m, const struct load *l)
{
    for (unsigned i = 0; i < LOAD_TOPICS; i++)
        for (unsigned k = 0; k < LOAD_PARTITIONS; k++)
            m->sent[i][k] = l->topics[i].parts[k].sent;
}

/* Record i of a partition is record i of one incarnation of the topic. */
static int64_t judge_part(struct rig *g, const char *topic, int32_t partition,
                          uint64_t *incarnation)
{
    struct buf pairs CLEANUP(buf_deinit) = {0};
    int64_t start = rig_start(g, topic, partition), end = rig_end(g, topic, partition);
    rig_read_all(g, topic, partition, start, &pairs);
    ck_assert_int_eq((int64_t)(pairs.size / 16), end - start);
    for (int64_t i = start; i < end; i++) {
        const uint8_t *pair = pairs.p + (i - start) * 16;
        uint64_t tag = bytes_le64(pair + 8);
        *incarnation = *incarnation == 0 ? tag >> 32 : *incarnation;
        ck_assert_uint_eq(bytes_le64(pair), (uint64_t)i);
        ck_assert_uint_eq(tag, *incarnation << 32 | (uint64_t)i);
    }
    return end;
}

static void judge(struct rig *g, const struct load *l, const struct moment *before)
{
    for (unsigned i = 0; i < LOAD_TOPICS; i++) {
        struct broker_topic_info info;
        const struct load_topic *t = &l->topics[i];
        uint64_t incarnation = 0;
        /* deleted or made anew meanwhile: either may have been the moment */
        bool stayed = before->incarnation[i] != 0 && t->exists && t->change == NULL &&
                      t->incarnation == before->incarnation[i];
        bool found = broker_topic(g->broker, slice_str(t->name), &info) == 0;
        ck_assert(found || !stayed);
        for (int32_t k = 0; found && k < info.partition_count; k++) {
            int64_t end = judge_part(g, t->name, k, &incarnation);
            ck_assert(!stayed || end >= before->acked[i][k]);
            ck_assert(!stayed || end <= before->sent[i][k]);
        }
    }
}

static void load_begin(struct rig *g, struct load *l, uint64_t seed)
{
    rig_init(g, seed, 0);
    rig_set(g, "log.segment.bytes", seed % 2 == 0 ? "1500" : "1M");
    rig_open(g);
    load_init(l, g, seed);
    load_run(l, 100 + (unsigned)(seed % 100));
}

START_TEST(under_load_by_seed)
{
    unsigned made = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct rig g;
        struct load l;
        load_begin(&g, &l, seed);
        struct moment before = moment_of(&l);
        struct rig_admin *a = snap_start(&g, SNAP_DIR);
        load_run(&l, 60);
        load_settle(&l);
        rig_run(&g);
        ck_assert_uint_eq(a->done, 1);
        ck_assert_msg(a->req.status == BROKER_OK, "%s", a->req.message);
        made += a->req.linked_size > 0 && a->req.copied_size > 0;
        free(a);
        moment_ends(&before, &l);
        if (seed % 2 == 1) { /* what was answered survives a cut */
            rig_cut(&g, seed);
            load_crashed(&l, true);
            rig_open(&g);
            load_check(&l);
        }
        ck_assert_int_eq(snap_restore(&g, SNAP_DIR, SNAP_NEW, NULL), 0);
        snap_move_to(&g, SNAP_NEW);
        judge(&g, &l, &before);
        rig_deinit(&g);
        load_deinit(&l);
    }
    ck_assert_uint_gt(made, 30);
}
END_TEST

/* The n-th call of the disk fails, of whatever: a snapshot is whole or not there, and the broker
 * goes on unless it was one of its own. */
START_TEST(one_call_fails)
{
    unsigned failed = 0;
    for (uint64_t n = 1;; n++) {
        struct rig g;
        struct load l;
        load_begin(&g, &l, 8);
        load_settle(&l);
        rig_run(&g);
        struct moment before = moment_of(&l);
        moment_ends(&before, &l);
        rig_fail(&g, n, false);
        struct rig_admin a;
        enum broker_status s = snap_make(&g, SNAP_DIR, &a);
        bool reached = io_fault_calls(g.fault) >= n;
        rig_fail(&g, 0, false);
        ck_assert_uint_eq(g.fatals, 0);
        failed += s != BROKER_OK;
        if (s != BROKER_OK) {
            /* the last step may fail with the name there, and the snapshot whole */
            bool stands = snap_there(&g, SNAP_DIR);
            ck_assert_int_eq(snap_make(&g, stands ? SNAP_DIR "2" : SNAP_DIR, &a), BROKER_OK);
        }
        ck_assert_int_eq(snap_restore(&g, SNAP_DIR, SNAP_NEW, NULL), 0);
        snap_move_to(&g, SNAP_NEW);
        judge(&g, &l, &before);
        rig_deinit(&g);
        load_deinit(&l);
        if (!reached)
            break;
    }
    ck_assert_uint_gt(failed, 20);
}
END_TEST

/* The power goes at the n-th call: under DIR stands nothing, or a whole snapshot. */
START_TEST(cut_at_any_call)
{
    unsigned nothing = 0, whole = 0;
    for (uint64_t n = 1;; n++) {
        struct rig g;
        struct load l;
        load_begin(&g, &l, 6);
        load_settle(&l);
        rig_run(&g);
        struct moment before = moment_of(&l);
        moment_ends(&before, &l);
        rig_fail(&g, n, true);
        struct rig_admin *a = snap_start(&g, SNAP_DIR);
        for (unsigned i = 0; i < 50 && g.fatals == 0 && a->done == 0; i++) {
            work_drain(g.work);
            rig_turn(&g);
        }
        bool reached = io_fault_calls(g.fault) >= n;
        bool answered = a->done == 1 && a->req.status == BROKER_OK;
        rig_cut(&g, n);
        free(a);
        load_crashed(&l, true);
        rig_open(&g);
        load_check(&l);
        bool stands = snap_there(&g, SNAP_DIR);
        ck_assert(stands || !answered);
        nothing += !stands;
        whole += stands;
        if (stands) {
            ck_assert_int_eq(snap_restore(&g, SNAP_DIR, SNAP_NEW, NULL), 0);
            snap_move_to(&g, SNAP_NEW);
            judge(&g, &l, &before);
        } else { /* what was left is in nobody's way */
            ck_assert_int_eq(snap_make(&g, SNAP_DIR, NULL), BROKER_OK);
        }
        rig_deinit(&g);
        load_deinit(&l);
        if (!reached)
            break;
    }
    ck_assert_uint_gt(nothing, 20);
    ck_assert_uint_gt(whole, 0);
}
END_TEST

/* Restoring meets an error at its n-th call: nothing stands there, and the next one works. */
START_TEST(restore_fails)
{
    struct rig g;
    struct load l;
    unsigned failed = 0;
    load_begin(&g, &l, 12);
    load_settle(&l);
    struct moment before = moment_of(&l);
    moment_ends(&before, &l);
    ck_assert_int_eq(snap_make(&g, SNAP_DIR, NULL), BROKER_OK);
    rig_kill(&g);
    for (uint64_t n = 1;; n++) {
        rig_fail(&g, n, false);
        int r = snap_restore(&g, SNAP_DIR, SNAP_NEW, NULL);
        bool reached = io_fault_calls(g.fault) >= n;
        if (!reached) {
            ck_assert_int_eq(r, 0);
            break;
        }
        failed += r != 0;
        if (snap_there(&g, SNAP_NEW)) /* the very last sync */
            break;
    }
    ck_assert_uint_gt(failed, 20);
    rig_open(&g);
    snap_move_to(&g, SNAP_NEW);
    judge(&g, &l, &before);
    rig_deinit(&g);
    load_deinit(&l);
}
END_TEST

/* Retention takes segments while they are being linked: then it is taken again. */
START_TEST(retention_is_faster)
{
    unsigned again = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct rig g;
        rig_init(&g, seed, 0);
        rig_set(&g, "log.segment.bytes", "1500");
        rig_open(&g);
        rig_create(&g, "t", 1, NULL);
        for (uint64_t i = 0; i < 60; i++)
            (void)rig_put_tag(&g, "t", i);
        struct rig_admin *a = snap_start(&g, SNAP_DIR);
        rig_turn(&g); /* taken; the worker has not begun */
        struct rig_admin trim;
        rig_admin_init(&trim, BROKER_TOPIC_TRIM, "t");
        trim.req.partitions = 0;
        trim.req.before = 50;
        rig_admin_start(&g, &trim);
        rig_turn(&g);
        rig_run(&g);
        ck_assert(a->done == 1 && trim.done == 1);
        ck_assert_int_eq(trim.req.status, BROKER_OK);
        ck_assert_int_eq(a->req.status, BROKER_OK);
        free(a);
        ck_assert_int_eq(snap_restore(&g, SNAP_DIR, SNAP_NEW, NULL), 0);
        snap_move_to(&g, SNAP_NEW);
        ck_assert_int_eq(rig_end(&g, "t", 0), 60);
        int64_t start = rig_start(&g, "t", 0);
        ck_assert(start == 0 || start == 50);
        again += start == 50;
        for (int64_t i = start; i < 60; i++)
            ck_assert_uint_eq(rig_tag_at(&g, "t", 0, i), (uint64_t)i);
        rig_deinit(&g);
    }
    ck_assert_uint_gt(again, 5);
    ck_assert_uint_lt(again, 55);
}
END_TEST

/* A segment that nobody can find: the snapshot gives up, and leaves nothing. */
START_TEST(gives_up)
{
    struct rig g;
    struct rig_admin a;
    rig_init(&g, 1, 0);
    rig_set(&g, "log.segment.bytes", "1500");
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    for (uint64_t i = 0; i < 60; i++)
        (void)rig_put_tag(&g, "t", i);
    ck_assert_int_eq(io_unlink(g.disk, RIG_DIR "/t-0/00000000000000000000.log"), 0);
    ck_assert_int_eq(snap_make(&g, SNAP_DIR, &a), BROKER_BUSY);
    ck_assert(!snap_there(&g, SNAP_DIR) && !snap_there(&g, SNAP_DIR ".partial"));
    rig_deinit(&g);
}
END_TEST

START_TEST(stops_in_between)
{
    for (unsigned turns = 0; turns < 6; turns++) {
        struct rig g;
        rig_init(&g, turns, 0);
        rig_open(&g);
        rig_create(&g, "t", 3, NULL);
        (void)rig_put_tag(&g, "t", 1);
        struct rig_admin *a = snap_start(&g, SNAP_DIR);
        struct rig_admin *b = snap_start(&g, SNAP_DIR "2");
        for (unsigned i = 0; i < turns; i++) {
            rig_turn(&g);
            (void)work_sim_step(g.work);
        }
        broker_stop(g.broker);
        rig_run(&g);
        ck_assert(broker_stopped(g.broker) && a->done == 1 && b->done == 1);
        ck_assert_int_eq(b->req.status, BROKER_BUSY);
        ck_assert(a->req.status == BROKER_OK || a->req.status == BROKER_STOPPING);
        ck_assert_int_eq(snap_there(&g, SNAP_DIR), a->req.status == BROKER_OK);
        ck_assert(!snap_there(&g, SNAP_DIR ".partial"));
        free(a);
        free(b);
        rig_deinit(&g);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("broker/snapshot");
    TCase *t = tcase_create("snapshot");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, restores_one_moment);
    tcase_add_test(t, copies_tails_only);
    tcase_add_loop_test(t, seals_large_segments, 0, 2);
    tcase_add_test(t, refuses);
    tcase_add_test(t, finds_damage);
    tcase_add_test(t, under_load_by_seed);
    tcase_add_test(t, one_call_fails);
    tcase_add_test(t, cut_at_any_call);
    tcase_add_test(t, restore_fails);
    tcase_add_test(t, retention_is_faster);
    tcase_add_test(t, gives_up);
    tcase_add_test(t, stops_in_between);
    suite_add_tcase(s, t);
    return rig_main(s);
}
