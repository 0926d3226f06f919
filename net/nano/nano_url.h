/* SPDX-License-Identifier: MIT
 *
 * nano_url: what an address allows, and making room for it before it is bound.
 *
 *   ipc:///run/kauri/kauri.sock     the folder is made (0700) when missing; a socket nobody answers
 *                                   on is removed; after the bind the socket has mode 0600
 *   tcp://127.0.0.1:9095            loopback only (127.0.0.0/8, [::1]) unless allowed
 */
#pragma once

#include <stdarg.h>

#include "net/nano/nano.h"

/* Checks o->url and prepares its place. 0, NANO_BAD_URL, NANO_IN_USE, NANO_INSECURE, NANO_FOLDER or
 * -errno, with o->why written after a failure. */
int nano_url_prepare(const struct nano_options *o) MUST_CHECK;
/* After the bind: sets the mode of an ipc socket. 0 or -errno. */
int nano_url_protect(const struct nano_options *o) MUST_CHECK;
/* True for ipc and loopback: who comes is on this host. */
bool nano_url_is_local(const char *url);
/* True when nanomsg must be told to use IPv6. */
bool nano_url_is_ipv6(const char *url);
/* Writes one line to o->why, when there is one. */
__attribute__((format(printf, 2, 3))) void nano_url_why(const struct nano_options *o,
                                                        const char *fmt, ...);
