/* SPDX-License-Identifier: MIT
 *
 * cmd_check: `kauri check alive|ready|lag|disk`: one line and an exit code as Nagios and its kin
 * want them: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
 *
 *   alive   how long the broker takes to answer, ms          warn and crit are times
 *   ready   partitions that are still being recovered        any is a warning; produce refused:
 *           critical
 *   lag     records that a group has not read                warn and crit are counts
 *   disk    free space in percent                            less than warn, less than crit
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cmd.h"
#include "cli/survey.h"
#include "cli/value.h"
#include "engine/base/assert.h"

enum cmd_check_level {
    CMD_CHECK_OK,
    CMD_CHECK_WARNING,
    CMD_CHECK_CRITICAL,
    CMD_CHECK_UNKNOWN,
};

struct cmd_check {
    const struct args *a;
    const char *warn;
    const char *crit;
    const char *group;
    int64_t low; /* as numbers of the check's unit */
    int64_t high;
    char text[400];
    char figures[200];
};

static const struct args_row cmd_check_rows[] = {
    {'w', "warn", "X", "warning from here on"},
    {'c', "crit", "Y", "critical from here on"},
    {'g', "group", "GROUP", "lag: only of this group"},
};

static const struct args_page cmd_check_page = {
    .command = "check",
    .usage = "alive|ready|lag|disk [--warn X] [--crit Y] [-g GROUP]",
    .about = "One line and an exit code for Nagios and its kin: 0 OK, 1 WARNING, 2 CRITICAL,\n"
             "3 UNKNOWN. alive: time to answer (1s, 5s). ready: recovered, and taking records.\n"
             "lag: unread records (10000, 100000). disk: percent free (20, 10).",
    ARGS_ROWS(cmd_check_rows),
    .examples = "  kauri check alive --timeout 2s\n"
                "  kauri check lag -g billing --warn 1000 --crit 50000\n"
                "  kauri check disk --warn 15% --crit 5%\n",
};

static const char *cmd_check_take(void *ctx, int key, const char *value)
{
    struct cmd_check *c = ctx;
    if (key == 'w')
        c->warn = value;
    else if (key == 'c')
        c->crit = value;
    else
        c->group = value;
    return NULL;
}

static enum cmd_check_level cmd_check_alive(struct cmd_check *c, const struct survey *s)
{
    (void)snprintf(c->text, sizeof c->text, "answers in %" PRId64 " ms", s->took_ms);
    (void)snprintf(c->figures, sizeof c->figures, "time=%" PRId64 "ms;%" PRId64 ";%" PRId64 ";0",
                   s->took_ms, c->low, c->high);
    return s->took_ms >= c->high  ? CMD_CHECK_CRITICAL
           : s->took_ms >= c->low ? CMD_CHECK_WARNING
                                  : CMD_CHECK_OK;
}

static enum cmd_check_level cmd_check_ready(struct cmd_check *c, const struct survey *s)
{
    int64_t loading = 0;
    for (size_t i = 0; i < s->topic_count; i++)
        loading += s->topics[i].unloaded;
    (void)snprintf(c->figures, sizeof c->figures, "recovering=%" PRId64 ";1;;0;%u", loading,
                   s->status.partitions);
    if (s->status.disk_full) {
        (void)snprintf(c->text, sizeof c->text, "the disk is full, records are refused");
        return CMD_CHECK_CRITICAL;
    }
    if (loading == 0)
        (void)snprintf(c->text, sizeof c->text, "%u partitions, all there", s->status.partitions);
    else
        (void)snprintf(c->text, sizeof c->text, "%" PRId64 " of %u partitions are being recovered",
                       loading, s->status.partitions);
    return loading == 0 ? CMD_CHECK_OK : CMD_CHECK_WARNING;
}

static enum cmd_check_level cmd_check_lag(struct cmd_check *c, const struct survey *s)
{
    const struct survey_group *worst = NULL;
    for (size_t i = 0; i < s->group_count; i++) {
        const struct survey_group *g = &s->groups[i];
        bool meant = c->group == NULL || strcmp(g->name, c->group) == 0;
        if (meant && (worst == NULL || g->lag > worst->lag))
            worst = g;
    }
    if (worst == NULL && c->group != NULL) {
        (void)snprintf(c->text, sizeof c->text, "no group \"%.200s\"", c->group);
        return CMD_CHECK_UNKNOWN;
    }
    int64_t lag = worst != NULL && worst->lag > 0 ? worst->lag : 0;
    (void)snprintf(c->text, sizeof c->text,
                   worst == NULL ? "no groups" : "%.200s is %" PRId64 " records behind",
                   worst != NULL ? worst->name : "", lag);
    (void)snprintf(c->figures, sizeof c->figures, "lag=%" PRId64 ";%" PRId64 ";%" PRId64 ";0", lag,
                   c->low, c->high);
    return lag >= c->high ? CMD_CHECK_CRITICAL : lag >= c->low ? CMD_CHECK_WARNING : CMD_CHECK_OK;
}

static enum cmd_check_level cmd_check_disk(struct cmd_check *c, const struct survey *s)
{
    char size[OUT_TEXT_MAX];
    const struct kauri_broker_status *b = &s->status;
    double free_share =
        b->disk_total_size > 0 ? 100.0 * (double)b->disk_free_size / (double)b->disk_total_size : 0;
    (void)snprintf(c->text, sizeof c->text, "%.1f %% free (%s)%s", free_share,
                   out_size(size, (int64_t)b->disk_free_size),
                   b->disk_full ? ", records are refused" : "");
    (void)snprintf(c->figures, sizeof c->figures, "free=%.1f%%;%" PRId64 ":;%" PRId64 ":;0;100",
                   free_share, c->low, c->high);
    return b->disk_full || free_share < (double)c->high ? CMD_CHECK_CRITICAL
           : free_share < (double)c->low                ? CMD_CHECK_WARNING
                                                        : CMD_CHECK_OK;
}

static const struct cmd_check_kind {
    const char *name;
    enum cmd_check_level (*judge)(struct cmd_check *c, const struct survey *s);
    int64_t warn;
    int64_t crit;
    char unit; /* t: a time, c: a count, p: percent */
} cmd_check_kinds[] = {
    {"alive", cmd_check_alive, 1000, 5000, 't'},
    {"ready", cmd_check_ready, 1, 1, 'c'},
    {"lag", cmd_check_lag, 10000, 100000, 'c'},
    {"disk", cmd_check_disk, 20, 10, 'p'},
};
#define CMD_CHECK_KIND_COUNT (sizeof cmd_check_kinds / sizeof cmd_check_kinds[0])

/* False when the text is none of the unit. NULL: the preset. */
static bool cmd_check_number(char unit, const char *text, int64_t preset, int64_t *out)
{
    char *end = NULL;
    *out = preset;
    if (text == NULL)
        return true;
    if (unit == 't')
        return value_duration(text, out) && *out >= 0;
    *out = strtoll(text, &end, 10);
    if (unit == 'p' && *end == '%')
        end++;
    return end != text && *end == '\0' && *out >= 0;
}

static int cmd_check_say(const struct cmd_check *c, const char *name, enum cmd_check_level level)
{
    static const char *const words[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
    if (c->a->json)
        out_json(json_pack("{s:s, s:s, s:s, s:s}", "check", name, "status", words[level], "text",
                           c->text, "figures", c->figures));
    else
        (void)printf("KAURI %s %s - %s%s%s\n", name, words[level], c->text,
                     c->figures[0] != '\0' ? " | " : "", c->figures);
    return (int)level;
}

/* Nobody there: critical, whatever was asked. */
static int cmd_check_run(struct cmd_check *c, const struct cmd_check_kind *kind)
{
    struct kauri_options options = {0};
    struct cmd_client client = {0};
    struct survey s;
    if (cmd_open(c->a, &options, &client) != 0) {
        (void)snprintf(c->text, sizeof c->text, "no broker");
        return cmd_check_say(c, kind->name, CMD_CHECK_CRITICAL);
    }
    int error = survey_take(client.k, &s);
    enum cmd_check_level level = CMD_CHECK_CRITICAL;
    if (error == 0) {
        level = kind->judge(c, &s);
        survey_deinit(&s);
    } else {
        const char *message = kauri_message(client.k);
        (void)snprintf(c->text, sizeof c->text, "%s",
                       message[0] != '\0' ? message : kauri_error_text(error));
    }
    cmd_close(&client);
    return cmd_check_say(c, kind->name, level);
}

int cmd_check(struct args *a, int argc, char **argv)
{
    struct cmd_check c = {.a = a};
    int first = 0;
    int r = args_parse(&cmd_check_page, a, argc, argv, cmd_check_take, &c, &first);
    if (r != 0)
        return r == ARGS_HELP ? CMD_DONE : CMD_CHECK_UNKNOWN;
    const struct cmd_check_kind *kind = NULL;
    for (size_t i = 0; argc - first == 1 && i < CMD_CHECK_KIND_COUNT; i++)
        if (strcmp(argv[first], cmd_check_kinds[i].name) == 0)
            kind = &cmd_check_kinds[i];
    if (kind == NULL) {
        (void)args_usage(&cmd_check_page, a, "check what? alive, ready, lag or disk");
        return CMD_CHECK_UNKNOWN;
    }
    if (!cmd_check_number(kind->unit, c.warn, kind->warn, &c.low) ||
        !cmd_check_number(kind->unit, c.crit, kind->crit, &c.high)) {
        (void)args_usage(&cmd_check_page, a, "--warn and --crit: a time, a count or a percentage");
        return CMD_CHECK_UNKNOWN;
    }
    return cmd_check_run(&c, kind);
}
