/* SPDX-License-Identifier: MIT
 *
 * test_conn_limits: what happens at each limit, and when time is over. Time is the fake clock's.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/resource.h>

#include "rig.h"

static void test_advance(struct rig *rig, int64_t ms)
{
    clock_fake_advance(&rig->clock, ms);
    rig_turn(rig);
}

/* Until the front has noticed and taken, or left, all that was sent. */
static void test_settle(struct rig *rig)
{
    for (int i = 0; i < 20; i++)
        rig_wait(rig);
}

/* --- sizes --- */

START_TEST(test_frame_size)
{
    static const struct {
        const char *bytes;
        const char *log;
    } cases[] = {{"\xff\xff\xff\xff", "ffffffff"},
                 {"\x7f\xff\xff\xff", "7fffffff"},
                 {"\x00\x00\x03\xe9", "000003e9"},
                 {"\x16\x03\x01\x00", "a TLS hello"},
                 {"GET ", "an HTTP request"}};
    struct rig rig;
    rig_init(&rig);
    rig.options.frame_size_max = 1000;
    rig_open(&rig);
    int fine = rig_client(&rig);
    int fd = rig_client(&rig);
    rig_send(&rig, fd, cases[_i].bytes, 4);
    rig_expect_end(&rig, fd);
    ck_assert_int_eq(rig.last_end, CONN_END_SIZE);
    ck_assert_msg(strstr(rig.line, cases[_i].log) != NULL, "%s", rig.line);
    ck_assert_uint_eq(rig_stats(&rig).ended[CONN_END_SIZE], 1);
    rig.echo = true;
    char text[1001] = {0};
    memset(text, 'x', 1000); /* just allowed */
    rig_send_text(&rig, fine, text);
    rig_expect_text(&rig, fine, text);
    close(fd);
    close(fine);
    rig_close(&rig);
}
END_TEST

/* One line in 10 s, however many come. */
START_TEST(test_log_rate)
{
    struct rig rig;
    rig_init(&rig);
    rig_open(&rig);
    for (int i = 0; i < 6; i++) {
        if (i == 5)
            clock_fake_advance(&rig.clock, 10000);
        int fd = rig_client(&rig);
        rig_send(&rig, fd, "GET / HTTP/1.1\r\n", 16);
        rig_expect_end(&rig, fd);
        close(fd);
    }
    ck_assert_uint_eq(rig.lines, 2);
    ck_assert_msg(strstr(rig.line, "(6 so far)") != NULL, "%s", rig.line);
    rig_close(&rig);
}
END_TEST

/* --- connections --- */

static int test_connect_only(struct rig *rig)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(rig->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

START_TEST(test_connections_max)
{
    struct rig rig;
    bool address = _i == 1;
    int fds[3];
    rig_init(&rig);
    rig.echo = true;
    *(address ? &rig.options.address_conns_max : &rig.options.connections_max) = 3;
    rig_open(&rig);
    for (int i = 0; i < 3; i++)
        fds[i] = rig_client(&rig);
    int more = test_connect_only(&rig);
    rig_expect_end(&rig, more);
    close(more);
    enum conn_end end = address ? CONN_END_ADDRESS : CONN_END_FULL;
    ck_assert_uint_eq(rig_stats(&rig).ended[end], 1);
    ck_assert_uint_eq(rig_stats(&rig).connections, 3);
    rig_send_text(&rig, fds[2], "still here");
    rig_expect_text(&rig, fds[2], "still here");
    close(fds[0]);
    RIG_UNTIL(&rig, rig.closed == 1);
    fds[0] = rig_client(&rig); /* room again */
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    rig_close(&rig);
}
END_TEST

/* No descriptor left: the newcomer is closed at once, the others work, nothing spins. */
START_TEST(test_descriptors)
{
    struct rig rig;
    struct rlimit limit;
    int fds[64];
    size_t count = 0;
    rig_init(&rig);
    rig.echo = true;
    rig_open(&rig);
    int fd = rig_client(&rig);
    int more[4];
    for (int i = 0; i < 4; i++) /* in the backlog */
        more[i] = test_connect_only(&rig);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 40;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while (count < 64 && (fds[count] = open("/dev/null", O_RDONLY)) >= 0)
        count++;
    ck_assert_int_eq(errno, EMFILE);
    for (int i = 0; i < 4; i++)
        rig_expect_end(&rig, more[i]);
    ck_assert_uint_eq(rig_stats(&rig).ended[CONN_END_FILES], 4);
    ck_assert_uint_eq(rig.opened, 1);
    ck_assert_int_gt(conn_next_ms(rig.f), rig.clock.mono_now_us / 1000); /* nothing left to do */
    rig_send_text(&rig, fd, "works");
    rig_expect_text(&rig, fd, "works");
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    int again = rig_client(&rig);
    close(again);
    for (int i = 0; i < 4; i++)
        close(more[i]);
    close(fd);
    rig_close(&rig);
}
END_TEST

/* The reserve is lost to somebody else: accepting rests, and goes on by itself. */
START_TEST(test_reserve_lost)
{
    struct rig rig;
    struct rlimit limit;
    rig_init(&rig);
    rig_open(&rig);
    int fd = test_connect_only(&rig);
    close(rig.f->reserve);
    rig.f->reserve = -1;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 3;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    RIG_UNTIL(&rig, rig.f->retry_ms != INT64_MAX);
    ck_assert_int_eq(conn_next_ms(rig.f), rig.f->now_ms + CONN_RETRY_MS);
    rig_turn(&rig);
    ck_assert_uint_eq(rig.opened, 0);
    limit.rlim_cur = before;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    test_advance(&rig, CONN_RETRY_MS);
    ck_assert_uint_eq(rig.opened, 1);
    close(fd);
    rig_close(&rig);
}
END_TEST

/* --- back pressure --- */

static size_t test_fill(struct rig *rig, int fd, size_t count)
{
    char text[64];
    for (size_t i = 0; i < count; i++) {
        snprintf(text, sizeof text, "request %zu", i);
        rig_send_text(rig, fd, text);
        rig_turn(rig);
    }
    test_settle(rig);
    return rig->taken_count;
}

START_TEST(test_requests_max)
{
    struct rig rig;
    char text[64];
    rig_init(&rig);
    rig.options.conn_requests_max = 10;
    rig_open(&rig);
    int fd = rig_client(&rig);
    int other = rig_client(&rig);
    ck_assert_uint_eq(test_fill(&rig, fd, 25), 10);
    ck_assert_uint_ge(rig_stats(&rig).held, 1);
    rig_send_text(&rig, other, "other");
    RIG_UNTIL(&rig, rig.taken_count == 11); /* not held */
    rig_echo(rig_take(&rig, 10));
    rig_expect_text(&rig, other, "other");
    for (int i = 0; i < 25; i++) {
        RIG_UNTIL(&rig, rig.taken_count > 0);
        rig_echo(rig_take(&rig, 0));
        snprintf(text, sizeof text, "request %d", i);
        rig_expect_text(&rig, fd, text);
    }
    close(fd);
    close(other);
    rig_close(&rig);
}
END_TEST

START_TEST(test_in_flight_max)
{
    struct rig rig;
    bool all = _i == 1;
    rig_init(&rig);
    *(all ? &rig.options.in_flight_size_max : &rig.options.conn_in_flight_size_max) = 10000;
    rig_open(&rig);
    int fd = rig_client(&rig);
    int other = rig_client(&rig);
    size_t some = test_fill(&rig, fd, 30);
    ck_assert_uint_gt(some, 5);
    ck_assert_uint_lt(some, 20);
    rig_send_text(&rig, other, "other");
    test_settle(&rig);
    ck_assert_uint_eq(rig.taken_count, some + (all ? 0 : 1));
    for (size_t i = 0; i < 31; i++) {
        RIG_UNTIL(&rig, rig.taken_count > 0);
        rig_echo(rig_take(&rig, 0));
    }
    rig_expect_text(&rig, other, "other");
    RIG_UNTIL(&rig, rig_stats(&rig).answers == 31);
    close(fd);
    close(other);
    rig_close(&rig);
}
END_TEST

/* A frame larger than both limits comes in all the same. */
START_TEST(test_frame_beyond_in_flight)
{
    struct rig rig;
    struct buf body = {0}, got = {0};
    rig_init(&rig);
    rig.echo = true;
    rig.options.in_flight_size_max = 5000;
    rig.options.conn_in_flight_size_max = 4000;
    rig_open(&rig);
    int fd = rig_client(&rig);
    buf_reserve(&body, 3000000);
    memset(body.p, 'x', 3000000);
    rig_send_frame(&rig, fd, body.p, 3000000);
    rig_read_frame(&rig, fd, &got);
    ck_assert_uint_eq(got.size, 3000000);
    buf_deinit(&body);
    buf_deinit(&got);
    close(fd);
    rig_close(&rig);
}
END_TEST

/* Half frames alone hold all memory: one after the other is completed, none is lost. */
START_TEST(test_half_frames)
{
    enum { CONNS = 12, SIZE = 200000 };
    struct rig rig;
    struct buf frame = {0}, got = {0};
    int fds[CONNS];
    rig_init(&rig);
    rig.echo = true;
    rig.options.in_flight_size_max = SIZE;
    rig_open(&rig);
    buf_append_be32(&frame, SIZE);
    buf_reserve(&frame, SIZE);
    memset(frame.p + 4, 'h', SIZE);
    for (int i = 0; i < CONNS; i++) {
        fds[i] = rig_client(&rig);
        rig_send(&rig, fds[i], frame.p, SIZE / 2);
    }
    test_settle(&rig);
    ck_assert_uint_ge(rig_stats(&rig).in_flight_size, SIZE);
    ck_assert_uint_lt(rig_stats(&rig).in_flight_size, 2 * SIZE + SIZE / 2);
    ck_assert_uint_eq(rig_stats(&rig).frames, 0);
    for (int i = CONNS - 1; i >= 0; i--)
        rig_send(&rig, fds[i], frame.p + SIZE / 2, 4 + SIZE - SIZE / 2);
    for (int i = 0; i < CONNS; i++) {
        rig_read_frame(&rig, fds[i], &got);
        ck_assert_uint_eq(got.size, SIZE);
        close(fds[i]);
    }
    buf_deinit(&frame);
    buf_deinit(&got);
    rig_close(&rig);
}
END_TEST

/* After a burst the memory of its requests goes, but for a few. */
START_TEST(test_spares)
{
    enum { COUNT = 3000 };
    struct rig rig;
    rig_init(&rig);
    rig_open(&rig);
    int fd = rig_client(&rig);
    ck_assert_int_eq(conn_next_ms(rig.f), rig.f->now_ms + 600000);
    for (int i = 0; i < COUNT; i++)
        rig_send_text(&rig, fd, "burst");
    RIG_UNTIL(&rig, rig.taken_count == COUNT);
    while (rig.taken_count > 0) {
        (void)arena_alloc(&rig.taken[0]->arena, 100);
        conn_answer(rig_take(&rig, 0), NULL, 0);
    }
    RIG_UNTIL(&rig, rig_stats(&rig).requests == 0);
    ck_assert_uint_eq(rig.f->spare_count, COUNT);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(conn_next_ms(rig.f), rig.f->now_ms + CONN_TRIM_MS);
        test_advance(&rig, CONN_TRIM_MS);
    }
    ck_assert_uint_eq(rig.f->spare_count, CONN_SPARES_MIN);
    ck_assert_int_gt(conn_next_ms(rig.f), rig.f->now_ms + CONN_TRIM_MS);
    close(fd);
    rig_close(&rig);
}
END_TEST

/* A peer that does not read: its answers pile up to the limit, then no more is read from it. */
START_TEST(test_slow_reader)
{
    enum { ANSWER = 1 << 20 };
    static char zeros[ANSWER];
    struct rig rig;
    struct buf got = {0};
    rig_init(&rig);
    rig.options.conn_out_size_max = 3 * ANSWER;
    rig.options.send_buffer_size = 65536;
    rig_open(&rig);
    int slow = rig_client(&rig);
    int quick = rig_client(&rig);
    size_t answered = 0;
    for (size_t sent = 0; sent < 64; sent++) {
        rig_send_text(&rig, slow, "big");
        test_settle(&rig);
        while (rig.taken_count > 0) {
            struct conn_piece piece = conn_piece_slice(slice_of(zeros, ANSWER), rig_release, &rig);
            conn_answer(rig_take(&rig, 0), &piece, 1);
            answered++;
        }
    }
    ck_assert_uint_lt(answered, 40);
    ck_assert_uint_lt(conn_out_size(rig.last_conn), 5 * ANSWER);
    ck_assert_uint_gt(rig_stats(&rig).out_size, 2 * ANSWER);
    rig.echo = true;
    rig_send_text(&rig, quick, "quick");
    rig_expect_text(&rig, quick, "quick");
    rig.echo = false;
    for (size_t i = 0; i < 64; i++) { /* it reads at last */
        rig_read_frame(&rig, slow, &got);
        ck_assert_uint_eq(got.size, ANSWER);
        while (rig.taken_count > 0) {
            struct conn_piece piece = conn_piece_slice(slice_of(zeros, ANSWER), rig_release, &rig);
            conn_answer(rig_take(&rig, 0), &piece, 1);
        }
    }
    RIG_UNTIL(&rig, rig.releases == 64);
    buf_deinit(&got);
    close(slow);
    close(quick);
    rig_close(&rig);
}
END_TEST

/* --- time --- */

START_TEST(test_idle)
{
    struct rig rig;
    rig_init(&rig);
    rig_open(&rig);
    int idle = rig_client(&rig);
    int waits = rig_client(&rig);
    int busy = rig_client(&rig);
    rig_send_text(&rig, waits, "long poll");
    RIG_UNTIL(&rig, rig.taken_count == 1);
    for (int i = 0; i < 12; i++) {
        clock_fake_advance(&rig.clock, 50000);
        rig_turn(&rig);
        ck_assert_uint_eq(rig.closed, i < 11 ? 0 : 1);
        rig_send_text(&rig, busy, "busy");
        RIG_UNTIL(&rig, rig.taken_count == 2);
        rig_echo(rig_take(&rig, 1));
        rig_expect_text(&rig, busy, "busy");
    }
    ck_assert_int_eq(rig.last_end, CONN_END_IDLE);
    rig_expect_end(&rig, idle);
    test_advance(&rig, 599999);
    ck_assert_uint_eq(rig.closed, 1);
    test_advance(&rig, 1);
    ck_assert_uint_eq(rig.closed, 2); /* busy no more; the long poll is ours to answer */
    rig_echo(rig_take(&rig, 0));
    rig_expect_text(&rig, waits, "long poll");
    test_advance(&rig, 600000);
    ck_assert_uint_eq(rig.closed, 3);
    close(idle);
    close(waits);
    close(busy);
    rig_close(&rig);
}
END_TEST

/* A peer that sends a byte now and then. */
START_TEST(test_slow_frame)
{
    struct rig rig;
    rig_init(&rig);
    rig_open(&rig);
    int fd = rig_client(&rig);
    bool head = _i == 1; /* not even its size */
    uint64_t sent = head ? 1 : 4;
    rig_send(&rig, fd, "\0\0\0\x40", sent);
    RIG_UNTIL(&rig, rig_stats(&rig).bytes_in == sent);
    for (int i = 0; i < 29; i++) {
        test_advance(&rig, 1000);
        if (head)
            continue;
        rig_send(&rig, fd, "x", 1);
        sent++;
        RIG_UNTIL(&rig, rig_stats(&rig).bytes_in == sent);
    }
    ck_assert_uint_eq(rig.closed, 0);
    test_advance(&rig, 1000);
    ck_assert_uint_eq(rig.closed, 1);
    ck_assert_int_eq(rig.last_end, CONN_END_FRAME);
    rig_expect_end(&rig, fd);
    close(fd);
    rig_close(&rig);
}
END_TEST

/* A large frame on a slow line gets the time it needs: a second more for each 64 KiB. */
START_TEST(test_large_slow_frame)
{
    struct rig rig;
    static char part[65536];
    rig_init(&rig);
    rig_open(&rig);
    int fd = rig_client(&rig);
    uint64_t sent = 4;
    rig_send(&rig, fd, "\x00\x40\x00\x00", 4); /* 4 MiB */
    for (int i = 0; i < 63; i++) {
        rig_send(&rig, fd, part, sizeof part);
        sent += sizeof part;
        RIG_UNTIL(&rig, rig_stats(&rig).bytes_in == sent);
        test_advance(&rig, 1000);
        ck_assert_uint_eq(rig.closed, 0);
    }
    test_advance(&rig, 32000);
    ck_assert_int_eq(rig.last_end, CONN_END_FRAME);
    close(fd);
    rig_close(&rig);
}
END_TEST

/* Time in which we hold a connection back is not the peer's. */
START_TEST(test_held_frame)
{
    static const int held_ms[] = {15000, 300000};
    struct rig rig;
    rig_init(&rig);
    rig.options.conn_requests_max = 1;
    rig_open(&rig);
    int fd = rig_client(&rig);
    rig_send(&rig, fd, "\0\0\0\1a\0\0\0\4b", 10); /* one frame and the beginning of another */
    RIG_UNTIL(&rig, rig.taken_count == 1);
    test_advance(&rig, 10000);
    rig_send(&rig, fd, "cd", 2);
    RIG_UNTIL(&rig, rig_stats(&rig).held == 1);
    test_advance(&rig, held_ms[_i]);
    ck_assert_uint_eq(rig.closed, 0);
    rig_echo(rig_take(&rig, 0));
    rig_expect_text(&rig, fd, "a");
    RIG_UNTIL(&rig, rig_stats(&rig).bytes_in == 12);
    test_advance(&rig, 19999);
    ck_assert_uint_eq(rig.closed, 0);
    test_advance(&rig, 1);
    ck_assert_uint_eq(rig.closed, 1);
    ck_assert_int_eq(rig.last_end, CONN_END_FRAME);
    close(fd);
    rig_close(&rig);
}
END_TEST

/* A turn that comes far too late reads what has arrived before it looks at deadlines. */
START_TEST(test_long_turn)
{
    struct rig rig;
    rig_init(&rig);
    rig.echo = true;
    rig_open(&rig);
    int fd = rig_client(&rig);
    rig_send(&rig, fd, "\0\0\0\5he", 6);
    RIG_UNTIL(&rig, rig_stats(&rig).bytes_in == 6);
    rig_send(&rig, fd, "llo", 3);
    clock_fake_advance(&rig.clock, 1000000);
    rig_expect_text(&rig, fd, "hello");
    ck_assert_uint_eq(rig.closed, 0);
    close(fd);
    rig_close(&rig);
}
END_TEST

/* A peer that never reads its answer is idle in the end. */
START_TEST(test_never_reads)
{
    static char zeros[8 << 20];
    struct rig rig;
    rig_init(&rig);
    rig_open(&rig);
    int fd = rig_client(&rig);
    rig_send_text(&rig, fd, "big");
    RIG_UNTIL(&rig, rig.taken_count == 1);
    struct conn_piece piece = conn_piece_slice(slice_of(zeros, sizeof zeros), rig_release, &rig);
    conn_answer(rig_take(&rig, 0), &piece, 1);
    test_settle(&rig);
    ck_assert_uint_eq(rig.releases, 0);
    test_advance(&rig, 599999);
    ck_assert_uint_eq(rig.closed, 0);
    test_advance(&rig, 1);
    ck_assert_uint_eq(rig.closed, 1);
    ck_assert_uint_eq(rig.releases, 1);
    close(fd);
    rig_close(&rig);
}
END_TEST

/* Nothing is read while the user holds the connection; what was read before is still handed out,
 * answers leave, others go on, and nobody is idle for it. */
START_TEST(test_hold)
{
    struct rig rig;
    rig_init(&rig);
    rig.options.idle_timeout_ms = 1000;
    rig_open(&rig);
    int fd = rig_client(&rig), other = rig_client(&rig);
    rig_send_text(&rig, fd, "one");
    rig_send_text(&rig, fd, "two");
    RIG_UNTIL(&rig, rig.taken_count == 2);
    struct conn *held = rig.last_conn;
    int64_t over = rig.clock.mono_now_us / 1000 + 5000;
    conn_hold(held, 5000);
    conn_hold(held, 10); /* never shorter */
    ck_assert_int_le(conn_next_ms(rig.f), over);
    rig_send_text(&rig, fd, "three");
    rig_send_text(&rig, other, "else");
    RIG_UNTIL(&rig, rig.taken_count == 3);
    test_settle(&rig);
    ck_assert_uint_eq(rig.taken_count, 3);
    rig_answer_text(rig_take(&rig, 0), "first");
    rig_answer_text(rig_take(&rig, 0), "second");
    rig_expect_text(&rig, fd, "first");
    rig_expect_text(&rig, fd, "second");
    rig_answer_text(rig_take(&rig, 0), "other");
    rig_expect_text(&rig, other, "other");
    for (int i = 0; i < 4; i++) {
        test_advance(&rig, 999);
        rig_turn(&rig);
        ck_assert_uint_eq(rig.taken_count, 0);
        ck_assert_uint_eq(rig.closed, i < 1 ? 0 : 1); /* the other one was idle */
    }
    ck_assert_int_eq(conn_next_ms(rig.f), over);
    test_advance(&rig, 1004);
    RIG_UNTIL(&rig, rig.taken_count == 1);
    rig_answer_text(rig_take(&rig, 0), "third");
    rig_expect_text(&rig, fd, "third");
    conn_hold(held, 100); /* whoever is stopped meanwhile */
    rig_send_text(&rig, fd, "four");
    test_settle(&rig);
    ck_assert_uint_eq(rig.taken_count, 0);
    close(fd);
    close(other);
    rig_close(&rig);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conn_limits");
    TCase *tests = tcase_create("limits");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, test_frame_size, 0, 5);
    tcase_add_test(tests, test_log_rate);
    tcase_add_loop_test(tests, test_connections_max, 0, 2);
    tcase_add_test(tests, test_descriptors);
    tcase_add_test(tests, test_reserve_lost);
    tcase_add_test(tests, test_requests_max);
    tcase_add_loop_test(tests, test_in_flight_max, 0, 2);
    tcase_add_test(tests, test_frame_beyond_in_flight);
    tcase_add_test(tests, test_half_frames);
    tcase_add_test(tests, test_spares);
    tcase_add_test(tests, test_slow_reader);
    suite_add_tcase(suite, tests);
    TCase *times = tcase_create("time");
    tcase_set_timeout(times, 60);
    tcase_add_test(times, test_idle);
    tcase_add_test(times, test_hold);
    tcase_add_loop_test(times, test_slow_frame, 0, 2);
    tcase_add_test(times, test_large_slow_frame);
    tcase_add_loop_test(times, test_held_frame, 0, 2);
    tcase_add_test(times, test_long_turn);
    tcase_add_test(times, test_never_reads);
    suite_add_tcase(suite, times);
    return rig_main(suite);
}
