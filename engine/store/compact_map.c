/* SPDX-License-Identifier: MIT
 *
 * compact_map: see compact_map.h.
 */
#include "engine/store/compact_map.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/random.h"

#define COMPACT_MAP_MIN   16u
#define COMPACT_MAP_FIRST 4096u
_Static_assert(sizeof(struct compact_slot) == 24, "a key costs 24 bytes");

/* --- SipHash-2-4-128 --- */

static inline uint64_t compact_map_rotate(uint64_t v, unsigned by)
{
    return v << by | v >> (64 - by);
}

static inline void compact_map_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = compact_map_rotate(v[1], 13) ^ v[0];
    v[3] = compact_map_rotate(v[3], 16) ^ v[2];
    v[0] = compact_map_rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = compact_map_rotate(v[1], 17) ^ v[2];
    v[3] = compact_map_rotate(v[3], 21) ^ v[0];
    v[2] = compact_map_rotate(v[2], 32);
}

static inline void compact_map_rounds(uint64_t v[4], unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        compact_map_round(v);
}

void compact_map_hash(const uint64_t seed[2], struct slice key, uint64_t out[2])
{
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575, seed[1] ^ 0x646f72616e646f6d ^ 0xee,
                     seed[0] ^ 0x6c7967656e657261, seed[1] ^ 0x7465646279746573};
    size_t whole = key.size / 8 * 8;
    ASSERT(key.p != NULL || key.size == 0);
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word = bytes_le64(key.p + i);
        v[3] ^= word;
        compact_map_rounds(v, 2);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)key.size << 56;
    for (size_t i = whole; i < key.size; i++)
        last |= (uint64_t)key.p[i] << 8 * (i - whole);
    v[3] ^= last;
    compact_map_rounds(v, 2);
    v[0] ^= last;
    v[2] ^= 0xee;
    compact_map_rounds(v, 4);
    out[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    compact_map_rounds(v, 4);
    out[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* --- the table --- */

static struct compact_slot *compact_map_alloc(size_t cap)
{
    size_t size = cap * sizeof(struct compact_slot);
    struct compact_slot *slots = assert_memory(malloc(size), size);
    ASSERT(cap >= COMPACT_MAP_MIN);
    for (size_t i = 0; i < cap; i++)
        slots[i].offset = -1;
    return slots;
}

void compact_map_init(struct compact_map *m, size_t memory_max, uint64_t seed)
{
    size_t max = memory_max / sizeof(struct compact_slot);
    struct random random;
    random_init(&random, seed);
    *m = (struct compact_map){.max = max > COMPACT_MAP_MIN ? max : COMPACT_MAP_MIN,
                              .seed = {random_u64(&random), random_u64(&random)}};
    m->cap = m->max < COMPACT_MAP_FIRST ? m->max : COMPACT_MAP_FIRST;
    m->slots = compact_map_alloc(m->cap);
    ASSERT(m->cap <= m->max);
}

void compact_map_deinit(struct compact_map *m)
{
    free(m->slots);
    *m = (struct compact_map){0};
    ASSERT(m->slots == NULL);
}

/* The slot of the hash, or the empty one where it belongs. */
static size_t compact_map_slot(const struct compact_map *m, const uint64_t hash[2])
{
    size_t i = (size_t)((unsigned __int128)hash[0] * m->cap >> 64);
    ASSERT(i < m->cap && m->count < m->cap);
    while (m->slots[i].offset >= 0 &&
           (m->slots[i].hash[0] != hash[0] || m->slots[i].hash[1] != hash[1]))
        i = i + 1 < m->cap ? i + 1 : 0;
    return i;
}

static void compact_map_grow(struct compact_map *m)
{
    struct compact_map old = *m;
    m->cap = old.cap > m->max / 2 ? m->max : old.cap * 2;
    m->slots = compact_map_alloc(m->cap);
    ASSERT(m->cap > old.cap);
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].offset >= 0)
            m->slots[compact_map_slot(m, old.slots[i].hash)] = old.slots[i];
    free(old.slots);
}

bool compact_map_put(struct compact_map *m, struct slice key, int64_t offset)
{
    uint64_t hash[2];
    ASSERT(offset >= 0 && m->slots != NULL);
    compact_map_hash(m->seed, key, hash);
    size_t i = compact_map_slot(m, hash);
    if (m->slots[i].offset >= 0) {
        ASSERT(m->slots[i].offset < offset);
        m->slots[i].offset = offset;
        return true;
    }
    if (m->count + 1 > m->cap / 4 * 3) {
        if (m->cap == m->max)
            return false;
        compact_map_grow(m);
        i = compact_map_slot(m, hash);
    }
    m->slots[i] = (struct compact_slot){{hash[0], hash[1]}, offset};
    m->count++;
    return true;
}

int64_t compact_map_get(const struct compact_map *m, struct slice key)
{
    uint64_t hash[2];
    ASSERT(m->slots != NULL);
    compact_map_hash(m->seed, key, hash);
    return m->slots[compact_map_slot(m, hash)].offset;
}

void compact_map_check(const struct compact_map *m)
{
    size_t count = 0;
    ASSERT(m->count <= m->cap / 4 * 3 && m->cap <= m->max); /* Y1, Y2 */
    for (size_t i = 0; i < m->cap; i++) {
        if (m->slots[i].offset < 0)
            continue;
        ASSERT(compact_map_slot(m, m->slots[i].hash) == i);
        count++;
    }
    ASSERT(count == m->count);
}
