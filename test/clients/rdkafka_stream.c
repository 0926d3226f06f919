/* SPDX-License-Identifier: MIT */
/* Numbered records to all partitions in turn, without end, through whatever happens to the broker.
 * Each is there once or, after a death of the broker, more than once: readers count by offset. */
#include "rdkafka.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define RDKAFKA_STREAM_MAX 256

struct rdkafka_stream {
    int64_t acked[RDKAFKA_STREAM_MAX]; /* by partition: the end of what was acknowledged */
    int64_t failed;
};

static void rdkafka_streamed(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct rdkafka_stream *stream = opaque;

    (void)rk;
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR && stream->failed++ == 0)
        fprintf(stderr, "%s\n", rd_kafka_message_errstr(m));
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR && m->offset >= stream->acked[m->partition])
        stream->acked[m->partition] = m->offset + 1;
}

static rd_kafka_t *rdkafka_stream_open(const struct rdkafka *r, struct rdkafka_stream *stream)
{
    static const char *const settings[][2] = {
        {"acks", "all"},
        {"linger.ms", "5"},
        {"topic.metadata.refresh.interval.ms", "1000"},
        {"reconnect.backoff.max.ms", "200"},
        {"retry.backoff.ms", "50"},
        {NULL, NULL},
    };
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    rd_kafka_conf_set(conf, "bootstrap.servers", r->bootstrap, why, sizeof why);
    for (size_t i = 0; settings[i][0] != NULL; i++)
        rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof why);
    rd_kafka_conf_set_opaque(conf, stream);
    rd_kafka_conf_set_dr_msg_cb(conf, rdkafka_streamed);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (rk == NULL)
        rdkafka_die("no producer", why);
    return rk;
}

/* Sends until a line comes. */
static void rdkafka_stream_send(rd_kafka_t *rk, const json_t *ask)
{
    const char *topic = rdkafka_word(ask, "topic", "");
    int partitions = (int)json_integer_value(json_object_get(ask, "partitions"));
    long pace_us = (long)json_integer_value(json_object_get(ask, "pace_us"));
    const struct timespec pace = {.tv_nsec = pace_us * 1000};
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char value[32];

    for (size_t i = 0; poll(&in, 1, 0) == 0; i++) {
        int size = snprintf(value, sizeof value, "%zu", i);
        (void)rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic),
                                RD_KAFKA_V_PARTITION((int32_t)(i % (size_t)partitions)),
                                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                RD_KAFKA_V_VALUE(value, (size_t)size), RD_KAFKA_V_END);
        rd_kafka_poll(rk, 0);
        nanosleep(&pace, NULL);
    }
}

json_t *rdkafka_stream(const struct rdkafka *r, const json_t *ask)
{
    struct rdkafka_stream stream = {.failed = 0};
    int partitions = (int)json_integer_value(json_object_get(ask, "partitions"));
    char *line = NULL;
    size_t room = 0;

    if (partitions < 1 || partitions > RDKAFKA_STREAM_MAX)
        return rdkafka_error("stream", "how many partitions?");
    rd_kafka_t *rk = rdkafka_stream_open(r, &stream);
    rdkafka_say(json_pack("{s:s}", "event", "here"));
    rdkafka_stream_send(rk, ask);
    if (getline(&line, &room, stdin) <= 0)
        exit(0);
    free(line);
    rd_kafka_resp_err_t err = rd_kafka_flush(rk, RDKAFKA_RUN_LIMIT_MS);
    rd_kafka_destroy(rk);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR || stream.failed > 0)
        return rdkafka_error("stream", "records were not delivered");
    json_t *acked = json_array();
    for (int p = 0; p < partitions; p++)
        json_array_append_new(acked, json_integer(stream.acked[p]));
    return json_pack("{s:o}", "acked", acked);
}
