/* SPDX-License-Identifier: MIT
 *
 * Looking at groups and administering them: what comes page by page is put together.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group_rig.h"

START_TEST(test_list)
{
    struct rig *r = rig_new((struct kauri_options){0});
    struct kauri_groups *all;
    ck_assert_int_eq(kauri_group_list(r->k, &all), 0);
    ck_assert_uint_eq(all->count, 5);
    for (size_t i = 0; i < 5; i++) {
        const struct kauri_group *g = &all->groups[i];
        ck_assert(g->name[0] == (char)('a' + i) && g->generation == 3 && g->member_count == 5);
        ck_assert_str_eq(g->type, "consumer");
        ck_assert_str_eq(g->state, "Stable");
        ck_assert(g->assignment_epoch == 2 && g->state_since_ms == 77);
    }
    kauri_result_free(all);
    kauri_result_free(NULL);
    rig_free(r);
}
END_TEST

/* A group that changes between two pages is asked for again. */
START_TEST(test_describe)
{
    struct rig *r = rig_new((struct kauri_options){0});
    struct kauri_group_detail *d;
    fake_server_lock(r->s);
    r->s->script.moving = (unsigned)_i;
    fake_server_unlock(r->s);
    ck_assert_int_eq(kauri_group_describe(r->k, "x", &d), 0);
    ck_assert_str_eq(d->group.name, "x");
    ck_assert_uint_eq(d->member_count, 5);
    for (size_t i = 0; i < 5; i++) {
        const struct kauri_group_member *m = &d->members[i];
        ck_assert(m->id[0] == 'm' && m->id[1] == (char)('0' + i) && m->epoch == 3);
        ck_assert_uint_eq(m->topic_count, 2);
        ck_assert_str_eq(m->topics[1], "u");
        ck_assert_uint_eq(m->assigned_count, 2);
        ck_assert(strcmp(m->assigned[1].topic, "t") == 0 && m->assigned[1].partition == 5);
        ck_assert_uint_eq(m->target_count, 0);
    }
    kauri_result_free(d);
    fake_server_lock(r->s);
    r->s->script.refuse_calls[KAURI__CALL__CALL_GROUP_DESCRIBE] = 1;
    r->s->script.refuse_status = KAURI__STATUS__UNKNOWN_GROUP;
    fake_server_unlock(r->s);
    ck_assert_int_eq(kauri_group_describe(r->k, "x", &d), KAURI_UNKNOWN_GROUP);
    ck_assert_str_eq(kauri_message(r->k), "no such group");
    rig_free(r);
}
END_TEST

START_TEST(test_offsets)
{
    struct rig *r = rig_new((struct kauri_options){.timeout_ms = 500});
    struct kauri_group_offsets *all;
    fake_server_topic(r->s, "t", 4);
    rig_send_many(r, "t", 1, 9);
    rig_settle(r);
    fake_server_lock(r->s);
    for (int32_t i = 0; i < 5; i++)
        fake_group_put(&r->s->group, "t", i, 2 * i, 1);
    fake_group_put(&r->s->group, "u", 0, 70, 1);
    r->s->script.loading = _i == 0 ? 3 : 1000000;
    fake_server_unlock(r->s);
    ck_assert_int_eq(kauri_group_offsets(r->k, "g", true, &all), 0);
    ck_assert_uint_eq(all->count, 6);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_str_eq(all->rows[i].topic, "t");
        ck_assert(all->rows[i].partition == (int32_t)i && all->rows[i].offset == 2 * (int64_t)i);
    }
    ck_assert_int_eq(all->rows[1].end, _i == 0 ? 9 : -1);
    ck_assert_int_eq(all->rows[1].log_start, _i == 0 ? 0 : -1);
    ck_assert_int_eq(all->rows[5].end, -1); /* no such topic any more */
    kauri_result_free(all);
    rig_free(r);
}
END_TEST

START_TEST(test_history)
{
    struct rig *r = rig_new((struct kauri_options){0});
    struct kauri_group_history *all;
    ck_assert_int_eq(kauri_group_history(r->k, "g", &all), 0);
    ck_assert_uint_eq(all->count, 2);
    const struct kauri_group_rebalance *b = &all->rebalances[1];
    ck_assert(b->began_ms == 5 && b->ended_ms == -1 && b->generation == 8 && b->member_count == 2);
    ck_assert_str_eq(b->cause, "member left");
    ck_assert_str_eq(b->member, "m1");
    ck_assert_str_eq(b->reason, "why");
    kauri_result_free(all);
    rig_free(r);
}
END_TEST

START_TEST(test_delete)
{
    struct rig *r = rig_new((struct kauri_options){0});
    ck_assert_int_eq(kauri_group_delete(r->k, "old"), 0);
    ck_assert_str_eq(r->s->group.deleted, "old");
    fake_server_lock(r->s);
    r->s->script.refuse_calls[KAURI__CALL__CALL_GROUP_DELETE] = 1;
    r->s->script.refuse_status = KAURI__STATUS__GROUP_NOT_EMPTY;
    fake_server_unlock(r->s);
    ck_assert_int_eq(kauri_group_delete(r->k, "old"), KAURI_NOT_EMPTY);
    rig_free(r);
}
END_TEST

START_TEST(test_forget)
{
    struct rig *r = rig_new((struct kauri_options){0});
    struct kauri_topic_partition parts[] = {{"t", 4}, {"read", 0}};
    int errors[2] = {-1, -1};
    ck_assert_int_eq(kauri_group_forget(r->k, "g", parts, 2, errors), KAURI_NOT_EMPTY);
    ck_assert(errors[0] == 0 && errors[1] == KAURI_NOT_EMPTY);
    ck_assert_str_eq(kauri_message(r->k), "topic \"read\" partition 0: a member reads the topic");
    ck_assert_str_eq(r->s->group.forgotten, "t/4");
    ck_assert_int_eq(kauri_group_forget(r->k, "g", parts, 1, NULL), 0);
    ck_assert_int_eq(kauri_group_forget(r->k, "g", NULL, 0, NULL), 0);
    parts[0].topic = NULL;
    ck_assert_int_eq(kauri_group_forget(r->k, "g", parts, 1, NULL), KAURI_BAD_ARGUMENT);
    rig_free(r);
}
END_TEST

/* More than one call's worth; and against a group that has members. */
START_TEST(test_commit)
{
    struct rig *r = rig_new((struct kauri_options){0});
    static struct kauri_commit items[1500];
    static int errors[1500];
    for (size_t i = 0; i < 1500; i++)
        items[i] = (struct kauri_commit){"t", (int32_t)(i % 3), (int64_t)i, NULL};
    fake_server_lock(r->s);
    r->s->group.refuse_rows = 1400; /* the log of the fake is short */
    r->s->group.refuse_row = KAURI__STATUS__OFFSET_OUT_OF_RANGE;
    fake_server_unlock(r->s);
    ck_assert_int_eq(kauri_group_commit(r->k, "g", items, 1500, errors), KAURI_OUT_OF_RANGE);
    ck_assert(errors[1399] == KAURI_OUT_OF_RANGE && errors[1400] == 0 && errors[1499] == 0);
    ck_assert_uint_eq(r->s->group.commit_calls, 2);
    ck_assert_int_eq(fake_group_offset(&r->s->group, "t", 2), 1499);
    ck_assert_int_eq(r->s->group.log[0].epoch, -1);
    fake_server_lock(r->s);
    r->s->group.epoch = 4;
    fake_server_unlock(r->s);
    ck_assert_int_eq(kauri_group_commit(r->k, "g", items, 2, errors), KAURI_NOT_EMPTY);
    ck_assert(errors[0] == KAURI_NOT_EMPTY && errors[1] == KAURI_NOT_EMPTY);
    rig_free(r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client/group_admin");
    TCase *tc = tcase_create("group_admin");
    tcase_set_timeout(tc, 20);
    tcase_add_test(tc, test_list);
    tcase_add_loop_test(tc, test_describe, 0, 3);
    tcase_add_loop_test(tc, test_offsets, 0, 2);
    tcase_add_test(tc, test_history);
    tcase_add_test(tc, test_delete);
    tcase_add_test(tc, test_forget);
    tcase_add_test(tc, test_commit);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
