/* SPDX-License-Identifier: MIT
 *
 * compact: log compaction of one partition: of all records of a key only the latest stays. Offsets
 * and order stay, so a log that was compacted has gaps. A pass in steps:
 *
 *   [ clean: compacted before ][ dirty          ][ active, young, not durable ]
 *   ^ log start               ^ first_dirty    ^ end
 *
 *   SCAN   the dirty part's headers and markers: where the oldest open transaction begins, the
 *          pass ends; which transactions were aborted
 *   MAP    the dirty part's keys, each with its latest offset, in bounded memory (compact_map.h);
 *          when that is full, the pass ends there, and the next one goes on
 *   COPY   from the log's start the segments in groups that fit into one: each batch through
 *          compact_batch.h into <base>.log.cleaned, with indexes, synced
 *   SWAP   the owner puts the group's new segment in force: part_swap, a round of its own
 *          (compact_swap.h), then on with COPY; a group in which nothing changes is left alone
 *   END    first_dirty is where the next pass begins
 *
 * Steps run in a worker, in pieces (compact_step) that leave everything in this struct; owner and
 * worker never have it at the same time. Groups come into force oldest first, each durably before
 * the next, so whenever it ends, a record that was superseded or deleted is gone before what
 * superseded or deleted it: nothing is resurrected.
 *
 * Which batches stay without records: the last one of each producer that the partition knows (its
 * sequence), and the last one of the pass (so that readers get to the end).
 *
 * The map says nothing of records behind `end` and of those in segments that cannot be read; so a
 * pass that meets damage ends (COMPACT_DAMAGED), and changes nothing more.
 *
 * Must not know: topics, clocks, what decides when a pass is due (broker_compact.h).
 */
#pragma once

#include "engine/store/compact_batch.h"
#include "engine/store/compact_txn.h"
#include "engine/store/part.h"
#include "engine/store/scan.h"

struct compact_options {
    int64_t now_ms;              /* wall time, for delete horizons */
    int64_t first_dirty;         /* of part_cleanable, like `end` */
    int64_t end;                 /* log start < end */
    int64_t delete_retention_ms; /* tombstones stay this long */
    size_t map_size_max;         /* memory for keys */
    uint64_t seed;
    int codec; /* of changed batches; -1: their own */
};

enum compact_phase {
    COMPACT_SCAN,
    COMPACT_MAP,
    COMPACT_COPY,
    COMPACT_SWAP, /* the owner's turn */
    COMPACT_END,
};

/* Results of a pass beside 0 and -errno: nothing more is changed; the first three pass by. */
#define COMPACT_FULL      IO_FULL
#define COMPACT_LOST      PART_LOST /* a trim took segments away */
#define COMPACT_CANCELLED 21
#define COMPACT_DAMAGED   22 /* a segment cannot be read, in whole or in part */

struct compact_segment {
    int64_t base;
    int64_t end; /* base of the next */
    uint64_t size;
    struct reader *reader; /* owned; NULL unless open */
};

struct compact_producer {
    int64_t id;
    int64_t base_offset; /* of its last batch */
};

struct compact_totals {
    uint64_t records_before;
    uint64_t records_after;
    uint64_t size_before;
    uint64_t size_after;
    uint64_t segments_before;
    uint64_t segments_after;
    int64_t end; /* everything below was dealt with; -1: the pass did not get to its end */
};

struct compact {
    struct io *io;
    struct compact_options options;
    char *dir;                        /* owned */
    struct compact_segment *segments; /* owned; all in front of the end given */
    size_t count;
    struct compact_producer *producers; /* owned, by id */
    size_t producer_count;
    uint64_t segment_size_max;
    uint64_t interval;
    bool cleaned; /* the sources may have gaps */
    enum compact_phase phase;
    int64_t end; /* what is dealt with in this pass: lowered by SCAN and MAP */
    struct compact_map map;
    struct compact_txn txn;
    /* where the walk stands */
    size_t slot;
    struct scan scan;
    bool scanning; /* the slot's scan is set */
    struct buf batch;
    struct compact_scratch scratch;
    /* the group under way: slots [group, group_end) */
    size_t group;
    size_t group_end;
    struct io_file *file; /* owned */
    struct buf pending;   /* bytes to write at `written` */
    struct buf changed;
    uint64_t written;
    struct segment segment; /* the new one's figures */
    struct buf index;
    struct buf timeindex;
    bool differs;            /* from the source */
    struct reader **readers; /* owned; for the swap */
    struct part_swap swap;
    bool began; /* a swap was made */
    bool cancelled;
    /* results */
    uint64_t used; /* bytes read and written, in all */
    struct compact_totals totals;
    int result;
};

/* Owner thread: plans a pass over what is there now. */
struct compact *compact_new(const struct part *p, const struct compact_options *o);
/* Worker: goes on until about `budget` bytes were read and written, or the owner has its turn: look
 * at phase (COMPACT_SWAP, COMPACT_END) and result. */
void compact_step(struct compact *c, uint64_t budget);
/* Owner thread, in COMPACT_SWAP: what to hand to part_swap; done is the caller's. */
struct part_swap *compact_swap(struct compact *c);
/* Owner thread: it was done with this result. */
void compact_swapped(struct compact *c, int result);
/* Owner thread: the next step only removes what it left in the folder, and ends. */
void compact_cancel(struct compact *c);
/* No step is out, no swap with the part. NULL is fine; returns NULL. */
struct compact *compact_free(struct compact *c);
