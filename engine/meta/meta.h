/* SPDX-License-Identifier: MIT
 *
 * meta: the queried view. LMDB holds what the internal logs say, in a form that can be looked up:
 * the catalogue, committed offsets, group state and how far compaction is. It is never the truth:
 * each transaction stores, per log, how far that log is applied, and the whole view can be thrown
 * away and rebuilt from the logs at any time.
 *
 * A row is a key within a table and a value. On disk
 *
 *   key    [u8 table][key bytes, at most META_KEY_MAX]
 *   value  [u8 version = 1][u32 le crc32c of table, key, payload][payload]
 *
 * so that a flipped bit (which LMDB does not notice) or a value under a wrong key is found on every
 * read: META_DAMAGED. META_TABLE_APPLIED holds, per log name, [i64 le offset][i32 le epoch].
 *
 * Checksums cannot see a row that is gone, or an old page with a row that was good once. So a row
 * of our own (table 0, key "sum") holds, as of each transaction, its number, the count of rows and
 * the sum of their checksums; meta_open compares the first two, meta_verify all three. There
 * remain: a flip in the newer of LMDB's two meta pages can show the whole view one transaction ago,
 * which its applied marks say, so the replay heals it; and a flip in LMDB's list of free pages can
 * cost rows at a later commit, which the next meta_verify finds.
 *
 * Two implementations: LMDB (meta_lmdb.c; the only file of kauri that includes lmdb.h), and memory
 * (meta_mem.c) for the simulator, which forgets what was not committed when it is cut.
 *
 * Rules learnt from LMDB 0.9.24: default sync flags only (NOSYNC breaks on power cuts); no second
 * open of a path in one process (its close drops the locks: a registry refuses it); a damaged file
 * can kill the reader, so a child process walks it first (meta_verify); a failed commit poisons the
 * environment here, because LMDB itself goes on; one writer; no transaction outlives a call.
 *
 * Threads: meta_commit may run in a worker; reads may run in the loop. One commit at a time.
 */
#pragma once

#include <stdbool.h>

#include "engine/base/bytes.h"

enum meta_table {
    META_TABLE_APPLIED = 1, /* key: log name */
    META_TABLE_RECORD = 2,  /* cluster records of the coordination seam; key: record key */
    META_TABLE_PART = 3,    /* mirrors of partition folders; key: "<topic>-<partition>" */
    META_TABLE_GROUP = 4,   /* groups and committed offsets; key: that of the log's record */
};

#define META_TABLE_COUNT 4

#define META_KEY_MAX     510 /* LMDB's default limit is 511 */
#define META_VALUE_MAX   (16u << 20)
#define META_MAP_MAX     ((size_t)16 << 30)

/* Conditions. */
#define META_NONE    1 /* no such row */
#define META_DAMAGED 2 /* checksum, version or LMDB structure wrong: set aside and rebuild */
#define META_FULL    3 /* map or disk full; nothing of this transaction is there, reads go on */
#define META_BUSY    4 /* this path is open already in this process */

struct meta_put {
    enum meta_table table;
    struct slice key;   /* borrowed until the commit returned */
    struct slice value; /* p NULL: delete the row (missing is fine) */
};

struct meta_applied {
    int64_t offset; /* last offset applied; -1 none */
    int32_t epoch;
};

/* One transaction: rows, in order (the last put of a key holds), and how far `log` is applied with
 * them. The bounds on keys, values and the length of `log` are the caller's to keep. */
struct meta_batch {
    const struct meta_put *puts; /* borrowed */
    size_t count;
    const char *log; /* borrowed; NULL: no applied mark */
    struct meta_applied applied;
};

struct meta;

struct meta_ops {
    int (*get)(struct meta *m, enum meta_table table, struct slice key, struct buf *out);
    int (*each)(struct meta *m, enum meta_table table, struct slice prefix,
                int (*fn)(void *ctx, struct slice key, struct slice value), void *ctx);
    int (*commit)(struct meta *m, const struct meta_batch *b);
    int (*clear)(struct meta *m, enum meta_table table);
    void (*free)(struct meta *m);
};

struct meta {
    const struct meta_ops *ops;
};

/* Opens the view in folder `dir` (created when missing). map_size in bytes is address space, not
 * memory; it grows by itself up to META_MAP_MAX. The environment, once made, is durable on return.
 * 0, META_DAMAGED, META_BUSY, META_FULL or -errno. *out is owned. Run meta_verify first: damage can
 * end the process here. */
int meta_open(const char *dir, size_t map_size, struct meta **out) MUST_CHECK;

/* A view in memory. `store` keeps what is committed across meta_free, as a disk would: owned by the
 * caller, freed by meta_store_free. */
struct meta_store;
struct meta_store *meta_store_new(void);
struct meta_store *meta_store_free(struct meta_store *s);
/* The next commit is lost (as by a power cut before its sync): it reports success and the rows are
 * visible until this view is freed, but the store never sees it, nor any later one. */
void meta_store_cut(struct meta_store *s);
struct meta *meta_mem_new(struct meta_store *store);

/* Closes and frees; NULL is fine; returns NULL. */
struct meta *meta_free(struct meta *m);

/* Appends the value of a row to *out. 0, META_NONE, META_DAMAGED or -errno. */
int meta_get(struct meta *m, enum meta_table table, struct slice key, struct buf *out) MUST_CHECK;
/* Calls fn for each row of the table whose key begins with prefix, in key order, until it returns
 * nonzero, which is then returned; META_DAMAGED at the first bad row. Slices are valid inside the
 * call only; fn must not commit, but may read. */
int meta_each(struct meta *m, enum meta_table table, struct slice prefix,
              int (*fn)(void *ctx, struct slice key, struct slice value), void *ctx) MUST_CHECK;
/* How far `log` is applied; offset -1 when never. 0, META_DAMAGED or -errno. */
int meta_get_applied(struct meta *m, const char *log, struct meta_applied *out) MUST_CHECK;
/* All or nothing, durable on return. 0, META_FULL, or META_DAMAGED or -errno (then every later
 * commit fails too with the same result, until the view is opened again). Grows the map where it
 * must. */
int meta_commit(struct meta *m, const struct meta_batch *b) MUST_CHECK;
/* Empties a table (durably), for a rebuild. As meta_commit; needs a little free space, too. */
int meta_clear(struct meta *m, enum meta_table table) MUST_CHECK;

#define META_VERIFY_MS 30000
/* Walks every row of the view in `dir` in a child process, because damage can kill the reader. Fork
 * happens in the caller: no other thread may run yet, and nobody may write the view meanwhile.
 * Waits META_VERIFY_MS at most (then META_DAMAGED). 0, META_NONE (nothing there), META_DAMAGED, or
 * -errno. *rows, when not NULL, gets the number of rows on 0. O(size of the view). */
int meta_verify(const char *dir, uint64_t *rows) MUST_CHECK;
/* Renames `dir` to `dir`.damaged-<wall_ms>; never deletes. Durable on return. 0, META_NONE (no such
 * folder) or -errno (-EEXIST: that name is taken). The view must not be open. */
int meta_set_aside(const char *dir, int64_t wall_ms) MUST_CHECK;
