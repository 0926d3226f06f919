/* SPDX-License-Identifier: MIT
 *
 * record_pass: see record_pass.h.
 */
#include "test/unit/broker/record_pass.h"

static int record_pass_small(enum group_record_kind kind, struct slice in, struct buf *out)
{
    struct group_record_offset offset;
    struct group_record_consumer group;
    struct group_record_target target;
    int r;
    if (kind == GROUP_RECORD_OFFSET_COMMIT) {
        r = group_record_offset_decode(in, &offset);
        if (r == 0)
            group_record_offset_encode(&offset, out);
    } else if (kind == GROUP_RECORD_CONSUMER_GROUP) {
        r = group_record_consumer_decode(in, &group);
        if (r == 0)
            group_record_consumer_encode(&group, out);
    } else {
        r = group_record_target_decode(in, &target);
        if (r == 0)
            group_record_target_encode(&target, out);
    }
    return r;
}

static int record_pass_classic(struct slice in, struct arena *arena, struct buf *out)
{
    struct group_record_classic value;
    int r = group_record_classic_decode(in, arena, &value);
    if (r == 0)
        group_record_classic_encode(&value, out);
    return r;
}

static int record_pass_consumer_member(struct slice in, struct arena *arena, struct buf *out)
{
    struct group_record_consumer_member value;
    int r = group_record_consumer_member_decode(in, arena, &value);
    if (r == 0)
        group_record_consumer_member_encode(&value, out);
    return r;
}

static int record_pass_target_member(struct slice in, struct arena *arena, struct buf *out)
{
    struct group_record_target_member value;
    int r = group_record_target_member_decode(in, arena, &value);
    if (r == 0)
        group_record_target_member_encode(&value, out);
    return r;
}

static int record_pass_current_member(struct slice in, struct arena *arena, struct buf *out)
{
    struct group_record_current_member value;
    int r = group_record_current_member_decode(in, arena, &value);
    if (r == 0)
        group_record_current_member_encode(&value, out);
    return r;
}

int record_pass_value(enum group_record_kind kind, struct slice in, struct arena *arena,
                      struct buf *out)
{
    switch (kind) {
    case GROUP_RECORD_OFFSET_COMMIT:
    case GROUP_RECORD_CONSUMER_GROUP:
    case GROUP_RECORD_TARGET_EPOCH:
        return record_pass_small(kind, in, out);
    case GROUP_RECORD_CLASSIC_GROUP:
        return record_pass_classic(in, arena, out);
    case GROUP_RECORD_CONSUMER_MEMBER:
        return record_pass_consumer_member(in, arena, out);
    case GROUP_RECORD_TARGET_MEMBER:
        return record_pass_target_member(in, arena, out);
    case GROUP_RECORD_CURRENT_MEMBER:
        return record_pass_current_member(in, arena, out);
    case GROUP_RECORD_TOPIC_METADATA:
    case GROUP_RECORD_REGEX:
        return GROUP_RECORD_UNKNOWN;
    }
    return GROUP_RECORD_UNKNOWN;
}

int record_pass_key(struct slice in, struct buf *out)
{
    struct group_record_key key;
    int r = group_record_key_decode(in, &key);
    if (r == 0)
        group_record_key_encode(&key, out);
    return r;
}
