/* SPDX-License-Identifier: MIT
 *
 * group: one consumer group: its members, its state and its history; what both models share.
 *
 * States and who changes them:
 *
 *   classic    EMPTY --join--> PREPARING --all joined, or time--> COMPLETING --leader's sync-->
 *              STABLE; a join, leave or expiry in COMPLETING or STABLE leads to PREPARING again;
 *              PREPARING with nobody left leads to EMPTY
 *   consumer   EMPTY, ASSIGNING, RECONCILING, STABLE in any order: group_consumer_settle derives
 *              the state from the members
 *
 * Invariants (group_check): G2 EMPTY and DEAD have no members, the others have; members of
 * by_instance are in by_id; a classic group's leader is a member; only PREPARING parks joins, only
 * COMPLETING parks syncs; only classic groups have pending ids.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/groups.h"

struct group *group_new(struct groups *gs, struct slice name)
{
    struct group *g = assert_memory(calloc(1, sizeof *g), sizeof *g);
    ASSERT(name.size > 0 && name.size <= BROKER_GROUP_NAME_MAX);
    ASSERT(memchr(name.p, 0, name.size) == NULL); /* names are C strings here */
    g->groups = gs;
    g->name = (char *)slice_dup(name);
    g->state = BROKER_GROUP_EMPTY;
    g->state_since_ms = gs->wall;
    list_init(&g->members);
    list_init(&g->pending);
    list_init(&g->gone);
    map_init(&g->by_id, gs->env.seed);
    map_init(&g->by_instance, gs->env.seed);
    map_init(&g->offsets, gs->env.seed);
    return g;
}

static void group_member_free(struct group_member *m)
{
    ASSERT(m->joining == NULL && m->syncing == NULL);
    ASSERT(!list_linked(&m->link));
    heap_remove(&m->group->groups->sessions, &m->session);
    heap_remove(&m->group->groups->revocations, &m->revocation);
    for (size_t i = 0; i < m->topic_count; i++)
        free(m->topics[i]);
    free(m->topics);
    free(m->protocols);
    free(m->protocol_bytes);
    buf_deinit(&m->assignment);
    group_set_deinit(&m->assigned);
    group_set_deinit(&m->revoking);
    group_set_deinit(&m->target);
    char *strings[] = {m->id,   m->instance, m->client_id, m->client_host,
                       m->rack, m->regex,    m->assignor};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
        free(strings[i]);
    free(m);
}

static void group_pending_free(struct group_pending *p)
{
    ASSERT(p->group->pending_count > 0);
    ASSERT(list_linked(&p->link));
    p->group->pending_count--;
    list_remove(&p->link);
    heap_remove(&p->group->groups->pendings, &p->timer);
    free(p->id);
    free(p);
}

void group_free(struct group *g)
{
    while (!list_empty(&g->members))
        group_remove_member(LIST_ENTRY(g->members.next, struct group_member, link));
    while (!list_empty(&g->pending))
        group_pending_free(LIST_ENTRY(g->pending.next, struct group_pending, link));
    ASSERT(g->member_count == 0 && g->pending_count == 0);
    ASSERT(g->by_id.count == 0 && g->by_instance.count == 0 && g->leader == NULL);
    groups_saved_gone(g, g->gone_count);
    heap_remove(&g->groups->rebalances, &g->timer);
    group_offsets_clear(g);
    for (size_t i = 0; g->events != NULL && i < BROKER_GROUP_HISTORY_MAX; i++) {
        free(g->events[i].member);
        free(g->events[i].reason);
    }
    map_deinit(&g->by_id);
    map_deinit(&g->by_instance);
    map_deinit(&g->offsets);
    free(g->events);
    free(g->protocol_type);
    free(g->protocol);
    free(g->name);
    free(g);
}

/* --- states --- */

static bool group_may_become(enum broker_group_type type, enum broker_group_state from,
                             enum broker_group_state to)
{
    enum {
        E = 1 << BROKER_GROUP_EMPTY,
        P = 1 << BROKER_GROUP_PREPARING,
        C = 1 << BROKER_GROUP_COMPLETING,
        S = 1 << BROKER_GROUP_STABLE,
        A = 1 << BROKER_GROUP_ASSIGNING,
        R = 1 << BROKER_GROUP_RECONCILING,
    };
    static const unsigned rows[BROKER_GROUP_TYPE_COUNT][BROKER_GROUP_STATE_COUNT] = {
        [BROKER_GROUP_CLASSIC] = {[BROKER_GROUP_EMPTY] = P | S, /* STABLE: loaded */
                                  [BROKER_GROUP_PREPARING] = E | C,
                                  [BROKER_GROUP_COMPLETING] = P | S,
                                  [BROKER_GROUP_STABLE] = P},
        [BROKER_GROUP_CONSUMER] = {[BROKER_GROUP_EMPTY] = E | A | R | S,
                                   [BROKER_GROUP_ASSIGNING] = E | A | R | S,
                                   [BROKER_GROUP_RECONCILING] = E | A | R | S,
                                   [BROKER_GROUP_STABLE] = E | A | R | S},
    };
    ASSERT((unsigned)type < BROKER_GROUP_TYPE_COUNT && (unsigned)from < BROKER_GROUP_STATE_COUNT);
    ASSERT((unsigned)to < BROKER_GROUP_STATE_COUNT);
    return (rows[type][from] & (1u << to)) != 0;
}

void group_set_state(struct group *g, enum broker_group_state state)
{
    ASSERT(group_may_become(g->type, g->state, state));
    if (g->state == state)
        return;
    g->state = state;
    g->state_since_ms = g->groups->wall;
    ASSERT(state != BROKER_GROUP_EMPTY || g->member_count == 0);
}

void group_become(struct group *g, enum broker_group_type type)
{
    if (g->type == type)
        return;
    ASSERT(g->state == BROKER_GROUP_EMPTY && g->member_count == 0);
    ASSERT(g->pending_count == 0 || type == BROKER_GROUP_CONSUMER);
    while (!list_empty(&g->pending))
        group_pending_free(LIST_ENTRY(g->pending.next, struct group_pending, link));
    bool recorded = g->recorded;
    if (recorded)
        groups_save_deleted(g, false);
    g->unsaved = g->unsaved || recorded; /* until the records of the other model are gone */
    free(g->protocol);
    free(g->protocol_type);
    g->protocol = g->protocol_type = NULL;
    g->leader = NULL;
    g->type = type;
    ASSERT(!g->recorded && g->timer.slot == 0);
    g->target_epoch = 0;
    g->topics_hash = g->topics_seen = 0;
}

/* --- members --- */

struct group_member *group_find_member(const struct group *g, struct slice id)
{
    ASSERT(g->by_id.count == g->member_count);
    return map_get(&g->by_id, id);
}

struct group_member *group_find_instance(const struct group *g, struct slice instance)
{
    ASSERT(g->by_instance.count <= g->member_count);
    return instance.p == NULL ? NULL : map_get(&g->by_instance, instance);
}

static char *group_string(struct slice s)
{
    ASSERT(s.p != NULL || s.size == 0);
    return (char *)slice_dup(s.p == NULL ? slice_str("") : s);
}

struct group_member *group_add_member(struct group *g, char *id, const struct broker_group *req)
{
    struct group_member *m = assert_memory(calloc(1, sizeof *m), sizeof *m);
    ASSERT(id != NULL && group_find_member(g, slice_str(id)) == NULL);
    m->group = g;
    m->id = id;
    m->instance = req->instance.p == NULL ? NULL : group_string(req->instance);
    m->client_id = group_string(req->client_id);
    m->client_host = group_string(req->client_host);
    list_init(&m->link);
    list_add_tail(&g->members, &m->link);
    void *other = map_put(&g->by_id, slice_str(m->id), m);
    ASSERT(other == NULL);
    if (m->instance != NULL) {
        other = map_put(&g->by_instance, slice_str(m->instance), m);
        ASSERT(other == NULL);
    }
    g->member_count++;
    return m;
}

void group_remove_member(struct group_member *m)
{
    struct group *g = m->group;
    ASSERT(g->member_count > 0);
    void *gone = map_remove(&g->by_id, slice_str(m->id));
    ASSERT(gone == m);
    if (m->instance != NULL && map_get(&g->by_instance, slice_str(m->instance)) == m)
        (void)map_remove(&g->by_instance, slice_str(m->instance));
    if (g->leader == m)
        g->leader = NULL;
    list_remove(&m->link);
    g->member_count--;
    ASSERT(g->by_id.count == g->member_count && g->by_instance.count <= g->member_count);
    group_member_free(m);
}

void group_touch(struct group_member *m, int64_t after_ms)
{
    ASSERT(after_ms > 0);
    ASSERT(m->group != NULL);
    heap_set(&m->group->groups->sessions, &m->session, m->group->groups->now + after_ms);
}

/* --- history --- */

static struct group_event *group_event_last(const struct group *g)
{
    ASSERT(g->events != NULL || g->event_count == 0);
    return g->event_count == 0 ? NULL : &g->events[(g->event_count - 1) % BROKER_GROUP_HISTORY_MAX];
}

void group_event_begin(struct group *g, enum broker_group_cause cause, const char *member,
                       struct slice reason)
{
    ASSERT((unsigned)cause < BROKER_GROUP_CAUSE_COUNT);
    size_t size = BROKER_GROUP_HISTORY_MAX * sizeof *g->events;
    group_event_end(g);
    ASSERT(group_event_last(g) == NULL || group_event_last(g)->ended_ms >= 0); /* one at a time */
    if (g->events == NULL) {
        g->events = assert_memory(calloc(1, size), size);
    }
    struct group_event *e = &g->events[g->event_count % BROKER_GROUP_HISTORY_MAX];
    g->event_count++;
    g->groups->rebalances_by_cause[cause]++;
    free(e->member);
    free(e->reason);
    *e = (struct group_event){.began_ms = g->groups->wall, .ended_ms = -1, .cause = cause};
    if (member != NULL)
        e->member = group_string(slice_str(member));
    if (reason.size > 0)
        e->reason = group_string(slice_of(reason.p, reason.size < 256 ? reason.size : 256));
}

void group_event_end(struct group *g)
{
    struct group_event *e = group_event_last(g);
    ASSERT(e == NULL || (unsigned)e->cause < BROKER_GROUP_CAUSE_COUNT);
    if (e == NULL || e->ended_ms >= 0)
        return;
    e->ended_ms = g->groups->wall > e->began_ms ? g->groups->wall : e->began_ms;
    e->generation = g->generation;
    e->member_count = g->member_count;
}

/* --- invariants --- */

static void group_check_member(const struct group *g, const struct group_member *m)
{
    ASSERT(m->group == g && group_find_member(g, slice_str(m->id)) == m);
    ASSERT(m->instance == NULL || group_find_instance(g, slice_str(m->instance)) == m);
    ASSERT(m->joining == NULL || g->state == BROKER_GROUP_PREPARING);
    ASSERT(m->syncing == NULL || g->state == BROKER_GROUP_COMPLETING);
    ASSERT(m->joining == NULL || m->syncing == NULL);   /* G4 */
    ASSERT(m->session.slot != 0 || g->groups->loading); /* G3 */
    group_set_check(&m->assigned);
    group_set_check(&m->revoking);
    group_set_check(&m->target);
    ASSERT(!group_set_meets(&m->assigned, &m->revoking));
    ASSERT((m->revocation.slot != 0) == (m->state == GROUP_MEMBER_UNREVOKED) || g->groups->loading);
    ASSERT(m->state == GROUP_MEMBER_UNREVOKED || m->revoking.count == 0);
    ASSERT(g->type == BROKER_GROUP_CONSUMER || m->assigned.count + m->target.count == 0);
}

void group_check(const struct group *g)
{
    size_t count = 0;
    map_check(&g->by_id);
    map_check(&g->offsets);
    LIST_EACH (node, &g->members) {
        group_check_member(g, LIST_ENTRY(node, struct group_member, link));
        count++;
    }
    ASSERT(count == g->member_count && count == g->by_id.count);
    bool empty = g->state == BROKER_GROUP_EMPTY || g->state == BROKER_GROUP_DEAD;
    bool fits = empty ? count == 0 : count > 0 || g->state == BROKER_GROUP_PREPARING;
    ASSERT(fits || g->groups->loading); /* G2: the state comes last */
    ASSERT(g->leader == NULL || (g->leader->group == g && g->type == BROKER_GROUP_CLASSIC));
    ASSERT(!g->storing || g->state == BROKER_GROUP_COMPLETING);
    ASSERT(!g->deleting || g->state == BROKER_GROUP_EMPTY);
    bool timed = g->state == BROKER_GROUP_PREPARING || g->state == BROKER_GROUP_COMPLETING;
    ASSERT((g->timer.slot != 0) == timed); /* G3 */
    ASSERT(g->type == BROKER_GROUP_CLASSIC || g->pending_count == 0);
}
