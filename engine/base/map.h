/* SPDX-License-Identifier: MIT
 *
 * map: open-addressing hash map from byte strings to pointers. Keys are borrowed: they usually lie
 * in the value itself and must outlive the entry.
 *
 * Hashing is seeded per map, so that foreign keys cannot be chosen to collide.
 * Invariants: M1 count <= 3/4 of cap; M2 cap is a power of two or 0; M3 each entry is reachable
 * from its hash slot without crossing an empty one.
 */
#pragma once

#include <stdbool.h>

#include "engine/base/bytes.h"

struct map_entry {
    struct slice key; /* borrowed */
    void *value;      /* borrowed; NULL marks an empty slot */
    uint64_t hash;
};

struct map {
    struct map_entry *slots;
    size_t count;
    size_t cap;
    uint64_t seed;
};

void map_init(struct map *m, uint64_t seed);
/* Frees the slots; keys and values are the caller's. The map is empty and valid afterwards. */
void map_deinit(struct map *m);
/* NULL when there is none. */
void *map_get(const struct map *m, struct slice key);
/* Adds or replaces; returns the replaced value or NULL. value != NULL. A replaced entry borrows the
 * new key from then on, so the old value may be freed with its key. */
void *map_put(struct map *m, struct slice key, void *value);
/* Takes out and returns the value, or NULL. Backward-shift deletion: no tombstones. */
void *map_remove(struct map *m, struct slice key);
/* Iterates: start with *at = 0; NULL at the end. The map must not change meanwhile. */
void *map_next(const struct map *m, size_t *at);
/* Walks the invariants; asserts. O(n). */
void map_check(const struct map *m);

/* Keys that are numbers: the 8 bytes at `p`, borrowed like any key. */
static inline struct slice map_key64(const int64_t *p)
{
    return (struct slice){(const uint8_t *)p, sizeof *p};
}

/* 64-bit hash of bytes, seeded; not cryptographic. */
uint64_t map_hash(struct slice key, uint64_t seed);
