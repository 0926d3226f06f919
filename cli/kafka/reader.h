/* SPDX-License-Identifier: MIT
 *
 * reader: a line of kafka-console-producer into a record, as Apache's LineMessageReader does it:
 *
 *   [HEADERS headers.delimiter] [KEY key.separator] VALUE
 *   HEADERS = NAME headers.key.separator VALUE, with headers.separator between them
 *
 * with the first part only if parse.headers, the second only if parse.key is true. A part that
 * equals null.marker is null. With ignore.error a separator that is missing leaves its part out;
 * else it is a fault. Separators are taken literally.
 */
#pragma once

#include "cli/kafka/props.h"

struct reader {
    bool parse_key;
    bool parse_headers;
    bool ignore_error;
    const char *key_separator;
    const char *headers_delimiter;
    const char *headers_separator;
    const char *headers_key_separator;
    const char *null_marker; /* NULL: none */
    uint64_t lines;          /* taken so far */
};

struct reader_record {
    struct slice key;            /* borrowed from the line; SLICE_NULL: null */
    struct slice value;          /* the same */
    rd_kafka_headers_t *headers; /* owned, or NULL */
};

/* Borrows from `p`, which must outlive *r. */
int reader_init(struct reader *r, const struct props *p, struct fault *f) MUST_CHECK;
/* Fills *out, whose headers belong to the caller, or to librdkafka once produced. */
int reader_line(struct reader *r, struct slice line, struct reader_record *out,
                struct fault *f) MUST_CHECK;
