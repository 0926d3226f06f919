/* SPDX-License-Identifier: MIT
 *
 * formatter: a record as kafka-console-consumer prints it: the columns that are asked for, with
 * key.separator between them and line.separator at the end:
 *
 *   CreateTime:MS  Partition:N  Offset:N  NAME:VALUE,NAME:VALUE  KEY  VALUE
 *
 * Keys, values and headers are bytes, null is null.literal, unless a deserializer is named:
 * String, ByteArray, ByteBuffer and Bytes (the bytes), Long, Integer and Short (big endian).
 */
#pragma once

#include "cli/kafka/props.h"

enum formatter_kind {
    FORMATTER_DEFAULT,
    FORMATTER_LOGGING, /* the same: what it logs besides lies below the level shown */
    FORMATTER_NOTHING,
};

enum formatter_type {
    FORMATTER_BYTES,
    FORMATTER_SHORT,
    FORMATTER_INTEGER,
    FORMATTER_LONG,
};

struct formatter {
    enum formatter_kind kind;
    bool timestamp;
    bool partition;
    bool offset;
    bool headers;
    bool key;
    bool value;
    const char *key_separator;
    const char *line_separator;
    const char *headers_separator;
    const char *null_literal;
    enum formatter_type key_type;
    enum formatter_type value_type;
    enum formatter_type headers_type;
};

struct formatter_record {
    const char *clock; /* "CreateTime" or "LogAppendTime"; NULL: no time */
    int64_t timestamp_ms;
    int32_t partition;
    int64_t offset;
    struct slice key;
    struct slice value;
    const rd_kafka_headers_t *headers; /* NULL: none */
};

/* `class` is the value of --formatter, NULL for the default. Borrows from `p`. A deprecated name is
 * warned of. */
int formatter_init(struct formatter *fm, const char *class, const struct props *p,
                   struct fault *f) MUST_CHECK;
/* Appends the record; a fault when a deserializer finds bytes of the wrong size, *out is then as it
 * was. */
int formatter_append(const struct formatter *fm, const struct formatter_record *r, struct buf *out,
                     struct fault *f) MUST_CHECK;
