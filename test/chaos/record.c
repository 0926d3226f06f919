/* SPDX-License-Identifier: MIT
 *
 * record: see record.h.
 */
#include "test/chaos/record.h"

#include "engine/base/assert.h"
#include "engine/base/crc32c.h"
#include "engine/base/random.h"

#define RECORD_MAGIC 0x5248434bu /* "KCHR" */

static void record_fill(const struct record_id *id, uint32_t size_max, struct buf *out)
{
    struct random r;
    uint8_t word[8];
    random_init(&r, id->run ^ (id->sequence * 0x9e3779b97f4a7c15u) ^
                        ((uint64_t)id->producer << 40) ^ ((uint64_t)id->partition << 20));
    size_t left = random_below(&r, size_max);
    while (left > 0) {
        uint64_t v = random_u64(&r);
        size_t n = left < sizeof word ? left : sizeof word;
        bytes_put_le64(word, (v & 1) != 0 ? 0x6b6175726920206bu : v);
        buf_append(out, word, n);
        left -= n;
    }
}

void record_make(const struct record_id *id, uint32_t size_max, struct buf *out)
{
    ASSERT(size_max > 0);
    buf_reset(out);
    buf_append_le32(out, RECORD_MAGIC);
    buf_append_le32(out, 0);
    buf_append_le64(out, id->run);
    buf_append_le32(out, id->producer);
    buf_append_le32(out, id->partition);
    buf_append_le64(out, id->sequence);
    ASSERT(out->size == RECORD_HEADER_SIZE);
    record_fill(id, size_max, out);
    bytes_put_le32(out->p + 4, crc32c(out->p + 8, out->size - 8));
}

int record_read(struct slice value, uint64_t run, uint32_t size_max, struct buf *scratch,
                struct record_id *id)
{
    if (value.p == NULL || value.size < RECORD_HEADER_SIZE || bytes_le32(value.p) != RECORD_MAGIC ||
        bytes_le64(value.p + 8) != run)
        return 1;
    struct record_id found = {.run = run,
                              .producer = bytes_le32(value.p + 16),
                              .partition = bytes_le32(value.p + 20),
                              .sequence = bytes_le64(value.p + 24)};
    record_make(&found, size_max, scratch);
    if (!slice_equal(value, buf_slice(scratch)))
        return 1;
    *id = found;
    return 0;
}
