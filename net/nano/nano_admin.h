/* SPDX-License-Identifier: MIT
 *
 * nano_admin: the calls about topics, configs, producer ids and snapshots: each becomes one
 * broker_admin, or is answered from memory (nano_topics). None has raw bytes; the parameter is the
 * table's.
 */
#pragma once

#include "net/nano/nano_priv.h"

void nano_admin_init_producer(struct nano_call *c, struct slice raw);
void nano_admin_topic_create(struct nano_call *c, struct slice raw);
void nano_admin_topic_delete(struct nano_call *c, struct slice raw);
void nano_admin_topic_grow(struct nano_call *c, struct slice raw);
void nano_admin_topic_alter(struct nano_call *c, struct slice raw);
void nano_admin_topic_trim(struct nano_call *c, struct slice raw);
void nano_admin_topic_list(struct nano_call *c, struct slice raw);
void nano_admin_broker_config(struct nano_call *c, struct slice raw);
void nano_admin_snapshot(struct nano_call *c, struct slice raw);
void nano_admin_broker_status(struct nano_call *c, struct slice raw);
