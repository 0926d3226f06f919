/* SPDX-License-Identifier: MIT
 *
 * load: a random workload on a broker that may end at any moment, and what must be true behind it.
 *
 * Each partition has one idempotent producer that sends records 0, 1, 2, ... and, as a good client,
 * sends again from the first one without an answer after the broker came back. So whatever
 * happened, the record at offset i is record i: none lost below the acknowledged end, none twice,
 * none in another order. Topics, partition counts, configs, trims: what was answered holds; what
 * was not holds as a whole or not at all. Records have the time of their sending: what retention
 * takes was too old, and nothing that is too old stays.
 */
#pragma once

#include "test/unit/broker/rig.h"

#define LOAD_TOPICS     4
#define LOAD_PARTITIONS 4
#define LOAD_FLIGHT_MAX 24
#define LOAD_SENT_MAX   2048

struct load_partition {
    int64_t sent;                 /* end of what was sent, in records */
    int64_t acked;                /* end of what was acknowledged */
    int64_t trimmed;              /* where the log was asked to start, and that was acknowledged */
    int64_t trimming;             /* that was asked for */
    int64_t times[LOAD_SENT_MAX]; /* of the records */
    bool refused; /* it could not be opened: nothing is sent before the next check */
};

struct load_topic {
    char name[8];
    bool os;
    bool exists;
    uint64_t incarnation; /* upper half of its tags */
    int32_t partitions;
    int64_t retention;
    int64_t retention_least; /* that was ever asked for */
    struct load_partition parts[LOAD_PARTITIONS];
    struct rig_admin *change; /* owned; under way; NULL */
};

/* A request under way. */
struct load_flight {
    struct rig_produce *produce; /* owned; NULL: free slot */
    struct rig_admin *trim;      /* owned; likewise */
    struct load_topic *topic;
    int32_t partition;
};

struct load {
    struct rig *rig; /* borrowed */
    struct random random;
    struct load_topic topics[LOAD_TOPICS];
    struct load_flight flights[LOAD_FLIGHT_MAX];
    int64_t producer_id; /* largest that was handed out */
    uint64_t incarnations;
    uint64_t acknowledged; /* records, in all */
    bool faulty;           /* single calls fail: partitions may not open */
};

void load_init(struct load *l, struct rig *g, uint64_t seed);
/* `count` random operations with random turns between them; ends early when the broker died. */
void load_run(struct load *l, unsigned count);
/* Everything under way is answered. */
void load_settle(struct load *l);
/* The broker is gone: what has no answer now gets none. `power`: so is what was not synced. */
void load_crashed(struct load *l, bool power);
/* The broker is open again, nothing fails: compares everything, and takes over what it finds. */
void load_check(struct load *l);
void load_deinit(struct load *l);
