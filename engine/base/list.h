/* SPDX-License-Identifier: MIT
 *
 * list: intrusive, circular, doubly linked list. The node is embedded in its object; the list owns
 * nothing.
 *
 *   head <-> a <-> b <-> c <-> head       an empty head and an unlinked node point to themselves
 *
 * Invariant L1: node->next->prev == node and node->prev->next == node for every node and the head.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/assert.h"

struct list {
    struct list *next;
    struct list *prev;
};

#define LIST_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* Walks a list; the body may not remove `node`, save in the _SAFE form. */
#define LIST_EACH(node, head)                                                                      \
    for (struct list *node = (head)->next; node != (head); node = node->next)
#define LIST_EACH_SAFE(node, head)                                                                 \
    for (struct list *node = (head)->next, *node##_next_ = node->next; node != (head);             \
         node = node##_next_, node##_next_ = node->next)

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    ASSERT(l->next != NULL); /* initialised */
    return l->next == l;
}

/* True when the node sits in some list. A zeroed node counts as unlinked. */
static inline bool list_linked(const struct list *l)
{
    ASSERT((l->next == NULL) == (l->prev == NULL));
    return l->next != NULL && l->next != l;
}

static inline void list_add_tail(struct list *head, struct list *node)
{
    ASSERT(node != head);
    ASSERT(head->prev->next == head);
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_add_head(struct list *head, struct list *node)
{
    ASSERT(node != head);
    ASSERT(head->next->prev == head);
    list_add_tail(head->next, node);
}

/* The node is unlinked afterwards; an unlinked node that was initialised stays so. */
static inline void list_remove(struct list *node)
{
    ASSERT(node->prev->next == node);
    ASSERT(node->next->prev == node);
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* First node, taken out; NULL when the list is empty. */
static inline struct list *list_pop(struct list *head)
{
    struct list *node = head->next;
    ASSERT(node->prev == head);
    if (node == head)
        return NULL;
    list_remove(node);
    return node;
}

/* Moves everything of `from` to the tail of `to`; `from` is empty afterwards. */
static inline void list_splice(struct list *to, struct list *from)
{
    ASSERT(to != from);
    ASSERT(to->prev->next == to && from->prev->next == from);
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/* Walks L1; asserts. O(n). */
static inline void list_check(const struct list *head)
{
    const struct list *node = head;
    do {
        ASSERT(node->next != NULL && node->next->prev == node);
        node = node->next;
    } while (node != head);
}
