/* SPDX-License-Identifier: MIT
 *
 * guard: turns SIGBUS while mapped bytes are parsed into an error.
 *
 * A mapped page that the disk cannot read, or that lies past the end of a cut file, raises SIGBUS.
 * guard_run calls a function under a per-thread jump frame: a SIGBUS inside [map, map+size) makes
 * it return -EIO. Without a frame, or at an address no frame covers, the process prints the address
 * and aborts. The function must hold nothing that a jump would leak (no malloc, no lock).
 *
 * The frame pointer is the one thread-local variable; the handler is installed once per process.
 */
#pragma once

#include <stddef.h>

#include "engine/base/error.h"

/* Installs the SIGBUS handler. Idempotent; call before the first guarded read. */
void guard_install(void);

/* Runs fn(ctx) with reads of [map, map+size) guarded: fn's result, or -EIO after a SIGBUS there.
 * Frames nest: the innermost one that covers the address returns, those inside it are dropped. */
int guard_run(const void *map, size_t size, int (*fn)(void *ctx), void *ctx) MUST_CHECK;
