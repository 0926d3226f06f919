/* SPDX-License-Identifier: MIT
 *
 * kafka_group_admin: ListGroups, DescribeGroups, DeleteGroups: what tools ask.
 *
 *   ListGroups      4: filter by state, and the state told (KIP-518); 5: by type, and the type told
 *                   (KIP-848). Words of filters in any case; a word nobody knows matches nothing.
 *                   Tools ask every broker: one that does not lead coordinates none
 *   DescribeGroups  classic groups. One that is not there is "Dead" up to 5, an error from 6; so is
 *                   a group of the newer protocol, for which there is ConsumerGroupDescribe.
 *                   Protocol, metadata and assignments are only told while they are agreed: Stable
 *   DeleteGroups    one request to the broker for each group; a group that is named twice is
 *                   answered once
 */
#include "net/kafka/kafka_group_priv.h"

#include <strings.h>

#include "engine/base/map.h"

#define KAFKA_MISSING_VERSION 6 /* the first of DescribeGroups that says it as an error */

/* --- ListGroups ------------------------------------------------------------------------------- */

struct kafka_listing {
    struct kafka_call *c;
    struct kp_list_groups_response_group *v;
    size_t count;
    bool failed; /* the arena is used up */
};

/* No words: everything. */
static bool kafka_listing_wants(const struct kp_slices *words, const char *text)
{
    for (int32_t i = 0; i < words->count; i++)
        if (words->v[i].size == strlen(text) &&
            strncasecmp((const char *)words->v[i].p, text, words->v[i].size) == 0)
            return true;
    return words->count <= 0;
}

static bool kafka_listing_takes(const struct kafka_listing *l, const struct broker_group_info *g)
{
    const struct kp_list_groups_request *q = l->c->request;
    return kafka_listing_wants(&q->states_filter, broker_group_state_text(g->state)) &&
           kafka_listing_wants(&q->types_filter, broker_group_type_text(g->type));
}

static void kafka_listing_count(void *ctx, const struct broker_group_info *g)
{
    struct kafka_listing *l = ctx;
    l->count += kafka_listing_takes(l, g);
}

static void kafka_listing_one(void *ctx, const struct broker_group_info *g)
{
    struct kafka_listing *l = ctx;
    if (!kafka_listing_takes(l, g))
        return;
    l->v[l->count++] = (struct kp_list_groups_response_group){
        .group_id = kafka_group_copy(l->c, g->name, &l->failed),
        .protocol_type = kafka_group_copy(l->c, g->protocol_type, &l->failed),
        .state = slice_str(broker_group_state_text(g->state)),
        .type = slice_str(broker_group_type_text(g->type)),
    };
}

void kafka_list_groups(struct kafka_call *c)
{
    const struct broker *b = c->k->options.broker;
    struct kp_list_groups_response a = KP_LIST_GROUPS_RESPONSE_INIT;
    struct kafka_listing l = {.c = c};
    bool none = !c->k->stopping && broker_groups_ready(b) == BROKER_NOT_LEADER;
    a.error = none ? KAFKA_NONE : kafka_group_ready(c);
    none = none || a.error != KAFKA_NONE;
    if (!none)
        broker_groups_each(b, kafka_listing_count, &l);
    size_t count = l.count;
    l.v = kafka_alloc(c, count, sizeof *l.v);
    l.count = 0;
    if (l.v != NULL && !none)
        broker_groups_each(b, kafka_listing_one, &l);
    if (l.v == NULL || l.failed) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    ASSERT(l.count == count);
    a.groups.v = l.v;
    a.groups.count = (int32_t)count;
    kafka_answer(c, &a);
}

/* --- DescribeGroups --------------------------------------------------------------------------- */

struct kafka_described {
    struct kafka_call *c;
    struct kp_describe_groups_response_member *v;
    size_t count;
    size_t room;
    bool agreed; /* metadata and assignments are told */
    bool failed; /* the arena is used up */
};

static void kafka_described_one(void *ctx, const struct broker_group_member *m)
{
    struct kafka_described *d = ctx;
    ASSERT(d->count < d->room);
    struct kp_describe_groups_response_member *a = &d->v[d->count++];
    *a = (struct kp_describe_groups_response_member)KP_DESCRIBE_GROUPS_RESPONSE_MEMBER_INIT;
    a->member_id = kafka_group_copy(d->c, m->id, &d->failed);
    a->group_instance_id = kafka_group_copy(d->c, m->instance, &d->failed);
    a->client_id = kafka_group_copy(d->c, m->client_id, &d->failed);
    a->client_host = kafka_group_copy(d->c, m->client_host, &d->failed);
    if (!d->agreed)
        return;
    a->metadata = kafka_group_copy(d->c, m->metadata, &d->failed);
    a->assignment = kafka_group_copy(d->c, m->assignment, &d->failed);
}

/* A classic group as it is. False when the arena is used up. */
static bool kafka_described_group(struct kafka_call *c, const struct broker_group_info *g,
                                  struct kp_describe_groups_response_group *a)
{
    struct kafka_described d = {
        .c = c, .room = g->member_count, .agreed = g->state == BROKER_GROUP_STABLE};
    d.v = kafka_alloc(c, d.room, sizeof *d.v);
    if (d.v == NULL)
        return false;
    a->state = slice_str(broker_group_state_text(g->state));
    a->protocol_type = kafka_group_copy(c, g->protocol_type, &d.failed);
    if (d.agreed)
        a->protocol_name = kafka_group_copy(c, g->protocol, &d.failed);
    broker_group_members(c->k->options.broker, a->group_id, kafka_described_one, &d);
    a->members.v = d.v;
    a->members.count = (int32_t)d.count;
    return !d.failed;
}

/* False when the arena is used up. */
static bool kafka_describe_group(struct kafka_call *c, struct slice name,
                                 struct kp_describe_groups_response_group *a)
{
    const struct kp_describe_groups_request *q = c->request;
    struct broker_group_info info;
    *a = (struct kp_describe_groups_response_group)KP_DESCRIBE_GROUPS_RESPONSE_GROUP_INIT;
    a->group_id = name;
    a->error = kafka_group_ready(c);
    if (a->error != KAFKA_NONE)
        return true;
    bool found = broker_group_info(c->k->options.broker, name, &info) == 0;
    bool classic = found && info.type == BROKER_GROUP_CLASSIC;
    if (!classic)
        a->state = slice_str(broker_group_state_text(BROKER_GROUP_DEAD));
    if (!classic && c->kind.version >= KAFKA_MISSING_VERSION) {
        a->error = KAFKA_GROUP_ID_NOT_FOUND;
        a->error_message = found
                               ? kafka_group_message(c, "Group ", name, " is not a classic group.")
                               : kafka_group_not_found(c, name);
        return true;
    }
    if (q->include_operations)
        a->authorized_operations = KAFKA_GROUP_OPERATIONS;
    return !classic || kafka_described_group(c, &info, a);
}

void kafka_describe_groups(struct kafka_call *c)
{
    const struct kp_describe_groups_request *q = c->request;
    struct kp_describe_groups_response a = KP_DESCRIBE_GROUPS_RESPONSE_INIT;
    struct kp_describe_groups_response_group *v =
        kafka_alloc(c, (size_t)q->groups.count, sizeof *v);
    bool good = v != NULL && q->groups.count <= KAFKA_ITEMS_MAX;
    for (int32_t i = 0; good && i < q->groups.count; i++)
        good = kafka_describe_group(c, q->groups.v[i], &v[i]);
    if (!good) {
        kafka_refuse(c, "too many groups in one request");
        return;
    }
    a.groups.v = v;
    a.groups.count = q->groups.count;
    kafka_answer(c, &a);
}

/* --- DeleteGroups (KIP-229) ------------------------------------------------------------------- */

struct kafka_deletions {
    struct broker_group **v;
    size_t count;
};

static void kafka_deletions_answer(struct kafka_call *c)
{
    const struct kafka_deletions *all = c->state;
    struct kp_delete_groups_response a = KP_DELETE_GROUPS_RESPONSE_INIT;
    struct kp_delete_groups_response_group *v = kafka_alloc(c, all->count, sizeof *v);
    if (v == NULL) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    for (size_t i = 0; i < all->count; i++)
        v[i] = (struct kp_delete_groups_response_group){
            .group_id = all->v[i]->group, .error = kafka_errmap_group(all->v[i]->status)};
    a.groups.v = v;
    a.groups.count = (int32_t)all->count;
    kafka_answer(c, &a);
}

static void kafka_deletions_done(struct broker_group *req)
{
    struct kafka_call *c = req->ctx;
    if (kafka_end(c))
        kafka_deletions_answer(c);
}

/* One request for each group. False when the arena is used up. */
static bool kafka_deletions_make(struct kafka_call *c, struct kafka_deletions *all)
{
    const struct kp_delete_groups_request *q = c->request;
    struct map names;
    bool good = true;
    map_init(&names, c->k->options.seed);
    for (int32_t i = 0; good && i < q->groups.count; i++) {
        struct slice name = q->groups.v[i];
        struct broker_group *req = NULL;
        if (map_get(&names, name) != NULL)
            continue;
        req = kafka_group_new(c, BROKER_GROUP_DELETE, name, kafka_deletions_done);
        good = req != NULL;
        if (!good)
            break;
        (void)map_put(&names, name, req);
        all->v[all->count++] = req;
    }
    map_deinit(&names);
    return good;
}

void kafka_delete_groups(struct kafka_call *c)
{
    const struct kp_delete_groups_request *q = c->request;
    struct kafka_deletions *all = kafka_alloc(c, 1, sizeof *all);
    if (q->groups.count > KAFKA_ITEMS_MAX) {
        kafka_refuse(c, "too many groups in one request");
        return;
    }
    if (all != NULL)
        all->v = kafka_alloc(c, (size_t)q->groups.count, sizeof(struct broker_group *));
    if (all == NULL || all->v == NULL || !kafka_deletions_make(c, all)) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    c->state = all;
    kafka_run(c); /* for this function */
    for (size_t i = 0; i < all->count; i++)
        kafka_group_start(c, all->v[i]);
    if (kafka_end(c))
        kafka_deletions_answer(c);
}
