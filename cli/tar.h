/* SPDX-License-Identifier: MIT
 *
 * tar: files in memory as a POSIX tar archive (ustar), for what goes by mail.
 */
#pragma once

#include "engine/base/bytes.h"

#define TAR_NAME_MAX 99

/* Appends a file of mode 0600; `name` is relative, at most TAR_NAME_MAX bytes. */
void tar_add(struct buf *out, const char *name, int64_t mtime_s, struct slice bytes);
/* Appends the archive's end. */
void tar_end(struct buf *out);
