/* SPDX-License-Identifier: MIT
 *
 * conn_listen: listening sockets, and what comes in through them.
 *
 * What an accepted socket inherits (no delay, keep-alive, buffer size) is set on the listening one,
 * so that a connection costs accept4 and epoll_ctl and nothing else.
 *
 * Out of descriptors: the reserve is closed, which makes room to accept and close one connection,
 * and opened again. When not even that can be had, accepting rests for CONN_RETRY_MS.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "net/conn/conn_priv.h"

#define CONN_BACKLOG 1024

/* --- listening --- */

static int conn_listen_set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0 ? 0 : -errno;
}

static bool conn_listen_is_any(const struct conn_sockaddr *a)
{
    static const uint8_t zero[CONN_ADDRESS_BYTES];
    uint8_t bytes[CONN_ADDRESS_BYTES];
    conn_address_bytes(a, bytes);
    return memcmp(bytes, zero, sizeof zero) == 0;
}

static int conn_listen_configure(const struct conn_front *f, int fd, const struct conn_sockaddr *a)
{
    int r = conn_listen_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    r = r == 0 ? conn_listen_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1) : r;
    r = r == 0 ? conn_listen_set(fd, IPPROTO_TCP, TCP_NODELAY, 1) : r;
    if (r == 0 && a->storage.ss_family == AF_INET6)
        r = conn_listen_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, conn_listen_is_any(a) ? 0 : 1);
    if (r == 0 && f->options.send_buffer_size > 0)
        r = conn_listen_set(fd, SOL_SOCKET, SO_SNDBUF, f->options.send_buffer_size);
    return r;
}

static int conn_listen_bind(int fd, struct conn_sockaddr *a)
{
    if (bind(fd, (const struct sockaddr *)&a->storage, a->size) != 0)
        return -errno;
    if (listen(fd, CONN_BACKLOG) != 0)
        return -errno;
    a->size = sizeof a->storage;
    return getsockname(fd, (struct sockaddr *)&a->storage, &a->size) == 0 ? 0 : -errno;
}

/* One socket. On success *a has its real port. */
static int conn_listen_one(struct conn_front *f, struct conn_sockaddr *a, unsigned tag)
{
    int fd CLEANUP(cleanup_fd) =
        socket(a->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int r = conn_listen_configure(f, fd, a);
    r = r == 0 ? conn_listen_bind(fd, a) : r;
    if (r != 0)
        return r;
    struct conn_listener *l = &f->listeners[f->listener_count];
    *l = (struct conn_listener){
        .source = {.fd = fd, .listens = true}, .tag = tag, .port = conn_address_port(a)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = &l->source};
    if (epoll_ctl(f->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        return -errno;
    f->listener_count++;
    fd = -1;
    return 0;
}

/* Closes listeners until `count` are left. */
static void conn_listen_shrink(struct conn_front *f, size_t count)
{
    ASSERT(count <= f->listener_count);
    while (f->listener_count > count)
        (void)close(f->listeners[--f->listener_count].source.fd);
}

static int conn_listen_failed(struct conn_sockaddr *a, const char *address, int r, char *why)
{
    if (r != -EADDRINUSE) {
        conn_address_why(why, "cannot listen at '%s': %s", address, error_text(r));
        return r;
    }
    conn_address_in_use(a, address, why);
    return CONN_IN_USE;
}

/* A family that this machine lacks is no failure while another address of the name works. */
static bool conn_listen_absent(int r)
{
    return r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL;
}

int conn_listen(struct conn_front *f, const char *address, unsigned tag, char *why)
{
    struct conn_sockaddr all[CONN_LISTENERS_MAX];
    size_t count = 0, before = f->listener_count;
    ASSERT(address != NULL && why != NULL && f->stop_ms == INT64_MAX);
    int r = conn_address_find(address, all, &count, why);
    if (r != 0)
        return r;
    if (count > CONN_LISTENERS_MAX - before) {
        conn_address_why(why, "cannot listen at '%s': too many addresses", address);
        return CONN_BAD_ADDRESS;
    }
    for (size_t i = 0; i < count; i++) {
        if (f->options.loopback_only && !conn_address_is_loopback(&all[i])) {
            conn_listen_shrink(f, before);
            conn_address_why(why, "'%s' is not a loopback address", address);
            return CONN_NOT_LOOPBACK;
        }
        if (conn_address_port(&all[i]) == 0 && f->listener_count > before)
            conn_address_set_port(&all[i], f->listeners[before].port); /* one port for a name */
        r = conn_listen_one(f, &all[i], tag);
        bool others = i + 1 < count || f->listener_count > before;
        if (r == 0 || (conn_listen_absent(r) && others))
            continue;
        conn_listen_shrink(f, before);
        return conn_listen_failed(&all[i], address, r, why);
    }
    return 0;
}

uint16_t conn_listen_port(const struct conn_front *f, size_t index)
{
    return index < f->listener_count ? f->listeners[index].port : 0;
}

void conn_listen_close(struct conn_front *f)
{
    conn_listen_shrink(f, 0);
    f->retry_ms = INT64_MAX;
}

/* --- accepting --- */

void conn_listen_event(struct conn_listener *l)
{
    ASSERT(l->source.listens);
    l->ready = true;
}

/* No descriptor, or no memory in the kernel: somebody is accepted in the reserve's place, and
 * closed. False when that does not work, or nobody was there (accept wants the descriptor first,
 * and fails without one even then). */
static bool conn_listen_spare(struct conn_front *f, struct conn_listener *l)
{
    if (f->reserve < 0)
        return false;
    (void)close(f->reserve);
    int fd = accept4(l->source.fd, NULL, NULL, SOCK_CLOEXEC);
    l->ready = fd >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
    if (fd >= 0)
        (void)close(fd);
    f->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    conn_peer_count(f, CONN_END_FILES, "a connection was refused");
    return true;
}

static void conn_listen_rest(struct conn_front *f)
{
    f->retry_ms = f->now_ms + CONN_RETRY_MS;
    if (f->reserve < 0)
        f->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Accepts one. False when there is no more, or none can be had now. */
static bool conn_listen_accept(struct conn_front *f, struct conn_listener *l)
{
    struct conn_sockaddr from = {.size = sizeof from.storage};
    int fd = accept4(l->source.fd, (struct sockaddr *)&from.storage, &from.size,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        (void)conn_peer_new(f, fd, &from, l->tag);
        return true;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        l->ready = false;
        return false;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        if (conn_listen_spare(f, l))
            return true;
        if (l->ready)
            conn_listen_rest(f);
        return false;
    }
    return true; /* an error of that one connection (accept(2)), which is gone with it */
}

void conn_listen_turn(struct conn_front *f)
{
    if (f->retry_ms > f->now_ms && f->retry_ms != INT64_MAX)
        return;
    f->retry_ms = INT64_MAX;
    for (size_t i = 0; i < f->listener_count; i++) {
        struct conn_listener *l = &f->listeners[i];
        for (size_t k = 0; k < CONN_ACCEPTS_MAX && l->ready; k++)
            if (!conn_listen_accept(f, l))
                break;
    }
}
