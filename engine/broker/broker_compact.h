/* SPDX-License-Identifier: MIT
 *
 * broker_compact: when which partition is compacted; how is the store's (engine/store/compact.h).
 * One pass at a time, in pieces that workers do; produce, fetch, retention, trims and deletions of
 * the partition go on.
 *
 *            due                step            swap: a round
 *   (idle) -------> [ pass ] <--------> worker <-------------> partition
 *      ^               | whole: first_dirty moves, and is noted in the view
 *      +---------------+ gone, stopping, damaged, no space: as far as it came
 *
 * A partition of a topic with cleanup.policy=compact is due when the dirty share of what may be
 * compacted reaches min.cleanable.dirty.ratio, or when a dirty record is older than
 * max.compaction.lag.ms; then also the active segment is ended, so that its old records count. The
 * dirtiest goes first; when none is due, log.cleaner.backoff.ms pass.
 *
 * Where a partition's next pass begins is a row of the view (META_TABLE_PART), a hint: it holds the
 * topic's id and the compaction generation it was made for, and counts only when both fit; without
 * it the pass begins at the log's start.
 *
 *   key <topic>-<partition>    value [16 topic id][u32 le generation][i64 le first dirty offset]
 *
 * While a snapshot is made (broker_snapshot.c) no swap is asked for: a pass that has come to one
 * waits for the snapshot's end.
 *
 * The log of the groups is compacted only while the view follows it: the view's rows are older than
 * a deletion that compaction may forget.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct bpart;
struct broker;
struct broker_compact;
struct topic;

struct broker_compact *broker_compact_new(struct broker *b);
/* No job is out. NULL is fine; returns NULL. */
struct broker_compact *broker_compact_free(struct broker_compact *bc);
/* Its part of a turn. */
void broker_compact_run(struct broker_compact *bc);
/* Monotonic; INT64_MAX none. */
int64_t broker_compact_next_ms(const struct broker_compact *bc);
/* A pass is under way. */
bool broker_compact_busy(const struct broker_compact *bc);
/* The topic is being deleted. */
void broker_compact_forget(struct broker_compact *bc, struct topic *t);

/* broker_compact_view.c */

bool broker_compact_view_due(const struct broker_compact *bc);
bool broker_compact_view_busy(const struct broker_compact *bc);
/* The high watermark of a replicated partition moved (bpart_mark): it is noted within seconds. The
 * row is the view's, key "hw/<topic>-<partition>", value [16 topic id][i64 le offset]: everything
 * below was committed, and durable here, when the row was written. */
void broker_marks_moved(struct bpart *p);
/* As noted before the last start; 0: nothing is known. */
int64_t broker_marks_find(const struct bpart *p);
/* Starts a commit when one is due and no other commit of the view is out. */
void broker_compact_view(struct broker_compact *bc);
