/* SPDX-License-Identifier: MIT
 *
 * kafka: the front for Kafka's clients: decodes a request (proto/kafka), calls the broker once,
 * encodes the answer. Bytes and sockets are net/conn's; what is decided and stored is the broker's.
 *
 *   kafka_open, each turn of the loop:
 *     kafka_turn(k)     frames in: decode, call the broker
 *     ...               what workers finished, broker_run: completions encode and answer
 *     kafka_flush(k)    answers out, timeouts
 *   kafka_stop, turns until kafka_stopped, kafka_close
 *
 * One table (kafka_apis.c) has a row for each API: its handler, and whether the body is decoded by
 * the tables of proto/kafka. Dispatch and the answer to ApiVersions come from it, so that nothing
 * is offered that is not served.
 *
 *   frame -> header -> row -> decode into the request's arena -> handler -> broker_...(done)
 *   done  -> answer in the arena, or records as pinned slices -> conn_answer, in request order
 *
 * What a client gets wrong: an unknown key, an unknown version (but for ApiVersions), or a body
 * that does not decode ends its connection without an answer, as Kafka does. Everything else is an
 * error code of the API, never -1.
 *
 * The address told to clients is the one they dialled, unless it is set: `advertised`.
 *
 * Invariants (kafka_check): K1 every call in `running` has its request with the broker; K2 a call
 * is answered exactly once; K3 pins of fetches are released when their answer has left.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/error.h"

struct broker;
struct clock;
struct kafka;
struct tally;

#define KAFKA_LISTENERS_MAX 8
#define KAFKA_WHY_SIZE      256
#define KAFKA_HOST_MAX      255

struct kafka_listener {
    const char *address;    /* HOST:PORT, see conn_listen; borrowed for the front's life */
    const char *advertised; /* HOST:PORT told to its clients; NULL: what each of them dialled */
};

struct kafka_options {
    struct broker *broker; /* borrowed for the front's life, like clock */
    struct clock *clock;
    struct kafka_listener listeners[KAFKA_LISTENERS_MAX];
    size_t listener_count;
    bool loopback_only;        /* refuse to listen elsewhere */
    size_t connections_max;    /* 0: half of the descriptor limit */
    size_t frame_size_max;     /* socket.request.max.bytes; 0: 100 MiB */
    size_t in_flight_size_max; /* queued.max.request.bytes; 0: 256 MiB */
    int64_t idle_timeout_ms;   /* connections.max.idle.ms; 0: 10 min */
    uint64_t seed;
    void (*log)(void *ctx, int level, const char *line); /* NULL: none */
    void *ctx;
    char *why; /* NULL, or room for KAFKA_WHY_SIZE bytes: one line about a failed open */
};

/* Conditions of kafka_open; *why says more. */
#define KAFKA_BAD_ADDRESS  1
#define KAFKA_IN_USE       2
#define KAFKA_NOT_LOOPBACK 3

/* Listens at every address. 0, a condition, or -errno. *out is owned. */
int kafka_open(const struct kafka_options *o, struct kafka **out) MUST_CHECK;
/* The port of the first listener, for tests that listen on port 0. */
uint16_t kafka_port(const struct kafka *k);
/* Readable when kafka_turn has something to do. */
int kafka_fd(const struct kafka *k);
/* Monotonic ms of the next turn that is needed without that; INT64_MAX: none. */
int64_t kafka_next_ms(const struct kafka *k);
/* 0 or -errno (fatal). */
int kafka_turn(struct kafka *k) MUST_CHECK;
void kafka_flush(struct kafka *k);
/* No new connections or requests; waiting fetches are answered. */
void kafka_stop(struct kafka *k);
bool kafka_stopped(const struct kafka *k);
/* Closes and frees; only when no call is with the broker. NULL is fine. */
struct kafka *kafka_close(struct kafka *k);

struct kafka_stats {
    size_t connections;
    size_t running;
    uint64_t requests;
    uint64_t refused; /* connections ended for a bad request */
    size_t sessions;  /* of fetches */
    uint64_t accepted;
    uint64_t bytes_in;
    uint64_t bytes_out;
    size_t in_flight_size;
};
void kafka_stats(const struct kafka *k, struct kafka_stats *out);
/* Every API that was called: its name and how long its requests took, from a frame to its answer
 * (that was handed over, not sent). */
void kafka_each_api(const struct kafka *k,
                    void (*fn)(void *ctx, const char *api, const struct tally *t), void *ctx);
struct kafka_peer {
    uint64_t id;
    char address[64]; /* as conn_peer */
    size_t out_size;  /* bytes that wait for it to read */
};
/* At most `max` connections, oldest first. */
void kafka_each_peer(const struct kafka *k, size_t max,
                     void (*fn)(void *ctx, const struct kafka_peer *peer), void *ctx);
/* Walks all invariants; asserts. */
void kafka_check(const struct kafka *k);
/* Appends the state in words. */
void kafka_dump(const struct kafka *k, struct buf *out);
