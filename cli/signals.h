/* SPDX-License-Identifier: MIT
 *
 * signals: Ctrl-C for commands that run long, without handlers: SIGINT and SIGTERM are blocked and
 * read from a descriptor at moments of the command's choosing. SIGPIPE is ignored: a reader that
 * went away shows as EPIPE.
 */
#pragma once

/* From now on SIGINT and SIGTERM wait in the descriptor. -1 when there is none to be had. */
int signals_open(void);
/* The number of a signal that came, 0 when none did. Never waits. */
int signals_taken(int fd);
