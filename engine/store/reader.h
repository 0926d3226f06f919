/* SPDX-License-Identifier: MIT
 *
 * reader: the mappings of one segment: its log, its index and its time index, read-only. Opening
 * may wait for the disk and so happens in a worker (part.h, warming); everything else is memory.
 *
 * A reader is alive while its segment or a pin holds it; the segment may be gone from disk (dropped
 * by retention) while a pinned reader still shows its bytes, as an unlinked file does.
 *
 * Invariants: D1 a reader on the store's list has no pins; D2 index maps are looked at only below
 * the size that the owner passes in; D3 nothing here outlives its pin.
 */
#pragma once

#include "engine/store/store.h"

struct reader {
    struct list link; /* in store->readers when unpinned and owned by a segment */
    struct store *store;
    struct io_map log;
    struct io_map index;     /* empty when the segment has none (yet) */
    struct io_map timeindex; /* likewise */
    unsigned pins;
    bool unindexed;        /* opened before the segment had an index */
    bool orphan;           /* no segment owns it any more: freed with the last pin */
    struct reader **owner; /* the segment's pointer to this, cleared on eviction */
};

/* Which bytes to map. Sizes may be larger than the files (they grow); 0 maps nothing. */
struct reader_plan {
    const char *dir; /* borrowed */
    int64_t base;
    size_t log_size;
    size_t index_size;
    size_t timeindex_size;
};

/* Opens mappings. Worker or owner thread. 0, IO_MISSING (the log is not there) or -errno. A missing
 * index is fine. The reader is on no list yet. */
int reader_open(struct io *io, const struct reader_plan *plan, struct reader **out) MUST_CHECK;
/* Owner thread: gives an open reader to a segment's pointer and puts it on the list, closing the
 * coldest beyond the limit. */
void reader_adopt(struct store *s, struct reader *r, struct reader **owner);
/* The segment goes away: the reader is freed now or with its last pin. NULL is fine. */
void reader_release(struct reader *r);
void reader_pin(struct reader *r);
void reader_unpin(struct reader *r);
/* Owner thread: nobody wants this one any more; it is freed, or buried (store.h). */
void reader_bury(struct store *s, struct reader *r);
/* Frees a reader that was never adopted. */
struct reader *reader_discard(struct io *io, struct reader *r);
/* Any thread: frees what store_exhume gave. */
void reader_discard_all(struct io *io, struct list *readers);
