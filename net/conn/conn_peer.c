/* SPDX-License-Identifier: MIT
 *
 * conn_peer: the life of one connection, from the accepted socket to its end. The states are drawn
 * in conn_priv.h.
 *
 * Deadlines are lazy: the heap's time is never later than the real one (conn_peer_deadline), which
 * moves with every byte; only when the heap's is due the real one is worked out and put in. So a
 * busy connection touches the heap once in frame_timeout_ms or idle_timeout_ms.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "net/conn/conn_priv.h"

_Static_assert(sizeof(struct conn) <= 256, "10,000 idle connections are 2.6 MB");

/* --- states and counts --- */

static void conn_peer_state(struct conn *c, enum conn_state to)
{
    static const bool allowed[CONN_STATES][CONN_STATES] = {
        [CONN_OPEN] = {[CONN_LAST] = true, [CONN_ENDED] = true},
        [CONN_LAST] = {[CONN_LINGER] = true, [CONN_ENDED] = true},
        [CONN_LINGER] = {[CONN_ENDED] = true},
    };
    ASSERT(allowed[c->state][to]);
    c->state = to;
}

/* Ends that somebody who runs the broker wants to hear of. */
static bool conn_peer_is_news(enum conn_end end)
{
    return end == CONN_END_SIZE || end == CONN_END_FRAME || end == CONN_END_PIECE ||
           end == CONN_END_FULL || end == CONN_END_ADDRESS || end == CONN_END_FILES;
}

void conn_peer_count(struct conn_front *f, enum conn_end end, const char *detail)
{
    char line[CONN_WHY_SIZE];
    f->stats.ended[end]++;
    if (f->options.log == NULL || !conn_peer_is_news(end))
        return;
    if (f->logged_ms[end] != INT64_MIN && f->now_ms - f->logged_ms[end] < CONN_LOG_MS)
        return;
    f->logged_ms[end] = f->now_ms;
    (void)snprintf(line, sizeof line, "connections: %s: %s (%llu so far)", conn_end_text(end),
                   detail, (unsigned long long)f->stats.ended[end]);
    f->options.log(f->options.ctx, 1, line);
}

/* --- addresses, counted --- */

static struct conn_address *conn_peer_address(struct conn_front *f, const uint8_t *bytes)
{
    struct conn_address *a = map_get(&f->addresses, slice_of(bytes, CONN_ADDRESS_BYTES));
    if (a != NULL)
        return a;
    a = assert_memory(calloc(1, sizeof *a), sizeof *a);
    memcpy(a->bytes, bytes, CONN_ADDRESS_BYTES);
    void *old = map_put(&f->addresses, slice_of(a->bytes, CONN_ADDRESS_BYTES), a);
    ASSERT(old == NULL);
    return a;
}

static void conn_peer_leave_address(struct conn *c)
{
    struct conn_address *a = c->address;
    ASSERT(a->count > 0);
    if (--a->count > 0)
        return;
    void *old = map_remove(&c->front->addresses, slice_of(a->bytes, CONN_ADDRESS_BYTES));
    ASSERT(old == a);
    free(a);
}

/* --- begin --- */

/* True when one more may come from there; else counts why not. */
static bool conn_peer_admit(struct conn_front *f, const uint8_t *bytes)
{
    char text[INET6_ADDRSTRLEN];
    const struct conn_address *a = map_get(&f->addresses, slice_of(bytes, CONN_ADDRESS_BYTES));
    enum conn_end end = CONN_END_FULL;
    if (f->stats.connections < f->options.connections_max) {
        if (a == NULL || a->count < f->options.address_conns_max)
            return true;
        end = CONN_END_ADDRESS;
    }
    conn_address_text(bytes, text);
    conn_peer_count(f, end, text);
    return false;
}

static struct conn *conn_peer_make(struct conn_front *f, int fd, const uint8_t *bytes)
{
    struct conn *c = assert_memory(calloc(1, sizeof *c), sizeof *c);
    c->source.fd = fd;
    c->front = f;
    c->id = ++f->last_id;
    c->moved_ms = f->now_ms;
    c->writable = true;
    list_init(&c->reading);
    list_init(&c->sending);
    list_init(&c->queue);
    list_add_tail(&f->all, &c->all);
    c->address = conn_peer_address(f, bytes);
    c->address->count++;
    heap_set(&f->timers, &c->timer, f->now_ms + f->options.idle_timeout_ms);
    f->stats.connections++;
    f->stats.accepted++;
    return c;
}

struct conn *conn_peer_new(struct conn_front *f, int fd_taken, const struct conn_sockaddr *from,
                           unsigned tag)
{
    int fd CLEANUP(cleanup_fd) = fd_taken;
    uint8_t bytes[CONN_ADDRESS_BYTES];
    conn_address_bytes(from, bytes);
    if (!conn_peer_admit(f, bytes))
        return NULL;
    struct conn *c = conn_peer_make(f, fd, bytes);
    fd = -1;
    c->tag = tag;
    c->peer_port = conn_address_port(from);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = &c->source};
    if (f->options.opened != NULL)
        f->options.opened(f->options.ctx, c);
    if (epoll_ctl(f->epoll, EPOLL_CTL_ADD, c->source.fd, &event) != 0) {
        conn_peer_end(c, CONN_END_RESET); /* no memory in the kernel, no watches left */
        return NULL;
    }
    /* The first request is often there already: looked for without waiting for its event. */
    c->readable = true;
    conn_read_place(c);
    return c;
}

/* The peer has shut its side and we do not read now: is that all that is left to be read? */
static bool conn_peer_is_over(const struct conn *c)
{
    char byte;
    bool waits = c->place == CONN_HELD || c->place == CONN_STARVED;
    return c->hangup && waits && recv(c->source.fd, &byte, 1, MSG_PEEK) == 0;
}

void conn_peer_event(struct conn *c, uint32_t events)
{
    if (c->state == CONN_ENDED)
        return;
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        conn_peer_end(c, CONN_END_RESET);
        return;
    }
    if ((events & EPOLLRDHUP) != 0)
        c->hangup = true;
    if (c->hangup && c->state != CONN_OPEN) { /* no more is read, so nobody would see the end */
        conn_peer_end(c, CONN_END_PEER);
        return;
    }
    if ((events & (EPOLLIN | EPOLLRDHUP)) != 0) {
        c->readable = true;
        conn_read_place(c);
    }
    if (conn_peer_is_over(c)) {
        conn_peer_end(c, CONN_END_PEER);
        return;
    }
    if ((events & EPOLLOUT) != 0) {
        c->writable = true;
        conn_write_place(c);
    }
}

/* --- end --- */

/* The frame that is coming in will not be read any more. */
static void conn_peer_drop_partial(struct conn *c)
{
    if (c->front->passing == c)
        c->front->passing = NULL;
    c->pass = false;
    if (c->partial != NULL)
        conn_write_free(c->partial);
    c->partial = NULL;
}

void conn_peer_end(struct conn *c, enum conn_end end)
{
    struct conn_front *f = c->front;
    if (c->state == CONN_ENDED)
        return;
    c->end = c->state == CONN_OPEN ? end : c->end; /* LAST and LINGER had their reason */
    conn_peer_state(c, CONN_ENDED);
    conn_read_place(c);
    conn_write_place(c);
    heap_remove(&f->timers, &c->timer);
    list_remove(&c->all);
    list_add_tail(&f->ended, &c->all);
    conn_peer_drop_partial(c);
    ASSERT(c->place == CONN_NONE && !list_linked(&c->sending));
}

void conn_peer_finish(struct conn *c)
{
    struct conn_front *f = c->front;
    ASSERT(c->state == CONN_LAST);
    if (!c->readable || c->hangup || shutdown(c->source.fd, SHUT_WR) != 0) {
        conn_peer_end(c, c->end);
        return;
    }
    conn_peer_state(c, CONN_LINGER);
    c->frame_ms = f->now_ms;
    heap_set(&f->timers, &c->timer, f->now_ms + CONN_LINGER_MS);
    conn_read_place(c);
    conn_write_place(c);
}

void conn_peer_last(struct conn *c, enum conn_end end)
{
    if (c->state != CONN_OPEN)
        return;
    conn_peer_state(c, CONN_LAST);
    c->end = end;
    conn_peer_drop_partial(c);
    conn_read_place(c);
    if (list_empty(&c->queue))
        conn_peer_finish(c);
}

/* The request outlives its connection: it stays charged to the front until it is answered. */
static void conn_peer_orphan(struct conn *c, struct conn_request *r)
{
    struct conn_front *f = c->front;
    ASSERT(!r->answered && !list_linked(&r->link));
    r->conn = NULL;
    r->gone = true;
    list_add_tail(&f->gone, &r->link);
    f->stats.gone++;
    f->stats.requests--;
    c->requests--;
    c->unanswered--;
    c->in_flight_size -= r->charge;
    if (f->options.gone != NULL)
        f->options.gone(f->options.ctx, r);
}

/* `gone` may answer this request or others: the queue is looked at anew each time. */
static void conn_peer_empty(struct conn *c)
{
    struct list *node;
    while ((node = list_pop(&c->queue)) != NULL) {
        struct conn_request *r = LIST_ENTRY(node, struct conn_request, link);
        if (!r->answered) {
            conn_peer_orphan(c, r);
            continue;
        }
        conn_write_free(r);
    }
    ASSERT(c->requests == 0 && c->unanswered == 0);
    ASSERT(c->in_flight_size == 0 && c->out_size == 0);
}

static void conn_peer_free(struct conn *c)
{
    struct conn_front *f = c->front;
    ASSERT(c->state == CONN_ENDED && c->timer.slot == 0);
    (void)close(c->source.fd); /* takes it out of the epoll set: nobody else has the socket */
    conn_peer_empty(c);
    if (f->options.closed != NULL)
        f->options.closed(f->options.ctx, c, c->end);
    conn_peer_leave_address(c);
    f->stats.connections--;
    free(c);
}

/* What an end is told as in the log. */
static void conn_peer_tell(struct conn *c)
{
    char text[CONN_ADDRESS_SIZE];
    char line[CONN_ADDRESS_SIZE + 64];
    conn_peer(c, text);
    (void)snprintf(line, sizeof line, "%s", text);
    if (c->end == CONN_END_SIZE)
        (void)snprintf(line, sizeof line, "%s began with %02x%02x%02x%02x%s", text, c->head[0],
                       c->head[1], c->head[2], c->head[3], conn_read_guess(c->head));
    conn_peer_count(c->front, c->end, line);
}

void conn_peer_reap(struct conn_front *f)
{
    struct list *node;
    while ((node = list_pop(&f->ended)) != NULL) {
        struct conn *c = LIST_ENTRY(node, struct conn, all);
        conn_peer_tell(c);
        conn_peer_free(c);
    }
}

/* --- deadlines --- */

/* The time to end at, were nothing to happen until then. */
static int64_t conn_peer_deadline(const struct conn *c, enum conn_end *end)
{
    const struct conn_front *f = c->front;
    bool ours = c->unanswered > 0 || c->place == CONN_READY || c->place == CONN_STARVED;
    int64_t since = c->moved_ms > c->hold_ms ? c->moved_ms : c->hold_ms;
    int64_t idle = (ours ? f->now_ms : since) + f->options.idle_timeout_ms;
    *end = CONN_END_IDLE;
    if (c->state == CONN_LINGER)
        return c->frame_ms + CONN_LINGER_MS;
    if (c->state != CONN_OPEN || !conn_peer_frame_open(c))
        return idle;
    int64_t bought = c->partial == NULL ? 0 : (int64_t)(c->partial->have / CONN_RATE_PER_MS);
    int64_t frame =
        (c->place != CONN_NONE ? f->now_ms : c->frame_ms + bought) + f->options.frame_timeout_ms;
    if (frame >= idle)
        return idle;
    *end = CONN_END_FRAME;
    return frame;
}

/* Its timer is wanted when the hold is over. */
static bool conn_peer_holds(const struct conn *c)
{
    return c->state == CONN_OPEN && c->hold_ms > c->front->now_ms;
}

void conn_peer_watch(struct conn *c)
{
    enum conn_end end;
    if (!conn_peer_frame_open(c))
        return;
    int64_t at = conn_peer_deadline(c, &end);
    if (at < c->timer.at)
        heap_set(&c->front->timers, &c->timer, at);
}

/* After conn_stop: those whose requests are all answered, but who do not read the answers. */
static void conn_peer_lose_patience(struct conn_front *f)
{
    LIST_EACH_SAFE (node, &f->all) {
        struct conn *c = LIST_ENTRY(node, struct conn, all);
        if (c->unanswered == 0)
            conn_peer_end(c, CONN_END_STOPPED);
    }
}

void conn_peer_expire(struct conn_front *f)
{
    struct heap_node *node;
    while ((node = heap_pop_due(&f->timers, f->now_ms)) != NULL) {
        struct conn *c = HEAP_ENTRY(node, struct conn, timer);
        enum conn_end end;
        conn_read_place(c); /* a hold may be over */
        int64_t at = conn_peer_deadline(c, &end);
        if (at > f->now_ms)
            heap_set(&f->timers, node, conn_peer_holds(c) && c->hold_ms < at ? c->hold_ms : at);
        else
            conn_peer_end(c, end);
    }
    if (f->stop_ms <= f->now_ms)
        conn_peer_lose_patience(f);
}

/* --- what the user asks --- */

void conn_drop(struct conn *c)
{
    conn_peer_end(c, CONN_END_DROPPED);
}

void conn_hold(struct conn *c, int64_t ms)
{
    struct conn_front *f = c->front;
    ASSERT(ms >= 0);
    if (c->state != CONN_OPEN || f->now_ms + ms <= c->hold_ms)
        return;
    c->hold_ms = f->now_ms + ms;
    conn_read_place(c);
    if (conn_peer_holds(c) && c->hold_ms < c->timer.at)
        heap_set(&f->timers, &c->timer, c->hold_ms);
}

uint64_t conn_id(const struct conn *c)
{
    return c->id;
}

unsigned conn_tag(const struct conn *c)
{
    return c->tag;
}

void conn_set_user(struct conn *c, void *user)
{
    c->user = user;
}

void *conn_user(const struct conn *c)
{
    return c->user;
}

size_t conn_out_size(const struct conn *c)
{
    return c->out_size;
}

void conn_peer_host(const struct conn *c, char *out)
{
    _Static_assert(CONN_ADDRESS_SIZE >= INET6_ADDRSTRLEN, "an address fits");
    conn_address_text(c->address->bytes, out);
}

void conn_peer(const struct conn *c, char *out)
{
    char text[INET6_ADDRSTRLEN];
    conn_address_text(c->address->bytes, text);
    bool v6 = strchr(text, ':') != NULL;
    (void)snprintf(out, CONN_ADDRESS_SIZE, v6 ? "[%s]:%u" : "%s:%u", text, c->peer_port);
}

bool conn_local(const struct conn *c, char *out, uint16_t *port)
{
    struct conn_sockaddr a = {.size = sizeof a.storage};
    uint8_t bytes[CONN_ADDRESS_BYTES];
    if (c->state == CONN_ENDED ||
        getsockname(c->source.fd, (struct sockaddr *)&a.storage, &a.size) != 0)
        return false;
    conn_address_bytes(&a, bytes);
    conn_address_text(bytes, out);
    *port = conn_address_port(&a);
    return true;
}
