/* SPDX-License-Identifier: MIT
 *
 * cmd_consume: `kauri consume`: reads records of topics and prints them.
 *
 *   resolve (-o per partition) -> kauri_assign ... -> kauri_next -> print -> done?
 *   -g: kauri_subscribe -> assigned, revoked ... -> kauri_next -> print -> commit -> done? -> leave
 *
 * In a group what was written to stdout is committed, every CMD_CONSUME_COMMIT_MS, before a
 * partition is given up, and at the end; never what is only gathered: a crash repeats lines and
 * loses none.
 *
 * The run ends when -n records are out, when every partition reached its end (-e) or the second
 * time of a span, on a signal (after flushing what was printed), or when nobody reads stdout any
 * more, which is no error. Output is buffered and flushed whenever the next record has to be
 * waited for.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/envelope.h"
#include "cli/format.h"
#include "cli/signals.h"
#include "cli/value.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/base/clock.h"

#define CMD_CONSUME_WAIT_MS   200
#define CMD_CONSUME_SIGNALS   256 /* records between two looks for a signal */
#define CMD_CONSUME_COMMIT_MS 1000
#define CMD_CONSUME_FLUSH_MAX ((size_t)64 * 1024)

struct cmd_consume_part {
    const char *topic; /* borrowed from argv or `name` */
    char *name;        /* owned; of a group's partition */
    int32_t partition;
    int64_t stop; /* first offset not wanted; INT64_MAX: none */
    bool done;
};

struct cmd_consume {
    const struct args *a;
    struct cmd_client c;
    struct value_span span;
    int32_t partition;  /* -1: all */
    uint64_t count_max; /* UINT64_MAX: no limit */
    bool exit_at_end;
    const char *group; /* NULL: partitions by hand */
    bool placed;       /* -o was given */
    struct format format;
    char why[256];
    /* the run */
    int signal_fd;
    int signal;                     /* that ends it; 0 */
    struct cmd_consume_part *parts; /* owned */
    size_t part_count;
    size_t open; /* parts that are not done */
    uint64_t printed;
    struct buf out;
    bool closed;        /* nobody reads stdout */
    bool dropped;       /* what was gathered did not get out: it is not committed */
    int64_t commit_ms;  /* when the next commit is due */
    uint64_t committed; /* of `printed` */
    bool warned;        /* that the broker is away */
    int code;
};

/* --- where to begin ------------------------------------------------------------------------- */

static void cmd_consume_partitions(void *ctx, const struct kauri_topic *t)
{
    *(int32_t *)ctx = t->partition_count;
}

/* The offset where -o puts the partition. 0 or a kauri_error. */
static int cmd_consume_begin(struct cmd_consume *m, const char *topic, int32_t partition,
                             int64_t *offset)
{
    int64_t end = 0;
    int64_t start = 0;
    switch (m->span.place) {
    case VALUE_START:
        *offset = KAURI_OFFSET_START;
        return 0;
    case VALUE_END:
        return kauri_offset(m->c.k, topic, partition, KAURI_OFFSET_END, offset);
    case VALUE_OFFSET:
        *offset = m->span.number;
        return 0;
    case VALUE_LAST: {
        int r = kauri_offset(m->c.k, topic, partition, KAURI_OFFSET_END, &end);
        if (r == 0)
            r = kauri_offset(m->c.k, topic, partition, KAURI_OFFSET_START, &start);
        *offset = end - start > m->span.number ? end - m->span.number : start;
        return r;
    }
    case VALUE_TIME: {
        int r =
            kauri_offset(m->c.k, topic, partition, m->span.number < 0 ? 0 : m->span.number, offset);
        if (r == 0 && *offset < 0)
            r = kauri_offset(m->c.k, topic, partition, KAURI_OFFSET_END, offset);
        return r;
    }
    }
    return KAURI_BAD_ARGUMENT;
}

/* The first offset that a bounded span does not want any more. */
static int cmd_consume_stop(struct cmd_consume *m, const char *topic, int32_t partition,
                            int64_t *stop)
{
    *stop = INT64_MAX;
    if (!m->span.bounded)
        return 0;
    int r = kauri_offset(m->c.k, topic, partition, m->span.stop_ms < 0 ? 0 : m->span.stop_ms, stop);
    if (r == 0 && *stop < 0)
        r = kauri_offset(m->c.k, topic, partition, KAURI_OFFSET_END, stop);
    return r;
}

static int cmd_consume_add(struct cmd_consume *m, const char *topic, int32_t partition)
{
    int64_t offset = 0;
    int64_t stop = INT64_MAX;
    int error = cmd_consume_begin(m, topic, partition, &offset);
    if (error == 0)
        error = cmd_consume_stop(m, topic, partition, &stop);
    if (error != 0)
        return cmd_fail(m->a, &m->c, error, topic);
    if (offset >= 0 && offset >= stop)
        return CMD_DONE;
    error = kauri_assign(m->c.k, topic, partition, offset);
    if (error != 0)
        return cmd_fail(m->a, &m->c, error, topic);
    size_t size = (m->part_count + 1) * sizeof m->parts[0];
    m->parts = assert_memory(realloc(m->parts, size), size);
    m->parts[m->part_count++] =
        (struct cmd_consume_part){.topic = topic, .partition = partition, .stop = stop};
    m->open++;
    return CMD_DONE;
}

static int cmd_consume_topic(struct cmd_consume *m, const char *topic)
{
    int32_t count = 0;
    int error = kauri_topics(m->c.k, topic, 0, cmd_consume_partitions, &count);
    if (error != 0)
        return cmd_fail(m->a, &m->c, error, topic);
    if (m->partition >= count) {
        out_error(&m->a->out, "topic \"%s\" has no partition %d: it has %d", topic, m->partition,
                  count);
        return CMD_MISSING;
    }
    int code = CMD_DONE;
    if (m->partition >= 0)
        return cmd_consume_add(m, topic, m->partition);
    for (int32_t i = 0; code == CMD_DONE && i < count; i++)
        code = cmd_consume_add(m, topic, i);
    return code;
}

/* --- printing ------------------------------------------------------------------------------- */

/* True when stdout takes PIPE_BUF bytes; waits for that, but for no longer than a signal comes. */
static bool cmd_consume_room(struct cmd_consume *m)
{
    struct pollfd fds[2] = {{.fd = STDOUT_FILENO, .events = POLLOUT},
                            {.fd = m->signal_fd, .events = POLLIN}};
    while (m->signal == 0) {
        if (poll(fds, 2, -1) > 0 && fds[0].revents != 0)
            return true;
        m->signal = signals_taken(m->signal_fd);
    }
    return poll(fds, 1, 0) > 0;
}

/* Writes what is gathered, as far as no signal ends it. */
static void cmd_consume_flush(struct cmd_consume *m)
{
    size_t pos = 0;
    while (pos < m->out.size && !m->closed && cmd_consume_room(m)) {
        size_t left = m->out.size - pos;
        ssize_t wrote = write(STDOUT_FILENO, m->out.p + pos, left < PIPE_BUF ? left : PIPE_BUF);
        if (wrote >= 0) {
            pos += (size_t)wrote;
        } else if (errno != EINTR) {
            m->closed = true;
            if (errno == EPIPE)
                break;
            out_error(&m->a->out, "cannot write to stdout: %s", error_text(errno));
            m->code = CMD_FAILED;
        }
    }
    m->dropped = m->dropped || pos < m->out.size;
    buf_reset(&m->out);
}

static void cmd_consume_print(struct cmd_consume *m, const struct kauri_record *r)
{
    if (m->a->json) {
        json_t *object = envelope_of(r);
        char *text CLEANUP(cleanup_free) = json_dumps(object, JSON_COMPACT);
        ASSERT(text != NULL);
        buf_append(&m->out, text, strlen(text));
        buf_append_u8(&m->out, '\n');
        json_decref(object);
    } else if (m->format.count > 0) {
        format_run(&m->format, r, &m->out);
    } else {
        if (r->value_size > 0)
            buf_append(&m->out, r->value, r->value_size);
        buf_append_u8(&m->out, '\n');
    }
    m->printed++;
    if (m->out.size >= CMD_CONSUME_FLUSH_MAX)
        cmd_consume_flush(m);
}

/* --- which partition ------------------------------------------------------------------------ */

static struct cmd_consume_part *cmd_consume_find(struct cmd_consume *m,
                                                 const struct kauri_record *r)
{
    for (size_t i = 0; r->topic != NULL && i < m->part_count; i++)
        if (m->parts[i].partition == r->partition && strcmp(m->parts[i].topic, r->topic) == 0)
            return &m->parts[i];
    return NULL;
}

/* --- in a group ----------------------------------------------------------------------------- */

/* Commits what has been printed. */
static void cmd_consume_commit(struct cmd_consume *m)
{
    cmd_consume_flush(m);
    if (m->dropped || m->committed == m->printed)
        return;
    int error = kauri_commit(m->c.k, NULL, 0);
    if (error == 0)
        m->committed = m->printed;
    else if (error != KAURI_FENCED) /* then others read on from the last commit */
        out_warning(&m->a->out, "not committed: %s", kauri_message(m->c.k));
}

/* The same when it is time for it. */
static void cmd_consume_commit_due(struct cmd_consume *m)
{
    int64_t now_ms = clock_real()->mono_ms(clock_real());
    if (now_ms < m->commit_ms)
        return;
    m->commit_ms = now_ms + CMD_CONSUME_COMMIT_MS;
    cmd_consume_commit(m);
}

static void cmd_consume_assigned(void *ctx, const struct kauri_topic_partition *parts, size_t count)
{
    struct cmd_consume *m = ctx;
    size_t size = (m->part_count + count + 1) * sizeof m->parts[0];
    m->parts = assert_memory(realloc(m->parts, size), size);
    for (size_t i = 0; i < count; i++) {
        char *name = (char *)slice_dup(slice_str(parts[i].topic));
        m->parts[m->part_count++] = (struct cmd_consume_part){
            .topic = name, .name = name, .partition = parts[i].partition, .stop = INT64_MAX};
        m->open++;
    }
    if (m->a->verbose)
        (void)fprintf(stderr, "%zu partition%s assigned\n", count, count == 1 ? "" : "s");
}

static void cmd_consume_lost(void *ctx, const struct kauri_topic_partition *parts, size_t count)
{
    struct cmd_consume *m = ctx;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < m->part_count; j++) {
            struct cmd_consume_part *part = &m->parts[j];
            if (part->partition != parts[i].partition || strcmp(part->topic, parts[i].topic) != 0)
                continue;
            m->open -= !part->done;
            free(part->name);
            *part = m->parts[--m->part_count];
            break;
        }
    if (m->a->verbose)
        (void)fprintf(stderr, "%zu partition%s given up\n", count, count == 1 ? "" : "s");
}

static void cmd_consume_revoked(void *ctx, const struct kauri_topic_partition *parts, size_t count)
{
    cmd_consume_commit(ctx);
    cmd_consume_lost(ctx, parts, count);
}

/* Joins; the topics must be there. An exit code. */
static int cmd_consume_join(struct cmd_consume *m, char **topics, int count)
{
    int32_t partitions = 0;
    for (int i = 0; i < count; i++) {
        int error = kauri_topics(m->c.k, topics[i], 0, cmd_consume_partitions, &partitions);
        if (error != 0)
            return cmd_fail(m->a, &m->c, error, topics[i]);
    }
    int error = kauri_subscribe(m->c.k, &(struct kauri_group_options){
                                            .group = m->group,
                                            .topics = (const char *const *)topics,
                                            .topic_count = (size_t)count,
                                            .auto_commit_interval_ms = UINT32_MAX,
                                            .reset = m->placed && m->span.place == VALUE_START
                                                         ? KAURI_RESET_EARLIEST
                                                         : KAURI_RESET_LATEST,
                                            .assigned = cmd_consume_assigned,
                                            .revoked = cmd_consume_revoked,
                                            .lost = cmd_consume_lost,
                                            .ctx = m,
                                        });
    return error == 0 ? CMD_DONE : cmd_fail(m->a, &m->c, error, NULL);
}

/* --- the run -------------------------------------------------------------------------------- */

static void cmd_consume_finish(struct cmd_consume *m, struct cmd_consume_part *part)
{
    if (part->done)
        return;
    part->done = true;
    ASSERT(m->open > 0);
    m->open--;
    if (m->group == NULL)
        (void)kauri_unassign(m->c.k, part->topic, part->partition);
}

static void cmd_consume_record(struct cmd_consume *m, const struct kauri_record *r)
{
    /* Only a bounded run has to know the partition: a search per record is not for free. */
    struct cmd_consume_part *part = m->span.bounded ? cmd_consume_find(m, r) : NULL;
    if (part != NULL && r->offset >= part->stop) {
        cmd_consume_finish(m, part);
        return;
    }
    cmd_consume_print(m, r);
    if (part != NULL && r->offset + 1 >= part->stop)
        cmd_consume_finish(m, part);
}

static void cmd_consume_at_end(struct cmd_consume *m, const struct kauri_record *r)
{
    struct cmd_consume_part *part = cmd_consume_find(m, r);
    if (part != NULL && (m->exit_at_end || part->stop != INT64_MAX))
        cmd_consume_finish(m, part);
}

static void cmd_consume_range(struct cmd_consume *m, const struct kauri_record *r)
{
    int64_t start = -1;
    int64_t end = -1;
    char topic[256];
    int32_t partition = r->partition;
    int64_t offset = r->offset;
    (void)snprintf(topic, sizeof topic, "%s", r->topic);
    (void)kauri_offset(m->c.k, topic, partition, KAURI_OFFSET_START, &start);
    (void)kauri_offset(m->c.k, topic, partition, KAURI_OFFSET_END, &end);
    if (offset < start)
        out_error(&m->a->out,
                  "offset %" PRId64 " of %s-%d is no longer kept (log starts at %" PRId64 ")",
                  offset, topic, partition, start);
    else
        out_error(&m->a->out,
                  "offset %" PRId64 " of %s-%d does not exist (log ends at %" PRId64 ")", offset,
                  topic, partition, end);
    out_hint(&m->a->out, "-o start, or -o @2026-11-20T18:00");
    m->code = CMD_FAILED;
}

/* Goes on behind the damage; the exit code tells of it. */
static void cmd_consume_damaged(struct cmd_consume *m, const struct kauri_record *r)
{
    int64_t next = kauri_next_good(m->c.k);
    char topic[256];
    int32_t partition = r->partition;
    (void)snprintf(topic, sizeof topic, "%s", r->topic);
    if (next <= r->offset) {
        out_error(&m->a->out, "offset %" PRId64 " of %s-%d is damaged, and nothing good follows",
                  r->offset, topic, partition);
        struct cmd_consume_part *part = cmd_consume_find(m, r);
        if (part != NULL)
            cmd_consume_finish(m, part);
    } else {
        out_warning(&m->a->out, "offsets %" PRId64 " to %" PRId64 " of %s-%d are damaged: left out",
                    r->offset, next - 1, topic, partition);
        if (kauri_seek(m->c.k, topic, partition, next) != 0)
            out_error(&m->a->out, "%s", kauri_message(m->c.k));
    }
    m->code = CMD_DAMAGED;
}

/* 0 to go on, 1 to end. */
static int cmd_consume_event(struct cmd_consume *m, int event, const struct kauri_record *r)
{
    switch (event) {
    case 0:
        cmd_consume_record(m, r);
        m->warned = false;
        return 0;
    case KAURI_AGAIN:
        return 0;
    case KAURI_END:
        cmd_consume_at_end(m, r);
        return 0;
    case KAURI_DAMAGED:
        cmd_consume_flush(m);
        cmd_consume_damaged(m, r);
        return 0;
    case KAURI_OUT_OF_RANGE:
        cmd_consume_flush(m);
        cmd_consume_range(m, r);
        return 1;
    case KAURI_NO_SERVER:
    case KAURI_TIMED_OUT:
        if (m->exit_at_end)
            break;
        if (!m->warned)
            out_warning(&m->a->out, "%s: waiting for the broker", kauri_message(m->c.k));
        m->warned = true;
        return 0;
    default:
        break;
    }
    cmd_consume_flush(m);
    const struct cmd_consume_part *part = cmd_consume_find(m, r);
    m->code = cmd_fail(m->a, &m->c, event, part != NULL ? part->topic : NULL);
    return 1;
}

/* Every partition was read as far as is wanted; in a group, of those it has. */
static bool cmd_consume_over(const struct cmd_consume *m)
{
    return m->open == 0 && (m->group == NULL || (m->part_count > 0 && m->exit_at_end));
}

static void cmd_consume_loop(struct cmd_consume *m)
{
    uint64_t turns = 0;
    while (m->printed < m->count_max && !cmd_consume_over(m) && !m->closed) {
        struct kauri_record r = {0};
        int event = kauri_next(m->c.k, 0, &r);
        if (event == KAURI_AGAIN) {
            cmd_consume_flush(m);
            if (m->group != NULL)
                cmd_consume_commit_due(m);
            event = kauri_next(m->c.k, CMD_CONSUME_WAIT_MS, &r);
        }
        if (m->signal == 0 && (event != 0 || ++turns % CMD_CONSUME_SIGNALS == 0))
            m->signal = signals_taken(m->signal_fd);
        if (cmd_consume_event(m, event, &r) != 0 || m->signal != 0)
            break;
        if (m->group != NULL && turns % CMD_CONSUME_SIGNALS == 0)
            cmd_consume_commit_due(m);
    }
    cmd_consume_flush(m);
    if (m->group != NULL)
        cmd_consume_commit(m);
    if (m->signal != 0)
        m->code = CMD_SIGNAL + m->signal;
}

static int cmd_consume_run(struct cmd_consume *m, char **topics, int count)
{
    struct kauri_options options = {.eof_events = true};
    int code = cmd_open(m->a, &options, &m->c);
    if (code != 0)
        return code;
    for (int i = 0; code == 0 && m->group == NULL && i < count; i++)
        code = cmd_consume_topic(m, topics[i]);
    m->signal_fd = signals_open();
    if (code == 0 && m->group != NULL)
        code = cmd_consume_join(m, topics, count);
    if (code == 0)
        cmd_consume_loop(m);
    if (m->group != NULL)
        (void)kauri_unsubscribe(m->c.k);
    (void)close(m->signal_fd);
    if (code != 0)
        return code;
    if (m->a->verbose)
        (void)fprintf(stderr, "%" PRIu64 " records\n", m->printed);
    return m->code;
}

/* --- options -------------------------------------------------------------------------------- */

static const char *cmd_consume_take(void *ctx, int key, const char *value)
{
    struct cmd_consume *m = ctx;
    const struct clock *clock = clock_real();
    uint64_t number = 0;
    switch (key) {
    case 'g':
        m->group = value;
        return NULL;
    case 'o':
        m->placed = true;
        if (!value_offsets(value, clock->wall_ms(clock), &m->span))
            return "start, end, N, -N, @TIME or @TIME..@TIME (kauri help offsets)";
        return NULL;
    case 'p':
        if (!value_u64(value, INT32_MAX, &number))
            return "a partition's number";
        m->partition = (int32_t)number;
        return NULL;
    case 'n':
        return value_u64(value, UINT64_MAX, &m->count_max) ? NULL : "a number of records";
    case 'e':
        m->exit_at_end = true;
        return NULL;
    case 'Z':
        m->format.null = true;
        return NULL;
    case 'f':
        format_deinit(&m->format);
        return format_compile(value, &m->format, m->why) == 0 ? NULL : m->why;
    }
    return NULL;
}

static const struct args_row cmd_consume_rows[] = {
    {'g', "group", "GROUP", "share the topics with the group's members, and commit"},
    {'o', "offset", "WHERE", "start, end (default), N, -N, @TIME, @TIME..@TIME"},
    {'p', "partition", "N", "only this partition"},
    {'n', "count", "N", "stop after N records"},
    {'e', "exit", NULL, "stop at the end instead of waiting for more"},
    {'f', "format", "FMT", "as in kcat: %t %p %o %k %s ... (kauri help format)"},
    {'Z', "null", NULL, "with -f: print null as NULL"},
};

static const struct args_page cmd_consume_page = {
    .command = "consume",
    .usage = "TOPIC... [-o WHERE] [-g GROUP]",
    .about =
        "Prints records as they come: the value and a newline, or -f, or --json (one envelope a\n"
        "line). Begins at the end of every partition, as kcat does, unless -o says else. With -g "
        "it\n"
        "is a member of a group: it goes on where the group was, and commits what it printed; -o\n"
        "(start or end) then only matters where nothing is committed.",
    ARGS_ROWS(cmd_consume_rows),
    .examples = "  kauri consume greetings -o start -e\n"
                "  kauri consume orders -o -10 -f '%p %o %k: %s\\n'\n"
                "  kauri consume orders -o @2026-11-20T18:00..@2026-11-20T19:00 --json\n"
                "  kauri consume orders -g billing -o start\n",
};

static void cmd_consume_deinit(struct cmd_consume *m)
{
    cmd_close(&m->c);
    format_deinit(&m->format);
    buf_deinit(&m->out);
    for (size_t i = 0; i < m->part_count; i++)
        free(m->parts[i].name);
    free(m->parts);
}

/* What a group decides itself, as what it wants; NULL when all is well. */
static const char *cmd_consume_clash(const struct cmd_consume *m)
{
    if (m->group == NULL)
        return NULL;
    if (m->partition >= 0)
        return "-p and -g exclude each other: the group divides the partitions";
    if (m->placed && m->span.place != VALUE_START && m->span.place != VALUE_END)
        return "with -g, -o is start or end: where to begin without a commit (kauri group seek "
               "moves a group)";
    return NULL;
}

int cmd_consume(struct args *a, int argc, char **argv)
{
    struct cmd_consume m CLEANUP(cmd_consume_deinit) = {.a = a,
                                                        .span = {.place = VALUE_END},
                                                        .partition = -1,
                                                        .count_max = UINT64_MAX,
                                                        .signal_fd = -1};
    int first = 0;
    int r = args_parse(&cmd_consume_page, a, argc, argv, cmd_consume_take, &m, &first);
    if (r == 0 && first == argc)
        r = args_usage(&cmd_consume_page, a, "which topic?");
    if (r == 0 && cmd_consume_clash(&m) != NULL)
        r = args_usage(&cmd_consume_page, a, cmd_consume_clash(&m));
    if (r != 0)
        return cmd_args(r);
    return cmd_consume_run(&m, argv + first, argc - first);
}
