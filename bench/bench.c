/* SPDX-License-Identifier: MIT
 *
 * bench: see bench.h.
 */
#include "bench/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "engine/base/assert.h"

#define BENCH_NS 1000000000LL

int64_t bench_now_ns(void)
{
    struct timespec t;
    int r = clock_gettime(CLOCK_MONOTONIC, &t);
    ASSERT(r == 0);
    return t.tv_sec * BENCH_NS + t.tv_nsec;
}

void bench_sleep_until(int64_t at_ns)
{
    struct timespec t = {.tv_sec = at_ns / BENCH_NS, .tv_nsec = at_ns % BENCH_NS};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        continue;
}

void bench_sharp_timers(void)
{
    (void)prctl(PR_SET_TIMERSLACK, 1L, 0L, 0L, 0L);
}

void bench_die(const char *what, const char *why)
{
    (void)fflush(stdout);
    (void)fprintf(stderr, "error: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

void bench_check(const char *what, int error)
{
    char number[32];
    if (error == 0)
        return;
    (void)snprintf(number, sizeof number, "condition %d", error);
    bench_die(what, error < 0 ? error_text(error) : number);
}

static void bench_option_set(const struct bench_option *o, const char *value)
{
    char *end = NULL;
    if (o->text != NULL) {
        *o->text = value;
        return;
    }
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || number < 0)
        bench_die(value, "not a number, or negative");
    *o->number = number;
}

void bench_options(int argc, char **argv, int from, const struct bench_option *options)
{
    for (int i = from; i < argc; i += 2) {
        const struct bench_option *o = options;
        while (o->name != NULL &&
               (strncmp(argv[i], "--", 2) != 0 || strcmp(argv[i] + 2, o->name) != 0))
            o++;
        if (o->name == NULL)
            bench_die(argv[i], "unknown option");
        if (i + 1 == argc)
            bench_die(argv[i], "wants a value");
        bench_option_set(o, argv[i + 1]);
    }
}

void bench_line_begin(struct buf *line, const char *row)
{
    buf_printf(line, "{\"row\": \"%s\"", row);
}

void bench_line_number(struct buf *line, const char *key, double value)
{
    buf_printf(line, ", \"%s\": %.12g", key, value);
}

void bench_line_hist(struct buf *line, const struct hist *h)
{
    static const struct {
        const char *key;
        double percent;
    } marks[] = {
        {"p50_us", 50}, {"p90_us", 90}, {"p99_us", 99}, {"p999_us", 99.9}, {"max_us", 100}};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        bench_line_number(line, marks[i].key, (double)hist_percentile(h, marks[i].percent) / 1000);
    bench_line_number(line, "count", (double)h->count);
}

void bench_line_end(struct buf *line)
{
    buf_printf(line, "}\n");
    (void)fwrite(line->p, 1, line->size, stdout);
    if (fflush(stdout) != 0)
        bench_die("standard output", error_text(errno));
    buf_deinit(line);
}

const char *bench_path(struct buf *out, const char *dir, const char *name)
{
    ASSERT(out->size == 0);
    buf_printf(out, "%s/%s", dir, name);
    buf_append_u8(out, 0);
    return (const char *)out->p;
}
