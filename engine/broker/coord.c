/* SPDX-License-Identifier: MIT
 *
 * coord: see coord.h.
 */
#include "engine/broker/coord.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/cleanup.h"

#define COORD_LOG         "__meta"
#define COORD_READ_SIZE   (1u << 20)
#define COORD_INFLATE_MAX (16u << 20)

struct coord_record {
    struct slice key;    /* into bytes */
    struct slice value;  /* into bytes; p NULL: deleted, kept until the view knows */
    uint8_t *bytes;      /* owned: key and value */
    int64_t revision;    /* -1: nothing durable yet */
    struct list changed; /* in coord->changed: the view lacks it */
    bool pending;        /* K1 */
};

struct coord_commit {
    struct work_job job;
    struct coord *coord;
    struct meta_put *puts; /* owned */
    struct buf *values;    /* owned */
    struct buf *keys;      /* owned */
    size_t count;
    int64_t applied;
    int result;
    bool out;
};

struct coord {
    struct map map;
    struct part *part;
    struct meta *view; /* NULL: given up */
    struct list changed;
    struct coord_commit commit;
    int64_t applied; /* next offset of __meta to apply */
    int view_error;
    void (*due)(void *ctx);
    void *ctx;
};

struct coord *coord_new(uint64_t seed)
{
    struct coord *c = calloc(1, sizeof *c);
    ASSERT(c != NULL);
    map_init(&c->map, seed);
    list_init(&c->changed);
    return c;
}

static void coord_record_free(struct coord_record *r)
{
    ASSERT(r->bytes != NULL && r->key.size > 0);
    if (list_linked(&r->changed))
        list_remove(&r->changed);
    free(r->bytes);
    free(r);
}

static void coord_record_drop(struct coord *c, struct coord_record *r)
{
    ASSERT(!r->pending); /* K1: its change still needs it */
    void *gone = map_remove(&c->map, r->key);
    ASSERT(gone == r);
    coord_record_free(r);
}

static void coord_commit_clear(struct coord_commit *m)
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

struct coord *coord_free(struct coord *c)
{
    size_t at = 0;
    if (c == NULL)
        return NULL;
    for (struct coord_record *r = map_next(&c->map, &at); r != NULL; r = map_next(&c->map, &at))
        coord_record_free(r);
    map_deinit(&c->map);
    coord_commit_clear(&c->commit);
    free(c);
    return NULL;
}

size_t coord_count(const struct coord *c)
{
    ASSERT(c != NULL);
    return c->map.count;
}

/* Copies key and value into one owned block; the map's key lies in it. */
static void coord_record_set(struct coord *c, struct coord_record *r, struct slice key,
                             struct slice value)
{
    uint8_t *bytes = malloc(key.size + value.size + 1);
    ASSERT(bytes != NULL && key.size > 0);
    ASSERT(value.p != NULL || value.size == 0);
    memcpy(bytes, key.p, key.size);
    if (value.size > 0)
        memcpy(bytes + key.size, value.p, value.size);
    uint8_t *old = r->bytes;
    struct slice stored = slice_of(bytes, key.size);
    r->value = value.p == NULL ? SLICE_NULL : slice_of(bytes + key.size, value.size);
    if (old != NULL) {
        void *same = map_remove(&c->map, r->key);
        ASSERT(same == r);
    }
    r->bytes = bytes;
    r->key = stored;
    void *other = map_put(&c->map, r->key, r);
    ASSERT(other == NULL);
    free(old);
}

static struct coord_record *coord_record_make(struct coord *c, struct slice key)
{
    ASSERT(key.p != NULL && key.size > 0);
    struct coord_record *r = map_get(&c->map, key);
    if (r != NULL)
        return r;
    r = calloc(1, sizeof *r);
    ASSERT(r != NULL);
    list_init(&r->changed);
    r->revision = -1;
    coord_record_set(c, r, key, SLICE_NULL);
    return r;
}

static void coord_apply(struct coord *c, struct slice key, struct slice value, int64_t revision)
{
    struct coord_record *r = coord_record_make(c, key);
    coord_record_set(c, r, key, value);
    ASSERT(revision > r->revision);
    ASSERT(revision >= c->applied); /* K2 */
    r->revision = revision;
    if (!list_linked(&r->changed))
        list_add_tail(&c->changed, &r->changed);
    c->applied = revision + 1;
}

int coord_get(const struct coord *c, struct slice key, struct slice *value, int64_t *revision)
{
    ASSERT(value != NULL && revision != NULL);
    const struct coord_record *r = map_get(&c->map, key);
    if (r == NULL || r->value.p == NULL)
        return COORD_NONE;
    ASSERT(r->revision >= 0);
    *value = r->value;
    *revision = r->revision;
    return 0;
}

void coord_each(const struct coord *c, struct slice prefix,
                void (*fn)(void *ctx, struct slice key, struct slice value, int64_t revision),
                void *ctx)
{
    ASSERT(fn != NULL);
    size_t at = 0;
    for (const struct coord_record *r = map_next(&c->map, &at); r != NULL;
         r = map_next(&c->map, &at))
        if (r->value.p != NULL && r->key.size >= prefix.size &&
            slice_equal(slice_of(r->key.p, prefix.size), prefix))
            fn(ctx, r->key, r->value, r->revision);
}

/* --- changes --- */

static struct coord_record *coord_op_record(const struct coord_op *op)
{
    struct coord_record *r = map_get(&op->priv.coord->map, buf_slice(&op->priv.key));
    ASSERT(r != NULL && r->pending);
    return r;
}

static void coord_op_settle(struct coord_op *op, int64_t revision, int result)
{
    struct coord *c = op->priv.coord;
    struct coord_record *r = coord_op_record(op);
    ASSERT(op->done != NULL);
    r->pending = false;
    if (result == 0) {
        struct slice value = op->value.p == NULL ? SLICE_NULL : buf_slice(&op->priv.value);
        if (op->value.p != NULL && value.p == NULL)
            value = slice_str("");
        op->revision = revision;
        coord_apply(c, buf_slice(&op->priv.key), value, op->revision);
    } else if (r->value.p == NULL && !list_linked(&r->changed)) { /* no record, and none to tell */
        coord_record_drop(c, r);
    }
    buf_deinit(&op->priv.batch);
    buf_deinit(&op->priv.key);
    buf_deinit(&op->priv.value);
}

static void coord_op_finish(struct part_append *a, int result)
{
    struct coord_op *ops = LIST_ENTRY(a, struct coord_op, priv.append);
    size_t count = ops->priv.count;
    ASSERT(count > 0 && a->last_offset - a->base_offset == (int64_t)count - 1);
    for (size_t i = 0; i < count; i++)
        coord_op_settle(&ops[i], a->base_offset + (int64_t)i, result);
    for (size_t i = 0; i < count; i++)
        ops[i].done(&ops[i], result);
}

/* Whether the change may begin; then its key is taken. */
static bool coord_op_claim(struct coord *c, struct coord_op *op)
{
    ASSERT(op->value.size <= COORD_VALUE_MAX && op->key.size <= META_KEY_MAX);
    ASSERT(op->done != NULL && op->expect >= -1);
    struct coord_record *r = coord_record_make(c, op->key);
    bool there = r->value.p != NULL;
    if (r->pending || (there ? op->expect != r->revision : op->expect != -1)) {
        if (!r->pending && r->revision < 0) /* made just now */
            coord_record_drop(c, r);
        return false;
    }
    r->pending = true;
    op->priv = (typeof(op->priv)){.coord = c};
    buf_append(&op->priv.key, op->key.p, op->key.size);
    buf_append(&op->priv.value, op->value.p, op->value.size);
    return true;
}

/* Gives the key of a change back that was only claimed. */
static void coord_op_disclaim(struct coord_op *op)
{
    struct coord_record *r = coord_op_record(op);
    r->pending = false;
    if (r->revision < 0)
        coord_record_drop(op->priv.coord, r);
    buf_deinit(&op->priv.key);
    buf_deinit(&op->priv.value);
}

static void coord_op_build(struct coord_op *ops, size_t count, int64_t now_ms)
{
    struct batch_build_options o = batch_build_plain();
    struct batch_build build;
    ASSERT(count > 0 && ops->priv.batch.size == 0);
    batch_build_init(&build);
    for (size_t i = 0; i < count; i++)
        batch_build_add(&build, now_ms, ops[i].key, ops[i].value, NULL, 0);
    batch_build_finish(&build, &o, &ops->priv.batch);
    batch_build_deinit(&build);
}

int coord_cas_all(struct coord *c, struct coord_op *ops, size_t count, int64_t now_ms)
{
    size_t claimed = 0;
    ASSERT(c->part != NULL && count > 0);
    while (claimed < count && coord_op_claim(c, &ops[claimed]))
        claimed++;
    if (claimed < count) {
        while (claimed > 0)
            coord_op_disclaim(&ops[--claimed]);
        return COORD_CONFLICT;
    }
    ops->priv.count = count;
    coord_op_build(ops, count, now_ms);
    struct part_append *a = &ops->priv.append;
    enum batch_fault fault = batch_parse(buf_slice(&ops->priv.batch), &a->header);
    ASSERT(fault == BATCH_OK);
    a->batch = ops->priv.batch.p;
    a->done = coord_op_finish;
    int appended = part_append(c->part, a, now_ms);
    ASSERT(appended == 0); /* no producer id, and far below a segment */
    ASSERT(a->base_offset >= c->applied);
    c->due(c->ctx);
    return 0;
}

int coord_cas(struct coord *c, struct coord_op *op, int64_t now_ms)
{
    ASSERT(op != NULL);
    return coord_cas_all(c, op, 1, now_ms);
}

/* --- start --- */

static int coord_row(void *ctx, struct slice key, struct slice value)
{
    struct coord *c = ctx;
    if (value.size < 8 || key.size == 0)
        return COORD_DAMAGED;
    struct coord_record *r = coord_record_make(c, key);
    coord_record_set(c, r, key, slice_of(value.p + 8, value.size - 8));
    r->revision = (int64_t)bytes_le64(value.p);
    return r->revision < 0 || r->revision >= c->applied ? COORD_DAMAGED : 0;
}

static void coord_forget(struct coord *c)
{
    ASSERT(!c->commit.out);
    size_t at = 0;
    uint64_t seed = c->map.seed;
    for (struct coord_record *r = map_next(&c->map, &at); r != NULL; r = map_next(&c->map, &at))
        coord_record_free(r);
    map_deinit(&c->map);
    map_init(&c->map, seed);
    list_init(&c->changed);
    c->applied = 0;
    ASSERT(c->map.count == 0);
}

/* What the view knows, if it can be believed. */
static int coord_read_view(struct coord *c)
{
    ASSERT(c->view != NULL && c->part != NULL);
    struct meta_applied applied;
    int r = meta_get_applied(c->view, COORD_LOG, &applied);
    if (r == 0 && applied.offset >= c->part->durable)
        r = COORD_DAMAGED; /* ahead of the log: K3 */
    if (r == 0) {
        c->applied = applied.offset + 1;
        r = meta_each(c->view, META_TABLE_RECORD, SLICE_NULL, coord_row, c);
    }
    if (r == 0 && c->applied >= c->part->log_start)
        return 0;
    coord_forget(c);
    c->applied = c->part->log_start;
    int cleared = meta_clear(c->view, META_TABLE_RECORD);
    if (cleared != 0) { /* no room even for that: go on without a view */
        c->view = NULL;
        c->view_error = cleared;
    }
    return 0;
}

static int coord_replay_batch(struct coord *c, struct slice batch, struct buf *scratch)
{
    ASSERT(batch.size > 0);
    ASSERT(c->applied >= 0);
    struct batch_iter it;
    struct batch_record rec;
    enum batch_fault fault = batch_iter_init(&it, batch, COORD_INFLATE_MAX, scratch);
    while (fault == BATCH_OK && batch_iter_next(&it, &rec, &fault))
        if (rec.offset >= c->applied && rec.key.size > 0)
            coord_apply(c, rec.key, rec.value, rec.offset);
    return fault == BATCH_OK ? 0 : COORD_DAMAGED;
}

static int coord_replay_extent(struct coord *c, const struct part_extent *e, struct buf *scratch)
{
    ASSERT(e->bytes.size > 0 && e->next_offset > c->applied);
    struct slice left = e->bytes;
    int r = 0;
    while (r == 0 && left.size > 0) {
        struct batch_header h;
        if (batch_parse(left, &h) != BATCH_OK || h.size > left.size)
            return COORD_DAMAGED;
        r = coord_replay_batch(c, slice_of(left.p, h.size), scratch);
        left = slice_of(left.p + h.size, left.size - h.size);
    }
    c->applied = e->next_offset;
    return r;
}

static int coord_replay(struct coord *c)
{
    struct buf scratch CLEANUP(buf_deinit) = {0};
    unsigned cold = 0;
    while (c->applied < c->part->durable) {
        struct part_read q = {.offset = c->applied,
                              .bound = c->part->durable,
                              .size_max = COORD_READ_SIZE,
                              .may_wait = true};
        struct part_extent extent;
        struct part_warm warm;
        int64_t next_good;
        int r = part_read(c->part, &q, &extent, &warm, &next_good);
        if (r == PART_COLD && cold++ < 1000) {
            part_warm_run(&warm);
            r = part_warm_done(c->part, &warm);
        } else if (r == 0) {
            ASSERT(extent.pin != NULL && extent.next_offset <= c->part->durable);
            r = coord_replay_extent(c, &extent, &scratch);
            reader_unpin(extent.pin);
        } else {
            r = r < 0 ? r : COORD_DAMAGED;
        }
        if (r != 0)
            return r;
    }
    return 0;
}

int coord_start(struct coord *c, struct part *part, struct meta *view, void (*due)(void *ctx),
                void *ctx)
{
    ASSERT(c->map.count == 0 && due != NULL);
    ASSERT(part != NULL && view != NULL);
    c->part = part;
    c->view = view;
    c->due = due;
    c->ctx = ctx;
    ASSERT(part->durable == part->reserved); /* recovered, and nothing queued */
    int r = coord_read_view(c);
    return r != 0 ? r : coord_replay(c);
}

/* --- the view --- */

bool coord_view_due(const struct coord *c)
{
    ASSERT(!c->commit.out || c->commit.count > 0);
    return c->view != NULL && !c->commit.out && !list_empty(&c->changed);
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
    ASSERT(m->out && m->count > 0);
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
        if (r->value.p == NULL && !r->pending)
            coord_record_drop(c, r);
    }
    ASSERT(m->count == count && list_empty(&c->changed));
    m->coord = c;
    m->applied = c->applied - 1;
    m->out = true;
    m->job.run = coord_commit_run;
    m->job.note.done = coord_commit_done;
    work_submit(w, &m->job);
}
