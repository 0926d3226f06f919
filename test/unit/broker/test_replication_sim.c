/* SPDX-License-Identifier: MIT
 *
 * Three whole brokers by seed, everything on: see cluster_sim.h for what happens to them and what
 * must hold. The seed decides the setting as well.
 *
 * 24 seeds; 10,000 with KAURI_TEST_LONG=1. SIM_SEED=n runs that one, RIG_LOG=1 tells what happens.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "test/unit/broker/cluster_sim.h"

#define SEEDS      24
#define SEEDS_LONG 10000
#define CHUNKS     100 /* of the long run, a process each */

static struct sim sim;

static struct sim_setup weather(uint64_t seed)
{
    struct random r;
    random_init(&r, seed);
    return (struct sim_setup){.seed = seed,
                              .changes = seed % 3 == 0,
                              .min_insync = random_below(&r, 3) == 0 ? 1 : 2,
                              .os = random_below(&r, 2) == 0,
                              .power = true,
                              .wipes = random_below(&r, 3) == 0,
                              .force = random_below(&r, 12) == 0,
                              .lag_ms = random_below(&r, 2) == 0 ? 1500 : 0};
}

static void one(uint64_t seed)
{
    struct sim_setup s = weather(seed);
    bool well = sim_run(&sim, &s);
    if (getenv("RIG_LOG") != NULL || sim.forced > 0 || !well)
        (void)fprintf(stderr,
                      "seed %llu (%s, min %u%s%s%s): %llu acked, %u promotions, %u kills, %u cuts, "
                      "%u wipes, %u forced; %s\n",
                      (unsigned long long)seed, s.os ? "os" : "sync", s.min_insync,
                      s.changes ? " and changed" : "", s.wipes ? ", wipes" : "",
                      s.force ? ", force" : "", (unsigned long long)sim.acks, sim.promotes,
                      sim.kills, sim.cuts, sim.wipes, sim.forced, sim.fault);
    ck_assert_msg(well, "seed %llu: %s", (unsigned long long)seed, sim.fault);
}

static uint64_t count(void)
{
    return getenv("KAURI_TEST_LONG") != NULL ? SEEDS_LONG / CHUNKS : 1;
}

START_TEST(nothing_lost)
{
    const char *only = getenv("SIM_SEED");
    for (uint64_t i = 0; only == NULL && i < count(); i++)
        one((uint64_t)_i * count() + i + 1);
    if (only != NULL)
        one(strtoull(only, NULL, 10));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("replication_sim");
    TCase *c = tcase_create("replication_sim");
    bool longer = getenv("KAURI_TEST_LONG") != NULL;
    tcase_set_timeout(c, 600);
    tcase_add_loop_test(c, nothing_lost, 0,
                        getenv("SIM_SEED") != NULL ? 1
                        : longer                   ? CHUNKS
                                                   : SEEDS);
    suite_add_tcase(s, c);
    return rig_main(s);
}
