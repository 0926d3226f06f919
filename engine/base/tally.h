/* SPDX-License-Identifier: MIT
 *
 * tally: how long things took: a count, a sum and a histogram of fixed bounds, the same for all, so
 * that any two can be added. Plain increments; one thread. A zeroed struct is empty and valid.
 *
 * Invariant (tally_check): count is the sum of the buckets.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define TALLY_BOUNDS 16

struct tally {
    uint64_t count;
    uint64_t sum_us;
    uint64_t buckets[TALLY_BOUNDS + 1]; /* [i]: above bound i - 1, up to bound i; the last: above */
};

/* 100 us to 10 s, rising. */
extern const uint32_t tally_bounds_us[TALLY_BOUNDS];

/* Negative times, of a clock that was read on both sides of a change, count as 0. O(bounds). */
void tally_add(struct tally *t, int64_t us);
/* Adds all of `other`. */
void tally_merge(struct tally *t, const struct tally *other);
void tally_check(const struct tally *t);
