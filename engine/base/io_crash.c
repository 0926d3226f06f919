/* SPDX-License-Identifier: MIT
 *
 * io_crash: a disk in memory that knows what a power cut may leave of it. For tests.
 *
 *   file:    memfd  [AAAAAAAABBBBCCCC....]   what a process sees; mappings map this
 *            synced [AAAAAAAA]               what was synced; zero behind its end
 *                    dirty:  ^-------^       where the two may differ
 *   folder:  "a" 0..      durable            each name with the change that brought it (born) and
 *            "b" 0..2     removed by 2       the one that took it (died); 0 means before the last
 *            "c" 2..      came with 2        sync of the folder. Change 2 renamed b to c: after a
 *                                            cut one of the two is there, never both, never none.
 *
 * A file and its name are made durable apart, as on ext4: io_sync does content and size,
 * io_sync_dir the names in one folder. A cut keeps of each folder the first k changes, and of each
 * file's dirty sectors any subset, one of them torn, with a size between the durable and the
 * current one. That is more than a journalled file system does to its users (it orders folders
 * against each other), on purpose: what survives here survives there.
 *
 * Invariants (io_crash_check):
 *   C1 born < died, born <= changes, and no two names that did not die are equal;
 *   C2 a file's memfd has `size` bytes, and nothing at or behind data_end was ever written to it;
 *   C3 outside [dirty_from, dirty_to) both contents are equal, zeros standing for missing bytes;
 *   C4 the synced buffer is zero behind durable_size, and it and dirty_to end by data_end;
 *   C5 disk.used == the sizes of all files with a name or an open handle.
 *
 * Threads: one mutex per io around every call, so that workers may use it: a test-only exception to
 * the rule that nothing shared is locked. The next io after a kill or a cut has its own, and the
 * dead one has no disk to touch. Folders are walked by recursion, as deep as the test itself made
 * them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "engine/base/assert.h"
#include "engine/base/io_crash_priv.h"
#include "engine/base/random.h"

/* Where a path leads. */
struct io_crash_at {
    struct io_crash_node *folder; /* NULL: the path is "/" */
    struct io_crash_node *node;   /* NULL: the folder has no such name */
    char name[NAME_MAX + 1];
};

/* Nodes and names */

static void io_crash_unref(struct io_crash_node *node)
{
    ASSERT(node->refs > 0);
    if (--node->refs > 0)
        return;
    for (size_t i = 0; i < node->name_count; i++) {
        free(node->names[i].text);
        io_crash_unref(node->names[i].node);
    }
    free(node->names);
    buf_deinit(&node->synced);
    if (!node->folder)
        (void)close(node->fd);
    free(node);
}

/* The last name or open file went: the space is free, though a cut may bring the file back. */
static void io_crash_unlive(struct io_crash_disk *disk, struct io_crash_node *node)
{
    ASSERT(node->live > 0);
    if (--node->live > 0)
        return;
    ASSERT(disk->used >= node->size);
    disk->used -= node->size;
}

/* A node with one reference, the caller's. */
static struct io_crash_node *io_crash_node_new(bool folder)
{
    struct io_crash_node *node = assert_memory(calloc(1, sizeof *node), sizeof *node);
    node->refs = 1;
    node->folder = folder;
    node->fd = folder ? -1 : memfd_create("io_crash", MFD_CLOEXEC);
    ASSERT(folder || node->fd >= 0);
    return node;
}

struct io_crash_name *io_crash_find(const struct io_crash_node *folder, const char *text)
{
    ASSERT(folder->folder);
    for (size_t i = 0; i < folder->name_count; i++) {
        struct io_crash_name *name = &folder->names[i];
        if (name->died == IO_CRASH_ALIVE && strcmp(name->text, text) == 0)
            return name;
    }
    return NULL;
}

static bool io_crash_is_empty(const struct io_crash_node *node)
{
    bool empty = true;
    for (size_t i = 0; i < node->name_count; i++)
        empty = empty && node->names[i].died != IO_CRASH_ALIVE;
    ASSERT(empty || node->folder);
    return empty;
}

static void io_crash_add(struct io_crash_node *folder, const char *text, struct io_crash_node *node)
{
    ASSERT(io_crash_find(folder, text) == NULL);
    size_t n = folder->name_count;
    if ((n & (n - 1)) == 0) { /* grows at the powers of two */
        size_t size = (n == 0 ? 1 : 2 * n) * sizeof *folder->names;
        folder->names = assert_memory(realloc(folder->names, size), size);
    }
    char *copy = (char *)slice_dup(slice_str(text));
    folder->names[folder->name_count++] =
        (struct io_crash_name){copy, node, folder->changes, IO_CRASH_ALIVE};
    node->refs++;
    node->live++;
}

static void io_crash_die(struct io_crash_disk *disk, struct io_crash_node *folder, const char *text)
{
    struct io_crash_name *name = io_crash_find(folder, text);
    if (name == NULL)
        return;
    ASSERT(name->born <= folder->changes);
    name->died = folder->changes;
    io_crash_unlive(disk, name->node);
}

/* One atomic change of a folder: `to`, if any, names the node, and `from`, if any, is gone. */
static void io_crash_change(struct io_crash_disk *disk, struct io_crash_node *folder,
                            const char *from, const char *to, struct io_crash_node *node)
{
    ASSERT((to == NULL) == (node == NULL));
    folder->changes++;
    if (to != NULL) {
        io_crash_die(disk, folder, to);
        io_crash_add(folder, to, node);
    }
    if (from != NULL)
        io_crash_die(disk, folder, from);
}

/* Makes the names of a folder durable. */
static void io_crash_settle(struct io_crash_node *folder)
{
    size_t kept = 0;
    for (size_t i = 0; i < folder->name_count; i++) {
        struct io_crash_name name = folder->names[i];
        if (name.died == IO_CRASH_ALIVE) {
            name.born = 0;
            folder->names[kept++] = name;
        } else {
            free(name.text);
            io_crash_unref(name.node);
        }
    }
    ASSERT(kept <= folder->name_count);
    folder->name_count = kept;
    folder->changes = 0;
}

/* Follows a path; its last name may be missing. 0, IO_MISSING (a folder on the way) or -errno,
 * which is -EIO when the io is dead. */
static int io_crash_walk(const struct io_crash *c, const char *path, struct io_crash_at *out)
{
    ASSERT(path[0] == '/');
    if (c->disk.root == NULL)
        return -EIO;
    out->folder = NULL;
    out->node = c->disk.root;
    for (path += strspn(path, "/"); *path != 0; path += strspn(path, "/")) {
        size_t size = strcspn(path, "/");
        if (out->node == NULL)
            return IO_MISSING;
        if (!out->node->folder)
            return -ENOTDIR;
        if (size > NAME_MAX)
            return -ENAMETOOLONG;
        memcpy(out->name, path, size);
        out->name[size] = 0;
        ASSERT(strcmp(out->name, ".") != 0 && strcmp(out->name, "..") != 0);
        out->folder = out->node;
        const struct io_crash_name *found = io_crash_find(out->folder, out->name);
        out->node = found == NULL ? NULL : found->node;
        path += size;
    }
    return 0;
}

/* Lengthens the buffer with zeros to `size`; never shortens. */
static void io_crash_grow(struct buf *b, uint64_t size)
{
    if (b->size >= size)
        return;
    buf_reserve(b, size - b->size);
    ASSERT(b->cap >= size);
    memset(b->p + b->size, 0, size - b->size);
    b->size = size;
}

void io_crash_load(const struct io_crash_node *node, uint64_t pos, void *p, size_t size)
{
    ASSERT(node->fd >= 0);
    ssize_t n = pread(node->fd, p, size, (off_t)pos);
    ASSERT(n >= 0);
    if ((size_t)n < size)
        memset((uint8_t *)p + n, 0, size - (size_t)n);
}

static void io_crash_store(struct io_crash_node *node, uint64_t pos, const void *p, size_t size)
{
    ASSERT(!node->folder);
    ssize_t n = pwrite(node->fd, p, size, (off_t)pos);
    ASSERT(n == (ssize_t)size);
}

/* Bytes left on the disk. */
static uint64_t io_crash_room(const struct io_crash_disk *disk)
{
    return disk->used < disk->space_max ? disk->space_max - disk->used : 0;
}

static void io_crash_resize(struct io_crash_disk *disk, struct io_crash_node *node, uint64_t size)
{
    int r = ftruncate(node->fd, (off_t)size);
    ASSERT(r == 0);
    disk->used = disk->used - node->size + size;
    node->size = size;
}

/* Notes that [from, to) may differ from what is durable. What was never written is zero in both. */
static void io_crash_dirty(struct io_crash_node *node, uint64_t from, uint64_t to)
{
    ASSERT(!node->folder);
    to = to < node->data_end ? to : node->data_end;
    if (from >= to)
        return;
    bool clean = node->dirty_to == 0;
    node->dirty_from = clean || from < node->dirty_from ? from : node->dirty_from;
    node->dirty_to = clean || to > node->dirty_to ? to : node->dirty_to;
    ASSERT(node->dirty_from < node->dirty_to);
}

/* Makes content and size durable. */
static void io_crash_persist(struct io_crash_node *node)
{
    ASSERT(node->dirty_to <= node->data_end);
    if (node->dirty_to > 0) {
        io_crash_grow(&node->synced, node->dirty_to);
        io_crash_load(node, node->dirty_from, node->synced.p + node->dirty_from,
                      node->dirty_to - node->dirty_from);
    }
    node->dirty_from = 0;
    node->dirty_to = 0;
    node->durable_size = node->size;
}

static const struct io_ops io_crash_ops;

struct io_crash *io_crash_enter(struct io *io)
{
    ASSERT(io->ops == &io_crash_ops);
    struct io_crash *c = (struct io_crash *)(void *)io;
    int r = pthread_mutex_lock(&c->lock);
    ASSERT(r == 0);
    return c;
}

void io_crash_leave(struct io_crash **c)
{
    int r = pthread_mutex_unlock(&(*c)->lock);
    ASSERT(r == 0);
}

static struct io_crash_file *io_crash_file_of(struct io_file *f)
{
    ASSERT(f != NULL);
    return (struct io_crash_file *)(void *)f;
}

/* The node of a file opened with `flag`: 0, -EIO when the io is dead, else -EBADF. */
static int io_crash_node_of(struct io_file *f, unsigned flag, struct io_crash_node **out)
{
    struct io_crash_file *file = io_crash_file_of(f);
    ASSERT(file->node == NULL || !file->node->folder);
    if (file->node == NULL)
        return -EIO;
    if ((file->flags & flag) != flag)
        return -EBADF;
    *out = file->node;
    return 0;
}

/* Calls on files */

static struct io_file *io_crash_file_new(struct io_crash *c, struct io_crash_node *node,
                                         unsigned flags)
{
    ASSERT(!node->folder);
    struct io_crash_file *f = assert_memory(calloc(1, sizeof *f), sizeof *f);
    f->file.io = &c->io;
    f->node = node;
    f->flags = flags;
    node->refs++;
    node->live++;
    list_add_tail(&c->files, &f->link);
    return &f->file;
}

static int io_crash_open_at(struct io_crash *c, const char *path, unsigned flags,
                            struct io_file **out)
{
    ASSERT(out != NULL);
    struct io_crash_at at;
    int r = io_crash_walk(c, path, &at);
    if (r != 0)
        return r;
    if (at.node != NULL && (flags & IO_EXCL) != 0)
        return IO_EXISTS;
    if (at.node != NULL && at.node->folder)
        return -EISDIR;
    if (at.node == NULL && (flags & IO_CREATE) == 0)
        return IO_MISSING;
    if (at.node == NULL) {
        at.node = io_crash_node_new(false);
        io_crash_change(&c->disk, at.folder, NULL, at.name, at.node);
        io_crash_unref(at.node);
    }
    *out = io_crash_file_new(c, at.node, flags);
    return 0;
}

static int io_crash_open(struct io *io, const char *path, unsigned flags, struct io_file **out)
{
    ASSERT((flags & (IO_READ | IO_WRITE)) != 0);
    ASSERT((flags & IO_EXCL) == 0 || (flags & IO_CREATE) != 0);
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(io);
    return io_crash_open_at(c, path, flags, out);
}

/* Lets go of the node: the file was closed, or its process died. */
static void io_crash_file_drop(struct io_crash_disk *disk, struct io_crash_file *f)
{
    ASSERT(f->node != NULL);
    ASSERT(!f->lock || f->node->locked);
    if (f->lock)
        f->node->locked = false;
    io_crash_unlive(disk, f->node);
    io_crash_unref(f->node);
    f->node = NULL;
}

static int io_crash_close(struct io_file *f)
{
    struct io_crash_file *file = io_crash_file_of(f);
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(f->io);
    ASSERT((file->node == NULL) == (c->disk.root == NULL));
    if (file->node != NULL)
        io_crash_file_drop(&c->disk, file);
    list_remove(&file->link);
    free(file);
    return 0;
}

static int io_crash_size(struct io_file *f, uint64_t *out)
{
    ASSERT(out != NULL);
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(f->io);
    struct io_crash_node *node;
    int r = io_crash_node_of(f, 0, &node);
    ASSERT(r != 0 || c->disk.root != NULL);
    if (r == 0)
        *out = node->size;
    return r;
}

static int io_crash_links(struct io_file *f, uint64_t *out)
{
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(f->io);
    struct io_crash_node *node;
    size_t open = 0;
    int r = io_crash_node_of(f, 0, &node);
    if (r != 0)
        return r;
    LIST_EACH (link, &c->files) {
        open += LIST_ENTRY(link, struct io_crash_file, link)->node == node;
    }
    ASSERT(open > 0 && node->live >= open);
    *out = node->live - open;
    return 0;
}

static int io_crash_pread(struct io_file *f, void *p, size_t size, uint64_t pos, size_t *got)
{
    ASSERT(got != NULL);
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(f->io);
    struct io_crash_node *node;
    int r = io_crash_node_of(f, IO_READ, &node);
    if (r != 0)
        return r;
    ASSERT(c->disk.root != NULL);
    uint64_t left = pos < node->size ? node->size - pos : 0;
    *got = size < left ? size : (size_t)left;
    io_crash_load(node, pos, p, *got);
    return 0;
}

/* Writes what of [pos, end) the vectors hold; the file is long enough. */
static void io_crash_write(struct io_crash_node *node, const struct iovec *v, uint64_t pos,
                           uint64_t end)
{
    ASSERT(end <= node->size);
    for (uint64_t at = pos; at < end; at += v->iov_len, v++)
        io_crash_store(node, at, v->iov_base, v->iov_len < end - at ? v->iov_len : end - at);
    node->data_end = node->data_end > end ? node->data_end : end;
    io_crash_dirty(node, pos, end);
}

static int io_crash_pwritev(struct io_file *f, const struct iovec *v, int count, uint64_t pos)
{
    ASSERT(count >= 0);
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(f->io);
    struct io_crash_node *node = NULL;
    int r = io_crash_node_of(f, IO_WRITE, &node);
    uint64_t size = 0;
    for (int i = 0; i < count; i++)
        size += v[i].iov_len;
    if (r != 0 || size == 0)
        return r;
    if (pos > INT64_MAX || size > INT64_MAX - pos)
        return -EFBIG;
    uint64_t limit = node->size + io_crash_room(&c->disk);
    uint64_t end = pos + size < limit ? pos + size : limit;
    if (end > node->size && end > pos)
        io_crash_resize(&c->disk, node, end);
    if (end > pos)
        io_crash_write(node, v, pos, end);
    return end < pos + size ? IO_FULL : 0;
}

/* Sets the size: 0 or IO_FULL. */
static int io_crash_set_size(struct io_crash *c, struct io_crash_node *node, uint64_t size)
{
    ASSERT(size <= INT64_MAX);
    if (size > node->size && size - node->size > io_crash_room(&c->disk))
        return IO_FULL;
    io_crash_dirty(node, size, node->size);
    io_crash_resize(&c->disk, node, size);
    return 0;
}

static int io_crash_fallocate(struct io_file *f, uint64_t pos, uint64_t size)
{
    ASSERT(pos + size >= pos);
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(f->io);
    struct io_crash_node *node;
    int r = io_crash_node_of(f, IO_WRITE, &node);
    if (r != 0 || size == 0 || pos + size <= node->size)
        return r;
    return pos + size > INT64_MAX ? -EFBIG : io_crash_set_size(c, node, pos + size);
}

static int io_crash_zero(struct io_file *f, uint64_t pos, uint64_t size)
{
    ASSERT(pos + size >= pos);
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(f->io);
    struct io_crash_node *node;
    int r = io_crash_node_of(f, IO_WRITE, &node);
    if (r != 0 || size == 0 || pos >= node->size)
        return r;
    uint64_t end = pos + size < node->size ? pos + size : node->size;
    int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    r = fallocate(node->fd, mode, (off_t)pos, (off_t)(end - pos));
    ASSERT(r == 0 && c->disk.root != NULL);
    io_crash_dirty(node, pos, end);
    return 0;
}

static int io_crash_truncate(struct io_file *f, uint64_t size)
{
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(f->io);
    struct io_crash_node *node;
    int r = io_crash_node_of(f, IO_WRITE, &node);
    return r != 0 ? r : io_crash_set_size(c, node, size);
}

static int io_crash_sync(struct io *io, struct io_file **files, size_t count)
{
    ASSERT(count > 0);
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(io);
    if (c->disk.root == NULL)
        return -EIO;
    for (size_t i = 0; i < count; i++) {
        ASSERT(files[i]->io == io);
        io_crash_persist(io_crash_file_of(files[i])->node);
    }
    return 0;
}

static int io_crash_map(struct io_file *f, size_t size, struct io_map *out)
{
    ASSERT(size > 0);
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(f->io);
    struct io_crash_node *node;
    int r = io_crash_node_of(f, IO_READ, &node);
    if (r != 0)
        return r == -EBADF ? -EACCES : r;
    void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, node->fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    struct io_crash_map *m = assert_memory(calloc(1, sizeof *m), sizeof *m);
    m->map = (struct io_map){p, size};
    list_add_tail(&c->maps, &m->link);
    *out = m->map;
    return 0;
}

static void io_crash_map_free(struct io_crash_map *m)
{
    int r = munmap((void *)(uintptr_t)m->map.p, m->map.size);
    ASSERT(r == 0);
    list_remove(&m->link);
    free(m);
}

static void io_crash_unmap(struct io *io, struct io_map *m)
{
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(io);
    struct list *link = c->maps.next;
    while (link != &c->maps && LIST_ENTRY(link, struct io_crash_map, link)->map.p != m->p)
        link = link->next;
    ASSERT(link != &c->maps);
    struct io_crash_map *found = LIST_ENTRY(link, struct io_crash_map, link);
    ASSERT(found->map.size == m->size);
    io_crash_map_free(found);
}

static bool io_crash_resident(struct io *io, const struct io_map *m, uint64_t pos, size_t size)
{
    ASSERT(io != NULL);
    ASSERT(pos <= m->size && size <= m->size - pos);
    return true;
}

/* Calls on names */

/* Where a path leads to something: 0, IO_MISSING or -errno. */
static int io_crash_reach(const struct io_crash *c, const char *path, struct io_crash_at *out)
{
    ASSERT(path != NULL);
    int r = io_crash_walk(c, path, out);
    return r != 0 ? r : out->node == NULL ? IO_MISSING : 0;
}

static int io_crash_rename(struct io *io, const char *from, const char *to)
{
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(io);
    struct io_crash_at a, b;
    int r = io_crash_reach(c, from, &a);
    if (r == 0)
        r = io_crash_walk(c, to, &b);
    if (r != 0)
        return r;
    if (a.folder != b.folder || a.folder == NULL)
        return -EXDEV;
    if (a.node == b.node)
        return 0;
    if (b.node != NULL && a.node->folder != b.node->folder)
        return a.node->folder ? -ENOTDIR : -EISDIR;
    if (b.node != NULL && !io_crash_is_empty(b.node))
        return -ENOTEMPTY;
    ASSERT(a.node->live > 0);
    io_crash_change(&c->disk, a.folder, a.name, b.name, a.node);
    return 0;
}

static int io_crash_link(struct io *io, const char *from, const char *to)
{
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(io);
    struct io_crash_at a, b;
    int r = io_crash_reach(c, from, &a);
    if (r == 0)
        r = io_crash_walk(c, to, &b);
    if (r != 0 || b.node != NULL)
        return r != 0 ? r : IO_EXISTS;
    if (a.node->folder)
        return -EPERM;
    ASSERT(a.node->live > 0 && b.folder != NULL);
    io_crash_change(&c->disk, b.folder, NULL, b.name, a.node);
    return 0;
}

static int io_crash_remove(struct io *io, const char *path, bool folder)
{
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(io);
    struct io_crash_at at;
    int r = io_crash_reach(c, path, &at);
    if (r != 0)
        return r;
    if (at.node->folder != folder)
        return folder ? -ENOTDIR : -EISDIR;
    if (at.folder == NULL || !io_crash_is_empty(at.node))
        return at.folder == NULL ? -EBUSY : -ENOTEMPTY;
    ASSERT(at.node->live > 0);
    io_crash_change(&c->disk, at.folder, at.name, NULL, NULL);
    return 0;
}

static int io_crash_unlink(struct io *io, const char *path)
{
    return io_crash_remove(io, path, false);
}

static int io_crash_rmdir(struct io *io, const char *path)
{
    return io_crash_remove(io, path, true);
}

static int io_crash_mkdir(struct io *io, const char *path)
{
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(io);
    struct io_crash_at at;
    int r = io_crash_walk(c, path, &at);
    if (r != 0 || at.node != NULL)
        return r != 0 ? r : IO_EXISTS;
    ASSERT(at.folder != NULL);
    struct io_crash_node *node = io_crash_node_new(true);
    io_crash_change(&c->disk, at.folder, NULL, at.name, node);
    io_crash_unref(node);
    return 0;
}

static int io_crash_sync_dir(struct io *io, const char *path)
{
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(io);
    struct io_crash_at at;
    int r = io_crash_reach(c, path, &at);
    if (r != 0 || !at.node->folder)
        return r != 0 ? r : -ENOTDIR;
    io_crash_settle(at.node);
    ASSERT(at.node->changes == 0);
    return 0;
}

/* Appends (kind, name, NUL) of every entry. */
static int io_crash_names(struct io *io, const char *path, struct buf *out)
{
    ASSERT(out->size == 0);
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(io);
    struct io_crash_at at;
    int r = io_crash_reach(c, path, &at);
    if (r != 0 || !at.node->folder)
        return r != 0 ? r : -ENOTDIR;
    for (size_t i = 0; i < at.node->name_count; i++) {
        const struct io_crash_name *name = &at.node->names[i];
        if (name->died != IO_CRASH_ALIVE)
            continue;
        buf_append_u8(out, name->node->folder ? IO_KIND_FOLDER : IO_KIND_FILE);
        buf_append(out, name->text, strlen(name->text) + 1);
    }
    return 0;
}

/* Over a copy of the names and without the lock, as `each` may call the io. */
static int io_crash_list(struct io *io, const char *path,
                         int (*each)(void *ctx, const char *name, enum io_kind kind), void *ctx)
{
    ASSERT(each != NULL);
    struct buf names CLEANUP(buf_deinit) = {0};
    int r = io_crash_names(io, path, &names);
    for (size_t at = 0; r == 0 && at < names.size;) {
        const char *name = (const char *)names.p + at + 1;
        r = each(ctx, name, (enum io_kind)names.p[at]);
        at += 1 + strlen(name) + 1;
        ASSERT(at <= names.size);
    }
    return r;
}

static int io_crash_space(struct io *io, const char *path, uint64_t *free_size,
                          uint64_t *total_size)
{
    ASSERT(free_size != NULL && total_size != NULL);
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(io);
    struct io_crash_at at;
    int r = io_crash_reach(c, path, &at);
    if (r != 0)
        return r;
    *free_size = io_crash_room(&c->disk);
    *total_size = c->disk.space_max;
    return 0;
}

static int io_crash_lock(struct io *io, const char *path, struct io_file **out)
{
    ASSERT(out != NULL);
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(io);
    struct io_crash_at at;
    if (io_crash_reach(c, path, &at) == 0 && at.node->locked)
        return IO_LOCKED;
    int r = io_crash_open_at(c, path, IO_READ | IO_WRITE | IO_CREATE, out);
    if (r != 0)
        return r;
    struct io_crash_file *file = io_crash_file_of(*out);
    ASSERT(!file->node->locked);
    file->node->locked = true;
    file->lock = true;
    return 0;
}

static const struct io_ops io_crash_ops = {
    .open = io_crash_open,
    .close = io_crash_close,
    .size = io_crash_size,
    .names = io_crash_links,
    .pread = io_crash_pread,
    .pwritev = io_crash_pwritev,
    .fallocate = io_crash_fallocate,
    .zero = io_crash_zero,
    .truncate = io_crash_truncate,
    .sync = io_crash_sync,
    .map = io_crash_map,
    .unmap = io_crash_unmap,
    .resident = io_crash_resident,
    .rename = io_crash_rename,
    .link = io_crash_link,
    .copy = io_copy_plain,
    .unlink = io_crash_unlink,
    .mkdir = io_crash_mkdir,
    .rmdir = io_crash_rmdir,
    .sync_dir = io_crash_sync_dir,
    .list = io_crash_list,
    .space = io_crash_space,
    .lock = io_crash_lock,
};

/* The cut */

/* A cut in progress. How much of the un-synced is kept is told in eighths: everything (8) or
 * nothing (0) are more frequent, and where `outer` is one of these it holds for the whole disk. */
struct io_crash_cut {
    struct io_crash_disk disk; /* the new one */
    struct random random;
    uint64_t outer;
};

static uint64_t io_crash_choose(struct io_crash_cut *cut)
{
    ASSERT(cut->outer <= 8);
    uint64_t n = random_below(&cut->random, 10);
    return cut->outer == 0 || cut->outer == 8 ? cut->outer : n < 8 ? n : 8;
}

/* A number between a and b by the same measure: a for 0, b for 8. */
static uint64_t io_crash_between(struct random *r, uint64_t keep, uint64_t a, uint64_t b)
{
    ASSERT(keep <= 8);
    uint64_t low = a < b ? a : b;
    uint64_t any = low + random_below(r, (a < b ? b - a : a - b) + 1);
    uint64_t n = random_below(r, 3);
    return keep == 0 ? a : keep == 8 ? b : n == 0 ? a : n == 1 ? b : any;
}

/* Lays the sectors that reached the disk over the durable content in `out`. */
static void io_crash_cut_sectors(const struct io_crash_node *old, struct random *r, uint64_t keep,
                                 struct buf *out)
{
    ASSERT(out->size == old->data_end);
    uint64_t first = old->dirty_from / IO_CRASH_SECTOR;
    uint64_t end = (old->dirty_to + IO_CRASH_SECTOR - 1) / IO_CRASH_SECTOR;
    uint64_t torn = first + random_below(r, 2 * (end - first) + 1);
    for (uint64_t i = first; i < end; i++) {
        uint8_t now[IO_CRASH_SECTOR];
        uint64_t pos = i * IO_CRASH_SECTOR;
        uint64_t size = old->data_end - pos < sizeof now ? old->data_end - pos : sizeof now;
        uint64_t cut = random_below(r, size + 1);
        bool kept = random_below(r, 8) < keep;
        bool head = random_below(r, 2) == 0;
        bool whole = i != torn || keep == 0 || keep == 8;
        uint64_t from = whole || head ? 0 : cut;
        uint64_t to = whole ? (kept ? size : 0) : head ? cut : size;
        ASSERT(from <= to && pos + to <= out->size);
        io_crash_load(old, pos, now, size);
        memcpy(out->p + pos + from, now + from, to - from);
    }
}

/* What the disk holds of a file. */
static struct io_crash_node *io_crash_cut_file(struct io_crash_cut *cut, struct io_crash_node *old)
{
    ASSERT(!old->folder && old->synced.size <= old->data_end);
    if (old->twin != NULL) { /* met by another of its names */
        old->twin->refs++;
        return old->twin;
    }
    uint64_t keep = io_crash_choose(cut);
    struct io_crash_node *node = io_crash_node_new(false);
    uint64_t size = io_crash_between(&cut->random, keep, old->durable_size, old->size);
    io_crash_resize(&cut->disk, node, size);
    node->durable_size = size;
    buf_append(&node->synced, old->synced.p, old->synced.size);
    io_crash_grow(&node->synced, old->data_end);
    io_crash_cut_sectors(old, &cut->random, keep, &node->synced);
    node->synced.size = size < node->synced.size ? size : node->synced.size;
    node->data_end = node->synced.size;
    io_crash_store(node, 0, node->synced.p, node->data_end);
    old->twin = node;
    return node;
}

/* The folder after the first changes, and below it everything the cut left. */
static struct io_crash_node *io_crash_cut_folder(struct io_crash_cut *cut,
                                                 const struct io_crash_node *old)
{
    ASSERT(old->folder);
    uint64_t last = io_crash_between(&cut->random, io_crash_choose(cut), 0, old->changes);
    struct io_crash_node *folder = io_crash_node_new(true);
    for (size_t i = 0; i < old->name_count; i++) {
        const struct io_crash_name *name = &old->names[i];
        if (name->born > last || name->died <= last)
            continue;
        struct io_crash_node *node = name->node->folder ? io_crash_cut_folder(cut, name->node)
                                                        : io_crash_cut_file(cut, name->node);
        io_crash_add(folder, name->text, node);
        io_crash_unref(node);
    }
    ASSERT(folder->changes == 0);
    return folder;
}

/* Making and ending */

static struct io *io_crash_with(struct io_crash_disk disk)
{
    ASSERT(disk.root != NULL && disk.root->refs == 1);
    struct io_crash *c = assert_memory(calloc(1, sizeof *c), sizeof *c);
    c->io.ops = &io_crash_ops;
    c->disk = disk;
    list_init(&c->files);
    list_init(&c->maps);
    int r = pthread_mutex_init(&c->lock, NULL);
    ASSERT(r == 0);
    return &c->io;
}

struct io *io_crash_new(uint64_t space_max)
{
    struct io_crash_disk disk = {.root = io_crash_node_new(true)};
    disk.space_max = space_max == 0 ? IO_CRASH_ENDLESS : space_max;
    return io_crash_with(disk);
}

struct io *io_crash_free(struct io *io)
{
    if (io == NULL)
        return NULL;
    ASSERT(io->ops == &io_crash_ops);
    struct io_crash *c = (struct io_crash *)(void *)io;
    ASSERT(c->disk.root == NULL || (list_empty(&c->files) && list_empty(&c->maps)));
    if (c->disk.root != NULL)
        io_crash_unref(c->disk.root);
    LIST_EACH_SAFE (link, &c->files) {
        free(LIST_ENTRY(link, struct io_crash_file, link));
    }
    while (!list_empty(&c->maps))
        io_crash_map_free(LIST_ENTRY(c->maps.next, struct io_crash_map, link));
    pthread_mutex_destroy(&c->lock);
    free(c);
    return NULL;
}

/* Ends the process that used the io: its files let go, and the disk is the caller's. */
static struct io_crash_disk io_crash_end(struct io *io)
{
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(io);
    ASSERT(c->disk.root != NULL);
    LIST_EACH (link, &c->files) {
        io_crash_file_drop(&c->disk, LIST_ENTRY(link, struct io_crash_file, link));
    }
    struct io_crash_disk disk = c->disk;
    c->disk.root = NULL;
    return disk;
}

struct io *io_crash_kill(struct io *io)
{
    return io_crash_with(io_crash_end(io));
}

struct io *io_crash_cut(struct io *io, uint64_t seed)
{
    struct io_crash_disk old = io_crash_end(io);
    struct io_crash_cut cut = {.disk.space_max = old.space_max, .outer = 1};
    random_init(&cut.random, seed);
    cut.outer = io_crash_choose(&cut);
    cut.disk.root = io_crash_cut_folder(&cut, old.root);
    ASSERT(old.root->refs == 1);
    io_crash_unref(old.root);
    return io_crash_with(cut.disk);
}

int io_crash_flip(struct io *io, const char *path, uint64_t pos, unsigned bit)
{
    ASSERT(bit < 8);
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(io);
    struct io_crash_at at;
    int r = io_crash_reach(c, path, &at);
    if (r != 0)
        return r;
    struct io_crash_node *node = at.node;
    if (node->folder || pos >= node->size)
        return node->folder ? -EISDIR : -EINVAL;
    uint8_t byte;
    io_crash_load(node, pos, &byte, 1);
    byte ^= (uint8_t)(1u << bit);
    io_crash_store(node, pos, &byte, 1);
    node->data_end = node->data_end > pos ? node->data_end : pos + 1;
    io_crash_dirty(node, pos, pos + 1);
    if (pos < node->durable_size) {
        io_crash_grow(&node->synced, pos + 1);
        node->synced.p[pos] ^= (uint8_t)(1u << bit);
    }
    return 0;
}
