/* SPDX-License-Identifier: MIT
 *
 * lag: what a group has not read yet: how much, for how long, whether it moves. Pure functions over
 * figures of one moment.
 *
 * A partition stands when it has unread records, its committed offset has not moved for so long,
 * and its first unread record has been there for so long: a record that has just come is no sign of
 * anything. Times are by the records' own clocks, which are their producers'.
 *
 *   LAG_OK            read to the end, or moving, or not for long enough to tell
 *   LAG_STUCK         stands while another partition of the group moves: a record keeps failing
 *   LAG_NOT_CONSUMED  stands, and so does everything else of the group
 *   LAG_UNKNOWN       nothing committed, or the partition is gone
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/out.h"
#include "engine/base/bytes.h"

enum lag_status {
    LAG_OK,
    LAG_STUCK,
    LAG_NOT_CONSUMED,
    LAG_UNKNOWN,
};
#define LAG_STATUS_COUNT 4
/* "OK", "STUCK", "NOT CONSUMED", "-". */
const char *lag_status_text(enum lag_status s);

#define LAG_KEY_MAX 48

struct lag_row {
    const char *topic; /* borrowed, as are the texts below */
    int32_t partition;
    int64_t committed;    /* -1: nothing */
    int64_t log_start;    /* -1: not known */
    int64_t end;          /* high watermark; -1: not known */
    int64_t moved_ms;     /* when the committed offset moved last; -1: not known */
    int64_t retention_ms; /* -1: kept for ever */
    const char *member;   /* id; "" nobody */
    const char *client;
    const char *host;
    /* the first unread record, where it could be read */
    bool read;
    int64_t offset;
    int64_t timestamp_ms;
    int64_t size; /* of key and value */
    bool has_key;
    char key[LAG_KEY_MAX]; /* as much of it as fits, "" when it is no text */
    /* results of lag_judge */
    enum lag_status status;
    int64_t lag;       /* in records; -1: not known */
    int64_t behind_ms; /* age of the first unread record; 0 when all is read; -1: not known */
    int64_t stands_ms; /* for how long it has not moved; 0: it moves or has nothing to read */
    int64_t lost_ms;   /* until retention may take the first unread record; -1: never, or nothing
                          unread; 0 when it did already */
};

/* Takes the key of the first unread record: text is kept, bytes are not shown. */
void lag_key(struct lag_row *row, struct slice key);

struct lag_sum {
    int64_t lag;       /* of all partitions; -1: none is known */
    int64_t oldest_ms; /* age of the oldest unread record */
    size_t stuck;
    size_t not_consumed;
};
/* Fills the results of the rows of one group. */
void lag_judge(struct lag_row *rows, size_t count, int64_t now_ms, int64_t stuck_ms,
               struct lag_sum *sum);
/* Appends what to do about it, one sentence a line: what is stuck and where, what is lost, and more
 * instances or partitions where every partition lags though it moves. `members` of the group. */
void lag_advice(const struct lag_row *rows, size_t count, size_t members, int64_t stuck_ms,
                struct buf *out);
/* "41 s", "3 min", "2 h", "5 d"; negative: "-". */
const char *lag_age(char text[OUT_TEXT_MAX], int64_t ms);
