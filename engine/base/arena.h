/* SPDX-License-Identifier: MIT
 *
 * arena: memory with the lifetime of one request: bump allocation, everything freed at once.
 *
 *   arena -> [block 2 KiB] -> [block] -> ...      a block doubles up to 1 MiB; larger asks get
 *                                                 a block of their own
 *
 * Invariants: A1 `used <= limit`; A2 pointers stay valid until reset or deinit.
 */
#pragma once

#include <stdint.h>

#include "engine/base/bytes.h"

struct arena_block;

struct arena {
    struct arena_block *head; /* owned, newest first (large blocks of their own lie behind) */
    size_t used;              /* bytes handed out since the last reset, rounded up to 16 each */
    size_t limit;             /* arena_alloc returns NULL beyond it; 0 = none */
};

/* Starts empty. `limit` in bytes, 0 = no limit. */
void arena_init(struct arena *a, size_t limit);
/* 16-byte aligned, zeroed memory owned by the arena; NULL when the limit would be passed.
 * `size` 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t size);
/* Zeroed array; NULL as above and when count * size overflows. size > 0. */
void *arena_array(struct arena *a, size_t count, size_t size);
/* Copy with a NUL behind it (not counted); p == NULL on the limit. A null slice becomes empty. */
struct slice arena_copy(struct arena *a, struct slice s);
/* Forgets everything, keeps one small block. */
void arena_reset(struct arena *a);
void arena_deinit(struct arena *a);
