/* SPDX-License-Identifier: MIT
 *
 * broker: the semantics, free of sockets and clocks. Requests and time go in; completions come out;
 * file work goes through the io and work seams.
 *
 * Every asynchronous request is a struct owned by the caller until its `done` ran. `done` runs
 * exactly once, on the owner thread, never inside the starting call. Inputs (names, batches) are
 * borrowed until then. Results are read in `done` or after it; what a fetch returns stays pinned
 * until broker_fetch_release.
 *
 * The owner thread's turn: start any number of requests, work_drain(), then broker_run(), which
 * fires timers, starts write rounds and delivers completions.
 */
#pragma once

#include "engine/base/clock.h"
#include "engine/base/heap.h"
#include "engine/base/io.h"
#include "engine/base/list.h"
#include "engine/base/work.h"
#include "engine/broker/config.h"
#include "engine/broker/quota.h"

struct broker;
struct meta_store;
struct ship_link;

/* What can be said of a request or of one partition of it. Fronts translate (errmap.c). */
enum broker_status {
    BROKER_OK = 0,
    BROKER_BAD_REQUEST,
    BROKER_UNKNOWN_TOPIC,
    BROKER_UNKNOWN_PARTITION,
    BROKER_TOPIC_EXISTS,
    BROKER_BAD_TOPIC_NAME,
    BROKER_BAD_PARTITIONS,
    BROKER_BAD_REPLICATION,
    BROKER_BAD_CONFIG,
    BROKER_BATCH_CORRUPT,
    BROKER_BATCH_INVALID,
    BROKER_BATCH_TIMESTAMP,
    BROKER_BATCH_TOO_LARGE,
    BROKER_SEQUENCE_GAP,
    BROKER_PRODUCER_FENCED,
    BROKER_OFFSET_OUT_OF_RANGE,
    BROKER_LOADING,
    BROKER_DISK_FULL,
    BROKER_STORAGE,
    BROKER_BUSY,
    BROKER_TIMED_OUT,
    BROKER_STOPPING,
    BROKER_DENIED,
    BROKER_NOT_ENOUGH_REPLICAS,
    /* of groups, see broker_group.h */
    BROKER_BAD_GROUP_ID,
    BROKER_GROUP_LOADING,
    BROKER_GROUP_UNAVAILABLE,
    BROKER_UNKNOWN_GROUP,
    BROKER_GROUP_NOT_EMPTY,
    BROKER_GROUP_FULL,
    BROKER_GROUP_SUBSCRIBED,
    BROKER_UNKNOWN_MEMBER,
    BROKER_MEMBER_ID_REQUIRED,
    BROKER_ILLEGAL_GENERATION,
    BROKER_REBALANCE,
    BROKER_INCONSISTENT_PROTOCOL,
    BROKER_BAD_SESSION_TIMEOUT,
    BROKER_INSTANCE_FENCED,
    BROKER_INSTANCE_HELD,
    BROKER_MEMBER_EPOCH_FENCED,
    BROKER_MEMBER_EPOCH_STALE,
    BROKER_UNKNOWN_ASSIGNOR,
    BROKER_BAD_REGEX,
    BROKER_METADATA_TOO_LARGE,
    /* of replication */
    BROKER_NOT_LEADER,
    BROKER_NOT_ENOUGH_AFTER_APPEND, /* stored, and then too few in sync: outcome unknown */
    BROKER_STALE_BROKER,            /* of a ship call: register again */
    BROKER_OFFSET_NOT_AVAILABLE,    /* a new leader does not know its high watermark yet */
    BROKER_LEFT,                    /* the broker was told to leave the cluster */
    BROKER_UNKNOWN_BROKER,          /* no broker of the cluster has this id */
};
#define BROKER_STATUS_COUNT 50

/* "unknown topic", ... static, never NULL. */
const char *broker_status_text(enum broker_status s);

/* --- life ---------------------------------------------------------------------------------- */

struct broker_env {
    struct io *io; /* borrowed for the broker's life, like all of these */
    struct work *work;
    const struct clock *clock; /* wall time for stamps and retention, monotonic for waits */
    const char *dir;           /* data folder; created when missing */
    struct config *config;     /* broker configuration, see config.h */
    struct meta_store
        *memory_view;      /* simulator: the view lives here instead of in LMDB; else NULL */
    uint64_t seed;         /* for hash maps and ids of members: another one with every start */
    size_t descriptor_max; /* the process' limit; a third of it may be open segments; 0: 768 */
    size_t reader_max;     /* mapped segments kept open; 0: 256 */
    /* Of the running system: another one after a power loss. Zeros: not known. */
    uint8_t boot_id[16];
    /* Where others find this broker; told to the brokers of its cluster. NULL: nowhere. */
    const char *native;
    const char *kafka_host;
    int32_t kafka_port;
    /* A folder made by this start belongs to this cluster, and one of another is refused. NULL: it
     * makes a cluster of its own. */
    const char *join_cluster_id;
    /* The way to other brokers; NULL: none, this one stays alone. */
    struct ship_link *ship;
    /* Addresses (as `native`) of brokers of the cluster that is joined, up to a NULL; or NULL. */
    const char *const *seeds;
    /* A fatal error: the process must end with exit code 9. Called at most once; the broker answers
     * nothing afterwards. `what` is a finished line for the log. */
    void (*fatal)(void *ctx, const char *what, int error);
    /* A line for the operator's log, without time; level 0 info, 1 warning, 2 error. */
    void (*log)(void *ctx, int level, const char *line);
    void *ctx;
};

/* Conditions of broker_open. */
#define BROKER_OPEN_LOCKED  1 /* another broker has this folder */
#define BROKER_OPEN_NEWER   2 /* written by a newer format */
#define BROKER_OPEN_FOREIGN 3 /* not empty and not kauri's: no `format` file */
#define BROKER_OPEN_DAMAGED 4 /* `format` or `__meta` cannot be read */
#define BROKER_OPEN_FULL    5 /* no space to start */
#define BROKER_OPEN_SNAPSHOT                                                                       \
    6 /* a snapshot, see snapshot.h: it shares bytes with others, and must be restored */
#define BROKER_OPEN_CLUSTER 7 /* of another cluster than join_cluster_id */

/* Locks the folder, checks `format`, recovers `__meta`, checks and opens the view, reconciles the
 * folder with the catalogue. Forks once (meta_verify): call it before work_pool_new's threads
 * matter to you, or pass a work whose threads tolerate fork. 0, a condition, or -errno. *out is
 * owned. */
int broker_open(const struct broker_env *env, struct broker **out) MUST_CHECK;

/* Timers, rounds, completions. Call after every turn. */
void broker_run(struct broker *b);
/* Monotonic ms of the next timer; INT64_MAX when none. */
int64_t broker_next_ms(const struct broker *b);
/* Stops: refuses new requests (BROKER_STOPPING), finishes rounds, fails waiters, checkpoints every
 * partition. Done when broker_stopped() is true; keep draining and running until then. */
void broker_stop(struct broker *b);
bool broker_stopped(const struct broker *b);
/* Frees; without a finished broker_stop it waits for the jobs that run, and is else as if the
 * process had been killed: what was asked is never answered. NULL is fine. */
struct broker *broker_free(struct broker *b);

struct broker_info {
    const char *dir; /* the data folder; the broker's */
    char cluster_id[23];
    int32_t node_id;
    uint64_t incarnation;
    bool fresh; /* this start created the data folder */
    size_t topics;
    size_t partitions;
    uint64_t disk_free_size;
    uint64_t disk_size; /* of the whole file system; 0: not known yet */
    bool disk_full;     /* produce is refused */
};
void broker_info(const struct broker *b, struct broker_info *out);

/* --- produce -------------------------------------------------------------------------------- */

struct broker_produce_item {
    struct slice topic;
    int32_t partition;
    uint8_t *batch; /* one batch; stamped in place; pinned until done */
    size_t size;
    /* results */
    enum broker_status status;
    const char *message;    /* static detail or NULL */
    int64_t base_offset;    /* -1 unless BROKER_OK; the original's for a duplicate */
    int64_t append_time_ms; /* -1: CreateTime */
    int64_t log_start;
};

struct broker_produce {
    struct broker_produce_item *items;
    size_t count;
    int acks; /* 0, 1, -1; with 0 done still runs, when the batches are no longer needed */
    uint32_t timeout_ms; /* bounds the wait for replicas, as in Kafka; the disk is waited for */
    void (*done)(struct broker_produce *req);
    void *ctx;
    struct { /* the broker's */
        struct broker *broker;
        size_t waiting;
        struct list ready;
        void *parts;
        size_t size;
    } priv;
};

/* Checks every item, reserves offsets, queues the batches for the partitions' next rounds. With
 * acks=0 the batches must still stay until done. */
void broker_produce(struct broker *b, struct broker_produce *req);

/* --- fetch ---------------------------------------------------------------------------------- */

struct broker_fetch_item {
    struct slice topic;
    int32_t partition;
    int64_t offset;
    size_t size_max;
    /* results */
    enum broker_status status;
    int64_t log_start;
    int64_t high_watermark;
    int64_t next_good;   /* with BROKER_STORAGE */
    struct slice bytes;  /* whole batches, in the mapping; pinned until release */
    int64_t next_offset; /* behind the last of them */
    void *pin;
    void *part; /* the broker's, inside its calls */
};

struct broker_fetch {
    struct broker_fetch_item *items;
    size_t count;
    uint32_t max_wait_ms;
    size_t min_size;
    size_t size_max;
    void (*done)(struct broker_fetch *req);
    void *ctx;
    struct {
        struct broker *broker;
        struct list ready;
        struct heap_node deadline;
        void *waits;
        size_t jobs;
        unsigned tries;
        bool enough;
        bool failed;
        bool final;
    } priv;
};

/* Answers at once (through done) when min_size bytes are there, an item fails, or max_wait_ms is 0;
 * else waits. The first batch of the first item with data comes whole, however large. */
void broker_fetch(struct broker *b, struct broker_fetch *req);
/* Unpins the results; call once after done, when the bytes were copied or sent. */
void broker_fetch_release(struct broker *b, struct broker_fetch *req);
/* The client is gone: completes soon, whatever was asked. */
void broker_fetch_cancel(struct broker *b, struct broker_fetch *req);

/* --- offsets -------------------------------------------------------------------------------- */

#define BROKER_OFFSET_LATEST   (-1)
#define BROKER_OFFSET_EARLIEST (-2)
#define BROKER_OFFSET_MAX_TIME (-3) /* the record with the largest timestamp */

struct broker_offset_item {
    struct slice topic;
    int32_t partition;
    int64_t timestamp_ms; /* >= 0 or one of the above */
    enum broker_status status;
    int64_t offset;             /* -1: none */
    int64_t found_timestamp_ms; /* -1 for latest and earliest */
    int32_t epoch;              /* of the leader that wrote it; of the end: the present one's; -1 */
};

struct broker_offsets {
    struct broker_offset_item *items;
    size_t count;
    void (*done)(struct broker_offsets *req);
    void *ctx;
    struct {
        struct list ready;
        size_t waiting;
    } priv;
};

/* Record-exact by timestamp; reads in a worker. */
void broker_offsets(struct broker *b, struct broker_offsets *req);

struct broker_epoch {
    struct slice topic;
    int32_t partition;
    int32_t epoch; /* that is asked for */
    /* results; -1 unless BROKER_OK, and for an epoch that was not begun yet */
    int32_t found; /* the greatest at or below it that left a batch, or itself: see epochs_end */
    int64_t end;   /* behind the last batch of that */
};
/* Where a leader epoch ends (KIP-101), at once: what the partition's leader has stored, whether
 * committed or not. BROKER_NOT_LEADER elsewhere. A partition that is not open begins to load:
 * BROKER_LOADING. O(log epochs). */
enum broker_status broker_epoch_end(struct broker *b, struct broker_epoch *q) MUST_CHECK;

/* --- administration ------------------------------------------------------------------------- */

struct broker_config_entry {
    struct slice key;
    struct slice value;    /* p NULL: unset */
    enum config_edit edit; /* of a list, to the value in force; zero: set */
};

enum broker_admin_op {
    BROKER_TOPIC_CREATE,
    BROKER_TOPIC_DELETE,
    BROKER_TOPIC_GROW,   /* more partitions */
    BROKER_TOPIC_ALTER,  /* configs */
    BROKER_TOPIC_TRIM,   /* move the log start of one partition */
    BROKER_CONFIG_ALTER, /* dynamic broker configs: all that are named, or none */
    BROKER_INIT_PRODUCER,
    BROKER_QUOTA_ALTER, /* of one entity: all values that are named, or none */
    BROKER_SNAPSHOT,    /* a copy of everything in a new folder, `topic`: BROKER_TOPIC_EXISTS when
                        there is something of this name */
};
#define BROKER_ADMIN_OP_COUNT 9

struct broker_quota_value {
    enum quota_key key;
    double value;
    bool remove;
};

struct broker_admin {
    enum broker_admin_op op;
    struct slice topic;
    int32_t partitions;  /* create (-1 default), grow; trim: the partition */
    int32_t replication; /* create; -1 default; with replication.factor.lenient a number above that
                            of the brokers becomes that */
    const struct broker_config_entry *configs;
    size_t config_count;
    bool replace; /* alter: the entries are the whole set, what is not named is unset */
    bool cluster; /* config alter: for every broker of the cluster, not for this one alone */
    bool validate_only;
    bool automatic; /* create on first use: obeys auto.create.topics.enable */
    bool forward;   /* a broker that does not lead asks the leader, where an ADMIN call of ship.h
                       may: for clients that send it to any broker. It may be carried out although
                       the answer is BROKER_TIMED_OUT, and is seen here a moment later */
    bool internal;  /* create: one of the broker's own, asked for by the broker itself */
    int64_t before; /* trim: offset, -1 the end */
    struct quota_entity entity; /* quota alter */
    const struct broker_quota_value *quotas;
    size_t quota_count;
    /* results */
    enum broker_status status;
    char message[256];   /* "" or a sentence for the user */
    int64_t log_start;   /* trim */
    int64_t producer_id; /* init producer */
    int16_t producer_epoch;
    uint8_t topic_id[16];    /* create */
    int32_t partition_count; /* create, grow, snapshot */
    uint64_t linked_size;    /* snapshot: bytes of logs, shared with the broker */
    uint64_t copied_size;
    int64_t took_ms;
    void (*done)(struct broker_admin *req);
    void *ctx;
    struct {
        struct list ready;
        void *state;
    } priv;
};

/* Durable before done. */
void broker_admin(struct broker *b, struct broker_admin *req);

/* --- the cluster ---------------------------------------------------------------------------- */

/* Asks that this broker lead; see broker_promote.c. */
struct broker_promote_request {
    bool force; /* also with too few promises: what only the others hold may be lost */
    /* results */
    enum broker_status status; /* BROKER_OK, BROKER_NOT_ENOUGH_REPLICAS, BROKER_BUSY, ... */
    uint32_t term;
    int64_t lost; /* records known to be committed that are lost by force */
    char message[256];
    void (*done)(struct broker_promote_request *req);
    void *ctx;
    struct {
        struct list ready;
    } priv;
};
void broker_promote_request(struct broker *b, struct broker_promote_request *req);

/* Takes a broker out of the cluster, at the leader; see broker_leave.c. */
struct broker_leave_request {
    int32_t id;
    bool force;         /* also where too few in-sync replicas stay */
    bool validate_only; /* says what would be */
    /* results */
    enum broker_status status; /* BROKER_OK; BROKER_NOT_LEADER; BROKER_DENIED: it is the leader;
                                  BROKER_UNKNOWN_BROKER; BROKER_NOT_ENOUGH_REPLICAS; ... */
    uint32_t replicas;         /* that it had */
    uint32_t pending;          /* that it has until another one is in sync */
    char message[256];
    void (*done)(struct broker_leave_request *req);
    void *ctx;
    struct {
        struct list link;
        int64_t until_ms;
        bool written;
    } priv;
};
void broker_leave_request(struct broker *b, struct broker_leave_request *req);

struct broker_cluster_info {
    const char *role; /* "alone", "starting", "seeking", "following", "promoting", "leading",
                         "left" */
    uint32_t term;
    int32_t leader;    /* -1: none known; itself while alone */
    char native[256];  /* of the leader */
    bool changes_here; /* topics, settings and groups are changed here */
    char trouble[256]; /* why it has no place in the cluster; "" it has, or nothing is known */
};
void broker_cluster_info(const struct broker *b, struct broker_cluster_info *out);

/* A broker of the cluster, as registered; texts borrowed until the next turn. */
struct broker_member {
    int32_t id;
    int32_t kafka_port;
    const char *kafka_host; /* "": none */
    const char *native;
    const char *rack;
    bool self;
    bool left;
    int64_t silent_ms; /* at the leader: since its last call; -1: not registered with it */
};
/* 0, or 1 behind the last. A broker that is alone has none but itself. */
int broker_member(const struct broker *b, size_t at, struct broker_member *out) MUST_CHECK;

/* A follower of a partition, as its leader knows it. */
struct broker_follower {
    int32_t id;
    bool in_sync;
    int64_t end;          /* durable; -1: not known */
    int64_t lag;          /* records to the leader's end; -1 */
    int64_t lag_size;     /* bytes of these, by its place in its segment; -1 */
    int64_t caught_up_ms; /* since it had all; -1: never in this epoch */
    int64_t since_ms;     /* in sync, or not, for so long; at least since this broker leads */
};
/* 0, or 1 behind the last, or where this broker does not lead the partition. */
int broker_partition_follower(const struct broker *b, struct slice topic, int32_t partition,
                              size_t at, struct broker_follower *out) MUST_CHECK;

/* --- looking around (synchronous, memory only) ------------------------------------------------ */

struct broker_partition_info {
    int32_t leader; /* -1: none known */
    int32_t epoch;
    const int32_t *replicas; /* broker ids; these three borrowed until the next turn */
    const int32_t *isr;
    const int32_t *elr; /* eligible leader replicas, KIP-966 */
    size_t replica_count;
    size_t isr_count;
    size_t elr_count;
    int64_t log_start;      /* -1 while not loaded */
    int64_t high_watermark; /* -1 while not loaded */
    uint64_t size;          /* bytes on disk, 0 while not loaded */
    bool fenced; /* its leader's log parts from ours below our high watermark: left alone */
};

struct broker_topic_info {
    struct slice name; /* borrowed until the next call that changes topics */
    uint8_t id[16];
    int32_t partition_count;
    int32_t replication;
    bool internal;
};

/* 0, or 1 when there is no such topic. */
int broker_topic(const struct broker *b, struct slice name,
                 struct broker_topic_info *out) MUST_CHECK;
/* The same by id. */
int broker_topic_by_id(const struct broker *b, const uint8_t id[16],
                       struct broker_topic_info *out) MUST_CHECK;
/* The first topic in byte order behind `after` (p NULL: the first of all). 0, or 1 at the end.
 * Internal topics included. O(log n). */
int broker_topic_after(const struct broker *b, struct slice after,
                       struct broker_topic_info *out) MUST_CHECK;
/* 0, or 1 when there is no such partition. Loads nothing unless `load`: then recovery starts in the
 * background and later calls see the figures. */
int broker_partition(struct broker *b, struct slice topic, int32_t partition, bool load,
                     struct broker_partition_info *out) MUST_CHECK;
/* An idempotent producer, as its partition remembers it. */
struct broker_producer {
    int64_t id;
    int64_t last_ms; /* time of its last batch */
    int32_t last_sequence;
    int16_t epoch;
};
/* Calls fn for every producer of a partition, in no order. A partition that is not open begins to
 * load: BROKER_LOADING. O(producers). */
enum broker_status broker_producers(struct broker *b, struct slice topic, int32_t partition,
                                    void (*fn)(void *ctx, const struct broker_producer *producer),
                                    void *ctx) MUST_CHECK;
/* Calls fn for every config key of a topic (p NULL: of the broker) with its value in force. */
void broker_configs(const struct broker *b, struct slice topic,
                    void (*fn)(void *ctx, const char *key, const char *value, const char *source,
                               const char *help),
                    void *ctx);
/* A setting with all that speaks for its value; borrowed until the next change of a setting. */
struct broker_config {
    const struct config_row *row;
    const char *value;               /* in force; may be empty */
    const char *own;                 /* the topic's override, then in force; NULL: none */
    const struct config_step *steps; /* below it, the one in force first: see config_steps */
    size_t step_count;
};
/* The overrides of a topic; NULL when there is no such topic. Borrowed likewise. */
const struct config_topic *broker_topic_overrides(const struct broker *b, struct slice topic);
/* Calls fn for every setting of a topic with these overrides (NULL: of the broker), by name. */
void broker_config_each(const struct broker *b, const struct config_topic *overrides,
                        void (*fn)(void *ctx, const struct broker_config *setting), void *ctx);

/* --- quotas (synchronous, memory only) -------------------------------------------------------- */

/* As quota_table_any, _bound, _charge and _each of quota.h, at the broker's time. The caller holds
 * the client back. */
bool broker_quota_any(const struct broker *b, enum quota_key key);
double broker_quota_bound(const struct broker *b, enum quota_key key, struct slice client_id);
uint32_t broker_quota_charge(struct broker *b, enum quota_key key, struct slice client_id,
                             double amount);
void broker_quotas_each(const struct broker *b,
                        void (*fn)(void *ctx, const struct quota_entity *e,
                                   const struct quota_values *values),
                        void *ctx);

/* The configuration that it was opened with has changed under it: it is taken into account. */
void broker_reconfigure(struct broker *b);
/* Walks all invariants; asserts. For tests. */
void broker_check(const struct broker *b);
/* Appends the state of the broker and of every partition in words, for SIGUSR1. */
void broker_dump(const struct broker *b, struct buf *out);
