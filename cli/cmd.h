/* SPDX-License-Identifier: MIT
 *
 * cmd: the subcommands and what they share: exit codes, the connection, the words for its failures.
 *
 * A command takes the options of all commands and its own argv, argv[0] being its name, and returns
 * an exit code.
 */
#pragma once

#include "cli/args.h"
#include "engine/base/bytes.h"
#include "net/client/kauri.h"

enum cmd_exit {
    CMD_DONE = 0,
    CMD_FAILED = 1,
    CMD_USAGE = 2,
    CMD_MISSING = 3, /* not found, or exists already */
    CMD_NO_SERVER = 4,
    CMD_DAMAGED = 5,
    CMD_PARTLY = 6,
    CMD_REFUSED = 7,  /* would lose data */
    CMD_LATE = 8,     /* not caught up */
    CMD_FATAL = 9,    /* serve: a write or sync failed */
    CMD_SIGNAL = 128, /* plus its number */
};

struct cmd_row {
    const char *name;
    int (*run)(struct args *a, int argc, char **argv);
    const char *about; /* one line */
};

int cmd_topic(struct args *a, int argc, char **argv);
int cmd_produce(struct args *a, int argc, char **argv);
int cmd_consume(struct args *a, int argc, char **argv);
int cmd_group(struct args *a, int argc, char **argv);
int cmd_cluster(struct args *a, int argc, char **argv);
int cmd_config(struct args *a, int argc, char **argv);
int cmd_dump(struct args *a, int argc, char **argv);
int cmd_verify(struct args *a, int argc, char **argv);
int cmd_check(struct args *a, int argc, char **argv);
int cmd_completion(struct args *a, int argc, char **argv);
int cmd_doctor(struct args *a, int argc, char **argv);
int cmd_top(struct args *a, int argc, char **argv);
int cmd_snapshot(struct args *a, int argc, char **argv);
int cmd_version(struct args *a, int argc, char **argv);
int cmd_help(struct args *a, int argc, char **argv);

/* Prints the manual page kauri(1), in roff. */
void cmd_man(struct args *a);
/* Calls fn for every topic of help that is text. */
void cmd_help_topic_each(void (*fn)(void *ctx, const char *name, const char *about,
                                    const char *text),
                         void *ctx);
/* Prints the commands and the topics of help. */
void cmd_help_list(void);
/* The table of main, for help; ends with a row without name. */
const struct cmd_row *main_commands(void);

/* Exit code of args_parse's conditions. */
int cmd_args(int condition);
/* Prints the page of a command, or hands it to a->on_page with those of its subcommands. */
int cmd_page(const struct cmd_row *row, struct args *a);
/* Runs the row that argv[1] names, after the options of `page`. */
int cmd_dispatch(const struct args_page *page, const struct cmd_row *rows, struct args *a, int argc,
                 char **argv);

struct cmd_client {
    struct kauri *k; /* owned */
    struct buf url;
};
/* Opens a client at -s, KAURI_SERVER or the default place; fills options->server and timeout_ms. 0,
 * or an exit code after an error was printed. */
int cmd_open(const struct args *a, struct kauri_options *options, struct cmd_client *out);
void cmd_close(struct cmd_client *c);

/* Exit code of a failure of the client library. */
int cmd_exit_of(int error);
/* Prints error and hint for a failed call about `topic` (may be NULL) and returns its exit code. */
int cmd_fail(const struct args *a, struct cmd_client *c, int error, const char *topic);
/* Prints what to type or to do after such an error, where there is something to say. */
void cmd_hint(const struct args *a, int error, const char *topic);
/* Folds one more exit code into the sum of several things: all done 0, all failed the first code,
 * else 6. Start with {0}. */
struct cmd_sum {
    size_t done;
    size_t failed;
    int first;
};
void cmd_sum_add(struct cmd_sum *s, int code);
int cmd_sum_exit(const struct cmd_sum *s);
/* Parses the rest of the line by `page`, opens a client and calls `one` for each name on it, until
 * nobody answers; `ask` is said when there is none. The exit code. */
int cmd_each_name(struct args *a, int argc, char **argv, const struct args_page *page,
                  const char *ask,
                  int (*one)(const struct args *a, struct cmd_client *c, const char *name));
/* True with -y; asks on a terminal; else prints that it was refused. `what` like "delete topic
 * x". */
bool cmd_confirm(const struct args *a, const char *what, const char *loses);
