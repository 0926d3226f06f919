/* SPDX-License-Identifier: MIT
 *
 * assert: the one assertion of kauri, on in every build.
 *
 * ASSERT states what only a bug can break; bad input, full disks, torn files and rude peers are
 * conditions and never assert. A failed assertion prints file, line and expression to stderr and
 * aborts. The argument is evaluated exactly once and may hold commas, with or without parentheses.
 * test/unit/base/test_assert.c proves that it fires, also for an expression with `!` and `,`.
 *
 * Memory that is out is no bug, but ends the process the same way: limits are in force before an
 * allocation, and recovery after a kill is the tested path. assert_memory says so in one place.
 */
#pragma once

#include <stddef.h>

#define ASSERT(...)                                                                                \
    ((__VA_ARGS__) ? (void)0 : assert_fail(#__VA_ARGS__, __FILE__, __LINE__, __func__))

/* Prints the failed expression and aborts. Never returns. */
_Noreturn void assert_fail(const char *expr, const char *file, int line, const char *func);

/* Returns p, what malloc, calloc or realloc gave for `size` > 0 bytes; prints the size and aborts
 * when it is NULL. */
void *assert_memory(void *p, size_t size);
