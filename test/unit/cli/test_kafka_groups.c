/* SPDX-License-Identifier: MIT
 *
 * test_kafka_groups: what may go with what in kafka-consumer-groups, with Apache's words; the
 * durations, moments and CSV lines of --reset-offsets.
 */
#include <check.h>
#include <string.h>

#include "cli/kafka/groups.h"
#include "cli/kafka/groups_text.h"

#define WORDS_MAX 16

/* The rule that "--a --b c" breaks, "" when none; the words are separated by single blanks. */
static const char *broken(const char *line)
{
    static char text[FAULT_TEXT_MAX];
    char words[512];
    char *argv[WORDS_MAX + 1] = {NULL};
    int argc = 1;
    struct opts o;
    struct fault f;
    struct buf out = {0};
    char *rest = words;
    char tool[] = "kafka-consumer-groups";
    argv[0] = tool;
    (void)snprintf(words, sizeof words, "%s", line);
    for (char *w = strsep(&rest, " "); w != NULL && argc < WORDS_MAX; w = strsep(&rest, " "))
        argv[argc++] = w;
    if (opts_parse(groups_page(), argc, argv, &o, &f) != 0) {
        (void)snprintf(text, sizeof text, "%s", f.text);
        return text;
    }
    if (groups_available(&o, &f) != 0)
        buf_printf(&out, "%s", f.text);
    else
        groups_rules(&o, &out);
    (void)snprintf(text, sizeof text, "%.*s", (int)out.size, out.p != NULL ? (char *)out.p : "");
    buf_deinit(&out);
    opts_deinit(&o);
    return text;
}

#define B "--bootstrap-server h:1 "

START_TEST(rows_are_sorted)
{
    const struct opts_page *page = groups_page();
    for (size_t i = 1; i < page->row_count; i++)
        ck_assert_str_lt(page->rows[i - 1].name, page->rows[i].name);
}
END_TEST

START_TEST(rules_kept)
{
    ck_assert_str_eq(broken(B "--list"), "");
    ck_assert_str_eq(broken(B "--list --state stable,empty --type"), "");
    ck_assert_str_eq(broken(B "--describe --all-groups --members --verbose"), "");
    ck_assert_str_eq(broken(B "--describe --group a --group b --state"), "");
    ck_assert_str_eq(broken(B "--reset-offsets --group g --topic t:0,1 --topic u --shift-by -5"),
                     "");
    ck_assert_str_eq(broken(B "--reset-offsets --all-groups --all-topics --to-latest --execute"),
                     "");
    ck_assert_str_eq(broken(B "--delete-offsets --group g --topic t"), "");
}
END_TEST

START_TEST(rules_broken)
{
    ck_assert_str_eq(broken("--list"), "Missing required argument \"[bootstrap-server]\"");
    ck_assert_str_eq(broken(B "--describe"),
                     "Option [describe] takes one of these options: [reset-offsets], [describe], "
                     "[delete], [list]");
    ck_assert_str_eq(broken(B "--describe --group g --members --state"),
                     "Option [describe] takes at most one of these options: [members], [offsets], "
                     "[state]");
    ck_assert_str_eq(broken(B "--describe --group g --state x"),
                     "Option [describe] does not take a value for [state]");
    ck_assert_str_eq(broken(B "--delete --group g --topic t"),
                     "The consumer does not support topic-specific offset deletion from a consumer "
                     "group.");
    ck_assert_str_eq(broken(B "--reset-offsets --group g --dry-run --execute"),
                     "Option [reset-offsets] only accepts one of [execute] and [dry-run]");
    ck_assert_str_eq(broken(B "--reset-offsets --to-latest"),
                     "Option [reset-offsets] takes one of these options: [all-groups], [group]");
    ck_assert_str_eq(broken(B "--reset-offsets --group g --shift-by 1 --to-latest"),
                     "Option \"[shift-by]\" can't be used with option \"[to-latest]\"");
    ck_assert_str_eq(broken(B "--describe --group g --all-groups"),
                     "Option \"[group]\" can't be used with option \"[all-groups]\"");
    ck_assert_str_eq(broken(B "--list --delete --all-groups"),
                     "Command must include exactly one action: --list, --describe, --delete, "
                     "--reset-offsets, --delete-offsets");
    ck_assert_str_eq(broken(B "--list --members"),
                     "Option(s) [members] are unavailable given other options on the command "
                     "line");
}
END_TEST

static int64_t duration(const char *text)
{
    int64_t ms = -1;
    return groups_text_duration(text, &ms) ? ms : INT64_MIN;
}

START_TEST(durations)
{
    ck_assert_int_eq(duration("PT0S"), 0);
    ck_assert_int_eq(duration("P1D"), 86400000);
    ck_assert_int_eq(duration("P1DT2H3M4.5S"), 93784500);
    ck_assert_int_eq(duration("pt90m"), 5400000);
    ck_assert_int_eq(duration("-PT1H"), -3600000);
    ck_assert_int_eq(duration("PT-1H30M"), -1800000);
    ck_assert_int_eq(duration("PT0.001S"), 1);
    const char *bad[] = {"",
                         "P",
                         "1d",
                         "PT",
                         "P1H",
                         "PT1D",
                         "PT1M1H",
                         "PT1S1S",
                         "P1D2",
                         "PT1.5H",
                         "PT1X",
                         "P T1H",
                         "P99999999999999999999D"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(duration(bad[i]) == INT64_MIN, "%s: %ld", bad[i], (long)duration(bad[i]));
}
END_TEST

START_TEST(moments)
{
    int64_t ms = -1;
    struct fault f;
    ck_assert_int_eq(groups_text_moment("2020-01-01T00:00:00.000", &ms, &f), 0);
    ck_assert_int_eq(ms, 1577836800000);
    ck_assert_int_eq(groups_text_moment("2020-01-01T02:00:00.250+02:00", &ms, &f), 0);
    ck_assert_int_eq(ms, 1577836800250);
    ck_assert_int_eq(groups_text_moment("2020-01-01T00:00:00.000Z", &ms, &f), 0);
    ck_assert_int_eq(groups_text_moment("2020-01-01", &ms, &f), 1);
    ck_assert_str_eq(f.text, "Error parsing timestamp. It does not contain a 'T' according to "
                             "ISO8601 format");
    ck_assert_int_eq(groups_text_moment("2020-13-01T00:00:00", &ms, &f), 1);
    ck_assert_str_eq(f.text, "Unparseable date: \"2020-13-01T00:00:00Z\"");
    ck_assert_int_eq(groups_text_moment("-1T", &ms, &f), 1);
    ck_assert_int_eq(groups_text_moment("xT1", &ms, &f), 1);
}
END_TEST

START_TEST(csv)
{
    struct buf out = {0};
    struct groups_text_plan plan;
    groups_text_line(NULL, "orders", 3, 42, &out);
    groups_text_line("a \"b\", c", "t", 0, 9, &out);
    ck_assert_int_eq(out.size, 31);
    ck_assert_mem_eq(out.p, "orders,3,42\n\"a \"\"b\"\", c\",t,0,9\n", 31);
    ck_assert(groups_text_plan(slice_of(out.p, 12), &plan));
    ck_assert_str_eq((char *)plan.group.p, "");
    ck_assert_str_eq((char *)plan.topic.p, "orders");
    ck_assert_int_eq(plan.partition, 3);
    ck_assert_int_eq(plan.offset, 42);
    groups_text_plan_deinit(&plan);
    ck_assert(groups_text_plan(slice_of(out.p + 12, out.size - 12), &plan));
    ck_assert_str_eq((char *)plan.group.p, "a \"b\", c");
    ck_assert_str_eq((char *)plan.topic.p, "t");
    ck_assert_int_eq(plan.offset, 9);
    groups_text_plan_deinit(&plan);
    buf_deinit(&out);
    const char *bad[] = {"",          "a",       "a,1",    "a,b,1",          "a,1,b",
                         "g,t,1,2,3", "\"a,1,2", "t,-1,2", "t,99999999999,1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!groups_text_plan(slice_str(bad[i]), &plan), "%s", bad[i]);
    ck_assert(groups_text_plan(slice_str("t,1,2\r"), &plan));
    groups_text_plan_deinit(&plan);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("kafka_groups");
    Suite *s = suite_create("cli/kafka_groups");
    tcase_add_test(tc, rows_are_sorted);
    tcase_add_test(tc, rules_kept);
    tcase_add_test(tc, rules_broken);
    tcase_add_test(tc, durations);
    tcase_add_test(tc, moments);
    tcase_add_test(tc, csv);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
