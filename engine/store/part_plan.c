/* SPDX-License-Identifier: MIT
 *
 * part_plan: what a round will do to a partition, decided by the owner thread when the round is
 * taken: which bytes go where, which index entries, where a segment ends and the next begins,
 * whether a recovery point is written and which segments go. The worker (round.c) only executes it,
 * and part_take_back (part.c) can undo it as a whole.
 *
 *   appends   each batch at the active segment's end; before it a roll, when it must
 *   seal      the active segment ends behind them, when that was asked for
 *   trim      log start moves; a roll when everything goes, so that the end offset lives on in the
 *             name of an empty segment; segments below the new start are dropped
 *   swap      a cleaned segment takes the place of sealed ones, unless some of them go
 *   state     recovery point and producer snapshot at the reserved end: after a roll, after
 *             checkpoint_size bytes, with every trim, and when asked for
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/store/index.h"
#include "engine/store/part_priv.h"
#include "engine/store/round.h"
#include "engine/store/snapshot.h"

#define PART_SMALL_SIZE   65536u /* below: a segment ends by age only after roll_small_ms */
#define PART_SPREAD_SHARE 32u /* of segment_size_max: from here on the records' times count too */

static uint64_t part_roll_size(const struct part *p)
{
    ASSERT(p->config.segment_size_max > 0);
    uint64_t size = p->config.roll_size;
    return size > 0 && size < p->config.segment_size_max ? size : p->config.segment_size_max;
}

static struct round_write *part_plan_write(struct part *p, struct part_round *r)
{
    struct segment *s = part_active(p);
    r->writes = realloc(r->writes, (r->write_count + 1) * sizeof *r->writes);
    ASSERT(r->writes != NULL && s != NULL);
    struct round_write *w = &r->writes[r->write_count++];
    *w = (struct round_write){
        .base = s->base,
        .pos = s->size,
        .alloc = s->alloc,
        .alloc_max = part_roll_size(p),
        .index_pos = s->index_size,
        .timeindex_pos = s->timeindex_size,
        .create = !s->exists,
    };
    if (p->pending_count > 0) {
        w->iov = calloc(p->pending_count, sizeof *w->iov);
        ASSERT(w->iov != NULL);
    }
    return w;
}

/* Ends the active segment behind what is planned for it: a last time entry tells its largest
 * timestamp to whoever opens it later. */
static void part_plan_seal(struct part *p, struct part_round *r, int64_t next_offset)
{
    struct segment *s = part_active(p);
    struct round_write *w = r->write_count > 0 ? &r->writes[r->write_count - 1] : NULL;
    if (w == NULL || w->base != s->base)
        w = part_plan_write(p, r);
    ASSERT(next_offset > s->base);
    index_append_time(&w->timeindex,
                      (struct index_time_entry){s->max_timestamp, index_end(s->base, next_offset)});
    s->timeindex_size += INDEX_TIME_ENTRY_SIZE;
    w->seal = true;
}

/* The segment has been written to for so long, or holds times so far apart, that its oldest records
 * would wait for long after their time until the newest may go, too. The second only where it does
 * not make the segments many: producers with different clocks may take turns. */
static bool part_must_part(const struct part *p, const struct segment *s, int64_t time, int64_t now)
{
    int64_t roll = p->config.roll_ms, age = s->opened_ms > 0 ? now - s->opened_ms : 0;
    ASSERT(roll >= 0 && p->config.roll_small_ms >= 0);
    if (roll == 0)
        return false;
    bool spread = s->size >= p->config.segment_size_max / PART_SPREAD_SHARE &&
                  s->first_timestamp >= 0 && (time < now ? time : now) - s->first_timestamp >= roll;
    bool small = s->size < PART_SMALL_SIZE;
    return (spread && !small) || age >= (small ? p->config.roll_small_ms : roll);
}

static bool part_must_roll(const struct part *p, const struct batch_header *h, int64_t now)
{
    const struct segment *s = part_active(p);
    if (s == NULL)
        return true;
    if (s->base == h->base_offset) /* no other can begin there, whatever its bytes are */
        return false;
    if (p->roll || batch_last_offset(h) - s->base > INT32_MAX)
        return true;
    if (s->size == 0)
        return false;
    if (s->size + h->size > part_roll_size(p) || part_must_part(p, s, h->max_timestamp, now))
        return true;
    return s->first_timestamp >= 0 && h->max_timestamp - s->first_timestamp > p->config.segment_ms;
}

static void part_plan_roll(struct part *p, struct part_round *r, int64_t next_offset)
{
    ASSERT(p->count == 0 || part_active(p)->base < next_offset);
    if (p->count > 0)
        part_plan_seal(p, r, next_offset);
    part_add_segment(p, next_offset);
    part_plan_write(p, r);
    p->roll = false;
    p->want_checkpoint = p->want_checkpoint || p->count > 1;
}

static void part_plan_shipped(struct part *p, struct part_round *r, struct part_append *a)
{
    struct slice rest = a->shipped->bytes;
    struct batch_header h;
    if (part_shipped_must_roll(p, a))
        part_plan_roll(p, r, part_shipped_base(p, a));
    else if (r->write_count == 0)
        part_plan_write(p, r);
    struct round_write *w = &r->writes[r->write_count - 1];
    ASSERT(w->iov != NULL && w->base == part_active(p)->base);
    /* iovec serves readers and writers, so it cannot be const. */
    w->iov[w->iov_count++] = (struct iovec){(void *)(uintptr_t)rest.p, rest.size};
    w->size += rest.size;
    p->since_checkpoint += rest.size;
    while (part_shipped_next(&rest, &h))
        part_index_batch(p->config.index_interval_size, part_active(p), &h, &w->index,
                         &w->timeindex);
    if (a->shipped->gap && p->generation == 0) {
        p->generation = 1;
        r->gaps = true;
    }
}

static void part_plan_append(struct part *p, struct part_round *r, struct part_append *a)
{
    struct batch_header *h = &a->header;
    if (a->shipped != NULL) {
        part_plan_shipped(p, r, a);
        return;
    }
    if (part_must_roll(p, h, r->now_ms))
        part_plan_roll(p, r, h->base_offset);
    else if (r->write_count == 0)
        part_plan_write(p, r);
    struct round_write *w = &r->writes[r->write_count - 1];
    ASSERT(w->iov != NULL && w->base == part_active(p)->base);
    w->iov[w->iov_count++] = (struct iovec){a->batch, h->size};
    w->size += h->size;
    struct segment *s = part_active(p);
    part_index_batch(p->config.index_interval_size, s, h, &w->index, &w->timeindex);
    s->appended_ms = r->now_ms > 0 ? r->now_ms : 1;
    s->opened_ms = s->opened_ms > 0 ? s->opened_ms : s->appended_ms;
    p->since_checkpoint += h->size;
    p->appended += h->size;
}

static void part_plan_appends(struct part *p, struct part_round *r)
{
    LIST_EACH (node, &p->pending) {
        part_plan_append(p, r, LIST_ENTRY(node, struct part_append, link));
    }
    ASSERT(list_empty(&r->appends));
    list_splice(&r->appends, &p->pending);
    p->pending_count = 0;
    p->pending_size = 0;
}

static void part_plan_trim(struct part *p, struct part_round *r)
{
    struct segment *s = part_active(p);
    ASSERT(p->trim_to <= p->written);
    if (p->trim_to == p->reserved && s != NULL && s->base < p->reserved)
        part_plan_roll(p, r, p->reserved); /* the end offset lives on in an empty segment */
    p->log_start = p->log_start > p->trim_to ? p->log_start : p->trim_to;
    epochs_trim(&p->epochs, p->log_start);
    epochs_cut(&p->epochs, p->reserved);
    for (size_t i = 0; i + 1 < p->count && p->segments[i + 1]->base <= p->log_start; i++) {
        uint64_t bury = p->config.bury_size;
        r->drops = realloc(r->drops, (r->drop_count + 1) * sizeof *r->drops);
        ASSERT(r->drops != NULL);
        r->drops[r->drop_count++] =
            (struct round_drop){p->segments[i]->base, bury > 0 && p->segments[i]->size >= bury};
    }
}

static void part_plan_first_state(const struct part *p, struct part_round *r)
{
    struct state state = {
        .log_start = p->log_start,
        .recovery_offset = p->written,
        .recovery_base = p->written,
        .epoch = p->epoch,
        .generation = p->generation,
    };
    state_encode(&state, &r->first_state);
}

/* With the recovery point at the reserved end. */
static struct state part_state(const struct part *p)
{
    const struct segment *s = part_active(p);
    ASSERT(s == NULL || s->base <= p->reserved);
    return (struct state){
        .log_start = p->log_start,
        .recovery_offset = p->reserved,
        .recovery_base = s != NULL ? s->base : p->reserved,
        .recovery_pos = s != NULL ? s->size : 0,
        .epoch = p->epoch,
        .generation = p->generation,
        .mark = p->mark,
    };
}

void part_committed(struct part *p, int64_t mark)
{
    ASSERT(mark >= 0 && mark <= p->written);
    p->mark = mark > p->mark ? mark : p->mark;
}

bool part_settled(const struct part *p, struct state *out)
{
    ASSERT(p->round == NULL);
    if (!p->exists || p->durable != p->reserved || p->failed != 0)
        return false;
    *out = part_state(p);
    return true;
}

static void part_plan_state(struct part *p, struct part_round *r)
{
    struct state state = part_state(p);
    state_encode(&state, &r->state);
    r->log_start = p->log_start;
    bool whole = p->skipped <= p->log_start; /* else producers and epochs of batches are missing */
    if (p->reserved != p->snapshots[0] && whole) {
        snapshot_save(&p->epochs, &p->producers, p->reserved, &r->snapshot);
        r->snapshot_offset = p->reserved;
        r->old_snapshot = p->snapshots[1];
    }
}

void part_plan(struct part *p, struct part_round *r)
{
    struct segment *s = part_active(p);
    ASSERT(r->write_count == 0);
    if (p->roll && s != NULL && s->size == 0 && s->base == p->written)
        p->roll = false; /* it is new already */
    part_plan_appends(p, r);
    if (r->create_dir)
        part_plan_first_state(p, r);
    s = part_active(p);
    p->sealing = p->seal && s != NULL && s->base < p->reserved;
    p->seal = false;
    if (p->sealing)
        part_plan_roll(p, r, p->reserved);
    bool trim = p->trim_to >= 0;
    if (trim)
        part_plan_trim(p, r);
    if (part_swap_plan(p, r) || trim ||
        (p->count > 0 && (p->want_checkpoint || p->since_checkpoint >= p->config.checkpoint_size)))
        part_plan_state(p, r);
    if (r->write_count == 0 && p->dirty && r->file == NULL)
        part_plan_write(p, r); /* opens the file for the sync */
    ASSERT(r->write_count > 0 || list_empty(&r->appends));
}
