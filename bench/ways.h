/* SPDX-License-Identifier: MIT
 *
 * ways: servers of one small protocol, each in a thread of its own, to be measured beside each
 * other. A request is a frame of `request` bytes, its size included; the answer a frame of `answer`
 * bytes.
 *
 *   WAYS_FRONT     net/conn, its descriptor polled
 *   WAYS_FRONT_UV  net/conn, its descriptor polled by libuv, as `kauri serve` does
 *   WAYS_UV_POLL   one uv_poll per connection, recv and send: no frames, no queue, no limits
 *   WAYS_UV_TCP    libuv's own streams: as little
 *   WAYS_RAW       poll, recv and send: what the sockets give
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "net/conn/conn.h"

enum ways_server { WAYS_FRONT, WAYS_FRONT_UV, WAYS_UV_POLL, WAYS_UV_TCP, WAYS_RAW };
#define WAYS_SERVERS 5

/* Where the bytes of an answer lie. */
enum ways_answer { WAYS_OWNED, WAYS_MAPPED, WAYS_FILE };

struct ways;

struct ways_options {
    enum ways_server server;
    enum ways_answer answer_from; /* WAYS_FRONT and WAYS_RAW only */
    size_t request;
    size_t answer;
};

/* Starts the thread; returns it when it listens. */
struct ways *ways_start(const struct ways_options *o);
uint16_t ways_port(const struct ways *w);
/* CPU time that the server's thread has used, ns. */
int64_t ways_cpu_ns(const struct ways *w);
/* Of the two fronts; zeroes for the others. Call it after ways_stop only. */
void ways_stats(const struct ways *w, struct conn_stats *out);
/* Once every client has closed. Stops the thread; ways_free frees the rest. */
void ways_stop(struct ways *w);
void ways_free(struct ways *w);
