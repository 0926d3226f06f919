/* SPDX-License-Identifier: MIT
 *
 * compact_model: compaction by seed against every record that was ever appended (compact_world.h):
 * in peace, on a disk that dies at any call and loses what was not synced, and on one where a
 * single call fails or the space ends.
 *
 * Built twice: with a planted bug (EXPECT_BUG) the test succeeds when it finds it.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "test/unit/store/compact_world.h"

#ifdef EXPECT_BUG
#define BUG 1
#else
#define BUG 0
#endif

#ifdef __SANITIZE_ADDRESS__ /* twenty times slower */
#define FEWER 5
#else
#define FEWER 1
#endif

static int seeds(void)
{
    return getenv("KAURI_TEST_LONG") != NULL ? 1000 : 25 / FEWER;
}

/* One random step. 0 or what the log said. */
static int step(struct world *w)
{
    w->now_ms += (int64_t)world_below(w, 1200);
    switch (world_below(w, 12)) {
    case 0:
        return world_trim(w);
    case 1:
    case 2:
    case 3:
        return world_compact(w);
    default:
        return world_append(w);
    }
}

START_TEST(test_peace)
{
    struct world w;
    world_init(&w, (uint64_t)_i);
    ck_assert_int_eq(world_open(&w), 0);
    for (unsigned i = 0; i < 40; i++) {
        ck_assert_int_eq(step(&w), 0);
        world_look(&w);
        if (world_below(&w, 8) == 0) {
            ck_assert_int_eq(world_close(&w), 0);
            ck_assert_int_eq(world_open(&w), 0);
            world_look(&w);
        }
    }
    for (unsigned i = 0; i < 40; i++) { /* in the end everything is clean, whatever the memory */
        w.now_ms += 3000;
        ck_assert_int_eq(world_compact(&w), 0);
    }
    world_look(&w);
    ck_assert_uint_gt(w.dropped, 5);
    world_deinit(&w);
}
END_TEST

/* The process dies at its n-th call from here, or between two. */
static void doom(struct world *w, uint64_t n)
{
    world_fail(w, (struct io_fault_plan){.fail_at = n,
                                         .error = -EIO,
                                         .forever = true,
                                         .short_write = world_below(w, 2) == 0});
}

static void die_and_rise(struct world *w)
{
    int r = -1;
    doom(w, 1);
    ck_assert_int_le(world_close(w), 0);
    for (unsigned tries = 0; r != 0; tries++) {
        world_reboot(w, world_below(w, 3) > 0);
        if (tries < 3 && world_below(w, 2) == 0)
            doom(w, 1 + world_below(w, 30));
        r = world_open(w);
        ck_assert_int_le(r, 0);
    }
    world_fail(w, (struct io_fault_plan){.fail_at = 0});
    world_look(w);
}

START_TEST(test_crash)
{
    struct world w;
    world_init(&w, (uint64_t)_i + 5000);
    ck_assert_int_eq(world_open(&w), 0);
    for (unsigned life = 0; life < 5; life++) {
        int r = 0;
        for (unsigned i = 0; r == 0 && i < 20; i++)
            r = step(&w);
        ck_assert_int_eq(r, 0);
        doom(&w, 1 + world_below(&w, 120)); /* a pass is some dozens of calls */
        w.now_ms += 2500;
        for (unsigned i = 0; r == 0 && i < 5; i++)
            r = world_compact(&w);
        ck_assert_int_le(r, 0);
        die_and_rise(&w);
    }
    ck_assert_int_eq(world_compact(&w), 0);
    world_look(&w);
    world_deinit(&w);
}
END_TEST

/* The same passes again and again; they die at their first call, at their second, ... False when no
 * call is left to die at. */
static bool die_at(uint64_t n, uint64_t seed, bool cut)
{
    struct world w;
    world_init(&w, seed);
    ck_assert_int_eq(world_open(&w), 0);
    for (unsigned i = 0; i < 24; i++)
        ck_assert_int_eq(i % 8 == 7 ? world_compact(&w) : world_append(&w), 0);
    world_look(&w);
    w.now_ms += 5000;
    ck_assert_int_eq(world_append(&w), 0);
    world_fail(&w, (struct io_fault_plan){.fail_at = n, .error = -EIO, .forever = true});
    int r = world_compact(&w);
    bool reached = io_fault_calls(w.fault) >= n;
    ck_assert(reached ? r <= 0 : r == 0);
    ck_assert_int_le(world_close(&w), 0);
    world_reboot(&w, cut);
    ck_assert_int_eq(world_open(&w), 0);
    world_look(&w);
    w.now_ms += 5000;
    ck_assert_int_eq(world_compact(&w), 0);
    world_look(&w);
    world_deinit(&w);
    return reached;
}

START_TEST(test_every_call)
{
    uint64_t n = 1;
    while (die_at(n, 71 + (uint64_t)_i / 2, _i % 2 == 1))
        n++;
    if (_i < 4) /* a pass with work; of other seeds some have little to do */
        ck_assert_uint_gt(n, 50);
}
END_TEST

/* --- one call fails --- */

static const struct io_fault_plan kinds[] = {
    {.error = -EIO},
    {.error = -EIO, .short_write = true},
    {.error = IO_FULL, .space_only = true},
    {.error = IO_FULL, .space_only = true, .short_write = true},
    {.error = IO_FULL, .space_only = true, .forever = true},
};

/* A few passes over what is always the same, with the fault in one of them. */
static bool fail_once(struct io_fault_plan plan)
{
    struct world w;
    world_init(&w, 3);
    w.map_size = 1 << 20;
    ck_assert_int_eq(world_open(&w), 0);
    for (unsigned i = 0; i < 8; i++)
        ck_assert_int_eq(world_append(&w), 0);
    world_fail(&w, plan);
    w.now_ms += 2500;
    int r = world_compact(&w);
    for (unsigned i = 0; i < 2 && r == 0; i++) {
        w.now_ms += 2500;
        r = world_append(&w);
        if (r == 0)
            r = world_compact(&w);
    }
    bool reached = io_fault_calls(w.fault) >= plan.fail_at;
    ck_assert(r == 0 || reached);
    world_fail(&w, (struct io_fault_plan){.fail_at = 0});
    if (r < 0 || w.acked < w.end || plan.fail_at % 2 == 0) { /* refused batches, too, start anew */
        ck_assert_int_le(world_close(&w), 0);
        if (plan.fail_at % 3 == 0)
            world_reboot(&w, true);
        ck_assert_int_eq(world_open(&w), 0);
    }
    world_look(&w);
    ck_assert_int_eq(world_compact(&w), 0);
    world_look(&w);
    world_deinit(&w);
    return reached;
}

START_TEST(test_fault)
{
    struct io_fault_plan plan = kinds[_i];
    for (plan.fail_at = 1; fail_once(plan); plan.fail_at++)
        ck_assert_uint_lt(plan.fail_at, 3000);
    ck_assert_uint_gt(plan.fail_at, 40);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("compact_model");
    TCase *c = tcase_create("compact_model");
    tcase_set_timeout(c, 240);
    if (!BUG) {
        tcase_add_loop_test(c, test_peace, 0, seeds());
        tcase_add_loop_test(c, test_fault, 0, (int)(sizeof kinds / sizeof kinds[0]));
    }
    tcase_add_loop_test(c, test_crash, 0, BUG ? 1 : seeds());
    tcase_add_loop_test(c, test_every_call, 0,
                        getenv("KAURI_TEST_LONG") != NULL ? 40 : (4 + FEWER - 1) / FEWER);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, BUG ? CK_SILENT : CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return (failed > 0) == BUG ? EXIT_SUCCESS : EXIT_FAILURE;
}
