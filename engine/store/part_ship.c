/* SPDX-License-Identifier: MIT
 *
 * part_ship: batches that another leader stamped, as a follower stores them: whole, verbatim, at
 * the offsets and in the epochs they carry, in segments that begin where the leader's do. Nothing
 * of them is believed before it was checked; producers are moved without being asked, the leader
 * did that.
 *
 *   leader     [0.log 0..56][57.log 57..112][113.log 113 ...
 *   appends    {0..30, of 0} {31..56, of 0} {57..90, of 57} ...
 *   follower   [0.log 0..56][57.log 57..90 ...              rolls when an append says so
 *
 * So a sealed segment of the follower holds the bytes of the leader's. Not so the one in which the
 * follower's log began, or was truncated, elsewhere than the leader's: it ends where the leader's
 * ends, and the next is whole again.
 *
 * The leader's log may be compacted, then offsets are missing. A folder says so (a compaction
 * generation above 0, and the cleaner's mark) before the first batch behind a gap is written.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/store/part_priv.h"

int part_set_epoch(struct part *p, int32_t epoch)
{
    ASSERT(epoch >= 0);
    if (epoch < p->epoch)
        return PART_EPOCH;
    p->epoch = epoch;
    ASSERT(epochs_last(&p->epochs) <= p->epoch);
    return 0;
}

int32_t part_last_epoch(const struct part *p)
{
    ASSERT(p->epochs.count == 0 || p->log_start < p->reserved);
    return epochs_last(&p->epochs);
}

void part_epochs_append(struct part *p, const struct batch_header *h)
{
    int64_t start = h->base_offset > p->log_start ? h->base_offset : p->log_start;
    bool rises = epochs_append(&p->epochs, h->leader_epoch, start);
    ASSERT(rises && h->leader_epoch <= p->epoch);
}

/* What was found out about the batches before anything was changed. */
struct part_ship_check {
    int64_t first;
    int64_t next;
    size_t producers; /* batches that have one */
    bool gap;
};

static int part_ship_check_batch(const struct part *p, const struct part_shipment *in,
                                 const struct batch_header *h)
{
    ASSERT(batch_next_offset(h) > h->base_offset);
    if (h->base_offset < in->segment || batch_last_offset(h) - in->segment > INT32_MAX ||
        batch_last_offset(h) >= INT64_MAX - 1)
        return PART_BROKEN;
    int32_t last = epochs_last(&p->epochs);
    return h->leader_epoch < last || h->leader_epoch < 0 || h->leader_epoch > p->epoch ? PART_EPOCH
                                                                                       : 0;
}

/* The offset that the first batch must not be below. Where the log begins inside of a batch of the
 * leader's, that batch is the first, and begins the file. */
static int64_t part_ship_floor(const struct part *p, const struct batch_header *h)
{
    bool begins = p->count == 0 && p->log_start == p->reserved;
    ASSERT(h->base_offset >= 0);
    return begins && h->base_offset < p->reserved && batch_last_offset(h) >= p->reserved
               ? h->base_offset
               : p->reserved;
}

static int part_ship_check(const struct part *p, const struct part_shipment *in,
                           struct part_ship_check *out)
{
    struct slice rest = in->bytes;
    struct batch_header h;
    int32_t epoch = EPOCHS_NONE;
    *out = (struct part_ship_check){.first = -1};
    while (rest.size > 0) {
        if (batch_parse(rest, &h) != BATCH_OK)
            return PART_BROKEN;
        if (out->first < 0)
            out->first = out->next = part_ship_floor(p, &h);
        if (batch_check_stored(rest, out->next, &h) != BATCH_OK)
            return PART_BROKEN;
        int r = part_ship_check_batch(p, in, &h);
        if (r != 0 || h.leader_epoch < epoch)
            return r != 0 ? r : PART_EPOCH;
        epoch = h.leader_epoch;
        out->gap = out->gap || h.base_offset != out->next;
        out->producers += h.producer_id >= 0;
        out->next = batch_next_offset(&h);
        rest = slice_of(rest.p + h.size, rest.size - h.size);
    }
    ASSERT(out->first <= p->reserved);
    return out->first < 0 || in->bytes.size > BATCH_SIZE_MAX ? PART_BROKEN : 0;
}

bool part_shipped_next(struct slice *rest, struct batch_header *h)
{
    if (rest->size == 0)
        return false;
    enum batch_fault f = batch_parse(*rest, h);
    ASSERT(f == BATCH_OK && h->size <= rest->size); /* it was checked, and is pinned */
    *rest = slice_of(rest->p + h->size, rest->size - h->size);
    return true;
}

/* Moves producers and epochs by the batches. */
static void part_ship_apply(struct part *p, struct part_shipped *s, int64_t now_ms)
{
    struct slice rest = s->bytes;
    struct batch_header h;
    while (part_shipped_next(&rest, &h)) {
        part_epochs_append(p, &h);
        p->reserved = batch_next_offset(&h);
        if (h.producer_id < 0 || h.base_sequence < 0)
            continue;
        struct part_shipped_batch *b = &s->batches[s->count++];
        b->header = h;
        producers_apply(&p->producers, &h, now_ms, &b->undo);
    }
    ASSERT(p->reserved > s->first);
}

int part_append_as_is(struct part *p, struct part_append *a, const struct part_shipment *in,
                      int64_t now_ms)
{
    struct part_ship_check c;
    ASSERT(in->segment >= 0 && !p->read_only);
    int r = part_ship_check(p, in, &c);
    if (r != 0)
        return r;
    size_t size = sizeof(struct part_shipped) + c.producers * sizeof(struct part_shipped_batch);
    struct part_shipped *s = assert_memory(calloc(1, size), size);
    s->bytes = in->bytes;
    s->segment = in->segment;
    s->first = c.first;
    s->gap = c.gap;
    enum batch_fault f = batch_parse(in->bytes, &a->header);
    ASSERT(f == BATCH_OK);
    a->from = p->reserved;
    a->size = in->bytes.size;
    a->shipped = s;
    a->base_offset = a->header.base_offset;
    a->last_offset = c.next - 1;
    part_ship_apply(p, s, now_ms);
    ASSERT(s->count <= c.producers && p->reserved == c.next);
    list_add_tail(&p->shipped, &s->link);
    list_add_tail(&p->pending, &a->link);
    p->pending_size += a->size;
    p->pending_count++;
    return 0;
}

void part_append_undo(struct part *p, struct part_append *a)
{
    struct part_shipped *s = a->shipped;
    if (s == NULL) {
        producers_undo(&p->producers, &a->header, &a->undo);
        return;
    }
    ASSERT(list_linked(&s->link));
    for (size_t i = s->count; i > 0; i--)
        producers_undo(&p->producers, &s->batches[i - 1].header, &s->batches[i - 1].undo);
}

void part_shipped_free(struct part_shipped *s)
{
    if (s == NULL)
        return;
    ASSERT(list_linked(&s->link));
    list_remove(&s->link);
    free(s);
}

int64_t part_shipped_base(const struct part *p, const struct part_append *a)
{
    const struct part_shipped *s = a->shipped;
    ASSERT(s != NULL && s->first <= a->from);
    if (p->count == 0) /* the log begins here, whatever the leader's segment is called */
        return s->first;
    return s->segment > a->from ? s->segment : a->from;
}

bool part_shipped_must_roll(const struct part *p, const struct part_append *a)
{
    const struct segment *s = part_active(p);
    ASSERT(a->shipped != NULL);
    if (s == NULL)
        return true;
    if (s->base == part_shipped_base(p, a)) /* no other can begin there */
        return false;
    return p->roll || s->base < a->shipped->segment || a->last_offset - s->base > INT32_MAX ||
           s->size + a->size > UINT32_MAX;
}
