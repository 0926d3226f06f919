/* SPDX-License-Identifier: MIT
 *
 * broker_offsets: where a partition begins and ends, which record a time falls on, and where the
 * epoch of a leader ends. By time it reads the disk, in a worker.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/broker_cluster.h"
#include "engine/broker/broker_priv.h"
#include "engine/store/query.h"

struct broker_offset_job {
    struct work_job job;
    struct query query;
    struct bpart *bpart;
    struct broker_offsets *req;
    struct broker_offset_item *item;
};

/* Of the leader that the partition has, as far as is known here. */
static int32_t broker_offsets_epoch(const struct bpart *p)
{
    struct broker_partition_info info;
    ASSERT(p->part != NULL);
    bpart_info(p, &info);
    return p->replica == NULL ? p->part->epoch : info.epoch;
}

/* Of the batch that holds the record, or will hold it. */
static int32_t broker_offsets_epoch_at(const struct bpart *p, int64_t offset)
{
    ASSERT(offset >= 0);
    if (p->part == NULL)
        return EPOCHS_NONE; /* it was closed meanwhile */
    int32_t epoch =
        offset < p->part->reserved ? epochs_at(&p->part->epochs, offset + 1) : EPOCHS_NONE;
    return epoch == EPOCHS_NONE ? broker_offsets_epoch(p) : epoch;
}

static void broker_offsets_finish(struct broker *b, struct broker_offsets *req)
{
    ASSERT(req->priv.waiting > 0);
    ASSERT(!list_linked(&req->priv.ready));
    if (--req->priv.waiting == 0)
        list_add_tail(&b->ready_offsets, &req->priv.ready);
}

static void broker_offsets_run(struct work_job *job)
{
    ASSERT(job->run == broker_offsets_run);
    query_run(&LIST_ENTRY(job, struct broker_offset_job, job)->query);
}

static void broker_offsets_submit(struct broker_offset_job *o);

static void broker_offsets_done(struct work_note *note)
{
    struct work_job *job = LIST_ENTRY(note, struct work_job, note);
    struct broker_offset_job *o = LIST_ENTRY(job, struct broker_offset_job, job);
    struct broker *b = o->bpart->broker;
    ASSERT(o->bpart->jobs > 0);
    ASSERT(o->query.result <= 0);
    ASSERT(o->req->priv.waiting > 0);
    o->bpart->jobs--;
    if (o->bpart->part != NULL && query_stale(&o->query, o->bpart->part)) {
        query_deinit(&o->query); /* a cleaner changed the segments under it: once more */
        broker_offsets_submit(o);
        return;
    }
    o->item->status = o->query.result == 0 ? BROKER_OK : BROKER_STORAGE;
    o->item->offset = o->query.offset;
    o->item->found_timestamp_ms = o->query.offset >= 0 ? o->query.found_timestamp : -1;
    if (o->item->offset >= 0)
        o->item->epoch = broker_offsets_epoch_at(o->bpart, o->item->offset);
    query_deinit(&o->query);
    broker_offsets_finish(b, o->req);
    free(o);
}

static void broker_offsets_submit(struct broker_offset_job *o)
{
    struct bpart *p = o->bpart;
    int64_t t = o->item->timestamp_ms >= 0 ? o->item->timestamp_ms : QUERY_MAX_TIMESTAMP;
    ASSERT(o->item->timestamp_ms >= 0 || o->item->timestamp_ms == BROKER_OFFSET_MAX_TIME);
    ASSERT(p->part != NULL && o->req->priv.waiting > 0);
    query_init(&o->query, p->part, t, bpart_visible(p));
    o->job = (struct work_job){.run = broker_offsets_run, .note = {.done = broker_offsets_done}};
    p->jobs++;
    work_submit(p->broker->env.work, &o->job);
}

static void broker_offsets_query(struct bpart *p, struct broker_offsets *req,
                                 struct broker_offset_item *item)
{
    struct broker_offset_job *o = calloc(1, sizeof *o);
    ASSERT(o != NULL);
    ASSERT(p->state == BPART_ONLINE && req->priv.waiting > 0);
    o->bpart = p;
    o->req = req;
    o->item = item;
    req->priv.waiting++;
    broker_offsets_submit(o);
}

static void broker_offsets_item(struct broker *b, struct broker_offsets *req,
                                struct broker_offset_item *item)
{
    struct topic *t = broker_find_topic(b, item->topic);
    struct bpart *p = t == NULL || t->deleting ? NULL : broker_find_part(t, item->partition);
    if (p == NULL) {
        item->status = t == NULL || t->deleting ? BROKER_UNKNOWN_TOPIC : BROKER_UNKNOWN_PARTITION;
        return;
    }
    item->status = bpart_use_here(p);
    if (item->status != BROKER_OK)
        return;
    ASSERT(p->state == BPART_ONLINE && p->part != NULL);
    if (item->timestamp_ms != BROKER_OFFSET_EARLIEST && !bpart_watermark_known(p)) {
        item->status = BROKER_OFFSET_NOT_AVAILABLE;
        return;
    }
    if (item->timestamp_ms == BROKER_OFFSET_LATEST) {
        item->offset = bpart_visible(p);
        item->epoch = broker_offsets_epoch(p);
    } else if (item->timestamp_ms == BROKER_OFFSET_EARLIEST) {
        item->offset = p->part->log_start;
        item->epoch = broker_offsets_epoch_at(p, item->offset);
    } else if (item->timestamp_ms >= 0 || item->timestamp_ms == BROKER_OFFSET_MAX_TIME) {
        broker_offsets_query(p, req, item);
    } else {
        item->status = BROKER_BAD_REQUEST;
    }
}

void broker_offsets(struct broker *b, struct broker_offsets *req)
{
    ASSERT(req->done != NULL);
    ASSERT(req->items != NULL || req->count == 0);
    req->priv = (typeof(req->priv)){.waiting = 1};
    list_init(&req->priv.ready);
    for (size_t i = 0; i < req->count; i++) {
        req->items[i].offset = req->items[i].found_timestamp_ms = req->items[i].epoch = -1;
        if (b->stopping || req->count > BROKER_ITEMS_MAX)
            req->items[i].status = b->stopping ? BROKER_STOPPING : BROKER_BAD_REQUEST;
        else
            broker_offsets_item(b, req, &req->items[i]);
    }
    broker_offsets_finish(b, req);
}

/* --- epochs of leaders --- */

enum broker_status broker_epoch_end(struct broker *b, struct broker_epoch *q)
{
    struct topic *t = broker_find_topic(b, q->topic);
    struct bpart *p = t == NULL || t->deleting ? NULL : broker_find_part(t, q->partition);
    q->found = EPOCHS_NONE;
    q->end = -1;
    if (b->stopping)
        return BROKER_STOPPING;
    if (p == NULL)
        return t == NULL || t->deleting ? BROKER_UNKNOWN_TOPIC : BROKER_UNKNOWN_PARTITION;
    if (!broker_leads(b))
        return BROKER_NOT_LEADER;
    enum broker_status s = bpart_use(p);
    if (s == BROKER_OK)
        s = bpart_may_append(p, 1); /* leads, or will soon */
    if (s != BROKER_OK)
        return s;
    ASSERT(p->part != NULL && p->topic == t);
    int32_t now = broker_offsets_epoch(p);
    if (q->epoch < 0 || q->epoch > now)
        return BROKER_OK;
    struct epochs_end end = epochs_end(&p->part->epochs, q->epoch, p->part->reserved);
    ASSERT(end.epoch <= q->epoch && end.end <= p->part->reserved);
    q->found = q->epoch == now ? now : end.epoch; /* it goes on, though perhaps without a batch */
    q->end = end.end;
    return BROKER_OK;
}
