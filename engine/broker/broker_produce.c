/* SPDX-License-Identifier: MIT
 *
 * broker_produce: checks each batch, reserves its offsets, waits for its round.
 *
 * Order of checks, as Kafka's: topic and partition, size, structure and CRC, timestamps, sequence.
 * A duplicate is not answered from the producer's memory alone: it waits until the original is as
 * durable as this request's topic asks.
 *
 * A batch for a partition that a worker still recovers is held until that is over. Were it refused,
 * the producer's next batch, already on its way, could find the partition open and be answered with
 * a gap in its sequence, which ends some clients' idempotent producers for good.
 */
#include <errno.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/broker_cluster.h"
#include "engine/broker/broker_priv.h"

struct broker_produce_part {
    struct part_append append;
    struct part_wait wait;
    struct bpart_ack ack;
    struct heap_node deadline; /* in broker->ack_deadlines while it waits for replicas */
    struct list held;          /* in bpart->held */
    struct broker_produce *req;
    struct broker_produce_item *item;
    struct bpart *bpart;
    struct part *part;
    int64_t now_ms; /* wall time, one for the request */
};

static void broker_produce_finish(struct broker_produce *req)
{
    struct broker *b = req->priv.broker;
    ASSERT(req->priv.waiting > 0);
    ASSERT(b->in_flight_size >= req->priv.size);
    ASSERT(!list_linked(&req->priv.ready));
    if (--req->priv.waiting > 0)
        return;
    ASSERT(req->priv.parts != NULL);
    b->in_flight_size -= req->priv.size;
    free(req->priv.parts);
    req->priv.parts = NULL;
    list_add_tail(&b->ready_produce, &req->priv.ready);
}

static void broker_produce_acked(struct bpart_ack *a, enum broker_status status)
{
    struct broker_produce_part *pp = LIST_ENTRY(a, struct broker_produce_part, ack);
    struct broker_produce_item *item = pp->item;
    ASSERT(pp->req->priv.waiting > 0);
    heap_remove(&pp->req->priv.broker->ack_deadlines, &pp->deadline);
    item->status = status;
    if (status != BROKER_OK)
        item->base_offset = item->append_time_ms = item->log_start = -1;
    broker_produce_finish(pp->req);
}

void broker_produce_timers(struct broker *b)
{
    struct heap_node *n;
    while ((n = heap_pop_due(&b->ack_deadlines, broker_now(b))) != NULL) {
        struct broker_produce_part *pp = HEAP_ENTRY(n, struct broker_produce_part, deadline);
        ASSERT(pp->req->acks < 0);
        bpart_ack_cancel(&pp->ack);
        broker_produce_acked(&pp->ack, BROKER_TIMED_OUT);
    }
}

/* It is on this disk: with acks=all it waits for the others. */
static bool broker_produce_waits(struct broker_produce_part *pp)
{
    struct broker *b = pp->req->priv.broker;
    ASSERT(pp->bpart->part != NULL);
    if (pp->req->acks >= 0 || pp->bpart->replica == NULL)
        return false;
    pp->ack.offset = pp->append.last_offset;
    pp->ack.done = broker_produce_acked;
    heap_set(&b->ack_deadlines, &pp->deadline, broker_now(b) + pp->req->timeout_ms);
    if (bpart_ack_wait(pp->bpart, &pp->ack))
        return true;
    heap_remove(&b->ack_deadlines, &pp->deadline);
    return false;
}

static void broker_produce_settle(struct broker_produce_part *pp, int result)
{
    struct broker_produce_item *item = pp->item;
    ASSERT(pp->part != NULL && pp->req->priv.waiting > 0);
    if (result == 0) {
        item->status = BROKER_OK;
        item->base_offset = pp->append.base_offset;
        item->log_start = pp->part->log_start;
        if (broker_produce_waits(pp))
            return;
    } else {
        item->status = result == IO_FULL   ? BROKER_DISK_FULL
                       : result == -ENOENT ? BROKER_UNKNOWN_TOPIC /* deleted meanwhile */
                                           : BROKER_STORAGE;
        item->base_offset = -1;
        item->append_time_ms = -1;
    }
    broker_produce_finish(pp->req);
}

static void broker_produce_appended(struct part_append *a, int result)
{
    ASSERT(a->done == broker_produce_appended);
    broker_produce_settle(LIST_ENTRY(a, struct broker_produce_part, append), result);
}

static void broker_produce_waited(struct part_wait *w, int result)
{
    ASSERT(w->done == broker_produce_waited);
    broker_produce_settle(LIST_ENTRY(w, struct broker_produce_part, wait), result);
}

static enum broker_status broker_produce_refuse(struct broker_produce_item *item,
                                                enum broker_status status, const char *message)
{
    ASSERT(status != BROKER_OK);
    item->status = status;
    item->message = message;
    item->base_offset = item->append_time_ms = item->log_start = -1;
    return status;
}

static enum broker_status broker_produce_fault(struct broker_produce_item *item,
                                               enum batch_fault fault)
{
    ASSERT(fault != BATCH_OK && fault != BATCH_WRONG_MAX);
    const char *text = batch_fault_text(fault);
    if (fault == BATCH_BAD_CRC || fault == BATCH_SHORT || fault == BATCH_BAD_LENGTH)
        return broker_produce_refuse(item, BROKER_BATCH_CORRUPT, text);
    if (fault == BATCH_BAD_TIMESTAMP)
        return broker_produce_refuse(item, BROKER_BATCH_TIMESTAMP, text);
    if (fault == BATCH_TOO_LARGE)
        return broker_produce_refuse(item, BROKER_BATCH_TOO_LARGE, text);
    return broker_produce_refuse(item, BROKER_BATCH_INVALID, text);
}

/* The batch itself: structure, timestamps; stamps append time. */
static enum broker_status broker_produce_check(struct broker *b, const struct topic *t,
                                               struct broker_produce_part *pp)
{
    struct broker_produce_item *item = pp->item;
    struct batch_header *h = &pp->append.header;
    const struct topic_limits *l = &t->limits;
    int64_t now = pp->now_ms;
    struct batch_rules rules = {.inflate_max = BROKER_BATCH_INFLATE(item->size),
                                .key_required = l->compacted,
                                .scratch = &b->scratch};
    if (rules.inflate_max > BROKER_INFLATE_MAX)
        rules.inflate_max = BROKER_INFLATE_MAX;
    enum batch_fault fault = batch_validate(slice_of(item->batch, item->size), &rules, h);
    if (fault == BATCH_WRONG_MAX) {
        batch_stamp_max_timestamp(item->batch, h->max_timestamp);
        fault = batch_parse(slice_of(item->batch, item->size), h);
    }
    if (fault != BATCH_OK)
        return broker_produce_fault(item, fault);
    ASSERT(h->size == item->size); /* one batch and nothing behind it */
    if (l->append_time) {
        batch_stamp_append_time(item->batch, now);
        item->append_time_ms = now;
        fault = batch_parse(slice_of(item->batch, item->size), h);
        ASSERT(fault == BATCH_OK);
        return BROKER_OK;
    }
    if (h->max_timestamp >= 0 && l->before_max_ms < INT64_MAX &&
        h->base_timestamp < now - l->before_max_ms)
        return broker_produce_refuse(item, BROKER_BATCH_TIMESTAMP,
                                     "older than message.timestamp.before.max.ms allows");
    if (l->after_max_ms < INT64_MAX && h->max_timestamp - l->after_max_ms > now)
        return broker_produce_refuse(item, BROKER_BATCH_TIMESTAMP,
                                     "further ahead than message.timestamp.after.max.ms allows");
    return BROKER_OK;
}

/* BROKER_LOADING gives *out too, and refuses nothing. */
static enum broker_status broker_produce_find(struct broker *b, int acks,
                                              struct broker_produce_item *item, struct bpart **out)
{
    ASSERT(out != NULL && *out == NULL);
    struct topic *t = broker_find_topic(b, item->topic);
    if (t == NULL || t->deleting)
        return broker_produce_refuse(item, BROKER_UNKNOWN_TOPIC, NULL);
    if (catalog_name_internal(item->topic))
        return broker_produce_refuse(item, BROKER_DENIED, "this topic is the broker's own");
    struct bpart *p = broker_find_part(t, item->partition);
    if (p == NULL)
        return broker_produce_refuse(item, BROKER_UNKNOWN_PARTITION, NULL);
    if (item->size > t->limits.message_size_max)
        return broker_produce_refuse(item, BROKER_BATCH_TOO_LARGE, "over max.message.bytes");
    if (acks < 0 && t->limits.min_insync > 1 && bpart_alone(p))
        return broker_produce_refuse(item, BROKER_NOT_ENOUGH_REPLICAS,
                                     "min.insync.replicas is above the one replica there is");
    enum broker_status s = bpart_use(p);
    if (s == BROKER_OK)
        s = bpart_may_append(p, acks);
    else if (!broker_leads(b))
        s = BROKER_NOT_LEADER;
    if (s != BROKER_OK && s != BROKER_LOADING)
        return broker_produce_refuse(item, s, NULL);
    *out = p;
    return s;
}

/* Queues one item; BROKER_OK means that it waits for its round. */
static enum broker_status broker_produce_append(struct bpart *p, struct broker_produce_part *pp)
{
    ASSERT(p->state == BPART_ONLINE && p->part != NULL);
    ASSERT(pp->append.header.size == pp->item->size);
    struct broker_produce_item *item = pp->item;
    pp->append.batch = item->batch;
    pp->append.done = broker_produce_appended;
    pp->part = p->part;
    pp->bpart = p;
    int r = part_append(p->part, &pp->append, pp->now_ms);
    switch (r) {
    case 0:
        ASSERT(pp->append.last_offset < p->part->reserved);
        broker_counters_append(p, pp->append.base_offset, (size_t)pp->append.header.count,
                               item->size, pp->now_ms);
        bpart_due(p);
        return BROKER_OK;
    case PART_DUPLICATE:
        pp->wait.offset = pp->append.last_offset;
        pp->wait.done = broker_produce_waited;
        if (!part_wait(p->part, &pp->wait, bpart_syncs(p)))
            broker_produce_settle(pp, 0);
        return BROKER_OK;
    case PART_GAP: /* for many clients the end: said by one that cannot lack what others have */
        if (!bpart_confirmed(p))
            return broker_produce_refuse(item, BROKER_NOT_LEADER,
                                         "not known yet whether another broker leads");
        return broker_produce_refuse(item, BROKER_SEQUENCE_GAP,
                                     "a batch of this producer before this one is missing");
    case PART_FENCED:
        return broker_produce_refuse(item, BROKER_PRODUCER_FENCED,
                                     "a newer producer epoch is known");
    case PART_PRODUCERS:
        return broker_produce_refuse(item, BROKER_BUSY, "too many producer ids in this partition");
    default: /* PART_TOO_LARGE */
        return broker_produce_refuse(item, BROKER_BATCH_TOO_LARGE, "larger than segment.bytes");
    }
}

static void broker_produce_item(struct broker *b, struct broker_produce_part *pp)
{
    ASSERT(pp->req->priv.waiting > 0);
    struct bpart *p = NULL;
    pp->item->append_time_ms = -1;
    pp->item->log_start = -1;
    pp->item->message = NULL;
    enum broker_status s = broker_produce_find(b, pp->req->acks, pp->item, &p);
    if (s == BROKER_LOADING) {
        list_add_tail(&p->held, &pp->held);
        return;
    }
    if (s == BROKER_OK)
        s = broker_produce_check(b, p->topic, pp);
    if (s == BROKER_OK)
        s = broker_produce_append(p, pp);
    if (s != BROKER_OK)
        broker_produce_finish(pp->req);
}

/* Why a load that is over left nothing to write to. */
static enum broker_status broker_produce_unopened(const struct bpart *p)
{
    ASSERT(p->state != BPART_ONLINE && p->state != BPART_LOADING);
    if (p->state == BPART_GONE)
        return BROKER_UNKNOWN_TOPIC;
    return p->state == BPART_IDLE ? BROKER_DISK_FULL : BROKER_STORAGE; /* IDLE: no space for it */
}

void broker_produce_wake(struct broker *b, struct bpart *p)
{
    struct list woken;
    struct list *node;
    ASSERT(p->broker == b && p->state != BPART_LOADING);
    list_init(&woken);
    list_splice(&woken, &p->held);
    while ((node = list_pop(&woken)) != NULL) {
        struct broker_produce_part *pp = LIST_ENTRY(node, struct broker_produce_part, held);
        if (p->state == BPART_ONLINE && !b->stopping) {
            pp->now_ms = broker_wall(b);
            broker_produce_item(b, pp);
            continue;
        }
        enum broker_status s = b->stopping ? BROKER_STOPPING : broker_produce_unopened(p);
        (void)broker_produce_refuse(pp->item, s, NULL);
        broker_produce_finish(pp->req);
    }
}

/* Refuses the whole request; NULL message: the status says it all. */
static void broker_produce_refuse_all(struct broker *b, struct broker_produce *req,
                                      enum broker_status status, const char *message)
{
    ASSERT(req->priv.waiting == 0 && req->priv.parts == NULL);
    ASSERT(status != BROKER_OK);
    for (size_t i = 0; i < req->count; i++)
        (void)broker_produce_refuse(&req->items[i], status, message);
    list_add_tail(&b->ready_produce, &req->priv.ready);
}

void broker_produce(struct broker *b, struct broker_produce *req)
{
    ASSERT(req->done != NULL);
    ASSERT(req->items != NULL || req->count == 0);
    size_t size = 0;
    req->priv = (typeof(req->priv)){.broker = b};
    list_init(&req->priv.ready);
    for (size_t i = 0; i < req->count; i++)
        size += req->items[i].size;
    if (b->stopping)
        return broker_produce_refuse_all(b, req, BROKER_STOPPING, NULL);
    if (b->disk_full)
        return broker_produce_refuse_all(b, req, BROKER_DISK_FULL, NULL);
    if (req->count > BROKER_ITEMS_MAX || req->acks < -1 || req->acks > 1)
        return broker_produce_refuse_all(b, req, BROKER_BAD_REQUEST, "acks is 0, 1 or -1 (all)");
    if (b->in_flight_size + size > (size_t)config_i64(b->env.config, CONFIG_REQUEST_BYTES_MAX))
        return broker_produce_refuse_all(b, req, BROKER_BUSY, "queued.max.request.bytes reached");
    struct broker_produce_part *parts = calloc(req->count > 0 ? req->count : 1, sizeof *parts);
    ASSERT(parts != NULL);
    req->priv.parts = parts;
    req->priv.size = size;
    req->priv.waiting = req->count + 1; /* one for this function */
    b->in_flight_size += size;
    int64_t now_ms = broker_wall(b);
    for (size_t i = 0; i < req->count; i++) {
        parts[i].req = req;
        parts[i].item = &req->items[i];
        parts[i].now_ms = now_ms;
        broker_produce_item(b, &parts[i]);
    }
    broker_produce_finish(req);
}
