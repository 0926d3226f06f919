/* SPDX-License-Identifier: MIT
 *
 * record: the values that the crash harness writes. A value proves itself: from its first bytes
 * (run, producer, partition, sequence) the whole of it, its size included, can be computed again,
 * so the checker stores no payloads.
 *
 *   pos size
 *     0    4  magic "KCHR"
 *     4    4  crc32c of everything behind
 *     8    8  run: tells this run's records from those of another
 *    16    4  producer
 *    20    4  partition
 *    24    8  sequence: 0, 1, 2, ... per producer and partition
 *    32   ..  filler, 0 to size_max - 1 bytes
 *
 * Size and filler come from a generator seeded with (run, producer, partition, sequence). Half of
 * the filler repeats, so that codecs have something to do.
 */
#pragma once

#include "engine/base/bytes.h"

#define RECORD_HEADER_SIZE 32
/* Keys are k0 to k96: that of a record is its sequence modulo this. */
#define RECORD_KEYS 97

struct record_id {
    uint64_t run;
    uint64_t sequence;
    uint32_t producer;
    uint32_t partition;
};

/* Replaces *out with the value. size_max > 0: bound of the filler. */
void record_make(const struct record_id *id, uint32_t size_max, struct buf *out);
/* Reads a value. 0 and *id, or 1 when it is not, byte for byte, a value of `run` (size_max as it
 * was made with). scratch is reused from call to call. */
int record_read(struct slice value, uint64_t run, uint32_t size_max, struct buf *scratch,
                struct record_id *id) MUST_CHECK;
