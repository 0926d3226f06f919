/* SPDX-License-Identifier: MIT
 *
 * map: open addressing with linear probing. See map.h for the invariants.
 *
 *   slot:   0    1    2    3    4    5          home of a key: hash & (cap - 1)
 *         [ A1 | B1 | C2 |    | D4 | E4 ]       the digit is the key's home: E is one behind its
 * own
 *
 * A key is looked for from its home up to the first empty slot. Removing B moves later entries of
 * the run back into the hole where that does not carry them before their home: C may move to slot 1
 * only if its home were 1 or less. So there are no tombstones and no rebuilds but growth.
 *
 * The hash folds 128-bit products of 16-byte pieces, both factors masked by values that depend on
 * the seed: who does not know the seed cannot make a factor zero or choose keys that collide. It is
 * not cryptographic: who may time many lookups could learn the seed.
 */
#include "engine/base/map.h"

#include <stdlib.h>

#include "engine/base/assert.h"

#define MAP_CAP_MIN 16

/* Odd, random-looking constants: the fractions of the square roots of 2, 3, 5 and 7. */
#define MAP_K0 0x6a09e667f3bcc909u
#define MAP_K1 0xbb67ae8584caa73bu
#define MAP_K2 0x3c6ef372fe94f82bu
#define MAP_K3 0xa54ff53a5f1d36f1u

static uint64_t map_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)(product >> 64) ^ (uint64_t)product;
}

uint64_t map_hash(struct slice key, uint64_t seed)
{
    ASSERT(key.p != NULL || key.size == 0);
    uint64_t mask = map_fold(seed ^ MAP_K0, MAP_K1);
    uint64_t h = map_fold(seed ^ MAP_K2, MAP_K3) ^ mask;
    const uint8_t *p = key.p;
    size_t left = key.size;
    for (; left > 16; left -= 16, p += 16)
        h = map_fold(bytes_le64(p) ^ mask, bytes_le64(p + 8) ^ h);
    ASSERT(left <= 16);
    uint8_t tail[16] = {0};
    if (left > 0)
        memcpy(tail, p, left);
    h = map_fold(bytes_le64(tail) ^ mask, bytes_le64(tail + 8) ^ h);
    return map_fold(h ^ key.size, mask ^ MAP_K0);
}

static size_t map_home(const struct map *m, uint64_t hash)
{
    ASSERT(m->cap > 0 && (m->cap & (m->cap - 1)) == 0);
    return (size_t)hash & (m->cap - 1);
}

/* The slot that holds the key, or the empty slot where it belongs. cap > count. */
static size_t map_find(const struct map *m, struct slice key, uint64_t hash)
{
    ASSERT(m->slots != NULL);
    ASSERT(m->count < m->cap); /* so the walk meets an empty slot */
    size_t index = map_home(m, hash);
    while (m->slots[index].value != NULL) {
        if (m->slots[index].hash == hash && slice_equal(m->slots[index].key, key))
            break;
        index = (index + 1) & (m->cap - 1);
    }
    return index;
}

static void map_grow(struct map *m)
{
    struct map old = *m;
    ASSERT(old.count <= old.cap);
    m->cap = old.cap == 0 ? MAP_CAP_MIN : old.cap * 2;
    ASSERT(m->cap <= PTRDIFF_MAX / sizeof(struct map_entry));
    m->slots =
        assert_memory(calloc(m->cap, sizeof(struct map_entry)), m->cap * sizeof(struct map_entry));
    for (size_t i = 0; i < old.cap; i++) {
        const struct map_entry *entry = &old.slots[i];
        if (entry->value == NULL)
            continue;
        size_t index = map_find(m, entry->key, entry->hash);
        ASSERT(m->slots[index].value == NULL);
        m->slots[index] = *entry;
    }
    free(old.slots);
}

void map_init(struct map *m, uint64_t seed)
{
    ASSERT(m != NULL);
    *m = (struct map){.slots = NULL, .count = 0, .cap = 0, .seed = seed};
}

void map_deinit(struct map *m)
{
    ASSERT(m->count <= m->cap);
    ASSERT((m->slots == NULL) == (m->cap == 0));
    free(m->slots);
    map_init(m, m->seed);
}

void *map_get(const struct map *m, struct slice key)
{
    if (m->count == 0)
        return NULL;
    ASSERT(m->slots != NULL);
    return m->slots[map_find(m, key, map_hash(key, m->seed))].value;
}

void *map_put(struct map *m, struct slice key, void *value)
{
    ASSERT(value != NULL);
    if ((m->count + 1) > m->cap / 4 * 3)
        map_grow(m);
    uint64_t hash = map_hash(key, m->seed);
    struct map_entry *entry = &m->slots[map_find(m, key, hash)];
    void *old = entry->value;
    ASSERT(old == NULL || entry->hash == hash);
    *entry = (struct map_entry){.key = key, .value = value, .hash = hash};
    m->count += old == NULL;
    ASSERT(m->count <= m->cap / 4 * 3);
    return old;
}

/* Empties slot `hole`, moving back the entries of the run behind it that may lie there (M3). */
static void map_close_hole(struct map *m, size_t hole)
{
    ASSERT(m->slots[hole].value != NULL);
    size_t mask = m->cap - 1;
    for (size_t i = (hole + 1) & mask; m->slots[i].value != NULL; i = (i + 1) & mask) {
        size_t home = map_home(m, m->slots[i].hash);
        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* its home lies behind the hole */
        m->slots[hole] = m->slots[i];
        hole = i;
    }
    ASSERT(hole < m->cap);
    m->slots[hole] = (struct map_entry){.value = NULL};
}

void *map_remove(struct map *m, struct slice key)
{
    if (m->count == 0)
        return NULL;
    size_t index = map_find(m, key, map_hash(key, m->seed));
    void *value = m->slots[index].value;
    if (value == NULL)
        return NULL;
    map_close_hole(m, index);
    ASSERT(m->count > 0);
    m->count--;
    return value;
}

void *map_next(const struct map *m, size_t *at)
{
    ASSERT(*at <= m->cap);
    while (*at < m->cap) {
        void *value = m->slots[(*at)++].value;
        if (value != NULL)
            return value;
    }
    return NULL;
}

void map_check(const struct map *m)
{
    ASSERT((m->cap & (m->cap - 1)) == 0); /* M2 */
    ASSERT(m->count <= m->cap / 4 * 3);   /* M1 */
    size_t count = 0;
    for (size_t i = 0; i < m->cap; i++) {
        const struct map_entry *entry = &m->slots[i];
        if (entry->value == NULL)
            continue;
        count++;
        ASSERT(entry->hash == map_hash(entry->key, m->seed));
        ASSERT(map_find(m, entry->key, entry->hash) == i); /* M3 */
    }
    ASSERT(count == m->count);
}
