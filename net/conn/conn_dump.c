/* SPDX-License-Identifier: MIT
 *
 * conn_dump: the invariants of conn.h walked, and the state as text.
 */
#include "net/conn/conn_priv.h"

/* --- conn_check --- */

struct conn_sums {
    size_t requests;
    size_t unanswered;
    size_t in_flight_size;
    size_t out_size;
};

static void conn_dump_check_request(const struct conn *c, const struct conn_request *r,
                                    struct conn_sums *sums)
{
    ASSERT(r->conn == c && r->front == c->front && !r->gone);
    ASSERT(r->have == r->body.size || r->far == NULL);
    ASSERT(r->answered || r->piece_count == 0);
    ASSERT(r->piece_index <= r->piece_count);
    bool begun = r->piece_index > 0 || r->piece_pos > 0;
    ASSERT(!begun || c->queue.next == &r->link); /* C4 */
    sums->requests++;
    sums->unanswered += !r->answered;
    sums->in_flight_size += r->charge;
    sums->out_size += conn_write_left(r);
}

/* C2 of one connection. */
static void conn_dump_check_sums(const struct conn *c)
{
    struct conn_sums sums = {0};
    list_check(&c->queue);
    LIST_EACH (node, &c->queue)
        conn_dump_check_request(c, LIST_ENTRY(node, struct conn_request, link), &sums);
    if (c->partial != NULL) {
        ASSERT(c->partial->have < c->partial->body.size && c->partial->have <= c->partial->cap);
        sums.in_flight_size += c->partial->charge;
    }
    ASSERT(sums.requests == c->requests && sums.unanswered == c->unanswered);
    ASSERT(sums.in_flight_size == c->in_flight_size && sums.out_size == c->out_size);
}

static void conn_dump_check_one(const struct conn *c)
{
    bool open = c->state == CONN_OPEN || c->state == CONN_LAST;
    const struct conn_request *head = LIST_ENTRY(c->queue.next, struct conn_request, link);
    bool ready = !list_empty(&c->queue) && head->answered;
    ASSERT(list_linked(&c->reading) == (c->place != CONN_NONE)); /* C1 */
    ASSERT((c->timer.slot == 0) == (c->state == CONN_ENDED));
    ASSERT(c->place == CONN_NONE || c->readable);
    ASSERT(list_linked(&c->sending) == (c->writable && open && ready)); /* C3 */
    ASSERT(c->pass == (c->front->passing == c));
    ASSERT(c->head_size < CONN_HEAD && (c->partial == NULL || c->head_size == 0));
    conn_dump_check_sums(c);
}

static size_t conn_dump_length(const struct list *l)
{
    size_t count = 0;
    list_check(l);
    LIST_EACH (node, l)
        count++;
    return count;
}

/* C1 seen from the lists. */
static void conn_dump_check_lists(const struct conn_front *f)
{
    size_t placed[CONN_PLACES] = {0}, sending = 0;
    LIST_EACH (node, &f->all) {
        const struct conn *c = LIST_ENTRY(node, struct conn, all);
        ASSERT(c->state != CONN_ENDED);
        placed[c->place]++;
        sending += list_linked(&c->sending);
    }
    for (size_t i = CONN_READY; i < CONN_PLACES; i++)
        ASSERT(conn_dump_length(&f->places[i]) == placed[i]);
    ASSERT(list_empty(&f->places[CONN_NONE]));
    ASSERT(conn_dump_length(&f->sending) == sending);
    ASSERT(conn_dump_length(&f->all) == f->timers.count);
    ASSERT(conn_dump_length(&f->gone) == f->stats.gone);
    ASSERT(conn_dump_length(&f->spares) == f->spare_count && f->spare_count <= CONN_SPARES_MAX);
    ASSERT(f->spare_count <= CONN_SPARES_MIN || f->trim_ms != INT64_MAX);
}

/* C5 */
static void conn_dump_check_addresses(const struct conn_front *f)
{
    size_t count = 0;
    size_t at = 0;
    const struct conn_address *a;
    map_check(&f->addresses);
    while ((a = map_next(&f->addresses, &at)) != NULL) {
        ASSERT(a->count > 0);
        count += a->count;
    }
    ASSERT(count == f->stats.connections);
}

static void conn_dump_check_list(const struct list *conns, struct conn_sums *sums)
{
    LIST_EACH (node, conns) {
        const struct conn *c = LIST_ENTRY(node, struct conn, all);
        conn_dump_check_one(c);
        sums->requests += c->requests;
        sums->in_flight_size += c->in_flight_size;
        sums->out_size += c->out_size;
    }
}

void conn_check(const struct conn_front *f)
{
    struct conn_sums sums = {0};
    conn_dump_check_list(&f->all, &sums);
    conn_dump_check_list(&f->ended, &sums);
    LIST_EACH (node, &f->gone) {
        const struct conn_request *r = LIST_ENTRY(node, struct conn_request, link);
        ASSERT(r->gone && !r->answered && r->conn == NULL);
        sums.in_flight_size += r->charge;
    }
    ASSERT(sums.requests == f->stats.requests);
    ASSERT(sums.in_flight_size == f->stats.in_flight_size);
    ASSERT(sums.out_size == f->stats.out_size);
    ASSERT(conn_dump_length(&f->all) + conn_dump_length(&f->ended) == f->stats.connections);
    conn_dump_check_lists(f);
    conn_dump_check_addresses(f);
    heap_check(&f->timers);
}

/* --- conn_dump --- */

static const char *conn_dump_state(const struct conn *c)
{
    static const char *const states[CONN_STATES] = {"open", "last", "linger", "ended"};
    return states[c->state];
}

static const char *conn_dump_place(const struct conn *c)
{
    static const char *const places[CONN_PLACES] = {"none", "ready", "held", "starved"};
    return places[c->place];
}

static void conn_dump_one(const struct conn *c, struct buf *out)
{
    char peer[CONN_ADDRESS_SIZE];
    conn_peer(c, peer);
    buf_printf(out,
               "  %llu %s: %s, reading %s, %s; %zu requests, %zu with the user, %zu bytes in, "
               "%zu out, quiet for %lld ms",
               (unsigned long long)c->id, peer, conn_dump_state(c), conn_dump_place(c),
               c->writable ? "writable" : "full", c->requests, c->unanswered, c->in_flight_size,
               c->out_size, (long long)(c->front->now_ms - c->moved_ms));
    if (c->partial != NULL)
        buf_printf(out, "; frame %zu of %zu bytes", c->partial->have, c->partial->body.size);
    buf_append(out, "\n", 1);
}

void conn_dump(const struct conn_front *f, struct buf *out)
{
    const struct conn_stats *s = &f->stats;
    size_t count = 0;
    buf_printf(out,
               "connections: %zu of %zu, %zu listeners; %zu requests, %zu gone, %zu of %zu bytes "
               "in flight, %zu bytes out%s\n",
               s->connections, f->options.connections_max, f->listener_count, s->requests, s->gone,
               s->in_flight_size, f->options.in_flight_size_max, s->out_size,
               f->stop_ms != INT64_MAX ? "; stopping" : "");
    for (size_t i = 0; i < CONN_ENDS; i++)
        if (s->ended[i] > 0)
            buf_printf(out, "  %s: %llu\n", conn_end_text((enum conn_end)i),
                       (unsigned long long)s->ended[i]);
    LIST_EACH (node, &f->all) {
        if (count++ == CONN_DUMP_MAX) {
            buf_printf(out, "  and more\n");
            break;
        }
        conn_dump_one(LIST_ENTRY(node, struct conn, all), out);
    }
}

void conn_each(const struct conn_front *f, size_t max, void (*fn)(void *ctx, const struct conn *c),
               void *ctx)
{
    size_t count = 0;
    LIST_EACH (node, &f->all)
        if (count++ < max)
            fn(ctx, LIST_ENTRY(node, struct conn, all));
        else
            break;
}
