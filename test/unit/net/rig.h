/* SPDX-License-Identifier: MIT
 *
 * rig: a front on a real socket, a fake broker behind it, a client before it, and a clock that only
 * the test moves. A turn is what the event loop does; waiting is polling, with a deadline that
 * fails the test.
 */
#pragma once

#include <check.h>

#include "client.h"
#include "engine/base/clock.h"
#include "fake_broker.h"
#include "net/nano/nano.h"

struct rig {
    struct nano_options options;
    struct broker *broker;
    struct clock_fake clock;
    struct nano *nano;
    struct client *client;
    char dir[64];
    char url[128];
    char why[NANO_WHY_SIZE];
};

/* Sets options and url; the front is not open yet. `tcp`: a free port of loopback. */
void rig_init(struct rig *rig, bool tcp);
/* Opens the front and a client, and says hello. */
void rig_open(struct rig *rig);
void rig_close(struct rig *rig);
/* One turn of the loop; then, when nothing happened, waits until something can. */
void rig_turn(struct rig *rig);
/* Sends a call, turning while the socket has no room. Returns its id. */
uint64_t rig_send(struct rig *rig, struct client *c, Kauri__Call *call, struct slice raw);
void rig_send_bytes(struct rig *rig, struct client *c, const void *p, size_t size);
/* The statistics, now. */
struct nano_stats rig_stats(const struct rig *rig);

#define RIG_UNTIL(rig, condition)                                                                  \
    while (!(condition))                                                                           \
    rig_turn(rig)

/* Calls of one item, sent; each returns its id. */
uint64_t rig_hello(struct rig *rig, struct client *c);
uint64_t rig_ping(struct rig *rig, struct client *c, bool resync);
uint64_t rig_fetch(struct rig *rig, struct client *c, int32_t partition, int64_t offset);
uint64_t rig_produce(struct rig *rig, struct client *c, int acks, struct slice batch);
/* Waits for the answer with this id. */
const Kauri__Answer *rig_answer(struct rig *rig, struct client *c, uint64_t id);
