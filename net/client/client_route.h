/* SPDX-License-Identifier: MIT
 *
 * client_route: which of the cluster's brokers the client talks to.
 *
 *   at an address --NOT_LEADER, the leader known--> at the leader's
 *        |   ^                                           |
 *        |   |-----------------nobody answers------------|
 *        |--nobody answers, NOT_LEADER without a leader--> at the next address of the list
 *
 * Nothing of the calls changes: a batch carries the same producer id and sequence wherever it goes,
 * and is stored once. The first move is made at once; those that follow without success pause
 * longer and longer, up to CLIENT_BACKOFF_MAX_MS. With one address and no leader told the client
 * stays where it is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"
#include "proto/kauri.pb-c.h"

#define CLIENT_ROUTE_URLS_MAX 32
#define CLIENT_ROUTE_URL_MAX  256
#define CLIENT_ROUTE_LOOK_MS  20 /* while nobody answers */

struct kauri;

struct client_route {
    char *list; /* owned: the addresses, each with a NUL */
    const char *urls[CLIENT_ROUTE_URLS_MAX];
    size_t count;
    size_t at;
    bool led; /* at `leader`, not at urls[at] */
    char leader[CLIENT_ROUTE_URL_MAX];
    bool elsewhere;                  /* somebody else is to be asked: */
    char told[CLIENT_ROUTE_URL_MAX]; /* this one; "": not known */
    uint32_t moves;                  /* since a call was answered well */
    int64_t moved_ms;
};

/* `server` is a list of addresses, comma separated. 0 or KAURI_BAD_ARGUMENT. */
int client_route_init(struct client_route *r, const char *server) MUST_CHECK;
void client_route_deinit(struct client_route *r);
/* The address to be at. */
const char *client_route_url(const struct client_route *r);
/* client_wire.heard. */
void client_route_heard(struct kauri *k, const Kauri__Answer *a);
/* Moves the wire where it is time to. */
void client_route_turn(struct kauri *k, int64_t now_ms);
