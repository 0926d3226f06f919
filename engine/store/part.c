/* SPDX-License-Identifier: MIT
 *
 * part: appending and rounds, the owner thread's side. What a round does is planned in part_plan.c,
 * reading is in part_read.c, opening in recover.c. See part.h for the picture and the invariants.
 */
#include "engine/store/part.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/store/index.h"
#include "engine/store/part_priv.h"
#include "engine/store/round.h"

struct segment *part_active(const struct part *p)
{
    return p->count > 0 ? p->segments[p->count - 1] : NULL;
}

struct segment *part_add_segment(struct part *p, int64_t base)
{
    ASSERT(p->count == 0 || part_active(p)->base < base);
    if (p->count == p->cap) {
        p->cap = p->cap > 0 ? p->cap * 2 : 1;
        size_t size = p->cap * sizeof *p->segments;
        p->segments = assert_memory(realloc(p->segments, size), size);
    }
    ASSERT(p->count < p->cap);
    struct segment *s = assert_memory(calloc(1, sizeof *s), sizeof *s);
    s->base = base;
    s->first_timestamp = BATCH_NO_TIMESTAMP;
    s->max_timestamp = BATCH_NO_TIMESTAMP;
    s->appended_ms = INT64_MAX;
    p->segments[p->count++] = s;
    return s;
}

void part_free_segment(struct segment *s)
{
    ASSERT(s != NULL);
    reader_release(s->reader);
    free(s);
}

void part_index_batch(uint64_t interval, struct segment *s, const struct batch_header *h,
                      struct buf *index, struct buf *timeindex)
{
    ASSERT(h->base_offset >= s->base && h->base_offset - s->base <= UINT32_MAX);
    ASSERT(s->size <= UINT32_MAX);
    uint32_t relative = (uint32_t)(h->base_offset - s->base);
    if (s->size - s->indexed >= interval) {
        index_append(index, (struct index_entry){relative, (uint32_t)s->size});
        index_append_time(timeindex, (struct index_time_entry){s->max_timestamp, relative});
        s->indexed = s->size;
        s->index_size += INDEX_ENTRY_SIZE;
        s->timeindex_size += INDEX_TIME_ENTRY_SIZE;
    }
    if (s->size == 0)
        s->first_timestamp = h->max_timestamp;
    if (h->max_timestamp > s->max_timestamp)
        s->max_timestamp = h->max_timestamp;
    s->size += h->size;
}

/* --- writers and the store's list of them --- */

static void part_writer_keep(struct part *p)
{
    struct store *s = p->store;
    ASSERT(!list_linked(&p->writer_link));
    if (p->writer == NULL || p->dirty)
        return; /* un-synced bytes: this descriptor must see the error of their sync */
    list_add_head(&s->writers, &p->writer_link);
    s->writer_count++;
    while (s->writer_count > s->writer_max) {
        struct part *cold = LIST_ENTRY(s->writers.prev, struct part, writer_link);
        struct io_file *f = part_writer_take(cold);
        (void)io_close(f); /* nothing un-synced in it */
    }
}

struct io_file *part_writer_take(struct part *p)
{
    struct io_file *f = p->writer;
    ASSERT(f != NULL || !list_linked(&p->writer_link));
    if (list_linked(&p->writer_link)) {
        list_remove(&p->writer_link);
        p->store->writer_count--;
    }
    p->writer = NULL;
    return f;
}

/* --- life --- */

int part_open(struct store *s, const struct part_open_options *o, struct part **out,
              struct part_recovery *report)
{
    ASSERT(o->dir != NULL && report != NULL);
    int r = recover_open(s, o, out, report);
    if (r == 0)
        part_check(*out);
    return r;
}

struct part *part_close(struct part *p)
{
    if (p == NULL)
        return NULL;
    ASSERT(p->round == NULL && p->swap == NULL);
    (void)io_close(part_writer_take(p));
    for (size_t i = 0; i < p->count; i++)
        part_free_segment(p->segments[i]);
    while (!list_empty(&p->shipped))
        part_shipped_free(LIST_ENTRY(p->shipped.next, struct part_shipped, link));
    producers_deinit(&p->producers);
    epochs_deinit(&p->epochs);
    free(p->segments);
    free(p->damaged);
    free(p->buried);
    free(p->dir);
    free(p);
    return NULL;
}

static void part_check_segments(const struct part *p)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct segment *s = p->segments[i];
        ASSERT(i == 0 || p->segments[i - 1]->base < s->base); /* P1 */
        ASSERT(s->ready <= s->size && s->index_ready <= s->index_size);
        ASSERT(s->base <= p->reserved);
        ASSERT(s->reader == NULL || *s->reader->owner == s->reader);
    }
}

static void part_check_epochs(const struct part *p) /* P8 */
{
    const struct epochs *e = &p->epochs;
    epochs_check(e);
    ASSERT(e->count == 0 || e->entries[0].start >= p->log_start);
    ASSERT(e->count == 0 || e->entries[e->count - 1].start < p->reserved);
    ASSERT(epochs_last(e) <= p->epoch);
}

void part_check(const struct part *p)
{
    part_check_segments(p);
    ASSERT(p->mark <= p->written);                                  /* P10 */
    ASSERT(p->log_start <= p->written && p->durable <= p->written); /* P2 */
    ASSERT(p->written <= p->reserved);
    ASSERT(p->kept_start <= p->log_start); /* P8 */
    ASSERT(p->failed <= 0);
    int64_t next = p->reserved;
    size_t count = 0, size = 0;
    for (struct list *n = p->pending.prev; n != &p->pending; n = n->prev) { /* P3 */
        const struct part_append *a = LIST_ENTRY(n, struct part_append, link);
        ASSERT(a->last_offset + 1 == next);
        next = a->from;
        size += a->size;
        count++;
    }
    ASSERT(count == p->pending_count && size == p->pending_size);
    ASSERT(p->round != NULL || p->failed != 0 || next == p->written); /* P4 */
    ASSERT(list_linked(&p->writer_link) ==
           (p->writer != NULL && !p->dirty && p->round == NULL)); /* P5 */
    for (size_t i = 0; i < p->damaged_count; i++) {               /* P6 */
        ASSERT(p->damaged[i].from <= p->damaged[i].to);
        ASSERT(i == 0 || p->damaged[i - 1].to < p->damaged[i].from);
        ASSERT(p->damaged[i].to <= p->written);
    }
    ASSERT(!p->swapping || (p->swap != NULL && p->round != NULL)); /* P7 */
    for (size_t i = 0; i < p->count; i++)
        ASSERT(!part_swap_covers(p, p->segments[i]->base) ||
               (i + 1 < p->count && p->segments[i]->ready == p->segments[i]->size));
    producers_check_invariants(&p->producers);
    part_check_epochs(p);
}

uint64_t part_size(const struct part *p)
{
    uint64_t size = 0;
    ASSERT(p != NULL);
    for (size_t i = 0; i < p->count; i++)
        size += p->segments[i]->ready;
    return size;
}

uint64_t part_size_from(const struct part *p, int64_t offset)
{
    uint64_t size = 0;
    ASSERT(p != NULL);
    ASSERT(offset >= 0);
    for (size_t i = p->count; i-- > 0;) {
        const struct segment *s = p->segments[i];
        int64_t end = i + 1 < p->count ? p->segments[i + 1]->base : p->written;
        if (offset >= end)
            break;
        if (end <= s->base)
            continue;
        int64_t from = offset > s->base ? offset : s->base;
        size += (uint64_t)((double)s->ready * (double)(end - from) / (double)(end - s->base));
    }
    ASSERT(size <= part_size(p));
    return size;
}

/* --- appending --- */

static int part_check_producer(struct part *p, struct part_append *a)
{
    struct producers_batch original;
    int r = producers_check(&p->producers, &a->header, &original);
    if (r == 0)
        return 0;
    if (r == PRODUCERS_DUPLICATE) {
        a->base_offset = original.base_offset;
        a->last_offset = original.base_offset + a->header.last_offset_delta;
        return PART_DUPLICATE;
    }
    ASSERT(r == PRODUCERS_GAP || r == PRODUCERS_FENCED || r == PRODUCERS_LIMIT);
    return r == PRODUCERS_GAP ? PART_GAP : r == PRODUCERS_FENCED ? PART_FENCED : PART_PRODUCERS;
}

int part_append(struct part *p, struct part_append *a, int64_t now_ms)
{
    struct batch_header *h = &a->header;
    ASSERT(h->size >= BATCH_HEADER_SIZE && h->last_offset_delta >= 0);
    if (h->size > p->config.segment_size_max || h->size > BATCH_SIZE_MAX ||
        p->reserved > INT64_MAX - 1 - h->last_offset_delta) /* the end of all offsets */
        return PART_TOO_LARGE;
    int r = part_check_producer(p, a);
    if (r != 0)
        return r;
    h->base_offset = p->reserved;
    h->leader_epoch = p->epoch;
    batch_stamp(a->batch, h->base_offset, h->leader_epoch);
    producers_apply(&p->producers, h, now_ms, &a->undo);
    part_epochs_append(p, h);
    a->base_offset = a->from = h->base_offset;
    a->last_offset = batch_last_offset(h);
    a->size = h->size;
    a->shipped = NULL;
    p->reserved = batch_next_offset(h);
    list_add_tail(&p->pending, &a->link);
    p->pending_size += h->size;
    p->pending_count++;
    return 0;
}

bool part_wait(struct part *p, struct part_wait *w, bool sync)
{
    ASSERT(w->offset < p->reserved);
    if (w->offset < (sync ? p->durable : p->written))
        return false;
    w->sync = sync;
    if (sync && (p->dirty || (p->round != NULL && !p->round->sync)))
        p->want_checkpoint = true; /* rounds without sync would never complete it */
    list_add_tail(&p->waits, &w->link);
    return true;
}

void part_wait_cancel(struct part_wait *w)
{
    ASSERT(w->done != NULL);
    if (list_linked(&w->link))
        list_remove(&w->link);
}

void part_trim(struct part *p, int64_t offset)
{
    ASSERT(offset <= p->written);
    if (offset > p->kept_start && offset > p->trim_to)
        p->trim_to = offset;
}

void part_checkpoint(struct part *p)
{
    ASSERT(p->checkpoint <= p->reserved);
    p->want_checkpoint = p->checkpoint < p->reserved || p->dirty;
}

void part_seal(struct part *p)
{
    const struct segment *s = part_active(p);
    ASSERT(!p->read_only && (s == NULL || s->base <= p->reserved));
    p->seal = p->seal || (s != NULL && s->base < p->reserved);
}

bool part_round_due(const struct part *p, bool flush)
{
    ASSERT(p->trim_to <= p->written);
    if (p->round != NULL || p->failed != 0 || p->read_only)
        return false;
    return p->pending_count > 0 || p->trim_to >= 0 || p->seal ||
           (p->want_checkpoint && p->count > 0) || (flush && p->dirty) ||
           (p->swap != NULL && p->rebuilds == 0);
}

/* --- a round, from taking to finishing --- */

struct part_round *part_round_take(struct part *p, bool sync, int64_t now_ms)
{
    ASSERT(p->round == NULL && p->failed == 0 && !p->read_only);
    ASSERT(now_ms >= 0);
    struct part_round *r = assert_memory(calloc(1, sizeof *r), sizeof *r);
    list_init(&r->appends);
    r->part = p;
    r->io = p->store->io;
    r->dir = p->dir;
    r->sync = sync;
    r->create_dir = !p->exists;
    r->new_names = p->new_names;
    r->new_folder = p->new_folder;
    r->old_snapshot = -1;
    r->saved_roll = p->roll;
    r->saved_generation = p->generation;
    r->now_ms = now_ms;
    r->saved_count = p->count;
    if (p->count > 0)
        r->saved = *part_active(p);
    r->file = part_writer_take(p);
    part_plan(p, r);
    r->end = p->reserved;
    p->round = r;
    return r;
}

/* Which waiters: all, or those that do not wait for a sync. */
enum part_waiters {
    PART_WAITERS_ALL,
    PART_WAITERS_WRITTEN,
};

/* Calls back the appends, and the waiters of offsets in [from, end). */
static void part_complete(struct part *p, struct list *appends, enum part_waiters who, int64_t from,
                          int64_t end, int result)
{
    struct list waits;
    ASSERT(from <= end);
    list_init(&waits);
    LIST_EACH_SAFE (node, &p->waits) {
        struct part_wait *w = LIST_ENTRY(node, struct part_wait, link);
        bool meant = who == PART_WAITERS_ALL || !w->sync;
        if (meant && w->offset >= from && w->offset < end) {
            list_remove(node);
            list_add_tail(&waits, node);
        }
    }
    for (struct list *n = list_pop(appends); n != NULL; n = list_pop(appends)) {
        struct part_append *a = LIST_ENTRY(n, struct part_append, link);
        part_shipped_free(a->shipped);
        a->shipped = NULL;
        a->done(a, result);
    }
    for (struct list *n = list_pop(&waits); n != NULL; n = list_pop(&waits)) {
        struct part_wait *w = LIST_ENTRY(n, struct part_wait, link);
        w->done(w, result);
    }
}

static void part_raise_written(struct part *p, struct part_round *r)
{
    if (r->raised_written)
        return;
    r->raised_written = true;
    ASSERT(r->end >= p->written);
    p->written = r->end;
    for (size_t i = r->saved_count > 0 ? r->saved_count - 1 : 0; i < p->count; i++) {
        struct segment *s = p->segments[i];
        s->ready = s->size;
        s->index_ready = s->index_size;
        s->timeindex_ready = s->timeindex_size;
        s->exists = true;
    }
    p->exists = true;
    if (!r->sync)
        part_complete(p, &r->appends, PART_WAITERS_WRITTEN, 0, r->end, 0);
}

static void part_raise_durable(struct part *p, struct part_round *r)
{
    if (r->raised_durable)
        return;
    r->raised_durable = true;
    ASSERT(r->end >= p->durable && r->end <= p->written);
    p->durable = r->end;
    part_complete(p, &r->appends, PART_WAITERS_ALL, 0, r->end, 0);
}

static void part_remove_dropped(struct part *p, const struct part_round *r)
{
    ASSERT(r->drop_count < p->count);
    for (size_t i = 0; i < r->drop_count; i++) {
        ASSERT(p->segments[i]->base == r->drops[i].base);
        if (r->drops[i].bury)
            part_bury(p, r->drops[i].base);
        part_free_segment(p->segments[i]);
    }
    p->count -= r->drop_count;
    memmove(p->segments, p->segments + r->drop_count, p->count * sizeof *p->segments);
    size_t keep = 0;
    for (size_t i = 0; i < p->damaged_count; i++)
        if (p->damaged[i].to > p->log_start)
            p->damaged[keep++] = p->damaged[i];
    p->damaged_count = keep;
}

static void part_finish_control(struct part *p, struct part_round *r)
{
    ASSERT(r->result == 0);
    if (r->state.size == 0)
        return;
    if (r->dropped)
        part_remove_dropped(p, r);
    if (r->checkpointed) {
        p->kept_start = r->log_start;
        p->checkpoint = r->end;
        p->since_checkpoint = 0;
        p->want_checkpoint = false;
        if (r->snapshot.size > 0) {
            p->snapshots[1] = p->snapshots[0];
            p->snapshots[0] = r->snapshot_offset;
        }
    }
    int64_t base = p->count > 0 ? p->segments[0]->base : p->kept_start;
    base = base < p->log_start ? base : p->log_start; /* records before it may be gone by damage */
    if (base > p->kept_start)                         /* no state is needed for that */
        p->kept_start = base;
    if (p->trim_to <= p->kept_start)
        p->trim_to = -1;
}

/* Sets the active segment's reserved end to what the worker made of it. */
static void part_finish_alloc(struct part *p, const struct part_round *r)
{
    ASSERT(p->count > 0 || r->write_count == 0);
    for (size_t i = 0; i < r->write_count; i++)
        for (size_t k = p->count; k > 0; k--)
            if (p->segments[k - 1]->base == r->writes[i].base)
                p->segments[k - 1]->alloc = r->writes[i].alloc;
}

/* The disk was full: everything reserved since the round was taken is taken back. */
static void part_take_back(struct part *p, struct part_round *r)
{
    struct list all;
    list_init(&all);
    list_splice(&all, &r->appends);
    list_splice(&all, &p->pending);
    for (struct list *n = all.prev; n != &all; n = n->prev) {
        part_append_undo(p, LIST_ENTRY(n, struct part_append, link));
    }
    while (p->count > r->saved_count)
        part_free_segment(p->segments[--p->count]);
    if (p->count > 0) {
        struct segment *s = part_active(p);
        uint64_t alloc = s->alloc;
        struct reader *reader = s->reader; /* may have been mapped meanwhile */
        *s = r->saved;
        s->reader = reader;
        s->alloc = alloc;
    }
    p->roll = p->roll || r->saved_roll;
    p->pending_count = 0;
    p->pending_size = 0;
    p->reserved = p->written;
    p->generation = r->saved_generation;
    epochs_cut(&p->epochs, p->reserved);
    part_complete(p, &all, PART_WAITERS_ALL, p->written, INT64_MAX, IO_FULL);
}

void part_abort(struct part *p, int result)
{
    struct list all;
    ASSERT(p->round == NULL && result != 0);
    list_init(&all);
    list_splice(&all, &p->pending);
    p->pending_count = 0;
    p->pending_size = 0;
    part_complete(p, &all, PART_WAITERS_ALL, 0, INT64_MAX, result);
    struct part_swap *s = p->swap;
    p->swap = NULL;
    if (s != NULL)
        s->done(s, result);
}

static void part_round_free(struct part_round *r)
{
    for (size_t i = 0; i < r->write_count; i++) {
        free(r->writes[i].iov);
        buf_deinit(&r->writes[i].index);
        buf_deinit(&r->writes[i].timeindex);
    }
    buf_deinit(&r->state);
    buf_deinit(&r->snapshot);
    buf_deinit(&r->first_state);
    free(r->writes);
    free(r->drops);
    free(r->swap.bases);
    free(r);
}

static void part_finish(struct part *p, struct part_round *r)
{
    part_finish_alloc(p, r);
    p->new_names = r->new_names;
    p->new_folder = r->new_folder;
    if (r->result == 0) {
        part_raise_written(p, r);
        if (r->sync || r->checkpointed)
            part_raise_durable(p, r);
        part_finish_control(p, r);
        p->dirty = p->durable < p->written;
    } else if (r->result == IO_FULL) {
        part_take_back(p, r);
    }
    p->writer = r->file;
    p->round = NULL;
    p->sealing = false;
    if (r->result < 0) { /* fatal: nothing is known of these bytes, and nothing will be written */
        (void)io_close(p->writer);
        p->writer = NULL;
        p->failed = r->result;
        part_complete(p, &r->appends, PART_WAITERS_ALL, 0, INT64_MAX, r->result);
    }
    part_swap_finish(p, r);
    part_writer_keep(p);
    part_round_free(r);
}

void part_round_done(struct part *p, struct part_round *r, enum part_stage stage)
{
    ASSERT(p->round == r && r->part == p);
    switch (stage) {
    case PART_STAGE_WRITTEN:
        if (r->result == 0)
            part_raise_written(p, r);
        break;
    case PART_STAGE_DURABLE: /* written was told already, or is now */
        ASSERT(r->sync);
        if (r->result == 0) {
            part_raise_written(p, r);
            part_raise_durable(p, r);
        }
        break;
    case PART_STAGE_FINISHED:
        part_finish(p, r);
        break;
    }
}
