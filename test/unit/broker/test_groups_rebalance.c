/* SPDX-License-Identifier: MIT
 *
 * groups_rebalance: classic groups from one generation to the next: who is waited for and how long,
 * what is chosen, who leads, what the leader's word does; sessions, a broker that stands still, a
 * disk that is full, a restart in every state.
 */
#include <errno.h>
#include <stdio.h>

#include "test/unit/broker/groups_rig.h"

static const char *const at_once[] = {"group.initial.rebalance.delay.ms=0", NULL};

/* --- how long --- */

START_TEST(initial_delay)
{
    struct grig g;
    grig_init(&g, NULL);
    struct grig_call *a = JOIN(&g);
    grig_sleep(&g, 2999);
    PARKED(a);
    grig_sleep(&g, 1);
    ANSWER(a, BROKER_OK);
    ck_assert_int_eq(a->req.join.generation, 1);
    grig_deinit(&g);
}
END_TEST

/* As long as more come, at most the rebalance timeout. */
START_TEST(initial_delay_is_prolonged)
{
    static const struct {
        int32_t rebalance_ms;
        int joins;
        int64_t all_ms;
    } rows[] = {{60000, 0, 3000}, {60000, 1, 6000}, {60000, 2, 9000},
                {7000, 5, 7000},  {3000, 5, 3000},  {100, 5, 3000}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct grig g;
        int64_t waited = 0;
        grig_init(&g, NULL);
        struct grig_call *a = JOIN(&g, .rebalance_ms = rows[i].rebalance_ms);
        for (int k = 0; k < rows[i].joins && waited + 2500 < rows[i].all_ms; k++) {
            grig_sleep(&g, k == 0 ? 2500 : 3000);
            waited += k == 0 ? 2500 : 3000;
            PARKED(JOIN(&g, .rebalance_ms = rows[i].rebalance_ms));
        }
        grig_sleep(&g, rows[i].all_ms - waited - 1);
        PARKED(a);
        grig_sleep(&g, 1);
        ANSWER(a, BROKER_OK);
        ck_assert_uint_eq(a->req.join.member_count, grig_group(&g, NULL)->member_count);
        grig_deinit(&g);
    }
}
END_TEST

START_TEST(last_of_the_first_leaves)
{
    struct grig g;
    grig_init(&g, NULL);
    const char *id = grig_id(JOIN(&g, .id_required = true));
    struct grig_call *a = JOIN(&g, .member = id);
    PARKED(a);
    ANSWER(LEAVE(&g, .leavers = id), BROKER_OK);
    ANSWER(a, BROKER_UNKNOWN_MEMBER);
    STATE(&g, "Empty");
    ck_assert_int_eq(grig_group(&g, NULL)->generation, 1);
    a = JOIN(&g); /* it was empty again: waits again */
    PARKED(a);
    grig_sleep(&g, 3000);
    ANSWER(a, BROKER_OK);
    grig_deinit(&g);
}
END_TEST

START_TEST(rebalance_timeout)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    struct grig_call *d = JOIN(&g, .rebalance_ms = 90000, .session_ms = 6000);
    for (int i = 0; i < 17; i++) { /* heartbeats keep a session, not a place */
        grig_sleep(&g, 5000);
        ANSWER(HEARTBEAT(&g, .member = t.a, .generation = t.generation), BROKER_REBALANCE);
        ANSWER(HEARTBEAT(&g, .member = t.b, .generation = t.generation), BROKER_REBALANCE);
        ANSWER(HEARTBEAT(&g, .member = t.s, .generation = t.generation), BROKER_REBALANCE);
    }
    grig_sleep(&g, 4999);
    PARKED(d);
    grig_sleep(&g, 1);
    ANSWER(d, BROKER_OK);
    ck_assert_str_eq(grig_text(&g, d->req.join.leader), grig_id(d));
    ck_assert_uint_eq(d->req.join.member_count, 2); /* the static one keeps its place */
    ck_assert_ptr_nonnull(grig_member(&g, t.s));
    ck_assert_ptr_null(grig_member(&g, t.a));
    ANSWER(HEARTBEAT(&g, .member = t.b, .generation = t.generation + 1), BROKER_UNKNOWN_MEMBER);
    grig_deinit(&g);
}
END_TEST

/* Nobody is back but static members have time: the group waits for one of them. */
START_TEST(only_static_members_and_all_away)
{
    struct grig g;
    grig_init(&g, at_once);
    const char *s = grig_id(JOIN(&g, .instance = "i", .session_ms = 30000, .rebalance_ms = 6000));
    ANSWER(SYNC(&g, .member = s, .generation = 1), BROKER_OK);
    const char *b = grig_id(JOIN(&g, .id_required = true));
    PARKED(JOIN(&g, .member = b, .rebalance_ms = 6000));
    ANSWER(LEAVE(&g, .leavers = b), BROKER_OK);
    STATE(&g, "PreparingRebalance");
    grig_sleep(&g, 20000);
    STATE(&g, "PreparingRebalance");
    ANSWER(JOIN(&g, .member = s, .instance = "i"), BROKER_OK);
    ck_assert_int_eq(grig_group(&g, NULL)->generation, 2);
    grig_sleep(&g, 1000);
    ANSWER(LEAVE(&g, .leavers = "@i"), BROKER_OK);
    STATE(&g, "Empty");
    grig_deinit(&g);
}
END_TEST

/* --- what is chosen --- */

START_TEST(votes)
{
    static const struct {
        const char *members[3];
        const char *chosen;
    } rows[] = {{{"range,sticky", "sticky,range", "sticky,range"}, "sticky"},
                {{"range,sticky", "range,sticky", "sticky,range"}, "range"},
                {{"range,sticky", "sticky", "range,sticky"}, "sticky"},
                {{"x,range,sticky", "y,sticky,range", "z,sticky,range"}, "sticky"},
                {{"sticky,range", "range,sticky", "x,range,sticky"}, "range"},
                {{"range,sticky", "sticky,range", NULL}, "range"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct grig g;
        struct grig_call *calls[3] = {NULL};
        grig_init(&g, NULL);
        for (size_t k = 0; k < 3 && rows[i].members[k] != NULL; k++)
            calls[k] = JOIN(&g, .protocols = rows[i].members[k]);
        grig_sleep(&g, 10000);
        for (size_t k = 0; k < 3 && calls[k] != NULL; k++) {
            ANSWER(calls[k], BROKER_OK);
            ck_assert_str_eq(grig_text(&g, calls[k]->req.join.protocol), rows[i].chosen);
        }
        grig_deinit(&g);
    }
}
END_TEST

START_TEST(leader_alone_is_told_of_all)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    struct grig_call *b = JOIN(&g, .member = t.b, .protocols = "sticky=nb");
    struct grig_call *s = JOIN(&g, .member = t.s, .instance = "i", .protocols = "sticky=ns");
    struct grig_call *a = JOIN(&g, .member = t.a, .protocols = "sticky=na");
    ANSWER(a, BROKER_OK);
    ANSWER(b, BROKER_OK);
    ANSWER(s, BROKER_OK);
    ck_assert_uint_eq(b->req.join.member_count + s->req.join.member_count, 0);
    ck_assert_str_eq(grig_text(&g, b->req.join.leader), t.a); /* last to come, still the leader */
    const struct broker_group_joined *all = a->req.join.members;
    const char *const want[3][3] = {{t.a, "", "na"}, {t.b, "", "nb"}, {t.s, "i", "ns"}};
    ck_assert_uint_eq(a->req.join.member_count, 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_str_eq(grig_text(&g, all[i].id), want[i][0]);
        ck_assert_str_eq(grig_text(&g, all[i].instance), want[i][1]);
        ck_assert_int_eq(all[i].instance.p == NULL, i < 2);
        ck_assert_str_eq(grig_text(&g, all[i].metadata), want[i][2]);
    }
    ANSWER(LEAVE(&g, .leavers = t.a), BROKER_OK);
    s = JOIN(&g, .member = t.s, .instance = "i", .protocols = "sticky=ns");
    ANSWER(JOIN(&g, .member = t.b, .protocols = "sticky=nb"), BROKER_OK);
    ck_assert_str_eq(grig_text(&g, s->req.join.leader), t.b); /* the first that joined */
    grig_deinit(&g);
}
END_TEST

/* --- joining again --- */

START_TEST(rejoin_in_stable)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    struct grig_call *b = JOIN(&g, .member = t.b, .protocols = "range=mb,sticky=nb");
    ANSWER(b, BROKER_OK); /* as it was: the current generation */
    STATE(&g, "Stable");
    ck_assert_int_eq(b->req.join.generation, t.generation);
    ck_assert_uint_eq(b->req.join.member_count, 0);
    struct grig_call *sync = SYNC(&g, .member = t.b, .generation = t.generation, .type = "consumer",
                                  .protocol = "range");
    ANSWER(sync, BROKER_OK);
    ck_assert_str_eq(grig_text(&g, sync->req.sync.assignment), "B");
    b = JOIN(&g, .member = t.b, .protocols = "range=other,sticky=nb");
    PARKED(b);
    STATE(&g, "PreparingRebalance");
    grig_trio_join(&g, &t);
    ANSWER(b, BROKER_REBALANCE); /* another join of this member took its place */
    grig_trio_sync(&g, &t);
    struct grig_call *a = JOIN(&g, .member = t.a, .protocols = "range=ma,sticky=na");
    PARKED(a); /* the leader's always rebalances */
    STATE(&g, "PreparingRebalance");
    grig_deinit(&g);
}
END_TEST

START_TEST(rejoin_in_completing)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    grig_trio_join(&g, &t);
    struct grig_call *b = JOIN(&g, .member = t.b, .protocols = "range=mb,sticky=nb");
    struct grig_call *a = JOIN(&g, .member = t.a, .protocols = "range=ma,sticky=na");
    ANSWER(b, BROKER_OK);
    ANSWER(a, BROKER_OK);
    ck_assert_int_eq(a->req.join.generation, t.generation);
    ck_assert_uint_eq(a->req.join.member_count, 3);
    ck_assert_uint_eq(b->req.join.member_count, 0);
    struct grig_call *sync = SYNC(&g, .member = t.s, .generation = t.generation);
    PARKED(sync);
    b = JOIN(&g, .member = t.b, .metadata = "new", .protocols = "range,sticky");
    PARKED(b);
    ANSWER(sync, BROKER_REBALANCE);
    STATE(&g, "PreparingRebalance");
    grig_deinit(&g);
}
END_TEST

START_TEST(new_member_in_completing)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    grig_trio_join(&g, &t);
    struct grig_call *sync = SYNC(&g, .member = t.b, .generation = t.generation);
    struct grig_call *again = SYNC(&g, .member = t.b, .generation = t.generation);
    ANSWER(sync, BROKER_REBALANCE);
    PARKED(again);
    PARKED(JOIN(&g));
    ANSWER(again, BROKER_REBALANCE);
    STATE(&g, "PreparingRebalance");
    REFUSED(&g, SYNC(&g, .member = t.b, .generation = t.generation), BROKER_REBALANCE);
    grig_deinit(&g);
}
END_TEST

/* --- the leader's word --- */

START_TEST(sync_before_and_after_the_leader)
{
    struct grig g;
    struct grig_trio t;
    char assign[256];
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    grig_trio_join(&g, &t);
    g.disk = GRIG_DISK_HELD;
    struct grig_call *b = SYNC(&g, .member = t.b, .generation = t.generation, .assign = "b=no");
    PARKED(b);
    ck_assert_uint_eq(g.wait_count, 0); /* a follower's word is no word */
    snprintf(assign, sizeof assign, "%s=one;stranger=x;%s=two", t.a, t.b);
    struct grig_call *a = SYNC(&g, .member = t.a, .generation = t.generation, .assign = assign);
    struct grig_call *s = SYNC(&g, .member = t.s, .generation = t.generation);
    ck_assert_uint_eq(g.wait_count, 1);
    PARKED(a);
    PARKED(b);
    PARKED(s);
    STATE(&g, "CompletingRebalance");
    REFUSED(&g, COMMIT(&g, .member = t.b, .generation = t.generation, .offsets = "t:0=1"),
            BROKER_REBALANCE);
    grig_disk(&g, 1, 0);
    ANSWER(a, BROKER_OK);
    ANSWER(b, BROKER_OK);
    ANSWER(s, BROKER_OK);
    STATE(&g, "Stable");
    ck_assert_str_eq(grig_text(&g, a->req.sync.assignment), "one");
    ck_assert_str_eq(grig_text(&g, b->req.sync.assignment), "two");
    ck_assert_str_eq(grig_text(&g, s->req.sync.assignment), ""); /* not named: nothing */
    ck_assert_str_eq(grig_text(&g, b->req.sync.protocol), "range");
    ck_assert_str_eq(grig_text(&g, b->req.sync.protocol_type), "consumer");
    b = SYNC(&g, .member = t.b, .generation = t.generation);
    ANSWER(b, BROKER_OK);
    ck_assert_str_eq(grig_text(&g, b->req.sync.assignment), "two");
    a = SYNC(&g, .member = t.a, .generation = t.generation, .assign = "x=y");
    ANSWER(a, BROKER_OK); /* too late for another word */
    ck_assert_str_eq(grig_text(&g, a->req.sync.assignment), "one");
    grig_deinit(&g);
}
END_TEST

START_TEST(sync_timeout)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    grig_trio_join(&g, &t);
    struct grig_call *s = SYNC(&g, .member = t.s, .generation = t.generation);
    for (int i = 0; i < 11; i++) {
        grig_sleep(&g, 5000);
        ANSWER(HEARTBEAT(&g, .member = t.a, .generation = t.generation), BROKER_OK);
        ANSWER(HEARTBEAT(&g, .member = t.b, .generation = t.generation), BROKER_OK);
    }
    grig_sleep(&g, 4999);
    PARKED(s);
    grig_sleep(&g, 1);
    ANSWER(s, BROKER_REBALANCE);
    ck_assert_uint_eq(grig_group(&g, NULL)->member_count, 1);
    s = JOIN(&g, .member = t.s, .instance = "i");
    ANSWER(s, BROKER_OK);
    ck_assert_str_eq(grig_text(&g, s->req.join.leader), t.s);
    grig_deinit(&g);
}
END_TEST

START_TEST(new_rebalance_while_the_word_is_written)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    grig_trio_join(&g, &t);
    g.disk = GRIG_DISK_HELD;
    struct grig_call *a = SYNC(&g, .member = t.a, .generation = t.generation, .assign = "x=y");
    PARKED(a);
    PARKED(JOIN(&g));
    ANSWER(a, BROKER_REBALANCE);
    grig_disk(&g, 1, 0);
    STATE(&g, "PreparingRebalance");
    grig_trio_join(&g, &t);
    ck_assert_uint_eq(grig_group(&g, NULL)->member_count, 4);
    grig_deinit(&g);
}
END_TEST

START_TEST(slow_disk_costs_nobody_its_place)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    grig_trio_join(&g, &t);
    g.disk = GRIG_DISK_HELD;
    struct grig_call *b = SYNC(&g, .member = t.b, .generation = t.generation);
    struct grig_call *a = SYNC(&g, .member = t.a, .generation = t.generation, .assign = "x=y");
    struct grig_call *s = SYNC(&g, .member = t.s, .generation = t.generation);
    grig_sleep(&g, 200000);
    grig_disk(&g, 1, 0);
    ANSWER(a, BROKER_OK);
    ANSWER(b, BROKER_OK);
    ANSWER(s, BROKER_OK);
    grig_deinit(&g);
}
END_TEST

START_TEST(full_disk_at_the_word)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    grig_trio_join(&g, &t);
    g.disk = GRIG_DISK_FULL;
    struct grig_call *b = SYNC(&g, .member = t.b, .generation = t.generation);
    PARKED(b);
    ANSWER(SYNC(&g, .member = t.a, .generation = t.generation, .assign = "x=y"),
           BROKER_GROUP_UNAVAILABLE);
    ANSWER(b, BROKER_GROUP_UNAVAILABLE);
    STATE(&g, "CompletingRebalance");
    ck_assert(grig_group(&g, NULL)->unsaved);
    ck_assert_uint_eq(grig_member(&g, t.b)->assignment.size, 0);
    g.disk = GRIG_DISK_AT_ONCE;
    grig_trio_sync(&g, &t);
    ck_assert(!grig_group(&g, NULL)->unsaved);
    grig_restart(&g, GRIG_LOAD_LOG);
    b = SYNC(&g, .member = t.b, .generation = t.generation);
    ck_assert_str_eq(grig_text(&g, b->req.sync.assignment), "B");
    grig_deinit(&g);
}
END_TEST

START_TEST(full_disk_when_the_last_one_leaves)
{
    struct grig g;
    grig_init(&g, at_once);
    const char *a = grig_id(JOIN(&g));
    ANSWER(SYNC(&g, .member = a, .generation = 1), BROKER_OK);
    g.disk = GRIG_DISK_FULL;
    ANSWER(LEAVE(&g, .leavers = a), BROKER_OK);
    STATE(&g, "Empty");
    ck_assert(grig_group(&g, NULL)->unsaved);
    g.disk = GRIG_DISK_AT_ONCE;
    a = grig_id(JOIN(&g));
    ANSWER(SYNC(&g, .member = a, .generation = 3), BROKER_OK);
    ck_assert(!grig_group(&g, NULL)->unsaved);
    grig_deinit(&g);
}
END_TEST

/* --- sessions --- */

START_TEST(sessions_expire)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    grig_sleep(&g, 6000);
    ANSWER(HEARTBEAT(&g, .member = t.a, .generation = t.generation), BROKER_OK);
    ANSWER(SYNC(&g, .member = t.s, .generation = t.generation), BROKER_OK);
    grig_sleep(&g, 3999);
    STATE(&g, "Stable");
    grig_sleep(&g, 1);
    STATE(&g, "PreparingRebalance");
    ck_assert_ptr_null(grig_member(&g, t.b));
    ck_assert_uint_eq(grig_group(&g, NULL)->member_count, 2);
    grig_sleep(&g, 6000); /* static members expire as others do */
    STATE(&g, "Empty");
    ck_assert_int_eq(grig_group(&g, NULL)->generation, t.generation + 1);
    grig_deinit(&g);
}
END_TEST

START_TEST(parked_members_do_not_expire)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    struct grig_call *d = JOIN(&g, .session_ms = 6000);
    struct grig_call *a = JOIN(&g, .member = t.a, .session_ms = 6000);
    for (int i = 0; i < 5; i++) {
        grig_sleep(&g, 9000);
        ANSWER(HEARTBEAT(&g, .member = t.b, .generation = t.generation), BROKER_REBALANCE);
        ANSWER(HEARTBEAT(&g, .member = t.s, .generation = t.generation), BROKER_REBALANCE);
    }
    PARKED(a);
    PARKED(d);
    grig_sleep(&g, 10000); /* the other two do: all who are left have joined */
    ANSWER(a, BROKER_OK);
    ANSWER(d, BROKER_OK);
    ck_assert_uint_eq(a->req.join.member_count, 2);
    grig_deinit(&g);
}
END_TEST

/* A broker that stands still for longer than every session. */
START_TEST(stall_expires_nobody)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    const char *id = grig_id(JOIN(&g, .id_required = true));
    for (int i = 0; i < 5; i++) {
        grig_stall(&g, 30000);
        STATE(&g, "Stable");
        ck_assert_uint_eq(grig_group(&g, NULL)->member_count, 3);
        ck_assert_uint_eq(grig_group(&g, NULL)->pending_count, 1);
        ANSWER(HEARTBEAT(&g, .member = t.a, .generation = t.generation), BROKER_OK);
        ANSWER(HEARTBEAT(&g, .member = t.b, .generation = t.generation), BROKER_OK);
        ANSWER(HEARTBEAT(&g, .member = t.s, .generation = t.generation), BROKER_OK);
    }
    PARKED(JOIN(&g, .member = id));
    grig_stall(&g, 120000);
    STATE(&g, "PreparingRebalance");
    ck_assert_uint_eq(grig_group(&g, NULL)->member_count, 4);
    grig_sleep(&g, 20000); /* and time goes on for who is not there */
    ck_assert_uint_lt(grig_group(&g, NULL)->member_count, 4);
    grig_deinit(&g);
}
END_TEST

/* --- restart --- */

START_TEST(restart_in_every_state)
{
    for (enum grig_load how = 0; how < GRIG_LOAD_COUNT; how++) {
        struct grig g;
        struct grig_trio t;
        grig_init(&g, at_once);
        grig_trio(&g, &t);
        grig_restart(&g, how);
        STATE(&g, "Stable");
        ANSWER(HEARTBEAT(&g, .member = t.a, .generation = t.generation), BROKER_OK);
        ANSWER(HEARTBEAT(&g, .member = t.s, .instance = "i", .generation = t.generation),
               BROKER_OK);
        struct grig_call *b = SYNC(&g, .member = t.b, .generation = t.generation);
        ANSWER(b, BROKER_OK);
        ck_assert_str_eq(grig_text(&g, b->req.sync.assignment), "B");
        ck_assert_str_eq(grig_group(&g, NULL)->leader->id, t.a);
        struct grig_call *join = JOIN(&g, .member = t.a);
        PARKED(join);
        grig_restart(&g, how); /* of a rebalance nothing is left but the generation before it */
        ck_assert(join->lost);
        STATE(&g, "Stable");
        ANSWER(HEARTBEAT(&g, .member = t.b, .generation = t.generation), BROKER_OK);
        grig_trio_join(&g, &t);
        grig_restart(&g, how);
        STATE(&g, "Stable");
        ANSWER(HEARTBEAT(&g, .member = t.b, .generation = t.generation), BROKER_ILLEGAL_GENERATION);
        grig_trio_join(&g, &t);
        g.disk = GRIG_DISK_HELD;
        PARKED(SYNC(&g, .member = t.a, .generation = t.generation, .assign = "x=y"));
        grig_restart(&g, how);
        STATE(&g, "Stable");
        ANSWER(HEARTBEAT(&g, .member = t.a, .generation = t.generation), BROKER_ILLEGAL_GENERATION);
        grig_sleep(&g, 10000); /* each has its session's time from the start on */
        ANSWER(HEARTBEAT(&g, .member = t.a, .generation = t.generation), BROKER_UNKNOWN_MEMBER);
        STATE(&g, "Empty");
        grig_restart(&g, how);
        STATE(&g, "Empty");
        grig_deinit(&g);
    }
}
END_TEST

START_TEST(other_protocol_types)
{
    static const char *const types[] = {"connect", "sr"};
    for (size_t i = 0; i < 2; i++) {
        struct grig g;
        grig_init(&g, at_once);
        grig_topic(&g, "t", 1);
        struct grig_call *a = JOIN(&g, .type = types[i], .protocols = "v0=url,v1=url");
        ANSWER(a, BROKER_OK);
        const char *id = grig_id(a);
        char assign[128];
        snprintf(assign, sizeof assign, "%s=master", id);
        REFUSED(&g, SYNC(&g, .member = id, .generation = 1, .type = "consumer"),
                BROKER_INCONSISTENT_PROTOCOL);
        ANSWER(SYNC(&g, .member = id, .generation = 1, .type = types[i], .assign = assign),
               BROKER_OK);
        grig_restart(&g, GRIG_LOAD_ROWS);
        struct broker_group_info info;
        groups_view_info(grig_group(&g, NULL), &info);
        ck_assert_str_eq(grig_text(&g, info.protocol_type), types[i]);
        ck_assert_str_eq(grig_text(&g, info.protocol), "v0");
        struct grig_call *sync = SYNC(&g, .member = id, .generation = 1, .type = types[i]);
        ANSWER(sync, BROKER_OK);
        ck_assert_str_eq(grig_text(&g, sync->req.sync.assignment), "master");
        REFUSED(&g, JOIN(&g, .protocols = "v0"), BROKER_INCONSISTENT_PROTOCOL);
        REFUSED(&g, FORGET(&g, .offsets = "t:0"), BROKER_GROUP_NOT_EMPTY);
        grig_deinit(&g);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {initial_delay,
                                  initial_delay_is_prolonged,
                                  last_of_the_first_leaves,
                                  rebalance_timeout,
                                  only_static_members_and_all_away,
                                  votes,
                                  leader_alone_is_told_of_all,
                                  rejoin_in_stable,
                                  rejoin_in_completing,
                                  new_member_in_completing,
                                  sync_before_and_after_the_leader,
                                  sync_timeout,
                                  new_rebalance_while_the_word_is_written,
                                  slow_disk_costs_nobody_its_place,
                                  full_disk_at_the_word,
                                  full_disk_when_the_last_one_leaves,
                                  sessions_expire,
                                  parked_members_do_not_expire,
                                  stall_expires_nobody,
                                  restart_in_every_state,
                                  other_protocol_types};
    return GRIG_MAIN("broker/groups_rebalance", tests);
}
