/* SPDX-License-Identifier: MIT */
#include "test/unit/store/image.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct image_walk {
    struct image *image;
    struct io *io;
    const char *dir;
};

static int image_on_file(void *ctx, const char *name, enum io_kind kind)
{
    struct image_walk *w = ctx;
    char path[256];
    ck_assert_int_eq(kind, IO_KIND_FILE);
    ck_assert_uint_lt(w->image->count, IMAGE_FILES);
    struct image_file *f = &w->image->files[w->image->count++];
    snprintf(f->name, sizeof f->name, "%s", name);
    snprintf(path, sizeof path, "%s/%s", w->dir, name);
    ck_assert_int_eq(io_read_file(w->io, path, 1 << 20, &f->bytes), 0);
    return 0;
}

static int image_compare(const void *a, const void *b)
{
    const struct image_file *x = a, *y = b;
    return strcmp(x->name, y->name);
}

void image_take(struct image *m, struct io *io, const char *dir)
{
    struct image_walk w = {m, io, dir};
    *m = (struct image){0};
    ck_assert_int_eq(io_list(io, dir, image_on_file, &w), 0);
    qsort(m->files, m->count, sizeof m->files[0], image_compare);
}

void image_copy(struct image *to, const struct image *from)
{
    *to = *from;
    for (size_t i = 0; i < from->count; i++) {
        to->files[i].bytes = (struct buf){0};
        buf_append(&to->files[i].bytes, from->files[i].bytes.p, from->files[i].bytes.size);
    }
}

void image_deinit(struct image *m)
{
    for (size_t i = 0; i < m->count; i++)
        buf_deinit(&m->files[i].bytes);
    m->count = 0;
}

static void image_put_file(const struct image_file *file, struct io *io, const char *dir)
{
    struct io_file *f = NULL;
    struct iovec v = {file->bytes.p, file->bytes.size};
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, file->name);
    ck_assert_int_eq(io_open(io, path, IO_WRITE | IO_CREATE, &f), 0);
    if (v.iov_len > 0)
        ck_assert_int_eq(io_pwritev(f, &v, 1, 0), 0);
    ck_assert_int_eq(io_sync(io, &f, 1), 0);
    ck_assert_int_eq(io_close(f), 0);
}

struct io *image_put(const struct image *m, const char *dir)
{
    struct io *io = io_crash_new(0);
    ck_assert_int_eq(io_mkdir(io, dir), 0);
    for (size_t i = 0; i < m->count; i++)
        image_put_file(&m->files[i], io, dir);
    ck_assert_int_eq(io_sync_dir(io, dir), 0);
    ck_assert_int_eq(io_sync_dir(io, "/"), 0);
    return io;
}

struct image_file *image_find(struct image *m, const char *name)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->files[i].name, name) == 0)
            return &m->files[i];
    return NULL;
}

void image_remove(struct image *m, size_t slot)
{
    buf_deinit(&m->files[slot].bytes);
    m->count--;
    memmove(m->files + slot, m->files + slot + 1, (m->count - slot) * sizeof m->files[0]);
}

bool image_is(const struct image_file *f, const char *suffix)
{
    size_t size = strlen(f->name), tail = strlen(suffix);
    return size >= tail && strcmp(f->name + size - tail, suffix) == 0;
}
