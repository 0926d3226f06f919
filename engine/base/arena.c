/* SPDX-License-Identifier: MIT
 *
 * arena: bump allocation with the lifetime of one request. See arena.h.
 *
 * A block is a header and its bytes in one allocation:
 *
 *   | next | cap | used | pad | bytes ... cap |      all sizes are multiples of 16
 *
 * The head is the block being filled. An ask larger than the largest block gets a block of its own,
 * linked behind the head, so that the head's room is not lost. Blocks are never moved (A2).
 */
#include "engine/base/arena.h"

#include <stdlib.h>

#include "engine/base/assert.h"

#define ARENA_ALIGN     16
#define ARENA_BLOCK_MIN (2u * 1024)
#define ARENA_BLOCK_MAX (1024u * 1024)

struct arena_block {
    struct arena_block *next; /* owned */
    size_t cap;
    size_t used;
    _Alignas(ARENA_ALIGN) uint8_t bytes[];
};

_Static_assert(sizeof(struct arena_block) % ARENA_ALIGN == 0, "the bytes follow aligned");

static struct arena_block *arena_block_new(size_t cap)
{
    ASSERT(cap % ARENA_ALIGN == 0 && cap > 0);
    size_t size = sizeof(struct arena_block) + cap;
    ASSERT(size > cap);
    struct arena_block *block = assert_memory(malloc(size), size);
    ASSERT((uintptr_t)block % ARENA_ALIGN == 0);
    block->next = NULL;
    block->cap = cap;
    block->used = 0;
    return block;
}

/* The block that takes `size` bytes, new where the head has no room. */
static struct arena_block *arena_block_for(struct arena *a, size_t size)
{
    struct arena_block *head = a->head;
    ASSERT(size % ARENA_ALIGN == 0);
    ASSERT(head == NULL || head->used <= head->cap);
    if (head != NULL && size <= head->cap - head->used)
        return head;
    if (head != NULL && size > ARENA_BLOCK_MAX) {
        struct arena_block *own = arena_block_new(size);
        own->next = head->next;
        head->next = own;
        return own;
    }
    size_t cap = head == NULL ? ARENA_BLOCK_MIN : head->cap * 2;
    cap = cap > ARENA_BLOCK_MAX ? ARENA_BLOCK_MAX : cap;
    struct arena_block *block = arena_block_new(size > cap ? size : cap);
    block->next = head;
    a->head = block;
    return block;
}

void arena_init(struct arena *a, size_t limit)
{
    ASSERT(a != NULL);
    *a = (struct arena){.head = NULL, .used = 0, .limit = limit};
}

void *arena_alloc(struct arena *a, size_t size)
{
    ASSERT(a->limit == 0 || a->used <= a->limit);
    if (size > PTRDIFF_MAX - sizeof(struct arena_block) - ARENA_ALIGN)
        return NULL;
    size_t rounded = (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (a->limit != 0 && rounded > a->limit - a->used)
        return NULL;
    struct arena_block *block = arena_block_for(a, rounded);
    ASSERT(rounded <= block->cap - block->used);
    void *p = block->bytes + block->used;
    block->used += rounded;
    a->used += rounded;
    return memset(p, 0, rounded);
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t total;
    ASSERT(size > 0);
    ASSERT(a != NULL);
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    return arena_alloc(a, total);
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    ASSERT(s.p != NULL || s.size == 0);
    ASSERT(s.size < SIZE_MAX);
    uint8_t *p = arena_alloc(a, s.size + 1);
    if (p == NULL)
        return SLICE_NULL;
    if (s.size > 0)
        memcpy(p, s.p, s.size);
    ASSERT(p[s.size] == '\0'); /* arena memory is zeroed */
    return slice_of(p, s.size);
}

void arena_reset(struct arena *a)
{
    struct arena_block *keep = NULL;
    struct arena_block *next;
    for (struct arena_block *block = a->head; block != NULL; block = next) {
        ASSERT(block->used <= block->cap);
        next = block->next;
        if (keep == NULL && block->cap == ARENA_BLOCK_MIN)
            keep = block;
        else
            free(block);
    }
    if (keep != NULL) {
        keep->next = NULL;
        keep->used = 0;
    }
    a->head = keep;
    a->used = 0;
}

void arena_deinit(struct arena *a)
{
    arena_reset(a);
    ASSERT(a->head == NULL || a->head->next == NULL);
    ASSERT(a->used == 0);
    free(a->head);
    a->head = NULL;
}
