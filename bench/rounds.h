/* SPDX-License-Identifier: MIT
 *
 * rounds: many partitions, each with one new batch, made durable in one round, as a broker with
 * many small topics does it.
 */
#pragma once

#include "engine/store/round.h"

struct rounds_part {
    struct part *part;
    struct part_append append;
    struct buf batch; /* its own copy: an append stamps it */
};

struct rounds {
    struct io *io;
    struct store store;
    struct rounds_part *parts; /* owned */
    size_t count;
};

/* `count` empty partitions under `dir`, `batch` (copied) for each; nothing is written yet. */
void rounds_init(struct rounds *r, const char *dir, size_t count, struct slice batch);
/* Appends to every partition, then runs the round to its end: the ns of the round alone. */
int64_t rounds_run(struct rounds *r);
void rounds_deinit(struct rounds *r);
