/* SPDX-License-Identifier: MIT
 *
 * broker_priv: the broker's own structures, shared by the files of this folder.
 *
 *   broker --> topics (map by name, array in name order) --> bpart[] --> part (engine/store)
 *          --> coord (cluster records, over the log __meta) --> view (LMDB)
 *          --> due[sync|os]: bparts with work for a round; at most one round of each kind is out
 *          --> ready lists: requests whose done runs at the end of broker_run
 */
#pragma once

#include "engine/broker/broker.h"
#include "engine/broker/broker_compact.h"
#include "engine/broker/broker_counters.h"
#include "engine/broker/broker_groups.h"
#include "engine/broker/broker_mirror.h"
#include "engine/broker/catalog.h"
#include "engine/broker/cluster.h"
#include "engine/broker/config.h"
#include "engine/broker/coord.h"
#include "engine/broker/quota.h"
#include "engine/broker/ship.h"
#include "engine/meta/meta.h"
#include "engine/store/mend.h"
#include "engine/store/query.h"
#include "engine/store/round.h"

#define BROKER_ITEMS_MAX           4096
#define BROKER_INFLATE_MAX         (64u << 20)
#define BROKER_BATCH_INFLATE(size) ((size)*64 > (16u << 20) ? (size)*64 : (16u << 20))

/* One partition of one topic, or of __meta (topic NULL). */
enum bpart_state {
    BPART_IDLE,    /* on disk, not opened yet */
    BPART_LOADING, /* a worker recovers it */
    BPART_ONLINE,
    BPART_FAILED, /* could not be opened: answered with BROKER_STORAGE, tried again later */
    BPART_GONE,   /* its topic is being deleted */
};
#define BPART_STATE_COUNT 5

struct broker_cluster;
struct bpart_replica; /* broker_cluster.h */

struct bpart {
    struct broker *broker;
    struct topic *topic;
    struct bpart_replica *replica; /* owned; NULL: it has no other replica */
    struct part *part;             /* owned; NULL unless ONLINE */
    struct list due;               /* in broker->due[] */
    struct list load;              /* in broker->loads, to be opened in the background */
    struct list waits;             /* struct broker_fetch_wait */
    struct list held; /* of produce requests: batches that came while it is LOADING, in order */
    struct list asks; /* in broker->retention.asking */
    struct heap_node retain;         /* in broker->retention.due: the next look */
    struct bpart_counters *counters; /* owned; NULL until something is counted */
    int64_t retry_ms;                /* FAILED: a use behind this opens it again; monotonic */
    int64_t shown;       /* what consumers saw while durability was os, not durable yet */
    int64_t first_dirty; /* where compaction goes on; -1: not known */
    int64_t compact_ms;  /* not before this; monotonic */
    int64_t oldest_at;   /* a log start, */
    int64_t oldest_ms;   /* and the time of its record; -1 unknown, INT64_MAX: none goes by time */
    uint64_t asked;      /* part->appended when that was looked up */
    uint64_t retain_at;  /* part->appended from which retention.bytes may be exceeded */
    int64_t told_ms;     /* of retention, in the log; monotonic, 0 never */
    int64_t trimming;    /* of the round that is out: part->trim_to when it began */
    int32_t index;
    uint32_t jobs; /* rounds, loads, warms and queries under way */
    enum bpart_state state;
    bool on_disk;
    bool flush;         /* the next round syncs what is only written */
    bool checkpointing; /* the round that is out shall make a recovery point */
    bool sync;          /* __meta */
    bool mending;       /* ONLINE, and to be closed for a moment: nothing new begins */
    bool hinted;        /* first_dirty was looked up in the view */
};

/* Settings looked up once per change, not per batch. */
struct topic_limits {
    size_t message_size_max;
    int64_t before_max_ms;
    int64_t after_max_ms;
    int64_t retention_ms;
    int64_t retention_size;
    int64_t delete_delay_ms;
    int64_t flush_ms; /* durability=os */
    int64_t min_insync;
    bool append_time;
    int64_t delete_retention_ms;
    int64_t min_lag_ms; /* of compaction */
    int64_t max_lag_ms;
    double min_dirty; /* share of the log */
    int codec;        /* of what compaction changes; -1: as it was */
    bool compacted;
    bool expires; /* cleanup.policy has delete */
    bool sync;
    struct part_config part;
};

struct broker_change;   /* broker_admin.c */
struct broker_snapshot; /* broker_snapshot.c */

struct topic {
    char *name; /* owned */
    struct catalog_topic record;
    struct topic_limits limits;
    struct bpart **parts;  /* owned, record.partitions of them */
    int64_t revision;      /* of its coordination record */
    int64_t next_flush_ms; /* monotonic */
    struct list deletions; /* in broker->deleting, until no worker has one of its partitions */
    struct broker_change *deletion;
    bool busy; /* a change is under way */
    bool deleting;
};

struct broker_round {
    struct round round;
    struct broker *broker;
    int64_t began_us; /* monotonic, of the round that is out */
    bool out;
};

struct broker_space { /* free space, looked up in a worker */
    struct work_job job;
    struct broker *broker;
    uint64_t free_size;
    uint64_t total_size;
    int result;
    bool out;
};

struct broker_retention { /* broker_retention.c */
    struct heap due;      /* bpart.retain; monotonic ms */
    struct list asking;   /* bparts whose first record of age is looked up */
    struct work_job job;  /* for one of them */
    struct query query;
    struct bpart *bpart; /* that one; NULL none */
    uint64_t appended;   /* to it */
    int64_t hold_ms;     /* nothing goes before: the wall clock jumped; monotonic */
};

struct broker_grave;

struct broker_buried { /* broker_buried.c */
    struct heap due;   /* struct broker_grave */
    struct work_job job;
    struct broker *broker;
    struct broker_grave *grave; /* the one that the job removes; owned; NULL none */
    int result;
};

struct broker_unmap { /* readers that nobody holds, freed in a worker */
    struct work_job job;
    struct io *io;
    struct list readers;
    bool out;
};

struct broker_seat { /* broker_node.c: the record node/seat */
    struct cluster_seat seat;
    struct coord_op op;
    struct buf value; /* owned */
    bool busy;
    bool again;    /* it changed while it was written */
    bool saved;    /* what was written at the start is durable */
    bool restored; /* the file that says the folder is another one is still there */
    bool stopping; /* the mark of a clean end was tried */
};

struct broker {
    struct broker_env env;
    char *dir; /* owned */
    struct io *io;
    struct io_file *lock;
    struct store store;
    struct broker_unmap unmap;
    struct coord *coord;
    struct bpart meta_part; /* __meta */
    struct meta *view;
    struct broker_groups *groups;
    struct broker_cluster *cluster; /* NULL while the catalogue is read */
    struct broker_compact *compact;
    struct quota_table *quotas;
    struct broker_snapshot *snapshot; /* being made; NULL */
    struct map topics;                /* name -> struct topic */
    struct map ids;                   /* id -> struct topic */
    struct topic **sorted;            /* owned array, by name */
    size_t topic_count;
    size_t partition_count;
    struct list due[2]; /* [1] rounds that sync, [0] rounds that do not */
    struct broker_round rounds[2];
    struct list loads;
    unsigned loading;
    struct list ready_produce;
    struct list ready_fetch;
    struct list ready_offsets;
    struct list ready_admin;
    struct list ready_promote; /* struct broker_promote_request */
    struct list ready_leave;   /* struct broker_leave_request */
    struct broker_trouble {
        char text[256]; /* "": none */
        int64_t said_ms;
        int64_t seek_ms; /* the search for a leader is told then */
    } trouble;
    struct list stalled_pids; /* broker_admin waiting for a block of producer ids */
    struct list deleting;     /* struct topic whose folders wait to be removed */
    struct list trims;        /* broker_admin waiting for a round to move a log start */
    struct list creating;     /* struct broker_change: topics that are not in the map yet */
    size_t coming_topics;     /* what changes under way will add to the counts */
    size_t coming_partitions;
    struct heap fetch_deadlines;
    struct heap ack_deadlines; /* of what waits for other replicas */
    struct broker_retention retention;
    struct broker_buried buried;
    struct broker_space space;
    struct buf scratch; /* inflated batches */
    struct broker_counters counters;
    size_t in_flight_size;
    int64_t pid_next;
    int64_t pid_limit;
    int64_t next_retention_ms; /* monotonic, like all of these */
    int64_t next_space_ms;
    int64_t next_flush_ms;
    int64_t next_expire_ms;
    int64_t clock_shift_ms; /* wall - monotonic, when it last jumped */
    char cluster_id[23];
    int32_t node_id;
    uint64_t incarnation;
    struct broker_seat node;
    int64_t brokers_seen; /* records up to this revision are in: */
    int32_t brokers;      /* registered, by the records; 0: none knows of others */
    size_t admins;        /* requests under way, for a clean stop */
    bool pid_busy;
    bool mirrors;   /* records are another broker's: broker_mirror */
    bool mirroring; /* some are being written down */
    bool fresh;
    bool after_error; /* the last run ended by an I/O error: see part_open_options.rewrite_tail */
    bool disk_full;
    bool stuck; /* some partition has work that failed for lack of space */
    bool stopping;
    bool stopped;
    bool checkpointed;
    bool meta_checkpointed;
    bool dead; /* a fatal error was reported */
};

/* broker.c */
__attribute__((format(printf, 3, 4))) void broker_log(struct broker *b, int level, const char *fmt,
                                                      ...);
void broker_fatal(struct broker *b, const char *what, int error);
int64_t broker_now(const struct broker *b);  /* monotonic ms */
int64_t broker_wall(const struct broker *b); /* Unix ms */

/* broker_topics.c: the catalogue in memory. */
struct topic *broker_find_topic(const struct broker *b, struct slice name);
/* NULL when the index is out of range. */
struct bpart *broker_find_part(struct topic *t, int32_t index);
/* Adds a live topic from its record; folders are not touched. Takes record over. */
struct topic *broker_add_topic(struct broker *b, struct slice name, struct catalog_topic *record,
                               int64_t revision);
void broker_remove_topic(struct broker *b, struct topic *t);
void broker_grow_topic(struct broker *b, struct topic *t, int32_t partitions);
void broker_refresh_topic(struct broker *b, struct topic *t);
void broker_refresh_topics(struct broker *b);
void broker_free_topics(struct broker *b);

/* bpart.c */
void bpart_init(struct bpart *p, struct broker *b, struct topic *t, int32_t index);
struct bpart *bpart_new(struct broker *b, struct topic *t, int32_t index);
/* 0 when online; else starts loading where that helps and returns BROKER_LOADING, BROKER_STORAGE or
 * BROKER_UNKNOWN_PARTITION. */
enum broker_status bpart_use(struct bpart *p);
/* Queues for a background load. */
void bpart_load_later(struct bpart *p);
void bpart_load_some(struct broker *b);
/* Hands the topic's limits to the open partition. */
void bpart_configure(struct bpart *p);
/* The topic's durability went from os to sync: what waits and what is only written gets a sync. */
void bpart_tighten(struct bpart *p);
/* There is work for a round. */
void bpart_due(struct bpart *p);
bool bpart_syncs(const struct bpart *p);
/* End of what consumers may see. */
int64_t bpart_visible(const struct bpart *p);
/* Cuts the log back to `offset`, or (anew) empties it so that it begins there: it is closed, cut in
 * a worker, and opened again. False: something is under way, try again. */
bool bpart_cut(struct bpart *p, int64_t offset, bool anew);
/* Gives damaged offsets their batches back (engine/store/mend.h), likewise; broker_mend_written
 * runs at the end. False: something is under way; nothing new begins now, try again, or
 * bpart_mend_not. */
bool bpart_mend(struct bpart *p, const struct mend *m);
void bpart_mend_not(struct bpart *p);
/* Appends "<dir>/<topic>-<index>" and a NUL that is not counted. */
void bpart_path(const struct bpart *p, struct buf *out);

/* broker_rounds.c */
void broker_start_rounds(struct broker *b);
bool broker_rounds_out(const struct broker *b);

/* broker_produce.c: the partition's load is over: what was held goes on, or is refused. */
void broker_produce_wake(struct broker *b, struct bpart *p);
/* What waited for replicas longer than its request allows is answered. */
void broker_produce_timers(struct broker *b);

/* broker_fetch.c */
void broker_fetch_wake(struct broker *b, struct bpart *p);
void broker_fetch_timers(struct broker *b);
void broker_fetch_fail_all(struct broker *b);

/* broker_retention.c */
void broker_retention_init(struct broker *b);
/* What retention.ms and retention.bytes ask of the topic's segments. */
void broker_retention_limits(struct topic_limits *l);
void broker_retention_run(struct broker *b);
int64_t broker_retention_next(const struct broker *b);
/* The partition was opened, or its limits changed. */
void broker_retention_look(struct bpart *p);
/* A round of the partition ended. O(1) unless something is due. */
void broker_retention_wrote(struct bpart *p);
/* The partition goes. */
void broker_retention_forget(struct bpart *p);

/* broker_buried.c */

/* Takes what a round of the partition left to be removed. */
void broker_bury(struct bpart *p);
void broker_buried_run(struct broker *b);
bool broker_buried_quiet(const struct broker *b);
int64_t broker_buried_next(const struct broker *b);
/* No job is out. */
void broker_buried_deinit(struct broker *b);

/* broker_periodic.c: everything by the clock. */
/* True once every `every` ms; *next is when again, sooner when `every` became shorter. */
bool broker_due(int64_t *next, int64_t now, int64_t every);
void broker_periodic(struct broker *b);
int64_t broker_periodic_next(const struct broker *b);
void broker_check_space(struct broker *b);

/* broker_admin.c */
void broker_admin_ready(struct broker *b, struct broker_admin *a);
/* The same with a status, and a sentence or "". */
__attribute__((format(printf, 4, 5))) void broker_admin_refuse(struct broker *b,
                                                               struct broker_admin *a,
                                                               enum broker_status status,
                                                               const char *fmt, ...);
/* Goes on with deletions that waited until no worker had a partition in hand. */
void broker_delete_some(struct broker *b);
/* The topic of a request that changes it; NULL when refused. */
struct topic *broker_admin_topic(struct broker *b, struct broker_admin *a);
/* Gives back the memory of deletions that wait; the broker is being freed. */
void broker_delete_abandon(struct broker *b);
void broker_resume_deletes(struct broker *b);
/* Another broker decided that the topic goes: like a deletion, but for its record. */
void broker_delete_forsaken(struct broker *b, struct topic *t);

/* broker_trim.c */
void broker_trim(struct broker *b, struct broker_admin *a);
/* A round of the partition ended, or the partition goes: answers its trims. */
void broker_trim_done(struct broker *b, struct bpart *p);
/* The partition's load is over: its trims go on. */
void broker_trim_loaded(struct broker *b, struct bpart *p);
/* The broker stops: what still waits for a trim is refused. */
void broker_trim_fail_all(struct broker *b);

/* broker_mirror.c: the topic of this name follows its record, now that nothing is in its way. */
void broker_apply_topic(struct broker *b, struct slice name);
/* Folders of this name are those of a topic that goes. */
bool broker_gone(const struct broker *b, struct slice name, int64_t *revision);

/* broker_node.c */
/* Once the records are there: takes the seat, and has it written down. */
void broker_node_open(struct broker *b);
void broker_node_periodic(struct broker *b);
/* Marks a clean end; false until that is over. */
bool broker_node_stop(struct broker *b);
/* The mark of an earlier clean end is gone from the disk: now it may register, and lead. */
bool broker_node_settled(const struct broker *b);
/* The system went down under an earlier run. *told: the broker epoch of the registration that said
 * so, -1: none has. */
bool broker_node_unclean(const struct broker *b, int64_t *told);
/* A registration that said so was answered, with what followed from it in the records here; or this
 * broker leads, with everything that those who promised it held. */
void broker_node_told(struct broker *b, int64_t broker_epoch);
/* Records newer than that are here: they may say that nothing is missing any more. */
void broker_node_records(struct broker *b);
/* Who this broker is. */
void broker_node_self(const struct broker *b, struct ship_node *out);

/* broker_dynamic.c: broker configs that change while it runs. */
void broker_config_alter(struct broker *b, struct broker_admin *a);
void broker_load_dynamic_configs(struct broker *b);

/* broker_quota.c */
void broker_quota_alter(struct broker *b, struct broker_admin *a);
void broker_load_quotas(struct broker *b);
/* The record of an entity says this now; p NULL: it is gone. */
void broker_quota_apply(struct broker *b, struct slice entity, struct slice value);

/* broker_snapshot.c */
void broker_snapshot(struct broker *b, struct broker_admin *a);
void broker_snapshot_run(struct broker *b);
int64_t broker_snapshot_next_ms(const struct broker *b);
/* The broker is being freed, and no job is out. */
void broker_snapshot_abandon(struct broker *b);

/* broker_open.c: the data folder, from its lock to its catalogue. 0, BROKER_OPEN_* or -errno. */
int broker_open_folder(struct broker *b) MUST_CHECK;
/* From the records of the coordination to topics; matches them with the folders there are. */
int broker_open_catalogue(struct broker *b) MUST_CHECK;
/* Leaves or removes the flag of an error exit. */
void broker_flag_error(struct broker *b);
void broker_unflag_error(struct broker *b);
