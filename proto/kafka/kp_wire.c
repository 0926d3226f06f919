/* SPDX-License-Identifier: MIT
 *
 * kp_wire: single values on the wire: varints, strings, counts, tag sections. See kp_priv.h.
 *
 * Sizes are compared before anything is computed from them: a size is at most 32 bits wide and
 * `left` is what really lies there.
 */
#include "proto/kafka/kp_priv.h"

#define KP_VARINT_SIZE_MAX 5

struct kp_in kp_in_of(struct slice bytes, struct kp_kind kind, struct arena *a)
{
    static const uint8_t nothing[1] = {0};
    ASSERT(bytes.p != NULL || bytes.size == 0);
    return (struct kp_in){.p = bytes.p == NULL ? nothing : bytes.p,
                          .left = bytes.size,
                          .arena = a,
                          .version = kind.version,
                          .flexible = kp_is_flexible(kind.api, kind.version)};
}

void kp_in_fail(struct kp_in *in, int condition)
{
    ASSERT(condition > 0);
    if (in->bad == 0)
        in->bad = condition;
    in->left = 0;
}

uint32_t kp_in_uvarint(struct kp_in *in)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < KP_VARINT_SIZE_MAX; i++) {
        const uint8_t *p = kp_in_take(in, 1);
        if (p == NULL)
            return 0;
        v |= (uint64_t)(*p & 0x7f) << (7 * i);
        if ((*p & 0x80) == 0) {
            if (v <= UINT32_MAX)
                return (uint32_t)v;
            break;
        }
    }
    kp_in_fail(in, KP_BAD_VARINT);
    return 0;
}

/* A size or count of either style, -1 null; below that is a fault. */
static int64_t kp_in_length(struct kp_in *in, bool flexible, bool is_short, int fault)
{
    int64_t length = flexible   ? (int64_t)kp_in_uvarint(in) - 1
                     : is_short ? kp_in_i16(in)
                                : kp_in_i32(in);
    if (in->bad != 0)
        return 0;
    if (length < -1 || length > INT32_MAX) {
        kp_in_fail(in, fault);
        return 0;
    }
    return length;
}

static struct slice kp_in_sized(struct kp_in *in, int64_t size, bool nullable)
{
    if (size < 0) {
        if (!nullable)
            kp_in_fail(in, KP_BAD_NULL);
        return SLICE_NULL;
    }
    const uint8_t *p = kp_in_take(in, (size_t)size);
    ASSERT(p != NULL || in->bad != 0);
    return p == NULL ? SLICE_NULL : slice_of(p, (size_t)size);
}

struct slice kp_in_string(struct kp_in *in, bool nullable, bool plain)
{
    int64_t size = kp_in_length(in, in->flexible && !plain, true, KP_BAD_SIZE);
    if (size > KP_STRING_SIZE_MAX) {
        kp_in_fail(in, KP_BAD_SIZE);
        return SLICE_NULL;
    }
    return kp_in_sized(in, size, nullable);
}

struct slice kp_in_bytes(struct kp_in *in, bool nullable, bool plain)
{
    int64_t size = kp_in_length(in, in->flexible && !plain, false, KP_BAD_SIZE);
    return kp_in_sized(in, size, nullable);
}

int32_t kp_in_count(struct kp_in *in, bool nullable, size_t wire_min)
{
    ASSERT(wire_min > 0);
    int64_t count = kp_in_length(in, in->flexible, false, KP_BAD_COUNT);
    if (count < 0 && !nullable)
        kp_in_fail(in, KP_BAD_NULL);
    else if (count > 0 && (uint64_t)count > in->left / wire_min)
        kp_in_fail(in, KP_BAD_COUNT);
    return in->bad == 0 ? (int32_t)count : 0;
}

void kp_in_tags(struct kp_in *in, struct kp_tags *tags)
{
    ASSERT(in->flexible);
    *tags = (struct kp_tags){.left = kp_in_uvarint(in), .number = -1};
    if (tags->left > KP_TAGS_MAX)
        kp_in_fail(in, KP_BAD_TAG);
}

bool kp_in_tag(struct kp_in *in, struct kp_tags *tags)
{
    if (in->bad != 0 || tags->left == 0)
        return false;
    tags->left--;
    int64_t number = kp_in_uvarint(in);
    size_t size = kp_in_uvarint(in);
    if (in->bad == 0 && number <= tags->number)
        kp_in_fail(in, KP_BAD_TAG);
    const uint8_t *p = kp_in_take(in, size);
    if (p == NULL || in->bad != 0)
        return false;
    tags->number = number;
    tags->in = *in;
    tags->in.p = p;
    tags->in.left = size;
    return true;
}

void kp_in_tag_end(struct kp_in *in, struct kp_tags *tags)
{
    ASSERT(in->bad == 0);
    if (tags->in.bad != 0)
        kp_in_fail(in, tags->in.bad);
    else if (tags->in.left != 0)
        kp_in_fail(in, KP_BAD_TAG);
}

void kp_in_tag_skip(struct kp_tags *tags)
{
    (void)kp_in_take(&tags->in, tags->in.left);
    ASSERT(tags->in.left == 0 && tags->in.bad == 0);
}

void kp_in_skip_tags(struct kp_in *in)
{
    struct kp_tags tags;
    if (!in->flexible)
        return;
    kp_in_tags(in, &tags);
    while (kp_in_tag(in, &tags)) {
        kp_in_tag_skip(&tags);
        kp_in_tag_end(in, &tags);
    }
}

void kp_out_uvarint(struct kp_out *out, uint32_t v)
{
    uint8_t b[KP_VARINT_SIZE_MAX];
    size_t size = 0;
    for (; v >= 0x80; v >>= 7)
        b[size++] = (uint8_t)(v | 0x80);
    b[size++] = (uint8_t)v;
    ASSERT(size <= sizeof b);
    kp_out_put(out, b, size);
}

/* A size or count of either style, -1 null. */
static void kp_out_length(struct kp_out *out, int32_t length, bool flexible, bool is_short)
{
    ASSERT(length >= -1);
    if (flexible)
        kp_out_uvarint(out, (uint32_t)length + 1);
    else if (is_short)
        kp_out_i16(out, (int16_t)length);
    else
        kp_out_i32(out, length);
}

/* Size and bytes; null becomes empty where it is not allowed, and so does what is too large. */
static void kp_out_sized(struct kp_out *out, struct slice s, bool nullable, bool flexible,
                         bool is_short)
{
    ASSERT(s.p != NULL || s.size == 0);
    if (s.size > (is_short ? KP_STRING_SIZE_MAX : INT32_MAX - 1)) {
        out->bad = KP_TOO_LARGE;
        s = slice_of("", 0);
    }
    bool is_null = s.p == NULL && nullable;
    kp_out_length(out, is_null ? -1 : (int32_t)s.size, flexible, is_short);
    kp_out_put(out, s.p, s.size);
}

void kp_out_string(struct kp_out *out, struct slice s, bool nullable, bool plain)
{
    kp_out_sized(out, s, nullable, out->flexible && !plain, true);
}

void kp_out_bytes(struct kp_out *out, struct slice s, bool nullable, bool plain)
{
    kp_out_sized(out, s, nullable, out->flexible && !plain, false);
}

void kp_out_bytes_size(struct kp_out *out, size_t size)
{
    ASSERT(size < INT32_MAX);
    kp_out_length(out, (int32_t)size, out->flexible, false);
}

int32_t kp_out_count(struct kp_out *out, int32_t count, bool nullable)
{
    ASSERT(count >= -1 && count < INT32_MAX);
    if (count < 0 && !nullable)
        count = 0;
    kp_out_length(out, count, out->flexible, false);
    return count < 0 ? 0 : count;
}

struct kp_out kp_out_room(const struct kp_out *count, struct buf *to)
{
    struct kp_out out = *count;
    ASSERT(count->p == NULL && count->size > 0);
    buf_reserve(to, count->size);
    out.p = to->p + to->size;
    out.size = 0;
    out.bad = 0;
    return out;
}

void kp_out_done(const struct kp_out *out, const struct kp_out *count, struct buf *to)
{
    ASSERT(out->size == count->size);
    ASSERT(out->p == to->p + to->size);
    to->size += out->size;
}
