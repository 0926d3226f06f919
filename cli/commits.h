/* SPDX-License-Identifier: MIT
 *
 * commits: the commits of one group, told one after the other as the log has them, and what can be
 * asked of them at its end: where the group was at a time, and where it was before its offsets were
 * reset last. It holds a row a partition, however long the log is.
 *
 * A reset is a number of commits whose metadata begins with COMMITS_MARK and is the same: it tells
 * when and why it was made, so no two resets have the same one.
 *
 * Invariants: 1. `parts` is sorted by topic and partition, each once;
 *             2. `befores` are of the newest mark alone, each partition once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/bytes.h"

#define COMMITS_MARK     "kauri: "
#define COMMITS_MARK_MAX 160

/* Results: what a partition had. */
struct commits_item {
    const char *topic; /* borrowed of the commits */
    int32_t partition;
    int64_t offset; /* -1: nothing */
};
struct commits_items {
    struct commits_item *items; /* owned; by topic and partition */
    size_t count;
    size_t cap;
};

struct commits_part {
    char *topic; /* owned */
    int32_t partition;
    int64_t last; /* -1: nothing, or forgotten */
    int64_t then; /* the same as of as_of_ms */
};
struct commits {
    int64_t as_of_ms;
    struct commits_part *parts; /* owned */
    size_t count;
    size_t cap;
    char *mark; /* owned; NULL: no reset yet */
    struct commits_items befores;
};

/* A zeroed struct with as_of_ms set is ready. */
struct commits_one {
    struct slice topic;
    int32_t partition;
    int64_t offset; /* -1: forgotten */
    int64_t commit_ms;
    struct slice metadata;
};
/* The next commit. Cost: a search among the partitions. */
void commits_add(struct commits *c, const struct commits_one *one);
void commits_deinit(struct commits *c);

/* Each partition's last commit at or before as_of_ms; those that had none are left out. */
void commits_as_of(const struct commits *c, struct commits_items *out);
/* What each partition of the last reset had right before it, and that one's mark, borrowed. False:
 * there was no reset. */
bool commits_before_reset(const struct commits *c, struct commits_items *out, const char **mark);
void commits_items_deinit(struct commits_items *p);

/* "kauri: WHAT, at 2026-11-20T18:00:00.250Z" */
void commits_mark(const char *what, int64_t now_ms, char text[COMMITS_MARK_MAX]);
/* WHAT of such a text, cut to `size`. */
void commits_what(const char *mark, char *text, size_t size);
