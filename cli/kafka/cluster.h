/* SPDX-License-Identifier: MIT
 *
 * cluster: a client of librdkafka, and the few calls that all tools make of it. What librdkafka
 * logs as a warning or worse goes to stderr as a line of tool_log.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/kafka/conf.h"

/* In librdkafka's hands too: lives where it does not move while the client is open. */
struct cluster {
    rd_kafka_t *rk;          /* owned */
    rd_kafka_queue_t *queue; /* owned: answers of admin calls */
    int timeout_ms;          /* for one call: default.api.timeout.ms, 60 s without it */
    atomic_bool denied;      /* a broker refused who we say we are */
};

/* The client id is of `props`. A call that does not get through in time is a fault. */
int cluster_open(struct cluster *c, const struct props *props, enum conf_kind kind,
                 void (*delivered)(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque),
                 struct fault *f) MUST_CHECK;
/* Closes what cluster_open opened; a zeroed struct is fine. */
void cluster_close(struct cluster *c);

/* All topics; freed by rd_kafka_metadata_destroy. */
int cluster_topics(struct cluster *c, const struct rd_kafka_metadata **out,
                   struct fault *f) MUST_CHECK;
/* Options for an admin call; freed by rd_kafka_AdminOptions_destroy. */
rd_kafka_AdminOptions_t *cluster_options(struct cluster *c, rd_kafka_admin_op_t op);
/* Waits for the answer to an admin call made on c->queue; freed by rd_kafka_event_destroy. */
int cluster_answer(struct cluster *c, const char *call, rd_kafka_event_t **out,
                   struct fault *f) MUST_CHECK;
/* The first failure in an answer's list of topics. */
int cluster_results(const rd_kafka_topic_result_t **results, size_t count,
                    struct fault *f) MUST_CHECK;
