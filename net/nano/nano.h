/* SPDX-License-Identifier: MIT
 *
 * nano: the native front. One raw REP socket of nanomsg bound to one URL, polled by the owner's
 * event loop; each message is decoded, becomes one call of the broker, and its answer is encoded.
 * The protocol is told at the head of proto/kauri.proto. The front decides nothing about topics or
 * records, and knows no event library: the loop polls nano_fd and calls, once per turn,
 *
 *   nano_turn(n)      receive what is there, start the calls
 *   work_drain, broker_run
 *   nano_flush(n)     send the answers that are ready to the sessions that have credit
 *
 *            message                 answer                     confirmed by `received`, or resync
 *   client ---------> running calls --------> ready calls of   <-----------------------------------
 *                     (running_size)          their session     one message of answers on its way
 *                                             (ready_size)
 *
 * A session is a client's name for itself, not a connection: its answers go where its newest call
 * came from. An answer is a cache: once sent it is forgotten, and when it was lost, or dropped
 * because too many are waiting, the client repeats the call.
 *
 * Limits and what happens at each:
 *   message_size_max    nanomsg drops the connection of a larger message before allocating it
 *   in_flight_size_max  bytes of running calls: no more is received until some end (they end
 *                       without the client's help). The same figure bounds the memory of ready
 *                       answers: the session that holds most loses the newest half of its own
 *   session_calls_max   calls of one session, running or ready: BUSY; from twice that on, dropped
 *   sessions_max        the session idle longest without calls goes; else BUSY
 *   NANO_ITEMS_MAX      items or configs in one call: BAD_REQUEST
 *   NANO_PARSE_SIZE_MAX memory of one decoded header: BAD_REQUEST
 *
 * Who may come: an ipc socket has mode 0600 whatever the umask, in a folder made with 0700; tcp is
 * refused beyond loopback unless the options allow it, for this protocol has no passwords. Calls of
 * other brokers are told from strangers' by a shared secret (nano_ship.h).
 *
 * Invariants (nano_check): N1 the sessions of the map and of the idle list are the same, the list
 * ascending by the time they were last heard; N2 running_size and ready_size are the sums over the
 * calls; N3 a session is in the sending list exactly when it has ready answers and nothing on its
 * way; N4 confirmed is sequence, or sequence - 1 while a message is on its way.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"

struct broker;
struct cargo_seal;
struct clock;
struct nano;
struct tally;

#define NANO_ITEMS_MAX        4096
#define NANO_PARSE_SIZE_MAX   (8u * 1024 * 1024)
#define NANO_MESSAGE_SIZE_MIN (256u * 1024) /* bounds of message_size_max */
#define NANO_MESSAGE_SIZE_MAX (1024u * 1024 * 1024)
#define NANO_CLIENT_SIZE_MAX  256
#define NANO_WHY_SIZE         256

/* Zero means the default for every number. */
struct nano_options {
    struct broker *broker; /* borrowed for the front's life, like clock */
    struct clock *clock;
    const char *url;           /* ipc:///run/kauri/kauri.sock or tcp://127.0.0.1:9095 */
    const char *software;      /* told in hello: "kauri 0.1.0"; borrowed for the front's life */
    bool allow_insecure;       /* tcp addresses other than loopback */
    size_t sessions_max;       /* default 1024 */
    size_t message_size_max;   /* bytes, both directions, default 16 MiB */
    size_t in_flight_size_max; /* bytes, default 256 MiB */
    size_t session_calls_max;  /* default 1024 */
    int64_t idle_timeout_ms;   /* a session not heard for so long is forgotten, default 10 min */
    uint64_t seed;             /* for the hash maps */
    struct cargo_seal *seal;   /* of calls of other brokers; NULL: no secret. Borrowed likewise */
    /* A line for the operator's log, as broker_env.log; NULL: nobody listens. */
    void (*log)(void *ctx, int level, const char *line);
    void *ctx;
    char *why; /* NULL, or room for NANO_WHY_SIZE bytes: one line about a failed open */
};

/* Conditions of nano_open. */
#define NANO_BAD_URL  1 /* neither ipc:// nor tcp:// with an address and a port, or too long */
#define NANO_IN_USE   2 /* somebody else answers there, or something not a socket lies there */
#define NANO_INSECURE 3 /* not a loopback address, and allow_insecure is not set */
#define NANO_FOLDER   4 /* the folder of the socket is missing and cannot be made */

/* Binds. Several fronts may serve one broker, each with its sessions. 0, a condition, or -errno;
 * after a failure *why says more. *out is owned. */
int nano_open(const struct nano_options *o, struct nano **out) MUST_CHECK;
/* Readable when nano_turn has something to do; poll it only while nano_wants_read. */
int nano_fd(const struct nano *n);
/* False while running calls hold in_flight_size_max bytes; some end in broker_run. */
bool nano_wants_read(const struct nano *n);
/* Receives and starts at most NANO_TURN_MAX calls, then sends like nano_flush. 0 or -errno (the
 * socket is gone: fatal). The descriptor stays readable when more is there. */
#define NANO_TURN_MAX 256
int nano_turn(struct nano *n) MUST_CHECK;
/* Sends the ready answers of every session with credit, in one message each; forgets idle sessions.
 * Never waits. */
void nano_flush(struct nano *n);
/* Monotonic ms of the next forgetting; INT64_MAX when none. */
int64_t nano_next_ms(const struct nano *n);
/* From now on calls are answered STOPPING; waiting fetches are cancelled. Keep the turns going
 * until nano_stopped: no call is with the broker any more. */
void nano_stop(struct nano *n);
bool nano_stopped(const struct nano *n);
/* Closes and frees; only when no call is with the broker. NULL is fine. */
struct nano *nano_close(struct nano *n);

struct nano_stats {
    uint64_t received; /* messages */
    uint64_t sent;     /* messages of answers */
    uint64_t dropped;  /* messages that could not even be answered */
    uint64_t refused;  /* answered BAD_REQUEST, UNKNOWN_SESSION or BUSY by the front itself */
    uint64_t repeated; /* calls that were still running or ready */
    uint64_t denied;   /* calls of other brokers without the right seal */
    uint64_t shed;     /* ready answers given up for memory */
    size_t sessions;
    size_t running;
    size_t running_size;
    size_t ready_size;
};
void nano_stats(const struct nano *n, struct nano_stats *out);
/* Every call of the protocol that was made: its name and how long it took, from its message to its
 * answer (that is ready, not sent). */
void nano_each_call(const struct nano *n,
                    void (*fn)(void *ctx, const char *call, const struct tally *t), void *ctx);
/* Walks all invariants; asserts. */
void nano_check(const struct nano *n);
