/* SPDX-License-Identifier: MIT
 *
 * load: see load.h. This file produces and drains; load_paced.c keeps a schedule.
 */
#include "bench/load.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

#define LOAD_WAIT_MS  30000
#define LOAD_KEY_STEP 7919 /* a prime: no run of neighbours */

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

void load_key(const struct load *l, int64_t number, char text[LOAD_KEY_SIZE],
              struct kauri_record *r)
{
    if (l->keys == 0)
        return;
    int size =
        snprintf(text, LOAD_KEY_SIZE, "key-%lld", (long long)(number * LOAD_KEY_STEP % l->keys));
    ASSERT(size > 0 && size < LOAD_KEY_SIZE);
    r->key = text;
    r->key_size = (size_t)size;
}

/* --- produce --- */

struct load_producer {
    const struct load *load;
    struct kauri *k;
    int64_t records_max; /* INT64_MAX: no limit */
    int64_t sent;
    int64_t delivered;
    struct hist latency;
};

/* The clients that one thread drives. */
struct load_thread {
    struct load_producer *producers; /* owned */
    int64_t count;
    const uint8_t *value;
    pthread_barrier_t *start;
    pthread_t thread;
    int64_t begin_ns;
    int64_t end_ns;
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
static bool load_send(struct load_producer *p, const uint8_t *value)
{
    int64_t now = bench_now_ns();
    char key[LOAD_KEY_SIZE];
    struct kauri_record r = {.topic = p->load->topic,
                             .partition = (int32_t)(p->sent % p->load->partitions),
                             .timestamp_ms = -1,
                             .value = value,
                             .value_size = (size_t)p->load->size,
                             .opaque = (void *)(intptr_t)now};
    load_key(p->load, p->sent, key, &r);
    int error = kauri_send(p->k, &r);
    if (error == KAURI_AGAIN)
        return false;
    load_check(p->k, "send", error);
    p->sent++;
    return true;
}

/* Connection, metadata, producer id; none of it counts. */
static void load_warm(struct load_producer *p, const uint8_t *value)
{
    p->k = load_open(p->load, load_delivered, p);
    if (!load_send(p, value))
        bench_die("send", "no room for one record");
    load_check(p->k, "flush", kauri_flush(p->k, LOAD_WAIT_MS));
    p->sent = p->delivered = 0;
    p->latency = (struct hist){0};
}

/* Sends one record, or waits for answers. A client that is not alone in its thread lets its record
 * go at once, for the next wait is another one's. */
static void load_step(struct load_producer *p, const struct load_thread *t)
{
    int64_t window = p->load->window;
    bool room = window == 0 || (int64_t)kauri_outstanding(p->k) < window;
    if (!room || !load_send(p, t->value))
        (void)kauri_poll(p->k, 1000);
    else if (t->count > 1)
        (void)kauri_poll(p->k, 0);
}

static void load_thread_loop(struct load_thread *t)
{
    const struct load *l = t->producers->load;
    int64_t until = l->duration_ms > 0 ? t->begin_ns + l->duration_ms * 1000000 : INT64_MAX;
    int64_t open = t->count;
    while (open > 0 && bench_now_ns() < until) {
        open = 0;
        for (int64_t i = 0; i < t->count; i++) {
            struct load_producer *p = &t->producers[i];
            if (p->sent >= p->records_max)
                continue;
            open++;
            load_step(p, t);
        }
    }
    for (int64_t i = 0; i < t->count; i++)
        load_check(t->producers[i].k, "flush", kauri_flush(t->producers[i].k, LOAD_WAIT_MS));
}

static void *load_thread_run(void *arg)
{
    struct load_thread *t = arg;
    for (int64_t i = 0; i < t->count; i++)
        load_warm(&t->producers[i], t->value);
    (void)pthread_barrier_wait(t->start);
    t->begin_ns = bench_now_ns();
    load_thread_loop(t);
    t->end_ns = bench_now_ns();
    for (int64_t i = 0; i < t->count; i++)
        t->producers[i].k = kauri_close(t->producers[i].k);
    return NULL;
}

static void load_thread_start(struct load_thread *t, const struct load *l, int64_t count)
{
    t->count = count;
    t->producers = assert_memory(calloc((size_t)count, sizeof *t->producers), (size_t)count);
    for (int64_t i = 0; i < count; i++) {
        t->producers[i].load = l;
        t->producers[i].records_max = l->records > 0 ? l->records / l->clients + 1 : INT64_MAX;
    }
    bench_check("thread", -pthread_create(&t->thread, NULL, load_thread_run, t));
}

/* Waits for its end; adds what it did. */
static void load_thread_join(struct load_thread *t, struct load_result *out)
{
    bench_check("thread", -pthread_join(t->thread, NULL));
    for (int64_t i = 0; i < t->count; i++) {
        out->records += t->producers[i].delivered;
        hist_merge(&out->latency, &t->producers[i].latency);
    }
    free(t->producers);
}

void load_produce(const struct load *l, struct load_result *out)
{
    int64_t count = l->threads == 0 || l->threads > l->clients ? l->clients : l->threads;
    pthread_barrier_t start;
    uint8_t *value CLEANUP(cleanup_free) = assert_memory(malloc((size_t)l->size), 1);
    struct load_thread *ts CLEANUP(cleanup_free) =
        assert_memory(calloc((size_t)count, sizeof *ts), (size_t)count);
    memset(value, 'k', (size_t)l->size);
    bench_check("barrier", -pthread_barrier_init(&start, NULL, (unsigned)count));
    for (int64_t i = 0; i < count; i++) {
        ts[i].start = &start;
        ts[i].value = value;
        load_thread_start(&ts[i], l, l->clients / count + (i < l->clients % count));
    }
    int64_t begin = INT64_MAX, end = 0;
    for (int64_t i = 0; i < count; i++) {
        load_thread_join(&ts[i], out);
        begin = ts[i].begin_ns < begin ? ts[i].begin_ns : begin;
        end = ts[i].end_ns > end ? ts[i].end_ns : end;
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
