/* SPDX-License-Identifier: MIT
 *
 * cmd_group_seek: `kauri group seek`: finds for each partition where its offset would be, then
 * commits all of them in one call.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cmd_group_priv.h"
#include "cli/seek.h"
#include "engine/base/assert.h"
#include "engine/base/clock.h"

#define CMD_GROUP_TOPICS_MAX 64

enum {
    CMD_GROUP_TO = ARGS_LONG,
    CMD_GROUP_TOPIC,
};

struct cmd_group_seek {
    const struct args *a;
    struct cmd_client c;
    const char *group;
    const char *to_text;
    struct seek_to to;
    struct seek_topic topics[CMD_GROUP_TOPICS_MAX];
    size_t topic_count;
    struct kauri_group_offsets *offsets; /* owned */
    struct cmd_group_move *moves;        /* owned; topics of `offsets` and `topics` */
    size_t count;
};

/* --- which partitions ----------------------------------------------------------------------- */

static void cmd_group_seek_add(struct cmd_group_seek *s, const char *topic, int32_t partition,
                               int64_t committed)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->moves[i].partition == partition && strcmp(s->moves[i].topic, topic) == 0)
            return;
    size_t size = (s->count + 1) * sizeof *s->moves;
    s->moves = assert_memory(realloc(s->moves, size), size);
    s->moves[s->count++] = (struct cmd_group_move){
        .topic = topic, .partition = partition, .old = committed, .new = -1};
}

static int64_t cmd_group_seek_committed(const struct cmd_group_seek *s, const char *topic,
                                        int32_t partition)
{
    for (size_t i = 0; s->offsets != NULL && i < s->offsets->count; i++)
        if (s->offsets->rows[i].partition == partition &&
            strcmp(s->offsets->rows[i].topic, topic) == 0)
            return s->offsets->rows[i].offset;
    return -1;
}

static void cmd_group_seek_count(void *ctx, const struct kauri_topic *t)
{
    *(int32_t *)ctx = t->partition_count;
}

/* The partitions that one --topic names, committed or not. An exit code. */
static int cmd_group_seek_topic(struct cmd_group_seek *s, const struct seek_topic *named)
{
    int32_t count = 0;
    int error = kauri_topics(s->c.k, named->topic, 0, cmd_group_seek_count, &count);
    if (error != 0)
        return cmd_fail(s->a, &s->c, error, named->topic);
    if (named->partition >= count) {
        out_error(&s->a->out, "topic \"%s\" has no partition %d: it has %d", named->topic,
                  named->partition, count);
        out_hint(&s->a->out, "kauri topic describe %s", named->topic);
        return CMD_MISSING;
    }
    for (int32_t i = 0; i < count; i++)
        if (named->partition < 0 || named->partition == i)
            cmd_group_seek_add(s, named->topic, i, cmd_group_seek_committed(s, named->topic, i));
    return CMD_DONE;
}

static int cmd_group_seek_parts(struct cmd_group_seek *s)
{
    int r = CMD_DONE;
    int error = kauri_group_offsets(s->c.k, s->group, false, &s->offsets);
    if (error != 0 && !(error == KAURI_UNKNOWN_GROUP && s->topic_count > 0))
        return cmd_group_fail(s->a, &s->c, error, s->group);
    for (size_t i = 0; r == 0 && i < s->topic_count; i++)
        r = cmd_group_seek_topic(s, &s->topics[i]);
    for (size_t i = 0; s->topic_count == 0 && i < s->offsets->count; i++)
        if (s->offsets->rows[i].offset >= 0 && s->offsets->rows[i].end >= 0)
            cmd_group_seek_add(s, s->offsets->rows[i].topic, s->offsets->rows[i].partition,
                               s->offsets->rows[i].offset);
    if (r == 0 && s->count == 0) {
        out_error(&s->a->out, "group \"%s\" has no committed offsets", s->group);
        out_hint(&s->a->out, "name a topic: --topic TOPIC");
        return CMD_MISSING;
    }
    return r;
}

/* --- where to ------------------------------------------------------------------------------- */

static int cmd_group_seek_one(struct cmd_group_seek *s, struct cmd_group_move *m)
{
    struct seek_log log = {.committed = m->old, .at_time = -1};
    int error = kauri_offset(s->c.k, m->topic, m->partition, KAURI_OFFSET_START, &log.start);
    if (error == 0)
        error = kauri_offset(s->c.k, m->topic, m->partition, KAURI_OFFSET_END, &log.end);
    if (error == 0 && s->to.place == SEEK_TO_TIME)
        error = kauri_offset(s->c.k, m->topic, m->partition, s->to.number < 0 ? 0 : s->to.number,
                             &log.at_time);
    if (error != 0)
        return cmd_fail(s->a, &s->c, error, m->topic);
    /* The end may have been asked before a trim. */
    log.end = log.end > log.start ? log.end : log.start;
    if (seek_offset(&s->to, &log, &m->new) == 0)
        return CMD_DONE;
    out_error(&s->a->out, "cannot move %s-%d by %s: group \"%s\" has no offset there", m->topic,
              m->partition, s->to_text, s->group);
    out_hint(&s->a->out, "--to start, end, an offset or @TIME");
    return CMD_MISSING;
}

static int cmd_group_seek_run(struct cmd_group_seek *s)
{
    char what[96];
    int r = cmd_group_idle(s->a, &s->c, s->group, s->topic_count > 0);
    if (r == 0)
        r = cmd_group_seek_parts(s);
    for (size_t i = 0; r == 0 && i < s->count; i++)
        r = cmd_group_seek_one(s, &s->moves[i]);
    (void)snprintf(what, sizeof what, "seek to %s", s->to_text);
    return r == 0 ? cmd_group_apply(s->a, &s->c, s->group, what, s->moves, s->count) : r;
}

/* --- options -------------------------------------------------------------------------------- */

static const char *cmd_group_seek_take(void *ctx, int key, const char *value)
{
    struct cmd_group_seek *s = ctx;
    if (key == CMD_GROUP_TO) {
        s->to_text = value;
        return seek_parse(value, clock_real()->wall_ms(clock_real()), &s->to)
                   ? NULL
                   : "start, end, N, +N, -N, @TIME or -1h";
    }
    ASSERT(key == CMD_GROUP_TOPIC);
    if (s->topic_count == CMD_GROUP_TOPICS_MAX)
        return "at most 64 topics";
    return seek_topic_parse(value, &s->topics[s->topic_count++]) ? NULL
                                                                 : "TOPIC or TOPIC:PARTITION";
}

int cmd_group_seek(struct args *a, int argc, char **argv)
{
    static const struct args_row rows[] = {
        {CMD_GROUP_TO, "to", "WHERE", "start, end, N, +N, -N (records), @TIME, -1h (ago)"},
        {CMD_GROUP_TOPIC, "topic", "T[:P]", "only this topic or partition; repeatable"},
    };
    static const struct args_page page = {
        .command = "group seek",
        .usage = "GROUP --to WHERE [--topic TOPIC[:PARTITION]]...",
        .about =
            "Moves the offsets of a group that has no members: of all partitions it has\n"
            "committed, or of the topics that are named. What lies outside the log goes to its\n"
            "nearest end. Undone by: kauri group rewind GROUP --undo.",
        ARGS_ROWS(rows),
        .examples = "  kauri group seek billing --to @2026-11-20T18:00 --dry-run\n"
                    "  kauri group seek billing --to +1 --topic orders:1     (past a bad record)\n"
                    "  kauri group seek billing --to start --topic orders\n",
    };
    struct cmd_group_seek s = {.a = a};
    struct kauri_options options = {0};
    int first = 0;
    int r = args_parse(&page, a, argc, argv, cmd_group_seek_take, &s, &first);
    if (r == 0 && argc - first != 1)
        r = args_usage(&page, a, "which group? want exactly one");
    if (r == 0 && s.to_text == NULL)
        r = args_usage(&page, a, "where to? want --to");
    if (r != 0)
        return cmd_args(r);
    s.group = argv[first];
    r = cmd_open(a, &options, &s.c);
    if (r == 0)
        r = cmd_group_seek_run(&s);
    kauri_result_free(s.offsets);
    free(s.moves);
    cmd_close(&s.c);
    return r;
}
