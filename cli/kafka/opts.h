/* SPDX-License-Identifier: MIT
 *
 * opts: command lines as Apache's tools read them (their library is jopt-simple), with its words.
 *
 *   --name value, --name=value, -name value     `--name=` takes the next word, like `--name`
 *   an option that needs a value takes the next word, whatever it looks like
 *   an option that may have a value takes the next word unless it begins with `-`
 *   names are never abbreviated; `--` ends the options; words that are no options are passed over
 *
 * Rows are numbered by an enum of the tool, so that an option is asked for by that number.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/kafka/fault.h"

enum opts_arg {
    OPTS_NONE,
    OPTS_NEEDS, /* a value */
    OPTS_MAY,   /* have a value */
};

struct opts_row {
    const char *name;
    enum opts_arg arg;
    bool many;           /* may be given more than once with a value */
    const char *metavar; /* "Integer: size"; NULL: takes none */
    const char *help;
};

struct opts_page {
    const char *about;
    const struct opts_row *rows; /* sorted by name; "help" and "version" among them */
    size_t row_count;
};

struct opts_value {
    size_t row;
    const char *text; /* borrowed from argv; NULL: none */
};

struct opts {
    const struct opts_page *page; /* borrowed */
    struct opts_value *values;    /* owned, in the order given */
    size_t count;
};

/* Reads argv[1..], which must outlive *o. The faults are those of jopt-simple. */
int opts_parse(const struct opts_page *page, int argc, char **argv, struct opts *o,
               struct fault *f) MUST_CHECK;
void opts_deinit(struct opts *o);

bool opts_has(const struct opts *o, size_t row);
/* The value, or NULL. */
const char *opts_text(const struct opts *o, size_t row);
/* The next value of an option that may come often; *at is 0 at first. NULL when there is none. */
const char *opts_next(const struct opts *o, size_t row, size_t *at);
/* A decimal value within min..max into *out, which stays as it was when the option is absent. */
struct opts_range {
    int64_t min;
    int64_t max;
};
#define OPTS_INT  ((struct opts_range){INT32_MIN, INT32_MAX})
#define OPTS_LONG ((struct opts_range){INT64_MIN, INT64_MAX})
int opts_number(const struct opts *o, size_t row, struct opts_range range, int64_t *out,
                struct fault *f) MUST_CHECK;

/* Prints message and options to stderr; returns TOOL_FAILED. */
int opts_usage(const struct opts_page *page, const char *message);
/* The version of this program, on stdout; returns TOOL_DONE. */
int opts_version(void);
