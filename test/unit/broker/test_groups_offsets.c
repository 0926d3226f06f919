/* SPDX-License-Identifier: MIT
 *
 * groups_offsets: committed offsets: who may commit, what is refused, when an answer leaves and
 * when an offset can be seen; forgetting, deleting; a full disk; what happens while a commit is on
 * its way.
 */
#include <errno.h>
#include <stdlib.h>

#include "test/unit/broker/groups_rig.h"

static const char *const at_once[] = {"group.initial.rebalance.delay.ms=0", NULL};

/* A tool's commit. */
#define TOOL(g, ...) COMMIT(g, .generation = -1, __VA_ARGS__)

static void items(struct grig_call *c, const enum broker_status *want)
{
    ANSWER(c, BROKER_OK);
    for (size_t i = 0; i < c->req.commit.count; i++)
        ck_assert_str_eq(broker_status_text(c->req.commit.items[i].status),
                         broker_status_text(want[i]));
}

/* --- who may --- */

START_TEST(tools_commit_to_empty_groups)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_topic(&g, "t", 2);
    ANSWER(TOOL(&g, .offsets = "t:0=5;t:1=7", .note = "n", .leader_epoch = 3), BROKER_OK);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "5 epoch 3 'n'");
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 1), "7 epoch 3 'n'");
    STATE(&g, "Empty");
    REFUSED(&g, COMMIT(&g, .member = "x", .generation = 1, .offsets = "t:0=1"),
            BROKER_UNKNOWN_MEMBER);
    REFUSED(&g, COMMIT(&g, .generation = 0, .offsets = "t:0=1"), BROKER_UNKNOWN_MEMBER);
    grig_trio(&g, &t);
    REFUSED(&g, TOOL(&g, .offsets = "t:0=6"), BROKER_UNKNOWN_MEMBER);
    REFUSED(&g, TOOL(&g, .member = t.b, .offsets = "t:0=6"), BROKER_ILLEGAL_GENERATION);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "5 epoch 3 'n'");
    ANSWER(LEAVE(&g, .leavers = t.a), BROKER_OK);
    ANSWER(LEAVE(&g, .leavers = t.b), BROKER_OK);
    REFUSED(&g, TOOL(&g, .offsets = "t:0=6"), BROKER_UNKNOWN_MEMBER);
    ANSWER(LEAVE(&g, .leavers = t.s), BROKER_OK);
    ANSWER(TOOL(&g, .offsets = "t:0=6"), BROKER_OK);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "6 epoch 0 ''");
    grig_deinit(&g);
}
END_TEST

START_TEST(members_commit)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_topic(&g, "t", 1);
    grig_trio(&g, &t);
    grig_sleep(&g, 4000);
    ANSWER(COMMIT(&g, .member = t.b, .generation = t.generation, .offsets = "t:0=5",
                  .leader_epoch = -1),
           BROKER_OK);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "5 epoch -1 ''");
    ck_assert_int_eq(grig_member(&g, t.b)->session.at, g.groups->now + 10000);
    ANSWER(
        COMMIT(&g, .member = t.s, .instance = "i", .generation = t.generation, .offsets = "t:0=6"),
        BROKER_OK);
    PARKED(JOIN(&g, .member = t.a));
    ANSWER(COMMIT(&g, .member = t.b, .generation = t.generation, .offsets = "t:0=7"), BROKER_OK);
    grig_trio_join(&g, &t);
    REFUSED(&g, COMMIT(&g, .member = t.b, .generation = t.generation, .offsets = "t:0=8"),
            BROKER_REBALANCE);
    REFUSED(&g, COMMIT(&g, .member = t.b, .generation = t.generation - 1, .offsets = "t:0=8"),
            BROKER_ILLEGAL_GENERATION);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "7 epoch 0 ''");
    grig_deinit(&g);
}
END_TEST

START_TEST(members_of_the_consumer_model_commit)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 1);
    ANSWER(BEAT(&g, .member = "m", .topics = "t"), BROKER_OK);
    ANSWER(COMMIT(&g, .member = "m", .generation = 1, .offsets = "t:0=5"), BROKER_OK);
    REFUSED(&g, COMMIT(&g, .member = "m", .generation = 0, .offsets = "t:0=6"),
            BROKER_MEMBER_EPOCH_STALE);
    REFUSED(&g, COMMIT(&g, .member = "m", .generation = 2, .offsets = "t:0=6"),
            BROKER_MEMBER_EPOCH_STALE);
    REFUSED(&g, COMMIT(&g, .member = "x", .generation = 1, .offsets = "t:0=6"),
            BROKER_UNKNOWN_MEMBER);
    REFUSED(&g, TOOL(&g, .offsets = "t:0=6"), BROKER_UNKNOWN_MEMBER);
    ANSWER(BEAT(&g, .member = "m", .generation = -1), BROKER_OK);
    ANSWER(TOOL(&g, .offsets = "t:0=6"), BROKER_OK);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "6 epoch 0 ''");
    grig_deinit(&g);
}
END_TEST

/* --- each item for itself --- */

START_TEST(bad_items)
{
    static const enum broker_status want[] = {
        BROKER_UNKNOWN_TOPIC, BROKER_OK, BROKER_UNKNOWN_PARTITION,   BROKER_UNKNOWN_PARTITION,
        BROKER_UNKNOWN_TOPIC, BROKER_OK, BROKER_OFFSET_OUT_OF_RANGE, BROKER_OFFSET_OUT_OF_RANGE};
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 3);
    items(TOOL(&g, .offsets = "x:0=1;t:0=100;t:3=1;t:-1=1;:0=1;t:1=0;t:2=101;t:2=-1"), want);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "100 epoch 0 ''");
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 1), "0 epoch 0 ''");
    ck_assert_uint_eq(grig_group(&g, NULL)->offsets.count, 2);
    ck_assert_uint_eq(g.record_count, 2);
    items(TOOL(&g, .group = "h", .offsets = "x:0=1"), want); /* none is good: no group */
    ck_assert_ptr_null(grig_group(&g, "h"));
    grig_deinit(&g);
}
END_TEST

START_TEST(metadata_too_large)
{
    static const enum broker_status want[] = {BROKER_METADATA_TOO_LARGE};
    char note[4098];
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 1);
    memset(note, 'n', sizeof note);
    note[4097] = '\0';
    items(TOOL(&g, .offsets = "t:0=1", .note = note), want);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "-");
    note[4096] = '\0';
    ANSWER(TOOL(&g, .offsets = "t:0=1", .note = note), BROKER_OK);
    ck_assert_str_ne(grig_offset(&g, NULL, "t", 0), "-");
    grig_config(&g, "offset.metadata.max.bytes", "0");
    items(TOOL(&g, .offsets = "t:0=1", .note = "n"), want);
    grig_deinit(&g);
}
END_TEST

/* --- durable, then visible, then answered --- */

START_TEST(visible_when_durable)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 1);
    ANSWER(TOOL(&g, .offsets = "t:0=1"), BROKER_OK);
    g.disk = GRIG_DISK_HELD;
    struct grig_call *a = TOOL(&g, .offsets = "t:0=2");
    struct grig_call *b = TOOL(&g, .offsets = "t:0=3");
    struct grig_call *c = TOOL(&g, .group = "h", .offsets = "t:0=9");
    PARKED(a);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "1 epoch 0 ''");
    ck_assert_ptr_null(grig_group(&g, "h"));
    grig_sleep(&g, 7); /* its time is that of its record */
    grig_disk(&g, 1, 0);
    ANSWER(a, BROKER_OK);
    PARKED(b);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "2 epoch 0 ''");
    grig_disk(&g, 2, 0);
    ANSWER(b, BROKER_OK);
    ANSWER(c, BROKER_OK);
    ck_assert_uint_lt(a->order, b->order);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "3 epoch 0 ''");
    grig_deinit(&g);
}
END_TEST

START_TEST(full_disk)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 1);
    ANSWER(TOOL(&g, .offsets = "t:0=1"), BROKER_OK);
    g.disk = GRIG_DISK_FULL;
    ANSWER(TOOL(&g, .offsets = "t:0=2"), BROKER_GROUP_UNAVAILABLE);
    ANSWER(TOOL(&g, .group = "h", .offsets = "t:0=2"), BROKER_GROUP_UNAVAILABLE);
    ck_assert_ptr_null(grig_group(&g, "h"));
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "1 epoch 0 ''");
    ANSWER(FORGET(&g, .offsets = "t:0"), BROKER_GROUP_UNAVAILABLE);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "1 epoch 0 ''");
    ANSWER(DELETE(&g), BROKER_GROUP_UNAVAILABLE);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "1 epoch 0 ''");
    g.disk = GRIG_DISK_AT_ONCE;
    ANSWER(TOOL(&g, .offsets = "t:0=3"), BROKER_OK);
    grig_restart(&g, GRIG_LOAD_LOG);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "3 epoch 0 ''");
    ANSWER(DELETE(&g), BROKER_OK);
    grig_deinit(&g);
}
END_TEST

START_TEST(settle)
{
    static const enum broker_status lost[] = {BROKER_OK, BROKER_GROUP_UNAVAILABLE};
    struct grig g;
    grig_init(&g, NULL);
    struct grig_topic *t = grig_topic(&g, "t", 2);
    t->durable = 10;
    g.settle_held = true;
    struct grig_call *c = TOOL(&g, .offsets = "t:0=10;t:1=50");
    PARKED(c);
    ck_assert_uint_eq(g.record_count, 0); /* nothing is written before the records are */
    grig_settle(&g, -EIO);
    items(c, lost);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "10 epoch 0 ''");
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 1), "-");
    c = TOOL(&g, .offsets = "t:0=40;t:1=50");
    g.disk = GRIG_DISK_HELD;
    grig_settle(&g, 0);
    PARKED(c);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 1), "-");
    grig_disk(&g, 1, 0);
    ANSWER(c, BROKER_OK);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 1), "50 epoch 0 ''");
    grig_deinit(&g);
}
END_TEST

/* While its records were waited for, the group went on. */
START_TEST(settled_too_late)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    struct grig_topic *topic = grig_topic(&g, "t", 1);
    grig_trio(&g, &t);
    topic->durable = 0;
    g.settle_held = true;
    struct grig_call *c =
        COMMIT(&g, .member = t.b, .generation = t.generation, .offsets = "t:0=50");
    grig_trio_join(&g, &t);
    grig_settle(&g, 0);
    ANSWER(c, BROKER_ILLEGAL_GENERATION);
    grig_trio_sync(&g, &t);
    topic->durable = 0;
    c = COMMIT(&g, .member = t.b, .generation = t.generation, .offsets = "t:0=50");
    ANSWER(LEAVE(&g, .leavers = t.b), BROKER_OK);
    grig_settle(&g, 0);
    ANSWER(c, BROKER_UNKNOWN_MEMBER);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "-");
    grig_deinit(&g);
}
END_TEST

/* Of two commits the later one stands, also when the earlier one waited for its records. */
START_TEST(settled_in_order)
{
    struct grig g;
    grig_init(&g, NULL);
    struct grig_topic *t = grig_topic(&g, "t", 1);
    t->durable = 10;
    g.settle_held = true;
    struct grig_call *a = TOOL(&g, .offsets = "t:0=50");
    struct grig_call *b = TOOL(&g, .offsets = "t:0=5");
    struct grig_call *other = TOOL(&g, .group = "h", .offsets = "t:0=5");
    ANSWER(other, BROKER_OK);
    grig_settle(&g, 0);
    ANSWER(a, BROKER_OK);
    ANSWER(b, BROKER_OK);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "5 epoch 0 ''");
    grig_restart(&g, GRIG_LOAD_LOG);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "5 epoch 0 ''");
    grig_deinit(&g);
}
END_TEST

/* --- forget and delete --- */

START_TEST(forget)
{
    static const enum broker_status want[] = {BROKER_OK, BROKER_UNKNOWN_TOPIC,
                                              BROKER_UNKNOWN_PARTITION, BROKER_OK};
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 2);
    REFUSED(&g, FORGET(&g, .offsets = "t:0"), BROKER_UNKNOWN_GROUP);
    ANSWER(TOOL(&g, .offsets = "t:0=1"), BROKER_OK);
    g.disk = GRIG_DISK_HELD;
    struct grig_call *c = FORGET(&g, .offsets = "t:0;x:0;t:2;t:1");
    PARKED(c);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "1 epoch 0 ''");
    grig_disk(&g, 1, 0);
    items(c, want);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "-");
    grig_restart(&g, GRIG_LOAD_ROWS);
    ck_assert_ptr_null(grig_group(&g, NULL));
    grig_deinit(&g);
}
END_TEST

START_TEST(forget_what_is_subscribed)
{
    static const enum broker_status want[] = {BROKER_GROUP_SUBSCRIBED, BROKER_OK};
    for (int model = 0; model < 2; model++) {
        struct grig g;
        grig_init(&g, at_once);
        grig_topic(&g, "t", 1);
        grig_topic(&g, "u", 1);
        ANSWER(TOOL(&g, .offsets = "t:0=1;u:0=1"), BROKER_OK);
        if (model == 0) {
            const char *id = grig_id(JOIN(&g, .topics = "t"));
            ANSWER(SYNC(&g, .member = id, .generation = 1), BROKER_OK);
        } else {
            ANSWER(BEAT(&g, .member = "m", .topics = "", .regex = "t|v"), BROKER_OK);
        }
        items(FORGET(&g, .offsets = "t:0;u:0"), want);
        ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "1 epoch 0 ''");
        ck_assert_str_eq(grig_offset(&g, NULL, "u", 0), "-");
        grig_deinit(&g);
    }
}
END_TEST

START_TEST(delete_group)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_topic(&g, "t", 1);
    REFUSED(&g, DELETE(&g), BROKER_UNKNOWN_GROUP);
    grig_trio(&g, &t);
    ANSWER(COMMIT(&g, .member = t.a, .generation = t.generation, .offsets = "t:0=1"), BROKER_OK);
    REFUSED(&g, DELETE(&g), BROKER_GROUP_NOT_EMPTY);
    ANSWER(LEAVE(&g, .leavers = t.a), BROKER_OK);
    REFUSED(&g, DELETE(&g), BROKER_GROUP_NOT_EMPTY);
    ANSWER(LEAVE(&g, .leavers = t.b), BROKER_OK);
    ANSWER(LEAVE(&g, .leavers = t.s), BROKER_OK);
    g.disk = GRIG_DISK_HELD;
    struct grig_call *c = DELETE(&g);
    PARKED(c);
    REFUSED(&g, JOIN(&g), BROKER_GROUP_UNAVAILABLE);
    REFUSED(&g, TOOL(&g, .offsets = "t:0=2"), BROKER_GROUP_UNAVAILABLE);
    REFUSED(&g, DELETE(&g), BROKER_GROUP_UNAVAILABLE);
    grig_disk(&g, 1, 0);
    ANSWER(c, BROKER_OK);
    STATE(&g, "none");
    g.disk = GRIG_DISK_AT_ONCE;
    struct grig_call *a = JOIN(&g);
    ANSWER(a, BROKER_OK);
    ck_assert_int_eq(a->req.join.generation, 1);
    grig_deinit(&g);
}
END_TEST

START_TEST(delete_a_consumer_group)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 1);
    ANSWER(BEAT(&g, .member = "m", .topics = "t"), BROKER_OK);
    REFUSED(&g, DELETE(&g), BROKER_GROUP_NOT_EMPTY);
    ANSWER(BEAT(&g, .member = "m", .generation = -1), BROKER_OK);
    ANSWER(DELETE(&g), BROKER_OK);
    for (enum grig_load how = 0; how < GRIG_LOAD_COUNT; how++) {
        grig_restart(&g, how);
        STATE(&g, "none");
    }
    grig_deinit(&g);
}
END_TEST

/* --- while a commit is on its way --- */

START_TEST(delete_meanwhile)
{
    for (int fails = 0; fails < 2; fails++) {
        struct grig g;
        grig_init(&g, NULL);
        grig_topic(&g, "t", 2);
        ANSWER(TOOL(&g, .offsets = "t:0=1"), BROKER_OK);
        g.disk = GRIG_DISK_HELD;
        struct grig_call *c = TOOL(&g, .offsets = "t:0=2;t:1=2");
        struct grig_call *gone = DELETE(&g);
        grig_disk(&g, 1, 0);
        ANSWER(c, BROKER_OK);
        grig_disk(&g, 1, fails ? -ENOSPC : 0);
        ANSWER(gone, fails ? BROKER_GROUP_UNAVAILABLE : BROKER_OK);
        grig_restart(&g, GRIG_LOAD_LOG);
        ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), fails ? "2 epoch 0 ''" : "-");
        ck_assert_str_eq(grig_offset(&g, NULL, "t", 1), fails ? "2 epoch 0 ''" : "-");
        grig_deinit(&g);
    }
}
END_TEST

START_TEST(forget_meanwhile)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 2);
    ANSWER(TOOL(&g, .offsets = "t:0=1"), BROKER_OK);
    g.disk = GRIG_DISK_HELD;
    struct grig_call *a = TOOL(&g, .offsets = "t:0=2;t:1=2");
    struct grig_call *b = FORGET(&g, .offsets = "t:0;t:1");
    grig_disk(&g, 2, 0); /* also what was not there yet */
    ANSWER(a, BROKER_OK);
    ANSWER(b, BROKER_OK);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 1), "-");
    b = FORGET(&g, .offsets = "t:1");
    struct grig_call *c = TOOL(&g, .offsets = "t:1=3");
    grig_disk(&g, g.wait_count, 0);
    ANSWER(b, BROKER_OK);
    ANSWER(c, BROKER_OK);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "-");
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 1), "3 epoch 0 ''");
    grig_deinit(&g);
}
END_TEST

START_TEST(topic_deleted_meanwhile)
{
    for (int known = 0; known < 2; known++) {
        struct grig g;
        grig_init(&g, NULL);
        struct grig_topic *t = grig_topic(&g, "t", 1);
        grig_topic(&g, "u", 1);
        if (known)
            ANSWER(TOOL(&g, .offsets = "t:0=1"), BROKER_OK);
        g.disk = GRIG_DISK_HELD;
        struct grig_call *c = TOOL(&g, .offsets = "t:0=2;u:0=2");
        grig_topic_delete(&g, t);
        grig_topic(&g, "t", 1); /* another one of this name */
        grig_disk(&g, 1, 0);
        ANSWER(c, BROKER_OK);
        ck_assert_int_eq(c->req.commit.items[0].status, BROKER_UNKNOWN_TOPIC);
        ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "-");
        ck_assert_str_eq(grig_offset(&g, NULL, "u", 0), "2 epoch 0 ''");
        g.disk = GRIG_DISK_AT_ONCE;
        ANSWER(TOOL(&g, .offsets = "u:0=3"), BROKER_OK);
        grig_restart(&g, GRIG_LOAD_LOG);
        ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "-");
        grig_deinit(&g);
    }
}
END_TEST

START_TEST(expired_meanwhile)
{
    struct grig g;
    grig_init(&g, NULL);
    grig_topic(&g, "t", 1);
    ANSWER(TOOL(&g, .offsets = "t:0=1"), BROKER_OK);
    grig_wall(&g, INT64_C(10080) * 60000);
    g.disk = GRIG_DISK_HELD;
    struct grig_call *c = TOOL(&g, .offsets = "t:0=2");
    grig_sleep(&g, 600001); /* a sweep */
    g.disk = GRIG_DISK_AT_ONCE;
    grig_disk(&g, 1, 0);
    ANSWER(c, BROKER_OK);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "2 epoch 0 ''");
    grig_restart(&g, GRIG_LOAD_LOG);
    ck_assert_str_eq(grig_offset(&g, NULL, "t", 0), "2 epoch 0 ''");
    grig_deinit(&g);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {tools_commit_to_empty_groups,
                                  members_commit,
                                  members_of_the_consumer_model_commit,
                                  bad_items,
                                  metadata_too_large,
                                  visible_when_durable,
                                  full_disk,
                                  settle,
                                  settled_too_late,
                                  settled_in_order,
                                  forget,
                                  forget_what_is_subscribed,
                                  delete_group,
                                  delete_a_consumer_group,
                                  delete_meanwhile,
                                  forget_meanwhile,
                                  topic_deleted_meanwhile,
                                  expired_meanwhile};
    return GRIG_MAIN("broker/groups_offsets", tests);
}
