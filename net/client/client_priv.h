/* SPDX-License-Identifier: MIT
 *
 * client_priv: struct kauri and what its parts share.
 *
 *   kauri.h API -> client.c, client_send.c, client_admin.c, client_consume.c, client_group.c
 *                      |           |            |
 *                  client_turn: receive -> produce -> group -> consume -> send -> route
 *                      |
 *                  client_wire: socket, session, calls;  client_route: at which broker
 *
 * User callbacks run from kauri_poll, kauri_flush and the calls that take one, those of groups
 * from kauri_poll and kauri_next (client_group_step), never inside client_turn, so they may call
 * the library again (but kauri_close).
 */
#pragma once

#include "engine/base/cleanup.h"
#include "engine/base/map.h"
#include "net/client/client_consume.h"
#include "net/client/client_group.h"
#include "net/client/client_produce.h"
#include "net/client/client_route.h"
#include "net/client/client_status.h"
#include "net/client/client_wire.h"

struct kauri {
    struct kauri_options options; /* defaults filled in; strings owned below */
    char *server;
    char *client_name;
    struct client_route route;
    struct client_wire wire;
    struct client_produce produce;
    struct client_consume consume;
    struct client_group group;
    struct map topics; /* name -> struct client_topic, owned */
    int64_t wake_ms;   /* the next turn is due then; set by each turn */
    int64_t turn_ms;   /* the last turn was then */
    char message[CLIENT_MESSAGE_MAX];
};

int64_t client_now_ms(void);
/* The next turn is due at `at_ms` or earlier. */
void client_wake(struct kauri *k, int64_t at_ms);
/* One round of everything, without waiting. Returns the messages handled. */
int client_turn(struct kauri *k);
/* Waits for the socket or the next due time, until `until_ms` at most. */
void client_sleep(struct kauri *k, int64_t until_ms);
/* Sets the message and returns `error`. */
__attribute__((format(printf, 3, 4))) int client_fail(struct kauri *k, int error, const char *fmt,
                                                      ...);

/* A call and its answer, waited for. */
struct client_ask {
    struct client_answer answer; /* valid after 0 of client_ask, until client_ask_done */
    Kauri__Status status;        /* as the broker said in the end */
    bool finished;
    bool once;           /* a refusal is an answer */
    Kauri__Status final; /* this one is, too; OK: none */
    struct client_call *call;
};

/* Sends a call and waits for its answer, repeating while the status is retriable. 0: answered, with
 * ask->status not retriable; else KAURI_TIMED_OUT, KAURI_NO_SERVER, KAURI_VERSION, KAURI_DISK_FULL,
 * with the message set. Always followed by client_ask_done. */
int client_ask(struct kauri *k, struct client_ask *ask, const Kauri__Call *content) MUST_CHECK;
/* The same, but what is refused for now is not asked again. */
int client_ask_once(struct kauri *k, struct client_ask *ask, const Kauri__Call *content) MUST_CHECK;
/* Like client_ask, but a refusal with `final` is an answer. */
int client_ask_unless(struct kauri *k, struct client_ask *ask, const Kauri__Call *content,
                      Kauri__Status final) MUST_CHECK;
void client_ask_done(struct client_ask *ask);
/* True when the call may have been carried out before the sending that was answered. */
bool client_ask_repeated(const struct client_ask *ask);

/* The message and error of an answered call; 0 for OK. */
int client_admin_status(struct kauri *k, const struct client_ask *ask, const char *topic,
                        int32_t partition);
/* The answer does not fit the question. */
int client_admin_odd(struct kauri *k);

/* Remembered facts of a topic, asked for when unknown or stale; waits. `create`: by the broker's
 * rule for automatic creation. 0 or an enum kauri_error with the message set. */
int client_topic_get(struct kauri *k, const char *name, bool create,
                     struct client_topic **out) MUST_CHECK;
struct client_part *client_topic_part(struct client_topic *t, int32_t index);
void client_topics_free(struct kauri *k);
