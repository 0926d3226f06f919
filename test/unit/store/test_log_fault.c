/* SPDX-License-Identifier: MIT
 *
 * log_fault: a script of everything a log does, run again and again; each time another call on the
 * disk fails, the first, the second, and so on until none is left to fail.
 *
 * An error ends the process: the log answers with it and writes nothing more; opened again without
 * the fault everything acknowledged is there, and still after a power cut. A full disk ends
 * nothing: what was refused is not there, what was acknowledged is, and the log goes on when there
 * is room.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "test/unit/store/model.h"

#define DIR "/orders-0"

struct world {
    struct io *disk;  /* owned */
    struct io *fault; /* owned, around it */
    struct log *log;  /* owned; NULL when the last open failed */
    struct model m;
    unsigned steps;
};

static const struct io_fault_plan kinds[] = {
    {.error = -EIO},
    {.error = -EIO, .forever = true},
    {.error = -EIO, .short_write = true},
    {.error = IO_FULL, .space_only = true},
    {.error = IO_FULL, .space_only = true, .short_write = true},
    {.error = IO_FULL, .space_only = true, .forever = true},
    {.error = IO_FULL, .space_only = true, .forever = true, .short_write = true},
};

static void lift(struct world *w)
{
    io_fault_plan(w->fault, (struct io_fault_plan){.fail_at = 0});
}

static int open_log(struct world *w)
{
    struct log_options o = {.io = w->fault,
                            .dir = DIR,
                            .segment_size_max = 2500,
                            .index_interval_size = 300,
                            .checkpoint_size = 4000,
                            .now_ms = RIG_TIME};
    int r = log_open(&o, &w->log);
    if (r == 0)
        model_recovered(&w->m, w->log);
    return r;
}

static int reopen(struct world *w)
{
    int r = log_close(w->log);
    w->log = NULL;
    if (r < 0)
        return r;
    model_drop_queue(&w->m);
    return open_log(w);
}

/* One step, the same in every run. */
static int step(struct world *w, unsigned i)
{
    int r = 0;
    if (w->log == NULL)
        return open_log(w);
    for (unsigned n = 0; n < i % 4; n++)
        model_append(&w->m, w->log);
    if (i % 10 == 6)
        r = model_trim(&w->m, w->log);
    else if (i % 10 == 8)
        r = model_truncate(&w->m, w->log);
    else if (i % 10 == 9)
        r = reopen(w);
    else
        r = model_sync(&w->m, w->log);
    return r;
}

/* Until the end, or an error. Full is no error. */
static int play(struct world *w, bool *full)
{
    int r = open_log(w);
    *full = r == IO_FULL;
    for (unsigned i = 0; r >= 0 && i < w->steps; i++) {
        r = step(w, i);
        ck_assert(r <= 0 || r == IO_FULL);
        *full = *full || r == IO_FULL;
        if (r >= 0 && w->log != NULL)
            part_check(log_part(w->log));
    }
    return r < 0 ? r : 0;
}

/* After an error: nothing more is written, and the next process finds what was acknowledged. */
static void restart(struct world *w)
{
    if (w->log != NULL)
        ck_assert_int_le(log_close(w->log), 0);
    lift(w);
    ck_assert_int_eq(open_log(w), 0);
    model_check(&w->m, w->log);
}

static void go_on(struct world *w)
{
    lift(w);
    if (w->log == NULL)
        ck_assert_int_eq(open_log(w), 0);
    ck_assert_int_eq(model_sync(&w->m, w->log), 0);
    model_check(&w->m, w->log);
    model_repeat(&w->m, w->log);
    for (unsigned i = 0; i < 5; i++)
        model_append(&w->m, w->log);
    ck_assert_int_eq(model_sync(&w->m, w->log), 0);
    model_check(&w->m, w->log);
}

/* The power goes, and all is as before. */
static void cut(struct world *w, uint64_t seed)
{
    io_fault_plan(w->fault, (struct io_fault_plan){.fail_at = 1, .error = -EIO, .forever = true});
    ck_assert_int_le(log_close(w->log), 0);
    w->log = NULL;
    struct io *disk = io_crash_cut(w->disk, seed);
    w->fault = io_fault_free(w->fault);
    io_crash_free(w->disk);
    w->disk = disk;
    w->fault = io_fault_new(disk);
    ck_assert_int_eq(open_log(w), 0);
    ck_assert_uint_eq(log_recovery(w->log)->damaged_count, 0);
}

/* One run; false when no call was left to fail. */
static bool run(struct io_fault_plan plan)
{
    struct world w = {.steps = getenv("KAURI_TEST_LONG") != NULL ? 60 : 20};
    bool full = false;
    model_init(&w.m, 7);
    w.disk = io_crash_new(0);
    w.fault = io_fault_new(w.disk);
    io_fault_plan(w.fault, plan);
    int r = play(&w, &full);
    bool reached = io_fault_calls(w.fault) >= plan.fail_at;
    /* a truncation that is half done when the disk is full cannot be taken back */
    ck_assert(r == 0 || r == (plan.error == IO_FULL ? -ENOSPC : plan.error));
    ck_assert(reached || (r == 0 && !full));
    if (r < 0)
        restart(&w);
    go_on(&w);
    cut(&w, plan.fail_at);
    go_on(&w);
    ck_assert_int_eq(log_close(w.log), 0);
    io_fault_free(w.fault);
    io_crash_free(w.disk);
    model_deinit(&w.m);
    return reached;
}

START_TEST(test_fault)
{
    struct io_fault_plan plan = kinds[_i];
    for (plan.fail_at = 1; run(plan); plan.fail_at++)
        ck_assert_uint_lt(plan.fail_at, 5000);
    ck_assert_uint_gt(plan.fail_at, 50);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("log_fault");
    TCase *c = tcase_create("log_fault");
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, test_fault, 0, (int)(sizeof kinds / sizeof kinds[0]));
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
