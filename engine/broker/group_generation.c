/* SPDX-License-Identifier: MIT
 *
 * group_generation: the steps of a classic group's rebalance, and what its members are told:
 *
 *   prepare   PREPARING: members have the longest rebalance timeout to join; out of EMPTY, the
 *             initial delay
 *   try       all have joined, no id is out: complete
 *   complete  those who are late go; generation + 1, a leader, a protocol that all have;
 *             COMPLETING, or EMPTY when nobody is left
 *   timer     the time of a step ended
 *   saving    the group's record for the log; `saved` finds the group again once it is there
 *
 * It must not know which request led here: those are group_classic.c's, which also says what the
 * states mean to members. A group may be gone, or a generation on, when its record is on disk.
 */
#include "engine/broker/group_classic_priv.h"

#include <stdlib.h>

#include "engine/base/assert.h"

/* --- answers --- */

void group_generation_fail_join(struct group_member *m, enum broker_status status)
{
    struct broker_group *req = m->joining;
    ASSERT(status != BROKER_OK);
    ASSERT(req == NULL || req->op == BROKER_GROUP_JOIN);
    m->joining = NULL;
    if (req != NULL)
        groups_answer(m->group->groups, req, status, NULL);
}

void group_generation_fail_sync(struct group_member *m, enum broker_status status)
{
    struct broker_group *req = m->syncing;
    ASSERT(status != BROKER_OK);
    ASSERT(req == NULL || req->op == BROKER_GROUP_SYNC);
    m->syncing = NULL;
    if (req != NULL)
        groups_answer(m->group->groups, req, status, NULL);
}

static struct slice group_generation_metadata(const struct group_member *m)
{
    const struct group *g = m->group;
    ASSERT(g->type == BROKER_GROUP_CLASSIC);
    for (size_t i = 0; g->protocol != NULL && i < m->protocol_count; i++)
        if (slice_equal(m->protocols[i].name, slice_str(g->protocol)))
            return m->protocols[i].metadata;
    ASSERT(m->protocols != NULL || m->protocol_count == 0);
    return slice_str("");
}

static void group_generation_tell_members(const struct group *g, struct broker_group *req)
{
    struct broker_group_joined *all = groups_alloc(req, g->member_count, sizeof *all);
    size_t count = 0;
    ASSERT(req->op == BROKER_GROUP_JOIN && g->member_count > 0);
    LIST_EACH (node, &g->members) {
        const struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        ASSERT(count < g->member_count);
        struct broker_group_joined *j = &all[count++];
        j->id = groups_copy(req, slice_str(m->id));
        if (m->instance != NULL)
            j->instance = groups_copy(req, slice_str(m->instance));
        j->metadata = groups_copy(req, group_generation_metadata(m));
    }
    ASSERT(count == g->member_count);
    req->join.members = all;
    req->join.member_count = count;
}

/* What a member learns of the generation. */
void group_generation_joined(struct group_member *m, struct broker_group *req, bool tell,
                             const char *leader)
{
    const struct group *g = m->group;
    ASSERT(g->protocol != NULL && leader != NULL);
    ASSERT(req->op == BROKER_GROUP_JOIN && m->joining == NULL); /* G4 */
    req->join.protocol = groups_copy(req, slice_str(g->protocol));
    req->join.leader = groups_copy(req, slice_str(leader));
    req->join.member = groups_copy(req, slice_str(m->id));
    req->join.generation = g->generation;
    if (tell)
        group_generation_tell_members(g, req);
    group_touch(m, m->session_ms);
    groups_answer(g->groups, req, BROKER_OK, NULL);
}

void group_generation_synced(struct group_member *m, struct broker_group *req)
{
    const struct group *g = m->group;
    ASSERT(req->op == BROKER_GROUP_SYNC && g->protocol != NULL);
    ASSERT(m->syncing == NULL && g->state == BROKER_GROUP_STABLE); /* G4 */
    m->unsynced = false;
    req->sync.protocol_type = groups_copy(req, slice_str(g->protocol_type));
    req->sync.protocol = groups_copy(req, slice_str(g->protocol));
    req->sync.assignment = groups_copy(req, buf_slice(&m->assignment));
    group_touch(m, m->session_ms);
    groups_answer(g->groups, req, BROKER_OK, NULL);
}

/* --- protocols --- */

static bool group_generation_has(const struct group_member *m, struct slice protocol)
{
    ASSERT(protocol.p != NULL);
    ASSERT(m->protocols != NULL || m->protocol_count == 0);
    for (size_t i = 0; i < m->protocol_count; i++)
        if (slice_equal(m->protocols[i].name, protocol))
            return true;
    return false;
}

static bool group_generation_all_have(const struct group *g, struct slice protocol,
                                      const struct group_member *but)
{
    ASSERT(g->type == BROKER_GROUP_CLASSIC);
    ASSERT(but == NULL || but->group == g);
    LIST_EACH (node, &g->members) {
        ASSERT(node != NULL);
        const struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        if (m != but && !group_generation_has(m, protocol))
            return false;
    }
    return true;
}

/* One protocol at least that everybody else has. */
bool group_generation_fits(const struct group *g, const struct broker_group *req,
                           const struct group_member *but)
{
    const struct broker_group_join *j = &req->join;
    ASSERT(j->protocol_count > 0);
    ASSERT(j->protocol_count <= BROKER_GROUP_PROTOCOLS_MAX);
    if (g->member_count == (but != NULL))
        return true;
    ASSERT(g->protocol_type != NULL); /* it has members */
    if (!slice_equal(slice_str(g->protocol_type), j->protocol_type))
        return false;
    for (size_t i = 0; i < j->protocol_count; i++)
        if (group_generation_all_have(g, j->protocols[i].name, but))
            return true;
    return false;
}

static size_t group_generation_votes(const struct group *g, struct slice protocol)
{
    size_t votes = 0;
    ASSERT(g->member_count > 0 && protocol.p != NULL);
    LIST_EACH (node, &g->members) {
        const struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        for (size_t i = 0; i < m->protocol_count; i++) {
            if (!group_generation_all_have(g, m->protocols[i].name, NULL))
                continue;
            votes += slice_equal(m->protocols[i].name, protocol);
            break;
        }
    }
    ASSERT(votes <= g->member_count);
    return votes;
}

/* Each member votes for the first of its protocols that all have; among equals the one that the
 * longest member lists first. */
struct slice group_generation_choice(const struct group *g)
{
    ASSERT(!list_empty(&g->members));
    const struct group_member *first = LIST_ENTRY(g->members.next, struct group_member, link);
    struct slice best = SLICE_NULL;
    size_t most = 0;
    for (size_t i = 0; i < first->protocol_count; i++) {
        struct slice name = first->protocols[i].name;
        size_t votes =
            group_generation_all_have(g, name, NULL) ? group_generation_votes(g, name) + 1 : 0;
        if (votes > most) {
            best = name;
            most = votes;
        }
    }
    ASSERT(best.p != NULL); /* each that joined fits the others */
    return best;
}

bool group_generation_same(const struct group_member *m, const struct broker_group_join *j)
{
    ASSERT(j->protocols != NULL);
    ASSERT(j->protocol_count > 0 && j->protocol_count <= BROKER_GROUP_PROTOCOLS_MAX);
    if (m->protocol_count != j->protocol_count ||
        !slice_equal(slice_str(m->group->protocol_type), j->protocol_type))
        return false;
    for (size_t i = 0; i < j->protocol_count; i++)
        if (!slice_equal(m->protocols[i].name, j->protocols[i].name) ||
            !slice_equal(m->protocols[i].metadata, j->protocols[i].metadata))
            return false;
    return true;
}

static struct slice group_generation_keep(uint8_t **at, struct slice s)
{
    struct slice kept = slice_of(*at, s.size);
    ASSERT(*at != NULL);
    ASSERT(s.p != NULL || s.size == 0);
    if (s.size > 0)
        memcpy(*at, s.p, s.size);
    *at += s.size;
    return kept;
}

/* What the member says of itself with every join. */
void group_generation_update(struct group_member *m, const struct broker_group *req)
{
    const struct broker_group_join *j = &req->join;
    size_t size = 1, count = j->protocol_count;
    ASSERT(count > 0 && count <= BROKER_GROUP_PROTOCOLS_MAX);
    for (size_t i = 0; i < count; i++)
        size += j->protocols[i].name.size + j->protocols[i].metadata.size;
    uint8_t *bytes = assert_memory(malloc(size), size), *at = bytes;
    struct group_protocol *all = assert_memory(calloc(count, sizeof *all), count * sizeof *all);
    for (size_t i = 0; i < count; i++) {
        all[i].name = group_generation_keep(&at, j->protocols[i].name);
        all[i].metadata = group_generation_keep(&at, j->protocols[i].metadata);
    }
    ASSERT(at + 1 == bytes + size);
    free(m->protocols);
    free(m->protocol_bytes);
    m->protocols = all;
    m->protocol_bytes = bytes;
    m->protocol_count = count;
    m->session_ms = j->session_timeout_ms;
    m->rebalance_ms = j->rebalance_timeout_ms < 0 ? j->session_timeout_ms : j->rebalance_timeout_ms;
    ASSERT(m->session_ms > 0 && m->rebalance_ms >= 0);
}

/* --- a generation --- */

static int64_t group_generation_rebalance_ms(const struct group *g)
{
    int64_t longest = 1;
    ASSERT(g->type == BROKER_GROUP_CLASSIC);
    LIST_EACH (node, &g->members) {
        const struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        ASSERT(m->group == g && m->rebalance_ms >= 0);
        longest = m->rebalance_ms > longest ? m->rebalance_ms : longest;
    }
    return longest;
}

static void group_generation_deadline(struct group *g, int64_t after_ms)
{
    ASSERT(after_ms >= 0);
    ASSERT(g->state == BROKER_GROUP_PREPARING || g->state == BROKER_GROUP_COMPLETING);
    heap_set(&g->groups->rebalances, &g->timer, g->groups->now + after_ms);
}

struct group_generation_save *group_generation_saving(struct group *g)
{
    struct group_generation_save *s = assert_memory(calloc(1, sizeof *s), sizeof *s);
    ASSERT(g->type == BROKER_GROUP_CLASSIC);
    ASSERT(!g->groups->loading && !g->deleting);
    s->groups = g->groups;
    s->name = (char *)slice_dup(slice_str(g->name));
    s->generation = g->generation;
    s->gone = g->gone_count;
    groups_save_classic(g);
    ASSERT(g->recorded && !g->unsaved);
    return s;
}

struct group *group_generation_saved(struct group_generation_save *s, int result)
{
    struct group *g = groups_find(s->groups, slice_str(s->name));
    ASSERT(s->name != NULL);
    ASSERT(g == NULL || g->groups == s->groups);
    if (g != NULL && result != 0)
        g->unsaved = true;
    else if (g != NULL && !g->unsaved && s->gone <= g->gone_count)
        groups_saved_gone(g, s->gone);
    return g == NULL || g->type != BROKER_GROUP_CLASSIC || g->generation != s->generation ? NULL
                                                                                          : g;
}

void group_generation_save_free(struct group_generation_save *s)
{
    ASSERT(s->join == NULL);
    ASSERT(s->name != NULL && s->groups != NULL);
    free(s->name);
    free(s->member);
    free(s->leader);
    free(s);
}

static void group_generation_emptied_done(struct groups_wait *w, int result)
{
    struct group_generation_save *s = LIST_ENTRY(w, struct group_generation_save, wait);
    ASSERT(s->join == NULL);
    ASSERT(s->member == NULL && s->leader == NULL);
    (void)group_generation_saved(s, result);
    group_generation_save_free(s);
}

static void group_generation_emptied(struct group *g)
{
    ASSERT(g->member_count == 0);
    ASSERT(g->state == BROKER_GROUP_PREPARING && g->leader == NULL);
    heap_remove(&g->groups->rebalances, &g->timer);
    free(g->protocol);
    g->protocol = NULL;
    group_set_state(g, BROKER_GROUP_EMPTY);
    group_event_end(g);
    struct group_generation_save *s = group_generation_saving(g);
    s->wait.done = group_generation_emptied_done;
    g->groups->env.wait(g->groups->env.ctx, &s->wait);
}

/* Those who are not back are out, but for static members, which have their session's time. */
static void group_generation_drop_late(struct group *g)
{
    ASSERT(g->state == BROKER_GROUP_PREPARING);
    LIST_EACH_SAFE (node, &g->members) {
        struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        ASSERT(m->group == g && m->syncing == NULL); /* G2: only COMPLETING parks syncs */
        if (m->joining == NULL && m->instance == NULL)
            group_remove_member(m);
    }
}

static struct group_member *group_generation_elect(struct group *g)
{
    ASSERT(g->state == BROKER_GROUP_PREPARING);
    if (g->leader != NULL && g->leader->joining != NULL)
        return g->leader;
    LIST_EACH (node, &g->members) {
        struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        ASSERT(m->group == g);
        if (m->joining != NULL)
            return m;
    }
    return NULL;
}

static void group_generation_start(struct group *g)
{
    ASSERT(g->leader != NULL && g->leader->joining != NULL);
    ASSERT(g->state == BROKER_GROUP_PREPARING && g->type == BROKER_GROUP_CLASSIC);
    struct slice protocol = group_generation_choice(g);
    free(g->protocol);
    g->protocol = (char *)slice_dup(protocol);
    group_set_state(g, BROKER_GROUP_COMPLETING);
    g->storing = false;
    group_generation_deadline(g, group_generation_rebalance_ms(g));
    LIST_EACH (node, &g->members) {
        struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        struct broker_group *req = m->joining;
        m->joining = NULL;
        ASSERT(m->syncing == NULL);
        m->unsynced = req != NULL;
        buf_reset(&m->assignment);
        if (req != NULL)
            group_generation_joined(m, req, m == g->leader, g->leader->id);
    }
    ASSERT(g->timer.slot != 0); /* G3 */
}

static void group_generation_complete(struct group *g)
{
    ASSERT(g->state == BROKER_GROUP_PREPARING);
    group_generation_drop_late(g);
    struct group_member *leader = group_generation_elect(g);
    ASSERT(leader == NULL || leader->joining != NULL);
    if (leader == NULL && g->member_count > 0) { /* static members, all of them away */
        group_generation_deadline(g, group_generation_rebalance_ms(g));
        return;
    }
    g->initial = false;
    g->generation = g->generation == INT32_MAX ? 1 : g->generation + 1;
    g->leader = leader;
    if (leader == NULL)
        group_generation_emptied(g);
    else
        group_generation_start(g);
    ASSERT(g->state == BROKER_GROUP_COMPLETING || g->state == BROKER_GROUP_EMPTY);
}

void group_generation_try(struct group *g)
{
    ASSERT(g->state == BROKER_GROUP_PREPARING);
    ASSERT(g->timer.slot != 0); /* G3 */
    if (g->initial && g->member_count > 0)
        return;
    if (g->pending_count > 0)
        return;
    LIST_EACH (node, &g->members) {
        if (LIST_ENTRY(node, struct group_member, link)->joining == NULL)
            return;
    }
    group_generation_complete(g);
}

void group_generation_prepare(struct group *g, enum broker_group_cause cause, const char *member,
                              struct slice reason)
{
    int64_t delay = groups_config(g->groups, CONFIG_GROUP_INITIAL_DELAY_MS);
    ASSERT(g->type == BROKER_GROUP_CLASSIC);
    ASSERT((unsigned)cause < BROKER_GROUP_CAUSE_COUNT);
    if (g->state == BROKER_GROUP_PREPARING)
        return;
    bool initial = g->state == BROKER_GROUP_EMPTY && delay > 0;
    LIST_EACH (node, &g->members) {
        struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        group_generation_fail_sync(m, BROKER_REBALANCE);
        if (g->state == BROKER_GROUP_COMPLETING)
            buf_reset(&m->assignment);
    }
    group_event_begin(g, cause, member, reason);
    group_set_state(g, BROKER_GROUP_PREPARING);
    g->storing = false;
    g->initial = initial;
    g->more_came = false;
    int64_t longest = group_generation_rebalance_ms(g);
    g->initial_left_ms = longest > delay ? longest - delay : 0;
    group_generation_deadline(g, initial ? delay : longest);
    ASSERT(g->timer.slot != 0 && g->initial_left_ms >= 0);
}

void group_generation_timer(struct group *g)
{
    int64_t delay = groups_config(g->groups, CONFIG_GROUP_INITIAL_DELAY_MS);
    ASSERT(g->state == BROKER_GROUP_PREPARING || g->state == BROKER_GROUP_COMPLETING);
    ASSERT(g->type == BROKER_GROUP_CLASSIC && g->timer.slot == 0); /* it fired */
    if (g->state == BROKER_GROUP_PREPARING) {
        if (g->initial && g->more_came && g->initial_left_ms > 0) {
            delay = delay < g->initial_left_ms ? delay : g->initial_left_ms;
            g->initial_left_ms -= delay;
            g->more_came = false;
            group_generation_deadline(g, delay);
        } else {
            group_generation_complete(g);
        }
        return;
    }
    group_generation_deadline(g, group_generation_rebalance_ms(g));
    if (g->storing) /* the disk's time, not the members' */
        return;
    char *late = NULL;
    LIST_EACH_SAFE (node, &g->members) {
        struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        if (!m->unsynced || m->syncing != NULL)
            continue;
        free(late);
        late = (char *)slice_dup(slice_str(m->id));
        group_remove_member(m);
    }
    group_generation_prepare(g, BROKER_GROUP_CAUSE_LATE, late, SLICE_NULL);
    free(late);
    group_generation_try(g);
}
