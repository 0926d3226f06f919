/* SPDX-License-Identifier: MIT
 *
 * ship_peer: addresses, their sessions, and how much may be asked for. See ship.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "engine/base/assert.h"
#include "net/ship/ship_priv.h"

#define SHIP_LOOK_MS     250 /* how often a connection is looked after while calls are out */
#define SHIP_GREETING_MS 20  /* the same before the session lives */
#define SHIP_SECOND_US   1000000

/* --- life --- */

static struct ship_peer *ship_peer_find(const struct ship *s, const char *native)
{
    LIST_EACH (node, &s->peers) {
        struct ship_peer *p = LIST_ENTRY(node, struct ship_peer, link);
        if (strcmp(p->native, native) == 0)
            return p;
    }
    return NULL;
}

static bool ship_peer_idle(const struct ship_peer *p)
{
    return list_empty(&p->waiting) && list_empty(&p->out);
}

/* Makes room. False when every peer has calls. */
static bool ship_peer_evict(struct ship *s)
{
    struct ship_peer *oldest = NULL;
    LIST_EACH (node, &s->peers) {
        struct ship_peer *p = LIST_ENTRY(node, struct ship_peer, link);
        if (ship_peer_idle(p) && (oldest == NULL || p->used_ms < oldest->used_ms))
            oldest = p;
    }
    if (oldest != NULL)
        ship_peer_free(oldest);
    return oldest != NULL;
}

struct ship_peer *ship_peer_get(struct ship *s, const char *native)
{
    struct ship_peer *p = ship_peer_find(s, native);
    ASSERT(strlen(native) < sizeof p->native);
    if (p != NULL)
        return p;
    if (s->peer_count >= s->options.peers_max && !ship_peer_evict(s))
        return NULL;
    p = assert_memory(calloc(1, sizeof *p), sizeof *p);
    p->ship = s;
    p->window = SHIP_WINDOW_START;
    list_init(&p->waiting);
    list_init(&p->out);
    (void)snprintf(p->native, sizeof p->native, "%s", native);
    list_add_tail(&s->peers, &p->link);
    s->peer_count++;
    return p;
}

void ship_peer_free(struct ship_peer *p)
{
    ASSERT(ship_peer_idle(p));
    for (size_t i = 0; i < SHIP_LANES; i++)
        if (p->lanes[i].open) {
            ASSERT(p->lanes[i].count == 0);
            client_wire_close(&p->lanes[i].wire);
        }
    list_remove(&p->link);
    p->ship->peer_count--;
    free(p);
}

/* --- lanes --- */

/* 0, or what client_wire_open says. */
static int ship_peer_open_lane(struct ship_peer *p, struct ship_lane *lane)
{
    struct client_wire_options o = {
        .url = p->native, .name = p->ship->name, .receive_max = SHIP_RECEIVE_MAX};
    int r = client_wire_open(&lane->wire, &o);
    lane->open = r == 0;
    lane->polled = -1;
    lane->polled_send = false;
    return r;
}

/* The lane for the next call: the one with the fewest, another one when all have some. NULL: the
 * address is none. */
static struct ship_lane *ship_peer_lane(struct ship_peer *p)
{
    struct ship_lane *best = NULL;
    for (size_t i = 0; i < SHIP_LANES; i++) {
        struct ship_lane *lane = &p->lanes[i];
        if (!lane->open && (best == NULL || best->count > 0) && ship_peer_open_lane(p, lane) != 0)
            continue;
        if (lane->open && (best == NULL || lane->count < best->count))
            best = lane;
    }
    if (best != NULL && best->count == 0)
        (void)client_wire_unreachable(&best->wire); /* what failed before is not this call's */
    return best;
}

static bool ship_peer_watch(struct ship *s, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Keeps the epoll in step with the wire, whose socket may be another one by now: the descriptors of
 * the one before left the epoll when they were closed. */
static void ship_peer_poll_lane(struct ship *s, struct ship_lane *lane)
{
    const struct client_wire *w = &lane->wire;
    if (lane->polled != w->socket) {
        bool watched = ship_peer_watch(s, w->receive_fd);
        ASSERT(watched);
        lane->polled = w->socket;
        lane->polled_send = false;
    }
    if (w->blocked && !lane->polled_send) {
        lane->polled_send = ship_peer_watch(s, w->send_fd);
    } else if (!w->blocked && lane->polled_send) {
        (void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, w->send_fd, NULL);
        lane->polled_send = false;
    }
}

/* --- how much --- */

static size_t ship_peer_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t ship_peer_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t ship_peer_bandwidth(const struct ship *s)
{
    return (size_t)config_i64(s->options.config, CONFIG_SHIP_BANDWIDTH);
}

static size_t ship_peer_response_max(const struct ship *s)
{
    return (size_t)config_i64(s->options.config, CONFIG_SHIP_RESPONSE_MAX);
}

/* With a bandwidth, a quarter of a second of it: more would come in bursts. */
static uint32_t ship_peer_size_max(const struct ship_peer *p)
{
    size_t bandwidth = ship_peer_bandwidth(p->ship);
    size_t size = ship_peer_min(p->window, ship_peer_response_max(p->ship));
    if (bandwidth > 0)
        size = ship_peer_min(size, ship_peer_max(bandwidth / 4, SHIP_WINDOW_MIN));
    ASSERT(size > 0 && size <= UINT32_MAX);
    return (uint32_t)size;
}

static void ship_peer_charge(struct ship *s, size_t size)
{
    const struct clock *clock = s->options.clock;
    int64_t now = clock->mono_us(clock);
    size_t bandwidth = ship_peer_bandwidth(s);
    if (bandwidth == 0)
        return;
    s->pull_us = s->pull_us > now ? s->pull_us : now;
    s->pull_us += (int64_t)((double)size * SHIP_SECOND_US / (double)bandwidth);
}

void ship_peer_pulled(struct ship_peer *p, const struct ship_task *t, size_t size, bool late)
{
    int64_t took = ship_now_ms(p->ship) - t->left_ms;
    size_t max = ship_peer_response_max(p->ship);
    ship_peer_charge(p->ship, size);
    if (late)
        p->window = ship_peer_max(p->window / 4, SHIP_WINDOW_MIN);
    else if (size > 0 && took > (int64_t)t->call->pull.max_wait_ms + SHIP_SLOW_MS)
        p->window = ship_peer_max(p->window / 2, SHIP_WINDOW_MIN);
    else if (size >= p->window / 2 && took < SHIP_FAST_MS)
        p->window = ship_peer_min(p->window * 2, max);
    p->window = ship_peer_max(ship_peer_min(p->window, max), SHIP_WINDOW_MIN);
}

/* True while a pull for bytes has to wait for the bandwidth; then its time to wake is set. */
static bool ship_peer_held(struct ship *s)
{
    const struct clock *clock = s->options.clock;
    if (ship_peer_bandwidth(s) == 0 || clock->mono_us(clock) >= s->pull_us)
        return false;
    ship_wake(s, s->pull_us / 1000 + 1);
    return true;
}

/* --- turns --- */

static void ship_peer_launch(struct ship_peer *p)
{
    struct ship *s = p->ship;
    bool held = ship_peer_held(s);
    LIST_EACH_SAFE (node, &p->waiting) {
        struct ship_task *t = LIST_ENTRY(node, struct ship_task, link);
        if (t->data && held)
            continue;
        struct ship_lane *lane = ship_peer_lane(p);
        if (lane == NULL)
            ship_task_over(t, BROKER_BAD_REQUEST, "the address is none of the native protocol");
        else
            ship_task_launch(t, lane, ship_peer_size_max(p));
    }
}

static void ship_peer_flush_lane(struct ship *s, struct ship_lane *lane)
{
    int64_t now = ship_now_ms(s);
    struct client_wire *w = &lane->wire;
    w->wake_ms = INT64_MAX;
    client_wire_send(w, now);
    ship_peer_poll_lane(s, lane);
    ship_wake(s, w->wake_ms);
    if (lane->count > 0)
        ship_wake(s, now + (w->state == CLIENT_SESSION_ALIVE ? SHIP_LOOK_MS : SHIP_GREETING_MS));
}

void ship_peer_flush(struct ship_peer *p)
{
    struct ship *s = p->ship;
    int64_t now = ship_now_ms(s);
    if (ship_peer_idle(p) && now - p->used_ms >= SHIP_IDLE_MS) {
        ship_peer_free(p);
        return;
    }
    ship_peer_launch(p);
    for (size_t i = 0; i < SHIP_LANES; i++)
        if (p->lanes[i].open)
            ship_peer_flush_lane(s, &p->lanes[i]);
    if (ship_peer_idle(p))
        ship_wake(s, p->used_ms + SHIP_IDLE_MS);
}

/* Gives up what is on the lane. */
static void ship_peer_give_up(struct ship_peer *p, const struct ship_lane *lane,
                              enum broker_status status, const char *why)
{
    LIST_EACH_SAFE (node, &p->out) {
        struct ship_task *t = LIST_ENTRY(node, struct ship_task, link);
        if (t->lane == lane) {
            p->ship->stats.unreachable++;
            ship_task_over(t, status, why);
        }
    }
}

void ship_peer_turn(struct ship_peer *p)
{
    int64_t now = ship_now_ms(p->ship);
    for (size_t i = 0; i < SHIP_LANES; i++) {
        struct ship_lane *lane = &p->lanes[i];
        if (!lane->open)
            continue;
        (void)client_wire_receive(&lane->wire, now);
        if (lane->count == 0)
            continue;
        if (lane->wire.state == CLIENT_SESSION_REFUSED)
            ship_peer_give_up(p, lane, BROKER_BAD_REQUEST,
                              "the broker there speaks another version of the protocol");
        else if (client_wire_unreachable(&lane->wire))
            ship_peer_give_up(p, lane, BROKER_TIMED_OUT, "no broker answers there");
    }
}
