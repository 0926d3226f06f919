/* SPDX-License-Identifier: MIT
 *
 * clock: the machine's clocks and the one that stands still. See clock.h.
 */
#include "engine/base/clock.h"

#include <stddef.h>
#include <time.h>

#include "engine/base/assert.h"

static int64_t clock_real_us(clockid_t id)
{
    struct timespec t;
    int r = clock_gettime(id, &t);
    ASSERT(r == 0);
    ASSERT(t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
    ASSERT(t.tv_sec >= 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t clock_real_wall_ms(const struct clock *c)
{
    ASSERT(c == clock_real());
    return clock_real_us(CLOCK_REALTIME) / 1000;
}

static int64_t clock_real_mono_ms(const struct clock *c)
{
    ASSERT(c == clock_real());
    return clock_real_us(CLOCK_MONOTONIC) / 1000;
}

static int64_t clock_real_mono_us(const struct clock *c)
{
    ASSERT(c == clock_real());
    return clock_real_us(CLOCK_MONOTONIC);
}

const struct clock *clock_real(void)
{
    static const struct clock real = {
        .wall_ms = clock_real_wall_ms,
        .mono_ms = clock_real_mono_ms,
        .mono_us = clock_real_mono_us,
    };
    return &real;
}

static int64_t clock_fake_mono_us(const struct clock *c);

static const struct clock_fake *clock_fake_of(const struct clock *c)
{
    ASSERT(c->mono_us == clock_fake_mono_us); /* not some other clock */
    const struct clock_fake *fake = (const struct clock_fake *)(const void *)c;
    ASSERT(fake->mono_now_us >= 0);
    return fake;
}

_Static_assert(offsetof(struct clock_fake, clock) == 0, "a fake clock begins with its clock");

static int64_t clock_fake_wall_ms(const struct clock *c)
{
    return clock_fake_of(c)->wall_now_ms;
}

static int64_t clock_fake_mono_ms(const struct clock *c)
{
    return clock_fake_of(c)->mono_now_us / 1000;
}

static int64_t clock_fake_mono_us(const struct clock *c)
{
    return clock_fake_of(c)->mono_now_us;
}

void clock_fake_init(struct clock_fake *c, int64_t wall_ms)
{
    ASSERT(c != NULL);
    *c = (struct clock_fake){
        .clock =
            {
                .wall_ms = clock_fake_wall_ms,
                .mono_ms = clock_fake_mono_ms,
                .mono_us = clock_fake_mono_us,
            },
        .wall_now_ms = wall_ms,
        .mono_now_us = 0,
    };
}

void clock_fake_advance(struct clock_fake *c, int64_t ms)
{
    ASSERT(ms >= 0);
    ASSERT(c->clock.mono_us == clock_fake_mono_us);
    ASSERT(ms <= (INT64_MAX - c->mono_now_us) / 1000);
    ASSERT(c->wall_now_ms <= INT64_MAX - ms);
    c->wall_now_ms += ms;
    c->mono_now_us += ms * 1000;
}
