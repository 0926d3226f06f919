/* SPDX-License-Identifier: MIT */
/* Records in: as asked (produce), or paced through whatever happens to the broker (run). */
#include "rdkafka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What the delivery reports said; a record's index travels as its opaque pointer. */
struct rdkafka_reports {
    json_t *placed; /* [partition, offset] per record, or the offset alone (run) */
    bool plain;
    bool told;
    size_t count;
    char fault[200];
};

void rdkafka_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct rdkafka_reports *reports = opaque;
    size_t index = (size_t)(uintptr_t)m->_private;

    (void)rk;
    reports->count++;
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        snprintf(reports->fault, sizeof reports->fault, "%s", rd_kafka_err2str(m->err));
        return;
    }
    json_t *offset = reports->told ? json_integer(m->offset) : json_null();
    json_array_set_new(reports->placed, index,
                       reports->plain ? offset : json_pack("[i, o]", m->partition, offset));
}

static void rdkafka_reports_init(struct rdkafka_reports *reports, size_t count)
{
    reports->placed = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(reports->placed, json_null());
}

static rd_kafka_headers_t *rdkafka_headers(const json_t *list)
{
    size_t i, size;
    json_t *pair;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(json_array_size(list));

    json_array_foreach(list, i, pair)
    {
        void *value = rdkafka_bytes(json_array_get(pair, 1), &size);
        rd_kafka_header_add(headers, json_string_value(json_array_get(pair, 0)), -1, value,
                            (ssize_t)size);
        free(value);
    }
    return headers;
}

static rd_kafka_resp_err_t rdkafka_send(rd_kafka_t *rk, const char *topic, int32_t partition,
                                        const json_t *record, size_t index)
{
    size_t key_size, value_size;
    void *key = rdkafka_bytes(json_object_get(record, "key"), &key_size);
    void *value = rdkafka_bytes(json_object_get(record, "value"), &value_size);
    rd_kafka_headers_t *headers = rdkafka_headers(json_object_get(record, "headers"));
    rd_kafka_resp_err_t err = rd_kafka_producev(
        rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, key_size),
        RD_KAFKA_V_VALUE(value, value_size),
        RD_KAFKA_V_TIMESTAMP(json_integer_value(json_object_get(record, "timestamp"))),
        RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE((void *)(uintptr_t)index), RD_KAFKA_V_END);

    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        rd_kafka_headers_destroy(headers);
    free(key);
    free(value);
    return err;
}

static rd_kafka_t *rdkafka_producer(const struct rdkafka *r, const json_t *ask,
                                    struct rdkafka_reports *reports)
{
    char linger[16], limit[16];

    snprintf(linger, sizeof linger, "%d",
             (int)json_integer_value(json_object_get(ask, "linger_ms")));
    snprintf(limit, sizeof limit, "%d", RDKAFKA_RUN_LIMIT_MS);
    const char *const settings[][2] = {
        {"acks", rdkafka_word(ask, "acks", "all")},
        {"compression.type", rdkafka_word(ask, "codec", "none")},
        {"linger.ms", linger},
        {"partitioner", "murmur2_random"},
        {"message.max.bytes", "8388608"},
        {"enable.idempotence", json_is_true(json_object_get(ask, "idempotent")) ? "true" : "false"},
        {"delivery.timeout.ms", limit},
        {"reconnect.backoff.max.ms", "200"},
        {"retry.backoff.ms", "50"},
        {NULL, NULL},
    };
    return rdkafka_open(r, RD_KAFKA_PRODUCER, settings, reports);
}

/* Metadata of the topic ahead of the first record: only the record's own way is to be timed. */
static void rdkafka_warm(rd_kafka_t *rk, const char *name)
{
    const struct rd_kafka_metadata *m = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);

    if (rd_kafka_metadata(rk, 0, topic, &m, RDKAFKA_LIMIT_MS) == RD_KAFKA_RESP_ERR_NO_ERROR)
        rd_kafka_metadata_destroy(m);
    rd_kafka_topic_destroy(topic);
}

/* What the reports came to, once all is flushed. Takes reports->placed. */
static json_t *rdkafka_verdict(struct rdkafka_reports *reports, size_t count)
{
    if (reports->fault[0] != '\0' || reports->count != count) {
        json_decref(reports->placed);
        return rdkafka_error("not delivered",
                             reports->fault[0] != '\0' ? reports->fault : "no report");
    }
    return json_pack("{s:o}", "placed", reports->placed);
}

json_t *rdkafka_produce(const struct rdkafka *r, const json_t *ask)
{
    const char *topic = rdkafka_word(ask, "topic", "");
    const json_t *records = json_object_get(ask, "records");
    const json_t *partition = json_object_get(ask, "partition");
    size_t i, count = json_array_size(records);
    json_t *record;
    struct rdkafka_reports reports = {.told = strcmp(rdkafka_word(ask, "acks", "all"), "0") != 0};
    rd_kafka_t *rk = rdkafka_producer(r, ask, &reports);

    rdkafka_reports_init(&reports, count);
    rdkafka_warm(rk, topic);
    int64_t sent = rdkafka_now_us();
    json_array_foreach(records, i, record)
    {
        int32_t to = json_is_null(partition) ? RD_KAFKA_PARTITION_UA
                                             : (int32_t)json_integer_value(partition);
        rd_kafka_resp_err_t err = rdkafka_send(rk, topic, to, record, i);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
            snprintf(reports.fault, sizeof reports.fault, "%s", rd_kafka_err2str(err));
    }
    rd_kafka_flush(rk, RDKAFKA_LIMIT_MS);
    int64_t acked = rdkafka_now_us();
    rd_kafka_destroy(rk);
    json_t *out = rdkafka_verdict(&reports, count);
    json_object_set_new(out, "sent_us", json_integer(sent));
    json_object_set_new(out, "acked_us", json_integer(acked));
    return out;
}

/* Sends "run I" and waits a moment; what producev said. */
static rd_kafka_resp_err_t rdkafka_run_one(rd_kafka_t *rk, const char *topic, size_t i,
                                           long pace_us)
{
    char value[32];
    int size = snprintf(value, sizeof value, "run %zu", i);
    const struct timespec pace = {.tv_nsec = pace_us * 1000};
    rd_kafka_resp_err_t err = rd_kafka_producev(
        rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE(value, (size_t)size),
        RD_KAFKA_V_OPAQUE((void *)(uintptr_t)i), RD_KAFKA_V_END);

    rd_kafka_poll(rk, 0);
    nanosleep(&pace, NULL);
    return err;
}

json_t *rdkafka_run(const struct rdkafka *r, const json_t *ask)
{
    const char *topic = rdkafka_word(ask, "topic", "");
    size_t count = (size_t)json_integer_value(json_object_get(ask, "count"));
    long pace_us = (long)json_integer_value(json_object_get(ask, "pace_us"));
    struct rdkafka_reports reports = {.told = true, .plain = true};
    rd_kafka_t *rk = rdkafka_producer(r, ask, &reports);

    rdkafka_reports_init(&reports, count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t err = rdkafka_run_one(rk, topic, i, pace_us);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
            snprintf(reports.fault, sizeof reports.fault, "%s", rd_kafka_err2str(err));
        if (i == 0) {
            rd_kafka_flush(rk, RDKAFKA_LIMIT_MS);
            rdkafka_say(json_pack("{s:s}", "event", "acked"));
        }
    }
    rd_kafka_flush(rk, RDKAFKA_RUN_LIMIT_MS);
    rd_kafka_destroy(rk);
    return rdkafka_verdict(&reports, count);
}
