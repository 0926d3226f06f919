/* SPDX-License-Identifier: MIT
 *
 * rig: what the tests of engine/store share: a place for a partition folder on a real or a crash
 * disk, batches made to order, and whole logs read back.
 */
#pragma once

#include "engine/base/io.h"
#include "engine/base/random.h"
#include "engine/store/log.h"

#define RIG_TIME INT64_C(1700000000000)

/* A folder on the machine's disk or on a crash disk. */
struct rig {
    struct io *io; /* owned */
    bool real;
    char root[64]; /* made by rig_init and removed by rig_deinit; "" on a crash disk */
    char dir[96];  /* where the log lives: does not exist yet */
};

void rig_init(struct rig *g, bool real);
void rig_deinit(struct rig *g);
/* Small segments, index steps and checkpoints, so that little data meets every path. */
struct log_options rig_options(const struct rig *g);

struct rig_batch {
    int64_t producer_id; /* BATCH_NO_PRODUCER */
    int32_t sequence;
    int16_t epoch;
    int32_t count;
    int64_t timestamp; /* of the first record; each further one is `step` later */
    int64_t step;
    size_t value_size;
    uint64_t tag; /* makes the values unique */
    enum codec codec;
};

/* Appends the batch as a producer sends it. */
void rig_build(const struct rig_batch *b, struct buf *out);

/* Reads [from, end) whole with reads of size_max; every batch must check and follow the one before.
 * What can be read is appended to `out`; ranges that are damaged are skipped and counted. */
unsigned rig_read_all(struct log *l, int64_t from, size_t size_max, struct buf *out);

/* True when the folder holds a file whose name ends in suffix. */
bool rig_has(struct io *io, const char *dir, const char *suffix);
/* Base offsets of the files with that suffix, rising; returns how many (at most max). */
size_t rig_files(struct io *io, const char *dir, const char *suffix, int64_t *bases, size_t max);
