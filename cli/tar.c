/* SPDX-License-Identifier: MIT
 *
 * tar: see tar.h. A header of one block, the bytes filled up to whole blocks; two empty blocks end
 * it (POSIX.1-1988, ustar):
 *
 *   pos  size                        pos  size
 *     0   100  name                  148     8  sum of the header's bytes, this field as blanks
 *   100     8  mode, octal           156     1  '0': a file
 *   108     8  owner                 257     6  "ustar", NUL
 *   116     8  group                 263     2  "00"
 *   124    12  size, octal
 *   136    12  mtime, octal
 */
#include "cli/tar.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"

#define TAR_BLOCK 512u

static const uint8_t tar_zeros[2 * TAR_BLOCK];

/* Digits and a NUL. */
static void tar_octal(char *field, size_t size, uint64_t value)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%0*llo", (int)size - 1, (unsigned long long)value);
    ASSERT(n == (int)size - 1);
    memcpy(field, text, size);
}

void tar_add(struct buf *out, const char *name, int64_t mtime_s, struct slice bytes)
{
    char header[TAR_BLOCK] = {0};
    unsigned sum = 0;
    size_t size = strlen(name);
    ASSERT(size > 0 && size <= TAR_NAME_MAX && name[0] != '/');
    ASSERT(mtime_s >= 0 && out->size % TAR_BLOCK == 0);
    memcpy(header, name, size);
    tar_octal(header + 100, 8, 0600);
    tar_octal(header + 108, 8, 0);
    tar_octal(header + 116, 8, 0);
    tar_octal(header + 124, 12, bytes.size);
    tar_octal(header + 136, 12, (uint64_t)mtime_s);
    memset(header + 148, ' ', 8);
    header[156] = '0';
    memcpy(header + 257, "ustar\00000", 8);
    for (size_t i = 0; i < sizeof header; i++)
        sum += (uint8_t)header[i];
    tar_octal(header + 148, 7, sum);
    buf_append(out, header, sizeof header);
    if (bytes.size > 0)
        buf_append(out, bytes.p, bytes.size);
    buf_append(out, tar_zeros, (TAR_BLOCK - bytes.size % TAR_BLOCK) % TAR_BLOCK);
}

void tar_end(struct buf *out)
{
    ASSERT(out->size % TAR_BLOCK == 0);
    buf_append(out, tar_zeros, sizeof tar_zeros);
}
