/* SPDX-License-Identifier: MIT
 *
 * compact_swap: the files of a cleaned segment and how they take the place of the old ones: the
 * worker's side of a swap, and recovery's.
 *
 *   <base>.log.cleaned        the copy, while it is made: it counts for nothing
 *   <base>.index.cleaned      likewise its indexes
 *   <base>.timeindex.cleaned
 *   <base>.<end>.swap         the copy, whole and synced, and by its name the new content of
 *                             [base, end): the swap is decided
 *   compacted                 empty: the folder has been compacted once, so offsets may be missing
 *
 * In steps, each durable before the next:
 *
 *   1  `compacted` is made (with the first swap; the state file says so too, before this)
 *   2  <base>.log.cleaned is renamed to <base>.<end>.swap      before: all old. From here: all new
 *   3  the files of the other old segments in (base, end) are removed
 *   4  indexes are renamed over the old ones, then the .swap to <base>.log
 *
 * A crash before 2 leaves files that recovery removes; one behind it a .swap, from which recovery
 * takes the same steps again: they may be repeated in any state they can leave. A segment therefore
 * is never seen beside another one with offsets of its own.
 */
#pragma once

#include "engine/base/io.h"

#define COMPACT_MARK "compacted"

struct compact_swap {
    int64_t base;
    int64_t end;
    int64_t *bases; /* owned by whoever fills it: of the other old segments, in (base, end) */
    size_t count;
    bool done; /* result: in force */
};

/* Makes `compacted`, not yet synced. 0, IO_FULL or -errno. */
int compact_swap_mark(struct io *io, const char *dir) MUST_CHECK;
/* Worker, in a round. 0 with done; IO_FULL: nothing changed; -errno. */
int compact_swap_run(struct io *io, const char *dir, struct compact_swap *s) MUST_CHECK;
/* Steps 3 and 4 alone. 0 or -errno. */
int compact_swap_finish(struct io *io, const char *dir, struct compact_swap *s) MUST_CHECK;
/* Removes what a cleaning of the segment left. 0 or -errno. */
int compact_swap_discard(struct io *io, const char *dir, int64_t base) MUST_CHECK;
/* True for "<base>.<end>.swap". */
bool compact_swap_parse(const char *name, struct compact_swap *out);
/* True for the name of a file that counts for nothing. */
bool compact_swap_is_leftover(const char *name);
