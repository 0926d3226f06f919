/* SPDX-License-Identifier: MIT
 *
 * broker_group: consumer groups and their committed offsets, as the fronts see them. One engine,
 * two models:
 *
 *   classic    Kafka's JoinGroup, SyncGroup, Heartbeat, LeaveGroup: the members' own assignor
 *              divides the partitions, the broker only carries its bytes (KIP-62, 345, 394, 559).
 *              Any protocol type: "consumer", "connect", "sr".
 *   consumer   one heartbeat a member: the broker divides, and moves partitions member by member
 *              without a common pause (KIP-848). Kafka's ConsumerGroupHeartbeat and the native
 *              protocol are the same call here, so their members share groups.
 *
 * A group is of one model at a time; when its last member left it may become the other.
 *
 * What changes something is a request, as in broker.h: the struct and what it points to are the
 * caller's until `done` ran, once, on the owner thread, never inside the starting call. Results may
 * be read until `done` returns. Answers to what must survive (offsets, generations, assignments)
 * come when the log __consumer_offsets has it on disk. What only reads is a plain call.
 *
 * While the broker reads its groups after a start everything answers BROKER_GROUP_LOADING: never
 * "no offset", never "no such group".
 */
#pragma once

#include "engine/broker/broker.h"

enum broker_group_type {
    BROKER_GROUP_CLASSIC,
    BROKER_GROUP_CONSUMER,
};
#define BROKER_GROUP_TYPE_COUNT 2
/* "classic", "consumer": Kafka's words. */
const char *broker_group_type_text(enum broker_group_type t);

enum broker_group_state {
    BROKER_GROUP_EMPTY,       /* no members; offsets only */
    BROKER_GROUP_PREPARING,   /* classic: waits for its members to join */
    BROKER_GROUP_COMPLETING,  /* classic: waits for the leader's assignment */
    BROKER_GROUP_STABLE,      /* every member has what it should have */
    BROKER_GROUP_ASSIGNING,   /* consumer: a new assignment is due */
    BROKER_GROUP_RECONCILING, /* consumer: partitions are on their way between members */
    BROKER_GROUP_DEAD,        /* gone */
};
#define BROKER_GROUP_STATE_COUNT 7
/* "Empty", "PreparingRebalance", ...: Kafka's words. */
const char *broker_group_state_text(enum broker_group_state s);

/* --- requests ------------------------------------------------------------------------------- */

enum broker_group_op {
    BROKER_GROUP_JOIN,
    BROKER_GROUP_SYNC,
    BROKER_GROUP_HEARTBEAT,
    BROKER_GROUP_LEAVE,
    BROKER_GROUP_BEAT,   /* the consumer model's one call */
    BROKER_GROUP_COMMIT, /* offsets */
    BROKER_GROUP_FORGET, /* offsets */
    BROKER_GROUP_DELETE, /* an empty group with its offsets */
};
#define BROKER_GROUP_OP_COUNT 8

struct broker_group_protocol {
    struct slice name;
    struct slice metadata; /* opaque */
};

/* A member as the leader of a classic group is told of it. */
struct broker_group_joined {
    struct slice id;
    struct slice instance; /* p NULL: none */
    struct slice metadata; /* for the chosen protocol */
};

struct broker_group_join {
    struct slice protocol_type;
    const struct broker_group_protocol *protocols;
    size_t protocol_count;
    int32_t session_timeout_ms;
    int32_t rebalance_timeout_ms; /* < 0: as the session's */
    bool id_required;             /* a new member is given its id first (KIP-394) */
    bool may_skip;                /* knows skip_assignment (KIP-814) */
    struct slice reason;          /* for the history; p NULL: none */
    /* results */
    struct slice protocol; /* p NULL with an error */
    struct slice leader;
    struct slice member; /* the id it has from now on */
    int32_t generation;
    bool skip_assignment;                      /* leader: the assignment stands (KIP-814) */
    const struct broker_group_joined *members; /* leader: all of them */
    size_t member_count;
};

struct broker_group_assigned {
    struct slice member;
    struct slice assignment; /* opaque */
};

struct broker_group_sync {
    struct slice protocol_type; /* p NULL: not told */
    struct slice protocol;
    const struct broker_group_assigned *assignments; /* leader: one a member */
    size_t assignment_count;
    /* results; the two above are what the group has */
    struct slice assignment;
};

struct broker_group_leaver {
    struct slice member;   /* empty with an instance: whoever has it */
    struct slice instance; /* p NULL: none */
    struct slice reason;
    enum broker_status status; /* result */
};

struct broker_group_leave {
    struct broker_group_leaver *leavers;
    size_t count;
};

/* Partitions of one topic. */
struct broker_group_topic {
    struct slice name; /* input: p NULL when the id is told instead */
    uint8_t id[16];
    const int32_t *partitions;
    size_t count;
};

#define BROKER_GROUP_EPOCH_JOIN         0
#define BROKER_GROUP_EPOCH_LEAVE        (-1)
#define BROKER_GROUP_EPOCH_LEAVE_STATIC (-2) /* comes back; its partitions wait for it */

/* One heartbeat of the consumer model. The member's epoch is the request's `generation`; its id is
 * chosen by the client, or when empty at the first by the broker. */
struct broker_group_beat {
    struct slice rack;            /* p NULL: as before */
    int32_t rebalance_timeout_ms; /* -1: as before */
    const struct slice *topics;   /* subscription; NULL: as before */
    size_t topic_count;
    struct slice regex;                     /* p NULL: as before; empty: none */
    struct slice assignor;                  /* "uniform", "range"; p NULL: as before */
    const struct broker_group_topic *owned; /* what it holds now; NULL: as told before */
    size_t owned_count;
    /* results */
    struct slice member;
    int32_t epoch; /* the member's from now on */
    int32_t interval_ms;
    bool has_assignment;                         /* else what it has stands */
    const struct broker_group_topic *assignment; /* with names and ids */
    size_t assignment_count;
};

struct broker_group_offset_item {
    struct slice topic;
    int32_t partition;
    int64_t offset;
    int32_t leader_epoch; /* -1: not told */
    struct slice metadata;
    enum broker_status status; /* result */
};

struct broker_group_offsets {
    struct broker_group_offset_item *items;
    size_t count;
};

struct broker_group {
    enum broker_group_op op;
    struct slice group;
    struct slice member;   /* id; empty: none yet, or an administrator's commit */
    struct slice instance; /* group.instance.id (KIP-345); p NULL: none */
    int32_t generation;    /* of the group, or the member's epoch; -1: none */
    struct slice client_id;
    struct slice client_host;
    union {
        struct broker_group_join join;
        struct broker_group_sync sync;
        struct broker_group_leave leave;
        struct broker_group_beat beat;
        struct broker_group_offsets commit; /* COMMIT and FORGET */
    };
    enum broker_status status; /* result; of the request as a whole */
    const char *message;       /* static detail or NULL */
    void (*done)(struct broker_group *req);
    void *ctx;
    struct { /* the broker's */
        struct list link;
        void *state;
    } priv;
};

/* Bounds: ids, names and types beyond 249 bytes, more than BROKER_GROUP_PROTOCOLS_MAX protocols,
 * metadata or assignments over BROKER_GROUP_BYTES_MAX are refused. */
#define BROKER_GROUP_NAME_MAX      249
#define BROKER_GROUP_PROTOCOLS_MAX 32
#define BROKER_GROUP_BYTES_MAX     (1u << 20)

/* What each operation may answer, beside BROKER_OK, BROKER_STOPPING, BROKER_GROUP_LOADING,
 * BROKER_BAD_GROUP_ID, BROKER_BUSY (a limit is reached) and BROKER_GROUP_UNAVAILABLE (could not be
 * written down; repeat):
 *
 *   JOIN       BAD_SESSION_TIMEOUT, INCONSISTENT_PROTOCOL, UNKNOWN_MEMBER, MEMBER_ID_REQUIRED (the
 *              id is in join.member), INSTANCE_FENCED, GROUP_FULL, REBALANCE (another join of this
 *              member took the place of this one)
 *   SYNC       UNKNOWN_MEMBER, ILLEGAL_GENERATION, INCONSISTENT_PROTOCOL, INSTANCE_FENCED,
 *              REBALANCE
 *   HEARTBEAT  UNKNOWN_MEMBER, ILLEGAL_GENERATION, INSTANCE_FENCED, REBALANCE (join again)
 *   LEAVE      each leaver: UNKNOWN_MEMBER, INSTANCE_FENCED
 *   BEAT       BAD_REQUEST, UNKNOWN_MEMBER, MEMBER_EPOCH_FENCED, INSTANCE_FENCED, INSTANCE_HELD,
 *              UNKNOWN_ASSIGNOR, BAD_REGEX, UNKNOWN_GROUP (a classic group), GROUP_FULL
 *   COMMIT     UNKNOWN_MEMBER, ILLEGAL_GENERATION, MEMBER_EPOCH_STALE, INSTANCE_FENCED, REBALANCE,
 *              UNKNOWN_GROUP; each item: UNKNOWN_TOPIC, UNKNOWN_PARTITION, METADATA_TOO_LARGE,
 *              OFFSET_OUT_OF_RANGE (beyond the end that is on disk)
 *   FORGET     UNKNOWN_GROUP, GROUP_NOT_EMPTY (members of another type than consumers); each item:
 *              GROUP_SUBSCRIBED, UNKNOWN_TOPIC, UNKNOWN_PARTITION; no such offset is no error
 *   DELETE     GROUP_NOT_EMPTY, UNKNOWN_GROUP
 */
void broker_group(struct broker *b, struct broker_group *req);

/* --- looking around (memory only) ------------------------------------------------------------- */

/* BROKER_OK once everything below tells the truth; BROKER_GROUP_LOADING before that. */
enum broker_status broker_groups_ready(const struct broker *b);

/* What the calls below hand out is borrowed until the next call into the broker. */
struct broker_group_info {
    struct slice name;
    enum broker_group_type type;
    enum broker_group_state state;
    struct slice protocol_type; /* "" while it never had members */
    struct slice protocol;      /* the chosen assignor; "" none */
    struct slice leader;        /* classic; "" none */
    int32_t generation;         /* consumer: the group's epoch */
    int32_t assignment_epoch;   /* consumer: of the target assignment */
    size_t member_count;
    size_t offset_count;
    int64_t state_since_ms; /* wall */
};

/* 0, or 1 when there is no such group. */
int broker_group_info(const struct broker *b, struct slice name,
                      struct broker_group_info *out) MUST_CHECK;
/* Every group, in no order. */
void broker_groups_each(const struct broker *b,
                        void (*fn)(void *ctx, const struct broker_group_info *g), void *ctx);

struct broker_group_member {
    struct slice id;
    struct slice instance; /* p NULL: none */
    struct slice rack;
    struct slice client_id;
    struct slice client_host;
    int32_t epoch;              /* consumer; classic: the group's generation */
    struct slice metadata;      /* classic: opaque, for the chosen protocol */
    struct slice assignment;    /* classic: opaque */
    const struct slice *topics; /* subscription, where it can be read */
    size_t topic_count;
    struct slice regex;                        /* consumer; "" none */
    const struct broker_group_topic *assigned; /* where it can be read */
    size_t assigned_count;
    const struct broker_group_topic *target; /* consumer */
    size_t target_count;
};

/* Every member, in the order they joined. */
void broker_group_members(const struct broker *b, struct slice name,
                          void (*fn)(void *ctx, const struct broker_group_member *m), void *ctx);

struct broker_group_offset {
    struct slice topic;
    int32_t partition;
    int64_t offset; /* the next record to read */
    int32_t leader_epoch;
    struct slice metadata;
    int64_t commit_ms;  /* wall: of the last commit */
    int64_t moved_ms;   /* wall: of the last commit that moved it */
    struct slice owner; /* member id that has the partition now; p NULL: nobody, or not known */
};

/* 0, or 1 when nothing is committed for it. */
int broker_group_offset(const struct broker *b, struct slice group, struct slice topic,
                        int32_t partition, struct broker_group_offset *out) MUST_CHECK;
/* Every committed offset of a group, and with `assigned` also every partition that a member has and
 * nobody committed for (offset -1); by topic and partition. */
void broker_group_offsets(const struct broker *b, struct slice group, bool assigned,
                          void (*fn)(void *ctx, const struct broker_group_offset *o), void *ctx);

/* Why a group was rebalanced, or a member moved. */
enum broker_group_cause {
    BROKER_GROUP_CAUSE_JOINED,   /* a new member */
    BROKER_GROUP_CAUSE_REJOINED, /* a member asked for it: its subscription changed, or it led */
    BROKER_GROUP_CAUSE_LEFT,     /* a member said so */
    BROKER_GROUP_CAUSE_EXPIRED,  /* no heartbeat within the session timeout */
    BROKER_GROUP_CAUSE_LATE,     /* not back within the rebalance timeout */
    BROKER_GROUP_CAUSE_REPLACED, /* a static member came back under another id */
    BROKER_GROUP_CAUSE_SUBSCRIPTION, /* consumer: a member wants other topics */
    BROKER_GROUP_CAUSE_TOPICS,       /* consumer: topics were made, grew or went */
};
#define BROKER_GROUP_CAUSE_COUNT 8
/* "member joined", ... static. */
const char *broker_group_cause_text(enum broker_group_cause c);

struct broker_group_rebalance {
    int64_t began_ms; /* wall */
    int64_t ended_ms; /* wall; -1: still going on */
    enum broker_group_cause cause;
    struct slice member; /* whose doing; "" nobody's */
    struct slice reason; /* in its own words; "" none */
    int32_t generation;  /* that it led to */
    size_t member_count; /* at its end */
};

/* The rebalances of a group since the broker started, oldest first; at most
 * BROKER_GROUP_HISTORY_MAX are remembered. */
#define BROKER_GROUP_HISTORY_MAX 64
void broker_group_history(const struct broker *b, struct slice name,
                          void (*fn)(void *ctx, const struct broker_group_rebalance *r), void *ctx);
