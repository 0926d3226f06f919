/* SPDX-License-Identifier: MIT
 *
 * commits: see commits.h.
 */
#include "cli/commits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/out.h"
#include "engine/base/assert.h"

/* Room for one more; *cap grows by doubling. */
static void *commits_room(void *items, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return items;
    *cap = *cap > 0 ? 2 * *cap : 16;
    return assert_memory(realloc(items, *cap * size), *cap * size);
}

void commits_items_deinit(struct commits_items *p)
{
    free(p->items);
    *p = (struct commits_items){0};
}

void commits_deinit(struct commits *c)
{
    for (size_t i = 0; i < c->count; i++)
        free(c->parts[i].topic);
    free(c->parts);
    free(c->mark);
    commits_items_deinit(&c->befores);
    *c = (struct commits){0};
}

static int commits_compare(const struct commits_part *part, const struct commits_one *one)
{
    size_t size = strlen(part->topic);
    size_t shared = size < one->topic.size ? size : one->topic.size;
    int topics = shared > 0 ? memcmp(part->topic, one->topic.p, shared) : 0;
    if (topics == 0)
        topics = (size > one->topic.size) - (size < one->topic.size);
    return topics != 0 ? topics
                       : (part->partition > one->partition) - (part->partition < one->partition);
}

/* The row of a partition, made when it is new. */
static struct commits_part *commits_part(struct commits *c, const struct commits_one *one)
{
    size_t low = 0;
    size_t high = c->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = commits_compare(&c->parts[middle], one);
        if (order == 0)
            return &c->parts[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    c->parts = commits_room(c->parts, c->count, &c->cap, sizeof *c->parts);
    memmove(&c->parts[low + 1], &c->parts[low], (c->count - low) * sizeof *c->parts);
    c->count++;
    c->parts[low] = (struct commits_part){.topic = (char *)slice_dup(one->topic),
                                          .partition = one->partition,
                                          .last = -1,
                                          .then = -1};
    return &c->parts[low];
}

static void commits_items_add(struct commits_items *p, const struct commits_part *part,
                              int64_t offset)
{
    p->items = commits_room(p->items, p->count, &p->cap, sizeof *p->items);
    p->items[p->count++] = (struct commits_item){part->topic, part->partition, offset};
}

static bool commits_marks(struct slice metadata)
{
    size_t size = strlen(COMMITS_MARK);
    return metadata.size > size && memcmp(metadata.p, COMMITS_MARK, size) == 0 &&
           memchr(metadata.p, '\0', metadata.size) == NULL;
}

/* A commit of a reset: what its partition had before. */
static void commits_reset(struct commits *c, const struct commits_part *part, struct slice mark)
{
    if (c->mark == NULL || !slice_equal(slice_str(c->mark), mark)) {
        free(c->mark);
        c->mark = (char *)slice_dup(mark);
        c->befores.count = 0;
    }
    /* A request that was repeated has written it twice: what counts came before the first. */
    for (size_t i = 0; i < c->befores.count; i++)
        if (c->befores.items[i].topic == part->topic &&
            c->befores.items[i].partition == part->partition)
            return;
    commits_items_add(&c->befores, part, part->last);
}

void commits_add(struct commits *c, const struct commits_one *one)
{
    struct commits_part *part = commits_part(c, one);
    if (commits_marks(one->metadata))
        commits_reset(c, part, one->metadata);
    part->last = one->offset;
    if (one->commit_ms <= c->as_of_ms)
        part->then = one->offset;
}

static int commits_order(const void *a, const void *b)
{
    const struct commits_item *x = a;
    const struct commits_item *y = b;
    int topics = strcmp(x->topic, y->topic);
    return topics != 0 ? topics : (x->partition > y->partition) - (x->partition < y->partition);
}

void commits_as_of(const struct commits *c, struct commits_items *out)
{
    *out = (struct commits_items){0};
    for (size_t i = 0; i < c->count; i++)
        if (c->parts[i].then >= 0)
            commits_items_add(out, &c->parts[i], c->parts[i].then);
}

bool commits_before_reset(const struct commits *c, struct commits_items *out, const char **mark)
{
    if (c->mark == NULL)
        return false;
    ASSERT(c->befores.count > 0);
    size_t size = c->befores.count * sizeof *out->items;
    *out = (struct commits_items){.items = assert_memory(malloc(size), size),
                                  .count = c->befores.count,
                                  .cap = c->befores.count};
    memcpy(out->items, c->befores.items, size);
    qsort(out->items, out->count, sizeof *out->items, commits_order);
    *mark = c->mark;
    return true;
}

void commits_mark(const char *what, int64_t now_ms, char text[COMMITS_MARK_MAX])
{
    char when[OUT_TEXT_MAX];
    (void)snprintf(text, COMMITS_MARK_MAX, COMMITS_MARK "%s, at %s", what, out_time(when, now_ms));
}

void commits_what(const char *mark, char *text, size_t size)
{
    const char *end = strstr(mark, ", at ");
    const char *what = mark + strlen(COMMITS_MARK);
    ASSERT(strncmp(mark, COMMITS_MARK, strlen(COMMITS_MARK)) == 0);
    (void)snprintf(text, size, "%.*s", end != NULL && end > what ? (int)(end - what) : 64, what);
}
