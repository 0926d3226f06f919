/* SPDX-License-Identifier: MIT
 *
 * assert: it fires, also for expressions that a careless macro reads wrongly; it evaluates once; it
 * says what failed. And error: every errno value has a text in kauri's form.
 */
#include "engine/base/assert.h"

#include <check.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/error.h"

START_TEST(test_false_aborts)
{
    ASSERT(1 == 2);
}
END_TEST

/* A macro that tests `!expr` without parentheses reads this as (!!x) == 1, which holds. */
START_TEST(test_not_equal_aborts)
{
    bool x = true;
    ASSERT(!x == 1);
}
END_TEST

/* The value of a comma expression is its last part. */
START_TEST(test_comma_aborts)
{
    int calls = 0;
    ASSERT(calls++, calls == 0);
}
END_TEST

START_TEST(test_parenthesised_comma_aborts)
{
    int calls = 0;
    ASSERT((calls++, calls == 2));
}
END_TEST

/* Without parentheses around the argument, `? :` would bind to the right part only. */
START_TEST(test_conditional_aborts)
{
    bool x = true;
    ASSERT(x ? false : true);
}
END_TEST

START_TEST(test_or_and_pointer_hold)
{
    int value = 0;
    const int *p = &value;
    ASSERT(p);
    ASSERT(value == 1 || p != NULL);
    ASSERT(value++, value == 1);
    ASSERT(!(value == 2));
    ck_assert_int_eq(value, 1);
}
END_TEST

START_TEST(test_evaluates_once)
{
    int calls = 0;
    ASSERT(++calls);
    ck_assert_int_eq(calls, 1);
    if (calls == 1)
        ASSERT(++calls == 2);
    else
        ck_abort_msg("an else belongs to its own if");
    ck_assert_int_eq(calls, 2);
}
END_TEST

/* Runs fn in a child; its stderr in `text`, its wait status returned. */
static int stderr_of(void (*fn)(void), char *text, size_t size_max)
{
    int pipe_fds[2];
    ck_assert_int_eq(pipe(pipe_fds), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        (void)dup2(pipe_fds[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    (void)close(pipe_fds[1]);
    ssize_t size, total = 0;
    while ((size = read(pipe_fds[0], text + total, size_max - 1 - (size_t)total)) > 0)
        total += size;
    text[total] = '\0';
    (void)close(pipe_fds[0]);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

static void fail_named(void)
{
    ASSERT(strlen("abc") == 4);
}

START_TEST(test_message)
{
    char text[512];
    int status = stderr_of(fail_named, text, sizeof text);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    ck_assert_ptr_nonnull(strstr(text, "assertion failed: strlen(\"abc\") == 4, at "));
    ck_assert_ptr_nonnull(strstr(text, "test_assert.c:"));
    ck_assert_ptr_nonnull(strstr(text, " in fail_named\n"));
}
END_TEST

static void fail_memory(void)
{
    (void)assert_memory(NULL, 12345);
}

START_TEST(test_memory)
{
    char text[512];
    int value;
    ck_assert_ptr_eq(assert_memory(&value, sizeof value), &value);
    int status = stderr_of(fail_memory, text, sizeof text);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    ck_assert_str_eq(text, "out of memory: cannot allocate 12345 bytes\n");
}
END_TEST

START_TEST(test_error_text)
{
    ck_assert_str_eq(error_text(-ENOSPC), "no space left on device");
    ck_assert_str_eq(error_text(ENOSPC), "no space left on device");
    ck_assert_str_eq(error_text(-EIO), "input/output error");
    ck_assert_str_eq(error_text(-EDQUOT), "disk quota exceeded");
    ck_assert_str_eq(error_text(0), "no error");
    ck_assert_str_eq(error_text(-100000), "unknown error");
    ck_assert_str_eq(error_text(INT_MAX), "unknown error");
    ck_assert_str_eq(error_text(INT_MIN), "unknown error");
}
END_TEST

/* The C library's own list, in its own case, is the dumb table to compare with. */
START_TEST(test_error_text_covers_errno)
{
    for (int error = 1; error < 200; error++) {
        const char *theirs = strerrordesc_np(error);
        const char *ours = error_text(-error);
        ck_assert_ptr_eq(ours, error_text(error));
        ck_assert_msg(!isupper((unsigned char)ours[0]), "%d: %s", error, ours);
        if (theirs == NULL)
            ck_assert_str_eq(ours, "unknown error");
        else if (error != EILSEQ) /* ours is shorter */
            ck_assert_msg(strcasecmp(ours, theirs) == 0, "%d: %s, not %s", error, ours, theirs);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("assert");
    tcase_add_test_raise_signal(tc, test_false_aborts, SIGABRT);
    tcase_add_test_raise_signal(tc, test_not_equal_aborts, SIGABRT);
    tcase_add_test_raise_signal(tc, test_comma_aborts, SIGABRT);
    tcase_add_test_raise_signal(tc, test_parenthesised_comma_aborts, SIGABRT);
    tcase_add_test_raise_signal(tc, test_conditional_aborts, SIGABRT);
    tcase_add_test(tc, test_or_and_pointer_hold);
    tcase_add_test(tc, test_evaluates_once);
    tcase_add_test(tc, test_message);
    tcase_add_test(tc, test_memory);
    tcase_add_test(tc, test_error_text);
    tcase_add_test(tc, test_error_text_covers_errno);
    Suite *suite = suite_create("base/assert");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
