/* SPDX-License-Identifier: MIT
 *
 * nano_priv: what the files of the native front share.
 *
 *   nano.c          the socket: open, receive, send, close
 *   nano_url.c      the address: what may be bound, and making room for it
 *   nano_calls.c    from a message to the function of its call
 *   nano_data.c     produce, fetch, list_offsets: to one broker call, its completion to an answer
 *   nano_admin.c    topics, configs, producer ids: likewise
 *   nano_topics.c   the calls answered from memory: lists of topics and configs
 *   nano_group.c    consumer groups: beat, commit, forget, delete
 *   nano_group_view.c  groups, their members, offsets and history, from memory
 *   nano_ship.c     calls of other brokers
 *   nano_session.c  sessions, credit, ready answers
 *   nano_answers.c  packing ready answers into one message
 *   nano_errmap.c   the engine's statuses in the protocol's numbers
 *
 * Life of a call:  new -> [running: with the broker] -> ready: in its session's list -> freed
 * A call whose session went while the broker had it is freed by its completion.
 */
#pragma once

#include "engine/base/arena.h"
#include "engine/base/list.h"
#include "engine/base/map.h"
#include "engine/base/tally.h"
#include "engine/broker/broker.h"
#include "engine/broker/broker_group.h"
#include "net/nano/nano.h"
#include "proto/kauri.pb-c.h"

/* The control header of a message, as nanomsg gave it: where an answer goes. */
#define NANO_ROUTE_SIZE_MAX 128
struct nano_route {
    _Alignas(8) uint8_t bytes[NANO_ROUTE_SIZE_MAX];
    size_t size;
};

#define NANO_NONCE_SIZE 16

struct nano_ship; /* nano_ship.c */

struct nano_session {
    struct list idle;    /* nano.idle */
    struct list sending; /* nano.sending, while it has ready answers and credit */
    struct list ready;   /* calls to answer, oldest first */
    struct map calls;    /* all its calls by id */
    int64_t id;
    char *client;            /* its name, as hello told; owned */
    struct nano_route route; /* of the newest call */
    uint64_t sequence;       /* of the newest message of answers */
    uint64_t confirmed;      /* sequence, or the one before while it is on its way */
    size_t ready_size;
    int64_t heard_ms;
    uint8_t nonce[NANO_NONCE_SIZE]; /* random, told in hello */
    uint64_t ship_sequence;         /* highest of a call of another broker */
};

struct nano_call {
    struct list link; /* nano.running or session.ready */
    struct nano *nano;
    struct nano_session *session; /* NULL: gone, nobody wants the answer */
    int64_t id;
    void *message; /* nanomsg's, owned; kept while the broker reads batches in it */
    size_t message_size;
    size_t size;           /* what it counts for in running_size or ready_size */
    int64_t began_us;      /* monotonic */
    bool pinned;           /* a fetch or a ship's call that was not released yet */
    struct arena arena;    /* request and answer */
    Kauri__Call *request;  /* the arena's */
    Kauri__Answer *answer; /* the arena's */
    union {
        struct broker_produce produce;
        struct broker_fetch fetch;
        struct broker_offsets offsets;
        struct broker_admin admin;
        struct broker_group group;
        struct nano_ship *ship; /* the arena's */
        struct broker_promote_request promote;
        struct broker_leave_request leave;
    };
};

#define NANO_KINDS (KAURI__CALL__CALL_CLUSTER_LEAVE + 1) /* call_case, behind the last */

struct nano {
    struct nano_options options; /* with the defaults filled in */
    struct nano_stats stats;
    struct tally tallies[NANO_KINDS]; /* by call_case, from a message to its answer */
    int socket;
    int fd;
    bool stopping;
    bool local;              /* ipc: who comes is on this host */
    bool near;               /* ipc or loopback */
    int64_t ship_say_ms;     /* the next refusal of a broker may be told then */
    uint64_t ship_denied;    /* refusals since one was told */
    struct map sessions;     /* by id */
    struct list idle;        /* sessions, longest idle first */
    struct list sending;     /* sessions with something to send and credit */
    struct list running;     /* calls with the broker */
    struct nano_route route; /* of the message being handled */
    struct arena scratch;    /* of one message of answers */
};

/* Sends a message of answers (nn_allocmsg'd, taken) to where `route` points. Never waits: what
 * cannot be sent is lost, as it may be on the way, and the client asks again. */
void nano_send(struct nano *n, struct nano_route *route, void *message);
