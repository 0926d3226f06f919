/* SPDX-License-Identifier: MIT
 *
 * group_protocol: what consumers tell each other through a classic group of the type "consumer":
 * subscriptions and assignments. The group engine carries them unread; they are read for those who
 * look at a group (describe, lag, offsets of topics that nobody subscribes to).
 *
 *   subscription  [i16 version][i32 n][n topics: i16 size, bytes] and more, passed over
 *   assignment    [i16 version][i32 n][n times: topic as above, i32 m, m times i32] and more
 *
 * Big endian. Source: Kafka's ConsumerProtocol, versions 0 to 3, which only add behind this.
 * Foreign bytes: 1 when they are not of this form; counts are checked before anything is allocated.
 */
#pragma once

#include "engine/base/arena.h"
#include "engine/broker/broker_group.h"

/* *topics lies in the arena, names borrow from `in`. */
int group_protocol_subscription(struct slice in, struct arena *arena, struct slice **topics,
                                size_t *count) MUST_CHECK;
/* Likewise; ids are zero. */
int group_protocol_assignment(struct slice in, struct arena *arena,
                              struct broker_group_topic **topics, size_t *count) MUST_CHECK;
