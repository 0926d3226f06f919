/* SPDX-License-Identifier: MIT
 *
 * cluster_sim: three whole brokers and one partition under load, and whatever the seed has in store
 * for them: processes die, power goes, links are cut one way or both, calls are lost, late and
 * repeated, processes stand still, disks stall or are replaced, brokers stop and are promoted at
 * any time. At the end all is healed, and the logs must agree.
 *
 * The judge looks at what clients see, and at what they were promised:
 *   J1 what was acknowledged with acks=all is there, at its offset, on every broker
 *   J2 an offset that was readable anywhere never has another content
 *   J3 in a calm at the end one leader is found, every replica is in sync, all logs are the same
 *   J4 what was acknowledged, or is below the high watermark, is on every member of the committed
 *      in-sync set, on the disk where durability=sync
 *   J5 what an idempotent producer sent is in the log once
 *   J6 what is readable is held by as many brokers as promotions go by (replica.h, struct
 *      replica_base): min.insync.replicas, while that is never changed
 *
 * How much may happen at once is bounded by the guarantee (replication.md, acks=all): a power loss
 * with durability=os, or another disk, only where min.insync.replicas is 2, and of one broker until
 * it is in sync again (it is "wounded"). Where promotions by force are allowed, records may be lost
 * then: J1 and J2 begin anew after each.
 *
 * The same setup gives the same run.
 */
#pragma once

#include "test/unit/broker/cluster_world.h"

#define SIM_OFFSETS   4000
#define SIM_PENDING   64
#define SIM_PRODUCERS 3

struct sim;
struct sim_setup {
    uint64_t seed;
    unsigned steps; /* 0: 120 */
    unsigned min_insync;
    int lag_ms;                    /* replica.lag.time.max.ms; 0: 30 s */
    bool os;                       /* durability=os */
    bool power;                    /* power goes */
    bool wipes;                    /* disks are replaced */
    bool force;                    /* promotions by force */
    bool changes;                  /* min.insync.replicas is 1 or 2, now and then the other */
    bool quiet;                    /* no lost, late or repeated calls, no pauses, no stops */
    unsigned busy;                 /* of 1,000 steps in which something happens; 0: 333 */
    void (*script)(struct sim *s); /* instead of steps; NULL: none */
};

struct sim_pending {
    struct rig_produce *p; /* NULL: free */
    int node;
    int acks;
    uint64_t life;
    uint64_t tag;
    int producer; /* -1: none */
};

/* Sends one batch after the other, each until it is acknowledged. */
struct sim_producer {
    int32_t sequence;
    uint64_t tag;
    bool busy; /* the batch is not acknowledged */
    int at;    /* in pending; -1: to be sent */
};

struct sim {
    struct world w;
    struct sim_setup setup;
    struct sim_pending pending[SIM_PENDING];
    struct sim_producer producers[SIM_PRODUCERS];
    uint64_t tags;
    uint64_t exposed[SIM_OFFSETS]; /* tag + 1 of each offset that was readable once; 0: none */
    uint64_t acked[SIM_OFFSETS];   /* likewise, acknowledged */
    uint32_t acked_term[SIM_OFFSETS];
    bool once[SIM_OFFSETS]; /* by tag: of an idempotent producer */
    int64_t acked_end;
    bool wounded[WORLD_NODES + 1];
    struct broker_promote_request promote;
    int promoting; /* the node that was asked; 0: none */
    struct rig_admin change;
    uint64_t change_life; /* of the node that was asked to change the topic */
    int changing;         /* likewise: that node; 0: none */
    bool lost;            /* a promotion by force: what was promised before is void */
    bool lost_before;     /* `lost` before the promotion under way */
    unsigned step;
    char fault[256]; /* of the judge; "": none */
    /* totals */
    uint64_t acks;
    uint64_t reads;
    unsigned promotes;
    unsigned forced; /* because nothing else would help */
    unsigned kills;
    unsigned cuts; /* of power */
    unsigned wipes;
    unsigned changes; /* of min.insync.replicas */
};

/* True: nothing was found. */
bool sim_run(struct sim *s, const struct sim_setup *setup);

/* --- for scripts --- */

/* Appends: acks, and by an idempotent producer or not. */
void sim_put(struct sim *s, int node, int acks);
void sim_down(struct sim *s, int node, bool power);
void sim_up(struct sim *s, int node);
void sim_promote(struct sim *s, int node, bool force);
void sim_change(struct sim *s, int node, unsigned min_insync);
void sim_links(struct sim *s, int from, int to, bool both);
void sim_heal(struct sim *s);
/* What consumers could read there now. */
void sim_expose(struct sim *s, int node);
