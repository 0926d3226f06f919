/* SPDX-License-Identifier: MIT
 *
 * test_kafka_opts: command lines are read, and refused, as Apache's tools do it; the expectations
 * were taken from those.
 */
#include "cli/kafka/opts.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cli/kafka/tool.h"

enum { CODEC, HELP, LIST, PROPERTY, SIZE, TOPIC };

static const struct opts_row rows[] = {
    [CODEC] = {"codec", OPTS_MAY, .metavar = "String", .help = "Codec."},
    [HELP] = {"help", .help = "Print this."},
    [LIST] = {"list", .help = "List."},
    [PROPERTY] = {"property", OPTS_NEEDS, true, "String", "Many."},
    [SIZE] = {"size", OPTS_NEEDS, .metavar = "Integer", .help = "Size."},
    [TOPIC] = {"topic", OPTS_NEEDS, .metavar = "String", .help = "Topic."},
};
static const struct opts_page page = {.about = "About.", .rows = rows, .row_count = 6};

static struct opts o;
static struct fault f;
static char words[256];
static char *argv[32];

/* Words are separated by single blanks; the first is the tool. */
static int parse(const char *line)
{
    int argc = 0;
    (void)snprintf(words, sizeof words, "tool %s", line);
    char *rest = words;
    for (char *word = strsep(&rest, " "); word != NULL && argc < 31; word = strsep(&rest, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    return opts_parse(&page, argc, argv, &o, &f);
}

START_TEST(values)
{
    size_t at = 0;
    ck_assert_int_eq(parse("--topic t -size 5 --list --property=a=b --property c extra"), 0);
    ck_assert_str_eq(opts_text(&o, TOPIC), "t");
    ck_assert_str_eq(opts_text(&o, SIZE), "5");
    ck_assert(opts_has(&o, LIST));
    ck_assert(!opts_has(&o, HELP) && opts_text(&o, HELP) == NULL);
    ck_assert_str_eq(opts_next(&o, PROPERTY, &at), "a=b");
    ck_assert_str_eq(opts_next(&o, PROPERTY, &at), "c");
    ck_assert_ptr_null(opts_next(&o, PROPERTY, &at));
    opts_deinit(&o);
}
END_TEST

START_TEST(a_needed_value_is_the_next_word)
{
    ck_assert_int_eq(parse("--topic --list"), 0);
    ck_assert_str_eq(opts_text(&o, TOPIC), "--list");
    ck_assert(!opts_has(&o, LIST));
    opts_deinit(&o);
    ck_assert_int_eq(parse("--topic= t"), 0);
    ck_assert_str_eq(opts_text(&o, TOPIC), "t");
    opts_deinit(&o);
    ck_assert_int_eq(parse("--size -1"), 0);
    ck_assert_str_eq(opts_text(&o, SIZE), "-1");
    opts_deinit(&o);
}
END_TEST

START_TEST(a_value_that_may_be_is_no_option)
{
    ck_assert_int_eq(parse("--codec --list"), 0);
    ck_assert(opts_has(&o, CODEC) && opts_has(&o, LIST));
    ck_assert_ptr_null(opts_text(&o, CODEC));
    opts_deinit(&o);
    ck_assert_int_eq(parse("--codec zstd --list"), 0);
    ck_assert_str_eq(opts_text(&o, CODEC), "zstd");
    opts_deinit(&o);
    ck_assert_int_eq(parse("--list --codec"), 0);
    ck_assert_ptr_null(opts_text(&o, CODEC));
    opts_deinit(&o);
}
END_TEST

START_TEST(two_dashes_end_the_options)
{
    ck_assert_int_eq(parse("-- --nope --list"), 0);
    ck_assert(!opts_has(&o, LIST));
    opts_deinit(&o);
}
END_TEST

static void refused(const char *line, const char *exception, const char *text)
{
    ck_assert_msg(parse(line) == 1, "%s", line);
    ck_assert_str_eq(f.exception, exception);
    ck_assert_str_eq(f.text, text);
}

START_TEST(mistakes)
{
    refused("--nope", "joptsimple.UnrecognizedOptionException", "nope is not a recognized option");
    refused("--nope=1", "joptsimple.UnrecognizedOptionException",
            "nope is not a recognized option");
    refused("--lis", "joptsimple.UnrecognizedOptionException", "lis is not a recognized option");
    refused("-xyz", "joptsimple.UnrecognizedOptionException", "x is not a recognized option");
    refused("--topic", "joptsimple.OptionMissingRequiredArgumentException",
            "Option topic requires an argument");
    refused("--topic a --topic b", "joptsimple.MultipleArgumentsForOptionException",
            "Found multiple arguments for option topic, but you asked for only one");
}
END_TEST

START_TEST(numbers)
{
    int64_t value = 7;
    ck_assert_int_eq(parse("--list"), 0);
    ck_assert_int_eq(opts_number(&o, SIZE, OPTS_INT, &value, &f), 0);
    ck_assert_int_eq(value, 7);
    opts_deinit(&o);
    ck_assert_int_eq(parse("--size -3"), 0);
    ck_assert_int_eq(opts_number(&o, SIZE, OPTS_INT, &value, &f), 0);
    ck_assert_int_eq(value, -3);
    opts_deinit(&o);
    static const char *const bad[] = {"--size x", "--size 1x", "--size 2147483648"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[64];
        ck_assert_int_eq(parse(bad[i]), 0);
        ck_assert_int_eq(opts_number(&o, SIZE, OPTS_INT, &value, &f), 1);
        (void)snprintf(text, sizeof text, "Cannot parse argument '%s' of option size", bad[i] + 7);
        ck_assert_str_eq(f.text, text);
        opts_deinit(&o);
    }
    ck_assert_int_eq(value, -3);
}
END_TEST

START_TEST(tools_by_name)
{
    ck_assert_ptr_eq(tool_find("kafka-topics")->run, topics_run);
    ck_assert_ptr_eq(tool_find("/usr/bin/kafka-topics.sh")->run, topics_run);
    ck_assert_ptr_eq(tool_find("bin/kafka-console-producer.sh")->run, producer_run);
    ck_assert_ptr_eq(tool_find("./kafka-console-consumer")->run, consumer_run);
    ck_assert_ptr_null(tool_find("kauri-kafka"));
    ck_assert_ptr_null(tool_find("kafka-topics.sh/"));
    ck_assert_ptr_null(tool_find("kafka-topic"));
    ck_assert_ptr_null(tool_find(".sh"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli/kafka_opts");
    TCase *t = tcase_create("kafka_opts");
    tcase_add_test(t, values);
    tcase_add_test(t, a_needed_value_is_the_next_word);
    tcase_add_test(t, a_value_that_may_be_is_no_option);
    tcase_add_test(t, two_dashes_end_the_options);
    tcase_add_test(t, mistakes);
    tcase_add_test(t, numbers);
    tcase_add_test(t, tools_by_name);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
