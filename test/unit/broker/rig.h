/* SPDX-License-Identifier: MIT
 *
 * rig: a broker with everything around it in one process and nothing left to chance: a crash disk
 * with a fault seam in front of it, jobs in an order by seed, a clock that stands still, the view
 * in memory. It can be killed, cut, stopped and opened again; synchronous wrappers start one
 * request and run turns until its answer.
 *
 *   rig_init -> rig_open -> requests, rig_run, rig_advance
 *                 ^------ rig_kill | rig_cut | rig_stop
 *
 * rig_run goes on until nothing is left to do at this moment, and fails the test when that never
 * comes: a broker that spins is a bug.
 */
#pragma once

#include "engine/base/io.h"
#include "engine/base/random.h"
#include "engine/broker/broker.h"
#include "engine/broker/config.h"
#include "engine/meta/meta.h"

#define RIG_DIR      "/data"
#define RIG_TIME     INT64_C(1700000000000)
#define RIG_SETS_MAX 8

struct rig {
    struct io *disk;  /* owned: io_crash, or the machine's */
    struct io *fault; /* owned: in front of it */
    struct work *work;
    struct clock_fake clock;
    struct config *config; /* owned; made anew by each open from `sets` */
    struct meta_store *view;
    struct broker *broker; /* NULL: not running */
    struct rig_kept *kept; /* requests of this process that were never answered; owned */
    const char *dir;
    const char *sets[RIG_SETS_MAX][2]; /* broker configuration at start */
    size_t set_count;
    uint64_t seed;
    uint64_t opens;
    size_t reader_max;        /* for the next opens */
    uint8_t boot_id[16];      /* likewise */
    const char *join;         /* likewise: cluster id of a new folder */
    const char *native;       /* likewise: where others find it; NULL: one of its own */
    struct ship_link *ship;   /* likewise; NULL: alone */
    const char *const *seeds; /* likewise */
    unsigned fatals;          /* since the last open */
    unsigned warnings;        /* log lines of level 1, likewise */
    unsigned errors;          /* of level 2 */
    char line[512];           /* the last line of level 1 or 2 */
    bool real;
    bool dying; /* a kill or cut is under way: errors mean nothing */
};

/* space_max: bytes on the disk; 0 endless. */
void rig_init(struct rig *g, uint64_t seed, uint64_t space_max);
/* On the machine's disk, in a folder of the caller's. */
void rig_init_real(struct rig *g, const char *dir);
void rig_deinit(struct rig *g);
/* A broker configuration for the next opens; both borrowed. */
void rig_set(struct rig *g, const char *key, const char *value);

/* From now on the n-th call of the disk fails with -EIO, n from 1 (`forever`: all behind it, too:
 * the process as good as dies there); 0: none does. */
void rig_fail(struct rig *g, uint64_t n, bool forever);

/* What broker_open says. */
int rig_try_open(struct rig *g);
/* Must work. */
void rig_open(struct rig *g);
/* The process dies; rig_cut: the power goes. Requests under way are never answered. */
void rig_kill(struct rig *g);
void rig_cut(struct rig *g, uint64_t seed);
/* A clean stop, to its end. */
void rig_stop(struct rig *g);
/* rig_kill or rig_stop, then rig_open. */
void rig_reopen(struct rig *g, bool clean);

/* One turn without waiting for jobs: rounds are held back until rig_run. */
void rig_turn(struct rig *g);
/* Turns until nothing is left to do now. */
void rig_run(struct rig *g);
/* Time goes on by ms, in steps of at most a second, each with its turns. */
void rig_advance(struct rig *g, int64_t ms);

/* --- produce --- */

struct rig_batch {
    int64_t producer; /* -1 none; a zeroed struct has none, ids here are 1 more */
    int32_t sequence;
    int16_t epoch;
    int32_t count;     /* 0: 1 */
    int64_t timestamp; /* of all; 0: RIG_TIME */
    size_t value_size; /* at least 8 */
    uint64_t tag;      /* in the first 8 bytes of each value, + index */
};

/* Appends one batch. */
void rig_build(const struct rig_batch *b, struct buf *out);

#define RIG_ITEMS_MAX 8

/* A request with its batches; heap, because a kill leaves it unanswered. */
struct rig_produce {
    struct broker_produce req;
    struct broker_produce_item items[RIG_ITEMS_MAX];
    struct buf batches[RIG_ITEMS_MAX];
    unsigned done;
};
struct rig_produce *rig_produce_new(int acks);
void rig_produce_add(struct rig_produce *p, const char *topic, int32_t partition,
                     const struct rig_batch *b);
void rig_produce_start(struct rig *g, struct rig_produce *p);
void rig_produce_free(struct rig_produce *p);
/* One batch, to the end. *offset (may be NULL) is its base offset. */
enum broker_status rig_put(struct rig *g, const char *topic, int32_t partition,
                           const struct rig_batch *b, int64_t *offset);
/* One record with this tag; must work; returns its offset. */
int64_t rig_put_tag(struct rig *g, const char *topic, uint64_t tag);

/* --- fetch --- */

struct rig_fetch {
    struct broker_fetch req;
    struct broker_fetch_item items[RIG_ITEMS_MAX];
    unsigned done;
};
/* Bounds that no test meets by chance: 1 MiB, no waiting, 1 byte. */
void rig_fetch_init(struct rig_fetch *f);
void rig_fetch_add(struct rig_fetch *f, const char *topic, int32_t partition, int64_t offset);
/* Starts, runs until answered. */
void rig_fetch_run(struct rig *g, struct rig_fetch *f);
/* The record at `offset`, its tag: what a consumer finds there, else a failed test. */
uint64_t rig_tag_at(struct rig *g, const char *topic, int32_t partition, int64_t offset);
/* All records from `offset` to the end that consumers see: (offset, tag) pairs as two u64 each.
 * Every batch is checked. */
void rig_read_all(struct rig *g, const char *topic, int32_t partition, int64_t offset,
                  struct buf *out);
/* Waits for the partition's recovery. */
void rig_load(struct rig *g, const char *topic, int32_t partition,
              struct broker_partition_info *out);
int64_t rig_end(struct rig *g, const char *topic, int32_t partition);
int64_t rig_start(struct rig *g, const char *topic, int32_t partition);

/* As if partition 0, which is open, had changed its leader. */
void rig_set_epoch(struct rig *g, const char *topic, int32_t epoch);

/* --- offsets and administration --- */

enum broker_status rig_offset(struct rig *g, const char *topic, int32_t partition, int64_t time_ms,
                              int64_t *offset);

struct rig_admin {
    struct broker_admin req;
    struct broker_config_entry configs[4];
    unsigned done;
};
void rig_admin_init(struct rig_admin *a, enum broker_admin_op op, const char *topic);
/* value NULL: unset. */
void rig_admin_config(struct rig_admin *a, const char *key, const char *value);
void rig_admin_start(struct rig *g, struct rig_admin *a);
enum broker_status rig_admin_run(struct rig *g, struct rig_admin *a);
/* The usual ones; must work. `config` is NULL or "key=value". */
void rig_create(struct rig *g, const char *topic, int32_t partitions, const char *config);
enum broker_status rig_delete(struct rig *g, const char *topic);
enum broker_status rig_alter(struct rig *g, const char *topic, const char *key, const char *value);
enum broker_status rig_alter_broker(struct rig *g, const char *key, const char *value);
enum broker_status rig_trim(struct rig *g, const char *topic, int32_t partition, int64_t before);
int64_t rig_producer_id(struct rig *g);
bool rig_has_topic(struct rig *g, const char *topic);
/* Names below the data folder; true when there is one that begins with prefix. */
bool rig_has_folder(struct rig *g, const char *prefix);

/* Runs a suite as every main here does. */
struct Suite;
int rig_main(struct Suite *s);
