/* SPDX-License-Identifier: MIT
 *
 * value: what people type behind options: numbers, durations, sizes, rates, escapes, times,
 * offsets. Every reader takes the whole text or refuses it; results are written only on success.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/bytes.h"

/* Decimal without sign, at most max. */
bool value_u64(const char *text, uint64_t max, uint64_t *out);
/* Decimal, perhaps negative. */
bool value_i64(const char *text, int64_t *out);
/* "5s", "100ms", "2m", "1h", "7d"; a plain number is milliseconds. */
bool value_duration(const char *text, int64_t *ms);
/* "64K", "1M", "1MiB", "1GB"; a plain number is bytes. Powers of 1024. */
bool value_size(const char *text, uint64_t *bytes);
/* "100/s", "100", "6000/m", "10k/s": per second. */
bool value_rate(const char *text, double *per_second);
/* Appends text with \n \t \r \0 \\ \xNN resolved; other escapes are refused. */
bool value_unescape(const char *text, struct buf *out);
/* A moment as Unix time in ms: 2026-11-20, 2026-11-20T18:00[:07[.250]], with Z, +02:00 or local
 * time; -1h (ago); or a plain number of ms. */
bool value_time(const char *text, int64_t now_ms, int64_t *ms);

enum value_place {
    VALUE_START,
    VALUE_END,
    VALUE_OFFSET, /* number */
    VALUE_LAST,   /* the last `number` records of each partition */
    VALUE_TIME,   /* number is ms */
};
/* -o: start | end | N | -N | @TIME | @TIME..@TIME */
struct value_span {
    enum value_place place;
    int64_t number;
    bool bounded; /* stop before stop_ms */
    int64_t stop_ms;
};
bool value_offsets(const char *text, int64_t now_ms, struct value_span *out);

/* Whether `b` is within two typing mistakes of `a` (and not everything of it). */
bool value_near(const char *a, const char *b);
