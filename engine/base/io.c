/* SPDX-License-Identifier: MIT
 *
 * io: the helpers that work over every implementation of the seam: a small file read whole, and a
 * small file replaced atomically and durably.
 *
 * io_write_file, the happy path, in the only order that survives a power cut at every step:
 *   1. path.tmp is written     a cut leaves the old file, and perhaps garbage in path.tmp
 *   2. path.tmp is synced      its content is durable, its name is not
 *   3. rename                  the name is there, and may be lost again
 *   4. the folder is synced    the new file stands
 * Failures: a full disk is IO_FULL, everything else fatal. path.tmp is removed as far as possible.
 */
#include "engine/base/io.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/assert.h"

#define IO_COPY_SIZE ((size_t)256 * 1024)

int io_read_file(struct io *io, const char *path, size_t size_max, struct buf *out)
{
    ASSERT(path != NULL);
    ASSERT(out != NULL);
    struct io_file *f CLEANUP(io_close_cleanup) = NULL;
    int r = io_open(io, path, IO_READ, &f);
    if (r != 0)
        return r;
    uint64_t size;
    r = io_size(f, &size);
    if (r != 0 || size == 0)
        return r;
    if (size > size_max)
        return -EFBIG;
    buf_reserve(out, size);
    size_t got;
    r = io_pread(f, out->p + out->size, size, 0, &got);
    if (r != 0)
        return r;
    ASSERT(got <= size);
    out->size += got;
    return 0;
}

int io_copy_plain(struct io_file *from, struct io_file *to, uint64_t pos, uint64_t size)
{
    ASSERT(from != to && pos + size >= pos);
    uint8_t *buffer CLEANUP(cleanup_free) = assert_memory(malloc(IO_COPY_SIZE), IO_COPY_SIZE);
    int r = 0;
    while (r == 0 && size > 0) {
        size_t part = size < IO_COPY_SIZE ? (size_t)size : IO_COPY_SIZE, got = 0;
        r = io_pread(from, buffer, part, pos, &got);
        if (r == 0 && got < part)
            return -ENODATA;
        struct iovec v = {buffer, part};
        if (r == 0)
            r = io_pwritev(to, &v, 1, pos);
        pos += part;
        size -= part;
    }
    ASSERT(r != 0 || size == 0);
    return r;
}

/* Writes and syncs a file under the temporary name. */
static int io_write_tmp(struct io *io, const char *tmp, struct slice bytes)
{
    ASSERT(bytes.p != NULL || bytes.size == 0);
    struct io_file *f CLEANUP(io_close_cleanup) = NULL;
    int r = io_open(io, tmp, IO_WRITE | IO_CREATE, &f);
    if (r != 0)
        return r;
    r = io_truncate(f, 0);
    if (r != 0)
        return r;
    /* iovec serves readers and writers, so it cannot be const. */
    struct iovec v = {(void *)(uintptr_t)bytes.p, bytes.size};
    r = io_pwritev(f, &v, 1, 0);
    if (r != 0)
        return r;
    r = io_sync(io, &f, 1);
    if (r != 0)
        return r;
    struct io_file *closing = f;
    f = NULL;
    return io_close(closing);
}

int io_write_file(struct io *io, const char *dir, const char *path, struct slice bytes)
{
    ASSERT(dir != NULL);
    ASSERT(path != NULL);
    struct buf tmp CLEANUP(buf_deinit) = {0};
    buf_printf(&tmp, "%s.tmp", path);
    buf_append_u8(&tmp, 0);
    const char *tmp_path = (const char *)tmp.p;
    int r = io_write_tmp(io, tmp_path, bytes);
    if (r == 0)
        r = io_rename(io, tmp_path, path);
    if (r != 0) {
        int left = io_unlink(io, tmp_path);
        (void)left; /* the first failure is the one to report; a rest is overwritten next time */
        return r;
    }
    return io_sync_dir(io, dir);
}
