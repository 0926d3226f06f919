/* SPDX-License-Identifier: MIT
 *
 * log_model: random work on a log and on an array of batches; they never differ.
 */
#include <check.h>
#include <stdlib.h>

#include "test/unit/store/model.h"

#define STEPS 400

static struct log *open_log(struct model *m, const struct rig *g)
{
    struct log_options o = model_options(m, g->io, g->dir);
    struct log *l = NULL;
    ck_assert_int_eq(log_open(&o, &l), 0);
    return l;
}

/* Closes in order, or is killed; both lose what was queued and nothing else. */
static struct log *again(struct model *m, struct rig *g, struct log *l)
{
    if (!g->real && model_below(m, 2) == 0) {
        struct io *next = io_crash_kill(g->io);
        ck_assert_int_le(log_close(l), 0);
        io_crash_free(g->io);
        g->io = next;
    } else {
        ck_assert_int_eq(log_close(l), 0);
    }
    model_drop_queue(m);
    l = open_log(m, g);
    ck_assert_uint_eq(log_recovery(l)->damaged_count, 0);
    model_check(m, l);
    model_repeat(m, l);
    return l;
}

static void run(uint64_t seed, bool real)
{
    struct rig g;
    struct model m;
    model_init(&m, seed);
    rig_init(&g, real);
    struct log *l = open_log(&m, &g);
    for (unsigned i = 0; i < STEPS; i++) {
        ck_assert_int_eq(model_step(&m, l), 0);
        part_check(log_part(l));
        if (model_below(&m, 40) == 0)
            l = again(&m, &g, l);
    }
    ck_assert_int_eq(model_sync(&m, l), 0);
    model_check(&m, l);
    l = again(&m, &g, l);
    ck_assert_int_eq(log_close(l), 0);
    rig_deinit(&g);
    model_deinit(&m);
}

START_TEST(test_crash_disk)
{
    run((uint64_t)_i, false);
}
END_TEST

START_TEST(test_real_disk)
{
    run((uint64_t)_i, true);
}
END_TEST

int main(void)
{
    int seeds = getenv("KAURI_TEST_LONG") != NULL ? 1000 : 40;
    Suite *s = suite_create("log_model");
    TCase *c = tcase_create("log_model");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_crash_disk, 0, seeds);
    tcase_add_loop_test(c, test_real_disk, 0, seeds / 20);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
