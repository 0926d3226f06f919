/* SPDX-License-Identifier: MIT
 *
 * assignor_priv: what the files of the assignor share: the input in a form that is quick to walk.
 *
 * Members are named by their rank, their place in the order of the keys; partitions of all topics
 * by their index in one row, topic by topic:
 *
 *   topic           0           1   2
 *   base         [  0           3   3           7  ]     topic 1 has no partitions
 *   partition       0   1   2       0   1   2   3
 *   prior, to    [  r   r   -       r   r   -   r  ]     ranks or ASSIGNOR_NOBODY
 *   subs_at      [  0           2   2           5  ]
 *   subs         [  0   4           0   1   4      ]     the subscribers' ranks, rising
 *
 * Invariants: J1 base and subs_at never fall; J2 the subscribers of a topic rise, and a topic
 * without partitions has none; J3 prior names only subscribers of the topic. `to` is the result.
 */
#pragma once

#include "engine/base/arena.h"
#include "engine/broker/assignor.h"

#define ASSIGNOR_NOBODY         UINT32_MAX
#define ASSIGNOR_PARTITIONS_MAX (1u << 30) /* of all topics: a load fits in 31 bits */

struct assignor_task {
    struct arena arena; /* everything below lies here */
    const struct assignor_input *in;
    uint32_t member_count;
    uint32_t topic_count;
    uint32_t *order;   /* rank -> index in in->members */
    uint32_t *base;    /* topic -> its first partition's index; [topic_count] their number */
    uint32_t *subs_at; /* topic -> its first subscriber; [topic_count] their number */
    uint32_t *subs;
    uint32_t *prior;
    uint32_t *to;
    bool settled;
};

/* Members in a circle who still want partitions. */
struct assignor_ring {
    uint32_t *ranks; /* each with want[rank] > 0 */
    uint32_t *want;  /* rank -> how many more */
    size_t count;
    size_t next;
    size_t left; /* of those before next: who still wants */
};

/* Zeroed memory of the task; never NULL. */
void *assignor_array(struct assignor_task *t, size_t count, size_t size);

/* Gives the topic's partitions back to their prior owners, each at most want[rank] of them, which
 * is counted down. */
void assignor_keep(struct assignor_task *t, uint32_t topic, uint32_t *want);
/* Fills the ring with those of `ranks` that want something; its arrays are the caller's. */
void assignor_ring_fill(struct assignor_ring *ring, const uint32_t *ranks, size_t count);
/* Deals what nobody has of the topic around the ring, one each. It must not run empty. */
void assignor_deal(struct assignor_task *t, uint32_t topic, struct assignor_ring *ring);

/* Fills `to`. `effort` bounds the balancing of differing subscriptions, in looks at a member. */
void assignor_uniform(struct assignor_task *t, uint64_t effort);
/* The same for members whose subscriptions differ; sets `settled`. */
void assignor_mixed(struct assignor_task *t, uint64_t effort);

/* assignor_assign with an effort of one's own; 0: the usual one. */
struct assignor_result *assignor_assign_within(enum assignor kind, const struct assignor_input *in,
                                               uint64_t effort) MUST_CHECK;
