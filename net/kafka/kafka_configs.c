/* SPDX-License-Identifier: MIT
 *
 * kafka_configs: DescribeConfigs, and the settings in the answer to CreateTopics (KIP-525).
 *
 *   resource        name                what it shows
 *   topic 2         a topic             its settings: own, or the broker's, or the default
 *   broker 4        the node's number   every setting of the broker
 *                   empty               those changed while running for the whole cluster
 *   logger 8        the node's number   none: there are no loggers to set
 *
 *   our step                            source
 *   override of the topic               1 topic
 *   dynamic, of this broker             2 dynamic broker
 *   dynamic, of the whole cluster       3 dynamic default of brokers
 *   file, environment, flag             4 static broker
 *   default                             5
 *
 * Synonyms (KIP-226) are all steps of the lookup, the one in force first. Passwords are
 * sensitive: they have no values here. Texts are borrowed from the configuration, which
 * cannot change before the answer is encoded.
 */
#include "net/kafka/kafka_configs.h"

#include <stdio.h>
#include <string.h>

#include "engine/broker/config.h"

enum kafka_source {
    KAFKA_SOURCE_TOPIC = 1,
    KAFKA_SOURCE_DYNAMIC = 2,
    KAFKA_SOURCE_DYNAMIC_DEFAULT = 3,
    KAFKA_SOURCE_STATIC = 4,
    KAFKA_SOURCE_DEFAULT = 5,
};

enum kafka_type {
    KAFKA_TYPE_BOOL = 1,
    KAFKA_TYPE_STRING = 2,
    KAFKA_TYPE_INT = 3,
    KAFKA_TYPE_LONG = 5,
    KAFKA_TYPE_DOUBLE = 6,
    KAFKA_TYPE_LIST = 7,
    KAFKA_TYPE_PASSWORD = 9,
};

static int8_t kafka_configs_origin(enum config_origin from)
{
    switch (from) {
    case CONFIG_FROM_CLUSTER:
        return KAFKA_SOURCE_DYNAMIC_DEFAULT;
    case CONFIG_FROM_DYNAMIC:
        return KAFKA_SOURCE_DYNAMIC;
    case CONFIG_FROM_FILE:
    case CONFIG_FROM_ENV:
    case CONFIG_FROM_FLAG:
        return KAFKA_SOURCE_STATIC;
    case CONFIG_FROM_DEFAULT:
        return KAFKA_SOURCE_DEFAULT;
    }
    ASSERT(false);
    return KAFKA_SOURCE_DEFAULT;
}

static int8_t kafka_configs_source(const struct broker_config *s)
{
    if (s->own != NULL)
        return KAFKA_SOURCE_TOPIC;
    return s->step_count > 0 ? kafka_configs_origin(s->steps[0].from) : KAFKA_SOURCE_DEFAULT;
}

static int8_t kafka_configs_type(const struct config_row *row)
{
    switch (row->type) {
    case CONFIG_BOOL:
        return KAFKA_TYPE_BOOL;
    case CONFIG_INT:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
        return row->max > INT32_MAX ? KAFKA_TYPE_LONG : KAFKA_TYPE_INT;
    case CONFIG_DOUBLE:
        return KAFKA_TYPE_DOUBLE;
    case CONFIG_LIST:
        return KAFKA_TYPE_LIST;
    case CONFIG_PASSWORD:
        return KAFKA_TYPE_PASSWORD;
    case CONFIG_STRING:
    case CONFIG_ENUM:
        return KAFKA_TYPE_STRING;
    }
    ASSERT(false);
    return KAFKA_TYPE_STRING;
}

static bool kafka_configs_sensitive(const struct config_row *row)
{
    return row->type == CONFIG_PASSWORD;
}

/* A broker's setting that nobody set has no value, nor has a password; a topic's always has one. */
static struct slice kafka_configs_value(const struct broker_config *s)
{
    bool unset = kafka_configs_sensitive(s->row) || (s->value[0] == '\0' && !s->row->topic);
    return unset ? SLICE_NULL : slice_str(s->value);
}

static bool kafka_configs_read_only(const struct config_row *row)
{
    return !row->topic && !row->dynamic;
}

static size_t kafka_configs_count(bool topic)
{
    size_t count = 0, found = 0;
    const struct config_row *rows = config_rows(&count);
    for (size_t i = 0; i < count; i++)
        found += rows[i].topic == topic;
    ASSERT(found > 0);
    return found;
}

/* --- DescribeConfigs -------------------------------------------------------------------------- */

/* One resource while its settings are walked over. */
struct kafka_describe {
    struct kafka_call *c;
    const struct kp_describe_configs_request_resource *q;
    struct kp_describe_configs_response_config *v;
    size_t count;
    size_t room;
    bool cluster; /* only those that were changed while running, for the whole cluster */
    bool failed;  /* the arena is used up */
};

/* The step of the whole cluster under the key's own name; step_count: none. */
static size_t kafka_describe_cluster_step(const struct broker_config *s)
{
    for (size_t i = 0; i < s->step_count; i++)
        if (s->steps[i].from == CONFIG_FROM_CLUSTER && strcmp(s->steps[i].name, s->row->name) == 0)
            return i;
    return s->step_count;
}

static bool kafka_describe_wants(const struct kafka_describe *d, const struct broker_config *s)
{
    struct slice name = slice_str(s->row->name);
    for (int32_t i = 0; i < d->q->keys.count; i++)
        if (slice_equal(d->q->keys.v[i], name))
            return true;
    return d->q->keys.count <= 0;
}

static void kafka_describe_synonyms(struct kafka_describe *d, const struct broker_config *s,
                                    struct kp_describe_configs_response_config *a)
{
    struct kp_describe_configs_response_synonym *v =
        kafka_alloc(d->c, s->step_count + 1, sizeof *v);
    int32_t count = 0;
    if (v == NULL) {
        d->failed = true;
        return;
    }
    if (s->own != NULL)
        v[count++] = (struct kp_describe_configs_response_synonym){
            slice_str(s->row->name), slice_str(s->own), KAFKA_SOURCE_TOPIC};
    for (size_t i = 0; i < s->step_count; i++)
        v[count++] = (struct kp_describe_configs_response_synonym){
            slice_str(s->steps[i].name),
            kafka_configs_sensitive(s->row) ? SLICE_NULL : slice_str(s->steps[i].value),
            kafka_configs_origin(s->steps[i].from)};
    a->synonyms.v = v;
    a->synonyms.count = count;
}

static void kafka_describe_one(void *ctx, const struct broker_config *setting)
{
    struct kafka_describe *d = ctx;
    const struct kp_describe_configs_request *q = d->c->request;
    struct broker_config seen = *setting;
    const struct broker_config *s = &seen;
    if (d->cluster) { /* as seen from that step */
        size_t step = kafka_describe_cluster_step(setting);
        if (step == setting->step_count)
            return;
        seen.steps += step;
        seen.step_count -= step;
        seen.value = seen.steps[0].value;
    }
    if (d->failed || !kafka_describe_wants(d, s))
        return;
    ASSERT(d->count < d->room);
    struct kp_describe_configs_response_config *a = &d->v[d->count++];
    *a = (struct kp_describe_configs_response_config)KP_DESCRIBE_CONFIGS_RESPONSE_CONFIG_INIT;
    a->name = slice_str(s->row->name);
    a->value = kafka_configs_value(s);
    a->is_sensitive = kafka_configs_sensitive(s->row);
    a->read_only = kafka_configs_read_only(s->row);
    a->source = kafka_configs_source(s);
    a->type = kafka_configs_type(s->row);
    if (q->include_documentation)
        a->documentation = slice_str(s->row->help);
    if (q->include_synonyms)
        kafka_describe_synonyms(d, s, a);
}

/* False when the arena is used up. */
static bool kafka_describe_all(struct kafka_describe *d, const struct config_topic *overrides,
                               struct kp_describe_configs_response_resource *a)
{
    const struct kp_describe_configs_request_resource *q = d->q;
    d->room = kafka_configs_count(overrides != NULL);
    if (q->keys.count > 0 && (size_t)q->keys.count < d->room)
        d->room = (size_t)q->keys.count;
    d->v = kafka_alloc(d->c, d->room, sizeof *d->v);
    if (d->v == NULL)
        return false;
    broker_config_each(d->c->k->options.broker, overrides, kafka_describe_one, d);
    a->configs.v = d->v;
    a->configs.count = (int32_t)d->count;
    return !d->failed;
}

struct slice kafka_configs_node(const struct kafka_call *c, char text[KAFKA_NODE_TEXT])
{
    int size = snprintf(text, KAFKA_NODE_TEXT, "%d", c->k->node_id);
    ASSERT(size > 0 && size < KAFKA_NODE_TEXT);
    return slice_of(text, (size_t)size);
}

struct slice kafka_configs_elsewhere(struct kafka_call *c, bool empty)
{
    char text[96];
    (void)snprintf(text, sizeof text, "the name of a broker is its number: here it is %d%s",
                   c->k->node_id, empty ? ", or empty" : "");
    struct slice copy = arena_copy(&c->r->arena, slice_str(text));
    return copy.p != NULL ? copy : slice_str("");
}

/* This node by number, or by no name at all where `empty` allows it. */
static bool kafka_describe_here(struct kafka_call *c, struct slice name, bool empty,
                                struct kp_describe_configs_response_resource *a)
{
    char text[KAFKA_NODE_TEXT];
    if (slice_equal(name, kafka_configs_node(c, text)) || (empty && name.size == 0))
        return true;
    a->error = KAFKA_INVALID_REQUEST;
    a->error_message = kafka_configs_elsewhere(c, empty);
    return false;
}

/* False when the arena is used up. */
static bool kafka_describe_resource(struct kafka_call *c,
                                    const struct kp_describe_configs_request_resource *q,
                                    struct kp_describe_configs_response_resource *a)
{
    struct kafka_describe d = {.c = c, .q = q};
    const struct config_topic *overrides = NULL;
    a->type = q->type;
    a->name = q->name;
    if (q->keys.count > KAFKA_ITEMS_MAX) {
        a->error = KAFKA_INVALID_REQUEST;
        a->error_message = slice_str("too many keys");
    } else if (q->type == KAFKA_RESOURCE_TOPIC) {
        overrides = broker_topic_overrides(c->k->options.broker, q->name);
        if (overrides != NULL)
            return kafka_describe_all(&d, overrides, a);
        a->error = kafka_errmap(BROKER_UNKNOWN_TOPIC);
        a->error_message = slice_str(broker_status_text(BROKER_UNKNOWN_TOPIC));
    } else if (q->type == KAFKA_RESOURCE_BROKER) {
        d.cluster = q->name.size == 0;
        if (kafka_describe_here(c, q->name, true, a))
            return kafka_describe_all(&d, NULL, a);
    } else if (q->type == KAFKA_RESOURCE_LOGGER) {
        (void)kafka_describe_here(c, q->name, false, a);
    } else {
        a->error = KAFKA_INVALID_REQUEST;
        a->error_message = slice_str("resources of this type have no settings here");
    }
    return true;
}

void kafka_describe_configs(struct kafka_call *c)
{
    const struct kp_describe_configs_request *q = c->request;
    struct kp_describe_configs_response a = KP_DESCRIBE_CONFIGS_RESPONSE_INIT;
    struct kp_describe_configs_response_resource *v = kafka_alloc(c, q->resources.count, sizeof *v);
    bool good = v != NULL;
    for (int32_t i = 0; good && i < q->resources.count; i++)
        good = kafka_describe_resource(c, &q->resources.v[i], &v[i]);
    if (!good) {
        kafka_refuse(c, kp_condition_text(KP_LIMIT));
        return;
    }
    a.resources.v = v;
    a.resources.count = q->resources.count;
    kafka_answer(c, &a);
}

/* --- CreateTopics ----------------------------------------------------------------------------- */

struct kafka_created {
    struct kafka_call *c;
    struct kp_create_topics_response_config *v;
    int32_t count;
    bool failed;
};

static void kafka_created_one(void *ctx, const struct broker_config *s)
{
    struct kafka_created *d = ctx;
    struct kp_create_topics_response_config *a = &d->v[d->count++];
    *a = (struct kp_create_topics_response_config)KP_CREATE_TOPICS_RESPONSE_CONFIG_INIT;
    a->name = slice_str(s->row->name);
    a->value = kafka_configs_value(s);
    a->read_only = kafka_configs_read_only(s->row);
    a->source = kafka_configs_source(s);
    if (s->own == NULL)
        return;
    a->value = arena_copy(&d->c->r->arena, a->value); /* the set it lies in is short-lived */
    d->failed = d->failed || a->value.p == NULL;
}

bool kafka_configs_created(struct kafka_call *c, const struct broker_config_entry *overrides,
                           size_t count, struct kp_create_topics_response_topic *t)
{
    struct config_topic set = {0};
    struct kafka_created d = {.c = c};
    char message[256];
    d.v = kafka_alloc(c, kafka_configs_count(true), sizeof *d.v);
    if (d.v == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        int r = config_topic_set(&set, overrides[i].key, overrides[i].value, message);
        ASSERT(r == 0);
    }
    broker_config_each(c->k->options.broker, &set, kafka_created_one, &d);
    config_topic_deinit(&set);
    t->configs.v = d.v;
    t->configs.count = d.count;
    return !d.failed;
}
