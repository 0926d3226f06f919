/* SPDX-License-Identifier: MIT
 *
 * test_full: a full disk is a state. Produce is refused and nothing of it stays; reads, trims,
 * deletions and retention go on; writing resumes by itself; a stop ends; and whatever was
 * acknowledged before, between and after is there.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "test/unit/broker/rig.h"

#define FULL_VALUE 3000

static void full_init(struct rig *g, uint64_t seed, uint64_t space)
{
    rig_init(g, seed, space);
    rig_set(g, "disk.reserve.bytes", "0");
    rig_open(g);
}

static enum broker_status put(struct rig *g, const char *topic, int64_t tag, int64_t *offset)
{
    struct rig_batch b = {
        .tag = (uint64_t)tag, .value_size = FULL_VALUE, .producer = 1, .sequence = (int32_t)tag};
    return rig_put(g, topic, 0, &b, offset);
}

/* Produces until the disk is full; returns the next tag. */
static int64_t fill(struct rig *g, const char *topic, int64_t from)
{
    for (int64_t tag = from; tag < from + 10000; tag++) {
        int64_t offset;
        enum broker_status s = put(g, topic, tag, &offset);
        if (s == BROKER_DISK_FULL)
            return tag;
        ck_assert_int_eq(s, BROKER_OK);
        ck_assert_int_eq(offset, tag);
    }
    ck_abort_msg("the disk does not fill");
}

static void expect_all(struct rig *g, const char *topic, int64_t end)
{
    struct buf pairs CLEANUP(buf_deinit) = {0};
    int64_t start = rig_start(g, topic, 0);
    rig_read_all(g, topic, 0, start, &pairs);
    ck_assert_uint_eq(pairs.size, (size_t)(end - start) * 16);
    for (int64_t i = start; i < end; i++) {
        ck_assert_int_eq((int64_t)bytes_le64(pairs.p + (i - start) * 16), i);
        ck_assert_int_eq((int64_t)bytes_le64(pairs.p + (i - start) * 16 + 8), i);
    }
}

static bool refusing(struct rig *g)
{
    struct broker_info info;
    broker_info(g->broker, &info);
    return info.disk_full;
}

/* Takes every byte that is left but `spare`, or gives them back. */
static void stuff(struct rig *g, uint64_t spare)
{
    struct io_file *f;
    uint64_t free_size, total, size;
    ck_assert_int_eq(io_open(g->disk, "/stuff", IO_WRITE | IO_CREATE, &f), 0);
    ck_assert_int_eq(io_size(f, &size), 0);
    ck_assert_int_eq(io_space(g->disk, "/", &free_size, &total), 0);
    ck_assert_int_eq(io_truncate(f, size + free_size - spare), 0);
    ck_assert_int_eq(io_close(f), 0);
    ck_assert_int_eq(io_space(g->disk, "/", &free_size, &total), 0);
    ck_assert_uint_eq(free_size, spare);
}

static void unstuff(struct rig *g)
{
    ck_assert_int_eq(io_unlink(g->disk, "/stuff"), 0);
}

/* Fill, free by an end that differs with the seed, go on; many times over. */
START_TEST(fills_and_resumes)
{
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct rig g;
        full_init(&g, seed, 600000 + seed * 777);
        rig_create(&g, "t", 1, seed % 2 == 0 ? "segment.bytes=50K" : "segment.bytes=1G");
        rig_create(&g, "ballast", 1, NULL);
        for (uint64_t i = 0; i < 20; i++) {
            struct rig_batch b = {.value_size = 5000};
            ck_assert_int_eq(rig_put(&g, "ballast", 0, &b, NULL), BROKER_OK);
        }
        int64_t end = fill(&g, "t", 0);
        ck_assert_int_gt(end, 10);
        ck_assert(refusing(&g));
        ck_assert_int_eq(put(&g, "t", end, NULL), BROKER_DISK_FULL);
        expect_all(&g, "t", end);
        ck_assert_int_eq(rig_delete(&g, "ballast"), BROKER_OK);
        rig_advance(&g, 3000);
        ck_assert(!refusing(&g));
        int64_t more = fill(&g, "t", end); /* the same sequence goes on where it was */
        ck_assert_int_gt(more, end);
        expect_all(&g, "t", more);
        if (seed % 3 == 0)
            rig_stop(&g);
        else if (seed % 3 == 1)
            rig_kill(&g);
        else
            rig_cut(&g, seed);
        rig_open(&g);
        expect_all(&g, "t", more);
        int64_t offset;
        ck_assert_int_eq(put(&g, "t", more - 1, &offset), BROKER_OK); /* a duplicate */
        ck_assert_int_eq(offset, more - 1);
        rig_deinit(&g);
    }
}
END_TEST

/* Several requests in one round and behind it, a duplicate among them: all are taken back, and the
 * same sequences are good again. */
START_TEST(takes_back_what_waits)
{
    struct rig g;
    struct rig_produce *p[6];
    full_init(&g, 20, 500000);
    rig_create(&g, "t", 1, NULL);
    rig_create(&g, "ballast", 1, NULL);
    struct rig_batch b = {.value_size = 60000};
    ck_assert_int_eq(rig_put(&g, "ballast", 0, &b, NULL), BROKER_OK);
    int64_t end = fill(&g, "t", 0);
    rig_advance(&g, 1500); /* perhaps it fits now: the broker tries again */
    for (int64_t i = 0; i < 6; i++) {
        int64_t tag = end + (i == 5 ? 4 : i);
        struct rig_batch q = {
            .tag = (uint64_t)tag, .value_size = 40000, .producer = 1, .sequence = (int32_t)tag};
        p[i] = rig_produce_new(1);
        rig_produce_add(p[i], "t", 0, &q);
        rig_produce_start(&g, p[i]);
        if (i == 2)
            rig_turn(&g);
    }
    rig_run(&g);
    for (size_t i = 0; i < 6; i++) {
        ck_assert_uint_eq(p[i]->done, 1);
        ck_assert_int_eq(p[i]->items[0].status, BROKER_DISK_FULL);
        ck_assert_int_eq(p[i]->items[0].base_offset, -1);
        rig_produce_free(p[i]);
    }
    ck_assert_int_eq(rig_end(&g, "t", 0), end);
    ck_assert_int_eq(rig_delete(&g, "ballast"), BROKER_OK);
    rig_advance(&g, 3000);
    int64_t offset;
    ck_assert_int_eq(put(&g, "t", end, &offset), BROKER_OK);
    ck_assert_int_eq(offset, end);
    rig_reopen(&g, false);
    expect_all(&g, "t", end + 1);
    rig_deinit(&g);
}
END_TEST

/* The reserve refuses before the disk does. */
START_TEST(reserve)
{
    struct rig g;
    rig_init(&g, 21, 1 << 20);
    rig_set(&g, "disk.reserve.bytes", "600K");
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    for (int64_t tag = 0; tag < 300 && !refusing(&g); tag++) {
        ck_assert_int_eq(put(&g, "t", tag, NULL), BROKER_OK);
        rig_advance(&g, 2500);
    }
    ck_assert(refusing(&g));
    ck_assert_ptr_nonnull(strstr(g.line, "disk nearly full"));
    struct broker_info info;
    broker_info(g.broker, &info);
    ck_assert_uint_lt(info.disk_free_size, 600 << 10);
    ck_assert_uint_gt(info.disk_free_size, 200 << 10);
    rig_create(&g, "changes-go-on", 1, NULL);
    ck_assert_int_eq(rig_alter_broker(&g, "disk.reserve.bytes", "100K"), BROKER_OK);
    rig_advance(&g, 1000);
    ck_assert(!refusing(&g));
    rig_deinit(&g);
}
END_TEST

/* A trim on a full disk frees space, is answered, and its state is written when there is room. */
START_TEST(trims_free_space)
{
    struct rig g;
    full_init(&g, 22, 600000);
    rig_create(&g, "t", 1, "segment.bytes=50K");
    int64_t end = fill(&g, "t", 0);
    struct rig_admin a;
    rig_admin_init(&a, BROKER_TOPIC_TRIM, "t");
    a.req.partitions = 0;
    a.req.before = end / 2;
    rig_admin_start(&g, &a);
    rig_run(&g);
    rig_advance(&g, 3000);
    ck_assert_uint_eq(a.done, 1);
    ck_assert_int_eq(a.req.status, BROKER_OK);
    ck_assert_int_eq(a.req.log_start, end / 2);
    ck_assert(!refusing(&g));
    int64_t more = fill(&g, "t", end);
    ck_assert_int_gt(more, end);
    rig_reopen(&g, false);
    ck_assert_int_eq(rig_start(&g, "t", 0), end / 2);
    expect_all(&g, "t", more);
    rig_deinit(&g);
}
END_TEST

/* Nothing can be written, not even a state file: work waits, without spinning, and a stop ends. */
START_TEST(stop_on_a_full_disk)
{
    for (unsigned trim = 0; trim < 2; trim++) {
        struct rig g;
        full_init(&g, 23, 400000);
        rig_create(&g, "t", 1, NULL);
        int64_t end = fill(&g, "t", 0);
        struct rig_admin a;
        rig_admin_init(&a, BROKER_TOPIC_TRIM, "t");
        a.req.partitions = 0;
        a.req.before = 2; /* inside the one segment: frees nothing */
        stuff(&g, 0);
        if (trim == 1) {
            rig_admin_start(&g, &a);
            rig_run(&g);
            ck_assert_uint_eq(a.done, 0);
        }
        broker_stop(g.broker);
        rig_run(&g);
        ck_assert(broker_stopped(g.broker));
        ck_assert(trim == 0 || (a.done == 1 && a.req.status == BROKER_STOPPING));
        rig_kill(&g);
        ck_assert_int_eq(rig_try_open(&g), 0);
        expect_all(&g, "t", end);
        rig_deinit(&g);
    }
}
END_TEST

START_TEST(trim_waits_for_space)
{
    struct rig g;
    struct rig_admin a;
    full_init(&g, 26, 400000);
    rig_create(&g, "t", 1, NULL);
    int64_t end = fill(&g, "t", 0);
    stuff(&g, 0);
    rig_admin_init(&a, BROKER_TOPIC_TRIM, "t");
    a.req.partitions = 0;
    a.req.before = 2;
    rig_admin_start(&g, &a);
    rig_run(&g);
    rig_advance(&g, 5000);
    ck_assert_uint_eq(a.done, 0);
    unstuff(&g);
    rig_advance(&g, 3000);
    ck_assert_uint_eq(a.done, 1);
    ck_assert_int_eq(a.req.status, BROKER_OK);
    rig_cut(&g, 26);
    rig_open(&g);
    ck_assert_int_eq(rig_start(&g, "t", 0), 2);
    expect_all(&g, "t", end);
    rig_deinit(&g);
}
END_TEST

/* Fills what __meta has reserved, so that its next record needs the disk. */
static void fill_meta(struct rig *g)
{
    stuff(g, 0);
    for (unsigned i = 0; i < 10000; i++) {
        enum broker_status s = rig_alter_broker(g, "num.partitions", i % 2 == 0 ? "2" : "3");
        stuff(g, 0);
        if (s == BROKER_DISK_FULL)
            return;
        ck_assert_int_eq(s, BROKER_OK);
    }
    ck_abort_msg("__meta does not fill");
}

/* The first record of a deletion fits, the last one does not: it is answered when it does. */
START_TEST(deletion_waits_for_space)
{
    for (unsigned stop = 0; stop < 2; stop++) {
        struct rig g;
        struct rig_admin a = {.done = 1};
        full_init(&g, 24, 600000);
        rig_create(&g, "t", 1, NULL);
        fill_meta(&g);
        for (uint64_t spare = 8; a.done == 1; spare += 8) {
            ck_assert_uint_lt(spare, 1000);
            stuff(&g, spare);
            rig_admin_init(&a, BROKER_TOPIC_DELETE, "t");
            rig_admin_start(&g, &a);
            rig_run(&g);
            ck_assert(a.done == 0 || a.req.status == BROKER_DISK_FULL);
        }
        ck_assert(!rig_has_topic(&g, "t"));
        rig_advance(&g, 3000);
        ck_assert_uint_eq(a.done, 0);
        if (stop == 0) {
            unstuff(&g);
            rig_advance(&g, 3000);
            ck_assert_int_eq(a.req.status, BROKER_OK);
        } else {
            broker_stop(g.broker);
            rig_run(&g);
            ck_assert(broker_stopped(g.broker));
            ck_assert_int_eq(a.req.status, BROKER_DISK_FULL);
            unstuff(&g);
        }
        rig_kill(&g);
        rig_open(&g);
        rig_run(&g);
        ck_assert(!rig_has_topic(&g, "t"));
        rig_create(&g, "t", 1, NULL);
        ck_assert_int_eq(rig_end(&g, "t", 0), 0);
        rig_deinit(&g);
    }
}
END_TEST

/* Changes of the catalogue on a full disk are refused as a whole and work again later. */
START_TEST(changes_are_refused)
{
    struct rig g;
    struct rig_admin a;
    full_init(&g, 25, 600000);
    rig_create(&g, "t", 1, NULL);
    fill_meta(&g);
    for (unsigned round = 0; round < 2; round++) {
        enum broker_status want = round == 0 ? BROKER_DISK_FULL : BROKER_OK;
        rig_admin_init(&a, BROKER_TOPIC_CREATE, "u");
        ck_assert_int_eq(rig_admin_run(&g, &a), want);
        rig_admin_init(&a, BROKER_TOPIC_GROW, "t");
        a.req.partitions = 3;
        ck_assert_int_eq(rig_admin_run(&g, &a), want);
        ck_assert_int_eq(rig_alter(&g, "t", "retention.ms", "1"), want);
        ck_assert_int_eq(rig_alter_broker(&g, "num.partitions", "2"), want);
        rig_admin_init(&a, BROKER_INIT_PRODUCER, NULL);
        ck_assert_int_eq(rig_admin_run(&g, &a), want);
        ck_assert_int_eq(rig_delete(&g, "t"), want);
        if (round == 0) {
            unstuff(&g);
            rig_advance(&g, 3000);
            ck_assert(rig_has_topic(&g, "t") && !rig_has_topic(&g, "u"));
        }
    }
    ck_assert(!rig_has_topic(&g, "t") && rig_has_topic(&g, "u"));
    rig_deinit(&g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("full");
    TCase *t = tcase_create("full");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, fills_and_resumes);
    tcase_add_test(t, takes_back_what_waits);
    tcase_add_test(t, reserve);
    tcase_add_test(t, trims_free_space);
    tcase_add_test(t, stop_on_a_full_disk);
    tcase_add_test(t, trim_waits_for_space);
    tcase_add_test(t, deletion_waits_for_space);
    tcase_add_test(t, changes_are_refused);
    suite_add_tcase(s, t);
    return rig_main(s);
}
