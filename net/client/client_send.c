/* SPDX-License-Identifier: MIT
 *
 * client_send: the producer's public calls: limits, the choice of a partition, gathering, flush.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "net/client/client_priv.h"

/* Kept free of a message for its header, and for a codec that makes a batch longer. */
#define CLIENT_MESSAGE_MARGIN (64u * 1024)
#define CLIENT_HEADERS_MAX    65536

/* Bytes a record takes; SIZE_MAX when a length is absurd. */
static size_t client_send_size(const struct kauri_record *r)
{
    size_t size = CLIENT_RECORD_COST;
    if (r->key_size > INT32_MAX || r->value_size > INT32_MAX ||
        r->header_count > CLIENT_HEADERS_MAX)
        return SIZE_MAX;
    size += r->key_size + r->value_size;
    for (size_t i = 0; i < r->header_count; i++) {
        const struct kauri_header *h = &r->headers[i];
        if (h->name_size > INT32_MAX || h->value_size > INT32_MAX)
            return SIZE_MAX;
        size += h->name_size + h->value_size + CLIENT_RECORD_COST;
    }
    return size;
}

static size_t client_send_size_max(const struct kauri *k)
{
    size_t max = k->wire.message_size_max;
    return max > 2 * CLIENT_MESSAGE_MARGIN ? max - CLIENT_MESSAGE_MARGIN : max / 2;
}

static int client_send_check(struct kauri *k, const struct kauri_record *r, size_t size)
{
    if (r->topic == NULL || r->partition < -1 || r->timestamp_ms < -1)
        return client_fail(k, KAURI_BAD_ARGUMENT,
                           "the record has no topic, or a negative partition "
                           "or timestamp");
    if (size > k->options.buffer_size)
        return client_fail(k, KAURI_TOO_LARGE, "the record is larger than the buffer of %zu bytes",
                           k->options.buffer_size);
    k->produce.full = size > k->options.buffer_size - k->produce.used;
    if (k->produce.full)
        return client_fail(k, KAURI_AGAIN, "the buffer of %zu bytes is full",
                           k->options.buffer_size);
    return 0;
}

/* Key first, then round robin. The partition must be one of the topic's. */
static int client_send_place(struct kauri *k, struct client_topic **t, const struct kauri_record *r,
                             int32_t *out)
{
    if (r->partition >= (*t)->partition_count) {
        (*t)->stale = true; /* it may have grown */
        int error = client_topic_get(k, r->topic, false, t);
        if (error != 0)
            return error;
    }
    if (r->partition >= (*t)->partition_count)
        return client_fail(k, KAURI_UNKNOWN_PARTITION, "topic \"%.180s\" has no partition %d",
                           r->topic, r->partition);
    if (r->partition >= 0) {
        *out = r->partition;
    } else if (r->key != NULL) {
        *out = kauri_partition_for(r->key, r->key_size, (*t)->partition_count);
    } else {
        *out = (*t)->next;
        (*t)->next = ((*t)->next + 1) % (*t)->partition_count;
    }
    return 0;
}

/* The open batch with room for `size` more, a new one if need be. *full tells that one was filled.
 * */
static struct client_batch *client_send_room(struct kauri *k, struct client_part *part, size_t size,
                                             bool *full)
{
    size_t max = client_send_size_max(k);
    if (max > k->options.batch_size)
        max = k->options.batch_size;
    if (list_empty(&part->queue)) {
        list_add_tail(&k->produce.active, &part->active);
    } else {
        struct client_batch *b = LIST_ENTRY(part->queue.prev, struct client_batch, link);
        if (b->state == CLIENT_BATCH_OPEN && batch_build_size(&b->build) + size <= max)
            return b;
        if (b->state == CLIENT_BATCH_OPEN) {
            b->state = CLIENT_BATCH_FULL;
            *full = true;
        }
    }
    struct client_batch *b = client_batch_new(part, client_now_ms());
    list_add_tail(&part->queue, &b->link);
    return b;
}

int kauri_send(struct kauri *k, const struct kauri_record *r)
{
    ASSERT(k != NULL && r != NULL);
    size_t size = client_send_size(r);
    int error = client_send_check(k, r, size);
    if (error != 0)
        return error;
    struct client_topic *topic;
    error = client_topic_get(k, r->topic, true, &topic);
    if (error != 0)
        return error;
    if (size > client_send_size_max(k))
        return client_fail(k, KAURI_TOO_LARGE, "the record is larger than the broker's messages");
    int32_t index = -1;
    error = client_send_place(k, &topic, r, &index);
    if (error != 0)
        return error;
    const struct clock *clock = clock_real();
    bool full = false;
    struct client_batch *b = client_send_room(k, client_topic_part(topic, index), size, &full);
    client_batch_add(b, r, r->timestamp_ms >= 0 ? r->timestamp_ms : clock->wall_ms(clock), size);
    k->produce.used += size;
    k->produce.outstanding++;
    if (full)
        (void)client_turn(k);
    return 0;
}

/* With acks none nothing tells that the records arrived; the answer to a ping sent behind them
 * does. */
static int client_send_barrier(struct kauri *k)
{
    Kauri__Ping ping;
    kauri__ping__init(&ping);
    Kauri__Call content;
    kauri__call__init(&content);
    content.call_case = KAURI__CALL__CALL_PING;
    content.ping = &ping;
    struct client_ask ask CLEANUP(client_ask_done);
    return client_ask(k, &ask, &content);
}

int kauri_flush(struct kauri *k, uint32_t timeout_ms)
{
    int64_t until = client_now_ms() + timeout_ms;
    bool any = k->produce.outstanding > 0;
    k->produce.flushing++;
    for (;;) {
        (void)client_turn(k);
        (void)client_produce_report(k);
        if (k->produce.outstanding == 0 || client_now_ms() >= until)
            break;
        client_sleep(k, until);
    }
    k->produce.flushing--;
    if (k->produce.outstanding > 0)
        return client_fail(k, KAURI_TIMED_OUT, "%zu records are not delivered after %u ms",
                           k->produce.outstanding, timeout_ms);
    return any && k->options.acks == KAURI_ACKS_NONE ? client_send_barrier(k) : 0;
}

size_t kauri_outstanding(const struct kauri *k)
{
    return k->produce.outstanding;
}
