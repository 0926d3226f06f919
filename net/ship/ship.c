/* SPDX-License-Identifier: MIT
 *
 * ship: see ship.h.
 */
#include "net/ship/ship.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "net/cargo/cargo.h"
#include "net/ship/ship_priv.h"

#define SHIP_PEERS_DEFAULT 64

/* --- life --- */

int ship_open(const struct ship_options *o, struct ship **out)
{
    ASSERT(o->clock != NULL && o->config != NULL);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        return -errno;
    struct ship *s = assert_memory(calloc(1, sizeof *s), sizeof *s);
    s->options = *o;
    s->options.peers_max = o->peers_max > 0 ? o->peers_max : SHIP_PEERS_DEFAULT;
    s->epoll = epoll;
    s->wake_ms = INT64_MAX;
    list_init(&s->peers);
    list_init(&s->over);
    arena_init(&s->scratch, 0);
    (void)snprintf(s->name, sizeof s->name, "ship:%" PRId32, o->broker_id);
    *out = s;
    return 0;
}

struct ship *ship_close(struct ship *s)
{
    if (s == NULL)
        return NULL;
    ASSERT(s->stats.calls == 0 && list_empty(&s->over));
    while (!list_empty(&s->peers))
        ship_peer_free(LIST_ENTRY(s->peers.next, struct ship_peer, link));
    heap_deinit(&s->deadlines);
    arena_deinit(&s->scratch);
    (void)close(s->epoll);
    free(s);
    return NULL;
}

int64_t ship_now_ms(const struct ship *s)
{
    return s->options.clock->mono_ms(s->options.clock);
}

void ship_wake(struct ship *s, int64_t at_ms)
{
    if (at_ms < s->wake_ms)
        s->wake_ms = at_ms;
}

void ship_say(struct ship *s, const char *native, const char *what)
{
    char line[512];
    int64_t now = ship_now_ms(s);
    s->unsaid++;
    if (s->options.log == NULL || now < s->say_ms)
        return;
    (void)snprintf(line, sizeof line, "broker at %.120s: %.256s (%" PRIu64 " of them)", native,
                   what, s->unsaid);
    s->say_ms = now + SHIP_SAY_MS;
    s->unsaid = 0;
    s->options.log(s->options.ctx, 1, line);
}

/* --- the link --- */

static void ship_send(void *ctx, const char *native, struct ship_call *call)
{
    struct ship *s = ctx;
    struct ship_task *t = ship_task_new(s, call);
    uint32_t timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : SHIP_TIMEOUT_MS;
    if (!cargo_text_fits(native) || native[0] == '\0') {
        ship_task_over(t, BROKER_BAD_REQUEST, "the address is none of the native protocol");
        return;
    }
    struct ship_peer *p = ship_peer_get(s, native);
    if (p == NULL) {
        ship_task_over(t, BROKER_BUSY, "calls to too many brokers at once");
        return;
    }
    t->peer = p;
    p->used_ms = ship_now_ms(s);
    list_add_tail(&p->waiting, &t->link);
    heap_set(&s->deadlines, &t->deadline, p->used_ms + timeout_ms);
    ship_wake(s, p->used_ms);
}

static void ship_release(void *ctx, struct ship_call *call)
{
    struct ship_task *t = call->priv.state;
    ASSERT(t != NULL && t->ship == ctx && t->call == call);
    ship_task_free(t);
}

static void ship_cancel_all(struct list *tasks)
{
    while (!list_empty(tasks))
        ship_task_over(LIST_ENTRY(tasks->next, struct ship_task, link), BROKER_STOPPING,
                       "this broker gave the call up");
}

static void ship_cancel(void *ctx)
{
    struct ship *s = ctx;
    LIST_EACH (node, &s->peers) {
        struct ship_peer *p = LIST_ENTRY(node, struct ship_peer, link);
        ship_cancel_all(&p->waiting);
        ship_cancel_all(&p->out);
    }
}

struct ship_link ship_link(struct ship *s)
{
    return (struct ship_link){
        .send = ship_send, .release = ship_release, .cancel = ship_cancel, .ctx = s};
}

/* --- turns --- */

int ship_fd(const struct ship *s)
{
    return s->epoll;
}

static void ship_expire(struct ship *s)
{
    int64_t now = ship_now_ms(s);
    for (struct heap_node *node; (node = heap_pop_due(&s->deadlines, now)) != NULL;) {
        struct ship_task *t = HEAP_ENTRY(node, struct ship_task, deadline);
        s->stats.timed_out++;
        if (t->data && t->lane != NULL)
            ship_peer_pulled(t->peer, t, 0, true);
        ship_task_over(t, BROKER_TIMED_OUT, "no answer in time");
    }
}

/* Those that were over before it began: `done` may send and cancel. */
static void ship_deliver(struct ship *s)
{
    struct list now;
    list_init(&now);
    list_splice(&now, &s->over);
    for (struct list *node; (node = list_pop(&now)) != NULL;) {
        struct ship_task *t = LIST_ENTRY(node, struct ship_task, link);
        ASSERT(t->peer == NULL && t->lane == NULL);
        t->call->done(t->call);
    }
}

void ship_turn(struct ship *s)
{
    LIST_EACH_SAFE (node, &s->peers) {
        ship_peer_turn(LIST_ENTRY(node, struct ship_peer, link));
    }
    ship_expire(s);
    ship_deliver(s);
}

void ship_flush(struct ship *s)
{
    s->wake_ms = INT64_MAX;
    LIST_EACH_SAFE (node, &s->peers) {
        ship_peer_flush(LIST_ENTRY(node, struct ship_peer, link));
    }
}

int64_t ship_next_ms(const struct ship *s)
{
    const struct heap_node *first = heap_first(&s->deadlines);
    if (!list_empty(&s->over))
        return 0;
    return first != NULL && first->at < s->wake_ms ? first->at : s->wake_ms;
}

void ship_stats(const struct ship *s, struct ship_stats *out)
{
    *out = s->stats;
    out->peers = s->peer_count;
    LIST_EACH (node, &s->peers) {
        const struct ship_peer *p = LIST_ENTRY(node, struct ship_peer, link);
        out->window = out->window == 0 || p->window < out->window ? p->window : out->window;
    }
}

/* --- invariants --- */

static size_t ship_check_peer(const struct ship_peer *p)
{
    size_t on[SHIP_LANES] = {0};
    size_t count = 0;
    LIST_EACH (node, &p->waiting) {
        const struct ship_task *t = LIST_ENTRY(node, struct ship_task, link);
        ASSERT(t->peer == p && t->lane == NULL && t->deadline.slot > 0);
        count++;
    }
    LIST_EACH (node, &p->out) {
        const struct ship_task *t = LIST_ENTRY(node, struct ship_task, link);
        ASSERT(t->peer == p && t->lane >= p->lanes && t->lane < p->lanes + SHIP_LANES);
        ASSERT(t->deadline.slot > 0 && t->wire->state != CLIENT_CALL_IDLE);
        on[t->lane - p->lanes]++;
        count++;
    }
    for (size_t i = 0; i < SHIP_LANES; i++)
        ASSERT(p->lanes[i].count == on[i] && (p->lanes[i].open || on[i] == 0));
    ASSERT(p->window >= SHIP_WINDOW_MIN);
    return count;
}

void ship_check(const struct ship *s)
{
    size_t peers = 0, calls = 0;
    LIST_EACH (node, &s->peers) {
        calls += ship_check_peer(LIST_ENTRY(node, struct ship_peer, link));
        peers++;
    }
    heap_check(&s->deadlines);
    ASSERT(peers == s->peer_count && peers <= s->options.peers_max);
    ASSERT(calls == s->deadlines.count && calls <= s->stats.calls);
}
