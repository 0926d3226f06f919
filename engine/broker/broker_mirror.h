/* SPDX-License-Identifier: MIT
 *
 * broker_mirror: another broker's cluster records, written down here and brought into effect while
 * the broker runs.
 *
 *   from (coord_changes of the leader) -> judged as a whole -> what differs -> one batch of __meta,
 *       durable -> in force: topics, their partitions and settings, settings of the cluster, quotas
 *
 * A topic that the leader has no more (or has anew under the same name, with another id) is removed
 * by the way of a local deletion, and may take several starts to go. What says so is the record
 * node/gone/<topic>, written in the batch that takes the topic's own record away: as long as it is
 * there, folders of that name are the old topic's and go, and a new topic of the name waits.
 *
 * Failures: records that are none: nothing is written; no space: nothing is written, IO_FULL.
 */
#pragma once

#include "engine/broker/coord.h"

struct broker;

#define BROKER_MIRROR_SAME 1 /* nothing differs: done does not run */
#define BROKER_MIRROR_BUSY 2 /* another, or a change of its own, is under way: in a later turn */
#define BROKER_MIRROR_BAD  3 /* they are not records that this version understands */

struct broker_mirror {
    /* 0 (in force), IO_FULL or -errno; never inside broker_mirror. */
    void (*done)(struct broker_mirror *m, int result);
    void *ctx;
    struct { /* the broker's */
        struct broker *broker;
        struct coord_put put;
        struct coord_changes changes; /* owned */
    } priv;
};

/* `from` is read inside the call only. 0 (done will run) or a condition. From then on this broker
 * follows: it finishes no deletion of its leader's. */
int broker_mirror(struct broker *b, struct broker_mirror *m,
                  const struct coord_changes *from) MUST_CHECK;
/* The record `key` was changed, and not by this broker's own request: memory and folders follow.
 * Doing it again changes nothing. */
void broker_apply_record(struct broker *b, struct slice key);
/* This broker leads from now on: deletions that its records speak of are its own to finish. */
void broker_catalogue_lead(struct broker *b);
/* Brokers that are registered and have not left; at least 1. O(records changed since the last
 * call). */
int32_t broker_cluster_size(struct broker *b);
