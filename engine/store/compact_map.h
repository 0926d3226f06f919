/* SPDX-License-Identifier: MIT
 *
 * compact_map: the latest offset of each key, in bounded memory: 24 bytes a key, whatever its size.
 *
 *   slot   [u64 hash][u64 hash][i64 offset, -1 empty]       open addressing, next slot on collision
 *
 * Keys are known by 128 bits of SipHash-2-4 alone (Aumasson, Bernstein), under a seed of the
 * process: two keys do not meet by chance, and nobody outside can make them meet, which would lose
 * the records of one of them.
 *
 * Invariants: Y1 count <= 3/4 of cap; Y2 cap <= max.
 * Must not know: batches, files.
 */
#pragma once

#include <stdbool.h>

#include "engine/base/bytes.h"

struct compact_slot {
    uint64_t hash[2];
    int64_t offset;
};

struct compact_map {
    struct compact_slot *slots; /* owned */
    size_t cap;
    size_t count;
    size_t max; /* largest cap */
    uint64_t seed[2];
};

/* At most memory_max bytes (at least 16 slots), and while it grows the smaller table beside the
 * larger one. */
void compact_map_init(struct compact_map *m, size_t memory_max, uint64_t seed);
void compact_map_deinit(struct compact_map *m);
/* Offsets of a key rise. False: it is full and has no such key; nothing changed. */
bool compact_map_put(struct compact_map *m, struct slice key, int64_t offset) MUST_CHECK;
/* -1: none. */
int64_t compact_map_get(const struct compact_map *m, struct slice key);
void compact_map_check(const struct compact_map *m);

/* SipHash-2-4 with 128 bits, for tests against its published vectors. */
void compact_map_hash(const uint64_t seed[2], struct slice key, uint64_t out[2]);
