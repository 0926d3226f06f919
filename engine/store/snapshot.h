/* SPDX-License-Identifier: MIT
 *
 * snapshot: the file `<offset>.snapshot` of a partition folder: what the partition knows of the
 * batches below `offset` beside the batches: leader epochs and producers. With it a start reads
 * only what is behind.
 *
 *   [leader epochs, as epochs_save][producers, as producers_save: it has the offset]
 *
 * Files without the first part are of versions that knew no leader epochs; they are read, and say
 * nothing of them. Each part has its own magic and checksum.
 *
 * Failures: damage is a condition. Must not know: files, batches.
 */
#pragma once

#include "engine/store/epochs.h"
#include "engine/store/producers.h"

#define SNAPSHOT_DAMAGED 4

void snapshot_save(const struct epochs *e, const struct producers *s, int64_t offset,
                   struct buf *out);
/* Loads the snapshot of `offset` into empty states. 0, with *has_epochs: it tells of them; or
 * SNAPSHOT_DAMAGED: both are left empty. */
int snapshot_load(struct slice in, int64_t offset, struct epochs *e, struct producers *s,
                  bool *has_epochs) MUST_CHECK;
