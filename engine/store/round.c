/* SPDX-License-Identifier: MIT
 *
 * round: see round.h. Everything here runs in a worker but for round_init, round_add and the three
 * completions.
 */
#include "engine/store/round.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/planted.h"

#define ROUND_CHUNK_MIN 4096u
#define ROUND_CHUNK_MAX (16u << 20)

/* Space grows by what is there, 4 KiB at first, at most 16 MiB at a time: small topics stay
 * small. */
static uint64_t round_grow(uint64_t alloc, uint64_t need, uint64_t max)
{
    ASSERT(need > alloc);
    uint64_t chunk = alloc < ROUND_CHUNK_MIN   ? ROUND_CHUNK_MIN
                     : alloc > ROUND_CHUNK_MAX ? ROUND_CHUNK_MAX
                                               : alloc;
    uint64_t end = alloc + chunk > need ? alloc + chunk : need;
    if (end > max)
        end = need > max ? need : max;
    return (end + ROUND_CHUNK_MIN - 1) / ROUND_CHUNK_MIN * ROUND_CHUNK_MIN;
}

static int round_reserve(struct io_file *f, struct round_write *w)
{
    uint64_t need = w->pos + w->size;
    ASSERT(f != NULL && w->pos <= need);
    if (need <= w->alloc)
        return 0;
    uint64_t end = round_grow(w->alloc, need, w->alloc_max);
    int r = io_fallocate(f, w->alloc, end - w->alloc);
    if (r == IO_FULL && end > need) { /* the exact size may still fit */
        end = need;
        r = io_fallocate(f, w->alloc, end - w->alloc);
    }
    if (r == 0)
        w->alloc = end;
    ASSERT(r != 0 || w->alloc >= need);
    return r;
}

/* Writes entries of an index file at their place; the file is a hint, so it is opened and closed
 * here and synced only when its segment is sealed. */
static int round_write_index(struct part_round *pr, const struct round_write *w, const char *suffix,
                             const struct buf *entries, uint64_t pos)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    struct io_file *f = NULL;
    ASSERT(entries->size == 0 || entries->p != NULL);
    ASSERT(pr->file != NULL); /* the log first: an index never points behind it */
    if (entries->size == 0 && (pos == 0 || !w->seal))
        return 0;
    state_segment_path(&path, pr->dir, w->base, suffix);
    int r = io_open(pr->io, (const char *)path.p, IO_READ | IO_WRITE | IO_CREATE, &f);
    if (r != 0)
        return r;
    pr->new_names = pr->new_names || pos == 0;
    struct iovec v = {entries->p, entries->size};
    if (entries->size > 0)
        r = io_pwritev(f, &v, 1, pos);
    if (r == 0 && w->seal)
        r = io_sync(pr->io, &f, 1);
    int closed = io_close(f);
    return r != 0 ? r : closed;
}

static int round_open(struct part_round *pr, const struct round_write *w)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    ASSERT(w->pos == 0 || !w->create);
    ASSERT(pr->file == NULL || w == pr->writes); /* sealed ones are closed */
    if (pr->file != NULL)
        return 0;
    state_segment_path(&path, pr->dir, w->base, "log");
    unsigned flags = IO_READ | IO_WRITE | (w->create ? IO_CREATE : 0);
    int r = io_open(pr->io, (const char *)path.p, flags, &pr->file);
    return r == IO_MISSING ? -ENOENT : r; /* vanished under us: fatal, not a condition */
}

static int round_close(struct part_round *pr)
{
    struct io_file *f = pr->file;
    ASSERT(f == NULL || f->io == pr->io);
    pr->file = NULL;
    return io_close(f);
}

/* The last bytes of a segment are in: cut what was reserved behind them, make it durable. */
static int round_seal(struct part_round *pr, struct round_write *w)
{
    uint64_t end = w->pos + w->size;
    ASSERT(pr->file != NULL && w->seal);
    int r = io_truncate(pr->file, end);
    if (r == 0)
        r = io_sync(pr->io, &pr->file, 1);
    w->alloc = end;
    int closed = round_close(pr);
    return r != 0 ? r : closed;
}

/* Entries of refused batches must not come back among those of other batches. */
static int round_cut_index(struct part_round *pr, const struct round_write *w, const char *suffix,
                           uint64_t pos)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    struct io_file *f = NULL;
    ASSERT(w == pr->writes && !w->create);
    state_segment_path(&path, pr->dir, w->base, suffix);
    int r = io_open(pr->io, (const char *)path.p, IO_READ | IO_WRITE, &f);
    if (r != 0)
        return r == IO_MISSING ? 0 : r;
    r = io_truncate(f, pos);
    if (r == 0)
        r = io_sync(pr->io, &f, 1);
    int closed = io_close(f);
    return r != 0 ? r : closed;
}

/* Takes away everything behind the segment's end, and the blocks reserved there. */
static int round_cut_tail(struct part_round *pr, struct round_write *w)
{
    ASSERT(pr->file != NULL && w == pr->writes);
    int r = io_truncate(pr->file, w->pos);
    if (r == 0)
        r = io_sync(pr->io, &pr->file, 1);
    if (r == 0)
        r = round_cut_index(pr, w, "index", w->index_pos);
    if (r == 0)
        r = round_cut_index(pr, w, "timeindex", w->timeindex_pos);
    if (r == 0)
        w->alloc = w->pos;
    return r;
}

static int round_write_segment(struct part_round *pr, struct round_write *w)
{
    ASSERT(w->size == 0 || w->iov_count > 0); /* none: only to open the file */
    int r = round_open(pr, w);
    if (r == 0)
        r = round_reserve(pr->file, w);
    if (r == 0 && w->size > 0)
        r = io_pwritev(pr->file, w->iov, w->iov_count, w->pos);
    if (r == 0)
        r = round_write_index(pr, w, "index", &w->index, w->index_pos);
    if (r == 0)
        r = round_write_index(pr, w, "timeindex", &w->timeindex, w->timeindex_pos);
    if (r == 0 && w->seal)
        r = round_seal(pr, w);
    pr->new_names = pr->new_names || w->create;
    return r;
}

static int round_unlink(struct part_round *pr, int64_t offset, const char *suffix)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    ASSERT(offset >= 0 && suffix != NULL);
    state_segment_path(&path, pr->dir, offset, suffix);
    int r = io_unlink(pr->io, (const char *)path.p);
    return r == IO_MISSING ? 0 : r;
}

/* The log goes last: index files without one would be taken for those of its successor. */
static int round_unlink_segment(struct part_round *pr, int64_t base)
{
    static const char *const suffixes[] = {"timeindex", "index", "log"};
    int r = 0;
    ASSERT(base >= 0);
    for (size_t i = 0; r == 0 && i < 3; i++)
        r = round_unlink(pr, base, suffixes[i]);
    return r;
}

/* Its indexes go and its log gets the name that nobody opens; without room for that, it goes. */
static int round_bury_segment(struct part_round *pr, int64_t base)
{
    struct buf from CLEANUP(buf_deinit) = {0}, to CLEANUP(buf_deinit) = {0};
    ASSERT(base >= 0);
    int r = round_unlink(pr, base, "timeindex");
    if (r == 0)
        r = round_unlink(pr, base, "index");
    if (r != 0)
        return r;
    state_segment_path(&from, pr->dir, base, "log");
    state_segment_path(&to, pr->dir, base, STATE_BURIED);
    r = io_rename(pr->io, (const char *)from.p, (const char *)to.p);
    ASSERT(r <= 0 || r == IO_MISSING || r == IO_FULL);
    return r == IO_FULL ? round_unlink(pr, base, "log") : r == IO_MISSING ? 0 : r;
}

/* New segments must not stay behind, their existence would prove too much. */
static int round_uncreate(struct part_round *pr)
{
    int r = 0;
    ASSERT(pr->writes != NULL || pr->write_count == 0);
    for (size_t i = 0; r == 0 && i < pr->write_count; i++) {
        if (!pr->writes[i].create)
            continue;
        r = round_close(pr);
        if (r == 0)
            r = round_unlink_segment(pr, pr->writes[i].base);
        if (r == 0)
            r = io_sync_dir(pr->io, pr->dir);
    }
    return r;
}

/* The disk was full: 0 when the partition is as it was before the round; -errno, also when there is
 * no space even for that. */
static int round_take_back(struct part_round *pr)
{
    int r = round_uncreate(pr);
    ASSERT(pr->result == 0);
    if (r == 0 && pr->write_count > 0 && !pr->writes[0].create) {
        r = round_open(pr, &pr->writes[0]);
        if (r == 0)
            r = round_cut_tail(pr, &pr->writes[0]);
    }
    return r > 0 ? -ENOSPC : r;
}

static int round_write_small(struct part_round *pr, const struct buf *path, const struct buf *bytes)
{
    ASSERT(path->size > 0 && bytes->size > 0);
    return io_write_file(pr->io, pr->dir, (const char *)path->p, buf_slice(bytes));
}

/* Offsets will be missing here: to be known before it is so. The state as it is on disk, but for
 * the generation; a lost one stays lost, then the mark tells. */
static int round_mark_gaps(struct part_round *pr)
{
    struct buf path CLEANUP(buf_deinit) = {0}, bytes CLEANUP(buf_deinit) = {0};
    struct state state;
    ASSERT(pr->gaps && pr->result == 0);
    int r = compact_swap_mark(pr->io, pr->dir);
    if (r == 0)
        r = io_sync_dir(pr->io, pr->dir);
    if (r == 0)
        r = state_read(pr->io, pr->dir, &state);
    if (r == IO_MISSING || r == STATE_DAMAGED)
        return 0;
    if (r != 0 || state.generation > 0)
        return r > IO_FULL ? -EIO : r;
    state.generation = 1;
    state_encode(&state, &bytes);
    state_path(&path, pr->dir, "state");
    return round_write_small(pr, &path, &bytes);
}

int round_write_part(struct part_round *pr)
{
    int r = pr->gaps ? round_mark_gaps(pr) : 0;
    for (size_t i = 0; r == 0 && i < pr->write_count; i++) {
        ASSERT(i + 1 < pr->write_count ? pr->writes[i].seal : true);
        r = round_write_segment(pr, &pr->writes[i]);
    }
    ASSERT(r <= 0 || r == IO_FULL);
    int e = r == IO_FULL ? round_take_back(pr) : 0;
    return e != 0 ? e : r;
}

/* --- new folders --- */

/* The folder of a partition and its first state, not yet synced. */
static int round_create(struct part_round *pr)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    ASSERT(pr->create_dir && pr->first_state.size > 0);
    int r = io_mkdir(pr->io, pr->dir);
    if (r != 0 && r != IO_EXISTS)
        return r == IO_MISSING ? -ENOENT : r;
    ASSERT(pr->state_file == NULL);
    pr->new_names = pr->new_folder = true;
    state_path(&path, pr->dir, "state");
    r = io_open(pr->io, (const char *)path.p, IO_WRITE | IO_CREATE, &pr->state_file);
    struct iovec v = {pr->first_state.p, pr->first_state.size};
    return r != 0 ? r : io_pwritev(pr->state_file, &v, 1, 0);
}

static int round_close_states(struct round *r)
{
    int e = 0;
    ASSERT(r->count > 0);
    LIST_EACH (node, &r->parts) {
        struct part_round *pr = LIST_ENTRY(node, struct part_round, link);
        int closed = io_close(pr->state_file);
        ASSERT(pr->state_file == NULL || pr->create_dir);
        pr->state_file = NULL;
        e = e != 0 ? e : closed;
    }
    return e;
}

/* All new folders of the round, with one sync for their states. */
static int round_create_all(struct round *r)
{
    size_t size = r->count * sizeof(struct io_file *), count = 0;
    struct io_file **files CLEANUP(cleanup_free) = assert_memory(malloc(size), size);
    int e = 0;
    LIST_EACH (node, &r->parts) {
        struct part_round *pr = LIST_ENTRY(node, struct part_round, link);
        if (e != 0 || !pr->create_dir)
            continue;
        pr->result = round_create(pr);
        if (pr->result == 0)
            files[count++] = pr->state_file;
        ASSERT(pr->result <= 0 || pr->result == IO_FULL);
        e = pr->result < 0 ? pr->result : 0;
    }
    ASSERT(count <= r->count);
    if (e == 0)
        e = io_sync(r->io, files, count);
    int closed = round_close_states(r);
    return e != 0 ? e : closed;
}

static int round_drop(struct part_round *pr)
{
    int r = 0;
    ASSERT(pr->drops != NULL || pr->drop_count == 0);
    for (size_t i = 0; r == 0 && i < pr->drop_count; i++)
        r = pr->drops[i].bury ? round_bury_segment(pr, pr->drops[i].base)
                              : round_unlink_segment(pr, pr->drops[i].base);
    if (r == 0 && pr->checkpointed && pr->old_snapshot >= 0)
        r = round_unlink(pr, pr->old_snapshot, "snapshot");
    if (r == 0 && pr->drop_count > 0)
        r = io_sync_dir(pr->io, pr->dir);
    pr->dropped = r == 0 && pr->drop_count > 0;
    return r;
}

/* The entry of a partition folder in the folder around it. */
static int round_sync_parent(struct io *io, const char *dir)
{
    struct buf parent CLEANUP(buf_deinit) = {0};
    state_parent(&parent, dir);
    int r = io_sync_dir(io, (const char *)parent.p);
    ASSERT(parent.size > 0);
    return r == IO_MISSING ? -ENOENT : r;
}

/* A round without sync that makes a recovery point: it needs durable bytes below it. */
static int round_sync_part(struct part_round *pr)
{
    int r = pr->file != NULL ? io_sync(pr->io, &pr->file, 1) : 0;
    ASSERT(!pr->sync);
    if (r == 0 && pr->new_names)
        r = io_sync_dir(pr->io, pr->dir);
    if (r == 0 && pr->new_folder)
        r = round_sync_parent(pr->io, pr->dir);
    if (r == 0)
        pr->new_names = pr->new_folder = false;
    return r == IO_MISSING ? -ENOENT : r;
}

int round_control_part(struct part_round *pr)
{
    struct buf snapshot CLEANUP(buf_deinit) = {0}, state CLEANUP(buf_deinit) = {0};
    int r = 0;
    ASSERT(pr->result == 0);
    ASSERT(pr->state.size > 0 || pr->drop_count == 0);
    if (pr->state.size == 0)
        return 0;
    if (!pr->sync)
        r = round_sync_part(pr);
    if (r < 0)
        return r;
    if (pr->snapshot.size > 0) {
        state_segment_path(&snapshot, pr->dir, pr->snapshot_offset, "snapshot");
        r = round_write_small(pr, &snapshot, &pr->snapshot);
    }
    if (r == 0) {
        state_path(&state, pr->dir, "state");
        r = round_write_small(pr, &state, &pr->state);
    }
    pr->checkpointed = r == 0;
    if (r < 0 || r == IO_MISSING)
        return r < 0 ? r : -ENOENT;
    if (r == 0 && pr->swaps)
        r = compact_swap_run(pr->io, pr->dir, &pr->swap);
    if (r < 0)
        return r;
    return round_drop(pr); /* also with a full disk: the old state stands, recovery scans more */
}

static int round_sync_names(struct round *r)
{
    const char *dir = NULL;
    int e = 0;
    ASSERT(r->count > 0 && r->sync);
    LIST_EACH (node, &r->parts) {
        struct part_round *pr = LIST_ENTRY(node, struct part_round, link);
        if (pr->result != 0 || e != 0)
            continue;
        if (pr->new_names)
            e = io_sync_dir(r->io, pr->dir);
        if (pr->new_folder)
            dir = pr->dir; /* all partitions of a round share the data folder */
        pr->new_names = pr->new_folder = false;
    }
    if (e == 0 && dir != NULL)
        e = round_sync_parent(r->io, dir);
    ASSERT(e <= 0 || e == IO_MISSING);
    return e == IO_MISSING ? -ENOENT : e;
}

static int round_sync(struct round *r)
{
    size_t size = r->count * sizeof(struct io_file *), count = 0;
    struct io_file **files CLEANUP(cleanup_free) = assert_memory(malloc(size), size);
    LIST_EACH (node, &r->parts) {
        struct part_round *pr = LIST_ENTRY(node, struct part_round, link);
        if (pr->result == 0 && pr->file != NULL)
            files[count++] = pr->file;
    }
    ASSERT(count <= r->count);
    ASSERT(r->sync);
    int e = io_sync(r->io, files, count);
    if (e != 0 || PLANTED_NO_FOLDER_SYNC)
        return e;
    return round_sync_names(r);
}

static int round_write_all(struct round *r)
{
    ASSERT(r->result == 0 && r->count > 0);
    int e = round_create_all(r);
    if (e != 0)
        return e;
    LIST_EACH (node, &r->parts) {
        struct part_round *pr = LIST_ENTRY(node, struct part_round, link);
        if (pr->result == 0)
            pr->result = round_write_part(pr);
        ASSERT(pr->result <= 0 || pr->result == IO_FULL);
        if (pr->result < 0)
            return pr->result;
    }
    return 0;
}

static int round_control_all(struct round *r)
{
    ASSERT(r->result == 0);
    LIST_EACH (node, &r->parts) {
        struct part_round *pr = LIST_ENTRY(node, struct part_round, link);
        int e = pr->result == 0 ? round_control_part(pr) : 0;
        ASSERT(e <= 0);
        if (e != 0)
            return e;
    }
    return 0;
}

static bool round_has_control(struct round *r)
{
    ASSERT(r->count > 0);
    LIST_EACH (node, &r->parts) {
        if (LIST_ENTRY(node, struct part_round, link)->state.size > 0)
            return true;
    }
    return false;
}

static int64_t round_now_us(const struct round *r)
{
    ASSERT(r->clock == NULL || r->clock->mono_us != NULL);
    return r->clock == NULL ? 0 : r->clock->mono_us(r->clock);
}

static void round_run(struct work_job *job)
{
    struct round *r = LIST_ENTRY(job, struct round, job);
    ASSERT(r->count > 0);
    ASSERT(r->result == 0);
    r->result = round_write_all(r);
    int64_t began_us = round_now_us(r);
    if (r->result == 0 && r->sync && r->tells_written)
        work_report(job, &r->written);
    if (r->result == 0 && r->sync && !PLANTED_ACK_BEFORE_SYNC)
        r->result = round_sync(r);
    r->sync_us = round_now_us(r) - began_us;
    ASSERT(r->sync_us >= 0);
    if (r->result == 0 && round_has_control(r)) {
        work_report(job, r->sync ? &r->durable : &r->written);
        r->result = round_control_all(r);
    }
}

/* --- owner thread --- */

static void round_stage(struct round *r, enum part_stage stage)
{
    ASSERT(r->staged != NULL);
    LIST_EACH_SAFE (node, &r->parts) {
        struct part_round *pr = LIST_ENTRY(node, struct part_round, link);
        if (stage == PART_STAGE_FINISHED) {
            list_remove(node);
            pr->result = r->result < 0 ? r->result : pr->result;
        }
        ASSERT(pr->part != NULL && pr->sync == r->sync);
        struct part *p = pr->part;
        int result = pr->result; /* the last stage frees pr */
        part_round_done(p, pr, stage);
        r->part_done(p, stage, result);
    }
    r->staged(r, stage, stage == PART_STAGE_FINISHED ? r->result : 0);
}

static void round_on_written(struct work_note *note)
{
    round_stage(LIST_ENTRY(note, struct round, written), PART_STAGE_WRITTEN);
}

static void round_on_durable(struct work_note *note)
{
    round_stage(LIST_ENTRY(note, struct round, durable), PART_STAGE_DURABLE);
}

static void round_on_done(struct work_note *note)
{
    struct work_job *job = LIST_ENTRY(note, struct work_job, note);
    round_stage(LIST_ENTRY(job, struct round, job), PART_STAGE_FINISHED);
}

static void round_ignore(struct round *r, enum part_stage stage, int fatal)
{
    ASSERT(r != NULL && stage <= PART_STAGE_FINISHED && fatal <= 0);
}

static void round_ignore_part(struct part *p, enum part_stage stage, int result)
{
    ASSERT(p != NULL && stage <= PART_STAGE_FINISHED && result <= IO_FULL);
}

void round_init(struct round *r, struct io *io, bool sync)
{
    ASSERT(io != NULL);
    *r = (struct round){
        .io = io, .sync = sync, .staged = round_ignore, .part_done = round_ignore_part};
    list_init(&r->parts);
    r->job.run = round_run;
    r->job.note.done = round_on_done;
    r->written.done = round_on_written;
    r->durable.done = round_on_durable;
}

void round_add(struct round *r, struct part *p, int64_t now_ms)
{
    struct part_round *pr = part_round_take(p, r->sync, now_ms);
    ASSERT(pr != NULL && pr->sync == r->sync);
    list_add_tail(&r->parts, &pr->link);
    r->count++;
    ASSERT(r->count > 0 && pr->part == p);
}

void round_submit(struct round *r, struct work *w)
{
    ASSERT(r->count > 0 && r->io != NULL);
    ASSERT(r->result == 0 && r->job.run == round_run);
    work_submit(w, &r->job);
}

int round_run_now(struct round *r)
{
    ASSERT(r->count > 0);
    r->result = round_write_all(r);
    if (r->result == 0 && r->sync && !PLANTED_ACK_BEFORE_SYNC)
        r->result = round_sync(r);
    if (r->result == 0)
        r->result = round_control_all(r);
    round_stage(r, PART_STAGE_FINISHED);
    ASSERT(r->result <= 0);
    return r->result;
}
