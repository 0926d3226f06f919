/* SPDX-License-Identifier: MIT
 *
 * frame: see frame.h. protobuf-c allocates through the arena and frees nothing: when the arena
 * refuses, it gives up the parse, and all is forgotten with the arena.
 */
#include "proto/frame.h"

#include "engine/base/assert.h"

/* Wire types of protobuf. */
#define FRAME_VARINT 0u
#define FRAME_FIXED8 1u
#define FRAME_BYTES  2u
#define FRAME_FIXED4 5u

static void *frame_alloc(void *data, size_t size)
{
    return arena_alloc(data, size);
}

static void frame_free(void *data, void *p)
{
    (void)data;
    (void)p;
}

int frame_split(struct slice message, struct frame *out)
{
    ASSERT(message.p != NULL || message.size == 0);
    if (message.size < FRAME_PREFIX_SIZE)
        return FRAME_SHORT;
    size_t left = message.size - FRAME_PREFIX_SIZE;
    uint32_t size = bytes_le32(message.p);
    if (size > left)
        return FRAME_SHORT;
    const uint8_t *header = message.p + FRAME_PREFIX_SIZE;
    out->header = slice_of(header, size);
    out->raw = slice_of(header + size, left - size);
    ASSERT(out->header.size + out->raw.size == left);
    return 0;
}

int frame_unpack(const ProtobufCMessageDescriptor *type, struct slice header, struct arena *a,
                 ProtobufCMessage **out)
{
    ASSERT(type != NULL && a->limit > 0);
    if (header.size > FRAME_HEADER_SIZE_MAX)
        return FRAME_BAD;
    ProtobufCAllocator in_arena = {frame_alloc, frame_free, a};
    ProtobufCMessage *m = protobuf_c_message_unpack(type, &in_arena, header.size, header.p);
    if (m == NULL)
        return FRAME_BAD;
    ASSERT(m->descriptor == type);
    *out = m;
    return 0;
}

/* Takes a varint from the front. False when it is cut off or longer than 64 bits. */
static bool frame_take_varint(struct slice *in, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < in->size && i < BYTES_VARINT_MAX; i++) {
        v |= (uint64_t)(in->p[i] & 0x7f) << (7 * i);
        if ((in->p[i] & 0x80) == 0) {
            *in = slice_of(in->p + i + 1, in->size - i - 1);
            *out = v;
            return true;
        }
    }
    return false;
}

/* Takes one value of a wire type; *v is its number, or its size where it is not a varint. */
static bool frame_take_value(struct slice *in, unsigned wire, uint64_t *v)
{
    if (wire == FRAME_FIXED8 || wire == FRAME_FIXED4)
        *v = wire == FRAME_FIXED8 ? 8 : 4;
    else if ((wire != FRAME_VARINT && wire != FRAME_BYTES) || !frame_take_varint(in, v))
        return false;
    size_t skip = wire == FRAME_VARINT ? 0 : (size_t)*v;
    if (skip > in->size)
        return false;
    *in = slice_of(in->p + skip, in->size - skip);
    return true;
}

int frame_peek(struct slice header, uint64_t *session, uint64_t *id)
{
    uint64_t key;
    uint64_t found[3] = {0, 0, 0}; /* by field number */
    ASSERT(session != NULL && id != NULL);
    while ((found[1] == 0 || found[2] == 0) && frame_take_varint(&header, &key)) {
        uint64_t v;
        if (!frame_take_value(&header, (unsigned)(key & 7), &v))
            break;
        if ((key >> 3 == 1 || key >> 3 == 2) && (key & 7) == FRAME_VARINT)
            found[key >> 3] = v;
    }
    if (found[1] == 0 || found[2] == 0)
        return FRAME_BAD;
    *session = found[1];
    *id = found[2];
    return 0;
}

void frame_put(const ProtobufCMessage *m, size_t header_size, uint8_t *message)
{
    ASSERT(header_size <= UINT32_MAX);
    bytes_put_le32(message, (uint32_t)header_size);
    size_t packed = protobuf_c_message_pack(m, message + FRAME_PREFIX_SIZE);
    ASSERT(packed == header_size);
}

void frame_pack(const ProtobufCMessage *m, struct slice raw, struct buf *out)
{
    size_t header_size = protobuf_c_message_get_packed_size(m);
    ASSERT(header_size <= FRAME_HEADER_SIZE_MAX);
    ASSERT(raw.p != NULL || raw.size == 0);
    buf_reserve(out, FRAME_PREFIX_SIZE + header_size);
    frame_put(m, header_size, out->p + out->size);
    out->size += FRAME_PREFIX_SIZE + header_size;
    if (raw.size > 0)
        buf_append(out, raw.p, raw.size);
}
