/* SPDX-License-Identifier: MIT
 *
 * survey: the broker's topics and groups in figures of one moment, for doctor, check and top; and
 * what two moments say together: rates.
 */
#pragma once

#include "net/client/kauri.h"

struct survey_topic {
    char *name; /* owned */
    int32_t partitions;
    int32_t unloaded; /* partitions whose figures are not known yet */
    int64_t records;  /* of what is known, like all of these */
    int64_t ends;     /* sum of the ends: rises with every record, whatever retention does */
    int64_t size;
    int64_t largest; /* bytes of the largest partition */
    int32_t largest_partition;
    int64_t retention_ms;   /* -1: none, also where cleanup.policy does not delete */
    int64_t retention_size; /* likewise */
    int64_t lag;            /* of all groups */
    uint32_t groups;
    bool internal;
    bool compacted;
    bool os; /* durability=os */
};

struct survey_group {
    char *name; /* owned */
    char state[32];
    uint32_t members;
    int32_t partitions;  /* of the topics it has offsets for */
    int64_t lag;         /* in records; -1: not known */
    int64_t standing_ms; /* the longest that a partition with unread records has not moved */
    char standing[300];  /* which: "orders-1" */
    bool moves;          /* while it stands, another one moved within SURVEY_MOVES_MS */
};
#define SURVEY_MOVES_MS 60000

struct survey {
    struct kauri_broker_status status;
    int64_t taken_ms; /* monotonic */
    int64_t took_ms;  /* the broker's answer to a status */
    struct survey_topic *topics;
    size_t topic_count;
    struct survey_group *groups;
    size_t group_count;
};

/* 0 or an error of the client; then *s is empty. Ends with survey_deinit. */
int survey_take(struct kauri *k, struct survey *s);
void survey_deinit(struct survey *s);
/* NULL when there is none. */
const struct survey_topic *survey_topic(const struct survey *s, const char *name);
/* Sums over the topics, internal ones included: bytes on disk. */
int64_t survey_size(const struct survey *s);
/* What came into a topic between two moments, a second; -1 when it is new. */
double survey_records_rate(const struct survey *before, const struct survey *after,
                           const char *topic);
/* Bytes that the disk lost between two moments, a second; negative: it gained. */
double survey_disk_rate(const struct survey *before, const struct survey *after);
