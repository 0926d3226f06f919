/* SPDX-License-Identifier: MIT
 *
 * kafka_lines: the fixture files of the Kafka tests: words on lines, bytes in hex, `#` comments.
 */
#pragma once

#include "engine/base/bytes.h"

#define KAFKA_LINE_WORDS 6

/* Runs `use` over the lines of a file, cut at `separator`; every line has `count` words. Fails the
 * test where one has not, and when there are fewer than `least` lines. */
void kafka_lines(const char *path, const char *separator, size_t count, size_t least,
                 void (*use)(char **words));
/* Appends what the hex says. */
void kafka_unhex(const char *hex, struct buf *out);
