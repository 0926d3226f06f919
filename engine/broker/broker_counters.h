/* SPDX-License-Identifier: MIT
 *
 * broker_counters: what the broker counts for those who watch it. Counting is plain increments on
 * the owner thread, in structs of the broker and of each partition; looking is a copy. Nothing in
 * the engine decides by these figures, and none survives a start.
 *
 * Beside sums a partition keeps marks (offset, wall time): what lies below the offset was appended
 * until that time. From them follows where the log ended some time ago, and so whether the record
 * that a group reads next has been there for long: without reading it.
 *
 *   marks   [0] newest ... [BPART_MARKS - 1] oldest; made by an append, at most every stuck_ms / 3,
 *           with the time of the append before it. So a record is told to have been there for
 *           stuck_ms once it has been there for 4/3 of that, and never before its time
 *
 * Invariants (broker_counters_check): offsets and times of the marks fall from the newest to the
 * oldest.
 */
#pragma once

#include "engine/base/tally.h"
#include "engine/broker/broker_group.h"

#define BPART_MARKS 4

struct bpart;

/* Of one partition since the start. */
struct bpart_counters {
    uint64_t batches_in;
    uint64_t records_in;
    uint64_t size_in;
    uint64_t fetches; /* answers with bytes */
    uint64_t records_out;
    uint64_t size_out;
    int64_t appended_ms; /* wall: of the last append; 0 none */
    int64_t marked_ms;   /* of the append that made the newest mark */
    struct {
        int64_t offset;
        int64_t ms;
    } marks[BPART_MARKS];
    unsigned mark_count;
};

/* Of the broker since the start. The engine's files write the first three. */
struct broker_counters {
    struct tally rounds[2]; /* from submit to finish; [1] those that sync */
    struct tally syncs;     /* the sync alone, of those that do */
    uint64_t round_partitions;
    uint64_t mended;      /* damaged ranges that were repaired from another replica */
    uint64_t mended_size; /* bytes that were fetched for it */
    uint64_t rebalances[BROKER_GROUP_CAUSE_COUNT];
    /* now */
    size_t in_flight_size; /* bytes of produce requests */
    size_t damaged;        /* partitions with damage that no other replica could repair yet */
    size_t loading;        /* partitions being recovered, or waiting for it */
    uint64_t jobs;         /* with the workers */
    uint64_t disk_size;
    int64_t opened_ms; /* wall */
    int64_t stuck_ms;  /* group.stuck.ms */
    bool stopping;
    bool dead;
};

/* An append was queued. */
void broker_counters_append(struct bpart *p, int64_t base_offset, size_t records, size_t size,
                            int64_t now_ms);
/* Bytes leave. */
void broker_counters_fetch(struct bpart *p, int64_t records, size_t size);
void broker_counters_check(const struct bpart_counters *c);
/* Settles what does not change: once, when the broker is open. */
void broker_counters_init(struct broker *b);

/* --- for the fronts --- */

/* Memory only. O(1). */
void broker_counters(const struct broker *b, struct broker_counters *out);

struct broker_partition_counters {
    struct bpart_counters sums; /* all 0 while nothing was counted */
    /* Records below this offset have been there for stuck_ms at least; as far as is known: after a
     * start nothing is, for so long. -1 while not loaded. */
    int64_t old_end;
    bool failed; /* cannot be opened */
};
/* 0, or 1 when there is no such partition. Loads nothing. */
int broker_partition_counters(const struct broker *b, struct slice topic, int32_t partition,
                              struct broker_partition_counters *out) MUST_CHECK;
