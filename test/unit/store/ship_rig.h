/* SPDX-License-Identifier: MIT
 *
 * ship_rig: one log fed from another, as a follower is.
 */
#pragma once

#include "test/unit/store/rig.h"

/* Reads up to size_max bytes from the leader at `offset`, up to its written end; what part_read
 * says. The caller unpins out->pin. */
int ship_read(struct log *leader, int64_t offset, size_t size_max, struct part_extent *out);
/* Queues the bytes as they are; what part_append_as_is says. They are copied. */
int ship_put(struct log *follower, struct slice bytes, int64_t segment);
/* One extent from the leader at the follower's reserved end: queued. PART_END: nothing there. */
int ship_once(struct log *leader, struct log *follower, size_t size_max);
/* All there is, in extents of that size, a sync after each. */
void ship_all(struct log *leader, struct log *follower, size_t size_max);

/* The whole file of a segment, appended. False when there is none. */
bool ship_file(struct io *io, const char *dir, int64_t base, struct buf *out);
/* The same batches from `from` to the end, byte by byte, and the same leader epochs. */
void ship_same(struct log *a, struct log *b, int64_t from);
/* The same producers, but for when they were seen. */
void ship_same_producers(struct log *a, struct log *b);
