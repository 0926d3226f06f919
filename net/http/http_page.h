/* SPDX-License-Identifier: MIT
 *
 * http_page: one answer to /metrics while it is made: a copy of what the broker shows, gathered in
 * steps, then its text, in pieces. Each family of the page lists all its rows at one place, so the
 * rows are copied first; a topic that comes or goes meanwhile is in the page or not, never twice.
 *
 *   topics, then groups, then the offsets of one group a step -> the broker's own figures -> each
 *   family over its rows -> the end
 *
 * Invariants: P1 partitions and offsets have at most partitions_max rows, what is beyond is counted
 * in the two left_out; P2 the rows of a topic, and those of a group, are next to each other and
 * ascending.
 */
#pragma once

#include "engine/base/arena.h"
#include "engine/base/bytes.h"
#include "net/http/http.h"

#define HTTP_PAGE_NONE INT64_MIN /* a figure that is not known: it has no row */

struct http_page_topic {
    struct slice name; /* the page's, like all names */
    int64_t partitions;
};

struct http_page_partition {
    uint32_t topic; /* index */
    int32_t number;
    int64_t start;
    int64_t end;
    int64_t size;
    int64_t leader;
    int64_t preferred; /* the leader is the first replica */
    int64_t replicas;
    int64_t in_sync;
    int64_t under; /* a replica is not in sync */
    int64_t epoch;
    int64_t fenced; /* its leader's log parts from ours */
    int64_t batches_in;
    int64_t records_in;
    int64_t size_in;
    int64_t fetches;
    int64_t records_out;
    int64_t size_out;
};

struct http_page_group {
    struct slice name;
    const char *state;
    const char *type;
    int64_t members;
    int64_t stuck; /* partitions that stand while others of the group move */
    int64_t not_consumed;
    bool gone; /* before its turn came */
};

struct http_page_offset {
    uint32_t group; /* index */
    int32_t partition;
    struct slice topic;
    int64_t committed;
    int64_t lag;
    int64_t behind_ms; /* since the offset moved last, with lag; 0 without */
    int64_t stuck;     /* 1: stands for group.stuck.ms, see broker_counters.h */
    int64_t moved_ms;
};

enum http_page_step {
    HTTP_PAGE_TOPICS,
    HTTP_PAGE_GROUPS,
    HTTP_PAGE_OFFSETS,
    HTTP_PAGE_BROKER,
    HTTP_PAGE_ROWS,
    HTTP_PAGE_END,
};
#define HTTP_PAGE_STEP_COUNT 6

struct http_page {
    const struct http_options *options; /* borrowed */
    enum http_page_step step;
    size_t at;     /* TOPICS: the next partition of the last topic; OFFSETS: group; ROWS: row */
    size_t family; /* ROWS */
    struct arena arena;
    struct http_page_topic *topics; /* owned, like the arrays below */
    size_t topic_count;
    size_t topic_cap;
    struct http_page_partition *partitions;
    size_t partition_count;
    size_t partition_cap;
    struct http_page_group *groups;
    size_t group_count;
    size_t group_cap;
    struct http_page_offset *offsets;
    size_t offset_count;
    size_t offset_cap;
    size_t partitions_left_out;
    size_t offsets_left_out;
    bool ready;     /* what /readyz says */
    struct buf out; /* text that has not left */
    size_t pos;     /* of which this much has */
    struct http_watch watch;
};

struct http_page *http_page_new(const struct http_options *o, bool ready);
/* NULL is fine. */
struct http_page *http_page_free(struct http_page *p);
/* Does one step. False when all is in `out`. */
bool http_page_step(struct http_page *p);
/* At most `max` bytes of the page; 0: nothing yet, ask in the next turn; -1: the end. */
long http_page_read(struct http_page *p, void *to, size_t max);

/* --- http_rows.c --- */

/* Writes the broker's own figures. */
void http_rows_broker(struct http_page *p);
/* Writes some rows of the family at hand and goes to the next. False behind the last one. */
bool http_rows_some(struct http_page *p);
