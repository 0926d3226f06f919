/* SPDX-License-Identifier: MIT
 *
 * groups_load: records of __consumer_offsets back to groups: rows of the view first, in the order
 * of their keys, then what the log has beyond them. What a record names and is not there yet is
 * made: the rows of a member come after its group's, but a log may begin in the middle.
 *
 * A classic group with members comes back STABLE, a consumer group where it was; every member has
 * its whole session's time from then on, so a restart of the broker rebalances nobody.
 *
 * Failures: a record that cannot be read is passed over and counted; so are partitions of topics
 * that are no more.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/broker/groups.h"

static void groups_load_empty(struct group *g)
{
    ASSERT(g->groups->loading);
    while (!list_empty(&g->members))
        group_remove_member(LIST_ENTRY(g->members.next, struct group_member, link));
    ASSERT(g->member_count == 0);
    g->state = BROKER_GROUP_EMPTY;
}

/* Back to what it is without a record of its own. */
static void groups_load_nothing(struct group *g)
{
    groups_load_empty(g);
    free(g->protocol_type);
    free(g->protocol);
    g->protocol_type = g->protocol = NULL;
    g->generation = g->target_epoch = 0;
    g->topics_hash = 0;
    g->recorded = false;
    ASSERT(g->leader == NULL);
}

/* The group, of this model; what it was before is not asked. */
static struct group *groups_load_group(struct groups *gs, struct slice name,
                                       enum broker_group_type type)
{
    struct group *g = groups_find(gs, name);
    ASSERT(gs->loading);
    if (name.size == 0 || name.size > BROKER_GROUP_NAME_MAX || memchr(name.p, 0, name.size) != NULL)
        return NULL;
    if (g == NULL)
        g = groups_make(gs, name);
    if (g != NULL && g->type != type) {
        groups_load_nothing(g);
        g->type = type;
    }
    ASSERT(g == NULL || g->type == type);
    return g;
}

static bool groups_load_offset(struct groups *gs, const struct group_record_key *key,
                               struct slice value)
{
    struct group_record_offset o;
    struct group *g = groups_find(gs, key->group);
    ASSERT(key->kind == GROUP_RECORD_OFFSET_COMMIT);
    ASSERT(gs->loading);
    if (value.p == NULL) {
        struct group_offset *have = g == NULL ? NULL : group_offset(g, key->topic, key->partition);
        if (have != NULL)
            group_offset_remove(g, have);
        return true;
    }
    if (group_record_offset_decode(value, &o) != 0 || o.offset < 0 || key->topic.size == 0 ||
        key->topic.size > BROKER_GROUP_NAME_MAX || key->partition < 0)
        return false;
    if (g == NULL)
        g = groups_load_group(gs, key->group, BROKER_GROUP_CLASSIC);
    if (g == NULL)
        return false;
    group_offset_set(g, key->topic, key->partition, &o);
    return true;
}

/* --- classic --- */

static void groups_load_classic_member(struct group *g, const struct group_record_classic_member *r)
{
    struct broker_group like = {
        .instance = r->instance, .client_id = r->client_id, .client_host = r->client_host};
    struct slice name = slice_str(g->protocol);
    ASSERT(g->groups->loading && g->protocol != NULL);
    if (r->member.size == 0 || memchr(r->member.p, 0, r->member.size) != NULL ||
        (r->instance.size > 0 && memchr(r->instance.p, 0, r->instance.size) != NULL))
        return;
    if (group_find_member(g, r->member) != NULL || group_find_instance(g, r->instance) != NULL)
        return;
    struct group_member *m = group_add_member(g, (char *)slice_dup(r->member), &like);
    size_t size = name.size + r->subscription.size + 1;
    m->session_ms = r->session_ms > 0 ? r->session_ms : 1;
    m->rebalance_ms = r->rebalance_ms > 0 ? r->rebalance_ms : m->session_ms;
    m->protocol_bytes = assert_memory(calloc(1, size), size);
    m->protocols = assert_memory(calloc(1, sizeof *m->protocols), sizeof *m->protocols);
    m->protocol_count = 1;
    memcpy(m->protocol_bytes, name.p, name.size);
    if (r->subscription.size > 0)
        memcpy(m->protocol_bytes + name.size, r->subscription.p, r->subscription.size);
    m->protocols[0].name = slice_of(m->protocol_bytes, name.size);
    m->protocols[0].metadata = slice_of(m->protocol_bytes + name.size, r->subscription.size);
    buf_append(&m->assignment, r->assignment.p, r->assignment.size);
    ASSERT(m->group == g);
}

static char *groups_load_string(struct slice s)
{
    ASSERT(s.p != NULL || s.size == 0);
    return s.size == 0 ? NULL : (char *)slice_dup(s);
}

static bool groups_load_classic(struct groups *gs, const struct group_record_key *key,
                                struct slice value)
{
    struct group_record_classic r;
    struct group *g = groups_find(gs, key->group);
    ASSERT(key->kind == GROUP_RECORD_CLASSIC_GROUP);
    if (value.p == NULL) {
        if (g == NULL || g->type != BROKER_GROUP_CLASSIC)
            return true;
        groups_load_nothing(g);
        if (g->offsets.count == 0)
            groups_drop(gs, g);
        return true;
    }
    if (group_record_classic_decode(value, &gs->scratch, &r) != 0)
        return false;
    g = groups_load_group(gs, key->group, BROKER_GROUP_CLASSIC);
    if (g == NULL)
        return false;
    groups_load_empty(g);
    free(g->protocol_type);
    free(g->protocol);
    g->protocol_type = groups_load_string(r.protocol_type);
    g->protocol = groups_load_string(r.protocol);
    g->generation = r.generation > 0 ? r.generation : 0;
    g->recorded = true;
    g->state_since_ms = r.state_ms >= 0 ? r.state_ms : gs->wall;
    if (g->protocol == NULL || g->protocol_type == NULL)
        return true;
    for (size_t i = 0; i < r.member_count; i++)
        groups_load_classic_member(g, &r.members[i]);
    ASSERT(g->member_count <= r.member_count);
    g->leader = r.leader.p == NULL ? NULL : group_find_member(g, r.leader);
    return true;
}

/* --- consumer --- */

static struct group_member *groups_load_member(struct groups *gs,
                                               const struct group_record_key *key)
{
    static const struct broker_group nobody = {.op = BROKER_GROUP_BEAT};
    struct group *g = groups_load_group(gs, key->group, BROKER_GROUP_CONSUMER);
    ASSERT(gs->loading);
    if (g == NULL || key->member.p == NULL || key->member.size == 0 ||
        memchr(key->member.p, 0, key->member.size) != NULL)
        return NULL;
    struct group_member *m = group_find_member(g, key->member);
    if (m == NULL) {
        m = group_add_member(g, (char *)slice_dup(key->member), &nobody);
        m->rebalance_ms = 1;
    }
    ASSERT(m->group == g);
    return m;
}

/* A tombstone of one of a member's records; that of the member itself comes last. */
static void groups_load_gone(struct groups *gs, const struct group_record_key *key)
{
    struct group *g = groups_find(gs, key->group);
    ASSERT(key->member.p != NULL);
    ASSERT(gs->loading);
    struct group_member *m = g == NULL ? NULL : group_find_member(g, key->member);
    if (m == NULL || g->type != BROKER_GROUP_CONSUMER)
        return;
    if (key->kind == GROUP_RECORD_CONSUMER_MEMBER) {
        group_remove_member(m);
    } else if (key->kind == GROUP_RECORD_TARGET_MEMBER) {
        group_set_clear(&m->target);
    } else if (key->kind == GROUP_RECORD_CURRENT_MEMBER) {
        group_set_clear(&m->assigned);
        group_set_clear(&m->revoking);
        m->epoch = m->previous_epoch = 0;
        m->state = GROUP_MEMBER_STABLE;
        m->away = false;
    }
}

static void groups_load_replace(char **have, struct slice s)
{
    ASSERT(have != NULL);
    free(*have);
    *have = groups_load_string(s);
}

static bool groups_load_subscriber(struct groups *gs, const struct group_record_key *key,
                                   struct slice value)
{
    struct group_record_consumer_member r;
    if (group_record_consumer_member_decode(value, &gs->scratch, &r) != 0)
        return false;
    struct group_member *m = groups_load_member(gs, key);
    if (m == NULL)
        return false;
    ASSERT(m->group->type == BROKER_GROUP_CONSUMER);
    ASSERT(r.topics != NULL || r.topic_count == 0);
    if (r.instance.size > 0 && m->instance == NULL &&
        group_find_instance(m->group, r.instance) == NULL) {
        m->instance = groups_load_string(r.instance);
        (void)map_put(&m->group->by_instance, slice_str(m->instance), m);
    }
    groups_load_replace(&m->rack, r.rack);
    groups_load_replace(&m->regex, r.regex);
    groups_load_replace(&m->assignor, r.assignor);
    free(m->client_id);
    free(m->client_host);
    m->client_id = (char *)slice_dup(r.client_id);
    m->client_host = (char *)slice_dup(r.client_host);
    m->rebalance_ms = r.rebalance_ms > 0 ? r.rebalance_ms : 1;
    for (size_t i = 0; i < m->topic_count; i++)
        free(m->topics[i]);
    free(m->topics);
    m->topics = assert_memory(calloc(r.topic_count + 1, sizeof *m->topics), sizeof *m->topics);
    m->topic_count = r.topic_count;
    for (size_t i = 0; i < r.topic_count; i++)
        m->topics[i] = (char *)slice_dup(r.topics[i]);
    return true;
}

static void groups_load_set(struct groups *gs, const struct group_record_topic *topics,
                            size_t count, struct group_set *out)
{
    ASSERT(topics != NULL || count == 0);
    ASSERT(gs->loading && out != NULL);
    group_set_clear(out);
    for (size_t i = 0; i < count; i++) {
        struct group_topic *t = groups_topic_by_id(gs, topics[i].id);
        for (size_t k = 0; t != NULL && k < topics[i].partition_count; k++)
            if (topics[i].partitions[k] >= 0)
                group_set_push(out, (struct group_tp){t, topics[i].partitions[k]});
    }
    group_set_settle(out);
}

static bool groups_load_target(struct groups *gs, const struct group_record_key *key,
                               struct slice value)
{
    struct group_record_target_member r;
    if (group_record_target_member_decode(value, &gs->scratch, &r) != 0)
        return false;
    struct group_member *m = groups_load_member(gs, key);
    if (m == NULL)
        return false;
    ASSERT(m->joining == NULL);
    groups_load_set(gs, r.topics, r.topic_count, &m->target);
    return true;
}

static bool groups_load_current(struct groups *gs, const struct group_record_key *key,
                                struct slice value)
{
    struct group_record_current_member r;
    struct group_set both = {0};
    if (group_record_current_member_decode(value, &gs->scratch, &r) != 0)
        return false;
    struct group_member *m = groups_load_member(gs, key);
    if (m == NULL)
        return false;
    m->epoch = r.epoch;
    m->previous_epoch = r.previous_epoch;
    m->away = r.epoch == BROKER_GROUP_EPOCH_LEAVE_STATIC;
    groups_load_set(gs, r.assigned, r.assigned_count, &m->assigned);
    groups_load_set(gs, r.pending, r.pending_count, &m->revoking);
    group_set_minus(&m->revoking, &m->assigned, &both);
    group_set_move(&m->revoking, &both);
    m->state = r.state == GROUP_RECORD_UNREVOKED    ? GROUP_MEMBER_UNREVOKED
               : r.state == GROUP_RECORD_UNRELEASED ? GROUP_MEMBER_UNRELEASED
                                                    : GROUP_MEMBER_STABLE;
    if (m->state != GROUP_MEMBER_UNREVOKED)
        group_set_clear(&m->revoking);
    ASSERT(!group_set_meets(&m->assigned, &m->revoking));
    return true;
}

static bool groups_load_epoch(struct groups *gs, const struct group_record_key *key,
                              struct slice value)
{
    struct group *g = groups_find(gs, key->group);
    struct group_record_consumer r;
    struct group_record_target target;
    bool own = key->kind == GROUP_RECORD_CONSUMER_GROUP;
    ASSERT(own || key->kind == GROUP_RECORD_TARGET_EPOCH);
    if (value.p == NULL) { /* members have tombstones of their own */
        if (g == NULL || g->type != BROKER_GROUP_CONSUMER)
            return true;
        if (own) {
            g->recorded = false;
            g->generation = 0;
            g->topics_hash = 0;
        } else {
            g->target_epoch = 0;
        }
        return true;
    }
    if ((own ? group_record_consumer_decode(value, &r)
             : group_record_target_decode(value, &target)) != 0)
        return false;
    g = groups_load_group(gs, key->group, BROKER_GROUP_CONSUMER);
    if (g == NULL)
        return false;
    ASSERT(g->type == BROKER_GROUP_CONSUMER);
    g->recorded = true;
    if (own) {
        g->generation = r.epoch > 0 ? r.epoch : 0;
        g->topics_hash = (uint64_t)r.metadata_hash;
    } else {
        g->target_epoch = target.epoch > 0 ? target.epoch : 0;
    }
    return true;
}

bool groups_load(struct groups *gs, struct slice key, struct slice value)
{
    struct group_record_key k;
    ASSERT(gs->loading);
    arena_reset(&gs->scratch);
    int r = group_record_key_decode(key, &k);
    if (r != 0)
        return r == GROUP_RECORD_UNKNOWN;
    if (value.p == NULL && k.member.p != NULL && k.member.size > 0) {
        groups_load_gone(gs, &k);
        return true;
    }
    switch (k.kind) {
    case GROUP_RECORD_OFFSET_COMMIT:
        return groups_load_offset(gs, &k, value);
    case GROUP_RECORD_CLASSIC_GROUP:
        return groups_load_classic(gs, &k, value);
    case GROUP_RECORD_CONSUMER_GROUP:
    case GROUP_RECORD_TARGET_EPOCH:
        return groups_load_epoch(gs, &k, value);
    case GROUP_RECORD_CONSUMER_MEMBER:
        return groups_load_subscriber(gs, &k, value);
    case GROUP_RECORD_TARGET_MEMBER:
        return groups_load_target(gs, &k, value);
    case GROUP_RECORD_CURRENT_MEMBER:
        return groups_load_current(gs, &k, value);
    case GROUP_RECORD_TOPIC_METADATA:
    case GROUP_RECORD_REGEX:
        return true;
    }
    return false;
}

/* --- the end --- */

static void groups_loaded_member(struct group_member *m)
{
    struct groups *gs = m->group->groups;
    if (m->group->type == BROKER_GROUP_CONSUMER)
        m->session_ms = (int32_t)groups_config(gs, CONFIG_GROUP_CONSUMER_SESSION_MS);
    ASSERT(m->session_ms > 0);
    ASSERT(m->session.slot == 0 && m->revocation.slot == 0);
    group_touch(m, m->session_ms);
    if (m->state == GROUP_MEMBER_UNREVOKED)
        heap_set(&gs->revocations, &m->revocation, gs->now + m->rebalance_ms + m->session_ms);
}

/* When a disk was full, members may be ahead of their group: its next epoch is none of theirs. */
static void groups_loaded_consumer(struct group *g)
{
    int32_t last = g->generation;
    ASSERT(g->type == BROKER_GROUP_CONSUMER);
    LIST_EACH (node, &g->members) {
        const struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        last = m->epoch > last ? m->epoch : last;
    }
    if (last > g->generation && last < INT32_MAX) {
        g->generation = last + 1;
        g->new_epoch = true;
    }
    group_consumer_settle(g);
}

/* Groups of which the log first says much and in the end nothing. */
static void groups_load_drop_hollow(struct groups *gs)
{
    struct group **hollow = calloc(gs->map.count + 1, sizeof *hollow);
    size_t at = 0, count = 0;
    ASSERT(hollow != NULL && gs->loading);
    for (struct group *g = map_next(&gs->map, &at); g != NULL; g = map_next(&gs->map, &at))
        if (g->member_count == 0 && g->offsets.count == 0 && !g->recorded)
            hollow[count++] = g;
    ASSERT(count <= gs->map.count);
    for (size_t i = 0; i < count; i++)
        groups_drop(gs, hollow[i]);
    free(hollow);
}

void groups_loaded(struct groups *gs)
{
    size_t at = 0;
    ASSERT(gs->loading);
    groups_load_drop_hollow(gs);
    for (struct group *g = map_next(&gs->map, &at); g != NULL; g = map_next(&gs->map, &at)) {
        int64_t since = g->state_since_ms;
        ASSERT(g->groups == gs && g->timer.slot == 0);
        LIST_EACH (node, &g->members) {
            groups_loaded_member(LIST_ENTRY(node, struct group_member, link));
        }
        if (g->type == BROKER_GROUP_CONSUMER && g->member_count == 0 && !g->recorded)
            g->type = BROKER_GROUP_CLASSIC; /* offsets are all that is left */
        if (g->type == BROKER_GROUP_CONSUMER)
            groups_loaded_consumer(g);
        else if (g->member_count > 0)
            group_set_state(g, BROKER_GROUP_STABLE);
        g->state_since_ms = since;
    }
    gs->loading = false;
    gs->next_sweep_ms = gs->now + groups_config(gs, CONFIG_OFFSETS_RETENTION_CHECK_MS);
}
