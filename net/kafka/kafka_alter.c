/* SPDX-License-Identifier: MIT
 *
 * kafka_alter: AlterConfigs, IncrementalAlterConfigs (KIP-339), ListConfigResources (KIP-1142).
 *
 *   resource        name                what is changed
 *   topic 2         a topic             its own settings
 *   broker 4        the node's number   the dynamic settings of this broker
 *                   empty               those of every broker of the cluster
 *   others                              nothing: refused
 *
 * One request to the broker for each resource, all at once: a resource changes as a whole or not at
 * all, and the fault of one is not its neighbour's.
 *
 *   request -> changes -> resources and keys named twice, null values: refused -> kafka_run for
 *   each that is not settled -> last completion -> one answer, in the order of the request
 *
 * AlterConfigs says the whole set: what it does not name goes back to its default.
 */
#include <string.h>

#include "engine/base/map.h"
#include "net/kafka/kafka_configs.h"

enum kafka_operation {
    KAFKA_OPERATION_SET,
    KAFKA_OPERATION_DELETE,
    KAFKA_OPERATION_APPEND,
    KAFKA_OPERATION_SUBTRACT,
};
#define KAFKA_OPERATIONS 4

/* One resource. */
struct kafka_alter {
    struct broker_admin admin;
    struct broker_config_entry *entries;
    size_t count;
    struct slice name;
    struct slice why; /* with error */
    int16_t error;    /* settled without the broker */
    int8_t type;
};

struct kafka_alters {
    struct kafka_alter *v;
    size_t count;
    void (*answer)(struct kafka_call *c); /* of the API */
};

static void kafka_alter_refuse(struct kafka_alter *h, const char *why)
{
    h->error = KAFKA_INVALID_REQUEST;
    h->why = slice_str(why);
}

static int16_t kafka_alter_error(const struct kafka_alter *h)
{
    if (h->error != KAFKA_NONE)
        return h->error;
    return kafka_errmap_admin(h->admin.status);
}

/* Null when nothing is wrong. */
static struct slice kafka_alter_message(const struct kafka_alter *h)
{
    if (h->error != KAFKA_NONE)
        return h->why;
    return kafka_said(&h->admin);
}

/* --- the way of both -------------------------------------------------------------------------- */

static struct kafka_alters *kafka_alter_begin(struct kafka_call *c, int32_t count,
                                              void (*answer)(struct kafka_call *c))
{
    struct kafka_alters *all = kafka_items(c, 1, sizeof *all);
    struct kafka_alter *v = all == NULL ? NULL : kafka_items(c, count, sizeof *v);
    if (v == NULL)
        return NULL;
    all->v = v;
    all->count = (size_t)count;
    all->answer = answer;
    c->state = all;
    return all;
}

static void kafka_alter_done(struct broker_admin *req)
{
    struct kafka_call *c = req->ctx;
    const struct kafka_alters *all = c->state;
    if (kafka_end(c))
        all->answer(c);
}

/* What the resource is to the broker. */
static void kafka_alter_target(struct kafka_call *c, struct kafka_alter *h)
{
    char text[KAFKA_NODE_TEXT];
    h->admin.op = h->type == KAFKA_RESOURCE_TOPIC ? BROKER_TOPIC_ALTER : BROKER_CONFIG_ALTER;
    h->admin.topic = h->name;
    h->admin.cluster = h->name.size == 0;
    if (h->error != KAFKA_NONE || (h->type == KAFKA_RESOURCE_TOPIC && h->name.size > 0))
        return;
    if (h->type == KAFKA_RESOURCE_TOPIC) {
        kafka_alter_refuse(h, "a topic has a name: there are no settings for all of them");
    } else if (h->type == KAFKA_RESOURCE_LOGGER) {
        kafka_alter_refuse(h, "there are no loggers to set");
    } else if (h->type != KAFKA_RESOURCE_BROKER) {
        kafka_alter_refuse(h, "resources of this type have no settings here");
    } else if (h->name.size > 0 && !slice_equal(h->name, kafka_configs_node(c, text))) {
        h->error = KAFKA_INVALID_REQUEST;
        h->why = kafka_configs_elsewhere(c, true);
    }
}

/* Refuses a resource that names a key twice. */
static void kafka_alter_keys(struct kafka_call *c, struct kafka_alter *h)
{
    struct map names;
    map_init(&names, c->k->options.seed);
    for (size_t i = 0; i < h->count && h->error == KAFKA_NONE; i++)
        if (map_put(&names, h->entries[i].key, h) != NULL)
            kafka_alter_refuse(h, "the request names a key twice");
    map_deinit(&names);
}

/* Refuses resources that are named twice, each of them. */
static void kafka_alter_twice(struct kafka_call *c, struct kafka_alters *all)
{
    struct map seen[2]; /* topics, others */
    map_init(&seen[0], c->k->options.seed);
    map_init(&seen[1], c->k->options.seed);
    for (size_t i = 0; i < all->count; i++) {
        struct kafka_alter *h = &all->v[i];
        if (h->type != KAFKA_RESOURCE_TOPIC && h->type != KAFKA_RESOURCE_BROKER)
            continue;
        struct kafka_alter *first = map_put(&seen[h->type != KAFKA_RESOURCE_TOPIC], h->name, h);
        if (first == NULL)
            continue;
        kafka_alter_refuse(first, "the request names the resource twice");
        kafka_alter_refuse(h, "the request names the resource twice");
    }
    map_deinit(&seen[0]);
    map_deinit(&seen[1]);
}

static void kafka_alter_start(struct kafka_call *c, struct kafka_alters *all, bool validate_only)
{
    kafka_alter_twice(c, all);
    kafka_run(c); /* for this function */
    for (size_t i = 0; i < all->count; i++) {
        struct kafka_alter *h = &all->v[i];
        kafka_alter_keys(c, h);
        kafka_alter_target(c, h);
        if (h->error != KAFKA_NONE)
            continue;
        h->admin.configs = h->entries;
        h->admin.config_count = h->count;
        h->admin.validate_only = validate_only;
        h->admin.forward = true; /* most clients ask any broker for this */
        h->admin.done = kafka_alter_done;
        h->admin.ctx = c;
        if (h->admin.op == BROKER_CONFIG_ALTER && h->count == 0 && !h->admin.replace)
            continue; /* nothing to do: the status is BROKER_OK */
        kafka_run(c);
        broker_admin(c->k->options.broker, &h->admin);
    }
    if (kafka_end(c))
        all->answer(c);
}

/* Room for the entries of a resource; false when the arena is used up. */
static bool kafka_alter_room(struct kafka_call *c, struct kafka_alter *h, int32_t count)
{
    ASSERT(count >= 0);
    h->count = (size_t)count;
    h->entries = kafka_alloc(c, h->count, sizeof *h->entries);
    if (count > KAFKA_ITEMS_MAX) {
        kafka_alter_refuse(h, "too many keys");
        h->count = 0;
    }
    return h->entries != NULL;
}

/* --- AlterConfigs ----------------------------------------------------------------------------- */

static void kafka_alter_whole_answer(struct kafka_call *c)
{
    const struct kafka_alters *all = c->state;
    struct kp_alter_configs_response a = KP_ALTER_CONFIGS_RESPONSE_INIT;
    struct kp_alter_configs_response_resource *v = kafka_alloc(c, all->count, sizeof *v);
    if (v == NULL) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    for (size_t i = 0; i < all->count; i++)
        v[i] = (struct kp_alter_configs_response_resource){
            .error = kafka_alter_error(&all->v[i]),
            .error_message = kafka_alter_message(&all->v[i]),
            .type = all->v[i].type,
            .name = all->v[i].name,
        };
    a.resources.v = v;
    a.resources.count = (int32_t)all->count;
    kafka_answer(c, &a);
}

/* False when the arena is used up. */
static bool kafka_alter_whole(struct kafka_call *c,
                              const struct kp_alter_configs_request_resource *q,
                              struct kafka_alter *h)
{
    h->type = q->type;
    h->name = q->name;
    h->admin.replace = true;
    if (!kafka_alter_room(c, h, q->configs.count))
        return false;
    for (size_t i = 0; i < h->count; i++) {
        h->entries[i].key = q->configs.v[i].name;
        h->entries[i].value = q->configs.v[i].value;
        if (h->entries[i].value.p == NULL)
            kafka_alter_refuse(h, "a value is null");
    }
    return true;
}

void kafka_alter_configs(struct kafka_call *c)
{
    const struct kp_alter_configs_request *q = c->request;
    struct kafka_alters *all = kafka_alter_begin(c, q->resources.count, kafka_alter_whole_answer);
    if (all == NULL)
        return;
    for (int32_t i = 0; i < q->resources.count; i++)
        if (!kafka_alter_whole(c, &q->resources.v[i], &all->v[i])) {
            kafka_refuse(c, kp_condition_text(KP_LIMIT));
            return;
        }
    kafka_alter_start(c, all, q->validate_only);
}

/* --- IncrementalAlterConfigs ------------------------------------------------------------------ */

static void kafka_alter_steps_answer(struct kafka_call *c)
{
    const struct kafka_alters *all = c->state;
    struct kp_incremental_alter_configs_response a = KP_INCREMENTAL_ALTER_CONFIGS_RESPONSE_INIT;
    struct kp_incremental_alter_configs_response_resource *v =
        kafka_alloc(c, all->count, sizeof *v);
    if (v == NULL) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    for (size_t i = 0; i < all->count; i++)
        v[i] = (struct kp_incremental_alter_configs_response_resource){
            .error = kafka_alter_error(&all->v[i]),
            .error_message = kafka_alter_message(&all->v[i]),
            .type = all->v[i].type,
            .name = all->v[i].name,
        };
    a.resources.v = v;
    a.resources.count = (int32_t)all->count;
    kafka_answer(c, &a);
}

static void kafka_alter_step(const struct kp_incremental_alter_configs_request_config *q,
                             struct kafka_alter *h, struct broker_config_entry *e)
{
    static const enum config_edit edits[KAFKA_OPERATIONS] = {
        [KAFKA_OPERATION_SET] = CONFIG_EDIT_SET,
        [KAFKA_OPERATION_DELETE] = CONFIG_EDIT_SET,
        [KAFKA_OPERATION_APPEND] = CONFIG_EDIT_APPEND,
        [KAFKA_OPERATION_SUBTRACT] = CONFIG_EDIT_SUBTRACT,
    };
    if (q->operation < 0 || q->operation >= KAFKA_OPERATIONS) {
        kafka_alter_refuse(h, "an operation is set 0, delete 1, append 2 or subtract 3");
        return;
    }
    e->key = q->name;
    e->edit = edits[q->operation];
    if (q->operation == KAFKA_OPERATION_DELETE)
        return; /* whatever its value */
    e->value = q->value;
    if (e->value.p == NULL)
        kafka_alter_refuse(h, "a value is null");
}

/* False when the arena is used up. */
static bool kafka_alter_steps(struct kafka_call *c,
                              const struct kp_incremental_alter_configs_request_resource *q,
                              struct kafka_alter *h)
{
    h->type = q->type;
    h->name = q->name;
    if (!kafka_alter_room(c, h, q->configs.count))
        return false;
    for (size_t i = 0; i < h->count; i++)
        kafka_alter_step(&q->configs.v[i], h, &h->entries[i]);
    return true;
}

void kafka_incremental_alter_configs(struct kafka_call *c)
{
    const struct kp_incremental_alter_configs_request *q = c->request;
    struct kafka_alters *all = kafka_alter_begin(c, q->resources.count, kafka_alter_steps_answer);
    if (all == NULL)
        return;
    for (int32_t i = 0; i < q->resources.count; i++)
        if (!kafka_alter_steps(c, &q->resources.v[i], &all->v[i])) {
            kafka_refuse(c, kp_condition_text(KP_LIMIT));
            return;
        }
    kafka_alter_start(c, all, q->validate_only);
}

/* --- ListConfigResources ---------------------------------------------------------------------- */

#define KAFKA_TYPED_VERSION 1 /* the first that asks for more than metrics of clients */

struct kafka_resources {
    struct kp_list_config_resources_response_resource *v;
    int32_t count;
};

static void kafka_resources_add(struct kafka_resources *l, int8_t type, struct slice name)
{
    l->v[l->count++] = (struct kp_list_config_resources_response_resource){name, type};
}

static bool kafka_resources_wanted(const struct kp_i8s *types, int8_t type)
{
    for (int32_t i = 0; i < types->count; i++)
        if (types->v[i] == type)
            return true;
    return types->count <= 0;
}

static bool kafka_resources_known(const struct kp_i8s *types)
{
    for (int32_t i = 0; i < types->count; i++)
        if (types->v[i] != KAFKA_RESOURCE_TOPIC && types->v[i] != KAFKA_RESOURCE_BROKER &&
            types->v[i] != KAFKA_RESOURCE_LOGGER && types->v[i] != KAFKA_RESOURCE_METRICS &&
            types->v[i] != KAFKA_RESOURCE_GROUP)
            return false;
    return true;
}

/* Groups and metrics of clients have no settings here, so none of them are listed. */
static void kafka_resources_fill(struct kafka_call *c, struct slice node, struct kafka_resources *l)
{
    const struct kp_list_config_resources_request *q = c->request;
    struct broker_topic_info info;
    struct slice after = SLICE_NULL;
    if (kafka_resources_wanted(&q->types, KAFKA_RESOURCE_TOPIC))
        for (; broker_topic_after(c->k->options.broker, after, &info) == 0; after = info.name)
            kafka_resources_add(l, KAFKA_RESOURCE_TOPIC, info.name);
    if (kafka_resources_wanted(&q->types, KAFKA_RESOURCE_BROKER))
        kafka_resources_add(l, KAFKA_RESOURCE_BROKER, node);
    if (kafka_resources_wanted(&q->types, KAFKA_RESOURCE_LOGGER))
        kafka_resources_add(l, KAFKA_RESOURCE_LOGGER, node);
}

/* Names are borrowed: nothing changes topics before the answer is encoded. */
void kafka_list_config_resources(struct kafka_call *c)
{
    const struct kp_list_config_resources_request *q = c->request;
    struct kp_list_config_resources_response a = KP_LIST_CONFIG_RESOURCES_RESPONSE_INIT;
    char text[KAFKA_NODE_TEXT];
    struct broker_info info;
    broker_info(c->k->options.broker, &info);
    struct kafka_resources l = {kafka_alloc(c, info.topics + 2, sizeof *l.v), 0};
    if (l.v == NULL) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    if (!kafka_resources_known(&q->types))
        a.error = KAFKA_UNSUPPORTED_VERSION;
    else if (c->kind.version >= KAFKA_TYPED_VERSION)
        kafka_resources_fill(c, kafka_configs_node(c, text), &l);
    a.resources.v = l.v;
    a.resources.count = l.count;
    kafka_answer(c, &a);
}
