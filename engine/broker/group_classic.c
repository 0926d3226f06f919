/* SPDX-License-Identifier: MIT
 *
 * group_classic: groups whose members divide the partitions themselves (KIP-62), through one of
 * them, the leader. The broker gathers them, tells the leader of all, and hands out what it
 * decided:
 *
 *   join        parked until all members have joined or the rebalance timeout passed; out of EMPTY
 *               also for group.initial.rebalance.delay.ms, again as long as more come
 *   complete    generation + 1, everybody answered, the leader with the list of members
 *   sync        parked until the leader's sync; that is on disk before anybody is answered
 *   heartbeat   REBALANCE tells a member to join again
 *
 * Static members (KIP-345) are known by their instance id: one that comes back under a new member
 * id takes the old one's place and assignment, in STABLE without a rebalance. New members may have
 * to come twice, the second time with the id they were given (KIP-394): `pending`.
 *
 * The steps of a rebalance themselves are group_generation.c's.
 *
 * A connection that breaks changes nothing here: sessions end by time, or by LeaveGroup.
 */
#include "engine/broker/group_classic_priv.h"

#include <stdlib.h>

#include "engine/base/assert.h"

/* --- join --- */

static void group_classic_park(struct group_member *m, struct broker_group *req)
{
    struct group *g = m->group;
    group_generation_fail_join(m, BROKER_REBALANCE); /* the one it sent before */
    group_generation_update(m, req);
    ASSERT(req->op == BROKER_GROUP_JOIN && m->syncing == NULL); /* G4 */
    m->joining = req;
    ASSERT(g->state == BROKER_GROUP_PREPARING || g->state == BROKER_GROUP_COMPLETING ||
           g->state == BROKER_GROUP_STABLE || g->state == BROKER_GROUP_EMPTY);
    if (g->protocol_type == NULL || g->member_count == 1) {
        free(g->protocol_type);
        g->protocol_type = (char *)slice_dup(req->join.protocol_type);
    }
    group_touch(m, m->session_ms);
}

/* m->joining is set before the state, so that a rebalance may complete at once. */
static void group_classic_rejoin(struct group_member *m, struct broker_group *req,
                                 enum broker_group_cause cause)
{
    struct group *g = m->group;
    ASSERT(g->type == BROKER_GROUP_CLASSIC && !g->deleting);
    group_generation_fail_sync(m, BROKER_REBALANCE);
    group_classic_park(m, req);
    group_generation_prepare(g, cause, m->id, req->join.reason);
    ASSERT(g->state == BROKER_GROUP_PREPARING);
    if (g->initial && cause == BROKER_GROUP_CAUSE_JOINED && g->member_count > 1)
        g->more_came = true;
    group_generation_try(g);
}

static void group_classic_add(struct group *g, char *id, struct broker_group *req)
{
    struct group_member *m = group_add_member(g, id, req);
    ASSERT(m->joining == NULL);
    ASSERT(req->member.size == 0 || slice_equal(slice_str(m->id), req->member)); /* as told */
    group_classic_rejoin(m, req, BROKER_GROUP_CAUSE_JOINED);
}

static void group_classic_pend(struct group *g, struct broker_group *req)
{
    struct group_pending *p = assert_memory(calloc(1, sizeof *p), sizeof *p);
    ASSERT(g->pending_count < GROUPS_PENDING_MAX);
    ASSERT(req->member.size == 0 && req->instance.p == NULL);
    p->group = g;
    p->id = groups_new_id(g->groups, req->client_id);
    list_init(&p->link);
    list_add_tail(&g->pending, &p->link);
    g->pending_count++;
    heap_set(&g->groups->pendings, &p->timer, g->groups->now + req->join.session_timeout_ms);
    req->join.member = groups_copy(req, slice_str(p->id));
    groups_answer(g->groups, req, BROKER_MEMBER_ID_REQUIRED, NULL);
}

static struct group_pending *group_classic_pending(const struct group *g, struct slice id)
{
    ASSERT(id.p != NULL);
    ASSERT((g->pending_count == 0) == list_empty(&g->pending));
    LIST_EACH (node, &g->pending) {
        struct group_pending *p = LIST_ENTRY(node, struct group_pending, link);
        ASSERT(p->group == g);
        if (slice_equal(slice_str(p->id), id))
            return p;
    }
    return NULL;
}

/* Takes its id out; the caller's. */
static char *group_classic_unpend(struct group_pending *p)
{
    char *id = p->id;
    ASSERT(p->group->pending_count > 0 && id != NULL);
    ASSERT(list_linked(&p->link));
    p->group->pending_count--;
    list_remove(&p->link);
    heap_remove(&p->group->groups->pendings, &p->timer);
    free(p);
    return id;
}

void group_classic_pending_expired(struct group_pending *p)
{
    struct group *g = p->group;
    free(group_classic_unpend(p));
    ASSERT(g->type == BROKER_GROUP_CLASSIC);
    ASSERT(g->pending_count < GROUPS_PENDING_MAX);
    if (g->state == BROKER_GROUP_PREPARING)
        group_generation_try(g);
}

static void group_classic_back_done(struct groups_wait *w, int result)
{
    struct group_generation_save *s = LIST_ENTRY(w, struct group_generation_save, wait);
    struct broker_group *req = s->join;
    struct group *g = group_generation_saved(s, result);
    struct group_member *m = g == NULL ? NULL : group_find_member(g, slice_str(s->member));
    ASSERT(req != NULL);
    ASSERT(s->member != NULL && s->leader != NULL);
    s->join = NULL;
    if (result != 0)
        groups_answer(s->groups, req, BROKER_GROUP_UNAVAILABLE, NULL);
    else if (m == NULL)
        groups_answer(s->groups, req, BROKER_UNKNOWN_MEMBER, NULL);
    else if (g->state != BROKER_GROUP_STABLE)
        groups_answer(s->groups, req, BROKER_REBALANCE, NULL);
    else
        group_generation_joined(m, req, s->tell, s->leader);
    group_generation_save_free(s);
}

/* A static member that is back while nothing else changes: it goes on with what it had. A client
 * that does not know skip_assignment is told of its old id as the leader's, so that it does not
 * divide anything. */
static void group_classic_back(struct group_member *m, struct broker_group *req,
                               const char *old_leader)
{
    struct group *g = m->group;
    ASSERT(g->state == BROKER_GROUP_STABLE && g->leader != NULL);
    ASSERT(m->instance != NULL && old_leader != NULL);
    bool leads = g->leader == m;
    struct group_generation_save *s = group_generation_saving(g);
    s->join = req;
    s->member = (char *)slice_dup(slice_str(m->id));
    s->leader = (char *)slice_dup(slice_str(req->join.may_skip ? g->leader->id : old_leader));
    s->tell = leads && req->join.may_skip;
    req->join.skip_assignment = s->tell;
    s->wait.done = group_classic_back_done;
    g->groups->env.wait(g->groups->env.ctx, &s->wait);
}

static void group_classic_replace(struct group_member *m, struct broker_group *req)
{
    struct group *g = m->group;
    char *old = m->id;
    ASSERT(m->instance != NULL && g->type == BROKER_GROUP_CLASSIC);
    char *old_leader = (char *)slice_dup(slice_str(g->leader == NULL ? "" : g->leader->id));
    group_generation_fail_join(m, BROKER_INSTANCE_FENCED);
    group_generation_fail_sync(m, BROKER_INSTANCE_FENCED);
    (void)map_remove(&g->by_id, slice_str(old));
    m->id = groups_new_id(g->groups, req->instance);
    void *other = map_put(&g->by_id, slice_str(m->id), m);
    ASSERT(other == NULL);
    ASSERT(g->by_id.count == g->member_count);
    free(old);
    group_touch(m, req->join.session_timeout_ms);
    if (g->state == BROKER_GROUP_STABLE && g->leader != NULL) {
        group_generation_update(m, req);
        if (slice_equal(group_generation_choice(g), slice_str(g->protocol)) &&
            slice_equal(req->join.protocol_type, slice_str(g->protocol_type)))
            group_classic_back(m, req, old_leader);
        else
            group_classic_rejoin(m, req, BROKER_GROUP_CAUSE_REPLACED);
    } else {
        group_classic_rejoin(m, req, BROKER_GROUP_CAUSE_REPLACED);
    }
    free(old_leader);
}

static bool group_classic_full(const struct group *g)
{
    int64_t max = groups_config(g->groups, CONFIG_GROUP_SIZE_MAX);
    ASSERT(max > 0);
    ASSERT(g->type == BROKER_GROUP_CLASSIC);
    return g->member_count >= (size_t)max;
}

static void group_classic_join_new(struct group *g, struct broker_group *req)
{
    struct group_member *same = group_find_instance(g, req->instance);
    ASSERT(req->member.size == 0);
    ASSERT(same == NULL || (same->group == g && same->instance != NULL));
    if (!group_generation_fits(g, req, same))
        groups_answer(g->groups, req, BROKER_INCONSISTENT_PROTOCOL, NULL);
    else if (same != NULL)
        group_classic_replace(same, req);
    else if (group_classic_full(g))
        groups_answer(g->groups, req, BROKER_GROUP_FULL, NULL);
    else if (req->instance.p != NULL)
        group_classic_add(g, groups_new_id(g->groups, req->instance), req);
    else if (!req->join.id_required)
        group_classic_add(g, groups_new_id(g->groups, req->client_id), req);
    else if (g->pending_count >= GROUPS_PENDING_MAX)
        groups_answer(g->groups, req, BROKER_BUSY, NULL);
    else
        group_classic_pend(g, req);
}

/* What speaks against a request in the name of this member; BROKER_OK: nothing. */
static enum broker_status group_classic_identify(const struct group *g, struct slice id,
                                                 struct slice instance, struct group_member **out)
{
    struct group_member *m = group_find_member(g, id), *other = group_find_instance(g, instance);
    ASSERT(out != NULL);
    ASSERT(g->type == BROKER_GROUP_CLASSIC);
    *out = m;
    if (instance.p != NULL && other == NULL)
        return BROKER_UNKNOWN_MEMBER;
    if (instance.p != NULL && other != m)
        return BROKER_INSTANCE_FENCED;
    return m == NULL ? BROKER_UNKNOWN_MEMBER : BROKER_OK;
}

static void group_classic_join_known(struct group *g, struct broker_group *req)
{
    ASSERT(req->member.size > 0 && g->type == BROKER_GROUP_CLASSIC);
    struct groups *gs = g->groups;
    struct group_member *m;
    /* Ids are handed out to dynamic members only. */
    struct group_pending *p =
        req->instance.p == NULL ? group_classic_pending(g, req->member) : NULL;
    if (p != NULL && !group_generation_fits(g, req, NULL))
        return groups_answer(gs, req, BROKER_INCONSISTENT_PROTOCOL, NULL);
    if (p != NULL && group_classic_full(g))
        return groups_answer(gs, req, BROKER_GROUP_FULL, NULL);
    if (p != NULL)
        return group_classic_add(g, group_classic_unpend(p), req);
    enum broker_status status = group_classic_identify(g, req->member, req->instance, &m);
    if (status != BROKER_OK)
        return groups_answer(gs, req, status, NULL);
    ASSERT(g->state != BROKER_GROUP_EMPTY);
    if (!group_generation_fits(g, req, m))
        return groups_answer(gs, req, BROKER_INCONSISTENT_PROTOCOL, NULL);
    ASSERT(m != NULL);
    bool leads = g->leader == m, same = group_generation_same(m, &req->join);
    if (g->state == BROKER_GROUP_COMPLETING && same)
        group_generation_joined(m, req, leads, g->leader == NULL ? m->id : g->leader->id);
    else if (g->state == BROKER_GROUP_STABLE && same && !leads && g->leader != NULL)
        group_generation_joined(m, req, false, g->leader->id);
    else
        group_classic_rejoin(m, req, BROKER_GROUP_CAUSE_REJOINED);
}

/* A name that the log keeps, and memory as a C string. */
static bool group_classic_name_ok(struct slice name)
{
    ASSERT(name.p != NULL || name.size == 0);
    return name.size > 0 && name.size <= BROKER_GROUP_NAME_MAX &&
           memchr(name.p, 0, name.size) == NULL;
}

static bool group_classic_names_ok(const struct broker_group_join *j)
{
    bool ok = group_classic_name_ok(j->protocol_type) && j->protocol_count > 0 &&
              j->protocol_count <= BROKER_GROUP_PROTOCOLS_MAX;
    for (size_t i = 0; ok && i < j->protocol_count; i++)
        ok = group_classic_name_ok(j->protocols[i].name);
    ASSERT(!ok || j->protocols != NULL);
    return ok;
}

static bool group_classic_bounds(const struct groups *gs, const struct broker_group *req,
                                 enum broker_status *status)
{
    const struct broker_group_join *j = &req->join;
    int64_t low = groups_config(gs, CONFIG_GROUP_SESSION_MIN_MS);
    int64_t high = groups_config(gs, CONFIG_GROUP_SESSION_MAX_MS);
    size_t bytes = 0;
    for (size_t i = 0; i < j->protocol_count && i < BROKER_GROUP_PROTOCOLS_MAX; i++)
        bytes += j->protocols[i].name.size + j->protocols[i].metadata.size;
    ASSERT(status != NULL);
    ASSERT(j->protocols != NULL || j->protocol_count == 0);
    if (j->session_timeout_ms < low || j->session_timeout_ms > high)
        *status = BROKER_BAD_SESSION_TIMEOUT;
    else if (!group_classic_names_ok(j))
        *status = BROKER_INCONSISTENT_PROTOCOL;
    else if (bytes > BROKER_GROUP_BYTES_MAX)
        *status = BROKER_BUSY;
    else
        return true;
    return false;
}

void group_classic_join(struct groups *gs, struct broker_group *req)
{
    struct group *g = groups_find(gs, req->group);
    enum broker_status status;
    ASSERT(req->op == BROKER_GROUP_JOIN);
    if (!group_classic_bounds(gs, req, &status))
        return groups_answer(gs, req, status, NULL);
    bool empty = g == NULL || (g->type == BROKER_GROUP_CONSUMER && g->member_count == 0);
    if (empty && req->member.size > 0)
        return groups_answer(gs, req, BROKER_UNKNOWN_MEMBER, NULL);
    if (g == NULL)
        g = groups_make(gs, req->group);
    if (g == NULL)
        return groups_answer(gs, req, BROKER_BUSY, "groups.max reached");
    if (g->type == BROKER_GROUP_CONSUMER && g->member_count > 0)
        return groups_answer(gs, req, BROKER_INCONSISTENT_PROTOCOL,
                             "the group's members use the consumer protocol");
    group_become(g, BROKER_GROUP_CLASSIC);
    ASSERT(!g->deleting);
    if (req->member.size == 0)
        group_classic_join_new(g, req);
    else
        group_classic_join_known(g, req);
}

/* --- sync --- */

static void group_classic_stored(struct groups_wait *w, int result)
{
    struct group_generation_save *s = LIST_ENTRY(w, struct group_generation_save, wait);
    struct group *g = group_generation_saved(s, result);
    if (g != NULL && g->state == BROKER_GROUP_COMPLETING && g->storing) {
        g->storing = false;
        if (result == 0) {
            heap_remove(&g->groups->rebalances, &g->timer);
            group_set_state(g, BROKER_GROUP_STABLE);
            group_event_end(g);
        }
        LIST_EACH (node, &g->members) {
            struct group_member *m = LIST_ENTRY(node, struct group_member, link);
            struct broker_group *req = m->syncing;
            ASSERT(req == NULL || req->op == BROKER_GROUP_SYNC);
            if (result != 0) {
                buf_reset(&m->assignment);
                group_generation_fail_sync(m, BROKER_GROUP_UNAVAILABLE);
            } else if (req != NULL) {
                m->syncing = NULL;
                group_generation_synced(m, req);
            }
        }
        ASSERT(g->state == (result == 0 ? BROKER_GROUP_STABLE : BROKER_GROUP_COMPLETING));
    }
    group_generation_save_free(s);
}

/* The leader's word; members it does not name get nothing. */
static void group_classic_store(struct group *g, const struct broker_group_sync *s)
{
    ASSERT(g->state == BROKER_GROUP_COMPLETING && !g->storing);
    ASSERT(g->leader != NULL && g->leader->syncing != NULL);
    LIST_EACH (node, &g->members) {
        buf_reset(&LIST_ENTRY(node, struct group_member, link)->assignment);
    }
    for (size_t i = 0; i < s->assignment_count; i++) {
        struct group_member *m = group_find_member(g, s->assignments[i].member);
        if (m == NULL)
            continue;
        buf_reset(&m->assignment);
        buf_append(&m->assignment, s->assignments[i].assignment.p,
                   s->assignments[i].assignment.size);
    }
    g->storing = true;
    struct group_generation_save *save = group_generation_saving(g);
    save->wait.done = group_classic_stored;
    g->groups->env.wait(g->groups->env.ctx, &save->wait);
}

static void group_classic_sync_completing(struct group_member *m, struct broker_group *req)
{
    ASSERT(m->group->state == BROKER_GROUP_COMPLETING);
    struct group *g = m->group;
    size_t bytes = 0;
    for (size_t i = 0; i < req->sync.assignment_count; i++)
        bytes += req->sync.assignments[i].assignment.size;
    if (bytes > BROKER_GROUP_BYTES_MAX) {
        groups_answer(g->groups, req, BROKER_BUSY, "the assignment is too large");
        return;
    }
    ASSERT(m->joining == NULL);
    group_generation_fail_sync(m, BROKER_REBALANCE); /* the one it sent before */
    m->syncing = req;
    m->unsynced = false;
    if (m == g->leader && !g->storing)
        group_classic_store(g, &req->sync);
}

static bool group_classic_agrees(struct slice told, const char *have)
{
    ASSERT(told.p != NULL || told.size == 0);
    return told.p == NULL || (have != NULL && slice_equal(told, slice_str(have)));
}

void group_classic_sync(struct groups *gs, struct broker_group *req)
{
    struct group *g = groups_find(gs, req->group);
    struct group_member *m = NULL;
    ASSERT(req->op == BROKER_GROUP_SYNC);
    enum broker_status status = g == NULL || g->type != BROKER_GROUP_CLASSIC
                                    ? BROKER_UNKNOWN_MEMBER
                                    : group_classic_identify(g, req->member, req->instance, &m);
    if (status == BROKER_OK && req->generation != g->generation)
        status = BROKER_ILLEGAL_GENERATION;
    if (status == BROKER_OK && (!group_classic_agrees(req->sync.protocol_type, g->protocol_type) ||
                                !group_classic_agrees(req->sync.protocol, g->protocol)))
        status = BROKER_INCONSISTENT_PROTOCOL;
    if (status == BROKER_OK && g->state == BROKER_GROUP_PREPARING)
        status = BROKER_REBALANCE;
    ASSERT(status != BROKER_OK || (m != NULL && m->group == g));
    if (status != BROKER_OK)
        groups_answer(gs, req, status, NULL);
    else if (g->state == BROKER_GROUP_COMPLETING)
        group_classic_sync_completing(m, req);
    else
        group_generation_synced(m, req);
}

/* --- heartbeat, leave, expiry --- */

void group_classic_heartbeat(struct groups *gs, struct broker_group *req)
{
    struct group *g = groups_find(gs, req->group);
    struct group_member *m = NULL;
    ASSERT(req->op == BROKER_GROUP_HEARTBEAT);
    enum broker_status status = g == NULL || g->type != BROKER_GROUP_CLASSIC
                                    ? BROKER_UNKNOWN_MEMBER
                                    : group_classic_identify(g, req->member, req->instance, &m);
    if (status == BROKER_OK && req->generation != g->generation)
        status = BROKER_ILLEGAL_GENERATION;
    if (status == BROKER_OK) {
        ASSERT(m != NULL && m->group == g);
        group_touch(m, m->session_ms);
        if (g->state == BROKER_GROUP_PREPARING)
            status = BROKER_REBALANCE;
    }
    groups_answer(gs, req, status, NULL);
}

static void group_classic_out(struct group_member *m, enum broker_group_cause cause,
                              struct slice reason)
{
    struct group *g = m->group;
    ASSERT(g->type == BROKER_GROUP_CLASSIC);
    char *id = (char *)slice_dup(slice_str(m->id));
    group_generation_fail_join(m, BROKER_UNKNOWN_MEMBER);
    group_generation_fail_sync(m, BROKER_UNKNOWN_MEMBER);
    group_remove_member(m);
    ASSERT(g->state != BROKER_GROUP_EMPTY);
    group_generation_prepare(g, cause, id, reason);
    group_generation_try(g);
    ASSERT(g->state != BROKER_GROUP_STABLE);
    free(id);
}

void group_classic_expired(struct group_member *m)
{
    ASSERT(m->group->type == BROKER_GROUP_CLASSIC);
    ASSERT(m->session.slot == 0); /* it fired */
    if (m->joining != NULL || m->syncing != NULL)
        group_touch(m, m->session_ms);
    else
        group_classic_out(m, BROKER_GROUP_CAUSE_EXPIRED, SLICE_NULL);
}

static enum broker_status group_classic_leaver(struct group *g, const struct broker_group_leaver *l)
{
    struct group_pending *p = group_classic_pending(g, l->member);
    struct group_member *m = NULL, *same = group_find_instance(g, l->instance);
    ASSERT(g->type == BROKER_GROUP_CLASSIC);
    ASSERT(same == NULL || same->group == g);
    if (p != NULL && l->instance.p == NULL) {
        group_classic_pending_expired(p);
        return BROKER_OK;
    }
    enum broker_status status = BROKER_OK;
    if (l->instance.p != NULL && l->member.size == 0)
        m = same;
    else
        status = group_classic_identify(g, l->member, l->instance, &m);
    if (status == BROKER_OK && m == NULL)
        status = BROKER_UNKNOWN_MEMBER;
    if (status == BROKER_OK)
        group_classic_out(m, BROKER_GROUP_CAUSE_LEFT, l->reason);
    return status;
}

static enum broker_status group_classic_consumer_leaver(struct group *g,
                                                        const struct broker_group_leaver *l)
{
    struct group_member *m = l->instance.p != NULL ? group_find_instance(g, l->instance)
                                                   : group_find_member(g, l->member);
    ASSERT(g->type == BROKER_GROUP_CONSUMER);
    ASSERT(m == NULL || m->group == g);
    if (m == NULL)
        return BROKER_UNKNOWN_MEMBER;
    if (l->member.size > 0 && !slice_equal(slice_str(m->id), l->member))
        return BROKER_INSTANCE_FENCED;
    return group_consumer_remove(m);
}

void group_classic_leave(struct groups *gs, struct broker_group *req)
{
    struct group *g = groups_find(gs, req->group);
    ASSERT(req->op == BROKER_GROUP_LEAVE);
    ASSERT(req->leave.leavers != NULL || req->leave.count == 0);
    for (size_t i = 0; i < req->leave.count; i++) {
        struct broker_group_leaver *l = &req->leave.leavers[i];
        if (l->member.p == NULL)
            l->member = slice_str("");
        if (g == NULL)
            l->status = BROKER_UNKNOWN_MEMBER;
        else if (g->type == BROKER_GROUP_CLASSIC)
            l->status = group_classic_leaver(g, l);
        else
            l->status = group_classic_consumer_leaver(g, l);
    }
    groups_answer(gs, req, BROKER_OK, NULL);
}

void group_classic_refuse(struct group *g, enum broker_status status)
{
    ASSERT(status != BROKER_OK);
    LIST_EACH (node, &g->members) {
        struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        ASSERT(m->group == g);
        group_generation_fail_join(m, status);
        group_generation_fail_sync(m, status);
    }
}
