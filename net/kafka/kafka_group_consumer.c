/* SPDX-License-Identifier: MIT
 *
 * kafka_group_consumer: ConsumerGroupHeartbeat and ConsumerGroupDescribe: groups whose partitions
 * the broker divides (KIP-848).
 *
 *   by version                                        Heartbeat   Describe
 *   the member makes its own id                       1
 *   subscription by regular expression                1
 *   kind of each member                                           1
 *
 * Topics a member subscribes to are told by name, partitions it owns or is given by topic id. Null
 * means "as before", which an empty list does not.
 */
#include "net/kafka/kafka_group_priv.h"

#define KAFKA_OWN_ID_VERSION 1 /* of ConsumerGroupHeartbeat */
#define KAFKA_MEMBER_NEWER   1 /* kind of a member: one of the newer protocol */

/* --- ConsumerGroupHeartbeat ------------------------------------------------------------------- */

/* What the member is to have. NULL when the arena is used up. */
static const struct kp_consumer_group_heartbeat_response_assignment *
kafka_beat_assignment(struct kafka_call *c, const struct broker_group_beat *b)
{
    struct kp_consumer_group_heartbeat_response_assignment *a = kafka_alloc(c, 1, sizeof *a);
    struct kp_consumer_group_heartbeat_response_topic *v =
        kafka_alloc(c, b->assignment_count, sizeof *v);
    bool failed = a == NULL || v == NULL;
    for (size_t i = 0; !failed && i < b->assignment_count; i++) {
        struct kp_i32s indexes = kafka_group_partitions(c, &b->assignment[i], &failed);
        memcpy(v[i].topic_id.b, b->assignment[i].id, sizeof v[i].topic_id.b);
        v[i].indexes.v = indexes.v;
        v[i].indexes.count = indexes.count;
    }
    if (failed)
        return NULL;
    a->topics.v = v;
    a->topics.count = (int32_t)b->assignment_count;
    return a;
}

static void kafka_beat_done(struct broker_group *req)
{
    struct kafka_call *c = req->ctx;
    struct kp_consumer_group_heartbeat_response a = KP_CONSUMER_GROUP_HEARTBEAT_RESPONSE_INIT;
    bool last = kafka_end(c), failed = false;
    ASSERT(last);
    a.error = kafka_errmap_group(req->status);
    if (req->status != BROKER_OK) {
        a.error_message =
            slice_str(req->message != NULL ? req->message : broker_status_text(req->status));
    } else {
        a.member_id = req->beat.member;
        a.member_epoch = req->beat.epoch;
        a.heartbeat_interval_ms = req->beat.interval_ms;
    }
    if (req->status == BROKER_OK && req->beat.has_assignment) {
        a.assignment = kafka_beat_assignment(c, &req->beat);
        failed = a.assignment == NULL;
    }
    if (failed)
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
    else
        kafka_answer(c, &a);
}

/* What the member says that it owns. False when the arena is used up. */
static bool kafka_beat_owned(struct kafka_call *c, struct broker_group_beat *b)
{
    const struct kp_consumer_group_heartbeat_request *q = c->request;
    if (q->topics.count < 0)
        return true;
    struct broker_group_topic *v = kafka_alloc(c, (size_t)q->topics.count, sizeof *v);
    if (v == NULL)
        return false;
    for (int32_t i = 0; i < q->topics.count; i++) {
        v[i] = (struct broker_group_topic){.name = SLICE_NULL,
                                           .partitions = q->topics.v[i].indexes.v,
                                           .count = (size_t)q->topics.v[i].indexes.count};
        memcpy(v[i].id, q->topics.v[i].topic_id.b, sizeof v[i].id);
    }
    b->owned = v;
    b->owned_count = (size_t)q->topics.count;
    return true;
}

/* False when the arena is used up. */
static bool kafka_beat_fill(struct kafka_call *c, struct broker_group *req)
{
    const struct kp_consumer_group_heartbeat_request *q = c->request;
    struct slice *topics = kafka_alloc(c, 1, sizeof *topics); /* an empty list is not null */
    req->member = q->member_id;
    req->instance = q->instance_id;
    req->generation = q->member_epoch;
    req->beat = (struct broker_group_beat){.rack = q->rack_id,
                                           .rebalance_timeout_ms = q->rebalance_timeout_ms,
                                           .regex = q->subscribed_topic_regex,
                                           .assignor = q->server_assignor};
    if (q->subscribed_topic_names.count >= 0) {
        req->beat.topics =
            q->subscribed_topic_names.count > 0 ? q->subscribed_topic_names.v : topics;
        req->beat.topic_count = (size_t)q->subscribed_topic_names.count;
    }
    return topics != NULL && kafka_beat_owned(c, &req->beat);
}

void kafka_consumer_group_heartbeat(struct kafka_call *c)
{
    const struct kp_consumer_group_heartbeat_request *q = c->request;
    struct kp_consumer_group_heartbeat_response refusal = KP_CONSUMER_GROUP_HEARTBEAT_RESPONSE_INIT;
    struct broker_group *req = kafka_group_new(c, BROKER_GROUP_BEAT, q->group_id, kafka_beat_done);
    if (req == NULL || !kafka_beat_fill(c, req)) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
    } else if (c->kind.version >= KAFKA_OWN_ID_VERSION && q->member_id.size == 0) {
        refusal.error = KAFKA_INVALID_REQUEST;
        refusal.error_message = slice_str("in this version a member makes its id itself");
        kafka_answer(c, &refusal);
    } else {
        kafka_group_start(c, req);
    }
}

/* --- ConsumerGroupDescribe -------------------------------------------------------------------- */

struct kafka_consumers {
    struct kafka_call *c;
    struct kp_consumer_group_describe_response_member *v;
    size_t count;
    size_t room;
    bool failed; /* the arena is used up */
};

/* Empty is told as null. */
static struct slice kafka_consumers_copy(struct kafka_consumers *d, struct slice s)
{
    return s.size > 0 ? kafka_group_copy(d->c, s, &d->failed) : SLICE_NULL;
}

static void kafka_consumers_topics(struct kafka_consumers *d, const struct broker_group_member *m,
                                   struct kp_consumer_group_describe_response_member *a)
{
    struct slice *v = kafka_alloc(d->c, m->topic_count, sizeof *v);
    d->failed = d->failed || v == NULL;
    for (size_t i = 0; !d->failed && i < m->topic_count; i++)
        v[i] = kafka_group_copy(d->c, m->topics[i], &d->failed);
    a->subscribed_topic_names.v = v;
    a->subscribed_topic_names.count = v != NULL ? (int32_t)m->topic_count : 0;
}

static void kafka_consumers_assigned(struct kafka_consumers *d, const struct broker_group_member *m,
                                     struct kp_consumer_group_describe_response_member *a)
{
    struct kp_consumer_group_describe_response_assigned_topic *v =
        kafka_alloc(d->c, m->assigned_count, sizeof *v);
    d->failed = d->failed || v == NULL;
    for (size_t i = 0; !d->failed && i < m->assigned_count; i++) {
        struct kp_i32s indexes = kafka_group_partitions(d->c, &m->assigned[i], &d->failed);
        memcpy(v[i].topic_id.b, m->assigned[i].id, sizeof v[i].topic_id.b);
        v[i].name = kafka_group_copy(d->c, m->assigned[i].name, &d->failed);
        v[i].indexes.v = indexes.v;
        v[i].indexes.count = indexes.count;
    }
    a->assignment.topics.v = v;
    a->assignment.topics.count = v != NULL ? (int32_t)m->assigned_count : 0;
}

static void kafka_consumers_target(struct kafka_consumers *d, const struct broker_group_member *m,
                                   struct kp_consumer_group_describe_response_member *a)
{
    struct kp_consumer_group_describe_response_target_topic *v =
        kafka_alloc(d->c, m->target_count, sizeof *v);
    d->failed = d->failed || v == NULL;
    for (size_t i = 0; !d->failed && i < m->target_count; i++) {
        struct kp_i32s indexes = kafka_group_partitions(d->c, &m->target[i], &d->failed);
        memcpy(v[i].topic_id.b, m->target[i].id, sizeof v[i].topic_id.b);
        v[i].name = kafka_group_copy(d->c, m->target[i].name, &d->failed);
        v[i].indexes.v = indexes.v;
        v[i].indexes.count = indexes.count;
    }
    a->target.topics.v = v;
    a->target.topics.count = v != NULL ? (int32_t)m->target_count : 0;
}

static void kafka_consumers_one(void *ctx, const struct broker_group_member *m)
{
    struct kafka_consumers *d = ctx;
    ASSERT(d->count < d->room);
    struct kp_consumer_group_describe_response_member *a = &d->v[d->count++];
    *a = (struct kp_consumer_group_describe_response_member)
        KP_CONSUMER_GROUP_DESCRIBE_RESPONSE_MEMBER_INIT;
    a->member_id = kafka_group_copy(d->c, m->id, &d->failed);
    a->instance_id = kafka_consumers_copy(d, m->instance);
    a->rack_id = kafka_consumers_copy(d, m->rack);
    a->member_epoch = m->epoch;
    a->client_id = kafka_group_copy(d->c, m->client_id, &d->failed);
    a->client_host = kafka_group_copy(d->c, m->client_host, &d->failed);
    a->subscribed_topic_regex = kafka_consumers_copy(d, m->regex);
    a->member_type = KAFKA_MEMBER_NEWER;
    kafka_consumers_topics(d, m, a);
    kafka_consumers_assigned(d, m, a);
    kafka_consumers_target(d, m, a);
}

/* A group of the newer protocol as it is. False when the arena is used up. */
static bool kafka_consumers_group(struct kafka_call *c, const struct broker_group_info *g,
                                  struct kp_consumer_group_describe_response_group *a)
{
    struct kafka_consumers d = {.c = c, .room = g->member_count};
    d.v = kafka_alloc(c, d.room, sizeof *d.v);
    if (d.v == NULL)
        return false;
    a->state = slice_str(broker_group_state_text(g->state));
    a->epoch = g->generation;
    a->assignment_epoch = g->assignment_epoch;
    a->assignor_name = kafka_group_copy(c, g->protocol, &d.failed);
    broker_group_members(c->k->options.broker, a->group_id, kafka_consumers_one, &d);
    a->members.v = d.v;
    a->members.count = (int32_t)d.count;
    return !d.failed;
}

/* False when the arena is used up. */
static bool kafka_consumers_describe(struct kafka_call *c, struct slice name,
                                     struct kp_consumer_group_describe_response_group *a)
{
    const struct kp_consumer_group_describe_request *q = c->request;
    struct broker_group_info info;
    *a = (struct kp_consumer_group_describe_response_group)
        KP_CONSUMER_GROUP_DESCRIBE_RESPONSE_GROUP_INIT;
    a->group_id = name;
    a->error = name.size == 0 ? KAFKA_INVALID_GROUP_ID : kafka_group_ready(c);
    if (a->error != KAFKA_NONE)
        return true;
    bool found = broker_group_info(c->k->options.broker, name, &info) == 0;
    if (!found || info.type != BROKER_GROUP_CONSUMER) {
        a->error = KAFKA_GROUP_ID_NOT_FOUND;
        a->error_message = found
                               ? kafka_group_message(c, "Group ", name, " is not a consumer group.")
                               : kafka_group_not_found(c, name);
        return true;
    }
    if (q->include_operations)
        a->authorized_operations = KAFKA_GROUP_OPERATIONS;
    return kafka_consumers_group(c, &info, a);
}

void kafka_consumer_group_describe(struct kafka_call *c)
{
    const struct kp_consumer_group_describe_request *q = c->request;
    struct kp_consumer_group_describe_response a = KP_CONSUMER_GROUP_DESCRIBE_RESPONSE_INIT;
    struct kp_consumer_group_describe_response_group *v =
        kafka_alloc(c, (size_t)q->groups.count, sizeof *v);
    bool good = v != NULL && q->groups.count <= KAFKA_ITEMS_MAX;
    for (int32_t i = 0; good && i < q->groups.count; i++)
        good = kafka_consumers_describe(c, q->groups.v[i], &v[i]);
    if (!good) {
        kafka_refuse(c, "too many groups in one request");
        return;
    }
    a.groups.v = v;
    a.groups.count = q->groups.count;
    kafka_answer(c, &a);
}
