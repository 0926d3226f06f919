/* SPDX-License-Identifier: MIT
 *
 * epochs: against a plain array of one epoch an offset; saved and loaded; and the snapshot file
 * that holds them, old ones included.
 */
#include "engine/store/epochs.h"

#include <check.h>
#include <stdlib.h>

#include "engine/base/crc32c.h"
#include "engine/base/random.h"
#include "engine/store/snapshot.h"

#define OFFSETS 400

START_TEST(test_ends)
{
    struct epochs e = {0};
    struct epochs_end r = epochs_end(&e, 3, 50);
    ck_assert_int_eq(r.epoch, 3);
    ck_assert_int_eq(r.end, 50);
    ck_assert_int_eq(epochs_last(&e), EPOCHS_NONE);
    ck_assert_int_eq(epochs_at(&e, 50), EPOCHS_NONE);
    ck_assert(epochs_append(&e, 2, 10));
    ck_assert(epochs_append(&e, 2, 15));
    ck_assert(epochs_append(&e, 5, 20));
    ck_assert(!epochs_append(&e, 4, 25));
    ck_assert(!epochs_append(&e, -1, 25));
    ck_assert(epochs_append(&e, 6, 30));
    ck_assert_uint_eq(e.count, 3);
    static const struct {
        int32_t asked;
        int32_t epoch;
        int64_t end;
    } rows[] = {{0, 0, 10}, {1, 1, 10}, {2, 2, 20}, {3, 2, 20},
                {4, 2, 20}, {5, 5, 30}, {6, 6, 50}, {7, 6, 50}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        r = epochs_end(&e, rows[i].asked, 50);
        ck_assert_int_eq(r.epoch, rows[i].epoch);
        ck_assert_int_eq(r.end, rows[i].end);
    }
    ck_assert_int_eq(epochs_at(&e, 10), EPOCHS_NONE);
    ck_assert_int_eq(epochs_at(&e, 11), 2);
    ck_assert_int_eq(epochs_at(&e, 20), 2);
    ck_assert_int_eq(epochs_at(&e, 21), 5);
    epochs_deinit(&e);
}
END_TEST

/* What the array says of [start, end). */
static void expect(const struct epochs *e, const int32_t *array, int64_t start, int64_t end)
{
    struct epochs want = {0};
    for (int64_t i = start; i < end; i++)
        ck_assert(epochs_append(&want, array[i], i));
    epochs_check(e);
    ck_assert(epochs_equal(e, &want));
    for (int64_t i = start; i < end; i++) {
        int64_t behind = i;
        while (behind < end && array[behind] <= array[i])
            behind++;
        struct epochs_end r = epochs_end(e, array[i], end);
        ck_assert_int_eq(epochs_at(e, i + 1), array[i]);
        ck_assert_int_eq(r.epoch, array[i]);
        ck_assert_int_eq(r.end, behind);
    }
    epochs_deinit(&want);
}

START_TEST(test_model)
{
    struct random r;
    struct epochs e = {0};
    int32_t array[OFFSETS];
    int64_t start = 0, end = 0;
    random_init(&r, (uint64_t)_i);
    for (unsigned i = 0; i < 300 && end < OFFSETS; i++) {
        uint64_t what = random_below(&r, 12);
        if (what == 0) {
            end -= (int64_t)random_below(&r, (uint64_t)(end - start) + 1);
            epochs_cut(&e, end);
        } else if (what == 1) {
            start += (int64_t)random_below(&r, (uint64_t)(end - start) + 1);
            epochs_trim(&e, start);
            epochs_cut(&e, end);
        } else {
            array[end] = end > start ? array[end - 1] : 0;
            array[end] += (int32_t)(random_below(&r, 4) == 0 ? random_below(&r, 5) : 0);
            ck_assert(epochs_append(&e, array[end], end));
            end++;
        }
        expect(&e, array, start, end);
    }
    epochs_deinit(&e);
}
END_TEST

static struct epochs sample(void)
{
    struct epochs e = {0};
    epochs_trim(&e, 5);
    ck_assert(epochs_append(&e, 1, 5));
    ck_assert(epochs_append(&e, 4, 50));
    ck_assert(epochs_append(&e, 9, 95));
    return e;
}

START_TEST(test_saved)
{
    struct epochs e = sample(), back = {0};
    struct buf b = {0};
    epochs_save(&e, &b);
    ck_assert_mem_eq(b.p, "KES1", 4);
    size_t size = b.size;
    buf_append(&b, "more", 4);
    struct slice in = buf_slice(&b);
    ck_assert_int_eq(epochs_load(&back, &in, 96), 0);
    ck_assert(epochs_equal(&e, &back));
    ck_assert(slice_equal(in, slice_str("more")));
    epochs_deinit(&back);
    in = buf_slice(&b);
    ck_assert_int_eq(epochs_load(&back, &in, 95), EPOCHS_DAMAGED); /* begins at the end */
    for (size_t i = 0; i < size; i++) {
        b.p[i] ^= 0x20;
        in = buf_slice(&b);
        ck_assert_int_eq(epochs_load(&back, &in, 96), EPOCHS_DAMAGED);
        ck_assert_uint_eq(back.count, 0);
        ck_assert_uint_eq(in.size, b.size);
        b.p[i] ^= 0x20;
        in = slice_of(b.p, i);
        ck_assert_int_eq(epochs_load(&back, &in, 96), EPOCHS_DAMAGED);
    }
    epochs_deinit(&e);
    epochs_deinit(&back);
    buf_deinit(&b);
}
END_TEST

/* A right checksum over what nobody wrote. */
START_TEST(test_saved_lies)
{
    struct epochs e = sample(), back = {0};
    struct buf b = {0};
    unsigned refused = 0;
    epochs_save(&e, &b);
    for (size_t i = 8; i < b.size; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            b.p[i] ^= (uint8_t)(1u << bit);
            bytes_put_le32(b.p + 4, crc32c(b.p + 8, b.size - 8));
            struct slice in = buf_slice(&b);
            refused += epochs_load(&back, &in, 96) != 0;
            epochs_check(&back);
            epochs_deinit(&back);
            b.p[i] ^= (uint8_t)(1u << bit);
        }
    ck_assert_uint_gt(refused, 150);
    epochs_deinit(&e);
    epochs_deinit(&back);
    buf_deinit(&b);
}
END_TEST

static void put_producer(struct producers *s)
{
    struct batch_header h = {.producer_id = 7, .base_sequence = 0, .base_offset = 40};
    producers_apply(s, &h, 1, NULL);
}

START_TEST(test_snapshot)
{
    struct epochs e = sample(), back = {0};
    struct producers s, loaded;
    struct buf b = {0}, old = {0};
    bool has = false;
    producers_init(&s, 1, 10);
    producers_init(&loaded, 1, 10);
    put_producer(&s);
    snapshot_save(&e, &s, 100, &b);
    ck_assert_int_eq(snapshot_load(buf_slice(&b), 100, &back, &loaded, &has), 0);
    ck_assert(has && epochs_equal(&e, &back));
    ck_assert_uint_eq(loaded.map.count, 1);
    producers_deinit(&loaded);
    producers_init(&loaded, 1, 10);
    epochs_deinit(&back);
    for (size_t i = 0; i < b.size; i++) {
        b.p[i] ^= 1;
        ck_assert_int_eq(snapshot_load(buf_slice(&b), 100, &back, &loaded, &has), SNAPSHOT_DAMAGED);
        ck_assert(back.count == 0 && loaded.map.count == 0);
        b.p[i] ^= 1;
        ck_assert_int_eq(snapshot_load(slice_of(b.p, i), 100, &back, &loaded, &has),
                         SNAPSHOT_DAMAGED);
    }
    ck_assert_int_eq(snapshot_load(buf_slice(&b), 101, &back, &loaded, &has), SNAPSHOT_DAMAGED);
    ck_assert(back.count == 0 && loaded.map.count == 0);
    producers_save(&s, 100, &old); /* as a version without epochs wrote it */
    ck_assert_int_eq(snapshot_load(buf_slice(&old), 100, &back, &loaded, &has), 0);
    ck_assert(!has && back.count == 0);
    ck_assert_uint_eq(loaded.map.count, 1);
    epochs_deinit(&e);
    epochs_deinit(&back);
    producers_deinit(&s);
    producers_deinit(&loaded);
    buf_deinit(&b);
    buf_deinit(&old);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("epochs");
    TCase *c = tcase_create("epochs");
    tcase_add_test(c, test_ends);
    tcase_add_loop_test(c, test_model, 0, 50);
    tcase_add_test(c, test_saved);
    tcase_add_test(c, test_saved_lies);
    tcase_add_test(c, test_snapshot);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
