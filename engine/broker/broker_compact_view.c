/* SPDX-License-Identifier: MIT
 *
 * broker_compact_view: where the next pass of each partition begins, and the high watermarks of
 * replicated ones, as rows of the view. See broker_compact.h. A view that cannot be written is left
 * alone from then on.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"
#include "engine/broker/broker_cluster.h"
#include "engine/broker/broker_compact_priv.h"

#define BROKER_COMPACT_ROW_SIZE 28
#define BROKER_MARKS_ROW_SIZE   24
#define BROKER_MARKS_MS         5000

void broker_compact_view_init(struct broker_compact *bc)
{
    list_init(&bc->rows);
    list_init(&bc->marked);
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
    while (!list_empty(&bc->marked))
        (void)list_pop(&bc->marked);
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

/* --- high watermarks --- */

static void broker_marks_key(const struct bpart *p, struct buf *out)
{
    ASSERT(p->topic != NULL); /* no topic's name has a slash */
    buf_printf(out, "hw/%s-%d", p->topic->name, p->index);
}

static struct broker_compact_row *broker_marks_row(struct broker_compact *bc, const struct bpart *p)
{
    struct broker_compact_row *r = assert_memory(calloc(1, sizeof *r), sizeof *r);
    broker_marks_key(p, &r->key);
    ASSERT(r->key.size <= META_KEY_MAX);
    list_add_tail(&bc->rows, &r->link);
    return r;
}

void broker_marks_moved(struct bpart *p)
{
    struct broker_compact *bc = p->broker->compact;
    ASSERT(p->replica != NULL && p->replica->mark.bpart == p);
    if (bc == NULL || list_linked(&p->replica->mark.link))
        return;
    if (list_empty(&bc->marked))
        bc->mark_ms = broker_now(p->broker) + BROKER_MARKS_MS;
    list_add_tail(&bc->marked, &p->replica->mark.link);
}

int64_t broker_marks_find(const struct bpart *p)
{
    struct buf key CLEANUP(buf_deinit) = {0}, row CLEANUP(buf_deinit) = {0};
    ASSERT(p->broker->view != NULL);
    broker_marks_key(p, &key);
    if (meta_get(p->broker->view, META_TABLE_PART, buf_slice(&key), &row) != 0 ||
        row.size != BROKER_MARKS_ROW_SIZE ||
        memcmp(row.p, p->topic->record.id, sizeof p->topic->record.id) != 0)
        return 0;
    int64_t mark = (int64_t)bytes_le64(row.p + 16);
    ASSERT(sizeof p->topic->record.id == 16);
    return mark > 0 ? mark : 0;
}

/* As far as it is durable by now. */
static void broker_marks_note(struct broker_compact *bc)
{
    ASSERT(bc->broker->view != NULL);
    while (!list_empty(&bc->marked)) {
        struct bpart_mark *m = LIST_ENTRY(list_pop(&bc->marked), struct bpart_mark, link);
        const struct part *part = m->bpart->part;
        int64_t mark = part == NULL ? 0 : part->mark < part->durable ? part->mark : part->durable;
        if (mark <= m->noted || bc->view_lost)
            continue;
        m->noted = mark;
        struct buf *value = &broker_marks_row(bc, m->bpart)->value;
        buf_append(value, m->bpart->topic->record.id, sizeof m->bpart->topic->record.id);
        buf_append_le64(value, (uint64_t)mark);
        ASSERT(value->size == BROKER_MARKS_ROW_SIZE);
    }
}

void broker_compact_forget(struct broker_compact *bc, struct topic *t)
{
    ASSERT(t->deleting);
    if (bc->view_lost)
        return;
    for (int32_t i = 0; i < t->record.partitions; i++) {
        if (t->limits.compacted)
            (void)broker_compact_row(bc, t->parts[i]);
        if (t->parts[i]->replica != NULL)
            (void)broker_marks_row(bc, t->parts[i]);
    }
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
    if (!list_empty(&bc->marked) && broker_now(b) >= bc->mark_ms)
        broker_marks_note(bc);
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
