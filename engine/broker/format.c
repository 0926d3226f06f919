/* SPDX-License-Identifier: MIT
 *
 * format: see format.h.
 */
#include "engine/broker/format.h"

#include <errno.h>
#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/crc32c.h"

#define FORMAT_SIZE_MAX 4096

static void format_path(const char *dir, struct buf *out)
{
    ASSERT(dir != NULL && out->size == 0);
    buf_printf(out, "%s/format", dir);
    ASSERT(out->size > 0);
}

static int format_parse(struct buf *text, struct format *f)
{
    unsigned crc = 0;
    int end = 0;
    buf_append_u8(text, 0);
    ASSERT(text->p[text->size - 1] == '\0');
    const char *s = (const char *)text->p;
    if (sscanf(s, "kauri data folder\nformat %u\n", &f->version) != 1)
        return FORMAT_DAMAGED;
    if (f->version > FORMAT_VERSION)
        return FORMAT_NEWER;
    if (sscanf(s, "kauri data folder\nformat %u\ncluster %22s\nnode %d\n%n", &f->version,
               f->cluster_id, &f->node_id, &end) != 3)
        return FORMAT_DAMAGED;
    ASSERT(end <= (int)text->size);
    if (end == 0 || sscanf(s + end, "crc %x", &crc) != 1 || crc != crc32c(s, (size_t)end))
        return FORMAT_DAMAGED;
    return 0;
}

int format_read(struct io *io, const char *dir, struct format *f)
{
    ASSERT(f != NULL);
    struct buf path CLEANUP(buf_deinit) = {0}, text CLEANUP(buf_deinit) = {0};
    format_path(dir, &path);
    int r = io_read_file(io, (const char *)path.p, FORMAT_SIZE_MAX, &text);
    if (r == -EFBIG)
        return FORMAT_DAMAGED;
    *f = (struct format){0};
    return r != 0 ? r : format_parse(&text, f);
}

int format_write(struct io *io, const char *dir, struct format *f)
{
    struct buf path CLEANUP(buf_deinit) = {0}, text CLEANUP(buf_deinit) = {0};
    ASSERT(strlen(f->cluster_id) == 22);
    f->version = FORMAT_VERSION;
    buf_printf(&text, "kauri data folder\nformat %u\ncluster %s\nnode %d\n", f->version,
               f->cluster_id, f->node_id);
    buf_printf(&text, "crc %08x\n", crc32c(text.p, text.size));
    format_path(dir, &path);
    return io_write_file(io, dir, (const char *)path.p, buf_slice(&text));
}
