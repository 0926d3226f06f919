/* SPDX-License-Identifier: MIT
 *
 * links: see links.h.
 */
#include "bench/links.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"
#include "engine/base/assert.h"

#define LINKS_READ      (64u << 10)
#define LINKS_EVENTS    64
#define LINKS_TAGS      16 /* at first */
#define LINKS_SILENT_NS 60000000000

struct links_one {
    int fd;
    struct buf out, in;
    size_t out_pos;
    void **tags; /* ring */
    size_t tags_head, tags_count, tags_cap;
};

struct links {
    struct links_options options;
    struct links_one *v;
    int epoll;
    size_t waiting;
    uint64_t answers;
};

static int links_connect(int64_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        bench_die("connect", strerror(errno));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

struct links *links_open(const struct links_options *o)
{
    struct links *l = assert_memory(calloc(1, sizeof *l), sizeof *l);
    l->options = *o;
    l->v = assert_memory(calloc(o->count, sizeof *l->v), o->count);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0)
        bench_die("epoll", strerror(errno));
    for (size_t i = 0; i < o->count; i++) {
        struct links_one *one = &l->v[i];
        struct epoll_event want = {.events = EPOLLIN, .data.ptr = one};
        one->fd = links_connect(o->port);
        one->tags_cap = LINKS_TAGS;
        one->tags = assert_memory(calloc(LINKS_TAGS, sizeof *one->tags), LINKS_TAGS);
        if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, one->fd, &want) != 0)
            bench_die("epoll", strerror(errno));
    }
    return l;
}

struct links *links_close(struct links *l)
{
    for (size_t i = 0; i < l->options.count; i++) {
        (void)close(l->v[i].fd);
        free(l->v[i].tags);
        buf_deinit(&l->v[i].in);
        buf_deinit(&l->v[i].out);
    }
    (void)close(l->epoll);
    free(l->v);
    free(l);
    return NULL;
}

static void links_push(struct links_one *one, void *tag)
{
    if (one->tags_count == one->tags_cap) {
        size_t cap = one->tags_cap * 2;
        void **tags = assert_memory(calloc(cap, sizeof *tags), cap);
        for (size_t i = 0; i < one->tags_count; i++)
            tags[i] = one->tags[(one->tags_head + i) % one->tags_cap];
        free(one->tags);
        one->tags = tags;
        one->tags_head = 0;
        one->tags_cap = cap;
    }
    one->tags[(one->tags_head + one->tags_count++) % one->tags_cap] = tag;
}

static void *links_pop(struct links_one *one)
{
    if (one->tags_count == 0)
        bench_die("receive", "an answer that nobody asked for");
    void *tag = one->tags[one->tags_head];
    one->tags_head = (one->tags_head + 1) % one->tags_cap;
    one->tags_count--;
    return tag;
}

struct buf *links_out(struct links *l, size_t link, void *tag)
{
    ASSERT(link < l->options.count);
    links_push(&l->v[link], tag);
    l->waiting++;
    return &l->v[link].out;
}

/* What the socket does not take waits for the next turn. */
static void links_send(struct links_one *one)
{
    size_t left = one->out.size - one->out_pos;
    ssize_t n = send(one->fd, one->out.p + one->out_pos, left, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN)
        bench_die("send", strerror(errno));
    one->out_pos += n > 0 ? (size_t)n : 0;
    if (one->out_pos < one->out.size)
        return;
    buf_reset(&one->out);
    one->out_pos = 0;
}

static void links_frames(struct links *l, struct links_one *one)
{
    size_t pos = 0;
    while (one->in.size - pos >= 4) {
        size_t size = 4 + (size_t)bytes_be32(one->in.p + pos);
        if (one->in.size - pos < size)
            break;
        void *tag = links_pop(one);
        l->waiting--;
        l->answers++;
        l->options.answer(l->options.ctx, tag, slice_of(one->in.p + pos, size));
        pos += size;
    }
    one->in.size -= pos;
    memmove(one->in.p, one->in.p + pos, one->in.size);
}

static void links_receive(struct links *l, struct links_one *one)
{
    buf_reserve(&one->in, LINKS_READ);
    ssize_t n = recv(one->fd, one->in.p + one->in.size, LINKS_READ, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        bench_die("receive", n == 0 ? "the broker hung up" : strerror(errno));
    one->in.size += n > 0 ? (size_t)n : 0;
    links_frames(l, one);
}

void links_turn(struct links *l, int64_t timeout_ns)
{
    struct epoll_event events[LINKS_EVENTS];
    for (size_t i = 0; i < l->options.count; i++) {
        if (l->v[i].out.size == 0)
            continue;
        links_send(&l->v[i]);
        if (l->v[i].out.size > 0)
            timeout_ns = 0;
    }
    struct timespec t = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    int n = epoll_pwait2(l->epoll, events, LINKS_EVENTS, &t, NULL);
    if (n < 0 && errno != EINTR)
        bench_die("epoll", strerror(errno));
    for (int i = 0; i < n; i++)
        links_receive(l, events[i].data.ptr);
}

void links_settle(struct links *l)
{
    int64_t since = bench_now_ns();
    for (uint64_t before = l->answers; l->waiting > 0; before = l->answers) {
        links_turn(l, 100000000);
        if (l->answers != before)
            since = bench_now_ns();
        else if (bench_now_ns() - since > LINKS_SILENT_NS)
            bench_die("receive", "no answer within a minute");
    }
}

size_t links_waiting(const struct links *l)
{
    return l->waiting;
}
