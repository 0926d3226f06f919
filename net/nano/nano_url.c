/* SPDX-License-Identifier: MIT
 *
 * nano_url: see nano_url.h.
 */
#include "net/nano/nano_url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

#define NANO_URL_IPC       "ipc://"
#define NANO_URL_TCP       "tcp://"
#define NANO_URL_SIZE_MAX  127 /* nanomsg's NN_SOCKADDR_MAX, less the NUL */
#define NANO_URL_PORT_MAX  65535
#define NANO_URL_PORT_SIZE 5

void nano_url_why(const struct nano_options *o, const char *fmt, ...)
{
    va_list args;
    if (o->why == NULL)
        return;
    va_start(args, fmt);
    (void)vsnprintf(o->why, NANO_WHY_SIZE, fmt, args);
    va_end(args);
}

/* What follows a scheme; NULL when the URL has another. */
static const char *nano_url_after(const char *url, const char *scheme)
{
    size_t size = strlen(scheme);
    ASSERT(url != NULL && size > 0);
    return strncmp(url, scheme, size) == 0 ? url + size : NULL;
}

/* --- ipc --- */

/* Makes the folder of `path`, one level. */
static int nano_url_folder(const struct nano_options *o, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return 0;
    char *dir CLEANUP(cleanup_free) = strndup(path, (size_t)(slash - path));
    assert_memory(dir, (size_t)(slash - path));
    if (mkdir(dir, 0700) == 0) /* a umask takes rights away at most */
        return 0;
    int error = errno;
    if (error == EEXIST)
        return 0;
    nano_url_why(o, "cannot make the folder '%s' of the socket: %s", dir, error_text(error));
    return NANO_FOLDER;
}

/* True when a process listens at the socket `path`. */
static bool nano_url_answers(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    ASSERT(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path));
    int fd CLEANUP(cleanup_fd) = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ASSERT(fd >= 0 || errno != EAFNOSUPPORT);
    if (fd < 0)
        return true; /* cannot tell: nothing is removed on doubt */
    int r = connect(fd, (const struct sockaddr *)&address, sizeof address);
    return r == 0 || errno != ECONNREFUSED;
}

/* Removes a socket left behind. */
static int nano_url_clear(const struct nano_options *o, const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0 && errno == ENOENT)
        return 0;
    if (!S_ISSOCK(st.st_mode)) {
        nano_url_why(o, "'%s' is not a socket; give another address", path);
        return NANO_IN_USE;
    }
    if (nano_url_answers(path)) {
        nano_url_why(o, "address '%s' is in use: another process listens there", o->url);
        return NANO_IN_USE;
    }
    if (unlink(path) == 0 || errno == ENOENT)
        return 0;
    int error = errno;
    nano_url_why(o, "cannot remove the stale socket '%s': %s", path, error_text(error));
    return -error;
}

static int nano_url_prepare_ipc(const struct nano_options *o, const char *path)
{
    struct sockaddr_un address;
    if (path[0] != '/' || strlen(path) >= sizeof address.sun_path) {
        nano_url_why(o, "address '%s': the path must be absolute and shorter than %zu bytes",
                     o->url, sizeof address.sun_path);
        return NANO_BAD_URL;
    }
    int r = nano_url_folder(o, path);
    return r != 0 ? r : nano_url_clear(o, path);
}

int nano_url_protect(const struct nano_options *o)
{
    const char *path = nano_url_after(o->url, NANO_URL_IPC);
    if (path == NULL || chmod(path, 0600) == 0)
        return 0;
    int error = errno;
    nano_url_why(o, "cannot set the mode of '%s': %s", path, error_text(error));
    return -error;
}

/* --- tcp --- */

static bool nano_url_is_port(const char *port)
{
    size_t size = strlen(port);
    if (size == 0 || size > NANO_URL_PORT_SIZE || strspn(port, "0123456789") != size)
        return false;
    unsigned long number = strtoul(port, NULL, 10);
    return number > 0 && number <= NANO_URL_PORT_MAX;
}

/* Literal addresses only: a name may change its meaning behind our back. */
static bool nano_url_is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

bool nano_url_is_ipv6(const char *url)
{
    const char *rest = nano_url_after(url, NANO_URL_TCP);
    return rest != NULL && rest[0] == '[';
}

/* Copies the host out of "host:port" or "[host]:port". False when that is not its form. */
static bool nano_url_host(const char *rest, char host[NANO_URL_SIZE_MAX + 1])
{
    const char *colon = strrchr(rest, ':');
    if (colon == NULL || colon == rest || !nano_url_is_port(colon + 1))
        return false;
    size_t size = (size_t)(colon - rest);
    bool brackets = rest[0] == '[';
    if (brackets && (size < 3 || rest[size - 1] != ']'))
        return false;
    size -= brackets ? 2 : 0;
    ASSERT(size > 0 && size <= NANO_URL_SIZE_MAX);
    memcpy(host, rest + (brackets ? 1 : 0), size);
    host[size] = 0;
    return true;
}

static int nano_url_prepare_tcp(const struct nano_options *o, const char *rest)
{
    char host[NANO_URL_SIZE_MAX + 1];
    if (!nano_url_host(rest, host)) {
        nano_url_why(o, "address '%s' is not tcp://host:port", o->url);
        return NANO_BAD_URL;
    }
    if (o->allow_insecure || nano_url_is_loopback(host))
        return 0;
    nano_url_why(o,
                 "address '%s' is refused: the native protocol has no passwords, so it listens on "
                 "loopback only (127.0.0.1, [::1]) unless insecure addresses are allowed",
                 o->url);
    return NANO_INSECURE;
}

int nano_url_prepare(const struct nano_options *o)
{
    if (strlen(o->url) > NANO_URL_SIZE_MAX) {
        nano_url_why(o, "the address is longer than %d bytes", NANO_URL_SIZE_MAX);
        return NANO_BAD_URL;
    }
    const char *path = nano_url_after(o->url, NANO_URL_IPC);
    if (path != NULL)
        return nano_url_prepare_ipc(o, path);
    const char *rest = nano_url_after(o->url, NANO_URL_TCP);
    if (rest != NULL)
        return nano_url_prepare_tcp(o, rest);
    nano_url_why(o, "address '%s' begins with neither ipc:// nor tcp://", o->url);
    return NANO_BAD_URL;
}

bool nano_url_is_local(const char *url)
{
    char host[NANO_URL_SIZE_MAX + 1];
    const char *rest = nano_url_after(url, NANO_URL_TCP);
    ASSERT(strlen(url) <= NANO_URL_SIZE_MAX);
    return rest == NULL || (nano_url_host(rest, host) && nano_url_is_loopback(host));
}
