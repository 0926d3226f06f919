/* SPDX-License-Identifier: MIT
 *
 * recover_index: see recover.h. The entries are those that appending would have made: one pair per
 * interval, and the last time entry whose offset is the segment's end. Behind damage the largest
 * timestamp goes on from what can still be read, so that a time search finds what a read finds.
 */
#include "engine/store/recover.h"

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/guard.h"
#include "engine/store/index.h"
#include "engine/store/reader.h"
#include "engine/store/scan.h"
#include "engine/store/state.h"

struct recover_index_walk {
    struct scan scan;
    struct scan_stop stop;
};

static int recover_index_next(void *ctx)
{
    struct recover_index_walk *w = ctx;
    ASSERT(w->scan.pos <= w->stop.pos);
    int r = scan_next(&w->scan);
    if (r != SCAN_BAD)
        return r;
    r = scan_resync(&w->scan, w->stop);
    return r != 0 ? r : scan_next(&w->scan);
}

static int recover_index_entries(const struct recover_segment *s, const struct io_map *log,
                                 struct buf *index, struct buf *times)
{
    struct recover_index_walk w = {.scan = {.log = slice_of(log->p, s->log_size),
                                            .expected = s->base,
                                            .limit = s->end,
                                            .cleaned = s->cleaned},
                                   .stop = {s->log_size, s->end}};
    int64_t newest = BATCH_NO_TIMESTAMP;
    size_t last = 0;
    ASSERT(s->log_size <= log->size);
    int r = guard_run(log->p, log->size, recover_index_next, &w);
    for (; r == 0; r = guard_run(log->p, log->size, recover_index_next, &w)) {
        const struct batch_header *h = &w.scan.h;
        uint32_t relative = (uint32_t)(h->base_offset - s->base);
        if (w.scan.at - last >= s->interval) {
            index_append(index, (struct index_entry){relative, (uint32_t)w.scan.at});
            index_append_time(times, (struct index_time_entry){newest, relative});
            last = w.scan.at;
        }
        newest = h->max_timestamp > newest ? h->max_timestamp : newest;
    }
    ASSERT(s->end > s->base);
    index_append_time(times, (struct index_time_entry){newest, index_end(s->base, s->end)});
    return r < 0 ? r : 0;
}

static int recover_index_replace(struct io *io, const struct recover_segment *s, const char *suffix,
                                 const struct buf *entries)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    ASSERT(suffix != NULL && s->dir != NULL);
    state_segment_path(&path, s->dir, s->base, suffix);
    return io_write_file(io, s->dir, (const char *)path.p, buf_slice(entries));
}

int recover_index(struct io *io, const struct recover_segment *s, struct recover_sizes *out)
{
    struct buf index CLEANUP(buf_deinit) = {0}, times CLEANUP(buf_deinit) = {0};
    struct reader_plan plan = {.dir = s->dir, .base = s->base, .log_size = s->log_size};
    struct reader *reader = NULL;
    ASSERT(s->log_size > 0 && s->interval > 0);
    int r = reader_open(io, &plan, &reader);
    if (r != 0)
        return r;
    r = recover_index_entries(s, &reader->log, &index, &times);
    reader_discard(io, reader);
    if (r == 0)
        r = recover_index_replace(io, s, "index", &index);
    if (r == 0)
        r = recover_index_replace(io, s, "timeindex", &times);
    if (r == 0)
        *out = (struct recover_sizes){index.size, times.size};
    ASSERT(r != 0 || out->timeindex >= INDEX_TIME_ENTRY_SIZE);
    return r;
}
