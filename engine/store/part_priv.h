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

/* part_swap.c */

/* Takes the swap that was asked for into the round, where it still fits. True: the round has to
 * write a state. */
bool part_swap_plan(struct part *p, struct part_round *r);
/* The round is over. */
void part_swap_finish(struct part *p, struct part_round *r);
/* True for a segment whose files a worker may be replacing now. */
bool part_swap_covers(const struct part *p, int64_t base);
