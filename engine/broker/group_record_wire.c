/* SPDX-License-Identifier: MIT
 *
 * group_record_wire: the primitive types. See group_record_priv.h.
 *
 *            plain                       flexible
 *   string   i16 size, -1 null           varint size + 1, 0 null
 *   bytes    i32 size, -1 null           varint size + 1, 0 null
 *   list     i32 count, -1 null          varint count + 1, 0 null
 *   struct   its fields                  its fields, varint count of tagged fields, and of each:
 *                                        varint tag (rising), varint size, bytes
 *
 * The varint is unsigned, 7 bits a byte, low ones first, at most 5 bytes.
 */
#include "engine/base/assert.h"
#include "engine/broker/group_record_priv.h"

#define GROUP_RECORD_VARINT_MAX 5

void group_record_in_fail(struct group_record_in *in, int result)
{
    ASSERT(result > 0 && result <= GROUP_RECORD_LIMIT);
    ASSERT(in->result >= 0);
    if (in->result == 0)
        in->result = result;
    in->rest.size = 0;
    ASSERT(in->result > 0);
}

/* The next `size` bytes; NULL on failure. */
static const uint8_t *group_record_in_take(struct group_record_in *in, size_t size)
{
    ASSERT(size > 0);
    ASSERT(in->result == 0 || in->rest.size == 0);
    if (size > in->rest.size) {
        group_record_in_fail(in, GROUP_RECORD_DAMAGED);
        return NULL;
    }
    const uint8_t *p = in->rest.p;
    ASSERT(p != NULL);
    ASSERT(in->result == 0);
    in->rest.p += size;
    in->rest.size -= size;
    return p;
}

int8_t group_record_in_i8(struct group_record_in *in)
{
    const uint8_t *p = group_record_in_take(in, 1);
    ASSERT((p == NULL) == (in->result != 0));
    return p == NULL ? 0 : (int8_t)*p;
}

int16_t group_record_in_i16(struct group_record_in *in)
{
    const uint8_t *p = group_record_in_take(in, 2);
    ASSERT((p == NULL) == (in->result != 0));
    return p == NULL ? 0 : (int16_t)bytes_be16(p);
}

int32_t group_record_in_i32(struct group_record_in *in)
{
    const uint8_t *p = group_record_in_take(in, 4);
    ASSERT((p == NULL) == (in->result != 0));
    return p == NULL ? 0 : (int32_t)bytes_be32(p);
}

int64_t group_record_in_i64(struct group_record_in *in)
{
    const uint8_t *p = group_record_in_take(in, 8);
    ASSERT((p == NULL) == (in->result != 0));
    return p == NULL ? 0 : (int64_t)bytes_be64(p);
}

void group_record_in_uuid(struct group_record_in *in, uint8_t id[16])
{
    ASSERT(id != NULL);
    const uint8_t *p = group_record_in_take(in, 16);
    ASSERT((p == NULL) == (in->result != 0));
    if (p == NULL)
        memset(id, 0, 16);
    else
        memcpy(id, p, 16);
}

/* Unsigned varint of 32 bits. */
static uint32_t group_record_in_varint(struct group_record_in *in)
{
    uint64_t v = 0;
    ASSERT(in != NULL);
    for (int i = 0; i < GROUP_RECORD_VARINT_MAX; i++) {
        const uint8_t *p = group_record_in_take(in, 1);
        if (p == NULL)
            return 0;
        v |= (uint64_t)(*p & 0x7f) << (7 * i);
        if (*p < 0x80 && v <= UINT32_MAX)
            return (uint32_t)v;
        if (*p < 0x80)
            break;
    }
    group_record_in_fail(in, GROUP_RECORD_DAMAGED);
    ASSERT(in->rest.size == 0);
    return 0;
}

/* A size or a count, -1 for null and on failure. `narrow`: of 16 bits where it is no varint. */
static int64_t group_record_in_length(struct group_record_in *in, bool narrow)
{
    int64_t length;
    if (in->flexible)
        length = (int64_t)group_record_in_varint(in) - 1;
    else if (narrow)
        length = group_record_in_i16(in);
    else
        length = group_record_in_i32(in);
    if (length < -1)
        group_record_in_fail(in, GROUP_RECORD_DAMAGED);
    ASSERT(in->result != 0 || length >= -1);
    return in->result == 0 ? length : -1;
}

/* `length` bytes; null for -1 and on failure. */
static struct slice group_record_in_slice(struct group_record_in *in, int64_t length)
{
    ASSERT(length >= -1);
    if (length < 0)
        return SLICE_NULL;
    ASSERT(in->result == 0);
    if (length == 0) /* rest.p is no null: the length itself was read before it */
        return slice_of(in->rest.p, 0);
    const uint8_t *p = group_record_in_take(in, (size_t)length);
    return p == NULL ? SLICE_NULL : slice_of(p, (size_t)length);
}

struct slice group_record_in_string_or_null(struct group_record_in *in)
{
    int64_t size = group_record_in_length(in, true);
    if (size > GROUP_RECORD_STRING_MAX) {
        group_record_in_fail(in, GROUP_RECORD_DAMAGED);
        return SLICE_NULL;
    }
    struct slice s = group_record_in_slice(in, size);
    ASSERT(s.size <= GROUP_RECORD_STRING_MAX);
    ASSERT(in->result == 0 || s.p == NULL);
    return s;
}

struct slice group_record_in_string(struct group_record_in *in)
{
    struct slice s = group_record_in_string_or_null(in);
    if (s.p == NULL)
        group_record_in_fail(in, GROUP_RECORD_DAMAGED);
    ASSERT(in->result != 0 || s.p != NULL);
    return s;
}

struct slice group_record_in_bytes(struct group_record_in *in)
{
    struct slice s = group_record_in_slice(in, group_record_in_length(in, false));
    if (s.p == NULL)
        group_record_in_fail(in, GROUP_RECORD_DAMAGED);
    ASSERT(in->result != 0 || s.p != NULL);
    return s;
}

int64_t group_record_in_count_or_null(struct group_record_in *in, size_t item_size_min)
{
    ASSERT(item_size_min > 0);
    int64_t count = group_record_in_length(in, false);
    if (count > 0 && (uint64_t)count > in->rest.size / item_size_min) {
        group_record_in_fail(in, GROUP_RECORD_DAMAGED);
        return -1;
    }
    ASSERT(count <= (int64_t)in->rest.size);
    return count;
}

size_t group_record_in_count(struct group_record_in *in, size_t item_size_min)
{
    int64_t count = group_record_in_count_or_null(in, item_size_min);
    if (count < 0) {
        group_record_in_fail(in, GROUP_RECORD_DAMAGED);
        return 0;
    }
    ASSERT((size_t)count <= in->rest.size);
    ASSERT(in->result == 0 || count == 0);
    return (size_t)count;
}

void *group_record_in_array(struct group_record_in *in, size_t count, size_t size)
{
    ASSERT(in->arena != NULL);
    ASSERT(count <= in->rest.size);
    if (count == 0)
        return NULL;
    void *p = arena_array(in->arena, count, size);
    if (p == NULL)
        group_record_in_fail(in, GROUP_RECORD_LIMIT);
    return p;
}

bool group_record_in_tag(struct group_record_in *in, struct group_record_in *field)
{
    bool found = false;
    int64_t last = -1;
    ASSERT(in != field);
    uint32_t count = in->flexible ? group_record_in_varint(in) : 0;
    for (; count > 0 && in->result == 0; count--) {
        uint32_t tag = group_record_in_varint(in);
        uint32_t size = group_record_in_varint(in);
        if (in->result != 0 || tag <= last || size > in->rest.size) {
            group_record_in_fail(in, GROUP_RECORD_DAMAGED);
            break;
        }
        struct slice bytes = group_record_in_slice(in, size);
        last = tag;
        if (tag == 0) {
            *field = *in;
            field->rest = bytes;
            found = true;
        }
    }
    ASSERT(last >= -1);
    ASSERT(!found || in->flexible);
    return found && in->result == 0;
}

void group_record_in_leave(struct group_record_in *in, struct group_record_in *field)
{
    ASSERT(in != field && in->version == field->version);
    ASSERT(field->flexible);
    int r = group_record_in_close(field);
    if (r != 0)
        group_record_in_fail(in, r);
    ASSERT(r == 0 || in->result != 0);
}

struct group_record_in group_record_in_open(struct slice in, struct group_record_versions versions,
                                            struct arena *arena)
{
    struct group_record_in cursor = {.rest = in, .arena = arena};
    ASSERT(in.p != NULL);
    ASSERT(versions.last >= 0 && versions.flexible >= 0);
    cursor.version = group_record_in_i16(&cursor);
    cursor.flexible = cursor.version >= versions.flexible;
    if (cursor.version < 0 || cursor.version > versions.last)
        group_record_in_fail(&cursor, GROUP_RECORD_UNKNOWN);
    return cursor;
}

int group_record_in_close(struct group_record_in *in)
{
    if (in->rest.size > 0)
        group_record_in_fail(in, GROUP_RECORD_DAMAGED);
    ASSERT(in->rest.size == 0);
    ASSERT(in->result >= 0 && in->result <= GROUP_RECORD_LIMIT);
    return in->result;
}

void group_record_put_i8(struct buf *out, int8_t v)
{
    ASSERT(out != NULL);
    buf_append_u8(out, (uint8_t)v);
    ASSERT(out->size >= 1);
}

void group_record_put_i16(struct buf *out, int16_t v)
{
    ASSERT(out != NULL);
    buf_append_be16(out, (uint16_t)v);
    ASSERT(out->size >= 2);
}

void group_record_put_i32(struct buf *out, int32_t v)
{
    ASSERT(out != NULL);
    buf_append_be32(out, (uint32_t)v);
    ASSERT(out->size >= 4);
}

void group_record_put_i64(struct buf *out, int64_t v)
{
    ASSERT(out != NULL);
    buf_append_be64(out, (uint64_t)v);
    ASSERT(out->size >= 8);
}

static void group_record_put_varint(struct buf *out, size_t v)
{
    ASSERT(out != NULL);
    ASSERT(v <= UINT32_MAX);
    for (; v >= 0x80; v >>= 7)
        buf_append_u8(out, (uint8_t)(v | 0x80));
    buf_append_u8(out, (uint8_t)v);
    ASSERT(out->p[out->size - 1] < 0x80); /* where a reader stops */
}

/* The bytes behind their size. */
static void group_record_put_raw(struct buf *out, struct slice s)
{
    ASSERT(out != NULL);
    ASSERT(s.p != NULL || s.size == 0);
    if (s.size > 0)
        buf_append(out, s.p, s.size);
}

void group_record_put_string(struct buf *out, struct slice s)
{
    ASSERT(s.size <= GROUP_RECORD_STRING_MAX);
    group_record_put_i16(out, (int16_t)s.size);
    group_record_put_raw(out, s);
}

void group_record_put_string_or_null(struct buf *out, struct slice s)
{
    ASSERT(s.p != NULL || s.size == 0);
    if (s.p == NULL)
        group_record_put_i16(out, -1);
    else
        group_record_put_string(out, s);
}

void group_record_put_bytes(struct buf *out, struct slice s)
{
    ASSERT(s.size <= INT32_MAX);
    group_record_put_i32(out, (int32_t)s.size);
    group_record_put_raw(out, s);
}

void group_record_put_compact_count(struct buf *out, size_t count)
{
    ASSERT(count < INT32_MAX); /* a null is 0, so one more is written */
    group_record_put_varint(out, count + 1);
}

void group_record_put_compact_bytes(struct buf *out, struct slice s)
{
    ASSERT(s.size < INT32_MAX);
    group_record_put_compact_count(out, s.size);
    group_record_put_raw(out, s);
}

void group_record_put_compact_string(struct buf *out, struct slice s)
{
    ASSERT(s.size <= GROUP_RECORD_STRING_MAX);
    group_record_put_compact_bytes(out, s);
}

void group_record_put_compact_string_or_null(struct buf *out, struct slice s)
{
    ASSERT(s.p != NULL || s.size == 0);
    if (s.p == NULL)
        group_record_put_varint(out, 0);
    else
        group_record_put_compact_string(out, s);
}

void group_record_put_no_tags(struct buf *out)
{
    ASSERT(out != NULL);
    group_record_put_varint(out, 0);
}

void group_record_put_tag(struct buf *out, struct slice field)
{
    ASSERT(field.p != NULL);
    ASSERT(field.size > 0);
    group_record_put_varint(out, 1); /* one field */
    group_record_put_varint(out, 0); /* tag 0 */
    group_record_put_varint(out, field.size);
    group_record_put_raw(out, field);
}
