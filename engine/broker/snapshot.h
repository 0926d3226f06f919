/* SPDX-License-Identifier: MIT
 *
 * snapshot: the folder that `kauri snapshot` makes, and how a data folder comes of it again. It is
 * a data folder as it stood at one moment, plus its manifest, the file `snapshot`:
 *
 *   kauri snapshot 1
 *   cluster <22 characters, base64url>
 *   incarnation <16 hex digits: the start of the broker that made it>
 *   made <Unix ms>
 *   part <folder> <topic id, 22 characters, or -> generation=0 start=0 end=12 base=0 size=840
 *   ...
 *   crc <8 hex digits: crc32c of the lines above>
 *
 * While it is made it lies in `<DIR>.partial`, with the marker file `partial` in it, by which what
 * an interrupted one left is known; the rename to DIR comes last, so that a DIR is a whole one.
 *
 * A snapshot shares bytes with the broker and with other snapshots, so no broker may run on it: it
 * is restored, which links what never changes and copies the rest.
 *
 * Must not know: a running broker. Failures: nothing but what was being made is changed or removed.
 */
#pragma once

#include "engine/base/io.h"

#define SNAPSHOT_RESTORED "restored" /* in a restored folder, until a broker has noticed */

#define SNAPSHOT_DAMAGED  12 /* no manifest, or one that does not check, or a file is missing */
#define SNAPSHOT_BUSY     13 /* the target is there and not empty */
#define SNAPSHOT_FOREIGN  14 /* <DIR>.partial is there and is not ours */

struct snapshot_header {
    char cluster_id[23];
    uint64_t incarnation;
    int64_t made_ms;
};

/* Begins a manifest. */
void snapshot_begin(const struct snapshot_header *h, struct buf *out);
/* Adds a line; `what` is copy_describe's. `id` NULL: none. */
void snapshot_add(struct buf *manifest, const char *folder, const char *id, const char *what);
/* Ends it with its checksum. */
void snapshot_end(struct buf *manifest);
/* Reads DIR/snapshot; *text is NUL-ended, the NUL not counted. 0, SNAPSHOT_DAMAGED or -errno. */
int snapshot_read(struct io *io, const char *dir, struct snapshot_header *h,
                  struct buf *text) MUST_CHECK;
/* True when the manifest has this line of snapshot_add. */
bool snapshot_has(const struct buf *text, const char *folder, const char *id, const char *what);

/* Makes the folder `<dir>.partial`, *work, with its marker; what an interrupted one left there goes
 * first. 0, SNAPSHOT_FOREIGN, IO_MISSING (the folder around it), IO_FULL or -errno. */
int snapshot_open_work(struct io *io, const char *dir, struct buf *work) MUST_CHECK;
/* Makes everything in `work` but its files' bytes durable, and renames it to `dir`. 0, IO_FULL or
 * -errno. */
int snapshot_close_work(struct io *io, const char *work, const char *dir) MUST_CHECK;
/* Removes a work folder as far as possible. */
void snapshot_drop_work(struct io *io, const char *work);

struct snapshot_restore {
    const char *from; /* the snapshot */
    const char *to;   /* not there, or an empty folder */
    /* After each partition. May be NULL. */
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
    /* results */
    struct snapshot_header header;
    uint64_t partitions;
    uint64_t linked_size;
    uint64_t copied_size;
    char what[128]; /* SNAPSHOT_DAMAGED: which file */
};
/* 0, SNAPSHOT_DAMAGED, SNAPSHOT_BUSY, SNAPSHOT_FOREIGN, IO_MISSING (the folder around `to`),
 * IO_FULL or -errno. */
int snapshot_restore(struct io *io, struct snapshot_restore *r) MUST_CHECK;
