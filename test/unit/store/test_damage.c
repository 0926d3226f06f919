/* SPDX-License-Identifier: MIT
 *
 * damage: every file of a small partition folder is damaged, in one place at a time: flipped bits,
 * zeroed blocks, a lost end, a lost file. Whatever happened,
 *
 *   - the folder opens, and the log's end stays where it was;
 *   - what is read are the bytes that were stored, and nothing but the batches that the damage hit
 *     is missing, reported as a damaged range;
 *   - damage to what is derived from the logs (indexes, snapshots, state) costs no record, no
 *     answer by time and no producer's sequence;
 *   - no byte of a log is changed or given up by opening, reading and closing;
 *   - an append on top is stored, and the next opening finds all of it.
 *
 * One field has nobody to vouch for it: the leader epoch of a batch, outside its CRC; its batch may
 * come out as the disk has it.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "test/unit/store/image.h"
#include "test/unit/store/rig.h"

#define DIR       "/orders-0"
#define BATCHES   40
#define PRODUCERS 3
#define BLOCK     512

struct spot { /* a batch in its file */
    int64_t base;
    size_t file; /* slot in the image */
    size_t pos;
    size_t size;
};

/* The folder before the damage. */
struct world {
    struct image image;
    struct spot spots[BATCHES];
    size_t count;
    int64_t end;
    struct rig_batch last; /* the last batch, of the last producer */
    int64_t last_base;
};

static struct log_options options(struct io *io)
{
    return (struct log_options){.io = io,
                                .dir = DIR,
                                .segment_size_max = 1300,
                                .index_interval_size = 256,
                                .checkpoint_size = 2000,
                                .now_ms = RIG_TIME};
}

static struct log *open_log(struct io *io)
{
    struct log_options o = options(io);
    struct log *l = NULL;
    ck_assert_int_eq(log_open(&o, &l), 0);
    part_check(log_part(l));
    return l;
}

/* --- the world --- */

static void world_append(struct world *w, struct log *l, unsigned i, int32_t *sequences)
{
    struct buf b = {0};
    unsigned producer = i % PRODUCERS;
    w->last = (struct rig_batch){.producer_id = producer + 1,
                                 .sequence = sequences[producer],
                                 .count = (int32_t)(1 + i % 3),
                                 .timestamp = RIG_TIME + (int64_t)(i * 7 % 11 + i) * 10,
                                 .step = 3,
                                 .value_size = i % 13,
                                 .tag = i,
                                 .codec = i % 5 == 4 ? CODEC_LZ4 : CODEC_NONE};
    sequences[producer] += w->last.count;
    rig_build(&w->last, &b);
    ck_assert_int_eq(log_append_batch(l, buf_slice(&b), RIG_TIME, &w->last_base), 0);
    ck_assert_int_eq(log_sync(l, RIG_TIME), 0);
    buf_deinit(&b);
}

static void world_spots(struct world *w)
{
    for (size_t i = 0; i < w->image.count; i++) {
        if (!image_is(&w->image.files[i], ".log"))
            continue;
        struct slice rest = buf_slice(&w->image.files[i].bytes);
        struct batch_header h;
        for (size_t pos = 0; batch_check_stored(rest, w->end, &h) == BATCH_OK; pos += h.size) {
            ck_assert_uint_lt(w->count, BATCHES);
            w->spots[w->count++] = (struct spot){h.base_offset, i, pos, h.size};
            w->end = batch_next_offset(&h);
            rest = slice_of(rest.p + h.size, rest.size - h.size);
        }
    }
    ck_assert_uint_eq(w->count, BATCHES);
}

/* A folder with sealed segments, closed in good order; or as a kill leaves it. */
static void world_init(struct world *w, bool killed)
{
    struct io *io = io_crash_new(0);
    struct log *l = open_log(io);
    int32_t sequences[PRODUCERS] = {0};
    *w = (struct world){0};
    for (unsigned i = 0; i < BATCHES; i++)
        world_append(w, l, i, sequences);
    if (killed)
        image_take(&w->image, io, DIR);
    ck_assert_int_eq(log_close(l), 0);
    if (!killed)
        image_take(&w->image, io, DIR);
    io_crash_free(io);
    world_spots(w);
    ck_assert_uint_ge(w->spots[w->count - 1].file, 3);
}

static void world_deinit(struct world *w)
{
    image_deinit(&w->image);
}

/* --- what must be read --- */

/* True when the damage changed the batch, in more than its leader epoch. */
static bool world_lost(const struct world *w, struct image *image, const struct spot *s)
{
    const struct image_file *before = &w->image.files[s->file];
    const struct image_file *f = image_find(image, before->name);
    if (f == NULL || f->bytes.size < s->pos + s->size)
        return true;
    const uint8_t *old = before->bytes.p + s->pos, *now = f->bytes.p + s->pos;
    return memcmp(old, now, BATCH_POS_LEADER_EPOCH) != 0 ||
           memcmp(old + BATCH_POS_MAGIC, now + BATCH_POS_MAGIC, s->size - BATCH_POS_MAGIC) != 0;
}

/* Appends the batches that the damage spared, as `image` has them; how many it did not. */
static unsigned world_rest(const struct world *w, struct image *image, struct buf *out)
{
    unsigned lost = 0;
    for (size_t i = 0; i < w->count; i++) {
        const struct spot *s = &w->spots[i];
        if (world_lost(w, image, s))
            lost++;
        else
            buf_append(out, image_find(image, w->image.files[s->file].name)->bytes.p + s->pos,
                       s->size);
    }
    return lost;
}

/* The first record of `batches` at or after the time: its offset, or -1. */
static int64_t first_since(struct slice batches, int64_t timestamp)
{
    struct buf scratch = {0};
    int64_t found = -1;
    while (found < 0 && batches.size > 0) {
        struct batch_iter it;
        struct batch_record r;
        enum batch_fault fault = batch_iter_init(&it, batches, 1 << 20, &scratch);
        ck_assert_int_eq(fault, BATCH_OK);
        while (found < 0 && batch_iter_next(&it, &r, &fault))
            found = r.timestamp >= timestamp ? r.offset : -1;
        ck_assert_int_eq(fault, BATCH_OK);
        batches = slice_of(batches.p + it.header.size, batches.size - it.header.size);
    }
    buf_deinit(&scratch);
    return found;
}

static void check_times(struct log *l, struct slice batches)
{
    for (int64_t t = RIG_TIME - 50; t < RIG_TIME + 600; t += 130) {
        int64_t offset, timestamp;
        ck_assert_int_eq(log_find_time(l, t, &offset, &timestamp), 0);
        ck_assert_int_eq(offset, first_since(batches, t));
    }
}

/* The last batch once more is known; the one behind it is not. */
static void check_producers(const struct world *w, struct log *l)
{
    struct buf b = {0};
    int64_t offset = -1;
    rig_build(&w->last, &b);
    ck_assert_int_eq(log_append_batch(l, buf_slice(&b), RIG_TIME, &offset), PART_DUPLICATE);
    ck_assert_int_eq(offset, w->last_base);
    struct rig_batch far = w->last;
    far.sequence += far.count + 1;
    buf_reset(&b);
    rig_build(&far, &b);
    ck_assert_int_eq(log_append_batch(l, buf_slice(&b), RIG_TIME, &offset), PART_GAP);
    buf_deinit(&b);
}

/* Every byte that is part of a segment's batches or lies between them is as it was laid out. */
static void check_logs(const struct world *w, struct image *before, struct io *io)
{
    struct image after;
    image_take(&after, io, DIR);
    for (size_t i = 0; i < w->count; i++) {
        const struct spot *s = &w->spots[i];
        const struct image_file *old = image_find(before, w->image.files[s->file].name);
        if (old == NULL || old->bytes.size <= s->pos)
            continue;
        size_t size = old->bytes.size - s->pos < s->size ? old->bytes.size - s->pos : s->size;
        const struct image_file *f = image_find(&after, old->name);
        ck_assert_ptr_nonnull(f);
        ck_assert_uint_ge(f->bytes.size, s->pos + size);
        ck_assert_mem_eq(f->bytes.p + s->pos, old->bytes.p + s->pos, size);
    }
    image_deinit(&after);
}

static void append_on_top(struct log *l, int64_t end, struct buf *all)
{
    struct log_view v;
    int64_t good;
    ck_assert_int_eq(log_append_record(l, RIG_TIME, SLICE_NULL, slice_str("on top"), NULL), 0);
    ck_assert_int_eq(log_sync(l, RIG_TIME), 0);
    ck_assert_int_eq(log_end(l), end + 1);
    ck_assert_int_eq(log_read(l, end, 1, &v, &good), 0);
    buf_append(all, v.bytes.p, v.bytes.size);
    log_view_release(&v);
}

static void check_bytes(struct log *l, const struct buf *want, bool lost)
{
    struct buf got = {0};
    unsigned damaged = rig_read_all(l, 0, 700, &got);
    ck_assert_uint_eq(damaged > 0, lost);
    ck_assert_uint_eq(got.size, want->size);
    ck_assert_mem_eq(got.p, want->p, want->size);
    buf_deinit(&got);
}

/* All of the list above. `image` is the world after the damage. */
static void survive(const struct world *w, struct image *image, bool derived)
{
    struct buf want = {0};
    struct io *io = image_put(image, DIR);
    struct log *l = open_log(io);
    unsigned lost = world_rest(w, image, &want);
    ck_assert(!derived || lost == 0);
    ck_assert_int_eq(log_start(l), 0);
    ck_assert_int_eq(log_end(l), w->end);
    check_bytes(l, &want, lost > 0);
    check_times(l, buf_slice(&want));
    if (derived)
        check_producers(w, l);
    append_on_top(l, w->end, &want);
    ck_assert_int_eq(log_close(l), 0);
    check_logs(w, image, io);
    l = open_log(io);
    ck_assert_int_eq(log_end(l), w->end + 1);
    check_bytes(l, &want, lost > 0);
    ck_assert_int_eq(log_close(l), 0);
    io_crash_free(io);
    buf_deinit(&want);
}

/* --- the damages --- */

static bool is_log(const struct image_file *f)
{
    return image_is(f, ".log");
}

/* How far to go from one place to the next: all of them in a long run. */
static size_t stride(size_t step)
{
    return getenv("KAURI_TEST_LONG") != NULL ? 1 : step;
}

static void flip_all(const struct world *w, bool logs, size_t step)
{
    struct image m;
    image_copy(&m, &w->image);
    for (size_t i = 0; i < m.count; i++) {
        struct buf *b = &m.files[i].bytes;
        if (is_log(&m.files[i]) != logs)
            continue;
        for (size_t pos = 0; pos < b->size; pos += stride(step)) {
            b->p[pos] ^= (uint8_t)(1u << pos % 8);
            survive(w, &m, !logs);
            b->p[pos] ^= (uint8_t)(1u << pos % 8);
        }
    }
    image_deinit(&m);
}

START_TEST(test_flips_in_logs)
{
    struct world w;
    world_init(&w, false);
    flip_all(&w, true, 17);
    world_deinit(&w);
}
END_TEST

START_TEST(test_flips_in_derived_files)
{
    struct world w;
    world_init(&w, false);
    flip_all(&w, false, 5);
    world_deinit(&w);
}
END_TEST

/* Without a state file no durable point is known: what a flip hits is damage all the same, since
 * good batches, or the snapshot's offset, lie behind it. */
START_TEST(test_flips_without_state)
{
    struct world w;
    world_init(&w, false);
    struct image_file *state = image_find(&w.image, "state");
    ck_assert_ptr_eq(state, &w.image.files[w.image.count - 1]); /* slots stay as they are */
    image_remove(&w.image, w.image.count - 1);
    flip_all(&w, true, 23);
    world_deinit(&w);
}
END_TEST

START_TEST(test_zeroed_blocks)
{
    struct world w;
    struct image m;
    world_init(&w, false);
    for (size_t i = 0; i < w.image.count; i++)
        for (size_t pos = 0; pos < w.image.files[i].bytes.size; pos += BLOCK) {
            image_copy(&m, &w.image);
            struct buf *b = &m.files[i].bytes;
            size_t size = b->size - pos < BLOCK ? b->size - pos : BLOCK;
            memset(b->p + pos, 0, size);
            survive(&w, &m, !is_log(&m.files[i]));
            image_deinit(&m);
        }
    world_deinit(&w);
}
END_TEST

START_TEST(test_lost_ends)
{
    struct world w;
    struct image m;
    world_init(&w, false);
    for (size_t i = 0; i < w.image.count; i++)
        for (size_t pos = 0; pos < w.image.files[i].bytes.size; pos += stride(37)) {
            image_copy(&m, &w.image);
            m.files[i].bytes.size = pos;
            survive(&w, &m, !is_log(&m.files[i]));
            image_deinit(&m);
        }
    world_deinit(&w);
}
END_TEST

/* A lost segment leaves a hole in the offsets, which is reported; but for the first, since the
 * folder looks like that after a trim. */
START_TEST(test_lost_files)
{
    struct world w;
    world_init(&w, false);
    for (size_t i = 0; i < w.image.count; i++) {
        struct image m;
        if (i == w.spots[0].file)
            continue;
        image_copy(&m, &w.image);
        bool derived = !is_log(&m.files[i]);
        image_remove(&m, i);
        survive(&w, &m, derived);
        image_deinit(&m);
    }
    world_deinit(&w);
}
END_TEST

/* --- behind the recovery point --- */

/* True when the bytes are in one of the folder's files. */
static bool kept(const struct image *m, struct slice bytes)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct buf *b = &m->files[i].bytes;
        if (b->size > 0 && memmem(b->p, b->size, bytes.p, bytes.size) != NULL)
            return true;
    }
    return false;
}

/* The batch of slot `at` does not check any more. */
static void cut_here(const struct world *w, const struct image *m, size_t at)
{
    const struct spot *s = &w->spots[at];
    struct buf got = {0};
    struct image after;
    struct io *io = image_put(m, DIR);
    struct log *l = open_log(io);
    ck_assert_int_eq(log_end(l), s->base);
    ck_assert_uint_eq(rig_read_all(l, 0, 700, &got), 0);
    ck_assert_int_eq(log_recovery(l)->torn_offset, s->base);
    ck_assert(log_recovery(l)->torn_saved == (at + 1 < w->count));
    image_take(&after, io, DIR);
    for (size_t i = at + 1; i < w->count; i++) {
        const struct spot *k = &w->spots[i];
        ck_assert(kept(&after, slice_of(m->files[k->file].bytes.p + k->pos, k->size)));
    }
    append_on_top(l, s->base, &got);
    ck_assert_int_eq(log_close(l), 0);
    l = open_log(io);
    check_bytes(l, &got, false);
    ck_assert_int_eq(log_close(l), 0);
    image_deinit(&after);
    io_crash_free(io);
    buf_deinit(&got);
}

/* After a kill the batches behind the recovery point are on the disk, and nobody knows whether they
 * were acknowledged. A flip there ends the log, but what was good behind it is set aside. */
START_TEST(test_flips_behind_the_recovery_point)
{
    struct world w;
    struct state state;
    world_init(&w, true);
    ck_assert_int_eq(state_decode(buf_slice(&image_find(&w.image, "state")->bytes), &state), 0);
    unsigned cuts = 0;
    for (size_t i = 0; i < w.count; i++) {
        const struct spot *s = &w.spots[i];
        for (size_t pos = 0; pos < s->size; pos += stride(11)) {
            uint8_t *byte = &w.image.files[s->file].bytes.p[s->pos + pos];
            bool epoch = pos >= BATCH_POS_LEADER_EPOCH && pos < BATCH_POS_MAGIC;
            if (s->base < state.recovery_offset || epoch)
                continue;
            *byte ^= (uint8_t)(1u << pos % 8);
            cut_here(&w, &w.image, i);
            *byte ^= (uint8_t)(1u << pos % 8);
            cuts++;
        }
    }
    ck_assert_uint_gt(cuts, 0);
    ck_assert_int_lt(state.recovery_offset, w.spots[w.count - 1].base); /* one to set aside */
    world_deinit(&w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("damage");
    TCase *c = tcase_create("damage");
    tcase_set_timeout(c, getenv("KAURI_TEST_LONG") != NULL ? 600 : 60);
    tcase_add_test(c, test_flips_in_logs);
    tcase_add_test(c, test_flips_in_derived_files);
    tcase_add_test(c, test_flips_without_state);
    tcase_add_test(c, test_zeroed_blocks);
    tcase_add_test(c, test_lost_ends);
    tcase_add_test(c, test_lost_files);
    tcase_add_test(c, test_flips_behind_the_recovery_point);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
