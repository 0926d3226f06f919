/* SPDX-License-Identifier: MIT
 *
 * io_crash_priv: the disk in memory, for io_crash.c, which changes it, and io_crash_check.c, which
 * walks it. Invariants and pictures stand in io_crash.c.
 */
#pragma once

#include <pthread.h>

#include "engine/base/io.h"
#include "engine/base/list.h"

#define IO_CRASH_SECTOR  512u
#define IO_CRASH_ENDLESS (UINT64_C(1) << 50) /* bytes of a disk without space_max */
#define IO_CRASH_ALIVE   UINT64_MAX          /* died: not yet */

struct io_crash_name {
    char *text; /* owned */
    struct io_crash_node *node;
    uint64_t born;
    uint64_t died;
};

struct io_crash_node {
    size_t refs; /* names, dead ones too, and open files; one of the disk for "/" */
    size_t live; /* names that did not die and open files: at 0 its space is free again */
    bool folder;
    bool locked;
    /* file */
    int fd;
    uint64_t size;
    uint64_t durable_size;
    uint64_t data_end;
    uint64_t dirty_from;
    uint64_t dirty_to; /* 0: nothing is dirty */
    struct buf synced;
    struct io_crash_node *twin; /* of a disk that is being cut: what is left of it, in the next */
    uint64_t walk;              /* the last check that counted it: it may have many names */
    /* folder */
    struct io_crash_name *names;
    size_t name_count;
    uint64_t changes; /* since the last sync */
};

struct io_crash_disk {
    struct io_crash_node *root; /* counted */
    uint64_t space_max;
    uint64_t used;
    uint64_t walks;
};

struct io_crash {
    struct io io;
    pthread_mutex_t lock;
    struct io_crash_disk disk; /* root NULL: this io is dead */
    struct list files;
    struct list maps;
};

struct io_crash_file {
    struct io_file file;
    struct list link;
    struct io_crash_node *node; /* NULL: its io is dead */
    unsigned flags;
    bool lock; /* holds node->locked */
};

struct io_crash_map {
    struct list link;
    struct io_map map;
};

/* The living name `text` in a folder, or NULL. */
struct io_crash_name *io_crash_find(const struct io_crash_node *folder, const char *text);
/* Bytes of the memfd; zeros behind its end. */
void io_crash_load(const struct io_crash_node *node, uint64_t pos, void *p, size_t size);
/* Takes the lock of a crash disk, and lets it go. */
struct io_crash *io_crash_enter(struct io *io);
void io_crash_leave(struct io_crash **c);
