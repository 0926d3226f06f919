/* SPDX-License-Identifier: MIT
 *
 * reader: see reader.h.
 */
#include "cli/kafka/reader.h"

#include <inttypes.h>

#include "engine/base/assert.h"

#define READER_SHOWN_MAX 512 /* bytes of a line in a message */

static const char *reader_or(const struct props *p, const char *key, const char *preset)
{
    const char *value = props_get(p, key);
    return value != NULL ? value : preset;
}

static int reader_equal(struct fault *f, const char *a, const char *b)
{
    return fault_set(f, FAULT_KAFKA, "%s and %s may not be equal", a, b);
}

static bool reader_same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

int reader_init(struct reader *r, const struct props *p, struct fault *f)
{
    *r = (struct reader){
        .parse_key = props_true(p, "parse.key"),
        .parse_headers = props_true(p, "parse.headers"),
        .ignore_error = props_true(p, "ignore.error"),
        .key_separator = reader_or(p, "key.separator", "\t"),
        .headers_delimiter = reader_or(p, "headers.delimiter", "\t"),
        .headers_separator = reader_or(p, "headers.separator", ","),
        .headers_key_separator = reader_or(p, "headers.key.separator", ":"),
        .null_marker = props_get(p, "null.marker"),
    };
    const struct {
        const char *a;
        const char *a_name;
        const char *b;
        const char *b_name;
    } pairs[] = {
        {r->headers_delimiter, "headers.delimiter", r->headers_separator, "headers.separator"},
        {r->headers_delimiter, "headers.delimiter", r->headers_key_separator,
         "headers.key.separator"},
        {r->headers_separator, "headers.separator", r->headers_key_separator,
         "headers.key.separator"},
        {r->null_marker, "null.marker", r->key_separator, "key.separator"},
        {r->null_marker, "null.marker", r->headers_separator, "headers.separator"},
        {r->null_marker, "null.marker", r->headers_delimiter, "headers.delimiter"},
        {r->null_marker, "null.marker", r->headers_key_separator, "headers.key.separator"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (reader_same(pairs[i].a, pairs[i].b))
            return reader_equal(f, pairs[i].a_name, pairs[i].b_name);
    return 0;
}

/* Where `what` stands in `in`; in.size when it does not. */
static size_t reader_find(struct slice in, const char *what)
{
    size_t size = strlen(what);
    const uint8_t *at = memmem(in.p, in.size, what, size);
    return at != NULL ? (size_t)(at - in.p) : in.size;
}

static struct slice reader_from(struct slice s, size_t at)
{
    ASSERT(at <= s.size);
    return slice_of(s.p + at, s.size - at);
}

static bool reader_null(const struct reader *r, struct slice s)
{
    return r->null_marker != NULL && slice_equal(s, slice_str(r->null_marker));
}

static int reader_shown(struct slice s)
{
    return (int)(s.size < READER_SHOWN_MAX ? s.size : READER_SHOWN_MAX);
}

/* Takes the part before a separator off *rest; *found is false when there is none and errors are
 * ignored. */
static int reader_part(const struct reader *r, struct slice line, const char *separator,
                       const char *name, struct slice *rest, struct slice *part, bool *found,
                       struct fault *f)
{
    size_t at = reader_find(*rest, separator);
    size_t size = strlen(separator);
    *found = rest->size - at >= size;
    if (*found) {
        *part = slice_of(rest->p, at);
        *rest = reader_from(*rest, at + size);
        return 0;
    }
    if (r->ignore_error)
        return 0;
    return fault_set(f, FAULT_KAFKA, "No %s found on line number %" PRIu64 ": '%.*s'", name,
                     r->lines, reader_shown(line), (const char *)line.p);
}

static int reader_header(const struct reader *r, struct slice pair, rd_kafka_headers_t *headers,
                         struct fault *f)
{
    size_t at = reader_find(pair, r->headers_key_separator);
    size_t size = strlen(r->headers_key_separator);
    struct slice value = SLICE_NULL;
    if (pair.size - at < size && !r->ignore_error)
        return fault_set(f, FAULT_KAFKA,
                         "No header key separator found in pair '%.*s' on line number %" PRIu64,
                         reader_shown(pair), (const char *)pair.p, r->lines);
    if (pair.size - at >= size) {
        value = reader_from(pair, at + size);
        if (reader_null(r, slice_of(pair.p, at)))
            return fault_set(f, FAULT_KAFKA,
                             "Header keys should not be equal to the null marker '%s' as they "
                             "can't be null",
                             r->null_marker);
        if (reader_null(r, value))
            value = SLICE_NULL;
    } else {
        at = pair.size;
    }
    rd_kafka_resp_err_t error = rd_kafka_header_add(headers, (const char *)pair.p, (ssize_t)at,
                                                    value.p, (ssize_t)value.size);
    ASSERT(error == RD_KAFKA_RESP_ERR_NO_ERROR);
    return 0;
}

/* All headers of a text; empty pairs at its end count for nothing, as in Java's split. */
static int reader_headers(const struct reader *r, struct slice text, rd_kafka_headers_t *headers,
                          struct fault *f)
{
    size_t size = strlen(r->headers_separator);
    struct slice rest = text;
    while (size > 0 && rest.size > size &&
           memcmp(rest.p + rest.size - size, r->headers_separator, size) == 0)
        rest.size -= size;
    for (;;) {
        size_t at = size > 0 ? reader_find(rest, r->headers_separator) : rest.size;
        int rc = reader_header(r, slice_of(rest.p, at), headers, f);
        if (rc != 0 || rest.size - at < size || at == rest.size)
            return rc;
        rest = reader_from(rest, at + size);
    }
}

int reader_line(struct reader *r, struct slice line, struct reader_record *out, struct fault *f)
{
    struct slice rest = line;
    struct slice headers = SLICE_NULL;
    struct slice key = SLICE_NULL;
    bool has_headers = false;
    bool has_key = false;
    int rc = 0;
    r->lines++;
    if (r->parse_headers)
        rc = reader_part(r, line, r->headers_delimiter, "headers delimiter", &rest, &headers,
                         &has_headers, f);
    if (rc == 0 && r->parse_key)
        rc = reader_part(r, line, r->key_separator, "key separator", &rest, &key, &has_key, f);
    if (rc != 0)
        return rc;
    rd_kafka_headers_t *list = NULL;
    if (has_headers && !reader_null(r, headers)) {
        list = rd_kafka_headers_new(8);
        rc = reader_headers(r, headers, list, f);
    }
    if (rc != 0) {
        rd_kafka_headers_destroy(list);
        return rc;
    }
    out->key = has_key && !reader_null(r, key) ? key : SLICE_NULL;
    out->value = reader_null(r, rest) ? SLICE_NULL : rest;
    out->headers = list;
    return 0;
}
