/* SPDX-License-Identifier: MIT
 *
 * cluster: the records by which brokers know each other, their keys, and the arithmetic of terms
 * and leader epochs. Values are bytes of this broker or of another one: decoding checks every
 * bound, and what it accepts encodes to the same bytes.
 *
 *   key                  value, little endian, behind [u8 version 1], or 2 where that is said
 *   cluster/leader       [u32 term][u32 start][i32 broker][i64 promoted ms][text native]
 *   brokers/<id>         [i32 id][i64 broker epoch][u64 incarnation][16 folder][16 boot][text rack]
 *                        [text native][text kafka host][i32 kafka port][i64 registered ms][u8 left:
 *                        0 no, 1 yes, 2 by force]
 *   parts/<topic>/<p>    [i32 leader][i32 leader epoch][ids replicas][ids isr][ids elr]
 *                        version 2: [u8 holders][u8 holders before][ids before]: replica.h
 *   node/vote            [u32 accepted term][i32 candidate][u64 its incarnation]
 *   node/reached/<topic>/<p>  [u32 leader epoch]: replica.h; -2: broker_mend.c
 *   node/mirror          [u32 term][i64 position]
 *   node/seat            [16 folder][16 boot][u8 1 clean, 2 unclean][i64 told]
 *   node/gone/<topic>    a topic record, state deleting: catalog.h
 *
 *   text  [u16 size][bytes], no zero byte      ids  [u8 count][i32 id]..., none twice, none below 0
 *   <topic> in parts/ is the topic id as 22 characters; numbers in keys are decimal, as short as
 *   they can be
 *
 * Mirrored from the leader to every broker is what is neither under node/ nor brokercfg/.
 *
 * The leader epoch of a partition is term << 12 | start: the term rises with every promotion, the
 * start within it with every start of the leading process. So no two brokers, and no two runs of
 * one, ever use the same.
 *
 * Must not know: who may change what; that is of those who lead and follow.
 */
#pragma once

#include <stdbool.h>

#include "engine/base/bytes.h"
#include "engine/broker/replica.h"

#define CLUSTER_DAMAGED    1 /* not such a record, or of a newer version */

#define CLUSTER_TEXT_MAX   255

#define CLUSTER_LEADER_KEY "cluster/leader"
#define CLUSTER_BROKERS    "brokers/"
#define CLUSTER_PARTS      "parts/"
#define CLUSTER_VOTE_KEY   "node/vote"
#define CLUSTER_SEAT_KEY   "node/seat"
#define CLUSTER_MIRROR_KEY "node/mirror"
#define CLUSTER_GONE       "node/gone/"
#define CLUSTER_REACHED    "node/reached/"

#define CLUSTER_TERM_MAX   ((1u << 19) - 1) /* a leader epoch has 31 bits */
#define CLUSTER_START_MAX  ((1u << 12) - 1)

/* Who leads the cluster. */
struct cluster_leader {
    uint32_t term;
    uint32_t start; /* of the leader's process within the term */
    int32_t id;
    int64_t promoted_ms;
    char native[CLUSTER_TEXT_MAX + 1];
};

/* A registered broker. */
struct cluster_broker {
    int32_t id;
    int64_t epoch; /* of this registration */
    uint64_t incarnation;
    uint8_t folder[16];
    uint8_t boot[16]; /* zeros: not known */
    char rack[CLUSTER_TEXT_MAX + 1];
    char native[CLUSTER_TEXT_MAX + 1];
    char kafka_host[CLUSTER_TEXT_MAX + 1]; /* "": none */
    int32_t kafka_port;
    int64_t registered_ms;
    bool left;   /* it was told to leave the cluster, */
    bool forced; /* whatever is lost by that; only with `left` */
};

/* A replicated partition. isr and elr are replicas, and have no broker in common. */
struct cluster_part {
    int32_t leader; /* -1: none; else a replica */
    int32_t leader_epoch;
    struct replica_ids replicas; /* at least one; in order of preference */
    struct replica_ids isr;
    struct replica_ids elr;   /* eligible leader replicas, KIP-966 */
    struct replica_base base; /* holders 0: a record of version 1, min.insync.replicas counts */
};

/* The term this broker has accepted, and of whom. */
struct cluster_vote {
    uint32_t term;
    int32_t candidate;    /* -1: none */
    uint64_t incarnation; /* of the candidate's process */
};

/* How new the mirrored records here are: up to this change of the leader of this term. */
struct cluster_mirror {
    uint32_t term; /* 0: none was mirrored */
    int64_t position;
};

/* What this broker's folder stands on. */
struct cluster_seat {
    uint8_t folder[16]; /* made once */
    uint8_t boot[16];   /* of the last run; zeros: not known */
    bool clean;         /* the last run ended with all it had on the disk */
    bool unclean;       /* some run did not, and the system went down with it */
    int64_t told;       /* the broker epoch of the registration that said so, or the leader epoch
                           of a promotion since; -1: none yet */
};

/* Each appends to out; what it is given is legal (the texts have no more than CLUSTER_TEXT_MAX
 * bytes). Each decoder: 0 or CLUSTER_DAMAGED, then *out is zero. */
void cluster_leader_encode(const struct cluster_leader *l, struct buf *out);
int cluster_leader_decode(struct slice in, struct cluster_leader *out) MUST_CHECK;
void cluster_broker_encode(const struct cluster_broker *b, struct buf *out);
int cluster_broker_decode(struct slice in, struct cluster_broker *out) MUST_CHECK;
void cluster_part_encode(const struct cluster_part *p, struct buf *out);
int cluster_part_decode(struct slice in, struct cluster_part *out) MUST_CHECK;
void cluster_vote_encode(const struct cluster_vote *v, struct buf *out);
int cluster_vote_decode(struct slice in, struct cluster_vote *out) MUST_CHECK;
void cluster_mirror_encode(const struct cluster_mirror *m, struct buf *out);
int cluster_mirror_decode(struct slice in, struct cluster_mirror *out) MUST_CHECK;
void cluster_seat_encode(const struct cluster_seat *s, struct buf *out);
int cluster_seat_decode(struct slice in, struct cluster_seat *out) MUST_CHECK;

/* What is wrong with a partition's record; NULL: nothing. */
const char *cluster_part_fault(const struct cluster_part *p);

/* Keys, appended; id >= 0, index >= 0. The readers say false for any other key. */
void cluster_broker_key(int32_t id, struct buf *out);
bool cluster_broker_key_read(struct slice key, int32_t *id) MUST_CHECK;
void cluster_part_key(const uint8_t topic_id[16], int32_t index, struct buf *out);
bool cluster_part_key_read(struct slice key, uint8_t topic_id[16], int32_t *index) MUST_CHECK;
void cluster_reached_key(const uint8_t topic_id[16], int32_t index, struct buf *out);
bool cluster_reached_key_read(struct slice key, uint8_t topic_id[16], int32_t *index) MUST_CHECK;
/* The records that every broker has, as its leader has them. */
bool cluster_mirrored(struct slice key);

/* term <= CLUSTER_TERM_MAX, start <= CLUSTER_START_MAX; rises with (term, start). */
int32_t cluster_epoch(uint32_t term, uint32_t start);
uint32_t cluster_epoch_term(int32_t epoch);
uint32_t cluster_epoch_start(int32_t epoch);
