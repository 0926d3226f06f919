/* SPDX-License-Identifier: MIT
 *
 * scan: the walk over the batches of one segment in memory. Reads, time queries, recovery, index
 * rebuilds and truncation all go through it, so that there is one opinion on what a good batch is:
 *
 *   its CRC is right, and its base offset is the one behind the batch before it. Where a cleaner
 *   ran offsets may skip ahead; elsewhere a gap is damage: the base offset lies outside the CRC,
 *   and only adjacency vouches for it.
 *
 * Behind damage the walk goes on at the next good batch, found by trying every byte. A record may
 * hold bytes that look like a batch, and a lone batch may have a damaged base offset, so a find
 * counts only when good batches lead from it without a gap to a place that is known: an index
 * entry, the recovery point, the end of the segment.
 *
 * Must not know: files, maps, partitions. It allocates nothing and takes no lock, so that the
 * callers can run it under guard_run; a damaged page then ends it there.
 */
#pragma once

#include "engine/store/batch.h"

struct scan {
    struct slice log;      /* borrowed: the bytes of the segment that may be looked at */
    size_t pos;            /* where the next batch begins */
    int64_t expected;      /* the base offset it must have */
    int64_t limit;         /* where the segment ends: no batch goes beyond; 0: not known */
    bool cleaned;          /* gaps are normal */
    size_t at;             /* position of the batch that scan_next found */
    struct batch_header h; /* that batch */
};

#define SCAN_END 1 /* no bytes are left */
#define SCAN_BAD 2 /* the bytes at pos are no good batch; pos stays */

/* Goes over one batch: 0 with `at` and `h` set, and pos and expected behind it; or SCAN_END or
 * SCAN_BAD. */
int scan_next(struct scan *s) MUST_CHECK;

/* A place where a batch is known to begin, or the log to end. */
struct scan_stop {
    size_t pos;
    int64_t offset; /* what comes there; -1: nothing is known, every good batch counts */
};

/* From a bad batch at s->pos: moves pos and expected to the next good batch in front of `stop` that
 * leads to it. 0 with s->h set (scan_next gives it again), or SCAN_END: there is none, s is as
 * before. O(bytes up to stop), more where bytes pretend. */
int scan_resync(struct scan *s, struct scan_stop stop) MUST_CHECK;
