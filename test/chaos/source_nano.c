/* SPDX-License-Identifier: MIT
 *
 * source_nano: see sources.h. A running broker, through the native client library.
 */
#include <stdio.h>

#include "engine/base/cleanup.h"
#include "net/client/kauri.h"
#include "test/chaos/sources.h"

#define SOURCE_WAIT_MS 10000

static int source_fail(struct kauri *k, const char *what, int error)
{
    (void)fprintf(stderr, "check: %s: %s: %s\n", what, kauri_error_text(error), kauri_message(k));
    return 1;
}

static int source_assign(const struct source *s, struct kauri *k, uint32_t partition)
{
    int64_t start = -1;
    int error = kauri_offset(k, s->topic, (int32_t)partition, KAURI_OFFSET_START, &start);
    if (error == 0)
        error = kauri_assign(k, s->topic, (int32_t)partition, start);
    if (error != 0)
        return source_fail(k, "cannot assign", error);
    verdict_start(s->verdict, partition, start, s->retention);
    return 0;
}

static int source_read(const struct source *s, struct kauri *k)
{
    struct buf scratch CLEANUP(buf_deinit) = {0};
    uint32_t open = s->partitions;
    while (open > 0) {
        struct kauri_record r = {0};
        int error = kauri_next(k, SOURCE_WAIT_MS, &r);
        if (error == KAURI_END) {
            /* Ends come once per reached end: a partition that is done is taken away. */
            open--;
            (void)kauri_unassign(k, s->topic, r.partition);
        } else if (error == 0) {
            source_record(s, (uint32_t)r.partition, r.offset, slice_of(r.value, r.value_size),
                          &scratch);
        } else {
            return source_fail(k, "cannot read", error);
        }
    }
    return 0;
}

int source_server(const struct source *s, const char *server)
{
    struct kauri_options options = {
        .server = server, .client_name = "chaos_check", .eof_events = true, .timeout_ms = 20000};
    struct kauri *k = NULL;
    int r = kauri_open(&options, &k);
    if (r != 0) {
        (void)fprintf(stderr, "check: cannot open %s\n", server);
        return 1;
    }
    for (uint32_t i = 0; r == 0 && i < s->partitions; i++)
        r = source_assign(s, k, i);
    if (r == 0)
        r = source_read(s, k);
    (void)kauri_close(k);
    return r;
}
