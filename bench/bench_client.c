/* SPDX-License-Identifier: MIT
 *
 * bench_client: one load on a running broker, over the native client library. Called by run.py.
 *
 *   bench_client produce|drain|paced --row NAME --server URL --topic NAME OPTIONS   see load.h
 *   bench_client topics --row NAME --server URL --topic PREFIX --records N   a record in N topics
 *   bench_client first  --row NAME --server ipc://PATH --topic NAME    waits for a broker to appear
 *     at PATH, then for one acknowledged record: the monotonic ns of both
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/load.h"
#include "engine/base/cleanup.h"

#define BENCH_IPC     "ipc://"
#define BENCH_WAIT_MS 60000
#define BENCH_TRY_NS  200000

static void bench_result(const char *row, const struct load_result *r)
{
    struct buf line = {0};
    double seconds = (double)r->took_ns / 1e9;
    bench_line_begin(&line, row);
    bench_line_number(&line, "records", (double)r->records);
    bench_line_number(&line, "seconds", seconds);
    bench_line_number(&line, "records_s", (double)r->records / seconds);
    bench_line_number(&line, "bytes_s", r->size / seconds);
    if (r->latency.count > 0)
        bench_line_hist(&line, &r->latency);
    bench_line_end(&line);
}

static void bench_produce(const struct load *l, const char *row)
{
    struct load_result r = {0};
    load_produce(l, &r);
    bench_result(row, &r);
}

static void bench_drain(const struct load *l, const char *row)
{
    struct load_result r = {0};
    load_drain(l, &r);
    bench_result(row, &r);
}

static void bench_paced(const struct load *l, const char *row)
{
    struct load_result r = {0};
    load_paced(l, &r);
    bench_result(row, &r);
}

/* --- many topics --- */

static void bench_delivered(void *ctx, const struct kauri_record *r, int error, const char *message)
{
    int64_t *count = ctx;
    (void)r;
    if (error != 0)
        bench_die("produce", message != NULL ? message : kauri_error_text(error));
    (*count)++;
}

static void bench_topic_name(const struct load *l, int64_t index, char name[256])
{
    (void)snprintf(name, 256, "%s-%05lld", l->topic, (long long)index);
}

static void bench_topics_fill(const struct load *l, struct kauri *k)
{
    for (int64_t i = 0; i < l->records; i++) {
        char name[256];
        bench_topic_name(l, i, name);
        struct kauri_record r = {
            .topic = name, .timestamp_ms = -1, .value = name, .value_size = strlen(name)};
        load_check(k, "send", kauri_send(k, &r));
    }
    load_check(k, "flush", kauri_flush(k, BENCH_WAIT_MS));
}

static void bench_topics(const struct load *l, const char *row)
{
    int64_t delivered = 0;
    struct buf line = {0};
    struct kauri *k = load_open(l, bench_delivered, &delivered);
    int64_t start = bench_now_ns();
    for (int64_t i = 0; i < l->records; i++) {
        char name[256];
        bench_topic_name(l, i, name);
        load_check(k, "create", kauri_topic_create(k, name, 1, 1, NULL, 0, false));
    }
    int64_t created = bench_now_ns();
    bench_topics_fill(l, k);
    if (delivered != l->records)
        bench_die("topics", "not every record was acknowledged");
    bench_line_begin(&line, row);
    bench_line_number(&line, "create_s", (double)(created - start) / 1e9);
    bench_line_number(&line, "fill_s", (double)(bench_now_ns() - created) / 1e9);
    bench_line_end(&line);
    (void)kauri_close(k);
}

/* --- the first acknowledgement --- */

static bool bench_there(const struct sockaddr_un *at)
{
    int fd CLEANUP(cleanup_fd) = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        bench_die("socket", error_text(errno));
    return connect(fd, (const struct sockaddr *)at, sizeof *at) == 0;
}

/* Waits until somebody listens; the time of it. */
static int64_t bench_wait(const char *url)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int64_t until = bench_now_ns() + (int64_t)BENCH_WAIT_MS * 1000000;
    if (strncmp(url, BENCH_IPC, strlen(BENCH_IPC)) != 0 ||
        strlen(url) - strlen(BENCH_IPC) >= sizeof at.sun_path)
        bench_die(url, "want ipc:// and a short path");
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", url + strlen(BENCH_IPC));
    while (!bench_there(&at)) {
        if (bench_now_ns() > until)
            bench_die(url, "nobody listens");
        bench_sleep_until(bench_now_ns() + BENCH_TRY_NS);
    }
    return bench_now_ns();
}

static void bench_first(const struct load *l, const char *row)
{
    int64_t delivered = 0;
    struct buf line = {0};
    struct kauri_record r = {
        .topic = l->topic, .partition = 0, .timestamp_ms = -1, .value = "first", .value_size = 5};
    bench_sharp_timers();
    (void)puts("waiting"); /* run.py starts the broker now */
    (void)fflush(stdout);
    int64_t there = bench_wait(l->server);
    struct kauri *k = load_open(l, bench_delivered, &delivered);
    load_check(k, "send", kauri_send(k, &r));
    load_check(k, "flush", kauri_flush(k, BENCH_WAIT_MS));
    int64_t acked = bench_now_ns();
    if (delivered != 1)
        bench_die("first", "the record was not acknowledged");
    bench_line_begin(&line, row);
    bench_line_number(&line, "there_ns", (double)there);
    bench_line_number(&line, "acked_ns", (double)acked);
    bench_line_end(&line);
    (void)kauri_close(k);
}

/* --- arguments --- */

static int bench_acks(const char *text)
{
    static const char *const names[] = {
        [KAURI_ACKS_ALL] = "all", [KAURI_ACKS_LEADER] = "1", [KAURI_ACKS_NONE] = "0"};
    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    bench_die(text, "want --acks all, 1 or 0");
}

static void bench_arguments(int argc, char **argv, struct load *l, const char **row)
{
    const char *acks = "all";
    const struct bench_option options[] = {{"row", row, NULL},
                                           {"server", &l->server, NULL},
                                           {"topic", &l->topic, NULL},
                                           {"acks", &acks, NULL},
                                           {"partitions", NULL, &l->partitions},
                                           {"size", NULL, &l->size},
                                           {"keys", NULL, &l->keys},
                                           {"records", NULL, &l->records},
                                           {"duration-ms", NULL, &l->duration_ms},
                                           {"window", NULL, &l->window},
                                           {"clients", NULL, &l->clients},
                                           {"threads", NULL, &l->threads},
                                           {"batch-size", NULL, &l->batch_size},
                                           {"linger-ms", NULL, &l->linger_ms},
                                           {"rate", NULL, &l->rate},
                                           {NULL, NULL, NULL}};
    bench_options(argc, argv, 2, options);
    l->acks = bench_acks(acks);
    if (*row == NULL || l->server == NULL || l->topic == NULL)
        bench_die("arguments", "want --row, --server and --topic");
    if (l->keys < 0 || l->size < 8 || l->partitions < 1 || l->clients < 1 || l->rate < 1)
        bench_die("arguments", "want --size from 8; --partitions, --clients, --rate from 1");
}

int main(int argc, char **argv)
{
    struct load l = {
        .partitions = 1, .size = 100, .clients = 1, .batch_size = 64 << 10, .rate = 1000};
    const char *row = NULL;
    static const struct {
        const char *name;
        void (*run)(const struct load *l, const char *row);
    } modes[] = {{"produce", bench_produce},
                 {"drain", bench_drain},
                 {"paced", bench_paced},
                 {"topics", bench_topics},
                 {"first", bench_first}};
    bench_arguments(argc, argv, &l, &row);
    for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(argv[1], modes[i].name) != 0)
            continue;
        modes[i].run(&l, row);
        return EXIT_SUCCESS;
    }
    bench_die("arguments", "want produce, drain, paced, topics or first");
}
