/* SPDX-License-Identifier: MIT
 *
 * test_kafka_formatter: records as kafka-console-consumer prints them; the expectations were taken
 * from Apache's tool, 3.9.
 */
#include "cli/kafka/formatter.h"

#include <check.h>
#include <stdlib.h>

#define CODECS "org.apache.kafka.common.serialization."

static struct props p;
static struct formatter fm;
static struct fault f;
static struct buf out;
static struct formatter_record record;

static void settings(const char *class, const char *const *words)
{
    props_deinit(&p);
    for (; *words != NULL; words++)
        props_word(&p, *words);
    ck_assert_int_eq(formatter_init(&fm, class, &p, &f), 0);
}

static const char *printed(void)
{
    buf_reset(&out);
    ck_assert_msg(formatter_append(&fm, &record, &out, &f) == 0, "%s", f.text);
    buf_append_u8(&out, 0);
    return (const char *)out.p;
}

static void setup(void)
{
    record = (struct formatter_record){.clock = "CreateTime",
                                       .timestamp_ms = 1705327800000,
                                       .partition = 2,
                                       .offset = 7,
                                       .key = slice_str("k"),
                                       .value = slice_str("value")};
}

#define ALL                                                                                        \
    "print.timestamp=true", "print.partition=true", "print.offset=true", "print.headers=true",     \
        "print.key=true"

START_TEST(columns)
{
    setup();
    settings(NULL, (const char *const[]){NULL});
    ck_assert_str_eq(printed(), "value\n");
    settings(NULL, (const char *const[]){ALL, NULL});
    ck_assert_str_eq(printed(),
                     "CreateTime:1705327800000\tPartition:2\tOffset:7\tNO_HEADERS\tk\tvalue\n");
    record.clock = "LogAppendTime";
    settings(NULL, (const char *const[]){ALL, "print.value=false", "key.separator=;", NULL});
    ck_assert_str_eq(printed(), "LogAppendTime:1705327800000;Partition:2;Offset:7;NO_HEADERS;k\n");
    record.clock = NULL;
    settings(NULL, (const char *const[]){"print.timestamp=true", "print.value=false", NULL});
    ck_assert_str_eq(printed(), "NO_TIMESTAMP\n");
    settings(NULL, (const char *const[]){"print.value=false", NULL});
    ck_assert_str_eq(printed(), "");
    settings(NULL, (const char *const[]){"print.value=no", "print.offset=True", NULL});
    ck_assert_str_eq(printed(), "Offset:7\n");
}
END_TEST

START_TEST(nulls_and_headers)
{
    setup();
    rd_kafka_headers_t *headers = rd_kafka_headers_new(2);
    (void)rd_kafka_header_add(headers, "h1", -1, "v1", -1);
    (void)rd_kafka_header_add(headers, "h2", -1, NULL, 0);
    (void)rd_kafka_header_add(headers, "h3", -1, "", 0);
    record.headers = headers;
    record.key = SLICE_NULL;
    record.value = slice_of("", 0);
    settings(NULL, (const char *const[]){"print.headers=true", "print.key=true", NULL});
    ck_assert_str_eq(printed(), "h1:v1,h2:null,h3:\tnull\t\n");
    settings(NULL, (const char *const[]){"print.headers=true", "headers.separator=|",
                                         "null.literal=-", "line.separator=!", NULL});
    ck_assert_str_eq(printed(), "h1:v1|h2:-|h3:\t!");
    rd_kafka_headers_destroy(headers);
}
END_TEST

START_TEST(bytes_pass_unchanged)
{
    setup();
    record.value = slice_of("a\0\xff", 3);
    settings(NULL, (const char *const[]){NULL});
    buf_reset(&out);
    ck_assert_int_eq(formatter_append(&fm, &record, &out, &f), 0);
    ck_assert_uint_eq(out.size, 4);
    ck_assert_mem_eq(out.p, "a\0\xff\n", 4);
}
END_TEST

START_TEST(deserializers)
{
    setup();
    record.key = slice_of("\xff\xff\xff\xfe", 4);
    record.value = slice_of("\x80\0\0\0\0\0\0\1", 8);
    settings(NULL, (const char *const[]){"print.key=true",
                                         "key.deserializer=" CODECS "IntegerDeserializer",
                                         "value.deserializer=" CODECS "LongDeserializer", NULL});
    ck_assert_str_eq(printed(), "-2\t-9223372036854775807\n");
    record.key = slice_of("\x01\x02", 2);
    record.value = SLICE_NULL;
    settings(NULL,
             (const char *const[]){"print.key=true", "key.deserializer=" CODECS "ShortDeserializer",
                                   "value.deserializer=" CODECS "StringDeserializer", NULL});
    ck_assert_str_eq(printed(), "258\tnull\n");
    record.value = slice_str("seven b");
    settings(NULL, (const char *const[]){"value.deserializer=" CODECS "LongDeserializer",
                                         "print.offset=true", NULL});
    buf_reset(&out);
    buf_append(&out, "kept", 4);
    ck_assert_int_eq(formatter_append(&fm, &record, &out, &f), 1);
    ck_assert_str_eq(f.text, "Size of data received by LongDeserializer is not 8");
    ck_assert_uint_eq(out.size, 4);
}
END_TEST

START_TEST(classes)
{
    setup();
    settings("org.apache.kafka.tools.consumer.NoOpMessageFormatter", (const char *const[]){NULL});
    ck_assert_str_eq(printed(), "");
    settings("kafka.tools.DefaultMessageFormatter", (const char *const[]){NULL});
    ck_assert_str_eq(printed(), "value\n");
    settings("org.apache.kafka.tools.consumer.LoggingMessageFormatter",
             (const char *const[]){NULL});
    ck_assert_str_eq(printed(), "value\n");
    ck_assert_int_eq(formatter_init(&fm, "nope", &p, &f), 1);
    ck_assert_str_eq(f.text, "nope");
    ck_assert_int_eq(formatter_init(&fm, "DefaultMessageFormatter", &p, &f), 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli/kafka_formatter");
    TCase *t = tcase_create("kafka_formatter");
    tcase_add_test(t, columns);
    tcase_add_test(t, nulls_and_headers);
    tcase_add_test(t, bytes_pass_unchanged);
    tcase_add_test(t, deserializers);
    tcase_add_test(t, classes);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
