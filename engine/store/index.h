/* SPDX-License-Identifier: MIT
 *
 * index: the sparse offset index and time index of one segment. Both are hints: every entry carries
 * its own checksum, whoever follows one checks the batch it lands on, and both can be rebuilt from
 * the segment at any time.
 *
 *   .index      12 bytes an entry      [u32 le offset - base][u32 le pos][u32 le crc32c of the 8]
 *   .timeindex  16 bytes an entry      [i64 le max timestamp][u32 le offset - base][u32 le crc32c]
 *
 * An index entry says: a batch with that base offset begins at pos. A time entry says: every record
 * of the segment below that offset has a timestamp of at most `max timestamp`. One of each is
 * written per index.interval.bytes of log, and a last time entry when the segment is sealed, whose
 * offset is the end of the segment.
 *
 * Invariants: X1 offsets and positions rise strictly; X2 timestamps never fall.
 */
#pragma once

#include <stdbool.h>

#include "engine/base/bytes.h"

#define INDEX_ENTRY_SIZE      12
#define INDEX_TIME_ENTRY_SIZE 16

struct index_entry {
    uint32_t relative; /* offset - base of the segment */
    uint32_t pos;
};

struct index_time_entry {
    int64_t max_timestamp;
    uint32_t relative;
};

/* What a search met. */
#define INDEX_NONE    1 /* no entry at or below: start at the segment's first byte */
#define INDEX_DAMAGED 2 /* an entry's checksum is wrong: scan, and rebuild */

/* The offset of the last time entry of a segment [base, end): its end, as far as it can be told. */
static inline uint32_t index_end(int64_t base, int64_t end)
{
    return end - base < UINT32_MAX ? (uint32_t)(end - base) : UINT32_MAX;
}

void index_append(struct buf *b, struct index_entry e);
void index_append_time(struct buf *b, struct index_time_entry e);

/* The slot-th entry; false when its checksum is wrong. `in` holds whole entries, slot < count. */
bool index_at(struct slice in, size_t slot, struct index_entry *out);
bool index_time_at(struct slice in, size_t slot, struct index_time_entry *out);

/* The last entry whose offset is <= relative. 0, INDEX_NONE, INDEX_DAMAGED. O(log n). */
int index_floor(struct slice in, uint32_t relative, struct index_entry *out) MUST_CHECK;
/* The last time entry whose max timestamp is < timestamp: everything below its offset is too old.
 * 0, INDEX_NONE, INDEX_DAMAGED. O(log n). */
int index_time_floor(struct slice in, int64_t timestamp, struct index_time_entry *out) MUST_CHECK;

/* Bytes of the longest good prefix: entries that check and rise, with pos < pos_end (index) or
 * relative <= relative_end (time index). What recovery keeps. O(n). */
size_t index_good_size(struct slice in, uint64_t pos_end);
size_t index_time_good_size(struct slice in, uint64_t relative_end);
