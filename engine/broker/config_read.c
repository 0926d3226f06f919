/* SPDX-License-Identifier: MIT
 *
 * config_read: the configuration file and the environment. See config.h.
 *
 * The file is lines of `key = value`; blank lines and lines that begin with # or ! are comments,
 * and so is what follows a blank and a # behind a value. A bad line is reported and the rest goes
 * on, so that one run shows all mistakes.
 */
#include "engine/broker/config_priv.h"

#include <stdio.h>

#include "engine/base/assert.h"

static bool config_read_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct slice config_read_trim(struct slice s)
{
    ASSERT(s.p != NULL);
    while (s.size > 0 && config_read_blank(s.p[0]))
        s = slice_of(s.p + 1, s.size - 1);
    while (s.size > 0 && config_read_blank(s.p[s.size - 1]))
        s.size--;
    ASSERT(s.size == 0 || !config_read_blank(s.p[0]));
    return s;
}

/* Cuts a comment: a # at the start or behind a blank. */
static struct slice config_read_uncomment(struct slice s)
{
    ASSERT(s.p != NULL);
    for (size_t i = 0; i < s.size; i++)
        if (s.p[i] == '#' && (i == 0 || config_read_blank(s.p[i - 1])))
            return slice_of(s.p, i);
    return s;
}

/* 0 for a good line or none, else a condition of config_set (CONFIG_BAD for what is no setting)
 * with a message. */
static int config_read_line(struct config *c, struct slice line, char message[256])
{
    struct slice text = config_read_trim(config_read_uncomment(line));
    ASSERT(message != NULL);
    if (text.size == 0 || text.p[0] == '!')
        return 0;
    const uint8_t *equal = memchr(text.p, '=', text.size);
    if (equal == NULL) {
        (void)snprintf(message, 256, "want `key = value`");
        return CONFIG_BAD;
    }
    size_t at = (size_t)(equal - text.p);
    ASSERT(at < text.size);
    struct slice key = config_read_trim(slice_of(text.p, at));
    struct slice value = config_read_trim(slice_of(equal + 1, text.size - at - 1));
    return config_set(c, CONFIG_FROM_FILE, key, value, message);
}

int config_parse(struct config *c, struct slice text,
                 void (*bad)(void *ctx, unsigned line, const char *message), void *ctx)
{
    return config_parse_foreign(c, text, bad, NULL, ctx);
}

int config_parse_foreign(struct config *c, struct slice text,
                         void (*bad)(void *ctx, unsigned line, const char *message),
                         void (*warn)(void *ctx, unsigned line, const char *message), void *ctx)
{
    int bad_count = 0;
    size_t pos = 0;
    ASSERT(c != NULL && bad != NULL);
    for (unsigned number = 1; pos < text.size; number++) {
        char message[256] = "";
        const uint8_t *end = memchr(text.p + pos, '\n', text.size - pos);
        size_t size = end != NULL ? (size_t)(end - text.p) - pos : text.size - pos;
        int r = config_read_line(c, slice_of(text.p + pos, size), message);
        ASSERT((r == 0) == (message[0] == '\0'));
        if (warn != NULL && (r == CONFIG_UNKNOWN || r == CONFIG_DENIED)) {
            warn(ctx, number, message);
        } else if (r != 0) {
            bad(ctx, number, message);
            bad_count++;
        }
        pos += size + 1;
    }
    return bad_count;
}

/* KAURI_A_B=v sets a.b. 0, or 1 with a message. */
static int config_read_variable(struct config *c, const char *entry, char message[256])
{
    char key[CONFIG_NAME_MAX + 1] = "";
    const char *equal = strchr(entry, '=');
    ASSERT(equal != NULL && equal >= entry);
    size_t size = (size_t)(equal - entry) - strlen("KAURI_");
    if (size == 0 || size >= sizeof key) {
        (void)snprintf(message, 256, "unknown variable \"%.*s\"", (int)(equal - entry), entry);
        return 1;
    }
    for (size_t i = 0; i < size; i++) {
        char ch = entry[strlen("KAURI_") + i];
        key[i] = (char)(ch == '_' ? '.' : ch >= 'A' && ch <= 'Z' ? ch + 32 : ch);
    }
    char why[256] = "";
    if (config_set(c, CONFIG_FROM_ENV, slice_str(key), slice_str(equal + 1), why) == 0)
        return 0;
    ASSERT(why[0] != '\0');
    (void)snprintf(message, 256, "%.*s: %.180s", (int)(equal - entry), entry, why);
    return 1;
}

int config_environ(struct config *c, char *const *env,
                   void (*bad)(void *ctx, unsigned line, const char *message), void *ctx)
{
    int bad_count = 0;
    ASSERT(c != NULL && bad != NULL);
    for (size_t i = 0; env[i] != NULL; i++) {
        char message[256] = "";
        bool ours = strncmp(env[i], "KAURI_", strlen("KAURI_")) == 0 && strchr(env[i], '=') != NULL;
        if (!ours || strncmp(env[i], "KAURI_SERVER=", strlen("KAURI_SERVER=")) == 0)
            continue;
        if (config_read_variable(c, env[i], message) != 0) {
            ASSERT(message[0] != '\0');
            bad(ctx, 0, message);
            bad_count++;
        }
    }
    return bad_count;
}
