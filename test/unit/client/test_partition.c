/* SPDX-License-Identifier: MIT
 *
 * The choice of a partition as Java makes it, and the tables of texts.
 */
#include <stdio.h>

#include "net/client/client_status.h"
#include "net/client/kauri.h"
#include "rig.h"

START_TEST(test_murmur2)
{
    static const struct {
        const char *key;
        int32_t hash;
    } vectors[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
        {"0", 971027396},
        {"1", -1993445489},
        {"", 275646681},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const char *key = vectors[i].key;
        ck_assert_int_eq((int32_t)kauri_murmur2(key, strlen(key)), vectors[i].hash);
        int32_t expected = (vectors[i].hash & 0x7fffffff) % 7;
        ck_assert_int_eq(kauri_partition_for(key, strlen(key), 7), expected);
    }
}
END_TEST

START_TEST(test_high_bytes)
{
    /* Bytes are unsigned: with signed ones the tail would differ. */
    static const uint8_t key[] = {0xff, 0xfe, 0xfd};
    static const uint8_t low[] = {0x7f, 0x7e, 0x7d};
    ck_assert_uint_ne(kauri_murmur2(key, 3), kauri_murmur2(low, 3));
    uint32_t h = 0x9747b28cu ^ 3u;
    h = (h ^ 0xfdfeffu) * 0x5bd1e995u;
    h = (h ^ h >> 13) * 0x5bd1e995u;
    ck_assert_uint_eq(kauri_murmur2(key, 3), h ^ h >> 15);
}
END_TEST

START_TEST(test_statuses)
{
    for (int s = KAURI__STATUS__OK; s <= KAURI__STATUS__NOT_ENOUGH_REPLICAS; s++) {
        char text[CLIENT_MESSAGE_MAX];
        client_status_explain((Kauri__Status)s, "", "a", 3, text);
        ck_assert_uint_gt(strlen(text), 0);
        ck_assert_int_eq(client_status_error((Kauri__Status)s) == 0, s == KAURI__STATUS__OK);
    }
    ck_assert(client_status_retriable(KAURI__STATUS__BUSY));
    ck_assert(!client_status_retriable(KAURI__STATUS__SEQUENCE_GAP));
    ck_assert_int_eq(client_status_error((Kauri__Status)999), KAURI_REFUSED);
    ck_assert(!client_status_retriable((Kauri__Status)999));
}
END_TEST

START_TEST(test_messages)
{
    char text[CLIENT_MESSAGE_MAX];
    client_status_explain(KAURI__STATUS__UNKNOWN_TOPIC, "", "x", -1, text);
    ck_assert_str_eq(text, "topic \"x\" does not exist");
    client_status_explain(KAURI__STATUS__UNKNOWN_PARTITION, "", "x", 9, text);
    ck_assert_str_eq(text, "topic \"x\" has no partition 9");
    client_status_explain(KAURI__STATUS__BAD_CONFIG, "config \"y\" is unknown", "x", -1, text);
    ck_assert_str_eq(text, "config \"y\" is unknown");
    client_status_explain(KAURI__STATUS__LOADING, "", "x", 0, text);
    ck_assert_str_eq(text, "topic \"x\" partition 0: the partition is being recovered");
}
END_TEST

START_TEST(test_error_texts)
{
    for (int e = 0; e < KAURI_ERROR_COUNT; e++)
        for (int f = 0; f < e; f++)
            ck_assert_str_ne(kauri_error_text(e), kauri_error_text(f));
    ck_assert_str_eq(kauri_error_text(KAURI_ERROR_COUNT), "unknown error");
    ck_assert_str_ne(kauri_error_text(-2), "unknown error");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_murmur2, test_high_bytes, test_statuses, test_messages,
                                  test_error_texts};
    return rig_run("partition", tests, sizeof tests / sizeof tests[0]);
}
