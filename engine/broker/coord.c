/* SPDX-License-Identifier: MIT
 *
 * coord: see coord.h.
 */
#include "engine/broker/coord.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/coord_priv.h"

#define COORD_BATCH_MAX (8u << 20)

struct coord *coord_new(uint64_t seed)
{
    struct coord *c = calloc(1, sizeof *c);
    ASSERT(c != NULL);
    map_init(&c->map, seed);
    list_init(&c->changed);
    list_init(&c->order);
    list_init(&c->graves);
    c->log_min = COORD_LOG_MIN;
    c->forgotten = -1;
    return c;
}

static void coord_record_free(struct coord_record *r)
{
    ASSERT(r->bytes != NULL && r->key.size > 0);
    if (list_linked(&r->changed))
        list_remove(&r->changed);
    if (list_linked(&r->order))
        list_remove(&r->order);
    free(r->bytes);
    free(r);
}

static void coord_grave_leave(struct coord *c, struct coord_record *r)
{
    if (!list_linked(&r->grave))
        return;
    ASSERT(r->value.p == NULL && c->grave_count > 0);
    list_remove(&r->grave);
    c->grave_count--;
}

void coord_record_drop(struct coord *c, struct coord_record *r)
{
    ASSERT(r->pending == 0); /* its change still needs it */
    ASSERT(r->value.p == NULL);
    void *gone = map_remove(&c->map, r->key);
    ASSERT(gone == r);
    coord_grave_leave(c, r);
    coord_record_free(r);
}

/* Forgets the oldest deletions beyond the limit, but none that somebody still needs: K5. */
static void coord_graves_bound(struct coord *c)
{
    LIST_EACH_SAFE (node, &c->graves) {
        struct coord_record *r = LIST_ENTRY(node, struct coord_record, grave);
        ASSERT(r->value.p == NULL && r->revision >= 0);
        bool wanted = c->view != NULL && list_linked(&r->changed);
        if (c->grave_count <= COORD_GRAVES_MAX || r->pending > 0 || wanted)
            return;
        c->forgotten = r->revision > c->forgotten ? r->revision : c->forgotten;
        coord_record_drop(c, r);
    }
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
    coord_tidy_clear(&c->tidying);
    free(c);
    return NULL;
}

void coord_forget(struct coord *c)
{
    ASSERT(!c->commit.out);
    size_t at = 0;
    uint64_t seed = c->map.seed;
    for (struct coord_record *r = map_next(&c->map, &at); r != NULL; r = map_next(&c->map, &at))
        coord_record_free(r);
    map_deinit(&c->map);
    map_init(&c->map, seed);
    list_init(&c->changed);
    list_init(&c->order);
    list_init(&c->graves);
    c->grave_count = c->live_count = 0;
    c->live_size = 0;
    c->applied = 0;
    ASSERT(c->map.count == 0);
}

size_t coord_count(const struct coord *c)
{
    ASSERT(c != NULL);
    ASSERT(c->live_count <= c->map.count);
    ASSERT(c->grave_count <= c->map.count - c->live_count);
    return c->live_count;
}

static void coord_record_count(struct coord *c, const struct coord_record *r, bool there)
{
    if (r->value.p == NULL)
        return;
    ASSERT(there || c->live_count > 0);
    ASSERT(there || c->live_size >= r->key.size + r->value.size);
    c->live_count = there ? c->live_count + 1 : c->live_count - 1;
    c->live_size = there ? c->live_size + r->key.size + r->value.size
                         : c->live_size - r->key.size - r->value.size;
}

/* Copies key and value into one owned block; the map's key lies in it. */
void coord_record_set(struct coord *c, struct coord_record *r, struct slice key, struct slice value)
{
    uint8_t *bytes = malloc(key.size + value.size + 1);
    ASSERT(bytes != NULL && key.size > 0);
    ASSERT(value.p != NULL || value.size == 0);
    memcpy(bytes, key.p, key.size);
    if (value.size > 0)
        memcpy(bytes + key.size, value.p, value.size);
    uint8_t *old = r->bytes;
    struct slice stored = slice_of(bytes, key.size);
    coord_record_count(c, r, false);
    r->value = value.p == NULL ? SLICE_NULL : slice_of(bytes + key.size, value.size);
    if (old != NULL) {
        void *same = map_remove(&c->map, r->key);
        ASSERT(same == r);
    }
    r->bytes = bytes;
    r->key = stored;
    void *other = map_put(&c->map, r->key, r);
    ASSERT(other == NULL);
    coord_record_count(c, r, true);
    free(old);
}

struct coord_record *coord_record_make(struct coord *c, struct slice key)
{
    ASSERT(key.p != NULL && key.size > 0);
    struct coord_record *r = map_get(&c->map, key);
    if (r != NULL)
        return r;
    r = calloc(1, sizeof *r);
    ASSERT(r != NULL);
    list_init(&r->changed);
    list_init(&r->order);
    list_init(&r->grave);
    r->revision = -1;
    coord_record_set(c, r, key, SLICE_NULL);
    return r;
}

static int64_t coord_record_revision(struct list *order)
{
    ASSERT(order != NULL);
    return LIST_ENTRY(order, struct coord_record, order)->revision;
}

void coord_apply(struct coord *c, struct slice key, struct slice value, struct coord_place at)
{
    struct coord_record *r = coord_record_make(c, key);
    ASSERT(at.revision >= 0 && at.revision <= at.offset);
    ASSERT(at.offset >= c->applied); /* K2 */
    c->applied = at.offset + 1;
    if (at.revision <= r->revision) /* written again by tidying, and known */
        return;
    coord_grave_leave(c, r);
    coord_record_set(c, r, key, value);
    if (list_linked(&r->order))
        list_remove(&r->order);
    r->revision = at.revision;
    ASSERT(list_empty(&c->order) || coord_record_revision(c->order.prev) < at.revision); /* K4 */
    list_add_tail(&c->order, &r->order);
    if (!list_linked(&r->changed))
        list_add_tail(&c->changed, &r->changed);
    if (r->value.p == NULL) {
        list_add_tail(&c->graves, &r->grave);
        c->grave_count++;
        coord_graves_bound(c);
    }
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
    ASSERT(r != NULL && r->pending > 0);
    return r;
}

static void coord_op_settle(struct coord_op *op, int64_t revision, int result)
{
    struct coord *c = op->priv.coord;
    struct coord_record *r = coord_op_record(op);
    ASSERT(op->done != NULL);
    r->pending--;
    if (result == 0) {
        struct slice value = op->value.p == NULL ? SLICE_NULL : buf_slice(&op->priv.value);
        if (op->value.p != NULL && value.p == NULL)
            value = slice_str("");
        op->revision = revision;
        struct coord_place at = {revision, revision};
        coord_apply(c, buf_slice(&op->priv.key), value, at);
    } else if (r->revision < 0 && r->pending == 0) { /* it was never there */
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
    ASSERT(op->done != NULL && op->expect >= COORD_ANY);
    struct coord_record *r = coord_record_make(c, op->key);
    bool there = r->value.p != NULL;
    bool as_expected = there ? op->expect == r->revision : op->expect == -1;
    if (op->expect != COORD_ANY && (r->pending > 0 || !as_expected)) {
        if (r->pending == 0 && r->revision < 0) /* made just now */
            coord_record_drop(c, r);
        return false;
    }
    r->pending++;
    op->priv = (typeof(op->priv)){.coord = c};
    buf_append(&op->priv.key, op->key.p, op->key.size);
    buf_append(&op->priv.value, op->value.p, op->value.size);
    return true;
}

/* Gives the key of a change back that was only claimed. */
static void coord_op_disclaim(struct coord_op *op)
{
    struct coord_record *r = coord_op_record(op);
    r->pending--;
    if (r->revision < 0 && r->pending == 0)
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

/* --- unconditional --- */

bool coord_change_legal(struct slice key, struct slice value)
{
    ASSERT(value.p != NULL || value.size == 0);
    return key.p != NULL && key.size > 0 && key.size <= META_KEY_MAX &&
           value.size <= COORD_VALUE_MAX;
}

static void coord_put_done(struct coord_op *op, int result)
{
    struct coord_put *put = op->ctx;
    ASSERT(put->priv.left > 0 && put->priv.left <= put->priv.count);
    if (result != 0 && put->priv.result == 0)
        put->priv.result = result;
    if (--put->priv.left > 0)
        return;
    free(put->priv.ops);
    put->priv.ops = NULL;
    put->done(put, put->priv.result);
}

/* How many of the ops from `from` on go into one batch. */
static size_t coord_put_share(const struct coord_put *put, size_t from)
{
    size_t n = 0, size = 0;
    ASSERT(from < put->priv.count);
    ASSERT(put->priv.ops != NULL);
    while (from + n < put->priv.count) {
        const struct coord_op *op = &put->priv.ops[from + n];
        size += op->key.size + op->value.size;
        if (n > 0 && size > COORD_BATCH_MAX)
            break;
        n++;
    }
    return n;
}

void coord_put(struct coord *c, struct coord_put *put, const struct coord_changes *changes,
               int64_t now_ms)
{
    ASSERT(changes->count > 0 && put->done != NULL);
    struct coord_op *ops = calloc(changes->count, sizeof *ops);
    ASSERT(ops != NULL);
    put->priv = (typeof(put->priv)){.ops = ops, .count = changes->count, .left = changes->count};
    for (size_t i = 0; i < changes->count; i++) {
        ASSERT(coord_change_legal(changes->v[i].key, changes->v[i].value));
        ops[i] = (struct coord_op){.key = changes->v[i].key,
                                   .value = changes->v[i].value,
                                   .expect = COORD_ANY,
                                   .done = coord_put_done,
                                   .ctx = put};
    }
    for (size_t i = 0, n; i < changes->count; i += n) {
        n = coord_put_share(put, i);
        int r = coord_cas_all(c, ops + i, n, now_ms);
        ASSERT(r == 0); /* whatever is there */
    }
}

/* --- itself --- */

int64_t coord_revision(const struct coord *c)
{
    ASSERT(c->applied >= 0);
    ASSERT(c->forgotten < c->applied);
    return c->applied - 1;
}

void coord_check(const struct coord *c)
{
    size_t at = 0, live = 0, graves = 0, ordered = 0;
    uint64_t size = 0;
    int64_t last = -1;
    map_check(&c->map);
    for (const struct coord_record *r = map_next(&c->map, &at); r != NULL;
         r = map_next(&c->map, &at)) {
        live += r->value.p != NULL;
        size += r->value.p != NULL ? r->key.size + r->value.size : 0;
        ordered += r->revision >= 0;
        ASSERT(r->revision >= 0 || r->pending > 0);
        ASSERT(r->revision < c->applied);
        ASSERT(list_linked(&r->order) == (r->revision >= 0));
        ASSERT(list_linked(&r->grave) == (r->revision >= 0 && r->value.p == NULL));
    }
    LIST_EACH (node, &c->order) {
        ASSERT(coord_record_revision(node) > last); /* K4 */
        last = coord_record_revision(node);
        ordered--;
    }
    LIST_EACH (node, &c->graves) {
        graves++;
    }
    ASSERT(live == c->live_count && size == c->live_size);
    ASSERT(graves == c->grave_count && ordered == 0);
}
