/* SPDX-License-Identifier: MIT
 *
 * store: what all partitions of one process share: the io, and how many descriptors and mappings
 * may be open. Owned by one thread.
 *
 * Two least-recently-used lists. Readers are mappings (no descriptor stays open behind them);
 * writers are descriptors of active segments. Both are opened on use and closed from the cold end
 * when there are more than the limit; a pinned reader and a writer inside a round are on no list
 * and are never closed. So an idle partition costs neither.
 *
 * The last unmapping of a file that was removed frees all its pages: a second for a gigabyte. So an
 * owner that must not stand still lets them be buried, and discards them in a worker.
 */
#pragma once

#include "engine/base/io.h"
#include "engine/base/list.h"

struct store {
    struct io *io;       /* borrowed */
    struct list readers; /* struct reader, most recent first */
    struct list writers; /* struct part, most recent first */
    struct list buried;  /* struct reader that nobody holds, when `buries` */
    bool buries;
    size_t reader_count; /* on the list */
    size_t writer_count;
    size_t orphan_count; /* readers that are pinned though their segment is gone */
    size_t reader_max;
    size_t writer_max;
    uint64_t seed; /* for hash maps */
};

struct store_options {
    struct io *io;
    size_t reader_max; /* mapped segments kept open; 0: 256 */
    size_t writer_max; /* descriptors kept open; 0: 256 */
    uint64_t seed;
    bool buries; /* the owner calls store_exhume */
};

void store_init(struct store *s, const struct store_options *o);
/* All partitions are closed before. */
void store_deinit(struct store *s);
/* Hands over what is buried: *out, a list of struct reader, for reader_discard_all. */
void store_exhume(struct store *s, struct list *out);
