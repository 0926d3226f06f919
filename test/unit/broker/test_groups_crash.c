/* SPDX-License-Identifier: MIT
 *
 * test_groups_crash: groups of a whole broker over the crash disk. A workload commits offsets and
 * takes a member through its generations while the broker is killed, loses its power (which loses,
 * reorders and tears by seed what was not synced) or meets an I/O error at any call. After each
 * start:
 *
 *   - every commit that was answered is there, or one that was asked for after it
 *   - no group stands beyond the end of a partition, not even where durability is os
 *   - a member whose assignment was answered goes on in its generation
 *
 * 60 seeds; 1,000 with KAURI_TEST_LONG=1.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/list.h"
#include "engine/broker/broker_group.h"
#include "test/unit/broker/rig.h"

#define CRASH_GROUPS 3
#define CRASH_TOPICS 2

static const char *const crash_topics[CRASH_TOPICS] = {"safe", "fast"};

struct crash_request {
    struct broker_group req;
    struct list link; /* crash->requests */
    struct crash *crash;
    char group[16];
    char member[64];
    struct broker_group_offset_item item;
    struct broker_group_protocol protocol;
    struct broker_group_assigned assigned;
    int topic;
    int number; /* of the group */
    bool answered;
};

struct crash {
    struct rig *g;
    struct random random;
    struct list requests;
    int64_t acked[CRASH_GROUPS][CRASH_TOPICS]; /* answered; -1 none */
    int64_t asked[CRASH_GROUPS][CRASH_TOPICS][512];
    size_t asked_count[CRASH_GROUPS][CRASH_TOPICS]; /* since the last answer, oldest first */
    int64_t ends[CRASH_TOPICS];
    char member[64];
    int32_t generation; /* answered with its assignment; 0 none */
    bool moving;        /* a join or sync is under way: nothing is certain */
    size_t answered;
    uint64_t tag;
};

static void crash_done(struct broker_group *req)
{
    struct crash_request *r = req->ctx;
    struct crash *c = r->crash;
    r->answered = true;
    c->answered++;
    if (req->op == BROKER_GROUP_COMMIT && req->status == BROKER_OK && r->item.status == BROKER_OK) {
        c->acked[r->number][r->topic] = r->item.offset;
        c->asked_count[r->number][r->topic] = 0;
    }
    if (req->op == BROKER_GROUP_JOIN && req->status == BROKER_OK) {
        (void)snprintf(c->member, sizeof c->member, "%.*s", (int)req->join.member.size,
                       (const char *)req->join.member.p);
        c->generation = req->join.generation;
    }
    if (req->op == BROKER_GROUP_SYNC)
        c->moving = req->status != BROKER_OK;
}

static struct crash_request *crash_request(struct crash *c, enum broker_group_op op, int group)
{
    struct crash_request *r = calloc(1, sizeof *r);
    ck_assert_ptr_nonnull(r);
    list_init(&r->link);
    list_add_tail(&c->requests, &r->link);
    (void)snprintf(r->group, sizeof r->group, "g%d", group);
    (void)snprintf(r->member, sizeof r->member, "%s", c->member);
    r->crash = c;
    r->number = group;
    r->req = (struct broker_group){.op = op,
                                   .group = slice_str(r->group),
                                   .member = slice_str(""),
                                   .generation = -1,
                                   .client_id = slice_str("crash"),
                                   .client_host = slice_str("/here"),
                                   .done = crash_done,
                                   .ctx = r};
    return r;
}

/* An administrator's commit of any offset that there is. One at a time per group and topic. */
static void crash_commit(struct crash *c)
{
    int group = (int)random_below(&c->random, CRASH_GROUPS - 1) + 1;
    int topic = (int)random_below(&c->random, CRASH_TOPICS);
    struct crash_request *r = crash_request(c, BROKER_GROUP_COMMIT, group);
    int64_t offset = (int64_t)random_below(&c->random, (uint64_t)c->ends[topic] + 1);
    size_t *count = &c->asked_count[group][topic];
    if (*count < 512)
        c->asked[group][topic][(*count)++] = offset;
    r->topic = topic;
    r->item = (struct broker_group_offset_item){.topic = slice_str(crash_topics[topic]),
                                                .offset = offset,
                                                .leader_epoch = -1,
                                                .metadata = slice_str("m")};
    r->req.commit = (struct broker_group_offsets){&r->item, 1};
    broker_group(c->g->broker, &r->req);
    rig_run(c->g);
}

/* The one member of g0 joins anew, leads, and gets its assignment. */
static void crash_rebalance(struct crash *c)
{
    struct crash_request *r = crash_request(c, BROKER_GROUP_JOIN, 0);
    c->moving = true;
    r->req.member = slice_str(r->member);
    r->protocol = (struct broker_group_protocol){slice_str("range"), slice_str("x")};
    r->req.join = (struct broker_group_join){.protocol_type = slice_str("test"),
                                             .protocols = &r->protocol,
                                             .protocol_count = 1,
                                             .session_timeout_ms = 60000,
                                             .rebalance_timeout_ms = 60000};
    broker_group(c->g->broker, &r->req);
    rig_run(c->g);
    if (!r->answered || r->req.status != BROKER_OK)
        return;
    struct crash_request *s = crash_request(c, BROKER_GROUP_SYNC, 0);
    s->req.member = slice_str(s->member);
    s->req.generation = c->generation;
    s->assigned = (struct broker_group_assigned){slice_str(s->member), slice_str("all of it")};
    s->req.sync = (struct broker_group_sync){.assignments = &s->assigned, .assignment_count = 1};
    broker_group(c->g->broker, &s->req);
    rig_run(c->g);
}

static void crash_produce(struct crash *c)
{
    int topic = (int)random_below(&c->random, CRASH_TOPICS);
    int64_t offset;
    enum broker_status s =
        rig_put(c->g, crash_topics[topic], 0, &(struct rig_batch){.tag = c->tag++}, &offset);
    if (s == BROKER_OK)
        c->ends[topic] = offset + 1;
}

static void crash_live(struct crash *c, unsigned steps)
{
    for (unsigned i = 0; i < steps && c->g->fatals == 0; i++) {
        uint64_t dice = random_below(&c->random, 10);
        if (dice < 3)
            crash_produce(c);
        else if (dice < 9)
            crash_commit(c);
        else
            crash_rebalance(c);
    }
}

static bool crash_known(const struct crash *c, int group, int topic, int64_t offset)
{
    if (offset == c->acked[group][topic])
        return true;
    for (size_t i = 0; i < c->asked_count[group][topic]; i++)
        if (c->asked[group][topic][i] == offset)
            return true;
    return false;
}

static void crash_check_offset(struct crash *c, int group, int topic)
{
    struct broker_group_offset o = {.offset = -1};
    char name[16];
    (void)snprintf(name, sizeof name, "g%d", group);
    int r =
        broker_group_offset(c->g->broker, slice_str(name), slice_str(crash_topics[topic]), 0, &o);
    ck_assert_msg(crash_known(c, group, topic, o.offset), "%s stands at %lld, answered %lld", name,
                  (long long)o.offset, (long long)c->acked[group][topic]);
    ck_assert(r == 0 || o.offset == -1);
    ck_assert_int_le(o.offset, c->ends[topic]);
    c->acked[group][topic] = o.offset;
    c->asked_count[group][topic] = 0;
}

static void crash_check_member(struct crash *c)
{
    struct crash_request *r = crash_request(c, BROKER_GROUP_HEARTBEAT, 0);
    if (c->generation == 0 || c->moving) {
        c->generation = 0;
        c->moving = false;
        c->member[0] = '\0';
        return;
    }
    r->req.member = slice_str(r->member);
    r->req.generation = c->generation;
    broker_group(c->g->broker, &r->req);
    rig_run(c->g);
    ck_assert(r->answered);
    ck_assert_int_eq(r->req.status, BROKER_OK);
}

static void crash_check(struct crash *c)
{
    rig_run(c->g);
    ck_assert_int_eq(broker_groups_ready(c->g->broker), BROKER_OK);
    for (int t = 0; t < CRASH_TOPICS; t++)
        c->ends[t] = rig_end(c->g, crash_topics[t], 0);
    for (int group = 1; group < CRASH_GROUPS; group++)
        for (int t = 0; t < CRASH_TOPICS; t++)
            crash_check_offset(c, group, t);
    crash_check_member(c);
    broker_check(c->g->broker);
}

static void crash_end(struct crash *c, uint64_t seed)
{
    uint64_t how = random_below(&c->random, 5);
    if (how == 0 && c->g->fatals == 0)
        rig_stop(c->g);
    else if (how < 3)
        rig_cut(c->g, seed);
    else
        rig_kill(c->g);
    rig_fail(c->g, 0, false);
}

static void crash_one(uint64_t seed, size_t *answered)
{
    struct rig g;
    static struct crash c;
    c = (struct crash){.g = &g};
    list_init(&c.requests);
    random_init(&c.random, seed);
    memset(c.acked, 0xff, sizeof c.acked);
    rig_init(&g, seed, 0);
    rig_set(&g, "group.initial.rebalance.delay.ms", "0");
    rig_set(&g, "log.flush.interval.ms", "3600000");
    rig_open(&g);
    rig_create(&g, "safe", 1, NULL);
    rig_create(&g, "fast", 1, "durability=os");
    for (unsigned life = 0; life < 5; life++) {
        crash_live(&c, (unsigned)random_below(&c.random, 40));
        if (random_below(&c.random, 2) == 0)
            rig_fail(&g, 1 + random_below(&c.random, 120), true);
        crash_live(&c, (unsigned)random_below(&c.random, 40));
        crash_end(&c, seed * 10 + life);
        rig_open(&g);
        crash_check(&c);
    }
    *answered += c.answered;
    rig_deinit(&g);
    for (struct list *n = list_pop(&c.requests); n != NULL; n = list_pop(&c.requests))
        free(LIST_ENTRY(n, struct crash_request, link));
}

START_TEST(by_seed)
{
    const char *text = getenv("KAURI_TEST_LONG");
    uint64_t count = text != NULL && text[0] == '1' ? 1000 : 60;
    size_t answered = 0;
    for (uint64_t seed = 1; seed <= count; seed++)
        crash_one(seed, &answered);
    ck_assert_uint_gt(answered, count * 40); /* the load is a load */
    printf("%llu seeds, %zu requests answered\n", (unsigned long long)count, answered);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("groups_crash");
    TCase *tc = tcase_create("groups_crash");
    tcase_add_test(tc, by_seed);
    tcase_set_timeout(tc, 1200);
    suite_add_tcase(suite, tc);
    return rig_main(suite);
}
