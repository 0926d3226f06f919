/* SPDX-License-Identifier: MIT
 *
 * group_regex: regular expressions over topic names, as members of a consumer group subscribe by
 * them: Perl's syntax (PCRE2), of which RE2's, which KIP-848 names, is a part; the whole name must
 * match. They come from outside: compiled size, backtracking and depth are bounded; a name on which
 * the bounds are passed does not match.
 */
#pragma once

#include <stdbool.h>

#include "engine/base/bytes.h"

struct group_regex;

/* 0 and *out (owned), or 1 when the expression is none, or asks for too much. */
int group_regex_new(struct slice text, struct group_regex **out) MUST_CHECK;
bool group_regex_match(const struct group_regex *r, struct slice name);
/* NULL is fine; returns NULL. */
struct group_regex *group_regex_free(struct group_regex *r);
