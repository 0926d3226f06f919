/* SPDX-License-Identifier: MIT
 *
 * ways: see ways.h. The plain servers count bytes instead of frames: `answer` bytes go out for each
 * `request` bytes that came in.
 */
#include "bench/ways.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "bench/bench.h"
#include "engine/base/clock.h"

#define WAYS_CONNS_MAX 64
#define WAYS_BUFFER    (64 * 1024)

struct ways_conn {
    struct ways *way;
    int fd;
    size_t in; /* bytes towards the next answer */
    uv_poll_t poll;
    uv_tcp_t tcp;
};

struct ways {
    struct ways_options options;
    pthread_t thread;
    clockid_t cpu;
    int listener;
    int wake[2]; /* a byte: stop */
    uint16_t port;
    int file; /* of `answer` bytes, mapped at `map` */
    uint8_t *map;
    uint8_t *out; /* answers, one behind the other */
    size_t out_size;
    uint8_t buffer[WAYS_BUFFER];
    struct ways_conn conns[WAYS_CONNS_MAX];
    size_t conn_count;
    struct conn_front *front;
    struct conn_stats stats;
    uv_loop_t loop;
    uv_poll_t polls[2];
    uv_check_t check;
    atomic_bool stopped;
};

static void ways_must(bool fine, const char *what)
{
    if (!fine)
        bench_die(what, strerror(errno));
}

/* --- the front --- */

static void ways_release(void *ctx)
{
    (void)ctx;
}

static void ways_frame(void *ctx, struct conn *c, struct conn_request *r)
{
    struct ways *w = ctx;
    size_t size = w->options.answer - 4;
    struct conn_piece piece;
    (void)c;
    switch (w->options.answer_from) {
    case WAYS_OWNED:
        piece = conn_piece_bytes(slice_of(w->out + 4, size));
        if (size <= 1024) { /* as a front does that encodes */
            uint8_t *p = arena_alloc(&r->arena, size);
            memcpy(p, w->out + 4, size);
            piece.p = p;
        }
        break;
    case WAYS_MAPPED:
        piece = conn_piece_slice(slice_of(w->map, size), ways_release, NULL);
        break;
    case WAYS_FILE:
        piece = conn_piece_file((struct conn_range){w->file, 0, size}, NULL, NULL);
        break;
    }
    conn_answer(r, &piece, 1);
}

static void ways_front_turn(struct ways *w)
{
    bench_check("conn_turn", conn_turn(w->front));
    conn_flush(w->front);
}

static void ways_front_open(struct ways *w)
{
    char why[CONN_WHY_SIZE] = "";
    struct conn_options o = {
        .clock = clock_real(), .frame = ways_frame, .ctx = w, .connections_max = 100000};
    bench_check("conn_open", conn_open(&o, &w->front));
    if (conn_listen(w->front, "127.0.0.1:0", 0, why) != 0)
        bench_die("conn_listen", why);
    w->port = conn_listen_port(w->front, 0);
}

static void ways_front_run(struct ways *w)
{
    struct pollfd p[2] = {{conn_fd(w->front), POLLIN, 0}, {w->wake[0], POLLIN, 0}};
    while ((p[1].revents & POLLIN) == 0) {
        int64_t next = conn_next_ms(w->front);
        (void)poll(p, 2, next == 0 ? 0 : 1000);
        ways_front_turn(w);
    }
}

/* --- libuv --- */

static void ways_uv_nothing(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)status;
    (void)events;
}

static void ways_uv_stop(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    uv_stop(poll->loop);
}

static void ways_uv_check(uv_check_t *check)
{
    ways_front_turn(check->data);
}

static size_t ways_due(struct ways_conn *c, size_t n)
{
    size_t count = (c->in + n) / c->way->options.request;
    c->in = (c->in + n) % c->way->options.request;
    return count * c->way->options.answer;
}

static void ways_send(const struct ways *w, int fd, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, w->out, size < w->out_size ? size : w->out_size, MSG_NOSIGNAL);
        ways_must(n > 0 || errno == EAGAIN, "send");
        size -= n > 0 ? (size_t)n : 0;
    }
}

static void ways_uv_readable(uv_poll_t *poll, int status, int events)
{
    struct ways_conn *c = poll->data;
    struct ways *w = c->way;
    (void)status;
    (void)events;
    ssize_t n = recv(c->fd, w->buffer, sizeof w->buffer, 0);
    if (n > 0)
        ways_send(w, c->fd, ways_due(c, (size_t)n));
    else if (n == 0 || errno != EAGAIN)
        (void)uv_poll_stop(poll);
}

static void ways_uv_alloc(uv_handle_t *handle, size_t size, uv_buf_t *out)
{
    struct ways_conn *c = handle->data;
    (void)size;
    *out = uv_buf_init((char *)c->way->buffer, sizeof c->way->buffer);
}

static void ways_uv_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct ways_conn *c = stream->data;
    (void)buf;
    size_t due = n > 0 ? ways_due(c, (size_t)n) : 0;
    if (n < 0)
        (void)uv_read_stop(stream);
    while (due > 0) {
        unsigned size = (unsigned)(due < c->way->out_size ? due : c->way->out_size);
        uv_buf_t out = uv_buf_init((char *)c->way->out, size);
        int sent = uv_try_write(stream, &out, 1);
        ways_must(sent > 0 || sent == UV_EAGAIN, "uv_try_write");
        due -= sent > 0 ? (size_t)sent : 0;
    }
}

static struct ways_conn *ways_accept(struct ways *w)
{
    int one = 1;
    int fd = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return NULL;
    ways_must(w->conn_count < WAYS_CONNS_MAX, "too many connections");
    ways_must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0, "setsockopt");
    struct ways_conn *c = &w->conns[w->conn_count++];
    c->way = w;
    c->fd = fd;
    return c;
}

static void ways_uv_accept(uv_poll_t *poll, int status, int events)
{
    struct ways *w = poll->data;
    struct ways_conn *c = ways_accept(w);
    (void)status;
    (void)events;
    if (c == NULL)
        return;
    c->poll.data = c->tcp.data = c;
    if (w->options.server == WAYS_UV_POLL) {
        bench_check("uv_poll_init", uv_poll_init(&w->loop, &c->poll, c->fd));
        bench_check("uv_poll_start", uv_poll_start(&c->poll, UV_READABLE, ways_uv_readable));
        return;
    }
    bench_check("uv_tcp_init", uv_tcp_init(&w->loop, &c->tcp));
    bench_check("uv_tcp_open", uv_tcp_open(&c->tcp, c->fd));
    bench_check("uv_read_start",
                uv_read_start((uv_stream_t *)&c->tcp, ways_uv_alloc, ways_uv_read));
}

static void ways_uv_close(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    uv_close(handle, NULL);
}

static void ways_uv_run(struct ways *w)
{
    bool front = w->options.server == WAYS_FRONT_UV;
    bench_check("uv_loop_init", uv_loop_init(&w->loop));
    int fd = front ? conn_fd(w->front) : w->listener;
    bench_check("uv_poll_init", uv_poll_init(&w->loop, &w->polls[0], fd));
    bench_check("uv_poll_init", uv_poll_init(&w->loop, &w->polls[1], w->wake[0]));
    w->polls[0].data = w->check.data = w;
    bench_check("uv_poll_start",
                uv_poll_start(&w->polls[0], UV_READABLE, front ? ways_uv_nothing : ways_uv_accept));
    bench_check("uv_poll_start", uv_poll_start(&w->polls[1], UV_READABLE, ways_uv_stop));
    bench_check("uv_check_init", uv_check_init(&w->loop, &w->check));
    w->check.data = w;
    if (front)
        bench_check("uv_check_start", uv_check_start(&w->check, ways_uv_check));
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    uv_walk(&w->loop, ways_uv_close, NULL);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    bench_check("uv_loop_close", uv_loop_close(&w->loop));
}

/* --- raw --- */

static void ways_raw_send(const struct ways *w, int fd, size_t size)
{
    if (w->options.answer_from != WAYS_FILE) {
        ways_send(w, fd, size);
        return;
    }
    off_t pos = 0;
    while (size > 0) {
        pos = (size_t)pos >= w->options.answer ? 0 : pos;
        size_t left = w->options.answer - (size_t)pos;
        ssize_t n = sendfile(fd, w->file, &pos, size < left ? size : left);
        ways_must(n > 0 || errno == EAGAIN, "sendfile");
        size -= n > 0 ? (size_t)n : 0;
    }
}

static void ways_raw_run(struct ways *w)
{
    struct pollfd p[WAYS_CONNS_MAX + 2] = {{w->wake[0], POLLIN, 0}, {w->listener, POLLIN, 0}};
    while ((p[0].revents & POLLIN) == 0) {
        (void)poll(p, w->conn_count + 2, 1000);
        for (size_t i = 0; i < w->conn_count; i++) {
            if ((p[i + 2].revents & (POLLIN | POLLHUP | POLLERR)) == 0)
                continue;
            ssize_t n = recv(w->conns[i].fd, w->buffer, sizeof w->buffer, 0);
            if (n > 0)
                ways_raw_send(w, w->conns[i].fd, ways_due(&w->conns[i], (size_t)n));
            else
                p[i + 2].fd = -1; /* ended: poll leaves it out */
        }
        if ((p[1].revents & POLLIN) != 0 && ways_accept(w) != NULL) {
            struct pollfd *last = &p[w->conn_count + 1];
            *last = (struct pollfd){w->conns[w->conn_count - 1].fd, POLLIN, 0};
        }
    }
}

/* --- life --- */

static void *ways_main(void *arg)
{
    struct ways *w = arg;
    switch (w->options.server) {
    case WAYS_FRONT:
        ways_front_run(w);
        break;
    case WAYS_RAW:
        ways_raw_run(w);
        break;
    case WAYS_FRONT_UV:
    case WAYS_UV_POLL:
    case WAYS_UV_TCP:
        ways_uv_run(w);
        break;
    }
    return NULL;
}

static void ways_listen(struct ways *w)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t size = sizeof a;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    w->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ways_must(w->listener >= 0, "socket");
    ways_must(bind(w->listener, (struct sockaddr *)&a, sizeof a) == 0, "bind");
    ways_must(listen(w->listener, 128) == 0, "listen");
    ways_must(getsockname(w->listener, (struct sockaddr *)&a, &size) == 0, "getsockname");
    w->port = ntohs(a.sin_port);
}

static void ways_make_answers(struct ways *w)
{
    size_t size = w->options.answer;
    size_t count = size < WAYS_BUFFER ? WAYS_BUFFER / size : 1;
    w->out_size = count * size;
    w->out = assert_memory(calloc(count, size), w->out_size);
    for (size_t i = 0; i < count; i++)
        bytes_put_be32(w->out + i * size, (uint32_t)(size - 4));
    w->file = memfd_create("answer", MFD_CLOEXEC);
    ways_must(w->file >= 0 && write(w->file, w->out, size) == (ssize_t)size, "memfd");
    w->map = mmap(NULL, size, PROT_READ, MAP_SHARED, w->file, 0);
    ways_must(w->map != MAP_FAILED, "mmap");
}

struct ways *ways_start(const struct ways_options *o)
{
    struct ways *w = assert_memory(calloc(1, sizeof *w), sizeof *w);
    w->options = *o;
    w->listener = -1;
    (void)signal(SIGPIPE, SIG_IGN);
    ways_make_answers(w);
    ways_must(pipe(w->wake) == 0, "pipe");
    if (o->server == WAYS_FRONT || o->server == WAYS_FRONT_UV)
        ways_front_open(w);
    else
        ways_listen(w);
    bench_check("thread", -pthread_create(&w->thread, NULL, ways_main, w));
    bench_check("clock", -pthread_getcpuclockid(w->thread, &w->cpu));
    return w;
}

uint16_t ways_port(const struct ways *w)
{
    return w->port;
}

int64_t ways_cpu_ns(const struct ways *w)
{
    struct timespec t;
    ways_must(clock_gettime(w->cpu, &t) == 0, "clock_gettime");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void ways_stats(const struct ways *w, struct conn_stats *out)
{
    *out = w->stats;
}

void ways_stop(struct ways *w)
{
    ways_must(write(w->wake[1], "", 1) == 1, "write");
    bench_check("join", -pthread_join(w->thread, NULL));
    if (w->front != NULL)
        conn_stats(w->front, &w->stats);
    w->front = conn_close(w->front);
    for (size_t i = 0; i < w->conn_count; i++)
        if (w->options.server != WAYS_UV_TCP) /* closed with its handle */
            (void)close(w->conns[i].fd);
}

void ways_free(struct ways *w)
{
    (void)munmap(w->map, w->options.answer);
    (void)close(w->file);
    (void)close(w->wake[0]);
    (void)close(w->wake[1]);
    if (w->listener >= 0)
        (void)close(w->listener);
    free(w->out);
    free(w);
}
