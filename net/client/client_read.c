/* SPDX-License-Identifier: MIT
 *
 * client_read: from fetched bytes to records. See client_consume.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "net/client/client_priv.h"

static void client_read_count(struct kauri *k, const struct client_assignment *a, ssize_t more)
{
    if (a->paused)
        return;
    ASSERT(more >= 0 || k->consume.held >= (size_t)-more);
    k->consume.held += (size_t)more;
}

static void client_read_release(struct kauri *k, struct client_assignment *a,
                                struct client_chunk *chunk)
{
    ASSERT(a->held >= chunk->size);
    list_remove(&chunk->link);
    a->held -= chunk->size;
    client_read_count(k, a, -(ssize_t)chunk->size);
    k->consume.turn_due = true;
    chunk->message = client_message_unpin(chunk->message);
    free(chunk);
}

void client_read_drop(struct kauri *k, struct client_assignment *a)
{
    a->reading = false;
    while (!list_empty(&a->chunks))
        client_read_release(k, a, LIST_ENTRY(a->chunks.next, struct client_chunk, link));
    ASSERT(a->held == 0);
}

void client_read_fail(struct client_assignment *a, int error, int64_t offset, const char *message)
{
    ASSERT(error > 0);
    a->error = error;
    a->error_told = false;
    a->error_offset = offset;
    (void)snprintf(a->message, sizeof a->message, "%s", message);
}

static void client_read_corrupt(struct client_assignment *a, int64_t offset, enum batch_fault fault)
{
    char message[CLIENT_MESSAGE_MAX];
    (void)snprintf(message, sizeof message, "topic \"%.120s\" partition %d: bad batch at %lld: %s",
                   a->topic, a->partition, (long long)offset, batch_fault_text(fault));
    client_read_fail(a, KAURI_CORRUPT, offset, message);
}

/* One batch at the front of `rest` that leads beyond `offset`. */
static enum batch_fault client_read_check(struct slice rest, int64_t offset, struct batch_header *h)
{
    enum batch_fault fault = batch_check_stored(rest, 0, h);
    if (fault != BATCH_OK)
        return fault;
    bool fits = h->base_offset <= INT64_MAX - INT32_MAX - 1;
    return fits && batch_last_offset(h) >= offset ? BATCH_OK : BATCH_BAD_OFFSET;
}

void client_read_take(struct kauri *k, struct client_assignment *a, struct slice bytes,
                      struct client_message *m)
{
    struct slice rest = bytes;
    enum batch_fault fault = BATCH_OK;
    while (rest.size > 0) {
        struct batch_header h;
        fault = client_read_check(rest, a->fetch_offset, &h);
        if (fault != BATCH_OK)
            break;
        a->fetch_offset = batch_next_offset(&h);
        rest = slice_of(rest.p + h.size, rest.size - h.size);
    }
    size_t good = bytes.size - rest.size;
    if (good > 0) {
        struct client_chunk *chunk = calloc(1, sizeof *chunk);
        ASSERT(chunk != NULL);
        *chunk = (struct client_chunk){
            .message = client_message_pin(m), .bytes = {bytes.p, good}, .size = good};
        list_add_tail(&a->chunks, &chunk->link);
        a->held += good;
        client_read_count(k, a, (ssize_t)good);
        a->end_told = false;
    }
    if (fault != BATCH_OK)
        client_read_corrupt(a, a->fetch_offset, fault);
}

/* Steps into the next batch with records for us. False when no chunk is left, or a batch cannot be
 * read (then the error is noted and what came after it is dropped). */
static bool client_read_open(struct kauri *k, struct client_assignment *a)
{
    while (!list_empty(&a->chunks)) {
        struct client_chunk *chunk = LIST_ENTRY(a->chunks.next, struct client_chunk, link);
        if (chunk->bytes.size == 0) {
            client_read_release(k, a, chunk);
            continue;
        }
        enum batch_fault fault =
            batch_iter_init(&a->iter, chunk->bytes, CLIENT_INFLATE_MAX, &a->scratch);
        if (fault != BATCH_OK) {
            client_read_corrupt(a, a->position, fault);
            client_read_drop(k, a);
            return false;
        }
        const struct batch_header *h = &a->iter.header;
        chunk->bytes = slice_of(chunk->bytes.p + h->size, chunk->bytes.size - h->size);
        a->reading = (h->attributes & BATCH_ATTR_CONTROL) == 0;
        if (a->reading)
            return true;
        a->position = batch_next_offset(h);
    }
    a->position = a->fetch_offset;
    return false;
}

/* The headers of a record as the user sees them; they live in the consumer's buffer. */
static void client_read_headers(struct kauri *k, const struct batch_record *b,
                                struct kauri_record *r)
{
    struct buf *out = &k->consume.headers;
    struct slice rest = b->headers;
    struct slice name;
    struct slice value;
    buf_reset(out);
    r->header_count = 0;
    while (batch_header_next(&rest, &name, &value)) {
        struct kauri_header h = {(const char *)name.p, name.size, value.p, value.size};
        buf_append(out, &h, sizeof h);
        r->header_count++;
    }
    r->headers = r->header_count == 0 ? NULL : (const struct kauri_header *)(void *)out->p;
}

static void client_read_fill(struct kauri *k, struct client_assignment *a,
                             const struct batch_record *b, struct kauri_record *r)
{
    *r = (struct kauri_record){
        .topic = a->topic,
        .partition = a->partition,
        .offset = b->offset,
        .timestamp_ms = b->timestamp,
        .key = b->key.p,
        .key_size = b->key.size,
        .value = b->value.p,
        .value_size = b->value.size,
    };
    client_read_headers(k, b, r);
}

/* True and the next record of this partition; false when none is here. */
static bool client_read_record(struct kauri *k, struct client_assignment *a, struct kauri_record *r)
{
    while (a->reading || client_read_open(k, a)) {
        struct batch_record b;
        enum batch_fault fault;
        while (batch_iter_next(&a->iter, &b, &fault)) {
            if (b.offset < a->position)
                continue;
            a->position = b.offset + 1;
            client_read_fill(k, a, &b, r);
            k->consume.hand = a;
            k->consume.hand_offset = b.offset;
            return true;
        }
        a->reading = false;
        if (fault != BATCH_OK) {
            client_read_corrupt(a, a->position, fault);
            client_read_drop(k, a);
            return false;
        }
        if (a->position < batch_next_offset(&a->iter.header))
            a->position = batch_next_offset(&a->iter.header);
    }
    return false;
}

/* What there is to say about a partition that has no record: an error, its end, or nothing. */
static int client_read_event(struct kauri *k, struct client_assignment *a, struct kauri_record *r)
{
    int event = KAURI_AGAIN;
    int64_t offset = a->position;
    if (a->error != 0 && !a->error_told) {
        event = client_fail(k, a->error, "%s", a->message);
        offset = a->error_offset;
        k->consume.next_good = a->next_good;
        a->error_told = true;
    } else if (a->error == 0 && k->options.eof_events && !a->end_told && a->high_watermark >= 0 &&
               a->position >= a->high_watermark) {
        event = KAURI_END;
        a->end_told = true;
    }
    if (event != KAURI_AGAIN)
        *r = (struct kauri_record){
            .topic = a->topic, .partition = a->partition, .offset = offset, .timestamp_ms = -1};
    return event;
}

int client_read_next(struct kauri *k, struct kauri_record *r)
{
    struct client_consume *c = &k->consume;
    for (size_t i = 0; i < c->count; i++) {
        struct client_assignment *a =
            LIST_ENTRY(c->assignments.next, struct client_assignment, link);
        if (!a->paused && !a->revoked) {
            if (client_read_record(k, a, r))
                return 0;
            int event = client_read_event(k, a, r);
            if (event != KAURI_AGAIN)
                return event;
        }
        list_remove(&a->link);
        list_add_tail(&c->assignments, &a->link);
    }
    return KAURI_AGAIN;
}
