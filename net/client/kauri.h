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
 * Consumer: partitions are assigned by hand (groups come with their own issue), fetched ahead in
 * the background of kauri_poll and kauri_next, and handed out record by record in offset order.
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
};
#define KAURI_ERROR_COUNT 17

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
    const char *server;      /* nanomsg URL, required */
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
/* Drops what was not acknowledged (kauri_flush first); returns NULL. NULL is fine. */
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
