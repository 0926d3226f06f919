/* SPDX-License-Identifier: MIT
 *
 * serve_node: who this instance is to the others of its cluster: the boot id of the system, and the
 * addresses under which it is found. What it cannot find out it leaves empty.
 */
#include <stdio.h>
#include <stdlib.h>

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

const char *serve_node_native(const struct serve_setup *s)
{
    static const char tcp[] = "tcp://";
    ASSERT(s->native_count <= SERVE_FRONTS_MAX);
    for (size_t i = 0; i < s->native_count; i++)
        if (strncmp(s->natives[i], tcp, sizeof tcp - 1) == 0)
            return s->natives[i];
    return s->native_count > 0 ? s->natives[0] : NULL;
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
    memcpy(host, address, size);
    host[size] = '\0';
    return (int32_t)port;
}
