/* SPDX-License-Identifier: MIT
 *
 * serve: `kauri serve`: one process, one data folder, one loop thread that owns the broker.
 *
 *   serve.c         the life: open, loop, stop
 *   serve_setup.c   options, configuration, addresses
 */
#pragma once

#include "cli/args.h"

/* Runs until it is stopped. Returns the exit code. */
int serve(struct args *a, int argc, char **argv);
