/* SPDX-License-Identifier: MIT
 *
 * meta_lmdb: the view in LMDB, in its main database: the only file of kauri that includes lmdb.h.
 * It must not know what the rows mean.
 *
 *   commit   begin, load and check the sum row, put and delete, store the sum row, commit (LMDB
 *            syncs twice: pages, then its meta page); MDB_MAP_FULL doubles the map and starts again
 *   read     begin read-only, copy out or call back, abort: no transaction outlives a call
 *
 * Sum row (table 0, key "sum"; its own row is not counted)
 *
 *   pos  size  meaning
 *     0     8  number of the transaction that wrote it, LMDB's own count
 *     8     8  rows in all tables
 *    16     8  sum of meta_row_sum over them, modulo 2^64
 *
 * Invariants: L1 every transaction rewrites the sum row, so its number is that of LMDB's last
 * transaction; L2 LMDB's entry count is the sum row's count + 1; L3 one environment per folder and
 * process; L4 after `failed` is set nothing is written, after `lost` nothing is read either.
 *
 * Inside this file `rc` is a code of LMDB (0, MDB_*, or a positive errno; damage found by us is
 * MDB_CORRUPTED), `r` a result of kauri; meta_lmdb_result turns one into the other.
 *
 * Locks: map_lock guards the place of the map, not its content: reads share it, growing takes it
 * alone. It prefers readers, so a callback of `each` may read again while a writer waits.
 * Failures: a full map or disk ends the transaction and nothing else; any other failed commit is
 * remembered, because LMDB itself would go on as if the pages were on the disk. A page of the map
 * that the disk cannot read raises SIGBUS and ends the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/meta/meta_priv.h"

#define META_LMDB_OPEN_MAX 16
#define META_LMDB_READERS  32
#define META_LMDB_SUM_SIZE 24
#define META_LMDB_MAP_UNIT ((size_t)64 << 10)
#define META_LMDB_FULL_MAX ((uint64_t)1 << 20)

struct meta_lmdb_sum {
    uint64_t txn;
    uint64_t count;
    uint64_t sum;
};

struct meta_lmdb {
    struct meta meta;
    MDB_env *env; /* owned */
    MDB_dbi dbi;
    dev_t dev; /* with ino: the folder, as registered; ino 0: not registered */
    ino_t ino;
    pthread_rwlock_t map_lock;
    size_t map_size; /* committing thread only */
    int failed;      /* committing thread only: what every later commit returns */
    int lost;        /* under map_lock: the map is gone, what every read returns */
};

/* A transaction being written. */
struct meta_lmdb_write {
    MDB_txn *txn;
    MDB_dbi dbi;
    struct meta_lmdb_sum sum;
    struct buf value; /* room for encoding, owned */
};

/* The registry of open environments: the allowed exception to "no global mutable variables", for a
 * second open in one process would drop the locks of the first when it is closed. */
static struct {
    pthread_mutex_t lock;
    struct {
        dev_t dev;
        ino_t ino; /* 0: free slot */
    } slots[META_LMDB_OPEN_MAX];
} meta_lmdb_registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

CLEANUP_DEFINE(meta_lmdb_env, MDB_env, mdb_env_close);
CLEANUP_DEFINE(meta_lmdb_txn, MDB_txn, mdb_txn_abort);
CLEANUP_DEFINE(meta_lmdb_cursor, MDB_cursor, mdb_cursor_close);

static struct meta_lmdb *meta_lmdb_of(struct meta *m)
{
    ASSERT(m != NULL);
    return (struct meta_lmdb *)(void *)m;
}

/* Of LMDB's own codes those that are not named can only come of a damaged tree: keys, values and
 * cursors are bounded by us. */
static int meta_lmdb_result(int rc)
{
    if (rc == 0)
        return 0;
    if (rc == MDB_NOTFOUND)
        return META_NONE;
    if (rc == MDB_MAP_FULL || rc == ENOSPC || rc == EDQUOT)
        return META_FULL;
    if (rc == MDB_READERS_FULL)
        return -EAGAIN;
    if (rc == MDB_TXN_FULL)
        return -E2BIG;
    return rc < 0 ? META_DAMAGED : -rc;
}

static int meta_lmdb_register(dev_t dev, ino_t ino)
{
    ASSERT(ino != 0);
    int r = -EMFILE;
    ASSERT(pthread_mutex_lock(&meta_lmdb_registry.lock) == 0);
    size_t slot = META_LMDB_OPEN_MAX;
    for (size_t i = 0; i < META_LMDB_OPEN_MAX; i++) {
        if (meta_lmdb_registry.slots[i].ino == ino && meta_lmdb_registry.slots[i].dev == dev)
            r = META_BUSY;
        else if (meta_lmdb_registry.slots[i].ino == 0)
            slot = i;
    }
    if (r != META_BUSY && slot < META_LMDB_OPEN_MAX) {
        meta_lmdb_registry.slots[slot].dev = dev;
        meta_lmdb_registry.slots[slot].ino = ino;
        r = 0;
    }
    ASSERT(pthread_mutex_unlock(&meta_lmdb_registry.lock) == 0);
    return r;
}

static void meta_lmdb_unregister(dev_t dev, ino_t ino)
{
    ASSERT(ino != 0);
    bool is_found = false;
    ASSERT(pthread_mutex_lock(&meta_lmdb_registry.lock) == 0);
    for (size_t i = 0; i < META_LMDB_OPEN_MAX; i++) {
        if (meta_lmdb_registry.slots[i].ino == ino && meta_lmdb_registry.slots[i].dev == dev) {
            meta_lmdb_registry.slots[i].ino = 0;
            is_found = true;
        }
    }
    ASSERT(pthread_mutex_unlock(&meta_lmdb_registry.lock) == 0);
    ASSERT(is_found);
}

static MDB_val meta_lmdb_val(const struct meta_row_key *k)
{
    ASSERT(k->size >= 1 && k->size <= META_ROW_KEY_MAX);
    /* LMDB does not write through a key, its type just lacks the const. */
    return (MDB_val){.mv_size = k->size, .mv_data = (void *)(uintptr_t)k->p};
}

static struct slice meta_lmdb_slice(const MDB_val *v)
{
    ASSERT(v->mv_data != NULL);
    return slice_of(v->mv_data, v->mv_size);
}

/* ---- the sum row ---- */

static void meta_lmdb_sum_key(struct meta_row_key *k)
{
    meta_row_key_init(k, META_TABLE_SUM, slice_str("sum"));
}

static int meta_lmdb_sum_decode(struct slice row_key, struct slice stored,
                                struct meta_lmdb_sum *out)
{
    ASSERT(row_key.size > 1 && row_key.p[0] == META_TABLE_SUM);
    ASSERT(out != NULL);
    struct slice s;
    if (meta_row_check(row_key, stored, &s) != 0 || s.size != META_LMDB_SUM_SIZE)
        return MDB_CORRUPTED;
    *out = (struct meta_lmdb_sum){
        .txn = bytes_le64(s.p), .count = bytes_le64(s.p + 8), .sum = bytes_le64(s.p + 16)};
    return 0;
}

/* Reads the sum row and checks L1 and L2; `last` is the number of the last transaction. */
static int meta_lmdb_sum_load(MDB_txn *txn, MDB_dbi dbi, uint64_t last, struct meta_lmdb_sum *out)
{
    struct meta_row_key k;
    struct meta_lmdb_sum sum = {0};
    MDB_stat stat;
    MDB_val value;
    ASSERT(txn != NULL && out != NULL);
    meta_lmdb_sum_key(&k);
    MDB_val key = meta_lmdb_val(&k);
    int rc = mdb_stat(txn, dbi, &stat);
    if (rc != 0)
        return rc;
    rc = mdb_get(txn, dbi, &key, &value);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return rc;
    bool is_new = rc == MDB_NOTFOUND;
    if (!is_new && meta_lmdb_sum_decode(slice_of(k.p, k.size), meta_lmdb_slice(&value), &sum) != 0)
        return MDB_CORRUPTED;
    if (sum.txn != last || stat.ms_entries != (is_new ? 0 : sum.count + 1))
        return MDB_CORRUPTED;
    *out = sum;
    return 0;
}

static int meta_lmdb_store(struct meta_lmdb_write *w, const struct meta_row_key *k,
                           struct slice payload)
{
    ASSERT(w->txn != NULL);
    buf_reset(&w->value);
    meta_row_encode(slice_of(k->p, k->size), payload, &w->value);
    ASSERT(w->value.size == META_ROW_HEADER + payload.size);
    MDB_val key = meta_lmdb_val(k);
    MDB_val value = {.mv_size = w->value.size, .mv_data = w->value.p};
    return mdb_put(w->txn, w->dbi, &key, &value, 0);
}

static int meta_lmdb_sum_store(struct meta_lmdb_write *w)
{
    uint8_t payload[META_LMDB_SUM_SIZE];
    struct meta_row_key k;
    ASSERT(w->sum.txn + 1 == mdb_txn_id(w->txn));
    bytes_put_le64(payload, w->sum.txn + 1);
    bytes_put_le64(payload + 8, w->sum.count);
    bytes_put_le64(payload + 16, w->sum.sum);
    meta_lmdb_sum_key(&k);
    return meta_lmdb_store(w, &k, slice_of(payload, sizeof payload));
}

/* ---- writing ---- */

/* Takes a stored row out of the sum. */
static int meta_lmdb_forget(struct meta_lmdb_write *w, const MDB_val *stored)
{
    ASSERT(w->txn != NULL);
    if (stored->mv_size < META_ROW_HEADER || w->sum.count == 0)
        return MDB_CORRUPTED;
    w->sum.count--;
    w->sum.sum -= meta_row_sum(stored->mv_data);
    return 0;
}

static int meta_lmdb_put(struct meta_lmdb_write *w, int table, struct slice key, struct slice value)
{
    struct meta_row_key k;
    MDB_val old;
    ASSERT(table >= 1 && table <= META_TABLE_COUNT);
    ASSERT(value.size <= META_VALUE_MAX);
    meta_row_key_init(&k, table, key);
    MDB_val row_key = meta_lmdb_val(&k);
    int rc = mdb_get(w->txn, w->dbi, &row_key, &old);
    bool is_new = rc == MDB_NOTFOUND;
    if (!is_new && rc == 0)
        rc = meta_lmdb_forget(w, &old);
    if (rc != 0 && !is_new)
        return rc;
    if (value.p == NULL)
        return is_new ? 0 : mdb_del(w->txn, w->dbi, &row_key, NULL);
    rc = meta_lmdb_store(w, &k, value);
    w->sum.count++;
    w->sum.sum += meta_row_sum(w->value.p);
    return rc;
}

static int meta_lmdb_run_batch(struct meta_lmdb_write *w, const void *arg)
{
    const struct meta_batch *b = arg;
    int rc = 0;
    ASSERT(b != NULL);
    for (size_t i = 0; i < b->count && rc == 0; i++)
        rc = meta_lmdb_put(w, (int)b->puts[i].table, b->puts[i].key, b->puts[i].value);
    if (rc == 0 && b->log != NULL) {
        uint8_t mark[META_APPLIED_SIZE];
        meta_applied_encode(b->applied, mark);
        rc = meta_lmdb_put(w, META_TABLE_APPLIED, slice_str(b->log), slice_of(mark, sizeof mark));
    }
    return rc;
}

static int meta_lmdb_run_clear(struct meta_lmdb_write *w, const void *arg)
{
    MDB_cursor *cursor CLEANUP(meta_lmdb_cursor_cleanup) = NULL;
    struct meta_row_key from;
    MDB_val value;
    ASSERT(arg != NULL && w->txn != NULL);
    meta_row_key_init(&from, (int)*(const enum meta_table *)arg, slice_of("", 0));
    MDB_val key = meta_lmdb_val(&from);
    int rc = mdb_cursor_open(w->txn, w->dbi, &cursor);
    if (rc != 0)
        return rc;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && *(const uint8_t *)key.mv_data == from.p[0]) {
        rc = meta_lmdb_forget(w, &value);
        if (rc == 0)
            rc = mdb_cursor_del(cursor, 0);
        if (rc == 0)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    ASSERT(cursor != NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int meta_lmdb_write_once(struct meta_lmdb *l,
                                int (*run)(struct meta_lmdb_write *w, const void *arg),
                                const void *arg)
{
    struct meta_lmdb_write w = {.dbi = l->dbi};
    ASSERT(l->failed == 0 && l->lost == 0);
    ASSERT(run != NULL);
    int rc = mdb_txn_begin(l->env, NULL, 0, &w.txn);
    if (rc != 0)
        return rc;
    rc = meta_lmdb_sum_load(w.txn, w.dbi, mdb_txn_id(w.txn) - 1, &w.sum);
    if (rc == 0)
        rc = run(&w, arg);
    if (rc == 0)
        rc = meta_lmdb_sum_store(&w);
    buf_deinit(&w.value);
    if (rc == 0)
        return mdb_txn_commit(w.txn);
    mdb_txn_abort(w.txn);
    return rc;
}

/* Doubles the map; MDB_MAP_FULL at the limit. A map that cannot be had anew is lost for reads. */
static int meta_lmdb_grow(struct meta_lmdb *l)
{
    ASSERT(l->lost == 0);
    size_t size = l->map_size > META_MAP_MAX / 2 ? META_MAP_MAX : l->map_size * 2;
    if (l->map_size >= META_MAP_MAX)
        return MDB_MAP_FULL;
    ASSERT(size > l->map_size);
    ASSERT(pthread_rwlock_wrlock(&l->map_lock) == 0);
    int rc = mdb_env_set_mapsize(l->env, size);
    if (rc == 0)
        l->map_size = size;
    else
        l->lost = meta_lmdb_result(rc);
    ASSERT(pthread_rwlock_unlock(&l->map_lock) == 0);
    return rc;
}

/* LMDB calls a short write EIO, and a short write is how a disk fills up. To take an EIO of a disk
 * without room for "full" is safe: the transaction is not there, and the next writes its own pages
 * anew. */
static int meta_lmdb_refine(const struct meta_lmdb *l, int rc)
{
    struct statvfs fs;
    int fd;
    ASSERT(rc != 0);
    if (rc != EIO || mdb_env_get_fd(l->env, &fd) != 0 || fstatvfs(fd, &fs) != 0)
        return rc;
    return (uint64_t)fs.f_bavail * fs.f_frsize < META_LMDB_FULL_MAX ? ENOSPC : rc;
}

static int meta_lmdb_write(struct meta_lmdb *l,
                           int (*run)(struct meta_lmdb_write *w, const void *arg), const void *arg)
{
    ASSERT(l->env != NULL);
    if (l->failed != 0)
        return l->failed;
    int rc = meta_lmdb_write_once(l, run, arg);
    while (rc == MDB_MAP_FULL) { /* ends: each turn doubles the map, up to META_MAP_MAX */
        rc = meta_lmdb_grow(l);
        if (rc != 0)
            break;
        rc = meta_lmdb_write_once(l, run, arg);
    }
    int r = rc == 0 ? 0 : meta_lmdb_result(meta_lmdb_refine(l, rc));
    ASSERT(r != META_NONE && r != META_BUSY);
    if (r != 0 && r != META_FULL)
        l->failed = r;
    return r;
}

static int meta_lmdb_commit(struct meta *m, const struct meta_batch *b)
{
    ASSERT(b != NULL);
    return meta_lmdb_write(meta_lmdb_of(m), meta_lmdb_run_batch, b);
}

static int meta_lmdb_clear(struct meta *m, enum meta_table table)
{
    return meta_lmdb_write(meta_lmdb_of(m), meta_lmdb_run_clear, &table);
}

/* ---- reading ---- */

/* On 0 the map is held in place and meta_lmdb_read_end must follow. */
static int meta_lmdb_read_begin(struct meta_lmdb *l, MDB_txn **out)
{
    ASSERT(l->env != NULL);
    ASSERT(pthread_rwlock_rdlock(&l->map_lock) == 0);
    int r = l->lost;
    if (r == 0)
        r = meta_lmdb_result(mdb_txn_begin(l->env, NULL, MDB_RDONLY, out));
    if (r != 0)
        ASSERT(pthread_rwlock_unlock(&l->map_lock) == 0);
    return r;
}

static void meta_lmdb_read_end(struct meta_lmdb *l, MDB_txn *txn)
{
    ASSERT(txn != NULL);
    mdb_txn_abort(txn);
    ASSERT(pthread_rwlock_unlock(&l->map_lock) == 0);
}

static int meta_lmdb_get(struct meta *m, enum meta_table table, struct slice key, struct buf *out)
{
    struct meta_lmdb *l = meta_lmdb_of(m);
    struct meta_row_key k;
    MDB_txn *txn = NULL;
    MDB_val stored;
    ASSERT(out != NULL);
    int r = meta_lmdb_read_begin(l, &txn);
    if (r != 0)
        return r;
    meta_row_key_init(&k, (int)table, key);
    MDB_val row_key = meta_lmdb_val(&k);
    r = meta_lmdb_result(mdb_get(txn, l->dbi, &row_key, &stored));
    if (r == 0) {
        struct slice payload;
        r = meta_row_check(slice_of(k.p, k.size), meta_lmdb_slice(&stored), &payload);
        if (r == 0)
            buf_append(out, payload.p, payload.size);
    }
    meta_lmdb_read_end(l, txn);
    return r;
}

static int meta_lmdb_scan(MDB_cursor *cursor, const struct meta_row_key *from,
                          int (*fn)(void *ctx, struct slice key, struct slice value), void *ctx)
{
    MDB_val key = meta_lmdb_val(from);
    MDB_val value;
    ASSERT(cursor != NULL);
    ASSERT(fn != NULL);
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0) {
        struct slice k = meta_lmdb_slice(&key);
        struct slice payload;
        if (k.size < from->size || memcmp(k.p, from->p, from->size) != 0)
            return 0;
        int r = meta_row_check(k, meta_lmdb_slice(&value), &payload);
        if (r == 0)
            r = fn(ctx, slice_of(k.p + 1, k.size - 1), payload);
        if (r != 0)
            return r;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    return rc == MDB_NOTFOUND ? 0 : meta_lmdb_result(rc);
}

static int meta_lmdb_each(struct meta *m, enum meta_table table, struct slice prefix,
                          int (*fn)(void *ctx, struct slice key, struct slice value), void *ctx)
{
    struct meta_lmdb *l = meta_lmdb_of(m);
    struct meta_row_key from;
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    ASSERT(fn != NULL);
    meta_row_key_init(&from, (int)table, prefix);
    int r = meta_lmdb_read_begin(l, &txn);
    if (r != 0)
        return r;
    r = meta_lmdb_result(mdb_cursor_open(txn, l->dbi, &cursor));
    if (r == 0) {
        r = meta_lmdb_scan(cursor, &from, fn, ctx);
        mdb_cursor_close(cursor);
    }
    meta_lmdb_read_end(l, txn);
    return r;
}

/* ---- open and close ---- */

static void meta_lmdb_free(struct meta *m)
{
    struct meta_lmdb *l = meta_lmdb_of(m);
    if (l->env != NULL)
        mdb_env_close(l->env);
    if (l->ino != 0)
        meta_lmdb_unregister(l->dev, l->ino);
    ASSERT(pthread_rwlock_destroy(&l->map_lock) == 0);
    free(l);
}

static const struct meta_ops meta_lmdb_ops = {
    .get = meta_lmdb_get,
    .each = meta_lmdb_each,
    .commit = meta_lmdb_commit,
    .clear = meta_lmdb_clear,
    .free = meta_lmdb_free,
};

CLEANUP_DEFINE(meta_lmdb, struct meta, meta_free);

/* Opens the environment and its main database, and checks the sum row. Not tied to threads
 * (MDB_NOTLS): workers come and go. */
static int meta_lmdb_env_open(const char *dir, size_t map_size, unsigned flags, MDB_env **out,
                              MDB_dbi *dbi)
{
    MDB_env *env CLEANUP(meta_lmdb_env_cleanup) = NULL;
    MDB_txn *txn CLEANUP(meta_lmdb_txn_cleanup) = NULL;
    struct meta_lmdb_sum sum;
    ASSERT(map_size > 0 && map_size % META_LMDB_MAP_UNIT == 0);
    ASSERT(*out == NULL);
    int rc = mdb_env_create(&env);
    if (rc == 0)
        rc = mdb_env_set_mapsize(env, map_size);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(env, META_LMDB_READERS);
    if (rc == 0)
        rc = mdb_env_open(env, dir, flags | MDB_NOTLS, 0640);
    if (rc == 0)
        rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    if (rc == 0)
        rc = mdb_dbi_open(txn, NULL, 0, dbi);
    if (rc == 0)
        rc = meta_lmdb_sum_load(txn, *dbi, mdb_txn_id(txn), &sum);
    if (rc != 0)
        return rc;
    *out = env;
    env = NULL;
    return 0;
}

static int meta_lmdb_start(struct meta_lmdb *l, const char *dir, size_t map_size)
{
    MDB_envinfo info;
    int dead;
    ASSERT(l->env == NULL && l->ino != 0);
    int rc = meta_lmdb_env_open(dir, map_size, 0, &l->env, &l->dbi);
    if (rc == 0)
        rc = mdb_reader_check(l->env, &dead); /* slots of killed processes pin pages */
    if (rc == 0)
        rc = mdb_env_info(l->env, &info);
    if (rc == 0)
        rc = mdb_env_sync(l->env, 1);
    if (rc != 0)
        return meta_lmdb_result(rc);
    l->map_size = info.me_mapsize; /* more than asked for when there is more data */
    ASSERT(l->map_size >= map_size);
    return meta_sync_folder(dir);
}

int meta_open(const char *dir, size_t map_size, struct meta **out)
{
    struct meta *m CLEANUP(meta_lmdb_cleanup) = NULL;
    struct stat st;
    ASSERT(dir != NULL && out != NULL);
    ASSERT(map_size > 0 && map_size <= META_MAP_MAX);
    if (mkdir(dir, 0750) != 0 && errno != EEXIST)
        return meta_lmdb_result(errno);
    if (stat(dir, &st) != 0)
        return -errno;
    struct meta_lmdb *l = assert_memory(calloc(1, sizeof *l), sizeof *l);
    m = &l->meta;
    m->ops = &meta_lmdb_ops;
    ASSERT(pthread_rwlock_init(&l->map_lock, NULL) == 0);
    int r = meta_lmdb_register(st.st_dev, st.st_ino);
    if (r != 0)
        return r;
    l->dev = st.st_dev;
    l->ino = st.st_ino;
    r = meta_lmdb_start(
        l, dir, (map_size + META_LMDB_MAP_UNIT - 1) / META_LMDB_MAP_UNIT * META_LMDB_MAP_UNIT);
    if (r != 0)
        return r;
    *out = m;
    m = NULL;
    return 0;
}

/* ---- the walk ---- */

struct meta_lmdb_walk {
    MDB_txn *txn;
    MDB_dbi dbi;
    struct meta_lmdb_sum sum; /* of the rows met */
};

/* A row is good when its checksum holds and a search finds it in this place. */
static int meta_lmdb_walk_row(struct meta_lmdb_walk *w, MDB_val *key, const MDB_val *value)
{
    struct slice k = meta_lmdb_slice(key);
    struct slice stored = meta_lmdb_slice(value);
    struct slice payload;
    MDB_val found;
    ASSERT(w->txn != NULL);
    if (meta_row_check(k, stored, &payload) != 0)
        return MDB_CORRUPTED;
    if (mdb_get(w->txn, w->dbi, key, &found) != 0 || found.mv_data != value->mv_data)
        return MDB_CORRUPTED;
    if (k.p[0] != META_TABLE_SUM) {
        w->sum.count++;
        w->sum.sum += meta_row_sum(stored.p);
    }
    return 0;
}

static int meta_lmdb_walk_rows(MDB_env *env, MDB_dbi dbi, uint64_t *rows)
{
    MDB_txn *txn CLEANUP(meta_lmdb_txn_cleanup) = NULL;
    MDB_cursor *cursor CLEANUP(meta_lmdb_cursor_cleanup) = NULL;
    struct meta_lmdb_walk w = {.dbi = dbi};
    struct meta_lmdb_sum sum = {0};
    MDB_val key;
    MDB_val value;
    ASSERT(env != NULL && rows != NULL);
    int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    w.txn = txn;
    if (rc == 0)
        rc = meta_lmdb_sum_load(txn, dbi, mdb_txn_id(txn), &sum);
    if (rc == 0)
        rc = mdb_cursor_open(txn, dbi, &cursor);
    if (rc == 0)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == 0) {
        rc = meta_lmdb_walk_row(&w, &key, &value);
        if (w.sum.count > sum.count)
            rc = MDB_CORRUPTED; /* a tree that runs in circles has no end */
        if (rc == 0)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    if (rc != MDB_NOTFOUND)
        return rc;
    ASSERT(cursor != NULL);
    if (w.sum.count != sum.count || w.sum.sum != sum.sum)
        return MDB_CORRUPTED;
    *rows = sum.count;
    return 0;
}

/* LMDB's compacting copy counts every page as live or free and fails when the sum is wrong; the
 * copy itself goes nowhere. */
static int meta_lmdb_walk_pages(MDB_env *env)
{
    int fd CLEANUP(cleanup_fd) = open("/dev/null", O_WRONLY | O_CLOEXEC);
    ASSERT(env != NULL);
    return fd < 0 ? errno : mdb_env_copyfd2(env, fd, MDB_CP_COMPACT);
}

/* What an error while walking says: these are of the machine, all others of the bytes (a map of
 * impossible size, for one). */
static int meta_lmdb_walk_result(int rc)
{
    ASSERT(rc != MDB_NOTFOUND);
    bool is_machine = rc == EACCES || rc == EPERM || rc == EMFILE || rc == ENFILE || rc == EIO;
    if (rc == 0 || is_machine)
        return -rc;
    return META_DAMAGED;
}

/* Size of the data file, from outside: opening it twice in one process would drop LMDB's locks. */
static int meta_lmdb_data_size(const char *dir, size_t *out)
{
    ASSERT(dir != NULL);
    struct stat st;
    int fd CLEANUP(cleanup_fd) = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT(out != NULL);
    if (fd < 0 || fstatat(fd, "data.mdb", &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? META_NONE : -errno;
    *out = (size_t)st.st_size;
    return *out == 0 ? META_NONE : 0; /* LMDB takes an empty file for a new one */
}

int meta_lmdb_walk(const char *dir, uint64_t *rows)
{
    MDB_env *env CLEANUP(meta_lmdb_env_cleanup) = NULL;
    MDB_envinfo info;
    MDB_dbi dbi;
    size_t size = 0;
    ASSERT(dir != NULL && rows != NULL);
    int r = meta_lmdb_data_size(dir, &size);
    if (r != 0)
        return r;
    size = (size / META_LMDB_MAP_UNIT + 1) * META_LMDB_MAP_UNIT;
    int rc = meta_lmdb_env_open(dir, size, MDB_RDONLY | MDB_NOLOCK, &env, &dbi);
    if (rc == 0)
        rc = mdb_env_info(env, &info);
    if (rc == 0 && info.me_mapsize > META_MAP_MAX)
        rc = MDB_CORRUPTED;
    if (rc == 0)
        rc = meta_lmdb_walk_rows(env, dbi, rows);
    if (rc == 0)
        rc = meta_lmdb_walk_pages(env);
    return meta_lmdb_walk_result(rc);
}
