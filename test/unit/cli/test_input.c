/* SPDX-License-Identifier: MIT
 *
 * test_input: records are cut at delimiters whatever the size of the reads, and limits hold.
 */
#include "cli/input.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* A descriptor that gives `size` bytes in pieces of `piece`; a child writes them. */
static int feed(const char *bytes, size_t size, size_t piece)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    if (fork() == 0) {
        for (size_t pos = 0; pos < size; pos += piece)
            if (write(fds[1], bytes + pos, size - pos < piece ? size - pos : piece) < 0)
                _exit(1);
        _exit(0);
    }
    close(fds[1]);
    return fds[0];
}

static void expect(struct input *in, const char *want)
{
    struct slice got;
    ck_assert_int_eq(input_next(in, &got), 0);
    ck_assert_ptr_nonnull(got.p);
    ck_assert_uint_eq(got.size, strlen(want));
    ck_assert_mem_eq(got.p, want, got.size);
}

START_TEST(lines_in_pieces)
{
    static const char text[] = "one\n\ntwo\nlast";
    size_t piece = (size_t)_i + 1;
    struct slice got;
    struct input in = {.fd = feed(text, sizeof text - 1, piece), .delim = slice_str("\n")};
    expect(&in, "one");
    expect(&in, "");
    expect(&in, "two");
    expect(&in, "last");
    ck_assert_int_eq(input_next(&in, &got), INPUT_END);
    ck_assert_int_eq(input_next(&in, &got), INPUT_END);
    ck_assert_uint_eq(in.taken, sizeof text - 1);
    input_deinit(&in);
    close(in.fd);
}
END_TEST

START_TEST(long_delimiter_across_reads)
{
    static const char text[] = "a--b-----c--";
    size_t piece = (size_t)_i + 1;
    struct slice got;
    struct input in = {.fd = feed(text, sizeof text - 1, piece), .delim = slice_str("--")};
    expect(&in, "a");
    expect(&in, "b");
    expect(&in, "");
    expect(&in, "-c");
    ck_assert_int_eq(input_next(&in, &got), INPUT_END);
    input_deinit(&in);
    close(in.fd);
}
END_TEST

START_TEST(nothing_at_all)
{
    struct slice got;
    struct input lines = {.fd = feed("", 0, 1), .delim = slice_str("\n")};
    ck_assert_int_eq(input_next(&lines, &got), INPUT_END);
    close(lines.fd);
    struct input whole = {.fd = feed("", 0, 1)};
    expect(&whole, "");
    ck_assert_int_eq(input_next(&whole, &got), INPUT_END);
    close(whole.fd);
    input_deinit(&lines);
    input_deinit(&whole);
}
END_TEST

START_TEST(whole_file)
{
    static const char text[] = "a\nb\n";
    struct slice got;
    struct input in = {.fd = feed(text, sizeof text - 1, 3)};
    expect(&in, "a\nb\n");
    ck_assert_int_eq(input_next(&in, &got), INPUT_END);
    input_deinit(&in);
    close(in.fd);
}
END_TEST

START_TEST(the_limit)
{
    size_t size = INPUT_RECORD_MAX + 2;
    char *bytes = malloc(size);
    struct slice got;
    ck_assert_ptr_nonnull(bytes);
    memset(bytes, 'x', size);
    bytes[INPUT_RECORD_MAX] = '\n';
    struct input fits = {.fd = feed(bytes, size, size), .delim = slice_str("\n")};
    ck_assert_int_eq(input_next(&fits, &got), 0);
    ck_assert_uint_eq(got.size, INPUT_RECORD_MAX);
    expect(&fits, "x");
    input_deinit(&fits);
    close(fits.fd);
    bytes[INPUT_RECORD_MAX] = 'x';
    struct input large = {.fd = feed(bytes, size, size), .delim = slice_str("\n")};
    ck_assert_int_eq(input_next(&large, &got), INPUT_TOO_LARGE);
    input_deinit(&large);
    close(large.fd);
    free(bytes);
}
END_TEST

static int stop_now(void *ctx, int fd)
{
    ck_assert_int_ge(fd, 0);
    return ++*(int *)ctx == 2;
}

START_TEST(stops_and_errors)
{
    int calls = 0;
    struct slice got;
    struct input in = {
        .fd = feed("a\nb", 3, 3), .delim = slice_str("\n"), .wait = stop_now, .ctx = &calls};
    expect(&in, "a");
    ck_assert_int_eq(input_next(&in, &got), INPUT_STOPPED);
    input_deinit(&in);
    close(in.fd);
    struct input closed = {.fd = -1, .delim = slice_str("\n")};
    ck_assert_int_eq(input_next(&closed, &got), -EBADF);
    input_deinit(&closed);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli/input");
    TCase *t = tcase_create("input");
    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, lines_in_pieces, 0, 13);
    tcase_add_loop_test(t, long_delimiter_across_reads, 0, 12);
    tcase_add_test(t, nothing_at_all);
    tcase_add_test(t, whole_file);
    tcase_add_test(t, the_limit);
    tcase_add_test(t, stops_and_errors);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
