/* SPDX-License-Identifier: MIT
 *
 * crc32c: CRC-32C, reflected polynomial 0x82f63b78, initial value and final inversion all ones.
 * See crc32c.h. Source: RFC 3720 appendix B.4 (vectors), Intel's slicing-by-8.
 *
 * The table: entry i of row k is the CRC state after byte i and k zero bytes. A CRC is linear, so
 * an entry is the xor of the row's entries for the single bits of i; only those eight are written
 * down and the compiler builds the 8 * 256 from them. The test computes every CRC bit by bit as
 * well.
 */
#include "engine/base/crc32c.h"

#if KAURI_HAVE_ISAL
#include <isa-l/crc.h>
#endif

#include "engine/base/assert.h"
#include "engine/base/bytes.h"

#define CRC32C_ENTRY(i, b0, b1, b2, b3, b4, b5, b6, b7)                                            \
    (((i)&1 ? b0 : 0u) ^ ((i)&2 ? b1 : 0u) ^ ((i)&4 ? b2 : 0u) ^ ((i)&8 ? b3 : 0u) ^               \
     ((i)&16 ? b4 : 0u) ^ ((i)&32 ? b5 : 0u) ^ ((i)&64 ? b6 : 0u) ^ ((i)&128 ? b7 : 0u))
#define CRC32C_4(i, ...)                                                                           \
    CRC32C_ENTRY(i, __VA_ARGS__), CRC32C_ENTRY((i) + 1, __VA_ARGS__),                              \
        CRC32C_ENTRY((i) + 2, __VA_ARGS__), CRC32C_ENTRY((i) + 3, __VA_ARGS__)
#define CRC32C_16(i, ...)                                                                          \
    CRC32C_4(i, __VA_ARGS__), CRC32C_4((i) + 4, __VA_ARGS__), CRC32C_4((i) + 8, __VA_ARGS__),      \
        CRC32C_4((i) + 12, __VA_ARGS__)
#define CRC32C_64(i, ...)                                                                          \
    CRC32C_16(i, __VA_ARGS__), CRC32C_16((i) + 16, __VA_ARGS__), CRC32C_16((i) + 32, __VA_ARGS__), \
        CRC32C_16((i) + 48, __VA_ARGS__)
#define CRC32C_ROW(...)                                                                            \
    {                                                                                              \
        CRC32C_64(0, __VA_ARGS__), CRC32C_64(64, __VA_ARGS__), CRC32C_64(128, __VA_ARGS__),        \
            CRC32C_64(192, __VA_ARGS__)                                                            \
    }

/* clang-format off */
static const uint32_t crc32c_rows[8][256] = {
    CRC32C_ROW(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf,
               0x105ec76f, 0x20bd8ede, 0x417b1dbc, 0x82f63b78),
    CRC32C_ROW(0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8,
               0x3fc5f181, 0x7f8be302, 0xff17c604, 0xfbc3faf9),
    CRC32C_ROW(0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5,
               0x70a27d8a, 0xe144fb14, 0xc76580d9, 0x8b277743),
    CRC32C_ROW(0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6,
               0xe964b13d, 0xd725148b, 0xaba65fe7, 0x52a0c93f),
    CRC32C_ROW(0x38116fac, 0x7022df58, 0xe045beb0, 0xc5670b91,
               0x8f2261d3, 0x1ba8b557, 0x37516aae, 0x6ea2d55c),
    CRC32C_ROW(0xef306b19, 0xdb8ca0c3, 0xb2f53777, 0x6006181f,
               0xc00c303e, 0x85f4168d, 0x0e045beb, 0x1c08b7d6),
    CRC32C_ROW(0x68032cc8, 0xd0065990, 0xa5e0c5d1, 0x4e2dfd53,
               0x9c5bfaa6, 0x3d5b83bd, 0x7ab7077a, 0xf56e0ef4),
    CRC32C_ROW(0x493c7d27, 0x9278fa4e, 0x211d826d, 0x423b04da,
               0x847609b4, 0x0d006599, 0x1a00cb32, 0x34019664),
};
/* clang-format on */

static uint32_t crc32c_step(uint32_t state, uint8_t byte)
{
    return crc32c_rows[0][(state ^ byte) & 0xff] ^ (state >> 8);
}

static uint32_t crc32c_step8(uint32_t state, const uint8_t *p)
{
    uint64_t v = bytes_le64(p) ^ state;
    return crc32c_rows[7][v & 0xff] ^ crc32c_rows[6][(v >> 8) & 0xff] ^
           crc32c_rows[5][(v >> 16) & 0xff] ^ crc32c_rows[4][(v >> 24) & 0xff] ^
           crc32c_rows[3][(v >> 32) & 0xff] ^ crc32c_rows[2][(v >> 40) & 0xff] ^
           crc32c_rows[1][(v >> 48) & 0xff] ^ crc32c_rows[0][v >> 56];
}

uint32_t crc32c_table(uint32_t crc, const void *p, size_t size)
{
    ASSERT(p != NULL || size == 0);
    ASSERT(crc32c_rows[0][128] == 0x82f63b78); /* the polynomial itself */
    const uint8_t *at = p;
    uint32_t state = ~crc;
    for (; size >= 8; size -= 8, at += 8)
        state = crc32c_step8(state, at);
    ASSERT(size < 8);
    for (; size > 0; size--)
        state = crc32c_step(state, *at++);
    return ~state;
}

#if KAURI_HAVE_ISAL

/* libisal counts in int, and takes bytes it does not write through a pointer without const. */
uint32_t crc32c_more(uint32_t crc, const void *p, size_t size)
{
    const size_t piece_max = (size_t)1 << 30;
    ASSERT(p != NULL || size == 0);
    const uint8_t *at = p;
    uint32_t state = ~crc;
    while (size > 0) {
        size_t piece = size < piece_max ? size : piece_max;
        ASSERT(piece > 0 && piece <= INT32_MAX);
        state = crc32_iscsi((unsigned char *)(uintptr_t)at, (int)piece, state);
        at += piece;
        size -= piece;
    }
    ASSERT(size == 0);
    return ~state;
}

#else

uint32_t crc32c_more(uint32_t crc, const void *p, size_t size)
{
    ASSERT(p != NULL || size == 0);
    return crc32c_table(crc, p, size);
}

#endif

uint32_t crc32c(const void *p, size_t size)
{
    ASSERT(p != NULL || size == 0);
    return crc32c_more(0, p, size);
}
