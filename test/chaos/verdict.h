/* SPDX-License-Identifier: MIT
 *
 * verdict: the judge of the crash harness. It hears what is in the log (verdict_record, in offset
 * order per partition) and what producers were told (verdict_acked, verdict_failed, verdict_sent),
 * and counts what must not be:
 *
 *   lost        acknowledged, and nothing of it at its offset
 *   wrong       another record at the offset of an acknowledged one, or bytes that are nobody's
 *   duplicated  a (producer, sequence) seen before in the partition
 *   reordered   a sequence below one that was seen, itself not seen before
 *   phantom     a record that nobody sent, or one in a partition it was not sent to
 *   gaps        offsets that do not follow one another
 *   skipped     a sequence missing between two, though it was not reported as failed
 *
 * A log that is compacted may leave out offsets, sequences and whatever has a later record of its
 * key (record.h): those are superseded. The latest of each key must be there.
 *
 * Cost: linear in records and acknowledgements. Memory: 16 bytes per record of the log.
 */
#pragma once

#include "engine/base/bytes.h"
#include "test/chaos/record.h"

struct verdict;

struct verdict_counts {
    uint64_t records;
    uint64_t acked;
    uint64_t failed;
    uint64_t lost;
    uint64_t wrong;
    uint64_t duplicated;
    uint64_t reordered;
    uint64_t phantom;
    uint64_t gaps;
    uint64_t skipped;
    uint64_t expired;    /* acknowledged and below the log start, where retention is allowed */
    uint64_t superseded; /* acknowledged and not there, where compaction is allowed */
};

struct verdict *verdict_new(uint32_t producers, uint32_t partitions);
struct verdict *verdict_free(struct verdict *v);
/* The topic is compacted; before anything else. */
void verdict_compacted(struct verdict *v);
/* The log of the partition begins here; before any of its records. With `retention` acknowledged
 * records below are expired, else lost. */
void verdict_start(struct verdict *v, uint32_t partition, int64_t offset, bool retention);
/* The next record of the partition; id NULL when its value is none of this run. */
void verdict_record(struct verdict *v, uint32_t partition, int64_t offset,
                    const struct record_id *id);
/* After all records: what the producers know. `sent` of a producer and partition comes before its
 * other entries are judged, so give all verdict_sent first. */
void verdict_sent(struct verdict *v, uint32_t producer, uint32_t partition, uint64_t sent);
void verdict_failed(struct verdict *v, uint32_t producer, uint32_t partition, uint64_t sequence);
void verdict_acked(struct verdict *v, uint32_t producer, uint32_t partition, uint64_t sequence,
                   int64_t offset);
/* Judges phantoms and skipped sequences, which need everything; then the counts are final. */
void verdict_end(struct verdict *v, struct verdict_counts *out);
/* Whether anything is there that must not be. */
bool verdict_bad(const struct verdict_counts *c);
/* The first faults in words, one a line; "" when none. */
const char *verdict_text(struct verdict *v);
