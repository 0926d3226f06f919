/* SPDX-License-Identifier: MIT
 *
 * client_group_beat: what the member tells the broker, and what it makes of the answers. Answers
 * are only noted here. See client_group.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "net/client/client_priv.h"
#include "proto/frame.h"

void client_group_beat_soon(struct kauri *k)
{
    struct client_group *g = &k->group;
    if (g->beat != NULL)
        g->beat_again = true;
    else
        g->beat_due_ms = 0;
}

/* --- not a member any more --- */

void client_group_lose(struct kauri *k, enum client_group_state to)
{
    struct client_group *g = &k->group;
    g->beat = client_call_free(g->beat);
    g->beat_again = false;
    g->epoch = 0;
    g->target_news = false;
    client_group_move(g, to);
    client_commit_fail_all(k, KAURI_FENCED, "not a member of the group any more");
    g->last = client_commit_free(k, g->last);
    LIST_EACH (node, &k->consume.assignments) {
        struct client_assignment *a = LIST_ENTRY(node, struct client_assignment, link);
        a->revoked = a->grouped;
        g->losing = g->losing || a->grouped;
    }
}

static void client_group_fail(struct kauri *k, Kauri__Status status, const char *said)
{
    struct client_group *g = &k->group;
    client_status_explain(status, said, NULL, -1, g->message);
    g->error = client_status_error(status);
    ASSERT(g->error != 0);
    client_group_lose(k, CLIENT_GROUP_FAILED);
}

/* --- answers --- */

static void client_group_later(struct client_group *g, int64_t now_ms)
{
    g->beat_due_ms = now_ms + client_backoff_ms(g->refusals++);
    g->beat_again = false;
}

/* Another has the instance's name: perhaps this program before it was killed, which the broker
 * notices when the session timeout is over. True while it is worth to wait for that. */
static bool client_group_held(struct client_group *g, int64_t now_ms)
{
    if (g->held_ms == 0)
        g->held_ms = now_ms;
    return now_ms - g->held_ms <= (int64_t)g->options.session_timeout_ms + CLIENT_AGE_MAX_MS;
}

static void client_group_refused(struct kauri *k, Kauri__Status status, const char *said,
                                 int64_t now_ms)
{
    struct client_group *g = &k->group;
    bool fenced =
        status == KAURI__STATUS__UNKNOWN_MEMBER || status == KAURI__STATUS__MEMBER_EPOCH_FENCED;
    bool held = status == KAURI__STATUS__INSTANCE_HELD && client_group_held(g, now_ms);
    if (fenced)
        client_group_lose(k, CLIENT_GROUP_JOINING);
    if (fenced || held || client_status_retriable(status))
        client_group_later(g, now_ms);
    else
        client_group_fail(k, status, said);
}

static int64_t client_group_interval(const struct client_group *g, uint32_t told_ms)
{
    uint32_t interval = told_ms == 0 ? CLIENT_GROUP_INTERVAL_MS : told_ms;
    uint32_t third = g->options.session_timeout_ms / 3 + 1;
    return interval < third ? interval : third;
}

static void client_group_accepted(struct kauri *k, const Kauri__GroupBeatAnswer *b, int64_t now_ms)
{
    struct client_group *g = &k->group;
    if (b->epoch <= 0 || strcmp(b->member, g->member) != 0 ||
        (b->assignment != NULL && !client_parts_take(&g->target, b->assignment))) {
        client_group_fail(k, KAURI__STATUS__BAD_REQUEST, "the broker's answer to a beat is odd");
        return;
    }
    g->epoch = b->epoch;
    g->heard_ms = g->beat_made_ms;
    g->refusals = 0;
    g->held_ms = 0;
    g->target_news = g->target_news || b->assignment != NULL;
    g->interval_ms = client_group_interval(g, b->interval_ms);
    g->beat_due_ms = g->beat_again ? now_ms : now_ms + g->interval_ms;
    g->beat_again = false;
    if (g->state == CLIENT_GROUP_JOINING)
        client_group_move(g, CLIENT_GROUP_MEMBER);
}

static void client_group_answered(struct kauri *k, struct client_call *call,
                                  const struct client_answer *answer)
{
    struct client_group *g = &k->group;
    const Kauri__Answer *a = answer->answer;
    int64_t now = client_now_ms();
    ASSERT(g->beat == call && !g->losing);
    g->beat = client_call_free(call);
    if (g->state == CLIENT_GROUP_LEAVING) {
        if (a->answer_case == KAURI__ANSWER__ANSWER_GROUP_BEAT && a->group_beat->epoch > 0)
            g->epoch = a->group_beat->epoch; /* the last commits need it */
        return;
    }
    if (a->status != KAURI__STATUS__OK)
        client_group_refused(k, a->status, a->message, now);
    else if (a->answer_case != KAURI__ANSWER__ANSWER_GROUP_BEAT)
        client_group_fail(k, KAURI__STATUS__BAD_REQUEST, "the broker's answer to a beat is odd");
    else
        client_group_accepted(k, a->group_beat, now);
}

/* --- sending --- */

/* What is held, as messages. */
struct client_group_owned {
    struct client_assignment **sorted; /* owned, like all of these */
    Kauri__GroupTopic *topics;
    Kauri__GroupTopic **pointers;
    int32_t *partitions;
    Kauri__GroupTopics message;
};

static void client_group_owned_deinit(struct client_group_owned *o)
{
    free(o->sorted);
    free(o->topics);
    free(o->pointers);
    free(o->partitions);
}

static void client_group_owned_init(struct kauri *k, struct client_group_owned *o)
{
    size_t count;
    o->sorted = client_parts_assigned(k, &count);
    o->topics = calloc(count + 1, sizeof *o->topics);
    o->pointers = calloc(count + 1, sizeof *o->pointers);
    o->partitions = calloc(count + 1, sizeof *o->partitions);
    ASSERT(o->topics != NULL && o->pointers != NULL && o->partitions != NULL);
    kauri__group_topics__init(&o->message);
    o->message.topics = o->pointers;
    Kauri__GroupTopic *last = NULL;
    for (size_t i = 0; i < count; i++) {
        o->partitions[i] = o->sorted[i]->partition;
        if (last == NULL || strcmp(last->topic, o->sorted[i]->topic) != 0) {
            last = &o->topics[o->message.n_topics];
            o->pointers[o->message.n_topics++] = last;
            kauri__group_topic__init(last);
            last->topic = o->sorted[i]->topic;
            last->partitions = &o->partitions[i];
        }
        last->n_partitions++;
    }
}

static void client_group_beat_words(const struct client_group *g, Kauri__GroupBeat *b)
{
    const struct kauri_group_options *o = &g->options;
    b->rebalance_timeout_ms = o->rebalance_timeout_ms;
    b->maybe_regex_case = KAURI__GROUP_BEAT__MAYBE_REGEX_REGEX;
    b->regex = frame_borrow(o->regex == NULL ? "" : o->regex);
    if (o->assignor != NULL) {
        b->maybe_assignor_case = KAURI__GROUP_BEAT__MAYBE_ASSIGNOR_ASSIGNOR;
        b->assignor = frame_borrow(o->assignor);
    }
    if (o->rack != NULL) {
        b->maybe_rack_case = KAURI__GROUP_BEAT__MAYBE_RACK_RACK;
        b->rack = frame_borrow(o->rack);
    }
}

static void client_group_beat_who(struct client_group *g, Kauri__GroupBeat *b, int32_t epoch)
{
    kauri__group_beat__init(b);
    b->group = frame_borrow(g->options.group);
    b->member = g->member;
    b->instance = frame_borrow(g->options.instance == NULL ? "" : g->options.instance);
    b->epoch = epoch;
}

static void client_group_beat_send(struct kauri *k, int64_t now_ms)
{
    struct client_group *g = &k->group;
    struct client_group_owned owned CLEANUP(client_group_owned_deinit) = {0};
    Kauri__GroupNames names;
    Kauri__GroupBeat beat;
    Kauri__Call content;
    client_group_owned_init(k, &owned);
    client_group_beat_who(g, &beat, g->epoch);
    client_group_beat_words(g, &beat);
    kauri__group_names__init(&names);
    names.names = (char **)(uintptr_t)g->options.topics;
    names.n_names = g->options.topic_count;
    beat.topics = &names;
    beat.owned = &owned.message;
    kauri__call__init(&content);
    content.call_case = KAURI__CALL__CALL_GROUP_BEAT;
    content.group_beat = &beat;
    g->beat = client_call_new(&content);
    g->beat->done = client_group_answered;
    g->beat_made_ms = now_ms;
    g->beat_again = false;
    client_wire_add(&k->wire, g->beat);
}

void client_group_beat_turn(struct kauri *k, int64_t now_ms)
{
    struct client_group *g = &k->group;
    if (g->beat != NULL || g->losing)
        return;
    if (now_ms >= g->beat_due_ms)
        client_group_beat_send(k, now_ms);
    else
        client_wake(k, g->beat_due_ms);
}

struct client_call *client_group_beat_leave(struct kauri *k, int32_t epoch)
{
    Kauri__GroupBeat beat;
    Kauri__Call content;
    ASSERT(epoch < 0);
    client_group_beat_who(&k->group, &beat, epoch);
    kauri__call__init(&content);
    content.call_case = KAURI__CALL__CALL_GROUP_BEAT;
    content.group_beat = &beat;
    return client_call_new(&content);
}
