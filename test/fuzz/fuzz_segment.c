/* SPDX-License-Identifier: MIT
 *
 * fuzz_segment: foreign bytes as the files of a partition folder (libFuzzer; corpus in
 * corpus/segment).
 *
 *   pos size
 *     0    1  bits 0-1 segment size, 2-3 index interval, 4 power cut instead of a clean close
 *     1    1  seed of the power cut
 *   then per file
 *     0    1  low 3 bits: 0 log, 1 index, 2 timeindex, 3 state, 4 snapshot, 5 a leftover, 6 and 7
 *             log; bit 7: make the checksums right, since a fuzzer will not guess them
 *     1    8  base offset in the name, big endian
 *     9    2  size, big endian; cut to what is left
 *    11       content
 *
 * The folder is verified, opened, read, searched, appended to, closed or cut, opened again, trimmed
 * and truncated. Beyond not crashing: what a read returns are batches that check and contain the
 * offset asked for, damage comes with a place to go on, an append on top is stored and still there
 * after the power cut, and the next opening finds the same log, byte for byte. Of a log
 * with damage the next opening may read less (see scan.h), but nothing of it leaves the disk.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/crc32c.h"
#include "engine/store/log.h"
#include "engine/store/verify.h"

#define FUZZ_DIR      "/p-0"
#define FUZZ_NOW      INT64_C(1700000000000)
#define FUZZ_FILES    16
#define FUZZ_SIZE_MAX ((size_t)1 << 16)
#define FUZZ_HEAD     11

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
    struct io *io; /* owned */
    struct log_options options;
    bool cut;
    uint8_t seed;
    int64_t start; /* of the log as it was first opened */
    int64_t end;
    struct buf bytes; /* everything that could be read from it */
    bool whole;       /* and that was all */
    struct buf files; /* the logs of the folder, one behind the other */
};

/* --- the folder --- */

static void fuzz_seal_log(uint8_t *p, size_t size)
{
    for (size_t pos = 0; size - pos >= BATCH_HEADER_SIZE;) {
        uint8_t *batch = p + pos;
        size_t left = size - pos, length = (size_t)bytes_be32(batch + BATCH_POS_LENGTH);
        if (length < BATCH_HEADER_SIZE - BATCH_PREFIX_SIZE || length > left - BATCH_PREFIX_SIZE)
            return; /* as damaged as it came */
        size_t whole = length + BATCH_PREFIX_SIZE;
        batch[BATCH_POS_MAGIC] = BATCH_MAGIC;
        bytes_put_be32(batch + BATCH_POS_CRC,
                       crc32c(batch + BATCH_POS_ATTRIBUTES, whole - BATCH_POS_ATTRIBUTES));
        pos += whole;
    }
}

static void fuzz_seal_entries(uint8_t *p, size_t size, size_t entry)
{
    for (size_t pos = 0; size - pos >= entry; pos += entry)
        bytes_put_le32(p + pos + entry - 4, crc32c(p + pos, entry - 4));
}

/* The checksum of state and snapshot: at 4, of everything behind it. */
static void fuzz_seal_head(uint8_t *p, size_t size)
{
    if (size >= 8)
        bytes_put_le32(p + 4, crc32c(p + 8, size - 8));
}

static void fuzz_seal(unsigned kind, uint8_t *p, size_t size)
{
    if (kind == 1)
        fuzz_seal_entries(p, size, 12);
    else if (kind == 2)
        fuzz_seal_entries(p, size, 16);
    else if (kind == 3 || kind == 4)
        fuzz_seal_head(p, size);
    else
        fuzz_seal_log(p, size);
}

static void fuzz_name(unsigned kind, int64_t base, struct buf *path)
{
    static const char *const suffixes[] = {"log",      "index",   "timeindex", NULL,
                                           "snapshot", "log.tmp", "log",       "log"};
    if (suffixes[kind] == NULL)
        state_path(path, FUZZ_DIR, "state");
    else
        state_segment_path(path, FUZZ_DIR, base, suffixes[kind]);
}

static void fuzz_write(struct fuzz *z, const char *path, struct slice content)
{
    struct io_file *f = NULL;
    struct iovec v = {(void *)(uintptr_t)content.p, content.size};
    int r = io_open(z->io, path, IO_READ | IO_WRITE | IO_CREATE, &f);
    ASSERT(r == 0);
    r = content.size > 0 ? io_pwritev(f, &v, 1, 0) : 0;
    ASSERT(r == 0);
    r = io_sync(z->io, &f, 1);
    ASSERT(r == 0);
    (void)io_close(f);
}

/* One file from the front of `in`; returns what is behind it. */
static struct slice fuzz_file(struct fuzz *z, struct slice in)
{
    struct buf path = {0}, content = {0};
    unsigned kind = in.p[0] & 7;
    int64_t base = (int64_t)(bytes_be64(in.p + 1) & INT64_MAX);
    size_t left = in.size - FUZZ_HEAD, size = bytes_be16(in.p + 9);
    size = size < left ? size : left;
    buf_append(&content, in.p + FUZZ_HEAD, size);
    if ((in.p[0] & 0x80) != 0 && size > 0)
        fuzz_seal(kind, content.p, size);
    fuzz_name(kind, base, &path);
    fuzz_write(z, (const char *)path.p, buf_slice(&content));
    buf_deinit(&path);
    buf_deinit(&content);
    return slice_of(in.p + FUZZ_HEAD + size, left - size);
}

static void fuzz_folder(struct fuzz *z, struct slice in)
{
    z->io = io_crash_new(0);
    int r = io_mkdir(z->io, FUZZ_DIR);
    ASSERT(r == 0);
    for (unsigned i = 0; i < FUZZ_FILES && in.size > FUZZ_HEAD; i++)
        in = fuzz_file(z, in);
    r = io_sync_dir(z->io, FUZZ_DIR);
    ASSERT(r == 0);
    r = io_sync_dir(z->io, "/");
    ASSERT(r == 0);
}

/* --- what is done with it --- */

static void fuzz_found(void *ctx, bool fault, const char *line)
{
    struct fuzz *z = ctx;
    ASSERT(z->io != NULL && line[0] != '\0');
    (void)fault;
}

static void fuzz_verify(struct fuzz *z)
{
    struct store store;
    struct verify_totals totals = {0};
    struct verify_options o = {.deep = true, .found = fuzz_found, .ctx = z};
    store_init(&store, &(struct store_options){.io = z->io});
    int r = verify_part(&store, FUZZ_DIR, &o, &totals);
    ASSERT(r == 0 && totals.partitions == 1);
    store_deinit(&store);
}

/* Every batch of a view; the first holds `offset`. Those below `end` are kept. */
static void fuzz_view(const struct log_view *v, int64_t offset, int64_t end, struct buf *out)
{
    int64_t expected = 0;
    for (struct slice rest = v->bytes; rest.size > 0;) {
        struct batch_header h;
        ASSERT(batch_check_stored(rest, expected, &h) == BATCH_OK);
        ASSERT(batch_next_offset(&h) > offset);
        if (h.base_offset < end)
            buf_append(out, rest.p, h.size);
        expected = offset = batch_next_offset(&h);
        rest = slice_of(rest.p + h.size, rest.size - h.size);
    }
    ASSERT(v->bytes.size > 0 && v->next_offset == expected);
}

/* Reads the whole log; what could be read below `end` is appended to out. True: that was all. */
static bool fuzz_read(struct log *l, int64_t end, struct buf *out)
{
    int64_t offset = log_start(l);
    bool all = true;
    while (offset < log_end(l)) {
        struct log_view v;
        int64_t good = -1;
        int r = log_read(l, offset, 256, &v, &good);
        if (r == PART_END && log_part(l)->generation > 0)
            break; /* a cleaner took the last records */
        if (r == PART_DAMAGED) {
            ASSERT(good > offset && good <= log_end(l));
            offset = good;
            all = false;
            continue;
        }
        ASSERT(r == 0);
        fuzz_view(&v, offset, end, out);
        offset = v.next_offset;
        log_view_release(&v);
    }
    part_check(log_part(l));
    return all && log_part(l)->damaged_count == 0; /* stray bytes between batches count too */
}

static int fuzz_log_file(void *ctx, const char *name, enum io_kind kind)
{
    struct fuzz *z = ctx;
    struct buf path = {0};
    if (kind == IO_KIND_FILE && state_parse_name(name, "log") >= 0) {
        state_path(&path, FUZZ_DIR, name);
        int r = io_read_file(z->io, (const char *)path.p, FUZZ_SIZE_MAX * 2, &z->files);
        ASSERT(r == 0);
    }
    buf_deinit(&path);
    return 0;
}

/* Every batch that could be read once is still on the disk, readable or not. */
static void fuzz_nothing_lost(struct fuzz *z)
{
    int r = io_list(z->io, FUZZ_DIR, fuzz_log_file, z);
    ASSERT(r == 0);
    for (struct slice rest = buf_slice(&z->bytes); rest.size > 0;) {
        struct batch_header h;
        ASSERT(batch_parse(rest, &h) == BATCH_OK);
        ASSERT(memmem(z->files.p, z->files.size, rest.p, h.size) != NULL);
        rest = slice_of(rest.p + h.size, rest.size - h.size);
    }
}

static void fuzz_search(struct log *l, int64_t timestamp)
{
    int64_t offset, found;
    int r = log_find_time(l, timestamp, &offset, &found);
    ASSERT(r == 0 && offset >= -1 && offset < log_end(l));
    ASSERT(offset < 0 || (offset >= log_start(l) && found >= timestamp));
}

/* Opens; NULL: written by a newer version. */
static struct log *fuzz_open(struct fuzz *z)
{
    struct log *l = NULL;
    int r = log_open(&z->options, &l);
    ASSERT(r == 0 || r == STATE_NEWER);
    if (r == 0)
        part_check(log_part(l));
    return l;
}

/* One record on top; false where offsets have come to their end. */
static bool fuzz_append(struct log *l)
{
    int64_t offset = -1, end = log_end(l);
    int r = log_append_record(l, FUZZ_NOW, SLICE_NULL, slice_str("on top"), &offset);
    ASSERT(r == 0 || (r == PART_TOO_LARGE && end > INT64_MAX / 2));
    if (r != 0)
        return false;
    r = log_sync(l, FUZZ_NOW);
    ASSERT(r == 0 && offset == end && log_end(l) == end + 1);
    return true;
}

static void fuzz_on_top(struct log *l, int64_t offset)
{
    struct log_view v;
    struct batch_iter it;
    struct batch_record record;
    struct buf scratch = {0};
    int64_t good;
    enum batch_fault fault;
    int r = log_read(l, offset, 1, &v, &good);
    ASSERT(r == 0);
    fault = batch_iter_init(&it, v.bytes, 1024, &scratch);
    ASSERT(fault == BATCH_OK);
    bool any = batch_iter_next(&it, &record, &fault);
    ASSERT(any && record.offset == offset && slice_equal(record.value, slice_str("on top")));
    log_view_release(&v);
    buf_deinit(&scratch);
}

/* The end of the first life of the log: a clean close, or the power goes. */
static void fuzz_leave(struct fuzz *z, struct log *l)
{
    if (!z->cut) {
        int r = log_close(l);
        ASSERT(r == 0);
        return;
    }
    struct io *dead = z->io;
    z->io = z->options.io = io_crash_cut(dead, z->seed);
    int r = log_close(l);
    ASSERT(r <= 0);
    io_crash_free(dead);
}

static bool fuzz_first(struct fuzz *z)
{
    struct log *l = fuzz_open(z);
    if (l == NULL)
        return false;
    z->start = log_start(l);
    z->end = log_end(l);
    z->whole = fuzz_read(l, z->end, &z->bytes);
    fuzz_search(l, 0);
    fuzz_search(l, FUZZ_NOW);
    fuzz_search(l, INT64_MAX);
    bool appended = fuzz_append(l);
    if (appended)
        fuzz_on_top(l, z->end);
    fuzz_leave(z, l);
    return appended;
}

static void fuzz_second(struct fuzz *z)
{
    struct buf again = {0}, rest = {0};
    struct log *l = fuzz_open(z);
    ASSERT(l != NULL);
    ASSERT(log_start(l) >= z->start && log_end(l) == z->end + 1);
    fuzz_on_top(l, z->end);
    bool all = fuzz_read(l, z->end, &again);
    ASSERT(!z->whole || (all && slice_equal(buf_slice(&again), buf_slice(&z->bytes))));
    fuzz_nothing_lost(z);
    int64_t start = log_start(l), middle = start + (z->end - start) / 2;
    int r = log_trim(l, middle, FUZZ_NOW);
    ASSERT(r == 0 && log_start(l) == middle);
    (void)fuzz_read(l, INT64_MAX, &rest);
    r = log_truncate(l, middle + (z->end - middle) / 2, FUZZ_NOW);
    ASSERT(r == 0 || r == PART_OUT_OF_RANGE);
    (void)fuzz_read(l, INT64_MAX, &rest);
    (void)fuzz_append(l);
    r = log_close(l);
    ASSERT(r == 0);
    buf_deinit(&again);
    buf_deinit(&rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > FUZZ_SIZE_MAX)
        return 0;
    struct fuzz z = {.cut = (data[0] & 0x10) != 0, .seed = data[1]};
    fuzz_folder(&z, slice_of(data + 2, size - 2));
    z.options = (struct log_options){.io = z.io,
                                     .dir = FUZZ_DIR,
                                     .segment_size_max = UINT64_C(512) << (data[0] & 3) * 2,
                                     .index_interval_size = UINT64_C(64) << (data[0] >> 2 & 3),
                                     .checkpoint_size = 4096,
                                     .now_ms = FUZZ_NOW};
    fuzz_verify(&z);
    if (fuzz_first(&z))
        fuzz_second(&z);
    buf_deinit(&z.bytes);
    buf_deinit(&z.files);
    io_crash_free(z.io);
    return 0;
}
