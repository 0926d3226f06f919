/* SPDX-License-Identifier: MIT
 *
 * copy: a partition as it stands at one moment, made into another folder while the partition goes
 * on. Sealed segments never change again, so they get one more name (a hard link); the active one
 * is copied up to its written end, which never changes either. The new folder opens like any other,
 * with a recovery point at its end.
 *
 *   copy_take    owner   fixes which segments, and how far
 *   copy_link    worker  makes the folder; gives every file that counts a name there: what happens
 *                        to the partition afterwards (retention, deletion) cannot take it away
 *   copy_fill    worker  replaces the names of the active segment's files by copies, writes `state`
 *
 *   from/  0.log   57.log (active, 900 bytes, growing)      state  57.snapshot
 *   to/    0.log = 57.log (900 bytes, a copy)               state  57.snapshot =     (= a link)
 *
 * Where links cannot be made (another file system) everything is copied.
 *
 * The other way round, copy_own parts a partition from the copies made of it, where bytes that they
 * share would change after all: a crash or a cut made a sealed segment the active one again.
 *
 * Invariants: Y1 no file of `from` is changed; Y2 a file of `to` that shares its bytes is one that
 * nobody writes any more: a sealed log or its index files (which are only ever replaced as a
 * whole), a producer snapshot, or the last segment of another copy; Y3 after copy_fill and
 * copy_sync the folder is durable, but for its own name.
 *
 * Failures: nothing here is fatal to the partition; what was made lies in `to`, the caller's to
 * remove. Must not know: topics, or that other partitions exist.
 */
#pragma once

#include "engine/store/part.h"

#define COPY_MOVED     7 /* a segment went, or was replaced, before it had a second name: again */
#define COPY_FILES_MAX 64

struct copy_segment {
    int64_t base;
    uint64_t size;
    uint64_t index_size;
    uint64_t timeindex_size;
};

struct copy {
    char *from;                    /* owned */
    char *to;                      /* owned */
    struct copy_segment *segments; /* owned; the last one is copied */
    size_t count;
    int64_t snapshots[2]; /* newest first; -1 none */
    struct state state;
    uint64_t linked_size; /* results: bytes of logs */
    uint64_t copied_size;
    uint64_t swaps; /* of the part, when it was taken */
    bool apart;     /* links cannot be made */
};

/* Open files that were written and not synced yet. Zeroed at first. */
struct copy_files {
    struct io_file *files[COPY_FILES_MAX];
    size_t count;
};

/* Owner thread. False when there is nothing on disk yet: then *out is zeroed. `to` is copied. No
 * swap (part_swap) is under way, nor may one begin before copy_fill is through: it would put other
 * bytes under names that were taken. */
bool copy_take(const struct part *p, const char *to, struct copy *out);
void copy_deinit(struct copy *c);
/* Worker, once. 0, COPY_MOVED, IO_EXISTS (`to` is there), IO_MISSING (the folder around it),
 * IO_FULL or -errno. */
int copy_link(struct io *io, struct copy *c, struct copy_files *files) MUST_CHECK;
/* Worker, after copy_link. `same` (may be NULL) is the folder of an earlier copy whose last segment
 * is byte for byte this one's: it is linked. Conditions as above. */
int copy_fill(struct io *io, struct copy *c, const char *same, struct copy_files *files) MUST_CHECK;
/* Appends "generation=0 start=0 end=1234 base=1000 size=5678": two copies of one partition that
 * read the same here hold the same bytes, if no crash lies between them. */
void copy_describe(const struct copy *c, struct buf *out);

/* Makes `to` the first `size` bytes of `from`; `to` must not be there. It is synced when *files is
 * full, or by copy_sync. 0, IO_MISSING (either folder, or `from`), IO_EXISTS, IO_FULL, -ENODATA
 * (`from` is shorter) or -errno. */
int copy_file(struct io *io, const char *from, const char *to, uint64_t size,
              struct copy_files *files) MUST_CHECK;
/* The same with bytes from memory. */
int copy_bytes(struct io *io, struct slice bytes, const char *to,
               struct copy_files *files) MUST_CHECK;
/* Syncs and closes what is open; closes it in any case. */
int copy_sync(struct io *io, struct copy_files *files) MUST_CHECK;
/* Worker; nobody writes the segment. When its log has other names it becomes a file of its own, by
 * a copy that takes its place, durably; its indexes, which are shared as well, go. 0, IO_MISSING,
 * IO_FULL (both: nothing changed) or -errno. Reads the whole file when it has. */
int copy_own(struct io *io, const char *dir, int64_t base) MUST_CHECK;
/* True for an error of io_link that means "no links here". */
bool copy_is_apart(int result);
