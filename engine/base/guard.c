/* SPDX-License-Identifier: MIT
 *
 * guard: SIGBUS to -EIO. See guard.h.
 *
 *   guard_run(map B)          guard_top -> [B] -> [A] -> NULL      frames on the callers' stacks
 *     called inside
 *   guard_run(map A)          SIGBUS at an address of A jumps to A's frame and drops B's
 *
 * The handler runs on the thread that touched the page, so the thread's own frames are the right
 * ones. It keeps SIGBUS unblocked (SA_NODEFER), because it leaves by a jump that restores no mask.
 * A SIGBUS that no frame covers is not ours to hide: the address goes to stderr and the process
 * aborts. Only async-signal-safe calls are made.
 */
#include "engine/base/guard.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/assert.h"

struct guard_frame {
    sigjmp_buf jump;
    uintptr_t start;
    size_t size;
    struct guard_frame *prev; /* borrowed: an outer guard_run's stack */
};

/* The per-thread SIGBUS frame: a handler has no other way to find what its thread is reading. */
static _Thread_local struct guard_frame *guard_top;

/* Writes "sigbus at 0x<16 digits>, outside guarded reads". */
static void guard_say(uintptr_t address)
{
    char text[] = "sigbus at 0x0000000000000000, outside guarded reads\n";
    char *digit = strchr(text, 'x') + 16;
    for (; address != 0; address >>= 4)
        *digit-- = "0123456789abcdef"[address & 0xf];
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)written; /* the process ends here with or without its message */
}

static void guard_handle(int signal, siginfo_t *info, void *context)
{
    ASSERT(signal == SIGBUS);
    (void)context;
    uintptr_t address = (uintptr_t)info->si_addr;
    bool fault = info->si_code > 0; /* by the hardware; others are sent and carry no address */
    for (struct guard_frame *frame = guard_top; fault && frame != NULL; frame = frame->prev)
        if (address >= frame->start && address - frame->start < frame->size)
            siglongjmp(frame->jump, 1);
    guard_say(fault ? address : 0);
    abort();
}

void guard_install(void)
{
    struct sigaction action = {.sa_sigaction = guard_handle,
                               .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    int r = sigemptyset(&action.sa_mask);
    ASSERT(r == 0);
    r = sigaction(SIGBUS, &action, NULL);
    ASSERT(r == 0);
}

int guard_run(const void *map, size_t size, int (*fn)(void *ctx), void *ctx)
{
    ASSERT(map != NULL || size == 0);
    ASSERT(fn != NULL);
    struct guard_frame frame = {.start = (uintptr_t)map, .size = size, .prev = guard_top};
    if (sigsetjmp(frame.jump, 0) != 0) {
        guard_top = frame.prev;
        return -EIO;
    }
    guard_top = &frame;
    int r = fn(ctx);
    ASSERT(guard_top == &frame);
    guard_top = frame.prev;
    return r;
}
