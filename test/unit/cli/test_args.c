/* SPDX-License-Identifier: MIT
 *
 * test_args: options by table: own ones, those of all commands, mistakes, help.
 */
#include "cli/args.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct taken {
    char log[256];
};

static const char *take(void *ctx, int key, const char *value)
{
    struct taken *t = ctx;
    size_t size = strlen(t->log);
    (void)snprintf(t->log + size, sizeof t->log - size, "%d=%s;", key, value != NULL ? value : "");
    return value != NULL && strcmp(value, "bad") == 0 ? "something good" : NULL;
}

static const struct args_row rows[] = {
    {'o', "offset", "WHERE", "where"},
    {'e', "exit", NULL, "at the end"},
    {ARGS_LONG, "acks", "N", "how many"},
};
static const struct args_page page = {.command = "consume",
                                      .usage = "TOPIC",
                                      .about = "Reads.",
                                      ARGS_ROWS(rows),
                                      .examples = "  x\n"};
static const struct args_page group = {
    .command = "", .usage = "COMMAND", .about = "All.", .examples = "", .stop = true};

static struct args a;
static struct taken took;
static int first;

static int parse(const struct args_page *p, const char *line)
{
    static char words[256];
    static char *argv[32];
    int argc = 0;
    (void)snprintf(words, sizeof words, "%s", line);
    char *rest = words;
    for (char *word = strsep(&rest, " "); word != NULL && argc < 31; word = strsep(&rest, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    memset(&took, 0, sizeof took);
    args_init(&a);
    return args_parse(p, &a, argc, argv, take, &took, &first);
}

START_TEST(own_and_common)
{
    ck_assert_int_eq(parse(&page, "consume greetings -o -5 -e --acks=all --json -s tcp://h:1 -y"),
                     0);
    ck_assert_str_eq(took.log, "111=-5;101=;256=all;");
    ck_assert(a.json && a.yes && !a.dry_run);
    ck_assert_str_eq(a.server, "tcp://h:1");
    ck_assert_int_eq(first, 8 + 1);
    ck_assert_int_eq(parse(&page, "consume --timeout 5s --dry-run -qv"), 0);
    ck_assert_uint_eq(a.timeout_ms, 5000);
    ck_assert(a.dry_run && a.out.quiet && a.verbose);
    ck_assert_int_eq(parse(&page, "consume -- -e"), 0);
    ck_assert_str_eq(took.log, "");
}
END_TEST

START_TEST(mistakes)
{
    static const char *const bad[] = {
        "consume --nope",      "consume -x",           "consume --timeout",
        "consume --timeout 0", "consume --timeout 5x", "consume --color maybe",
        "consume --acks bad",  "consume -o",           "consume --json=1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(parse(&page, bad[i]) == ARGS_BAD, "%s", bad[i]);
}
END_TEST

START_TEST(a_group_stops_at_its_command)
{
    ck_assert_int_eq(parse(&group, "kauri --json topic -p 3"), 0);
    ck_assert_int_eq(first, 2);
    ck_assert(a.json);
}
END_TEST

START_TEST(help)
{
    ck_assert_int_eq(parse(&page, "consume -h"), ARGS_HELP);
    ck_assert_int_eq(parse(&group, "kauri --help"), ARGS_HELP);
}
END_TEST

START_TEST(environment)
{
    setenv("KAURI_SERVER", "ipc:///x", 1);
    ck_assert_int_eq(parse(&page, "consume"), 0);
    ck_assert_str_eq(a.server, "ipc:///x");
    ck_assert_int_eq(parse(&page, "consume -s ipc:///y"), 0);
    ck_assert_str_eq(a.server, "ipc:///y");
    setenv("KAURI_SERVER", "", 1);
    ck_assert_int_eq(parse(&page, "consume"), 0);
    ck_assert_ptr_null(a.server);
}
END_TEST

static const struct args_row own_json[] = {{'s', "size", "N", "hides the common -s"}};
static const struct args_page hiding = {
    .command = "x", .usage = "", .about = "", ARGS_ROWS(own_json), .examples = ""};

START_TEST(own_options_hide_common_ones)
{
    unsetenv("KAURI_SERVER");
    ck_assert_int_eq(parse(&hiding, "x -s 5"), 0);
    ck_assert_str_eq(took.log, "115=5;");
    ck_assert_ptr_null(a.server);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli/args");
    TCase *t = tcase_create("args");
    tcase_add_test(t, own_and_common);
    tcase_add_test(t, mistakes);
    tcase_add_test(t, a_group_stops_at_its_command);
    tcase_add_test(t, help);
    tcase_add_test(t, environment);
    tcase_add_test(t, own_options_hide_common_ones);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
