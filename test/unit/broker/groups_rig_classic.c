/* SPDX-License-Identifier: MIT
 *
 * groups_rig_classic: a classic group of three members, and the runner of the tests (groups_rig.h).
 */
#include <stdio.h>
#include <stdlib.h>

#include "test/unit/broker/groups_rig.h"

void grig_trio_join(struct grig *g, struct grig_trio *t)
{
    struct grig_call *a = JOIN(g, .member = t->a, .protocols = "range=ma,sticky=na");
    struct grig_call *b = JOIN(g, .member = t->b, .protocols = "range=mb,sticky=nb");
    struct grig_call *s =
        JOIN(g, .member = t->s, .instance = "i", .protocols = "range=ms,sticky=ns");
    ANSWER(a, BROKER_OK);
    ANSWER(b, BROKER_OK);
    ANSWER(s, BROKER_OK);
    t->generation = a->req.join.generation;
    ck_assert_str_eq(grig_text(g, a->req.join.leader), t->a);
    STATE(g, "CompletingRebalance");
}

void grig_trio_sync(struct grig *g, struct grig_trio *t)
{
    char assign[512];
    snprintf(assign, sizeof assign, "%s=A;%s=B;%s=S", t->a, t->b, t->s);
    ANSWER(SYNC(g, .member = t->a, .generation = t->generation, .assign = assign), BROKER_OK);
    ANSWER(SYNC(g, .member = t->b, .generation = t->generation), BROKER_OK);
    ANSWER(SYNC(g, .member = t->s, .instance = "i", .generation = t->generation), BROKER_OK);
    STATE(g, "Stable");
}

void grig_trio(struct grig *g, struct grig_trio *t)
{
    struct grig_call *a = JOIN(g, .protocols = "range=ma,sticky=na");
    ANSWER(a, BROKER_OK);
    t->a = grig_id(a);
    struct grig_call *b = JOIN(g, .protocols = "range=mb,sticky=nb");
    struct grig_call *s = JOIN(g, .instance = "i", .protocols = "range=ms,sticky=ns");
    PARKED(b);
    PARKED(s);
    ANSWER(JOIN(g, .member = t->a, .protocols = "range=ma,sticky=na"), BROKER_OK);
    t->b = grig_id(b);
    t->s = grig_id(s);
    t->generation = b->req.join.generation;
    grig_trio_sync(g, t);
}

int grig_main(const char *suite, const TTest *const *tests, size_t count)
{
    TCase *tc = tcase_create(suite);
    tcase_set_timeout(tc, getenv("KAURI_TEST_LONG") != NULL ? 1200 : 60);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(tc, tests[i]);
    Suite *s = suite_create(suite);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
