/* SPDX-License-Identifier: MIT
 *
 * nano_calls: one message in, one call of the broker, its completion encoded. One table row per
 * kind of call; nothing is decided here but whether the message is well formed.
 *
 * What is foreign is checked in this order: frame, header (under NANO_PARSE_SIZE_MAX), session, id,
 * limits of the session, the call's own fields, sizes of its items against the raw bytes.
 */
#pragma once

#include "net/nano/nano_priv.h"

/* Takes a message (nn_allocmsg'd) that came by n->route; all of it is foreign. */
void nano_calls_receive(struct nano *n, void *message, size_t size);
/* Completes the call: with c->answer as far as it is filled, or without a body. `message` lives as
 * long as the call. `c` is gone afterwards. */
void nano_calls_finish(struct nano_call *c, Kauri__Status status, const char *message);
/* The same with what the engine said. `detail` NULL: the status' own text. */
void nano_calls_finish_status(struct nano_call *c, enum broker_status status, const char *detail);
/* The same with BAD_REQUEST. */
void nano_calls_bad(struct nano_call *c, const char *message);
/* The call's answer, made when it is asked for first. The arena's. */
Kauri__Answer *nano_calls_answer(struct nano_call *c);
/* Zeroed memory of the call for what has a bound of its own: never NULL. */
void *nano_calls_array(struct nano_call *c, size_t count, size_t size);
