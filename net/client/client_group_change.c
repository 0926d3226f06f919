/* SPDX-License-Identifier: MIT
 *
 * client_group_change: an administrator's changes to a group that has no members: delete it, forget
 * or set offsets. Each can be repeated, like those in client_admin.c.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "net/client/client_priv.h"
#include "proto/frame.h"

int kauri_group_delete(struct kauri *k, const char *group)
{
    ASSERT(k != NULL && group != NULL);
    Kauri__Call content;
    Kauri__GroupDelete delete;
    kauri__group_delete__init(&delete);
    kauri__call__init(&content);
    delete.group = frame_borrow(group);
    content.call_case = KAURI__CALL__CALL_GROUP_DELETE;
    content.group_delete = &delete;
    struct client_ask ask CLEANUP(client_ask_done);
    int r = client_ask(k, &ask, &content);
    if (r != 0)
        return r;
    if (ask.status == KAURI__STATUS__UNKNOWN_GROUP && client_ask_repeated(&ask))
        return 0; /* an earlier sending did it */
    return client_admin_status(k, &ask, NULL, -1);
}

/* --- many partitions, some in one call --- */

struct client_group_change {
    const char *group;
    const struct kauri_topic_partition *parts; /* to forget, or NULL */
    const struct kauri_commit *commits;        /* to set, or NULL */
    size_t count;
    int *errors; /* may be NULL */
    int first;   /* of all */
    char message[CLIENT_MESSAGE_MAX];
};

static void client_group_note(struct client_group_change *change, size_t index, Kauri__Status s)
{
    int error = client_status_error(s);
    if (change->errors != NULL)
        change->errors[index] = error;
    if (error == 0 || change->first != 0)
        return;
    bool forget = change->parts != NULL;
    change->first = error;
    client_status_explain(
        s, NULL, forget ? change->parts[index].topic : change->commits[index].topic,
        forget ? change->parts[index].partition : change->commits[index].partition,
        change->message);
}

/* Sends one call for the items from `at` on. */
static int client_group_send(struct kauri *k, struct client_group_change *change,
                             const Kauri__Call *content, size_t at, size_t count)
{
    struct client_ask ask CLEANUP(client_ask_done);
    int r = client_ask(k, &ask, content);
    if (r != 0)
        return r;
    const Kauri__Answer *a = ask.answer.answer;
    bool commit = content->call_case == KAURI__CALL__CALL_GROUP_COMMIT;
    if (commit && ask.status == KAURI__STATUS__UNKNOWN_MEMBER)
        return client_fail(k, KAURI_NOT_EMPTY, "the group \"%.180s\" has members", change->group);
    r = client_admin_status(k, &ask, NULL, -1);
    if (r != 0)
        return r;
    if (a->answer_case !=
        (commit ? KAURI__ANSWER__ANSWER_GROUP_COMMIT : KAURI__ANSWER__ANSWER_GROUP_FORGET))
        return client_admin_odd(k);
    const Kauri__GroupStatuses *s = commit ? a->group_commit : a->group_forget;
    if (s->n_statuses != count)
        return client_admin_odd(k);
    for (size_t i = 0; i < count; i++)
        client_group_note(change, at + i, s->statuses[i]);
    return 0;
}

static int client_group_forget(struct kauri *k, struct client_group_change *change, size_t at,
                               size_t count)
{
    Kauri__GroupPartition items[CLIENT_FETCH_ITEMS_MAX];
    Kauri__GroupPartition *pointers[CLIENT_FETCH_ITEMS_MAX];
    Kauri__Call content;
    Kauri__GroupForget forget;
    ASSERT(count <= CLIENT_FETCH_ITEMS_MAX);
    kauri__group_forget__init(&forget);
    kauri__call__init(&content);
    for (size_t i = 0; i < count; i++) {
        kauri__group_partition__init(&items[i]);
        items[i].topic = frame_borrow(change->parts[at + i].topic);
        items[i].partition = change->parts[at + i].partition;
        pointers[i] = &items[i];
    }
    forget.group = frame_borrow(change->group);
    forget.items = pointers;
    forget.n_items = count;
    content.call_case = KAURI__CALL__CALL_GROUP_FORGET;
    content.group_forget = &forget;
    return client_group_send(k, change, &content, at, count);
}

static int client_group_commit(struct kauri *k, struct client_group_change *change, size_t at,
                               size_t count)
{
    Kauri__GroupCommitItem items[CLIENT_FETCH_ITEMS_MAX];
    Kauri__GroupCommitItem *pointers[CLIENT_FETCH_ITEMS_MAX];
    Kauri__Call content;
    Kauri__GroupCommit commit;
    ASSERT(count <= CLIENT_FETCH_ITEMS_MAX);
    kauri__group_commit__init(&commit);
    kauri__call__init(&content);
    for (size_t i = 0; i < count; i++) {
        const struct kauri_commit *from = &change->commits[at + i];
        kauri__group_commit_item__init(&items[i]);
        items[i].topic = frame_borrow(from->topic);
        items[i].partition = from->partition;
        items[i].offset = from->offset;
        items[i].leader_epoch = -1;
        items[i].metadata = frame_borrow(from->metadata == NULL ? "" : from->metadata);
        pointers[i] = &items[i];
    }
    commit.group = frame_borrow(change->group);
    commit.epoch = -1;
    commit.items = pointers;
    commit.n_items = count;
    content.call_case = KAURI__CALL__CALL_GROUP_COMMIT;
    content.group_commit = &commit;
    return client_group_send(k, change, &content, at, count);
}

/* A call that fails as a whole ends it: what was not done has its error too. */
static int client_group_change(struct kauri *k, struct client_group_change *change)
{
    size_t some;
    for (size_t at = 0; at < change->count; at += some) {
        size_t left = change->count - at;
        some = left < CLIENT_FETCH_ITEMS_MAX ? left : CLIENT_FETCH_ITEMS_MAX;
        int r = change->parts != NULL ? client_group_forget(k, change, at, some)
                                      : client_group_commit(k, change, at, some);
        for (size_t i = at; r != 0 && change->errors != NULL && i < change->count; i++)
            change->errors[i] = r;
        if (r != 0)
            return r;
    }
    return change->first == 0 ? 0 : client_fail(k, change->first, "%s", change->message);
}

int kauri_group_forget(struct kauri *k, const char *group,
                       const struct kauri_topic_partition *parts, size_t count, int *errors)
{
    ASSERT(k != NULL && group != NULL && (parts != NULL || count == 0));
    for (size_t i = 0; i < count; i++)
        if (parts[i].topic == NULL)
            return client_fail(k, KAURI_BAD_ARGUMENT, "partition %zu has no topic", i);
    struct client_group_change change = {
        .group = group, .parts = parts, .count = count, .errors = errors};
    return client_group_change(k, &change);
}

int kauri_group_commit(struct kauri *k, const char *group, const struct kauri_commit *items,
                       size_t count, int *errors)
{
    ASSERT(k != NULL && group != NULL && (items != NULL || count == 0));
    for (size_t i = 0; i < count; i++)
        if (items[i].topic == NULL || items[i].partition < 0 || items[i].offset < 0)
            return client_fail(k, KAURI_BAD_ARGUMENT,
                               "offset %zu: no topic, or a number that is negative", i);
    struct client_group_change change = {
        .group = group, .commits = items, .count = count, .errors = errors};
    return client_group_change(k, &change);
}
