/* SPDX-License-Identifier: MIT
 *
 * client_parts: sets of partitions, sorted by topic and number: what the broker assigns, what is
 * assigned here.
 *
 * Invariant P1: ascending, none twice.
 */
#pragma once

#include "net/client/kauri.h"
#include "proto/kauri.pb-c.h"

#define CLIENT_PARTS_MAX (1u << 20)

struct client_assignment;

struct client_parts {
    struct kauri_topic_partition *items; /* owned; topics point into names */
    size_t count;
    char **names; /* owned, each too */
    size_t name_count;
};

/* Takes what the broker assigns. False when it is out of bounds: too many, a negative number. *out
 * is empty or initialised in any case, what it held before is freed. */
bool client_parts_take(struct client_parts *out, const Kauri__GroupTopics *from);
void client_parts_deinit(struct client_parts *p);

/* < 0, 0, > 0 */
int client_parts_order(const char *topic_a, int32_t a, const char *topic_b, int32_t b);
/* The group's assignments, sorted; heap array for the caller to free, NULL when there are none. */
struct client_assignment **client_parts_assigned(struct kauri *k, size_t *count);
/* The one among them, or NULL. O(log n). */
struct client_assignment *client_parts_find(struct client_assignment *const *sorted, size_t count,
                                            const char *topic, int32_t partition);
