/* SPDX-License-Identifier: MIT
 *
 * cluster_pages: the answers to several RECORDS calls, put together: records that are more than one
 * message holds come in pages, and are mirrored as a whole or not at all.
 *
 *   cluster_pages_ask (since, begun) --> page: take --more--> ask again --> ... --last--> changes
 *
 * A whole listing begins at some revision; what changes while its pages come is on a later one, so
 * of several records of one key the last counts. Deletions that are forgotten meanwhile begin it
 * anew: the answer says `whole` once more.
 *
 * Must not know: calls, time. Failures: more than CLUSTER_PAGES_SIZE_MAX bytes.
 */
#pragma once

#include "engine/broker/coord.h"
#include "engine/broker/ship.h"

#define CLUSTER_PAGES_SIZE_MAX (1u << 30)

struct cluster_pages {
    struct buf bytes; /* owned: [u32 key size][u32 value size, ~0 none][key][value] each */
    size_t count;
    int64_t since; /* where the next page begins; -1: at the beginning */
    int64_t begun; /* the revision when the whole listing began; -1: it is none */
    bool whole;
};

void cluster_pages_deinit(struct cluster_pages *p);
/* Forgets what is there: the next page is asked for since this revision. */
void cluster_pages_reset(struct cluster_pages *p, int64_t since);
void cluster_pages_ask(const struct cluster_pages *p, struct ship_records *out);
#define CLUSTER_PAGES_MORE  1 /* ask for the next one */
#define CLUSTER_PAGES_LARGE 2 /* too much: begin anew */
/* Takes an answer. 0: it was the last. O(bytes). */
int cluster_pages_take(struct cluster_pages *p, const struct ship_records *in) MUST_CHECK;
/* All of them, each key once, into a zeroed *out, which borrows. O(records). */
void cluster_pages_changes(const struct cluster_pages *p, struct coord_changes *out);
