/* SPDX-License-Identifier: MIT
 *
 * load_paced: see load.h. Two threads with a client each:
 *
 *   producer   sleeps until the next record is due, sends all that are due, each with its scheduled
 *              time in its first eight bytes, and never waits for an answer
 *   consumer   reads from the end on; latency is its clock minus that time
 *
 * The producer begins once the consumer is known to read (it got a probe record). A full buffer
 * ends the run: the rate is then more than the broker takes, and the schedule could not be kept.
 */
#include <pthread.h>
#include <stdlib.h>

#include "bench/load.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

#define LOAD_PACED_WAIT_MS 30000
#define LOAD_PACED_PROBE   0 /* in place of a time: a probe */

struct load_paced {
    const struct load *load;
    struct load_result *out;
    int64_t records;
    pthread_barrier_t ready;
    pthread_t producer;
};

static void load_paced_delivered(void *ctx, const struct kauri_record *r, int error,
                                 const char *message)
{
    (void)ctx;
    (void)r;
    if (error != 0)
        bench_die("produce", message != NULL ? message : kauri_error_text(error));
}

struct load_paced_one {
    int64_t number;
    int64_t at_ns;
};

static void load_paced_send(struct kauri *k, const struct load *l, uint8_t *value,
                            struct load_paced_one one)
{
    char key[LOAD_KEY_SIZE];
    struct kauri_record r = {
        .topic = l->topic, .timestamp_ms = -1, .value = value, .value_size = (size_t)l->size};
    bytes_put_le64(value, (uint64_t)one.at_ns);
    load_key(l, one.number, key, &r);
    load_check(k, "send", kauri_send(k, &r));
}

static void *load_paced_produce(void *arg)
{
    struct load_paced *p = arg;
    const struct load *l = p->load;
    struct kauri *k = load_open(l, load_paced_delivered, NULL);
    uint8_t *value CLEANUP(cleanup_free) = assert_memory(calloc(1, (size_t)l->size), 1);
    bench_sharp_timers();
    load_paced_send(k, l, value, (struct load_paced_one){0, LOAD_PACED_PROBE});
    load_check(k, "flush", kauri_flush(k, LOAD_PACED_WAIT_MS));
    (void)pthread_barrier_wait(&p->ready);
    int64_t start = bench_now_ns();
    for (int64_t i = 0; i < p->records;) {
        bench_sleep_until(start + i * 1000000000 / l->rate);
        int64_t now = bench_now_ns();
        for (; i < p->records && start + i * 1000000000 / l->rate <= now; i++) {
            struct load_paced_one one = {i, start + i * 1000000000 / l->rate};
            load_paced_send(k, l, value, one);
        }
        (void)kauri_poll(k, 0);
    }
    load_check(k, "flush", kauri_flush(k, LOAD_PACED_WAIT_MS));
    (void)kauri_close(k);
    return NULL;
}

/* The next record's scheduled time. */
static int64_t load_paced_next(struct kauri *k)
{
    struct kauri_record r;
    int event;
    do
        event = kauri_next(k, LOAD_PACED_WAIT_MS, &r);
    while (event == KAURI_END);
    load_check(k, "next", event);
    return (int64_t)bytes_le64(r.value);
}

static void load_paced_consume(struct load_paced *p, struct kauri *k)
{
    int64_t begin = bench_now_ns();
    for (int64_t i = 0; i < p->records; i++) {
        int64_t at = load_paced_next(k);
        if (i >= p->records / 10)
            hist_add(&p->out->latency, bench_now_ns() - at);
        p->out->records++;
    }
    p->out->took_ns = bench_now_ns() - begin;
    p->out->size = (double)p->out->records * (double)p->load->size;
}

void load_paced(const struct load *l, struct load_result *out)
{
    struct load_paced p = {.load = l, .out = out};
    struct kauri *k = load_open(l, NULL, NULL);
    int64_t end = 0;
    p.records = l->rate * l->duration_ms / 1000;
    if (l->records > 0 && l->records < p.records)
        p.records = l->records;
    load_check(k, "offset", kauri_offset(k, l->topic, 0, KAURI_OFFSET_END, &end));
    load_check(k, "assign", kauri_assign(k, l->topic, 0, end));
    bench_check("barrier", -pthread_barrier_init(&p.ready, NULL, 2));
    bench_check("thread", -pthread_create(&p.producer, NULL, load_paced_produce, &p));
    if (load_paced_next(k) != LOAD_PACED_PROBE)
        bench_die("next", "another record than the probe: who else writes here?");
    (void)pthread_barrier_wait(&p.ready);
    load_paced_consume(&p, k);
    bench_check("thread", -pthread_join(p.producer, NULL));
    (void)pthread_barrier_destroy(&p.ready);
    (void)kauri_close(k);
}
