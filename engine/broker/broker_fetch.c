/* SPDX-License-Identifier: MIT
 *
 * broker_fetch: reads, waits, reads again.
 *
 * A request is tried when it comes, when a worker has brought cold bytes into memory, when one of
 * its partitions can show more, and when its time is up. Each try starts from nothing: what an
 * earlier one pinned is let go first, so a request holds pins only from its last try to its
 * release.
 *
 *   fetch -> try -> enough, an error, or no wait wanted -> ready
 *                -> cold bytes                          -> worker -> try
 *                -> nothing yet                         -> waits of its partitions, deadline -> try
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/broker_mend.h"

#define BROKER_FETCH_TRIES 16u

/* One per item: sits in its partition's list while the request waits. */
struct broker_fetch_wait {
    struct list link;
    struct broker_fetch *req;
};

struct broker_fetch_warm {
    struct work_job job;
    struct part_warm warm;
    struct bpart *bpart;
    struct broker_fetch *req;
};

static void broker_fetch_unpin(struct broker_fetch *req)
{
    ASSERT(req->items != NULL || req->count == 0);
    for (size_t i = 0; i < req->count; i++) {
        ASSERT(req->items[i].pin != NULL || req->items[i].bytes.size == 0);
        if (req->items[i].pin != NULL)
            reader_unpin(req->items[i].pin);
        req->items[i].pin = NULL;
        req->items[i].bytes = SLICE_NULL;
    }
}

static void broker_fetch_unwait(struct broker *b, struct broker_fetch *req)
{
    struct broker_fetch_wait *waits = req->priv.waits;
    for (size_t i = 0; waits != NULL && i < req->count; i++)
        if (list_linked(&waits[i].link))
            list_remove(&waits[i].link);
    heap_remove(&b->fetch_deadlines, &req->priv.deadline);
    ASSERT(req->priv.deadline.slot == 0);
}

static void broker_fetch_finish(struct broker *b, struct broker_fetch *req)
{
    ASSERT(req->priv.jobs == 0 && !list_linked(&req->priv.ready));
    ASSERT(req->priv.broker == b);
    broker_fetch_unwait(b, req);
    free(req->priv.waits);
    req->priv.waits = NULL;
    list_add_tail(&b->ready_fetch, &req->priv.ready);
}

static void broker_fetch_try(struct broker *b, struct broker_fetch *req);

static void broker_fetch_warm_run(struct work_job *job)
{
    ASSERT(job->run == broker_fetch_warm_run);
    part_warm_run(&LIST_ENTRY(job, struct broker_fetch_warm, job)->warm);
}

static void broker_fetch_warm_done(struct work_note *note)
{
    struct work_job *job = LIST_ENTRY(note, struct work_job, note);
    struct broker_fetch_warm *w = LIST_ENTRY(job, struct broker_fetch_warm, job);
    struct broker_fetch *req = w->req;
    struct bpart *p = w->bpart;
    struct broker *b = p->broker;
    ASSERT(p->jobs > 0 && req->priv.jobs > 0);
    ASSERT(req->priv.broker == b);
    p->jobs--;
    req->priv.jobs--;
    if (p->part != NULL && part_warm_done(p->part, &w->warm) != 0)
        req->priv.failed = true;
    free(w);
    if (req->priv.jobs == 0)
        broker_fetch_try(b, req);
}

static void broker_fetch_warm(struct broker *b, struct bpart *p, struct broker_fetch *req,
                              const struct part_warm *warm)
{
    struct broker_fetch_warm *w = calloc(1, sizeof *w);
    ASSERT(w != NULL);
    ASSERT(p->state == BPART_ONLINE && p->part != NULL);
    w->warm = *warm;
    w->bpart = p;
    w->req = req;
    w->job.run = broker_fetch_warm_run;
    w->job.note.done = broker_fetch_warm_done;
    p->jobs++;
    req->priv.jobs++;
    work_submit(b->env.work, &w->job);
}

static enum broker_status broker_fetch_find(struct broker *b, struct broker_fetch_item *item,
                                            struct bpart **out)
{
    ASSERT(out != NULL && *out == NULL);
    struct topic *t = broker_find_topic(b, item->topic);
    if (t == NULL || t->deleting)
        return BROKER_UNKNOWN_TOPIC;
    *out = broker_find_part(t, item->partition);
    return *out == NULL ? BROKER_UNKNOWN_PARTITION : bpart_use_here(*out);
}

/* What one item is, after a read. */
enum broker_fetch_got {
    BROKER_FETCH_BYTES,
    BROKER_FETCH_FULL, /* perhaps bytes, and there is more than the sizes allow */
    BROKER_FETCH_NOTHING,
    BROKER_FETCH_ERROR,
    BROKER_FETCH_COLD,
};

/* A consumer begins anew where its offset is out of range. So that is said below the log's start,
 * and otherwise only by a leader that cannot lack what another one has committed. */
static enum broker_status broker_fetch_beyond(const struct bpart *p, int64_t offset)
{
    ASSERT(p->part != NULL);
    return offset < p->part->log_start || bpart_confirmed(p) ? BROKER_OFFSET_OUT_OF_RANGE
                                                             : BROKER_OFFSET_NOT_AVAILABLE;
}

static enum broker_fetch_got broker_fetch_read(struct broker *b, struct bpart *p,
                                               struct broker_fetch *req,
                                               struct broker_fetch_item *item, size_t got)
{
    ASSERT(p->state == BPART_ONLINE && item->pin == NULL);
    size_t left = req->size_max > got ? req->size_max - got : 0;
    struct part_read q = {.offset = item->offset,
                          .bound = bpart_visible(p),
                          .size_max = item->size_max < left ? item->size_max : left,
                          .may_wait = req->priv.tries >= BROKER_FETCH_TRIES};
    struct part_extent extent;
    struct part_warm warm;
    if (got > 0 && q.size_max == 0 && q.offset <= q.bound && q.offset >= p->part->log_start)
        return q.offset < q.bound ? BROKER_FETCH_FULL : BROKER_FETCH_NOTHING;
    if (p->replica != NULL && q.offset > q.bound && q.offset <= p->part->reserved)
        return BROKER_FETCH_NOTHING; /* stored, and not known to be committed yet */
    int r = part_read(p->part, &q, &extent, &warm, &item->next_good);
    if (r == PART_COLD && req->priv.tries < 2 * BROKER_FETCH_TRIES) { /* may wait: to open a file */
        broker_fetch_warm(b, p, req, &warm);
        return BROKER_FETCH_COLD;
    }
    if (r == PART_COLD)
        part_warm_drop(p->part, &warm);
    if (r == PART_END || r == PART_COLD)
        return BROKER_FETCH_NOTHING;
    if (r != 0) {
        item->status = r == PART_OUT_OF_RANGE ? broker_fetch_beyond(p, q.offset) : BROKER_STORAGE;
        broker_mend_look(p);
        return BROKER_FETCH_ERROR;
    }
    ASSERT(extent.pin != NULL && extent.bytes.size > 0);
    ASSERT(extent.next_offset > q.offset && extent.next_offset <= q.bound);
    if (got > 0 && extent.bytes.size > q.size_max) { /* only the first batch may be larger */
        reader_unpin(extent.pin);
        return BROKER_FETCH_FULL;
    }
    item->bytes = extent.bytes;
    item->next_offset = extent.next_offset;
    item->pin = extent.pin;
    item->part = p;
    return extent.next_offset < q.bound ? BROKER_FETCH_FULL : BROKER_FETCH_BYTES;
}

static enum broker_fetch_got broker_fetch_item(struct broker *b, struct broker_fetch *req,
                                               struct broker_fetch_item *item, size_t got)
{
    struct bpart *p = NULL;
    item->high_watermark = item->log_start = item->next_good = -1;
    item->status = broker_fetch_find(b, item, &p);
    if (item->status == BROKER_OK && req->priv.failed)
        item->status = BROKER_STORAGE;
    if (item->status != BROKER_OK)
        return BROKER_FETCH_ERROR;
    ASSERT(p != NULL && p->part != NULL);
    item->high_watermark = bpart_visible(p);
    item->log_start = p->part->log_start;
    return broker_fetch_read(b, p, req, item, got);
}

/* Nothing (enough) there: each partition wakes the request, or time does. */
static void broker_fetch_wait(struct broker *b, struct broker_fetch *req)
{
    ASSERT(req->priv.jobs == 0 && !req->priv.final);
    struct broker_fetch_wait *waits = req->priv.waits;
    if (waits == NULL) {
        waits = calloc(req->count + 1, sizeof *waits);
        ASSERT(waits != NULL);
        req->priv.waits = waits;
        heap_set(&b->fetch_deadlines, &req->priv.deadline, broker_now(b) + req->max_wait_ms);
    }
    ASSERT(req->priv.deadline.slot > 0);
    for (size_t i = 0; i < req->count; i++) {
        struct broker_fetch_item *item = &req->items[i];
        struct topic *t = broker_find_topic(b, item->topic);
        struct bpart *p = t == NULL ? NULL : broker_find_part(t, item->partition);
        ASSERT(waits[i].req == NULL || waits[i].req == req);
        waits[i].req = req;
        if (p != NULL && !list_linked(&waits[i].link))
            list_add_tail(&p->waits, &waits[i].link);
    }
}

/* What leaves, once a try is the last. */
static void broker_fetch_count(const struct broker_fetch *req)
{
    ASSERT(req->priv.jobs == 0);
    for (size_t i = 0; i < req->count; i++) {
        const struct broker_fetch_item *item = &req->items[i];
        ASSERT(item->bytes.size == 0 || item->part != NULL);
        if (item->bytes.size > 0)
            broker_counters_fetch(item->part, item->next_offset - item->offset, item->bytes.size);
    }
}

static void broker_fetch_try(struct broker *b, struct broker_fetch *req)
{
    ASSERT(req->priv.jobs == 0);
    ASSERT(!list_linked(&req->priv.ready)); /* not answered yet */
    size_t got = 0;
    bool answer = req->priv.final || b->stopping || req->max_wait_ms == 0 || req->count == 0;
    broker_fetch_unpin(req); /* of a try that met cold bytes: size_max and the order hold for all */
    req->priv.enough = false;
    req->priv.tries++;
    for (size_t i = 0; i < req->count; i++) {
        struct broker_fetch_item *item = &req->items[i];
        switch (broker_fetch_item(b, req, item, got)) {
        case BROKER_FETCH_FULL:
        case BROKER_FETCH_ERROR:
            req->priv.enough = true;
            break;
        case BROKER_FETCH_BYTES:
        case BROKER_FETCH_NOTHING:
        case BROKER_FETCH_COLD:
            break;
        }
        got += item->bytes.size;
    }
    if (req->priv.jobs > 0)
        return; /* tried again when the bytes are in memory */
    if (answer || req->priv.enough || got >= req->min_size) {
        broker_fetch_count(req);
        broker_fetch_finish(b, req);
        return;
    }
    broker_fetch_unpin(req);
    req->priv.tries = 0;
    broker_fetch_wait(b, req);
}

void broker_fetch(struct broker *b, struct broker_fetch *req)
{
    ASSERT(req->done != NULL);
    ASSERT(req->items != NULL || req->count == 0);
    req->priv = (typeof(req->priv)){.broker = b};
    list_init(&req->priv.ready);
    bool refuse = b->stopping || req->count > BROKER_ITEMS_MAX;
    for (size_t i = 0; i < req->count; i++) {
        req->items[i].pin = NULL;
        req->items[i].bytes = SLICE_NULL;
        req->items[i].status = b->stopping ? BROKER_STOPPING : BROKER_BAD_REQUEST;
        req->items[i].high_watermark = req->items[i].log_start = req->items[i].next_good = -1;
    }
    if (refuse)
        list_add_tail(&b->ready_fetch, &req->priv.ready);
    else
        broker_fetch_try(b, req);
}

void broker_fetch_release(struct broker *b, struct broker_fetch *req)
{
    ASSERT(req->priv.broker == b && req->priv.jobs == 0);
    broker_fetch_unpin(req);
}

static bool broker_fetch_waiting(const struct broker_fetch *req)
{
    ASSERT(req->priv.broker != NULL);
    return req->priv.waits != NULL && req->priv.jobs == 0;
}

void broker_fetch_cancel(struct broker *b, struct broker_fetch *req)
{
    ASSERT(req->priv.broker == b);
    req->priv.final = true;
    if (broker_fetch_waiting(req))
        broker_fetch_finish(b, req);
}

void broker_fetch_wake(struct broker *b, struct bpart *p)
{
    ASSERT(p->broker == b);
    struct list woken;
    list_init(&woken);
    list_splice(&woken, &p->waits);
    for (struct list *n = list_pop(&woken); n != NULL; n = list_pop(&woken)) {
        struct broker_fetch *req = LIST_ENTRY(n, struct broker_fetch_wait, link)->req;
        if (broker_fetch_waiting(req))
            broker_fetch_try(b, req);
    }
}

void broker_fetch_timers(struct broker *b)
{
    struct heap_node *n;
    while ((n = heap_pop_due(&b->fetch_deadlines, broker_now(b))) != NULL) {
        struct broker_fetch *req = HEAP_ENTRY(n, struct broker_fetch, priv.deadline);
        ASSERT(req->priv.broker == b && req->priv.waits != NULL);
        req->priv.final = true;
        if (broker_fetch_waiting(req))
            broker_fetch_try(b, req);
    }
}

void broker_fetch_fail_all(struct broker *b)
{
    ASSERT(b->stopping);
    struct heap_node *n;
    while ((n = heap_first(&b->fetch_deadlines)) != NULL) {
        struct broker_fetch *req = HEAP_ENTRY(n, struct broker_fetch, priv.deadline);
        ASSERT(req->priv.broker == b && req->priv.waits != NULL);
        heap_remove(&b->fetch_deadlines, n);
        broker_fetch_cancel(b, req);
    }
}
