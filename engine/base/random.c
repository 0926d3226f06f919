/* SPDX-License-Identifier: MIT
 *
 * random: xoshiro256** seeded by splitmix64, and the system's entropy. See random.h.
 * Source: Blackman and Vigna, "Scrambled linear pseudorandom number generators" (public
 * domain code).
 */
#include "engine/base/random.h"

#include <unistd.h>

#include "engine/base/assert.h"

#define RANDOM_ENTROPY_MAX 256 /* bytes getentropy gives at once, without being interrupted */

static uint64_t random_rotl(uint64_t v, unsigned bits)
{
    ASSERT(bits > 0 && bits < 64);
    return (v << bits) | (v >> (64 - bits));
}

static uint64_t random_splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void random_init(struct random *r, uint64_t seed)
{
    ASSERT(r != NULL);
    for (size_t i = 0; i < 4; i++)
        r->s[i] = random_splitmix(&seed);
    ASSERT((r->s[0] | r->s[1] | r->s[2] | r->s[3]) != 0);
}

uint64_t random_u64(struct random *r)
{
    ASSERT((r->s[0] | r->s[1] | r->s[2] | r->s[3]) != 0); /* zero would stay zero */
    uint64_t result = random_rotl(r->s[1] * 5, 7) * 9;
    uint64_t t = r->s[1] << 17;
    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= t;
    r->s[3] = random_rotl(r->s[3], 45);
    return result;
}

/* The high half of a 128-bit product. Its bias is below bound / 2^64 and nobody could measure it,
 * so one draw is enough and every call moves the stream by exactly one. */
uint64_t random_below(struct random *r, uint64_t bound)
{
    ASSERT(r != NULL);
    ASSERT(bound > 0);
    uint64_t result = (uint64_t)(((unsigned __int128)random_u64(r) * bound) >> 64);
    ASSERT(result < bound);
    return result;
}

void random_entropy(void *p, size_t size)
{
    uint8_t *at = p;
    ASSERT(p != NULL || size == 0);
    while (size > 0) {
        size_t piece = size < RANDOM_ENTROPY_MAX ? size : RANDOM_ENTROPY_MAX;
        int r = getentropy(at, piece);
        ASSERT(r == 0);
        at += piece;
        size -= piece;
    }
}
