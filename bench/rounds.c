/* SPDX-License-Identifier: MIT
 *
 * rounds: see rounds.h.
 */
#include "bench/rounds.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "engine/base/assert.h"

void rounds_init(struct rounds *r, const char *dir, size_t count, struct slice batch)
{
    *r = (struct rounds){.io = io_real_new(), .count = count};
    store_init(&r->store, &(struct store_options){.io = r->io, .writer_max = count});
    r->parts = assert_memory(calloc(count, sizeof *r->parts), count);
    for (size_t i = 0; i < count; i++) {
        struct buf path CLEANUP(buf_deinit) = {0};
        struct part_recovery recovery;
        buf_printf(&path, "%s/round-%zu", dir, i);
        buf_append_u8(&path, 0);
        struct part_open_options o = {.dir = (const char *)path.p,
                                      .config = {.segment_size_max = 1 << 30,
                                                 .segment_ms = INT64_MAX,
                                                 .index_interval_size = 4096}};
        bench_check("open", part_open(&r->store, &o, &r->parts[i].part, &recovery));
        buf_append(&r->parts[i].batch, batch.p, batch.size);
    }
}

static void rounds_appended(struct part_append *a, int result)
{
    ASSERT(a->base_offset >= 0);
    bench_check("append", result);
}

static void rounds_append(struct rounds_part *p)
{
    batch_stamp(p->batch.p, 0, -1);
    if (batch_check_stored(buf_slice(&p->batch), 0, &p->append.header) != BATCH_OK)
        bench_die("append", "the batch is not valid");
    p->append.batch = p->batch.p;
    p->append.done = rounds_appended;
    bench_check("append", part_append(p->part, &p->append, 1));
}

int64_t rounds_run(struct rounds *r)
{
    struct round round;
    for (size_t i = 0; i < r->count; i++)
        rounds_append(&r->parts[i]);
    int64_t start = bench_now_ns();
    round_init(&round, r->io, true);
    for (size_t i = 0; i < r->count; i++)
        round_add(&round, r->parts[i].part, 1);
    bench_check("round", round_run_now(&round));
    return bench_now_ns() - start;
}

void rounds_deinit(struct rounds *r)
{
    for (size_t i = 0; i < r->count; i++) {
        r->parts[i].part = part_close(r->parts[i].part);
        buf_deinit(&r->parts[i].batch);
    }
    free(r->parts);
    store_deinit(&r->store);
    r->io = io_real_free(r->io);
}
