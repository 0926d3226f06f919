/* SPDX-License-Identifier: MIT
 *
 * kafka_throttle: what a call costs its client, and holding back who used more than its quota
 * (KIP-13, KIP-124, KIP-219). What a quota is, the broker knows (engine/broker/quota.h).
 *
 *   producer_byte_rate   the frames of Produce, counted when they have come
 *   consumer_byte_rate   the bytes of records of Fetch, counted when the answer is made; a fetch is
 *                        given at most what the quota allows in ten seconds
 *   request_percentage   the time of the loop: from a frame to the end of its handler, and from the
 *                        broker's completion to the writing of the answer
 *
 * A call that is over a quota is served, its answer tells throttle_time_ms at once, and nothing is
 * read from its connection for that time, whatever the client does: as Kafka since 2.0. Frames that
 * had been read already are served too, and counted.
 */
#include "net/kafka/kafka_priv.h"

static int64_t kafka_throttle_now(const struct kafka_call *c)
{
    const struct clock *clock = c->k->options.clock;
    return clock->mono_us(clock);
}

void kafka_throttle_begin(struct kafka_call *c)
{
    c->timed = broker_quota_any(c->k->options.broker, QUOTA_TIME);
    if (c->timed)
        c->stretch_us = kafka_throttle_now(c);
}

void kafka_throttle_rest(struct kafka_call *c)
{
    if (c->timed)
        c->spent_us += kafka_throttle_now(c) - c->stretch_us;
    c->timed = false;
}

static void kafka_throttle_use(struct kafka_call *c, enum quota_key key, double amount)
{
    uint32_t wait_ms = broker_quota_charge(c->k->options.broker, key, c->client_id, amount);
    if (wait_ms > (uint32_t)c->throttle_ms)
        c->throttle_ms = (int32_t)wait_ms;
    if (wait_ms > 0 && c->r->conn != NULL)
        conn_hold(c->r->conn, wait_ms);
}

void kafka_throttle_bytes(struct kafka_call *c, enum quota_key key, size_t size)
{
    ASSERT(key != QUOTA_TIME);
    if (broker_quota_any(c->k->options.broker, key))
        kafka_throttle_use(c, key, (double)size);
}

int32_t kafka_throttle_answer(struct kafka_call *c)
{
    kafka_throttle_rest(c);
    if (c->spent_us > 0)
        kafka_throttle_use(c, QUOTA_TIME, (double)c->spent_us);
    c->spent_us = 0;
    return c->throttle_ms;
}

const void *kafka_throttle_response(struct kafka_call *c, const void *response)
{
    struct kp_kind kind = {c->kind.api, KP_RESPONSE, c->kind.version};
    int32_t throttle_ms = kafka_throttle_answer(c);
    if (throttle_ms == 0)
        return response;
    size_t size = kp_size(kind);
    void *copy = kafka_alloc(c, 1, size);
    if (copy == NULL)
        return NULL;
    memcpy(copy, response, size);
    int32_t *place = kp_throttle(kind, copy);
    if (place != NULL)
        *place = throttle_ms;
    return copy;
}
