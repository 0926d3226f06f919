/* SPDX-License-Identifier: MIT
 *
 * test_group_consumer: ConsumerGroupHeartbeat and ConsumerGroupDescribe in every version, against a
 * fake of the broker's groups: null against empty, topics by name and by id, errors with messages.
 */
#include "test/unit/kafka/fake_groups.h"
#include "test/unit/kafka/kclient.h"

#define TEXT(s)                                                                                    \
    {                                                                                              \
        (const uint8_t *)(s), sizeof(s) - 1                                                        \
    }

static struct fake_groups fake;

static const int32_t parts[] = {3, 1, 2};

static void open_fake(struct kclient *c)
{
    fake = (struct fake_groups){0};
    fake_groups_use(&fake);
    kclient_init(c, 1);
    kclient_open(c);
}

/* --- ConsumerGroupHeartbeat --- */

static int16_t beat_version;

static void beat_see_full(const struct broker_group *r)
{
    const struct broker_group_beat *b = &r->beat;
    ck_assert_int_eq(r->op, BROKER_GROUP_BEAT);
    ck_slice(r->group, "g");
    ck_slice(r->member, "m-1");
    ck_slice(r->instance, "static");
    ck_assert_int_eq(r->generation, 5);
    ck_slice(r->client_id, "kclient");
    ck_slice(r->client_host, "/127.0.0.1");
    ck_slice(b->rack, "r");
    ck_assert_int_eq(b->rebalance_timeout_ms, 60000);
    ck_assert_uint_eq(b->topic_count, 2);
    ck_slice(b->topics[0], "t");
    ck_slice(b->topics[1], "u");
    ck_slice(b->regex, beat_version >= 1 ? "t.*" : "(null)");
    ck_slice(b->assignor, "uniform");
    ck_assert_uint_eq(b->owned_count, 1);
    ck_assert_ptr_null(b->owned[0].name.p);
    ck_assert_int_eq(b->owned[0].id[0], 0x11);
    ck_assert_int_eq(b->owned[0].id[15], 0x22);
    ck_assert_uint_eq(b->owned[0].count, 3);
    ck_assert_mem_eq(b->owned[0].partitions, parts, sizeof parts);
}

static void beat_see_null(const struct broker_group *r)
{
    ck_assert_ptr_null(r->instance.p);
    ck_assert_ptr_null(r->beat.rack.p);
    ck_assert_int_eq(r->beat.rebalance_timeout_ms, -1);
    ck_assert_ptr_null(r->beat.topics);
    ck_assert_ptr_null(r->beat.regex.p);
    ck_assert_ptr_null(r->beat.assignor.p);
    ck_assert_ptr_null(r->beat.owned);
}

static void beat_see_empty(const struct broker_group *r)
{
    ck_assert_ptr_nonnull(r->beat.topics);
    ck_assert_uint_eq(r->beat.topic_count, 0);
    ck_assert_ptr_nonnull(r->beat.owned);
    ck_assert_uint_eq(r->beat.owned_count, 0);
    if (beat_version >= 1)
        ck_assert_ptr_nonnull(r->beat.regex.p);
    ck_assert_uint_eq(r->beat.regex.size, 0);
}

static void beat_answer(struct broker_group *r)
{
    struct broker_group_topic t = {.name = fake_groups_lend("t"), .count = 2};
    t.partitions = fake_groups_lend_copy(&parts[1], 2 * sizeof parts[0]);
    t.id[0] = 0x33;
    t.id[15] = 0x44;
    r->beat.member = fake_groups_lend("m-1");
    r->beat.epoch = 6;
    r->beat.interval_ms = 5000;
    r->beat.has_assignment = true;
    r->beat.assignment = fake_groups_lend_copy(&t, sizeof t);
    r->beat.assignment_count = 1;
}

/* The assignment is that there is none, and not that it stands. */
static void beat_answer_nothing(struct broker_group *r)
{
    beat_answer(r);
    r->beat.assignment_count = 0;
}

static void beat_answer_standing(struct broker_group *r)
{
    beat_answer(r);
    r->beat.has_assignment = false;
}

static struct kp_consumer_group_heartbeat_request null_beat(void)
{
    struct kp_consumer_group_heartbeat_request q = KP_CONSUMER_GROUP_HEARTBEAT_REQUEST_INIT;
    q.group_id = slice_str("g");
    q.member_id = slice_str("m-1");
    q.member_epoch = 5;
    q.subscribed_topic_names.count = -1;
    q.topics.count = -1;
    return q;
}

static const struct kp_consumer_group_heartbeat_response *
beat(struct kclient *c, int16_t version, const struct kp_consumer_group_heartbeat_request *q)
{
    beat_version = version;
    return kclient_ask(c, KP_API_CONSUMER_GROUP_HEARTBEAT, version, q);
}

START_TEST(beat_full)
{
    struct kclient c;
    struct kp_consumer_group_heartbeat_request q = null_beat();
    struct kp_consumer_group_heartbeat_request_topic t = {.indexes = {parts, 3}};
    struct slice names[2] = {slice_str("t"), slice_str("u")};
    open_fake(&c);
    t.topic_id.b[0] = 0x11;
    t.topic_id.b[15] = 0x22;
    q.instance_id = slice_str("static");
    q.rack_id = slice_str("r");
    q.rebalance_timeout_ms = 60000;
    q.subscribed_topic_names.v = names;
    q.subscribed_topic_names.count = 2;
    q.subscribed_topic_regex = slice_str("t.*");
    q.server_assignor = slice_str("uniform");
    q.topics.v = &t;
    q.topics.count = 1;
    fake.see = beat_see_full;
    fake.answer = beat_answer;
    for (int16_t v = 0; v <= 1; v++) {
        const struct kp_consumer_group_heartbeat_response *a = beat(&c, v, &q);
        ck_assert_int_eq(a->error, 0);
        ck_slice(a->error_message, "(null)");
        ck_slice(a->member_id, "m-1");
        ck_assert_int_eq(a->member_epoch, 6);
        ck_assert_int_eq(a->heartbeat_interval_ms, 5000);
        ck_assert_ptr_nonnull(a->assignment);
        ck_assert_int_eq(a->assignment->topics.count, 1);
        ck_assert_int_eq(a->assignment->topics.v[0].topic_id.b[0], 0x33);
        ck_assert_int_eq(a->assignment->topics.v[0].topic_id.b[15], 0x44);
        ck_assert_int_eq(a->assignment->topics.v[0].indexes.count, 2);
        ck_assert_int_eq(a->assignment->topics.v[0].indexes.v[0], 1);
        ck_assert_int_eq(a->assignment->topics.v[0].indexes.v[1], 2);
    }
    kclient_close(&c);
}
END_TEST

START_TEST(beat_null_and_empty)
{
    struct kclient c;
    open_fake(&c);
    for (int16_t v = 0; v <= 1; v++) {
        struct kp_consumer_group_heartbeat_request q = null_beat();
        fake.see = beat_see_null;
        fake.answer = beat_answer_standing;
        ck_assert_ptr_null(beat(&c, v, &q)->assignment);
        q.subscribed_topic_names.count = q.topics.count = 0;
        q.subscribed_topic_regex = slice_str("");
        fake.see = beat_see_empty;
        fake.answer = beat_answer_nothing;
        const struct kp_consumer_group_heartbeat_response *a = beat(&c, v, &q);
        ck_assert_ptr_nonnull(a->assignment);
        ck_assert_int_eq(a->assignment->topics.count, 0);
    }
    ck_assert_uint_eq(fake.seen, 4);
    kclient_close(&c);
}
END_TEST

static void beat_answer_why(struct broker_group *r)
{
    r->message = "a reason of its own";
}

START_TEST(beat_errors)
{
    static const struct {
        enum broker_status status;
        int16_t error;
    } rows[] = {
        {BROKER_BAD_REQUEST, 42},
        {BROKER_UNKNOWN_MEMBER, 25},
        {BROKER_MEMBER_EPOCH_FENCED, 110},
        {BROKER_INSTANCE_HELD, 111},
        {BROKER_UNKNOWN_ASSIGNOR, 112},
        {BROKER_BAD_REGEX, 128},
        {BROKER_UNKNOWN_GROUP, 69},
        {BROKER_GROUP_FULL, 81},
        {BROKER_GROUP_LOADING, 14},
        {BROKER_STOPPING, 16},
        {BROKER_BUSY, 15},
        {BROKER_BAD_GROUP_ID, 24},
    };
    struct kclient c;
    struct kp_consumer_group_heartbeat_request q = null_beat();
    open_fake(&c);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int16_t v = 0; v <= 1; v++) {
            fake.status = rows[i].status;
            fake.answer = v == 0 ? NULL : beat_answer_why;
            const struct kp_consumer_group_heartbeat_response *a = beat(&c, v, &q);
            ck_assert_int_eq(a->error, rows[i].error);
            ck_slice(a->error_message,
                     v == 0 ? broker_status_text(rows[i].status) : "a reason of its own");
            ck_slice(a->member_id, "(null)");
            ck_assert_int_eq(a->member_epoch, 0);
            ck_assert_ptr_null(a->assignment);
        }
    fake.seen = 0;
    fake.status = BROKER_OK;
    fake.answer = beat_answer;
    q.member_id = slice_str("");
    ck_assert_int_eq(beat(&c, 0, &q)->error, 0);
    ck_assert_int_eq(beat(&c, 1, &q)->error, 42);
    ck_assert_uint_eq(fake.seen, 1);
    kclient_close(&c);
}
END_TEST

/* --- ConsumerGroupDescribe --- */

static const struct slice topics[] = {TEXT("t"), TEXT("u")};
static const struct broker_group_topic has[] = {
    {.name = TEXT("t"), .id = {0x11, [15] = 0x22}, .partitions = &parts[0], .count = 1},
};
static const struct broker_group_topic shall[] = {
    {.name = TEXT("t"), .id = {0x11, [15] = 0x22}, .partitions = &parts[0], .count = 2},
    {.name = TEXT("u"), .id = {0x33, [15] = 0x44}, .partitions = &parts[2], .count = 1},
};
static const struct broker_group_member members[] = {
    {.id = TEXT("m-1"),
     .instance = TEXT("static"),
     .rack = TEXT("r"),
     .client_id = TEXT("c-1"),
     .client_host = TEXT("/10.0.0.1"),
     .epoch = 4,
     .regex = TEXT(""),
     .topics = topics,
     .topic_count = 2,
     .assigned = has,
     .assigned_count = 1,
     .target = shall,
     .target_count = 2},
    {.id = TEXT("m-2"),
     .rack = TEXT(""),
     .client_id = TEXT("c-2"),
     .client_host = TEXT("/10.0.0.2"),
     .epoch = 5,
     .regex = TEXT("t.*")},
};

static const struct fake_group groups[] = {
    {{.name = TEXT("newer"),
      .type = BROKER_GROUP_CONSUMER,
      .state = BROKER_GROUP_RECONCILING,
      .protocol_type = TEXT("consumer"),
      .protocol = TEXT("uniform"),
      .generation = 5,
      .assignment_epoch = 4,
      .member_count = 2},
     members,
     NULL},
    {{.name = TEXT("old"), .type = BROKER_GROUP_CLASSIC, .state = BROKER_GROUP_EMPTY}, NULL, NULL},
};

static void expect_first(const struct kp_consumer_group_describe_response_member *m)
{
    ck_slice(m->member_id, "m-1");
    ck_slice(m->instance_id, "static");
    ck_slice(m->rack_id, "r");
    ck_assert_int_eq(m->member_epoch, 4);
    ck_slice(m->client_id, "c-1");
    ck_slice(m->client_host, "/10.0.0.1");
    ck_assert_int_eq(m->subscribed_topic_names.count, 2);
    ck_slice(m->subscribed_topic_names.v[1], "u");
    ck_slice(m->subscribed_topic_regex, "(null)");
    ck_assert_int_eq(m->assignment.topics.count, 1);
    ck_slice(m->assignment.topics.v[0].name, "t");
    ck_assert_int_eq(m->assignment.topics.v[0].topic_id.b[15], 0x22);
    ck_assert_int_eq(m->assignment.topics.v[0].indexes.count, 1);
    ck_assert_int_eq(m->assignment.topics.v[0].indexes.v[0], 3);
    ck_assert_int_eq(m->target.topics.count, 2);
    ck_assert_int_eq(m->target.topics.v[0].indexes.count, 2);
    ck_slice(m->target.topics.v[1].name, "u");
    ck_assert_int_eq(m->target.topics.v[1].topic_id.b[0], 0x33);
    ck_assert_int_eq(m->target.topics.v[1].indexes.v[0], 2);
}

static void expect_missing(const struct kp_consumer_group_describe_response_group *g, int16_t error,
                           const char *why)
{
    ck_assert_int_eq(g->error, error);
    ck_slice(g->error_message, why);
    ck_assert_int_eq(g->members.count, 0);
    ck_assert_int_eq(g->authorized_operations, INT32_MIN);
}

START_TEST(describe)
{
    static const struct slice names[] = {TEXT("newer"), TEXT("old"), TEXT("none"), TEXT("")};
    struct kclient c;
    struct kp_consumer_group_describe_request q = KP_CONSUMER_GROUP_DESCRIBE_REQUEST_INIT;
    open_fake(&c);
    fake.groups = groups;
    fake.group_count = 2;
    q.groups.v = names;
    q.groups.count = 4;
    q.include_operations = true;
    for (int16_t v = 0; v <= 1; v++) {
        const struct kp_consumer_group_describe_response *a =
            kclient_ask(&c, KP_API_CONSUMER_GROUP_DESCRIBE, v, &q);
        ck_assert_int_eq(a->groups.count, 4);
        const struct kp_consumer_group_describe_response_group *g = &a->groups.v[0];
        ck_assert_int_eq(g->error, 0);
        ck_slice(g->group_id, "newer");
        ck_slice(g->state, "Reconciling");
        ck_assert_int_eq(g->epoch, 5);
        ck_assert_int_eq(g->assignment_epoch, 4);
        ck_slice(g->assignor_name, "uniform");
        ck_assert_int_eq(g->authorized_operations, 3400);
        ck_assert_int_eq(g->members.count, 2);
        expect_first(&g->members.v[0]);
        ck_assert_int_eq(g->members.v[0].member_type, v >= 1 ? 1 : -1);
        ck_slice(g->members.v[1].instance_id, "(null)");
        ck_slice(g->members.v[1].rack_id, "(null)");
        ck_slice(g->members.v[1].subscribed_topic_regex, "t.*");
        ck_assert_int_eq(g->members.v[1].assignment.topics.count, 0);
        expect_missing(&a->groups.v[1], 69, "Group old is not a consumer group.");
        expect_missing(&a->groups.v[2], 69, "Group none not found.");
        expect_missing(&a->groups.v[3], 24, "(null)");
    }
    fake.ready = BROKER_GROUP_LOADING;
    const struct kp_consumer_group_describe_response *a =
        kclient_ask(&c, KP_API_CONSUMER_GROUP_DESCRIBE, 1, &q);
    expect_missing(&a->groups.v[0], 14, "(null)");
    kclient_close(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kafka group consumer");
    TCase *t = tcase_create("consumer");
    tcase_add_test(t, beat_full);
    tcase_add_test(t, beat_null_and_empty);
    tcase_add_test(t, beat_errors);
    tcase_add_test(t, describe);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    return rig_main(s);
}
