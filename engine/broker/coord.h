/* SPDX-License-Identifier: MIT
 *
 * coord: the coordination seam: cluster records with revisions, changed by compare-and-set. This is
 * the local implementation: records live in memory, the node-local log __meta is their truth, LMDB
 * their view. A later one may ask etcd; the calls stay.
 *
 * A change, in steps: coord_cas checks the revision, appends one record (key, value) to __meta,
 * and when its round is durable applies it to memory and calls done. The revision of a record is
 * the offset in __meta that wrote it. A batch in __meta is RecordBatch v2 with one record: key the
 * record's key, value its bytes, null when it is deleted. Changes that belong together are the
 * records of one batch: after a crash all of them are there or none.
 *
 * Watching: memory keeps the records in the order of their last change, and of those that were
 * deleted the last COORD_GRAVES_MAX, so that coord_changes can tell what became of them since a
 * revision. Whoever asks for older changes, or across a start, is told all there is. A mirror asks
 * coord_diff what of that is news to it, and coord_put writes it down, whatever was there.
 *
 * The view follows: changed records are committed to LMDB in batches, in a worker, off the path of
 * every answer, each transaction with the offset up to which it applies. At open, the rows are read
 * and the log is replayed from there; a view that is ahead of the log, damaged or missing is
 * rebuilt.
 *
 * Tidying keeps the log in proportion to what it says: when it is much larger than the live
 * records, the segment is sealed, all of them are written once more behind it, each with a header
 * "revision" that says which one it has, and when they are durable the log is trimmed to the first
 * of them. What was written in between follows behind; what a replay knows already it passes over.
 *
 *   [ old changes and what they superseded ][ sealed | live records, again ][ changes ...
 *                                                    ^ log start, once all of them are durable
 *
 * Invariants: K1 at most one coord_cas per key is under way, and none while a coord_put of it is;
 * K2 memory holds exactly the records of __meta below the applied offset; K3 the view's applied
 * offset <= the durable end of __meta; K4 of the records in the order of their changes the
 * revisions rise; K5 a deleted record that is forgotten is one that the view knows of.
 */
#pragma once

#include "engine/base/map.h"
#include "engine/base/work.h"
#include "engine/meta/meta.h"
#include "engine/store/part.h"

#define COORD_NONE       1 /* no such record */
#define COORD_CONFLICT   2 /* the revision is another, or a change of this key is under way */

#define COORD_VALUE_MAX  (1u << 20)
#define COORD_GRAVES_MAX 1024
#define COORD_LOG_MIN    (4u << 20) /* a log smaller than this is never tidied */

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
/* Records that are there. */
size_t coord_count(const struct coord *c);

/* --- watching and mirroring --- */

struct coord_change {
    struct slice key;
    struct slice value; /* p NULL: deleted */
};

/* Changed records, oldest change first. A zeroed one is empty. */
struct coord_changes {
    struct coord_change *v; /* owned; into bytes, or the caller's */
    size_t count;
    size_t cap;
    struct buf bytes; /* owned: keys and values, by coord_changes_copy */
    int64_t revision; /* up to which they tell */
    bool whole;       /* these are all there are */
    size_t size_max;  /* in, for coord_changes: of keys and values, at least one record; 0: any */
    int64_t begun;    /* in: `since` is where a page of a whole listing ended that began at this
                         revision, so deletions before that do not matter; -1 or 0: it is none */
    bool more;        /* cut at size_max: ask again since `revision` */
};
void coord_changes_deinit(struct coord_changes *l);
/* Appends one; the slices are borrowed, or copied by coord_changes_own. */
void coord_changes_add(struct coord_changes *l, struct slice key, struct slice value);
/* Copies what the entries borrow: they outlive the records from now on. */
void coord_changes_own(struct coord_changes *l);

/* The last change of all: rises with every change of a record, and now and then without one. -1:
 * there was none. */
int64_t coord_revision(const struct coord *c);
/* The last change among the keys that `want` says; -1: none is known. O(changes behind it). */
int64_t coord_last_change(const struct coord *c, bool (*want)(struct slice key));
/* What changed since a revision among the keys that `want` says (NULL: all), deletions included;
 * all there is, with `whole`, where that is not known any more or `since` is -1. Owned copies, into
 * a zeroed *out. O(changes). */
void coord_changes(const struct coord *c, int64_t since, bool (*want)(struct slice key),
                   struct coord_changes *out);
/* What of `from` differs from the records here (or from what a change under way may make of them);
 * where `from` is whole, records it lacks among the keys that `mirrored` says are to be deleted.
 * Borrows from both, into a zeroed *out. */
void coord_diff(const struct coord *c, const struct coord_changes *from,
                bool (*mirrored)(struct slice key), struct coord_changes *out);
/* False for a key or value that no record can have: of somebody else's making. */
bool coord_change_legal(struct slice key, struct slice value);

struct coord_put {
    void (*done)(struct coord_put *put, int result); /* 0 or IO_FULL; never inside coord_put */
    void *ctx;
    struct { /* coord's */
        struct coord_op *ops;
        size_t count;
        size_t left;
        int result;
    } priv;
};
/* Writes legal changes (count > 0), whatever is there, in one batch: more than one only where they
 * are larger than 8 MiB, then a crash may leave the first of them alone. The changes are not needed
 * behind the call. */
void coord_put(struct coord *c, struct coord_put *put, const struct coord_changes *changes,
               int64_t now_ms);

/* --- the bound of the log --- */

/* The log is much larger than what it says, and it is quiet. */
bool coord_tidy_due(const struct coord *c);
/* Does the next step of tidying; call while coord_tidy_due. */
void coord_tidy(struct coord *c, int64_t now_ms);
/* Instead of COORD_LOG_MIN: for tests. */
void coord_tidy_above(struct coord *c, uint64_t log_size);

/* --- the view --- */

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
/* Walks K1, K2 and K4; asserts. O(records). */
void coord_check(const struct coord *c);
