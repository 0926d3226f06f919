/* SPDX-License-Identifier: MIT
 *
 * raw: see raw.h.
 */
#include "bench/raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

#define RAW_RESERVE   ((size_t)16 << 20)
#define RAW_PING_SIZE 100

/* --- files --- */

static void raw_must(bool ok, const char *what)
{
    if (!ok)
        bench_die(what, error_text(errno));
}

/* A new file without a name, `size` bytes reserved and on the disk. */
static int raw_file(const char *dir, size_t size)
{
    struct buf path CLEANUP(buf_deinit) = {0};
    int fd = open(bench_path(&path, dir, "raw"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    raw_must(fd >= 0, "open");
    raw_must(unlink((const char *)path.p) == 0, "unlink");
    raw_must(fallocate(fd, 0, 0, (off_t)size) == 0, "fallocate");
    raw_must(fsync(fd) == 0, "fsync");
    return fd;
}

static uint8_t *raw_bytes(size_t size)
{
    uint8_t *p = assert_memory(malloc(size), size);
    memset(p, 'k', size);
    return p;
}

double raw_copy(const char *dir, size_t size, size_t total)
{
    size_t count = total / size;
    int fd CLEANUP(cleanup_fd) = raw_file(dir, count * size);
    uint8_t *from CLEANUP(cleanup_free) = raw_bytes(size);
    uint8_t *map = mmap(NULL, count * size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    raw_must(map != MAP_FAILED, "mmap");
    int64_t start = bench_now_ns();
    for (size_t i = 0; i < count; i++)
        memcpy(map + i * size, from, size);
    int64_t took = bench_now_ns() - start;
    raw_must(munmap(map, count * size) == 0, "munmap");
    return (double)took / (double)count;
}

static void raw_pwrite(int fd, const uint8_t *from, size_t size, size_t pos)
{
    raw_must(pwrite(fd, from, size, (off_t)pos) == (ssize_t)size, "pwrite");
}

double raw_write(const char *dir, size_t size, size_t total)
{
    size_t count = total / size;
    int fd CLEANUP(cleanup_fd) = raw_file(dir, count * size);
    uint8_t *from CLEANUP(cleanup_free) = raw_bytes(size);
    int64_t start = bench_now_ns();
    for (size_t i = 0; i < count; i++)
        raw_pwrite(fd, from, size, i * size);
    return (double)(bench_now_ns() - start) / (double)count;
}

void raw_sync(const char *dir, size_t size, int count, struct hist *out)
{
    size_t room = size * (size_t)count;
    int fd CLEANUP(cleanup_fd) = raw_file(dir, room > RAW_RESERVE ? room : RAW_RESERVE);
    uint8_t *from CLEANUP(cleanup_free) = raw_bytes(size);
    for (int i = 0; i < count; i++) {
        int64_t start = bench_now_ns();
        raw_pwrite(fd, from, size, (size_t)i * size);
        raw_must(fdatasync(fd) == 0, "fdatasync");
        hist_add(out, bench_now_ns() - start);
    }
}

static void raw_many_once(const int *fds, const struct raw_files *files, size_t pos,
                          enum raw_many how)
{
    uint8_t *from CLEANUP(cleanup_free) = raw_bytes(files->size);
    for (size_t i = 0; i < files->count; i++)
        raw_pwrite(fds[i], from, files->size, pos);
    if (how == RAW_SYNCFS)
        raw_must(syncfs(fds[0]) == 0, "syncfs");
    for (size_t i = 0; how == RAW_FDATASYNC && i < files->count; i++)
        raw_must(fdatasync(fds[i]) == 0, "fdatasync");
}

void raw_sync_many(const char *dir, const struct raw_files *files, enum raw_many how,
                   struct hist *out)
{
    size_t room = files->size * (size_t)(files->repeat + 1);
    int *fds CLEANUP(cleanup_free) = assert_memory(calloc(files->count, sizeof *fds), sizeof *fds);
    for (size_t i = 0; i < files->count; i++)
        fds[i] = raw_file(dir, room);
    raw_many_once(fds, files, 0, RAW_SYNCFS);
    for (int i = 1; i <= files->repeat; i++) {
        int64_t start = bench_now_ns();
        raw_many_once(fds, files, (size_t)i * files->size, how);
        hist_add(out, bench_now_ns() - start);
    }
    for (size_t i = 0; i < files->count; i++)
        (void)close(fds[i]);
}

/* --- sockets --- */

static void raw_tcp_pair(int pair[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int one = 1;
    int fd CLEANUP(cleanup_fd) = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    raw_must(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0, "bind");
    raw_must(listen(fd, 1) == 0, "listen");
    raw_must(getsockname(fd, (struct sockaddr *)&at, &size) == 0, "getsockname");
    pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    raw_must(pair[0] >= 0 && connect(pair[0], (struct sockaddr *)&at, size) == 0, "connect");
    pair[1] = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    raw_must(pair[1] >= 0, "accept");
    for (int i = 0; i < 2; i++)
        raw_must(setsockopt(pair[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0, "nodelay");
}

static void raw_pair(enum raw_socket kind, int pair[2])
{
    if (kind == RAW_TCP)
        raw_tcp_pair(pair);
    else
        raw_must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
}

struct raw_peer {
    int fd;
    size_t size;
    bool echo;
    pthread_t thread;
};

/* Reads until the other end closes; sends back what came when asked to. */
static void *raw_peer_run(void *arg)
{
    struct raw_peer *peer = arg;
    uint8_t *bytes CLEANUP(cleanup_free) = raw_bytes(peer->size);
    for (;;) {
        ssize_t got = recv(peer->fd, bytes, peer->size, peer->echo ? MSG_WAITALL : 0);
        raw_must(got >= 0, "recv");
        if (got == 0)
            return NULL;
        if (peer->echo)
            raw_must(send(peer->fd, bytes, (size_t)got, MSG_NOSIGNAL) == got, "send");
    }
}

/* Starts the reading end; returns the writing end. */
static int raw_peer_start(struct raw_peer *peer, enum raw_socket kind)
{
    int pair[2];
    raw_pair(kind, pair);
    peer->fd = pair[1];
    bench_check("thread", -pthread_create(&peer->thread, NULL, raw_peer_run, peer));
    return pair[0];
}

static void raw_peer_stop(struct raw_peer *peer, int fd)
{
    (void)shutdown(fd, SHUT_WR);
    bench_check("thread", -pthread_join(peer->thread, NULL));
    (void)close(fd);
    (void)close(peer->fd);
}

double raw_stream(enum raw_socket kind, size_t size, int64_t duration_ns)
{
    struct raw_peer peer = {.size = size};
    uint8_t *bytes CLEANUP(cleanup_free) = raw_bytes(size);
    int fd = raw_peer_start(&peer, kind);
    int64_t start = bench_now_ns();
    double sum = 0;
    while (bench_now_ns() - start < duration_ns) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        raw_must(sent > 0, "send");
        sum += (double)sent;
    }
    raw_peer_stop(&peer, fd);
    return sum * 1e9 / (double)(bench_now_ns() - start);
}

void raw_pingpong(enum raw_socket kind, int count, struct hist *out)
{
    struct raw_peer peer = {.size = RAW_PING_SIZE, .echo = true};
    uint8_t bytes[RAW_PING_SIZE] = {0};
    int fd = raw_peer_start(&peer, kind);
    for (int i = 0; i < count; i++) {
        int64_t start = bench_now_ns();
        raw_must(send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) == sizeof bytes, "send");
        raw_must(recv(fd, bytes, sizeof bytes, MSG_WAITALL) == sizeof bytes, "recv");
        hist_add(out, bench_now_ns() - start);
    }
    raw_peer_stop(&peer, fd);
}
