/* SPDX-License-Identifier: MIT
 *
 * nano_group: the calls of consumer groups, to the broker (broker_group.h) and back. What changes
 * something is one request and its completion (nano_group.c); what only looks is built from the
 * broker's memory (nano_group_view.c), page by page where it may be long.
 *
 * It must not know how partitions are assigned or where offsets are kept.
 *
 * Limits: NANO_ITEMS_MAX items, topics, rows or groups in one call or answer; names and ids of
 * BROKER_GROUP_NAME_MAX bytes; expressions of NANO_GROUP_REGEX_MAX bytes; partitions held of
 * NANO_GROUP_OWNED_MAX. Beyond: BAD_REQUEST, or for the group's own name BAD_GROUP_ID. A page ends
 * before it fills a quarter of a message.
 */
#pragma once

#include "net/nano/nano_priv.h"

#define NANO_GROUP_REGEX_MAX 4096
#define NANO_GROUP_OWNED_MAX 100000

void nano_group_beat(struct nano_call *c, struct slice raw);
void nano_group_commit(struct nano_call *c, struct slice raw);
void nano_group_forget(struct nano_call *c, struct slice raw);
void nano_group_delete(struct nano_call *c, struct slice raw);

void nano_group_offsets(struct nano_call *c, struct slice raw);
void nano_group_list(struct nano_call *c, struct slice raw);
void nano_group_describe(struct nano_call *c, struct slice raw);
void nano_group_history(struct nano_call *c, struct slice raw);

/* True when the call's group may be named so and the broker's groups are read; else the call is
 * answered. */
bool nano_group_readable(struct nano_call *c, const char *group);
/* Partitions by topic as messages of the call's arena; NULL when it is used up. */
Kauri__GroupTopic **nano_group_topics(struct nano_call *c, const struct broker_group_topic *topics,
                                      size_t count);
/* Text of the call's arena; NULL when it is used up. */
char *nano_group_text(struct nano_call *c, struct slice s);
