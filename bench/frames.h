/* SPDX-License-Identifier: MIT
 *
 * frames: the requests of consumer groups as whole frames, and what of their answers a load needs,
 * in the versions that clients of today use. Each function appends one frame.
 *
 * Failures: none for the builders but a message too large, which ends the program; readers end the
 * program when an answer does not decode or is an error they do not document.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/bytes.h"

#define FRAMES_ID_MAX           64
#define FRAMES_PARTITIONS_MAX   128

#define FRAMES_LOADING          14 /* COORDINATOR_LOAD_IN_PROGRESS */
#define FRAMES_NO_COORDINATOR   15
#define FRAMES_MEMBER_ID_WANTED 79

/* A member, as its requests tell it. */
struct frames_member {
    const char *group;
    const char *topic;      /* its subscription, and where it commits */
    char id[FRAMES_ID_MAX]; /* empty: none yet */
    int32_t generation;     /* newer groups: its epoch. -1: it only commits */
    int32_t owned[FRAMES_PARTITIONS_MAX];
    int32_t owned_count;
    uint8_t topic_id[16]; /* newer groups */
};

/* --- classic --- */

void frames_join(const struct frames_member *m, struct buf *out);
/* Takes id and generation. 0, or FRAMES_MEMBER_ID_WANTED: only the id. *members: 0 but for the
 * leader. */
int frames_joined(struct slice frame, struct frames_member *m, int32_t *members);
/* `members` is what the leader assigns, `owned` of each; NULL from the others. */
void frames_sync(const struct frames_member *m, const struct frames_member *members, size_t count,
                 struct buf *out);
void frames_synced(struct slice frame);
void frames_beat(const struct frames_member *m, struct buf *out);

/* --- newer --- */

/* `full`: everything is told, as on joining and when partitions were taken over; else as before. */
void frames_consumer_beat(const struct frames_member *m, bool full, struct buf *out);
/* Takes epoch and assignment; true when either is another than before. */
bool frames_consumer_beaten(struct slice frame, struct frames_member *m);

/* --- both --- */

/* The error in the answer to a heartbeat of either kind; nothing else is looked at. */
int frames_beat_error(struct slice frame);

/* Offset `offset` for each partition owned. */
void frames_commit(const struct frames_member *m, int64_t offset, struct buf *out);
/* Where the offsets stand in such a frame: `owned_count` positions. */
void frames_commit_at(const struct frames_member *m, size_t *at);
/* Dies when the answer is not `owned_count` times "no error". */
void frames_committed(struct slice frame, const struct frames_member *m);

/* Everything the group has committed. */
void frames_fetch(const char *group, struct buf *out);
/* The count of offsets; the error where there is one, FRAMES_LOADING or FRAMES_NO_COORDINATOR. */
size_t frames_fetched(struct slice frame, int *error);
