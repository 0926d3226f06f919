/* SPDX-License-Identifier: MIT
 *
 * conn: the front as a whole: options, turns, stop and close. See conn.h, and conn_priv.h for the
 * other files.
 */
#include "net/conn/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "net/conn/conn_priv.h"

#define CONN_FILES_MIN          256
#define CONN_EVENTS             256
#define CONN_FRAME_SIZE_DEFAULT ((size_t)104857600)
#define CONN_IN_FLIGHT_DEFAULT  ((size_t)256 * 1024 * 1024)
#define CONN_ONE_IN_FLIGHT      ((size_t)32 * 1024 * 1024)
#define CONN_REQUESTS_DEFAULT   ((size_t)4096)
#define CONN_ARENA_DEFAULT      ((size_t)64 * 1024 * 1024)
#define CONN_IDLE_DEFAULT_MS    600000
#define CONN_FRAME_DEFAULT_MS   30000
#define CONN_STOP_DEFAULT_MS    5000

/* --- life --- */

/* Half of the descriptors the process may have. */
static size_t conn_connections_default(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < CONN_FILES_MIN)
        return CONN_FILES_MIN / 2;
    return limit.rlim_cur == RLIM_INFINITY ? INT32_MAX : (size_t)limit.rlim_cur / 2;
}

static size_t conn_or(size_t value, size_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static int64_t conn_or_ms(int64_t value, int64_t otherwise)
{
    ASSERT(value >= 0);
    return value != 0 ? value : otherwise;
}

static struct conn_options conn_defaults(struct conn_options o)
{
    ASSERT(o.clock != NULL && o.frame != NULL);
    o.connections_max = conn_or(o.connections_max, conn_connections_default());
    o.address_conns_max = conn_or(o.address_conns_max, SIZE_MAX);
    o.frame_size_max = conn_or(o.frame_size_max, CONN_FRAME_SIZE_DEFAULT);
    o.in_flight_size_max = conn_or(o.in_flight_size_max, CONN_IN_FLIGHT_DEFAULT);
    o.conn_in_flight_size_max = conn_or(o.conn_in_flight_size_max, CONN_ONE_IN_FLIGHT);
    o.conn_requests_max = conn_or(o.conn_requests_max, CONN_REQUESTS_DEFAULT);
    o.conn_out_size_max = conn_or(o.conn_out_size_max, CONN_FRAME_SIZE_DEFAULT);
    o.arena_size_max = conn_or(o.arena_size_max, CONN_ARENA_DEFAULT);
    o.idle_timeout_ms = conn_or_ms(o.idle_timeout_ms, CONN_IDLE_DEFAULT_MS);
    o.frame_timeout_ms = conn_or_ms(o.frame_timeout_ms, CONN_FRAME_DEFAULT_MS);
    o.stop_timeout_ms = conn_or_ms(o.stop_timeout_ms, CONN_STOP_DEFAULT_MS);
    ASSERT(o.frame_size_max <= INT32_MAX);
    return o;
}

/* sendfile knows no MSG_NOSIGNAL. */
static bool conn_ignores_sigpipe(void)
{
    struct sigaction action;
    return sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static void conn_init(struct conn_front *f, const struct conn_options *o)
{
    f->options = conn_defaults(*o);
    f->calls = o->calls != NULL ? *o->calls
                                : (struct conn_calls){conn_read_receive, conn_write_send,
                                                      conn_write_send_file, NULL};
    f->options.calls = NULL; /* copied */
    f->epoll = f->reserve = -1;
    f->retry_ms = f->stop_ms = f->trim_ms = INT64_MAX;
    f->now_ms = o->clock->mono_ms(o->clock);
    for (size_t i = 0; i < CONN_ENDS; i++)
        f->logged_ms[i] = INT64_MIN;
    list_init(&f->all);
    for (size_t i = 0; i < CONN_PLACES; i++)
        list_init(&f->places[i]);
    list_init(&f->sending);
    list_init(&f->ended);
    list_init(&f->gone);
    list_init(&f->spares);
    map_init(&f->addresses, o->seed);
    f->buffer = assert_memory(malloc(CONN_BUFFER_SIZE), CONN_BUFFER_SIZE);
    f->gather = assert_memory(malloc(CONN_BUFFER_SIZE), CONN_BUFFER_SIZE);
}

CLEANUP_DEFINE(conn_front, struct conn_front, conn_close);

int conn_open(const struct conn_options *o, struct conn_front **out)
{
    struct conn_front *f CLEANUP(conn_front_cleanup) =
        assert_memory(calloc(1, sizeof *f), sizeof *f);
    ASSERT(conn_ignores_sigpipe());
    conn_init(f, o);
    f->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (f->epoll < 0)
        return -errno;
    f->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (f->reserve < 0)
        return -errno;
    *out = f;
    f = NULL;
    return 0;
}

static void conn_end_all(struct conn_front *f)
{
    LIST_EACH_SAFE (node, &f->all)
        conn_peer_end(LIST_ENTRY(node, struct conn, all), CONN_END_STOPPED);
    conn_peer_reap(f);
    ASSERT(list_empty(&f->all) && list_empty(&f->sending));
}

struct conn_front *conn_close(struct conn_front *f)
{
    if (f == NULL)
        return NULL;
    conn_listen_close(f);
    conn_end_all(f);
    ASSERT(list_empty(&f->gone)); /* no request is with the user */
    ASSERT(f->stats.in_flight_size == 0 && f->stats.out_size == 0);
    ASSERT(f->addresses.count == 0 && f->timers.count == 0);
    map_deinit(&f->addresses);
    heap_deinit(&f->timers);
    conn_write_free_spares(f, f->spare_count);
    free(f->buffer);
    free(f->gather);
    if (f->reserve >= 0)
        (void)close(f->reserve);
    if (f->epoll >= 0)
        (void)close(f->epoll);
    free(f);
    return NULL;
}

/* --- turns --- */

int conn_fd(const struct conn_front *f)
{
    ASSERT(f->epoll >= 0);
    return f->epoll;
}

static bool conn_work_left(const struct conn_front *f)
{
    bool left = !list_empty(&f->places[CONN_READY]) || !list_empty(&f->sending) ||
                !list_empty(&f->ended) || conn_read_relief(f);
    for (size_t i = 0; i < f->listener_count && f->retry_ms == INT64_MAX; i++)
        left = left || f->listeners[i].ready;
    return left;
}

int64_t conn_next_ms(const struct conn_front *f)
{
    if (conn_work_left(f))
        return 0;
    const struct heap_node *first = heap_first(&f->timers);
    int64_t next = first == NULL ? INT64_MAX : first->at;
    next = f->retry_ms < next ? f->retry_ms : next;
    next = f->trim_ms < next ? f->trim_ms : next;
    bool waits = !list_empty(&f->all) && f->now_ms < f->stop_ms;
    return waits && f->stop_ms < next ? f->stop_ms : next;
}

static void conn_mark(const struct epoll_event *event)
{
    struct conn_source *source = event->data.ptr;
    ASSERT(source != NULL && source->fd >= 0);
    if (source->listens)
        conn_listen_event((struct conn_listener *)source);
    else
        conn_peer_event((struct conn *)source, event->events);
}

/* Marks all that happened. Each socket is reported at most once between two turns, so this ends. */
static int conn_mark_all(struct conn_front *f)
{
    struct epoll_event events[CONN_EVENTS];
    size_t rounds = f->stats.connections / CONN_EVENTS + 2;
    for (size_t i = 0; i < rounds; i++) {
        int count = epoll_wait(f->epoll, events, CONN_EVENTS, 0);
        if (count < 0 && errno != EINTR)
            return -errno;
        for (int k = 0; k < count; k++)
            conn_mark(&events[k]);
        if (count < CONN_EVENTS)
            break;
    }
    return 0;
}

int conn_turn(struct conn_front *f)
{
    f->now_ms = f->options.clock->mono_ms(f->options.clock);
    int r = conn_mark_all(f);
    if (r != 0)
        return r;
    conn_listen_turn(f);
    conn_read_turn(f);
    conn_peer_reap(f);
    return 0;
}

void conn_flush(struct conn_front *f)
{
    conn_write_turn(f);
    conn_peer_expire(f);
    conn_peer_reap(f);
    conn_write_trim(f);
}

/* --- stop --- */

void conn_stop(struct conn_front *f)
{
    if (f->stop_ms != INT64_MAX)
        return;
    f->stop_ms = f->options.clock->mono_ms(f->options.clock) + f->options.stop_timeout_ms;
    conn_listen_close(f);
    LIST_EACH_SAFE (node, &f->all)
        conn_peer_last(LIST_ENTRY(node, struct conn, all), CONN_END_STOPPED);
}

bool conn_stopped(const struct conn_front *f)
{
    return f->stop_ms != INT64_MAX && list_empty(&f->all) && list_empty(&f->ended) &&
           list_empty(&f->gone);
}

void conn_stats(const struct conn_front *f, struct conn_stats *out)
{
    *out = f->stats;
}

const char *conn_end_text(enum conn_end end)
{
    switch (end) {
    case CONN_END_PEER:
        return "closed by the peer";
    case CONN_END_RESET:
        return "reset";
    case CONN_END_SIZE:
        return "frame of a wrong size";
    case CONN_END_IDLE:
        return "idle";
    case CONN_END_FRAME:
        return "frame not completed in time";
    case CONN_END_PIECE:
        return "answer could not be read";
    case CONN_END_DROPPED:
        return "dropped";
    case CONN_END_STOPPED:
        return "stopped";
    case CONN_END_FULL:
        return "too many connections";
    case CONN_END_ADDRESS:
        return "too many connections from one address";
    case CONN_END_FILES:
        return "no descriptor left";
    }
    ASSERT(false);
    return "";
}
