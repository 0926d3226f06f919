/* SPDX-License-Identifier: MIT
 *
 * client_group_admin: looking at groups and administering them. Long lists come page by page and
 * are put together here; a result and all it points to are one block of memory for the caller.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "net/client/client_priv.h"
#include "net/client/client_result.h"
#include "proto/frame.h"

#define CLIENT_RESULT_TRIES_MAX 4 /* when a group changes between two pages */

/* --- asking --- */

static void client_group_content(Kauri__Call *content, Kauri__Call__CallCase kind)
{
    kauri__call__init(content);
    content->call_case = kind;
}

/* --- list --- */

static struct kauri_group client_group_info(struct client_result *r, const Kauri__GroupInfo *g)
{
    return (struct kauri_group){
        .name = client_result_text(r, g->name),
        .type = client_result_text(r, g->type),
        .state = client_result_text(r, g->state),
        .protocol_type = client_result_text(r, g->protocol_type),
        .protocol = client_result_text(r, g->protocol),
        .leader = client_result_text(r, g->leader),
        .generation = g->generation,
        .assignment_epoch = g->assignment_epoch,
        .member_count = g->member_count,
        .offset_count = g->offset_count,
        .state_since_ms = g->state_since_ms,
    };
}

/* One page behind *after, which moves on; NULL at the end. */
static int client_group_list_page(struct kauri *k, struct client_result *result, const char **after)
{
    Kauri__Call content;
    Kauri__GroupList list;
    kauri__group_list__init(&list);
    client_group_content(&content, KAURI__CALL__CALL_GROUP_LIST);
    list.after = frame_borrow(*after);
    content.group_list = &list;
    struct client_ask ask CLEANUP(client_ask_done);
    int r = client_result_ask(k, &ask, &content, KAURI__ANSWER__ANSWER_GROUP_LIST);
    if (r != 0)
        return r;
    const Kauri__GroupListAnswer *a = ask.answer.answer->group_list;
    for (size_t i = 0; i < a->n_groups; i++) {
        struct kauri_group g = client_group_info(result, a->groups[i]);
        if (strcmp(g.name, *after) <= 0 || !client_result_add(result, &g, sizeof g))
            return client_admin_odd(k); /* pages must go forward */
        *after = g.name;
    }
    if (a->more && a->n_groups == 0)
        return client_admin_odd(k);
    if (!a->more)
        *after = NULL;
    return 0;
}

int kauri_group_list(struct kauri *k, struct kauri_groups **out)
{
    ASSERT(k != NULL && out != NULL);
    struct kauri_groups *groups;
    struct client_result *result CLEANUP(client_result_cleanup) = client_result_new(sizeof *groups);
    const char *after = "";
    while (after != NULL) {
        int r = client_group_list_page(k, result, &after);
        if (r != 0)
            return r;
    }
    groups = (struct kauri_groups *)(void *)result->body;
    groups->count = result->count;
    groups->groups = client_result_rows(result);
    *out = client_result_give(&result);
    return 0;
}

/* --- describe --- */

static const struct kauri_topic_partition *client_group_flat(struct client_result *r,
                                                             Kauri__GroupTopic *const *topics,
                                                             size_t n, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < n; i++)
        *count += topics[i]->n_partitions;
    struct kauri_topic_partition *parts = client_result_array(r, *count, sizeof *parts);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const char *topic = client_result_text(r, topics[i]->topic);
        for (size_t j = 0; j < topics[i]->n_partitions; j++)
            parts[at++] = (struct kauri_topic_partition){topic, topics[i]->partitions[j]};
    }
    return parts;
}

static struct kauri_group_member client_group_member(struct client_result *r,
                                                     const Kauri__GroupMember *m)
{
    const char **topics = client_result_array(r, m->n_topics, sizeof *topics);
    for (size_t i = 0; i < m->n_topics; i++)
        topics[i] = client_result_text(r, m->topics[i]);
    struct kauri_group_member to = {
        .id = client_result_text(r, m->member),
        .instance = client_result_text(r, m->instance),
        .rack = client_result_text(r, m->rack),
        .client = client_result_text(r, m->client),
        .host = client_result_text(r, m->host),
        .epoch = m->epoch,
        .topics = topics,
        .topic_count = m->n_topics,
        .regex = client_result_text(r, m->regex),
    };
    to.assigned = client_group_flat(r, m->assigned, m->n_assigned, &to.assigned_count);
    to.target = client_group_flat(r, m->target, m->n_target, &to.target_count);
    return to;
}

/* The members behind those gathered. *more as the broker says; *whole false: the group changed
 * since the first page. */
static int client_group_describe_page(struct kauri *k, const char *group,
                                      struct client_result *result, bool *more, bool *whole)
{
    struct kauri_group_detail *d = (struct kauri_group_detail *)(void *)result->body;
    Kauri__Call content;
    Kauri__GroupDescribe describe;
    kauri__group_describe__init(&describe);
    client_group_content(&content, KAURI__CALL__CALL_GROUP_DESCRIBE);
    describe.group = frame_borrow(group);
    describe.skip = (uint32_t)result->count;
    content.group_describe = &describe;
    struct client_ask ask CLEANUP(client_ask_done);
    int r = client_result_ask(k, &ask, &content, KAURI__ANSWER__ANSWER_GROUP_DESCRIBE);
    if (r != 0)
        return r;
    const Kauri__GroupDescribeAnswer *a = ask.answer.answer->group_describe;
    if (a->info == NULL || (a->more && a->n_members == 0))
        return client_admin_odd(k);
    if (result->count == 0)
        d->group = client_group_info(result, a->info);
    *whole = a->info->generation == d->group.generation;
    for (size_t i = 0; i < a->n_members; i++) {
        struct kauri_group_member m = client_group_member(result, a->members[i]);
        if (!client_result_add(result, &m, sizeof m))
            return client_admin_odd(k);
    }
    *more = a->more;
    return 0;
}

int kauri_group_describe(struct kauri *k, const char *group, struct kauri_group_detail **out)
{
    ASSERT(k != NULL && group != NULL && out != NULL);
    for (int tries = 1;; tries++) {
        struct kauri_group_detail *d;
        struct client_result *result CLEANUP(client_result_cleanup) = client_result_new(sizeof *d);
        bool more = true;
        bool whole = true;
        bool last = tries == CLIENT_RESULT_TRIES_MAX; /* as good as it gets */
        while (more && (whole || last)) {
            int r = client_group_describe_page(k, group, result, &more, &whole);
            if (r != 0)
                return r;
        }
        if (!whole && !last)
            continue;
        d = (struct kauri_group_detail *)(void *)result->body;
        d->member_count = result->count;
        d->members = client_result_rows(result);
        *out = client_result_give(&result);
        return 0;
    }
}

/* --- offsets --- */

/* Where the next page begins. */
struct client_group_after {
    const char *topic;
    int32_t partition;
    bool more;
};

static bool client_group_loading(const Kauri__GroupOffsetsAnswer *a)
{
    for (size_t i = 0; i < a->n_offsets; i++)
        if (a->offsets[i]->status == KAURI__STATUS__LOADING)
            return true;
    return false;
}

static int client_group_rows(struct kauri *k, struct client_result *result,
                             const Kauri__GroupOffsetsAnswer *a, struct client_group_after *after)
{
    for (size_t i = 0; i < a->n_offsets; i++) {
        const Kauri__GroupOffset *o = a->offsets[i];
        struct kauri_group_offset row = {
            .topic = client_result_text(result, o->topic),
            .partition = o->partition,
            .offset = o->offset,
            .leader_epoch = o->leader_epoch,
            .metadata = client_result_text(result, o->metadata),
            .commit_ms = o->commit_ms,
            .moved_ms = o->moved_ms,
            .owner = client_result_text(result, o->owner),
            .log_start = o->log_start,
            .end = o->end,
        };
        if (client_parts_order(row.topic, row.partition, after->topic, after->partition) <= 0 ||
            !client_result_add(result, &row, sizeof row))
            return client_admin_odd(k); /* pages must go forward */
        after->topic = row.topic;
        after->partition = row.partition;
    }
    after->more = a->more;
    return a->more && a->n_offsets == 0 ? client_admin_odd(k) : 0;
}

/* Partitions that nobody used since the broker's start are loaded by asking for them. */
static int client_group_offsets_page(struct kauri *k, Kauri__GroupOffsets *offsets,
                                     struct client_result *result, struct client_group_after *after)
{
    int64_t until = client_now_ms() + k->options.timeout_ms;
    Kauri__Call content;
    client_group_content(&content, KAURI__CALL__CALL_GROUP_OFFSETS);
    offsets->after_topic = frame_borrow(after->topic);
    offsets->after_partition = after->partition;
    content.group_offsets = offsets;
    for (uint32_t tries = 0;; tries++) {
        struct client_ask ask CLEANUP(client_ask_done);
        int r = client_result_ask(k, &ask, &content, KAURI__ANSWER__ANSWER_GROUP_OFFSETS);
        if (r != 0)
            return r;
        const Kauri__GroupOffsetsAnswer *a = ask.answer.answer->group_offsets;
        int64_t pause = client_now_ms() + client_backoff_ms(tries);
        if (!client_group_loading(a) || pause >= until)
            return client_group_rows(k, result, a, after);
        while (client_now_ms() < pause) {
            (void)client_turn(k);
            client_sleep(k, pause);
        }
    }
}

int kauri_group_offsets(struct kauri *k, const char *group, bool assigned,
                        struct kauri_group_offsets **out)
{
    ASSERT(k != NULL && group != NULL && out != NULL);
    struct kauri_group_offsets *all;
    struct client_result *result CLEANUP(client_result_cleanup) = client_result_new(sizeof *all);
    struct client_group_after after = {.topic = "", .more = true};
    Kauri__GroupOffsets offsets;
    kauri__group_offsets__init(&offsets);
    offsets.group = frame_borrow(group);
    offsets.assigned = assigned;
    while (after.more) {
        int r = client_group_offsets_page(k, &offsets, result, &after);
        if (r != 0)
            return r;
    }
    all = (struct kauri_group_offsets *)(void *)result->body;
    all->count = result->count;
    all->rows = client_result_rows(result);
    *out = client_result_give(&result);
    return 0;
}

int kauri_committed(struct kauri *k, const char *topic, int32_t partition, int64_t *offset)
{
    ASSERT(k != NULL && topic != NULL && offset != NULL);
    if (!client_group_subscribed(k))
        return client_fail(k, KAURI_UNKNOWN_GROUP, "no group is subscribed");
    Kauri__GroupPartition item;
    Kauri__GroupPartition *items[] = {&item};
    Kauri__GroupOffsets offsets;
    Kauri__Call content;
    kauri__group_partition__init(&item);
    kauri__group_offsets__init(&offsets);
    client_group_content(&content, KAURI__CALL__CALL_GROUP_OFFSETS);
    item.topic = frame_borrow(topic);
    item.partition = partition;
    offsets.group = frame_borrow(k->group.options.group);
    offsets.items = items;
    offsets.n_items = 1;
    content.group_offsets = &offsets;
    struct client_ask ask CLEANUP(client_ask_done);
    int r = client_result_ask(k, &ask, &content, KAURI__ANSWER__ANSWER_GROUP_OFFSETS);
    if (r == 0 && ask.answer.answer->group_offsets->n_offsets != 1)
        r = client_admin_odd(k);
    if (r == 0)
        *offset = ask.answer.answer->group_offsets->offsets[0]->offset;
    return r;
}

/* --- history --- */

int kauri_group_history(struct kauri *k, const char *group, struct kauri_group_history **out)
{
    ASSERT(k != NULL && group != NULL && out != NULL);
    struct kauri_group_history *all;
    struct client_result *result CLEANUP(client_result_cleanup) = client_result_new(sizeof *all);
    Kauri__Call content;
    Kauri__GroupHistory history;
    kauri__group_history__init(&history);
    client_group_content(&content, KAURI__CALL__CALL_GROUP_HISTORY);
    history.group = frame_borrow(group);
    content.group_history = &history;
    struct client_ask ask CLEANUP(client_ask_done);
    int r = client_result_ask(k, &ask, &content, KAURI__ANSWER__ANSWER_GROUP_HISTORY);
    if (r != 0)
        return r;
    const Kauri__GroupHistoryAnswer *a = ask.answer.answer->group_history;
    struct kauri_group_rebalance *rows = client_result_array(result, a->n_rebalances, sizeof *rows);
    for (size_t i = 0; i < a->n_rebalances; i++) {
        const Kauri__GroupRebalance *b = a->rebalances[i];
        rows[i] = (struct kauri_group_rebalance){
            .began_ms = b->began_ms,
            .ended_ms = b->ended_ms,
            .cause = client_result_text(result, b->cause),
            .member = client_result_text(result, b->member),
            .reason = client_result_text(result, b->reason),
            .generation = b->generation,
            .member_count = b->member_count,
        };
    }
    all = (struct kauri_group_history *)(void *)result->body;
    all->count = a->n_rebalances;
    all->rebalances = rows;
    *out = client_result_give(&result);
    return 0;
}
