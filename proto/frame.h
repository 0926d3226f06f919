/* SPDX-License-Identifier: MIT
 *
 * frame: the layout of a native message, and protobuf under a budget.
 *
 *   pos      size        meaning
 *   0        4           size of the header, little endian
 *   4        header      a protobuf Call or Answers (kauri.proto)
 *   4 + h    the rest    raw bytes: RecordBatches back to back
 *
 * What comes in is foreign. The header is parsed into an arena whose limit is the budget:
 * protobuf-c makes up to 72 bytes of memory of one byte of input, so the budget and not the input
 * bounds it. No message type contains itself, so the depth of the parse is the schema's and not
 * the sender's.
 *
 * Invariants: F1 the slices of a struct frame lie inside the message they were split from; F2 a
 * parsed header and all it points to lie in the arena, nothing in the message.
 * Failures: FRAME_SHORT and FRAME_BAD; the caller answers or drops.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "engine/base/arena.h"
#include "engine/base/bytes.h"

#define FRAME_PREFIX_SIZE     4
#define FRAME_HEADER_SIZE_MAX (16u * 1024 * 1024)

/* Conditions. */
#define FRAME_SHORT 1 /* the message ends before its header */
#define FRAME_BAD   2 /* not the message type, or beyond the budget */

struct frame {
    struct slice header; /* borrowed from the message, like raw */
    struct slice raw;
};

/* Cuts a message in two. 0 or FRAME_SHORT. */
int frame_split(struct slice message, struct frame *out) MUST_CHECK;
/* Parses a header of the given type. 0 or FRAME_BAD; what was allocated by then stays in the arena.
 * *out belongs to the arena, whose limit is the budget (0 is refused). */
int frame_unpack(const ProtobufCMessageDescriptor *type, struct slice header, struct arena *a,
                 ProtobufCMessage **out) MUST_CHECK;
/* Session and id (fields 1 and 2) of a Call that does not parse. 0, or FRAME_BAD when they cannot
 * be read either. */
int frame_peek(struct slice header, uint64_t *session, uint64_t *id) MUST_CHECK;

/* Writes prefix and header to `message`, which has room for FRAME_PREFIX_SIZE and header_size, the
 * packed size of `m`. Raw bytes belong behind. */
void frame_put(const ProtobufCMessage *m, size_t header_size, uint8_t *message);
/* Appends a whole message to `out`; raw may be empty. */
void frame_pack(const ProtobufCMessage *m, struct slice raw, struct buf *out);

/* protobuf-c's structs hold strings without const, but packing only reads them: lends it one. */
static inline char *frame_borrow(const char *s)
{
    return (char *)(uintptr_t)s;
}
