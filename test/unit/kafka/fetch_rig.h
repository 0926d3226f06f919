/* SPDX-License-Identifier: MIT
 *
 * fetch_rig: the Kafka front over a broker that leaves nothing to chance (test/unit/broker/rig.h),
 * and clients on loopback sockets that encode and decode by the tables of proto/kafka. What the
 * front writes by hand is compared with what the tables write, byte for byte.
 */
#pragma once

#include "net/kafka/kafka.h"
#include "proto/kafka/kp.h"
#include "test/unit/broker/rig.h"

#define FETCH_RIG_TURNS 2000 /* at most, for something that must come */

struct fetch_rig {
    struct rig g;
    struct kafka *k;
    unsigned damages; /* lines of level 2 */
    char line[512];   /* the last of them */
};

/* Opens a broker and its front. */
void fetch_rig_open(struct fetch_rig *r, uint64_t seed);
/* Stops the front, then the broker. */
void fetch_rig_close(struct fetch_rig *r);
/* The front alone, around a broker that is opened anew. */
void fetch_rig_start(struct fetch_rig *r);
void fetch_rig_stop(struct fetch_rig *r);
/* A turn of everything. */
void fetch_rig_turn(struct fetch_rig *r);
/* Time goes on, as the front sees it too. */
void fetch_rig_advance(struct fetch_rig *r, int64_t ms);

struct fetch_client {
    struct fetch_rig *rig;
    int fd;
    int16_t version; /* of the last query */
    int32_t correlation_id;
    struct buf frame;   /* the answer */
    struct arena arena; /* its lists */
    struct kp_fetch_response answer;
};

void fetch_client_open(struct fetch_client *c, struct fetch_rig *r);
void fetch_client_close(struct fetch_client *c);

struct fetch_want {
    const char *topic;
    int32_t partition;
    int64_t offset;
    int32_t epoch;     /* 0: none, else 1 more */
    int32_t max_bytes; /* 0: 1 MiB */
    const uint8_t *id; /* NULL: the topic's */
};

struct fetch_query {
    int16_t version;
    bool committed;
    int32_t session_id;
    int32_t session_epoch;
    int32_t max_wait_ms;
    int32_t min_bytes;
    int32_t max_bytes; /* 0: 50 MiB */
    const struct fetch_want *wants;
    size_t count;
    const struct fetch_want *forgotten;
    size_t forgotten_count;
};

void fetch_client_send(struct fetch_client *c, const struct fetch_query *q);
void fetch_client_send_bytes(struct fetch_client *c, struct slice s);
/* True when an answer has come at once; nothing is waited for. */
bool fetch_client_poll(struct fetch_client *c);
/* The answer comes, or the test fails. */
void fetch_client_take(struct fetch_client *c);
/* The front ends the connection, or the test fails. */
void fetch_client_ended(struct fetch_client *c);
/* Send and take. */
void fetch_client_ask(struct fetch_client *c, const struct fetch_query *q);

/* Partitions in the answer. */
size_t fetch_client_count(const struct fetch_client *c);
/* NULL: it is not there. The topic is the one with that name, or with the id of the want. */
const struct kp_fetch_response_partition *fetch_client_find(const struct fetch_client *c,
                                                            const struct fetch_want *w);
/* Checks every batch; returns the offset behind the last, `offset` when there is none. */
int64_t fetch_client_read(struct slice records, int64_t offset);
