/* SPDX-License-Identifier: MIT
 *
 * cmd_config_priv: the subcommands of `kauri config` that are about files.
 */
#pragma once

#include "cli/cmd.h"

/* Appends the file's text. 0, or an exit code after an error was printed. */
int cmd_config_read_file(const struct args *a, const char *path, struct buf *out);
int cmd_config_import(struct args *a, int argc, char **argv);
int cmd_config_template(struct args *a, int argc, char **argv);
