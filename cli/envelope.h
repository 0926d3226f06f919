/* SPDX-License-Identifier: MIT
 *
 * envelope: a record as one JSON object, both ways, so that
 * `kauri consume a --json | kauri produce b --json` copies a topic.
 *
 *   {"topic":"t","partition":0,"offset":7,"timestamp":1705327800000,
 *    "key":"k","value":"v","headers":[["h","1"]]}
 *
 * Bytes that are not UTF-8 go as "key_base64", "value_base64", and as a third element true behind a
 * header whose value is base64. Coming in, topic and offset are passed over, a missing key or value
 * is null, `headers` may be an object, and a value (or key) that is no string is taken as its own
 * compact JSON text.
 */
#pragma once

#include <jansson.h>

#include "engine/base/bytes.h"
#include "net/client/kauri.h"

#define ENVELOPE_HEADERS_MAX 256

/* A parsed envelope; owns what its record points to. Zeroed is empty. */
struct envelope {
    struct kauri_record record; /* partition -1 and timestamp_ms -1 when not given */
    struct kauri_header headers[ENVELOPE_HEADERS_MAX];
    struct buf bytes; /* keys, values and header values that had to be decoded or copied */
    json_t *root;
};

/* Reads one line. 0, or 1 with a sentence in `why`. Overwrites what *e held. */
int envelope_parse(struct slice line, struct envelope *e, char why[256]) MUST_CHECK;
void envelope_deinit(struct envelope *e);
/* The object of a record, owned. */
json_t *envelope_of(const struct kauri_record *r);
