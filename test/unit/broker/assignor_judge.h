/* SPDX-License-Identifier: MIT
 *
 * assignor_judge: a small group, one call of the assignor for it, and a judge of the answer who
 * shares no code with it and counts everything by trying all pairs. A broken promise of assignor.h
 * fails the running test, with the group's seed.
 */
#pragma once

#include <check.h>

#include "engine/broker/assignor.h"

/* Fails the test when `fact` is not true. Check's own asserts write to a file each time, also when
 * they hold: too slow for millions. */
#define JUDGE_THAT(g, fact)                                                                        \
    ((fact) ? (void)0 : ck_abort_msg("%s (seed %llu)", #fact, (unsigned long long)(g)->seed))

#define JUDGE_MEMBERS    16
#define JUDGE_TOPICS     8
#define JUDGE_PARTITIONS 32
#define JUDGE_OWNED      (JUDGE_TOPICS * JUDGE_PARTITIONS)
#define JUDGE_KEY_SIZE   16

struct judge_member {
    char key[JUDGE_KEY_SIZE];
    bool subscribed[JUDGE_TOPICS];
    struct assignor_partition owned[JUDGE_OWNED];
    size_t owned_count;
};

struct judge_group {
    struct judge_member members[JUDGE_MEMBERS];
    int member_count;
    int32_t partitions[JUDGE_TOPICS];
    int topic_count;
    bool backwards;            /* give the subscriptions in falling order */
    uint64_t seed;             /* for the message of a failure */
    bool same;                 /* the test's own: */
    bool wanted[JUDGE_TOPICS]; /* what all subscribe to */
};

struct judge_result {
    int who[JUDGE_TOPICS][JUDGE_PARTITIONS]; /* index of the member, -1: nobody */
    int load[JUDGE_MEMBERS];
    int moved; /* partitions with an owner that went to another member */
};

/* Assigns and judges. */
void assignor_judge(enum assignor kind, const struct judge_group *g, struct judge_result *out);
/* Makes what was assigned what the members own. */
void judge_follow(struct judge_group *g, const struct judge_result *r);
