/* SPDX-License-Identifier: MIT
 *
 * clock: the seam for time and randomness. The engine itself takes both as arguments; only cli, net
 * and tests hold a clock.
 *
 * Wall time may jump either way and is for what is written down; deadlines use monotonic time.
 */
#pragma once

#include <stdint.h>

struct clock {
    int64_t (*wall_ms)(const struct clock *c); /* Unix time */
    int64_t (*mono_ms)(const struct clock *c); /* never goes back */
    int64_t (*mono_us)(const struct clock *c); /* same clock, microseconds */
};

/* The machine's clocks; static storage, usable from every thread. */
const struct clock *clock_real(void);

/* A clock that stands still until told otherwise. */
struct clock_fake {
    struct clock clock;
    int64_t wall_now_ms;
    int64_t mono_now_us;
};
/* Monotonic time starts at 0. */
void clock_fake_init(struct clock_fake *c, int64_t wall_ms);
/* Moves both clocks forward, ms >= 0. To let wall time jump, set wall_now_ms. */
void clock_fake_advance(struct clock_fake *c, int64_t ms);
