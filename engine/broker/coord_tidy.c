/* SPDX-License-Identifier: MIT
 *
 * coord_tidy: keeps the log of the records in proportion to what it says; coord.h draws it.
 *
 *   due -> seal the segment -> a round -> quiet: the live records once more, in order -> durable
 *       -> trim to the first of them -> a round removes the segments before
 *
 * A crash before they are durable leaves some of them behind what they repeat: the replay passes
 * them over. A crash behind it finds them durable, trimmed or not. They are only written while no
 * change is under way, so that every change below them is among them.
 *
 * Failures: no space: given up until the log has grown again.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/coord_priv.h"

#define COORD_TIDY_HEADER "revision"
#define COORD_TIDY_BATCH  (1u << 20)
#define COORD_RECORD_SIZE 64 /* of a record in the log besides key and value, at most */
#define COORD_TIDY_FACTOR 4

void coord_tidy_above(struct coord *c, uint64_t log_size)
{
    ASSERT(log_size > 0);
    c->log_min = log_size;
}

bool coord_tidy_revision(const struct batch_record *r, int64_t *revision)
{
    struct slice headers = r->headers, name, value;
    ASSERT(r->offset >= 0);
    *revision = r->offset;
    if (r->header_count == 0)
        return true;
    if (r->header_count != 1 || !batch_header_next(&headers, &name, &value) ||
        !slice_equal(name, slice_str(COORD_TIDY_HEADER)) || value.size != 8)
        return false;
    *revision = (int64_t)bytes_le64(value.p);
    return *revision >= 0 && *revision <= r->offset;
}

void coord_tidy_clear(struct coord_tidying *t)
{
    ASSERT(t->count == 0 || t->batches != NULL);
    ASSERT(t->from >= 0);
    for (size_t i = 0; i < t->count; i++)
        buf_deinit(&t->batches[i].batch);
    free(t->batches);
    t->batches = NULL;
    t->count = 0;
}

bool coord_tidy_due(const struct coord *c)
{
    const struct part *p = c->part;
    const struct coord_tidying *t = &c->tidying;
    ASSERT(p != NULL);
    if (t->batches != NULL || p->read_only || p->failed != 0 || p->round != NULL ||
        p->trim_to >= 0 || p->seal || c->applied < t->next || c->applied != p->reserved)
        return false;
    uint64_t live = c->live_size + (uint64_t)c->live_count * COORD_RECORD_SIZE;
    return part_size(p) > c->log_min + COORD_TIDY_FACTOR * live;
}

static void coord_tidy_finish(struct coord *c)
{
    struct coord_tidying *t = &c->tidying;
    ASSERT(t->batches != NULL && t->from >= 0);
    coord_tidy_clear(t);
    t->sealed = false;
    if (t->failed) {
        t->failed = false;
        t->next = c->applied + 1;
        return;
    }
    c->mark_due = true;
    if (t->from > c->part->log_start) {
        part_trim(c->part, t->from);
        c->due(c->ctx);
    }
}

static void coord_tidy_done(struct part_append *a, int result)
{
    struct coord_again *again = LIST_ENTRY(a, struct coord_again, append);
    struct coord *c = again->coord;
    ASSERT(again->batch.size > 0 && c->tidying.batches != NULL);
    if (result == 0) {
        ASSERT(a->base_offset == c->applied);
        c->applied = a->last_offset + 1; /* nothing is news in it */
    } else {
        c->tidying.failed = true;
    }
    if (again->last)
        coord_tidy_finish(c);
}

static void coord_tidy_append(struct coord *c, struct coord_again *again, int64_t now_ms)
{
    struct part_append *a = &again->append;
    enum batch_fault fault = batch_parse(buf_slice(&again->batch), &a->header);
    ASSERT(fault == BATCH_OK);
    ASSERT(c->part != NULL && a->done == NULL);
    again->coord = c;
    a->batch = again->batch.p;
    a->done = coord_tidy_done;
    int r = part_append(c->part, a, now_ms);
    ASSERT(r == 0); /* no producer id, and far below a segment */
}

/* One batch more, from *node on. */
static void coord_tidy_build(struct coord *c, struct list **node, int64_t now_ms)
{
    struct coord_tidying *t = &c->tidying;
    struct batch_build_options o = batch_build_plain();
    struct batch_build build;
    size_t size = (t->count + 1) * sizeof *t->batches;
    t->batches = assert_memory(realloc(t->batches, size), size);
    struct coord_again *again = &t->batches[t->count++];
    *again = (struct coord_again){0};
    batch_build_init(&build);
    while (*node != &c->order && batch_build_size(&build) < COORD_TIDY_BATCH) {
        const struct coord_record *r = LIST_ENTRY(*node, struct coord_record, order);
        uint8_t revision[8];
        ASSERT(r->pending == 0 && r->revision >= 0);
        bytes_put_le64(revision, (uint64_t)r->revision);
        struct batch_pair header = {slice_str(COORD_TIDY_HEADER), slice_of(revision, 8)};
        if (r->value.p != NULL)
            batch_build_add(&build, now_ms, r->key, r->value, &header, 1);
        *node = (*node)->next;
    }
    if (build.count > 0)
        batch_build_finish(&build, &o, &again->batch);
    else
        t->count--;
    batch_build_deinit(&build);
}

void coord_tidy(struct coord *c, int64_t now_ms)
{
    struct coord_tidying *t = &c->tidying;
    struct list *node = c->order.next;
    ASSERT(coord_tidy_due(c));
    ASSERT(t->batches == NULL && t->count == 0);
    if (!t->sealed) {
        t->sealed = true;
        part_seal(c->part);
        c->due(c->ctx);
        return;
    }
    t->from = c->part->reserved;
    while (node != &c->order)
        coord_tidy_build(c, &node, now_ms);
    if (t->count == 0) { /* nothing is there: the log may go as a whole */
        if (t->batches == NULL)
            t->batches = assert_memory(calloc(1, sizeof *t->batches), sizeof *t->batches);
        coord_tidy_finish(c);
        return;
    }
    for (size_t i = 0; i < t->count; i++)
        coord_tidy_append(c, &t->batches[i], now_ms);
    t->batches[t->count - 1].last = true;
    c->due(c->ctx);
}
