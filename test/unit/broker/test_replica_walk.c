/* SPDX-License-Identifier: MIT
 *
 * test_replica_walk: random walks of a few model brokers over the real replica.c and election.c.
 * With all rules on, nothing may be lost; with one taken away, in the setting where it matters,
 * the judge must find out within so many seeds.
 *
 * KAURI_TEST_LONG=1: 10,000 seeds of each setting. KAURI_TEST_SEED=N: that one, step by step.
 *
 * Two rules are not missed here, and test_replica.c has their scenes. RULE_MAXIMAL: the promises of
 * an election meet whatever min.insync.replicas members counted, one member more is not needed;
 * elections by the record alone would need it. RULE_EPOCH: what a pull of an older epoch says has
 * not reached this one (RULE_REACHED) and does not count.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "test/unit/broker/replica_world.h"

#define STEPS 3000

struct total {
    size_t acks;
    size_t leaders;
    size_t cuts;
    size_t losses;
};

static struct world world;

/* The setting: durability, and how many of how many replicas are the minimum. */
static const char *setting(const struct world_setup *s)
{
    static char text[64];
    snprintf(text, sizeof text, "%s%s, %u of %d", s->os ? "os" : "sync",
             s->wipes ? " and wiped folders" : "", s->min_insync, s->replicas ? s->replicas : 3);
    return text;
}

static bool one(const struct world_setup *setup, uint64_t seed, struct total *t)
{
    struct world_setup s = *setup;
    bool well;
    s.seed = seed;
    s.steps = setup->steps != 0 ? setup->steps : STEPS;
    well = world_run(&world, &s);
    t->acks += world.acks;
    t->leaders += world.leaders;
    t->cuts += world.cuts;
    t->losses += world.losses;
    return well;
}

static const struct world_setup settings[] = {
    {.min_insync = 1},
    {.min_insync = 2},
    {.min_insync = 3},
    {.min_insync = 1, .os = true},
    {.min_insync = 2, .os = true},
    {.min_insync = 3, .os = true},
    {.min_insync = 2, .wipes = true},
    {.min_insync = 3, .wipes = true},
    {.min_insync = 2, .os = true, .wipes = true},
    {.min_insync = 3, .os = true, .wipes = true},
    {.replicas = 2, .min_insync = 1},
    {.replicas = 2, .min_insync = 2},
    {.replicas = 2, .min_insync = 2, .os = true},
    {.replicas = 2, .min_insync = 2, .wipes = true},
    {.replicas = 5, .min_insync = 2, .os = true},
    {.replicas = 5, .min_insync = 3},
    {.replicas = 5, .min_insync = 3, .os = true},
    {.replicas = 5, .min_insync = 3, .wipes = true},
};
#define SETTINGS (sizeof settings / sizeof settings[0])

START_TEST(nothing_lost)
{
    const struct world_setup *s = &settings[_i];
    const char *only = getenv("KAURI_TEST_SEED");
    uint64_t count = getenv("KAURI_TEST_LONG") != NULL ? 10000 : 500;
    uint64_t first = only != NULL ? strtoull(only, NULL, 10) : 1;
    struct total t = {0};
    world.trace = only != NULL;
    for (uint64_t seed = first; seed < first + (only != NULL ? 1 : count); seed++)
        ck_assert_msg(one(s, seed, &t), "%s, seed %llu: %s", setting(s), (unsigned long long)seed,
                      world.fault);
    printf("%s: %llu seeds, %zu acknowledged, %zu leaders, %zu cuts, %zu losses\n", setting(s),
           (unsigned long long)count, t.acks, t.leaders, t.cuts, t.losses);
    if (only != NULL)
        return;
    ck_assert_uint_gt(t.acks, count);
    ck_assert_uint_gt(t.leaders, 2 * count);
    ck_assert(t.cuts > 0 || s->min_insync == 1);
}
END_TEST

static const struct lack {
    const char *what;
    struct world_setup setup;
    uint64_t within; /* seeds */
} lacks[] = {
    {"freeze", {.min_insync = 2, .rules = RULE_FREEZE}, 20},
    {"joiner at the mark",
     {.min_insync = 2, .os = true, .wipes = true, .rules = RULE_JOIN_MARK},
     10000},
    {"joiner at the start", {.min_insync = 2, .wipes = true, .rules = RULE_JOIN_START}, 500},
    {"broker epoch", {.min_insync = 2, .wipes = true, .rules = RULE_BROKER_EPOCH}, 15000},
    {"reset", {.min_insync = 2, .os = true, .rules = RULE_RESET}, 12000},
    {"strike", {.min_insync = 2, .wipes = true, .rules = RULE_STRIKE}, 8000},
    {"eligible", {.min_insync = 2, .os = true, .rules = RULE_ELIGIBLE}, 2000},
    {"reached", {.min_insync = 2, .rules = RULE_REACHED}, 200},
    {"term once", {.min_insync = 2, .rules = RULE_TERM_ONCE}, 200},
    {"slot", {.min_insync = 3, .rules = RULE_SLOT}, 600},
    {"quorum", {.min_insync = 2, .rules = RULE_QUORUM}, 20},
    {"intact", {.min_insync = 2, .os = true, .rules = RULE_INTACT}, 200},
    {"greatest", {.min_insync = 2, .rules = RULE_GREATEST}, 20},
    {"resume", {.min_insync = 2, .os = true, .rules = RULE_RESUME}, 20},
    {"bug: counts before its sync", {.min_insync = 2, .bugs = WORLD_COUNT_UNSYNCED}, 200},
    {"bug: cuts to its high watermark", {.min_insync = 2, .bugs = WORLD_CUT_TO_MARK}, 50},
    {"bug: no epoch in pulls", {.min_insync = 2, .bugs = WORLD_BLIND}, 20},
    {"bug: follows lightly", {.min_insync = 3, .bugs = WORLD_FOLLOW_LIGHTLY}, 600},
    {"bug: leads early", {.min_insync = 2, .bugs = WORLD_LEAD_EARLY}, 20},
    {"bug: forgets its promise", {.min_insync = 2, .bugs = WORLD_FORGETS}, 200},
    {"bug: reached goes back", {.min_insync = 2, .bugs = WORLD_REACHED_BACK, .steps = 6000}, 6000},
    {"bug: votes by the last batch", {.min_insync = 2, .bugs = WORLD_TELL_LAST}, 6000},
    {"bug: leads unsynced", {.min_insync = 3, .os = true, .bugs = WORLD_LEAD_UNSYNCED}, 3000},
    {"bug: wiped and hasty", {.min_insync = 2, .wipes = true, .bugs = WORLD_FRESH_HASTY}, 4000},
    {"bug: copies from any", {.min_insync = 3, .os = true, .bugs = WORLD_COPY_ANY}, 6000},
};
#define LACKS (sizeof lacks / sizeof lacks[0])

START_TEST(found_out)
{
    const struct lack *l = &lacks[_i];
    struct total t = {0};
    uint64_t seed = 1;
    while (seed <= l->within && one(&l->setup, seed, &t))
        seed++;
    ck_assert_msg(seed <= l->within, "without \"%s\" (%s) %llu seeds lose nothing", l->what,
                  setting(&l->setup), (unsigned long long)l->within);
    printf("without \"%s\" (%s): seed %llu: %s\n", l->what, setting(&l->setup),
           (unsigned long long)seed, world.fault);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replica_walk");
    TCase *tc = tcase_create("replica_walk");
    tcase_add_loop_test(tc, nothing_lost, 0, SETTINGS);
    tcase_add_loop_test(tc, found_out, 0, LACKS);
    tcase_set_timeout(tc, 600);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
