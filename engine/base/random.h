/* SPDX-License-Identifier: MIT
 *
 * random: seeded pseudo-random numbers (splitmix64 for seeding, xoshiro256** for the stream, both
 * by Blackman and Vigna, public domain designs) and real entropy.
 */
#pragma once

#include <stdint.h>

#include "engine/base/bytes.h"

struct random {
    uint64_t s[4];
};

void random_init(struct random *r, uint64_t seed);
uint64_t random_u64(struct random *r);
/* 0 <= result < bound; bound > 0. */
uint64_t random_below(struct random *r, uint64_t bound);
/* Fills from the system's entropy; aborts when the kernel has none. */
void random_entropy(void *p, size_t size);
