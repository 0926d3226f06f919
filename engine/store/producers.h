/* SPDX-License-Identifier: MIT
 *
 * producers: what a partition remembers of its idempotent producers, so that a repeated batch is
 * stored once and a missing one is noticed. Source: KIP-98 and Kafka's producer state manager.
 *
 * Per producer id: its epoch and the last five batches (first and last sequence, base offset,
 * timestamp). Rules for a batch with producer id (sequences wrap from 2^31-1 to 0):
 *
 *   epoch < stored                          PRODUCERS_FENCED
 *   same epoch, range equals a remembered   PRODUCERS_DUPLICATE, with the original offsets
 *   epoch > stored, first sequence != 0     PRODUCERS_GAP
 *   same epoch, first != last + 1           PRODUCERS_GAP
 *   nothing stored                          any sequence is taken (state expired or was cut away)
 *
 * The state runs ahead of the disk (it is moved when offsets are reserved), so each append keeps an
 * undo record for the one failure that is not fatal, a full disk.
 *
 * Invariants: R1 count <= 5; R2 batches of one entry rise in offset and follow each other in
 * sequence; R3 every entry's id is its key.
 *
 * Snapshot, at offset o, means: the state after every batch below o.
 *   [u32 le magic "KPS1"][u32 le crc32c of all behind][i64 le offset][u32 le count] then per
 *   producer [i64 id][i16 epoch][u8 batches][i64 last_ms] and per batch
 *   [i32 first][i32 last][i64 base][i64 timestamp], all little endian
 */
#pragma once

#include <stdbool.h>

#include "engine/base/map.h"
#include "engine/store/batch.h"

#define PRODUCERS_BATCHES   5

#define PRODUCERS_DUPLICATE 1
#define PRODUCERS_GAP       2
#define PRODUCERS_FENCED    3
#define PRODUCERS_DAMAGED   4 /* a snapshot that does not check */
#define PRODUCERS_LIMIT     5 /* too many producer ids in this partition */

struct producers_batch {
    int32_t first_sequence;
    int32_t last_sequence;
    int64_t base_offset;
    int64_t timestamp;
};

struct producers_entry {
    int64_t id;
    int64_t last_ms; /* wall time of the last batch, for expiry */
    int16_t epoch;
    uint8_t count;
    struct producers_batch batches[PRODUCERS_BATCHES]; /* oldest first */
};

struct producers {
    struct map map; /* id -> struct producers_entry, owned */
    size_t max;
};

/* Enough to take one append back. */
struct producers_undo {
    bool used;
    bool fresh; /* there was no entry */
    struct producers_entry before;
};

void producers_init(struct producers *s, uint64_t seed, size_t max);
void producers_deinit(struct producers *s);
/* Checks a batch against the state without changing it. 0 or a condition; for PRODUCERS_DUPLICATE
 * *original has the remembered batch. Batches without producer id are 0. */
int producers_check(const struct producers *s, const struct batch_header *h,
                    struct producers_batch *original) MUST_CHECK;
/* Moves the state by a batch that was checked and stamped; fills *undo (may be NULL). */
void producers_apply(struct producers *s, const struct batch_header *h, int64_t now_ms,
                     struct producers_undo *undo);
/* Takes an apply back; undos run in reverse order. */
void producers_undo(struct producers *s, const struct batch_header *h,
                    const struct producers_undo *undo);
/* Forgets producers silent since before_ms. Returns how many. O(n). */
size_t producers_expire(struct producers *s, int64_t before_ms);

/* Appends a snapshot as of `offset` to out. */
void producers_save(const struct producers *s, int64_t offset, struct buf *out);
/* Loads into an empty state. 0 with *offset, or PRODUCERS_DAMAGED (state left empty). */
int producers_load(struct producers *s, struct slice in, int64_t *offset) MUST_CHECK;
void producers_check_invariants(const struct producers *s);
