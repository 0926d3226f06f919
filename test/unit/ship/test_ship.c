/* SPDX-License-Identifier: MIT
 *
 * test_ship: calls against a real front: every kind, bytes that stay, many at once, what is lost on
 * the way, a front that is killed, that is not there, that never answers; cancelling; how much is
 * asked for.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.h"

static struct rig rig;

static void start(bool tcp)
{
    rig_init(&rig, tcp);
    rig_listen(&rig);
    rig_ask(&rig);
}

static struct ship_stats stats(void)
{
    struct ship_stats s;
    ship_stats(rig.ship, &s);
    return s;
}

static void every_kind(void)
{
    static struct rig_call c;
    rig_make(&c, SHIP_REGISTER);
    ck_assert_int_eq(rig_run(&rig, &c), BROKER_OK);
    ck_assert_int_eq(c.call.reg.broker_epoch, 1002);
    ck_assert_str_eq(c.call.answer_cluster_id, "AAAAAAAAAAAAAAAAAAAAAA");
    ck_assert_int_eq(c.call.answer_from, 7);
    ck_assert_str_eq(c.call.leader.native, "tcp://127.0.0.1:7092");
    ck_assert_int_eq(rig.broker->last_ship.from, 2);
    ck_assert_int_eq(rig.broker->last_ship.broker_epoch, 5);
    ck_assert_str_eq(rig.broker->last_ship.cluster_id, "BBBBBBBBBBBBBBBBBBBBBB");
    rig_make(&c, SHIP_RECORDS);
    c.kept = true;
    ck_assert_int_eq(rig_run(&rig, &c), BROKER_OK);
    ck_assert_uint_eq(c.call.records.count, 10);
    ck_assert(slice_equal(c.call.records.records[9].key, slice_str("key-9")));
    ck_assert(slice_equal(c.call.records.records[9].value, slice_str("9")));
    ck_assert_ptr_null(c.call.records.records[8].value.p);
    rig.link.release(rig.link.ctx, &c.call);
    rig_make(&c, SHIP_VOTE);
    c.kept = true;
    ck_assert_int_eq(rig_run(&rig, &c), BROKER_OK);
    ck_assert(c.call.vote.accepted && c.call.vote.count == 10);
    ck_assert_int_eq(c.call.vote.holdings[9].end, 9000);
    rig.link.release(rig.link.ctx, &c.call);
    rig_make(&c, SHIP_LEADER);
    ck_assert_int_eq(rig_run(&rig, &c), BROKER_OK);
    ck_assert(c.call.leader.id == 7 && c.call.leader.term == 3);
}

START_TEST(test_every_kind_over_ipc)
{
    start(false);
    every_kind();
    rig_close(&rig);
}
END_TEST

START_TEST(test_every_kind_over_tcp)
{
    start(true);
    every_kind();
    rig_close(&rig);
}
END_TEST

START_TEST(test_failure_is_carried)
{
    static struct rig_call c;
    start(false);
    rig_make(&c, SHIP_LEADER);
    memcpy(c.call.cluster_id, "no", 2);
    ck_assert_int_eq(rig_run(&rig, &c), BROKER_DENIED);
    ck_assert_str_eq(c.call.message, "not this one");
    rig_close(&rig);
}
END_TEST

static void check_bytes(const struct ship_pull_entry *e, size_t size)
{
    ck_assert(e->answered && e->status == SHIP_PULL_OK);
    ck_assert_uint_eq(e->bytes.size, size);
    for (size_t i = 0; i < size; i++)
        ck_assert_uint_eq(e->bytes.p[i], fake_ship_byte(e->offset, i));
}

START_TEST(test_pull_of_many_entries)
{
    static struct rig_call c;
    start(true);
    rig_make(&c, SHIP_PULL);
    c.kept = true;
    c.call.pull.count = 5;
    for (int i = 0; i < 5; i++)
        c.entries[i] = (struct ship_pull_entry){
            .offset = 1000 + i, .last_epoch = -1, .size_max = 100 + (uint32_t)i, .partition = 10};
    c.entries[1].partition = 9;
    c.entries[2].size_max = 0;
    c.entries[3].partition = 8;
    ck_assert_int_eq(rig_run(&rig, &c), BROKER_OK);
    check_bytes(&c.entries[0], 100);
    ck_assert(c.entries[1].answered && c.entries[1].status == SHIP_PULL_UNKNOWN);
    ck_assert(!c.entries[2].answered);
    ck_assert(c.entries[3].status == SHIP_PULL_DIVERGING && c.entries[3].diverge_epoch == 4);
    ck_assert_int_eq(c.entries[3].diverge_end, 1002);
    check_bytes(&c.entries[4], 104);
    ck_assert_int_eq(c.entries[4].segment, 1000);
    rig.link.release(rig.link.ctx, &c.call);
    rig_close(&rig);
}
END_TEST

/* Bytes stay where they came in until they are let go, whatever comes behind. */
START_TEST(test_bytes_stay_until_release)
{
    static struct rig_call kept[20];
    start(true);
    for (size_t i = 0; i < 20; i++) {
        rig_make(&kept[i], SHIP_PULL);
        kept[i].entries[0].offset = (int64_t)i;
        rig_send(&rig, &kept[i]);
    }
    for (size_t i = 0; i < 20; i++)
        RIG_UNTIL(&rig, kept[i].done > 0);
    ck_assert_uint_eq(stats().calls, 20);
    for (size_t i = 0; i < 20; i++) {
        check_bytes(&kept[i].entries[0], 1000);
        rig.link.release(rig.link.ctx, &kept[i].call);
    }
    ck_assert_uint_eq(stats().calls, 0);
    rig_close(&rig);
}
END_TEST

/* More ready at once than the front may keep: some answers are lost, and asked for again. */
START_TEST(test_lost_answers_are_asked_for_again)
{
    static struct rig_call c[12];
    struct nano_stats front;
    rig_init(&rig, true);
    rig.nano_options.in_flight_size_max = 90u * 1024;
    rig.broker->record_count = 200;
    rig.broker->hold = true;
    rig_listen(&rig);
    rig_ask(&rig);
    for (size_t i = 0; i < 12; i++) {
        rig_make(&c[i], SHIP_VOTE);
        rig_send(&rig, &c[i]);
    }
    RIG_UNTIL(&rig, rig.broker->pending_count == 12);
    fake_broker_complete(rig.broker, SIZE_MAX);
    rig.broker->hold = false;
    nano_stats(rig.nano, &front);
    ck_assert_uint_gt(front.shed, 0);
    for (size_t i = 0; i < 12; i++) {
        RIG_UNTIL(&rig, c[i].done > 0);
        ck_assert_uint_eq(c[i].done, 1);
        ck_assert_int_eq(c[i].call.status, BROKER_OK);
        rig.link.release(rig.link.ctx, &c[i].call);
    }
    ck_assert_uint_gt(rig.broker->started, 12);
    rig_close(&rig);
}
END_TEST

START_TEST(test_front_is_killed_and_comes_back)
{
    static struct rig_call c[4];
    start(true);
    rig_make(&c[0], SHIP_LEADER);
    ck_assert_int_eq(rig_run(&rig, &c[0]), BROKER_OK);
    rig.broker->hold = true;
    for (size_t i = 0; i < 4; i++) {
        rig_make(&c[i], i % 2 == 0 ? SHIP_PULL : SHIP_VOTE);
        rig_send(&rig, &c[i]);
    }
    RIG_UNTIL(&rig, rig.broker->pending_count == 4);
    rig_kill(&rig);
    rig.broker->hold = false;
    rig_listen(&rig); /* before anybody saw that it was gone */
    for (size_t i = 0; i < 4; i++) {
        RIG_UNTIL(&rig, c[i].done > 0);
        /* or the one attempt to connect in between met nobody */
        ck_assert(c[i].call.status == BROKER_OK || c[i].call.status == BROKER_TIMED_OUT);
        rig.link.release(rig.link.ctx, &c[i].call);
    }
    rig_make(&c[0], SHIP_PULL);
    ck_assert_int_eq(rig_run(&rig, &c[0]), BROKER_OK);
    rig_close(&rig);
}
END_TEST

/* The transport knows that nobody listens: no deadline is waited for. */
static void check_nobody(void)
{
    static struct rig_call c;
    int64_t began = rig_now();
    rig_make(&c, SHIP_PULL);
    c.call.timeout_ms = 60000;
    ck_assert_int_eq(rig_run(&rig, &c), BROKER_TIMED_OUT);
    ck_assert_int_lt(rig_now() - began, 5000);
    ck_assert_uint_eq(stats().timed_out, 0);
}

START_TEST(test_nobody_listens)
{
    static struct rig_call c;
    rig_init(&rig, true);
    rig_ask(&rig);
    check_nobody();
    rig_listen(&rig);
    rig_make(&c, SHIP_LEADER);
    RIG_UNTIL(&rig, rig_run(&rig, &c) == BROKER_OK);
    rig_kill(&rig);
    check_nobody();
    rig_close(&rig);
}
END_TEST

START_TEST(test_no_socket_there)
{
    rig_init(&rig, false);
    rig_ask(&rig);
    check_nobody();
    rig_close(&rig);
}
END_TEST

START_TEST(test_deaf_peer_times_out)
{
    static struct rig_call c;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    rig_init(&rig, true);
    snprintf(rig.dial, sizeof rig.dial, "tcp://127.0.0.1:%d", ntohs(address.sin_port));
    rig_ask(&rig);
    rig_make(&c, SHIP_PULL);
    c.call.timeout_ms = 300;
    int64_t began = rig_now();
    ck_assert_int_eq(rig_run(&rig, &c), BROKER_TIMED_OUT);
    ck_assert_int_ge(rig_now() - began, 300);
    ck_assert_uint_eq(stats().timed_out, 1);
    close(fd);
    rig_close(&rig);
}
END_TEST

START_TEST(test_late_answer_is_dropped)
{
    static struct rig_call c, d;
    start(true);
    rig.broker->hold = true;
    rig_make(&c, SHIP_PULL);
    c.call.timeout_ms = 200;
    ck_assert_int_eq(rig_run(&rig, &c), BROKER_TIMED_OUT);
    ck_assert_uint_eq(rig.broker->pending_count, 1);
    rig.broker->hold = false;
    rig_make(&d, SHIP_VOTE);
    ck_assert_int_eq(rig_run(&rig, &d), BROKER_OK);
    RIG_UNTIL(&rig, rig.broker->pins == 0);
    ck_assert_uint_eq(c.done, 1);
    ck_assert_uint_eq(stats().answered, 1);
    rig_close(&rig);
}
END_TEST

START_TEST(test_cancel)
{
    static struct rig_call c[3];
    start(false);
    rig.broker->hold = true;
    for (size_t i = 0; i < 2; i++) {
        rig_make(&c[i], SHIP_PULL);
        rig_send(&rig, &c[i]);
    }
    RIG_UNTIL(&rig, rig.broker->pending_count == 2);
    rig_make(&c[2], SHIP_PULL); /* not sent yet */
    rig_send(&rig, &c[2]);
    rig.link.cancel(rig.link.ctx);
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(c[i].done, 0);
    rig_turn(&rig, 0);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(c[i].done, 1);
        ck_assert_int_eq(c[i].call.status, BROKER_STOPPING);
        rig.link.release(rig.link.ctx, &c[i].call);
    }
    rig.broker->hold = false;
    rig_make(&c[0], SHIP_PULL);
    ck_assert_int_eq(rig_run(&rig, &c[0]), BROKER_OK);
    rig_close(&rig);
}
END_TEST

START_TEST(test_bad_addresses)
{
    static const char *const addresses[] = {"", "tcp://", "nonsense", "tcp://127.0.0.1:x\n",
                                            "http://127.0.0.1:80"};
    static struct rig_call c;
    rig_init(&rig, true);
    rig_ask(&rig);
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        rig_make(&c, SHIP_LEADER);
        snprintf(rig.dial, sizeof rig.dial, "%s", addresses[i]);
        ck_assert_int_eq(rig_run(&rig, &c), BROKER_BAD_REQUEST);
    }
    rig_close(&rig);
}
END_TEST

START_TEST(test_too_many_peers)
{
    static struct rig_call c[3];
    rig_init(&rig, true);
    rig.options.peers_max = 2;
    rig_listen(&rig);
    rig_ask(&rig);
    rig.broker->hold = true;
    for (size_t i = 0; i < 3; i++) {
        rig_make(&c[i], SHIP_PULL);
        snprintf(rig.dial, sizeof rig.dial, "%s", rig.url);
        if (i > 0) /* the same place by other names */
            snprintf(rig.dial, sizeof rig.dial, "tcp://127.0.0.%zu:%s", i + 1,
                     strrchr(rig.url, ':') + 1);
        rig_send(&rig, &c[i]);
    }
    RIG_UNTIL(&rig, c[2].done > 0);
    ck_assert_int_eq(c[2].call.status, BROKER_BUSY);
    RIG_UNTIL(&rig, c[1].done > 0); /* nobody listens there: idle from now on */
    rig.link.release(rig.link.ctx, &c[1].call);
    rig.link.release(rig.link.ctx, &c[2].call);
    rig_make(&c[2], SHIP_PULL);
    rig_send(&rig, &c[2]);
    ck_assert_uint_eq(stats().peers, 2);
    rig.link.cancel(rig.link.ctx);
    RIG_UNTIL(&rig, c[2].done > 0 && c[0].done > 0);
    rig.link.release(rig.link.ctx, &c[0].call);
    rig.link.release(rig.link.ctx, &c[2].call);
    rig_close(&rig);
}
END_TEST

/* --- how much --- */

START_TEST(test_window)
{
    static struct rig_call c;
    start(true);
    rig.broker->ship_size = 64u << 20;
    rig_set(&rig, "ship.response.max.bytes", "2M");
    for (int i = 0; i < 20; i++) {
        rig_make(&c, SHIP_PULL);
        c.entries[0].size_max = 64u << 20;
        c.call.pull.size_max = 64u << 20;
        ck_assert_int_eq(rig_run(&rig, &c), BROKER_OK);
        ck_assert_uint_le(rig.broker->last_ship.pull.size_max, 2u << 20);
    }
    ck_assert_uint_ge(stats().window, SHIP_WINDOW_MIN);
    rig.broker->hold = true; /* too late: less next time */
    size_t window = stats().window;
    rig_make(&c, SHIP_PULL);
    c.call.timeout_ms = 100;
    ck_assert_int_eq(rig_run(&rig, &c), BROKER_TIMED_OUT);
    ck_assert_uint_eq(stats().window, window / 4 > SHIP_WINDOW_MIN ? window / 4 : SHIP_WINDOW_MIN);
    rig.broker->hold = false;
    rig_close(&rig);
}
END_TEST

START_TEST(test_bandwidth)
{
    static struct rig_call c;
    size_t size = 0;
    start(true);
    rig.broker->ship_size = 64u << 20;
    rig_set(&rig, "ship.bandwidth.max", "1M");
    int64_t began = rig_now();
    while (size < (1u << 20)) {
        rig_make(&c, SHIP_PULL);
        c.entries[0].size_max = 64u << 20;
        c.call.pull.size_max = 64u << 20;
        ck_assert_int_eq(rig_run(&rig, &c), BROKER_OK);
        ck_assert_uint_le(rig.broker->last_ship.pull.size_max, 256u << 10);
        size += rig.broker->last_ship.pull.size_max;
    }
    ck_assert_int_ge(rig_now() - began, 700); /* all but the last quarter is paid for */
    began = rig_now();
    rig_make(&c, SHIP_PULL); /* wants nothing: waits for nothing */
    c.entries[0].size_max = 0;
    rig_set(&rig, "ship.bandwidth.max", "1K");
    ck_assert_int_eq(rig_run(&rig, &c), BROKER_OK);
    ck_assert_int_lt(rig_now() - began, 200);
    rig_close(&rig);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_every_kind_over_ipc,
        test_every_kind_over_tcp,
        test_failure_is_carried,
        test_pull_of_many_entries,
        test_bytes_stay_until_release,
        test_lost_answers_are_asked_for_again,
        test_front_is_killed_and_comes_back,
        test_nobody_listens,
        test_no_socket_there,
        test_deaf_peer_times_out,
        test_late_answer_is_dropped,
        test_cancel,
        test_bad_addresses,
        test_too_many_peers,
        test_window,
        test_bandwidth,
    };
    return rig_main("ship/ship", tests, sizeof tests / sizeof *tests);
}
