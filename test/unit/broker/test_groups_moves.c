/* SPDX-License-Identifier: MIT
 *
 * groups_moves: the consumer model where something is in the way: static members that are away for
 * a while, a disk that is slow or full, restarts between any two steps.
 */
#include <errno.h>
#include <stdlib.h>

#include "test/unit/broker/groups_rig.h"

#define EPOCH(call, want)                                                                          \
    do {                                                                                           \
        const struct grig_call *e_ = (call);                                                       \
        ANSWER(e_, BROKER_OK);                                                                     \
        ck_assert_int_eq(e_->req.beat.epoch, want);                                                \
    } while (0)

#define TOLD(call, epoch_, want)                                                                   \
    do {                                                                                           \
        struct grig_call *t_ = (call);                                                             \
        EPOCH(t_, epoch_);                                                                         \
        ck_assert_str_eq(grig_told(t_), want);                                                     \
    } while (0)

/* --- static members --- */

START_TEST(away_and_back)
{
    for (int restart = 0; restart < 2; restart++) {
        struct grig g;
        grig_init(&g, NULL);
        grig_topic(&g, "t", 2);
        TOLD(BEAT(&g, .member = "s1", .instance = "i", .topics = "t"), 1, "t:0,1");
        EPOCH(BEAT(&g, .member = "s1", .instance = "i", .generation = -2), -2);
        STATE(&g, "Stable");
        ck_assert_int_eq(grig_group(&g, NULL)->generation, 1);
        if (restart)
            grig_restart(&g, GRIG_LOAD_ROWS);
        REFUSED(&g, BEAT(&g, .member = "s1", .instance = "i", .generation = 1),
                BROKER_MEMBER_EPOCH_FENCED);
        grig_sleep(&g, 44000);
        TOLD(BEAT(&g, .member = "s2", .instance = "i", .topics = "t"), 1, "t:0,1");
        ck_assert_int_eq(grig_group(&g, NULL)->generation, 1); /* nobody was moved */
        REFUSED(&g, BEAT(&g, .member = "s1", .instance = "i", .generation = 1),
                BROKER_INSTANCE_FENCED);
        REFUSED(&g, BEAT(&g, .member = "s1", .instance = "i", .generation = -1),
                BROKER_INSTANCE_FENCED);
        REFUSED(&g, BEAT(&g, .member = "s1", .generation = 1), BROKER_UNKNOWN_MEMBER);
        REFUSED(&g,
                COMMIT(&g, .member = "s1", .instance = "i", .generation = 1, .offsets = "t:0=1"),
                BROKER_INSTANCE_FENCED);
        TOLD(BEAT(&g, .member = "s2", .instance = "i", .generation = 1), 1, "-");
        if (restart)
            grig_restart(&g, GRIG_LOAD_MIXED);
        TOLD(BEAT(&g, .member = "s2", .instance = "i", .generation = 1), 1, "-");
        grig_deinit(&g);
    }
}
END_TEST

START_TEST(instance_held)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 2);
    EPOCH(BEAT(&g, .member = "s1", .instance = "i", .topics = "t"), 1);
    EPOCH(BEAT(&g, .member = "d", .topics = "t"), 2);
    EPOCH(BEAT(&g, .member = "k", .instance = "j", .topics = "t"), 3);
    REFUSED(&g, BEAT(&g, .member = "s2", .instance = "i", .topics = "t"), BROKER_INSTANCE_HELD);
    REFUSED(&g, BEAT(&g, .member = "d", .instance = "i", .topics = "t"), BROKER_INSTANCE_HELD);
    REFUSED(&g, BEAT(&g, .member = "d", .instance = "new", .topics = "t"), BROKER_INSTANCE_FENCED);
    REFUSED(&g, BEAT(&g, .member = "k", .instance = "i", .generation = 3), BROKER_INSTANCE_FENCED);
    EPOCH(BEAT(&g, .member = "s1", .instance = "i", .topics = "t"), 3); /* itself, again */
    EPOCH(BEAT(&g, .member = "s1", .instance = "i", .generation = -2), -2);
    REFUSED(&g, BEAT(&g, .member = "d", .instance = "i", .topics = "t"), BROKER_INSTANCE_HELD);
    EPOCH(BEAT(&g, .member = "s2", .instance = "i", .topics = "t"), 3);
    grig_deinit(&g);
}
END_TEST

START_TEST(away_for_too_long)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 2);
    TOLD(BEAT(&g, .member = "s", .instance = "i", .topics = "t"), 1, "t:0,1");
    EPOCH(BEAT(&g, .member = "s", .instance = "i", .generation = -2), -2);
    grig_sleep(&g, 20000);
    TOLD(BEAT(&g, .member = "d", .topics = "t"), 2, ""); /* they wait for the one that is away */
    grig_sleep(&g, 24999);
    TOLD(BEAT(&g, .member = "d", .generation = 2), 2, "-");
    ck_assert_uint_eq(grig_group(&g, NULL)->member_count, 2);
    grig_sleep(&g, 1);
    TOLD(BEAT(&g, .member = "d", .generation = 2), 3, "t:0,1");
    EPOCH(BEAT(&g, .member = "s", .instance = "i", .topics = "t"), 4);
    grig_deinit(&g);
}
END_TEST

/* Others came while it was away: it has given up what it had. */
START_TEST(back_to_less)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 2);
    TOLD(BEAT(&g, .member = "s1", .instance = "i", .topics = "t"), 1, "t:0,1");
    TOLD(BEAT(&g, .member = "d", .topics = "t"), 2, "");
    EPOCH(BEAT(&g, .member = "s1", .instance = "i", .generation = 1), 1);
    ck_assert_int_eq(grig_member(&g, "s1")->state, GROUP_MEMBER_UNREVOKED);
    EPOCH(BEAT(&g, .member = "s1", .instance = "i", .generation = -2), -2);
    struct grig_call *d = BEAT(&g, .member = "d", .generation = 2);
    EPOCH(d, 2); /* what it was to give up is free */
    ck_assert_uint_eq(grig_member(&g, "d")->assigned.count, 1);
    struct grig_call *s = BEAT(&g, .member = "s2", .instance = "i", .topics = "t");
    EPOCH(s, 2);
    ck_assert_uint_eq(grig_member(&g, "s2")->assigned.count, 1);
    STATE(&g, "Stable");
    EPOCH(BEAT(&g, .member = "s2", .instance = "i", .generation = -2), -2);
    EPOCH(BEAT(&g, .member = "s3", .instance = "i", .topics = "t,u"), 3); /* wants more */
    EPOCH(BEAT(&g, .member = "s3", .instance = "i", .generation = -1), -1);
    ck_assert_uint_eq(grig_group(&g, NULL)->member_count, 1);
    grig_deinit(&g);
}
END_TEST

START_TEST(taken_out_by_instance)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 2);
    EPOCH(BEAT(&g, .member = "s", .instance = "i", .topics = "t"), 1);
    struct grig_call *c = LEAVE(&g, .leavers = "x@i;@j;@i");
    ANSWER(c, BROKER_OK);
    ck_assert_int_eq(c->req.leave.leavers[0].status, BROKER_INSTANCE_FENCED);
    ck_assert_int_eq(c->req.leave.leavers[1].status, BROKER_UNKNOWN_MEMBER);
    ck_assert_int_eq(c->req.leave.leavers[2].status, BROKER_OK);
    STATE(&g, "Empty");
    grig_deinit(&g);
}
END_TEST

/* It comes back by its id alone, without its instance. */
START_TEST(back_without_instance)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 1);
    EPOCH(BEAT(&g, .member = "s", .instance = "i", .topics = "t"), 1);
    EPOCH(BEAT(&g, .member = "s", .instance = "i", .generation = -2), -2);
    TOLD(BEAT(&g, .member = "s", .topics = "t"), 1, "t:0");
    TOLD(BEAT(&g, .member = "s", .generation = 1), 1, "-");
    grig_deinit(&g);
}
END_TEST

/* --- the disk --- */

/* No answer tells of what is not on disk. */
START_TEST(slow_disk)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 2);
    g.disk = GRIG_DISK_HELD;
    struct grig_call *a = BEAT(&g, .member = "a", .topics = "t");
    struct grig_call *again = BEAT(&g, .member = "a", .topics = "t");
    PARKED(a);
    PARKED(again);
    grig_disk(&g, 1, 0);
    ANSWER(a, BROKER_OK);
    TOLD(again, 1, "t:0,1");
    TOLD(BEAT(&g, .member = "a", .generation = 1), 1, "-"); /* nothing is under way */
    struct grig_call *b = BEAT(&g, .member = "b", .topics = "t");
    a = BEAT(&g, .member = "a", .generation = -1);
    PARKED(b);
    PARKED(a);
    grig_disk(&g, 2, 0);
    EPOCH(b, 2);
    EPOCH(a, -1);
    ck_assert_uint_lt(b->order, a->order);
    grig_deinit(&g);
}
END_TEST

START_TEST(full_disk)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 2);
    g.disk = GRIG_DISK_FULL;
    ANSWER(BEAT(&g, .member = "a", .topics = "t"), BROKER_GROUP_UNAVAILABLE);
    ck_assert(grig_group(&g, NULL)->unsaved);
    g.disk = GRIG_DISK_AT_ONCE;
    TOLD(BEAT(&g, .member = "a", .topics = "t"), 1, "t:0,1");
    ck_assert(!grig_group(&g, NULL)->unsaved);
    EPOCH(BEAT(&g, .member = "b", .topics = "t"), 2);
    g.disk = GRIG_DISK_FULL;
    ANSWER(BEAT(&g, .member = "a", .generation = 1), BROKER_GROUP_UNAVAILABLE);
    g.disk = GRIG_DISK_AT_ONCE;
    grig_restart(&g, GRIG_LOAD_LOG); /* as if it had not asked */
    EPOCH(BEAT(&g, .member = "a", .generation = 1), 1);
    ck_assert_int_eq(grig_member(&g, "a")->state, GROUP_MEMBER_UNREVOKED);
    grig_deinit(&g);
}
END_TEST

/* What left while nothing could be written does not come back with a restart. */
START_TEST(gone_while_the_disk_was_full)
{
    for (int what = 0; what < 3; what++) {
        struct grig g;
        grig_init(&g, NULL);
        grig_topic(&g, "t", 2);
        EPOCH(BEAT(&g, .member = "s1", .instance = "i", .topics = "t"), 1);
        EPOCH(BEAT(&g, .member = "d", .topics = "t"), 2);
        EPOCH(BEAT(&g, .member = "s1", .instance = "i", .generation = -2), -2);
        grig_sleep(&g, 20000);
        EPOCH(BEAT(&g, .member = "d", .generation = 2), 2);
        g.disk = GRIG_DISK_FULL;
        if (what == 0)
            ANSWER(BEAT(&g, .member = "s2", .instance = "i", .topics = "t"),
                   BROKER_GROUP_UNAVAILABLE);
        else if (what == 1)
            ANSWER(BEAT(&g, .member = "s1", .instance = "i", .generation = -1),
                   BROKER_GROUP_UNAVAILABLE);
        else
            grig_sleep(&g, 25000);
        ck_assert_ptr_null(grig_member(&g, "s1"));
        g.disk = GRIG_DISK_AT_ONCE;
        ANSWER(BEAT(&g, .member = "d", .generation = 2), BROKER_OK);
        ck_assert(!grig_group(&g, NULL)->unsaved);
        ck_assert(list_empty(&grig_group(&g, NULL)->gone));
        grig_restart(&g, GRIG_LOAD_ROWS);
        ck_assert_ptr_null(grig_member(&g, "s1"));
        ck_assert_int_eq(grig_member(&g, "s2") != NULL, what == 0);
        grig_deinit(&g);
    }
}
END_TEST

/* Likewise the model that a group was of. */
START_TEST(other_model_while_the_disk_was_full)
{
    const char *const sets[] = {"group.initial.rebalance.delay.ms=0", NULL};
    for (enum grig_load how = 0; how < GRIG_LOAD_COUNT; how++) {
        struct grig g;
        grig_init(&g, sets);
        grig_topic(&g, "t", 2);
        EPOCH(BEAT(&g, .member = "a", .topics = "t"), 1);
        g.disk = GRIG_DISK_FULL;
        ANSWER(BEAT(&g, .member = "a", .generation = -1), BROKER_GROUP_UNAVAILABLE);
        const char *id = grig_id(JOIN(&g));
        ANSWER(SYNC(&g, .member = id, .generation = 3), BROKER_GROUP_UNAVAILABLE);
        g.disk = GRIG_DISK_AT_ONCE;
        ANSWER(SYNC(&g, .member = id, .generation = 3), BROKER_OK);
        grig_restart(&g, how);
        ANSWER(HEARTBEAT(&g, .member = id, .generation = 3), BROKER_OK);
        g.disk = GRIG_DISK_FULL;
        ANSWER(LEAVE(&g, .leavers = id), BROKER_OK);
        ANSWER(BEAT(&g, .member = "a", .topics = "t"), BROKER_GROUP_UNAVAILABLE);
        g.disk = GRIG_DISK_AT_ONCE;
        EPOCH(BEAT(&g, .member = "a", .topics = "t"), 5);
        grig_restart(&g, how);
        TOLD(BEAT(&g, .member = "a", .generation = 5), 5, "-");
        grig_deinit(&g);
    }
}
END_TEST

/* --- restart between any two steps --- */

static void step(struct grig *g, int at, int *now, enum grig_load how)
{
    if ((*now)++ == at)
        grig_restart(g, how);
}

START_TEST(restart_at_every_step)
{
    for (enum grig_load how = 0; how < GRIG_LOAD_COUNT; how++)
        for (int at = 0; at < 7; at++) {
            struct grig g;
            int now = 0;
            grig_init(&g, NULL);
            grig_topic(&g, "t", 2);
            TOLD(BEAT(&g, .member = "a", .topics = "t"), 1, "t:0,1");
            step(&g, at, &now, how);
            TOLD(BEAT(&g, .member = "b", .topics = "t"), 2, "");
            step(&g, at, &now, how);
            struct grig_call *a = BEAT(&g, .member = "a", .generation = 1, .owned = "t:0,1");
            EPOCH(a, 1);
            const char *keeps = grig_told(a);
            step(&g, at, &now, how);
            ck_assert_int_eq(grig_member(&g, "a")->state, GROUP_MEMBER_UNREVOKED);
            TOLD(BEAT(&g, .member = "b", .generation = 2, .owned = ""), 2, "-");
            step(&g, at, &now, how);
            TOLD(BEAT(&g, .member = "a", .generation = 1, .owned = keeps), 2, "-");
            step(&g, at, &now, how);
            struct grig_call *b = BEAT(&g, .member = "b", .generation = 2);
            EPOCH(b, 2);
            ck_assert_str_ne(grig_told(b), "-");
            step(&g, at, &now, how);
            STATE(&g, "Stable");
            EPOCH(BEAT(&g, .member = "b", .generation = -1), -1);
            step(&g, at, &now, how);
            TOLD(BEAT(&g, .member = "a", .generation = 2), 3, "t:0,1");
            grig_deinit(&g);
        }
}
END_TEST

/* A member that was to give up something has its whole time again, and no more. */
START_TEST(restart_while_giving_up)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 2);
    EPOCH(BEAT(&g, .member = "a", .topics = "t", .rebalance_ms = 20000), 1);
    EPOCH(BEAT(&g, .member = "b", .topics = "t"), 2);
    EPOCH(BEAT(&g, .member = "a", .generation = 1), 1);
    grig_restart(&g, GRIG_LOAD_LOG);
    for (int i = 0; i < 6; i++) {
        grig_sleep(&g, 10000);
        EPOCH(BEAT(&g, .member = "a", .generation = 1, .owned = "t:0,1"), 1);
        EPOCH(BEAT(&g, .member = "b", .generation = 2), 2);
    }
    grig_sleep(&g, 5000);
    ck_assert_ptr_null(grig_member(&g, "a"));
    TOLD(BEAT(&g, .member = "b", .generation = 2), 3, "t:0,1");
    grig_deinit(&g);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {away_and_back,
                                  instance_held,
                                  away_for_too_long,
                                  back_to_less,
                                  taken_out_by_instance,
                                  back_without_instance,
                                  slow_disk,
                                  full_disk,
                                  gone_while_the_disk_was_full,
                                  other_model_while_the_disk_was_full,
                                  restart_at_every_step,
                                  restart_while_giving_up};
    return GRIG_MAIN("broker/groups_moves", tests);
}
