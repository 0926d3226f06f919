/* SPDX-License-Identifier: MIT
 *
 * client_settle: what becomes of a batch: acknowledged, put back, refused, too old. See
 * client_produce.h.
 */
#include <stdio.h>

#include "engine/base/assert.h"
#include "net/client/client_priv.h"

/* FLIGHT -> READY. */
static void client_produce_land(struct client_batch *b)
{
    ASSERT(b->state == CLIENT_BATCH_FLIGHT && b->part->in_flight > 0);
    b->part->in_flight--;
    b->call = NULL;
    b->state = CLIENT_BATCH_READY;
}

void client_produce_finish(struct kauri *k, struct client_batch *b, int error, const char *message)
{
    ASSERT(b->state != CLIENT_BATCH_REPORT && b->state != CLIENT_BATCH_FLIGHT);
    struct client_part *part = b->part;
    list_remove(&b->link);
    if (list_empty(&part->queue) && list_linked(&part->active))
        list_remove(&part->active);
    if (error != 0 && b->bytes.size > 0 && part->producer_id != BATCH_NO_PRODUCER)
        part->renumber = true;
    b->state = CLIENT_BATCH_REPORT;
    b->error = error;
    (void)snprintf(b->message, sizeof b->message, "%s", message == NULL ? "" : message);
    buf_deinit(&b->bytes);
    list_add_tail(&k->produce.reports, &b->link);
    client_wake(k, 0);
}

static void client_produce_refuse(struct kauri *k, struct client_batch *b,
                                  const Kauri__ProduceResult *r)
{
    char message[CLIENT_MESSAGE_MAX];
    struct client_topic *topic = b->part->topic;
    client_status_explain(r->status, r->message, topic->name, b->part->index, message);
    if (r->status == KAURI__STATUS__UNKNOWN_TOPIC || r->status == KAURI__STATUS__UNKNOWN_PARTITION)
        topic->stale = true;
    if (r->status == KAURI__STATUS__PRODUCER_FENCED) {
        if (k->produce.producer_id == b->part->producer_id)
            k->produce.producer_id = BATCH_NO_PRODUCER;
        b->part->epoch = INT16_MAX; /* the next epoch needs a new producer id */
    }
    client_produce_finish(k, b, client_status_error(r->status), message);
}

/* Not stored, because one before it was not. As head of its queue it had none before it: then the
 * broker has lost the producer's state. */
static void client_produce_gap(struct kauri *k, struct client_batch *b)
{
    if (!b->head) {
        b->alone = true;
        return;
    }
    b->part->renumber = true;
    b->due_ms = client_now_ms() + client_backoff_ms(b->refusals++);
}

void client_produce_settle(struct kauri *k, struct client_batch *b, const Kauri__ProduceResult *r)
{
    client_produce_land(b);
    if (r->status == KAURI__STATUS__OK) {
        b->base_offset = r->base_offset;
        client_produce_finish(k, b, 0, NULL);
    } else if (r->status == KAURI__STATUS__SEQUENCE_GAP &&
               b->part->producer_id != BATCH_NO_PRODUCER) {
        client_produce_gap(k, b);
    } else if (client_status_retriable(r->status) || r->status == KAURI__STATUS__STORAGE) {
        /* STORAGE: a partition that cannot be opened now, as KAFKA_STORAGE_ERROR is retried */
        b->refused = r->status;
        b->due_ms = client_now_ms() + client_backoff_ms(b->refusals++);
    } else {
        client_produce_refuse(k, b, r);
    }
}

void client_produce_recall(struct client_call *call)
{
    struct client_produce_call *c = call->owner;
    client_wire_cancel(call);
    for (size_t i = 0; i < c->count; i++) {
        c->batches[i]->sent = c->batches[i]->sent || call->sends > 0;
        client_produce_land(c->batches[i]);
    }
    free(c);
    (void)client_call_free(call);
}

/* Why a batch became too old. */
static int client_produce_lateness(struct kauri *k, const struct client_batch *b, char *message)
{
    const uint32_t timeout = k->options.delivery_timeout_ms;
    if (b->refused != KAURI__STATUS__OK) {
        char why[CLIENT_MESSAGE_MAX];
        client_status_explain(b->refused, NULL, NULL, -1, why);
        (void)snprintf(message, CLIENT_MESSAGE_MAX, "no success within %u ms: %.120s", timeout,
                       why);
        return client_status_error(b->refused);
    }
    if (b->sent) {
        (void)snprintf(message, CLIENT_MESSAGE_MAX, "no answer within %u ms", timeout);
        return KAURI_TIMED_OUT;
    }
    (void)snprintf(message, CLIENT_MESSAGE_MAX,
                   "not sent within %u ms: no broker answers at \"%.120s\"", timeout, k->server);
    return KAURI_NO_SERVER;
}

void client_produce_expire(struct kauri *k, struct client_part *part, int64_t now_ms)
{
    while (!list_empty(&part->queue)) {
        struct client_batch *b = LIST_ENTRY(part->queue.next, struct client_batch, link);
        int64_t due = b->created_ms + k->options.delivery_timeout_ms;
        if (now_ms < due) {
            client_wake(k, due);
            return;
        }
        if (b->state == CLIENT_BATCH_FLIGHT)
            client_produce_recall(b->call);
        char message[CLIENT_MESSAGE_MAX];
        int error = client_produce_lateness(k, b, message);
        client_produce_finish(k, b, error, message);
    }
}
