/* SPDX-License-Identifier: MIT
 *
 * A member of a group against the scripted broker: joining, what is assigned, given up, taken away,
 * refused; leaving.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group_rig.h"
#include "net/client/client_priv.h"

#define BEAT KAURI__CALL__CALL_GROUP_BEAT

START_TEST(test_join)
{
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    struct fake_group *f = &g->r->s->group;
    struct kauri_membership m;
    ck_assert_int_eq(kauri_membership(g->k, &m), KAURI_UNKNOWN_GROUP);
    g->options.regex = "x.*";
    g->options.assignor = "range";
    g->options.rebalance_timeout_ms = 7000;
    g->options.topic_count = 2;
    group_rig_assign(g, "t:1,0 u:3");
    group_rig_subscribe(g);
    ck_assert_int_eq(kauri_membership(g->k, &m), 0);
    ck_assert_int_eq(m.epoch, 0);
    group_rig_told(g, "+t:0,1 +u:3");
    group_rig_holds(g, "t:0,1 u:3");
    fake_server_lock(g->r->s);
    ck_assert_uint_eq(f->joins, 1);
    ck_assert_int_eq(f->beat_epoch, 10);
    ck_assert_str_eq(f->group, "g");
    ck_assert_str_eq(f->topics, "t,u");
    ck_assert_str_eq(f->regex, "x.*");
    ck_assert_str_eq(f->assignor, "range");
    ck_assert_str_eq(f->instance, "");
    ck_assert_uint_eq(f->rebalance_timeout_ms, 7000);
    fake_server_unlock(g->r->s);
    ck_assert_int_eq(kauri_membership(g->k, &m), 0);
    ck_assert(m.epoch == 10 && m.partitions == 3 && strlen(m.member) == 32);
    ck_assert_str_eq(m.member, f->member);
    int64_t next[2] = {0, 0};
    for (int i = 0; i < 40; i++) {
        struct kauri_record r;
        ck_assert_int_eq(kauri_next(g->k, GROUP_WAIT_MS, &r), 0);
        ck_assert_int_eq(r.offset, next[r.partition]++);
    }
    ck_assert(next[0] == 20 && next[1] == 20);
    group_rig_free(g);
}
END_TEST

/* Without news nothing happens; beats go on, even while records are at hand. */
START_TEST(test_quiet)
{
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    group_rig_assign(g, "t:0");
    group_rig_subscribe(g);
    group_rig_told(g, "+t:0");
    fake_server_lock(g->r->s);
    g->r->s->group.keep_quiet = true;
    unsigned before = g->r->s->group.beats;
    fake_server_unlock(g->r->s);
    for (unsigned beats = before; beats < before + 5; beats = fake_server_calls(g->r->s, BEAT)) {
        ck_assert_int_eq(kauri_seek(g->k, "t", 0, 0), 0);
        group_rig_next(g, "t", 0, 0);
    }
    group_rig_told(g, "");
    group_rig_free(g);
}
END_TEST

/* The answer to the first beat is lost, and the broker dies and comes back. */
START_TEST(test_lost_answers)
{
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    group_rig_assign(g, "t:0");
    fake_server_lock(g->r->s);
    g->r->s->script.swallow[BEAT] = 1;
    fake_server_unlock(g->r->s);
    group_rig_subscribe(g);
    group_rig_told(g, "+t:0");
    group_rig_next(g, "t", 0, 0);
    fake_server_stop(g->r->s);
    fake_server_start(g->r->s);
    group_rig_assign(g, "t:0 u:1");
    group_rig_told(g, "+u:1");
    group_rig_next(g, "t", 0, 1);
    group_rig_free(g);
}
END_TEST

START_TEST(test_start)
{
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    int64_t at = -5;
    fake_server_lock(g->r->s);
    fake_group_put(&g->r->s->group, "t", 0, 7, 1);
    fake_server_unlock(g->r->s);
    g->options.reset = (enum kauri_reset)_i;
    group_rig_assign(g, "t:0");
    group_rig_subscribe(g);
    group_rig_told(g, "+t:0");
    group_rig_next(g, "t", 0, 7);
    ck_assert_int_eq(kauri_position(g->k, "t", 0, &at), 0);
    ck_assert_int_eq(at, 8);
    ck_assert_int_eq(kauri_position(g->k, "t", 3, &at), KAURI_UNKNOWN_PARTITION);
    ck_assert_int_eq(kauri_pause(g->k, "t", 0, true), 0);
    group_rig_assign(g, "t:0,1");
    group_rig_told(g, "+t:1");
    struct kauri_record r;
    if (_i == KAURI_RESET_EARLIEST) {
        group_rig_next(g, "t", 1, 0);
    } else if (_i == KAURI_RESET_LATEST) {
        ck_assert_int_eq(kauri_next(g->k, 100, &r), KAURI_AGAIN);
        rig_send_many(g->r, "t", 1, 1);
        group_rig_next(g, "t", 1, 20);
    } else {
        ck_assert_int_eq(kauri_next(g->k, GROUP_WAIT_MS, &r), KAURI_NO_OFFSET);
        ck_assert(strcmp(r.topic, "t") == 0 && r.partition == 1 && r.offset == -1);
        ck_assert_int_eq(kauri_seek(g->k, "t", 1, 5), 0);
        group_rig_next(g, "t", 1, 5);
    }
    group_rig_free(g);
}
END_TEST

/* The committed offset lies outside the log. */
START_TEST(test_out_of_range)
{
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    fake_server_lock(g->r->s);
    fake_group_put(&g->r->s->group, "t", 0, _i == 0 ? 2 : 999, 1);
    rig_partition(g->r, "t", 0)->log_start = 10;
    fake_server_unlock(g->r->s);
    group_rig_assign(g, "t:0");
    group_rig_subscribe(g);
    group_rig_told(g, "+t:0");
    group_rig_next(g, "t", 0, 10);
    group_rig_free(g);
}
END_TEST

static void inside_seek(struct group_rig *g, char what)
{
    if (what == '+')
        ck_assert_int_eq(kauri_seek(g->k, "t", 0, 15), 0);
}

START_TEST(test_seek_inside)
{
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    fake_server_lock(g->r->s);
    fake_group_put(&g->r->s->group, "t", 0, 3, 1);
    fake_server_unlock(g->r->s);
    g->inside = inside_seek;
    group_rig_assign(g, "t:0");
    group_rig_subscribe(g);
    group_rig_next(g, "t", 0, 15);
    group_rig_free(g);
}
END_TEST

/* --- giving up --- */

/* What was handled is committed before `revoked`; nothing of the partition comes afterwards; the
 * broker hears of it only then. */
START_TEST(test_revoke)
{
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    g->options.auto_commit_interval_ms = 3600000;
    group_rig_assign(g, "t:1");
    group_rig_subscribe(g);
    for (int64_t i = 0; i < 5; i++)
        group_rig_next(g, "t", 1, i);
    group_rig_told(g, "+t:1");
    group_rig_commits(g, "t", 1, 0); /* where it began, and the record at hand is not handled */
    group_rig_assign(g, "u:2");
    struct kauri_record r;
    int error = 0;
    int64_t last = 4;
    for (; (error = kauri_next(g->k, 200, &r)) == 0; last = r.offset)
        ck_assert_int_eq(r.offset, last + 1);
    ck_assert_int_eq(error, KAURI_AGAIN);
    group_rig_told(g, "-t:1 +u:2");
    ck_assert_int_eq(g->committed_then, last + 1);
    group_rig_holds(g, "u:2");
    group_rig_assign(g, "t:1"); /* and back again, from the commit on */
    group_rig_told(g, "-u:2 +t:1");
    if (last < 19)
        group_rig_next(g, "t", 1, last + 1);
    group_rig_free(g);
}
END_TEST

/* A record is in work while its partition goes: it is not counted as handled. */
START_TEST(test_revoke_at_hand)
{
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    g->options.auto_commit_interval_ms = 3600000;
    group_rig_assign(g, "t:1");
    group_rig_subscribe(g);
    group_rig_next(g, "t", 1, 0);
    group_rig_next(g, "t", 1, 1);
    group_rig_next(g, "t", 1, 2);
    group_rig_assign(g, "");
    group_rig_told(g, "+t:1 -t:1");
    ck_assert_int_eq(g->committed_then, 2);
    group_rig_holds(g, "");
    struct kauri_record r;
    ck_assert_int_eq(kauri_next(g->k, 50, &r), KAURI_AGAIN);
    ck_assert_int_eq(kauri_seek(g->k, "t", 1, 0), KAURI_UNKNOWN_PARTITION);
    group_rig_free(g);
}
END_TEST

static void inside_commit(struct group_rig *g, char what)
{
    int r = kauri_commit(g->k, NULL, 0);
    ck_assert_int_eq(r, what == '!' ? KAURI_FENCED : 0);
    ck_assert_int_eq(kauri_unsubscribe(g->k), KAURI_BAD_ARGUMENT);
    ck_assert_int_eq(kauri_subscribe(g->k, &g->options), KAURI_BAD_ARGUMENT);
}

/* Manual commits: the callback commits what was handed out. */
START_TEST(test_revoke_manual)
{
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    g->inside = inside_commit;
    group_rig_assign(g, "t:1");
    group_rig_subscribe(g);
    for (int64_t i = 0; i < 3; i++)
        group_rig_next(g, "t", 1, i);
    ck_assert_int_eq(group_rig_committed(g, "t", 1), -1);
    group_rig_assign(g, "");
    group_rig_told(g, "+t:1 -t:1");
    ck_assert_int_eq(g->committed_then, -1);
    ck_assert_int_eq(group_rig_committed(g, "t", 1), 3);
    group_rig_free(g);
}
END_TEST

/* The commit of what is given up finds no success: it is given up all the same, in time. */
START_TEST(test_revoke_without_commit)
{
    struct group_rig *g = group_rig_new((struct kauri_options){.timeout_ms = 200});
    g->options.auto_commit_interval_ms = 3600000;
    group_rig_assign(g, "t:1");
    group_rig_subscribe(g);
    group_rig_next(g, "t", 1, 0);
    group_rig_next(g, "t", 1, 1);
    group_rig_commits(g, "t", 1, 0);
    fake_server_lock(g->r->s);
    g->r->s->script.refuse_calls[KAURI__CALL__CALL_GROUP_COMMIT] = 1000000;
    g->r->s->script.refuse_status = KAURI__STATUS__GROUP_UNAVAILABLE;
    fake_server_unlock(g->r->s);
    group_rig_assign(g, "");
    group_rig_told(g, "+t:1 -t:1");
    ck_assert_int_eq(g->committed_then, 0);
    group_rig_holds(g, "");
    group_rig_free(g);
}
END_TEST

/* --- taken away --- */

static void fence(struct group_rig *g)
{
    fake_server_lock(g->r->s);
    g->r->s->group.epoch += 5;
    fake_server_unlock(g->r->s);
}

START_TEST(test_fenced)
{
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    g->inside = _i == 0 ? NULL : inside_commit;
    group_rig_assign(g, "t:0 u:1");
    group_rig_subscribe(g);
    group_rig_next(g, "t", 0, 0);
    ck_assert_int_eq(kauri_commit(g->k, &(struct kauri_commit){"t", 0, 1, NULL}, 1), 0);
    fence(g);
    group_rig_told(g, "+t:0 +u:1 !t:0 !u:1 +t:0 +u:1");
    ck_assert_uint_eq(g->r->s->group.joins, 2);
    group_rig_next(g, "t", 0, 1);
    group_rig_free(g);
}
END_TEST

START_TEST(test_unknown_member)
{
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    group_rig_assign(g, "t:0");
    group_rig_subscribe(g);
    group_rig_told(g, "+t:0");
    fake_server_lock(g->r->s);
    g->r->s->script.refuse_calls[BEAT] = 3; /* also while joining */
    g->r->s->script.refuse_status = KAURI__STATUS__UNKNOWN_MEMBER;
    fake_server_unlock(g->r->s);
    group_rig_told(g, "!t:0 +t:0");
    ck_assert_uint_eq(g->r->s->group.joins, 2);
    group_rig_free(g);
}
END_TEST

/* No beat gets through: lost after the session timeout, and no record is handed out then though
 * some were fetched. */
START_TEST(test_silence)
{
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    g->options.session_timeout_ms = 300;
    group_rig_assign(g, "t:0");
    group_rig_subscribe(g);
    group_rig_next(g, "t", 0, 0);
    group_rig_told(g, "+t:0");
    fake_server_stop(g->r->s);
    group_rig_told(g, "!t:0");
    struct kauri_record r;
    ck_assert_int_eq(kauri_next(g->k, 0, &r), KAURI_AGAIN);
    fake_server_start(g->r->s);
    group_rig_next(g, "t", 0, 0);
    group_rig_told(g, "+t:0");
    group_rig_free(g);
}
END_TEST

/* The application was away for longer than the session: the first thing it hears is that. */
START_TEST(test_away)
{
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    g->options.session_timeout_ms = 200;
    group_rig_assign(g, "t:0");
    group_rig_subscribe(g);
    group_rig_next(g, "t", 0, 0);
    group_rig_told(g, "+t:0");
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL); /* the time itself is meant */
    group_rig_next(g, "t", 0, 0);
    group_rig_told(g, "!t:0 +t:0");
    group_rig_free(g);
}
END_TEST

/* --- refused --- */

static void refuse(struct group_rig *g, Kauri__Status status, unsigned count)
{
    fake_server_lock(g->r->s);
    g->r->s->script.refuse_calls[BEAT] = count;
    g->r->s->script.refuse_status = status;
    fake_server_unlock(g->r->s);
}

START_TEST(test_refused)
{
    static const struct {
        Kauri__Status status;
        int error;
    } rows[] = {
        {KAURI__STATUS__UNKNOWN_ASSIGNOR, KAURI_BAD_ARGUMENT},
        {KAURI__STATUS__BAD_REGEX, KAURI_BAD_ARGUMENT},
        {KAURI__STATUS__UNKNOWN_GROUP, KAURI_UNKNOWN_GROUP},
        {KAURI__STATUS__GROUP_FULL, KAURI_REFUSED},
        {KAURI__STATUS__INSTANCE_FENCED, KAURI_FENCED},
        {KAURI__STATUS__BAD_GROUP_ID, KAURI_BAD_NAME},
    };
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    struct kauri_record r;
    group_rig_assign(g, "t:0");
    if (_i > 0) { /* not only when joining */
        group_rig_subscribe(g);
        group_rig_told(g, "+t:0");
    }
    refuse(g, rows[_i].status, 1);
    if (_i == 0)
        group_rig_subscribe(g);
    else
        group_rig_told(g, "!t:0");
    ck_assert_int_eq(kauri_next(g->k, GROUP_WAIT_MS, &r), rows[_i].error);
    ck_assert_uint_gt(strlen(kauri_message(g->k)), 0);
    ck_assert(r.topic == NULL && r.partition == -1);
    ck_assert_int_eq(kauri_next(g->k, 0, &r), rows[_i].error); /* as long as it is so */
    ck_assert_int_eq(kauri_commit(g->k, NULL, 0), KAURI_FENCED);
    group_rig_subscribe(g);
    group_rig_next(g, "t", 0, 0);
    group_rig_free(g);
}
END_TEST

/* Passing trouble is waited for. */
START_TEST(test_retried)
{
    static const Kauri__Status rows[] = {KAURI__STATUS__GROUP_LOADING,
                                         KAURI__STATUS__GROUP_UNAVAILABLE, KAURI__STATUS__BUSY,
                                         KAURI__STATUS__STOPPING, KAURI__STATUS__INSTANCE_HELD};
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    g->options.instance = "i1";
    group_rig_assign(g, "t:0");
    refuse(g, rows[_i], 4);
    group_rig_subscribe(g);
    group_rig_next(g, "t", 0, 0);
    ck_assert_str_eq(g->r->s->group.instance, "i1");
    group_rig_free(g);
}
END_TEST

/* --- the subscription --- */

START_TEST(test_resubscribe)
{
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    struct fake_group *f = &g->r->s->group;
    group_rig_assign(g, "t:0");
    group_rig_subscribe(g);
    group_rig_told(g, "+t:0");
    g->topics[0] = "u";
    group_rig_assign(g, "u:0");
    group_rig_subscribe(g);
    group_rig_told(g, "-t:0 +u:0");
    group_rig_holds(g, "u:0");
    fake_server_lock(g->r->s);
    ck_assert_str_eq(f->topics, "u");
    ck_assert_uint_eq(f->joins, 1);
    fake_server_unlock(g->r->s);
    g->options.group = "other";
    ck_assert_int_eq(kauri_subscribe(g->k, &g->options), KAURI_BAD_ARGUMENT);
    g->options.group = "g";
    g->options.instance = "new";
    ck_assert_int_eq(kauri_subscribe(g->k, &g->options), KAURI_BAD_ARGUMENT);
    group_rig_free(g);
}
END_TEST

START_TEST(test_bad_options)
{
    static char longer[CLIENT_GROUP_NAME_MAX + 2];
    static const char *many[CLIENT_GROUP_TOPICS_MAX + 1];
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    memset(longer, 'a', sizeof longer - 1);
    for (size_t i = 0; i <= CLIENT_GROUP_TOPICS_MAX; i++)
        many[i] = "t";
    for (int i = 0; i < 9; i++) {
        struct kauri_group_options o = g->options;
        o.group = i == 0 ? NULL : i == 1 ? "" : i == 2 ? longer : o.group;
        o.topic_count = i == 3 ? 0 : i == 4 ? CLIENT_GROUP_TOPICS_MAX + 1 : o.topic_count;
        o.topics = i == 4 ? many : o.topics;
        o.instance = i == 5 ? longer : o.instance;
        o.regex = i == 6 ? "" : o.regex;
        o.reset = i == 7 ? (enum kauri_reset)9 : o.reset;
        o.rebalance_timeout_ms = i == 8 ? UINT32_MAX : 0;
        ck_assert_int_eq(kauri_subscribe(g->k, &o), KAURI_BAD_ARGUMENT);
        ck_assert_uint_gt(strlen(kauri_message(g->k)), 0);
    }
    ck_assert_int_eq(kauri_assign(g->k, "t", 0, 0), 0);
    ck_assert_int_eq(kauri_subscribe(g->k, &g->options), KAURI_BAD_ARGUMENT);
    ck_assert_int_eq(kauri_unassign(g->k, "t", 0), 0);
    group_rig_subscribe(g);
    ck_assert_int_eq(kauri_assign(g->k, "t", 0, 0), KAURI_BAD_ARGUMENT);
    ck_assert_int_eq(kauri_unassign(g->k, "t", 0), KAURI_BAD_ARGUMENT);
    group_rig_free(g);
}
END_TEST

/* --- leaving --- */

START_TEST(test_unsubscribe)
{
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    struct kauri_membership m;
    g->options.auto_commit_interval_ms = 3600000;
    g->options.instance = _i == 0 ? NULL : "i1";
    group_rig_assign(g, "t:0");
    group_rig_subscribe(g);
    group_rig_next(g, "t", 0, 0);
    group_rig_next(g, "t", 0, 1);
    ck_assert_int_eq(kauri_unsubscribe(g->k), 0);
    group_rig_told(g, "+t:0 -t:0");
    ck_assert_int_eq(group_rig_committed(g, "t", 0), 2);
    ck_assert_int_eq(g->r->s->group.left, -1);
    ck_assert_int_eq(kauri_membership(g->k, &m), KAURI_UNKNOWN_GROUP);
    ck_assert_int_eq(kauri_unsubscribe(g->k), 0);
    ck_assert_int_eq(kauri_assign(g->k, "t", 0, 5), 0); /* by hand now */
    group_rig_next(g, "t", 0, 5);
    group_rig_free(g);
}
END_TEST

START_TEST(test_close)
{
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    g->options.auto_commit_interval_ms = 3600000;
    g->options.instance = _i == 0 ? NULL : "i1";
    group_rig_assign(g, "t:0");
    group_rig_subscribe(g);
    for (int64_t i = 0; i < 4; i++)
        group_rig_next(g, "t", 0, i);
    g->k = g->r->k = kauri_close(g->r->k);
    ck_assert_str_eq(g->told, "+t:0 -t:0");
    ck_assert_int_eq(group_rig_committed(g, "t", 0), 4);
    ck_assert_int_eq(g->r->s->group.left, _i == 0 ? -1 : -2);
    ck_assert_str_eq(g->r->s->group.instance, _i == 0 ? "" : "i1");
    group_rig_free(g);
}
END_TEST

/* A beat is under way most of the time, and each moves the epoch: the last commit still counts, and
 * at once. */
START_TEST(test_close_moving)
{
    struct group_rig *g = group_rig_new((struct kauri_options){0});
    g->options.auto_commit_interval_ms = 3600000;
    fake_server_lock(g->r->s);
    g->r->s->group.interval_ms = 1;
    g->r->s->group.moving = true;
    fake_server_unlock(g->r->s);
    group_rig_assign(g, "t:0");
    group_rig_subscribe(g);
    for (int64_t i = 0; i < 4; i++)
        group_rig_next(g, "t", 0, i);
    while (g->k->group.beat == NULL)
        (void)kauri_poll(g->k, 1);
    int64_t before = client_now_ms();
    g->k = g->r->k = kauri_close(g->r->k);
    ck_assert_int_lt(client_now_ms() - before, 1000);
    ck_assert_int_eq(group_rig_committed(g, "t", 0), 4);
    ck_assert_int_eq(g->r->s->group.left, -1);
    group_rig_free(g);
}
END_TEST

/* Without a broker closing does not wait for long. */
START_TEST(test_close_alone)
{
    struct group_rig *g = group_rig_new((struct kauri_options){.timeout_ms = 300});
    group_rig_assign(g, "t:0");
    group_rig_subscribe(g);
    group_rig_next(g, "t", 0, 0);
    fake_server_stop(g->r->s);
    int64_t before = client_now_ms();
    g->k = g->r->k = kauri_close(g->r->k);
    ck_assert_int_lt(client_now_ms() - before, 2000);
    ck_assert_str_eq(g->told, "+t:0 -t:0");
    group_rig_free(g);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client/group");
    TCase *tc = tcase_create("group");
    tcase_set_timeout(tc, 20);
    tcase_add_test(tc, test_join);
    tcase_add_test(tc, test_quiet);
    tcase_add_test(tc, test_lost_answers);
    tcase_add_loop_test(tc, test_start, 0, 3);
    tcase_add_loop_test(tc, test_out_of_range, 0, 2);
    tcase_add_test(tc, test_seek_inside);
    tcase_add_test(tc, test_revoke);
    tcase_add_test(tc, test_revoke_at_hand);
    tcase_add_test(tc, test_revoke_manual);
    tcase_add_test(tc, test_revoke_without_commit);
    tcase_add_loop_test(tc, test_fenced, 0, 2);
    tcase_add_test(tc, test_unknown_member);
    tcase_add_test(tc, test_silence);
    tcase_add_test(tc, test_away);
    tcase_add_loop_test(tc, test_refused, 0, 6);
    tcase_add_loop_test(tc, test_retried, 0, 5);
    tcase_add_test(tc, test_resubscribe);
    tcase_add_test(tc, test_bad_options);
    tcase_add_loop_test(tc, test_unsubscribe, 0, 2);
    tcase_add_loop_test(tc, test_close, 0, 2);
    tcase_add_test(tc, test_close_moving);
    tcase_add_test(tc, test_close_alone);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
