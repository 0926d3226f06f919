/* SPDX-License-Identifier: MIT
 *
 * round: what a broker does with partitions: rounds of several of them in a worker, with and
 * without a sync; who is told when; a full disk that meets one partition and not the other.
 */
#include "engine/store/round.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "test/unit/store/rig.h"

#define PARTS 2
#define TOLD  64

static struct io *disk;
static struct io *fault;
static struct work *work;
static struct store store;
static struct part *parts[PARTS];
static bool tells_written;
static char told[TOLD]; /* what happened, a letter each, in order */
static size_t told_count;

static void tell(char c)
{
    ck_assert_uint_lt(told_count + 1, TOLD);
    told[told_count++] = c;
    told[told_count] = '\0';
}

static void forget(void)
{
    told_count = 0;
    told[0] = '\0';
}

struct append {
    struct part_append append;
    struct buf batch;
    char letter; /* told in lower case when it is stored, else in upper case */
};

static void on_append(struct part_append *a, int result)
{
    struct append *p = LIST_ENTRY(a, struct append, append);
    tell(result == 0 ? p->letter : (char)(p->letter - 'a' + 'A'));
    buf_deinit(&p->batch);
    free(p);
}

static void append(struct part *p, char letter, size_t size)
{
    struct append *a = calloc(1, sizeof *a);
    struct rig_batch b = {.producer_id = -1, .count = 1, .timestamp = RIG_TIME, .value_size = size};
    ck_assert_ptr_nonnull(a);
    rig_build(&b, &a->batch);
    a->letter = letter;
    a->append.batch = a->batch.p;
    a->append.done = on_append;
    ck_assert_int_eq(batch_parse(buf_slice(&a->batch), &a->append.header), BATCH_OK);
    ck_assert_int_eq(part_append(p, &a->append, RIG_TIME), 0);
}

static void on_wait(struct part_wait *w, int result)
{
    tell(result != 0 ? '!' : w->sync ? 's' : 'w');
}

static void on_stage(struct round *r, enum part_stage stage, int fatal)
{
    ck_assert_int_eq(fatal, r->result < 0 && stage == PART_STAGE_FINISHED ? r->result : 0);
    tell((char)('1' + (int)stage));
}

static void on_part(struct part *p, enum part_stage stage, int result)
{
    ck_assert(stage <= PART_STAGE_FINISHED && result <= IO_FULL);
    part_check(p);
}

static void open_parts(struct io *io)
{
    store_init(&store, &(struct store_options){.io = io, .writer_max = 1});
    for (unsigned i = 0; i < PARTS; i++) {
        char dir[16];
        struct part_recovery report;
        snprintf(dir, sizeof dir, "/orders-%u", i);
        struct part_open_options o = {.dir = dir,
                                      .now_ms = RIG_TIME,
                                      .config = {.segment_size_max = 8192,
                                                 .segment_ms = INT64_MAX,
                                                 .index_interval_size = 256}};
        ck_assert_int_eq(part_open(&store, &o, &parts[i], &report), 0);
        ck_assert_uint_eq(report.damaged_count, 0);
    }
}

static void close_parts(void)
{
    for (unsigned i = 0; i < PARTS; i++)
        parts[i] = part_close(parts[i]);
    store_deinit(&store);
}

static void setup_disk(uint64_t space_max)
{
    disk = io_crash_new(space_max);
    fault = io_fault_new(disk);
    work = work_sim_new(1);
    forget();
    tells_written = false;
    open_parts(fault);
}

static void setup(void)
{
    setup_disk(0);
}

static void teardown(void)
{
    close_parts();
    work_sim_free(work);
    io_fault_free(fault);
    io_crash_free(disk);
}

/* One round of all partitions that have something to do. */
static void run(bool sync)
{
    struct round r;
    round_init(&r, fault, sync);
    r.staged = on_stage;
    r.part_done = on_part;
    r.tells_written = tells_written;
    for (unsigned i = 0; i < PARTS; i++)
        if (part_round_due(parts[i], sync))
            round_add(&r, parts[i], RIG_TIME);
    round_submit(&r, work);
    work_drain(work);
}

START_TEST(test_synced)
{
    append(parts[0], 'a', 10);
    append(parts[0], 'b', 10);
    append(parts[1], 'c', 10);
    ck_assert_int_eq(parts[0]->written, 0);
    run(true);
    ck_assert_str_eq(told, "abc3"); /* nobody is told before the sync */
    ck_assert_int_eq(parts[0]->durable, 2);
    ck_assert_int_eq(parts[1]->durable, 1);
    ck_assert_uint_eq(store.writer_count, 1); /* of two descriptors the colder one was closed */
    forget();
    append(parts[1], 'd', 10);
    part_checkpoint(parts[1]);
    run(true);
    ck_assert_str_eq(told, "d23"); /* nor does anyone wait for the recovery point */
    ck_assert(rig_has(disk, "/orders-1", "snapshot"));
    ck_assert(!rig_has(disk, "/orders-0", "snapshot"));
}
END_TEST

static void on_written(struct part *p, enum part_stage stage, int result)
{
    on_part(p, stage, result);
    ck_assert_int_eq(p->written, 1);
    ck_assert_int_eq(p->durable, stage == PART_STAGE_WRITTEN ? 0 : 1);
}

/* Where it is asked for, the written end is known in front of the sync; whoever waits for the disk
 * is told behind it. */
START_TEST(test_tells_written)
{
    struct round r;
    append(parts[0], 'a', 10);
    round_init(&r, fault, true);
    r.staged = on_stage;
    r.part_done = on_written;
    r.tells_written = true;
    round_add(&r, parts[0], RIG_TIME);
    round_submit(&r, work);
    work_drain(work);
    ck_assert_str_eq(told, "1a3");
    tells_written = true;
    forget();
    append(parts[0], 'b', 10);
    part_checkpoint(parts[0]);
    run(true);
    ck_assert_str_eq(told, "1b23");
    forget();
    append(parts[0], 'c', 10);
    run(false); /* without a sync there is nothing in front of */
    ck_assert_str_eq(told, "c3");
}
END_TEST

START_TEST(test_not_synced)
{
    struct part_wait written = {.offset = 0, .done = on_wait};
    append(parts[0], 'a', 10);
    ck_assert(part_wait(parts[0], &written, false));
    run(false);
    ck_assert_str_eq(told, "aw3");
    ck_assert_int_eq(parts[0]->written, 1);
    ck_assert_int_eq(parts[0]->durable, 0);
    ck_assert(!part_wait(parts[0], &written, false)); /* is written already */
    ck_assert(!part_round_due(parts[0], false));
    ck_assert(part_round_due(parts[0], true));
    forget();
    run(true);
    ck_assert_int_eq(parts[0]->durable, 1);
}
END_TEST

/* Someone wants the durable end of a partition whose rounds do not sync. */
START_TEST(test_waits_for_a_sync)
{
    struct part_wait durable = {.offset = 0, .done = on_wait};
    append(parts[0], 'a', 10);
    run(false);
    forget();
    ck_assert(part_wait(parts[0], &durable, true));
    ck_assert(part_round_due(parts[0], false));
    run(false);
    ck_assert_int_eq(parts[0]->durable, 1);
    ck_assert_ptr_nonnull(strchr(told, 's'));
    ck_assert(!part_wait(parts[0], &durable, true));
}
END_TEST

/* The same while the round is out: its end tells those who wait for written, not the others. */
START_TEST(test_waits_while_a_round_is_out)
{
    struct part_wait durable = {.offset = 0, .done = on_wait}, cancelled = durable;
    struct round r;
    append(parts[0], 'a', 10);
    round_init(&r, fault, false);
    round_add(&r, parts[0], RIG_TIME);
    ck_assert(part_wait(parts[0], &durable, true));
    ck_assert(part_wait(parts[0], &cancelled, true));
    part_wait_cancel(&cancelled);
    ck_assert_int_eq(round_run_now(&r), 0);
    ck_assert_str_eq(told, "a");
    run(false);
    ck_assert_str_eq(told, "a1s3");
}
END_TEST

/* A full disk meets the first partition; the second does not notice, its bytes have their place. */
/* Retention while a round is out that sealed segments: what is not written cannot expire. */
START_TEST(test_expiry_while_a_round_is_out)
{
    struct part_retention old = {.retention_size = -1, .older_than_ms = INT64_MAX};
    struct round r;
    append(parts[0], 'a', 1000);
    run(true);
    for (char c = 'b'; c <= 'd'; c++)
        append(parts[0], c, 3000);
    round_init(&r, fault, true);
    round_add(&r, parts[0], RIG_TIME);
    ck_assert_uint_eq(parts[0]->count, 2);
    ck_assert_int_le(part_expired(parts[0], &old), parts[0]->written);
    part_trim(parts[0], part_expired(parts[0], &old));
    ck_assert_int_eq(round_run_now(&r), 0);
    ck_assert_int_eq(part_expired(parts[0], &old), 4);
}
END_TEST

START_TEST(test_full_for_one)
{
    struct part_wait waiting = {.offset = 1, .done = on_wait};
    struct io_file *ballast = NULL;
    teardown();
    setup_disk(2 * (4096 + STATE_SIZE) + 9000);
    append(parts[0], 'a', 100);
    append(parts[1], 'b', 100);
    run(true);
    ck_assert_int_eq(io_open(disk, "/ballast", IO_WRITE | IO_CREATE, &ballast), 0);
    ck_assert_int_eq(io_fallocate(ballast, 0, 8500), 0);
    ck_assert_int_eq(io_close(ballast), 0);
    forget();
    append(parts[0], 'c', 5000);
    append(parts[1], 'd', 100);
    ck_assert(part_wait(parts[0], &waiting, true));
    run(true);
    ck_assert_str_eq(told, "C!d3");
    ck_assert_int_eq(parts[0]->reserved, 1);
    ck_assert_int_eq(parts[1]->durable, 2);
    forget();
    ck_assert_int_eq(io_unlink(disk, "/ballast"), 0);
    append(parts[0], 'e', 5000);
    run(true);
    ck_assert_str_eq(told, "e3");
    ck_assert_int_eq(parts[0]->durable, 2);
}
END_TEST

static void restart(struct io *next)
{
    fault = io_fault_free(fault);
    io_crash_free(disk);
    disk = next;
    fault = io_fault_new(disk);
    open_parts(fault);
}

/* The process is killed at every step of making a folder, and another one goes on with what it
 * finds: what that acknowledges survives a power cut. */
START_TEST(test_half_made_folder)
{
    bool reached = true;
    for (uint64_t n = 1; reached; n++) {
        append(parts[0], 'a', 10);
        io_fault_plan(fault, (struct io_fault_plan){.fail_at = n, .error = -EIO, .forever = true});
        run(_i % 2 == 0);
        reached = io_fault_calls(fault) >= n;
        close_parts();
        restart(io_crash_kill(disk));
        int64_t end = parts[0]->durable;
        ck_assert_int_ge(end, reached ? 0 : 1);
        append(parts[0], 'b', 10);
        run(true);
        ck_assert_int_eq(parts[0]->durable, end + 1);
        close_parts();
        restart(io_crash_cut(disk, (uint64_t)_i));
        ck_assert_int_eq(parts[0]->durable, end + 1);
        teardown();
        setup();
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("round");
    TCase *c = tcase_create("round");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_synced);
    tcase_add_test(c, test_tells_written);
    tcase_add_test(c, test_not_synced);
    tcase_add_test(c, test_waits_for_a_sync);
    tcase_add_test(c, test_waits_while_a_round_is_out);
    tcase_add_test(c, test_expiry_while_a_round_is_out);
    tcase_add_test(c, test_full_for_one);
    tcase_add_loop_test(c, test_half_made_folder, 0, 40);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
