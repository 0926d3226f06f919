/* SPDX-License-Identifier: MIT
 *
 * load: see load.h. This file produces and drains; load_paced.c keeps a schedule.
 */
#include "bench/load.h"

#include <pthread.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

#define LOAD_WAIT_MS 30000

void load_check(struct kauri *k, const char *what, int error)
{
    if (error > 0)
        bench_die(what, kauri_message(k)[0] != '\0' ? kauri_message(k) : kauri_error_text(error));
    bench_check(what, error);
}

struct kauri *load_open(const struct load *l,
                        void (*delivered)(void *ctx, const struct kauri_record *r, int error,
                                          const char *message),
                        void *ctx)
{
    struct kauri *k = NULL;
    struct kauri_options o = {.server = l->server,
                              .client_name = "bench",
                              .timeout_ms = LOAD_WAIT_MS,
                              .linger_ms = l->linger_ms == 0 ? UINT32_MAX : (uint32_t)l->linger_ms,
                              .batch_size = (size_t)l->batch_size,
                              .acks = l->acks,
                              .delivered = delivered,
                              .fetch_size = (size_t)4 << 20,
                              .prefetch_size = (size_t)32 << 20,
                              .eof_events = true,
                              .ctx = ctx};
    bench_check("open the client", kauri_open(&o, &k));
    return k;
}

/* --- produce --- */

struct load_producer {
    const struct load *load;
    pthread_barrier_t *start;
    pthread_t thread;
    int64_t records_max; /* INT64_MAX: no limit */
    int64_t sent;
    int64_t delivered;
    int64_t begin_ns;
    int64_t end_ns;
    struct hist latency;
};

static void load_delivered(void *ctx, const struct kauri_record *r, int error, const char *message)
{
    struct load_producer *p = ctx;
    if (error != 0)
        bench_die("produce", message != NULL ? message : kauri_error_text(error));
    hist_add(&p->latency, bench_now_ns() - (int64_t)(intptr_t)r->opaque);
    p->delivered++;
}

/* One record, stamped with the time it is handed over. False: poll first. */
static bool load_send(struct kauri *k, struct load_producer *p, const uint8_t *value)
{
    int64_t now = bench_now_ns();
    struct kauri_record r = {.topic = p->load->topic,
                             .partition = (int32_t)(p->sent % p->load->partitions),
                             .timestamp_ms = -1,
                             .value = value,
                             .value_size = (size_t)p->load->size,
                             .opaque = (void *)(intptr_t)now};
    int error = kauri_send(k, &r);
    if (error == KAURI_AGAIN)
        return false;
    load_check(k, "send", error);
    p->sent++;
    return true;
}

static void load_produce_loop(struct kauri *k, struct load_producer *p, const uint8_t *value)
{
    const struct load *l = p->load;
    int64_t until = l->duration_ms > 0 ? p->begin_ns + l->duration_ms * 1000000 : INT64_MAX;
    while (p->sent < p->records_max && bench_now_ns() < until) {
        bool room = l->window == 0 || (int64_t)kauri_outstanding(k) < l->window;
        if (!room || !load_send(k, p, value))
            (void)kauri_poll(k, 1000);
    }
    load_check(k, "flush", kauri_flush(k, LOAD_WAIT_MS));
}

static void *load_producer_run(void *arg)
{
    struct load_producer *p = arg;
    struct kauri *k = load_open(p->load, load_delivered, p);
    uint8_t *value CLEANUP(cleanup_free) = assert_memory(calloc(1, (size_t)p->load->size), 1);
    memset(value, 'k', (size_t)p->load->size);
    if (!load_send(k, p, value)) /* connection, metadata, producer id */
        bench_die("send", "no room for one record");
    load_check(k, "flush", kauri_flush(k, LOAD_WAIT_MS));
    p->sent = p->delivered = 0;
    p->latency = (struct hist){0};
    (void)pthread_barrier_wait(p->start);
    p->begin_ns = bench_now_ns();
    load_produce_loop(k, p, value);
    p->end_ns = bench_now_ns();
    (void)kauri_close(k);
    return NULL;
}

static void load_add(const struct load_producer *p, int64_t *begin, int64_t *end,
                     struct load_result *out)
{
    *begin = p->begin_ns < *begin ? p->begin_ns : *begin;
    *end = p->end_ns > *end ? p->end_ns : *end;
    out->records += p->delivered;
    hist_merge(&out->latency, &p->latency);
}

void load_produce(const struct load *l, struct load_result *out)
{
    size_t count = (size_t)l->clients;
    pthread_barrier_t start;
    struct load_producer *ps CLEANUP(cleanup_free) =
        assert_memory(calloc(count, sizeof *ps), count * sizeof *ps);
    bench_check("barrier", -pthread_barrier_init(&start, NULL, (unsigned)count));
    for (size_t i = 0; i < count; i++) {
        ps[i].load = l;
        ps[i].start = &start;
        ps[i].records_max = l->records > 0 ? l->records / l->clients + 1 : INT64_MAX;
        bench_check("thread", -pthread_create(&ps[i].thread, NULL, load_producer_run, &ps[i]));
    }
    int64_t begin = INT64_MAX, end = 0;
    for (size_t i = 0; i < count; i++) {
        bench_check("thread", -pthread_join(ps[i].thread, NULL));
        load_add(&ps[i], &begin, &end, out);
    }
    (void)pthread_barrier_destroy(&start);
    out->took_ns = end - begin;
    out->size = (double)out->records * (double)l->size;
}

/* --- drain --- */

void load_drain(const struct load *l, struct load_result *out)
{
    struct kauri *k = load_open(l, NULL, NULL);
    int64_t open = l->partitions;
    for (int32_t i = 0; i < l->partitions; i++)
        load_check(k, "assign", kauri_assign(k, l->topic, i, KAURI_OFFSET_START));
    int64_t begin = bench_now_ns();
    while (open > 0 && (l->records == 0 || out->records < l->records)) {
        struct kauri_record r;
        int event = kauri_next(k, LOAD_WAIT_MS, &r);
        if (event == KAURI_END) {
            open--;
            continue;
        }
        load_check(k, "next", event);
        out->records++;
        out->size += (double)r.value_size;
    }
    out->took_ns = bench_now_ns() - begin;
    (void)kauri_close(k);
}
