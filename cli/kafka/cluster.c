/* SPDX-License-Identifier: MIT
 *
 * cluster: see cluster.h.
 */
#include "cli/kafka/cluster.h"

#include <stdio.h>
#include <syslog.h>

#include "cli/kafka/tool.h"
#include "cli/value.h"
#include "engine/base/assert.h"

#define CLUSTER_TIMEOUT_MS     60000
#define CLUSTER_TIMEOUT_MS_MAX 3600000 /* librdkafka's bound for an admin call */
#define CLUSTER_LOGGER         "librdkafka"

static void cluster_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    if (level <= LOG_WARNING && strcmp(facility, "CONFWARN") != 0)
        tool_log(level < LOG_ERR ? "ERROR" : "WARN", CLUSTER_LOGGER, "[%s] %s", rd_kafka_name(rk),
                 text);
}

/* The same failures are logged; here only who was refused counts. */
static void cluster_error(rd_kafka_t *rk, int error, const char *reason, void *opaque)
{
    struct cluster *c = opaque;
    (void)rk;
    (void)reason;
    if (error == RD_KAFKA_RESP_ERR__AUTHENTICATION)
        atomic_store(&c->denied, true);
}

int cluster_open(struct cluster *c, const struct props *props, enum conf_kind kind,
                 void (*delivered)(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque),
                 struct fault *f)
{
    char why[512];
    int64_t timeout_ms = CLUSTER_TIMEOUT_MS;
    rd_kafka_conf_t *conf = NULL;
    const char *timeout = props_get(props, "default.api.timeout.ms");
    *c = (struct cluster){0};
    if (timeout != NULL &&
        (!value_i64(timeout, &timeout_ms) || timeout_ms < 1 || timeout_ms > INT32_MAX))
        return fault_set(f, FAULT_CONFIG,
                         "Invalid value %s for configuration default.api.timeout.ms: Not a number "
                         "of type INT",
                         timeout);
    int rc = conf_new(props, kind, &conf, f);
    if (rc != 0)
        return rc;
    rd_kafka_conf_set_opaque(conf, c);
    rd_kafka_conf_set_log_cb(conf, cluster_log);
    rd_kafka_conf_set_error_cb(conf, cluster_error);
    if (delivered != NULL)
        rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    c->rk = rd_kafka_new(kind == CONF_CONSUMER ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, conf, why,
                         sizeof why);
    if (c->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        return fault_set(f, FAULT_CONFIG, "%s", why);
    }
    c->queue = rd_kafka_queue_new(c->rk);
    c->timeout_ms =
        (int)(timeout_ms < CLUSTER_TIMEOUT_MS_MAX ? timeout_ms : CLUSTER_TIMEOUT_MS_MAX);
    return 0;
}

void cluster_close(struct cluster *c)
{
    if (c->rk == NULL)
        return;
    rd_kafka_queue_destroy(c->queue);
    rd_kafka_destroy(c->rk);
    *c = (struct cluster){0};
}

/* A call that no broker took, in the words of Java's admin client. */
static int cluster_late(const struct cluster *c, const char *call, struct fault *f)
{
    if (atomic_load(&c->denied))
        return fault_of(f, RD_KAFKA_RESP_ERR__AUTHENTICATION, NULL);
    return fault_set(f, FAULT_TIMEOUT, "Timed out waiting for a node assignment. Call: %s", call);
}

int cluster_topics(struct cluster *c, const struct rd_kafka_metadata **out, struct fault *f)
{
    ASSERT(c->rk != NULL);
    rd_kafka_resp_err_t error = rd_kafka_metadata(c->rk, 1, NULL, out, c->timeout_ms);
    (void)rd_kafka_poll(c->rk, 0);
    if (error == RD_KAFKA_RESP_ERR__TRANSPORT || error == RD_KAFKA_RESP_ERR__TIMED_OUT)
        return cluster_late(c, "listTopics", f);
    return error == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : fault_of(f, error, NULL);
}

rd_kafka_AdminOptions_t *cluster_options(struct cluster *c, rd_kafka_admin_op_t op)
{
    char why[256];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(c->rk, op);
    ASSERT(options != NULL);
    rd_kafka_resp_err_t error =
        rd_kafka_AdminOptions_set_request_timeout(options, c->timeout_ms, why, sizeof why);
    ASSERT(error == RD_KAFKA_RESP_ERR_NO_ERROR);
    return options;
}

int cluster_answer(struct cluster *c, const char *call, rd_kafka_event_t **out, struct fault *f)
{
    /* librdkafka answers by itself when the request timeout is over: the wait has an end. */
    rd_kafka_event_t *event = rd_kafka_queue_poll(c->queue, -1);
    ASSERT(event != NULL);
    (void)rd_kafka_poll(c->rk, 0);
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
        *out = event;
        return 0;
    }
    int rc = error == RD_KAFKA_RESP_ERR__TIMED_OUT
                 ? cluster_late(c, call, f)
                 : fault_of(f, error, rd_kafka_event_error_string(event));
    rd_kafka_event_destroy(event);
    return rc;
}

int cluster_results(const rd_kafka_topic_result_t **results, size_t count, struct fault *f)
{
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t error = rd_kafka_topic_result_error(results[i]);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
            return fault_of(f, error, rd_kafka_topic_result_error_string(results[i]));
    }
    return 0;
}
