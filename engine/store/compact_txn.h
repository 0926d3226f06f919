/* SPDX-License-Identifier: MIT
 *
 * compact_txn: what a cleaner has to know of transactions. Source: KIP-98, KIP-534 and Kafka's
 * cleaner.
 *
 * First every batch of the dirty part is shown, in order (compact_txn_see): that tells which
 * transactions were aborted, and from which offset on one is still open, where cleaning has to end.
 * Then, while the log is copied from its start (compact_txn_copy), whether a marker still has data
 * in front of it.
 *
 *   data of an aborted transaction      goes at once
 *   a marker, data of its transaction was met in this copy      stays
 *   a marker without data               gets a delete horizon, goes in a copy behind that
 *
 * Markers of unknown type change nothing and stay. Must not know: files, keys.
 */
#pragma once

#include <stdbool.h>

#include "engine/base/map.h"
#include "engine/store/batch.h"

enum compact_marker {
    COMPACT_MARKER_NONE, /* data, or a control batch that ends no transaction */
    COMPACT_MARKER_ABORT,
    COMPACT_MARKER_COMMIT,
};

struct compact_aborted {
    int64_t producer_id;
    int64_t first;  /* data from here on */
    int64_t marker; /* up to here */
};

struct compact_txn {
    struct map open;                 /* producer id -> struct compact_open, owned */
    struct compact_aborted *aborted; /* owned; sorted by compact_txn_seal */
    size_t aborted_count;
    size_t aborted_cap;
    size_t max; /* of both together */
};

void compact_txn_init(struct compact_txn *t, size_t memory_max, uint64_t seed);
void compact_txn_deinit(struct compact_txn *t);
/* What a batch is, with its records at hand. */
enum compact_marker compact_txn_marker(struct slice batch, const struct batch_header *h);
/* The next batch of the dirty part. False: there is no room to remember it. */
bool compact_txn_see(struct compact_txn *t, const struct batch_header *h,
                     enum compact_marker marker) MUST_CHECK;
/* All were shown up to `end`: the first offset of an open transaction, or end. */
int64_t compact_txn_seal(struct compact_txn *t, int64_t end);
/* True when the offset belongs to an aborted transaction of that producer. O(log n). */
bool compact_txn_aborted(const struct compact_txn *t, int64_t producer_id, int64_t offset);
/* The next batch of the copy, from the start of the log. True: it is a marker whose transaction has
 * no data any more. */
bool compact_txn_copy(struct compact_txn *t, const struct batch_header *h,
                      enum compact_marker marker);
