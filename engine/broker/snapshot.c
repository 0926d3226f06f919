/* SPDX-License-Identifier: MIT
 *
 * snapshot: the manifest and the work folder. See snapshot.h; snapshot_restore.c reads it back.
 */
#include "engine/broker/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/crc32c.h"
#include "engine/store/state.h"

#define SNAPSHOT_SIZE_MAX ((size_t)256 << 20)
#define SNAPSHOT_CRC_SIZE (sizeof "crc 01234567\n" - 1)

/* --- the manifest --- */

void snapshot_begin(const struct snapshot_header *h, struct buf *out)
{
    ASSERT(out->size == 0);
    ASSERT(strlen(h->cluster_id) == sizeof h->cluster_id - 1);
    buf_printf(out, "kauri snapshot 1\ncluster %s\nincarnation %016" PRIx64 "\nmade %" PRId64 "\n",
               h->cluster_id, h->incarnation, h->made_ms);
}

void snapshot_add(struct buf *manifest, const char *folder, const char *id, const char *what)
{
    ASSERT(manifest->size > 0);
    ASSERT(folder[0] != '\0' && strchr(folder, ' ') == NULL);
    buf_printf(manifest, "part %s %s %s\n", folder, id != NULL ? id : "-", what);
}

void snapshot_end(struct buf *manifest)
{
    ASSERT(manifest->size > 0 && manifest->p[manifest->size - 1] == '\n');
    uint32_t crc = crc32c(manifest->p, manifest->size);
    buf_printf(manifest, "crc %08x\n", crc);
    ASSERT(manifest->size > SNAPSHOT_CRC_SIZE);
}

static int snapshot_parse(const struct buf *text, struct snapshot_header *h)
{
    unsigned crc = 0;
    ASSERT(text->p != NULL);
    if (text->size < SNAPSHOT_CRC_SIZE || memchr(text->p, '\0', text->size) != NULL)
        return SNAPSHOT_DAMAGED;
    size_t size = text->size - SNAPSHOT_CRC_SIZE;
    const char *s = (const char *)text->p;
    if (sscanf(s + size, "crc %8x\n", &crc) != 1 || crc != crc32c(s, size))
        return SNAPSHOT_DAMAGED;
    int n = sscanf(s, "kauri snapshot 1\ncluster %22s\nincarnation %" SCNx64 "\nmade %" SCNd64 "\n",
                   h->cluster_id, &h->incarnation, &h->made_ms);
    ASSERT(h->cluster_id[sizeof h->cluster_id - 1] == '\0');
    return n == 3 ? 0 : SNAPSHOT_DAMAGED;
}

int snapshot_read(struct io *io, const char *dir, struct snapshot_header *h, struct buf *text)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    ASSERT(text->size == 0);
    *h = (struct snapshot_header){.made_ms = -1};
    state_path(&path, dir, "snapshot");
    int r = io_read_file(io, (const char *)path.p, SNAPSHOT_SIZE_MAX, text);
    if (r != 0)
        return r == IO_MISSING || r == -EFBIG ? SNAPSHOT_DAMAGED : r;
    buf_append_u8(text, 0);
    text->size--;
    ASSERT(text->p[text->size] == '\0');
    return snapshot_parse(text, h);
}

bool snapshot_has(const struct buf *text, const char *folder, const char *id, const char *what)
{
    struct buf line CLEANUP(buf_deinit) = {0};
    ASSERT(text->p != NULL && text->p[text->size] == '\0');
    buf_append_u8(&line, '\n');
    snapshot_add(&line, folder, id, what);
    ASSERT(line.size > 1);
    return memmem(text->p, text->size, line.p, line.size) != NULL;
}

/* --- the work folder --- */

struct snapshot_names {
    struct buf files; /* NUL-ended */
    struct buf folders;
};

static void snapshot_names_deinit(struct snapshot_names *n)
{
    buf_deinit(&n->files);
    buf_deinit(&n->folders);
}

static int snapshot_name(void *ctx, const char *name, enum io_kind kind)
{
    struct snapshot_names *n = ctx;
    ASSERT(name[0] != '\0');
    buf_append(kind == IO_KIND_FOLDER ? &n->folders : &n->files, name, strlen(name) + 1);
    return 0;
}

static int snapshot_unlink_all(struct io *io, const char *dir, const struct buf *names)
{
    int r = 0;
    ASSERT(names->size == 0 || names->p[names->size - 1] == '\0');
    for (size_t at = 0; r == 0 && at < names->size; at += strlen((char *)names->p + at) + 1) {
        struct buf path CLEANUP(buf_deinit) = {0};
        state_path(&path, dir, (const char *)names->p + at);
        r = io_unlink(io, (const char *)path.p);
        r = r == IO_MISSING ? 0 : r;
    }
    return r;
}

/* A partition's folder: files only. */
static int snapshot_remove_flat(struct io *io, const char *dir)
{
    struct snapshot_names names CLEANUP(snapshot_names_deinit) = {{0}, {0}};
    ASSERT(dir[0] == '/');
    int r = io_list(io, dir, snapshot_name, &names);
    if (r == 0)
        r = snapshot_unlink_all(io, dir, &names.files);
    return r == 0 ? io_rmdir(io, dir) : r;
}

/* The marker goes last: whatever is left is still known as ours. */
static int snapshot_remove(struct io *io, const char *work)
{
    struct snapshot_names names CLEANUP(snapshot_names_deinit) = {{0}, {0}};
    struct buf marker CLEANUP(buf_deinit) = {0}, rest CLEANUP(buf_deinit) = {0};
    ASSERT(work[0] == '/');
    int r = io_list(io, work, snapshot_name, &names);
    const struct buf *folders = &names.folders;
    for (size_t at = 0; r == 0 && at < folders->size; at += strlen((char *)folders->p + at) + 1) {
        struct buf path CLEANUP(buf_deinit) = {0};
        state_path(&path, work, (const char *)folders->p + at);
        r = snapshot_remove_flat(io, (const char *)path.p);
    }
    for (size_t at = 0; at < names.files.size; at += strlen((char *)names.files.p + at) + 1)
        if (strcmp((char *)names.files.p + at, "partial") != 0)
            buf_append(&rest, names.files.p + at, strlen((char *)names.files.p + at) + 1);
    if (r == 0)
        r = snapshot_unlink_all(io, work, &rest);
    state_path(&marker, work, "partial");
    if (r == 0)
        r = io_unlink(io, (const char *)marker.p);
    return r == 0 || r == IO_MISSING ? io_rmdir(io, work) : r;
}

void snapshot_drop_work(struct io *io, const char *work)
{
    int r = snapshot_remove(io, work);
    ASSERT(work[0] == '/');
    (void)r; /* what stays is removed by the next one of this name */
}

/* 0 when `work` may be made: nothing is there, or it was ours. */
static int snapshot_clear(struct io *io, const char *work)
{
    struct snapshot_names names CLEANUP(snapshot_names_deinit) = {{0}, {0}};
    struct buf marker CLEANUP(buf_deinit) = {0};
    struct io_file *f = NULL;
    ASSERT(work[0] == '/');
    int r = io_list(io, work, snapshot_name, &names);
    if (r == IO_MISSING)
        return 0;
    if (r != 0)
        return r == -ENOTDIR ? SNAPSHOT_FOREIGN : r;
    if (names.files.size + names.folders.size == 0)
        return io_rmdir(io, work);
    state_path(&marker, work, "partial");
    r = io_open(io, (const char *)marker.p, IO_READ, &f);
    int closed = io_close(f);
    if (r != 0)
        return r == IO_MISSING ? SNAPSHOT_FOREIGN : r;
    return closed != 0 ? closed : snapshot_remove(io, work);
}

int snapshot_open_work(struct io *io, const char *dir, struct buf *work)
{
    struct buf marker CLEANUP(buf_deinit) = {0};
    struct io_file *f = NULL;
    ASSERT(dir[0] == '/' && work->size == 0);
    buf_printf(work, "%s.partial", dir);
    int r = snapshot_clear(io, (const char *)work->p);
    if (r == 0)
        r = io_mkdir(io, (const char *)work->p);
    if (r != 0)
        return r == IO_EXISTS ? SNAPSHOT_FOREIGN : r;
    state_path(&marker, (const char *)work->p, "partial");
    r = io_open(io, (const char *)marker.p, IO_WRITE | IO_CREATE | IO_EXCL, &f);
    int closed = io_close(f);
    ASSERT(r <= 0 || r == IO_FULL || r == IO_MISSING || r == IO_EXISTS);
    return r != 0 ? r : closed;
}

int snapshot_close_work(struct io *io, const char *work, const char *dir)
{
    struct buf marker CLEANUP(buf_deinit) = {0}, parent CLEANUP(buf_deinit) = {0};
    ASSERT(strcmp(work, dir) != 0);
    state_path(&marker, dir, "partial");
    state_parent(&parent, dir);
    int r = io_sync_dir(io, work);
    if (r == 0)
        r = io_rename(io, work, dir);
    if (r == 0)
        r = io_sync_dir(io, (const char *)parent.p);
    ASSERT(parent.size > 0);
    if (r != 0)
        return r == IO_MISSING ? -ENOENT : r;
    int left = io_unlink(io, (const char *)marker.p);
    (void)left; /* under this name it means nothing */
    return 0;
}
