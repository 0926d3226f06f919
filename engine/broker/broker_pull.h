/* SPDX-License-Identifier: MIT
 *
 * broker_pull: the pulls of other brokers that are under way here. See broker_pull.c.
 */
#pragma once

#include "engine/broker/broker_cluster.h"
#include "engine/broker/broker_priv.h"

struct broker_pulls {
    struct list all; /* struct broker_pull, until its release */
    struct list ready;
    struct heap deadlines;
};

void broker_pulls_init(struct broker_pulls *s);
/* Nothing is under way. */
void broker_pulls_deinit(struct broker_pulls *s);

/* The broker is freed: what was asked is never answered. */
void broker_pulls_abandon(struct broker_pulls *s);

/* Takes a SHIP_PULL whose sender was checked; done runs in a later broker_pulls_run. */
void broker_pull(struct broker *b, struct ship_call *call);
/* The asker went away: it is answered soon. */
void broker_pull_cancel(struct ship_call *call);
/* After done: unpins, frees. */
void broker_pull_release(struct ship_call *call);

/* There may be news of the partition. */
void broker_pulls_wake(struct bpart *p);
/* The partition goes, or is not led any more: what waits is answered with what there is. */
void broker_pulls_end(struct bpart *p);
/* Each turn: deadlines, and done of what is ready. */
void broker_pulls_run(struct broker *b);
int64_t broker_pulls_next_ms(struct broker *b);
/* The broker stops. */
void broker_pulls_fail_all(struct broker *b);
