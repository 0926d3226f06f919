/* SPDX-License-Identifier: MIT
 *
 * broker_compact_priv: what broker_compact.c (passes) shares with broker_compact_view.c (hints).
 */
#pragma once

#include "engine/broker/broker_priv.h"
#include "engine/store/compact.h"

/* A row of the view to be written, or removed. */
struct broker_compact_row {
    struct list link;
    struct buf key;
    struct buf value; /* empty: remove */
};

struct broker_compact_commit { /* handed to a worker as a whole */
    struct work_job job;
    struct broker_compact *compact;
    struct list rows;
    struct meta_put *puts; /* owned */
    size_t count;
    int result;
    bool out;
};

struct broker_compact {
    struct broker *broker;
    struct compact *pass; /* owned; NULL: idle */
    struct bpart *bpart;  /* of the pass, counted in its jobs */
    struct work_job job;
    bool out;         /* a step is with a worker */
    bool swaps;       /* a swap is with the part */
    int64_t began_ms; /* of the step, monotonic */
    uint64_t used;    /* before the step */
    uint64_t rounds;  /* likewise: partitions in rounds so far */
    uint64_t piece;   /* of the step */
    int64_t resume_ms;
    int64_t look_ms;
    /* the view */
    struct list rows;   /* struct broker_compact_row */
    struct list marked; /* struct bpart_mark */
    int64_t mark_ms;    /* when they are noted; monotonic */
    struct broker_compact_commit commit;
    bool view_lost;
};

/* Looks the hint up, once. */
void broker_compact_hint(struct broker_compact *bc, struct bpart *p);
/* Notes first_dirty for the view. */
void broker_compact_note(struct broker_compact *bc, const struct bpart *p);
void broker_compact_view_init(struct broker_compact *bc);
void broker_compact_view_deinit(struct broker_compact *bc);
