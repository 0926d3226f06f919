/* SPDX-License-Identifier: MIT
 *
 * io_fault: a disk around another one that fails the n-th call. With it a test runs a script for
 * n = 1, 2, ... until no call fails any more, and checks what is left each time.
 *
 * Invariants: F1 `calls` counts every call that can fail, from whatever thread, in the order it
 * began; F2 a failing call does not reach the inner disk, save the first half of a short write; F3
 * the plan changes only while no call runs. Files are wrapped, mappings are the inner disk's own.
 */
#include <stdatomic.h>

#include "engine/base/assert.h"
#include "engine/base/io.h"

struct io_fault {
    struct io io;
    struct io *inner; /* borrowed */
    struct io_fault_plan plan;
    atomic_uint_fast64_t calls;
};

struct io_fault_file {
    struct io_file file;
    struct io_file *inner; /* owned */
};

static struct io_fault *io_fault_of(struct io *io)
{
    ASSERT(io != NULL);
    return (struct io_fault *)(void *)io;
}

static struct io_file *io_fault_inner(struct io_file *f)
{
    ASSERT(f != NULL);
    struct io_file *inner = ((struct io_fault_file *)(void *)f)->inner;
    ASSERT(inner != NULL);
    return inner;
}

/* Counts a call that may take space: 0, or the planned failure. */
static int io_fault_next_space(struct io *io)
{
    struct io_fault *fault = io_fault_of(io);
    const struct io_fault_plan *plan = &fault->plan;
    uint64_t n = atomic_fetch_add(&fault->calls, 1) + 1;
    ASSERT(n > 0);
    bool fails = plan->fail_at != 0 && (n == plan->fail_at || (plan->forever && n > plan->fail_at));
    ASSERT(!fails || plan->error != 0);
    return fails ? plan->error : 0;
}

/* Any other call. */
static int io_fault_next(struct io *io)
{
    ASSERT(io != NULL);
    return io_fault_of(io)->plan.space_only ? 0 : io_fault_next_space(io);
}

static struct io_file *io_fault_wrap(struct io *io, struct io_file *inner)
{
    ASSERT(inner != NULL);
    ASSERT(inner->io != io);
    struct io_fault_file *f = assert_memory(calloc(1, sizeof *f), sizeof *f);
    f->file.io = io;
    f->inner = inner;
    return &f->file;
}

static int io_fault_open(struct io *io, const char *path, unsigned flags, struct io_file **out)
{
    ASSERT(out != NULL);
    ASSERT(path != NULL);
    struct io_file *inner;
    int r = (flags & IO_CREATE) != 0 ? io_fault_next_space(io) : io_fault_next(io);
    if (r == 0)
        r = io_open(io_fault_of(io)->inner, path, flags, &inner);
    if (r == 0)
        *out = io_fault_wrap(io, inner);
    return r;
}

static int io_fault_close(struct io_file *f)
{
    struct io_file *inner = io_fault_inner(f);
    ASSERT(inner->io != f->io);
    free(f);
    return io_close(inner);
}

static int io_fault_size(struct io_file *f, uint64_t *out)
{
    ASSERT(out != NULL);
    int r = io_fault_next(f->io);
    return r != 0 ? r : io_size(io_fault_inner(f), out);
}

static int io_fault_names(struct io_file *f, uint64_t *out)
{
    ASSERT(out != NULL);
    int r = io_fault_next(f->io);
    return r != 0 ? r : io_names(io_fault_inner(f), out);
}

static int io_fault_modified(struct io_file *f, int64_t *ms)
{
    ASSERT(ms != NULL);
    int r = io_fault_next(f->io);
    return r != 0 ? r : io_modified(io_fault_inner(f), ms);
}

static int io_fault_pread(struct io_file *f, void *p, size_t size, uint64_t pos, size_t *got)
{
    ASSERT(got != NULL);
    ASSERT(p != NULL || size == 0);
    int r = io_fault_next(f->io);
    return r != 0 ? r : io_pread(io_fault_inner(f), p, size, pos, got);
}

/* The first half of the bytes reaches the inner disk; what it says does not matter any more. */
static void io_fault_write_half(struct io_file *f, const struct iovec *v, int count, uint64_t pos)
{
    ASSERT(count >= 0);
    size_t left = 0;
    for (int i = 0; i < count; i++)
        left += v[i].iov_len;
    left /= 2;
    for (int i = 0; i < count && left > 0; i++) {
        struct iovec part = {v[i].iov_base, v[i].iov_len < left ? v[i].iov_len : left};
        if (io_pwritev(io_fault_inner(f), &part, 1, pos) != 0)
            return;
        pos += part.iov_len;
        left -= part.iov_len;
    }
    ASSERT(left == 0);
}

static int io_fault_pwritev(struct io_file *f, const struct iovec *v, int count, uint64_t pos)
{
    ASSERT(count >= 0);
    ASSERT(v != NULL || count == 0);
    int r = io_fault_next_space(f->io);
    if (r == 0)
        return io_pwritev(io_fault_inner(f), v, count, pos);
    if (io_fault_of(f->io)->plan.short_write)
        io_fault_write_half(f, v, count, pos);
    return r;
}

static int io_fault_fallocate(struct io_file *f, uint64_t pos, uint64_t size)
{
    ASSERT(pos + size >= pos);
    int r = io_fault_next_space(f->io);
    return r != 0 ? r : io_fallocate(io_fault_inner(f), pos, size);
}

static int io_fault_zero(struct io_file *f, uint64_t pos, uint64_t size)
{
    ASSERT(pos + size >= pos);
    int r = io_fault_next_space(f->io);
    return r != 0 ? r : io_zero(io_fault_inner(f), pos, size);
}

static int io_fault_truncate(struct io_file *f, uint64_t size)
{
    ASSERT(size <= INT64_MAX);
    int r = io_fault_next(f->io);
    return r != 0 ? r : io_truncate(io_fault_inner(f), size);
}

static int io_fault_sync(struct io *io, struct io_file **files, size_t count)
{
    ASSERT(count > 0);
    ASSERT(files != NULL);
    int r = io_fault_next(io);
    if (r != 0)
        return r;
    struct io_file **inner CLEANUP(cleanup_free) = calloc(count, sizeof *inner);
    (void)assert_memory(inner, count * sizeof *inner);
    for (size_t i = 0; i < count; i++)
        inner[i] = io_fault_inner(files[i]);
    return io_sync(io_fault_of(io)->inner, inner, count);
}

static int io_fault_map(struct io_file *f, size_t size, struct io_map *out)
{
    ASSERT(out != NULL);
    ASSERT(size > 0);
    int r = io_fault_next(f->io);
    return r != 0 ? r : io_map(io_fault_inner(f), size, out);
}

static void io_fault_unmap(struct io *io, struct io_map *m)
{
    ASSERT(m->p != NULL);
    io_unmap(io_fault_of(io)->inner, m);
}

static bool io_fault_resident(struct io *io, const struct io_map *m, uint64_t pos, size_t size)
{
    ASSERT(m->p != NULL);
    ASSERT(pos <= m->size && size <= m->size - pos);
    return io_resident(io_fault_of(io)->inner, m, pos, size);
}

static int io_fault_rename(struct io *io, const char *from, const char *to)
{
    ASSERT(from != NULL && to != NULL);
    int r = io_fault_next_space(io);
    return r != 0 ? r : io_rename(io_fault_of(io)->inner, from, to);
}

static int io_fault_link(struct io *io, const char *from, const char *to)
{
    ASSERT(from != NULL && to != NULL);
    int r = io_fault_next_space(io);
    return r != 0 ? r : io_link(io_fault_of(io)->inner, from, to);
}

static int io_fault_copy(struct io_file *from, struct io_file *to, uint64_t pos, uint64_t size)
{
    ASSERT(from->io == to->io);
    int r = io_fault_next_space(to->io);
    return r != 0 ? r : io_copy(io_fault_inner(from), io_fault_inner(to), pos, size);
}

static int io_fault_unlink(struct io *io, const char *path)
{
    ASSERT(path != NULL);
    int r = io_fault_next(io);
    return r != 0 ? r : io_unlink(io_fault_of(io)->inner, path);
}

static int io_fault_mkdir(struct io *io, const char *path)
{
    ASSERT(path != NULL);
    int r = io_fault_next_space(io);
    return r != 0 ? r : io_mkdir(io_fault_of(io)->inner, path);
}

static int io_fault_rmdir(struct io *io, const char *path)
{
    ASSERT(path != NULL);
    int r = io_fault_next(io);
    return r != 0 ? r : io_rmdir(io_fault_of(io)->inner, path);
}

static int io_fault_sync_dir(struct io *io, const char *path)
{
    ASSERT(path != NULL);
    int r = io_fault_next(io);
    return r != 0 ? r : io_sync_dir(io_fault_of(io)->inner, path);
}

static int io_fault_list(struct io *io, const char *path,
                         int (*each)(void *ctx, const char *name, enum io_kind kind), void *ctx)
{
    ASSERT(each != NULL);
    ASSERT(path != NULL);
    int r = io_fault_next(io);
    return r != 0 ? r : io_list(io_fault_of(io)->inner, path, each, ctx);
}

static int io_fault_space(struct io *io, const char *path, uint64_t *free_size,
                          uint64_t *total_size)
{
    ASSERT(free_size != NULL && total_size != NULL);
    ASSERT(path != NULL);
    int r = io_fault_next(io);
    return r != 0 ? r : io_space(io_fault_of(io)->inner, path, free_size, total_size);
}

static int io_fault_lock(struct io *io, const char *path, struct io_file **out)
{
    ASSERT(out != NULL);
    ASSERT(path != NULL);
    struct io_file *inner;
    int r = io_fault_next(io);
    if (r == 0)
        r = io_lock(io_fault_of(io)->inner, path, &inner);
    if (r == 0)
        *out = io_fault_wrap(io, inner);
    return r;
}

static const struct io_ops io_fault_ops = {
    .open = io_fault_open,
    .close = io_fault_close,
    .size = io_fault_size,
    .names = io_fault_names,
    .modified = io_fault_modified,
    .pread = io_fault_pread,
    .pwritev = io_fault_pwritev,
    .fallocate = io_fault_fallocate,
    .zero = io_fault_zero,
    .truncate = io_fault_truncate,
    .sync = io_fault_sync,
    .map = io_fault_map,
    .unmap = io_fault_unmap,
    .resident = io_fault_resident,
    .rename = io_fault_rename,
    .link = io_fault_link,
    .copy = io_fault_copy,
    .unlink = io_fault_unlink,
    .mkdir = io_fault_mkdir,
    .rmdir = io_fault_rmdir,
    .sync_dir = io_fault_sync_dir,
    .list = io_fault_list,
    .space = io_fault_space,
    .lock = io_fault_lock,
};

struct io *io_fault_new(struct io *inner)
{
    ASSERT(inner != NULL);
    struct io_fault *fault = assert_memory(calloc(1, sizeof *fault), sizeof *fault);
    fault->io.ops = &io_fault_ops;
    fault->inner = inner;
    return &fault->io;
}

struct io *io_fault_free(struct io *io)
{
    ASSERT(io == NULL || io->ops == &io_fault_ops);
    free(io);
    return NULL;
}

void io_fault_plan(struct io *io, struct io_fault_plan plan)
{
    ASSERT(io->ops == &io_fault_ops);
    ASSERT(plan.fail_at == 0 || plan.error != 0);
    struct io_fault *fault = io_fault_of(io);
    fault->plan = plan;
    atomic_store(&fault->calls, 0);
}

uint64_t io_fault_calls(const struct io *io)
{
    ASSERT(io->ops == &io_fault_ops);
    return atomic_load(&((const struct io_fault *)(const void *)io)->calls);
}
