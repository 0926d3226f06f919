/* SPDX-License-Identifier: MIT
 *
 * test_snapshot_compact: a snapshot and compaction meet. Links are made by name, and a swap puts
 * other bytes under names, so no swap may begin before the snapshot's end; then compaction goes on.
 * What is restored is sound, and has the last state of every key at the moment it was taken.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "engine/broker/broker_priv.h"
#include "engine/store/compact_swap.h"
#include "test/unit/broker/snap.h"

#define KEYS  6
#define SEEDS 60

static struct rig_produce *start(struct rig *g, int64_t key, int64_t version)
{
    struct batch_build b;
    struct batch_build_options o = batch_build_plain();
    struct rig_produce *p = rig_produce_new(1);
    struct rig_batch none = {.tag = 0};
    rig_produce_add(p, "t", 0, &none);
    buf_reset(&p->batches[0]);
    batch_build_init(&b);
    batch_build_add(&b, RIG_TIME + version, map_key64(&key), map_key64(&version), NULL, 0);
    batch_build_finish(&b, &o, &p->batches[0]);
    batch_build_deinit(&b);
    p->items[0].batch = p->batches[0].p;
    p->items[0].size = p->batches[0].size;
    rig_produce_start(g, p);
    return p;
}

static void put(struct rig *g, int64_t key, int64_t version)
{
    struct rig_produce *p = start(g, key, version);
    rig_run(g);
    ck_assert_uint_eq(p->done, 1);
    ck_assert_int_eq(p->items[0].status, BROKER_OK);
    rig_produce_free(p);
}

static struct part *part(struct rig *g)
{
    struct topic *t = broker_find_topic(g->broker, slice_str("t"));
    ck_assert_ptr_nonnull(t);
    return t->parts[0]->part;
}

/* Last version of each key, 0 none. */
static void read_keys(struct rig *g, int64_t last[KEYS])
{
    int64_t offset = rig_start(g, "t", 0), end = rig_end(g, "t", 0);
    memset(last, 0, KEYS * sizeof *last);
    while (offset < end) {
        struct rig_fetch f;
        struct buf scratch = {0};
        rig_fetch_init(&f);
        rig_fetch_add(&f, "t", 0, offset);
        rig_fetch_run(g, &f);
        ck_assert_int_eq(f.items[0].status, BROKER_OK);
        ck_assert_uint_gt(f.items[0].bytes.size, 0);
        for (struct slice rest = f.items[0].bytes; rest.size > 0;) {
            struct batch_iter it;
            struct batch_record r;
            enum batch_fault fault = batch_iter_init(&it, rest, 1 << 20, &scratch);
            ck_assert_int_eq(fault, BATCH_OK);
            while (batch_iter_next(&it, &r, &fault))
                last[bytes_le64(r.key.p)] = (int64_t)bytes_le64(r.value.p);
            offset = batch_next_offset(&it.header);
            rest = slice_of(rest.p + it.header.size, rest.size - it.header.size);
        }
        broker_fetch_release(g->broker, &f.req);
        buf_deinit(&scratch);
    }
}

struct world {
    struct rig g;
    struct random random;
    int64_t acked[KEYS];
    int64_t version;
    uint64_t swaps; /* that had ended with the snapshot */
};

/* Many segments, most of them dirty, and a pass somewhere in the middle. */
static void begin(struct world *w, uint64_t seed)
{
    struct rig *g = &w->g;
    *w = (struct world){.version = 0};
    random_init(&w->random, seed);
    rig_init(g, seed, 0);
    rig_set(g, "log.segment.bytes", "700");
    rig_set(g, "log.cleaner.backoff.ms", "200");
    rig_set(g, "log.cleaner.min.cleanable.ratio", "0.05");
    rig_open(g);
    rig_create(g, "t", 1, "cleanup.policy=compact");
    for (unsigned i = 0; i < 90; i++) {
        int64_t key = (int64_t)random_below(&w->random, KEYS);
        put(g, key, ++w->version);
        w->acked[key] = w->version;
    }
    clock_fake_advance(&g->clock, 1000);
    for (uint64_t i = random_below(&w->random, 60); i > 0; i--) {
        (void)work_sim_step(g->work);
        rig_turn(g);
    }
}

/* Produces, takes turns, lets time pass until the snapshot is there. Returns how many swaps ended
 * meanwhile that had not begun before. */
static uint64_t until_done(struct world *w, struct rig_admin *a)
{
    struct rig *g = &w->g;
    uint64_t known = part(g)->swaps + (part(g)->swap != NULL);
    struct rig_produce *flight = NULL;
    for (unsigned i = 0; i < 500 && a->done == 0; i++) {
        if (flight == NULL)
            flight = start(g, (int64_t)random_below(&w->random, KEYS), ++w->version);
        if (random_below(&w->random, 3) == 0)
            (void)work_sim_step(g->work);
        if (random_below(&w->random, 8) == 0)
            clock_fake_advance(&g->clock, 50);
        rig_turn(g);
        if (flight->done > 0) {
            rig_produce_free(flight);
            flight = NULL;
        }
        ck_assert(a->done > 0 || !part(g)->swapping || part(g)->swaps < known);
    }
    w->swaps = part(g)->swaps;
    rig_run(g);
    rig_produce_free(flight);
    ck_assert_uint_eq(a->done, 1);
    ck_assert_msg(a->req.status == BROKER_OK, "%s", a->req.message);
    return w->swaps > known ? w->swaps - known : 0;
}

START_TEST(no_swap_meanwhile)
{
    unsigned busy = 0, waited = 0, cleaned = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world w;
        struct rig *g = &w.g;
        int64_t acked[KEYS], last[KEYS];
        begin(&w, seed);
        memcpy(acked, w.acked, sizeof acked);
        busy += broker_compact_busy(g->broker->compact);
        struct rig_admin *a = snap_start(g, SNAP_DIR);
        ck_assert_uint_eq(until_done(&w, a), 0);
        free(a);
        rig_advance(g, 3000); /* it goes on */
        waited += part(g)->swaps > w.swaps;
        cleaned += snap_there(g, SNAP_DIR "/t-0/" COMPACT_MARK);
        ck_assert_uint_eq(g->errors + g->warnings, 0);
        ck_assert_int_eq(snap_restore(g, SNAP_DIR, SNAP_NEW, NULL), 0);
        ck_assert_int_eq(snap_there(g, SNAP_NEW "/t-0/" COMPACT_MARK),
                         snap_there(g, SNAP_DIR "/t-0/" COMPACT_MARK));
        snap_move_to(g, SNAP_NEW);
        read_keys(g, last);
        for (size_t k = 0; k < KEYS; k++) {
            ck_assert_int_ge(last[k], acked[k]);
            ck_assert_int_le(last[k], w.version);
        }
        rig_deinit(g);
    }
    ck_assert_uint_gt(busy, SEEDS / 4);
    ck_assert_uint_gt(waited, SEEDS / 4);
    ck_assert(cleaned > SEEDS / 10 && cleaned < SEEDS); /* of both kinds */
}
END_TEST

/* Nothing spins while a pass waits, and a stop in between ends both. */
START_TEST(stops_meanwhile)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world w;
        int64_t last[KEYS];
        begin(&w, seed);
        struct rig_admin *a = snap_start(&w.g, SNAP_DIR);
        for (uint64_t i = 0; i < seed % 12; i++) {
            rig_turn(&w.g);
            (void)work_sim_step(w.g.work);
        }
        rig_stop(&w.g);
        ck_assert_uint_eq(a->done, 1);
        free(a);
        rig_open(&w.g);
        read_keys(&w.g, last);
        ck_assert_mem_eq(last, w.acked, sizeof last);
        rig_deinit(&w.g);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("broker/snapshot_compact");
    TCase *t = tcase_create("snapshot_compact");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, no_swap_meanwhile);
    tcase_add_test(t, stops_meanwhile);
    suite_add_tcase(s, t);
    return rig_main(s);
}
