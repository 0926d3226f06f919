/* SPDX-License-Identifier: MIT
 *
 * nano_data: the calls that carry or name records. Each start function checks the fields, builds
 * the broker's request in the call and hands it over; its completion builds the answer. What is out
 * of bounds is answered BAD_REQUEST, and the broker hears nothing of it.
 *
 * A produce hands out pointers into the received message, which the broker stamps in place: the
 * message stays until done. A fetch keeps its pins until the answer was copied into its message.
 */
#pragma once

#include "net/nano/nano_priv.h"

/* `raw`: the bytes behind the header, in c->message. */
void nano_data_produce(struct nano_call *c, struct slice raw);
void nano_data_fetch(struct nano_call *c, struct slice raw);
void nano_data_offsets(struct nano_call *c, struct slice raw);
