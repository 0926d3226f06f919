/* SPDX-License-Identifier: MIT
 *
 * groups_sim: see groups_sim.h.
 */
#include "test/unit/broker/groups_sim.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/groups_view.h"

#define SIM_SESSION_MS 6000

struct sim_call {
    struct broker_group req;
    struct list link;
    struct sim_client *client; /* NULL: nobody waits for the answer */
    char group[16];
    char topic[16];
    char id[128];
    char instance[32];
    struct buf metadata;
    struct buf assignments[SIM_CLIENTS];
    char members[SIM_CLIENTS][128];
    struct broker_group_assigned assigned[SIM_CLIENTS];
    struct broker_group_protocol protocol;
    struct broker_group_leaver leaver;
    struct slice topics[1];
    struct broker_group_topic owned[SIM_TOPICS];
    int32_t numbers[SIM_TOPICS * SIM_PARTITIONS];
    struct broker_group_offset_item item;
    int commit_topic;
};

/* --- the environment --- */

static void sim_topic_id(int topic, uint8_t id[16])
{
    memset(id, 0, 16);
    id[15] = (uint8_t)(topic + 1);
}

static void sim_topic_of(const struct sim *s, int topic, struct groups_topic *out)
{
    static const char *const names[SIM_TOPICS] = {"t0", "t1", "t2"};
    out->name = slice_str(names[topic]);
    sim_topic_id(topic, out->id);
    out->partitions = s->partitions[topic];
}

static bool sim_topic(void *ctx, struct slice name, struct groups_topic *out)
{
    if (name.size != 2 || name.p[0] != 't' || name.p[1] < '0' || name.p[1] >= '0' + SIM_TOPICS)
        return false;
    sim_topic_of(ctx, name.p[1] - '0', out);
    return true;
}

static bool sim_topic_by_id(void *ctx, const uint8_t id[16], struct groups_topic *out)
{
    if (id[15] == 0 || id[15] > SIM_TOPICS)
        return false;
    sim_topic_of(ctx, id[15] - 1, out);
    return true;
}

static void sim_topics(void *ctx, void (*fn)(void *arg, const struct groups_topic *t), void *arg)
{
    struct groups_topic t;
    for (int i = 0; i < SIM_TOPICS; i++) {
        sim_topic_of(ctx, i, &t);
        fn(arg, &t);
    }
}

static void sim_put(void *ctx, struct slice key, struct slice value)
{
    struct sim *s = ctx;
    if (s->log_count == s->log_cap) {
        s->log_cap = s->log_cap == 0 ? 1024 : 2 * s->log_cap;
        s->log = realloc(s->log, s->log_cap * sizeof *s->log);
        ASSERT(s->log != NULL);
    }
    struct sim_record *r = &s->log[s->log_count++];
    *r = (struct sim_record){.tombstone = value.p == NULL};
    buf_append(&r->key, key.p, key.size);
    buf_append(&r->value, value.p, value.size);
}

static void sim_wait(void *ctx, struct groups_wait *w)
{
    struct sim *s = ctx;
    list_add_tail(&s->waits, &w->link);
}

static enum broker_status sim_settle(void *ctx, const struct broker_group_offset_item *item,
                                     struct groups_wait *w)
{
    (void)ctx, (void)item, (void)w;
    return BROKER_OK;
}

static void sim_ready(void *ctx, struct broker_group *req)
{
    struct sim *s = ctx;
    list_add_tail(&s->ready, &req->priv.link);
}

static void sim_truncate(struct sim *s, size_t count)
{
    while (s->log_count > count) {
        struct sim_record *r = &s->log[--s->log_count];
        buf_deinit(&r->key);
        buf_deinit(&r->value);
    }
}

/* A round ends: everything put so far is on disk, or nothing of it. */
static void sim_disk(struct sim *s, bool fails)
{
    struct list waits;
    list_init(&waits);
    list_splice(&waits, &s->waits);
    if (fails)
        sim_truncate(s, s->durable);
    s->durable = s->log_count;
    for (struct list *n = list_pop(&waits); n != NULL; n = list_pop(&waits)) {
        struct groups_wait *w = LIST_ENTRY(n, struct groups_wait, link);
        w->done(w, fails ? 1 : 0);
    }
}

static void sim_start(struct sim *s)
{
    s->groups = groups_new(&(struct groups_env){.config = s->config,
                                                .seed = random_u64(&s->random),
                                                .topic = sim_topic,
                                                .topic_by_id = sim_topic_by_id,
                                                .topics = sim_topics,
                                                .put = sim_put,
                                                .wait = sim_wait,
                                                .settle = sim_settle,
                                                .ready = sim_ready,
                                                .ctx = s});
    groups_time(s->groups, s->now, s->now);
    for (size_t i = 0; i < s->durable; i++) {
        const struct sim_record *r = &s->log[i];
        bool read = groups_load(s->groups, buf_slice(&r->key),
                                r->tombstone ? SLICE_NULL : buf_slice(&r->value));
        ASSERT(read);
    }
    groups_loaded(s->groups);
}

/* --- calls --- */

static void sim_call_free(struct sim_call *c)
{
    list_remove(&c->link);
    if (c->client != NULL && c->client->call == c)
        c->client->call = NULL;
    buf_deinit(&c->metadata);
    for (size_t i = 0; i < SIM_CLIENTS; i++)
        buf_deinit(&c->assignments[i]);
    free(c);
}

static void sim_answered(struct broker_group *req);

static struct sim_call *sim_call(struct sim_client *c, enum broker_group_op op)
{
    struct sim_call *call = calloc(1, sizeof *call);
    ASSERT(call != NULL && c->call == NULL);
    call->client = c;
    c->call = call;
    list_init(&call->link);
    list_add_tail(&c->sim->calls, &call->link);
    (void)snprintf(call->group, sizeof call->group, "g%d", c->group);
    (void)snprintf(call->topic, sizeof call->topic, "t%d", c->topic);
    (void)snprintf(call->id, sizeof call->id, "%s", c->id);
    (void)snprintf(call->instance, sizeof call->instance, "%s", c->instance);
    call->req = (struct broker_group){.op = op,
                                      .group = slice_str(call->group),
                                      .member = slice_str(call->id),
                                      .generation = c->generation,
                                      .client_id = slice_str("sim"),
                                      .client_host = slice_str("/here"),
                                      .done = sim_answered,
                                      .ctx = call};
    if (c->instance[0] != '\0')
        call->req.instance = slice_str(call->instance);
    return call;
}

static void sim_send(struct sim_call *call)
{
    struct groups *gs = call->client->sim->groups;
    groups_request(gs, &call->req);
}

static void sim_join(struct sim_client *c)
{
    struct sim_call *call = sim_call(c, BROKER_GROUP_JOIN);
    buf_append_be16(&call->metadata, 1);
    buf_append_be32(&call->metadata, 1);
    buf_append_be16(&call->metadata, 2);
    buf_append(&call->metadata, call->topic, 2);
    buf_append_be32(&call->metadata, 0xffffffff);
    c->held_count = 0; /* eager: everything is given up first */
    call->protocol = (struct broker_group_protocol){slice_str("range"), buf_slice(&call->metadata)};
    call->req.join = (struct broker_group_join){.protocol_type = slice_str("consumer"),
                                                .protocols = &call->protocol,
                                                .protocol_count = 1,
                                                .session_timeout_ms = SIM_SESSION_MS,
                                                .rebalance_timeout_ms = 3000,
                                                .id_required = true,
                                                .may_skip = true};
    sim_send(call);
}

/* The leader's part: its own topic's partitions, one after the other. */
static void sim_divide(struct sim_call *call, const struct broker_group_join *j)
{
    struct sim_client *c = call->client;
    c->divided = c->sim->partitions[c->topic];
    int32_t n = c->divided, members = (int32_t)j->member_count;
    for (int32_t i = 0; i < members; i++) {
        struct buf *b = &call->assignments[i];
        int32_t from = i * n / members, to = (i + 1) * n / members;
        buf_append_be16(b, 1);
        buf_append_be32(b, 1);
        buf_append_be16(b, 2);
        buf_append(b, call->topic, 2);
        buf_append_be32(b, (uint32_t)(to - from));
        for (int32_t p = from; p < to; p++)
            buf_append_be32(b, (uint32_t)p);
        buf_append_be32(b, 0xffffffff);
        (void)snprintf(call->members[i], sizeof call->members[i], "%.*s",
                       (int)j->members[i].id.size, (const char *)j->members[i].id.p);
        call->assigned[i] =
            (struct broker_group_assigned){slice_str(call->members[i]), buf_slice(b)};
    }
    call->req.sync.assignments = call->assigned;
    call->req.sync.assignment_count = j->member_count;
}

static void sim_sync(struct sim_client *c, const struct broker_group_join *j)
{
    struct sim_call *call = sim_call(c, BROKER_GROUP_SYNC);
    if (j->member_count == 0)
        c->divided = 0;
    else if (!j->skip_assignment)
        sim_divide(call, j);
    sim_send(call);
}

static void sim_beat(struct sim_client *c, int32_t epoch)
{
    struct sim_call *call = sim_call(c, BROKER_GROUP_BEAT);
    struct broker_group_beat *b = &call->req.beat;
    call->req.generation = epoch;
    *b = (struct broker_group_beat){.rebalance_timeout_ms = 3000};
    call->topics[0] = slice_str(call->topic);
    b->topics = call->topics;
    b->topic_count = 1;
    b->owned = call->owned;
    size_t at = 0;
    for (int t = 0; t < SIM_TOPICS; t++) {
        struct broker_group_topic *o = &call->owned[b->owned_count];
        o->partitions = &call->numbers[at];
        sim_topic_id(t, o->id);
        for (size_t i = 0; i < c->held_count; i++)
            if (c->held[i].topic == t)
                call->numbers[at++] = c->held[i].partition;
        o->count = (size_t)(&call->numbers[at] - o->partitions);
        b->owned_count += o->count > 0;
    }
    sim_send(call);
}

static void sim_commit(struct sim_client *c)
{
    const struct sim_tp *tp = &c->held[random_below(&c->sim->random, c->held_count)];
    struct sim_call *call = sim_call(c, BROKER_GROUP_COMMIT);
    (void)snprintf(call->topic, sizeof call->topic, "t%d", tp->topic);
    call->commit_topic = tp->topic;
    call->item = (struct broker_group_offset_item){.topic = slice_str(call->topic),
                                                   .partition = tp->partition,
                                                   .offset = ++c->sim->sent,
                                                   .leader_epoch = -1,
                                                   .metadata = slice_str("")};
    call->req.commit = (struct broker_group_offsets){&call->item, 1};
    sim_send(call);
}

/* --- answers --- */

static void sim_lose(struct sim_client *c)
{
    c->held_count = 0;
    c->member = false;
    c->step = SIM_IDLE;
    c->generation = c->consumer ? 0 : -1;
}

/* The join's answer is read, and followed at once, as clients do. */
static void sim_join_answered(struct sim_client *c, struct sim_call *call)
{
    struct broker_group_join *j = &call->req.join;
    if (call->req.status == BROKER_MEMBER_ID_REQUIRED) {
        (void)snprintf(c->id, sizeof c->id, "%.*s", (int)j->member.size, (const char *)j->member.p);
        return;
    }
    if (call->req.status == BROKER_UNKNOWN_MEMBER || call->req.status == BROKER_INSTANCE_FENCED)
        c->id[0] = '\0';
    if (call->req.status != BROKER_OK)
        return;
    (void)snprintf(c->id, sizeof c->id, "%.*s", (int)j->member.size, (const char *)j->member.p);
    c->generation = j->generation;
    c->member = true;
    c->call = NULL;
    call->client = NULL; /* free for the next */
    sim_sync(c, j);
}

static void sim_hold(struct sim_client *c, int topic, int32_t partition)
{
    ASSERT(c->held_count < SIM_TOPICS * SIM_PARTITIONS);
    c->held[c->held_count++] = (struct sim_tp){topic, partition};
}

static void sim_sync_answered(struct sim_client *c, const struct broker_group *req)
{
    struct slice in = req->sync.assignment;
    if (req->status == BROKER_UNKNOWN_MEMBER || req->status == BROKER_INSTANCE_FENCED)
        c->id[0] = '\0';
    if (req->status != BROKER_OK) {
        sim_lose(c);
        return;
    }
    c->held_count = 0;
    c->step = SIM_JOINED;
    if (in.size < 14)
        return;
    int topic = in.p[9 - 1 + 0] == 't' ? in.p[9] - '0' : 0;
    uint32_t count = bytes_be32(in.p + 10);
    for (uint32_t i = 0; i < count; i++)
        sim_hold(c, topic, (int32_t)bytes_be32(in.p + 14 + 4 * i));
}

static void sim_beat_answered(struct sim_client *c, const struct broker_group *req)
{
    const struct broker_group_beat *b = &req->beat;
    if (req->status == BROKER_GROUP_UNAVAILABLE || req->status == BROKER_GROUP_LOADING)
        return;
    if (req->status != BROKER_OK) {
        sim_lose(c);
        return;
    }
    c->generation = b->epoch;
    c->member = true;
    c->step = SIM_JOINED;
    if (!b->has_assignment)
        return;
    c->held_count = 0;
    for (size_t i = 0; i < b->assignment_count; i++)
        for (size_t k = 0; k < b->assignment[i].count; k++)
            sim_hold(c, b->assignment[i].id[15] - 1, b->assignment[i].partitions[k]);
}

static void sim_commit_answered(struct sim *s, const struct sim_call *call)
{
    if (call->req.status != BROKER_OK || call->item.status != BROKER_OK)
        return;
    int64_t *acked = &s->acked[call->group[1] - '0'][call->commit_topic][call->item.partition];
    if (call->item.offset > *acked)
        *acked = call->item.offset;
    s->commits++;
}

static void sim_answered(struct broker_group *req)
{
    struct sim_call *call = req->ctx;
    struct sim_client *c = call->client;
    bool lost = c == NULL || !c->alive || c->paused ||
                (c->sim->faults && random_below(&c->sim->random, 50) == 0);
    if (req->op == BROKER_GROUP_COMMIT && c != NULL)
        sim_commit_answered(c->sim, call);
    if (!lost && req->op == BROKER_GROUP_JOIN)
        sim_join_answered(c, call);
    else if (!lost && req->op == BROKER_GROUP_SYNC)
        sim_sync_answered(c, req);
    else if (!lost && req->op == BROKER_GROUP_BEAT && req->generation >= 0)
        sim_beat_answered(c, req);
    else if (!lost && req->op == BROKER_GROUP_HEARTBEAT && req->status != BROKER_OK) {
        c->step = SIM_IDLE; /* join again */
        if (req->status == BROKER_UNKNOWN_MEMBER || req->status == BROKER_INSTANCE_FENCED)
            c->id[0] = '\0';
        if (req->status != BROKER_REBALANCE)
            sim_lose(c);
    }
    sim_call_free(call);
}

static void sim_deliver(struct sim *s)
{
    struct list ready;
    list_init(&ready);
    list_splice(&ready, &s->ready);
    for (struct list *n = list_pop(&ready); n != NULL; n = list_pop(&ready)) {
        struct broker_group *req = LIST_ENTRY(n, struct broker_group, priv.link);
        void *results = req->priv.state;
        req->done(req);
        groups_release(results);
    }
}

/* --- clients --- */

static void sim_born(struct sim *s, struct sim_client *c)
{
    static unsigned char letters[] = "0123456789abcdef";
    *c = (struct sim_client){.sim = s, .alive = true};
    c->group = (int)random_below(&s->random, SIM_GROUPS);
    c->consumer = c->group % 2 == 1;
    c->topic = c->group % SIM_TOPICS;
    if (c->consumer && random_below(&s->random, 3) == 0)
        c->topic = (int)random_below(&s->random, SIM_TOPICS);
    if (c->consumer)
        for (int i = 0; i < 20; i++)
            c->id[i] = (char)letters[random_below(&s->random, 16)];
    if (random_below(&s->random, 4) == 0)
        (void)snprintf(c->instance, sizeof c->instance, "i%d", (int)(c - s->clients));
    c->generation = c->consumer ? 0 : -1;
}

static void sim_leave(struct sim_client *c)
{
    if (c->consumer) {
        sim_beat(c, c->instance[0] != '\0' && random_below(&c->sim->random, 2) == 0
                        ? BROKER_GROUP_EPOCH_LEAVE_STATIC
                        : BROKER_GROUP_EPOCH_LEAVE);
        return;
    }
    struct sim_call *call = sim_call(c, BROKER_GROUP_LEAVE);
    call->leaver =
        (struct broker_group_leaver){.member = slice_str(call->id), .instance = call->req.instance};
    call->req.leave = (struct broker_group_leave){&call->leaver, 1};
    sim_send(call);
}

static void sim_die(struct sim_client *c, bool politely)
{
    if (politely && c->member && c->call == NULL)
        sim_leave(c);
    c->alive = false;
    c->held_count = 0;
    if (c->call != NULL)
        c->call->client = NULL;
    c->call = NULL;
}

static void sim_fault(struct sim_client *c)
{
    struct sim *s = c->sim;
    uint64_t dice = random_below(&s->random, 400);
    if (dice == 0) {
        sim_die(c, random_below(&s->random, 2) == 0);
    } else if (dice <= 2) {
        c->paused = true;
        c->until = s->now + (int64_t)random_below(&s->random, 3 * SIM_SESSION_MS);
    } else if (dice == 3 && c->call != NULL) { /* its connection breaks: it asks anew */
        c->call->client = NULL;
        c->call = NULL;
        c->until = s->now + 100;
    }
}

static void sim_act(struct sim_client *c)
{
    struct sim *s = c->sim;
    if (c->paused && s->now >= c->until)
        c->paused = false;
    if (c->paused || c->call != NULL || s->now < c->until)
        return;
    c->until = s->now + 200 + (int64_t)random_below(&s->random, 600);
    if (c->step == SIM_JOINED && c->divided > 0 && c->divided != s->partitions[c->topic])
        c->step = SIM_IDLE; /* the topic grew: the leader asks for a rebalance */
    if (c->consumer) {
        if (c->step == SIM_JOINED && c->held_count > 0 && random_below(&s->random, 3) == 0)
            sim_commit(c);
        else
            sim_beat(c, c->member ? c->generation : BROKER_GROUP_EPOCH_JOIN);
    } else if (c->step == SIM_IDLE) {
        sim_join(c);
    } else if (c->held_count > 0 && random_below(&s->random, 2) == 0) {
        sim_commit(c);
    } else {
        sim_send(sim_call(c, BROKER_GROUP_HEARTBEAT));
    }
}

/* --- the judge --- */

static bool sim_counts(const struct sim *s, const struct sim_client *c)
{
    char name[16];
    (void)snprintf(name, sizeof name, "g%d", c->group);
    const struct group *g = groups_find(s->groups, slice_str(name));
    const struct group_member *m = g == NULL ? NULL : group_find_member(g, slice_str(c->id));
    return c->alive && c->member && m != NULL && !m->away;
}

static bool sim_rivals(const struct sim *s, const struct sim_client *a, const struct sim_client *b)
{
    if (a->group != b->group || !a->alive || !b->alive)
        return false;
    if (a->consumer)
        return sim_counts(s, a) && sim_counts(s, b); /* J2 */
    return a->step == SIM_JOINED && b->step == SIM_JOINED &&
           a->generation == b->generation; /* J1 */
}

static void sim_accuse(const struct sim *s, const struct sim_client *a, const struct sim_client *b,
                       const struct sim_tp *tp)
{
    struct buf text = {0};
    groups_dump(s->groups, &text);
    fprintf(stderr, "%.*sg%d: %s (%s, generation %d) and %s (%s, generation %d) hold t%d-%d\n",
            (int)text.size, (const char *)text.p, a->group, a->id, a->instance, a->generation,
            b->id, b->instance, b->generation, tp->topic, tp->partition);
    buf_deinit(&text);
    ASSERT(false);
}

static void sim_judge_pair(const struct sim *s, const struct sim_client *a,
                           const struct sim_client *b)
{
    if (!sim_rivals(s, a, b))
        return;
    for (size_t i = 0; i < a->held_count; i++)
        for (size_t k = 0; k < b->held_count; k++)
            if (a->held[i].topic == b->held[k].topic &&
                a->held[i].partition == b->held[k].partition)
                sim_accuse(s, a, b, &a->held[i]);
}

static void sim_judge_offsets(const struct sim *s)
{
    struct broker_group_offset o;
    char name[16];
    for (int g = 0; g < SIM_GROUPS; g++) {
        (void)snprintf(name, sizeof name, "g%d", g);
        const struct group *group = groups_find(s->groups, slice_str(name));
        for (int t = 0; t < SIM_TOPICS; t++)
            for (int32_t p = 0; p < s->partitions[t]; p++) {
                struct groups_topic topic;
                if (s->acked[g][t][p] == 0)
                    continue;
                sim_topic_of(s, t, &topic);
                int r = group == NULL ? 1 : groups_view_offset(s->groups, group, topic.name, p, &o);
                ASSERT(r == 0 && o.offset >= s->acked[g][t][p]); /* J3 */
            }
    }
}

static void sim_judge(const struct sim *s)
{
    for (size_t i = 0; i < SIM_CLIENTS; i++)
        for (size_t k = i + 1; k < SIM_CLIENTS; k++)
            sim_judge_pair(s, &s->clients[i], &s->clients[k]);
    sim_judge_offsets(s);
    groups_check(s->groups);
}

/* Every wanted partition of the group has one holder, and nobody waits. */
static bool sim_group_settled(const struct sim *s, int group)
{
    int holders[SIM_TOPICS][SIM_PARTITIONS] = {0};
    bool wanted[SIM_TOPICS] = {false};
    char name[16];
    (void)snprintf(name, sizeof name, "g%d", group);
    const struct group *g = groups_find(s->groups, slice_str(name));
    size_t members = 0;
    for (size_t i = 0; i < SIM_CLIENTS; i++) {
        const struct sim_client *c = &s->clients[i];
        if (!c->alive || c->group != group)
            continue;
        members++;
        wanted[c->topic] = true;
        for (size_t k = 0; k < c->held_count; k++)
            holders[c->held[k].topic][c->held[k].partition]++;
    }
    if (members == 0)
        return true;
    if (g == NULL || g->state != BROKER_GROUP_STABLE || g->member_count != members)
        return false;
    for (int t = 0; t < SIM_TOPICS; t++)
        for (int32_t p = 0; p < s->partitions[t]; p++)
            if (holders[t][p] != (wanted[t] ? 1 : 0))
                return false;
    return true;
}

void sim_dump(const struct sim *s)
{
    struct buf text = {0};
    groups_dump(s->groups, &text);
    fprintf(stderr, "%.*s", (int)text.size, (const char *)text.p);
    buf_deinit(&text);
    for (size_t i = 0; i < SIM_CLIENTS; i++) {
        const struct sim_client *c = &s->clients[i];
        if (c->alive)
            fprintf(stderr, "%zu: g%d t%d %s (%s) %s generation %d holds %zu%s%s\n", i, c->group,
                    c->topic, c->id, c->instance, c->member ? "member" : "out", c->generation,
                    c->held_count, c->call != NULL ? " calls" : "",
                    c->step == SIM_JOINED ? " joined" : "");
    }
}

bool sim_settled(const struct sim *s)
{
    for (int g = 0; g < SIM_GROUPS; g++)
        if (!sim_group_settled(s, g))
            return false;
    return true;
}

/* --- the world --- */

static void sim_restart(struct sim *s)
{
    struct list waits;
    list_init(&waits);
    list_splice(&waits, &s->waits);
    s->restarts++;
    if (random_below(&s->random, 2) == 0) /* a round that reached the disk, though nobody heard */
        s->durable = s->log_count;
    sim_truncate(s, s->durable);
    for (struct list *n = list_pop(&waits); n != NULL; n = list_pop(&waits)) {
        struct groups_wait *w = LIST_ENTRY(n, struct groups_wait, link);
        w->done(w, -1); /* frees what waits */
    }
    for (struct list *n = list_pop(&s->ready); n != NULL; n = list_pop(&s->ready))
        groups_release(LIST_ENTRY(n, struct broker_group, priv.link)->priv.state);
    sim_truncate(s, s->durable);
    groups_free(s->groups);
    while (!list_empty(&s->calls)) /* nobody is answered */
        sim_call_free(LIST_ENTRY(s->calls.next, struct sim_call, link));
    s->now += (int64_t)random_below(&s->random, 2000);
    sim_start(s);
}

void sim_step(struct sim *s)
{
    s->now += (int64_t)random_below(&s->random, 120);
    groups_time(s->groups, s->now, s->now);
    for (size_t i = 0; i < SIM_CLIENTS; i++) {
        struct sim_client *c = &s->clients[i];
        if (!c->alive && s->faults && random_below(&s->random, 200) == 0 && c->call == NULL)
            sim_born(s, c);
        if (c->alive && s->faults)
            sim_fault(c);
        if (c->alive)
            sim_act(c);
    }
    groups_run(s->groups);
    if (!s->faults || random_below(&s->random, 3) > 0)
        sim_disk(s, s->faults && random_below(&s->random, 60) == 0);
    sim_deliver(s);
    if (s->faults && random_below(&s->random, 300) == 0)
        sim_restart(s);
    if (s->faults && random_below(&s->random, 500) == 0) {
        int t = (int)random_below(&s->random, SIM_TOPICS);
        s->partitions[t] += s->partitions[t] < SIM_PARTITIONS;
        groups_topics_changed(s->groups);
    }
    sim_judge(s);
}

void sim_calm(struct sim *s)
{
    s->faults = false;
    for (size_t i = 0; i < SIM_CLIENTS; i++)
        s->clients[i].paused = false;
}

static void sim_set(struct sim *s, const char *key, const char *value)
{
    char message[256];
    int r = config_set(s->config, CONFIG_FROM_FLAG, slice_str(key), slice_str(value), message);
    ASSERT(r == 0);
}

void sim_init(struct sim *s, uint64_t seed)
{
    *s = (struct sim){.faults = true};
    random_init(&s->random, seed);
    list_init(&s->waits);
    list_init(&s->ready);
    list_init(&s->calls);
    s->config = config_new();
    sim_set(s, "group.initial.rebalance.delay.ms", seed % 2 == 0 ? "0" : "500");
    sim_set(s, "group.consumer.session.timeout.ms", "6000");
    sim_set(s, "group.consumer.heartbeat.interval.ms", "1000");
    s->now = 1000000;
    for (int i = 0; i < SIM_TOPICS; i++)
        s->partitions[i] = 1 + (int32_t)random_below(&s->random, SIM_PARTITIONS);
    for (size_t i = 0; i < SIM_CLIENTS; i++)
        s->clients[i].sim = s;
    sim_start(s);
}

void sim_deinit(struct sim *s)
{
    struct list waits;
    list_init(&waits);
    list_splice(&waits, &s->waits);
    for (struct list *n = list_pop(&waits); n != NULL; n = list_pop(&waits)) {
        struct groups_wait *w = LIST_ENTRY(n, struct groups_wait, link);
        w->done(w, -1);
    }
    for (struct list *n = list_pop(&s->ready); n != NULL; n = list_pop(&s->ready))
        groups_release(LIST_ENTRY(n, struct broker_group, priv.link)->priv.state);
    groups_free(s->groups);
    while (!list_empty(&s->calls))
        sim_call_free(LIST_ENTRY(s->calls.next, struct sim_call, link));
    sim_truncate(s, 0);
    free(s->log);
    config_free(s->config);
}
