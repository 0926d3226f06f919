/* SPDX-License-Identifier: MIT */
#include "test/unit/store/rig.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/store/state.h"

void rig_init(struct rig *g, bool real)
{
    *g = (struct rig){.real = real};
    if (real) {
        g->io = io_real_new();
        snprintf(g->root, sizeof g->root, "/tmp/kauri-store-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(g->root));
    } else {
        g->io = io_crash_new(0);
    }
    snprintf(g->dir, sizeof g->dir, "%s/orders-0", g->root);
}

static int rig_remove(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

void rig_deinit(struct rig *g)
{
    if (g->real) {
        io_real_free(g->io);
        (void)nftw(g->root, rig_remove, 8, FTW_DEPTH | FTW_PHYS);
    } else {
        io_crash_free(g->io);
    }
}

struct log_options rig_options(const struct rig *g)
{
    return (struct log_options){.io = g->io,
                                .dir = g->dir,
                                .segment_size_max = 4096,
                                .index_interval_size = 256,
                                .checkpoint_size = 16384,
                                .now_ms = RIG_TIME};
}

void rig_build(const struct rig_batch *b, struct buf *out)
{
    struct batch_build build;
    struct batch_build_options o = batch_build_plain();
    uint8_t *value = malloc(b->value_size + 16);
    ck_assert_ptr_nonnull(value);
    o.codec = b->codec;
    o.producer_id = b->producer_id;
    o.producer_epoch = b->producer_id >= 0 ? b->epoch : -1;
    o.base_sequence = b->producer_id >= 0 ? b->sequence : -1;
    batch_build_init(&build);
    for (int32_t i = 0; i < b->count; i++) {
        memset(value, (int)(b->tag * 31 + (uint64_t)i), b->value_size + 16);
        bytes_put_le64(value, b->tag);
        bytes_put_le64(value + 8, (uint64_t)i);
        batch_build_add(&build, b->timestamp + b->step * i, SLICE_NULL,
                        slice_of(value, b->value_size + 16), NULL, 0);
    }
    batch_build_finish(&build, &o, out);
    batch_build_deinit(&build);
    free(value);
}

static void rig_take(struct log_view *v, int64_t *expected, struct buf *out)
{
    struct slice rest = v->bytes;
    while (rest.size > 0) {
        struct batch_header h;
        ck_assert_int_eq(batch_check_stored(rest, 0, &h), BATCH_OK);
        ck_assert_int_eq(h.base_offset, *expected);
        *expected = batch_next_offset(&h);
        buf_append(out, rest.p, h.size);
        rest = slice_of(rest.p + h.size, rest.size - h.size);
    }
    ck_assert_int_eq(v->next_offset, *expected);
    log_view_release(v);
}

unsigned rig_read_all(struct log *l, int64_t from, size_t size_max, struct buf *out)
{
    unsigned damaged = 0;
    while (from < log_end(l)) {
        struct log_view v;
        int64_t good = -1;
        int r = log_read(l, from, size_max, &v, &good);
        if (r == PART_DAMAGED) {
            ck_assert_int_gt(good, from);
            ck_assert_int_le(good, log_end(l));
            from = good;
            damaged++;
            continue;
        }
        ck_assert_int_eq(r, 0);
        rig_take(&v, &from, out);
    }
    return damaged;
}

struct rig_listing {
    const char *suffix;
    int64_t *bases;
    size_t count;
    size_t max;
};

static int rig_on_suffix(void *ctx, const char *name, enum io_kind kind)
{
    const char *suffix = ctx;
    size_t n = strlen(name), k = strlen(suffix);
    return kind == IO_KIND_FILE && n >= k && strcmp(name + n - k, suffix) == 0;
}

static int rig_on_name(void *ctx, const char *name, enum io_kind kind)
{
    struct rig_listing *l = ctx;
    int64_t base = state_parse_name(name, l->suffix);
    if (kind != IO_KIND_FILE || base < 0)
        return 0;
    ck_assert_uint_lt(l->count, l->max);
    size_t at = l->count++;
    for (; at > 0 && l->bases[at - 1] > base; at--)
        l->bases[at] = l->bases[at - 1];
    l->bases[at] = base;
    return 0;
}

bool rig_has(struct io *io, const char *dir, const char *suffix)
{
    char name[64];
    snprintf(name, sizeof name, "%s", suffix);
    return io_list(io, dir, rig_on_suffix, name) == 1;
}

size_t rig_files(struct io *io, const char *dir, const char *suffix, int64_t *bases, size_t max)
{
    struct rig_listing l = {.suffix = suffix, .bases = bases, .max = max};
    int r = io_list(io, dir, rig_on_name, &l);
    ck_assert(r == 0 || r == IO_MISSING);
    return l.count;
}
