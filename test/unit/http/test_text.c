/* SPDX-License-Identifier: MIT
 *
 * test_text: the text format, byte for byte.
 */
#include "net/http/http_text.h"

#include <check.h>
#include <stdlib.h>

#define LABELS(v) ((struct http_text_labels){(v), sizeof(v) / sizeof(v)[0]})

static void expect(struct buf *b, const char *want)
{
    buf_append_u8(b, 0);
    ck_assert_str_eq((const char *)b->p, want);
    buf_deinit(b);
}

START_TEST(heads)
{
    struct buf b = {0};
    http_text_head(&b, "a_total", HTTP_TEXT_COUNTER, "a \\ b \"c\"\nd");
    http_text_head(&b, "g", HTTP_TEXT_GAUGE, "x");
    http_text_head(&b, "h", HTTP_TEXT_HISTOGRAM, "y");
    expect(&b, "# HELP a_total a \\\\ b \"c\"\\nd\n# TYPE a_total counter\n"
               "# HELP g x\n# TYPE g gauge\n# HELP h y\n# TYPE h histogram\n");
}
END_TEST

START_TEST(samples)
{
    struct buf b = {0};
    const struct http_text_label two[] = {{"a", slice_str("x")}, {"b", slice_str("")}};
    http_text_u64(&b, "m", (struct http_text_labels){0}, UINT64_MAX);
    http_text_i64(&b, "m", LABELS(two), INT64_MIN + 1);
    expect(&b, "m 18446744073709551615\nm{a=\"x\",b=\"\"} -9223372036854775807\n");
}
END_TEST

START_TEST(seconds)
{
    struct buf b = {0};
    static const uint64_t us[] = {0, 1, 250, 1000000, 1500000, 10000000, 3600000001};
    for (size_t i = 0; i < sizeof us / sizeof us[0]; i++)
        http_text_us(&b, "s", (struct http_text_labels){0}, us[i]);
    expect(&b, "s 0\ns 0.000001\ns 0.00025\ns 1\ns 1.5\ns 10\ns 3600.000001\n");
}
END_TEST

/* What is one line and one label before must be that afterwards. */
START_TEST(labels_are_escaped)
{
    static const struct {
        const char *value;
        size_t size;
        const char *want;
    } rows[] = {
        {"a\"b", 3, "a\\\"b"},
        {"a\\b", 3, "a\\\\b"},
        {"a\nb", 3, "a\\nb"},
        {"\xc3\xa9", 2, "\xc3\xa9"},
        {"\xe2\x82\xac", 3, "\xe2\x82\xac"},
        {"\xf0\x9f\x90\xa6", 4, "\xf0\x9f\x90\xa6"},
        {"\xff", 1, "\\\\xff"},
        {"\xc3", 1, "\\\\xc3"},                       /* cut */
        {"\xc0\x80", 2, "\\\\xc0\\\\x80"},            /* longer than it needs to be */
        {"\xed\xa0\x80", 3, "\\\\xed\\\\xa0\\\\x80"}, /* half of a pair */
        {"\xf4\x90\x80\x80", 4, "\\\\xf4\\\\x90\\\\x80\\\\x80"},
        {"a\0b", 3, "a"}, /* a C string ends here; the byte itself is legal */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf b = {0}, want = {0};
        const struct http_text_label label[] = {{"l", slice_of(rows[i].value, rows[i].size)}};
        http_text_u64(&b, "m", LABELS(label), 1);
        buf_printf(&want, "m{l=\"%s", rows[i].want);
        ck_assert_uint_ge(b.size, want.size);
        ck_assert_mem_eq(b.p, want.p, want.size);
        ck_assert_uint_eq(b.p[b.size - 1], '\n');
        buf_deinit(&b);
        buf_deinit(&want);
    }
}
END_TEST

START_TEST(utf8)
{
    struct buf b = {0};
    http_text_utf8(&b, slice_str("a\n\"\\\xff\xc3\xa9"));
    expect(&b, "a\n\"\\\\xff\xc3\xa9");
}
END_TEST

START_TEST(tallies)
{
    struct buf b = {0};
    struct tally t = {0};
    const struct http_text_label one[] = {{"api", slice_str("x")}};
    tally_add(&t, 100);
    tally_add(&t, 240);
    tally_add(&t, 70000000);
    http_text_tally(&b, "h", LABELS(one), &t);
    http_text_tally(&b, "i", (struct http_text_labels){0}, &(struct tally){0});
    buf_append_u8(&b, 0);
    const char *text = (const char *)b.p;
    ck_assert_ptr_nonnull(strstr(text, "h_bucket{api=\"x\",le=\"0.0001\"} 1\n"
                                       "h_bucket{api=\"x\",le=\"0.00025\"} 2\n"
                                       "h_bucket{api=\"x\",le=\"0.0005\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(text, "h_bucket{api=\"x\",le=\"10\"} 2\n"
                                       "h_bucket{api=\"x\",le=\"+Inf\"} 3\n"
                                       "h_sum{api=\"x\"} 70.00034\nh_count{api=\"x\"} 3\n"));
    ck_assert_ptr_nonnull(strstr(text, "i_bucket{le=\"+Inf\"} 0\ni_sum 0\ni_count 0\n"));
    buf_deinit(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("text");
    TCase *c = tcase_create("all");
    tcase_add_test(c, heads);
    tcase_add_test(c, samples);
    tcase_add_test(c, seconds);
    tcase_add_test(c, labels_are_escaped);
    tcase_add_test(c, utf8);
    tcase_add_test(c, tallies);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
