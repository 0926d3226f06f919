/* SPDX-License-Identifier: MIT
 *
 * apache: `kauri` under the names kafka-server-start and kafka-storage. See apache.c.
 */
#pragma once

#include <stdbool.h>

#include "cli/args.h"

/* True when the program was called by one of these names; then it has run and *code is its exit
 * code. */
bool apache_called(struct args *a, int argc, char **argv, int *code);
