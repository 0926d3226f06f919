/* SPDX-License-Identifier: MIT
 *
 * broker_forward: changes that clients ask of a broker which does not lead. See broker_forward.c.
 */
#pragma once

#include "engine/broker/broker_ship.h"

struct broker_forwards;

struct broker_forwards *broker_forwards_of(struct broker *b);
struct broker_forwards *broker_forwards_new(struct broker *b);
/* Nothing is out, or the broker is freed: nobody is answered. NULL is fine; returns NULL. */
struct broker_forwards *broker_forwards_free(struct broker_forwards *f);
bool broker_forwards_quiet(const struct broker_forwards *f);

/* Asks the leader for the change, which completes later; false: it is none that may be asked for,
 * or there is no leader that knows this broker. */
bool broker_forward(struct broker *b, struct broker_admin *a);
/* Takes a SHIP_ADMIN of a registered broker; this one leads. */
void broker_forward_serve(struct broker *b, struct ship_call *call);
