/* SPDX-License-Identifier: MIT
 *
 * client_partition: which partition a key belongs to, as Java's client says: murmur2 with its seed,
 * little-endian words, made positive by the mask, modulo the number of partitions.
 */
#include "engine/base/assert.h"
#include "engine/base/bytes.h"
#include "net/client/kauri.h"

#define CLIENT_MURMUR_SEED  0x9747b28cu
#define CLIENT_MURMUR_M     0x5bd1e995u
#define CLIENT_MURMUR_SHIFT 24

uint32_t kauri_murmur2(const void *key, size_t size)
{
    ASSERT(key != NULL || size == 0);
    const uint8_t *p = key;
    uint32_t h = CLIENT_MURMUR_SEED ^ (uint32_t)size;
    for (; size >= 4; p += 4, size -= 4) {
        uint32_t word = bytes_le32(p) * CLIENT_MURMUR_M;
        word ^= word >> CLIENT_MURMUR_SHIFT;
        h = h * CLIENT_MURMUR_M ^ word * CLIENT_MURMUR_M;
    }
    for (size_t i = size; i > 0; i--)
        h ^= (uint32_t)p[i - 1] << 8 * (i - 1);
    if (size > 0)
        h *= CLIENT_MURMUR_M;
    h ^= h >> 13;
    h *= CLIENT_MURMUR_M;
    return h ^ h >> 15;
}

int32_t kauri_partition_for(const void *key, size_t size, int32_t partition_count)
{
    ASSERT(partition_count > 0);
    return (int32_t)(kauri_murmur2(key, size) & 0x7fffffffu) % partition_count;
}
