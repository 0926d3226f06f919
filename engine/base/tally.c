/* SPDX-License-Identifier: MIT
 *
 * tally: see tally.h.
 */
#include "engine/base/tally.h"

#include "engine/base/assert.h"

const uint32_t tally_bounds_us[TALLY_BOUNDS] = {
    100,   250,    500,    1000,   2500,    5000,    10000,   25000,
    50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000,
};

void tally_add(struct tally *t, int64_t us)
{
    uint64_t took = us > 0 ? (uint64_t)us : 0;
    size_t i = 0;
    ASSERT(t != NULL);
    while (i < TALLY_BOUNDS && took > tally_bounds_us[i])
        i++;
    ASSERT(i <= TALLY_BOUNDS);
    t->count++;
    t->sum_us += took;
    t->buckets[i]++;
}

void tally_merge(struct tally *t, const struct tally *other)
{
    ASSERT(t != NULL && other != NULL);
    ASSERT(t != other);
    t->count += other->count;
    t->sum_us += other->sum_us;
    for (size_t i = 0; i <= TALLY_BOUNDS; i++)
        t->buckets[i] += other->buckets[i];
}

void tally_check(const struct tally *t)
{
    uint64_t count = 0;
    ASSERT(t != NULL);
    for (size_t i = 0; i <= TALLY_BOUNDS; i++)
        count += t->buckets[i];
    ASSERT(count == t->count);
}
