/* SPDX-License-Identifier: MIT
 *
 * sender_kafka: a sender (sender.h) over librdkafka: idempotent with acks=all, up to five requests
 * on their way. It comes back fast after a death: else most of a broker's short life would pass in
 * its wait between connections. A fatal error (an idempotent producer that lost its order) ends the
 * program: the history stays without its end, and the judge refuses it.
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "test/chaos/sender.h"

#define SENDER_SETTINGS_MAX 32
#define SENDER_WORD_MAX     24

struct sender {
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    struct sender_options options;
};

static void sender_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct sender *s = opaque;
    bool good = m->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    ASSERT(rk == s->rk);
    struct sender_report report = {.partition = (uint32_t)m->partition,
                                   .sequence = (uint64_t)(uintptr_t)m->_private,
                                   .offset = good ? m->offset : -1,
                                   .message = good ? NULL : rd_kafka_err2str(m->err)};
    s->options.delivered(s->options.ctx, &report);
}

static void sender_error(rd_kafka_t *rk, int error, const char *reason, void *opaque)
{
    char why[512] = "";
    (void)opaque;
    (void)reason;
    if (error != RD_KAFKA_RESP_ERR__FATAL)
        return; /* a broker that is gone comes back */
    (void)rd_kafka_fatal_error(rk, why, sizeof why);
    (void)fprintf(stderr, "load: fatal: %s\n", why);
    exit(1);
}

static bool sender_set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[512];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK)
        return true;
    (void)fprintf(stderr, "load: %s=%s: %s\n", name, value, why);
    return false;
}

static bool sender_number(rd_kafka_conf_t *conf, const char *name, int64_t value)
{
    char word[SENDER_WORD_MAX];
    (void)snprintf(word, sizeof word, "%lld", (long long)value);
    return sender_set(conf, name, word);
}

static bool sender_configure(const struct sender_options *o, rd_kafka_conf_t *conf)
{
    return sender_set(conf, "bootstrap.servers", o->server) &&
           sender_set(conf, "client.id", "chaos_load") &&
           sender_set(conf, "compression.codec", o->codec) &&
           sender_set(conf, "enable.idempotence", o->acks < 0 ? "true" : "false") &&
           sender_number(conf, "acks", o->acks) &&
           sender_number(conf, "max.in.flight.requests.per.connection", 5) &&
           sender_number(conf, "linger.ms", o->linger_ms) &&
           sender_number(conf, "batch.size", SENDER_BATCH_SIZE) &&
           sender_number(conf, "queue.buffering.max.kbytes", SENDER_BUFFER_SIZE >> 10) &&
           sender_number(conf, "delivery.timeout.ms", SENDER_DELIVERY_MS) &&
           sender_number(conf, "reconnect.backoff.ms", 5) &&
           sender_number(conf, "reconnect.backoff.max.ms", 20) &&
           sender_number(conf, "retry.backoff.ms", 10) &&
           sender_number(conf, "log_level", 2); /* deaths are no news here */
}

int sender_open(const struct sender_options *options, struct sender **out)
{
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    struct sender *s = assert_memory(calloc(1, sizeof *s), sizeof *s);
    s->options = *options;
    rd_kafka_conf_set_opaque(conf, s);
    rd_kafka_conf_set_dr_msg_cb(conf, sender_delivered);
    rd_kafka_conf_set_error_cb(conf, sender_error);
    if (!sender_configure(options, conf)) {
        rd_kafka_conf_destroy(conf);
        free(s);
        return 1;
    }
    s->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why); /* takes conf */
    if (s->rk == NULL) {
        (void)fprintf(stderr, "load: no producer: %s\n", why);
        rd_kafka_conf_destroy(conf);
        free(s);
        return 1;
    }
    s->topic = rd_kafka_topic_new(s->rk, options->topic, NULL);
    ASSERT(s->topic != NULL);
    *out = s;
    return 0;
}

struct sender *sender_close(struct sender *s)
{
    if (s == NULL)
        return NULL;
    rd_kafka_topic_destroy(s->topic);
    rd_kafka_destroy(s->rk);
    free(s);
    return NULL;
}

enum sender_answer sender_send(struct sender *s, const struct sender_record *r)
{
    if (rd_kafka_produce(s->topic, (int32_t)r->partition, RD_KAFKA_MSG_F_COPY,
                         (void *)(uintptr_t)r->value.p, r->value.size, r->key.p, r->key.size,
                         (void *)(uintptr_t)r->sequence) == 0)
        return SENDER_TAKEN;
    rd_kafka_resp_err_t error = rd_kafka_last_error();
    if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return SENDER_LATER;
    (void)fprintf(stderr, "load: cannot send: %s\n", rd_kafka_err2str(error));
    return SENDER_REFUSED;
}

int sender_poll(struct sender *s, int timeout_ms)
{
    return rd_kafka_poll(s->rk, timeout_ms);
}

size_t sender_flush(struct sender *s, int timeout_ms)
{
    (void)rd_kafka_flush(s->rk, timeout_ms);
    return (size_t)rd_kafka_outq_len(s->rk);
}
