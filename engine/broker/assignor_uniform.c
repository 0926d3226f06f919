/* SPDX-License-Identifier: MIT
 *
 * assignor_uniform: as many partitions for each as for the others, and as few movements as that
 * allows. Here the common case, in which all who subscribe to anything subscribe to the same
 * topics; assignor_mixed.c has the other. See assignor.h for the promises (N5, N6).
 *
 * With n partitions and m subscribers n % m of them have a quota of n / m + 1, the others of n / m.
 * A member keeps no more than its quota, so those who own more than n / m are first to get the
 * larger one: every other choice would take one partition more from its owner (N6). The rest is
 * dealt round, one each, so that the partitions of one topic spread over many members.
 */
#include "engine/base/assert.h"
#include "engine/broker/assignor_priv.h"

void assignor_keep(struct assignor_task *t, uint32_t topic, uint32_t *want)
{
    ASSERT(topic < t->topic_count);
    for (uint32_t i = t->base[topic]; i < t->base[topic + 1]; i++) {
        uint32_t rank = t->prior[i];
        ASSERT(t->to[i] == ASSIGNOR_NOBODY);
        if (rank == ASSIGNOR_NOBODY || want[rank] == 0)
            continue;
        want[rank]--;
        t->to[i] = rank;
    }
}

void assignor_ring_fill(struct assignor_ring *ring, const uint32_t *ranks, size_t count)
{
    ASSERT(ring->ranks != NULL && ring->want != NULL);
    ring->count = ring->next = ring->left = 0;
    for (size_t i = 0; i < count; i++) {
        if (ring->want[ranks[i]] > 0)
            ring->ranks[ring->count++] = ranks[i];
    }
    ASSERT(ring->count <= count);
}

/* The next in the circle; who has enough leaves it. O(1): the circle closes up as it is walked. */
static uint32_t assignor_ring_take(struct assignor_ring *ring)
{
    ASSERT(ring->next < ring->count);
    ASSERT(ring->left <= ring->next);
    uint32_t rank = ring->ranks[ring->next++];
    ASSERT(ring->want[rank] > 0);
    if (--ring->want[rank] > 0)
        ring->ranks[ring->left++] = rank;
    if (ring->next == ring->count) {
        ring->count = ring->left;
        ring->next = ring->left = 0;
    }
    return rank;
}

void assignor_deal(struct assignor_task *t, uint32_t topic, struct assignor_ring *ring)
{
    ASSERT(topic < t->topic_count);
    for (uint32_t i = t->base[topic]; i < t->base[topic + 1]; i++) {
        if (t->to[i] == ASSIGNOR_NOBODY)
            t->to[i] = assignor_ring_take(ring);
    }
    ASSERT(ring->next <= ring->count);
}

static uint32_t assignor_uniform_subs(const struct assignor_task *t, uint32_t topic)
{
    ASSERT(topic < t->topic_count);
    ASSERT(t->subs_at[topic] <= t->subs_at[topic + 1]);
    return t->subs_at[topic + 1] - t->subs_at[topic];
}

/* True when each topic has either no subscriber or all members that subscribe to anything; then
 * *out is a topic that has them. False also when nobody subscribes to anything. */
static bool assignor_uniform_same(struct assignor_task *t, uint32_t *out)
{
    bool *active = assignor_array(t, t->member_count, sizeof active[0]);
    uint32_t active_count = 0;
    for (uint32_t i = 0; i < t->subs_at[t->topic_count]; i++) {
        ASSERT(t->subs[i] < t->member_count);
        active_count += !active[t->subs[i]];
        active[t->subs[i]] = true;
    }
    for (uint32_t topic = 0; topic < t->topic_count; topic++) {
        uint32_t subs = assignor_uniform_subs(t, topic);
        ASSERT(subs <= active_count);
        if (subs != 0 && subs != active_count)
            return false;
        if (subs != 0)
            *out = topic;
    }
    return active_count > 0;
}

/* Sets the quota of each of the ranks for `total` partitions, by what they own. */
static void assignor_uniform_quotas(const struct assignor_task *t, const uint32_t *ranks,
                                    uint32_t count, uint32_t total, uint32_t *quota)
{
    uint32_t share = total / count;
    uint32_t larger = total % count; /* quotas of share + 1 to give away */
    for (uint32_t i = 0; i < t->base[t->topic_count]; i++) {
        if (t->prior[i] != ASSIGNOR_NOBODY)
            quota[t->prior[i]]++; /* for now what it owns */
    }
    for (uint32_t i = 0; i < count; i++) {
        bool more = quota[ranks[i]] > share && larger > 0;
        larger -= more;
        quota[ranks[i]] = share + more;
    }
    for (uint32_t i = 0; i < count && larger > 0; i++) {
        bool more = quota[ranks[i]] == share;
        larger -= more;
        quota[ranks[i]] += more;
    }
    ASSERT(larger == 0);
}

void assignor_uniform(struct assignor_task *t, uint64_t effort)
{
    uint32_t any = 0;
    if (!assignor_uniform_same(t, &any)) {
        assignor_mixed(t, effort);
        return;
    }
    const uint32_t *ranks = &t->subs[t->subs_at[any]];
    uint32_t count = assignor_uniform_subs(t, any);
    uint32_t total = 0;
    for (uint32_t topic = 0; topic < t->topic_count; topic++)
        total += assignor_uniform_subs(t, topic) > 0 ? t->base[topic + 1] - t->base[topic] : 0;
    ASSERT(count > 0 && total <= t->base[t->topic_count]);
    struct assignor_ring ring = {
        .ranks = assignor_array(t, count, sizeof ring.ranks[0]),
        .want = assignor_array(t, t->member_count, sizeof ring.want[0]),
    };
    assignor_uniform_quotas(t, ranks, count, total, ring.want);
    for (uint32_t topic = 0; topic < t->topic_count; topic++) {
        if (assignor_uniform_subs(t, topic) > 0)
            assignor_keep(t, topic, ring.want);
    }
    assignor_ring_fill(&ring, ranks, count);
    for (uint32_t topic = 0; topic < t->topic_count; topic++) {
        if (assignor_uniform_subs(t, topic) > 0)
            assignor_deal(t, topic, &ring);
    }
    ASSERT(ring.count == 0);
}
