/* SPDX-License-Identifier: MIT
 *
 * test_compact: when the broker compacts which partition, what goes on meanwhile, and that no key's
 * last acknowledged state is lost or comes back when it dies anywhere. How is the store's, see
 * test/unit/store/test_compact_model.c. 50 seeds; 1,000 with KAURI_TEST_LONG=1.
 *
 * A record's timestamp is RIG_TIME plus its version; every sixth version deletes the key.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "engine/broker/broker_priv.h"
#include "test/unit/broker/rig.h"

#define KEYS    12
#define FLIGHTS 8

static bool deletes(int64_t version)
{
    return version % 6 == 0;
}

static void build(int64_t key, int64_t version, struct buf *out)
{
    struct batch_build b;
    struct batch_build_options o = batch_build_plain();
    o.codec = version % 4 == 0 ? CODEC_LZ4 : CODEC_NONE;
    batch_build_init(&b);
    batch_build_add(&b, RIG_TIME + version, map_key64(&key),
                    deletes(version) ? SLICE_NULL : map_key64(&version), NULL, 0);
    batch_build_finish(&b, &o, out);
    batch_build_deinit(&b);
}

static struct rig_produce *start(struct rig *g, const char *topic, int64_t key, int64_t version)
{
    struct rig_produce *p = rig_produce_new(1);
    struct rig_batch none = {.tag = 0};
    rig_produce_add(p, topic, 0, &none);
    buf_reset(&p->batches[0]);
    build(key, version, &p->batches[0]);
    p->items[0].batch = p->batches[0].p;
    p->items[0].size = p->batches[0].size;
    rig_produce_start(g, p);
    return p;
}

static void put(struct rig *g, const char *topic, int64_t key, int64_t version)
{
    struct rig_produce *p = start(g, topic, key, version);
    rig_run(g);
    ck_assert_uint_eq(p->done, 1);
    ck_assert_int_eq(p->items[0].status, BROKER_OK);
    rig_produce_free(p);
}

static struct bpart *bpart(struct rig *g, const char *topic)
{
    struct topic *t = broker_find_topic(g->broker, slice_str(topic));
    ck_assert_ptr_nonnull(t);
    return t->parts[0];
}

/* Last version of each key (0 none), and how many records there are; fetches reach the end. */
static size_t read_keys(struct rig *g, const char *topic, int64_t last[KEYS])
{
    size_t records = 0;
    int64_t offset = rig_start(g, topic, 0), end = rig_end(g, topic, 0);
    memset(last, 0, KEYS * sizeof *last);
    while (offset < end) {
        struct rig_fetch f;
        struct buf scratch = {0};
        rig_fetch_init(&f);
        rig_fetch_add(&f, topic, 0, offset);
        rig_fetch_run(g, &f);
        ck_assert_int_eq(f.items[0].status, BROKER_OK);
        ck_assert_uint_gt(f.items[0].bytes.size, 0);
        for (struct slice rest = f.items[0].bytes; rest.size > 0;) {
            struct batch_iter it;
            struct batch_record r;
            enum batch_fault fault = batch_iter_init(&it, rest, 1 << 20, &scratch);
            ck_assert_int_eq(fault, BATCH_OK);
            while (batch_iter_next(&it, &r, &fault)) {
                int64_t key = (int64_t)bytes_le64(r.key.p), version = r.timestamp - RIG_TIME;
                ck_assert_int_gt(version, last[key]); /* in order */
                last[key] = version;
                records += r.offset >= offset;
            }
            offset = batch_next_offset(&it.header);
            rest = slice_of(rest.p + it.header.size, rest.size - it.header.size);
        }
        broker_fetch_release(g->broker, &f.req);
        buf_deinit(&scratch);
    }
    return records;
}

static void compact_init(struct rig *g, uint64_t seed)
{
    rig_init(g, seed, 0);
    rig_set(g, "log.segment.bytes", "1000");
    rig_set(g, "log.cleaner.backoff.ms", "1000");
    rig_open(g);
}

static void fill(struct rig *g, const char *topic, int64_t from, int64_t count)
{
    for (int64_t i = from; i < from + count; i++)
        put(g, topic, i % KEYS, 6 * i + 1);
}

START_TEST(latest_of_each_key)
{
    struct rig g;
    int64_t last[KEYS];
    compact_init(&g, 1);
    rig_create(&g, "t", 1, "cleanup.policy=compact");
    rig_create(&g, "plain", 1, NULL);
    fill(&g, "t", 0, 200);
    fill(&g, "plain", 0, 200);
    rig_advance(&g, 3000);
    ck_assert_uint_lt(read_keys(&g, "t", last), KEYS + 20); /* and the active segment */
    for (int64_t k = 0; k < KEYS; k++)
        ck_assert_int_eq(last[k], 6 * (199 - (199 - k) % KEYS) + 1);
    ck_assert_int_eq(rig_end(&g, "t", 0), 200);
    ck_assert_uint_eq(read_keys(&g, "plain", last), 200);
    rig_deinit(&g);
}
END_TEST

/* The ratio decides; a record that waits too long does, too, and out of the active segment. */
START_TEST(when_it_is_due)
{
    struct rig g;
    int64_t last[KEYS];
    compact_init(&g, 2);
    rig_create(&g, "t", 1, "cleanup.policy=compact");
    ck_assert_int_eq(rig_alter(&g, "t", "min.cleanable.dirty.ratio", "0.6"), BROKER_OK);
    fill(&g, "t", 0, 100);
    rig_advance(&g, 2000);
    int64_t first = bpart(&g, "t")->first_dirty;
    ck_assert_int_gt(first, 50);
    fill(&g, "t", 100, 15);
    rig_advance(&g, 2000);
    ck_assert_int_eq(bpart(&g, "t")->first_dirty, first);
    ck_assert_int_eq(rig_alter(&g, "t", "min.cleanable.dirty.ratio", "0.1"), BROKER_OK);
    rig_advance(&g, 2000);
    ck_assert_int_gt(bpart(&g, "t")->first_dirty, first);
    first = bpart(&g, "t")->first_dirty;
    ck_assert_int_lt(first, 115);
    ck_assert_int_eq(rig_alter(&g, "t", "min.cleanable.dirty.ratio", "1"), BROKER_OK);
    ck_assert_int_eq(rig_alter(&g, "t", "max.compaction.lag.ms", "10000"), BROKER_OK);
    rig_advance(&g, 15000);
    ck_assert_int_eq(bpart(&g, "t")->first_dirty, 115); /* all of it */
    ck_assert_uint_eq(read_keys(&g, "t", last), KEYS);
    rig_deinit(&g);
}
END_TEST

START_TEST(not_when_young_or_off)
{
    struct rig g;
    int64_t last[KEYS];
    for (unsigned off = 0; off < 2; off++) {
        rig_init(&g, 3, 0);
        rig_set(&g, "log.segment.bytes", "1000");
        rig_set(&g, "log.cleaner.enable", off == 1 ? "false" : "true");
        rig_open(&g);
        rig_create(&g, "t", 1, "cleanup.policy=compact");
        ck_assert_int_eq(rig_alter(&g, "t", "min.compaction.lag.ms", "600000"), BROKER_OK);
        fill(&g, "t", 0, 100);
        rig_advance(&g, 60000);
        ck_assert_uint_eq(read_keys(&g, "t", last), 100);
        clock_fake_advance(&g.clock, 600000);
        rig_advance(&g, 60000);
        ck_assert_uint_eq(read_keys(&g, "t", last) == 100, off == 1);
        rig_deinit(&g);
    }
}
END_TEST

/* Where the next pass begins survives a start, but not the topic. */
START_TEST(hint)
{
    struct rig g;
    compact_init(&g, 4);
    rig_create(&g, "t", 1, "cleanup.policy=compact");
    fill(&g, "t", 0, 100);
    rig_advance(&g, 3000);
    int64_t first = bpart(&g, "t")->first_dirty;
    uint32_t generation = bpart(&g, "t")->part->generation;
    ck_assert_int_gt(first, 50);
    for (unsigned clean = 0; clean < 2; clean++) {
        rig_reopen(&g, clean == 1);
        rig_advance(&g, 3000);
        ck_assert_int_eq(bpart(&g, "t")->first_dirty, first);
        ck_assert_uint_eq(bpart(&g, "t")->part->generation, generation); /* nothing to do */
    }
    ck_assert_int_eq(rig_delete(&g, "t"), BROKER_OK);
    rig_create(&g, "t", 1, "cleanup.policy=compact");
    fill(&g, "t", 0, 3);
    rig_advance(&g, 3000);
    ck_assert_int_eq(bpart(&g, "t")->first_dirty, -1);
    rig_deinit(&g);
}
END_TEST

/* compact,delete: old segments go, of the others the latest stays. */
START_TEST(with_retention)
{
    struct rig g;
    int64_t last[KEYS];
    rig_init(&g, 5, 0);
    rig_set(&g, "log.segment.bytes", "1000");
    rig_set(&g, "log.cleaner.backoff.ms", "1000");
    rig_set(&g, "log.retention.check.interval.ms", "1000");
    rig_open(&g);
    rig_create(&g, "t", 1, "cleanup.policy=compact,delete");
    ck_assert_int_eq(rig_alter(&g, "t", "retention.ms", "3600000"), BROKER_OK);
    fill(&g, "t", 0, 100);
    rig_advance(&g, 3000);
    ck_assert_uint_lt(read_keys(&g, "t", last), KEYS + 20);
    ck_assert_int_eq(rig_start(&g, "t", 0), 0);
    for (unsigned i = 0; i < 3; i++) { /* a jump of the clock makes a check wait for the next */
        clock_fake_advance(&g.clock, 1500000);
        rig_advance(&g, 2000);
    }
    ck_assert_int_eq(rig_start(&g, "t", 0), 100);
    ck_assert_uint_eq(read_keys(&g, "t", last), 0);
    fill(&g, "t", 100, 100);
    rig_advance(&g, 3000);
    ck_assert_int_eq(rig_end(&g, "t", 0), 200);
    rig_deinit(&g);
}
END_TEST

/* A slow disk of one's own making: the rate stretches a pass over time. */
START_TEST(rate)
{
    struct rig g;
    rig_init(&g, 6, 0);
    rig_set(&g, "log.segment.bytes", "100000");
    rig_set(&g, "log.cleaner.backoff.ms", "1000");
    rig_set(&g, "log.cleaner.io.max.bytes.per.second", "40000");
    rig_open(&g);
    rig_create(&g, "t", 1, "cleanup.policy=compact");
    fill(&g, "t", 0, 3000);
    clock_fake_advance(&g.clock, 1000);
    int64_t begin = g.clock.wall_now_ms;
    for (unsigned i = 0; i < 60 && bpart(&g, "t")->first_dirty < 0; i++)
        rig_advance(&g, 1000);
    ck_assert_int_gt(bpart(&g, "t")->first_dirty, 0);
    ck_assert_int_gt(g.clock.wall_now_ms - begin, 8000); /* read three times, 200 KiB and more */
    ck_assert_int_lt(g.clock.wall_now_ms - begin, 40000);
    rig_deinit(&g);
}
END_TEST

/* The topic is deleted, trimmed, or the broker stops, after every number of turns of a pass. */
START_TEST(in_the_middle)
{
    int64_t last[KEYS];
    unsigned met = 0;
    for (unsigned turns = 1; turns < 60; turns++) {
        struct rig g;
        compact_init(&g, 100 + turns);
        rig_create(&g, "t", 1, "cleanup.policy=compact,delete"); /* may be trimmed */
        fill(&g, "t", 0, 60);
        clock_fake_advance(&g.clock, 2000);
        for (unsigned i = 0; i < turns; i++) {
            (void)work_sim_step(g.work);
            rig_turn(&g);
        }
        met += broker_compact_busy(g.broker->compact);
        if (turns % 3 == 0) {
            ck_assert_int_eq(rig_delete(&g, "t"), BROKER_OK);
            ck_assert(!rig_has_folder(&g, "t-0"));
        } else if (turns % 3 == 1) {
            ck_assert_int_eq(rig_trim(&g, "t", 0, 30), BROKER_OK);
            ck_assert_int_eq(rig_start(&g, "t", 0), 30);
            (void)read_keys(&g, "t", last);
            rig_reopen(&g, turns % 2 == 0);
            ck_assert_int_eq(rig_start(&g, "t", 0), 30);
            (void)read_keys(&g, "t", last);
        } else {
            rig_stop(&g);
            rig_open(&g);
            (void)read_keys(&g, "t", last);
            for (int64_t k = 0; k < KEYS; k++)
                ck_assert_int_gt(last[k], 0);
        }
        ck_assert_uint_eq(g.errors + g.warnings, 0);
        rig_deinit(&g);
    }
    ck_assert_uint_gt(met, 6);
}
END_TEST

static void read_last(struct rig *g)
{
    struct rig_fetch f;
    rig_fetch_init(&f);
    rig_fetch_add(&f, "t", 0, rig_end(g, "t", 0) - 1);
    rig_fetch_run(g, &f);
    ck_assert_int_eq(f.items[0].status, BROKER_OK);
    broker_fetch_release(g->broker, &f.req);
}

/* A read while the files change under their names: of mappings that stood before, also of one that
 * was made when the segment had no index yet. */
START_TEST(read_during_a_swap)
{
    unsigned met = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct rig g;
        struct random random;
        int64_t last[KEYS];
        random_init(&random, seed);
        rig_init(&g, seed, 0);
        rig_set(&g, "log.segment.bytes", "1000");
        rig_set(&g, "log.index.interval.bytes", "200");
        rig_set(&g, "log.cleaner.backoff.ms", "1000");
        rig_open(&g);
        rig_create(&g, "t", 1, "cleanup.policy=compact");
        for (int64_t i = 0; i < 60; i++) {
            fill(&g, "t", i, 1);
            if (random_below(&random, 5) == 0)
                read_last(&g);
        }
        clock_fake_advance(&g.clock, 2000);
        for (unsigned i = 0; i < 100; i++) {
            (void)work_sim_step(g.work);
            rig_turn(&g);
            if (bpart(&g, "t")->part->swapping) {
                met++;
                (void)read_keys(&g, "t", last); /* the round ends meanwhile */
                break;
            }
        }
        (void)read_keys(&g, "t", last);
        for (int64_t k = 0; k < KEYS; k++)
            ck_assert_int_eq(last[k], 6 * (59 - (59 - k) % KEYS) + 1);
        ck_assert_uint_eq(g.errors + g.warnings, 0);
        rig_deinit(&g);
    }
    ck_assert_uint_gt(met, 30);
}
END_TEST

/* --- it dies anywhere --- */

struct keyed {
    struct rig *rig;
    struct random random;
    int64_t sent[KEYS];
    int64_t acked[KEYS];
    struct rig_produce *flights[FLIGHTS];
    int64_t keys[FLIGHTS];
    int64_t versions[FLIGHTS];
    uint64_t answered;
};

static void land(struct keyed *k)
{
    for (size_t i = 0; i < FLIGHTS; i++) {
        struct rig_produce *p = k->flights[i];
        if (p == NULL || p->done == 0)
            continue;
        if (p->items[0].status == BROKER_OK) {
            if (k->versions[i] > k->acked[k->keys[i]])
                k->acked[k->keys[i]] = k->versions[i];
            k->answered++;
        }
        rig_produce_free(p);
        k->flights[i] = NULL;
    }
}

static void send(struct keyed *k)
{
    size_t i = 0;
    while (i < FLIGHTS && k->flights[i] != NULL)
        i++;
    if (i == FLIGHTS)
        return;
    k->keys[i] = (int64_t)random_below(&k->random, KEYS);
    k->versions[i] = ++k->sent[k->keys[i]];
    k->flights[i] = start(k->rig, "t", k->keys[i], k->versions[i]);
}

static void live(struct keyed *k)
{
    struct rig *g = k->rig;
    unsigned steps = 100 + (unsigned)random_below(&k->random, 300);
    bool doomed = random_below(&k->random, 2) == 0;
    for (unsigned i = 0; i < steps && g->fatals == 0; i++) {
        if (doomed && i == steps / 2)
            rig_fail(g, 1 + random_below(&k->random, 250), true);
        uint64_t what = random_below(&k->random, 10);
        if (what < 6)
            send(k);
        else if (what < 8)
            (void)work_sim_step(g->work);
        else
            clock_fake_advance(&g->clock, (int64_t)random_below(&k->random, 400));
        if (what == 9)
            rig_run(g);
        else
            rig_turn(g);
        land(k);
    }
}

/* The process is gone; what had no answer gets none. */
static void forget(struct keyed *k)
{
    for (size_t i = 0; i < FLIGHTS; i++) {
        rig_produce_free(k->flights[i]);
        k->flights[i] = NULL;
    }
}

/* What a key ends with is what was acknowledged, or what was sent behind that. */
static void judge(struct keyed *k)
{
    int64_t last[KEYS];
    (void)read_keys(k->rig, "t", last);
    for (int64_t i = 0; i < KEYS; i++) {
        ck_assert_int_le(last[i], k->sent[i]);
        if (last[i] >= k->acked[i]) {
            k->acked[i] = last[i];
            continue;
        }
        int64_t deleted = k->sent[i];
        while (deleted > k->acked[i] && !deletes(deleted))
            deleted--;
        ck_assert_msg(last[i] == 0 && deletes(deleted), "key %d: %d is there, %d was acknowledged",
                      (int)i, (int)last[i], (int)k->acked[i]);
        k->acked[i] = deleted;
    }
}

START_TEST(deaths)
{
    struct rig g;
    struct keyed k = {.rig = &g};
    random_init(&k.random, (uint64_t)_i);
    rig_init(&g, (uint64_t)_i, 0);
    rig_set(&g, "log.segment.bytes", _i % 2 == 0 ? "700" : "1500");
    rig_set(&g, "log.cleaner.backoff.ms", "200");
    rig_set(&g, "log.cleaner.min.cleanable.ratio", _i % 3 == 0 ? "0.5" : "0.05");
    rig_set(&g, "log.cleaner.delete.retention.ms", _i % 4 == 0 ? "0" : "1500");
    rig_open(&g);
    rig_create(&g, "t", 1, "cleanup.policy=compact");
    for (unsigned life = 0; life < 5; life++) {
        live(&k);
        if (random_below(&k.random, 2) == 0)
            rig_cut(&g, random_u64(&k.random));
        else
            rig_kill(&g);
        forget(&k);
        rig_open(&g);
        judge(&k);
        ck_assert_uint_eq(g.errors, 0);
    }
    ck_assert_uint_gt(k.answered, 100);
    rig_stop(&g);
    rig_deinit(&g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("compact");
    TCase *t = tcase_create("compact");
    const char *lasting = getenv("KAURI_TEST_LONG");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, latest_of_each_key);
    tcase_add_test(t, when_it_is_due);
    tcase_add_test(t, not_when_young_or_off);
    tcase_add_test(t, hint);
    tcase_add_test(t, with_retention);
    tcase_add_test(t, rate);
    tcase_add_test(t, in_the_middle);
    tcase_add_test(t, read_during_a_swap);
    tcase_add_loop_test(t, deaths, 0, lasting != NULL && lasting[0] == '1' ? 1000 : 50);
    suite_add_tcase(s, t);
    return rig_main(s);
}
