/* SPDX-License-Identifier: MIT
 *
 * client: the test's own end of the native protocol: a raw REQ socket that sends what it is told,
 * however wrong, and keeps every answer it gets. A client with `deaf` set receives nothing.
 */
#pragma once

#include "engine/base/arena.h"
#include "proto/kauri.pb-c.h"

#define CLIENT_IDS 8192

struct client_got {
    unsigned times;        /* how often this id was answered */
    Kauri__Answer *answer; /* the last one; the client's */
    struct slice raw;      /* the client's */
};

struct client {
    int socket;
    int fd;
    uint64_t session;
    uint64_t received;
    uint64_t next_id;
    uint64_t sequence; /* of the last message, noted or not */
    size_t messages;
    size_t answers;
    bool deaf;
    bool forgetful; /* receives, but notes nothing: as if it were lost on the way */
    bool silent;    /* does not confirm by itself */
    struct arena arena;
    struct client_got got[CLIENT_IDS];
};

struct client *client_new(const char *url, uint64_t session);
struct client *client_free(struct client *c);
/* True when it was sent; false when the socket has no room now. */
bool client_send_bytes(struct client *c, const void *p, size_t size);
bool client_send(struct client *c, Kauri__Call *call, struct slice raw);
/* Fills in the next id, session and received. */
void client_call(struct client *c, Kauri__Call *call, Kauri__Call__CallCase kind);
/* Receives all there is; confirms each message by a ping. Number of messages. */
size_t client_receive(struct client *c);
/* Writable and readable as poll(2) wants it. */
int client_send_fd(const struct client *c);
