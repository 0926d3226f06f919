/* SPDX-License-Identifier: MIT
 *
 * compact_batch: what remains of one batch. Source: Kafka's cleaner, KIP-534.
 *
 *   a record at or behind `end`             stays (its key was not looked at)
 *   without key                             goes
 *   its key has a later offset in the map   goes
 *   value null, delete horizon reached      goes
 *   every other                             stays
 *
 * A batch whose records all stay is the same, byte by byte. Else base offset, last offset delta,
 * sequence, producer and leader epoch stay; sizes, counts, checksum and the largest timestamp are
 * made anew. A batch that keeps a null value, or a marker without data, gets a delete horizon once:
 * attribute bit 6, and base timestamp = horizon, from which the records' deltas then count. A batch
 * that loses everything is gone, unless it has to stay without records.
 *
 * Must not know: files, segments.
 */
#pragma once

#include "engine/store/batch.h"
#include "engine/store/compact_map.h"

struct compact_rules {
    const struct compact_map *map; /* borrowed */
    int64_t end;
    int64_t now_ms;
    int64_t horizon_ms; /* for batches that get one */
    int codec;          /* for batches that change; -1: their own */
};

struct compact_batch {
    struct slice batch; /* borrowed, whole */
    const struct batch_header *h;
    bool drop;        /* all records go, whatever they are */
    bool stays;       /* even without records */
    bool marker_idle; /* a marker whose transaction has no data any more */
};

struct compact_scratch {
    struct buf inflated;
    struct buf keep; /* one byte a record */
    struct buf records;
};

enum compact_fate {
    COMPACT_SAME,
    COMPACT_CHANGED, /* *out has it */
    COMPACT_GONE,
};

#define COMPACT_BAD_RECORD 1 /* the records do not parse */

/* `out` is emptied, and filled when the batch changes. 0 and *fate, or COMPACT_BAD_RECORD. */
int compact_batch(const struct compact_rules *rules, const struct compact_batch *in,
                  struct compact_scratch *scratch, struct buf *out,
                  enum compact_fate *fate) MUST_CHECK;
/* Bytes that the records of a batch may inflate to. */
size_t compact_inflate_max(const struct batch_header *h);
void compact_scratch_deinit(struct compact_scratch *s);
