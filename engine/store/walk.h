/* SPDX-License-Identifier: MIT
 *
 * walk: reads a segment's log file from its first byte, batch by batch, without trusting anything
 * beside it. For dump and verify, which work while no broker runs and change nothing.
 */
#pragma once

#include "engine/store/part.h"

struct walk_item {
    uint64_t pos;
    enum batch_fault fault; /* BATCH_OK, or why the bytes at pos are no batch */
    struct batch_header h;  /* with BATCH_OK */
    struct slice batch;     /* with BATCH_OK: all of it, valid inside the call */
    int64_t expected;       /* offset that should come here */
    uint64_t skipped;       /* with a fault: bytes up to the next good batch, or to the end */
    bool zeros;             /* with a fault: all of them are zero: reserved, never written */
};

/* Calls fn for each batch of DIR/<base>.log in order, and for each stretch that is none; stops when
 * it returns nonzero, which is then returned. 0, IO_MISSING, or -errno (-EIO where the disk cannot
 * read a page). */
int walk_segment(struct io *io, const char *dir, int64_t base,
                 int (*fn)(void *ctx, const struct walk_item *item), void *ctx) MUST_CHECK;
