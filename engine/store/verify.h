/* SPDX-License-Identifier: MIT
 *
 * verify: checks a partition folder at rest, file by file, and changes nothing.
 *
 *   log         every batch: CRC, offsets without gaps (gaps only where a cleaner ran), segments
 *               that follow each other, leader epochs that do not fall; with `deep` every record
 *               too
 *   index       every entry's checksum, order, and that a batch with its offset begins there
 *   timeindex   every entry's checksum and order, and that nothing below its offset is newer
 *   snapshot    checksum, invariants
 *   state       checksum, and that log start and recovery point lie in the log
 *   and part_check over the partition as recovery would open it
 *
 * What lies behind the recovery point of the last segment and is no batch is a torn tail, which the
 * next start cuts: reported as a note, not as a fault.
 */
#pragma once

#include "engine/store/walk.h"

struct verify_totals {
    uint64_t partitions;
    uint64_t segments;
    uint64_t batches;
    uint64_t records;
    uint64_t size;
    uint64_t faults;
    uint64_t notes;
};

struct verify_options {
    bool deep; /* look into every record */
    /* One finding: `fault` or a note. `line` is a finished sentence without full stop. */
    void (*found)(void *ctx, bool fault, const char *line);
    /* After each segment, bytes looked at. May be NULL. */
    void (*progress)(void *ctx, uint64_t size);
    void *ctx;
};

/* Adds what it sees to *t. 0, or -errno where the disk did not answer. */
int verify_part(struct store *s, const char *dir, const struct verify_options *o,
                struct verify_totals *t) MUST_CHECK;
