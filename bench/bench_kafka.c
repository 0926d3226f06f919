/* SPDX-License-Identifier: MIT
 *
 * bench_kafka: loads on the Kafka front, over one TCP connection and one thread, with as little of
 * its own as can be: it shares the machine with the broker.
 *
 *   bench_kafka produce --port P --topic T   batches of --count records of --size bytes, --window
 *                                            requests on their way; --live 1 builds each anew;
 *                                            --acks all or 1
 *   bench_kafka drain   --port P --topic T   reads partition 0 from its start to its end, --rounds
 *                                            times, in answers of up to --fetch bytes
 *
 * Answers: records_s, bytes_s (of batches), and for produce the latency of a request.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"
#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/store/batch.h"
#include "proto/kafka/kp.h"

#define KAFKA_PRODUCE_VERSION 7
#define KAFKA_FETCH_VERSION   11
#define KAFKA_CHUNK           (512u << 10)

struct kafka_run {
    const char *row;
    const char *topic;
    int64_t port;
    int64_t size;
    int64_t count;
    int64_t window;
    const char *acks; /* all, 1 */
    int64_t live;
    int64_t duration_ms;
    int64_t rounds;
    int64_t fetch;
    int fd;
};

static int kafka_connect(const struct kafka_run *run)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)run->port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        bench_die("connect", strerror(errno));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void kafka_send(const struct kafka_run *run, const uint8_t *p, size_t size)
{
    while (size > 0) {
        ssize_t n = send(run->fd, p, size, 0);
        if (n <= 0)
            bench_die("send", strerror(errno));
        p += n;
        size -= (size_t)n;
    }
}

/* Appends what there is, waiting for at least one byte. */
static void kafka_receive(const struct kafka_run *run, struct buf *in, size_t room)
{
    buf_reserve(in, room);
    ssize_t n = recv(run->fd, in->p + in->size, room, 0);
    if (n <= 0)
        bench_die("receive", n == 0 ? "the broker hung up" : strerror(errno));
    in->size += (size_t)n;
}

/* --- produce ---------------------------------------------------------------------------------- */

static void kafka_batch(const struct kafka_run *run, struct batch_build *b, struct buf *out)
{
    static const uint8_t filler[1 << 16] = {1, 2, 3, 4, 5, 6, 7};
    struct batch_build_options o = batch_build_plain();
    for (int64_t i = 0; i < run->count; i++)
        batch_build_add(b, 1700000000000, SLICE_NULL, slice_of(filler, (size_t)run->size), NULL, 0);
    buf_reset(out);
    batch_build_finish(b, &o, out);
}

static void kafka_frame(const struct kafka_run *run, struct slice batch, struct buf *out)
{
    struct kp_request_header h = {.correlation_id = 1, .client_id = slice_str("bench")};
    struct kp_produce_request_partition p = {.index = 0, .records = batch};
    struct kp_produce_request_topic t = {.name = slice_str(run->topic)};
    struct kp_produce_request q = {.acks = strcmp(run->acks, "all") == 0 ? -1 : 1,
                                   .timeout_ms = 30000};
    t.partitions.v = &p;
    t.partitions.count = 1;
    q.topics.v = &t;
    q.topics.count = 1;
    struct kp_kind kind = {KP_API_PRODUCE, KP_REQUEST, KAFKA_PRODUCE_VERSION};
    buf_reset(out);
    bench_check("encode", kp_encode_request(kind, &h, &q, out));
}

/* Takes the complete answers off the front; how many. */
static size_t kafka_answers(const struct kafka_run *run, struct buf *in)
{
    size_t pos = 0, count = 0;
    size_t error_at = 4 + 4 + 4 + 2 + strlen(run->topic) + 4 + 4;
    while (in->size - pos >= 4) {
        size_t size = 4 + (size_t)bytes_be32(in->p + pos);
        if (in->size - pos < size)
            break;
        if (size < error_at + 2 || bytes_be16(in->p + pos + error_at) != 0)
            bench_die("produce", "the broker refused a batch");
        pos += size;
        count++;
    }
    memmove(in->p, in->p + pos, in->size - pos);
    in->size -= pos;
    return count;
}

static void kafka_report(const struct kafka_run *run, double records, double bytes, double seconds,
                         const struct hist *h)
{
    struct buf line = {0};
    bench_line_begin(&line, run->row);
    bench_line_number(&line, "records_s", records / seconds);
    bench_line_number(&line, "bytes_s", bytes / seconds);
    if (h != NULL)
        bench_line_hist(&line, h);
    bench_line_end(&line);
}

static void kafka_produce(struct kafka_run *run)
{
    struct buf batch CLEANUP(buf_deinit) = {0}, frame CLEANUP(buf_deinit) = {0};
    struct buf chunk CLEANUP(buf_deinit) = {0}, in CLEANUP(buf_deinit) = {0};
    struct batch_build b;
    static struct hist h; /* large */
    int64_t in_flight = 0, done = 0, sent = 0;
    int64_t *begun = assert_memory(calloc((size_t)run->window, sizeof *begun), sizeof *begun);
    batch_build_init(&b);
    kafka_batch(run, &b, &batch);
    kafka_frame(run, buf_slice(&batch), &frame);
    int64_t begin = bench_now_ns(), end = begin + run->duration_ms * 1000000, now = begin;
    while (now < end || in_flight > 0) {
        buf_reset(&chunk);
        for (; now < end && in_flight < run->window && chunk.size < KAFKA_CHUNK; in_flight++) {
            if (run->live) {
                kafka_batch(run, &b, &batch);
                kafka_frame(run, buf_slice(&batch), &frame);
            }
            buf_append(&chunk, frame.p, frame.size);
            begun[sent++ % run->window] = now;
        }
        kafka_send(run, chunk.p, chunk.size);
        kafka_receive(run, &in, 256u << 10);
        now = bench_now_ns();
        for (size_t n = kafka_answers(run, &in); n > 0; n--, in_flight--)
            hist_add(&h, (now - begun[done++ % run->window]));
    }
    kafka_report(run, (double)(done * run->count), (double)done * (double)batch.size,
                 (double)(now - begin) / 1e9, &h);
    batch_build_deinit(&b);
    free(begun);
}

/* --- drain ------------------------------------------------------------------------------------ */

static void kafka_ask(const struct kafka_run *run, int64_t offset)
{
    struct buf frame CLEANUP(buf_deinit) = {0};
    struct kp_request_header h = {.correlation_id = 1, .client_id = slice_str("bench")};
    struct kp_fetch_request_partition p = KP_FETCH_REQUEST_PARTITION_INIT;
    struct kp_fetch_request_topic t = KP_FETCH_REQUEST_TOPIC_INIT;
    struct kp_fetch_request q = KP_FETCH_REQUEST_INIT;
    struct kp_kind kind = {KP_API_FETCH, KP_REQUEST, KAFKA_FETCH_VERSION};
    p.fetch_offset = offset;
    p.max_bytes = (int32_t)run->fetch;
    t.name = slice_str(run->topic);
    t.partitions.v = &p;
    t.partitions.count = 1;
    q.max_bytes = (int32_t)run->fetch;
    q.topics.v = &t;
    q.topics.count = 1;
    bench_check("encode", kp_encode_request(kind, &h, &q, &frame));
    kafka_send(run, frame.p, frame.size);
}

/* The records of one answer: bytes, and *offset behind them. */
static size_t kafka_read(struct kafka_run *run, struct buf *in, int64_t *offset, int64_t *records)
{
    struct kp_kind kind = {KP_API_FETCH, KP_RESPONSE, KAFKA_FETCH_VERSION};
    struct kp_fetch_response a = KP_FETCH_RESPONSE_INIT;
    struct arena arena;
    buf_reset(in);
    while (in->size < 4 || in->size < 4 + (size_t)bytes_be32(in->p)) {
        size_t left = in->size < 4 ? 65536 : 4 + (size_t)bytes_be32(in->p) - in->size;
        kafka_receive(run, in, left);
    }
    struct slice body = slice_of(in->p + 8, in->size - 8);
    arena_init(&arena, 1u << 20);
    bench_check("decode", kp_decode(kind, &body, &arena, &a));
    if (a.topics.count != 1 || a.topics.v[0].partitions.v[0].error != 0)
        bench_die("fetch", "the broker refused");
    struct slice r = a.topics.v[0].partitions.v[0].records;
    for (struct slice left = r; left.size > 0;) {
        struct batch_header h;
        if (batch_parse(left, &h) != BATCH_OK || h.size > left.size)
            bench_die("fetch", "a batch does not check");
        *records += h.count;
        *offset = batch_next_offset(&h);
        left = slice_of(left.p + h.size, left.size - h.size);
    }
    arena_deinit(&arena);
    return r.size;
}

static void kafka_drain(struct kafka_run *run)
{
    struct buf in CLEANUP(buf_deinit) = {0};
    int64_t records = 0, begin = bench_now_ns();
    double bytes = 0;
    for (int64_t i = 0; i < run->rounds; i++) {
        int64_t offset = 0;
        size_t got = 1;
        while (got > 0) {
            kafka_ask(run, offset);
            got = kafka_read(run, &in, &offset, &records);
            bytes += (double)got;
        }
    }
    kafka_report(run, (double)records, bytes, (double)(bench_now_ns() - begin) / 1e9, NULL);
}

int main(int argc, char **argv)
{
    struct kafka_run run = {.row = "row",
                            .size = 100,
                            .count = 1,
                            .window = 1,
                            .acks = "1",
                            .duration_ms = 3000,
                            .rounds = 1,
                            .fetch = 8 << 20};
    const struct bench_option options[] = {{"row", &run.row, NULL},
                                           {"topic", &run.topic, NULL},
                                           {"port", NULL, &run.port},
                                           {"size", NULL, &run.size},
                                           {"count", NULL, &run.count},
                                           {"window", NULL, &run.window},
                                           {"acks", &run.acks, NULL},
                                           {"live", NULL, &run.live},
                                           {"duration-ms", NULL, &run.duration_ms},
                                           {"rounds", NULL, &run.rounds},
                                           {"fetch", NULL, &run.fetch},
                                           {NULL, NULL, NULL}};
    if (argc < 2)
        bench_die("arguments", "want produce or drain");
    bench_options(argc, argv, 2, options);
    if (run.topic == NULL || run.port < 1 || run.count < 1 || run.window < 1 || run.size > 65536)
        bench_die("arguments", "want --port, --topic, --count and --window from 1");
    run.fd = kafka_connect(&run);
    if (strcmp(argv[1], "produce") == 0)
        kafka_produce(&run);
    else
        kafka_drain(&run);
    (void)close(run.fd);
    return 0;
}
