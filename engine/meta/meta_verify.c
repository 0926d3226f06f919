/* SPDX-License-Identifier: MIT
 *
 * meta_verify: is the view sound, and if not, out of the way with it.
 *
 * Damage can kill whoever reads it: LMDB asserts, follows wild page numbers (SIGSEGV) and maps
 * files that were cut (SIGBUS). So a child process walks first and says what it found by a pipe:
 *
 *   parent                         child
 *   fork                           stderr to /dev/null, signals to default, no core file, alarm
 *   read the pipe                  meta_lmdb_walk
 *   <- [i64 le result][u64 le rows], then _exit
 *   wait for its end
 *
 * A child that ends without a message, by a signal or by its own alarm, met damage. Nothing is
 * written and no lock is taken; nothing is ever deleted.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/meta/meta_priv.h"

#define META_VERIFY_MESSAGE 16

static void meta_verify_quiet(void)
{
    static const int signals[] = {SIGBUS, SIGSEGV, SIGABRT, SIGFPE, SIGILL, SIGALRM, SIGTERM};
    struct rlimit none = {0, 0};
    sigset_t empty;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        (void)signal(signals[i], SIG_DFL);
    (void)sigemptyset(&empty);
    (void)sigprocmask(SIG_SETMASK, &empty, NULL);
    (void)alarm(META_VERIFY_MS / 1000);
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)dup2(fd, STDERR_FILENO);
}

static _Noreturn void meta_verify_child(const char *dir, int fd)
{
    ASSERT(dir != NULL && fd >= 0);
    uint8_t message[META_VERIFY_MESSAGE];
    uint64_t rows = 0;
    if (fd > STDERR_FILENO + 1) /* nothing else: a lock of the parent would outlive it here */
        (void)close_range(STDERR_FILENO + 1, (unsigned)fd - 1, 0);
    (void)close_range((unsigned)fd + 1, UINT_MAX, 0);
    meta_verify_quiet();
    int r = meta_lmdb_walk(dir, &rows);
    ASSERT(r <= META_DAMAGED);
    bytes_put_le64(message, (uint64_t)(int64_t)r);
    bytes_put_le64(message + 8, rows);
    ssize_t n = write(fd, message, sizeof message);
    _exit(n == (ssize_t)sizeof message ? 0 : 1);
}

/* Waits for the message: its result, or META_DAMAGED without one. */
static int meta_verify_listen(int fd, uint64_t *rows)
{
    uint8_t message[META_VERIFY_MESSAGE];
    ssize_t n;
    ASSERT(fd >= 0 && rows != NULL);
    do {
        n = read(fd, message, sizeof message); /* ends: the child has an alarm */
    } while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof message)
        return n < 0 ? -errno : META_DAMAGED;
    *rows = bytes_le64(message + 8);
    int64_t r = (int64_t)bytes_le64(message);
    ASSERT(r > -4096 && r <= META_DAMAGED); /* the child is this same program */
    return (int)r;
}

/* Ends the child, whatever it does, and takes its status. */
static int meta_verify_reap(pid_t pid)
{
    int status;
    pid_t got;
    ASSERT(pid > 0);
    (void)kill(pid, SIGKILL);
    do {
        got = waitpid(pid, &status, 0);
    } while (got < 0 && errno == EINTR);
    return got == pid || errno == ECHILD ? 0 : -errno; /* ECHILD: SIGCHLD is ignored */
}

int meta_verify(const char *dir, uint64_t *rows)
{
    int ends[2];
    uint64_t count = 0;
    ASSERT(dir != NULL);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -errno;
    int in CLEANUP(cleanup_fd) = ends[0];
    int out CLEANUP(cleanup_fd) = ends[1];
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        meta_verify_child(dir, out);
    (void)close(out);
    out = -1; /* so that the end of the child is the end of the pipe */
    int r = meta_verify_listen(in, &count);
    ASSERT(r != 0 || count < UINT64_MAX / 2);
    int reaped = meta_verify_reap(pid);
    if (reaped != 0)
        return reaped;
    if (r == 0 && rows != NULL)
        *rows = count;
    return r;
}

int meta_set_aside(const char *dir, int64_t wall_ms)
{
    ASSERT(dir != NULL && dir[0] != '\0');
    struct buf name CLEANUP(buf_deinit) = {0};
    size_t size = strlen(dir);
    while (size > 1 && dir[size - 1] == '/')
        size--;
    ASSERT(size >= 1 && size <= INT_MAX);
    buf_printf(&name, "%.*s.damaged-%lld", (int)size, dir, (long long)wall_ms);
    buf_append_u8(&name, 0);
    const char *to = (const char *)name.p;
    if (renameat2(AT_FDCWD, dir, AT_FDCWD, to, RENAME_NOREPLACE) != 0)
        return errno == ENOENT ? META_NONE : -errno;
    return meta_sync_folder(to);
}
