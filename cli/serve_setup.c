/* SPDX-License-Identifier: MIT
 *
 * serve_setup: what `kauri serve` is told: built-in < file < KAURI_* < flags. All mistakes are
 * named in one run, then it ends with exit code 2.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/place.h"
#include "cli/serve_priv.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/io.h"

#define SERVE_FILE_MAX ((size_t)1024 * 1024)
#define SERVE_SETS_MAX 64
#define SERVE_FOREIGN  ".properties" /* a file so named may be one of Kafka's */

enum {
    SERVE_DATA = ARGS_LONG,
    SERVE_NATIVE,
    SERVE_KAFKA,
    SERVE_HTTP,
    SERVE_CONFIG,
    SERVE_SET,
    SERVE_CHECK,
    SERVE_INSECURE,
    SERVE_BROKER_ID,
    SERVE_REPLICA_OF,
};

struct serve_options {
    const char *data;
    const char *config;
    const char *natives[SERVE_FRONTS_MAX];
    size_t native_count;
    const char *kafka;
    const char *http;
    const char *sets[SERVE_SETS_MAX];
    size_t set_count;
    const char *broker_id;
    const char *replica_of;
    bool check;
    bool insecure;
};

struct serve_origin {
    const struct args *args;
    const char *path; /* of the file; NULL: the environment */
};

static const char *serve_take(void *ctx, int key, const char *value)
{
    struct serve_options *o = ctx;
    switch (key) {
    case SERVE_DATA:
        o->data = value;
        return value[0] != '\0' ? NULL : "a folder";
    case SERVE_CONFIG:
        o->config = value;
        return NULL;
    case SERVE_NATIVE:
        if (o->native_count == SERVE_FRONTS_MAX)
            return "at most 8 addresses";
        o->natives[o->native_count++] = value;
        return NULL;
    case SERVE_KAFKA:
        o->kafka = value;
        return NULL;
    case SERVE_HTTP:
        o->http = value;
        return NULL;
    case SERVE_SET:
        if (o->set_count == SERVE_SETS_MAX)
            return "at most 64 settings";
        o->sets[o->set_count++] = value;
        return strchr(value, '=') != NULL ? NULL : "key=value";
    case SERVE_CHECK:
        o->check = true;
        return NULL;
    case SERVE_INSECURE:
        o->insecure = true;
        return NULL;
    case SERVE_BROKER_ID:
        o->broker_id = value;
        return NULL;
    case SERVE_REPLICA_OF:
        o->replica_of = value;
        return value[0] != '\0' ? NULL : "addresses, comma separated";
    }
    return NULL;
}

static void serve_bad(void *ctx, unsigned line, const char *message)
{
    const struct serve_origin *from = ctx;
    if (from->path != NULL)
        out_error(&from->args->out, "%s:%u: %s", from->path, line, message);
    else
        out_error(&from->args->out, "environment: %s", message);
}

static void serve_passed_over(void *ctx, unsigned line, const char *message)
{
    const struct serve_origin *from = ctx;
    out_warning(&from->args->out, "%s:%u: passed over: %s", from->path, line, message);
}

/* 0 or an exit code. */
static int serve_load_file(const struct serve_setup *s, const char *path, struct buf *text)
{
    struct io *io = io_real_new();
    int r = io_read_file(io, path, SERVE_FILE_MAX, text);
    (void)io_real_free(io);
    if (r == 0)
        return 0;
    out_error(&s->args->out, "cannot read \"%s\": %s", path,
              error_text(r == IO_MISSING ? -ENOENT : r));
    return CMD_USAGE;
}

/* 0 or an exit code. */
static int serve_read_file(struct serve_setup *s, const char *path)
{
    struct buf text CLEANUP(buf_deinit) = {0};
    struct serve_origin from = {s->args, path};
    int r = serve_load_file(s, path, &text);
    if (r != 0)
        return r;
    size_t size = strlen(path), suffix = strlen(SERVE_FOREIGN);
    s->foreign = size >= suffix && strcmp(path + size - suffix, SERVE_FOREIGN) == 0;
    r = config_parse_foreign(s->config, buf_slice(&text), serve_bad,
                             s->foreign ? serve_passed_over : NULL, &from);
    return r == 0 ? 0 : CMD_USAGE;
}

/* 0 or an exit code. */
static int serve_set(struct serve_setup *s, const char *key, size_t key_size, const char *value)
{
    char message[256] = "";
    int r =
        config_set(s->config, CONFIG_FROM_FLAG, slice_of(key, key_size), slice_str(value), message);
    if (r == 0)
        return 0;
    out_error(&s->args->out, "%s", message);
    return CMD_USAGE;
}

/* All origins in their order; every mistake is named. 0 or an exit code. */
static int serve_read_all(struct serve_setup *s, const struct serve_options *o)
{
    struct serve_origin from = {s->args, NULL};
    int code = o->config != NULL ? serve_read_file(s, o->config) : 0;
    if (config_environ(s->config, environ, serve_bad, &from) != 0)
        code = CMD_USAGE;
    for (size_t i = 0; i < o->set_count; i++) {
        const char *equal = strchr(o->sets[i], '=');
        ASSERT(equal != NULL);
        int r = serve_set(s, o->sets[i], (size_t)(equal - o->sets[i]), equal + 1);
        code = r != 0 ? r : code;
    }
    const struct {
        const char *key;
        const char *value; /* NULL: not told */
    } flags[] = {
        {"log.dirs", o->data},
        {"http.listen", o->http},
        {"allow.insecure", o->insecure ? "true" : NULL},
        {"node.id", o->broker_id},
        {"replica.of", o->replica_of},
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (flags[i].value != NULL &&
            serve_set(s, flags[i].key, strlen(flags[i].key), flags[i].value) != 0)
            code = CMD_USAGE;
    if (code != 0)
        out_hint(&s->args->out, "kauri help settings");
    return code;
}

/* The data folder as an absolute path: it is told to people. 0 or an exit code. */
static int serve_settle_data(struct serve_setup *s)
{
    char cwd[4096];
    const char *dir = config_get(s->config, "log.dirs", NULL);
    ASSERT(dir != NULL);
    if (strchr(dir, ',') != NULL) {
        out_error(&s->args->out, "log.dirs cannot be \"%s\": want one folder", dir);
        return CMD_USAGE;
    }
    if (dir[0] == '\0') {
        place_data(&s->data);
        return 0;
    }
    if (dir[0] != '/' && getcwd(cwd, sizeof cwd) == NULL) {
        out_error(&s->args->out, "cannot tell the current folder: %s", error_text(errno));
        return CMD_FAILED;
    }
    buf_printf(&s->data, "%s%s%s", dir[0] == '/' ? "" : cwd, dir[0] == '/' ? "" : "/", dir);
    while (s->data.size > 1 && s->data.p[s->data.size - 1] == '/')
        s->data.size--;
    buf_append_u8(&s->data, 0);
    s->data.size--;
    return 0;
}

static const struct args_row serve_rows[] = {
    {SERVE_DATA, "data", "DIR", "data folder; default /var/lib/kauri or ~/.local/state/kauri"},
    {SERVE_NATIVE, "native", "URL", "listen here: ipc:///PATH or tcp://HOST:PORT, repeatable"},
    {SERVE_KAFKA, "kafka", "ADDR",
     "listen for Kafka's clients: HOST:PORT or off; default "
     "127.0.0.1:9092"},
    {SERVE_HTTP, "http", "ADDR",
     "watch the broker here: HOST:PORT or off; default 127.0.0.1:7094 (kauri help metrics)"},
    {SERVE_BROKER_ID, "broker-id", "N", "number of this broker in its cluster; default 1"},
    {SERVE_REPLICA_OF, "replica-of", "URL,...",
     "join the cluster of the brokers at these native addresses (kauri help replicas)"},
    {SERVE_CONFIG, "config", "FILE",
     "settings, one `key = value` a line; default "
     "/etc/kauri/kauri.conf if there"},
    {SERVE_SET, "set", "K=V", "a setting, repeatable (kauri help settings)"},
    {SERVE_CHECK, "check-config", NULL, "check the settings and end"},
    {SERVE_INSECURE, "allow-insecure", NULL, "listen beyond loopback without TLS and passwords"},
};

static const struct args_page serve_page = {
    .command = "serve",
    .usage = "[--data DIR] [--native URL]... [--kafka ADDR|off] [--http ADDR|off] "
             "[--broker-id N --replica-of URL,...] [--config FILE] [--set KEY=VALUE]...",
    .about = "Runs the broker. Ctrl-C or SIGTERM stops it cleanly, a second one at once;\n"
             "SIGHUP reads FILE again, SIGUSR1 prints its state. Settings: built-in < file < "
             "KAURI_* < flags < kauri config set.",
    ARGS_ROWS(serve_rows),
    .examples = "  kauri serve\n"
                "  kauri serve --data /srv/kauri --native tcp://127.0.0.1:7092\n"
                "  kauri serve --config kauri.conf --set log.retention.hours=720\n"
                "  kauri serve --broker-id 2 --data /srv/kauri2 --native tcp://127.0.0.1:7192 "
                "--kafka 127.0.0.1:9192 --replica-of tcp://127.0.0.1:7092\n",
};

int serve_setup_read(struct serve_setup *s, struct args *a, int argc, char **argv)
{
    struct serve_options o = {0};
    int first = 0;
    int r = args_parse(&serve_page, a, argc, argv, serve_take, &o, &first);
    if (r == 0 && first < argc)
        r = args_usage(&serve_page, a, "serve takes no operands");
    if (r != 0)
        return r == ARGS_HELP ? -1 : CMD_USAGE;
    s->args = a;
    s->config = config_new();
    place_config(&s->place);
    if (o.config == NULL && access((const char *)s->place.p, F_OK) == 0)
        o.config = (const char *)s->place.p;
    s->file = o.config;
    r = serve_read_all(s, &o);
    if (r == 0)
        r = serve_settle_data(s);
    if (r == 0)
        r = serve_settle_listeners(s, o.natives, o.native_count, o.kafka);
    if (r == 0)
        r = serve_settle_seeds(s);
    s->told_id = o.broker_id != NULL;
    if (r != 0 || (!o.check && !a->dry_run))
        return r;
    out_note(&a->out, "settings: good");
    return -1;
}

static void serve_left(void *ctx, const char *key)
{
    const struct serve_origin *from = ctx;
    out_warning(&from->args->out, "%s: %s changes with the next start only", from->path, key);
}

bool serve_setup_reload(struct serve_setup *s)
{
    struct buf text CLEANUP(buf_deinit) = {0};
    struct serve_origin from = {s->args, s->file};
    if (s->file == NULL) {
        out_warning(&s->args->out, "nothing to read again: no --config FILE");
        return false;
    }
    if (serve_load_file(s, s->file, &text) != 0)
        return false;
    if (config_reload(s->config, buf_slice(&text), serve_bad, serve_left, &from) == 0)
        return true;
    out_hint(&s->args->out, "nothing was changed");
    return false;
}

void serve_setup_deinit(struct serve_setup *s)
{
    s->config = config_free(s->config);
    for (size_t i = 0; i < s->native_count; i++)
        free(s->natives[i]);
    for (size_t i = 0; i < s->kafka_count; i++) {
        free(s->kafkas[i]);
        free(s->advertised[i]);
    }
    for (size_t i = 0; i < s->seed_count; i++)
        free(s->seeds[i]);
    free(s->advertised_native);
    s->advertised_native = NULL;
    s->native_count = s->kafka_count = s->seed_count = 0;
    buf_deinit(&s->data);
    buf_deinit(&s->place);
}
