/* SPDX-License-Identifier: MIT
 *
 * group_classic_priv: what group_classic.c (requests) asks of group_generation.c (the steps of a
 * rebalance, and what its members are told).
 */
#pragma once

#include "engine/broker/groups.h"

/* A classic group on its way to the disk. */
struct group_generation_save {
    struct groups_wait wait;
    struct groups *groups;
    char *name; /* owned: the group may be gone by then */
    int32_t generation;
    uint64_t gone;             /* group.gone_count: what is on disk with it */
    struct broker_group *join; /* of a static member that came back; NULL none */
    char *member;              /* owned: its id */
    char *leader;              /* owned */
    bool tell;
};

/* Refuse what the member has parked, if anything. */
void group_generation_fail_join(struct group_member *m, enum broker_status status);
void group_generation_fail_sync(struct group_member *m, enum broker_status status);
/* Answers a join with what the member learns of the generation; `tell`: also all members. */
void group_generation_joined(struct group_member *m, struct broker_group *req, bool tell,
                             const char *leader);
/* Answers a sync with the member's assignment. */
void group_generation_synced(struct group_member *m, struct broker_group *req);
/* True when the join names one protocol at least that everybody else (but NULL: all) has. */
bool group_generation_fits(const struct group *g, const struct broker_group *req,
                           const struct group_member *but);
/* The protocol that the members agree on, borrowed from one of them; the group has members. */
struct slice group_generation_choice(const struct group *g);
/* True when the join says of protocols what the member said before. */
bool group_generation_same(const struct group_member *m, const struct broker_group_join *j);
/* Takes over what the join says of the member. */
void group_generation_update(struct group_member *m, const struct broker_group *req);
/* Puts the group's record. The caller sets what is its own and wait.done, and waits; done calls
 * group_generation_saved and, at its end, group_generation_save_free. */
struct group_generation_save *group_generation_saving(struct group *g);
/* The group, when it is still the generation that was put; else NULL. */
struct group *group_generation_saved(struct group_generation_save *s, int result);
void group_generation_save_free(struct group_generation_save *s);
/* PREPARING: completes when nobody is waited for any more. */
void group_generation_try(struct group *g);
/* To PREPARING, unless the group is there; `member` (NULL: none) is whose doing it is. */
void group_generation_prepare(struct group *g, enum broker_group_cause cause, const char *member,
                              struct slice reason);
