/* SPDX-License-Identifier: MIT
 *
 * client_group_step: carrying out what the broker assigned: giving up, dropping, adding, and the
 * application's callbacks, which run nowhere else. See client_group.h.
 *
 * A callback may call the library: by its end commits may have gone out, positions may have moved,
 * and the member may have been fenced. Assignments stay, for only this file changes them.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "net/client/client_priv.h"

typedef void client_group_callback(void *ctx, const struct kauri_topic_partition *parts,
                                   size_t count);

static void client_group_tell(struct kauri *k, client_group_callback *fn,
                              struct client_assignment *const *list, size_t count)
{
    if (fn == NULL || count == 0)
        return;
    struct kauri_topic_partition *parts CLEANUP(cleanup_free) = calloc(count, sizeof *parts);
    ASSERT(parts != NULL);
    for (size_t i = 0; i < count; i++)
        parts[i] = (struct kauri_topic_partition){list[i]->topic, list[i]->partition};
    fn(k->group.options.ctx, parts, count);
}

static void client_group_remove(struct kauri *k, struct client_assignment *const *list,
                                size_t count)
{
    for (size_t i = 0; i < count; i++)
        client_consume_remove(k, list[i]);
}

/* Those on their way out move to the front; their number. */
static size_t client_group_leaving(struct client_assignment **list, size_t count)
{
    size_t leaving = 0;
    for (size_t i = 0; i < count; i++)
        if (list[i]->revoked)
            list[leaving++] = list[i];
    return leaving;
}

void client_group_drop_all(struct kauri *k)
{
    struct client_group *g = &k->group;
    size_t count;
    struct client_assignment **list CLEANUP(cleanup_free) = client_parts_assigned(k, &count);
    bool lost = g->losing;
    ASSERT(g->stepping);
    g->losing = false;
    client_group_tell(k, lost ? g->options.lost : g->options.revoked, list, count);
    client_group_remove(k, list, count);
}

/* REVOKING: nothing more to wait for. */
static void client_group_give_up(struct kauri *k)
{
    struct client_group *g = &k->group;
    size_t count;
    struct client_assignment **list CLEANUP(cleanup_free) = client_parts_assigned(k, &count);
    size_t leaving = client_group_leaving(list, count);
    ASSERT(g->state == CLIENT_GROUP_REVOKING && leaving > 0);
    g->last = client_commit_free(k, g->last);
    client_group_move(g, CLIENT_GROUP_MEMBER);
    client_group_tell(k, g->options.revoked, list, leaving);
    client_group_remove(k, list, leaving);
    client_group_beat_soon(k); /* tells the broker that they are free */
}

/* Not read any more from here on; fetched ahead is fetched in vain. */
static void client_group_stop(struct kauri *k, struct client_assignment *a)
{
    client_consume_interrupt(&k->consume);
    client_read_drop(k, a);
    a->fetch_offset = a->position;
    a->revoked = true;
}

/* Marks what is assigned and no longer in the target; their number. */
static size_t client_group_mark(struct kauri *k, struct client_assignment *const *list,
                                size_t count)
{
    const struct client_parts *target = &k->group.target;
    size_t marked = 0;
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        int order = 1;
        while (at < target->count &&
               (order = client_parts_order(target->items[at].topic, target->items[at].partition,
                                           list[i]->topic, list[i]->partition)) < 0)
            at++;
        if (at < target->count && order == 0)
            continue;
        client_group_stop(k, list[i]);
        marked++;
    }
    return marked;
}

/* Adds what is new in the target; their number. */
static size_t client_group_add(struct kauri *k, struct client_assignment *const *list, size_t count)
{
    const struct client_parts *target = &k->group.target;
    struct client_assignment **added CLEANUP(cleanup_free) =
        calloc(target->count + 1, sizeof(struct client_assignment *));
    size_t added_count = 0;
    ASSERT(added != NULL);
    for (size_t i = 0; i < target->count; i++) {
        const struct kauri_topic_partition *part = &target->items[i];
        if (client_parts_find(list, count, part->topic, part->partition) != NULL)
            continue;
        struct client_assignment *a =
            client_consume_add(k, part->topic, part->partition, CLIENT_OFFSET_COMMITTED);
        a->grouped = true;
        added[added_count++] = a;
    }
    if (added_count > 0)
        client_group_beat_soon(k);
    client_group_tell(k, k->group.options.assigned, added, added_count);
    return added_count;
}

/* MEMBER: towards the target; first away from what is not ours, then to what is new. */
static int client_group_reconcile(struct kauri *k)
{
    struct client_group *g = &k->group;
    size_t count;
    struct client_assignment **list CLEANUP(cleanup_free) = client_parts_assigned(k, &count);
    if (client_group_mark(k, list, count) > 0) {
        client_group_move(g, CLIENT_GROUP_REVOKING);
        g->last = client_commit_handled(k, true, true);
        return 1;
    }
    g->target_news = false;
    return client_group_add(k, list, count) > 0;
}

/* One thing, if there is one to do. */
static int client_group_step_one(struct kauri *k)
{
    struct client_group *g = &k->group;
    if (g->losing) {
        client_group_drop_all(k);
        return 1;
    }
    if (g->state == CLIENT_GROUP_REVOKING && (g->last == NULL || g->last->finished)) {
        client_group_give_up(k);
        return 1;
    }
    if (g->state == CLIENT_GROUP_MEMBER && g->target_news)
        return client_group_reconcile(k);
    return 0;
}

int client_group_step(struct kauri *k)
{
    struct client_group *g = &k->group;
    bool busy = g->losing || g->target_news || g->state == CLIENT_GROUP_REVOKING ||
                !list_empty(&g->commits.finished);
    if (g->stepping || !busy)
        return 0;
    g->stepping = true;
    int handled = client_commit_report(k);
    while (client_group_step_one(k) > 0)
        handled++;
    g->stepping = false;
    return handled;
}
