/* SPDX-License-Identifier: MIT
 *
 * meta_mem: the view in memory, for the simulator and for tests, which run without a file system.
 *
 *   store (the disk)   [row][row][row]...      sorted by row key
 *   view  (the cache)  [row][row][row]...      a copy; what the caller of meta_get sees
 *
 * A commit changes the view, and the store as well unless the power was cut before it. Freeing the
 * view and making a new one on the store is the restart. Rows are kept in their stored form and
 * checked on every read, so that a wrong key or length shows here as it would with LMDB.
 *
 * Invariants: S1 rows are sorted by key, strictly; S2 a store has at most one view; S3 without a
 * cut, view and store hold the same rows between calls. A commit cannot fail. No threads: the
 * simulator runs jobs and loop on one.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/meta/meta_priv.h"

struct meta_mem_row {
    struct buf key;
    struct buf value;
};

struct meta_mem_rows {
    struct meta_mem_row *slots; /* owned */
    size_t count;
    size_t cap;
};

struct meta_store {
    struct meta_mem_rows rows;
    bool is_cut;
    bool is_open;
};

struct meta_mem {
    struct meta meta;
    struct meta_store *store; /* borrowed */
    struct meta_mem_rows rows;
};

static struct meta_mem *meta_mem_of(struct meta *m)
{
    ASSERT(m != NULL);
    return (struct meta_mem *)(void *)m;
}

static int meta_mem_compare(struct slice a, struct slice b)
{
    ASSERT((a.size == 0 || a.p != NULL) && (b.size == 0 || b.p != NULL));
    size_t size = a.size < b.size ? a.size : b.size;
    int r = size == 0 ? 0 : memcmp(a.p, b.p, size);
    return r != 0 ? r : (a.size > b.size) - (a.size < b.size);
}

/* Index of the first row whose key is not below `key`. */
static size_t meta_mem_floor(const struct meta_mem_rows *rows, struct slice key)
{
    size_t low = 0;
    size_t high = rows->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (meta_mem_compare(buf_slice(&rows->slots[mid].key), key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    ASSERT(low <= rows->count);
    return low;
}

static struct meta_mem_row *meta_mem_find(const struct meta_mem_rows *rows, struct slice key)
{
    ASSERT(key.size >= 1 && key.size <= META_ROW_KEY_MAX);
    size_t at = meta_mem_floor(rows, key);
    if (at == rows->count || !slice_equal(buf_slice(&rows->slots[at].key), key))
        return NULL;
    return &rows->slots[at];
}

static void meta_mem_remove(struct meta_mem_rows *rows, size_t at)
{
    ASSERT(rows->count <= rows->cap);
    ASSERT(at < rows->count);
    buf_deinit(&rows->slots[at].key);
    buf_deinit(&rows->slots[at].value);
    rows->count--;
    memmove(rows->slots + at, rows->slots + at + 1, (rows->count - at) * sizeof *rows->slots);
}

/* Makes an empty row at index `at`, with the key. */
static struct meta_mem_row *meta_mem_insert(struct meta_mem_rows *rows, size_t at, struct slice key)
{
    ASSERT(at <= rows->count);
    if (rows->count == rows->cap) {
        rows->cap = rows->cap == 0 ? 16 : rows->cap * 2;
        size_t size = rows->cap * sizeof *rows->slots;
        rows->slots = assert_memory(realloc(rows->slots, size), size);
    }
    struct meta_mem_row *row = rows->slots + at;
    memmove(row + 1, row, (rows->count - at) * sizeof *row);
    *row = (struct meta_mem_row){0};
    buf_append(&row->key, key.p, key.size);
    ASSERT(rows->count < rows->cap);
    rows->count++;
    return row;
}

static void meta_mem_put(struct meta_mem_rows *rows, int table, struct slice key,
                         struct slice value)
{
    ASSERT(table >= 1 && table <= META_TABLE_COUNT);
    struct meta_row_key k;
    meta_row_key_init(&k, table, key);
    struct slice row_key = slice_of(k.p, k.size);
    struct meta_mem_row *row = meta_mem_find(rows, row_key);
    if (value.p == NULL) {
        if (row != NULL)
            meta_mem_remove(rows, (size_t)(row - rows->slots));
        return;
    }
    if (row == NULL)
        row = meta_mem_insert(rows, meta_mem_floor(rows, row_key), row_key);
    buf_reset(&row->value);
    meta_row_encode(row_key, value, &row->value);
    ASSERT(meta_mem_find(rows, row_key) == row);
}

static void meta_mem_apply(struct meta_mem_rows *rows, const struct meta_batch *b)
{
    ASSERT(b->count == 0 || b->puts != NULL);
    for (size_t i = 0; i < b->count; i++)
        meta_mem_put(rows, (int)b->puts[i].table, b->puts[i].key, b->puts[i].value);
    if (b->log != NULL) {
        uint8_t mark[META_APPLIED_SIZE];
        meta_applied_encode(b->applied, mark);
        meta_mem_put(rows, META_TABLE_APPLIED, slice_str(b->log), slice_of(mark, sizeof mark));
    }
}

static void meta_mem_drop_table(struct meta_mem_rows *rows, int table)
{
    ASSERT(table >= 1 && table <= META_TABLE_COUNT);
    for (size_t i = rows->count; i > 0; i--) {
        ASSERT(rows->slots[i - 1].key.size >= 1);
        if (rows->slots[i - 1].key.p[0] == table)
            meta_mem_remove(rows, i - 1);
    }
}

static void meta_mem_deinit(struct meta_mem_rows *rows)
{
    while (rows->count > 0)
        meta_mem_remove(rows, rows->count - 1);
    ASSERT(rows->count == 0);
    free(rows->slots);
    *rows = (struct meta_mem_rows){0};
}

/* Walks invariants S1 and, without a cut, S3. */
static void meta_mem_check(const struct meta_mem *v)
{
    const struct meta_mem_rows *a = &v->rows;
    const struct meta_mem_rows *b = &v->store->rows;
    ASSERT(v->store->is_open);
    for (size_t i = 1; i < a->count; i++)
        ASSERT(meta_mem_compare(buf_slice(&a->slots[i - 1].key), buf_slice(&a->slots[i].key)) < 0);
    if (v->store->is_cut)
        return;
    ASSERT(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        ASSERT(slice_equal(buf_slice(&a->slots[i].key), buf_slice(&b->slots[i].key)));
        ASSERT(slice_equal(buf_slice(&a->slots[i].value), buf_slice(&b->slots[i].value)));
    }
}

static int meta_mem_get(struct meta *m, enum meta_table table, struct slice key, struct buf *out)
{
    struct meta_mem *v = meta_mem_of(m);
    ASSERT(out != NULL && v->store->is_open);
    struct meta_row_key k;
    meta_row_key_init(&k, (int)table, key);
    const struct meta_mem_row *row = meta_mem_find(&v->rows, slice_of(k.p, k.size));
    if (row == NULL)
        return META_NONE;
    struct slice payload;
    int r = meta_row_check(buf_slice(&row->key), buf_slice(&row->value), &payload);
    if (r == 0)
        buf_append(out, payload.p, payload.size);
    return r;
}

static int meta_mem_each(struct meta *m, enum meta_table table, struct slice prefix,
                         int (*fn)(void *ctx, struct slice key, struct slice value), void *ctx)
{
    const struct meta_mem_rows *rows = &meta_mem_of(m)->rows;
    struct meta_row_key from;
    meta_row_key_init(&from, (int)table, prefix);
    ASSERT(fn != NULL);
    int r = 0;
    for (size_t i = meta_mem_floor(rows, slice_of(from.p, from.size)); i < rows->count; i++) {
        struct slice key = buf_slice(&rows->slots[i].key);
        struct slice payload;
        if (key.size < from.size || memcmp(key.p, from.p, from.size) != 0)
            break;
        r = meta_row_check(key, buf_slice(&rows->slots[i].value), &payload);
        if (r == 0)
            r = fn(ctx, slice_of(key.p + 1, key.size - 1), payload);
        if (r != 0)
            break;
    }
    return r;
}

static int meta_mem_commit(struct meta *m, const struct meta_batch *b)
{
    struct meta_mem *v = meta_mem_of(m);
    ASSERT(v->store->is_open);
    ASSERT(v->store->is_cut || v->rows.count == v->store->rows.count);
    meta_mem_apply(&v->rows, b);
    if (!v->store->is_cut)
        meta_mem_apply(&v->store->rows, b);
    return 0;
}

static int meta_mem_clear(struct meta *m, enum meta_table table)
{
    struct meta_mem *v = meta_mem_of(m);
    ASSERT(v->store->is_open);
    ASSERT(v->store->is_cut || v->rows.count == v->store->rows.count);
    meta_mem_drop_table(&v->rows, (int)table);
    if (!v->store->is_cut)
        meta_mem_drop_table(&v->store->rows, (int)table);
    return 0;
}

static void meta_mem_free(struct meta *m)
{
    struct meta_mem *v = meta_mem_of(m);
    ASSERT(v->store != NULL && v->store->is_open);
    meta_mem_check(v);
    v->store->is_open = false;
    meta_mem_deinit(&v->rows);
    free(v);
}

static const struct meta_ops meta_mem_ops = {
    .get = meta_mem_get,
    .each = meta_mem_each,
    .commit = meta_mem_commit,
    .clear = meta_mem_clear,
    .free = meta_mem_free,
};

struct meta_store *meta_store_new(void)
{
    return assert_memory(calloc(1, sizeof(struct meta_store)), sizeof(struct meta_store));
}

struct meta_store *meta_store_free(struct meta_store *s)
{
    if (s != NULL) {
        ASSERT(!s->is_open);
        meta_mem_deinit(&s->rows);
        free(s);
    }
    return NULL;
}

void meta_store_cut(struct meta_store *s)
{
    ASSERT(s != NULL);
    ASSERT(s->is_open);
    s->is_cut = true;
}

struct meta *meta_mem_new(struct meta_store *store)
{
    ASSERT(store != NULL);
    ASSERT(!store->is_open);
    struct meta_mem *v = assert_memory(calloc(1, sizeof *v), sizeof *v);
    *v = (struct meta_mem){.meta = {.ops = &meta_mem_ops}, .store = store};
    store->is_open = true;
    store->is_cut = false;
    for (size_t i = 0; i < store->rows.count; i++) {
        const struct meta_mem_row *from = &store->rows.slots[i];
        struct meta_mem_row *row = meta_mem_insert(&v->rows, i, buf_slice(&from->key));
        buf_append(&row->value, from->value.p, from->value.size);
    }
    meta_mem_check(v);
    return &v->meta;
}
