/* SPDX-License-Identifier: MIT
 *
 * cmd_produce: `kauri produce`: lines, files or JSON envelopes become records.
 *
 *   input_next -> line, file or envelope -> kauri_send -> ... -> delivered (counts, first error)
 *
 * Everything happens in one thread: before a read would wait, and while the client's buffer is
 * full, the client is polled, so that records leave while somebody types. Ctrl-C stops the
 * reading, what was read is still flushed; a second one stops at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "cli/cmd.h"
#include "cli/envelope.h"
#include "cli/input.h"
#include "cli/signals.h"
#include "cli/value.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/clock.h"

#define CMD_PRODUCE_HEADERS_MAX 64
#define CMD_PRODUCE_ERRORS_MAX  10 /* told one by one */
#define CMD_PRODUCE_POLL_EVERY  64 /* records between two polls of the client */

enum {
    CMD_PRODUCE_ACKS = ARGS_LONG,
    CMD_PRODUCE_RATE,
    CMD_PRODUCE_TEE,
    CMD_PRODUCE_LINGER,
    CMD_PRODUCE_BATCH,
};

struct cmd_produce_part {
    uint64_t count;
    int64_t first;
    int64_t last;
};

struct cmd_produce {
    const struct args *a;
    struct cmd_client c;
    struct kauri_options options;
    const char *topic;
    /* from the options */
    struct buf key_sep;
    struct buf delim;
    const char *key;
    struct kauri_header headers[CMD_PRODUCE_HEADERS_MAX];
    size_t header_count;
    int32_t partition;
    bool empty_is_null;
    bool lines;
    bool tee;
    double rate; /* 0: as fast as it goes */
    /* the run */
    int signal_fd;
    int signal; /* that came */
    bool known; /* the topic is there */
    bool created;
    int32_t partitions;
    uint64_t read;
    uint64_t sent; /* taken by the client */
    uint64_t done;
    uint64_t failed;
    int code; /* exit code of the first failure */
    int64_t start_us;
    int64_t progress_ms;
    uint64_t total;                 /* bytes of a regular file, else 0 */
    struct cmd_produce_part *parts; /* owned */
    size_t part_count;
    struct envelope envelope;
};

/* --- results -------------------------------------------------------------------------------- */

static void cmd_produce_count(struct cmd_produce *p, int32_t partition, int64_t offset)
{
    ASSERT(partition >= 0);
    if ((size_t)partition >= p->part_count) {
        size_t count = (size_t)partition + 1;
        size_t size = count * sizeof p->parts[0];
        p->parts = assert_memory(realloc(p->parts, size), size);
        memset(&p->parts[p->part_count], 0, (count - p->part_count) * sizeof p->parts[0]);
        p->part_count = count;
    }
    struct cmd_produce_part *part = &p->parts[partition];
    if (part->count++ == 0 || offset < part->first)
        part->first = offset;
    if (offset > part->last || part->count == 1)
        part->last = offset;
}

static void cmd_produce_failed(struct cmd_produce *p, int error, const char *message)
{
    if (p->failed <= CMD_PRODUCE_ERRORS_MAX)
        out_error(&p->a->out, "a record was not written to \"%s\": %s", p->topic, message);
    if (p->failed++ > 0)
        return;
    p->code = cmd_exit_of(error);
    if (error == KAURI_BAD_ARGUMENT) /* only an envelope can be */
        out_hint(&p->a->out, "kauri help json");
    else
        cmd_hint(p->a, error, p->topic);
}

static void cmd_produce_delivered(void *ctx, const struct kauri_record *r, int error,
                                  const char *message)
{
    struct cmd_produce *p = ctx;
    if (error != 0) {
        cmd_produce_failed(
            p, error, message != NULL && message[0] != '\0' ? message : kauri_error_text(error));
        return;
    }
    p->done++;
    cmd_produce_count(p, r->partition, r->offset);
}

static void cmd_produce_where(const struct cmd_produce *p, struct buf *out)
{
    size_t used = 0;
    const struct cmd_produce_part *only = NULL;
    for (size_t i = 0; i < p->part_count; i++) {
        if (p->parts[i].count == 0)
            continue;
        only = &p->parts[i];
        used++;
    }
    if (used != 1) {
        buf_printf(out, "%zu partitions", used);
        return;
    }
    buf_printf(out, "partition %d", (int)(only - p->parts));
    if (p->options.acks == KAURI_ACKS_NONE)
        buf_printf(out, ", not acknowledged");
    else if (only->count == 1)
        buf_printf(out, ", offset %" PRId64, only->first);
    else
        buf_printf(out, ", offsets %" PRId64 " to %" PRId64, only->first, only->last);
}

/* `1 record to greetings (created, 1 partition): partition 0, offset 0` */
static void cmd_produce_report(const struct cmd_produce *p)
{
    struct buf where CLEANUP(buf_deinit) = {0};
    char created[64] = "";
    if (p->a->out.quiet)
        return;
    if (p->created)
        (void)snprintf(created, sizeof created, " (created, %d partition%s)", p->partitions,
                       p->partitions == 1 ? "" : "s");
    if (p->done > 0)
        cmd_produce_where(p, &where);
    (void)fflush(stdout);
    (void)fprintf(p->tee ? stderr : stdout, "%" PRIu64 " record%s to %s%s%s%.*s\n", p->done,
                  p->done == 1 ? "" : "s", p->topic, created, where.size > 0 ? ": " : "",
                  (int)where.size, where.size > 0 ? (const char *)where.p : "");
}

static int cmd_produce_exit(const struct cmd_produce *p)
{
    if (p->failed > 0)
        out_error(&p->a->out, "%" PRIu64 " of %" PRIu64 " records were not written to \"%s\"",
                  p->failed, p->failed + p->done, p->topic);
    if (p->signal != 0)
        return CMD_SIGNAL + p->signal;
    if (p->code != 0 && p->done > 0)
        return CMD_PARTLY;
    return p->code;
}

/* --- sending -------------------------------------------------------------------------------- */

static void cmd_produce_topic(void *ctx, const struct kauri_topic *t)
{
    struct cmd_produce *p = ctx;
    p->known = true;
    p->partitions = t->partition_count;
}

/* Looks the topic up; with `create` makes it when the broker does so. 0 or an exit code. */
static int cmd_produce_find(struct cmd_produce *p, bool create)
{
    int error =
        kauri_topics(p->c.k, p->topic, create ? KAURI_AUTO_CREATE : 0, cmd_produce_topic, p);
    if (error == 0) {
        p->created = create;
        return CMD_DONE;
    }
    if (error == KAURI_UNKNOWN_TOPIC && !create)
        return CMD_DONE;
    return cmd_fail(p->a, &p->c, error, p->topic);
}

static bool cmd_produce_stopped(struct cmd_produce *p)
{
    if (p->signal == 0)
        p->signal = signals_taken(p->signal_fd);
    return p->signal != 0;
}

/* Sleeps, with the client at work, until the next record is due. */
static void cmd_produce_pace(struct cmd_produce *p)
{
    const struct clock *clock = clock_real();
    if (p->rate <= 0)
        return;
    for (;;) {
        double due_us = (double)p->sent * 1e6 / p->rate;
        double left_us = due_us - (double)(clock->mono_us(clock) - p->start_us);
        if (left_us <= 0 || cmd_produce_stopped(p))
            return;
        if (kauri_outstanding(p->c.k) > 0) {
            (void)kauri_poll(p->c.k, left_us > 2000 ? 2 : 1);
        } else {
            int64_t ns = left_us > 1e5 ? 100000000 : (int64_t)(left_us * 1000);
            (void)nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
        }
    }
}

/* 0, or an exit code that ends the run. A record that cannot be taken is counted and passed
 * over. */
static int cmd_produce_send(struct cmd_produce *p, const struct kauri_record *r)
{
    if (!p->known) {
        int code = cmd_produce_find(p, true);
        if (code != 0)
            return code;
    }
    cmd_produce_pace(p);
    for (;;) {
        int error = kauri_send(p->c.k, r);
        if (error == KAURI_NO_SERVER || error == KAURI_VERSION || error < 0)
            return cmd_fail(p->a, &p->c, error, p->topic);
        if (error == 0)
            p->sent++;
        else if (error != KAURI_AGAIN)
            cmd_produce_failed(p, error, kauri_message(p->c.k));
        if (error != KAURI_AGAIN)
            break;
        (void)kauri_poll(p->c.k, 50);
        if (cmd_produce_stopped(p))
            return CMD_DONE;
    }
    if (p->sent % CMD_PRODUCE_POLL_EVERY == 0)
        (void)kauri_poll(p->c.k, 0);
    return CMD_DONE;
}

static int cmd_produce_line(struct cmd_produce *p, struct slice line)
{
    struct kauri_record r = {.topic = p->topic,
                             .partition = p->partition,
                             .timestamp_ms = -1,
                             .headers = p->headers,
                             .header_count = p->header_count,
                             .key = p->key,
                             .key_size = p->key != NULL ? strlen(p->key) : 0};
    const uint8_t *sep = p->key_sep.size == 0 || line.size == 0
                             ? NULL
                             : memmem(line.p, line.size, p->key_sep.p, p->key_sep.size);
    if (sep != NULL) {
        size_t key_size = (size_t)(sep - line.p);
        r.key = line.p;
        r.key_size = key_size;
        line = slice_of(sep + p->key_sep.size, line.size - key_size - p->key_sep.size);
    }
    if (line.size > 0 || !p->empty_is_null)
        r.value = line.p;
    r.value_size = line.size;
    return cmd_produce_send(p, &r);
}

static int cmd_produce_envelope(struct cmd_produce *p, struct slice line)
{
    char why[256] = "";
    if (line.size == 0)
        return CMD_DONE;
    if (envelope_parse(line, &p->envelope, why) != 0) {
        char message[320];
        (void)snprintf(message, sizeof message, "line %" PRIu64 ": %s", p->read, why);
        cmd_produce_failed(p, KAURI_BAD_ARGUMENT, message);
        return CMD_DONE;
    }
    p->envelope.record.topic = p->topic;
    if (p->partition >= 0)
        p->envelope.record.partition = p->partition;
    return cmd_produce_send(p, &p->envelope.record);
}

/* --- reading -------------------------------------------------------------------------------- */

/* Keeps the client at work until fd is readable; nonzero after a signal. */
static int cmd_produce_wait(void *ctx, int fd)
{
    struct cmd_produce *p = ctx;
    for (;;) {
        struct pollfd fds[2] = {{.fd = fd, .events = POLLIN},
                                {.fd = p->signal_fd, .events = POLLIN}};
        bool busy = kauri_outstanding(p->c.k) > 0;
        int ready = poll(fds, 2, busy ? 0 : -1);
        if (cmd_produce_stopped(p))
            return 1;
        if (ready > 0 && fds[0].revents != 0)
            return 0;
        if (busy)
            (void)kauri_poll(p->c.k, 5);
    }
}

static void cmd_produce_echo(const struct cmd_produce *p, struct slice record)
{
    if (!p->tee)
        return;
    (void)fwrite(record.p, 1, record.size, stdout);
    (void)fwrite(p->delim.p, 1, p->delim.size, stdout);
}

/* 0 or an exit code. */
static int cmd_produce_stream(struct cmd_produce *p, struct input *in, const char *name)
{
    int code = CMD_DONE;
    int r = 0;
    while (code == CMD_DONE && !cmd_produce_stopped(p)) {
        struct slice record;
        r = input_next(in, &record);
        if (r != 0)
            break;
        p->read++;
        cmd_produce_echo(p, record);
        code = p->a->json ? cmd_produce_envelope(p, record) : cmd_produce_line(p, record);
        out_progress(&p->a->out, &p->progress_ms, name, in->taken, p->total);
    }
    if (r == INPUT_TOO_LARGE) {
        out_error(&p->a->out, "record %" PRIu64 " of \"%s\" is larger than 64 MiB", p->read + 1,
                  name);
        out_hint(&p->a->out, "is the delimiter right? -D '\\n'");
        code = CMD_FAILED;
    } else if (r < 0) {
        out_error(&p->a->out, "cannot read \"%s\": %s", name, error_text(r));
        code = CMD_FAILED;
    }
    return code;
}

static int cmd_produce_file(struct cmd_produce *p, const char *path, bool whole)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd CLEANUP(cleanup_fd) = is_stdin ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 && !is_stdin) {
        out_error(&p->a->out, "cannot read \"%s\": %s", path, error_text(errno));
        return errno == ENOENT ? CMD_MISSING : CMD_FAILED;
    }
    struct input in = {.fd = is_stdin ? STDIN_FILENO : fd,
                       .delim = whole && !is_stdin ? SLICE_NULL : buf_slice(&p->delim),
                       .wait = cmd_produce_wait,
                       .ctx = p};
    p->progress_ms = 0;
    p->total = fstat(in.fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    int code = cmd_produce_stream(p, &in, is_stdin ? "stdin" : path);
    input_deinit(&in);
    return code;
}

/* Waits for what is in flight, as long as the client may try; a signal more ends it at once. */
static void cmd_produce_flush(struct cmd_produce *p)
{
    const struct clock *clock = clock_real();
    int64_t limit_ms = p->options.delivery_timeout_ms > 0 ? p->options.delivery_timeout_ms : 120000;
    int64_t until = clock->mono_ms(clock) + limit_ms + 1000;
    int r = 0;
    do {
        r = kauri_flush(p->c.k, 200);
        int more = signals_taken(p->signal_fd);
        if (more != 0 && p->signal != 0)
            break;
        if (more != 0)
            p->signal = more;
    } while (r != 0 && clock->mono_ms(clock) < until);
    size_t left = kauri_outstanding(p->c.k);
    if (left == 0)
        return;
    out_error(&p->a->out, "%zu records were not acknowledged: they may be written or not", left);
    p->failed += left;
    if (p->code == 0)
        p->code = CMD_NO_SERVER;
}

static int cmd_produce_run(struct cmd_produce *p, char **files, int count)
{
    const struct clock *clock = clock_real();
    int code = cmd_open(p->a, &p->options, &p->c);
    if (code != 0)
        return code;
    p->signal_fd = signals_open();
    p->start_us = clock->mono_us(clock);
    code = cmd_produce_find(p, false);
    for (int i = 0; code == 0 && p->signal == 0 && i < count; i++)
        code = cmd_produce_file(p, files[i], !p->lines && !p->a->json);
    if (code == 0 && count == 0)
        code = cmd_produce_file(p, "-", false);
    if (p->sent > 0)
        cmd_produce_flush(p);
    if (code != 0 && p->code == 0)
        p->code = code;
    if (p->code == 0 || p->done > 0)
        cmd_produce_report(p);
    (void)close(p->signal_fd);
    return cmd_produce_exit(p);
}

/* --- options -------------------------------------------------------------------------------- */

static const char *cmd_produce_codec(struct cmd_produce *p, const char *value)
{
    static const char *const names[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(value, names[i]) != 0)
            continue;
        p->options.codec = (enum kauri_codec)i;
        return NULL;
    }
    return "none, gzip, snappy, lz4 or zstd";
}

static const char *cmd_produce_acks(struct cmd_produce *p, const char *value)
{
    if (strcmp(value, "all") == 0 || strcmp(value, "-1") == 0)
        p->options.acks = KAURI_ACKS_ALL;
    else if (strcmp(value, "1") == 0)
        p->options.acks = KAURI_ACKS_LEADER;
    else if (strcmp(value, "0") == 0)
        p->options.acks = KAURI_ACKS_NONE;
    else
        return "0, 1 or all";
    return NULL;
}

static const char *cmd_produce_header(struct cmd_produce *p, const char *value)
{
    if (p->header_count == CMD_PRODUCE_HEADERS_MAX)
        return "at most 64 headers";
    const char *equal = strchr(value, '=');
    struct kauri_header *h = &p->headers[p->header_count++];
    h->name = value;
    h->name_size = equal != NULL ? (size_t)(equal - value) : strlen(value);
    h->value = equal != NULL ? equal + 1 : NULL;
    h->value_size = equal != NULL ? strlen(equal + 1) : 0;
    return NULL;
}

static const char *cmd_produce_separator(struct buf *out, const char *value)
{
    buf_reset(out);
    return value_unescape(value, out) && out->size > 0 ? NULL : "text, such as : or \\t or \\x1e";
}

static const char *cmd_produce_tuning(struct cmd_produce *p, int key, const char *value)
{
    int64_t ms = 0;
    uint64_t size = 0;
    switch (key) {
    case CMD_PRODUCE_RATE:
        return value_rate(value, &p->rate) ? NULL : "a rate, such as 100/s";
    case CMD_PRODUCE_LINGER:
        if (!value_duration(value, &ms) || ms > 60000)
            return "a time up to 60s";
        p->options.linger_ms = ms == 0 ? UINT32_MAX : (uint32_t)ms;
        return NULL;
    case CMD_PRODUCE_BATCH:
        if (!value_size(value, &size) || size == 0 || size > INT32_MAX)
            return "a size, such as 64K";
        p->options.batch_size = size;
        return NULL;
    }
    return NULL;
}

static const char *cmd_produce_take(void *ctx, int key, const char *value)
{
    struct cmd_produce *p = ctx;
    uint64_t number = 0;
    switch (key) {
    case 'K':
        return cmd_produce_separator(&p->key_sep, value);
    case 'D':
        return cmd_produce_separator(&p->delim, value);
    case 'k':
        p->key = value;
        return NULL;
    case 'H':
        return cmd_produce_header(p, value);
    case 'z':
        return cmd_produce_codec(p, value);
    case 'p':
        if (!value_u64(value, INT32_MAX, &number))
            return "a partition's number";
        p->partition = (int32_t)number;
        return NULL;
    case 'Z':
        p->empty_is_null = true;
        return NULL;
    case 'l':
        p->lines = true;
        return NULL;
    case CMD_PRODUCE_ACKS:
        return cmd_produce_acks(p, value);
    case CMD_PRODUCE_TEE:
        p->tee = true;
        return NULL;
    }
    return cmd_produce_tuning(p, key, value);
}

static const struct args_row cmd_produce_rows[] = {
    {'K', "key-separator", "SEP", "what stands before SEP in a line is the key"},
    {'D', "delimiter", "SEP", "what ends a record, default \\n"},
    {'k', "key", "KEY", "the key of every record"},
    {'H', "header", "N=V", "a header of every record, repeatable; N alone: null"},
    {'z', "compress", "CODEC", "none, gzip, snappy, lz4 or zstd"},
    {'p', "partition", "N", "to this partition; default by key, else in turn"},
    {'Z', "null", NULL, "an empty value is null: a tombstone"},
    {'l', "lines", NULL, "each line of the FILEs is a record; else each FILE is one"},
    {CMD_PRODUCE_ACKS, "acks", "N", "0, 1 or all (kauri help acks)"},
    {CMD_PRODUCE_RATE, "rate", "N/s", "at most so many records a second"},
    {CMD_PRODUCE_TEE, "tee", NULL, "copy the input to stdout"},
    {CMD_PRODUCE_LINGER, "linger", "TIME", "wait for more records in a batch, default 5ms"},
    {CMD_PRODUCE_BATCH, "batch-size", "SIZE", "bytes of a batch, default 64K"},
};

static const struct args_page cmd_produce_page = {
    .command = "produce",
    .usage = "TOPIC [FILE...]",
    .about =
        "Writes records: the lines of stdin, or files. An empty line is a record with an empty\n"
        "value. With --json each line is an envelope (kauri help json). Exits when all is\n"
        "acknowledged; not 0 if a record was not written.",
    ARGS_ROWS(cmd_produce_rows),
    .examples = "  echo hello | kauri produce greetings\n"
                "  echo 'k1:v1' | kauri produce orders -K : -z zstd\n"
                "  kauri produce logs -l /var/log/syslog --rate 1000/s\n",
};

static void cmd_produce_deinit(struct cmd_produce *p)
{
    cmd_close(&p->c);
    buf_deinit(&p->key_sep);
    buf_deinit(&p->delim);
    envelope_deinit(&p->envelope);
    free(p->parts);
}

int cmd_produce(struct args *a, int argc, char **argv)
{
    struct cmd_produce p CLEANUP(cmd_produce_deinit) = {.a = a, .partition = -1, .signal_fd = -1};
    int first = 0;
    buf_append_u8(&p.delim, '\n');
    int r = args_parse(&cmd_produce_page, a, argc, argv, cmd_produce_take, &p, &first);
    if (r == 0 && first == argc)
        r = args_usage(&cmd_produce_page, a, "which topic?");
    if (r != 0)
        return cmd_args(r);
    p.topic = argv[first];
    p.options.delivery_timeout_ms = a->timeout_ms;
    p.options.delivered = cmd_produce_delivered;
    p.options.ctx = &p;
    if (a->dry_run) {
        out_error(&a->out, "produce has no dry run");
        return CMD_USAGE;
    }
    return cmd_produce_run(&p, argv + first + 1, argc - first - 1);
}
