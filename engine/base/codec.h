/* SPDX-License-Identifier: MIT
 *
 * codec: the four compression codecs of RecordBatch v2 behind one call.
 *
 * gzip by zlib, snappy by libsnappy (raw blocks and xerial framing are read, raw blocks written),
 * lz4 by liblz4 in its frame format, zstd by libzstd. Input is foreign: every decoder stops at
 * `limit` output bytes, so that a decompression bomb costs no more than that (twice that while the
 * output grows, plus the window of zstd, see codec_decompress).
 */
#pragma once

#include "engine/base/bytes.h"

enum codec {
    CODEC_NONE = 0,
    CODEC_GZIP = 1,
    CODEC_SNAPPY = 2,
    CODEC_LZ4 = 3,
    CODEC_ZSTD = 4,
};
#define CODEC_COUNT 5

/* The largest input of either direction: a batch's size is a signed 32-bit number. */
#define CODEC_INPUT_MAX ((size_t)INT32_MAX)

/* Conditions of codec_decompress. */
#define CODEC_CORRUPT                                                                              \
    1 /* the bytes are not this codec's, or cut off, or more than CODEC_INPUT_MAX */
#define CODEC_TOO_LARGE 2 /* more than `limit` bytes would come out */

/* Appends the compressed form of `in` (at most CODEC_INPUT_MAX bytes) to `out`. `level` as the
 * codec defines it (gzip -1 to 9, lz4 and zstd clamp, snappy has none), CODEC_LEVEL_DEFAULT for its
 * own default (gzip -1, lz4 fast, zstd 3). Only out of memory can fail, and aborts. */
#define CODEC_LEVEL_DEFAULT (-1000)
void codec_compress(enum codec codec, int level, struct slice in, struct buf *out);

/* Appends the plain bytes of `in` to `out`, at most `limit` of them. 0, CODEC_CORRUPT or
 * CODEC_TOO_LARGE; on a condition `out` is as before (its memory may have grown). Concatenated gzip
 * members and lz4, zstd and xerial frames are read as one. A zstd window larger than 8 MiB and than
 * `limit`, or than 128 MiB, counts as too large: it would have to be allocated. */
int codec_decompress(enum codec codec, struct slice in, size_t limit, struct buf *out) MUST_CHECK;

/* "none", "gzip", ... static; "unknown" outside the enum. */
const char *codec_name(enum codec codec);
/* 0 and *out, or 1 when no codec has that name. */
int codec_from_name(const char *name, enum codec *out) MUST_CHECK;
