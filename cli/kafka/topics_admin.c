/* SPDX-License-Identifier: MIT
 *
 * topics_admin: the actions of kafka-topics: which topics an expression names, and the calls to the
 * cluster. Everything that is asked of a cluster is asked once.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/kafka/tool.h"
#include "cli/kafka/topics.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

#define TOPICS_WHY_MAX 512

/* The topics that the options name, sorted. */
struct topics_found {
    const struct rd_kafka_metadata *cluster;      /* owned */
    const struct rd_kafka_metadata_topic **items; /* owned array of what `cluster` owns */
    size_t count;
};

CLEANUP_DEFINE(topics_event, rd_kafka_event_t, rd_kafka_event_destroy);
CLEANUP_DEFINE(topics_options, rd_kafka_AdminOptions_t, rd_kafka_AdminOptions_destroy);

static void topics_found_deinit(struct topics_found *found)
{
    if (found->cluster != NULL)
        rd_kafka_metadata_destroy(found->cluster);
    free(found->items);
    *found = (struct topics_found){0};
}

static int topics_order(const void *a, const void *b)
{
    const struct rd_kafka_metadata_topic *const *x = a;
    const struct rd_kafka_metadata_topic *const *y = b;
    return strcmp((*x)->topic, (*y)->topic);
}

/* Keeps the topics that `m` (NULL: all) names. */
static void topics_filter(const struct opts *o, const struct match *m, struct topics_found *found)
{
    size_t count = (size_t)found->cluster->topic_cnt;
    size_t size = (count + 1) * sizeof(void *);
    bool hide = opts_has(o, TOPICS_EXCLUDE_INTERNAL);
    found->items = assert_memory(calloc(1, size), size);
    for (size_t i = 0; i < count; i++) {
        const struct rd_kafka_metadata_topic *topic = &found->cluster->topics[i];
        if ((m == NULL || match_topic(m, topic->topic)) && !(hide && match_internal(topic->topic)))
            found->items[found->count++] = topic;
    }
    qsort(found->items, found->count, sizeof(void *), topics_order);
}

static int topics_find(const struct opts *o, struct cluster *c, struct topics_found *out,
                       struct fault *f)
{
    const char *text = opts_text(o, TOPICS_TOPIC);
    struct topics_found found = {0};
    struct match m = {0};
    if (text != NULL && match_init(&m, text, MATCH_LIST, f) != 0)
        return 1;
    int rc = cluster_topics(c, &found.cluster, f);
    if (rc == 0)
        topics_filter(o, text != NULL ? &m : NULL, &found);
    if (rc == 0 && text != NULL && text[0] != '\0' && found.count == 0 &&
        !opts_has(o, TOPICS_IF_EXISTS) && !opts_has(o, TOPICS_LIST))
        rc = fault_set(f, FAULT_ARGUMENT, "Topic 'Optional[%s]' does not exist as expected", text);
    match_deinit(&m);
    if (rc != 0)
        topics_found_deinit(&found);
    else
        *out = found;
    return rc;
}

/* A topic to create, of the plan; owned by the caller. */
static int topics_new(const struct topics_plan *p, rd_kafka_NewTopic_t **out, struct fault *f)
{
    char why[TOPICS_WHY_MAX];
    const struct assignment *a = &p->assignment;
    int count = a->partitions > 0 ? (int)a->partitions : (int)p->partitions;
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(
        p->topic, count, a->partitions > 0 ? -1 : (int)p->replication, why, sizeof why);
    if (topic == NULL)
        return fault_set(f, FAULT_ARGUMENT, "%s", why);
    for (size_t i = 0; i < a->partitions && error == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
        error = rd_kafka_NewTopic_set_replica_assignment(topic, (int32_t)i, assignment_of(a, i),
                                                         a->replicas, why, sizeof why);
    for (size_t i = 0; i < p->configs.count && error == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        error =
            rd_kafka_NewTopic_set_config(topic, p->configs.pairs[i].key, p->configs.pairs[i].value);
        (void)snprintf(why, sizeof why, "%s", rd_kafka_err2str(error));
    }
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_NewTopic_destroy(topic);
        return fault_of(f, error, why);
    }
    *out = topic;
    return 0;
}

static int topics_create_answer(const struct opts *o, const char *topic, rd_kafka_event_t *event,
                                struct fault *f)
{
    size_t count = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    if (count > 0 && opts_has(o, TOPICS_IF_NOT_EXISTS) &&
        rd_kafka_topic_result_error(results[0]) == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return 0;
    int rc = cluster_results(results, count, f);
    if (rc == 0)
        (void)printf("Created topic %s.\n", topic);
    return rc;
}

int topics_create(const struct opts *o, struct cluster *c, struct fault *f)
{
    struct topics_plan plan;
    rd_kafka_NewTopic_t *topic = NULL;
    rd_kafka_event_t *event CLEANUP(topics_event_cleanup) = NULL;
    int rc = topics_plan(o, &plan, f);
    if (rc != 0)
        return rc;
    if (strpbrk(plan.topic, "._") != NULL)
        (void)printf("WARNING: Due to limitations in metric names, topics with a period ('.') or "
                     "underscore ('_') could collide. To avoid issues it is best to use either, "
                     "but not both.\n");
    rc = topics_new(&plan, &topic, f);
    if (rc == 0) {
        rd_kafka_AdminOptions_t *options CLEANUP(topics_options_cleanup) =
            cluster_options(c, RD_KAFKA_ADMIN_OP_CREATETOPICS);
        rd_kafka_CreateTopics(c->rk, &topic, 1, options, c->queue);
        rd_kafka_NewTopic_destroy(topic);
        rc = cluster_answer(c, "createTopics", &event, f);
    }
    if (rc == 0)
        rc = topics_create_answer(o, plan.topic, event, f);
    topics_plan_deinit(&plan);
    return rc;
}

int topics_list(const struct opts *o, struct cluster *c, struct fault *f)
{
    struct topics_found found;
    int rc = topics_find(o, c, &found, f);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < found.count; i++)
        (void)printf("%s\n", found.items[i]->topic);
    if (found.count == 0)
        (void)printf("\n");
    topics_found_deinit(&found);
    return 0;
}

/* More partitions for one topic, on the plan's brokers where it names them; owned by the caller. */
static int topics_more(const struct topics_plan *p, const struct rd_kafka_metadata_topic *topic,
                       rd_kafka_NewPartitions_t **out, struct fault *f)
{
    char why[TOPICS_WHY_MAX] = "";
    const struct assignment *a = &p->assignment;
    size_t have = (size_t)topic->partition_cnt;
    size_t want = p->partitions > 0 ? (size_t)p->partitions : 0;
    if (want == 0)
        return fault_set(f, fault_exception(RD_KAFKA_RESP_ERR_INVALID_PARTITIONS),
                         "The topic %s currently has %zu partition(s); %" PRId64
                         " would not be an increase.",
                         topic->topic, have, p->partitions);
    rd_kafka_NewPartitions_t *more =
        rd_kafka_NewPartitions_new(topic->topic, want, why, sizeof why);
    if (more == NULL)
        return fault_set(f, FAULT_ARGUMENT, "%s", why);
    for (size_t i = have; i < a->partitions; i++) {
        rd_kafka_resp_err_t error = rd_kafka_NewPartitions_set_replica_assignment(
            more, (int32_t)(i - have), assignment_of(a, i), a->replicas, why, sizeof why);
        if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
            continue;
        rd_kafka_NewPartitions_destroy(more);
        return fault_of(f, error, why);
    }
    *out = more;
    return 0;
}

static int topics_grow(struct cluster *c, rd_kafka_NewPartitions_t **items, size_t count,
                       struct fault *f)
{
    size_t results = 0;
    rd_kafka_event_t *event CLEANUP(topics_event_cleanup) = NULL;
    rd_kafka_AdminOptions_t *options CLEANUP(topics_options_cleanup) =
        cluster_options(c, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS);
    rd_kafka_CreatePartitions(c->rk, items, count, options, c->queue);
    int rc = cluster_answer(c, "createPartitions", &event, f);
    if (rc != 0)
        return rc;
    const rd_kafka_topic_result_t **list = rd_kafka_CreatePartitions_result_topics(
        rd_kafka_event_CreatePartitions_result(event), &results);
    return cluster_results(list, results, f);
}

static int topics_alter_found(const struct topics_plan *plan, const struct topics_found *found,
                              struct cluster *c, struct fault *f)
{
    size_t size = (found->count + 1) * sizeof(void *);
    size_t count = 0;
    int rc = 0;
    rd_kafka_NewPartitions_t **items = assert_memory(calloc(1, size), size);
    while (count < found->count && rc == 0) {
        rc = topics_more(plan, found->items[count], &items[count], f);
        count += rc == 0;
    }
    if (rc == 0 && count > 0)
        rc = topics_grow(c, items, count, f);
    if (rc == 0 && count > 0)
        (void)fprintf(stderr,
                      "WARNING: If partitions are increased for a topic that has a key, the "
                      "partition logic or ordering of the messages will be affected\n");
    rd_kafka_NewPartitions_destroy_array(items, count);
    free(items);
    return rc;
}

int topics_alter(const struct opts *o, struct cluster *c, struct fault *f)
{
    struct topics_plan plan;
    struct topics_found found;
    int rc = topics_plan(o, &plan, f);
    if (rc != 0)
        return rc;
    rc = topics_find(o, c, &found, f);
    if (rc == 0) {
        rc = topics_alter_found(&plan, &found, c, f);
        topics_found_deinit(&found);
    }
    topics_plan_deinit(&plan);
    return rc;
}

int topics_delete(const struct opts *o, struct cluster *c, struct fault *f)
{
    struct topics_found found;
    rd_kafka_event_t *event CLEANUP(topics_event_cleanup) = NULL;
    int rc = topics_find(o, c, &found, f);
    if (rc != 0)
        return rc;
    if (found.count > 0) {
        size_t size = found.count * sizeof(void *);
        size_t count = 0;
        rd_kafka_DeleteTopic_t **items = assert_memory(calloc(1, size), size);
        rd_kafka_AdminOptions_t *options CLEANUP(topics_options_cleanup) =
            cluster_options(c, RD_KAFKA_ADMIN_OP_DELETETOPICS);
        for (size_t i = 0; i < found.count; i++)
            items[i] = rd_kafka_DeleteTopic_new(found.items[i]->topic);
        rd_kafka_DeleteTopics(c->rk, items, found.count, options, c->queue);
        rd_kafka_DeleteTopic_destroy_array(items, found.count);
        free(items);
        rc = cluster_answer(c, "deleteTopics", &event, f);
        if (rc == 0) {
            const rd_kafka_topic_result_t **results = rd_kafka_DeleteTopics_result_topics(
                rd_kafka_event_DeleteTopics_result(event), &count);
            rc = cluster_results(results, count, f);
        }
    }
    topics_found_deinit(&found);
    return rc;
}

static void topics_configs(const rd_kafka_ConfigResource_t *resource, struct describe_configs *out)
{
    size_t count = 0;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
    for (size_t i = 0; i < count; i++) {
        const char *name = rd_kafka_ConfigEntry_name(entries[i]);
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        if (strcmp(name, "min.insync.replicas") == 0 && value != NULL)
            out->min_isr = strtoll(value, NULL, 10);
        if (rd_kafka_ConfigEntry_source(entries[i]) != RD_KAFKA_CONFIG_SOURCE_DEFAULT_CONFIG)
            buf_printf(&out->text, "%s%s=%s", out->text.size > 0 ? "," : "", name,
                       value != NULL ? value : "null");
    }
}

/* A request for the configs of what was found. Every broker knows those of topics, so the first one
 * is asked: librdkafka would go to the controller, which some clusters do not name. */
static void topics_ask(struct cluster *c, const struct topics_found *found)
{
    char why[TOPICS_WHY_MAX];
    size_t size = found->count * sizeof(void *);
    rd_kafka_ConfigResource_t **resources = assert_memory(calloc(1, size), size);
    rd_kafka_AdminOptions_t *options CLEANUP(topics_options_cleanup) =
        cluster_options(c, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    if (found->cluster->broker_cnt > 0)
        (void)rd_kafka_AdminOptions_set_broker(options, found->cluster->brokers[0].id, why,
                                               sizeof why);
    for (size_t i = 0; i < found->count; i++)
        resources[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, found->items[i]->topic);
    rd_kafka_DescribeConfigs(c->rk, resources, found->count, options, c->queue);
    rd_kafka_ConfigResource_destroy_array(resources, found->count);
    free(resources);
}

/* The resource of a topic, or the fault that stands in its place. */
static int topics_resource(rd_kafka_event_t *event, const char *topic,
                           const rd_kafka_ConfigResource_t **out, struct fault *f)
{
    size_t count = 0;
    const rd_kafka_ConfigResource_t **list = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rd_kafka_ConfigResource_name(list[i]), topic) != 0)
            continue;
        rd_kafka_resp_err_t error = rd_kafka_ConfigResource_error(list[i]);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
            return fault_of(f, error, rd_kafka_ConfigResource_error_string(list[i]));
        *out = list[i];
        return 0;
    }
    return fault_set(f, fault_exception(RD_KAFKA_RESP_ERR_UNKNOWN),
                     "no configs of topic %s in the answer", topic);
}

static void topics_filter_of(const struct opts *o, struct describe_filter *out)
{
    *out = (struct describe_filter){
        .under_replicated = opts_has(o, TOPICS_UNDER_REPLICATED),
        .unavailable = opts_has(o, TOPICS_UNAVAILABLE),
        .under_min_isr = opts_has(o, TOPICS_UNDER_MIN_ISR),
        .at_min_isr = opts_has(o, TOPICS_AT_MIN_ISR),
        .overrides = opts_has(o, TOPICS_OVERRIDES),
    };
}

/* `event` NULL: the broker does not tell configs. */
static int topics_describe_found(const struct describe_filter *filter,
                                 const struct topics_found *found, rd_kafka_event_t *event,
                                 struct fault *f)
{
    struct buf text = {0};
    int rc = 0;
    for (size_t i = 0; i < found->count && rc == 0; i++) {
        const struct rd_kafka_metadata_topic *topic = found->items[i];
        const rd_kafka_ConfigResource_t *resource = NULL;
        struct describe_configs configs = {.min_isr = 1};
        if (event != NULL)
            rc = topics_resource(event, topic->topic, &resource, f);
        if (resource != NULL)
            topics_configs(resource, &configs);
        if (rc == 0)
            describe_topic(filter, found->cluster, topic, &configs, &text);
        buf_deinit(&configs.text);
    }
    if (text.size > 0)
        (void)fwrite(text.p, 1, text.size, stdout);
    buf_deinit(&text);
    return rc;
}

int topics_describe(const struct opts *o, struct cluster *c, struct fault *f)
{
    struct topics_found found;
    rd_kafka_event_t *event CLEANUP(topics_event_cleanup) = NULL;
    const char *id = opts_text(o, TOPICS_TOPIC_ID);
    struct describe_filter filter;
    topics_filter_of(o, &filter);
    if (id != NULL && strspn(id, "A") != strlen(id))
        return fault_set(f, FAULT_VERSION, "librdkafka %s cannot ask for a topic by its id",
                         rd_kafka_version_str());
    int rc = topics_find(o, c, &found, f);
    if (rc != 0)
        return rc;
    if (found.count > 0) {
        topics_ask(c, &found);
        rc = cluster_answer(c, "describeConfigs", &event, f);
        /* A broker without that call still has topics to show. */
        if (rc != 0 && strcmp(f->exception, FAULT_VERSION) == 0)
            rc = describe_wants_min_isr(&filter) ? rc : 0;
        if (rc == 0)
            rc = topics_describe_found(&filter, &found, event, f);
    }
    topics_found_deinit(&found);
    return rc;
}
