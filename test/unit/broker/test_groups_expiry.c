/* SPDX-License-Identifier: MIT
 *
 * groups_expiry: when committed offsets go: by the rules of KIP-211, with their topic, and after a
 * start with topics that went while nobody could write that down. Wall time is moved by hand.
 */
#include <stdlib.h>

#include "test/unit/broker/groups_rig.h"

#define KEEP_MS  (INT64_C(10) * 60000)
#define CHECK_MS 60000

static const char *const sets[] = {
    "group.initial.rebalance.delay.ms=0",          "offsets.retention.minutes=10",
    "offsets.retention.check.interval.ms=60000",   "group.max.session.timeout.ms=100000000",
    "group.consumer.session.timeout.ms=100000000", NULL};

#define TOOL(g, ...) COMMIT(g, .generation = -1, __VA_ARGS__)

/* Runs sweeps until `ms` of wall time from now on; the last one at it. */
static void until(struct grig *g, int64_t ms)
{
    int64_t end = g->wall + ms;
    grig_wall(g, ms > CHECK_MS ? ms - CHECK_MS : 0);
    grig_sleep(g, end - g->wall);
}

/* A group that only ever committed: each offset from its commit on. */
START_TEST(simple_group)
{
    struct grig g;
    grig_init(&g, sets);
    grig_topic(&g, "t", 2);
    ANSWER(TOOL(&g, .offsets = "t:0=1"), BROKER_OK);
    grig_wall(&g, KEEP_MS - 2 * CHECK_MS);
    ANSWER(TOOL(&g, .offsets = "t:1=1"), BROKER_OK);
    grig_sleep(&g, CHECK_MS);
    ck_assert_str_ne(grig_offset(&g, NULL, "t", 0), "-");
    grig_sleep(&g, CHECK_MS);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "-");
    ck_assert_str_ne(grig_offset(&g, NULL, "t", 1), "-");
    grig_restart(&g, GRIG_LOAD_LOG);
    until(&g, KEEP_MS);
    STATE(&g, "none"); /* and the group with its last one */
    grig_deinit(&g);
}
END_TEST

/* A group with members: from the moment it became empty on. */
START_TEST(group_that_had_members)
{
    for (int restart = 0; restart < 2; restart++) {
        struct grig g;
        grig_init(&g, sets);
        grig_topic(&g, "t", 1);
        struct grig_call *a = JOIN(&g, .session_ms = 90000000, .topics = "t");
        const char *id = grig_id(a);
        ANSWER(SYNC(&g, .member = id, .generation = 1), BROKER_OK);
        ANSWER(COMMIT(&g, .member = id, .generation = 1, .offsets = "t:0=1"), BROKER_OK);
        until(&g, 10 * KEEP_MS); /* it is subscribed to */
        ck_assert_str_ne(grig_offset(&g, NULL, "t", 0), "-");
        ANSWER(LEAVE(&g, .leavers = id), BROKER_OK);
        until(&g, KEEP_MS - CHECK_MS);
        ck_assert_str_ne(grig_offset(&g, NULL, "t", 0), "-");
        if (restart) /* it is known since when it is empty */
            grig_restart(&g, GRIG_LOAD_ROWS);
        ck_assert_str_ne(grig_offset(&g, NULL, "t", 0), "-");
        until(&g, CHECK_MS);
        STATE(&g, "none");
        for (enum grig_load how = 0; how < GRIG_LOAD_COUNT; how++) {
            grig_restart(&g, how);
            STATE(&g, "none");
        }
        grig_deinit(&g);
    }
}
END_TEST

/* Of a stable group: what it does not subscribe to any more. */
START_TEST(unsubscribed_topics)
{
    for (int model = 0; model < 2; model++) {
        struct grig g;
        grig_init(&g, sets);
        grig_topic(&g, "t", 1);
        grig_topic(&g, "u", 1);
        ANSWER(TOOL(&g, .offsets = "t:0=1;u:0=1"), BROKER_OK);
        if (model == 0) {
            const char *id = grig_id(JOIN(&g, .session_ms = 90000000, .topics = "t"));
            ANSWER(SYNC(&g, .member = id, .generation = 1), BROKER_OK);
        } else {
            ANSWER(BEAT(&g, .member = "m", .topics = "t"), BROKER_OK);
        }
        STATE(&g, "Stable");
        until(&g, KEEP_MS - CHECK_MS);
        ck_assert_str_ne(grig_offset(&g, NULL, "u", 0), "-");
        until(&g, CHECK_MS);
        ck_assert_str_eq(grig_offset(&g, NULL, "u", 0), "-");
        ck_assert_str_ne(grig_offset(&g, NULL, "t", 0), "-");
        grig_deinit(&g);
    }
}
END_TEST

/* What members of another type want, or subscriptions that cannot be read, nobody knows. */
START_TEST(subscriptions_that_cannot_be_read)
{
    struct grig g;
    grig_init(&g, sets);
    grig_topic(&g, "t", 1);
    ANSWER(TOOL(&g, .offsets = "t:0=1"), BROKER_OK);
    const char *id = grig_id(JOIN(&g, .session_ms = 90000000, .type = "connect"));
    ANSWER(SYNC(&g, .member = id, .generation = 1), BROKER_OK);
    until(&g, 10 * KEEP_MS);
    ck_assert_str_ne(grig_offset(&g, NULL, "t", 0), "-");
    grig_deinit(&g);
}
END_TEST

/* While it moves nothing goes. */
START_TEST(moving_group)
{
    struct grig g;
    grig_init(&g, sets);
    grig_topic(&g, "u", 1);
    ANSWER(TOOL(&g, .offsets = "u:0=1"), BROKER_OK);
    const char *id =
        grig_id(JOIN(&g, .session_ms = 90000000, .rebalance_ms = 90000000, .topics = "t"));
    STATE(&g, "CompletingRebalance");
    until(&g, 2 * KEEP_MS);
    ck_assert_str_ne(grig_offset(&g, NULL, "u", 0), "-");
    ANSWER(SYNC(&g, .member = id, .generation = 1), BROKER_OK);
    grig_sleep(&g, CHECK_MS);
    ck_assert_str_eq(grig_offset(&g, NULL, "u", 0), "-");
    grig_deinit(&g);
}
END_TEST

START_TEST(group_without_anything)
{
    struct grig g;
    grig_init(&g, sets);
    ANSWER(JOIN(&g, .id_required = true, .session_ms = 90000), BROKER_MEMBER_ID_REQUIRED);
    grig_sleep(&g, CHECK_MS);
    STATE(&g, "Empty"); /* somebody has an id of it */
    grig_sleep(&g, CHECK_MS);
    STATE(&g, "none");
    const char *id = grig_id(JOIN(&g));
    ANSWER(LEAVE(&g, .leavers = id), BROKER_OK);
    grig_sleep(&g, CHECK_MS);
    STATE(&g, "none");
    grig_deinit(&g);
}
END_TEST

START_TEST(topic_deleted)
{
    struct grig g;
    grig_init(&g, sets);
    struct grig_topic *t = grig_topic(&g, "t", 1);
    grig_topic(&g, "u", 1);
    ANSWER(TOOL(&g, .offsets = "t:0=1;u:0=1"), BROKER_OK);
    ANSWER(TOOL(&g, .group = "h", .offsets = "t:0=1"), BROKER_OK);
    grig_topic_delete(&g, t);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "-");
    ck_assert_str_eq(grig_offset(&g, "h", "t", 0), "-");
    ck_assert_str_ne(grig_offset(&g, NULL, "u", 0), "-");
    grig_topic(&g, "t", 1);
    grig_restart(&g, GRIG_LOAD_LOG);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "-");
    grig_deinit(&g);
}
END_TEST

START_TEST(orphans)
{
    struct grig g;
    grig_init(&g, sets);
    struct grig_topic *t = grig_topic(&g, "t", 1);
    grig_topic(&g, "u", 1);
    ANSWER(TOOL(&g, .offsets = "t:0=1;u:0=1"), BROKER_OK);
    t->gone = true; /* the broker died before it could tell */
    grig_restart(&g, GRIG_LOAD_ROWS);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "-");
    ck_assert_str_ne(grig_offset(&g, NULL, "u", 0), "-");
    t->gone = false; /* and it was written down */
    grig_restart(&g, GRIG_LOAD_LOG);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "-");
    grig_deinit(&g);
}
END_TEST

/* Offsets are a group's whatever model it is of. */
START_TEST(offsets_stay_when_the_model_changes)
{
    struct grig g;
    grig_init(&g, sets);
    grig_topic(&g, "t", 1);
    ANSWER(TOOL(&g, .offsets = "t:0=1"), BROKER_OK);
    ANSWER(BEAT(&g, .member = "m", .topics = "t"), BROKER_OK);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "1 epoch 0 ''");
    ANSWER(BEAT(&g, .member = "m", .generation = -1), BROKER_OK);
    const char *id = grig_id(JOIN(&g));
    ANSWER(LEAVE(&g, .leavers = id), BROKER_OK);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "1 epoch 0 ''");
    grig_restart(&g, GRIG_LOAD_MIXED);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "1 epoch 0 ''");
    grig_deinit(&g);
}
END_TEST

START_TEST(expiry_of_a_consumer_group)
{
    struct grig g;
    grig_init(&g, sets);
    grig_topic(&g, "t", 1);
    ANSWER(BEAT(&g, .member = "m", .topics = "t"), BROKER_OK);
    ANSWER(COMMIT(&g, .member = "m", .generation = 1, .offsets = "t:0=1"), BROKER_OK);
    until(&g, 10 * KEEP_MS);
    ANSWER(BEAT(&g, .member = "m", .generation = -1), BROKER_OK);
    until(&g, KEEP_MS - CHECK_MS);
    ck_assert_str_ne(grig_offset(&g, NULL, "t", 0), "-");
    grig_restart(&g, GRIG_LOAD_LOG); /* when it became empty is not in its records */
    until(&g, KEEP_MS - CHECK_MS);
    ck_assert_str_ne(grig_offset(&g, NULL, "t", 0), "-");
    until(&g, CHECK_MS);
    STATE(&g, "none");
    grig_deinit(&g);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {simple_group,
                                  group_that_had_members,
                                  unsubscribed_topics,
                                  subscriptions_that_cannot_be_read,
                                  moving_group,
                                  group_without_anything,
                                  topic_deleted,
                                  orphans,
                                  offsets_stay_when_the_model_changes,
                                  expiry_of_a_consumer_group};
    return GRIG_MAIN("broker/groups_expiry", tests);
}
