/* SPDX-License-Identifier: MIT
 *
 * meta_priv: what the files of engine/meta share: the form of a row on disk, and the walk of an
 * environment that meta_verify runs in a child process.
 *
 *   row key   pos  size  meaning           stored value   pos  size  meaning
 *             0    1     table                            0    1     version, 1
 *             1    n     key                              1    4     crc32c of row key and payload
 *                                                         5    n     payload
 */
#pragma once

#include "engine/meta/meta.h"

#define META_TABLE_SUM    0 /* the row about all rows; not a table that callers see */
#define META_ROW_VERSION  1
#define META_ROW_HEADER   5
#define META_ROW_KEY_MAX  (1 + META_KEY_MAX)
#define META_APPLIED_SIZE 12

/* A key as it is stored. */
struct meta_row_key {
    size_t size;
    uint8_t p[META_ROW_KEY_MAX];
};

/* Builds the stored form of a key. */
void meta_row_key_init(struct meta_row_key *k, int table, struct slice key);
/* Appends the stored form of a value to *out. */
void meta_row_encode(struct slice row_key, struct slice payload, struct buf *out);
/* Checks a stored row; *payload points into `stored`. 0 or META_DAMAGED. */
int meta_row_check(struct slice row_key, struct slice stored, struct slice *payload) MUST_CHECK;
/* What a row adds to the sum of all rows: a mix of its stored checksum, so that two changes do not
 * cancel out. `stored` has META_ROW_HEADER bytes at least. */
uint64_t meta_row_sum(const uint8_t *stored);

/* The stored form of an applied mark. */
void meta_applied_encode(struct meta_applied a, uint8_t out[META_APPLIED_SIZE]);

/* Makes the entries of folder `dir` and its own name in its parent durable. 0 or -errno. */
int meta_sync_folder(const char *dir) MUST_CHECK;

/* Walks every row of the environment in `dir` without locks and without writing; may be killed by
 * damage, so only a child process calls it. 0 and *rows, META_NONE, META_DAMAGED or -errno. */
int meta_lmdb_walk(const char *dir, uint64_t *rows) MUST_CHECK;
