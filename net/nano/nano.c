/* SPDX-License-Identifier: MIT
 *
 * nano: the socket of the native front. See nano.h for the whole, nano_priv.h for the other files.
 *
 * nanomsg in raw mode: a received message comes with a control header (one SP_HDR), which names the
 * pipe it came by and the request it belongs to; the same header on a message sent brings it there.
 * The header is copied and sent back, never read.
 */
#include "net/nano/nano.h"

#include <errno.h>
#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/tcp.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "engine/base/assert.h"
#include "engine/base/guard.h"
#include "net/nano/nano_answers.h"
#include "net/nano/nano_calls.h"
#include "net/nano/nano_session.h"
#include "net/nano/nano_url.h"

#define NANO_SESSIONS_DEFAULT     1024
#define NANO_MESSAGE_SIZE_DEFAULT (16u * 1024 * 1024)
#define NANO_IN_FLIGHT_DEFAULT    (256u * 1024 * 1024)
#define NANO_CALLS_DEFAULT        1024
#define NANO_IDLE_TIMEOUT_DEFAULT (10 * 60 * 1000)

/* --- life --- */

static struct nano_options nano_defaults(struct nano_options o)
{
    o.sessions_max = o.sessions_max == 0 ? NANO_SESSIONS_DEFAULT : o.sessions_max;
    o.message_size_max = o.message_size_max == 0 ? NANO_MESSAGE_SIZE_DEFAULT : o.message_size_max;
    o.in_flight_size_max =
        o.in_flight_size_max == 0 ? NANO_IN_FLIGHT_DEFAULT : o.in_flight_size_max;
    o.session_calls_max = o.session_calls_max == 0 ? NANO_CALLS_DEFAULT : o.session_calls_max;
    o.idle_timeout_ms = o.idle_timeout_ms == 0 ? NANO_IDLE_TIMEOUT_DEFAULT : o.idle_timeout_ms;
    o.software = o.software == NULL ? "kauri" : o.software;
    ASSERT(o.idle_timeout_ms > 0 && o.session_calls_max < SIZE_MAX / 2);
    ASSERT(o.message_size_max >= NANO_MESSAGE_SIZE_MIN);
    ASSERT(o.message_size_max <= NANO_MESSAGE_SIZE_MAX);
    return o;
}

/* nanomsg's own errors are positive and lie beyond the system's; as -errno they are as good. */
static int nano_error(void)
{
    int error = nn_errno();
    ASSERT(error > 0);
    return -error;
}

static int nano_set(int socket, int option, int value)
{
    return nn_setsockopt(socket, NN_SOL_SOCKET, option, &value, sizeof value) == 0 ? 0
                                                                                   : nano_error();
}

/* Messages leave at once: else the last packet of each waits for the peer's delayed
 * acknowledgement, 40 ms, which bounds a line by its window. For every transport: only tcp looks at
 * it. */
static int nano_set_no_delay(int socket)
{
    int one = 1;
    return nn_setsockopt(socket, NN_TCP, NN_TCP_NODELAY, &one, sizeof one) == 0 ? 0 : nano_error();
}

static int nano_configure(struct nano *n)
{
    int size_max = (int)n->options.message_size_max;
    size_t size = sizeof n->fd;
    int r = nano_set_no_delay(n->socket);
    if (r == 0)
        r = nano_set(n->socket, NN_RCVMAXSIZE, size_max);
    if (r == 0)
        r = nano_set(n->socket, NN_RCVBUF, size_max);
    if (r == 0)
        r = nano_set(n->socket, NN_IPV4ONLY, nano_url_is_ipv6(n->options.url) ? 0 : 1);
    if (r == 0 && nn_getsockopt(n->socket, NN_SOL_SOCKET, NN_RCVFD, &n->fd, &size) != 0)
        r = nano_error();
    return r;
}

/* Binds with the socket's mode closed from its first moment. The umask is the process's: a file
 * another thread makes meanwhile may get fewer rights, never more. */
static int nano_bind(struct nano *n)
{
    const struct nano_options *o = &n->options;
    mode_t mask = umask(0177);
    int r = nn_bind(n->socket, o->url) < 0 ? nano_error() : 0;
    (void)umask(mask);
    if (r == 0)
        return nano_url_protect(o);
    if (r == -EADDRINUSE) {
        nano_url_why(o, "address '%s' is in use: another process listens there", o->url);
        return NANO_IN_USE;
    }
    nano_url_why(o, "cannot listen at '%s': %s", o->url, nn_strerror(-r));
    return r;
}

static int nano_socket_open(struct nano *n)
{
    n->socket = nn_socket(AF_SP_RAW, NN_REP);
    int r = n->socket < 0 ? nano_error() : nano_configure(n);
    if (r < 0) {
        nano_url_why(&n->options, "cannot make a socket for '%s': %s", n->options.url,
                     nn_strerror(-r));
        return r;
    }
    return nano_bind(n);
}

CLEANUP_DEFINE(nano, struct nano, nano_close);

int nano_open(const struct nano_options *o, struct nano **out)
{
    ASSERT(o->broker != NULL && o->clock != NULL && o->url != NULL);
    int r = nano_url_prepare(o);
    if (r != 0)
        return r;
    struct nano *n CLEANUP(nano_cleanup) = assert_memory(calloc(1, sizeof *n), sizeof *n);
    n->options = nano_defaults(*o);
    n->socket = -1;
    n->local = strncmp(o->url, "ipc:", 4) == 0;
    n->near = nano_url_is_local(o->url);
    map_init(&n->sessions, n->options.seed);
    list_init(&n->idle);
    list_init(&n->sending);
    list_init(&n->running);
    arena_init(&n->scratch, 0);
    guard_install();
    r = nano_socket_open(n);
    if (r != 0)
        return r;
    n->options.url = NULL; /* borrowed for the open only, like why */
    n->options.why = NULL;
    *out = n;
    n = NULL;
    return 0;
}

void nano_stop(struct nano *n)
{
    n->stopping = true;
    LIST_EACH_SAFE (node, &n->running) {
        struct nano_call *c = LIST_ENTRY(node, struct nano_call, link);
        ASSERT(c->request != NULL);
        nano_call_cancel(c);
    }
}

bool nano_stopped(const struct nano *n)
{
    ASSERT(list_empty(&n->running) == (n->stats.running == 0));
    return n->stopping && list_empty(&n->running);
}

struct nano *nano_close(struct nano *n)
{
    if (n == NULL)
        return NULL;
    ASSERT(list_empty(&n->running));
    while (!list_empty(&n->idle))
        nano_session_drop(n, LIST_ENTRY(n->idle.next, struct nano_session, idle));
    ASSERT(n->stats.ready_size == 0 && list_empty(&n->sending));
    map_deinit(&n->sessions);
    arena_deinit(&n->scratch);
    if (n->socket >= 0)
        (void)nn_close(n->socket);
    free(n);
    return NULL;
}

/* --- turns --- */

int nano_fd(const struct nano *n)
{
    return n->fd;
}

bool nano_wants_read(const struct nano *n)
{
    return n->stats.running_size < n->options.in_flight_size_max;
}

/* Keeps the control header for the answer. False when there is none, or one from farther away than
 * any path of devices we serve. */
static bool nano_take_route(struct nano_route *route)
{
    const struct nn_cmsghdr *header = (const void *)route->bytes;
    route->size = header->cmsg_len;
    return header->cmsg_len >= sizeof *header && header->cmsg_len <= sizeof route->bytes &&
           header->cmsg_level == PROTO_SP && header->cmsg_type == SP_HDR;
}

/* Receives and starts one. 1 done, 0 nothing there, or -errno. */
static int nano_receive(struct nano *n)
{
    void *message = NULL;
    memset(&n->route, 0, sizeof n->route);
    struct nn_iovec v = {&message, NN_MSG};
    struct nn_msghdr header = {&v, 1, n->route.bytes, sizeof n->route.bytes};
    int size = nn_recvmsg(n->socket, &header, NN_DONTWAIT);
    if (size < 0 && (nn_errno() == EAGAIN || nn_errno() == EINTR))
        return 0;
    if (size < 0)
        return nano_error();
    if (nano_take_route(&n->route)) {
        nano_calls_receive(n, message, (size_t)size);
    } else {
        n->stats.received++;
        n->stats.dropped++;
        nn_freemsg(message);
    }
    return 1;
}

int nano_turn(struct nano *n)
{
    int r = 1;
    for (int i = 0; i < NANO_TURN_MAX && r == 1 && nano_wants_read(n); i++)
        r = nano_receive(n);
    if (r < 0)
        return r;
    nano_flush(n);
    return 0;
}

void nano_flush(struct nano *n)
{
    ASSERT(n->route.size <= NANO_ROUTE_SIZE_MAX);
    nano_answers_flush(n);
    if (nano_wants_read(n)) /* else nobody could be heard */
        nano_session_expire(n);
}

int64_t nano_next_ms(const struct nano *n)
{
    if (list_empty(&n->idle))
        return INT64_MAX;
    int64_t heard_ms = LIST_ENTRY(n->idle.next, struct nano_session, idle)->heard_ms;
    ASSERT(heard_ms <= INT64_MAX - n->options.idle_timeout_ms);
    return heard_ms + n->options.idle_timeout_ms;
}

void nano_send(struct nano *n, struct nano_route *route, void *message)
{
    struct nn_iovec v = {&message, NN_MSG};
    struct nn_msghdr header = {&v, 1, route->bytes, route->size};
    ASSERT(message != NULL && route->size > 0);
    if (nn_sendmsg(n->socket, &header, NN_DONTWAIT) < 0)
        nn_freemsg(message);
    else
        n->stats.sent++;
}

void nano_stats(const struct nano *n, struct nano_stats *out)
{
    *out = n->stats;
    out->sessions = n->sessions.count;
}
