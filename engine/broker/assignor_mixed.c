/* SPDX-License-Identifier: MIT
 *
 * assignor_mixed: uniform assignment where subscriptions differ. See assignor.h (N5).
 *
 * First only numbers count: `has` says how many partitions of a topic each of its subscribers has.
 * Which ones these are is settled last, and who has as many of a topic as before then has the same
 * ones. In steps:
 *
 *   start    everybody has what it owned
 *   fill     what nobody owned goes to the least loaded subscriber, topics with few of them before
 *            the others
 *   level    topic by topic, from the most loaded holder to the least loaded subscriber, for as
 *            long as they are `gap` apart; sweep after sweep with a smaller gap, down to 2. Wide
 *            gaps go first so that those give who have most, and others are left in peace.
 *   name     partitions go back to their owners up to `has`, the rest is dealt round
 *
 * Each move over a gap of 2 or more lowers the sum of the squared loads, so levelling ends;
 * `effort` sees to it that it ends soon. It is counted in looks at a member, a heap's work being
 * worth some.
 *
 * Invariants: X1 a topic's `has` add up to its owned partitions, after fill to all; X2 a member's
 * load is the sum of its `has`; X3 both heaps are empty between topics.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/heap.h"
#include "engine/broker/assignor_priv.h"

#define ASSIGNOR_EFFORT_ENTER 4  /* a member enters the heaps */
#define ASSIGNOR_EFFORT_MOVE  16 /* a partition moves */

struct assignor_load {
    struct heap_node low;  /* least loaded first, then by rank */
    struct heap_node high; /* most loaded first, then by rank; only who has some of the topic */
    uint32_t rank;
    uint32_t load;
    uint32_t entry; /* of the topic under way: index in subs and has */
};

struct assignor_mixed {
    struct assignor_task *task;
    struct assignor_load *loads; /* by rank */
    uint32_t *has;               /* like task->subs */
    struct heap low;
    struct heap high;
    uint64_t effort; /* left */
    uint64_t moves;
};

static void assignor_mixed_spend(struct assignor_mixed *x, uint64_t effort)
{
    ASSERT(effort > 0);
    x->effort -= effort < x->effort ? effort : x->effort;
}

static void assignor_mixed_low(struct assignor_mixed *x, struct assignor_load *l)
{
    ASSERT(l->load <= ASSIGNOR_PARTITIONS_MAX);
    heap_set(&x->low, &l->low, (int64_t)l->load << 32 | l->rank);
}

static void assignor_mixed_high(struct assignor_mixed *x, struct assignor_load *l)
{
    if (x->has[l->entry] == 0) {
        heap_remove(&x->high, &l->high);
        return;
    }
    ASSERT(l->load > 0 && l->load <= ASSIGNOR_PARTITIONS_MAX);
    heap_set(&x->high, &l->high, (int64_t)(ASSIGNOR_PARTITIONS_MAX - l->load) << 32 | l->rank);
}

/* Everybody has what it owned. */
static void assignor_mixed_start(struct assignor_mixed *x)
{
    struct assignor_task *t = x->task;
    for (uint32_t rank = 0; rank < t->member_count; rank++)
        x->loads[rank].rank = rank;
    for (uint32_t topic = 0; topic < t->topic_count; topic++) {
        for (uint32_t e = t->subs_at[topic]; e < t->subs_at[topic + 1]; e++)
            x->loads[t->subs[e]].entry = e;
        for (uint32_t i = t->base[topic]; i < t->base[topic + 1]; i++) {
            if (t->prior[i] == ASSIGNOR_NOBODY)
                continue;
            struct assignor_load *l = &x->loads[t->prior[i]];
            ASSERT(l->entry >= t->subs_at[topic] && t->subs[l->entry] == l->rank); /* J3 */
            l->load++;
            x->has[l->entry]++;
        }
    }
}

static void assignor_mixed_fill(struct assignor_mixed *x, uint32_t topic)
{
    struct assignor_task *t = x->task;
    uint32_t missing = t->base[topic + 1] - t->base[topic];
    for (uint32_t e = t->subs_at[topic]; e < t->subs_at[topic + 1]; e++) {
        ASSERT(x->has[e] <= missing); /* X1 */
        missing -= x->has[e];
    }
    if (missing == 0)
        return;
    for (uint32_t e = t->subs_at[topic]; e < t->subs_at[topic + 1]; e++) {
        struct assignor_load *l = &x->loads[t->subs[e]];
        l->entry = e;
        ASSERT(l->low.slot == 0); /* X3 */
        assignor_mixed_low(x, l);
    }
    for (; missing > 0; missing--) {
        struct assignor_load *l = HEAP_ENTRY(heap_first(&x->low), struct assignor_load, low);
        x->has[l->entry]++;
        l->load++;
        assignor_mixed_low(x, l);
    }
    heap_deinit(&x->low); /* X3 */
    ASSERT(x->high.count == 0);
}

static int assignor_mixed_compare(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    ASSERT(a == b || *x != *y); /* each topic is there once */
    return *x < *y ? -1 : *x > *y;
}

static void assignor_mixed_fill_all(struct assignor_mixed *x)
{
    struct assignor_task *t = x->task;
    uint64_t *order = assignor_array(t, t->topic_count, sizeof order[0]);
    size_t count = 0;
    for (uint32_t topic = 0; topic < t->topic_count; topic++) {
        uint32_t subs = t->subs_at[topic + 1] - t->subs_at[topic];
        if (subs > 0)
            order[count++] = (uint64_t)subs << 32 | topic;
    }
    ASSERT(count <= t->topic_count);
    if (count > 0)
        qsort(order, count, sizeof order[0], assignor_mixed_compare);
    for (size_t i = 0; i < count; i++)
        assignor_mixed_fill(x, (uint32_t)order[i]);
}

static void assignor_mixed_move(struct assignor_mixed *x, struct assignor_load *from,
                                struct assignor_load *to)
{
    ASSERT(from->load >= to->load + 2);
    ASSERT(x->has[from->entry] > 0);
    x->has[from->entry]--;
    x->has[to->entry]++;
    from->load--;
    to->load++;
    x->moves++;
    assignor_mixed_low(x, from);
    assignor_mixed_high(x, from);
    assignor_mixed_low(x, to);
    assignor_mixed_high(x, to);
    assignor_mixed_spend(x, ASSIGNOR_EFFORT_MOVE);
}

/* The gap between the most loaded holder and the least loaded subscriber of a topic. */
static uint32_t assignor_mixed_gap(struct assignor_mixed *x, uint32_t topic)
{
    const struct assignor_task *t = x->task;
    uint32_t high = 0;
    uint32_t low = UINT32_MAX;
    ASSERT(t->subs_at[topic] < t->subs_at[topic + 1]);
    for (uint32_t e = t->subs_at[topic]; e < t->subs_at[topic + 1]; e++) {
        uint32_t load = x->loads[t->subs[e]].load;
        ASSERT(load >= x->has[e]); /* X2 */
        low = load < low ? load : low;
        high = load > high && x->has[e] > 0 ? load : high;
    }
    assignor_mixed_spend(x, t->subs_at[topic + 1] - t->subs_at[topic]);
    return high > low ? high - low : 0;
}

/* Moves partitions of one topic until no move bridges `gap`; what gap is left. */
static uint32_t assignor_mixed_level(struct assignor_mixed *x, uint32_t topic, uint32_t gap)
{
    const struct assignor_task *t = x->task;
    uint32_t left = assignor_mixed_gap(x, topic);
    ASSERT(gap >= 2);
    if (left < gap || x->effort == 0)
        return left;
    for (uint32_t e = t->subs_at[topic]; e < t->subs_at[topic + 1]; e++) {
        struct assignor_load *l = &x->loads[t->subs[e]];
        l->entry = e;
        assignor_mixed_low(x, l);
        assignor_mixed_high(x, l);
        assignor_mixed_spend(x, ASSIGNOR_EFFORT_ENTER);
    }
    ASSERT(x->high.count > 0 && x->high.count <= x->low.count);
    while (left >= gap && x->effort > 0) {
        struct assignor_load *to = HEAP_ENTRY(heap_first(&x->low), struct assignor_load, low);
        struct assignor_load *from = HEAP_ENTRY(heap_first(&x->high), struct assignor_load, high);
        left = from->load > to->load ? from->load - to->load : 0;
        if (left >= gap)
            assignor_mixed_move(x, from, to);
    }
    heap_deinit(&x->low); /* X3 */
    heap_deinit(&x->high);
    ASSERT(left < gap || x->effort == 0);
    return left;
}

/* Levels until no single move helps, or the effort is spent; true when no move helps. */
static bool assignor_mixed_level_all(struct assignor_mixed *x)
{
    const struct assignor_task *t = x->task;
    ASSERT(x->moves == 0);
    uint32_t gap = UINT32_MAX; /* the first sweep only looks */
    while (x->effort > 0) {
        uint64_t moves = x->moves;
        uint32_t widest = 0;
        for (uint32_t topic = 0; topic < t->topic_count; topic++) {
            if (t->subs_at[topic] == t->subs_at[topic + 1])
                continue;
            uint32_t left = assignor_mixed_level(x, topic, gap);
            widest = left > widest ? left : widest;
        }
        if (widest < 2 && moves == x->moves)
            return true;
        uint32_t smaller = gap - (gap < 8 ? 1 : gap / 2);
        smaller = smaller < widest ? smaller : widest;
        ASSERT(smaller < gap || gap == 2);
        gap = smaller < 2 ? 2 : smaller;
    }
    return false;
}

/* Says which partitions those are that everybody has. */
static void assignor_mixed_name(struct assignor_mixed *x)
{
    struct assignor_task *t = x->task;
    struct assignor_ring ring = {
        .ranks = assignor_array(t, t->member_count, sizeof ring.ranks[0]),
        .want = assignor_array(t, t->member_count, sizeof ring.want[0]),
    };
    for (uint32_t topic = 0; topic < t->topic_count; topic++) {
        uint32_t first = t->subs_at[topic];
        uint32_t count = t->subs_at[topic + 1] - first;
        if (count == 0)
            continue;
        for (uint32_t e = first; e < first + count; e++)
            ring.want[t->subs[e]] = x->has[e];
        assignor_keep(t, topic, ring.want);
        assignor_ring_fill(&ring, &t->subs[first], count);
        assignor_deal(t, topic, &ring);
        ASSERT(ring.count == 0); /* X1 */
    }
}

void assignor_mixed(struct assignor_task *t, uint64_t effort)
{
    size_t subs = t->subs_at[t->topic_count];
    struct assignor_mixed x = {
        .task = t,
        .loads = assignor_array(t, t->member_count, sizeof x.loads[0]),
        .has = assignor_array(t, subs, sizeof x.has[0]),
        .effort = effort,
    };
    assignor_mixed_start(&x);
    assignor_mixed_fill_all(&x);
    t->settled = assignor_mixed_level_all(&x);
    ASSERT(x.low.count == 0 && x.high.count == 0); /* X3 */
    assignor_mixed_name(&x);
}
