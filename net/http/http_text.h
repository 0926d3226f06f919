/* SPDX-License-Identifier: MIT
 *
 * http_text: the words of Prometheus' text format, version 0.0.4.
 *
 *   # HELP name help               \ and line feed escaped
 *   # TYPE name counter|gauge|histogram
 *   name{label="value",...} 12     \, " and line feed escaped; a byte that is no UTF-8 as \xNN
 *
 * All samples of a name follow its head; a name has one head in a page. That is the caller's task.
 */
#pragma once

#include "engine/base/bytes.h"
#include "engine/base/tally.h"

enum http_text_type {
    HTTP_TEXT_COUNTER,
    HTTP_TEXT_GAUGE,
    HTTP_TEXT_HISTOGRAM,
};
#define HTTP_TEXT_TYPE_COUNT 3

struct http_text_label {
    const char *name;
    struct slice value;
};

struct http_text_labels {
    const struct http_text_label *v;
    size_t count;
};

/* The text as UTF-8, with \xNN for each byte that is none. */
void http_text_utf8(struct buf *out, struct slice s);
void http_text_head(struct buf *out, const char *name, enum http_text_type type, const char *help);
void http_text_u64(struct buf *out, const char *name, struct http_text_labels labels,
                   uint64_t value);
void http_text_i64(struct buf *out, const char *name, struct http_text_labels labels,
                   int64_t value);
/* In seconds, with as many digits as it takes. */
void http_text_us(struct buf *out, const char *name, struct http_text_labels labels, uint64_t us);
/* The buckets, with the label `le` behind the others, the sum in seconds and the count. */
void http_text_tally(struct buf *out, const char *name, struct http_text_labels labels,
                     const struct tally *t);
