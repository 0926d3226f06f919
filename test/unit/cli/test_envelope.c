/* SPDX-License-Identifier: MIT
 *
 * test_envelope: a record survives the way to JSON and back; bad lines are refused with a reason.
 */
#include "cli/envelope.h"

#include <check.h>
#include <stdlib.h>

static char why[256];

static int parse(const char *line, struct envelope *e)
{
    why[0] = '\0';
    return envelope_parse(slice_str(line), e, why);
}

START_TEST(plain)
{
    struct envelope e = {0};
    ck_assert_int_eq(parse("{\"key\":\"k\",\"value\":\"v\",\"timestamp\":1705327800000,"
                           "\"partition\":2,\"headers\":{\"h\":\"1\",\"n\":null}}",
                           &e),
                     0);
    ck_assert_uint_eq(e.record.key_size, 1);
    ck_assert_mem_eq(e.record.key, "k", 1);
    ck_assert_mem_eq(e.record.value, "v", 1);
    ck_assert_int_eq(e.record.timestamp_ms, 1705327800000);
    ck_assert_int_eq(e.record.partition, 2);
    ck_assert_uint_eq(e.record.header_count, 2);
    ck_assert_mem_eq(e.record.headers[0].name, "h", 1);
    ck_assert_mem_eq(e.record.headers[0].value, "1", 1);
    ck_assert_ptr_null(e.record.headers[1].value);
    envelope_deinit(&e);
}
END_TEST

START_TEST(absent_is_null_and_empty_is_not)
{
    struct envelope e = {0};
    ck_assert_int_eq(parse("{}", &e), 0);
    ck_assert_ptr_null(e.record.key);
    ck_assert_ptr_null(e.record.value);
    ck_assert_int_eq(e.record.partition, -1);
    ck_assert_int_eq(e.record.timestamp_ms, -1);
    ck_assert_int_eq(parse("{\"key\":null,\"value\":\"\"}", &e), 0);
    ck_assert_ptr_null(e.record.key);
    ck_assert_ptr_nonnull(e.record.value);
    ck_assert_uint_eq(e.record.value_size, 0);
    ck_assert_int_eq(parse("{\"value_base64\":\"\"}", &e), 0);
    ck_assert_ptr_nonnull(e.record.value);
    envelope_deinit(&e);
}
END_TEST

START_TEST(values_that_are_no_strings)
{
    struct envelope e = {0};
    ck_assert_int_eq(parse("{\"key\":7,\"value\":{\"user_id\": 1, \"a\": [1.5, true]}}", &e), 0);
    ck_assert_uint_eq(e.record.key_size, 1);
    ck_assert_mem_eq(e.record.key, "7", 1);
    static const char want[] = "{\"user_id\":1,\"a\":[1.5,true]}";
    ck_assert_uint_eq(e.record.value_size, sizeof want - 1);
    ck_assert_mem_eq(e.record.value, want, sizeof want - 1);
    envelope_deinit(&e);
}
END_TEST

START_TEST(bad_lines)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "7",
        "{\"vlaue\":\"x\"}",
        "{\"partition\":\"1\"}",
        "{\"partition\":-2}",
        "{\"partition\":2147483648}",
        "{\"timestamp\":1.5}",
        "{\"headers\":7}",
        "{\"headers\":[[1,\"x\"]]}",
        "{\"headers\":[[\"a\",\"b\",true,1]]}",
        "{\"value_base64\":\"abc\"}",
        "{\"value_base64\":\"ab=c\"}",
        "{\"value_base64\":\"====\"}",
        "{\"value_base64\":7}",
        "{\"value\":\"x\"} trailing",
        "{\"value\":\"\xff\"}",
    };
    struct envelope e = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(parse(bad[i], &e) == 1, "%s", bad[i]);
        ck_assert_str_ne(why, "");
    }
    struct buf many = {0};
    buf_printf(&many, "{\"headers\":[[\"h\",\"1\"]");
    for (size_t i = 0; i < ENVELOPE_HEADERS_MAX; i++)
        buf_printf(&many, ",[\"h\",\"1\"]");
    buf_printf(&many, "]}");
    ck_assert_int_eq(envelope_parse(buf_slice(&many), &e, why), 1);
    buf_deinit(&many);
    envelope_deinit(&e);
}
END_TEST

/* Random bytes of random length, null now and then; *p is freed by the caller. */
static void any(void **p, size_t *size)
{
    *p = NULL;
    *size = 0;
    if (rand() % 4 == 0)
        return;
    *size = (size_t)(rand() % 9);
    uint8_t *bytes = malloc(*size + 1);
    for (size_t i = 0; i < *size; i++)
        bytes[i] = (uint8_t)(rand() % 3 == 0 ? rand() : 'a' + rand() % 26);
    *p = bytes;
}

static void same(const void *a, size_t a_size, const void *b, size_t b_size)
{
    ck_assert_int_eq(a == NULL, b == NULL);
    ck_assert_uint_eq(a_size, b_size);
    if (a_size > 0)
        ck_assert_mem_eq(a, b, a_size);
}

START_TEST(round_trip)
{
    struct envelope e = {0};
    srand(1);
    for (int i = 0; i < 2000; i++) {
        void *bytes[4];
        size_t sizes[4];
        for (size_t j = 0; j < 4; j++)
            any(&bytes[j], &sizes[j]);
        struct kauri_header headers[2] = {
            {.name = "twin", .name_size = 4, .value = bytes[0], .value_size = sizes[0]},
            {.name = "twin", .name_size = 4, .value = bytes[1], .value_size = sizes[1]},
        };
        struct kauri_record r = {.topic = "t",
                                 .partition = i,
                                 .offset = i,
                                 .timestamp_ms = i,
                                 .key = bytes[2],
                                 .key_size = sizes[2],
                                 .value = bytes[3],
                                 .value_size = sizes[3],
                                 .headers = headers,
                                 .header_count = 2};
        json_t *object = envelope_of(&r);
        char *text = json_dumps(object, JSON_COMPACT);
        ck_assert_msg(parse(text, &e) == 0, "%s: %s", text, why);
        ck_assert_int_eq(e.record.partition, i);
        ck_assert_int_eq(e.record.timestamp_ms, i);
        same(e.record.key, e.record.key_size, r.key, r.key_size);
        same(e.record.value, e.record.value_size, r.value, r.value_size);
        ck_assert_uint_eq(e.record.header_count, 2);
        for (size_t j = 0; j < 2; j++)
            same(e.record.headers[j].value, e.record.headers[j].value_size, headers[j].value,
                 headers[j].value_size);
        for (size_t j = 0; j < 4; j++)
            free(bytes[j]);
        free(text);
        json_decref(object);
    }
    envelope_deinit(&e);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cli/envelope");
    TCase *t = tcase_create("envelope");
    tcase_add_test(t, plain);
    tcase_add_test(t, absent_is_null_and_empty_is_not);
    tcase_add_test(t, values_that_are_no_strings);
    tcase_add_test(t, bad_lines);
    tcase_add_test(t, round_trip);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
