/* SPDX-License-Identifier: MIT
 *
 * conn_read: bytes in. Frames are collected, not parsed.
 *
 * One read takes the rest of the frame that is coming in, straight into its place, and what follows
 * into the shared buffer:
 *
 *   readv:   [ rest of the partial frame ][ shared buffer, 64 KiB                       ]
 *   then:      complete: to the user        [size|frame][size|frame]...[size|beginning]
 *                                             each complete one is       becomes the partial frame
 *                                             copied to its request      or up to 3 bytes of head
 *
 * A read that gave less than was asked for has emptied the socket; the next bytes make a new event.
 * After the peer has shut its side there is none, then only reading nothing says so (hangup).
 *
 * The pass: when in_flight_size_max is reached by partial frames alone, nothing that the user does
 * would free memory. Then the starved connection that lacks least goes on alone until its frame is
 * complete, or its frame's time is over.
 */
#include <errno.h>
#include <string.h>

#include "net/conn/conn_priv.h"

ssize_t conn_read_receive(void *ctx, int fd, struct iovec *v, size_t count)
{
    (void)ctx;
    struct msghdr message = {.msg_iov = v, .msg_iovlen = count};
    ssize_t n = count == 1 ? recv(fd, v->iov_base, v->iov_len, 0) : recvmsg(fd, &message, 0);
    return n < 0 ? -errno : n;
}

/* --- holding back --- */

static bool conn_read_own_limit(const struct conn *c)
{
    const struct conn_options *o = &c->front->options;
    size_t partial =
        c->partial == NULL ? 0 : c->partial->charge; /* must be let in to become more */
    ASSERT(partial <= c->in_flight_size);
    return c->requests >= o->conn_requests_max || c->out_size >= o->conn_out_size_max ||
           c->in_flight_size - partial >= o->conn_in_flight_size_max;
}

static enum conn_place conn_read_where(const struct conn *c)
{
    const struct conn_front *f = c->front;
    if (!c->readable || c->state == CONN_LAST || c->state == CONN_ENDED)
        return CONN_NONE;
    if (c->state == CONN_LINGER)
        return CONN_READY;
    if (f->now_ms < c->hold_ms || conn_read_own_limit(c))
        return CONN_HELD;
    if (f->stats.in_flight_size >= f->options.in_flight_size_max && !c->pass)
        return CONN_STARVED;
    return CONN_READY;
}

static bool conn_read_waits(enum conn_place place)
{
    return place == CONN_HELD || place == CONN_STARVED;
}

void conn_read_place(struct conn *c)
{
    struct conn_front *f = c->front;
    enum conn_place to = conn_read_where(c);
    if (to == c->place)
        return;
    if (conn_read_waits(to) && !conn_read_waits(c->place)) {
        c->paused_ms = f->now_ms;
        f->stats.held++;
    } else if (!conn_read_waits(to) && conn_read_waits(c->place)) {
        c->frame_ms += f->now_ms - c->paused_ms;
    }
    if (list_linked(&c->reading))
        list_remove(&c->reading);
    c->place = to;
    if (to != CONN_NONE)
        list_add_tail(&f->places[to], &c->reading);
}

/* --- requests --- */

static void conn_read_charge(struct conn *c, struct conn_request *r, size_t size)
{
    r->charge += size;
    c->in_flight_size += size;
    c->front->stats.in_flight_size += size;
}

static size_t conn_read_cap(size_t size, size_t have)
{
    size_t cap = have > CONN_BUFFER_SIZE / CONN_GROW ? have * CONN_GROW : CONN_BUFFER_SIZE;
    ASSERT(have <= size && size <= INT32_MAX);
    return have == size || cap > size ? size : cap;
}

/* An empty request, used again where there is a spare one. */
static struct conn_request *conn_read_blank(struct conn_front *f)
{
    struct list *node = list_pop(&f->spares);
    struct conn_request *r = NULL;
    struct arena arena;
    if (node != NULL) {
        r = LIST_ENTRY(node, struct conn_request, link);
        arena = r->arena;
        f->spare_count--;
        f->spare_low = f->spare_count < f->spare_low ? f->spare_count : f->spare_low;
    } else {
        r = assert_memory(malloc(sizeof *r), sizeof *r);
        arena_init(&arena, f->options.arena_size_max);
    }
    memset(r, 0, offsetof(struct conn_request, few));
    r->arena = arena;
    r->front = f;
    list_init(&r->link);
    return r;
}

/* A request for a frame of `size` bytes, the first of which are here. */
static struct conn_request *conn_read_request(struct conn *c, size_t size, struct slice first)
{
    struct conn_request *r = conn_read_blank(c->front);
    uint8_t *body = r->near;
    r->conn = c;
    r->cap = size;
    if (size > CONN_NEAR_MAX) {
        r->cap = conn_read_cap(size, first.size);
        body = r->far = assert_memory(malloc(r->cap), r->cap);
    }
    r->body = slice_of(body, size);
    r->have = first.size;
    memcpy(body, first.p, first.size);
    conn_read_charge(c, r, sizeof *r + first.size);
    return r;
}

/* Makes room for more of the body, 16 times what is there. */
static void conn_read_grow(struct conn_request *r)
{
    if (r->have < r->cap)
        return;
    ASSERT(r->far != NULL && r->cap < r->body.size);
    r->cap = conn_read_cap(r->body.size, r->have);
    r->far = assert_memory(realloc(r->far, r->cap), r->cap);
    r->body.p = r->far;
}

static void conn_read_deliver(struct conn *c, struct conn_request *r)
{
    struct conn_front *f = c->front;
    ASSERT(r->have == r->body.size && c->state == CONN_OPEN);
    if (c->pass) {
        c->pass = false;
        f->passing = NULL;
    }
    list_add_tail(&c->queue, &r->link);
    c->requests++;
    c->unanswered++;
    f->stats.requests++;
    f->stats.frames++;
    f->options.frame(f->options.ctx, c, r);
}

/* --- frames --- */

const char *conn_read_guess(const uint8_t *head)
{
    static const char *const words[] = {"GET ", "POST", "HEAD", "PUT ", "OPTI", "CONN", "PRI "};
    if (head[0] == 0x16 && head[1] == 0x03)
        return ", a TLS hello";
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (memcmp(head, words[i], CONN_HEAD) == 0)
            return ", an HTTP request";
    return "";
}

/* Takes the size before a frame. False when it is not whole yet, or refused. */
static bool conn_read_head(struct conn *c, struct slice *in)
{
    size_t take = CONN_HEAD - c->head_size;
    take = take < in->size ? take : in->size;
    memcpy(c->head + c->head_size, in->p, take);
    c->head_size = (uint8_t)(c->head_size + take);
    *in = slice_of(in->p + take, in->size - take);
    if (c->head_size < CONN_HEAD)
        return false;
    if (bytes_be32(c->head) <= c->front->options.frame_size_max)
        return true;
    conn_peer_end(c, CONN_END_SIZE);
    return false;
}

/* Takes the bytes of the shared buffer, which lie between frames: no frame is partial. */
static void conn_read_parse(struct conn *c, struct slice in)
{
    while (in.size > 0 && c->state == CONN_OPEN) {
        ASSERT(c->partial == NULL);
        if (!conn_read_head(c, &in))
            break;
        size_t size = bytes_be32(c->head);
        size_t take = size < in.size ? size : in.size;
        struct conn_request *r = conn_read_request(c, size, slice_of(in.p, take));
        in = slice_of(in.p + take, in.size - take);
        c->head_size = 0;
        if (take == size)
            conn_read_deliver(c, r);
        else
            c->partial = r;
    }
    c->frame_ms = c->front->now_ms; /* of the frame that begins at the end of the bytes, if any */
}

/* Takes what was read: n bytes, of the partial frame as far as `rest`, then of the buffer. */
static void conn_read_take(struct conn *c, size_t rest, size_t n)
{
    struct conn_request *r = c->partial;
    size_t own = n < rest ? n : rest;
    if (c->state != CONN_OPEN)
        return; /* lingering: thrown away */
    if (r != NULL) {
        r->have += own;
        conn_read_charge(c, r, own);
    }
    if (r != NULL && r->have == r->body.size) {
        c->partial = NULL;
        conn_read_deliver(c, r);
    }
    if (n > own)
        conn_read_parse(c, slice_of(c->front->buffer, n - own));
}

/* --- reading --- */

/* What to read into: see the head of this file. *rest is the share of the partial frame. */
static size_t conn_read_vectors(struct conn *c, struct iovec *v, size_t *rest)
{
    struct conn_request *r = c->state == CONN_OPEN ? c->partial : NULL;
    size_t count = 0;
    bool whole = true;
    *rest = 0;
    if (r != NULL) {
        conn_read_grow(r);
        size_t room = r->cap - r->have;
        *rest = room < CONN_READ_MAX ? room : CONN_READ_MAX;
        whole = r->have + *rest == r->body.size;
        v[count++] = (struct iovec){(r->far != NULL ? r->far : r->near) + r->have, *rest};
    }
    if (whole)
        v[count++] = (struct iovec){c->front->buffer, CONN_BUFFER_SIZE};
    return count;
}

/* Reads once. 0 when there is nothing more for now. */
static size_t conn_read_some(struct conn *c)
{
    struct conn_front *f = c->front;
    struct iovec v[2];
    size_t rest;
    size_t count = conn_read_vectors(c, v, &rest);
    size_t asked = v[0].iov_len + (count == 2 ? v[1].iov_len : 0);
    ssize_t n = f->calls.receive(f->calls.ctx, c->source.fd, v, count);
    f->stats.reads++;
    if (n == -EINTR)
        return 0; /* stays readable */
    if (n == -EAGAIN) {
        c->readable = false;
        return 0;
    }
    if (n <= 0) {
        conn_peer_end(c, n == 0 ? CONN_END_PEER : CONN_END_RESET);
        return 0;
    }
    ASSERT((size_t)n <= asked);
    if ((size_t)n < asked && !c->hangup)
        c->readable = false;
    c->moved_ms = f->now_ms;
    f->stats.bytes_in += (uint64_t)n;
    conn_read_take(c, rest, (size_t)n);
    return (size_t)n;
}

static void conn_read_one(struct conn *c)
{
    for (size_t done = 0; done < CONN_READ_MAX && conn_read_where(c) == CONN_READY;) {
        size_t n = conn_read_some(c);
        if (n == 0)
            break;
        done += n;
    }
    conn_read_place(c);
    if (c->place == CONN_NONE && c->state == CONN_OPEN)
        conn_peer_watch(c);
}

/* --- turns --- */

static size_t conn_read_missing(const struct conn *c)
{
    return c->partial == NULL ? SIZE_MAX : c->partial->body.size - c->partial->have;
}

/* Nothing but partial frames holds memory, and nobody has the pass. */
static bool conn_read_locked(const struct conn_front *f)
{
    return f->stats.in_flight_size >= f->options.in_flight_size_max && f->passing == NULL &&
           f->stats.requests == 0 && f->stats.gone == 0;
}

bool conn_read_relief(const struct conn_front *f)
{
    return !list_empty(&f->places[CONN_STARVED]) &&
           (f->stats.in_flight_size < f->options.in_flight_size_max || conn_read_locked(f));
}

static void conn_read_give_pass(struct conn_front *f)
{
    struct conn *best = NULL;
    LIST_EACH (node, &f->places[CONN_STARVED]) {
        struct conn *c = LIST_ENTRY(node, struct conn, reading);
        if (best == NULL || conn_read_missing(c) < conn_read_missing(best))
            best = c;
    }
    ASSERT(best != NULL && !best->pass);
    best->pass = true;
    f->passing = best;
    conn_read_place(best);
}

/* Each connection once: those that stay ready or starved go to the tail of the list itself. */
static void conn_read_list(struct conn_front *f, enum conn_place place)
{
    struct list batch;
    struct list *node;
    list_init(&batch);
    list_splice(&batch, &f->places[place]);
    while ((node = list_pop(&batch)) != NULL) {
        struct conn *c = LIST_ENTRY(node, struct conn, reading);
        ASSERT(c->place == place);
        list_add_tail(&f->places[place], node);
        conn_read_place(c); /* limits may have been reached, or left, since it came here */
        if (c->place == CONN_READY)
            conn_read_one(c);
    }
}

void conn_read_turn(struct conn_front *f)
{
    conn_read_list(f, CONN_READY);
    if (!list_empty(&f->places[CONN_STARVED]) && conn_read_locked(f))
        conn_read_give_pass(f); /* reads in the next turn */
    else if (f->stats.in_flight_size < f->options.in_flight_size_max)
        conn_read_list(f, CONN_STARVED);
}
