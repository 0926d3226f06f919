/* SPDX-License-Identifier: MIT
 *
 * format: the file `format` of a data folder: the mark that a folder is kauri's, and which version
 * of the layout it has. Written once, when the folder is made.
 *
 *   kauri data folder
 *   format 1
 *   cluster <22 characters, base64url>
 *   node <number>
 *   crc <8 hex digits: crc32c of the lines above>
 *
 * The second line is read before anything else is believed, so that an older program can tell that
 * a newer one wrote the folder, whatever else changed.
 */
#pragma once

#include "engine/base/io.h"

#define FORMAT_VERSION 1

#define FORMAT_NEWER   10 /* f->version says which; nothing else is set */
#define FORMAT_DAMAGED 11

struct format {
    uint32_t version;
    char cluster_id[23];
    int32_t node_id;
};

/* 0, IO_MISSING, FORMAT_NEWER, FORMAT_DAMAGED or -errno. */
int format_read(struct io *io, const char *dir, struct format *f) MUST_CHECK;
/* Durable on return. 0, IO_FULL or -errno. */
int format_write(struct io *io, const char *dir, struct format *f) MUST_CHECK;
