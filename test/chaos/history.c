/* SPDX-License-Identifier: MIT
 *
 * history: see history.h.
 */
#include "test/chaos/history.h"

#include "engine/base/assert.h"

#define HISTORY_MAGIC 0x4848434bu /* "KCHH" */
#define HISTORY_SIZE  24

int history_write_head(FILE *f, const struct history_head *h)
{
    uint8_t b[HISTORY_SIZE];
    ASSERT(h->partitions > 0 && h->size_max > 0);
    bytes_put_le32(b, HISTORY_MAGIC);
    bytes_put_le32(b + 4, h->producer);
    bytes_put_le64(b + 8, h->run);
    bytes_put_le32(b + 16, h->size_max);
    bytes_put_le32(b + 20, h->partitions);
    return fwrite(b, sizeof b, 1, f) == 1 ? 0 : 1;
}

int history_write(FILE *f, const struct history_entry *e)
{
    uint8_t b[HISTORY_SIZE];
    bytes_put_le32(b, e->kind);
    bytes_put_le32(b + 4, e->partition);
    bytes_put_le64(b + 8, e->sequence);
    bytes_put_le64(b + 16, (uint64_t)e->offset);
    return fwrite(b, sizeof b, 1, f) == 1 ? 0 : 1;
}

int history_read_head(FILE *f, struct history_head *h)
{
    uint8_t b[HISTORY_SIZE];
    if (fread(b, sizeof b, 1, f) != 1 || bytes_le32(b) != HISTORY_MAGIC)
        return 1;
    *h = (struct history_head){.producer = bytes_le32(b + 4),
                               .run = bytes_le64(b + 8),
                               .size_max = bytes_le32(b + 16),
                               .partitions = bytes_le32(b + 20)};
    return h->partitions > 0 && h->size_max > 0 ? 0 : 1;
}

int history_read(FILE *f, struct history_entry *e)
{
    uint8_t b[HISTORY_SIZE];
    size_t size = fread(b, 1, sizeof b, f);
    if (size == 0)
        return 1;
    uint32_t kind = size == sizeof b ? bytes_le32(b) : 0;
    if (kind < HISTORY_ACKED || kind > HISTORY_SENT)
        return 2;
    *e = (struct history_entry){.kind = (enum history_kind)kind,
                                .partition = bytes_le32(b + 4),
                                .sequence = bytes_le64(b + 8),
                                .offset = (int64_t)bytes_le64(b + 16)};
    return 0;
}
