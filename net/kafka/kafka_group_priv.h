/* SPDX-License-Identifier: MIT
 *
 * kafka_group_priv: what the handlers of groups share.
 *
 *   handler -> kafka_group_new -> its part of the union -> kafka_group_start -> done -> answer
 *
 * What the broker hands out when it is looked into is borrowed until the next call into it, so the
 * handlers that only look around copy it into the arena of the call: kafka_group_copy.
 */
#pragma once

#include "engine/broker/broker_group.h"
#include "net/kafka/kafka_priv.h"

#define KAFKA_GROUP_OPERATIONS 3400 /* bit sum of what may be done to a group: everything */

/* A request to the broker in the arena of the call, with the client's names; its ctx is the call.
 * NULL when the arena is used up. */
struct broker_group *kafka_group_new(struct kafka_call *c, enum broker_group_op op,
                                     struct slice group, void (*done)(struct broker_group *req));
/* kafka_run, and off to the broker. */
void kafka_group_start(struct kafka_call *c, struct broker_group *req);
/* The code of all there is to look at: 0 when it tells the truth. */
int16_t kafka_group_ready(const struct kafka_call *c);
/* A copy in the arena; null stays null. Sets *failed when the arena is used up. */
struct slice kafka_group_copy(struct kafka_call *c, struct slice s, bool *failed);
/* Two pieces of text and what lies between them, as one; null when the arena is used up, which an
 * error message may be. */
struct slice kafka_group_message(struct kafka_call *c, const char *before, struct slice name,
                                 const char *behind);
/* "Group g not found.", as tools print it. */
struct slice kafka_group_not_found(struct kafka_call *c, struct slice name);

/* Partitions by topic: copies of lists of the broker's. */
struct kp_i32s kafka_group_partitions(struct kafka_call *c, const struct broker_group_topic *t,
                                      bool *failed);
