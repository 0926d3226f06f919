/* SPDX-License-Identifier: MIT
 *
 * heap: intrusive binary min-heap of deadlines. See heap.h for the invariants.
 *
 *            slots[0]                 children of i: 2i+1 and 2i+2
 *           /        \                node->slot is i + 1
 *      slots[1]    slots[2]
 */
#include "engine/base/heap.h"

#include <stdlib.h>

#include "engine/base/assert.h"

#define HEAP_CAP_MIN 16

static void heap_place(struct heap *h, size_t index, struct heap_node *node)
{
    ASSERT(index < h->count);
    h->slots[index] = node;
    node->slot = index + 1;
}

/* Moves the hole at `index` up until `node` fits, and puts it there. */
static void heap_up(struct heap *h, size_t index, struct heap_node *node)
{
    ASSERT(index < h->count);
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (h->slots[parent]->at <= node->at)
            break;
        heap_place(h, index, h->slots[parent]);
        index = parent;
    }
    heap_place(h, index, node);
}

/* Moves the hole at `index` down until `node` fits, and puts it there. */
static void heap_down(struct heap *h, size_t index, struct heap_node *node)
{
    ASSERT(index < h->count);
    for (size_t child = 2 * index + 1; child < h->count; child = 2 * index + 1) {
        if (child + 1 < h->count && h->slots[child + 1]->at < h->slots[child]->at)
            child++;
        if (node->at <= h->slots[child]->at)
            break;
        heap_place(h, index, h->slots[child]);
        index = child;
    }
    heap_place(h, index, node);
}

static void heap_fit(struct heap *h, size_t index, struct heap_node *node)
{
    ASSERT(index < h->count);
    if (index > 0 && node->at < h->slots[(index - 1) / 2]->at)
        heap_up(h, index, node);
    else
        heap_down(h, index, node);
    ASSERT(h->slots[node->slot - 1] == node); /* H2 */
}

/* Room for one more slot. */
static void heap_grow(struct heap *h)
{
    ASSERT(h->count <= h->cap);
    if (h->count < h->cap)
        return;
    size_t cap = h->cap == 0 ? HEAP_CAP_MIN : h->cap * 2;
    ASSERT(cap <= PTRDIFF_MAX / sizeof(struct heap_node *));
    size_t size = cap * sizeof(struct heap_node *);
    h->slots = assert_memory(realloc(h->slots, size), size);
    h->cap = cap;
    ASSERT(h->count < h->cap);
}

void heap_set(struct heap *h, struct heap_node *node, int64_t at)
{
    node->at = at;
    if (node->slot == 0) {
        heap_grow(h);
        h->count++;
        heap_up(h, h->count - 1, node);
        ASSERT(h->slots[node->slot - 1] == node); /* H2 */
        return;
    }
    ASSERT(node->slot <= h->count);
    ASSERT(h->slots[node->slot - 1] == node);
    heap_fit(h, node->slot - 1, node);
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    if (node->slot == 0)
        return;
    ASSERT(node->slot <= h->count);
    ASSERT(h->slots[node->slot - 1] == node);
    size_t index = node->slot - 1;
    struct heap_node *last = h->slots[h->count - 1];
    h->count--;
    if (last != node)
        heap_fit(h, index, last);
    node->slot = 0;
}

struct heap_node *heap_first(const struct heap *h)
{
    if (h->count == 0)
        return NULL;
    ASSERT(h->slots[0]->slot == 1);
    return h->slots[0];
}

struct heap_node *heap_pop_due(struct heap *h, int64_t now)
{
    struct heap_node *first = heap_first(h);
    if (first == NULL || first->at > now)
        return NULL;
    heap_remove(h, first);
    ASSERT(first->slot == 0);
    return first;
}

void heap_deinit(struct heap *h)
{
    for (size_t i = 0; i < h->count; i++) {
        ASSERT(h->slots[i]->slot == i + 1);
        h->slots[i]->slot = 0;
    }
    free(h->slots);
    *h = (struct heap){NULL, 0, 0};
}

void heap_check(const struct heap *h)
{
    ASSERT(h->count <= h->cap);
    for (size_t i = 0; i < h->count; i++) {
        ASSERT(h->slots[i]->slot == i + 1);                             /* H2 */
        ASSERT(i == 0 || h->slots[(i - 1) / 2]->at <= h->slots[i]->at); /* H1 */
    }
}
