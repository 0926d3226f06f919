/* SPDX-License-Identifier: MIT
 *
 * coord_view: what the view lacks, committed in a worker. A commit that fails ends the view for
 * this run: the log is the truth, and the next start makes the view anew.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/coord_priv.h"

void coord_commit_clear(struct coord_commit *m)
{
    ASSERT(m->count == 0 || (m->puts != NULL && m->values != NULL && m->keys != NULL));
    for (size_t i = 0; i < m->count; i++) {
        buf_deinit(&m->values[i]);
        buf_deinit(&m->keys[i]);
    }
    free(m->puts);
    free(m->values);
    free(m->keys);
    m->puts = NULL;
    m->values = NULL;
    m->keys = NULL;
    m->count = 0;
}

bool coord_view_due(const struct coord *c)
{
    ASSERT(c->commit.out || c->commit.count == 0);
    return c->view != NULL && !c->commit.out && (!list_empty(&c->changed) || c->mark_due);
}

bool coord_view_busy(const struct coord *c)
{
    return c->commit.out;
}

bool coord_view_lost(const struct coord *c)
{
    ASSERT(c->part != NULL);
    return c->view == NULL;
}

int coord_view_error(struct coord *c)
{
    ASSERT(c->view_error == 0 || c->view == NULL); /* given up with the first error */
    int error = c->view_error;
    c->view_error = 0;
    return error;
}

static void coord_commit_run(struct work_job *job)
{
    struct coord_commit *m = LIST_ENTRY(job, struct coord_commit, job);
    ASSERT(m->out && m->applied >= 0);
    struct meta_batch b = {.puts = m->puts,
                           .count = m->count,
                           .log = COORD_LOG,
                           .applied = {.offset = m->applied, .epoch = 0}};
    m->result = meta_commit(m->coord->view, &b);
}

static void coord_commit_done(struct work_note *note)
{
    struct work_job *job = LIST_ENTRY(note, struct work_job, note);
    struct coord_commit *m = LIST_ENTRY(job, struct coord_commit, job);
    struct coord *c = m->coord;
    ASSERT(m->out);
    ASSERT(c->view != NULL && m == &c->commit);
    m->out = false;
    coord_commit_clear(m);
    ASSERT(m->count == 0);
    if (m->result != 0) { /* the log is the truth: go on without, rebuild at the next start */
        c->view_error = m->result;
        c->view = NULL;
    }
}

static void coord_commit_add(struct coord_commit *m, const struct coord_record *r)
{
    ASSERT(r->key.size > 0 && r->revision >= 0);
    struct buf *key = &m->keys[m->count], *value = &m->values[m->count];
    ASSERT(key->size == 0 && value->size == 0);
    buf_append(key, r->key.p, r->key.size);
    if (r->value.p != NULL) {
        buf_append_le64(value, (uint64_t)r->revision);
        buf_append(value, r->value.p, r->value.size);
    }
    m->puts[m->count++] = (struct meta_put){META_TABLE_RECORD, buf_slice(key), buf_slice(value)};
}

/* All changed records go into one transaction, so the applied mark is exact. */
void coord_view_commit(struct coord *c, struct work *w)
{
    struct coord_commit *m = &c->commit;
    size_t count = 0;
    ASSERT(coord_view_due(c));
    ASSERT(m->count == 0 && m->puts == NULL);
    LIST_EACH (node, &c->changed) {
        count++;
    }
    m->puts = calloc(count + 1, sizeof *m->puts); /* the mark alone may be due */
    m->values = calloc(count + 1, sizeof *m->values);
    m->keys = calloc(count + 1, sizeof *m->keys);
    ASSERT(m->puts != NULL && m->values != NULL && m->keys != NULL);
    for (struct list *n = list_pop(&c->changed); n != NULL; n = list_pop(&c->changed)) {
        struct coord_record *r = LIST_ENTRY(n, struct coord_record, changed);
        coord_commit_add(m, r);
    }
    ASSERT(m->count == count && list_empty(&c->changed));
    m->coord = c;
    c->mark_due = false;
    m->applied = c->applied - 1;
    m->out = true;
    m->job.run = coord_commit_run;
    m->job.note.done = coord_commit_done;
    work_submit(w, &m->job);
}
