/* SPDX-License-Identifier: MIT
 *
 * nano_session: see nano_session.h.
 */
#include "net/nano/nano_session.h"

#include <nanomsg/nn.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/random.h"
#include "net/nano/nano_ship.h"

#define NANO_ARENA_SIZE 4096 /* what a call's arena costs at least */

/* --- calls --- */

struct nano_call *nano_call_new(struct nano *n, void *message, size_t size)
{
    struct nano_call *c = assert_memory(calloc(1, sizeof *c), sizeof *c);
    ASSERT(message != NULL);
    c->nano = n;
    c->message = message;
    c->message_size = size;
    c->began_us = n->options.clock->mono_us(n->options.clock);
    list_init(&c->link);
    arena_init(&c->arena, NANO_PARSE_SIZE_MAX);
    return c;
}

void nano_call_drop_message(struct nano_call *c)
{
    if (c->message != NULL)
        nn_freemsg(c->message);
    c->message = NULL;
    c->message_size = 0;
}

static size_t nano_call_cost(const struct nano_call *c)
{
    return sizeof *c + NANO_ARENA_SIZE + c->arena.used + c->message_size;
}

/* True when the session's next message may go out. */
static bool nano_session_credit(const struct nano_session *s)
{
    ASSERT(s->confirmed == s->sequence || s->confirmed + 1 == s->sequence);
    return s->confirmed == s->sequence;
}

/* Keeps N3 after the ready answers or the credit changed. */
static void nano_session_settle(struct nano *n, struct nano_session *s)
{
    bool send = !list_empty(&s->ready) && nano_session_credit(s);
    if (send && !list_linked(&s->sending))
        list_add_tail(&n->sending, &s->sending);
    else if (!send && list_linked(&s->sending))
        list_remove(&s->sending);
}

static void nano_call_leave(struct nano_call *c, struct nano_session *s)
{
    void *removed = map_remove(&s->calls, map_key64(&c->id));
    ASSERT(removed == c);
    if (list_linked(&c->link)) {
        list_remove(&c->link);
        ASSERT(s->ready_size >= c->size);
        s->ready_size -= c->size;
        c->nano->stats.ready_size -= c->size;
        nano_session_settle(c->nano, s);
    }
    c->session = NULL;
}

void nano_call_free(struct nano_call *c)
{
    if (c->session != NULL)
        nano_call_leave(c, c->session);
    ASSERT(!list_linked(&c->link));
    if (c->pinned && nano_ship_is(c))
        nano_ship_release(c);
    else if (c->pinned)
        broker_fetch_release(c->nano->options.broker, &c->fetch);
    nano_call_drop_message(c);
    arena_deinit(&c->arena);
    free(c);
}

void nano_call_join(struct nano_call *c, struct nano_session *s)
{
    ASSERT(c->session == NULL && c->id != 0);
    void *replaced = map_put(&s->calls, map_key64(&c->id), c);
    ASSERT(replaced == NULL);
    c->session = s;
}

void nano_call_run(struct nano_call *c)
{
    ASSERT(!list_linked(&c->link) && c->session != NULL);
    c->size = nano_call_cost(c);
    c->nano->stats.running_size += c->size;
    c->nano->stats.running++;
    list_add_tail(&c->nano->running, &c->link);
}

void nano_call_cancel(struct nano_call *c)
{
    ASSERT(c->request != NULL);
    if (c->request->call_case == KAURI__CALL__CALL_FETCH)
        broker_fetch_cancel(c->nano->options.broker, &c->fetch);
    else if (nano_ship_is(c))
        nano_ship_cancel(c);
}

void nano_call_end(struct nano_call *c)
{
    struct nano_stats *stats = &c->nano->stats;
    ASSERT(list_linked(&c->link) && stats->running > 0 && stats->running_size >= c->size);
    list_remove(&c->link);
    stats->running_size -= c->size;
    stats->running--;
}

static void nano_session_drop_ready(struct nano_session *s)
{
    while (!list_empty(&s->ready))
        nano_call_free(LIST_ENTRY(s->ready.next, struct nano_call, link));
    ASSERT(s->ready_size == 0);
}

/* The newest half of its ready answers, so that the oldest get through however often all are asked
 * for again at once. */
static void nano_session_halve(struct nano *n, struct nano_session *s)
{
    size_t keep = s->ready_size / 2;
    ASSERT(!list_empty(&s->ready));
    while (s->ready_size > keep) {
        n->stats.shed++;
        nano_call_free(LIST_ENTRY(s->ready.prev, struct nano_call, link));
    }
}

/* The session whose ready answers hold most memory loses half of them, until all fit again.
 * O(sessions), but each time frees at least half a sessions_max-th of the limit. */
static void nano_session_shed(struct nano *n)
{
    while (n->stats.ready_size > n->options.in_flight_size_max) {
        struct nano_session *most = NULL;
        LIST_EACH (node, &n->idle) {
            struct nano_session *s = LIST_ENTRY(node, struct nano_session, idle);
            most = most == NULL || s->ready_size > most->ready_size ? s : most;
        }
        ASSERT(most != NULL && most->ready_size > 0);
        nano_session_halve(n, most);
    }
}

void nano_call_ready(struct nano_call *c)
{
    struct nano_session *s = c->session;
    ASSERT(c->answer != NULL && !list_linked(&c->link));
    if (s == NULL) {
        nano_call_free(c);
        return;
    }
    nano_call_drop_message(c);
    c->size = nano_call_cost(c);
    s->ready_size += c->size;
    c->nano->stats.ready_size += c->size;
    list_add_tail(&s->ready, &c->link);
    nano_session_settle(c->nano, s);
    nano_session_shed(c->nano);
}

/* --- life of sessions --- */

struct nano_session *nano_session_find(struct nano *n, uint64_t id)
{
    int64_t key = (int64_t)id;
    return map_get(&n->sessions, map_key64(&key));
}

/* Leaves the running calls to their completion and frees the ready ones. */
static void nano_session_empty(struct nano *n, struct nano_session *s)
{
    nano_session_drop_ready(s);
    size_t at = 0;
    for (struct nano_call *c; (c = map_next(&s->calls, &at)) != NULL;) {
        c->session = NULL;
        nano_call_cancel(c);
    }
    map_deinit(&s->calls);
    map_init(&s->calls, n->options.seed ^ (uint64_t)s->id);
    s->sequence = s->confirmed = 0;
}

void nano_session_drop(struct nano *n, struct nano_session *s)
{
    nano_session_empty(n, s);
    ASSERT(!list_linked(&s->sending));
    void *removed = map_remove(&n->sessions, map_key64(&s->id));
    ASSERT(removed == s);
    list_remove(&s->idle);
    map_deinit(&s->calls);
    free(s->client);
    free(s);
}

/* Makes room by the session idle longest without calls. False when there is none. */
static bool nano_session_evict(struct nano *n)
{
    LIST_EACH (node, &n->idle) {
        struct nano_session *s = LIST_ENTRY(node, struct nano_session, idle);
        if (s->calls.count == 0) {
            nano_session_drop(n, s);
            return true;
        }
    }
    return false;
}

static void nano_session_name(struct nano_session *s, const char *client)
{
    size_t size = strlen(client);
    ASSERT(size <= NANO_CLIENT_SIZE_MAX);
    free(s->client);
    s->client = assert_memory(strdup(client), size + 1);
}

struct nano_session *nano_session_hello(struct nano *n, uint64_t id, const char *client)
{
    struct nano_session *s = nano_session_find(n, id);
    ASSERT(id != 0);
    if (s != NULL) {
        nano_session_empty(n, s);
        nano_session_name(s, client);
        return s;
    }
    if (n->sessions.count >= n->options.sessions_max && !nano_session_evict(n))
        return NULL;
    s = assert_memory(calloc(1, sizeof *s), sizeof *s);
    s->id = (int64_t)id;
    nano_session_name(s, client);
    s->heard_ms = n->options.clock->mono_ms(n->options.clock);
    random_entropy(s->nonce, sizeof s->nonce);
    list_init(&s->ready);
    list_init(&s->sending);
    list_add_tail(&n->idle, &s->idle);
    map_init(&s->calls, n->options.seed ^ id);
    void *replaced = map_put(&n->sessions, map_key64(&s->id), s);
    ASSERT(replaced == NULL);
    return s;
}

void nano_session_heard(struct nano *n, struct nano_session *s, const Kauri__Call *call)
{
    list_remove(&s->idle);
    list_add_tail(&n->idle, &s->idle);
    s->heard_ms = n->options.clock->mono_ms(n->options.clock);
    s->route = n->route;
    if (call == NULL)
        return;
    if (call->resync || call->received == s->sequence)
        s->confirmed = s->sequence;
    nano_session_settle(n, s);
}

void nano_session_sent(struct nano *n, struct nano_session *s)
{
    ASSERT(nano_session_credit(s));
    s->sequence++;
    nano_session_settle(n, s);
    ASSERT(!list_linked(&s->sending));
}

void nano_session_expire(struct nano *n)
{
    int64_t now = n->options.clock->mono_ms(n->options.clock);
    while (now >= nano_next_ms(n))
        nano_session_drop(n, LIST_ENTRY(n->idle.next, struct nano_session, idle));
}

/* --- invariants --- */

static void nano_session_check(const struct nano *n, const struct nano_session *s, size_t *ready)
{
    size_t size = 0;
    size_t count = 0;
    LIST_EACH (node, &s->ready) {
        const struct nano_call *c = LIST_ENTRY(node, struct nano_call, link);
        ASSERT(c->session == s && c->answer != NULL && c->message == NULL);
        size += c->size;
        count++;
    }
    map_check(&s->calls);
    ASSERT(count <= s->calls.count && size == s->ready_size);
    ASSERT(map_get(&n->sessions, map_key64(&s->id)) == s);
    ASSERT(list_linked(&s->sending) == (count > 0 && nano_session_credit(s)));
    *ready += size;
}

void nano_check(const struct nano *n)
{
    size_t running = 0;
    size_t ready = 0;
    size_t sessions = 0;
    int64_t heard_ms = INT64_MIN;
    LIST_EACH (node, &n->running) {
        running += LIST_ENTRY(node, struct nano_call, link)->size;
    }
    LIST_EACH (node, &n->idle) {
        const struct nano_session *s = LIST_ENTRY(node, struct nano_session, idle);
        nano_session_check(n, s, &ready);
        ASSERT(s->heard_ms >= heard_ms);
        heard_ms = s->heard_ms;
        sessions++;
    }
    map_check(&n->sessions);
    ASSERT(sessions == n->sessions.count && sessions <= n->options.sessions_max);
    ASSERT(running == n->stats.running_size && ready == n->stats.ready_size);
    ASSERT(ready <= n->options.in_flight_size_max);
}
