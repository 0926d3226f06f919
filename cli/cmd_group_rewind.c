/* SPDX-License-Identifier: MIT
 *
 * cmd_group_rewind: `kauri group rewind`: puts the offsets of a group where they were. What they
 * were is in the log of the broker's own topic __consumer_offsets: it is read from its start, as
 * any topic, and what it tells of the group is kept (commits.h).
 *
 *   read the log -> plan: as of a time, or before the last reset -> compare with now -> commit
 *
 * It goes back as far as that log goes: a broker that compacts it keeps the last commit of each
 * partition for long, the ones before only for a while.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cmd_group_priv.h"
#include "cli/commits.h"
#include "cli/value.h"
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/broker/group_record.h"

#define CMD_GROUP_LOG     "__consumer_offsets"
#define CMD_GROUP_WAIT_MS 500
#define CMD_GROUP_QUIET   20 /* waits of that length without a record, until it is given up */

enum {
    CMD_GROUP_AS_OF = ARGS_LONG,
    CMD_GROUP_UNDO,
};

struct cmd_group_rewind {
    const struct args *a;
    struct cmd_client c;
    struct cmd_client reader; /* of the log */
    const char *group;
    bool as_of;
    int64_t time_ms;
    bool undo;
    struct commits commits;
    struct commits_items plan;
    const char *mark;                /* of the reset that is undone; borrowed of `commits` */
    struct kauri_group_offsets *now; /* owned */
};

/* --- the log -------------------------------------------------------------------------------- */

/* Keeps what the record tells of the group's offsets. Others, and those nobody can read, are passed
 * over: what they are about is not ours to judge. */
static void cmd_group_log_record(struct cmd_group_rewind *w, const struct kauri_record *r)
{
    struct group_record_key key;
    struct group_record_offset value = {.offset = -1, .commit_ms = r->timestamp_ms};
    if (r->key == NULL || group_record_key_decode(slice_of(r->key, r->key_size), &key) != 0 ||
        key.kind != GROUP_RECORD_OFFSET_COMMIT || !slice_equal(key.group, slice_str(w->group)))
        return;
    if (r->value != NULL &&
        group_record_offset_decode(slice_of(r->value, r->value_size), &value) != 0)
        return;
    commits_add(&w->commits, &(struct commits_one){.topic = key.topic,
                                                   .partition = key.partition,
                                                   .offset = value.offset,
                                                   .commit_ms = value.commit_ms,
                                                   .metadata = value.metadata});
}

static void cmd_group_log_parts(void *ctx, const struct kauri_topic *t)
{
    *(int32_t *)ctx = t->partition_count;
}

/* Reads all partitions to their ends. An exit code. */
static int cmd_group_log_read(struct cmd_group_rewind *w, int32_t open)
{
    unsigned quiet = 0;
    while (open > 0) {
        struct kauri_record r = {0};
        int event = kauri_next(w->reader.k, CMD_GROUP_WAIT_MS, &r);
        if (event == KAURI_AGAIN && ++quiet < CMD_GROUP_QUIET)
            continue;
        if (event == KAURI_END) {
            char topic[] = CMD_GROUP_LOG;
            open--;
            (void)kauri_unassign(w->reader.k, topic, r.partition);
        } else if (event == KAURI_DAMAGED && kauri_next_good(w->reader.k) > r.offset) {
            out_warning(&w->a->out, "commits at offset %" PRId64 " of %s-%d are damaged: left out",
                        r.offset, CMD_GROUP_LOG, r.partition);
            int32_t partition = r.partition;
            (void)kauri_seek(w->reader.k, CMD_GROUP_LOG, partition, kauri_next_good(w->reader.k));
        } else if (event != 0) {
            return cmd_fail(w->a, &w->reader, event == KAURI_AGAIN ? KAURI_TIMED_OUT : event,
                            CMD_GROUP_LOG);
        } else {
            quiet = 0;
            cmd_group_log_record(w, &r);
        }
    }
    return CMD_DONE;
}

static int cmd_group_log(struct cmd_group_rewind *w)
{
    int32_t count = 0;
    struct kauri_options options = {.eof_events = true};
    int r = cmd_open(w->a, &options, &w->reader);
    if (r != 0)
        return r;
    int error = kauri_topics(w->reader.k, CMD_GROUP_LOG, 0, cmd_group_log_parts, &count);
    if (error == KAURI_UNKNOWN_TOPIC)
        return CMD_DONE;
    for (int32_t i = 0; error == 0 && i < count; i++)
        error = kauri_assign(w->reader.k, CMD_GROUP_LOG, i, KAURI_OFFSET_START);
    if (error != 0)
        return cmd_fail(w->a, &w->reader, error, CMD_GROUP_LOG);
    return cmd_group_log_read(w, count);
}

/* --- the plan ------------------------------------------------------------------------------- */

static int cmd_group_plan(struct cmd_group_rewind *w)
{
    char text[OUT_TEXT_MAX];
    if (w->undo) {
        if (commits_before_reset(&w->commits, &w->plan, &w->mark)) {
            if (!w->a->json)
                out_note(&w->a->out, "undoing: %s", w->mark + strlen(COMMITS_MARK));
            return CMD_DONE;
        }
        out_error(&w->a->out,
                  "there is nothing to undo: no seek or rewind of group \"%s\" is on "
                  "record",
                  w->group);
        return CMD_MISSING;
    }
    commits_as_of(&w->commits, &w->plan);
    if (w->plan.count > 0)
        return CMD_DONE;
    out_error(&w->a->out, "group \"%s\" had no offsets as of %s, as far as the log goes back",
              w->group, out_time(text, w->time_ms));
    out_hint(&w->a->out, "kauri group seek %s --to @TIME goes by the records' times", w->group);
    return CMD_MISSING;
}

static const struct kauri_group_offset *cmd_group_now(const struct cmd_group_rewind *w,
                                                      const struct commits_item *item)
{
    for (size_t i = 0; w->now != NULL && i < w->now->count; i++)
        if (w->now->rows[i].partition == item->partition &&
            strcmp(w->now->rows[i].topic, item->topic) == 0)
            return &w->now->rows[i];
    return NULL;
}

/* The move of one partition, its offset brought into the log. False: the partition is gone. */
static bool cmd_group_move(struct cmd_group_rewind *w, const struct commits_item *item,
                           struct cmd_group_move *out)
{
    const struct kauri_group_offset *now = cmd_group_now(w, item);
    int64_t start = -1;
    int64_t end = -1;
    int error = kauri_offset(w->c.k, item->topic, item->partition, KAURI_OFFSET_START, &start);
    if (error == 0)
        error = kauri_offset(w->c.k, item->topic, item->partition, KAURI_OFFSET_END, &end);
    if (error != 0) {
        out_warning(&w->a->out, "%s-%d is left out: %s", item->topic, item->partition,
                    kauri_error_text(error));
        return false;
    }
    int64_t offset = item->offset;
    if (offset >= 0 && offset < start) {
        out_warning(&w->a->out, "offset %" PRId64 " of %s-%d is no longer kept: going to %" PRId64,
                    offset, item->topic, item->partition, start);
        offset = start;
    }
    *out = (struct cmd_group_move){.topic = item->topic,
                                   .partition = item->partition,
                                   .old = now != NULL ? now->offset : -1,
                                   .new = offset > end ? end : offset};
    return true;
}

static int cmd_group_rewind_run(struct cmd_group_rewind *w)
{
    char what[96];
    char text[OUT_TEXT_MAX];
    size_t count = 0;
    int r = cmd_group_idle(w->a, &w->c, w->group, true);
    if (r == 0)
        r = cmd_group_log(w);
    if (r == 0)
        r = cmd_group_plan(w);
    if (r != 0)
        return r;
    int error = kauri_group_offsets(w->c.k, w->group, false, &w->now);
    if (error != 0 && error != KAURI_UNKNOWN_GROUP)
        return cmd_group_fail(w->a, &w->c, error, w->group);
    size_t size = (w->plan.count + 1) * sizeof(struct cmd_group_move);
    struct cmd_group_move *moves CLEANUP(cleanup_free) = assert_memory(calloc(1, size), size);
    for (size_t i = 0; i < w->plan.count; i++)
        count += cmd_group_move(w, &w->plan.items[i], &moves[count]);
    if (w->as_of)
        (void)snprintf(what, sizeof what, "rewind as of %s", out_time(text, w->time_ms));
    else
        commits_what(w->mark, text, sizeof text);
    if (w->undo)
        (void)snprintf(what, sizeof what, "undo of %s", text);
    return cmd_group_apply(w->a, &w->c, w->group, what, moves, count);
}

/* --- options -------------------------------------------------------------------------------- */

static const char *cmd_group_rewind_take(void *ctx, int key, const char *value)
{
    struct cmd_group_rewind *w = ctx;
    if (key == CMD_GROUP_UNDO) {
        w->undo = true;
        return NULL;
    }
    ASSERT(key == CMD_GROUP_AS_OF);
    w->as_of = true;
    return value_time(value + (value[0] == '@'), clock_real()->wall_ms(clock_real()), &w->time_ms)
               ? NULL
               : "a time: 2026-11-20T18:00, -1h";
}

int cmd_group_rewind(struct args *a, int argc, char **argv)
{
    static const struct args_row rows[] = {
        {CMD_GROUP_AS_OF, "as-of", "TIME", "to the last commits at or before it; -1h: an hour ago"},
        {CMD_GROUP_UNDO, "undo", NULL, "to where it was before the last seek, rewind or undo"},
    };
    static const struct args_page page = {
        .command = "group rewind",
        .usage = "GROUP --as-of TIME | --undo",
        .about =
            "Puts the offsets of a group without members back to what they were, by the log of\n"
            "its commits. Partitions that had none at that time stay as they are.",
        ARGS_ROWS(rows),
        .examples = "  kauri group rewind billing --as-of 2026-11-20T18:00 --dry-run\n"
                    "  kauri group rewind billing --as-of -1h\n"
                    "  kauri group rewind billing --undo\n",
    };
    struct cmd_group_rewind w = {.a = a};
    struct kauri_options options = {0};
    int first = 0;
    int r = args_parse(&page, a, argc, argv, cmd_group_rewind_take, &w, &first);
    if (r == 0 && argc - first != 1)
        r = args_usage(&page, a, "which group? want exactly one");
    if (r == 0 && w.as_of == w.undo)
        r = args_usage(&page, a, "to when? want one of --as-of and --undo");
    if (r != 0)
        return cmd_args(r);
    w.group = argv[first];
    w.commits.as_of_ms = w.time_ms;
    r = cmd_open(a, &options, &w.c);
    if (r == 0)
        r = cmd_group_rewind_run(&w);
    commits_items_deinit(&w.plan);
    commits_deinit(&w.commits);
    kauri_result_free(w.now);
    cmd_close(&w.c);
    cmd_close(&w.reader);
    return r;
}
