/* SPDX-License-Identifier: MIT
 *
 * match: which topics a regular expression names. The expressions are Java's in Apache's tools and
 * POSIX extended ones here, which agree on what is usual for topic names; \d, \w and (?: are
 * translated, look-around and flags such as (?i) are refused. A topic matches as a whole.
 */
#pragma once

#include <regex.h>
#include <stdbool.h>

#include "cli/kafka/fault.h"

struct match {
    regex_t regex;
    char *posix; /* owned: the translated expression, ^(...)$ */
};

enum match_kind {
    MATCH_LIST, /* as kafka-topics takes it: a comma is |, blanks and outer quotes go */
    MATCH_JAVA, /* as it stands */
};

int match_init(struct match *m, const char *text, enum match_kind kind, struct fault *f) MUST_CHECK;
bool match_topic(const struct match *m, const char *topic);
void match_deinit(struct match *m);
/* The topics that Kafka keeps for itself. */
bool match_internal(const char *topic);
