/* SPDX-License-Identifier: MIT
 *
 * ship: carries calls to other brokers over the native protocol: the asking side of
 * engine/broker/ship.h (net/nano is the other one). It knows no event library and never waits: the
 * owner's loop polls ship_fd and calls, once per turn,
 *
 *   ship_turn(s)     receive, give up what is late, run `done`
 *   work_drain, broker_run
 *   ship_flush(s)    send
 *
 *   ship_link.send -> waiting --ship_flush--> out, on a lane --answer, deadline--> done -> release
 *                     (of its peer)           (a session)
 *
 * A peer is an address; it has up to SHIP_LANES sessions (client_wire), for one session has one
 * message of answers on its way at a time: while the second is made and sent, the first is taken
 * in. A call goes to the lane with the fewest. Lost messages, restarts and dead sockets are the
 * wire's: it asks again until an answer or the deadline comes.
 *
 * How much a pull may bring: ship.response.max.bytes; but on a slow line a window for each peer,
 * which grows while answers that fill it come fast and shrinks when they are slow or late, so that
 * an answer ends well before its deadline. With ship.bandwidth.max, what came delays the next pull
 * that asks for bytes.
 *
 * Bytes and texts of an answer stay where they were received until ship_link.release.
 *
 * With a secret every call is sealed, and an answer without the right seal is BROKER_DENIED.
 *
 * Limits: peers_max addresses (an idle one goes, else BROKER_BUSY); messages of SHIP_RECEIVE_MAX.
 *
 * Invariants (ship_check): S1 a call that is not over is in a list of its peer, waiting or out, and
 * has a deadline; S2 a lane's `count` is the calls of `out` that are on it; S3 `done` runs inside
 * ship_turn only, once for each call.
 * Failures of a call: BROKER_TIMED_OUT (late, or nobody listens there: then soon), BROKER_STOPPING
 * (cancelled), BROKER_DENIED (secrets differ), BROKER_BAD_REQUEST (no address; not an answer that
 * can be read); and what the asked broker says.
 */
#pragma once

#include "engine/base/clock.h"
#include "engine/broker/ship.h"

#define SHIP_LANES        2
#define SHIP_RECEIVE_MAX  (256u * 1024 * 1024)
#define SHIP_TIMEOUT_MS   30000        /* of a call that names none */
#define SHIP_WINDOW_MIN   (64u * 1024) /* bytes of a pull on the slowest line */
#define SHIP_WINDOW_START (512u * 1024)
#define SHIP_FAST_MS      250    /* an answer that comes sooner widens the window */
#define SHIP_SLOW_MS      1000   /* one that comes later narrows it */
#define SHIP_IDLE_MS      300000 /* a peer without calls is forgotten */
#define SHIP_SAY_MS       10000  /* between two lines of the log */

struct cargo_seal;
struct ship;

struct ship_options {
    const struct clock *clock; /* borrowed for its life, like config and seal */
    const struct config
        *config;             /* ship.response.max.bytes and ship.bandwidth.max, when they count */
    struct cargo_seal *seal; /* NULL: no secret */
    int32_t broker_id;       /* told to the peers, for their logs */
    size_t peers_max;        /* default 64 */
    /* A line for the operator's log, as broker_env.log; NULL: nobody listens. */
    void (*log)(void *ctx, int level, const char *line);
    void *ctx;
};

/* 0 or -errno. *out is owned. */
int ship_open(const struct ship_options *o, struct ship **out) MUST_CHECK;
/* Closes; every call was released. NULL is fine; returns NULL. */
struct ship *ship_close(struct ship *s);
/* What the broker sends by; ctx is `s`. */
struct ship_link ship_link(struct ship *s);
/* Readable when ship_turn has something to do. */
int ship_fd(const struct ship *s);
void ship_turn(struct ship *s);
void ship_flush(struct ship *s);
/* Monotonic ms when the next turn is due; INT64_MAX when none. After ship_flush. */
int64_t ship_next_ms(const struct ship *s);

struct ship_stats {
    uint64_t sent;        /* calls, each once */
    uint64_t answered;    /* with a right seal */
    uint64_t size;        /* raw bytes of these */
    uint64_t timed_out;   /* late */
    uint64_t unreachable; /* given up for nobody listened */
    uint64_t denied;      /* the seal was wrong, at either side */
    uint64_t bad;         /* answers that could not be read */
    size_t calls;         /* not released */
    size_t peers;
    size_t window; /* the least of all peers' now; 0: no peers */
};
void ship_stats(const struct ship *s, struct ship_stats *out);
/* Walks all invariants; asserts. */
void ship_check(const struct ship *s);
