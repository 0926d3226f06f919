/* SPDX-License-Identifier: MIT
 *
 * group_rig: a member of the group "g" against the scripted broker, and what its callbacks were
 * told, as one line: "+t:0,1 -t:1 !t:0" (assigned, revoked, lost).
 */
#pragma once

#include "rig.h"

#define GROUP_WAIT_MS 5000

struct group_rig {
    struct rig *r;
    struct kauri *k; /* r's */
    struct kauri_group_options options;
    const char *topics[2];
    char told[512];
    void (*inside)(struct group_rig *g, char what); /* runs in the callbacks; may be NULL */
    int64_t committed_then; /* what the broker had for t:1 when `revoked` ran */
};

/* Topics t and u of four partitions with 20 records each in t:0 and t:1; nothing is subscribed yet:
 * g->options may be changed before group_rig_subscribe. Beats follow each other by 20 ms. */
struct group_rig *group_rig_new(struct kauri_options o);
struct group_rig *group_rig_free(struct group_rig *g);
void group_rig_subscribe(struct group_rig *g);
/* Sets what the broker assigns. */
void group_rig_assign(struct group_rig *g, const char *target);
/* Polls until the callbacks were told exactly this; clears it. */
void group_rig_told(struct group_rig *g, const char *told);
/* Polls until a beat told this as held. */
void group_rig_holds(struct group_rig *g, const char *owned);
/* Wants the record at this place next. */
void group_rig_next(struct group_rig *g, const char *topic, int32_t partition, int64_t offset);
/* Committed at the broker, now. */
int64_t group_rig_committed(struct group_rig *g, const char *topic, int32_t partition);
/* Polls until it is. */
void group_rig_commits(struct group_rig *g, const char *topic, int32_t partition, int64_t offset);
/* Polls for so long. */
void group_rig_spend(struct group_rig *g, uint32_t ms);
