/* SPDX-License-Identifier: MIT
 *
 * bytes: varints and the growable buffer. See bytes.h.
 *
 * A buffer doubles, so that appending n bytes in small steps copies O(n). Invariant: size <= cap,
 * and p is NULL only when cap is 0.
 */
#include "engine/base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"

#define BUF_CAP_MIN 64

static uint64_t bytes_zigzag(int64_t v)
{
    uint64_t u = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
    ASSERT((u & 1) == (v < 0)); /* the sign is the lowest bit */
    return u;
}

static int64_t bytes_unzigzag(uint64_t u)
{
    int64_t v = (int64_t)((u >> 1) ^ (0 - (u & 1)));
    ASSERT((u & 1) == (v < 0));
    return v;
}

size_t bytes_put_varint(uint8_t *out, int64_t v)
{
    ASSERT(out != NULL);
    uint64_t u = bytes_zigzag(v);
    size_t size = 0;
    for (; u >= 0x80; u >>= 7)
        out[size++] = (uint8_t)(u | 0x80);
    out[size++] = (uint8_t)u;
    ASSERT(size <= BYTES_VARINT_MAX);
    ASSERT(out[size - 1] < 0x80); /* where a reader stops */
    return size;
}

size_t bytes_varint_size(int64_t v)
{
    uint64_t u = bytes_zigzag(v);
    size_t size = 1;
    for (; u >= 0x80; u >>= 7)
        size++;
    ASSERT(size <= BYTES_VARINT_MAX);
    return size;
}

/* The unsigned varint of at most `size_max` bytes; 0 when cut off, longer, or past 64 bits. */
static size_t bytes_uvarint(struct slice in, size_t size_max, uint64_t *out)
{
    ASSERT(size_max <= BYTES_VARINT_MAX);
    ASSERT(in.p != NULL || in.size == 0);
    uint64_t u = 0;
    for (size_t i = 0; i < size_max && i < in.size; i++) {
        uint64_t bits = in.p[i] & 0x7f;
        if (i == BYTES_VARINT_MAX - 1 && bits > 1)
            return 0;
        u |= bits << (7 * i);
        if (in.p[i] < 0x80) {
            *out = u;
            return i + 1;
        }
    }
    return 0;
}

size_t bytes_varint32(struct slice in, int32_t *v)
{
    uint64_t u;
    ASSERT(v != NULL);
    size_t size = bytes_uvarint(in, 5, &u);
    if (size == 0 || u > UINT32_MAX)
        return 0;
    ASSERT(size <= 5 && size <= in.size);
    *v = (int32_t)bytes_unzigzag(u);
    return size;
}

size_t bytes_varint64(struct slice in, int64_t *v)
{
    uint64_t u;
    ASSERT(v != NULL);
    size_t size = bytes_uvarint(in, BYTES_VARINT_MAX, &u);
    if (size == 0)
        return 0;
    ASSERT(size <= in.size);
    ASSERT(size <= BYTES_VARINT_MAX);
    *v = bytes_unzigzag(u);
    return size;
}

/* The invariant of struct buf. */
static void buf_check(const struct buf *b)
{
    ASSERT(b != NULL);
    ASSERT(b->size <= b->cap);
    ASSERT((b->p == NULL) == (b->cap == 0));
}

/* Whether p points into the buffer's memory, which may move under it. */
static bool buf_holds(const struct buf *b, const void *p)
{
    ASSERT(b != NULL);
    ASSERT(b->p != NULL || b->cap == 0);
    return b->p != NULL && (uintptr_t)p - (uintptr_t)b->p < b->cap;
}

void buf_reserve(struct buf *b, size_t more)
{
    buf_check(b);
    if (more <= b->cap - b->size)
        return;
    size_t need;
    bool overflow = __builtin_add_overflow(b->size, more, &need);
    ASSERT(!overflow && need <= PTRDIFF_MAX);
    size_t cap = b->cap < BUF_CAP_MIN / 2 ? BUF_CAP_MIN : b->cap * 2;
    cap = cap < need ? need : cap;
    b->p = assert_memory(realloc(b->p, cap), cap);
    b->cap = cap;
    ASSERT(more <= b->cap - b->size);
}

void buf_append(struct buf *b, const void *p, size_t size)
{
    ASSERT(p != NULL || size == 0);
    if (size == 0)
        return;
    ASSERT(!buf_holds(b, p));
    buf_reserve(b, size);
    memcpy(b->p + b->size, p, size);
    b->size += size;
    ASSERT(b->size <= b->cap);
}

/* `size` bytes at the end of the buffer, for the caller to fill. */
static uint8_t *buf_grow(struct buf *b, size_t size)
{
    ASSERT(size > 0);
    buf_reserve(b, size);
    ASSERT(size <= b->cap - b->size);
    uint8_t *p = b->p + b->size;
    b->size += size;
    return p;
}

void buf_append_u8(struct buf *b, uint8_t v)
{
    *buf_grow(b, 1) = v;
}

void buf_append_be16(struct buf *b, uint16_t v)
{
    bytes_put_be16(buf_grow(b, sizeof v), v);
}

void buf_append_be32(struct buf *b, uint32_t v)
{
    bytes_put_be32(buf_grow(b, sizeof v), v);
}

void buf_append_be64(struct buf *b, uint64_t v)
{
    bytes_put_be64(buf_grow(b, sizeof v), v);
}

void buf_append_le32(struct buf *b, uint32_t v)
{
    bytes_put_le32(buf_grow(b, sizeof v), v);
}

void buf_append_le64(struct buf *b, uint64_t v)
{
    bytes_put_le64(buf_grow(b, sizeof v), v);
}

void buf_append_varint(struct buf *b, int64_t v)
{
    buf_reserve(b, BYTES_VARINT_MAX);
    ASSERT(b->cap - b->size >= BYTES_VARINT_MAX);
    b->size += bytes_put_varint(b->p + b->size, v);
    ASSERT(b->size <= b->cap);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    ASSERT(fmt != NULL);
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, fmt, args);
    ASSERT(size >= 0);
    buf_reserve(b, (size_t)size + 1);
    int written = vsnprintf((char *)b->p + b->size, (size_t)size + 1, fmt, again);
    ASSERT(written == size);
    b->size += (size_t)size;
    ASSERT(b->size < b->cap); /* the NUL lies behind */
    va_end(again);
    va_end(args);
}

void buf_reset(struct buf *b)
{
    buf_check(b);
    b->size = 0;
}

void buf_deinit(struct buf *b)
{
    buf_check(b);
    free(b->p);
    *b = (struct buf){NULL, 0, 0};
}

uint8_t *slice_dup(struct slice s)
{
    ASSERT(s.p != NULL || s.size == 0);
    ASSERT(s.size < PTRDIFF_MAX);
    uint8_t *p = assert_memory(malloc(s.size + 1), s.size + 1);
    if (s.size > 0)
        memcpy(p, s.p, s.size);
    p[s.size] = '\0';
    return p;
}
