/* SPDX-License-Identifier: MIT
 *
 * groups_view: what can be seen of groups, in the words of broker_group.h. Everything handed out is
 * borrowed until the next call of any function of groups.
 */
#pragma once

#include "engine/broker/groups.h"

void groups_view_info(const struct group *g, struct broker_group_info *out);
void groups_view_members(struct groups *gs, const struct group *g,
                         void (*fn)(void *ctx, const struct broker_group_member *m), void *ctx);
/* 0, or 1 when nothing is committed. */
int groups_view_offset(struct groups *gs, const struct group *g, struct slice topic,
                       int32_t partition, struct broker_group_offset *out) MUST_CHECK;
void groups_view_offsets(struct groups *gs, const struct group *g, bool assigned,
                         void (*fn)(void *ctx, const struct broker_group_offset *o), void *ctx);
void groups_view_history(const struct group *g,
                         void (*fn)(void *ctx, const struct broker_group_rebalance *r), void *ctx);
