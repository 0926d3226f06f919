/* SPDX-License-Identifier: MIT
 *
 * compact: single properties of compaction, each small enough to be read. The many by seed are in
 * test_compact_model.c.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/store/compact.h"
#include "engine/store/compact_map.h"
#include "engine/store/compact_swap.h"
#include "engine/store/round.h"
#include "engine/store/verify.h"
#include "test/unit/store/rig.h"

/* --- keys --- */

/* From the reference of SipHash: key 00..0f, input of 0 and of 15 bytes 00.. */
START_TEST(hash_vectors)
{
    static const uint8_t none[16] = {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6,
                                     0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93};
    static const uint8_t one[16] = {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44,
                                    0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45};
    uint8_t key[16];
    uint64_t seed[2], out[2];
    for (unsigned i = 0; i < 16; i++)
        key[i] = (uint8_t)i;
    seed[0] = bytes_le64(key);
    seed[1] = bytes_le64(key + 8);
    compact_map_hash(seed, slice_of(key, 0), out);
    ck_assert_mem_eq(out, none, sizeof none);
    compact_map_hash(seed, slice_of(key, 1), out);
    ck_assert_mem_eq(out, one, sizeof one);
}
END_TEST

START_TEST(map_is_bounded)
{
    struct compact_map m;
    int64_t count = 0;
    compact_map_init(&m, 10000 * 24, 1);
    while (compact_map_put(&m, map_key64(&count), count))
        count++;
    compact_map_check(&m);
    ck_assert_int_ge(count, 7400);
    ck_assert_int_le(count, 7500);
    for (int64_t i = 0; i < count; i++) {
        ck_assert_int_eq(compact_map_get(&m, map_key64(&i)), i);
        ck_assert(compact_map_put(&m, map_key64(&i), i + count)); /* known ones always fit */
    }
    int64_t other = count * 3;
    ck_assert_int_eq(compact_map_get(&m, map_key64(&other)), -1);
    compact_map_deinit(&m);
}
END_TEST

/* --- logs --- */

static int64_t put(struct log *l, int64_t key, int64_t value, int64_t now_ms)
{
    int64_t offset = -1;
    struct slice v = value < 0 ? SLICE_NULL : map_key64(&value);
    ck_assert_int_eq(log_append_record(l, now_ms, map_key64(&key), v, &offset), 0);
    return offset;
}

static struct log *open_rig(const struct rig *g, uint64_t segment_size)
{
    struct log_options o = rig_options(g);
    struct log *l = NULL;
    o.segment_size_max = segment_size;
    ck_assert_int_eq(log_open(&o, &l), 0);
    ck_assert_uint_eq(log_recovery(l)->damaged_count, 0);
    return l;
}

static void compact(struct log *l, int64_t now_ms, int64_t retention_ms)
{
    struct log_compact o = {.now_ms = now_ms, .delete_retention_ms = retention_ms};
    ck_assert_int_eq(log_compact(l, &o), 0);
}

/* Latest value and number of records of each key in front of `end`; batches reach the end. */
static uint64_t tally(struct log *l, int64_t end, int64_t *values, uint64_t *counts, size_t keys)
{
    uint64_t records = 0;
    int64_t offset = log_start(l), good;
    memset(counts, 0, keys * sizeof *counts);
    while (offset < end) {
        struct log_view v;
        struct buf scratch = {0};
        ck_assert_int_eq(log_read(l, offset, 1 << 16, &v, &good), 0);
        for (struct slice rest = v.bytes; rest.size > 0;) {
            struct batch_iter it;
            struct batch_record r;
            enum batch_fault fault = batch_iter_init(&it, rest, 1 << 20, &scratch);
            ck_assert_int_eq(fault, BATCH_OK);
            while (batch_iter_next(&it, &r, &fault)) {
                int64_t key = (int64_t)bytes_le64(r.key.p);
                if (r.offset >= end)
                    continue;
                ck_assert_uint_lt((size_t)key, keys);
                values[key] = r.value.p == NULL ? -1 : (int64_t)bytes_le64(r.value.p);
                counts[key]++;
                records++;
            }
            rest = slice_of(rest.p + it.header.size, rest.size - it.header.size);
        }
        offset = v.next_offset;
        log_view_release(&v);
        buf_deinit(&scratch);
    }
    return records;
}

#define KEYS    1000
#define UPDATES 1000000

static void put_updates(struct log *l, int64_t *latest, int64_t *offsets)
{
    struct random random;
    random_init(&random, 1);
    for (int64_t i = 0; i < UPDATES / KEYS; i++) {
        struct batch_build b;
        struct batch_build_options o = batch_build_plain();
        struct buf batch = {0};
        int64_t base = -1;
        o.codec = i % 3 == 0 ? CODEC_LZ4 : CODEC_NONE;
        batch_build_init(&b);
        for (int64_t k = 0; k < KEYS; k++) {
            int64_t key = (int64_t)random_below(&random, KEYS), value = i * KEYS + k;
            batch_build_add(&b, RIG_TIME + i, map_key64(&key), map_key64(&value), NULL, 0);
            latest[value] = key;
        }
        batch_build_finish(&b, &o, &batch);
        batch_build_deinit(&b);
        ck_assert_int_eq(log_append_batch(l, buf_slice(&batch), RIG_TIME, &base), 0);
        ck_assert_int_eq(base, i * KEYS);
        offsets[i] = base;
        buf_deinit(&batch);
        if (i % 50 == 0)
            ck_assert_int_eq(log_sync(l, RIG_TIME), 0);
    }
    ck_assert_int_eq(log_sync(l, RIG_TIME), 0);
}

START_TEST(million_updates)
{
    struct rig g;
    int64_t *keys = calloc(UPDATES, sizeof *keys), *offsets = calloc(KEYS, sizeof *offsets);
    int64_t values[KEYS], want[KEYS];
    uint64_t counts[KEYS];
    struct compact_totals totals;
    struct log_compact o = {.now_ms = RIG_TIME, .totals = &totals};
    ck_assert(keys != NULL && offsets != NULL);
    rig_init(&g, false);
    struct log *l = open_rig(&g, 1 << 20);
    put_updates(l, keys, offsets);
    const struct part *p = log_part(l);
    int64_t end = p->segments[p->count - 1]->base;
    ck_assert_uint_gt(p->count, 10);
    ck_assert_int_eq(log_compact(l, &o), 0);
    ck_assert_int_eq(totals.end, end);
    ck_assert_uint_eq(totals.records_after, KEYS);
    for (int64_t i = 0; i < end; i++)
        want[keys[i]] = i;
    for (unsigned twice = 0; twice < 2; twice++) {
        ck_assert_uint_eq(tally(l, end, values, counts, KEYS), KEYS);
        for (size_t k = 0; k < KEYS; k++) {
            ck_assert_uint_eq(counts[k], 1);
            ck_assert_int_eq(values[k], want[k]);
        }
        ck_assert_int_eq(log_end(l), UPDATES);
        ck_assert_int_eq(log_close(l), 0);
        l = open_rig(&g, 1 << 20);
    }
    ck_assert_int_eq(log_close(l), 0);
    rig_deinit(&g);
    free(keys);
    free(offsets);
}
END_TEST

START_TEST(pins_keep_the_old_bytes)
{
    struct rig g;
    struct log_view views[8];
    struct buf before[8] = {{0}};
    int64_t good, offset = 0;
    rig_init(&g, true);
    struct log *l = open_rig(&g, 1000);
    for (int64_t i = 0; i < 200; i++)
        put(l, i % 3, i, RIG_TIME);
    ck_assert_int_eq(log_sync(l, RIG_TIME), 0);
    for (size_t i = 0; i < 8; i++) {
        ck_assert_int_eq(log_read(l, offset, 500, &views[i], &good), 0);
        buf_append(&before[i], views[i].bytes.p, views[i].bytes.size);
        offset = views[i].next_offset;
    }
    size_t segments = log_part(l)->count;
    compact(l, RIG_TIME, 0);
    ck_assert_uint_eq(log_part(l)->count, segments); /* two old ones do not fit into one */
    for (int64_t i = 0; i < 20; i++)
        put(l, i % 3, i, RIG_TIME);
    compact(l, RIG_TIME, 0);
    ck_assert_uint_lt(log_part(l)->count, 6); /* two small ones do */
    ck_assert(rig_has(g.io, g.dir, COMPACT_MARK));
    ck_assert(!rig_has(g.io, g.dir, ".cleaned") && !rig_has(g.io, g.dir, ".swap"));
    for (size_t i = 0; i < 8; i++) {
        ck_assert_mem_eq(views[i].bytes.p, before[i].p, before[i].size);
        log_view_release(&views[i]);
        buf_deinit(&before[i]);
    }
    ck_assert_int_eq(log_read(l, 0, 1, &views[0], &good), 0);
    ck_assert_int_gt(views[0].next_offset, 20); /* what was there is not any more */
    log_view_release(&views[0]);
    ck_assert_int_eq(log_close(l), 0);
    rig_deinit(&g);
}
END_TEST

static void swapped(struct part_swap *s, int result)
{
    int *told = s->ctx;
    *told = result;
}

/* All of [0, end) of a part, batch by batch; how many records. */
static int64_t read_part(struct part *p, int64_t end)
{
    int64_t count = 0, good;
    for (int64_t offset = 0; offset < end;) {
        struct part_read q = {.offset = offset, .bound = end, .size_max = 1, .may_wait = true};
        struct part_extent e;
        struct part_warm warm;
        struct batch_header h;
        ck_assert_int_eq(part_read(p, &q, &e, &warm, &good), 0); /* nothing has to be opened */
        ck_assert_int_eq(batch_parse(e.bytes, &h), BATCH_OK);
        count += h.count;
        offset = e.next_offset;
        reader_unpin(e.pin);
    }
    return count;
}

/* A read between the files' change and its end finds the old bytes, though the mapping that the
 * pass brought has no index. */
START_TEST(read_during_a_swap)
{
    struct rig g;
    int result = -1;
    rig_init(&g, true);
    struct log *l = open_rig(&g, 1000);
    for (int64_t i = 0; i < 200; i++)
        put(l, i % 3, i, RIG_TIME);
    ck_assert_int_eq(log_sync(l, RIG_TIME), 0);
    ck_assert_int_eq(log_close(l), 0); /* no mapping is left */
    l = open_rig(&g, 1000);
    struct part *p = log_part(l);
    struct part_cleanable q = {.first_dirty = -1, .young_ms = INT64_MAX};
    part_cleanable(p, &q);
    struct compact *c = compact_new(
        p, &(struct compact_options){
               .first_dirty = q.first_dirty, .end = q.end, .map_size_max = 1 << 20, .codec = -1});
    while (c->phase != COMPACT_SWAP)
        compact_step(c, 1 << 20);
    struct part_swap *s = compact_swap(c);
    s->done = swapped;
    s->ctx = &result;
    part_swap(p, s);
    struct part_round *r = part_round_take(p, true, RIG_TIME);
    int64_t before = read_part(p, s->end);
    ck_assert_int_eq(before, s->end);
    ck_assert_int_eq(round_write_part(r), 0);
    ck_assert_int_eq(round_control_part(r), 0);
    ck_assert_int_eq(read_part(p, s->end), before);
    int64_t end = s->end;
    p->store->buries = true;
    part_round_done(p, r, PART_STAGE_FINISHED);
    ck_assert_int_eq(result, 0);
    struct list old;
    list_init(&old);
    store_exhume(p->store, &old); /* mappings of what was removed: not unmapped here */
    ck_assert(!list_empty(&old) && list_empty(&p->store->buried));
    reader_discard_all(g.io, &old);
    part_check(p);
    compact_swapped(c, result);
    compact_cancel(c);
    compact_step(c, 1 << 20);
    compact_free(c);
    struct log_view v;
    int64_t good;
    ck_assert_int_eq(log_read(l, 0, 1, &v, &good), 0);
    ck_assert_int_ge(v.next_offset, end - 3); /* what was there is not any more */
    log_view_release(&v);
    ck_assert_int_eq(log_close(l), 0);
    rig_deinit(&g);
}
END_TEST

/* A deleted key can be read until its time has come, then nothing of it is left. */
START_TEST(tombstones)
{
    struct rig g;
    int64_t values[3];
    uint64_t counts[3];
    rig_init(&g, false);
    struct log *l = open_rig(&g, 300);
    for (int64_t i = 0; i < 10; i++)
        put(l, i % 2, i, RIG_TIME);
    put(l, 0, -1, RIG_TIME);
    for (int64_t now = 0; now <= 1000; now += 250) {
        for (int64_t i = 0; i < 8; i++) /* something dirty each time */
            put(l, 2, i, RIG_TIME + now);
        compact(l, RIG_TIME + now, 1000);
        tally(l, log_end(l), values, counts, 3);
        ck_assert_uint_eq(counts[0], now < 1000);
        ck_assert_uint_eq(counts[1], 1);
        ck_assert_int_eq(values[1], 9);
    }
    ck_assert_int_eq(log_close(l), 0);
    rig_deinit(&g);
}
END_TEST

START_TEST(the_young_stay)
{
    struct rig g;
    int64_t values[1];
    uint64_t counts[1];
    struct log_compact o = {.now_ms = RIG_TIME + 5000, .min_lag_ms = 3000};
    rig_init(&g, false);
    struct log *l = open_rig(&g, 300);
    for (int64_t i = 0; i < 50; i++)
        put(l, 0, i, RIG_TIME + i * 100);
    ck_assert_int_eq(log_compact(l, &o), 0);
    tally(l, log_end(l), values, counts, 1);
    ck_assert_uint_ge(counts[0], 30); /* of the last three seconds */
    ck_assert_uint_le(counts[0], 35);
    ck_assert_int_eq(log_close(l), 0);
    rig_deinit(&g);
}
END_TEST

/* What ends the cleaned range goes, and nothing follows it: its batch stays, so that readers come
 * to the end. */
START_TEST(the_end_is_reached)
{
    struct rig g;
    int64_t values[3];
    uint64_t counts[3];
    rig_init(&g, false);
    struct log *l = open_rig(&g, 300);
    for (int64_t i = 0; i < 10; i++)
        put(l, i % 3, i, RIG_TIME);
    ck_assert_int_eq(log_append_record(l, RIG_TIME, SLICE_NULL, slice_str("no key"), NULL), 0);
    ck_assert_int_eq(log_sync(l, RIG_TIME), 0);
    part_seal(log_part(l));
    compact(l, RIG_TIME, 0);
    const struct part *p = log_part(l);
    ck_assert_int_eq(p->segments[p->count - 1]->base, 11); /* empty */
    ck_assert_uint_eq(tally(l, log_end(l), values, counts, 3), 3);
    ck_assert_int_eq(log_close(l), 0);
    rig_deinit(&g);
}
END_TEST

/* Times are asked of what is there; an emptied batch has none. */
START_TEST(times)
{
    struct rig g;
    int64_t offset, found;
    rig_init(&g, false);
    struct log *l = open_rig(&g, 300);
    for (int64_t i = 0; i < 50; i++)
        put(l, i < 40 ? 0 : 1, i, RIG_TIME + (i == 20 ? 9000 : i));
    compact(l, RIG_TIME, 0);
    ck_assert_int_eq(log_find_time(l, RIG_TIME + 5, &offset, &found), 0);
    ck_assert_int_eq(offset, 39);
    ck_assert_int_eq(found, RIG_TIME + 39);
    ck_assert_int_eq(log_find_time(l, RIG_TIME + 8000, &offset, &found), 0);
    ck_assert_int_eq(offset, -1);
    ck_assert_int_eq(log_close(l), 0);
    rig_deinit(&g);
}
END_TEST

static void finding(void *ctx, bool fault, const char *line)
{
    unsigned *faults = ctx;
    (void)line;
    *faults += fault;
}

/* With the state file gone the mark tells that gaps are no damage. */
START_TEST(without_state)
{
    struct rig g;
    int64_t values[3];
    uint64_t counts[3];
    unsigned faults = 0;
    char path[128];
    rig_init(&g, false);
    struct log *l = open_rig(&g, 300);
    for (int64_t i = 0; i < 60; i++)
        put(l, i % 3, i, RIG_TIME);
    compact(l, RIG_TIME, 0);
    ck_assert_int_eq(log_close(l), 0);
    snprintf(path, sizeof path, "%s/state", g.dir);
    ck_assert_int_eq(io_unlink(g.io, path), 0);
    l = open_rig(&g, 300);
    tally(l, log_end(l), values, counts, 3);
    ck_assert_int_eq(values[2], 59);
    ck_assert_int_eq(log_close(l), 0);
    struct store s;
    struct verify_totals t = {0};
    struct verify_options o = {.deep = true, .found = finding, .ctx = &faults};
    store_init(&s, &(struct store_options){.io = g.io});
    ck_assert_int_eq(verify_part(&s, g.dir, &o, &t), 0);
    store_deinit(&s);
    ck_assert_uint_eq(faults, 0);
    rig_deinit(&g);
}
END_TEST

/* Where a segment cannot be read, nothing is thrown away: what it held is not known. */
START_TEST(damage_stops_it)
{
    struct rig g;
    int64_t bases[64];
    char path[128];
    rig_init(&g, false);
    struct log *l = open_rig(&g, 300);
    for (int64_t i = 0; i < 60; i++)
        put(l, i % 3, i, RIG_TIME);
    ck_assert_int_eq(log_sync(l, RIG_TIME), 0);
    size_t count = rig_files(g.io, g.dir, "log", bases, 64);
    snprintf(path, sizeof path, "%s/%020lld.log", g.dir, (long long)bases[count / 2]);
    ck_assert_int_eq(io_crash_flip(g.io, path, 70, 3), 0);
    struct log_compact o = {.now_ms = RIG_TIME};
    ck_assert_int_eq(log_compact(l, &o), COMPACT_DAMAGED);
    ck_assert_uint_eq(rig_files(g.io, g.dir, "log", bases, 64), count);
    ck_assert(!rig_has(g.io, g.dir, ".cleaned") && !rig_has(g.io, g.dir, COMPACT_MARK));
    ck_assert_int_eq(log_close(l), 0);
    rig_deinit(&g);
}
END_TEST

/* A follower's log is cut back into what was compacted, and goes on. */
START_TEST(truncation)
{
    struct rig g;
    int64_t values[2];
    uint64_t counts[2];
    rig_init(&g, false);
    struct log *l = open_rig(&g, 300);
    for (int64_t i = 0; i < 60; i++)
        put(l, 0, i, RIG_TIME);
    compact(l, RIG_TIME, 0);
    uint32_t generation = log_part(l)->generation;
    ck_assert_uint_gt(generation, 0);
    ck_assert_int_eq(log_truncate(l, 30, RIG_TIME), 0);
    ck_assert_int_le(log_end(l), 30);
    ck_assert_uint_eq(log_part(l)->generation, generation + 2);
    for (int64_t i = 0; i < 20; i++)
        put(l, 1, i, RIG_TIME);
    compact(l, RIG_TIME, 0);
    tally(l, log_end(l), values, counts, 2);
    ck_assert_uint_eq(counts[0], 0);
    ck_assert_int_eq(values[1], 19);
    ck_assert_int_eq(log_close(l), 0);
    rig_deinit(&g);
}
END_TEST

START_TEST(swap_names)
{
    struct compact_swap s;
    ck_assert(compact_swap_parse("00000000000000000007.00000000000000000123.swap", &s));
    ck_assert_int_eq(s.base, 7);
    ck_assert_int_eq(s.end, 123);
    ck_assert(!compact_swap_parse("00000000000000000007.00000000000000000007.swap", &s));
    ck_assert(!compact_swap_parse("00000000000000000007.0000000000000000012x.swap", &s));
    ck_assert(!compact_swap_parse("00000000000000000007.swap", &s));
    ck_assert(!compact_swap_parse("00000000000000000007-00000000000000000123.swap", &s));
    ck_assert(compact_swap_is_leftover("00000000000000000007.log.cleaned"));
    ck_assert(!compact_swap_is_leftover("7.log.cleaned"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("compact");
    TCase *c = tcase_create("compact");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, hash_vectors);
    tcase_add_test(c, map_is_bounded);
    tcase_add_test(c, million_updates);
    tcase_add_test(c, pins_keep_the_old_bytes);
    tcase_add_test(c, read_during_a_swap);
    tcase_add_test(c, tombstones);
    tcase_add_test(c, the_young_stay);
    tcase_add_test(c, the_end_is_reached);
    tcase_add_test(c, times);
    tcase_add_test(c, without_state);
    tcase_add_test(c, damage_stops_it);
    tcase_add_test(c, truncation);
    tcase_add_test(c, swap_names);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
