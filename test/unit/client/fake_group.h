/* SPDX-License-Identifier: MIT
 *
 * fake_group: one consumer group with one member, as far as the client can tell: the test says what
 * is assigned, and looks at what the client told. Epochs are checked as the broker does: a beat
 * with another than the member's is fenced, but for the one before with all that is held.
 */
#pragma once

#include <stdbool.h>

#include "proto/kauri.pb-c.h"

#define FAKE_PARTS_MAX   64
#define FAKE_COMMITS_MAX 256

struct fake_part {
    char topic[32];
    int32_t partition;
};

struct fake_commit {
    struct fake_part part;
    int64_t offset;
    int32_t epoch;
};

struct fake_group {
    /* the test's */
    struct fake_part target[FAKE_PARTS_MAX];
    size_t target_count;
    uint32_t interval_ms;
    bool moving;          /* every beat moves the epoch */
    bool keep_quiet;      /* no assignment in the answers */
    unsigned refuse_rows; /* commits answered item by item with refuse_row */
    Kauri__Status refuse_row;
    /* the broker's */
    char member[40];
    int32_t epoch;                              /* 0: no member */
    struct fake_commit offsets[FAKE_PARTS_MAX]; /* committed now */
    size_t offset_count;
    /* what came */
    unsigned beats;
    unsigned joins;
    int32_t beat_epoch; /* of the last beat that was no goodbye */
    int32_t left;       /* -1 or -2 of the last goodbye, 0 none */
    char group[40];
    char instance[40];
    char topics[128]; /* "a,b" */
    char regex[40];
    char assignor[40];
    uint32_t rebalance_timeout_ms;
    struct fake_part owned[FAKE_PARTS_MAX];
    size_t owned_count;
    struct fake_commit log[FAKE_COMMITS_MAX]; /* every commit, in order */
    size_t log_count;
    unsigned commit_calls;
    char forgotten[64];
    char deleted[64];
};

/* Sets what is assigned: "t:0,1 u:3". Locked. */
void fake_group_assign(struct fake_group *g, const char *target);
/* What the last beat told as held, in the same form; static. Locked. */
const char *fake_group_owned(const struct fake_group *g);
/* The committed offset, -1 none. Locked. */
int64_t fake_group_offset(const struct fake_group *g, const char *topic, int32_t partition);
void fake_group_put(struct fake_group *g, const char *topic, int32_t partition, int64_t offset,
                    int32_t epoch);
