/* SPDX-License-Identifier: MIT
 *
 * client_admin: questions and administration. Each call waits for its answer and can be repeated:
 * when it was sent more than once, "exists already" after a create and "does not exist" after a
 * delete mean that an earlier sending was carried out.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "net/client/client_priv.h"
#include "proto/frame.h"

#define CLIENT_CONFIGS_MAX 1024

int client_admin_status(struct kauri *k, const struct client_ask *ask, const char *topic,
                        int32_t partition)
{
    if (ask->status == KAURI__STATUS__OK)
        return 0;
    client_status_explain(ask->status, ask->answer.answer->message, topic, partition, k->message);
    return client_status_error(ask->status);
}

int client_admin_odd(struct kauri *k)
{
    return client_fail(k, KAURI_REFUSED, "the broker's answer does not fit the question");
}

/* --- configs --- */

struct client_pairs {
    Kauri__KeyValue *values;    /* owned */
    Kauri__KeyValue **pointers; /* owned */
};

static void client_pairs_deinit(struct client_pairs *p)
{
    free(p->values);
    free(p->pointers);
}

static int client_pairs_init(struct kauri *k, const struct kauri_config *configs, size_t count,
                             struct client_pairs *out)
{
    if (count > CLIENT_CONFIGS_MAX)
        return client_fail(k, KAURI_BAD_ARGUMENT, "more than %d configs", CLIENT_CONFIGS_MAX);
    out->values = calloc(count + 1, sizeof *out->values);
    out->pointers = calloc(count + 1, sizeof *out->pointers);
    ASSERT(out->values != NULL && out->pointers != NULL);
    for (size_t i = 0; i < count; i++) {
        if (configs[i].key == NULL)
            return client_fail(k, KAURI_BAD_ARGUMENT, "a config has no key");
        Kauri__KeyValue *pair = &out->values[i];
        kauri__key_value__init(pair);
        pair->key = frame_borrow(configs[i].key);
        if (configs[i].value != NULL) {
            pair->maybe_case = KAURI__KEY_VALUE__MAYBE_VALUE;
            pair->value = frame_borrow(configs[i].value);
        }
        out->pointers[i] = pair;
    }
    return 0;
}

static struct kauri_config client_admin_config(const Kauri__ConfigInfo *c)
{
    return (struct kauri_config){c->key, c->value, c->source, c->help};
}

/* --- topics --- */

/* The client's memory of a topic is out of date. */
static void client_admin_forget(struct kauri *k, const char *name)
{
    struct client_topic *t = map_get(&k->topics, slice_str(name));
    if (t != NULL)
        t->stale = true;
}

int kauri_topic_create(struct kauri *k, const char *name, int32_t partitions, int32_t replication,
                       const struct kauri_config *configs, size_t config_count, bool validate_only)
{
    ASSERT(k != NULL && name != NULL);
    struct client_pairs pairs CLEANUP(client_pairs_deinit) = {NULL, NULL};
    int r = client_pairs_init(k, configs, config_count, &pairs);
    if (r != 0)
        return r;
    Kauri__TopicCreate create;
    kauri__topic_create__init(&create);
    Kauri__Call content;
    kauri__call__init(&content);
    create.name = frame_borrow(name);
    create.partitions = partitions;
    create.replication = replication;
    create.configs = pairs.pointers;
    create.n_configs = config_count;
    create.validate_only = validate_only;
    content.call_case = KAURI__CALL__CALL_TOPIC_CREATE;
    content.topic_create = &create;
    struct client_ask ask CLEANUP(client_ask_done);
    r = client_ask(k, &ask, &content);
    client_admin_forget(k, name);
    if (r != 0)
        return r;
    bool done_before = client_ask_repeated(&ask) && !validate_only;
    if (ask.status == KAURI__STATUS__TOPIC_EXISTS && done_before)
        return 0;
    return client_admin_status(k, &ask, name, -1);
}

int kauri_topic_delete(struct kauri *k, const char *name)
{
    ASSERT(k != NULL && name != NULL);
    Kauri__TopicDelete delete;
    kauri__topic_delete__init(&delete);
    Kauri__Call content;
    kauri__call__init(&content);
    delete.name = frame_borrow(name);
    content.call_case = KAURI__CALL__CALL_TOPIC_DELETE;
    content.topic_delete = &delete;
    struct client_ask ask CLEANUP(client_ask_done);
    int r = client_ask(k, &ask, &content);
    client_admin_forget(k, name);
    if (r != 0)
        return r;
    if (ask.status == KAURI__STATUS__UNKNOWN_TOPIC && client_ask_repeated(&ask))
        return 0;
    return client_admin_status(k, &ask, name, -1);
}

static void client_admin_count(void *ctx, const struct kauri_topic *t)
{
    *(int32_t *)ctx = t->partition_count;
}

int kauri_topic_grow(struct kauri *k, const char *name, int32_t partitions)
{
    ASSERT(k != NULL && name != NULL);
    Kauri__TopicGrow grow;
    kauri__topic_grow__init(&grow);
    Kauri__Call content;
    kauri__call__init(&content);
    grow.name = frame_borrow(name);
    grow.partitions = partitions;
    content.call_case = KAURI__CALL__CALL_TOPIC_GROW;
    content.topic_grow = &grow;
    struct client_ask ask CLEANUP(client_ask_done);
    int r = client_ask(k, &ask, &content);
    client_admin_forget(k, name);
    if (r != 0)
        return r;
    int32_t count = 0;
    if (ask.status == KAURI__STATUS__BAD_PARTITIONS && client_ask_repeated(&ask) &&
        kauri_topics(k, name, 0, client_admin_count, &count) == 0 && count == partitions)
        return 0;
    return client_admin_status(k, &ask, name, -1);
}

int kauri_topic_alter(struct kauri *k, const char *name, const struct kauri_config *configs,
                      size_t config_count)
{
    ASSERT(k != NULL && name != NULL);
    struct client_pairs pairs CLEANUP(client_pairs_deinit) = {NULL, NULL};
    int r = client_pairs_init(k, configs, config_count, &pairs);
    if (r != 0)
        return r;
    Kauri__TopicAlter alter;
    kauri__topic_alter__init(&alter);
    Kauri__Call content;
    kauri__call__init(&content);
    alter.name = frame_borrow(name);
    alter.configs = pairs.pointers;
    alter.n_configs = config_count;
    content.call_case = KAURI__CALL__CALL_TOPIC_ALTER;
    content.topic_alter = &alter;
    struct client_ask ask CLEANUP(client_ask_done);
    r = client_ask(k, &ask, &content);
    return r != 0 ? r : client_admin_status(k, &ask, name, -1);
}

int kauri_topic_trim(struct kauri *k, const char *name, int32_t partition, int64_t before,
                     int64_t *log_start)
{
    ASSERT(k != NULL && name != NULL);
    Kauri__TopicTrim trim;
    kauri__topic_trim__init(&trim);
    Kauri__Call content;
    kauri__call__init(&content);
    trim.name = frame_borrow(name);
    trim.partition = partition;
    trim.before = before;
    content.call_case = KAURI__CALL__CALL_TOPIC_TRIM;
    content.topic_trim = &trim;
    struct client_ask ask CLEANUP(client_ask_done);
    int r = client_ask(k, &ask, &content);
    if (r == 0)
        r = client_admin_status(k, &ask, name, partition);
    if (r != 0)
        return r;
    const Kauri__Answer *a = ask.answer.answer;
    if (a->answer_case != KAURI__ANSWER__ANSWER_TOPIC_TRIM)
        return client_admin_odd(k);
    if (log_start != NULL)
        *log_start = a->topic_trim->log_start;
    return 0;
}

/* --- lists --- */

static struct kauri_partition *client_admin_partitions(const Kauri__TopicInfo *t)
{
    if (t->n_partitions == 0)
        return NULL;
    struct kauri_partition *out = calloc(t->n_partitions, sizeof *out);
    ASSERT(out != NULL);
    for (size_t i = 0; i < t->n_partitions; i++) {
        const Kauri__PartitionInfo *p = t->partitions[i];
        out[i] = (struct kauri_partition){.partition = p->partition,
                                          .leader = p->leader,
                                          .epoch = p->epoch,
                                          .log_start = p->log_start,
                                          .high_watermark = p->high_watermark,
                                          .size = p->size,
                                          .replicas = p->replicas,
                                          .replica_count = p->n_replicas,
                                          .in_sync = p->in_sync,
                                          .in_sync_count = p->n_in_sync,
                                          .eligible = p->eligible,
                                          .eligible_count = p->n_eligible};
    }
    return out;
}

static struct kauri_config *client_admin_configs(Kauri__ConfigInfo *const *configs, size_t count)
{
    if (count == 0)
        return NULL;
    struct kauri_config *out = calloc(count, sizeof *out);
    ASSERT(out != NULL);
    for (size_t i = 0; i < count; i++)
        out[i] = client_admin_config(configs[i]);
    return out;
}

/* Hands one topic to the caller. Partitions come all or not at all, so that their number is
 * partition_count. */
static void client_admin_topic(const Kauri__TopicInfo *info,
                               void (*fn)(void *ctx, const struct kauri_topic *t), void *ctx)
{
    struct kauri_topic t = {
        .name = info->name,
        .partition_count = info->partition_count,
        .replication = info->replication,
        .internal = info->internal,
        .config_count = info->n_configs,
    };
    bool whole = info->partition_count >= 0 && info->n_partitions == (size_t)info->partition_count;
    struct kauri_partition *partitions CLEANUP(cleanup_free) =
        whole ? client_admin_partitions(info) : NULL;
    struct kauri_config *configs CLEANUP(cleanup_free) =
        client_admin_configs(info->configs, info->n_configs);
    t.partitions = partitions;
    t.configs = configs;
    if (info->id.len == sizeof t.id)
        memcpy(t.id, info->id.data, sizeof t.id);
    fn(ctx, &t);
}

/* One page behind `after`, which is replaced by the last name when more are to come and freed at
 * the end. */
static int client_admin_page(struct kauri *k, const char *name, unsigned what, char **after,
                             void (*fn)(void *ctx, const struct kauri_topic *t), void *ctx)
{
    Kauri__TopicList list;
    kauri__topic_list__init(&list);
    Kauri__Call content;
    kauri__call__init(&content);
    list.name = frame_borrow(name == NULL ? "" : name);
    list.after = frame_borrow(*after == NULL ? "" : *after);
    list.partitions = (what & KAURI_WITH_PARTITIONS) != 0;
    list.configs = (what & KAURI_WITH_CONFIGS) != 0;
    list.create = (what & KAURI_AUTO_CREATE) != 0;
    content.call_case = KAURI__CALL__CALL_TOPIC_LIST;
    content.topic_list = &list;
    struct client_ask ask CLEANUP(client_ask_done);
    int r = client_ask(k, &ask, &content);
    if (r == 0)
        r = client_admin_status(k, &ask, name, -1);
    if (r != 0)
        return r;
    if (ask.answer.answer->answer_case != KAURI__ANSWER__ANSWER_TOPIC_LIST)
        return client_admin_odd(k);
    const Kauri__TopicListAnswer *a = ask.answer.answer->topic_list;
    for (size_t i = 0; i < a->n_topics; i++)
        client_admin_topic(a->topics[i], fn, ctx);
    char *old CLEANUP(cleanup_free) = *after;
    *after = NULL;
    if (!a->more || a->n_topics == 0)
        return 0;
    const char *last = a->topics[a->n_topics - 1]->name;
    if (old != NULL && strcmp(last, old) <= 0)
        return client_admin_odd(k); /* pages must go forward */
    *after = strdup(last);
    ASSERT(*after != NULL);
    return 0;
}

int kauri_topics(struct kauri *k, const char *name, unsigned what,
                 void (*fn)(void *ctx, const struct kauri_topic *t), void *ctx)
{
    ASSERT(k != NULL && fn != NULL);
    char *after CLEANUP(cleanup_free) = NULL;
    int r;
    do
        r = client_admin_page(k, name, what, &after, fn, ctx);
    while (r == 0 && after != NULL);
    return r;
}

int kauri_offset(struct kauri *k, const char *topic, int32_t partition, int64_t timestamp_ms,
                 int64_t *offset)
{
    ASSERT(k != NULL && topic != NULL && offset != NULL);
    Kauri__ListOffsetsItem item;
    kauri__list_offsets_item__init(&item);
    Kauri__ListOffsetsItem *items[] = {&item};
    Kauri__ListOffsets list;
    kauri__list_offsets__init(&list);
    Kauri__Call content;
    kauri__call__init(&content);
    item.topic = frame_borrow(topic);
    item.partition = partition;
    item.timestamp_ms = timestamp_ms;
    list.items = items;
    list.n_items = 1;
    content.call_case = KAURI__CALL__CALL_LIST_OFFSETS;
    content.list_offsets = &list;
    struct client_ask ask CLEANUP(client_ask_done);
    int r = client_ask(k, &ask, &content);
    if (r == 0)
        r = client_admin_status(k, &ask, topic, partition);
    if (r != 0)
        return r;
    if (ask.answer.answer->answer_case != KAURI__ANSWER__ANSWER_LIST_OFFSETS)
        return client_admin_odd(k);
    *offset = ask.answer.answer->list_offsets->results[0]->offset;
    return 0;
}

int kauri_broker_config(struct kauri *k, const struct kauri_config *set, size_t count,
                        void (*fn)(void *ctx, const struct kauri_config *c), void *ctx)
{
    ASSERT(k != NULL);
    struct client_pairs pairs CLEANUP(client_pairs_deinit) = {NULL, NULL};
    int r = client_pairs_init(k, set, count, &pairs);
    if (r != 0)
        return r;
    Kauri__BrokerConfig config;
    kauri__broker_config__init(&config);
    Kauri__Call content;
    kauri__call__init(&content);
    config.set = pairs.pointers;
    config.n_set = count;
    content.call_case = KAURI__CALL__CALL_BROKER_CONFIG;
    content.broker_config = &config;
    struct client_ask ask CLEANUP(client_ask_done);
    r = client_ask(k, &ask, &content);
    if (r == 0)
        r = client_admin_status(k, &ask, NULL, -1);
    if (r != 0)
        return r;
    const Kauri__Answer *a = ask.answer.answer;
    if (a->answer_case != KAURI__ANSWER__ANSWER_BROKER_CONFIG)
        return client_admin_odd(k);
    for (size_t i = 0; fn != NULL && i < a->broker_config->n_configs; i++) {
        struct kauri_config c = client_admin_config(a->broker_config->configs[i]);
        fn(ctx, &c);
    }
    return 0;
}

int kauri_server(struct kauri *k, struct kauri_server *out)
{
    ASSERT(k != NULL && out != NULL);
    int64_t until = client_now_ms() + k->options.timeout_ms;
    client_wire_restart(&k->wire, client_now_ms());
    for (;;) {
        (void)client_turn(k);
        if (k->wire.state == CLIENT_SESSION_ALIVE) {
            *out = k->wire.server;
            return 0;
        }
        if (k->wire.state == CLIENT_SESSION_REFUSED)
            return client_fail(k, KAURI_VERSION, "the broker at \"%.180s\" speaks another version",
                               k->server);
        if (client_now_ms() >= until)
            return client_fail(k, KAURI_NO_SERVER, "no broker answers at \"%.180s\"", k->server);
        client_sleep(k, until);
    }
}

int kauri_snapshot(struct kauri *k, const char *dir, struct kauri_snapshot *out)
{
    ASSERT(k != NULL && dir != NULL && out != NULL);
    Kauri__Snapshot snapshot;
    kauri__snapshot__init(&snapshot);
    Kauri__Call content;
    kauri__call__init(&content);
    snapshot.dir = frame_borrow(dir);
    content.call_case = KAURI__CALL__CALL_SNAPSHOT;
    content.snapshot = &snapshot;
    struct client_ask ask CLEANUP(client_ask_done);
    *out = (struct kauri_snapshot){.took_ms = -1};
    int r = client_ask(k, &ask, &content);
    if (r != 0)
        return r;
    if (ask.status == KAURI__STATUS__TOPIC_EXISTS && client_ask_repeated(&ask))
        return 0;
    r = client_admin_status(k, &ask, NULL, -1);
    if (r != 0)
        return r;
    const Kauri__Answer *a = ask.answer.answer;
    if (a->answer_case != KAURI__ANSWER__ANSWER_SNAPSHOT)
        return client_admin_odd(k);
    *out = (struct kauri_snapshot){a->snapshot->partitions, a->snapshot->linked_size,
                                   a->snapshot->copied_size, a->snapshot->took_ms};
    return 0;
}

int kauri_broker_status(struct kauri *k, struct kauri_broker_status *out)
{
    ASSERT(k != NULL && out != NULL);
    Kauri__BrokerStatus status;
    kauri__broker_status__init(&status);
    Kauri__Call content;
    kauri__call__init(&content);
    content.call_case = KAURI__CALL__CALL_BROKER_STATUS;
    content.broker_status = &status;
    struct client_ask ask CLEANUP(client_ask_done);
    int r = client_ask(k, &ask, &content);
    if (r == 0)
        r = client_admin_status(k, &ask, NULL, -1);
    if (r != 0)
        return r;
    if (ask.answer.answer->answer_case != KAURI__ANSWER__ANSWER_BROKER_STATUS)
        return client_admin_odd(k);
    const Kauri__BrokerStatusAnswer *a = ask.answer.answer->broker_status;
    *out = (struct kauri_broker_status){.disk_free_size = a->disk_free_size,
                                        .disk_total_size = a->disk_total_size,
                                        .disk_full = a->disk_full,
                                        .topics = a->topics,
                                        .partitions = a->partitions,
                                        .now_ms = a->now_ms,
                                        .process = a->process};
    (void)snprintf(out->dir, sizeof out->dir, "%s", a->dir);
    return 0;
}
