/* SPDX-License-Identifier: MIT
 *
 * groups: the group engine: every consumer group of this broker, their members, timers and
 * committed offsets. Deterministic: requests, time and the outcome of writes go in; answers and
 * records go out. It must not know partitions' files, LMDB, sockets or clocks: what it needs of
 * them stands in struct groups_env, which the broker fills (broker_groups.c) and tests replace.
 *
 *   request -> groups_request -> group_classic.c | group_consumer.c | group_offsets.c
 *                |  state in memory changes               |
 *                |  env.put(key, value) ...               v
 *                |  env.wait(w): all that was put is on disk, or could not be written
 *                v
 *              answer: env.ready(req)
 *
 *   groups.c            the groups, requests to their model, timers, topics
 *   groups_load.c       records of the log back to groups, after a start
 *   groups_save.c       groups to records
 *   groups_view.c       looking around
 *   group.c             one group: members, states, history
 *   group_classic.c     JoinGroup, SyncGroup, Heartbeat, LeaveGroup
 *   group_generation.c  the steps of a classic group's rebalance
 *   group_consumer.c    the one heartbeat of KIP-848
 *   group_target.c      its target assignment
 *   group_offsets.c     committed offsets: commit, forget, expiry
 *
 * What is on disk and what is in memory: an offset is in memory when its record is on disk, never
 * before. A generation or assignment is in memory first, and its answer leaves when the record is
 * on disk; when it could not be written (a full disk) the request fails with GROUP_UNAVAILABLE, the
 * group is marked `unsaved`, and its next change writes all of it down.
 *
 * Time: `now` of every timer is group time, which stands still while the broker does: when timers
 * are met much later than they were due (a stalled disk, a stopped process) everything is moved by
 * the delay, so that nobody expires for a pause that was ours. GROUPS_STALL_MS is "much"; behind
 * more than GROUPS_PAUSE_MS there is also time to hear what was sent meanwhile.
 *
 * Limits: groups.max groups, group.max.size members each, GROUPS_PENDING_MAX ids handed out and not
 * used per group, offsets of at most GROUPS_OFFSETS_MAX partitions per group.
 *
 * Invariants, walked by groups_check: G1 a group is in the map under its name; G2 its state fits
 * its members (group_check); G3 each timer is in its heap exactly while its state asks for it; G4 a
 * request is answered once: parked in one member at most, never after it was answered.
 */
#pragma once

#include "engine/base/arena.h"
#include "engine/base/heap.h"
#include "engine/base/map.h"
#include "engine/base/random.h"
#include "engine/broker/broker_group.h"
#include "engine/broker/config.h"
#include "engine/broker/group_record.h"
#include "engine/broker/group_set.h"

#define GROUPS_STALL_MS    200
#define GROUPS_PAUSE_MS    1000 /* no session is so short that less matters */
#define GROUPS_PENDING_MAX 1024
#define GROUPS_OFFSETS_MAX 200000

/* Waits for what was put before it. */
struct groups_wait {
    struct list link;
    void (*done)(struct groups_wait *w, int result); /* 0 on disk, else not written */
};

struct groups_topic {
    struct slice name; /* borrowed inside the call */
    uint8_t id[16];
    int32_t partitions;
};

struct groups_env {
    const struct config *config; /* borrowed, like all of these */
    uint64_t seed;
    /* The catalogue: topics of users, not the broker's own. False: no such topic. */
    bool (*topic)(void *ctx, struct slice name, struct groups_topic *out);
    bool (*topic_by_id)(void *ctx, const uint8_t id[16], struct groups_topic *out);
    void (*topics)(void *ctx, void (*fn)(void *arg, const struct groups_topic *t), void *arg);
    /* One record for the log; value.p NULL: a tombstone. Copied. */
    void (*put)(void *ctx, struct slice key, struct slice value);
    /* w->done runs once, later. */
    void (*wait)(void *ctx, struct groups_wait *w);
    /* An offset about to be committed: BROKER_OK when the records below it are on disk, otherwise
     * what is wrong with it. BROKER_BUSY: *w's done runs when they are (or cannot be); any of the
     * others: not. */
    enum broker_status (*settle)(void *ctx, const struct broker_group_offset_item *item,
                                 struct groups_wait *w);
    /* The request is answered: its done is due. */
    void (*ready)(void *ctx, struct broker_group *req);
    void *ctx;
};

enum group_member_state {                          /* of the consumer model */
                          GROUP_MEMBER_STABLE,     /* it has its target */
                          GROUP_MEMBER_UNREVOKED,  /* it has to give up partitions first */
                          GROUP_MEMBER_UNRELEASED, /* it waits for partitions that others have */
};
#define GROUP_MEMBER_STATE_COUNT 3

struct group_protocol {
    struct slice name;     /* owned by the member */
    struct slice metadata; /* likewise */
};

struct group_member {
    struct group *group;
    struct list link;         /* group->members, in the order of joining */
    struct heap_node session; /* groups->sessions */
    char *id;                 /* owned, like the strings below */
    char *instance;           /* NULL: none */
    char *client_id;
    char *client_host;
    int32_t session_ms;
    int32_t rebalance_ms;
    /* classic */
    struct group_protocol *protocols; /* owned */
    size_t protocol_count;
    uint8_t *protocol_bytes; /* owned: what they point into */
    struct buf assignment;
    struct broker_group *joining; /* parked; NULL none */
    struct broker_group *syncing; /* parked; NULL none */
    bool unsynced;                /* this generation: has not asked for its assignment */
    /* consumer */
    enum group_member_state state;
    int32_t epoch;
    int32_t previous_epoch;
    bool away; /* a static member that said it comes back */
    char *rack;
    char **topics; /* subscribed names; owned */
    size_t topic_count;
    char *regex;    /* NULL none */
    char *assignor; /* NULL: the broker's choice */
    struct group_set assigned;
    struct group_set revoking;
    struct group_set target;
    struct heap_node revocation; /* groups->revocations: until when it must have given them up */
    bool new_subscription;       /* not in the log yet, like the next two */
    bool new_target;
    bool new_current;
};

/* An id handed out by MEMBER_ID_REQUIRED and not used yet. */
struct group_pending {
    struct group *group;
    struct list link; /* group->pending */
    struct heap_node timer;
    char *id; /* owned */
};

struct group_event {
    int64_t began_ms;
    int64_t ended_ms; /* -1: goes on */
    enum broker_group_cause cause;
    char *member; /* owned; NULL none */
    char *reason; /* owned; NULL none */
    int32_t generation;
    size_t member_count;
};

struct group_offset {
    struct slice key; /* owned bytes: topic, NUL, i32 partition */
    int32_t partition;
    int32_t leader_epoch;
    int64_t offset;
    int64_t commit_ms;
    int64_t moved_ms;
    struct slice metadata; /* owned; p NULL: empty */
};

/* A consumer member that left: the log may not know it yet. */
struct group_gone {
    struct list link; /* group->gone, in the order of leaving */
    uint64_t number;
    char *id; /* owned */
};

struct group {
    struct groups *groups;
    char *name; /* owned */
    enum broker_group_type type;
    enum broker_group_state state;
    int64_t state_since_ms; /* wall */
    int32_t generation;     /* consumer: the group's epoch */
    struct list members;
    struct map by_id;       /* members */
    struct map by_instance; /* static members */
    struct map offsets;     /* struct group_offset */
    size_t member_count;
    struct group_event *events; /* owned ring, BROKER_GROUP_HISTORY_MAX; NULL until one happens */
    size_t event_count;         /* ever */
    bool unsaved;               /* what is in memory is not all in the log */
    bool recorded;              /* the log has a record of the group itself */
    bool deleting;              /* its tombstones are on their way to the disk */
    /* classic */
    char *protocol_type; /* owned; NULL: only ever offsets */
    char *protocol;      /* owned; NULL none */
    struct group_member *leader;
    struct list pending;
    size_t pending_count;
    struct heap_node timer; /* groups->rebalances: PREPARING, COMPLETING */
    bool initial;           /* PREPARING out of EMPTY: waits for more to come */
    bool more_came;
    int64_t initial_left_ms;
    bool storing; /* the leader's assignment is on its way to the disk */
    /* consumer */
    int32_t target_epoch;
    uint64_t topics_seen; /* groups->topics_version when the subscriptions were last resolved */
    uint64_t topics_hash; /* of what they came to */
    bool new_epoch;       /* not in the log yet, like the next */
    bool new_target_epoch;
    struct list gone;    /* struct group_gone */
    uint64_t gone_count; /* ever: the number of the last */
};

struct groups {
    struct groups_env env;
    struct random random;
    struct map map;    /* struct group by name */
    struct map topics; /* struct group_topic by id */
    struct heap sessions;
    struct heap revocations;
    struct heap rebalances;
    struct heap pendings;
    int64_t now;     /* group time, see above */
    int64_t stalled; /* monotonic - group time */
    int64_t ran;     /* group time of the last groups_run */
    int64_t wall;
    int64_t next_sweep_ms;   /* group time */
    uint64_t topics_version; /* counts changes of the catalogue */
    struct arena scratch;    /* of one call */
    size_t running;          /* requests not answered yet */
    uint64_t rebalances_by_cause[BROKER_GROUP_CAUSE_COUNT];
    struct list commits;    /* struct group_commit under way, in the order they came */
    size_t commits_waiting; /* of these: for records, or for an earlier one that does */
    bool topics_changed;    /* since topics_version and `topics` were last brought up to date */
    bool loading;
    bool stopping;
};

/* --- groups.c ------------------------------------------------------------------------------- */

/* Starts loading: everything answers GROUP_LOADING until groups_loaded. Owned by the caller. */
struct groups *groups_new(const struct groups_env *env);
/* Forgets everything; parked requests are never answered. NULL is fine. */
struct groups *groups_free(struct groups *gs);
/* Tells the time: monotonic and wall, in ms. Call before every other call of a turn. */
void groups_time(struct groups *gs, int64_t mono_ms, int64_t wall_ms);
void groups_request(struct groups *gs, struct broker_group *req);
/* Fires what is due. */
void groups_run(struct groups *gs);
/* Monotonic ms of the next timer; INT64_MAX none. */
int64_t groups_next_ms(const struct groups *gs);
/* Refuses what comes from now on and what is parked, with BROKER_STOPPING. */
void groups_stop(struct groups *gs);
/* Topics were made, grew or went. */
void groups_topics_changed(struct groups *gs);
/* Brings `topics` up to date after that. */
void groups_refresh_topics(struct groups *gs);
void groups_check(const struct groups *gs);
/* Appends the state in words. */
void groups_dump(const struct groups *gs, struct buf *out);

/* NULL when there is none. */
struct group *groups_find(const struct groups *gs, struct slice name);
/* NULL when groups.max is reached. */
struct group *groups_make(struct groups *gs, struct slice name);
/* Takes it out and frees it; nothing of it is parked. */
void groups_drop(struct groups *gs, struct group *g);
/* The topic of the catalogue as a group_topic; NULL when there is none. */
struct group_topic *groups_topic(struct groups *gs, struct slice name);
struct group_topic *groups_topic_by_id(struct groups *gs, const uint8_t id[16]);
/* Answers: sets the status and hands over. */
void groups_answer(struct groups *gs, struct broker_group *req, enum broker_status status,
                   const char *message);
/* Memory of the request's results, until its done returned. Zeroed, never NULL. */
void *groups_alloc(struct broker_group *req, size_t count, size_t size);
struct slice groups_copy(struct broker_group *req, struct slice s);
/* Frees the results; after done. */
void groups_release(void *results);
/* "<prefix>-<uuid>", owned by the caller. */
char *groups_new_id(struct groups *gs, struct slice prefix);
int64_t groups_config(const struct groups *gs, enum config_broker_key key);

/* --- groups_load.c -------------------------------------------------------------------------- */

/* One record of the log, or row of the view, in order. Records that cannot be read are passed
 * over: false. */
bool groups_load(struct groups *gs, struct slice key, struct slice value);
/* All is read: members get their time, requests are taken. */
void groups_loaded(struct groups *gs);

/* --- groups_save.c -------------------------------------------------------------------------- */

/* Puts the record of a classic group: its generation, members and assignments. */
void groups_save_classic(struct group *g);
/* Puts what is new of a consumer group, or when it is `unsaved` all of it. */
void groups_save_consumer(struct group *g);
/* Puts tombstones of a consumer group's member, before it is freed, and remembers it until
 * groups_saved_gone. */
void groups_save_gone(struct group_member *m);
/* The tombstones up to this number (group.gone_count of then) are on disk. */
void groups_saved_gone(struct group *g, uint64_t number);
/* Puts tombstones of everything the log has of the group but its offsets, or with them. */
void groups_save_deleted(struct group *g, bool offsets);
void groups_save_offset(struct groups *gs, struct slice group, struct slice topic,
                        int32_t partition, const struct group_record_offset *value);
/* Tombstone. */
void groups_save_no_offset(struct groups *gs, struct slice group, struct slice topic,
                           int32_t partition);

/* --- group.c -------------------------------------------------------------------------------- */

struct group *group_new(struct groups *gs, struct slice name);
void group_free(struct group *g);
/* Asserts that the change is one of the table of states. */
void group_set_state(struct group *g, enum broker_group_state state);
struct group_member *group_find_member(const struct group *g, struct slice id);
struct group_member *group_find_instance(const struct group *g, struct slice instance);
/* Adds one without protocols and subscription. Takes id over. */
struct group_member *group_add_member(struct group *g, char *id, const struct broker_group *req);
/* Takes it out of the group and frees it; nothing of it is parked. */
void group_remove_member(struct group_member *m);
/* Moves the session's end. */
void group_touch(struct group_member *m, int64_t after_ms);
/* A rebalance begins; one that goes on ends here. */
void group_event_begin(struct group *g, enum broker_group_cause cause, const char *member,
                       struct slice reason);
/* The rebalance that goes on, if any, has led to this generation. */
void group_event_end(struct group *g);
void group_check(const struct group *g);
/* Becomes of this model, unless it is; it has no members then. */
void group_become(struct group *g, enum broker_group_type type);

/* --- group_classic.c ------------------------------------------------------------------------ */

void group_classic_join(struct groups *gs, struct broker_group *req);
void group_classic_sync(struct groups *gs, struct broker_group *req);
void group_classic_heartbeat(struct groups *gs, struct broker_group *req);
void group_classic_leave(struct groups *gs, struct broker_group *req);
/* The session of a member ended. */
void group_classic_expired(struct group_member *m);
/* An id that was handed out was not used in time. */
void group_classic_pending_expired(struct group_pending *p);
/* Refuses what is parked. */
void group_classic_refuse(struct group *g, enum broker_status status);

/* --- group_generation.c --------------------------------------------------------------------- */

/* The time of a rebalance's step ended. */
void group_generation_timer(struct group *g);

/* --- groups_view.c -------------------------------------------------------------------------- */

/* The member's topics in its subscription, and partitions in its assignment (ConsumerProtocol);
 * false where they cannot be read or the group is of another protocol type. In gs->scratch. */
bool groups_view_topics(const struct group_member *m, struct slice **topics, size_t *count);
bool groups_view_assigned(const struct group_member *m, struct broker_group_topic **topics,
                          size_t *count);

/* --- group_consumer.c ----------------------------------------------------------------------- */

void group_consumer_beat(struct groups *gs, struct broker_group *req);
/* LeaveGroup of an administrator for static members. */
enum broker_status group_consumer_remove(struct group_member *m);
void group_consumer_expired(struct group_member *m);
void group_consumer_revocation_late(struct group_member *m);
/* The state that follows from the members. */
void group_consumer_settle(struct group *g);

/* --- group_target.c ------------------------------------------------------------------------- */

/* True when the topics that the members want are not those of the target any more. */
bool group_target_stale(struct group *g);
/* Computes the target assignment of the group's epoch. */
void group_target_compute(struct group *g);
/* 0, or 1 when the expression is none. */
int group_target_regex_check(struct slice regex) MUST_CHECK;
/* True when the member wants this topic. */
bool group_target_wants(const struct group_member *m, struct slice topic);

/* --- group_offsets.c ------------------------------------------------------------------------ */

void group_offsets_commit(struct groups *gs, struct broker_group *req);
void group_offsets_forget(struct groups *gs, struct broker_group *req);
struct group_offset *group_offset(const struct group *g, struct slice topic, int32_t partition);
struct slice group_offset_topic(const struct group_offset *o);
/* In memory: sets or removes one. */
void group_offset_set(struct group *g, struct slice topic, int32_t partition,
                      const struct group_record_offset *value);
void group_offset_remove(struct group *g, struct group_offset *o);
void group_offsets_clear(struct group *g);
/* Puts tombstones for what expired by Kafka's rules; true when the group itself may go. */
bool group_offsets_expire(struct group *g);
/* The group is being deleted: tombstones for what is on its way to the disk. */
void group_offsets_delete_commits(const struct group *g);
/* A topic is gone: so are its offsets. */
void group_offsets_drop_topic(struct groups *gs, struct slice topic);
/* After a start: offsets of topics that went while nobody could write that down. */
void group_offsets_drop_orphans(struct groups *gs);
