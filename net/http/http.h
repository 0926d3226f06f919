/* SPDX-License-Identifier: MIT
 *
 * http: what the broker shows of itself over HTTP, for people, Prometheus and supervisors. It reads
 * views of the broker and decides nothing; nobody can change anything through it.
 *
 *   /          an index, plain text
 *   /metrics   Prometheus text format 0.0.4, our names and those of kafka_exporter
 *   /healthz   200 while the loop turns; 503 when it stops or is dead
 *   /readyz    200 once groups and partitions are read after a start; 503 with a line that says why
 *              not, and when the disk is full or the broker stops
 *   /state     JSON: broker, fronts, connections, topics, groups; in pages
 *
 * libmicrohttpd does HTTP, with no threads: its epoll set is polled by the owner's loop, and all
 * work is done in http_turn.
 *
 *   http_open; when http_fd is readable or http_next_ms is over: http_turn; http_close
 *
 * A page is made while it is sent, at most HTTP_PIECE_SIZE bytes or HTTP_STEP_ROWS rows a turn: a
 * broker with very many partitions goes on with its work between two pieces.
 *
 * Limits and what happens at each:
 *   HTTP_CONNECTIONS_MAX  more wait in the kernel until one ends
 *   HTTP_REQUEST_SIZE     of a request line and its headers: 413, 414 or 431, and the end
 *   HTTP_IDLE_S           silence: the connection ends
 *   HTTP_LIFE_MS          without a request from its start, or since the last: the same, so that
 *                         nobody holds a place by sending a byte now and then
 *   HTTP_PAGES_MAX        pages of /metrics being made: 503
 *   partitions_max        partitions with rows of their own in /metrics; the others are counted in
 *                         a metric, and so are committed offsets beyond it
 *
 * Who may ask: loopback only, unless the options allow more. A web page of another site cannot ask
 * through somebody's browser under a name of its own (DNS rebinding): Host must be localhost, a
 * loopback address or the host that was given to listen at, and any address in numbers when that is
 * all addresses. Otherwise 403. GET and HEAD only: 405. There are no passwords.
 *
 * Failures: an address that is taken or refused is a condition of http_open; whatever a client does
 * ends its request or its connection.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"
#include "engine/base/tally.h"

struct broker;
struct clock;
struct http;

#define HTTP_WHY_SIZE        256
#define HTTP_CONNECTIONS_MAX 64
#define HTTP_REQUEST_SIZE    (32u * 1024)
#define HTTP_IDLE_S          15
#define HTTP_LIFE_MS         60000
#define HTTP_PAGES_MAX       4
#define HTTP_PIECE_SIZE      (16u * 1024)
#define HTTP_STEP_ROWS       512

/* --- what the fronts say of themselves, see http_options.watch --- */

#define HTTP_FRONTS_MAX 4
#define HTTP_CALLS_MAX  128
#define HTTP_PEERS_MAX  256

struct http_front {
    const char *name; /* static, like all names here */
    size_t connections;
    size_t running; /* requests with the broker */
    size_t in_flight_size;
    uint64_t accepted; /* connections; sessions of the native protocol */
    uint64_t refused;
    uint64_t bytes_in;
    uint64_t bytes_out;
    bool counts_bytes; /* the two above are known */
};

struct http_api {
    const char *front;
    const char *name;
    struct tally latency;
};

struct http_watch {
    struct http_front fronts[HTTP_FRONTS_MAX];
    size_t front_count;
    struct http_api apis[HTTP_CALLS_MAX];
    size_t api_count;
};

struct http_peer {
    const char *front;
    uint64_t id;
    char address[64];
    size_t out_size;
};

struct http_options {
    struct broker *broker; /* borrowed for the front's life, like everything here */
    const struct clock *clock;
    const char *address; /* HOST:PORT; port 0 takes a free one */
    bool loopback_only;  /* refuse to listen elsewhere */
    const char *version;
    const char *kafka;     /* HOST:PORT of the Kafka listener, for kafka_broker_info; NULL none */
    size_t partitions_max; /* metrics.partitions.max */
    void (*watch)(void *ctx, struct http_watch *out); /* NULL: no fronts */
    /* At most `max` connections. NULL: none are known. */
    void (*peers)(void *ctx, size_t max, void (*fn)(void *arg, const struct http_peer *p),
                  void *arg);
    void *ctx;
    char *why; /* NULL, or room for HTTP_WHY_SIZE bytes: one line about a failed open */
};

/* Conditions of http_open; *why says more. */
#define HTTP_BAD_ADDRESS  1
#define HTTP_IN_USE       2
#define HTTP_NOT_LOOPBACK 3

/* 0, a condition, or -errno. *out is owned. */
int http_open(const struct http_options *o, struct http **out) MUST_CHECK;
uint16_t http_port(const struct http *h);
/* Readable when http_turn has something to do. */
int http_fd(const struct http *h);
/* Monotonic ms of the next turn that is needed without that; INT64_MAX: none. */
int64_t http_next_ms(const struct http *h);
/* http_fd is readable: the next turn has work. */
void http_wake(struct http *h);
/* Takes requests, sends the next pieces. Costs nothing when neither http_wake nor the time calls
 * for it; never waits. Call in every turn. */
void http_turn(struct http *h);
/* Ends all connections. NULL is fine. */
struct http *http_close(struct http *h);
