/* SPDX-License-Identifier: MIT
 *
 * group_record: keys, committed offsets and classic groups. See group_record.h.
 *
 *   offset commit   i64 offset, i32 leader epoch (3+), string metadata, i64 commit time,
 *                   i64 expire time (1 alone); tag 0 (4+): uuid topic
 *   classic group   string protocol type, i32 generation, string? protocol, string? leader,
 *                   i64 time of state (2+), list of members
 *   member          string id, string? instance (3+), string client id, string client host,
 *                   i32 rebalance timeout (1+), i32 session timeout, bytes subscription,
 *                   bytes assignment
 */
#include "engine/broker/group_record.h"

#include "engine/base/assert.h"
#include "engine/broker/group_record_priv.h"

#define GROUP_RECORD_LEGACY_COMMIT   0 /* an older key of an offset commit */
#define GROUP_RECORD_OFFSET_WRITTEN  3
#define GROUP_RECORD_OFFSET_EXPIRES  1
#define GROUP_RECORD_CLASSIC_WRITTEN 3
/* Of a member of version 4: six sizes, two numbers, the tags. The others take 18 and more. */
#define GROUP_RECORD_MEMBER_SIZE_MIN 15

/* What stands first in the key. */
static int16_t group_record_key_number(enum group_record_kind kind)
{
    switch (kind) {
    case GROUP_RECORD_OFFSET_COMMIT:
        return 1;
    case GROUP_RECORD_CLASSIC_GROUP:
        return 2;
    case GROUP_RECORD_CONSUMER_GROUP:
        return 3;
    case GROUP_RECORD_TOPIC_METADATA:
        return 4;
    case GROUP_RECORD_CONSUMER_MEMBER:
        return 5;
    case GROUP_RECORD_TARGET_EPOCH:
        return 6;
    case GROUP_RECORD_TARGET_MEMBER:
        return 7;
    case GROUP_RECORD_CURRENT_MEMBER:
        return 8;
    case GROUP_RECORD_REGEX:
        return 16;
    }
    ASSERT(false); /* a kind of the enum */
    return -1;
}

/* False: no kind of ours. */
static bool group_record_key_kind(int16_t number, enum group_record_kind *out)
{
    ASSERT(out != NULL);
    if (number == GROUP_RECORD_LEGACY_COMMIT) {
        *out = GROUP_RECORD_OFFSET_COMMIT;
        return true;
    }
    for (int kind = 0; kind < GROUP_RECORD_KIND_COUNT; kind++) {
        if (group_record_key_number((enum group_record_kind)kind) == number) {
            *out = (enum group_record_kind)kind;
            return true;
        }
    }
    return false;
}

void group_record_key_encode(const struct group_record_key *key, struct buf *out)
{
    ASSERT(key != NULL && out != NULL);
    group_record_put_i16(out, group_record_key_number(key->kind));
    group_record_put_string(out, key->group);
    switch (key->kind) {
    case GROUP_RECORD_OFFSET_COMMIT:
        group_record_put_string(out, key->topic);
        group_record_put_i32(out, key->partition);
        return;
    case GROUP_RECORD_CONSUMER_MEMBER:
    case GROUP_RECORD_TARGET_MEMBER:
    case GROUP_RECORD_CURRENT_MEMBER:
        group_record_put_string(out, key->member);
        return;
    case GROUP_RECORD_REGEX:
        group_record_put_string(out, key->regex);
        return;
    case GROUP_RECORD_CLASSIC_GROUP:
    case GROUP_RECORD_CONSUMER_GROUP:
    case GROUP_RECORD_TOPIC_METADATA:
    case GROUP_RECORD_TARGET_EPOCH:
        return;
    }
}

/* What follows the group in the key of a kind. */
static void group_record_key_read(struct group_record_in *in, struct group_record_key *key)
{
    ASSERT(in->arena == NULL && !in->flexible);
    switch (key->kind) {
    case GROUP_RECORD_OFFSET_COMMIT:
        key->topic = group_record_in_string(in);
        key->partition = group_record_in_i32(in);
        return;
    case GROUP_RECORD_CONSUMER_MEMBER:
    case GROUP_RECORD_TARGET_MEMBER:
    case GROUP_RECORD_CURRENT_MEMBER:
        key->member = group_record_in_string(in);
        return;
    case GROUP_RECORD_REGEX:
        key->regex = group_record_in_string(in);
        return;
    case GROUP_RECORD_CLASSIC_GROUP:
    case GROUP_RECORD_CONSUMER_GROUP:
    case GROUP_RECORD_TOPIC_METADATA:
    case GROUP_RECORD_TARGET_EPOCH:
        return;
    }
}

int group_record_key_decode(struct slice in, struct group_record_key *out)
{
    struct group_record_in cursor = {.rest = in};
    struct group_record_key key = {0};
    ASSERT(in.p != NULL || in.size == 0);
    ASSERT(out != NULL);
    int16_t number = group_record_in_i16(&cursor);
    if (cursor.result == 0 && !group_record_key_kind(number, &key.kind))
        return GROUP_RECORD_UNKNOWN;
    key.group = group_record_in_string(&cursor);
    group_record_key_read(&cursor, &key);
    int r = group_record_in_close(&cursor);
    if (r == 0)
        *out = key;
    return r;
}

void group_record_offset_encode(const struct group_record_offset *value, struct buf *out)
{
    bool expires = value->expire_ms > 0;
    ASSERT(out != NULL);
    group_record_put_i16(out, expires ? GROUP_RECORD_OFFSET_EXPIRES : GROUP_RECORD_OFFSET_WRITTEN);
    group_record_put_i64(out, value->offset);
    if (!expires)
        group_record_put_i32(out, value->leader_epoch);
    group_record_put_string(out, value->metadata);
    group_record_put_i64(out, value->commit_ms);
    if (expires)
        group_record_put_i64(out, value->expire_ms);
}

int group_record_offset_decode(struct slice in, struct group_record_offset *out)
{
    static const struct group_record_versions versions = {.last = 4, .flexible = 4};
    struct group_record_in cursor = group_record_in_open(in, versions, NULL), topic;
    struct group_record_offset value = {.leader_epoch = -1, .expire_ms = -1};
    ASSERT(out != NULL);
    value.offset = group_record_in_i64(&cursor);
    if (cursor.version >= 3)
        value.leader_epoch = group_record_in_i32(&cursor);
    value.metadata = group_record_in_string(&cursor);
    value.commit_ms = group_record_in_i64(&cursor);
    if (cursor.version == 1)
        value.expire_ms = group_record_in_i64(&cursor);
    if (group_record_in_tag(&cursor, &topic)) {
        group_record_in_uuid(&topic, value.topic_id);
        group_record_in_leave(&cursor, &topic);
    }
    int r = group_record_in_close(&cursor);
    if (r == 0)
        *out = value;
    return r;
}

static void group_record_classic_put_member(struct buf *out,
                                            const struct group_record_classic_member *m)
{
    ASSERT(out != NULL && m != NULL);
    group_record_put_string(out, m->member);
    group_record_put_string_or_null(out, m->instance);
    group_record_put_string(out, m->client_id);
    group_record_put_string(out, m->client_host);
    group_record_put_i32(out, m->rebalance_ms);
    group_record_put_i32(out, m->session_ms);
    group_record_put_bytes(out, m->subscription);
    group_record_put_bytes(out, m->assignment);
}

void group_record_classic_encode(const struct group_record_classic *value, struct buf *out)
{
    ASSERT(value->members != NULL || value->member_count == 0);
    ASSERT(value->member_count <= INT32_MAX);
    group_record_put_i16(out, GROUP_RECORD_CLASSIC_WRITTEN);
    group_record_put_string(out, value->protocol_type);
    group_record_put_i32(out, value->generation);
    group_record_put_string_or_null(out, value->protocol);
    group_record_put_string_or_null(out, value->leader);
    group_record_put_i64(out, value->state_ms);
    group_record_put_i32(out, (int32_t)value->member_count);
    for (size_t i = 0; i < value->member_count; i++)
        group_record_classic_put_member(out, &value->members[i]);
}

static void group_record_classic_read_member(struct group_record_in *in,
                                             struct group_record_classic_member *m)
{
    struct group_record_in unknown;
    m->member = group_record_in_string(in);
    if (in->version >= 3)
        m->instance = group_record_in_string_or_null(in);
    m->client_id = group_record_in_string(in);
    m->client_host = group_record_in_string(in);
    m->rebalance_ms = in->version >= 1 ? group_record_in_i32(in) : -1;
    m->session_ms = group_record_in_i32(in);
    m->subscription = group_record_in_bytes(in);
    m->assignment = group_record_in_bytes(in);
    (void)group_record_in_tag(in, &unknown);
}

int group_record_classic_decode(struct slice in, struct arena *arena,
                                struct group_record_classic *out)
{
    static const struct group_record_versions versions = {.last = 4, .flexible = 4};
    struct group_record_in cursor = group_record_in_open(in, versions, arena), unknown;
    struct group_record_classic value = {.state_ms = -1};
    ASSERT(arena != NULL && out != NULL);
    value.protocol_type = group_record_in_string(&cursor);
    value.generation = group_record_in_i32(&cursor);
    value.protocol = group_record_in_string_or_null(&cursor);
    value.leader = group_record_in_string_or_null(&cursor);
    if (cursor.version >= 2)
        value.state_ms = group_record_in_i64(&cursor);
    value.member_count = group_record_in_count(&cursor, GROUP_RECORD_MEMBER_SIZE_MIN);
    value.members = group_record_in_array(&cursor, value.member_count, sizeof *value.members);
    for (size_t i = 0; i < value.member_count && cursor.result == 0; i++)
        group_record_classic_read_member(&cursor, &value.members[i]);
    (void)group_record_in_tag(&cursor, &unknown);
    int r = group_record_in_close(&cursor);
    if (r == 0)
        *out = value;
    return r;
}
