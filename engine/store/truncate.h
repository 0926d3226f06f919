/* SPDX-License-Identifier: MIT
 *
 * truncate: takes the end of a closed partition back to an offset, as a follower does whose
 * leader's log took another way.
 *
 *   0  a segment to be cut that a snapshot shares is copied first (copy_own)
 *   1  the state file gets the new end as its recovery point, newer snapshots go
 *   2  segments beyond are unlinked, newest first; the folder is synced
 *   3  the rest of the segment with the new end is zeroed and synced
 *
 * A crash in between leaves a log that ends somewhere between the new end and the old one, whole.
 * Producers and leader epochs are found again by the next open.
 *
 * truncate_begin empties a closed partition, which then begins further on, as a follower does whose
 * leader has dropped what it lacks: the state file says so, durably; the next open removes the
 * rest. A crash leaves the old log or the new one.
 */
#pragma once

#include "engine/store/part.h"

/* Cuts so that the log ends at the last batch boundary at or below `offset`; offset >= log start.
 * The partition must not be open. 0 with *end, PART_OUT_OF_RANGE, or what part_open says
 * (IO_FULL: nothing was cut). */
int truncate_part(struct store *s, const struct part_open_options *o, int64_t offset,
                  int64_t *end) MUST_CHECK;
/* Empties the log, so that it begins and ends at `offset`, not below its end; nothing is known of
 * producers then. The partition must not be open; its folder is made when it is missing. 0,
 * PART_OUT_OF_RANGE, or what part_open says (IO_FULL: it is as it was). */
int truncate_begin(struct store *s, const struct part_open_options *o, int64_t offset) MUST_CHECK;
