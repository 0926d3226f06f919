/* SPDX-License-Identifier: MIT
 *
 * fuzz_batch: foreign bytes as a RecordBatch v2 (libFuzzer; corpus in corpus/batch).
 *
 * Each input is taken as it is and once more with length, magic and CRC made right, since a fuzzer
 * will not guess a CRC. Beyond not crashing: a batch that validates also passes the checks of a
 * stored one and iterates to its end, and inflating never passes the limit.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/crc32c.h"
#include "engine/store/batch.h"

#define INFLATE_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_batch_headers(const struct batch_record *r)
{
    struct slice rest = r->headers, name, value;
    int32_t count = 0;
    while (batch_header_next(&rest, &name, &value))
        count++;
    ASSERT(count == r->header_count && rest.size == 0);
}

/* Records read until the end or a fault. */
static int32_t fuzz_batch_iterate(struct slice in, struct buf *scratch)
{
    struct batch_iter it;
    struct batch_record r;
    int32_t count = 0;
    enum batch_fault fault = batch_iter_init(&it, in, INFLATE_MAX, scratch);
    if (fault != BATCH_OK)
        return -1;
    ASSERT(scratch->size <= INFLATE_MAX);
    for (; batch_iter_next(&it, &r, &fault); count++)
        fuzz_batch_headers(&r);
    ASSERT(fault == BATCH_OK || fault == BATCH_BAD_RECORD);
    return count;
}

static void fuzz_batch_one(struct slice in)
{
    struct buf scratch = {0};
    struct batch_rules rules = {.inflate_max = INFLATE_MAX, .scratch = &scratch};
    struct batch_header h, produced;
    bool stored = batch_check_stored(in, 0, &h) == BATCH_OK;
    int32_t count = fuzz_batch_iterate(in, &scratch);
    if (stored) {
        enum batch_fault fault = batch_check_records(in, &h, INFLATE_MAX, &scratch);
        ASSERT(batch_fault_text(fault) != NULL);
        ASSERT(fault != BATCH_OK || count == h.count);
    }
    enum batch_fault fault = batch_validate(in, &rules, &produced);
    if (fault == BATCH_OK || fault == BATCH_WRONG_MAX)
        ASSERT(stored && count == produced.count);
    if (fault == BATCH_OK)
        ASSERT(batch_check_records(in, &produced, INFLATE_MAX, &scratch) == BATCH_OK);
    buf_deinit(&scratch);
}

static void fuzz_batch_sealed(const uint8_t *data, size_t size)
{
    uint8_t *p = malloc(size);
    ASSERT(p != NULL);
    memcpy(p, data, size);
    p[BATCH_POS_MAGIC] = BATCH_MAGIC;
    bytes_put_be32(p + BATCH_POS_LENGTH, (uint32_t)size - BATCH_PREFIX_SIZE);
    bytes_put_be32(p + BATCH_POS_CRC,
                   crc32c(p + BATCH_POS_ATTRIBUTES, size - BATCH_POS_ATTRIBUTES));
    fuzz_batch_one(slice_of(p, size));
    free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_batch_one(slice_of(data, size));
    if (size >= BATCH_HEADER_SIZE && size < ((size_t)1 << 20))
        fuzz_batch_sealed(data, size);
    return 0;
}
