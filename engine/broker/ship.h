/* SPDX-License-Identifier: MIT
 *
 * ship: what one instance asks of another, free of any transport. The same struct serves both
 * sides: the asking broker fills a call and hands it to its `struct ship_link`; the transport (or a
 * test) carries it to the other broker's broker_ship; the results travel back, and `done` runs once
 * at each side.
 *
 *   asker   broker_follow, broker_promote --> ship_link.send --> net/ship --> wire
 *   asked   wire --> net/nano --> broker_ship --> done --> wire
 *
 * Every call may be lost, repeated, late or out of order: each can be carried out again safely, and
 * an answer says what it is about (term, epoch, offset), so that a stale one is dropped.
 *
 *   REGISTER  a broker tells who it is and on what it stands; is given its broker epoch
 *   RECORDS   cluster records changed since a revision; waits for a change
 *   PULL      batches of many partitions; tells how far the asker is; waits for something to tell;
 *             or, to mend damage, batches that the asker had
 *   VOTE      asks to accept a term; answered with what the voter holds, partition by partition
 *   LEADER    who leads, as far as the asked one knows; of a starting leader, of a lost follower
 *   ADMIN     a change that a client asked of a follower; see broker_forward.c
 *
 * Must not know: sockets, frames, protobuf, time.
 */
#pragma once

#include "engine/broker/broker.h"

#define SHIP_PULL_ENTRIES_MAX 4096
#define SHIP_HOST_MAX         256

enum ship_kind {
    SHIP_REGISTER,
    SHIP_RECORDS,
    SHIP_PULL,
    SHIP_VOTE,
    SHIP_LEADER,
    SHIP_ADMIN,
};
#define SHIP_KIND_COUNT 6

/* Who a broker is. Texts are NUL-ended. */
struct ship_node {
    int32_t id; /* -1: unknown */
    uint64_t incarnation;
    uint8_t folder[16]; /* of the data folder, made once */
    uint8_t boot[16];   /* of the running system: another one after a power loss */
    char native[SHIP_HOST_MAX];
    char kafka_host[SHIP_HOST_MAX]; /* as clients shall dial it; "" none */
    int32_t kafka_port;
    char rack[SHIP_HOST_MAX];
};

/* Who leads, by the asked one. */
struct ship_leader {
    uint32_t term;
    int32_t id; /* -1: none known in this term */
    char native[SHIP_HOST_MAX];
};

struct ship_register {
    struct ship_node node;
    bool fresh;   /* the folder holds no partition yet */
    bool unclean; /* the system went down under it: what was not synced is lost */
    bool goodbye; /* not a registration, but the end of that with the call's broker_epoch: it stops,
                     and need not be waited for */
    /* results */
    int64_t broker_epoch;
};

struct ship_record {
    struct slice key;
    struct slice value; /* p NULL: deleted */
};
struct ship_records {
    int64_t since; /* revision the asker has; -1: nothing */
    int64_t begun; /* since is the end of a page: of the listing that began at this revision; -1;
                      as a result: of the one that `whole` or `more` speak of */
    uint32_t max_wait_ms;
    size_t size_max; /* of all keys and values; the first record comes whole. 0: the transport's */
    /* results: at the asker until ship_link.release */
    struct ship_record *records; /* changed since, oldest change first */
    size_t count;
    bool whole; /* these are all there are: every other mirrored record is gone */
    bool more;  /* cut at size_max: ask again from `revision`; `whole` then speaks of all parts, the
                   last of which has more = false */
    int64_t revision; /* the asker has everything up to here */
    int64_t position; /* the last change of all: to tell which broker has the newest records */
};

enum ship_pull_status {
    SHIP_PULL_OK,
    SHIP_PULL_FENCED, /* the asker's leader epoch is below the leader's */
    SHIP_PULL_AHEAD,  /* it is above: the asked one has not got there */
    SHIP_PULL_NOT_LEADER,
    SHIP_PULL_UNREGISTERED, /* the broker epoch is over: register again */
    SHIP_PULL_UNKNOWN,      /* no such partition, or not one of its replicas */
    SHIP_PULL_DIVERGING,    /* cut to (diverge_epoch, diverge_end) and ask again */
    SHIP_PULL_OUT_OF_RANGE, /* the offset is below log_start: begin there anew */
    SHIP_PULL_LOADING,      /* ask again */
    SHIP_PULL_STORAGE,      /* damage at the asked one: [offset, next_good) cannot be read */
};
#define SHIP_PULL_STATUS_COUNT 10

struct ship_pull_entry {
    uint8_t topic[16]; /* id */
    int32_t partition;
    int32_t leader_epoch;
    int64_t offset;         /* wanted: the asker's reserved end */
    int32_t last_epoch;     /* of the batch before it; -1: none */
    int32_t reached;        /* the epoch that the asker's log stands on, durable; see replica.h */
    int64_t durable;        /* the asker's durable end (written, where durability=os) */
    int64_t high_watermark; /* the asker's */
    uint32_t size_max;      /* 0: tells how far the asker is, wants nothing */
    /* results; entries without news are not answered (`answered` false) */
    bool answered;
    enum ship_pull_status status;
    int64_t leader_high_watermark;
    int64_t log_start;
    int64_t leader_end;  /* the leader's written end, for lag */
    int64_t epoch_start; /* where the leader's epoch began: who has that stands on it */
    int32_t diverge_epoch;
    int64_t diverge_end;
    int64_t next_good;
    int64_t segment;    /* base offset of the segment the bytes are from */
    struct slice bytes; /* whole batches; at the asker until ship_link.release */
    void *pin;          /* the asked one's, until broker_ship_release */
};
struct ship_pull {
    struct ship_pull_entry *entries; /* at most SHIP_PULL_ENTRIES_MAX */
    size_t count;                    /* at least 1 */
    uint32_t max_wait_ms;
    /* The asker has damage there: any replica answers, whoever leads, with what is committed; the
     * leader, to a leader_epoch that is its own, with all it has. Nobody is counted by it. */
    bool mend;
    size_t size_max; /* of all bytes; the first batch comes whole, however large. The transport may
                        lower it */
};

/* What a voter holds of one partition. */
struct ship_holding {
    uint8_t topic[16];
    int32_t partition;
    int32_t reached; /* the epoch its log stands on; see replica.h */
    int64_t end;     /* durable */
    int64_t high_watermark;
    bool intact; /* nothing that was ever counted is missing */
};
struct ship_vote {
    uint32_t term;
    bool ask_only;              /* would you? nothing is remembered */
    uint64_t incarnation;       /* of the candidate's process */
    char native[SHIP_HOST_MAX]; /* of the candidate */
    /* results */
    bool accepted;
    uint32_t accepted_term;        /* the greatest this voter has accepted */
    uint32_t records_term;         /* how new its records are: of the leader of this term, */
    int64_t records_position;      /* up to this change; -1 none */
    struct ship_holding *holdings; /* at the asker until ship_link.release */
    size_t count;
};

/* A change to be made by the leader; broker_forward.c says which. Question: op, names, numbers,
 * configs, quotas, the asker's until done. Results, with BROKER_OK: producer id and epoch, topic
 * id, partition count; else the call's status and message say why. */
struct ship_admin {
    struct broker_admin req;
};

struct ship_call {
    enum ship_kind kind;
    char cluster_id[23];  /* of the asker; "": it has none yet */
    int32_t from;         /* its id */
    int32_t to;           /* the asked one's id, -1: whoever is there */
    int64_t broker_epoch; /* the asker's; -1: none yet */
    uint32_t term;
    uint32_t timeout_ms; /* the transport gives up then: BROKER_TIMED_OUT; beyond max_wait_ms, with
                             room for an answer on a slow line. 0: the transport's */
    union {
        struct ship_register reg;
        struct ship_records records;
        struct ship_pull pull;
        struct ship_vote vote;
        struct ship_admin admin;
    };
    /* results, whatever the status */
    enum broker_status status;
    char message[256];
    char answer_cluster_id[23];
    int32_t answer_from;
    struct ship_leader leader;
    void (*done)(struct ship_call *call);
    void *ctx;
    struct { /* the broker's at the asked side, the transport's at the asking one */
        struct list link;
        void *state;
    } priv;
};

/* Carries calls to other brokers. */
struct ship_link {
    /* Sends `call` to `native` (an address as in ship_node; borrowed inside the call). done runs
     * later, never inside; the call and what it points to stay until then. */
    void (*send)(void *ctx, const char *native, struct ship_call *call);
    /* After done, once for each call: the bytes and texts of its results go. Bytes of a pull stay
     * until then, so that they can be written from where they were received. */
    void (*release)(void *ctx, struct ship_call *call);
    /* Every call that is out is completed soon with BROKER_STOPPING. */
    void (*cancel)(void *ctx);
    void *ctx;
};

/* Serves a call of another broker. done runs later, on the owner thread, never inside. */
void broker_ship(struct broker *b, struct ship_call *call);
/* The asker went away: a waiting call completes soon. */
void broker_ship_cancel(struct broker *b, struct ship_call *call);
/* After done, when the results were copied or sent: unpins and frees them. */
void broker_ship_release(struct broker *b, struct ship_call *call);
