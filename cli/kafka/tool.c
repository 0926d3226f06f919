/* SPDX-License-Identifier: MIT
 *
 * tool: see tool.h. A new tool is a row here and a file of its own; the build's list of names makes
 * the links.
 */
#include "cli/kafka/tool.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/base/clock.h"

static const struct tool_row tool_table[] = {
    {"kafka-topics", topics_run, "create, list, describe, alter, delete topics"},
    {"kafka-consumer-groups", groups_run, "list, describe, reset, delete consumer groups"},
    {"kafka-console-producer", producer_run, "write the lines of stdin to a topic"},
    {"kafka-console-consumer", consumer_run, "read topics to stdout"},
    {NULL, NULL, NULL},
};

const struct tool_row *tool_rows(void)
{
    return tool_table;
}

const struct tool_row *tool_find(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL ? slash + 1 : path;
    size_t size = strlen(base);
    if (size > 3 && strcmp(base + size - 3, ".sh") == 0)
        size -= 3;
    for (const struct tool_row *row = tool_table; row->name != NULL; row++)
        if (strlen(row->name) == size && memcmp(row->name, base, size) == 0)
            return row;
    return NULL;
}

void tool_log(const char *level, const char *logger, const char *fmt, ...)
{
    char text[FAULT_TEXT_MAX];
    char when[32];
    struct tm tm;
    int64_t now_ms = clock_real()->wall_ms(clock_real());
    time_t seconds = (time_t)(now_ms / 1000);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)localtime_r(&seconds, &tm);
    (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
    (void)fflush(stdout);
    (void)fprintf(stderr, "[%s,%03d] %s %s (%s)\n", when, (int)(now_ms % 1000), level, text,
                  logger);
}

void tool_thrown(const struct fault *f)
{
    (void)fflush(stdout);
    (void)fprintf(stderr, "%s%s%s\n", f->exception, f->text[0] != '\0' ? ": " : "", f->text);
}

int64_t tool_now_ms(void)
{
    return clock_real()->mono_ms(clock_real());
}
