/* SPDX-License-Identifier: MIT */
#include "test/unit/store/model.h"

#include <check.h>
#include <stdlib.h>

#include "engine/store/query.h"

void model_init(struct model *m, uint64_t seed)
{
    *m = (struct model){.acked = 0};
    random_init(&m->random, seed);
}

void model_deinit(struct model *m)
{
    buf_deinit(&m->bytes);
    buf_deinit(&m->lost);
    free(m->batches);
    free(m->times);
}

struct log_options model_options(struct model *m, struct io *io, const char *dir)
{
    return (struct log_options){
        .io = io,
        .dir = dir,
        .segment_size_max = 2048 + (uint64_t)model_below(m, 6144),
        .index_interval_size = 1 + (uint64_t)model_below(m, 700),
        .checkpoint_size = 1000 + (uint64_t)model_below(m, 20000),
        .segment_ms = model_below(m, 3) == 0 ? 3000 : 0,
        .now_ms = RIG_TIME,
    };
}

uint64_t model_below(struct model *m, uint64_t bound)
{
    return random_below(&m->random, bound);
}

static int64_t model_next(const struct model *m, size_t count)
{
    return count > 0 ? m->batches[count - 1].next : 0;
}

int64_t model_end(const struct model *m)
{
    int64_t end = model_next(m, m->acked);
    return end > m->start ? end : m->start;
}

static size_t model_pos(const struct model *m, size_t slot)
{
    return slot < m->count ? m->batches[slot].pos : m->bytes.size;
}

/* The batch that contains the offset. */
static size_t model_slot(const struct model *m, int64_t offset)
{
    size_t slot = m->count;
    while (slot > 0 && m->batches[slot - 1].base > offset)
        slot--;
    return slot > 0 && m->batches[slot - 1].next > offset ? slot - 1 : slot;
}

/* --- appending --- */

static void model_keep_times(struct model *m, struct slice batch)
{
    struct buf scratch = {0};
    struct batch_iter it;
    struct batch_record rec;
    enum batch_fault fault = batch_iter_init(&it, batch, 1 << 20, &scratch);
    ck_assert_int_eq(fault, BATCH_OK);
    while (batch_iter_next(&it, &rec, &fault)) {
        if ((size_t)rec.offset >= m->times_cap) {
            m->times_cap = (size_t)rec.offset * 2 + 64;
            m->times = realloc(m->times, m->times_cap * sizeof *m->times);
            ck_assert_ptr_nonnull(m->times);
        }
        m->times[rec.offset] = rec.timestamp;
    }
    ck_assert_int_eq(fault, BATCH_OK);
    buf_deinit(&scratch);
}

/* The log took the batch at `offset`. */
static void model_add(struct model *m, struct log *l, struct slice batch, int64_t offset)
{
    size_t pos = m->bytes.size;
    int64_t end = model_next(m, m->count);
    ck_assert_int_eq(offset, end > m->start ? end : m->start);
    if (m->count == m->cap) {
        m->cap = m->cap * 2 + 16;
        m->batches = realloc(m->batches, m->cap * sizeof *m->batches);
        ck_assert_ptr_nonnull(m->batches);
    }
    buf_append(&m->bytes, batch.p, batch.size);
    batch_stamp(m->bytes.p + pos, offset, log_part(l)->epoch);
    struct model_batch *b = &m->batches[m->count++];
    struct slice stored = slice_of(m->bytes.p + pos, batch.size);
    ck_assert_int_eq(batch_check_stored(stored, offset, &b->header), BATCH_OK);
    b->pos = pos;
    b->base = b->header.base_offset;
    b->next = batch_next_offset(&b->header);
    model_keep_times(m, stored);
}

static void model_cut(struct model *m, size_t count)
{
    ck_assert_uint_le(count, m->count);
    m->bytes.size = model_pos(m, count);
    m->count = count;
    m->acked = m->acked < count ? m->acked : count;
}

/* The sequence behind a batch. */
static int32_t model_after(const struct batch_header *h)
{
    return (int32_t)(((uint32_t)h->base_sequence + (uint32_t)h->last_offset_delta + 1) & INT32_MAX);
}

/* What the rules of KIP-98 say, by looking through the whole history. */
static int model_judge(const struct model *m, const struct batch_header *h, int64_t *original)
{
    const struct batch_header *newer = NULL;
    int32_t next = h->base_sequence;
    unsigned seen = 0;
    for (size_t i = h->producer_id >= 0 ? m->count : 0; i > 0 && seen < 5; i--) {
        const struct batch_header *b = &m->batches[i - 1].header;
        if (b->producer_id != h->producer_id)
            continue;
        if (newer == NULL)
            next = model_after(b);
        if (newer == NULL && h->producer_epoch < b->producer_epoch)
            return PART_FENCED;
        if (newer == NULL && h->producer_epoch > b->producer_epoch)
            return h->base_sequence == 0 ? 0 : PART_GAP;
        if (newer != NULL &&
            (b->producer_epoch != newer->producer_epoch || newer->base_sequence != model_after(b)))
            break;
        *original = b->base_offset;
        if (b->base_sequence == h->base_sequence && b->last_offset_delta == h->last_offset_delta)
            return PART_DUPLICATE;
        newer = b;
        seen++;
    }
    return h->base_sequence == next ? 0 : PART_GAP;
}

/* True when the answer depends on batches that the log may have forgotten. */
static bool model_is_vague(const struct model *m, int64_t producer_id)
{
    unsigned seen = 0;
    for (size_t i = m->count; i > 0 && seen < 6; i--) {
        if (m->batches[i - 1].header.producer_id != producer_id)
            continue;
        if (m->batches[i - 1].base < m->vague)
            return true;
        seen++;
    }
    return false;
}

static void model_put_batch(struct model *m, struct log *l, struct slice batch)
{
    struct batch_header h;
    int64_t offset = -1, original = -1;
    ck_assert_int_eq(batch_parse(batch, &h), BATCH_OK);
    int want = model_judge(m, &h, &original);
    int r = log_append_batch(l, batch, RIG_TIME, &offset);
    if (!model_is_vague(m, h.producer_id)) {
        ck_assert_int_eq(r, want);
        if (r == PART_DUPLICATE)
            ck_assert_int_eq(offset, original);
    }
    if (r == 0)
        model_add(m, l, batch, offset);
}

static int64_t model_time(struct model *m)
{
    return RIG_TIME + (int64_t)model_below(m, 5000) - (int64_t)m->count;
}

static void model_put_record(struct model *m, struct log *l)
{
    struct batch_build build;
    struct batch_build_options o = batch_build_plain();
    struct buf batch = {0};
    uint8_t value[400];
    int64_t time = model_time(m), offset = -1;
    size_t size = (size_t)model_below(m, sizeof value);
    memset(value, (int)m->tag++, size);
    struct slice key = model_below(m, 3) == 0 ? SLICE_NULL : slice_str("key");
    struct slice bytes = model_below(m, 9) == 0 ? SLICE_NULL : slice_of(value, size);
    batch_build_init(&build);
    batch_build_add(&build, time, key, bytes, NULL, 0);
    batch_build_finish(&build, &o, &batch);
    batch_build_deinit(&build);
    ck_assert_int_eq(log_append_record(l, time, key, bytes, &offset), 0);
    model_add(m, l, buf_slice(&batch), offset);
    buf_deinit(&batch);
}

/* The producer's next sequence, or one that is wrong in some way. */
static void model_sequence(struct model *m, struct rig_batch *b)
{
    const struct batch_header *last = NULL;
    for (size_t i = m->count; i > 0 && last == NULL; i--)
        if (m->batches[i - 1].header.producer_id == b->producer_id)
            last = &m->batches[i - 1].header;
    if (last == NULL) {
        b->sequence = b->producer_id == 0 ? INT32_MAX - 20 : 0;
        return;
    }
    b->epoch = last->producer_epoch;
    b->sequence = model_after(last);
    switch (model_below(m, 12)) {
    case 0: /* a gap */
        b->sequence = (int32_t)(((uint32_t)b->sequence + 1) & INT32_MAX);
        break;
    case 1: /* as it was sent: a duplicate */
        b->sequence = last->base_sequence;
        b->count = last->last_offset_delta + 1;
        break;
    case 2:
        b->epoch = (int16_t)(b->epoch + 1);
        b->sequence = 0;
        break;
    case 3:
        b->epoch = (int16_t)(b->epoch > 0 ? b->epoch - 1 : 0);
        break;
    default:
        break;
    }
}

/* Another leader, now and then. */
static void model_lead(struct model *m, struct log *l)
{
    struct part *p = log_part(l);
    int32_t epoch = p->epoch;
    if (model_below(m, 12) != 0)
        return;
    ck_assert_int_eq(part_set_epoch(p, epoch + (int32_t)model_below(m, 3)), 0);
    if (epoch > 0)
        ck_assert_int_eq(part_set_epoch(p, epoch - 1), PART_EPOCH);
}

void model_append(struct model *m, struct log *l)
{
    struct buf batch = {0};
    model_lead(m, l);
    if (model_below(m, 3) == 0) {
        model_put_record(m, l);
        return;
    }
    struct rig_batch b = {.producer_id = (int64_t)model_below(m, MODEL_PRODUCERS + 1) - 1,
                          .count = (int32_t)model_below(m, 8) + 1,
                          .timestamp = model_time(m),
                          .step = (int64_t)model_below(m, 7) - 3,
                          .value_size = (size_t)model_below(m, 120),
                          .tag = m->tag++,
                          .codec = model_below(m, 2) == 0 ? CODEC_NONE : CODEC_LZ4};
    if (b.producer_id >= 0)
        model_sequence(m, &b);
    rig_build(&b, &batch);
    model_put_batch(m, l, buf_slice(&batch));
    buf_deinit(&batch);
}

/* --- reading --- */

static void model_read_at(struct model *m, struct log *l, int64_t offset, size_t size_max)
{
    struct log_view v;
    int64_t good = -1;
    int r = log_read(l, offset, size_max, &v, &good);
    if (offset < m->start || offset > model_end(m)) {
        ck_assert_int_eq(r, PART_OUT_OF_RANGE);
        return;
    }
    if (offset == model_end(m)) {
        ck_assert_int_eq(r, PART_END);
        return;
    }
    ck_assert_int_eq(r, 0);
    size_t first = model_slot(m, offset), end = model_slot(m, v.next_offset);
    ck_assert_uint_lt(first, end);
    ck_assert_int_eq(v.next_offset, m->batches[end - 1].next);
    ck_assert_uint_eq(v.bytes.size, model_pos(m, end) - m->batches[first].pos);
    ck_assert(end == first + 1 || v.bytes.size <= size_max);
    ck_assert_mem_eq(v.bytes.p, m->bytes.p + m->batches[first].pos, v.bytes.size);
    log_view_release(&v);
}

void model_read(struct model *m, struct log *l)
{
    int64_t offset = (int64_t)model_below(m, (uint64_t)model_end(m) + 3);
    model_read_at(m, l, offset, (size_t)model_below(m, 3000));
}

/* The newest record: the first of the largest timestamp. */
static void model_find_newest(const struct model *m, struct log *l)
{
    int64_t want = -1;
    struct query q;
    for (int64_t i = m->start; i < model_end(m); i++)
        if (want < 0 || m->times[i] > m->times[want])
            want = i;
    query_init(&q, log_part(l), QUERY_MAX_TIMESTAMP, log_end(l));
    query_run(&q);
    ck_assert_int_eq(q.result, 0);
    ck_assert_int_eq(q.offset, want);
    if (want >= 0)
        ck_assert_int_eq(q.found_timestamp, m->times[want]);
    query_deinit(&q);
}

void model_find(struct model *m, struct log *l)
{
    int64_t t = model_time(m), offset = -2, found = -2, want = m->start;
    while (want < model_end(m) && m->times[want] < t)
        want++;
    ck_assert_int_eq(log_find_time(l, t, &offset, &found), 0);
    ck_assert_int_eq(offset, want < model_end(m) ? want : -1);
    if (offset >= 0)
        ck_assert_int_eq(found, m->times[want]);
    model_find_newest(m, l);
}

/* The history of leader epochs is what the batches say. */
static void model_check_epochs(const struct model *m, struct log *l)
{
    const struct part *p = log_part(l);
    struct epochs want = {0};
    for (size_t i = model_slot(m, m->start); i < m->count; i++) {
        const struct batch_header *h = &m->batches[i].header;
        ck_assert_int_eq(epochs_at(&p->epochs, batch_next_offset(h)), h->leader_epoch);
        ck_assert(epochs_append(&want, h->leader_epoch,
                                want.count == 0 && h->base_offset < m->start ? m->start
                                                                             : h->base_offset));
    }
    ck_assert_int_eq(part_last_epoch(p), epochs_last(&want));
    ck_assert(epochs_equal(&p->epochs, &want));
    epochs_deinit(&want);
}

void model_check(struct model *m, struct log *l)
{
    struct buf all = {0};
    part_check(log_part(l));
    model_check_epochs(m, l);
    ck_assert_int_eq(log_start(l), m->start);
    ck_assert_int_eq(log_end(l), model_end(m));
    size_t first = model_slot(m, m->start), end = m->acked;
    int64_t from = first < end ? m->batches[first].base : m->start;
    if (first < end && from < m->start) { /* the log starts inside a batch */
        model_read_at(m, l, m->start, 1);
        from = m->batches[first].next;
        first++;
    }
    ck_assert_uint_eq(rig_read_all(l, from, (size_t)model_below(m, 5000), &all), 0);
    ck_assert_uint_eq(all.size, model_pos(m, end) - model_pos(m, first));
    if (all.size > 0)
        ck_assert_mem_eq(all.p, m->bytes.p + model_pos(m, first), all.size);
    buf_deinit(&all);
}

/* --- what changes the log's ends --- */

int model_sync(struct model *m, struct log *l)
{
    int r = log_sync(l, RIG_TIME);
    if (r == 0)
        m->acked = m->count;
    if (r == IO_FULL)
        model_cut(m, m->acked);
    return r;
}

int model_trim(struct model *m, struct log *l)
{
    uint64_t span = (uint64_t)(model_end(m) - m->start);
    int64_t to = m->start + (int64_t)model_below(m, span + 1);
    if (model_below(m, 8) == 0)
        to = model_end(m);
    int r = log_trim(l, to, RIG_TIME);
    m->start = to;
    if (r == 0)
        m->start_from = to;
    if (r >= 0 && log_end(l) == (m->count > 0 ? model_next(m, m->count) : to))
        m->acked = m->count;
    if (r >= 0)
        model_cut(m, m->acked);
    if (r == IO_FULL) /* segments may have gone without a snapshot of their producers */
        m->vague = m->start > m->vague ? m->start : m->vague;
    return r;
}

int model_truncate(struct model *m, struct log *l)
{
    const struct part *p = log_part(l);
    int64_t first = p->count > 0 ? p->segments[0]->base : 0;
    model_cut(m, m->acked); /* the queue goes */
    uint64_t span = (uint64_t)(model_end(m) - m->start);
    int64_t to = model_end(m) - (int64_t)(model_below(m, span + 1) / (1 + model_below(m, 5)));
    size_t keep = 0;
    while (keep < m->count && m->batches[keep].next <= to)
        keep++;
    int64_t end = keep < m->count && m->batches[keep].base < m->start ? m->batches[keep].base : to;
    m->acked = keep;
    m->start_from = end < m->start_from ? end : m->start_from;
    m->vague = first > m->vague ? first : m->vague;
    int r = log_truncate(l, to, RIG_TIME);
    if (r == IO_FULL)
        m->acked = m->count;
    if (r < 0)
        return r;
    model_cut(m, m->acked);
    ck_assert_int_ge(log_start(l), m->start_from);
    ck_assert_int_le(log_start(l), m->start);
    m->start = m->start_from = log_start(l); /* a trim that was refused is forgotten */
    return r;
}

int model_step(struct model *m, struct log *l)
{
    switch (model_below(m, 24)) {
    case 0:
        return model_trim(m, l);
    case 1:
        return model_truncate(m, l);
    case 2:
    case 3:
        model_read(m, l);
        return 0;
    case 4:
        model_find(m, l);
        return 0;
    case 5:
    case 6:
    case 7:
    case 8:
        return model_sync(m, l);
    default:
        model_append(m, l);
        return 0;
    }
}

/* --- after a crash --- */

void model_acked(struct model *m, int64_t offset)
{
    while (m->acked < m->count && m->batches[m->acked].next <= offset)
        m->acked++;
}

void model_drop_queue(struct model *m)
{
    model_cut(m, m->acked);
}

void model_recovered(struct model *m, struct log *l)
{
    int64_t start = log_start(l), end = log_end(l);
    size_t n = 0;
    part_check(log_part(l));
    ck_assert_int_ge(start, m->start_from);
    ck_assert_int_le(start, m->start);
    while (n < m->count && m->batches[n].next <= end)
        n++;
    ck_assert_uint_ge(n, m->acked);
    m->start = m->start_from = start;
    buf_reset(&m->lost);
    if (n < m->count) {
        buf_append(&m->lost, m->bytes.p + m->batches[n].pos, m->batches[n].header.size);
        batch_stamp(m->lost.p, 0, -1);
    }
    model_cut(m, n);
    m->acked = n;
}

void model_retry(struct model *m, struct log *l)
{
    if (m->lost.size > 0)
        model_put_batch(m, l, buf_slice(&m->lost));
}

void model_repeat(struct model *m, struct log *l)
{
    for (int64_t id = 0; id < MODEL_PRODUCERS; id++) {
        size_t i = m->acked;
        while (i > 0 && m->batches[i - 1].header.producer_id != id)
            i--;
        if (i == 0 || m->batches[i - 1].base < m->vague)
            continue;
        int64_t offset = -1;
        const struct model_batch *b = &m->batches[i - 1];
        struct buf sent = {0};
        buf_append(&sent, m->bytes.p + b->pos, b->header.size);
        batch_stamp(sent.p, 0, -1); /* as it came */
        ck_assert_int_eq(log_append_batch(l, buf_slice(&sent), RIG_TIME, &offset), PART_DUPLICATE);
        ck_assert_int_eq(offset, b->base);
        buf_deinit(&sent);
    }
}
