/* SPDX-License-Identifier: MIT
 *
 * mask: see mask.h.
 */
#include "cli/mask.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "engine/base/assert.h"

static const char *const mask_words[] = {
    "password", "passwd",      "passphrase",  "secret",       "token",      "jaas.config",
    "api.key",  "private.key", "private_key", "keystore.key", "credential", "apikey",
};
#define MASK_WORD_COUNT (sizeof mask_words / sizeof mask_words[0])

static bool mask_begins(struct slice s, size_t at, const char *word)
{
    size_t size = strlen(word);
    return s.size - at >= size && strncasecmp((const char *)s.p + at, word, size) == 0;
}

static bool mask_in_name(struct slice name)
{
    for (size_t at = 0; at < name.size; at++)
        for (size_t i = 0; i < MASK_WORD_COUNT; i++)
            if (mask_begins(name, at, mask_words[i]))
                return true;
    return false;
}

bool mask_is_secret(const char *key)
{
    return mask_in_name(slice_str(key));
}

static bool mask_is_name(uint8_t c)
{
    return isalnum(c) || c == '.' || c == '_' || c == '-';
}

/* Where the value behind a name that ends at `at` begins; `at` when there is none. */
static size_t mask_value(struct slice s, size_t at)
{
    size_t p = at;
    if (p < s.size && (s.p[p] == '"' || s.p[p] == '\''))
        p++;
    while (p < s.size && (s.p[p] == ' ' || s.p[p] == '\t'))
        p++;
    if (p == s.size || (s.p[p] != '=' && s.p[p] != ':'))
        return at;
    for (p++; p < s.size && (s.p[p] == ' ' || s.p[p] == '\t'); p++) {
    }
    return p;
}

/* Where the value ends: at its quote, or where a word does; jaas.config takes the line. */
static size_t mask_end(struct slice s, size_t at, bool line)
{
    uint8_t quote = at < s.size && (s.p[at] == '"' || s.p[at] == '\'') ? s.p[at] : 0;
    size_t p = at + (quote != 0);
    while (p < s.size && s.p[p] != '\n' && s.p[p] != '\0' && !(quote != 0 && s.p[p] == quote) &&
           !(quote == 0 && !line && strchr(" \t\r,;}&", s.p[p]) != NULL))
        p += quote != 0 && s.p[p] == '\\' && p + 1 < s.size && s.p[p + 1] != '\n' ? 2 : 1;
    ASSERT(p <= s.size);
    return p;
}

/* One name, and what is its value. Returns where to go on. */
static size_t mask_name(struct slice s, size_t at, struct buf *out)
{
    size_t end = at;
    while (end < s.size && mask_is_name(s.p[end]))
        end++;
    struct slice name = slice_of(s.p + at, end - at);
    size_t from = mask_in_name(name) ? mask_value(s, end) : end;
    if (from == end) {
        buf_append(out, name.p, name.size);
        return end;
    }
    bool quoted = from < s.size && (s.p[from] == '"' || s.p[from] == '\'');
    bool line = name.size >= 11 && mask_begins(name, name.size - 11, "jaas.config");
    size_t to = mask_end(s, from, line);
    buf_append(out, s.p + at, from + quoted - at);
    if (to > from + quoted)
        buf_append(out, MASK, strlen(MASK));
    return to;
}

/* Behind "://": USER:PASSWORD@ keeps its user. Returns where to go on. */
static size_t mask_url(struct slice s, size_t at, struct buf *out)
{
    size_t colon = 0, p = at;
    while (p < s.size && s.p[p] > ' ' && strchr("/@\"'?#", s.p[p]) == NULL) {
        if (s.p[p] == ':' && colon == 0)
            colon = p;
        p++;
    }
    if (p == s.size || s.p[p] != '@' || colon == 0)
        return at;
    buf_append(out, s.p + at, colon + 1 - at);
    buf_append(out, MASK, strlen(MASK));
    return p;
}

void mask_text(struct slice text, struct buf *out)
{
    for (size_t at = 0; at < text.size;) {
        if (mask_is_name(text.p[at])) {
            at = mask_name(text, at, out);
        } else if (mask_begins(text, at, "://")) {
            buf_append(out, "://", 3);
            at = mask_url(text, at + 3, out);
        } else {
            buf_append_u8(out, text.p[at++]);
        }
    }
}
