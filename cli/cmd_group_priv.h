/* SPDX-License-Identifier: MIT
 *
 * cmd_group_priv: `kauri group` lies in several files: cmd_group.c has the list of commands and
 * deletes, cmd_group_show.c lists groups, members and rebalances, cmd_group_lag.c shows lag,
 * cmd_group_seek.c moves offsets, cmd_group_rewind.c moves them back in time.
 */
#pragma once

#include "cli/cmd.h"
#include "engine/base/cleanup.h"

int cmd_group_list(struct args *a, int argc, char **argv);
int cmd_group_describe(struct args *a, int argc, char **argv);
int cmd_group_lag(struct args *a, int argc, char **argv);
int cmd_group_members(struct args *a, int argc, char **argv);
int cmd_group_history(struct args *a, int argc, char **argv);
int cmd_group_seek(struct args *a, int argc, char **argv);
int cmd_group_rewind(struct args *a, int argc, char **argv);

/* Prints error and hint for a failed call about a group and returns its exit code. */
int cmd_group_fail(const struct args *a, struct cmd_client *c, int error, const char *group);
/* A group that may be changed from outside has no members. 0 or an exit code after an error was
 * printed; a group that is not there is fine where `fresh` says so. */
int cmd_group_idle(const struct args *a, struct cmd_client *c, const char *group, bool fresh);

/* An offset that is to change. */
struct cmd_group_move {
    const char *topic; /* borrowed */
    int32_t partition;
    int64_t old; /* -1: nothing committed */
    int64_t new; /* -1: forget it */
};
/* Commits the moves with a metadata that marks them as one reset (commits.h), or only shows them
 * with --dry-run; prints the table. `what` says what it is: "seek to start". An exit code. */
int cmd_group_apply(const struct args *a, struct cmd_client *c, const char *group, const char *what,
                    const struct cmd_group_move *moves, size_t count);

CLEANUP_DEFINE(cmd_group_detail, struct kauri_group_detail, kauri_result_free);
CLEANUP_DEFINE(cmd_group_offsets, struct kauri_group_offsets, kauri_result_free);
