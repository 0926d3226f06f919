/* SPDX-License-Identifier: MIT
 *
 * broker_trouble: why this broker has no place in the cluster that it asks for: one sentence, told
 * in the log when it is new and then now and again, and shown to those who look
 * (broker_cluster_info). Must not know what it is about.
 */
#pragma once

#include "engine/broker/broker_priv.h"

/* level as in broker_log. */
__attribute__((format(printf, 3, 4))) void broker_trouble_tell(struct broker *b, int level,
                                                               const char *fmt, ...);
/* Looks for a leader since now. */
void broker_trouble_seek(struct broker *b);
/* It has looked for one for long: told. */
void broker_trouble_sought(struct broker *b, const char *asked);
/* All is well. */
void broker_trouble_end(struct broker *b);
