/* SPDX-License-Identifier: MIT
 *
 * codec: gzip, snappy, lz4 and zstd behind one call. See codec.h.
 *
 * One table row per codec. Decoders write to a sink: the caller's buffer, where it began, and the
 * limit. The sink offers room for at most one byte more than the limit; whoever fills that byte is
 * told CODEC_TOO_LARGE. So no decoder needs to know the limit, and none allocates what an input
 * announces: output doubles as it comes. (A snappy block must be allocated whole, from its
 * announced size, which is compared first with the limit and with what so few bytes can hold at
 * most.)
 *
 * Invariants: K1 base <= out->size <= base + limit between steps; K2 every step of a decoder takes
 * input or gives output, or the input is cut off; K3 contexts live for one call.
 *
 * xerial framing, written by older Java clients, is a header and raw blocks:
 *
 *   pos  size  meaning
 *   0    8     82 'S' 'N' 'A' 'P' 'P' 'Y' 00
 *   8    4     version, big endian, not looked at
 *   12   4     oldest compatible version, not looked at
 *   16   4     size of the block that follows; repeated to the end
 *
 * A raw snappy block cannot begin with these bytes: its first element would be a copy of nothing.
 */
#include "engine/base/codec.h"

#include <lz4frame.h>
#include <snappy-c.h>
#define ZLIB_CONST
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

#define CODEC_ROOM_MIN        ((size_t)4096)
#define CODEC_ROOM_MAX        ((size_t)1 << 30) /* zlib counts in unsigned int */
#define CODEC_LIMIT_MAX       ((size_t)1 << 62)
#define CODEC_GZIP_WRITE      31 /* window of 32 KiB, gzip container */
#define CODEC_GZIP_READ       47 /* the same, gzip or zlib container by its header */
#define CODEC_ZSTD_WINDOW_MIN 23 /* 8 MiB: what RFC 8878 asks every decoder to accept */
#define CODEC_ZSTD_WINDOW_MAX 27 /* 128 MiB: what libzstd writes without long mode */
#define CODEC_SNAPPY_RATIO    32 /* an element of 3 bytes makes at most 64 */
#define CODEC_XERIAL_HEADER   16

struct codec_sink {
    struct buf *out;
    size_t base; /* out->size at the start */
    size_t limit;
};

struct codec_ops {
    const char *name;
    void (*compress)(int level, struct slice in, struct buf *out);
    int (*decompress)(struct slice in, struct codec_sink *s);
};

static size_t codec_sink_done(const struct codec_sink *s)
{
    ASSERT(s->out->size >= s->base);            /* K1 */
    ASSERT(s->out->size - s->base <= s->limit); /* K1 */
    return s->out->size - s->base;
}

/* Where the next output goes; *room is at least 1 and at most 1 past the limit. */
static uint8_t *codec_sink_room(struct codec_sink *s, size_t *room)
{
    size_t done = codec_sink_done(s);
    size_t left = s->limit - done + 1;
    size_t want = done < CODEC_ROOM_MIN ? CODEC_ROOM_MIN : done;
    buf_reserve(s->out, want < left ? want : left);
    size_t spare = s->out->cap - s->out->size;
    spare = spare < left ? spare : left;
    *room = spare < CODEC_ROOM_MAX ? spare : CODEC_ROOM_MAX;
    ASSERT(*room > 0);
    return s->out->p + s->out->size;
}

/* Counts `size` bytes written to the room. */
static int codec_sink_took(struct codec_sink *s, size_t size)
{
    ASSERT(size <= s->out->cap - s->out->size);
    if (size > s->limit - codec_sink_done(s))
        return CODEC_TOO_LARGE;
    s->out->size += size;
    ASSERT(codec_sink_done(s) <= s->limit);
    return 0;
}

static struct slice codec_skip(struct slice in, size_t size)
{
    ASSERT(in.p != NULL);
    ASSERT(size <= in.size);
    return slice_of(in.p + size, in.size - size);
}

/* Room for a whole compressed output of at most `bound` bytes. */
static uint8_t *codec_bound(struct buf *out, size_t bound)
{
    ASSERT(bound > 0);
    buf_reserve(out, bound);
    ASSERT(out->cap - out->size >= bound);
    return out->p + out->size;
}

static void codec_none_compress(int level, struct slice in, struct buf *out)
{
    (void)level;
    ASSERT(in.p != NULL);
    buf_append(out, in.p, in.size);
}

static int codec_none_decompress(struct slice in, struct codec_sink *s)
{
    if (in.size > s->limit - codec_sink_done(s))
        return CODEC_TOO_LARGE;
    buf_append(s->out, in.p, in.size);
    ASSERT(codec_sink_done(s) <= s->limit);
    return 0;
}

static void codec_gzip_compress(int level, struct slice in, struct buf *out)
{
    z_stream z = {0};
    level = level == CODEC_LEVEL_DEFAULT ? Z_DEFAULT_COMPRESSION : level;
    ASSERT(level >= -1 && level <= 9);
    int r = deflateInit2(&z, level, Z_DEFLATED, CODEC_GZIP_WRITE, 8, Z_DEFAULT_STRATEGY);
    ASSERT(r == Z_OK);
    size_t bound = deflateBound(&z, in.size);
    ASSERT(bound <= UINT32_MAX);
    z.next_out = codec_bound(out, bound);
    z.avail_out = (uInt)bound;
    z.next_in = in.p;
    z.avail_in = (uInt)in.size;
    r = deflate(&z, Z_FINISH);
    ASSERT(r == Z_STREAM_END && z.avail_in == 0);
    out->size += bound - z.avail_out;
    r = deflateEnd(&z);
    ASSERT(r == Z_OK);
}

static void codec_gzip_end(z_stream *z)
{
    int r = inflateEnd(z);
    ASSERT(r == Z_OK || z->state == NULL);
}

static int codec_gzip_decompress(struct slice in, struct codec_sink *s)
{
    z_stream z CLEANUP(codec_gzip_end) = {.next_in = in.p, .avail_in = (uInt)in.size};
    int r = inflateInit2(&z, CODEC_GZIP_READ);
    ASSERT(r == Z_OK);
    for (;;) {
        size_t room;
        z.next_out = codec_sink_room(s, &room);
        z.avail_out = (uInt)room;
        r = inflate(&z, Z_NO_FLUSH);
        ASSERT(r != Z_MEM_ERROR && r != Z_STREAM_ERROR);
        if (codec_sink_took(s, room - z.avail_out) != 0)
            return CODEC_TOO_LARGE;
        if (r == Z_STREAM_END && z.avail_in == 0)
            return 0;
        if (r == Z_STREAM_END)
            r = inflateReset(&z); /* another member follows */
        if (r != Z_OK)
            return CODEC_CORRUPT; /* Z_BUF_ERROR: cut off (K2) */
    }
}

static void codec_snappy_compress(int level, struct slice in, struct buf *out)
{
    (void)level;
    size_t bound = snappy_max_compressed_length(in.size);
    uint8_t *p = codec_bound(out, bound);
    size_t size = bound;
    snappy_status status = snappy_compress((const char *)in.p, in.size, (char *)p, &size);
    ASSERT(status == SNAPPY_OK);
    ASSERT(size <= bound);
    out->size += size;
}

static int codec_snappy_block(struct slice in, struct codec_sink *s)
{
    size_t size;
    if (snappy_uncompressed_length((const char *)in.p, in.size, &size) != SNAPPY_OK)
        return CODEC_CORRUPT;
    if (size > s->limit - codec_sink_done(s))
        return CODEC_TOO_LARGE;
    if (size / CODEC_SNAPPY_RATIO > in.size)
        return CODEC_CORRUPT;
    buf_reserve(s->out, size + 1); /* never NULL, also for no bytes */
    char *p = (char *)s->out->p + s->out->size;
    size_t written = size;
    if (snappy_uncompress((const char *)in.p, in.size, p, &written) != SNAPPY_OK)
        return CODEC_CORRUPT;
    ASSERT(written == size);
    return codec_sink_took(s, written);
}

static bool codec_xerial_starts(struct slice in)
{
    ASSERT(in.p != NULL);
    static const uint8_t magic[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
    return in.size >= CODEC_XERIAL_HEADER && memcmp(in.p, magic, sizeof magic) == 0;
}

static int codec_xerial_decompress(struct slice in, struct codec_sink *s)
{
    ASSERT(codec_xerial_starts(in));
    while (in.size > 0) {
        if (codec_xerial_starts(in)) {
            in = codec_skip(in, CODEC_XERIAL_HEADER);
            continue;
        }
        if (in.size < 4)
            return CODEC_CORRUPT;
        size_t size = bytes_be32(in.p);
        in = codec_skip(in, 4);
        if (size > in.size)
            return CODEC_CORRUPT;
        int r = codec_snappy_block(slice_of(in.p, size), s);
        if (r != 0)
            return r;
        in = codec_skip(in, size);
    }
    return 0;
}

static int codec_snappy_decompress(struct slice in, struct codec_sink *s)
{
    if (codec_xerial_starts(in))
        return codec_xerial_decompress(in, s);
    return codec_snappy_block(in, s);
}

/* Blocks of 64 KiB that do not refer to each other: Java's reader takes no others. */
static void codec_lz4_compress(int level, struct slice in, struct buf *out)
{
    LZ4F_preferences_t prefs = LZ4F_INIT_PREFERENCES;
    prefs.frameInfo.blockMode = LZ4F_blockIndependent;
    prefs.frameInfo.blockSizeID = LZ4F_max64KB;
    prefs.compressionLevel = level == CODEC_LEVEL_DEFAULT ? 0 : level;
    size_t bound = LZ4F_compressFrameBound(in.size, &prefs);
    uint8_t *p = codec_bound(out, bound);
    size_t size = LZ4F_compressFrame(p, bound, in.p, in.size, &prefs);
    ASSERT(!LZ4F_isError(size));
    ASSERT(size <= bound);
    out->size += size;
}

static void codec_lz4_end(LZ4F_dctx **ctx)
{
    LZ4F_errorCode_t error = LZ4F_freeDecompressionContext(*ctx);
    ASSERT(!LZ4F_isError(error));
}

/* What an error of the decoder means: out of memory is not the input's fault. */
static int codec_lz4_condition(size_t error)
{
    ASSERT(LZ4F_isError(error));
    ASSERT(strcmp(LZ4F_getErrorName(error), "ERROR_allocation_failed") != 0);
    return CODEC_CORRUPT;
}

static int codec_lz4_decompress(struct slice in, struct codec_sink *s)
{
    LZ4F_dctx *ctx CLEANUP(codec_lz4_end) = NULL;
    size_t hint = LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION);
    ASSERT(!LZ4F_isError(hint) && ctx != NULL);
    for (hint = 1; hint != 0 || in.size > 0;) {
        size_t written, read = in.size;
        uint8_t *p = codec_sink_room(s, &written);
        hint = LZ4F_decompress(ctx, p, &written, in.p, &read, NULL);
        if (LZ4F_isError(hint))
            return codec_lz4_condition(hint);
        if (codec_sink_took(s, written) != 0)
            return CODEC_TOO_LARGE;
        if (hint != 0 && written == 0 && read == 0)
            return CODEC_CORRUPT; /* cut off (K2) */
        in = codec_skip(in, read);
    }
    return 0;
}

static void codec_zstd_compress(int level, struct slice in, struct buf *out)
{
    level = level == CODEC_LEVEL_DEFAULT ? ZSTD_CLEVEL_DEFAULT : level;
    size_t bound = ZSTD_compressBound(in.size);
    uint8_t *p = codec_bound(out, bound);
    size_t size = ZSTD_compress(p, bound, in.p, in.size, level);
    ASSERT(!ZSTD_isError(size));
    ASSERT(size <= bound);
    out->size += size;
}

static void codec_zstd_end(ZSTD_DCtx **ctx)
{
    size_t error = ZSTD_freeDCtx(*ctx);
    ASSERT(!ZSTD_isError(error));
}

/* The largest window to accept, as a power of two: one that holds `limit`, within bounds. */
static int codec_zstd_window(size_t limit)
{
    int log = CODEC_ZSTD_WINDOW_MIN;
    while (log < CODEC_ZSTD_WINDOW_MAX && ((size_t)1 << log) < limit)
        log++;
    ASSERT(log >= CODEC_ZSTD_WINDOW_MIN && log <= CODEC_ZSTD_WINDOW_MAX);
    return log;
}

static int codec_zstd_condition(size_t error)
{
    ZSTD_ErrorCode code = ZSTD_getErrorCode(error);
    ASSERT(code != ZSTD_error_no_error);
    ASSERT(code != ZSTD_error_memory_allocation);
    return code == ZSTD_error_frameParameter_windowTooLarge ? CODEC_TOO_LARGE : CODEC_CORRUPT;
}

static int codec_zstd_decompress(struct slice in, struct codec_sink *s)
{
    ZSTD_DCtx *ctx CLEANUP(codec_zstd_end) = ZSTD_createDCtx();
    ASSERT(ctx != NULL);
    size_t hint = ZSTD_DCtx_setParameter(ctx, ZSTD_d_windowLogMax, codec_zstd_window(s->limit));
    ASSERT(!ZSTD_isError(hint));
    ZSTD_inBuffer input = {in.p, in.size, 0};
    for (hint = 1; hint != 0 || input.pos < input.size;) {
        ZSTD_outBuffer output = {NULL, 0, 0};
        output.dst = codec_sink_room(s, &output.size);
        size_t read = input.pos;
        ASSERT(output.size > 0);
        hint = ZSTD_decompressStream(ctx, &output, &input);
        if (ZSTD_isError(hint))
            return codec_zstd_condition(hint);
        if (codec_sink_took(s, output.pos) != 0)
            return CODEC_TOO_LARGE;
        if (hint != 0 && output.pos == 0 && input.pos == read)
            return CODEC_CORRUPT; /* cut off (K2) */
    }
    return 0;
}

static const struct codec_ops codec_table[CODEC_COUNT] = {
    [CODEC_NONE] = {"none", codec_none_compress, codec_none_decompress},
    [CODEC_GZIP] = {"gzip", codec_gzip_compress, codec_gzip_decompress},
    [CODEC_SNAPPY] = {"snappy", codec_snappy_compress, codec_snappy_decompress},
    [CODEC_LZ4] = {"lz4", codec_lz4_compress, codec_lz4_decompress},
    [CODEC_ZSTD] = {"zstd", codec_zstd_compress, codec_zstd_decompress},
};

void codec_compress(enum codec codec, int level, struct slice in, struct buf *out)
{
    ASSERT((unsigned)codec < CODEC_COUNT);
    ASSERT(in.size <= CODEC_INPUT_MAX);
    if (in.size == 0)
        in = slice_str("");
    codec_table[codec].compress(level, in, out);
    ASSERT(out->size <= out->cap);
}

int codec_decompress(enum codec codec, struct slice in, size_t limit, struct buf *out)
{
    ASSERT((unsigned)codec < CODEC_COUNT);
    ASSERT(in.p != NULL || in.size == 0);
    struct codec_sink sink = {.out = out, .base = out->size};
    sink.limit = limit < CODEC_LIMIT_MAX ? limit : CODEC_LIMIT_MAX;
    if (in.size > CODEC_INPUT_MAX || (in.size == 0 && codec != CODEC_NONE))
        return CODEC_CORRUPT;
    int r = codec_table[codec].decompress(in, &sink);
    ASSERT(out->size - sink.base <= limit);
    if (r != 0)
        out->size = sink.base;
    return r;
}

const char *codec_name(enum codec codec)
{
    return (unsigned)codec < CODEC_COUNT ? codec_table[codec].name : "unknown";
}

int codec_from_name(const char *name, enum codec *out)
{
    ASSERT(name != NULL);
    ASSERT(out != NULL);
    for (unsigned i = 0; i < CODEC_COUNT; i++) {
        if (strcmp(name, codec_table[i].name) == 0) {
            *out = (enum codec)i;
            return 0;
        }
    }
    return 1;
}
