/* SPDX-License-Identifier: MIT
 *
 * fake_broker: stands in for the broker behind a front: answers by rule, when the test wants it.
 *
 *   produce   a batch is overwritten with 0xee; base_offset is the sum of its bytes before, taken
 *             at completion, so that a batch freed early shows
 *   fetch     `fetch_size` bytes per item, each byte the low byte of its offset; items of partition
 *             1 get `mapped` instead
 *   offsets   offset = timestamp_ms + 1000
 *   admin     succeeds; names beginning with "no" fail with BROKER_DENIED
 *   groups    a request succeeds; groups beginning with "no" fail with BROKER_MEMBER_EPOCH_FENCED,
 *             items of partition 9 with BROKER_UNKNOWN_PARTITION; a beat is assigned partitions 0
 *             and 1 of every topic it names. To look at: group_count groups "group-000000" ...,
 *             each with member_count members of assigned_count partitions and row_count offsets
 *   ships     REGISTER is given the epoch 1000 + its node's id; RECORDS record_count records, every
 *             third deleted; PULL ship_size bytes for an entry that wants some, each byte its place
 *             in a pattern that begins at the offset; partition 1 gets `mapped`, partition 9
 *             UNKNOWN, partition 8 DIVERGING; VOTE record_count partitions; LEADER broker 7.
 *             Cluster ids beginning with "no" are refused with BROKER_DENIED
 *   cluster   `brokers` of them, numbers falling, broker 1 leads; every partition has a replica at
 *             each, that of the last is not in sync; the follower with the number n lacks 10 * n
 *             records. A promotion is refused with `promoted`, a leaving with `left`; who
 *             leaves has as many replicas as its number. With `elsewhere`, produce items and
 *             administration are BROKER_NOT_LEADER
 *   topics    topic_count of them: "topic-000000" ...; plus those created
 */
#pragma once

#include "engine/broker/broker_group.h"
#include "engine/broker/ship.h"

struct fake_pending;

struct broker {
    struct list pending; /* requests in order of arrival */
    size_t pending_count;
    bool hold;    /* broker_run completes nothing */
    bool reverse; /* newest first */
    size_t fetch_size;
    struct slice mapped;
    size_t topic_count;
    int32_t partition_count; /* of every topic */
    size_t config_count;
    char created[64]; /* one more topic, "" none */
    bool loading;     /* the groups are not read yet */
    size_t group_count;
    size_t member_count;
    size_t assigned_count;
    size_t row_count;
    size_t history_count;
    size_t brokers; /* at most 8 */
    enum broker_status promoted;
    enum broker_status left;
    bool elsewhere;
    bool forced; /* what the last promotion, or leaving, asked for */
    /* calls of other brokers: see fake_ship.c */
    size_t ship_size;           /* bytes for an entry that wants some */
    size_t record_count;        /* records, partitions of a vote */
    uint8_t *ship_bytes;        /* pattern that pulls are answered from */
    struct ship_call last_ship; /* as it arrived, without what it points to */
    char text[32];              /* borrowed from until the next call */
    /* what happened */
    size_t started;
    size_t done;
    size_t cancelled;
    size_t pins;
    struct broker_admin last_admin;        /* as it arrived */
    const struct broker_group *last_group; /* while it is pending */
};

struct broker *fake_broker_new(void);
struct broker *fake_broker_free(struct broker *b);
/* fake_ship.c: the byte at a place of the pattern, and completing a call. */
uint8_t fake_ship_byte(int64_t offset, size_t index);
void fake_ship_finish(struct broker *b, struct ship_call *call);
/* Completes at most `count`, whatever `hold` says. */
void fake_broker_complete(struct broker *b, size_t count);
