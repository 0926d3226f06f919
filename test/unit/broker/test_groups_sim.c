/* SPDX-License-Identifier: MIT
 *
 * test_groups_sim: the group engine under clients that come, go, pause, die and lose answers, over
 * a log that is late, refuses and is cut off by restarts. KAURI_TEST_LONG=1 runs more seeds,
 * KAURI_TEST_SEED=N one.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "test/unit/broker/groups_sim.h"

#define STEPS      1500
#define CALM_STEPS 2000

static void one_seed(uint64_t seed, size_t *commits, size_t *restarts)
{
    static struct sim sim;
    size_t calm = 0;
    sim_init(&sim, seed);
    for (int i = 0; i < STEPS; i++)
        sim_step(&sim);
    sim_calm(&sim);
    while (calm < CALM_STEPS && !sim_settled(&sim)) {
        sim_step(&sim);
        calm++;
    }
    if (!sim_settled(&sim))
        sim_dump(&sim);
    ck_assert_msg(sim_settled(&sim), "seed %llu does not settle", (unsigned long long)seed);
    *commits += sim.commits;
    *restarts += sim.restarts;
    sim_deinit(&sim);
}

START_TEST(by_seed)
{
    size_t commits = 0, restarts = 0;
    const char *only = getenv("KAURI_TEST_SEED");
    int count = getenv("KAURI_TEST_LONG") != NULL ? 1000 : 20;
    if (only != NULL) {
        one_seed(strtoull(only, NULL, 10), &commits, &restarts);
        return;
    }
    for (int i = 0; i < count; i++)
        one_seed((uint64_t)(_i * count + i + 1), &commits, &restarts);
    ck_assert_uint_gt(commits, 0);
    ck_assert_uint_gt(restarts, 0);
    printf("%d seeds: %zu commits answered, %zu restarts\n", count, commits, restarts);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("groups_sim");
    TCase *tc = tcase_create("groups_sim");
    tcase_add_loop_test(tc, by_seed, 0, 2);
    tcase_set_timeout(tc, 1200);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
