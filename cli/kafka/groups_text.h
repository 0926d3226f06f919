/* SPDX-License-Identifier: MIT
 *
 * groups_text: the texts behind kafka-consumer-groups --reset-offsets: durations, moments, and the
 * lines of CSV that --export prints and --from-file reads. Pure functions.
 *
 *   topic,partition,offset           for one group
 *   group,topic,partition,offset     for several
 *
 * A name with a comma, a quote, a blank or a line end in it stands in quotes, a quote within
 * doubled.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cli/kafka/fault.h"
#include "engine/base/bytes.h"

/* ISO 8601 as java.time.Duration takes it: P1DT2H3M4.5S, each part perhaps with its sign. */
bool groups_text_duration(const char *text, int64_t *ms);
/* 2026-11-20T18:00:07.250, in UTC or with Z or +02:00 behind it. A fault is Java's. */
int groups_text_moment(const char *text, int64_t *ms, struct fault *f) MUST_CHECK;

struct groups_text_plan {
    struct buf group; /* each a string with its NUL; "" when the line has none */
    struct buf topic;
    int32_t partition;
    int64_t offset;
};

/* Appends a line with its newline; `group` NULL: without. */
void groups_text_line(const char *group, const char *topic, int32_t partition, int64_t offset,
                      struct buf *out);
/* Reads a line of three or four fields; false when it is none. */
bool groups_text_plan(struct slice line, struct groups_text_plan *out);
void groups_text_plan_deinit(struct groups_text_plan *plan);
