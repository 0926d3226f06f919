/* SPDX-License-Identifier: MIT
 *
 * snap: what the tests of snapshots share: one is taken of the rig's broker, restored, and the rig
 * goes on with a broker on what came of it.
 */
#pragma once

#include "engine/broker/snapshot.h"
#include "test/unit/broker/rig.h"

#define SNAP_DIR "/snap"
#define SNAP_NEW "/new"

/* Asked for; nothing was done yet. The caller frees it. */
struct rig_admin *snap_start(struct rig *g, const char *dir);
/* To its end; the broker lives. `out` may be NULL. */
enum broker_status snap_make(struct rig *g, const char *dir, struct rig_admin *out);
/* What snapshot_restore says. `out` may be NULL. */
int snap_restore(struct rig *g, const char *from, const char *to, struct snapshot_restore *out);
/* The broker that ran is killed, another one opened on the folder, which must be sound. */
void snap_move_to(struct rig *g, const char *dir);
/* Is there such a file or folder? */
bool snap_there(struct rig *g, const char *path);
