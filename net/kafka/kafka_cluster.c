/* SPDX-License-Identifier: MIT
 *
 * kafka_cluster: ApiVersions, Metadata, DescribeCluster, FindCoordinator: who is there, and what it
 * speaks.
 *
 * Metadata makes unknown topics when the client allows it: the answer waits until they are durable,
 * so that a producer's first question is answered with its topic. One node leads everything.
 */
#include "net/kafka/kafka_priv.h"

#include <string.h>

/* --- ApiVersions (KIP-35, KIP-511) ------------------------------------------------------------ */

void kafka_api_versions(struct kafka_call *c)
{
    struct kp_api_versions_response a = KP_API_VERSIONS_RESPONSE_INIT;
    struct kp_api_versions_response_api_key *keys = kafka_alloc(c, KP_API_COUNT, sizeof *keys);
    int32_t count = 0;
    if (keys == NULL) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    for (unsigned i = 0; i < KP_API_COUNT; i++) {
        if (!kp_is_offered((enum kp_api)i))
            continue;
        struct kp_versions v = kp_offered((enum kp_api)i);
        keys[count] =
            (struct kp_api_versions_response_api_key){kp_key((enum kp_api)i), v.min, v.max};
        ASSERT(count == 0 || keys[count - 1].key < keys[count].key);
        count++;
    }
    a.api_keys.v = keys;
    a.api_keys.count = count;
    kafka_answer(c, &a);
}

void kafka_api_versions_unknown(struct kafka_call *c)
{
    struct kp_versions v = kp_offered(KP_API_API_VERSIONS);
    struct kp_api_versions_response_api_key key = {kp_key(KP_API_API_VERSIONS), v.min, v.max};
    struct kp_api_versions_response a = KP_API_VERSIONS_RESPONSE_INIT;
    a.error = KAFKA_UNSUPPORTED_VERSION;
    a.api_keys.v = &key;
    a.api_keys.count = 1;
    c->kind.version = 0;
    kafka_answer(c, &a);
}

/* --- DescribeCluster (KIP-700) ---------------------------------------------------------------- */

void kafka_describe_cluster(struct kafka_call *c)
{
    const struct kp_describe_cluster_request *q = c->request;
    struct kp_describe_cluster_response a = KP_DESCRIBE_CLUSTER_RESPONSE_INIT;
    struct kp_describe_cluster_response_broker b = KP_DESCRIBE_CLUSTER_RESPONSE_BROKER_INIT;
    struct kafka_node here = kafka_here(c);
    b.node_id = c->k->node_id;
    b.host = here.host;
    b.port = here.port;
    a.cluster_id = slice_str(c->k->cluster_id);
    a.controller_id = c->k->node_id;
    if (q->endpoint_type != 1) { /* 2: controllers, which have no address of their own here */
        a.error = KAFKA_UNSUPPORTED_ENDPOINT_TYPE;
        a.error_message = slice_str("this cluster has no endpoints of controllers");
    } else {
        a.brokers.v = &b;
        a.brokers.count = 1;
    }
    if (q->include_cluster_operations)
        a.cluster_operations = KAFKA_CLUSTER_OPERATIONS;
    kafka_answer(c, &a);
}

/* --- FindCoordinator -------------------------------------------------------------------------- */

#define KAFKA_COORDINATOR_GROUP 0
#define KAFKA_COORDINATOR_TXN   1

/* This node, or why there is none. */
static struct kp_find_coordinator_response_coordinator kafka_coordinator(struct kafka_call *c,
                                                                         int8_t type)
{
    struct kp_find_coordinator_response_coordinator a =
        KP_FIND_COORDINATOR_RESPONSE_COORDINATOR_INIT;
    struct kafka_node here = kafka_here(c);
    a.node_id = a.port = -1;
    if (type == KAFKA_COORDINATOR_TXN) {
        a.error = KAFKA_COORDINATOR_NOT_AVAILABLE;
        a.error_message = slice_str("this broker has no coordinator of transactions yet");
    } else if (type != KAFKA_COORDINATOR_GROUP) {
        a.error = KAFKA_INVALID_REQUEST;
        a.error_message = slice_str("this broker has coordinators of groups alone");
    } else {
        a.node_id = c->k->node_id;
        a.host = here.host;
        a.port = here.port;
    }
    return a;
}

/* One node coordinates everything, whatever the key. */
void kafka_find_coordinator(struct kafka_call *c)
{
    const struct kp_find_coordinator_request *q = c->request;
    struct kp_find_coordinator_response a = KP_FIND_COORDINATOR_RESPONSE_INIT;
    struct kp_find_coordinator_response_coordinator one = kafka_coordinator(c, q->key_type);
    struct kp_find_coordinator_response_coordinator *v = NULL;
    int32_t count = q->coordinator_keys.count > 0 ? q->coordinator_keys.count : 0;
    v = kafka_alloc(c, (size_t)count, sizeof *v);
    if (v == NULL || count > KAFKA_ITEMS_MAX) {
        kafka_refuse(c, "too many coordinators in one request");
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        v[i] = one;
        v[i].key = q->coordinator_keys.v[i];
    }
    a.error = one.error;
    a.error_message = one.error_message;
    a.node_id = one.node_id;
    a.host = one.host;
    a.port = one.port;
    a.coordinators.v = v;
    a.coordinators.count = count;
    kafka_answer(c, &a);
}

/* --- Metadata --------------------------------------------------------------------------------- */

/* What is found out about one topic that was asked for. */
struct kafka_metadata_topic {
    struct broker_admin create; /* under way while the call waits */
    enum broker_status created; /* BROKER_OK, or why it was not made */
};

static bool kafka_metadata_zero(const struct kp_uuid *id)
{
    static const struct kp_uuid zero;
    return memcmp(id, &zero, sizeof zero) == 0;
}

static bool kafka_metadata_partitions(struct kafka_call *c, const struct broker_topic_info *info,
                                      struct kp_metadata_response_topic *t)
{
    size_t count = (size_t)info->partition_count;
    struct kp_metadata_response_partition *v = kafka_alloc(c, count, sizeof *v);
    int32_t *node = kafka_alloc(c, 1, sizeof *node);
    if (v == NULL || node == NULL)
        return false;
    *node = c->k->node_id;
    for (size_t i = 0; i < count; i++) {
        struct broker_partition_info p;
        int r = broker_partition(c->k->options.broker, info->name, (int32_t)i, false, &p);
        ASSERT(r == 0);
        v[i] = (struct kp_metadata_response_partition)KP_METADATA_RESPONSE_PARTITION_INIT;
        v[i].index = (int32_t)i;
        v[i].leader_id = p.leader;
        v[i].leader_epoch = p.epoch;
        v[i].replicas.v = v[i].in_sync.v = node;
        v[i].replicas.count = v[i].in_sync.count = 1;
    }
    t->partitions.v = v;
    t->partitions.count = (int32_t)count;
    return true;
}

/* False when the arena is used up. */
static bool kafka_metadata_fill(struct kafka_call *c, const struct broker_topic_info *info,
                                struct kp_metadata_response_topic *t)
{
    const struct kp_metadata_request *q = c->request;
    *t = (struct kp_metadata_response_topic)KP_METADATA_RESPONSE_TOPIC_INIT;
    t->name = arena_copy(&c->r->arena, info->name);
    memcpy(t->topic_id.b, info->id, sizeof t->topic_id.b);
    t->is_internal = info->internal;
    if (q->include_topic_operations)
        t->authorized_operations = KAFKA_TOPIC_OPERATIONS;
    return t->name.p != NULL && kafka_metadata_partitions(c, info, t);
}

static void kafka_metadata_missing(const struct kp_metadata_request_topic *q, bool by_id,
                                   enum broker_status status, struct kp_metadata_response_topic *t)
{
    *t = (struct kp_metadata_response_topic)KP_METADATA_RESPONSE_TOPIC_INIT;
    t->name = by_id ? SLICE_NULL : q->name;
    if (by_id)
        t->topic_id = q->topic_id;
    t->error = by_id                   ? KAFKA_UNKNOWN_TOPIC_ID
               : status == BROKER_BUSY ? KAFKA_LEADER_NOT_AVAILABLE /* somebody is making it */
                                       : kafka_errmap(status);
}

static void kafka_metadata_answer(struct kafka_call *c,
                                  const struct kp_metadata_response_topic *topics, size_t count)
{
    const struct kp_metadata_request *q = c->request;
    struct kp_metadata_response a = KP_METADATA_RESPONSE_INIT;
    struct kp_metadata_response_broker b = KP_METADATA_RESPONSE_BROKER_INIT;
    struct kafka_node here = kafka_here(c);
    b.node_id = c->k->node_id;
    b.host = here.host;
    b.port = here.port;
    a.brokers.v = &b;
    a.brokers.count = 1;
    a.cluster_id = slice_str(c->k->cluster_id);
    a.controller_id = c->k->node_id;
    a.topics.v = topics;
    a.topics.count = (int32_t)count;
    if (q->include_cluster_operations)
        a.cluster_operations = KAFKA_CLUSTER_OPERATIONS;
    kafka_answer(c, &a);
}

static void kafka_metadata_all(struct kafka_call *c)
{
    struct broker *b = c->k->options.broker;
    struct broker_info total;
    struct broker_topic_info info;
    size_t count = 0;
    broker_info(b, &total);
    struct kp_metadata_response_topic *v = kafka_alloc(c, total.topics + 1, sizeof *v);
    bool good = v != NULL;
    for (struct slice after = SLICE_NULL; good && broker_topic_after(b, after, &info) == 0;) {
        ASSERT(count <= total.topics);
        good = kafka_metadata_fill(c, &info, &v[count]);
        after = info.name;
        count++;
    }
    if (good)
        kafka_metadata_answer(c, v, count);
    else
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
}

/* The topics that were asked for, as they are now. */
static void kafka_metadata_some(struct kafka_call *c)
{
    const struct kp_metadata_request *q = c->request;
    const struct kafka_metadata_topic *made = c->state;
    struct broker *b = c->k->options.broker;
    size_t count = (size_t)q->topics.count;
    struct kp_metadata_response_topic *v = kafka_alloc(c, count, sizeof *v);
    bool good = v != NULL;
    for (size_t i = 0; good && i < count; i++) {
        const struct kp_metadata_request_topic *t = &q->topics.v[i];
        bool by_id = !kafka_metadata_zero(&t->topic_id);
        struct broker_topic_info info;
        int r =
            by_id ? broker_topic_by_id(b, t->topic_id.b, &info) : broker_topic(b, t->name, &info);
        if (r == 0)
            good = kafka_metadata_fill(c, &info, &v[i]);
        else
            kafka_metadata_missing(t, by_id, made[i].created, &v[i]);
    }
    if (good)
        kafka_metadata_answer(c, v, count);
    else
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
}

static void kafka_metadata_created(struct broker_admin *req)
{
    struct kafka_call *c = req->ctx;
    struct kafka_metadata_topic *t = LIST_ENTRY(req, struct kafka_metadata_topic, create);
    bool there = req->status == BROKER_OK || req->status == BROKER_TOPIC_EXISTS;
    t->created = there ? BROKER_UNKNOWN_TOPIC : req->status; /* there, unless deleted since */
    if (kafka_end(c))
        kafka_metadata_some(c);
}

/* Starts making the topic, if it is to be made. */
static void kafka_metadata_create(struct kafka_call *c, const struct kp_metadata_request_topic *q,
                                  struct kafka_metadata_topic *t)
{
    struct broker_topic_info info;
    t->created = BROKER_UNKNOWN_TOPIC;
    if (q->name.p == NULL || broker_topic(c->k->options.broker, q->name, &info) == 0)
        return;
    t->create = (struct broker_admin){.op = BROKER_TOPIC_CREATE,
                                      .topic = q->name,
                                      .partitions = -1,
                                      .replication = -1,
                                      .automatic = true,
                                      .done = kafka_metadata_created,
                                      .ctx = c};
    kafka_run(c);
    broker_admin(c->k->options.broker, &t->create);
}

void kafka_metadata(struct kafka_call *c)
{
    const struct kp_metadata_request *q = c->request;
    if (q->topics.count < 0 || (c->kind.version == 0 && q->topics.count == 0)) {
        kafka_metadata_all(c);
        return;
    }
    struct kafka_metadata_topic *t = kafka_alloc(c, (size_t)q->topics.count, sizeof *t);
    if (t == NULL || q->topics.count > KAFKA_ITEMS_MAX) {
        kafka_refuse(c, "too many topics in one request");
        return;
    }
    c->state = t;
    kafka_run(c); /* for this function */
    for (int32_t i = 0; i < q->topics.count; i++) {
        t[i].created = BROKER_UNKNOWN_TOPIC;
        if (q->allow_auto_topic_creation && kafka_metadata_zero(&q->topics.v[i].topic_id))
            kafka_metadata_create(c, &q->topics.v[i], &t[i]);
    }
    if (kafka_end(c))
        kafka_metadata_some(c);
}
