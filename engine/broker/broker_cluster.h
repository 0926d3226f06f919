/* SPDX-License-Identifier: MIT
 *
 * broker_cluster: this broker among the others, as the files of this folder see it: who leads, in
 * which term, which brokers there are; and of each replicated partition what the record says.
 *
 *                      first registration
 *            ALONE --------------------------------> LEADING <------------- PROMOTING
 *                                                     ^    |                 ^  |
 *   start: record names us, others known              |    | greater term    |  | won / given up
 *            STARTING --nobody says otherwise---------'    v                 |  v
 *               '-------a greater term---> SEEKING <----------------------> (any)
 *                                           |    ^
 *                            leader found   v    | leader silent, or a vote accepted
 *                                          FOLLOWING --its record: left--> HAS_LEFT
 *
 * A broker that nobody replicates stays ALONE: no record, no term, no cost.
 *
 * Source: the promise of a term is Raft's vote with quorums that meet min.insync.replicas; in-sync
 * sets and epochs are Kafka's (KIP-101, KIP-279, KIP-497, KIP-903, KIP-966). See replica.h and
 * election.h for what holds it together, engine/README.md for the whole.
 *
 * Invariants: C1 a broker appends for clients only while it LEADs, or is ALONE; C2 whoever accepted
 * a term answers no call and writes nothing of a smaller one; C3 every change of role ends what the
 * old role had under way: waiting acknowledgements are answered NOT_LEADER, answers that come late
 * are dropped.
 */
#pragma once

#include "engine/broker/cluster.h"
#include "engine/broker/coord.h"
#include "engine/broker/election.h"
#include "engine/broker/replica.h"
#include "engine/broker/ship.h"

struct bpart;
struct topic;
struct catalog_topic;
struct broker_cluster;

enum broker_role {
    BROKER_ALONE,
    BROKER_STARTING, /* the record names us: the others are asked before we lead again */
    BROKER_SEEKING,  /* no leader that answers */
    BROKER_FOLLOWING,
    BROKER_PROMOTING, /* asks for promises, or fetches what another holds */
    BROKER_LEADING,
    BROKER_HAS_LEFT, /* was told to leave: broker_leave.c */
};
#define BROKER_ROLE_COUNT 7

/* Waits for the high watermark to pass an offset. */
struct bpart_ack {
    struct list link; /* in bpart_replica.acks, by offset */
    int64_t offset;
    /* BROKER_OK, BROKER_NOT_ENOUGH_AFTER_APPEND or BROKER_NOT_LEADER; owner thread, from a later
     * turn's work. */
    void (*done)(struct bpart_ack *a, enum broker_status status);
};

/* A partition whose log is to be read through: broker_mend.c. */
struct bpart_mend_want {
    struct list link; /* in broker_mend.wanted */
    struct bpart *bpart;
    int64_t from;
    int64_t at_ms; /* not before this; monotonic */
    int64_t left;  /* the first offset that could not be repaired; -1 */
    bool was_left; /* in the check before: it is in the log already */
    bool marking;  /* `reached` is being written */
};

/* The high watermark as it is kept for the next start: with the recovery points in the partition's
 * state, and now and then in the view. */
struct bpart_mark {
    struct list link; /* in broker_compact.marked: it moved since it was noted */
    struct bpart *bpart;
    int64_t noted; /* in the view, or on its way there */
};

/* Instead of an epoch reached: records that were counted are missing, or cannot be read. */
#define BPART_REACHED_LOST (-2)

/* Of a partition that has a record of its replicas. */
struct bpart_replica {
    struct cluster_part record; /* as last written down here */
    int64_t revision;           /* of it */
    bool leading;               /* `set` holds: this broker leads it in record.leader_epoch */
    struct replica_set set;
    struct list acks;  /* struct bpart_ack */
    struct list pulls; /* struct broker_pull_wait: followers that wait for news */
    struct coord_op op;
    struct buf key; /* owned, of a change under way */
    struct buf value;
    bool changing;
    int32_t fetch_from;     /* a voter that holds more than we, while it is pulled from; -1 */
    int64_t high_watermark; /* not leading: as the leader told; never moves back */
    int32_t reached;        /* the epoch that the log stands on, durable; -1 none */
    struct bpart_mend_want mend;
    struct bpart_mark mark;
    struct broker_follow_part *follow; /* owned; NULL unless it is being followed */
};

/* The catalogue is open. */
void broker_cluster_open(struct broker *b);
/* Nothing of the link is out any more. NULL is fine; returns NULL. */
struct broker_cluster *broker_cluster_free(struct broker_cluster *c);
/* The broker is freed without a stop: nobody is answered. */
void broker_cluster_abandon(struct broker_cluster *c);
/* Each turn. */
void broker_cluster_run(struct broker_cluster *c);
int64_t broker_cluster_next_ms(const struct broker_cluster *c);
/* Ends what waits; calls that are out are cancelled. */
void broker_cluster_stop(struct broker_cluster *c);
bool broker_cluster_quiet(const struct broker_cluster *c);

enum broker_role broker_role(const struct broker *b);
/* The greatest term known here, promised or led. */
uint32_t broker_cluster_term(const struct broker *b);
/* The at-th registered broker, this one included; NULL behind the last. */
const struct cluster_broker *broker_cluster_node(const struct broker *b, size_t at);
/* What this broker promised last. */
const struct cluster_vote *broker_cluster_held(const struct broker *b);
/* The last leader that the records name is this broker. */
bool broker_cluster_led_last(const struct broker *b);
/* Clients may change things here. */
bool broker_leads(const struct broker *b);
/* A sentence about where the leader is, for refusals. */
void broker_leader_text(const struct broker *b, char out[256]);

/* A record of the cluster changed here, by ourselves or by the leader; value p NULL: it is gone. */
void broker_cluster_record(struct broker *b, struct slice key, struct slice value,
                           int64_t revision);

/* --- partitions --- */

/* Leader, epoch and replicas; everything else is zero or -1. */
void bpart_info(const struct bpart *p, struct broker_partition_info *out);
/* This broker takes appends for it: not replicated and it leads, or it leads this partition. */
bool bpart_leads(const struct bpart *p);
/* bpart_use for one who asks what is there: BROKER_NOT_LEADER where this broker is none of the
 * replicas, BROKER_OFFSET_NOT_AVAILABLE where nobody leads it. One that left shows what it has. */
enum broker_status bpart_use_here(struct bpart *p);
/* It has one replica: more were not asked for, or there is no other broker yet. */
bool bpart_alone(const struct bpart *p);
/* The partition came online, its ends moved, or its topic's limits are others. */
void bpart_advanced(struct bpart *p);
/* False: a new leader that has not heard of its epoch's start being committed. */
bool bpart_watermark_known(const struct bpart *p);
/* It leads, and enough followers have pulled in its epoch to say that nobody else does, or nobody
 * replicates it. Before that, what is not here is not known to be nowhere. */
bool bpart_confirmed(const struct bpart *p);
/* Waits until `a->offset` is below the high watermark; false: it is, or nobody else is to be waited
 * for, and nothing was queued. True: `done` runs, at once where this broker leads no longer. */
bool bpart_ack_wait(struct bpart *p, struct bpart_ack *a);
void bpart_ack_cancel(struct bpart_ack *a);
/* BROKER_OK, BROKER_NOT_LEADER or BROKER_NOT_ENOUGH_REPLICAS for an append with these acks. */
enum broker_status bpart_may_append(const struct bpart *p, int acks);
/* min.insync.replicas may be another. */
void bpart_limits_changed(struct bpart *p);
/* Its topic goes: who waits is answered. */
void bpart_replica_end(struct bpart *p);
/* It is freed. */
void bpart_replica_free(struct bpart *p);

/* --- topics --- */

/* The first record of a new partition; false: it has none yet. */
bool broker_cluster_part_record(const struct broker *b, const struct catalog_topic *topic,
                                int32_t index, struct cluster_part *out);
/* A topic was added or grew: its partitions get the records there are. */
void broker_cluster_topic(struct broker *b, struct topic *t);
/* It is removed: so are they. */
void broker_cluster_topic_gone(struct broker *b, const struct topic *t);
