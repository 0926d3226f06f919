/* SPDX-License-Identifier: MIT
 *
 * http_text: see http_text.h.
 */
#include "net/http/http_text.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/base/assert.h"

#define HTTP_TEXT_US 1000000u

/* The length of the UTF-8 character at p, 0 when there is none. */
static size_t http_text_char(const uint8_t *p, size_t left)
{
    static const struct {
        uint8_t mask, lead;
        uint32_t least;
    } kinds[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        if ((p[0] & kinds[k].mask) != kinds[k].lead)
            continue;
        uint32_t code = p[0] & (uint8_t)~kinds[k].mask;
        if (k + 1 > left)
            return 0;
        for (size_t i = 1; i <= k; i++) {
            if ((p[i] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | (p[i] & 0x3f);
        }
        bool good = code >= kinds[k].least && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        return good ? k + 1 : 0;
    }
    return 0;
}

/* How a character is written. */
enum http_text_mode {
    HTTP_TEXT_AS_IS,
    HTTP_TEXT_HELP,
    HTTP_TEXT_LABEL,
};

static void http_text_escaped(struct buf *out, struct slice s, enum http_text_mode mode)
{
    bool escapes = mode != HTTP_TEXT_AS_IS;
    for (size_t i = 0; i < s.size;) {
        size_t size = http_text_char(s.p + i, s.size - i);
        if (size == 0)
            buf_printf(out, mode == HTTP_TEXT_AS_IS ? "\\x%02x" : "\\\\x%02x", s.p[i]);
        else if (escapes && s.p[i] == '\n')
            buf_append(out, "\\n", 2);
        else if (escapes && (s.p[i] == '\\' || (mode == HTTP_TEXT_LABEL && s.p[i] == '"')))
            buf_append(out, (const uint8_t[]){'\\', s.p[i]}, 2);
        else
            buf_append(out, s.p + i, size);
        i += size > 0 ? size : 1;
    }
}

void http_text_utf8(struct buf *out, struct slice s)
{
    http_text_escaped(out, s, HTTP_TEXT_AS_IS);
}

static void http_text_word(struct buf *out, const char *s)
{
    buf_append(out, s, strlen(s));
}

void http_text_head(struct buf *out, const char *name, enum http_text_type type, const char *help)
{
    static const char *const types[HTTP_TEXT_TYPE_COUNT] = {
        [HTTP_TEXT_COUNTER] = "counter",
        [HTTP_TEXT_GAUGE] = "gauge",
        [HTTP_TEXT_HISTOGRAM] = "histogram",
    };
    ASSERT((unsigned)type < HTTP_TEXT_TYPE_COUNT);
    buf_printf(out, "# HELP %s ", name);
    http_text_escaped(out, slice_str(help), HTTP_TEXT_HELP);
    buf_printf(out, "\n# TYPE %s %s\n", name, types[type]);
}

static void http_text_label(struct buf *out, const char *name, struct slice value, bool first)
{
    buf_append_u8(out, first ? '{' : ',');
    http_text_word(out, name);
    http_text_word(out, "=\"");
    http_text_escaped(out, value, HTTP_TEXT_LABEL);
    buf_append_u8(out, '"');
}

/* Up to the space before the value. `le` NULL: none. */
static void http_text_name(struct buf *out, const char *name, struct http_text_labels labels,
                           const char *le)
{
    http_text_word(out, name);
    for (size_t i = 0; i < labels.count; i++)
        http_text_label(out, labels.v[i].name, labels.v[i].value, i == 0);
    if (le != NULL)
        http_text_label(out, "le", slice_str(le), labels.count == 0);
    http_text_word(out, labels.count > 0 || le != NULL ? "} " : " ");
}

void http_text_u64(struct buf *out, const char *name, struct http_text_labels labels,
                   uint64_t value)
{
    char text[32];
    http_text_name(out, name, labels, NULL);
    buf_append(out, text, (size_t)snprintf(text, sizeof text, "%" PRIu64 "\n", value));
}

void http_text_i64(struct buf *out, const char *name, struct http_text_labels labels, int64_t value)
{
    char text[32];
    http_text_name(out, name, labels, NULL);
    buf_append(out, text, (size_t)snprintf(text, sizeof text, "%" PRId64 "\n", value));
}

/* Microseconds as seconds, without zeros at the end. */
static void http_text_seconds(char text[40], uint64_t us)
{
    int size = snprintf(text, 40, "%" PRIu64 ".%06" PRIu64, us / HTTP_TEXT_US, us % HTTP_TEXT_US);
    while (text[size - 1] == '0')
        size--;
    size -= text[size - 1] == '.';
    text[size] = '\0';
}

void http_text_us(struct buf *out, const char *name, struct http_text_labels labels, uint64_t us)
{
    char text[40];
    http_text_seconds(text, us);
    http_text_name(out, name, labels, NULL);
    http_text_word(out, text);
    buf_append_u8(out, '\n');
}

void http_text_tally(struct buf *out, const char *name, struct http_text_labels labels,
                     const struct tally *t)
{
    char full[128], le[40];
    uint64_t below = 0;
    ASSERT(strlen(name) < sizeof full - 8);
    (void)snprintf(full, sizeof full, "%s_bucket", name);
    for (size_t i = 0; i <= TALLY_BOUNDS; i++) {
        below += t->buckets[i];
        if (i < TALLY_BOUNDS)
            http_text_seconds(le, tally_bounds_us[i]);
        http_text_name(out, full, labels, i < TALLY_BOUNDS ? le : "+Inf");
        buf_printf(out, "%" PRIu64 "\n", below);
    }
    (void)snprintf(full, sizeof full, "%s_sum", name);
    http_text_us(out, full, labels, t->sum_us);
    (void)snprintf(full, sizeof full, "%s_count", name);
    http_text_u64(out, full, labels, t->count);
}
