/* SPDX-License-Identifier: MIT
 *
 * broker_promote_priv: a promotion, as broker_promote.c and broker_promote_judge.c share it.
 */
#pragma once

#include "engine/broker/broker_follow_priv.h"
#include "engine/broker/broker_promote.h"

#define BROKER_PROMOTE_FETCH_MS 10000 /* without a byte */

enum broker_promote_phase {
    BROKER_PROMOTE_IDLE,
    BROKER_PROMOTE_SOUND,
    BROKER_PROMOTE_VOTE,
    BROKER_PROMOTE_RECORDS,
    BROKER_PROMOTE_FETCH,
    BROKER_PROMOTE_TAKE,
};

struct broker_promote_vote {
    struct ship_call call;
    struct broker_promote *promote;
    char native[SHIP_HOST_MAX];
    int32_t id;
    uint32_t round;
    bool out;
    bool answered;
    bool accepted;
    bool silent;                    /* said nothing when it was sounded */
    struct cluster_mirror position; /* of its records */
    struct ship_holding *holdings;  /* owned */
    size_t count;
};

/* What was decided about one partition. */
struct broker_promote_part {
    struct bpart *bpart; /* counted in jobs */
    struct election_result result;
    bool fetched;
};

struct broker_promote {
    struct broker *broker;
    enum broker_promote_phase phase;
    struct broker_promote_request *request; /* NULL: by itself */
    uint32_t term;
    uint32_t round; /* of calls: answers of an earlier one are dropped */
    struct broker_promote_vote votes[REPLICA_COUNT_MAX];
    size_t count;
    size_t out;
    struct broker_promote_part *parts; /* owned */
    size_t part_count;
    size_t leaderless;        /* of these: no replica of theirs has promised */
    int32_t source;           /* FETCH: who is pulled from; -1 */
    struct ship_call records; /* RECORDS */
    struct cluster_pages pages;
    int32_t pages_from;
    struct broker_mirror mirror;
    struct cluster_mirror position; /* of what is being mirrored */
    int64_t fetched;                /* FETCH: the ends of all partitions, when they moved last */
    bool records_out;
    bool mirroring;
    int64_t until_ms;
    bool promised; /* VOTE: our own promise is on its way or durable */
    bool taken;    /* TAKE: the records are on their way */
};

/* --- broker_promote.c --- */

/* The promotion is over; whoever asked is told. */
__attribute__((format(printf, 3, 4))) void
broker_promote_end(struct broker_promote *p, enum broker_status status, const char *fmt, ...);

/* --- broker_promote_judge.c --- */

/* What speaks against it, of those that would promise, or have. */
struct broker_promote_lack {
    size_t absent;             /* brokers */
    size_t unknown;            /* partitions of which nobody said who holds them */
    size_t weak;               /* partitions with too few promises */
    const struct bpart *first; /* of these */
};

/* True when nothing does: of the brokers one may be absent. */
bool broker_promote_enough(const struct broker_promote *p, struct broker_promote_lack *lack);
/* Ends it with what lacks, before anything has changed. */
void broker_promote_refuse(struct broker_promote *p, const struct broker_promote_lack *l);
bool broker_promote_forced(const struct broker_promote *p);
/* What becomes of each partition: goes on to FETCH, or ends. */
void broker_promote_decide(struct broker_promote *p);
/* It becomes a replica of what it is to lead; whoever has not heard of that may be promoted by the
 * replicas of before (struct replica_base). */
void broker_promote_join(const struct bpart *p, struct cluster_part *record);
