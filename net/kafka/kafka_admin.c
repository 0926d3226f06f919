/* SPDX-License-Identifier: MIT
 *
 * kafka_admin: CreateTopics, DeleteTopics, CreatePartitions.
 *
 * The topics of one request are changed at once, each by a request of its own to the broker:
 *
 *   request -> changes, one for each topic -> those named twice are refused -> kafka_run for each
 *   that is not settled -> last completion -> one answer, in the order of the request
 *
 * A topic that is named twice is answered once, as in Kafka. Changes are durable when they are
 * answered, and quick, so the timeout of the request is no deadline for us.
 *
 * What the broker says is translated by kafka_errmap, but for what these APIs see differently: see
 * kafka_admin_error.
 */
#include <stdio.h>

#include "net/kafka/kafka_configs.h"

#include "engine/base/map.h"

#define KAFKA_DEFAULT_REPLICAS 3 /* where nobody asks for a number, if there are as many brokers */
#define KAFKA_DISABLED_VERSION 3 /* the first of DeleteTopics that knows TOPIC_DELETION_DISABLED */

static const char kafka_admin_placed[] =
    "a partition can only be assigned to this broker, and only once";

struct kafka_change {
    struct broker_admin admin;
    struct kp_uuid id; /* deletion: of the topic */
    const char *why;   /* with error */
    int16_t error;     /* settled without the broker */
    bool again;        /* its name came before and is answered there */
    bool internal;     /* deletion: a topic of the broker's own */
};

struct kafka_changes {
    struct kafka_change *v;
    size_t count;
    void (*answer)(struct kafka_call *c); /* of the API */
};

static void kafka_change_refuse(struct kafka_change *h, int16_t error, const char *why)
{
    ASSERT(error != KAFKA_NONE && why != NULL);
    h->error = error;
    h->why = why;
}

/* Where these APIs say something else than errmap. */
static int16_t kafka_admin_error(const struct kafka_call *c, const struct kafka_change *h)
{
    struct broker_topic_info info;
    enum broker_status s = h->admin.status;
    if (h->error != KAFKA_NONE)
        return h->error;
    if (s == BROKER_TOPIC_EXISTS && broker_topic(c->k->options.broker, h->admin.topic, &info) != 0)
        return KAFKA_INVALID_TOPIC; /* another one, whose name is too near */
    if (s == BROKER_DENIED && h->admin.op == BROKER_TOPIC_DELETE && !h->internal)
        return c->kind.version < KAFKA_DISABLED_VERSION ? KAFKA_INVALID_REQUEST
                                                        : KAFKA_TOPIC_DELETION_DISABLED;
    return kafka_errmap_admin(s);
}

/* Null when nothing is wrong. */
static struct slice kafka_admin_message(const struct kafka_change *h)
{
    if (h->error != KAFKA_NONE)
        return slice_str(h->why);
    return kafka_said(&h->admin);
}

/* --- the way of all changes ------------------------------------------------------------------- */

/* Room for the changes of a request; NULL when it was refused. */
static struct kafka_changes *kafka_admin_begin(struct kafka_call *c, int32_t count,
                                               void (*answer)(struct kafka_call *c))
{
    struct kafka_changes *all = kafka_items(c, 1, sizeof *all);
    struct kafka_change *v = all == NULL ? NULL : kafka_items(c, count, sizeof *v);
    if (v == NULL)
        return NULL;
    all->v = v;
    all->count = (size_t)count;
    all->answer = answer;
    c->state = all;
    return all;
}

/* A message that people know, in Kafka's words. */
static void kafka_admin_word(struct broker_admin *req)
{
    if (req->op == BROKER_TOPIC_CREATE && req->status == BROKER_TOPIC_EXISTS)
        (void)snprintf(req->message, sizeof req->message, "Topic '%.*s' already exists.",
                       (int)req->topic.size, (const char *)req->topic.p);
}

static void kafka_admin_done(struct broker_admin *req)
{
    kafka_admin_word(req);
    struct kafka_call *c = req->ctx;
    const struct kafka_changes *all = c->state;
    ASSERT(all->count > 0);
    if (kafka_end(c))
        all->answer(c);
}

/* Refuses every topic that is named twice. */
static void kafka_admin_duplicates(struct kafka_call *c, struct kafka_changes *all)
{
    struct map names;
    map_init(&names, c->k->options.seed);
    for (size_t i = 0; i < all->count; i++) {
        struct kafka_change *h = &all->v[i];
        struct kafka_change *first =
            h->admin.topic.p == NULL ? NULL : map_get(&names, h->admin.topic);
        if (first != NULL) {
            h->again = true;
            kafka_change_refuse(first, KAFKA_INVALID_REQUEST, "the request names it twice");
        } else if (h->admin.topic.p != NULL) {
            (void)map_put(&names, h->admin.topic, h);
        }
    }
    map_deinit(&names);
}

static void kafka_admin_start(struct kafka_call *c, struct kafka_changes *all)
{
    kafka_admin_duplicates(c, all);
    kafka_run(c); /* for this function */
    for (size_t i = 0; i < all->count; i++) {
        struct kafka_change *h = &all->v[i];
        if (h->again || h->error != KAFKA_NONE)
            continue;
        h->admin.done = kafka_admin_done;
        h->admin.ctx = c;
        kafka_run(c);
        broker_admin(c->k->options.broker, &h->admin);
    }
    if (kafka_end(c))
        all->answer(c);
}

static bool kafka_admin_is_here(const struct kafka_call *c, const struct kp_i32s *brokers)
{
    return brokers->count == 1 && brokers->v[0] == c->k->node_id;
}

/* --- CreateTopics ----------------------------------------------------------------------------- */

/* Partitions placed by the client: each once, each on this node. False when the arena is full. */
static bool kafka_create_assigned(struct kafka_call *c,
                                  const struct kp_create_topics_request_topic *q,
                                  struct kafka_change *h)
{
    int32_t count = q->assignments.count;
    bool *seen = kafka_alloc(c, (size_t)count, sizeof *seen);
    if (seen == NULL)
        return false;
    h->admin.partitions = count;
    h->admin.replication = 1;
    if (q->replication_factor != -1 || q->partition_count != -1)
        kafka_change_refuse(h, KAFKA_INVALID_REQUEST,
                            "beside an assignment, partitions and replication factor must be -1");
    for (int32_t i = 0; i < count && h->error == KAFKA_NONE; i++) {
        int32_t index = q->assignments.v[i].index;
        if (!kafka_admin_is_here(c, &q->assignments.v[i].broker_ids))
            kafka_change_refuse(h, KAFKA_INVALID_REPLICA_ASSIGNMENT, kafka_admin_placed);
        else if (index < 0 || index >= count || seen[index])
            kafka_change_refuse(h, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                                "assigned partitions must be 0 and up, without gaps");
        else
            seen[index] = true;
    }
    return true;
}

/* False when the arena is used up. */
static bool kafka_create_prepare(struct kafka_call *c,
                                 const struct kp_create_topics_request_topic *q,
                                 struct kafka_change *h)
{
    const struct kp_create_topics_request *all = c->request;
    struct broker_config_entry *configs = kafka_alloc(c, (size_t)q->configs.count, sizeof *configs);
    if (configs == NULL)
        return false;
    for (int32_t i = 0; i < q->configs.count; i++)
        configs[i] = (struct broker_config_entry){.key = q->configs.v[i].name,
                                                  .value = q->configs.v[i].value};
    h->admin = (struct broker_admin){.op = BROKER_TOPIC_CREATE,
                                     .topic = q->name,
                                     .partitions = q->partition_count,
                                     .replication = q->replication_factor,
                                     .configs = configs,
                                     .config_count = (size_t)q->configs.count,
                                     .validate_only = all->validate_only};
    return q->assignments.count <= 0 || kafka_create_assigned(c, q, h);
}

/* As many as it has, or will have as soon as the brokers that are there have it. */
static int16_t kafka_create_replicas(const struct kafka_call *c, const struct broker_admin *a)
{
    struct broker_member m;
    int16_t count = 0;
    for (size_t i = 0; broker_member(c->k->options.broker, i, &m) == 0; i++)
        count += !m.left;
    ASSERT(a->status == BROKER_OK && a->replication <= INT16_MAX);
    int16_t want = a->replication == -1 ? KAFKA_DEFAULT_REPLICAS : (int16_t)a->replication;
    return count < want && count > 0 ? count : want;
}

/* False when the arena is used up. */
static bool kafka_create_one(struct kafka_call *c, const struct kafka_change *h,
                             struct kp_create_topics_response_topic *a)
{
    *a = (struct kp_create_topics_response_topic)KP_CREATE_TOPICS_RESPONSE_TOPIC_INIT;
    a->name = h->admin.topic;
    a->error = kafka_admin_error(c, h);
    a->error_message = kafka_admin_message(h);
    a->configs.count = 0; /* null would mean that they are kept from the client */
    if (a->error != KAFKA_NONE)
        return true;
    memcpy(a->topic_id.b, h->admin.topic_id, sizeof a->topic_id.b);
    a->partition_count = h->admin.partition_count;
    a->replication_factor = kafka_create_replicas(c, &h->admin);
    return kafka_configs_created(c, h->admin.configs, h->admin.config_count, a);
}

static void kafka_create_answer(struct kafka_call *c)
{
    const struct kafka_changes *all = c->state;
    struct kp_create_topics_response a = KP_CREATE_TOPICS_RESPONSE_INIT;
    struct kp_create_topics_response_topic *v = kafka_alloc(c, all->count, sizeof *v);
    bool good = v != NULL;
    for (size_t i = 0; good && i < all->count; i++)
        if (!all->v[i].again)
            good = kafka_create_one(c, &all->v[i], &v[a.topics.count++]);
    a.topics.v = v;
    if (good)
        kafka_answer(c, &a);
    else
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
}

void kafka_create_topics(struct kafka_call *c)
{
    const struct kp_create_topics_request *q = c->request;
    struct kafka_changes *all = kafka_admin_begin(c, q->topics.count, kafka_create_answer);
    if (all == NULL)
        return;
    for (int32_t i = 0; i < q->topics.count; i++)
        if (!kafka_create_prepare(c, &q->topics.v[i], &all->v[i])) {
            kafka_refuse(c, kp_condition_text(KP_LIMIT));
            return;
        }
    kafka_admin_start(c, all);
}

/* --- DeleteTopics ----------------------------------------------------------------------------- */

/* Names it by id. False when the arena is used up. */
static bool kafka_delete_by_id(struct kafka_call *c, struct kafka_change *h)
{
    struct broker_topic_info info;
    if (broker_topic_by_id(c->k->options.broker, h->id.b, &info) != 0) {
        kafka_change_refuse(h, KAFKA_UNKNOWN_TOPIC_ID, "no topic has this id");
        return true;
    }
    h->internal = info.internal;
    h->admin.topic = arena_copy(&c->r->arena, info.name); /* the broker's own goes with the topic */
    return h->admin.topic.p != NULL;
}

static void kafka_delete_by_name(struct kafka_call *c, struct slice name, struct kafka_change *h)
{
    struct broker_topic_info info;
    h->admin.topic = name;
    if (broker_topic(c->k->options.broker, name, &info) != 0)
        return; /* the broker will say so */
    h->internal = info.internal;
    memcpy(h->id.b, info.id, sizeof h->id.b);
}

/* False when the arena is used up. */
static bool kafka_delete_prepare(struct kafka_call *c, struct slice name, const struct kp_uuid *id,
                                 struct kafka_change *h)
{
    static const struct kp_uuid zero;
    bool by_id = memcmp(id, &zero, sizeof zero) != 0;
    h->admin.op = BROKER_TOPIC_DELETE;
    if (by_id)
        h->id = *id;
    if (by_id && name.p == NULL)
        return kafka_delete_by_id(c, h);
    if (!by_id && name.p != NULL)
        kafka_delete_by_name(c, name, h);
    else
        kafka_change_refuse(h, KAFKA_INVALID_REQUEST, "a topic is named by name or by id");
    return true;
}

static void kafka_delete_answer(struct kafka_call *c)
{
    const struct kafka_changes *all = c->state;
    struct kp_delete_topics_response a = KP_DELETE_TOPICS_RESPONSE_INIT;
    struct kp_delete_topics_response_topic *v = kafka_alloc(c, all->count, sizeof *v);
    if (v == NULL) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    for (size_t i = 0; i < all->count; i++) {
        const struct kafka_change *h = &all->v[i];
        if (!h->again)
            v[a.topics.count++] = (struct kp_delete_topics_response_topic){
                .name = h->admin.topic,
                .topic_id = h->id,
                .error = kafka_admin_error(c, h),
                .error_message = kafka_admin_message(h),
            };
    }
    a.topics.v = v;
    kafka_answer(c, &a);
}

void kafka_delete_topics(struct kafka_call *c)
{
    const struct kp_delete_topics_request *q = c->request;
    static const struct kp_uuid zero;
    bool plain = q->topics.count <= 0; /* names alone, up to version 5 */
    int32_t count = plain ? q->topic_names.count : q->topics.count;
    struct kafka_changes *all = kafka_admin_begin(c, count, kafka_delete_answer);
    if (all == NULL)
        return;
    for (int32_t i = 0; i < count; i++) {
        struct slice name = plain ? q->topic_names.v[i] : q->topics.v[i].name;
        const struct kp_uuid *id = plain ? &zero : &q->topics.v[i].topic_id;
        if (!kafka_delete_prepare(c, name, id, &all->v[i])) {
            kafka_refuse(c, kp_condition_text(KP_LIMIT));
            return;
        }
    }
    kafka_admin_start(c, all);
}

/* --- CreatePartitions (KIP-195) --------------------------------------------------------------- */

/* The broker judges the number itself, and before where the new ones are placed. */
static void kafka_grow_assigned(struct kafka_call *c,
                                const struct kp_create_partitions_request_topic *q,
                                struct kafka_change *h)
{
    struct broker_topic_info info;
    if (broker_topic(c->k->options.broker, q->name, &info) != 0 || q->count <= info.partition_count)
        return;
    if (q->assignments.count != q->count - info.partition_count) {
        kafka_change_refuse(h, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                            "there must be one assignment for each new partition");
        return;
    }
    struct broker_partition_info first;
    bool alone = broker_partition(c->k->options.broker, q->name, 0, false, &first) != 0 ||
                 first.replica_count < 2;
    for (int32_t i = 0; i < q->assignments.count; i++)
        if (!alone || !kafka_admin_is_here(c, &q->assignments.v[i].broker_ids))
            kafka_change_refuse(h, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                                alone ? kafka_admin_placed
                                      : "brokers place the replicas of this topic themselves");
}

static void kafka_grow_answer(struct kafka_call *c)
{
    const struct kafka_changes *all = c->state;
    struct kp_create_partitions_response a = KP_CREATE_PARTITIONS_RESPONSE_INIT;
    struct kp_create_partitions_response_topic *v = kafka_alloc(c, all->count, sizeof *v);
    if (v == NULL) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    for (size_t i = 0; i < all->count; i++) {
        const struct kafka_change *h = &all->v[i];
        if (!h->again)
            v[a.topics.count++] = (struct kp_create_partitions_response_topic){
                h->admin.topic, kafka_admin_error(c, h), kafka_admin_message(h)};
    }
    a.topics.v = v;
    kafka_answer(c, &a);
}

void kafka_create_partitions(struct kafka_call *c)
{
    const struct kp_create_partitions_request *q = c->request;
    struct kafka_changes *all = kafka_admin_begin(c, q->topics.count, kafka_grow_answer);
    if (all == NULL)
        return;
    for (int32_t i = 0; i < q->topics.count; i++) {
        all->v[i].admin = (struct broker_admin){.op = BROKER_TOPIC_GROW,
                                                .topic = q->topics.v[i].name,
                                                .partitions = q->topics.v[i].count,
                                                .validate_only = q->validate_only};
        if (q->topics.v[i].assignments.count >= 0)
            kafka_grow_assigned(c, &q->topics.v[i], &all->v[i]);
    }
    kafka_admin_start(c, all);
}
