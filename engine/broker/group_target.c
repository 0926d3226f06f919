/* SPDX-License-Identifier: MIT
 *
 * group_target: the target assignment of a group of the consumer model: which topics its members
 * want, and the call of the assignor (assignor.h) with what they had as a target before.
 *
 * The topics are resolved when the target is computed, and compared (by a hash over ids and
 * partition counts) whenever the catalogue has changed since: `topics_seen`, `topics_hash`.
 * The hash is kept in the log, so that a change just before the broker ended is found, and a start
 * without one moves nobody.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/assignor.h"
#include "engine/broker/group_regex.h"
#include "engine/broker/groups.h"

/* The topics of one computation, and which of them each member wants. */
struct group_target {
    struct group *group;
    struct group_topic **topics; /* owned; their `index` is the place here */
    size_t count;
    size_t cap;
    struct buf wanted; /* uint32_t, member after member */
    struct group_regex *regex;
};

int group_target_regex_check(struct slice regex)
{
    struct group_regex *r;
    ASSERT(regex.size > 0);
    if (group_regex_new(regex, &r) != 0)
        return 1;
    group_regex_free(r);
    return 0;
}

bool group_target_wants(const struct group_member *m, struct slice topic)
{
    struct group_regex *r = NULL;
    ASSERT(topic.p != NULL);
    ASSERT(m->topics != NULL || m->topic_count == 0);
    for (size_t i = 0; i < m->topic_count; i++)
        if (slice_equal(slice_str(m->topics[i]), topic))
            return true;
    if (m->regex == NULL || group_regex_new(slice_str(m->regex), &r) != 0)
        return false;
    bool match = group_regex_match(r, topic);
    group_regex_free(r);
    return match;
}

/* --- topics --- */

static void group_target_want(struct group_target *t, struct group_topic *topic)
{
    ASSERT(topic != NULL);
    ASSERT(t->count <= t->cap);
    if (topic->gone)
        return;
    if (topic->index >= t->count || t->topics[topic->index] != topic) {
        if (t->count == t->cap) {
            t->cap = t->cap == 0 ? 16 : 2 * t->cap;
            size_t size = t->cap * sizeof *t->topics;
            t->topics = assert_memory(realloc(t->topics, size), size);
        }
        topic->index = (uint32_t)t->count;
        t->topics[t->count++] = topic;
    }
    ASSERT(t->topics[topic->index] == topic);
    buf_append(&t->wanted, &topic->index, sizeof topic->index);
}

static void group_target_matching(void *arg, const struct groups_topic *topic)
{
    struct group_target *t = arg;
    ASSERT(t->regex != NULL);
    if (group_regex_match(t->regex, topic->name))
        group_target_want(t, groups_topic_by_id(t->group->groups, topic->id));
}

static void group_target_member(struct group_target *t, const struct group_member *m)
{
    struct groups *gs = t->group->groups;
    ASSERT(m->group == t->group);
    ASSERT(t->regex == NULL);
    for (size_t i = 0; i < m->topic_count; i++) {
        struct group_topic *topic = groups_topic(gs, slice_str(m->topics[i]));
        if (topic != NULL)
            group_target_want(t, topic);
    }
    if (m->regex == NULL || group_regex_new(slice_str(m->regex), &t->regex) != 0)
        return;
    gs->env.topics(gs->env.ctx, group_target_matching, t);
    t->regex = group_regex_free(t->regex);
}

/* Resolves all subscriptions; *ends, one a member, is where its part of `wanted` ends. */
static void group_target_resolve(struct group_target *t, size_t *ends)
{
    size_t at = 0;
    ASSERT(t->count == 0 && t->wanted.size == 0);
    LIST_EACH (node, &t->group->members) {
        group_target_member(t, LIST_ENTRY(node, struct group_member, link));
        ends[at++] = t->wanted.size / sizeof(uint32_t);
    }
    ASSERT(at == t->group->member_count);
}

static uint64_t group_target_hash(const struct group_target *t)
{
    uint64_t sum = t->count;
    ASSERT(t->count <= t->cap);
    for (size_t i = 0; i < t->count; i++) { /* in no order: a sum */
        uint8_t bytes[20];
        ASSERT(!t->topics[i]->gone);
        memcpy(bytes, t->topics[i]->id, 16);
        bytes_put_be32(bytes + 16, (uint32_t)t->topics[i]->partitions);
        sum += map_hash(slice_of(bytes, sizeof bytes), 1);
    }
    return sum;
}

static void group_target_free(struct group_target *t)
{
    ASSERT(t->regex == NULL);
    ASSERT(t->count <= t->cap);
    free(t->topics);
    buf_deinit(&t->wanted);
}

static size_t *group_target_ends(const struct group *g)
{
    size_t size = (g->member_count + 1) * sizeof(size_t);
    ASSERT(g->member_count == g->by_id.count);
    return assert_memory(calloc(1, size), size);
}

bool group_target_stale(struct group *g)
{
    struct group_target t = {.group = g};
    ASSERT(g->type == BROKER_GROUP_CONSUMER);
    if (g->topics_seen == g->groups->topics_version)
        return false;
    ASSERT(g->topics_seen < g->groups->topics_version);
    size_t *ends = group_target_ends(g);
    group_target_resolve(&t, ends);
    bool stale = group_target_hash(&t) != g->topics_hash;
    g->topics_seen = g->groups->topics_version;
    group_target_free(&t);
    free(ends);
    return stale;
}

/* --- the assignor --- */

/* The one that most members ask for; uniform when nobody does. */
static enum assignor group_target_kind(const struct group *g)
{
    size_t votes[ASSIGNOR_COUNT] = {0};
    enum assignor kind, best = ASSIGNOR_UNIFORM;
    LIST_EACH (node, &g->members) {
        const struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        if (m->assignor != NULL && assignor_from_name(slice_str(m->assignor), &kind) == 0)
            votes[kind]++;
    }
    for (unsigned i = 0; i < ASSIGNOR_COUNT; i++)
        if (votes[i] > votes[best])
            best = (enum assignor)i;
    ASSERT((unsigned)best < ASSIGNOR_COUNT);
    return best;
}

static struct assignor_partition *group_target_owned(const struct group_target *t,
                                                     const struct group_set *s)
{
    size_t size = (s->count + 1) * sizeof(struct assignor_partition);
    struct assignor_partition *all = assert_memory(calloc(1, size), size);
    ASSERT(s->count <= s->cap);
    for (size_t i = 0; i < s->count; i++) {
        const struct group_topic *topic = s->v[i].topic;
        ASSERT(topic != NULL && s->v[i].partition >= 0);
        bool known = topic->index < t->count && t->topics[topic->index] == topic;
        all[i].topic = known ? topic->index : ASSIGNOR_NO_TOPIC;
        all[i].partition = s->v[i].partition;
    }
    return all;
}

static void group_target_take(struct group_member *m, const struct group_target *t,
                              const struct assignor_list *list)
{
    struct group_set target = {0};
    ASSERT(m->group == t->group);
    for (size_t i = 0; i < list->count; i++) {
        ASSERT(list->items[i].topic < t->count);
        group_set_push(
            &target, (struct group_tp){t->topics[list->items[i].topic], list->items[i].partition});
    }
    group_set_settle(&target);
    ASSERT(target.count == list->count); /* the assignor gives none twice */
    if (!group_set_equal(&target, &m->target)) {
        group_set_move(&m->target, &target);
        m->new_target = true;
    }
    group_set_deinit(&target);
}

static void group_target_assign(struct group_target *t, const size_t *ends)
{
    struct group *g = t->group;
    size_t members = g->member_count, at = 0;
    struct assignor_member *in = calloc(members + 1, sizeof *in);
    struct assignor_topic *topics = calloc(t->count + 1, sizeof *topics);
    ASSERT(in != NULL && topics != NULL);
    for (size_t i = 0; i < t->count; i++)
        topics[i].partition_count = t->topics[i]->partitions;
    const uint32_t *wanted = (const uint32_t *)(const void *)t->wanted.p;
    LIST_EACH (node, &g->members) {
        const struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        size_t begin = at == 0 ? 0 : ends[at - 1];
        ASSERT(begin <= ends[at]);
        in[at] =
            (struct assignor_member){.key = slice_str(m->instance != NULL ? m->instance : m->id),
                                     .topics = wanted == NULL ? NULL : wanted + begin,
                                     .topic_count = ends[at] - begin,
                                     .owned = group_target_owned(t, &m->target),
                                     .owned_count = m->target.count};
        at++;
    }
    ASSERT(at == members);
    struct assignor_input input = {in, members, topics, t->count};
    struct assignor_result *r = assignor_assign(group_target_kind(g), &input);
    at = 0;
    LIST_EACH (node, &g->members) {
        group_target_take(LIST_ENTRY(node, struct group_member, link), t, &r->members[at]);
        free((void *)(uintptr_t)in[at++].owned);
    }
    assignor_free(r);
    free(in);
    free(topics);
}

void group_target_compute(struct group *g)
{
    struct group_target t = {.group = g};
    ASSERT(g->type == BROKER_GROUP_CONSUMER && g->member_count > 0);
    ASSERT(g->generation >= 0 && !g->groups->loading);
    size_t *ends = group_target_ends(g);
    group_target_resolve(&t, ends);
    group_target_assign(&t, ends);
    uint64_t hash = group_target_hash(&t);
    if (g->topics_hash != hash)
        g->new_epoch = true; /* it stands in that record */
    g->topics_hash = hash;
    g->topics_seen = g->groups->topics_version;
    g->target_epoch = g->generation;
    g->new_target_epoch = true;
    group_target_free(&t);
    free(ends);
}
