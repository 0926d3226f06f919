/* SPDX-License-Identifier: MIT
 *
 * group_offsets: committed offsets: who may commit, what is refused, and when they go.
 *
 *   commit   checked -> records below the offset are on disk (settle) -> one record an offset into
 *            the log -> on disk -> in memory -> answer
 *   forget   likewise with tombstones
 *
 * So an answered commit is never lost, memory never shows one that may be, and after a power cut no
 * group stands beyond the end of a partition, not even of one with durability=os.
 *
 * Expiry follows Kafka (KIP-211): offsets.retention.minutes after the group became empty; of a
 * group that only ever committed, after the commit; of a topic that a stable group does not
 * subscribe to any more, after the commit.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/groups.h"

#define GROUP_OFFSET_KEY_MAX (BROKER_GROUP_NAME_MAX + 5)

/* --- in memory --- */

static struct slice group_offset_key(uint8_t out[GROUP_OFFSET_KEY_MAX], struct slice topic,
                                     int32_t partition)
{
    ASSERT(topic.size > 0 && topic.size <= BROKER_GROUP_NAME_MAX);
    memcpy(out, topic.p, topic.size);
    out[topic.size] = 0;
    bytes_put_be32(out + topic.size + 1, (uint32_t)partition);
    return slice_of(out, topic.size + 5);
}

struct slice group_offset_topic(const struct group_offset *o)
{
    ASSERT(o->key.size > 5);
    ASSERT(o->key.p[o->key.size - 5] == 0);
    return slice_of(o->key.p, o->key.size - 5);
}

struct group_offset *group_offset(const struct group *g, struct slice topic, int32_t partition)
{
    uint8_t bytes[GROUP_OFFSET_KEY_MAX];
    ASSERT(g != NULL);
    if (topic.size == 0 || topic.size > BROKER_GROUP_NAME_MAX)
        return NULL;
    return map_get(&g->offsets, group_offset_key(bytes, topic, partition));
}

void group_offset_set(struct group *g, struct slice topic, int32_t partition,
                      const struct group_record_offset *value)
{
    uint8_t bytes[GROUP_OFFSET_KEY_MAX];
    struct group_offset *o = group_offset(g, topic, partition);
    ASSERT(value->offset >= 0);
    ASSERT(partition >= 0);
    if (o == NULL) {
        o = assert_memory(calloc(1, sizeof *o), sizeof *o);
        struct slice key = group_offset_key(bytes, topic, partition);
        o->key = slice_of(slice_dup(key), key.size);
        o->partition = partition;
        o->offset = -1;
        void *other = map_put(&g->offsets, o->key, o);
        ASSERT(other == NULL);
    }
    if (o->offset != value->offset)
        o->moved_ms = value->commit_ms;
    o->offset = value->offset;
    o->leader_epoch = value->leader_epoch;
    o->commit_ms = value->commit_ms;
    free((void *)(uintptr_t)o->metadata.p);
    o->metadata = SLICE_NULL;
    if (value->metadata.size > 0)
        o->metadata = slice_of(slice_dup(value->metadata), value->metadata.size);
}

static void group_offset_free(struct group_offset *o)
{
    ASSERT(o->key.p != NULL);
    free((void *)(uintptr_t)o->key.p);
    free((void *)(uintptr_t)o->metadata.p);
    free(o);
}

void group_offset_remove(struct group *g, struct group_offset *o)
{
    void *gone = map_remove(&g->offsets, o->key);
    ASSERT(gone == o);
    group_offset_free(o);
}

void group_offsets_clear(struct group *g)
{
    size_t at = 0;
    uint64_t seed = g->offsets.seed;
    for (struct group_offset *o = map_next(&g->offsets, &at); o != NULL;
         o = map_next(&g->offsets, &at))
        group_offset_free(o);
    map_deinit(&g->offsets);
    map_init(&g->offsets, seed);
    ASSERT(g->offsets.count == 0);
}

/* --- commit --- */

struct group_settle {
    struct groups_wait wait;
    struct group_commit *commit;
    struct broker_group_offset_item *item;
};

struct group_commit {
    struct list link; /* groups->commits */
    struct groups_wait wait;
    struct groups *groups;
    struct broker_group *req;
    struct group_settle *settles; /* owned; one an item; NULL while none waits */
    size_t settling;
    int64_t put_ms; /* wall */
    bool waited;    /* counted in groups->commits_waiting, until put */
    bool put;       /* its records are on their way */
};

static enum broker_status group_offsets_member(struct group *g, const struct broker_group *req)
{
    struct group_member *m = group_find_member(g, req->member), *same;
    same = group_find_instance(g, req->instance);
    ASSERT(g->member_count > 0 || m == NULL);
    if (req->instance.p != NULL && same != NULL && same != m)
        return BROKER_INSTANCE_FENCED;
    if (m == NULL || (req->instance.p != NULL && same == NULL))
        return BROKER_UNKNOWN_MEMBER;
    if (g->type == BROKER_GROUP_CONSUMER)
        return req->generation == m->epoch ? BROKER_OK : BROKER_MEMBER_EPOCH_STALE;
    if (req->generation != g->generation)
        return BROKER_ILLEGAL_GENERATION;
    if (g->state == BROKER_GROUP_COMPLETING)
        return BROKER_REBALANCE;
    group_touch(m, m->session_ms);
    return BROKER_OK;
}

/* May this request commit? Without generation only to a group without members: tools and consumers
 * that assign their partitions themselves. */
static enum broker_status group_offsets_may(const struct groups *gs, struct group *g,
                                            const struct broker_group *req)
{
    ASSERT(req->op == BROKER_GROUP_COMMIT);
    ASSERT(g == NULL || g->groups == gs);
    if (g == NULL && req->generation >= 0)
        return BROKER_UNKNOWN_GROUP;
    if (g == NULL)
        return gs->map.count < (size_t)groups_config(gs, CONFIG_GROUPS_MAX) ? BROKER_OK
                                                                            : BROKER_BUSY;
    if (req->generation < 0 && g->member_count == 0)
        return BROKER_OK;
    return group_offsets_member(g, req);
}

static struct group_commit *group_commit_new(struct groups *gs, struct broker_group *req)
{
    struct group_commit *c = assert_memory(calloc(1, sizeof *c), sizeof *c);
    ASSERT(req->op == BROKER_GROUP_COMMIT || req->op == BROKER_GROUP_FORGET);
    c->groups = gs;
    c->req = req;
    list_init(&c->link);
    return c;
}

static void group_commit_free(struct group_commit *c)
{
    ASSERT(c->settling == 0 && !c->waited);
    if (list_linked(&c->link))
        list_remove(&c->link);
    free(c->settles);
    free(c);
}

static void group_commit_answer(struct group_commit *c, enum broker_status status)
{
    ASSERT(c->req != NULL);
    ASSERT(c->req->op == BROKER_GROUP_COMMIT || c->req->op == BROKER_GROUP_FORGET);
    groups_answer(c->groups, c->req, status, NULL);
    group_commit_free(c);
}

static void group_commit_durable(struct groups_wait *w, int result)
{
    struct group_commit *c = LIST_ENTRY(w, struct group_commit, wait);
    struct broker_group_offsets *all = &c->req->commit;
    ASSERT(c->settling == 0);
    ASSERT(c->req->op == BROKER_GROUP_COMMIT);
    struct group *g = groups_find(c->groups, c->req->group);
    if (result == 0 && g == NULL)
        g = groups_make(c->groups, c->req->group);
    for (size_t i = 0; result == 0 && g != NULL && i < all->count; i++) {
        const struct broker_group_offset_item *item = &all->items[i];
        struct group_record_offset value = {.offset = item->offset,
                                            .leader_epoch = item->leader_epoch,
                                            .metadata = item->metadata,
                                            .commit_ms = c->put_ms};
        if (item->status == BROKER_OK)
            group_offset_set(g, item->topic, item->partition, &value);
    }
    group_commit_answer(c, result == 0 && g != NULL ? BROKER_OK : BROKER_GROUP_UNAVAILABLE);
}

/* All items are judged: the good ones go to the log. */
static void group_commit_put(struct group_commit *c)
{
    struct broker_group *req = c->req;
    struct groups *gs = c->groups;
    struct group *g = groups_find(gs, req->group);
    size_t good = 0;
    ASSERT(c->settling == 0 && !c->put);
    ASSERT(req->op == BROKER_GROUP_COMMIT);
    /* While the records were waited for, the group may have gone on. */
    enum broker_status status = c->waited ? group_offsets_may(gs, g, req) : BROKER_OK;
    ASSERT(gs->commits_waiting >= c->waited);
    gs->commits_waiting -= c->waited;
    c->waited = false;
    c->put = true;
    c->put_ms = gs->wall;
    free(c->settles);
    c->settles = NULL;
    if (status != BROKER_OK)
        return group_commit_answer(c, status);
    for (size_t i = 0; i < req->commit.count; i++) {
        const struct broker_group_offset_item *item = &req->commit.items[i];
        struct group_record_offset value = {.offset = item->offset,
                                            .leader_epoch = item->leader_epoch,
                                            .metadata = item->metadata,
                                            .commit_ms = c->put_ms};
        if (item->status != BROKER_OK)
            continue;
        good++;
        groups_save_offset(gs, req->group, item->topic, item->partition, &value);
    }
    if (good == 0)
        return group_commit_answer(c, BROKER_OK);
    c->wait.done = group_commit_durable;
    gs->env.wait(gs->env.ctx, &c->wait);
}

/* The oldest commit of the group that is not put yet; NULL none. */
static struct group_commit *group_commit_first(const struct groups *gs, struct slice group)
{
    ASSERT(gs->commits.next != NULL);
    LIST_EACH (node, &gs->commits) {
        struct group_commit *c = LIST_ENTRY(node, struct group_commit, link);
        ASSERT(c->groups == gs);
        if (!c->put && slice_equal(c->req->group, group))
            return c;
    }
    return NULL;
}

/* Nothing keeps it from the log but earlier commits of its group, behind which it stays: the last
 * one that was asked for is the one that stands. */
static void group_commit_ready(struct group_commit *c)
{
    struct groups *gs = c->groups;
    struct slice group = c->req->group;
    ASSERT(c->settling == 0);
    ASSERT(list_linked(&c->link) && !c->put);
    if (gs->commits_waiting == 0)
        return group_commit_put(c);
    gs->commits_waiting += !c->waited;
    c->waited = true;
    for (c = group_commit_first(gs, group); c != NULL && c->settling == 0;
         c = group_commit_first(gs, group))
        group_commit_put(c);
}

static void group_commit_settled(struct groups_wait *w, int result)
{
    struct group_settle *s = LIST_ENTRY(w, struct group_settle, wait);
    struct group_commit *c = s->commit;
    ASSERT(c->settling > 0);
    ASSERT(c->settles != NULL && s == &c->settles[s->item - c->req->commit.items]);
    s->item->status = result == 0 ? BROKER_OK : BROKER_GROUP_UNAVAILABLE;
    if (--c->settling == 0)
        group_commit_ready(c);
}

static enum broker_status group_commit_judge(struct group_commit *c, const struct group *g,
                                             struct broker_group_offset_item *item)
{
    struct groups *gs = c->groups;
    struct groups_topic topic;
    struct group_settle *s = &c->settles[item - c->req->commit.items];
    ASSERT(s->commit == NULL);
    ASSERT((size_t)(item - c->req->commit.items) < c->req->commit.count);
    if (item->topic.size == 0 || item->topic.size > BROKER_GROUP_NAME_MAX ||
        !gs->env.topic(gs->env.ctx, item->topic, &topic))
        return BROKER_UNKNOWN_TOPIC;
    if (item->partition < 0 || item->partition >= topic.partitions)
        return BROKER_UNKNOWN_PARTITION;
    if (item->metadata.size > (size_t)groups_config(gs, CONFIG_OFFSET_METADATA_MAX))
        return BROKER_METADATA_TOO_LARGE;
    if (item->offset < 0)
        return BROKER_OFFSET_OUT_OF_RANGE;
    if (g != NULL && g->offsets.count >= GROUPS_OFFSETS_MAX &&
        group_offset(g, item->topic, item->partition) == NULL)
        return BROKER_BUSY;
    s->commit = c;
    s->item = item;
    s->wait.done = group_commit_settled;
    enum broker_status status = gs->env.settle(gs->env.ctx, item, &s->wait);
    ASSERT((unsigned)status < BROKER_STATUS_COUNT);
    c->settling += status == BROKER_BUSY;
    return status == BROKER_BUSY ? BROKER_OK : status;
}

void group_offsets_commit(struct groups *gs, struct broker_group *req)
{
    ASSERT(req->commit.items != NULL || req->commit.count == 0);
    struct group *g = groups_find(gs, req->group);
    enum broker_status status = group_offsets_may(gs, g, req);
    if (status != BROKER_OK)
        return groups_answer(gs, req, status, NULL);
    struct group_commit *c = group_commit_new(gs, req);
    size_t size = (req->commit.count + 1) * sizeof *c->settles;
    list_add_tail(&gs->commits, &c->link);
    c->settles = assert_memory(calloc(1, size), size);
    c->settling = 1; /* for this function */
    for (size_t i = 0; i < req->commit.count; i++)
        req->commit.items[i].status = group_commit_judge(c, g, &req->commit.items[i]);
    ASSERT(c->settling > 0);
    if (--c->settling == 0)
        return group_commit_ready(c);
    c->waited = true;
    gs->commits_waiting++;
}

/* --- forget --- */

/* A commit of the group is under way. */
static bool group_offsets_committing(const struct group *g)
{
    ASSERT(g->groups->commits.next != NULL);
    LIST_EACH (node, &g->groups->commits) {
        const struct group_commit *c = LIST_ENTRY(node, struct group_commit, link);
        ASSERT(c->groups == g->groups);
        if (slice_equal(c->req->group, slice_str(g->name)))
            return true;
    }
    return false;
}

static bool group_offsets_subscribed(struct group *g, struct slice topic)
{
    struct slice *topics;
    size_t count;
    ASSERT(topic.size > 0);
    LIST_EACH (node, &g->members) {
        const struct group_member *m = LIST_ENTRY(node, struct group_member, link);
        if (g->type == BROKER_GROUP_CONSUMER && group_target_wants(m, topic))
            return true;
        if (g->type != BROKER_GROUP_CLASSIC || !groups_view_topics(m, &topics, &count))
            continue;
        for (size_t i = 0; i < count; i++)
            if (slice_equal(topics[i], topic))
                return true;
    }
    return false;
}

static void group_forget_durable(struct groups_wait *w, int result)
{
    struct group_commit *c = LIST_ENTRY(w, struct group_commit, wait);
    struct group *g = groups_find(c->groups, c->req->group);
    ASSERT(c->settles == NULL);
    ASSERT(c->settling == 0 && c->req->op == BROKER_GROUP_FORGET);
    for (size_t i = 0; result == 0 && g != NULL && i < c->req->commit.count; i++) {
        const struct broker_group_offset_item *item = &c->req->commit.items[i];
        struct group_offset *o =
            item->status == BROKER_OK ? group_offset(g, item->topic, item->partition) : NULL;
        if (o != NULL)
            group_offset_remove(g, o);
    }
    group_commit_answer(c, result == 0 ? BROKER_OK : BROKER_GROUP_UNAVAILABLE);
}

void group_offsets_forget(struct groups *gs, struct broker_group *req)
{
    struct group *g = groups_find(gs, req->group);
    struct groups_topic topic;
    ASSERT(req->op == BROKER_GROUP_FORGET);
    ASSERT(req->commit.items != NULL || req->commit.count == 0);
    if (g == NULL)
        return groups_answer(gs, req, BROKER_UNKNOWN_GROUP, NULL);
    if (g->member_count > 0 && g->type == BROKER_GROUP_CLASSIC &&
        strcmp(g->protocol_type, "consumer") != 0)
        return groups_answer(gs, req, BROKER_GROUP_NOT_EMPTY, NULL);
    for (size_t i = 0; i < req->commit.count; i++) {
        struct broker_group_offset_item *item = &req->commit.items[i];
        bool there = group_offset(g, item->topic, item->partition) != NULL;
        if (!there && (item->topic.size == 0 || item->topic.size > BROKER_GROUP_NAME_MAX ||
                       !gs->env.topic(gs->env.ctx, item->topic, &topic)))
            item->status = BROKER_UNKNOWN_TOPIC;
        else if (!there && (item->partition < 0 || item->partition >= topic.partitions))
            item->status = BROKER_UNKNOWN_PARTITION;
        else if (group_offsets_subscribed(g, item->topic))
            item->status = BROKER_GROUP_SUBSCRIBED;
        else
            item->status = BROKER_OK;
        if (item->status == BROKER_OK && (there || group_offsets_committing(g)))
            groups_save_no_offset(gs, req->group, item->topic, item->partition);
    }
    struct group_commit *c = group_commit_new(gs, req);
    c->wait.done = group_forget_durable;
    gs->env.wait(gs->env.ctx, &c->wait);
}

/* --- what is on its way to the disk while something goes --- */

/* Tombstones behind the records of this commit: of all its topics or, and then they are refused,
 * of one. */
static void group_commit_undo(struct group_commit *c, const struct slice *topic)
{
    ASSERT(c->put && c->req->op == BROKER_GROUP_COMMIT);
    for (size_t i = 0; i < c->req->commit.count; i++) {
        struct broker_group_offset_item *item = &c->req->commit.items[i];
        ASSERT((unsigned)item->status < BROKER_STATUS_COUNT);
        if (item->status != BROKER_OK || (topic != NULL && !slice_equal(item->topic, *topic)))
            continue;
        groups_save_no_offset(c->groups, c->req->group, item->topic, item->partition);
        if (topic != NULL)
            item->status = BROKER_UNKNOWN_TOPIC;
    }
}

void group_offsets_delete_commits(const struct group *g)
{
    ASSERT(g->deleting && g->member_count == 0);
    LIST_EACH (node, &g->groups->commits) {
        struct group_commit *c = LIST_ENTRY(node, struct group_commit, link);
        ASSERT(c->groups == g->groups);
        if (c->put && slice_equal(c->req->group, slice_str(g->name)))
            group_commit_undo(c, NULL);
    }
}

/* --- expiry --- */

static bool group_offset_expired(struct group *g, const struct group_offset *o, int64_t keep_ms)
{
    int64_t now = g->groups->wall;
    ASSERT(keep_ms >= 0);
    ASSERT(o->offset >= 0);
    if (g->protocol_type == NULL && g->type == BROKER_GROUP_CLASSIC && g->member_count == 0)
        return now - o->commit_ms >= keep_ms;
    if (g->state == BROKER_GROUP_EMPTY)
        return now - g->state_since_ms >= keep_ms && now - o->commit_ms >= keep_ms;
    return g->state == BROKER_GROUP_STABLE && now - o->commit_ms >= keep_ms &&
           (g->type == BROKER_GROUP_CONSUMER ||
            (g->protocol_type != NULL && strcmp(g->protocol_type, "consumer") == 0)) &&
           !group_offsets_subscribed(g, group_offset_topic(o));
}

/* Tombstones first, then out of memory: a tombstone that is lost is written again by the next
 * sweep after a start. */
static void group_offsets_take_out(struct group *g,
                                   bool (*test)(struct group *g, const struct group_offset *o,
                                                const void *arg),
                                   const void *arg)
{
    struct group_offset **out = calloc(g->offsets.count + 1, sizeof *out);
    size_t at = 0, count = 0;
    ASSERT(out != NULL);
    for (struct group_offset *o = map_next(&g->offsets, &at); o != NULL;
         o = map_next(&g->offsets, &at))
        if (test(g, o, arg))
            out[count++] = o;
    ASSERT(count <= g->offsets.count);
    for (size_t i = 0; i < count; i++) {
        groups_save_no_offset(g->groups, slice_str(g->name), group_offset_topic(out[i]),
                              out[i]->partition);
        group_offset_remove(g, out[i]);
    }
    free(out);
}

static bool group_offsets_old(struct group *g, const struct group_offset *o, const void *arg)
{
    ASSERT(arg != NULL);
    /* A tombstone now would come behind a newer commit. */
    return group_offset_expired(g, o, *(const int64_t *)arg) && !group_offsets_committing(g);
}

bool group_offsets_expire(struct group *g)
{
    int64_t keep_ms = groups_config(g->groups, CONFIG_OFFSETS_RETENTION_MINUTES) * 60000;
    ASSERT(keep_ms > 0);
    if (g->offsets.count > 0)
        group_offsets_take_out(g, group_offsets_old, &keep_ms);
    return g->state == BROKER_GROUP_EMPTY && g->offsets.count == 0 && g->pending_count == 0 &&
           !group_offsets_committing(g);
}

static bool group_offsets_of(struct group *g, const struct group_offset *o, const void *arg)
{
    ASSERT(g != NULL && arg != NULL);
    return slice_equal(group_offset_topic(o), *(const struct slice *)arg);
}

void group_offsets_drop_topic(struct groups *gs, struct slice topic)
{
    size_t at = 0;
    ASSERT(topic.size > 0);
    ASSERT(!gs->loading);
    for (struct group *g = map_next(&gs->map, &at); g != NULL; g = map_next(&gs->map, &at))
        if (g->offsets.count > 0)
            group_offsets_take_out(g, group_offsets_of, &topic);
    LIST_EACH (node, &gs->commits) {
        struct group_commit *c = LIST_ENTRY(node, struct group_commit, link);
        ASSERT(c->groups == gs);
        if (c->put)
            group_commit_undo(c, &topic);
    }
}

static bool group_offsets_orphan(struct group *g, const struct group_offset *o, const void *arg)
{
    struct groups_topic topic;
    const struct groups_env *env = &g->groups->env;
    ASSERT(arg == NULL);
    return !env->topic(env->ctx, group_offset_topic(o), &topic);
}

void group_offsets_drop_orphans(struct groups *gs)
{
    size_t at = 0;
    ASSERT(!gs->loading);
    for (struct group *g = map_next(&gs->map, &at); g != NULL; g = map_next(&gs->map, &at))
        if (g->offsets.count > 0)
            group_offsets_take_out(g, group_offsets_orphan, NULL);
}
