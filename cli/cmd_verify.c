/* SPDX-License-Identifier: MIT
 *
 * cmd_verify: `kauri verify DIR`: checks a data folder, or one partition folder, at rest. Changes
 * nothing, but for --fix-index, which writes the indexes of sealed segments anew.
 *
 * Exit 5 when something is damaged, whatever it is.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cmd.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/guard.h"
#include "engine/base/io.h"
#include "engine/broker/inspect.h"
#include "engine/meta/meta.h"
#include "engine/store/recover.h"
#include "engine/store/verify.h"

#define CMD_VERIFY_INDEX_INTERVAL 4096

struct cmd_verify {
    const struct args *a;
    const char *dir;
    struct io *io;
    struct store store;
    struct verify_totals totals;
    struct buf folders; /* NUL-ended names */
    json_t *findings;   /* with --json */
    uint64_t total_size;
    int64_t progress_ms;
    bool deep;
    bool fix_index;
};

static const struct args_row cmd_verify_rows[] = {
    {ARGS_LONG, "deep", NULL, "look into every record"},
    {ARGS_LONG + 1, "fix-index", NULL, "write the indexes of sealed segments anew"},
};

static const struct args_page cmd_verify_page = {
    .command = "verify",
    .usage = "[--deep] [--fix-index] DIR",
    .about = "Checks a data folder or a partition folder while no broker runs on it.",
    ARGS_ROWS(cmd_verify_rows),
    .examples = "  kauri verify /var/lib/kauri\n"
                "  kauri verify --deep --json ~/.local/state/kauri\n"
                "  kauri verify --fix-index /var/lib/kauri/orders-0\n",
};

static const char *cmd_verify_take(void *ctx, int key, const char *value)
{
    struct cmd_verify *v = ctx;
    ASSERT(value == NULL);
    if (key == ARGS_LONG)
        v->deep = true;
    else
        v->fix_index = true;
    return NULL;
}

static void cmd_verify_found(void *ctx, bool fault, const char *line)
{
    struct cmd_verify *v = ctx;
    if (v->findings != NULL)
        (void)json_array_append_new(v->findings,
                                    json_pack("{s:b, s:s}", "damaged", fault, "text", line));
    else
        (void)printf("%s  %s\n", fault ? "DAMAGED" : "note   ", line);
}

__attribute__((format(printf, 2, 3))) static void cmd_verify_say(struct cmd_verify *v,
                                                                 const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    v->totals.faults++;
    cmd_verify_found(v, true, line);
}

static void cmd_verify_progress(void *ctx, uint64_t size)
{
    struct cmd_verify *v = ctx;
    out_progress(&v->a->out, &v->progress_ms, "verify", size, v->total_size);
}

/* --- indexes --- */

static int cmd_verify_base(void *ctx, const char *name, enum io_kind kind)
{
    struct buf *bases = ctx;
    int64_t base = state_parse_name(name, "log");
    if (kind == IO_KIND_FILE && base >= 0)
        buf_append(bases, &base, sizeof base);
    return 0;
}

static int cmd_verify_fix_segment(struct cmd_verify *v, const char *dir, int64_t base, int64_t end,
                                  bool cleaned)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    struct io_file *f = NULL;
    uint64_t size = 0;
    ASSERT(base < end);
    state_segment_path(&path, dir, base, "log");
    int r = io_open(v->io, (const char *)path.p, IO_READ, &f);
    if (r == 0)
        r = io_size(f, &size);
    int closed = io_close(f);
    struct recover_segment segment = {.dir = dir,
                                      .base = base,
                                      .end = end,
                                      .log_size = (size_t)size,
                                      .interval = CMD_VERIFY_INDEX_INTERVAL,
                                      .cleaned = cleaned};
    struct recover_sizes sizes;
    if (r == 0 && closed == 0 && size > 0)
        r = recover_index(v->io, &segment, &sizes);
    return r != 0 ? r : closed;
}

static int cmd_verify_order(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* All but the last segment: that one's index is the next start's to rebuild. */
static int cmd_verify_fix(struct cmd_verify *v, const char *dir)
{
    struct buf bases CLEANUP(buf_deinit) = {0};
    struct state state = {0};
    int r = io_list(v->io, dir, cmd_verify_base, &bases);
    bool cleaned = state_read(v->io, dir, &state) == 0 && state.generation > 0;
    size_t count = bases.size / sizeof(int64_t);
    if (count > 0)
        qsort(bases.p, count, sizeof(int64_t), cmd_verify_order);
    for (size_t i = 0; r == 0 && i + 1 < count; i++)
        r = cmd_verify_fix_segment(v, dir, (int64_t)bytes_le64(bases.p + i * 8),
                                   (int64_t)bytes_le64(bases.p + (i + 1) * 8), cleaned);
    return r;
}

/* --- folders --- */

static int cmd_verify_part(struct cmd_verify *v, const char *dir)
{
    struct verify_options o = {.deep = v->deep,
                               .found = cmd_verify_found,
                               .progress = v->total_size > 0 ? cmd_verify_progress : NULL,
                               .ctx = v};
    int r = v->fix_index ? cmd_verify_fix(v, dir) : 0;
    if (r == 0)
        r = verify_part(&v->store, dir, &o, &v->totals);
    if (r != 0)
        cmd_verify_say(v, "%s cannot be read: %s", dir, error_text(r > 0 ? ENOSPC : r));
    return 0;
}

static int cmd_verify_folder(void *ctx, const char *name, enum io_kind kind)
{
    struct cmd_verify *v = ctx;
    const char *dash = strrchr(name, '-');
    bool numbered = dash != NULL && dash[1] >= '0' && dash[1] <= '9';
    if (kind == IO_KIND_FOLDER && (strcmp(name, "__meta") == 0 || numbered) &&
        strncmp(name, "view.", 5) != 0)
        buf_append(&v->folders, name, strlen(name) + 1);
    return 0;
}

struct cmd_verify_count {
    struct cmd_verify *v;
    const char *dir;
};

static int cmd_verify_size(void *ctx, const char *name, enum io_kind kind)
{
    struct cmd_verify_count *c = ctx;
    struct buf path CLEANUP(buf_deinit) = {0};
    struct io_file *f = NULL;
    uint64_t size = 0;
    if (kind != IO_KIND_FILE || state_parse_name(name, "log") < 0)
        return 0;
    state_path(&path, c->dir, name);
    if (io_open(c->v->io, (const char *)path.p, IO_READ, &f) == 0 && io_size(f, &size) == 0)
        c->v->total_size += size;
    (void)io_close(f);
    return 0;
}

static void cmd_verify_each(struct cmd_verify *v, void (*fn)(struct cmd_verify *v, const char *dir))
{
    for (size_t at = 0; at < v->folders.size; at += strlen((const char *)v->folders.p + at) + 1) {
        struct buf path CLEANUP(buf_deinit) = {0};
        state_path(&path, v->dir, (const char *)v->folders.p + at);
        fn(v, (const char *)path.p);
    }
}

static void cmd_verify_add_size(struct cmd_verify *v, const char *dir)
{
    struct cmd_verify_count c = {v, dir};
    if (io_list(v->io, dir, cmd_verify_size, &c) != 0)
        cmd_verify_say(v, "%s cannot be listed", dir);
}

static void cmd_verify_run_part(struct cmd_verify *v, const char *dir)
{
    (void)cmd_verify_part(v, dir);
}

/* --- the data folder --- */

struct cmd_verify_topics {
    struct cmd_verify *v;
    size_t known; /* folders that belong to a topic */
};

static bool cmd_verify_has(const struct cmd_verify *v, const char *name)
{
    for (size_t at = 0; at < v->folders.size; at += strlen((const char *)v->folders.p + at) + 1)
        if (strcmp((const char *)v->folders.p + at, name) == 0)
            return true;
    return false;
}

static void cmd_verify_topic(void *ctx, struct slice name, const struct catalog_topic *t,
                             int64_t revision)
{
    struct cmd_verify_topics *w = ctx;
    ASSERT(revision >= 0);
    for (int32_t i = 0; i < t->partitions; i++) {
        struct buf folder CLEANUP(buf_deinit) = {0};
        buf_printf(&folder, "%.*s-%d", (int)name.size, (const char *)name.p, i);
        w->known += cmd_verify_has(w->v, (const char *)folder.p);
    }
}

static void cmd_verify_catalogue(struct cmd_verify *v, struct inspect *i)
{
    struct cmd_verify_topics w = {v, 0};
    size_t folders = 0;
    for (size_t at = 0; at < v->folders.size; at += strlen((const char *)v->folders.p + at) + 1)
        folders += strcmp((const char *)v->folders.p + at, "__meta") != 0;
    inspect_topics(i, cmd_verify_topic, &w);
    if (w.known < folders)
        cmd_verify_say(v,
                       "%zu folder(s) belong to no topic (the next start moves them to "
                       "lost+found)",
                       folders - w.known);
}

static void cmd_verify_view(struct cmd_verify *v, struct inspect *i)
{
    struct inspect_view view;
    int r = inspect_view(i, &view);
    if (r == META_DAMAGED)
        cmd_verify_say(v, "the LMDB view is damaged (the next start sets it aside and rebuilds it "
                          "from the logs)");
    else if (r < 0)
        cmd_verify_say(v, "the LMDB view cannot be read: %s", error_text(r));
    else if (r == 0 && view.wrong > 0)
        cmd_verify_say(v, "the LMDB view differs from __meta in %" PRIu64 " rows", view.wrong);
}

static int cmd_verify_open_failed(const struct cmd_verify *v, int r, const struct format *f)
{
    const struct out *o = &v->a->out;
    switch (r) {
    case FORMAT_NEWER:
        out_error(o, "%s was written by format %u, this kauri knows up to %d", v->dir, f->version,
                  FORMAT_VERSION);
        out_hint(o, "install a newer kauri; nothing was changed");
        return CMD_FAILED;
    case FORMAT_DAMAGED:
        out_error(o, "the file `format` in %s is damaged", v->dir);
        out_hint(o, "the partitions can be checked one by one: kauri verify %s/TOPIC-0", v->dir);
        return CMD_DAMAGED;
    case INSPECT_LOCKED:
        out_error(o, "a broker is running on %s", v->dir);
        out_hint(o, "stop it first: verify looks at folders at rest");
        return CMD_FAILED;
    case INSPECT_DAMAGED:
        out_error(o, "the log __meta in %s is damaged: the catalogue cannot be read", v->dir);
        out_hint(o, "kauri verify %s/__meta shows where; nothing was changed", v->dir);
        return CMD_DAMAGED;
    default:
        out_error(o, "cannot read %s: %s", v->dir, error_text(r > 0 ? ENOENT : r));
        return CMD_FAILED;
    }
}

static int cmd_verify_data(struct cmd_verify *v)
{
    struct inspect *i = NULL;
    struct format f = {0};
    int r = inspect_open(&v->store, v->dir, &i);
    if (r != 0) {
        if (format_read(v->io, v->dir, &f) == IO_MISSING)
            r = IO_MISSING;
        return cmd_verify_open_failed(v, r, &f);
    }
    if (io_list(v->io, v->dir, cmd_verify_folder, v) != 0)
        cmd_verify_say(v, "%s cannot be listed", v->dir);
    cmd_verify_each(v, cmd_verify_add_size);
    cmd_verify_each(v, cmd_verify_run_part);
    cmd_verify_catalogue(v, i);
    cmd_verify_view(v, i);
    inspect_free(i);
    return CMD_DONE;
}

static int cmd_verify_report(struct cmd_verify *v)
{
    const struct verify_totals *t = &v->totals;
    char size[OUT_TEXT_MAX];
    if (v->findings != NULL)
        out_json(json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:O}", "partitions",
                           (json_int_t)t->partitions, "segments", (json_int_t)t->segments,
                           "batches", (json_int_t)t->batches, "records", (json_int_t)t->records,
                           "bytes", (json_int_t)t->size, "faults", (json_int_t)t->faults,
                           "findings", v->findings));
    else
        (void)printf("%" PRIu64 " partitions, %" PRIu64 " segments, %" PRIu64 " batches, %" PRIu64
                     " records, %s: %s\n",
                     t->partitions, t->segments, t->batches, t->records,
                     out_size(size, (int64_t)t->size), t->faults > 0 ? "DAMAGED" : "ok");
    return t->faults > 0 ? CMD_DAMAGED : CMD_DONE;
}

static bool cmd_verify_is_data(struct cmd_verify *v)
{
    struct format f;
    return format_read(v->io, v->dir, &f) != IO_MISSING;
}

static int cmd_verify_is_part(void *ctx, const char *name, enum io_kind kind)
{
    bool *found = ctx;
    *found = *found || (kind == IO_KIND_FILE &&
                        (state_parse_name(name, "log") >= 0 || strcmp(name, "state") == 0));
    return 0;
}

static int cmd_verify_any(struct cmd_verify *v)
{
    bool part = false;
    if (cmd_verify_is_data(v))
        return cmd_verify_data(v);
    int r = io_list(v->io, v->dir, cmd_verify_is_part, &part);
    if (r != 0 || !part) {
        out_error(&v->a->out, "cannot verify %s: %s", v->dir,
                  r < 0             ? error_text(r)
                  : r == IO_MISSING ? "no such folder"
                                    : "neither a data folder nor a partition folder");
        return r == IO_MISSING ? CMD_MISSING : CMD_FAILED;
    }
    cmd_verify_add_size(v, v->dir);
    return cmd_verify_part(v, v->dir);
}

int cmd_verify(struct args *a, int argc, char **argv)
{
    struct cmd_verify v = {.a = a};
    int first = 0;
    int r = args_parse(&cmd_verify_page, a, argc, argv, cmd_verify_take, &v, &first);
    if (r != 0)
        return cmd_args(r);
    if (argc - first != 1)
        return cmd_args(args_usage(&cmd_verify_page, a, "verify takes one folder"));
    guard_install();
    v.dir = argv[first];
    v.io = io_real_new();
    v.findings = a->json ? json_array() : NULL;
    store_init(&v.store, &(struct store_options){.io = v.io});
    int code = cmd_verify_any(&v);
    if (code == CMD_DONE)
        code = cmd_verify_report(&v);
    store_deinit(&v.store);
    io_real_free(v.io);
    buf_deinit(&v.folders);
    json_decref(v.findings);
    return code;
}
