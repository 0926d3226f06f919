/* SPDX-License-Identifier: MIT
 *
 * kafka_fetch_priv: what the two halves of Fetch share: kafka_fetch.c, from the request to the
 * broker, and kafka_fetch_answer.c, from the broker to the answer.
 */
#pragma once

#include "net/kafka/kafka_nodes.h"
#include "proto/kafka/kp_fetch.h"

#define KAFKA_FETCH_WITH_SESSION 7
#define KAFKA_FETCH_WITH_RACK    11 /* KIP-392: and may be answered by a follower */
#define KAFKA_FETCH_WITH_LEADER  12 /* tells who leads instead */
#define KAFKA_FETCH_WITH_ID      13
#define KAFKA_FETCH_WITH_NODES   16

struct kafka_fetch_row {
    struct slice name; /* of the topic; null: no topic has this id */
    struct kp_uuid id; /* version 13 on */
    int32_t index;
    int32_t leader_epoch;
    int32_t max_bytes;
    int64_t offset;
    struct kafka_session_partition *cached; /* the session's; valid while its epoch stands */
    struct broker_fetch_item *item;         /* NULL: the answer was known before */
    int32_t preferred;                      /* the broker to read from instead; -1: this one */
    bool follower;                          /* another broker leads the partition */
    /* The answer. */
    struct kafka_session_told told;
    struct slice bytes; /* pinned */
    size_t cut;
};

/* call->state. P1: rows[0..count) have an item, an error or a preferred replica when the
 * broker is asked. */
struct kafka_fetch_plan {
    struct kafka_fetch_row *rows;
    size_t count;
    bool by_id;
    bool committed;            /* read_committed */
    bool make_session;         /* the client would like one */
    struct slice rack;         /* of the consumer; empty: none, or it does not matter */
    struct kafka_nodes *nodes; /* NULL: not needed so far */
    bool incremental;
    int32_t session_id;
    uint64_t session_serial;
    int32_t session_epoch; /* after this request */
};

/* Of the broker's fetch: the answer is made, the call is gone afterwards. */
void kafka_fetch_done(struct broker_fetch *req);

static inline int64_t kafka_fetch_now(const struct kafka_call *c)
{
    const struct clock *clock = c->k->options.clock;
    return clock->mono_ms(clock);
}

static inline bool kafka_fetch_same_topic(const struct kafka_fetch_plan *plan,
                                          const struct kafka_fetch_row *a,
                                          const struct kafka_fetch_row *b)
{
    if (plan->by_id)
        return memcmp(a->id.b, b->id.b, sizeof a->id.b) == 0;
    return slice_equal(a->name, b->name);
}

static inline struct slice kafka_fetch_key(const struct kafka_fetch_plan *plan,
                                           const struct kafka_fetch_row *row)
{
    return plan->by_id ? slice_of(row->id.b, sizeof row->id.b) : row->name;
}

static inline struct kafka_session_ask kafka_fetch_ask(const struct kafka_fetch_plan *plan,
                                                       const struct kafka_fetch_row *row)
{
    return (struct kafka_session_ask){.topic = kafka_fetch_key(plan, row),
                                      .index = row->index,
                                      .leader_epoch = row->leader_epoch,
                                      .max_bytes = row->max_bytes,
                                      .fetch_offset = row->offset};
}
