/* SPDX-License-Identifier: MIT
 *
 * copy: see copy.h.
 */
#include "engine/store/copy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/store/compact_swap.h"

/* --- files --- */

int copy_sync(struct io *io, struct copy_files *files)
{
    ASSERT(files->count <= COPY_FILES_MAX);
    int r = io_sync(io, files->files, files->count);
    for (size_t i = 0; i < files->count; i++) {
        int closed = io_close(files->files[i]);
        r = r != 0 ? r : closed;
    }
    files->count = 0;
    ASSERT(r <= 0);
    return r;
}

static int copy_keep(struct io *io, struct copy_files *files, struct io_file *f)
{
    ASSERT(f != NULL && files->count < COPY_FILES_MAX);
    files->files[files->count++] = f;
    return files->count == COPY_FILES_MAX ? copy_sync(io, files) : 0;
}

int copy_file(struct io *io, const char *from, const char *to, uint64_t size,
              struct copy_files *files)
{
    struct io_file *in CLEANUP(io_close_cleanup) = NULL;
    struct io_file *out CLEANUP(io_close_cleanup) = NULL;
    ASSERT(size <= INT64_MAX);
    int r = io_open(io, from, IO_READ, &in);
    if (r == 0)
        r = io_open(io, to, IO_READ | IO_WRITE | IO_CREATE | IO_EXCL, &out);
    if (r == 0 && size > 0)
        r = io_copy(in, out, 0, size);
    if (r != 0)
        return r;
    struct io_file *f = out;
    out = NULL;
    ASSERT(f != NULL);
    return copy_keep(io, files, f);
}

int copy_bytes(struct io *io, struct slice bytes, const char *to, struct copy_files *files)
{
    struct io_file *out CLEANUP(io_close_cleanup) = NULL;
    ASSERT(bytes.p != NULL);
    int r = io_open(io, to, IO_WRITE | IO_CREATE | IO_EXCL, &out);
    struct iovec v = {(void *)(uintptr_t)bytes.p, bytes.size};
    if (r == 0)
        r = io_pwritev(out, &v, 1, 0);
    if (r != 0)
        return r;
    struct io_file *f = out;
    out = NULL;
    ASSERT(f != NULL);
    return copy_keep(io, files, f);
}

bool copy_is_apart(int result)
{
    ASSERT(result != 0);
    return result == -EXDEV || result == -EPERM || result == -EMLINK || result == -EOPNOTSUPP;
}

/* --- which, and how far --- */

bool copy_take(const struct part *p, const char *to, struct copy *out)
{
    *out = (struct copy){.snapshots = {p->snapshots[0], p->snapshots[1]}, .swaps = p->swaps};
    ASSERT(p->log_start <= p->written && p->swap == NULL);
    if (!p->exists)
        return false;
    out->from = assert_memory(strdup(p->dir), strlen(p->dir) + 1);
    out->to = assert_memory(strdup(to), strlen(to) + 1);
    out->segments = assert_memory(calloc(p->count + 1, sizeof *out->segments),
                                  (p->count + 1) * sizeof *out->segments);
    for (size_t i = 0; i < p->count; i++) {
        const struct segment *s = p->segments[i];
        const struct segment *next = i + 1 < p->count ? p->segments[i + 1] : NULL;
        ASSERT(s != NULL);
        if (!s->exists) /* a round that is out makes it */
            continue;
        if (next != NULL && next->exists && next->base <= p->log_start)
            continue; /* a round that is out removes it, or will */
        out->segments[out->count++] =
            (struct copy_segment){s->base, s->ready, s->index_ready, s->timeindex_ready};
    }
    const struct copy_segment *last = out->count > 0 ? &out->segments[out->count - 1] : NULL;
    out->state = (struct state){.log_start = p->log_start,
                                .recovery_offset = p->written,
                                .recovery_base = last != NULL ? last->base : p->written,
                                .recovery_pos = last != NULL ? last->size : 0,
                                .epoch = p->epoch,
                                .generation = p->generation,
                                .mark = p->mark < p->written ? p->mark : p->written};
    ASSERT(last == NULL || last->base <= p->written);
    return true;
}

void copy_deinit(struct copy *c)
{
    ASSERT(c->count == 0 || c->segments != NULL);
    free(c->from);
    free(c->to);
    free(c->segments);
    *c = (struct copy){.count = 0};
}

void copy_describe(const struct copy *c, struct buf *out)
{
    ASSERT(c->from != NULL);
    buf_printf(out,
               "generation=%u start=%" PRId64 " end=%" PRId64 " base=%" PRId64 " size=%" PRIu64,
               c->state.generation, c->state.log_start, c->state.recovery_offset,
               c->state.recovery_base, c->state.recovery_pos);
}

/* --- a second name for everything --- */

/* One file of a segment, or a producer snapshot, under a name in the new folder. */
struct copy_name {
    int64_t base;
    const char *suffix;
    const char *as;   /* suffix there; NULL: the same */
    const char *from; /* another folder than c->from; NULL */
    uint64_t size;
};

static void copy_paths(const struct copy *c, const struct copy_name *n, struct buf *from,
                       struct buf *to)
{
    ASSERT(n->base >= 0 && n->suffix != NULL);
    state_segment_path(from, n->from != NULL ? n->from : c->from, n->base, n->suffix);
    state_segment_path(to, c->to, n->base, n->as != NULL ? n->as : n->suffix);
}

/* 0, IO_MISSING (what is to be linked), IO_FULL, or -errno; copies where links cannot be made. */
static int copy_name(struct io *io, struct copy *c, const struct copy_name *n,
                     struct copy_files *files)
{
    struct buf from CLEANUP(buf_deinit) = {0}, to CLEANUP(buf_deinit) = {0};
    copy_paths(c, n, &from, &to);
    int r = c->apart ? -EXDEV : io_link(io, (const char *)from.p, (const char *)to.p);
    if (r == 0 || !copy_is_apart(r))
        return r;
    ASSERT(r < 0);
    c->apart = c->apart || r != -EMLINK;
    r = copy_file(io, (const char *)from.p, (const char *)to.p, n->size, files);
    return r == -ENODATA ? IO_MISSING : r;
}

/* A hint: it may be missing. */
static int copy_hint(struct io *io, struct copy *c, const struct copy_name *n,
                     struct copy_files *files)
{
    int r = copy_name(io, c, n, files);
    ASSERT(n->size <= INT64_MAX);
    return r == IO_MISSING ? 0 : r;
}

/* Is it the file that was meant? One of the same name may have taken its place. */
static int copy_check_size(struct io *io, const struct copy *c, const struct copy_segment *s)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    struct io_file *f CLEANUP(io_close_cleanup) = NULL;
    uint64_t size = 0;
    ASSERT(c->to != NULL);
    state_segment_path(&path, c->to, s->base, "log");
    int r = io_open(io, (const char *)path.p, IO_READ, &f);
    if (r == 0)
        r = io_size(f, &size);
    return r != 0 ? r : size == s->size ? 0 : COPY_MOVED;
}

static int copy_link_sealed(struct io *io, struct copy *c, const struct copy_segment *s,
                            struct copy_files *files)
{
    struct copy_name log = {.base = s->base, .suffix = "log", .size = s->size};
    struct copy_name index = {.base = s->base, .suffix = "index", .size = s->index_size};
    struct copy_name time = {.base = s->base, .suffix = "timeindex", .size = s->timeindex_size};
    ASSERT(s->base >= 0);
    int r = copy_name(io, c, &log, files);
    if (r == 0)
        r = copy_check_size(io, c, s);
    if (r == 0)
        r = copy_hint(io, c, &index, files);
    if (r == 0)
        r = copy_hint(io, c, &time, files);
    if (c->apart)
        c->copied_size += s->size;
    else
        c->linked_size += s->size;
    return r == IO_MISSING ? COPY_MOVED : r;
}

/* The active segment: pinned under names that a recovery would remove. */
static int copy_link_active(struct io *io, struct copy *c, const struct copy_segment *s,
                            struct copy_files *files)
{
    static const char *const names[3][2] = {
        {"log", "log.tmp"}, {"index", "index.tmp"}, {"timeindex", "timeindex.tmp"}};
    int r = 0;
    ASSERT(s == &c->segments[c->count - 1]);
    for (size_t i = 0; r == 0 && i < 3 && !c->apart; i++) {
        struct copy_name n = {.base = s->base, .suffix = names[i][0], .as = names[i][1]};
        struct buf from CLEANUP(buf_deinit) = {0}, to CLEANUP(buf_deinit) = {0};
        copy_paths(c, &n, &from, &to);
        r = io_link(io, (const char *)from.p, (const char *)to.p);
        if (r != 0 && copy_is_apart(r)) {
            c->apart = true;
            r = 0;
        } else if (r == IO_MISSING) {
            r = i == 0 ? COPY_MOVED : 0;
        }
    }
    ASSERT(files->count <= COPY_FILES_MAX);
    return r;
}

/* Without any, recovery reads the whole log for its producers: slow, and right. */
static int copy_link_snapshots(struct io *io, struct copy *c)
{
    int r = 0;
    ASSERT(c->snapshots[0] >= c->snapshots[1]);
    for (size_t i = 0; r == 0 && i < 2 && c->snapshots[i] >= 0; i++) {
        struct copy_name n = {.base = c->snapshots[i], .suffix = "snapshot"};
        struct buf from CLEANUP(buf_deinit) = {0}, to CLEANUP(buf_deinit) = {0};
        copy_paths(c, &n, &from, &to);
        r = io_link(io, (const char *)from.p, (const char *)to.p);
        if (r == 0 || r == IO_MISSING || !copy_is_apart(r)) {
            r = r == IO_MISSING ? 0 : r;
            continue;
        }
        struct buf bytes CLEANUP(buf_deinit) = {0};
        struct copy_files files = {.count = 0};
        r = io_read_file(io, (const char *)from.p, SIZE_MAX, &bytes);
        if (r == 0)
            r = copy_bytes(io, buf_slice(&bytes), (const char *)to.p, &files);
        int synced = copy_sync(io, &files);
        r = r == IO_MISSING ? 0 : r != 0 ? r : synced;
    }
    return r;
}

int copy_link(struct io *io, struct copy *c, struct copy_files *files)
{
    ASSERT(c->from != NULL && c->linked_size == 0 && c->copied_size == 0);
    int r = io_mkdir(io, c->to);
    if (r == 0) /* first: while they are young, two newer ones have not followed */
        r = copy_link_snapshots(io, c);
    for (size_t i = 0; r == 0 && i + 1 < c->count; i++)
        r = copy_link_sealed(io, c, &c->segments[i], files);
    if (r == 0 && c->count > 0)
        r = copy_link_active(io, c, &c->segments[c->count - 1], files);
    ASSERT(r <= 0 || r == COPY_MOVED || r == IO_FULL || r == IO_EXISTS || r == IO_MISSING);
    return r;
}

/* --- the active segment --- */

/* 0: linked; IO_MISSING: it cannot be. */
static int copy_fill_same(struct io *io, struct copy *c, const struct copy_segment *s,
                          const char *same)
{
    static const char *const suffixes[] = {"index", "timeindex", "log"};
    int r = 0;
    ASSERT(same != NULL);
    for (size_t i = 0; r == 0 && i < 3; i++) {
        struct copy_name n = {.base = s->base, .suffix = suffixes[i], .from = same};
        struct buf from CLEANUP(buf_deinit) = {0}, to CLEANUP(buf_deinit) = {0};
        copy_paths(c, &n, &from, &to);
        r = io_link(io, (const char *)from.p, (const char *)to.p);
        if (r == IO_MISSING && i < 2)
            r = 0;
    }
    if (r == 0)
        r = copy_check_size(io, c, s);
    if (r == 0)
        c->linked_size += s->size;
    return r == 0 || r == IO_FULL ? r : IO_MISSING;
}

static int copy_unlink(struct io *io, const struct copy *c, int64_t base, const char *suffix)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    ASSERT(base >= 0);
    state_segment_path(&path, c->to, base, suffix);
    int r = io_unlink(io, (const char *)path.p);
    return r == IO_MISSING ? 0 : r;
}

static int copy_fill_file(struct io *io, struct copy *c, const struct copy_name *n,
                          const char *pinned, struct copy_files *files)
{
    struct buf from CLEANUP(buf_deinit) = {0}, to CLEANUP(buf_deinit) = {0};
    ASSERT(n->size <= INT64_MAX);
    state_segment_path(&to, c->to, n->base, n->suffix);
    int r = copy_unlink(io, c, n->base, n->suffix); /* what copy_fill_same began */
    state_segment_path(&from, c->apart ? c->from : c->to, n->base, c->apart ? n->suffix : pinned);
    if (r == 0)
        r = copy_file(io, (const char *)from.p, (const char *)to.p, n->size, files);
    return r == -ENODATA ? IO_MISSING : r;
}

static int copy_fill_active(struct io *io, struct copy *c, const struct copy_segment *s,
                            const char *same, struct copy_files *files)
{
    struct copy_name log = {.base = s->base, .suffix = "log", .size = s->size};
    struct copy_name index = {.base = s->base, .suffix = "index", .size = s->index_size};
    struct copy_name time = {.base = s->base, .suffix = "timeindex", .size = s->timeindex_size};
    int r = same != NULL && !c->apart ? copy_fill_same(io, c, s, same) : IO_MISSING;
    if (r != IO_MISSING)
        return r;
    r = copy_fill_file(io, c, &log, "log.tmp", files);
    if (r != 0)
        return r == IO_MISSING ? COPY_MOVED : r;
    ASSERT(c->count > 0);
    c->copied_size += s->size;
    r = copy_fill_file(io, c, &index, "index.tmp", files);
    if (r == 0 || r == IO_MISSING)
        r = copy_fill_file(io, c, &time, "timeindex.tmp", files);
    return r == IO_MISSING ? 0 : r;
}

int copy_fill(struct io *io, struct copy *c, const char *same, struct copy_files *files)
{
    static const char *const pins[] = {"log.tmp", "index.tmp", "timeindex.tmp"};
    struct buf path CLEANUP(buf_deinit) = {0}, state CLEANUP(buf_deinit) = {0};
    struct buf mark CLEANUP(buf_deinit) = {0};
    const struct copy_segment *last = c->count > 0 ? &c->segments[c->count - 1] : NULL;
    int r = last != NULL ? copy_fill_active(io, c, last, same, files) : 0;
    for (size_t i = 0; r == 0 && last != NULL && i < 3; i++)
        r = copy_unlink(io, c, last->base, pins[i]);
    state_encode(&c->state, &state);
    state_path(&path, c->to, "state");
    state_path(&mark, c->to, COMPACT_MARK);
    if (r == 0)
        r = copy_bytes(io, buf_slice(&state), (const char *)path.p, files);
    if (r == 0 && c->state.generation > 0)
        r = copy_bytes(io, slice_of("", 0), (const char *)mark.p, files);
    if (r == 0)
        r = io_sync_dir(io, c->to);
    ASSERT(r <= 0 || r == COPY_MOVED || r == IO_FULL || r == IO_EXISTS || r == IO_MISSING);
    return r;
}

/* --- a file of its own --- */

static int copy_own_replace(struct io *io, const char *dir, int64_t base, const char *tmp)
{
    static const char *const suffixes[] = {"timeindex", "index"};
    struct buf path CLEANUP(buf_deinit) = {0};
    int r = 0;
    for (size_t i = 0; r == 0 && i < 2; i++) {
        struct buf index CLEANUP(buf_deinit) = {0};
        state_segment_path(&index, dir, base, suffixes[i]);
        r = io_unlink(io, (const char *)index.p);
        r = r == IO_MISSING ? 0 : r;
    }
    state_segment_path(&path, dir, base, "log");
    if (r == 0)
        r = io_rename(io, tmp, (const char *)path.p);
    if (r == 0)
        r = io_sync_dir(io, dir);
    ASSERT(r <= 0 || r == IO_FULL || r == IO_MISSING);
    return r == IO_MISSING ? -ENOENT : r;
}

int copy_own(struct io *io, const char *dir, int64_t base)
{
    struct buf path CLEANUP(buf_deinit) = {0}, tmp CLEANUP(buf_deinit) = {0};
    struct io_file *f CLEANUP(io_close_cleanup) = NULL;
    struct copy_files files = {.count = 0};
    uint64_t names = 0, size = 0;
    ASSERT(base >= 0);
    state_segment_path(&path, dir, base, "log");
    state_segment_path(&tmp, dir, base, "log.tmp");
    int r = io_open(io, (const char *)path.p, IO_READ, &f);
    if (r == 0)
        r = io_names(f, &names);
    if (r == 0)
        r = io_size(f, &size);
    if (r != 0 || names <= 1)
        return r;
    r = io_unlink(io, (const char *)tmp.p); /* of one that was interrupted */
    if (r == 0 || r == IO_MISSING)
        r = copy_file(io, (const char *)path.p, (const char *)tmp.p, size, &files);
    int synced = copy_sync(io, &files);
    r = r != 0 ? r : synced;
    if (r == 0)
        return copy_own_replace(io, dir, base, (const char *)tmp.p);
    int left = io_unlink(io, (const char *)tmp.p);
    ASSERT(r != IO_EXISTS);
    (void)left; /* the next start removes it */
    return r;
}
