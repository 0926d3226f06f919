/* SPDX-License-Identifier: MIT
 *
 * cmd_dump: `kauri dump FILE|DIR`: shows what is in a file of a data folder, at rest: batches and
 * records of a .log, entries of an index, a state file, a producer snapshot, the records of __meta.
 * A partition folder is its segments in order. Changes nothing; exit 5 when it meets damage.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cmd.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/guard.h"
#include "engine/base/io.h"
#include "engine/broker/catalog.h"
#include "engine/store/index.h"
#include "engine/store/walk.h"

#define CMD_DUMP_INFLATE_MAX (256u << 20)
#define CMD_DUMP_FILE_MAX    (64u << 20)

enum cmd_dump_what {
    CMD_DUMP_BATCHES,
    CMD_DUMP_RECORDS,
    CMD_DUMP_INDEX,
    CMD_DUMP_META,
};

struct cmd_dump {
    const struct args *a;
    struct io *io;
    enum cmd_dump_what what;
    int64_t from; /* offset */
    bool damaged;
    struct buf scratch;
    struct buf text;
};

static const struct args_row cmd_dump_rows[] = {
    {ARGS_LONG, "records", NULL, "every record, not only the batches"},
    {ARGS_LONG + 1, "batches", NULL, "the batches (the default)"},
    {ARGS_LONG + 2, "index", NULL, "the index and time index of each segment"},
    {ARGS_LONG + 3, "meta", NULL, "records of __meta with their meaning"},
    {ARGS_LONG + 4, "offset", "N", "begin at this offset"},
};

static const struct args_page cmd_dump_page = {
    .command = "dump",
    .usage = "[--batches|--records|--index|--meta] [--offset N] FILE|DIR",
    .about = "Shows what is in a file or a partition folder, without a broker.",
    ARGS_ROWS(cmd_dump_rows),
    .examples = "  kauri dump /var/lib/kauri/orders-0\n"
                "  kauri dump --records --offset 1000 --json /var/lib/kauri/orders-0\n"
                "  kauri dump --meta /var/lib/kauri/__meta\n",
};

static const char *cmd_dump_take(void *ctx, int key, const char *value)
{
    struct cmd_dump *d = ctx;
    switch (key) {
    case ARGS_LONG:
        d->what = CMD_DUMP_RECORDS;
        return NULL;
    case ARGS_LONG + 1:
        d->what = CMD_DUMP_BATCHES;
        return NULL;
    case ARGS_LONG + 2:
        d->what = CMD_DUMP_INDEX;
        return NULL;
    case ARGS_LONG + 3:
        d->what = CMD_DUMP_META;
        return NULL;
    default: {
        char *end;
        errno = 0;
        d->from = strtoll(value, &end, 10);
        return errno != 0 || *end != '\0' || end == value || d->from < 0 ? "an offset" : NULL;
    }
    }
}

/* Bytes as text that is safe on a terminal: what is not printable ASCII is escaped. */
static const char *cmd_dump_text(struct cmd_dump *d, struct slice s)
{
    buf_reset(&d->text);
    if (s.p == NULL)
        buf_printf(&d->text, "null");
    for (size_t i = 0; i < s.size; i++)
        if (s.p[i] >= 0x20 && s.p[i] < 0x7f && s.p[i] != '\\')
            buf_append_u8(&d->text, s.p[i]);
        else
            buf_printf(&d->text, "\\x%02x", s.p[i]);
    buf_append_u8(&d->text, 0);
    return (const char *)d->text.p;
}

static json_t *cmd_dump_json_text(struct cmd_dump *d, struct slice s)
{
    return s.p == NULL ? json_null() : json_string(cmd_dump_text(d, s));
}

/* --- batches and records --- */

static void cmd_dump_batch(struct cmd_dump *d, const struct walk_item *i)
{
    const struct batch_header *h = &i->h;
    char time[OUT_TEXT_MAX];
    const char *codec = codec_name(batch_codec(h));
    if (d->a->json) {
        out_json(json_pack("{s:I, s:I, s:I, s:i, s:i, s:s, s:I, s:I, s:i, s:i, s:i, s:i, s:I}",
                           "base_offset", (json_int_t)h->base_offset, "last_offset",
                           (json_int_t)batch_last_offset(h), "pos", (json_int_t)i->pos, "bytes",
                           (int)h->size, "records", h->count, "codec", codec, "max_timestamp_ms",
                           (json_int_t)h->max_timestamp, "producer_id", (json_int_t)h->producer_id,
                           "producer_epoch", h->producer_epoch, "base_sequence", h->base_sequence,
                           "leader_epoch", h->leader_epoch, "attributes", h->attributes, "crc",
                           (json_int_t)h->crc));
        return;
    }
    (void)printf("%" PRId64 "..%" PRId64 "  pos %" PRIu64 "  %u bytes  %d records  %s  %s",
                 h->base_offset, batch_last_offset(h), i->pos, h->size, h->count, codec,
                 out_time(time, h->max_timestamp));
    if (h->producer_id >= 0)
        (void)printf("  producer %" PRId64 "/%d sequence %d", h->producer_id, h->producer_epoch,
                     h->base_sequence);
    (void)printf("%s%s  crc %08x\n", h->attributes & BATCH_ATTR_TXN ? "  transactional" : "",
                 h->attributes & BATCH_ATTR_CONTROL ? "  control" : "", h->crc);
}

static void cmd_dump_record(struct cmd_dump *d, const struct batch_record *r)
{
    char time[OUT_TEXT_MAX];
    if (r->offset < d->from)
        return;
    if (!d->a->json) {
        (void)printf("%" PRId64 "  %s  ", r->offset, out_time(time, r->timestamp));
        (void)printf("%s  ", cmd_dump_text(d, r->key));
        (void)printf("%s\n", cmd_dump_text(d, r->value));
        return;
    }
    json_t *headers = json_array();
    struct slice rest = r->headers, name, value;
    while (batch_header_next(&rest, &name, &value)) {
        json_t *pair = json_array();
        (void)json_array_append_new(pair, cmd_dump_json_text(d, name));
        (void)json_array_append_new(pair, cmd_dump_json_text(d, value));
        (void)json_array_append_new(headers, pair);
    }
    json_t *o = json_pack("{s:I, s:I}", "offset", (json_int_t)r->offset, "timestamp_ms",
                          (json_int_t)r->timestamp);
    (void)json_object_set_new(o, "key", cmd_dump_json_text(d, r->key));
    (void)json_object_set_new(o, "value", cmd_dump_json_text(d, r->value));
    (void)json_object_set_new(o, "headers", headers);
    out_json(o);
}

static void cmd_dump_meta(struct cmd_dump *d, const struct batch_record *r)
{
    struct catalog_topic t = {0};
    char id[23];
    (void)printf("%" PRId64 "  %s  ", r->offset, cmd_dump_text(d, r->key));
    if (r->key.size > 7 && memcmp(r->key.p, "topics/", 7) == 0 && r->value.p != NULL &&
        catalog_decode(r->value, &t) == 0) {
        catalog_id_text(t.id, id);
        (void)printf("id %s  %d partitions  %s%zu configs\n", id, t.partitions,
                     t.state == CATALOG_DELETING ? "being deleted  " : "", t.configs.count);
        catalog_deinit(&t);
    } else if (slice_equal(r->key, slice_str("seq/pid")) && r->value.size == 8) {
        (void)printf("next block %" PRIu64 "\n", bytes_le64(r->value.p));
    } else {
        (void)printf("%s\n", r->value.p == NULL ? "deleted" : cmd_dump_text(d, r->value));
    }
}

static void cmd_dump_bad(struct cmd_dump *d, const struct walk_item *i, const char *what)
{
    d->damaged = true;
    if (d->a->json)
        out_json(json_pack("{s:b, s:I, s:I, s:s}", "damaged", true, "pos", (json_int_t)i->pos,
                           "bytes", (json_int_t)i->skipped, "text", what));
    else
        (void)printf("DAMAGED  pos %" PRIu64 "  %" PRIu64 " bytes: %s\n", i->pos, i->skipped, what);
}

static void cmd_dump_records(struct cmd_dump *d, const struct walk_item *i)
{
    struct batch_iter it;
    struct batch_record r;
    enum batch_fault f = batch_iter_init(&it, i->batch, CMD_DUMP_INFLATE_MAX, &d->scratch);
    while (f == BATCH_OK && batch_iter_next(&it, &r, &f)) {
        if (d->what == CMD_DUMP_META)
            cmd_dump_meta(d, &r);
        else
            cmd_dump_record(d, &r);
    }
    if (f != BATCH_OK)
        cmd_dump_bad(d, i, batch_fault_text(f));
}

static int cmd_dump_item(void *ctx, const struct walk_item *i)
{
    struct cmd_dump *d = ctx;
    if (i->fault != BATCH_OK) {
        if (!i->zeros) /* zeros are reserved space, or a hole: verify tells which */
            cmd_dump_bad(d, i, batch_fault_text(i->fault));
        return 0;
    }
    if (batch_last_offset(&i->h) < d->from)
        return 0;
    if (d->what == CMD_DUMP_BATCHES)
        cmd_dump_batch(d, i);
    else
        cmd_dump_records(d, i);
    return 0;
}

/* --- small files --- */

static int cmd_dump_read(struct cmd_dump *d, const char *path, struct buf *out)
{
    int r = io_read_file(d->io, path, CMD_DUMP_FILE_MAX, out);
    return r == IO_MISSING ? -ENOENT : r;
}

static void cmd_dump_entry(struct cmd_dump *d, bool good, int64_t offset, const char *name,
                           int64_t value)
{
    d->damaged = d->damaged || !good;
    if (!good)
        (void)printf("DAMAGED  entry\n");
    else if (d->a->json)
        out_json(json_pack("{s:I, s:I}", "offset", (json_int_t)offset, name, (json_int_t)value));
    else
        (void)printf("%" PRId64 "  %s %" PRId64 "\n", offset, name, value);
}

static int cmd_dump_index_file(struct cmd_dump *d, const char *path, int64_t base, bool times)
{
    struct buf bytes CLEANUP(buf_deinit) = {0};
    int r = cmd_dump_read(d, path, &bytes);
    size_t size = times ? INDEX_TIME_ENTRY_SIZE : INDEX_ENTRY_SIZE;
    for (size_t i = 0; r == 0 && i < bytes.size / size; i++) {
        struct index_entry e = {0, 0};
        struct index_time_entry t = {0, 0};
        bool good =
            times ? index_time_at(buf_slice(&bytes), i, &t) : index_at(buf_slice(&bytes), i, &e);
        if (times)
            cmd_dump_entry(d, good, base + t.relative, "max_timestamp_ms", t.max_timestamp);
        else
            cmd_dump_entry(d, good, base + e.relative, "pos", e.pos);
    }
    return r;
}

static int cmd_dump_state(struct cmd_dump *d, const char *path)
{
    struct buf bytes CLEANUP(buf_deinit) = {0};
    struct state s;
    int r = cmd_dump_read(d, path, &bytes);
    if (r != 0)
        return r;
    if (state_decode(buf_slice(&bytes), &s) != 0) {
        d->damaged = true;
        (void)printf("DAMAGED  state\n");
        return 0;
    }
    json_t *o = json_pack("{s:I, s:I, s:I, s:I, s:i, s:i}", "log_start", (json_int_t)s.log_start,
                          "recovery_offset", (json_int_t)s.recovery_offset, "recovery_segment",
                          (json_int_t)s.recovery_base, "recovery_pos", (json_int_t)s.recovery_pos,
                          "leader_epoch", s.epoch, "generation", (int)s.generation);
    out_json(o);
    return 0;
}

static int cmd_dump_snapshot(struct cmd_dump *d, const char *path)
{
    struct buf bytes CLEANUP(buf_deinit) = {0};
    struct producers p;
    int64_t offset = 0;
    size_t at = 0;
    int r = cmd_dump_read(d, path, &bytes);
    if (r != 0)
        return r;
    producers_init(&p, 1, SIZE_MAX);
    if (producers_load(&p, buf_slice(&bytes), &offset) != 0) {
        d->damaged = true;
        (void)printf("DAMAGED  snapshot\n");
    }
    for (const struct producers_entry *e = map_next(&p.map, &at); e != NULL;
         e = map_next(&p.map, &at))
        out_json(json_pack(
            "{s:I, s:i, s:i, s:I, s:I}", "producer_id", (json_int_t)e->id, "producer_epoch",
            e->epoch, "last_sequence", e->count > 0 ? e->batches[e->count - 1].last_sequence : -1,
            "last_offset", (json_int_t)(e->count > 0 ? e->batches[e->count - 1].base_offset : -1),
            "last_ms", (json_int_t)e->last_ms));
    producers_deinit(&p);
    return 0;
}

/* --- what the operand is --- */

static int cmd_dump_segment(struct cmd_dump *d, const char *dir, int64_t base)
{
    struct buf path CLEANUP(buf_deinit) = {0}, times CLEANUP(buf_deinit) = {0};
    if (d->what != CMD_DUMP_INDEX)
        return walk_segment(d->io, dir, base, cmd_dump_item, d);
    state_segment_path(&path, dir, base, "index");
    int r = cmd_dump_index_file(d, (const char *)path.p, base, false);
    state_segment_path(&times, dir, base, "timeindex");
    if (r == 0 || r == -ENOENT)
        r = cmd_dump_index_file(d, (const char *)times.p, base, true);
    return r == -ENOENT ? 0 : r;
}

static int cmd_dump_base(void *ctx, const char *name, enum io_kind kind)
{
    struct buf *bases = ctx;
    int64_t base = state_parse_name(name, "log");
    if (kind == IO_KIND_FILE && base >= 0)
        buf_append(bases, &base, sizeof base);
    return 0;
}

static int cmd_dump_compare(const void *a, const void *b)
{
    int64_t x = (int64_t)bytes_le64(a), y = (int64_t)bytes_le64(b);
    return (x > y) - (x < y);
}

static int cmd_dump_folder(struct cmd_dump *d, const char *dir)
{
    struct buf bases CLEANUP(buf_deinit) = {0};
    int r = io_list(d->io, dir, cmd_dump_base, &bases);
    if (r == 0 && bases.size == 0)
        return -ENODATA;
    if (bases.size > 0)
        qsort(bases.p, bases.size / sizeof(int64_t), sizeof(int64_t), cmd_dump_compare);
    for (size_t at = 0; r == 0 && at < bases.size; at += sizeof(int64_t)) {
        bool more = at + sizeof(int64_t) < bases.size;
        int64_t next = more ? (int64_t)bytes_le64(bases.p + at + sizeof(int64_t)) : INT64_MAX;
        if (next > d->from)
            r = cmd_dump_segment(d, dir, (int64_t)bytes_le64(bases.p + at));
    }
    return r == IO_MISSING ? -ENOENT : r;
}

static int cmd_dump_file(struct cmd_dump *d, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    struct buf dir CLEANUP(buf_deinit) = {0};
    buf_printf(&dir, "%.*s", slash != NULL ? (int)(slash - path) : 1, slash != NULL ? path : ".");
    int64_t log = state_parse_name(name, "log"), index = state_parse_name(name, "index");
    int64_t times = state_parse_name(name, "timeindex");
    if (log >= 0)
        return cmd_dump_segment(d, (const char *)dir.p, log);
    if (index >= 0)
        return cmd_dump_index_file(d, path, index, false);
    if (times >= 0)
        return cmd_dump_index_file(d, path, times, true);
    if (state_parse_name(name, "snapshot") >= 0)
        return cmd_dump_snapshot(d, path);
    if (strcmp(name, "state") == 0)
        return cmd_dump_state(d, path);
    return -ENOTSUP;
}

static int cmd_dump_any(struct cmd_dump *d, const char *path)
{
    int r = cmd_dump_folder(d, path);
    return r == -ENOTDIR ? cmd_dump_file(d, path) : r;
}

static int cmd_dump_failed(const struct cmd_dump *d, const char *path, int r)
{
    const struct out *o = &d->a->out;
    if (r == -ENODATA || r == -ENOTSUP) {
        out_error(o, "cannot dump %s: %s", path,
                  r == -ENODATA ? "no segments in this folder" : "no file of a partition");
        out_hint(o,
                 "name a partition folder (orders-0), or a .log, .index, .timeindex, .snapshot or "
                 "state file in one");
        return CMD_MISSING;
    }
    out_error(o, "cannot dump %s: %s", path, error_text(r));
    return r == -ENOENT ? CMD_MISSING : CMD_FAILED;
}

int cmd_dump(struct args *a, int argc, char **argv)
{
    struct cmd_dump d = {.a = a};
    int first = 0;
    int r = args_parse(&cmd_dump_page, a, argc, argv, cmd_dump_take, &d, &first);
    if (r != 0)
        return cmd_args(r);
    if (argc - first != 1)
        return cmd_args(args_usage(&cmd_dump_page, a, "dump takes one file or folder"));
    guard_install();
    d.io = io_real_new();
    r = cmd_dump_any(&d, argv[first]);
    int code = r != 0      ? cmd_dump_failed(&d, argv[first], r > 0 ? -ENOENT : r)
               : d.damaged ? CMD_DAMAGED
                           : CMD_DONE;
    io_real_free(d.io);
    buf_deinit(&d.scratch);
    buf_deinit(&d.text);
    return code;
}
