/* SPDX-License-Identifier: MIT
 *
 * test_format: kcat's tokens give kcat's text.
 */
#include "cli/format.h"

#include <check.h>
#include <stdlib.h>

static const struct kauri_header headers[] = {
    {.name = "a", .name_size = 1, .value = "1", .value_size = 1},
    {.name = "bb", .name_size = 2, .value = NULL, .value_size = 0},
};

static const struct kauri_record full = {.topic = "orders",
                                         .partition = 3,
                                         .offset = 42,
                                         .timestamp_ms = 1705327800000,
                                         .key = "k",
                                         .key_size = 1,
                                         .value = "v\0w",
                                         .value_size = 3,
                                         .headers = headers,
                                         .header_count = 2};
static const struct kauri_record bare = {.topic = "t", .timestamp_ms = -1};

/* Text of the record, NUL-terminated; the caller frees it. */
static char *text(const char *fmt, const struct kauri_record *r, bool null, size_t *size)
{
    struct format f = {.null = null};
    struct buf out = {0};
    char why[256] = "";
    ck_assert_msg(format_compile(fmt, &f, why) == 0, "%s", why);
    format_run(&f, r, &out);
    *size = out.size;
    buf_append_u8(&out, 0);
    format_deinit(&f);
    return (char *)out.p;
}

static void expect(const char *fmt, const struct kauri_record *r, bool null, const char *want,
                   size_t want_size)
{
    size_t size = 0;
    char *got = text(fmt, r, null, &size);
    ck_assert_uint_eq(size, want_size);
    ck_assert_mem_eq(got, want, want_size);
    free(got);
}

START_TEST(tokens)
{
    expect("%t|%p|%o|%k|%K|%S|%T|%h|%%\\n", &full, false,
           "orders|3|42|k|1|3|1705327800000|a=1,bb=|%\n", 42);
    expect("%s", &full, false, "v\0w", 3);
    expect("%R%s", &full, false, "\0\0\0\3v\0w", 7);
    expect("\\x41\\0%p\\t", &full, false,
           "A\0"
           "3\t",
           4);
    expect("", &full, false, "", 0);
}
END_TEST

START_TEST(null_is_not_empty)
{
    struct kauri_record empty = bare;
    empty.key = "";
    empty.value = "";
    expect("%K:%S:%k:%s", &bare, false, "-1:-1::", 7);
    expect("%K:%S:%k:%s", &empty, false, "0:0::", 5);
    expect("%k:%s", &bare, true, "NULL:NULL", 9);
    expect("%k:%s", &empty, true, ":", 1);
    expect("%R", &bare, false, "\xff\xff\xff\xff", 4);
    expect("%h", &bare, false, "", 0);
}
END_TEST

START_TEST(bad_formats)
{
    static const char *const bad[] = {"%x", "%", "a%", "\\q", "%s\\x1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct format f = {0};
        char why[256] = "";
        ck_assert_int_eq(format_compile(bad[i], &f, why), 1);
        ck_assert_str_ne(why, "");
        format_deinit(&f);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli/format");
    TCase *t = tcase_create("format");
    tcase_add_test(t, tokens);
    tcase_add_test(t, null_is_not_empty);
    tcase_add_test(t, bad_formats);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
