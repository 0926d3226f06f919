/* SPDX-License-Identifier: MIT
 *
 * cmd_group_show: `kauri group list`, `members` and `history`.
 */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cmd_group_priv.h"
#include "cli/lag.h"
#include "engine/base/assert.h"

static void cmd_group_heads(struct out_table *table, const char *const *heads, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out_table_add(table, heads[i]);
}
#define CMD_GROUP_HEADS(table, heads)                                                              \
    cmd_group_heads(table, heads, sizeof(heads) / sizeof(heads)[0])

static const char *cmd_group_dash(const char *text)
{
    return text[0] != '\0' ? text : "-";
}

/* RFC 3339, or null. */
static json_t *cmd_group_time(int64_t ms)
{
    char text[OUT_TEXT_MAX];
    return ms < 0 ? json_null() : json_string(out_time(text, ms));
}

/* --- list ----------------------------------------------------------------------------------- */

struct cmd_group_list_view {
    const struct args *a;
    struct cmd_client c;
    json_t *list;
    struct out_table table;
};

/* Unread records of all its partitions; -1 when nothing is known. */
static int64_t cmd_group_lag_sum(struct cmd_client *c, const char *group)
{
    struct kauri_group_offsets *offsets CLEANUP(cmd_group_offsets_cleanup) = NULL;
    int64_t sum = -1;
    if (kauri_group_offsets(c->k, group, false, &offsets) != 0)
        return -1;
    for (size_t i = 0; i < offsets->count; i++) {
        const struct kauri_group_offset *o = &offsets->rows[i];
        if (o->offset >= 0 && o->end >= 0)
            sum = (sum < 0 ? 0 : sum) + (o->end > o->offset ? o->end - o->offset : 0);
    }
    return sum;
}

static void cmd_group_list_one(struct cmd_group_list_view *v, const struct kauri_group *g)
{
    char text[OUT_TEXT_MAX];
    int64_t lag = cmd_group_lag_sum(&v->c, g->name);
    if (v->list == NULL) {
        out_table_add(&v->table, g->name);
        out_table_add(&v->table, g->state);
        out_table_add(&v->table, g->type);
        out_table_add(&v->table, cmd_group_dash(g->protocol));
        out_table_add(&v->table, out_count(text, (int64_t)g->member_count));
        out_table_add(&v->table, out_count(text, (int64_t)g->offset_count));
        out_table_add(&v->table, out_count(text, lag));
        return;
    }
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "group", g->name, "state",
                          g->state, "type", g->type, "protocol_type", g->protocol_type, "assignor",
                          g->protocol, "members", (json_int_t)g->member_count, "partitions",
                          (json_int_t)g->offset_count);
    (void)json_object_set_new(o, "lag", lag < 0 ? json_null() : json_integer(lag));
    (void)json_object_set_new(o, "state_since", cmd_group_time(g->state_since_ms));
    (void)json_array_append_new(v->list, o);
}

static int cmd_group_list_run(struct cmd_group_list_view *v, const regex_t *regex)
{
    static const char *const heads[] = {"GROUP",   "STATE", "TYPE", "ASSIGNOR",
                                        "MEMBERS", "PARTS", "LAG"};
    struct kauri_options options = {0};
    struct kauri_groups *groups = NULL;
    int r = cmd_open(v->a, &options, &v->c);
    if (r != 0)
        return r;
    int error = kauri_group_list(v->c.k, &groups);
    v->list = v->a->json ? json_array() : NULL;
    v->table.align = "llllrrr";
    if (!v->a->json)
        CMD_GROUP_HEADS(&v->table, heads);
    for (size_t i = 0; error == 0 && i < groups->count; i++)
        if (regex == NULL || regexec(regex, groups->groups[i].name, 0, NULL, 0) == 0)
            cmd_group_list_one(v, &groups->groups[i]);
    r = error == 0 ? CMD_DONE : cmd_fail(v->a, &v->c, error, NULL);
    if (v->a->json && r == 0)
        out_json(json_pack("{s:O}", "groups", v->list));
    else if (r == 0)
        out_table_end(&v->table);
    kauri_result_free(groups);
    out_table_drop(&v->table);
    json_decref(v->list);
    cmd_close(&v->c);
    return r;
}

int cmd_group_list(struct args *a, int argc, char **argv)
{
    static const struct args_page page = {
        .command = "group list",
        .usage = "[REGEX]",
        .about = "Lists the groups, those that match an extended regular expression if one is\n"
                 "given. PARTS is how many partitions a group has committed offsets of.",
        .examples = "  kauri group list\n"
                    "  kauri group list '^billing'\n"
                    "  kauri group list --json\n",
    };
    struct cmd_group_list_view view = {.a = a};
    regex_t regex;
    int first = 0;
    int r = args_parse(&page, a, argc, argv, NULL, NULL, &first);
    if (r == 0 && argc - first > 1)
        r = args_usage(&page, a, "at most one expression");
    if (r != 0)
        return cmd_args(r);
    if (first == argc)
        return cmd_group_list_run(&view, NULL);
    if (regcomp(&regex, argv[first], REG_EXTENDED | REG_NOSUB) != 0)
        return cmd_args(args_usage(&page, a, "the expression is not a regular expression"));
    r = cmd_group_list_run(&view, &regex);
    regfree(&regex);
    return r;
}

/* --- members -------------------------------------------------------------------------------- */

static int cmd_group_part_order(const void *a, const void *b)
{
    const struct kauri_topic_partition *x = a;
    const struct kauri_topic_partition *y = b;
    int topics = strcmp(x->topic, y->topic);
    return topics != 0 ? topics : (x->partition > y->partition) - (x->partition < y->partition);
}

/* "orders[0-2,5] prices[0]" */
static void cmd_group_parts_text(const struct kauri_topic_partition *parts, size_t count,
                                 struct buf *out)
{
    size_t size = (count + 1) * sizeof *parts;
    struct kauri_topic_partition *sorted CLEANUP(cleanup_free) =
        assert_memory(calloc(1, size), size);
    for (size_t i = 0; i < count; i++)
        sorted[i] = parts[i];
    qsort(sorted, count, sizeof *sorted, cmd_group_part_order);
    for (size_t i = 0; i < count;) {
        size_t last = i;
        bool first = i == 0 || strcmp(sorted[i - 1].topic, sorted[i].topic) != 0;
        while (last + 1 < count && strcmp(sorted[last + 1].topic, sorted[i].topic) == 0 &&
               sorted[last + 1].partition == sorted[last].partition + 1)
            last++;
        if (first)
            buf_printf(out, "%s%s[", i > 0 ? " " : "", sorted[i].topic);
        buf_printf(out, "%s%d", first ? "" : ",", sorted[i].partition);
        if (last > i)
            buf_printf(out, "-%d", sorted[last].partition);
        if (last + 1 == count || strcmp(sorted[last + 1].topic, sorted[i].topic) != 0)
            buf_printf(out, "]");
        i = last + 1;
    }
}

static json_t *cmd_group_parts_json(const struct kauri_topic_partition *parts, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, json_pack("{s:s, s:i}", "topic", parts[i].topic,
                                                    "partition", (int)parts[i].partition));
    return list;
}

static json_t *cmd_group_member_json(const struct kauri_group_member *m)
{
    json_t *topics = json_array();
    for (size_t i = 0; i < m->topic_count; i++)
        (void)json_array_append_new(topics, json_string(m->topics[i]));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:o, s:s, s:o, s:o}", "member", m->id,
                     "instance", m->instance, "rack", m->rack, "client", m->client, "host", m->host,
                     "epoch", (int)m->epoch, "topics", topics, "regex", m->regex, "assigned",
                     cmd_group_parts_json(m->assigned, m->assigned_count), "target",
                     cmd_group_parts_json(m->target, m->target_count));
}

static void cmd_group_members_json(const struct kauri_group_detail *d)
{
    json_t *list = json_array();
    for (size_t i = 0; i < d->member_count; i++)
        (void)json_array_append_new(list, cmd_group_member_json(&d->members[i]));
    out_json(json_pack("{s:s, s:s, s:s, s:s, s:i, s:o}", "group", d->group.name, "state",
                       d->group.state, "type", d->group.type, "assignor", d->group.protocol,
                       "generation", (int)d->group.generation, "members", list));
}

static void cmd_group_members_table(const struct kauri_group_detail *d)
{
    static const char *const heads[] = {"MEMBER", "INSTANCE", "CLIENT",  "HOST",
                                        "EPOCH",  "PARTS",    "ASSIGNED"};
    struct out_table table = {.align = "llllrrl"};
    char text[OUT_TEXT_MAX];
    CMD_GROUP_HEADS(&table, heads);
    for (size_t i = 0; i < d->member_count; i++) {
        const struct kauri_group_member *m = &d->members[i];
        struct buf parts = {0};
        cmd_group_parts_text(m->assigned, m->assigned_count, &parts);
        buf_append_u8(&parts, 0);
        out_table_add(&table, m->id);
        out_table_add(&table, cmd_group_dash(m->instance));
        out_table_add(&table, cmd_group_dash(m->client));
        out_table_add(&table, cmd_group_dash(m->host));
        out_table_add(&table, out_count(text, m->epoch));
        out_table_add(&table, out_count(text, (int64_t)m->assigned_count));
        out_table_add(&table, cmd_group_dash((const char *)parts.p));
        buf_deinit(&parts);
    }
    out_table_end(&table);
}

/* A command about one group. */
struct cmd_group_call {
    struct cmd_client c;
    const char *group; /* borrowed from argv */
};
#define CMD_GROUP_GO (-1)

/* Reads the one operand and connects: CMD_GROUP_GO, or the exit code that ends the command. */
static int cmd_group_begin(const struct args_page *page, struct args *a, int argc, char **argv,
                           struct cmd_group_call *call)
{
    struct kauri_options options = {0};
    int first = 0;
    int r = args_parse(page, a, argc, argv, NULL, NULL, &first);
    if (r == 0 && argc - first != 1)
        r = args_usage(page, a, "which group? want exactly one");
    if (r != 0)
        return cmd_args(r);
    call->group = argv[first];
    r = cmd_open(a, &options, &call->c);
    return r != 0 ? r : CMD_GROUP_GO;
}

int cmd_group_members(struct args *a, int argc, char **argv)
{
    static const struct args_page page = {
        .command = "group members",
        .usage = "GROUP",
        .about = "Who is in a group, and which partitions each one reads.",
        .examples = "  kauri group members billing\n"
                    "  kauri group members billing --json\n"
                    "  kauri group describe billing\n",
    };
    struct kauri_group_detail *detail CLEANUP(cmd_group_detail_cleanup) = NULL;
    struct cmd_group_call call = {0};
    int r = cmd_group_begin(&page, a, argc, argv, &call);
    if (r != CMD_GROUP_GO)
        return r;
    r = CMD_DONE;
    int error = kauri_group_describe(call.c.k, call.group, &detail);
    if (error != 0)
        r = cmd_group_fail(a, &call.c, error, call.group);
    else if (a->json)
        cmd_group_members_json(detail);
    else
        cmd_group_members_table(detail);
    cmd_close(&call.c);
    return r;
}

/* --- history -------------------------------------------------------------------------------- */

static void cmd_group_history_json(const char *group, const struct kauri_group_history *h)
{
    json_t *list = json_array();
    for (size_t i = 0; i < h->count; i++) {
        const struct kauri_group_rebalance *r = &h->rebalances[i];
        json_t *o = json_pack("{s:s, s:s, s:s, s:i, s:I}", "cause", r->cause, "member", r->member,
                              "reason", r->reason, "generation", (int)r->generation, "members",
                              (json_int_t)r->member_count);
        (void)json_object_set_new(o, "began", cmd_group_time(r->began_ms));
        (void)json_object_set_new(
            o, "took_ms", r->ended_ms < 0 ? json_null() : json_integer(r->ended_ms - r->began_ms));
        (void)json_array_append_new(list, o);
    }
    out_json(json_pack("{s:s, s:o}", "group", group, "rebalances", list));
}

static void cmd_group_history_table(const struct kauri_group_history *h)
{
    static const char *const heads[] = {"BEGAN",  "TOOK",       "CAUSE",  "MEMBER",
                                        "REASON", "GENERATION", "MEMBERS"};
    struct out_table table = {.align = "lrlllrr"};
    char text[OUT_TEXT_MAX];
    CMD_GROUP_HEADS(&table, heads);
    for (size_t i = 0; i < h->count; i++) {
        const struct kauri_group_rebalance *r = &h->rebalances[i];
        out_table_add(&table, out_time(text, r->began_ms));
        out_table_add(&table,
                      r->ended_ms < 0 ? "going on" : out_duration(text, r->ended_ms - r->began_ms));
        out_table_add(&table, r->cause);
        out_table_add(&table, cmd_group_dash(r->member));
        out_table_add(&table, cmd_group_dash(r->reason));
        out_table_add(&table, out_count(text, r->generation));
        out_table_add(&table, out_count(text, (int64_t)r->member_count));
    }
    out_table_end(&table);
}

int cmd_group_history(struct args *a, int argc, char **argv)
{
    static const struct args_page page = {
        .command = "group history",
        .usage = "GROUP",
        .about = "The rebalances of a group since the broker started, oldest first, and why each\n"
                 "one happened.",
        .examples = "  kauri group history billing\n"
                    "  kauri group history billing --json\n"
                    "  kauri group members billing\n",
    };
    struct kauri_group_history *history = NULL;
    struct cmd_group_call call = {0};
    int r = cmd_group_begin(&page, a, argc, argv, &call);
    if (r != CMD_GROUP_GO)
        return r;
    r = CMD_DONE;
    int error = kauri_group_history(call.c.k, call.group, &history);
    if (error != 0)
        r = cmd_group_fail(a, &call.c, error, call.group);
    else if (a->json)
        cmd_group_history_json(call.group, history);
    else
        cmd_group_history_table(history);
    kauri_result_free(history);
    cmd_close(&call.c);
    return r;
}
