/* SPDX-License-Identifier: MIT
 *
 * format: see format.h.
 */
#include "cli/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/value.h"
#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

static void format_add(struct format *f, char token, size_t size)
{
    size_t bytes = (f->count + 1) * sizeof f->steps[0];
    f->steps = assert_memory(realloc(f->steps, bytes), bytes);
    f->steps[f->count++] = (struct format_step){token, f->text.size - size, size};
}

/* The literal up to the next percent sign. 0 or 1. */
static int format_literal(struct format *f, const char *text, size_t size, char why[256])
{
    uint8_t *plain CLEANUP(cleanup_free) = slice_dup(slice_of(text, size));
    size_t before = f->text.size;
    if (!value_unescape((const char *)plain, &f->text)) {
        (void)snprintf(why, 256, "a bad escape: want \\n \\t \\r \\0 \\\\ or \\xNN");
        return 1;
    }
    format_add(f, 0, f->text.size - before);
    return 0;
}

int format_compile(const char *text, struct format *out, char why[256])
{
    while (*text != '\0') {
        if (*text != '%') {
            size_t size = strcspn(text, "%");
            if (format_literal(out, text, size, why) != 0)
                return 1;
            text += size;
            continue;
        }
        if (text[1] == '\0' || strchr("sSRkKThtpo%", text[1]) == NULL) {
            (void)snprintf(why, 256,
                           "unknown token \"%%%c\": want one of %%s %%S %%R %%k %%K %%T "
                           "%%h %%t %%p %%o %%%%",
                           text[1] == '\0' ? ' ' : text[1]);
            return 1;
        }
        format_add(out, text[1], 0);
        text += 2;
    }
    return 0;
}

void format_deinit(struct format *f)
{
    buf_deinit(&f->text);
    free(f->steps);
    f->steps = NULL;
    f->count = 0;
}

static void format_bytes(const struct format *f, const void *p, size_t size, struct buf *out)
{
    if (p != NULL)
        buf_append(out, p, size);
    else if (f->null)
        buf_append(out, "NULL", 4);
}

static void format_headers(const struct format *f, const struct kauri_record *r, struct buf *out)
{
    for (size_t i = 0; i < r->header_count; i++) {
        if (i > 0)
            buf_append_u8(out, ',');
        buf_append(out, r->headers[i].name, r->headers[i].name_size);
        buf_append_u8(out, '=');
        format_bytes(f, r->headers[i].value, r->headers[i].value_size, out);
    }
}

/* -1 for null. */
static int64_t format_size(const void *p, size_t size)
{
    return p == NULL ? -1 : (int64_t)size;
}

static void format_number(char token, const struct kauri_record *r, struct buf *out)
{
    int64_t number = token == 'S'   ? format_size(r->value, r->value_size)
                     : token == 'K' ? format_size(r->key, r->key_size)
                     : token == 'T' ? r->timestamp_ms
                     : token == 'p' ? r->partition
                                    : r->offset;
    buf_printf(out, "%" PRId64, number);
}

static void format_token(const struct format *f, char token, const struct kauri_record *r,
                         struct buf *out)
{
    switch (token) {
    case 's':
        format_bytes(f, r->value, r->value_size, out);
        break;
    case 'k':
        format_bytes(f, r->key, r->key_size, out);
        break;
    case 'R':
        buf_append_be32(out, (uint32_t)format_size(r->value, r->value_size));
        break;
    case 'h':
        format_headers(f, r, out);
        break;
    case 't':
        buf_append(out, r->topic, strlen(r->topic));
        break;
    case '%':
        buf_append_u8(out, '%');
        break;
    default:
        format_number(token, r, out);
    }
}

void format_run(const struct format *f, const struct kauri_record *r, struct buf *out)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct format_step *step = &f->steps[i];
        ASSERT(step->pos + step->size <= f->text.size);
        if (step->token == 0)
            buf_append(out, f->text.p + step->pos, step->size);
        else
            format_token(f, step->token, r, out);
    }
}
