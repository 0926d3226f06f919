/* SPDX-License-Identifier: MIT
 *
 * epochs: which leader wrote which part of a partition: for each leader epoch that left a batch,
 * the offset where its batches begin. Two logs find by it where they part. Source: KIP-101,
 * KIP-279, Kafka's LeaderEpochFileCache.
 *
 *   offsets   0        57        113      170
 *             [epoch 1  ][epoch 4 ][epoch 5 ]        entries (1, 0) (4, 57) (5, 113)
 *             ^log start                    ^log end
 *
 *   epochs_end(4) = (4, 113)    epochs_end(3) = (1, 57): the greatest epoch at or below the wanted
 *   epochs_at(113) = 4          one, and where the next begins
 *
 * The history is what the batch headers in [log start, log end) say, and nothing else: it is
 * extended when offsets are reserved, cut with the log at either side, and can be read from the
 * batches anew. A log without batches has none.
 *
 * Saved, in a partition's snapshot:
 *   [u32 le magic "KES1"][u32 le crc32c of all behind][i64 le from][u32 le count] then per entry
 *   [i32 le epoch][i64 le start]
 *
 * Invariants: H1 epochs and starts rise strictly, both from 0; H2 no start is below `from`, the log
 * start that it was trimmed to: what was there in front is not known.
 *
 * Failures: an epoch that falls is a condition. Must not know: batches, files.
 */
#pragma once

#include <stdbool.h>

#include "engine/base/bytes.h"

#define EPOCHS_NONE    (-1)
#define EPOCHS_DAMAGED 1 /* saved bytes that do not check */

struct epochs_entry {
    int64_t start;
    int32_t epoch;
};

struct epochs {
    struct epochs_entry *entries; /* owned; zeroed: none */
    int64_t from;
    size_t count;
    size_t cap;
};

/* An epoch, and the offset behind its last batch. */
struct epochs_end {
    int32_t epoch;
    int64_t end;
};

void epochs_deinit(struct epochs *e);
/* A batch of `epoch` (any number) was added at `start`, behind all others. False: it falls, or is
 * negative, and nothing was changed. */
bool epochs_append(struct epochs *e, int32_t epoch, int64_t start);
/* Of the newest batch; EPOCHS_NONE without one. */
int32_t epochs_last(const struct epochs *e);
/* Of the batch that holds offset - 1; EPOCHS_NONE at the log start and below. O(log n). */
int32_t epochs_at(const struct epochs *e, int64_t offset);
/* The greatest epoch <= `epoch` in the history, with its end; `log_end` for the last one. Below all
 * of them: (epoch, start of the first), or without any (epoch, log_end): it left nothing in front.
 * O(log n). */
struct epochs_end epochs_end(const struct epochs *e, int32_t epoch, int64_t log_end);
/* The log now ends at `offset`. */
void epochs_cut(struct epochs *e, int64_t offset);
/* The log now begins at `offset`; a batch that holds it counts from there. */
void epochs_trim(struct epochs *e, int64_t offset);

/* The same entries. */
bool epochs_equal(const struct epochs *a, const struct epochs *b);
void epochs_save(const struct epochs *e, struct buf *out);
/* Takes a saved history from the front of *in into an empty one; entries begin below `end`. 0, or
 * EPOCHS_DAMAGED: e and *in are as before. */
int epochs_load(struct epochs *e, struct slice *in, int64_t end) MUST_CHECK;
void epochs_check(const struct epochs *e);
