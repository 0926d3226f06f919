/* SPDX-License-Identifier: MIT
 *
 * assert: the end of a process that found a bug, or no memory. See assert.h.
 *
 * The message goes to stderr in one write, so that lines of several threads do not mix; abort()
 * follows, for a core dump and an exit status that a supervisor can tell from a clean stop.
 */
#include "engine/base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void assert_fail(const char *expr, const char *file, int line, const char *func)
{
    (void)fprintf(stderr, "assertion failed: %s, at %s:%d in %s\n", expr, file, line, func);
    (void)fflush(stderr);
    abort();
}

void *assert_memory(void *p, size_t size)
{
    ASSERT(size > 0);
    if (p == NULL) {
        (void)fprintf(stderr, "out of memory: cannot allocate %zu bytes\n", size);
        (void)fflush(stderr);
        abort();
    }
    return p;
}
