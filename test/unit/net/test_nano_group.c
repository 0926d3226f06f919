/* SPDX-License-Identifier: MIT
 *
 * test_nano_group: the calls of consumer groups: what the broker is asked, what the client reads,
 * pages, and what is refused.
 */
#include <stdio.h>
#include <stdlib.h>

#include "net/nano/nano_group.h"
#include "proto/frame.h"
#include "rig.h"

static struct rig rig;

static void setup(void)
{
    rig_init(&rig, false);
    rig.options.message_size_max = NANO_MESSAGE_SIZE_MIN;
    rig_open(&rig);
}

static void teardown(void)
{
    rig_close(&rig);
}

static const Kauri__Answer *ask(Kauri__Call *call, Kauri__Status status)
{
    const Kauri__Answer *a =
        rig_answer(&rig, rig.client, rig_send(&rig, rig.client, call, SLICE_NULL));
    ck_assert_msg(a->status == status, "status %d, %s", (int)a->status, a->message);
    return a;
}

static bool same(struct slice s, const char *text)
{
    return s.p != NULL && slice_equal(s, slice_str(text));
}

/* Sends a call and stops at the broker, whose request may be looked at. */
static const struct broker_group *hold(Kauri__Call *call)
{
    rig.broker->hold = true;
    rig_send(&rig, rig.client, call, SLICE_NULL);
    RIG_UNTIL(&rig, rig.broker->last_group != NULL);
    rig.broker->hold = false;
    return rig.broker->last_group;
}

/* --- beat --- */

struct beat {
    Kauri__Call call;
    Kauri__GroupBeat beat;
    Kauri__GroupNames names;
    char *name[2];
    Kauri__GroupTopics owned;
    Kauri__GroupTopic topic;
    Kauri__GroupTopic *topics[1];
    int32_t partitions[2];
};

/* A whole one. */
static void beat_init(struct beat *b)
{
    memset(b, 0, sizeof *b);
    client_call(rig.client, &b->call, KAURI__CALL__CALL_GROUP_BEAT);
    kauri__group_beat__init(&b->beat);
    kauri__group_names__init(&b->names);
    kauri__group_topics__init(&b->owned);
    kauri__group_topic__init(&b->topic);
    b->call.group_beat = &b->beat;
    b->beat.group = frame_borrow("g");
    b->beat.member = frame_borrow("m");
    b->beat.instance = frame_borrow("i");
    b->beat.epoch = 4;
    b->beat.rebalance_timeout_ms = 60000;
    b->name[0] = frame_borrow("t");
    b->name[1] = frame_borrow("u");
    b->names.names = b->name;
    b->names.n_names = 2;
    b->beat.topics = &b->names;
    b->topic.topic = frame_borrow("t");
    b->partitions[1] = 1;
    b->topic.partitions = b->partitions;
    b->topic.n_partitions = 2;
    b->topics[0] = &b->topic;
    b->owned.topics = b->topics;
    b->owned.n_topics = 1;
    b->beat.owned = &b->owned;
    b->beat.maybe_regex_case = KAURI__GROUP_BEAT__MAYBE_REGEX_REGEX;
    b->beat.regex = frame_borrow("");
    b->beat.maybe_assignor_case = KAURI__GROUP_BEAT__MAYBE_ASSIGNOR_ASSIGNOR;
    b->beat.assignor = frame_borrow("range");
    b->beat.maybe_rack_case = KAURI__GROUP_BEAT__MAYBE_RACK_RACK;
    b->beat.rack = frame_borrow("r1");
}

START_TEST(test_beat)
{
    struct beat b;
    beat_init(&b);
    const struct broker_group *req = hold(&b.call);
    ck_assert(req->op == BROKER_GROUP_BEAT && req->generation == 4);
    ck_assert(same(req->group, "g") && same(req->member, "m") && same(req->instance, "i"));
    ck_assert(same(req->client_id, "test") && same(req->client_host, "local"));
    ck_assert_int_eq(req->beat.rebalance_timeout_ms, 60000);
    ck_assert_uint_eq(req->beat.topic_count, 2);
    ck_assert(same(req->beat.topics[1], "u") && same(req->beat.rack, "r1"));
    ck_assert(same(req->beat.regex, "") && same(req->beat.assignor, "range"));
    ck_assert(req->beat.owned_count == 1 && same(req->beat.owned[0].name, "t"));
    ck_assert(req->beat.owned[0].count == 2 && req->beat.owned[0].partitions[1] == 1);
    const Kauri__Answer *a = rig_answer(&rig, rig.client, b.call.id);
    ck_assert_int_eq(a->status, KAURI__STATUS__OK);
    ck_assert_str_eq(a->group_beat->member, "m");
    ck_assert(a->group_beat->epoch == 5 && a->group_beat->interval_ms == 3000);
    ck_assert_uint_eq(a->group_beat->assignment->n_topics, 2);
    ck_assert_str_eq(a->group_beat->assignment->topics[1]->topic, "u");
    ck_assert_uint_eq(a->group_beat->assignment->topics[1]->n_partitions, 2);
    ck_assert_int_eq(a->group_beat->assignment->topics[1]->partitions[1], 1);
}
END_TEST

/* What is absent is told apart from what is empty. */
START_TEST(test_beat_absent)
{
    struct beat b;
    beat_init(&b);
    b.beat.member = b.beat.instance = frame_borrow("");
    b.beat.epoch = 0;
    b.beat.rebalance_timeout_ms = 0;
    b.beat.topics = NULL;
    b.beat.owned = NULL;
    b.beat.maybe_regex_case = KAURI__GROUP_BEAT__MAYBE_REGEX__NOT_SET;
    b.beat.maybe_assignor_case = KAURI__GROUP_BEAT__MAYBE_ASSIGNOR__NOT_SET;
    b.beat.maybe_rack_case = KAURI__GROUP_BEAT__MAYBE_RACK__NOT_SET;
    const struct broker_group *req = hold(&b.call);
    ck_assert(req->beat.topics == NULL && req->beat.owned == NULL && req->instance.p == NULL);
    ck_assert(req->beat.regex.p == NULL && req->beat.assignor.p == NULL);
    ck_assert(req->beat.rack.p == NULL && req->beat.rebalance_timeout_ms == -1);
    const Kauri__Answer *a = rig_answer(&rig, rig.client, b.call.id);
    ck_assert_str_eq(a->group_beat->member, "made");
    ck_assert_ptr_null(a->group_beat->assignment);

    beat_init(&b);
    b.names.n_names = b.owned.n_topics = 0;
    req = hold(&b.call);
    ck_assert(req->beat.topics != NULL && req->beat.topic_count == 0);
    ck_assert(req->beat.owned != NULL && req->beat.owned_count == 0);
    a = rig_answer(&rig, rig.client, b.call.id);
    ck_assert_uint_eq(a->group_beat->assignment->n_topics, 0);
}
END_TEST

START_TEST(test_beat_refused)
{
    static char longer[BROKER_GROUP_NAME_MAX + 2];
    static char regex[NANO_GROUP_REGEX_MAX + 2];
    struct beat b;
    memset(longer, 'a', sizeof longer - 1);
    memset(regex, 'a', sizeof regex - 1);
    for (int i = 0; i < 12; i++) {
        beat_init(&b);
        Kauri__Status wanted = i < 2 ? KAURI__STATUS__BAD_GROUP_ID : KAURI__STATUS__BAD_REQUEST;
        b.beat.group = i == 0 ? longer : i == 1 ? frame_borrow("") : b.beat.group;
        b.beat.member = i == 2 ? longer : b.beat.member;
        b.beat.instance = i == 3 ? longer : b.beat.instance;
        b.beat.epoch = i == 4 ? -3 : b.beat.epoch;
        b.beat.regex = i == 5 ? regex : b.beat.regex;
        b.beat.assignor = i == 6 ? longer : b.beat.assignor;
        b.beat.rack = i == 7 ? longer : b.beat.rack;
        b.beat.rebalance_timeout_ms = i == 8 ? 1u << 31 : 1;
        b.name[1] = i == 9 ? longer : b.name[1];
        b.topic.topic = i == 10 ? longer : b.topic.topic;
        b.partitions[1] = i == 11 ? -1 : 1;
        const Kauri__Answer *a = ask(&b.call, wanted);
        ck_assert_uint_gt(strlen(a->message), 0);
    }
    ck_assert_uint_eq(rig.broker->started, 0);
    beat_init(&b);
    b.beat.group = frame_borrow("nobody");
    ck_assert_str_eq(ask(&b.call, KAURI__STATUS__MEMBER_EPOCH_FENCED)->message, "not this one");
}
END_TEST

START_TEST(test_beat_too_many)
{
    static char *names[NANO_ITEMS_MAX + 1];
    static int32_t partitions[NANO_GROUP_OWNED_MAX + 1];
    struct beat b;
    for (size_t i = 0; i <= NANO_ITEMS_MAX; i++)
        names[i] = frame_borrow("t");
    beat_init(&b);
    b.names.names = names;
    b.names.n_names = NANO_ITEMS_MAX + 1;
    ask(&b.call, KAURI__STATUS__BAD_REQUEST);
    beat_init(&b);
    b.topic.partitions = partitions;
    b.topic.n_partitions = NANO_GROUP_OWNED_MAX + 1;
    ask(&b.call, KAURI__STATUS__BAD_REQUEST);
    beat_init(&b);
    b.topic.partitions = partitions;
    b.topic.n_partitions = NANO_GROUP_OWNED_MAX;
    ask(&b.call, KAURI__STATUS__OK);
}
END_TEST

/* The session goes while the beat is with the broker: nothing of it is touched. */
START_TEST(test_beat_without_session)
{
    struct beat b;
    beat_init(&b);
    const struct broker_group *req = hold(&b.call);
    rig.broker->hold = true;
    rig_answer(&rig, rig.client, rig_hello(&rig, rig.client)); /* begins anew */
    ck_assert(same(req->client_id, "test"));
    fake_broker_complete(rig.broker, 1);
    rig.broker->hold = false;
    ck_assert_uint_eq(rig_stats(&rig).running, 0);
    ck_assert_uint_eq(rig.client->got[b.call.id].times, 0);
}
END_TEST

/* --- commit, forget, delete --- */

START_TEST(test_commit)
{
    Kauri__Call call;
    Kauri__GroupCommit commit;
    Kauri__GroupCommitItem items[2];
    Kauri__GroupCommitItem *list[] = {&items[0], &items[1]};
    kauri__group_commit__init(&commit);
    for (int i = 0; i < 2; i++) {
        kauri__group_commit_item__init(&items[i]);
        items[i].topic = frame_borrow("t");
        items[i].partition = i == 0 ? 0 : 9;
        items[i].offset = 40 + i;
        items[i].leader_epoch = -1;
        items[i].metadata = frame_borrow("why");
    }
    commit.group = frame_borrow("g");
    commit.member = frame_borrow("m");
    commit.epoch = 3;
    commit.items = list;
    commit.n_items = 2;
    client_call(rig.client, &call, KAURI__CALL__CALL_GROUP_COMMIT);
    call.group_commit = &commit;
    const struct broker_group *req = hold(&call);
    ck_assert(req->op == BROKER_GROUP_COMMIT && req->generation == 3 && same(req->member, "m"));
    ck_assert(req->instance.p == NULL && req->commit.count == 2);
    ck_assert(req->commit.items[1].offset == 41 && req->commit.items[1].leader_epoch == -1);
    ck_assert(same(req->commit.items[1].metadata, "why") && same(req->commit.items[1].topic, "t"));
    const Kauri__Answer *a = rig_answer(&rig, rig.client, call.id);
    ck_assert_uint_eq(a->group_commit->n_statuses, 2);
    ck_assert_int_eq(a->group_commit->statuses[0], KAURI__STATUS__OK);
    ck_assert_int_eq(a->group_commit->statuses[1], KAURI__STATUS__UNKNOWN_PARTITION);

    for (int i = 0; i < 5; i++) {
        commit.epoch = i == 0 ? -2 : 3;
        items[0].offset = i == 1 ? -1 : 40;
        items[0].partition = i == 2 ? -1 : 0;
        items[0].leader_epoch = i == 3 ? -2 : -1;
        commit.n_items = i == 4 ? 0 : 2;
        client_call(rig.client, &call, KAURI__CALL__CALL_GROUP_COMMIT);
        call.group_commit = &commit;
        ask(&call, KAURI__STATUS__BAD_REQUEST);
    }
    commit.n_items = 2;
    commit.group = frame_borrow("nope");
    client_call(rig.client, &call, KAURI__CALL__CALL_GROUP_COMMIT);
    call.group_commit = &commit;
    a = ask(&call, KAURI__STATUS__MEMBER_EPOCH_FENCED);
    ck_assert_int_eq(a->answer_case, KAURI__ANSWER__ANSWER__NOT_SET);
}
END_TEST

START_TEST(test_forget_and_delete)
{
    Kauri__Call call;
    Kauri__GroupForget forget;
    Kauri__GroupDelete drop;
    Kauri__GroupPartition item;
    Kauri__GroupPartition *list[] = {&item};
    kauri__group_forget__init(&forget);
    kauri__group_delete__init(&drop);
    kauri__group_partition__init(&item);
    item.topic = frame_borrow("t");
    item.partition = 9;
    forget.group = drop.group = frame_borrow("g");
    forget.items = list;
    forget.n_items = 1;
    client_call(rig.client, &call, KAURI__CALL__CALL_GROUP_FORGET);
    call.group_forget = &forget;
    const struct broker_group *req = hold(&call);
    ck_assert(req->op == BROKER_GROUP_FORGET && req->commit.count == 1);
    ck_assert(same(req->commit.items[0].topic, "t") && req->commit.items[0].partition == 9);
    const Kauri__Answer *a = rig_answer(&rig, rig.client, call.id);
    ck_assert_int_eq(a->group_forget->statuses[0], KAURI__STATUS__UNKNOWN_PARTITION);
    forget.n_items = 0;
    client_call(rig.client, &call, KAURI__CALL__CALL_GROUP_FORGET);
    call.group_forget = &forget;
    ask(&call, KAURI__STATUS__BAD_REQUEST);

    client_call(rig.client, &call, KAURI__CALL__CALL_GROUP_DELETE);
    call.group_delete = &drop;
    req = hold(&call);
    ck_assert(req->op == BROKER_GROUP_DELETE && same(req->group, "g"));
    ck_assert_int_eq(rig_answer(&rig, rig.client, call.id)->status, KAURI__STATUS__OK);
    drop.group = frame_borrow("");
    client_call(rig.client, &call, KAURI__CALL__CALL_GROUP_DELETE);
    call.group_delete = &drop;
    ask(&call, KAURI__STATUS__BAD_GROUP_ID);
}
END_TEST

/* --- looking --- */

/* Every group once, in order, however small the pages. */
START_TEST(test_list)
{
    Kauri__Call call;
    Kauri__GroupList list;
    size_t seen = 0;
    size_t pages = 0;
    bool more = true;
    kauri__group_list__init(&list);
    list.count_max = _i == 0 ? 0 : 7;
    rig.broker->group_count = _i == 0 ? 3000 : 30;
    rig.broker->member_count = 2;
    for (; more; pages++) {
        client_call(rig.client, &call, KAURI__CALL__CALL_GROUP_LIST);
        call.group_list = &list;
        const Kauri__Answer *a = ask(&call, KAURI__STATUS__OK);
        ck_assert_uint_le(kauri__answer__get_packed_size(a), NANO_MESSAGE_SIZE_MIN / 4 + 1024);
        ck_assert_uint_gt(a->group_list->n_groups, 0);
        for (size_t i = 0; i < a->group_list->n_groups; i++) {
            const Kauri__GroupInfo *g = a->group_list->groups[i];
            char name[32];
            snprintf(name, sizeof name, "group-%06zu", seen++);
            ck_assert_str_eq(g->name, name);
            ck_assert_str_eq(g->type, "consumer");
            ck_assert_str_eq(g->state, "Stable");
            ck_assert_str_eq(g->protocol, "uniform");
            ck_assert(g->generation == 7 && g->assignment_epoch == 6 && g->member_count == 2);
            list.after = g->name;
        }
        more = a->group_list->more;
    }
    ck_assert_uint_eq(seen, rig.broker->group_count);
    ck_assert_uint_ge(pages, 3);
}
END_TEST

static const Kauri__Answer *describe(const char *group, uint32_t skip, uint32_t count_max,
                                     Kauri__Status status)
{
    Kauri__Call call;
    Kauri__GroupDescribe d;
    kauri__group_describe__init(&d);
    d.group = frame_borrow(group);
    d.skip = skip;
    d.count_max = count_max;
    client_call(rig.client, &call, KAURI__CALL__CALL_GROUP_DESCRIBE);
    call.group_describe = &d;
    return ask(&call, status);
}

START_TEST(test_describe)
{
    rig.broker->group_count = 2;
    rig.broker->member_count = 40;
    rig.broker->assigned_count = _i == 0 ? 3 : 3000;
    uint32_t seen = 0;
    unsigned pages = 0;
    for (bool more = true; more; pages++) {
        const Kauri__Answer *a = describe("group-000001", seen, _i == 0 ? 9 : 0, KAURI__STATUS__OK);
        ck_assert_str_eq(a->group_describe->info->name, "group-000001");
        ck_assert_uint_gt(a->group_describe->n_members, 0);
        for (size_t i = 0; i < a->group_describe->n_members; i++, seen++) {
            const Kauri__GroupMember *m = a->group_describe->members[i];
            char id[32];
            snprintf(id, sizeof id, "member-%u", seen);
            ck_assert_str_eq(m->member, id);
            ck_assert_str_eq(m->instance, seen == 0 ? "one" : "");
            ck_assert_str_eq(m->topics[0], "t");
            ck_assert_str_eq(m->client, "c");
            ck_assert_str_eq(m->host, "local");
            ck_assert_uint_eq(m->assigned[0]->n_partitions, rig.broker->assigned_count);
            ck_assert_int_eq(m->assigned[0]->partitions[2], 2);
            ck_assert_uint_eq(m->n_target, seen == 0);
        }
        more = a->group_describe->more;
    }
    ck_assert_uint_eq(seen, 40);
    ck_assert_uint_ge(pages, 4);
    ck_assert_uint_eq(describe("group-000001", 40, 0, KAURI__STATUS__OK)->group_describe->n_members,
                      0);
    describe("other", 0, 0, KAURI__STATUS__UNKNOWN_GROUP);
    describe("", 0, 0, KAURI__STATUS__BAD_GROUP_ID);
}
END_TEST

static const Kauri__Answer *offsets(Kauri__GroupOffsets *o, Kauri__Status status)
{
    Kauri__Call call;
    client_call(rig.client, &call, KAURI__CALL__CALL_GROUP_OFFSETS);
    call.group_offsets = o;
    return ask(&call, status);
}

START_TEST(test_offsets)
{
    Kauri__GroupOffsets o;
    size_t seen = 0;
    kauri__group_offsets__init(&o);
    o.group = frame_borrow("group-000000");
    o.count_max = _i == 0 ? 7 : 0;
    o.assigned = _i == 0;
    rig.broker->group_count = 1;
    rig.broker->row_count = _i == 0 ? 40 : 2000;
    rig.broker->partition_count = 3;
    unsigned pages = 0;
    for (bool more = true; more; pages++) {
        const Kauri__Answer *a = offsets(&o, KAURI__STATUS__OK);
        for (size_t i = 0; i < a->group_offsets->n_offsets; i++, seen++) {
            const Kauri__GroupOffset *row = a->group_offsets->offsets[i];
            ck_assert_int_eq(row->partition, (int32_t)(seen % 4));
            bool last = seen == rig.broker->row_count;
            ck_assert_int_eq(row->offset, last ? -1 : 100 + (int64_t)seen);
            ck_assert(row->leader_epoch == 2 && row->commit_ms == 9000 && row->moved_ms == 8000);
            ck_assert_str_eq(row->metadata, "note");
            ck_assert_str_eq(row->owner, seen == 0 ? "member-0" : "");
            bool there = row->partition < 3;
            ck_assert_int_eq(row->status,
                             there ? KAURI__STATUS__OK : KAURI__STATUS__UNKNOWN_PARTITION);
            ck_assert(row->end == (there ? 6 : -1) && row->log_start == (there ? 5 : -1));
            o.after_topic = row->topic;
            o.after_partition = row->partition;
        }
        more = a->group_offsets->more;
    }
    ck_assert_uint_eq(seen, rig.broker->row_count + o.assigned);
    ck_assert_uint_ge(pages, 2);
    o.group = frame_borrow("other");
    offsets(&o, KAURI__STATUS__UNKNOWN_GROUP);
}
END_TEST

/* A group nobody knows has no offsets, and that is an answer. */
START_TEST(test_offsets_of_items)
{
    Kauri__GroupOffsets o;
    Kauri__GroupPartition items[2];
    Kauri__GroupPartition *list[] = {&items[0], &items[1]};
    kauri__group_offsets__init(&o);
    for (int i = 0; i < 2; i++) {
        kauri__group_partition__init(&items[i]);
        items[i].topic = frame_borrow(i == 0 ? "unknown" : "topic-000001");
        items[i].partition = 1;
    }
    o.group = frame_borrow("other");
    o.items = list;
    o.n_items = 2;
    rig.broker->row_count = 8;
    const Kauri__Answer *a = offsets(&o, KAURI__STATUS__OK);
    ck_assert_uint_eq(a->group_offsets->n_offsets, 2);
    ck_assert_int_eq(a->group_offsets->offsets[0]->offset, -1);
    ck_assert_str_eq(a->group_offsets->offsets[0]->topic, "unknown");
    ck_assert_int_eq(a->group_offsets->offsets[1]->offset, 105);
    rig.broker->loading = true;
    offsets(&o, KAURI__STATUS__GROUP_LOADING);
}
END_TEST

START_TEST(test_history)
{
    Kauri__Call call;
    Kauri__GroupHistory history;
    kauri__group_history__init(&history);
    rig.broker->group_count = 1;
    rig.broker->history_count = BROKER_GROUP_HISTORY_MAX;
    history.group = frame_borrow("group-000000");
    client_call(rig.client, &call, KAURI__CALL__CALL_GROUP_HISTORY);
    call.group_history = &history;
    const Kauri__Answer *a = ask(&call, KAURI__STATUS__OK);
    ck_assert_uint_eq(a->group_history->n_rebalances, BROKER_GROUP_HISTORY_MAX);
    const Kauri__GroupRebalance *last = a->group_history->rebalances[BROKER_GROUP_HISTORY_MAX - 1];
    ck_assert_str_eq(last->cause, "member left");
    ck_assert_str_eq(last->reason, "why");
    ck_assert(last->ended_ms == -1 && last->generation == 63 && last->member_count == 3);
    history.group = frame_borrow("other");
    client_call(rig.client, &call, KAURI__CALL__CALL_GROUP_HISTORY);
    call.group_history = &history;
    ask(&call, KAURI__STATUS__UNKNOWN_GROUP);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("group");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_beat);
    tcase_add_test(tc, test_beat_absent);
    tcase_add_test(tc, test_beat_refused);
    tcase_add_test(tc, test_beat_too_many);
    tcase_add_test(tc, test_beat_without_session);
    tcase_add_test(tc, test_commit);
    tcase_add_test(tc, test_forget_and_delete);
    tcase_add_loop_test(tc, test_list, 0, 2);
    tcase_add_loop_test(tc, test_describe, 0, 2);
    tcase_add_loop_test(tc, test_offsets, 0, 2);
    tcase_add_test(tc, test_offsets_of_items);
    tcase_add_test(tc, test_history);
    Suite *s = suite_create("net/nano_group");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
