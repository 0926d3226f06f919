/* SPDX-License-Identifier: MIT
 *
 * mask: takes secrets out of texts that leave the machine. By their names: it knows no values, so
 * what stands in a text without its name is not found.
 */
#pragma once

#include <stdbool.h>

#include "engine/base/bytes.h"

#define MASK "********"

/* A setting of this name holds a secret: password, secret, token, private key, ... */
bool mask_is_secret(const char *key);
/* Appends the text with these values replaced by MASK: NAME=VALUE, NAME: VALUE and "NAME": "VALUE"
 * of secret names, a line's rest behind jaas.config, and PASSWORD of NAME://USER:PASSWORD@. */
void mask_text(struct slice text, struct buf *out);
