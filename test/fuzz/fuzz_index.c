/* SPDX-License-Identifier: MIT
 *
 * fuzz_index: foreign bytes as an offset index and as a time index (libFuzzer; corpus in
 * corpus/index).
 *
 * Each input is taken as it is and once more with every entry's checksum made right, since a fuzzer
 * will not guess one. Beyond not crashing: what a search finds is an entry of the file that answers
 * the question, and over the good prefix it is the answer of a linear search.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/crc32c.h"
#include "engine/store/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Slots of the good prefix whose offset is at most relative. */
static size_t fuzz_index_linear(struct slice good, uint32_t relative)
{
    struct index_entry e;
    size_t slot = 0;
    while (slot < good.size / INDEX_ENTRY_SIZE && index_at(good, slot, &e) &&
           e.relative <= relative)
        slot++;
    return slot;
}

static void fuzz_index_search(struct slice in, struct slice good, uint32_t relative)
{
    struct index_entry e, want;
    int r = index_floor(in, relative, &e);
    ASSERT(r == 0 || r == INDEX_NONE || r == INDEX_DAMAGED);
    ASSERT(r != 0 || e.relative <= relative);
    size_t below = fuzz_index_linear(good, relative);
    r = index_floor(good, relative, &e);
    ASSERT(r == (below > 0 ? 0 : INDEX_NONE));
    if (below > 0)
        ASSERT(index_at(good, below - 1, &want) && want.relative == e.relative &&
               want.pos == e.pos);
}

static void fuzz_index_offsets(struct slice in)
{
    size_t count = in.size / INDEX_ENTRY_SIZE, good_size = index_good_size(in, UINT64_MAX);
    struct slice whole = slice_of(in.p, count * INDEX_ENTRY_SIZE);
    struct slice good = slice_of(in.p, good_size);
    ASSERT(good_size % INDEX_ENTRY_SIZE == 0 && good_size <= whole.size);
    ASSERT(index_good_size(in, 0) == 0);
    fuzz_index_search(whole, good, 0);
    fuzz_index_search(whole, good, UINT32_MAX);
    for (size_t slot = 0; slot < count; slot++) {
        struct index_entry e;
        if (!index_at(whole, slot, &e))
            continue;
        ASSERT(index_good_size(in, e.pos) <= good_size);
        fuzz_index_search(whole, good, e.relative);
        fuzz_index_search(whole, good, e.relative - 1);
    }
}

static size_t fuzz_index_time_linear(struct slice good, int64_t timestamp)
{
    struct index_time_entry e;
    size_t slot = 0;
    while (slot < good.size / INDEX_TIME_ENTRY_SIZE && index_time_at(good, slot, &e) &&
           e.max_timestamp < timestamp)
        slot++;
    return slot;
}

static void fuzz_index_time_search(struct slice in, struct slice good, int64_t timestamp)
{
    struct index_time_entry e, want;
    int r = index_time_floor(in, timestamp, &e);
    ASSERT(r == 0 || r == INDEX_NONE || r == INDEX_DAMAGED);
    ASSERT(r != 0 || e.max_timestamp < timestamp);
    size_t below = fuzz_index_time_linear(good, timestamp);
    r = index_time_floor(good, timestamp, &e);
    ASSERT(r == (below > 0 ? 0 : INDEX_NONE));
    if (below > 0)
        ASSERT(index_time_at(good, below - 1, &want) && want.relative == e.relative &&
               want.max_timestamp == e.max_timestamp);
}

static void fuzz_index_times(struct slice in)
{
    size_t count = in.size / INDEX_TIME_ENTRY_SIZE;
    size_t good_size = index_time_good_size(in, UINT32_MAX);
    struct slice whole = slice_of(in.p, count * INDEX_TIME_ENTRY_SIZE);
    struct slice good = slice_of(in.p, good_size);
    ASSERT(good_size % INDEX_TIME_ENTRY_SIZE == 0 && good_size <= whole.size);
    fuzz_index_time_search(whole, good, INT64_MIN);
    fuzz_index_time_search(whole, good, INT64_MAX);
    for (size_t slot = 0; slot < count; slot++) {
        struct index_time_entry e;
        if (!index_time_at(whole, slot, &e))
            continue;
        ASSERT(index_time_good_size(in, e.relative) <= good_size);
        fuzz_index_time_search(whole, good, e.max_timestamp);
        if (e.max_timestamp < INT64_MAX)
            fuzz_index_time_search(whole, good, e.max_timestamp + 1);
    }
}

/* With right checksums: of entries of `entry` bytes, the last four. */
static void fuzz_index_sealed(struct slice in, size_t entry, void (*run)(struct slice in))
{
    uint8_t *p = malloc(in.size + 1);
    ASSERT(p != NULL);
    if (in.size > 0)
        memcpy(p, in.p, in.size);
    for (size_t pos = 0; in.size - pos >= entry; pos += entry)
        bytes_put_le32(p + pos + entry - 4, crc32c(p + pos, entry - 4));
    run(slice_of(p, in.size));
    free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of(data, size);
    if (size > 4096) /* the linear searches make it quadratic */
        return 0;
    fuzz_index_offsets(in);
    fuzz_index_times(in);
    fuzz_index_sealed(in, INDEX_ENTRY_SIZE, fuzz_index_offsets);
    fuzz_index_sealed(in, INDEX_TIME_ENTRY_SIZE, fuzz_index_times);
    return 0;
}
