/* SPDX-License-Identifier: MIT
 *
 * groups_consumer: the consumer model (KIP-848), member by member: joining, epochs, giving up
 * before taking over, answers that were lost, epochs that are fenced, subscriptions, topics that
 * come, grow and go, what is refused, and the way from and to the classic model. After each step
 * the rig restarts the engine beside it and compares, and looks for partitions with two owners.
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

/* The heartbeat has this epoch and this assignment ("-": as before). */
#define TOLD(call, epoch_, want)                                                                   \
    do {                                                                                           \
        struct grig_call *t_ = (call);                                                             \
        EPOCH(t_, epoch_);                                                                         \
        ck_assert_str_eq(grig_told(t_), want);                                                     \
    } while (0)

START_TEST(one_member)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 3);
    struct grig_call *c = BEAT(&g, .member = "a", .topics = "t");
    TOLD(c, 1, "t:0,1,2");
    ck_assert_str_eq(grig_id(c), "a");
    ck_assert_int_eq(c->req.beat.interval_ms, 5000);
    ck_assert_int_eq(memcmp(c->req.beat.assignment[0].id, g.topics[0].id, 16), 0);
    STATE(&g, "Stable");
    TOLD(BEAT(&g, .member = "a", .generation = 1), 1, "-");
    TOLD(BEAT(&g, .member = "a", .generation = 1, .owned = "t:0,1,2"), 1, "-");
    /* everything told: everything answered */
    TOLD(BEAT(&g, .member = "a", .generation = 1, .owned = "t:0,1,2", .topics = "t",
              .rebalance_ms = 60000),
         1, "t:0,1,2");
    TOLD(BEAT(&g, .member = "a", .topics = "t"), 1, "t:0,1,2"); /* joins again */
    ck_assert_uint_eq(grig_group(&g, NULL)->member_count, 1);
    struct grig_call *b = BEAT(&g, .group = "h", .topics = "t"); /* the broker finds an id */
    TOLD(b, 1, "t:0,1,2");
    ck_assert_uint_eq(strlen(grig_id(b)), 36);
    grig_deinit(&g);
}
END_TEST

START_TEST(giving_up_before_taking_over)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 4);
    TOLD(BEAT(&g, .member = "a", .topics = "t"), 1, "t:0,1,2,3");
    struct grig_call *b = BEAT(&g, .member = "b", .topics = "t");
    TOLD(b, 2, ""); /* all are in other hands */
    ck_assert_int_eq(b->req.beat.interval_ms, 500);
    ck_assert_int_eq(grig_member(&g, "b")->state, GROUP_MEMBER_UNRELEASED);
    STATE(&g, "Reconciling");
    struct grig_call *a = BEAT(&g, .member = "a", .generation = 1);
    EPOCH(a, 1);
    const char *keeps = grig_told(a);
    ck_assert_int_eq(grig_member(&g, "a")->state, GROUP_MEMBER_UNREVOKED);
    ck_assert_uint_eq(grig_member(&g, "a")->assigned.count, 2);
    ck_assert_uint_eq(grig_member(&g, "a")->revoking.count, 2);
    TOLD(BEAT(&g, .member = "b", .generation = 2, .owned = ""), 2, "-"); /* still not */
    TOLD(BEAT(&g, .member = "a", .generation = 1, .owned = "t:0,1,2,3"), 1, "-");
    TOLD(BEAT(&g, .member = "a", .generation = 1), 1, "-"); /* it did not say what it has */
    TOLD(BEAT(&g, .member = "b", .generation = 2), 2, "-");
    TOLD(BEAT(&g, .member = "a", .generation = 1, .owned = keeps), 2, "-");
    ck_assert_int_eq(grig_member(&g, "a")->state, GROUP_MEMBER_STABLE);
    b = BEAT(&g, .member = "b", .generation = 2);
    EPOCH(b, 2);
    ck_assert_uint_eq(grig_member(&g, "b")->assigned.count, 2);
    ck_assert_str_eq(grig_told(b), grig_set(&g, &grig_member(&g, "b")->target));
    STATE(&g, "Stable");
    ck_assert_int_eq(b->req.beat.interval_ms, 5000);
    grig_deinit(&g);
}
END_TEST

START_TEST(too_late_to_give_up)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 2);
    TOLD(BEAT(&g, .member = "a", .topics = "t", .rebalance_ms = 20000), 1, "t:0,1");
    TOLD(BEAT(&g, .member = "b", .topics = "t"), 2, "");
    EPOCH(BEAT(&g, .member = "a", .generation = 1), 1);
    for (int i = 0; i < 4; i++) { /* it is alive, and yet it keeps them */
        grig_sleep(&g, i == 3 ? 4999 : 5000);
        EPOCH(BEAT(&g, .member = "a", .generation = 1, .owned = "t:0,1"), 1);
    }
    grig_sleep(&g, 1);
    ck_assert_ptr_null(grig_member(&g, "a"));
    REFUSED(&g, BEAT(&g, .member = "a", .generation = 1), BROKER_UNKNOWN_MEMBER);
    TOLD(BEAT(&g, .member = "b", .generation = 2), 3, "t:0,1");
    const struct group *group = grig_group(&g, NULL);
    ck_assert_int_eq(group->events[group->event_count - 1].cause, BROKER_GROUP_CAUSE_LATE);
    STATE(&g, "Stable");
    grig_deinit(&g);
}
END_TEST

/* The answer of a step was lost: the member says its last epoch again. */
START_TEST(lost_answer)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 2);
    TOLD(BEAT(&g, .member = "a", .topics = "t"), 1, "t:0,1");
    TOLD(BEAT(&g, .member = "b", .topics = "t"), 2, "");
    struct grig_call *a = BEAT(&g, .member = "a", .generation = 1, .owned = "t:0,1");
    const char *keeps = grig_told(a);
    EPOCH(BEAT(&g, .member = "a", .generation = 1, .owned = keeps), 2);
    REFUSED(&g, BEAT(&g, .member = "a", .generation = 1), BROKER_MEMBER_EPOCH_FENCED);
    REFUSED(&g, BEAT(&g, .member = "a", .generation = 1, .owned = "t:0,1"),
            BROKER_MEMBER_EPOCH_FENCED);
    TOLD(BEAT(&g, .member = "a", .generation = 1, .owned = ""), 2, "-");
    TOLD(BEAT(&g, .member = "a", .generation = 1, .owned = keeps), 2, "-");
    TOLD(BEAT(&g, .member = "a", .generation = 1, .owned = keeps, .owned_by_id = true,
              .topics = "t", .rebalance_ms = 60000),
         2, keeps);
    REFUSED(&g, BEAT(&g, .member = "a", .generation = 3, .owned = ""), BROKER_MEMBER_EPOCH_FENCED);
    grig_restart(&g, GRIG_LOAD_ROWS);
    TOLD(BEAT(&g, .member = "a", .generation = 1, .owned = keeps), 2, "-");
    REFUSED(&g, BEAT(&g, .member = "a", .generation = 1, .owned = "t:0,1"),
            BROKER_MEMBER_EPOCH_FENCED);
    grig_deinit(&g);
}
END_TEST

/* A member that was fenced gives up everything and joins again under its id. */
START_TEST(fenced_member_joins_again)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 2);
    TOLD(BEAT(&g, .member = "a", .topics = "t"), 1, "t:0,1");
    TOLD(BEAT(&g, .member = "b", .topics = "t"), 2, "");
    struct grig_call *a = BEAT(&g, .member = "a", .generation = 1); /* is to give up one */
    ck_assert_int_eq(grig_member(&g, "a")->state, GROUP_MEMBER_UNREVOKED);
    const char *keeps = grig_told(a);
    REFUSED(&g, BEAT(&g, .member = "a", .generation = 7), BROKER_MEMBER_EPOCH_FENCED);
    TOLD(BEAT(&g, .member = "a", .topics = "t"), 2, keeps);
    EPOCH(BEAT(&g, .member = "b", .generation = 2), 2);
    STATE(&g, "Stable");
    ck_assert_uint_eq(grig_member(&g, "b")->assigned.count, 1);
    grig_deinit(&g);
}
END_TEST

START_TEST(leave_and_expiry)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 2);
    TOLD(BEAT(&g, .member = "a", .topics = "t"), 1, "t:0,1");
    EPOCH(BEAT(&g, .member = "b", .topics = "t"), 2);
    EPOCH(BEAT(&g, .member = "c", .topics = "t"), 3);
    EPOCH(BEAT(&g, .member = "b", .generation = -1), -1);
    ck_assert_int_eq(grig_group(&g, NULL)->generation, 4);
    STATE(&g, "Assigning");
    REFUSED(&g, BEAT(&g, .member = "b", .generation = 2), BROKER_UNKNOWN_MEMBER);
    REFUSED(&g, BEAT(&g, .member = "b", .generation = -1), BROKER_UNKNOWN_MEMBER);
    grig_sleep(&g, 40000);
    EPOCH(BEAT(&g, .member = "c", .generation = 3), 4);
    grig_sleep(&g, 4999);
    ck_assert_ptr_nonnull(grig_member(&g, "a"));
    grig_sleep(&g, 1);
    ck_assert_ptr_null(grig_member(&g, "a"));
    TOLD(BEAT(&g, .member = "c", .generation = 4), 5, "t:0,1");
    grig_stall(&g, 600000);
    ck_assert_ptr_nonnull(grig_member(&g, "c")); /* that was the broker */
    grig_sleep(&g, 45000);
    STATE(&g, "Empty");
    ck_assert_int_eq(grig_group(&g, NULL)->generation, 6);
    TOLD(BEAT(&g, .member = "c", .topics = "t"), 7, "t:0,1");
    struct grig_call *out = LEAVE(&g, .leavers = "x;c"); /* an administrator */
    ANSWER(out, BROKER_OK);
    ck_assert_int_eq(out->req.leave.leavers[0].status, BROKER_UNKNOWN_MEMBER);
    ck_assert_int_eq(out->req.leave.leavers[1].status, BROKER_OK);
    STATE(&g, "Empty");
    grig_deinit(&g);
}
END_TEST

/* --- subscriptions and topics --- */

START_TEST(subscription_changes)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 1);
    grig_topic(&g, "u", 2);
    TOLD(BEAT(&g, .member = "a", .topics = "t"), 1, "t:0");
    TOLD(BEAT(&g, .member = "a", .generation = 1, .topics = "u,t,u"), 2, "t:0;u:0,1");
    TOLD(BEAT(&g, .member = "a", .generation = 2, .topics = "t,u"), 2, "-"); /* the same */
    TOLD(BEAT(&g, .member = "a", .generation = 2, .topics = "u", .owned = "t:0;u:0,1"), 2, "u:0,1");
    TOLD(BEAT(&g, .member = "a", .generation = 2, .owned = "u:0,1"), 3, "-");
    TOLD(BEAT(&g, .member = "a", .generation = 3, .topics = "", .owned = ""), 4, "");
    STATE(&g, "Stable");
    TOLD(BEAT(&g, .member = "a", .generation = 4, .topics = "none"), 5, "-");
    TOLD(BEAT(&g, .member = "a", .generation = 5, .rack = "r1", .client = "other"), 5, "-");
    ck_assert_str_eq(grig_member(&g, "a")->rack, "r1");
    ck_assert_str_eq(grig_member(&g, "a")->client_id, "other");
    grig_deinit(&g);
}
END_TEST

START_TEST(expressions)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "ta", 1);
    grig_topic(&g, "tb", 1);
    grig_topic(&g, "xta", 1);
    TOLD(BEAT(&g, .member = "a", .regex = "t."), 1, "ta:0;tb:0"); /* the whole name */
    REFUSED(&g, BEAT(&g, .member = "a", .generation = 1, .regex = "("), BROKER_BAD_REGEX);
    REFUSED(&g, BEAT(&g, .member = "b", .regex = "[a"), BROKER_BAD_REGEX);
    REFUSED(&g, BEAT(&g, .member = "b", .topics = "ta", .regex = "ta%"), BROKER_BAD_REQUEST);
    REFUSED(&g, BEAT(&g, .member = "a", .generation = 1, .rack = "r%"), BROKER_BAD_REQUEST);
    struct grig_topic *tc = grig_topic(&g, "tc", 2);
    TOLD(BEAT(&g, .member = "a", .generation = 1), 2, "ta:0;tb:0;tc:0,1");
    grig_topic(&g, "no", 2);
    TOLD(BEAT(&g, .member = "a", .generation = 2), 2, "-"); /* nobody wants that one */
    TOLD(BEAT(&g, .member = "a", .generation = 2, .regex = "t.", .topics = "xta,ta"), 3,
         "ta:0;tb:0;tc:0,1;xta:0");
    TOLD(BEAT(&g, .member = "a", .generation = 3, .regex = "", .owned = "xta:0;ta:0;tb:0;tc:0,1"),
         3, "ta:0;xta:0");
    grig_topic_delete(&g, tc);
    TOLD(BEAT(&g, .member = "a", .generation = 3, .owned = "xta:0;ta:0"), 4, "-");
    STATE(&g, "Stable");
    grig_deinit(&g);
}
END_TEST

START_TEST(topics_come_grow_and_go)
{
    struct grig g;
    grig_init(&g, NULL);
    TOLD(BEAT(&g, .member = "a", .topics = "t"), 1, "");
    struct grig_topic *t = grig_topic(&g, "t", 1);
    TOLD(BEAT(&g, .member = "a", .generation = 1), 2, "t:0");
    grig_topic_grow(&g, t, 3);
    TOLD(BEAT(&g, .member = "a", .generation = 2, .owned = "t:0"), 3, "t:0,1,2");
    EPOCH(BEAT(&g, .member = "b", .topics = "t"), 4);
    grig_topic_delete(&g, t);
    TOLD(BEAT(&g, .member = "b", .generation = 4), 5, "-");
    TOLD(BEAT(&g, .member = "a", .generation = 3, .owned = "t:0,1,2", .owned_by_id = true), 3, "");
    TOLD(BEAT(&g, .member = "a", .generation = 3, .owned = ""), 5, "-");
    STATE(&g, "Stable");
    grig_topic(&g, "t", 2); /* another one of this name */
    struct grig_call *b = BEAT(&g, .member = "b", .generation = 5, .owned = "");
    EPOCH(b, 6);
    ck_assert_uint_eq(grig_member(&g, "b")->assigned.count, 1);
    ck_assert_int_eq(memcmp(b->req.beat.assignment[0].id, g.topics[1].id, 16), 0);
    EPOCH(BEAT(&g, .member = "a", .generation = 5), 6);
    STATE(&g, "Stable");
    grig_deinit(&g);
}
END_TEST

/* What changed while no member could be told must not be forgotten by a restart, and a change that
 * concerns nobody must not move anybody. */
START_TEST(topics_and_restarts)
{
    struct grig g;
    grig_init(&g, NULL);
    struct grig_topic *t = grig_topic(&g, "t", 1);
    TOLD(BEAT(&g, .member = "a", .topics = "t"), 1, "t:0");
    grig_restart(&g, GRIG_LOAD_ROWS);
    TOLD(BEAT(&g, .member = "a", .generation = 1), 1, "-");
    grig_topic(&g, "other", 1);
    TOLD(BEAT(&g, .member = "a", .generation = 1), 1, "-");
    grig_topic_grow(&g, t, 2);
    grig_restart(&g, GRIG_LOAD_ROWS);
    TOLD(BEAT(&g, .member = "a", .generation = 1), 2, "t:0,1");
    grig_deinit(&g);
}
END_TEST

START_TEST(assignors)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 3);
    REFUSED(&g, BEAT(&g, .member = "a", .topics = "t", .assignor = "sticky"),
            BROKER_UNKNOWN_ASSIGNOR);
    TOLD(BEAT(&g, .member = "a", .topics = "t", .assignor = "range"), 1, "t:0,1,2");
    EPOCH(BEAT(&g, .member = "b", .topics = "t"), 2);
    TOLD(BEAT(&g, .member = "a", .generation = 1), 1, "t:0,1");
    TOLD(BEAT(&g, .member = "a", .generation = 1, .owned = "t:0,1"), 2, "-");
    TOLD(BEAT(&g, .member = "b", .generation = 2), 2, "t:2");
    EPOCH(BEAT(&g, .member = "a", .generation = 2, .assignor = "uniform"), 3);
    REFUSED(&g, BEAT(&g, .member = "a", .generation = 3, .assignor = "x"), BROKER_UNKNOWN_ASSIGNOR);
    grig_deinit(&g);
}
END_TEST

/* --- what is refused --- */

START_TEST(bad_requests)
{
    char name[251];
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 1);
    memset(name, 'n', sizeof name);
    name[250] = '\0';
    REFUSED(&g, BEAT(&g, .member = "a"), BROKER_BAD_REQUEST);
    REFUSED(&g, BEAT(&g, .member = "a", .regex = ""), BROKER_BAD_REQUEST);
    REFUSED(&g, BEAT(&g, .member = "a", .topics = "t", .late_wish = true), BROKER_BAD_REQUEST);
    REFUSED(&g, BEAT(&g, .member = "a", .topics = "t", .rebalance_ms = -1), BROKER_BAD_REQUEST);
    REFUSED(&g, BEAT(&g, .member = "a", .topics = "t", .owned = "t:0"), BROKER_BAD_REQUEST);
    REFUSED(&g, BEAT(&g, .member = "a", .topics = "t,,u"), BROKER_BAD_REQUEST);
    REFUSED(&g, BEAT(&g, .member = "a", .topics = name), BROKER_BAD_REQUEST);
    REFUSED(&g, BEAT(&g, .member = "a", .topics = "t", .rack = name), BROKER_BAD_REQUEST);
    REFUSED(&g, BEAT(&g, .member = name, .topics = "t"), BROKER_BAD_REQUEST);
    REFUSED(&g, BEAT(&g, .member = "a", .generation = -3), BROKER_BAD_REQUEST);
    REFUSED(&g, BEAT(&g, .member = "a", .generation = -2), BROKER_BAD_REQUEST);
    REFUSED(&g, BEAT(&g, .generation = 1), BROKER_BAD_REQUEST);
    REFUSED(&g, BEAT(&g, .group = "", .member = "a", .topics = "t"), BROKER_BAD_GROUP_ID);
    REFUSED(&g, BEAT(&g, .member = "a", .generation = 1), BROKER_UNKNOWN_MEMBER);
    STATE(&g, "none");
    EPOCH(BEAT(&g, .member = "a", .topics = "t", .owned = ""), 1);
    REFUSED(&g, BEAT(&g, .member = "b", .generation = 1), BROKER_UNKNOWN_MEMBER);
    REFUSED(&g, BEAT(&g, .member = "a", .generation = 1, .instance = "i"), BROKER_UNKNOWN_MEMBER);
    REFUSED(&g, SYNC(&g, .member = "a", .generation = 1), BROKER_UNKNOWN_MEMBER);
    REFUSED(&g, HEARTBEAT(&g, .member = "a", .generation = 1), BROKER_UNKNOWN_MEMBER);
    grig_deinit(&g);
}
END_TEST

START_TEST(group_full)
{
    const char *const sets[] = {"group.consumer.max.size=2", NULL};
    struct grig g;
    grig_init(&g, sets);
    grig_topic(&g, "t", 2);
    EPOCH(BEAT(&g, .member = "a", .topics = "t"), 1);
    EPOCH(BEAT(&g, .member = "b", .topics = "t"), 2);
    REFUSED(&g, BEAT(&g, .member = "c", .topics = "t"), BROKER_GROUP_FULL);
    EPOCH(BEAT(&g, .member = "b", .topics = "t"), 2); /* it is in */
    EPOCH(BEAT(&g, .member = "a", .generation = -1), -1);
    EPOCH(BEAT(&g, .member = "c", .topics = "t"), 4);
    grig_deinit(&g);
}
END_TEST

/* --- from one model to the other --- */

START_TEST(models)
{
    const char *const sets[] = {"group.initial.rebalance.delay.ms=0", NULL};
    struct grig g;
    grig_init(&g, sets);
    grig_topic(&g, "t", 2);
    const char *id = grig_id(JOIN(&g));
    ANSWER(SYNC(&g, .member = id, .generation = 1), BROKER_OK);
    REFUSED(&g, BEAT(&g, .member = "a", .topics = "t"), BROKER_UNKNOWN_GROUP);
    REFUSED(&g, BEAT(&g, .member = id, .generation = 1), BROKER_UNKNOWN_GROUP);
    ANSWER(LEAVE(&g, .leavers = id), BROKER_OK);
    REFUSED(&g, BEAT(&g, .member = id, .generation = 1), BROKER_UNKNOWN_MEMBER);
    ANSWER(JOIN(&g, .id_required = true), BROKER_MEMBER_ID_REQUIRED);
    TOLD(BEAT(&g, .member = "a", .topics = "t"), 3, "t:0,1"); /* epochs go on */
    ck_assert_uint_eq(grig_group(&g, NULL)->pending_count, 0);
    REFUSED(&g, JOIN(&g), BROKER_INCONSISTENT_PROTOCOL);
    grig_restart(&g, GRIG_LOAD_ROWS);
    TOLD(BEAT(&g, .member = "a", .generation = 3), 3, "-");
    EPOCH(BEAT(&g, .member = "a", .generation = -1), -1);
    REFUSED(&g, JOIN(&g, .member = "x"), BROKER_UNKNOWN_MEMBER);
    struct grig_call *c = JOIN(&g);
    ANSWER(c, BROKER_OK);
    ck_assert_int_eq(c->req.join.generation, 5);
    ANSWER(SYNC(&g, .member = grig_id(c), .generation = 5), BROKER_OK);
    for (enum grig_load how = 0; how < GRIG_LOAD_COUNT; how++) {
        grig_restart(&g, how);
        ANSWER(HEARTBEAT(&g, .member = grig_id(c), .generation = 5), BROKER_OK);
    }
    grig_deinit(&g);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {one_member,
                                  giving_up_before_taking_over,
                                  too_late_to_give_up,
                                  lost_answer,
                                  fenced_member_joins_again,
                                  leave_and_expiry,
                                  subscription_changes,
                                  expressions,
                                  topics_come_grow_and_go,
                                  topics_and_restarts,
                                  assignors,
                                  bad_requests,
                                  group_full,
                                  models};
    return GRIG_MAIN("broker/groups_consumer", tests);
}
