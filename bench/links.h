/* SPDX-License-Identifier: MIT
 *
 * links: many TCP connections to one broker on one thread: frames out, answers in, many under way.
 * It knows that a frame begins with its size and that answers come in the order of the requests,
 * nothing else of what is in them.
 *
 *   links_out     a frame is gathered at its link
 *   links_turn    what was gathered leaves, one send a link; then `answer` for each frame that came
 *
 * Invariants: L1 a link has as many tags queued as requests unanswered; their sum is `waiting`.
 * Failures: a socket that fails, or an answer nobody asked for, ends the program (bench_die).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine/base/bytes.h"

struct links_options {
    int64_t port; /* of 127.0.0.1 */
    size_t count;
    /* The frame, size and all, borrowed; may call links_out. */
    void (*answer)(void *ctx, void *tag, struct slice frame);
    void *ctx;
};

struct links;

struct links *links_open(const struct links_options *o);
/* NULL. Answers under way are lost. */
struct links *links_close(struct links *l);
/* Room behind which the caller appends exactly one frame at once; `tag` comes with its answer. */
struct buf *links_out(struct links *l, size_t link, void *tag);
/* Waits at most so long for an answer; 0: not at all. */
void links_turn(struct links *l, int64_t timeout_ns);
/* Turns until everything is answered. Dies when a minute passes without an answer. */
void links_settle(struct links *l);
size_t links_waiting(const struct links *l);
