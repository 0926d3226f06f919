/* SPDX-License-Identifier: MIT
 *
 * random: the published streams, bounds, spread, entropy. And clock, the other seam for what
 * differs between runs.
 */
#include "engine/base/random.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "engine/base/clock.h"

/* splitmix64 of 0 begins e220a8397b1dcdaf 6e789e6aa1b965f4 06c45d188009454f f88bb8a8724c81ec. */
START_TEST(test_seeding)
{
    struct random r;
    random_init(&r, 0);
    ck_assert_uint_eq(r.s[0], 0xe220a8397b1dcdaf);
    ck_assert_uint_eq(r.s[1], 0x6e789e6aa1b965f4);
    ck_assert_uint_eq(r.s[2], 0x06c45d188009454f);
    ck_assert_uint_eq(r.s[3], 0xf88bb8a8724c81ec);
}
END_TEST

/* The first numbers of xoshiro256** from the state 1, 2, 3, 4. */
START_TEST(test_stream)
{
    static const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240};
    struct random r = {.s = {1, 2, 3, 4}};
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_eq(random_u64(&r), expected[i]);
}
END_TEST

START_TEST(test_same_seed_same_stream)
{
    struct random a, b, c;
    unsigned equal = 0;
    random_init(&a, 42);
    random_init(&b, 42);
    random_init(&c, 43);
    for (int i = 0; i < 1000; i++) {
        uint64_t v = random_u64(&a);
        ck_assert_uint_eq(v, random_u64(&b));
        equal += v == random_u64(&c);
    }
    ck_assert_uint_eq(equal, 0);
}
END_TEST

START_TEST(test_below)
{
    unsigned counts[10] = {0};
    struct random r;
    random_init(&r, 1);
    for (int i = 0; i < 100000; i++)
        counts[random_below(&r, 10)]++;
    for (size_t i = 0; i < 10; i++) {
        ck_assert_uint_gt(counts[i], 9500);
        ck_assert_uint_lt(counts[i], 10500);
    }
    for (int i = 0; i < 1000; i++) {
        ck_assert_uint_eq(random_below(&r, 1), 0);
        ck_assert_uint_lt(random_below(&r, UINT64_MAX), UINT64_MAX);
    }
}
END_TEST

START_TEST(test_below_zero_aborts)
{
    struct random r;
    random_init(&r, 1);
    (void)random_below(&r, 0);
}
END_TEST

/* 1000 bytes are more than the kernel gives at once; each position differs in some of 20 draws. */
START_TEST(test_entropy)
{
    static uint8_t first[1001], now[1001];
    static bool differs[1000];
    random_entropy(first, 1000);
    for (int draw = 0; draw < 20; draw++) {
        random_entropy(now, 1000);
        for (size_t i = 0; i < 1000; i++)
            differs[i] |= now[i] != first[i];
    }
    for (size_t i = 0; i < 1000; i++)
        ck_assert(differs[i]);
    ck_assert_uint_eq(now[1000], 0);
    random_entropy(NULL, 0);
}
END_TEST

START_TEST(test_clock_fake)
{
    struct clock_fake fake;
    clock_fake_init(&fake, 1700000000000);
    const struct clock *c = &fake.clock;
    ck_assert_int_eq(c->wall_ms(c), 1700000000000);
    ck_assert_int_eq(c->mono_ms(c), 0);
    clock_fake_advance(&fake, 1500);
    ck_assert_int_eq(c->wall_ms(c), 1700000001500);
    ck_assert_int_eq(c->mono_ms(c), 1500);
    ck_assert_int_eq(c->mono_us(c), 1500000);
    fake.wall_now_ms -= 3600000; /* somebody set the clock */
    ck_assert_int_eq(c->mono_ms(c), 1500);
    ck_assert_int_eq(c->wall_ms(c), 1699996401500);
}
END_TEST

START_TEST(test_clock_fake_never_goes_back)
{
    struct clock_fake fake;
    clock_fake_init(&fake, 0);
    clock_fake_advance(&fake, -1);
}
END_TEST

START_TEST(test_clock_real)
{
    const struct clock *c = clock_real();
    int64_t before = (int64_t)time(NULL) * 1000;
    int64_t wall = c->wall_ms(c);
    int64_t after = ((int64_t)time(NULL) + 1) * 1000;
    ck_assert_int_ge(wall, before - 1000); /* time() may lag by a tick */
    ck_assert_int_le(wall, after + 1000);
    int64_t us = c->mono_us(c);
    for (int i = 0; i < 10000; i++) {
        int64_t now = c->mono_us(c);
        ck_assert_int_ge(now, us);
        us = now;
    }
    int64_t ms = c->mono_ms(c);
    ck_assert_int_ge(ms, us / 1000);
    ck_assert_int_le(ms, c->mono_us(c) / 1000);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("random");
    tcase_add_test(tc, test_seeding);
    tcase_add_test(tc, test_stream);
    tcase_add_test(tc, test_same_seed_same_stream);
    tcase_add_test(tc, test_below);
    tcase_add_test_raise_signal(tc, test_below_zero_aborts, SIGABRT);
    tcase_add_test(tc, test_entropy);
    tcase_add_test(tc, test_clock_fake);
    tcase_add_test_raise_signal(tc, test_clock_fake_never_goes_back, SIGABRT);
    tcase_add_test(tc, test_clock_real);
    Suite *suite = suite_create("base/random");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
