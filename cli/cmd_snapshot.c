/* SPDX-License-Identifier: MIT
 *
 * cmd_snapshot: `kauri snapshot DIR`: a copy of everything a running broker has, as of one moment;
 * `kauri snapshot --restore DIR --data NEW`: a data folder from one, without a broker.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/place.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/clock.h"
#include "engine/broker/snapshot.h"

#define CMD_SNAPSHOT_TIMEOUT_MS 3600000u

struct cmd_snapshot {
    const struct args *a;
    const char *restore;
    const char *data;
    int64_t progress_ms;
};

enum {
    CMD_SNAPSHOT_RESTORE = ARGS_LONG,
    CMD_SNAPSHOT_DATA,
};

static const struct args_row cmd_snapshot_rows[] = {
    {CMD_SNAPSHOT_RESTORE, "restore", "DIR", "make a data folder of this snapshot"},
    {CMD_SNAPSHOT_DATA, "data", "NEW", "with --restore: the folder to make"},
};

static const struct args_page cmd_snapshot_page = {
    .command = "snapshot",
    .usage = "DIR | --restore DIR --data NEW",
    .about = "Copies records, settings and committed offsets of the running broker, as of one\n"
             "moment, into the new folder DIR of the broker's machine. On the file system of the\n"
             "data folder that takes links instead of copies: seconds, and next to no space. In\n"
             "the data folder itself, DIR must lie below a name that begins with a dot.\n"
             "--restore makes a data folder of one; it needs no broker. Never let a broker run on\n"
             "a snapshot, and copy one elsewhere as you like (cp -a, rsync).",
    ARGS_ROWS(cmd_snapshot_rows),
    .examples = "  kauri snapshot /var/lib/kauri/.snapshots/monday\n"
                "  kauri snapshot --restore /var/lib/kauri/.snapshots/monday --data /srv/kauri\n"
                "  kauri verify --deep /srv/kauri && kauri serve --data /srv/kauri\n",
};

static const char *cmd_snapshot_take(void *ctx, int key, const char *value)
{
    struct cmd_snapshot *s = ctx;
    if (key == CMD_SNAPSHOT_RESTORE)
        s->restore = value;
    else
        s->data = value;
    return value[0] != '\0' ? NULL : "a folder";
}

/* An absolute path without a slash at its end. 0 or an exit code. */
static int cmd_snapshot_path(const struct args *a, const char *path, struct buf *out)
{
    char cwd[4096];
    while (path[0] == '.' && path[1] == '/')
        path += 2;
    if (path[0] != '/' && getcwd(cwd, sizeof cwd) == NULL) {
        out_error(&a->out, "cannot tell the current folder: %s", error_text(errno));
        return CMD_FAILED;
    }
    buf_printf(out, "%s%s%s", path[0] == '/' ? "" : cwd, path[0] == '/' ? "" : "/", path);
    while (out->size > 1 && out->p[out->size - 1] == '/')
        out->size--;
    buf_append_u8(out, 0);
    out->size--;
    return CMD_DONE;
}

static void cmd_snapshot_tell(const struct args *a, const char *dir, uint64_t partitions,
                              uint64_t linked, uint64_t copied, int64_t ms)
{
    char l[OUT_TEXT_MAX], c[OUT_TEXT_MAX];
    if (a->json) {
        out_json(json_pack("{s:s, s:I, s:I, s:I, s:I}", "dir", dir, "partitions",
                           (json_int_t)partitions, "linked_bytes", (json_int_t)linked,
                           "copied_bytes", (json_int_t)copied, "took_ms", (json_int_t)ms));
        return;
    }
    out_note(&a->out, "%s: %" PRIu64 " partitions, %s linked, %s copied, %" PRId64 " ms", dir,
             partitions, out_size(l, (int64_t)linked), out_size(c, (int64_t)copied), ms);
}

/* --- of a running broker -------------------------------------------------------------------- */

static int cmd_snapshot_make(const struct args *a, const char *path)
{
    struct buf dir CLEANUP(buf_deinit) = {0};
    struct kauri_options options = {0};
    struct cmd_client c = {0};
    struct kauri_snapshot done = {0};
    int r = cmd_snapshot_path(a, path, &dir);
    if (a->timeout_ms == 0)
        options.timeout_ms = CMD_SNAPSHOT_TIMEOUT_MS;
    if (r == 0)
        r = cmd_open(a, &options, &c);
    if (r != 0)
        return r;
    const char *name = (const char *)dir.p;
    struct kauri_server server;
    int error = kauri_server(c.k, &server); /* nobody there is found out soon */
    if (error == 0 && a->dry_run) {
        out_note(&a->out, "%s would be made", name);
        cmd_close(&c);
        return CMD_DONE;
    }
    if (error == 0)
        error = kauri_snapshot(c.k, name, &done);
    if (error == 0) {
        cmd_snapshot_tell(a, name, done.partitions, done.linked_size, done.copied_size,
                          done.took_ms);
    } else if (error == KAURI_BAD_ARGUMENT || error == KAURI_EXISTS) {
        out_error(&a->out, "cannot make %s: %s", name, kauri_message(c.k));
        out_hint(&a->out, "choose another: kauri snapshot DIR (beside the data folder, where the "
                          "broker may write)");
        r = error == KAURI_EXISTS ? CMD_MISSING : CMD_USAGE;
    } else {
        r = cmd_fail(a, &c, error, NULL);
    }
    cmd_close(&c);
    return r;
}

/* --- restore -------------------------------------------------------------------------------- */

static void cmd_snapshot_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct cmd_snapshot *s = ctx;
    out_progress(&s->a->out, &s->progress_ms, "restore", done, total);
}

static int cmd_snapshot_refuse(const struct args *a, const struct snapshot_restore *r, int error)
{
    switch (error) {
    case SNAPSHOT_DAMAGED:
        out_error(&a->out, "%s is no whole snapshot: \"%s\" does not check", r->from, r->what);
        out_hint(&a->out, "kauri verify --deep %s; nothing was made", r->from);
        return CMD_DAMAGED;
    case SNAPSHOT_BUSY:
        out_error(&a->out, "cannot restore to %s: it exists and is not empty", r->to);
        out_hint(&a->out, "choose a folder that is not there: --data NEW");
        return CMD_MISSING;
    case SNAPSHOT_FOREIGN:
        out_error(&a->out, "cannot restore to %s: %s.partial is in the way", r->to, r->to);
        out_hint(&a->out, "remove it, or choose another folder: --data NEW");
        return CMD_MISSING;
    case IO_MISSING:
        out_error(&a->out, "cannot restore to %s: there is no folder around it", r->to);
        out_hint(&a->out, "make it: mkdir -p");
        return CMD_MISSING;
    case IO_FULL:
        out_error(&a->out, "cannot restore to %s: no space left on the disk", r->to);
        out_hint(&a->out, "nothing was made; choose another disk: --data NEW");
        return CMD_FAILED;
    }
    out_error(&a->out, "cannot restore %s to %s: %s", r->from, r->to, error_text(error));
    return CMD_FAILED;
}

static int cmd_snapshot_restore(struct cmd_snapshot *s)
{
    const struct args *a = s->a;
    struct buf from CLEANUP(buf_deinit) = {0}, to CLEANUP(buf_deinit) = {0};
    int code = cmd_snapshot_path(a, s->restore, &from);
    if (code == 0)
        code = cmd_snapshot_path(a, s->data, &to);
    if (code != 0)
        return code;
    struct snapshot_restore r = {.from = (const char *)from.p,
                                 .to = (const char *)to.p,
                                 .progress = cmd_snapshot_progress,
                                 .ctx = s};
    const struct clock *clock = clock_real();
    int64_t began = clock->mono_ms(clock);
    struct io *io = io_real_new();
    int error = 0;
    if (a->dry_run) {
        struct buf text CLEANUP(buf_deinit) = {0};
        error = snapshot_read(io, r.from, &r.header, &text);
        (void)snprintf(r.what, sizeof r.what, "snapshot");
    } else {
        error = snapshot_restore(io, &r);
    }
    (void)io_real_free(io);
    if (error != 0)
        return cmd_snapshot_refuse(a, &r, error);
    if (a->dry_run)
        out_note(&a->out, "%s would be made", r.to);
    else
        cmd_snapshot_tell(a, r.to, r.partitions, r.linked_size, r.copied_size,
                          clock->mono_ms(clock) - began);
    return CMD_DONE;
}

int cmd_snapshot(struct args *a, int argc, char **argv)
{
    struct cmd_snapshot s = {.a = a};
    int first = 0;
    int r = args_parse(&cmd_snapshot_page, a, argc, argv, cmd_snapshot_take, &s, &first);
    if (r != 0)
        return cmd_args(r);
    bool restore = s.restore != NULL;
    if (restore != (s.data != NULL))
        return cmd_args(args_usage(&cmd_snapshot_page, a, "--restore and --data belong together"));
    if (argc - first != (restore ? 0 : 1))
        return cmd_args(args_usage(&cmd_snapshot_page, a,
                                   restore ? "--restore takes no operands" : "which folder?"));
    return restore ? cmd_snapshot_restore(&s) : cmd_snapshot_make(a, argv[first]);
}
