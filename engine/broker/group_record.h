/* SPDX-License-Identifier: MIT
 *
 * group_record: the records of __consumer_offsets: keys and values as Apache Kafka 3.9 and 4.x
 * write them, byte for byte, so that its tools read ours and we read its.
 *
 * Must not know: groups, members and their states as the broker keeps them, time, the log. Pure
 * functions over bytes.
 *
 * A key begins with an i16 that tells the kind (up to 3.9 it is called the key's version). Numbers
 * are big endian, strings an i16 size and bytes:
 *
 *   i16  kind            rest of the key             value, versions read -> written
 *   0, 1 offset commit   group, topic, i32 partition 0-4 -> 3, or 1 when the commit expires
 *   2    classic group   group                       0-4 -> 3
 *   3    consumer group  group                       0   -> 0     (KIP-848 from here on)
 *   4    topic metadata  group                       not read     (until 4.0)
 *   5    consumer member group, member               0   -> 0
 *   6    target epoch    group                       0   -> 0
 *   7    target member   group, member               0   -> 0
 *   8    current member  group, member               0   -> 0
 *   16   regex           group, regular expression   not read
 *
 * A value begins with an i16, its version. Offset commit and classic group from 4 on and all of
 * KIP-848 are flexible: sizes are varints and tagged fields may follow each struct. Those we do not
 * know are skipped, and so are lost when the record is written again. A record without value (a
 * tombstone) removes what its key names: that is the caller's, no null comes in here.
 *
 * Invariants: R1 what encode writes, decode reads back equal (the fields of the written version);
 * R2 a decoder never reads past `in`, and a count is compared with the bytes that are left before
 * anything is allocated for it; R3 a value is used to its last byte: what follows is damage.
 *
 * Failures: the conditions below. `*out` is written only on 0; slices in it borrow from `in`,
 * arrays from the arena.
 *
 * Source: the schemas in Apache Kafka's group-coordinator, 3.9 to 4.4 (KIP-848, 915, 1101, 1263).
 */
#pragma once

#include "engine/base/arena.h"
#include "engine/base/bytes.h"

#define GROUP_RECORD_UNKNOWN 1 /* a kind or a version that we do not know: skip the record */
#define GROUP_RECORD_DAMAGED 2 /* cut off, too long, or against its own layout */
#define GROUP_RECORD_LIMIT   3 /* the arena's limit would be passed */

/* Of every string: the caller of encode has checked it, else it asserts. */
#define GROUP_RECORD_STRING_MAX INT16_MAX

enum group_record_kind {
    GROUP_RECORD_OFFSET_COMMIT,
    GROUP_RECORD_CLASSIC_GROUP,
    GROUP_RECORD_CONSUMER_GROUP,
    GROUP_RECORD_TOPIC_METADATA, /* value not read: since 4.1 a hash in the consumer group */
    GROUP_RECORD_CONSUMER_MEMBER,
    GROUP_RECORD_TARGET_EPOCH,
    GROUP_RECORD_TARGET_MEMBER,
    GROUP_RECORD_CURRENT_MEMBER,
    GROUP_RECORD_REGEX, /* value not read: a cache of what an expression matched */
};
#define GROUP_RECORD_KIND_COUNT 9

struct group_record_key {
    enum group_record_kind kind;
    struct slice group;
    struct slice topic;  /* offset commit */
    int32_t partition;   /* offset commit */
    struct slice member; /* consumer, target and current member */
    struct slice regex;  /* regex */
};

/* Strings named "or null" are null when p is NULL. In all others a null is written as empty. */

/* Offset commit. A zeroed struct is no default: leader_epoch. */
struct group_record_offset {
    int64_t offset;
    int32_t leader_epoch; /* -1: not known */
    struct slice metadata;
    int64_t commit_ms; /* wall time */
    int64_t expire_ms; /* the commit's own end, of clients before 2.1; <= 0: none (read: -1). With
                          one the record has version 1, which has no leader epoch, as Apache's */
    uint8_t topic_id[16]; /* of version 4; zero: none. Not written */
};

struct group_record_classic_member {
    struct slice member;
    struct slice instance; /* or null */
    struct slice client_id;
    struct slice client_host; /* Apache: "/" and the address */
    int32_t rebalance_ms;     /* read from version 0: -1 */
    int32_t session_ms;
    struct slice subscription; /* the member's metadata for the group's protocol */
    struct slice assignment;
};

/* Classic group. */
struct group_record_classic {
    struct slice protocol_type; /* empty: none */
    int32_t generation;
    struct slice protocol; /* or null */
    struct slice leader;   /* or null */
    int64_t state_ms;      /* wall time of the last change of state; -1: not known */
    struct group_record_classic_member *members;
    size_t member_count;
};

/* Consumer group. */
struct group_record_consumer {
    int32_t epoch;
    int64_t metadata_hash; /* of the subscribed topics, since 4.1; 0: none */
};

struct group_record_protocol {
    struct slice name;
    struct slice metadata;
};

/* Consumer member. */
struct group_record_consumer_member {
    struct slice instance; /* or null */
    struct slice rack;     /* or null */
    struct slice client_id;
    struct slice client_host;
    struct slice *topics; /* subscribed names */
    size_t topic_count;
    struct slice regex;    /* subscribed expression, or null */
    int32_t rebalance_ms;  /* -1: not known */
    struct slice assignor; /* on the server's side, or null */
    bool classic; /* speaks the classic protocol: the next three hold, else they are zero */
    int32_t session_ms;
    struct group_record_protocol *protocols;
    size_t protocol_count;
};

/* Target epoch. */
struct group_record_target {
    int32_t epoch;
    int64_t assigned_ms; /* wall time when the assignment was ready, since 4.3; 0: not known */
};

struct group_record_topic {
    uint8_t id[16];
    int32_t *partitions;
    int32_t *epochs; /* of each partition's assignment, or NULL; newer than 4.1. Current member
                        alone: a target member has none and they are not written there */
    size_t partition_count;
};

/* Target member. */
struct group_record_target_member {
    struct group_record_topic *topics;
    size_t topic_count;
};

/* States of a current member; others are passed through. */
#define GROUP_RECORD_STABLE     0
#define GROUP_RECORD_UNREVOKED  1 /* has yet to give up the pending partitions */
#define GROUP_RECORD_UNRELEASED 2 /* waits for partitions that others hold */

/* Current member. */
struct group_record_current_member {
    int32_t epoch;
    int32_t previous_epoch;
    int8_t state;
    struct group_record_topic *assigned;
    size_t assigned_count;
    struct group_record_topic *pending; /* to be revoked */
    size_t pending_count;
};

/* The record key. Encode appends, as the others do; an offset commit gets the 1. Decode answers 0,
 * UNKNOWN or DAMAGED. */
void group_record_key_encode(const struct group_record_key *key, struct buf *out);
int group_record_key_decode(struct slice in, struct group_record_key *out) MUST_CHECK;

/* Values: 0, UNKNOWN or DAMAGED, and LIMIT where there is an arena. Cost: the size of `in`; at most
 * 16 bytes of arena are asked for each byte of `in`. On another answer than 0 the arena may hold
 * memory that nobody points to. */
void group_record_offset_encode(const struct group_record_offset *value, struct buf *out);
int group_record_offset_decode(struct slice in, struct group_record_offset *out) MUST_CHECK;
void group_record_classic_encode(const struct group_record_classic *value, struct buf *out);
int group_record_classic_decode(struct slice in, struct arena *arena,
                                struct group_record_classic *out) MUST_CHECK;

void group_record_consumer_encode(const struct group_record_consumer *value, struct buf *out);
int group_record_consumer_decode(struct slice in, struct group_record_consumer *out) MUST_CHECK;
void group_record_consumer_member_encode(const struct group_record_consumer_member *value,
                                         struct buf *out);
int group_record_consumer_member_decode(struct slice in, struct arena *arena,
                                        struct group_record_consumer_member *out) MUST_CHECK;
void group_record_target_encode(const struct group_record_target *value, struct buf *out);
int group_record_target_decode(struct slice in, struct group_record_target *out) MUST_CHECK;
void group_record_target_member_encode(const struct group_record_target_member *value,
                                       struct buf *out);
int group_record_target_member_decode(struct slice in, struct arena *arena,
                                      struct group_record_target_member *out) MUST_CHECK;
void group_record_current_member_encode(const struct group_record_current_member *value,
                                        struct buf *out);
int group_record_current_member_decode(struct slice in, struct arena *arena,
                                       struct group_record_current_member *out) MUST_CHECK;
