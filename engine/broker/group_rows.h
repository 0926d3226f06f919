/* SPDX-License-Identifier: MIT
 *
 * group_rows: the view of __consumer_offsets in LMDB: one row per key of the log with its last
 * value, so that a start reads rows instead of the whole log. Changes gather in memory, the last
 * one of a key counts, and go to LMDB in a worker, in one transaction with the offset they are as
 * of. It must not know what the records mean.
 *
 * Failures: a view that cannot be written is given up (group_rows_error says why, once): the log is
 * the truth, and the next start rebuilds the view from it.
 */
#pragma once

#include "engine/base/work.h"
#include "engine/meta/meta.h"

struct group_rows;

/* `view` and `log` (a name) are borrowed for its life. */
struct group_rows *group_rows_new(uint64_t seed, struct meta *view, const char *log);
/* No commit is out. NULL is fine; returns NULL. */
struct group_rows *group_rows_free(struct group_rows *r);
/* Everything up to and including applied.offset is in the view, -1 nothing. Its epoch goes into
 * each mark. */
void group_rows_start(struct group_rows *r, struct meta_applied applied);
/* Empties the view's table: it is filled anew. */
void group_rows_rebuild(struct group_rows *r);
/* A record that is on disk; value.p NULL: a tombstone. Offsets rise. */
void group_rows_note(struct group_rows *r, struct slice key, struct slice value, int64_t offset);
/* True when there is something to commit and no commit is out. */
bool group_rows_due(const struct group_rows *r);
bool group_rows_busy(const struct group_rows *r);
/* It was given up. */
bool group_rows_lost(const struct group_rows *r);
/* Starts a commit of all that gathered; due, and no other commit of the view is out. */
void group_rows_commit(struct group_rows *r, struct work *w);
/* Of the commit that failed, once: 0, META_FULL or -errno. */
int group_rows_error(struct group_rows *r);
