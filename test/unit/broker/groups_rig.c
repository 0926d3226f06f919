/* SPDX-License-Identifier: MIT
 *
 * groups_rig: see groups_rig.h. Its environment, its disk, its clock, and requests out of words.
 */
#include "test/unit/broker/groups_rig.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/assert.h"

const char *grig_text(struct grig *g, struct slice s)
{
    return (const char *)arena_copy(&g->memory, s).p;
}

/* --- what the engine asks for --- */

static void grig_tell_topic(const struct grig_topic *t, struct groups_topic *out)
{
    out->name = slice_str(t->name);
    memcpy(out->id, t->id, sizeof out->id);
    out->partitions = t->partitions;
}

static bool grig_env_topic(void *ctx, struct slice name, struct groups_topic *out)
{
    struct grig *g = ctx;
    for (size_t i = 0; i < g->topic_count; i++) {
        if (g->topics[i].gone || !slice_equal(slice_str(g->topics[i].name), name))
            continue;
        grig_tell_topic(&g->topics[i], out);
        return true;
    }
    return false;
}

static bool grig_env_topic_by_id(void *ctx, const uint8_t id[16], struct groups_topic *out)
{
    struct grig *g = ctx;
    for (size_t i = 0; i < g->topic_count; i++) {
        if (g->topics[i].gone || memcmp(g->topics[i].id, id, 16) != 0)
            continue;
        grig_tell_topic(&g->topics[i], out);
        return true;
    }
    return false;
}

static void grig_env_topics(void *ctx, void (*fn)(void *arg, const struct groups_topic *t),
                            void *arg)
{
    struct grig *g = ctx;
    struct groups_topic out;
    for (size_t i = 0; i < g->topic_count; i++) {
        if (g->topics[i].gone)
            continue;
        grig_tell_topic(&g->topics[i], &out);
        fn(arg, &out);
    }
}

static void grig_env_put(void *ctx, struct slice key, struct slice value)
{
    struct grig *g = ctx;
    if (g->dying)
        return;
    if (g->record_count == g->record_cap) {
        g->record_cap = g->record_cap == 0 ? 64 : 2 * g->record_cap;
        g->records = realloc(g->records, g->record_cap * sizeof *g->records);
        ck_assert_ptr_nonnull(g->records);
    }
    struct grig_record *r = &g->records[g->record_count++];
    r->key = arena_copy(&g->memory, key);
    r->value = value.p == NULL ? SLICE_NULL : arena_copy(&g->memory, value);
}

static void grig_env_wait(void *ctx, struct groups_wait *w)
{
    struct grig *g = ctx;
    ck_assert_uint_lt(g->wait_count, GRIG_WAITS_MAX);
    g->wait_ends[g->wait_count] = g->record_count;
    g->waits[g->wait_count++] = w;
}

static enum broker_status grig_env_settle(void *ctx, const struct broker_group_offset_item *item,
                                          struct groups_wait *w)
{
    struct grig *g = ctx;
    for (size_t i = 0; i < g->topic_count; i++) {
        const struct grig_topic *t = &g->topics[i];
        if (t->gone || !slice_equal(slice_str(t->name), item->topic))
            continue;
        if (item->offset > t->written)
            return BROKER_OFFSET_OUT_OF_RANGE;
        if (item->offset <= t->durable)
            return BROKER_OK;
        ck_assert_uint_lt(g->settle_count, GRIG_WAITS_MAX);
        g->settles[g->settle_count++] = w;
        return BROKER_BUSY;
    }
    return BROKER_UNKNOWN_TOPIC;
}

static void grig_env_ready(void *ctx, struct broker_group *req)
{
    struct grig *g = ctx;
    ck_assert(!list_linked(&req->priv.link));
    list_add_tail(&g->ready, &req->priv.link);
}

/* --- answers and the disk --- */

static void grig_done(struct broker_group *req)
{
    struct grig_call *c = req->ctx;
    ck_assert_msg(!c->answered && !c->lost, "answered twice");
    c->order = ++c->rig->answers;
    c->rig->open--;
    c->answered = !c->rig->dying;
    c->lost = c->rig->dying;
}

static bool grig_deliver(struct grig *g)
{
    bool any = !list_empty(&g->ready);
    for (struct list *n = list_pop(&g->ready); n != NULL; n = list_pop(&g->ready)) {
        struct broker_group *req = LIST_ENTRY(n, struct broker_group, priv.link);
        req->done(req);
    }
    return any;
}

/* What is not written is not there: later records move up. */
static void grig_lose(struct grig *g, size_t end)
{
    size_t gone = end > g->durable ? end - g->durable : 0;
    for (size_t i = g->durable; !g->dying && i < g->durable + gone; i++)
        g->torn = g->torn || g->records[i].value.p == NULL;
    for (size_t i = g->durable; i + gone < g->record_count; i++)
        g->records[i] = g->records[i + gone];
    g->record_count -= gone;
    for (size_t i = 0; i < g->wait_count; i++)
        g->wait_ends[i] -= gone;
}

static void grig_end_wait(struct grig *g, int result)
{
    struct groups_wait *w = g->waits[0];
    size_t end = g->wait_ends[0];
    ck_assert_uint_gt(g->wait_count, 0);
    if (result != 0)
        grig_lose(g, end);
    else if (end > g->durable)
        g->durable = end;
    g->wait_count--;
    memmove(g->waits, g->waits + 1, g->wait_count * sizeof g->waits[0]);
    memmove(g->wait_ends, g->wait_ends + 1, g->wait_count * sizeof g->wait_ends[0]);
    w->done(w, result);
}

static bool grig_end_settle(struct grig *g, int result)
{
    size_t count = g->settle_count;
    struct groups_wait *all[GRIG_WAITS_MAX];
    memcpy(all, g->settles, count * sizeof all[0]);
    g->settle_count = 0;
    for (size_t i = 0; i < g->topic_count && result == 0 && count > 0; i++)
        g->topics[i].durable = g->topics[i].written;
    for (size_t i = 0; i < count; i++)
        all[i]->done(all[i], result);
    return count > 0;
}

static void grig_turn(struct grig *g)
{
    bool more = true;
    for (unsigned steps = 0; more; steps++) {
        ck_assert_msg(steps < 1000, "never comes to rest");
        more = grig_deliver(g);
        if (!g->settle_held)
            more = grig_end_settle(g, 0) || more;
        bool there = g->wait_count > 0 && g->wait_ends[0] <= g->durable; /* nothing to wait for */
        if (g->wait_count == 0 || (g->disk == GRIG_DISK_HELD && !there))
            continue;
        grig_end_wait(g, g->disk == GRIG_DISK_FULL && !there ? -ENOSPC : 0);
        more = true;
    }
    if (g->disk == GRIG_DISK_FULL)
        grig_lose(g, g->record_count);
    else if (g->disk == GRIG_DISK_AT_ONCE)
        g->durable = g->record_count;
    grig_check(g);
}

void grig_disk(struct grig *g, size_t count, int result)
{
    ck_assert_uint_ge(g->wait_count, count);
    for (size_t i = 0; i < count; i++)
        grig_end_wait(g, result);
    grig_turn(g);
}

void grig_settle(struct grig *g, int result)
{
    ck_assert(grig_end_settle(g, result));
    grig_turn(g);
}

/* --- time --- */

static void grig_tick(struct grig *g)
{
    groups_time(g->groups, g->mono, g->wall);
    groups_run(g->groups);
    grig_turn(g);
}

void grig_sleep(struct grig *g, int64_t ms)
{
    int64_t end = g->mono + ms;
    while (g->mono < end) {
        int64_t next = groups_next_ms(g->groups);
        int64_t step = (next <= g->mono ? g->mono + 1 : next < end ? next : end) - g->mono;
        g->mono += step;
        g->wall += step;
        grig_tick(g);
    }
}

void grig_stall(struct grig *g, int64_t ms)
{
    g->mono += ms;
    g->wall += ms;
    grig_tick(g);
}

void grig_wall(struct grig *g, int64_t ms)
{
    g->wall += ms;
    grig_tick(g);
}

/* --- start and end --- */

static void grig_open(struct grig *g)
{
    struct groups_env env = {.config = g->config,
                             .seed = g->seed++,
                             .topic = grig_env_topic,
                             .topic_by_id = grig_env_topic_by_id,
                             .topics = grig_env_topics,
                             .put = grig_env_put,
                             .wait = grig_env_wait,
                             .settle = grig_env_settle,
                             .ready = grig_env_ready,
                             .ctx = g};
    g->groups = groups_new(&env);
    groups_time(g->groups, g->mono, g->wall);
}

static void grig_close(struct grig *g)
{
    g->dying = true;
    grig_lose(g, g->record_count);
    while (g->wait_count > 0 || g->settle_count > 0) {
        if (g->wait_count > 0)
            grig_end_wait(g, -EIO);
        (void)grig_end_settle(g, -EIO);
    }
    (void)grig_deliver(g);
    for (struct grig_call *c = g->calls; c != NULL; c = c->next)
        c->lost = !c->answered;
    g->groups = groups_free(g->groups);
    g->open = 0;
    g->dying = false;
}

void grig_restart(struct grig *g, enum grig_load how)
{
    grig_close(g);
    g->disk = GRIG_DISK_AT_ONCE;
    g->settle_held = false;
    grig_open(g);
    grig_load(g, g->groups, how);
    group_offsets_drop_orphans(g->groups);
    grig_tick(g);
}

void grig_config(struct grig *g, const char *key, const char *value)
{
    char message[256];
    int r = config_set(g->config, CONFIG_FROM_FLAG, slice_str(key), slice_str(value), message);
    ck_assert_msg(r == 0, "%s: %s", key, message);
}

void grig_init(struct grig *g, const char *const *sets)
{
    *g = (struct grig){.wall = GRIG_WALL, .mono = 1000, .seed = 1};
    arena_init(&g->memory, 0);
    list_init(&g->ready);
    g->config = config_new();
    for (size_t i = 0; sets != NULL && sets[i] != NULL; i++) {
        const char *equals = strchr(sets[i], '=');
        grig_config(g, grig_text(g, slice_of(sets[i], (size_t)(equals - sets[i]))), equals + 1);
    }
    grig_open(g);
    groups_loaded(g->groups);
}

void grig_deinit(struct grig *g)
{
    grig_close(g);
    for (struct grig_call *c = g->calls; c != NULL; c = c->next)
        groups_release(c->req.priv.state);
    config_free(g->config);
    free(g->records);
    arena_deinit(&g->memory);
}

/* --- topics --- */

struct grig_topic *grig_topic(struct grig *g, const char *name, int32_t partitions)
{
    ck_assert_uint_lt(g->topic_count, GRIG_TOPICS_MAX);
    struct grig_topic *t = &g->topics[g->topic_count++];
    *t =
        (struct grig_topic){.name = name, .partitions = partitions, .written = 100, .durable = 100};
    t->id[0] = 0xab;
    bytes_put_be32(t->id + 12, (uint32_t)++g->next_id);
    groups_topics_changed(g->groups);
    return t;
}

void grig_topic_grow(struct grig *g, struct grig_topic *t, int32_t partitions)
{
    ck_assert_int_gt(partitions, t->partitions);
    t->partitions = partitions;
    groups_topics_changed(g->groups);
}

void grig_topic_delete(struct grig *g, struct grig_topic *t)
{
    t->gone = true;
    groups_topics_changed(g->groups);
    groups_refresh_topics(g->groups);
    group_offsets_drop_topic(g->groups, slice_str(t->name));
    grig_turn(g);
}

/* --- words --- */

static struct slice grig_word(const char *s)
{
    return s == NULL ? SLICE_NULL : slice_str(s);
}

/* A '%' stands for a zero byte. */
static struct slice grig_bytes(struct grig *g, const char *s)
{
    if (s == NULL)
        return SLICE_NULL;
    struct slice copy = arena_copy(&g->memory, slice_str(s));
    for (size_t i = 0; i < copy.size; i++)
        if (copy.p[i] == '%')
            ((uint8_t *)(uintptr_t)copy.p)[i] = 0;
    return copy;
}

/* The parts of a list, each a copy with a NUL; "" has none. */
static char **grig_split(struct grig *g, const char *s, const char *by, size_t *count)
{
    char *rest = (char *)(uintptr_t)grig_text(g, slice_str(s));
    char **all = arena_array(&g->memory, strlen(s) + 2, sizeof *all);
    *count = 0;
    while (s[0] != '\0' && rest != NULL)
        all[(*count)++] = strsep(&rest, by);
    return all;
}

/* Cuts "a=b" in two; NULL where there is no b. */
static const char *grig_after(char *s, int c)
{
    char *at = strchr(s, c);
    if (at == NULL)
        return NULL;
    *at = '\0';
    return at + 1;
}

static int64_t grig_number(const char *s)
{
    char *end;
    ck_assert_ptr_nonnull(s);
    int64_t v = strtoll(s, &end, 10);
    ck_assert(*s != '\0' && *end == '\0');
    return v;
}

/* ConsumerProtocolSubscription, version 0. */
static struct slice grig_subscription(struct grig *g, const char *topics)
{
    struct buf out = {0};
    size_t count;
    char **all = grig_split(g, topics, ",", &count);
    buf_append_be16(&out, 0);
    buf_append_be32(&out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        buf_append_be16(&out, (uint16_t)strlen(all[i]));
        buf_append(&out, all[i], strlen(all[i]));
    }
    buf_append_be32(&out, UINT32_MAX);
    struct slice kept = arena_copy(&g->memory, buf_slice(&out));
    buf_deinit(&out);
    return kept;
}

static void grig_fill_join(struct grig *g, struct broker_group_join *j, const struct grig_ask *a)
{
    size_t count;
    char **all = grig_split(g, a->protocols == NULL ? "range" : a->protocols, ",", &count);
    struct broker_group_protocol *p = arena_array(&g->memory, count + 1, sizeof *p);
    for (size_t i = 0; i < count; i++) {
        const char *metadata = grig_after(all[i], '=');
        p[i].name = grig_bytes(g, all[i]);
        p[i].metadata = slice_str(metadata != NULL      ? metadata
                                  : a->metadata != NULL ? a->metadata
                                                        : "m");
        if (a->topics != NULL)
            p[i].metadata = grig_subscription(g, a->topics);
    }
    *j = (struct broker_group_join){
        .protocol_type = grig_bytes(g, a->type == NULL ? "consumer" : a->type),
        .protocols = p,
        .protocol_count = count,
        .session_timeout_ms = a->session_ms == 0 ? 10000 : a->session_ms,
        .rebalance_timeout_ms = a->rebalance_ms == 0 ? 60000 : a->rebalance_ms,
        .id_required = a->id_required,
        .may_skip = a->may_skip};
}

static void grig_fill_sync(struct grig *g, struct broker_group_sync *s, const struct grig_ask *a)
{
    size_t count;
    char **all = grig_split(g, a->assign == NULL ? "" : a->assign, ";", &count);
    struct broker_group_assigned *v = arena_array(&g->memory, count + 1, sizeof *v);
    for (size_t i = 0; i < count; i++) {
        v[i].assignment = grig_word(grig_after(all[i], '='));
        v[i].member = slice_str(all[i]);
    }
    *s = (struct broker_group_sync){.protocol_type = grig_word(a->type),
                                    .protocol = grig_word(a->protocol),
                                    .assignments = v,
                                    .assignment_count = count};
}

static void grig_fill_leave(struct grig *g, struct broker_group_leave *l, const struct grig_ask *a)
{
    char **all = grig_split(g, a->leavers, ";", &l->count);
    l->leavers = arena_array(&g->memory, l->count + 1, sizeof *l->leavers);
    for (size_t i = 0; i < l->count; i++) {
        l->leavers[i].instance = grig_word(grig_after(all[i], '@'));
        l->leavers[i].member = slice_str(all[i]);
        l->leavers[i].status = BROKER_STATUS_COUNT;
    }
}

static struct broker_group_topic *grig_owned(struct grig *g, const struct grig_ask *a,
                                             size_t *count)
{
    size_t numbers;
    char **all = grig_split(g, a->owned, ";", count);
    struct broker_group_topic *v = arena_array(&g->memory, *count + 1, sizeof *v);
    for (size_t i = 0; i < *count; i++) {
        char **parts = grig_split(g, grig_after(all[i], ':'), ",", &numbers);
        int32_t *n = arena_array(&g->memory, numbers + 1, sizeof *n);
        for (size_t k = 0; k < numbers; k++)
            n[k] = (int32_t)grig_number(parts[k]);
        v[i] = (struct broker_group_topic){
            .name = slice_str(all[i]), .partitions = n, .count = numbers};
        for (size_t k = 0; a->owned_by_id && k < g->topic_count; k++) {
            if (strcmp(g->topics[k].name, all[i]) != 0)
                continue;
            v[i].name = SLICE_NULL;
            memcpy(v[i].id, g->topics[k].id, sizeof v[i].id);
        }
    }
    return v;
}

static void grig_fill_beat(struct grig *g, struct broker_group_beat *b, const struct grig_ask *a)
{
    bool joins = a->generation == BROKER_GROUP_EPOCH_JOIN;
    *b = (struct broker_group_beat){.rack = grig_bytes(g, a->rack),
                                    .rebalance_timeout_ms = -1,
                                    .regex = grig_bytes(g, a->regex),
                                    .assignor = grig_word(a->assignor)};
    if (a->rebalance_ms != 0 || (joins && !a->late_wish))
        b->rebalance_timeout_ms = a->rebalance_ms == 0 ? 60000 : a->rebalance_ms;
    if (a->topics != NULL) {
        char **all = grig_split(g, a->topics, ",", &b->topic_count);
        struct slice *names = arena_array(&g->memory, b->topic_count + 1, sizeof *names);
        for (size_t i = 0; i < b->topic_count; i++)
            names[i] = slice_str(all[i]);
        b->topics = names;
    }
    if (a->owned != NULL)
        b->owned = grig_owned(g, a, &b->owned_count);
}

static void grig_fill_offsets(struct grig *g, struct broker_group_offsets *o,
                              const struct grig_ask *a)
{
    char **all = grig_split(g, a->offsets, ";", &o->count);
    o->items = arena_array(&g->memory, o->count + 1, sizeof *o->items);
    for (size_t i = 0; i < o->count; i++) {
        const char *offset = grig_after(all[i], '=');
        const char *partition = grig_after(all[i], ':');
        o->items[i] =
            (struct broker_group_offset_item){.topic = slice_str(all[i]),
                                              .partition = (int32_t)grig_number(partition),
                                              .offset = offset == NULL ? 0 : grig_number(offset),
                                              .leader_epoch = a->leader_epoch,
                                              .metadata = grig_word(a->note),
                                              .status = BROKER_STATUS_COUNT};
    }
}

static void grig_fill(struct grig *g, struct broker_group *req, const struct grig_ask *a)
{
    switch (req->op) {
    case BROKER_GROUP_JOIN:
        return grig_fill_join(g, &req->join, a);
    case BROKER_GROUP_SYNC:
        return grig_fill_sync(g, &req->sync, a);
    case BROKER_GROUP_LEAVE:
        return grig_fill_leave(g, &req->leave, a);
    case BROKER_GROUP_BEAT:
        return grig_fill_beat(g, &req->beat, a);
    case BROKER_GROUP_COMMIT:
    case BROKER_GROUP_FORGET:
        return grig_fill_offsets(g, &req->commit, a);
    case BROKER_GROUP_HEARTBEAT:
    case BROKER_GROUP_DELETE:
        return;
    }
}

struct grig_call *grig_ask(struct grig *g, enum broker_group_op op, const struct grig_ask *a)
{
    struct grig_call *c = arena_array(&g->memory, 1, sizeof *c);
    c->rig = g;
    c->next = g->calls;
    g->calls = c;
    c->req = (struct broker_group){.op = op,
                                   .group = slice_str(a->group == NULL ? "g" : a->group),
                                   .member = grig_word(a->member),
                                   .instance = grig_word(a->instance),
                                   .generation = a->generation,
                                   .client_id = slice_str(a->client == NULL ? "c" : a->client),
                                   .client_host = slice_str("/127.0.0.1"),
                                   .done = grig_done,
                                   .ctx = c};
    grig_fill(g, &c->req, a);
    g->open++;
    groups_time(g->groups, g->mono, g->wall);
    groups_request(g->groups, &c->req);
    ck_assert(!c->answered);
    grig_turn(g);
    return c;
}
