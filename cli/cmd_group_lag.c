/* SPDX-License-Identifier: MIT
 *
 * cmd_group_lag: `kauri group describe` and `kauri group lag`.
 *
 *   describe, offsets (one moment) -> retention of each topic -> the first unread record of each
 *   partition that lags, read with a client of its own -> lag_judge -> table or JSON, advice
 *
 * What cannot be read in time, an offset that retention took, a partition that is gone: the figures
 * that depend on it are "-" or null, the rest stands.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cmd_group_priv.h"
#include "cli/lag.h"
#include "cli/signals.h"
#include "cli/value.h"
#include "engine/base/assert.h"
#include "engine/base/clock.h"

#define CMD_GROUP_STUCK_MS 30000
#define CMD_GROUP_WATCH_MS 2000
#define CMD_GROUP_READ_MS  3000 /* for all first unread records */
#define CMD_GROUP_FETCH    ((size_t)16 * 1024)

enum {
    CMD_GROUP_STUCK = ARGS_LONG,
    CMD_GROUP_STUCK_AFTER,
    CMD_GROUP_WATCH,
};

struct cmd_group_lag {
    const struct args *a;
    struct cmd_client c;
    struct cmd_client reader; /* of first unread records: small fetches */
    int64_t stuck_ms;
    bool stuck; /* only what does not move */
    bool watch;
    int signals; /* descriptor, -1 without --watch */
};

/* One group at one moment. */
struct cmd_group_view {
    struct kauri_group_detail *detail;   /* owned */
    struct kauri_group_offsets *offsets; /* owned */
    struct lag_row *rows;                /* owned; texts of the two above */
    size_t count;
    struct lag_sum sum;
};

static void cmd_group_view_deinit(struct cmd_group_view *v)
{
    kauri_result_free(v->detail);
    kauri_result_free(v->offsets);
    free(v->rows);
    *v = (struct cmd_group_view){0};
}

static int64_t cmd_group_now(void)
{
    return clock_real()->wall_ms(clock_real());
}

/* --- gathering ------------------------------------------------------------------------------ */

static void cmd_group_retention(void *ctx, const struct kauri_topic *t)
{
    bool deletes = false;
    int64_t ms = -1;
    for (size_t i = 0; i < t->config_count; i++) {
        const struct kauri_config *c = &t->configs[i];
        if (c->value == NULL)
            continue;
        if (strcmp(c->key, "retention.ms") == 0)
            ms = strtoll(c->value, NULL, 10);
        if (strcmp(c->key, "cleanup.policy") == 0)
            deletes = strstr(c->value, "delete") != NULL;
    }
    *(int64_t *)ctx = deletes ? ms : -1;
}

/* How long each topic keeps its records; rows are by topic. */
static int cmd_group_retentions(struct cmd_group_lag *l, struct cmd_group_view *v)
{
    for (size_t i = 0; i < v->count; i++) {
        struct lag_row *r = &v->rows[i];
        r->retention_ms = -1;
        if (i > 0 && strcmp(r->topic, r[-1].topic) == 0) {
            r->retention_ms = r[-1].retention_ms;
            continue;
        }
        int error = kauri_topics(l->c.k, r->topic, KAURI_WITH_CONFIGS, cmd_group_retention,
                                 &r->retention_ms);
        if (error != 0 && error != KAURI_UNKNOWN_TOPIC)
            return error;
    }
    return 0;
}

static const struct kauri_group_member *cmd_group_member(const struct kauri_group_detail *d,
                                                         const char *id)
{
    for (size_t i = 0; i < d->member_count; i++)
        if (strcmp(d->members[i].id, id) == 0)
            return &d->members[i];
    return NULL;
}

static void cmd_group_rows(struct cmd_group_view *v)
{
    size_t size = (v->offsets->count + 1) * sizeof *v->rows;
    v->rows = assert_memory(calloc(1, size), size);
    v->count = v->offsets->count;
    for (size_t i = 0; i < v->count; i++) {
        const struct kauri_group_offset *o = &v->offsets->rows[i];
        const struct kauri_group_member *m = cmd_group_member(v->detail, o->owner);
        v->rows[i] = (struct lag_row){
            .topic = o->topic,
            .partition = o->partition,
            .committed = o->offset,
            .log_start = o->log_start,
            .end = o->end,
            .moved_ms = o->moved_ms,
            .member = o->owner,
            .client = m != NULL ? m->client : "",
            .host = m != NULL ? m->host : "",
        };
    }
}

static struct lag_row *cmd_group_row(struct cmd_group_view *v, const struct kauri_record *r)
{
    for (size_t i = 0; r->topic != NULL && i < v->count; i++)
        if (v->rows[i].partition == r->partition && strcmp(v->rows[i].topic, r->topic) == 0)
            return &v->rows[i];
    return NULL;
}

/* Asks for the first unread record of each partition that lags; returns how many. */
static size_t cmd_group_ask(struct cmd_group_lag *l, struct cmd_group_view *v)
{
    size_t asked = 0;
    for (size_t i = 0; i < v->count; i++) {
        struct lag_row *r = &v->rows[i];
        r->offset = r->committed > r->log_start ? r->committed : r->log_start;
        if (r->committed >= 0 && r->end > r->committed && r->offset < r->end &&
            kauri_assign(l->reader.k, r->topic, r->partition, r->offset) == 0)
            asked++;
    }
    return asked;
}

/* Takes answers until all are there, or the time is over: the rows left then stay unread. */
static void cmd_group_unread(struct cmd_group_lag *l, struct cmd_group_view *v)
{
    int64_t stop_ms = clock_real()->mono_ms(clock_real()) + CMD_GROUP_READ_MS;
    size_t left = cmd_group_ask(l, v);
    while (left > 0) {
        struct kauri_record r = {0};
        int64_t wait_ms = stop_ms - clock_real()->mono_ms(clock_real());
        int event = wait_ms > 0 ? kauri_next(l->reader.k, (uint32_t)wait_ms, &r) : KAURI_AGAIN;
        struct lag_row *row = event != KAURI_AGAIN ? cmd_group_row(v, &r) : NULL;
        if (row == NULL)
            break;
        if (event == 0 && !row->read) {
            row->read = true;
            row->offset = r.offset;
            row->timestamp_ms = r.timestamp_ms;
            row->size = (int64_t)(r.key_size + r.value_size);
            lag_key(row, slice_of(r.key, r.key != NULL ? r.key_size : 0));
        }
        left -= kauri_unassign(l->reader.k, row->topic, row->partition) == 0;
    }
    for (size_t i = 0; left > 0 && i < v->count; i++)
        (void)kauri_unassign(l->reader.k, v->rows[i].topic, v->rows[i].partition);
}

/* 0 or a condition. */
static int cmd_group_look(struct cmd_group_lag *l, const char *group, struct cmd_group_view *v)
{
    *v = (struct cmd_group_view){0};
    int error = kauri_group_describe(l->c.k, group, &v->detail);
    if (error == 0)
        error = kauri_group_offsets(l->c.k, group, true, &v->offsets);
    if (error != 0)
        return error;
    cmd_group_rows(v);
    error = cmd_group_retentions(l, v);
    if (error != 0)
        return error;
    cmd_group_unread(l, v);
    lag_judge(v->rows, v->count, cmd_group_now(), l->stuck_ms, &v->sum);
    return 0;
}

/* --- printing ------------------------------------------------------------------------------- */

static json_t *cmd_group_known(int64_t number)
{
    return number < 0 ? json_null() : json_integer(number);
}

static json_t *cmd_group_row_json(const struct lag_row *r)
{
    json_t *o = json_pack("{s:s, s:i, s:s, s:s, s:s, s:s}", "topic", r->topic, "partition",
                          (int)r->partition, "status", lag_status_text(r->status), "member",
                          r->member, "client", r->client, "host", r->host);
    (void)json_object_set_new(o, "committed", cmd_group_known(r->committed));
    (void)json_object_set_new(o, "end", cmd_group_known(r->end));
    (void)json_object_set_new(o, "lag", cmd_group_known(r->lag));
    (void)json_object_set_new(o, "lag_ms", cmd_group_known(r->behind_ms));
    (void)json_object_set_new(o, "stands_ms", json_integer(r->stands_ms));
    (void)json_object_set_new(o, "lost_in_ms", cmd_group_known(r->lost_ms));
    if (!r->read)
        return o;
    json_t *record = json_pack("{s:I, s:I, s:I}", "offset", (json_int_t)r->offset, "timestamp",
                               (json_int_t)r->timestamp_ms, "size", (json_int_t)r->size);
    (void)json_object_set_new(record, "key", r->key[0] != '\0' ? json_string(r->key) : json_null());
    (void)json_object_set_new(o, "next", record);
    return o;
}

static bool cmd_group_shown(const struct cmd_group_lag *l, const struct lag_row *r)
{
    return !l->stuck || r->status == LAG_STUCK || r->status == LAG_NOT_CONSUMED;
}

static void cmd_group_advice(const struct cmd_group_lag *l, const struct cmd_group_view *v,
                             void (*fn)(void *ctx, const char *line), void *ctx)
{
    struct buf advice = {0};
    lag_advice(v->rows, v->count, v->detail->member_count, l->stuck_ms, &advice);
    buf_append_u8(&advice, 0);
    char *rest = (char *)advice.p;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n"))
        if (line[0] != '\0')
            fn(ctx, line);
    buf_deinit(&advice);
}

static void cmd_group_advice_json(void *ctx, const char *line)
{
    (void)json_array_append_new(ctx, json_string(line));
}

static void cmd_group_advice_text(void *ctx, const char *line)
{
    const struct cmd_group_lag *l = ctx;
    out_hint(&l->a->out, "%s", line);
}

static json_t *cmd_group_view_json(const struct cmd_group_lag *l, const struct cmd_group_view *v)
{
    json_t *list = json_array();
    json_t *hints = json_array();
    const struct kauri_group *g = &v->detail->group;
    for (size_t i = 0; i < v->count; i++)
        if (cmd_group_shown(l, &v->rows[i]))
            (void)json_array_append_new(list, cmd_group_row_json(&v->rows[i]));
    cmd_group_advice(l, v, cmd_group_advice_json, hints);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:I}", "group", g->name, "state", g->state, "type",
                          g->type, "assignor", g->protocol, "members", (json_int_t)g->member_count);
    (void)json_object_set_new(o, "lag", cmd_group_known(v->sum.lag));
    (void)json_object_set_new(o, "lag_ms", json_integer(v->sum.oldest_ms));
    (void)json_object_set_new(o, "partitions", list);
    (void)json_object_set_new(o, "hints", hints);
    return o;
}

/* "billing  Stable  range  2 members  lag 9067 (oldest 41 s)" */
static void cmd_group_head(const struct cmd_group_view *v)
{
    const struct kauri_group *g = &v->detail->group;
    char text[OUT_TEXT_MAX];
    (void)printf("%s  %s%s%s  %zu member%s  lag %s", g->name, g->state,
                 g->protocol[0] != '\0' ? "  " : "", g->protocol, g->member_count,
                 g->member_count == 1 ? "" : "s", out_count(text, v->sum.lag));
    if (v->sum.lag > 0)
        (void)printf(" (oldest %s)", lag_age(text, v->sum.oldest_ms));
    (void)printf("\n");
}

static const char *cmd_group_or_dash(const char *text)
{
    return text[0] != '\0' ? text : "-";
}

/* Cells of both commands. */
static void cmd_group_cells(struct out_table *table, const struct lag_row *r)
{
    char text[OUT_TEXT_MAX];
    out_table_add(table, r->topic);
    out_table_add(table, out_count(text, r->partition));
    out_table_add(table, out_count(text, r->committed));
    out_table_add(table, out_count(text, r->end));
    out_table_add(table, out_count(text, r->lag));
    out_table_add(table, lag_age(text, r->behind_ms));
}

static void cmd_group_describe_table(const struct cmd_group_view *v)
{
    static const char *const heads[] = {"TOPIC",  "PART",   "COMMITTED", "END", "LAG",
                                        "BEHIND", "STATUS", "MEMBER",    "HOST"};
    struct out_table table = {.align = "lrrrrrlll"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        out_table_add(&table, heads[i]);
    for (size_t i = 0; i < v->count; i++) {
        cmd_group_cells(&table, &v->rows[i]);
        out_table_add(&table, lag_status_text(v->rows[i].status));
        out_table_add(&table, cmd_group_or_dash(v->rows[i].member));
        out_table_add(&table, cmd_group_or_dash(v->rows[i].host));
    }
    out_table_end(&table);
}

static void cmd_group_lag_row(struct out_table *table, const char *group, const struct lag_row *r)
{
    char text[OUT_TEXT_MAX];
    out_table_add(table, group);
    cmd_group_cells(table, r);
    out_table_add(table, r->lost_ms == 0 ? "now" : lag_age(text, r->lost_ms));
    out_table_add(table, lag_status_text(r->status));
    out_table_add(table, cmd_group_or_dash(r->client[0] != '\0' ? r->client : r->member));
}

/* --- running -------------------------------------------------------------------------------- */

static int cmd_group_lag_open(struct cmd_group_lag *l)
{
    struct kauri_options options = {0};
    struct kauri_options small = {
        .fetch_size = CMD_GROUP_FETCH, .fetch_wait_ms = 100, .eof_events = true};
    int r = cmd_open(l->a, &options, &l->c);
    return r == 0 ? cmd_open(l->a, &small, &l->reader) : r;
}

static void cmd_group_lag_close(struct cmd_group_lag *l)
{
    cmd_close(&l->c);
    cmd_close(&l->reader);
    if (l->signals >= 0)
        (void)close(l->signals);
}

static int cmd_group_describe_run(struct cmd_group_lag *l, const char *group)
{
    struct cmd_group_view v = {0};
    int r = cmd_group_lag_open(l);
    if (r != 0)
        return r;
    int error = cmd_group_look(l, group, &v);
    if (error != 0) {
        r = cmd_group_fail(l->a, &l->c, error, group);
    } else if (l->a->json) {
        out_json(cmd_group_view_json(l, &v));
    } else {
        cmd_group_head(&v);
        cmd_group_describe_table(&v);
        (void)fflush(stdout);
        cmd_group_advice(l, &v, cmd_group_advice_text, l);
    }
    cmd_group_view_deinit(&v);
    return r;
}

/* One group into the table, or the list of JSON. A group that went meanwhile is left out unless it
 * was asked for. */
static int cmd_group_lag_add(struct cmd_group_lag *l, const char *group, bool named,
                             struct out_table *table, json_t *list)
{
    struct cmd_group_view v = {0};
    int error = cmd_group_look(l, group, &v);
    if (error == 0 && list != NULL)
        (void)json_array_append_new(list, cmd_group_view_json(l, &v));
    for (size_t i = 0; error == 0 && list == NULL && i < v.count; i++)
        if (cmd_group_shown(l, &v.rows[i]))
            cmd_group_lag_row(table, group, &v.rows[i]);
    cmd_group_view_deinit(&v);
    if (error == 0 || (error == KAURI_UNKNOWN_GROUP && !named))
        return CMD_DONE;
    return cmd_group_fail(l->a, &l->c, error, group);
}

/* All groups that are named, or all there are. */
static int cmd_group_lag_once(struct cmd_group_lag *l, char **names, int count)
{
    static const char *const heads[] = {"GROUP", "TOPIC",  "PART",    "COMMITTED", "END",
                                        "LAG",   "BEHIND", "LOST IN", "STATUS",    "MEMBER"};
    struct out_table table = {.align = "llrrrrrrll"};
    struct kauri_groups *all = NULL;
    json_t *list = l->a->json ? json_array() : NULL;
    int r = CMD_DONE;
    for (size_t i = 0; !l->a->json && i < sizeof heads / sizeof heads[0]; i++)
        out_table_add(&table, heads[i]);
    int error = count == 0 ? kauri_group_list(l->c.k, &all) : 0;
    if (error != 0)
        r = cmd_fail(l->a, &l->c, error, NULL);
    for (int i = 0; r == 0 && i < count; i++)
        r = cmd_group_lag_add(l, names[i], true, &table, list);
    for (size_t i = 0; r == 0 && all != NULL && i < all->count; i++)
        r = cmd_group_lag_add(l, all->groups[i].name, false, &table, list);
    kauri_result_free(all);
    if (r == 0 && l->watch && !l->a->json && isatty(STDOUT_FILENO) == 1)
        (void)printf("\033[H\033[2J");
    if (r == 0 && l->a->json)
        out_json(json_pack("{s:O}", "groups", list));
    else if (r == 0)
        out_table_end(&table);
    out_table_drop(&table);
    json_decref(list);
    return r;
}

static int cmd_group_lag_run(struct cmd_group_lag *l, char **names, int count)
{
    int r = cmd_group_lag_open(l);
    if (r == 0)
        r = cmd_group_lag_once(l, names, count);
    if (r != 0 || !l->watch)
        return r;
    l->signals = signals_open();
    struct pollfd fd = {.fd = l->signals, .events = POLLIN};
    int signal = 0;
    while (r == 0 && fflush(stdout) == 0) {
        (void)poll(&fd, 1, CMD_GROUP_WATCH_MS);
        signal = signals_taken(l->signals);
        if (signal != 0)
            return CMD_SIGNAL + signal;
        if (!l->a->json && isatty(STDOUT_FILENO) != 1)
            (void)printf("\n");
        r = cmd_group_lag_once(l, names, count);
    }
    return r;
}

/* --- options -------------------------------------------------------------------------------- */

static const char *cmd_group_lag_take(void *ctx, int key, const char *value)
{
    struct cmd_group_lag *l = ctx;
    switch (key) {
    case CMD_GROUP_STUCK:
        l->stuck = true;
        return NULL;
    case CMD_GROUP_WATCH:
        l->watch = true;
        return NULL;
    case CMD_GROUP_STUCK_AFTER:
        return value_duration(value, &l->stuck_ms) && l->stuck_ms > 0 ? NULL : "a time such as 30s";
    }
    return NULL;
}

int cmd_group_describe(struct args *a, int argc, char **argv)
{
    static const struct args_row rows[] = {
        {CMD_GROUP_STUCK_AFTER, "stuck-after", "TIME", "what counts as not moving; default 30s"},
    };
    static const struct args_page page = {
        .command = "group describe",
        .usage = "GROUP",
        .about =
            "How far a group is, partition by partition. LAG is in records, BEHIND the age of\n"
            "the first unread one. STUCK: it has not moved while another partition did; NOT\n"
            "CONSUMED: nothing of the group moves.",
        ARGS_ROWS(rows),
        .examples = "  kauri group describe billing\n"
                    "  kauri group describe billing --json\n"
                    "  kauri group describe billing --stuck-after 5m\n",
    };
    struct cmd_group_lag l = {.a = a, .stuck_ms = CMD_GROUP_STUCK_MS, .signals = -1};
    int first = 0;
    int r = args_parse(&page, a, argc, argv, cmd_group_lag_take, &l, &first);
    if (r == 0 && argc - first != 1)
        r = args_usage(&page, a, "which group? want exactly one");
    if (r != 0)
        return cmd_args(r);
    r = cmd_group_describe_run(&l, argv[first]);
    cmd_group_lag_close(&l);
    return r;
}

int cmd_group_lag(struct args *a, int argc, char **argv)
{
    static const struct args_row rows[] = {
        {CMD_GROUP_STUCK, "stuck", NULL, "only partitions that do not move"},
        {CMD_GROUP_STUCK_AFTER, "stuck-after", "TIME", "what counts as that; default 30s"},
        {CMD_GROUP_WATCH, "watch", NULL, "again every 2 s, until Ctrl-C"},
    };
    static const struct args_page page = {
        .command = "group lag",
        .usage = "[GROUP...] [--stuck] [--watch]",
        .about =
            "Lag of groups, of all without a name. LOST IN is the time until retention may take\n"
            "the first unread record: what is not read by then is never read.",
        ARGS_ROWS(rows),
        .examples = "  kauri group lag\n"
                    "  kauri group lag billing --watch\n"
                    "  kauri group lag --stuck --stuck-after 5m --json\n",
    };
    struct cmd_group_lag l = {.a = a, .stuck_ms = CMD_GROUP_STUCK_MS, .signals = -1};
    int first = 0;
    int r = args_parse(&page, a, argc, argv, cmd_group_lag_take, &l, &first);
    if (r != 0)
        return cmd_args(r);
    r = cmd_group_lag_run(&l, argv + first, argc - first);
    cmd_group_lag_close(&l);
    return r;
}
