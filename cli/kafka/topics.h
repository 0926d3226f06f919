/* SPDX-License-Identifier: MIT
 *
 * topics: kafka-topics: the options, what may go with what, and the plan that comes out of them.
 * The calls to the cluster are in topics_admin.c.
 */
#pragma once

#include "cli/kafka/assignment.h"
#include "cli/kafka/cluster.h"
#include "cli/kafka/describe.h"
#include "cli/kafka/match.h"
#include "cli/kafka/opts.h"
#include "cli/kafka/props.h"

enum topics_option {
    TOPICS_ALTER,
    TOPICS_AT_MIN_ISR,
    TOPICS_BOOTSTRAP,
    TOPICS_COMMAND_CONFIG,
    TOPICS_CONFIG,
    TOPICS_CREATE,
    TOPICS_DELETE,
    TOPICS_DELETE_CONFIG,
    TOPICS_DESCRIBE,
    TOPICS_EXCLUDE_INTERNAL,
    TOPICS_HELP,
    TOPICS_IF_EXISTS,
    TOPICS_IF_NOT_EXISTS,
    TOPICS_LIST,
    TOPICS_PARTITION_LIMIT,
    TOPICS_PARTITIONS,
    TOPICS_ASSIGNMENT,
    TOPICS_REPLICATION,
    TOPICS_TOPIC,
    TOPICS_TOPIC_ID,
    TOPICS_OVERRIDES,
    TOPICS_UNAVAILABLE,
    TOPICS_UNDER_MIN_ISR,
    TOPICS_UNDER_REPLICATED,
    TOPICS_VERSION,
};
#define TOPICS_OPTION_COUNT 25

/* The page of options. */
const struct opts_page *topics_page(void);
/* Appends the first rule that the options break; *out stays empty when they keep all. */
void topics_rules(const struct opts *o, struct buf *out);

/* What the options ask for, read once. */
struct topics_plan {
    const char *topic;   /* borrowed; NULL: not given */
    int64_t partitions;  /* -1: not given */
    int64_t replication; /* -1: not given */
    struct assignment assignment;
    struct props configs;
};
/* Reads the values of --create and --alter. */
int topics_plan(const struct opts *o, struct topics_plan *out, struct fault *f) MUST_CHECK;
void topics_plan_deinit(struct topics_plan *p);

/* One action each; what they print goes to stdout. */
int topics_create(const struct opts *o, struct cluster *c, struct fault *f) MUST_CHECK;
int topics_alter(const struct opts *o, struct cluster *c, struct fault *f) MUST_CHECK;
int topics_list(const struct opts *o, struct cluster *c, struct fault *f) MUST_CHECK;
int topics_describe(const struct opts *o, struct cluster *c, struct fault *f) MUST_CHECK;
int topics_delete(const struct opts *o, struct cluster *c, struct fault *f) MUST_CHECK;
