/* SPDX-License-Identifier: MIT
 *
 * cmd_topic_priv: `kauri topic` lies in three files: cmd_topic.c changes topics, cmd_topic_show.c
 * shows them, cmd_topic_trim.c drops their oldest records.
 */
#pragma once

#include "cli/cmd.h"

int cmd_topic_list(struct args *a, int argc, char **argv);
int cmd_topic_describe(struct args *a, int argc, char **argv);
int cmd_topic_trim(struct args *a, int argc, char **argv);
int cmd_topic_purge(struct args *a, int argc, char **argv);

/* The replicas there are; what was asked for may be less, or more than there are brokers. */
int32_t cmd_topic_replication(const struct kauri_topic *t);
/* The sum of high watermark - log start over the partitions; -1 when one is not known. */
int64_t cmd_topic_records(const struct kauri_topic *t);
