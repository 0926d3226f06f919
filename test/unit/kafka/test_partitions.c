/* SPDX-License-Identifier: MIT
 *
 * test_partitions: DeleteRecords, DescribeLogDirs, DescribeProducers, ElectLeaders, reassignments,
 * DescribeTopicPartitions and ACLs, in every version.
 */
#include "test/unit/kafka/kclient.h"

#include <stdlib.h>

static void begin(struct kclient *c)
{
    kclient_init(c, 1);
    kclient_open(c);
    rig_create(&c->g, "t", 3, NULL);
    rig_create(&c->g, "u", 1, NULL);
    for (uint64_t i = 1; i <= 5; i++)
        rig_put_tag(&c->g, "t", i);
}

/* --- DeleteRecords --- */

static struct kp_delete_records_response_partition
delete_to(struct kclient *c, int16_t version, const char *topic, int32_t index, int64_t offset)
{
    struct kp_delete_records_request q = KP_DELETE_RECORDS_REQUEST_INIT;
    struct kp_delete_records_request_partition p = {index, offset};
    struct kp_delete_records_request_topic t = {slice_str(topic), {&p, 1}};
    q.topics.v = &t;
    q.topics.count = 1;
    const struct kp_delete_records_response *a = kclient_ask(c, KP_API_DELETE_RECORDS, version, &q);
    ck_assert_int_eq(a->topics.count, 1);
    ck_slice(a->topics.v[0].name, topic);
    ck_assert_int_eq(a->topics.v[0].partitions.count, 1);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].index, index);
    return a->topics.v[0].partitions.v[0];
}

static void expect_trim(struct kclient *c, const char *topic, int32_t index, int64_t offset,
                        int16_t error, int64_t low)
{
    for (int16_t v = 0; v <= 2; v++) {
        struct kp_delete_records_response_partition p = delete_to(c, v, topic, index, offset);
        ck_assert_int_eq(p.error, error);
        ck_assert_int_eq(p.low_watermark, low);
    }
}

START_TEST(records_go)
{
    struct kclient c;
    begin(&c);
    expect_trim(&c, "t", 0, 0, 0, 0);
    expect_trim(&c, "t", 0, 2, 0, 2);
    expect_trim(&c, "t", 0, 1, 0, 2); /* never back */
    expect_trim(&c, "t", 0, 6, KAFKA_OFFSET_OUT_OF_RANGE, -1);
    expect_trim(&c, "t", 0, -2, KAFKA_OFFSET_OUT_OF_RANGE, -1);
    expect_trim(&c, "t", 3, 0, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1);
    expect_trim(&c, "t", -1, 0, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1);
    expect_trim(&c, "none", 0, 0, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1);
    expect_trim(&c, "t", 1, -1, 0, 0); /* empty */
    kclient_reopen(&c);
    expect_trim(&c, "t", 0, 0, 0, 2); /* was durable; the partition is opened for it */
    expect_trim(&c, "t", 0, -1, 0, 5);
    expect_trim(&c, "t", 0, 5, 0, 5);
    kclient_close(&c);
}
END_TEST

START_TEST(records_stay)
{
    struct kclient c;
    begin(&c);
    rig_create(&c.g, "keys", 1, "cleanup.policy=compact");
    rig_create(&c.g, "both", 1, "cleanup.policy=compact,delete");
    expect_trim(&c, "keys", 0, 0, KAFKA_POLICY_VIOLATION, -1);
    expect_trim(&c, "both", 0, 0, 0, 0);
    broker_stop(c.g.broker);
    ck_assert_int_eq(delete_to(&c, 2, "t", 0, 1).error, KAFKA_NOT_LEADER_OR_FOLLOWER);
    kclient_close(&c);
}
END_TEST

START_TEST(records_of_several)
{
    enum { COUNT = 4097 };
    struct kclient c;
    struct kp_delete_records_request q = KP_DELETE_RECORDS_REQUEST_INIT;
    struct kp_delete_records_request_partition p[] = {{0, 3}, {9, 0}, {1, 0}}, one = {0, 0};
    struct kp_delete_records_request_topic t[] = {
        {slice_str("t"), {p, 3}}, {slice_str("none"), {&one, 1}}, {slice_str("u"), {&one, 1}}};
    begin(&c);
    q.topics.v = t;
    q.topics.count = 3;
    const struct kp_delete_records_response *a = kclient_ask(&c, KP_API_DELETE_RECORDS, 2, &q);
    ck_assert_int_eq(a->topics.count, 3);
    ck_assert_int_eq(a->topics.v[0].partitions.count, 3);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].low_watermark, 3);
    ck_assert_int_eq(a->topics.v[0].partitions.v[1].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(a->topics.v[0].partitions.v[2].error, 0);
    ck_assert_int_eq(a->topics.v[1].partitions.v[0].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(a->topics.v[2].partitions.v[0].error, 0);
    q.topics.count = 0;
    a = kclient_ask(&c, KP_API_DELETE_RECORDS, 0, &q);
    ck_assert_int_eq(a->topics.count, 0);
    struct kp_delete_records_request_partition *many = calloc(COUNT, sizeof *many);
    t[0].partitions.v = many;
    t[0].partitions.count = COUNT;
    q.topics.count = 1;
    kclient_send(&c, KP_API_DELETE_RECORDS, 2, &q);
    ck_assert_ptr_null(kclient_receive(&c, KP_API_DELETE_RECORDS, 2));
    free(many);
    kclient_close(&c);
}
END_TEST

/* --- DescribeLogDirs --- */

static const struct kp_describe_log_dirs_response_result *
dirs(struct kclient *c, int16_t version, const struct kp_describe_log_dirs_request_topic *v,
     int32_t count)
{
    struct kp_describe_log_dirs_request q = KP_DESCRIBE_LOG_DIRS_REQUEST_INIT;
    q.topics.v = v;
    q.topics.count = count;
    const struct kp_describe_log_dirs_response *a =
        kclient_ask(c, KP_API_DESCRIBE_LOG_DIRS, version, &q);
    ck_assert_int_eq(a->error, 0);
    ck_assert_int_eq(a->results.count, 1);
    ck_assert_int_eq(a->results.v[0].error, 0);
    ck_assert_uint_gt(a->results.v[0].log_dir.size, 0);
    return &a->results.v[0];
}

START_TEST(log_dirs)
{
    struct kclient c;
    static const int32_t some[] = {2, 0, 7};
    static const struct kp_describe_log_dirs_request_topic named[] = {
        {{(const uint8_t *)"t", 1}, {some, 3}}, {{(const uint8_t *)"none", 4}, {some, 3}}};
    struct broker_partition_info info;
    begin(&c);
    ck_assert_int_eq(broker_partition(c.g.broker, slice_str("t"), 0, false, &info), 0);
    ck_assert_uint_gt(info.size, 0);
    for (int16_t v = 1; v <= 4; v++) {
        const struct kp_describe_log_dirs_response_result *r = dirs(&c, v, NULL, -1);
        ck_assert_int_eq(r->topics.count, 2);
        ck_slice(r->topics.v[0].name, "t");
        ck_assert_int_eq(r->topics.v[0].partitions.count, 3);
        for (int32_t i = 0; i < 3; i++) {
            const struct kp_describe_log_dirs_response_partition *p =
                &r->topics.v[0].partitions.v[i];
            ck_assert_int_eq(p->index, i);
            ck_assert_int_eq(p->size, i == 0 ? (int64_t)info.size : 0);
            ck_assert_int_eq(p->offset_lag, 0);
            ck_assert(!p->is_future);
        }
        ck_slice(r->topics.v[1].name, "u");
        ck_assert((r->total_bytes > 0) == (v >= 4));
        ck_assert((r->usable_bytes > 0) == (v >= 4));
        ck_assert_int_le(r->usable_bytes, r->total_bytes);
        r = dirs(&c, v, named, 2);
        ck_assert_int_eq(r->topics.count, 1); /* what is not there is left out */
        ck_assert_int_eq(r->topics.v[0].partitions.count, 2);
        ck_assert_int_eq(r->topics.v[0].partitions.v[0].index, 2);
        ck_assert_int_eq(r->topics.v[0].partitions.v[1].size, (int64_t)info.size);
        ck_assert_int_eq(dirs(&c, v, NULL, 0)->topics.count, 0);
    }
    kclient_close(&c);
}
END_TEST

/* --- DescribeProducers --- */

static const struct kp_describe_producers_response_partition *
producers(struct kclient *c, const char *topic, int32_t index)
{
    struct kp_describe_producers_request q = KP_DESCRIBE_PRODUCERS_REQUEST_INIT;
    struct kp_describe_producers_request_topic t = {slice_str(topic), {&index, 1}};
    q.topics.v = &t;
    q.topics.count = 1;
    const struct kp_describe_producers_response *a =
        kclient_ask(c, KP_API_DESCRIBE_PRODUCERS, 0, &q);
    ck_assert_int_eq(a->topics.count, 1);
    ck_slice(a->topics.v[0].name, topic);
    ck_assert_int_eq(a->topics.v[0].partitions.count, 1);
    ck_assert_int_eq(a->topics.v[0].partitions.v[0].index, index);
    return &a->topics.v[0].partitions.v[0];
}

START_TEST(who_produces)
{
    enum { COUNT = 200 };
    struct kclient c;
    bool seen[COUNT] = {false};
    begin(&c);
    ck_assert_int_eq(producers(&c, "u", 0)->producers.count, 0);
    for (int i = 0; i < COUNT; i++) {
        struct rig_batch b = {.producer = 1001 + i, .epoch = 3, .sequence = 7, .count = 2};
        ck_assert_int_eq(rig_put(&c.g, "u", 0, &b, NULL), BROKER_OK);
    }
    for (int again = 0; again < 2; again++) {
        const struct kp_describe_producers_response_partition *p = producers(&c, "u", 0);
        ck_assert_int_eq(p->error, 0);
        ck_slice(p->error_message, "(null)");
        ck_assert_int_eq(p->producers.count, COUNT);
        for (int i = 0; i < COUNT; i++) {
            const struct kp_describe_producers_response_producer *x = &p->producers.v[i];
            ck_assert(x->id >= 1000 && x->id < 1000 + COUNT && seen[x->id - 1000] == (again == 1));
            seen[x->id - 1000] = true;
            ck_assert_int_eq(x->epoch, 3);
            ck_assert_int_eq(x->last_sequence, 8);
            ck_assert_int_gt(x->last_timestamp, 0);
            ck_assert_int_eq(x->coordinator_epoch, -1);
            ck_assert_int_eq(x->txn_start_offset, -1);
        }
        kclient_reopen(&c);
        int16_t error = producers(&c, "u", 0)->error; /* it may be loading still */
        for (int i = 0; i < 100 && error != 0; i++) {
            ck_assert_int_eq(error, KAFKA_NOT_LEADER_OR_FOLLOWER);
            error = producers(&c, "u", 0)->error;
        }
    }
    ck_assert_int_eq(producers(&c, "u", 1)->error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(producers(&c, "none", 0)->error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_uint_gt(producers(&c, "none", 0)->error_message.size, 0);
    kclient_close(&c);
}
END_TEST

/* --- leaders --- */

START_TEST(elections)
{
    struct kclient c;
    static const int32_t some[] = {0, 2, 3};
    begin(&c);
    for (int16_t v = 0; v <= 2; v++) {
        struct kp_elect_leaders_request q = KP_ELECT_LEADERS_REQUEST_INIT;
        struct kp_elect_leaders_request_topic t[] = {{slice_str("t"), {some, 3}},
                                                     {slice_str("none"), {some, 1}}};
        q.topics.v = t;
        q.topics.count = 2;
        const struct kp_elect_leaders_response *a = kclient_ask(&c, KP_API_ELECT_LEADERS, v, &q);
        ck_assert_int_eq(a->error, 0);
        ck_assert_int_eq(a->topics.count, 2);
        ck_assert_int_eq(a->topics.v[0].partitions.count, 3);
        ck_assert_int_eq(a->topics.v[0].partitions.v[0].error, KAFKA_ELECTION_NOT_NEEDED);
        ck_assert_int_eq(a->topics.v[0].partitions.v[1].index, 2);
        ck_assert_int_eq(a->topics.v[0].partitions.v[2].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        ck_assert_int_eq(a->topics.v[1].partitions.v[0].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        ck_assert_uint_gt(a->topics.v[1].partitions.v[0].error_message.size, 0);
        q.topics.count = -1; /* all: those that need none are left out */
        a = kclient_ask(&c, KP_API_ELECT_LEADERS, v, &q);
        ck_assert_int_eq(a->error, 0);
        ck_assert_int_eq(a->topics.count, 0);
        q.election_type = 2;
        a = v == 0 ? NULL : kclient_ask(&c, KP_API_ELECT_LEADERS, v, &q);
        ck_assert(a == NULL || a->error == KAFKA_INVALID_REQUEST);
    }
    kclient_close(&c);
}
END_TEST

START_TEST(reassignments)
{
    struct kclient c;
    int32_t here = 1, there = 2, both[] = {1, 2};
    struct kp_alter_partition_reassignments_request q =
        KP_ALTER_PARTITION_REASSIGNMENTS_REQUEST_INIT;
    struct kp_alter_partition_reassignments_request_partition p[] = {
        {0, {&here, 1}}, {1, {&there, 1}}, {2, {both, 2}},
        {0, {NULL, -1}}, {0, {NULL, 0}},   {3, {&here, 1}}};
    static const int16_t want[] = {0,
                                   KAFKA_INVALID_REPLICA_ASSIGNMENT,
                                   KAFKA_INVALID_REPLICA_ASSIGNMENT,
                                   KAFKA_NO_REASSIGNMENT_IN_PROGRESS,
                                   KAFKA_INVALID_REPLICA_ASSIGNMENT,
                                   KAFKA_UNKNOWN_TOPIC_OR_PARTITION};
    struct kp_alter_partition_reassignments_request_topic t[] = {{slice_str("t"), {p, 6}},
                                                                 {slice_str("none"), {p, 1}}};
    begin(&c);
    q.topics.v = t;
    q.topics.count = 2;
    const struct kp_alter_partition_reassignments_response *a =
        kclient_ask(&c, KP_API_ALTER_PARTITION_REASSIGNMENTS, 0, &q);
    ck_assert_int_eq(a->error, 0);
    ck_assert_int_eq(a->topics.count, 2);
    for (int i = 0; i < 6; i++) {
        const struct kp_alter_partition_reassignments_response_partition *x =
            &a->topics.v[0].partitions.v[i];
        ck_assert_int_eq(x->index, p[i].index);
        ck_assert_int_eq(x->error, want[i]);
        ck_assert((x->error == 0) == (x->error_message.p == NULL));
    }
    ck_assert_int_eq(a->topics.v[1].partitions.v[0].error, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    struct kp_list_partition_reassignments_request l = KP_LIST_PARTITION_REASSIGNMENTS_REQUEST_INIT;
    struct kp_list_partition_reassignments_request_topic one = {slice_str("t"), {&here, 1}};
    for (int32_t count = -1; count <= 1; count++) {
        l.topics.v = &one;
        l.topics.count = count;
        const struct kp_list_partition_reassignments_response *b =
            kclient_ask(&c, KP_API_LIST_PARTITION_REASSIGNMENTS, 0, &l);
        ck_assert_int_eq(b->error, 0);
        ck_assert_int_eq(b->topics.count, 0);
    }
    kclient_close(&c);
}
END_TEST

/* --- DescribeTopicPartitions --- */

struct page {
    const char *topics[3]; /* NULL at once: all */
    int32_t limit;
    const char *cursor;
    int32_t from;
};

static const struct kp_describe_topic_partitions_response *page(struct kclient *c,
                                                                const struct page *w)
{
    struct kp_describe_topic_partitions_request q = KP_DESCRIBE_TOPIC_PARTITIONS_REQUEST_INIT;
    struct kp_describe_topic_partitions_request_topic t[3];
    struct kp_describe_topic_partitions_request_cursor cursor;
    q.topics.v = t;
    for (int32_t i = 0; i < 3 && w->topics[i] != NULL; i++) {
        t[i].name = slice_str(w->topics[i]);
        q.topics.count = i + 1;
    }
    if (w->limit != 0)
        q.partition_limit = w->limit;
    if (w->cursor != NULL) {
        cursor.topic = slice_str(w->cursor);
        cursor.index = w->from;
        q.cursor = &cursor;
    }
    kclient_send(c, KP_API_DESCRIBE_TOPIC_PARTITIONS, 0, &q);
    return kclient_receive(c, KP_API_DESCRIBE_TOPIC_PARTITIONS, 0);
}

/* "t:0,1;u:0 next t:2" */
static void expect_page(struct kclient *c, struct page w, const char *want)
{
    struct buf text = {0};
    const struct kp_describe_topic_partitions_response *a = page(c, &w);
    ck_assert_ptr_nonnull(a);
    for (int32_t i = 0; i < a->topics.count; i++) {
        const struct kp_describe_topic_partitions_response_topic *t = &a->topics.v[i];
        buf_printf(&text, "%s%s:", i > 0 ? ";" : "", kclient_text(t->name));
        if (t->error != 0)
            buf_printf(&text, "E%d", t->error);
        for (int32_t k = 0; k < t->partitions.count; k++) {
            const struct kp_describe_topic_partitions_response_partition *p = &t->partitions.v[k];
            buf_printf(&text, "%s%d", k > 0 ? "," : "", p->index);
            ck_assert_int_eq(p->leader_id, 1);
            ck_assert_int_eq(p->replicas.count, 1);
            ck_assert_int_eq(p->replicas.v[0], 1);
            ck_assert_int_eq(p->in_sync.v[0], 1);
            ck_assert_int_eq(p->offline.count, 0);
        }
    }
    if (a->next_cursor != NULL)
        buf_printf(&text, " next %s:%d", kclient_text(a->next_cursor->topic),
                   a->next_cursor->index);
    buf_append_u8(&text, 0);
    ck_assert_str_eq((const char *)text.p, want);
    buf_deinit(&text);
}

START_TEST(pages)
{
    struct kclient c;
    begin(&c);
    rig_create(&c.g, "a", 2, NULL);
    expect_page(&c, (struct page){.limit = 0}, "a:0,1;t:0,1,2;u:0");
    expect_page(&c, (struct page){.limit = 6}, "a:0,1;t:0,1,2;u:0");
    expect_page(&c, (struct page){.limit = 5}, "a:0,1;t:0,1,2 next u:0");
    expect_page(&c, (struct page){.limit = 4}, "a:0,1;t:0,1 next t:2");
    expect_page(&c, (struct page){.limit = 4, .cursor = "t", .from = 2}, "t:2;u:0");
    expect_page(&c, (struct page){.limit = 1, .cursor = "t", .from = 2}, "t:2 next u:0");
    expect_page(&c, (struct page){.cursor = "t", .from = 9}, "u:0");
    expect_page(&c, (struct page){.cursor = "b"}, "t:0,1,2;u:0"); /* gone meanwhile */
    expect_page(&c, (struct page){.cursor = "z"}, "");
    expect_page(&c, (struct page){.topics = {"u", "none", "a"}}, "a:0,1;none:E3;u:0");
    expect_page(&c, (struct page){.topics = {"u", "a", "u"}, .limit = 2}, "a:0,1 next u:0");
    expect_page(&c, (struct page){.topics = {"u", "a"}, .limit = 2, .cursor = "u"}, "u:0");
    kclient_reopen(&c);
    expect_page(&c, (struct page){.topics = {"t"}}, "t:0,1,2");
    kclient_close(&c);
}
END_TEST

START_TEST(no_such_pages)
{
    static const struct page rows[] = {{.limit = -1}, {.cursor = "t", .from = -1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kclient c;
        begin(&c);
        ck_assert_ptr_null(page(&c, &rows[i]));
        kclient_close(&c);
    }
}
END_TEST

/* --- ACLs --- */

START_TEST(no_acls)
{
    struct kclient c;
    struct kp_create_acls_request create = KP_CREATE_ACLS_REQUEST_INIT;
    struct kp_delete_acls_request delete = KP_DELETE_ACLS_REQUEST_INIT;
    struct kp_create_acls_request_creation a[2] = {KP_CREATE_ACLS_REQUEST_CREATION_INIT,
                                                   KP_CREATE_ACLS_REQUEST_CREATION_INIT};
    struct kp_delete_acls_request_filter f = KP_DELETE_ACLS_REQUEST_FILTER_INIT;
    begin(&c);
    create.creations.v = a;
    create.creations.count = 2;
    delete.filters.v = &f;
    delete.filters.count = 1;
    for (int16_t v = 1; v <= 3; v++) {
        const struct kp_create_acls_response *x = kclient_ask(&c, KP_API_CREATE_ACLS, v, &create);
        ck_assert_int_eq(x->results.count, 2);
        ck_assert_int_eq(x->results.v[1].error, KAFKA_SECURITY_DISABLED);
        ck_assert_uint_gt(x->results.v[1].error_message.size, 0);
        const struct kp_delete_acls_response *y = kclient_ask(&c, KP_API_DELETE_ACLS, v, &delete);
        ck_assert_int_eq(y->results.count, 1);
        ck_assert_int_eq(y->results.v[0].error, KAFKA_SECURITY_DISABLED);
        ck_assert_int_eq(y->results.v[0].acls.count, 0);
    }
    kclient_close(&c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kafka partitions");
    TCase *t = tcase_create("partitions");
    tcase_add_test(t, records_go);
    tcase_add_test(t, records_stay);
    tcase_add_test(t, records_of_several);
    tcase_add_test(t, log_dirs);
    tcase_add_test(t, who_produces);
    tcase_add_test(t, elections);
    tcase_add_test(t, reassignments);
    tcase_add_test(t, pages);
    tcase_add_test(t, no_such_pages);
    tcase_add_test(t, no_acls);
    suite_add_tcase(s, t);
    return rig_main(s);
}
