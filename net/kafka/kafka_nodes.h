/* SPDX-License-Identifier: MIT
 *
 * kafka_nodes: the cluster as clients are told of it; see kafka_nodes.c. Everything is in the arena
 * of the call or borrowed from the broker until its next turn.
 */
#pragma once

#include "net/kafka/kafka_priv.h"

struct kafka_node {
    int32_t id;
    int32_t port;
    struct slice host;
    struct slice rack; /* null: none */
    bool told;         /* clients may know of it */
    bool silent;       /* as its leader, this broker has not heard of it */
    bool gone;         /* and not for so long that clients had better not dial it */
    bool hinted;       /* named by kafka_nodes_hint */
};

struct kafka_nodes {
    struct kafka_node *v; /* by id: all that are registered, and this one */
    size_t count;
    int32_t self;
    int32_t leader; /* of the cluster: its controller, and coordinator of everything; -1: none */
    bool leads;     /* this broker is that one */
};

/* NULL when the arena is used up. */
struct kafka_nodes *kafka_nodes(struct kafka_call *c);
/* NULL: no such broker. */
struct kafka_node *kafka_nodes_find(const struct kafka_nodes *all, int32_t id);
/* The same among those that are told. */
struct kafka_node *kafka_nodes_told(const struct kafka_nodes *all, int32_t id);

/* Who leads a partition; -1: not known. */
int32_t kafka_nodes_leader(const struct kafka_nodes *all, const struct broker_partition_info *info);

/* A partition in Metadata and its like. */
struct kafka_led {
    int16_t error;
    int32_t leader; /* -1 with an error */
    int32_t epoch;
    struct kp_i32s replicas;
    struct kp_i32s in_sync;
    struct kp_i32s eligible;
    struct kp_i32s offline;
};
/* False when the arena is used up. */
bool kafka_nodes_partition(struct kafka_call *c, const struct kafka_nodes *all,
                           const struct broker_partition_info *info, struct kafka_led *out);

/* Whom to ask for a partition instead (KIP-951); -1: that is not known, or not the error. */
struct kafka_hint {
    int32_t leader;
    int32_t epoch;
};
struct kafka_hint_of {
    struct slice topic;
    int32_t index;
    int16_t error;
};
/* *all is made when it is needed and NULL. */
struct kafka_hint kafka_nodes_hint(struct kafka_call *c, struct kafka_nodes **all,
                                   const struct kafka_hint_of *of);
/* How many brokers the hints name; `all` may be NULL. */
size_t kafka_nodes_hinted(const struct kafka_nodes *all);
