/* SPDX-License-Identifier: MIT
 *
 * assignor: the assignments that the broker computes for the members of a consumer group (the model
 * of KIP-848). A pure function: no time, no random numbers, no broker, nothing kept between calls.
 * It must not know groups, epochs or how an assignment reaches a member: the target is computed
 * here, who may take what and when is the group's business.
 *
 *   uniform   the default. Members with the same subscription differ by at most one partition.
 *             Sticky: what a member owns stays with it as far as balance allows; a group that is in
 *             balance is left as it is.
 *   range     topic by topic: its subscribers in the order of their keys get neighbouring
 *             partitions, the first (partitions % subscribers) of them one more. Not sticky.
 *
 * Invariants of every result:
 *   N1 each partition of a topic with a subscriber is assigned once, others not at all
 *   N2 a partition goes to a subscriber of its topic only
 *   N3 the lists are sorted by (topic, partition)
 *   N4 the order in which members and their lists are given changes nothing, as long as no two
 *      members have the same key (of two such the one given first comes first)
 * and of uniform:
 *   N5 where a member has two partitions more than another, it holds none of a topic that the other
 *      is subscribed to (unless the result says that it is not `settled`)
 *   N6 where all members that subscribe to anything subscribe to the same, no assignment that is
 *      balanced within one takes fewer partitions from their owners
 *
 * Failures: none. Memory that is out aborts; the caller's limits bound members, subscriptions and
 * partitions.
 */
#pragma once

#include <stdbool.h>

#include "engine/base/bytes.h"

enum assignor {
    ASSIGNOR_UNIFORM,
    ASSIGNOR_RANGE,
};
#define ASSIGNOR_COUNT 2

/* One partition: the index of its topic in assignor_input.topics, and its number there. */
struct assignor_partition {
    uint32_t topic;
    int32_t partition;
};

struct assignor_topic {
    int32_t partition_count; /* >= 0 */
};

/* All of it is borrowed. */
struct assignor_member {
    struct slice key; /* instance id when there is one, else member id; ordered as bytes */
    const uint32_t
        *topics; /* subscribed: indexes into assignor_input.topics; a repeat is no harm */
    size_t topic_count;
    /* What it has in the target so far. Passed over: topics and partitions that are not there
     * (ASSIGNOR_NO_TOPIC for one that vanished) or no longer subscribed, and what a member with a
     * smaller key claims as well. */
    const struct assignor_partition *owned;
    size_t owned_count;
};
#define ASSIGNOR_NO_TOPIC UINT32_MAX

struct assignor_input {
    const struct assignor_member *members; /* any order */
    size_t member_count;
    const struct assignor_topic *topics;
    size_t topic_count;
};

struct assignor_list {
    const struct assignor_partition *items; /* N3; owned by the result */
    size_t count;
};

struct assignor_result {
    struct assignor_list *members; /* owned; one per member, in the order of the input */
    size_t member_count;
    struct assignor_partition *items; /* owned; what the lists point into */
    size_t item_count;
    bool settled; /* false: N5 may not hold yet, the effort ran out; feed the result in again */
};

/* "uniform", "range"; static. */
const char *assignor_name(enum assignor kind);
/* 0 and *out, or 1 when no assignor has that name. */
int assignor_from_name(struct slice name, enum assignor *out) MUST_CHECK;

/* Computes an assignment; never NULL, to be freed with assignor_free. Linear in members,
 * subscriptions, owned and assigned partitions, but for sorting the keys. Uniform with differing
 * subscriptions takes O(log members) for every partition that moves, and is bounded: see
 * `settled`. */
struct assignor_result *assignor_assign(enum assignor kind,
                                        const struct assignor_input *in) MUST_CHECK;
/* NULL is fine; returns NULL. */
struct assignor_result *assignor_free(struct assignor_result *r);
