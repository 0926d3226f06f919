/* SPDX-License-Identifier: MIT
 *
 * test_offsets: ListOffsets and OffsetForLeaderEpoch, in every version: times, bounds, who asks for
 * what does not exist, beliefs about the leader's epoch.
 */
#include "test/unit/kafka/kclient.h"

#include <stdlib.h>

/* One partition of one topic. */
static struct kp_list_offsets_response_partition list(struct kclient *c, int16_t version,
                                                      const char *topic, int32_t index,
                                                      int64_t timestamp, int32_t epoch)
{
    struct kp_list_offsets_request q = KP_LIST_OFFSETS_REQUEST_INIT;
    struct kp_list_offsets_request_topic t = {.name = slice_str(topic)};
    struct kp_list_offsets_request_partition p = {index, epoch, timestamp};
    q.replica_id = -1;
    t.partitions.v = &p;
    t.partitions.count = q.topics.count = 1;
    q.topics.v = &t;
    const struct kp_list_offsets_response *a = kclient_ask(c, KP_API_LIST_OFFSETS, version, &q);
    ck_assert_int_eq(a->throttle_time_ms, 0);
    ck_assert_int_eq(a->topics.count, 1);
    ck_slice(a->topics.v[0].name, topic);
    ck_assert_int_eq(a->topics.v[0].partitions.count, 1);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].index, index);
    return a->topics.v[0].partitions.v[0];
}

static void expect(struct kclient *c, int16_t version, int64_t timestamp, int64_t offset,
                   int64_t found)
{
    struct kp_list_offsets_response_partition p = list(c, version, "t", 0, timestamp, -1);
    ck_assert_int_eq(p.error, 0);
    ck_assert_int_eq(p.offset, offset);
    ck_assert_int_eq(p.timestamp, found);
    ck_assert_int_eq(p.leader_epoch, version >= 4 && offset >= 0 ? 0 : -1);
}

static void expect_error(struct kclient *c, int16_t version, const char *topic, int32_t index,
                         int64_t timestamp, int16_t error)
{
    struct kp_list_offsets_response_partition p = list(c, version, topic, index, timestamp, -1);
    ck_assert_int_eq(p.error, error);
    ck_assert_int_eq(p.offset, -1);
    ck_assert_int_eq(p.timestamp, -1);
    ck_assert_int_eq(p.leader_epoch, -1);
}

/* Offsets 0 to 4: times 1000, 1000, 3000, 3000, 2000 behind RIG_TIME. */
static void fill(struct kclient *c)
{
    struct rig_batch b = {.count = 2, .timestamp = RIG_TIME + 1000};
    ck_assert_int_eq(rig_put(&c->g, "t", 0, &b, NULL), BROKER_OK);
    b.timestamp = RIG_TIME + 3000;
    ck_assert_int_eq(rig_put(&c->g, "t", 0, &b, NULL), BROKER_OK);
    b = (struct rig_batch){.count = 1, .timestamp = RIG_TIME + 2000};
    ck_assert_int_eq(rig_put(&c->g, "t", 0, &b, NULL), BROKER_OK);
}

static void open_filled(struct kclient *c)
{
    kclient_init(c, 1);
    kclient_open(c);
    rig_create(&c->g, "t", 2, NULL);
    fill(c);
}

START_TEST(begin_end_and_times)
{
    struct kclient c;
    open_filled(&c);
    for (int16_t v = 1; v <= 10; v++) {
        expect(&c, v, -1, 5, -1);
        expect(&c, v, -2, 0, -1);
        expect(&c, v, 0, 0, RIG_TIME + 1000);
        expect(&c, v, RIG_TIME + 1001, 2, RIG_TIME + 3000);
        expect(&c, v, RIG_TIME + 3000, 2, RIG_TIME + 3000);
        expect(&c, v, RIG_TIME + 3001, -1, -1); /* none, and no error */
    }
    ck_assert_int_eq(rig_trim(&c.g, "t", 0, 3), BROKER_OK);
    expect(&c, 1, -2, 3, -1);
    expect(&c, 10, -4, 3, -1);
    kclient_close(&c);
}
END_TEST

START_TEST(special_times_by_version)
{
    struct kclient c;
    open_filled(&c);
    for (int16_t v = 1; v <= 10; v++) {
        if (v >= 7)
            expect(&c, v, -3, 2, RIG_TIME + 3000);
        else
            expect_error(&c, v, "t", 0, -3, KAFKA_UNSUPPORTED_VERSION);
        if (v >= 8)
            expect(&c, v, -4, 0, -1);
        else
            expect_error(&c, v, "t", 0, -4, KAFKA_UNSUPPORTED_VERSION);
        if (v >= 9)
            expect(&c, v, -5, -1, -1);
        else
            expect_error(&c, v, "t", 0, -5, KAFKA_UNSUPPORTED_VERSION);
        expect_error(&c, v, "t", 0, -6, KAFKA_UNSUPPORTED_VERSION);
    }
    struct kp_list_offsets_response_partition empty = list(&c, 7, "t", 1, -3, -1);
    ck_assert_int_eq(empty.error, 0);
    ck_assert_int_eq(empty.offset, -1);
    kclient_close(&c);
}
END_TEST

START_TEST(unknown_partitions)
{
    struct kclient c;
    open_filled(&c);
    for (int16_t v = 1; v <= 10; v++) {
        expect_error(&c, v, "none", 0, -1, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        expect_error(&c, v, "t", 2, -1, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        expect_error(&c, v, "t", -1, -2, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        expect_error(&c, v, "t", 2, 0, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
    expect_error(&c, 9, "none", 0, -5, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    expect_error(&c, 9, "", 0, -1, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    kclient_close(&c);
}
END_TEST

START_TEST(asked_twice)
{
    struct kclient c;
    struct kp_list_offsets_request q = KP_LIST_OFFSETS_REQUEST_INIT;
    struct kp_list_offsets_request_partition p[3] = {{0, -1, -1}, {1, -1, -1}, {0, -1, -2}};
    struct kp_list_offsets_request_topic t[3] = {
        {.name = slice_str("t")}, {.name = slice_str("u")}, {.name = slice_str("t")}};
    open_filled(&c);
    rig_create(&c.g, "u", 1, NULL);
    for (int i = 0; i < 3; i++) {
        t[i].partitions.v = i == 0 ? &p[1] : &p[0];
        t[i].partitions.count = i == 0 ? 2 : 1;
    }
    q.topics.v = t;
    q.topics.count = 3;
    const struct kp_list_offsets_response *a = kclient_ask(&c, KP_API_LIST_OFFSETS, 5, &q);
    ck_assert_int_eq(a->topics.count, 3);
    ck_assert_int_eq(a->topics.v[0].partitions.count, 2);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].index, 1);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].error, 0);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].offset, 0);
    ck_assert_int_eq(a->topics.v[0].partitions.v[1].error, KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(a->topics.v[0].partitions.v[1].offset, -1);
    ck_assert_int_eq(a->topics.v[1].partitions.v[0].error, 0); /* the other topic's 0 */
    ck_assert_int_eq(a->topics.v[2].partitions.v[0].error, KAFKA_INVALID_REQUEST);
    q.topics.count = 0;
    a = kclient_ask(&c, KP_API_LIST_OFFSETS, 6, &q);
    ck_assert_int_eq(a->topics.count, 0);
    kclient_close(&c);
}
END_TEST

/* The broker takes 4096 at once; a tool may ask for more. */
START_TEST(very_many)
{
    enum { COUNT = 4500 };
    struct kclient c;
    struct kp_list_offsets_request q = KP_LIST_OFFSETS_REQUEST_INIT;
    struct kp_list_offsets_request_topic t = {.name = slice_str("t")};
    struct kp_list_offsets_request_partition *p = calloc(COUNT, sizeof *p);
    struct rig_batch b = {.count = 7};
    kclient_init(&c, 2);
    kclient_open(&c);
    rig_create(&c.g, "t", COUNT, NULL);
    ck_assert_int_eq(rig_put(&c.g, "t", COUNT - 1, &b, NULL), BROKER_OK);
    for (int32_t i = 0; i < COUNT; i++)
        p[i] = (struct kp_list_offsets_request_partition){COUNT - 1 - i, -1, -1};
    t.partitions.v = p;
    t.partitions.count = COUNT;
    q.topics.v = &t;
    q.topics.count = 1;
    const struct kp_list_offsets_response *a = kclient_ask(&c, KP_API_LIST_OFFSETS, 10, &q);
    ck_assert_int_eq(a->topics.v[0].partitions.count, COUNT);
    for (int32_t i = 0; i < COUNT; i++) {
        const struct kp_list_offsets_response_partition *x = &a->topics.v[0].partitions.v[i];
        ck_assert_int_eq(x->index, COUNT - 1 - i);
        ck_assert_int_eq(x->error, 0);
        ck_assert_int_eq(x->offset, i == 0 ? 7 : 0);
    }
    free(p);
    kclient_close(&c);
}
END_TEST

/* --- epochs --- */

static struct kp_offset_for_leader_epoch_response_partition
epoch_end(struct kclient *c, int16_t version, const char *topic, int32_t current, int32_t epoch)
{
    struct kp_offset_for_leader_epoch_request q = KP_OFFSET_FOR_LEADER_EPOCH_REQUEST_INIT;
    struct kp_offset_for_leader_epoch_request_topic t = {.name = slice_str(topic)};
    struct kp_offset_for_leader_epoch_request_partition p = {0, current, epoch};
    t.partitions.v = &p;
    t.partitions.count = q.topics.count = 1;
    q.topics.v = &t;
    const struct kp_offset_for_leader_epoch_response *a =
        kclient_ask(c, KP_API_OFFSET_FOR_LEADER_EPOCH, version, &q);
    ck_assert_int_eq(a->topics.count, 1);
    ck_slice(a->topics.v[0].name, topic);
    ck_assert_int_eq(a->topics.v[0].partitions.count, 1);
    return a->topics.v[0].partitions.v[0];
}

static void expect_end(struct kclient *c, int32_t current, int32_t epoch, int16_t error,
                       int32_t found, int64_t end)
{
    for (int16_t v = 2; v <= 4; v++) {
        struct kp_offset_for_leader_epoch_response_partition p =
            epoch_end(c, v, "t", current, epoch);
        ck_assert_int_eq(p.error, error);
        ck_assert_int_eq(p.index, 0);
        ck_assert_int_eq(p.leader_epoch, found);
        ck_assert_int_eq(p.end_offset, end);
    }
}

START_TEST(ends_of_epochs)
{
    struct kclient c;
    open_filled(&c);
    expect_end(&c, -1, 0, 0, 0, 5);
    expect_end(&c, 0, 0, 0, 0, 5);
    expect_end(&c, -1, 1, 0, -1, -1);
    expect_end(&c, -1, -1, 0, -1, -1);
    ck_assert_int_eq(rig_trim(&c.g, "t", 0, 2), BROKER_OK);
    rig_set_epoch(&c.g, "t", 3);
    expect_end(&c, 3, 3, 0, 3, 5);
    expect_end(&c, 3, 1, 0, 0, 5); /* left nothing: what was in front of it */
    expect_end(&c, 3, 4, 0, -1, -1);
    ck_assert_int_eq(rig_put_tag(&c.g, "t", 9), 5);
    expect_end(&c, 3, 0, 0, 0, 5);
    expect_end(&c, 3, 2, 0, 0, 5);
    expect_end(&c, 3, 3, 0, 3, 6);
    ck_assert_int_eq(list(&c, 10, "t", 0, -2, 3).leader_epoch, 0);
    ck_assert_int_eq(list(&c, 10, "t", 0, RIG_TIME, 3).leader_epoch, 0);
    ck_assert_int_eq(list(&c, 10, "t", 0, -1, 3).leader_epoch, 3);
    ck_assert_int_eq(rig_trim(&c.g, "t", 0, 5), BROKER_OK);
    expect_end(&c, 3, 0, 0, 0, 5); /* below all that is left */
    ck_assert_int_eq(list(&c, 10, "t", 0, -2, 3).leader_epoch, 3);
    expect_end(&c, 2, 3, KAFKA_FENCED_LEADER_EPOCH, -1, -1);
    expect_end(&c, 4, 3, KAFKA_UNKNOWN_LEADER_EPOCH, -1, -1);
    ck_assert_int_eq(epoch_end(&c, 2, "none", -1, 0).error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    kclient_close(&c);
}
END_TEST

START_TEST(beliefs_of_a_lister)
{
    struct kclient c;
    open_filled(&c);
    rig_set_epoch(&c.g, "t", 3);
    for (int16_t v = 1; v <= 10; v++) {
        struct kp_list_offsets_response_partition p = list(&c, v, "t", 0, -1, 2);
        ck_assert_int_eq(p.error, v < 4 ? 0 : KAFKA_FENCED_LEADER_EPOCH);
        ck_assert_int_eq(p.offset, v < 4 ? 5 : -1);
        p = list(&c, v, "t", 0, RIG_TIME, 4);
        ck_assert_int_eq(p.error, v < 4 ? 0 : KAFKA_UNKNOWN_LEADER_EPOCH);
        ck_assert_int_eq(p.offset, v < 4 ? 0 : -1);
        p = list(&c, v, "t", 0, -1, 3);
        ck_assert_int_eq(p.error, 0);
        ck_assert_int_eq(p.leader_epoch, v < 4 ? -1 : 3);
    }
    rig_set_epoch(&c.g, "t", 0);
    kclient_close(&c);
}
END_TEST

/* After a start the first question begins the recovery and is told to come again. */
START_TEST(while_loading)
{
    struct kclient c;
    open_filled(&c);
    struct broker_partition_info info;
    kclient_reopen(&c);
    c.frozen = true;
    ck_assert_int_eq(epoch_end(&c, 3, "t", -1, 0).error, KAFKA_LEADER_NOT_AVAILABLE);
    c.frozen = false;
    rig_load(&c.g, "t", 0, &info);
    expect_end(&c, -1, 0, 0, 0, 5);
    expect(&c, 10, -1, 5, -1);
    kclient_close(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kafka offsets");
    TCase *t = tcase_create("offsets");
    tcase_add_test(t, begin_end_and_times);
    tcase_add_test(t, special_times_by_version);
    tcase_add_test(t, unknown_partitions);
    tcase_add_test(t, asked_twice);
    tcase_add_test(t, very_many);
    tcase_add_test(t, ends_of_epochs);
    tcase_add_test(t, beliefs_of_a_lister);
    tcase_add_test(t, while_loading);
    suite_add_tcase(s, t);
    return rig_main(s);
}
