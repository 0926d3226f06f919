/* SPDX-License-Identifier: MIT
 *
 * args: options by table, on getopt_long. Every command has one page: usage, options, examples; the
 * options of all commands are added behind its own. A page is also its help.
 */
#pragma once

#include <stddef.h>

#include "cli/out.h"

struct args_page;

/* The options of all commands. */
struct args {
    struct out out;
    /* Instead of printing a page for -h: for the manual and the completions, which walk all pages.
     * NULL: printed. */
    void (*on_page)(void *ctx, const struct args_page *page);
    void *page_ctx;
    const char *server; /* -s or KAURI_SERVER; NULL: the default place */
    bool json;
    bool verbose;
    bool dry_run;
    bool yes;
    bool color_never;
    bool no_progress;
    uint32_t timeout_ms; /* 0: not given */
};

struct args_row {
    int key;             /* the short letter, or ARGS_LONG + n */
    const char *name;    /* long name; NULL: only the letter */
    const char *metavar; /* of its value; NULL: takes none */
    const char *help;
};
#define ARGS_LONG 256

struct args_page {
    const char *command; /* "topic create" */
    const char *usage;   /* behind "kauri COMMAND " */
    const char *about;
    const struct args_row *rows;
    size_t row_count;
    const char *examples;
    bool stop;           /* at the first operand: it is a subcommand */
    void (*print)(void); /* prints the page instead; NULL: args_help does */
};
#define ARGS_ROWS(table) .rows = (table), .row_count = sizeof(table) / sizeof((table)[0])

/* Conditions. */
#define ARGS_HELP 1 /* the page was printed: exit 0 */
#define ARGS_BAD  2 /* an error was printed: exit 2 */

/* Sets the defaults from the environment and the terminal. */
void args_init(struct args *a);
/* Reads argv[1..]. Own options go to `take`, which returns NULL or what it wants ("a number"); the
 * others into *a. *first is the index of the first operand. 0 or a condition. */
int args_parse(const struct args_page *page, struct args *a, int argc, char **argv,
               const char *(*take)(void *ctx, int key, const char *value), void *ctx, int *first);
/* Prints an error about operands with a pointer to the help; returns ARGS_BAD. */
int args_usage(const struct args_page *page, const struct args *a, const char *what);
/* The options that every command takes; *count of them. */
const struct args_row *args_common(size_t *count);
/* Prints the page to stdout. */
void args_help(const struct args_page *page);
