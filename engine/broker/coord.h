/* SPDX-License-Identifier: MIT
 *
 * coord: the coordination seam: cluster records with revisions, changed only by compare-and-set.
 * This is the local implementation: records live in memory, the node-local log __meta is their
 * truth, LMDB their view. A later one may ask etcd; the calls stay.
 *
 * A change, in steps: coord_cas checks the revision, appends one record (key, value) to __meta,
 * and when its round is durable applies it to memory and calls done. The revision of a record is
 * the offset in __meta that wrote it. A batch in __meta is RecordBatch v2 with one record: key the
 * record's key, value its bytes, null when it is deleted. Changes that belong together are the
 * records of one batch: after a crash all of them are there or none.
 *
 * The view follows: changed records are committed to LMDB in batches, in a worker, off the path of
 * every answer, each transaction with the offset up to which it applies. At open, the rows are read
 * and the log is replayed from there; a view that is ahead of the log, damaged or missing is
 * rebuilt.
 *
 * Invariants: K1 at most one change per key is under way; K2 memory holds exactly the records of
 * __meta below the applied offset; K3 the view's applied offset <= the durable end of __meta.
 */
#pragma once

#include "engine/base/map.h"
#include "engine/base/work.h"
#include "engine/meta/meta.h"
#include "engine/store/part.h"

#define COORD_NONE      1 /* no such record */
#define COORD_CONFLICT  2 /* the revision is another, or a change of this key is under way */

#define COORD_VALUE_MAX (1u << 20)

struct coord;

struct coord_op {
    struct slice key;   /* borrowed until done */
    struct slice value; /* p NULL: delete */
    int64_t expect;     /* revision the record must have; -1: must not be there */
    void (*done)(struct coord_op *op, int result); /* 0 or IO_FULL; never inside coord_cas */
    void *ctx;
    int64_t revision; /* result */
    struct {          /* coord's */
        struct coord *coord;
        struct part_append append; /* of the first of those that belong together */
        size_t count;              /* how many these are */
        struct buf batch;
        struct buf key;
        struct buf value;
    } priv;
};

struct coord *coord_new(uint64_t seed);
struct coord *coord_free(struct coord *c);

/* Fills memory from the view and the log, rebuilding the view's rows where they do not fit. `part`
 * is __meta, open and online; borrowed for the coord's life. due(ctx) is called when __meta has
 * something for a round. 0, COORD_DAMAGED (the log cannot be read) or -errno. */
#define COORD_DAMAGED 3
int coord_start(struct coord *c, struct part *part, struct meta *view, void (*due)(void *ctx),
                void *ctx) MUST_CHECK;

/* The value (borrowed until the record changes) and its revision. 0 or COORD_NONE. */
int coord_get(const struct coord *c, struct slice key, struct slice *value,
              int64_t *revision) MUST_CHECK;
/* Calls fn for every record whose key begins with prefix, in no order. fn must not change
 * records. */
void coord_each(const struct coord *c, struct slice prefix,
                void (*fn)(void *ctx, struct slice key, struct slice value, int64_t revision),
                void *ctx);
/* Starts a change. 0 (done will run) or COORD_CONFLICT. now_ms is wall time for the record. */
int coord_cas(struct coord *c, struct coord_op *op, int64_t now_ms) MUST_CHECK;
/* The same for several at once (count > 0, of different keys): all or none. Every `done` runs, in
 * order, when all are applied; the array stays until the last of them. */
int coord_cas_all(struct coord *c, struct coord_op *ops, size_t count, int64_t now_ms) MUST_CHECK;

/* True when the view lags and no commit is out. */
bool coord_view_due(const struct coord *c);
/* Commits what the view lacks, in a worker. A failing view is given up (log gets a line through
 * `failed`): it will be rebuilt at the next start. */
void coord_view_commit(struct coord *c, struct work *w);
bool coord_view_busy(const struct coord *c);
/* Given up: a commit has failed. */
bool coord_view_lost(const struct coord *c);
/* Error of the last view commit, once: 0 or META_FULL or -errno. */
int coord_view_error(struct coord *c);
size_t coord_count(const struct coord *c);
