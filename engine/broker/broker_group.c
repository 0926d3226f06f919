/* SPDX-License-Identifier: MIT
 *
 * broker_group: see broker_group.h. Requests go to the engine, questions to its view.
 */
#include "engine/broker/broker_group.h"

#include "engine/base/assert.h"
#include "engine/broker/broker_groups_priv.h"
#include "engine/broker/broker_priv.h"
#include "engine/broker/groups_view.h"

const char *broker_group_type_text(enum broker_group_type t)
{
    static const char *const texts[BROKER_GROUP_TYPE_COUNT] = {
        [BROKER_GROUP_CLASSIC] = "classic", [BROKER_GROUP_CONSUMER] = "consumer"};
    ASSERT((unsigned)t < BROKER_GROUP_TYPE_COUNT);
    return texts[t];
}

const char *broker_group_state_text(enum broker_group_state s)
{
    static const char *const texts[BROKER_GROUP_STATE_COUNT] = {
        [BROKER_GROUP_EMPTY] = "Empty",
        [BROKER_GROUP_PREPARING] = "PreparingRebalance",
        [BROKER_GROUP_COMPLETING] = "CompletingRebalance",
        [BROKER_GROUP_STABLE] = "Stable",
        [BROKER_GROUP_ASSIGNING] = "Assigning",
        [BROKER_GROUP_RECONCILING] = "Reconciling",
        [BROKER_GROUP_DEAD] = "Dead",
    };
    ASSERT((unsigned)s < BROKER_GROUP_STATE_COUNT);
    return texts[s];
}

const char *broker_group_cause_text(enum broker_group_cause c)
{
    static const char *const texts[BROKER_GROUP_CAUSE_COUNT] = {
        [BROKER_GROUP_CAUSE_JOINED] = "member joined",
        [BROKER_GROUP_CAUSE_REJOINED] = "member asked for it",
        [BROKER_GROUP_CAUSE_LEFT] = "member left",
        [BROKER_GROUP_CAUSE_EXPIRED] = "session timed out",
        [BROKER_GROUP_CAUSE_LATE] = "rebalance timed out",
        [BROKER_GROUP_CAUSE_REPLACED] = "static member replaced",
        [BROKER_GROUP_CAUSE_SUBSCRIPTION] = "subscription changed",
        [BROKER_GROUP_CAUSE_TOPICS] = "topics changed",
    };
    ASSERT((unsigned)c < BROKER_GROUP_CAUSE_COUNT);
    return texts[c];
}

void broker_group(struct broker *b, struct broker_group *req)
{
    ASSERT(b->groups != NULL);
    broker_groups_tick(b->groups);
    groups_request(b->groups->engine, req);
}

enum broker_status broker_groups_ready(const struct broker *b)
{
    ASSERT(b->groups != NULL);
    if (b->groups->standby)
        return BROKER_NOT_LEADER;
    return b->groups->engine->loading ? BROKER_GROUP_LOADING : BROKER_OK;
}

int broker_group_info(const struct broker *b, struct slice name, struct broker_group_info *out)
{
    const struct group *g = groups_find(b->groups->engine, name);
    ASSERT(out != NULL);
    if (g == NULL || g->deleting)
        return 1;
    groups_view_info(g, out);
    return 0;
}

void broker_groups_each(const struct broker *b,
                        void (*fn)(void *ctx, const struct broker_group_info *g), void *ctx)
{
    struct broker_group_info out;
    size_t at = 0;
    ASSERT(fn != NULL);
    for (const struct group *g = map_next(&b->groups->engine->map, &at); g != NULL;
         g = map_next(&b->groups->engine->map, &at)) {
        if (g->deleting)
            continue;
        groups_view_info(g, &out);
        fn(ctx, &out);
    }
}

void broker_group_members(const struct broker *b, struct slice name,
                          void (*fn)(void *ctx, const struct broker_group_member *m), void *ctx)
{
    const struct group *g = groups_find(b->groups->engine, name);
    ASSERT(fn != NULL);
    if (g != NULL)
        groups_view_members(b->groups->engine, g, fn, ctx);
}

int broker_group_offset(const struct broker *b, struct slice group, struct slice topic,
                        int32_t partition, struct broker_group_offset *out)
{
    const struct group *g = groups_find(b->groups->engine, group);
    ASSERT(out != NULL);
    return g == NULL ? 1 : groups_view_offset(b->groups->engine, g, topic, partition, out);
}

void broker_group_offsets(const struct broker *b, struct slice group, bool assigned,
                          void (*fn)(void *ctx, const struct broker_group_offset *o), void *ctx)
{
    const struct group *g = groups_find(b->groups->engine, group);
    ASSERT(fn != NULL);
    if (g != NULL)
        groups_view_offsets(b->groups->engine, g, assigned, fn, ctx);
}

void broker_group_history(const struct broker *b, struct slice name,
                          void (*fn)(void *ctx, const struct broker_group_rebalance *r), void *ctx)
{
    const struct group *g = groups_find(b->groups->engine, name);
    ASSERT(fn != NULL);
    if (g != NULL)
        groups_view_history(g, fn, ctx);
}
