/* SPDX-License-Identifier: MIT */
#include "test/unit/store/ship_rig.h"

#include <check.h>
#include <stdlib.h>

#include "engine/store/state.h"

struct ship_append {
    struct part_append append;
    struct buf bytes;
};

static void ship_done(struct part_append *a, int result)
{
    struct ship_append *s = LIST_ENTRY(a, struct ship_append, append);
    ck_assert(result <= 0 || result == IO_FULL);
    ck_assert_ptr_null(a->shipped);
    buf_deinit(&s->bytes);
    free(s);
}

int ship_read(struct log *leader, int64_t offset, size_t size_max, struct part_extent *out)
{
    struct part *p = log_part(leader);
    struct part_read q = {.offset = offset, .bound = p->written, .size_max = size_max};
    int64_t good = -1;
    for (;;) {
        struct part_warm warm;
        int r = part_read(p, &q, out, &warm, &good);
        if (r != PART_COLD)
            return r;
        part_warm_run(&warm);
        ck_assert_int_eq(part_warm_done(p, &warm), 0);
    }
}

int ship_put(struct log *follower, struct slice bytes, int64_t segment)
{
    struct ship_append *s = calloc(1, sizeof *s);
    ck_assert_ptr_nonnull(s);
    s->append.done = ship_done;
    buf_append(&s->bytes, bytes.p, bytes.size);
    struct part_shipment in = {buf_slice(&s->bytes), segment};
    int r = part_append_as_is(log_part(follower), &s->append, &in, RIG_TIME);
    part_check(log_part(follower));
    if (r == 0) {
        ck_assert_int_eq(s->append.last_offset + 1, log_part(follower)->reserved);
        return 0;
    }
    buf_deinit(&s->bytes);
    free(s);
    return r;
}

int ship_once(struct log *leader, struct log *follower, size_t size_max)
{
    struct part_extent e;
    int r = ship_read(leader, log_part(follower)->reserved, size_max, &e);
    if (r != 0)
        return r;
    r = ship_put(follower, e.bytes, e.segment);
    reader_unpin(e.pin);
    return r;
}

void ship_all(struct log *leader, struct log *follower, size_t size_max)
{
    int r = 0;
    while (r == 0) {
        r = ship_once(leader, follower, size_max);
        ck_assert(r == 0 || r == PART_END);
        ck_assert_int_eq(log_sync(follower, RIG_TIME), 0);
    }
    ck_assert_int_eq(log_end(leader), log_end(follower));
}

bool ship_file(struct io *io, const char *dir, int64_t base, struct buf *out)
{
    struct buf path = {0};
    state_segment_path(&path, dir, base, "log");
    int r = io_read_file(io, (const char *)path.p, 64u << 20, out);
    buf_deinit(&path);
    ck_assert(r == 0 || r == IO_MISSING);
    return r == 0;
}

/* All batches from the one that holds `from`, gaps and all. */
static void ship_collect(struct log *l, int64_t from, struct buf *out)
{
    struct log_view v;
    int64_t good;
    int r = 0;
    while (r == 0 && from < log_end(l)) {
        r = log_read(l, from, 5000, &v, &good);
        if (r == PART_END) /* the last offsets were compacted away */
            break;
        ck_assert_int_eq(r, 0);
        buf_append(out, v.bytes.p, v.bytes.size);
        from = v.next_offset;
        log_view_release(&v);
    }
}

void ship_same(struct log *a, struct log *b, int64_t from)
{
    struct buf x = {0}, y = {0};
    const struct epochs *e = &log_part(a)->epochs, *f = &log_part(b)->epochs;
    ship_collect(a, from, &x);
    ship_collect(b, from, &y);
    ck_assert_uint_eq(x.size, y.size);
    if (x.size > 0)
        ck_assert_mem_eq(x.p, y.p, x.size);
    struct batch_header h;
    for (struct slice rest = buf_slice(&x); rest.size > 0;
         rest = slice_of(rest.p + h.size, rest.size - h.size)) {
        ck_assert_int_eq(batch_parse(rest, &h), BATCH_OK);
        ck_assert_int_eq(epochs_at(e, batch_next_offset(&h)), h.leader_epoch);
        ck_assert_int_eq(epochs_at(f, batch_next_offset(&h)), h.leader_epoch);
    }
    if (log_start(a) == log_start(b) && log_part(a)->generation == 0)
        ck_assert(epochs_equal(e, f));
    buf_deinit(&x);
    buf_deinit(&y);
}

void ship_same_producers(struct log *a, struct log *b)
{
    const struct map *x = &log_part(a)->producers.map, *y = &log_part(b)->producers.map;
    size_t at = 0;
    ck_assert_uint_eq(x->count, y->count);
    for (struct producers_entry *e = map_next(x, &at); e != NULL; e = map_next(x, &at)) {
        const struct producers_entry *f = map_get(y, map_key64(&e->id));
        ck_assert_ptr_nonnull(f);
        ck_assert_int_eq(e->epoch, f->epoch);
        ck_assert_uint_eq(e->count, f->count);
        for (unsigned i = 0; i < e->count; i++) {
            ck_assert_int_eq(e->batches[i].first_sequence, f->batches[i].first_sequence);
            ck_assert_int_eq(e->batches[i].last_sequence, f->batches[i].last_sequence);
            ck_assert_int_eq(e->batches[i].base_offset, f->batches[i].base_offset);
            ck_assert_int_eq(e->batches[i].timestamp, f->batches[i].timestamp);
        }
    }
}
