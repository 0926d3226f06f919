/* SPDX-License-Identifier: MIT
 *
 * test_server: requests at a real socket: what is answered, what is refused, and that a page comes
 * in pieces between which the owner's loop goes on.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http/http.h"
#include "test/unit/broker/rig.h"

struct server {
    struct rig rig;
    struct http *http;
    size_t turns;
    bool still; /* the broker gets no turns */
};

/* In front of a broker that is open. */
static void server_open(struct server *s, const char *address)
{
    char why[HTTP_WHY_SIZE] = "";
    struct http_options o = {.broker = s->rig.broker,
                             .clock = &s->rig.clock.clock,
                             .address = address,
                             .loopback_only = true,
                             .version = "1",
                             .partitions_max = 10000,
                             .why = why};
    int r = http_open(&o, &s->http);
    ck_assert_msg(r == 0, "%s", why);
    s->turns = 0;
    s->still = false;
}

static void server_init(struct server *s, const char *address)
{
    rig_init(&s->rig, 1, 0);
    rig_open(&s->rig);
    server_open(s, address);
}

static void server_deinit(struct server *s)
{
    s->http = http_close(s->http);
    rig_stop(&s->rig);
    rig_deinit(&s->rig);
}

static void server_turn(struct server *s)
{
    struct pollfd fd = {.fd = http_fd(s->http), .events = POLLIN};
    if (poll(&fd, 1, 1) == 1)
        http_wake(s->http);
    if (!s->still)
        rig_advance(&s->rig, 1);
    http_turn(s->http);
    s->turns++;
}

static int server_dial(struct server *s)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(http_port(s->http))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* Sends a request and turns until the other side ends; the answer with a NUL. */
static void server_ask(struct server *s, struct slice request, struct buf *out)
{
    char piece[65536];
    int fd = server_dial(s);
    ck_assert_int_eq(send(fd, request.p, request.size, MSG_NOSIGNAL), (ssize_t)request.size);
    buf_reset(out);
    for (int i = 0; i < 30000; i++) {
        ssize_t size = recv(fd, piece, sizeof piece, MSG_DONTWAIT);
        if (size == 0 || (size < 0 && errno == ECONNRESET))
            break;
        if (size > 0)
            buf_append(out, piece, (size_t)size);
        else
            server_turn(s);
    }
    buf_append_u8(out, 0);
    (void)close(fd);
}

static void status(struct server *s, const char *request, const char *want)
{
    struct buf b = {0};
    server_ask(s, slice_str(request), &b);
    ck_assert_msg(strncmp((const char *)b.p, want, strlen(want)) == 0, "%s: %s", request, b.p);
    buf_deinit(&b);
}

#define END "Connection: close\r\n\r\n"

START_TEST(routes)
{
    struct server s;
    server_init(&s, "127.0.0.1:0");
    status(&s, "GET / HTTP/1.1\r\nHost: localhost\r\n" END, "HTTP/1.1 200 ");
    status(&s, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n" END, "HTTP/1.1 200 ");
    status(&s, "GET /readyz HTTP/1.1\r\nHost: [::1]:80\r\n" END, "HTTP/1.1 200 ");
    status(&s, "GET /state?topics_after=x HTTP/1.1\r\nHost: 127.0.0.1\r\n" END, "HTTP/1.1 200 ");
    status(&s, "HEAD /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n" END, "HTTP/1.1 200 ");
    status(&s, "GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n" END, "HTTP/1.1 404 ");
    status(&s, "GET /metrics/ HTTP/1.1\r\nHost: 127.0.0.1\r\n" END, "HTTP/1.1 404 ");
    status(&s, "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n" END, "HTTP/1.1 403 ");
    status(&s, "GET /metrics HTTP/1.0\r\n\r\n", "HTTP/1.1 403 ");
    status(&s, "GET /metrics HTTP/1.1\r\n" END, "HTTP/1.1 400 ");
    status(&s, "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
           "HTTP/1.1 405 ");
    status(&s, "DELETE / HTTP/1.1\r\nHost: localhost\r\n" END, "HTTP/1.1 405 ");
    status(&s, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n" END, "HTTP/1.1 405 ");
    status(&s, "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n" END "abc", "");
    server_deinit(&s);
}
END_TEST

#define READY "GET /readyz HTTP/1.1\r\nHost: localhost\r\n" END

static void not_ready(struct server *s, const char *why)
{
    struct buf b = {0};
    server_ask(s, slice_str(READY), &b);
    ck_assert_msg(strncmp((const char *)b.p, "HTTP/1.1 503 ", 13) == 0, "%s", b.p);
    ck_assert_msg(strstr((const char *)b.p, why) != NULL, "%s", b.p);
    buf_deinit(&b);
}

/* Ready only once groups and partitions are read; not any more when it stops. */
START_TEST(readiness)
{
    struct server s;
    rig_init(&s.rig, 1, 0);
    rig_open(&s.rig);
    rig_create(&s.rig, "t", 3, NULL);
    rig_put_tag(&s.rig, "t", 1);
    rig_stop(&s.rig);
    ck_assert_int_eq(rig_try_open(&s.rig), 0);
    server_open(&s, "127.0.0.1:0");
    s.still = true;
    not_ready(&s, "groups are being read");
    rig_run(&s.rig);
    s.still = false;
    status(&s, READY, "HTTP/1.1 200 ");
    broker_stop(s.rig.broker);
    not_ready(&s, "stopping");
    status(&s, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n" END, "HTTP/1.1 503 ");
    status(&s, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n" END, "HTTP/1.1 503 ");
    server_deinit(&s);
}
END_TEST

START_TEST(full_disk)
{
    struct server s;
    rig_init(&s.rig, 1, 4 << 20);
    rig_set(&s.rig, "disk.reserve.bytes", "0");
    rig_open(&s.rig);
    rig_create(&s.rig, "t", 1, "segment.bytes=1M");
    server_open(&s, "127.0.0.1:0");
    status(&s, READY, "HTTP/1.1 200 ");
    enum broker_status put = BROKER_OK;
    for (int i = 0; i < 100 && put == BROKER_OK; i++)
        put = rig_put(&s.rig, "t", 0, &(struct rig_batch){.value_size = 100000}, NULL);
    ck_assert_int_eq(put, BROKER_DISK_FULL);
    s.still = true; /* space is looked at in a turn, and there may be some after the round */
    not_ready(&s, "disk full");
    status(&s, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n" END, "HTTP/1.1 200 ");
    server_deinit(&s);
}
END_TEST

START_TEST(long_requests)
{
    struct server s;
    struct buf b = {0};
    server_init(&s, "127.0.0.1:0");
    buf_printf(&b, "GET /");
    for (size_t i = 0; i < 3000; i++)
        buf_append_u8(&b, 'a');
    buf_printf(&b, " HTTP/1.1\r\nHost: localhost\r\n" END);
    buf_append_u8(&b, 0);
    status(&s, (const char *)b.p, "HTTP/1.1 414 ");
    buf_reset(&b);
    buf_printf(&b, "GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
    for (size_t i = 0; i < 2 * HTTP_REQUEST_SIZE; i++)
        buf_append_u8(&b, 'a');
    buf_printf(&b, "\r\n" END);
    buf_append_u8(&b, 0);
    status(&s, (const char *)b.p, "HTTP/1.1 4");
    buf_deinit(&b);
    server_deinit(&s);
}
END_TEST

/* The whole page, chunk by chunk over many turns. */
START_TEST(in_pieces)
{
    struct server s;
    struct buf b = {0};
    server_init(&s, "127.0.0.1:0");
    rig_create(&s.rig, "t", 5000, NULL);
    s.turns = 0;
    server_ask(&s, slice_str("GET /metrics HTTP/1.1\r\nHost: localhost\r\n" END), &b);
    ck_assert_uint_gt(b.size, 2000000);
    ck_assert_uint_gt(s.turns, 50);
    const char *last = "\r\n0\r\n\r\n";
    ck_assert_str_eq((const char *)b.p + b.size - 1 - strlen(last), last);
    buf_deinit(&b);
    server_deinit(&s);
}
END_TEST

START_TEST(two_on_one_connection)
{
    struct server s;
    char answer[4096];
    size_t have = 0;
    const char *ask = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    server_init(&s, "127.0.0.1:0");
    int fd = server_dial(&s);
    for (int n = 0; n < 2; n++) {
        ck_assert_int_gt(send(fd, ask, strlen(ask), MSG_NOSIGNAL), 0);
        have = 0;
        for (int i = 0; i < 5000 && (have < 4 || memcmp(answer + have - 4, "\nok\n", 4) != 0);
             i++) {
            server_turn(&s);
            ssize_t size = recv(fd, answer + have, sizeof answer - have, MSG_DONTWAIT);
            have += size > 0 ? (size_t)size : 0;
        }
        ck_assert_uint_gt(have, 4);
        ck_assert_mem_eq(answer + have - 4, "\nok\n", 4);
    }
    (void)close(fd);
    server_deinit(&s);
}
END_TEST

START_TEST(addresses)
{
    struct server s;
    char why[HTTP_WHY_SIZE], taken[64];
    struct http *other = NULL;
    server_init(&s, "127.0.0.1:0");
    struct http_options o = {.broker = s.rig.broker,
                             .clock = &s.rig.clock.clock,
                             .loopback_only = true,
                             .version = "1",
                             .why = why};
    (void)snprintf(taken, sizeof taken, "127.0.0.1:%u", http_port(s.http));
    o.address = taken;
    ck_assert_int_eq(http_open(&o, &other), HTTP_IN_USE);
    ck_assert_ptr_nonnull(strstr(why, "in use"));
    o.address = "0.0.0.0:0";
    ck_assert_int_eq(http_open(&o, &other), HTTP_NOT_LOOPBACK);
    o.address = "nonsense";
    ck_assert_int_eq(http_open(&o, &other), HTTP_BAD_ADDRESS);
    server_deinit(&s);
}
END_TEST

/* Who says nothing, or drips, holds no place for ever. */
START_TEST(slow_ones_go)
{
    struct server s;
    int fds[HTTP_CONNECTIONS_MAX];
    char c;
    server_init(&s, "127.0.0.1:0");
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++)
        fds[i] = server_dial(&s);
    for (int i = 0; i < 100; i++)
        server_turn(&s);
    for (int i = 0; i < 70; i++) { /* a byte a second */
        for (size_t k = 0; k < HTTP_CONNECTIONS_MAX; k++)
            (void)send(fds[k], "G", 1, MSG_NOSIGNAL);
        rig_advance(&s.rig, 1000);
        for (int k = 0; k < 3; k++)
            server_turn(&s);
    }
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
        ssize_t size = recv(fds[i], &c, 1, MSG_DONTWAIT);
        ck_assert(size == 0 || (size < 0 && errno == ECONNRESET));
        (void)close(fds[i]);
    }
    status(&s, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n" END, "HTTP/1.1 200 ");
    server_deinit(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("server");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, routes);
    tcase_add_test(c, readiness);
    tcase_add_test(c, full_disk);
    tcase_add_test(c, long_requests);
    tcase_add_test(c, in_pieces);
    tcase_add_test(c, two_on_one_connection);
    tcase_add_test(c, addresses);
    tcase_add_test(c, slow_ones_go);
    suite_add_tcase(s, c);
    return rig_main(s);
}
