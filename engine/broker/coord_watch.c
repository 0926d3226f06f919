/* SPDX-License-Identifier: MIT
 *
 * coord_watch: what changed since a revision, and what of another broker's records is news here.
 *
 * The records stand in the order of their last change, so a question costs what its answer does.
 * Deletions are in the same order as long as they are known (coord.h).
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/broker/coord_priv.h"

#define COORD_CHANGE_EXTRA 32 /* of a record in a message, beside key and value */

void coord_changes_deinit(struct coord_changes *l)
{
    ASSERT(l->count <= l->cap);
    ASSERT(l->v != NULL || l->count == 0);
    free(l->v);
    buf_deinit(&l->bytes);
    *l = (struct coord_changes){0};
}

void coord_changes_add(struct coord_changes *l, struct slice key, struct slice value)
{
    ASSERT(l->bytes.size == 0 && l->count <= l->cap);
    ASSERT(key.p != NULL && key.size > 0);
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 16 : l->cap * 2;
        l->v = assert_memory(realloc(l->v, l->cap * sizeof *l->v), l->cap * sizeof *l->v);
    }
    l->v[l->count++] = (struct coord_change){key, value};
}

void coord_changes_own(struct coord_changes *l)
{
    size_t size = 0;
    ASSERT(l->bytes.size == 0);
    ASSERT(l->v != NULL || l->count == 0);
    for (size_t i = 0; i < l->count; i++)
        size += l->v[i].key.size + l->v[i].value.size;
    buf_reserve(&l->bytes, size + 1); /* never moves below */
    for (size_t i = 0; i < l->count; i++) {
        struct coord_change *e = &l->v[i];
        const uint8_t *at = l->bytes.p + l->bytes.size;
        buf_append(&l->bytes, e->key.p, e->key.size);
        if (e->value.size > 0)
            buf_append(&l->bytes, e->value.p, e->value.size);
        e->key.p = at;
        if (e->value.p != NULL)
            e->value.p = at + e->key.size;
    }
    ASSERT(l->bytes.size == size);
}

static struct coord_record *coord_ordered(struct list *node)
{
    ASSERT(node != NULL);
    return LIST_ENTRY(node, struct coord_record, order);
}

int64_t coord_last_change(const struct coord *c, bool (*want)(struct slice key))
{
    ASSERT(want != NULL);
    for (struct list *node = c->order.prev; node != &c->order; node = node->prev)
        if (want(coord_ordered(node)->key))
            return coord_ordered(node)->revision;
    return -1;
}

void coord_changes(const struct coord *c, int64_t since, bool (*want)(struct slice key),
                   struct coord_changes *out)
{
    struct list *node = c->order.prev;
    int64_t last = since;
    ASSERT(out->v == NULL && out->count == 0);
    out->revision = coord_revision(c);
    int64_t known = out->begun > since ? out->begun : since;
    size_t size = 0;
    out->whole = known < c->forgotten || since < 0 || since > out->revision;
    while (node != &c->order && (out->whole || coord_ordered(node)->revision > since))
        node = node->prev;
    for (node = node->next; node != &c->order; node = node->next) {
        const struct coord_record *r = coord_ordered(node);
        ASSERT(out->whole || r->revision > since);
        if ((r->value.p == NULL && out->whole) || (want != NULL && !want(r->key)))
            continue;
        size += r->key.size + r->value.size + COORD_CHANGE_EXTRA;
        out->more = out->size_max > 0 && out->count > 0 && size > out->size_max;
        if (out->more)
            break;
        coord_changes_add(out, r->key, r->value);
        last = r->revision;
    }
    if (out->more)
        out->revision = last;
    ASSERT(out->more || out->revision >= c->forgotten);
    coord_changes_own(out);
}

static bool coord_same(const struct coord_record *r, struct slice value)
{
    if (r == NULL)
        return value.p == NULL;
    ASSERT(r->key.size > 0);
    ASSERT(r->revision >= 0 || r->pending > 0);
    if (r->value.p == NULL || value.p == NULL)
        return r->pending == 0 && r->value.p == value.p;
    return r->pending == 0 && slice_equal(r->value, value);
}

/* Records of ours that a whole answer does not name. */
static void coord_diff_gone(const struct coord *c, const struct coord_changes *from,
                            bool (*mirrored)(struct slice key), struct coord_changes *out)
{
    struct map named;
    size_t at = 0;
    ASSERT(from->whole && mirrored != NULL);
    map_init(&named, c->map.seed);
    for (size_t i = 0; i < from->count; i++)
        (void)map_put(&named, from->v[i].key, &from->v[i]);
    for (const struct coord_record *r = map_next(&c->map, &at); r != NULL;
         r = map_next(&c->map, &at)) {
        ASSERT(r->bytes != NULL);
        if ((r->value.p != NULL || r->pending > 0) && mirrored(r->key) &&
            map_get(&named, r->key) == NULL)
            coord_changes_add(out, r->key, SLICE_NULL);
    }
    map_deinit(&named);
}

void coord_diff(const struct coord *c, const struct coord_changes *from,
                bool (*mirrored)(struct slice key), struct coord_changes *out)
{
    ASSERT(out->v == NULL && out->count == 0);
    ASSERT(from->v != NULL || from->count == 0);
    if (from->whole)
        coord_diff_gone(c, from, mirrored, out);
    for (size_t i = 0; i < from->count; i++)
        if (!coord_same(map_get(&c->map, from->v[i].key), from->v[i].value))
            coord_changes_add(out, from->v[i].key, from->v[i].value);
    out->revision = from->revision;
}
