/* SPDX-License-Identifier: MIT
 *
 * assignor: assignments computed by the broker. See assignor.h for what is promised and
 * assignor_priv.h for the arrays.
 *
 * In steps: order the members by key, lay out the partitions in a row, turn the subscriptions round
 * (topic -> members), note who owned what, let one of the assignors fill `to`, and cut that row
 * into one list a member. Here stand these steps and range; assignor_uniform.c and assignor_mixed.c
 * hold the other one.
 */
#include "engine/broker/assignor.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/assignor_priv.h"

/* Looks at a member that the balancing may take: so many for each subscription and partition, and
 * some for a small group with tangled subscriptions. Milliseconds for ten thousand subscriptions, a
 * tenth of a second for a million. */
#define ASSIGNOR_EFFORT      32u
#define ASSIGNOR_EFFORT_MORE (1u << 20)

struct assignor_key {
    struct slice key;
    uint32_t index;
};

static const char *const assignor_names[ASSIGNOR_COUNT] = {
    [ASSIGNOR_UNIFORM] = "uniform",
    [ASSIGNOR_RANGE] = "range",
};

const char *assignor_name(enum assignor kind)
{
    ASSERT((unsigned)kind < ASSIGNOR_COUNT);
    ASSERT(assignor_names[kind] != NULL);
    return assignor_names[kind];
}

int assignor_from_name(struct slice name, enum assignor *out)
{
    ASSERT(out != NULL);
    for (unsigned i = 0; i < ASSIGNOR_COUNT; i++) {
        if (slice_equal(name, slice_str(assignor_names[i]))) {
            *out = (enum assignor)i;
            return 0;
        }
    }
    return 1;
}

void *assignor_array(struct assignor_task *t, size_t count, size_t size)
{
    ASSERT(t->arena.limit == 0);
    void *p = arena_array(&t->arena, count, size);
    ASSERT(p != NULL); /* the arena has no limit: counts that overflow are a bug */
    return p;
}

/* The order of the keys: as bytes, a prefix first; the same key in the order given (N4). */
static int assignor_key_compare(const void *a, const void *b)
{
    const struct assignor_key *x = a;
    const struct assignor_key *y = b;
    size_t size = x->key.size < y->key.size ? x->key.size : y->key.size;
    int by_bytes = size == 0 ? 0 : memcmp(x->key.p, y->key.p, size);
    if (by_bytes != 0)
        return by_bytes;
    if (x->key.size != y->key.size)
        return x->key.size < y->key.size ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static void assignor_order(struct assignor_task *t)
{
    struct assignor_key *keys = assignor_array(t, t->member_count, sizeof keys[0]);
    for (uint32_t i = 0; i < t->member_count; i++)
        keys[i] = (struct assignor_key){.key = t->in->members[i].key, .index = i};
    ASSERT(t->in->members != NULL || t->member_count == 0);
    if (t->member_count > 0)
        qsort(keys, t->member_count, sizeof keys[0], assignor_key_compare);
    t->order = assignor_array(t, t->member_count, sizeof t->order[0]);
    for (uint32_t rank = 0; rank < t->member_count; rank++) {
        t->order[rank] = keys[rank].index;
        ASSERT(rank == 0 || assignor_key_compare(&keys[rank - 1], &keys[rank]) < 0);
    }
}

/* Lays all partitions out in one row that belongs to nobody. */
static void assignor_lay_out(struct assignor_task *t)
{
    size_t count = 0;
    t->base = assignor_array(t, (size_t)t->topic_count + 1, sizeof t->base[0]);
    for (uint32_t i = 0; i < t->topic_count; i++) {
        ASSERT(t->in->topics[i].partition_count >= 0);
        t->base[i] = (uint32_t)count;
        count += (size_t)t->in->topics[i].partition_count;
        ASSERT(count <= ASSIGNOR_PARTITIONS_MAX); /* J1 */
    }
    t->base[t->topic_count] = (uint32_t)count;
    ASSERT(t->base[0] == 0);
    t->prior = assignor_array(t, count, sizeof t->prior[0]);
    t->to = assignor_array(t, count, sizeof t->to[0]);
    memset(t->prior, 0xff, count * sizeof t->prior[0]);
    memset(t->to, 0xff, count * sizeof t->to[0]);
}

/* True when the rank subscribes to the topic and this was not said yet. seen[topic] is the last
 * rank that did, plus one; topics without partitions count as not there (J2). */
static bool assignor_subscribes(const struct assignor_task *t, uint32_t *seen, uint32_t topic,
                                uint32_t rank)
{
    ASSERT(topic < t->topic_count);
    ASSERT(seen[topic] <= rank + 1);
    if (t->base[topic] == t->base[topic + 1] || seen[topic] == rank + 1)
        return false;
    seen[topic] = rank + 1;
    return true;
}

static const struct assignor_member *assignor_member_of(const struct assignor_task *t,
                                                        uint32_t rank)
{
    ASSERT(rank < t->member_count);
    ASSERT(t->order[rank] < t->member_count);
    return &t->in->members[t->order[rank]];
}

/* Counts the subscribers of each topic into subs_at and makes it the sums of those before. */
static void assignor_count_subs(struct assignor_task *t, uint32_t *seen)
{
    t->subs_at = assignor_array(t, (size_t)t->topic_count + 1, sizeof t->subs_at[0]);
    for (uint32_t rank = 0; rank < t->member_count; rank++) {
        const struct assignor_member *m = assignor_member_of(t, rank);
        for (size_t i = 0; i < m->topic_count; i++) {
            if (assignor_subscribes(t, seen, m->topics[i], rank))
                t->subs_at[m->topics[i]]++;
        }
    }
    size_t sum = 0;
    for (uint32_t i = 0; i <= t->topic_count; i++) {
        size_t count = t->subs_at[i];
        t->subs_at[i] = (uint32_t)sum;
        sum += count;
        ASSERT(sum < UINT32_MAX); /* J1 */
    }
    ASSERT(t->subs_at[0] == 0);
    t->subs = assignor_array(t, sum, sizeof t->subs[0]);
}

/* Notes what a member owns; `seen` says what it subscribes to. */
static void assignor_note_owned(struct assignor_task *t, const uint32_t *seen, uint32_t rank)
{
    const struct assignor_member *m = assignor_member_of(t, rank);
    ASSERT(m->owned != NULL || m->owned_count == 0);
    for (size_t i = 0; i < m->owned_count; i++) {
        struct assignor_partition p = m->owned[i];
        if (p.topic >= t->topic_count || p.partition < 0 || seen[p.topic] != rank + 1 ||
            p.partition >= t->in->topics[p.topic].partition_count)
            continue;
        uint32_t *prior = &t->prior[t->base[p.topic] + (uint32_t)p.partition];
        ASSERT(*prior == ASSIGNOR_NOBODY || *prior <= rank);
        if (*prior == ASSIGNOR_NOBODY)
            *prior = rank; /* J3 */
    }
}

/* Turns the subscriptions round and notes who owned what. */
static void assignor_subscribe(struct assignor_task *t)
{
    size_t seen_size = t->topic_count * sizeof(uint32_t);
    uint32_t *seen = assignor_array(t, t->topic_count, sizeof seen[0]);
    uint32_t *next = assignor_array(t, t->topic_count, sizeof next[0]);
    assignor_count_subs(t, seen);
    memset(seen, 0, seen_size);
    memcpy(next, t->subs_at, seen_size);
    for (uint32_t rank = 0; rank < t->member_count; rank++) {
        const struct assignor_member *m = assignor_member_of(t, rank);
        for (size_t i = 0; i < m->topic_count; i++) {
            uint32_t topic = m->topics[i];
            if (!assignor_subscribes(t, seen, topic, rank))
                continue;
            ASSERT(next[topic] < t->subs_at[topic + 1]);
            t->subs[next[topic]++] = rank; /* J2 */
        }
        assignor_note_owned(t, seen, rank);
    }
}

static void assignor_range(struct assignor_task *t)
{
    for (uint32_t topic = 0; topic < t->topic_count; topic++) {
        uint32_t subs = t->subs_at[topic + 1] - t->subs_at[topic];
        if (subs == 0)
            continue;
        uint32_t count = t->base[topic + 1] - t->base[topic];
        uint32_t *to = &t->to[t->base[topic]];
        for (uint32_t i = 0; i < subs; i++) {
            uint32_t share = count / subs + (i < count % subs);
            for (uint32_t n = 0; n < share; n++)
                *to++ = t->subs[t->subs_at[topic] + i];
        }
        ASSERT(to == &t->to[t->base[topic + 1]]); /* N1 */
    }
}

/* Counts what each rank has in `to`; the sum. Asserts that what can be assigned is. */
static size_t assignor_count(const struct assignor_task *t, size_t *counts)
{
    size_t sum = 0;
    for (uint32_t topic = 0; topic < t->topic_count; topic++) {
        bool wanted = t->subs_at[topic] < t->subs_at[topic + 1];
        for (uint32_t i = t->base[topic]; i < t->base[topic + 1]; i++) {
            ASSERT(wanted == (t->to[i] != ASSIGNOR_NOBODY)); /* N1 */
            if (!wanted)
                break;
            ASSERT(t->to[i] < t->member_count);
            counts[t->to[i]]++;
            sum++;
        }
    }
    return sum;
}

/* Cuts `to` into a list a member. The row is walked in order, so the lists are sorted (N3). */
static struct assignor_result *assignor_finish(struct assignor_task *t)
{
    size_t *counts = assignor_array(t, t->member_count, sizeof counts[0]);
    struct assignor_partition **end = assignor_array(t, t->member_count, sizeof end[0]);
    struct assignor_result *r = assert_memory(calloc(1, sizeof *r), sizeof *r);
    r->settled = t->settled;
    r->member_count = t->member_count;
    r->item_count = assignor_count(t, counts);
    size_t lists_size = (r->member_count + 1) * sizeof r->members[0]; /* + 1: never 0 bytes */
    size_t items_size = (r->item_count + 1) * sizeof r->items[0];
    r->members = assert_memory(malloc(lists_size), lists_size);
    r->items = assert_memory(malloc(items_size), items_size);
    struct assignor_partition *at = r->items;
    for (uint32_t rank = 0; rank < t->member_count; rank++) {
        r->members[t->order[rank]] = (struct assignor_list){at, counts[rank]};
        end[rank] = at;
        at += counts[rank];
    }
    ASSERT(at == r->items + r->item_count);
    ASSERT(r->item_count <= t->base[t->topic_count]);
    for (uint32_t topic = 0; topic < t->topic_count; topic++) {
        for (uint32_t i = t->base[topic]; i < t->base[topic + 1]; i++) {
            struct assignor_partition p = {topic, (int32_t)(i - t->base[topic])};
            if (t->to[i] != ASSIGNOR_NOBODY)
                *end[t->to[i]]++ = p;
        }
    }
    return r;
}

struct assignor_result *assignor_assign_within(enum assignor kind, const struct assignor_input *in,
                                               uint64_t effort)
{
    ASSERT(in->member_count < ASSIGNOR_NOBODY && in->topic_count < ASSIGNOR_NO_TOPIC);
    struct assignor_task t = {.in = in,
                              .member_count = (uint32_t)in->member_count,
                              .topic_count = (uint32_t)in->topic_count,
                              .settled = true};
    arena_init(&t.arena, 0);
    assignor_order(&t);
    assignor_lay_out(&t);
    assignor_subscribe(&t);
    uint64_t size = (uint64_t)t.subs_at[t.topic_count] + t.base[t.topic_count];
    switch (kind) {
    case ASSIGNOR_UNIFORM:
        assignor_uniform(&t, effort == 0 ? ASSIGNOR_EFFORT * size + ASSIGNOR_EFFORT_MORE : effort);
        break;
    case ASSIGNOR_RANGE:
        assignor_range(&t);
        break;
    }
    struct assignor_result *r = assignor_finish(&t);
    arena_deinit(&t.arena);
    ASSERT(r->member_count == in->member_count);
    return r;
}

struct assignor_result *assignor_assign(enum assignor kind, const struct assignor_input *in)
{
    return assignor_assign_within(kind, in, 0);
}

struct assignor_result *assignor_free(struct assignor_result *r)
{
    if (r == NULL)
        return NULL;
    free(r->members);
    free(r->items);
    free(r);
    return NULL;
}
