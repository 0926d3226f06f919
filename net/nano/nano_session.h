/* SPDX-License-Identifier: MIT
 *
 * nano_session: sessions, their credit, and the answers that wait in them.
 *
 * Credit: a raw REP socket silently drops what it cannot pass on at once, so at most one message of
 * answers is on its way per session. It is confirmed by a call whose `received` equals its
 * sequence, or given up by `resync`. All answers ready by then share the next message, as far as
 * they fit.
 *
 *                 answer ready                 nano_answers_flush
 *   [has credit] --------------> [in sending] --------------------> [on its way]
 *        ^                                                               |
 *        +---------------- received == sequence, or resync --------------+
 *
 * Freeing: a session that goes takes its ready calls along; its running ones are left to their
 * completion, waiting fetches cancelled.
 */
#pragma once

#include "net/nano/nano_priv.h"

/* The session, or NULL. */
struct nano_session *nano_session_find(struct nano *n, uint64_t id);
/* Makes the session `id`, or empties the one there is: no calls, nothing sent. `client` is its
 * name. NULL when sessions_max is reached and all have calls. */
struct nano_session *nano_session_hello(struct nano *n, uint64_t id, const char *client);
/* A message came for it: moves the session to the busy end, notes the way back (n->route) and the
 * credit the call gives. `call` NULL: it did not parse. */
void nano_session_heard(struct nano *n, struct nano_session *s, const Kauri__Call *call);
/* Its next message of answers is made: spends the credit. */
void nano_session_sent(struct nano *n, struct nano_session *s);
/* Forgets the sessions not heard for idle_timeout_ms. */
void nano_session_expire(struct nano *n);
/* Forgets one. */
void nano_session_drop(struct nano *n, struct nano_session *s);

/* Takes the message; `c` belongs to no session yet. Never NULL. */
struct nano_call *nano_call_new(struct nano *n, void *message, size_t size);
/* Frees a call that is not with the broker: leaves its session, releases and unpins. */
void nano_call_free(struct nano_call *c);
/* Frees the received message before the call ends, where nothing points into it. */
void nano_call_drop_message(struct nano_call *c);
/* Makes it one of the session's calls; there is none with this id. */
void nano_call_join(struct nano_call *c, struct nano_session *s);
/* Counts it as running from here on: the next statement hands it to the broker. */
void nano_call_run(struct nano_call *c);
/* Nobody waits for it any more: one that waits with the broker completes soon. */
void nano_call_cancel(struct nano_call *c);
/* It is not with the broker any more. */
void nano_call_end(struct nano_call *c);
/* c->answer is complete: waits in its session for credit; freed right away when the session is
 * gone. */
void nano_call_ready(struct nano_call *c);
