/* SPDX-License-Identifier: MIT
 *
 * io_crash_check: walks the invariants C1 to C5 of io_crash.c over everything stored.
 */
#include <sys/stat.h>

#include "engine/base/assert.h"
#include "engine/base/io_crash_priv.h"

/* Checks a file; returns its size, once a walk. */
static uint64_t io_crash_check_file(struct io_crash_node *node, uint64_t walk)
{
    struct stat st;
    if (node->walk == walk)
        return 0;
    node->walk = walk;
    int r = fstat(node->fd, &st);
    ASSERT(r == 0 && (uint64_t)st.st_size == node->size);
    ASSERT(node->dirty_to <= node->data_end && node->synced.size <= node->data_end);
    for (uint64_t i = node->durable_size; i < node->synced.size; i++)
        ASSERT(node->synced.p[i] == 0);
    for (uint64_t pos = 0; pos < node->data_end; pos += IO_CRASH_SECTOR) {
        uint8_t now[IO_CRASH_SECTOR];
        io_crash_load(node, pos, now, sizeof now);
        for (uint64_t i = pos; i < pos + sizeof now; i++) {
            uint8_t synced = i < node->synced.size ? node->synced.p[i] : 0;
            bool dirty = i >= node->dirty_from && i < node->dirty_to;
            ASSERT(dirty || now[i - pos] == synced);
        }
    }
    return node->size;
}

/* Checks what a folder's names lead to; returns the sizes of it all. */
static uint64_t io_crash_check_folder(const struct io_crash_node *folder, uint64_t walk)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < folder->name_count; i++) {
        const struct io_crash_name *name = &folder->names[i];
        ASSERT(name->born < name->died && name->born <= folder->changes);
        if (name->died != IO_CRASH_ALIVE)
            continue;
        ASSERT(io_crash_find(folder, name->text) == name);
        ASSERT(name->node->live > 0);
        sum += name->node->folder ? io_crash_check_folder(name->node, walk)
                                  : io_crash_check_file(name->node, walk);
    }
    return sum;
}

void io_crash_check(struct io *io)
{
    struct io_crash *c CLEANUP(io_crash_leave) = io_crash_enter(io);
    if (c->disk.root == NULL)
        return;
    uint64_t sum = io_crash_check_folder(c->disk.root, ++c->disk.walks);
    ASSERT(sum <= c->disk.used);
    ASSERT(sum == c->disk.used || !list_empty(&c->files));
}
