/* SPDX-License-Identifier: MIT
 *
 * kafka_configs: settings as Kafka shows them, for DescribeConfigs and the answer to CreateTopics.
 */
#pragma once

#include "net/kafka/kafka_priv.h"

/* Shows the settings of a topic as these overrides make them (key and value, a null value for none;
 * the broker has accepted them) in the topic's answer. False when the arena is used up. */
bool kafka_configs_created(struct kafka_call *c, const struct broker_config_entry *overrides,
                           size_t count, struct kp_create_topics_response_topic *t) MUST_CHECK;
