/* SPDX-License-Identifier: MIT
 *
 * tool: the tools of the program `kauri-kafka`, and what they share: exit codes, log lines.
 *
 * The tools take the flags, and give the output, the messages and the exit codes, of Apache Kafka's
 * own 3.9 tools, so that scripts and runbooks written for those go on to work, against any broker.
 * Hence they follow neither args.h nor the exit codes of `kauri`. Known differences:
 *   - no Java stack traces: an exception is one line, its name and its message;
 *   - topic ids are not shown: librdkafka 2.0 cannot ask for them;
 *   - a setting that librdkafka does not know is warned of, where Java's clients say nothing;
 *   - bytes that are not UTF-8 pass unchanged, where Java's tools replace them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cli/kafka/fault.h"

enum tool_exit {
    TOOL_DONE = 0,
    TOOL_FAILED = 1,   /* all failures, also wrong usage; and --help, as Apache's do */
    TOOL_SIGNAL = 128, /* plus its number */
};

#define TOOL_NAME_MAX 64

struct tool_row {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the tool; returns an exit code */
    const char *about;
};

/* All tools; ends with a row without name. */
const struct tool_row *tool_rows(void);
/* The tool that a path names: its last part, without .sh. NULL when there is none. */
const struct tool_row *tool_find(const char *path);

/* kafka-topics, kafka-consumer-groups, kafka-console-producer, kafka-console-consumer. */
int topics_run(int argc, char **argv);
int groups_run(int argc, char **argv);
int producer_run(int argc, char **argv);
int consumer_run(int argc, char **argv);

/* "[2026-11-20 18:00:07,250] LEVEL text (logger)" on stderr, as log4j lays it out for Apache's
 * tools. */
__attribute__((format(printf, 3, 4))) void tool_log(const char *level, const char *logger,
                                                    const char *fmt, ...);
/* The line of an exception: "NAME: text" on stderr. */
void tool_thrown(const struct fault *f);
/* Monotonic ms. */
int64_t tool_now_ms(void);
