/* SPDX-License-Identifier: MIT
 *
 * producers: the table of rules of producers.h, row by row; undo; expiry; snapshots under flips,
 * cuts and lies; a random walk against a model that remembers everything.
 */
#include "engine/store/producers.h"

#include <check.h>
#include <stdlib.h>

#include "engine/base/crc32c.h"
#include "engine/base/random.h"

#define MAX 100

static struct batch_header batch(int64_t id, int16_t epoch, int32_t sequence, int32_t count,
                                 int64_t offset)
{
    return (struct batch_header){.producer_id = id,
                                 .producer_epoch = epoch,
                                 .base_sequence = sequence,
                                 .last_offset_delta = count - 1,
                                 .count = count,
                                 .base_offset = offset,
                                 .max_timestamp = 1000 + offset};
}

static int check(const struct producers *s, struct batch_header h)
{
    struct producers_batch original;
    return producers_check(s, &h, &original);
}

static void apply(struct producers *s, struct batch_header h)
{
    producers_apply(s, &h, 5, NULL);
    producers_check_invariants(s);
}

START_TEST(test_rules)
{
    struct producers s;
    struct producers_batch original;
    producers_init(&s, 1, MAX);
    ck_assert_int_eq(check(&s, batch(7, 2, 40, 3, 0)), 0); /* nothing stored: any sequence */
    apply(&s, batch(7, 2, 40, 3, 100));
    struct batch_header again = batch(7, 2, 40, 3, 0);
    ck_assert_int_eq(producers_check(&s, &again, &original), PRODUCERS_DUPLICATE);
    ck_assert_int_eq(original.base_offset, 100);
    ck_assert_int_eq(original.timestamp, 1100);
    ck_assert_int_eq(check(&s, batch(7, 2, 43, 1, 0)), 0);
    ck_assert_int_eq(check(&s, batch(7, 2, 44, 1, 0)), PRODUCERS_GAP);
    ck_assert_int_eq(check(&s, batch(7, 2, 40, 2, 0)), PRODUCERS_GAP); /* other range */
    ck_assert_int_eq(check(&s, batch(7, 2, 41, 2, 0)), PRODUCERS_GAP);
    ck_assert_int_eq(check(&s, batch(7, 1, 43, 1, 0)), PRODUCERS_FENCED);
    ck_assert_int_eq(check(&s, batch(7, 3, 1, 1, 0)), PRODUCERS_GAP);
    ck_assert_int_eq(check(&s, batch(7, 3, 0, 1, 0)), 0);
    apply(&s, batch(7, 3, 0, 1, 103));
    ck_assert_int_eq(check(&s, batch(7, 2, 43, 1, 0)), PRODUCERS_FENCED);
    ck_assert_int_eq(check(&s, batch(8, 0, 0, 1, 0)), 0);
    producers_deinit(&s);
}
END_TEST

START_TEST(test_without_producer)
{
    struct producers s;
    producers_init(&s, 1, 1);
    struct batch_header none = batch(BATCH_NO_PRODUCER, -1, -1, 3, 0);
    struct batch_header marker = batch(5, 0, -1, 1, 3);
    marker.attributes = BATCH_ATTR_CONTROL;
    ck_assert_int_eq(check(&s, none), 0);
    ck_assert_int_eq(check(&s, marker), 0);
    struct producers_undo undo;
    producers_apply(&s, &none, 1, &undo);
    ck_assert(!undo.used);
    producers_undo(&s, &none, &undo);
    apply(&s, marker);
    ck_assert_uint_eq(s.map.count, 0);
    producers_deinit(&s);
}
END_TEST

START_TEST(test_sequences_wrap)
{
    struct producers s;
    producers_init(&s, 1, MAX);
    apply(&s, batch(1, 0, INT32_MAX - 1, 4, 10)); /* MAX-1, MAX, 0, 1 */
    ck_assert_int_eq(check(&s, batch(1, 0, 2, 1, 0)), 0);
    ck_assert_int_eq(check(&s, batch(1, 0, INT32_MAX - 1, 4, 0)), PRODUCERS_DUPLICATE);
    ck_assert_int_eq(check(&s, batch(1, 0, INT32_MAX, 1, 0)), PRODUCERS_GAP);
    apply(&s, batch(1, 0, 2, 1, 14));
    producers_deinit(&s);
}
END_TEST

START_TEST(test_five_are_remembered)
{
    struct producers s;
    producers_init(&s, 1, MAX);
    for (int i = 0; i < 9; i++)
        apply(&s, batch(1, 0, i, 1, i));
    ck_assert_int_eq(check(&s, batch(1, 0, 4, 1, 0)), PRODUCERS_DUPLICATE);
    ck_assert_int_eq(check(&s, batch(1, 0, 3, 1, 0)), PRODUCERS_GAP);
    producers_deinit(&s);
}
END_TEST

START_TEST(test_limit)
{
    struct producers s;
    producers_init(&s, 1, 3);
    for (int i = 0; i < 3; i++)
        apply(&s, batch(i, 0, 0, 1, i));
    ck_assert_int_eq(check(&s, batch(3, 0, 0, 1, 0)), PRODUCERS_LIMIT);
    ck_assert_int_eq(check(&s, batch(2, 0, 1, 1, 0)), 0);
    producers_deinit(&s);
}
END_TEST

START_TEST(test_expire)
{
    struct producers s;
    producers_init(&s, 1, 1000);
    for (int i = 0; i < 300; i++) {
        struct batch_header h = batch(i, 0, 0, 1, i);
        producers_apply(&s, &h, i, NULL);
    }
    ck_assert_uint_eq(producers_expire(&s, 200), 200);
    ck_assert_uint_eq(s.map.count, 100);
    ck_assert_int_eq(check(&s, batch(199, 0, 9, 1, 0)), 0);
    ck_assert_int_eq(check(&s, batch(200, 0, 9, 1, 0)), PRODUCERS_GAP);
    producers_check_invariants(&s);
    producers_deinit(&s);
}
END_TEST

static void fill(struct producers *s, struct random *r, unsigned steps)
{
    int64_t offset = 0;
    for (unsigned i = 0; i < steps; i++) {
        struct batch_header h =
            batch((int64_t)random_below(r, 9), (int16_t)random_below(r, 3),
                  (int32_t)random_below(r, 20), 1 + (int32_t)random_below(r, 4), offset);
        if (check(s, h) == 0) {
            apply(s, h);
            offset += h.count;
        }
    }
}

static void saved(const struct producers *s, struct buf *out)
{
    struct producers_entry *e;
    for (int64_t id = 0; id < 9; id++) /* in a fixed order, unlike the map's */
        if ((e = map_get(&s->map, map_key64(&id))) != NULL) {
            buf_append(out, &e->id, sizeof e->id);
            buf_append(out, &e->epoch, sizeof e->epoch);
            buf_append(out, &e->last_ms, sizeof e->last_ms);
            buf_append(out, e->batches, e->count * sizeof e->batches[0]);
        }
}

static void assert_same(const struct producers *a, const struct producers *b)
{
    struct buf x = {0}, y = {0};
    saved(a, &x);
    saved(b, &y);
    ck_assert(slice_equal(buf_slice(&x), buf_slice(&y)));
    buf_deinit(&x);
    buf_deinit(&y);
}

/* Applies behind a saved state, taken back in reverse order, leave exactly that state. */
START_TEST(test_undo)
{
    struct producers s, before;
    struct random r;
    struct buf b = {0};
    int64_t at;
    random_init(&r, (uint64_t)_i);
    producers_init(&s, 1, MAX);
    producers_init(&before, 2, MAX);
    fill(&s, &r, 40);
    producers_save(&s, 0, &b);
    ck_assert_int_eq(producers_load(&before, buf_slice(&b), &at), 0);
    struct batch_header done[30];
    struct producers_undo undo[30];
    unsigned n = 0;
    int64_t offset = 1000;
    for (unsigned i = 0; i < 200 && n < 30; i++) {
        struct batch_header h = batch((int64_t)random_below(&r, 9), (int16_t)random_below(&r, 4),
                                      (int32_t)random_below(&r, 20), 1, offset);
        if (check(&s, h) != 0)
            continue;
        done[n] = h;
        producers_apply(&s, &h, 77, &undo[n++]);
        offset++;
    }
    ck_assert_uint_gt(n, 0);
    while (n-- > 0)
        producers_undo(&s, &done[n], &undo[n]);
    assert_same(&s, &before);
    producers_check_invariants(&s);
    producers_deinit(&s);
    producers_deinit(&before);
    buf_deinit(&b);
}
END_TEST

START_TEST(test_snapshot)
{
    struct producers s, loaded;
    struct random r;
    struct buf b = {0};
    int64_t at = -1;
    random_init(&r, (uint64_t)_i);
    producers_init(&s, 1, MAX);
    fill(&s, &r, 60);
    producers_save(&s, 4711, &b);
    producers_init(&loaded, 9, MAX);
    ck_assert_int_eq(producers_load(&loaded, buf_slice(&b), &at), 0);
    ck_assert_int_eq(at, 4711);
    producers_check_invariants(&loaded);
    assert_same(&s, &loaded);
    producers_deinit(&loaded);
    for (size_t i = 0; i < b.size; i++) {
        b.p[i] ^= 0x10;
        ck_assert_int_eq(producers_load(&loaded, buf_slice(&b), &at), PRODUCERS_DAMAGED);
        ck_assert_uint_eq(loaded.map.count, 0);
        b.p[i] ^= 0x10;
        ck_assert_int_eq(producers_load(&loaded, slice_of(b.p, i), &at), PRODUCERS_DAMAGED);
    }
    producers_deinit(&s);
    producers_deinit(&loaded);
    buf_deinit(&b);
}
END_TEST

/* Right checksum, wrong content: what no bug of ours wrote must not become a broken invariant. */
START_TEST(test_snapshot_lies)
{
    struct producers s, loaded;
    struct buf b = {0};
    int64_t at;
    unsigned refused = 0;
    producers_init(&s, 1, MAX);
    apply(&s, batch(1, 0, 0, 2, 10));
    apply(&s, batch(1, 0, 2, 2, 12));
    apply(&s, batch(2, 0, 5, 1, 14));
    producers_save(&s, 15, &b);
    producers_init(&loaded, 1, MAX);
    for (size_t i = 8; i < b.size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            b.p[i] ^= (uint8_t)(1u << bit);
            bytes_put_le32(b.p + 4, crc32c(b.p + 8, b.size - 8));
            if (producers_load(&loaded, buf_slice(&b), &at) != 0)
                refused++;
            producers_check_invariants(&loaded);
            producers_deinit(&loaded);
            producers_init(&loaded, 1, MAX);
            b.p[i] ^= (uint8_t)(1u << bit);
        }
    }
    ck_assert_uint_gt(refused, 100);
    buf_append_u8(&b, 0);
    bytes_put_le32(b.p + 4, crc32c(b.p + 8, b.size - 8));
    ck_assert_int_eq(producers_load(&loaded, buf_slice(&b), &at), PRODUCERS_DAMAGED);
    producers_deinit(&loaded);
    producers_deinit(&s);
    buf_deinit(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("producers");
    TCase *c = tcase_create("producers");
    tcase_add_test(c, test_rules);
    tcase_add_test(c, test_without_producer);
    tcase_add_test(c, test_sequences_wrap);
    tcase_add_test(c, test_five_are_remembered);
    tcase_add_test(c, test_limit);
    tcase_add_test(c, test_expire);
    tcase_add_loop_test(c, test_undo, 0, 20);
    tcase_add_loop_test(c, test_snapshot, 0, 5);
    tcase_add_test(c, test_snapshot_lies);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
