/* SPDX-License-Identifier: MIT
 *
 * test_group_record: what Apache's own classes wrote (record_golden.h) is read to the field and
 * written again to the byte; records that are cut off, overlong, lying or turned over by a bit are
 * told, never overread. Each input lies in memory of just its size, so that the address sanitizer
 * sees the first byte too far.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "engine/base/random.h"
#include "test/unit/broker/record_golden.h"
#include "test/unit/broker/record_pass.h"

#define TIME_MS 1700000000123

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, 0);
}

static void teardown(void)
{
    arena_deinit(&arena);
}

static uint8_t nibble(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Bytes of a hex text in the test's arena. */
static struct slice unhex(const char *hex)
{
    size_t size = strlen(hex) / 2;
    uint8_t *p = arena_alloc(&arena, size);
    for (size_t i = 0; i < size; i++)
        p[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
    return slice_of(p, size);
}

static struct slice golden(const char *name)
{
    for (size_t i = 0; i < RECORD_GOLDEN_COUNT; i++) {
        if (strcmp(record_golden[i].name, name) == 0)
            return unhex(record_golden[i].hex);
    }
    ck_abort_msg("no golden record %s", name);
}

/* Decodes and encodes bytes from a heap block of just their size. */
static int pass(int kind, struct slice in, struct buf *out)
{
    uint8_t *exact CLEANUP(cleanup_free) = malloc(in.size);
    ck_assert(exact != NULL || in.size == 0);
    static const uint8_t none;
    if (in.size > 0)
        memcpy(exact, in.p, in.size);
    struct slice s = slice_of(in.size > 0 ? exact : &none, in.size);
    if (kind == RECORD_GOLDEN_KEY)
        return record_pass_key(s, out);
    return record_pass_value((enum group_record_kind)kind, s, &arena, out);
}

static int pass_hex(int kind, const char *hex)
{
    struct buf out CLEANUP(buf_deinit) = {0};
    return pass(kind, unhex(hex), &out);
}

static void assert_str(struct slice s, const char *want)
{
    ck_assert_ptr_nonnull(s.p);
    ck_assert_msg(slice_equal(s, slice_str(want)), "%.*s, not %s", (int)s.size, (const char *)s.p,
                  want);
}

static void assert_bytes(struct slice s, const char *hex)
{
    ck_assert_ptr_nonnull(s.p);
    ck_assert(slice_equal(s, unhex(hex)));
}

/* The id that counts up from `first`. */
static void assert_id(const uint8_t id[16], int first)
{
    for (int i = 0; i < 16; i++)
        ck_assert_int_eq(id[i], first == 0 ? 0 : first + i);
}

static void assert_written(const struct buf *out, const char *name)
{
    ck_assert_msg(slice_equal(buf_slice(out), golden(name)), "not the bytes of %s", name);
}

struct key_case {
    const char *name;
    enum group_record_kind kind;
    const char *topic, *member, *regex; /* NULL: null */
};

START_TEST(keys_are_apaches)
{
    static const struct key_case cases[GROUP_RECORD_KIND_COUNT] = {
        {"key_offset_commit", GROUP_RECORD_OFFSET_COMMIT, "topic", NULL, NULL},
        {"key_classic_group", GROUP_RECORD_CLASSIC_GROUP, NULL, NULL, NULL},
        {"key_consumer_group", GROUP_RECORD_CONSUMER_GROUP, NULL, NULL, NULL},
        {"key_topic_metadata", GROUP_RECORD_TOPIC_METADATA, NULL, NULL, NULL},
        {"key_consumer_member", GROUP_RECORD_CONSUMER_MEMBER, NULL, "m-1", NULL},
        {"key_target_epoch", GROUP_RECORD_TARGET_EPOCH, NULL, NULL, NULL},
        {"key_target_member", GROUP_RECORD_TARGET_MEMBER, NULL, "m-1", NULL},
        {"key_current_member", GROUP_RECORD_CURRENT_MEMBER, NULL, "m-1", NULL},
        {"key_regex", GROUP_RECORD_REGEX, NULL, NULL, "f.*"},
    };
    const struct key_case *c = &cases[_i];
    struct buf out CLEANUP(buf_deinit) = {0};
    struct group_record_key key, want = {.kind = c->kind, .group = slice_str("group")};
    if (c->topic != NULL) {
        want.topic = slice_str(c->topic);
        want.partition = 258;
    }
    if (c->member != NULL)
        want.member = slice_str(c->member);
    if (c->regex != NULL)
        want.regex = slice_str(c->regex);
    group_record_key_encode(&want, &out);
    assert_written(&out, c->name);
    ck_assert_int_eq(group_record_key_decode(golden(c->name), &key), 0);
    ck_assert_int_eq(key.kind, c->kind);
    ck_assert(slice_equal(key.group, want.group));
    ck_assert(slice_equal(key.topic, want.topic));
    ck_assert(slice_equal(key.member, want.member));
    ck_assert(slice_equal(key.regex, want.regex));
    ck_assert_int_eq(key.partition, want.partition);
}
END_TEST

/* Worked out by hand: the layout of key 1 under the number 0. */
START_TEST(old_key_of_a_commit_is_read)
{
    struct group_record_key key;
    struct slice in = unhex("0000000567726f75700005746f70696300000102");
    ck_assert_int_eq(group_record_key_decode(in, &key), 0);
    ck_assert_int_eq(key.kind, GROUP_RECORD_OFFSET_COMMIT);
    assert_str(key.group, "group");
    assert_str(key.topic, "topic");
    ck_assert_int_eq(key.partition, 258);
}
END_TEST

/* Share groups have 9 to 15, streams groups 17 to 23; what will come is not known. */
START_TEST(other_keys_are_unknown)
{
    for (int number = INT16_MIN; number <= INT16_MAX; number++) {
        uint8_t in[9] = {0, 0, 0, 5, 'g', 'r', 'o', 'u', 'p'};
        struct group_record_key key;
        bool ours = (number >= 0 && number <= 8) || number == 16;
        bytes_put_be16(in, (uint16_t)number);
        int r = group_record_key_decode(slice_of(in, sizeof in), &key);
        ck_assert_int_eq(r == GROUP_RECORD_UNKNOWN, !ours);
    }
    struct group_record_key key;
    ck_assert_int_eq(group_record_key_decode(SLICE_NULL, &key), GROUP_RECORD_DAMAGED);
}
END_TEST

START_TEST(commits_of_every_version)
{
    char name[32];
    struct group_record_offset v;
    (void)snprintf(name, sizeof name, "offset_%d", _i);
    ck_assert_int_eq(group_record_offset_decode(golden(name), &v), 0);
    ck_assert_int_eq(v.offset, 0x0102030405060708);
    ck_assert_int_eq(v.leader_epoch, _i >= 3 ? 9 : -1);
    assert_str(v.metadata, "meta");
    ck_assert_int_eq(v.commit_ms, TIME_MS);
    ck_assert_int_eq(v.expire_ms, _i == 1 ? TIME_MS + 86400000 : -1);
    assert_id(v.topic_id, 0);
    struct buf out CLEANUP(buf_deinit) = {0};
    v.leader_epoch = 9; /* what 0 to 2 do not tell */
    group_record_offset_encode(&v, &out);
    assert_written(&out, _i == 1 ? "offset_1" : "offset_3");
}
END_TEST

START_TEST(commits_with_little_and_with_a_topic)
{
    struct group_record_offset v = {.leader_epoch = -1}; /* a null text is written as empty */
    struct buf out CLEANUP(buf_deinit) = {0};
    group_record_offset_encode(&v, &out);
    assert_written(&out, "offset_plain");
    ck_assert_int_eq(group_record_offset_decode(golden("offset_plain"), &v), 0);
    assert_str(v.metadata, "");
    ck_assert_int_eq(v.leader_epoch, -1);
    ck_assert_int_eq(group_record_offset_decode(golden("offset_4_topic"), &v), 0);
    ck_assert_int_eq(v.offset, 5);
    ck_assert_int_eq(v.commit_ms, 6);
    assert_id(v.topic_id, 16);
}
END_TEST

START_TEST(classic_groups_of_every_version)
{
    char name[32];
    struct group_record_classic v;
    (void)snprintf(name, sizeof name, "classic_%d", _i);
    ck_assert_int_eq(group_record_classic_decode(golden(name), &arena, &v), 0);
    assert_str(v.protocol_type, "consumer");
    ck_assert_int_eq(v.generation, 7);
    assert_str(v.protocol, "range");
    assert_str(v.leader, "m-1");
    ck_assert_int_eq(v.state_ms, _i >= 2 ? TIME_MS : -1);
    ck_assert_uint_eq(v.member_count, 2);
    struct group_record_classic_member *a = &v.members[0], *b = &v.members[1];
    assert_str(a->member, "m-1");
    if (_i >= 3)
        assert_str(a->instance, "i-1");
    ck_assert_int_eq(a->instance.p == NULL, _i < 3);
    assert_str(a->client_id, "c");
    assert_str(a->client_host, "/127.0.0.1");
    ck_assert_int_eq(a->rebalance_ms, _i >= 1 ? 300000 : -1);
    ck_assert_int_eq(a->session_ms, 45000);
    assert_bytes(a->subscription, "000102");
    assert_bytes(a->assignment, "feff");
    assert_str(b->member, "m-2");
    ck_assert_ptr_null(b->instance.p);
    assert_str(b->client_id, "");
    assert_str(b->client_host, "/::1");
    ck_assert_int_eq(b->rebalance_ms, _i >= 1 ? 60000 : -1);
    ck_assert_int_eq(b->session_ms, 10000);
    assert_bytes(b->subscription, "");
    assert_bytes(b->assignment, "");
    struct buf out CLEANUP(buf_deinit) = {0};
    v.state_ms = TIME_MS; /* what the older ones do not tell */
    a->instance = slice_str("i-1");
    a->rebalance_ms = 300000;
    b->rebalance_ms = 60000;
    group_record_classic_encode(&v, &out);
    assert_written(&out, "classic_3");
}
END_TEST

START_TEST(classic_group_without_members)
{
    struct group_record_classic v = {.state_ms = -1};
    struct buf out CLEANUP(buf_deinit) = {0};
    group_record_classic_encode(&v, &out);
    assert_written(&out, "classic_empty");
    ck_assert_int_eq(group_record_classic_decode(golden("classic_empty"), &arena, &v), 0);
    assert_str(v.protocol_type, "");
    ck_assert_ptr_null(v.protocol.p);
    ck_assert_ptr_null(v.leader.p);
    ck_assert_uint_eq(v.member_count, 0);
    ck_assert_int_eq(v.state_ms, -1);
}
END_TEST

START_TEST(epochs_with_and_without_their_tag)
{
    struct group_record_consumer group = {.epoch = 10};
    struct group_record_target target = {.epoch = 10};
    struct buf out CLEANUP(buf_deinit) = {0};
    group_record_consumer_encode(&group, &out);
    assert_written(&out, "consumer");
    buf_reset(&out);
    group.metadata_hash = -2;
    group_record_consumer_encode(&group, &out);
    assert_written(&out, "consumer_hash");
    buf_reset(&out);
    group_record_target_encode(&target, &out);
    assert_written(&out, "target");
    buf_reset(&out);
    target.assigned_ms = TIME_MS;
    group_record_target_encode(&target, &out);
    assert_written(&out, "target_time");

    ck_assert_int_eq(group_record_consumer_decode(golden("consumer"), &group), 0);
    ck_assert_int_eq(group.epoch, 10);
    ck_assert_int_eq(group.metadata_hash, 0);
    ck_assert_int_eq(group_record_consumer_decode(golden("consumer_hash"), &group), 0);
    ck_assert_int_eq(group.metadata_hash, -2);
    ck_assert_int_eq(group_record_target_decode(golden("target"), &target), 0);
    ck_assert_int_eq(target.epoch, 10);
    ck_assert_int_eq(target.assigned_ms, 0);
    ck_assert_int_eq(group_record_target_decode(golden("target_time"), &target), 0);
    ck_assert_int_eq(target.assigned_ms, TIME_MS);
}
END_TEST

START_TEST(consumer_members)
{
    struct group_record_consumer_member v;
    ck_assert_int_eq(group_record_consumer_member_decode(golden("consumer_member"), &arena, &v), 0);
    assert_str(v.instance, "i-1");
    assert_str(v.rack, "r");
    assert_str(v.client_id, "c");
    assert_str(v.client_host, "/127.0.0.1");
    ck_assert_uint_eq(v.topic_count, 2);
    assert_str(v.topics[0], "bar");
    assert_str(v.topics[1], "foo");
    assert_str(v.regex, "f.*");
    ck_assert_int_eq(v.rebalance_ms, 300000);
    assert_str(v.assignor, "uniform");
    ck_assert(!v.classic);

    ck_assert_int_eq(
        group_record_consumer_member_decode(golden("consumer_member_plain"), &arena, &v), 0);
    ck_assert(v.instance.p == NULL && v.rack.p == NULL && v.regex.p == NULL);
    ck_assert_ptr_null(v.assignor.p);
    assert_str(v.client_id, "");
    ck_assert_uint_eq(v.topic_count, 0);
    ck_assert_int_eq(v.rebalance_ms, -1);

    ck_assert_int_eq(
        group_record_consumer_member_decode(golden("consumer_member_classic"), &arena, &v), 0);
    ck_assert(v.classic);
    ck_assert_int_eq(v.session_ms, 45000);
    ck_assert_uint_eq(v.protocol_count, 2);
    assert_str(v.protocols[0].name, "range");
    assert_bytes(v.protocols[0].metadata, "000102");
    assert_str(v.protocols[1].name, "sticky");
    assert_bytes(v.protocols[1].metadata, "");

    ck_assert_int_eq(
        group_record_consumer_member_decode(golden("consumer_member_long"), &arena, &v), 0);
    ck_assert_uint_eq(v.client_id.size, 130);
    ck_assert_uint_eq(v.protocols[0].metadata.size, 200);
    ck_assert_int_eq(v.protocols[0].metadata.p[199], 199);
}
END_TEST

START_TEST(assignments)
{
    struct group_record_target_member target;
    struct group_record_current_member v;
    ck_assert_int_eq(group_record_target_member_decode(golden("target_member"), &arena, &target),
                     0);
    ck_assert_uint_eq(target.topic_count, 2);
    assert_id(target.topics[0].id, 16);
    ck_assert_uint_eq(target.topics[0].partition_count, 3);
    ck_assert_int_eq(target.topics[0].partitions[1], 1);
    ck_assert_int_eq(target.topics[0].partitions[2], 258);
    ck_assert_ptr_null(target.topics[0].epochs);
    assert_id(target.topics[1].id, 64);
    ck_assert_uint_eq(target.topics[1].partition_count, 0);

    ck_assert_int_eq(group_record_current_member_decode(golden("current_member"), &arena, &v), 0);
    ck_assert_int_eq(v.epoch, 10);
    ck_assert_int_eq(v.previous_epoch, 9);
    ck_assert_int_eq(v.state, GROUP_RECORD_UNREVOKED);
    ck_assert_uint_eq(v.assigned_count, 1);
    ck_assert_uint_eq(v.assigned[0].partition_count, 2);
    ck_assert_int_eq(v.assigned[0].partitions[1], 1);
    ck_assert_ptr_null(v.assigned[0].epochs);
    ck_assert_uint_eq(v.pending_count, 1);
    assert_id(v.pending[0].id, 64);
    ck_assert_int_eq(v.pending[0].partitions[0], 2);

    ck_assert_int_eq(
        group_record_current_member_decode(golden("current_member_epochs"), &arena, &v), 0);
    ck_assert_int_eq(v.state, GROUP_RECORD_UNRELEASED);
    ck_assert_int_eq(v.assigned[0].epochs[0], 8);
    ck_assert_int_eq(v.assigned[0].epochs[1], 9);
    ck_assert_uint_eq(v.pending_count, 0);
}
END_TEST

/* A golden record in the version that we write comes out as it went in. */
START_TEST(every_golden_record_passes)
{
    const struct record_golden *g = &record_golden[_i];
    struct buf out CLEANUP(buf_deinit) = {0};
    struct slice in = unhex(g->hex);
    ck_assert_int_eq(pass(g->kind, in, &out), 0);
    ck_assert_uint_gt(out.size, 2);
    if (g->kind == RECORD_GOLDEN_KEY || memcmp(in.p, out.p, 2) == 0)
        assert_written(&out, g->name);
    else
        ck_assert_int_eq(bytes_be16(out.p), 3);
}
END_TEST

START_TEST(every_cut_is_damage)
{
    const struct record_golden *g = &record_golden[_i];
    struct buf out CLEANUP(buf_deinit) = {0};
    struct slice in = unhex(g->hex);
    for (size_t size = 0; size < in.size; size++)
        ck_assert_int_eq(pass(g->kind, slice_of(in.p, size), &out), GROUP_RECORD_DAMAGED);
    struct buf more CLEANUP(buf_deinit) = {0};
    buf_append(&more, in.p, in.size);
    buf_append_u8(&more, 0);
    ck_assert_int_eq(pass(g->kind, buf_slice(&more), &out), GROUP_RECORD_DAMAGED);
    ck_assert_uint_eq(out.size, 0);
}
END_TEST

/* What is still read after some bytes were changed is written and read again as the same. */
START_TEST(changed_bytes_never_overrun)
{
    const struct record_golden *g = &record_golden[_i];
    struct buf in CLEANUP(buf_deinit) = {0}, out CLEANUP(buf_deinit) = {0};
    struct buf again CLEANUP(buf_deinit) = {0};
    struct random random;
    struct slice whole = unhex(g->hex);
    int passed = 0;
    random_init(&random, 7 + (uint64_t)_i);
    for (int round = 0; round < 3000; round++) {
        buf_reset(&in);
        buf_reset(&out);
        buf_reset(&again);
        buf_append(&in, whole.p, whole.size);
        for (uint64_t n = random_below(&random, 3) + 1; n > 0; n--)
            in.p[random_below(&random, in.size)] ^= (uint8_t)(1 << random_below(&random, 8));
        arena_reset(&arena);
        int r = pass(g->kind, buf_slice(&in), &out);
        ck_assert(r >= 0 && r <= GROUP_RECORD_DAMAGED);
        ck_assert(arena.used <= 16 * in.size + 32);
        if (r == 0) {
            ck_assert_int_eq(pass(g->kind, buf_slice(&out), &again), 0);
            ck_assert(slice_equal(buf_slice(&out), buf_slice(&again)));
            passed++;
        }
        whole = unhex(g->hex);
    }
    ck_assert_int_gt(passed, 0); /* the flips of values, not of sizes */
}
END_TEST

START_TEST(other_versions_are_unknown)
{
    static const char *const numbers[] = {"ffff", "8000", "0001", "0005", "7fff"};
    for (int kind = 0; kind < GROUP_RECORD_KIND_COUNT; kind++) {
        bool old = kind == GROUP_RECORD_OFFSET_COMMIT || kind == GROUP_RECORD_CLASSIC_GROUP;
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
            if (old && strcmp(numbers[i], "0001") == 0)
                ck_assert_int_eq(pass_hex(kind, numbers[i]), GROUP_RECORD_DAMAGED);
            else
                ck_assert_int_eq(pass_hex(kind, numbers[i]), GROUP_RECORD_UNKNOWN);
        }
    }
}
END_TEST

struct shape {
    const char *what;
    enum group_record_kind kind;
    const char *hex;
    int want;
};

/* Worked out by hand from the layout in group_record_wire.c. */
static const struct shape shapes[] = {
    {"unknown tags 1 and 200, 5 bytes and 0", GROUP_RECORD_CONSUMER_GROUP,
     "00000000000a0201050102030405c80100", 0},
    {"tag 0 and an unknown one", GROUP_RECORD_CONSUMER_GROUP,
     "00000000000a020008fffffffffffffffe0300", 0},
    {"tags that fall", GROUP_RECORD_CONSUMER_GROUP, "00000000000a0202000100", GROUP_RECORD_DAMAGED},
    {"the same tag twice", GROUP_RECORD_CONSUMER_GROUP, "00000000000a0201000100",
     GROUP_RECORD_DAMAGED},
    {"a hash of 7 bytes", GROUP_RECORD_CONSUMER_GROUP, "00000000000a0100070000000000000a",
     GROUP_RECORD_DAMAGED},
    {"a hash of 9 bytes", GROUP_RECORD_CONSUMER_GROUP, "00000000000a010009000000000000000a00",
     GROUP_RECORD_DAMAGED},
    {"a tag longer than the record", GROUP_RECORD_CONSUMER_GROUP, "00000000000a010105aa",
     GROUP_RECORD_DAMAGED},
    {"a count of tags without tags", GROUP_RECORD_CONSUMER_GROUP, "00000000000affffffff0f",
     GROUP_RECORD_DAMAGED},
    {"a varint past 32 bits", GROUP_RECORD_CONSUMER_GROUP, "00000000000a8080808010",
     GROUP_RECORD_DAMAGED},
    {"a varint of six bytes", GROUP_RECORD_CONSUMER_GROUP, "00000000000a808080808000",
     GROUP_RECORD_DAMAGED},
    {"0 in two bytes: no tag", GROUP_RECORD_CONSUMER_GROUP, "00000000000a8000", 0},
    {"null metadata", GROUP_RECORD_OFFSET_COMMIT, "00000000000000000001ffff0000000000000002",
     GROUP_RECORD_DAMAGED},
    {"metadata of size -2", GROUP_RECORD_OFFSET_COMMIT, "00000000000000000001fffe0000000000000002",
     GROUP_RECORD_DAMAGED},
    {"null metadata, flexible", GROUP_RECORD_OFFSET_COMMIT,
     "0004000000000000000100000000000000000000000200", GROUP_RECORD_DAMAGED},
    {"a topic of 15 bytes", GROUP_RECORD_OFFSET_COMMIT,
     "000400000000000000010000000001000000000000000201000f0102030405060708090a0b0c0d0e0f",
     GROUP_RECORD_DAMAGED},
    {"null list of members", GROUP_RECORD_CLASSIC_GROUP, "0000000000000000ffffffffffffffff",
     GROUP_RECORD_DAMAGED},
    {"no list", GROUP_RECORD_CLASSIC_GROUP, "0000000000000000ffffffff00000000", 0},
    {"2^31 - 1 members", GROUP_RECORD_CLASSIC_GROUP, "0000000000000000ffffffff7fffffff",
     GROUP_RECORD_DAMAGED},
    {"null subscription", GROUP_RECORD_CLASSIC_GROUP,
     "0000000000000000ffffffff0000000100016d0000000000000000ffffffff00000000",
     GROUP_RECORD_DAMAGED},
    {"empty subscription", GROUP_RECORD_CLASSIC_GROUP,
     "0000000000000000ffffffff0000000100016d00000000000000000000000000000000", 0},
    {"null name of a topic", GROUP_RECORD_CONSUMER_MEMBER, "000000000101020000000000000000",
     GROUP_RECORD_DAMAGED},
    {"null classic part, told", GROUP_RECORD_CONSUMER_MEMBER, "0000000001010100ffffffff00010001ff",
     0},
    {"null classic part and more", GROUP_RECORD_CONSUMER_MEMBER,
     "0000000001010100ffffffff00010002ff00", GROUP_RECORD_DAMAGED},
    {"2^32 - 2 topics", GROUP_RECORD_TARGET_MEMBER, "0000ffffffff0f00", GROUP_RECORD_DAMAGED},
    {"null list of topics", GROUP_RECORD_TARGET_MEMBER, "00000000", GROUP_RECORD_DAMAGED},
    {"unknown tags in the topic and behind", GROUP_RECORD_TARGET_MEMBER,
     "000002101112131415161718191a1b1c1d1e1f02000000070105010901040100", 0},
    {"two partitions, one epoch", GROUP_RECORD_CURRENT_MEMBER,
     "00000000000a000000090202101112131415161718191a1b1c1d1e1f03000000000000000101000502000000"
     "080100",
     GROUP_RECORD_DAMAGED},
    {"null epochs, told", GROUP_RECORD_CURRENT_MEMBER,
     "00000000000a000000090202101112131415161718191a1b1c1d1e1f0300000000000000010100010001"
     "00",
     0},
};

START_TEST(shapes_are_judged)
{
    const struct shape *s = &shapes[_i];
    int r = pass_hex((int)s->kind, s->hex);
    ck_assert_msg(r == s->want, "%s: %d, not %d", s->what, r, s->want);
}
END_TEST

/* Apache's readers refuse a longer string too. A size of 32768 takes 3 bytes: 8180 02. */
START_TEST(strings_have_a_limit)
{
    struct buf in CLEANUP(buf_deinit) = {0}, out CLEANUP(buf_deinit) = {0};
    for (uint32_t size = GROUP_RECORD_STRING_MAX; size <= GROUP_RECORD_STRING_MAX + 1; size++) {
        struct slice head =
            size == GROUP_RECORD_STRING_MAX ? unhex("00000000808002") : unhex("00000000818002");
        struct slice tail = unhex("010100ffffffff0000");
        buf_reset(&in);
        buf_append(&in, head.p, head.size);
        for (uint32_t i = 0; i < size; i++)
            buf_append_u8(&in, 'x');
        buf_append(&in, tail.p, tail.size);
        ck_assert_int_eq(pass(GROUP_RECORD_CONSUMER_MEMBER, buf_slice(&in), &out),
                         size == GROUP_RECORD_STRING_MAX ? 0 : GROUP_RECORD_DAMAGED);
    }
    ck_assert(slice_equal(slice_of(out.p, 7), unhex("00000000808002")));
}
END_TEST

START_TEST(nothing_is_allocated_for_a_lie)
{
    struct arena small;
    struct group_record_classic v;
    /* Two members in 29 bytes, and two take 30 in any version. */
    struct slice lie = unhex("0000000000000000ffffffff00000002"
                             "00000000000000000000000000000000000000000000000000000000");
    struct slice in = golden("classic_3");
    arena_init(&small, 128);
    ck_assert_int_eq(group_record_classic_decode(lie, &small, &v), GROUP_RECORD_DAMAGED);
    ck_assert_uint_eq(small.used, 0);
    ck_assert_int_eq(group_record_classic_decode(in, &small, &v), GROUP_RECORD_LIMIT);
    small.limit = 0;
    ck_assert_int_eq(group_record_classic_decode(in, &small, &v), 0);
    arena_deinit(&small);
}
END_TEST

static Suite *group_record_suite(void)
{
    Suite *s = suite_create("group_record");
    TCase *t = tcase_create("fields");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, keys_are_apaches, 0, GROUP_RECORD_KIND_COUNT);
    tcase_add_test(t, old_key_of_a_commit_is_read);
    tcase_add_test(t, other_keys_are_unknown);
    tcase_add_loop_test(t, commits_of_every_version, 0, 5);
    tcase_add_test(t, commits_with_little_and_with_a_topic);
    tcase_add_loop_test(t, classic_groups_of_every_version, 0, 5);
    tcase_add_test(t, classic_group_without_members);
    tcase_add_test(t, epochs_with_and_without_their_tag);
    tcase_add_test(t, consumer_members);
    tcase_add_test(t, assignments);
    suite_add_tcase(s, t);
    t = tcase_create("foreign bytes");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, every_golden_record_passes, 0, RECORD_GOLDEN_COUNT);
    tcase_add_loop_test(t, every_cut_is_damage, 0, RECORD_GOLDEN_COUNT);
    tcase_add_loop_test(t, changed_bytes_never_overrun, 0, RECORD_GOLDEN_COUNT);
    tcase_add_test(t, other_versions_are_unknown);
    tcase_add_loop_test(t, shapes_are_judged, 0, sizeof shapes / sizeof shapes[0]);
    tcase_add_test(t, strings_have_a_limit);
    tcase_add_test(t, nothing_is_allocated_for_a_lie);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(group_record_suite());
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
