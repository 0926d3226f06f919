/* SPDX-License-Identifier: MIT
 *
 * cmd_top: `kauri top`: a live table of topics and groups: rates, sizes, lag. Plain ANSI: home, and
 * what is below goes, then the tables.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/lag.h"
#include "cli/signals.h"
#include "cli/survey.h"
#include "cli/value.h"
#include "engine/base/assert.h"

#define CMD_TOP_EVERY_MS 2000

struct cmd_top {
    const struct args *a;
    int64_t every_ms;
    bool once;
    bool internal;
};

enum {
    CMD_TOP_ONCE = ARGS_LONG,
    CMD_TOP_EVERY,
    CMD_TOP_INTERNAL,
};

static const struct args_row cmd_top_rows[] = {
    {CMD_TOP_ONCE, "once", NULL, "one table over one interval, then end"},
    {CMD_TOP_EVERY, "every", "TIME", "the interval; default 2s"},
    {CMD_TOP_INTERNAL, "internal", NULL, "the broker's own topics too"},
};

static const struct args_page cmd_top_page = {
    .command = "top",
    .usage = "[--once] [--every TIME] [--internal]",
    .about = "Topics and groups, live: records a second, sizes, lag. Ctrl-C ends it.\n"
             "With --json one object a table.",
    ARGS_ROWS(cmd_top_rows),
    .examples = "  kauri top\n"
                "  kauri top --every 500ms\n"
                "  kauri top --once --json\n",
};

static const char *cmd_top_take(void *ctx, int key, const char *value)
{
    struct cmd_top *t = ctx;
    switch (key) {
    case CMD_TOP_ONCE:
        t->once = true;
        break;
    case CMD_TOP_EVERY:
        if (!value_duration(value, &t->every_ms) || t->every_ms < 100 || t->every_ms > INT32_MAX)
            return "at least 100ms";
        break;
    case CMD_TOP_INTERNAL:
        t->internal = true;
        break;
    }
    return NULL;
}

static void cmd_top_rate(char text[OUT_TEXT_MAX], double rate)
{
    if (rate < 0)
        (void)snprintf(text, OUT_TEXT_MAX, "-");
    else if (rate >= 1e6)
        (void)snprintf(text, OUT_TEXT_MAX, "%.1fM", rate / 1e6);
    else if (rate >= 1e4)
        (void)snprintf(text, OUT_TEXT_MAX, "%.1fk", rate / 1e3);
    else
        (void)snprintf(text, OUT_TEXT_MAX, "%.0f", rate);
}

static void cmd_top_topics(const struct cmd_top *o, const struct survey *before,
                           const struct survey *now)
{
    static const char *const heads[] = {"TOPIC", "PARTS",  "RECORDS", "BYTES",
                                        "IN/S",  "GROUPS", "LAG"};
    struct out_table table = {.align = "lrrrrrr"};
    char text[OUT_TEXT_MAX];
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        out_table_add(&table, heads[i]);
    for (size_t i = 0; i < now->topic_count; i++) {
        const struct survey_topic *t = &now->topics[i];
        if (t->internal && !o->internal)
            continue;
        out_table_add(&table, t->name);
        out_table_add(&table, out_count(text, t->partitions));
        out_table_add(&table, out_count(text, t->records));
        out_table_add(&table, out_size(text, t->size));
        cmd_top_rate(text, survey_records_rate(before, now, t->name));
        out_table_add(&table, text);
        out_table_add(&table, out_count(text, t->groups));
        out_table_add(&table, t->groups > 0 ? out_count(text, t->lag) : "-");
    }
    out_table_end(&table);
}

static void cmd_top_groups(const struct survey *now)
{
    static const char *const heads[] = {"GROUP", "STATE", "MEMBERS", "LAG", "STANDS"};
    struct out_table table = {.align = "llrrl"};
    char text[OUT_TEXT_MAX], stands[400];
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        out_table_add(&table, heads[i]);
    for (size_t i = 0; i < now->group_count; i++) {
        const struct survey_group *g = &now->groups[i];
        bool late = g->standing_ms >= SURVEY_MOVES_MS;
        (void)snprintf(stands, sizeof stands, "%s for %s", g->standing,
                       lag_age(text, g->standing_ms));
        out_table_add(&table, g->name);
        out_table_add(&table, g->state);
        out_table_add(&table, out_count(text, g->members));
        out_table_add(&table, out_count(text, g->lag));
        out_table_add(&table, late ? stands : "-");
    }
    out_table_end(&table);
}

static void cmd_top_json(const struct cmd_top *o, const struct survey *before,
                         const struct survey *now)
{
    json_t *topics = json_array(), *groups = json_array();
    for (size_t i = 0; i < now->topic_count; i++) {
        const struct survey_topic *t = &now->topics[i];
        if (t->internal && !o->internal)
            continue;
        double rate = survey_records_rate(before, now, t->name);
        (void)json_array_append_new(topics,
                                    json_pack("{s:s, s:i, s:I, s:I, s:o, s:i, s:I}", "topic",
                                              t->name, "partitions", t->partitions, "records",
                                              (json_int_t)t->records, "bytes", (json_int_t)t->size,
                                              "in_per_s", rate < 0 ? json_null() : json_real(rate),
                                              "groups", (int)t->groups, "lag", (json_int_t)t->lag));
    }
    for (size_t i = 0; i < now->group_count; i++) {
        const struct survey_group *g = &now->groups[i];
        (void)json_array_append_new(
            groups, json_pack("{s:s, s:s, s:i, s:o, s:I}", "group", g->name, "state", g->state,
                              "members", (int)g->members, "lag",
                              g->lag < 0 ? json_null() : json_integer((json_int_t)g->lag),
                              "standing_ms", (json_int_t)g->standing_ms));
    }
    out_json(json_pack("{s:I, s:I, s:f, s:o, s:o}", "disk_free_bytes",
                       (json_int_t)now->status.disk_free_size, "bytes",
                       (json_int_t)survey_size(now), "bytes_per_s", survey_disk_rate(before, now),
                       "topics", topics, "groups", groups));
}

static void cmd_top_show(const struct cmd_top *o, const struct survey *before,
                         const struct survey *now)
{
    char size[OUT_TEXT_MAX], left[OUT_TEXT_MAX];
    bool clear = !o->once && isatty(STDOUT_FILENO) == 1;
    if (o->a->json) {
        cmd_top_json(o, before, now);
        return;
    }
    if (clear)
        (void)fputs("\033[H\033[J", stdout);
    (void)printf("kauri  %s  %u topics, %u partitions, %s, %s free%s\n\n", now->status.dir,
                 now->status.topics, now->status.partitions, out_size(size, survey_size(now)),
                 out_size(left, (int64_t)now->status.disk_free_size),
                 now->status.disk_full ? ", FULL: records are refused" : "");
    cmd_top_topics(o, before, now);
    if (now->group_count > 0) {
        (void)putchar('\n');
        cmd_top_groups(now);
    }
    if (!clear && !o->once)
        (void)putchar('\n');
}

/* False when a signal came instead. */
static bool cmd_top_pause(int signals, int64_t ms)
{
    struct pollfd fd = {.fd = signals, .events = POLLIN};
    (void)poll(&fd, 1, (int)ms);
    return signals_taken(signals) == 0;
}

static int cmd_top_run(const struct cmd_top *o, struct cmd_client *c)
{
    struct survey before, now;
    int signals = signals_open();
    int error = survey_take(c->k, &before);
    if (error != 0)
        return cmd_fail(o->a, c, error, NULL);
    do {
        if (!cmd_top_pause(signals, o->every_ms))
            break;
        error = survey_take(c->k, &now);
        if (error != 0)
            break;
        cmd_top_show(o, &before, &now);
        (void)fflush(stdout);
        survey_deinit(&before);
        before = now;
    } while (!o->once && ferror(stdout) == 0);
    survey_deinit(&before);
    if (signals >= 0)
        (void)close(signals);
    return error != 0 ? cmd_fail(o->a, c, error, NULL) : CMD_DONE;
}

int cmd_top(struct args *a, int argc, char **argv)
{
    struct cmd_top o = {.a = a, .every_ms = CMD_TOP_EVERY_MS};
    struct kauri_options options = {0};
    struct cmd_client c = {0};
    int first = 0;
    int r = args_parse(&cmd_top_page, a, argc, argv, cmd_top_take, &o, &first);
    if (r != 0)
        return cmd_args(r);
    if (first < argc)
        return cmd_args(args_usage(&cmd_top_page, a, "top takes no operands"));
    r = cmd_open(a, &options, &c);
    if (r != 0)
        return r;
    r = cmd_top_run(&o, &c);
    cmd_close(&c);
    return r;
}
