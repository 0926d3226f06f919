/* SPDX-License-Identifier: MIT
 *
 * broker_groups_priv: the group engine inside the broker, as broker_groups.c, broker_groups_log.c,
 * broker_groups_load.c and broker_group.c share it.
 */
#pragma once

#include "engine/broker/broker_cluster.h"
#include "engine/broker/broker_groups.h"
#include "engine/broker/broker_priv.h"
#include "engine/broker/group_rows.h"
#include "engine/broker/groups.h"

#define BROKER_GROUPS_TOPIC   "__consumer_offsets"
#define BROKER_GROUPS_LOG     "__consumer_offsets-0"
#define BROKER_GROUPS_INFLATE (64u << 20)

struct broker_groups_batch {
    struct list link; /* groups->batches, from its append on */
    struct broker_groups *groups;
    struct batch_build build; /* while open */
    struct buf bytes;         /* afterwards */
    struct part_append append;
    struct bpart_ack ack; /* on this disk, waiting for the others */
    struct list waits;    /* struct groups_wait */
};

enum broker_groups_phase {
    BROKER_GROUPS_ROWS, /* the view is to be read */
    BROKER_GROUPS_REPLAY,
    BROKER_GROUPS_READY,
};

struct broker_groups_warm {
    struct work_job job;
    struct broker_groups *groups;
    struct part_warm warm;
    bool out;
};

struct broker_groups {
    struct broker *broker;
    struct groups *engine;
    struct broker_groups_batch *open; /* NULL: nothing to say */
    struct list queued;               /* finished, not appended: the topic is being made */
    struct list batches;              /* appended */
    struct list idle;                 /* struct groups_wait: nothing to wait for */
    struct list ready;                /* struct broker_group to be delivered */
    struct group_rows *rows;          /* for the view */
    struct broker_admin create;
    struct broker_config_entry configs[4];
    struct broker_groups_warm warm;
    struct buf scratch;
    int64_t applied; /* replay: the next offset */
    int64_t next_view_ms;
    size_t unreadable; /* records passed over */
    enum broker_groups_phase phase;
    bool creating;
    bool standby; /* another broker coordinates */
    bool leads;   /* the role is ours: with standby, the groups are read when all is quiet */
    bool anew;    /* what the view says is of another time */
    bool doubts;  /* REPLAY: all is read, but others may hold what was committed since */
};

/* Tells the engine the time: before every call that may lead to it. */
void broker_groups_tick(struct broker_groups *bg);
/* The log's partition; NULL while there is none. */
struct bpart *broker_groups_bpart(const struct broker_groups *bg);
/* struct groups_env. */
void broker_groups_put(void *ctx, struct slice key, struct slice value);
void broker_groups_wait(void *ctx, struct groups_wait *w);
/* The open batch is whole: it is queued. */
void broker_groups_close(struct broker_groups *bg);
/* Ends what is queued: it could not be written. */
void broker_groups_fail_queued(struct broker_groups *bg);
/* One step of reading; true when the next may follow at once. */
bool broker_groups_load(struct broker_groups *bg);
