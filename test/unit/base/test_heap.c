/* SPDX-License-Identifier: MIT
 *
 * heap: order of deadlines; random operations against a sorted array.
 */
#include "engine/base/heap.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/random.h"

#define TIMER_COUNT 300

struct timer {
    int id;
    struct heap_node node;
};

START_TEST(test_due)
{
    struct heap h = {0};
    struct timer t[3] = {{.id = 0}, {.id = 1}, {.id = 2}};
    ck_assert_ptr_null(heap_first(&h));
    ck_assert_ptr_null(heap_pop_due(&h, INT64_MAX));
    heap_set(&h, &t[0].node, 30);
    heap_set(&h, &t[1].node, 10);
    heap_set(&h, &t[2].node, 20);
    ck_assert_ptr_eq(heap_first(&h), &t[1].node);
    ck_assert_ptr_null(heap_pop_due(&h, 9));
    ck_assert_ptr_eq(heap_pop_due(&h, 10), &t[1].node);
    ck_assert_uint_eq(t[1].node.slot, 0);
    heap_remove(&h, &t[1].node);  /* in no heap: nothing happens */
    heap_set(&h, &t[0].node, 15); /* moves up */
    ck_assert_int_eq(HEAP_ENTRY(heap_first(&h), struct timer, node)->id, 0);
    heap_set(&h, &t[0].node, 25); /* moves down */
    ck_assert_int_eq(HEAP_ENTRY(heap_first(&h), struct timer, node)->id, 2);
    ck_assert_uint_eq(h.count, 2);
    heap_deinit(&h);
    ck_assert_uint_eq(t[0].node.slot, 0);
    ck_assert_uint_eq(t[2].node.slot, 0);
}
END_TEST

START_TEST(test_extreme_times)
{
    struct heap h = {0};
    struct timer t[3] = {0};
    heap_set(&h, &t[0].node, INT64_MAX);
    heap_set(&h, &t[1].node, INT64_MIN);
    heap_set(&h, &t[2].node, 0);
    ck_assert_ptr_eq(heap_pop_due(&h, INT64_MIN), &t[1].node);
    ck_assert_ptr_eq(heap_pop_due(&h, 0), &t[2].node);
    ck_assert_ptr_null(heap_pop_due(&h, INT64_MAX - 1));
    ck_assert_ptr_eq(heap_pop_due(&h, INT64_MAX), &t[0].node);
    heap_deinit(&h);
}
END_TEST

/* The dumb heap: timers sorted by (at), found by a linear search. */
struct model {
    struct timer *sorted[TIMER_COUNT];
    size_t count;
};

static void model_remove(struct model *m, const struct timer *t)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->sorted[i] != t)
            continue;
        m->count--;
        memmove(m->sorted + i, m->sorted + i + 1, (m->count - i) * sizeof m->sorted[0]);
        return;
    }
}

static void model_add(struct model *m, struct timer *t, int64_t at)
{
    size_t i = m->count++;
    for (; i > 0 && m->sorted[i - 1]->node.at > at; i--)
        m->sorted[i] = m->sorted[i - 1];
    m->sorted[i] = t;
}

static void step(struct heap *h, struct model *m, struct timer *t, struct random *r)
{
    int64_t at = (int64_t)random_below(r, 1000);
    switch (random_below(r, 4)) {
    case 0:
    case 1:
        model_remove(m, t);
        model_add(m, t, at);
        heap_set(h, &t->node, at);
        break;
    case 2:
        model_remove(m, t);
        heap_remove(h, &t->node);
        break;
    case 3: {
        struct heap_node *node = heap_pop_due(h, at / 4);
        ck_assert_int_eq(node != NULL, m->count > 0 && m->sorted[0]->node.at <= at / 4);
        if (node != NULL) {
            ck_assert_int_eq(node->at, m->sorted[0]->node.at);
            model_remove(m, HEAP_ENTRY(node, struct timer, node));
        }
        break;
    }
    }
}

START_TEST(test_against_sorted_array)
{
    static struct timer timers[TIMER_COUNT];
    static struct model model;
    struct heap h = {0};
    struct random r;
    random_init(&r, (uint64_t)_i);
    for (int i = 0; i < 100000; i++) {
        step(&h, &model, &timers[random_below(&r, TIMER_COUNT)], &r);
        ck_assert_uint_eq(h.count, model.count);
        if (model.count > 0)
            ck_assert_int_eq(heap_first(&h)->at, model.sorted[0]->node.at);
        if (i % 64 == 0)
            heap_check(&h);
    }
    ck_assert_uint_gt(h.cap, 16);
    for (size_t i = model.count; i > 0; i--) {
        struct heap_node *node = heap_pop_due(&h, INT64_MAX);
        ck_assert_int_eq(node->at, model.sorted[model.count - i]->node.at);
    }
    ck_assert_ptr_null(heap_first(&h));
    heap_deinit(&h);
}
END_TEST

START_TEST(test_check_finds_disorder)
{
    struct heap h = {0};
    struct timer t[2] = {0};
    heap_set(&h, &t[0].node, 1);
    heap_set(&h, &t[1].node, 2);
    t[0].node.at = 3; /* behind the heap's back */
    heap_check(&h);
}
END_TEST

START_TEST(test_other_heap_aborts)
{
    struct heap a = {0}, b = {0};
    struct timer t[2] = {0};
    heap_set(&a, &t[0].node, 1);
    heap_set(&b, &t[1].node, 1);
    heap_remove(&b, &t[0].node);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("heap");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_due);
    tcase_add_test(tc, test_extreme_times);
    tcase_add_loop_test(tc, test_against_sorted_array, 0, 2);
    tcase_add_test_raise_signal(tc, test_check_finds_disorder, SIGABRT);
    tcase_add_test_raise_signal(tc, test_other_heap_aborts, SIGABRT);
    Suite *suite = suite_create("base/heap");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
