/* SPDX-License-Identifier: MIT
 *
 * bench_conn: what net/conn costs beside libuv's own ways and beside the bare sockets, in one run
 * (ways.h). One client thread, one server thread; each line of JSON has the server's CPU time too,
 * for on two cores the client is often the slower one.
 *
 *   pipelined   4 connections with 500 requests of 100 B in flight each, answers of 24 B
 *   pingpong    one connection, one request in flight
 *   in          requests of 64 KiB and of 1 MiB, answers of 24 B
 *   out         answers of 1 MiB from memory, from a mapping, from a file
 *   idle        10,000 connections that do nothing: memory per connection
 *
 *   bench_conn [--row-ms 1000] [--conns 10000]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/ways.h"
#include "engine/base/assert.h"

#define BENCH_CONNS_MAX 64

static const char *const bench_names[WAYS_SERVERS] = {"conn", "conn_in_uv", "uv_poll", "uv_tcp",
                                                      "raw"};
static int64_t bench_ms;

struct bench_load {
    struct ways_options way;
    size_t conns;
    size_t window; /* requests in flight per connection */
};

static int bench_connect(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        bench_die("connect", strerror(errno));
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0)
        bench_die("setsockopt", strerror(errno));
    return fd;
}

static void bench_send(int fd, const uint8_t *p, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t n = send(fd, p + at, size - at, MSG_NOSIGNAL);
        if (n < 0)
            bench_die("send", strerror(errno));
        at += (size_t)n;
    }
}

static void bench_receive(int fd, uint8_t *buffer, size_t cap, size_t size)
{
    while (size > 0) {
        ssize_t n = recv(fd, buffer, size < cap ? size : cap, 0);
        if (n <= 0)
            bench_die("recv", n == 0 ? "closed" : strerror(errno));
        size -= (size_t)n;
    }
}

/* The requests of one window, one behind the other. */
static uint8_t *bench_requests(const struct bench_load *load)
{
    size_t size = load->way.request, count = load->window;
    uint8_t *p = assert_memory(calloc(count, size), count * size);
    for (size_t i = 0; i < count; i++)
        bytes_put_be32(p + i * size, (uint32_t)(size - 4));
    return p;
}

/* Rounds until time is over: of each connection, read the answers and send again. */
static uint64_t bench_drive(const struct bench_load *load, const int *fds, struct hist *hist)
{
    enum { CAP = 256 * 1024 };
    static uint8_t buffer[CAP];
    uint8_t *out = bench_requests(load);
    size_t out_size = load->way.request * load->window;
    size_t in_size = load->way.answer * load->window;
    int64_t end = bench_now_ns() + bench_ms * 1000000;
    uint64_t rounds = 0;
    for (size_t i = 0; i < load->conns; i++)
        bench_send(fds[i], out, out_size);
    for (int64_t last = bench_now_ns(), now = last; now < end; last = now) {
        for (size_t i = 0; i < load->conns; i++, rounds++) {
            bench_receive(fds[i], buffer, CAP, in_size);
            bench_send(fds[i], out, out_size);
        }
        now = bench_now_ns();
        hist_add(hist, now - last);
    }
    for (size_t i = 0; i < load->conns; i++)
        bench_receive(fds[i], buffer, CAP, in_size);
    free(out);
    return (rounds + load->conns) * load->window;
}

static void bench_run(const char *row, const struct bench_load *load)
{
    int fds[BENCH_CONNS_MAX];
    static struct hist hist;
    struct buf line = {0};
    struct conn_stats stats;
    char name[64];
    memset(&hist, 0, sizeof hist);
    struct ways *w = ways_start(&load->way);
    for (size_t i = 0; i < load->conns; i++)
        fds[i] = bench_connect(ways_port(w));
    int64_t cpu = ways_cpu_ns(w), start = bench_now_ns();
    uint64_t count = bench_drive(load, fds, &hist);
    cpu = ways_cpu_ns(w) - cpu;
    double seconds = (double)(bench_now_ns() - start) / 1e9, requests = (double)count;
    for (size_t i = 0; i < load->conns; i++)
        close(fds[i]);
    ways_stop(w);
    ways_stats(w, &stats);
    (void)snprintf(name, sizeof name, "%s %s", row, bench_names[load->way.server]);
    bench_line_begin(&line, name);
    bench_line_number(&line, "per_s", requests / seconds);
    bench_line_number(&line, "per_server_cpu_s", requests / ((double)cpu / 1e9));
    bench_line_number(&line, "server_cpu_ns", (double)cpu / requests);
    size_t size = load->way.request > load->way.answer ? load->way.request : load->way.answer;
    bench_line_number(&line, "GB_per_s", requests * (double)size / seconds / 1e9);
    bench_line_number(&line, "p50_us", (double)hist_percentile(&hist, 50) / 1e3);
    if (stats.frames > 0) {
        bench_line_number(&line, "reads_per_frame", (double)stats.reads / (double)stats.frames);
        bench_line_number(&line, "sends_per_frame", (double)stats.sends / (double)stats.frames);
    }
    bench_line_end(&line);
    ways_free(w);
}

/* --- idle --- */

static double bench_anon_bytes(void)
{
    char text[256];
    double kib = 0;
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    while (file != NULL && fgets(text, sizeof text, file) != NULL)
        if (strncmp(text, "Anonymous:", 10) == 0)
            kib = strtod(text + 10, NULL);
    if (file != NULL)
        (void)fclose(file);
    return kib * 1024;
}

/* Another process holds the clients' ends: it connects, each does one request, and it waits. */
static void bench_idle_client(uint16_t port, size_t conns, const int *ready, const int *done)
{
    uint8_t request[100] = {0, 0, 0, 96}, answer[24];
    char byte;
    for (size_t i = 0; i < conns; i++) {
        int fd = bench_connect(port);
        bench_send(fd, request, sizeof request);
        bench_receive(fd, answer, sizeof answer, sizeof answer);
    }
    if (write(ready[1], "", 1) != 1 || read(done[0], &byte, 1) < 0)
        _exit(1);
    _exit(0);
}

static void bench_idle(size_t conns)
{
    struct ways_options o = {WAYS_FRONT, WAYS_OWNED, 100, 24};
    int ready[2], done[2];
    char byte;
    struct buf line = {0};
    struct conn_stats stats;
    struct ways *w = ways_start(&o);
    double before = bench_anon_bytes();
    if (pipe(ready) != 0 || pipe(done) != 0)
        bench_die("pipe", strerror(errno));
    pid_t child = fork();
    if (child == 0)
        bench_idle_client(ways_port(w), conns, ready, done);
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1)
        bench_die("idle", "the clients failed; is `ulimit -n` above --conns?");
    double used = bench_anon_bytes() - before;
    if (write(done[1], "", 1) != 1 || waitpid(child, NULL, 0) != child)
        bench_die("idle", strerror(errno));
    ways_stop(w);
    ways_stats(w, &stats);
    bench_line_begin(&line, "idle conn");
    bench_line_number(&line, "connections", (double)stats.accepted);
    bench_line_number(&line, "anon_bytes", used);
    bench_line_number(&line, "anon_bytes_per_connection", used / (double)conns);
    bench_line_end(&line);
    ways_free(w);
    close(ready[0]);
    close(done[0]);
    close(done[1]);
}

int main(int argc, char **argv)
{
    static const char *const out_rows[] = {"out 1 MiB memory", "out 1 MiB mapped",
                                           "out 1 MiB file"};
    int64_t conns = 10000;
    bench_ms = 1000;
    const struct bench_option options[] = {
        {"row-ms", NULL, &bench_ms}, {"conns", NULL, &conns}, {NULL, NULL, NULL}};
    bench_options(argc, argv, 1, options);
    if (conns > 0) /* first: memory that others have given back would be used again */
        bench_idle((size_t)conns);
    for (int i = 0; i < WAYS_SERVERS; i++) {
        enum ways_server server = (enum ways_server)i;
        bench_run("pipelined 100 B", &(struct bench_load){{server, WAYS_OWNED, 100, 24}, 4, 500});
        bench_run("pingpong 100 B", &(struct bench_load){{server, WAYS_OWNED, 100, 24}, 1, 1});
        if (server != WAYS_FRONT && server != WAYS_RAW)
            continue;
        bench_run("in 64 KiB", &(struct bench_load){{server, WAYS_OWNED, 65536, 24}, 2, 4});
        bench_run("in 1 MiB", &(struct bench_load){{server, WAYS_OWNED, 1 << 20, 24}, 2, 2});
        for (int k = 0; k < 3; k++) {
            enum ways_answer from = (enum ways_answer)k;
            if (server == WAYS_FRONT || from != WAYS_MAPPED)
                bench_run(out_rows[k], &(struct bench_load){{server, from, 100, 1 << 20}, 2, 2});
        }
    }
    return 0;
}
