/* SPDX-License-Identifier: MIT
 *
 * cargo_priv: cargo_admin.c, for the two that pack and read.
 */
#pragma once

#include "net/cargo/cargo.h"

/* The question, in the arena; what it points to is borrowed. */
Kauri__ShipAdmin *cargo_admin_ask(const struct broker_admin *from, struct arena *a);
/* Reads it; "" or why it is refused. Texts point into the message, lists lie in the arena. */
const char *cargo_admin_asked(const Kauri__ShipAdmin *m, struct arena *a, struct broker_admin *out);
/* The results, likewise. */
Kauri__ShipAdminReply *cargo_admin_reply(const struct broker_admin *from, struct arena *a);
const char *cargo_admin_replied(const Kauri__ShipAdminReply *m, struct broker_admin *out);
