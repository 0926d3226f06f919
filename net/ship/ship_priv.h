/* SPDX-License-Identifier: MIT
 *
 * ship_priv: what the files of net/ship share.
 *
 *   ship.c       life, turns, the link
 *   ship_peer.c  peers and their lanes: opening, polling, how much to ask for
 *   ship_task.c  one call: packed, sealed, answered, over
 */
#pragma once

#include "engine/base/arena.h"
#include "engine/base/heap.h"
#include "net/client/client_wire.h"
#include "net/ship/ship.h"

#define SHIP_NAME_SIZE 32

struct ship_lane {
    struct client_wire wire;
    bool open;
    int polled; /* wire.socket whose receive_fd is in the epoll; -1 none */
    bool polled_send;
    uint64_t sequence; /* of the last sending */
    size_t count;      /* calls on it */
};

struct ship_peer {
    struct list link; /* ship.peers */
    struct ship *ship;
    struct list waiting; /* tasks in the order they came */
    struct list out;     /* tasks on a lane */
    struct ship_lane lanes[SHIP_LANES];
    size_t window;
    int64_t used_ms; /* a call came or ended */
    char native[SHIP_HOST_MAX];
};

struct ship_task {
    struct list link; /* peer.waiting, peer.out or ship.over; in none once done began */
    struct heap_node deadline;
    struct ship *ship;
    struct ship_peer *peer; /* NULL: over */
    struct ship_lane *lane; /* NULL: not out */
    struct ship_call *call; /* the asker's */
    struct client_call *wire;
    struct client_message *message; /* what the results lie in; pinned */
    struct buf body;
    int64_t left_ms; /* for its lane */
    bool data;       /* a pull that wants bytes */
    bool denied;     /* tried again with a new session after a wrong seal */
};

struct ship {
    struct ship_options options;
    struct ship_stats stats;
    int epoll;
    struct list peers;
    size_t peer_count;
    struct list over;      /* tasks whose `done` runs in the next turn */
    struct heap deadlines; /* of tasks waiting and out */
    struct arena scratch;  /* of one packing */
    int64_t wake_ms;       /* of lanes and held pulls */
    int64_t pull_us;       /* no pull for bytes before, by the bandwidth */
    int64_t say_ms;
    uint64_t unsaid;
    char name[SHIP_NAME_SIZE];
};

int64_t ship_now_ms(const struct ship *s);
void ship_wake(struct ship *s, int64_t at_ms);
/* A line about a peer, at most one in SHIP_SAY_MS. */
void ship_say(struct ship *s, const char *native, const char *what);

/* --- ship_peer.c --- */
/* The peer of an address, made when there is none. NULL: too many, all with calls. */
struct ship_peer *ship_peer_get(struct ship *s, const char *native);
void ship_peer_free(struct ship_peer *p);
/* Puts what waits on lanes, as far as the bandwidth allows, and sends. */
void ship_peer_flush(struct ship_peer *p);
/* Receives; gives up what is out when nobody listens. */
void ship_peer_turn(struct ship_peer *p);
/* A pull for bytes was answered or given up: adapts the window, charges the bandwidth. */
void ship_peer_pulled(struct ship_peer *p, const struct ship_task *t, size_t size, bool late);

/* --- ship_task.c --- */
struct ship_task *ship_task_new(struct ship *s, struct ship_call *call);
/* Puts it on a lane; packs the question with at most size_max bytes in the answer. */
void ship_task_launch(struct ship_task *t, struct ship_lane *lane, uint32_t size_max);
/* Not out any more: its `done` is next. */
void ship_task_over(struct ship_task *t, enum broker_status status, const char *message);
void ship_task_free(struct ship_task *t);
