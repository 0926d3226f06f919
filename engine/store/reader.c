/* SPDX-License-Identifier: MIT
 *
 * reader: see reader.h. Also store_init and store_deinit, whose lists it keeps.
 */
#include "engine/store/reader.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/guard.h"
#include "engine/store/state.h"

#define STORE_DEFAULT_MAX 256

void store_init(struct store *s, const struct store_options *o)
{
    ASSERT(o->io != NULL);
    *s = (struct store){
        .io = o->io,
        .reader_max = o->reader_max > 0 ? o->reader_max : STORE_DEFAULT_MAX,
        .writer_max = o->writer_max > 0 ? o->writer_max : STORE_DEFAULT_MAX,
        .seed = o->seed,
        .buries = o->buries,
    };
    list_init(&s->readers);
    list_init(&s->buried);
    list_init(&s->writers);
    ASSERT(s->reader_max > 0 && s->writer_max > 0);
    guard_install();
}

void store_deinit(struct store *s)
{
    ASSERT(list_empty(&s->readers) && s->reader_count == 0);
    ASSERT(list_empty(&s->writers) && s->writer_count == 0);
    reader_discard_all(s->io, &s->buried);
}

void store_exhume(struct store *s, struct list *out)
{
    ASSERT(s->buries && list_empty(out));
    list_splice(out, &s->buried);
}

static int reader_map(struct io *io, const struct reader_plan *plan, const char *suffix,
                      size_t size, struct io_map *out)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    struct io_file *f = NULL;
    ASSERT(out->p == NULL);
    if (size == 0)
        return 0;
    state_segment_path(&path, plan->dir, plan->base, suffix);
    int r = io_open(io, (const char *)path.p, IO_READ, &f);
    if (r != 0)
        return r;
    r = io_map(f, size, out);
    int closed = io_close(f);
    return r != 0 ? r : closed;
}

struct reader *reader_discard(struct io *io, struct reader *r)
{
    ASSERT(r->pins == 0 && r->owner == NULL);
    io_unmap(io, &r->log);
    io_unmap(io, &r->index);
    io_unmap(io, &r->timeindex);
    free(r);
    return NULL;
}

void reader_discard_all(struct io *io, struct list *readers)
{
    for (struct list *n = list_pop(readers); n != NULL; n = list_pop(readers))
        (void)reader_discard(io, LIST_ENTRY(n, struct reader, link));
    ASSERT(list_empty(readers));
}

void reader_bury(struct store *s, struct reader *r)
{
    ASSERT(r->pins == 0 && r->owner == NULL && !list_linked(&r->link));
    if (s->buries)
        list_add_tail(&s->buried, &r->link);
    else
        (void)reader_discard(s->io, r);
}

int reader_open(struct io *io, const struct reader_plan *plan, struct reader **out)
{
    ASSERT(plan->log_size > 0);
    struct reader *r = assert_memory(calloc(1, sizeof *r), sizeof *r);
    r->unindexed = plan->index_size == 0;
    int e = reader_map(io, plan, "log", plan->log_size, &r->log);
    if (e == 0)
        e = reader_map(io, plan, "index", plan->index_size, &r->index);
    if (e == 0 || (e == IO_MISSING && r->log.p != NULL))
        e = reader_map(io, plan, "timeindex", plan->timeindex_size, &r->timeindex);
    if (e != 0 && !(e == IO_MISSING && r->log.p != NULL)) {
        reader_discard(io, r);
        return e;
    }
    ASSERT(r->log.p != NULL && r->pins == 0);
    *out = r;
    return 0;
}

static void reader_free(struct reader *r)
{
    ASSERT(r->pins == 0);
    if (list_linked(&r->link)) {
        ASSERT(r->store->reader_count > 0);
        list_remove(&r->link);
        r->store->reader_count--;
    }
    ASSERT(!r->orphan || r->store->orphan_count > 0);
    r->store->orphan_count -= r->orphan;
    if (r->owner != NULL)
        *r->owner = NULL;
    r->owner = NULL;
    reader_bury(r->store, r);
}

static void reader_enlist(struct reader *r)
{
    ASSERT(r->pins == 0 && !r->orphan);
    list_add_head(&r->store->readers, &r->link);
    r->store->reader_count++;
    ASSERT(list_linked(&r->link));
}

static void reader_trim(struct store *s)
{
    while (s->reader_count > s->reader_max) {
        struct reader *cold = LIST_ENTRY(s->readers.prev, struct reader, link);
        ASSERT(cold->pins == 0);
        reader_free(cold);
    }
}

void reader_adopt(struct store *s, struct reader *r, struct reader **owner)
{
    ASSERT(r->owner == NULL && *owner == NULL);
    ASSERT(r->pins == 0);
    r->store = s;
    r->owner = owner;
    *owner = r;
    reader_enlist(r);
    reader_trim(s);
}

void reader_release(struct reader *r)
{
    if (r == NULL)
        return;
    ASSERT(!r->orphan);
    if (r->owner != NULL)
        *r->owner = NULL;
    r->owner = NULL;
    if (r->pins > 0) {
        r->orphan = true;
        r->store->orphan_count++;
    } else {
        reader_free(r);
    }
}

void reader_pin(struct reader *r)
{
    ASSERT(!r->orphan);
    if (r->pins++ > 0)
        return;
    ASSERT(list_linked(&r->link));
    ASSERT(r->store->reader_count > 0);
    list_remove(&r->link);
    r->store->reader_count--;
}

void reader_unpin(struct reader *r)
{
    ASSERT(r->pins > 0);
    if (--r->pins > 0)
        return;
    if (r->orphan) {
        reader_free(r);
        return;
    }
    reader_enlist(r);
    reader_trim(r->store);
}
