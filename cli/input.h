/* SPDX-License-Identifier: MIT
 *
 * input: records out of a file or stdin, read as they come: whatever stands between two delimiters,
 * or the whole file as one. Holds one record at a time, at most INPUT_RECORD_MAX bytes.
 *
 * Before it would wait for bytes it calls `wait`, where the caller keeps its other work going.
 */
#pragma once

#include "engine/base/bytes.h"

#define INPUT_RECORD_MAX ((size_t)64 * 1024 * 1024)

/* Conditions of input_next. */
#define INPUT_END       1 /* no more */
#define INPUT_TOO_LARGE 2 /* a record of more than INPUT_RECORD_MAX bytes */
#define INPUT_STOPPED   3 /* wait said so */

struct input {
    int fd;             /* borrowed */
    struct slice delim; /* borrowed; size 0: the whole file is one record */
    /* Returns when fd is readable: 0, or nonzero to stop. May be NULL. */
    int (*wait)(void *ctx, int fd);
    void *ctx;
    uint64_t taken; /* bytes read so far */
    /* its own */
    struct buf buf;
    size_t pos;     /* of the next record in buf */
    size_t scanned; /* no delimiter begins before this */
    bool ended;
    bool given; /* the whole file was handed out */
};

/* The next record without its delimiter, valid until the next call. What stands behind the last
 * delimiter is a record unless it is empty. 0, a condition or -errno. */
int input_next(struct input *in, struct slice *out) MUST_CHECK;
void input_deinit(struct input *in);
