/* SPDX-License-Identifier: MIT
 *
 * map: random operations against a linear list; iteration; the hash.
 */
#include "engine/base/map.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>

#include "engine/base/random.h"

#define KEY_COUNT 400

struct thing {
    char key[40];
    size_t size;
    int version;
};

static struct slice key_of(const struct thing *t)
{
    return slice_of(t->key, t->size);
}

START_TEST(test_basics)
{
    struct map m;
    int one = 1, two = 2;
    map_init(&m, 7);
    ck_assert_ptr_null(map_get(&m, slice_str("a")));
    ck_assert_ptr_null(map_remove(&m, slice_str("a")));
    ck_assert_ptr_null(map_put(&m, slice_str("a"), &one));
    ck_assert_ptr_null(map_put(&m, slice_str(""), &two));
    ck_assert_ptr_eq(map_get(&m, slice_str("a")), &one);
    ck_assert_ptr_eq(map_get(&m, SLICE_NULL), &two);
    ck_assert_ptr_null(map_get(&m, slice_of("a\0", 2)));
    ck_assert_ptr_eq(map_put(&m, slice_str("a"), &two), &one);
    ck_assert_uint_eq(m.count, 2);
    ck_assert_ptr_eq(map_remove(&m, slice_str("a")), &two);
    ck_assert_ptr_null(map_get(&m, slice_str("a")));
    map_check(&m);
    map_deinit(&m);
    ck_assert_uint_eq(m.count, 0);
    ck_assert_ptr_null(map_get(&m, slice_str("")));
}
END_TEST

/* Keys lie in their values: after a replacement the old value's memory must not be read. */
START_TEST(test_replace_takes_the_new_key)
{
    struct map m;
    map_init(&m, 7);
    char *a = (char *)slice_dup(slice_str("key"));
    char *b = (char *)slice_dup(slice_str("key"));
    ck_assert_ptr_null(map_put(&m, slice_str(a), a));
    ck_assert_ptr_eq(map_put(&m, slice_str(b), b), a);
    memset(a, 'x', 3);
    free(a);
    ck_assert_ptr_eq(map_get(&m, slice_str("key")), b);
    map_deinit(&m);
    free(b);
}
END_TEST

START_TEST(test_numbers)
{
    enum { COUNT = 5000 };
    static int64_t ids[COUNT];
    struct map m;
    map_init(&m, 99);
    for (int i = 0; i < COUNT; i++) {
        ids[i] = i;
        ck_assert_ptr_null(map_put(&m, map_key64(&ids[i]), &ids[i]));
    }
    map_check(&m);
    for (int64_t i = 0; i < COUNT; i++)
        ck_assert_ptr_eq(map_get(&m, map_key64(&i)), &ids[i]);
    int64_t none = COUNT;
    ck_assert_ptr_null(map_get(&m, map_key64(&none)));
    map_deinit(&m);
}
END_TEST

START_TEST(test_iteration)
{
    static bool seen[100];
    static int64_t ids[100];
    struct map m;
    map_init(&m, 1);
    size_t at = 0;
    ck_assert_ptr_null(map_next(&m, &at));
    for (int i = 0; i < 100; i++) {
        ids[i] = i;
        ck_assert_ptr_null(map_put(&m, map_key64(&ids[i]), &ids[i]));
    }
    int count = 0;
    at = 0;
    for (int64_t *id; (id = map_next(&m, &at)) != NULL; count++) {
        ck_assert(!seen[*id]);
        seen[*id] = true;
    }
    ck_assert_int_eq(count, 100);
    ck_assert_ptr_null(map_next(&m, &at));
    map_deinit(&m);
}
END_TEST

/* The dumb map: one thing per key or NULL. Keys of 0 to 39 bytes, so every hash path is met. */
static void make_thing(struct thing *t, size_t k, int version)
{
    t->size = k % 40;
    t->version = version;
    memset(t->key, (int)('a' + k % 23), sizeof t->key);
    if (t->size >= 2) {
        t->key[t->size - 1] = (char)(k & 0xff);
        t->key[t->size - 2] = (char)(k >> 8);
    } else {
        t->size = 2 + k % 38; /* short keys would repeat */
        t->key[0] = (char)(k & 0xff);
        t->key[1] = (char)(0x40 | k >> 8);
    }
}

static struct thing *list_find(struct thing **list, size_t count, struct slice key, size_t *at)
{
    for (*at = 0; *at < count; ++*at)
        if (slice_equal(key_of(list[*at]), key))
            return list[*at];
    return NULL;
}

static void step(struct map *m, struct thing **list, size_t *count, struct thing *t, unsigned op)
{
    size_t at;
    struct thing *there = list_find(list, *count, key_of(t), &at);
    ck_assert_ptr_eq(map_get(m, key_of(t)), there);
    if (op == 0) {
        ck_assert_ptr_eq(map_put(m, key_of(t), t), there);
        list[at] = t;
        *count += there == NULL;
    } else if (op == 1) {
        ck_assert_ptr_eq(map_remove(m, key_of(t)), there);
        if (there != NULL)
            list[at] = list[--*count];
    }
    ck_assert_uint_eq(m->count, *count);
}

START_TEST(test_against_list)
{
    static struct thing things[2][KEY_COUNT];
    static struct thing *list[KEY_COUNT + 1];
    size_t count = 0, count_max = 0;
    struct map m;
    struct random r;
    random_init(&r, (uint64_t)_i);
    map_init(&m, random_u64(&r));
    for (size_t k = 0; k < KEY_COUNT; k++) {
        make_thing(&things[0][k], k, 0);
        make_thing(&things[1][k], k, 1);
    }
    for (int i = 0; i < 100000; i++) {
        size_t keys = (i / 10000) % 2 == 0 ? KEY_COUNT : 30; /* full and nearly empty phases */
        struct thing *t = &things[random_below(&r, 2)][random_below(&r, keys)];
        step(&m, list, &count, t, (unsigned)random_below(&r, 3));
        count_max = count > count_max ? count : count_max;
        if (i % 256 == 0)
            map_check(&m);
    }
    ck_assert_uint_gt(count_max, 100);
    while (count > 0) {
        count--;
        ck_assert_ptr_eq(map_remove(&m, key_of(list[count])), list[count]);
        map_check(&m);
    }
    ck_assert_uint_eq(m.count, 0);
    map_deinit(&m);
}
END_TEST

/* Long runs that wrap round the end of the table: entries are given their hash by choice of key. */
START_TEST(test_runs_that_wrap)
{
    enum { COUNT = 12 }; /* 3/4 of 16 slots */
    static int64_t ids[COUNT];
    struct map m;
    map_init(&m, 3);
    int64_t next = 0;
    for (int i = 0; i < COUNT; i++) {
        do
            ids[i] = next++;
        while ((map_hash(map_key64(&ids[i]), m.seed) & 15) < 13);
        ck_assert_ptr_null(map_put(&m, map_key64(&ids[i]), &ids[i]));
        map_check(&m);
    }
    ck_assert_uint_eq(m.cap, 16);
    for (int i = 0; i < COUNT; i++) {
        int gone = i * 5 % COUNT;
        ck_assert_ptr_eq(map_remove(&m, map_key64(&ids[gone])), &ids[gone]);
        map_check(&m);
    }
    map_deinit(&m);
}
END_TEST

START_TEST(test_check_finds_changed_key)
{
    struct map m;
    int64_t id = 1;
    map_init(&m, 3);
    (void)map_put(&m, map_key64(&id), &id);
    id = 2; /* behind the map's back */
    map_check(&m);
}
END_TEST

/* A flipped bit of key or seed flips about half the hash; sizes matter; equal keys are equal. */
START_TEST(test_hash)
{
    uint8_t key[80];
    struct random r;
    random_init(&r, 9);
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)random_u64(&r);
    for (size_t size = 1; size <= sizeof key; size++) {
        uint64_t hash = map_hash(slice_of(key, size), 5);
        unsigned flipped = 0;
        for (size_t bit = 0; bit < 8 * size; bit++) {
            key[bit / 8] ^= (uint8_t)(1u << bit % 8);
            uint64_t other = map_hash(slice_of(key, size), 5);
            key[bit / 8] ^= (uint8_t)(1u << bit % 8);
            flipped += (unsigned)__builtin_popcountll(hash ^ other);
            ck_assert_uint_ne(hash, other);
        }
        ck_assert_uint_gt(flipped, 8 * size * 24);
        ck_assert_uint_lt(flipped, 8 * size * 40);
        ck_assert_uint_eq(map_hash(slice_of(key, size), 5), hash);
        ck_assert_uint_ne(map_hash(slice_of(key, size), 4), hash);
        ck_assert_uint_ne(map_hash(slice_of(key, size - 1), 5), hash);
        uint8_t padded[81] = {0}; /* zeros behind a key are part of it */
        memcpy(padded, key, size);
        ck_assert_uint_ne(map_hash(slice_of(padded, size + 1), 5), hash);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("map");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_basics);
    tcase_add_test(tc, test_replace_takes_the_new_key);
    tcase_add_test(tc, test_numbers);
    tcase_add_test(tc, test_iteration);
    tcase_add_loop_test(tc, test_against_list, 0, 2);
    tcase_add_test(tc, test_runs_that_wrap);
    tcase_add_test_raise_signal(tc, test_check_finds_changed_key, SIGABRT);
    tcase_add_test(tc, test_hash);
    Suite *suite = suite_create("base/map");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
