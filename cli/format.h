/* SPDX-License-Identifier: MIT
 *
 * format: kcat's output format (-f), compiled once and run for every record.
 *
 *   %s value   %S its size (-1: null)   %R its size as 4 bytes, big endian
 *   %k key     %K its size (-1: null)   %T timestamp in ms   %h headers a=1,b=2
 *   %t topic   %p partition   %o offset   %% a percent sign   \n \t \r \0 \\ \xNN
 */
#pragma once

#include "engine/base/bytes.h"
#include "net/client/kauri.h"

struct format_step {
    char token; /* 0: literal bytes */
    size_t pos; /* of the literal in text */
    size_t size;
};

/* A compiled format. Zeroed is empty. */
struct format {
    struct buf text;
    struct format_step *steps; /* owned */
    size_t count;
    bool null; /* null is printed as NULL, not as nothing */
};

/* 0, or 1 with a sentence. */
int format_compile(const char *text, struct format *out, char why[256]) MUST_CHECK;
/* Frees the format; `null` stays, and another may be compiled. */
void format_deinit(struct format *f);
/* Appends the record's text. */
void format_run(const struct format *f, const struct kauri_record *r, struct buf *out);
