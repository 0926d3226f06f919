/* SPDX-License-Identifier: MIT
 *
 * kauri: the native client library. One header, no threads of its own: everything happens inside
 * kauri_poll and the calls that say "waits". One client is used by one thread.
 *
 *   struct kauri *k;
 *   kauri_open(&(struct kauri_options){.server = "ipc:///run/kauri/kauri.sock"}, &k);
 *   kauri_send(k, &(struct kauri_record){.topic = "greetings", .partition = -1,
 *                                         .value = "hello", .value_size = 5});
 *   kauri_flush(k, 5000);
 *   kauri_close(k);
 *
 * Producer: records gather per partition until linger_ms passed or batch_size is reached, are
 * compressed, and go out with many batches in flight; every producer is idempotent, so that a lost
 * connection or a broker restart loses, repeats and reorders nothing. Memory is bounded:
 * kauri_send says KAURI_AGAIN when `buffer_size` is used up, and kauri_poll makes room.
 *
 * The delivery timeout counts from the first record of a batch. A batch that fails (too late, or
 * refused) is reported record by record; what follows in its partition goes on under the next
 * producer epoch, still in order. With acks none a record counts as delivered once it is sent, at
 * offset -1, and kauri_flush waits until the broker has received it.
 *
 * Consumer: partitions are assigned by hand or by a group, fetched ahead in the background of
 * kauri_poll and kauri_next, and handed out record by record in offset order.
 *
 *   kauri_subscribe(k, &(struct kauri_group_options){
 *                          .group = "billing", .topics = (const char *[]){"orders"},
 *                          .topic_count = 1, .reset = KAURI_RESET_EARLIEST});
 *   while (kauri_next(k, 1000, &record) == 0)
 *       handle(&record);
 *   kauri_close(k);
 *
 * Errors: 0 done, negative -errno (fatal to the call), positive enum kauri_error. After a failure
 * kauri_message has one line for people.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KAURI_API __attribute__((visibility("default")))

struct kauri;

enum kauri_error {
    KAURI_OK = 0,
    KAURI_AGAIN = 1,     /* no room now: poll and try again */
    KAURI_TIMED_OUT = 2, /* outcome unknown */
    KAURI_NO_SERVER = 3, /* nobody answers at the address */
    KAURI_UNKNOWN_TOPIC = 4,
    KAURI_UNKNOWN_PARTITION = 5,
    KAURI_EXISTS = 6,
    KAURI_BAD_NAME = 7,
    KAURI_BAD_ARGUMENT = 8,  /* partitions, replication, config: the message says which */
    KAURI_TOO_LARGE = 9,     /* record over the topic's max.message.bytes */
    KAURI_OUT_OF_RANGE = 10, /* offset below the log start or beyond the end */
    KAURI_DAMAGED = 11,      /* the offset lies in a damaged range */
    KAURI_DISK_FULL = 12,    /* the broker refuses produce; retried until the timeout */
    KAURI_REFUSED = 13,      /* invalid record, sequence, fenced, denied */
    KAURI_VERSION = 14,      /* the broker speaks another protocol version */
    KAURI_CORRUPT = 15,      /* what arrived failed its checksum */
    KAURI_END = 16,          /* consumer: end of the partition reached (with eof events on) */
    KAURI_FENCED = 17,       /* group: not a member any more, or another has the instance's name */
    KAURI_UNKNOWN_GROUP = 18,
    KAURI_NOT_EMPTY = 19,  /* the group has members, or one of them reads the topic */
    KAURI_NO_OFFSET = 20,  /* nothing committed, and KAURI_RESET_ERROR */
    KAURI_NOT_ENOUGH = 21, /* kauri_cluster_promote, _leave: too few replicas */
    KAURI_NO_BROKER = 22,  /* kauri_cluster_leave: the cluster has none with this id */
};
#define KAURI_ERROR_COUNT 23

/* "unknown topic", ... static. */
KAURI_API const char *kauri_error_text(int error);

struct kauri_header {
    const char *name;
    size_t name_size;
    const void *value; /* NULL: null */
    size_t value_size;
};

struct kauri_record {
    const char *topic;
    int32_t partition;    /* -1: by key (murmur2 like Java), round robin without key */
    int64_t offset;       /* results */
    int64_t timestamp_ms; /* send: -1 stamps now */
    const void *key;      /* NULL: null, which is not empty */
    size_t key_size;
    const void *value; /* NULL: null (a tombstone) */
    size_t value_size;
    const struct kauri_header *headers;
    size_t header_count;
    void *opaque; /* handed back to the delivery callback */
};

enum kauri_codec {
    KAURI_NONE = 0,
    KAURI_GZIP = 1,
    KAURI_SNAPPY = 2,
    KAURI_LZ4 = 3,
    KAURI_ZSTD = 4,
};

/* Zero means the default for every field. */
struct kauri_options {
    /* Native addresses of brokers of one cluster, comma separated, required. The client talks to
     * one of them at a time, goes to the one that leads, and to the next when nobody answers. */
    const char *server;
    const char *client_name; /* for the broker's log */
    uint32_t timeout_ms;     /* of every call that waits, default 5000 */
    /* producer */
    uint32_t linger_ms;           /* default 5; UINT32_MAX: 0 */
    size_t batch_size;            /* bytes before compression, default 64 KiB */
    size_t buffer_size;           /* all records not acknowledged yet, default 64 MiB */
    uint32_t in_flight_max;       /* batches per partition, 1..5, default 5 */
    uint32_t delivery_timeout_ms; /* from kauri_send to give up, default 120000 */
    int acks;                     /* KAURI_ACKS_* */
    enum kauri_codec codec;
    /* Called from kauri_poll/kauri_flush once per record: error 0 with topic, partition, offset and
     * opaque of `r` set (key, value and headers are not), or what went wrong. May call the library
     * again, but not kauri_close. */
    void (*delivered)(void *ctx, const struct kauri_record *r, int error, const char *message);
    /* consumer */
    size_t fetch_size;      /* bytes per partition and fetch, default 1 MiB */
    size_t prefetch_size;   /* bytes held in all, default 16 MiB */
    uint32_t fetch_wait_ms; /* long poll, default 500 */
    bool eof_events;        /* kauri_next returns KAURI_END once per reached end */
    void *ctx;
};
#define KAURI_ACKS_ALL    0 /* the default */
#define KAURI_ACKS_LEADER 1
#define KAURI_ACKS_NONE   2

/* Connects lazily: succeeds without a broker. 0, KAURI_BAD_ARGUMENT or -errno. */
KAURI_API int kauri_open(const struct kauri_options *o, struct kauri **out);
/* Drops what was not acknowledged (kauri_flush first); returns NULL. NULL is fine. A member of a
 * group first does what kauri_unsubscribe does, within timeout_ms; with an instance's name it
 * leaves only for now, and its partitions wait for it until the session timeout. */
KAURI_API struct kauri *kauri_close(struct kauri *k);
/* One line about the last failure, "" when none; valid until the next call. */
KAURI_API const char *kauri_message(const struct kauri *k);

/* Sends, receives, resends, fires callbacks; waits up to timeout_ms (0: not at all) for something
 * to happen. Returns the number of things handled. */
KAURI_API int kauri_poll(struct kauri *k, uint32_t timeout_ms);

/* --- producer --- */

/* Queues one record (copied). 0, KAURI_AGAIN, KAURI_TOO_LARGE (over buffer_size or the broker's
 * message size), KAURI_UNKNOWN_TOPIC (asked once and remembered; waits for the first record of a
 * topic; made by the broker when its auto.create.topics.enable allows), KAURI_UNKNOWN_PARTITION,
 * KAURI_NO_SERVER, KAURI_TIMED_OUT, KAURI_BAD_NAME, KAURI_BAD_ARGUMENT. */
KAURI_API int kauri_send(struct kauri *k, const struct kauri_record *r);
/* Waits until every record is delivered or failed, without linger. 0 or KAURI_TIMED_OUT. */
KAURI_API int kauri_flush(struct kauri *k, uint32_t timeout_ms);
/* Records queued or in flight. */
KAURI_API size_t kauri_outstanding(const struct kauri *k);
/* Java's murmur2 and its placement, for whoever must agree with it. */
KAURI_API uint32_t kauri_murmur2(const void *key, size_t size);
KAURI_API int32_t kauri_partition_for(const void *key, size_t size, int32_t partition_count);

/* --- consumer --- */

#define KAURI_OFFSET_START (-2)
#define KAURI_OFFSET_END   (-1)

/* Adds a partition at an offset (or START/END, resolved on first contact). Waits for metadata. 0,
 * KAURI_EXISTS (assigned already), KAURI_UNKNOWN_TOPIC, KAURI_UNKNOWN_PARTITION,
 * KAURI_BAD_ARGUMENT, KAURI_NO_SERVER, KAURI_TIMED_OUT. The three below: KAURI_UNKNOWN_PARTITION
 * when not assigned. */
KAURI_API int kauri_assign(struct kauri *k, const char *topic, int32_t partition, int64_t offset);
KAURI_API int kauri_unassign(struct kauri *k, const char *topic, int32_t partition);
KAURI_API int kauri_seek(struct kauri *k, const char *topic, int32_t partition, int64_t offset);
/* Stops or resumes fetching one partition; records fetched already wait. */
KAURI_API int kauri_pause(struct kauri *k, const char *topic, int32_t partition, bool pause);
/* The next record of any assigned partition; slices stay valid until the next call on k. 0,
 * KAURI_AGAIN (nothing within timeout_ms), KAURI_END, or an error of one partition, named in
 * r->topic, r->partition, r->offset (told once; the consumer stays there until kauri_seek). With
 * KAURI_DAMAGED kauri_next_good tells where to go on. */
KAURI_API int kauri_next(struct kauri *k, uint32_t timeout_ms, struct kauri_record *r);
KAURI_API int64_t kauri_next_good(const struct kauri *k);
/* The offset of the record that kauri_next hands out next. KAURI_AGAIN: not known yet. */
KAURI_API int kauri_position(struct kauri *k, const char *topic, int32_t partition,
                             int64_t *offset);

/* --- consumer groups ---
 *
 * The broker divides the partitions of the topics among the members and moves them one by one; what
 * is not moved is read on meanwhile. There are no threads: heartbeats are sent by whatever call is
 * made, but joining, revocation and assignment happen inside kauri_poll and kauri_next, and so do
 * all callbacks. Call one of them well within the session timeout: a member that is silent for
 * longer loses its partitions.
 *
 * A partition begins at its committed offset, else as `reset` says. With automatic commits what was
 * handled is committed every auto_commit_interval_ms, before a partition is given up, and at the
 * end. A record counts as handled when the application comes back for the next one (kauri_next), or
 * from its last one (kauri_unsubscribe, kauri_close); kauri_poll, kauri_flush and the others do not
 * count, for they may be called while handling it. So a crash repeats records and never skips any.
 */

struct kauri_topic_partition {
    const char *topic;
    int32_t partition;
};

enum kauri_reset {
    KAURI_RESET_LATEST = 0,
    KAURI_RESET_EARLIEST = 1,
    KAURI_RESET_ERROR = 2, /* kauri_next says KAURI_NO_OFFSET; kauri_seek helps */
};

/* Zero means the default for every field; all is copied. */
struct kauri_group_options {
    const char *group;         /* required, like at least one topic or a regex */
    const char *instance;      /* a name that outlives the process (static membership); NULL none */
    const char *rack;          /* NULL none */
    const char *const *topics; /* those that do not exist yet are read once they do */
    size_t topic_count;
    const char *regex;                /* topics beside the named ones; NULL none */
    const char *assignor;             /* NULL: the broker's choice */
    uint32_t session_timeout_ms;      /* as the broker has it, default 45000 */
    uint32_t rebalance_timeout_ms;    /* to give up what is revoked, default 300000 */
    uint32_t auto_commit_interval_ms; /* default 5000; UINT32_MAX: off */
    enum kauri_reset reset;           /* without a commit, or when it lies outside the log */
    /* What was added; kauri_seek inside decides where it begins. */
    void (*assigned)(void *ctx, const struct kauri_topic_partition *parts, size_t count);
    /* What is about to be given up: offsets may still be committed. */
    void (*revoked)(void *ctx, const struct kauri_topic_partition *parts, size_t count);
    /* What is gone already: others may read it. */
    void (*lost)(void *ctx, const struct kauri_topic_partition *parts, size_t count);
    void *ctx;
    /* The callbacks may call the library again, but not kauri_next, kauri_subscribe,
     * kauri_unsubscribe and kauri_close. */
};

/* Joins, in the background; or changes the subscription and all other options of the member. 0 or
 * KAURI_BAD_ARGUMENT: options out of bounds, partitions assigned by hand, another group or instance
 * than now, or called from a callback. A refusal by the broker is told by kauri_next, with r->topic
 * NULL, until the next kauri_subscribe or kauri_unsubscribe. */
KAURI_API int kauri_subscribe(struct kauri *k, const struct kauri_group_options *o);
/* Commits what was handled (automatic commits), calls `revoked`, leaves the group: at most
 * timeout_ms, not at all without a broker. Fine without a group. 0 or KAURI_BAD_ARGUMENT (called
 * from a callback). */
KAURI_API int kauri_unsubscribe(struct kauri *k);

struct kauri_membership {
    const char *group;
    const char *member; /* id */
    int32_t epoch;      /* 0: not joined yet */
    size_t partitions;
};
/* Valid until the next call. 0, or KAURI_UNKNOWN_GROUP without a group. */
KAURI_API int kauri_membership(struct kauri *k, struct kauri_membership *out);

struct kauri_commit {
    const char *topic;
    int32_t partition;
    int64_t offset;       /* of the next record to read */
    const char *metadata; /* NULL none */
};
/* Commits these offsets, or with count 0 all that was handed out, and waits for it. 0,
 * KAURI_FENCED, KAURI_UNKNOWN_GROUP (no group), KAURI_UNKNOWN_TOPIC, KAURI_UNKNOWN_PARTITION,
 * KAURI_OUT_OF_RANGE, KAURI_TOO_LARGE (metadata), KAURI_BAD_ARGUMENT, KAURI_TIMED_OUT. */
KAURI_API int kauri_commit(struct kauri *k, const struct kauri_commit *items, size_t count);
/* The same without waiting: `done` (may be NULL) runs inside kauri_poll or kauri_next, in the order
 * of the calls, or before kauri_unsubscribe and kauri_close return. KAURI_AGAIN: too many under
 * way. */
KAURI_API int kauri_commit_async(struct kauri *k, const struct kauri_commit *items, size_t count,
                                 void (*done)(void *ctx, int error, const char *message),
                                 void *ctx);
/* What the group committed; waits. *offset -1: nothing. */
KAURI_API int kauri_committed(struct kauri *k, const char *topic, int32_t partition,
                              int64_t *offset);

/* --- questions and administration: each waits for its answer --- */

/* timestamp_ms >= 0: the first record at or after; or KAURI_OFFSET_*. *offset -1: none. */
KAURI_API int kauri_offset(struct kauri *k, const char *topic, int32_t partition,
                           int64_t timestamp_ms, int64_t *offset);

struct kauri_config {
    const char *key;
    const char *value; /* set: NULL goes back to the default */
    const char *source;
    const char *help;
};
struct kauri_partition {
    int32_t partition;
    int32_t leader;
    int32_t epoch;
    int64_t log_start;
    int64_t high_watermark;
    int64_t size;
    const int32_t *replicas; /* broker ids; these three inside the callback only */
    size_t replica_count;
    const int32_t *in_sync;
    size_t in_sync_count;
    const int32_t *eligible; /* to lead, beside those in sync */
    size_t eligible_count;
};
struct kauri_topic {
    const char *name;
    uint8_t id[16];
    int32_t partition_count;
    int32_t replication;
    bool internal;
    const struct kauri_partition *partitions; /* NULL unless asked for */
    const struct kauri_config *configs;       /* NULL unless asked for */
    size_t config_count;
};
#define KAURI_WITH_PARTITIONS 1u
#define KAURI_WITH_CONFIGS    2u
#define KAURI_AUTO_CREATE     4u

/* -1 partitions or replication: the broker's default. */
KAURI_API int kauri_topic_create(struct kauri *k, const char *name, int32_t partitions,
                                 int32_t replication, const struct kauri_config *configs,
                                 size_t config_count, bool validate_only);
KAURI_API int kauri_topic_delete(struct kauri *k, const char *name);
KAURI_API int kauri_topic_grow(struct kauri *k, const char *name, int32_t partitions);
KAURI_API int kauri_topic_alter(struct kauri *k, const char *name,
                                const struct kauri_config *configs, size_t config_count);
/* before: offset, or KAURI_OFFSET_END. *log_start (may be NULL) gets the new start. */
KAURI_API int kauri_topic_trim(struct kauri *k, const char *name, int32_t partition, int64_t before,
                               int64_t *log_start);
/* One topic (name) or all (NULL), ascending; calls fn for each, valid inside it. `what` is a sum of
 * KAURI_WITH_* (and KAURI_AUTO_CREATE with a name). KAURI_UNKNOWN_TOPIC for a name not there. */
KAURI_API int kauri_topics(struct kauri *k, const char *name, unsigned what,
                           void (*fn)(void *ctx, const struct kauri_topic *t), void *ctx);
/* Broker configs: sets (count may be 0), then calls fn for each in force (fn may be NULL). */
KAURI_API int kauri_broker_config(struct kauri *k, const struct kauri_config *set, size_t count,
                                  void (*fn)(void *ctx, const struct kauri_config *c), void *ctx);

struct kauri_server {
    char software[64];
    char cluster_id[32];
    int32_t node_id;
    uint64_t incarnation;
};
/* Says hello (again) and tells who answers. */
KAURI_API int kauri_server(struct kauri *k, struct kauri_server *out);

struct kauri_snapshot {
    uint32_t partitions;
    uint64_t linked_size; /* bytes of logs, shared with the broker */
    uint64_t copied_size;
    int64_t took_ms;
};
/* A copy of everything the broker has, as of one moment, in the new folder `dir` (absolute) of the
 * broker's machine; `kauri snapshot --restore` makes a data folder of it. Takes as long as the
 * disk does: give a timeout. KAURI_EXISTS; KAURI_BAD_ARGUMENT; KAURI_DAMAGED (a partition that
 * cannot be read). */
KAURI_API int kauri_snapshot(struct kauri *k, const char *dir, struct kauri_snapshot *out);

struct kauri_broker_status {
    char dir[1024]; /* the data folder, on the broker's machine */
    uint64_t disk_free_size;
    uint64_t disk_total_size;
    bool disk_full; /* produce is refused */
    uint32_t topics;
    uint32_t partitions;
    int64_t now_ms; /* the broker's wall clock */
    int64_t process;
};
KAURI_API int kauri_broker_status(struct kauri *k, struct kauri_broker_status *out);

/* --- the cluster ---
 *
 * As the broker that answers knows it. Lags and times are the leader's to tell: elsewhere they are
 * -1. */

struct kauri_cluster_broker {
    int32_t id;
    const char *native;
    const char *kafka_host; /* "" none */
    int32_t kafka_port;
    const char *rack;
    bool left;
    int64_t silent_ms; /* since its last call to the leader; -1: not registered with it */
    uint32_t leading;  /* partitions that it leads, */
    uint32_t replicas; /* that it has or is to have a replica of, */
    uint32_t in_sync;  /* and of these in sync */
    int64_t lag;       /* records that its replicas lack; -1: not known */
    int64_t lag_size;  /* bytes of these, about */
    int64_t behind_ms; /* since the one that is most behind had everything; 0: all have */
};
struct kauri_cluster_follower {
    int32_t id;
    bool in_sync;
    int64_t end;          /* durable; -1: not known, like the next three */
    int64_t lag;          /* records */
    int64_t lag_size;     /* bytes of these, about */
    int64_t caught_up_ms; /* since it had everything; 0: it has */
    int64_t since_ms;     /* in sync, or not, for so long; at least since the leader leads */
};
struct kauri_cluster_partition {
    const char *topic;
    int32_t partition;
    int32_t leader; /* -1: none known */
    int32_t epoch;
    const int32_t *replicas; /* broker ids */
    size_t replica_count;
    const int32_t *in_sync;
    size_t in_sync_count;
    const int32_t *eligible; /* to lead, beside those in sync */
    size_t eligible_count;
    int64_t end;                                    /* high watermark; -1: not known */
    const struct kauri_cluster_follower *followers; /* where the broker leads it */
    size_t follower_count;
    bool fenced; /* the leader's log parts from its own below the high watermark: left alone */
};
struct kauri_cluster {
    int32_t id;       /* who answers */
    const char *role; /* "alone", "starting", "seeking", "following", "promoting", "leading",
                         "left" */
    uint32_t term;
    int32_t leader;                             /* -1: none known */
    const char *native;                         /* of the leader */
    const struct kauri_cluster_broker *brokers; /* ascending by id */
    size_t broker_count;
    uint32_t partition_count;
    uint32_t leaderless;       /* partitions without a leader */
    uint32_t under_replicated; /* with a replica that is not in sync */
    uint32_t fenced;           /* of the one that answers */
    const char *trouble;       /* why the one that answers has no place in the cluster; "" it has */
    const struct kauri_cluster_partition *partitions; /* ascending; none unless asked for */
    size_t listed_count;
};
/* Freed by kauri_result_free. KAURI_REFUSED: a broker that knows no clusters. */
KAURI_API int kauri_cluster_status(struct kauri *k, bool partitions, struct kauri_cluster **out);

struct kauri_cluster_promotion {
    uint32_t term;
    int64_t lost; /* records known to be committed that are lost by force */
    char message[256];
};
/* The broker asked is to lead; takes as long as it takes to fetch what it lacks: give a timeout.
 * KAURI_NOT_ENOUGH: too few have answered to be sure that nothing acknowledged is lost, and not
 * `force`; KAURI_REFUSED: another is being promoted. *out is written in any case. */
KAURI_API int kauri_cluster_promote(struct kauri *k, bool force,
                                    struct kauri_cluster_promotion *out);

struct kauri_cluster_leave {
    int32_t id;
    bool force;         /* also where fewer in-sync replicas stay than min.insync.replicas */
    bool validate_only; /* says what would be */
    /* results, written in any case */
    uint32_t replicas; /* that it had */
    uint32_t pending;  /* that it has until another one is in sync */
    char message[256];
};
/* Takes a broker out of the cluster: the leader is asked, whoever is dialled. KAURI_NOT_ENOUGH: too
 * few in-sync replicas would stay, and not `force`; KAURI_NO_BROKER; KAURI_REFUSED: it leads. */
KAURI_API int kauri_cluster_leave(struct kauri *k, struct kauri_cluster_leave *leave);

/* --- administration of groups ---
 *
 * Each waits for its answer. Results are the caller's and freed by kauri_result_free. Times are
 * Unix milliseconds, -1 none. */

KAURI_API void kauri_result_free(void *result); /* NULL is fine */

struct kauri_group {
    const char *name;
    const char *type;          /* "classic", "consumer" */
    const char *state;         /* Kafka's words: "Stable", "Empty", ... */
    const char *protocol_type; /* "consumer", ...; "" while it never had members */
    const char *protocol;      /* assignor, "" none */
    const char *leader;        /* classic: member id; "" none */
    int32_t generation;
    int32_t assignment_epoch;
    size_t member_count;
    size_t offset_count;
    int64_t state_since_ms;
};
struct kauri_groups {
    const struct kauri_group *groups; /* ascending by name */
    size_t count;
};
KAURI_API int kauri_group_list(struct kauri *k, struct kauri_groups **out);

struct kauri_group_member {
    const char *id;
    const char *instance; /* "" none, like rack and regex */
    const char *rack;
    const char *client;
    const char *host;
    int32_t epoch;
    const char *const *topics; /* subscription */
    size_t topic_count;
    const char *regex;
    const struct kauri_topic_partition *assigned;
    size_t assigned_count;
    const struct kauri_topic_partition *target; /* what it is to have in the end */
    size_t target_count;
};
struct kauri_group_detail {
    struct kauri_group group;
    const struct kauri_group_member *members; /* in the order they joined */
    size_t member_count;
};
/* KAURI_UNKNOWN_GROUP, KAURI_BAD_NAME, and those of every call that waits; so are those below. */
KAURI_API int kauri_group_describe(struct kauri *k, const char *group,
                                   struct kauri_group_detail **out);

struct kauri_group_offset {
    const char *topic;
    int32_t partition;
    int64_t offset; /* the next record to read; -1: nothing committed */
    int32_t leader_epoch;
    const char *metadata;
    int64_t commit_ms;
    int64_t moved_ms;  /* of the last commit that moved it */
    const char *owner; /* member id; "": nobody, or not known */
    int64_t log_start; /* -1: the partition is gone, or could not be loaded in time */
    int64_t end;       /* likewise; else the lag is end - offset, as of one moment */
};
struct kauri_group_offsets {
    const struct kauri_group_offset *rows; /* by topic and partition */
    size_t count;
};
/* `assigned`: also what a member has and nobody committed for. */
KAURI_API int kauri_group_offsets(struct kauri *k, const char *group, bool assigned,
                                  struct kauri_group_offsets **out);

struct kauri_group_rebalance {
    int64_t began_ms;
    int64_t ended_ms;  /* -1: still going on */
    const char *cause; /* "member joined", ... */
    const char *member;
    const char *reason; /* the member's words, "" none */
    int32_t generation;
    size_t member_count;
};
struct kauri_group_history {
    const struct kauri_group_rebalance *rebalances; /* since the broker's start, oldest first */
    size_t count;
};
KAURI_API int kauri_group_history(struct kauri *k, const char *group,
                                  struct kauri_group_history **out);

/* KAURI_NOT_EMPTY: it has members. */
KAURI_API int kauri_group_delete(struct kauri *k, const char *group);
/* Forgets committed offsets. `errors` (may be NULL): room for one each; the result is the first
 * that is not 0. KAURI_NOT_EMPTY: a member reads the topic. */
KAURI_API int kauri_group_forget(struct kauri *k, const char *group,
                                 const struct kauri_topic_partition *parts, size_t count,
                                 int *errors);
/* Sets offsets of a group without members (KAURI_NOT_EMPTY), which is made when missing. */
KAURI_API int kauri_group_commit(struct kauri *k, const char *group,
                                 const struct kauri_commit *items, size_t count, int *errors);
