/* SPDX-License-Identifier: MIT
 *
 * history: what the load program was told, on a healthy disk. One file per producer, appended
 * through a buffer and never synced: the program that writes it is not the one that is killed.
 *
 * The file begins with 24 bytes: magic "KCHH", producer u32, run u64, size_max u32, partitions u32.
 * Then entries of 24 bytes:
 *
 *   pos size
 *     0    4  kind
 *     4    4  partition
 *     8    8  sequence
 *    16    8  offset; HISTORY_SENT: 0
 *
 * HISTORY_SENT comes once per partition at the end: sequences below it were handed to the client.
 * A history without it was not ended in order, and is refused.
 */
#pragma once

#include <stdio.h>

#include "engine/base/error.h"
#include "test/chaos/record.h"

enum history_kind {
    HISTORY_ACKED = 1,
    HISTORY_FAILED = 2, /* may be there or not */
    HISTORY_SENT = 3,
};

struct history_head {
    uint64_t run;
    uint32_t producer;
    uint32_t size_max;
    uint32_t partitions;
};

struct history_entry {
    uint64_t sequence;
    int64_t offset;
    enum history_kind kind;
    uint32_t partition;
};

/* Each: 0, or 1 when the file could not be written. */
int history_write_head(FILE *f, const struct history_head *h) MUST_CHECK;
int history_write(FILE *f, const struct history_entry *e) MUST_CHECK;
/* 0, or 1 when this is no history. */
int history_read_head(FILE *f, struct history_head *h) MUST_CHECK;
/* 0, 1 at the end, 2 when the entry is cut off or unknown. */
int history_read(FILE *f, struct history_entry *e) MUST_CHECK;
