/* SPDX-License-Identifier: MIT
 *
 * group_consumer: groups whose assignment the broker computes (KIP-848). A member sends one call,
 * the heartbeat, with what it wants and has; the answer says its epoch and what it should have.
 *
 *   group epoch    + 1 with each change of members, subscriptions or topics
 *   target         the assignment computed for an epoch (group_target.c)
 *   member epoch   how far the member has followed: its target's epoch when it gave up what it had
 *                  to
 *
 * A member follows in steps of its own, without a common pause:
 *
 *     STABLE --target changed--> UNREVOKED --does not report them any more--> UNRELEASED | STABLE
 *        \________________________________________________________________________^
 *                    nothing to give up: takes what is free at once
 *
 *   UNREVOKED    answers lack what it has to give up; it stays at its epoch until its heartbeat
 *                shows that it did, at most for its rebalance timeout: then it is out
 *   UNRELEASED   at the new epoch, but some of its target is still in other hands
 *
 * A partition is handed out only when no other member has it or has yet to give it up, so that it
 * never has two owners. While a group is on its way members are asked to come back sooner.
 *
 * Source: KIP-848, "Rebalance Process" and "ConsumerGroupHeartbeat API".
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/assignor.h"
#include "engine/broker/groups.h"

#define GROUP_CONSUMER_TOPICS_MAX 10000
#define GROUP_CONSUMER_OWNED_MAX  200000
#define GROUP_CONSUMER_HURRY      10 /* a tenth of the interval while a group is on its way */

/* --- epochs --- */

static void group_consumer_bump(struct group *g, enum broker_group_cause cause, const char *member)
{
    ASSERT(g->type == BROKER_GROUP_CONSUMER && g->generation >= 0);
    g->generation = g->generation == INT32_MAX ? 1 : g->generation + 1;
    ASSERT(g->generation > 0);
    g->new_epoch = true;
    group_event_begin(g, cause, member, SLICE_NULL);
}

void group_consumer_settle(struct group *g)
{
    enum broker_group_state state = BROKER_GROUP_STABLE;
    ASSERT(g->type == BROKER_GROUP_CONSUMER);
    if (g->member_count == 0)
        state = BROKER_GROUP_EMPTY;
    else if (g->generation != g->target_epoch)
        state = BROKER_GROUP_ASSIGNING;
    LIST_EACH (node, &g->members) {
        const struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        if (state == BROKER_GROUP_STABLE && !m->away &&
            (m->state != GROUP_MEMBER_STABLE || m->epoch != g->target_epoch))
            state = BROKER_GROUP_RECONCILING;
    }
    group_set_state(g, state);
    if (state == BROKER_GROUP_STABLE || state == BROKER_GROUP_EMPTY)
        group_event_end(g);
    ASSERT((g->state == BROKER_GROUP_EMPTY) == (g->member_count == 0)); /* G2 */
}

/* --- one member's next step --- */

static bool group_consumer_taken(const struct group *g, const struct group_member *by,
                                 struct group_tp tp)
{
    ASSERT(by->group == g);
    ASSERT(tp.topic != NULL && tp.partition >= 0);
    LIST_EACH (node, &g->members) {
        const struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        if (m != by && (group_set_has(&m->assigned, tp) || group_set_has(&m->revoking, tp)))
            return true;
    }
    return false;
}

static void group_consumer_advance(struct group_member *m, enum group_member_state state,
                                   int32_t epoch, struct group_set *assigned)
{
    struct groups *gs = m->group->groups;
    ASSERT((unsigned)state < GROUP_MEMBER_STATE_COUNT && epoch >= 0);
    ASSERT(state != GROUP_MEMBER_UNREVOKED || m->revoking.count > 0);
    if (m->epoch != epoch)
        m->previous_epoch = m->epoch < 0 ? 0 : m->epoch;
    m->new_current = m->new_current || m->epoch != epoch || m->state != state ||
                     !group_set_equal(&m->assigned, assigned);
    m->epoch = epoch;
    m->state = state;
    group_set_move(&m->assigned, assigned);
    if (state == GROUP_MEMBER_UNREVOKED) {
        heap_set(&gs->revocations, &m->revocation, gs->now + m->rebalance_ms);
    } else {
        heap_remove(&gs->revocations, &m->revocation);
        group_set_clear(&m->revoking);
    }
    ASSERT((m->revocation.slot != 0) == (state == GROUP_MEMBER_UNREVOKED)); /* G3 */
}

/* What of its target it can have now. */
static void group_consumer_next(struct group_member *m, const struct group_set *owned)
{
    const struct group *g = m->group;
    struct group_set keep = {0}, give = {0}, want = {0};
    bool waits = false;
    group_set_both(&m->assigned, &m->target, &keep);
    group_set_minus(&m->assigned, &m->target, &give);
    group_set_minus(&m->target, &m->assigned, &want);
    ASSERT(keep.count + give.count == m->assigned.count);
    ASSERT(keep.count + want.count == m->target.count);
    if (give.count > 0 && (owned == NULL || group_set_meets(owned, &give))) {
        group_set_move(&m->revoking, &give);
        m->new_current = true;
        group_consumer_advance(m, GROUP_MEMBER_UNREVOKED, m->epoch < 0 ? 0 : m->epoch, &keep);
    } else {
        for (size_t i = 0; i < want.count; i++) {
            if (group_consumer_taken(g, m, want.v[i]))
                waits = true;
            else
                group_set_push(&keep, want.v[i]);
        }
        group_set_settle(&keep);
        group_consumer_advance(m, waits ? GROUP_MEMBER_UNRELEASED : GROUP_MEMBER_STABLE,
                               g->target_epoch, &keep);
    }
    ASSERT(m->assigned.count <= m->target.count);
    group_set_deinit(&keep);
    group_set_deinit(&give);
    group_set_deinit(&want);
}

static void group_consumer_reconcile(struct group_member *m, const struct group_set *owned)
{
    ASSERT(m->group->target_epoch == m->group->generation);
    ASSERT(!m->away);
    switch (m->state) {
    case GROUP_MEMBER_STABLE:
        if (m->epoch != m->group->target_epoch)
            group_consumer_next(m, owned);
        break;
    case GROUP_MEMBER_UNREVOKED:
        if (owned != NULL && !group_set_meets(owned, &m->revoking)) {
            group_set_clear(&m->revoking);
            m->new_current = true;
            group_consumer_next(m, owned);
        }
        break;
    case GROUP_MEMBER_UNRELEASED:
        group_consumer_next(m, owned);
        break;
    }
}

/* --- answers --- */

struct group_consumer_answer {
    struct groups_wait wait;
    struct groups *groups;
    struct broker_group *req; /* NULL: nobody waits for it */
    char *name;               /* owned */
    uint64_t gone;            /* group.gone_count: what is on disk with it */
};

static void group_consumer_saved(struct groups_wait *w, int result)
{
    struct group_consumer_answer *a = LIST_ENTRY(w, struct group_consumer_answer, wait);
    struct group *g = groups_find(a->groups, slice_str(a->name));
    ASSERT(a->name != NULL);
    ASSERT(a->req == NULL || a->req->op == BROKER_GROUP_BEAT);
    if (result != 0 && g != NULL)
        g->unsaved = true;
    else if (g != NULL && !g->unsaved && a->gone <= g->gone_count)
        groups_saved_gone(g, a->gone);
    if (a->req != NULL)
        groups_answer(a->groups, a->req, result == 0 ? BROKER_OK : BROKER_GROUP_UNAVAILABLE, NULL);
    free(a->name);
    free(a);
}

/* Writes down what is new; the answer leaves after that, and also when nothing is new: what it says
 * may rest on changes that are still on their way to the disk. `req` NULL: nobody asked. */
static void group_consumer_answer(struct group *g, struct broker_group *req)
{
    struct groups *gs = g->groups;
    groups_save_consumer(g);
    ASSERT(!g->unsaved && !g->new_epoch && !g->new_target_epoch);
    struct group_consumer_answer *a = assert_memory(calloc(1, sizeof *a), sizeof *a);
    a->groups = gs;
    a->req = req;
    a->name = (char *)slice_dup(slice_str(g->name));
    a->gone = g->gone_count;
    a->wait.done = group_consumer_saved;
    ASSERT(g->name[0] != '\0');
    gs->env.wait(gs->env.ctx, &a->wait);
}

static void group_consumer_tell(const struct group_member *m, struct broker_group *req)
{
    const struct group_set *s = &m->assigned;
    struct broker_group_topic *all = groups_alloc(req, s->count, sizeof *all);
    int32_t *numbers = groups_alloc(req, s->count, sizeof *numbers);
    size_t count = 0;
    ASSERT(req->op == BROKER_GROUP_BEAT);
    for (size_t i = 0; i < s->count; i++) {
        const struct group_topic *t = s->v[i].topic;
        numbers[i] = s->v[i].partition;
        if (i == 0 || s->v[i - 1].topic != t) {
            struct broker_group_topic *out = &all[count++];
            out->name = groups_copy(req, slice_str(t->name));
            memcpy(out->id, t->id, sizeof out->id);
            out->partitions = &numbers[i];
        }
        ASSERT(count > 0);
        all[count - 1].count++;
    }
    ASSERT(count <= s->count);
    req->beat.has_assignment = true;
    req->beat.assignment = all;
    req->beat.assignment_count = count;
}

static void group_consumer_fill(const struct group_member *m, struct broker_group *req, bool tell)
{
    const struct group *g = m->group;
    int64_t every = groups_config(g->groups, CONFIG_GROUP_CONSUMER_HEARTBEAT_MS);
    if (g->state != BROKER_GROUP_STABLE)
        every = every / GROUP_CONSUMER_HURRY > 0 ? every / GROUP_CONSUMER_HURRY : 1;
    ASSERT(every > 0 && every <= INT32_MAX);
    ASSERT(g->target_epoch == g->generation);
    req->beat.member = groups_copy(req, slice_str(m->id));
    req->beat.epoch = m->epoch;
    req->beat.interval_ms = (int32_t)every;
    if (tell)
        group_consumer_tell(m, req);
}

/* --- leaving --- */

static void group_consumer_out(struct group_member *m, enum broker_group_cause cause)
{
    struct group *g = m->group;
    char *id = (char *)slice_dup(slice_str(m->id));
    groups_save_gone(m);
    group_remove_member(m);
    ASSERT(g->type == BROKER_GROUP_CONSUMER);
    ASSERT(g->leader == NULL && !g->deleting);
    group_consumer_bump(g, cause, id);
    if (g->member_count == 0) { /* nobody to compute one for */
        g->target_epoch = g->generation;
        g->new_target_epoch = true;
    }
    group_consumer_settle(g);
    free(id);
}

enum broker_status group_consumer_remove(struct group_member *m)
{
    ASSERT(m->group->type == BROKER_GROUP_CONSUMER);
    struct group *g = m->group;
    group_consumer_out(m, BROKER_GROUP_CAUSE_LEFT);
    group_consumer_answer(g, NULL);
    ASSERT(g->member_count == g->by_id.count);
    return BROKER_OK;
}

void group_consumer_expired(struct group_member *m)
{
    ASSERT(m->session.slot == 0); /* it fired */
    struct group *g = m->group;
    group_consumer_out(m, BROKER_GROUP_CAUSE_EXPIRED);
    ASSERT(g->member_count == g->by_id.count);
    group_consumer_answer(g, NULL);
}

void group_consumer_revocation_late(struct group_member *m)
{
    struct group *g = m->group;
    ASSERT(m->state == GROUP_MEMBER_UNREVOKED);
    ASSERT(m->revocation.slot == 0); /* it fired */
    group_consumer_out(m, BROKER_GROUP_CAUSE_LATE);
    group_consumer_answer(g, NULL);
}

static void group_consumer_leave(struct group_member *m, struct broker_group *req)
{
    struct group *g = m->group;
    req->beat.member = groups_copy(req, slice_str(m->id));
    req->beat.epoch = req->generation;
    if (req->generation == BROKER_GROUP_EPOCH_LEAVE) {
        group_consumer_out(m, BROKER_GROUP_CAUSE_LEFT);
        group_consumer_answer(g, req);
        return;
    }
    ASSERT(req->generation == BROKER_GROUP_EPOCH_LEAVE_STATIC);
    ASSERT(m->instance != NULL);
    if (m->state == GROUP_MEMBER_UNREVOKED) /* what it was to give up, it has given up */
        heap_remove(&g->groups->revocations, &m->revocation);
    group_set_clear(&m->revoking);
    ASSERT(m->revocation.slot == 0);
    m->state = GROUP_MEMBER_STABLE;
    m->previous_epoch = m->epoch;
    m->epoch = BROKER_GROUP_EPOCH_LEAVE_STATIC;
    m->away = true;
    m->new_current = true;
    group_touch(m, m->session_ms);
    group_consumer_settle(g);
    group_consumer_answer(g, req);
}

/* --- subscriptions --- */

static int group_consumer_name_order(const void *x, const void *y)
{
    return strcmp(*(char *const *)x, *(char *const *)y);
}

/* Sorted, each once. */
static char **group_consumer_names(const struct slice *names, size_t count, size_t *out)
{
    size_t kept = 0, size = (count + 1) * sizeof(char *);
    char **all = assert_memory(calloc(1, size), size);
    ASSERT(names != NULL || count == 0);
    for (size_t i = 0; i < count; i++)
        all[i] = (char *)slice_dup(names[i]);
    qsort(all, count, sizeof *all, group_consumer_name_order);
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && strcmp(all[kept - 1], all[i]) == 0)
            free(all[i]);
        else
            all[kept++] = all[i];
    }
    ASSERT(kept <= count);
    *out = kept;
    return all;
}

static bool group_consumer_new_topics(struct group_member *m, const struct broker_group_beat *b)
{
    ASSERT(b->topics != NULL);
    size_t count;
    char **names = group_consumer_names(b->topics, b->topic_count, &count);
    bool same = count == m->topic_count;
    for (size_t i = 0; same && i < count; i++)
        same = strcmp(names[i], m->topics[i]) == 0;
    char **old = same ? names : m->topics;
    size_t old_count = same ? count : m->topic_count;
    for (size_t i = 0; i < old_count; i++)
        free(old[i]);
    free(old);
    if (!same) {
        m->topics = names;
        m->topic_count = count;
    }
    ASSERT(m->topics != NULL || m->topic_count == 0);
    return !same;
}

/* Replaces an owned string; empty is none. True when that changed it. */
static bool group_consumer_new_string(char **have, struct slice s)
{
    bool none = s.size == 0;
    ASSERT(s.p != NULL);
    if (none ? *have == NULL : *have != NULL && slice_equal(slice_str(*have), s))
        return false;
    free(*have);
    *have = none ? NULL : (char *)slice_dup(s);
    ASSERT((*have == NULL) == none);
    return true;
}

/* Takes what the heartbeat says; true when the member wants something else now. */
static bool group_consumer_subscribe(struct group_member *m, const struct broker_group *req)
{
    ASSERT(req->op == BROKER_GROUP_BEAT);
    const struct broker_group_beat *b = &req->beat;
    bool wants = false, said = false;
    if (b->topics != NULL)
        wants = group_consumer_new_topics(m, b);
    if (b->regex.p != NULL)
        wants = group_consumer_new_string(&m->regex, b->regex) || wants;
    if (b->assignor.p != NULL)
        wants = group_consumer_new_string(&m->assignor, b->assignor) || wants;
    if (b->rack.p != NULL)
        said = group_consumer_new_string(&m->rack, b->rack);
    if (b->rebalance_timeout_ms > 0 && b->rebalance_timeout_ms != m->rebalance_ms) {
        m->rebalance_ms = b->rebalance_timeout_ms;
        said = true;
    }
    if (req->client_id.p != NULL && !slice_equal(req->client_id, slice_str(m->client_id))) {
        free(m->client_id);
        m->client_id = (char *)slice_dup(req->client_id);
        said = true;
    }
    if (wants || said)
        m->new_subscription = true;
    ASSERT(m->rebalance_ms > 0);
    return wants;
}

/* --- who is it? --- */

static void group_consumer_rename(struct group_member *m, struct slice id)
{
    struct group *g = m->group;
    ASSERT(m->away && m->instance != NULL);
    groups_save_gone(m);
    (void)map_remove(&g->by_id, slice_str(m->id));
    free(m->id);
    m->id = (char *)slice_dup(id);
    void *other = map_put(&g->by_id, slice_str(m->id), m);
    ASSERT(other == NULL);
    m->new_subscription = m->new_target = m->new_current = true;
}

/* A member that was away goes on: its target waited for it, there is nothing to rebalance. */
static void group_consumer_back(struct group_member *m)
{
    ASSERT(m->group->type == BROKER_GROUP_CONSUMER);
    if (!m->away)
        return;
    m->away = false;
    m->previous_epoch = 0;
    m->epoch = 0;
    m->new_current = true;
}

static bool group_consumer_full(const struct group *g)
{
    int64_t max = groups_config(g->groups, CONFIG_GROUP_CONSUMER_SIZE_MAX);
    ASSERT(max > 0);
    ASSERT(g->type == BROKER_GROUP_CONSUMER);
    return g->member_count >= (size_t)max;
}

/* A member that joins: new, again, or back (*cause is set where that changes the group). */
static enum broker_status group_consumer_admit(struct group *g, const struct broker_group *req,
                                               struct group_member **out,
                                               enum broker_group_cause *cause)
{
    struct group_member *same = group_find_instance(g, req->instance);
    struct group_member *m = group_find_member(g, req->member);
    ASSERT(req->generation == BROKER_GROUP_EPOCH_JOIN);
    ASSERT(req->member.size > 0 && g->type == BROKER_GROUP_CONSUMER);
    if (same != NULL && same != m && !same->away)
        return BROKER_INSTANCE_HELD;
    if (same != NULL) {
        if (same != m && m != NULL)
            return BROKER_INSTANCE_HELD; /* the id is another member's */
        if (same != m)
            group_consumer_rename(same, req->member);
        group_consumer_back(same);
        *out = same;
        return BROKER_OK;
    }
    if (m != NULL && req->instance.p != NULL)
        return BROKER_INSTANCE_FENCED;
    if (m == NULL && group_consumer_full(g))
        return BROKER_GROUP_FULL;
    if (m == NULL) {
        m = group_add_member(g, (char *)slice_dup(req->member), req);
        m->rebalance_ms = 1; /* until it is told: the next step */
        m->new_subscription = m->new_target = m->new_current = true;
        *cause = BROKER_GROUP_CAUSE_JOINED;
    }
    group_consumer_back(m); /* by its id alone */
    *out = m;
    return BROKER_OK;
}

static enum broker_status group_consumer_known(struct group *g, const struct broker_group *req,
                                               const struct group_set *owned,
                                               struct group_member **out)
{
    struct group_member *m = group_find_member(g, req->member);
    struct group_member *same = group_find_instance(g, req->instance);
    ASSERT(out != NULL);
    ASSERT(req->generation != BROKER_GROUP_EPOCH_JOIN);
    if (req->instance.p != NULL && same == NULL)
        return BROKER_UNKNOWN_MEMBER;
    if (req->instance.p != NULL && same != m)
        return BROKER_INSTANCE_FENCED;
    if (m == NULL)
        return BROKER_UNKNOWN_MEMBER;
    *out = m;
    if (req->generation < 0)
        return BROKER_OK;
    if (m->away || req->generation > m->epoch)
        return BROKER_MEMBER_EPOCH_FENCED;
    if (req->generation < m->epoch && (req->generation != m->previous_epoch || owned == NULL ||
                                       !group_set_within(owned, &m->assigned)))
        return BROKER_MEMBER_EPOCH_FENCED; /* an answer was lost, and it has what it may not */
    return BROKER_OK;
}

/* --- the heartbeat --- */

static bool group_consumer_names_fit(const struct broker_group_beat *b)
{
    ASSERT(b->topics != NULL || b->topic_count == 0);
    ASSERT(b->owned != NULL || b->owned_count == 0);
    if (b->topic_count > GROUP_CONSUMER_TOPICS_MAX || b->owned_count > GROUP_CONSUMER_TOPICS_MAX)
        return false;
    for (size_t i = 0; i < b->topic_count; i++)
        if (b->topics[i].size == 0 || b->topics[i].size > BROKER_GROUP_NAME_MAX ||
            memchr(b->topics[i].p, 0, b->topics[i].size) != NULL)
            return false;
    size_t owned = 0;
    for (size_t i = 0; i < b->owned_count; i++) {
        if (b->owned[i].count > GROUP_CONSUMER_OWNED_MAX - owned)
            return false;
        owned += b->owned[i].count;
    }
    ASSERT(owned <= GROUP_CONSUMER_OWNED_MAX);
    return true;
}

/* Kept as C strings. */
static bool group_consumer_texts_fit(const struct broker_group_beat *b)
{
    ASSERT(b->rack.p != NULL || b->rack.size == 0);
    ASSERT(b->regex.p != NULL || b->regex.size == 0);
    return b->rack.size <= BROKER_GROUP_NAME_MAX && b->regex.size <= BROKER_GROUP_NAME_MAX * 4 &&
           (b->rack.size == 0 || memchr(b->rack.p, 0, b->rack.size) == NULL) &&
           (b->regex.size == 0 || memchr(b->regex.p, 0, b->regex.size) == NULL);
}

/* NULL: well formed. */
static const char *group_consumer_fault(const struct broker_group *req)
{
    const struct broker_group_beat *b = &req->beat;
    ASSERT(req->op == BROKER_GROUP_BEAT);
    if (req->generation < BROKER_GROUP_EPOCH_LEAVE_STATIC)
        return "the member epoch is -2 or more";
    if (req->member.size == 0 || req->member.size > BROKER_GROUP_NAME_MAX)
        return "a member has an id of 1 to 249 bytes";
    if (req->generation == BROKER_GROUP_EPOCH_LEAVE_STATIC && req->instance.p == NULL)
        return "only a static member leaves for a while";
    if (!group_consumer_names_fit(b))
        return "too many topics or partitions, or a name too long";
    if (!group_consumer_texts_fit(b))
        return "a rack or an expression is too long or has a zero byte";
    if (req->generation != BROKER_GROUP_EPOCH_JOIN)
        return NULL;
    if (b->rebalance_timeout_ms <= 0)
        return "a member that joins says its rebalance timeout";
    if (b->topics == NULL && b->regex.size == 0)
        return "a member that joins says what it subscribes to";
    return b->owned_count > 0 ? "a member that joins has no partitions" : NULL;
}

/* What it says it has; topics that nobody knows are nobody's. */
static void group_consumer_owned(struct groups *gs, const struct broker_group_beat *b,
                                 struct group_set *out)
{
    ASSERT(b->owned != NULL && out->count == 0);
    for (size_t i = 0; i < b->owned_count; i++) {
        const struct broker_group_topic *t = &b->owned[i];
        ASSERT(t->partitions != NULL || t->count == 0);
        struct group_topic *topic =
            t->name.p != NULL ? groups_topic(gs, t->name) : groups_topic_by_id(gs, t->id);
        for (size_t k = 0; topic != NULL && k < t->count; k++)
            if (t->partitions[k] >= 0)
                group_set_push(out, (struct group_tp){topic, t->partitions[k]});
    }
    group_set_settle(out);
}

/* The member is known; what follows from its heartbeat. */
static void group_consumer_step(struct group_member *m, struct broker_group *req,
                                const struct group_set *owned, enum broker_group_cause cause)
{
    struct group *g = m->group;
    const struct broker_group_beat *b = &req->beat;
    bool joins = req->generation == BROKER_GROUP_EPOCH_JOIN;
    bool full = b->rebalance_timeout_ms > 0 && b->owned != NULL &&
                (b->topics != NULL || b->regex.p != NULL);
    struct group_set before = {0};
    ASSERT(!m->away && req->generation >= BROKER_GROUP_EPOCH_JOIN);
    group_set_copy(&before, &m->assigned);
    bool wants = group_consumer_subscribe(m, req);
    bool stale = group_target_stale(g);
    if ((unsigned)cause < BROKER_GROUP_CAUSE_COUNT)
        group_consumer_bump(g, cause, m->id);
    else if (wants)
        group_consumer_bump(g, BROKER_GROUP_CAUSE_SUBSCRIPTION, m->id);
    else if (stale)
        group_consumer_bump(g, BROKER_GROUP_CAUSE_TOPICS, NULL);
    if (g->target_epoch != g->generation)
        group_target_compute(g);
    ASSERT(g->target_epoch == g->generation);
    group_consumer_reconcile(m, owned);
    m->session_ms = (int32_t)groups_config(g->groups, CONFIG_GROUP_CONSUMER_SESSION_MS);
    group_touch(m, m->session_ms);
    group_consumer_settle(g);
    group_consumer_fill(m, req, joins || full || !group_set_equal(&before, &m->assigned));
    group_set_deinit(&before);
    group_consumer_answer(g, req);
}

/* The group of the heartbeat; NULL with *status. */
static struct group *group_consumer_group(struct groups *gs, const struct broker_group *req,
                                          enum broker_status *status)
{
    struct group *g = groups_find(gs, req->group);
    bool joins = req->generation == BROKER_GROUP_EPOCH_JOIN;
    ASSERT(status != NULL);
    ASSERT(req->op == BROKER_GROUP_BEAT);
    *status = BROKER_UNKNOWN_MEMBER; /* it joins again */
    if (g != NULL && g->type == BROKER_GROUP_CLASSIC && g->state != BROKER_GROUP_EMPTY) {
        *status = BROKER_UNKNOWN_GROUP;
        return NULL;
    }
    if (!joins)
        return g != NULL && g->type == BROKER_GROUP_CONSUMER ? g : NULL;
    if (g == NULL)
        g = groups_make(gs, req->group);
    *status = BROKER_BUSY;
    if (g != NULL)
        group_become(g, BROKER_GROUP_CONSUMER);
    return g;
}

static void group_consumer_handle(struct groups *gs, struct broker_group *req,
                                  const struct group_set *owned)
{
    struct group_member *m = NULL;
    enum broker_status status;
    enum broker_group_cause cause = BROKER_GROUP_CAUSE_COUNT;
    struct group *g = group_consumer_group(gs, req, &status);
    if (g != NULL && req->generation == BROKER_GROUP_EPOCH_JOIN)
        status = group_consumer_admit(g, req, &m, &cause);
    else if (g != NULL)
        status = group_consumer_known(g, req, owned, &m);
    ASSERT(status != BROKER_OK || m != NULL);
    ASSERT(g == NULL || !g->deleting);
    if (status != BROKER_OK)
        groups_answer(gs, req, status, NULL);
    else if (req->generation < 0)
        group_consumer_leave(m, req);
    else
        group_consumer_step(m, req, owned, cause);
}

void group_consumer_beat(struct groups *gs, struct broker_group *req)
{
    enum assignor unused;
    struct group_set owned = {0};
    ASSERT(req->op == BROKER_GROUP_BEAT);
    if (req->member.size == 0 && req->generation == BROKER_GROUP_EPOCH_JOIN) {
        char *id = groups_new_id(gs, slice_str(""));
        req->member = groups_copy(req, slice_str(id));
        free(id);
    }
    const char *fault = group_consumer_fault(req);
    ASSERT(fault == NULL || fault[0] != '\0');
    if (fault != NULL)
        return groups_answer(gs, req, BROKER_BAD_REQUEST, fault);
    if (req->beat.assignor.size > 0 && assignor_from_name(req->beat.assignor, &unused) != 0)
        return groups_answer(gs, req, BROKER_UNKNOWN_ASSIGNOR, NULL);
    if (req->beat.regex.size > 0 && group_target_regex_check(req->beat.regex) != 0)
        return groups_answer(gs, req, BROKER_BAD_REGEX, NULL);
    if (req->beat.owned != NULL)
        group_consumer_owned(gs, &req->beat, &owned);
    bool tells = req->beat.owned != NULL || req->generation == BROKER_GROUP_EPOCH_JOIN;
    group_consumer_handle(gs, req, tells ? &owned : NULL);
    group_set_deinit(&owned);
}
