/* SPDX-License-Identifier: MIT
 *
 * groups_classic: who may join, sync, beat and leave, and what each wrong word is answered with:
 * in every state of a group, leaving it as it was. Ids that are handed out first.
 */
#include <stdio.h>
#include <stdlib.h>

#include "test/unit/broker/groups_rig.h"

static const char *const at_once[] = {"group.initial.rebalance.delay.ms=0", NULL};

/* --- refusals --- */

enum who {
    WHO_B,
    WHO_STATIC,
    WHO_STRANGER,
    WHO_NEW,
};

struct refusal {
    const char *what;
    enum broker_group_op op;
    enum who who;
    const char *instance;
    int32_t off; /* of the generation */
    const char *type;
    const char *protocols;
    const char *metadata;
    int32_t session_ms;
    enum broker_status status;
};

static const struct refusal refusals[] = {
    {.what = "stranger's heartbeat",
     .op = BROKER_GROUP_HEARTBEAT,
     .who = WHO_STRANGER,
     .status = BROKER_UNKNOWN_MEMBER},
    {.what = "old heartbeat",
     .op = BROKER_GROUP_HEARTBEAT,
     .off = -1,
     .status = BROKER_ILLEGAL_GENERATION},
    {.what = "future heartbeat",
     .op = BROKER_GROUP_HEARTBEAT,
     .off = 1,
     .status = BROKER_ILLEGAL_GENERATION},
    {.what = "heartbeat of an unknown instance",
     .op = BROKER_GROUP_HEARTBEAT,
     .instance = "other",
     .status = BROKER_UNKNOWN_MEMBER},
    {.what = "heartbeat of another's instance",
     .op = BROKER_GROUP_HEARTBEAT,
     .instance = "i",
     .status = BROKER_INSTANCE_FENCED},
    {.what = "heartbeat of an instance's old id",
     .op = BROKER_GROUP_HEARTBEAT,
     .who = WHO_STRANGER,
     .instance = "i",
     .status = BROKER_INSTANCE_FENCED},
    {.what = "stranger's sync",
     .op = BROKER_GROUP_SYNC,
     .who = WHO_STRANGER,
     .status = BROKER_UNKNOWN_MEMBER},
    {.what = "old sync", .op = BROKER_GROUP_SYNC, .off = -1, .status = BROKER_ILLEGAL_GENERATION},
    {.what = "future sync", .op = BROKER_GROUP_SYNC, .off = 1, .status = BROKER_ILLEGAL_GENERATION},
    {.what = "fenced sync",
     .op = BROKER_GROUP_SYNC,
     .instance = "i",
     .status = BROKER_INSTANCE_FENCED},
    {.what = "sync of another type",
     .op = BROKER_GROUP_SYNC,
     .type = "connect",
     .status = BROKER_INCONSISTENT_PROTOCOL},
    {.what = "sync of another protocol",
     .op = BROKER_GROUP_SYNC,
     .protocols = "sticky",
     .status = BROKER_INCONSISTENT_PROTOCOL},
    {.what = "stranger's commit",
     .op = BROKER_GROUP_COMMIT,
     .who = WHO_STRANGER,
     .status = BROKER_UNKNOWN_MEMBER},
    {.what = "old commit",
     .op = BROKER_GROUP_COMMIT,
     .off = -1,
     .status = BROKER_ILLEGAL_GENERATION},
    {.what = "future commit",
     .op = BROKER_GROUP_COMMIT,
     .off = 1,
     .status = BROKER_ILLEGAL_GENERATION},
    {.what = "fenced commit",
     .op = BROKER_GROUP_COMMIT,
     .instance = "i",
     .status = BROKER_INSTANCE_FENCED},
    {.what = "stranger's join",
     .op = BROKER_GROUP_JOIN,
     .who = WHO_STRANGER,
     .status = BROKER_UNKNOWN_MEMBER},
    {.what = "join of another's instance",
     .op = BROKER_GROUP_JOIN,
     .instance = "i",
     .status = BROKER_INSTANCE_FENCED},
    {.what = "join of an unknown instance",
     .op = BROKER_GROUP_JOIN,
     .instance = "other",
     .status = BROKER_UNKNOWN_MEMBER},
    {.what = "new member of another type",
     .op = BROKER_GROUP_JOIN,
     .who = WHO_NEW,
     .type = "connect",
     .status = BROKER_INCONSISTENT_PROTOCOL},
    {.what = "new member without a common protocol",
     .op = BROKER_GROUP_JOIN,
     .who = WHO_NEW,
     .protocols = "other",
     .status = BROKER_INCONSISTENT_PROTOCOL},
    {.what = "member gives up the common protocols",
     .op = BROKER_GROUP_JOIN,
     .protocols = "other",
     .status = BROKER_INCONSISTENT_PROTOCOL},
    {.what = "static member back without a common protocol",
     .op = BROKER_GROUP_JOIN,
     .who = WHO_NEW,
     .instance = "i",
     .protocols = "other",
     .status = BROKER_INCONSISTENT_PROTOCOL},
    {.what = "no protocols",
     .op = BROKER_GROUP_JOIN,
     .who = WHO_NEW,
     .protocols = "",
     .status = BROKER_INCONSISTENT_PROTOCOL},
    {.what = "a protocol without name",
     .op = BROKER_GROUP_JOIN,
     .who = WHO_NEW,
     .protocols = "range,=x",
     .status = BROKER_INCONSISTENT_PROTOCOL},
    {.what = "a zero byte in a protocol",
     .op = BROKER_GROUP_JOIN,
     .who = WHO_NEW,
     .protocols = "range,a%b",
     .status = BROKER_INCONSISTENT_PROTOCOL},
    {.what = "a zero byte in the type",
     .op = BROKER_GROUP_JOIN,
     .who = WHO_NEW,
     .type = "consumer%b",
     .status = BROKER_INCONSISTENT_PROTOCOL},
    {.what = "no type",
     .op = BROKER_GROUP_JOIN,
     .who = WHO_NEW,
     .type = "",
     .status = BROKER_INCONSISTENT_PROTOCOL},
    {.what = "too many protocols",
     .op = BROKER_GROUP_JOIN,
     .protocols = "range,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,"
                  "29,30,31,32,33",
     .status = BROKER_INCONSISTENT_PROTOCOL},
    {.what = "session too short",
     .op = BROKER_GROUP_JOIN,
     .session_ms = 5999,
     .status = BROKER_BAD_SESSION_TIMEOUT},
    {.what = "session too long",
     .op = BROKER_GROUP_JOIN,
     .session_ms = 1800001,
     .status = BROKER_BAD_SESSION_TIMEOUT},
};

static struct grig_call *refuse(struct grig *g, const struct grig_trio *t, const struct refusal *r)
{
    static const char *const fixed[] = {[WHO_STRANGER] = "stranger", [WHO_NEW] = NULL};
    struct grig_ask ask = {.member = r->who == WHO_B        ? t->b
                                     : r->who == WHO_STATIC ? t->s
                                                            : fixed[r->who],
                           .instance = r->instance,
                           .generation = t->generation + r->off,
                           .type = r->type,
                           .protocols = r->protocols,
                           .protocol = r->protocols,
                           .metadata = r->metadata,
                           .session_ms = r->session_ms,
                           .offsets = "t:0=1"};
    return grig_ask(g, r->op, &ask);
}

static void refuse_all(struct grig *g, const struct grig_trio *t)
{
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const char *before = grig_state(g);
        struct grig_call *c = refuse(g, t, &refusals[i]);
        ck_assert_msg(c->answered && c->req.status == refusals[i].status, "%s: %s, not %s",
                      refusals[i].what, c->answered ? broker_status_text(c->req.status) : "parked",
                      broker_status_text(refusals[i].status));
        ck_assert_msg(strcmp(grig_state(g), before) == 0, "%s: was\n%sis\n%s", refusals[i].what,
                      before, grig_state(g));
        if (c->req.op == BROKER_GROUP_JOIN)
            ck_assert_ptr_null(c->req.join.protocol.p);
    }
}

START_TEST(refused_in_every_state)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_topic(&g, "t", 1);
    grig_trio(&g, &t);
    refuse_all(&g, &t);
    struct grig_call *a = JOIN(&g, .member = t.a, .protocols = "range=ma,sticky=na");
    STATE(&g, "PreparingRebalance");
    PARKED(a);
    refuse_all(&g, &t);
    grig_trio_join(&g, &t);
    ANSWER(a, BROKER_REBALANCE);
    refuse_all(&g, &t);
    grig_trio_sync(&g, &t);
    refuse_all(&g, &t);
    grig_restart(&g, GRIG_LOAD_LOG);
    refuse_all(&g, &t);
    grig_deinit(&g);
}
END_TEST

START_TEST(no_group_has_no_members)
{
    struct grig g;
    grig_init(&g, at_once);
    grig_topic(&g, "t", 1);
    REFUSED(&g, HEARTBEAT(&g, .member = "x", .generation = 1), BROKER_UNKNOWN_MEMBER);
    REFUSED(&g, SYNC(&g, .member = "x", .generation = 1), BROKER_UNKNOWN_MEMBER);
    REFUSED(&g, JOIN(&g, .member = "x"), BROKER_UNKNOWN_MEMBER);
    REFUSED(&g, JOIN(&g, .session_ms = 1), BROKER_BAD_SESSION_TIMEOUT);
    REFUSED(&g, COMMIT(&g, .member = "x", .generation = 1, .offsets = "t:0=1"),
            BROKER_UNKNOWN_GROUP);
    struct grig_call *c = LEAVE(&g, .leavers = "x");
    ANSWER(c, BROKER_OK);
    ck_assert_int_eq(c->req.leave.leavers[0].status, BROKER_UNKNOWN_MEMBER);
    STATE(&g, "none");
    REFUSED(&g, JOIN(&g, .group = ""), BROKER_BAD_GROUP_ID);
    char name[251];
    memset(name, 'n', sizeof name);
    name[250] = '\0';
    REFUSED(&g, JOIN(&g, .group = name), BROKER_BAD_GROUP_ID);
    REFUSED(&g, JOIN(&g, .instance = name), BROKER_BAD_REQUEST);
    REFUSED(&g, JOIN(&g, .instance = ""), BROKER_BAD_REQUEST);
    REFUSED(&g, JOIN(&g, .client = name), BROKER_BAD_REQUEST);
    REFUSED(&g, JOIN(&g, .type = name), BROKER_INCONSISTENT_PROTOCOL);
    REFUSED(&g, JOIN(&g, .type = "consumer%"), BROKER_INCONSISTENT_PROTOCOL);
    REFUSED(&g, JOIN(&g, .protocols = name), BROKER_INCONSISTENT_PROTOCOL);
    name[249] = '\0';
    ANSWER(JOIN(&g, .group = name, .instance = name, .type = name, .protocols = name), BROKER_OK);
    grig_deinit(&g);
}
END_TEST

START_TEST(too_large)
{
    struct grig g;
    struct grig_trio t;
    char *big = malloc(BROKER_GROUP_BYTES_MAX + 1);
    ck_assert_ptr_nonnull(big);
    memset(big, 'x', BROKER_GROUP_BYTES_MAX);
    big[BROKER_GROUP_BYTES_MAX] = '\0';
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    REFUSED(&g, JOIN(&g, .member = t.b, .metadata = big), BROKER_BUSY);
    ck_assert_ptr_null(strstr(grig_state(&g), "xxx"));
    big[BROKER_GROUP_BYTES_MAX - 5] = '\0';
    ANSWER(JOIN(&g, .group = "h", .metadata = big), BROKER_OK); /* with "range" to the byte */
    grig_trio_join(&g, &t);
    big[BROKER_GROUP_BYTES_MAX - 5] = 'x';
    struct buf assign = {0};
    buf_printf(&assign, "%s=%s%s", t.a, big, "x");
    buf_append_u8(&assign, 0);
    REFUSED(&g,
            SYNC(&g, .member = t.a, .generation = t.generation, .assign = (const char *)assign.p),
            BROKER_BUSY);
    grig_trio_sync(&g, &t);
    buf_deinit(&assign);
    grig_deinit(&g);
    free(big);
}
END_TEST

/* --- how many --- */

START_TEST(group_full)
{
    const char *const sets[] = {"group.initial.rebalance.delay.ms=0", "group.max.size=3", NULL};
    struct grig g;
    struct grig_trio t;
    grig_init(&g, sets);
    grig_trio(&g, &t);
    REFUSED(&g, JOIN(&g, .instance = "new"), BROKER_GROUP_FULL);
    REFUSED(&g, JOIN(&g, .id_required = true), BROKER_GROUP_FULL);
    struct grig_call *back = JOIN(&g, .instance = "i", .protocols = "range=ms,sticky=ns");
    ANSWER(back, BROKER_OK); /* takes its own place */
    t.s = grig_id(back);
    struct grig_call *gone = LEAVE(&g, .leavers = t.b);
    ANSWER(gone, BROKER_OK);
    struct grig_call *c = JOIN(&g, .id_required = true);
    ANSWER(c, BROKER_MEMBER_ID_REQUIRED);
    struct grig_call *d = JOIN(&g);
    PARKED(d);
    REFUSED(&g, JOIN(&g, .member = grig_id(c)), BROKER_GROUP_FULL); /* somebody was faster */
    grig_deinit(&g);
}
END_TEST

START_TEST(groups_max)
{
    const char *const sets[] = {"group.initial.rebalance.delay.ms=0", "groups.max=2", NULL};
    struct grig g;
    grig_init(&g, sets);
    grig_topic(&g, "t", 1);
    ANSWER(JOIN(&g, .group = "one"), BROKER_OK);
    ANSWER(COMMIT(&g, .group = "two", .generation = -1, .offsets = "t:0=1"), BROKER_OK);
    REFUSED(&g, JOIN(&g, .group = "three"), BROKER_BUSY);
    REFUSED(&g, COMMIT(&g, .group = "three", .generation = -1, .offsets = "t:0=1"), BROKER_BUSY);
    REFUSED(&g, BEAT(&g, .group = "three", .member = "m", .topics = "t"), BROKER_BUSY);
    ANSWER(DELETE(&g, .group = "two"), BROKER_OK);
    ANSWER(JOIN(&g, .group = "three"), BROKER_OK);
    grig_deinit(&g);
}
END_TEST

/* --- ids handed out first --- */

START_TEST(id_required)
{
    struct grig g;
    grig_init(&g, at_once);
    struct grig_call *first = JOIN(&g, .id_required = true, .client = "app");
    ANSWER(first, BROKER_MEMBER_ID_REQUIRED);
    const char *id = grig_id(first);
    ck_assert_int_eq(strncmp(id, "app-", 4), 0);
    ck_assert_uint_eq(strlen(id), 4 + 36);
    STATE(&g, "Empty");
    ck_assert_uint_eq(grig_group(&g, NULL)->pending_count, 1);
    struct grig_call *second = JOIN(&g, .id_required = true, .member = id);
    ANSWER(second, BROKER_OK);
    ck_assert_str_eq(grig_id(second), id);
    ck_assert_uint_eq(grig_group(&g, NULL)->pending_count, 0);
    /* static members are not asked twice */
    PARKED(JOIN(&g, .id_required = true, .instance = "i"));
    grig_deinit(&g);
}
END_TEST

START_TEST(pending_id_expires)
{
    struct grig g;
    grig_init(&g, at_once);
    const char *id = grig_id(JOIN(&g, .id_required = true, .session_ms = 6000));
    grig_sleep(&g, 5999);
    ck_assert_uint_eq(grig_group(&g, NULL)->pending_count, 1);
    grig_sleep(&g, 1);
    ck_assert_uint_eq(grig_group(&g, NULL)->pending_count, 0);
    REFUSED(&g, JOIN(&g, .member = id), BROKER_UNKNOWN_MEMBER);
    grig_deinit(&g);
}
END_TEST

START_TEST(rebalance_waits_for_pending_ids)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    const char *id = grig_id(JOIN(&g, .id_required = true));
    STATE(&g, "Stable");
    struct grig_call *a = JOIN(&g, .member = t.a, .protocols = "range=ma,sticky=na");
    struct grig_call *b = JOIN(&g, .member = t.b, .protocols = "range=mb,sticky=nb");
    struct grig_call *s = JOIN(&g, .member = t.s, .instance = "i", .protocols = "range,sticky");
    PARKED(a);
    struct grig_call *d = JOIN(&g, .member = id);
    ANSWER(d, BROKER_OK);
    ANSWER(a, BROKER_OK);
    ANSWER(b, BROKER_OK);
    ANSWER(s, BROKER_OK);
    ck_assert_uint_eq(a->req.join.member_count, 4);
    grig_deinit(&g);
}
END_TEST

START_TEST(pending_id_that_goes_lets_the_rebalance_end)
{
    for (int leaves = 0; leaves < 2; leaves++) {
        struct grig g;
        grig_init(&g, at_once);
        const char *a = grig_id(JOIN(&g));
        const char *id = grig_id(JOIN(&g, .id_required = true));
        grig_sleep(&g, 5000);
        struct grig_call *again = JOIN(&g, .member = a, .metadata = "new");
        PARKED(again);
        if (leaves) {
            struct grig_call *c = LEAVE(&g, .leavers = id);
            ANSWER(c, BROKER_OK);
            ck_assert_int_eq(c->req.leave.leavers[0].status, BROKER_OK);
        } else {
            grig_sleep(&g, 5000);
        }
        ANSWER(again, BROKER_OK);
        REFUSED(&g, JOIN(&g, .member = id), BROKER_UNKNOWN_MEMBER);
        grig_deinit(&g);
    }
}
END_TEST

START_TEST(pending_id_is_of_no_instance)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    const char *id = grig_id(JOIN(&g, .id_required = true));
    REFUSED(&g, JOIN(&g, .member = id, .instance = "i"), BROKER_INSTANCE_FENCED);
    REFUSED(&g, JOIN(&g, .member = id, .instance = "other"), BROKER_UNKNOWN_MEMBER);
    REFUSED(&g, JOIN(&g, .member = id, .protocols = "other"), BROKER_INCONSISTENT_PROTOCOL);
    PARKED(JOIN(&g, .member = id));
    grig_deinit(&g);
}
END_TEST

START_TEST(too_many_pending_ids)
{
    struct grig g;
    grig_init(&g, at_once);
    g.blind = true;
    for (int i = 0; i < GROUPS_PENDING_MAX; i++)
        ANSWER(JOIN(&g, .id_required = true), BROKER_MEMBER_ID_REQUIRED);
    REFUSED(&g, JOIN(&g, .id_required = true), BROKER_BUSY);
    struct grig_call *c = JOIN(&g);
    PARKED(c);
    grig_sleep(&g, 10000);
    ANSWER(c, BROKER_OK);
    grig_deinit(&g);
}
END_TEST

/* --- heartbeat and leave --- */

START_TEST(heartbeat_in_every_state)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    grig_sleep(&g, 4000);
    ANSWER(HEARTBEAT(&g, .member = t.b, .generation = t.generation), BROKER_OK);
    ck_assert_int_eq(grig_member(&g, t.b)->session.at, g.groups->now + 10000);
    PARKED(JOIN(&g, .member = t.a, .metadata = "new"));
    grig_sleep(&g, 4000);
    ANSWER(HEARTBEAT(&g, .member = t.b, .generation = t.generation), BROKER_REBALANCE);
    ck_assert_int_eq(grig_member(&g, t.b)->session.at, g.groups->now + 10000);
    grig_trio_join(&g, &t);
    grig_sleep(&g, 4000);
    ANSWER(HEARTBEAT(&g, .member = t.b, .generation = t.generation), BROKER_OK);
    ANSWER(HEARTBEAT(&g, .member = t.s, .instance = "i", .generation = t.generation), BROKER_OK);
    ck_assert_int_eq(grig_member(&g, t.s)->session.at, g.groups->now + 10000);
    grig_deinit(&g);
}
END_TEST

START_TEST(leave_many_at_once)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    char list[512];
    snprintf(list, sizeof list, "stranger;%s@other;%s@i;@i;@nobody;%s", t.b, t.b, t.b);
    struct grig_call *c = LEAVE(&g, .leavers = list);
    static const enum broker_status want[] = {BROKER_UNKNOWN_MEMBER,  BROKER_UNKNOWN_MEMBER,
                                              BROKER_INSTANCE_FENCED, BROKER_OK,
                                              BROKER_UNKNOWN_MEMBER,  BROKER_OK};
    ANSWER(c, BROKER_OK);
    for (size_t i = 0; i < 6; i++)
        ck_assert_str_eq(broker_status_text(c->req.leave.leavers[i].status),
                         broker_status_text(want[i]));
    ck_assert_uint_eq(grig_group(&g, NULL)->member_count, 1);
    STATE(&g, "PreparingRebalance");
    struct grig_call *a = JOIN(&g, .member = t.a);
    ANSWER(a, BROKER_OK);
    ck_assert_int_eq(a->req.join.generation, t.generation + 1);
    ck_assert_uint_eq(a->req.join.member_count, 1);
    grig_deinit(&g);
}
END_TEST

START_TEST(last_one_leaves)
{
    struct grig g;
    grig_init(&g, at_once);
    struct grig_call *a = JOIN(&g);
    const char *id = grig_id(a);
    ANSWER(SYNC(&g, .member = id, .generation = 1), BROKER_OK);
    ANSWER(LEAVE(&g, .leavers = id), BROKER_OK);
    STATE(&g, "Empty");
    ck_assert_int_eq(grig_group(&g, NULL)->generation, 2);
    REFUSED(&g, HEARTBEAT(&g, .member = id, .generation = 2), BROKER_UNKNOWN_MEMBER);
    grig_restart(&g, GRIG_LOAD_ROWS);
    STATE(&g, "Empty");
    a = JOIN(&g, .type = "connect", .protocols = "v2");
    ANSWER(a, BROKER_OK);
    ck_assert_int_eq(a->req.join.generation, 3); /* and goes on from there */
    grig_deinit(&g);
}
END_TEST

START_TEST(leaving_while_parked)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    struct grig_call *b = JOIN(&g, .member = t.b, .metadata = "new");
    PARKED(b);
    ANSWER(LEAVE(&g, .leavers = t.b), BROKER_OK);
    ANSWER(b, BROKER_UNKNOWN_MEMBER);
    struct grig_call *s = JOIN(&g, .member = t.s, .instance = "i");
    ANSWER(JOIN(&g, .member = t.a), BROKER_OK);
    ANSWER(s, BROKER_OK);
    struct grig_call *sync = SYNC(&g, .member = t.s, .generation = t.generation + 1);
    PARKED(sync);
    ANSWER(LEAVE(&g, .leavers = "@i"), BROKER_OK);
    ANSWER(sync, BROKER_UNKNOWN_MEMBER);
    STATE(&g, "PreparingRebalance");
    grig_deinit(&g);
}
END_TEST

START_TEST(loading_and_stopping)
{
    struct grig g;
    struct grig_trio t;
    grig_init(&g, at_once);
    grig_trio(&g, &t);
    struct grig_call *a = JOIN(&g, .member = t.a);
    PARKED(a);
    groups_stop(g.groups);
    grig_stall(&g, 0);
    ANSWER(a, BROKER_STOPPING);
    ANSWER(HEARTBEAT(&g, .member = t.a, .generation = t.generation), BROKER_STOPPING);
    ck_assert_int_eq(groups_next_ms(g.groups), INT64_MAX);
    grig_restart(&g, GRIG_LOAD_LOG);
    g.groups->loading = true;
    ANSWER(HEARTBEAT(&g, .member = t.a, .generation = t.generation), BROKER_GROUP_LOADING);
    ANSWER(COMMIT(&g, .generation = -1, .offsets = "t:0=1"), BROKER_GROUP_LOADING);
    g.groups->loading = false;
    ANSWER(HEARTBEAT(&g, .member = t.a, .generation = t.generation), BROKER_OK);
    grig_deinit(&g);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {refused_in_every_state,
                                  no_group_has_no_members,
                                  too_large,
                                  group_full,
                                  groups_max,
                                  id_required,
                                  pending_id_expires,
                                  rebalance_waits_for_pending_ids,
                                  pending_id_that_goes_lets_the_rebalance_end,
                                  pending_id_is_of_no_instance,
                                  too_many_pending_ids,
                                  heartbeat_in_every_state,
                                  leave_many_at_once,
                                  last_one_leaves,
                                  leaving_while_parked,
                                  loading_and_stopping};
    return GRIG_MAIN("broker/groups_classic", tests);
}
