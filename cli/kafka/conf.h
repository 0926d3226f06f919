/* SPDX-License-Identifier: MIT
 *
 * conf: settings by the names of Apache's Java clients, given to librdkafka under its own. Most
 * names are the same in both; the table in conf.c has those that differ, those that only mean
 * something inside Java, and the values that Java checks itself. What is known to neither is warned
 * of and left out.
 */
#pragma once

#include <stdbool.h>

#include "cli/kafka/props.h"

enum conf_kind {
    CONF_ADMIN,
    CONF_PRODUCER,
    CONF_CONSUMER,
};

/* A new configuration, owned by the caller. A fault names the first bad value, or the first bad
 * address in bootstrap.servers. */
int conf_new(const struct props *p, enum conf_kind kind, rd_kafka_conf_t **out,
             struct fault *f) MUST_CHECK;
/* True when every part of a comma-separated list is host:port. */
bool conf_servers(const char *list);
/* The value of username="..." or password="..." in a line of JAAS configuration, appended to *out;
 * false when it is not there. */
bool conf_jaas(const char *line, const char *name, struct buf *out);
