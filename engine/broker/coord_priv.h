/* SPDX-License-Identifier: MIT
 *
 * coord_priv: what the files of coord share.
 */
#pragma once

#include "engine/broker/coord.h"

#define COORD_LOG "__meta"
#define COORD_ANY (-2) /* expect: whatever is there, and whatever is under way */

struct coord_record {
    struct slice key;    /* into bytes */
    struct slice value;  /* into bytes; p NULL: deleted, or not made yet */
    uint8_t *bytes;      /* owned: key and value */
    int64_t revision;    /* -1: nothing durable yet */
    struct list changed; /* in coord->changed: the view lacks it */
    struct list order;   /* in coord->order, once there is a revision: K4 */
    struct list grave;   /* in coord->graves: it was deleted */
    unsigned pending;    /* changes under way */
};

struct coord_commit {
    struct work_job job;
    struct coord *coord;
    struct meta_put *puts; /* owned */
    struct buf *values;    /* owned */
    struct buf *keys;      /* owned */
    size_t count;
    int64_t applied;
    int result;
    bool out;
};

/* The live records, once more: one of its batches. */
struct coord_again {
    struct part_append append;
    struct coord *coord;
    struct buf batch;
    bool last;
};

struct coord_tidying {
    struct coord_again *batches; /* owned; NULL: none is out */
    size_t count;
    int64_t from; /* offset of the first record of them */
    int64_t next; /* not before the log is applied to here: the last try found no space */
    bool sealed;  /* the first step is done */
    bool failed;
};

struct coord {
    struct map map;
    struct part *part;
    struct meta *view; /* NULL: given up */
    struct list changed;
    struct list order;
    struct list graves; /* oldest first */
    size_t grave_count;
    size_t live_count;
    uint64_t live_size; /* keys and values of the records that are there */
    uint64_t log_min;
    struct coord_commit commit;
    struct coord_tidying tidying;
    int64_t applied;   /* next offset of __meta to apply */
    int64_t forgotten; /* deletions up to this revision are not known any more */
    int view_error;
    bool mark_due; /* the view lacks nothing but how far it is */
    void (*due)(void *ctx);
    void *ctx;
};

/* coord.c */
struct coord_record *coord_record_make(struct coord *c, struct slice key);
void coord_record_set(struct coord *c, struct coord_record *r, struct slice key,
                      struct slice value);
void coord_record_drop(struct coord *c, struct coord_record *r);
/* Empties memory. */
void coord_forget(struct coord *c);
/* A record of the log at `offset` with its revision: the offset, or less in one that tidying wrote
 * again. */
struct coord_place {
    int64_t offset;
    int64_t revision;
};
void coord_apply(struct coord *c, struct slice key, struct slice value, struct coord_place at);
/* coord_tidy.c */
void coord_tidy_clear(struct coord_tidying *t);
/* The revision that tidying wrote down with a record; its offset when it is a plain one. False:
 * there is something else. */
bool coord_tidy_revision(const struct batch_record *r, int64_t *revision) MUST_CHECK;
/* coord_view.c */
void coord_commit_clear(struct coord_commit *m);
