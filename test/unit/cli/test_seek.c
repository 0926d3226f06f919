/* SPDX-License-Identifier: MIT
 *
 * test_seek: where `kauri group seek` goes; what `kauri group rewind` makes of a log of commits.
 */
#include "cli/seek.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commits.h"

#define NOW INT64_C(1800000000000)

START_TEST(places)
{
    struct seek_to to;
    static const struct {
        const char *text;
        enum seek_place place;
        int64_t number;
    } rows[] = {{"start", SEEK_TO_START, 0},
                {"end", SEEK_TO_END, 0},
                {"0", SEEK_TO_OFFSET, 0},
                {"1200", SEEK_TO_OFFSET, 1200},
                {"+1", SEEK_TO_BY, 1},
                {"-5", SEEK_TO_BY, -5},
                {"-1h", SEEK_TO_TIME, NOW - 3600000},
                {"@-90s", SEEK_TO_TIME, NOW - 90000},
                {"@1700000000000", SEEK_TO_TIME, 1700000000000},
                {"@2026-11-20T18:00:00Z", SEEK_TO_TIME, 1795197600000}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_msg(seek_parse(rows[i].text, NOW, &to), "%s", rows[i].text);
        ck_assert_int_eq(to.place, rows[i].place);
        ck_assert_int_eq(to.number, rows[i].number);
    }
    const char *bad[] = {"", "+", "-", "@", "now", "+1h", "--5", "1h", "5x", "-5x", "starts", "@x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!seek_parse(bad[i], NOW, &to), "%s", bad[i]);
}
END_TEST

static int64_t offset(const char *text, struct seek_log log)
{
    struct seek_to to;
    int64_t out = -7;
    ck_assert(seek_parse(text, NOW, &to));
    return seek_offset(&to, &log, &out) == 0 ? out : -7;
}

START_TEST(offsets)
{
    struct seek_log log = {.start = 100, .end = 200, .committed = 150, .at_time = 170};
    ck_assert_int_eq(offset("start", log), 100);
    ck_assert_int_eq(offset("end", log), 200);
    ck_assert_int_eq(offset("130", log), 130);
    ck_assert_int_eq(offset("5", log), 100);
    ck_assert_int_eq(offset("999", log), 200);
    ck_assert_int_eq(offset("+1", log), 151);
    ck_assert_int_eq(offset("-10", log), 140);
    ck_assert_int_eq(offset("-100", log), 100);
    ck_assert_int_eq(offset("+9223372036854775807", log), 200);
    ck_assert_int_eq(offset("-1h", log), 170);
    log.at_time = -1;
    ck_assert_int_eq(offset("-1h", log), 200);
    log.committed = -1;
    ck_assert_int_eq(offset("+1", log), -7);
    ck_assert_int_eq(offset("end", log), 200);
}
END_TEST

START_TEST(topics)
{
    struct seek_topic t;
    char name[300];
    ck_assert(seek_topic_parse("orders", &t));
    ck_assert_str_eq(t.topic, "orders");
    ck_assert_int_eq(t.partition, -1);
    ck_assert(seek_topic_parse("a.b:12", &t));
    ck_assert_str_eq(t.topic, "a.b");
    ck_assert_int_eq(t.partition, 12);
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    const char *bad[] = {"", ":1", "a:", "a:x", "a:-1", "a:99999999999", name};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!seek_topic_parse(bad[i], &t), "%s", bad[i]);
}
END_TEST

static struct commits log_of;
static struct commits_items got;

static void add(const char *topic, int32_t partition, int64_t to, int64_t ms, const char *metadata)
{
    commits_add(&log_of, &(struct commits_one){.topic = slice_str(topic),
                                               .partition = partition,
                                               .offset = to,
                                               .commit_ms = ms,
                                               .metadata = slice_str(metadata)});
}

static void is(size_t i, const char *topic, int32_t partition, int64_t to)
{
    ck_assert_uint_lt(i, got.count);
    ck_assert_str_eq(got.items[i].topic, topic);
    ck_assert_int_eq(got.items[i].partition, partition);
    ck_assert_int_eq(got.items[i].offset, to);
}

/* The log of a group as of a time; returns how many partitions it had. */
static size_t then(int64_t ms)
{
    commits_items_deinit(&got);
    commits_deinit(&log_of);
    log_of.as_of_ms = ms;
    add("b", 0, 10, 100, "");
    add("a", 1, 20, 110, "x");
    add("b", 0, 30, 120, "");
    add("a", 0, 40, 130, "");
    add("a", 1, -1, 140, "");
    commits_as_of(&log_of, &got);
    return got.count;
}

START_TEST(as_of)
{
    commits_as_of(&log_of, &got);
    ck_assert_uint_eq(got.count, 0);
    ck_assert_uint_eq(then(99), 0);
    ck_assert_uint_eq(then(119), 2);
    is(0, "a", 1, 20);
    is(1, "b", 0, 10);
    ck_assert_uint_eq(then(120), 2); /* at the time itself counts */
    is(1, "b", 0, 30);
    ck_assert_uint_eq(then(1000), 2); /* a-1 was forgotten since */
    is(0, "a", 0, 40);
    is(1, "b", 0, 30);
    commits_items_deinit(&got);
    commits_deinit(&log_of);
}
END_TEST

/* True when there was a reset; its mark in *mark. */
static bool before(const char **mark)
{
    commits_items_deinit(&got);
    return commits_before_reset(&log_of, &got, mark);
}

START_TEST(before_reset)
{
    char first[COMMITS_MARK_MAX];
    char second[COMMITS_MARK_MAX];
    char what[64];
    const char *mark = NULL;
    commits_mark("seek to start", 1795197600250, first);
    commits_mark("rewind as of x", 1795197700250, second);
    ck_assert_str_eq(first, "kauri: seek to start, at 2026-11-20T18:00:00.250Z");
    commits_what(first, what, sizeof what);
    ck_assert_str_eq(what, "seek to start");
    add("a", 0, 10, 1, "kauri: "); /* no mark: nothing behind it */
    add("a", 1, 11, 1, "kauri");   /* neither */
    ck_assert(!before(&mark));
    add("a", 1, 0, 2, first);
    add("a", 0, 0, 2, first);
    ck_assert(before(&mark));
    ck_assert_str_eq(mark, first);
    ck_assert_uint_eq(got.count, 2);
    is(0, "a", 0, 10);
    is(1, "a", 1, 11);
    add("a", 0, 5, 3, "");
    add("a", 0, 1, 4, second);
    add("a", 2, 1, 4, second);
    add("a", 0, 1, 4, second); /* the same request again */
    add("a", 0, 7, 5, "");     /* and read on since */
    ck_assert(before(&mark));
    ck_assert_str_eq(mark, second);
    ck_assert_uint_eq(got.count, 2);
    is(0, "a", 0, 5);
    is(1, "a", 2, -1); /* had nothing */
    commits_items_deinit(&got);
    commits_deinit(&log_of);
}
END_TEST

/* Against a table by the number of the partition, with random commits. */
START_TEST(many_partitions)
{
    enum { PARTS = 60, COMMITS = 3000, TIME = 1500 };
    int64_t wanted[PARTS];
    size_t count = 0;
    uint32_t x = 12345;
    log_of.as_of_ms = TIME;
    for (size_t i = 0; i < PARTS; i++)
        wanted[i] = -1;
    for (int64_t i = 0; i < COMMITS; i++) {
        char topic[8];
        x = x * 1664525 + 1013904223;
        uint32_t part = (x >> 8) % PARTS;
        (void)snprintf(topic, sizeof topic, "t%u", part / 10);
        add(topic, (int32_t)(part % 10), i, i, "");
        if (i <= TIME)
            wanted[part] = i;
    }
    commits_as_of(&log_of, &got);
    ck_assert_uint_eq(log_of.count, PARTS);
    for (size_t i = 0; i < PARTS; i++)
        count += wanted[i] >= 0;
    ck_assert_uint_eq(got.count, count);
    for (size_t i = 0; i < got.count; i++) {
        const struct commits_item *item = &got.items[i];
        ck_assert_int_eq(item->offset, wanted[(item->topic[1] - '0') * 10 + item->partition]);
    }
    commits_items_deinit(&got);
    commits_deinit(&log_of);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli/seek");
    TCase *t = tcase_create("seek");
    tcase_add_test(t, places);
    tcase_add_test(t, offsets);
    tcase_add_test(t, topics);
    tcase_add_test(t, as_of);
    tcase_add_test(t, before_reset);
    tcase_add_test(t, many_partitions);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
