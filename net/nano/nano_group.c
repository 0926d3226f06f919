/* SPDX-License-Identifier: MIT
 *
 * nano_group: see nano_group.h. Requests: beat, commit, forget, delete.
 */
#include "net/nano/nano_group.h"

#include "engine/base/assert.h"
#include "net/nano/nano_calls.h"
#include "net/nano/nano_errmap.h"
#include "net/nano/nano_session.h"
#include "proto/frame.h"

/* --- what both files need --- */

char *nano_group_text(struct nano_call *c, struct slice s)
{
    return frame_borrow((const char *)arena_copy(&c->arena, s).p);
}

static Kauri__GroupTopic *nano_group_topic(struct nano_call *c, const struct broker_group_topic *t)
{
    Kauri__GroupTopic *to = arena_alloc(&c->arena, sizeof *to);
    int32_t *partitions = arena_array(&c->arena, t->count, sizeof *partitions);
    if (to == NULL || partitions == NULL)
        return NULL;
    kauri__group_topic__init(to);
    to->topic = nano_group_text(c, t->name);
    to->partitions = partitions;
    to->n_partitions = t->count;
    for (size_t i = 0; i < t->count; i++)
        partitions[i] = t->partitions[i];
    return to->topic == NULL ? NULL : to;
}

Kauri__GroupTopic **nano_group_topics(struct nano_call *c, const struct broker_group_topic *topics,
                                      size_t count)
{
    Kauri__GroupTopic **list = arena_array(&c->arena, count, sizeof *list);
    for (size_t i = 0; list != NULL && i < count; i++) {
        list[i] = nano_group_topic(c, &topics[i]);
        if (list[i] == NULL)
            return NULL;
    }
    return list;
}

static bool nano_group_fits(const char *text, size_t max)
{
    return strnlen(text, max + 1) <= max;
}

/* True when a group may be called so; else the call is answered. */
static bool nano_group_named(struct nano_call *c, const char *group)
{
    if (group[0] != 0 && nano_group_fits(group, BROKER_GROUP_NAME_MAX))
        return true;
    nano_calls_finish_status(c, BROKER_BAD_GROUP_ID, NULL);
    return false;
}

bool nano_group_readable(struct nano_call *c, const char *group)
{
    enum broker_status ready = broker_groups_ready(c->nano->options.broker);
    if (ready != BROKER_OK) {
        nano_calls_finish_status(c, ready, NULL);
        return false;
    }
    return group == NULL || nano_group_named(c, group);
}

/* --- requests --- */

/* An empty string of the protocol is none. */
static struct slice nano_group_maybe(const char *text)
{
    return text[0] == 0 ? SLICE_NULL : slice_str(text);
}

/* The session may go while the request runs: the client's name is copied. nanomsg does not tell
 * where a client of tcp sits. */
static void nano_group_who(struct nano_call *c)
{
    struct slice name = slice_str(c->session->client == NULL ? "" : c->session->client);
    c->group.client_id = arena_copy(&c->arena, name);
    ASSERT(c->group.client_id.p != NULL);
    c->group.client_host = slice_str(c->nano->local ? "local" : "");
}

/* Hands c->group, of which the caller filled what its operation needs, to the broker. */
static void nano_group_start(struct nano_call *c, enum broker_group_op op, const char *group,
                             void (*done)(struct broker_group *req))
{
    ASSERT(c->session != NULL);
    if (broker_groups_ready(c->nano->options.broker) == BROKER_NOT_LEADER) {
        nano_calls_finish_status(c, BROKER_NOT_LEADER, NULL); /* groups are where the leader is */
        return;
    }
    nano_group_who(c);
    c->group.op = op;
    c->group.group = slice_str(group);
    c->group.done = done;
    c->group.ctx = c;
    nano_call_run(c);
    broker_group(c->nano->options.broker, &c->group);
}

/* Takes over who asks. False when a name is too long. */
static bool nano_group_member(struct nano_call *c, const char *member, const char *instance,
                              int32_t epoch)
{
    c->group.member = slice_str(member);
    c->group.instance = nano_group_maybe(instance);
    c->group.generation = epoch;
    return nano_group_fits(member, BROKER_GROUP_NAME_MAX) &&
           nano_group_fits(instance, BROKER_GROUP_NAME_MAX);
}

/* --- beat --- */

static void nano_group_beat_done(struct broker_group *req)
{
    struct nano_call *c = req->ctx;
    const struct broker_group_beat *b = &req->beat;
    ASSERT(req == &c->group && req->op == BROKER_GROUP_BEAT);
    nano_call_end(c);
    if (req->status != BROKER_OK) {
        nano_calls_finish_status(c, req->status, req->message);
        return;
    }
    Kauri__GroupBeatAnswer *body = nano_calls_array(c, 1, sizeof *body);
    kauri__group_beat_answer__init(body);
    body->member = nano_group_text(c, b->member);
    body->epoch = b->epoch;
    body->interval_ms = b->interval_ms > 0 ? (uint32_t)b->interval_ms : 0;
    if (b->has_assignment) {
        body->assignment = nano_calls_array(c, 1, sizeof *body->assignment);
        kauri__group_topics__init(body->assignment);
        body->assignment->topics = nano_group_topics(c, b->assignment, b->assignment_count);
        body->assignment->n_topics = b->assignment_count;
    }
    if (body->member == NULL || (b->has_assignment && body->assignment->topics == NULL)) {
        nano_calls_finish(c, KAURI__STATUS__BATCH_TOO_LARGE, "the assignment is too long");
        return;
    }
    nano_calls_answer(c)->answer_case = KAURI__ANSWER__ANSWER_GROUP_BEAT;
    c->answer->group_beat = body;
    nano_calls_finish(c, KAURI__STATUS__OK, "");
}

static bool nano_group_beat_topics(struct nano_call *c, const Kauri__GroupNames *names)
{
    if (names == NULL)
        return true;
    if (names->n_names > NANO_ITEMS_MAX)
        return false;
    struct slice *topics = nano_calls_array(c, names->n_names, sizeof *topics);
    for (size_t i = 0; i < names->n_names; i++) {
        if (!nano_group_fits(names->names[i], BROKER_GROUP_NAME_MAX))
            return false;
        topics[i] = slice_str(names->names[i]);
    }
    c->group.beat.topics = topics;
    c->group.beat.topic_count = names->n_names;
    return true;
}

static bool nano_group_beat_owned(struct nano_call *c, const Kauri__GroupTopics *held)
{
    size_t total = 0;
    if (held == NULL)
        return true;
    if (held->n_topics > NANO_ITEMS_MAX)
        return false;
    struct broker_group_topic *owned = nano_calls_array(c, held->n_topics, sizeof *owned);
    for (size_t i = 0; i < held->n_topics; i++) {
        const Kauri__GroupTopic *t = held->topics[i];
        if (!nano_group_fits(t->topic, BROKER_GROUP_NAME_MAX) ||
            t->n_partitions > NANO_GROUP_OWNED_MAX - total)
            return false;
        for (size_t j = 0; j < t->n_partitions; j++) {
            if (t->partitions[j] < 0)
                return false;
        }
        total += t->n_partitions;
        owned[i].name = slice_str(t->topic);
        owned[i].partitions = t->partitions;
        owned[i].count = t->n_partitions;
    }
    c->group.beat.owned = owned;
    c->group.beat.owned_count = held->n_topics;
    return true;
}

/* Fields that may be absent: p NULL then. */
static bool nano_group_beat_words(struct nano_call *c, const Kauri__GroupBeat *b)
{
    struct broker_group_beat *to = &c->group.beat;
    to->regex = b->maybe_regex_case == KAURI__GROUP_BEAT__MAYBE_REGEX_REGEX ? slice_str(b->regex)
                                                                            : SLICE_NULL;
    to->assignor = b->maybe_assignor_case == KAURI__GROUP_BEAT__MAYBE_ASSIGNOR_ASSIGNOR
                       ? slice_str(b->assignor)
                       : SLICE_NULL;
    to->rack =
        b->maybe_rack_case == KAURI__GROUP_BEAT__MAYBE_RACK_RACK ? slice_str(b->rack) : SLICE_NULL;
    to->rebalance_timeout_ms = b->rebalance_timeout_ms == 0 ? -1 : (int32_t)b->rebalance_timeout_ms;
    return to->regex.size <= NANO_GROUP_REGEX_MAX && to->assignor.size <= BROKER_GROUP_NAME_MAX &&
           to->rack.size <= BROKER_GROUP_NAME_MAX && b->rebalance_timeout_ms <= INT32_MAX;
}

void nano_group_beat(struct nano_call *c, struct slice raw)
{
    const Kauri__GroupBeat *b = c->request->group_beat;
    (void)raw;
    if (!nano_group_named(c, b->group))
        return;
    if (!nano_group_member(c, b->member, b->instance, b->epoch))
        nano_calls_bad(c, "member or instance: too long");
    else if (b->epoch < BROKER_GROUP_EPOCH_LEAVE_STATIC)
        nano_calls_bad(c, "epoch: below -2");
    else if (!nano_group_beat_words(c, b))
        nano_calls_bad(c, "regex, assignor, rack or rebalance_timeout_ms: out of bounds");
    else if (!nano_group_beat_topics(c, b->topics))
        nano_calls_bad(c, "topics: too many, or a name too long");
    else if (!nano_group_beat_owned(c, b->owned))
        nano_calls_bad(c, "owned: too many partitions, a negative one, or a name too long");
    else
        nano_group_start(c, BROKER_GROUP_BEAT, b->group, nano_group_beat_done);
}

/* --- commit and forget --- */

static Kauri__GroupStatuses *nano_group_statuses(struct nano_call *c)
{
    const struct broker_group_offsets *o = &c->group.commit;
    Kauri__GroupStatuses *body = nano_calls_array(c, 1, sizeof *body);
    kauri__group_statuses__init(body);
    body->n_statuses = o->count;
    body->statuses = nano_calls_array(c, o->count, sizeof *body->statuses);
    for (size_t i = 0; i < o->count; i++)
        body->statuses[i] = nano_errmap_status(o->items[i].status);
    return body;
}

static void nano_group_items_done(struct broker_group *req)
{
    struct nano_call *c = req->ctx;
    ASSERT(req == &c->group && (req->op == BROKER_GROUP_COMMIT || req->op == BROKER_GROUP_FORGET));
    nano_call_end(c);
    if (req->status == BROKER_OK && req->op == BROKER_GROUP_COMMIT) {
        nano_calls_answer(c)->answer_case = KAURI__ANSWER__ANSWER_GROUP_COMMIT;
        c->answer->group_commit = nano_group_statuses(c);
    } else if (req->status == BROKER_OK) {
        nano_calls_answer(c)->answer_case = KAURI__ANSWER__ANSWER_GROUP_FORGET;
        c->answer->group_forget = nano_group_statuses(c);
    }
    nano_calls_finish_status(c, req->status, req->message);
}

/* Room for items; false when there are none or too many. */
static bool nano_group_items(struct nano_call *c, size_t count)
{
    if (count == 0 || count > NANO_ITEMS_MAX)
        return false;
    c->group.commit.items = nano_calls_array(c, count, sizeof *c->group.commit.items);
    c->group.commit.count = count;
    return true;
}

static bool nano_group_commit_items(struct nano_call *c, const Kauri__GroupCommit *m)
{
    if (!nano_group_items(c, m->n_items))
        return false;
    for (size_t i = 0; i < m->n_items; i++) {
        const Kauri__GroupCommitItem *from = m->items[i];
        struct broker_group_offset_item *to = &c->group.commit.items[i];
        if (from->offset < 0 || from->partition < 0 || from->leader_epoch < -1)
            return false;
        to->topic = slice_str(from->topic);
        to->partition = from->partition;
        to->offset = from->offset;
        to->leader_epoch = from->leader_epoch;
        to->metadata = slice_str(from->metadata);
    }
    return true;
}

void nano_group_commit(struct nano_call *c, struct slice raw)
{
    const Kauri__GroupCommit *m = c->request->group_commit;
    (void)raw;
    if (!nano_group_named(c, m->group))
        return;
    if (!nano_group_member(c, m->member, m->instance, m->epoch))
        nano_calls_bad(c, "member or instance: too long");
    else if (m->epoch < -1)
        nano_calls_bad(c, "epoch: below -1");
    else if (!nano_group_commit_items(c, m))
        nano_calls_bad(c, "items: none, too many, or a number that is negative");
    else
        nano_group_start(c, BROKER_GROUP_COMMIT, m->group, nano_group_items_done);
}

void nano_group_forget(struct nano_call *c, struct slice raw)
{
    const Kauri__GroupForget *f = c->request->group_forget;
    (void)raw;
    if (!nano_group_named(c, f->group))
        return;
    if (!nano_group_items(c, f->n_items)) {
        nano_calls_bad(c, "items: none or too many");
        return;
    }
    for (size_t i = 0; i < f->n_items; i++) {
        c->group.commit.items[i].topic = slice_str(f->items[i]->topic);
        c->group.commit.items[i].partition = f->items[i]->partition;
    }
    c->group.generation = -1;
    nano_group_start(c, BROKER_GROUP_FORGET, f->group, nano_group_items_done);
}

/* --- delete --- */

static void nano_group_delete_done(struct broker_group *req)
{
    struct nano_call *c = req->ctx;
    ASSERT(req == &c->group && req->op == BROKER_GROUP_DELETE);
    nano_call_end(c);
    nano_calls_finish_status(c, req->status, req->message);
}

void nano_group_delete(struct nano_call *c, struct slice raw)
{
    const Kauri__GroupDelete *d = c->request->group_delete;
    (void)raw;
    if (!nano_group_named(c, d->group))
        return;
    c->group.generation = -1;
    nano_group_start(c, BROKER_GROUP_DELETE, d->group, nano_group_delete_done);
}
