/* SPDX-License-Identifier: MIT
 *
 * view_model: see view_model.h. Everything here fails the running test when it cannot do its work.
 */
#include "test/unit/meta/view_model.h"

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "engine/base/cleanup.h"
#include "engine/base/random.h"

static int path_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

void dir_make(char dir[PATH_SIZE])
{
    (void)snprintf(dir, PATH_SIZE, "/tmp/kauri-meta-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

void dir_drop(const char *dir)
{
    ck_assert_int_eq(nftw(dir, path_remove, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT), 0);
}

void path_join(char out[PATH_SIZE], const char *dir, const char *name)
{
    ck_assert_int_lt(snprintf(out, PATH_SIZE, "%s/%s", dir, name), PATH_SIZE);
}

void file_write(const char *path, const void *p, size_t size)
{
    int fd CLEANUP(cleanup_fd) = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, p, size), (ssize_t)size);
}

void file_read(const char *path, struct buf *out)
{
    struct stat st;
    int fd CLEANUP(cleanup_fd) = open(path, O_RDONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    buf_reset(out);
    buf_reserve(out, (size_t)st.st_size);
    ck_assert_int_eq(read(fd, out->p, (size_t)st.st_size), st.st_size);
    out->size = (size_t)st.st_size;
}

/* ---- one view of either kind ---- */

void view_start(struct view *v)
{
    if (v->store != NULL)
        v->m = meta_mem_new(v->store);
    else
        ck_assert_int_eq(meta_open(v->dir, MAP_SIZE, &v->m), 0);
}

void view_init(struct view *v, int kind)
{
    *v = (struct view){.store = kind == 1 ? meta_store_new() : NULL};
    if (v->store == NULL)
        dir_make(v->dir);
    view_start(v);
}

void view_restart(struct view *v)
{
    v->m = meta_free(v->m);
    view_start(v);
}

void view_deinit(struct view *v)
{
    v->m = meta_free(v->m);
    if (v->store == NULL)
        dir_drop(v->dir);
    v->store = meta_store_free(v->store);
}

int row_put(struct meta *m, enum meta_table table, const char *key, const char *value)
{
    struct slice s = value == NULL ? SLICE_NULL : slice_str(value);
    struct meta_put put = {.table = table, .key = slice_str(key), .value = s};
    return meta_commit(m, &(struct meta_batch){.puts = &put, .count = 1});
}

void row_expect(struct meta *m, enum meta_table table, const char *key, const char *value)
{
    struct buf out CLEANUP(buf_deinit) = {0};
    buf_append_u8(&out, '>');
    int r = meta_get(m, table, slice_str(key), &out);
    if (value == NULL) {
        ck_assert_int_eq(r, META_NONE);
        ck_assert_uint_eq(out.size, 1);
        return;
    }
    ck_assert_int_eq(r, 0);
    ck_assert_uint_eq(out.p[0], '>');
    ck_assert(slice_equal(slice_of(out.p + 1, out.size - 1), slice_str(value)));
}

/* ---- the model ---- */

static size_t model_key(int64_t k, size_t j)
{
    return ((size_t)k * 7 + j * 3) % MODEL_KEYS;
}

static bool model_is_delete(int64_t k, size_t i)
{
    return ((size_t)k + i) % 4 == 0;
}

void model_at(struct model *model, int64_t last)
{
    *model = (struct model){{0}};
    for (int64_t k = 1; k <= last; k++) {
        for (size_t j = 0; j < MODEL_PUTS; j++) {
            size_t i = model_key(k, j);
            model->written[i] = model_is_delete(k, i) ? 0 : k;
        }
    }
}

struct slice model_name(char out[32], size_t i)
{
    (void)snprintf(out, 32, "key-%zu", i);
    return slice_str(out);
}

struct slice model_value(uint8_t out[VALUE_MAX], size_t i, int64_t k)
{
    struct random r;
    size_t size = 60 + i + (i % 8 == 0 ? 6000 : 0);
    random_init(&r, (uint64_t)k * 1000 + i);
    for (size_t at = 0; at < size; at++)
        out[at] = (uint8_t)random_u64(&r);
    return slice_of(out, size);
}

int model_commit(struct meta *m, int64_t k)
{
    static uint8_t values[MODEL_PUTS][VALUE_MAX]; /* too large for a small stack */
    char names[MODEL_PUTS][32];
    struct meta_put puts[MODEL_PUTS];
    for (size_t j = 0; j < MODEL_PUTS; j++) {
        size_t i = model_key(k, j);
        puts[j] = (struct meta_put){.table = META_TABLE_RECORD, .key = model_name(names[j], i)};
        puts[j].value = model_is_delete(k, i) ? SLICE_NULL : model_value(values[j], i, k);
    }
    return meta_commit(m, &(struct meta_batch){.puts = puts,
                                               .count = MODEL_PUTS,
                                               .log = MODEL_LOG,
                                               .applied = {.offset = k, .epoch = 3}});
}

int count_row(void *ctx, struct slice key, struct slice value)
{
    (*(size_t *)ctx)++;
    return 0;
}

/* Every key by meta_get: right for commit k, or META_DAMAGED. */
static int model_check_keys(struct meta *m, const struct model *model)
{
    uint8_t value[VALUE_MAX];
    char name[32];
    struct buf out CLEANUP(buf_deinit) = {0};
    for (size_t i = 0; i < MODEL_KEYS; i++) {
        buf_reset(&out);
        int r = meta_get(m, META_TABLE_RECORD, model_name(name, i), &out);
        if (r == META_DAMAGED)
            return r;
        ck_assert_int_eq(r, model->written[i] == 0 ? META_NONE : 0);
        if (r == 0)
            ck_assert(slice_equal(buf_slice(&out), model_value(value, i, model->written[i])));
    }
    return 0;
}

int64_t model_state(struct meta *m)
{
    struct model model;
    struct meta_applied applied;
    size_t count = 0;
    size_t expected = 0;
    int r = meta_get_applied(m, MODEL_LOG, &applied);
    if (r == 0) {
        model_at(&model, applied.offset);
        ck_assert_int_eq(applied.epoch, applied.offset < 0 ? -1 : 3);
        r = model_check_keys(m, &model);
    }
    if (r == 0)
        r = meta_each(m, META_TABLE_RECORD, slice_str(""), count_row, &count);
    if (r == META_DAMAGED)
        return NO_STATE;
    ck_assert_int_eq(r, 0);
    for (size_t i = 0; i < MODEL_KEYS; i++)
        expected += model.written[i] != 0;
    ck_assert_uint_eq(count, expected);
    return applied.offset;
}
