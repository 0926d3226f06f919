/* SPDX-License-Identifier: MIT
 *
 * test_group_offsets: OffsetCommit, OffsetFetch and OffsetDelete in every version, against a fake
 * of the broker's groups: where an error stands, what old clients are told instead, requests too
 * large for one of the broker's.
 */
#include "test/unit/kafka/fake_groups.h"
#include "test/unit/kafka/kclient.h"

#include <stdlib.h>

static struct fake_groups fake;

static void open_fake(struct kclient *c)
{
    fake = (struct fake_groups){0};
    fake_groups_use(&fake);
    kclient_init(c, 1);
    kclient_open(c);
}

struct told {
    enum broker_status status;
    int16_t error;
};

/* --- OffsetCommit --- */

static int16_t commit_version;

static void commit_see(const struct broker_group *r)
{
    const struct broker_group_offset_item *v = r->commit.items;
    ck_assert_int_eq(r->op, BROKER_GROUP_COMMIT);
    ck_slice(r->group, "g");
    ck_slice(r->member, "m-1");
    ck_slice(r->instance, commit_version >= 7 ? "static" : "(null)");
    ck_assert_int_eq(r->generation, 7);
    ck_assert_uint_eq(r->commit.count, 3);
    ck_slice(v[0].topic, "t");
    ck_assert_int_eq(v[0].partition, 4);
    ck_assert_int_eq(v[0].offset, 100);
    ck_assert_int_eq(v[0].leader_epoch, commit_version >= 6 ? 9 : -1);
    ck_slice(v[0].metadata, "note");
    ck_slice(v[1].topic, "t");
    ck_assert_int_eq(v[1].partition, 5);
    ck_slice(v[1].metadata, "");
    ck_slice(v[2].topic, "u");
    ck_assert_int_eq(v[2].partition, 0);
}

static void commit_answer(struct broker_group *r)
{
    r->commit.items[0].status = BROKER_OK;
    r->commit.items[1].status = BROKER_METADATA_TOO_LARGE;
    r->commit.items[2].status = BROKER_UNKNOWN_TOPIC;
}

static const struct kp_offset_commit_response *commit(struct kclient *c, int16_t version)
{
    struct kp_offset_commit_request q = KP_OFFSET_COMMIT_REQUEST_INIT;
    struct kp_offset_commit_request_partition p[3] = {
        {4, 100, 9, slice_str("note")},
        {5, 200, -1, SLICE_NULL},
        {0, 300, -1, slice_str("")},
    };
    struct kp_offset_commit_request_topic t[2] = {{.name = slice_str("t")},
                                                  {.name = slice_str("u")}};
    t[0].partitions.v = &p[0];
    t[0].partitions.count = 2;
    t[1].partitions.v = &p[2];
    t[1].partitions.count = 1;
    q.group_id = slice_str("g");
    q.generation_id = 7;
    q.member_id = slice_str("m-1");
    q.group_instance_id = slice_str("static");
    q.retention_time_ms = 1;
    q.topics.v = t;
    q.topics.count = 2;
    commit_version = version;
    const struct kp_offset_commit_response *a = kclient_ask(c, KP_API_OFFSET_COMMIT, version, &q);
    ck_assert_int_eq(a->topics.count, 2);
    ck_slice(a->topics.v[0].name, "t");
    ck_assert_int_eq(a->topics.v[0].partitions.count, 2);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].index, 4);
    ck_assert_int_eq(a->topics.v[0].partitions.v[1].index, 5);
    ck_slice(a->topics.v[1].name, "u");
    ck_assert_int_eq(a->topics.v[1].partitions.count, 1);
    ck_assert_int_eq(a->topics.v[1].partitions.v[0].index, 0);
    return a;
}

START_TEST(commit_in_every_version)
{
    struct kclient c;
    open_fake(&c);
    fake.see = commit_see;
    fake.answer = commit_answer;
    for (int16_t v = 2; v <= 9; v++) {
        const struct kp_offset_commit_response *a = commit(&c, v);
        ck_assert_int_eq(a->topics.v[0].partitions.v[0].error, 0);
        ck_assert_int_eq(a->topics.v[0].partitions.v[1].error, 12);
        ck_assert_int_eq(a->topics.v[1].partitions.v[0].error, 3);
    }
    ck_assert_uint_eq(fake.seen, 8);
    kclient_close(&c);
}
END_TEST

/* What is wrong with the request is wrong with every partition. */
START_TEST(commit_errors)
{
    static const struct told rows[] = {
        {BROKER_UNKNOWN_MEMBER, 25},
        {BROKER_ILLEGAL_GENERATION, 22},
        {BROKER_REBALANCE, 27},
        {BROKER_INSTANCE_FENCED, 82},
        {BROKER_GROUP_LOADING, 14},
        {BROKER_GROUP_UNAVAILABLE, 15},
        {BROKER_BUSY, 15},
        {BROKER_STOPPING, 16},
        {BROKER_MEMBER_EPOCH_STALE, 0},
        {BROKER_UNKNOWN_GROUP, 0},
    };
    struct kclient c;
    open_fake(&c);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int16_t v = 2; v <= 9; v++) {
            int16_t newer = rows[i].status == BROKER_UNKNOWN_GROUP ? 69 : 113;
            int16_t error = rows[i].error != 0 ? rows[i].error : v >= 9 ? newer : 22;
            fake.status = rows[i].status;
            const struct kp_offset_commit_response *a = commit(&c, v);
            ck_assert_int_eq(a->topics.v[0].partitions.v[0].error, error);
            ck_assert_int_eq(a->topics.v[0].partitions.v[1].error, error);
            ck_assert_int_eq(a->topics.v[1].partitions.v[0].error, error);
        }
    kclient_close(&c);
}
END_TEST

static size_t many_left;

static void many_see(const struct broker_group *r)
{
    ck_assert_uint_eq(r->commit.count, many_left < 4096 ? many_left : 4096);
    many_left -= r->commit.count;
}

static void many_answer(struct broker_group *r)
{
    for (size_t i = 0; i < r->commit.count; i++)
        r->commit.items[i].status =
            r->commit.items[i].partition == 5000 ? BROKER_UNKNOWN_PARTITION : BROKER_OK;
    if (r->commit.count == 0)
        return;
    if (fake.status != BROKER_OK) /* the second portion alone */
        r->status = r->commit.items[0].partition == 0 ? BROKER_OK : fake.status;
}

START_TEST(commit_very_many)
{
    static const int32_t counts[] = {0, 1, 4095, 4096, 4097, 8192, 9000};
    struct kclient c;
    struct kp_offset_commit_request q = KP_OFFSET_COMMIT_REQUEST_INIT;
    struct kp_offset_commit_request_topic t = {.name = slice_str("t")};
    struct kp_offset_commit_request_partition *p = calloc(9000, sizeof *p);
    open_fake(&c);
    for (int32_t i = 0; i < 9000; i++)
        p[i] = (struct kp_offset_commit_request_partition){i, i, -1, SLICE_NULL};
    fake.see = many_see;
    fake.answer = many_answer;
    t.partitions.v = p;
    q.topics.v = &t;
    q.topics.count = 1;
    for (size_t n = 0; n < sizeof counts / sizeof counts[0]; n++) {
        many_left = (size_t)counts[n];
        fake.seen = 0;
        t.partitions.count = counts[n];
        const struct kp_offset_commit_response *a = kclient_ask(&c, KP_API_OFFSET_COMMIT, 8, &q);
        ck_assert_uint_eq(many_left, 0);
        ck_assert_uint_eq(fake.seen, counts[n] == 0 ? 1 : (size_t)(counts[n] + 4095) / 4096);
        ck_assert_int_eq(a->topics.v[0].partitions.count, counts[n]);
        for (int32_t i = 0; i < counts[n]; i++) {
            ck_assert_int_eq(a->topics.v[0].partitions.v[i].index, i);
            ck_assert_int_eq(a->topics.v[0].partitions.v[i].error, i == 5000 ? 3 : 0);
        }
    }
    fake.status = BROKER_UNKNOWN_MEMBER;
    many_left = 9000;
    const struct kp_offset_commit_response *a = kclient_ask(&c, KP_API_OFFSET_COMMIT, 8, &q);
    for (int32_t i = 0; i < 9000; i++)
        ck_assert_int_eq(a->topics.v[0].partitions.v[i].error, 25);
    free(p);
    kclient_close(&c);
}
END_TEST

/* --- OffsetFetch --- */

static const struct broker_group_member fetch_members[] = {
    {.id = {(const uint8_t *)"other", 5}, .epoch = 1},
    {.id = {(const uint8_t *)"mine", 4}, .epoch = 5},
};

#define TEXT(s)                                                                                    \
    {                                                                                              \
        (const uint8_t *)(s), sizeof(s) - 1                                                        \
    }

static const struct broker_group_offset fetch_offsets[] = {
    {.topic = TEXT("a"), .partition = 0, .offset = 10, .leader_epoch = -1, .metadata = TEXT("")},
    {.topic = TEXT("a"), .partition = 2, .offset = 12, .leader_epoch = 3, .metadata = TEXT("x")},
    {.topic = TEXT("b"), .partition = 1, .offset = 21, .leader_epoch = 0, .metadata = TEXT("yy")},
};

static const struct fake_group fetch_groups[] = {
    {{.name = TEXT("g"), .type = BROKER_GROUP_CLASSIC, .offset_count = 3}, NULL, fetch_offsets},
    {{.name = TEXT("new"), .type = BROKER_GROUP_CONSUMER, .offset_count = 3, .member_count = 2},
     fetch_members,
     fetch_offsets},
    {{.name = TEXT("void"), .type = BROKER_GROUP_CLASSIC}, NULL, NULL},
};

static void open_fetch(struct kclient *c)
{
    open_fake(c);
    fake.groups = fetch_groups;
    fake.group_count = 3;
}

/* Group g from topic a partitions 0, 1 and 2 and topic none partition 0; or everything. In the form
 * of version 8, whatever was asked. */
static struct kp_offset_fetch_response_group fetch(struct kclient *c, int16_t version,
                                                   const char *group, bool all)
{
    static struct kp_offset_fetch_response_group_topic topics[8];
    static struct kp_offset_fetch_response_group_partition partitions[8][8];
    static const int32_t indexes[] = {0, 1, 2};
    struct kp_offset_fetch_request q = KP_OFFSET_FETCH_REQUEST_INIT;
    struct kp_offset_fetch_request_topic t[2] = {
        {slice_str("a"), {indexes, 3}},
        {slice_str("none"), {indexes, 1}},
    };
    struct kp_offset_fetch_request_group_topic n[2] = {
        {slice_str("a"), {indexes, 3}},
        {slice_str("none"), {indexes, 1}},
    };
    struct kp_offset_fetch_request_group g = KP_OFFSET_FETCH_REQUEST_GROUP_INIT;
    g.group_id = q.group_id = slice_str(group);
    g.topics.v = n;
    g.topics.count = q.topics.count = all ? -1 : 2;
    q.topics.v = t;
    q.groups.v = &g;
    q.groups.count = 1;
    q.require_stable = true;
    const struct kp_offset_fetch_response *a = kclient_ask(c, KP_API_OFFSET_FETCH, version, &q);
    if (version >= 8) {
        ck_assert_int_eq(a->groups.count, 1);
        ck_slice(a->groups.v[0].group_id, group);
        return a->groups.v[0];
    }
    struct kp_offset_fetch_response_group r = KP_OFFSET_FETCH_RESPONSE_GROUP_INIT;
    ck_assert_int_eq(a->groups.count, 0);
    ck_assert_int_le(a->topics.count, 8);
    for (int32_t i = 0; i < a->topics.count; i++) {
        topics[i].name = a->topics.v[i].name;
        topics[i].partitions.v = partitions[i];
        topics[i].partitions.count = a->topics.v[i].partitions.count;
        for (int32_t j = 0; j < topics[i].partitions.count; j++) {
            const struct kp_offset_fetch_response_partition *p = &a->topics.v[i].partitions.v[j];
            partitions[i][j] = (struct kp_offset_fetch_response_group_partition){
                p->index, p->offset, p->leader_epoch, p->metadata, p->error};
        }
    }
    r.topics.v = topics;
    r.topics.count = a->topics.count;
    r.error = a->error;
    return r;
}

static void expect(const struct kp_offset_fetch_response_group_topic *t, int32_t at, int32_t index,
                   int64_t offset, int32_t epoch, const char *metadata, int16_t error)
{
    ck_assert_int_lt(at, t->partitions.count);
    ck_assert_int_eq(t->partitions.v[at].index, index);
    ck_assert_int_eq(t->partitions.v[at].offset, offset);
    ck_assert_int_eq(t->partitions.v[at].leader_epoch, epoch);
    ck_slice(t->partitions.v[at].metadata, metadata);
    ck_assert_int_eq(t->partitions.v[at].error, error);
}

START_TEST(fetch_some)
{
    struct kclient c;
    open_fetch(&c);
    for (int16_t v = 1; v <= 9; v++) {
        struct kp_offset_fetch_response_group a = fetch(&c, v, "g", false);
        ck_assert_int_eq(a.error, 0);
        ck_assert_int_eq(a.topics.count, 2);
        ck_slice(a.topics.v[0].name, "a");
        ck_assert_int_eq(a.topics.v[0].partitions.count, 3);
        expect(&a.topics.v[0], 0, 0, 10, -1, "", 0);
        expect(&a.topics.v[0], 1, 1, -1, -1, "", 0);
        expect(&a.topics.v[0], 2, 2, 12, v >= 5 ? 3 : -1, "x", 0);
        ck_slice(a.topics.v[1].name, "none");
        ck_assert_int_eq(a.topics.v[1].partitions.count, 1);
        expect(&a.topics.v[1], 0, 0, -1, -1, "", 0);
        a = fetch(&c, v, "nobody", false);
        ck_assert_int_eq(a.error, 0);
        expect(&a.topics.v[0], 2, 2, -1, -1, "", 0);
    }
    kclient_close(&c);
}
END_TEST

START_TEST(fetch_all)
{
    struct kclient c;
    open_fetch(&c);
    for (int16_t v = 2; v <= 9; v++) {
        struct kp_offset_fetch_response_group a = fetch(&c, v, "g", true);
        ck_assert_int_eq(a.error, 0);
        ck_assert_int_eq(a.topics.count, 2);
        ck_slice(a.topics.v[0].name, "a");
        ck_assert_int_eq(a.topics.v[0].partitions.count, 2);
        expect(&a.topics.v[0], 0, 0, 10, -1, "", 0);
        expect(&a.topics.v[0], 1, 2, 12, v >= 5 ? 3 : -1, "x", 0);
        ck_slice(a.topics.v[1].name, "b");
        ck_assert_int_eq(a.topics.v[1].partitions.count, 1);
        expect(&a.topics.v[1], 0, 1, 21, v >= 5 ? 0 : -1, "yy", 0);
        ck_assert_int_eq(fetch(&c, v, "void", true).topics.count, 0);
        ck_assert_int_eq(fetch(&c, v, "nobody", true).topics.count, 0);
    }
    kclient_close(&c);
}
END_TEST

/* Never "no offset" while nothing is known. */
START_TEST(fetch_while_loading)
{
    struct kclient c;
    open_fetch(&c);
    fake.ready = BROKER_GROUP_LOADING;
    struct kp_offset_fetch_response_group a = fetch(&c, 1, "g", false);
    ck_assert_int_eq(a.topics.count, 2);
    expect(&a.topics.v[0], 0, 0, -1, -1, "", 14);
    expect(&a.topics.v[0], 2, 2, -1, -1, "", 14);
    expect(&a.topics.v[1], 0, 0, -1, -1, "", 14);
    for (int16_t v = 2; v <= 9; v++) {
        a = fetch(&c, v, "g", v % 2 == 0);
        ck_assert_int_eq(a.error, 14);
        ck_assert_int_eq(a.topics.count, 0);
    }
    kclient_close(&c);
}
END_TEST

START_TEST(fetch_several_groups)
{
    struct kclient c;
    static const int32_t index = 1;
    struct kp_offset_fetch_request q = KP_OFFSET_FETCH_REQUEST_INIT;
    struct kp_offset_fetch_request_group_topic t = {slice_str("b"), {&index, 1}};
    struct kp_offset_fetch_request_group g[3] = {KP_OFFSET_FETCH_REQUEST_GROUP_INIT,
                                                 KP_OFFSET_FETCH_REQUEST_GROUP_INIT,
                                                 KP_OFFSET_FETCH_REQUEST_GROUP_INIT};
    open_fetch(&c);
    g[0].group_id = slice_str("g");
    g[1].group_id = slice_str("nobody");
    g[2].group_id = slice_str("new");
    g[0].topics.count = -1;
    for (int i = 1; i < 3; i++) {
        g[i].topics.v = &t;
        g[i].topics.count = 1;
    }
    q.groups.v = g;
    q.groups.count = 3;
    for (int16_t v = 8; v <= 9; v++) {
        const struct kp_offset_fetch_response *a = kclient_ask(&c, KP_API_OFFSET_FETCH, v, &q);
        ck_assert_int_eq(a->groups.count, 3);
        ck_slice(a->groups.v[0].group_id, "g");
        ck_assert_int_eq(a->groups.v[0].topics.count, 2);
        ck_slice(a->groups.v[1].group_id, "nobody");
        expect(&a->groups.v[1].topics.v[0], 0, 1, -1, -1, "", 0);
        ck_slice(a->groups.v[2].group_id, "new");
        expect(&a->groups.v[2].topics.v[0], 0, 1, 21, 0, "yy", 0);
    }
    kclient_close(&c);
}
END_TEST

static int16_t fetch_as(struct kclient *c, const char *group, const char *member, int32_t epoch)
{
    struct kp_offset_fetch_request q = KP_OFFSET_FETCH_REQUEST_INIT;
    struct kp_offset_fetch_request_group g = KP_OFFSET_FETCH_REQUEST_GROUP_INIT;
    g.group_id = slice_str(group);
    g.member_id = slice_str(member);
    g.member_epoch = epoch;
    g.topics.count = -1;
    q.groups.v = &g;
    q.groups.count = 1;
    const struct kp_offset_fetch_response *a = kclient_ask(c, KP_API_OFFSET_FETCH, 9, &q);
    ck_assert_int_eq(a->groups.v[0].topics.count, a->groups.v[0].error == 0 ? 2 : 0);
    return a->groups.v[0].error;
}

START_TEST(fetch_as_member)
{
    struct kclient c;
    open_fetch(&c);
    ck_assert_int_eq(fetch_as(&c, "new", "mine", 5), 0);
    ck_assert_int_eq(fetch_as(&c, "new", "mine", 4), 113);
    ck_assert_int_eq(fetch_as(&c, "new", "mine", 6), 113);
    ck_assert_int_eq(fetch_as(&c, "new", "stranger", 5), 25);
    ck_assert_int_eq(fetch_as(&c, "new", "mine", -1), 0);
    ck_assert_int_eq(fetch_as(&c, "g", "stranger", 5), 0); /* a classic group does not care */
    kclient_close(&c);
}
END_TEST

/* --- OffsetDelete --- */

static void forget_see(const struct broker_group *r)
{
    ck_assert_int_eq(r->op, BROKER_GROUP_FORGET);
    ck_slice(r->group, "g");
    ck_assert_uint_eq(r->commit.count, 6);
    ck_slice(r->commit.items[0].topic, "t");
    ck_assert_int_eq(r->commit.items[2].partition, 2);
    ck_slice(r->commit.items[5].topic, "gone");
}

static void forget_answer(struct broker_group *r)
{
    r->commit.items[0].status = BROKER_OK;
    r->commit.items[1].status = BROKER_GROUP_SUBSCRIBED;
    for (size_t i = 2; i < r->commit.count; i++)
        r->commit.items[i].status = BROKER_UNKNOWN_PARTITION;
}

START_TEST(forget)
{
    struct kclient c;
    struct kp_offset_delete_request q = KP_OFFSET_DELETE_REQUEST_INIT;
    struct kp_offset_delete_request_partition p[5] = {{0}, {1}, {2}, {3}, {-1}};
    struct kp_offset_delete_request_topic t[2] = {{.name = slice_str("t")},
                                                  {.name = slice_str("gone")}};
    open_fake(&c);
    rig_create(&c.g, "t", 3, NULL);
    t[0].partitions.v = t[1].partitions.v = p;
    t[0].partitions.count = 5;
    t[1].partitions.count = 1;
    q.group_id = slice_str("g");
    q.topics.v = t;
    q.topics.count = 2;
    fake.see = forget_see;
    fake.answer = forget_answer;
    const struct kp_offset_delete_response *a = kclient_ask(&c, KP_API_OFFSET_DELETE, 0, &q);
    ck_assert_int_eq(a->error, 0);
    ck_assert_int_eq(a->topics.count, 2);
    ck_slice(a->topics.v[0].name, "t");
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].error, 0);
    ck_assert_int_eq(a->topics.v[0].partitions.v[1].error, 86);
    ck_assert_int_eq(a->topics.v[0].partitions.v[2].error, 0); /* never committed: no error */
    ck_assert_int_eq(a->topics.v[0].partitions.v[3].error, 3);
    ck_assert_int_eq(a->topics.v[0].partitions.v[4].error, 3);
    ck_slice(a->topics.v[1].name, "gone");
    ck_assert_int_eq(a->topics.v[1].partitions.v[0].error, 3);
    fake.answer = NULL;
    fake.status = BROKER_UNKNOWN_GROUP;
    a = kclient_ask(&c, KP_API_OFFSET_DELETE, 0, &q);
    ck_assert_int_eq(a->error, 69);
    ck_assert_int_eq(a->topics.count, 0);
    kclient_close(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kafka group offsets");
    TCase *t = tcase_create("offsets");
    tcase_add_test(t, commit_in_every_version);
    tcase_add_test(t, commit_errors);
    tcase_add_test(t, commit_very_many);
    tcase_add_test(t, fetch_some);
    tcase_add_test(t, fetch_all);
    tcase_add_test(t, fetch_while_loading);
    tcase_add_test(t, fetch_several_groups);
    tcase_add_test(t, fetch_as_member);
    tcase_add_test(t, forget);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    return rig_main(s);
}
