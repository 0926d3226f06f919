/* SPDX-License-Identifier: MIT
 *
 * cmd_doctor_priv: what `kauri doctor` knows, and its looks at the machine (cmd_doctor_machine.c).
 */
#pragma once

#include "cli/cmd.h"
#include "cli/survey.h"

enum cmd_doctor_level {
    CMD_DOCTOR_OK,
    CMD_DOCTOR_WARNING,
    CMD_DOCTOR_FAILED,
};
#define CMD_DOCTOR_LEVEL_COUNT 3

struct cmd_doctor {
    const struct args *a;
    struct kauri_server server;
    struct survey before;
    struct survey now;
    int64_t watch_ms;
    const char *bundle; /* file to write; NULL: none */
    int64_t wall_ms;    /* here, when `now` was taken */
    json_t *list;       /* owned: findings */
    bool here;          /* the broker runs on this machine, and we may look */
    size_t counts[CMD_DOCTOR_LEVEL_COUNT];
};

__attribute__((format(printf, 5, 6))) void cmd_doctor_say(struct cmd_doctor *d,
                                                          enum cmd_doctor_level level,
                                                          const char *name, const char *hint,
                                                          const char *fmt, ...);
/* File system, time of a sync, descriptors: where the broker runs on this machine. */
void cmd_doctor_machine(struct cmd_doctor *d);
/* Settings that are rarely meant, and the advertised addresses. 0 or an error of the client. */
int cmd_doctor_settings(struct cmd_doctor *d, struct kauri *k);
/* Until watch_ms after the first survey. */
void cmd_doctor_pause(const struct cmd_doctor *d);
int64_t cmd_doctor_wall(void);
/* Writes the archive to a new file; `k` NULL: nobody answers. An exit code after it was told. */
int cmd_doctor_bundle(struct cmd_doctor *d, struct kauri *k, const char *path);
