/* SPDX-License-Identifier: MIT
 *
 * broker_leave: a broker leaves the cluster for good: see broker_leave.c.
 */
#pragma once

#include "engine/broker/broker_lead.h"

struct broker_leave;

struct broker_leave *broker_leave_new(struct broker *b);
/* Nothing is being written. NULL is fine; returns NULL. */
struct broker_leave *broker_leave_free(struct broker_leave *l);
void broker_leave_run(struct broker_leave *l);
int64_t broker_leave_next_ms(const struct broker_leave *l);
bool broker_leave_quiet(const struct broker_leave *l);
/* The role ends, or the broker stops: whoever waits is answered. */
void broker_leave_end(struct broker_leave *l, enum broker_status status);
/* A record of brokers/ is being written here: nobody else writes one. */
bool broker_leave_writing(const struct broker_leave *l);

/* Its record has a replica that left. */
bool broker_leave_names(const struct bpart *p);
/* Takes those who left out of the record, as far as its promise allows. True: it is another. */
bool broker_leave_strike(const struct bpart *p, struct cluster_part *record);
