/* SPDX-License-Identifier: MIT
 *
 * cmd_config_file: `kauri config import`: a file of Kafka's as one of ours, and `kauri config
 * template`: the file as it is installed. Neither needs a broker.
 */
#include <errno.h>
#include <stdio.h>

#include "cli/cmd_config_priv.h"
#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/broker/config.h"

#define CMD_CONFIG_FILE_MAX ((size_t)1024 * 1024)

int cmd_config_read_file(const struct args *a, const char *path, struct buf *out)
{
    struct io *io = io_real_new();
    int r = io_read_file(io, path, CMD_CONFIG_FILE_MAX, out);
    (void)io_real_free(io);
    if (r == 0)
        return CMD_DONE;
    out_error(&a->out, "cannot read \"%s\": %s", path, error_text(r == IO_MISSING ? -ENOENT : r));
    return r == IO_MISSING ? CMD_MISSING : CMD_FAILED;
}

/* --- import --------------------------------------------------------------------------------- */

struct cmd_config_import {
    const struct args *a;
    const char *path;
    json_t *passed; /* with --json */
};

static void cmd_config_import_bad(void *ctx, unsigned line, const char *message)
{
    const struct cmd_config_import *i = ctx;
    out_error(&i->a->out, "%s:%u: %s", i->path, line, message);
}

static void cmd_config_import_passed(void *ctx, unsigned line, const char *message)
{
    const struct cmd_config_import *i = ctx;
    if (i->passed != NULL)
        (void)json_array_append_new(i->passed,
                                    json_pack("{s:i, s:s}", "line", (int)line, "text", message));
    else
        (void)printf("# passed over, line %u: %s\n", line, message);
}

/* What the file says and kauri does; with several spellings of one thing the one that counts. */
static void cmd_config_import_rows(const struct config *config, json_t *settings)
{
    size_t count = 0;
    const struct config_row *rows = config_rows(&count);
    for (size_t i = 0; i < count; i++) {
        struct config_step steps[CONFIG_STEPS_MAX];
        if (rows[i].topic || config_steps(config, &rows[i], steps) == 0 ||
            steps[0].from != CONFIG_FROM_FILE || strcmp(steps[0].name, rows[i].name) != 0)
            continue;
        if (settings != NULL)
            (void)json_object_set_new(settings, rows[i].name, json_string(steps[0].value));
        else if (rows[i].inert)
            (void)printf("# without effect here: %s = %s\n", rows[i].name, steps[0].value);
        else
            (void)printf("%s = %s\n", rows[i].name, steps[0].value);
    }
}

int cmd_config_import(struct args *a, int argc, char **argv)
{
    static const struct args_page page = {
        .command = "config import",
        .usage = "FILE",
        .about = "Prints a server.properties of Kafka's as a kauri.conf: what counts here, and as\n"
                 "comments what is passed over. Needs no broker, changes nothing.",
        .examples = "  kauri config import server.properties\n"
                    "  kauri config import server.properties > /etc/kauri/kauri.conf\n"
                    "  kauri config check /etc/kauri/kauri.conf\n",
    };
    struct buf text CLEANUP(buf_deinit) = {0};
    int first = 0;
    int r = args_parse(&page, a, argc, argv, NULL, NULL, &first);
    if (r == 0 && argc - first != 1)
        r = args_usage(&page, a, "which file?");
    if (r != 0)
        return cmd_args(r);
    int code = cmd_config_read_file(a, argv[first], &text);
    if (code != CMD_DONE)
        return code;
    struct cmd_config_import import = {.a = a, .path = argv[first]};
    json_t *settings = NULL;
    if (a->json) {
        import.passed = json_array();
        settings = json_object();
    }
    struct config *config = config_new();
    int bad = config_parse_foreign(config, buf_slice(&text), cmd_config_import_bad,
                                   cmd_config_import_passed, &import);
    if (bad == 0)
        cmd_config_import_rows(config, settings);
    if (bad == 0 && a->json)
        out_json(json_pack("{s:O, s:O}", "settings", settings, "passed_over", import.passed));
    json_decref(settings);
    json_decref(import.passed);
    (void)config_free(config);
    if (bad > 0)
        out_hint(&a->out, "kauri help settings");
    return bad > 0 ? CMD_USAGE : CMD_DONE;
}

/* --- template ------------------------------------------------------------------------------- */

/* A sentence as comments of at most 100 columns. */
static void cmd_config_comment(const char *text)
{
    size_t column = 0;
    for (const char *p = text; *p != '\0';) {
        size_t size = strcspn(p, " ");
        if (column > 0 && column + 1 + size > 98) {
            (void)putchar('\n');
            column = 0;
        }
        column += (size_t)printf("%s%.*s", column == 0 ? "# " : " ", (int)size, p);
        p += size + strspn(p + size, " ");
    }
    (void)putchar('\n');
}

int cmd_config_template(struct args *a, int argc, char **argv)
{
    static const struct args_page page = {
        .command = "config template",
        .usage = "",
        .about = "Prints a kauri.conf with every key of the broker, commented, with its default.",
        .examples = "  kauri config template > /etc/kauri/kauri.conf\n"
                    "  kauri config template | grep -A1 retention\n"
                    "  kauri config explain log.retention.hours\n",
    };
    int first = 0;
    size_t count = 0;
    int r = args_parse(&page, a, argc, argv, NULL, NULL, &first);
    if (r == 0 && first < argc)
        r = args_usage(&page, a, "template takes no operands");
    if (r != 0)
        return cmd_args(r);
    const struct config_row *rows = config_rows(&count);
    (void)printf(
        "# Settings of kauri serve, one `key = value` a line; all defaults here. Sizes take\n"
        "# K, M, G; durations ms, s, m, h, d. Checked by: kauri serve --check-config\n");
    for (size_t i = 0; i < count; i++) {
        if (rows[i].topic || rows[i].inert)
            continue;
        (void)putchar('\n');
        cmd_config_comment(rows[i].help);
        (void)printf("#%s = %s\n", rows[i].name, rows[i].preset != NULL ? rows[i].preset : "");
    }
    return CMD_DONE;
}
