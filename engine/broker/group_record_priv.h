/* SPDX-License-Identifier: MIT
 *
 * group_record_priv: reading and writing the primitive types of Kafka's schemas, for the records of
 * group_record.h.
 *
 * Reading: a cursor with a result that sticks. After the first failure every read gives zero, null
 * or a count of 0, so a decoder is a straight line and asks once, at its end:
 *
 *   group_record_in_open -> group_record_in_i32, _string, ... -> group_record_in_close
 *
 * Invariants: W1 rest never grows and stays inside the input; W2 once result is set it stays, and
 * rest is empty from then on; W3 a count is never greater than the bytes left.
 *
 * Failures: GROUP_RECORD_UNKNOWN, _DAMAGED, _LIMIT in the cursor's result.
 */
#pragma once

#include "engine/broker/group_record.h"

struct group_record_in {
    struct slice rest;   /* borrowed */
    struct arena *arena; /* borrowed; NULL where nothing is allocated */
    int result;          /* 0 or the first failure */
    int16_t version;
    bool flexible; /* varint sizes and tagged fields */
};

/* The versions that a value is read in. */
struct group_record_versions {
    int16_t last;
    int16_t flexible; /* from this one on */
};

/* A cursor behind the version. */
struct group_record_in group_record_in_open(struct slice in, struct group_record_versions versions,
                                            struct arena *arena);
/* The result; damaged when bytes are left. */
int group_record_in_close(struct group_record_in *in) MUST_CHECK;
/* Sets the result, unless there is one, and empties rest. */
void group_record_in_fail(struct group_record_in *in, int result);

int8_t group_record_in_i8(struct group_record_in *in);
int16_t group_record_in_i16(struct group_record_in *in);
int32_t group_record_in_i32(struct group_record_in *in);
int64_t group_record_in_i64(struct group_record_in *in);
void group_record_in_uuid(struct group_record_in *in, uint8_t id[16]);
/* Borrowed from the input. A null is damage in the first and the last. */
struct slice group_record_in_string(struct group_record_in *in);
struct slice group_record_in_string_or_null(struct group_record_in *in);
struct slice group_record_in_bytes(struct group_record_in *in);
/* The count of a list whose items take at least `item_size_min` bytes each. A null is damage, or
 * -1 in the second. */
size_t group_record_in_count(struct group_record_in *in, size_t item_size_min);
int64_t group_record_in_count_or_null(struct group_record_in *in, size_t item_size_min);
/* Zeroed array of the cursor's arena; NULL for a count of 0 and on failure. */
void *group_record_in_array(struct group_record_in *in, size_t count, size_t size);
/* Reads the tagged fields that end a struct, none when the version is not flexible. True when tag
 * 0 is among them: *field is then a cursor over its bytes, to be given to _leave. */
bool group_record_in_tag(struct group_record_in *in, struct group_record_in *field);
/* Hands the result of `field` over to `in`; damaged when bytes of the field are left. */
void group_record_in_leave(struct group_record_in *in, struct group_record_in *field);

void group_record_put_i8(struct buf *out, int8_t v);
void group_record_put_i16(struct buf *out, int16_t v);
void group_record_put_i32(struct buf *out, int32_t v);
void group_record_put_i64(struct buf *out, int64_t v);
/* Sizes of 16 and 32 bits. */
void group_record_put_string(struct buf *out, struct slice s);
void group_record_put_string_or_null(struct buf *out, struct slice s);
void group_record_put_bytes(struct buf *out, struct slice s);
/* The same with varints, for flexible versions. */
void group_record_put_compact_string(struct buf *out, struct slice s);
void group_record_put_compact_string_or_null(struct buf *out, struct slice s);
void group_record_put_compact_bytes(struct buf *out, struct slice s);
void group_record_put_compact_count(struct buf *out, size_t count);
/* The end of a struct in a flexible version: no tagged field, or tag 0 with these bytes. */
void group_record_put_no_tags(struct buf *out);
void group_record_put_tag(struct buf *out, struct slice field);
