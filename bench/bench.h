/* SPDX-License-Identifier: MIT
 *
 * bench: what the measuring programs share: a clock, options, and answers.
 *
 * An answer is one line of JSON, `{"row": NAME, KEY: VALUE, ...}`; run.py reads them. Everything
 * that fails ends the program with a line on stderr and exit code 1: a measurement that went wrong
 * in the middle is none.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/hist.h"
#include "engine/base/bytes.h"

/* Monotonic time, the same clock for all processes of the machine. */
int64_t bench_now_ns(void);
void bench_sleep_until(int64_t at_ns);
/* Sleeps end on time from now on (the kernel's slack is 50 us by default). This thread only. */
void bench_sharp_timers(void);

/* Prints "error: WHAT: WHY" and exits. */
_Noreturn void bench_die(const char *what, const char *why);
/* bench_die unless `error` (0, -errno or a condition) is 0. */
void bench_check(const char *what, int error);

/* One row of the table of options; `text` or `number` is set. */
struct bench_option {
    const char *name; /* without -- */
    const char **text;
    int64_t *number;
};
/* Takes `--name value` pairs from argv[from] on; unknown names and bad numbers die. The table ends
 * with a row without name. */
void bench_options(int argc, char **argv, int from, const struct bench_option *options);

/* One line of output. */
void bench_line_begin(struct buf *line, const char *row);
void bench_line_number(struct buf *line, const char *key, double value);
/* p50_us, p90_us, p99_us, p999_us, max_us and count of a histogram of ns. */
void bench_line_hist(struct buf *line, const struct hist *h);
/* Prints, flushes and frees. */
void bench_line_end(struct buf *line);

/* `dir`/`name`, NUL-terminated, appended to an empty buf; the text is borrowed from it. */
const char *bench_path(struct buf *out, const char *dir, const char *name);
