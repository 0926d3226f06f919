/* SPDX-License-Identifier: MIT
 *
 * cargo: the calls between brokers (engine/broker/ship.h) as bytes: what net/nano, which is asked,
 * and net/ship, which asks, share. The messages are ShipAsk and ShipReply of proto/kauri.proto.
 *
 *   cargo_call.c     a question: packed, and read at the other side
 *   cargo_answer.c   an answer likewise; batches are not part of it, they lie behind the header
 *   cargo_admin.c    changes that a follower passes on, both ways
 *   cargo_seal.c     who may speak: HMAC under a shared secret
 *   cargo_errmap.c   the engine's statuses in the protocol's numbers
 *
 * What is read is foreign: every number has bounds and every text a size and no control characters,
 * checked here, so that the engine and the log can take them as they are. What is packed is ours:
 * the same bounds are asserted.
 *
 * Must not know: sockets, sessions, loops.
 * Invariants: G1 what cargo_put_* packs, cargo_get_* reads back the same; G2 what was read lies in
 * the arena, or in the raw bytes given, and nowhere else.
 * Failures: CARGO_BAD with a sentence, CARGO_LARGE.
 */
#pragma once

#include "engine/base/arena.h"
#include "engine/broker/ship.h"
#include "proto/kauri.pb-c.h"

#define CARGO_KEY_MAX   512
#define CARGO_VALUE_MAX (1u << 20)

/* Conditions. */
#define CARGO_BAD   1 /* does not parse, or a field is out of bounds */
#define CARGO_LARGE 2 /* larger than a message may be */

/* The field of a Call that carries this kind, and back; false when it is no call of a ship. */
Kauri__Call__CallCase cargo_case(enum ship_kind kind);
bool cargo_kind(Kauri__Call__CallCase kind, enum ship_kind *out);

/* Appends the packed question to `out`. `size_max` lowers that of a pull and of records; `scratch`
 * is used on the way. */
void cargo_put_call(const struct ship_call *call, uint32_t size_max, struct arena *scratch,
                    struct buf *out);
/* Reads a question of this kind into a zeroed call; a pull has its entries. 0, or CARGO_BAD with
 * *why, static. */
int cargo_get_call(enum ship_kind kind, struct slice body, struct arena *a, struct ship_call *call,
                   const char **why) MUST_CHECK;

/* The packed results of an answered call, in the arena; nothing in it points to them. A pull's
 * bytes, *raw of them, belong behind the header in the order of the entries. Pure: packed again
 * after results changed, it is as if for the first time. 0 or CARGO_LARGE: body and raw together
 * are more than size_max. */
int cargo_put_answer(const struct ship_call *call, size_t size_max, struct arena *a,
                     struct slice *body, size_t *raw) MUST_CHECK;
/* Reads the results into the call that was packed by cargo_put_call. Bytes of a pull point into
 * `raw`, the rest lies in the arena. 0, or CARGO_BAD with *why: the call is as before then. */
int cargo_get_answer(struct slice body, struct slice raw, struct arena *a, struct ship_call *call,
                     const char **why) MUST_CHECK;

/* Printable (no control characters) and shorter than SHIP_HOST_MAX. */
bool cargo_text_fits(const char *text);
/* 22 characters of base64url, or none. */
bool cargo_cluster_fits(const char *id);
