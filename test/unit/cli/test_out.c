/* SPDX-License-Identifier: MIT
 *
 * test_out: figures and tables read as the manual shows them.
 */
#include "cli/out.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

START_TEST(figures)
{
    char t[OUT_TEXT_MAX];
    ck_assert_str_eq(out_size(t, 0), "0 B");
    ck_assert_str_eq(out_size(t, 1023), "1023 B");
    ck_assert_str_eq(out_size(t, 1536), "1.5 KiB");
    ck_assert_str_eq(out_size(t, INT64_C(812) << 20), "812 MiB");
    ck_assert_str_eq(out_size(t, INT64_C(71) << 30), "71 GiB");
    ck_assert_str_eq(out_size(t, INT64_MAX), "8.0 EiB");
    ck_assert_str_eq(out_size(t, -1), "-");
    ck_assert_str_eq(out_duration(t, 604800000), "7d");
    ck_assert_str_eq(out_duration(t, 90000), "90s");
    ck_assert_str_eq(out_duration(t, 1), "1ms");
    ck_assert_str_eq(out_duration(t, 0), "0ms");
    ck_assert_str_eq(out_duration(t, -1), "-");
    ck_assert_str_eq(out_count(t, 42), "42");
    ck_assert_str_eq(out_count(t, -1), "-");
    ck_assert_str_eq(out_time(t, 1705327800250), "2024-01-15T14:10:00.250Z");
    ck_assert_str_eq(out_time(t, -1), "1969-12-31T23:59:59.999Z");
    ck_assert_str_eq(out_time(t, INT64_MAX), "-");
}
END_TEST

/* What fn prints to `stream`, at most size - 1 bytes. */
static void capture(FILE *stream, void (*fn)(void), char *text, size_t size)
{
    int fds[2];
    (void)fflush(stream);
    int kept = dup(fileno(stream));
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_ge(dup2(fds[1], fileno(stream)), 0);
    close(fds[1]);
    fn();
    (void)fflush(stream);
    ck_assert_int_ge(dup2(kept, fileno(stream)), 0);
    close(kept);
    ssize_t got = read(fds[0], text, size - 1);
    text[got > 0 ? got : 0] = '\0';
    close(fds[0]);
}

static void print_table(void)
{
    static const char *const cells[] = {
        "TOPIC", "PARTS", "CLEANUP", "orders", "6", "delete", "\xc3\xa9t\xc3\xa9", "12", "-"};
    struct out_table t = {.align = "lrl"};
    for (size_t i = 0; i < 9; i++)
        out_table_add(&t, cells[i]);
    out_table_end(&t);
    ck_assert_ptr_null(t.cells);
    ck_assert_uint_eq(t.count, 0);
}

START_TEST(tables)
{
    char text[256];
    capture(stdout, print_table, text, sizeof text);
    ck_assert_str_eq(text, "TOPIC   PARTS  CLEANUP\n"
                           "orders      6  delete\n"
                           "\xc3\xa9t\xc3\xa9        12  -\n");
}
END_TEST

static void print_lines(void)
{
    const struct out plain = {0};
    const struct out color = {.color = true};
    out_error(&plain, "topic \"%s\" does not exist", "x");
    out_hint(&plain, "kauri topic create %s", "x");
    out_warning(&color, "%d", 7);
}

START_TEST(errors_and_hints)
{
    char text[256];
    capture(stderr, print_lines, text, sizeof text);
    ck_assert_str_eq(text, "error: topic \"x\" does not exist\n"
                           "hint:  kauri topic create x\n"
                           "\033[1;33mwarning:\033[0m 7\n");
}
END_TEST

static void print_notes(void)
{
    const struct out quiet = {.quiet = true};
    const struct out loud = {0};
    out_note(&quiet, "not %s", "this");
    out_note(&loud, "but %s", "this");
    out_json(json_pack("{s:i}", "n", 1));
}

START_TEST(notes_and_json)
{
    char text[256];
    capture(stdout, print_notes, text, sizeof text);
    ck_assert_str_eq(text, "but this\n{\"n\":1}\n");
}
END_TEST

static void print_progress(void)
{
    const struct out o = {.progress = true};
    const struct out quiet = {.progress = true, .quiet = true};
    int64_t last = -1000;
    out_progress(&quiet, &last, "x", 1, 2);
    ck_assert_int_eq(last, -1000);
    last = INT64_MIN / 2; /* long ago */
    out_progress(&o, &last, "file", 50, 100);
    out_progress(&o, &last, "file", 51, 100); /* too soon */
    out_progress(&o, &last, "file", 100, 100);
    out_progress(&o, &last, "file", 100, 100); /* it is over */
    out_progress(&o, &last, "none", 0, 0);
}

START_TEST(progress)
{
    char text[256];
    capture(stderr, print_progress, text, sizeof text);
    ck_assert_str_eq(text, "\r[##########----------]  50%  file"
                           "\r[####################] 100%  file\n");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli/out");
    TCase *t = tcase_create("out");
    tcase_add_test(t, figures);
    tcase_add_test(t, tables);
    tcase_add_test(t, errors_and_hints);
    tcase_add_test(t, notes_and_json);
    tcase_add_test(t, progress);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
