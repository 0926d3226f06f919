/* SPDX-License-Identifier: MIT
 *
 * seek: where `kauri group seek --to` puts the offsets of a group. Pure functions.
 *
 *   start | end      the ends of the log
 *   N                this offset
 *   +N | -N          so many records on or back from the committed offset
 *   @TIME | -1h      the first record at or after
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum seek_place {
    SEEK_TO_START,
    SEEK_TO_END,
    SEEK_TO_OFFSET,
    SEEK_TO_BY,
    SEEK_TO_TIME,
};

struct seek_to {
    enum seek_place place;
    int64_t number; /* offset, records or ms since 1970 */
};

bool seek_parse(const char *text, int64_t now_ms, struct seek_to *out);

struct seek_log {
    int64_t start;
    int64_t end;
    int64_t committed; /* -1: nothing */
    int64_t at_time;   /* SEEK_TO_TIME: of the first record at or after; -1: none */
};
/* The new offset, within the log. 0, or 1: relative to what was never committed. */
int seek_offset(const struct seek_to *to, const struct seek_log *log, int64_t *out);

struct seek_topic {
    char topic[250];
    int32_t partition; /* -1: every one */
};
/* "TOPIC" or "TOPIC:PARTITION". */
bool seek_topic_parse(const char *text, struct seek_topic *out);
