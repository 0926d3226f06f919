/* SPDX-License-Identifier: MIT
 *
 * main: the program `kauri-kafka`: runs the tool that its own name says (kafka-topics,
 * kafka-topics.sh, by way of a link), else the one its first argument names.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "cli/kafka/tool.h"

static int main_usage(void)
{
    (void)fprintf(stderr, "usage: kauri-kafka TOOL [OPTION...]\n\ntools\n");
    for (const struct tool_row *row = tool_rows(); row->name != NULL; row++)
        (void)fprintf(stderr, "  %-24s  %s\n", row->name, row->about);
    (void)fprintf(stderr, "\nTOOL --help tells its options. A link to this program that has a "
                          "tool's name runs that tool.\n");
    return TOOL_FAILED;
}

int main(int argc, char **argv)
{
    const struct tool_row *tool = argc > 0 ? tool_find(argv[0]) : NULL;
    (void)signal(SIGPIPE, SIG_IGN);
    if (tool == NULL && argc > 1) {
        tool = tool_find(argv[1]);
        argc--;
        argv++;
    }
    if (tool == NULL)
        return main_usage();
    int code = tool->run(argc, argv);
    /* A result that did not get out is a failure, but for a reader that had enough. */
    if (fflush(stdout) != 0 && errno != EPIPE && code == TOOL_DONE) {
        (void)fprintf(stderr, "Unable to write to standard out: %s\n", error_text(errno));
        code = TOOL_FAILED;
    }
    return code;
}
