/* SPDX-License-Identifier: MIT
 *
 * compact_world: a log with keys, null keys, null values, codecs, producers and transactions made
 * by hand, and beside it every record that was ever appended. After whatever happened the log may
 * lack a record only for one of the reasons there are; and what was once seen to be gone stays
 * gone.
 */
#pragma once

#include "test/unit/store/rig.h"

#define WORLD_KEYS 24
#define WORLD_DIR  "/orders-0"

struct world_record {
    int64_t timestamp;
    uint64_t tag;
    int64_t tried_ms;   /* of the first pass that may have seen it; -1 none */
    int64_t covered_ms; /* of the first whole pass over it; -1 none */
    size_t batch;
    int key; /* -1 null, -2 of a marker */
    bool null_value;
    bool present; /* in the last look */
    bool gone;    /* in any look */
};

struct world_batch {
    struct batch_header header;
    int marker; /* 0 data, 1 abort, 2 commit */
    bool present;
};

struct world {
    struct io *disk;  /* owned */
    struct io *fault; /* owned, around it */
    struct log *log;  /* owned */
    struct random random;
    struct world_record *records; /* owned, by offset */
    size_t record_cap;
    struct world_batch *batches; /* owned */
    size_t batch_count;
    size_t batch_cap;
    int64_t end;      /* of what was appended */
    int64_t acked;    /* of what was synced */
    int64_t start;    /* log start that was acknowledged */
    int64_t trimming; /* that was asked for */
    int64_t now_ms;
    int64_t covered; /* end of the last whole pass */
    int64_t tried;   /* end of the log when the last pass began */
    int64_t retention_ms;
    uint64_t tag;
    struct log_options options;
    size_t map_size;
    int32_t sequences[4]; /* next of each producer */
    uint64_t dropped;     /* records seen to be gone, in all */
};

void world_init(struct world *w, uint64_t seed);
void world_deinit(struct world *w);
uint64_t world_below(struct world *w, uint64_t bound);
/* 0 or what the log said. */
int world_open(struct world *w) MUST_CHECK;
int world_close(struct world *w) MUST_CHECK;
/* Appends random batches and syncs. */
int world_append(struct world *w) MUST_CHECK;
int world_trim(struct world *w) MUST_CHECK;
int world_compact(struct world *w) MUST_CHECK;
/* Reads everything and judges. */
void world_look(struct world *w);
/* The n-th call of the disk from here on fails; 0 none. */
void world_fail(struct world *w, struct io_fault_plan plan);
/* The process died, with or without the power; the log is closed. */
void world_reboot(struct world *w, bool cut);
