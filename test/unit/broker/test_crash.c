/* SPDX-License-Identifier: MIT
 *
 * test_crash: a random workload (load.h) whose broker is killed, cut from power, or meets an I/O
 * error at any call. 100 seeds; 1,000 with KAURI_TEST_LONG=1.
 */
#include <check.h>
#include <stdlib.h>

#include "test/unit/broker/load.h"

static uint64_t seeds(uint64_t plain)
{
    const char *text = getenv("KAURI_TEST_LONG");
    return text != NULL && text[0] == '1' ? plain * 10 : plain;
}

static void crash_init(struct rig *g, uint64_t seed)
{
    rig_init(g, seed, 0);
    rig_set(g, "log.segment.bytes", seed % 2 == 0 ? "1500" : "1M");
    rig_open(g);
}

/* A life of the broker, and how it ends. */
static void live_once(struct rig *g, struct load *l, uint64_t seed)
{
    uint64_t how = random_below(&l->random, 8);
    l->faulty = how < 4;
    if (how < 4) /* dies inside a job, with half of its calls done */
        rig_fail(g, 1 + random_below(&l->random, 400), true);
    load_run(l, 30 + (unsigned)random_below(&l->random, 150));
    if (how == 7 && g->fatals == 0) {
        load_settle(l);
        rig_stop(g);
    } else if (how % 2 == 0) {
        rig_cut(g, seed);
    } else {
        rig_kill(g);
    }
    load_crashed(l, how != 7 && how % 2 == 0);
    rig_open(g);
    load_check(l);
    ck_assert_uint_eq(g->errors, 0);
}

START_TEST(cuts_by_seed)
{
    uint64_t acknowledged = 0, count = seeds(100);
    for (uint64_t seed = 0; seed < count; seed++) {
        struct rig g;
        struct load l;
        crash_init(&g, seed);
        load_init(&l, &g, seed);
        for (unsigned life = 0; life < 4; life++)
            live_once(&g, &l, seed * 10 + life);
        acknowledged += l.acknowledged;
        load_run(&l, 100);
        load_settle(&l);
        rig_reopen(&g, true);
        load_crashed(&l, false);
        load_check(&l);
        rig_deinit(&g);
        load_deinit(&l);
    }
    ck_assert_uint_gt(acknowledged, count * 80); /* the load is a load */
}
END_TEST

/* One call fails. Either the broker reports it, once, and answers nothing any more, or what was
 * asked fails; what was acknowledged is there in either case. */
START_TEST(one_call_fails)
{
    unsigned fatal = 0, lived = 0;
    for (uint64_t n = 1; n <= seeds(100); n++) {
        struct rig g;
        struct load l;
        crash_init(&g, n);
        load_init(&l, &g, n / 8);
        load_run(&l, 60);
        rig_fail(&g, 1 + n * 7 % 250, false);
        l.faulty = true;
        load_run(&l, 120);
        fatal += g.fatals;
        lived += g.fatals == 0;
        bool power = n % 2 == 0;
        if (g.fatals == 0 && n % 3 == 0) {
            load_settle(&l);
            power = false;
        }
        if (power)
            rig_cut(&g, n);
        else
            rig_kill(&g);
        load_crashed(&l, power);
        rig_open(&g);
        load_check(&l);
        load_run(&l, 50);
        load_settle(&l);
        rig_stop(&g);
        load_crashed(&l, false);
        rig_open(&g);
        ck_assert_uint_eq(g.errors + g.warnings, 0); /* the flag of the error is gone */
        load_check(&l);
        rig_deinit(&g);
        load_deinit(&l);
    }
    ck_assert_uint_gt(fatal, 20);
    ck_assert_uint_gt(lived, 5);
}
END_TEST

/* Opening meets an error at its n-th call: says so, changes nothing for the worse. */
START_TEST(opening_fails)
{
    for (unsigned flag = 0; flag < 2; flag++) {
        unsigned failed = 0;
        for (uint64_t n = 1;; n++) {
            struct rig g;
            struct load l;
            crash_init(&g, 5);
            load_init(&l, &g, 5);
            load_run(&l, 150);
            if (flag == 1) { /* the last run ended by an error, too */
                rig_fail(&g, 3, false);
                l.faulty = true;
                load_run(&l, 150);
                ck_assert_uint_eq(g.fatals, 1);
            }
            rig_kill(&g);
            load_crashed(&l, false);
            rig_fail(&g, n, n % 2 == 0);
            int r = rig_try_open(&g);
            failed += r != 0;
            bool reached = io_fault_calls(g.fault) >= n;
            if (r == 0)
                rig_kill(&g);
            ck_assert_int_le(r, 0); /* an error, not a condition */
            ck_assert(r == 0 || reached);
            rig_fail(&g, 0, false);
            rig_open(&g);
            load_check(&l);
            rig_deinit(&g);
            load_deinit(&l);
            if (!reached)
                break;
        }
        ck_assert_uint_gt(failed, 10);
    }
}
END_TEST

/* A partition whose recovery met an error is refused for a while, then opened after all. */
START_TEST(loading_fails)
{
    unsigned failed = 0;
    for (uint64_t n = 1; n < 25; n++) {
        struct rig g;
        struct rig_batch b = {.tag = 1};
        crash_init(&g, n);
        rig_create(&g, "t", 1, NULL);
        rig_put_tag(&g, "t", 0);
        rig_kill(&g);
        rig_open(&g);
        rig_fail(&g, n, false);
        rig_turn(&g); /* starts the recovery */
        rig_run(&g);
        rig_fail(&g, 0, false);
        if (g.fatals > 0) { /* it met what every start writes down of itself */
            rig_kill(&g);
            rig_open(&g);
            ck_assert_uint_eq(rig_tag_at(&g, "t", 0, 0), 0);
            rig_deinit(&g);
            continue;
        }
        enum broker_status s = rig_put(&g, "t", 0, &b, NULL);
        failed += s == BROKER_STORAGE;
        ck_assert_uint_eq(g.errors, s == BROKER_STORAGE);
        rig_advance(&g, 10000);
        if (s == BROKER_STORAGE)
            ck_assert_int_eq(rig_put(&g, "t", 0, &b, NULL), BROKER_OK);
        ck_assert_uint_eq(rig_tag_at(&g, "t", 0, 1), 1);
        rig_deinit(&g);
    }
    ck_assert_uint_gt(failed, 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("crash");
    TCase *t = tcase_create("crash");
    tcase_set_timeout(t, 300);
    tcase_add_test(t, cuts_by_seed);
    tcase_add_test(t, one_call_fails);
    tcase_add_test(t, opening_fails);
    tcase_add_test(t, loading_fails);
    suite_add_tcase(s, t);
    return rig_main(s);
}
