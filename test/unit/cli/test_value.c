/* SPDX-License-Identifier: MIT
 *
 * test_value: what people type behind options is taken whole or refused.
 */
#include "cli/value.h"

#include <check.h>
#include <stdlib.h>
#include <time.h>

START_TEST(numbers)
{
    uint64_t u = 7;
    int64_t i = 7;
    ck_assert(value_u64("0", 10, &u) && u == 0);
    ck_assert(value_u64("10", 10, &u) && u == 10);
    ck_assert(!value_u64("11", 10, &u) && u == 10);
    ck_assert(!value_u64("-1", 10, &u));
    ck_assert(!value_u64("+1", 10, &u));
    ck_assert(!value_u64("", 10, &u));
    ck_assert(!value_u64("1x", 10, &u));
    ck_assert(!value_u64("18446744073709551616", UINT64_MAX, &u));
    ck_assert(value_i64("-9223372036854775808", &i) && i == INT64_MIN);
    ck_assert(!value_i64("9223372036854775808", &i));
    ck_assert(!value_i64("-", &i));
    ck_assert(!value_i64("--1", &i));
}
END_TEST

START_TEST(durations_and_sizes)
{
    int64_t ms = -7;
    uint64_t bytes = 7;
    ck_assert(value_duration("250", &ms) && ms == 250);
    ck_assert(value_duration("5s", &ms) && ms == 5000);
    ck_assert(value_duration("1.5s", &ms) && ms == 1500);
    ck_assert(value_duration("7d", &ms) && ms == 604800000);
    ck_assert(value_duration("2H", &ms) && ms == 7200000);
    ck_assert(!value_duration("5 s", &ms) && ms == 7200000);
    ck_assert(!value_duration("5w", &ms));
    ck_assert(!value_duration("-5s", &ms));
    ck_assert(!value_duration("inf", &ms));
    ck_assert(!value_duration("99999999999999999d", &ms));
    ck_assert(value_size("64K", &bytes) && bytes == 65536);
    ck_assert(value_size("1MiB", &bytes) && bytes == 1048576);
    ck_assert(value_size("2gb", &bytes) && bytes == UINT64_C(2) << 30);
    ck_assert(value_size("12", &bytes) && bytes == 12);
    ck_assert(!value_size("12q", &bytes));
    ck_assert(!value_size("", &bytes));
}
END_TEST

START_TEST(rates)
{
    double rate = 0;
    ck_assert(value_rate("100/s", &rate) && rate == 100);
    ck_assert(value_rate("100", &rate) && rate == 100);
    ck_assert(value_rate("6000/m", &rate) && rate == 100);
    ck_assert(value_rate("20k/s", &rate) && rate == 20000);
    ck_assert(!value_rate("0/s", &rate));
    ck_assert(!value_rate("1/h", &rate));
    ck_assert(!value_rate("/s", &rate));
}
END_TEST

START_TEST(escapes)
{
    struct buf out = {0};
    ck_assert(value_unescape("a\\tb\\n\\x00\\0\\\\\\x1eZ", &out));
    ck_assert_uint_eq(out.size, 9);
    ck_assert_mem_eq(out.p, "a\tb\n\0\0\\\x1eZ", 9);
    ck_assert(!value_unescape("\\q", &out));
    ck_assert(!value_unescape("\\", &out));
    ck_assert(!value_unescape("\\x1", &out));
    ck_assert(!value_unescape("\\xg0", &out));
    buf_deinit(&out);
}
END_TEST

#define NOW INT64_C(1705327800000) /* 2024-01-15T14:10:00Z */

START_TEST(times)
{
    int64_t ms = 0;
    ck_assert(value_time("1705327800000", NOW, &ms) && ms == NOW);
    ck_assert(value_time("-1h", NOW, &ms) && ms == NOW - 3600000);
    ck_assert(value_time("2024-01-15T14:10:00Z", NOW, &ms) && ms == NOW);
    ck_assert(value_time("2024-01-15T16:10:00+02:00", NOW, &ms) && ms == NOW);
    ck_assert(value_time("2024-01-15T09:10-0500", NOW, &ms) && ms == NOW);
    ck_assert(value_time("2024-01-15 14:10:00.250Z", NOW, &ms) && ms == NOW + 250);
    ck_assert(value_time("2024-01-15T14:10:00.1239Z", NOW, &ms) && ms == NOW + 123);
    ck_assert(value_time("2024-01-15Z", NOW, &ms) && ms == INT64_C(1705276800000));
    ck_assert(!value_time("2024-01-15T14:10:00X", NOW, &ms));
    ck_assert(!value_time("2024-13-15", NOW, &ms));
    ck_assert(!value_time("yesterday", NOW, &ms));
    ck_assert(!value_time("-", NOW, &ms));
}
END_TEST

START_TEST(local_time_is_the_default)
{
    int64_t ms = 0;
    setenv("TZ", "UTC-3", 1); /* three hours east */
    tzset();
    ck_assert(value_time("2024-01-15T17:10", NOW, &ms) && ms == NOW);
}
END_TEST

START_TEST(offsets)
{
    struct value_span s;
    ck_assert(value_offsets("start", NOW, &s) && s.place == VALUE_START && !s.bounded);
    ck_assert(value_offsets("end", NOW, &s) && s.place == VALUE_END);
    ck_assert(value_offsets("0", NOW, &s) && s.place == VALUE_OFFSET && s.number == 0);
    ck_assert(value_offsets("42", NOW, &s) && s.place == VALUE_OFFSET && s.number == 42);
    ck_assert(value_offsets("-5", NOW, &s) && s.place == VALUE_LAST && s.number == 5);
    ck_assert(value_offsets("@-1h", NOW, &s) && s.place == VALUE_TIME);
    ck_assert_int_eq(s.number, NOW - 3600000);
    ck_assert(!s.bounded);
    ck_assert(value_offsets("@2024-01-15T14:00:00Z..@2024-01-15T14:10:00Z", NOW, &s));
    ck_assert(s.place == VALUE_TIME && s.bounded && s.stop_ms == NOW && s.number == NOW - 600000);
    ck_assert(!value_offsets("@2024-01-15T14:00:00Z..2024-01-15", NOW, &s));
    ck_assert(!value_offsets("@..@", NOW, &s));
    ck_assert(!value_offsets("@", NOW, &s));
    ck_assert(!value_offsets("begin", NOW, &s));
    ck_assert(!value_offsets("", NOW, &s));
    ck_assert(!value_offsets("-9223372036854775808", NOW, &s));
}
END_TEST

START_TEST(nearness)
{
    ck_assert(value_near("ordres", "orders"));
    ck_assert(value_near("prodcue", "produce"));
    ck_assert(value_near("consum", "consume"));
    ck_assert(!value_near("orders", "prices"));
    ck_assert(!value_near("ab", "cd"));
    ck_assert(!value_near("", "ab"));
    char big[300];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    ck_assert(!value_near(big, big));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli/value");
    TCase *t = tcase_create("value");
    tcase_add_test(t, numbers);
    tcase_add_test(t, durations_and_sizes);
    tcase_add_test(t, rates);
    tcase_add_test(t, escapes);
    tcase_add_test(t, times);
    tcase_add_test(t, local_time_is_the_default);
    tcase_add_test(t, offsets);
    tcase_add_test(t, nearness);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
