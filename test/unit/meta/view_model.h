/* SPDX-License-Identifier: MIT
 *
 * view_model: a view of either kind under test, and the model that says what it must hold.
 *
 * The model: commit number k writes five of MODEL_KEYS keys, some of them deletes, with the mark
 * "applied up to k"; what a key holds after commit k follows from k alone. So any state of a view
 * can be judged by its applied mark.
 */
#pragma once

#include "engine/meta/meta.h"

#define MODEL_KEYS 40
#define MODEL_PUTS 5
#define MODEL_LOG  "__meta"
#define MAP_SIZE   ((size_t)1 << 20)
#define PATH_SIZE  256
#define VALUE_MAX  8192
#define NO_STATE   (-2)
#define PAGE       4096

/* A new folder below /tmp; and away with it and all in it. */
void dir_make(char dir[PATH_SIZE]);
void dir_drop(const char *dir);
void path_join(char out[PATH_SIZE], const char *dir, const char *name);
void file_write(const char *path, const void *p, size_t size);
/* Replaces *out by the bytes of the file. */
void file_read(const char *path, struct buf *out);

struct view {
    struct meta *m;
    struct meta_store *store; /* NULL: LMDB */
    char dir[PATH_SIZE];
};

/* kind 0: LMDB in a new folder, 1: memory. */
void view_init(struct view *v, int kind);
void view_start(struct view *v);
void view_restart(struct view *v);
void view_deinit(struct view *v);

/* Commits one row; value NULL deletes it. */
int row_put(struct meta *m, enum meta_table table, const char *key, const char *value) MUST_CHECK;
/* The row has this value; NULL: it is not there. */
void row_expect(struct meta *m, enum meta_table table, const char *key, const char *value);
/* For meta_each: counts in the size_t at ctx. */
int count_row(void *ctx, struct slice key, struct slice value);

struct model {
    int64_t written[MODEL_KEYS]; /* the commit that wrote the key; 0: not there */
};

/* What is there after commit `last`. */
void model_at(struct model *model, int64_t last);
struct slice model_name(char out[32], size_t i);
/* The value that commit k gives key i: some of them fill overflow pages. */
struct slice model_value(uint8_t out[VALUE_MAX], size_t i, int64_t k);
/* Makes commit k. */
int model_commit(struct meta *m, int64_t k) MUST_CHECK;
/* The commit whose state the view shows, exactly and in full, or META_DAMAGED as NO_STATE; any
 * wrong row fails the test. */
int64_t model_state(struct meta *m);
