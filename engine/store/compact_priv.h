/* SPDX-License-Identifier: MIT
 *
 * compact_priv: what compact.c (life, SCAN, MAP) shares with compact_copy.c (COPY, SWAP).
 */
#pragma once

#include "engine/store/compact.h"

#define COMPACT_WALK_END 30

/* Begins the walk at a slot. */
void compact_walk_at(struct compact *c, size_t slot);
/* Goes over one batch: 0 and c->scan.h; COMPACT_WALK_END at the end of the slot before `end`;
 * COMPACT_DAMAGED, COMPACT_LOST or -errno. Mappings stay open when `keep`. */
int compact_walk(struct compact *c, size_t end, bool keep) MUST_CHECK;
/* Copies it to c->batch. 0 or COMPACT_DAMAGED. */
int compact_take(struct compact *c) MUST_CHECK;
void compact_close_segment(struct compact *c, size_t slot);

/* Worker: one batch of the copy, or what comes between two groups. 0 or the result of the pass. */
int compact_copy(struct compact *c) MUST_CHECK;
/* Worker: makes durable what was written so far. 0 or -errno. */
int compact_copy_sync(struct compact *c) MUST_CHECK;
/* Worker: removes what the group under way left in the folder. */
void compact_copy_discard(struct compact *c);
