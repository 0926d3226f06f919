/* SPDX-License-Identifier: MIT
 *
 * inspect: see inspect.h.
 */
#include "engine/broker/inspect.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/broker/coord.h"

#define INSPECT_MAP_SIZE (1ull << 30)

struct inspect {
    struct store *store;
    char *dir; /* owned */
    struct format format;
    struct io_file *lock;
    struct part *part; /* __meta, read only */
    struct meta_store *store_mem;
    struct meta *view_mem; /* an empty view: the coordination is replayed from the log alone */
    struct coord *coord;
};

struct inspect *inspect_free(struct inspect *i)
{
    if (i == NULL)
        return NULL;
    coord_free(i->coord);
    meta_free(i->view_mem);
    meta_store_free(i->store_mem);
    part_close(i->part);
    (void)io_close(i->lock);
    free(i->dir);
    free(i);
    return NULL;
}

static void inspect_due(void *ctx)
{
    ASSERT(ctx != NULL);
}

/* The lock, where the disk can be written; a running broker is noticed in either case. */
static int inspect_lock(struct inspect *i)
{
    ASSERT(i->lock == NULL);
    struct buf path CLEANUP(buf_deinit) = {0};
    buf_printf(&path, "%s/LOCK", i->dir);
    int r = io_lock(i->store->io, (const char *)path.p, &i->lock);
    if (r == -EROFS || r == -EACCES)
        return 0;
    ASSERT((r == 0) == (i->lock != NULL));
    return r == IO_LOCKED ? INSPECT_LOCKED : r;
}

static int inspect_meta(struct inspect *i)
{
    ASSERT(i->part == NULL && i->coord != NULL);
    struct buf path CLEANUP(buf_deinit) = {0};
    struct part_recovery report;
    buf_printf(&path, "%s/__meta", i->dir);
    struct part_open_options o = {
        .dir = (const char *)path.p,
        .read_only = true,
        .config = {.segment_size_max = 64u << 20,
                   .segment_ms = INT64_MAX,
                   .index_interval_size = 4096},
    };
    int r = part_open(i->store, &o, &i->part, &report);
    ASSERT((r == 0) == (i->part != NULL));
    if (r == 0 && report.damaged_count > 0)
        r = INSPECT_DAMAGED;
    if (r == 0)
        r = coord_start(i->coord, i->part, i->view_mem, inspect_due, i);
    return r > 0 ? INSPECT_DAMAGED : r;
}

int inspect_open(struct store *s, const char *dir, struct inspect **out)
{
    ASSERT(dir != NULL && out != NULL);
    struct inspect *i = calloc(1, sizeof *i);
    ASSERT(i != NULL);
    i->store = s;
    i->dir = strdup(dir);
    ASSERT(i->dir != NULL);
    i->store_mem = meta_store_new();
    i->view_mem = meta_mem_new(i->store_mem);
    i->coord = coord_new(s->seed);
    int r = format_read(s->io, dir, &i->format);
    if (r == 0)
        r = inspect_lock(i);
    if (r == 0)
        r = inspect_meta(i);
    if (r != 0) {
        inspect_free(i);
        return r;
    }
    ASSERT(i->part != NULL);
    *out = i;
    return 0;
}

const struct format *inspect_format(const struct inspect *i)
{
    ASSERT(i != NULL && i->part != NULL);
    return &i->format;
}

struct inspect_topics {
    void (*fn)(void *ctx, struct slice name, const struct catalog_topic *t, int64_t revision);
    void *ctx;
};

static void inspect_topic(void *ctx, struct slice key, struct slice value, int64_t revision)
{
    struct inspect_topics *w = ctx;
    struct catalog_topic t = {0};
    size_t prefix = strlen("topics/");
    ASSERT(w->fn != NULL);
    ASSERT(key.size >= prefix);
    ASSERT(revision >= 0);
    if (catalog_decode(value, &t) != 0)
        return;
    w->fn(w->ctx, slice_of(key.p + prefix, key.size - prefix), &t, revision);
    catalog_deinit(&t);
}

void inspect_topics(struct inspect *i,
                    void (*fn)(void *ctx, struct slice name, const struct catalog_topic *t,
                               int64_t revision),
                    void *ctx)
{
    ASSERT(fn != NULL);
    struct inspect_topics w = {fn, ctx};
    coord_each(i->coord, slice_str("topics/"), inspect_topic, &w);
}

void inspect_records(struct inspect *i,
                     void (*fn)(void *ctx, struct slice key, struct slice value, int64_t revision),
                     void *ctx)
{
    ASSERT(fn != NULL);
    coord_each(i->coord, SLICE_NULL, fn, ctx);
}

/* --- the view --- */

struct inspect_compare {
    struct inspect *i;
    struct inspect_view *out;
};

/* A row must say what the log said; one that changed past the view's applied offset is newer. */
static int inspect_row(void *ctx, struct slice key, struct slice value)
{
    struct inspect_compare *c = ctx;
    ASSERT(c->i->coord != NULL);
    struct slice now;
    int64_t revision, row = value.size >= 8 ? (int64_t)bytes_le64(value.p) : -1;
    bool there = coord_get(c->i->coord, key, &now, &revision) == 0;
    struct slice said = value.size >= 8 ? slice_of(value.p + 8, value.size - 8) : SLICE_NULL;
    bool wrong = row < 0 || row > c->out->applied;
    if (there && revision <= c->out->applied)
        wrong = wrong || row != revision || !slice_equal(said, now);
    c->out->wrong += wrong;
    return 0;
}

int inspect_view(struct inspect *i, struct inspect_view *out)
{
    ASSERT(i->part != NULL && out != NULL);
    struct buf path CLEANUP(buf_deinit) = {0};
    struct meta *view = NULL;
    struct meta_applied applied = {-1, 0};
    *out = (struct inspect_view){.applied = -1, .end = i->part->durable};
    buf_printf(&path, "%s/view", i->dir);
    int r = meta_verify((const char *)path.p, &out->rows);
    if (r != 0)
        return r;
    r = meta_open((const char *)path.p, INSPECT_MAP_SIZE, &view);
    if (r == -EROFS || r == -EACCES)
        return 0; /* the rows were walked; comparing needs LMDB's lock file */
    struct inspect_compare c = {i, out};
    if (r == 0)
        r = meta_get_applied(view, "__meta", &applied);
    out->applied = applied.offset;
    if (r == 0 && applied.offset >= out->end)
        out->wrong++;
    if (r == 0)
        r = meta_each(view, META_TABLE_RECORD, SLICE_NULL, inspect_row, &c);
    meta_free(view);
    return r;
}
