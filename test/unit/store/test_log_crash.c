/* SPDX-License-Identifier: MIT
 *
 * log_crash: random work on a disk that dies: in the middle of a call (its n-th step on the disk
 * fails and nothing reaches the disk any more), or between two; then the power is cut, which loses
 * and tears what was not synced, and the log is opened again, perhaps to die once more in recovery.
 * What was acknowledged must be there, byte by byte, once, in order; what is there beside it was
 * appended, in order; producers that repeat their last batch are told so.
 *
 * Built three times: with planted bugs (EXPECT_BUG) the test succeeds when it finds them.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "engine/store/round.h"
#include "test/unit/store/model.h"

#ifdef EXPECT_BUG
#define BUG 1
#else
#define BUG 0
#endif

#define DIR    "/orders-0"
#define DEATHS 3

struct world {
    struct io *disk;  /* owned */
    struct io *fault; /* owned, around it */
    struct log *log;  /* owned */
    struct model m;
    bool os;  /* written to the page cache only */
    bool cut; /* this death is a power cut, not a kill */
};

/* The n-th step of what comes next fails, and every one behind it. */
static void doom(struct world *w, uint64_t n)
{
    io_fault_plan(w->fault, (struct io_fault_plan){.fail_at = n,
                                                   .error = -EIO,
                                                   .forever = true,
                                                   .short_write = model_below(&w->m, 2) == 0});
}

/* A new machine on what the disk holds. */
static void reboot(struct world *w)
{
    struct io *disk =
        w->cut ? io_crash_cut(w->disk, random_u64(&w->m.random)) : io_crash_kill(w->disk);
    w->fault = io_fault_free(w->fault);
    io_crash_free(w->disk);
    w->disk = disk;
    w->fault = io_fault_new(disk);
}

static void start(struct world *w)
{
    int r = -1;
    for (unsigned tries = 0; r != 0; tries++) {
        struct log_options o = model_options(&w->m, w->fault, DIR);
        if (tries < DEATHS && model_below(&w->m, 2) == 0)
            doom(w, 1 + model_below(&w->m, 25));
        r = log_open(&o, &w->log);
        ck_assert_int_le(r, 0);
        if (r != 0)
            reboot(w);
    }
    io_fault_plan(w->fault, (struct io_fault_plan){.fail_at = 0});
    ck_assert_uint_eq(log_recovery(w->log)->damaged_count, 0);
    if (log_part(w->log)->count > 0) {
        ck_assert(!log_recovery(w->log)->state_damaged);
        ck_assert(!log_recovery(w->log)->snapshot_damaged);
    }
    model_recovered(&w->m, w->log);
    model_check(&w->m, w->log);
    model_repeat(&w->m, w->log);
    model_find(&w->m, w->log);
}

/* What was lost is sent again and stored where it was; a kill follows. Nothing else that was lost
 * may come back behind it. */
static void retry(struct world *w)
{
    model_retry(&w->m, w->log);
    ck_assert_int_eq(model_sync(&w->m, w->log), 0);
    doom(w, 1);
    w->cut = false;
    ck_assert_int_le(log_close(w->log), 0);
    reboot(w);
    start(w);
}

/* A kill loses nothing that was written; a cut what was not synced. */
static void die(struct world *w)
{
    w->cut = !w->os || model_below(&w->m, 2) == 0;
    doom(w, 1);
    if (!w->cut)
        model_acked(&w->m, log_part(w->log)->written);
    int r = log_close(w->log);
    ck_assert_int_le(r, 0);
    w->log = NULL;
    reboot(w);
}

/* A round that is not synced. */
static int write_only(struct world *w)
{
    struct round r;
    struct part *p = log_part(w->log);
    if (!part_round_due(p, false))
        return 0;
    round_init(&r, w->fault, false);
    round_add(&r, p, RIG_TIME);
    int e = round_run_now(&r);
    part_check(p);
    if (e == 0)
        model_acked(&w->m, log_end(w->log)); /* a recovery point makes the rest durable */
    return e;
}

static int change(struct world *w)
{
    switch (model_below(&w->m, w->os ? 12 : 8)) {
    case 0:
        return model_trim(&w->m, w->log);
    case 1:
        return w->os ? 0 : model_truncate(&w->m, w->log);
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
        return w->os ? write_only(w) : model_sync(&w->m, w->log);
    default:
        return model_below(&w->m, 4) == 0 ? model_sync(&w->m, w->log) : write_only(w);
    }
}

/* Works until it dies. */
static void live(struct world *w)
{
    unsigned steps = 10 + (unsigned)model_below(&w->m, 120);
    for (unsigned i = 0; i < steps; i++) {
        for (uint64_t n = model_below(&w->m, 6); n > 0; n--)
            model_append(&w->m, w->log);
        if (model_below(&w->m, 4) == 0)
            model_read(&w->m, w->log);
        if (model_below(&w->m, 8) == 0)
            model_find(&w->m, w->log);
        bool doomed = model_below(&w->m, 30) == 0;
        if (doomed)
            doom(w, 1 + model_below(&w->m, 12));
        int r = change(w);
        ck_assert_int_le(r, 0);
        if (r < 0)
            break;
        io_fault_plan(w->fault, (struct io_fault_plan){.fail_at = 0});
    }
}

START_TEST(test_crash)
{
    struct world w = {.os = _i % 4 == 3};
    model_init(&w.m, (uint64_t)_i);
    w.disk = io_crash_new(0);
    w.fault = io_fault_new(w.disk);
    start(&w);
    for (unsigned i = 0; i < DEATHS; i++) {
        live(&w);
        die(&w);
        start(&w);
        if (model_below(&w.m, 2) == 0)
            retry(&w);
    }
    ck_assert_int_eq(model_sync(&w.m, w.log), 0);
    model_check(&w.m, w.log);
    ck_assert_int_eq(log_close(w.log), 0);
    io_crash_check(w.disk);
    io_fault_free(w.fault);
    io_crash_free(w.disk);
    model_deinit(&w.m);
}
END_TEST

int main(void)
{
    int seeds = getenv("KAURI_TEST_LONG") != NULL ? 1000 : 100;
    Suite *s = suite_create("log_crash");
    TCase *c = tcase_create("log_crash");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_crash, 0, seeds);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, BUG ? CK_SILENT : CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return (failed > 0) == BUG ? EXIT_SUCCESS : EXIT_FAILURE;
}
