/* SPDX-License-Identifier: MIT */
/* Metadata, and topics made and grown through the admin interface. */
#include "rdkafka.h"

static const char *const no_settings[][2] = {{NULL, NULL}};

static json_t *rdkafka_metadata_out(rd_kafka_t *rk, const struct rd_kafka_metadata *m)
{
    json_t *brokers = json_array(), *topics = json_object();

    for (int i = 0; i < m->broker_cnt; i++)
        json_array_append_new(
            brokers, json_pack("[i, o]", m->brokers[i].id,
                               json_sprintf("%s:%d", m->brokers[i].host, m->brokers[i].port)));
    for (int i = 0; i < m->topic_cnt; i++)
        json_object_set_new(topics, m->topics[i].topic, json_integer(m->topics[i].partition_cnt));
    char *cluster = rd_kafka_clusterid(rk, RDKAFKA_LIMIT_MS);
    json_t *out =
        json_pack("{s:o, s:o, s:i, s:s?}", "brokers", brokers, "topics", topics, "controller",
                  rd_kafka_controllerid(rk, RDKAFKA_LIMIT_MS), "cluster", cluster);
    rd_kafka_mem_free(rk, cluster);
    return out;
}

json_t *rdkafka_metadata(const struct rdkafka *r, const json_t *ask)
{
    (void)ask;
    const struct rd_kafka_metadata *m = NULL;
    rd_kafka_t *rk = rdkafka_open(r, RD_KAFKA_PRODUCER, no_settings, NULL);
    rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 1, NULL, &m, RDKAFKA_LIMIT_MS);
    json_t *out = err != RD_KAFKA_RESP_ERR_NO_ERROR
                      ? rdkafka_error("metadata", rd_kafka_err2str(err))
                      : rdkafka_metadata_out(rk, m);

    if (m != NULL)
        rd_kafka_metadata_destroy(m);
    rd_kafka_destroy(rk);
    return out;
}

/* The one topic result of an event as an answer. */
static json_t *rdkafka_outcome(const rd_kafka_topic_result_t *const *results, size_t count,
                               const char *done)
{
    if (count != 1)
        return rdkafka_error("admin", "not one result");
    rd_kafka_resp_err_t err = rd_kafka_topic_result_error(results[0]);
    if (err == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return json_pack("{s:s}", "outcome", "exists");
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        const char *why = rd_kafka_topic_result_error_string(results[0]);
        return rdkafka_error("admin", why != NULL ? why : rd_kafka_err2str(err));
    }
    return json_pack("{s:s}", "outcome", done);
}

json_t *rdkafka_create(const struct rdkafka *r, const json_t *ask)
{
    char why[512];
    const char *key;
    json_t *value, *out;
    rd_kafka_t *rk = rdkafka_open(r, RD_KAFKA_PRODUCER, no_settings, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(
        json_string_value(json_object_get(ask, "topic")),
        (int)json_integer_value(json_object_get(ask, "partitions")), 1, why, sizeof why);

    if (topic == NULL)
        return rdkafka_error("create", why);
    json_object_foreach(json_object_get(ask, "config"), key, value)
        rd_kafka_NewTopic_set_config(topic, key, json_string_value(value));
    rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, RDKAFKA_LIMIT_MS);
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
    if (result == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        out = rdkafka_error("create",
                            event != NULL ? rd_kafka_event_error_string(event) : "no answer");
    } else {
        size_t count = 0;
        const rd_kafka_topic_result_t **rows = rd_kafka_CreateTopics_result_topics(result, &count);
        out = rdkafka_outcome((const rd_kafka_topic_result_t *const *)rows, count, "created");
    }
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    return out;
}

json_t *rdkafka_grow(const struct rdkafka *r, const json_t *ask)
{
    char why[512];
    json_t *out;
    rd_kafka_t *rk = rdkafka_open(r, RD_KAFKA_PRODUCER, no_settings, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_NewPartitions_t *more = rd_kafka_NewPartitions_new(
        json_string_value(json_object_get(ask, "topic")),
        (size_t)json_integer_value(json_object_get(ask, "partitions")), why, sizeof why);

    if (more == NULL)
        return rdkafka_error("grow", why);
    rd_kafka_CreatePartitions(rk, &more, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, RDKAFKA_LIMIT_MS);
    const rd_kafka_CreatePartitions_result_t *result =
        rd_kafka_event_CreatePartitions_result(event);
    if (result == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        out =
            rdkafka_error("grow", event != NULL ? rd_kafka_event_error_string(event) : "no answer");
    } else {
        size_t count = 0;
        const rd_kafka_topic_result_t **rows =
            rd_kafka_CreatePartitions_result_topics(result, &count);
        out = rdkafka_outcome((const rd_kafka_topic_result_t *const *)rows, count, "grown");
    }
    rd_kafka_event_destroy(event);
    rd_kafka_NewPartitions_destroy(more);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    return out;
}
