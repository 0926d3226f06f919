/* SPDX-License-Identifier: MIT
 *
 * planted: bugs that the crash harness must find. They exist only in builds that ask for one by
 * name (-DKAURI_PLANT_...), which test/chaos makes for itself; a normal build has none.
 */
#pragma once

/* Acknowledge a round without syncing it. */
#ifdef KAURI_PLANT_ACK_BEFORE_SYNC
#define PLANTED_ACK_BEFORE_SYNC 1
#else
#define PLANTED_ACK_BEFORE_SYNC 0
#endif

/* Forget to sync the folder of a new segment. */
#ifdef KAURI_PLANT_NO_FOLDER_SYNC
#define PLANTED_NO_FOLDER_SYNC 1
#else
#define PLANTED_NO_FOLDER_SYNC 0
#endif

/* Remove old segments before the swap of cleaned ones is decided. */
#ifdef KAURI_PLANT_SWAP_UNDECIDED
#define PLANTED_SWAP_UNDECIDED 1
#else
#define PLANTED_SWAP_UNDECIDED 0
#endif
