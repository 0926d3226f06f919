/* SPDX-License-Identifier: MIT
 *
 * client_batch: one batch on the producer's side: it gathers records, is encoded once, and can be
 * given other producer numbers in place (they lie at fixed positions under the CRC).
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/crc32c.h"
#include "net/client/client_priv.h"

enum {
    CLIENT_BATCH_POS_CRC = 17,
    CLIENT_BATCH_POS_ATTRIBUTES = 21,
    CLIENT_BATCH_POS_PRODUCER_ID = 43,
    CLIENT_BATCH_POS_EPOCH = 51,
    CLIENT_BATCH_POS_SEQUENCE = 53,
};

struct client_batch *client_batch_new(struct client_part *part, int64_t now_ms)
{
    struct client_batch *b = calloc(1, sizeof *b);
    ASSERT(b != NULL);
    b->part = part;
    b->created_ms = now_ms;
    b->base_offset = -1;
    batch_build_init(&b->build);
    list_init(&b->link);
    return b;
}

struct client_batch *client_batch_free(struct client_batch *b)
{
    if (b == NULL)
        return NULL;
    ASSERT(!list_linked(&b->link));
    batch_build_deinit(&b->build);
    buf_deinit(&b->bytes);
    buf_deinit(&b->opaques);
    buf_deinit(&b->charges);
    free(b);
    return NULL;
}

void client_batch_add(struct client_batch *b, const struct kauri_record *r, int64_t timestamp_ms,
                      size_t charge)
{
    ASSERT(b->state == CLIENT_BATCH_OPEN);
    struct buf pairs CLEANUP(buf_deinit) = {0};
    for (size_t i = 0; i < r->header_count; i++) {
        const struct kauri_header *h = &r->headers[i];
        struct batch_pair pair = {slice_of(h->name, h->name_size),
                                  slice_of(h->value, h->value_size)};
        buf_append(&pairs, &pair, sizeof pair);
    }
    batch_build_add(&b->build, timestamp_ms, slice_of(r->key, r->key_size),
                    slice_of(r->value, r->value_size), (const struct batch_pair *)(void *)pairs.p,
                    (int32_t)r->header_count);
    buf_append(&b->opaques, &r->opaque, sizeof r->opaque);
    buf_append(&b->charges, &charge, sizeof charge);
    b->count++;
}

int32_t client_sequence_add(int32_t sequence, int32_t count)
{
    ASSERT(sequence >= 0 && count >= 0);
    return (int32_t)(((uint32_t)sequence + (uint32_t)count) & 0x7fffffffu);
}

/* The sequence of the batch's first record; moves the partition's on. -1 without producer. */
static int32_t client_batch_sequence(struct client_batch *b)
{
    struct client_part *part = b->part;
    if (part->producer_id == BATCH_NO_PRODUCER)
        return -1;
    int32_t sequence = part->sequence;
    part->sequence = client_sequence_add(sequence, b->count);
    return sequence;
}

void client_batch_encode(struct client_batch *b, enum codec codec)
{
    ASSERT(b->count > 0 && b->bytes.size == 0);
    struct batch_build_options o = batch_build_plain();
    o.codec = codec;
    o.producer_id = b->part->producer_id;
    o.producer_epoch = b->part->epoch;
    o.base_sequence = client_batch_sequence(b);
    batch_build_finish(&b->build, &o, &b->bytes);
    batch_build_deinit(&b->build);
    b->number = b->part->encoded++;
    b->state = CLIENT_BATCH_READY;
}

void client_batch_renumber(struct client_batch *b)
{
    ASSERT(b->state == CLIENT_BATCH_READY && b->bytes.size > BATCH_HEADER_SIZE);
    uint8_t *p = b->bytes.p;
    bytes_put_be64(p + CLIENT_BATCH_POS_PRODUCER_ID, (uint64_t)b->part->producer_id);
    bytes_put_be16(p + CLIENT_BATCH_POS_EPOCH, (uint16_t)b->part->epoch);
    bytes_put_be32(p + CLIENT_BATCH_POS_SEQUENCE, (uint32_t)client_batch_sequence(b));
    size_t checked = b->bytes.size - CLIENT_BATCH_POS_ATTRIBUTES;
    bytes_put_be32(p + CLIENT_BATCH_POS_CRC, crc32c(p + CLIENT_BATCH_POS_ATTRIBUTES, checked));
    b->alone = false;
}
