/* SPDX-License-Identifier: MIT
 *
 * test_group_admin: ListGroups, DescribeGroups and DeleteGroups in every version, against a fake of
 * the broker's groups: filters, groups that are not there or of the other kind, what is told only
 * while it is agreed.
 */
#include "test/unit/kafka/fake_groups.h"
#include "test/unit/kafka/kclient.h"

#define TEXT(s)                                                                                    \
    {                                                                                              \
        (const uint8_t *)(s), sizeof(s) - 1                                                        \
    }

static struct fake_groups fake;

static const struct broker_group_member members[] = {
    {.id = TEXT("m-1"),
     .instance = TEXT("static"),
     .client_id = TEXT("c-1"),
     .client_host = TEXT("/10.0.0.1"),
     .metadata = TEXT("meta"),
     .assignment = TEXT("parts")},
    {.id = TEXT("m-2"), .client_id = TEXT("c-2"), .client_host = TEXT("/10.0.0.2")},
};

static const struct fake_group groups[] = {
    {{.name = TEXT("steady"),
      .type = BROKER_GROUP_CLASSIC,
      .state = BROKER_GROUP_STABLE,
      .protocol_type = TEXT("consumer"),
      .protocol = TEXT("range"),
      .member_count = 2},
     members,
     NULL},
    {{.name = TEXT("moving"),
      .type = BROKER_GROUP_CLASSIC,
      .state = BROKER_GROUP_PREPARING,
      .protocol_type = TEXT("connect"),
      .protocol = TEXT("range"),
      .member_count = 2},
     members,
     NULL},
    {{.name = TEXT("idle"), .type = BROKER_GROUP_CLASSIC, .state = BROKER_GROUP_EMPTY}, NULL, NULL},
    {{.name = TEXT("newer"),
      .type = BROKER_GROUP_CONSUMER,
      .state = BROKER_GROUP_STABLE,
      .protocol_type = TEXT("consumer"),
      .member_count = 2},
     members,
     NULL},
};

static void open_fake(struct kclient *c)
{
    fake = (struct fake_groups){.groups = groups, .group_count = 4};
    fake_groups_use(&fake);
    kclient_init(c, 1);
    kclient_open(c);
}

/* --- ListGroups --- */

static const struct kp_list_groups_response *list(struct kclient *c, int16_t version,
                                                  const char *state, const char *type)
{
    struct kp_list_groups_request q = KP_LIST_GROUPS_REQUEST_INIT;
    struct slice states[2] = {slice_str("Nonsense"), slice_str(state != NULL ? state : "")};
    struct slice types[1] = {slice_str(type != NULL ? type : "")};
    q.states_filter.v = states;
    q.states_filter.count = state != NULL ? 2 : 0;
    q.types_filter.v = types;
    q.types_filter.count = type != NULL ? 1 : 0;
    return kclient_ask(c, KP_API_LIST_GROUPS, version, &q);
}

START_TEST(list_in_every_version)
{
    struct kclient c;
    open_fake(&c);
    for (int16_t v = 0; v <= 5; v++) {
        const struct kp_list_groups_response *a = list(&c, v, NULL, NULL);
        ck_assert_int_eq(a->error, 0);
        ck_assert_int_eq(a->groups.count, 4);
        ck_slice(a->groups.v[0].group_id, "steady");
        ck_slice(a->groups.v[0].protocol_type, "consumer");
        ck_slice(a->groups.v[0].state, v >= 4 ? "Stable" : "(null)");
        ck_slice(a->groups.v[0].type, v >= 5 ? "classic" : "(null)");
        ck_slice(a->groups.v[1].protocol_type, "connect");
        ck_slice(a->groups.v[1].state, v >= 4 ? "PreparingRebalance" : "(null)");
        ck_slice(a->groups.v[2].protocol_type, "");
        ck_slice(a->groups.v[3].group_id, "newer");
        ck_slice(a->groups.v[3].type, v >= 5 ? "consumer" : "(null)");
    }
    fake.ready = BROKER_GROUP_LOADING;
    for (int16_t v = 0; v <= 5; v++) {
        const struct kp_list_groups_response *a = list(&c, v, NULL, NULL);
        ck_assert_int_eq(a->error, 14);
        ck_assert_int_eq(a->groups.count, 0);
    }
    kclient_close(&c);
}
END_TEST

START_TEST(list_filtered)
{
    struct kclient c;
    open_fake(&c);
    const struct kp_list_groups_response *a = list(&c, 4, "stable", NULL);
    ck_assert_int_eq(a->groups.count, 2);
    ck_slice(a->groups.v[0].group_id, "steady");
    ck_slice(a->groups.v[1].group_id, "newer");
    a = list(&c, 5, "EMPTY", NULL);
    ck_assert_int_eq(a->groups.count, 1);
    ck_slice(a->groups.v[0].group_id, "idle");
    a = list(&c, 5, "Stable", "Consumer");
    ck_assert_int_eq(a->groups.count, 1);
    ck_slice(a->groups.v[0].group_id, "newer");
    ck_assert_int_eq(list(&c, 5, NULL, "classic")->groups.count, 3);
    ck_assert_int_eq(list(&c, 5, NULL, "share")->groups.count, 0);
    ck_assert_int_eq(list(&c, 5, "Stabl", NULL)->groups.count, 0);
    ck_assert_int_eq(list(&c, 5, "", NULL)->groups.count, 0);
    kclient_close(&c);
}
END_TEST

/* --- DescribeGroups --- */

static const struct kp_describe_groups_response *describe(struct kclient *c, int16_t version,
                                                          bool operations)
{
    static const struct slice names[] = {TEXT("steady"), TEXT("moving"), TEXT("none"),
                                         TEXT("newer"), TEXT("idle")};
    struct kp_describe_groups_request q = KP_DESCRIBE_GROUPS_REQUEST_INIT;
    q.groups.v = names;
    q.groups.count = 5;
    q.include_operations = operations;
    const struct kp_describe_groups_response *a =
        kclient_ask(c, KP_API_DESCRIBE_GROUPS, version, &q);
    ck_assert_int_eq(a->groups.count, 5);
    for (int32_t i = 0; i < 5; i++)
        ck_assert(slice_equal(a->groups.v[i].group_id, names[i]));
    return a;
}

static void expect_missing(const struct kp_describe_groups_response_group *g, int16_t version,
                           const char *why)
{
    ck_assert_int_eq(g->error, version >= 6 ? 69 : 0);
    ck_slice(g->error_message, version >= 6 ? why : "(null)");
    ck_slice(g->state, "Dead");
    ck_slice(g->protocol_type, "");
    ck_assert_int_eq(g->members.count, 0);
    ck_assert_int_eq(g->authorized_operations, version >= 3 && version < 6 ? 3400 : INT32_MIN);
}

START_TEST(describe_in_every_version)
{
    struct kclient c;
    open_fake(&c);
    for (int16_t v = 0; v <= 6; v++) {
        const struct kp_describe_groups_response *a = describe(&c, v, true);
        const struct kp_describe_groups_response_group *g = &a->groups.v[0];
        ck_assert_int_eq(g->error, 0);
        ck_slice(g->error_message, "(null)");
        ck_slice(g->state, "Stable");
        ck_slice(g->protocol_type, "consumer");
        ck_slice(g->protocol_name, "range");
        ck_assert_int_eq(g->authorized_operations, v >= 3 ? 3400 : INT32_MIN);
        ck_assert_int_eq(g->members.count, 2);
        ck_slice(g->members.v[0].member_id, "m-1");
        ck_slice(g->members.v[0].group_instance_id, v >= 4 ? "static" : "(null)");
        ck_slice(g->members.v[0].client_id, "c-1");
        ck_slice(g->members.v[0].client_host, "/10.0.0.1");
        ck_slice(g->members.v[0].metadata, "meta");
        ck_slice(g->members.v[0].assignment, "parts");
        ck_slice(g->members.v[1].member_id, "m-2");
        ck_slice(g->members.v[1].group_instance_id, "(null)");
        g = &a->groups.v[1];
        ck_slice(g->state, "PreparingRebalance");
        ck_slice(g->protocol_type, "connect");
        ck_slice(g->protocol_name, "");
        ck_assert_int_eq(g->members.count, 2);
        ck_slice(g->members.v[0].client_host, "/10.0.0.1");
        ck_slice(g->members.v[0].metadata, "");
        ck_slice(g->members.v[0].assignment, "");
        expect_missing(&a->groups.v[2], v, "Group none not found.");
        expect_missing(&a->groups.v[3], v, "Group newer is not a classic group.");
        ck_slice(a->groups.v[4].state, "Empty");
        ck_assert_int_eq(describe(&c, v, false)->groups.v[0].authorized_operations, INT32_MIN);
    }
    fake.ready = BROKER_GROUP_LOADING;
    for (int16_t v = 0; v <= 6; v++) {
        const struct kp_describe_groups_response *a = describe(&c, v, true);
        for (int32_t i = 0; i < 5; i++) {
            ck_assert_int_eq(a->groups.v[i].error, 14);
            ck_slice(a->groups.v[i].state, "");
        }
    }
    kclient_close(&c);
}
END_TEST

/* --- DeleteGroups --- */

static void delete_see(const struct broker_group *r)
{
    ck_assert_int_eq(r->op, BROKER_GROUP_DELETE);
}

static void delete_answer(struct broker_group *r)
{
    r->status = slice_equal(r->group, slice_str("idle"))     ? BROKER_OK
                : slice_equal(r->group, slice_str("steady")) ? BROKER_GROUP_NOT_EMPTY
                                                             : BROKER_UNKNOWN_GROUP;
}

START_TEST(delete_in_every_version)
{
    static const struct slice names[] = {TEXT("steady"), TEXT("idle"), TEXT("none"), TEXT("idle")};
    struct kclient c;
    struct kp_delete_groups_request q = KP_DELETE_GROUPS_REQUEST_INIT;
    open_fake(&c);
    fake.see = delete_see;
    fake.answer = delete_answer;
    q.groups.v = names;
    for (int16_t v = 0; v <= 2; v++) {
        fake.seen = 0;
        q.groups.count = 4;
        const struct kp_delete_groups_response *a = kclient_ask(&c, KP_API_DELETE_GROUPS, v, &q);
        ck_assert_uint_eq(fake.seen, 3);
        ck_assert_int_eq(a->groups.count, 3);
        ck_slice(a->groups.v[0].group_id, "steady");
        ck_assert_int_eq(a->groups.v[0].error, 68);
        ck_slice(a->groups.v[1].group_id, "idle");
        ck_assert_int_eq(a->groups.v[1].error, 0);
        ck_slice(a->groups.v[2].group_id, "none");
        ck_assert_int_eq(a->groups.v[2].error, 69);
        q.groups.count = 0;
        a = kclient_ask(&c, KP_API_DELETE_GROUPS, v, &q);
        ck_assert_int_eq(a->groups.count, 0);
    }
    kclient_close(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kafka group admin");
    TCase *t = tcase_create("admin");
    tcase_add_test(t, list_in_every_version);
    tcase_add_test(t, list_filtered);
    tcase_add_test(t, describe_in_every_version);
    tcase_add_test(t, delete_in_every_version);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    return rig_main(s);
}
