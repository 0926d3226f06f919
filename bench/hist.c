/* SPDX-License-Identifier: MIT
 *
 * hist: see hist.h.
 */
#include "bench/hist.h"

#include "engine/base/assert.h"

static int hist_bucket(int64_t value)
{
    ASSERT(value >= 0 && value <= HIST_VALUE_MAX);
    if (value < 2 * HIST_SUB)
        return (int)value;
    int power = 63 - __builtin_clzll((unsigned long long)value);
    int shift = power - HIST_SUB_BITS;
    return 2 * HIST_SUB + (shift - 1) * HIST_SUB + (int)(value >> shift) - HIST_SUB;
}

/* The largest value that falls into the bucket. */
static int64_t hist_edge(int bucket)
{
    ASSERT(bucket >= 0 && bucket < HIST_BUCKET_COUNT);
    if (bucket < 2 * HIST_SUB)
        return bucket;
    int shift = (bucket - 2 * HIST_SUB) / HIST_SUB + 1;
    int64_t sub = (bucket - 2 * HIST_SUB) % HIST_SUB + HIST_SUB;
    return ((sub + 1) << shift) - 1;
}

void hist_add(struct hist *h, int64_t value)
{
    if (value > h->max)
        h->max = value;
    value = value < 0 ? 0 : value;
    h->buckets[hist_bucket(value > HIST_VALUE_MAX ? HIST_VALUE_MAX : value)]++;
    h->count++;
}

void hist_merge(struct hist *h, const struct hist *from)
{
    for (int i = 0; i < HIST_BUCKET_COUNT; i++)
        h->buckets[i] += from->buckets[i];
    h->count += from->count;
    h->max = from->max > h->max ? from->max : h->max;
}

int64_t hist_percentile(const struct hist *h, double percent)
{
    ASSERT(percent > 0 && percent <= 100);
    double wanted = (double)h->count * percent / 100;
    uint64_t seen = 0;
    for (int i = 0; i < HIST_BUCKET_COUNT; i++) {
        seen += h->buckets[i];
        if (seen > 0 && (double)seen >= wanted)
            return hist_edge(i) < h->max ? hist_edge(i) : h->max;
    }
    return h->max;
}
