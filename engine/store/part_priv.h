/* SPDX-License-Identifier: MIT
 *
 * part_priv: what part.c shares with recovery and reading in this folder.
 */
#pragma once

#include "engine/store/part.h"

struct part_round;

/* Recovers a folder (recover.c): part_open. */
int recover_open(struct store *s, const struct part_open_options *o, struct part **out,
                 struct part_recovery *report) MUST_CHECK;
/* The last segment, or NULL. */
struct segment *part_active(const struct part *p);
/* Appends an empty segment to the list; base above the last one's. Owned by the part. */
struct segment *part_add_segment(struct part *p, int64_t base);
void part_free_segment(struct segment *s);
/* Moves a segment's figures by one batch that lies at its end, adding index entries when due:
 * `interval` is index.interval.bytes. */
void part_index_batch(uint64_t interval, struct segment *s, const struct batch_header *h,
                      struct buf *index, struct buf *timeindex);
/* Appends to what part_buried hands over. */
void part_bury(struct part *p, int64_t base);
/* Takes the open writer out of the part and off the store's list; NULL when there is none. */
struct io_file *part_writer_take(struct part *p);
/* Remembers [from, to) as damaged; merges with what it touches. */
void part_add_damage(struct part *p, struct part_range range);
/* The first damaged range that ends behind the offset, or NULL. */
const struct part_range *part_damage_at(const struct part *p, int64_t offset);
/* The last one at or below the offset behind which reading goes on in this segment, or NULL. */
const struct part_range *part_damage_before(const struct part *p, const struct segment *s,
                                            int64_t offset);
/* What a read ran into. */
struct part_damage {
    struct slice log; /* the segment's bytes and index, mapped */
    struct slice index;
    size_t pos;
    int64_t offset;
};
/* Finds out how far it goes and remembers it. O(bytes to the next index entry). */
void part_damage_found(struct part *p, size_t slot, const struct part_damage *d);
/* Puts everything that is due into the round (part_plan.c). */
void part_plan(struct part *p, struct part_round *r);

/* part_ship.c */

struct part_shipped_batch {
    struct batch_header header;
    struct producers_undo undo;
};

struct part_shipped { /* beside an append as is */
    struct list link; /* in part->shipped */
    struct slice bytes;
    int64_t segment;
    int64_t first; /* of the first batch, or the end in front of it: where a file may begin */
    bool gap;      /* offsets are missing in it, or in front of it */
    size_t count;
    struct part_shipped_batch batches[]; /* those of producers */
};

/* The next of its batches; false behind the last. */
bool part_shipped_next(struct slice *rest, struct batch_header *h);
/* Base of the segment that begins with it, if it must be a new one. */
int64_t part_shipped_base(const struct part *p, const struct part_append *a);
bool part_shipped_must_roll(const struct part *p, const struct part_append *a);
/* NULL is fine. */
void part_shipped_free(struct part_shipped *s);
/* A batch was reserved at the end: its epoch. */
void part_epochs_append(struct part *p, const struct batch_header *h);
/* Takes the producers back to what they were in front of an append. */
void part_append_undo(struct part *p, struct part_append *a);

/* part_swap.c */

/* Takes the swap that was asked for into the round, where it still fits. True: the round has to
 * write a state. */
bool part_swap_plan(struct part *p, struct part_round *r);
/* The round is over. */
void part_swap_finish(struct part *p, struct part_round *r);
/* True for a segment whose files a worker may be replacing now. */
bool part_swap_covers(const struct part *p, int64_t base);
