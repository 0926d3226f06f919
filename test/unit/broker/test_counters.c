/* SPDX-License-Identifier: MIT
 *
 * test_counters: what is counted moves with what is done and with nothing else, and where the log
 * ended some time ago is told right, by a plain list of all appends.
 */
#include <check.h>
#include <stdlib.h>

#include "engine/base/random.h"
#include "engine/broker/broker_counters.h"
#include "test/unit/broker/rig.h"

static struct broker_partition_counters of(struct rig *g, int32_t partition)
{
    struct broker_partition_counters c;
    int r = broker_partition_counters(g->broker, slice_str("t"), partition, &c);
    ck_assert_int_eq(r, 0);
    return c;
}

START_TEST(produce_and_fetch_count)
{
    struct rig g;
    struct rig_fetch f;
    struct broker_counters b;
    struct broker_partition_counters none;
    rig_init(&g, 1, 0);
    rig_open(&g);
    rig_create(&g, "t", 2, NULL);
    ck_assert_uint_eq(of(&g, 0).sums.batches_in, 0);
    ck_assert_int_eq(rig_put(&g, "t", 0, &(struct rig_batch){.count = 3, .value_size = 8}, NULL),
                     BROKER_OK);
    ck_assert_int_eq(rig_put(&g, "t", 0, &(struct rig_batch){.count = 4, .value_size = 8}, NULL),
                     BROKER_OK);
    ck_assert_uint_eq(of(&g, 0).sums.batches_in, 2);
    ck_assert_uint_eq(of(&g, 0).sums.records_in, 7);
    ck_assert_uint_eq(of(&g, 1).sums.records_in, 0);
    rig_fetch_init(&f);
    rig_fetch_add(&f, "t", 0, 1); /* inside the first batch */
    rig_fetch_run(&g, &f);
    ck_assert_uint_eq(of(&g, 0).sums.fetches, 1);
    ck_assert_uint_eq(of(&g, 0).sums.records_out, 6);
    ck_assert_uint_eq(of(&g, 0).sums.size_out, f.items[0].bytes.size);
    ck_assert_uint_eq(of(&g, 0).sums.size_out, of(&g, 0).sums.size_in);
    broker_fetch_release(g.broker, &f.req);
    broker_counters(g.broker, &b);
    ck_assert_uint_ge(b.rounds[1].count, 2);
    ck_assert_uint_eq(b.syncs.count, b.rounds[1].count);
    ck_assert_uint_eq(b.in_flight_size, 0);
    int r = broker_partition_counters(g.broker, slice_str("t"), 2, &none);
    ck_assert_int_eq(r, 1);
    r = broker_partition_counters(g.broker, slice_str("u"), 0, &none);
    ck_assert_int_eq(r, 1);
    broker_check(g.broker);
    rig_stop(&g);
    rig_deinit(&g);
}
END_TEST

/* A refused batch and a repeated one add nothing. */
START_TEST(only_what_is_stored)
{
    struct rig g;
    rig_init(&g, 2, 0);
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    int64_t id = rig_producer_id(&g);
    struct rig_batch batch = {.producer = id + 1, .count = 2, .value_size = 8};
    ck_assert_int_eq(rig_put(&g, "t", 0, &batch, NULL), BROKER_OK);
    ck_assert_int_eq(rig_put(&g, "t", 0, &batch, NULL), BROKER_OK); /* a duplicate */
    batch.sequence = 9;
    ck_assert_int_eq(rig_put(&g, "t", 0, &batch, NULL), BROKER_SEQUENCE_GAP);
    ck_assert_uint_eq(of(&g, 0).sums.records_in, 2);
    rig_stop(&g);
    rig_deinit(&g);
}
END_TEST

#define STUCK_MS 3000
#define APPENDS  200

/* old_end lies between the ends of 4/3 of the time ago and of the time ago, as a plain list of
 * appends knows them; and it says so without any append, too. */
START_TEST(old_end)
{
    struct rig g;
    struct random random;
    int64_t at[APPENDS];
    rig_init(&g, (uint64_t)_i, 0);
    random_init(&random, (uint64_t)_i + 1);
    rig_set(&g, "group.stuck.ms", "3000");
    rig_open(&g);
    rig_create(&g, "t", 1, NULL);
    rig_put_tag(&g, "t", 0);
    at[0] = g.clock.wall_now_ms;
    ck_assert_int_eq(of(&g, 0).old_end, 0);
    rig_advance(&g, STUCK_MS);
    ck_assert_int_eq(of(&g, 0).old_end, 1);
    for (int64_t n = 1; n < APPENDS; n++) {
        rig_advance(&g, (int64_t)random_below(&random, random_below(&random, 4) == 0 ? 2500 : 90));
        rig_put_tag(&g, "t", (uint64_t)n);
        at[n] = g.clock.wall_now_ms;
        int64_t old = of(&g, 0).old_end, low = 0, high = 0;
        for (int64_t i = 0; i <= n; i++) {
            low += at[n] - at[i] >= STUCK_MS + STUCK_MS / 3;
            high += at[n] - at[i] >= STUCK_MS;
        }
        ck_assert_int_le(low, old);
        ck_assert_int_le(old, high);
    }
    broker_check(g.broker);
    rig_advance(&g, STUCK_MS);
    ck_assert_int_eq(of(&g, 0).old_end, APPENDS);
    rig_reopen(&g, true);
    struct broker_partition_info info;
    rig_load(&g, "t", 0, &info);
    ck_assert_int_eq(of(&g, 0).old_end, 0); /* nothing is known so soon */
    rig_advance(&g, STUCK_MS);
    ck_assert_int_eq(of(&g, 0).old_end, APPENDS);
    rig_put_tag(&g, "t", APPENDS);
    ck_assert_int_eq(of(&g, 0).old_end, APPENDS); /* but not the one that has just come */
    rig_stop(&g);
    rig_deinit(&g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("counters");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, produce_and_fetch_count);
    tcase_add_test(c, only_what_is_stored);
    tcase_add_loop_test(c, old_end, 0, 10);
    suite_add_tcase(s, c);
    return rig_main(s);
}
