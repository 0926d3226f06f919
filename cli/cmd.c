/* SPDX-License-Identifier: MIT
 *
 * cmd: see cmd.h.
 */
#include "cli/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/place.h"
#include "cli/value.h"
#include "engine/base/assert.h"

int cmd_args(int condition)
{
    return condition == ARGS_HELP ? CMD_DONE : CMD_USAGE;
}

int cmd_page(const struct cmd_row *row, struct args *a)
{
    char name[32];
    char flag[] = "-h";
    (void)snprintf(name, sizeof name, "%s", row->name);
    char *argv[] = {name, flag, NULL};
    return row->run(a, 2, argv);
}

int cmd_dispatch(const struct args_page *page, const struct cmd_row *rows, struct args *a, int argc,
                 char **argv)
{
    int first = 0;
    int r = args_parse(page, a, argc, argv, NULL, NULL, &first);
    for (const struct cmd_row *row = rows; r == ARGS_HELP && a->on_page != NULL; row++) {
        if (row->name == NULL)
            return CMD_DONE;
        (void)cmd_page(row, a);
    }
    if (r != 0)
        return cmd_args(r);
    if (first == argc)
        return cmd_args(args_usage(page, a, "which command?"));
    const char *near = NULL;
    for (const struct cmd_row *row = rows; row->name != NULL; row++) {
        if (strcmp(row->name, argv[first]) == 0)
            return row->run(a, argc - first, argv + first);
        if (value_near(argv[first], row->name))
            near = row->name;
    }
    const char *space = page->command[0] != '\0' ? " " : "";
    out_error(&a->out, "unknown command \"%s%s%s\"", page->command, space, argv[first]);
    if (near != NULL)
        out_hint(&a->out, "did you mean: kauri %s%s%s", page->command, space, near);
    else
        out_hint(&a->out, "kauri %s%s-h", page->command, space);
    return CMD_USAGE;
}

/* True when the address is a socket that is not even there: no use in waiting for it, unless
 * somebody said how long. */
static bool cmd_absent(const struct args *a, const char *url)
{
    const size_t prefix = strlen("ipc://");
    return a->timeout_ms == 0 && strchr(url, ',') == NULL && strncmp(url, "ipc://", prefix) == 0 &&
           access(url + prefix, F_OK) != 0;
}

static void cmd_no_server(const struct args *a, const char *url)
{
    out_error(&a->out, "no server at %s", url);
    out_hint(&a->out, "start one with \"kauri serve\", or give -s tcp://HOST:7092");
}

int cmd_open(const struct args *a, struct kauri_options *options, struct cmd_client *out)
{
    struct cmd_client c = {0};
    if (a->server != NULL)
        buf_append(&c.url, a->server, strlen(a->server) + 1);
    else
        place_connect(&c.url);
    options->server = (const char *)c.url.p;
    options->client_name = "kauri";
    if (options->timeout_ms == 0)
        options->timeout_ms = a->timeout_ms;
    if (cmd_absent(a, options->server)) {
        cmd_no_server(a, options->server);
        buf_deinit(&c.url);
        return CMD_NO_SERVER;
    }
    int r = kauri_open(options, &c.k);
    if (r != 0) {
        out_error(&a->out, "cannot use the address \"%s\": %s", options->server,
                  kauri_error_text(r));
        out_hint(&a->out, "give -s ipc:///PATH or -s tcp://HOST:PORT");
        buf_deinit(&c.url);
        return CMD_USAGE;
    }
    *out = c;
    return CMD_DONE;
}

void cmd_close(struct cmd_client *c)
{
    c->k = kauri_close(c->k);
    buf_deinit(&c->url);
}

int cmd_exit_of(int error)
{
    switch (error) {
    case KAURI_OK:
        return CMD_DONE;
    case KAURI_TIMED_OUT:
    case KAURI_NO_SERVER:
    case KAURI_VERSION:
        return CMD_NO_SERVER;
    case KAURI_UNKNOWN_TOPIC:
    case KAURI_UNKNOWN_PARTITION:
    case KAURI_UNKNOWN_GROUP:
    case KAURI_NO_BROKER:
    case KAURI_EXISTS:
        return CMD_MISSING;
    case KAURI_BAD_NAME:
    case KAURI_BAD_ARGUMENT:
        return CMD_USAGE;
    case KAURI_DAMAGED:
    case KAURI_CORRUPT:
        return CMD_DAMAGED;
    default:
        return CMD_FAILED;
    }
}

struct cmd_nearest {
    const char *name;
    char found[256];
};

static void cmd_compare(void *ctx, const struct kauri_topic *t)
{
    struct cmd_nearest *n = ctx;
    if (!t->internal && value_near(n->name, t->name))
        (void)snprintf(n->found, sizeof n->found, "%s", t->name);
}

static void cmd_hint_topic(const struct args *a, struct cmd_client *c, const char *topic)
{
    struct cmd_nearest near = {.name = topic};
    if (kauri_topics(c->k, NULL, 0, cmd_compare, &near) == 0 && near.found[0] != '\0')
        out_hint(&a->out, "did you mean \"%s\"? (create: kauri topic create %s)", near.found,
                 topic);
    else
        out_hint(&a->out, "kauri topic list, or create it: kauri topic create %s", topic);
}

void cmd_hint(const struct args *a, int error, const char *topic)
{
    const char *name = topic != NULL ? topic : "TOPIC";
    switch (error) {
    case KAURI_BAD_NAME:
        out_hint(&a->out,
                 "1 to 249 of letters, digits, \".\", \"_\" and \"-\"; names that begin with "
                 "\"__\" are the broker's own");
        return;
    case KAURI_BAD_ARGUMENT:
        out_hint(&a->out, "kauri topic create -h, kauri help settings");
        return;
    case KAURI_UNKNOWN_PARTITION:
        out_hint(&a->out, "kauri topic describe %s", name);
        return;
    case KAURI_TOO_LARGE:
        out_hint(&a->out,
                 "the limit: kauri topic describe %s -c; a larger one: kauri topic alter %s "
                 "--set max.message.bytes=16M",
                 name, name);
        return;
    case KAURI_DISK_FULL:
        out_hint(&a->out, "make room on the broker's disk; writing goes on by itself");
        return;
    default:
        return;
    }
}

int cmd_fail(const struct args *a, struct cmd_client *c, int error, const char *topic)
{
    const char *url = (const char *)c->url.p;
    const char *message = kauri_message(c->k);
    ASSERT(error != 0 && url != NULL);
    if (message[0] == '\0')
        message = kauri_error_text(error);
    if (error == KAURI_NO_SERVER) {
        cmd_no_server(a, url);
    } else if (error == KAURI_TIMED_OUT) {
        out_error(&a->out, "no answer from %s in time: %s", url, message);
        out_hint(&a->out, "wait longer: --timeout 30s");
    } else if (error == KAURI_UNKNOWN_TOPIC && topic != NULL) {
        out_error(&a->out, "topic \"%s\" does not exist", topic);
        cmd_hint_topic(a, c, topic);
    } else {
        out_error(&a->out, "%s", message);
        cmd_hint(a, error, topic);
    }
    return cmd_exit_of(error);
}

void cmd_sum_add(struct cmd_sum *s, int code)
{
    if (code == CMD_DONE) {
        s->done++;
        return;
    }
    if (s->failed++ == 0)
        s->first = code;
}

int cmd_sum_exit(const struct cmd_sum *s)
{
    if (s->failed == 0)
        return CMD_DONE;
    return s->done > 0 ? CMD_PARTLY : s->first;
}

bool cmd_confirm(const struct args *a, const char *what, const char *loses)
{
    char answer[16] = "";
    if (a->yes)
        return true;
    if (isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1) {
        (void)fprintf(stderr, "%s: %s is lost. Go on? [y/N] ", what, loses);
        if (fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y'))
            return true;
    }
    out_error(&a->out, "refused to %s: %s would be lost", what, loses);
    out_hint(&a->out, "say that it is meant: -y");
    return false;
}

int cmd_each_name(struct args *a, int argc, char **argv, const struct args_page *page,
                  const char *ask,
                  int (*one)(const struct args *a, struct cmd_client *c, const char *name))
{
    struct kauri_options options = {0};
    struct cmd_client c = {0};
    struct cmd_sum sum = {0};
    int first = 0;
    int r = args_parse(page, a, argc, argv, NULL, NULL, &first);
    if (r == 0 && first == argc)
        r = args_usage(page, a, ask);
    if (r != 0)
        return cmd_args(r);
    r = cmd_open(a, &options, &c);
    if (r != 0)
        return r;
    for (int i = first; i < argc && r != CMD_NO_SERVER; i++) {
        r = one(a, &c, argv[i]);
        cmd_sum_add(&sum, r);
    }
    cmd_close(&c);
    return cmd_sum_exit(&sum);
}
