/* SPDX-License-Identifier: MIT
 *
 * bench_engine: the store without a broker, beside what the machine gives at best. For run.py.
 *
 *   bench_engine limits --dir DIR             copies, writes, syncs and sockets of the bare machine
 *   bench_engine disk   --dir DIR             of these only a small write with its sync
 *   bench_engine append --dir DIR             one partition: batches of four sizes, cache and disk
 *   bench_engine round  --dir DIR             many partitions with one batch each, in one round
 *     --records N    batches of the smallest size per row; the others keep the bytes in bounds
 *     --partitions N partitions of the round
 *
 * What an append costs here is what a broker's loop and worker pay together: check of the batch
 * (CRC and every record), offset, stamp, and its share of a round of up to a MiB.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "bench/bench.h"
#include "bench/raw.h"
#include "bench/rounds.h"
#include "engine/base/assert.h"
#include "engine/base/io.h"
#include "engine/store/log.h"
#include "engine/store/round.h"

#define BENCH_ROUND_SIZE (1u << 20)
#define BENCH_SIZE_MAX   ((size_t)256 << 20)
#define BENCH_SYNCS      400
#define BENCH_BURSTS     5
#define BENCH_RECORD     100

static const struct bench_size {
    size_t size;
    const char *name;
} bench_sizes[] = {{170, "170B"}, {16 << 10, "16KiB"}, {64 << 10, "64KiB"}, {1 << 20, "1MiB"}};
#define BENCH_SIZE_COUNT (sizeof bench_sizes / sizeof bench_sizes[0])

struct bench_run {
    const char *dir;
    int64_t records;
    int64_t partitions;
    int64_t repeat;
};

static void bench_answer(const char *kind, const char *name, const char *key, double value)
{
    struct buf line = {0};
    char row[64];
    (void)snprintf(row, sizeof row, "%s.%s", kind, name);
    bench_line_begin(&line, row);
    bench_line_number(&line, key, value);
    bench_line_end(&line);
}

static void bench_answer_hist(const char *kind, const char *name, const struct hist *h)
{
    struct buf line = {0};
    char row[64];
    (void)snprintf(row, sizeof row, "%s.%s", kind, name);
    bench_line_begin(&line, row);
    bench_line_hist(&line, h);
    bench_line_end(&line);
}

/* Bytes that a row of this batch size writes. */
static size_t bench_total(const struct bench_run *run, size_t size)
{
    size_t total = (size_t)run->records * bench_sizes[0].size * 4;
    total = total < BENCH_SIZE_MAX ? total : BENCH_SIZE_MAX;
    total = size == bench_sizes[0].size ? (size_t)run->records * size : total;
    return total > 4 * size ? total : 4 * size;
}

/* --- limits --- */

static void bench_limits_files(const struct bench_run *run)
{
    for (size_t i = 0; i < BENCH_SIZE_COUNT; i++) {
        const struct bench_size *s = &bench_sizes[i];
        size_t total = bench_total(run, s->size);
        struct hist h = {0};
        bench_answer("raw.copy", s->name, "ns", raw_copy(run->dir, s->size, total));
        bench_answer("raw.write", s->name, "ns", raw_write(run->dir, s->size, total));
        raw_sync(run->dir, s->size, s->size < BENCH_ROUND_SIZE ? BENCH_SYNCS : 40, &h);
        bench_answer_hist("raw.sync", s->name, &h);
    }
}

static void bench_limits_sockets(void)
{
    static const struct {
        const char *name;
        enum raw_socket kind;
    } kinds[] = {{"unix", RAW_UNIX}, {"tcp", RAW_TCP}};
    for (size_t i = 0; i < 2; i++) {
        struct hist h = {0};
        double rate = raw_stream(kinds[i].kind, 64 << 10, 300000000);
        bench_answer("raw.stream", kinds[i].name, "bytes_s", rate);
        raw_pingpong(kinds[i].kind, 3000, &h);
        bench_answer_hist("raw.pingpong", kinds[i].name, &h);
    }
}

static void bench_limits(const struct bench_run *run)
{
    bench_limits_files(run);
    bench_limits_sockets();
}

/* The calmest of a few short bursts: what else goes on at a disk only ever makes it slower. */
static void bench_disk(const struct bench_run *run)
{
    struct hist best = {0};
    struct buf line = {0};
    for (int i = 0; i < BENCH_BURSTS; i++) {
        struct hist h = {0};
        raw_sync(run->dir, bench_sizes[0].size, BENCH_SYNCS / BENCH_BURSTS, &h);
        if (i == 0 || hist_percentile(&h, 50) < hist_percentile(&best, 50))
            best = h;
    }
    bench_line_begin(&line, "raw.disk");
    bench_line_hist(&line, &best);
    bench_line_end(&line);
}

/* --- append --- */

/* A batch of about `size` bytes, of records of 100 bytes. */
static void bench_batch(size_t size, struct buf *out)
{
    static const uint8_t value[BENCH_RECORD] = "kauri";
    struct batch_build b;
    struct batch_build_options o = batch_build_plain();
    batch_build_init(&b);
    do
        batch_build_add(&b, 1, SLICE_NULL, slice_of(value, sizeof value), NULL, 0);
    while (batch_build_size(&b) + BENCH_RECORD < size);
    batch_build_finish(&b, &o, out);
    batch_build_deinit(&b);
}

struct bench_append {
    struct part_append append;
    struct buf batch;
};

struct bench_group {
    struct bench_append *appends; /* owned */
    size_t count;
    struct buf scratch;
};

static void bench_group_init(struct bench_group *g, size_t size)
{
    g->count = BENCH_ROUND_SIZE / size > 1000 ? 1000 : BENCH_ROUND_SIZE / size;
    g->appends = assert_memory(calloc(g->count, sizeof *g->appends), g->count);
    for (size_t i = 0; i < g->count; i++)
        bench_batch(size, &g->appends[i].batch);
}

static void bench_group_deinit(struct bench_group *g)
{
    for (size_t i = 0; i < g->count; i++)
        buf_deinit(&g->appends[i].batch);
    free(g->appends);
    buf_deinit(&g->scratch);
}

static void bench_appended(struct part_append *a, int result)
{
    ASSERT(a->base_offset >= 0);
    bench_check("append", result);
}

/* What the broker does with a batch that came in. */
static void bench_append_one(struct part *p, struct bench_group *g, struct bench_append *a)
{
    struct batch_rules rules = {.inflate_max = BENCH_ROUND_SIZE, .scratch = &g->scratch};
    batch_stamp(a->batch.p, 0, -1); /* as it came from the producer */
    if (batch_validate(buf_slice(&a->batch), &rules, &a->append.header) != BATCH_OK)
        bench_die("append", "the batch is not valid");
    a->append.batch = a->batch.p;
    a->append.done = bench_appended;
    bench_check("append", part_append(p, &a->append, 1));
}

static void bench_append_round(struct io *io, struct part *p, struct bench_group *g)
{
    struct round r;
    for (size_t i = 0; i < g->count; i++)
        bench_append_one(p, g, &g->appends[i]);
    round_init(&r, io, false);
    round_add(&r, p, 1);
    bench_check("round", round_run_now(&r));
}

/* Page cache: ns per batch, in rounds of up to a MiB. */
static double bench_append_os(struct io *io, struct log *l, size_t size, size_t total)
{
    struct bench_group g = {0};
    bench_group_init(&g, size);
    size_t rounds = total / size / g.count + 1;
    int64_t start = bench_now_ns();
    for (size_t i = 0; i < rounds; i++)
        bench_append_round(io, log_part(l), &g);
    double took = (double)(bench_now_ns() - start);
    took /= (double)(rounds * g.count);
    bench_group_deinit(&g);
    return took;
}

/* Disk: one batch a round, through the library's own calls. */
static void bench_append_sync(struct log *l, size_t size, int count, struct hist *out)
{
    struct buf batch CLEANUP(buf_deinit) = {0};
    bench_batch(size, &batch);
    for (int i = 0; i <= count; i++) {
        int64_t start = bench_now_ns();
        bench_check("append", log_append_batch(l, buf_slice(&batch), 1, NULL));
        bench_check("sync", log_sync(l, 1));
        if (i > 0) /* the first makes the folder */
            hist_add(out, bench_now_ns() - start);
    }
}

static void bench_append(const struct bench_run *run)
{
    struct io *io = io_real_new();
    for (size_t i = 0; i < BENCH_SIZE_COUNT; i++) {
        const struct bench_size *s = &bench_sizes[i];
        struct buf path CLEANUP(buf_deinit) = {0};
        struct hist h = {0};
        struct log *l = NULL;
        struct log_options o = {.io = io, .dir = bench_path(&path, run->dir, s->name)};
        bench_check("open", log_open(&o, &l));
        bench_append_sync(l, s->size, s->size < BENCH_ROUND_SIZE ? BENCH_SYNCS : 40, &h);
        bench_answer_hist("engine.sync", s->name, &h);
        double ns = bench_append_os(io, l, s->size, bench_total(run, s->size));
        bench_answer("engine.append", s->name, "ns", ns);
        bench_check("close", log_close(l));
    }
    (void)io_real_free(io);
}

/* --- round --- */

static void bench_raise_files(void)
{
    struct rlimit limit;
    bench_check("getrlimit", getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = limit.rlim_max;
    bench_check("setrlimit", setrlimit(RLIMIT_NOFILE, &limit));
}

static void bench_round(const struct bench_run *run)
{
    struct raw_files files = {(size_t)run->partitions, bench_sizes[0].size, (int)run->repeat};
    struct rounds rounds;
    struct hist created = {0}, h = {0}, syncfs_hist = {0}, serial = {0};
    struct buf batch CLEANUP(buf_deinit) = {0};
    bench_raise_files();
    bench_batch(bench_sizes[0].size, &batch);
    rounds_init(&rounds, run->dir, files.count, buf_slice(&batch));
    hist_add(&created, rounds_run(&rounds));
    bench_answer_hist("engine.round", "create", &created);
    for (int i = 0; i < files.repeat; i++)
        hist_add(&h, rounds_run(&rounds));
    bench_answer_hist("engine.round", "again", &h);
    rounds_deinit(&rounds);
    raw_sync_many(run->dir, &files, RAW_SYNCFS, &syncfs_hist);
    bench_answer_hist("raw.round", "syncfs", &syncfs_hist);
    files.repeat = 2;
    raw_sync_many(run->dir, &files, RAW_FDATASYNC, &serial);
    bench_answer_hist("raw.round", "fdatasync", &serial);
}

int main(int argc, char **argv)
{
    struct bench_run run = {.records = 200000, .partitions = 1000, .repeat = 12};
    const struct bench_option options[] = {{"dir", &run.dir, NULL},
                                           {"records", NULL, &run.records},
                                           {"partitions", NULL, &run.partitions},
                                           {"repeat", NULL, &run.repeat},
                                           {NULL, NULL, NULL}};
    static const struct {
        const char *name;
        void (*run)(const struct bench_run *run);
    } modes[] = {{"limits", bench_limits},
                 {"disk", bench_disk},
                 {"append", bench_append},
                 {"round", bench_round}};
    bench_options(argc, argv, 2, options);
    if (run.dir == NULL || run.records < 1 || run.partitions < 1 || run.repeat < 1)
        bench_die("arguments", "want limits, disk, append or round, and --dir DIR; numbers from 1");
    for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(argv[1], modes[i].name) != 0)
            continue;
        modes[i].run(&run);
        return EXIT_SUCCESS;
    }
    bench_die("arguments", "want limits, disk, append or round");
}
