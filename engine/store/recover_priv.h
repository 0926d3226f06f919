/* SPDX-License-Identifier: MIT
 *
 * recover_priv: what recover.c (the folder) shares with recover_last.c (the last segment).
 */
#pragma once

#include "engine/store/compact_swap.h"
#include "engine/store/part_priv.h"

#define RECOVER_INDEX_MAX (64u << 20)

struct recover_list {
    int64_t *v; /* owned */
    size_t count;
    size_t cap;
};

struct recover {
    struct io *io;
    const struct part_open_options *o;
    struct part *part;
    struct part_recovery *report;
    struct recover_list logs;
    struct recover_list snapshots;
    struct compact_swap *swaps; /* owned; half done */
    size_t swap_count;
    struct state state; /* the generation counts without has_state, too */
    bool has_state;
    bool compacted;    /* the folder has the mark */
    bool cleaning;     /* and leftovers of a cleaner */
    int64_t snapshot;  /* producers hold everything below this offset; -1 none */
    bool has_epochs;   /* and so do the leader epochs */
    int epoch_batches; /* that vouch for the last epoch; 2: more than one, or the snapshot */
    struct io_map map; /* of the segment being scanned */
    struct io_file *file;
    struct buf index; /* entries made by the scan */
    struct buf timeindex;
};

/* Scans the last segment and makes it whole; sets the part's reserved end. */
int recover_last(struct recover *c, struct segment *s) MUST_CHECK;
/* When the segment was last written to, as its file tells: where its records claim times to come,
 * or have none. The file's time may be wrong, so it counts only there. */
int recover_appended(struct recover *c, struct segment *s) MUST_CHECK;

/* recover_epochs.c */

/* A snapshot was loaded. */
void recover_epochs_loaded(struct recover *c, bool has_epochs);
/* Every batch from this offset on must be looked at; -1: all. */
int64_t recover_from(const struct recover *c);
/* Moves producers and epochs by a stored batch. */
void recover_batch(struct recover *c, const struct batch_header *h);
/* The ends of the log are known. */
void recover_epochs_end(struct recover *c);
