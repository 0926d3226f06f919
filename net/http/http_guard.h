/* SPDX-License-Identifier: MIT
 *
 * http_guard: whether the Host of a request is one of ours. A browser tells there under which name
 * it found the server; a page of another site that has made its own name point here gives itself
 * away by it. Addresses in numbers cannot be made to point elsewhere.
 */
#pragma once

#include <stdbool.h>

#include "engine/base/error.h"

#define HTTP_GUARD_HOST_MAX 255

struct http_guard {
    char host[HTTP_GUARD_HOST_MAX + 1]; /* that was given to listen at */
    bool brackets;                      /* it stood in them */
    bool any;                           /* it is all addresses */
};

/* From HOST:PORT, as conn_listen takes it. */
void http_guard_init(struct http_guard *g, const char *address);
/* The header's value; NULL: there is none, which is refused. */
bool http_guard_allows(const struct http_guard *g, const char *host) MUST_CHECK;
