/* SPDX-License-Identifier: MIT
 *
 * serve_node: who this instance is to the others of its cluster: the boot id of the system, and the
 * addresses under which it is found. What it cannot find out it leaves empty.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/serve_priv.h"
#include "engine/base/assert.h"

#define SERVE_BOOT_FILE "/proc/sys/kernel/random/boot_id"

void serve_node_boot(uint8_t out[16])
{
    char text[64] = "";
    unsigned n = 0;
    memset(out, 0, 16);
    FILE *f = fopen(SERVE_BOOT_FILE, "re");
    if (f == NULL)
        return;
    size_t size = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    ASSERT(size < sizeof text);
    for (size_t i = 0; i + 1 < size && n < 16; i++) {
        char pair[3] = {text[i], text[i + 1], '\0'};
        unsigned byte;
        if (text[i] == '-' || text[i] == '\n')
            continue;
        if (strspn(pair, "0123456789abcdefABCDEF") != 2 || sscanf(pair, "%2x", &byte) != 1)
            break;
        out[n++] = (uint8_t)byte;
        i++;
    }
    if (n < 16)
        memset(out, 0, 16);
}

bool serve_node_is_ipc(const char *url)
{
    static const char ipc[] = "ipc://";
    return strncmp(url, ipc, sizeof ipc - 1) == 0;
}

bool serve_node_is_local(const char *url)
{
    static const char *const local[] = {"ipc://", "tcp://127.", "tcp://localhost:", "tcp://[::1]:"};
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++)
        if (strncmp(url, local[i], strlen(local[i])) == 0)
            return true;
    return false;
}

/* "", "*", "0.0.0.0", "::": every address of the host, and so none that others could dial. */
static bool serve_node_is_all(const char *host)
{
    static const char *const all[] = {"", "*", "0.0.0.0", "::", "[::]"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(host, all[i]) == 0)
            return true;
    return false;
}

/* The name of this host in place of all its addresses. */
static void serve_node_host(const char *listen, char out[SERVE_HOST_MAX])
{
    if (!serve_node_is_all(listen) || gethostname(out, SERVE_HOST_MAX) != 0)
        (void)snprintf(out, SERVE_HOST_MAX, "%s", listen);
    out[SERVE_HOST_MAX - 1] = '\0';
}

bool serve_node_native(const struct serve_setup *s, char out[SERVE_HOST_MAX])
{
    static const char tcp[] = "tcp://";
    const char *url = s->native_count > 0 ? s->natives[0] : "";
    char host[SERVE_HOST_MAX] = "", dialled[SERVE_HOST_MAX];
    ASSERT(s->native_count <= SERVE_FRONTS_MAX);
    for (size_t i = s->native_count; i-- > 0;)
        if (strncmp(s->natives[i], tcp, sizeof tcp - 1) == 0)
            url = s->natives[i];
    if (s->advertised_native != NULL)
        url = s->advertised_native;
    (void)snprintf(out, SERVE_HOST_MAX, "%s", url);
    const char *colon = strrchr(url, ':');
    if (serve_node_is_ipc(url) || strlen(url) < sizeof tcp || colon < url + sizeof tcp - 1)
        return strlen(url) > 0 && strlen(url) < SERVE_HOST_MAX;
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - url - (sizeof tcp - 1)),
                   url + sizeof tcp - 1);
    serve_node_host(host, dialled);
    int size = snprintf(out, SERVE_HOST_MAX, "%s%.*s%s", tcp, SERVE_HOST_MAX - 16, dialled, colon);
    return size > 0 && size < SERVE_HOST_MAX;
}

int32_t serve_node_kafka(const struct serve_setup *s, char host[SERVE_HOST_MAX])
{
    ASSERT(s->kafka_count <= SERVE_FRONTS_MAX);
    host[0] = '\0';
    if (s->kafka_count == 0)
        return 0;
    const char *address = s->advertised[0] != NULL ? s->advertised[0] : s->kafkas[0];
    const char *colon = strrchr(address, ':');
    if (colon == NULL)
        return 0;
    size_t size = (size_t)(colon - address);
    if (size > 1 && address[0] == '[' && address[size - 1] == ']') {
        address++;
        size -= 2;
    }
    char *end;
    long port = strtol(colon + 1, &end, 10);
    if (size >= SERVE_HOST_MAX || *end != '\0' || port < 0 || port > UINT16_MAX)
        return 0;
    char listen[SERVE_HOST_MAX];
    memcpy(listen, address, size);
    listen[size] = '\0';
    serve_node_host(listen, host);
    return (int32_t)port;
}

/* A port of `host` that nobody has now; somebody else may take it before we do, and then listening
 * fails as with any other port. 0 or -errno. */
static int serve_node_port(const char *host, uint16_t *out)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *list = NULL;
    struct sockaddr_storage at = {0};
    socklen_t size = sizeof at;
    if (getaddrinfo(host[0] != '\0' ? host : NULL, "0", &hints, &list) != 0)
        return -EADDRNOTAVAIL;
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && bind(fd, list->ai_addr, list->ai_addrlen) == 0 &&
                 getsockname(fd, (struct sockaddr *)&at, &size) == 0;
    int r = bound ? 0 : -errno;
    if (fd >= 0)
        (void)close(fd);
    freeaddrinfo(list);
    if (r == 0)
        *out = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                              : ((struct sockaddr_in *)&at)->sin_port);
    return r;
}

int serve_node_ports(struct serve_setup *s)
{
    for (size_t i = 0; i < s->kafka_count; i++) {
        const char *colon = strrchr(s->kafkas[i], ':');
        struct buf address = {0};
        uint16_t port = 0;
        if (colon == NULL || strcmp(colon, ":0") != 0)
            continue;
        const char *first = s->kafkas[i];
        bool bracket = first[0] == '[' && colon > first + 1 && colon[-1] == ']';
        char host[SERVE_HOST_MAX];
        (void)snprintf(host, sizeof host, "%.*s", (int)(colon - first - (bracket ? 2 : 0)),
                       first + (bracket ? 1 : 0));
        int r = serve_node_port(host, &port);
        if (r != 0)
            return r;
        buf_printf(&address, "%.*s:%u", (int)(colon - first), first, port);
        free(s->kafkas[i]);
        s->kafkas[i] = (char *)slice_dup(buf_slice(&address));
        buf_deinit(&address);
    }
    return 0;
}
