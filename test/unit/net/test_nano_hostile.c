/* SPDX-License-Identifier: MIT
 *
 * test_nano_hostile: messages no client of ours sends. Whatever comes, the front goes on serving,
 * and answers BAD_REQUEST where it can tell whom.
 */
#include "engine/base/random.h"
#include "proto/frame.h"
#include "rig.h"

#include <stdlib.h>

static struct rig rig;

static void setup(void)
{
    rig_init(&rig, false);
    rig.options.message_size_max = NANO_MESSAGE_SIZE_MIN;
    rig_open(&rig);
}

static void teardown(void)
{
    rig_close(&rig);
}

/* The front still answers, and holds nothing of what came before. */
static void check_alive(void)
{
    const Kauri__Answer *a = rig_answer(&rig, rig.client, rig_ping(&rig, rig.client, false));
    ck_assert_int_eq(a->status, KAURI__STATUS__OK);
    ck_assert_uint_eq(rig_stats(&rig).running, 0);
    ck_assert_uint_eq(rig_stats(&rig).ready_size, 0);
}

static void check_bad(uint64_t id)
{
    const Kauri__Answer *a = rig_answer(&rig, rig.client, id);
    ck_assert_int_eq(a->status, KAURI__STATUS__BAD_REQUEST);
    ck_assert_uint_gt(strlen(a->message), 0);
    ck_assert_uint_eq(rig.broker->started, 0);
}

START_TEST(test_random_bytes)
{
    struct random random;
    uint8_t bytes[256];
    random_init(&random, 11);
    for (int i = 0; i < 2000; i++) {
        size_t size = random_below(&random, sizeof bytes);
        for (size_t at = 0; at < size; at++)
            bytes[at] = (uint8_t)random_u64(&random);
        if (size >= 4 && i % 2 == 0)
            bytes_put_le32(bytes, (uint32_t)random_below(&random, size));
        rig_send_bytes(&rig, rig.client, bytes, size);
    }
    check_alive();
    ck_assert_uint_ge(rig_stats(&rig).received, 2000);
    ck_assert_uint_gt(rig_stats(&rig).dropped, 1000);
}
END_TEST

/* Valid calls with one byte changed. */
START_TEST(test_flipped_bytes)
{
    struct random random;
    random_init(&random, 12);
    for (int i = 0; i < 500; i++) {
        Kauri__Call call;
        Kauri__ListOffsets list;
        Kauri__ListOffsetsItem item;
        Kauri__ListOffsetsItem *items = &item;
        struct buf out = {0};
        kauri__list_offsets__init(&list);
        kauri__list_offsets_item__init(&item);
        item.topic = frame_borrow("topic");
        list.items = &items;
        list.n_items = 1;
        client_call(rig.client, &call, KAURI__CALL__CALL_LIST_OFFSETS);
        call.list_offsets = &list;
        frame_pack(&call.base, SLICE_NULL, &out);
        /* not in session and id, so that answers go where the client knows them */
        size_t at = 4 + 8 + random_below(&random, out.size - 12);
        out.p[at] ^= (uint8_t)(1u << random_below(&random, 8));
        rig_send_bytes(&rig, rig.client, out.p, out.size);
        buf_deinit(&out);
        rig_answer(&rig, rig.client, rig_ping(&rig, rig.client, true));
    }
    check_alive();
}
END_TEST

START_TEST(test_truncated)
{
    Kauri__Call call;
    Kauri__Fetch fetch;
    struct buf out = {0};
    kauri__fetch__init(&fetch);
    client_call(rig.client, &call, KAURI__CALL__CALL_FETCH);
    call.fetch = &fetch;
    frame_pack(&call.base, SLICE_NULL, &out);
    uint64_t dropped = rig_stats(&rig).dropped;
    for (size_t size = 0; size < out.size; size++)
        rig_send_bytes(&rig, rig.client, out.p, size);
    check_alive();
    ck_assert_uint_eq(rig_stats(&rig).dropped, dropped + out.size);
    buf_deinit(&out);
}
END_TEST

/* Session and id can be read, the rest cannot. */
START_TEST(test_malformed_is_answered)
{
    Kauri__Call call;
    struct buf out = {0};
    client_call(rig.client, &call, KAURI__CALL__CALL__NOT_SET);
    frame_pack(&call.base, SLICE_NULL, &out);
    uint8_t garbage[] = {0x62, 0x7f, 1, 2};
    buf_append(&out, garbage, sizeof garbage);
    bytes_put_le32(out.p, (uint32_t)(out.size - 4));
    rig_send_bytes(&rig, rig.client, out.p, out.size);
    check_bad(call.id);

    uint64_t session = rig.client->session;
    rig.client->session = 999;
    client_call(rig.client, &call, KAURI__CALL__CALL__NOT_SET);
    buf_reset(&out);
    frame_pack(&call.base, SLICE_NULL, &out);
    buf_append(&out, garbage, sizeof garbage);
    bytes_put_le32(out.p, (uint32_t)(out.size - 4));
    rig_send_bytes(&rig, rig.client, out.p, out.size);
    const Kauri__Answer *a = rig_answer(&rig, rig.client, call.id);
    ck_assert_int_eq(a->status, KAURI__STATUS__UNKNOWN_SESSION);
    rig.client->session = session;
    rig.client->received = 2;
    buf_deinit(&out);
    check_alive();
}
END_TEST

START_TEST(test_no_call)
{
    Kauri__Call call;
    client_call(rig.client, &call, KAURI__CALL__CALL__NOT_SET);
    check_bad(rig_send(&rig, rig.client, &call, SLICE_NULL));
    check_alive();
}
END_TEST

START_TEST(test_hostile_submessages_hit_the_budget)
{
    /* session 1000 and id 2, then a produce of 100,000 empty items in 200,000 bytes */
    static const uint8_t head[] = {0x08, 0xe8, 0x07, 0x10, 0x02, 0x62, 0xc0, 0x9a, 0x0c};
    struct buf out = {0};
    buf_append_le32(&out, sizeof head + 200000);
    buf_append(&out, head, sizeof head);
    for (int i = 0; i < 100000; i++)
        buf_append(&out, "\x1a\x00", 2);
    rig.client->next_id = 3;
    rig_send_bytes(&rig, rig.client, out.p, out.size);
    check_bad(2);
    buf_deinit(&out);
    check_alive();
}
END_TEST

/* Larger than message_size_max: nanomsg cuts the connection, others are served. */
START_TEST(test_oversized)
{
    struct client *hostile = client_new(rig.url, 77);
    uint8_t *bytes = calloc(1, NANO_MESSAGE_SIZE_MIN + 4096);
    rig_send_bytes(&rig, hostile, bytes, NANO_MESSAGE_SIZE_MIN + 4096);
    uint64_t received = rig_stats(&rig).received;
    check_alive();
    check_alive();
    ck_assert_uint_le(rig_stats(&rig).received, received + 4);
    ck_assert_uint_eq(rig_stats(&rig).dropped, 0);
    client_free(hostile);
    free(bytes);
}
END_TEST

struct lie {
    uint32_t sizes[3];
    size_t raw_size;
};
static const struct lie lies[] = {
    {{0, 0, 0}, 1},
    {{5, 5, 5}, 14},
    {{5, 5, 5}, 16},
    {{UINT32_MAX, 1, 0}, 16},
    {{UINT32_MAX, UINT32_MAX, 18}, 16},
    {{16, 1, 0}, 16},
};

START_TEST(test_item_sizes_that_lie)
{
    Kauri__Call call;
    Kauri__Produce produce;
    Kauri__ProduceItem items[3];
    Kauri__ProduceItem *list[] = {&items[0], &items[1], &items[2]};
    uint8_t raw[16] = {0};
    kauri__produce__init(&produce);
    produce.acks = 1;
    produce.items = list;
    produce.n_items = 3;
    for (int i = 0; i < 3; i++) {
        kauri__produce_item__init(&items[i]);
        items[i].topic = frame_borrow("t");
        items[i].size = lies[_i].sizes[i];
    }
    client_call(rig.client, &call, KAURI__CALL__CALL_PRODUCE);
    call.produce = &produce;
    check_bad(rig_send(&rig, rig.client, &call, slice_of(raw, lies[_i].raw_size)));
    check_alive();
}
END_TEST

static uint64_t send_fetch_of(size_t count, struct slice raw)
{
    Kauri__Call call;
    Kauri__Fetch fetch;
    Kauri__FetchItem item;
    Kauri__FetchItem **items = malloc((count + 1) * sizeof *items);
    kauri__fetch__init(&fetch);
    kauri__fetch_item__init(&item);
    item.topic = frame_borrow("t");
    for (size_t i = 0; i < count; i++)
        items[i] = &item;
    fetch.items = items;
    fetch.n_items = count;
    client_call(rig.client, &call, KAURI__CALL__CALL_FETCH);
    call.fetch = &fetch;
    uint64_t id = rig_send(&rig, rig.client, &call, raw);
    free(items);
    return id;
}

START_TEST(test_item_counts)
{
    check_bad(send_fetch_of(0, SLICE_NULL));
    check_bad(send_fetch_of(NANO_ITEMS_MAX + 1, SLICE_NULL));
    check_bad(send_fetch_of(1, slice_str("raw")));
    const Kauri__Answer *a =
        rig_answer(&rig, rig.client, send_fetch_of(NANO_ITEMS_MAX, SLICE_NULL));
    ck_assert_int_eq(a->status, KAURI__STATUS__OK);
    ck_assert_uint_eq(a->fetch->n_results, NANO_ITEMS_MAX);
    check_alive();
}
END_TEST

START_TEST(test_fields_out_of_bounds)
{
    Kauri__Call call;
    Kauri__ListOffsets offsets;
    Kauri__ListOffsetsItem item;
    Kauri__ListOffsetsItem *items = &item;
    Kauri__TopicTrim trim;
    check_bad(rig_produce(&rig, rig.client, 2, slice_str("x")));
    check_bad(rig_produce(&rig, rig.client, -2, slice_str("x")));

    kauri__list_offsets__init(&offsets);
    kauri__list_offsets_item__init(&item);
    item.timestamp_ms = -4;
    offsets.items = &items;
    offsets.n_items = 1;
    client_call(rig.client, &call, KAURI__CALL__CALL_LIST_OFFSETS);
    call.list_offsets = &offsets;
    check_bad(rig_send(&rig, rig.client, &call, SLICE_NULL));

    kauri__topic_trim__init(&trim);
    trim.before = -2;
    client_call(rig.client, &call, KAURI__CALL__CALL_TOPIC_TRIM);
    call.topic_trim = &trim;
    check_bad(rig_send(&rig, rig.client, &call, SLICE_NULL));
    check_alive();
}
END_TEST

START_TEST(test_hello_refused)
{
    static char name[NANO_CLIENT_SIZE_MAX + 2];
    Kauri__Call call;
    Kauri__Hello hello;
    kauri__hello__init(&hello);
    hello.version = 2;
    client_call(rig.client, &call, KAURI__CALL__CALL_HELLO);
    call.hello = &hello;
    const Kauri__Answer *a =
        rig_answer(&rig, rig.client, rig_send(&rig, rig.client, &call, SLICE_NULL));
    ck_assert_int_eq(a->status, KAURI__STATUS__UNSUPPORTED_VERSION);

    memset(name, 'x', NANO_CLIENT_SIZE_MAX + 1);
    hello.version = 1;
    hello.client = name;
    client_call(rig.client, &call, KAURI__CALL__CALL_HELLO);
    call.hello = &hello;
    check_bad(rig_send(&rig, rig.client, &call, SLICE_NULL));

    /* session 0 is nobody's */
    uint64_t dropped = rig_stats(&rig).dropped;
    call.session = 0;
    hello.client = frame_borrow("x");
    rig_send(&rig, rig.client, &call, SLICE_NULL);
    RIG_UNTIL(&rig, rig_stats(&rig).dropped == dropped + 1);
    ck_assert_uint_eq(rig_stats(&rig).sessions, 1);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("hostile");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_random_bytes);
    tcase_add_test(tc, test_flipped_bytes);
    tcase_add_test(tc, test_truncated);
    tcase_add_test(tc, test_malformed_is_answered);
    tcase_add_test(tc, test_no_call);
    tcase_add_test(tc, test_hostile_submessages_hit_the_budget);
    tcase_add_test(tc, test_oversized);
    tcase_add_loop_test(tc, test_item_sizes_that_lie, 0, sizeof lies / sizeof *lies);
    tcase_add_test(tc, test_item_counts);
    tcase_add_test(tc, test_fields_out_of_bounds);
    tcase_add_test(tc, test_hello_refused);
    Suite *s = suite_create("net/nano_hostile");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
