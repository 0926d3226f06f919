/* SPDX-License-Identifier: MIT
 *
 * cmd_topic_trim: `kauri topic trim`: finds for each partition where its log would start, says what
 * that loses, asks once, then trims one partition after the other.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cmd_topic_priv.h"
#include "cli/value.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/clock.h"

#define CMD_TOPIC_TRIM_BEFORE ARGS_LONG

struct cmd_topic_trim {
    const struct args *a;
    struct cmd_client c;
    const char *name;
    int32_t partition; /* -1: every one */
    int32_t count;     /* of the topic's partitions */
    struct value_span before;
    bool has_before;
    int64_t *to; /* owned: the new log start of each partition, -1 as it is */
    int64_t loses;
};

static const char *cmd_topic_trim_take(void *ctx, int key, const char *value)
{
    struct cmd_topic_trim *t = ctx;
    uint64_t number = 0;
    if (key == 'p') {
        if (!value_u64(value, INT32_MAX - 1, &number))
            return "a whole number";
        t->partition = (int32_t)number;
        return NULL;
    }
    ASSERT(key == CMD_TOPIC_TRIM_BEFORE);
    t->has_before = true;
    if (!value_offsets(value, clock_real()->wall_ms(clock_real()), &t->before) ||
        t->before.bounded || t->before.place == VALUE_START || t->before.place == VALUE_LAST)
        return "an offset, end or @TIME";
    return NULL;
}

static void cmd_topic_trim_count(void *ctx, const struct kauri_topic *topic)
{
    struct cmd_topic_trim *t = ctx;
    t->count = topic->partition_count;
}

/* Where partition i would start; loses grows by what goes. A KAURI_* condition. */
static int cmd_topic_trim_plan(struct cmd_topic_trim *t, int32_t i)
{
    int64_t start = 0, to = t->before.number;
    ASSERT(i < t->count);
    int error = kauri_offset(t->c.k, t->name, i, KAURI_OFFSET_START, &start);
    if (error == 0 && t->before.place == VALUE_TIME)
        error = kauri_offset(t->c.k, t->name, i, t->before.number, &to);
    if (error == 0 && (t->before.place == VALUE_END || to < 0)) /* nothing is that new: all goes */
        error = kauri_offset(t->c.k, t->name, i, KAURI_OFFSET_END, &to);
    if (error != 0)
        return error;
    t->to[i] = to > start ? to : -1;
    t->loses += to > start ? to - start : 0;
    return 0;
}

static int cmd_topic_trim_each(struct cmd_topic_trim *t,
                               int (*fn)(struct cmd_topic_trim *, int32_t))
{
    int error = 0;
    for (int32_t i = 0; error == 0 && i < t->count; i++)
        if (t->partition < 0 || t->partition == i)
            error = fn(t, i);
    return error;
}

static int cmd_topic_trim_one(struct cmd_topic_trim *t, int32_t i)
{
    int64_t start = -1;
    if (t->to[i] < 0)
        return 0;
    int error = kauri_topic_trim(t->c.k, t->name, i, t->to[i], &start);
    if (error == 0)
        out_note(&t->a->out, "%s-%d starts at offset %" PRId64, t->name, i, start);
    return error;
}

/* What was asked for makes sense for this topic; 0 or an exit code. */
static int cmd_topic_trim_check(struct cmd_topic_trim *t)
{
    if (t->partition >= t->count) {
        out_error(&t->a->out, "topic \"%s\" has no partition %d: it has %d", t->name, t->partition,
                  t->count);
        return CMD_MISSING;
    }
    if (t->before.place == VALUE_OFFSET && t->partition < 0 && t->count > 1) {
        out_error(&t->a->out, "an offset is of one partition, and topic \"%s\" has %d", t->name,
                  t->count);
        out_hint(&t->a->out, "name it: -p 0, or trim all of them by time: --before @-24h");
        return CMD_USAGE;
    }
    return 0;
}

static int cmd_topic_trim_run(struct cmd_topic_trim *t)
{
    char what[300], loses[64];
    int error = kauri_topics(t->c.k, t->name, 0, cmd_topic_trim_count, t);
    if (error != 0)
        return cmd_fail(t->a, &t->c, error, t->name);
    int r = cmd_topic_trim_check(t);
    if (r != 0)
        return r;
    t->to = assert_memory(calloc((size_t)t->count + 1, sizeof *t->to), sizeof *t->to);
    error = cmd_topic_trim_each(t, cmd_topic_trim_plan);
    (void)snprintf(what, sizeof what, "trim topic \"%s\"", t->name);
    (void)snprintf(loses, sizeof loses, "%" PRId64 " record%s", t->loses, t->loses == 1 ? "" : "s");
    if (error == 0 && t->loses == 0)
        out_note(&t->a->out, "nothing to trim");
    else if (error == 0 && t->a->dry_run)
        out_note(&t->a->out, "would %s: %s", what, loses);
    else if (error == 0 && !cmd_confirm(t->a, what, loses))
        return CMD_REFUSED;
    else if (error == 0)
        error = cmd_topic_trim_each(t, cmd_topic_trim_one);
    return error == 0 ? CMD_DONE : cmd_fail(t->a, &t->c, error, t->name);
}

static int cmd_topic_trim_open(struct cmd_topic_trim *t, struct args *a,
                               const struct args_page *page, int argc, char **argv)
{
    struct kauri_options options = {0};
    int first = 0;
    int r = args_parse(page, a, argc, argv, cmd_topic_trim_take, t, &first);
    if (r == 0 && argc - first != 1)
        r = args_usage(page, a, "which topic? want exactly one");
    if (r == 0 && !t->has_before)
        r = args_usage(page, a, "want --before");
    if (r != 0)
        return cmd_args(r);
    t->name = argv[first];
    r = cmd_open(a, &options, &t->c);
    if (r != 0)
        return r;
    r = cmd_topic_trim_run(t);
    free(t->to);
    cmd_close(&t->c);
    return r;
}

int cmd_topic_trim(struct args *a, int argc, char **argv)
{
    static const struct args_row rows[] = {
        {'p', "partition", "N", "one partition; default every one"},
        {CMD_TOPIC_TRIM_BEFORE, "before", "WHERE", "the first record to keep: OFFSET, end, @TIME"},
    };
    static const struct args_page page = {
        .command = "topic trim",
        .usage = "TOPIC [-p N] --before OFFSET|end|@TIME [-y]",
        .about = "Deletes the oldest records for good.",
        ARGS_ROWS(rows),
        .examples = "  kauri topic trim orders -p 0 --before 1200\n"
                    "  kauri topic trim orders --before @-24h --dry-run\n"
                    "  kauri topic trim orders --before end -y\n",
    };
    struct cmd_topic_trim t = {.a = a, .partition = -1};
    return cmd_topic_trim_open(&t, a, &page, argc, argv);
}

int cmd_topic_purge(struct args *a, int argc, char **argv)
{
    static const struct args_row rows[] = {
        {'p', "partition", "N", "one partition; default every one"},
    };
    static const struct args_page page = {
        .command = "topic purge",
        .usage = "TOPIC [-p N] [-y]",
        .about = "Deletes all records for good; the topic stays, and its offsets go on.",
        ARGS_ROWS(rows),
        .examples = "  kauri topic purge orders --dry-run\n"
                    "  kauri topic purge orders -p 0 -y\n",
    };
    struct cmd_topic_trim t = {
        .a = a, .partition = -1, .has_before = true, .before = {.place = VALUE_END}};
    return cmd_topic_trim_open(&t, a, &page, argc, argv);
}
