/* SPDX-License-Identifier: MIT
 *
 * cmd_group: `kauri group`: its commands, `delete`, and what the others share.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cmd_group_priv.h"
#include "cli/commits.h"
#include "cli/value.h"
#include "engine/base/assert.h"
#include "engine/base/clock.h"

/* --- failures ------------------------------------------------------------------------------- */

static void cmd_group_nearest(const struct args *a, struct cmd_client *c, const char *group)
{
    struct kauri_groups *list = NULL;
    const char *near = NULL;
    if (kauri_group_list(c->k, &list) == 0)
        for (size_t i = 0; i < list->count; i++)
            if (value_near(group, list->groups[i].name))
                near = list->groups[i].name;
    if (near != NULL)
        out_hint(&a->out, "did you mean \"%s\"? (all of them: kauri group list)", near);
    else
        out_hint(&a->out, "kauri group list");
    kauri_result_free(list);
}

int cmd_group_fail(const struct args *a, struct cmd_client *c, int error, const char *group)
{
    if (error == KAURI_UNKNOWN_GROUP) {
        out_error(&a->out, "group \"%s\" does not exist", group);
        cmd_group_nearest(a, c, group);
        return CMD_MISSING;
    }
    if (error == KAURI_NOT_EMPTY) {
        out_error(&a->out, "group \"%s\" has members: its offsets are theirs", group);
        out_hint(&a->out, "stop them first: kauri group members %s", group);
        return CMD_FAILED;
    }
    if (error == KAURI_BAD_NAME) {
        out_error(&a->out, "\"%s\" cannot be the name of a group", group);
        out_hint(&a->out, "1 to 249 bytes");
        return CMD_USAGE;
    }
    return cmd_fail(a, c, error, NULL);
}

int cmd_group_idle(const struct args *a, struct cmd_client *c, const char *group, bool fresh)
{
    struct kauri_group_detail *detail = NULL;
    int error = kauri_group_describe(c->k, group, &detail);
    if (error == 0 && detail->member_count > 0)
        error = KAURI_NOT_EMPTY;
    kauri_result_free(detail);
    if (error == 0 || (error == KAURI_UNKNOWN_GROUP && fresh))
        return CMD_DONE;
    return cmd_group_fail(a, c, error, group);
}

/* --- moving offsets ------------------------------------------------------------------------- */

static json_t *cmd_group_number(int64_t number)
{
    return number < 0 ? json_null() : json_integer(number);
}

static void cmd_group_moves_json(const struct args *a, const char *group,
                                 const struct cmd_group_move *moves, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *o =
            json_pack("{s:s, s:i}", "topic", moves[i].topic, "partition", (int)moves[i].partition);
        (void)json_object_set_new(o, "old", cmd_group_number(moves[i].old));
        (void)json_object_set_new(o, "new", cmd_group_number(moves[i].new));
        (void)json_array_append_new(list, o);
    }
    out_json(
        json_pack("{s:s, s:b, s:o}", "group", group, "dry_run", a->dry_run, "partitions", list));
}

static void cmd_group_moves_table(const struct cmd_group_move *moves, size_t count)
{
    static const char *const heads[] = {"TOPIC", "PART", "OLD", "NEW", "RECORDS"};
    struct out_table table = {.align = "lrrrr"};
    char text[OUT_TEXT_MAX];
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        out_table_add(&table, heads[i]);
    for (size_t i = 0; i < count; i++) {
        const struct cmd_group_move *m = &moves[i];
        out_table_add(&table, m->topic);
        out_table_add(&table, out_count(text, m->partition));
        out_table_add(&table, out_count(text, m->old));
        out_table_add(&table, out_count(text, m->new));
        (void)snprintf(text, sizeof text, "%+" PRId64, m->new - m->old);
        out_table_add(&table, m->old < 0 || m->new < 0 ? "-" : m->new == m->old ? "0" : text);
    }
    out_table_end(&table);
}

/* 0 or a condition. */
static int cmd_group_commit(struct cmd_client *c, const char *group, const char *mark,
                            const struct cmd_group_move *moves, size_t count)
{
    size_t size = (count + 1) * sizeof(struct kauri_commit);
    struct kauri_commit *items CLEANUP(cleanup_free) = assert_memory(calloc(1, size), size);
    size_t forget_size = (count + 1) * sizeof(struct kauri_topic_partition);
    struct kauri_topic_partition *forget CLEANUP(cleanup_free) =
        assert_memory(calloc(1, forget_size), forget_size);
    size_t commits = 0;
    size_t forgets = 0;
    for (size_t i = 0; i < count; i++) {
        const struct cmd_group_move *m = &moves[i];
        if (m->new >= 0)
            items[commits++] =
                (struct kauri_commit){m->topic, m->partition, m->new, .metadata = mark};
        else if (m->old >= 0)
            forget[forgets++] = (struct kauri_topic_partition){m->topic, m->partition};
    }
    int error = commits > 0 ? kauri_group_commit(c->k, group, items, commits, NULL) : 0;
    if (error == 0 && forgets > 0)
        error = kauri_group_forget(c->k, group, forget, forgets, NULL);
    return error;
}

int cmd_group_apply(const struct args *a, struct cmd_client *c, const char *group, const char *what,
                    const struct cmd_group_move *moves, size_t count)
{
    char mark[COMMITS_MARK_MAX];
    commits_mark(what, clock_real()->wall_ms(clock_real()), mark);
    if (!a->dry_run) {
        int error = cmd_group_commit(c, group, mark, moves, count);
        if (error != 0)
            return cmd_group_fail(a, c, error, group);
    }
    if (a->json) {
        cmd_group_moves_json(a, group, moves, count);
        return CMD_DONE;
    }
    cmd_group_moves_table(moves, count);
    if (a->dry_run)
        out_note(&a->out, "nothing was changed: --dry-run");
    else
        out_note(&a->out, "%s: %s; back again: kauri group rewind %s --undo", group, what, group);
    return CMD_DONE;
}

/* --- delete --------------------------------------------------------------------------------- */

static int cmd_group_delete_one(const struct args *a, struct cmd_client *c, const char *group)
{
    struct kauri_group_detail *detail CLEANUP(cmd_group_detail_cleanup) = NULL;
    char what[320];
    char loses[64];
    int error = kauri_group_describe(c->k, group, &detail);
    if (error == 0 && detail->member_count > 0)
        error = KAURI_NOT_EMPTY;
    if (error != 0)
        return cmd_group_fail(a, c, error, group);
    size_t offsets = detail->group.offset_count;
    (void)snprintf(what, sizeof what, "delete group \"%s\"", group);
    (void)snprintf(loses, sizeof loses, "where it read to in %zu partition%s", offsets,
                   offsets == 1 ? "" : "s");
    if (a->dry_run) {
        out_note(&a->out, "would %s: %s", what, loses);
        return CMD_DONE;
    }
    if (offsets > 0 && !cmd_confirm(a, what, loses))
        return CMD_REFUSED;
    error = kauri_group_delete(c->k, group);
    if (error != 0)
        return cmd_group_fail(a, c, error, group);
    out_note(&a->out, "deleted %s", group);
    return CMD_DONE;
}

static int cmd_group_delete(struct args *a, int argc, char **argv)
{
    static const struct args_page page = {
        .command = "group delete",
        .usage = "GROUP... [-y]",
        .about = "Deletes groups that have no members, with their offsets.",
        .examples = "  kauri group delete billing\n"
                    "  kauri group delete a b c -y\n"
                    "  kauri group delete billing --dry-run\n",
    };
    return cmd_each_name(a, argc, argv, &page, "which group?", cmd_group_delete_one);
}

int cmd_group(struct args *a, int argc, char **argv)
{
    static const struct args_page page = {
        .command = "group",
        .usage = "list | describe | lag | members | history | seek | rewind | delete",
        .about =
            "  list [REGEX]                           the groups\n"
            "  describe GROUP                         its lag, partition by partition\n"
            "  lag [GROUP...] [--stuck] [--watch]     lag of all groups, and until it is lost\n"
            "  members GROUP                          who reads what\n"
            "  history GROUP                          its rebalances, and why\n"
            "  seek GROUP --to WHERE [--topic T[:P]]  move its offsets\n"
            "  rewind GROUP --as-of TIME | --undo     back to where it was\n"
            "  delete GROUP...                        a group and its offsets",
        .examples = "  kauri group list\n"
                    "  kauri group describe billing\n"
                    "  kauri group seek billing --to -1h --dry-run\n",
        .stop = true,
    };
    static const struct cmd_row rows[] = {
        {"list", cmd_group_list, ""},
        {"describe", cmd_group_describe, ""},
        {"lag", cmd_group_lag, ""},
        {"members", cmd_group_members, ""},
        {"history", cmd_group_history, ""},
        {"seek", cmd_group_seek, ""},
        {"rewind", cmd_group_rewind, ""},
        {"delete", cmd_group_delete, ""},
        {NULL, NULL, NULL},
    };
    return cmd_dispatch(&page, rows, a, argc, argv);
}
