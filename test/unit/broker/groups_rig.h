/* SPDX-License-Identifier: MIT
 *
 * groups_rig: the group engine alone, with everything around it by hand: topics that tests make,
 * grow and delete, a log in memory with a durable end, a clock that stands still, answers in a
 * list. Nothing is left to chance.
 *
 *   disk       AT_ONCE: what was put is durable at the end of the call; HELD: grig_disk says when
 *              and how it ends; FULL: it never gets there, everybody who waits hears of it
 *   restart    what was not durable is gone; a new engine reads the log: all of it, or the last
 *              record of each key in the order of the keys, or rows first and then the rest
 *
 * After every call the rig checks: groups_check; no partition has two owners; as many requests are
 * under way as have no answer; none is answered twice; and, when nothing is on its way to the disk,
 * that an engine that reads the log comes to the same groups and offsets, all three ways.
 *
 * Requests are told in words: struct grig_ask, of which each operation reads what it needs. Lists
 * of partitions look like "t:0,1;u:2", in asks and in answers. In types, protocols, racks and
 * expressions a '%' is a zero byte.
 */
#pragma once

#include <check.h>

#include "engine/base/arena.h"
#include "engine/broker/groups.h"
#include "engine/broker/groups_view.h"

#define GRIG_TOPICS_MAX 16
#define GRIG_WAITS_MAX  256
#define GRIG_WALL       INT64_C(1700000000000)

enum grig_disk {
    GRIG_DISK_AT_ONCE,
    GRIG_DISK_HELD,
    GRIG_DISK_FULL,
};

enum grig_load {
    GRIG_LOAD_LOG,
    GRIG_LOAD_ROWS,
    GRIG_LOAD_MIXED,
};
#define GRIG_LOAD_COUNT 3

struct grig_topic {
    const char *name;
    uint8_t id[16];
    int32_t partitions;
    int64_t written; /* end of every partition, as consumers see it */
    int64_t durable;
    bool gone;
};

struct grig_record {
    struct slice key;
    struct slice value; /* p NULL: a tombstone */
};

struct grig_call {
    struct broker_group req;
    struct grig *rig;
    struct grig_call *next;
    bool answered;
    bool lost;    /* its broker was restarted */
    size_t order; /* of the answer, from 1 */
};

struct grig {
    struct config *config;
    struct groups *groups;
    struct arena memory; /* texts, records, calls */
    struct grig_topic topics[GRIG_TOPICS_MAX];
    size_t topic_count;
    uint64_t next_id;
    struct grig_record *records; /* owned array */
    size_t record_count;
    size_t record_cap;
    size_t durable; /* of records */
    struct groups_wait *waits[GRIG_WAITS_MAX];
    size_t wait_ends[GRIG_WAITS_MAX]; /* how many records each waits for */
    size_t wait_count;
    struct groups_wait *settles[GRIG_WAITS_MAX];
    size_t settle_count;
    struct list ready;
    struct grig_call *calls;
    enum grig_disk disk;
    bool settle_held;
    bool dying;
    bool blind; /* no engine beside it reads the log */
    bool torn;  /* a tombstone was lost: an offset or an empty group may be in the log and not in
                   memory, until it expires again */
    size_t answers;
    size_t open; /* requests without answer */
    int64_t mono;
    int64_t wall;
    uint64_t seed;
    unsigned number; /* for messages */
};

/* NULL and 0 are "not told" unless said otherwise. */
struct grig_ask {
    const char *group; /* NULL: "g" */
    const char *member;
    const char *instance;
    const char *client; /* NULL: "c" */
    int32_t generation;
    /* join */
    const char *type;      /* NULL: "consumer" */
    const char *protocols; /* "range=abc,sticky"; NULL: "range" */
    const char *metadata;  /* where a protocol does not say; NULL: "m" */
    const char *topics;    /* "t,u"; join: the metadata is a subscription to these */
    int32_t session_ms;    /* 0: 10000 */
    int32_t rebalance_ms;  /* 0: 60000 */
    bool id_required;
    bool may_skip;
    bool late_wish; /* beat: no rebalance timeout is told */
    /* sync */
    const char *protocol;
    const char *assign; /* "id=abc;id=def" */
    /* leave */
    const char *leavers; /* "id;id@instance;@instance" */
    /* beat; `topics` "": an empty list */
    const char *regex;
    const char *assignor;
    const char *rack;
    const char *owned;
    bool owned_by_id;
    /* commit and forget */
    const char *offsets; /* "t:0=5;t:1=7" */
    const char *note;    /* their metadata */
    int32_t leader_epoch;
};
#define ASK(...) ((struct grig_ask){__VA_ARGS__})

/* `sets` are "key=value" of the broker's configuration, NULL at the end; NULL: none. */
void grig_init(struct grig *g, const char *const *sets);
void grig_deinit(struct grig *g);
void grig_config(struct grig *g, const char *key, const char *value);

/* Asks, and lets everything happen that happens at once. The call is the rig's. */
struct grig_call *grig_ask(struct grig *g, enum broker_group_op op, const struct grig_ask *ask);
#define JOIN(g, ...)      grig_ask(g, BROKER_GROUP_JOIN, &ASK(__VA_ARGS__))
#define SYNC(g, ...)      grig_ask(g, BROKER_GROUP_SYNC, &ASK(__VA_ARGS__))
#define HEARTBEAT(g, ...) grig_ask(g, BROKER_GROUP_HEARTBEAT, &ASK(__VA_ARGS__))
#define LEAVE(g, ...)     grig_ask(g, BROKER_GROUP_LEAVE, &ASK(__VA_ARGS__))
#define BEAT(g, ...)      grig_ask(g, BROKER_GROUP_BEAT, &ASK(__VA_ARGS__))
#define COMMIT(g, ...)    grig_ask(g, BROKER_GROUP_COMMIT, &ASK(__VA_ARGS__))
#define FORGET(g, ...)    grig_ask(g, BROKER_GROUP_FORGET, &ASK(__VA_ARGS__))
#define DELETE(g, ...)    grig_ask(g, BROKER_GROUP_DELETE, &ASK(__VA_ARGS__))

/* Time passes, timer after timer. */
void grig_sleep(struct grig *g, int64_t ms);
/* Time passes at once: the broker stood still. */
void grig_stall(struct grig *g, int64_t ms);
/* Wall time alone. */
void grig_wall(struct grig *g, int64_t ms);
/* HELD: the oldest `count` waits end, 0 or not. */
void grig_disk(struct grig *g, size_t count, int result);
/* settle_held: all partitions that are waited for are durable, or cannot be. */
void grig_settle(struct grig *g, int result);
void grig_restart(struct grig *g, enum grig_load how);

struct grig_topic *grig_topic(struct grig *g, const char *name, int32_t partitions);
void grig_topic_grow(struct grig *g, struct grig_topic *t, int32_t partitions);
void grig_topic_delete(struct grig *g, struct grig_topic *t);

/* Texts live as long as the rig. */
const char *grig_text(struct grig *g, struct slice s);
/* The id that a join or beat came to. */
const char *grig_id(struct grig_call *c);
/* What a beat was told: "t:0,1", "" nothing at all, "-" it stands. */
const char *grig_told(struct grig_call *c);
/* The offset as "5 epoch 1 'note'"; "-" none. */
const char *grig_offset(struct grig *g, const char *group, const char *topic, int32_t partition);
struct group *grig_group(struct grig *g, const char *name); /* NULL: "g" */
struct group_member *grig_member(struct grig *g, const char *id);
const char *grig_group_state(struct grig *g); /* of "g"; "none" */

/* --- groups_rig_state.c --- */

/* Everything, with timers. */
const char *grig_state(struct grig *g);
/* What the rig checks after each call. */
void grig_check(struct grig *g);
void grig_load(struct grig *g, struct groups *gs, enum grig_load how);
const char *grig_set(struct grig *g, const struct group_set *s);

/* --- groups_rig_classic.c --- */

/* Three members of "g": a leads, s is static with the instance "i". */
struct grig_trio {
    const char *a;
    const char *b;
    const char *s;
    int32_t generation;
};

/* STABLE, assignments "A", "B" and "S"; the initial delay must be 0. */
void grig_trio(struct grig *g, struct grig_trio *t);
/* All three join again: COMPLETING, at the next generation. */
void grig_trio_join(struct grig *g, struct grig_trio *t);
void grig_trio_sync(struct grig *g, struct grig_trio *t);
/* Runs the tests; the exit code. */
int grig_main(const char *suite, const TTest *const *tests, size_t count);
#define GRIG_MAIN(suite, tests) grig_main(suite, tests, sizeof(tests) / sizeof((tests)[0]))

/* The call has this answer. */
#define ANSWER(call, want)                                                                         \
    do {                                                                                           \
        const struct grig_call *c_ = (call);                                                       \
        ck_assert_msg(c_->answered, "%s: no answer", #call);                                       \
        ck_assert_str_eq(broker_status_text(c_->req.status), broker_status_text(want));            \
    } while (0)
/* It has none yet. */
#define PARKED(call) ck_assert_msg(!(call)->answered, "%s: answered", #call)
/* It has this answer and changed nothing. */
#define REFUSED(g, call, want)                                                                     \
    do {                                                                                           \
        const char *before_ = grig_state(g);                                                       \
        ANSWER(call, want);                                                                        \
        ck_assert_str_eq(grig_state(g), before_);                                                  \
    } while (0)
/* The state of "g". */
#define STATE(g, want) ck_assert_str_eq(grig_group_state(g), want)
