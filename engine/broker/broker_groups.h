/* SPDX-License-Identifier: MIT
 *
 * broker_groups: the group engine inside the broker, as the broker's own files see it. See
 * broker_groups.c; what fronts see is broker_group.h.
 */
#pragma once

#include "engine/broker/broker_group.h"

struct broker_groups;

/* The catalogue and the view are open. Begins to read the groups in the turns that follow. */
struct broker_groups *broker_groups_new(struct broker *b);
/* No worker is out. NULL is fine; returns NULL. */
struct broker_groups *broker_groups_free(struct broker_groups *bg);
/* Each turn: reading, timers; then what was said goes to the log. */
void broker_groups_run(struct broker_groups *bg);
/* What was said since, to the log. */
void broker_groups_flush(struct broker_groups *bg);
/* Runs the done of everything answered. */
void broker_groups_deliver(struct broker_groups *bg);
/* True when the next turn has something to do. */
bool broker_groups_has_ready(const struct broker_groups *bg);
/* Monotonic ms of the next timer; INT64_MAX none. */
int64_t broker_groups_next_ms(const struct broker_groups *bg);
/* Commits to the view what is due, once a second, or now. */
void broker_groups_view(struct broker_groups *bg, bool now);
bool broker_groups_view_due(const struct broker_groups *bg);
bool broker_groups_view_busy(const struct broker_groups *bg);
/* 0, or what the last commit failed with, once. */
int broker_groups_view_error(struct broker_groups *bg);
/* The groups were read, and the view follows their log. */
bool broker_groups_view_good(const struct broker_groups *bg);
/* Whether this broker leads, and so coordinates the groups. While it does not, what comes is
 * refused; when it does again, they are read anew, from the log alone with `anew` (another broker
 * wrote in it). */
void broker_groups_role(struct broker_groups *bg, bool leads, bool anew);
/* Refuses what is parked and what comes. */
void broker_groups_stop(struct broker_groups *bg);
/* Nothing is on its way to the disk. */
bool broker_groups_quiet(const struct broker_groups *bg);
/* Topics were made or grew; `gone` (p NULL: none) was deleted. */
void broker_groups_topics_changed(struct broker_groups *bg, struct slice gone);
void broker_groups_check(const struct broker_groups *bg);
void broker_groups_dump(const struct broker_groups *bg, struct buf *out);
