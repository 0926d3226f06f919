/* SPDX-License-Identifier: MIT
 *
 * sources: where the checker reads a topic: from a running broker through the client library, or
 * from the files of a stopped one, with nothing of the broker in between.
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
};

/* Reads every partition from its start to its end. 0, or 1 after telling stderr why not. */
int source_client(const struct source *s, const char *server) MUST_CHECK;
/* Reads DIR/<topic>-<partition>/<20 digits>.log in order. A batch that does not check ends a
 * segment; that the next one then begins higher shows as a gap. 0, or 1 after telling stderr why
 * not. */
int source_folder(const struct source *s, const char *dir) MUST_CHECK;
