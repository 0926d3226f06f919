/* SPDX-License-Identifier: MIT
 *
 * client_commit: committing offsets. Commits leave one after the other, in the order they were
 * asked for, so that one that is sent again never overtakes a later one and turns a group back.
 *
 *   asked -> waiting (the first is under way) -> finished -> its callback ran, or its waiter has it
 *
 * The epoch is the member's at the time of sending; when the group moved on meanwhile the commit
 * waits for the next beat and is sent again. A commit that finds no success within timeout_ms ends
 * with KAURI_TIMED_OUT; one of a member that was fenced with KAURI_FENCED.
 *
 * Invariants: K1 only the first of `waiting` has a call; K2 a commit is in one of the lists or its
 * waiter's; K3 done runs at most once, never inside client_turn.
 */
#pragma once

#include "engine/base/list.h"
#include "net/client/client_status.h"
#include "net/client/client_wire.h"

#define CLIENT_COMMITS_MAX     1024  /* waiting or finished */
#define CLIENT_COMMIT_ROWS_MAX 65536 /* of one commit */
#define CLIENT_COMMIT_CALL_MAX 4096  /* of one call */

struct client_commit_row {
    char *topic; /* owned */
    int32_t partition;
    int64_t offset;
    char *metadata; /* owned; NULL none */
};

struct client_commit {
    struct list link;
    struct client_commit_row *rows; /* owned */
    size_t count;
    size_t at;   /* answered */
    size_t sent; /* under way, from `at` on */
    struct client_call *call;
    int64_t due_ms;
    int64_t until_ms;
    uint32_t refusals;
    bool automatic;
    bool waited; /* somebody waits for `finished`, and frees it */
    bool finished;
    int error;
    char message[CLIENT_MESSAGE_MAX];
    void (*done)(void *ctx, int error, const char *message);
    void *ctx;
};

struct client_commits {
    struct list waiting;
    struct list finished; /* callbacks to run */
    size_t count;
    size_t automatic; /* among the waiting */
    int64_t due_ms;   /* of the next automatic one */
};

void client_commit_init(struct client_commits *c);
/* Everything waiting ends with this error. */
void client_commit_fail_all(struct kauri *k, int error, const char *message);
/* Starts what is due. */
void client_commit_turn(struct kauri *k, int64_t now_ms);
/* Runs the callbacks of the finished ones; their number. */
int client_commit_report(struct kauri *k);
/* Queues a commit of what was handled and is not committed: of all partitions of the group, or of
 * those on their way out. NULL when there is nothing. `waited`: the caller frees it. */
struct client_commit *client_commit_handled(struct kauri *k, bool revoked, bool waited);
struct client_commit *client_commit_free(struct kauri *k, struct client_commit *c);
