/* SPDX-License-Identifier: MIT
 *
 * test_kafka_reader: lines into records, as Apache's LineMessageReader does it.
 */
#include "cli/kafka/reader.h"

#include <check.h>
#include <stdlib.h>

static struct props p;
static struct reader r;
static struct fault f;
static struct buf shown;

static void settings(const char *const *words)
{
    props_deinit(&p);
    for (; *words != NULL; words++)
        props_word(&p, *words);
    ck_assert_int_eq(reader_init(&r, &p, &f), 0);
}

static void show(const char *label, struct slice s)
{
    buf_printf(&shown, "%s=", label);
    if (s.p == NULL)
        buf_printf(&shown, "null");
    else
        buf_printf(&shown, "[%.*s]", (int)s.size, (const char *)s.p);
}

/* "key=[k] value=[v] h=[x]", with null for null. */
static const char *record(const char *line)
{
    struct reader_record out;
    const char *name;
    const void *value;
    size_t size;
    buf_reset(&shown);
    ck_assert_msg(reader_line(&r, slice_str(line), &out, &f) == 0, "%s: %s", line, f.text);
    show("key", out.key);
    show(" value", out.value);
    for (size_t i = 0;
         out.headers != NULL && rd_kafka_header_get_all(out.headers, i, &name, &value, &size) == 0;
         i++) {
        buf_printf(&shown, " ");
        show(name, slice_of(value, size));
    }
    if (out.headers != NULL)
        rd_kafka_headers_destroy(out.headers);
    buf_append_u8(&shown, 0);
    return (const char *)shown.p;
}

static void refused(const char *line, const char *text)
{
    struct reader_record out;
    ck_assert_msg(reader_line(&r, slice_str(line), &out, &f) == 1, "%s", line);
    ck_assert_str_eq(f.exception, "org.apache.kafka.common.KafkaException");
    ck_assert_str_eq(f.text, text);
}

START_TEST(values)
{
    settings((const char *const[]){NULL});
    ck_assert_str_eq(record("a\tb"), "key=null value=[a\tb]");
    ck_assert_str_eq(record(""), "key=null value=[]");
    settings((const char *const[]){"null.marker=NULL", NULL});
    ck_assert_str_eq(record("NULL"), "key=null value=null");
    ck_assert_str_eq(record("NULLS"), "key=null value=[NULLS]");
}
END_TEST

START_TEST(keys)
{
    settings((const char *const[]){"parse.key= TRUE ", NULL});
    ck_assert_str_eq(record("k\tv"), "key=[k] value=[v]");
    ck_assert_str_eq(record("\t"), "key=[] value=[]");
    refused("none", "No key separator found on line number 3: 'none'");
    settings((const char *const[]){"parse.key=true", "key.separator=::", "null.marker=-", NULL});
    ck_assert_str_eq(record("a:b::c::d"), "key=[a:b] value=[c::d]");
    ck_assert_str_eq(record("-::-"), "key=null value=null");
    settings((const char *const[]){"parse.key=true", "ignore.error=true", NULL});
    ck_assert_str_eq(record("none"), "key=null value=[none]");
}
END_TEST

START_TEST(headers)
{
    settings(
        (const char *const[]){"parse.key=true", "parse.headers=true", "null.marker=NULL", NULL});
    ck_assert_str_eq(record("h1:v1,h2:v2\tk\tvalue"), "key=[k] value=[value] h1=[v1] h2=[v2]");
    ck_assert_str_eq(record("h1:\tk\tNULL"), "key=[k] value=null h1=[]");
    ck_assert_str_eq(record("NULL\tNULL\tv"), "key=null value=[v]");
    ck_assert_str_eq(record("h1:NULL,,\tk\t"), "key=[k] value=[] h1=null");
    ck_assert_str_eq(record("h:a:b\tk\tv"), "key=[k] value=[v] h=[a:b]");
    refused("h\tk\tv", "No header key separator found in pair 'h' on line number 6");
    refused("\tk\tv", "No header key separator found in pair '' on line number 7");
    refused("a:1,,b:2\tk\tv", "No header key separator found in pair '' on line number 8");
    refused("NULL:x\tk\tv",
            "Header keys should not be equal to the null marker 'NULL' as they can't be null");
    refused("x", "No headers delimiter found on line number 10: 'x'");
    settings(
        (const char *const[]){"parse.key=true", "parse.headers=true", "ignore.error=true", NULL});
    ck_assert_str_eq(record("no"), "key=null value=[no]");
    ck_assert_str_eq(record("h\tk\tv"), "key=[k] value=[v] h=null");
    ck_assert_str_eq(record("only\tone"), "key=null value=[one] only=null");
}
END_TEST

START_TEST(separators_that_clash)
{
    static const char *const bad[][3] = {
        {"headers.delimiter=,", "", "headers.delimiter and headers.separator may not be equal"},
        {"headers.delimiter=:", "", "headers.delimiter and headers.key.separator may not be equal"},
        {"headers.separator=:", "", "headers.separator and headers.key.separator may not be equal"},
        {"null.marker=x", "key.separator=x", "null.marker and key.separator may not be equal"},
        {"null.marker=,", "", "null.marker and headers.separator may not be equal"},
        {"null.marker=:", "", "null.marker and headers.key.separator may not be equal"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        props_deinit(&p);
        props_word(&p, bad[i][0]);
        props_word(&p, bad[i][1]);
        ck_assert_msg(reader_init(&r, &p, &f) == 1, "%s", bad[i][0]);
        ck_assert_str_eq(f.text, bad[i][2]);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli/kafka_reader");
    TCase *t = tcase_create("kafka_reader");
    tcase_add_test(t, values);
    tcase_add_test(t, keys);
    tcase_add_test(t, headers);
    tcase_add_test(t, separators_that_clash);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
