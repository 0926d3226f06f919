/* SPDX-License-Identifier: MIT
 *
 * client_commit: see client_commit.h.
 */
#include "net/client/client_commit.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "net/client/client_priv.h"
#include "proto/frame.h"

void client_commit_init(struct client_commits *c)
{
    list_init(&c->waiting);
    list_init(&c->finished);
}

static struct client_commit *client_commit_new(size_t count)
{
    struct client_commit *c = calloc(1, sizeof *c);
    ASSERT(c != NULL);
    c->rows = calloc(count + 1, sizeof *c->rows);
    ASSERT(c->rows != NULL);
    list_init(&c->link);
    return c;
}

/* Out of its list. */
static void client_commit_unlink(struct client_commits *all, struct client_commit *c)
{
    if (!list_linked(&c->link))
        return;
    list_remove(&c->link);
    ASSERT(all->count > 0);
    all->count--;
    if (!c->finished && c->automatic)
        all->automatic--;
}

struct client_commit *client_commit_free(struct kauri *k, struct client_commit *c)
{
    if (c == NULL)
        return NULL;
    client_commit_unlink(&k->group.commits, c);
    c->call = client_call_free(c->call);
    for (size_t i = 0; i < c->count; i++) {
        free(c->rows[i].topic);
        free(c->rows[i].metadata);
    }
    free(c->rows);
    free(c);
    return NULL;
}

static void client_commit_row(struct client_commit *c, const struct kauri_commit *item)
{
    struct client_commit_row *row = &c->rows[c->count++];
    row->topic = strdup(item->topic);
    row->partition = item->partition;
    row->offset = item->offset;
    row->metadata = item->metadata == NULL ? NULL : strdup(item->metadata);
    ASSERT(row->topic != NULL && (item->metadata == NULL || row->metadata != NULL));
}

static void client_commit_queue(struct kauri *k, struct client_commit *c)
{
    struct client_commits *all = &k->group.commits;
    c->until_ms = client_now_ms() + k->options.timeout_ms;
    list_add_tail(&all->waiting, &c->link);
    all->count++;
    all->automatic += c->automatic;
}

/* --- ends --- */

static void client_commit_finish(struct kauri *k, struct client_commit *c, int error,
                                 const char *message)
{
    struct client_commits *all = &k->group.commits;
    ASSERT(!c->finished);
    c->call = client_call_free(c->call);
    client_commit_unlink(all, c);
    c->finished = true;
    if (error != 0 && c->error == 0) {
        c->error = error;
        (void)snprintf(c->message, sizeof c->message, "%s", message);
    }
    if (c->waited)
        return;
    if (c->done == NULL) {
        (void)client_commit_free(k, c);
        return;
    }
    list_add_tail(&all->finished, &c->link);
    all->count++;
}

void client_commit_fail_all(struct kauri *k, int error, const char *message)
{
    struct client_commits *all = &k->group.commits;
    while (!list_empty(&all->waiting))
        client_commit_finish(k, LIST_ENTRY(all->waiting.next, struct client_commit, link), error,
                             message);
    ASSERT(all->automatic == 0);
}

int client_commit_report(struct kauri *k)
{
    struct client_commits *all = &k->group.commits;
    int count = 0;
    while (!list_empty(&all->finished)) {
        struct client_commit *c = LIST_ENTRY(all->finished.next, struct client_commit, link);
        client_commit_unlink(all, c);
        c->done(c->ctx, c->error, c->message);
        (void)client_commit_free(k, c);
        count++;
    }
    return count;
}

/* --- answers --- */

/* Notes what is committed now, and the first item that was refused. */
static void client_commit_results(struct kauri *k, struct client_commit *c,
                                  const Kauri__GroupStatuses *s)
{
    size_t count;
    struct client_assignment **sorted CLEANUP(cleanup_free) = client_parts_assigned(k, &count);
    for (size_t i = 0; i < s->n_statuses; i++) {
        const struct client_commit_row *row = &c->rows[c->at + i];
        Kauri__Status status = s->statuses[i];
        if (status != KAURI__STATUS__OK) {
            if (c->error == 0)
                client_status_explain(status, NULL, row->topic, row->partition, c->message);
            c->error = c->error == 0 ? client_status_error(status) : c->error;
            continue;
        }
        struct client_assignment *a = client_parts_find(sorted, count, row->topic, row->partition);
        if (a != NULL)
            a->committed = row->offset;
    }
}

static void client_commit_again(struct client_commit *c)
{
    c->call = client_call_free(c->call);
    c->sent = 0;
    c->due_ms = client_now_ms() + client_backoff_ms(c->refusals++);
}

static void client_commit_answered(struct kauri *k, struct client_call *call,
                                   const struct client_answer *answer)
{
    struct client_commit *c = call->owner;
    const Kauri__Answer *a = answer->answer;
    ASSERT(c->call == call && !c->finished);
    if (client_status_retriable(a->status)) {
        client_commit_again(c);
        if (a->status == KAURI__STATUS__MEMBER_EPOCH_STALE)
            client_group_beat_soon(k);
        return;
    }
    if (a->status != KAURI__STATUS__OK) {
        char message[CLIENT_MESSAGE_MAX];
        client_status_explain(a->status, a->message, NULL, -1, message);
        client_group_beat_soon(k); /* the group knows better */
        client_commit_finish(k, c, client_status_error(a->status), message);
        return;
    }
    if (a->answer_case != KAURI__ANSWER__ANSWER_GROUP_COMMIT ||
        a->group_commit->n_statuses != c->sent) {
        client_commit_finish(k, c, KAURI_REFUSED, "the broker's answer does not fit the question");
        return;
    }
    client_commit_results(k, c, a->group_commit);
    c->at += c->sent;
    c->call = client_call_free(c->call);
    if (c->at == c->count)
        client_commit_finish(k, c, 0, "");
}

/* --- sending --- */

static void client_commit_send(struct kauri *k, struct client_commit *c)
{
    size_t count =
        c->count - c->at < CLIENT_COMMIT_CALL_MAX ? c->count - c->at : CLIENT_COMMIT_CALL_MAX;
    Kauri__GroupCommitItem *items CLEANUP(cleanup_free) = calloc(count, sizeof *items);
    Kauri__GroupCommitItem **pointers CLEANUP(cleanup_free) = calloc(count, sizeof *pointers);
    ASSERT(count > 0 && items != NULL && pointers != NULL);
    for (size_t i = 0; i < count; i++) {
        const struct client_commit_row *row = &c->rows[c->at + i];
        kauri__group_commit_item__init(&items[i]);
        items[i].topic = row->topic;
        items[i].partition = row->partition;
        items[i].offset = row->offset;
        items[i].leader_epoch = -1;
        items[i].metadata = frame_borrow(row->metadata == NULL ? "" : row->metadata);
        pointers[i] = &items[i];
    }
    Kauri__GroupCommit commit;
    kauri__group_commit__init(&commit);
    Kauri__Call content;
    kauri__call__init(&content);
    commit.group = frame_borrow(k->group.options.group);
    commit.member = k->group.member;
    commit.instance =
        frame_borrow(k->group.options.instance == NULL ? "" : k->group.options.instance);
    commit.epoch = k->group.epoch;
    commit.items = pointers;
    commit.n_items = count;
    content.call_case = KAURI__CALL__CALL_GROUP_COMMIT;
    content.group_commit = &commit;
    c->sent = count;
    c->call = client_call_new(&content);
    c->call->done = client_commit_answered;
    c->call->owner = c;
    client_wire_add(&k->wire, c->call);
}

/* Those that waited for too long. Only the first may be under way; the others wait behind it. */
static void client_commit_expire(struct kauri *k, int64_t now_ms)
{
    LIST_EACH_SAFE (node, &k->group.commits.waiting) {
        struct client_commit *c = LIST_ENTRY(node, struct client_commit, link);
        if (now_ms >= c->until_ms)
            client_commit_finish(k, c, KAURI_TIMED_OUT, "the commit found no success in time");
        else
            client_wake(k, c->until_ms);
    }
}

static bool client_commit_is_automatic(const struct kauri *k)
{
    return k->group.options.auto_commit_interval_ms != UINT32_MAX;
}

void client_commit_turn(struct kauri *k, int64_t now_ms)
{
    struct client_group *g = &k->group;
    client_commit_expire(k, now_ms);
    if (g->epoch <= 0)
        return;
    bool running = g->state == CLIENT_GROUP_MEMBER || g->state == CLIENT_GROUP_REVOKING;
    if (running && client_commit_is_automatic(k)) {
        if (now_ms >= g->commits.due_ms && g->commits.automatic == 0) {
            (void)client_commit_handled(k, false, false);
            g->commits.due_ms = now_ms + g->options.auto_commit_interval_ms;
        }
        client_wake(k, g->commits.due_ms);
    }
    if (list_empty(&g->commits.waiting))
        return;
    struct client_commit *first = LIST_ENTRY(g->commits.waiting.next, struct client_commit, link);
    if (first->call != NULL)
        return;
    if (now_ms >= first->due_ms)
        client_commit_send(k, first);
    else
        client_wake(k, first->due_ms);
}

/* --- what is committed --- */

/* Takes in the group's partitions: what was handled, or all that was handed out. What is committed
 * already is left out, unless a commit under way may change it. */
static struct client_commit *client_commit_gather(struct kauri *k, bool handed_out, bool revoked)
{
    size_t count;
    struct client_assignment **sorted CLEANUP(cleanup_free) = client_parts_assigned(k, &count);
    struct client_commit *c = client_commit_new(count);
    bool settled = list_empty(&k->group.commits.waiting);
    for (size_t i = 0; i < count; i++) {
        const struct client_assignment *a = sorted[i];
        int64_t offset = handed_out ? a->position : client_consume_handled(k, a);
        if (offset < 0 || (settled && offset == a->committed) || (revoked && !a->revoked))
            continue;
        client_commit_row(c, &(struct kauri_commit){a->topic, a->partition, offset, NULL});
    }
    return c;
}

struct client_commit *client_commit_handled(struct kauri *k, bool revoked, bool waited)
{
    if (!client_commit_is_automatic(k))
        return NULL;
    struct client_commit *c = client_commit_gather(k, false, revoked);
    if (c->count == 0)
        return client_commit_free(k, c);
    c->automatic = true;
    c->waited = waited;
    client_commit_queue(k, c);
    return c;
}

static int client_commit_check(struct kauri *k, const struct kauri_commit *items, size_t count)
{
    const struct client_group *g = &k->group;
    if (g->state == CLIENT_GROUP_NONE)
        return client_fail(k, KAURI_UNKNOWN_GROUP, "no group is subscribed");
    if (g->epoch <= 0)
        return client_fail(k, KAURI_FENCED, "not a member of the group \"%.180s\" now",
                           g->options.group);
    if (count > CLIENT_COMMIT_ROWS_MAX)
        return client_fail(k, KAURI_BAD_ARGUMENT, "more than %d offsets", CLIENT_COMMIT_ROWS_MAX);
    for (size_t i = 0; i < count; i++)
        if (items[i].topic == NULL || items[i].partition < 0 || items[i].offset < 0)
            return client_fail(k, KAURI_BAD_ARGUMENT,
                               "offset %zu: no topic, or a number that is negative", i);
    if (g->commits.count >= CLIENT_COMMITS_MAX)
        return client_fail(k, KAURI_AGAIN, "%d commits are under way", CLIENT_COMMITS_MAX);
    return 0;
}

/* Of these offsets, or of all that was handed out. */
static struct client_commit *client_commit_make(struct kauri *k, const struct kauri_commit *items,
                                                size_t count)
{
    if (count == 0)
        return client_commit_gather(k, true, false);
    struct client_commit *c = client_commit_new(count);
    for (size_t i = 0; i < count; i++)
        client_commit_row(c, &items[i]);
    return c;
}

int kauri_commit(struct kauri *k, const struct kauri_commit *items, size_t count)
{
    ASSERT(k != NULL && (items != NULL || count == 0));
    int r = client_commit_check(k, items, count);
    if (r != 0)
        return r;
    struct client_commit *c = client_commit_make(k, items, count);
    c->waited = true;
    c->finished = c->count == 0;
    if (!c->finished)
        client_commit_queue(k, c);
    while (!c->finished) {
        (void)client_turn(k);
        if (!c->finished)
            client_sleep(k, c->until_ms);
    }
    r = c->error == 0 ? 0 : client_fail(k, c->error, "%s", c->message);
    (void)client_commit_free(k, c);
    return r;
}

int kauri_commit_async(struct kauri *k, const struct kauri_commit *items, size_t count,
                       void (*done)(void *ctx, int error, const char *message), void *ctx)
{
    ASSERT(k != NULL && (items != NULL || count == 0));
    int r = client_commit_check(k, items, count);
    if (r != 0)
        return r;
    struct client_commit *c = client_commit_make(k, items, count);
    c->done = done;
    c->ctx = ctx;
    if (c->count > 0)
        client_commit_queue(k, c);
    else
        client_commit_finish(k, c, 0, "");
    return 0;
}
