/* SPDX-License-Identifier: MIT
 *
 * test_lag: figures, verdicts and advice about what a group has not read.
 */
#include "cli/lag.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define NOW        INT64_C(1800000000000)
#define STUCK      INT64_C(30000)
#define ADVICE_MAX 2048

static char advice[ADVICE_MAX];

/* A row that was committed at `committed` of 0..end, moved so long ago, its first unread record
 * being so old. */
static struct lag_row row(int32_t partition, int64_t committed, int64_t end)
{
    return (struct lag_row){.topic = "orders",
                            .partition = partition,
                            .committed = committed,
                            .end = end,
                            .moved_ms = NOW - 1000,
                            .retention_ms = -1,
                            .member = "m-1",
                            .client = "",
                            .host = "",
                            .offset = committed};
}

static struct lag_row aged(int32_t partition, int64_t moved_ago_ms, int64_t old_ms)
{
    struct lag_row r = row(partition, 10, 20);
    r.moved_ms = NOW - moved_ago_ms;
    r.read = true;
    r.timestamp_ms = NOW - old_ms;
    return r;
}

static const char *advise(const struct lag_row *rows, size_t count, size_t members)
{
    struct buf out = {0};
    lag_advice(rows, count, members, STUCK, &out);
    ck_assert_uint_lt(out.size, ADVICE_MAX);
    if (out.size > 0)
        memcpy(advice, out.p, out.size);
    advice[out.size] = '\0';
    buf_deinit(&out);
    return advice;
}

START_TEST(figures)
{
    struct lag_sum sum;
    struct lag_row rows[] = {row(0, 10, 10), row(1, 5, 12), row(2, -1, 12), row(3, 5, -1),
                             row(4, 9, 7)};
    rows[1].read = true;
    rows[1].timestamp_ms = NOW - 5000;
    rows[1].retention_ms = 60000;
    lag_judge(rows, 5, NOW, STUCK, &sum);
    ck_assert_int_eq(rows[0].lag, 0);
    ck_assert_int_eq(rows[0].behind_ms, 0);
    ck_assert_int_eq(rows[0].lost_ms, -1);
    ck_assert_int_eq(rows[1].lag, 7);
    ck_assert_int_eq(rows[1].behind_ms, 5000);
    ck_assert_int_eq(rows[1].lost_ms, 55000);
    ck_assert_int_eq(rows[1].stands_ms, 1000);
    ck_assert_int_eq(rows[2].lag, -1);
    ck_assert_int_eq(rows[2].status, LAG_UNKNOWN);
    ck_assert_int_eq(rows[3].lag, -1);
    ck_assert_int_eq(rows[4].lag, 0);
    ck_assert_int_eq(sum.lag, 7);
    ck_assert_int_eq(sum.oldest_ms, 5000);
    lag_judge(&rows[2], 1, NOW, STUCK, &sum);
    ck_assert_int_eq(sum.lag, -1);
}
END_TEST

START_TEST(a_record_that_was_not_read_has_no_age)
{
    struct lag_sum sum;
    struct lag_row r = row(0, 5, 12);
    r.retention_ms = 60000;
    r.moved_ms = NOW - 10 * STUCK;
    lag_judge(&r, 1, NOW, STUCK, &sum);
    ck_assert_int_eq(r.lag, 7);
    ck_assert_int_eq(r.behind_ms, -1);
    ck_assert_int_eq(r.lost_ms, -1);
    ck_assert_int_eq(r.status, LAG_OK);
}
END_TEST

START_TEST(stuck_while_others_move)
{
    struct lag_sum sum;
    struct lag_row rows[] = {row(0, 20, 20), aged(1, 41000, 41500)};
    lag_key(&rows[1], slice_str("c-17"));
    rows[1].size = 2150;
    rows[1].client = "app-2";
    lag_judge(rows, 2, NOW, STUCK, &sum);
    ck_assert_int_eq(rows[0].status, LAG_OK);
    ck_assert_int_eq(rows[1].status, LAG_STUCK);
    ck_assert_uint_eq(sum.stuck, 1);
    ck_assert_str_eq(advise(rows, 2, 2),
                     "orders-1 has not moved for 41 s while orders-0 does: record 10 (key "
                     "\"c-17\", 2.1 KiB) is probably failing in app-2\n");
    /* Another member of that client's name: then by its id. */
    rows[0].client = "app-2";
    rows[0].member = "m-0";
    ck_assert_ptr_nonnull(strstr(advise(rows, 2, 2), "failing in m-1\n"));
    rows[1].member = "";
    ck_assert_ptr_nonnull(strstr(advise(rows, 2, 2), "no member has the partition\n"));
}
END_TEST

START_TEST(not_stuck_by_a_new_record)
{
    struct lag_sum sum;
    /* Idle for long, then a record comes. */
    struct lag_row rows[] = {row(0, 20, 20), aged(1, 100 * STUCK, 10), aged(2, 10, 100 * STUCK)};
    lag_judge(rows, 3, NOW, STUCK, &sum);
    ck_assert_int_eq(rows[1].status, LAG_OK);
    ck_assert_int_eq(rows[2].status, LAG_OK);
    /* One millisecond decides. */
    rows[1] = aged(1, STUCK, STUCK - 1);
    lag_judge(rows, 3, NOW, STUCK, &sum);
    ck_assert_int_eq(rows[1].status, LAG_OK);
    rows[1] = aged(1, STUCK, STUCK);
    lag_judge(rows, 3, NOW, STUCK, &sum);
    ck_assert_int_eq(rows[1].status, LAG_STUCK);
}
END_TEST

START_TEST(not_consumed_when_nothing_moves)
{
    struct lag_sum sum;
    struct lag_row rows[] = {row(0, 20, 20), aged(1, 41000, 41500)};
    rows[0].moved_ms = NOW - 50000;
    lag_judge(rows, 2, NOW, STUCK, &sum);
    ck_assert_int_eq(rows[1].status, LAG_NOT_CONSUMED);
    ck_assert_uint_eq(sum.not_consumed, 1);
    ck_assert_str_eq(advise(rows, 2, 0), "nobody reads: the group has no members\n");
    ck_assert_ptr_nonnull(strstr(advise(rows, 2, 1), "no partition moves, and 1 member is there"));
    rows[1].moved_ms = -1; /* never moved since anybody remembers */
    lag_judge(rows, 2, NOW, STUCK, &sum);
    ck_assert_int_eq(rows[1].status, LAG_NOT_CONSUMED);
    ck_assert_int_eq(rows[1].stands_ms, 41500);
}
END_TEST

START_TEST(every_partition_lags)
{
    struct lag_sum sum;
    struct lag_row rows[] = {aged(0, 10, 60000), aged(1, 10, 60000)};
    lag_judge(rows, 2, NOW, STUCK, &sum);
    ck_assert_str_eq(advise(rows, 2, 1),
                     "every partition lags: add instances (1 now, for 2 partitions)\n");
    ck_assert_ptr_nonnull(strstr(advise(rows, 2, 2), "add partitions, then instances\n"));
    ck_assert_str_eq(advise(rows, 2, 0), "");
    rows[1] = aged(1, 10, STUCK - 1); /* one that keeps up */
    lag_judge(rows, 2, NOW, STUCK, &sum);
    ck_assert_str_eq(advise(rows, 2, 1), "");
}
END_TEST

START_TEST(taken_by_retention)
{
    struct lag_sum sum;
    struct lag_row r = aged(0, 10, 1000);
    r.log_start = 15;
    r.retention_ms = 60000;
    lag_judge(&r, 1, NOW, STUCK, &sum);
    ck_assert_int_eq(r.lost_ms, 0);
    ck_assert_str_eq(advise(&r, 1, 1), "retention has taken 5 unread records of orders-0: it now "
                                       "starts at 15\n");
    r = aged(0, 10, 70000);
    r.retention_ms = 60000;
    lag_judge(&r, 1, NOW, STUCK, &sum);
    ck_assert_int_eq(r.lost_ms, 0);
}
END_TEST

START_TEST(keys)
{
    struct lag_row r = {.topic = "t"};
    char long_key[2 * LAG_KEY_MAX];
    memset(long_key, 'x', sizeof long_key);
    lag_key(&r, SLICE_NULL);
    ck_assert(!r.has_key && r.key[0] == '\0');
    lag_key(&r, slice_of("\x01\x02", 2));
    ck_assert(r.has_key && r.key[0] == '\0');
    lag_key(&r, slice_of(long_key, sizeof long_key));
    ck_assert_uint_eq(strlen(r.key), LAG_KEY_MAX - 1);
}
END_TEST

START_TEST(ages)
{
    char text[OUT_TEXT_MAX];
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {{-1, "-"},         {0, "0 s"},        {999, "0 s"},         {41000, "41 s"},
                {119999, "119 s"}, {120000, "2 min"}, {7199999, "119 min"}, {7200000, "2 h"},
                {172800000, "2 d"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_str_eq(lag_age(text, rows[i].ms), rows[i].text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli/lag");
    TCase *t = tcase_create("lag");
    tcase_add_test(t, figures);
    tcase_add_test(t, a_record_that_was_not_read_has_no_age);
    tcase_add_test(t, stuck_while_others_move);
    tcase_add_test(t, not_stuck_by_a_new_record);
    tcase_add_test(t, not_consumed_when_nothing_moves);
    tcase_add_test(t, every_partition_lags);
    tcase_add_test(t, taken_by_retention);
    tcase_add_test(t, keys);
    tcase_add_test(t, ages);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
