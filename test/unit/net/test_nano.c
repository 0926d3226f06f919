/* SPDX-License-Identifier: MIT
 *
 * test_nano: the credit protocol over real sockets: nothing is lost in normal work, what is lost is
 * asked for again, and a client that does not play along costs bounded memory.
 */
#include "rig.h"

#include <stdlib.h>

static struct rig rig;

static void setup(void)
{
    rig_init(&rig, false);
}

static void teardown(void)
{
    rig_close(&rig);
}

static void check_bytes(struct slice raw, int64_t offset, size_t size)
{
    size_t good = 0;
    while (good < raw.size && raw.p[good] == (offset & 0xff))
        good++;
    ck_assert_uint_eq(raw.size, size);
    ck_assert_uint_eq(good, size);
}

#define FLIGHT 64

/* 64 calls at once whose answers, sent at once, would be dropped by the socket. Odd rounds: tcp. */
START_TEST(test_big_answers_all_arrive)
{
    static const size_t sizes[] = {64 * 1024, 1024 * 1024};
    size_t size = sizes[_i / 2];
    if (_i % 2 == 1) {
        rig_close(&rig);
        rig_init(&rig, true);
    }
    rig_open(&rig);
    rig.broker->hold = true;
    rig.broker->fetch_size = size;
    uint64_t first = rig.client->next_id;
    for (int i = 0; i < FLIGHT; i++)
        rig_fetch(&rig, rig.client, 0, i);
    RIG_UNTIL(&rig, rig.broker->started == FLIGHT);
    rig.broker->hold = false;
    RIG_UNTIL(&rig, rig.client->answers == FLIGHT + 1);
    for (int i = 0; i < FLIGHT; i++) {
        ck_assert_uint_eq(rig.client->got[first + i].times, 1);
        check_bytes(rig.client->got[first + i].raw, i, size);
    }
    ck_assert_uint_eq(rig.broker->pins, 0);
    ck_assert_uint_eq(rig_stats(&rig).ready_size, 0);
}
END_TEST

START_TEST(test_answers_share_a_message)
{
    rig_open(&rig);
    rig.broker->hold = true;
    for (int i = 0; i < FLIGHT; i++)
        rig_fetch(&rig, rig.client, 0, i);
    RIG_UNTIL(&rig, rig.broker->started == FLIGHT);
    size_t before = rig.client->messages;
    rig.broker->hold = false;
    RIG_UNTIL(&rig, rig.client->answers == FLIGHT + 1);
    ck_assert_uint_eq(rig.client->messages, before + 1);
}
END_TEST

START_TEST(test_out_of_order)
{
    rig_open(&rig);
    rig.broker->hold = true;
    rig.broker->reverse = true;
    rig.broker->fetch_size = 1000;
    uint64_t first = rig.client->next_id;
    for (int i = 0; i < 8; i++)
        rig_fetch(&rig, rig.client, 0, i);
    RIG_UNTIL(&rig, rig.broker->started == 8);
    for (int i = 7; i >= 0; i--) {
        fake_broker_complete(rig.broker, 1);
        rig_answer(&rig, rig.client, first + i);
        check_bytes(rig.client->got[first + i].raw, i, 1000);
        ck_assert(i == 0 || rig.client->got[first + i - 1].times == 0);
    }
}
END_TEST

START_TEST(test_repeated_id_is_started_once)
{
    rig_open(&rig);
    rig.broker->hold = true;
    uint64_t id = rig_fetch(&rig, rig.client, 0, 5);
    for (int i = 0; i < 3; i++) {
        rig.client->next_id = id;
        rig_fetch(&rig, rig.client, 0, 5);
    }
    RIG_UNTIL(&rig, rig_stats(&rig).repeated == 3);
    ck_assert_uint_eq(rig.broker->started, 1);
    rig.broker->hold = false;
    rig_answer(&rig, rig.client, id);
    /* Answered and gone: the same id is a new call, so that a lost answer can be had again. */
    rig.client->next_id = id;
    rig_fetch(&rig, rig.client, 0, 5);
    RIG_UNTIL(&rig, rig.client->got[id].times == 2);
    ck_assert_uint_eq(rig.broker->started, 2);
}
END_TEST

START_TEST(test_no_second_message_before_the_first_is_confirmed)
{
    rig_open(&rig);
    rig.client->silent = true;
    uint64_t one = rig_fetch(&rig, rig.client, 0, 1);
    rig_answer(&rig, rig.client, one);
    uint64_t seen = rig.client->received;
    rig.client->received = seen - 1; /* the next calls do not confirm */
    size_t messages = rig.client->messages;
    rig_fetch(&rig, rig.client, 0, 2);
    uint64_t three = rig_fetch(&rig, rig.client, 0, 3);
    RIG_UNTIL(&rig, rig.broker->done == 3);
    rig.client->received = seen + 7; /* nor does a number never sent */
    rig_ping(&rig, rig.client, false);
    size_t received = rig_stats(&rig).received;
    RIG_UNTIL(&rig, rig_stats(&rig).received > received);
    nano_flush(rig.nano);
    ck_assert_uint_eq(rig_stats(&rig).sent, messages);
    rig.client->received = seen;
    rig_ping(&rig, rig.client, false);
    rig_answer(&rig, rig.client, three);
    ck_assert_uint_eq(rig.client->messages, messages + 1);
}
END_TEST

START_TEST(test_resync_after_a_lost_answer)
{
    rig_open(&rig);
    rig.broker->fetch_size = 100;
    rig.client->forgetful = true;
    uint64_t id = rig_fetch(&rig, rig.client, 0, 9);
    RIG_UNTIL(&rig, rig.client->sequence == 2);
    rig.client->forgetful = false;
    ck_assert_uint_eq(rig.client->got[id].times, 0);
    uint64_t ping = rig_ping(&rig, rig.client, true);
    rig_answer(&rig, rig.client, ping);
    ck_assert_uint_eq(rig.client->got[id].times, 0); /* what was sent is forgotten */
    rig.client->next_id = id;
    rig_fetch(&rig, rig.client, 0, 9);
    rig_answer(&rig, rig.client, id);
    check_bytes(rig.client->got[id].raw, 9, 100);
}
END_TEST

/* The connection breaks with answers on the way: the session goes on over the next one. */
START_TEST(test_session_survives_its_connection)
{
    rig_open(&rig);
    rig.broker->hold = true;
    uint64_t id = rig_fetch(&rig, rig.client, 0, 1);
    RIG_UNTIL(&rig, rig.broker->started == 1);
    struct client *second = client_new(rig.url, rig.client->session);
    second->received = rig.client->received;
    second->next_id = rig.client->next_id;
    client_free(rig.client);
    rig.client = second;
    rig_answer(&rig, second, rig_ping(&rig, second, true));
    rig.broker->hold = false;
    rig_answer(&rig, second, id);
    ck_assert_uint_eq(rig_stats(&rig).sessions, 1);
}
END_TEST

START_TEST(test_unknown_session)
{
    rig_open(&rig);
    rig.client->session = 4711;
    uint64_t id = rig_fetch(&rig, rig.client, 0, 1);
    const Kauri__Answer *a = rig_answer(&rig, rig.client, id);
    ck_assert_int_eq(a->status, KAURI__STATUS__UNKNOWN_SESSION);
    ck_assert_uint_eq(rig.client->sequence, 0);
    /* a ping with id 0 too is told */
    rig.client->next_id = 0;
    rig_ping(&rig, rig.client, true);
    a = rig_answer(&rig, rig.client, 0);
    ck_assert_int_eq(a->status, KAURI__STATUS__UNKNOWN_SESSION);
    ck_assert_uint_eq(rig.broker->started, 0);
    rig.client->next_id = 10;
    a = rig_answer(&rig, rig.client, rig_hello(&rig, rig.client));
    ck_assert_int_eq(a->status, KAURI__STATUS__OK);
}
END_TEST

START_TEST(test_hello_again_resets)
{
    rig_open(&rig);
    rig.broker->hold = true;
    uint64_t old = rig_fetch(&rig, rig.client, 0, 1);
    RIG_UNTIL(&rig, rig.broker->started == 1);
    uint64_t hello = rig_hello(&rig, rig.client);
    const Kauri__Answer *a = rig_answer(&rig, rig.client, hello);
    ck_assert_int_eq(a->answer_case, KAURI__ANSWER__ANSWER_HELLO);
    ck_assert_uint_eq(rig.client->sequence, 1);
    ck_assert_uint_eq(rig.broker->cancelled, 1);
    rig.broker->hold = false;
    rig_answer(&rig, rig.client, rig_ping(&rig, rig.client, false));
    ck_assert_uint_eq(rig.client->got[old].times, 0);
    ck_assert_uint_eq(rig.broker->pins, 0);
}
END_TEST

START_TEST(test_acks_none_is_not_answered)
{
    rig_open(&rig);
    uint64_t id = rig_produce(&rig, rig.client, 0, slice_str("batch"));
    uint64_t bad = rig_produce(&rig, rig.client, 0, SLICE_NULL);
    rig_answer(&rig, rig.client, rig_ping(&rig, rig.client, false));
    RIG_UNTIL(&rig, rig.broker->done == 2);
    rig_answer(&rig, rig.client, rig_ping(&rig, rig.client, false));
    ck_assert_uint_eq(rig.client->got[id].times + rig.client->got[bad].times, 0);
    ck_assert_uint_eq(rig_stats(&rig).running + rig_stats(&rig).ready_size, 0);
}
END_TEST

/* A client that takes nothing and asks for ever: calls and memory are bounded. */
START_TEST(test_slow_client_is_bounded)
{
    rig.options.in_flight_size_max = 1024 * 1024;
    rig_open(&rig);
    rig.client->deaf = true;
    size_t most = 0;
    for (int i = 0; i < 5000; i++) {
        rig_fetch(&rig, rig.client, 0, i);
        if (i % 16 == 0)
            rig_turn(&rig);
        most = rig_stats(&rig).ready_size > most ? rig_stats(&rig).ready_size : most;
    }
    RIG_UNTIL(&rig, rig_stats(&rig).received >= 5001);
    ck_assert_uint_le(most, rig.options.in_flight_size_max);
    ck_assert_uint_gt(rig_stats(&rig).shed, 0);
    ck_assert_uint_le(rig.broker->pins, 2 * 1024);
    /* Another client is served meanwhile. */
    struct client *slow = rig.client;
    rig.client = client_new(rig.url, 2000);
    rig_answer(&rig, rig.client, rig_hello(&rig, rig.client));
    rig_answer(&rig, rig.client, rig_fetch(&rig, rig.client, 0, 1));
    client_free(slow);
}
END_TEST

START_TEST(test_too_many_calls_are_busy_then_dropped)
{
    rig.options.session_calls_max = 4;
    rig_open(&rig);
    rig.broker->hold = true;
    rig.client->silent = true;
    rig_answer(&rig, rig.client, rig_ping(&rig, rig.client, false));
    rig.client->received--; /* that is not confirmed: no credit */
    uint64_t first = rig.client->next_id;
    uint64_t received = rig_stats(&rig).received;
    for (int i = 0; i < 10; i++)
        rig_fetch(&rig, rig.client, 0, i);
    RIG_UNTIL(&rig, rig_stats(&rig).received == received + 10);
    ck_assert_uint_eq(rig.broker->started, 4);
    ck_assert_uint_eq(rig_stats(&rig).refused, 4);
    ck_assert_uint_eq(rig_stats(&rig).dropped, 2);
    rig.client->received++;
    rig.client->silent = false;
    rig.client->next_id = 0;
    rig_ping(&rig, rig.client, false);
    for (uint64_t id = first + 4; id < first + 8; id++)
        ck_assert_int_eq(rig_answer(&rig, rig.client, id)->status, KAURI__STATUS__BUSY);
    rig.broker->hold = false;
    for (uint64_t id = first; id < first + 4; id++)
        ck_assert_int_eq(rig_answer(&rig, rig.client, id)->status, KAURI__STATUS__OK);
}
END_TEST

/* Batches with the broker beyond in_flight_size_max: nothing more is received until they are
 * done. */
START_TEST(test_back_pressure)
{
    rig.options.in_flight_size_max = 256 * 1024;
    rig_open(&rig);
    rig.broker->hold = true;
    uint8_t *batch = calloc(1, 100 * 1024);
    uint64_t first = rig.client->next_id;
    for (int i = 0; i < 3; i++)
        rig_produce(&rig, rig.client, 1, slice_of(batch, 100 * 1024));
    RIG_UNTIL(&rig, rig.broker->started == 3);
    ck_assert(!nano_wants_read(rig.nano));
    (void)client_send_bytes(rig.client, "x", 1); /* it waits in the socket */
    size_t received = rig_stats(&rig).received;
    ck_assert_int_eq(nano_turn(rig.nano), 0);
    ck_assert_uint_eq(rig_stats(&rig).received, received);
    rig.broker->hold = false;
    broker_run(rig.broker);
    ck_assert(nano_wants_read(rig.nano));
    for (int i = 0; i < 3; i++)
        rig_answer(&rig, rig.client, first + i);
    ck_assert_uint_eq(rig_stats(&rig).running_size, 0);
    free(batch);
}
END_TEST

START_TEST(test_sessions_limit)
{
    rig.options.sessions_max = 2;
    rig_open(&rig);
    struct client *first = rig.client;
    rig.broker->hold = true;
    rig_fetch(&rig, first, 0, 1);
    RIG_UNTIL(&rig, rig.broker->started == 1);
    clock_fake_advance(&rig.clock, 1);
    struct client *second = rig.client = client_new(rig.url, 2);
    rig_answer(&rig, second, rig_hello(&rig, second));
    /* The third takes the place of the second: the first idles longer, but has a call. */
    struct client *third = rig.client = client_new(rig.url, 3);
    rig_answer(&rig, third, rig_hello(&rig, third));
    rig.client = second;
    const Kauri__Answer *a = rig_answer(&rig, second, rig_ping(&rig, second, false));
    ck_assert_int_eq(a->status, KAURI__STATUS__UNKNOWN_SESSION);
    /* All have calls: busy. */
    rig.client = third;
    rig_fetch(&rig, third, 0, 1);
    RIG_UNTIL(&rig, rig.broker->started == 2);
    rig.client = second;
    a = rig_answer(&rig, second, rig_hello(&rig, second));
    ck_assert_int_eq(a->status, KAURI__STATUS__BUSY);
    ck_assert_uint_eq(rig_stats(&rig).sessions, 2);
    client_free(first);
    client_free(third);
}
END_TEST

START_TEST(test_idle_sessions_go)
{
    rig.options.idle_timeout_ms = 1000;
    rig_open(&rig);
    rig_answer(&rig, rig.client, rig_ping(&rig, rig.client, false));
    clock_fake_advance(&rig.clock, 999);
    nano_flush(rig.nano);
    ck_assert_uint_eq(rig_stats(&rig).sessions, 1);
    ck_assert_int_eq(nano_next_ms(rig.nano), rig.clock.clock.mono_ms(&rig.clock.clock) + 1);
    rig.broker->hold = true;
    rig_fetch(&rig, rig.client, 0, 1); /* heard again */
    RIG_UNTIL(&rig, rig.broker->started == 1);
    clock_fake_advance(&rig.clock, 999);
    nano_flush(rig.nano);
    ck_assert_uint_eq(rig_stats(&rig).sessions, 1);
    clock_fake_advance(&rig.clock, 1);
    nano_flush(rig.nano);
    ck_assert_uint_eq(rig_stats(&rig).sessions, 0);
    ck_assert_uint_eq(rig.broker->cancelled, 1);
    ck_assert_int_eq(nano_next_ms(rig.nano), INT64_MAX);
    fake_broker_complete(rig.broker, 1);
    ck_assert_uint_eq(rig.broker->pins, 0);
}
END_TEST

START_TEST(test_stop)
{
    rig_open(&rig);
    rig.broker->hold = true;
    uint64_t waiting = rig_fetch(&rig, rig.client, 0, 1);
    RIG_UNTIL(&rig, rig.broker->started == 1);
    nano_stop(rig.nano);
    ck_assert(!nano_stopped(rig.nano));
    ck_assert_uint_eq(rig.broker->cancelled, 1);
    const Kauri__Answer *a = rig_answer(&rig, rig.client, rig_fetch(&rig, rig.client, 0, 2));
    ck_assert_int_eq(a->status, KAURI__STATUS__STOPPING);
    ck_assert_uint_eq(rig.broker->started, 1);
    rig.broker->hold = false;
    rig_answer(&rig, rig.client, waiting);
    ck_assert(nano_stopped(rig.nano));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("nano");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_big_answers_all_arrive, 0, 4);
    tcase_add_test(tc, test_answers_share_a_message);
    tcase_add_test(tc, test_out_of_order);
    tcase_add_test(tc, test_repeated_id_is_started_once);
    tcase_add_test(tc, test_no_second_message_before_the_first_is_confirmed);
    tcase_add_test(tc, test_resync_after_a_lost_answer);
    tcase_add_test(tc, test_session_survives_its_connection);
    tcase_add_test(tc, test_unknown_session);
    tcase_add_test(tc, test_hello_again_resets);
    tcase_add_test(tc, test_acks_none_is_not_answered);
    tcase_add_test(tc, test_slow_client_is_bounded);
    tcase_add_test(tc, test_too_many_calls_are_busy_then_dropped);
    tcase_add_test(tc, test_back_pressure);
    tcase_add_test(tc, test_sessions_limit);
    tcase_add_test(tc, test_idle_sessions_go);
    tcase_add_test(tc, test_stop);
    Suite *s = suite_create("net/nano");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
