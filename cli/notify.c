/* SPDX-License-Identifier: MIT
 *
 * notify: see notify.h.
 */
#include "cli/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/base/assert.h"

#define NOTIFY_SIZE_MAX    512
#define NOTIFY_STOP_MS     1000
#define NOTIFY_EXTEND_USEC 30000000

/* Connects to a path, or with "@" at its head to an abstract name. -1 when it cannot. */
static int notify_connect(const char *name)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t size = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || size < 2 || size >= sizeof to.sun_path)
        return -1;
    memcpy(to.sun_path, name, size);
    if (name[0] == '@')
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, length) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

/* Half of what the manager allows, as it recommends; 0 when it watches somebody else, or nobody. */
static int64_t notify_watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    if (usec == NULL || (pid != NULL && strtol(pid, NULL, 10) != (long)getpid()))
        return 0;
    int64_t ms = strtoll(usec, NULL, 10) / 2000;
    return ms < 0 ? 0 : ms > INT32_MAX ? INT32_MAX : ms;
}

void notify_open(struct notify *n)
{
    const char *name = getenv("NOTIFY_SOCKET");
    *n = (struct notify){.fd = name != NULL ? notify_connect(name) : -1};
    if (n->fd >= 0)
        n->watchdog_ms = notify_watchdog_ms();
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
    ASSERT(n->fd >= 0 || n->watchdog_ms == 0);
}

void notify_close(struct notify *n)
{
    if (n->fd >= 0)
        (void)close(n->fd);
    n->fd = -1;
    n->watchdog_ms = 0;
}

void notify_send(const struct notify *n, const char *fmt, ...)
{
    char text[NOTIFY_SIZE_MAX];
    va_list args;
    if (n->fd < 0)
        return;
    va_start(args, fmt);
    int size = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ASSERT(size > 0);
    size_t length = (size_t)size < sizeof text ? (size_t)size : sizeof text - 1;
    (void)!send(n->fd, text, length, MSG_NOSIGNAL);
}

void notify_turn(struct notify *n, int64_t now_ms, bool stopping)
{
    if (n->fd < 0 || now_ms < n->next_ms)
        return;
    if (n->watchdog_ms > 0)
        notify_send(n, "WATCHDOG=1");
    if (stopping)
        notify_send(n, "EXTEND_TIMEOUT_USEC=%d", NOTIFY_EXTEND_USEC);
    bool soon = stopping && (n->watchdog_ms == 0 || n->watchdog_ms > NOTIFY_STOP_MS);
    n->next_ms = now_ms + (soon ? NOTIFY_STOP_MS : n->watchdog_ms);
}

int64_t notify_next_ms(const struct notify *n)
{
    return n->watchdog_ms > 0 ? n->next_ms : INT64_MAX;
}

bool notify_is_journal(int fd)
{
    struct stat st;
    unsigned long long device = 0, inode = 0;
    const char *stream = getenv("JOURNAL_STREAM");
    return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(fd, &st) == 0 && (unsigned long long)st.st_dev == device &&
           (unsigned long long)st.st_ino == inode;
}
