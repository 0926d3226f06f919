/* SPDX-License-Identifier: MIT
 *
 * epochs: see epochs.h. A sorted array: there is one entry per change of leader.
 */
#include "engine/store/epochs.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/crc32c.h"

#define EPOCHS_MAGIC      0x3153454bu /* "KES1" */
#define EPOCHS_HEAD_SIZE  20
#define EPOCHS_ENTRY_SIZE 12

void epochs_deinit(struct epochs *e)
{
    ASSERT(e->count <= e->cap);
    free(e->entries);
    *e = (struct epochs){0};
}

static void epochs_push(struct epochs *e, int32_t epoch, int64_t start)
{
    if (e->count == e->cap) {
        e->cap = e->cap > 0 ? e->cap * 2 : 4;
        size_t size = e->cap * sizeof *e->entries;
        e->entries = assert_memory(realloc(e->entries, size), size);
    }
    ASSERT(e->count < e->cap);
    ASSERT(e->count == 0 || (e->entries[e->count - 1].epoch < epoch &&
                             e->entries[e->count - 1].start < start)); /* H1 */
    e->entries[e->count++] = (struct epochs_entry){start, epoch};
}

int32_t epochs_last(const struct epochs *e)
{
    ASSERT(e->count <= e->cap);
    return e->count > 0 ? e->entries[e->count - 1].epoch : EPOCHS_NONE;
}

bool epochs_append(struct epochs *e, int32_t epoch, int64_t start)
{
    int32_t last = epochs_last(e);
    ASSERT(start >= e->from); /* H2 */
    if (epoch < 0 || epoch < last)
        return false;
    if (epoch > last)
        epochs_push(e, epoch, start);
    return true;
}

/* How many entries have an epoch of at most `epoch`. */
static size_t epochs_upto(const struct epochs *e, int32_t epoch)
{
    size_t low = 0, high = e->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (e->entries[mid].epoch <= epoch)
            low = mid + 1;
        else
            high = mid;
    }
    ASSERT(low == high && low <= e->count);
    return low;
}

/* How many entries start below `offset`. */
static size_t epochs_below(const struct epochs *e, int64_t offset)
{
    size_t low = 0, high = e->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (e->entries[mid].start < offset)
            low = mid + 1;
        else
            high = mid;
    }
    ASSERT(low == high && low <= e->count);
    return low;
}

int32_t epochs_at(const struct epochs *e, int64_t offset)
{
    size_t n = epochs_below(e, offset);
    ASSERT(n == 0 || e->entries[n - 1].start < offset);
    return n > 0 ? e->entries[n - 1].epoch : EPOCHS_NONE;
}

struct epochs_end epochs_end(const struct epochs *e, int32_t epoch, int64_t log_end)
{
    size_t n = epochs_upto(e, epoch);
    ASSERT(e->count == 0 || e->entries[e->count - 1].start < log_end);
    int64_t end = n < e->count ? e->entries[n].start : log_end;
    ASSERT(end >= 0);
    return (struct epochs_end){n > 0 ? e->entries[n - 1].epoch : epoch, end};
}

void epochs_cut(struct epochs *e, int64_t offset)
{
    ASSERT(offset >= 0);
    e->count = epochs_below(e, offset);
    ASSERT(e->count == 0 || e->entries[e->count - 1].start < offset);
}

void epochs_trim(struct epochs *e, int64_t offset)
{
    size_t gone = 0;
    ASSERT(offset >= 0);
    e->from = offset;
    if (e->count == 0)
        return;
    while (gone + 1 < e->count && e->entries[gone + 1].start <= offset)
        gone++;
    e->count -= gone;
    memmove(e->entries, e->entries + gone, e->count * sizeof *e->entries);
    if (e->entries[0].start < offset)
        e->entries[0].start = offset;
    ASSERT(e->count == 1 || e->entries[1].start > offset);
}

bool epochs_equal(const struct epochs *a, const struct epochs *b)
{
    ASSERT(a != NULL && b != NULL);
    for (size_t i = 0; a->count == b->count && i < a->count; i++)
        if (a->entries[i].epoch != b->entries[i].epoch ||
            a->entries[i].start != b->entries[i].start)
            return false;
    return a->count == b->count;
}

void epochs_save(const struct epochs *e, struct buf *out)
{
    size_t start = out->size;
    ASSERT(e->count <= UINT32_MAX);
    buf_append_le32(out, EPOCHS_MAGIC);
    buf_append_le32(out, 0);
    buf_append_le64(out, (uint64_t)e->from);
    buf_append_le32(out, (uint32_t)e->count);
    for (size_t i = 0; i < e->count; i++) {
        buf_append_le32(out, (uint32_t)e->entries[i].epoch);
        buf_append_le64(out, (uint64_t)e->entries[i].start);
    }
    ASSERT(out->size - start == EPOCHS_HEAD_SIZE + e->count * EPOCHS_ENTRY_SIZE);
    uint8_t *p = out->p + start;
    bytes_put_le32(p + 4, crc32c(p + 8, out->size - start - 8));
}

int epochs_load(struct epochs *e, struct slice *in, int64_t end)
{
    ASSERT(e->count == 0 && end >= 0);
    if (in->size < EPOCHS_HEAD_SIZE || bytes_le32(in->p) != EPOCHS_MAGIC)
        return EPOCHS_DAMAGED;
    uint32_t count = bytes_le32(in->p + 16);
    if (count > (in->size - EPOCHS_HEAD_SIZE) / EPOCHS_ENTRY_SIZE)
        return EPOCHS_DAMAGED;
    size_t size = EPOCHS_HEAD_SIZE + (size_t)count * EPOCHS_ENTRY_SIZE;
    if (bytes_le32(in->p + 4) != crc32c(in->p + 8, size - 8))
        return EPOCHS_DAMAGED;
    int64_t from = (int64_t)bytes_le64(in->p + 8);
    if (from < 0 || from > end)
        return EPOCHS_DAMAGED;
    struct epochs_entry last = {.start = from - 1, .epoch = -1};
    for (const uint8_t *p = in->p + EPOCHS_HEAD_SIZE; p < in->p + size; p += EPOCHS_ENTRY_SIZE) {
        struct epochs_entry x = {(int64_t)bytes_le64(p + 4), (int32_t)bytes_le32(p)};
        if (x.epoch <= last.epoch || x.start <= last.start || x.start >= end) {
            e->count = 0;
            return EPOCHS_DAMAGED;
        }
        epochs_push(e, x.epoch, x.start);
        last = x;
    }
    e->from = from;
    *in = slice_of(in->p + size, in->size - size);
    ASSERT(e->count == count);
    return 0;
}

void epochs_check(const struct epochs *e)
{
    ASSERT(e->count <= e->cap);
    for (size_t i = 0; i < e->count; i++) {
        ASSERT(e->entries[i].epoch >= 0 && e->entries[i].start >= e->from); /* H1, H2 */
        ASSERT(i == 0 || e->entries[i - 1].epoch < e->entries[i].epoch);
        ASSERT(i == 0 || e->entries[i - 1].start < e->entries[i].start);
    }
}
