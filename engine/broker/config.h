/* SPDX-License-Identifier: MIT
 *
 * config: one table of every setting: Kafka's name, type, default, bounds, help. Everything that
 * knows a setting (parsing, bounds, --set, the config file, DescribeConfigs, `kauri config`, help)
 * reads this table.
 *
 * Two scopes. A topic key ("retention.ms") may have a broker key that gives its default for every
 * topic ("log.retention.ms", with "log.retention.minutes" and "log.retention.hours" as coarser
 * spellings; the finest one set wins, as in Kafka). A value is looked up
 *
 *   topic override -> dynamic broker value -> dynamic value of the whole cluster
 *                  -> value at start (flag > KAURI_* > file) -> default
 *
 * and its source is the name of the step. Sizes take K, M, G, T (powers of 1024), durations take
 * ms, s, m, h, d besides plain numbers in the key's own unit. Where a key has several spellings
 * (see above, and broker.id for node.id, log.dir for log.dirs), the origin decides first and the
 * finer spelling only within one origin: `--set log.retention.hours=1` beats log.retention.ms in
 * the file.
 *
 * config_table.c   the rows, and finding them
 * config_value.c   text to normalised text, normalised text to number
 * config.c         the broker's configuration
 * config_read.c    the file and the environment
 * config_topic.c   the overrides of a topic
 *
 * Invariants: C1 every stored value parses and is inside its bounds; C2 every topic key has a
 * default at every time, so a lookup never fails.
 */
#pragma once

#include <stdbool.h>

#include "engine/base/bytes.h"

enum config_type {
    CONFIG_BOOL,
    CONFIG_INT,      /* int64 with bounds */
    CONFIG_SIZE,     /* bytes */
    CONFIG_DURATION, /* in the unit of the key: ms unless its name ends in .minutes or .hours */
    CONFIG_DOUBLE,
    CONFIG_STRING,
    CONFIG_PASSWORD, /* text that no listing shows; never dynamic */
    CONFIG_LIST, /* comma separated, each of a fixed set; any words where there are no choices */
    CONFIG_ENUM, /* one of a fixed set */
};

/* Topic keys that the engine itself reads. config_topic_i64 gives a number for each: a bool is 0 or
 * 1, an enum the index of its choice, a list the sum of 1 << index. */
enum config_topic_key {
    CONFIG_CLEANUP_POLICY,   /* sum of CONFIG_CLEANUP_* */
    CONFIG_COMPRESSION_TYPE, /* CONFIG_COMPRESSION_* */
    CONFIG_DURABILITY,       /* ours: CONFIG_DURABILITY_* */
    CONFIG_INDEX_INTERVAL_BYTES,
    CONFIG_MAX_MESSAGE_BYTES,
    CONFIG_MESSAGE_TIMESTAMP_TYPE, /* CONFIG_TIME_* */
    CONFIG_TIMESTAMP_BEFORE_MAX_MS,
    CONFIG_TIMESTAMP_AFTER_MAX_MS,
    CONFIG_MIN_INSYNC_REPLICAS,
    CONFIG_RETENTION_BYTES,
    CONFIG_RETENTION_MS,
    CONFIG_SEGMENT_BYTES,
    CONFIG_SEGMENT_MS,
    CONFIG_DELETE_DELAY_MS, /* file.delete.delay.ms */
    CONFIG_DELETE_RETENTION_MS,
    CONFIG_MAX_COMPACTION_LAG_MS,
    CONFIG_MIN_CLEANABLE_RATIO, /* config_topic_double */
    CONFIG_MIN_COMPACTION_LAG_MS,
    CONFIG_FLUSH_MS, /* durability=os: the shorter of this and CONFIG_FLUSH_INTERVAL_MS counts */
};
#define CONFIG_TOPIC_KEY_COUNT      19

#define CONFIG_CLEANUP_DELETE       1
#define CONFIG_CLEANUP_COMPACT      2
#define CONFIG_COMPRESSION_PRODUCER 0
#define CONFIG_COMPRESSION_NONE     1 /* from here on the number of the codec plus one */
#define CONFIG_DURABILITY_SYNC      0
#define CONFIG_DURABILITY_OS        1
#define CONFIG_TIME_CREATE          0
#define CONFIG_TIME_APPEND          1

/* Broker keys that the engine itself reads. */
enum config_broker_key {
    CONFIG_NODE_ID,
    CONFIG_NUM_PARTITIONS,
    CONFIG_DEFAULT_REPLICATION,
    CONFIG_AUTO_CREATE_TOPICS,
    CONFIG_DELETE_TOPIC_ENABLE,
    CONFIG_RETENTION_CHECK_MS, /* log.retention.check.interval.ms */
    CONFIG_FLUSH_INTERVAL_MS,  /* log.flush.interval.ms, for durability=os */
    CONFIG_DISK_RESERVE_BYTES, /* -1: min(2 GiB, 5 % of the disk) */
    CONFIG_PRODUCER_EXPIRE_MS, /* producer.id.expiration.ms */
    CONFIG_REPLICA_LAG_MS,     /* replica.lag.time.max.ms */
    CONFIG_REPLICA_CHECK_MS,   /* replica.check.interval.ms */
    CONFIG_START_WAIT_MS,      /* cluster.start.wait.ms */
    CONFIG_TOPICS_MAX,
    CONFIG_PARTITIONS_MAX,
    CONFIG_REQUEST_BYTES_MAX, /* queued.max.request.bytes */
    CONFIG_WORKER_THREADS,
    CONFIG_ALLOW_INSECURE,
    CONFIG_GROUPS_MAX,                  /* groups.max */
    CONFIG_GROUP_SIZE_MAX,              /* group.max.size */
    CONFIG_GROUP_SESSION_MIN_MS,        /* group.min.session.timeout.ms */
    CONFIG_GROUP_SESSION_MAX_MS,        /* group.max.session.timeout.ms */
    CONFIG_GROUP_INITIAL_DELAY_MS,      /* group.initial.rebalance.delay.ms */
    CONFIG_GROUP_CONSUMER_SIZE_MAX,     /* group.consumer.max.size */
    CONFIG_GROUP_CONSUMER_SESSION_MS,   /* group.consumer.session.timeout.ms */
    CONFIG_GROUP_CONSUMER_HEARTBEAT_MS, /* group.consumer.heartbeat.interval.ms */
    CONFIG_OFFSETS_RETENTION_MINUTES,   /* offsets.retention.minutes */
    CONFIG_OFFSETS_RETENTION_CHECK_MS,  /* offsets.retention.check.interval.ms */
    CONFIG_OFFSET_METADATA_MAX,         /* offset.metadata.max.bytes */
    CONFIG_GROUP_STUCK_MS,              /* group.stuck.ms */
    CONFIG_METRICS_PARTITIONS_MAX,      /* metrics.partitions.max */
    CONFIG_CLEANER_ENABLE,              /* log.cleaner.enable */
    CONFIG_CLEANER_BACKOFF_MS,          /* log.cleaner.backoff.ms */
    CONFIG_CLEANER_MEMORY,              /* log.cleaner.dedupe.buffer.size */
    CONFIG_CLEANER_RATE,                /* log.cleaner.io.max.bytes.per.second; config_double */
    CONFIG_SHIP_BANDWIDTH,              /* ship.bandwidth.max, 0 none */
    CONFIG_SHIP_RESPONSE_MAX,           /* ship.response.max.bytes */
};
#define CONFIG_BROKER_KEY_COUNT 36

/* One row of the table, for help and describe. Static storage. */
struct config_row {
    const char *name;
    const char *broker_name; /* topic rows: the broker key with the default; NULL none */
    const char *preset;      /* the built-in default, as text; NULL: empty */
    const char *choices;     /* enum and list: "delete,compact" */
    const char *help;        /* one sentence, without full stop */
    enum config_type type;
    double min; /* numbers only */
    double max;
    bool topic;   /* topic scope, else broker scope */
    bool dynamic; /* broker scope: may change while running */
    bool inert;   /* accepted for Kafka's sake, without effect here: help says so */
};

#define CONFIG_I64_MAX   9223372036854775807.0
#define CONFIG_NAME_MAX  63
#define CONFIG_VALUE_MAX 4095

/* The table; *count rows, sorted by name within topic rows first, then broker rows. */
const struct config_row *config_rows(size_t *count);
/* NULL when there is none. O(rows), like everything that takes a name. */
const struct config_row *config_row_find(const char *name, bool topic);
/* The known name nearest to `name` (edit distance <= 3), or NULL. For "did you mean". */
const char *config_nearest(const char *name, bool topic);

/* Conditions. */
#define CONFIG_UNKNOWN  1 /* no such key */
#define CONFIG_BAD      2 /* does not parse or out of bounds */
#define CONFIG_READONLY 3 /* broker key that needs a restart */
#define CONFIG_DENIED   4 /* known Kafka key that kauri cannot honour: the message says why */

/* Parses a value to its normalised text ("1K" -> "1024", "TRUE" -> "true"), appended with a NUL
 * that is not counted. On a condition `message` (256 bytes) has a sentence. 0, CONFIG_BAD. */
int config_normalise(const struct config_row *row, struct slice value, struct buf *out,
                     char message[256]) MUST_CHECK;

/* What a change does with the value given. */
enum config_edit {
    CONFIG_EDIT_SET,
    CONFIG_EDIT_APPEND,   /* adds what a list does not have yet */
    CONFIG_EDIT_SUBTRACT, /* takes out what it has */
};
/* The text that the change makes of `now`, the value in force, appended to out with a NUL that is
 * not counted; not normalised. 0, or CONFIG_BAD with a sentence: the key is no list. */
int config_edit_list(const struct config_row *row, enum config_edit edit, const char *now,
                     struct slice value, struct buf *out, char message[256]) MUST_CHECK;

/* The broker's configuration. */
struct config;
struct config *config_new(void);
struct config *config_free(struct config *c);
/* Where a value at start comes from; later ones win. */
enum config_origin {
    CONFIG_FROM_DEFAULT,
    CONFIG_FROM_FILE,
    CONFIG_FROM_ENV,
    CONFIG_FROM_FLAG,
    CONFIG_FROM_CLUSTER, /* changed while running, for every broker of the cluster */
    CONFIG_FROM_DYNAMIC, /* for this one alone */
};
#define CONFIG_ORIGIN_COUNT 6
/* "default", "file", "environment", "flag", "cluster", "dynamic". */
const char *config_origin_text(enum config_origin from);
/* Sets a broker key. The last two origins refuse keys that are not dynamic. 0 or a condition; then
 * `message` has a sentence with the nearest name or the bounds. */
int config_set(struct config *c, enum config_origin from, struct slice key, struct slice value,
               char message[256]) MUST_CHECK;
/* The row of a broker key that may change while the broker runs. 0, or a condition with a
 * sentence. */
int config_dynamic_find(struct slice key, const struct config_row **out,
                        char message[256]) MUST_CHECK;
/* Takes a value of one of the last two origins back. 0 or CONFIG_UNKNOWN. */
int config_unset(struct config *c, enum config_origin from, struct slice key) MUST_CHECK;
/* Reads a file of `key = value` lines (# comments); every bad line is reported through `bad`
 * (line number, message) and the rest goes on. 0, or the number of bad lines. */
int config_parse(struct config *c, struct slice text,
                 void (*bad)(void *ctx, unsigned line, const char *message), void *ctx) MUST_CHECK;
/* The same for a file written for Kafka: keys that are unknown or cannot be honoured go to `warn`
 * and are passed over (NULL: they are bad, too). */
int config_parse_foreign(struct config *c, struct slice text,
                         void (*bad)(void *ctx, unsigned line, const char *message),
                         void (*warn)(void *ctx, unsigned line, const char *message),
                         void *ctx) MUST_CHECK;
/* Reads the file again: when it is good, keys that may change while the broker runs take its
 * values, and those that it does not name any more lose theirs. `left` is told the keys that differ
 * and need a restart. 0, or the number of bad lines: then nothing changed. */
int config_reload(struct config *c, struct slice text,
                  void (*bad)(void *ctx, unsigned line, const char *message),
                  void (*left)(void *ctx, const char *key), void *ctx) MUST_CHECK;
/* KAURI_LOG_RETENTION_HOURS=1 sets log.retention.hours. `env` is like environ. Bad ones as above,
 * with line 0. KAURI_SERVER is the clients' and passed over. */
int config_environ(struct config *c, char *const *env,
                   void (*bad)(void *ctx, unsigned line, const char *message),
                   void *ctx) MUST_CHECK;

int64_t config_i64(const struct config *c, enum config_broker_key k);
bool config_bool(const struct config *c, enum config_broker_key k);
/* For the keys of that type. Parses the text. */
double config_double(const struct config *c, enum config_broker_key k);
/* The value as a listing may show it: a password is not told. */
const char *config_shown(const struct config_row *row, const char *value);
/* Any broker key by name, in force; "" when empty; NULL when unknown. *from may be NULL. Valid
 * until the next change. A key with several spellings says what all of them come to. */
const char *config_get(const struct config *c, const char *name, enum config_origin *from);
/* One text that a lookup meets. Borrowed until the next change. */
struct config_step {
    const char *name; /* the key that has it */
    const char *value;
    enum config_origin from;
};
#define CONFIG_STEPS_MAX 24
/* All texts that speak for a broker key, or below the overrides for a topic key: the one in force
 * first, presets last. May be none, for a key that is empty. Returns the count. O(rows). */
size_t config_steps(const struct config *c, const struct config_row *row,
                    struct config_step out[CONFIG_STEPS_MAX]);

/* Overrides of one topic: a small set of key = normalised value. Zeroed is empty. */
struct config_topic {
    struct config_override *v; /* owned */
    size_t count;
};
/* 0 or a condition with message. Value p NULL: takes the override away. Also checks pairs that must
 * agree (segment.bytes >= max.message.bytes is not one of Kafka's; min.compaction.lag <= max
 * is). */
int config_topic_set(struct config_topic *t, struct slice key, struct slice value,
                     char message[256]) MUST_CHECK;
/* The row of a topic key. 0, or a condition with a sentence. */
int config_topic_find(struct slice key, const struct config_row **out,
                      char message[256]) MUST_CHECK;
/* Deep copy; the target is empty before. */
void config_topic_copy(struct config_topic *to, const struct config_topic *from);
void config_topic_deinit(struct config_topic *t);
/* The i-th override, in name order: false past the end. Borrowed until the next change. */
bool config_topic_at(const struct config_topic *t, size_t i, const char **key, const char **value);
/* In force for a topic. */
int64_t config_topic_i64(const struct config *c, const struct config_topic *t,
                         enum config_topic_key k);
/* For the keys of that type. Parses the text. */
double config_topic_double(const struct config *c, const struct config_topic *t,
                           enum config_topic_key k);
/* Text in force and where it comes from: "topic", "broker" (dynamic or at start), "default". Any
 * topic key by row. */
const char *config_topic_text(const struct config *c, const struct config_topic *t,
                              const struct config_row *row, const char **source);
