/* SPDX-License-Identifier: MIT
 *
 * kafka_twin: the hand-written Produce and Fetch held against the tables. Asserts where they
 * differ, so that unit tests and the fuzz target share it.
 */
#pragma once

#include "proto/kafka/kp.h"

/* Room for whatever a body of this size can become: the tables never need more than 16 bytes for
 * one on the wire, and a little to round up. */
#define KAFKA_TWIN_ARENA(size) (20 * (size) + 4096)

/* The body of a request of any kind (others than Produce and Fetch are left alone): both take it or
 * both refuse it, and what the cursor tells is what the structs hold. */
void kafka_twin_request(struct kp_kind kind, struct slice body);
/* A message of any kind: both write the same frame. */
void kafka_twin_response(struct kp_kind kind, const union kp_any *m);
