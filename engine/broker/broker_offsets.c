/* SPDX-License-Identifier: MIT
 *
 * broker_offsets: where a partition begins and ends, and which record a time falls on. By time it
 * reads the disk, in a worker.
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
    item->status = bpart_use(p);
    if (item->status != BROKER_OK)
        return;
    ASSERT(p->state == BPART_ONLINE && p->part != NULL);
    if (item->timestamp_ms != BROKER_OFFSET_EARLIEST && !bpart_watermark_known(p)) {
        item->status = BROKER_OFFSET_NOT_AVAILABLE;
        return;
    }
    if (item->timestamp_ms == BROKER_OFFSET_LATEST)
        item->offset = bpart_visible(p);
    else if (item->timestamp_ms == BROKER_OFFSET_EARLIEST)
        item->offset = p->part->log_start;
    else if (item->timestamp_ms >= 0 || item->timestamp_ms == BROKER_OFFSET_MAX_TIME)
        broker_offsets_query(p, req, item);
    else
        item->status = BROKER_BAD_REQUEST;
}

void broker_offsets(struct broker *b, struct broker_offsets *req)
{
    ASSERT(req->done != NULL);
    ASSERT(req->items != NULL || req->count == 0);
    req->priv = (typeof(req->priv)){.waiting = 1};
    list_init(&req->priv.ready);
    for (size_t i = 0; i < req->count; i++) {
        req->items[i].offset = req->items[i].found_timestamp_ms = -1;
        if (b->stopping || req->count > BROKER_ITEMS_MAX)
            req->items[i].status = b->stopping ? BROKER_STOPPING : BROKER_BAD_REQUEST;
        else
            broker_offsets_item(b, req, &req->items[i]);
    }
    broker_offsets_finish(b, req);
}
