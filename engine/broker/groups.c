/* SPDX-License-Identifier: MIT
 *
 * groups: see groups.h. The map of groups, their topics, the way of a request to its model, timers.
 */
#include "engine/broker/groups.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"

#define GROUPS_SCRATCH_MAX (64u << 20)

struct groups *groups_new(const struct groups_env *env)
{
    struct groups *gs = assert_memory(calloc(1, sizeof *gs), sizeof *gs);
    ASSERT(env->topic != NULL && env->topic_by_id != NULL && env->topics != NULL);
    ASSERT(env->put != NULL && env->wait != NULL && env->settle != NULL && env->ready != NULL);
    gs->env = *env;
    random_init(&gs->random, env->seed);
    map_init(&gs->map, env->seed);
    map_init(&gs->topics, env->seed);
    arena_init(&gs->scratch, GROUPS_SCRATCH_MAX);
    list_init(&gs->commits);
    gs->topics_version = 1; /* no group has seen them yet */
    gs->loading = true;
    return gs;
}

static void groups_free_topics(struct groups *gs)
{
    size_t at = 0;
    for (struct group_topic *t = map_next(&gs->topics, &at); t != NULL;
         t = map_next(&gs->topics, &at)) {
        ASSERT(t->name != NULL);
        free(t->name);
        free(t);
    }
    map_deinit(&gs->topics);
}

/* What is parked was refused, or is never answered: the process ends. */
static void groups_abandon(struct group *g)
{
    LIST_EACH (node, &g->members) {
        struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        ASSERT(m->group == g);
        m->joining = m->syncing = NULL;
    }
}

struct groups *groups_free(struct groups *gs)
{
    size_t at = 0;
    if (gs == NULL)
        return NULL;
    for (struct group *g = map_next(&gs->map, &at); g != NULL; g = map_next(&gs->map, &at)) {
        groups_abandon(g);
        group_free(g);
    }
    ASSERT(gs->sessions.count == 0 && gs->rebalances.count == 0 && gs->pendings.count == 0);
    ASSERT(gs->revocations.count == 0);
    map_deinit(&gs->map);
    groups_free_topics(gs);
    heap_deinit(&gs->sessions);
    heap_deinit(&gs->revocations);
    heap_deinit(&gs->rebalances);
    heap_deinit(&gs->pendings);
    arena_deinit(&gs->scratch);
    free(gs);
    return NULL;
}

int64_t groups_config(const struct groups *gs, enum config_broker_key key)
{
    int64_t v = config_i64(gs->env.config, key);
    ASSERT(v >= 0);
    return v;
}

/* --- groups --- */

struct group *groups_find(const struct groups *gs, struct slice name)
{
    ASSERT(name.p != NULL || name.size == 0);
    return map_get(&gs->map, name);
}

struct group *groups_make(struct groups *gs, struct slice name)
{
    ASSERT(groups_find(gs, name) == NULL);
    if (gs->map.count >= (size_t)groups_config(gs, CONFIG_GROUPS_MAX))
        return NULL;
    struct group *g = group_new(gs, name);
    void *other = map_put(&gs->map, slice_str(g->name), g);
    ASSERT(other == NULL);
    ASSERT(g->groups == gs && g->state == BROKER_GROUP_EMPTY);
    return g;
}

void groups_drop(struct groups *gs, struct group *g)
{
    void *gone = map_remove(&gs->map, slice_str(g->name));
    ASSERT(gone == g && g->member_count == 0);
    ASSERT(g->groups == gs && g->state == BROKER_GROUP_EMPTY);
    group_free(g);
}

char *groups_new_id(struct groups *gs, struct slice prefix)
{
    uint64_t high = random_u64(&gs->random), low = random_u64(&gs->random);
    struct buf id = {0};
    ASSERT(prefix.size <= BROKER_GROUP_NAME_MAX);
    if (prefix.size > 0)
        buf_printf(&id, "%.*s-", (int)prefix.size, (const char *)prefix.p);
    buf_printf(&id, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(high >> 32),
               (unsigned)(high >> 16) & 0xffff, (unsigned)high & 0xfff,
               ((unsigned)(low >> 48) & 0x3fff) | 0x8000,
               (unsigned long long)(low & 0xffffffffffff));
    ASSERT(id.size >= 36);
    char *out = (char *)slice_dup(buf_slice(&id));
    buf_deinit(&id);
    return out;
}

/* --- topics --- */

static struct group_topic *groups_topic_of(struct groups *gs, const struct groups_topic *t)
{
    struct slice id = slice_of(t->id, sizeof t->id);
    struct group_topic *have = map_get(&gs->topics, id);
    ASSERT(t->partitions >= 0);
    ASSERT(t->name.size > 0);
    if (have == NULL) {
        have = assert_memory(calloc(1, sizeof *have), sizeof *have);
        have->name = (char *)slice_dup(t->name);
        memcpy(have->id, t->id, sizeof have->id);
        void *other = map_put(&gs->topics, slice_of(have->id, sizeof have->id), have);
        ASSERT(other == NULL);
    }
    have->partitions = t->partitions;
    have->gone = false;
    return have;
}

struct group_topic *groups_topic(struct groups *gs, struct slice name)
{
    struct groups_topic t;
    ASSERT(name.p != NULL);
    return gs->env.topic(gs->env.ctx, name, &t) ? groups_topic_of(gs, &t) : NULL;
}

struct group_topic *groups_topic_by_id(struct groups *gs, const uint8_t id[16])
{
    struct groups_topic t;
    struct group_topic *have = map_get(&gs->topics, slice_of(id, 16));
    ASSERT(id != NULL);
    if (have != NULL)
        return have;
    return gs->env.topic_by_id(gs->env.ctx, id, &t) ? groups_topic_of(gs, &t) : NULL;
}

void groups_topics_changed(struct groups *gs)
{
    gs->topics_changed = true;
    gs->topics_version++;
    ASSERT(gs->topics_version > 0);
}

void groups_refresh_topics(struct groups *gs)
{
    struct groups_topic now;
    size_t at = 0;
    if (!gs->topics_changed)
        return;
    gs->topics_changed = false;
    for (struct group_topic *t = map_next(&gs->topics, &at); t != NULL;
         t = map_next(&gs->topics, &at)) {
        t->gone = !gs->env.topic_by_id(gs->env.ctx, t->id, &now);
        ASSERT(t->gone || now.partitions > 0);
        if (!t->gone)
            t->partitions = now.partitions;
    }
}

static void groups_mark_set(const struct group_set *s)
{
    ASSERT(s->count <= s->cap);
    for (size_t i = 0; i < s->count; i++)
        s->v[i].topic->index = 1;
}

/* Frees topics that are gone and in no set. */
static void groups_sweep_topics(struct groups *gs)
{
    size_t at = 0, groups = 0, count = 0;
    struct group_topic **out = calloc(gs->topics.count + 1, sizeof *out);
    ASSERT(out != NULL);
    for (struct group_topic *t = map_next(&gs->topics, &at); t != NULL;
         t = map_next(&gs->topics, &at))
        t->index = 0;
    for (struct group *g = map_next(&gs->map, &groups); g != NULL;
         g = map_next(&gs->map, &groups)) {
        LIST_EACH (node, &g->members) {
            const struct group_member *m = LIST_ENTRY(node, struct group_member, link);
            groups_mark_set(&m->assigned);
            groups_mark_set(&m->revoking);
            groups_mark_set(&m->target);
        }
    }
    at = 0;
    for (struct group_topic *t = map_next(&gs->topics, &at); t != NULL;
         t = map_next(&gs->topics, &at))
        if (t->gone && t->index == 0)
            out[count++] = t;
    ASSERT(count <= gs->topics.count);
    for (size_t i = 0; i < count; i++) {
        (void)map_remove(&gs->topics, slice_of(out[i]->id, sizeof out[i]->id));
        free(out[i]->name);
        free(out[i]);
    }
    free(out);
}

/* --- answers --- */

void groups_answer(struct groups *gs, struct broker_group *req, enum broker_status status,
                   const char *message)
{
    ASSERT((unsigned)status < BROKER_STATUS_COUNT && gs->running > 0);
    ASSERT(!list_linked(&req->priv.link)); /* G4 */
    gs->running--;
    req->status = status;
    req->message = message;
    gs->env.ready(gs->env.ctx, req);
}

/* Results are a few small pieces, and thousands of requests may have theirs at once (a commit or a
 * join waits for the disk): an allocation for each piece, where an arena begins with 4 KiB. */
struct groups_piece {
    struct groups_piece *next;
    _Alignas(max_align_t) uint8_t bytes[];
};

void *groups_alloc(struct broker_group *req, size_t count, size_t size)
{
    ASSERT(size > 0 && count <= (PTRDIFF_MAX - sizeof(struct groups_piece)) / size);
    size_t all = sizeof(struct groups_piece) + count * size;
    struct groups_piece *piece = assert_memory(calloc(1, all), all);
    piece->next = req->priv.state;
    req->priv.state = piece;
    ASSERT((uintptr_t)piece->bytes % _Alignof(max_align_t) == 0);
    return piece->bytes;
}

struct slice groups_copy(struct broker_group *req, struct slice s)
{
    uint8_t *p = groups_alloc(req, s.size + 1, 1);
    ASSERT(p[s.size] == 0);
    ASSERT(s.p != NULL || s.size == 0);
    if (s.size > 0)
        memcpy(p, s.p, s.size);
    return slice_of(p, s.size);
}

void groups_release(void *results)
{
    for (struct groups_piece *piece = results, *next; piece != NULL; piece = next) {
        next = piece->next;
        ASSERT(next != piece);
        free(piece);
    }
}

/* --- deletion --- */

struct groups_deletion {
    struct groups_wait wait;
    struct group *group;      /* stays until then: it is deleting */
    struct broker_group *req; /* NULL: the sweep's */
    bool recorded;            /* the group was */
};

static void groups_deleted(struct groups_wait *w, int result)
{
    struct groups_deletion *d = LIST_ENTRY(w, struct groups_deletion, wait);
    struct group *g = d->group;
    struct groups *gs = g->groups;
    ASSERT(g->deleting && g->member_count == 0);
    ASSERT(d->req == NULL || d->req->op == BROKER_GROUP_DELETE);
    g->deleting = false;
    bool done = result == 0 && !g->unsaved; /* nor did an earlier write fail meanwhile */
    if (done) {
        groups_drop(gs, g);
    } else { /* all of it or part: say so again next time */
        g->recorded = d->recorded;
        g->unsaved = true;
    }
    if (d->req != NULL)
        groups_answer(gs, d->req, done ? BROKER_OK : BROKER_GROUP_UNAVAILABLE, NULL);
    free(d);
}

static void groups_start_deletion(struct group *g, struct broker_group *req)
{
    struct groups_deletion *d = assert_memory(calloc(1, sizeof *d), sizeof *d);
    ASSERT(g->state == BROKER_GROUP_EMPTY && g->member_count == 0 && !g->deleting);
    ASSERT(req != NULL || g->offsets.count == 0);
    d->group = g;
    d->req = req;
    d->recorded = g->recorded;
    d->wait.done = groups_deleted;
    g->deleting = true;
    groups_save_deleted(g, true);
    group_offsets_delete_commits(g);
    g->groups->env.wait(g->groups->env.ctx, &d->wait);
}

static void groups_delete(struct groups *gs, struct broker_group *req)
{
    struct group *g = groups_find(gs, req->group);
    ASSERT(req->op == BROKER_GROUP_DELETE);
    if (g == NULL)
        groups_answer(gs, req, BROKER_UNKNOWN_GROUP, NULL);
    else if (g->state != BROKER_GROUP_EMPTY)
        groups_answer(gs, req, BROKER_GROUP_NOT_EMPTY, NULL);
    else
        groups_start_deletion(g, req);
}

/* --- requests --- */

/* Strings that every request may carry. */
static const char *groups_fault(const struct broker_group *req)
{
    const struct slice all[] = {req->member, req->instance, req->client_id, req->client_host};
    ASSERT((unsigned)req->op < BROKER_GROUP_OP_COUNT);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i].size > 2 * BROKER_GROUP_NAME_MAX + 64)
            return "an id is too long";
        if (all[i].size > 0 && memchr(all[i].p, 0, all[i].size) != NULL)
            return "an id has a zero byte";
    }
    if (req->instance.p != NULL &&
        (req->instance.size == 0 || req->instance.size > BROKER_GROUP_NAME_MAX))
        return "an instance id has 1 to 249 bytes";
    return req->client_id.size > BROKER_GROUP_NAME_MAX ? "the client id is too long" : NULL;
}

static bool groups_name_ok(struct slice name)
{
    ASSERT(name.p != NULL || name.size == 0);
    return name.size > 0 && name.size <= BROKER_GROUP_NAME_MAX &&
           memchr(name.p, 0, name.size) == NULL;
}

static void groups_dispatch(struct groups *gs, struct broker_group *req)
{
    static void (*const rows[BROKER_GROUP_OP_COUNT])(struct groups *, struct broker_group *) = {
        [BROKER_GROUP_JOIN] = group_classic_join,
        [BROKER_GROUP_SYNC] = group_classic_sync,
        [BROKER_GROUP_HEARTBEAT] = group_classic_heartbeat,
        [BROKER_GROUP_LEAVE] = group_classic_leave,
        [BROKER_GROUP_BEAT] = group_consumer_beat,
        [BROKER_GROUP_COMMIT] = group_offsets_commit,
        [BROKER_GROUP_FORGET] = group_offsets_forget,
        [BROKER_GROUP_DELETE] = groups_delete,
    };
    struct group *g = groups_find(gs, req->group);
    ASSERT(rows[req->op] != NULL);
    ASSERT(!gs->loading && !gs->stopping);
    if (g != NULL && g->deleting)
        return groups_answer(gs, req, BROKER_GROUP_UNAVAILABLE, "the group is being deleted");
    rows[req->op](gs, req);
}

void groups_request(struct groups *gs, struct broker_group *req)
{
    ASSERT((unsigned)req->op < BROKER_GROUP_OP_COUNT && req->done != NULL);
    ASSERT(req->group.p != NULL || req->group.size == 0);
    req->priv.state = NULL;
    list_init(&req->priv.link);
    gs->running++;
    if (req->member.p == NULL)
        req->member = slice_str("");
    arena_reset(&gs->scratch);
    const char *fault = groups_fault(req);
    if (gs->stopping)
        return groups_answer(gs, req, BROKER_STOPPING, NULL);
    if (gs->loading)
        return groups_answer(gs, req, BROKER_GROUP_LOADING, NULL);
    /* Offsets of the empty group: old clients commit so. */
    if (!groups_name_ok(req->group))
        return groups_answer(gs, req, BROKER_BAD_GROUP_ID, "a group id has 1 to 249 bytes");
    if (fault != NULL)
        return groups_answer(gs, req, BROKER_BAD_REQUEST, fault);
    groups_refresh_topics(gs);
    groups_dispatch(gs, req);
}

/* --- time --- */

void groups_time(struct groups *gs, int64_t mono_ms, int64_t wall_ms)
{
    ASSERT(mono_ms >= 0 && wall_ms >= 0);
    ASSERT(gs->stalled >= 0);
    int64_t now = mono_ms - gs->stalled;
    if (now > gs->now)
        gs->now = now;
    gs->wall = wall_ms;
}

static const struct heap_node *groups_first(const struct groups *gs)
{
    const struct heap *all[] = {&gs->sessions, &gs->revocations, &gs->rebalances, &gs->pendings};
    const struct heap_node *first = NULL;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const struct heap_node *n = heap_first(all[i]);
        ASSERT(n == NULL || n->slot == 1);
        if (n != NULL && (first == NULL || n->at < first->at))
            first = n;
    }
    return first;
}

/* Timers that are met late are late for everybody: group time goes back by the delay. Behind a long
 * pause the first timers would still be due now, before anybody could be heard: it goes back
 * further, as far again, but not beyond the time of the last turn. */
static void groups_forgive(struct groups *gs)
{
    const struct heap_node *n = groups_first(gs);
    ASSERT(gs->stalled >= 0);
    if (n == NULL || gs->now - n->at <= GROUPS_STALL_MS)
        return;
    int64_t late = gs->now - n->at, idle = n->at > gs->ran ? n->at - gs->ran : 0;
    if (late > GROUPS_PAUSE_MS)
        late += idle < late ? idle : late;
    gs->stalled += late;
    gs->now -= late;
    ASSERT(gs->now <= n->at);
}

static void groups_expire_members(struct groups *gs)
{
    struct heap_node *n;
    ASSERT(!gs->loading);
    while ((n = heap_pop_due(&gs->sessions, gs->now)) != NULL) {
        struct group_member *m = HEAP_ENTRY(n, struct group_member, session);
        ASSERT(m->group->groups == gs && m->group->member_count > 0);
        if (m->group->type == BROKER_GROUP_CLASSIC)
            group_classic_expired(m);
        else
            group_consumer_expired(m);
    }
    while ((n = heap_pop_due(&gs->revocations, gs->now)) != NULL)
        group_consumer_revocation_late(HEAP_ENTRY(n, struct group_member, revocation));
}

/* What expired long ago goes. */
static void groups_sweep(struct groups *gs)
{
    size_t at = 0, count = 0;
    struct group **gone = calloc(gs->map.count + 1, sizeof *gone);
    ASSERT(gone != NULL);
    gs->next_sweep_ms = gs->now + groups_config(gs, CONFIG_OFFSETS_RETENTION_CHECK_MS);
    for (struct group *g = map_next(&gs->map, &at); g != NULL; g = map_next(&gs->map, &at)) {
        arena_reset(&gs->scratch);
        if (!g->deleting && group_offsets_expire(g))
            gone[count++] = g;
    }
    ASSERT(count <= gs->map.count);
    for (size_t i = 0; i < count; i++)
        groups_start_deletion(gone[i], NULL);
    free(gone);
    groups_sweep_topics(gs);
}

void groups_run(struct groups *gs)
{
    struct heap_node *n;
    if (gs->loading || gs->stopping)
        return;
    arena_reset(&gs->scratch);
    groups_refresh_topics(gs);
    groups_forgive(gs);
    groups_expire_members(gs);
    while ((n = heap_pop_due(&gs->pendings, gs->now)) != NULL)
        group_classic_pending_expired(HEAP_ENTRY(n, struct group_pending, timer));
    while ((n = heap_pop_due(&gs->rebalances, gs->now)) != NULL)
        group_generation_timer(HEAP_ENTRY(n, struct group, timer));
    ASSERT(groups_first(gs) == NULL || groups_first(gs)->at > gs->now);
    if (gs->now >= gs->next_sweep_ms)
        groups_sweep(gs);
    gs->ran = gs->now;
}

int64_t groups_next_ms(const struct groups *gs)
{
    const struct heap_node *n = groups_first(gs);
    ASSERT(gs->stalled >= 0);
    if (gs->loading || gs->stopping)
        return INT64_MAX;
    int64_t next = n != NULL && n->at < gs->next_sweep_ms ? n->at : gs->next_sweep_ms;
    ASSERT(next >= 0);
    return next + gs->stalled;
}

void groups_stop(struct groups *gs)
{
    size_t at = 0;
    gs->stopping = true;
    for (struct group *g = map_next(&gs->map, &at); g != NULL; g = map_next(&gs->map, &at)) {
        ASSERT(g->groups == gs);
        group_classic_refuse(g, BROKER_STOPPING);
    }
}

/* --- looking at it --- */

void groups_check(const struct groups *gs)
{
    size_t at = 0, members = 0, pending = 0;
    map_check(&gs->map);
    heap_check(&gs->sessions);
    heap_check(&gs->revocations);
    heap_check(&gs->rebalances);
    heap_check(&gs->pendings);
    for (const struct group *g = map_next(&gs->map, &at); g != NULL; g = map_next(&gs->map, &at)) {
        ASSERT(groups_find(gs, slice_str(g->name)) == g); /* G1 */
        group_check(g);
        members += g->member_count;
        pending += g->pending_count;
    }
    ASSERT(gs->sessions.count == members || gs->loading); /* G3, and none is left behind */
    ASSERT(gs->pendings.count == pending);
}

void groups_dump(const struct groups *gs, struct buf *out)
{
    size_t at = 0;
    ASSERT(out != NULL);
    buf_printf(out, "groups: %zu, %zu requests under way, stalled %lld ms%s\n", gs->map.count,
               gs->running, (long long)gs->stalled, gs->loading ? ", loading" : "");
    for (const struct group *g = map_next(&gs->map, &at); g != NULL; g = map_next(&gs->map, &at))
        buf_printf(out, "  group %s: %s %s generation %d target %d members %zu offsets %zu%s%s\n",
                   g->name, broker_group_type_text(g->type), broker_group_state_text(g->state),
                   g->generation, g->target_epoch, g->member_count, g->offsets.count,
                   g->storing ? " storing" : "", g->unsaved ? " unsaved" : "");
}
