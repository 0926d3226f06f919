/* SPDX-License-Identifier: MIT */
#include "test/unit/store/compact_world.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/store/verify.h"

#define WORLD_IDLE 2 /* producers 0 and 1 are idempotent, 2 and 3 transactional, -1 none */

uint64_t world_below(struct world *w, uint64_t bound)
{
    return random_below(&w->random, bound);
}

void world_init(struct world *w, uint64_t seed)
{
    *w = (struct world){.now_ms = RIG_TIME};
    random_init(&w->random, seed);
    w->disk = io_crash_new(0);
    w->fault = io_fault_new(w->disk);
    w->retention_ms = (int64_t)world_below(w, 3) * 2000;
    w->map_size = world_below(w, 2) == 0 ? 1 : 1 << 20;
    w->options = (struct log_options){.io = w->fault,
                                      .dir = WORLD_DIR,
                                      .segment_size_max = 2000 + world_below(w, 4000),
                                      .index_interval_size = 1 + world_below(w, 500),
                                      .checkpoint_size = 1000 + world_below(w, 20000)};
}

void world_deinit(struct world *w)
{
    ck_assert_int_eq(log_close(w->log), 0);
    io_crash_check(w->disk);
    io_fault_free(w->fault);
    io_crash_free(w->disk);
    free(w->records);
    free(w->batches);
}

void world_fail(struct world *w, struct io_fault_plan plan)
{
    io_fault_plan(w->fault, plan);
}

void world_reboot(struct world *w, bool cut)
{
    struct io *disk = cut ? io_crash_cut(w->disk, random_u64(&w->random)) : io_crash_kill(w->disk);
    ck_assert_ptr_null(w->log);
    io_fault_free(w->fault);
    io_crash_free(w->disk);
    w->disk = disk;
    w->fault = io_fault_new(disk);
    w->options.io = w->fault;
}

/* --- appending --- */

struct world_append {
    struct part_append append;
    struct buf batch; /* owned */
};

static void world_appended(struct part_append *a, int result)
{
    struct world_append *wa = LIST_ENTRY(a, struct world_append, append);
    (void)result;
    buf_deinit(&wa->batch);
    free(wa);
}

static void world_remember(struct world *w, const struct batch_header *h, int marker)
{
    if (w->batch_count == w->batch_cap) {
        w->batch_cap = w->batch_cap * 2 + 64;
        w->batches = realloc(w->batches, w->batch_cap * sizeof *w->batches);
        ck_assert_ptr_nonnull(w->batches);
    }
    w->batches[w->batch_count++] = (struct world_batch){.header = *h, .marker = marker};
    w->end = batch_next_offset(h);
}

static struct world_record *world_record(struct world *w, int64_t offset)
{
    if ((size_t)offset >= w->record_cap) {
        w->record_cap = (size_t)offset * 2 + 256;
        w->records = realloc(w->records, w->record_cap * sizeof *w->records);
        ck_assert_ptr_nonnull(w->records);
    }
    w->records[offset] =
        (struct world_record){.batch = w->batch_count, .tried_ms = -1, .covered_ms = -1, .key = -2};
    return &w->records[offset];
}

static struct slice world_key(int key, char out[32])
{
    snprintf(out, 32, "key-%d%s", key, key % 3 == 0 ? "-of-another-size" : "");
    return key < 0 ? SLICE_NULL : slice_str(out);
}

static size_t world_value(uint64_t tag, uint8_t out[200])
{
    size_t size = 8 + (size_t)(tag * 7 % 160);
    memset(out, (int)(tag % 7), size);
    bytes_put_le64(out, tag);
    return size;
}

static void world_queue(struct world *w, struct world_append *a, int marker)
{
    enum batch_fault fault = batch_parse(buf_slice(&a->batch), &a->append.header);
    ck_assert_int_eq(fault, BATCH_OK);
    a->append.batch = a->batch.p;
    a->append.done = world_appended;
    ck_assert_int_eq(part_append(log_part(w->log), &a->append, w->now_ms), 0);
    ck_assert_int_eq(a->append.header.base_offset, w->end);
    world_remember(w, &a->append.header, marker);
}

static struct world_append *world_new(void)
{
    struct world_append *a = calloc(1, sizeof *a);
    ck_assert_ptr_nonnull(a);
    return a;
}

static void world_put_marker(struct world *w, int64_t producer)
{
    uint8_t key[4] = {0}, value[6] = {0};
    struct batch_build b;
    struct batch_build_options o = batch_build_plain();
    struct world_append *a = world_new();
    int marker = 1 + (int)world_below(w, 2);
    key[3] = marker == 1 ? 0 : 1;
    o.producer_id = producer;
    o.producer_epoch = 0;
    o.attributes = BATCH_ATTR_TXN | BATCH_ATTR_CONTROL;
    batch_build_init(&b);
    batch_build_add(&b, w->now_ms, slice_of(key, 4), slice_of(value, 6), NULL, 0);
    batch_build_finish(&b, &o, &a->batch);
    batch_build_deinit(&b);
    world_record(w, w->end)->timestamp = w->now_ms;
    world_queue(w, a, marker);
}

static void world_put_record(struct world *w, struct batch_build *b, int32_t i)
{
    struct world_record *r = world_record(w, w->end + i);
    struct batch_pair pair = {slice_str("h"), SLICE_NULL};
    char key[32];
    uint8_t value[200];
    r->timestamp = w->now_ms - (int64_t)world_below(w, 500);
    r->tag = ++w->tag;
    r->key = world_below(w, 12) == 0 ? -1 : (int)world_below(w, WORLD_KEYS);
    r->null_value = world_below(w, 5) == 0;
    size_t size = world_value(r->tag, value);
    batch_build_add(b, r->timestamp, world_key(r->key, key),
                    r->null_value ? SLICE_NULL : slice_of(value, size), &pair,
                    (int32_t)(r->tag % 2));
}

static void world_put_batch(struct world *w)
{
    struct batch_build b;
    struct batch_build_options o = batch_build_plain();
    int32_t count = 1 + (int32_t)world_below(w, 8);
    struct world_append *a = world_new();
    o.codec = (enum codec)world_below(w, CODEC_COUNT);
    o.producer_id = (int64_t)world_below(w, 6) - 1;
    if (o.producer_id > 3 || o.producer_id < 0)
        o.producer_id = BATCH_NO_PRODUCER;
    if (o.producer_id >= 0) {
        o.producer_epoch = 0;
        o.base_sequence = w->sequences[o.producer_id];
        w->sequences[o.producer_id] += count;
        o.attributes = o.producer_id >= WORLD_IDLE ? BATCH_ATTR_TXN : 0;
    }
    batch_build_init(&b);
    for (int32_t i = 0; i < count; i++)
        world_put_record(w, &b, i);
    batch_build_finish(&b, &o, &a->batch);
    batch_build_deinit(&b);
    if (world_below(w, 6) == 0) {
        batch_stamp_append_time(a->batch.p, w->now_ms);
        for (int32_t i = 0; i < count; i++)
            w->records[w->end + i].timestamp = w->now_ms;
    }
    world_queue(w, a, 0);
}

int world_append(struct world *w)
{
    for (uint64_t n = 1 + world_below(w, 8); n > 0; n--) {
        if (world_below(w, 5) == 0)
            world_put_marker(w, WORLD_IDLE + (int64_t)world_below(w, 2));
        else
            world_put_batch(w);
    }
    int r = log_sync(w->log, w->now_ms);
    if (r == 0)
        w->acked = w->end;
    return r;
}

/* --- life --- */

/* What the log ends before was lost, and was not acknowledged. */
static void world_take_end(struct world *w)
{
    int64_t end = log_end(w->log);
    ck_assert_int_ge(end, w->acked);
    ck_assert_int_le(end, w->end);
    while (w->batch_count > 0 && w->batches[w->batch_count - 1].header.base_offset >= end)
        w->batch_count--;
    w->end = w->acked = end;
    memset(w->sequences, 0, sizeof w->sequences);
    for (size_t i = 0; i < w->batch_count; i++) {
        const struct batch_header *h = &w->batches[i].header;
        if (h->producer_id >= 0 && w->batches[i].marker == 0)
            w->sequences[h->producer_id] = h->base_sequence + h->last_offset_delta + 1;
    }
}

int world_open(struct world *w)
{
    w->options.now_ms = w->now_ms;
    int r = log_open(&w->options, &w->log);
    if (r != 0)
        return r;
    part_check(log_part(w->log));
    ck_assert_uint_eq(log_recovery(w->log)->damaged_count, 0);
    int64_t start = log_start(w->log);
    ck_assert_int_ge(start, w->start);
    ck_assert_int_le(start, w->trimming > w->start ? w->trimming : w->start);
    w->start = w->trimming = start;
    world_take_end(w);
    return 0;
}

int world_close(struct world *w)
{
    int r = log_close(w->log);
    w->log = NULL;
    return r;
}

int world_trim(struct world *w)
{
    w->trimming = w->start + (int64_t)world_below(w, (uint64_t)(w->acked - w->start) / 4 + 1);
    int r = log_trim(w->log, w->trimming, w->now_ms);
    if (r == 0)
        w->start = w->trimming;
    return r;
}

static void world_note_pass(struct world *w, int64_t below, bool whole)
{
    for (int64_t i = 0; i < below; i++) {
        struct world_record *r = &w->records[i];
        if (whole && r->covered_ms < 0)
            r->covered_ms = w->now_ms;
        if (!whole && r->tried_ms < 0)
            r->tried_ms = w->now_ms;
    }
}

int world_compact(struct world *w)
{
    struct compact_totals totals = {.end = -1};
    struct log_compact o = {.now_ms = w->now_ms,
                            .delete_retention_ms = w->retention_ms,
                            .min_lag_ms = world_below(w, 3) == 0 ? 1500 : 0,
                            .map_size_max = w->map_size,
                            .seed = 5,
                            .recode = world_below(w, 4) == 0,
                            .codec = (enum codec)world_below(w, CODEC_COUNT),
                            .totals = &totals};
    w->tried = log_end(w->log);
    world_note_pass(w, w->tried, false);
    int r = log_compact(w->log, &o);
    if (r == 0 && totals.records_before > 0) {
        ck_assert_int_gt(totals.end, w->start - 1);
        w->covered = totals.end;
        world_note_pass(w, totals.end, true);
    }
    return r;
}

/* --- looking --- */

static void world_look_record(struct world *w, const struct world_batch *b,
                              const struct batch_record *r)
{
    struct world_record *want = &w->records[r->offset];
    char key[32];
    uint8_t value[200];
    ck_assert(!want->present && !want->gone); /* never back */
    ck_assert_int_eq(r->timestamp, want->timestamp);
    want->present = true;
    if (b->marker != 0)
        return;
    struct slice k = world_key(want->key, key);
    ck_assert_int_eq(r->key.p == NULL, k.p == NULL);
    ck_assert(slice_equal(r->key, k));
    ck_assert_int_eq(r->value.p == NULL, want->null_value);
    if (!want->null_value)
        ck_assert(slice_equal(r->value, slice_of(value, world_value(want->tag, value))));
    ck_assert_int_eq(r->header_count, (int32_t)(want->tag % 2));
}

static void world_look_batch(struct world *w, struct slice bytes, size_t *slot)
{
    struct buf scratch = {0};
    struct batch_iter it;
    struct batch_record r;
    enum batch_fault fault = batch_iter_init(&it, bytes, 1 << 20, &scratch);
    ck_assert_int_eq(fault, BATCH_OK);
    while (*slot < w->batch_count && w->batches[*slot].header.base_offset < it.header.base_offset)
        (*slot)++;
    ck_assert_uint_lt(*slot, w->batch_count);
    struct world_batch *b = &w->batches[*slot];
    ck_assert_int_eq(it.header.base_offset, b->header.base_offset);
    ck_assert_int_eq(it.header.last_offset_delta, b->header.last_offset_delta);
    ck_assert_int_eq(it.header.producer_id, b->header.producer_id);
    ck_assert_int_eq(it.header.producer_epoch, b->header.producer_epoch);
    ck_assert_int_eq(it.header.base_sequence, b->header.base_sequence);
    ck_assert_int_eq(batch_check_records(bytes, &it.header, 1 << 20, &scratch), BATCH_OK);
    fault = batch_iter_init(&it, bytes, 1 << 20, &scratch);
    b->present = true;
    while (batch_iter_next(&it, &r, &fault))
        world_look_record(w, b, &r);
    ck_assert_int_eq(fault, BATCH_OK);
    buf_deinit(&scratch);
}

static void world_read(struct world *w)
{
    int64_t offset = log_start(w->log), good = -1;
    size_t slot = 0;
    for (size_t i = 0; i < w->batch_count; i++)
        w->batches[i].present = false;
    for (int64_t i = 0; i < w->end; i++)
        w->records[i].present = false;
    while (offset < log_end(w->log)) {
        struct log_view v;
        ck_assert_int_eq(log_read(w->log, offset, world_below(w, 3000), &v, &good), 0);
        struct slice rest = v.bytes;
        while (rest.size > 0) {
            struct batch_header h;
            ck_assert_int_eq(batch_check_stored(rest, 0, &h), BATCH_OK);
            world_look_batch(w, slice_of(rest.p, h.size), &slot);
            rest = slice_of(rest.p + h.size, rest.size - h.size);
        }
        offset = v.next_offset;
        log_view_release(&v);
    }
    ck_assert_int_eq(offset, log_end(w->log));
}

/* What the end of a transaction says of the record: 0 nothing, 1 aborted, 2 committed. */
static int world_outcome(const struct world *w, int64_t offset)
{
    size_t i = w->records[offset].batch;
    int64_t producer = w->batches[i].header.producer_id;
    if ((w->batches[i].header.attributes & BATCH_ATTR_TXN) == 0)
        return 2;
    for (i++; i < w->batch_count; i++)
        if (w->batches[i].marker != 0 && w->batches[i].header.producer_id == producer)
            return w->batches[i].marker;
    return 0;
}

/* A marker may go when nothing is left of what it ended, and its time has come. */
static void world_judge_marker(const struct world *w, size_t slot)
{
    const struct world_batch *m = &w->batches[slot];
    const struct world_record *r = &w->records[m->header.base_offset];
    if (m->present || m->header.base_offset < w->start)
        return;
    ck_assert(r->tried_ms >= 0 && w->now_ms >= r->tried_ms + w->retention_ms);
    for (size_t i = slot; i > 0; i--) {
        const struct world_batch *b = &w->batches[i - 1];
        if (b->header.producer_id != m->header.producer_id)
            continue;
        if (b->marker != 0)
            return;
        ck_assert(!b->present);
    }
}

/* Why a record may lack. */
static void world_judge_gone(const struct world *w, int64_t offset, int64_t latest)
{
    const struct world_record *r = &w->records[offset];
    int outcome = world_outcome(w, offset);
    ck_assert_int_lt(offset, w->tried);
    if (r->key < 0 || outcome == 1)
        return;
    ck_assert_int_eq(outcome, 2);
    if (latest > offset)
        return;
    ck_assert(r->null_value && r->tried_ms >= 0);
    ck_assert_int_ge(w->now_ms, r->tried_ms + w->retention_ms);
}

/* Why a record behind a whole pass may be there. */
static void world_judge_present(const struct world *w, int64_t offset, int64_t latest)
{
    const struct world_record *r = &w->records[offset];
    if (offset >= w->covered || r->covered_ms < 0)
        return;
    ck_assert_int_ge(r->key, 0);
    ck_assert_int_eq(world_outcome(w, offset), 2);
    ck_assert_int_eq(latest, offset);
}

static void world_judge(struct world *w)
{
    int64_t latest[WORLD_KEYS], covered[WORLD_KEYS];
    for (int k = 0; k < WORLD_KEYS; k++)
        latest[k] = covered[k] = -1;
    for (int64_t i = w->end - 1; i >= w->start; i--) {
        struct world_record *r = &w->records[i];
        if (w->batches[r->batch].marker != 0)
            continue;
        int64_t none = -1, *l = r->key >= 0 ? &latest[r->key] : &none;
        int64_t *c = r->key >= 0 ? &covered[r->key] : &none;
        if (world_outcome(w, i) == 2 && i < w->tried && *l < 0)
            *l = i;
        if (world_outcome(w, i) == 2 && i < w->covered && *c < 0)
            *c = i;
        if (r->present)
            world_judge_present(w, i, *c);
        else
            world_judge_gone(w, i, *l);
        w->dropped += !r->present && !r->gone;
        r->gone = !r->present;
    }
    for (size_t i = 0; i < w->batch_count; i++)
        if (w->batches[i].marker != 0)
            world_judge_marker(w, i);
}

static void world_judge_producers(const struct world *w)
{
    for (int64_t id = 0; id < 4; id++)
        for (size_t i = w->batch_count; i > 0; i--) {
            const struct world_batch *b = &w->batches[i - 1];
            if (b->header.producer_id != id || b->marker != 0)
                continue;
            ck_assert(b->present || batch_next_offset(&b->header) <= w->start);
            break;
        }
}

static void world_finding(void *ctx, bool fault, const char *line)
{
    (void)ctx;
    ck_assert_msg(!fault, "%s", line);
}

void world_look(struct world *w)
{
    struct store s;
    struct verify_totals t = {0};
    struct verify_options o = {.deep = true, .found = world_finding};
    world_read(w);
    world_judge(w);
    world_judge_producers(w);
    store_init(&s, &(struct store_options){.io = w->disk});
    ck_assert_int_eq(verify_part(&s, WORLD_DIR, &o, &t), 0);
    ck_assert_uint_eq(t.faults, 0);
    store_deinit(&s);
}
