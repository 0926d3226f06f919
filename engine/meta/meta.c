/* SPDX-License-Identifier: MIT
 *
 * meta: the calls common to both implementations, and the form of a row. See meta.h.
 *
 * Rows are encoded just before they are stored and checked each time they are read, by both
 * implementations alike. The bounds of keys and values are the callers' to keep: they check what
 * comes from outside long before it becomes a row, so here a breach is a bug.
 */
#include "engine/meta/meta.h"

#include <errno.h>
#include <fcntl.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/crc32c.h"
#include "engine/meta/meta_priv.h"

void meta_row_key_init(struct meta_row_key *k, int table, struct slice key)
{
    ASSERT(table >= META_TABLE_SUM && table <= META_TABLE_COUNT);
    ASSERT(key.size <= META_KEY_MAX);
    k->p[0] = (uint8_t)table;
    if (key.size > 0)
        memcpy(k->p + 1, key.p, key.size);
    k->size = 1 + key.size;
}

static uint32_t meta_row_crc(struct slice row_key, struct slice payload)
{
    ASSERT(row_key.size >= 1);
    uint32_t crc = crc32c(row_key.p, row_key.size);
    return payload.size == 0 ? crc : crc32c_more(crc, payload.p, payload.size);
}

void meta_row_encode(struct slice row_key, struct slice payload, struct buf *out)
{
    ASSERT(row_key.size >= 1 && row_key.size <= META_ROW_KEY_MAX);
    ASSERT(payload.size <= META_VALUE_MAX);
    buf_append_u8(out, META_ROW_VERSION);
    buf_append_le32(out, meta_row_crc(row_key, payload));
    if (payload.size > 0)
        buf_append(out, payload.p, payload.size);
}

int meta_row_check(struct slice row_key, struct slice stored, struct slice *payload)
{
    ASSERT(payload != NULL);
    if (row_key.size < 1 || row_key.size > META_ROW_KEY_MAX || row_key.p[0] > META_TABLE_COUNT)
        return META_DAMAGED;
    if (stored.size < META_ROW_HEADER || stored.size > META_ROW_HEADER + (size_t)META_VALUE_MAX)
        return META_DAMAGED;
    struct slice s = slice_of(stored.p + META_ROW_HEADER, stored.size - META_ROW_HEADER);
    if (stored.p[0] != META_ROW_VERSION || bytes_le32(stored.p + 1) != meta_row_crc(row_key, s))
        return META_DAMAGED;
    *payload = s;
    return 0;
}

uint64_t meta_row_sum(const uint8_t *stored)
{
    ASSERT(stored != NULL);
    /* The finalizer of splitmix64. */
    uint64_t x = bytes_le32(stored + 1) + 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

void meta_applied_encode(struct meta_applied a, uint8_t out[META_APPLIED_SIZE])
{
    ASSERT(a.offset >= -1);
    bytes_put_le64(out, (uint64_t)a.offset);
    bytes_put_le32(out + 8, (uint32_t)a.epoch);
}

int meta_sync_folder(const char *dir)
{
    ASSERT(dir != NULL);
    int fd CLEANUP(cleanup_fd) = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int parent CLEANUP(cleanup_fd) = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0 || fsync(fd) != 0 || fsync(parent) != 0)
        return -errno;
    return 0;
}

struct meta *meta_free(struct meta *m)
{
    if (m != NULL) {
        ASSERT(m->ops != NULL);
        m->ops->free(m);
    }
    return NULL;
}

int meta_get(struct meta *m, enum meta_table table, struct slice key, struct buf *out)
{
    ASSERT(table >= 1 && table <= META_TABLE_COUNT);
    ASSERT(key.size <= META_KEY_MAX && out != NULL);
    return m->ops->get(m, table, key, out);
}

int meta_each(struct meta *m, enum meta_table table, struct slice prefix,
              int (*fn)(void *ctx, struct slice key, struct slice value), void *ctx)
{
    ASSERT(table >= 1 && table <= META_TABLE_COUNT);
    ASSERT(prefix.size <= META_KEY_MAX && fn != NULL);
    return m->ops->each(m, table, prefix, fn, ctx);
}

int meta_get_applied(struct meta *m, const char *log, struct meta_applied *out)
{
    ASSERT(log != NULL && out != NULL);
    struct buf value CLEANUP(buf_deinit) = {0};
    int r = meta_get(m, META_TABLE_APPLIED, slice_str(log), &value);
    if (r == META_NONE) {
        *out = (struct meta_applied){.offset = -1, .epoch = -1};
        return 0;
    }
    if (r != 0)
        return r;
    if (value.size != META_APPLIED_SIZE)
        return META_DAMAGED;
    *out = (struct meta_applied){.offset = (int64_t)bytes_le64(value.p),
                                 .epoch = (int32_t)bytes_le32(value.p + 8)};
    return 0;
}

int meta_commit(struct meta *m, const struct meta_batch *b)
{
    ASSERT(b->count == 0 || b->puts != NULL);
    ASSERT(b->log == NULL || strlen(b->log) <= META_KEY_MAX);
    for (size_t i = 0; i < b->count; i++) {
        const struct meta_put *p = &b->puts[i];
        ASSERT(p->table >= 1 && p->table <= META_TABLE_COUNT);
        ASSERT(p->key.size <= META_KEY_MAX && p->value.size <= META_VALUE_MAX);
    }
    return m->ops->commit(m, b);
}

int meta_clear(struct meta *m, enum meta_table table)
{
    ASSERT(table >= 1 && table <= META_TABLE_COUNT);
    return m->ops->clear(m, table);
}
