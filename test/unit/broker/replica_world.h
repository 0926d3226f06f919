/* SPDX-License-Identifier: MIT
 *
 * replica_world: a few model brokers and one partition around the real replica.c and election.c,
 * all decided by a seed. Logs are arrays of (epoch, number), disks keep what was synced and what
 * they like of the rest, pulls and their answers are lost, late, repeated and out of order, links
 * are cut, processes die, systems lose their power, outcomes of changes get lost, and brokers are
 * promoted at any time, by votes that break off anywhere.
 *
 * The judge looks at what clients see:
 *   J1 what was acknowledged is in the log of every leader of that term or a later one
 *   J2 an offset that was readable anywhere never has another content
 *   J3 nobody is told to cut its log below its own high watermark
 */
#pragma once

#include "engine/base/random.h"
#include "engine/broker/election.h"
#include "engine/broker/replica_rules.h"

#define WORLD_BROKERS  5
#define WORLD_LOG_MAX  2048
#define WORLD_MESSAGES 16
#define WORLD_COPY_MAX 4
#define WORLD_LAG_MS   120

/* Bugs of what is around the rules; the rules themselves: replica_rules.h. */
#define WORLD_COUNT_UNSYNCED (1u << 0)  /* a follower counts before its sync */
#define WORLD_CUT_TO_MARK    (1u << 1)  /* who follows a new leader cuts to its high watermark */
#define WORLD_FOLLOW_LIGHTLY (1u << 2)  /* follows a greater term without writing that down */
#define WORLD_BLIND          (1u << 3)  /* pulls agree by the offset alone, without an epoch */
#define WORLD_LEAD_EARLY     (1u << 4)  /* leads before it has what the best has */
#define WORLD_FORGETS        (1u << 5)  /* what it promised is gone after a crash */
#define WORLD_REACHED_BACK   (1u << 6)  /* a cut takes back what epoch was reached */
#define WORLD_TELL_LAST      (1u << 10) /* votes tell the epoch of the last batch */
#define WORLD_LEAD_UNSYNCED  (1u << 7)  /* durability=os: leads before its log is synced */
#define WORLD_FRESH_HASTY    (1u << 8)  /* a wiped one follows before all told their term */
#define WORLD_COPY_ANY       (1u << 9)  /* the best serves after a restart, unasked */

struct world_setup {
    uint64_t seed;
    int32_t replicas; /* 0: three */
    uint32_t min_insync;
    bool os;        /* durability=os: what is written counts; few power losses at a time */
    bool wipes;     /* folders are lost, one at a time */
    unsigned rules; /* off */
    unsigned bugs;
    size_t steps;
};

struct world_record {
    int32_t epoch; /* -1: none */
    uint32_t number;
};

/* cluster/leader and parts/ in one. */
struct world_state {
    struct election_position at;
    int32_t leader;
    uint32_t start;
    struct replica_ids isr;
    struct replica_ids elr;
};

enum world_role { WORLD_IDLE, WORLD_FOLLOWER, WORLD_CANDIDATE, WORLD_LEADER };

struct world_broker {
    int32_t id;
    bool up;
    /* on disk */
    struct world_record log[WORLD_LOG_MAX];
    int64_t end;
    int64_t synced;
    int64_t saved_mark;
    int32_t reached;
    struct election_promise promise;
    struct election_standing standing;
    struct world_state state; /* its own while it leads, else as mirrored */
    int64_t revision;         /* of its own store, the last */
    uint64_t incarnation;
    bool fresh;                        /* does not know what it promised */
    int64_t registered[WORLD_BROKERS]; /* broker epochs it gave as leader; -1 */
    /* in memory */
    enum world_role role;
    int64_t mark; /* high watermark */
    int32_t leader;
    int32_t epoch; /* of the leader it follows */
    uint32_t term;
    int64_t broker_epoch;
    struct replica_set set;
    uint32_t waits[WORLD_LOG_MAX]; /* number of the record a producer waits for; 0 */
    bool late;                     /* a change whose outcome is unknown may be written yet */
    struct replica_change change;
    struct election_answer answers[WORLD_BROKERS];
    struct election_result result;
    uint32_t voted;      /* the term of the vote this process answered; 0: none */
    bool copied;         /* candidate: its log is that of the best */
    int32_t matched;     /* follower: its log stands on this epoch, once it is synced ... */
    int64_t epoch_start; /* ... to here */
};

struct world_message {
    bool used;
    bool answer;
    size_t after; /* not delivered before this step */
    int32_t from;
    int32_t to;
    uint32_t term;
    struct replica_pull pull; /* also in the answer: what it is about */
    int32_t last_epoch;
    enum { WORLD_DATA, WORLD_DIVERGING, WORLD_REFUSED } status;
    int32_t diverge_epoch;
    int64_t diverge_end;
    int64_t mark;
    int64_t epoch_start;
    size_t count;
    struct world_record records[WORLD_COPY_MAX];
};

struct world {
    struct random random;
    struct world_setup setup;
    int32_t count;
    struct world_broker brokers[WORLD_BROKERS];
    struct world_message messages[WORLD_MESSAGES];
    bool cut[WORLD_BROKERS][WORLD_BROKERS]; /* one way */
    int64_t now_ms;
    uint64_t crashes; /* how often, of 1,000: each seed has its own weather */
    uint64_t heals;
    uint64_t promotions;
    uint64_t syncs;
    uint64_t pulls[WORLD_BROKERS];
    uint64_t delays;
    size_t step;
    size_t power_at; /* the last loss, of power or folder; 0 none */
    uint32_t numbers;
    struct world_record seen[WORLD_LOG_MAX]; /* what was readable */
    uint32_t acked[WORLD_LOG_MAX];
    uint32_t acked_term[WORLD_LOG_MAX];
    int64_t acked_end;
    size_t acks;
    size_t leaders;
    size_t cuts;
    size_t losses;
    bool trace;
    char fault[256]; /* "" while all is well */
};

void world_init(struct world *w, const struct world_setup *setup);
void world_step(struct world *w);
/* Runs to the end or to the first fault. True when all is well. */
bool world_run(struct world *w, const struct world_setup *setup);

/* --- between the files of the world --- */
bool world_chance(struct world *w, uint64_t in_1000);
int64_t world_between(struct world *w, int64_t low, int64_t high); /* both included */
void world_fault(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void world_note(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool world_linked(const struct world *w, int32_t from, int32_t to); /* there and back, both up */
int64_t world_end(const struct world *w, const struct world_broker *b); /* counted */
int32_t world_last_epoch(const struct world_broker *b, int64_t end);
int64_t world_epoch_end(const struct world_broker *b, int32_t epoch);
/* Cuts towards agreement with (epoch, end). */
void world_cut(struct world *w, struct world_broker *b, int32_t epoch, int64_t end);
void world_append(struct world *w, struct world_broker *b, struct world_record r);
void world_mark(struct world *w, struct world_broker *b, int64_t mark);
void world_idle(struct world_broker *b);
void world_lead(struct world *w, struct world_broker *b);
void world_follow(struct world *w, struct world_broker *b, struct world_broker *leader);
/* The follower's or leader's end moved. */
void world_settle_leader(struct world *w, struct world_broker *b);
void world_moved(struct world *w, struct world_broker *b);
void world_look(struct world *w, struct world_broker *b);
void world_register(struct world *w, struct world_broker *b);
void world_mirror(struct world *w, struct world_broker *b);
void world_change(struct world *w, struct world_broker *b);
void world_late(struct world *w, struct world_broker *b);
void world_pull(struct world *w, struct world_broker *b);
void world_deliver(struct world *w);
void world_produce(struct world *w, struct world_broker *b);
void world_promote(struct world *w, struct world_broker *b);
void world_crash(struct world *w, struct world_broker *b);
void world_restart(struct world *w, struct world_broker *b);
