/* SPDX-License-Identifier: MIT
 *
 * out: everything the program says to people. Results go to stdout; errors, hints, warnings and
 * progress to stderr, so that pipes stay clean. Colour and progress only on a terminal.
 *
 * An error is one line `error: WHAT happened to WHICH thing: WHY`, lower case, no full stop, and
 * one `hint:` line with the command to type.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct out {
    bool color;    /* stderr takes colour */
    bool progress; /* stderr takes a progress bar */
    bool quiet;    /* no notes, no progress; errors and results stay */
    bool journal;  /* stderr is the journal's: lines begin with their level */
};

#define OUT_TEXT_MAX 64

__attribute__((format(printf, 2, 3))) void out_error(const struct out *o, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void out_hint(const struct out *o, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void out_warning(const struct out *o, const char *fmt, ...);
/* What was done, for people: stdout, nothing when quiet. */
__attribute__((format(printf, 2, 3))) void out_note(const struct out *o, const char *fmt, ...);

/* Prints one compact object and a newline to stdout; takes the reference. */
void out_json(json_t *object);

/* Texts of figures; each fills and returns `text`.
 * "812 MiB", "4.0 KiB", "17 B"; negative: "-". */
const char *out_size(char text[OUT_TEXT_MAX], int64_t bytes);
/* "7d", "90s", "15ms": the largest unit that divides it; negative: "-". */
const char *out_duration(char text[OUT_TEXT_MAX], int64_t ms);
/* RFC 3339 in UTC with milliseconds; "-" when it lies outside the years 0 to 9999. */
const char *out_time(char text[OUT_TEXT_MAX], int64_t ms);
/* Decimal; negative: "-". */
const char *out_count(char text[OUT_TEXT_MAX], int64_t count);

/* A table with a heading; cells are copied. `align` has one letter a column, l or r. */
struct out_table {
    const char *align;
    char **cells; /* owned */
    size_t count;
    size_t cap;
};
#define OUT_COLUMNS_MAX 16
/* Adds cells row by row, left to right; the first row is the heading. */
void out_table_add(struct out_table *t, const char *cell);
/* Prints it with two blanks between columns and frees it. */
void out_table_end(struct out_table *t);
/* Frees it unprinted. */
void out_table_drop(struct out_table *t);

/* Draws `[####----]  57%  label` over the last one, at most ten times a second; `last_ms` is the
 * caller's memory of when, 0 at first. done == total ends the line, once. */
void out_progress(const struct out *o, int64_t *last_ms, const char *label, uint64_t done,
                  uint64_t total);
