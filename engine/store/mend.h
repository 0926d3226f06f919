/* SPDX-License-Identifier: MIT
 *
 * mend: damaged offsets of a partition get their batches back, from whoever has them.
 *
 *   <base>.log   [ good ......][ damaged     ][ good ......]     [pos, next_pos) is of no use
 *   new          [ good ......][ the batches ][ good ......]     takes its place as a whole
 *
 * The partition is closed meanwhile (one folder, one writer), its recovery point at its end
 * (part_settled), and opened again afterwards. The caller knows that the batches are what the log
 * held: mend looks at their shape only.
 *
 * On disk, each step durable before the next: the mark of missing offsets, where some are; the new
 * log as <base>.log.tmp; indexes of the segment removed (hints, made anew by the next opening); the
 * new log in the place of the old one; where it is the last segment, a state with the recovery
 * point at its end, for all of it is durable. A crash leaves the old log or the new one, and of the
 * new one at worst a recovery point that lies too low or too high in it: nothing in it is torn, so
 * neither is ever used to cut it.
 *
 * Invariants: N1 nothing outside [pos, next_pos) changes; N2 the old file is not written, so what
 * shares its bytes (a snapshot) keeps them.
 *
 * Must not know: where the bytes come from. Failures: conditions, the log as it was.
 */
#pragma once

#include "engine/base/io.h"
#include "engine/store/part.h"

struct mend {
    struct part_range piece; /* of part_damaged_piece */
    struct slice bytes;      /* borrowed; whole batches, the first at or behind piece.from */
    int64_t upto;            /* all offsets below are there now; at most piece.to */
    int64_t end;             /* of the log */
    uint64_t size;           /* bytes of the segment, as the part knew them */
    bool last;               /* the segment is the last one */
    bool gaps;               /* offsets are missing in the bytes: a compacted log */
};

#define MEND_UNFIT 1 /* the bytes are not what belongs there */

/* Takes of `bytes` what belongs into the piece: batches that follow each other from piece.from on,
 * or, where the log is compacted, with gaps, up to piece.to or as far as they go; fills the rest of
 * *out but end, size and last. 0, or MEND_UNFIT: nothing of it does. O(bytes). */
int mend_fit(const struct part *p, const struct part_range *piece, struct slice bytes,
             struct mend *out) MUST_CHECK;
/* Worker; the partition is closed. 0, IO_FULL, or -errno. Reads and writes the whole segment. */
int mend_run(struct io *io, const char *dir, const struct mend *m) MUST_CHECK;
