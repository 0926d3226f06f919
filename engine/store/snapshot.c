/* SPDX-License-Identifier: MIT
 *
 * snapshot: see snapshot.h.
 */
#include "engine/store/snapshot.h"

#include "engine/base/assert.h"

void snapshot_save(const struct epochs *e, const struct producers *s, int64_t offset,
                   struct buf *out)
{
    ASSERT(offset >= 0 && out != NULL);
    ASSERT(e->count == 0 || e->entries[e->count - 1].start < offset);
    epochs_save(e, out);
    producers_save(s, offset, out);
}

int snapshot_load(struct slice in, int64_t offset, struct epochs *e, struct producers *s,
                  bool *has_epochs)
{
    struct slice rest = in;
    int64_t at = -1;
    ASSERT(offset >= 0);
    bool has = epochs_load(e, &rest, offset) == 0;
    int r = producers_load(s, rest, &at); /* an old file begins with them */
    if (r == 0 && at == offset) {
        *has_epochs = has;
        return 0;
    }
    if (r == 0) {
        uint64_t seed = s->map.seed;
        size_t max = s->max;
        producers_deinit(s);
        producers_init(s, seed, max);
    }
    epochs_deinit(e);
    ASSERT(e->count == 0 && s->map.count == 0);
    return SNAPSHOT_DAMAGED;
}
