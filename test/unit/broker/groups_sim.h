/* SPDX-License-Identifier: MIT
 *
 * groups_sim: a small world around the group engine, all of it decided by a seed: a catalogue, a
 * log that becomes durable late, in parts, or not at all, restarts from what is durable, and
 * clients of both models that lose answers, pause, die and come again.
 *
 * The judge knows nothing of the engine's inside: it sees what clients hold and what was answered.
 *
 *   J1 two members of a classic group never hold a partition in one generation
 *   J2 two clients that the group counts as consumer members never hold a partition
 *   J3 what is committed is never below what was answered last
 *   J4 once faults end, every group becomes stable and each partition has one holder
 */
#pragma once

#include "engine/base/random.h"
#include "engine/broker/groups.h"

#define SIM_TOPICS     3
#define SIM_GROUPS     4
#define SIM_CLIENTS    60
#define SIM_PARTITIONS 12

struct sim_tp {
    int topic;
    int32_t partition;
};

struct sim_record {
    struct buf key;
    struct buf value;
    bool tombstone;
};

struct sim_client {
    struct sim *sim;
    bool alive;
    bool consumer; /* model */
    int group;
    int topic; /* subscribed */
    char id[128];
    char instance[32]; /* "" none */
    int32_t generation;
    int32_t divided; /* classic leader: the partitions it divided; 0: does not lead */
    bool member;     /* has a generation */
    bool paused;
    int64_t until; /* paused until; or next thing to do at */
    struct sim_tp held[SIM_TOPICS * SIM_PARTITIONS];
    size_t held_count;
    struct sim_call *call; /* under way; NULL none */
    enum { SIM_IDLE, SIM_JOINED } step;
};

struct sim {
    struct random random;
    struct config *config;
    struct groups *groups;
    int32_t partitions[SIM_TOPICS];
    struct sim_record *log;
    size_t log_count;
    size_t log_cap;
    size_t durable;
    struct list waits; /* struct groups_wait */
    struct list ready; /* struct broker_group */
    struct list calls; /* struct sim_call: under way */
    struct sim_client clients[SIM_CLIENTS];
    int64_t now;
    int64_t acked[SIM_GROUPS][SIM_TOPICS][SIM_PARTITIONS];
    int64_t sent; /* counts up: the offset of the next commit */
    bool faults;
    size_t rebalances;
    size_t commits;
    size_t restarts;
};

void sim_init(struct sim *s, uint64_t seed);
void sim_deinit(struct sim *s);
/* One step: time, disk, clients, engine, judge. */
void sim_step(struct sim *s);
/* No more faults; every client that is alive comes back. */
void sim_calm(struct sim *s);
/* To stderr, for a seed that fails. */
void sim_dump(const struct sim *s);
/* J4: true when it holds. */
bool sim_settled(const struct sim *s);
