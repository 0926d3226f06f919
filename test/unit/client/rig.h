/* SPDX-License-Identifier: MIT
 *
 * rig: a client, the fake server it talks to, and what became of every record sent. Record i has
 * the decimal number i as value and as opaque.
 */
#pragma once

#include <check.h>

#include "fake_server.h"
#include "net/client/kauri.h"

#define RIG_RECORDS_MAX 4096

struct rig_record {
    unsigned reports;
    int32_t partition;
    int64_t offset;
    int error;
    char message[128];
};

struct rig {
    struct fake_server *s;
    struct kauri *k;
    struct rig_record records[RIG_RECORDS_MAX];
    size_t sent;
    size_t reported;
    size_t failed;
};

/* Starts a server and a client with these options (server, delivered and ctx are set here). */
struct rig *rig_new(struct kauri_options o);
struct rig *rig_free(struct rig *r);
/* kauri_options.delivered, with the rig as ctx. */
void rig_delivered(void *ctx, const struct kauri_record *r, int error, const char *message);
/* Sends the next record; what kauri_send says. */
int rig_send(struct rig *r, const char *topic, int32_t partition);
/* `count` of them, polling when the buffer is full; each must be taken. */
void rig_send_many(struct rig *r, const char *topic, int32_t partition, size_t count);
/* Polls until all records sent were reported, 10 s at most. */
void rig_settle(struct rig *r);
/* Every record reported once; those without error stand in the log where the report says, once, and
 * within a partition in the order they were sent. */
void rig_check(struct rig *r, const char *topic);
struct fake_partition *rig_partition(struct rig *r, const char *topic, int32_t partition);
/* Runs a suite of one case. */
int rig_run(const char *name, const TTest *const *tests, size_t count);
