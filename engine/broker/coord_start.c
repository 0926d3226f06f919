/* SPDX-License-Identifier: MIT
 *
 * coord_start: the records, from the view's rows and what the log says behind them. A view that
 * does not fit the log (ahead of it, or from before its start) is emptied, the log read as a whole.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/broker/coord_priv.h"

#define COORD_READ_SIZE   (1u << 20)
#define COORD_INFLATE_MAX (16u << 20)

static int coord_row(void *ctx, struct slice key, struct slice value)
{
    struct coord *c = ctx;
    if (value.size < 8 || key.size == 0)
        return COORD_DAMAGED;
    struct coord_record *r = coord_record_make(c, key);
    coord_record_set(c, r, key, slice_of(value.p + 8, value.size - 8)); /* ordered below */
    r->revision = (int64_t)bytes_le64(value.p);
    return r->revision < 0 || r->revision >= c->applied ? COORD_DAMAGED : 0;
}

static int coord_by_revision(const void *a, const void *b)
{
    const struct coord_record *x = *(struct coord_record *const *)a;
    const struct coord_record *y = *(struct coord_record *const *)b;
    ASSERT(x->revision >= 0 && y->revision >= 0);
    return (x->revision > y->revision) - (x->revision < y->revision);
}

/* Brings the view's rows into the order of their changes. COORD_DAMAGED: two of one revision. */
static int coord_order(struct coord *c)
{
    size_t at = 0, count = 0;
    int r = 0;
    ASSERT(list_empty(&c->order) && list_empty(&c->graves));
    struct coord_record **v = calloc(c->map.count + 1, sizeof *v);
    ASSERT(v != NULL);
    for (void *p = map_next(&c->map, &at); p != NULL; p = map_next(&c->map, &at))
        v[count++] = p;
    qsort(v, count, sizeof *v, coord_by_revision);
    for (size_t i = 0; i < count; i++) {
        list_add_tail(&c->order, &v[i]->order);
        if (i > 0 && v[i]->revision == v[i - 1]->revision)
            r = COORD_DAMAGED;
    }
    free(v);
    return r;
}

/* What the view knows, if it can be believed. */
static int coord_read_view(struct coord *c)
{
    ASSERT(c->view != NULL && c->part != NULL);
    struct meta_applied applied;
    int r = meta_get_applied(c->view, COORD_LOG, &applied);
    if (r == 0 && applied.offset >= c->part->durable)
        r = COORD_DAMAGED; /* ahead of the log: K3 */
    if (r == 0) {
        c->applied = applied.offset + 1;
        r = meta_each(c->view, META_TABLE_RECORD, SLICE_NULL, coord_row, c);
    }
    if (r == 0)
        r = coord_order(c);
    if (r == 0 && c->applied >= c->part->log_start)
        return 0;
    coord_forget(c);
    c->applied = c->part->log_start;
    int cleared = meta_clear(c->view, META_TABLE_RECORD);
    if (cleared != 0) { /* no room even for that: go on without a view */
        c->view = NULL;
        c->view_error = cleared;
    }
    return 0;
}

static int coord_replay_batch(struct coord *c, struct slice batch, struct buf *scratch)
{
    ASSERT(batch.size > 0);
    ASSERT(c->applied >= 0);
    struct batch_iter it;
    struct batch_record rec;
    enum batch_fault fault = batch_iter_init(&it, batch, COORD_INFLATE_MAX, scratch);
    while (fault == BATCH_OK && batch_iter_next(&it, &rec, &fault))
        if (rec.offset >= c->applied && rec.key.size > 0) {
            struct coord_place at = {.offset = rec.offset};
            if (!coord_tidy_revision(&rec, &at.revision))
                return COORD_DAMAGED;
            coord_apply(c, rec.key, rec.value, at);
        }
    return fault == BATCH_OK ? 0 : COORD_DAMAGED;
}

static int coord_replay_extent(struct coord *c, const struct part_extent *e, struct buf *scratch)
{
    ASSERT(e->bytes.size > 0 && e->next_offset > c->applied);
    struct slice left = e->bytes;
    int r = 0;
    while (r == 0 && left.size > 0) {
        struct batch_header h;
        if (batch_parse(left, &h) != BATCH_OK || h.size > left.size)
            return COORD_DAMAGED;
        r = coord_replay_batch(c, slice_of(left.p, h.size), scratch);
        left = slice_of(left.p + h.size, left.size - h.size);
    }
    c->applied = e->next_offset;
    return r;
}

static int coord_replay(struct coord *c)
{
    struct buf scratch CLEANUP(buf_deinit) = {0};
    unsigned cold = 0;
    while (c->applied < c->part->durable) {
        struct part_read q = {.offset = c->applied,
                              .bound = c->part->durable,
                              .size_max = COORD_READ_SIZE,
                              .may_wait = true};
        struct part_extent extent;
        struct part_warm warm;
        int64_t next_good;
        int r = part_read(c->part, &q, &extent, &warm, &next_good);
        if (r == PART_COLD && cold++ < 1000) {
            part_warm_run(&warm);
            r = part_warm_done(c->part, &warm);
        } else if (r == 0) {
            ASSERT(extent.pin != NULL && extent.next_offset <= c->part->durable);
            r = coord_replay_extent(c, &extent, &scratch);
            reader_unpin(extent.pin);
        } else {
            r = r < 0 ? r : COORD_DAMAGED;
        }
        if (r != 0)
            return r;
    }
    return 0;
}

int coord_start(struct coord *c, struct part *part, struct meta *view, void (*due)(void *ctx),
                void *ctx)
{
    ASSERT(c->map.count == 0 && due != NULL);
    ASSERT(part != NULL && view != NULL);
    c->part = part;
    c->view = view;
    c->due = due;
    c->ctx = ctx;
    ASSERT(part->durable == part->reserved); /* recovered, and nothing queued */
    int r = coord_read_view(c);
    if (r == 0)
        r = coord_replay(c);
    c->forgotten = c->applied - 1; /* what was deleted before, nobody knows */
    return r;
}
