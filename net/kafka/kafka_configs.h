/* SPDX-License-Identifier: MIT
 *
 * kafka_configs: settings as Kafka shows them, for DescribeConfigs and the answer to CreateTopics.
 */
#pragma once

#include "net/kafka/kafka_priv.h"

/* Types of resources that have settings. */
enum kafka_resource {
    KAFKA_RESOURCE_TOPIC = 2,
    KAFKA_RESOURCE_BROKER = 4,
    KAFKA_RESOURCE_LOGGER = 8,
    KAFKA_RESOURCE_METRICS = 16, /* of clients: pushed nowhere here */
    KAFKA_RESOURCE_GROUP = 32,
};

/* The text of this node's number, which names it as a resource. */
#define KAFKA_NODE_TEXT 12
struct slice kafka_configs_node(const struct kafka_call *c, char text[KAFKA_NODE_TEXT]);
/* Why a name is not that of this broker, in the call's arena: "" where it is used up. */
struct slice kafka_configs_elsewhere(struct kafka_call *c, bool empty);

/* Shows the settings of a topic as these overrides make them (key and value, a null value for none;
 * the broker has accepted them) in the topic's answer. False when the arena is used up. */
bool kafka_configs_created(struct kafka_call *c, const struct broker_config_entry *overrides,
                           size_t count, struct kp_create_topics_response_topic *t) MUST_CHECK;
