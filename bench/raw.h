/* SPDX-License-Identifier: MIT
 *
 * raw: what the machine gives at best, measured in the same run as what stands beside it: a copy
 * into a mapped, reserved file; a write with fdatasync; a socket to oneself.
 *
 * Knows nothing of kauri. Each function makes its files under `dir` and removes them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bench/hist.h"

/* ns per copy of `size` bytes, one after the other, into a fallocated and mapped new file. */
double raw_copy(const char *dir, size_t size, size_t total);
/* ns per pwrite of `size` bytes into a fallocated new file. */
double raw_write(const char *dir, size_t size, size_t total);
/* Writes `size` bytes behind each other into a fallocated file, fdatasync after each. */
void raw_sync(const char *dir, size_t size, int count, struct hist *out);

enum raw_socket { RAW_UNIX, RAW_TCP };
/* Bytes per second from one thread to another. */
double raw_stream(enum raw_socket kind, size_t size, int64_t duration_ns);
/* Round trips of 100 B between two threads. */
void raw_pingpong(enum raw_socket kind, int count, struct hist *out);

/* `count` files with `size` new bytes each become durable, `repeat` times. One by one with
 * fdatasync, or at once with syncfs. */
enum raw_many { RAW_FDATASYNC, RAW_SYNCFS };
struct raw_files {
    size_t count;
    size_t size;
    int repeat;
};
void raw_sync_many(const char *dir, const struct raw_files *files, enum raw_many how,
                   struct hist *out);
