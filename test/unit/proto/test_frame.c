/* SPDX-License-Identifier: MIT
 *
 * test_frame: the message layout, the budget of the parse, and reading session and id out of what
 * does not parse.
 */
#include <check.h>
#include <stdlib.h>

#include "engine/base/random.h"
#include "proto/frame.h"
#include "proto/kauri.pb-c.h"

#define BUDGET (64 * 1024)

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, BUDGET);
}

static void teardown(void)
{
    arena_deinit(&arena);
}

static int unpack(struct slice header, Kauri__Call **out)
{
    ProtobufCMessage *m = NULL;
    int r = frame_unpack(&kauri__call__descriptor, header, &arena, &m);
    *out = (Kauri__Call *)m;
    return r;
}

START_TEST(test_split_bounds)
{
    uint8_t m[16] = {5, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7};
    struct frame f;
    for (size_t size = 0; size < 9; size++)
        ck_assert_int_eq(frame_split(slice_of(m, size), &f), FRAME_SHORT);
    ck_assert_int_eq(frame_split(slice_of(m, 9), &f), 0);
    ck_assert_uint_eq(f.header.size, 5);
    ck_assert_uint_eq(f.raw.size, 0);
    ck_assert_int_eq(frame_split(slice_of(m, 11), &f), 0);
    ck_assert_ptr_eq(f.header.p, m + 4);
    ck_assert_ptr_eq(f.raw.p, m + 9);
    ck_assert_uint_eq(f.raw.size, 2);
    bytes_put_le32(m, UINT32_MAX);
    ck_assert_int_eq(frame_split(slice_of(m, sizeof m), &f), FRAME_SHORT);
    ck_assert_int_eq(frame_split(SLICE_NULL, &f), FRAME_SHORT);
}
END_TEST

START_TEST(test_pack_and_unpack)
{
    Kauri__Call call;
    Kauri__ProduceItem item;
    Kauri__ProduceItem *items[] = {&item};
    Kauri__Produce produce;
    kauri__call__init(&call);
    kauri__produce__init(&produce);
    kauri__produce_item__init(&item);
    item.topic = frame_borrow("greetings");
    item.size = 3;
    produce.acks = -1;
    produce.items = items;
    produce.n_items = 1;
    call.session = UINT64_MAX;
    call.id = 7;
    call.call_case = KAURI__CALL__CALL_PRODUCE;
    call.produce = &produce;

    struct buf out = {0};
    struct frame f;
    Kauri__Call *back;
    frame_pack(&call.base, slice_of("abc", 3), &out);
    ck_assert_int_eq(frame_split(buf_slice(&out), &f), 0);
    ck_assert(slice_equal(f.raw, slice_str("abc")));
    ck_assert_int_eq(unpack(f.header, &back), 0);
    memset(out.p, 0xff, out.size); /* the parsed message does not point into it */
    ck_assert(back->session == UINT64_MAX && back->id == 7);
    ck_assert_int_eq(back->call_case, KAURI__CALL__CALL_PRODUCE);
    ck_assert_int_eq(back->produce->acks, -1);
    ck_assert_str_eq(back->produce->items[0]->topic, "greetings");
    buf_deinit(&out);
}
END_TEST

/* KeyValue.value: absent, empty and set are three things. */
START_TEST(test_value_presence)
{
    static const char *const values[] = {NULL, "", "x"};
    for (size_t i = 0; i < 3; i++) {
        Kauri__KeyValue kv;
        ProtobufCMessage *m;
        struct buf out = {0};
        struct frame f;
        kauri__key_value__init(&kv);
        kv.key = frame_borrow("k");
        if (values[i] != NULL) {
            kv.maybe_case = KAURI__KEY_VALUE__MAYBE_VALUE;
            kv.value = frame_borrow(values[i]);
        }
        frame_pack(&kv.base, SLICE_NULL, &out);
        ck_assert_int_eq(frame_split(buf_slice(&out), &f), 0);
        ck_assert_int_eq(frame_unpack(&kauri__key_value__descriptor, f.header, &arena, &m), 0);
        const Kauri__KeyValue *back = (const Kauri__KeyValue *)m;
        ck_assert((back->maybe_case == KAURI__KEY_VALUE__MAYBE_VALUE) == (values[i] != NULL));
        if (values[i] != NULL)
            ck_assert_str_eq(back->value, values[i]);
        buf_deinit(&out);
    }
}
END_TEST

/* A produce of `count` empty items: two bytes each, dozens of bytes in memory. */
static struct slice hostile_items(uint8_t *to, size_t count)
{
    size_t body = 2 * count;
    size_t size = 0;
    uint8_t varint[BYTES_VARINT_MAX];
    size_t varint_size = 0;
    for (size_t v = body; varint_size == 0 || v > 0; v >>= 7)
        varint[varint_size++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
    to[size++] = 0x62; /* field 12, bytes */
    memcpy(to + size, varint, varint_size);
    size += varint_size;
    for (size_t i = 0; i < count; i++) {
        to[size++] = 0x1a; /* field 3, bytes */
        to[size++] = 0x00;
    }
    return slice_of(to, size);
}

START_TEST(test_budget_refuses_repeated_submessages)
{
    Kauri__Call *call;
    uint8_t *bytes = malloc(1024 * 1024);
    ck_assert_int_eq(unpack(hostile_items(bytes, 100), &call), 0);
    ck_assert_uint_eq(call->produce->n_items, 100);
    arena_reset(&arena);
    ck_assert_int_eq(unpack(hostile_items(bytes, 500000), &call), FRAME_BAD);
    ck_assert_uint_le(arena.used, BUDGET);
    free(bytes);
}
END_TEST

START_TEST(test_budget_refuses_unknown_fields)
{
    Kauri__Call *call;
    uint8_t *bytes = malloc(200000);
    for (size_t i = 0; i < 200000; i += 2) {
        bytes[i] = 0x48; /* field 9, varint: nobody's */
        bytes[i + 1] = 1;
    }
    ck_assert_int_eq(unpack(slice_of(bytes, 100), &call), 0);
    arena_reset(&arena);
    ck_assert_int_eq(unpack(slice_of(bytes, 200000), &call), FRAME_BAD);
    ck_assert_uint_le(arena.used, BUDGET);
    free(bytes);
}
END_TEST

START_TEST(test_truncated_never_parses_to_more)
{
    uint8_t bytes[512];
    Kauri__Call *call;
    struct slice whole = hostile_items(bytes, 60);
    for (size_t size = 1; size < whole.size; size++) {
        ck_assert_int_eq(unpack(slice_of(bytes, size), &call), FRAME_BAD);
        arena_reset(&arena);
    }
    ck_assert_int_eq(unpack(SLICE_NULL, &call), 0); /* empty is a message of defaults */
}
END_TEST

START_TEST(test_random_bytes)
{
    struct random random;
    uint8_t bytes[64];
    random_init(&random, 5);
    for (int round = 0; round < 20000; round++) {
        Kauri__Call *call;
        uint64_t session = 0;
        uint64_t id = 0;
        size_t size = random_below(&random, sizeof bytes);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)random_u64(&random);
        struct slice in = slice_of(bytes, size);
        int r = unpack(in, &call);
        ck_assert(r == 0 || r == FRAME_BAD);
        if (frame_peek(in, &session, &id) == 0)
            ck_assert(session != 0 && id != 0);
        arena_reset(&arena);
    }
}
END_TEST

START_TEST(test_peek)
{
    uint64_t session = 0;
    uint64_t id = 0;
    /* session 300, id 5, then garbage */
    uint8_t good[] = {0x08, 0xac, 0x02, 0x10, 0x05, 0xff, 0xff};
    ck_assert_int_eq(frame_peek(slice_of(good, sizeof good), &session, &id), 0);
    ck_assert(session == 300 && id == 5);
    /* behind other fields of every wire type */
    uint8_t far[] = {0x62, 2, 1, 1, 0x6d, 1, 2,    3, 4,    0x71, 1,    2,
                     3,    4, 5, 6, 7,    8, 0x20, 1, 0x10, 6,    0x08, 9};
    ck_assert_int_eq(frame_peek(slice_of(far, sizeof far), &session, &id), 0);
    ck_assert(session == 9 && id == 6);
    for (size_t size = 0; size < sizeof far; size++)
        ck_assert_int_eq(frame_peek(slice_of(far, size), &session, &id), FRAME_BAD);
    uint8_t lies[] = {0x62, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x08, 1};
    ck_assert_int_eq(frame_peek(slice_of(lies, sizeof lies), &session, &id), FRAME_BAD);
    uint8_t endless[] = {0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                         0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01};
    ck_assert_int_eq(frame_peek(slice_of(endless, sizeof endless), &session, &id), FRAME_BAD);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("frame");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_split_bounds);
    tcase_add_test(tc, test_pack_and_unpack);
    tcase_add_test(tc, test_value_presence);
    tcase_add_test(tc, test_budget_refuses_repeated_submessages);
    tcase_add_test(tc, test_budget_refuses_unknown_fields);
    tcase_add_test(tc, test_truncated_never_parses_to_more);
    tcase_add_test(tc, test_random_bytes);
    tcase_add_test(tc, test_peek);
    Suite *s = suite_create("proto/frame");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
