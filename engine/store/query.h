/* SPDX-License-Identifier: MIT
 *
 * query: finding an offset by time. Reads the disk, so it runs in a worker on a copy of what the
 * owner knew when it asked.
 *
 * By timestamp t the answer is the record with the smallest offset among those whose timestamp is
 * >= t: exact, also when timestamps are out of order. The time index says below which offset every
 * record is too old; from there batches are read in order, and the first batch whose max_timestamp
 * reaches t is opened. Damaged batches are stepped over, as a reader has to.
 */
#pragma once

#include "engine/store/part.h"

#define QUERY_MAX_TIMESTAMP (-3) /* the record with the largest timestamp, the first of equals */

struct query_segment {
    int64_t base;
    int64_t end; /* base of the next, or the written end */
    uint64_t ready;
    int64_t max_timestamp;
    uint64_t index_ready;
    uint64_t timeindex_ready;
};

struct query {
    struct io *io;
    char *dir;                      /* owned copy */
    struct query_segment *segments; /* owned */
    size_t count;
    int64_t log_start;
    int64_t bound;
    int64_t timestamp; /* >= 0 or QUERY_MAX_TIMESTAMP */
    size_t inflate_max;
    bool cleaned;
    uint64_t swaps; /* of the part, when this was made */
    /* results */
    int result;     /* 0 or -errno */
    int64_t offset; /* -1: none */
    int64_t found_timestamp;
    bool passed;  /* records in front of it that are older than asked */
    bool stepped; /* over something that cannot be read: a better answer may lie there */
};

/* Owner thread: copies what the worker needs. bound as in part_read. */
void query_init(struct query *q, const struct part *p, int64_t timestamp, int64_t bound);
/* Worker. */
void query_run(struct query *q);
/* Owner thread: segments were replaced under the query, so its answer means nothing: once more. */
bool query_stale(const struct query *q, const struct part *p);
void query_deinit(struct query *q);
