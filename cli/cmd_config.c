/* SPDX-License-Identifier: MIT
 *
 * cmd_config: `kauri config`: what the broker's settings are, and changing them while it runs.
 * `explain` and `check` read only the table of settings and need no broker.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cmd_config_priv.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/broker/config.h"

/* --- get, diff ------------------------------------------------------------------------------ */

struct cmd_config_view {
    const char *key; /* NULL: all */
    bool changed;    /* only those not at their default */
    bool found;
    json_t *object; /* NULL: the table */
    struct out_table table;
};

static void cmd_config_one(void *ctx, const struct kauri_config *c)
{
    struct cmd_config_view *v = ctx;
    const char *value = c->value != NULL ? c->value : "";
    const char *source = c->source != NULL ? c->source : "";
    if ((v->key != NULL && strcmp(v->key, c->key) != 0) ||
        (v->changed && strcmp(source, "default") == 0))
        return;
    v->found = true;
    if (v->object != NULL) {
        (void)json_object_set_new(v->object, c->key,
                                  json_pack("{s:s, s:s}", "value", value, "source", source));
        return;
    }
    out_table_add(&v->table, c->key);
    out_table_add(&v->table, value);
    out_table_add(&v->table, source);
}

static int cmd_config_unknown(const struct args *a, const char *key)
{
    const char *near = config_nearest(key, false);
    out_error(&a->out, "unknown key \"%s\"", key);
    if (near != NULL)
        out_hint(&a->out, "did you mean \"%s\"?", near);
    else if (config_row_find(key, true) != NULL)
        out_hint(&a->out, "it is a key of topics: kauri topic alter TOPIC --set %s=...", key);
    else
        out_hint(&a->out, "kauri config get");
    return CMD_MISSING;
}

static int cmd_config_show(const struct args *a, const char *key, bool changed)
{
    struct kauri_options options = {0};
    struct cmd_client c = {0};
    struct cmd_config_view view = {.key = key, .changed = changed, .table = {.align = "lll"}};
    int r = cmd_open(a, &options, &c);
    if (r != 0)
        return r;
    if (a->json)
        view.object = json_object();
    else
        for (size_t i = 0; i < 3; i++)
            out_table_add(&view.table, ((const char *[]){"KEY", "VALUE", "SOURCE"})[i]);
    int error = kauri_broker_config(c.k, NULL, 0, cmd_config_one, &view);
    r = error == 0 ? CMD_DONE : cmd_fail(a, &c, error, NULL);
    if (r == 0 && key != NULL && !view.found)
        r = cmd_config_unknown(a, key);
    if (view.object != NULL && r == 0)
        out_json(json_incref(view.object));
    json_decref(view.object);
    if (r != 0)
        out_table_drop(&view.table);
    if (view.table.count > 0)
        out_table_end(&view.table);
    cmd_close(&c);
    return r;
}

/* --- set, unset ----------------------------------------------------------------------------- */

/* What the table says of the pair before the broker is asked. 0 or an exit code. */
static int cmd_config_check_pair(const struct args *a, const char *key, const char *value)
{
    char message[256] = "";
    struct config *config = config_new();
    int r = config_set(config, CONFIG_FROM_DYNAMIC, slice_str(key), slice_str(value), message);
    (void)config_free(config);
    if (r == 0)
        return CMD_DONE;
    if (r == CONFIG_UNKNOWN)
        return cmd_config_unknown(a, key);
    out_error(&a->out, "%s", message);
    if (r == CONFIG_READONLY)
        out_hint(&a->out, "kauri serve --set %s=%s", key, value);
    else
        out_hint(&a->out, "kauri config explain %s", key);
    return CMD_USAGE;
}

static int cmd_config_change(const struct args *a, const char *key, const char *value)
{
    struct kauri_options options = {0};
    struct cmd_client c = {0};
    struct kauri_config change = {.key = key, .value = value};
    int r = value == NULL ? CMD_DONE : cmd_config_check_pair(a, key, value);
    if (value == NULL && config_row_find(key, false) == NULL)
        r = cmd_config_unknown(a, key);
    if (r != 0)
        return r;
    if (a->dry_run) {
        out_note(&a->out, "%s would be %s%s", key, value != NULL ? "set to " : "unset",
                 value != NULL ? value : "");
        return CMD_DONE;
    }
    r = cmd_open(a, &options, &c);
    if (r != 0)
        return r;
    int error = kauri_broker_config(c.k, &change, 1, NULL, NULL);
    r = error == 0 ? CMD_DONE : cmd_fail(a, &c, error, NULL);
    if (r == 0)
        out_note(&a->out, "%s %s%s", key, value != NULL ? "= " : "is back at its default",
                 value != NULL ? value : "");
    cmd_close(&c);
    return r;
}

/* --- explain, check ------------------------------------------------------------------------- */

static const char *cmd_config_type(const struct config_row *row)
{
    switch (row->type) {
    case CONFIG_BOOL:
        return "true or false";
    case CONFIG_INT:
        return "whole number";
    case CONFIG_SIZE:
        return "size (bytes, or 64K, 1M, 2G)";
    case CONFIG_DURATION:
        return "duration (90s, 12h, 7d, or the plain number)";
    case CONFIG_DOUBLE:
        return "number";
    case CONFIG_STRING:
        return "text";
    case CONFIG_PASSWORD:
        return "text that is never shown";
    case CONFIG_LIST:
        return "some of";
    case CONFIG_ENUM:
        return "one of";
    }
    return "";
}

static void cmd_config_print_row(const struct config_row *row)
{
    bool bounded = row->choices == NULL && row->type != CONFIG_STRING &&
                   row->type != CONFIG_PASSWORD && row->type != CONFIG_LIST &&
                   row->type != CONFIG_BOOL;
    (void)printf("%s  (%s)\n  %s\n", row->name, row->topic ? "topic" : "broker", row->help);
    (void)printf("  type     %s%s%s\n", cmd_config_type(row), row->choices != NULL ? " " : "",
                 row->choices != NULL ? row->choices : "");
    (void)printf("  default  %s\n", row->preset != NULL ? row->preset : "(empty)");
    if (bounded && row->max >= CONFIG_I64_MAX)
        (void)printf("  bounds   at least %.15g\n", row->min);
    else if (bounded)
        (void)printf("  bounds   %.15g to %.15g\n", row->min, row->max);
    if (row->topic && row->broker_name != NULL)
        (void)printf("  for all  broker key %s\n", row->broker_name);
    if (row->topic)
        (void)printf("  change   kauri topic alter TOPIC --set %s=...\n", row->name);
    else if (row->dynamic)
        (void)printf("  change   kauri config set %s ...\n", row->name);
    else
        (void)printf("  change   kauri serve --set %s=... (needs a restart)\n", row->name);
}

static json_t *cmd_config_row_json(const struct config_row *row)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s?, s:s?, s:b, s:b}", "name", row->name, "scope",
                     row->topic ? "topic" : "broker", "help", row->help, "type",
                     cmd_config_type(row), "default", row->preset, "choices", row->choices,
                     "broker_key", row->broker_name, "dynamic", row->dynamic, "inert", row->inert);
}

static int cmd_config_explain(const struct args *a, const char *key)
{
    const struct config_row *rows[2] = {config_row_find(key, true), config_row_find(key, false)};
    json_t *list = json_array();
    if (rows[0] == NULL && rows[1] == NULL) {
        json_decref(list);
        const char *near = config_nearest(key, true);
        if (near == NULL || config_nearest(key, false) != NULL)
            return cmd_config_unknown(a, key);
        out_error(&a->out, "unknown key \"%s\"", key);
        out_hint(&a->out, "did you mean \"%s\"?", near);
        return CMD_MISSING;
    }
    for (size_t i = 0; i < 2; i++) {
        if (rows[i] == NULL)
            continue;
        (void)json_array_append_new(list, cmd_config_row_json(rows[i]));
        if (!a->json)
            cmd_config_print_row(rows[i]);
    }
    if (a->json)
        out_json(json_pack("{s:o}", "keys", list));
    else
        json_decref(list);
    return CMD_DONE;
}

struct cmd_config_file {
    const struct args *a;
    const char *path;
};

static void cmd_config_bad(void *ctx, unsigned line, const char *message)
{
    const struct cmd_config_file *file = ctx;
    out_error(&file->a->out, "%s:%u: %s", file->path, line, message);
}

static int cmd_config_check(const struct args *a, const char *path)
{
    struct buf text CLEANUP(buf_deinit) = {0};
    struct cmd_config_file file = {a, path};
    int r = cmd_config_read_file(a, path, &text);
    if (r != CMD_DONE)
        return r;
    struct config *config = config_new();
    int bad = config_parse(config, buf_slice(&text), cmd_config_bad, &file);
    (void)config_free(config);
    if (bad > 0) {
        out_hint(&a->out, "kauri help settings");
        return CMD_USAGE;
    }
    out_note(&a->out, "%s: good", path);
    return CMD_DONE;
}

/* --- dispatch ------------------------------------------------------------------------------- */

/* Parses options and counts operands; 0 and *first, or 1 and *code. */
static int cmd_config_start(const struct args_page *page, struct args *a, int argc, char **argv,
                            int min, int max, int *first, int *code)
{
    int r = args_parse(page, a, argc, argv, NULL, NULL, first);
    if (r == 0 && (argc - *first < min || argc - *first > max))
        r = args_usage(page, a, min == 0 ? "at most one key" : "wrong number of operands");
    *code = cmd_args(r);
    return r != 0;
}

static int cmd_config_get(struct args *a, int argc, char **argv)
{
    static const struct args_page page = {
        .command = "config get",
        .usage = "[KEY]",
        .about = "The broker's settings in force and where each comes from.",
        .examples = "  kauri config get\n"
                    "  kauri config get log.retention.ms\n"
                    "  kauri config get --json\n",
    };
    int first = 0;
    int code = 0;
    if (cmd_config_start(&page, a, argc, argv, 0, 1, &first, &code) != 0)
        return code;
    return cmd_config_show(a, first < argc ? argv[first] : NULL, false);
}

static int cmd_config_set(struct args *a, int argc, char **argv)
{
    static const struct args_page page = {
        .command = "config set",
        .usage = "KEY VALUE",
        .about = "Changes a setting of the running broker; it outlives a restart.",
        .examples = "  kauri config set log.retention.ms 30d\n"
                    "  kauri config set message.max.bytes 8M\n"
                    "  kauri config set auto.create.topics.enable false --dry-run\n",
    };
    int first = 0;
    int code = 0;
    if (cmd_config_start(&page, a, argc, argv, 2, 2, &first, &code) != 0)
        return code;
    return cmd_config_change(a, argv[first], argv[first + 1]);
}

static int cmd_config_unset(struct args *a, int argc, char **argv)
{
    static const struct args_page page = {
        .command = "config unset",
        .usage = "KEY",
        .about = "Takes back what `config set` changed.",
        .examples = "  kauri config unset log.retention.ms\n"
                    "  kauri config unset message.max.bytes --dry-run\n"
                    "  kauri config diff\n",
    };
    int first = 0;
    int code = 0;
    if (cmd_config_start(&page, a, argc, argv, 1, 1, &first, &code) != 0)
        return code;
    return cmd_config_change(a, argv[first], NULL);
}

static int cmd_config_explain_run(struct args *a, int argc, char **argv)
{
    static const struct args_page page = {
        .command = "config explain",
        .usage = "KEY",
        .about = "What a setting does, its default and bounds. Needs no broker.",
        .examples = "  kauri config explain durability\n"
                    "  kauri config explain log.retention.hours\n"
                    "  kauri config explain retention.ms --json\n",
    };
    int first = 0;
    int code = 0;
    if (cmd_config_start(&page, a, argc, argv, 1, 1, &first, &code) != 0)
        return code;
    return cmd_config_explain(a, argv[first]);
}

static int cmd_config_check_run(struct args *a, int argc, char **argv)
{
    static const struct args_page page = {
        .command = "config check",
        .usage = "FILE",
        .about = "Reads a configuration file and names every mistake. Needs no broker.",
        .examples = "  kauri config check /etc/kauri/kauri.conf\n"
                    "  kauri serve --config kauri.conf --check-config\n"
                    "  kauri help settings\n",
    };
    int first = 0;
    int code = 0;
    if (cmd_config_start(&page, a, argc, argv, 1, 1, &first, &code) != 0)
        return code;
    return cmd_config_check(a, argv[first]);
}

static int cmd_config_diff(struct args *a, int argc, char **argv)
{
    static const struct args_page page = {
        .command = "config diff",
        .usage = "",
        .about = "The settings that are not at their default, and where each comes from.",
        .examples = "  kauri config diff\n"
                    "  kauri config diff --json\n"
                    "  kauri config diff -s tcp://127.0.0.1:7092\n",
    };
    int first = 0;
    int code = 0;
    if (cmd_config_start(&page, a, argc, argv, 0, 0, &first, &code) != 0)
        return code;
    return cmd_config_show(a, NULL, true);
}

int cmd_config(struct args *a, int argc, char **argv)
{
    static const struct args_page page = {
        .command = "config",
        .usage = "get [KEY] | set KEY VALUE | unset KEY | explain KEY | check FILE | diff | "
                 "import FILE | template",
        .about = "The broker's settings. Order: default < file < KAURI_* < flags < config set.\n"
                 "Those of one topic: kauri topic describe TOPIC -c.",
        .examples = "  kauri config diff\n"
                    "  kauri config set log.retention.ms 30d\n"
                    "  kauri config explain durability\n",
        .stop = true,
    };
    static const struct cmd_row rows[] = {
        {"get", cmd_config_get, ""},
        {"set", cmd_config_set, ""},
        {"unset", cmd_config_unset, ""},
        {"explain", cmd_config_explain_run, ""},
        {"check", cmd_config_check_run, ""},
        {"diff", cmd_config_diff, ""},
        {"import", cmd_config_import, ""},
        {"template", cmd_config_template, ""},
        {NULL, NULL, NULL},
    };
    return cmd_dispatch(&page, rows, a, argc, argv);
}
