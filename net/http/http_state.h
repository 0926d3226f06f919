/* SPDX-License-Identifier: MIT
 *
 * http_state: the answer to /state, one JSON object with the names that `kauri topic list --json`
 * and `kauri group list --json` use.
 *
 *   {"broker": {...}, "fronts": [...], "connections": [...],
 *    "topics": [...], "topics_next": NAME or null, "groups": [...], "groups_next": NAME or null}
 *
 * In pages: at most HTTP_STATE_ROWS topics and as many groups, by name, behind those named; `next`
 * is what to ask with for the next page. null where a figure is not known yet.
 */
#pragma once

#include "net/http/http.h"

#define HTTP_STATE_ROWS       500
#define HTTP_STATE_PARTITIONS 10000 /* looked at for one page; a larger topic has no sums */

/* NULL: from the first. Heap memory, the caller's. */
char *http_state(const struct http_options *o, const char *topics_after, const char *groups_after);
