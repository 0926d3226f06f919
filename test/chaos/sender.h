/* SPDX-License-Identifier: MIT
 *
 * sender: how the load program hands records to a broker. Two files implement it, and each makes a
 * load program of its own: sender_nano.c over the native client library, sender_kafka.c over
 * librdkafka, idempotent unless acks say otherwise. It knows nothing of histories.
 *
 * `delivered` runs once for each record taken, in sender_poll or sender_flush, never in
 * sender_send.
 */
#pragma once

#include <stdbool.h>

#include "engine/base/bytes.h"
#include "engine/base/error.h"

#define SENDER_BUFFER_SIZE ((size_t)8 << 20) /* records waiting; more are for later */
#define SENDER_BATCH_SIZE  ((size_t)32 << 10)
#define SENDER_DELIVERY_MS 600000 /* longer than any chain of kills: nothing may fail */

struct sender;

struct sender_report {
    uint64_t sequence;
    int64_t offset;      /* -1 where it failed */
    const char *message; /* NULL: delivered; until the callback returns */
    uint32_t partition;
};

struct sender_options {
    const char *server; /* native: an URL; kafka: HOST:PORT. These two outlive the sender */
    const char *topic;
    const char *codec; /* none, gzip, snappy, lz4, zstd */
    uint32_t linger_ms;
    int acks; /* -1 all, 1, 0 */
    void (*delivered)(void *ctx, const struct sender_report *r);
    void *ctx;
};

struct sender_record {
    struct slice key; /* copied, as value is */
    struct slice value;
    uint64_t sequence; /* comes back in the report */
    uint32_t partition;
};

enum sender_answer {
    SENDER_TAKEN,
    SENDER_LATER, /* no room, or no broker: poll, then again */
    SENDER_REFUSED,
};

/* 0 and *out, or 1 after telling stderr why not. */
int sender_open(const struct sender_options *options, struct sender **out) MUST_CHECK;
struct sender *sender_close(struct sender *s);
/* SENDER_REFUSED: why is told on stderr. */
enum sender_answer sender_send(struct sender *s, const struct sender_record *r) MUST_CHECK;
/* Lets reports in, waiting up to timeout_ms for the first; how many. */
int sender_poll(struct sender *s, int timeout_ms);
/* Waits up to timeout_ms until all is reported; the records that are not. */
size_t sender_flush(struct sender *s, int timeout_ms);
