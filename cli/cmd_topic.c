/* SPDX-License-Identifier: MIT
 *
 * cmd_topic: `kauri topic`: create, alter, delete. See cmd_topic_show.c and cmd_topic_trim.c for
 * the rest.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cmd_topic_priv.h"
#include "cli/value.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/broker/config.h"

#define CMD_TOPIC_CONFIGS_MAX 64

enum {
    CMD_TOPIC_SET = ARGS_LONG,
    CMD_TOPIC_UNSET,
    CMD_TOPIC_PARTITIONS,
};

struct cmd_topic_options {
    int32_t partitions;
    int32_t replication;
    struct kauri_config configs[CMD_TOPIC_CONFIGS_MAX];
    size_t config_count;
    char *copies[CMD_TOPIC_CONFIGS_MAX]; /* owned: the keys, cut off their values */
};

static void cmd_topic_options_deinit(struct cmd_topic_options *o)
{
    for (size_t i = 0; i < o->config_count; i++)
        free(o->copies[i]);
}

/* "key=value", or a key alone with value NULL. NULL or what is wanted. */
static const char *cmd_topic_pair(struct cmd_topic_options *o, const char *text, bool with_value)
{
    if (o->config_count == CMD_TOPIC_CONFIGS_MAX)
        return "at most 64 settings";
    char *copy = (char *)slice_dup(slice_str(text));
    char *equal = strchr(copy, '=');
    if (with_value == (equal == NULL)) {
        free(copy);
        return with_value ? "key=value" : "a key";
    }
    if (equal != NULL)
        *equal++ = '\0';
    o->copies[o->config_count] = copy;
    o->configs[o->config_count++] = (struct kauri_config){.key = copy, .value = equal};
    return NULL;
}

static const char *cmd_topic_take(void *ctx, int key, const char *value)
{
    struct cmd_topic_options *o = ctx;
    uint64_t number = 0;
    switch (key) {
    case 'c':
    case CMD_TOPIC_SET:
        return cmd_topic_pair(o, value, true);
    case CMD_TOPIC_UNSET:
        return cmd_topic_pair(o, value, false);
    case 'p':
    case CMD_TOPIC_PARTITIONS:
        if (!value_u64(value, INT32_MAX, &number))
            return "a whole number";
        o->partitions = (int32_t)number;
        return NULL;
    case 'r':
        if (!value_u64(value, INT16_MAX, &number))
            return "a whole number";
        o->replication = (int32_t)number;
        return NULL;
    }
    return NULL;
}

/* What the table of settings says before the broker is asked. 0 or an exit code. */
static int cmd_topic_check(const struct args *a, const struct cmd_topic_options *o)
{
    char message[256] = "";
    struct config_topic t = {0};
    int r = 0;
    for (size_t i = 0; r == 0 && i < o->config_count; i++) {
        const struct kauri_config *c = &o->configs[i];
        r = config_topic_set(&t, slice_str(c->key),
                             c->value != NULL ? slice_str(c->value) : SLICE_NULL, message);
    }
    config_topic_deinit(&t);
    if (r == 0)
        return CMD_DONE;
    out_error(&a->out, "%s", message);
    out_hint(&a->out, "kauri help settings");
    return CMD_USAGE;
}

/* --- create --------------------------------------------------------------------------------- */

struct cmd_topic_made {
    int32_t partitions;
    int32_t replication;
};

static void cmd_topic_made(void *ctx, const struct kauri_topic *t)
{
    struct cmd_topic_made *m = ctx;
    m->partitions = t->partition_count;
    m->replication = cmd_topic_replication(t);
}

static int cmd_topic_create_one(const struct args *a, struct cmd_client *c, const char *name,
                                const struct cmd_topic_options *o)
{
    struct cmd_topic_made made = {0};
    int error = kauri_topic_create(c->k, name, o->partitions, o->replication, o->configs,
                                   o->config_count, a->dry_run);
    if (error == KAURI_EXISTS) {
        out_error(&a->out, "topic \"%s\" exists already", name);
        out_hint(&a->out, "kauri topic describe %s", name);
        return CMD_MISSING;
    }
    if (error != 0)
        return cmd_fail(a, c, error, name);
    if (a->dry_run) {
        out_note(&a->out, "%s would be created", name);
        return CMD_DONE;
    }
    if (kauri_topics(c->k, name, KAURI_WITH_PARTITIONS, cmd_topic_made, &made) != 0) {
        out_note(&a->out, "created %s", name);
        return CMD_DONE;
    }
    out_note(&a->out, "created %s: %d partition%s, replication %d", name, made.partitions,
             made.partitions == 1 ? "" : "s", made.replication);
    return CMD_DONE;
}

static int cmd_topic_create_all(const struct args *a, char **names, int count,
                                const struct cmd_topic_options *o)
{
    struct kauri_options options = {0};
    struct cmd_client c = {0};
    struct cmd_sum sum = {0};
    int r = cmd_topic_check(a, o);
    if (r == 0)
        r = cmd_open(a, &options, &c);
    if (r != 0)
        return r;
    for (int i = 0; i < count; i++) {
        r = cmd_topic_create_one(a, &c, names[i], o);
        cmd_sum_add(&sum, r);
        if (r == CMD_NO_SERVER)
            break;
    }
    cmd_close(&c);
    return cmd_sum_exit(&sum);
}

static int cmd_topic_create(struct args *a, int argc, char **argv)
{
    static const struct args_row rows[] = {
        {'p', "partitions", "N", "how many; default the broker's num.partitions"},
        {'r', "replication", "N", "replicas; default the broker's default.replication.factor"},
        {'c', "config", "K=V", "a setting of the topic, repeatable (kauri help settings)"},
    };
    static const struct args_page page = {
        .command = "topic create",
        .usage = "TOPIC... [-p N] [-r N] [-c KEY=VALUE]...",
        .about = "Creates topics. Exit 3 when one is there already.",
        ARGS_ROWS(rows),
        .examples = "  kauri topic create orders -p 6\n"
                    "  kauri topic create prices -c cleanup.policy=compact\n"
                    "  kauri topic create a b c -c retention.ms=12h --dry-run\n",
    };
    struct cmd_topic_options o CLEANUP(cmd_topic_options_deinit) = {.partitions = -1,
                                                                    .replication = -1};
    int first = 0;
    int r = args_parse(&page, a, argc, argv, cmd_topic_take, &o, &first);
    if (r == 0 && first == argc)
        r = args_usage(&page, a, "which topic?");
    if (r != 0)
        return cmd_args(r);
    return cmd_topic_create_all(a, argv + first, argc - first, &o);
}

/* --- alter ---------------------------------------------------------------------------------- */

static void cmd_topic_alter_dry(const struct args *a, const char *name,
                                const struct cmd_topic_options *o, const struct cmd_topic_made *now)
{
    for (size_t i = 0; i < o->config_count; i++) {
        const char *value = o->configs[i].value;
        out_note(&a->out, "%s: %s would be %s%s", name, o->configs[i].key,
                 value != NULL ? "set to " : "unset", value != NULL ? value : "");
    }
    if (o->partitions > 0)
        out_note(&a->out, "%s: partitions would go from %d to %d", name, now->partitions,
                 o->partitions);
}

static int cmd_topic_alter_apply(const struct args *a, struct cmd_client *c, const char *name,
                                 const struct cmd_topic_options *o,
                                 const struct cmd_topic_made *now)
{
    int error = 0;
    if (o->config_count > 0)
        error = kauri_topic_alter(c->k, name, o->configs, o->config_count);
    if (error != 0)
        return cmd_fail(a, c, error, name);
    for (size_t i = 0; i < o->config_count; i++) {
        const char *value = o->configs[i].value;
        out_note(&a->out, "%s: %s %s%s", name, o->configs[i].key,
                 value != NULL ? "= " : "is back at its default", value != NULL ? value : "");
    }
    if (o->partitions < 0)
        return CMD_DONE;
    error = kauri_topic_grow(c->k, name, o->partitions);
    if (error != 0)
        return cmd_fail(a, c, error, name);
    out_note(&a->out, "%s: %d partitions, were %d", name, o->partitions, now->partitions);
    return CMD_DONE;
}

static int cmd_topic_alter_run(const struct args *a, const char *name,
                               const struct cmd_topic_options *o)
{
    struct kauri_options options = {0};
    struct cmd_client c = {0};
    struct cmd_topic_made now = {0};
    int r = cmd_topic_check(a, o);
    if (r == 0)
        r = cmd_open(a, &options, &c);
    if (r != 0)
        return r;
    int error = kauri_topics(c.k, name, 0, cmd_topic_made, &now);
    if (error != 0) {
        r = cmd_fail(a, &c, error, name);
    } else if (o->partitions >= 0 && o->partitions <= now.partitions) {
        out_error(&a->out, "topic \"%s\" cannot have %d partitions: it has %d, and can only grow",
                  name, o->partitions, now.partitions);
        r = CMD_USAGE;
    } else {
        if (o->partitions > 0)
            out_warning(&a->out, "with more partitions, records of a key may go to another one "
                                 "than before: order by key holds only from here on");
        if (a->dry_run)
            cmd_topic_alter_dry(a, name, o, &now);
        else
            r = cmd_topic_alter_apply(a, &c, name, o, &now);
    }
    cmd_close(&c);
    return r;
}

static int cmd_topic_alter(struct args *a, int argc, char **argv)
{
    static const struct args_row rows[] = {
        {CMD_TOPIC_SET, "set", "K=V", "a setting, repeatable (kauri help settings)"},
        {CMD_TOPIC_UNSET, "unset", "KEY", "back to the broker's default, repeatable"},
        {CMD_TOPIC_PARTITIONS, "partitions", "N", "grow to N; never fewer"},
    };
    static const struct args_page page = {
        .command = "topic alter",
        .usage = "TOPIC [--set KEY=VALUE]... [--unset KEY]... [--partitions N]",
        .about =
            "Changes a topic. More partitions move keys: order by key holds only from then on.",
        ARGS_ROWS(rows),
        .examples = "  kauri topic alter orders --set retention.ms=30d\n"
                    "  kauri topic alter orders --unset retention.ms\n"
                    "  kauri topic alter orders --partitions 12 --dry-run\n",
    };
    struct cmd_topic_options o CLEANUP(cmd_topic_options_deinit) = {.partitions = -1};
    int first = 0;
    int r = args_parse(&page, a, argc, argv, cmd_topic_take, &o, &first);
    if (r == 0 && argc - first != 1)
        r = args_usage(&page, a, "which topic? want exactly one");
    if (r == 0 && o.config_count == 0 && o.partitions < 0)
        r = args_usage(&page, a, "change what? want --set, --unset or --partitions");
    if (r != 0)
        return cmd_args(r);
    return cmd_topic_alter_run(a, argv[first], &o);
}

/* --- delete --------------------------------------------------------------------------------- */

static void cmd_topic_count(void *ctx, const struct kauri_topic *t)
{
    *(int64_t *)ctx = cmd_topic_records(t);
}

static int cmd_topic_delete_one(const struct args *a, struct cmd_client *c, const char *name)
{
    char what[300];
    char loses[64];
    int64_t records = -1;
    int error = kauri_topics(c->k, name, KAURI_WITH_PARTITIONS, cmd_topic_count, &records);
    if (error != 0)
        return cmd_fail(a, c, error, name);
    (void)snprintf(what, sizeof what, "delete topic \"%s\"", name);
    if (records >= 0)
        (void)snprintf(loses, sizeof loses, "%" PRId64 " record%s", records,
                       records == 1 ? "" : "s");
    else
        (void)snprintf(loses, sizeof loses, "what it holds");
    if (a->dry_run) {
        out_note(&a->out, "would %s: %s", what, loses);
        return CMD_DONE;
    }
    if (!cmd_confirm(a, what, loses))
        return CMD_REFUSED;
    error = kauri_topic_delete(c->k, name);
    if (error != 0)
        return cmd_fail(a, c, error, name);
    out_note(&a->out, "deleted %s", name);
    return CMD_DONE;
}

static int cmd_topic_delete(struct args *a, int argc, char **argv)
{
    static const struct args_page page = {
        .command = "topic delete",
        .usage = "TOPIC... [-y]",
        .about = "Deletes topics and their records for good.",
        .examples = "  kauri topic delete orders\n"
                    "  kauri topic delete a b c -y\n"
                    "  kauri topic delete orders --dry-run\n",
    };
    return cmd_each_name(a, argc, argv, &page, "which topic?", cmd_topic_delete_one);
}

int cmd_topic(struct args *a, int argc, char **argv)
{
    static const struct args_page page = {
        .command = "topic",
        .usage = "list | create | describe | alter | trim | purge | delete",
        .about = "  list [REGEX]                           the topics\n"
                 "  create TOPIC... -p N -r N -c KEY=VALUE new ones\n"
                 "  describe TOPIC [-p] [-c]               partitions and settings\n"
                 "  alter TOPIC --set K=V --unset K --partitions N\n"
                 "  trim TOPIC --before OFFSET|end|@TIME   delete the oldest records\n"
                 "  purge TOPIC                            delete all records\n"
                 "  delete TOPIC...                        delete whole topics",
        .examples = "  kauri topic create orders -p 6\n"
                    "  kauri topic list\n"
                    "  kauri topic alter orders -h\n",
        .stop = true,
    };
    static const struct cmd_row rows[] = {
        {"list", cmd_topic_list, ""},         {"create", cmd_topic_create, ""},
        {"describe", cmd_topic_describe, ""}, {"alter", cmd_topic_alter, ""},
        {"trim", cmd_topic_trim, ""},         {"purge", cmd_topic_purge, ""},
        {"delete", cmd_topic_delete, ""},     {NULL, NULL, NULL},
    };
    return cmd_dispatch(&page, rows, a, argc, argv);
}
