/* SPDX-License-Identifier: MIT
 *
 * nano_admin: see nano_admin.h.
 */
#include "net/nano/nano_admin.h"

#include <unistd.h>

#include "engine/base/assert.h"
#include "net/nano/nano_calls.h"
#include "net/nano/nano_session.h"
#include "net/nano/nano_topics.h"
#include "proto/frame.h"

static void nano_admin_answer_init_producer(struct nano_call *c)
{
    Kauri__InitProducerAnswer *body = nano_calls_array(c, 1, sizeof *body);
    kauri__init_producer_answer__init(body);
    body->producer_id = c->admin.producer_id;
    body->producer_epoch = (uint32_t)c->admin.producer_epoch;
    nano_calls_answer(c)->answer_case = KAURI__ANSWER__ANSWER_INIT_PRODUCER;
    c->answer->init_producer = body;
}

static void nano_admin_answer_trim(struct nano_call *c)
{
    Kauri__TopicTrimAnswer *body = nano_calls_array(c, 1, sizeof *body);
    kauri__topic_trim_answer__init(body);
    body->log_start = c->admin.log_start;
    nano_calls_answer(c)->answer_case = KAURI__ANSWER__ANSWER_TOPIC_TRIM;
    c->answer->topic_trim = body;
}

static void nano_admin_answer_snapshot(struct nano_call *c)
{
    Kauri__SnapshotAnswer *body = nano_calls_array(c, 1, sizeof *body);
    kauri__snapshot_answer__init(body);
    body->partitions = (uint32_t)c->admin.partition_count;
    body->linked_size = c->admin.linked_size;
    body->copied_size = c->admin.copied_size;
    body->took_ms = c->admin.took_ms;
    nano_calls_answer(c)->answer_case = KAURI__ANSWER__ANSWER_SNAPSHOT;
    c->answer->snapshot = body;
}

/* Done, and well: the body by operation. */
static void nano_admin_ok(struct nano_call *c)
{
    switch (c->admin.op) {
    case BROKER_TOPIC_CREATE:
        if (c->admin.automatic) {
            nano_topics_finish(c);
            return;
        }
        break;
    case BROKER_CONFIG_ALTER:
        nano_topics_finish_configs(c);
        return;
    case BROKER_INIT_PRODUCER:
        nano_admin_answer_init_producer(c);
        break;
    case BROKER_TOPIC_TRIM:
        nano_admin_answer_trim(c);
        break;
    case BROKER_SNAPSHOT:
        nano_admin_answer_snapshot(c);
        break;
    case BROKER_TOPIC_DELETE:
    case BROKER_TOPIC_GROW:
    case BROKER_TOPIC_ALTER:
    case BROKER_QUOTA_ALTER:
        break;
    }
    nano_calls_finish(c, KAURI__STATUS__OK, c->admin.message);
}

static void nano_admin_done(struct broker_admin *req)
{
    struct nano_call *c = req->ctx;
    ASSERT(req == &c->admin);
    nano_call_end(c);
    bool there = req->automatic && req->status == BROKER_TOPIC_EXISTS;
    if (req->status == BROKER_OK || there)
        nano_admin_ok(c);
    else
        nano_calls_finish_status(c, req->status, req->message);
}

/* Hands c->admin, of which the caller filled what its operation needs, to the broker. */
static void nano_admin_start(struct nano_call *c, enum broker_admin_op op, const char *topic)
{
    c->admin.op = op;
    c->admin.topic = topic == NULL ? SLICE_NULL : slice_str(topic);
    c->admin.done = nano_admin_done;
    c->admin.ctx = c;
    nano_call_run(c);
    broker_admin(c->nano->options.broker, &c->admin);
}

/* Takes key-value pairs over into c->admin. False when there are too many. */
static bool nano_admin_configs(struct nano_call *c, Kauri__KeyValue *const *from, size_t count)
{
    if (count > NANO_ITEMS_MAX)
        return false;
    struct broker_config_entry *configs = nano_calls_array(c, count, sizeof *configs);
    for (size_t i = 0; i < count; i++) {
        bool set = from[i]->maybe_case == KAURI__KEY_VALUE__MAYBE_VALUE;
        configs[i].key = slice_str(from[i]->key);
        configs[i].value = set ? slice_str(from[i]->value) : SLICE_NULL;
    }
    c->admin.configs = configs;
    c->admin.config_count = count;
    return true;
}

void nano_admin_init_producer(struct nano_call *c, struct slice raw)
{
    (void)raw;
    nano_admin_start(c, BROKER_INIT_PRODUCER, NULL);
}

void nano_admin_topic_create(struct nano_call *c, struct slice raw)
{
    const Kauri__TopicCreate *t = c->request->topic_create;
    (void)raw;
    if (!nano_admin_configs(c, t->configs, t->n_configs)) {
        nano_calls_bad(c, "configs: too many");
        return;
    }
    c->admin.partitions = t->partitions;
    c->admin.replication = t->replication;
    c->admin.validate_only = t->validate_only;
    nano_admin_start(c, BROKER_TOPIC_CREATE, t->name);
}

void nano_admin_topic_delete(struct nano_call *c, struct slice raw)
{
    (void)raw;
    nano_admin_start(c, BROKER_TOPIC_DELETE, c->request->topic_delete->name);
}

void nano_admin_topic_grow(struct nano_call *c, struct slice raw)
{
    (void)raw;
    c->admin.partitions = c->request->topic_grow->partitions;
    nano_admin_start(c, BROKER_TOPIC_GROW, c->request->topic_grow->name);
}

void nano_admin_topic_alter(struct nano_call *c, struct slice raw)
{
    const Kauri__TopicAlter *t = c->request->topic_alter;
    (void)raw;
    if (!nano_admin_configs(c, t->configs, t->n_configs)) {
        nano_calls_bad(c, "configs: too many");
        return;
    }
    c->admin.validate_only = t->validate_only;
    nano_admin_start(c, BROKER_TOPIC_ALTER, t->name);
}

void nano_admin_topic_trim(struct nano_call *c, struct slice raw)
{
    const Kauri__TopicTrim *t = c->request->topic_trim;
    (void)raw;
    if (t->before < -1) {
        nano_calls_bad(c, "before: below -1");
        return;
    }
    c->admin.partitions = t->partition;
    c->admin.before = t->before;
    nano_admin_start(c, BROKER_TOPIC_TRIM, t->name);
}

void nano_admin_topic_list(struct nano_call *c, struct slice raw)
{
    (void)raw;
    if (!nano_topics_wants_create(c)) {
        nano_topics_finish(c);
        return;
    }
    c->admin.partitions = -1;
    c->admin.replication = -1;
    c->admin.automatic = true;
    nano_admin_start(c, BROKER_TOPIC_CREATE, c->request->topic_list->name);
}

void nano_admin_broker_config(struct nano_call *c, struct slice raw)
{
    const Kauri__BrokerConfig *b = c->request->broker_config;
    (void)raw;
    if (b->n_set == 0)
        nano_topics_finish_configs(c);
    else if (!nano_admin_configs(c, b->set, b->n_set))
        nano_calls_bad(c, "configs: too many");
    else
        nano_admin_start(c, BROKER_CONFIG_ALTER, NULL);
}

void nano_admin_snapshot(struct nano_call *c, struct slice raw)
{
    (void)raw;
    nano_admin_start(c, BROKER_SNAPSHOT, c->request->snapshot->dir);
}

void nano_admin_broker_status(struct nano_call *c, struct slice raw)
{
    struct broker_info info;
    Kauri__BrokerStatusAnswer *body = nano_calls_array(c, 1, sizeof *body);
    (void)raw;
    broker_info(c->nano->options.broker, &info);
    kauri__broker_status_answer__init(body);
    body->dir = frame_borrow(info.dir);
    body->disk_free_size = info.disk_free_size;
    body->disk_total_size = info.disk_size;
    body->disk_full = info.disk_full;
    body->topics = (uint32_t)info.topics;
    body->partitions = (uint32_t)info.partitions;
    body->now_ms = c->nano->options.clock->wall_ms(c->nano->options.clock);
    body->process = getpid();
    nano_calls_answer(c)->answer_case = KAURI__ANSWER__ANSWER_BROKER_STATUS;
    c->answer->broker_status = body;
    nano_calls_finish(c, KAURI__STATUS__OK, "");
}
