/* SPDX-License-Identifier: MIT
 *
 * cmd_cluster_priv: `kauri cluster` lies in three files: cmd_cluster.c asks, promotes and waits,
 * cmd_cluster_show.c prints what it was told, cmd_cluster_leave.c takes a broker out.
 */
#pragma once

#include "cli/cmd.h"
#include "engine/base/cleanup.h"

struct cmd_cluster_view {
    struct kauri_cluster *told; /* owned, kauri_result_free; the leader's, where it answers */
    bool silent;                /* a leader is known, and does not answer */
    char trouble[256];          /* why it has no place in the cluster; "" it has */
    uint32_t fenced;            /* partitions that the one that was asked does not follow */
};

/* Prints the brokers, and with `partitions` all of these. */
void cmd_cluster_show(const struct args *a, const struct cmd_cluster_view *v, bool partitions);

int cmd_cluster_leave(struct args *a, int argc, char **argv);
