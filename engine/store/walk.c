/* SPDX-License-Identifier: MIT
 *
 * walk: see walk.h. Each batch is copied out of the mapping under guard before anybody looks at it,
 * so that the caller may allocate and print.
 */
#include "engine/store/walk.h"

#include <errno.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/guard.h"

struct walk {
    struct slice log;
    struct walk_item item;
    struct buf copy;
};

/* Under guard: judges the bytes at item.pos; on a fault finds where the next good batch begins. */
static int walk_look(void *ctx)
{
    struct walk *w = ctx;
    struct walk_item *i = &w->item;
    ASSERT(i->pos < w->log.size && i->expected >= 0);
    struct slice at = slice_of(w->log.p + i->pos, w->log.size - (size_t)i->pos);
    i->fault = batch_check_stored(at, i->expected, &i->h);
    if (i->fault == BATCH_OK)
        return 0;
    i->zeros = true;
    for (i->skipped = 0; i->skipped < at.size; i->skipped++) {
        const uint8_t *p = at.p + i->skipped;
        size_t left = at.size - (size_t)i->skipped;
        struct batch_header h;
        i->zeros = i->zeros && *p == 0;
        if (i->skipped == 0 || left < BATCH_HEADER_SIZE || p[16] != BATCH_MAGIC)
            continue;
        if (batch_check_stored(slice_of(p, left), i->expected, &h) == BATCH_OK)
            break;
    }
    ASSERT(i->skipped > 0 && i->skipped <= at.size);
    return 0;
}

static int walk_copy(void *ctx)
{
    struct walk *w = ctx;
    ASSERT(w->copy.cap >= w->item.h.size);
    memcpy(w->copy.p, w->log.p + w->item.pos, w->item.h.size);
    return 0;
}

static int walk_step(struct walk *w)
{
    struct walk_item *i = &w->item;
    ASSERT(i->pos < w->log.size);
    int r = guard_run(w->log.p, w->log.size, walk_look, w);
    if (r != 0 || i->fault != BATCH_OK)
        return r;
    ASSERT(i->h.size <= w->log.size - i->pos);
    buf_reset(&w->copy);
    buf_reserve(&w->copy, i->h.size);
    r = guard_run(w->log.p, w->log.size, walk_copy, w);
    i->batch = slice_of(w->copy.p, i->h.size);
    return r;
}

static int walk_all(struct walk *w, int (*fn)(void *ctx, const struct walk_item *item), void *ctx)
{
    int r = 0;
    ASSERT(w->item.pos == 0);
    while (r == 0 && w->item.pos < w->log.size) {
        r = walk_step(w);
        if (r == 0)
            r = fn(ctx, &w->item);
        if (w->item.fault == BATCH_OK) {
            w->item.pos += w->item.h.size;
            ASSERT(w->item.h.base_offset >= w->item.expected);
            w->item.expected = batch_next_offset(&w->item.h);
        } else {
            ASSERT(w->item.skipped > 0);
            w->item.pos += w->item.skipped;
        }
    }
    return r;
}

int walk_segment(struct io *io, const char *dir, int64_t base,
                 int (*fn)(void *ctx, const struct walk_item *item), void *ctx)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    struct io_file *f = NULL;
    struct io_map map = {0};
    struct walk w = {.item.expected = base};
    uint64_t size = 0;
    ASSERT(base >= 0 && fn != NULL);
    state_segment_path(&path, dir, base, "log");
    int r = io_open(io, (const char *)path.p, IO_READ, &f);
    if (r != 0)
        return r;
    r = io_size(f, &size);
    if (r == 0 && size > 0)
        r = io_map(f, (size_t)size, &map);
    if (r == 0 && size > 0) {
        w.log = slice_of(map.p, (size_t)size);
        r = walk_all(&w, fn, ctx);
    }
    io_unmap(io, &map);
    int closed = io_close(f);
    buf_deinit(&w.copy);
    return r != 0 ? r : closed;
}
