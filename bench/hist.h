/* SPDX-License-Identifier: MIT
 *
 * hist: a histogram of durations, exact to 1.6 % over 12 powers of ten, in 18 KiB, without
 * allocation.
 *
 *   0..127 ns    one bucket each
 *   above        each power of two is cut into 64 equal buckets: a bucket is at most a 64th of its
 *                lower edge wide
 *
 * A percentile is the upper edge of its bucket, so it never flatters; the maximum is exact.
 *
 * Invariants: H1 `count` is the sum of `buckets`; H2 `max` is 0 or lies in the last bucket in use.
 * Failures: none. Values below 0 count as 0, above HIST_VALUE_MAX as that (max keeps the truth).
 */
#pragma once

#include <stdint.h>

#define HIST_SUB_BITS     6
#define HIST_SUB          (1 << HIST_SUB_BITS)
#define HIST_VALUE_BITS   40 /* 18 minutes in ns */
#define HIST_VALUE_MAX    ((INT64_C(1) << HIST_VALUE_BITS) - 1)
#define HIST_BUCKET_COUNT (2 * HIST_SUB + (HIST_VALUE_BITS - HIST_SUB_BITS - 1) * HIST_SUB)

struct hist {
    uint64_t buckets[HIST_BUCKET_COUNT];
    uint64_t count;
    int64_t max;
};

/* A zeroed struct hist is empty and valid. */

void hist_add(struct hist *h, int64_t value);
/* Adds all of `from`. */
void hist_merge(struct hist *h, const struct hist *from);
/* The smallest bucket edge that at least `percent` of the values do not exceed, at most max; 0 when
 * empty. 0 < percent <= 100. O(buckets). */
int64_t hist_percentile(const struct hist *h, double percent);
