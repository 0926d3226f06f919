/* SPDX-License-Identifier: MIT
 *
 * notify: what a service manager is told (the sd_notify protocol: datagrams of `KEY=value` lines to
 * the socket that NOTIFY_SOCKET names), and whether stderr is its journal.
 *
 *   READY=1  STATUS=...  STOPPING=1  WATCHDOG=1  EXTEND_TIMEOUT_USEC=...
 *
 * Without NOTIFY_SOCKET every call does nothing. Nothing waits: a datagram that cannot be sent now
 * is lost, and the next one comes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct notify {
    int fd;              /* -1: nobody listens */
    int64_t watchdog_ms; /* between two signs of life; 0: none wanted */
    int64_t next_ms;     /* monotonic: the next one */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and takes them out of the environment: they
 * are not meant for children. */
void notify_open(struct notify *n);
void notify_close(struct notify *n);
/* Sends lines, such as "READY=1\nSTATUS=serving". */
__attribute__((format(printf, 2, 3))) void notify_send(const struct notify *n, const char *fmt,
                                                       ...);
/* Call every turn: the sign of life, when one is due; with `stopping`, a request for more time. */
void notify_turn(struct notify *n, int64_t now_ms, bool stopping);
/* Monotonic ms of the next sign of life; INT64_MAX when none is wanted. */
int64_t notify_next_ms(const struct notify *n);
/* True when this descriptor is a stream of the journal (JOURNAL_STREAM), which takes "<3>" at the
 * head of a line as its level. */
bool notify_is_journal(int fd);
