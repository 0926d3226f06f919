/* SPDX-License-Identifier: MIT
 *
 * group_record_consumer: the values of KIP-848's groups. See group_record.h.
 *
 * All have version 0 and are flexible; a struct ends with its tagged fields:
 *
 *   consumer group   i32 epoch; tag 0: i64 hash of the topics (unless 0)
 *   consumer member  string? instance, string? rack, string client id, string client host,
 *                    list of string topics, string? regex, i32 rebalance timeout,
 *                    string? assignor; tag 0: classic?
 *     classic        i8 1 (-1: null), i32 session timeout, list of (string name, bytes metadata)
 *   target epoch     i32 epoch; tag 0: i64 time (unless 0)
 *   target member    list of topic
 *   current member   i32 epoch, i32 previous epoch, i8 state, list of topic assigned,
 *                    list of topic pending
 *     topic          uuid, list of i32 partitions; tag 0, of a current member: list? of i32 epochs
 */
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/broker/group_record_priv.h"

#define GROUP_RECORD_TOPIC_SIZE_MIN    18 /* an id, an empty list, the tags */
#define GROUP_RECORD_PROTOCOL_SIZE_MIN 3

static const struct group_record_versions group_record_consumer_versions = {0};

/* An epoch and an i64 that is there unless it is 0: two values have this layout. */
static void group_record_consumer_put_pair(struct buf *out, int32_t epoch, int64_t tagged)
{
    uint8_t field[8];
    ASSERT(out != NULL);
    group_record_put_i16(out, 0);
    group_record_put_i32(out, epoch);
    bytes_put_be64(field, (uint64_t)tagged);
    if (tagged == 0)
        group_record_put_no_tags(out);
    else
        group_record_put_tag(out, slice_of(field, sizeof field));
}

/* The result; both are written on 0 alone. */
static int group_record_consumer_read_pair(struct slice in, int32_t *epoch, int64_t *tagged)
{
    struct group_record_in field;
    struct group_record_in cursor = group_record_in_open(in, group_record_consumer_versions, NULL);
    int64_t v = 0;
    ASSERT(epoch != NULL && tagged != NULL);
    int32_t e = group_record_in_i32(&cursor);
    if (group_record_in_tag(&cursor, &field)) {
        v = group_record_in_i64(&field);
        group_record_in_leave(&cursor, &field);
    }
    int r = group_record_in_close(&cursor);
    if (r == 0) {
        *epoch = e;
        *tagged = v;
    }
    return r;
}

void group_record_consumer_encode(const struct group_record_consumer *value, struct buf *out)
{
    ASSERT(value != NULL);
    group_record_consumer_put_pair(out, value->epoch, value->metadata_hash);
}

int group_record_consumer_decode(struct slice in, struct group_record_consumer *out)
{
    ASSERT(out != NULL);
    return group_record_consumer_read_pair(in, &out->epoch, &out->metadata_hash);
}

void group_record_target_encode(const struct group_record_target *value, struct buf *out)
{
    ASSERT(value != NULL);
    group_record_consumer_put_pair(out, value->epoch, value->assigned_ms);
}

int group_record_target_decode(struct slice in, struct group_record_target *out)
{
    ASSERT(out != NULL);
    return group_record_consumer_read_pair(in, &out->epoch, &out->assigned_ms);
}

/* The tagged field of a member that speaks the classic protocol. */
static void group_record_consumer_put_classic(struct buf *out,
                                              const struct group_record_consumer_member *value)
{
    ASSERT(value->classic);
    ASSERT(value->protocols != NULL || value->protocol_count == 0);
    group_record_put_i8(out, 1);
    group_record_put_i32(out, value->session_ms);
    group_record_put_compact_count(out, value->protocol_count);
    for (size_t i = 0; i < value->protocol_count; i++) {
        group_record_put_compact_string(out, value->protocols[i].name);
        group_record_put_compact_bytes(out, value->protocols[i].metadata);
        group_record_put_no_tags(out);
    }
    group_record_put_no_tags(out);
}

void group_record_consumer_member_encode(const struct group_record_consumer_member *value,
                                         struct buf *out)
{
    struct buf classic CLEANUP(buf_deinit) = {0};
    ASSERT(value->topics != NULL || value->topic_count == 0);
    ASSERT(value->classic || value->protocol_count == 0);
    group_record_put_i16(out, 0);
    group_record_put_compact_string_or_null(out, value->instance);
    group_record_put_compact_string_or_null(out, value->rack);
    group_record_put_compact_string(out, value->client_id);
    group_record_put_compact_string(out, value->client_host);
    group_record_put_compact_count(out, value->topic_count);
    for (size_t i = 0; i < value->topic_count; i++)
        group_record_put_compact_string(out, value->topics[i]);
    group_record_put_compact_string_or_null(out, value->regex);
    group_record_put_i32(out, value->rebalance_ms);
    group_record_put_compact_string_or_null(out, value->assignor);
    if (!value->classic) {
        group_record_put_no_tags(out);
        return;
    }
    group_record_consumer_put_classic(&classic, value);
    group_record_put_tag(out, buf_slice(&classic));
}

static void group_record_consumer_read_classic(struct group_record_in *in,
                                               struct group_record_consumer_member *value)
{
    struct group_record_in unknown;
    ASSERT(in->flexible);
    int8_t present = group_record_in_i8(in);
    if (present < 0)
        return;
    value->classic = true;
    value->session_ms = group_record_in_i32(in);
    value->protocol_count = group_record_in_count(in, GROUP_RECORD_PROTOCOL_SIZE_MIN);
    value->protocols = group_record_in_array(in, value->protocol_count, sizeof *value->protocols);
    for (size_t i = 0; i < value->protocol_count && in->result == 0; i++) {
        value->protocols[i].name = group_record_in_string(in);
        value->protocols[i].metadata = group_record_in_bytes(in);
        (void)group_record_in_tag(in, &unknown);
    }
    (void)group_record_in_tag(in, &unknown);
}

int group_record_consumer_member_decode(struct slice in, struct arena *arena,
                                        struct group_record_consumer_member *out)
{
    struct group_record_in classic;
    struct group_record_in cursor = group_record_in_open(in, group_record_consumer_versions, arena);
    struct group_record_consumer_member value = {0};
    ASSERT(arena != NULL && out != NULL);
    value.instance = group_record_in_string_or_null(&cursor);
    value.rack = group_record_in_string_or_null(&cursor);
    value.client_id = group_record_in_string(&cursor);
    value.client_host = group_record_in_string(&cursor);
    value.topic_count = group_record_in_count(&cursor, 1);
    value.topics = group_record_in_array(&cursor, value.topic_count, sizeof *value.topics);
    for (size_t i = 0; i < value.topic_count && cursor.result == 0; i++)
        value.topics[i] = group_record_in_string(&cursor);
    value.regex = group_record_in_string_or_null(&cursor);
    value.rebalance_ms = group_record_in_i32(&cursor);
    value.assignor = group_record_in_string_or_null(&cursor);
    if (group_record_in_tag(&cursor, &classic)) {
        group_record_consumer_read_classic(&classic, &value);
        group_record_in_leave(&cursor, &classic);
    }
    int r = group_record_in_close(&cursor);
    if (r == 0)
        *out = value;
    return r;
}

static void group_record_consumer_put_numbers(struct buf *out, const int32_t *numbers, size_t count)
{
    ASSERT(numbers != NULL || count == 0);
    group_record_put_compact_count(out, count);
    for (size_t i = 0; i < count; i++)
        group_record_put_i32(out, numbers[i]);
}

/* `epochs`: of a current member. */
static void group_record_consumer_put_topics(struct buf *out,
                                             const struct group_record_topic *topics, size_t count,
                                             bool epochs)
{
    struct buf field CLEANUP(buf_deinit) = {0};
    ASSERT(topics != NULL || count == 0);
    group_record_put_compact_count(out, count);
    for (size_t i = 0; i < count; i++) {
        const struct group_record_topic *t = &topics[i];
        buf_append(out, t->id, sizeof t->id);
        group_record_consumer_put_numbers(out, t->partitions, t->partition_count);
        if (!epochs || t->epochs == NULL) {
            group_record_put_no_tags(out);
            continue;
        }
        buf_reset(&field);
        group_record_consumer_put_numbers(&field, t->epochs, t->partition_count);
        group_record_put_tag(out, buf_slice(&field));
    }
}

static int32_t *group_record_consumer_read_numbers(struct group_record_in *in, size_t count)
{
    int32_t *numbers = group_record_in_array(in, count, sizeof *numbers);
    ASSERT(numbers != NULL || count == 0 || in->result != 0);
    for (size_t i = 0; i < count && in->result == 0; i++)
        numbers[i] = group_record_in_i32(in);
    return numbers;
}

/* Of an equal count, or null; a topic without partitions keeps NULL. */
static void group_record_consumer_read_epochs(struct group_record_in *in,
                                              struct group_record_topic *t)
{
    int64_t count = group_record_in_count_or_null(in, sizeof *t->epochs);
    ASSERT(t->epochs == NULL);
    if (count < 0)
        return;
    if ((size_t)count != t->partition_count)
        group_record_in_fail(in, GROUP_RECORD_DAMAGED);
    else
        t->epochs = group_record_consumer_read_numbers(in, (size_t)count);
}

static struct group_record_topic *group_record_consumer_read_topics(struct group_record_in *in,
                                                                    size_t *count, bool epochs)
{
    struct group_record_in field;
    *count = group_record_in_count(in, GROUP_RECORD_TOPIC_SIZE_MIN);
    struct group_record_topic *topics = group_record_in_array(in, *count, sizeof *topics);
    for (size_t i = 0; i < *count && in->result == 0; i++) {
        struct group_record_topic *t = &topics[i];
        group_record_in_uuid(in, t->id);
        t->partition_count = group_record_in_count(in, sizeof *t->partitions);
        t->partitions = group_record_consumer_read_numbers(in, t->partition_count);
        if (group_record_in_tag(in, &field) && epochs) {
            group_record_consumer_read_epochs(&field, t);
            group_record_in_leave(in, &field);
        }
    }
    ASSERT(topics != NULL || *count == 0 || in->result != 0);
    return topics;
}

void group_record_target_member_encode(const struct group_record_target_member *value,
                                       struct buf *out)
{
    ASSERT(value != NULL);
    group_record_put_i16(out, 0);
    group_record_consumer_put_topics(out, value->topics, value->topic_count, false);
    group_record_put_no_tags(out);
}

int group_record_target_member_decode(struct slice in, struct arena *arena,
                                      struct group_record_target_member *out)
{
    struct group_record_in unknown;
    struct group_record_in cursor = group_record_in_open(in, group_record_consumer_versions, arena);
    struct group_record_target_member value = {0};
    ASSERT(arena != NULL && out != NULL);
    value.topics = group_record_consumer_read_topics(&cursor, &value.topic_count, false);
    (void)group_record_in_tag(&cursor, &unknown);
    int r = group_record_in_close(&cursor);
    if (r == 0)
        *out = value;
    return r;
}

void group_record_current_member_encode(const struct group_record_current_member *value,
                                        struct buf *out)
{
    ASSERT(value != NULL);
    group_record_put_i16(out, 0);
    group_record_put_i32(out, value->epoch);
    group_record_put_i32(out, value->previous_epoch);
    group_record_put_i8(out, value->state);
    group_record_consumer_put_topics(out, value->assigned, value->assigned_count, true);
    group_record_consumer_put_topics(out, value->pending, value->pending_count, true);
    group_record_put_no_tags(out);
}

int group_record_current_member_decode(struct slice in, struct arena *arena,
                                       struct group_record_current_member *out)
{
    struct group_record_in unknown;
    struct group_record_in cursor = group_record_in_open(in, group_record_consumer_versions, arena);
    struct group_record_current_member value = {0};
    ASSERT(arena != NULL && out != NULL);
    value.epoch = group_record_in_i32(&cursor);
    value.previous_epoch = group_record_in_i32(&cursor);
    value.state = group_record_in_i8(&cursor);
    value.assigned = group_record_consumer_read_topics(&cursor, &value.assigned_count, true);
    value.pending = group_record_consumer_read_topics(&cursor, &value.pending_count, true);
    (void)group_record_in_tag(&cursor, &unknown);
    int r = group_record_in_close(&cursor);
    if (r == 0)
        *out = value;
    return r;
}
