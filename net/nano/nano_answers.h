/* SPDX-License-Identifier: MIT
 *
 * nano_answers: packs ready answers into one message and sends it.
 *
 * The raw bytes of a fetch are mapped from files, so copying them may meet a page the disk cannot
 * read: the copy is guarded, and an item hit by that is answered STORAGE, without bytes. Likewise
 * those of a pull (nano_ship.h), whose answers are sealed over what was copied.
 */
#pragma once

#include "net/nano/nano_priv.h"

/* Copies bytes that are mapped from a file; false when they cannot be read. */
bool nano_answers_copy(uint8_t *to, struct slice from);
/* Sends one message of answers for every session in n->sending. */
void nano_answers_flush(struct nano *n);
/* One answer outside any session's credit, to n->route at once; `session` is told to the client. */
void nano_answers_alone(struct nano *n, uint64_t session, Kauri__Answer *answer);
/* Bytes of an answer in a message, raw ones included. */
size_t nano_answers_size(const Kauri__Answer *answer);
