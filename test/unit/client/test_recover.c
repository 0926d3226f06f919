/* SPDX-License-Identifier: MIT
 *
 * Lost answers, lost calls, lost sessions, brokers that die: nothing is lost, repeated or
 * reordered.
 */
#include <stdio.h>
#include <stdlib.h>

#include "net/client/client_priv.h"
#include "rig.h"

#define PRODUCE KAURI__CALL__CALL_PRODUCE

static void lose(struct rig *r, int kind, unsigned answers, unsigned calls)
{
    fake_server_lock(r->s);
    r->s->script.swallow[kind] = answers;
    r->s->script.ignore[kind] = calls;
    fake_server_unlock(r->s);
}

/* The answer is lost: the same call comes again with the same bytes and is recognised. */
START_TEST(test_answer_lost)
{
    struct rig *r = rig_new((struct kauri_options){.linger_ms = UINT32_MAX});
    fake_server_topic(r->s, "t", 1);
    lose(r, PRODUCE, 1, 0);
    rig_send_many(r, "t", 0, 1);
    rig_settle(r);
    ck_assert_uint_eq(r->s->produced_count, 2);
    ck_assert_uint_eq(r->s->produced[0].id, r->s->produced[1].id);
    ck_assert_uint_eq(r->s->produced[0].crc, r->s->produced[1].crc);
    ck_assert_uint_eq(rig_partition(r, "t", 0)->duplicates, 1);
    ck_assert_uint_ge(r->s->resyncs, 1);
    ck_assert_uint_eq(fake_server_calls(r->s, KAURI__CALL__CALL_HELLO), 1);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

/* Calls of produce without their repeats. */
static size_t distinct(const struct fake_server *s)
{
    size_t count = 0;
    for (size_t i = 0; i < s->produced_count; i++) {
        size_t k = 0;
        while (s->produced[k].id != s->produced[i].id)
            k++;
        count += k == i;
    }
    return count;
}

/* One answer stays out while those behind it come: no more than five batches lie between the oldest
 * without an answer and the newest, so a broker that starts again still knows it. */
START_TEST(test_one_unanswered)
{
    struct rig *r = rig_new((struct kauri_options){.linger_ms = 60000, .batch_size = 300});
    fake_server_topic(r->s, "t", 1);
    fake_server_lock(r->s);
    r->s->script.withhold = true;
    fake_server_unlock(r->s);
    rig_send_many(r, "t", 0, 400);
    (void)kauri_flush(r->k, 300);
    fake_server_lock(r->s);
    ck_assert_uint_eq(distinct(r->s), 5);
    r->s->script.withhold = false;
    fake_server_unlock(r->s);
    fake_server_stop(r->s);
    fake_server_start(r->s);
    ck_assert_int_eq(kauri_flush(r->k, 10000), 0);
    ck_assert_uint_eq(r->failed, 0);
    ck_assert_uint_ge(rig_partition(r, "t", 0)->duplicates, 1);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

START_TEST(test_call_lost)
{
    struct rig *r = rig_new((struct kauri_options){.linger_ms = UINT32_MAX});
    fake_server_topic(r->s, "t", 1);
    lose(r, PRODUCE, 0, 1);
    rig_send_many(r, "t", 0, 1);
    rig_settle(r);
    ck_assert_uint_eq(r->s->produced_count, 1);
    ck_assert_uint_eq(rig_partition(r, "t", 0)->duplicates, 0);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

/* The first of several calls in flight is lost: the others meet a gap and follow it. */
START_TEST(test_first_lost)
{
    struct rig *r = rig_new((struct kauri_options){.linger_ms = 60000, .batch_size = 300});
    fake_server_topic(r->s, "t", 1);
    lose(r, PRODUCE, 0, 1);
    rig_send_many(r, "t", 0, 200);
    ck_assert_int_eq(kauri_flush(r->k, 10000), 0);
    ck_assert_uint_gt(rig_partition(r, "t", 0)->gaps, 0);
    ck_assert_uint_eq(r->failed, 0);
    ck_assert_int_eq(rig_partition(r, "t", 0)->batches[0].header.producer_epoch, 0);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

START_TEST(test_hello_lost)
{
    struct rig *r = rig_new((struct kauri_options){.timeout_ms = 3000});
    lose(r, KAURI__CALL__CALL_HELLO, _i == 0, _i == 1);
    struct kauri_server server;
    ck_assert_int_eq(kauri_server(r->k, &server), 0);
    ck_assert_str_eq(server.software, "fake 1.0");
    ck_assert_uint_eq(fake_server_calls(r->s, KAURI__CALL__CALL_HELLO), 2);
    rig_free(r);
}
END_TEST

START_TEST(test_ping_lost)
{
    struct rig *r = rig_new((struct kauri_options){.linger_ms = UINT32_MAX});
    fake_server_topic(r->s, "t", 1);
    rig_send_many(r, "t", 0, 1);
    rig_settle(r);
    lose(r, PRODUCE, 1, 0);
    lose(r, KAURI__CALL__CALL_PING, 0, 1);
    rig_send_many(r, "t", 0, 1);
    rig_settle(r);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

/* Three restarts with about 1,000 records in flight. Before each the broker carries out a few more
 * batches without answering, so that what is sent again is known there. */
START_TEST(test_restarts)
{
    struct rig *r = rig_new((struct kauri_options){.batch_size = 200, .linger_ms = 1});
    fake_server_topic(r->s, "t", 3);
    for (int round = 0; round < 3; round++) {
        fake_server_lock(r->s);
        r->s->script.stop_items = 10;
        fake_server_unlock(r->s);
        rig_send_many(r, "t", -1, 1000);
        bool silent = false;
        while (!silent) {
            (void)kauri_poll(r->k, 10);
            fake_server_lock(r->s);
            silent = r->s->silent;
            fake_server_unlock(r->s);
        }
        ck_assert_uint_gt(kauri_outstanding(r->k), 500);
        fake_server_stop(r->s);
        (void)kauri_poll(r->k, 0);
        fake_server_start(r->s);
        rig_settle(r);
    }
    ck_assert_uint_eq(r->failed, 0);
    unsigned duplicates = 0;
    for (int32_t i = 0; i < 3; i++)
        duplicates += rig_partition(r, "t", i)->duplicates;
    ck_assert_uint_gt(duplicates, 0);
    ck_assert_uint_ge(fake_server_calls(r->s, KAURI__CALL__CALL_HELLO), 4);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

/* The session is forgotten while the connection stands. */
START_TEST(test_session_forgotten)
{
    struct rig *r = rig_new((struct kauri_options){.batch_size = 200});
    fake_server_topic(r->s, "t", 2);
    for (int round = 0; round < 5; round++) {
        rig_send_many(r, "t", -1, 100);
        fake_server_lock(r->s);
        fake_server_forget(r->s);
        fake_server_unlock(r->s);
        rig_send_many(r, "t", -1, 100);
        rig_settle(r);
    }
    ck_assert_uint_eq(r->failed, 0);
    ck_assert_uint_ge(fake_server_calls(r->s, KAURI__CALL__CALL_HELLO), 3);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

/* Answers and calls of every kind are lost at random places. */
START_TEST(test_many_losses)
{
    struct rig *r = rig_new((struct kauri_options){.batch_size = 250});
    fake_server_topic(r->s, "t", 4);
    lose(r, KAURI__CALL__CALL_INIT_PRODUCER, 1, 0);
    rig_send_many(r, "t", -1, 300);
    lose(r, PRODUCE, 2, 1);
    rig_send_many(r, "t", -1, 300);
    rig_settle(r);
    ck_assert_uint_eq(r->failed, 0);
    rig_check(r, "t");
    rig_free(r);
}
END_TEST

/* Nobody there: opening works, asking says so, and the same client works once somebody is. */
START_TEST(test_no_server)
{
    struct rig *r = rig_new((struct kauri_options){.timeout_ms = 200});
    fake_server_topic(r->s, "t", 1);
    fake_server_stop(r->s);
    struct kauri *k;
    struct kauri_options o = {.server = r->s->url, .timeout_ms = 100};
    ck_assert_int_eq(kauri_open(&o, &k), 0);
    ck_assert_int_eq(kauri_topic_delete(k, "t"), KAURI_NO_SERVER);
    char expected[160];
    (void)snprintf(expected, sizeof expected, "no broker answers at \"%s\"", r->s->url);
    ck_assert_str_eq(kauri_message(k), expected);
    struct kauri_record record = {.topic = "t", .timestamp_ms = -1};
    ck_assert_int_eq(kauri_send(k, &record), KAURI_NO_SERVER);
    fake_server_start(r->s);
    int error = kauri_send(k, &record);
    for (int i = 0; i < 20 && error == KAURI_NO_SERVER; i++)
        error = kauri_send(k, &record);
    ck_assert_int_eq(error, 0);
    ck_assert_int_eq(kauri_flush(k, 5000), 0);
    ck_assert_int_eq(rig_partition(r, "t", 0)->end, 1);
    k = kauri_close(k);
    rig_free(r);
}
END_TEST

START_TEST(test_other_version)
{
    struct rig *r = rig_new((struct kauri_options){0});
    fake_server_lock(r->s);
    r->s->script.version = 2;
    fake_server_unlock(r->s);
    struct kauri_server server;
    ck_assert_int_eq(kauri_server(r->k, &server), KAURI_VERSION);
    ck_assert_ptr_nonnull(strstr(kauri_message(r->k), "speaks another version"));
    ck_assert_int_eq(rig_send(r, "t", 0), KAURI_VERSION);
    rig_free(r);
}
END_TEST

START_TEST(test_busy_hello)
{
    struct rig *r = rig_new((struct kauri_options){0});
    fake_server_lock(r->s);
    r->s->script.refuse_calls[KAURI__CALL__CALL_HELLO] = 2;
    r->s->script.refuse_status = KAURI__STATUS__STOPPING;
    fake_server_unlock(r->s);
    struct kauri_server server;
    ck_assert_int_eq(kauri_server(r->k, &server), 0);
    ck_assert_uint_eq(fake_server_calls(r->s, KAURI__CALL__CALL_HELLO), 3);
    rig_free(r);
}
END_TEST

/* Large batches in flight to many partitions: all answers arrive, one message after the other. */
START_TEST(test_credit)
{
    struct rig *r = rig_new((struct kauri_options){.linger_ms = UINT32_MAX});
    fake_server_topic(r->s, "t", 8);
    char *value = calloc(1, 60000);
    struct kauri_record record = {.topic = "t", .timestamp_ms = -1, .value = value};
    record.value_size = 60000;
    for (size_t i = 0; i < 200; i++) {
        record.partition = (int32_t)(i % 8);
        record.opaque = (void *)(uintptr_t)r->sent;
        r->sent++;
        ck_assert_int_eq(kauri_send(r->k, &record), 0);
        (void)kauri_poll(r->k, 0);
    }
    rig_settle(r);
    ck_assert_uint_eq(r->failed, 0);
    for (int32_t i = 0; i < 8; i++) {
        ck_assert_int_eq(rig_partition(r, "t", i)->end, 25);
        ck_assert_uint_eq(rig_partition(r, "t", i)->duplicates, 0);
    }
    free(value);
    rig_free(r);
}
END_TEST

/* Administration that was carried out, but whose answer was lost, is a success when repeated. */
START_TEST(test_admin_repeated)
{
    struct rig *r = rig_new((struct kauri_options){0});
    lose(r, KAURI__CALL__CALL_TOPIC_CREATE, 1, 0);
    ck_assert_int_eq(kauri_topic_create(r->k, "a", 2, -1, NULL, 0, false), 0);
    ck_assert_uint_eq(fake_server_calls(r->s, KAURI__CALL__CALL_TOPIC_CREATE), 2);
    lose(r, KAURI__CALL__CALL_TOPIC_GROW, 1, 0);
    ck_assert_int_eq(kauri_topic_grow(r->k, "a", 5), 0);
    ck_assert_uint_eq(fake_server_calls(r->s, KAURI__CALL__CALL_TOPIC_GROW), 2);
    lose(r, KAURI__CALL__CALL_TOPIC_DELETE, 1, 0);
    ck_assert_int_eq(kauri_topic_delete(r->k, "a"), 0);
    ck_assert_uint_eq(fake_server_calls(r->s, KAURI__CALL__CALL_TOPIC_DELETE), 2);
    ck_assert_ptr_null(fake_log_topic(&r->s->log, "a"));
    rig_free(r);
}
END_TEST

START_TEST(test_mute_server)
{
    struct rig *r = rig_new((struct kauri_options){.timeout_ms = 200});
    fake_server_lock(r->s);
    r->s->script.mute = true;
    fake_server_unlock(r->s);
    ck_assert_int_eq(kauri_topic_delete(r->k, "a"), KAURI_NO_SERVER);
    fake_server_lock(r->s);
    r->s->script.mute = false;
    fake_server_unlock(r->s);
    int error = kauri_topic_delete(r->k, "a");
    for (int i = 0; i < 10 && error == KAURI_NO_SERVER; i++) /* until the next hello */
        error = kauri_topic_delete(r->k, "a");
    ck_assert_int_eq(error, KAURI_UNKNOWN_TOPIC);
    fake_server_lock(r->s);
    r->s->script.mute = true;
    fake_server_unlock(r->s);
    ck_assert_int_eq(kauri_topic_delete(r->k, "a"), KAURI_TIMED_OUT);
    ck_assert_str_eq(kauri_message(r->k), "no answer within 200 ms");
    rig_free(r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recover");
    TCase *tc = tcase_create("recover");
    const TTest *const tests[] = {test_answer_lost,       test_one_unanswered, test_call_lost,
                                  test_first_lost,        test_ping_lost,      test_restarts,
                                  test_session_forgotten, test_many_losses,    test_no_server,
                                  test_other_version,     test_busy_hello,     test_credit,
                                  test_admin_repeated,    test_mute_server};
    tcase_set_timeout(tc, 20);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        tcase_add_test(tc, tests[i]);
    tcase_add_loop_test(tc, test_hello_lost, 0, 2);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
