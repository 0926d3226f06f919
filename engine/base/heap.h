/* SPDX-License-Identifier: MIT
 *
 * heap: intrusive binary min-heap of deadlines. The node is embedded in its object; the heap owns
 * only its slot array.
 *
 * Invariants: H1 slot i is not earlier than slot (i-1)/2; H2 node->slot names its slot + 1, 0 when
 * it is in no heap (so a zeroed node is valid).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t at; /* any unit, the owner's: usually monotonic ms */
    size_t slot;
};

struct heap {
    struct heap_node **slots;
    size_t count;
    size_t cap;
};

#define HEAP_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* A zeroed struct heap is empty and valid. Nodes are borrowed while they are in. */

/* Puts the node in, or moves it when it is in already. O(log n). */
void heap_set(struct heap *h, struct heap_node *node, int64_t at);
/* Takes the node out; nothing happens when it is in no heap. O(log n). */
void heap_remove(struct heap *h, struct heap_node *node);
/* The earliest node, still in the heap; NULL when empty. */
struct heap_node *heap_first(const struct heap *h);
/* The earliest node when its time is <= now, taken out; else NULL. */
struct heap_node *heap_pop_due(struct heap *h, int64_t now);
/* Takes every node out and frees the slots. */
void heap_deinit(struct heap *h);
/* Walks the invariants; asserts. */
void heap_check(const struct heap *h);
