/* SPDX-License-Identifier: MIT
 *
 * quota: how much each client may ask of the broker, and how long one that asked for more is to be
 * held back (KIP-13, KIP-124, KIP-546). Knows no sockets and no log; time comes in.
 *
 * A quota belongs to an entity: the default user, a client id, the default of client ids, or a user
 * and one of both. There is no authentication, so all are the default user. For each key apart, the
 * nearest entity that has a value counts, in Kafka's order:
 *
 *   entity                        who shares the value
 *   default user, this client     those with this client id
 *   default user, default client  each client id for itself
 *   default user                  all
 *   this client                   those with this client id
 *   default client                each client id for itself
 *
 * Use is counted in a window of 11 slots of one second (quota.window.num, quota.window.size.seconds
 * of Kafka), the last of which is the second that runs: from 10 to 11 s. Who used more than the
 * quota gives for that time waits until it would be right:
 *
 *   throttle = use / quota - window
 *
 * so that a client may begin with a burst of ten seconds' worth, as with Kafka.
 *
 *   key                  unit              throttled at most
 *   producer_byte_rate   bytes a second    QUOTA_THROTTLE_MAX_MS
 *   consumer_byte_rate   bytes a second    QUOTA_THROTTLE_MAX_MS
 *   request_percentage   of the loop's     QUOTA_TIME_MAX_MS
 *                        time; 100: all
 *
 * Invariants (quota_table_check): Q1 an entity has a value; Q2 `with` counts the entities that have
 * a value for a key; Q3 the counters in the map are those in the list, at most QUOTA_COUNTERS_MAX.
 *
 * Failures: none. With more clients than counters, the one not seen for longest is forgotten.
 * Client ids are told apart by their first QUOTA_NAME_MAX bytes.
 */
#pragma once

#include "engine/base/bytes.h"
#include "engine/base/error.h"

#define QUOTA_NAME_MAX        255
#define QUOTA_COUNTERS_MAX    10000
#define QUOTA_ENTITIES_MAX    10000
#define QUOTA_THROTTLE_MAX_MS 3600000
#define QUOTA_TIME_MAX_MS     1000
#define QUOTA_SLOTS           11
#define QUOTA_SLOT_MS         1000

enum quota_key {
    QUOTA_PRODUCE,
    QUOTA_FETCH,
    QUOTA_TIME,
};
#define QUOTA_KEY_COUNT 3
/* "producer_byte_rate", ... static. */
const char *quota_key_text(enum quota_key key);

struct quota_entity {
    bool user;         /* the default user is part of it */
    bool client;       /* and a client: */
    struct slice name; /* its id; p NULL: the default */
};

struct quota_values {
    double v[QUOTA_KEY_COUNT]; /* above 0; 0: none */
};

/* NULL when the value can be a quota, else what is wrong: static. */
const char *quota_value_fault(enum quota_key key, double value);

/* Appends the entity as text: "u" for the user, then "d" for the default client, or "n" and its
 * name. Not empty. */
void quota_entity_encode(const struct quota_entity *e, struct buf *out);
/* 0, or 1 when it is none; the name borrows the input. */
int quota_entity_decode(struct slice in, struct quota_entity *out) MUST_CHECK;
/* Its values: [u8 version 1] then for each that is there [u8 key][u64 le bits of the double]. */
void quota_values_encode(const struct quota_values *values, struct buf *out);
int quota_values_decode(struct slice in, struct quota_values *out) MUST_CHECK;

struct quota_table;
struct quota_table *quota_table_new(uint64_t seed);
struct quota_table *quota_table_free(struct quota_table *q);
size_t quota_table_count(const struct quota_table *q);
/* Sets all values of an entity; without any it goes. */
void quota_table_set(struct quota_table *q, const struct quota_entity *e,
                     const struct quota_values *values);
/* All zero when there is none. */
struct quota_values quota_table_get(const struct quota_table *q, const struct quota_entity *e);
/* In the order of the encoded entities. */
void quota_table_each(const struct quota_table *q,
                      void (*fn)(void *ctx, const struct quota_entity *e,
                                 const struct quota_values *values),
                      void *ctx);
/* Whether anybody has a quota of this key: if not, there is nothing to count. O(1). */
bool quota_table_any(const struct quota_table *q, enum quota_key key);
/* What a client may use in the shortest window of ten seconds; 0: as much as it wants. */
double quota_table_bound(const struct quota_table *q, enum quota_key key, struct slice client_id);

struct quota_use {
    enum quota_key key;
    double amount; /* bytes; microseconds for QUOTA_TIME */
    int64_t now_ms;
};
/* Counts a use. Returns for how many ms the client is to be held back; 0 for not at all. */
uint32_t quota_table_charge(struct quota_table *q, struct slice client_id,
                            const struct quota_use *use);
void quota_table_check(const struct quota_table *q);
