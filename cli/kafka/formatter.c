/* SPDX-License-Identifier: MIT
 *
 * formatter: see formatter.h.
 */
#include "cli/kafka/formatter.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli/kafka/tool.h"
#include "engine/base/assert.h"

#define FORMATTER_PACKAGE    "org.apache.kafka.tools.consumer."
#define FORMATTER_DEPRECATED "kafka.tools."
#define FORMATTER_CODECS     "org.apache.kafka.common.serialization."

static const struct {
    const char *name;
    enum formatter_kind kind;
} formatter_classes[] = {
    {"DefaultMessageFormatter", FORMATTER_DEFAULT},
    {"LoggingMessageFormatter", FORMATTER_LOGGING},
    {"NoOpMessageFormatter", FORMATTER_NOTHING},
};

static const struct {
    const char *name;
    enum formatter_type type;
    size_t size; /* in bytes; 0: any */
} formatter_types[] = {
    {"StringDeserializer", FORMATTER_BYTES, 0},     {"ByteArrayDeserializer", FORMATTER_BYTES, 0},
    {"ByteBufferDeserializer", FORMATTER_BYTES, 0}, {"BytesDeserializer", FORMATTER_BYTES, 0},
    {"LongDeserializer", FORMATTER_LONG, 8},        {"IntegerDeserializer", FORMATTER_INTEGER, 4},
    {"ShortDeserializer", FORMATTER_SHORT, 2},
};

/* `text` behind `prefix`, or NULL. */
static const char *formatter_behind(const char *text, const char *prefix)
{
    size_t size = strlen(prefix);
    return strncmp(text, prefix, size) == 0 ? text + size : NULL;
}

static int formatter_class(const char *class, enum formatter_kind *out, struct fault *f)
{
    const char *name = formatter_behind(class, FORMATTER_PACKAGE);
    const char *old = formatter_behind(class, FORMATTER_DEPRECATED);
    for (size_t i = 0; i < sizeof formatter_classes / sizeof formatter_classes[0]; i++) {
        bool is_old = old != NULL && strcmp(old, formatter_classes[i].name) == 0;
        if (is_old)
            (void)fprintf(
                stderr,
                "WARNING: %s is deprecated and will be removed in the next major release. "
                "Please use " FORMATTER_PACKAGE "%s instead\n",
                class, old);
        if (is_old || (name != NULL && strcmp(name, formatter_classes[i].name) == 0)) {
            *out = formatter_classes[i].kind;
            return 0;
        }
    }
    return fault_set(f, "java.lang.ClassNotFoundException", "%s", class);
}

static enum formatter_type formatter_type(const struct props *p, const char *key)
{
    const char *class = props_get(p, key);
    const char *name = class != NULL ? formatter_behind(class, FORMATTER_CODECS) : NULL;
    for (size_t i = 0; name != NULL && i < sizeof formatter_types / sizeof formatter_types[0]; i++)
        if (strcmp(name, formatter_types[i].name) == 0)
            return formatter_types[i].type;
    if (class != NULL)
        tool_log("ERROR", FORMATTER_PACKAGE "DefaultMessageFormatter",
                 "Unable to instantiate a deserializer from %s", class);
    return FORMATTER_BYTES;
}

static const char *formatter_or(const struct props *p, const char *key, const char *preset)
{
    const char *value = props_get(p, key);
    return value != NULL ? value : preset;
}

int formatter_init(struct formatter *fm, const char *class, const struct props *p, struct fault *f)
{
    enum formatter_kind kind = FORMATTER_DEFAULT;
    if (class != NULL && formatter_class(class, &kind, f) != 0)
        return 1;
    *fm = (struct formatter){
        .kind = kind,
        .timestamp = props_true(p, "print.timestamp"),
        .partition = props_true(p, "print.partition"),
        .offset = props_true(p, "print.offset"),
        .headers = props_true(p, "print.headers"),
        .key = props_true(p, "print.key"),
        .value = props_get(p, "print.value") == NULL || props_true(p, "print.value"),
        .key_separator = formatter_or(p, "key.separator", "\t"),
        .line_separator = formatter_or(p, "line.separator", "\n"),
        .headers_separator = formatter_or(p, "headers.separator", ","),
        .null_literal = formatter_or(p, "null.literal", "null"),
        .key_type = formatter_type(p, "key.deserializer"),
        .value_type = formatter_type(p, "value.deserializer"),
        .headers_type = formatter_type(p, "headers.deserializer"),
    };
    return 0;
}

static void formatter_text(const char *text, struct buf *out)
{
    buf_append(out, text, strlen(text));
}

static int formatter_number(enum formatter_type type, struct slice s, struct buf *out,
                            struct fault *f)
{
    size_t i = 0;
    while (formatter_types[i].type != type)
        i++;
    if (s.size != formatter_types[i].size)
        return fault_set(f, "org.apache.kafka.common.errors.SerializationException",
                         "Size of data received by %s is not %zu", formatter_types[i].name,
                         formatter_types[i].size);
    uint64_t value = 0;
    for (size_t b = 0; b < s.size; b++)
        value = value << 8 | s.p[b];
    /* Shifted to the top and back, so that the sign is that of the number's own first bit. */
    unsigned spare = (unsigned)(64 - 8 * s.size);
    buf_printf(out, "%" PRId64, (int64_t)(value << spare) >> spare);
    return 0;
}

static int formatter_bytes(const struct formatter *fm, enum formatter_type type, struct slice s,
                           struct buf *out, struct fault *f)
{
    if (s.p == NULL) {
        formatter_text(fm->null_literal, out);
        return 0;
    }
    if (type != FORMATTER_BYTES)
        return formatter_number(type, s, out, f);
    buf_append(out, s.p, s.size);
    return 0;
}

static int formatter_headers(const struct formatter *fm, const rd_kafka_headers_t *headers,
                             struct buf *out, struct fault *f)
{
    size_t i = 0;
    const char *name;
    const void *value;
    size_t size;
    int rc = 0;
    while (headers != NULL && rc == 0 &&
           rd_kafka_header_get_all(headers, i, &name, &value, &size) ==
               RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (i++ > 0)
            formatter_text(fm->headers_separator, out);
        formatter_text(name, out);
        formatter_text(":", out);
        rc = formatter_bytes(fm, fm->headers_type, slice_of(value, size), out, f);
    }
    if (i == 0)
        formatter_text("NO_HEADERS", out);
    return rc;
}

/* Behind a column: the separator when more come, else the end of the line. */
static void formatter_next(const struct formatter *fm, bool more, struct buf *out)
{
    formatter_text(more ? fm->key_separator : fm->line_separator, out);
}

static int formatter_columns(const struct formatter *fm, const struct formatter_record *r,
                             struct buf *out, struct fault *f)
{
    bool data = fm->headers || fm->key || fm->value;
    int rc = 0;
    if (fm->timestamp) {
        if (r->clock != NULL)
            buf_printf(out, "%s:%" PRId64, r->clock, r->timestamp_ms);
        else
            formatter_text("NO_TIMESTAMP", out);
        formatter_next(fm, fm->partition || fm->offset || data, out);
    }
    if (fm->partition) {
        buf_printf(out, "Partition:%" PRId32, r->partition);
        formatter_next(fm, fm->offset || data, out);
    }
    if (fm->offset) {
        buf_printf(out, "Offset:%" PRId64, r->offset);
        formatter_next(fm, data, out);
    }
    if (fm->headers) {
        rc = formatter_headers(fm, r->headers, out, f);
        formatter_next(fm, fm->key || fm->value, out);
    }
    if (fm->key && rc == 0) {
        rc = formatter_bytes(fm, fm->key_type, r->key, out, f);
        formatter_next(fm, fm->value, out);
    }
    if (fm->value && rc == 0) {
        rc = formatter_bytes(fm, fm->value_type, r->value, out, f);
        formatter_next(fm, false, out);
    }
    return rc;
}

int formatter_append(const struct formatter *fm, const struct formatter_record *r, struct buf *out,
                     struct fault *f)
{
    size_t begin = out->size;
    if (fm->kind == FORMATTER_NOTHING)
        return 0;
    int rc = formatter_columns(fm, r, out, f);
    if (rc != 0)
        out->size = begin;
    ASSERT(out->size >= begin);
    return rc;
}
