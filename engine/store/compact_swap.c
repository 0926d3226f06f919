/* SPDX-License-Identifier: MIT
 *
 * compact_swap: see compact_swap.h.
 */
#include "engine/store/compact_swap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/planted.h"
#include "engine/store/state.h"

#define COMPACT_SWAP_DIGITS 20

static int compact_swap_sync(struct io *io, const char *dir)
{
    ASSERT(dir != NULL);
    int r = io_sync_dir(io, dir);
    ASSERT(r != IO_FULL);
    return r == IO_MISSING ? -ENOENT : r;
}

static int compact_swap_unlink(struct io *io, const char *dir, int64_t base, const char *suffix)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    state_segment_path(&path, dir, base, suffix);
    int r = io_unlink(io, (const char *)path.p);
    ASSERT(r <= 0 || r == IO_MISSING);
    return r == IO_MISSING ? 0 : r;
}

static void compact_swap_path(struct buf *out, const char *dir, const struct compact_swap *s)
{
    char suffix[COMPACT_SWAP_DIGITS + sizeof ".swap"];
    int size = snprintf(suffix, sizeof suffix, "%020lld.swap", (long long)s->end);
    ASSERT(size > 0 && (size_t)size < sizeof suffix);
    ASSERT(s->base < s->end);
    state_segment_path(out, dir, s->base, suffix);
}

int compact_swap_mark(struct io *io, const char *dir)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    struct io_file *f = NULL;
    state_path(&path, dir, COMPACT_MARK);
    int r = io_open(io, (const char *)path.p, IO_WRITE | IO_CREATE, &f);
    ASSERT(r != 0 || f != NULL);
    int closed = io_close(f);
    r = r != 0 ? r : closed;
    return r == IO_MISSING ? -ENOENT : r;
}

/* Step 2. */
static int compact_swap_decide(struct io *io, const char *dir, const struct compact_swap *s)
{
    struct buf from CLEANUP(buf_deinit) = {0}, to CLEANUP(buf_deinit) = {0};
    state_segment_path(&from, dir, s->base, "log.cleaned");
    compact_swap_path(&to, dir, s);
    ASSERT(from.size > 0 && to.size > 0);
    int r = io_rename(io, (const char *)from.p, (const char *)to.p);
    return r == IO_MISSING ? -ENOENT : r;
}

/* IO_MISSING is fine: an index that is not there is made anew. */
static int compact_swap_rename_index(struct io *io, const char *dir, int64_t base,
                                     const char *suffix)
{
    struct buf from CLEANUP(buf_deinit) = {0}, to CLEANUP(buf_deinit) = {0};
    char cleaned[32];
    int size = snprintf(cleaned, sizeof cleaned, "%s.cleaned", suffix);
    ASSERT(size > 0 && (size_t)size < sizeof cleaned);
    state_segment_path(&from, dir, base, cleaned);
    state_segment_path(&to, dir, base, suffix);
    int r = io_rename(io, (const char *)from.p, (const char *)to.p);
    return r == IO_MISSING ? 0 : r;
}

static int compact_swap_remove_others(struct io *io, const char *dir, const struct compact_swap *s)
{
    static const char *const suffixes[] = {"timeindex", "index", "log"};
    int r = 0;
    ASSERT(s->bases != NULL || s->count == 0);
    for (size_t i = 0; r == 0 && i < s->count; i++) {
        ASSERT(s->bases[i] > s->base && s->bases[i] < s->end);
        for (size_t k = 0; r == 0 && k < 3; k++)
            r = compact_swap_unlink(io, dir, s->bases[i], suffixes[k]);
    }
    return r;
}

int compact_swap_finish(struct io *io, const char *dir, struct compact_swap *s)
{
    struct buf from CLEANUP(buf_deinit) = {0}, to CLEANUP(buf_deinit) = {0};
    compact_swap_path(&from, dir, s);
    state_segment_path(&to, dir, s->base, "log");
    int r = compact_swap_remove_others(io, dir, s);
    if (r == 0)
        r = compact_swap_sync(io, dir);
    if (r == 0)
        r = compact_swap_rename_index(io, dir, s->base, "index");
    if (r == 0)
        r = compact_swap_rename_index(io, dir, s->base, "timeindex");
    if (r == 0)
        r = compact_swap_sync(io, dir);
    if (r == 0)
        r = io_rename(io, (const char *)from.p, (const char *)to.p);
    if (r == 0)
        r = compact_swap_sync(io, dir);
    s->done = r == 0;
    ASSERT(!s->done || r == 0);
    return r > 0 ? -ENOSPC : r; /* decided: it cannot be taken back, the next start goes on */
}

int compact_swap_run(struct io *io, const char *dir, struct compact_swap *s)
{
    ASSERT(!s->done && s->base < s->end);
    int r = PLANTED_SWAP_UNDECIDED ? compact_swap_remove_others(io, dir, s) : 0;
    if (r == 0)
        r = compact_swap_mark(io, dir);
    if (r == 0)
        r = compact_swap_sync(io, dir);
    if (r == 0)
        r = compact_swap_decide(io, dir, s);
    if (r == 0)
        r = compact_swap_sync(io, dir);
    if (r != 0)
        return r;
    return compact_swap_finish(io, dir, s);
}

int compact_swap_discard(struct io *io, const char *dir, int64_t base)
{
    static const char *const suffixes[] = {"log.cleaned", "index.cleaned", "timeindex.cleaned"};
    int r = 0;
    ASSERT(base >= 0);
    for (size_t i = 0; r == 0 && i < 3; i++)
        r = compact_swap_unlink(io, dir, base, suffixes[i]);
    return r;
}

bool compact_swap_parse(const char *name, struct compact_swap *out)
{
    char first[COMPACT_SWAP_DIGITS + sizeof ".log"];
    ASSERT(name != NULL && out != NULL);
    if (strlen(name) != 2 * COMPACT_SWAP_DIGITS + sizeof ".swap" ||
        name[COMPACT_SWAP_DIGITS] != '.')
        return false;
    (void)snprintf(first, sizeof first, "%.*s.log", COMPACT_SWAP_DIGITS, name);
    int64_t base = state_parse_name(first, "log");
    int64_t end = state_parse_name(name + COMPACT_SWAP_DIGITS + 1, "swap");
    if (base < 0 || end <= base)
        return false;
    *out = (struct compact_swap){.base = base, .end = end};
    ASSERT(out->base < out->end);
    return true;
}

bool compact_swap_is_leftover(const char *name)
{
    ASSERT(name != NULL);
    return state_parse_name(name, "log.cleaned") >= 0 ||
           state_parse_name(name, "index.cleaned") >= 0 ||
           state_parse_name(name, "timeindex.cleaned") >= 0;
}
