/* SPDX-License-Identifier: MIT
 *
 * http_guard: see http_guard.h.
 */
#include "net/http/http_guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

/* The host of HOST, HOST:PORT, [HOST] or [HOST]:PORT; false when it is none of these. *brackets: it
 * stood in them. */
static bool http_guard_split(const char *text, char out[HTTP_GUARD_HOST_MAX + 1], bool *brackets)
{
    const char *end = text + strcspn(text, ":");
    *brackets = text[0] == '[';
    if (*brackets) {
        text++;
        end = strchr(text, ']');
        if (end == NULL)
            return false;
    }
    const char *rest = *brackets ? end + 1 : end;
    size_t size = (size_t)(end - text);
    if (size > HTTP_GUARD_HOST_MAX || (rest[0] != '\0' && rest[0] != ':'))
        return false;
    if (rest[0] == ':' && rest[1 + strspn(rest + 1, "0123456789")] != '\0')
        return false;
    memcpy(out, text, size);
    out[size] = '\0';
    return true;
}

void http_guard_init(struct http_guard *g, const char *address)
{
    *g = (struct http_guard){.any = false};
    if (!http_guard_split(address, g->host, &g->brackets))
        g->host[0] = '\0';
    g->any = g->host[0] == '\0' || strcmp(g->host, "0.0.0.0") == 0 || strcmp(g->host, "::") == 0;
}

bool http_guard_allows(const struct http_guard *g, const char *host)
{
    char name[HTTP_GUARD_HOST_MAX + 1];
    struct in_addr v4;
    struct in6_addr v6;
    bool brackets;
    if (host == NULL || !http_guard_split(host, name, &brackets) || name[0] == '\0')
        return false;
    if (brackets == g->brackets && strcasecmp(name, g->host) == 0)
        return true;
    if (brackets)
        return inet_pton(AF_INET6, name, &v6) == 1 && (g->any || IN6_IS_ADDR_LOOPBACK(&v6));
    if (inet_pton(AF_INET, name, &v4) == 1)
        return g->any || (ntohl(v4.s_addr) >> 24) == IN_LOOPBACKNET;
    return strcasecmp(name, "localhost") == 0;
}
