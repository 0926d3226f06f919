/* SPDX-License-Identifier: MIT
 *
 * broker_compact_view: where the next pass of each partition begins, as rows of the view. See
 * broker_compact.h. A view that cannot be written is left alone from then on.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/broker/broker_compact_priv.h"

#define BROKER_COMPACT_ROW_SIZE 28

void broker_compact_view_init(struct broker_compact *bc)
{
    list_init(&bc->rows);
    list_init(&bc->commit.rows);
    bc->commit.compact = bc;
    ASSERT(bc->broker->view != NULL);
}

static void broker_compact_free_rows(struct list *rows)
{
    for (struct list *n = list_pop(rows); n != NULL; n = list_pop(rows)) {
        struct broker_compact_row *r = LIST_ENTRY(n, struct broker_compact_row, link);
        ASSERT(r->key.size > 0);
        buf_deinit(&r->key);
        buf_deinit(&r->value);
        free(r);
    }
}

void broker_compact_view_deinit(struct broker_compact *bc)
{
    ASSERT(!bc->commit.out && bc->commit.puts == NULL);
    broker_compact_free_rows(&bc->rows);
}

static void broker_compact_key(const struct bpart *p, struct buf *out)
{
    ASSERT(p->topic != NULL);
    buf_printf(out, "%s-%d", p->topic->name, p->index);
}

/* A pass raises the generation by one before its first change, so a hint from before a pass that
 * did not end still counts. A truncation raises it by two. */
static bool broker_compact_fits(const struct bpart *p, struct slice row)
{
    uint32_t now = p->part->generation;
    if (row.size != BROKER_COMPACT_ROW_SIZE ||
        memcmp(row.p, p->topic->record.id, sizeof p->topic->record.id) != 0)
        return false;
    uint32_t then = bytes_le32(row.p + 16);
    ASSERT(sizeof p->topic->record.id == 16);
    return then == now || then + 1 == now;
}

void broker_compact_hint(struct broker_compact *bc, struct bpart *p)
{
    struct buf key CLEANUP(buf_deinit) = {0}, row CLEANUP(buf_deinit) = {0};
    ASSERT(p->part != NULL);
    if (p->hinted)
        return;
    p->hinted = true;
    broker_compact_key(p, &key);
    if (meta_get(bc->broker->view, META_TABLE_PART, buf_slice(&key), &row) == 0 &&
        broker_compact_fits(p, buf_slice(&row)))
        p->first_dirty = (int64_t)bytes_le64(row.p + 20);
}

static struct broker_compact_row *broker_compact_row(struct broker_compact *bc,
                                                     const struct bpart *p)
{
    struct broker_compact_row *r = assert_memory(calloc(1, sizeof *r), sizeof *r);
    broker_compact_key(p, &r->key);
    ASSERT(r->key.size > 0 && r->key.size <= META_KEY_MAX);
    list_add_tail(&bc->rows, &r->link);
    return r;
}

void broker_compact_note(struct broker_compact *bc, const struct bpart *p)
{
    if (bc->view_lost)
        return;
    ASSERT(p->first_dirty >= 0 && p->part != NULL);
    struct buf *value = &broker_compact_row(bc, p)->value;
    buf_append(value, p->topic->record.id, sizeof p->topic->record.id);
    buf_append_le32(value, p->part->generation);
    buf_append_le64(value, (uint64_t)p->first_dirty);
    ASSERT(value->size == BROKER_COMPACT_ROW_SIZE);
}

void broker_compact_forget(struct broker_compact *bc, struct topic *t)
{
    ASSERT(t->deleting);
    if (!t->limits.compacted || bc->view_lost)
        return;
    for (int32_t i = 0; i < t->record.partitions; i++)
        (void)broker_compact_row(bc, t->parts[i]);
}

bool broker_compact_view_due(const struct broker_compact *bc)
{
    ASSERT(bc->commit.compact == bc);
    return !list_empty(&bc->rows) && !bc->view_lost && !coord_view_lost(bc->broker->coord);
}

bool broker_compact_view_busy(const struct broker_compact *bc)
{
    return bc->commit.out;
}

static void broker_compact_commit_run(struct work_job *job)
{
    struct broker_compact_commit *c = LIST_ENTRY(job, struct broker_compact_commit, job);
    ASSERT(c->out && c->count > 0);
    struct meta_batch b = {.puts = c->puts, .count = c->count, .log = NULL};
    c->result = meta_commit(c->compact->broker->view, &b);
}

static void broker_compact_commit_done(struct work_note *note)
{
    struct work_job *job = LIST_ENTRY(note, struct work_job, note);
    struct broker_compact_commit *c = LIST_ENTRY(job, struct broker_compact_commit, job);
    ASSERT(c->out);
    c->out = false;
    c->compact->view_lost = c->result != 0;
    broker_compact_free_rows(&c->rows);
    free(c->puts);
    c->puts = NULL;
    c->count = 0;
}

void broker_compact_view(struct broker_compact *bc)
{
    struct broker *b = bc->broker;
    struct broker_compact_commit *c = &bc->commit;
    size_t count = 0;
    if (!broker_compact_view_due(bc) || c->out || coord_view_busy(b->coord) ||
        broker_groups_view_busy(b->groups))
        return;
    list_splice(&c->rows, &bc->rows);
    LIST_EACH (node, &c->rows) {
        count++;
    }
    ASSERT(count > 0);
    c->puts = assert_memory(calloc(count, sizeof *c->puts), count * sizeof *c->puts);
    LIST_EACH (node, &c->rows) {
        struct broker_compact_row *r = LIST_ENTRY(node, struct broker_compact_row, link);
        c->puts[c->count++] =
            (struct meta_put){META_TABLE_PART, buf_slice(&r->key),
                              r->value.size > 0 ? buf_slice(&r->value) : SLICE_NULL};
    }
    ASSERT(c->count == count && count > 0);
    c->out = true;
    c->job = (struct work_job){.run = broker_compact_commit_run,
                               .note = {.done = broker_compact_commit_done}};
    work_submit(b->env.work, &c->job);
}
