/* SPDX-License-Identifier: MIT
 *
 * group_rows: see group_rows.h.
 */
#include "engine/broker/group_rows.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/map.h"

struct group_row {
    struct slice key;   /* owned bytes: key, then value */
    struct slice value; /* into them; p NULL: a tombstone */
    uint8_t *bytes;
};

/* Handed to a worker as a whole. */
struct group_rows_commit {
    struct work_job job;
    struct group_rows *rows;
    struct meta_put *puts;  /* owned */
    struct group_row **all; /* owned, with what they point to */
    size_t count;
    int64_t applied;
    int result;
    bool out;
};

struct group_rows {
    struct map map; /* struct group_row */
    struct meta *view;
    const char *log;
    struct group_rows_commit commit;
    int64_t applied; /* the last offset noted */
    int32_t epoch;   /* of all marks */
    int error;
    bool lost;
};

struct group_rows *group_rows_new(uint64_t seed, struct meta *view, const char *log)
{
    struct group_rows *r = assert_memory(calloc(1, sizeof *r), sizeof *r);
    ASSERT(view != NULL && log != NULL);
    map_init(&r->map, seed);
    r->view = view;
    r->log = log;
    r->applied = -1;
    return r;
}

static void group_row_free(struct group_row *row)
{
    ASSERT(row->bytes != NULL);
    free(row->bytes);
    free(row);
}

struct group_rows *group_rows_free(struct group_rows *r)
{
    size_t at = 0;
    if (r == NULL)
        return NULL;
    ASSERT(!r->commit.out);
    for (struct group_row *row = map_next(&r->map, &at); row != NULL; row = map_next(&r->map, &at))
        group_row_free(row);
    map_deinit(&r->map);
    free(r);
    return NULL;
}

void group_rows_start(struct group_rows *r, struct meta_applied applied)
{
    ASSERT(applied.offset >= -1 && r->map.count == 0);
    ASSERT(!r->commit.out);
    r->applied = applied.offset;
    r->epoch = applied.epoch;
}

static void group_rows_lose(struct group_rows *r, int error)
{
    ASSERT(error != 0);
    r->error = error;
    r->lost = true;
}

void group_rows_rebuild(struct group_rows *r)
{
    ASSERT(r->map.count == 0 && !r->commit.out);
    struct meta_batch none = {.log = r->log, .applied = {.offset = -1, .epoch = -1}};
    int cleared = meta_commit(r->view, &none); /* first: rows without it are not believed */
    if (cleared == 0)
        cleared = meta_clear(r->view, META_TABLE_GROUP);
    if (cleared != 0)
        group_rows_lose(r, cleared);
}

void group_rows_note(struct group_rows *r, struct slice key, struct slice value, int64_t offset)
{
    ASSERT(offset > r->applied && key.p != NULL);
    r->applied = offset;
    if (r->lost || key.size == 0 || key.size > META_KEY_MAX || value.size > META_VALUE_MAX)
        return;
    struct group_row *row = map_get(&r->map, key);
    if (row == NULL) {
        row = assert_memory(calloc(1, sizeof *row), sizeof *row);
    } else {
        (void)map_remove(&r->map, key);
        free(row->bytes);
    }
    size_t size = key.size + value.size + 1;
    row->bytes = assert_memory(malloc(size), size);
    memcpy(row->bytes, key.p, key.size);
    if (value.size > 0)
        memcpy(row->bytes + key.size, value.p, value.size);
    row->key = slice_of(row->bytes, key.size);
    row->value = value.p == NULL ? SLICE_NULL : slice_of(row->bytes + key.size, value.size);
    void *other = map_put(&r->map, row->key, row);
    ASSERT(other == NULL);
}

bool group_rows_due(const struct group_rows *r)
{
    ASSERT(!r->commit.out || r->commit.count > 0);
    return !r->lost && !r->commit.out && r->map.count > 0;
}

bool group_rows_busy(const struct group_rows *r)
{
    ASSERT(r->commit.out || r->commit.count == 0);
    return r->commit.out;
}

bool group_rows_lost(const struct group_rows *r)
{
    ASSERT(r->view != NULL);
    return r->lost;
}

int group_rows_error(struct group_rows *r)
{
    int error = r->error;
    ASSERT(error == 0 || r->lost);
    r->error = 0;
    return error;
}

static void group_rows_run(struct work_job *job)
{
    struct group_rows_commit *c = LIST_ENTRY(job, struct group_rows_commit, job);
    ASSERT(c->out && c->count > 0);
    ASSERT(c->applied >= 0 && c->puts != NULL);
    struct meta_batch b = {.puts = c->puts,
                           .count = c->count,
                           .log = c->rows->log,
                           .applied = {c->applied, c->rows->epoch}};
    c->result = meta_commit(c->rows->view, &b);
}

static void group_rows_done(struct work_note *note)
{
    struct work_job *job = LIST_ENTRY(note, struct work_job, note);
    struct group_rows_commit *c = LIST_ENTRY(job, struct group_rows_commit, job);
    ASSERT(c->out);
    ASSERT(c->puts != NULL && c->all != NULL && c->count > 0);
    c->out = false;
    for (size_t i = 0; i < c->count; i++)
        group_row_free(c->all[i]);
    free(c->all);
    free(c->puts);
    c->all = NULL;
    c->puts = NULL;
    c->count = 0;
    if (c->result != 0)
        group_rows_lose(c->rows, c->result);
}

void group_rows_commit(struct group_rows *r, struct work *w)
{
    struct group_rows_commit *c = &r->commit;
    size_t at = 0;
    ASSERT(group_rows_due(r));
    ASSERT(c->puts == NULL && c->all == NULL && c->count == 0);
    c->puts = calloc(r->map.count, sizeof *c->puts);
    c->all = calloc(r->map.count, sizeof(struct group_row *));
    ASSERT(c->puts != NULL && c->all != NULL);
    c->count = 0;
    for (struct group_row *row = map_next(&r->map, &at); row != NULL;
         row = map_next(&r->map, &at)) {
        c->puts[c->count] = (struct meta_put){META_TABLE_GROUP, row->key, row->value};
        c->all[c->count++] = row;
    }
    ASSERT(c->count == r->map.count);
    uint64_t seed = r->map.seed;
    map_deinit(&r->map);
    map_init(&r->map, seed);
    c->rows = r;
    c->applied = r->applied;
    c->out = true;
    c->job = (struct work_job){.run = group_rows_run, .note = {.done = group_rows_done}};
    work_submit(w, &c->job);
}
