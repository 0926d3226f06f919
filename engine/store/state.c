/* SPDX-License-Identifier: MIT
 *
 * state: see state.h.
 */
#include "engine/store/state.h"

#include <errno.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/crc32c.h"

#define STATE_MAGIC  0x3154534bu /* "KST1" */
#define STATE_DIGITS 20
#define STATE_BEGUN  1u

void state_encode(const struct state *s, struct buf *out)
{
    size_t start = out->size;
    ASSERT(s->log_start >= 0 && s->log_start <= s->recovery_offset);
    ASSERT(s->recovery_offset >= s->recovery_base);
    ASSERT(!s->begun || s->log_start == s->recovery_offset);
    ASSERT(s->mark >= 0 && s->mark <= s->recovery_offset);
    buf_append_le32(out, STATE_MAGIC);
    buf_append_le32(out, 0);
    buf_append_le32(out, STATE_VERSION);
    buf_append_le32(out, (uint32_t)s->epoch);
    buf_append_le64(out, (uint64_t)s->log_start);
    buf_append_le64(out, (uint64_t)s->recovery_offset);
    buf_append_le64(out, (uint64_t)s->recovery_base);
    buf_append_le64(out, s->recovery_pos);
    buf_append_le32(out, s->generation);
    buf_append_le32(out, s->begun ? STATE_BEGUN : 0);
    buf_append_le64(out, (uint64_t)s->mark);
    ASSERT(out->size - start == STATE_SIZE);
    uint8_t *p = out->p + start;
    bytes_put_le32(p + 4, crc32c(p + 8, STATE_SIZE - 8));
}

int state_decode(struct slice in, struct state *out)
{
    if (in.size < STATE_OLD || bytes_le32(in.p) != STATE_MAGIC ||
        bytes_le32(in.p + 4) != crc32c(in.p + 8, in.size - 8))
        return STATE_DAMAGED;
    if (bytes_le32(in.p + 8) > STATE_VERSION)
        return STATE_NEWER;
    struct state s = {
        .epoch = (int32_t)bytes_le32(in.p + 12),
        .log_start = (int64_t)bytes_le64(in.p + 16),
        .recovery_offset = (int64_t)bytes_le64(in.p + 24),
        .recovery_base = (int64_t)bytes_le64(in.p + 32),
        .recovery_pos = bytes_le64(in.p + 40),
        .generation = bytes_le32(in.p + 48),
        .mark = in.size < STATE_SIZE ? 0 : (int64_t)bytes_le64(in.p + 56),
        .begun = (bytes_le32(in.p + 52) & STATE_BEGUN) != 0,
    };
    if (s.mark < 0 || s.mark > s.recovery_offset || s.log_start < 0 || s.recovery_base < 0 ||
        s.recovery_offset < s.recovery_base || s.recovery_pos > INT64_MAX ||
        s.log_start > s.recovery_offset || s.recovery_offset == INT64_MAX ||
        (s.begun && s.log_start != s.recovery_offset))
        return STATE_DAMAGED;
    *out = s;
    return 0;
}

int state_read(struct io *io, const char *dir, struct state *out)
{
    struct buf path CLEANUP(buf_deinit) = {0}, bytes CLEANUP(buf_deinit) = {0};
    ASSERT(dir != NULL && out != NULL);
    state_path(&path, dir, "state");
    int r = io_read_file(io, (const char *)path.p, 4096, &bytes);
    if (r == -EFBIG)
        return STATE_DAMAGED;
    return r != 0 ? r : state_decode(buf_slice(&bytes), out);
}

int state_write(struct io *io, const char *dir, const struct state *s)
{
    struct buf path CLEANUP(buf_deinit) = {0}, bytes CLEANUP(buf_deinit) = {0};
    ASSERT(dir != NULL && s->recovery_base <= s->recovery_offset);
    state_encode(s, &bytes);
    state_path(&path, dir, "state");
    return io_write_file(io, dir, (const char *)path.p, buf_slice(&bytes));
}

void state_path(struct buf *out, const char *dir, const char *name)
{
    buf_printf(out, "%s/%s", dir, name);
    ASSERT(out->size > 0);
}

void state_parent(struct buf *out, const char *dir)
{
    const char *slash = strrchr(dir, '/');
    ASSERT(dir[0] != '\0');
    if (slash == NULL)
        buf_printf(out, ".");
    else
        buf_printf(out, "%.*s", slash == dir ? 1 : (int)(slash - dir), dir);
}

void state_segment_path(struct buf *out, const char *dir, int64_t base, const char *suffix)
{
    ASSERT(base >= 0);
    ASSERT(dir != NULL && suffix != NULL);
    buf_printf(out, "%s/%020lld.%s", dir, (long long)base, suffix);
}

int64_t state_parse_name(const char *name, const char *suffix)
{
    uint64_t v = 0;
    ASSERT(name != NULL && suffix != NULL);
    for (unsigned i = 0; i < STATE_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9')
            return -1;
        if (v > (INT64_MAX - 9) / 10)
            return -1;
        v = v * 10 + (uint64_t)(name[i] - '0');
    }
    if (name[STATE_DIGITS] != '.' || strcmp(name + STATE_DIGITS + 1, suffix) != 0)
        return -1;
    ASSERT(v <= INT64_MAX);
    return (int64_t)v;
}
