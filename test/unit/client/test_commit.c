/* SPDX-License-Identifier: MIT
 *
 * Commits: what counts as handled, order, retries, failures.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group_rig.h"
#include "net/client/client_priv.h"

#define COMMIT KAURI__CALL__CALL_GROUP_COMMIT

static struct group_rig *start(uint32_t interval_ms, const char *target)
{
    struct group_rig *g = group_rig_new((struct kauri_options){.timeout_ms = 2000});
    g->options.auto_commit_interval_ms = interval_ms;
    group_rig_assign(g, target);
    group_rig_subscribe(g);
    return g;
}

/* The record that was returned last is in work until the next is asked for, whatever else is
 * called meanwhile. */
START_TEST(test_boundary)
{
    struct group_rig *g = start(10, "t:0");
    for (int64_t i = 0; i < 20; i++) {
        group_rig_next(g, "t", 0, i);
        group_rig_commits(g, "t", 0, i);
        group_rig_spend(g, 30);
        rig_send_many(g->r, "u", 0, 1);
        ck_assert_int_eq(kauri_flush(g->k, 2000), 0);
        ck_assert_int_eq(group_rig_committed(g, "t", 0), i);
    }
    struct kauri_record r;
    ck_assert_int_eq(kauri_next(g->k, 20, &r), KAURI_AGAIN); /* came back from the last one */
    group_rig_commits(g, "t", 0, 20);
    unsigned calls = fake_server_calls(g->r->s, COMMIT);
    group_rig_spend(g, 50); /* nothing new: nothing is committed */
    ck_assert_uint_eq(fake_server_calls(g->r->s, COMMIT), calls);
    group_rig_free(g);
}
END_TEST

/* A consumer that dies at any moment repeats, and never skips: at no time is more committed than
 * what was handled. */
START_TEST(test_never_ahead)
{
    struct group_rig *g = start(1, "t:0,1");
    int64_t next[2] = {0, 0};
    int32_t hand = -1;
    for (int i = 0; i < 40; i++) {
        struct kauri_record r;
        ck_assert_int_eq(kauri_next(g->k, GROUP_WAIT_MS, &r), 0);
        ck_assert_int_eq(r.offset, next[r.partition]);
        next[r.partition]++;
        hand = r.partition;
        for (int32_t p = 0; p < 2; p++)
            ck_assert_int_le(group_rig_committed(g, "t", p), next[p] - (p == hand));
    }
    ck_assert_int_eq(kauri_unsubscribe(g->k), 0);
    ck_assert_int_eq(group_rig_committed(g, "t", 0), 20);
    ck_assert_int_eq(group_rig_committed(g, "t", 1), 20);
    group_rig_free(g);
}
END_TEST

/* Where a partition without a commit begins is committed at once: a member that comes next begins
 * there too, and skips nothing that came meanwhile. */
START_TEST(test_beginning)
{
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    g->options.auto_commit_interval_ms = 3600000;
    g->options.reset = KAURI_RESET_LATEST;
    group_rig_assign(g, "t:0");
    group_rig_subscribe(g);
    group_rig_commits(g, "t", 0, 20);
    ck_assert_int_eq(kauri_seek(g->k, "t", 0, 4), 0);
    ck_assert_int_eq(kauri_unsubscribe(g->k), 0);
    ck_assert_int_eq(group_rig_committed(g, "t", 0), 4); /* a seek counts */
    group_rig_free(g);
}
END_TEST

START_TEST(test_manual)
{
    struct group_rig *g = start(UINT32_MAX, "t:0");
    int64_t offset = 0;
    ck_assert_int_eq(kauri_committed(g->k, "t", 0, &offset), 0);
    ck_assert_int_eq(offset, -1);
    for (int64_t i = 0; i < 20; i++)
        group_rig_next(g, "t", 0, i);
    group_rig_assign(g, "t:0,1");
    group_rig_next(g, "t", 1, 0);
    group_rig_spend(g, 50);
    ck_assert_uint_eq(fake_server_calls(g->r->s, COMMIT), 0);
    ck_assert_int_eq(kauri_commit(g->k, NULL, 0), 0);
    ck_assert_int_eq(group_rig_committed(g, "t", 0), 20);
    ck_assert_int_eq(group_rig_committed(g, "t", 1), 1); /* with the one at hand */
    ck_assert_int_eq(kauri_commit(g->k, NULL, 0), 0);
    ck_assert_uint_eq(fake_server_calls(g->r->s, COMMIT), 1); /* nothing was new */
    struct kauri_commit back = {"t", 0, 7, "why"};
    ck_assert_int_eq(kauri_commit(g->k, &back, 1), 0);
    ck_assert_int_eq(kauri_committed(g->k, "t", 0, &offset), 0);
    ck_assert_int_eq(offset, 7);
    ck_assert_int_eq(kauri_unsubscribe(g->k), 0);
    ck_assert_int_eq(group_rig_committed(g, "t", 1), 1); /* leaving commits nothing */
    ck_assert_int_eq(kauri_commit(g->k, &back, 1), KAURI_UNKNOWN_GROUP);
    ck_assert_int_eq(kauri_committed(g->k, "t", 0, &offset), KAURI_UNKNOWN_GROUP);
    group_rig_free(g);
}
END_TEST

START_TEST(test_bad)
{
    struct group_rig *g = start(UINT32_MAX, "t:0");
    group_rig_next(g, "t", 0, 0);
    ck_assert_int_eq(kauri_commit(g->k, &(struct kauri_commit){NULL, 0, 1, NULL}, 1),
                     KAURI_BAD_ARGUMENT);
    ck_assert_int_eq(kauri_commit(g->k, &(struct kauri_commit){"t", -1, 1, NULL}, 1),
                     KAURI_BAD_ARGUMENT);
    ck_assert_int_eq(kauri_commit(g->k, &(struct kauri_commit){"t", 0, -1, NULL}, 1),
                     KAURI_BAD_ARGUMENT);
    fake_server_lock(g->r->s);
    g->r->s->group.refuse_rows = 1;
    g->r->s->group.refuse_row = KAURI__STATUS__OFFSET_OUT_OF_RANGE;
    fake_server_unlock(g->r->s);
    struct kauri_commit two[] = {{"t", 0, 99, NULL}, {"t", 1, 3, NULL}};
    ck_assert_int_eq(kauri_commit(g->k, two, 2), KAURI_OUT_OF_RANGE);
    ck_assert_str_eq(kauri_message(g->k), "topic \"t\" partition 0: the offset is out of range");
    ck_assert_int_eq(group_rig_committed(g, "t", 0), -1);
    ck_assert_int_eq(group_rig_committed(g, "t", 1), 3);
    group_rig_free(g);
}
END_TEST

struct done {
    int count;
    int errors[8];
    int64_t order[8]; /* what was committed then */
    struct group_rig *g;
};

static void async_done(void *ctx, int error, const char *message)
{
    struct done *d = ctx;
    ck_assert_int_lt(d->count, 8);
    ck_assert((error == 0) == (message[0] == '\0'));
    d->errors[d->count] = error;
    d->order[d->count++] = group_rig_committed(d->g, "t", 0);
}

static void wait_done(struct done *d, int count)
{
    for (int i = 0; d->count < count && i < 500; i++)
        (void)kauri_poll(d->g->k, 10);
    ck_assert_int_eq(d->count, count);
}

/* One after the other, though answers are lost: none turns the group back. */
START_TEST(test_async)
{
    struct group_rig *g = start(UINT32_MAX, "t:0");
    struct done d = {.g = g};
    group_rig_next(g, "t", 0, 0);
    fake_server_lock(g->r->s);
    g->r->s->script.swallow[COMMIT] = 2;
    fake_server_unlock(g->r->s);
    for (int64_t i = 1; i <= 5; i++)
        ck_assert_int_eq(
            kauri_commit_async(g->k, &(struct kauri_commit){"t", 0, i, NULL}, 1, async_done, &d),
            0);
    ck_assert_int_eq(d.count, 0); /* not inside the call */
    wait_done(&d, 5);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(d.errors[i], 0);
    for (size_t i = 1; i < g->r->s->group.log_count; i++)
        ck_assert_int_ge(g->r->s->group.log[i].offset, g->r->s->group.log[i - 1].offset);
    ck_assert_int_eq(group_rig_committed(g, "t", 0), 5);
    ck_assert_int_eq(
        kauri_commit_async(g->k, &(struct kauri_commit){"t", 0, 6, NULL}, 1, async_done, &d), 0);
    ck_assert_int_eq(kauri_unsubscribe(g->k), 0); /* waits for it */
    ck_assert(d.count == 6 && d.errors[5] == 0);
    group_rig_free(g);
}
END_TEST

/* The member's epoch moved on: the next beat tells, then the commit goes out again. */
START_TEST(test_stale)
{
    struct group_rig *g = start(UINT32_MAX, "t:0");
    group_rig_next(g, "t", 0, 0);
    fake_server_lock(g->r->s);
    g->r->s->group.interval_ms = 3600000;
    fake_server_unlock(g->r->s);
    group_rig_spend(g, 100);
    fake_server_lock(g->r->s);
    g->r->s->group.epoch++;
    fake_server_unlock(g->r->s);
    ck_assert_int_eq(kauri_commit(g->k, NULL, 0), 0);
    ck_assert_int_eq(g->r->s->group.log[0].epoch, 11);
    ck_assert_uint_ge(fake_server_calls(g->r->s, COMMIT), 2);
    group_rig_free(g);
}
END_TEST

START_TEST(test_fenced)
{
    struct group_rig *g = start(UINT32_MAX, "t:0");
    struct done d = {.g = g};
    group_rig_next(g, "t", 0, 0);
    fake_server_lock(g->r->s);
    if (_i == 0)
        g->r->s->group.epoch += 5;
    else
        (void)snprintf(g->r->s->group.member, sizeof g->r->s->group.member, "another");
    fake_server_unlock(g->r->s);
    ck_assert_int_eq(kauri_commit_async(g->k, NULL, 0, async_done, &d), 0);
    ck_assert_int_eq(kauri_commit(g->k, NULL, 0), KAURI_FENCED);
    wait_done(&d, 1);
    ck_assert_int_eq(d.errors[0], KAURI_FENCED);
    group_rig_told(g, "+t:0 !t:0 +t:0");
    ck_assert_int_eq(group_rig_committed(g, "t", 0), -1);
    group_rig_free(g);
}
END_TEST

START_TEST(test_retried)
{
    struct group_rig *g = start(UINT32_MAX, "t:0");
    group_rig_next(g, "t", 0, 0);
    fake_server_lock(g->r->s);
    g->r->s->script.refuse_calls[COMMIT] = _i == 0 ? 3 : 100000;
    g->r->s->script.refuse_status = KAURI__STATUS__GROUP_LOADING;
    fake_server_unlock(g->r->s);
    ck_assert_int_eq(kauri_commit(g->k, NULL, 0), _i == 0 ? 0 : KAURI_TIMED_OUT);
    ck_assert_int_eq(group_rig_committed(g, "t", 0), _i == 0 ? 1 : -1);
    group_rig_free(g);
}
END_TEST

START_TEST(test_too_many)
{
    struct group_rig *g = start(UINT32_MAX, "t:0");
    struct kauri_commit one = {"t", 0, 1, NULL};
    group_rig_next(g, "t", 0, 0);
    for (int i = 0; i < CLIENT_COMMITS_MAX; i++)
        ck_assert_int_eq(kauri_commit_async(g->k, &one, 1, NULL, NULL), 0);
    ck_assert_int_eq(kauri_commit_async(g->k, &one, 1, NULL, NULL), KAURI_AGAIN);
    ck_assert_int_eq(kauri_commit(g->k, &one, 1), KAURI_AGAIN);
    fake_server_stop(g->r->s); /* what is left fails with the member */
    group_rig_free(g);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client/commit");
    TCase *tc = tcase_create("commit");
    tcase_set_timeout(tc, 20);
    tcase_add_test(tc, test_boundary);
    tcase_add_test(tc, test_never_ahead);
    tcase_add_test(tc, test_beginning);
    tcase_add_test(tc, test_manual);
    tcase_add_test(tc, test_bad);
    tcase_add_test(tc, test_async);
    tcase_add_test(tc, test_stale);
    tcase_add_loop_test(tc, test_fenced, 0, 2);
    tcase_add_loop_test(tc, test_retried, 0, 2);
    tcase_add_test(tc, test_too_many);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
