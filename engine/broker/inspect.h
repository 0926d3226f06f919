/* SPDX-License-Identifier: MIT
 *
 * inspect: a data folder at rest: its format, the catalogue that __meta tells, and whether the LMDB
 * view agrees with it. Changes nothing. For dump and verify.
 */
#pragma once

#include "engine/broker/catalog.h"
#include "engine/broker/format.h"
#include "engine/store/store.h"

#define INSPECT_LOCKED  20 /* a broker is running on this folder */
#define INSPECT_DAMAGED 21 /* __meta cannot be read */

struct inspect;

/* Holds the folder's lock where it can be taken (not on a read-only disk). 0; IO_MISSING (no such
 * folder, or no format file in it); FORMAT_NEWER, FORMAT_DAMAGED; INSPECT_LOCKED; INSPECT_DAMAGED;
 * -errno. *out is owned. */
int inspect_open(struct store *s, const char *dir, struct inspect **out) MUST_CHECK;
struct inspect *inspect_free(struct inspect *i);
const struct format *inspect_format(const struct inspect *i);

/* Calls fn for every topic, in no order. t is borrowed. */
void inspect_topics(struct inspect *i,
                    void (*fn)(void *ctx, struct slice name, const struct catalog_topic *t,
                               int64_t revision),
                    void *ctx);
/* Calls fn for every record of the coordination. */
void inspect_records(struct inspect *i,
                     void (*fn)(void *ctx, struct slice key, struct slice value, int64_t revision),
                     void *ctx);

struct inspect_view {
    uint64_t rows;   /* good rows */
    uint64_t wrong;  /* rows that say something else than __meta */
    int64_t applied; /* last offset of __meta the view knows; -1 none */
    int64_t end;     /* of __meta */
};
/* Walks the view in a child process, then compares it. 0, META_NONE (no view), META_DAMAGED or
 * -errno. */
int inspect_view(struct inspect *i, struct inspect_view *out) MUST_CHECK;
