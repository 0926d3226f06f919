/* SPDX-License-Identifier: MIT
 *
 * input: see input.h.
 */
#include "cli/input.h"

#include <errno.h>
#include <unistd.h>

#include "engine/base/assert.h"

#define INPUT_READ_SIZE ((size_t)128 * 1024)

/* Moves what is left to the front and reads more. 0, a condition or -errno. */
static int input_fill(struct input *in)
{
    if (in->pos > 0) {
        memmove(in->buf.p, in->buf.p + in->pos, in->buf.size - in->pos);
        in->buf.size -= in->pos;
        in->scanned -= in->pos;
        in->pos = 0;
    }
    if (in->buf.size > INPUT_RECORD_MAX + in->delim.size)
        return INPUT_TOO_LARGE;
    if (in->wait != NULL && in->wait(in->ctx, in->fd) != 0)
        return INPUT_STOPPED;
    buf_reserve(&in->buf, INPUT_READ_SIZE);
    ssize_t got = read(in->fd, in->buf.p + in->buf.size, INPUT_READ_SIZE);
    if (got < 0)
        return errno == EINTR ? 0 : -errno;
    in->buf.size += (size_t)got;
    in->taken += (size_t)got;
    in->ended = got == 0;
    return 0;
}

static int input_give(struct input *in, size_t size, size_t skip, struct slice *out)
{
    ASSERT(in->pos + size + skip <= in->buf.size);
    if (size > INPUT_RECORD_MAX)
        return INPUT_TOO_LARGE;
    *out = slice_of(in->buf.p + in->pos, size);
    if (out->p == NULL)
        *out = slice_str("");
    in->pos += size + skip;
    in->scanned = in->pos;
    return 0;
}

static int input_whole(struct input *in, struct slice *out)
{
    while (!in->ended) {
        int r = input_fill(in);
        if (r != 0)
            return r;
    }
    if (in->given)
        return INPUT_END;
    in->given = true;
    return input_give(in, in->buf.size, 0, out);
}

int input_next(struct input *in, struct slice *out)
{
    if (in->delim.size == 0)
        return input_whole(in, out);
    for (;;) {
        const uint8_t *at = NULL;
        if (in->buf.p != NULL)
            at = memmem(in->buf.p + in->scanned, in->buf.size - in->scanned, in->delim.p,
                        in->delim.size);
        if (at != NULL)
            return input_give(in, (size_t)(at - in->buf.p) - in->pos, in->delim.size, out);
        if (in->ended && in->pos == in->buf.size)
            return INPUT_END;
        if (in->ended)
            return input_give(in, in->buf.size - in->pos, 0, out);
        if (in->buf.size - in->pos >= in->delim.size)
            in->scanned = in->buf.size - in->delim.size + 1;
        int r = input_fill(in);
        if (r != 0)
            return r;
    }
}

void input_deinit(struct input *in)
{
    buf_deinit(&in->buf);
}
