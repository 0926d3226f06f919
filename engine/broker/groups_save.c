/* SPDX-License-Identifier: MIT
 *
 * groups_save: groups and offsets as records of __consumer_offsets (group_record.h).
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/broker/groups.h"

/* NULL value: a tombstone. */
static void groups_save_put(struct groups *gs, const struct group_record_key *key,
                            const struct buf *value)
{
    struct buf bytes CLEANUP(buf_deinit) = {0};
    ASSERT(!gs->loading);
    group_record_key_encode(key, &bytes);
    ASSERT(bytes.size > 0 && (value == NULL || value->size > 0));
    gs->env.put(gs->env.ctx, buf_slice(&bytes), value == NULL ? SLICE_NULL : buf_slice(value));
}

static void groups_save_key(struct groups *gs, const struct group *g, enum group_record_kind kind,
                            const char *member, const struct buf *value)
{
    struct group_record_key key = {.kind = kind,
                                   .group = slice_str(g->name),
                                   .member = member == NULL ? SLICE_NULL : slice_str(member)};
    ASSERT((unsigned)kind < GROUP_RECORD_KIND_COUNT);
    ASSERT(g->groups == gs);
    groups_save_put(gs, &key, value);
}

/* --- offsets --- */

void groups_save_offset(struct groups *gs, struct slice group, struct slice topic,
                        int32_t partition, const struct group_record_offset *value)
{
    struct buf bytes CLEANUP(buf_deinit) = {0};
    struct group_record_key key = {
        .kind = GROUP_RECORD_OFFSET_COMMIT, .group = group, .topic = topic, .partition = partition};
    ASSERT(value->offset >= 0 && partition >= 0);
    ASSERT(group.size > 0 && topic.size > 0);
    group_record_offset_encode(value, &bytes);
    groups_save_put(gs, &key, &bytes);
}

void groups_save_no_offset(struct groups *gs, struct slice group, struct slice topic,
                           int32_t partition)
{
    struct group_record_key key = {
        .kind = GROUP_RECORD_OFFSET_COMMIT, .group = group, .topic = topic, .partition = partition};
    ASSERT(topic.size > 0 && partition >= 0);
    groups_save_put(gs, &key, NULL);
}

/* --- what is gone --- */

static void groups_save_tombstones(struct group *g, const char *id)
{
    ASSERT(id[0] != '\0');
    groups_save_key(g->groups, g, GROUP_RECORD_CURRENT_MEMBER, id, NULL);
    groups_save_key(g->groups, g, GROUP_RECORD_TARGET_MEMBER, id, NULL);
    groups_save_key(g->groups, g, GROUP_RECORD_CONSUMER_MEMBER, id, NULL);
}

/* After a write that failed: once more the tombstones of members that left and of the model that
 * the group was of before. */
static void groups_save_gone_again(struct group *g)
{
    bool consumer = g->type == BROKER_GROUP_CONSUMER;
    ASSERT(!g->groups->loading);
    LIST_EACH (node, &g->gone) {
        const struct group_gone *gone = LIST_ENTRY(node, struct group_gone, link);
        if (!consumer || group_find_member(g, slice_str(gone->id)) == NULL)
            groups_save_tombstones(g, gone->id);
    }
    if (consumer) {
        groups_save_key(g->groups, g, GROUP_RECORD_CLASSIC_GROUP, NULL, NULL);
        return;
    }
    groups_save_key(g->groups, g, GROUP_RECORD_TARGET_EPOCH, NULL, NULL);
    groups_save_key(g->groups, g, GROUP_RECORD_CONSUMER_GROUP, NULL, NULL);
}

/* --- classic --- */

static struct slice groups_save_subscription(const struct group_member *m)
{
    const char *protocol = m->group->protocol;
    ASSERT(m->group->type == BROKER_GROUP_CLASSIC);
    for (size_t i = 0; protocol != NULL && i < m->protocol_count; i++)
        if (slice_equal(m->protocols[i].name, slice_str(protocol)))
            return m->protocols[i].metadata;
    return slice_str("");
}

void groups_save_classic(struct group *g)
{
    struct buf bytes CLEANUP(buf_deinit) = {0};
    struct group_record_classic_member *all = calloc(g->member_count + 1, sizeof *all);
    size_t count = 0;
    ASSERT(all != NULL && g->type == BROKER_GROUP_CLASSIC);
    LIST_EACH (node, &g->members) {
        struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        ASSERT(count < g->member_count);
        struct slice assignment = buf_slice(&m->assignment);
        all[count++] = (struct group_record_classic_member){
            .member = slice_str(m->id),
            .instance = m->instance == NULL ? SLICE_NULL : slice_str(m->instance),
            .client_id = slice_str(m->client_id),
            .client_host = slice_str(m->client_host),
            .rebalance_ms = m->rebalance_ms,
            .session_ms = m->session_ms,
            .subscription = groups_save_subscription(m),
            .assignment = assignment.p == NULL ? slice_str("") : assignment};
    }
    struct group_record_classic value = {
        .protocol_type = slice_str(g->protocol_type == NULL ? "" : g->protocol_type),
        .generation = g->generation,
        .protocol = g->protocol == NULL ? SLICE_NULL : slice_str(g->protocol),
        .leader = g->leader == NULL ? SLICE_NULL : slice_str(g->leader->id),
        .state_ms = g->groups->wall,
        .members = all,
        .member_count = count};
    ASSERT(count == g->member_count);
    if (g->unsaved)
        groups_save_gone_again(g);
    group_record_classic_encode(&value, &bytes);
    groups_save_key(g->groups, g, GROUP_RECORD_CLASSIC_GROUP, NULL, &bytes);
    free(all);
    g->recorded = true;
    g->unsaved = false;
}

/* --- consumer --- */

/* The partitions of a set, topic by topic; *numbers is owned by the caller, like the answer. */
static struct group_record_topic *groups_save_topics(const struct group_set *s, size_t *count,
                                                     int32_t **numbers)
{
    struct group_record_topic *all = calloc(s->count + 1, sizeof *all);
    *numbers = calloc(s->count + 1, sizeof **numbers);
    ASSERT(all != NULL && *numbers != NULL);
    *count = 0;
    for (size_t i = 0; i < s->count; i++) {
        (*numbers)[i] = s->v[i].partition;
        if (i == 0 || s->v[i - 1].topic != s->v[i].topic) {
            memcpy(all[*count].id, s->v[i].topic->id, sizeof all->id);
            all[(*count)++].partitions = &(*numbers)[i];
        }
        ASSERT(*count > 0);
        all[*count - 1].partition_count++;
    }
    ASSERT(*count <= s->count);
    return all;
}

static void groups_save_subscriber(const struct group_member *m)
{
    struct buf bytes CLEANUP(buf_deinit) = {0};
    struct slice *topics = calloc(m->topic_count + 1, sizeof *topics);
    ASSERT(topics != NULL);
    for (size_t i = 0; i < m->topic_count; i++)
        topics[i] = slice_str(m->topics[i]);
    struct group_record_consumer_member value = {
        .instance = m->instance == NULL ? SLICE_NULL : slice_str(m->instance),
        .rack = m->rack == NULL ? SLICE_NULL : slice_str(m->rack),
        .client_id = slice_str(m->client_id),
        .client_host = slice_str(m->client_host),
        .topics = topics,
        .topic_count = m->topic_count,
        .regex = m->regex == NULL ? SLICE_NULL : slice_str(m->regex),
        .rebalance_ms = m->rebalance_ms,
        .assignor = m->assignor == NULL ? SLICE_NULL : slice_str(m->assignor)};
    ASSERT(m->rebalance_ms > 0);
    group_record_consumer_member_encode(&value, &bytes);
    groups_save_key(m->group->groups, m->group, GROUP_RECORD_CONSUMER_MEMBER, m->id, &bytes);
    free(topics);
}

static void groups_save_target(const struct group_member *m)
{
    struct buf bytes CLEANUP(buf_deinit) = {0};
    int32_t *numbers;
    struct group_record_target_member value = {0};
    value.topics = groups_save_topics(&m->target, &value.topic_count, &numbers);
    ASSERT(value.topic_count <= m->target.count);
    group_record_target_member_encode(&value, &bytes);
    groups_save_key(m->group->groups, m->group, GROUP_RECORD_TARGET_MEMBER, m->id, &bytes);
    free(numbers);
    free(value.topics);
}

static int8_t groups_save_state(enum group_member_state state)
{
    ASSERT((unsigned)state < GROUP_MEMBER_STATE_COUNT);
    switch (state) {
    case GROUP_MEMBER_STABLE:
        return GROUP_RECORD_STABLE;
    case GROUP_MEMBER_UNREVOKED:
        return GROUP_RECORD_UNREVOKED;
    case GROUP_MEMBER_UNRELEASED:
        return GROUP_RECORD_UNRELEASED;
    }
    return GROUP_RECORD_STABLE;
}

static void groups_save_current(const struct group_member *m)
{
    struct buf bytes CLEANUP(buf_deinit) = {0};
    int32_t *assigned, *pending;
    struct group_record_current_member value = {.epoch = m->epoch,
                                                .previous_epoch = m->previous_epoch,
                                                .state = groups_save_state(m->state)};
    value.assigned = groups_save_topics(&m->assigned, &value.assigned_count, &assigned);
    value.pending = groups_save_topics(&m->revoking, &value.pending_count, &pending);
    ASSERT(value.pending_count == 0 || m->state == GROUP_MEMBER_UNREVOKED);
    group_record_current_member_encode(&value, &bytes);
    groups_save_key(m->group->groups, m->group, GROUP_RECORD_CURRENT_MEMBER, m->id, &bytes);
    free(assigned);
    free(pending);
    free(value.assigned);
    free(value.pending);
}

static void groups_save_member(struct group_member *m, bool all)
{
    ASSERT(m->group->type == BROKER_GROUP_CONSUMER);
    if (all || m->new_subscription)
        groups_save_subscriber(m);
    if (all || m->new_target)
        groups_save_target(m);
    if (all || m->new_current)
        groups_save_current(m);
    m->new_subscription = m->new_target = m->new_current = false;
    ASSERT(m->rebalance_ms > 0);
}

void groups_save_consumer(struct group *g)
{
    struct buf epoch CLEANUP(buf_deinit) = {0}, target CLEANUP(buf_deinit) = {0};
    bool all = g->unsaved;
    ASSERT(g->type == BROKER_GROUP_CONSUMER);
    if (all)
        groups_save_gone_again(g);
    if (all || g->new_epoch) {
        struct group_record_consumer value = {.epoch = g->generation,
                                              .metadata_hash = (int64_t)g->topics_hash};
        group_record_consumer_encode(&value, &epoch);
        groups_save_key(g->groups, g, GROUP_RECORD_CONSUMER_GROUP, NULL, &epoch);
        g->recorded = true;
    }
    LIST_EACH (node, &g->members) {
        groups_save_member(LIST_ENTRY(node, struct group_member, link), all);
    }
    if (all || g->new_target_epoch) {
        group_record_target_encode(&(struct group_record_target){.epoch = g->target_epoch},
                                   &target);
        groups_save_key(g->groups, g, GROUP_RECORD_TARGET_EPOCH, NULL, &target);
    }
    g->new_epoch = g->new_target_epoch = g->unsaved = false;
}

void groups_save_gone(struct group_member *m)
{
    struct group *g = m->group;
    struct group_gone *gone = assert_memory(calloc(1, sizeof *gone), sizeof *gone);
    gone->id = (char *)slice_dup(slice_str(m->id));
    gone->number = ++g->gone_count;
    list_init(&gone->link);
    list_add_tail(&g->gone, &gone->link);
    groups_save_tombstones(g, m->id);
    ASSERT(!list_empty(&g->gone));
}

void groups_saved_gone(struct group *g, uint64_t number)
{
    ASSERT(number <= g->gone_count);
    while (!list_empty(&g->gone)) {
        struct group_gone *gone = LIST_ENTRY(g->gone.next, struct group_gone, link);
        if (gone->number > number)
            break;
        list_remove(&gone->link);
        free(gone->id);
        free(gone);
    }
}

void groups_save_deleted(struct group *g, bool offsets)
{
    size_t at = 0;
    ASSERT(g->member_count == 0);
    ASSERT(g->state == BROKER_GROUP_EMPTY);
    for (struct group_offset *o = offsets ? map_next(&g->offsets, &at) : NULL; o != NULL;
         o = map_next(&g->offsets, &at))
        groups_save_no_offset(g->groups, slice_str(g->name), group_offset_topic(o), o->partition);
    if (g->unsaved)
        groups_save_gone_again(g);
    if (g->recorded && g->type == BROKER_GROUP_CLASSIC) {
        groups_save_key(g->groups, g, GROUP_RECORD_CLASSIC_GROUP, NULL, NULL);
    } else if (g->recorded) {
        groups_save_key(g->groups, g, GROUP_RECORD_TARGET_EPOCH, NULL, NULL);
        groups_save_key(g->groups, g, GROUP_RECORD_CONSUMER_GROUP, NULL, NULL);
    }
    g->recorded = g->unsaved = false;
}
