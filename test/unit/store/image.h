/* SPDX-License-Identifier: MIT
 *
 * image: the files of a partition folder as bytes in memory, to be damaged and laid out again.
 */
#pragma once

#include "engine/base/io.h"

#define IMAGE_FILES 48

struct image_file {
    char name[64];
    struct buf bytes;
};

struct image {
    struct image_file files[IMAGE_FILES]; /* by name */
    size_t count;
};

/* Copies every file of the folder. */
void image_take(struct image *m, struct io *io, const char *dir);
void image_copy(struct image *to, const struct image *from);
void image_deinit(struct image *m);
/* A crash disk that holds the folder, durably. */
struct io *image_put(const struct image *m, const char *dir);

/* The file of that name, or NULL. */
struct image_file *image_find(struct image *m, const char *name);
void image_remove(struct image *m, size_t slot);
/* True when the name ends in the suffix. */
bool image_is(const struct image_file *f, const char *suffix);
