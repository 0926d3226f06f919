/* SPDX-License-Identifier: MIT
 *
 * bytes: slices, growable buffers and byte accessors.
 *
 * On-disk and wire layouts are read and written only through these accessors: no struct is ever
 * copied to disk. `be` is big endian (Kafka's order), `le` little endian (our own files).
 *
 * A struct slice borrows: its owner is named where it is stored. A struct buf owns its memory.
 *
 * Accessors take any alignment; the caller has checked that the bytes are there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "engine/base/error.h"

struct slice {
    const uint8_t *p; /* borrowed; NULL means "null", which differs from empty */
    size_t size;
};

struct buf {
    uint8_t *p; /* owned */
    size_t size;
    size_t cap;
};

#define SLICE_NULL ((struct slice){NULL, 0})

static inline struct slice slice_of(const void *p, size_t size)
{
    return (struct slice){(const uint8_t *)p, size};
}

static inline struct slice slice_str(const char *s)
{
    return (struct slice){(const uint8_t *)s, strlen(s)};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.p, b.p, a.size) == 0);
}

static inline uint16_t bytes_be16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}

static inline uint32_t bytes_be32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline uint64_t bytes_be64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

static inline uint32_t bytes_le32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t bytes_le64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void bytes_put_be16(void *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof v);
}

static inline void bytes_put_be32(void *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}

static inline void bytes_put_be64(void *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

static inline void bytes_put_le32(void *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}

static inline void bytes_put_le64(void *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the accessors assume little endian");

/* Zigzag varints as Kafka's records use them (protobuf's sint32 and sint64).
 * Write: `out` has room for BYTES_VARINT_MAX; returns the bytes written, 1 to 10.
 * Read: returns the bytes taken, or 0 when the varint is cut off, longer than 5 bytes
 * (varint32) or 10 bytes (varint64), or does not fit. `*v` is written only on success. */
#define BYTES_VARINT_MAX 10
size_t bytes_put_varint(uint8_t *out, int64_t v);
size_t bytes_varint_size(int64_t v);
size_t bytes_varint32(struct slice in, int32_t *v);
size_t bytes_varint64(struct slice in, int64_t *v);

/* Growable buffer. A zeroed struct buf is empty and valid. Growth aborts when memory is out: limits
 * are checked by the callers before they grow (see the README, limits). What is appended may not
 * lie in the buffer itself. buf_printf counts no NUL. */
void buf_reserve(struct buf *b, size_t more); /* room for `more` bytes behind size */
void buf_append(struct buf *b, const void *p, size_t size);
void buf_append_u8(struct buf *b, uint8_t v);
void buf_append_be16(struct buf *b, uint16_t v);
void buf_append_be32(struct buf *b, uint32_t v);
void buf_append_be64(struct buf *b, uint64_t v);
void buf_append_le32(struct buf *b, uint32_t v);
void buf_append_le64(struct buf *b, uint64_t v);
void buf_append_varint(struct buf *b, int64_t v);
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *b, const char *fmt, ...);
void buf_reset(struct buf *b);  /* size = 0, memory kept */
void buf_deinit(struct buf *b); /* frees and zeroes */
static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->p, b->size};
}

/* Heap copy of a slice with a NUL behind it (the NUL is not counted). Caller frees. */
uint8_t *slice_dup(struct slice s);
