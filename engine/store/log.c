/* SPDX-License-Identifier: MIT
 *
 * log: see log.h. A round of one partition, run in the caller's thread.
 */
#include "engine/store/log.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/store/query.h"
#include "engine/store/round.h"
#include "engine/store/truncate.h"

#define LOG_SEGMENT_SIZE   (1u << 30)
#define LOG_SEGMENT_MS     (7LL * 24 * 3600 * 1000)
#define LOG_INDEX_INTERVAL 4096
#define LOG_INFLATE_MAX    (64u << 20)
#define LOG_COMPACT_MAP    (128u << 20)
#define LOG_COMPACT_PIECE  (4u << 20)

struct log {
    struct store store;
    struct io *own_io; /* NULL when the caller gave one */
    struct part *part;
    char *dir;
    struct part_config config;
    struct part_recovery recovery;
    struct buf scratch;
    int64_t first_dirty; /* where compaction goes on; -1: not known */
};

struct log_append {
    struct part_append append;
    struct buf batch; /* owned */
};

static int log_open_part(struct log *l, int64_t now_ms)
{
    struct part_open_options o = {.dir = l->dir, .config = l->config, .now_ms = now_ms};
    ASSERT(l->part == NULL && l->dir != NULL);
    l->first_dirty = -1;
    return part_open(&l->store, &o, &l->part, &l->recovery);
}

static void log_free(struct log *l)
{
    ASSERT(l->part == NULL || list_empty(&l->part->pending));
    part_close(l->part);
    store_deinit(&l->store);
    io_real_free(l->own_io);
    buf_deinit(&l->scratch);
    free(l->dir);
    free(l);
}

int log_open(const struct log_options *o, struct log **out)
{
    struct log *l = assert_memory(calloc(1, sizeof *l), sizeof *l);
    ASSERT(o->dir != NULL && o->dir[0] != '\0');
    ASSERT(o->segment_size_max <= UINT32_MAX);
    l->own_io = o->io == NULL ? io_real_new() : NULL;
    store_init(&l->store, &(struct store_options){.io = o->io != NULL ? o->io : l->own_io});
    l->dir = assert_memory(strdup(o->dir), strlen(o->dir) + 1);
    l->config = (struct part_config){
        .segment_size_max = o->segment_size_max > 0 ? o->segment_size_max : LOG_SEGMENT_SIZE,
        .segment_ms = o->segment_ms > 0 ? o->segment_ms : LOG_SEGMENT_MS,
        .index_interval_size =
            o->index_interval_size > 0 ? o->index_interval_size : LOG_INDEX_INTERVAL,
        .checkpoint_size = o->checkpoint_size,
    };
    int r = log_open_part(l, o->now_ms);
    if (r != 0) {
        log_free(l);
        return r;
    }
    ASSERT(l->part != NULL);
    *out = l;
    return 0;
}

static void log_drop(struct part_append *a, int result)
{
    struct log_append *la = LIST_ENTRY(a, struct log_append, append);
    ASSERT(result <= 0 || result == IO_FULL);
    buf_deinit(&la->batch);
    free(la);
}

static void log_drop_pending(struct log *l)
{
    struct part *p = l->part;
    if (p == NULL)
        return;
    for (struct list *n = list_pop(&p->pending); n != NULL; n = list_pop(&p->pending))
        log_drop(LIST_ENTRY(n, struct part_append, link), 0);
    ASSERT(list_empty(&p->pending));
}

int log_close(struct log *l)
{
    int r = 0;
    if (l == NULL)
        return 0;
    bool clean = l->part != NULL && list_empty(&l->part->pending);
    log_drop_pending(l);
    if (clean && l->part->failed == 0) { /* with dropped appends the producers ran ahead: recover */
        part_checkpoint(l->part);
        r = log_sync(l, 0);
    }
    if (l->part != NULL && l->part->failed != 0)
        r = l->part->failed;
    log_free(l);
    return r > 0 ? 0 : r;
}

const struct part_recovery *log_recovery(const struct log *l)
{
    ASSERT(l != NULL);
    return &l->recovery;
}

/* Takes the batch bytes over. */
static int log_queue(struct log *l, struct log_append *a, int64_t now_ms, int64_t *offset)
{
    a->append.batch = a->batch.p;
    a->append.done = log_drop;
    ASSERT(a->batch.size == a->append.header.size);
    int r = part_append(l->part, &a->append, now_ms);
    if (offset != NULL && (r == 0 || r == PART_DUPLICATE))
        *offset = a->append.base_offset;
    if (r != 0)
        log_drop(&a->append, 0);
    return r;
}

int log_append_record(struct log *l, int64_t timestamp, struct slice key, struct slice value,
                      int64_t *offset)
{
    size_t max = l->config.segment_size_max;
    ASSERT(l->part != NULL && max > 0);
    if (key.size > max || value.size > max - key.size)
        return PART_TOO_LARGE; /* before it is built */
    struct log_append *a = assert_memory(calloc(1, sizeof *a), sizeof *a);
    struct batch_build b;
    struct batch_build_options o = batch_build_plain();
    batch_build_init(&b);
    batch_build_add(&b, timestamp, key, value, NULL, 0);
    batch_build_finish(&b, &o, &a->batch);
    batch_build_deinit(&b);
    enum batch_fault fault = batch_parse(buf_slice(&a->batch), &a->append.header);
    ASSERT(fault == BATCH_OK && a->append.header.count == 1);
    ASSERT(a->append.header.producer_id < 0);
    return log_queue(l, a, timestamp, offset);
}

int log_append_batch(struct log *l, struct slice batch, int64_t now_ms, int64_t *offset)
{
    struct batch_rules rules = {.inflate_max = LOG_INFLATE_MAX, .scratch = &l->scratch};
    struct batch_header h;
    ASSERT(l->part != NULL);
    enum batch_fault fault = batch_validate(batch, &rules, &h);
    if (fault != BATCH_OK && fault != BATCH_WRONG_MAX)
        return PART_INVALID;
    struct log_append *a = assert_memory(calloc(1, sizeof *a), sizeof *a);
    buf_append(&a->batch, batch.p, batch.size);
    if (fault == BATCH_WRONG_MAX)
        batch_stamp_max_timestamp(a->batch.p, h.max_timestamp);
    a->append.header = h;
    return log_queue(l, a, now_ms, offset);
}

int log_sync(struct log *l, int64_t now_ms)
{
    struct round r;
    ASSERT(l->part != NULL);
    if (l->part->failed != 0)
        return l->part->failed;
    if (!part_round_due(l->part, true))
        return 0;
    round_init(&r, l->store.io, true);
    round_add(&r, l->part, now_ms);
    int64_t end = l->part->reserved;
    int e = round_run_now(&r);
    part_check(l->part);
    ASSERT(e <= 0);
    if (e != 0)
        return e;
    return l->part->durable < end ? IO_FULL : 0;
}

int64_t log_start(const struct log *l)
{
    ASSERT(l->part->log_start <= l->part->durable);
    return l->part->log_start;
}

int64_t log_end(const struct log *l)
{
    ASSERT(l->part->durable >= 0);
    return l->part->durable;
}

int log_read(struct log *l, int64_t offset, size_t size_max, struct log_view *out,
             int64_t *next_good)
{
    struct part_read q = {
        .offset = offset, .bound = l->part->durable, .size_max = size_max, .may_wait = true};
    struct part_extent extent;
    struct part_warm warm;
    int r = PART_COLD;
    ASSERT(out != NULL && next_good != NULL);
    while (r == PART_COLD) { /* to open the segment, perhaps once more for a new index */
        r = part_read(l->part, &q, &extent, &warm, next_good);
        if (r == PART_COLD) {
            part_warm_run(&warm);
            int e = part_warm_done(l->part, &warm);
            if (e != 0)
                return e;
        }
    }
    ASSERT(r != 0 || (extent.next_offset > offset && extent.next_offset <= q.bound));
    if (r == 0)
        *out = (struct log_view){extent.bytes, extent.next_offset, extent.pin};
    return r;
}

void log_view_release(struct log_view *v)
{
    ASSERT(v->pin != NULL);
    reader_unpin(v->pin);
    *v = (struct log_view){0};
}

int log_find_time(struct log *l, int64_t timestamp, int64_t *offset, int64_t *found)
{
    struct query q;
    ASSERT(timestamp >= 0 && offset != NULL && found != NULL);
    query_init(&q, l->part, timestamp, l->part->durable);
    query_run(&q);
    int r = q.result;
    ASSERT(q.offset < l->part->durable);
    if (r == 0) {
        *offset = q.offset;
        *found = q.offset >= 0 ? q.found_timestamp : BATCH_NO_TIMESTAMP;
    }
    query_deinit(&q);
    return r;
}

int log_trim(struct log *l, int64_t offset, int64_t now_ms)
{
    ASSERT(l->part->trim_to <= l->part->durable);
    if (offset > l->part->durable)
        return PART_OUT_OF_RANGE;
    part_trim(l->part, offset);
    int r = log_sync(l, now_ms);
    return r == 0 && l->part->trim_to >= 0 ? IO_FULL : r;
}

/* A swap is all there is between the log and its done, so one is out at a time. */
struct log_swap {
    struct part_swap swap;
    int result;
};

static void log_swapped(struct part_swap *s, int result)
{
    struct log_swap *ls = LIST_ENTRY(s, struct log_swap, swap);
    ASSERT(ls->swap.count > 0);
    ls->result = result;
}

/* Puts the group in force. 0, IO_FULL or -errno. */
static int log_compact_swap(struct log *l, struct compact *c, int64_t now_ms)
{
    struct log_swap s = {.swap = *compact_swap(c), .result = 0};
    ASSERT(list_empty(&l->part->pending));
    s.swap.done = log_swapped;
    part_swap(l->part, &s.swap);
    int r = log_sync(l, now_ms);
    if (l->part->swap != NULL)
        part_swap_cancel(l->part);
    ASSERT(s.result != PART_LOST);
    compact_swapped(c, r < 0 ? r : s.result);
    return r;
}

static int log_compact_run(struct log *l, struct compact *c, int64_t now_ms)
{
    int r = 0;
    while (r >= 0 && c->phase != COMPACT_END) {
        compact_step(c, LOG_COMPACT_PIECE);
        if (c->phase == COMPACT_SWAP)
            r = log_compact_swap(l, c, now_ms);
        part_check(l->part);
    }
    ASSERT(r < 0 || c->result != COMPACT_LOST);
    if (r >= 0 && c->result == 0)
        l->first_dirty = c->end;
    return r < 0 ? r : c->result;
}

int log_compact(struct log *l, const struct log_compact *o)
{
    struct part_cleanable q = {.first_dirty = l->first_dirty,
                               .young_ms =
                                   o->min_lag_ms > 0 ? o->now_ms - o->min_lag_ms : INT64_MAX};
    ASSERT(o->now_ms >= 0 && o->min_lag_ms >= 0 && o->delete_retention_ms >= 0);
    int r = log_sync(l, o->now_ms);
    if (r != 0)
        return r;
    part_cleanable(l->part, &q);
    if (o->totals != NULL)
        *o->totals = (struct compact_totals){.end = q.first_dirty};
    if (q.dirty_size == 0)
        return 0;
    struct compact_options options = {.now_ms = o->now_ms,
                                      .first_dirty = q.first_dirty,
                                      .end = q.end,
                                      .delete_retention_ms = o->delete_retention_ms,
                                      .map_size_max =
                                          o->map_size_max > 0 ? o->map_size_max : LOG_COMPACT_MAP,
                                      .seed = o->seed,
                                      .codec = o->recode ? (int)o->codec : -1};
    struct compact *c = compact_new(l->part, &options);
    r = log_compact_run(l, c, o->now_ms);
    if (o->totals != NULL)
        *o->totals = c->totals;
    compact_free(c);
    return r;
}

/* Closed, changed, and open again. */
static int log_change(struct log *l, int64_t offset, int64_t now_ms, bool begin)
{
    struct part_open_options o = {.dir = l->dir, .config = l->config, .now_ms = now_ms};
    int64_t end;
    log_drop_pending(l);
    l->part = part_close(l->part);
    ASSERT(l->part == NULL && offset >= 0);
    int r =
        begin ? truncate_begin(&l->store, &o, offset) : truncate_part(&l->store, &o, offset, &end);
    if (r < 0)
        return r;
    int opened = log_open_part(l, now_ms);
    return opened > 0 ? -ENOSPC : opened != 0 ? opened : r;
}

int log_truncate(struct log *l, int64_t offset, int64_t now_ms)
{
    return log_change(l, offset, now_ms, false);
}

int log_begin(struct log *l, int64_t offset, int64_t now_ms)
{
    return log_change(l, offset, now_ms, true);
}

struct part *log_part(struct log *l)
{
    ASSERT(l->part != NULL);
    return l->part;
}
