/* SPDX-License-Identifier: MIT
 *
 * frames: see frames.h.
 */
#include "bench/frames.h"

#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "proto/kafka/kp.h"

#define FRAMES_SESSION_MS   45000
#define FRAMES_REBALANCE_MS 300000
#define FRAMES_ARENA        (4u << 20)
#define FRAMES_BEAT_ERROR   13 /* size, correlation id, tags, throttle time */
#define FRAMES_COMMIT_ITEM  7  /* partition, error, tags */

static const struct kp_kind frames_join_kind = {KP_API_JOIN_GROUP, KP_REQUEST, 9};
static const struct kp_kind frames_sync_kind = {KP_API_SYNC_GROUP, KP_REQUEST, 5};
static const struct kp_kind frames_beat_kind = {KP_API_HEARTBEAT, KP_REQUEST, 4};
static const struct kp_kind frames_consumer_kind = {KP_API_CONSUMER_GROUP_HEARTBEAT, KP_REQUEST, 0};
static const struct kp_kind frames_commit_kind = {KP_API_OFFSET_COMMIT, KP_REQUEST, 9};
static const struct kp_kind frames_fetch_kind = {KP_API_OFFSET_FETCH, KP_REQUEST, 8};

static void frames_put(struct kp_kind kind, const void *message, struct buf *out)
{
    struct kp_request_header h = {.correlation_id = 1, .client_id = slice_str("bench")};
    bench_check("encode", kp_encode_request(kind, &h, message, out));
}

/* Into the struct of the answer to `kind`; what hangs on it lies in the arena. */
static void frames_take(struct kp_kind kind, struct slice frame, struct arena *a, void *message)
{
    struct kp_response_header h;
    struct slice body = slice_of(frame.p + 4, frame.size - 4);
    kind.direction = KP_RESPONSE;
    bench_check("decode", kp_take_response_header(kind, &body, &h));
    bench_check("decode", kp_decode(kind, &body, a, message));
}

static void frames_want(const char *what, int error)
{
    char why[64];
    (void)snprintf(why, sizeof why, "the broker answered with error %d", error);
    if (error != 0)
        bench_die(what, why);
}

static void frames_set_id(struct frames_member *m, struct slice id)
{
    if (id.size >= sizeof m->id)
        bench_die("join", "the id of a member is longer than expected");
    memcpy(m->id, id.p, id.size);
    m->id[id.size] = '\0';
}

/* --- classic ---------------------------------------------------------------------------------- */

static void frames_text(struct buf *out, const char *text)
{
    buf_append_be16(out, (uint16_t)strlen(text));
    buf_append(out, text, strlen(text));
}

/* ConsumerProtocolSubscription, version 1. */
static void frames_subscription(const struct frames_member *m, struct buf *out)
{
    buf_append_be16(out, 1);
    buf_append_be32(out, 1);
    frames_text(out, m->topic);
    buf_append_be32(out, UINT32_MAX); /* user data: null */
    buf_append_be32(out, 0);          /* owned */
}

/* ConsumerProtocolAssignment, version 1. */
static void frames_assignment(const struct frames_member *m, struct buf *out)
{
    buf_append_be16(out, 1);
    buf_append_be32(out, 1);
    frames_text(out, m->topic);
    buf_append_be32(out, (uint32_t)m->owned_count);
    for (int32_t i = 0; i < m->owned_count; i++)
        buf_append_be32(out, (uint32_t)m->owned[i]);
    buf_append_be32(out, UINT32_MAX);
}

void frames_join(const struct frames_member *m, struct buf *out)
{
    struct buf s CLEANUP(buf_deinit) = {0};
    frames_subscription(m, &s);
    const struct kp_join_group_request_protocol protocols[] = {
        {slice_str("range"), buf_slice(&s)}, {slice_str("cooperative-sticky"), buf_slice(&s)}};
    struct kp_join_group_request q = KP_JOIN_GROUP_REQUEST_INIT;
    q.group_id = slice_str(m->group);
    q.session_timeout_ms = FRAMES_SESSION_MS;
    q.rebalance_timeout_ms = FRAMES_REBALANCE_MS;
    q.member_id = slice_str(m->id);
    q.protocol_type = slice_str("consumer");
    q.protocols.v = protocols;
    q.protocols.count = 2;
    frames_put(frames_join_kind, &q, out);
}

int frames_joined(struct slice frame, struct frames_member *m, int32_t *members)
{
    struct kp_join_group_response a = KP_JOIN_GROUP_RESPONSE_INIT;
    struct arena arena;
    arena_init(&arena, FRAMES_ARENA);
    frames_take(frames_join_kind, frame, &arena, &a);
    if (a.error != FRAMES_MEMBER_ID_WANTED)
        frames_want("join", a.error);
    frames_set_id(m, a.member_id);
    m->generation = a.generation_id;
    *members = a.members.count;
    arena_deinit(&arena);
    return a.error;
}

void frames_sync(const struct frames_member *m, const struct frames_member *members, size_t count,
                 struct buf *out)
{
    struct buf bytes[FRAMES_PARTITIONS_MAX] = {0};
    struct kp_sync_group_request_assignment v[FRAMES_PARTITIONS_MAX];
    struct kp_sync_group_request q = KP_SYNC_GROUP_REQUEST_INIT;
    ASSERT(count <= FRAMES_PARTITIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        frames_assignment(&members[i], &bytes[i]);
        v[i].member_id = slice_str(members[i].id);
        v[i].assignment = buf_slice(&bytes[i]);
    }
    q.group_id = slice_str(m->group);
    q.generation_id = m->generation;
    q.member_id = slice_str(m->id);
    q.protocol_type = slice_str("consumer");
    q.protocol_name = slice_str("range");
    q.assignments.v = v;
    q.assignments.count = (int32_t)count;
    frames_put(frames_sync_kind, &q, out);
    for (size_t i = 0; i < count; i++)
        buf_deinit(&bytes[i]);
}

void frames_synced(struct slice frame)
{
    struct kp_sync_group_response a = KP_SYNC_GROUP_RESPONSE_INIT;
    struct arena arena;
    arena_init(&arena, FRAMES_ARENA);
    frames_take(frames_sync_kind, frame, &arena, &a);
    frames_want("sync", a.error);
    if (a.assignment.size == 0)
        bench_die("sync", "a member got no assignment");
    arena_deinit(&arena);
}

void frames_beat(const struct frames_member *m, struct buf *out)
{
    struct kp_heartbeat_request q = KP_HEARTBEAT_REQUEST_INIT;
    q.group_id = slice_str(m->group);
    q.generation_id = m->generation;
    q.member_id = slice_str(m->id);
    frames_put(frames_beat_kind, &q, out);
}

int frames_beat_error(struct slice frame)
{
    if (frame.size < FRAMES_BEAT_ERROR + 2)
        bench_die("heartbeat", "the answer is too short");
    return bytes_be16(frame.p + FRAMES_BEAT_ERROR);
}

/* --- newer ------------------------------------------------------------------------------------ */

void frames_consumer_beat(const struct frames_member *m, bool full, struct buf *out)
{
    struct kp_consumer_group_heartbeat_request q = KP_CONSUMER_GROUP_HEARTBEAT_REQUEST_INIT;
    struct kp_consumer_group_heartbeat_request_topic owned = {0};
    struct slice topic = slice_str(m->topic);
    q.group_id = slice_str(m->group);
    q.member_id = slice_str(m->id);
    q.member_epoch = m->generation;
    if (full) {
        memcpy(owned.topic_id.b, m->topic_id, sizeof m->topic_id);
        owned.indexes.v = m->owned;
        owned.indexes.count = m->owned_count;
        q.rebalance_timeout_ms = FRAMES_REBALANCE_MS;
        q.subscribed_topic_names.v = &topic;
        q.subscribed_topic_names.count = 1;
        q.topics.v = &owned;
        q.topics.count = m->owned_count > 0;
    }
    frames_put(frames_consumer_kind, &q, out);
}

/* True when it is another than before. */
static bool frames_take_assignment(const struct kp_consumer_group_heartbeat_response *a,
                                   struct frames_member *m)
{
    const struct kp_consumer_group_heartbeat_response_topic *t = a->assignment->topics.v;
    int32_t count = a->assignment->topics.count > 0 ? t->indexes.count : 0;
    size_t size = (size_t)count * sizeof *m->owned;
    if (a->assignment->topics.count > 1 || count > FRAMES_PARTITIONS_MAX)
        bench_die("heartbeat", "another assignment than expected");
    if (count == m->owned_count && (count == 0 || memcmp(m->owned, t->indexes.v, size) == 0))
        return false;
    m->owned_count = count;
    if (count > 0) {
        memcpy(m->topic_id, t->topic_id.b, sizeof m->topic_id);
        memcpy(m->owned, t->indexes.v, size);
    }
    return true;
}

bool frames_consumer_beaten(struct slice frame, struct frames_member *m)
{
    struct kp_consumer_group_heartbeat_response a = KP_CONSUMER_GROUP_HEARTBEAT_RESPONSE_INIT;
    struct arena arena;
    arena_init(&arena, FRAMES_ARENA);
    frames_take(frames_consumer_kind, frame, &arena, &a);
    frames_want("heartbeat", a.error);
    bool other = a.member_epoch != m->generation;
    frames_set_id(m, a.member_id);
    m->generation = a.member_epoch;
    if (a.assignment != NULL && frames_take_assignment(&a, m))
        other = true;
    arena_deinit(&arena);
    return other;
}

/* --- offsets ---------------------------------------------------------------------------------- */

/* Partition i of those owned gets `offset` + i * step. */
static void frames_commit_steps(const struct frames_member *m, int64_t offset, int64_t step,
                                struct buf *out)
{
    struct kp_offset_commit_request_partition v[FRAMES_PARTITIONS_MAX];
    struct kp_offset_commit_request_topic t = KP_OFFSET_COMMIT_REQUEST_TOPIC_INIT;
    struct kp_offset_commit_request q = KP_OFFSET_COMMIT_REQUEST_INIT;
    for (int32_t i = 0; i < m->owned_count; i++)
        v[i] = (struct kp_offset_commit_request_partition){.index = m->owned[i],
                                                           .offset = offset + i * step,
                                                           .leader_epoch = -1,
                                                           .metadata = slice_str("")};
    t.name = slice_str(m->topic);
    t.partitions.v = v;
    t.partitions.count = m->owned_count;
    q.group_id = slice_str(m->group);
    q.generation_id = m->generation;
    q.member_id = slice_str(m->id);
    q.topics.v = &t;
    q.topics.count = 1;
    frames_put(frames_commit_kind, &q, out);
}

void frames_commit(const struct frames_member *m, int64_t offset, struct buf *out)
{
    frames_commit_steps(m, offset, 0, out);
}

/* They are looked for: an offset that nothing else of the frame can look like. */
void frames_commit_at(const struct frames_member *m, size_t *at)
{
    static const uint64_t mark = UINT64_C(0x7e5fa3c1b9d80000);
    struct buf frame CLEANUP(buf_deinit) = {0};
    int32_t found = 0;
    frames_commit_steps(m, (int64_t)mark, 1, &frame);
    for (size_t pos = 0; pos + 8 <= frame.size && found < m->owned_count; pos++)
        if (bytes_be64(frame.p + pos) == mark + (uint64_t)found)
            at[found++] = pos;
    ASSERT(found == m->owned_count);
}

void frames_committed(struct slice frame, const struct frames_member *m)
{
    size_t name = strlen(m->topic), head = 13 + 1 + 1 + name + 1;
    ASSERT(name < 127 && m->owned_count < 127); /* one byte each */
    if (frame.size != head + (size_t)m->owned_count * FRAMES_COMMIT_ITEM + 2)
        bench_die("commit", "an answer of another size than expected");
    for (int32_t i = 0; i < m->owned_count; i++)
        frames_want("commit", bytes_be16(frame.p + head + (size_t)i * FRAMES_COMMIT_ITEM + 4));
}

void frames_fetch(const char *group, struct buf *out)
{
    struct kp_offset_fetch_request_group g = KP_OFFSET_FETCH_REQUEST_GROUP_INIT;
    struct kp_offset_fetch_request q = KP_OFFSET_FETCH_REQUEST_INIT;
    g.group_id = slice_str(group);
    q.groups.v = &g;
    q.groups.count = 1;
    frames_put(frames_fetch_kind, &q, out);
}

size_t frames_fetched(struct slice frame, int *error)
{
    struct kp_offset_fetch_response a = KP_OFFSET_FETCH_RESPONSE_INIT;
    struct arena arena;
    size_t count = 0;
    arena_init(&arena, FRAMES_ARENA);
    frames_take(frames_fetch_kind, frame, &arena, &a);
    if (a.groups.count != 1)
        bench_die("fetch", "an answer without the group");
    *error = a.groups.v[0].error;
    for (int32_t i = 0; i < a.groups.v[0].topics.count; i++)
        count += (size_t)a.groups.v[0].topics.v[i].partitions.count;
    if (*error != FRAMES_LOADING && *error != FRAMES_NO_COORDINATOR)
        frames_want("fetch", *error);
    arena_deinit(&arena);
    return count;
}
