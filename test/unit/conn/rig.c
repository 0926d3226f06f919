/* SPDX-License-Identifier: MIT
 *
 * rig: see rig.h.
 */
#include "rig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

/* --- the user --- */

static void rig_frame(void *ctx, struct conn *c, struct conn_request *r)
{
    struct rig *rig = ctx;
    ck_assert_ptr_eq(r->conn, c);
    rig->last_conn = c;
    if (rig->on_frame != NULL) {
        rig->on_frame(rig, r);
        return;
    }
    if (rig->echo) {
        rig_echo(r);
        return;
    }
    if (rig->taken_count == rig->taken_cap) {
        rig->taken_cap = rig->taken_cap == 0 ? 64 : rig->taken_cap * 2;
        rig->taken = realloc(rig->taken, rig->taken_cap * sizeof(struct conn_request *));
        ck_assert_ptr_nonnull(rig->taken);
    }
    rig->taken[rig->taken_count++] = r;
}

static void rig_gone(void *ctx, struct conn_request *r)
{
    struct rig *rig = ctx;
    ck_assert(r->gone && r->conn == NULL);
    rig->gone++;
    for (size_t i = 0; rig->answer_gone && i < rig->taken_count; i++) {
        if (rig->taken[i] != r)
            continue;
        (void)rig_take(rig, i);
        rig_answer_text(r, "too late");
        return;
    }
}

static void rig_opened(void *ctx, struct conn *c)
{
    struct rig *rig = ctx;
    rig->opened++;
    conn_set_user(c, rig);
}

static void rig_closed(void *ctx, struct conn *c, enum conn_end end)
{
    struct rig *rig = ctx;
    ck_assert_ptr_eq(conn_user(c), rig);
    rig->closed++;
    rig->last_end = end;
}

static void rig_log(void *ctx, int level, const char *line)
{
    struct rig *rig = ctx;
    ck_assert_int_eq(level, 1);
    snprintf(rig->line, sizeof rig->line, "%s", line);
    rig->lines++;
}

struct conn_request *rig_take(struct rig *rig, size_t index)
{
    ck_assert_uint_lt(index, rig->taken_count);
    struct conn_request *r = rig->taken[index];
    memmove(rig->taken + index, rig->taken + index + 1,
            (rig->taken_count - index - 1) * sizeof(struct conn_request *));
    rig->taken_count--;
    return r;
}

void rig_echo(struct conn_request *r)
{
    struct conn_piece piece = conn_piece_bytes(r->body);
    conn_answer(r, &piece, 1);
}

void rig_answer_text(struct conn_request *r, const char *text)
{
    struct slice copy = arena_copy(&r->arena, slice_str(text));
    struct conn_piece piece = conn_piece_bytes(copy);
    conn_answer(r, &piece, 1);
}

void rig_release(void *ctx)
{
    struct rig *rig = ctx;
    rig->releases++;
}

/* --- life --- */

void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof *rig);
    (void)signal(SIGPIPE, SIG_IGN);
    clock_fake_init(&rig->clock, 1000000);
    rig->options = (struct conn_options){.clock = &rig->clock.clock,
                                         .frame = rig_frame,
                                         .gone = rig_gone,
                                         .opened = rig_opened,
                                         .closed = rig_closed,
                                         .log = rig_log,
                                         .ctx = rig,
                                         .seed = 7};
}

void rig_open(struct rig *rig)
{
    char why[CONN_WHY_SIZE] = "";
    ck_assert_int_eq(conn_open(&rig->options, &rig->f), 0);
    int r = conn_listen(rig->f, "127.0.0.1:0", 5, why);
    ck_assert_msg(r == 0, "listen: %d %s", r, why);
    rig->port = conn_listen_port(rig->f, 0);
    ck_assert_uint_ne(rig->port, 0);
}

void rig_close(struct rig *rig)
{
    while (rig->taken_count > 0)
        conn_answer(rig_take(rig, rig->taken_count - 1), NULL, 0);
    conn_check(rig->f);
    conn_flush(rig->f);
    rig->f = conn_close(rig->f);
    ck_assert_uint_eq(rig->opened, rig->closed);
    free(rig->taken);
    rig->taken = NULL;
}

void rig_turn(struct rig *rig)
{
    ck_assert_int_eq(conn_turn(rig->f), 0);
    conn_check(rig->f);
    conn_flush(rig->f);
    conn_check(rig->f);
}

void rig_wait(struct rig *rig)
{
    struct pollfd p = {.fd = conn_fd(rig->f), .events = POLLIN};
    int64_t now = rig->clock.clock.mono_ms(&rig->clock.clock);
    (void)poll(&p, 1, conn_next_ms(rig->f) <= now ? 0 : 1);
    rig_turn(rig);
}

int64_t rig_real_ms(void)
{
    return clock_real()->mono_ms(clock_real());
}

struct conn_stats rig_stats(const struct rig *rig)
{
    struct conn_stats stats;
    conn_stats(rig->f, &stats);
    return stats;
}

/* --- clients --- */

int rig_client(struct rig *rig)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(rig->port)};
    size_t before = rig->opened;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
    RIG_UNTIL(rig, rig->opened > before);
    return fd;
}

void rig_send(struct rig *rig, int fd, const void *p, size_t size)
{
    size_t sent = 0;
    int64_t end = rig_real_ms() + RIG_WAIT_MS;
    while (sent < size) {
        ssize_t n = send(fd, (const char *)p + sent, size - sent, MSG_NOSIGNAL);
        ck_assert_msg(n >= 0 || errno == EAGAIN, "send: %s", strerror(errno));
        ck_assert(rig_real_ms() < end);
        if (n > 0)
            sent += (size_t)n;
        else
            rig_wait(rig);
    }
}

void rig_send_frame(struct rig *rig, int fd, const void *p, size_t size)
{
    uint8_t head[4];
    bytes_put_be32(head, (uint32_t)size);
    rig_send(rig, fd, head, sizeof head);
    rig_send(rig, fd, p, size);
}

void rig_send_text(struct rig *rig, int fd, const char *text)
{
    rig_send_frame(rig, fd, text, strlen(text));
}

void rig_read(struct rig *rig, int fd, void *p, size_t size)
{
    size_t have = 0;
    int64_t end = rig_real_ms() + RIG_WAIT_MS;
    while (have < size) {
        ssize_t n = recv(fd, (char *)p + have, size - have, 0);
        ck_assert_msg(n > 0 || (n < 0 && errno == EAGAIN), "recv: %zd %s", n, strerror(errno));
        ck_assert(rig_real_ms() < end);
        if (n > 0)
            have += (size_t)n;
        else
            rig_wait(rig);
    }
}

void rig_read_frame(struct rig *rig, int fd, struct buf *out)
{
    uint8_t head[4];
    buf_reset(out);
    rig_read(rig, fd, head, sizeof head);
    size_t size = bytes_be32(head);
    ck_assert_uint_le(size, INT32_MAX);
    buf_reserve(out, size + 1);
    rig_read(rig, fd, out->p, size);
    out->size = size;
}

void rig_expect_text(struct rig *rig, int fd, const char *text)
{
    struct buf b = {0};
    rig_read_frame(rig, fd, &b);
    ck_assert_msg(slice_equal(buf_slice(&b), slice_str(text)), "wanted '%s', got '%.*s'", text,
                  (int)b.size, (char *)b.p);
    buf_deinit(&b);
}

void rig_expect_end(struct rig *rig, int fd)
{
    char byte;
    ssize_t n = -1;
    RIG_UNTIL(rig, (n = recv(fd, &byte, 1, 0)) >= 0 || errno != EAGAIN);
    ck_assert_msg(n == 0 || (n < 0 && errno == ECONNRESET), "recv: %zd %s", n, strerror(errno));
}

void rig_reset(int fd)
{
    struct linger linger = {1, 0};
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    close(fd);
}

int rig_main(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
