/* SPDX-License-Identifier: MIT
 *
 * sources: where the checker reads a topic: from a running broker through a client, or from the
 * files of a stopped one, with nothing of the broker in between. The client is chosen when the
 * checker is linked: source_nano.c our library (chaos_check), source_kafka.c librdkafka
 * (chaos_check_kafka).
 */
#pragma once

#include "test/chaos/verdict.h"

struct source {
    struct verdict *verdict; /* borrowed */
    const char *topic;
    uint64_t run;
    uint32_t size_max;
    uint32_t partitions;
    bool retention; /* the log may begin above 0 */
    bool compacted;
};

/* One record of the log goes to the judge; scratch is reused from call to call. */
void source_record(const struct source *s, uint32_t partition, int64_t offset, struct slice value,
                   struct buf *scratch);
/* Reads every partition from its start to its end. server: an URL, or HOST:PORT for librdkafka. 0,
 * or 1 after telling stderr why not. */
int source_server(const struct source *s, const char *server) MUST_CHECK;
/* Reads DIR/<topic>-<partition>/<20 digits>.log in order. A batch that does not check ends a
 * segment; that the next one then begins higher shows as a gap. 0, or 1 after telling stderr why
 * not. */
int source_folder(const struct source *s, const char *dir) MUST_CHECK;
