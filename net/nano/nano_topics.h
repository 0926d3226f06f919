/* SPDX-License-Identifier: MIT
 *
 * nano_topics: the answers that come from the broker's memory at once: lists of topics, a page at a
 * time, and of configs.
 *
 * A page ends at count_max topics or where the next topic would make the answer larger than a
 * quarter of message_size_max; the first topic always comes whole.
 */
#pragma once

#include "net/nano/nano_priv.h"

/* Completes a topic_list. */
void nano_topics_finish(struct nano_call *c);
/* True when a topic_list names a topic that is missing and may be created. */
bool nano_topics_wants_create(const struct nano_call *c);
/* Completes a broker_config with all values in force. */
void nano_topics_finish_configs(struct nano_call *c);
