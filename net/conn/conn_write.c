/* SPDX-License-Identifier: MIT
 *
 * conn_write: answers, and bytes out.
 *
 * The answers at the head of a queue leave together in one sendmsg: small pieces of our own memory
 * are copied side by side (a vector entry costs the kernel more than the copy), the rest is sent
 * from where it lies. Memory of others is never read here (conn_piece_slice). A file range leaves
 * by sendfile when it has come to the head; what lies before it is sent with MSG_MORE.
 *
 *   queue:     [size|header|slice|slice] [size|header] [size|header] [size|header|FILE]
 *   sendmsg:   (size header)(slice)(slice)(size header size header size header)  then sendfile
 *               copied       in place      copied
 *
 * Only EAGAIN says that a socket is full: a short count may also mean that a page could not be
 * read, and then no event would ever come.
 */
#include <errno.h>
#include <malloc.h>
#include <sys/sendfile.h>

#include "net/conn/conn_priv.h"

#define CONN_VECTORS  128u
#define CONN_COPY_MAX 2048u
#define CONN_SEND_ONE (1024u * 1024) /* bytes of one call */

ssize_t conn_write_send(void *ctx, int fd, const struct msghdr *message, int flags)
{
    (void)ctx;
    ssize_t n = message->msg_iovlen == 1
                    ? send(fd, message->msg_iov->iov_base, message->msg_iov->iov_len, flags)
                    : sendmsg(fd, message, flags);
    return n < 0 ? -errno : n;
}

ssize_t conn_write_send_file(void *ctx, int fd, struct conn_range from)
{
    (void)ctx;
    off_t pos = from.pos;
    ssize_t n = sendfile(fd, from.fd, &pos, from.size);
    return n < 0 ? -errno : n;
}

static void conn_write_release(const struct conn_piece *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (pieces[i].release != NULL)
            pieces[i].release(pieces[i].ctx);
}

static void conn_write_uncharge(struct conn_request *r, size_t size)
{
    ASSERT(size <= r->charge && r->charge <= r->front->stats.in_flight_size);
    r->charge -= size;
    r->front->stats.in_flight_size -= size;
    if (r->conn != NULL)
        r->conn->in_flight_size -= size;
}

/* --- spare requests --- */

void conn_write_free_spares(struct conn_front *f, size_t count)
{
    ASSERT(count <= f->spare_count);
    f->spare_count -= count;
    for (; count > 0; count--) {
        struct conn_request *r = LIST_ENTRY(f->spares.prev, struct conn_request, link);
        list_remove(&r->link); /* the coldest */
        arena_deinit(&r->arena);
        free(r);
    }
}

void conn_write_trim(struct conn_front *f)
{
    if (f->now_ms < f->trim_ms)
        return;
    size_t above = f->spare_count > CONN_SPARES_MIN ? f->spare_count - CONN_SPARES_MIN : 0;
    size_t count = f->spare_low < above ? f->spare_low : above;
    conn_write_free_spares(f, count);
    if (count >= CONN_GIVE_BACK)
        (void)malloc_trim(0); /* else the holes between what lives stay ours */
    bool more = f->spare_count > CONN_SPARES_MIN;
    f->trim_ms = more ? f->now_ms + CONN_TRIM_MS : INT64_MAX;
    f->spare_low = f->spare_count;
}

/* Its memory is used again, but for what only a large request needed. */
static void conn_write_spare(struct conn_front *f, struct conn_request *r)
{
    if (f->spare_count == CONN_SPARES_MAX) {
        arena_deinit(&r->arena);
        free(r);
        return;
    }
    arena_reset(&r->arena);
    list_add_head(&f->spares, &r->link);
    if (++f->spare_count > CONN_SPARES_MIN && f->trim_ms == INT64_MAX) {
        f->trim_ms = f->now_ms + CONN_TRIM_MS;
        f->spare_low = 0;
    }
}

/* --- requests and their answers --- */

size_t conn_write_left(const struct conn_request *r)
{
    size_t left = 0;
    for (size_t i = r->piece_index; i < r->piece_count; i++)
        left += r->pieces[i].size;
    ASSERT(r->piece_pos <= left);
    return left - r->piece_pos;
}

static void conn_write_uncount(struct conn_request *r)
{
    struct conn *c = r->conn;
    size_t left = conn_write_left(r);
    if (c == NULL || c->partial == r)
        return;
    ASSERT(r->answered && left <= c->out_size && c->requests > 0);
    c->requests--;
    c->out_size -= left;
    r->front->stats.requests--;
    r->front->stats.out_size -= left;
}

void conn_write_free(struct conn_request *r)
{
    ASSERT(!list_linked(&r->link));
    conn_write_uncount(r);
    conn_write_uncharge(r, r->charge);
    conn_write_release(r->pieces, r->piece_count);
    if (r->pieces != r->few)
        free(r->pieces);
    free(r->far);
    conn_write_spare(r->front, r);
}

static bool conn_write_in_body(const struct conn_request *r, const struct conn_piece *piece)
{
    uintptr_t p = (uintptr_t)piece->p, body = (uintptr_t)r->far;
    return piece->p != NULL && p >= body && p - body < r->body.size;
}

/* A large body is not kept until its answer has left, unless the answer needs it. */
static void conn_write_drop_body(struct conn_request *r)
{
    if (r->far == NULL)
        return;
    for (size_t i = 0; i < r->piece_count; i++)
        if (conn_write_in_body(r, &r->pieces[i]))
            return;
    conn_write_uncharge(r, r->have);
    free(r->far);
    r->far = NULL;
    r->body = SLICE_NULL;
}

/* Keeps the pieces behind the size. Returns how many bytes will leave. */
static size_t conn_write_keep(struct conn_request *r, const struct conn_piece *pieces, size_t count)
{
    size_t bytes = (count + 1) * sizeof *pieces;
    size_t total = 0;
    ASSERT(count < SIZE_MAX / sizeof *pieces - 1);
    if (count == 0)
        return 0;
    r->pieces = count < CONN_PIECES_INLINE ? r->few : assert_memory(malloc(bytes), bytes);
    memcpy(r->pieces + 1, pieces, count * sizeof *pieces);
    r->piece_count = count + 1;
    for (size_t i = 0; i < count; i++)
        total += pieces[i].size;
    ASSERT(total <= INT32_MAX);
    bytes_put_be32(r->head, (uint32_t)total);
    r->pieces[0] = conn_piece_bytes(slice_of(r->head, sizeof r->head));
    return total + sizeof r->head;
}

/* Nobody is left to answer. */
static void conn_write_forget(struct conn_request *r, const struct conn_piece *pieces, size_t count)
{
    struct conn_front *f = r->front;
    ASSERT(r->conn == NULL && f->stats.gone > 0);
    list_remove(&r->link);
    f->stats.gone--;
    conn_write_release(pieces, count);
    conn_write_free(r);
}

void conn_answer(struct conn_request *r, const struct conn_piece *pieces, size_t count)
{
    struct conn *c = r->conn;
    ASSERT(!r->answered && (count == 0 || pieces != NULL));
    r->answered = true;
    if (r->gone) {
        conn_write_forget(r, pieces, count);
        return;
    }
    size_t size = conn_write_keep(r, pieces, count);
    conn_write_drop_body(r);
    ASSERT(c->unanswered > 0);
    c->unanswered--;
    c->out_size += size;
    c->front->stats.out_size += size;
    conn_read_place(c);
    conn_write_place(c);
}

void conn_answer_last(struct conn_request *r, const struct conn_piece *pieces, size_t count)
{
    if (!r->gone) {
        r->last = true;
        conn_peer_last(r->conn, CONN_END_DROPPED);
    }
    conn_answer(r, pieces, count);
}

/* --- gathering --- */

struct conn_vectors {
    struct iovec v[CONN_VECTORS];
    size_t count;
    size_t size;   /* bytes in all */
    size_t copied; /* bytes in the gather buffer */
    bool file;     /* a file range comes next */
};

static bool conn_write_is_file(const struct conn_piece *piece)
{
    return piece->p == NULL && piece->fd >= 0;
}

/* True when we may read the bytes, and they are few. */
static bool conn_write_is_small(const struct conn_piece *piece, size_t size)
{
    return size <= CONN_COPY_MAX && (piece->release == NULL || piece->release == free);
}

static void conn_write_copy(struct conn_front *f, struct conn_vectors *g, struct slice s)
{
    uint8_t *to = f->gather + g->copied;
    struct iovec *end = g->count > 0 ? &g->v[g->count - 1] : NULL;
    ASSERT(s.size <= CONN_BUFFER_SIZE - g->copied);
    memcpy(to, s.p, s.size);
    g->copied += s.size;
    if (end != NULL && (uint8_t *)end->iov_base + end->iov_len == to)
        end->iov_len += s.size;
    else
        g->v[g->count++] = (struct iovec){to, s.size};
}

/* Adds what is left of a piece from pos on. False when it does not fit whole. */
static bool conn_write_add(struct conn_front *f, struct conn_vectors *g,
                           const struct conn_piece *piece, size_t pos)
{
    size_t left = piece->size - pos;
    size_t room = CONN_SEND_ONE - g->size;
    size_t take = left < room ? left : room;
    if (take == 0 || g->count == CONN_VECTORS)
        return left == 0;
    if (conn_write_is_small(piece, take) && take <= CONN_BUFFER_SIZE - g->copied)
        conn_write_copy(f, g, slice_of(piece->p + pos, take));
    else /* sendmsg reads only, though its vectors are not const */
        g->v[g->count++] = (struct iovec){(void *)(uintptr_t)(piece->p + pos), take};
    g->size += take;
    return take == left;
}

/* Adds a request's answer. False when nothing behind it can be added. */
static bool conn_write_add_request(struct conn_front *f, struct conn_vectors *g,
                                   const struct conn_request *r)
{
    size_t pos = r->piece_pos;
    for (size_t i = r->piece_index; i < r->piece_count; i++, pos = 0) {
        g->file = conn_write_is_file(&r->pieces[i]) && r->pieces[i].size > 0;
        if (g->file || !conn_write_add(f, g, &r->pieces[i], pos))
            return false;
    }
    return !r->last;
}

static void conn_write_gather(const struct conn *c, struct conn_vectors *g)
{
    g->count = g->size = g->copied = 0;
    g->file = false;
    LIST_EACH (node, &c->queue) {
        const struct conn_request *r = LIST_ENTRY(node, struct conn_request, link);
        if (!r->answered || !conn_write_add_request(c->front, g, r))
            break;
    }
}

/* --- sending --- */

static struct conn_request *conn_write_head(const struct conn *c)
{
    struct conn_request *r = LIST_ENTRY(c->queue.next, struct conn_request, link);
    return !list_empty(&c->queue) && r->answered ? r : NULL;
}

static bool conn_write_open(const struct conn *c)
{
    return c->state == CONN_OPEN || c->state == CONN_LAST;
}

void conn_write_place(struct conn *c)
{
    bool wanted = c->writable && conn_write_open(c) && conn_write_head(c) != NULL;
    if (wanted && !list_linked(&c->sending))
        list_add_tail(&c->front->sending, &c->sending);
    else if (!wanted && list_linked(&c->sending))
        list_remove(&c->sending);
}

/* Moves on by n bytes that have left. */
static void conn_write_sent(struct conn *c, size_t n)
{
    struct conn_front *f = c->front;
    struct list *node = c->queue.next;
    ASSERT(n <= c->out_size);
    c->out_size -= n;
    f->stats.out_size -= n;
    f->stats.bytes_out += n;
    c->moved_ms = f->now_ms;
    while (n > 0) {
        ASSERT(node != &c->queue);
        struct conn_request *r = LIST_ENTRY(node, struct conn_request, link);
        if (r->piece_index == r->piece_count) {
            node = node->next;
            continue;
        }
        size_t left = r->pieces[r->piece_index].size - r->piece_pos;
        size_t take = n < left ? n : left;
        r->piece_pos += take;
        n -= take;
        if (take == left) {
            r->piece_index++;
            r->piece_pos = 0;
        }
    }
}

/* True when nothing of the answer is left; moves past empty pieces. */
static bool conn_write_done(struct conn_request *r)
{
    while (r->piece_index < r->piece_count && r->pieces[r->piece_index].size == r->piece_pos) {
        r->piece_index++;
        r->piece_pos = 0;
    }
    return r->piece_index == r->piece_count;
}

/* Frees the requests at the head of the queue whose answers have left. */
static void conn_write_settle(struct conn *c)
{
    struct conn_request *r;
    while (conn_write_open(c) && (r = conn_write_head(c)) != NULL && conn_write_done(r)) {
        bool last = r->last;
        c->front->stats.answers += r->piece_count > 0;
        list_remove(&r->link);
        conn_write_free(r);
        if (last || (c->state == CONN_LAST && list_empty(&c->queue)))
            conn_peer_finish(c);
    }
}

static void conn_write_failed(struct conn *c, int error)
{
    switch (error) {
    case EINTR:
        return; /* stays in the list */
    case EAGAIN:
        c->writable = false;
        return;
    case EFAULT:
    case EIO:
    case EBADF:
    case EINVAL:
    case ENODATA: /* the file is shorter than it was */
        conn_peer_end(c, CONN_END_PIECE);
        return;
    }
    conn_peer_end(c, CONN_END_RESET);
}

/* The head of the queue is a file range. Bytes sent or -errno. */
static ssize_t conn_write_file(struct conn *c)
{
    struct conn_front *f = c->front;
    const struct conn_request *r = conn_write_head(c);
    const struct conn_piece *piece = &r->pieces[r->piece_index];
    size_t left = piece->size - r->piece_pos;
    ASSERT(conn_write_is_file(piece) && left > 0);
    struct conn_range from = {.fd = piece->fd,
                              .pos = piece->pos + (int64_t)r->piece_pos,
                              .size = left < CONN_SEND_ONE ? left : CONN_SEND_ONE};
    ssize_t n = f->calls.send_file(f->calls.ctx, c->source.fd, from);
    return n == 0 ? -ENODATA : n;
}

/* Sends once. 0 when no more can be sent for now. */
static size_t conn_write_some(struct conn *c)
{
    struct conn_front *f = c->front;
    struct conn_vectors g;
    ssize_t n;
    conn_write_gather(c, &g);
    if (g.size > 0) {
        struct msghdr message = {.msg_iov = g.v, .msg_iovlen = g.count};
        n = f->calls.send(f->calls.ctx, c->source.fd, &message,
                          MSG_NOSIGNAL | (g.file ? MSG_MORE : 0));
    } else {
        ASSERT(g.file);
        n = conn_write_file(c);
    }
    f->stats.sends++;
    if (n > 0) {
        conn_write_sent(c, (size_t)n);
        return (size_t)n;
    }
    conn_write_failed(c, n == 0 ? EAGAIN : (int)-n);
    return 0;
}

static void conn_write_one(struct conn *c)
{
    size_t done = 0;
    conn_write_settle(c);
    while (done < CONN_SEND_MAX && conn_write_open(c) && conn_write_head(c) != NULL) {
        size_t n = conn_write_some(c);
        if (n == 0)
            break;
        done += n;
        conn_write_settle(c);
    }
    conn_read_place(c);
    conn_write_place(c);
}

void conn_write_turn(struct conn_front *f)
{
    struct list batch;
    struct list *node;
    list_init(&batch);
    list_splice(&batch, &f->sending);
    while ((node = list_pop(&batch)) != NULL)
        conn_write_one(LIST_ENTRY(node, struct conn, sending));
}
