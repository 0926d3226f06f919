/* SPDX-License-Identifier: MIT
 *
 * snap: see snap.h.
 */
#include "test/unit/broker/snap.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/store/verify.h"

struct rig_admin *snap_start(struct rig *g, const char *dir)
{
    struct rig_admin *a = calloc(1, sizeof *a);
    ck_assert_ptr_nonnull(a);
    rig_admin_init(a, BROKER_SNAPSHOT, dir);
    rig_admin_start(g, a);
    return a;
}

enum broker_status snap_make(struct rig *g, const char *dir, struct rig_admin *out)
{
    struct rig_admin a;
    rig_admin_init(&a, BROKER_SNAPSHOT, dir);
    enum broker_status s = rig_admin_run(g, &a);
    if (out != NULL)
        *out = a;
    return s;
}

int snap_restore(struct rig *g, const char *from, const char *to, struct snapshot_restore *out)
{
    struct snapshot_restore r = {.from = from, .to = to};
    int e = snapshot_restore(g->fault, &r);
    if (out != NULL)
        *out = r;
    return e;
}

static void snap_finding(void *ctx, bool fault, const char *line)
{
    ck_assert_msg(!fault, "%s: %s", (const char *)ctx, line);
}

static int snap_verify_folder(void *ctx, const char *name, enum io_kind kind)
{
    struct rig *g = ctx;
    char path[256];
    struct store store;
    struct verify_totals totals = {0};
    struct verify_options o = {.deep = true, .found = snap_finding, .ctx = (void *)(uintptr_t)name};
    if (kind != IO_KIND_FOLDER)
        return 0;
    (void)snprintf(path, sizeof path, "%s/%s", g->dir, name);
    store_init(&store,
               &(struct store_options){.io = g->disk, .seed = 1, .writer_max = 8, .reader_max = 8});
    ck_assert_int_eq(verify_part(&store, path, &o, &totals), 0);
    store_deinit(&store);
    return 0;
}

void snap_move_to(struct rig *g, const char *dir)
{
    rig_kill(g);
    rig_fail(g, 0, false);
    g->dir = dir;
    ck_assert_int_eq(io_list(g->disk, dir, snap_verify_folder, g), 0);
    g->view = meta_store_free(g->view);
    g->view = meta_store_new();
    rig_open(g);
    rig_run(g);
}

bool snap_there(struct rig *g, const char *path)
{
    struct io_file *f = NULL;
    int r = io_open(g->disk, path, IO_READ, &f);
    ck_assert_int_eq(io_close(f), 0);
    return r != IO_MISSING;
}
