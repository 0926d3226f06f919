/* SPDX-License-Identifier: MIT
 *
 * groups_view: see groups_view.h. Lists are built in the engine's scratch arena.
 */
#include "engine/broker/groups_view.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/group_protocol.h"

static struct slice groups_view_text(const char *s)
{
    struct slice text = slice_str(s == NULL ? "" : s);
    ASSERT(text.p != NULL);
    return text;
}

void groups_view_info(const struct group *g, struct broker_group_info *out)
{
    ASSERT(g->name != NULL);
    ASSERT(out != NULL);
    const char *type = g->protocol_type, *protocol = g->protocol;
    if (g->type == BROKER_GROUP_CONSUMER) {
        type = "consumer";
        protocol = "uniform";
        LIST_EACH (node, &g->members) {
            const struct group_member *m = LIST_ENTRY(node, struct group_member, link);
            if (m->assignor != NULL)
                protocol = m->assignor;
        }
    }
    *out = (struct broker_group_info){.name = slice_str(g->name),
                                      .type = g->type,
                                      .state = g->state,
                                      .protocol_type = groups_view_text(type),
                                      .protocol = groups_view_text(protocol),
                                      .leader = groups_view_text(g->leader ? g->leader->id : NULL),
                                      .generation = g->generation,
                                      .assignment_epoch = g->target_epoch,
                                      .member_count = g->member_count,
                                      .offset_count = g->offsets.count,
                                      .state_since_ms = g->state_since_ms};
}

/* --- members --- */

bool groups_view_topics(const struct group_member *m, struct slice **topics, size_t *count)
{
    const struct group *g = m->group;
    ASSERT(g->type == BROKER_GROUP_CLASSIC);
    if (g->protocol_type == NULL || strcmp(g->protocol_type, "consumer") != 0 ||
        m->protocol_count == 0)
        return false;
    size_t at = 0;
    while (g->protocol != NULL && at + 1 < m->protocol_count &&
           !slice_equal(m->protocols[at].name, slice_str(g->protocol)))
        at++;
    ASSERT(at < m->protocol_count);
    return group_protocol_subscription(m->protocols[at].metadata, &m->group->groups->scratch,
                                       topics, count) == 0;
}

bool groups_view_assigned(const struct group_member *m, struct broker_group_topic **topics,
                          size_t *count)
{
    const struct group *g = m->group;
    ASSERT(g->type == BROKER_GROUP_CLASSIC);
    ASSERT(topics != NULL && count != NULL);
    if (g->protocol_type == NULL || strcmp(g->protocol_type, "consumer") != 0 ||
        m->assignment.size == 0)
        return false;
    return group_protocol_assignment(buf_slice(&m->assignment), &m->group->groups->scratch, topics,
                                     count) == 0;
}

static struct slice groups_view_metadata(const struct group_member *m)
{
    const struct group *g = m->group;
    ASSERT(g->type == BROKER_GROUP_CLASSIC);
    for (size_t i = 0; g->protocol != NULL && i < m->protocol_count; i++)
        if (slice_equal(m->protocols[i].name, slice_str(g->protocol)))
            return m->protocols[i].metadata;
    ASSERT(m->protocols != NULL || m->protocol_count == 0);
    return slice_str("");
}

static void groups_view_classic(const struct group_member *m, struct broker_group_member *out)
{
    struct slice *topics;
    struct broker_group_topic *assigned;
    size_t count;
    ASSERT(m->group->type == BROKER_GROUP_CLASSIC);
    out->epoch = m->group->generation;
    out->metadata = groups_view_metadata(m);
    out->assignment = m->assignment.p == NULL ? slice_str("") : buf_slice(&m->assignment);
    if (groups_view_topics(m, &topics, &count)) {
        out->topics = topics;
        out->topic_count = count;
    }
    if (groups_view_assigned(m, &assigned, &count)) {
        out->assigned = assigned;
        out->assigned_count = count;
    }
}

static const struct broker_group_topic *groups_view_set(struct groups *gs,
                                                        const struct group_set *s, size_t *count)
{
    struct broker_group_topic *all = arena_array(&gs->scratch, s->count, sizeof *all);
    int32_t *numbers = arena_array(&gs->scratch, s->count, sizeof *numbers);
    *count = 0;
    ASSERT(s->count <= s->cap);
    if (all == NULL || numbers == NULL)
        return NULL;
    for (size_t i = 0; i < s->count; i++) {
        const struct group_topic *t = s->v[i].topic;
        numbers[i] = s->v[i].partition;
        if (i == 0 || s->v[i - 1].topic != t) {
            all[*count].name = slice_str(t->name);
            memcpy(all[*count].id, t->id, sizeof t->id);
            all[(*count)++].partitions = &numbers[i];
        }
        ASSERT(*count > 0);
        all[*count - 1].count++;
    }
    return all;
}

static void groups_view_consumer(struct groups *gs, const struct group_member *m,
                                 struct broker_group_member *out)
{
    struct slice *topics = arena_array(&gs->scratch, m->topic_count, sizeof *topics);
    ASSERT(m->group->type == BROKER_GROUP_CONSUMER);
    ASSERT(m->topics != NULL || m->topic_count == 0);
    for (size_t i = 0; topics != NULL && i < m->topic_count; i++)
        topics[i] = slice_str(m->topics[i]);
    out->epoch = m->epoch;
    out->topics = topics;
    out->topic_count = topics == NULL ? 0 : m->topic_count;
    out->assigned = groups_view_set(gs, &m->assigned, &out->assigned_count);
    out->target = groups_view_set(gs, &m->target, &out->target_count);
}

void groups_view_members(struct groups *gs, const struct group *g,
                         void (*fn)(void *ctx, const struct broker_group_member *m), void *ctx)
{
    ASSERT(fn != NULL);
    ASSERT(g->groups == gs);
    LIST_EACH (node, &g->members) {
        const struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        struct broker_group_member out = {.id = slice_str(m->id),
                                          .instance = m->instance == NULL ? SLICE_NULL
                                                                          : slice_str(m->instance),
                                          .rack = groups_view_text(m->rack),
                                          .client_id = slice_str(m->client_id),
                                          .client_host = slice_str(m->client_host),
                                          .metadata = slice_str(""),
                                          .assignment = slice_str(""),
                                          .regex = groups_view_text(m->regex)};
        arena_reset(&gs->scratch);
        if (g->type == BROKER_GROUP_CLASSIC)
            groups_view_classic(m, &out);
        else
            groups_view_consumer(gs, m, &out);
        fn(ctx, &out);
    }
}

/* --- offsets --- */

/* Partitions with an owner, in order: found by bisection. */
struct groups_view_owner {
    struct slice topic;
    int32_t partition;
    const struct group_member *member;
};

struct groups_view_owners {
    struct groups_view_owner *v; /* owned */
    size_t count;
    size_t cap;
};

static int groups_view_order(const void *x, const void *y)
{
    const struct groups_view_owner *a = x, *b = y;
    size_t common = a->topic.size < b->topic.size ? a->topic.size : b->topic.size;
    int r = common == 0 ? 0 : memcmp(a->topic.p, b->topic.p, common);
    ASSERT(a->topic.p != NULL && b->topic.p != NULL);
    if (r == 0)
        r = (a->topic.size > b->topic.size) - (a->topic.size < b->topic.size);
    return r != 0 ? r : (a->partition > b->partition) - (a->partition < b->partition);
}

static void groups_view_own(struct groups_view_owners *o, struct slice topic, int32_t partition,
                            const struct group_member *m)
{
    ASSERT(o->count <= o->cap);
    ASSERT(topic.p != NULL && m != NULL);
    if (o->count == o->cap) {
        o->cap = o->cap == 0 ? 64 : 2 * o->cap;
        o->v = assert_memory(realloc(o->v, o->cap * sizeof *o->v), o->cap * sizeof *o->v);
    }
    o->v[o->count++] = (struct groups_view_owner){topic, partition, m};
}

static void groups_view_classic_owner(const struct group_member *m, struct groups_view_owners *o)
{
    struct broker_group_topic *topics;
    size_t count;
    ASSERT(m->group->type == BROKER_GROUP_CLASSIC);
    if (!groups_view_assigned(m, &topics, &count))
        return;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < topics[i].count; k++)
            groups_view_own(o, topics[i].name, topics[i].partitions[k], m);
}

static void groups_view_find_owners(struct groups *gs, const struct group *g,
                                    struct groups_view_owners *o)
{
    arena_reset(&gs->scratch);
    LIST_EACH (node, &g->members) {
        const struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        ASSERT(m->group == g);
        if (g->type == BROKER_GROUP_CLASSIC)
            groups_view_classic_owner(m, o);
        for (size_t i = 0; i < m->assigned.count; i++)
            groups_view_own(o, slice_str(m->assigned.v[i].topic->name), m->assigned.v[i].partition,
                            m);
    }
    if (o->count > 1)
        qsort(o->v, o->count, sizeof *o->v, groups_view_order);
}

static struct broker_group_offset groups_view_of(const struct group_offset *o)
{
    ASSERT(o->offset >= 0);
    return (struct broker_group_offset){.topic = group_offset_topic(o),
                                        .partition = o->partition,
                                        .offset = o->offset,
                                        .leader_epoch = o->leader_epoch,
                                        .metadata =
                                            o->metadata.p == NULL ? slice_str("") : o->metadata,
                                        .commit_ms = o->commit_ms,
                                        .moved_ms = o->moved_ms};
}

int groups_view_offset(struct groups *gs, const struct group *g, struct slice topic,
                       int32_t partition, struct broker_group_offset *out)
{
    ASSERT(out != NULL && gs == g->groups);
    const struct group_offset *o = group_offset(g, topic, partition);
    if (o == NULL)
        return 1;
    *out = groups_view_of(o);
    return 0;
}

static int groups_view_offset_order(const void *x, const void *y)
{
    const struct broker_group_offset *a = x, *b = y;
    struct groups_view_owner p = {a->topic, a->partition, NULL}, q = {b->topic, b->partition, NULL};
    return groups_view_order(&p, &q);
}

static struct slice groups_view_owner_of(const struct groups_view_owners *o, struct slice topic,
                                         int32_t partition)
{
    struct groups_view_owner key = {topic, partition, NULL}, *found;
    ASSERT(topic.p != NULL);
    found = o->count == 0 ? NULL : bsearch(&key, o->v, o->count, sizeof *o->v, groups_view_order);
    return found == NULL ? SLICE_NULL : slice_str(found->member->id);
}

void groups_view_offsets(struct groups *gs, const struct group *g, bool assigned,
                         void (*fn)(void *ctx, const struct broker_group_offset *o), void *ctx)
{
    struct groups_view_owners owners = {0};
    groups_view_find_owners(gs, g, &owners);
    struct broker_group_offset *all = calloc(g->offsets.count + owners.count + 1, sizeof *all);
    size_t at = 0, count = 0;
    ASSERT(all != NULL && fn != NULL);
    ASSERT(g->groups == gs);
    for (const struct group_offset *o = map_next(&g->offsets, &at); o != NULL;
         o = map_next(&g->offsets, &at))
        all[count++] = groups_view_of(o);
    for (size_t i = 0; assigned && i < owners.count; i++)
        if (group_offset(g, owners.v[i].topic, owners.v[i].partition) == NULL)
            all[count++] = (struct broker_group_offset){.topic = owners.v[i].topic,
                                                        .partition = owners.v[i].partition,
                                                        .offset = -1,
                                                        .leader_epoch = -1,
                                                        .metadata = slice_str(""),
                                                        .commit_ms = -1,
                                                        .moved_ms = -1};
    ASSERT(count <= g->offsets.count + owners.count);
    if (count > 1)
        qsort(all, count, sizeof *all, groups_view_offset_order);
    for (size_t i = 0; i < count; i++) {
        all[i].owner = groups_view_owner_of(&owners, all[i].topic, all[i].partition);
        fn(ctx, &all[i]);
    }
    free(all);
    free(owners.v);
}

/* --- history --- */

void groups_view_history(const struct group *g,
                         void (*fn)(void *ctx, const struct broker_group_rebalance *r), void *ctx)
{
    size_t kept =
        g->event_count < BROKER_GROUP_HISTORY_MAX ? g->event_count : BROKER_GROUP_HISTORY_MAX;
    ASSERT(fn != NULL && (g->events != NULL || kept == 0));
    for (size_t i = g->event_count - kept; i < g->event_count; i++) {
        const struct group_event *e = &g->events[i % BROKER_GROUP_HISTORY_MAX];
        ASSERT(e->ended_ms < 0 || e->ended_ms >= e->began_ms);
        struct broker_group_rebalance out = {.began_ms = e->began_ms,
                                             .ended_ms = e->ended_ms,
                                             .cause = e->cause,
                                             .member = groups_view_text(e->member),
                                             .reason = groups_view_text(e->reason),
                                             .generation = e->generation,
                                             .member_count = e->member_count};
        fn(ctx, &out);
    }
}
