/* SPDX-License-Identifier: MIT
 *
 * index: see index.h. Searches are binary over entries of fixed size; a wrong checksum on the way
 * ends them, because a hint that lies is worth less than none.
 */
#include "engine/store/index.h"

#include "engine/base/assert.h"
#include "engine/base/crc32c.h"

_Static_assert(INDEX_ENTRY_SIZE == 4 + 4 + 4, "index entry layout");
_Static_assert(INDEX_TIME_ENTRY_SIZE == 8 + 4 + 4, "time index entry layout");

void index_append(struct buf *b, struct index_entry e)
{
    uint8_t raw[INDEX_ENTRY_SIZE];
    ASSERT(b->size % INDEX_ENTRY_SIZE == 0);
    bytes_put_le32(raw, e.relative);
    bytes_put_le32(raw + 4, e.pos);
    bytes_put_le32(raw + 8, crc32c(raw, 8));
    buf_append(b, raw, sizeof raw);
}

void index_append_time(struct buf *b, struct index_time_entry e)
{
    uint8_t raw[INDEX_TIME_ENTRY_SIZE];
    ASSERT(b->size % INDEX_TIME_ENTRY_SIZE == 0);
    bytes_put_le64(raw, (uint64_t)e.max_timestamp);
    bytes_put_le32(raw + 8, e.relative);
    bytes_put_le32(raw + 12, crc32c(raw, 12));
    buf_append(b, raw, sizeof raw);
}

bool index_at(struct slice in, size_t slot, struct index_entry *out)
{
    ASSERT(slot < in.size / INDEX_ENTRY_SIZE);
    const uint8_t *p = in.p + slot * INDEX_ENTRY_SIZE;
    if (bytes_le32(p + 8) != crc32c(p, 8))
        return false;
    *out = (struct index_entry){bytes_le32(p), bytes_le32(p + 4)};
    return true;
}

bool index_time_at(struct slice in, size_t slot, struct index_time_entry *out)
{
    ASSERT(slot < in.size / INDEX_TIME_ENTRY_SIZE);
    const uint8_t *p = in.p + slot * INDEX_TIME_ENTRY_SIZE;
    if (bytes_le32(p + 12) != crc32c(p, 12))
        return false;
    *out = (struct index_time_entry){(int64_t)bytes_le64(p), bytes_le32(p + 8)};
    return true;
}

int index_floor(struct slice in, uint32_t relative, struct index_entry *out)
{
    ASSERT(in.p != NULL || in.size == 0);
    size_t low = 0, high = in.size / INDEX_ENTRY_SIZE; /* answer lies below `high` */
    struct index_entry e, best = {0, 0};
    bool found = false;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (!index_at(in, mid, &e))
            return INDEX_DAMAGED;
        if (e.relative <= relative) {
            best = e;
            found = true;
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (!found)
        return INDEX_NONE;
    ASSERT(low == high && low > 0);
    ASSERT(best.relative <= relative);
    *out = best;
    return 0;
}

int index_time_floor(struct slice in, int64_t timestamp, struct index_time_entry *out)
{
    ASSERT(in.p != NULL || in.size == 0);
    size_t low = 0, high = in.size / INDEX_TIME_ENTRY_SIZE;
    struct index_time_entry e, best = {0, 0};
    bool found = false;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (!index_time_at(in, mid, &e))
            return INDEX_DAMAGED;
        if (e.max_timestamp < timestamp) {
            best = e;
            found = true;
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (!found)
        return INDEX_NONE;
    ASSERT(low == high && low > 0);
    ASSERT(best.max_timestamp < timestamp);
    *out = best;
    return 0;
}

size_t index_good_size(struct slice in, uint64_t pos_end)
{
    size_t count = in.size / INDEX_ENTRY_SIZE, slot = 0;
    struct index_entry e, last = {0, 0};
    for (; slot < count; slot++) {
        if (!index_at(in, slot, &e) || e.pos >= pos_end)
            break;
        if (slot > 0 && (e.relative <= last.relative || e.pos <= last.pos))
            break;
        last = e;
    }
    ASSERT(slot <= count);
    return slot * INDEX_ENTRY_SIZE;
}

size_t index_time_good_size(struct slice in, uint64_t relative_end)
{
    size_t count = in.size / INDEX_TIME_ENTRY_SIZE, slot = 0;
    struct index_time_entry e, last = {INT64_MIN, 0};
    for (; slot < count; slot++) {
        if (!index_time_at(in, slot, &e) || e.relative > relative_end)
            break;
        if (slot > 0 && (e.relative <= last.relative || e.max_timestamp < last.max_timestamp))
            break;
        last = e;
    }
    ASSERT(slot <= count);
    return slot * INDEX_TIME_ENTRY_SIZE;
}
