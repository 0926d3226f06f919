/* SPDX-License-Identifier: MIT
 *
 * groups_random: the group engine under requests by seed.
 *
 *   anything   every operation with words out of small pools, so that they meet: right and wrong
 *              ones, both models, topics that come and go, disks that hold back or are full, time,
 *              stalls, restarts. The rig's checks and the engine's assertions judge; and every
 *              request is answered in the end
 *   clients    members of the consumer model that do as they are told, while answers are lost, the
 *              disk fails and the broker restarts: no partition is ever in the hands of two of
 *              them, and in quiet they come to rest with every partition handed out
 *
 * KAURI_TEST_LONG=1: twenty times the seeds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/random.h"
#include "test/unit/broker/groups_rig.h"

#define ANYTHING_STEPS 150
#define ANYTHING_SEEDS 40
#define CLIENTS        5
#define CLIENT_STEPS   300
#define CLIENT_SEEDS   16

static unsigned seeds(unsigned few)
{
    return getenv("KAURI_TEST_LONG") != NULL ? 20 * few : few;
}

static uint32_t pick(struct random *r, uint32_t n)
{
    return (uint32_t)(random_u64(r) % n);
}

#define PICK(r, list) (list)[pick(r, sizeof(list) / sizeof((list)[0]))]

/* --- anything --- */

static struct grig_topic *topic_named(struct grig *g, const char *name)
{
    for (size_t i = 0; i < g->topic_count; i++)
        if (!g->topics[i].gone && strcmp(g->topics[i].name, name) == 0)
            return &g->topics[i];
    return NULL;
}

static void change_topics(struct grig *g, struct random *r)
{
    static const char *const names[] = {"t", "u", "v"};
    const char *name = PICK(r, names);
    struct grig_topic *t = topic_named(g, name);
    if (t == NULL && g->topic_count < GRIG_TOPICS_MAX)
        t = grig_topic(g, name, 1 + (int32_t)pick(r, 4));
    else if (t != NULL && pick(r, 3) == 0)
        grig_topic_delete(g, t);
    else if (t != NULL && t->partitions < 8)
        grig_topic_grow(g, t, t->partitions + 1);
    if (t != NULL)
        t->durable = (int64_t)pick(r, 100);
}

/* An id that somebody has, or nobody. */
static const char *any_member(struct grig *g, struct random *r, const char *name)
{
    static const char *const wrong[] = {NULL, NULL, "", "a", "b", "c", "stranger"};
    const struct group *group = grig_group(g, name);
    uint32_t at =
        group == NULL || group->member_count == 0 ? 0 : pick(r, (uint32_t)group->member_count);
    if (group == NULL || group->member_count == 0 || pick(r, 4) == 0) {
        if (group != NULL && group->pending_count > 0 && pick(r, 2) == 0)
            return grig_text(
                g, slice_str(LIST_ENTRY(group->pending.next, struct group_pending, link)->id));
        return PICK(r, wrong);
    }
    LIST_EACH (node, &group->members) {
        if (at-- == 0)
            return grig_text(g, slice_str(LIST_ENTRY(node, struct group_member, link)->id));
    }
    return NULL;
}

static int32_t any_epoch(struct grig *g, struct random *r, const char *name, const char *member)
{
    const struct group *group = grig_group(g, name);
    static const int32_t wrong[] = {-3, -2, -1, 0, 1, 2};
    if (group == NULL || pick(r, 4) == 0)
        return PICK(r, wrong);
    const struct group_member *m =
        member == NULL ? NULL : group_find_member(group, slice_str(member));
    if (group->type == BROKER_GROUP_CONSUMER && m != NULL)
        return pick(r, 3) == 0 ? m->previous_epoch : m->epoch;
    return group->generation;
}

static void any_request(struct grig *g, struct random *r)
{
    static const char *const names[] = {NULL, NULL, NULL, "h", ""};
    static const char *const instances[] = {NULL, NULL, NULL, "i", "j"};
    static const char *const protocols[] = {NULL, "range,sticky", "sticky,range", "x", ""};
    static const char *const topics[] = {"t", "t,u", "u,v", "", NULL, NULL};
    static const char *const owned[] = {NULL, "", "t:0", "t:0,1;u:0", "v:0,1,2"};
    static const char *const regex[] = {NULL, NULL, "t|v", "", "("};
    static const char *const offsets[] = {"t:0=5", "t:0=99;u:1=7", "v:0=101;t:1=0", "x:0=1", ""};
    static const char *const leavers[] = {"@i", "a;b", "c@j;@j", ""};
    static const enum broker_group_op ops[] = {
        BROKER_GROUP_JOIN,      BROKER_GROUP_JOIN,   BROKER_GROUP_JOIN,  BROKER_GROUP_SYNC,
        BROKER_GROUP_SYNC,      BROKER_GROUP_BEAT,   BROKER_GROUP_BEAT,  BROKER_GROUP_BEAT,
        BROKER_GROUP_HEARTBEAT, BROKER_GROUP_LEAVE,  BROKER_GROUP_LEAVE, BROKER_GROUP_COMMIT,
        BROKER_GROUP_COMMIT,    BROKER_GROUP_FORGET, BROKER_GROUP_DELETE};
    enum broker_group_op op = PICK(r, ops);
    struct grig_ask a = {.group = PICK(r, names), .instance = PICK(r, instances)};
    char assign[400];
    a.member = any_member(g, r, a.group);
    a.generation = any_epoch(g, r, a.group, a.member);
    snprintf(assign, sizeof assign, "%s=one;a=two", a.member == NULL ? "" : a.member);
    a.assign = assign;
    a.protocols = PICK(r, protocols);
    a.topics = PICK(r, topics);
    a.owned = PICK(r, owned);
    a.owned_by_id = pick(r, 2) == 0;
    a.regex = PICK(r, regex);
    a.offsets = PICK(r, offsets);
    a.leavers = a.member != NULL && pick(r, 2) == 0 ? a.member : PICK(r, leavers);
    a.id_required = pick(r, 2) == 0;
    a.may_skip = pick(r, 2) == 0;
    a.session_ms = 6000 + 1000 * (int32_t)pick(r, 20);
    a.rebalance_ms = 1000 * (int32_t)(1 + pick(r, 30));
    if (op == BROKER_GROUP_BEAT && pick(r, 2) == 0)
        a.generation = 0;
    (void)grig_ask(g, op, &a);
}

static void any_disk(struct grig *g, struct random *r)
{
    if (g->disk == GRIG_DISK_HELD && g->wait_count > 0)
        grig_disk(g, 1 + pick(r, (uint32_t)g->wait_count), pick(r, 4) == 0 ? -ENOSPC : 0);
    else if (g->wait_count == 0)
        g->disk = (enum grig_disk)(pick(r, 5) % 3);
    if (g->settle_count > 0)
        grig_settle(g, pick(r, 4) == 0 ? -EIO : 0);
    g->settle_held = pick(r, 2) == 0;
}

static void any_step(struct grig *g, struct random *r)
{
    uint32_t what = pick(r, 100);
    if (what < 75)
        any_request(g, r);
    else if (what < 85)
        any_disk(g, r);
    else if (what < 89)
        change_topics(g, r);
    else if (what < 96)
        grig_sleep(g, (int64_t)pick(r, 12000));
    else if (what < 98)
        grig_stall(g, (int64_t)pick(r, 60000));
    else if (what < 99)
        grig_wall(g, INT64_C(604800000));
    else
        grig_restart(g, (enum grig_load)pick(r, GRIG_LOAD_COUNT));
}

START_TEST(anything)
{
    const char *const sets[] = {"group.initial.rebalance.delay.ms=500", "group.max.size=4",
                                "group.consumer.max.size=4", "groups.max=2", NULL};
    for (unsigned seed = 0; seed < seeds(ANYTHING_SEEDS); seed++) {
        struct grig g;
        struct random r;
        random_init(&r, seed);
        grig_init(&g, sets);
        g.number = seed;
        for (int i = 0; i < ANYTHING_STEPS; i++)
            any_step(&g, &r);
        g.settle_held = false;
        g.disk = GRIG_DISK_AT_ONCE;
        grig_sleep(&g, 200000);
        for (const struct grig_call *c = g.calls; c != NULL; c = c->next)
            ck_assert_msg(c->answered || c->lost, "seed %u: op %d is never answered", seed,
                          c->req.op);
        grig_deinit(&g);
    }
}
END_TEST

/* --- clients --- */

#define HAS_TOPICS     2
#define HAS_PARTITIONS 8

struct client {
    char id[8];
    int32_t epoch; /* 0: is to join */
    bool has[HAS_TOPICS][HAS_PARTITIONS];
};

struct world {
    struct grig g;
    struct random random;
    struct client clients[CLIENTS];
    unsigned seed;
};

static void client_drop(struct client *c)
{
    c->epoch = 0;
    memset(c->has, 0, sizeof c->has);
}

static void world_check(const struct world *w)
{
    for (int t = 0; t < HAS_TOPICS; t++)
        for (int p = 0; p < HAS_PARTITIONS; p++) {
            int owners = 0;
            for (int i = 0; i < CLIENTS; i++)
                owners += w->clients[i].has[t][p];
            ck_assert_msg(owners <= 1, "seed %u: %c-%d has %d owners", w->seed, 't' + t, p, owners);
        }
}

static const char *client_owned(struct world *w, const struct client *c)
{
    struct buf out = {0};
    for (int t = 0; t < HAS_TOPICS; t++) {
        bool first = true;
        for (int p = 0; p < HAS_PARTITIONS; p++) {
            if (!c->has[t][p])
                continue;
            if (first && out.size > 0)
                buf_printf(&out, ";");
            if (first)
                buf_printf(&out, "%c:%d", 't' + t, p);
            else
                buf_printf(&out, ",%d", p);
            first = false;
        }
    }
    const char *text = grig_text(&w->g, buf_slice(&out));
    buf_deinit(&out);
    return text;
}

static void client_take(struct client *c, const struct broker_group_beat *b)
{
    c->epoch = b->epoch;
    if (!b->has_assignment)
        return;
    memset(c->has, 0, sizeof c->has);
    for (size_t i = 0; i < b->assignment_count; i++)
        for (size_t k = 0; k < b->assignment[i].count; k++)
            c->has[b->assignment[i].name.p[0] - 't'][b->assignment[i].partitions[k]] = true;
}

/* A heartbeat that tells everything; its answer may be lost. */
static void client_beat(struct world *w, struct client *c, bool lossy)
{
    static const char *const topics[] = {"t", "u", "t,u"};
    struct grig_ask a = {.member = c->id,
                         .generation = c->epoch,
                         .topics = lossy ? PICK(&w->random, topics) : "t,u",
                         .owned = client_owned(w, c),
                         .rebalance_ms = 60000};
    struct grig_call *call = grig_ask(&w->g, BROKER_GROUP_BEAT, &a);
    if (w->g.wait_count > 0)
        grig_disk(&w->g, w->g.wait_count, lossy && pick(&w->random, 8) == 0 ? -ENOSPC : 0);
    ck_assert(call->answered);
    if (lossy && pick(&w->random, 6) == 0)
        return;
    if (call->req.status == BROKER_OK)
        client_take(c, &call->req.beat);
    else if (call->req.status == BROKER_UNKNOWN_MEMBER ||
             call->req.status == BROKER_MEMBER_EPOCH_FENCED)
        client_drop(c);
    else
        ck_assert_int_eq(call->req.status, BROKER_GROUP_UNAVAILABLE);
}

static void client_leave(struct world *w, struct client *c)
{
    struct grig_ask a = {.member = c->id, .generation = BROKER_GROUP_EPOCH_LEAVE};
    client_drop(c);
    (void)grig_ask(&w->g, BROKER_GROUP_BEAT, &a);
    if (w->g.wait_count > 0)
        grig_disk(&w->g, w->g.wait_count, 0);
}

static void world_step(struct world *w)
{
    struct client *c = &w->clients[pick(&w->random, CLIENTS)];
    uint32_t what = pick(&w->random, 100);
    if (what < 80)
        client_beat(w, c, true);
    else if (what < 84 && c->epoch > 0)
        client_leave(w, c);
    else if (what < 88)
        grig_restart(&w->g, (enum grig_load)pick(&w->random, GRIG_LOAD_COUNT));
    else if (what < 90 && w->g.topics[0].partitions < HAS_PARTITIONS)
        grig_topic_grow(&w->g, &w->g.topics[0], w->g.topics[0].partitions + 1);
    else if (what < 94)
        w->g.disk = pick(&w->random, 3) == 0 ? GRIG_DISK_HELD : GRIG_DISK_AT_ONCE;
    else
        grig_sleep(&w->g, 100);
    world_check(w);
}

static void world_rest(struct world *w)
{
    int owned = 0;
    w->g.disk = GRIG_DISK_AT_ONCE;
    for (int round = 0; round < 12; round++)
        for (int i = 0; i < CLIENTS; i++) {
            client_beat(w, &w->clients[i], false);
            world_check(w);
        }
    ck_assert_str_eq(grig_group_state(&w->g), "Stable");
    for (int i = 0; i < CLIENTS; i++)
        for (int t = 0; t < HAS_TOPICS; t++)
            for (int p = 0; p < HAS_PARTITIONS; p++)
                owned += w->clients[i].has[t][p];
    ck_assert_int_eq(owned, w->g.topics[0].partitions + w->g.topics[1].partitions);
}

START_TEST(clients)
{
    for (unsigned seed = 0; seed < seeds(CLIENT_SEEDS); seed++) {
        struct world w = {.seed = seed};
        random_init(&w.random, seed);
        grig_init(&w.g, NULL);
        w.g.number = seed;
        w.g.blind = seed % 8 != 0; /* it takes its time */
        grig_topic(&w.g, "t", 3);
        grig_topic(&w.g, "u", 2);
        for (int i = 0; i < CLIENTS; i++)
            snprintf(w.clients[i].id, sizeof w.clients[i].id, "m%d", i);
        for (int i = 0; i < CLIENT_STEPS; i++) {
            world_step(&w);
            if (i % 100 == 99)
                world_rest(&w);
        }
        grig_deinit(&w.g);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {anything, clients};
    return GRIG_MAIN("broker/groups_random", tests);
}
