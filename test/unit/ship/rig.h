/* SPDX-License-Identifier: MIT
 *
 * rig: an asking end (net/ship) and the front it asks (net/nano) in one process and one loop, over
 * a real socket, with a fake broker behind. Waiting is polling, with a deadline that fails the
 * test.
 */
#pragma once

#include <check.h>

#include "net/cargo/cargo_seal.h"
#include "net/nano/nano.h"
#include "net/ship/ship.h"
#include "test/unit/net/fake_broker.h"

#define RIG_ENTRIES 8

struct rig_call {
    struct ship_call call;
    struct ship_pull_entry entries[RIG_ENTRIES];
    unsigned done;
    bool kept; /* not released by itself */
};

struct rig {
    struct config *config;
    struct ship_options options;
    struct ship *ship;
    struct ship_link link;
    struct nano_options nano_options;
    struct nano *nano; /* NULL: nobody listens */
    struct broker *broker;
    char dir[64];
    char url[128];  /* bound */
    char dial[128]; /* asked */
    char line[512]; /* last log line of either side */
    size_t lines;
};

/* tcp: a free port of loopback. Nothing is open yet, so options may be changed. */
void rig_init(struct rig *rig, bool tcp);
void rig_set(struct rig *rig, const char *key, const char *value);
void rig_listen(struct rig *rig);
/* The front goes as if it were killed: what it had to send is lost. */
void rig_kill(struct rig *rig);
void rig_ask(struct rig *rig); /* opens net/ship */
void rig_close(struct rig *rig);
/* One turn of everything, then a wait of at most `wait_ms` until something can happen. */
void rig_turn(struct rig *rig, int wait_ms);
/* Fills a call of this kind: from broker 2, pulls one entry of partition 0 for 1000 bytes. */
void rig_make(struct rig_call *c, enum ship_kind kind);
void rig_send(struct rig *rig, struct rig_call *c);
/* Sends and waits; the status. */
enum broker_status rig_run(struct rig *rig, struct rig_call *c);
int64_t rig_now(void);
int rig_main(const char *name, const TTest *const *tests, size_t count);

#define RIG_UNTIL(rig, condition)                                                                  \
    for (int64_t rig_end_ = rig_now() + 15000; !(condition);) {                                    \
        ck_assert_msg(rig_now() < rig_end_, "waited in vain for %s", #condition);                  \
        rig_turn(rig, 20);                                                                         \
    }
