/* SPDX-License-Identifier: MIT
 *
 * props: a list of settings, from `key=value` words and from Java's .properties files, whose format
 * is: a line holds a key, then `=`, `:` or blanks, then the value; blank lines and lines that begin
 * with # or ! are nothing; a backslash at the end joins the next line, whose leading blanks go;
 * \t \n \r \f \uXXXX are characters, a backslash before any other stands for that one.
 */
#pragma once

#include <stddef.h>

#include "cli/kafka/fault.h"
#include "cli/kafka/opts.h"
#include "engine/base/bytes.h"

struct props_pair {
    char *key;   /* owned */
    char *value; /* owned */
};

struct props {
    struct props_pair *pairs; /* owned, in the order first set */
    size_t count;
    size_t cap;
};

#define PROPS_FILE_MAX ((size_t)1024 * 1024)

/* Copies both; an earlier value of that key goes. */
void props_set(struct props *p, const char *key, const char *value);
/* The value, or NULL. */
const char *props_get(const struct props *p, const char *key);
/* True when the value is there and "true" in any case, with blanks around it or not. */
bool props_true(const struct props *p, const char *key);
/* Takes "key=value"; without `=` the value is empty. */
void props_word(struct props *p, const char *word);
/* Adds what a file's text holds. */
void props_read(struct props *p, struct slice text);
/* Adds what a file holds; a fault when it cannot be read or has more than PROPS_FILE_MAX bytes. */
int props_load(struct props *p, const char *path, struct fault *f) MUST_CHECK;
/* Adds what the file that an option names holds, if the option is given; else as props_load. */
int props_option_file(struct props *p, const struct opts *o, size_t row,
                      struct fault *f) MUST_CHECK;
/* Takes each value of an option that may come often as a "key=value". */
void props_options(struct props *p, const struct opts *o, size_t row);
void props_deinit(struct props *p);
