/* SPDX-License-Identifier: MIT
 *
 * list: order, removal while walking, splicing; random operations against an array.
 */
#include "engine/base/list.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/random.h"

struct item {
    int id;
    struct list link;
};

#define ITEM_COUNT 64

/* The ids in order, from both ends, equal `ids`. Fails by hand: Check's own asserts are slow. */
static void check_ids(struct list *head, const int *ids, size_t count)
{
    size_t at = 0;
    list_check(head);
    for (struct list *node = head->next; node != head; node = node->next, at++)
        if (at == count || LIST_ENTRY(node, struct item, link)->id != ids[at])
            ck_abort_msg("place %zu of %zu is wrong", at, count);
    ck_assert_uint_eq(at, count);
    for (struct list *node = head->prev; node != head; node = node->prev)
        if (at == 0 || LIST_ENTRY(node, struct item, link)->id != ids[--at])
            ck_abort_msg("place %zu of %zu is wrong from behind", at, count);
    ck_assert_uint_eq(at, 0);
    ck_assert_int_eq(list_empty(head), count == 0);
}

START_TEST(test_order)
{
    struct list head;
    struct item items[3] = {{.id = 0}, {.id = 1}, {.id = 2}};
    list_init(&head);
    ck_assert(list_empty(&head));
    ck_assert(!list_linked(&items[0].link));
    list_add_tail(&head, &items[1].link);
    list_add_tail(&head, &items[2].link);
    list_add_head(&head, &items[0].link);
    check_ids(&head, (const int[]){0, 1, 2}, 3);
    ck_assert(list_linked(&items[0].link));
    list_remove(&items[1].link);
    ck_assert(!list_linked(&items[1].link));
    list_remove(&items[1].link); /* already out: nothing happens */
    check_ids(&head, (const int[]){0, 2}, 2);
    ck_assert_ptr_eq(list_pop(&head), &items[0].link);
    ck_assert_ptr_eq(list_pop(&head), &items[2].link);
    ck_assert_ptr_null(list_pop(&head));
}
END_TEST

START_TEST(test_walks)
{
    struct list head, odd;
    struct item items[10] = {0};
    list_init(&head);
    list_init(&odd);
    for (int i = 0; i < 10; i++) {
        items[i].id = i;
        list_add_tail(&head, &items[i].link);
    }
    int sum = 0;
    LIST_EACH (node, &head)
        sum += LIST_ENTRY(node, struct item, link)->id;
    ck_assert_int_eq(sum, 45);
    LIST_EACH_SAFE (node, &head) {
        if (LIST_ENTRY(node, struct item, link)->id % 2 == 0)
            continue;
        list_remove(node);
        list_add_tail(&odd, node);
    }
    check_ids(&head, (const int[]){0, 2, 4, 6, 8}, 5);
    check_ids(&odd, (const int[]){1, 3, 5, 7, 9}, 5);
    int pairs = 0;
    LIST_EACH_SAFE (outer, &head)
        LIST_EACH_SAFE (inner, &odd)
            pairs++;
    ck_assert_int_eq(pairs, 25);
}
END_TEST

START_TEST(test_splice)
{
    struct list a, b;
    struct item items[4] = {{.id = 0}, {.id = 1}, {.id = 2}, {.id = 3}};
    list_init(&a);
    list_init(&b);
    list_splice(&a, &b);
    check_ids(&a, NULL, 0);
    list_add_tail(&b, &items[0].link);
    list_add_tail(&b, &items[1].link);
    list_splice(&a, &b);
    check_ids(&a, (const int[]){0, 1}, 2);
    check_ids(&b, NULL, 0);
    list_splice(&a, &b);
    check_ids(&a, (const int[]){0, 1}, 2);
    list_add_tail(&b, &items[2].link);
    list_add_tail(&b, &items[3].link);
    list_splice(&a, &b);
    check_ids(&a, (const int[]){0, 1, 2, 3}, 4);
    check_ids(&b, NULL, 0);
}
END_TEST

static size_t array_find(const int *ids, size_t count, int id)
{
    size_t at = 0;
    while (at < count && ids[at] != id)
        at++;
    return at;
}

START_TEST(test_against_array)
{
    struct list head;
    struct item items[ITEM_COUNT] = {0};
    int ids[ITEM_COUNT];
    size_t count = 0;
    struct random r;
    list_init(&head);
    random_init(&r, 5);
    for (int step = 0; step < 20000; step++) {
        int id = (int)random_below(&r, ITEM_COUNT);
        items[id].id = id;
        size_t at = array_find(ids, count, id);
        ck_assert_int_eq(list_linked(&items[id].link), at < count);
        if (at < count) {
            list_remove(&items[id].link);
            count--;
            memmove(ids + at, ids + at + 1, (count - at) * sizeof ids[0]);
        } else if (step % 2 == 0) {
            list_add_tail(&head, &items[id].link);
            ids[count++] = id;
        } else {
            list_add_head(&head, &items[id].link);
            memmove(ids + 1, ids, count * sizeof ids[0]);
            ids[0] = id;
            count++;
        }
        check_ids(&head, ids, count);
    }
}
END_TEST

/* A node overwritten while it is linked is found at the next removal beside it. */
START_TEST(test_torn_links_abort)
{
    struct list head;
    struct item items[2] = {0};
    list_init(&head);
    list_add_tail(&head, &items[0].link);
    list_add_tail(&head, &items[1].link);
    list_init(&items[0].link);
    list_remove(&items[1].link);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("list");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_order);
    tcase_add_test(tc, test_walks);
    tcase_add_test(tc, test_splice);
    tcase_add_test(tc, test_against_array);
    tcase_add_test_raise_signal(tc, test_torn_links_abort, SIGABRT);
    Suite *suite = suite_create("base/list");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
