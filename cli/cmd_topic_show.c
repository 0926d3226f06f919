/* SPDX-License-Identifier: MIT
 *
 * cmd_topic_show: `kauri topic list` and `kauri topic describe`.
 */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cmd_topic_priv.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

int64_t cmd_topic_records(const struct kauri_topic *t)
{
    int64_t sum = 0;
    for (int32_t i = 0; t->partitions != NULL && i < t->partition_count; i++) {
        const struct kauri_partition *p = &t->partitions[i];
        if (p->high_watermark < 0 || p->log_start < 0)
            return -1;
        sum += p->high_watermark - p->log_start;
    }
    return t->partitions == NULL ? -1 : sum;
}

/* As above; -1 when nothing is known. */
static int64_t cmd_topic_bytes(const struct kauri_topic *t)
{
    int64_t sum = 0;
    if (cmd_topic_records(t) < 0)
        return -1;
    for (int32_t i = 0; i < t->partition_count; i++)
        sum += t->partitions[i].size;
    return sum;
}

int32_t cmd_topic_replication(const struct kauri_topic *t)
{
    size_t most = 0;
    for (int32_t i = 0; t->partitions != NULL && i < t->partition_count; i++)
        most = t->partitions[i].replica_count > most ? t->partitions[i].replica_count : most;
    return most > 0 ? (int32_t)most : t->replication;
}

static const char *cmd_topic_config(const struct kauri_topic *t, const char *key)
{
    for (size_t i = 0; i < t->config_count; i++)
        if (strcmp(t->configs[i].key, key) == 0)
            return t->configs[i].value != NULL ? t->configs[i].value : "";
    return "";
}

static json_t *cmd_topic_number(int64_t number)
{
    return number < 0 ? json_null() : json_integer(number);
}

/* --- list ----------------------------------------------------------------------------------- */

struct cmd_topic_list_view {
    bool internal;
    bool filter;
    regex_t regex;
    json_t *list;
    struct out_table table;
};

static void cmd_topic_list_row(struct out_table *table, const struct kauri_topic *t)
{
    char text[OUT_TEXT_MAX];
    int64_t retention = -1;
    const char *value = cmd_topic_config(t, "retention.ms");
    const char *cleanup = cmd_topic_config(t, "cleanup.policy");
    if (strstr(cleanup, "delete") != NULL)
        retention = strtoll(value, NULL, 10);
    out_table_add(table, t->name);
    out_table_add(table, out_count(text, t->partition_count));
    out_table_add(table, out_count(text, cmd_topic_replication(t)));
    out_table_add(table, out_count(text, cmd_topic_records(t)));
    out_table_add(table, out_size(text, cmd_topic_bytes(t)));
    out_table_add(table, out_duration(text, retention));
    out_table_add(table, cleanup);
}

static void cmd_topic_list_one(void *ctx, const struct kauri_topic *t)
{
    struct cmd_topic_list_view *v = ctx;
    if ((t->internal && !v->internal) ||
        (v->filter && regexec(&v->regex, t->name, 0, NULL, 0) != 0))
        return;
    if (v->list == NULL) {
        cmd_topic_list_row(&v->table, t);
        return;
    }
    const char *retention = cmd_topic_config(t, "retention.ms");
    json_t *o = json_pack("{s:s, s:i, s:i, s:b}", "name", t->name, "partitions", t->partition_count,
                          "replication", cmd_topic_replication(t), "internal", t->internal);
    (void)json_object_set_new(o, "records", cmd_topic_number(cmd_topic_records(t)));
    (void)json_object_set_new(o, "bytes", cmd_topic_number(cmd_topic_bytes(t)));
    (void)json_object_set_new(o, "retention_ms", json_integer(strtoll(retention, NULL, 10)));
    (void)json_object_set_new(o, "cleanup_policy",
                              json_string(cmd_topic_config(t, "cleanup.policy")));
    (void)json_array_append_new(v->list, o);
}

static int cmd_topic_list_run(const struct args *a, struct cmd_topic_list_view *v)
{
    static const char *const heads[] = {"TOPIC", "PARTS",     "RF",     "RECORDS",
                                        "BYTES", "RETENTION", "CLEANUP"};
    struct kauri_options options = {0};
    struct cmd_client c = {0};
    int r = cmd_open(a, &options, &c);
    if (r != 0)
        return r;
    v->list = a->json ? json_array() : NULL;
    v->table.align = "lrrrrrl";
    for (size_t i = 0; !a->json && i < sizeof heads / sizeof heads[0]; i++)
        out_table_add(&v->table, heads[i]);
    int error =
        kauri_topics(c.k, NULL, KAURI_WITH_PARTITIONS | KAURI_WITH_CONFIGS, cmd_topic_list_one, v);
    r = error == 0 ? CMD_DONE : cmd_fail(a, &c, error, NULL);
    if (a->json && r == 0)
        out_json(json_pack("{s:O}", "topics", v->list));
    else if (r == 0)
        out_table_end(&v->table);
    out_table_drop(&v->table);
    json_decref(v->list);
    cmd_close(&c);
    return r;
}

static const char *cmd_topic_list_take(void *ctx, int key, const char *value)
{
    struct cmd_topic_list_view *v = ctx;
    ASSERT(key == 'a' && value == NULL);
    v->internal = true;
    return NULL;
}

int cmd_topic_list(struct args *a, int argc, char **argv)
{
    static const struct args_row rows[] = {{'a', "all", NULL, "internal topics too"}};
    static const struct args_page page = {
        .command = "topic list",
        .usage = "[REGEX] [-a]",
        .about =
            "Lists the topics, those that match an extended regular expression if one is given.\n"
            "A dash stands for a figure that is not known until the partition is used.",
        ARGS_ROWS(rows),
        .examples = "  kauri topic list\n"
                    "  kauri topic list '^orders'\n"
                    "  kauri topic list --json\n",
    };
    struct cmd_topic_list_view view = {0};
    int first = 0;
    int r = args_parse(&page, a, argc, argv, cmd_topic_list_take, &view, &first);
    if (r == 0 && argc - first > 1)
        r = args_usage(&page, a, "at most one expression");
    if (r != 0)
        return cmd_args(r);
    view.filter = first < argc;
    if (view.filter && regcomp(&view.regex, argv[first], REG_EXTENDED | REG_NOSUB) != 0)
        return cmd_args(args_usage(&page, a, "the expression is not a regular expression"));
    r = cmd_topic_list_run(a, &view);
    if (view.filter)
        regfree(&view.regex);
    return r;
}

/* --- describe ------------------------------------------------------------------------------- */

struct cmd_topic_describe_view {
    const struct args *a;
    bool partitions;
    bool configs;
};

static void cmd_topic_id(const uint8_t id[16], char text[OUT_TEXT_MAX])
{
    size_t size = 0;
    for (size_t i = 0; i < 16; i++) {
        const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
        size += (size_t)snprintf(text + size, OUT_TEXT_MAX - size, "%s%02x", dash, id[i]);
    }
}

static json_t *cmd_topic_ids_json(const int32_t *ids, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, json_integer(ids[i]));
    return list;
}

/* "1,2,3", or "-". */
static void cmd_topic_ids(struct out_table *table, const int32_t *ids, size_t count)
{
    struct buf text CLEANUP(buf_deinit) = {0};
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, "%s%d", i > 0 ? "," : "", ids[i]);
    if (count == 0)
        buf_printf(&text, "-");
    buf_append_u8(&text, 0);
    out_table_add(table, (const char *)text.p);
}

static json_t *cmd_topic_partition_json(const struct kauri_partition *p)
{
    json_t *o = json_pack("{s:i, s:i, s:i}", "partition", p->partition, "leader", p->leader,
                          "epoch", p->epoch);
    (void)json_object_set_new(o, "replicas", cmd_topic_ids_json(p->replicas, p->replica_count));
    (void)json_object_set_new(o, "in_sync", cmd_topic_ids_json(p->in_sync, p->in_sync_count));
    (void)json_object_set_new(o, "eligible", cmd_topic_ids_json(p->eligible, p->eligible_count));
    (void)json_object_set_new(o, "log_start", cmd_topic_number(p->log_start));
    (void)json_object_set_new(o, "end", cmd_topic_number(p->high_watermark));
    (void)json_object_set_new(o, "bytes", cmd_topic_number(p->high_watermark < 0 ? -1 : p->size));
    return o;
}

static void cmd_topic_describe_json(const struct cmd_topic_describe_view *v,
                                    const struct kauri_topic *t)
{
    char id[OUT_TEXT_MAX];
    cmd_topic_id(t->id, id);
    json_t *o = json_pack("{s:s, s:s, s:i, s:i, s:b}", "name", t->name, "id", id, "partition_count",
                          t->partition_count, "replication", cmd_topic_replication(t), "internal",
                          t->internal);
    json_t *partitions = json_array();
    json_t *configs = json_object();
    for (int32_t i = 0; t->partitions != NULL && i < t->partition_count; i++)
        (void)json_array_append_new(partitions, cmd_topic_partition_json(&t->partitions[i]));
    for (size_t i = 0; i < t->config_count; i++)
        (void)json_object_set_new(configs, t->configs[i].key,
                                  json_pack("{s:s?, s:s?}", "value", t->configs[i].value, "source",
                                            t->configs[i].source));
    if (v->partitions)
        (void)json_object_set(o, "partitions", partitions);
    if (v->configs)
        (void)json_object_set(o, "configs", configs);
    json_decref(partitions);
    json_decref(configs);
    out_json(o);
}

static void cmd_topic_describe_partitions(const struct kauri_topic *t)
{
    static const char *const heads[] = {"PART",     "LEADER", "EPOCH", "REPLICAS", "IN SYNC",
                                        "ELIGIBLE", "START",  "END",   "BYTES"};
    struct out_table table = {.align = "rrrlllrrr"};
    char text[OUT_TEXT_MAX];
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        out_table_add(&table, heads[i]);
    for (int32_t i = 0; t->partitions != NULL && i < t->partition_count; i++) {
        const struct kauri_partition *p = &t->partitions[i];
        out_table_add(&table, out_count(text, p->partition));
        out_table_add(&table, out_count(text, p->leader));
        out_table_add(&table, out_count(text, p->epoch));
        cmd_topic_ids(&table, p->replicas, p->replica_count);
        cmd_topic_ids(&table, p->in_sync, p->in_sync_count);
        cmd_topic_ids(&table, p->eligible, p->eligible_count);
        out_table_add(&table, out_count(text, p->log_start));
        out_table_add(&table, out_count(text, p->high_watermark));
        out_table_add(&table, out_size(text, p->high_watermark < 0 ? -1 : p->size));
    }
    out_table_end(&table);
}

/* All configs, or those the topic itself sets. */
static void cmd_topic_describe_configs(const struct kauri_topic *t, bool all)
{
    struct out_table table = {.align = "lll"};
    for (size_t i = 0; i < t->config_count; i++) {
        const struct kauri_config *c = &t->configs[i];
        if (!all && (c->source == NULL || strcmp(c->source, "topic") != 0))
            continue;
        out_table_add(&table, c->key);
        out_table_add(&table, c->value != NULL ? c->value : "");
        out_table_add(&table, c->source != NULL ? c->source : "");
    }
    out_table_end(&table);
}

static void cmd_topic_describe_one(void *ctx, const struct kauri_topic *t)
{
    struct cmd_topic_describe_view *v = ctx;
    char id[OUT_TEXT_MAX];
    bool neither = !v->partitions && !v->configs;
    if (v->a->json) {
        struct cmd_topic_describe_view both = {v->a, v->partitions || neither,
                                               v->configs || neither};
        cmd_topic_describe_json(&both, t);
        return;
    }
    cmd_topic_id(t->id, id);
    (void)printf("%s  %d partition%s  replication %d  id %s\n", t->name, t->partition_count,
                 t->partition_count == 1 ? "" : "s", cmd_topic_replication(t), id);
    if (v->partitions || neither)
        cmd_topic_describe_partitions(t);
    if (v->configs || neither)
        cmd_topic_describe_configs(t, v->configs);
}

static const char *cmd_topic_describe_take(void *ctx, int key, const char *value)
{
    struct cmd_topic_describe_view *v = ctx;
    ASSERT((key == 'p' || key == 'c') && value == NULL);
    if (key == 'p')
        v->partitions = true;
    else
        v->configs = true;
    return NULL;
}

static void cmd_topic_count_parts(void *ctx, const struct kauri_topic *t)
{
    *(int32_t *)ctx = t->partition_count;
}

static int cmd_topic_describe_run(const struct args *a, struct cmd_topic_describe_view *v,
                                  const char *name)
{
    struct kauri_options options = {0};
    struct cmd_client c = {0};
    int32_t count = 0;
    int64_t end = 0;
    int r = cmd_open(a, &options, &c);
    if (r != 0)
        return r;
    int error = kauri_topics(c.k, name, 0, cmd_topic_count_parts, &count);
    /* A partition not used since the start tells its figures only once it was asked for one. */
    for (int32_t i = 0; error == 0 && i < count; i++)
        if (kauri_offset(c.k, name, i, KAURI_OFFSET_END, &end) != 0)
            break;
    if (error == 0)
        error = kauri_topics(c.k, name, KAURI_WITH_PARTITIONS | KAURI_WITH_CONFIGS,
                             cmd_topic_describe_one, v);
    r = error == 0 ? CMD_DONE : cmd_fail(a, &c, error, name);
    cmd_close(&c);
    return r;
}

int cmd_topic_describe(struct args *a, int argc, char **argv)
{
    static const struct args_row rows[] = {
        {'p', "partitions", NULL, "only the partitions"},
        {'c', "configs", NULL, "only the settings, all of them"},
    };
    static const struct args_page page = {
        .command = "topic describe",
        .usage = "TOPIC [-p] [-c]",
        .about =
            "One topic: its partitions and the settings of its own. REPLICAS, IN SYNC: broker\n"
            "numbers; ELIGIBLE: those that may lead beside the ones in sync.",
        ARGS_ROWS(rows),
        .examples = "  kauri topic describe orders\n"
                    "  kauri topic describe orders -c\n"
                    "  kauri topic describe orders --json\n",
    };
    struct cmd_topic_describe_view view = {.a = a};
    int first = 0;
    int r = args_parse(&page, a, argc, argv, cmd_topic_describe_take, &view, &first);
    if (r == 0 && argc - first != 1)
        r = args_usage(&page, a, "which topic? want exactly one");
    if (r != 0)
        return cmd_args(r);
    return cmd_topic_describe_run(a, &view, argv[first]);
}
