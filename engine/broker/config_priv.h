/* SPDX-License-Identifier: MIT
 *
 * config_priv: what the files of config share. See config.h.
 */
#pragma once

#include "engine/broker/config.h"

/* Why a key of Kafka's cannot be had, or NULL. */
const char *config_denied(const char *name);

/* Looks the key up. 0 and *out, or CONFIG_UNKNOWN or CONFIG_DENIED with a sentence. */
int config_find(struct slice key, bool topic, const struct config_row **out,
                char message[256]) MUST_CHECK;

/* The number of a normalised value; 0 for strings and doubles and for the empty text. */
int64_t config_number(const struct config_row *row, const char *text);

/* Milliseconds in the unit of a duration: 1, 60000 or 3600000. */
int64_t config_unit_ms(const char *name);

/* The name of a key that the engine reads. */
const char *config_topic_name(enum config_topic_key k);
/* Its row, and its number for a topic that does not set it; both O(1). */
const struct config_row *config_topic_row(const struct config *c, enum config_topic_key k);
int64_t config_topic_default(const struct config *c, enum config_topic_key k);
