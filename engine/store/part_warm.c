/* SPDX-License-Identifier: MIT
 *
 * part_warm: what a read needs from the disk, done by a worker: the segment's files opened and
 * mapped, pages brought into memory, a damaged index made anew. The owner thread takes the result
 * over.
 */
#include <errno.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/store/part_priv.h"
#include "engine/store/recover.h"

#define PART_WARM_CHUNK (256u << 10)

static int part_warm_touch(struct part_warm *w)
{
    struct buf path CLEANUP(buf_deinit) = {0}, scratch CLEANUP(buf_deinit) = {0};
    struct io_file *f = NULL;
    ASSERT(w->io != NULL);
    if (w->size == 0)
        return 0;
    state_segment_path(&path, w->plan.dir, w->plan.base, "log");
    int r = io_open(w->io, (const char *)path.p, IO_READ, &f);
    if (r != 0)
        return r;
    buf_reserve(&scratch, PART_WARM_CHUNK);
    for (size_t done = 0; r == 0 && done < w->size;) {
        size_t want = w->size - done < PART_WARM_CHUNK ? w->size - done : PART_WARM_CHUNK, got;
        r = io_pread(f, scratch.p, want, w->pos + done, &got);
        if (r != 0 || got == 0)
            break;
        ASSERT(got <= want);
        done += got;
    }
    int closed = io_close(f);
    return r != 0 ? r : closed;
}

void part_warm_run(struct part_warm *w)
{
    ASSERT(w->reader == NULL);
    if (w->rebuild) {
        int r = recover_index(w->io, &w->segment, &w->rebuilt);
        if (r != 0) /* no hint is better than a wrong one */
            w->rebuilt = (struct recover_sizes){0, 0};
        w->plan.index_size = (size_t)w->rebuilt.index;
    }
    ASSERT(w->open || !w->rebuild);
    w->result = w->open ? reader_open(w->io, &w->plan, &w->reader) : 0;
    if (w->result == 0) {
        int r = part_warm_touch(w);
        if (r != 0 && r != -EIO) /* an unreadable page shows itself in the read: SIGBUS, damage */
            w->result = r;
    }
}

static struct segment *part_warm_segment(const struct part *p, int64_t base, bool *dropping)
{
    ASSERT(base >= 0);
    *dropping = true;
    for (size_t i = 0; i < p->count; i++)
        if (p->segments[i]->base == base) {
            *dropping = i + 1 < p->count && p->segments[i + 1]->base <= p->log_start;
            return p->segments[i];
        }
    return NULL;
}

void part_warm_drop(struct part *p, const struct part_warm *w)
{
    ASSERT(!w->rebuild || p->rebuilds > 0);
    ASSERT(w->reader == NULL);
    if (w->rebuild)
        p->rebuilds--;
}

int part_warm_done(struct part *p, struct part_warm *w)
{
    bool dropping;
    struct segment *s = part_warm_segment(p, w->plan.base, &dropping);
    ASSERT(w->result != 0 || w->reader != NULL || !w->open);
    ASSERT(!w->rebuild || p->rebuilds > 0);
    if (w->rebuild)
        p->rebuilds--;
    if (w->swaps != p->swaps || part_swap_covers(p, w->plan.base)) { /* of other files, perhaps */
        if (w->reader != NULL)
            w->reader = reader_discard(w->io, w->reader);
        return 0;
    }
    if (s != NULL && w->rebuild) {
        s->index_size = s->index_ready = w->rebuilt.index;
        s->timeindex_size = s->timeindex_ready = w->rebuilt.timeindex;
    }
    if (w->reader != NULL && (s == NULL || s->reader != NULL)) /* dropped, or mapped meanwhile */
        w->reader = reader_discard(w->io, w->reader);
    if (w->reader != NULL)
        reader_adopt(p->store, w->reader, &s->reader);
    w->reader = NULL;
    if (w->result == IO_MISSING)
        return dropping ? 0 : -ENOENT;
    ASSERT(w->result <= 0);
    return w->result;
}
