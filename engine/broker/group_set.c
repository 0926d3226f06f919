/* SPDX-License-Identifier: MIT
 *
 * group_set: see group_set.h. All but group_set_has and group_set_add are one walk.
 */
#include "engine/broker/group_set.h"

#include <stdlib.h>

#include "engine/base/assert.h"

int group_tp_compare(struct group_tp a, struct group_tp b)
{
    ASSERT(a.topic != NULL && b.topic != NULL);
    if (a.topic != b.topic) {
        int r = strcmp(a.topic->name, b.topic->name);
        return r != 0 ? r : memcmp(a.topic->id, b.topic->id, sizeof a.topic->id);
    }
    return (a.partition > b.partition) - (a.partition < b.partition);
}

static int group_set_order(const void *x, const void *y)
{
    return group_tp_compare(*(const struct group_tp *)x, *(const struct group_tp *)y);
}

/* The first that is not below tp. */
static size_t group_set_slot(const struct group_set *s, struct group_tp tp)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (group_tp_compare(s->v[mid], tp) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    ASSERT(low <= s->count);
    ASSERT(low == high);
    return low;
}

bool group_set_has(const struct group_set *s, struct group_tp tp)
{
    size_t at = group_set_slot(s, tp);
    ASSERT(tp.partition >= 0);
    return at < s->count && group_tp_compare(s->v[at], tp) == 0;
}

bool group_set_equal(const struct group_set *a, const struct group_set *b)
{
    ASSERT(a != NULL && b != NULL);
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (group_tp_compare(a->v[i], b->v[i]) != 0)
            return false;
    return true;
}

bool group_set_within(const struct group_set *a, const struct group_set *b)
{
    ASSERT(a != NULL && b != NULL);
    for (size_t i = 0; i < a->count; i++)
        if (!group_set_has(b, a->v[i]))
            return false;
    return true;
}

bool group_set_meets(const struct group_set *a, const struct group_set *b)
{
    ASSERT(a != NULL && b != NULL);
    for (size_t i = 0; i < a->count; i++)
        if (group_set_has(b, a->v[i]))
            return true;
    return false;
}

void group_set_push(struct group_set *s, struct group_tp tp)
{
    ASSERT(tp.topic != NULL && tp.partition >= 0);
    if (s->count == s->cap) {
        s->cap = s->cap == 0 ? 8 : 2 * s->cap;
        s->v = assert_memory(realloc(s->v, s->cap * sizeof *s->v), s->cap * sizeof *s->v);
    }
    ASSERT(s->count < s->cap);
    s->v[s->count++] = tp;
}

void group_set_settle(struct group_set *s)
{
    size_t kept = 0;
    ASSERT(s->count <= s->cap);
    if (s->count > 1)
        qsort(s->v, s->count, sizeof *s->v, group_set_order);
    for (size_t i = 0; i < s->count; i++)
        if (kept == 0 || group_tp_compare(s->v[kept - 1], s->v[i]) != 0)
            s->v[kept++] = s->v[i];
    ASSERT(kept <= s->count);
    s->count = kept;
}

void group_set_add(struct group_set *s, struct group_tp tp)
{
    size_t at = group_set_slot(s, tp);
    if (at < s->count && group_tp_compare(s->v[at], tp) == 0)
        return;
    group_set_push(s, tp);
    ASSERT(at < s->count);
    memmove(&s->v[at + 1], &s->v[at], (s->count - 1 - at) * sizeof *s->v);
    s->v[at] = tp;
}

void group_set_minus(const struct group_set *a, const struct group_set *b, struct group_set *out)
{
    ASSERT(out != a && out != b);
    group_set_clear(out);
    for (size_t i = 0; i < a->count; i++)
        if (!group_set_has(b, a->v[i]))
            group_set_push(out, a->v[i]);
    ASSERT(out->count <= a->count);
}

void group_set_both(const struct group_set *a, const struct group_set *b, struct group_set *out)
{
    ASSERT(out != a && out != b);
    group_set_clear(out);
    for (size_t i = 0; i < a->count; i++)
        if (group_set_has(b, a->v[i]))
            group_set_push(out, a->v[i]);
    ASSERT(out->count <= a->count && out->count <= b->count);
}

void group_set_either(const struct group_set *a, const struct group_set *b, struct group_set *out)
{
    ASSERT(out != a && out != b);
    group_set_copy(out, a);
    for (size_t i = 0; i < b->count; i++)
        group_set_push(out, b->v[i]);
    group_set_settle(out);
    ASSERT(out->count >= a->count && out->count <= a->count + b->count);
}

void group_set_move(struct group_set *to, struct group_set *from)
{
    ASSERT(to != from);
    ASSERT(from->count <= from->cap);
    free(to->v);
    *to = *from;
    *from = (struct group_set){0};
}

void group_set_copy(struct group_set *to, const struct group_set *from)
{
    ASSERT(to != from);
    group_set_clear(to);
    for (size_t i = 0; i < from->count; i++)
        group_set_push(to, from->v[i]);
    ASSERT(to->count == from->count);
}

void group_set_clear(struct group_set *s)
{
    ASSERT(s->count <= s->cap);
    s->count = 0;
}

void group_set_deinit(struct group_set *s)
{
    ASSERT(s->count <= s->cap);
    free(s->v);
    *s = (struct group_set){0};
}

void group_set_check(const struct group_set *s)
{
    ASSERT(s->count <= s->cap);
    for (size_t i = 0; i < s->count; i++) {
        ASSERT(s->v[i].topic != NULL && s->v[i].partition >= 0);      /* S2 */
        ASSERT(i == 0 || group_tp_compare(s->v[i - 1], s->v[i]) < 0); /* S1 */
    }
}
