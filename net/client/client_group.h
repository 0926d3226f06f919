/* SPDX-License-Identifier: MIT
 *
 * client_group: a member of a consumer group. The broker decides who reads what (KIP-848); the
 * member tells by its beats what it holds, and follows.
 *
 *   NONE --subscribe--> JOINING --answered--> MEMBER <--told, dropped--- REVOKING
 *                         ^ |                  | |                          |
 *                         | |                  | +-----partitions taken-----+
 *                         | +--refused--> FAILED <-----refused for good-----+
 *                         +---------fenced, or silent for too long----------+
 *
 *   any --unsubscribe, close--> LEAVING --> NONE          FAILED --subscribe--> JOINING
 *
 * What arrives is noted in client_group_turn and carried out by client_group_step, which alone runs
 * callbacks and alone changes the assignments: a call that only sends never does.
 *
 * A partition given up (client_group_step.c): it is not fetched or handed out any more; what was
 * handled is committed (automatic commits); `revoked`; it is dropped; the next beat, at once, no
 * longer tells it as held, and only then the broker gives it to another. A partition taken away
 * (fenced, silence): `lost`, and it is dropped; commits under way fail.
 *
 * Every beat is whole: member id, epoch, subscription, all that is held. So a beat that is sent
 * again, because its answer was lost, gets the whole answer again. One is under way at a time.
 *
 * Invariants: G1 epoch > 0 exactly in MEMBER and REVOKING (and LEAVING until it left); G2 a
 * partition that was told `assigned` is told `revoked` or `lost` once; G3 with `losing` no beat is
 * sent and no record handed out; G4 `beat` is NULL in NONE and FAILED.
 */
#pragma once

#include "net/client/client_commit.h"
#include "net/client/client_parts.h"

#define CLIENT_GROUP_NAME_MAX    249
#define CLIENT_GROUP_REGEX_MAX   4096
#define CLIENT_GROUP_TOPICS_MAX  4096
#define CLIENT_GROUP_TURN_MS     10   /* kauri_next looks at the socket so often */
#define CLIENT_GROUP_INTERVAL_MS 3000 /* between beats, when the broker does not say */

enum client_group_state {
    CLIENT_GROUP_NONE,
    CLIENT_GROUP_JOINING,
    CLIENT_GROUP_MEMBER,
    CLIENT_GROUP_REVOKING,
    CLIENT_GROUP_FAILED,
    CLIENT_GROUP_LEAVING,
};
#define CLIENT_GROUP_STATE_COUNT 6

struct client_group {
    enum client_group_state state;
    struct kauri_group_options options; /* defaults filled in; strings owned */
    char member[33];
    int32_t epoch;
    struct client_call *beat; /* NULL: none under way */
    int64_t beat_made_ms;     /* the one under way */
    int64_t beat_due_ms;
    bool beat_again;   /* something changed since it was made */
    int64_t heard_ms;  /* when the last beat that was answered well was made */
    uint32_t refusals; /* in a row */
    int64_t held_ms;   /* since when another has the instance; 0: nobody */
    int64_t interval_ms;
    struct client_parts target; /* as the broker assigned last */
    bool target_news;           /* not carried out yet */
    bool losing;                /* what is assigned is gone, and not told yet */
    bool stepping;              /* inside client_group_step */
    struct client_commit *last; /* REVOKING: of what is given up, owned; NULL: none */
    struct client_commits commits;
    int error; /* FAILED */
    char message[CLIENT_MESSAGE_MAX];
};

void client_group_init(struct kauri *k);
/* Leaves and frees. */
void client_group_deinit(struct kauri *k);
bool client_group_subscribed(const struct kauri *k);
/* Sends what is due: beats, commits. */
void client_group_turn(struct kauri *k, int64_t now_ms);
/* True when kauri_next must look after the group though it has records. */
bool client_group_turn_due(const struct kauri *k, int64_t now_ms);
/* KAURI_AGAIN, or why the group refuses this member. */
int client_group_event(struct kauri *k, struct kauri_record *r);
/* Moves along an arrow of the drawing above. */
void client_group_move(struct client_group *g, enum client_group_state to);
/* A partition's position became known: worth a commit soon. */
void client_group_placed(struct kauri *k);

/* --- client_group_beat.c --- */

/* The next beat leaves at once. */
void client_group_beat_soon(struct kauri *k);
void client_group_beat_turn(struct kauri *k, int64_t now_ms);
/* A beat that leaves, by BROKER_GROUP_EPOCH_LEAVE or _LEAVE_STATIC; `done` is the caller's. */
struct client_call *client_group_beat_leave(struct kauri *k, int32_t epoch);
/* Not a member any more: JOINING, or FAILED with an error. */
void client_group_lose(struct kauri *k, enum client_group_state to);

/* --- client_group_step.c --- */

/* Carries out what arrived, with callbacks. Returns the things done. O(1) when there are none. */
int client_group_step(struct kauri *k);
/* Tells and drops all that is assigned. */
void client_group_drop_all(struct kauri *k);

/* --- client_start.c: where an assigned partition begins --- */

void client_start_ask(struct kauri *k, int64_t now_ms);
/* Its position lies outside the log: begins as the options say. False: it is an error. */
bool client_start_reset(struct kauri *k, struct client_assignment *a);
