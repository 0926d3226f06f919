/* SPDX-License-Identifier: MIT
 *
 * main: the program `kauri`: the table of subcommands.
 *
 * A new command is a row here and a file cmd_NAME.c. See cmd.h for exit codes and common options.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "cli/apache.h"
#include "cli/cmd.h"
#include "cli/serve.h"

static const struct cmd_row main_rows[] = {
    {"serve", serve, "run the broker"},
    {"topic", cmd_topic, "list, create, describe, alter, trim, delete topics"},
    {"produce", cmd_produce, "write records"},
    {"consume", cmd_consume, "read records"},
    {"group", cmd_group, "consumer groups: lag, members, moving their offsets"},
    {"cluster", cmd_cluster, "replicas: who leads, how far they are; promotion, leaving"},
    {"config", cmd_config, "the broker's settings"},
    {"dump", cmd_dump, "what is in a file, without a broker"},
    {"verify", cmd_verify, "check a data folder, without a broker"},
    {"top", cmd_top, "topics and groups, live"},
    {"doctor", cmd_doctor, "look for trouble"},
    {"check", cmd_check, "for Nagios: alive, ready, lag, disk"},
    {"snapshot", cmd_snapshot, "copy a running broker's data; restore it"},
    {"completion", cmd_completion, "for bash, zsh and fish"},
    {"version", cmd_version, "of this program, and of the broker"},
    {"help", cmd_help, "of a command, or of a topic"},
    {NULL, NULL, NULL},
};

static const struct args_page main_page = {
    .command = "",
    .usage = "COMMAND ...",
    .print = cmd_help_list,
    .stop = true,
};

const struct cmd_row *main_commands(void)
{
    return main_rows;
}

int main(int argc, char **argv)
{
    struct args a;
    (void)signal(SIGPIPE, SIG_IGN);
    args_init(&a);
    int code = CMD_DONE;
    if (!apache_called(&a, argc, argv, &code))
        code = cmd_dispatch(&main_page, main_rows, &a, argc, argv);
    /* A result that did not get out is a failure, but for a reader that had enough. */
    if (fflush(stdout) != 0 && errno != EPIPE && code == CMD_DONE) {
        out_error(&a.out, "cannot write to stdout: %s", error_text(errno));
        code = CMD_FAILED;
    }
    return code;
}
