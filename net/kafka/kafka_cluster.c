/* SPDX-License-Identifier: MIT
 *
 * kafka_cluster: ApiVersions, Metadata, DescribeCluster, FindCoordinator: who is there, and what it
 * speaks.
 *
 * Metadata makes unknown topics when the client allows it: the answer waits until they are durable,
 * so that a producer's first question is answered with its topic. A broker that does not lead has
 * the leader make it, and says that it has no leader yet: its client asks on. The leader of the
 * cluster is its controller and coordinates all groups. Metadata names every broker that has an
 * address, as long as its leader hears of it.
 */
#include "net/kafka/kafka_nodes.h"

#include <string.h>

#define KAFKA_FENCED_VERSION 2 /* the first of DescribeCluster that tells fenced brokers apart */

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

/* A broker that nobody hears of is fenced in Kafka, and told from version 2 on when asked for. */
static bool kafka_describe_takes(const struct kafka_call *c, const struct kafka_node *n)
{
    const struct kp_describe_cluster_request *q = c->request;
    bool fenced_out = c->kind.version >= KAFKA_FENCED_VERSION && !q->include_fenced_brokers;
    return n->told && !(n->silent && fenced_out);
}

/* False when the arena is used up. */
static bool kafka_describe_brokers(struct kafka_call *c, const struct kafka_nodes *all,
                                   struct kp_describe_cluster_response *a)
{
    struct kp_describe_cluster_response_broker *v = kafka_alloc(c, all->count, sizeof *v);
    for (size_t i = 0; v != NULL && i < all->count; i++) {
        const struct kafka_node *n = &all->v[i];
        if (kafka_describe_takes(c, n))
            v[a->brokers.count++] = (struct kp_describe_cluster_response_broker){
                .node_id = n->id,
                .host = n->host,
                .port = n->port,
                .rack = n->rack,
                .is_fenced = n->silent,
            };
    }
    a->brokers.v = v;
    return v != NULL;
}

void kafka_describe_cluster(struct kafka_call *c)
{
    const struct kp_describe_cluster_request *q = c->request;
    struct kp_describe_cluster_response a = KP_DESCRIBE_CLUSTER_RESPONSE_INIT;
    const struct kafka_nodes *all = kafka_nodes(c);
    bool good = all != NULL;
    a.cluster_id = slice_str(c->k->cluster_id);
    if (good)
        a.controller_id = kafka_nodes_told(all, all->leader) != NULL ? all->leader : -1;
    if (q->endpoint_type != 1) { /* 2: controllers, which have no address of their own here */
        a.error = KAFKA_UNSUPPORTED_ENDPOINT_TYPE;
        a.error_message = slice_str("this cluster has no endpoints of controllers");
    } else {
        good = good && kafka_describe_brokers(c, all, &a);
    }
    if (q->include_cluster_operations)
        a.cluster_operations = KAFKA_CLUSTER_OPERATIONS;
    if (good)
        kafka_answer(c, &a);
    else
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
}

/* --- FindCoordinator -------------------------------------------------------------------------- */

#define KAFKA_COORDINATOR_GROUP 0
#define KAFKA_COORDINATOR_TXN   1

/* The leader of the cluster, or why there is none. */
static struct kp_find_coordinator_response_coordinator
kafka_coordinator(const struct kafka_nodes *all, int8_t type)
{
    struct kp_find_coordinator_response_coordinator a =
        KP_FIND_COORDINATOR_RESPONSE_COORDINATOR_INIT;
    const struct kafka_node *n = kafka_nodes_told(all, all->leader);
    a.node_id = a.port = -1;
    if (type == KAFKA_COORDINATOR_TXN) {
        a.error = KAFKA_COORDINATOR_NOT_AVAILABLE;
        a.error_message = slice_str("this broker has no coordinator of transactions yet");
    } else if (type != KAFKA_COORDINATOR_GROUP) {
        a.error = KAFKA_INVALID_REQUEST;
        a.error_message = slice_str("this broker has coordinators of groups alone");
    } else if (n == NULL) {
        a.error = KAFKA_COORDINATOR_NOT_AVAILABLE;
        a.error_message = slice_str("no broker leads this cluster at present");
    } else {
        a.node_id = n->id;
        a.host = n->host;
        a.port = n->port;
    }
    return a;
}

/* One broker coordinates everything, whatever the key. */
void kafka_find_coordinator(struct kafka_call *c)
{
    const struct kp_find_coordinator_request *q = c->request;
    struct kp_find_coordinator_response a = KP_FIND_COORDINATOR_RESPONSE_INIT;
    struct kp_find_coordinator_response_coordinator one;
    const struct kafka_nodes *all = kafka_nodes(c);
    struct kp_find_coordinator_response_coordinator *v = NULL;
    int32_t count = q->coordinator_keys.count > 0 ? q->coordinator_keys.count : 0;
    v = kafka_alloc(c, (size_t)count, sizeof *v);
    if (v == NULL || all == NULL || count > KAFKA_ITEMS_MAX) {
        kafka_refuse(c, "too many coordinators in one request");
        return;
    }
    one = kafka_coordinator(all, q->key_type);
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

static bool kafka_metadata_partitions(struct kafka_call *c, const struct kafka_nodes *all,
                                      const struct broker_topic_info *info,
                                      struct kp_metadata_response_topic *t)
{
    size_t count = (size_t)info->partition_count;
    struct kp_metadata_response_partition *v = kafka_alloc(c, count, sizeof *v);
    for (size_t i = 0; v != NULL && i < count; i++) {
        struct broker_partition_info p;
        struct kafka_led led;
        int r = broker_partition(c->k->options.broker, info->name, (int32_t)i, false, &p);
        ASSERT(r == 0);
        if (!kafka_nodes_partition(c, all, &p, &led))
            return false;
        v[i] = (struct kp_metadata_response_partition){
            .error = led.error,
            .index = (int32_t)i,
            .leader_id = led.leader,
            .leader_epoch = led.epoch,
            .replicas = led.replicas,
            .in_sync = led.in_sync,
            .offline = led.offline,
        };
    }
    t->partitions.v = v;
    t->partitions.count = (int32_t)count;
    return v != NULL;
}

/* False when the arena is used up. */
static bool kafka_metadata_fill(struct kafka_call *c, const struct kafka_nodes *all,
                                const struct broker_topic_info *info,
                                struct kp_metadata_response_topic *t)
{
    const struct kp_metadata_request *q = c->request;
    *t = (struct kp_metadata_response_topic)KP_METADATA_RESPONSE_TOPIC_INIT;
    t->name = arena_copy(&c->r->arena, info->name);
    memcpy(t->topic_id.b, info->id, sizeof t->topic_id.b);
    t->is_internal = info->internal;
    if (q->include_topic_operations)
        t->authorized_operations = KAFKA_TOPIC_OPERATIONS;
    return t->name.p != NULL && kafka_metadata_partitions(c, all, info, t);
}

static void kafka_metadata_automatic(void *ctx, const char *key, const char *value,
                                     const char *source, const char *help)
{
    ASSERT(source != NULL && help != NULL);
    if (strcmp(key, "auto.create.topics.enable") == 0)
        *(bool *)ctx = strcmp(value, "true") == 0;
}

static int16_t kafka_metadata_error(const struct kafka_call *c, enum broker_status status)
{
    bool automatic = false;
    if (status == BROKER_BUSY)
        return KAFKA_LEADER_NOT_AVAILABLE; /* somebody is making it */
    if (status != BROKER_NOT_LEADER)
        return kafka_errmap(status);
    broker_configs(c->k->options.broker, SLICE_NULL, kafka_metadata_automatic, &automatic);
    return automatic ? KAFKA_LEADER_NOT_AVAILABLE /* the leader makes it when it is asked */
                     : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

static void kafka_metadata_missing(const struct kafka_call *c,
                                   const struct kp_metadata_request_topic *q,
                                   enum broker_status status, struct kp_metadata_response_topic *t)
{
    bool by_id = !kafka_metadata_zero(&q->topic_id);
    *t = (struct kp_metadata_response_topic)KP_METADATA_RESPONSE_TOPIC_INIT;
    t->name = by_id ? SLICE_NULL : q->name;
    if (by_id)
        t->topic_id = q->topic_id;
    t->error = by_id ? KAFKA_UNKNOWN_TOPIC_ID : kafka_metadata_error(c, status);
}

/* Topics are NULL where the arena was used up. */
static void kafka_metadata_answer(struct kafka_call *c, const struct kafka_nodes *all,
                                  const struct kp_metadata_response_topic *topics, size_t count)
{
    const struct kp_metadata_request *q = c->request;
    struct kp_metadata_response a = KP_METADATA_RESPONSE_INIT;
    struct kp_metadata_response_broker *v =
        topics == NULL ? NULL : kafka_alloc(c, all->count, sizeof *v);
    if (v == NULL) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    for (size_t i = 0; i < all->count; i++) {
        const struct kafka_node *n = &all->v[i];
        if (n->told && !n->gone)
            v[a.brokers.count++] =
                (struct kp_metadata_response_broker){n->id, n->host, n->port, n->rack};
    }
    a.brokers.v = v;
    a.cluster_id = slice_str(c->k->cluster_id);
    a.controller_id = kafka_nodes_told(all, all->leader) != NULL ? all->leader : -1;
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
    const struct kafka_nodes *nodes = kafka_nodes(c);
    struct kp_metadata_response_topic *v = kafka_alloc(c, total.topics + 1, sizeof *v);
    bool good = nodes != NULL && v != NULL;
    for (struct slice after = SLICE_NULL; good && broker_topic_after(b, after, &info) == 0;) {
        ASSERT(count <= total.topics);
        good = kafka_metadata_fill(c, nodes, &info, &v[count]);
        after = info.name;
        count++;
    }
    kafka_metadata_answer(c, nodes, good ? v : NULL, count);
}

/* The topics that were asked for, as they are now. */
static void kafka_metadata_some(struct kafka_call *c)
{
    const struct kp_metadata_request *q = c->request;
    const struct kafka_metadata_topic *made = c->state;
    struct broker *b = c->k->options.broker;
    size_t count = (size_t)q->topics.count;
    const struct kafka_nodes *nodes = kafka_nodes(c);
    struct kp_metadata_response_topic *v = kafka_alloc(c, count, sizeof *v);
    bool good = nodes != NULL && v != NULL;
    for (size_t i = 0; good && i < count; i++) {
        const struct kp_metadata_request_topic *t = &q->topics.v[i];
        bool by_id = !kafka_metadata_zero(&t->topic_id);
        struct broker_topic_info info;
        int r =
            by_id ? broker_topic_by_id(b, t->topic_id.b, &info) : broker_topic(b, t->name, &info);
        if (r == 0)
            good = kafka_metadata_fill(c, nodes, &info, &v[i]);
        else
            kafka_metadata_missing(c, t, made[i].created, &v[i]);
    }
    kafka_metadata_answer(c, nodes, good ? v : NULL, count);
}

static bool kafka_metadata_here(const struct kafka_call *c)
{
    struct broker_cluster_info info;
    broker_cluster_info(c->k->options.broker, &info);
    return info.changes_here;
}

static void kafka_metadata_created(struct broker_admin *req)
{
    struct kafka_call *c = req->ctx;
    struct kafka_metadata_topic *t = LIST_ENTRY(req, struct kafka_metadata_topic, create);
    bool there = req->status == BROKER_OK || req->status == BROKER_TOPIC_EXISTS;
    bool here = there && kafka_metadata_here(c);
    /* Made: it is there, unless deleted since; or it will be as soon as the leader has told us. */
    t->created = here ? BROKER_UNKNOWN_TOPIC : there ? BROKER_BUSY : req->status;
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
                                      .forward = true,
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
