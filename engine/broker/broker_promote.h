/* SPDX-License-Identifier: MIT
 *
 * broker_promote: this broker asks to lead: see broker_promote.c; and the voter's side of it,
 * broker_vote.c.
 */
#pragma once

#include "engine/broker/broker_lead.h"

struct broker_promote;

struct broker_promote *broker_promote_new(struct broker *b);
/* Nothing is out. NULL is fine; returns NULL. */
struct broker_promote *broker_promote_free(struct broker_promote *p);
/* The broker is freed: nobody is answered. */
void broker_promote_abandon(struct broker_promote *p);
void broker_promote_run(struct broker_promote *p);
/* Whoever asked is told; calls that are out come back on their own. */
void broker_promote_stop(struct broker_promote *p);
int64_t broker_promote_next_ms(const struct broker_promote *p);
bool broker_promote_quiet(const struct broker_promote *p);
/* Without an operator: a leader that is back, or whose followers promised a term that has none. */
void broker_promote_self(struct broker_promote *p);
/* The same, at a term above this one. */
void broker_promote_above(struct broker_promote *p, uint32_t term);
/* Somebody leads in a greater term. */
void broker_promote_overtaken(struct broker_promote *p);

/* --- broker_vote.c --- */

/* Takes a SHIP_VOTE. */
void broker_vote(struct broker *b, struct ship_call *call);
void broker_vote_release(struct ship_call *call);
void broker_vote_fail_all(struct broker *b);
void broker_vote_abandon(struct broker *b);
void broker_vote_run(struct broker *b);
/* Every partition that this broker is a replica of is open, and nothing of it is on its way. Opens
 * some that are not. */
bool broker_vote_still(struct broker *b);
/* Nothing that was ever counted is missing of an open partition. */
bool broker_vote_intact(const struct broker *b, const struct bpart *p);
/* What this broker holds of them; *out is owned. */
void broker_vote_holdings(struct broker *b, struct ship_holding **out, size_t *count);
