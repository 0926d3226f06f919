/* SPDX-License-Identifier: MIT
 *
 * client_produce: see client_produce.h. This file asks for the producer id, picks the batches that
 * may leave, packs them into calls and takes the answers apart.
 */
#include "net/client/client_produce.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "net/client/client_priv.h"
#include "proto/frame.h"

#define CLIENT_BROKER_WAIT_MAX_MS 30000

void client_produce_init(struct client_produce *p)
{
    *p = (struct client_produce){.producer_id = BATCH_NO_PRODUCER};
    list_init(&p->active);
    list_init(&p->reports);
}

static void client_produce_drop(struct list *batches)
{
    for (struct list *node = list_pop(batches); node != NULL; node = list_pop(batches))
        (void)client_batch_free(LIST_ENTRY(node, struct client_batch, link));
}

struct client_part *client_part_free(struct client_part *part)
{
    if (part == NULL)
        return NULL;
    ASSERT(part->in_flight == 0);
    client_produce_drop(&part->queue);
    if (list_linked(&part->active))
        list_remove(&part->active);
    free(part);
    return NULL;
}

void client_produce_deinit(struct kauri *k)
{
    LIST_EACH (node, &k->produce.active) {
        struct client_part *part = LIST_ENTRY(node, struct client_part, active);
        LIST_EACH (at, &part->queue) {
            struct client_batch *b = LIST_ENTRY(at, struct client_batch, link);
            if (b->state == CLIENT_BATCH_FLIGHT)
                client_produce_recall(b->call);
        }
    }
    client_produce_drop(&k->produce.reports);
    k->produce.init_call = client_call_free(k->produce.init_call);
}

/* --- producer id --- */

static void client_produce_inited(struct kauri *k, struct client_call *call,
                                  const struct client_answer *a)
{
    struct client_produce *p = &k->produce;
    ASSERT(call == p->init_call);
    const Kauri__Answer *answer = a->answer;
    if (answer->status == KAURI__STATUS__OK &&
        answer->answer_case == KAURI__ANSWER__ANSWER_INIT_PRODUCER &&
        answer->init_producer->producer_id >= 0) {
        p->producer_id = answer->init_producer->producer_id;
        p->epoch = (int16_t)(answer->init_producer->producer_epoch & INT16_MAX);
        p->init_refusals = 0;
    } else {
        p->init_due_ms = client_now_ms() + client_backoff_ms(p->init_refusals++);
    }
    p->init_call = client_call_free(call);
}

static bool client_produce_idempotent(const struct kauri *k)
{
    return k->options.acks != KAURI_ACKS_NONE;
}

/* Asks for a producer id unless one is known or asked for. */
static void client_produce_identify(struct kauri *k, int64_t now_ms)
{
    struct client_produce *p = &k->produce;
    if (p->producer_id != BATCH_NO_PRODUCER || p->init_call != NULL)
        return;
    if (now_ms < p->init_due_ms) {
        client_wake(k, p->init_due_ms);
        return;
    }
    Kauri__InitProducer init;
    kauri__init_producer__init(&init);
    Kauri__Call content;
    kauri__call__init(&content);
    content.call_case = KAURI__CALL__CALL_INIT_PRODUCER;
    content.init_producer = &init;
    p->init_call = client_call_new(&content);
    p->init_call->done = client_produce_inited;
    client_wire_add(&k->wire, p->init_call);
}

/* Begins the next epoch of a partition, or a new producer id when the epochs are used up. False
 * while that id is not known. */
static bool client_produce_renumber(struct kauri *k, struct client_part *part)
{
    ASSERT(part->in_flight == 0);
    if (part->producer_id != BATCH_NO_PRODUCER && part->epoch < INT16_MAX) {
        part->epoch++;
    } else {
        if (part->producer_id == k->produce.producer_id)
            k->produce.producer_id = BATCH_NO_PRODUCER;
        part->producer_id = BATCH_NO_PRODUCER;
        if (k->produce.producer_id == BATCH_NO_PRODUCER)
            return false;
        part->producer_id = k->produce.producer_id;
        part->epoch = k->produce.epoch;
    }
    part->sequence = 0;
    part->renumber = false;
    LIST_EACH (node, &part->queue) {
        struct client_batch *b = LIST_ENTRY(node, struct client_batch, link);
        if (b->state == CLIENT_BATCH_READY)
            client_batch_renumber(b);
    }
    return true;
}

/* True when the partition has numbers for its next batch. */
static bool client_produce_numbered(struct kauri *k, struct client_part *part, int64_t now_ms)
{
    if (!client_produce_idempotent(k))
        return true;
    if (part->producer_id != BATCH_NO_PRODUCER && !part->renumber)
        return true;
    if (part->in_flight > 0)
        return false;
    if (client_produce_renumber(k, part))
        return true;
    client_produce_identify(k, now_ms);
    return false;
}

/* --- what may leave --- */

static bool client_produce_ripe(struct kauri *k, const struct client_batch *b, int64_t now_ms)
{
    if (b->state != CLIENT_BATCH_OPEN || k->produce.flushing > 0 || k->produce.full)
        return true;
    int64_t due = b->created_ms + k->options.linger_ms;
    if (now_ms < due)
        client_wake(k, due);
    return now_ms >= due;
}

/* P2: one more may be encoded beside those from the oldest without an answer on. */
static bool client_produce_room(const struct kauri *k, const struct client_part *part)
{
    const struct client_batch *head = LIST_ENTRY(part->queue.next, struct client_batch, link);
    ASSERT(!list_empty(&part->queue));
    return head->bytes.size == 0 || part->encoded - head->number < k->options.in_flight_max;
}

/* The batch of this partition that may be sent now, encoded; or NULL. */
static struct client_batch *client_produce_next(struct kauri *k, struct client_part *part,
                                                int64_t now_ms)
{
    if (part->in_flight >= k->options.in_flight_max)
        return NULL;
    LIST_EACH (node, &part->queue) {
        struct client_batch *b = LIST_ENTRY(node, struct client_batch, link);
        if (b->state == CLIENT_BATCH_FLIGHT)
            continue;
        b->head = node == part->queue.next;
        if (b->due_ms > now_ms)
            client_wake(k, b->due_ms);
        if (b->due_ms > now_ms || (b->alone && !b->head) || !client_produce_ripe(k, b, now_ms))
            return NULL;
        if (!client_produce_numbered(k, part, now_ms))
            return NULL;
        if (b->bytes.size == 0 && !client_produce_room(k, part))
            return NULL;
        if (b->bytes.size == 0)
            client_batch_encode(b, (enum codec)k->options.codec);
        return b;
    }
    return NULL;
}

/* --- calls --- */

/* Every batch of the call gets the broker's word, or the status of the call as a whole. */
static void client_produce_answered(struct kauri *k, struct client_call *call,
                                    const struct client_answer *a)
{
    struct client_produce_call *c = call->owner;
    Kauri__ProduceResult whole;
    kauri__produce_result__init(&whole);
    whole.base_offset = -1; /* acks none: nobody knows */
    const Kauri__ProduceAnswer *results = NULL;
    if (a != NULL) {
        whole.status = a->answer->status;
        whole.message = a->answer->message;
        if (a->answer->answer_case == KAURI__ANSWER__ANSWER_PRODUCE)
            results = a->answer->produce;
        if (whole.status == KAURI__STATUS__OK &&
            (results == NULL || results->n_results != c->count))
            whole.status = KAURI__STATUS__BAD_REQUEST;
    }
    bool single = a != NULL && whole.status == KAURI__STATUS__OK;
    for (size_t i = 0; i < c->count; i++) {
        c->batches[i]->sent = true;
        client_produce_settle(k, c->batches[i], single ? results->results[i] : &whole);
    }
    free(c);
    (void)client_call_free(call);
}

static void client_produce_content(const struct kauri *k, const struct client_produce_call *c,
                                   Kauri__Produce *produce, Kauri__ProduceItem *items,
                                   Kauri__ProduceItem **pointers)
{
    static const int32_t acks[] = {
        [KAURI_ACKS_ALL] = -1, [KAURI_ACKS_LEADER] = 1, [KAURI_ACKS_NONE] = 0};
    const uint32_t timeout = k->options.delivery_timeout_ms;
    produce->acks = acks[k->options.acks];
    produce->timeout_ms = timeout < CLIENT_BROKER_WAIT_MAX_MS ? timeout : CLIENT_BROKER_WAIT_MAX_MS;
    produce->items = pointers;
    produce->n_items = c->count;
    for (size_t i = 0; i < c->count; i++) {
        const struct client_batch *b = c->batches[i];
        kauri__produce_item__init(&items[i]);
        items[i].topic = b->part->topic->name;
        items[i].partition = b->part->index;
        items[i].size = (uint32_t)b->bytes.size;
        pointers[i] = &items[i];
    }
}

/* Queues the call; its batches are in flight. */
static void client_produce_submit(struct kauri *k, struct client_produce_call *c)
{
    Kauri__ProduceItem items[CLIENT_CALL_ITEMS_MAX];
    Kauri__ProduceItem *pointers[CLIENT_CALL_ITEMS_MAX];
    Kauri__Produce produce;
    kauri__produce__init(&produce);
    Kauri__Call content;
    kauri__call__init(&content);
    client_produce_content(k, c, &produce, items, pointers);
    content.call_case = KAURI__CALL__CALL_PRODUCE;
    content.produce = &produce;
    struct client_call *call = client_call_new(&content);
    call->parts = calloc(c->count, sizeof *call->parts);
    ASSERT(call->parts != NULL);
    call->part_count = c->count;
    for (size_t i = 0; i < c->count; i++) {
        call->parts[i] = buf_slice(&c->batches[i]->bytes);
        c->batches[i]->call = call;
    }
    call->one_way = !client_produce_idempotent(k);
    call->done = client_produce_answered;
    call->owner = c;
    client_wire_add(&k->wire, call);
}

static void client_produce_take(struct kauri *k, struct client_produce_call **c,
                                struct client_batch *b)
{
    if (*c != NULL && ((*c)->count == CLIENT_CALL_ITEMS_MAX ||
                       (*c)->size + b->bytes.size > CLIENT_CALL_SIZE_MAX)) {
        client_produce_submit(k, *c);
        *c = NULL;
    }
    if (*c == NULL)
        *c = calloc(1, sizeof **c);
    ASSERT(*c != NULL);
    (*c)->batches[(*c)->count++] = b;
    (*c)->size += b->bytes.size;
    b->state = CLIENT_BATCH_FLIGHT;
    b->part->in_flight++;
}

/* One batch of each partition that has one ready. False when there was none. */
static bool client_produce_pass(struct kauri *k, int64_t now_ms)
{
    struct client_produce_call *c = NULL;
    LIST_EACH (node, &k->produce.active) {
        struct client_part *part = LIST_ENTRY(node, struct client_part, active);
        struct client_batch *b = client_produce_next(k, part, now_ms);
        if (b != NULL)
            client_produce_take(k, &c, b);
    }
    if (c == NULL)
        return false;
    client_produce_submit(k, c);
    return true;
}

void client_produce_turn(struct kauri *k, int64_t now_ms)
{
    LIST_EACH_SAFE (node, &k->produce.active)
        client_produce_expire(k, LIST_ENTRY(node, struct client_part, active), now_ms);
    while (client_produce_pass(k, now_ms))
        continue;
}

/* --- reports --- */

static void client_produce_tell(struct kauri *k, struct client_batch *b, int32_t index)
{
    size_t charge;
    struct kauri_record r = {
        .topic = b->part->topic->name,
        .partition = b->part->index,
        .offset = b->base_offset < 0 ? -1 : b->base_offset + index,
        .timestamp_ms = -1,
    };
    memcpy(&r.opaque, b->opaques.p + (size_t)index * sizeof r.opaque, sizeof r.opaque);
    memcpy(&charge, b->charges.p + (size_t)index * sizeof charge, sizeof charge);
    ASSERT(k->produce.used >= charge && k->produce.outstanding > 0);
    k->produce.used -= charge;
    k->produce.outstanding--;
    if (k->options.delivered != NULL)
        k->options.delivered(k->options.ctx, &r, b->error, b->message);
}

int client_produce_report(struct kauri *k)
{
    int count = 0;
    for (struct list *node = list_pop(&k->produce.reports); node != NULL;
         node = list_pop(&k->produce.reports)) {
        struct client_batch *b = LIST_ENTRY(node, struct client_batch, link);
        for (int32_t i = 0; i < b->count; i++)
            client_produce_tell(k, b, i);
        count += b->count;
        (void)client_batch_free(b);
    }
    return count;
}
