/* SPDX-License-Identifier: MIT
 *
 * groups_static: static members of classic groups (KIP-345): one that comes back under a new id
 * takes its old place, in every state of the group, and the old id is fenced; with and without
 * skip_assignment (KIP-814).
 */
#include <errno.h>
#include <stdio.h>

#include "test/unit/broker/groups_rig.h"

static const char *const at_once[] = {"group.initial.rebalance.delay.ms=0", NULL};

static struct grig_call *back(struct grig *g, bool may_skip)
{
    return JOIN(g, .instance = "i", .protocols = "range=ms,sticky=ns", .may_skip = may_skip);
}

static void fenced(struct grig *g, const char *old, int32_t generation)
{
    REFUSED(g, HEARTBEAT(g, .member = old, .instance = "i", .generation = generation),
            BROKER_INSTANCE_FENCED);
    REFUSED(g, SYNC(g, .member = old, .instance = "i", .generation = generation),
            BROKER_INSTANCE_FENCED);
    REFUSED(g, JOIN(g, .member = old, .instance = "i"), BROKER_INSTANCE_FENCED);
    REFUSED(g,
            COMMIT(g, .member = old, .instance = "i", .generation = generation, .offsets = "t:0=1"),
            BROKER_INSTANCE_FENCED);
    REFUSED(g, HEARTBEAT(g, .member = old, .generation = generation), BROKER_UNKNOWN_MEMBER);
}

START_TEST(follower_back_in_stable)
{
    for (int skip = 0; skip < 2; skip++) {
        struct grig g;
        struct grig_trio t;
        grig_init(&g, at_once);
        grig_trio(&g, &t);
        g.disk = GRIG_DISK_HELD;
        struct grig_call *c = back(&g, skip == 1);
        PARKED(c); /* its id is to be on disk first */
        grig_disk(&g, 1, 0);
        g.disk = GRIG_DISK_AT_ONCE;
        ANSWER(c, BROKER_OK);
        STATE(&g, "Stable");
        const char *id = grig_id(c);
        ck_assert_int_eq(strncmp(id, "i-", 2), 0);
        ck_assert_str_ne(id, t.s);
        ck_assert_int_eq(c->req.join.generation, t.generation);
        ck_assert_str_eq(grig_text(&g, c->req.join.leader), t.a);
        ck_assert_uint_eq(c->req.join.member_count, 0);
        ck_assert(!c->req.join.skip_assignment);
        fenced(&g, t.s, t.generation);
        struct grig_call *sync =
            SYNC(&g, .member = id, .instance = "i", .generation = t.generation);
        ANSWER(sync, BROKER_OK);
        ck_assert_str_eq(grig_text(&g, sync->req.sync.assignment), "S");
        grig_restart(&g, GRIG_LOAD_LOG);
        ANSWER(HEARTBEAT(&g, .member = id, .instance = "i", .generation = t.generation), BROKER_OK);
        fenced(&g, t.s, t.generation);
        grig_deinit(&g);
    }
}
END_TEST

/* A leader that comes back: with skip_assignment it leads on, without it is told that another
 * leads, so that it divides nothing. */
START_TEST(leader_back_in_stable)
{
    for (int skip = 0; skip < 2; skip++) {
        struct grig g;
        grig_init(&g, at_once);
        struct grig_call *c = back(&g, skip == 1);
        ANSWER(c, BROKER_OK);
        const char *old = grig_id(c);
        char assign[128];
        snprintf(assign, sizeof assign, "%s=S", old);
        ANSWER(SYNC(&g, .member = old, .generation = 1, .assign = assign), BROKER_OK);
        c = back(&g, skip == 1);
        ANSWER(c, BROKER_OK);
        STATE(&g, "Stable");
        const char *id = grig_id(c);
        ck_assert_int_eq(c->req.join.generation, 1);
        ck_assert_int_eq(c->req.join.skip_assignment, skip == 1);
        ck_assert_str_eq(grig_text(&g, c->req.join.leader), skip ? id : old);
        ck_assert_uint_eq(c->req.join.member_count, skip ? 1 : 0);
        ck_assert_str_eq(grig_group(&g, NULL)->leader->id, id);
        struct grig_call *sync = SYNC(&g, .member = id, .instance = "i", .generation = 1);
        ck_assert_str_eq(grig_text(&g, sync->req.sync.assignment), "S");
        fenced(&g, old, 1);
        grig_deinit(&g);
    }
}
END_TEST

/* What it brings changes what would be chosen. */
START_TEST(back_with_another_choice)
{
    struct grig g;
    grig_init(&g, at_once);
    struct grig_call *c = JOIN(&g, .instance = "i", .protocols = "range,sticky");
    const char *old = grig_id(c);
    ANSWER(SYNC(&g, .member = old, .generation = 1), BROKER_OK);
    c = JOIN(&g, .instance = "i", .protocols = "sticky,range");
    ANSWER(c, BROKER_OK);
    ck_assert_int_eq(c->req.join.generation, 2);
    ck_assert_str_eq(grig_text(&g, c->req.join.protocol), "sticky");
    STATE(&g, "CompletingRebalance");
    fenced(&g, old, 2);
    ANSWER(SYNC(&g, .member = grig_id(c), .generation = 2), BROKER_OK);
    /* and of another type it is another group */
    c = JOIN(&g, .instance = "i", .protocols = "sticky,range", .type = "connect");
    ANSWER(c, BROKER_OK);
    ck_assert_int_eq(c->req.join.generation, 3);
    ck_assert_str_eq(grig_group(&g, NULL)->protocol_type, "connect");
    /* likewise in COMPLETING, where the same words get the same generation */
    const char *id = grig_id(c);
    ANSWER(JOIN(&g, .member = id, .protocols = "sticky,range", .type = "connect"), BROKER_OK);
    ck_assert_int_eq(grig_group(&g, NULL)->generation, 3);
    ANSWER(JOIN(&g, .member = id, .protocols = "sticky,range"), BROKER_OK);
    ck_assert_int_eq(grig_group(&g, NULL)->generation, 4);
    ck_assert_str_eq(grig_group(&g, NULL)->protocol_type, "consumer");
    grig_deinit(&g);
}
END_TEST

START_TEST(back_in_preparing)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    struct grig_call *a = JOIN(&g, .member = t.a);
    PARKED(a);
    struct grig_call *s = JOIN(&g, .member = t.s, .instance = "i");
    PARKED(s);
    struct grig_call *again = back(&g, true);
    ANSWER(s, BROKER_INSTANCE_FENCED);
    PARKED(again);
    fenced(&g, t.s, t.generation);
    ANSWER(JOIN(&g, .member = t.b), BROKER_OK);
    ANSWER(again, BROKER_OK);
    ck_assert(!again->req.join.skip_assignment);
    ck_assert_uint_eq(a->req.join.member_count, 3);
    grig_deinit(&g);
}
END_TEST

START_TEST(back_in_completing)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    grig_trio_join(&g, &t);
    struct grig_call *s = SYNC(&g, .member = t.s, .instance = "i", .generation = t.generation);
    struct grig_call *b = SYNC(&g, .member = t.b, .generation = t.generation);
    struct grig_call *again = back(&g, true);
    ANSWER(s, BROKER_INSTANCE_FENCED);
    ANSWER(b, BROKER_REBALANCE);
    PARKED(again);
    STATE(&g, "PreparingRebalance");
    fenced(&g, t.s, t.generation);
    struct grig_call *a = JOIN(&g, .member = t.a);
    ANSWER(JOIN(&g, .member = t.b), BROKER_OK);
    ANSWER(a, BROKER_OK);
    ANSWER(again, BROKER_OK);
    ck_assert_int_eq(again->req.join.generation, t.generation + 1);
    ck_assert_uint_eq(a->req.join.member_count, 3);
    grig_deinit(&g);
}
END_TEST

START_TEST(back_on_a_full_disk)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    g.disk = GRIG_DISK_FULL;
    struct grig_call *c = back(&g, true);
    ANSWER(c, BROKER_GROUP_UNAVAILABLE);
    STATE(&g, "Stable");
    ck_assert(grig_group(&g, NULL)->unsaved);
    g.disk = GRIG_DISK_AT_ONCE;
    c = back(&g, true);
    ANSWER(c, BROKER_OK);
    ck_assert(!grig_group(&g, NULL)->unsaved);
    ck_assert_int_eq(c->req.join.generation, t.generation);
    ck_assert_uint_eq(grig_group(&g, NULL)->member_count, 3);
    ANSWER(HEARTBEAT(&g, .member = t.a, .generation = t.generation), BROKER_OK);
    grig_deinit(&g);
}
END_TEST

/* While its new id is written, the group goes on. */
START_TEST(back_and_something_else)
{
    static const enum broker_status want[] = {BROKER_REBALANCE, BROKER_UNKNOWN_MEMBER,
                                              BROKER_UNKNOWN_MEMBER};
    for (int i = 0; i < 3; i++) {
        struct grig g;
        struct grig_trio t;
        grig_init(&g, at_once);
        grig_trio(&g, &t);
        g.disk = GRIG_DISK_HELD;
        struct grig_call *c = back(&g, true);
        if (i == 0)
            PARKED(JOIN(&g, .member = t.a, .metadata = "new"));
        if (i == 1)
            ANSWER(LEAVE(&g, .leavers = "@i"), BROKER_OK);
        struct grig_call *again = i == 2 ? back(&g, true) : NULL;
        PARKED(c);
        grig_disk(&g, g.wait_count, 0);
        ANSWER(c, want[i]);
        if (again != NULL)
            ANSWER(again, BROKER_OK);
        grig_deinit(&g);
    }
}
END_TEST

START_TEST(leaves_by_instance_and_by_id)
{
    struct grig g;
    struct grig_trio t;
    char list[128];
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    snprintf(list, sizeof list, "%s@i", t.s);
    struct grig_call *c = LEAVE(&g, .leavers = list);
    ck_assert_int_eq(c->req.leave.leavers[0].status, BROKER_OK);
    ck_assert_ptr_null(grig_member(&g, t.s));
    REFUSED(&g, HEARTBEAT(&g, .member = t.s, .instance = "i", .generation = t.generation),
            BROKER_UNKNOWN_MEMBER);
    grig_deinit(&g);
}
END_TEST

static void count_event(void *ctx, const struct broker_group_rebalance *r)
{
    ck_assert_int_ge(r->ended_ms, r->began_ms);
    ++*(size_t *)ctx;
}

START_TEST(history)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    ANSWER(LEAVE(&g, .leavers = t.b), BROKER_OK);
    struct grig_call *s = JOIN(&g, .member = t.s, .instance = "i");
    ANSWER(JOIN(&g, .member = t.a), BROKER_OK);
    ANSWER(s, BROKER_OK);
    grig_sleep(&g, 500);
    ANSWER(SYNC(&g, .member = t.a, .generation = t.generation + 1), BROKER_OK);
    const struct group *group = grig_group(&g, NULL);
    const struct group_event *e = &group->events[group->event_count - 1];
    ck_assert_int_eq(e->cause, BROKER_GROUP_CAUSE_LEFT);
    ck_assert_str_eq(e->member, t.b);
    ck_assert_int_eq(e->ended_ms - e->began_ms, 500);
    ck_assert_int_eq(e->generation, t.generation + 1);
    ck_assert_uint_eq(e->member_count, 2);
    grig_sleep(&g, 20000);
    STATE(&g, "Empty");
    size_t before = group->event_count;
    for (int i = 0; i < 2 * BROKER_GROUP_HISTORY_MAX; i++) /* a ring */
        ANSWER(LEAVE(&g, .leavers = grig_id(JOIN(&g))), BROKER_OK);
    ck_assert_uint_eq(group->event_count, before + 4 * BROKER_GROUP_HISTORY_MAX);
    size_t seen = 0;
    groups_view_history(group, count_event, &seen);
    ck_assert_uint_eq(seen, BROKER_GROUP_HISTORY_MAX);
    grig_deinit(&g);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        follower_back_in_stable, leader_back_in_stable,        back_with_another_choice,
        back_in_preparing,       back_in_completing,           back_on_a_full_disk,
        back_and_something_else, leaves_by_instance_and_by_id, history};
    return GRIG_MAIN("broker/groups_static", tests);
}
