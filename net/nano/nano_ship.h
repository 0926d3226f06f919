/* SPDX-License-Identifier: MIT
 *
 * nano_ship: the calls of other brokers. A question is proven to come from one that shares the
 * secret, read (net/cargo), handed to broker_ship; its answer is packed when it is done, and sealed
 * when it is sent, over the bytes as they leave.
 *
 * Without a secret they are taken on listeners of this host only: ipc and loopback. A refusal is
 * answered DENIED and told in the log, at most once in NANO_SHIP_SAY_MS; a sending that was seen
 * before (its sequence) is dropped without an answer, for it may be somebody else's recording.
 *
 * Bytes of a pull are mapped from files and pinned until the answer was sent; what cannot be read
 * then is answered as damaged at its own offset, so that the asker asks again, when the broker will
 * have found out what is damaged.
 */
#pragma once

#include "net/nano/nano_priv.h"

#define NANO_SHIP_SAY_MS 10000

/* Any of the five. */
void nano_ship(struct nano_call *c, struct slice raw);
bool nano_ship_is(const struct nano_call *c);
/* It is with the broker, and nobody waits for it any more. */
void nano_ship_cancel(struct nano_call *c);
/* After its completion: unpins. */
void nano_ship_release(struct nano_call *c);
/* Copies the raw bytes of its answer to `to`. False when some could not be read: then the answer
 * was packed anew, and is shorter. */
bool nano_ship_copy(struct nano_call *c, uint8_t *to);
/* Seals the answer with the raw bytes that leave with it. */
void nano_ship_seal(struct nano_call *c, struct slice raw);
