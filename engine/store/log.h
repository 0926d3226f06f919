/* SPDX-License-Identifier: MIT
 *
 * log: one partition as an embedded log, without a broker: the store with a plain, synchronous
 * face. This is the header to include when a program wants kauri's log and nothing else; it links
 * with engine/store and engine/base alone. bench/example_log.c shows all of it.
 *
 *   struct log *l;
 *   log_open(&(struct log_options){.dir = "orders-0"}, &l);
 *   log_append_record(l, now_ms, key, value, &offset);     queued
 *   log_sync(l, now_ms);                                   durable when this returns 0
 *   log_read(l, 0, 1 << 20, &view); ... log_view_release(&view);
 *   log_close(l);
 *
 * One thread at a time. The folder is locked against other writers by the caller (a broker has its
 * data folder; an embedding program its own way). Only what log_sync made durable can be read.
 * After a negative result of log_sync, log_trim, log_compact or log_truncate the log must be closed
 * and opened again, and nothing else called: what is on the disk is unknown until then.
 */
#pragma once

#include "engine/store/compact.h"

struct log;

struct log_options {
    struct io *io;                /* NULL: the machine's files */
    const char *dir;              /* the folder; made by the first append; its parent exists */
    uint64_t segment_size_max;    /* 0: 1 GiB; at most 4 GiB - 1 */
    int64_t segment_ms;           /* 0: 7 days */
    uint64_t index_interval_size; /* 0: 4096 */
    uint64_t checkpoint_size;     /* 0: 64 MiB */
    int64_t now_ms;               /* wall time, for producer expiry */
};

/* Recovers and opens. 0, STATE_NEWER, IO_FULL or -errno; *out is owned. */
int log_open(const struct log_options *o, struct log **out) MUST_CHECK;
/* Makes a recovery point so that the next open scans nothing, and frees. Queued appends that were
 * not synced are dropped. NULL is fine. 0, or -errno of this or an earlier sync: then nothing was
 * written any more. */
int log_close(struct log *l) MUST_CHECK;
/* What recovery did. */
const struct part_recovery *log_recovery(const struct log *l);

/* Queues one record as a batch of its own; *offset (may be NULL) is where it will be. key or value
 * p NULL is null. 0 or PART_TOO_LARGE. */
int log_append_record(struct log *l, int64_t timestamp, struct slice key, struct slice value,
                      int64_t *offset) MUST_CHECK;
/* Queues one batch (copied): validated in full. 0; PART_DUPLICATE (*offset is the original's),
 * PART_GAP, PART_FENCED, PART_PRODUCERS, PART_TOO_LARGE, or PART_INVALID. */
#define PART_INVALID 20
int log_append_batch(struct log *l, struct slice batch, int64_t now_ms, int64_t *offset) MUST_CHECK;
/* Writes and syncs everything queued. 0, IO_FULL (nothing of it is stored) or -errno. */
int log_sync(struct log *l, int64_t now_ms) MUST_CHECK;

int64_t log_start(const struct log *l);
int64_t log_end(const struct log *l); /* next durable offset */

struct log_view {
    struct slice bytes; /* whole batches, for batch_iter_init one after the other */
    int64_t next_offset;
    struct reader *pin;
};
/* Batches from the one that contains `offset`, at most size_max bytes but at least one. 0,
 * PART_END, PART_OUT_OF_RANGE, PART_DAMAGED (*next_good), or -errno. */
int log_read(struct log *l, int64_t offset, size_t size_max, struct log_view *out,
             int64_t *next_good) MUST_CHECK;
void log_view_release(struct log_view *v);
/* First record with a timestamp >= t; *offset -1 when there is none. */
int log_find_time(struct log *l, int64_t timestamp, int64_t *offset, int64_t *found) MUST_CHECK;
/* Moves the log start; whole segments below are dropped. 0; PART_OUT_OF_RANGE: offset > log_end;
 * IO_FULL: done, and perhaps not durable, the next log_sync tries again; or -errno. */
int log_trim(struct log *l, int64_t offset, int64_t now_ms) MUST_CHECK;
/* Cuts the end back to the batch boundary at or below offset; what is queued is dropped; see
 * truncate.h. 0; PART_OUT_OF_RANGE; IO_FULL: not done, nothing changed; or -errno. */
int log_truncate(struct log *l, int64_t offset, int64_t now_ms) MUST_CHECK;
/* Empties the log, which then begins at offset, at its end or beyond; what is queued is dropped;
 * see truncate.h. As log_truncate. */
int log_begin(struct log *l, int64_t offset, int64_t now_ms) MUST_CHECK;
/* Compacts: of all records of a key in sealed segments only the latest stays (compact.h). Zeros are
 * the defaults of a broker but for delete_retention_ms. */
struct log_compact {
    int64_t now_ms;
    int64_t
        delete_retention_ms; /* deleted keys can be read for this long; 0: until the next pass */
    int64_t min_lag_ms;      /* younger records, by now_ms, are left alone */
    size_t map_size_max;     /* memory for keys; 0: 128 MiB */
    uint64_t seed;           /* of their hashes: nobody outside may know it */
    bool recode;             /* what changes is compressed with `codec`, else as it was */
    enum codec codec;
    struct compact_totals *totals; /* result; may be NULL */
};
/* One pass, to its end; what is dirty when it ends is left for the next. 0, also when there is
 * nothing to do; IO_FULL; COMPACT_DAMAGED: a sealed segment cannot be read; or -errno. In the last
 * three cases what was done before stands. */
int log_compact(struct log *l, const struct log_compact *o) MUST_CHECK;
/* The partition below, for checks. Borrowed. */
struct part *log_part(struct log *l);
