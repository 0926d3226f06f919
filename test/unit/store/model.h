/* SPDX-License-Identifier: MIT
 *
 * model: a log that is only an array of batches in memory, and random work done to it and to a real
 * log alike. What the real one answers is compared byte by byte; whatever a crash did to it is
 * accepted as far as the rules of log.h allow, and the model follows.
 */
#pragma once

#include "test/unit/store/rig.h"

#define MODEL_PRODUCERS 4

struct model_batch {
    int64_t base;
    int64_t next;
    size_t pos; /* in bytes */
    struct batch_header header;
};

struct model {
    struct buf bytes;            /* batches as they are stored, one after the other */
    struct model_batch *batches; /* owned */
    size_t count;
    size_t cap;
    size_t acked;   /* batches that were acknowledged; more are queued */
    int64_t *times; /* owned: timestamp by offset */
    size_t times_cap;
    int64_t start;
    int64_t start_from; /* below start while a trim or truncation hangs in the air */
    int64_t vague;      /* producers may have forgotten their batches below this offset */
    struct buf lost;    /* the first batch that the last crash took, as its producer sent it */
    uint64_t tag;
    struct random random;
};

void model_init(struct model *m, uint64_t seed);
void model_deinit(struct model *m);
uint64_t model_below(struct model *m, uint64_t bound); /* a random number */
int64_t model_end(const struct model *m);              /* of what is acknowledged */

/* A log of small segments, index steps and checkpoints, so that little work meets every path. */
struct log_options model_options(struct model *m, struct io *io, const char *dir);

/* Random work on both. Results of the log are compared. */
void model_append(struct model *m, struct log *l);
void model_read(struct model *m, struct log *l);
void model_find(struct model *m, struct log *l);
/* These may fail, and return what the log said. 0: the model has followed. IO_FULL: what was queued
 * is dropped. Negative: nothing is known, and model_recovered comes next. */
int model_sync(struct model *m, struct log *l) MUST_CHECK;
int model_trim(struct model *m, struct log *l) MUST_CHECK;
int model_truncate(struct model *m, struct log *l) MUST_CHECK;
/* One of all these. */
int model_step(struct model *m, struct log *l) MUST_CHECK;

/* Everything below the offset counts as acknowledged. */
void model_acked(struct model *m, int64_t offset);
/* The queue is gone: an orderly close, or a kill between two calls. */
void model_drop_queue(struct model *m);
/* Another log was opened on the folder after a crash: everything acknowledged is there, of the rest
 * a beginning. The model follows; reads nothing. */
void model_recovered(struct model *m, struct log *l);
/* Ends, and every byte by reads of a random size. */
void model_check(struct model *m, struct log *l);
/* Sends the batch that was lost once more: it is taken. Nothing when there is none. */
void model_retry(struct model *m, struct log *l);
/* Repeats the last acknowledged batch of each producer: duplicates. */
void model_repeat(struct model *m, struct log *l);
