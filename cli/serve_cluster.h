/* SPDX-License-Identifier: MIT
 *
 * serve_cluster: the way of `kauri serve` to the other brokers of its cluster: the shared secret,
 * the transport (net/ship), and the first question to a cluster that is to be joined.
 *
 *   serve_cluster_open    secret, transport; the folder's cluster, asked of the seeds
 *   turn, flush, next_ms  as told in net/ship/ship.h
 *   serve_cluster_stop    before broker_free: what was asked since the broker stopped comes back
 *   serve_cluster_close   after broker_free
 *
 * A folder made by this start takes the cluster id of whoever answers first, and waits for that as
 * long as nobody does; for a folder that has one, the seeds have SERVE_CLUSTER_ASK_MS to say that
 * it is another.
 */
#pragma once

#include "cli/serve_priv.h"
#include "engine/broker/ship.h"

#define SERVE_CLUSTER_ASK_MS 1000 /* of a start whose folder has a cluster */
#define SERVE_CLUSTER_SAY_MS 5000 /* between two lines about waiting */

struct cargo_seal;
struct clock;
struct ship;

struct serve_cluster {
    struct cargo_seal *seal; /* owned; NULL: no secret */
    struct ship *ship;       /* owned */
    struct ship_link link;
    char native[SERVE_HOST_MAX]; /* that others are told; "" none */
    char joined[32];             /* cluster id that the seeds told; "" none */
};

struct serve_cluster_log {
    void (*log)(void *ctx, int level, const char *line);
    void *ctx;
};

/* 0 or an exit code after the error was printed. */
int serve_cluster_open(struct serve_cluster *x, const struct serve_setup *s,
                       const struct clock *clock, const struct serve_cluster_log *log);
/* Asks the seeds for their cluster, where there are any. `say` is called whenever it has
 * waited for another SERVE_CLUSTER_SAY_MS. 0 or an exit code after the error was printed. */
int serve_cluster_ask(struct serve_cluster *x, const struct serve_setup *s,
                      const struct clock *clock, void (*say)(void *ctx), void *ctx);
void serve_cluster_stop(struct serve_cluster *x);
void serve_cluster_close(struct serve_cluster *x);
