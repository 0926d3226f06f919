/* SPDX-License-Identifier: MIT
 *
 * mend: see mend.h.
 */
#include "engine/store/mend.h"

#include <errno.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/store/compact_swap.h"
#include "engine/store/scan.h"

#define MEND_CHUNK (1u << 20)

/* --- what fits --- */

int mend_fit(const struct part *p, const struct part_range *piece, struct slice bytes,
             struct mend *out)
{
    struct scan s = {.log = bytes, .expected = piece->from, .limit = piece->to, .cleaned = true};
    struct mend m = {.piece = *piece, .upto = piece->from};
    int32_t epoch = 0;
    ASSERT(piece->from < piece->to && piece->base == piece->next_base);
    for (int64_t next = piece->from; scan_next(&s) == 0; next = s.expected) {
        if (s.h.leader_epoch < epoch || s.h.leader_epoch > p->epoch)
            return MEND_UNFIT;
        epoch = s.h.leader_epoch;
        m.gaps = m.gaps || s.h.base_offset != next;
        m.upto = s.expected;
        m.bytes = slice_of(bytes.p, s.pos);
    }
    if (s.pos < bytes.size) { /* what comes next lies behind the piece, or is no batch */
        struct batch_header h;
        struct slice rest = slice_of(bytes.p + s.pos, bytes.size - s.pos);
        if (batch_check_stored(rest, s.expected, &h) != BATCH_OK || h.base_offset < piece->to)
            return MEND_UNFIT;
        m.gaps = m.gaps || m.upto < piece->to;
        m.upto = piece->to;
    }
    if (m.upto == piece->from)
        return MEND_UNFIT;
    ASSERT(m.upto <= piece->to && m.bytes.size <= bytes.size);
    *out = m;
    return 0;
}

/* --- the files --- */

/* Where the bytes behind what is put in begin in the old file. */
static uint64_t mend_rest(const struct mend *m)
{
    uint64_t left = m->piece.next_pos - m->piece.pos;
    ASSERT(m->piece.next_pos >= m->piece.pos && m->piece.next_pos <= m->size);
    if (m->upto == m->piece.to || left < m->bytes.size)
        return m->piece.next_pos;
    return m->piece.pos + m->bytes.size; /* the others follow */
}

static int mend_copy_tail(const struct mend *m, struct io_file *in, struct io_file *out)
{
    struct buf bytes CLEANUP(buf_deinit) = {0};
    uint64_t to = m->piece.pos + m->bytes.size;
    buf_reserve(&bytes, MEND_CHUNK);
    ASSERT(in != NULL || m->size == 0);
    for (uint64_t from = mend_rest(m); from < m->size;) {
        size_t want = m->size - from < MEND_CHUNK ? (size_t)(m->size - from) : MEND_CHUNK, got;
        int r = io_pread(in, bytes.p, want, from, &got);
        if (r != 0 || got == 0)
            return r != 0 ? r : -ENODATA;
        struct iovec v = {bytes.p, got};
        r = io_pwritev(out, &v, 1, to);
        if (r != 0)
            return r;
        from += got;
        to += got;
    }
    return 0;
}

static int mend_fill(const struct mend *m, struct io_file *in, struct io_file *out)
{
    struct iovec v = {(void *)(uintptr_t)m->bytes.p, m->bytes.size};
    int r = m->piece.pos > 0 ? io_copy(in, out, 0, m->piece.pos) : 0;
    ASSERT(m->piece.pos <= m->size);
    if (r == 0 && v.iov_len > 0)
        r = io_pwritev(out, &v, 1, m->piece.pos);
    return r != 0 ? r : mend_copy_tail(m, in, out);
}

/* The new log beside the old one, synced. */
static int mend_write(struct io *io, const char *old, const char *new, const struct mend *m)
{
    struct io_file *in CLEANUP(io_close_cleanup) = NULL;
    struct io_file *out CLEANUP(io_close_cleanup) = NULL;
    ASSERT(m->upto > m->piece.from);
    int r = io_unlink(io, new); /* of an earlier try */
    if (r != 0 && r != IO_MISSING)
        return r;
    r = io_open(io, old, IO_READ, &in);
    if (r != 0 && !(r == IO_MISSING && m->size == 0))
        return r;
    r = io_open(io, new, IO_READ | IO_WRITE | IO_CREATE | IO_EXCL, &out);
    if (r == 0)
        r = mend_fill(m, in, out);
    return r != 0 ? r : io_sync(io, &out, 1);
}

static int mend_unlink(struct io *io, const char *dir, int64_t base, const char *suffix)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    ASSERT(base >= 0);
    state_segment_path(&path, dir, base, suffix);
    int r = io_unlink(io, (const char *)path.p);
    return r == IO_MISSING ? 0 : r;
}

/* To be known before it is so, as in a round. */
static int mend_mark_gaps(struct io *io, const char *dir)
{
    struct state state;
    int r = compact_swap_mark(io, dir);
    if (r == 0)
        r = io_sync_dir(io, dir);
    if (r == 0)
        r = state_read(io, dir, &state);
    ASSERT(r <= 0 || r == IO_MISSING || r == STATE_DAMAGED || r == IO_FULL || r == STATE_NEWER);
    if (r == IO_MISSING || r == STATE_DAMAGED)
        return 0;
    if (r != 0 || state.generation > 0)
        return r;
    state.generation = 1;
    return state_write(io, dir, &state);
}

static int mend_replace(struct io *io, const char *dir, const struct mend *m, const char *old,
                        const char *new)
{
    int r = mend_unlink(io, dir, m->piece.base, "timeindex");
    ASSERT(m->piece.base >= 0);
    if (r == 0)
        r = mend_unlink(io, dir, m->piece.base, "index");
    if (r == 0)
        r = io_sync_dir(io, dir);
    if (r == 0)
        r = io_rename(io, new, old);
    return r != 0 ? r : io_sync_dir(io, dir);
}

static int mend_state(struct io *io, const char *dir, const struct mend *m)
{
    struct state state;
    int r = m->last ? state_read(io, dir, &state) : IO_MISSING;
    ASSERT(m->end >= m->upto);
    if (r == IO_MISSING || r == STATE_DAMAGED)
        return 0;
    if (r != 0 || state.recovery_offset > m->end)
        return r;
    state.recovery_offset = m->end;
    state.recovery_base = m->piece.base;
    state.recovery_pos = m->piece.pos + m->bytes.size + (m->size - mend_rest(m));
    return state_write(io, dir, &state);
}

int mend_run(struct io *io, const char *dir, const struct mend *m)
{
    struct buf old CLEANUP(buf_deinit) = {0}, new CLEANUP(buf_deinit) = {0};
    uint64_t size = m->size + m->bytes.size;
    ASSERT(m->piece.base == m->piece.next_base && m->piece.pos <= m->piece.next_pos);
    if (size > UINT32_MAX || m->upto - m->piece.base > INT32_MAX)
        return -EFBIG;
    state_segment_path(&old, dir, m->piece.base, "log");
    state_segment_path(&new, dir, m->piece.base, "log.tmp");
    int r = m->gaps ? mend_mark_gaps(io, dir) : 0;
    if (r == 0)
        r = mend_write(io, (const char *)old.p, (const char *)new.p, m);
    if (r == 0)
        r = mend_replace(io, dir, m, (const char *)old.p, (const char *)new.p);
    if (r == 0)
        r = mend_state(io, dir, m);
    return r == IO_FULL || r <= 0 ? r : -ENOENT;
}
