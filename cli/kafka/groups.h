/* SPDX-License-Identifier: MIT
 *
 * groups: kafka-consumer-groups: the options and what may go with what. The calls to the cluster
 * are in groups_admin.c, --list and --describe in groups_show.c, the rest in groups_reset.c and
 * groups_delete.c.
 *
 * As Apache's tool does, it ends with exit code 1 on wrong usage, and with 0 after a failure that
 * it printed ("\nError: ..." on stdout). Differences beside those of tool.h:
 *   - groups and partitions come in the order of their names;
 *   - rows of --reset-offsets and --delete-offsets are lines; Apache's 3.9 runs them together;
 *   - --members --verbose names the topics, as its older versions do;
 *   - a partition that is no more has "-" as its end, where Apache's waits until the timeout;
 *   - librdkafka 2.0 asks neither for types nor for members of groups of the new consumer protocol:
 *     a group that is listed, but dead when it is described, is taken as one of those, and its
 *     offsets are shown without members; their states Assigning and Reconciling are Unknown.
 */
#pragma once

#include "cli/kafka/cluster.h"
#include "cli/kafka/opts.h"

enum groups_option {
    GROUPS_ALL_GROUPS,
    GROUPS_ALL_TOPICS,
    GROUPS_BOOTSTRAP,
    GROUPS_BY_DURATION,
    GROUPS_COMMAND_CONFIG,
    GROUPS_DELETE,
    GROUPS_DELETE_OFFSETS,
    GROUPS_DESCRIBE,
    GROUPS_DRY_RUN,
    GROUPS_EXECUTE,
    GROUPS_EXPORT,
    GROUPS_FROM_FILE,
    GROUPS_GROUP,
    GROUPS_HELP,
    GROUPS_LIST,
    GROUPS_MEMBERS,
    GROUPS_OFFSETS,
    GROUPS_RESET,
    GROUPS_SHIFT_BY,
    GROUPS_STATE,
    GROUPS_TIMEOUT,
    GROUPS_TO_CURRENT,
    GROUPS_TO_DATETIME,
    GROUPS_TO_EARLIEST,
    GROUPS_TO_LATEST,
    GROUPS_TO_OFFSET,
    GROUPS_TOPIC,
    GROUPS_TYPE,
    GROUPS_VERBOSE,
    GROUPS_VERSION,
};
#define GROUPS_OPTION_COUNT 30

#define GROUPS_LOGGER       "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"

/* The page of options. */
const struct opts_page *groups_page(void);
/* Appends the first rule that the options break; *out stays empty when they keep all. */
void groups_rules(const struct opts *o, struct buf *out);
/* Options that only mean something beside another one; a fault when that is not given. */
int groups_available(const struct opts *o, struct fault *f) MUST_CHECK;

/* One action each; what they print goes to stdout, remarks to stderr. */
int groups_list(const struct opts *o, struct cluster *c, struct fault *f) MUST_CHECK;
int groups_describe(const struct opts *o, struct cluster *c, struct fault *f) MUST_CHECK;
int groups_reset(const struct opts *o, struct cluster *c, struct fault *f) MUST_CHECK;
int groups_delete(const struct opts *o, struct cluster *c, struct fault *f) MUST_CHECK;
int groups_delete_offsets(const struct opts *o, struct cluster *c, struct fault *f) MUST_CHECK;
