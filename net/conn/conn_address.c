/* SPDX-License-Identifier: MIT
 *
 * conn_address: from HOST:PORT to socket addresses, from addresses to text, and who is in the way.
 *
 * Who listens at a port is read from /proc: the socket's inode in /proc/net/tcp and tcp6 (state 0A
 * is LISTEN), then the process with that socket among its descriptors. Other users' processes do
 * not show theirs; then the message does without.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "net/conn/conn_priv.h"

#define CONN_HOST_SIZE 256
#define CONN_PATH_SIZE 300
#define CONN_LINE_SIZE 512
#define CONN_LISTENING 0x0a

void conn_address_why(char *why, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(why, CONN_WHY_SIZE, fmt, args);
    va_end(args);
}

/* --- HOST:PORT --- */

/* Splits; `host` has room for CONN_HOST_SIZE. False when it is not HOST:PORT. */
static bool conn_address_split(const char *address, char *host, const char **port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon[1] == '\0' || strlen(colon + 1) > 5)
        return false;
    for (const char *p = colon + 1; *p != '\0'; p++)
        if (!isdigit((unsigned char)*p))
            return false;
    size_t size = (size_t)(colon - address);
    const char *from = address;
    if (size >= 2 && from[0] == '[' && from[size - 1] == ']') {
        from++;
        size -= 2;
    } else if (memchr(from, ':', size) != NULL) {
        return false; /* an IPv6 address without its brackets */
    }
    if (size >= CONN_HOST_SIZE || (from != address && size == 0))
        return false;
    memcpy(host, from, size);
    host[size] = '\0';
    *port = colon + 1;
    return strtoul(colon + 1, NULL, 10) <= UINT16_MAX;
}

/* Nothing before the colon: IPv6's wildcard, which takes IPv4 too; IPv4's where IPv6 is missing. */
static int conn_address_lookup(const char *host, const char *port, struct addrinfo **out)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    if (host[0] != '\0')
        return getaddrinfo(host, port, &hints, out);
    int fd CLEANUP(cleanup_fd) = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    hints.ai_family = fd >= 0 ? AF_INET6 : AF_INET;
    return getaddrinfo(NULL, port, &hints, out);
}

int conn_address_find(const char *address, struct conn_sockaddr *out, size_t *count, char *why)
{
    char host[CONN_HOST_SIZE];
    const char *port = NULL;
    struct addrinfo *list = NULL;
    if (!conn_address_split(address, host, &port)) {
        conn_address_why(why, "'%s' is not HOST:PORT", address);
        return CONN_BAD_ADDRESS;
    }
    int r = conn_address_lookup(host, port, &list);
    if (r != 0) {
        conn_address_why(why, "cannot find '%s': %s", host, gai_strerror(r));
        return CONN_BAD_ADDRESS;
    }
    size_t found = 0;
    for (const struct addrinfo *a = list; a != NULL && found < CONN_LISTENERS_MAX; a = a->ai_next) {
        if (a->ai_addrlen > sizeof out->storage)
            continue;
        out[found] = (struct conn_sockaddr){.size = a->ai_addrlen};
        memcpy(&out[found].storage, a->ai_addr, a->ai_addrlen);
        found++;
    }
    freeaddrinfo(list);
    ASSERT(found > 0);
    *count = found;
    return 0;
}

/* --- parts of an address --- */

void conn_address_bytes(const struct conn_sockaddr *a, uint8_t *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    memset(out, 0, CONN_ADDRESS_BYTES);
    if (a->storage.ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, &a->storage, sizeof in6);
        memcpy(out, &in6.sin6_addr, CONN_ADDRESS_BYTES);
    } else if (a->storage.ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, &a->storage, sizeof in);
        memcpy(out, mapped, sizeof mapped);
        memcpy(out + sizeof mapped, &in.sin_addr, sizeof in.sin_addr);
    }
}

static bool conn_address_is_v4(const uint8_t *bytes)
{
    struct in6_addr in6;
    memcpy(&in6, bytes, sizeof in6);
    return IN6_IS_ADDR_V4MAPPED(&in6);
}

void conn_address_text(const uint8_t *bytes, char *out)
{
    bool v4 = conn_address_is_v4(bytes);
    const char *text =
        inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? bytes + 12 : bytes, out, INET6_ADDRSTRLEN);
    ASSERT(text == out);
}

bool conn_address_is_loopback(const struct conn_sockaddr *a)
{
    uint8_t bytes[CONN_ADDRESS_BYTES];
    conn_address_bytes(a, bytes);
    struct in6_addr in6;
    memcpy(&in6, bytes, sizeof in6);
    return IN6_IS_ADDR_LOOPBACK(&in6) || (conn_address_is_v4(bytes) && bytes[12] == 127);
}

/* Both families keep the port at the same place. */
_Static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port),
               "one accessor for both");

uint16_t conn_address_port(const struct conn_sockaddr *a)
{
    const uint8_t *p = (const uint8_t *)&a->storage;
    return bytes_be16(p + offsetof(struct sockaddr_in, sin_port));
}

void conn_address_set_port(struct conn_sockaddr *a, uint16_t port)
{
    uint8_t *p = (uint8_t *)&a->storage;
    bytes_put_be16(p + offsetof(struct sockaddr_in, sin_port), port);
}

/* --- who is in the way --- */

/* The inode of a socket that listens at the port; 0 when there is none. */
static unsigned long conn_address_inode(const char *table, uint16_t port)
{
    FILE *file = fopen(table, "re");
    char line[CONN_LINE_SIZE];
    unsigned long inode = 0;
    while (file != NULL && inode == 0 && fgets(line, sizeof line, file) != NULL) {
        unsigned at = 0, state = 0;
        unsigned long found = 0;
        int fields =
            sscanf(line, "%*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*s %*s %lu", &at,
                   &state, &found);
        if (fields == 3 && at == port && state == CONN_LISTENING)
            inode = found;
    }
    if (file != NULL)
        (void)fclose(file);
    return inode;
}

/* True when one of the process's descriptors is the socket. */
static bool conn_address_holds(const char *pid, unsigned long inode)
{
    char path[CONN_PATH_SIZE], want[64], link[64];
    (void)snprintf(want, sizeof want, "socket:[%lu]", inode);
    (void)snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
    DIR *dir = opendir(path);
    bool found = false;
    for (struct dirent *e; dir != NULL && !found && (e = readdir(dir)) != NULL;) {
        ssize_t size = readlinkat(dirfd(dir), e->d_name, link, sizeof link - 1);
        link[size > 0 ? size : 0] = '\0';
        found = strcmp(link, want) == 0;
    }
    if (dir != NULL)
        (void)closedir(dir);
    return found;
}

/* The process's name, without what could upset a terminal. */
static void conn_address_name(const char *pid, char *out, size_t size)
{
    char path[CONN_PATH_SIZE];
    (void)snprintf(path, sizeof path, "/proc/%.20s/comm", pid);
    FILE *file = fopen(path, "re");
    out[0] = '\0';
    if (file == NULL)
        return;
    if (fgets(out, (int)size, file) == NULL)
        out[0] = '\0';
    (void)fclose(file);
    out[strcspn(out, "\n")] = '\0';
    for (char *p = out; *p != '\0'; p++)
        *p = (char)(isprint((unsigned char)*p) ? *p : '?');
}

void conn_address_in_use(const struct conn_sockaddr *a, const char *address, char *why)
{
    uint16_t port = conn_address_port(a);
    unsigned long inode = conn_address_inode("/proc/net/tcp", port);
    inode = inode != 0 ? inode : conn_address_inode("/proc/net/tcp6", port);
    conn_address_why(why, "address '%s' is in use: another process listens there", address);
    DIR *dir = inode != 0 ? opendir("/proc") : NULL;
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        char name[64];
        if (!isdigit((unsigned char)e->d_name[0]) || !conn_address_holds(e->d_name, inode))
            continue;
        conn_address_name(e->d_name, name, sizeof name);
        conn_address_why(why, "address '%s' is in use by %s (process %.20s)", address,
                         name[0] != '\0' ? name : "another process", e->d_name);
        break;
    }
    if (dir != NULL)
        (void)closedir(dir);
}
