/* SPDX-License-Identifier: MIT
 *
 * members: consumer groups with all their members, over a bounded number of connections: made,
 * settled, kept alive by heartbeats.
 *
 *   members_open    joins all; returns when each member has its share of the partitions and knows
 *   members_commit  each commits offset 1 for every partition of its share
 *   members_hold    heartbeats evenly spread over the interval, for so long
 *
 * Members of a group share a connection. Failures: any refusal, and a rebalance while held, end
 * the program.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bench/hist.h"

struct members_options {
    int64_t port;
    int64_t groups;
    int64_t members; /* of a group */
    int64_t links;
    int64_t partitions; /* of the topic */
    int64_t beat_ms;
    bool newer; /* ConsumerGroupHeartbeat; else JoinGroup and so on */
    const char *topic;
};

/* "members-00042", into `out`. */
#define MEMBERS_GROUP_MAX 32
void members_group(const char *kind, int64_t number, char out[MEMBERS_GROUP_MAX]);

struct members;

struct members *members_open(const struct members_options *o);
struct members *members_close(struct members *ms);
void members_commit(struct members *ms);
/* Latency counts from the scheduled time of a heartbeat. How many were answered. */
int64_t members_hold(struct members *ms, int64_t ms_long, struct hist *latency);
