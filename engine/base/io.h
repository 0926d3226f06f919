/* SPDX-License-Identifier: MIT
 *
 * io: the seam for files. The store does every file operation through it, so that a test can fail
 * the n-th call (io_fault) or lose, reorder and tear what was not synced (io_crash).
 *
 * Errors: -errno. A full disk (ENOSPC, EDQUOT) is a condition, IO_FULL, at every call that can meet
 * it but io_sync and io_sync_dir: there the data was promised, so it is -ENOSPC, fatal.
 *
 * Paths are plain paths; symbolic links are refused in the last component (O_NOFOLLOW), all
 * descriptors are close-on-exec. Files are created 0640, folders 0750.
 *
 * Threads: a file is used by one thread at a time; different files by different threads freely.
 * A mapping needs no open file and may be read by any thread.
 *
 * io_real.c   the machine's files
 * io_fault.c  wraps another io, fails the n-th call
 * io_crash.c  a disk in memory with the state before and after the last sync of everything
 */
#pragma once

#include <stdbool.h>
#include <sys/uio.h>

#include "engine/base/bytes.h"
#include "engine/base/cleanup.h"

struct io;

/* Open file. Implementations embed it at the head of their own struct. */
struct io_file {
    struct io *io;
};

/* Read-only shared mapping of a file from its first byte. May be longer than the file: only bytes
 * below the file's end may be touched (beyond: SIGBUS, see guard.h). */
struct io_map {
    const uint8_t *p;
    size_t size;
};

/* Conditions. */
#define IO_FULL    1 /* no space on the disk (or quota) */
#define IO_MISSING 2 /* no such file or folder */
#define IO_EXISTS  3 /* is there already */
#define IO_LOCKED  4 /* another process holds the lock */

/* Flags of io_open. */
#define IO_READ   1u
#define IO_WRITE  2u
#define IO_CREATE 4u /* create when missing */
#define IO_EXCL   8u /* with IO_CREATE: IO_EXISTS when it is there */

enum io_kind {
    IO_KIND_FILE,
    IO_KIND_FOLDER,
    IO_KIND_OTHER,
};

struct io_ops {
    int (*open)(struct io *io, const char *path, unsigned flags, struct io_file **out);
    int (*close)(struct io_file *f);
    int (*size)(struct io_file *f, uint64_t *out);
    int (*names)(struct io_file *f, uint64_t *out);
    int (*modified)(struct io_file *f, int64_t *ms); /* NULL: no file has a time */
    int (*pread)(struct io_file *f, void *p, size_t size, uint64_t pos, size_t *got);
    int (*pwritev)(struct io_file *f, const struct iovec *v, int count, uint64_t pos);
    int (*fallocate)(struct io_file *f, uint64_t pos, uint64_t size);
    int (*zero)(struct io_file *f, uint64_t pos, uint64_t size);
    int (*truncate)(struct io_file *f, uint64_t size);
    int (*sync)(struct io *io, struct io_file **files, size_t count);
    int (*map)(struct io_file *f, size_t size, struct io_map *out);
    void (*unmap)(struct io *io, struct io_map *m);
    bool (*resident)(struct io *io, const struct io_map *m, uint64_t pos, size_t size);
    int (*rename)(struct io *io, const char *from, const char *to);
    int (*link)(struct io *io, const char *from, const char *to);
    int (*copy)(struct io_file *from, struct io_file *to, uint64_t pos, uint64_t size);
    int (*unlink)(struct io *io, const char *path);
    int (*mkdir)(struct io *io, const char *path);
    int (*rmdir)(struct io *io, const char *path);
    int (*sync_dir)(struct io *io, const char *path);
    int (*list)(struct io *io, const char *path,
                int (*each)(void *ctx, const char *name, enum io_kind kind), void *ctx);
    int (*space)(struct io *io, const char *path, uint64_t *free_size, uint64_t *total_size);
    int (*lock)(struct io *io, const char *path, struct io_file **out);
};

struct io {
    const struct io_ops *ops;
};

/* Opens a regular file: a folder is -EISDIR, anything else -ENXIO. 0, IO_MISSING (also the parent),
 * IO_EXISTS, IO_FULL or -errno. *out is owned: io_close. */
static inline MUST_CHECK int io_open(struct io *io, const char *path, unsigned flags,
                                     struct io_file **out)
{
    return io->ops->open(io, path, flags, out);
}

/* Closes; f is gone whatever is returned. NULL is fine. An error may mean lost writes: fatal. */
static inline int io_close(struct io_file *f)
{
    return f == NULL ? 0 : f->io->ops->close(f);
}
/* For files of which nothing was promised:
 * `struct io_file *f CLEANUP(io_close_cleanup) = NULL;`. */
CLEANUP_DEFINE(io_close, struct io_file, io_close);

static inline MUST_CHECK int io_size(struct io_file *f, uint64_t *out)
{
    return f->io->ops->size(f, out);
}

/* How many names the file has: more than one when somebody linked it (io_link), none when it was
 * removed. */
static inline MUST_CHECK int io_names(struct io_file *f, uint64_t *out)
{
    return f->io->ops->names(f, out);
}

/* When the file's bytes or size changed last, Unix ms, as the file system tells it; 0: it does
 * not. */
static inline MUST_CHECK int io_modified(struct io_file *f, int64_t *ms)
{
    *ms = 0;
    return f->io->ops->modified != NULL ? f->io->ops->modified(f, ms) : 0;
}

/* Reads up to size bytes; *got < size only at the end of the file. */
static inline MUST_CHECK int io_pread(struct io_file *f, void *p, size_t size, uint64_t pos,
                                      size_t *got)
{
    return f->io->ops->pread(f, p, size, pos, got);
}

/* Writes everything (any count, split as the system needs it). 0, IO_FULL or -errno; on failure a
 * part may have been written. */
static inline MUST_CHECK int io_pwritev(struct io_file *f, const struct iovec *v, int count,
                                        uint64_t pos)
{
    return f->io->ops->pwritev(f, v, count, pos);
}

/* Reserves blocks for [pos, pos+size) and extends the file to pos+size when it is shorter; new
 * bytes read as zero. 0, IO_FULL (nothing changed, or reserved in part) or -errno. Where the file
 * system has no fallocate, zeros are written behind its end and holes below stay holes. */
static inline MUST_CHECK int io_fallocate(struct io_file *f, uint64_t pos, uint64_t size)
{
    return f->io->ops->fallocate(f, pos, size);
}

/* Makes [pos, pos+size) read as zero without changing the file's size; gives the blocks back where
 * the file system can. */
static inline MUST_CHECK int io_zero(struct io_file *f, uint64_t pos, uint64_t size)
{
    return f->io->ops->zero(f, pos, size);
}

/* Sets the file's size: cuts, or extends with a hole. */
static inline MUST_CHECK int io_truncate(struct io_file *f, uint64_t size)
{
    return f->io->ops->truncate(f, size);
}

/* Makes data and size of all `count` files durable, as one set: starts all write-back first, then
 * syncs in parallel. The first failure is returned and means that none may be trusted. */
static inline MUST_CHECK int io_sync(struct io *io, struct io_file **files, size_t count)
{
    return count == 0 ? 0 : io->ops->sync(io, files, count);
}

/* Maps `size` bytes from the start, read-only and shared. */
static inline MUST_CHECK int io_map(struct io_file *f, size_t size, struct io_map *out)
{
    return f->io->ops->map(f, size, out);
}

/* Unmaps and clears; an empty map is fine. */
static inline void io_unmap(struct io *io, struct io_map *m)
{
    if (m->p != NULL)
        io->ops->unmap(io, m);
    m->p = NULL;
    m->size = 0;
}

/* True when reading [pos, pos+size) of the mapping will not wait for the disk. A guess. */
static inline bool io_resident(struct io *io, const struct io_map *m, uint64_t pos, size_t size)
{
    return io->ops->resident(io, m, pos, size);
}

/* Renames a file or folder, replacing a file. Durable after io_sync_dir of the folder(s).
 * 0, IO_MISSING, IO_FULL or -errno (-ENOTEMPTY: a folder with entries is in the way). */
static inline MUST_CHECK int io_rename(struct io *io, const char *from, const char *to)
{
    return io->ops->rename(io, from, to);
}

/* Gives a file one more name; both are the same bytes. Durable after io_sync_dir of the new name's
 * folder. 0, IO_MISSING (also the folder), IO_EXISTS, IO_FULL or -errno (-EXDEV: another file
 * system; -EPERM: one without links, or a folder; -EMLINK: too many). */
static inline MUST_CHECK int io_link(struct io *io, const char *from, const char *to)
{
    return io->ops->link(io, from, to);
}

/* Makes bytes [pos, pos + size) of `to` those of `from`, two files of one io, sharing blocks where
 * the file system can. 0, IO_FULL or -errno (-ENODATA: `from` is shorter); on failure a part may
 * have been copied. */
static inline MUST_CHECK int io_copy(struct io_file *from, struct io_file *to, uint64_t pos,
                                     uint64_t size)
{
    return to->io->ops->copy(from, to, pos, size);
}

/* 0, IO_MISSING or -errno. */
static inline MUST_CHECK int io_unlink(struct io *io, const char *path)
{
    return io->ops->unlink(io, path);
}

/* 0, IO_EXISTS, IO_MISSING (parent), IO_FULL or -errno. */
static inline MUST_CHECK int io_mkdir(struct io *io, const char *path)
{
    return io->ops->mkdir(io, path);
}

/* 0, IO_MISSING, or -errno (-ENOTEMPTY). */
static inline MUST_CHECK int io_rmdir(struct io *io, const char *path)
{
    return io->ops->rmdir(io, path);
}

/* Makes creations, renames and removals in the folder durable. 0, IO_MISSING or -errno. */
static inline MUST_CHECK int io_sync_dir(struct io *io, const char *path)
{
    return io->ops->sync_dir(io, path);
}

/* Calls each(name) for every entry but . and .., in no order, until it returns nonzero, which is
 * then returned. `each` may call the io. 0, IO_MISSING or -errno. */
static inline MUST_CHECK int io_list(struct io *io, const char *path,
                                     int (*each)(void *ctx, const char *name, enum io_kind kind),
                                     void *ctx)
{
    return io->ops->list(io, path, each, ctx);
}

/* Bytes free for this user and in total on the file system of `path`. 0, IO_MISSING or
 * -errno. */
static inline MUST_CHECK int io_space(struct io *io, const char *path, uint64_t *free_size,
                                      uint64_t *total_size)
{
    return io->ops->space(io, path, free_size, total_size);
}

/* Creates `path` when missing and takes an exclusive lock that ends with the process or io_close.
 * 0, IO_LOCKED, IO_MISSING (parent), IO_FULL or -errno. */
static inline MUST_CHECK int io_lock(struct io *io, const char *path, struct io_file **out)
{
    return io->ops->lock(io, path, out);
}

/* Helpers over the calls above, for every implementation. */

/* Reads a whole file of at most size_max bytes into *out (appended). 0, IO_MISSING, -EFBIG,
 * -errno. */
int io_read_file(struct io *io, const char *path, size_t size_max, struct buf *out) MUST_CHECK;
/* io_copy by reading and writing, for implementations that know nothing better. */
int io_copy_plain(struct io_file *from, struct io_file *to, uint64_t pos, uint64_t size) MUST_CHECK;
/* Replaces a file atomically and durably: writes `path`.tmp, syncs it, renames, syncs the folder
 * `dir`. 0, IO_FULL, IO_MISSING (the folder) or -errno. On failure the old file is untouched,
 * unless the last step failed: then old or new stands there, and no `path`.tmp. */
int io_write_file(struct io *io, const char *dir, const char *path, struct slice bytes) MUST_CHECK;

/* The machine's files. NULL is never returned. One per process is enough; it is free of state but
 * for the threads that sync in parallel. Several threads may call io_sync at the same time. */
struct io *io_real_new(void);
struct io *io_real_free(struct io *io);

/* A faulty disk around `inner` (borrowed). Calls that can fail are counted from 1: all but
 * io_close, io_unmap and io_resident; io_sync of a set is one call. A failing call does not reach
 * `inner`. */
struct io_fault_plan {
    uint64_t fail_at; /* the n-th call fails; 0: none */
    int error;        /* what it returns: -EIO, IO_FULL, ... */
    bool forever;     /* every later call fails too */
    bool short_write; /* a failing pwritev first writes half of its bytes */
    bool space_only;  /* count and fail only calls that may take space: a full disk */
};
struct io *io_fault_new(struct io *inner);
struct io *io_fault_free(struct io *io);
/* Sets the plan and starts counting at 0. */
void io_fault_plan(struct io *io, struct io_fault_plan plan);
/* Calls counted since the plan was set. */
uint64_t io_fault_calls(const struct io *io);

/* A disk in memory that remembers what is durable. Files carry real mappings (memfd), so a store
 * with mapped reads runs on it unchanged. The space used is the sum of the sizes of all files, so
 * io_zero gives nothing back and a hole costs; space_max in bytes, 0 = endless. It starts as an
 * empty folder "/"; paths are absolute, without "." and "..". Renames between folders are
 * -EXDEV. */
struct io *io_crash_new(uint64_t space_max);
/* A live io must have no open file or mapping left; a dead one releases what its process left. NULL
 * is fine; returns NULL. */
struct io *io_crash_free(struct io *io);
/* The process died: a new io on the same disk with everything that was written. `io` answers -EIO
 * to everything afterwards; its files can be closed and its mappings read and unmapped until it is
 * freed, which it must be. All locks are gone. */
struct io *io_crash_kill(struct io *io);
/* The power went: a new io on what a disk may hold now. By seed, each 512-byte sector written since
 * the last sync of its file is kept or lost, one may be torn at a byte; the size of a file lies
 * between the durable and the current one; of the creations, renames and removals in a folder a
 * prefix is kept. Some seeds keep everything, some nothing. `io` as above. */
struct io *io_crash_cut(struct io *io, uint64_t seed);
/* Flips bit `bit` (0-7) of byte `pos` of a file, durably where the byte is durable. For tests of
 * damage. 0, IO_MISSING or -errno (-EINVAL: pos is not inside the file). */
int io_crash_flip(struct io *io, const char *path, uint64_t pos, unsigned bit) MUST_CHECK;
/* Walks the invariants of the disk (io_crash.c); asserts. O(everything stored). */
void io_crash_check(struct io *io);
