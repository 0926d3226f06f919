/* SPDX-License-Identifier: MIT
 *
 * cleanup: build under CLEANUP(fn), hand over with `*out = x; x = NULL;`.
 *
 * CLEANUP_DEFINE(name, type, fn) makes `name##_cleanup`, which calls fn on a non-NULL pointer when
 * the variable leaves its scope:
 *
 *   CLEANUP_DEFINE(work_pool_free, struct work, work_pool_free);
 *   struct work *pool CLEANUP(work_pool_free_cleanup) = NULL;
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))

#define CLEANUP_DEFINE(name, type, fn)                                                             \
    __attribute__((unused)) static inline void name##_cleanup(type **p)                            \
    {                                                                                              \
        if (*p != NULL)                                                                            \
            (void)fn(*p);                                                                          \
    }                                                                                              \
    struct cleanup_needs_semicolon

/* Frees a malloc'd pointer: `char *s CLEANUP(cleanup_free) = NULL;`. */
static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}

/* Closes a descriptor that is not negative: `int fd CLEANUP(cleanup_fd) = -1;`. */
static inline void cleanup_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}
