/* SPDX-License-Identifier: MIT
 *
 * Questions and administration against the scripted broker.
 */
#include <stdio.h>

#include "rig.h"

START_TEST(test_server)
{
    struct rig *r = rig_new((struct kauri_options){.client_name = "test"});
    struct kauri_server server;
    ck_assert_str_eq(kauri_message(r->k), "");
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(kauri_server(r->k, &server), 0);
        ck_assert_str_eq(server.software, "fake 1.0");
        ck_assert_str_eq(server.cluster_id, "AAAAAAAAAAAAAAAAAAAAAA");
        ck_assert_int_eq(server.node_id, 7);
        ck_assert_uint_eq(server.incarnation, 42);
    }
    ck_assert_uint_eq(fake_server_calls(r->s, KAURI__CALL__CALL_HELLO), 2);
    rig_free(r);
}
END_TEST

/* Hello again does not disturb what is in flight. */
START_TEST(test_server_in_flight)
{
    struct rig *r = rig_new((struct kauri_options){.batch_size = 200});
    fake_server_topic(r->s, "t", 2);
    struct kauri_server server;
    rig_send_many(r, "t", -1, 300);
    ck_assert_int_eq(kauri_server(r->k, &server), 0);
    rig_settle(r);
    ck_assert_uint_eq(r->failed, 0);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

START_TEST(test_create)
{
    struct rig *r = rig_new((struct kauri_options){0});
    const struct kauri_config configs[] = {{.key = "retention.ms", .value = "5"}};
    ck_assert_int_eq(kauri_topic_create(r->k, "a", 3, 1, configs, 1, true), 0);
    ck_assert_ptr_null(fake_log_topic(&r->s->log, "a")); /* only validated */
    ck_assert_int_eq(kauri_topic_create(r->k, "a", 3, 1, configs, 1, false), 0);
    const struct fake_topic *t = fake_log_topic(&r->s->log, "a");
    ck_assert_int_eq(t->partition_count, 3);
    ck_assert_str_eq(t->config_key, "retention.ms");
    ck_assert_str_eq(t->config_value, "5");
    ck_assert_int_eq(kauri_topic_create(r->k, "a", 3, 1, NULL, 0, false), KAURI_EXISTS);
    ck_assert_str_eq(kauri_message(r->k), "topic \"a\" exists already");
    ck_assert_int_eq(kauri_topic_create(r->k, "a b", 3, 1, NULL, 0, false), KAURI_BAD_NAME);
    ck_assert_int_eq(kauri_topic_create(r->k, "b", 0, 1, NULL, 0, false), KAURI_BAD_ARGUMENT);
    ck_assert_str_eq(kauri_message(r->k), "topic \"b\" cannot have that number of partitions");
    const struct kauri_config keyless = {.value = "5"};
    ck_assert_int_eq(kauri_topic_create(r->k, "b", 1, 1, &keyless, 1, false), KAURI_BAD_ARGUMENT);
    rig_free(r);
}
END_TEST

START_TEST(test_delete_grow)
{
    struct rig *r = rig_new((struct kauri_options){0});
    fake_server_topic(r->s, "a", 2);
    ck_assert_int_eq(kauri_topic_grow(r->k, "a", 4), 0);
    ck_assert_int_eq(fake_log_topic(&r->s->log, "a")->partition_count, 4);
    ck_assert_int_eq(kauri_topic_grow(r->k, "a", 4), KAURI_BAD_ARGUMENT);
    ck_assert_int_eq(kauri_topic_grow(r->k, "none", 4), KAURI_UNKNOWN_TOPIC);
    rig_send_many(r, "a", 3, 1);
    rig_settle(r);
    ck_assert_int_eq(kauri_topic_delete(r->k, "a"), 0);
    ck_assert_int_eq(kauri_topic_delete(r->k, "a"), KAURI_UNKNOWN_TOPIC);
    ck_assert_str_eq(kauri_message(r->k), "topic \"a\" does not exist");
    rig_free(r);
}
END_TEST

START_TEST(test_alter_trim)
{
    struct rig *r = rig_new((struct kauri_options){0});
    fake_server_topic(r->s, "a", 1);
    const struct kauri_config set = {.key = "x", .value = "1"};
    const struct kauri_config unset = {.key = "x"};
    const struct kauri_config wrong = {.key = "no.such", .value = "1"};
    const struct fake_topic *t = fake_log_topic(&r->s->log, "a");
    ck_assert_int_eq(kauri_topic_alter(r->k, "a", &set, 1), 0);
    ck_assert_str_eq(t->config_value, "1");
    ck_assert_int_eq(kauri_topic_alter(r->k, "a", &unset, 1), 0);
    ck_assert_str_eq(t->config_value, "default");
    ck_assert_int_eq(kauri_topic_alter(r->k, "a", &wrong, 1), KAURI_BAD_ARGUMENT);
    rig_send_many(r, "a", 0, 9);
    rig_settle(r);
    int64_t start = -1;
    ck_assert_int_eq(kauri_topic_trim(r->k, "a", 0, 4, &start), 0);
    ck_assert_int_eq(start, 4);
    ck_assert_int_eq(kauri_topic_trim(r->k, "a", 0, KAURI_OFFSET_END, &start), 0);
    ck_assert_int_eq(start, 9);
    ck_assert_int_eq(kauri_topic_trim(r->k, "a", 1, 4, NULL), KAURI_UNKNOWN_PARTITION);
    ck_assert_str_eq(kauri_message(r->k), "topic \"a\" has no partition 1");
    rig_free(r);
}
END_TEST

START_TEST(test_offsets)
{
    struct rig *r = rig_new((struct kauri_options){.linger_ms = UINT32_MAX});
    fake_server_topic(r->s, "a", 1);
    for (int i = 0; i < 3; i++) {
        struct kauri_record record = {.topic = "a", .timestamp_ms = 100 * (i + 1)};
        record.opaque = (void *)(uintptr_t)r->sent;
        r->sent++;
        ck_assert_int_eq(kauri_send(r->k, &record), 0);
        rig_settle(r);
    }
    int64_t offset = -9;
    ck_assert_int_eq(kauri_offset(r->k, "a", 0, KAURI_OFFSET_START, &offset), 0);
    ck_assert_int_eq(offset, 0);
    ck_assert_int_eq(kauri_offset(r->k, "a", 0, KAURI_OFFSET_END, &offset), 0);
    ck_assert_int_eq(offset, 3);
    ck_assert_int_eq(kauri_offset(r->k, "a", 0, 150, &offset), 0);
    ck_assert_int_eq(offset, 1);
    ck_assert_int_eq(kauri_offset(r->k, "a", 0, 301, &offset), 0);
    ck_assert_int_eq(offset, -1);
    ck_assert_int_eq(kauri_offset(r->k, "a", 5, 0, &offset), KAURI_UNKNOWN_PARTITION);
    ck_assert_int_eq(kauri_offset(r->k, "b", 0, 0, &offset), KAURI_UNKNOWN_TOPIC);
    rig_free(r);
}
END_TEST

struct seen {
    struct kauri *k;
    char names[64];
    int partitions;
    int configs;
    int asked;
};

/* Asks again from inside: what it was given must stay valid. */
static void see(void *ctx, const struct kauri_topic *t)
{
    struct seen *seen = ctx;
    int64_t end;
    seen->asked += kauri_offset(seen->k, t->name, 0, KAURI_OFFSET_END, &end) == 0;
    size_t size = strlen(seen->names);
    (void)snprintf(seen->names + size, sizeof seen->names - size, "%s ", t->name);
    if (t->partitions != NULL)
        seen->partitions += t->partition_count;
    for (int32_t i = 0; t->partitions != NULL && i < t->partition_count; i++)
        ck_assert_int_eq(t->partitions[i].partition, i);
    seen->configs += (int)t->config_count;
}

START_TEST(test_topics)
{
    struct rig *r = rig_new((struct kauri_options){0});
    struct seen seen = {.k = r->k};
    fake_server_topic(r->s, "d", 1);
    fake_server_topic(r->s, "b", 2);
    fake_server_topic(r->s, "a", 3);
    fake_server_topic(r->s, "e", 1);
    fake_server_topic(r->s, "c", 1);
    ck_assert_int_eq(kauri_topics(r->k, NULL, 0, see, &seen), 0);
    ck_assert_str_eq(seen.names, "a b c d e ");
    ck_assert_int_eq(seen.partitions + seen.configs, 0);
    ck_assert_int_eq(seen.asked, 5);
    ck_assert_uint_eq(fake_server_calls(r->s, KAURI__CALL__CALL_TOPIC_LIST), 3); /* pages of two */
    seen = (struct seen){.k = r->k};
    unsigned what = KAURI_WITH_PARTITIONS | KAURI_WITH_CONFIGS;
    ck_assert_int_eq(kauri_topics(r->k, "b", what, see, &seen), 0);
    ck_assert_str_eq(seen.names, "b ");
    ck_assert_int_eq(seen.partitions, 2);
    ck_assert_int_eq(seen.configs, 1);
    ck_assert_int_eq(kauri_topics(r->k, "f", 0, see, &seen), KAURI_UNKNOWN_TOPIC);
    ck_assert_int_eq(kauri_topics(r->k, "f", KAURI_AUTO_CREATE, see, &seen), 0);
    ck_assert_str_eq(seen.names, "b f ");
    rig_free(r);
}
END_TEST

static void see_config(void *ctx, const struct kauri_config *c)
{
    (void)snprintf(ctx, 64, "%s=%s", c->key, c->value);
}

START_TEST(test_broker_config)
{
    struct rig *r = rig_new((struct kauri_options){0});
    char text[64] = "";
    const struct kauri_config set = {.key = "log.retention.ms", .value = "77"};
    ck_assert_int_eq(kauri_broker_config(r->k, &set, 1, NULL, NULL), 0);
    ck_assert_int_eq(kauri_broker_config(r->k, NULL, 0, see_config, text), 0);
    ck_assert_str_eq(text, "log.retention.ms=77");
    rig_free(r);
}
END_TEST

/* Refused for now, then done; refused for too long says why. */
START_TEST(test_snapshot)
{
    struct rig *r = rig_new((struct kauri_options){0});
    struct kauri_snapshot done;
    ck_assert_int_eq(kauri_snapshot(r->k, "/a/b", &done), 0);
    ck_assert_uint_eq(done.partitions, 4); /* the fake's: the length of the name */
    ck_assert_uint_eq(done.linked_size, 1ull << 40);
    ck_assert_uint_eq(done.copied_size, 17);
    ck_assert_int_eq(done.took_ms, 312);
    fake_server_lock(r->s);
    r->s->script.refuse_status = KAURI__STATUS__TOPIC_EXISTS;
    r->s->script.refuse_calls[KAURI__CALL__CALL_SNAPSHOT] = 1;
    fake_server_unlock(r->s);
    ck_assert_int_eq(kauri_snapshot(r->k, "/a/b", &done), KAURI_EXISTS);
    struct kauri_broker_status status;
    ck_assert_int_eq(kauri_broker_status(r->k, &status), 0);
    ck_assert_str_eq(status.dir, "/var/lib/kauri");
    ck_assert_uint_eq(status.disk_free_size, 5);
    ck_assert_uint_eq(status.disk_total_size, 9);
    ck_assert(status.disk_full);
    ck_assert_uint_eq(status.topics, 0);
    ck_assert_uint_eq(status.partitions, 3);
    ck_assert_int_eq(status.now_ms, 1700000000000);
    ck_assert_int_eq(status.process, 812);
    rig_free(r);
}
END_TEST

START_TEST(test_retriable)
{
    struct rig *r = rig_new((struct kauri_options){.timeout_ms = 300});
    const int kind = KAURI__CALL__CALL_TOPIC_CREATE;
    fake_server_lock(r->s);
    r->s->script.refuse_status = KAURI__STATUS__BUSY;
    r->s->script.refuse_calls[kind] = 2;
    fake_server_unlock(r->s);
    ck_assert_int_eq(kauri_topic_create(r->k, "a", 1, 1, NULL, 0, false), 0);
    ck_assert_uint_eq(fake_server_calls(r->s, kind), 3);
    fake_server_lock(r->s);
    r->s->script.refuse_calls[kind] = 1000;
    fake_server_unlock(r->s);
    ck_assert_int_eq(kauri_topic_create(r->k, "b", 1, 1, NULL, 0, false), KAURI_TIMED_OUT);
    ck_assert_str_eq(kauri_message(r->k), "no success within 300 ms: the broker is at a limit");
    rig_free(r);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_server,  test_server_in_flight, test_create,        test_delete_grow, test_alter_trim,
        test_offsets, test_topics,           test_broker_config, test_snapshot,    test_retriable};
    return rig_run("admin", tests, sizeof tests / sizeof tests[0]);
}
