/* SPDX-License-Identifier: MIT
 *
 * fault: why a tool failed, in the words of Apache's tools: the name of an exception, which scripts
 * look for, and its message. Functions that take a `struct fault *` return 0, or 1 after they have
 * filled it.
 */
#pragma once

#include <librdkafka/rdkafka.h>

#include "engine/base/error.h"

#define FAULT_TEXT_MAX 1024

struct fault {
    const char *exception; /* static */
    char text[FAULT_TEXT_MAX];
};

#define FAULT_ARGUMENT "java.lang.IllegalArgumentException"
#define FAULT_CONFIG   "org.apache.kafka.common.config.ConfigException"
#define FAULT_KAFKA    "org.apache.kafka.common.KafkaException"
#define FAULT_TIMEOUT  "org.apache.kafka.common.errors.TimeoutException"
#define FAULT_VERSION  "org.apache.kafka.common.errors.UnsupportedVersionException"

/* Fills *f and returns 1. */
__attribute__((format(printf, 3, 4))) int fault_set(struct fault *f, const char *exception,
                                                    const char *fmt, ...);
/* The same for an error of librdkafka or of a broker; `text` NULL or empty: the error's own. */
int fault_of(struct fault *f, rd_kafka_resp_err_t error, const char *text);
/* The exception that Apache's clients throw for it. */
const char *fault_exception(rd_kafka_resp_err_t error);
/* And the message that they carry. */
const char *fault_text(rd_kafka_resp_err_t error);
