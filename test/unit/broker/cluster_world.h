/* SPDX-License-Identifier: MIT
 *
 * cluster_world: several brokers in one process, each in a rig of its own, joined by a network that
 * delays, loses and repeats by seed. Time is one and moves in steps. A broker that is paused does
 * nothing while time goes on; one whose disk stalls does at most one job in a step.
 *
 *   world_init -> world_start(n) -> world_put, world_run, world_kill, world_cut_link, world_promote
 *
 * Calls between brokers are copied as a transport would: what one side frees the other still has.
 */
#pragma once

#include "engine/broker/broker_cluster.h"
#include "test/unit/broker/rig.h"

#define WORLD_NODES   5
#define WORLD_LATE_MS 3000

struct world;

struct world_node {
    struct rig rig;
    struct ship_link link;
    struct world *world;
    int id; /* also the broker's */
    char native[32];
    char id_text[8];
    bool up;
    bool held;     /* its disk does nothing for now */
    bool stopping; /* it waits for its calls to come back */
    uint64_t life; /* rises with every start */
};

struct world {
    struct world_node nodes[WORLD_NODES + 1]; /* by id, from 1 */
    struct list messages;
    struct random random;
    int count;
    bool cut[WORLD_NODES + 1][WORLD_NODES + 1]; /* from, to */
    bool paused[WORLD_NODES + 1];
    unsigned lose;                            /* of 1,000 messages */
    unsigned repeat;                          /* likewise: a second one comes later */
    unsigned late;                            /* likewise: by up to WORLD_LATE_MS */
    unsigned stall;                           /* of 1,000 steps of a disk */
    unsigned delay_ms;                        /* at most */
    void (*each)(struct world *w, void *ctx); /* after each step; NULL: none */
    void *ctx;
    char cluster_id[23];
    const char *seeds[WORLD_NODES + 1];
    size_t page_size; /* of RECORDS; 0: any */
    uint64_t pages;   /* that were not the last */
    uint64_t sent;
    char said[256]; /* what was said to the last promotion, or leaving */
};

void world_init(struct world *w, uint64_t seed, int count);
void world_deinit(struct world *w);
/* A setting of every broker, for the next starts. */
void world_set(struct world *w, const char *key, const char *value);
/* The first that starts makes the cluster. */
void world_start(struct world *w, int id);
void world_kill(struct world *w, int id);
/* The power goes. */
void world_power(struct world *w, int id);
void world_stop(struct world *w, int id);
/* Its disk is a new one. */
void world_wipe(struct world *w, int id);
/* Time goes on in steps of a few ms. */
void world_run(struct world *w, int64_t ms);
/* Until `done(ctx)`; fails the test after `ms`. */
void world_until(struct world *w, bool (*done)(struct world *w, void *ctx), void *ctx, int64_t ms);
/* The one that leads in the greatest term; 0: nobody. */
int world_leader(const struct world *w);
void world_wait_leader(struct world *w, int64_t ms);
/* Asks for a promotion and waits for its answer. */
enum broker_status world_promote(struct world *w, int id, bool force);
/* Asks a broker that another one leave, and waits for the answer; what it said is in `said`. */
struct world_leave {
    int id;
    bool force;
    bool validate_only;
};
enum broker_status world_leave(struct world *w, int at, struct world_leave leave);
/* Starts an append at a broker; *status is set when it is answered, -1 before. */
struct rig_produce *world_produce(struct world *w, int id, const char *topic, int acks,
                                  const struct rig_batch *batch);
/* One record to a partition, tagged anew each time: what it is answered. */
enum broker_status world_put(struct world *w, int id, const char *topic, int32_t partition,
                             int acks);
/* Waits for in-sync replicas of partition 0. */
void world_wait_isr(struct world *w, const char *topic, unsigned count, int64_t ms);
struct bpart *world_part(struct world *w, int id, const char *topic);
