/* SPDX-License-Identifier: MIT
 *
 * groups_admin: what kafka-consumer-groups asks a cluster. Lists of partitions are those of
 * librdkafka, by topic and partition; an offset below 0 is none.
 */
#pragma once

#include "cli/kafka/groups.h"
#include "engine/base/cleanup.h"

CLEANUP_DEFINE(groups_parts, rd_kafka_topic_partition_list_t,
               rd_kafka_topic_partition_list_destroy);
CLEANUP_DEFINE(groups_event, rd_kafka_event_t, rd_kafka_event_destroy);

struct groups_item {
    char *name; /* owned */
    rd_kafka_consumer_group_state_t state;
    const rd_kafka_ConsumerGroupDescription_t *about; /* borrowed of the set; NULL: only listed */
    bool listed;
    bool modern; /* of the new consumer protocol: `state` is all that is known of it */
};

/* Groups by name, each once. Zeroed is empty. */
struct groups_set {
    struct groups_item *items; /* owned */
    size_t count;
    rd_kafka_event_t *described; /* owned */
};

/* All groups, with their states. */
int groups_listed(struct cluster *c, struct groups_set *out, struct fault *f) MUST_CHECK;
/* The groups that --group or --all-groups name, described. */
int groups_chosen(const struct opts *o, struct cluster *c, struct groups_set *out,
                  struct fault *f) MUST_CHECK;
/* Describes the groups of a set. */
int groups_described(struct cluster *c, struct groups_set *set, struct fault *f) MUST_CHECK;
void groups_set_deinit(struct groups_set *set);
/* Kafka's word. */
const char *groups_state(rd_kafka_consumer_group_state_t state);

/* The committed offsets of a group; owned by the caller. */
int groups_committed(struct cluster *c, const char *group, rd_kafka_topic_partition_list_t **out,
                     struct fault *f) MUST_CHECK;
/* Fills each offset: the first record at or after `time_ms`, RD_KAFKA_OFFSET_BEGINNING or _END.
 * A partition that is not there has its error set and RD_KAFKA_OFFSET_INVALID. */
int groups_offsets(struct cluster *c, rd_kafka_topic_partition_list_t *parts, int64_t time_ms,
                   struct fault *f) MUST_CHECK;
/* Adds what the values of --topic name: TOPIC or TOPIC:P,P. Partitions that a cluster would have to
 * tell of a topic that is not there: a fault, or with `absent` the topic with partition -1. */
int groups_topics(const struct opts *o, struct cluster *c, bool absent,
                  rd_kafka_topic_partition_list_t *out, struct fault *f) MUST_CHECK;
/* Commits as nobody's member. */
int groups_commit(struct cluster *c, const char *group,
                  const rd_kafka_topic_partition_list_t *parts, struct fault *f) MUST_CHECK;
