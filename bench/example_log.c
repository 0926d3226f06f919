/* SPDX-License-Identifier: MIT
 *
 * example_log: all of engine/store/log.h in one small program, a log in a folder:
 *
 *   printf 'one\ntwo\n' | example_log FOLDER append      each line of the input becomes a record
 *   printf 'a\nb\n' | example_log FOLDER batch 7 0       all lines become one batch, of producer 7
 *                                                        from its sequence number 0 on; sent twice
 *                                                        it is stored once
 *   example_log FOLDER read [OFFSET]                     prints records: offset, timestamp, value
 *   example_log FOLDER since MILLISECONDS                the first record of that time or later
 *   example_log FOLDER trim OFFSET                       forgets the records below
 *   example_log FOLDER cut OFFSET                        forgets the records from there on
 *
 * Every call of the log gives 0, a condition (> 0, named in the headers) or -errno. After -errno of
 * a sync nobody knows what the disk holds: close, open again, look at log_end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/store/log.h"

#define EXAMPLE_READ_SIZE   ((size_t)1 << 20)
#define EXAMPLE_INFLATE_MAX ((size_t)16 << 20)

/* What the command line asks for. */
struct example {
    struct log *log;
    int64_t first; /* the command's numbers */
    int64_t second;
    int64_t now_ms; /* the log reads no clock: time comes from its user */
};

static int64_t example_now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* The next line of the input without its end; false when there is none. */
static bool example_line(char **line, size_t *cap, struct slice *out)
{
    ssize_t size = getline(line, cap, stdin);
    if (size <= 0)
        return false;
    *out = slice_of(*line, (size_t)size - ((*line)[size - 1] == '\n'));
    return true;
}

/* Appends are queued: one sync writes all of them and returns when the disk has them. */
static int example_append(const struct example *e)
{
    char *line CLEANUP(cleanup_free) = NULL;
    size_t cap = 0;
    struct slice value;
    int64_t from = log_end(e->log);
    while (example_line(&line, &cap, &value)) {
        int r = log_append_record(e->log, e->now_ms, SLICE_NULL, value, NULL);
        if (r != 0)
            return r;
    }
    int r = log_sync(e->log, e->now_ms);
    if (r == 0)
        (void)printf("records stored: %lld\n", (long long)(log_end(e->log) - from));
    return r;
}

/* The lines of the input as one batch; 0 records: nothing is built. */
static int32_t example_build(const struct example *e, struct buf *out)
{
    char *line CLEANUP(cleanup_free) = NULL;
    size_t cap = 0;
    struct slice value;
    struct batch_build build;
    struct batch_build_options o = batch_build_plain();
    o.codec = CODEC_LZ4;
    o.producer_id = e->first;
    o.producer_epoch = 0;
    o.base_sequence = (int32_t)e->second;
    batch_build_init(&build);
    while (example_line(&line, &cap, &value))
        batch_build_add(&build, e->now_ms, SLICE_NULL, value, NULL, 0);
    int32_t count = build.count;
    if (count > 0)
        batch_build_finish(&build, &o, out);
    batch_build_deinit(&build);
    return count;
}

/* A producer that does not know whether its batch arrived sends it again, same sequence and all. */
static int example_batch(const struct example *e)
{
    struct buf batch CLEANUP(buf_deinit) = {0};
    int64_t offset = -1;
    if (example_build(e, &batch) == 0)
        return 0;
    int r = log_append_batch(e->log, buf_slice(&batch), e->now_ms, &offset);
    if (r == PART_DUPLICATE)
        (void)printf("was stored before, at %lld\n", (long long)offset);
    if (r != 0)
        return r == PART_DUPLICATE ? 0 : r;
    r = log_sync(e->log, e->now_ms);
    if (r == 0)
        (void)printf("stored at %lld\n", (long long)offset);
    return r;
}

/* Prints the records at or above `offset` of the batches in `bytes`. */
static void example_print(struct slice bytes, int64_t offset, struct buf *scratch)
{
    struct batch_iter it;
    struct batch_record r;
    enum batch_fault fault = BATCH_OK;
    while (bytes.size > 0) {
        fault = batch_iter_init(&it, bytes, EXAMPLE_INFLATE_MAX, scratch);
        if (fault != BATCH_OK)
            return; /* more than the limit, or a block that nobody can inflate */
        while (batch_iter_next(&it, &r, &fault))
            if (r.offset >= offset)
                (void)printf("%lld %lld %.*s\n", (long long)r.offset, (long long)r.timestamp,
                             (int)r.value.size, (const char *)r.value.p);
        bytes = slice_of(bytes.p + it.header.size, bytes.size - it.header.size);
    }
}

/* A view is a piece of the mapped file, whole batches of it, until it is released. */
static int example_read(const struct example *e)
{
    struct buf scratch CLEANUP(buf_deinit) = {0};
    int64_t offset = e->first > log_start(e->log) ? e->first : log_start(e->log);
    while (offset < log_end(e->log)) {
        struct log_view view;
        int64_t next_good = 0;
        int r = log_read(e->log, offset, EXAMPLE_READ_SIZE, &view, &next_good);
        if (r == PART_DAMAGED) {
            (void)printf("%lld to %lld are damaged\n", (long long)offset, (long long)next_good - 1);
            offset = next_good;
            continue;
        }
        if (r != 0)
            return r;
        example_print(view.bytes, offset, &scratch);
        offset = view.next_offset;
        log_view_release(&view);
    }
    return 0;
}

static int example_since(const struct example *e)
{
    int64_t offset, timestamp;
    int r = log_find_time(e->log, e->first, &offset, &timestamp);
    if (r == 0 && offset < 0)
        (void)printf("none\n");
    else if (r == 0)
        (void)printf("%lld %lld\n", (long long)offset, (long long)timestamp);
    return r;
}

/* Whole segments below the new start leave the disk. */
static int example_trim(const struct example *e)
{
    int r = log_trim(e->log, e->first, e->now_ms);
    if (r == 0)
        (void)printf("begins at %lld\n", (long long)log_start(e->log));
    return r;
}

static int example_cut(const struct example *e)
{
    int r = log_truncate(e->log, e->first, e->now_ms);
    if (r == 0)
        (void)printf("ends at %lld\n", (long long)log_end(e->log));
    return r;
}

static const struct example_command {
    const char *name;
    int min; /* numbers that it needs, and takes */
    int max;
    int (*run)(const struct example *e);
} example_commands[] = {
    {"append", 0, 0, example_append}, {"batch", 2, 2, example_batch}, {"read", 0, 1, example_read},
    {"since", 1, 1, example_since},   {"trim", 1, 1, example_trim},   {"cut", 1, 1, example_cut},
};
#define EXAMPLE_COMMANDS (sizeof example_commands / sizeof *example_commands)

/* A whole number >= 0, or -1. */
static int64_t example_number(const char *text)
{
    char *end;
    long long v = strtoll(text, &end, 10);
    return *text == '\0' || *end != '\0' || v < 0 || v == INT64_MAX ? -1 : v;
}

/* Reads the command line; NULL when it makes no sense. */
static const struct example_command *example_parse(int argc, char **argv, struct example *e)
{
    const struct example_command *c = NULL;
    for (size_t i = 0; argc >= 3 && i < EXAMPLE_COMMANDS; i++)
        if (strcmp(argv[2], example_commands[i].name) == 0)
            c = &example_commands[i];
    if (c == NULL || argc - 3 < c->min || argc - 3 > c->max)
        return NULL;
    e->first = argc > 3 ? example_number(argv[3]) : 0;
    e->second = argc > 4 ? example_number(argv[4]) : 0;
    return e->first < 0 || e->second < 0 || e->second > INT32_MAX ? NULL : c;
}

static const char *example_condition(int r)
{
    switch (r) {
    case IO_FULL:
        return "the disk is full; nothing of it was stored";
    case STATE_NEWER:
        return "written by a newer version";
    case PART_GAP:
        return "the sequence number does not follow the last one";
    case PART_FENCED:
        return "an older epoch of this producer";
    case PART_TOO_LARGE:
        return "larger than a segment";
    case PART_OUT_OF_RANGE:
        return "the log has no such offset";
    default: /* the others do not come out of what this program calls */
        return "unexpected condition";
    }
}

int main(int argc, char **argv)
{
    struct example e = {.now_ms = example_now_ms()};
    const struct example_command *c = example_parse(argc, argv, &e);
    if (c == NULL) {
        (void)fprintf(stderr, "usage: example_log FOLDER append|batch PRODUCER SEQUENCE|"
                              "read [OFFSET]|since MILLISECONDS|trim OFFSET|cut OFFSET\n");
        return 2;
    }
    /* Opening recovers what a crash left; closing makes the next opening cheap. */
    int r = log_open(&(struct log_options){.dir = argv[1], .now_ms = e.now_ms}, &e.log);
    if (r == 0)
        r = c->run(&e);
    int closed = log_close(e.log);
    r = r != 0 ? r : closed;
    if (r != 0)
        (void)fprintf(stderr, "error: %s: %s\n", argv[1],
                      r < 0 ? error_text(r) : example_condition(r));
    return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
