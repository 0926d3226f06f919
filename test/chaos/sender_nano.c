/* SPDX-License-Identifier: MIT
 *
 * sender_nano: a sender (sender.h) over the native client library.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "net/client/kauri.h"
#include "test/chaos/sender.h"

struct sender {
    struct kauri *k;
    struct sender_options options;
};

static void sender_delivered(void *ctx, const struct kauri_record *r, int error,
                             const char *message)
{
    struct sender *s = ctx;
    bool told = message != NULL && message[0] != '\0';
    struct sender_report report = {.partition = (uint32_t)r->partition,
                                   .sequence = (uint64_t)(uintptr_t)r->opaque,
                                   .offset = r->offset};
    if (error != 0)
        report.message = told ? message : kauri_error_text(error);
    s->options.delivered(s->options.ctx, &report);
}

static bool sender_codec(const char *name, enum kauri_codec *out)
{
    static const char *const names[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (enum kauri_codec)i;
            return true;
        }
    return false;
}

int sender_open(const struct sender_options *options, struct sender **out)
{
    struct sender *s = assert_memory(calloc(1, sizeof *s), sizeof *s);
    struct kauri_options o = {.server = options->server,
                              .client_name = "chaos_load",
                              .linger_ms =
                                  options->linger_ms == 0 ? UINT32_MAX : options->linger_ms,
                              .buffer_size = SENDER_BUFFER_SIZE,
                              .batch_size = SENDER_BATCH_SIZE,
                              .delivery_timeout_ms = SENDER_DELIVERY_MS,
                              .acks = options->acks < 0    ? KAURI_ACKS_ALL
                                      : options->acks == 1 ? KAURI_ACKS_LEADER
                                                           : KAURI_ACKS_NONE,
                              .delivered = sender_delivered,
                              .ctx = s};
    s->options = *options;
    int error = sender_codec(options->codec, &o.codec) ? kauri_open(&o, &s->k) : KAURI_BAD_ARGUMENT;
    if (error == 0) {
        *out = s;
        return 0;
    }
    (void)fprintf(stderr, "load: cannot open %s: %s\n", options->server, kauri_error_text(error));
    free(s);
    return 1;
}

struct sender *sender_close(struct sender *s)
{
    if (s != NULL)
        s->k = kauri_close(s->k);
    free(s);
    return NULL;
}

enum sender_answer sender_send(struct sender *s, const struct sender_record *r)
{
    struct kauri_record record = {.topic = s->options.topic,
                                  .partition = (int32_t)r->partition,
                                  .timestamp_ms = -1,
                                  .key = r->key.p,
                                  .key_size = r->key.size,
                                  .value = r->value.p,
                                  .value_size = r->value.size,
                                  .opaque = (void *)(uintptr_t)r->sequence};
    int error = kauri_send(s->k, &record);
    if (error == 0)
        return SENDER_TAKEN;
    if (error == KAURI_AGAIN || error == KAURI_NO_SERVER || error == KAURI_TIMED_OUT)
        return SENDER_LATER;
    (void)fprintf(stderr, "load: cannot send: %s: %s\n", kauri_error_text(error),
                  kauri_message(s->k));
    return SENDER_REFUSED;
}

int sender_poll(struct sender *s, int timeout_ms)
{
    return kauri_poll(s->k, timeout_ms);
}

size_t sender_flush(struct sender *s, int timeout_ms)
{
    int error = kauri_flush(s->k, timeout_ms);
    size_t left = kauri_outstanding(s->k);
    return left == 0 && error != 0 ? 1 : left;
}
