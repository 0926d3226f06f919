/* SPDX-License-Identifier: MIT
 *
 * describe: the lines of `kafka-topics --describe`, made of what the metadata and the configs of a
 * topic say. Pure text.
 *
 * The eligible leader replicas are N/A, which is what Apache's tool prints for a broker that does
 * not tell; the topic id is left out, as it does for a broker without ids.
 */
#pragma once

#include <stdbool.h>

#include "cli/kafka/fault.h"
#include "engine/base/bytes.h"

/* Which partitions to show: none of these set means all of them, with the topic's own line. */
struct describe_filter {
    bool under_replicated;
    bool unavailable;
    bool under_min_isr;
    bool at_min_isr;
    bool overrides; /* only topics with overridden configs, and no partitions */
};

struct describe_configs {
    struct buf text; /* owned: "a=1,b=2", those that are not default */
    int64_t min_isr; /* 1 when the broker does not tell */
};

/* Appends what is to be shown of the topic. */
void describe_topic(const struct describe_filter *filter, const struct rd_kafka_metadata *cluster,
                    const struct rd_kafka_metadata_topic *topic,
                    const struct describe_configs *configs, struct buf *out);
/* Whether the filter reads the configs of topics, so that their absence would matter. */
bool describe_wants_min_isr(const struct describe_filter *filter);
