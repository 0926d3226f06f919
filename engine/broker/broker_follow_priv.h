/* SPDX-License-Identifier: MIT
 *
 * broker_follow_priv: the follower, as broker_follow.c and broker_follow_part.c share it.
 */
#pragma once

#include "engine/broker/broker_lead.h"
#include "engine/broker/cluster_pages.h"

#define BROKER_FOLLOW_PULLS    8
#define BROKER_FOLLOW_WAIT_MS  1000 /* a pull waits at the leader */
#define BROKER_FOLLOW_RETRY_MS 100

enum broker_follow_state {
    BROKER_FOLLOW_OFF,   /* not followed */
    BROKER_FOLLOW_READY, /* in follow->ready[] */
    BROKER_FOLLOW_ASKED, /* in a pull */
    BROKER_FOLLOW_WAIT,  /* in follow->waiting */
    BROKER_FOLLOW_FENCED,
};

struct broker_follow_pull;

struct broker_follow_part {
    struct list link;     /* by state */
    struct list advanced; /* in follow->advanced: the leader does not know how far the disk is */
    struct list reaching; /* in follow->reaching: `reached` is to be written down */
    struct bpart *bpart;
    enum broker_follow_state state;
    const struct broker_follow_pull *pull; /* ASKED: in which */
    bool hot;
    int64_t retry_ms;
    int64_t told;        /* the end that the leader knows */
    int64_t epoch_start; /* of the leader's epoch */
    int32_t agreed;      /* leader epoch in which our log was found a prefix of the leader's; -1 */
};

/* One append of pulled bytes. */
struct broker_follow_append {
    struct part_append append;
    struct broker_follow_pull *pull;
    struct bpart *bpart;
};

struct broker_follow_pull {
    struct ship_call call;
    struct broker_follow *follow;
    struct bpart **parts;                 /* owned, one per entry; each counted in jobs */
    struct broker_follow_append *appends; /* owned, one per entry */
    size_t cap;
    size_t appending;
    uint64_t session; /* follow->session when it was sent */
    bool out;         /* with the link, or its bytes are in use */
    bool asked;       /* with the link */
};

struct broker_follow {
    struct broker *broker;
    uint64_t session; /* rises with every leader and every registration */
    uint32_t term;
    int32_t leader;
    char native[SHIP_HOST_MAX];
    int64_t broker_epoch; /* -1: not registered */
    struct ship_call reg;
    struct ship_call bye;
    struct ship_call records;
    int64_t since;
    struct cluster_pages pages; /* answers that were not the last of a listing */
    uint64_t pages_session;     /* of the pages */
    int64_t next_since;
    int64_t next_position;
    int64_t position;            /* the leader's, of `since` */
    int64_t keep_ms;             /* not written down again before this */
    struct broker_mirror mirror; /* records on their way to __meta */
    uint64_t put_session;
    struct broker_follow_pull pulls[BROKER_FOLLOW_PULLS];
    struct broker_follow_pull progress;
    struct coord_put reach;     /* epochs reached, on their way to __meta */
    struct bpart **reach_parts; /* owned; each counted in jobs */
    int32_t *reach_epochs;      /* owned */
    size_t reach_count;
    struct list ready[2]; /* struct broker_follow_part; [1] hot */
    struct list waiting;
    struct list advanced;
    struct list reaching;
    size_t out; /* calls with the link */
    unsigned lost;
    int64_t retry_ms;
    bool on;
    bool known;    /* this process was registered before */
    bool forgot;   /* it had left, and begins anew */
    bool fetching; /* from a voter: no registration, no records */
    bool mirrored; /* all records of this leader are here */
    bool reg_out;
    bool bye_out;
    bool records_out;
    bool putting;
    bool reach_out;
};

/* --- broker_follow_part.c --- */

/* Fills an entry for the partition; false when it cannot be asked for now, and waits. */
bool broker_follow_ask(struct broker_follow *f, struct bpart *p, struct ship_pull_entry *e);
/* What the leader said of it. Appends keep the pull busy. */
void broker_follow_take(struct broker_follow_pull *pull, size_t at);
/* To a state, and into its list. */
void broker_follow_to(struct broker_follow *f, struct bpart *p, enum broker_follow_state state);
void broker_follow_later(struct broker_follow *f, struct bpart *p, int64_t ms);
/* No log stands on an epoch any more: durable, then it is registered. */
void broker_follow_forget_reached(struct broker_follow *f);
/* Writes down the epochs that were reached. */
void broker_follow_reach(struct broker_follow *f);

/* --- broker_follow.c --- */

struct broker_follow *broker_follow_of(struct broker *b);
/* Every partition is looked at again. */
void broker_follow_all(struct broker_follow *f);
/* Its bytes are not in use any more, if nothing else holds them. */
void broker_follow_pull_end(struct broker_follow_pull *pull);
