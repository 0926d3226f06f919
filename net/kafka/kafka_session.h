/* SPDX-License-Identifier: MIT
 *
 * kafka_session: what incremental fetches remember (KIP-227): the partitions a consumer wants, and
 * what it was told last of each, so that a request names only what changes and an answer only what
 * has changed. It knows no broker and no bytes of a request.
 *
 *   request (id, epoch)      what it does
 *   (0 or n, -1)             full, no session; n is closed
 *   (0 or n, 0)              full, n is closed; its answer makes a session: kafka_session_create
 *   (n, epoch > 0)           kafka_session_enter, kafka_session_put and _forget,
 * kafka_session_step;
 *                            its answer: kafka_session_find, kafka_session_note for each partition
 *
 *   sessions -> [map id -> session]  used: longest unused first
 *   session  -> [map topic, index -> partition]  order: the order in which they are read; one that
 *               gave data goes to the end, so that each has its turn when the answer is full
 *
 * The epoch is that of the next request: 1 for the first incremental one, then one more, after
 * INT32_MAX again 1. A request steps it when it comes, not when it is answered: of two requests
 * that wait in one session the older one finds another epoch when its turn to be answered comes.
 *
 * Limits: sessions, bytes of all of them, partitions of one. When there is no room, the session
 * longest unused makes it if that is KAFKA_SESSION_IDLE_MS long; else the smallest of those that
 * are as old, if the newcomer is larger; else there is no new session, and its client goes on with
 * full fetches.
 *
 * Invariants (kafka_sessions_check):
 *   S1 the sessions in the map are those in `used`, in the order of their use, within the limits
 *   S2 the partitions in a session's map are those in its order, within the limits
 *   S3 size is the sum over the partitions, of a session and of all
 *   S4 ids and epochs are above 0; keys of a session by id are an index and 16 bytes
 *
 * Failures: no room, a name that no topic has; see the functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/base/list.h"
#include "engine/base/map.h"

#define KAFKA_SESSIONS_MAX           1000 /* max.incremental.fetch.session.cache.slots */
#define KAFKA_SESSIONS_SIZE_MAX      (16u * 1024 * 1024)
#define KAFKA_SESSION_PARTITIONS_MAX 4096
#define KAFKA_SESSION_IDLE_MS        120000 /* min.incremental.fetch.session.eviction.ms */
#define KAFKA_SESSION_TOPIC_MAX      249    /* bytes of a name */

struct kafka_sessions;

/* What a request says of a partition. */
struct kafka_session_ask {
    struct slice topic; /* a name, or the 16 bytes of an id; borrowed */
    int32_t index;
    int32_t leader_epoch;
    int32_t max_bytes;
    int64_t fetch_offset;
};

/* What an answer says of it. */
struct kafka_session_told {
    int64_t high_watermark;
    int64_t log_start;
    int16_t error;
    bool data;
    bool elsewhere; /* another broker is to be read from */
};

struct kafka_session_partition {
    struct list link; /* the session's order */
    int64_t fetch_offset;
    int64_t high_watermark; /* as told last; -1 after an error */
    int64_t log_start;
    int32_t leader_epoch;
    int32_t max_bytes;
    size_t key_size;
    uint8_t key[]; /* index, big endian; topic */
};

struct kafka_session {
    int64_t id;
    uint64_t serial; /* never used twice, while ids may come again */
    struct map partitions;
    struct list order;
    struct list used;
    int64_t created_ms;
    int64_t used_ms;
    size_t size;
    int32_t epoch; /* of the next request */
    bool by_id;    /* topics by id */
};

/* Owned; frees NULL too. */
struct kafka_sessions *kafka_sessions_new(uint64_t seed);
struct kafka_sessions *kafka_sessions_free(struct kafka_sessions *s);
size_t kafka_sessions_count(const struct kafka_sessions *s);
/* Walks all invariants; asserts. O(partitions). */
void kafka_sessions_check(const struct kafka_sessions *s);

/* What a partition takes of KAFKA_SESSIONS_SIZE_MAX. */
size_t kafka_session_cost(struct slice topic);

struct kafka_session_new {
    size_t count; /* of partitions */
    size_t size;  /* the sum of their kafka_session_cost */
    int64_t now_ms;
    bool by_id;
};
/* A session without partitions, for as many kafka_session_put as told. NULL: no room. Borrowed,
 * like all sessions and partitions, until it is removed, or makes room in a later create.
 * O(sessions) when room must be made. */
struct kafka_session *kafka_session_create(struct kafka_sessions *s,
                                           const struct kafka_session_new *n);
/* Nothing happens when there is none. */
void kafka_session_close(struct kafka_sessions *s, int32_t id);

struct kafka_session_claim {
    int32_t id;
    int32_t epoch;
    bool by_id;
};
/* The session of an incremental request: 0, or the error of the whole answer (KIP-227, KIP-516):
 * FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR. */
int16_t kafka_session_enter(const struct kafka_sessions *s, const struct kafka_session_claim *claim,
                            struct kafka_session **out) MUST_CHECK;
/* Adds or changes a partition. NULL when there is no room, or the name is none of a topic: the
 * session should be closed. */
struct kafka_session_partition *kafka_session_put(struct kafka_sessions *s,
                                                  struct kafka_session *session,
                                                  const struct kafka_session_ask *ask) MUST_CHECK;
/* Of `ask` topic and index. Nothing happens when it is not there. */
void kafka_session_forget(struct kafka_sessions *s, struct kafka_session *session,
                          const struct kafka_session_ask *ask);
/* The request is accepted: it was used now, and the next epoch is expected. */
void kafka_session_step(struct kafka_sessions *s, struct kafka_session *session, int64_t now_ms);

/* The session that had this serial; NULL: it is gone. */
struct kafka_session *kafka_session_find(const struct kafka_sessions *s, int32_t id,
                                         uint64_t serial);
/* Remembers what the answer says. True when it must be in the answer: data, another broker, an
 * error, or a change. */
bool kafka_session_note(struct kafka_session *session, struct kafka_session_partition *p,
                        const struct kafka_session_told *told);

/* The partition at this node of the order; what it asks for borrows the session. */
struct kafka_session_partition *kafka_session_at(struct list *node);
struct kafka_session_ask kafka_session_asked(const struct kafka_session_partition *p);
