/* SPDX-License-Identifier: MIT
 *
 * recover_epochs: the leader epochs of a partition that is being opened: from its snapshot, and
 * from the headers of the batches behind it; without a snapshot that tells of them, from the
 * headers of all batches (recover_from is then the beginning).
 *
 * A snapshot without epochs was written by a version that stamped the epoch of the state file, and
 * none other; only where that is 0, the first there is, does it say the same of every batch.
 *
 * The epoch of a batch lies outside its CRC. One that falls is damage, of this batch or of one in
 * front of it: an epoch that only the batch before vouches for gives way to one that fits the
 * history in front of that; else the batch is passed over. Either way it is counted and reported.
 */
#include "engine/store/recover_priv.h"

#include "engine/base/assert.h"

/* Where the log will begin, as far as can be told before it was scanned. */
static int64_t recover_start_offset(const struct recover *c)
{
    int64_t first = c->logs.count > 0 ? c->logs.v[0] : 0;
    int64_t start = c->has_state ? c->state.log_start : 0;
    ASSERT(first >= 0 && start >= 0);
    return first > start ? first : start;
}

void recover_epochs_loaded(struct recover *c, bool has_epochs)
{
    struct epochs *e = &c->part->epochs;
    int64_t start = recover_start_offset(c);
    ASSERT(c->snapshot >= 0);
    if (!has_epochs && c->has_state && c->state.epoch == 0 && start < c->snapshot)
        has_epochs = epochs_append(e, 0, start);
    /* Else a trim had cut it, and came to nothing. */
    c->has_epochs = has_epochs && e->from <= start;
    if (!c->has_epochs)
        epochs_deinit(e);
    c->epoch_batches = e->count > 0 ? 2 : 0;
}

int64_t recover_from(const struct recover *c)
{
    ASSERT(c->snapshot >= -1);
    return c->has_epochs ? c->snapshot : -1;
}

/* True when the last entry, which one batch made, is what is wrong. */
static bool recover_epoch_was_odd(const struct recover *c, int32_t epoch)
{
    const struct epochs *e = &c->part->epochs;
    ASSERT(e->count > 0 || epoch < 0);
    if (epoch < 0 || c->epoch_batches != 1)
        return false;
    return e->count > 1 ? epoch >= e->entries[e->count - 2].epoch : true;
}

static void recover_epoch(struct recover *c, const struct batch_header *h)
{
    struct epochs *e = &c->part->epochs;
    int32_t last = epochs_last(e);
    if (epochs_append(e, h->leader_epoch, h->base_offset)) {
        c->epoch_batches = h->leader_epoch == last ? 2 : 1;
        return;
    }
    c->report->epochs_damaged++;
    if (!recover_epoch_was_odd(c, h->leader_epoch))
        return;
    int64_t start = e->entries[e->count - 1].start;
    epochs_cut(e, start);
    bool good = epochs_append(e, h->leader_epoch, e->count > 0 ? h->base_offset : start);
    c->epoch_batches = 2;
    ASSERT(good && epochs_last(e) == h->leader_epoch);
}

void recover_batch(struct recover *c, const struct batch_header *h)
{
    struct part *p = c->part;
    ASSERT(h->base_offset >= 0);
    if (h->base_offset >= c->snapshot && h->base_sequence >= 0) /* the CRC vouches for no meaning */
        producers_apply(&p->producers, h, c->o->now_ms, NULL);
    if (h->base_offset >= recover_from(c))
        recover_epoch(c, h);
}

void recover_epochs_end(struct recover *c)
{
    struct part *p = c->part;
    int32_t stamped = c->has_state && c->state.epoch > 0 ? c->state.epoch : 0, last;
    epochs_trim(&p->epochs, p->log_start);
    epochs_cut(&p->epochs, p->reserved);
    last = epochs_last(&p->epochs);
    p->epoch = stamped > last ? stamped : last;
    ASSERT(p->epoch >= last && p->epoch >= 0);
}
