/* SPDX-License-Identifier: MIT
 *
 * state: the small file `state` of a partition folder, and the names of the files beside it.
 *
 * Replaced as a whole (temporary file, sync, rename, folder sync), so it is old or new, never
 * mixed. Missing or damaged state loses nothing: the log starts at the first segment, and recovery
 * scans the whole last segment.
 *
 *   pos size
 *     0    4  magic "KST1"
 *     4    4  crc32c of everything behind
 *     8    4  version, 1
 *    12    4  leader epoch last stamped
 *    16    8  log start: offsets below are gone
 *    24    8  recovery point: everything below this offset was durable when this was written
 *    32    8  base offset of the segment that holds the recovery point
 *    40    8  byte position of the recovery point in it
 *    48    4  compaction generation, 0 until a cleaner ran
 *    52    4  flags: 1 begun, the others 0
 *    56    8  what is below is known to be committed, at most the recovery point; a file without
 *             this (of 56 bytes, older): nothing is known
 */
#pragma once

#include "engine/base/io.h"

#define STATE_SIZE    64
#define STATE_OLD     56
#define STATE_VERSION 1

#define STATE_DAMAGED 5
#define STATE_NEWER   6 /* version above ours */

struct state {
    int64_t log_start;
    int64_t recovery_offset;
    int64_t recovery_base;
    uint64_t recovery_pos;
    int32_t epoch;
    uint32_t generation;
    int64_t mark; /* committed below; 0: nothing is known */
    bool begun; /* what else the folder holds is of a log that is gone: the next open removes it */
};

void state_encode(const struct state *s, struct buf *out);
/* 0, STATE_DAMAGED or STATE_NEWER. */
int state_decode(struct slice in, struct state *out) MUST_CHECK;
/* Reads DIR/state. 0, IO_MISSING, STATE_DAMAGED, STATE_NEWER or -errno. */
int state_read(struct io *io, const char *dir, struct state *out) MUST_CHECK;

/* Replaces DIR/state, durably. 0, IO_FULL, IO_MISSING (the folder) or -errno. */
int state_write(struct io *io, const char *dir, const struct state *s) MUST_CHECK;

/* Paths, appended with a NUL that is not counted. Suffixes: "log", "index", "timeindex" and
 * "snapshot". */
void state_path(struct buf *out, const char *dir, const char *name);
/* The folder that holds `dir`. */
void state_parent(struct buf *out, const char *dir);
void state_segment_path(struct buf *out, const char *dir, int64_t base, const char *suffix);
#define STATE_BURIED "log.deleted" /* the log of a segment that left, until somebody unlinks it */
/* Parses "<20 digits>.<suffix>"; returns the offset, or -1 when the name is something else or
 * leaves no offset to append at. */
int64_t state_parse_name(const char *name, const char *suffix);
