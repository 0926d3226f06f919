/* SPDX-License-Identifier: MIT
 *
 * recover: makes the index files of a sealed segment anew from its log, for part_open and for a
 * read that met a damaged one. (The other thing that recovers is part_open itself: part.h,
 * recover.c.)
 */
#pragma once

#include "engine/base/io.h"

struct recover_segment {
    const char *dir; /* borrowed */
    int64_t base;
    int64_t end; /* base of the next segment */
    size_t log_size;
    uint64_t interval; /* index.interval.bytes */
    bool cleaned;
};

/* Sizes of the new files. */
struct recover_sizes {
    uint64_t index;
    uint64_t timeindex;
};

/* Reads the log, over damage where there is some, and replaces both index files. Worker. 0,
 * IO_MISSING, IO_FULL or -errno: then what was there is there, or the index alone is new.
 * O(log). */
int recover_index(struct io *io, const struct recover_segment *s,
                  struct recover_sizes *out) MUST_CHECK;
