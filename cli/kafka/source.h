/* SPDX-License-Identifier: MIT
 *
 * source: where kafka-console-consumer gets its records from.
 *
 * With a group it subscribes, and partitions, positions and commits are the group's.
 *
 * Without one, Apache's tool joins a group of a random name. This one asks no coordinator: it reads
 * all partitions of the topics itself, so it works where there is none. It asks for the metadata
 * again every SOURCE_REFRESH_MS (SOURCE_SEARCH_MS while there is nothing to read); a topic or a
 * partition that appears later is read from its beginning, since all that is in it is new.
 *
 * Invariants: 1. of a topic, the partitions 0..started-1 are being read, each once;
 *             2. `listed` is set by the first answer about topics, and stays.
 */
#pragma once

#include "cli/kafka/cluster.h"
#include "cli/kafka/match.h"

#define SOURCE_REFRESH_MS 5000
#define SOURCE_SEARCH_MS  250

struct source_plan {
    const char *topic;         /* borrowed; NULL: by `match` */
    const struct match *match; /* borrowed; NULL: by `topic` */
    int32_t partition;         /* -1: all */
    int64_t offset;            /* to begin at, or RD_KAFKA_OFFSET_BEGINNING or _END */
    bool group;                /* the client has a group.id to join */
};

struct source_topic {
    rd_kafka_topic_t *rkt; /* owned */
    int32_t started;
};

struct source {
    struct source_plan plan;
    struct cluster *cluster; /* borrowed */
    rd_kafka_queue_t *queue; /* owned; of all partitions, without a group */
    struct source_topic *topics;
    size_t count;
    size_t cap;
    int64_t refresh_ms; /* when the metadata is due */
    bool listed;
};

int source_open(struct source *s, struct cluster *c, const struct source_plan *plan,
                struct fault *f) MUST_CHECK;
/* The next record or error, waiting for at most timeout_ms (and at most SOURCE_CALL_MS more for
 * metadata); NULL when there is none. Freed by rd_kafka_message_destroy. */
#define SOURCE_CALL_MS 1000
rd_kafka_message_t *source_next(struct source *s, int timeout_ms);
/* Leaves the group, which commits, or stops reading. */
void source_close(struct source *s);
