/* SPDX-License-Identifier: MIT
 *
 * snapshot_restore: a data folder from a snapshot. See snapshot.h.
 *
 *   1  the manifest and `format` are checked
 *   2  <to>.partial is made; per line of the manifest a partition folder in it: sealed segments and
 *      producer snapshots are linked (copied where that cannot be), the last segment is copied: the
 *      broker will write on in it
 *   3  everything is synced, the folder renamed
 *
 * The folder gets the file `restored`: what its records say of a folder is said of the one the
 * snapshot was made of.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/format.h"
#include "engine/broker/snapshot.h"
#include "engine/store/compact_swap.h"
#include "engine/store/copy.h"

#define SNAPSHOT_FOLDER_MAX 300

/* What a line of the manifest says. */
struct snapshot_line {
    char folder[SNAPSHOT_FOLDER_MAX];
    int64_t base;
    uint64_t size;
    int64_t end;
};

struct snapshot_part {
    struct io *io;
    struct snapshot_restore *restore;
    struct copy_files *files;
    const struct snapshot_line *line;
    struct buf from;
    struct buf to;
    bool apart;
    bool whole; /* the last segment was there, with its size */
};

static void snapshot_part_deinit(struct snapshot_part *p)
{
    buf_deinit(&p->from);
    buf_deinit(&p->to);
}

static int snapshot_file_size(struct io *io, const char *path, uint64_t *out)
{
    struct io_file *f CLEANUP(io_close_cleanup) = NULL;
    ASSERT(out != NULL);
    int r = io_open(io, path, IO_READ, &f);
    return r != 0 ? r : io_size(f, out);
}

static int snapshot_copy(struct snapshot_part *p, const char *from, const char *to)
{
    uint64_t size = 0;
    int r = snapshot_file_size(p->io, from, &size);
    if (r == 0)
        r = copy_file(p->io, from, to, size, p->files);
    ASSERT(p->restore != NULL);
    p->restore->copied_size += r == 0 ? size : 0;
    return r;
}

static int snapshot_share(struct snapshot_part *p, const char *from, const char *to)
{
    uint64_t size = 0;
    int r = p->apart ? -EXDEV : io_link(p->io, from, to);
    ASSERT(p->files != NULL);
    if (r != 0 && copy_is_apart(r)) {
        p->apart = true;
        return snapshot_copy(p, from, to);
    }
    if (r == 0)
        r = snapshot_file_size(p->io, to, &size);
    p->restore->linked_size += r == 0 ? size : 0;
    return r;
}

/* Files that a partition folder has no use for are passed over. */
static int snapshot_restore_file(void *ctx, const char *name, enum io_kind kind)
{
    static const char *const suffixes[] = {"log", "index", "timeindex", "snapshot"};
    struct snapshot_part *p = ctx;
    struct buf from CLEANUP(buf_deinit) = {0}, to CLEANUP(buf_deinit) = {0};
    int64_t base = -1;
    ASSERT(p->line != NULL);
    for (size_t i = 0; base < 0 && i < 4; i++)
        base = state_parse_name(name, suffixes[i]);
    bool small = strcmp(name, "state") == 0 || strcmp(name, COMPACT_MARK) == 0;
    if (kind != IO_KIND_FILE || (base < 0 && !small))
        return 0;
    state_path(&from, (const char *)p->from.p, name);
    state_path(&to, (const char *)p->to.p, name);
    bool last = base < 0 || (base == p->line->base && state_parse_name(name, "snapshot") < 0);
    int r = last ? snapshot_copy(p, (const char *)from.p, (const char *)to.p)
                 : snapshot_share(p, (const char *)from.p, (const char *)to.p);
    if (r != 0 || state_parse_name(name, "log") != p->line->base)
        return r;
    uint64_t size = 0;
    r = snapshot_file_size(p->io, (const char *)to.p, &size);
    p->whole = r == 0 && size == p->line->size;
    return r;
}

static int snapshot_restore_part(struct io *io, struct snapshot_restore *r, const char *work,
                                 const struct snapshot_line *line, struct copy_files *files)
{
    struct snapshot_part p CLEANUP(snapshot_part_deinit) = {
        .io = io, .restore = r, .files = files, .line = line};
    struct state state;
    ASSERT(line->folder[0] != '\0');
    state_path(&p.from, r->from, line->folder);
    state_path(&p.to, work, line->folder);
    p.whole = line->base == line->end && line->size == 0; /* there may be no segment at all */
    int e = state_read(io, (const char *)p.from.p, &state);
    if (e == 0 && state.recovery_offset != line->end)
        e = STATE_DAMAGED;
    if (e == 0)
        e = io_mkdir(io, (const char *)p.to.p);
    if (e == 0)
        e = io_list(io, (const char *)p.from.p, snapshot_restore_file, &p);
    if (e == 0)
        e = io_sync_dir(io, (const char *)p.to.p);
    if (e < 0 || e == IO_FULL)
        return e;
    r->partitions++;
    (void)snprintf(r->what, sizeof r->what, "%.100s", line->folder);
    return e == 0 && p.whole ? 0 : SNAPSHOT_DAMAGED;
}

/* False when the line is none of a partition. */
static bool snapshot_line_parse(const char *text, struct snapshot_line *out)
{
    ASSERT(text != NULL);
    int n = sscanf(text,
                   "part %299s %*s generation=%*u start=%*d end=%" SCNd64 " base=%" SCNd64
                   " size=%" SCNu64,
                   out->folder, &out->end, &out->base, &out->size);
    ASSERT(out->folder[SNAPSHOT_FOLDER_MAX - 1] == '\0');
    return n == 4 && strchr(out->folder, '/') == NULL && out->folder[0] != '.';
}

static int snapshot_restore_parts(struct io *io, struct snapshot_restore *r, const char *work,
                                  const struct buf *text, struct copy_files *files)
{
    struct snapshot_line line = {.folder = ""};
    const char *s = (const char *)text->p;
    uint64_t total = 0, done = 0;
    int e = 0;
    ASSERT(s[text->size] == '\0');
    for (const char *at = strstr(s, "\npart "); at != NULL; at = strstr(at + 1, "\npart "))
        total++;
    for (const char *at = strstr(s, "\npart "); e == 0 && at != NULL;
         at = strstr(at + 1, "\npart ")) {
        if (!snapshot_line_parse(at + 1, &line))
            return SNAPSHOT_DAMAGED;
        e = snapshot_restore_part(io, r, work, &line, files);
        if (r->progress != NULL)
            r->progress(r->ctx, ++done, total);
    }
    return e;
}

/* 0 when nothing is there, or an empty folder. */
static int snapshot_entry(void *ctx, const char *name, enum io_kind kind)
{
    ASSERT(ctx == NULL && name[0] != '\0');
    (void)kind;
    return SNAPSHOT_BUSY;
}

static int snapshot_check_target(struct io *io, const char *to)
{
    ASSERT(to[0] == '/');
    int r = io_list(io, to, snapshot_entry, NULL);
    return r == IO_MISSING ? 0 : r == -ENOTDIR ? SNAPSHOT_BUSY : r;
}

static int snapshot_restore_format(struct io *io, const char *from, const char *work,
                                   struct copy_files *files)
{
    struct buf source CLEANUP(buf_deinit) = {0}, to CLEANUP(buf_deinit) = {0};
    struct buf bytes CLEANUP(buf_deinit) = {0};
    ASSERT(files->count < COPY_FILES_MAX);
    state_path(&source, from, "format");
    state_path(&to, work, "format");
    int r = io_read_file(io, (const char *)source.p, 4096, &bytes);
    if (r == 0)
        r = copy_bytes(io, buf_slice(&bytes), (const char *)to.p, files);
    buf_reset(&to);
    state_path(&to, work, SNAPSHOT_RESTORED);
    return r != 0 ? r
                  : copy_bytes(io, slice_str("another folder now\n"), (const char *)to.p, files);
}

int snapshot_restore(struct io *io, struct snapshot_restore *r)
{
    struct buf text CLEANUP(buf_deinit) = {0}, work CLEANUP(buf_deinit) = {0};
    struct copy_files files = {.count = 0};
    struct format format;
    ASSERT(r->from[0] == '/' && r->to[0] == '/');
    (void)snprintf(r->what, sizeof r->what, "snapshot");
    int e = snapshot_read(io, r->from, &r->header, &text);
    if (e == 0) {
        e = format_read(io, r->from, &format);
        if (e > 0) {
            (void)snprintf(r->what, sizeof r->what, "format");
            e = SNAPSHOT_DAMAGED;
        }
    }
    if (e == 0)
        e = snapshot_check_target(io, r->to);
    if (e == 0)
        e = snapshot_open_work(io, r->to, &work);
    if (e != 0)
        return e;
    e = snapshot_restore_parts(io, r, (const char *)work.p, &text, &files);
    if (e == 0)
        e = snapshot_restore_format(io, r->from, (const char *)work.p, &files);
    int synced = copy_sync(io, &files);
    e = e != 0 ? e : synced;
    if (e == 0)
        e = snapshot_close_work(io, (const char *)work.p, r->to);
    if (e != 0)
        snapshot_drop_work(io, (const char *)work.p);
    ASSERT(e <= 0 || e == SNAPSHOT_DAMAGED || e == IO_FULL);
    return e;
}
